"""Who is in the twin of ``cxr3``: label, split, number of films and file names per patient.

Everything here follows from (seed, patient index) alone, so adding patients at the end changes
no earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from medkd_lib.phantom.opacities import Diagnosis, Difficulty

CLASSES: tuple[Diagnosis, ...] = get_args(Diagnosis)
Split = Literal["train", "test"]

SECOND_FILM_SHARE = 132 / 948
"""Patients with two films; measured on the real subset: 132 of 948 (and none with three)."""

SECOND_FILM_STREAM, DIAGNOSIS_STREAM, LABEL_STREAM = 1, 2, 3


@dataclass(frozen=True)
class PatientPlan:
    """One patient of the set.

    Attributes:
        index: 0-based.
        number: the number in the file name, unique in the set (index + 1).
        label: the class the files are filed under.
        diagnosis: the class the anatomy is drawn for; differs from ``label`` only in ``none``.
        split: side of the split, the same for all films.
        films: number of films.
    """

    index: int
    number: int
    label: Diagnosis
    diagnosis: Diagnosis
    split: Split
    films: int

    def file(self, film: int) -> str:
        """Path inside the set, named as the real release names it.

        Patterns: ``IM-NNNN-0001.jpeg``, ``personNNN_bacteria_MMM.jpeg`` and
        ``personNNN_virus_MMM.jpeg``; MMM counts films (here twice the number, plus the film).
        """
        if self.label == "normal":
            name = f"IM-{self.number:04d}-{film + 1:04d}.jpeg"
        else:
            word = {"bacterial": "bacteria", "viral": "virus"}[self.label]
            name = f"person{self.number}_{word}_{2 * self.number + film}.jpeg"
        return f"{self.split}/{self.label}/{name}"


def plan_patient(
    index: int, *, seed: int, difficulty: Difficulty, test_fraction: float
) -> PatientPlan:
    r"""Decide label, split and films of one patient.

    Patients come in *blocks of three, one per class* in shuffled order. A block shares its split
    and its number of films, so classes stay balanced in images as well as in patients (exactly,
    when the number of patients is a multiple of three). Block b is a test block where
    :math:`\lfloor (b + 1) t \rfloor > \lfloor b\,t \rfloor` (t the test fraction).

    In ``none`` the diagnosis is drawn from a stream of its own, uniformly and apart from the
    label: films look as in ``subtle``, labels are balanced, and nothing links the two.

    Args:
        index: 0-based patient.
        seed: seed of the set.
        difficulty: of the set.
        test_fraction: share of the blocks in the test split.
    """
    block, place = divmod(index, len(CLASSES))

    def stream(kind: int, key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, kind)))

    label = CLASSES[int(stream(LABEL_STREAM, block).permutation(len(CLASSES))[place])]
    diagnosis = label
    if difficulty == "none":
        diagnosis = CLASSES[int(stream(DIAGNOSIS_STREAM, index).integers(len(CLASSES)))]
    # ⌊(b+1)t⌋ > ⌊bt⌋; the small term keeps 1/6 · 6 from falling just below 1
    before, after = (int(np.floor(b * test_fraction + 1e-9)) for b in (block, block + 1))
    split: Split = "test" if after > before else "train"
    films = 1 + int(stream(SECOND_FILM_STREAM, block).random() < SECOND_FILM_SHARE)
    return PatientPlan(index, index + 1, label, diagnosis, split, films)
