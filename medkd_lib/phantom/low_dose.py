"""Low-dose CT by physics: photons counted behind the patient, their noise reconstructed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from medkd_lib.phantom.ct import KERNEL_CUTOFF, Kernel
from medkd_lib.phantom.parallel_beam import ParallelBeam, filtered_backprojection, project
from medkd_lib.phantom.tissue import MU_WATER_65KEV

FLOOR = 1.0
"""Counts below this are read as this: the logarithm of a starved ray must exist."""

ABDOMEN_PHOTONS: Mapping[str, float] = MappingProxyType(
    {"full": 5e5, "quarter": 1.25e5, "tenth": 5e4, "fiftieth": 1e4}
)
"""I0 of an abdomen (§2.4 D: 3e5–7e5 at full dose, with 900 views and bins of 0.7 mm)."""


@dataclass(frozen=True)
class LowDose:
    r"""One dose level.

    I0 counts photons *per ray of this geometry*. Noise in the image falls with everything that
    counts more photons, :math:`\sigma^2 \propto 1/(I_0 V \Delta^2)`: compare I0 between scans of
    the same number of views V and pixel size Δ only. There is no bow-tie filter.

    Attributes:
        photons: I0, counts per ray in the open beam.
        electronic: σe, electronic noise in counts (§2.4: 10).
        source_photons: I0 of the scan the slices come from: only the missing noise is added.
            None for slices without noise.
        views: angles over 180°.
        kernel: reconstruction kernel.
    """

    photons: float
    electronic: float = 10.0
    source_photons: float | None = None
    views: int = 360
    kernel: Kernel = "standard"

    def __post_init__(self) -> None:
        """Refuse impossible doses."""
        if self.photons <= 0.0 or self.electronic < 0.0 or self.views < 1:
            raise ValueError(
                "LowDose: expected photons above 0, electronic 0 or more and a view or more, "
                f"found {self.photons}, {self.electronic} and {self.views}"
            )
        if self.source_photons is not None and self.source_photons <= self.photons:
            raise ValueError(
                f"LowDose: expected photons below source_photons, found {self.photons:g} and "
                f"{self.source_photons:g}; noise can be added, not taken away"
            )
        if self.kernel not in KERNEL_CUTOFF:
            raise ValueError(
                f"LowDose: expected a kernel of {list(KERNEL_CUTOFF)}, found {self.kernel!r}"
            )

    @property
    def share(self) -> float:
        """Dose as a share of the source's, 0 where the source has no noise."""
        return 0.0 if self.source_photons is None else self.photons / self.source_photons


def electronic_noise(photons: float) -> float:
    r"""Return σe in counts with the share of the noise that 10 counts have in an abdomen.

    .. math:: \sigma_e(I_0) = \sigma_e \sqrt{I_0 / 5\cdot10^5}

    Quantum noise of a line integral is :math:`e^p / I_0`, electronic noise
    :math:`\sigma_e^2 e^{2p} / I_0^2`: their ratio stays where :math:`\sigma_e^2 / I_0` does. For a
    coarser grid, whose rays count otherwise than a detector's.

    Args:
        photons: I0 per ray of the grid at full dose.
    """
    return float(LowDose.electronic * (photons / ABDOMEN_PHOTONS["full"]) ** 0.5)


@dataclass(frozen=True)
class LowDoseScan:
    """What a low-dose scan made of slices.

    Attributes:
        hu: (B, H, W) the noisy slices.
        line_integrals: (B, views, bins) of the slices as given.
        measured: (B, views, bins) line integrals as the counts tell them.
    """

    hu: Tensor
    line_integrals: Tensor
    measured: Tensor


def attenuation(hu: Tensor) -> Tensor:
    r"""Attenuation of CT numbers in cm⁻¹ at 65 keV, :math:`\mu = \max(\mu_w(1 + HU/1000), 0)`.

    Raises:
        ValueError: not (B, H, W), not finite, or rescaled grey values instead of CT numbers.
    """
    if hu.ndim != 3 or not hu.is_floating_point():
        raise ValueError(
            f"low dose: expected floating-point axial slices (B, H, W), found {hu.dtype} "
            f"{tuple(hu.shape)}; the first axis must be the patient's long axis"
        )
    low, high = hu.aminmax()
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        raise ValueError("low dose: expected finite CT numbers, found NaN or infinity in hu")
    if 0.0 < float(high - low) <= 2.0:
        raise ValueError(
            f"low dose: expected CT numbers in HU (air is −1000), found {float(low):g} to "
            f"{float(high):g}; simulate before windowing or scaling"
        )
    return (MU_WATER_65KEV * (1.0 + hu.float() / 1000.0)).clamp(min=0.0)


