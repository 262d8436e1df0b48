"""CT scanner: tissue fractions → CT numbers, with texture and the noise of a reconstruction.

This is the short way: noise is drawn as filtered backprojection would colour it, its level set
by the dose. The long way, photon counts in a sinogram, is `medkd_lib.phantom.low_dose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, FloatArray

Kernel = Literal["soft", "standard", "sharp"]

# Cut-off of the Hann window as a share of the Nyquist frequency (§2.5: soft = Hann 0.6,
# standard = Hann); "sharp" is the bare ramp (Ram-Lak).
KERNEL_CUTOFF: Mapping[str, float] = MappingProxyType(
    {"soft": 0.6, "standard": 1.0, "sharp": np.inf}
)

# Noise at full dose in the chest, HU: 37.5 standard FBP (§2.5 R, aorta); sharp = 2.1 × soft (R,
# trachea 38.0 against 17.7).
FULL_DOSE_SIGMA_HU: Mapping[str, float] = MappingProxyType(
    {"soft": 17.7, "standard": 37.5, "sharp": 38.0 / 17.7 * 37.5}
)

ELECTRONIC_SHARE = 0.045
"""Electronic over quantum variance at full dose, fitted to §2.5: 75 HU expected, 80 seen (D)."""


@dataclass(frozen=True)
class CTSettings:
    """One CT protocol.

    Attributes:
        dose: share of the full dose, above 0; sets the noise by :func:`noise_sigma_hu`.
        kernel: reconstruction kernel; colours the noise and sets its full-dose level.
        sigma_hu: noise level in HU that overrides dose and kernel; 0 is a noiseless scan.
        texture_hu: standard deviation of the tissue's own mottle, correlated over 4 mm.
    """

    dose: float = 1.0
    kernel: Kernel = "standard"
    sigma_hu: float | None = None
    texture_hu: float = 4.0

    def __post_init__(self) -> None:
        """Refuse impossible protocols."""
        if self.kernel not in get_args(Kernel):
            raise ValueError(
                f"kernel: expected one of {get_args(Kernel)}, found {self.kernel!r}; check spelling"
            )
        if self.dose <= 0.0:
            raise ValueError(
                f"dose: expected a share above 0, found {self.dose}; 0.25 is a quarter"
            )
        if (self.sigma_hu is not None and self.sigma_hu < 0.0) or self.texture_hu < 0.0:
            raise ValueError(
                "sigma_hu and texture_hu: expected 0 or more, found "
                f"{self.sigma_hu} and {self.texture_hu}; 0 switches them off"
            )


@dataclass(frozen=True)
class CTScan:
    """A CT volume.

    Attributes:
        hu: (I, J, K) float32, axes Left, Posterior, Superior.
        spacing_mm: voxel size along these axes.
        affine: index → RAS+ millimetres (nibabel: ``Nifti1Image(scan.stored(), scan.affine)``).
    """

    hu: FloatArray
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]

    def stored(self) -> NDArray[np.int16]:
        """CT numbers as scanners store them: whole HU in int16, −1024 at least."""
        return np.clip(np.rint(self.hu), -1024, 32767).astype(np.int16)


def noise_sigma_hu(settings: CTSettings) -> float:
    r"""Noise level of a protocol.

    .. math:: \sigma^2(a) = \sigma_1^2\,\frac{1}{1 + \epsilon}
              \Big(\frac{1}{a} + \frac{\epsilon}{a^2}\Big)

    Post-log variance is :math:`(1/\lambda)(1 + \sigma_e^2/\lambda)` (§2.4) with
    :math:`\lambda \propto a`: the first term is quantum noise, the second electronic.
    """
    if settings.sigma_hu is not None:
        return settings.sigma_hu
    a, epsilon = settings.dose, ELECTRONIC_SHARE
    variance = (1.0 / a + epsilon / a**2) / (1.0 + epsilon)
    return FULL_DOSE_SIGMA_HU[settings.kernel] * float(np.sqrt(variance))


def noise_response(
    shape: tuple[int, int], spacing_mm: tuple[float, float], kernel: Kernel
) -> NDArray[np.float64]:
    r"""Filter that colours white noise like filtered backprojection and keeps its variance.

    The power of FBP noise is :math:`|f|^2 W^2(f)/|f| = |f|\,W^2(f)` (ramp squared, over the
    density of projections), so rising from zero at DC and cut by the kernel:

    .. math:: H(f) = \sqrt{|f|}\;W(f), \qquad
              W(f) = \tfrac12\big(1 + \cos(\pi f / f_c)\big)\ [f < f_c]

    Args:
        shape: (I, J) of the slice.
        spacing_mm: pixel size; the cut-off is a share of the finer Nyquist frequency, since the
            kernel belongs to the scanner and not to the coarser of our pixel edges.
        kernel: which kernel.

    Returns:
        (I, J/2 + 1), the half-plane of ``rfft2``.
    """
    fx = np.fft.fftfreq(shape[0], spacing_mm[0])[:, None]
    fy = np.fft.rfftfreq(shape[1], spacing_mm[1])[None, :]
    f = np.sqrt(fx**2 + fy**2)
    cutoff = KERNEL_CUTOFF[kernel] * 0.5 / min(spacing_mm)
    # W(f): Hann window up to the cut-off, the bare ramp if there is none
    window = np.ones_like(f)
    if np.isfinite(cutoff):
        window = np.where(f < cutoff, 0.5 * (1.0 + np.cos(np.pi * f / cutoff)), 0.0)
    # H(f) = sqrt|f| W(f)
    response = np.sqrt(f) * window
    # mean of H² over the full plane: the rfft half counts twice except its self-paired columns
    twice = np.full(fy.shape, 2.0)
    twice[0, 0] = 1.0
    if shape[1] % 2 == 0:
        twice[0, -1] = 1.0
    gain = np.sqrt((response**2 * twice).sum() / (shape[0] * shape[1]))
    return np.asarray(response / gain)


def correlated_noise(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    kernel: Kernel,
    sigma_hu: float,
    rng: np.random.Generator,
) -> FloatArray:
    r"""Noise coloured like filtered backprojection in every axial slice (`noise_response`).

    It has ``sigma_hu`` in expectation. Slices are independent, as in step-and-shoot scans.

    Args:
        shape: (I, J, K); the slice is (I, J).
        spacing_mm: voxel size.
        kernel: which kernel.
        sigma_hu: standard deviation wanted.
        rng: source of randomness.
    """
    response = noise_response(shape[:2], spacing_mm[:2], kernel)
    white = rng.standard_normal(shape, np.float32)
    spectrum = np.fft.rfftn(white, axes=(0, 1))
    spectrum *= response[:, :, None]
    noise = np.fft.irfftn(spectrum, s=shape[:2], axes=(0, 1))
    return (sigma_hu * noise).astype(np.float32)


def scan_ct(
    anatomy: Anatomy,
    values: Mapping[str, float],
    settings: CTSettings,
    rng: np.random.Generator,
) -> CTScan:
    r"""Scan a patient: :math:`HU = \sum_t f_t\,HU_t + \text{texture} + \text{noise}`.

    Texture is weighted by the share of the voxel that is not air (air has none).

    Args:
        anatomy: tissue fractions.
        values: HU per tissue, for a thorax ``patient.hu_values()``.
        settings: protocol; ``CTSettings(sigma_hu=0, texture_hu=0)`` is the noiseless truth.
        rng: source of texture and noise.
    """
    grid = anatomy.grid
    hu = anatomy.paint(values)
    if settings.texture_hu > 0.0:
        mottle = _mottle(grid.shape, grid.spacing_mm, rng)
        hu += np.float32(settings.texture_hu) * mottle * np.clip((hu + 1000.0) / 1000.0, 0.0, 1.0)
    sigma = noise_sigma_hu(settings)
    if sigma > 0.0:
        hu += correlated_noise(grid.shape, grid.spacing_mm, settings.kernel, sigma, rng)
    return CTScan(hu, grid.spacing_mm, grid.affine)


def _mottle(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> FloatArray:
    r"""Gaussian random field of unit variance, correlation :math:`e^{-d^2 / 4\ell^2}`, ℓ = 4 mm."""
    field = rng.standard_normal(shape, np.float32)
    spectrum = np.fft.rfftn(field)
    for axis, (n, s) in enumerate(zip(shape, spacing_mm, strict=True)):
        f = np.fft.rfftfreq(n, s) if axis == 2 else np.fft.fftfreq(n, s)
        # G(f) = exp(−2π² ℓ² f²), the transform of a Gaussian of width ℓ
        gain = np.exp(-2.0 * (np.pi * 4.0 * f) ** 2)
        full = np.exp(-2.0 * (np.pi * 4.0 * np.fft.fftfreq(n, s)) ** 2)
        gain /= np.sqrt((full**2).mean())
        spectrum *= gain.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.fft.irfftn(spectrum, s=shape, axes=(0, 1, 2)).astype(np.float32)
