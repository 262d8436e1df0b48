"""Who has a lung tumour: one virtual patient before any voxel, and the grid of the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.chest_mediastinum import hilum_mm
from medkd_lib.phantom.chest_place import place_tumour
from medkd_lib.phantom.chest_settings import SETTINGS, Difficulty, Size
from medkd_lib.phantom.chest_tissue import hu_values, mr_values
from medkd_lib.phantom.chest_tumour import (
    Collapse,
    LungTumour,
    draft_tumour,
    sample_collapse,
    sample_tumour,
)
from medkd_lib.phantom.thorax_patient import ThoraxPatient, sample_thorax
from medkd_lib.phantom.tissue_mr import TissueMR

SPACING_MM: Mapping[Size, tuple[float, float, float]] = {
    "small": (2.0, 2.0, 5.0),
    "full": (1.0, 1.0, 3.0),
}
FIELD_MM = (384.0, 320.0)
"""Field of view, left to right and front to back: 192 × 160 or 384 × 320 voxels."""

MARGIN_MM = 20.0
"""Height scanned above and below the tumour."""


@dataclass(frozen=True, eq=False)
class ChestPatient:
    """One patient with a lung tumour, before any voxel.

    Attributes:
        difficulty: the set's.
        body: the chest.
        fat_share: of fat in what fills the mediastinum between the organs; the rest is fine
            vessels and connective tissue.
        tumour: the tumour.
        collapse: airless lung beside it, or none.
        node_seed: of the lymph nodes.
        tissues: MR values.
    """

    difficulty: Difficulty
    body: ThoraxPatient
    fat_share: float
    tumour: LungTumour
    collapse: Collapse | None
    node_seed: int
    tissues: Mapping[str, TissueMR]

    @property
    def hu(self) -> dict[str, float]:
        """CT number per tissue."""
        return hu_values(self.body.lung_hu, self.tumour.contrast_hu)

    def grid(self, size: Size) -> Grid:
        """Slices around the tumour as it was at the first scan; z is 0 at its centre."""
        dx, dy, dz = SPACING_MM[size]
        height = 2.0 * (1.35 * self.tumour.radius_mm * self.tumour.axes[2] + MARGIN_MM)
        shape = (round(FIELD_MM[0] / dx), round(FIELD_MM[1] / dy), int(np.ceil(height / dz)))
        return Grid(shape, (dx, dy, dz))


def sample_chest(rng: np.random.Generator, difficulty: Difficulty) -> ChestPatient:
    """Draw one patient.

    The same generator state gives the same body, and a tumour of the same place and shape, at
    every difficulty; contrasts alone differ.

    Raises:
        ValueError: for an unknown difficulty.
    """
    if difficulty not in SETTINGS:
        raise ValueError(
            f"difficulty: expected one of {tuple(SETTINGS)}, found {difficulty!r}; check spelling"
        )
    setting = SETTINGS[difficulty]
    body = sample_thorax(rng, "normal", difficulty)
    draft = draft_tumour(rng, setting)
    side, centre = place_tumour(rng, body, draft)
    tumour = sample_tumour(rng, draft, side, centre, setting)
    collapse = sample_collapse(rng, tumour, hilum_mm(body, side), setting)
    tissues = mr_values(rng, tumour.t2_factor, setting.t2_contrast)
    fat_share = float(rng.uniform(0.55, 0.95))
    node_seed = int(rng.integers(2**31))
    return ChestPatient(difficulty, body, fat_share, tumour, collapse, node_seed, tissues)
