"""A virtual adult's brain: what is drawn once per patient, before any voxel exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.waves import Waves, random_waves, stretched


@dataclass(frozen=True)
class BrainPatient:
    """Size, age and folds of one brain. Lengths in millimetres.

    Attributes:
        scale: factors along left, posterior, superior on the frame's brain.
        rotation_deg: turns of the head about the left, posterior and superior axes.
        shift_mm: where the anterior commissure lies from the middle of the grid.
        ventricles: factor on the radius of the ventricles.
        atrophy: 0 in the young, 1 in the old: sulci widen, cortex thins.
        cortex_mm: thickness of the cortical ribbon.
        petalia: how far the right frontal and the left occipital pole stand out (share of u).
        gyri: the folds of the cerebrum; sulci run where the field is zero.
        depth: how deep the sulci reach, as a field.
        shape: three fields that bend the frame, one per axis.
        bumps: irregularity of fissures and sulci.
        lobules: the deep folds of the cerebellum, running from ear to ear.
        leaves: its fine folds.
        fibres: unevenness of the white matter.
        vessels: depth of the vessels in the sulci, and their calibre.
        hippocampus: factor on the radius of hippocampus and amygdala.
    """

    scale: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    ventricles: float
    atrophy: float
    cortex_mm: float
    petalia: float
    gyri: Waves
    depth: Waves
    shape: tuple[Waves, Waves, Waves]
    bumps: Waves
    lobules: Waves
    leaves: Waves
    fibres: Waves
    vessels: tuple[Waves, Waves]
    hippocampus: float = 1.0

    @property
    def mean_scale(self) -> float:
        """Cube root of the volume factor."""
        return float(np.prod(self.scale) ** (1.0 / 3.0))


def sample_brain(rng: np.random.Generator) -> BrainPatient:
    """Draw one adult's brain; every spread here is a design choice (D)."""
    size = 0.95 * float(np.exp(0.025 * np.clip(rng.standard_normal(), -2.0, 2.0)))
    scale = [size * float(np.exp(0.017 * rng.standard_normal())) for _ in range(3)]
    turn = [float(np.clip(2.0 * rng.standard_normal(), -5.0, 5.0)) for _ in range(3)]
    shift = rng.normal(0.0, (1.0, 1.5, 1.0))
    atrophy = float(rng.beta(1.6, 2.2))
    return BrainPatient(
        scale=(scale[0], scale[1], scale[2]),
        rotation_deg=(turn[0], turn[1], turn[2]),
        # the atlas frame: brains sit a little behind and below their commissure
        shift_mm=(float(shift[0]), float(shift[1]) - 16.0, float(shift[2]) - 3.0),
        ventricles=(0.82 + 0.42 * atrophy) * float(np.exp(0.12 * rng.standard_normal())),
        atrophy=atrophy,
        cortex_mm=float(rng.normal(3.2, 0.12)) - 0.25 * atrophy,
        petalia=float(rng.normal(0.025, 0.012)),
        gyri=random_waves(rng, 16.0, 25.0, 40),
        depth=random_waves(rng, 35.0, 70.0, 16),
        shape=(
            random_waves(rng, 60.0, 160.0, 6),
            random_waves(rng, 60.0, 160.0, 6),
            random_waves(rng, 60.0, 160.0, 6),
        ),
        bumps=random_waves(rng, 18.0, 60.0, 10),
        lobules=stretched(random_waves(rng, 10.0, 15.0, 16), 0.3),
        leaves=stretched(random_waves(rng, 6.5, 8.5, 16), 0.3),
        fibres=random_waves(rng, 10.0, 50.0, 14),
        vessels=(random_waves(rng, 25.0, 60.0, 12), random_waves(rng, 25.0, 60.0, 12)),
    )


def brain_patient(seed: int, index: int = 0) -> BrainPatient:
    """One healthy brain from a seed; brains of one seed and other indices are strangers."""
    sequence = np.random.SeedSequence(seed, spawn_key=(index,))
    return sample_brain(np.random.default_rng(sequence))
