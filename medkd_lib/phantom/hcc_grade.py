"""What a liver cancer's grade does to its images: two tracers, weakly CT, or nothing at all.

Evidence letters follow the course's tissue dossier (docs/tissue-dossier.md, section numbers in
brackets): R read in a publication, D our design choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

Difficulty = Literal["clear", "subtle", "none"]

GRADES = ("well", "moderate", "poor")
"""Differentiation, the labels 0 to 2."""

BLOCK = (0, 0, 1, 1, 1, 2)
"""Grades of each six patients: 38, 52 and 18 of 108 in the published ROC curves, rounded (R); the
private cohort's own shares are not known, and taken as the same (D)."""

FDG_RATIO, ACETATE_RATIO = (1.05, 1.5, 2.6), (1.7, 1.5, 1.1)
"""Median uptake over the liver's, by grade (§3.4 D, consistent with its R rows): FDG rises, acetate
falls. Both together give the correlation of the logarithms that §3.4 states, −0.3 over all grades,
without any within a grade."""

BETWEEN_MASSES = 0.25
"""Share of each variance that differs between the masses of one patient (D)."""


@dataclass(frozen=True)
class Strength:
    """How much the images tell of the grade.

    Attributes:
        fdg_spread, acetate_spread: SD of ln(uptake over the liver's) within a grade.
        contrast_hu: mass minus liver on unenhanced CT, by grade.
        contrast_spread_hu: its SD within a grade.
        mottle_hu: median unevenness of the mass on CT, by grade.
        mottle_spread: SD of its logarithm within a grade.
        informed: whether the looks follow the grade; else a grade drawn for the looks alone.
    """

    fdg_spread: float
    acetate_spread: float
    contrast_hu: tuple[float, float, float]
    contrast_spread_hu: float
    mottle_hu: tuple[float, float, float]
    mottle_spread: float
    informed: bool = True


_SUBTLE = Strength(0.30, 0.30, (-4.0, -10.0, -18.0), 5.0, (4.0, 5.0, 6.5), 0.4)

STRENGTH: Mapping[Difficulty, Strength] = MappingProxyType(
    {
        "clear": Strength(0.22, 0.12, (-3.0, -10.0, -19.0), 5.0, (3.5, 5.5, 8.0), 0.35),
        "subtle": _SUBTLE,
        "none": replace(_SUBTLE, informed=False),
    }
)
r"""The three difficulties. Medians of uptake are the same in all; the spreads differ.

========== ==================== ======================= ================ ======================
difficulty spread of ln(T/L):   CT contrast to liver,   CT mottle, HU    AUC of a linear rule on
           FDG, acetate         HU: well, mod., poor    (spread of ln)   true values (macro, OvR)
========== ==================== ======================= ================ ======================
clear      0.22, 0.12           −3, −10, −19 (± 5)      3.5, 5.5, 8 (.35) both tracers 0.95, FDG
                                                                         0.91, acetate 0.86, CT
                                                                         contrast 0.86, all 0.98
subtle     0.30, 0.30 (§3.4)    −4, −10, −18 (± 5)      4, 5, 6.5 (.4)   0.86, 0.84, 0.68; 0.83;
                                                                         0.93
none       as subtle, but of a grade drawn for the looks alone: images and label are independent;
           every AUC is 0.5
========== ==================== ======================= ================ ======================

T/L is the uptake of a mass over that of the liver. Contrast: an unenhanced HCC lies 8 HU below the
liver (§2.3 D from R); that it falls with grade, and all of the mottle, are D. Size, place and
number of the masses know nothing of the grade at any difficulty, although large ones are more often
poor (§3.4 R): so whatever a network learns, it learns from voxels' values.
"""


@dataclass(frozen=True)
class Looks:
    """How one mass appears.

    Attributes:
        fdg_ratio, acetate_ratio: uptake over the liver's.
        contrast_hu: minus the liver, unenhanced.
        mottle_hu: SD of its unevenness.
    """

    fdg_ratio: float
    acetate_ratio: float
    contrast_hu: float
    mottle_hu: float


def grade_of(index: int, key: int, seed: int) -> int:
    """Grade 0–2 of patient ``index``: each six in a row hold :data:`BLOCK`, in random order.

    Args:
        index: from 0.
        key: of the cohort, so that two cohorts differ.
        seed: of the set.
    """
    block, place = divmod(index, len(BLOCK))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, 1_000_000 + block)))
    return int(rng.permutation(BLOCK)[place])


def sample_looks(
    grade: int, masses: int, difficulty: Difficulty, rng: np.random.Generator
) -> tuple[Looks, ...]:
    r"""Draw how the masses of one patient appear.

    .. math:: \ln r_m = \ln\bar r_g + \sigma\,(\sqrt{1 - b}\,n_{patient} + \sqrt{b}\,n_m)

    with b = :data:`BETWEEN_MASSES`; alike for the four values, each with deviates of its own.

    Args:
        grade: 0–2.
        masses: how many.
        difficulty: one of :data:`STRENGTH`.
        rng: the same state gives the same deviates at every difficulty.
    """
    strength = STRENGTH[difficulty]
    other = int(rng.permutation(BLOCK)[0])
    look = grade if strength.informed else other
    own = np.sqrt(1.0 - BETWEEN_MASSES) * rng.standard_normal(4)
    deviates = own + np.sqrt(BETWEEN_MASSES) * rng.standard_normal((3, 4))
    return tuple(
        Looks(
            fdg_ratio=float(FDG_RATIO[look] * np.exp(strength.fdg_spread * d[0])),
            acetate_ratio=float(ACETATE_RATIO[look] * np.exp(strength.acetate_spread * d[1])),
            contrast_hu=float(strength.contrast_hu[look] + strength.contrast_spread_hu * d[2]),
            mottle_hu=float(strength.mottle_hu[look] * np.exp(strength.mottle_spread * d[3])),
        )
        for d in deviates[:masses]
    )
