"""Who lies on the table: the thighs of one virtual patient and the sarcoma in one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.thigh_build import Build, sample_build
from medkd_lib.phantom.thigh_tumour import Difficulty, Tumour, sample_tumour
from medkd_lib.phantom.tissue import hu_table


@dataclass(frozen=True)
class ThighPatient(Build):
    """A build with a tumour.

    Attributes:
        tumour: the tumour, in the leg named by ``side``.
    """

    tumour: Tumour

    def hu_values(self) -> dict[str, float]:
        """CT number per tissue name, this patient's own where known."""
        return hu_table() | self.hu | self.tumour.hu_values(self.hu["muscle"])


def sample_thigh(rng: np.random.Generator, difficulty: Difficulty) -> ThighPatient:
    """Draw one patient.

    Only the tumour's contrast on CT and its presence in the images depend on the difficulty, so
    that the same generator state gives the same patient at every difficulty.

    Args:
        rng: source of randomness.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"``.
    """
    build = sample_build(rng)
    return ThighPatient(**vars(build), tumour=sample_tumour(rng, build, difficulty))