def measure(line_integrals: Tensor, dose: LowDose, generator: torch.Generator) -> Tensor:
    r"""Line integrals as a detector measures them.

    .. math:: N \sim \mathrm{Poisson}(I_0 e^{-p}) + \mathcal N(0, \sigma_e^2), \qquad
              \hat p = -\ln\frac{\max(N, 1)}{I_0}

    A source of dose :math:`I_0^{src}` has noise already. With :math:`a = I_0 / I_0^{src}` and
    its mean counts λ, its counts times a have variance :math:`a^2(\lambda + \sigma_e^2)` where
    :math:`a\lambda + \sigma_e^2` is wanted; what is missing is drawn:

    .. math:: N = a N_{src} + \big(K - (1-a)\,a N_{src}\big) + \mathcal N(0, (1-a^2)\sigma_e^2),
              \quad K \sim \mathrm{Poisson}\big((1-a)\,a N_{src}\big)

    which is the first law at a = 0, the source without noise.

    Args:
        line_integrals: p, any shape.
        dose: photons, electronic noise, source.
        generator: of the device where p lies.

    Source: the variance is Yu et al. 2012 (J. Comput. Assist. Tomogr.), eq. as quoted in the
    dossier §2.4; drawn as counts here, so that starved rays are not Gaussian.
    """
    a = dose.share
    # a N_src = I0 e^(−p)
    expected = dose.photons * torch.exp(-line_integrals)
    missing = (1.0 - a) * expected
    counts = expected + (torch.poisson(missing, generator=generator) - missing)
    if dose.electronic > 0.0:
        white = torch.empty_like(counts).normal_(generator=generator)
        counts = counts + dose.electronic * (1.0 - a**2) ** 0.5 * white
    # p̂ = −ln(max(N, 1)/I0)
    return -torch.log(counts.clamp(min=FLOOR) / dose.photons)


def added_variance(line_integrals: Tensor, dose: LowDose) -> Tensor:
    r"""Variance that :func:`measure` adds to line integrals, to first order.

    .. math:: \mathrm{Var}(\hat p) \approx (1-a)\frac{e^p}{I_0} + (1-a^2)\frac{\sigma_e^2 e^{2p}}
              {I_0^2}

    Exponential in path length. It holds while a ray has many more counts than σe;
    `medkd_lib.phantom.low_dose_fast.log_variance` is exact for starved rays too.
    """
    a = dose.share
    inverse = torch.exp(line_integrals) / dose.photons
    return (1.0 - a) * inverse + (1.0 - a**2) * (dose.electronic * inverse) ** 2


def scan_low_dose(
    hu: Tensor, pixel_mm: float, dose: LowDose, generator: torch.Generator
) -> LowDoseScan:
    r"""Scan axial slices again at a lower dose.

    .. math:: \mathrm{HU}' = \mathrm{HU} + \frac{1000}{\mu_w}\,\mathrm{FBP}(\hat p - p)

    FBP is linear, so the noise is reconstructed alone: the anatomy keeps its own sharpness and
    gets no second reconstruction's blur.

    Args:
        hu: (B, H, W) CT numbers of axial slices.
        pixel_mm: edge of the square pixels.
        dose: dose level.
        generator: source of the noise, on the slices' device.

    Raises:
        ValueError: see :func:`attenuation`.
    """
    mu = attenuation(hu)
    beam = ParallelBeam((hu.shape[1], hu.shape[2]), pixel_mm, dose.views)
    p = project(mu, beam)
    measured = measure(p, dose, generator)
    noise = filtered_backprojection(measured - p, beam, dose.kernel)
    return LowDoseScan(hu + noise.to(hu.dtype) * (1000.0 / MU_WATER_65KEV), p, measured)
