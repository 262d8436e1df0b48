"""Three sets of lesions to detect: how visible, how many and how large, before which scanner.

Evidence letters follow the course's tissue dossier: R read, C computed, † textbook, D design.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medkd_lib.phantom.chest_settings import Size
from medkd_lib.phantom.ct import Kernel
from medkd_lib.phantom.opacities import Difficulty

__all__ = [
    "BURDENS", "FAINTER", "FIELD_MM", "IODINE_HU", "IODINE_MG_ML", "LESION_HU", "PIXELS",
    "SCANNERS", "VISIBILITY", "Burden", "Cohort", "Difficulty", "Kind", "Scanner", "Size",
    "visibility_bounds",
]  # fmt: skip

Cohort = Literal["lung_pet_ct_dx", "deeplesion", "lungct_roboflow"]
Kind = Literal["lung", "mediastinum", "liver"]

VISIBILITY: Mapping[Difficulty, Mapping[Kind, tuple[float, float]]] = MappingProxyType(
    {
        "clear": {"lung": (0.6, 1.0), "mediastinum": (0.9, 1.0), "liver": (0.9, 1.0)},
        "subtle": {"lung": (0.06, 0.16), "mediastinum": (0.5, 0.85), "liver": (0.25, 0.5)},
        "none": {"lung": (0.0, 0.0), "mediastinum": (0.0, 0.0), "liver": (0.0, 0.0)},
    }
)
r"""Share :math:`v` of a lesion's voxel that is lesion, drawn evenly within these bounds.

With the tissue :math:`t` around it, :math:`HU = HU_t + v\,(HU_l - HU_t)`: a lung nodule of
:math:`v = 1` is solid, one of 0.1 a faint haze; at 0 the image does not know of it, and its box
stands where nothing can be seen. Fixed on baselines (:mod:`medkd_lib.phantom.nodule_twin`).
"""

FAINTER: Mapping[Cohort, float] = MappingProxyType(
    {"lung_pet_ct_dx": 0.5, "deeplesion": 1.0, "lungct_roboflow": 1.0}
)
"""Factor on the visibility of ``subtle`` lesions: the larger ones of a quieter scanner are seen at
half of it as well as the smaller ones of the other sets (fixed on the same baselines)."""


def visibility_bounds(cohort: Cohort, difficulty: Difficulty, kind: Kind) -> tuple[float, float]:
    """Return the least and the largest visibility of a set's lesions of one kind."""
    low, high = VISIBILITY[difficulty][kind]
    factor = FAINTER[cohort] if difficulty == "subtle" else 1.0
    return factor * low, factor * high


PIXELS: Mapping[Size, int] = MappingProxyType({"small": 192, "full": 384})
"""Pixels along either side of a slice. Scanners write 512 (D: smaller, for speed)."""

FIELD_MM = (345.0, 400.0)
"""Side of the field of view, drawn evenly: pixels of 1.8 to 2.1 mm (``small``) (D)."""

IODINE_HU = 27.0
"""CT number of 1 mg/mL of iodine at 120 kV (C)."""

IODINE_MG_ML: Mapping[str, float] = MappingProxyType(
    {
        "blood": 4.2, "myocardium": 2.2, "liver": 2.0, "spleen": 2.4, "node": 1.2, "muscle": 0.5,
        "lung lesion": 1.0, "mediastinum lesion": 1.4, "liver lesion": 0.7, "mimic": 4.2,
    }
)  # fmt: skip
"""Uptake about 70 s after an injection (D)."""

LESION_HU: Mapping[Kind, float] = MappingProxyType(
    {"lung": 35.0, "mediastinum": 38.0, "liver": 40.0}
)
"""CT number of lesion tissue before contrast medium: tumours 20–40 (†), the liver's D."""


@dataclass(frozen=True)
class Burden:
    """How many lesions a patient has, of which kind and size; all D.

    Attributes:
        number_share: shares of patients with one, two, … lesions; they add up to 1.
        kind_share: shares of the kinds.
        diameter_mm: median diameter of a lung lesion; log-normal.
        diameter_spread: of its logarithm.
        smallest_mm, largest_mm: bounds.
        mimics: mean number of pieces of vessel that a single slice shows as nodules.
    """

    number_share: tuple[float, ...]
    kind_share: Mapping[Kind, float]
    diameter_mm: float
    diameter_spread: float
    smallest_mm: float
    largest_mm: float
    mimics: float = 1.5


BURDENS: Mapping[Cohort, Burden] = MappingProxyType(
    {
        # lung cancer: one tumour, at times a small second one
        "lung_pet_ct_dx": Burden((0.75, 0.25), {"lung": 1.0}, 26.0, 0.5, 8.0, 70.0),
        # eight body regions in the release, three here
        "deeplesion": Burden((0.4, 0.35, 0.25), {"lung": 0.5, "mediastinum": 0.25, "liver": 0.25},
                             15.0, 0.45, 6.0, 45.0),
        "lungct_roboflow": Burden((0.5, 0.35, 0.15), {"lung": 1.0}, 12.0, 0.45, 5.0, 30.0),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Scanner:
    """One protocol.

    Attributes:
        name: as ``truth.csv`` says it.
        thickness_mm: of a slice; slices touch.
        kernel: colours the noise.
        sigma_hu: median noise on the pixels as written (D; §2.5 has 12 to 38 R at 5 mm).
        iodine: with contrast medium.
    """

    name: str
    thickness_mm: float
    kernel: Kernel
    sigma_hu: float
    iodine: bool = False


SCANNERS: Mapping[Cohort, tuple[Scanner, ...]] = MappingProxyType(
    {
        "lung_pet_ct_dx": (
            Scanner("thick, soft", 5.0, "soft", 14.0),
            Scanner("thin, standard", 2.5, "standard", 26.0),
        ),
        "deeplesion": (
            Scanner("thick, soft, contrast medium", 5.0, "soft", 12.0, iodine=True),
            Scanner("thin, soft, contrast medium", 2.5, "soft", 17.0, iodine=True),
        ),
        "lungct_roboflow": (
            Scanner("thick, standard", 5.0, "standard", 24.0),
            Scanner("thick, sharp", 5.0, "sharp", 45.0),
            Scanner("thin, standard", 2.5, "standard", 34.0),
        ),
    }
)
"""What each set was scanned with: domain shift by physics, not by a transform (D)."""
