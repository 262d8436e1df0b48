"""How the abdomens of two public sets are scanned: the shift between them is their scanners'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.abdomen_agent import EnhancedPhase, TubeVoltage
from medkd_lib.phantom.ct import CTSettings, Kernel, noise_sigma_hu

Cohort = Literal["msd_task03_liver", "kits23"]
Size = Literal["small", "full"]

LIVER_SIGMA_HU = 12.3
"""Noise in a liver at 5 mm (§2.5 R), taken as that of the standard kernel at full dose (D)."""

TEXTURE_HU = 3.0
"""Unevenness of the tissues (D)."""

MATRIX: Mapping[Size, int] = MappingProxyType({"small": 120, "full": 256})
"""Pixels along each edge; the real CTs have 512, which would show nothing more of smooth organs."""


@dataclass(frozen=True)
class Protocol:
    """One CT with contrast agent.

    Attributes:
        phase: when after the injection.
        kilovolts: tube voltage.
        dose: share of the full dose.
        kernel: of the reconstruction.
        slice_mm: thickness and distance of the slices.
    """

    phase: EnhancedPhase
    kilovolts: TubeVoltage
    dose: float
    kernel: Kernel
    slice_mm: float

    @property
    def sigma_hu(self) -> float:
        r"""Noise, :math:`\sigma = 12.3\,\frac{\sigma(a, k)}{\sigma(1, standard)}\sqrt{5/s}`.

        with the law of dose a and kernel k of :func:`medkd_lib.phantom.ct.noise_sigma_hu` and the
        slice s in mm.
        """
        own = noise_sigma_hu(CTSettings(dose=self.dose, kernel=self.kernel))
        return LIVER_SIGMA_HU * own / noise_sigma_hu(CTSettings()) * (5.0 / self.slice_mm) ** 0.5

    @property
    def settings(self) -> CTSettings:
        """What the scanner model is told."""
        return CTSettings(
            dose=self.dose, kernel=self.kernel, sigma_hu=self.sigma_hu, texture_hu=TEXTURE_HU
        )


@dataclass(frozen=True)
class Scanner:
    """From what a set's protocols are drawn.

    Attributes:
        phases: share of the patients per phase.
        kilovolts: equally often.
        dose: range.
        kernel: of all.
        slice_mm: by size.
    """

    phases: Mapping[EnhancedPhase, float]
    kilovolts: tuple[TubeVoltage, ...]
    dose: tuple[float, float]
    kernel: Kernel
    slice_mm: Mapping[Size, float]


SCANNERS: Mapping[Cohort, Scanner] = MappingProxyType(
    {
        "msd_task03_liver": Scanner(
            {"portal": 1.0}, (120, 140), (0.7, 1.3), "standard", {"small": 5.0, "full": 2.5}
        ),
        "kits23": Scanner(
            {"corticomedullary": 0.7, "nephrographic": 0.3}, (100, 120), (0.5, 1.2), "soft",
            {"small": 4.0, "full": 3.0},
        ),
    }
)  # fmt: skip
"""Portal venous livers; kidneys earlier, and some later (R: KiTS is late arterial, KiTS23 adds
nephrographic; the shares are D). Slices within the real ranges, 0.7–5 and 0.5–5 mm (R), at full
size the median of the real kidney set (C). Voltage, dose and kernel D: far enough apart to be a
shift."""


def sample_protocol(cohort: Cohort, size: Size, rng: np.random.Generator) -> Protocol:
    """Draw how one patient of a set is scanned; the same state gives all sizes the same protocol.

    Args:
        cohort: which set.
        size: of the files.
        rng: source of randomness.
    """
    scanner = SCANNERS[cohort]
    phases = tuple(scanner.phases)
    phase = phases[int(rng.choice(len(phases), p=list(scanner.phases.values())))]
    kilovolts = scanner.kilovolts[int(rng.integers(len(scanner.kilovolts)))]
    dose = float(rng.uniform(*scanner.dose))
    return Protocol(phase, kilovolts, dose, scanner.kernel, scanner.slice_mm[size])
