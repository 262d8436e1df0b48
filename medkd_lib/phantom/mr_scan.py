"""MR scanner: tissue fractions → magnitude image with bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from medkd_lib.phantom.anatomy import Anatomy, FloatArray
from medkd_lib.phantom.mr import MRSettings, magnetisation, reference_signal
from medkd_lib.phantom.tissue_mr import TissueMR

NO_AGENT: Mapping[str, float] = MappingProxyType({})
"""A scan without contrast agent."""

BIAS_KNOTS = 4
"""Coarse values of the bias field per axis: about one and a half waves across the image (D)."""

SILENT = 1e-6
"""Signal that a tissue without any keeps, so that it still counts as body and gets noise."""


@dataclass(frozen=True)
class MRScan:
    """An MR image.

    Attributes:
        signal: (I, J, K) float32 magnitude, axes Left, Posterior, Superior.
        spacing_mm: voxel size along these axes.
        affine: index → RAS+ millimetres (nibabel: ``Nifti1Image(scan.signal, scan.affine)``).
    """

    signal: FloatArray
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]


def bias_field(
    shape: tuple[int, int, int],
    strength: float,
    rng: np.random.Generator,
    body: NDArray[np.bool_] | None = None,
) -> FloatArray:
    r"""Smooth multiplicative shading: a coarse random field, upsampled by cubic splines.

    .. math:: B = 1 + s\,\Big(\frac{F - \min F}{\max F - \min F} - \tfrac12\Big)

    Minimum and maximum are taken over the body, so there the factor spans exactly
    :math:`[1 - s/2,\ 1 + s/2]`, which is BrainWeb's definition of "100 s % INU" (§1.7 R). Outside
    the body it is cut to the same range.

    Args:
        shape: of the image.
        strength: s, in [0, 2).
        rng: source of the coarse field.
        body: where the range is meant; the whole image if None or empty.

    Raises:
        ValueError: for a strength outside [0, 2).
    """
    if not 0.0 <= strength < 2.0:
        raise ValueError(
            f"strength: expected a span in [0, 2), found {strength}; 0.2 means a factor 0.9–1.1"
        )
    coarse = rng.standard_normal((BIAS_KNOTS,) * 3).astype(np.float32)
    spline = CubicSpline(np.linspace(0.0, 1.0, BIAS_KNOTS), np.eye(BIAS_KNOTS))
    x, y, z = (spline(np.linspace(0.0, 1.0, n)).astype(np.float32) for n in shape)
    # F = Σ c_abc x_a y_b z_c, the longest sum last and as one matrix product
    field = np.einsum("abc,ia,jb->ijc", coarse, x, y, optimize=True) @ z.T
    inside = field if body is None or not body.any() else field[body]
    low, high = float(inside.min()), float(inside.max())
    # 1 + s((F − min)/(max − min) − ½); a body of one voxel has no range and no shading
    field -= np.float32((low + high) / 2.0)
    field *= np.float32(strength / (high - low) if high > low else 0.0)
    field += np.float32(1.0)
    edge = np.float32(strength / 2.0)
    return np.clip(field, np.float32(1.0) - edge, np.float32(1.0) + edge, out=field)


def rician(signal: FloatArray, sigma: float, rng: np.random.Generator) -> FloatArray:
    r"""Magnitude of a signal in complex noise.

    .. math:: S' = |S + n_1 + i\,n_2|, \qquad n_1, n_2 \sim N(0, \sigma)

    Rayleigh where S = 0 (mean :math:`\sigma\sqrt{\pi/2}`), nearly Gaussian where
    :math:`S \gg \sigma`.

    Args:
        signal: any shape, left as it is; may be negative (inverted magnetisation).
        sigma: standard deviation per channel.
        rng: source of noise.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: for a negative ``sigma``.
    """
    if sigma < 0.0:
        raise ValueError(f"sigma: expected 0 or more, found {sigma}; 0 means no noise")
    if sigma == 0.0:
        return np.abs(signal, dtype=np.float32)
    real = rng.standard_normal(signal.shape, np.float32)
    imaginary = rng.standard_normal(signal.shape, np.float32)
    # |S + n1 + i n2|, in place
    real *= np.float32(sigma)
    real += signal
    real *= real
    imaginary *= np.float32(sigma)
    imaginary *= imaginary
    real += imaginary
    return np.sqrt(real, out=real)


def scan_mr(
    anatomy: Anatomy,
    tissues: Mapping[str, TissueMR],
    settings: MRSettings,
    rng: np.random.Generator,
    *,
    gd_mm: Mapping[str, float] = NO_AGENT,
    gain: float = 1000.0,
    noise_outside: bool = True,
    bias: FloatArray | None = None,
) -> MRScan:
    r"""Scan a patient.

    .. math:: S = \Big|\,B \cdot g \sum_t f_t M_t / M_{ref} + n_1 + i\,n_2\Big|

    Magnetisations mix linearly and with sign in a voxel; noise is added after the bias field,
    since the receiver's shading weakens the signal and not the noise.

    Args:
        anatomy: tissue fractions.
        tissues: values per tissue, for instance ``vary(mr_table(3.0), rng)``.
        settings: protocol.
        rng: source of bias field and noise, in this order; the same seed, the same image.
        gd_mm: gadolinium in mmol/L per tissue; tissues not named have none.
        gain: stored signal g of the reference tissue (no agent, b = 0).
        noise_outside: whether voxels that hold air alone get noise; False leaves them exactly 0,
            as in skull-stripped images, and is faster.
        bias: shading to use instead of drawing one by ``settings.bias``. Images whose ratio is
            taken (b 0 and b 1000) come from one coil and need one field.

    Raises:
        KeyError: if a tissue of the anatomy, or of ``gd_mm``, has no values.
        ValueError: if ``bias`` has another shape than the grid.
    """
    needed = {layer.tissue for layer in anatomy.layers} | {"air"}
    missing = sorted((needed | set(gd_mm)) - set(tissues))
    if missing:
        raise KeyError(
            f"tissues: no MR values for {missing}; found {sorted(tissues)}; start from mr_table() "
            "and check the names in gd_mm"
        )
    scale = gain / reference_signal(tissues, settings)
    values = {}
    for name in needed:
        value = scale * magnetisation(tissues[name], settings, gd_mm.get(name, 0.0))
        silent = name != "air" and abs(value) < SILENT * gain
        values[name] = SILENT * gain if silent else value
    image = anatomy.paint(values)
    body = image != 0.0
    if bias is None and settings.bias > 0.0:
        bias = bias_field(anatomy.grid.shape, settings.bias, rng, body)
    if bias is not None:
        if bias.shape != image.shape:
            raise ValueError(
                f"bias: expected the grid's shape {image.shape}, found {bias.shape}; "
                "draw it with bias_field(anatomy.grid.shape, ...)"
            )
        image *= bias
    sigma = settings.noise * gain
    if noise_outside:
        image = rician(image, sigma, rng)
    else:
        image[body] = rician(image[body], sigma, rng)
    return MRScan(image, anatomy.grid.spacing_mm, anatomy.grid.affine)
