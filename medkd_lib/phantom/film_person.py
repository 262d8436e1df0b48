"""One virtual person of the COVID collages: an adult's body or a child's, and the disease in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medkd_lib.phantom.film_disease import FilmDiagnosis, sample_infection
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.thorax_patient import ThoraxPatient, sample_thorax

CHILD_SCALE = (0.50, 0.66)
"""Length of a child's chest over an adult's (D: children of one to five years)."""


@dataclass(frozen=True)
class FilmPerson:
    """A body and its size.

    Attributes:
        body: the chest in adult millimetres.
        scale: factor on every length; 1 for adults.
        diagnosis: what the findings were drawn for.
    """

    body: ThoraxPatient
    scale: float
    diagnosis: FilmDiagnosis

    @property
    def child(self) -> bool:
        """Whether the body is a child's."""
        return self.scale < 1.0


def sample_person(
    rng: np.random.Generator, diagnosis: FilmDiagnosis, difficulty: Difficulty, *, child: bool
) -> FilmPerson:
    """Draw one person: the body first, then size, then disease.

    A child is the adult made smaller, with proportions that a child's film has (all D; the
    dossier's volumes are those of adults): a wider heart and upper mediastinum, flatter ribs, a
    chest as deep as wide, no breasts and little fat. The density of the lung is left as it is.

    Args:
        rng: source of randomness.
        diagnosis: what the person has.
        difficulty: how plain it is.
        child: a child or an adult.
    """
    body = sample_thorax(rng, "normal", difficulty)
    scale = float(rng.uniform(*CHILD_SCALE))
    if child:
        width, depth, length = body.cage_mm
        body = replace(
            body,
            male=True,
            cage_mm=(width, depth * 1.16, length * 0.94),
            heart_mm=min(body.heart_mm * 1.16, 0.62 * width),
            mediastinum_mm=body.mediastinum_mm * 1.25,
            rib_drop_mm=body.rib_drop_mm * 0.55,
            fat_mm=min(body.fat_mm, 14.0),
        )
    disease = sample_infection(rng, diagnosis, difficulty)
    body = replace(
        body,
        findings=disease.findings,
        cuffing=disease.cuffing,
        interstitial=disease.interstitial,
    )
    return FilmPerson(body, scale if child else 1.0, diagnosis)
