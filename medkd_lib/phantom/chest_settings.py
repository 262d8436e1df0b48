"""How hard a tumour in the chest is to see: one number per effect and difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medkd_lib.phantom.opacities import Difficulty

__all__ = ["SETTINGS", "Difficulty", "Place", "Setting", "Size"]

Size = Literal["small", "full"]
Place = Literal["lung", "mediastinum", "hilum", "chest_wall"]


@dataclass(frozen=True)
class Setting:
    """Strengths of one difficulty.

    Attributes:
        contrast_hu: mean of tumour minus muscle on CT, HU.
        contrast_sd_hu: its spread between patients.
        sigma_hu: median CT noise on the voxels as written (§2.5 R: 12.3 in the liver at 5 mm,
            17.7 in the trachea with a soft kernel).
        t2_contrast: 1 gives the soft tissues around a tumour their own PD, T1 and T2, and blood its
            flow void; 0 gives tumour, collapsed lung, blood, heart and nodes those of muscle, so
            that T2w shows of them what CT shows: soft tissue beside fat and air.
        mr_noise: median noise of the MR as a share of muscle's signal.
        abutting: share of the tumours that touch mediastinum, hilum or chest wall.
        collapse: share of the tumours with collapsed lung beside them.
    """

    contrast_hu: float
    contrast_sd_hu: float = 4.0
    sigma_hu: float = 15.0
    t2_contrast: float = 1.0
    mr_noise: float = 0.12
    abutting: float = 0.5
    collapse: float = 0.2


SETTINGS: Mapping[Difficulty, Setting] = MappingProxyType(
    {
        # far less dense than most tumours are (mucin, necrosis): easy on purpose (D)
        "clear": Setting(contrast_hu=-45.0),
        # 21 HU beside muscle at 43: unenhanced tumours are 20–40 HU (§2.3 †)
        "subtle": Setting(contrast_hu=-22.0),
        # CT as in subtle, and MR knows no more than CT
        "none": Setting(contrast_hu=-22.0, t2_contrast=0.0),
    }
)
"""What each difficulty means: fixed on baselines (difficulty.csv of lesson 04), before any hint."""
