"""Lesson 05: patients as boxes, divided for one seed; test patients are the same for all seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from medkd_lib.course.experiments.cohort import divide
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.blocks import Blocks, joined
from medkd_lib.data.case import Case
from medkd_lib.data.split import Split

# The CT at the dose of the moment; at the test the dose is chosen.
SEEN = "seen"
FULL_SHARE = 0.5


@dataclass(frozen=True)
class ReactCohort:
    """Boxes of the parts ``train``, ``val`` and ``test``.

    Attributes:
        dataset: id.
        class_names: one for each label.
        parts: part → boxes in the middle of their room, one or more for each patient.
        room: the training boxes with the room around them, that views are cut from.
        shape: voxels of a box.
        doses: names of the CTs, full dose first.
        split: case ids of each part, with its hash.
    """

    dataset: str
    class_names: tuple[str, ...]
    parts: Mapping[str, Blocks]
    room: Blocks
    shape: tuple[int, int, int]
    doses: tuple[str, ...]
    split: Split

    def __post_init__(self) -> None:
        """Refuse a patient on two sides.

        Raises:
            LeakageError: names one.
        """
        sides = {name: set(boxes.patients) for name, boxes in self.parts.items()}
        for a, b in combinations(sides, 2):
            if shared := sorted(sides[a] & sides[b]):
                raise LeakageError(
                    f"patient {shared[0]} is in {a!r} and in {b!r}; split by patient, whoever came "
                    "twice"
                )

    def bank(self, views: int, seed: int) -> Blocks:
        """Return so many views of every training box, each at a place and a dose of its own.

        A fixed bank, and not new views at every step: teachers are frozen, so they have to be
        asked only once about each.
        """
        rng = np.random.default_rng(seed)
        room = np.subtract(self.room.regions.shape[1:], self.shape, dtype=np.int64)
        parts = []
        for view in range(views):
            first = rng.integers(0, room + 1, size=(len(self.room), 3))
            cut = self.room.cut(self.shape, first, f"seed {seed} view {view}")
            # One half at full dose, the others at any of the lower ones.
            low = rng.integers(1, len(self.doses), size=len(cut))
            dose = np.where(rng.random(len(cut)) < FULL_SHARE, 0, low)
            parts.append(_seen(cut, [self.doses[d] for d in dose]))
        return joined(parts)


def divided(
    blocks: Blocks, dataset: str, class_names: Sequence[str], shape: tuple[int, int, int],
    doses: Sequence[str], seed: int,
) -> ReactCohort:  # fmt: skip
    """Return train, val and test by patient.

    Args:
        blocks: all boxes, with room around them.
        dataset: id.
        class_names: one for each label.
        shape: voxels of a box.
        doses: names of the CTs, full dose first.
        seed: of the division; the test patients do not depend on it.
    """
    label_of = dict(zip(blocks.patients, blocks.labels.tolist(), strict=True))
    split = divide([Case(p, p, dataset, {}, label=y) for p, y in label_of.items()], seed)
    parts = {part: middle(blocks.of(ids), shape) for part, ids in split.parts.items()}
    room = blocks.of(split.parts["train"])
    return ReactCohort(dataset, tuple(class_names), parts, room, shape, tuple(doses), split)


def middle(blocks: Blocks, shape: tuple[int, int, int]) -> Blocks:
    """Return the boxes in the middle of their room."""
    room = np.array(blocks.regions.shape[1:]) - shape
    return blocks.cut(shape, np.repeat(room[None] // 2, len(blocks), axis=0), "middle")


def _seen(blocks: Blocks, doses: Sequence[str]) -> Blocks:
    """Return boxes with the CT of each row's dose as ``seen``."""
    rows: list[Tensor] = [blocks.images[dose][row] for row, dose in enumerate(doses)]
    return replace(
        blocks, images={**blocks.images, SEEN: torch.stack(rows)},
        fingerprint=f"{blocks.fingerprint}+{'.'.join(doses)}",
    )  # fmt: skip
