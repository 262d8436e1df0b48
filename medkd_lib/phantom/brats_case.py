"""The cases of one BraTS patient in memory: truth, four images and labels per visit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.brain_lesion_layers import label_map
from medkd_lib.phantom.brats_patient import (
    later,
    sample_patient,
    scan_patient,
    voxelise_patient,
)
from medkd_lib.phantom.brats_plan import BratsPlan
from medkd_lib.phantom.brats_truth import BratsTruth, truth_of
from medkd_lib.phantom.opacities import Difficulty


def make_patient(
    plan: BratsPlan, *, seed: int, grid: Grid, difficulty: Difficulty, field_t: float = 3.0
) -> list[tuple[BratsTruth, dict[str, FloatArray], NDArray[np.uint8]]]:
    """Truth, images and labels of every visit of one patient, in memory."""
    person, *visits = np.random.SeedSequence(seed, spawn_key=plan.key).spawn(3)
    patient = sample_patient(np.random.default_rng(person), plan.task, difficulty, field_t)
    results = []
    for visit, stream in zip(range(plan.visits), visits, strict=False):
        rng = np.random.default_rng(stream)
        if visit:
            patient = later(patient, rng)
        anatomy = voxelise_patient(patient, grid)
        shown = anatomy
        if difficulty == "none":
            shown = voxelise_patient(patient, grid, lesions=False)
        images = scan_patient(patient, grid, rng, anatomy=shown)
        labels = label_map(anatomy)
        row = truth_of(plan.case(visit), plan.number, visit, difficulty, patient, anatomy, labels)
        results.append((row, images, labels))
    return results


def stored(image: FloatArray) -> NDArray[np.int16]:
    """As it is written: int16, background 0, at least 1 inside the stripped edge."""
    whole = np.clip(np.rint(image), 1.0, 32767.0)
    return np.where(image > 0.0, whole, 0.0).astype(np.int16)
