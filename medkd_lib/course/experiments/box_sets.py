"""Lesson 07, boxes: what is read of each detection set, and what a box means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medkd_lib.course.experiments.joint_sets import SOFT_TISSUE
from medkd_lib.course.experiments.sts_sections import SLICE_MM

Family = Literal["chest_ct", "real"]
# One window for all sets of CT that keep Hounsfield units: lung and soft tissue both show.
WINDOW_HU = (-1000.0, 400.0)


@dataclass(frozen=True)
class BoxWindows:
    """Sections of volumes, of which a window of one size is shown; boxes are made of masks.

    Attributes:
        image: role of the volume.
        mask: role of its mask; all that is not 0 is marked.
        window_mm: side of the window.
        slice_mm: from section to section.
        least_mm2: area that a component of the mask needs in a window for a box. A window that
            shows smaller ones alone is left out: it is neither marked nor empty.
    """

    image: str
    mask: str
    window_mm: float = 96.0
    slice_mm: float = SLICE_MM
    least_mm2: float = 25.0


@dataclass(frozen=True)
class BoxSet:
    """One set as a joint run sees it; whatever it marks is of one class.

    Attributes:
        dataset: id of its manifest.
        family: the sets that may be joined; their images have one size.
        why: what a box is, and is not.
        window_hu: what is shown of Hounsfield units; None: pictures, as they are.
        windows: of a set without boxes, how they are made of its masks; None: it has boxes.
    """

    dataset: str
    family: Family
    why: str
    window_hu: tuple[float, float] | None = None
    windows: BoxWindows | None = None


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
    BoxSet(
        "sts_petctmr", "real",
        "each part of a sarcoma that a section's mask shows in its window, cut where the window "
        "ends; drawn for a volume, not for boxes",
        window_hu=SOFT_TISSUE, windows=BoxWindows("ct", "ct_mask"),
    ),
    BoxSet(
        "bccd_detection", "real",
        "blood cells under the microscope, red, white and platelets alike, in grey; some have no "
        "box. No patient is known, so every picture is its own",
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
