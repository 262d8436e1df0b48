"""One person of the OASIS-1 twins: a brain with its decline, in the scanner and in the atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brain_patient import BrainPatient, sample_brain
from medkd_lib.phantom.dementia import Decline, sample_decline, sample_severity, with_decline
from medkd_lib.phantom.mr_scan import scan_mr
from medkd_lib.phantom.mr_settings import MRSettings
from medkd_lib.phantom.oasis_plan import OasisPlan, plan_person
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import TissueMR, mr_table, vary

Size = Literal["small", "full"]

GRIDS: Mapping[Size, Grid] = MappingProxyType(
    {
        "small": Grid((88, 104, 88), (2.0, 2.0, 2.0)),
        "full": Grid((176, 208, 176), (1.0, 1.0, 1.0)),
    }
)
"""Voxels of 1 mm are the release's; their number is D (recalled, not read)."""

PROTOCOL = MRSettings("t1", "mprage", 1900.0, 3.0, ti_ms=1000.0, flip_deg=12.0, pulses=160)
"""T1w at 1.5 T (§1.5 †; the release's own times were not read)."""

FIELD_T = 1.5

NOISE: Mapping[Difficulty, tuple[float, float]] = MappingProxyType(
    {"clear": (0.03, 0.05), "subtle": (0.05, 0.08), "none": (0.05, 0.08)}
)
"""Of one acquisition, share of white matter, drawn per person (D)."""

BIAS, CORRECTED_BIAS = (0.15, 0.35), 0.05
"""Shading of an acquisition, per person, and what is left once it was corrected (D)."""

ATLAS_SCALE, ATLAS_SPREAD = 0.95, 0.006
"""Every head has this size in the atlas, and so much its axes still differ (D)."""

POSE_DEG, POSE_MM = 0.7, 0.5
"""Spread of what an affine registration leaves (D)."""

OASIS_STREAM = 31
"""Keeps these people apart from those of the other brain twins."""

MALE_SIZE = 1.035
"""Factor on a man's head along each axis (D: some 11 % of volume)."""


@dataclass(frozen=True)
class OasisPerson:
    """A person before any voxel.

    Attributes:
        plan: who.
        brain: size, pose and folds as in the scanner, decline included.
        decline: what age and dementia did.
        tissues: MR values.
        noise: of one acquisition.
        bias: shading of one acquisition.
        gain: stored signal of white matter.
    """

    plan: OasisPlan
    brain: BrainPatient
    decline: Decline
    tissues: Mapping[str, TissueMR]
    noise: float
    bias: float
    gain: float


def oasis_stream(index: int, seed: int, part: int) -> np.random.Generator:
    """Random stream of a person: part 0 is the body, the others are scans."""
    key = (OASIS_STREAM, index, part)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw_person(index: int, *, seed: int, difficulty: Difficulty) -> OasisPerson:
    """Draw the person of an index; volumes and slices of one seed show the same people.

    Args:
        index: 0-based.
        seed: of the set.
        difficulty: see :data:`medkd_lib.phantom.dementia.LOOKS`.
    """
    plan, rng = plan_person(index, seed=seed, difficulty=difficulty), oasis_stream(index, seed, 0)
    brain = sample_brain(rng)
    size = MALE_SIZE if plan.male else 1.0
    scale = tuple(s * size for s in brain.scale)
    decline = sample_decline(rng, plan.age, sample_severity(rng, plan.drawn), difficulty)
    brain = with_decline(replace(brain, scale=(scale[0], scale[1], scale[2])), decline, rng)
    tissues = vary(mr_table(FIELD_T), rng)
    noise = float(rng.uniform(*NOISE[difficulty]))
    bias = float(rng.uniform(*BIAS))
    gain = float(350.0 * np.exp(0.3 * rng.standard_normal()))
    return OasisPerson(plan, brain, decline, MappingProxyType(tissues), noise, bias, gain)


def in_atlas(brain: BrainPatient, rng: np.random.Generator) -> BrainPatient:
    """Register a brain to the atlas: size and pose of everybody, up to a small rest."""
    scale = ATLAS_SCALE * np.exp(ATLAS_SPREAD * rng.standard_normal(3))
    turn, shift = rng.normal(0.0, POSE_DEG, 3), rng.normal(0.0, POSE_MM, 3)
    return replace(
        brain,
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        rotation_deg=(float(turn[0]), float(turn[1]), float(turn[2])),
        # the commissure lies before and above the middle, as in ``sample_brain``
        shift_mm=(float(shift[0]), float(shift[1]) - 16.0, float(shift[2]) - 3.0),
    )


def scan(
    person: OasisPerson,
    anatomy: BrainAnatomy,
    rng: np.random.Generator,
    *,
    averages: int,
    bias: float,
) -> FloatArray:
    r"""Take a T1 image, or the mean of several: noise falls as :math:`\sigma/\sqrt n`.

    The mean of n magnitudes is drawn as one magnitude of that noise, which holds where the signal
    is well above it (all tissue here).

    Args:
        person: whom.
        anatomy: the person's brain on a grid.
        rng: source of shading and noise.
        averages: n.
        bias: shading.

    Returns:
        float32 magnitude, exactly 0 outside the stripped brain.
    """
    settings = replace(PROTOCOL, noise=person.noise / float(np.sqrt(averages)), bias=bias)
    return scan_mr(
        anatomy, person.tissues, settings, rng, gain=person.gain, noise_outside=False
    ).signal
