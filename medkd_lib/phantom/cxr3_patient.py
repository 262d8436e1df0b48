"""One virtual patient of the ``cxr3`` twin: a body, its films, and what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medkd_lib.phantom.cxr3_plan import PatientPlan
from medkd_lib.phantom.cxr3_truth import TruthRow, truth_row
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.thorax import sample_thorax, voxelise_thorax
from medkd_lib.phantom.xray import take_film
from medkd_lib.phantom.xray_settings import HOSPITALS, sample_positioning


def make_patient(
    plan: PatientPlan,
    *,
    seed: int,
    difficulty: Difficulty,
    image_size: int = 224,
    scanners: Sequence[str] = ("hospital_a",),
) -> tuple[list[TruthRow], list[np.ndarray]]:
    """Anatomy and films of one patient: truth rows and (image_size, image_size) uint8 films.

    All films show the same volume; position, exposure and photons differ.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(plan.index,))
    body, *shots = sequence.spawn(3)
    rng = np.random.default_rng(body)
    scanner = scanners[int(rng.integers(len(scanners)))]
    patient = sample_thorax(rng, plan.diagnosis, difficulty)
    anatomy = voxelise_thorax(patient)
    mu = anatomy.paint(patient.mu_values())
    room = HOSPITALS[scanner]
    letter = round(room.marker * image_size / room.pixels)
    room = replace(room, pixels=image_size, marker=letter)
    rows, films = [], []
    for film, shot in zip(range(plan.films), shots, strict=False):
        rng = np.random.default_rng(shot)
        positioning = sample_positioning(rng)
        films.append(take_film(mu, anatomy.grid.spacing_mm, room, positioning, rng))
        rows.append(
            truth_row(
                plan,
                film,
                patient,
                anatomy,
                scanner,
                positioning.rotation_deg,
                positioning.exposure,
            )
        )
    return rows, films
