"""Who is in the twins with liver cancer: a body, a grade, one to three masses and their looks.

The two sets never share a patient, whatever their seeds: each has a key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.abdomen_patient import STANDARD_MM, AbdomenPatient, sample_abdomen
from medkd_lib.phantom.hcc_grade import Difficulty, Looks, grade_of, sample_looks
from medkd_lib.phantom.liver_mass import sample_masses
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.tissue_pet import Tracer

Cohort = Literal["react_kd_private_cohort", "hcc_tace_seg"]
KEYS: Mapping[Cohort, int] = MappingProxyType({"react_kd_private_cohort": 21, "hcc_tace_seg": 22})
"""Key of each set in the random streams."""

BODY, LOOKS, SCANS = 0, 1, 2

LIVER_SUV: Mapping[Tracer, tuple[float, float]] = MappingProxyType(
    {"fdg": (1.85, 0.22), "acetate": (3.3, 0.15)}
)
"""Median uptake of the liver and the spread of its logarithm between people (§3.2: both means and
22 % for FDG R; the spread for acetate D)."""

GROWTH = 1.08
"""Radius of every mass at one exam over that at the exam before (D)."""


@dataclass(frozen=True)
class HccPatient:
    """One person with liver cancer.

    Attributes:
        person: the abdomen.
        grade: 0–2, index of :data:`medkd_lib.phantom.hcc_grade.GRADES`; of all masses.
        difficulty: what the looks were drawn for.
        masses: one to three.
        looks: of each mass.
        liver_suv: uptake of the liver by tracer.
        weight_kg: of the body.
    """

    person: AbdomenPatient
    grade: int
    difficulty: Difficulty
    masses: tuple[LobulatedMass, ...]
    looks: tuple[Looks, ...]
    liver_suv: Mapping[Tracer, float]
    weight_kg: float


def stream(cohort: Cohort, index: int, seed: int, kind: int) -> np.random.SeedSequence:
    """Seed of one purpose of one patient."""
    return np.random.SeedSequence(seed, spawn_key=(KEYS[cohort], index, kind))


def hcc_patient(
    cohort: Cohort, index: int, *, seed: int, difficulty: Difficulty, exam: int = 0
) -> HccPatient:
    """Patient ``index`` (from 0) of a set, at an exam (from 0): the masses grow, the rest stays.

    All difficulties of a seed show the same bodies and masses, and the same deviates of the looks.

    Args:
        cohort: which set.
        index: of the patient.
        seed: of the set.
        difficulty: one of :data:`medkd_lib.phantom.hcc_grade.STRENGTH`.
        exam: which of the patient's exams.
    """
    body = np.random.default_rng(stream(cohort, index, seed, BODY))
    person = sample_abdomen(body)
    masses = sample_masses(person, body)
    rng = np.random.default_rng(stream(cohort, index, seed, LOOKS))
    grade = grade_of(index, KEYS[cohort], seed)
    looks = sample_looks(grade, len(masses), difficulty, rng)
    uptake = {t: m * float(rng.lognormal(0.0, s)) for t, (m, s) in LIVER_SUV.items()}
    grown = tuple(replace(m, radius_mm=m.radius_mm * GROWTH**exam) for m in masses)
    return HccPatient(person, grade, difficulty, grown, looks, uptake, _weight(person, rng))


def _weight(person: AbdomenPatient, rng: np.random.Generator) -> float:
    """Heavier the wider, the taller and the fatter (D), whole kilograms."""
    room = person.cavity_mm[0] * person.cavity_mm[1] / (STANDARD_MM[0] * STANDARD_MM[1])
    lean = 54.0 * room * person.tall
    return float(np.clip(np.rint(lean + 0.9 * person.fat_mm + rng.normal(0.0, 3.0)), 42.0, 125.0))
