"""Lesson 07, boxes: what is read of each detection set, and what a box means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Family = Literal["chest_ct"]
# One window for all sets of CT that keep Hounsfield units: lung and soft tissue both show.
WINDOW_HU = (-1000.0, 400.0)


@dataclass(frozen=True)
class BoxSet:
    """One set as a joint run sees it; whatever it marks is of one class.

    Attributes:
        dataset: id of its manifest.
        family: the sets that may be joined; their images have one size.
        why: what a box is, and is not.
        window_hu: what is shown of Hounsfield units; None: pictures, as they are.
    """

    dataset: str
    family: Family
    why: str
    window_hu: tuple[float, float] | None = None


_TABLE = (
    BoxSet(
        "lung_pet_ct_dx", "chest_ct",
        "tumours of the lung, whatever their histology; on many slices nothing is marked",
        window_hu=WINDOW_HU,
    ),
    BoxSet(
        "deeplesion", "chest_ct",
        "what a radiologist measured on one slice: other findings on it are not marked",
        window_hu=WINDOW_HU,
    ),
    BoxSet(
        "lungct_roboflow", "chest_ct",
        "nodules on pictures of unknown origin and window, divided image by image",
    ),
)  # fmt: skip
BOX_SETS: Mapping[str, BoxSet] = MappingProxyType({s.dataset: s for s in _TABLE})


def box_set(dataset: str) -> BoxSet:
    """Return how a set is read.

    Raises:
        ValueError: names those that there are.
    """
    if dataset not in BOX_SETS:
        raise ValueError(
            f"dataset: expected one of {list(BOX_SETS)}, found {dataset!r}; say in box_sets.py "
            "what is read of it"
        )
    return BOX_SETS[dataset]
