"""One participant of the ADNI twin: diagnosis, hospital, brain; scanned once, before any atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.adni_scanners import SITES, Scanner
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brain_patient import BrainPatient, sample_brain
from medkd_lib.phantom.dementia import Decline, sample_decline, sample_severity, with_decline
from medkd_lib.phantom.mr_scan import scan_mr
from medkd_lib.phantom.oasis_patient import MALE_SIZE
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import TissueMR, mr_table, vary

DIAGNOSES = ("CN", "MCI", "AD")
"""Healthy, mildly impaired, Alzheimer's disease; an index into this is a label id."""

OF_FOUR = (0, 1, 1, 2)
"""Diagnoses in every four participants: 200, 400 and 200 were planned for the first phase (R)."""

AGE, AGE_SPREAD, AGES = 75.0, 7.0, (55.0, 90.0)
"""Mean, spread and range, the same for every diagnosis (D): here age tells nothing."""

MALE_SHARE = 0.5

ADNI_STREAM, LABEL_STREAM, DRAWN_STREAM = 41, 42, 43


@dataclass(frozen=True)
class AdniPatient:
    """A participant before any voxel.

    Attributes:
        index: 0-based.
        diagnosis: label, an index into :data:`DIAGNOSES`.
        drawn: diagnosis that the brain is drawn for; differs only in ``none``.
        age: years, with a decimal.
        male: whether.
        site: hospital.
        brain: decline included.
        decline: what age and disease did.
        tissues: MR values at the scanner's field.
        noise: of the scanner.
        bias: its shading.
        gain: stored signal of white matter.
    """

    index: int
    diagnosis: int
    drawn: int
    age: float
    male: bool
    site: int
    brain: BrainPatient
    decline: Decline
    tissues: Mapping[str, TissueMR]
    noise: float
    bias: float
    gain: float

    @property
    def scanner(self) -> Scanner:
        """The hospital's scanner."""
        return SITES[self.site]

    @property
    def participant(self) -> str:
        """Name in the BIDS tree, ``sub-ADNI951S0001`` for instance."""
        return f"sub-ADNI{self.site:03d}S{self.index + 1:04d}"


def diagnoses_of(index: int, *, seed: int, difficulty: Difficulty) -> tuple[int, int]:
    """Return label and drawn diagnosis; in ``none`` the second knows nothing of the first.

    Labels come in shuffled blocks of four, see :data:`OF_FOUR`.
    """

    def stream(kind: int, key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(kind, key)))

    block, place = divmod(index, len(OF_FOUR))
    label = OF_FOUR[int(stream(LABEL_STREAM, block).permutation(len(OF_FOUR))[place])]
    if difficulty != "none":
        return label, label
    return label, OF_FOUR[int(stream(DRAWN_STREAM, index).integers(len(OF_FOUR)))]


def sample_patient(
    index: int, rng: np.random.Generator, *, seed: int, difficulty: Difficulty
) -> AdniPatient:
    """Draw one participant.

    Args:
        index: 0-based; with the seed it fixes the diagnosis.
        rng: source of everything else.
        seed: of the set.
        difficulty: see :data:`medkd_lib.phantom.dementia.LOOKS`.
    """
    label, drawn = diagnoses_of(index, seed=seed, difficulty=difficulty)
    age = round(float(np.clip(rng.normal(AGE, AGE_SPREAD), *AGES)), 1)
    male = bool(rng.random() < MALE_SHARE)
    sites = tuple(SITES)
    site = sites[int(rng.integers(len(sites)))]
    scanner = SITES[site]
    brain = sample_brain(rng)
    size = MALE_SIZE if male else 1.0
    scale = tuple(s * size for s in brain.scale)
    decline = sample_decline(rng, age, sample_severity(rng, drawn), difficulty)
    brain = with_decline(replace(brain, scale=(scale[0], scale[1], scale[2])), decline, rng)
    noise, bias, gain = (
        float(rng.uniform(*span)) for span in (scanner.noise, scanner.bias, scanner.gain)
    )
    tissues = MappingProxyType(vary(mr_table(scanner.field_t), rng))
    return AdniPatient(
        index, label, drawn, age, male, site, brain, decline, tissues, noise, bias, gain
    )


def scan_patient(
    patient: AdniPatient, anatomy: BrainAnatomy, rng: np.random.Generator
) -> FloatArray:
    """Take the T1 image: float32 magnitude, exactly 0 outside the stripped brain."""
    settings = replace(patient.scanner.settings, noise=patient.noise, bias=patient.bias)
    return scan_mr(
        anatomy, patient.tissues, settings, rng, gain=patient.gain, noise_outside=False
    ).signal
