"""Who is in a BraTS twin: patient numbers with gaps, second visits, random streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.brats_patient import Task

TASKS: Mapping[Task, int] = MappingProxyType({"gli": 0, "men": 1, "met": 2})
"""Key of each task in the random streams: the same seed gives three unrelated sets."""

VISIT_BLOCK = 8
"""One patient of each eight glioma patients comes twice (D)."""

NUMBER_STREAM, VISIT_STREAM, PATIENT_STREAM, ISSUE_STREAM = 1, 2, 3, 4

USED_NUMBERS = 0.7
"""Share of the patient numbers in use (D)."""

FIRST_ISSUE_NUMBER = 90001
"""Cases with a known issue are numbered from here, apart from the sound ones."""


@dataclass(frozen=True)
class BratsPlan:
    """One patient of the set.

    Attributes:
        task: challenge.
        number: of the patient, unique in the task, not contiguous.
        visits: 1 or 2.
        key: spawn key of the patient's random stream.
    """

    task: Task
    number: int
    visits: int
    key: tuple[int, ...]

    def case(self, visit: int) -> str:
        """Name of the folder of a visit, as the release names it."""
        return f"BraTS-{self.task.upper()}-{self.number:05d}-{visit:03d}"


def plan_patients(task: Task, patients: int, seed: int) -> list[BratsPlan]:
    """Decide numbers and visits; more patients leave the earlier ones as they are."""

    def stream(kind: int, index: int) -> np.random.Generator:
        key = (TASKS[task], kind, index)
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))

    plans, number = [], -1
    for index in range(patients):
        number += int(stream(NUMBER_STREAM, index).geometric(USED_NUMBERS))
        block, place = divmod(index, VISIT_BLOCK)
        twice = task == "gli" and place == int(stream(VISIT_STREAM, block).integers(VISIT_BLOCK))
        key = (TASKS[task], PATIENT_STREAM, index)
        plans.append(BratsPlan(task, number, 2 if twice else 1, key))
    return plans


def plan_issue(task: Task, place: int) -> BratsPlan:
    """Patient of the known issue at that place of the list."""
    return BratsPlan(task, FIRST_ISSUE_NUMBER + place, 1, (TASKS[task], ISSUE_STREAM, place))
