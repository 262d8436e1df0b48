"""Who is in the detection twins: random streams, histologies; the three sets share no patient."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.nodule_patient import NodulePatient, sample_patient
from medkd_lib.phantom.nodule_settings import Cohort, Difficulty

KEYS: Mapping[Cohort, int] = MappingProxyType(
    {"lung_pet_ct_dx": 71, "deeplesion": 72, "lungct_roboflow": 73}
)
"""Key of each set in the random streams: whether the real sets overlap is unknown for one pair;
these never do, whatever their seeds."""

BODY, SCAN, DRAWING, CHOICE = 0, 1, 2, 3
"""Purposes of a patient's streams: anatomy, noise, the annotator's hand, what was chosen."""

HISTOLOGIES: Mapping[str, int] = MappingProxyType({"A": 251, "B": 38, "E": 5, "G": 61})
"""Patients of the release by the letter of their id (IDC v25): adenocarcinoma, small cell, large
cell, squamous cell carcinoma."""


def stream(cohort: Cohort, index: int, seed: int, purpose: int) -> np.random.SeedSequence:
    """Seed of one purpose of one patient."""
    return np.random.SeedSequence(seed, spawn_key=(KEYS[cohort], index, purpose))


def generator(cohort: Cohort, index: int, seed: int, purpose: int) -> np.random.Generator:
    """Random numbers of one purpose of one patient."""
    return np.random.default_rng(stream(cohort, index, seed, purpose))


def nodule_patient(
    cohort: Cohort, index: int, *, seed: int, difficulty: Difficulty, histology: str = ""
) -> NodulePatient:
    """Patient ``index`` (from 0) of a set."""
    return sample_patient(generator(cohort, index, seed, BODY), cohort, difficulty, histology)


def histologies(patients: int) -> list[str]:
    """Letters of the first patients: at any number as close to the release's shares as can be.

    The next letter is the one whose count lags its share most, ties in the order of the letters.
    """
    total = sum(HISTOLOGIES.values())
    counts = dict.fromkeys(HISTOLOGIES, 0)
    found: list[str] = []
    for n in range(1, patients + 1):
        letter = max(counts, key=lambda x: n * HISTOLOGIES[x] / total - counts[x])
        counts[letter] += 1
        found.append(letter)
    return found
