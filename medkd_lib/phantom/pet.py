"""PET scanner: uptake → point spread → counts → Poisson → post-filter → SUV (§3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, FloatArray
from medkd_lib.phantom.blur import blur, noise_power
from medkd_lib.phantom.tissue_pet import Tracer

HALF_LIFE_MIN: Mapping[str, float] = MappingProxyType({"fdg": 109.77, "acetate": 20.36})
"""Half-life of the label, ¹⁸F and ¹¹C, in minutes (§3.1 †)."""

LIVER_SUV = 1.85
"""SUV at which ``PETSettings.liver_noise`` is meant, FDG in the liver (§3.2 R)."""


@dataclass(frozen=True)
class PETSettings:
    """One PET protocol. Domain shift is another row of these numbers.

    Attributes:
        psf_fwhm_mm: resolution of the scanner (§3.5 R: 4.0–4.8 at the centre).
        filter_fwhm_mm: post-filter (§3.5 R: 5); with 4.5 the clinical image has 6.7 mm.
        liver_noise: SD over mean in an even liver of SUV 1.85, after the filter; 0.115 analogue,
            0.090 digital (§3.5 R); scales with 1/√(dose · time); 0 = no noise.
        tracer: what was injected; names the table to scan with.
    """

    psf_fwhm_mm: float = 4.5
    filter_fwhm_mm: float = 5.0
    liver_noise: float = 0.115
    tracer: Tracer = "fdg"

    def __post_init__(self) -> None:
        """Refuse impossible protocols."""
        if self.tracer not in get_args(Tracer):
            raise ValueError(
                f"tracer: expected one of {get_args(Tracer)}, found {self.tracer!r}; check spelling"
            )
        for name in ("psf_fwhm_mm", "filter_fwhm_mm", "liver_noise"):
            if getattr(self, name) < 0.0:
                raise ValueError(
                    f"{name}: expected 0 or more, found {getattr(self, name)}; 0 switches it off"
                )


@dataclass(frozen=True)
class PETScan:
    """A PET image.

    Attributes:
        suv: (I, J, K) float32, axes Left, Posterior, Superior.
        spacing_mm: voxel size along these axes.
        affine: index → RAS+ millimetres (nibabel: ``Nifti1Image(scan.suv, scan.affine)``).
    """

    suv: FloatArray
    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]


def counts_per_suv(settings: PETSettings, spacing_mm: tuple[float, float, float]) -> float:
    r"""Find the counts per voxel and SUV that give the liver its noise.

    In an even organ of uptake u a voxel counts :math:`k u \pm \sqrt{k u}`; the filter leaves the
    share :math:`G = \sum_n w_n^2` of that variance, so

    .. math:: \Big(\frac{SD}{mean}\Big)^2 = \frac{G}{k\,u}
              \quad\Rightarrow\quad k = \frac{G}{c^2\,u_{liver}}
    """
    # k = G / (c² u)
    power = noise_power(settings.filter_fwhm_mm, spacing_mm)
    return power / (settings.liver_noise**2 * LIVER_SUV)


def scan_pet(
    anatomy: Anatomy,
    suv: Mapping[str, float],
    settings: PETSettings,
    rng: np.random.Generator,
    *,
    extra: FloatArray | None = None,
) -> PETScan:
    r"""Scan a patient.

    .. math:: u = \sum_t f_t\,u_t + e, \qquad
              \hat u = \frac{1}{k}\,F * \mathrm{Poisson}(k\,(P * u))

    with point spread P and post-filter F. Noise is correlated over about the filter's width, as
    in a reconstruction, and its level follows the local uptake; that the real one is also higher
    in the middle of a big patient is left out.

    Args:
        anatomy: tissue fractions.
        suv: uptake per tissue, for instance ``suv_table(settings.tracer)``.
        settings: protocol.
        rng: source of noise; the same seed, the same image.
        extra: (I, J, K) uptake added before the blur, for uneven tumours; may be negative where
            the sum is not.

    Raises:
        KeyError: if a tissue of the anatomy has no uptake.
        ValueError: if ``extra`` has another shape or the uptake is negative somewhere.
    """
    grid = anatomy.grid
    missing = sorted(({layer.tissue for layer in anatomy.layers} | {"air"}) - set(suv))
    if missing:
        raise KeyError(
            f"suv: no uptake for {missing}; found {sorted(suv)}; add your own values to "
            "suv_table(tracer), it holds only what is known"
        )
    uptake = anatomy.paint(suv)
    if extra is not None:
        if extra.shape != grid.shape:
            raise ValueError(
                f"extra: expected the grid's shape {grid.shape}, found {extra.shape}; "
                "draw it on anatomy.grid"
            )
        uptake += extra
    lowest = float(np.min(uptake))
    # painting in float32 may leave −1e-7 where a cold tissue covers a hot one
    if lowest < -1e-4:
        raise ValueError(
            f"uptake: expected 0 or more everywhere, found {lowest:.4g}; raise suv or extra"
        )
    image = blur(np.maximum(uptake, 0.0), settings.psf_fwhm_mm, grid.spacing_mm)
    if settings.liver_noise > 0.0:
        k = counts_per_suv(settings, grid.spacing_mm)
        image = (rng.poisson(image * np.float32(k)) / k).astype(np.float32)
    image = blur(image, settings.filter_fwhm_mm, grid.spacing_mm)
    return PETScan(image, grid.spacing_mm, grid.affine)


def decay(half_life_min: float, minutes: float) -> float:
    r"""Share of the activity left, :math:`2^{-t/T_{1/2}}`.

    Raises:
        ValueError: if the half-life is not positive.
    """
    if half_life_min <= 0.0:
        raise ValueError(
            f"half_life_min: expected minutes above 0, found {half_life_min}; see HALF_LIFE_MIN"
        )
    return float(2.0 ** (-minutes / half_life_min))


def suv(
    bq_ml: NDArray[np.floating] | float,
    weight_kg: float,
    injected_bq: float,
    half_life_min: float,
    minutes: float,
) -> NDArray[np.floating] | float:
    r"""Standardised uptake value (§3.1).

    .. math:: SUV = \frac{C(t)\,w}{A_0\,2^{-t/T_{1/2}}}

    Args:
        bq_ml: activity concentration at scan time, Bq/mL, any shape.
        weight_kg: body weight.
        injected_bq: activity at injection.
        half_life_min: of the label, see :data:`HALF_LIFE_MIN`.
        minutes: from injection to scan.

    Raises:
        ValueError: if weight, activity or half-life is not positive.
    """
    if weight_kg <= 0.0 or injected_bq <= 0.0:
        raise ValueError(
            "weight_kg and injected_bq: expected values above 0, found "
            f"{weight_kg} and {injected_bq}; 70 kg and 3e8 Bq are usual"
        )
    # C · w[g] / (A0 · 2^(−t/T))
    return bq_ml * (1000.0 * weight_kg / (injected_bq * decay(half_life_min, minutes)))
