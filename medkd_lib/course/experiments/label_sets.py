"""Lesson 07, classes: what is read of each classification set, and what its classes are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Family = Literal["chest_film", "head_mr", "real"]


@dataclass(frozen=True)
class HeadSlices:
    """Which axial slices of a stripped brain are shown.

    Attributes:
        pixel_mm: side of a pixel.
        slice_mm: from slice to slice.
        low, high: of the slices that are taken, as shares of the brain's height above its lowest
            voxel: from the hippocampi to the top of the ventricles.
    """

    pixel_mm: float = 3.0
    slice_mm: float = 6.0
    low: float = 0.35
    high: float = 0.70


@dataclass(frozen=True)
class LabelSet:
    """One set as a joint run sees it.

    Attributes:
        dataset: id of its manifest.
        families: the sets that may be joined; their images have one size.
        image: role of the image.
        names: of the classes that are asked for.
        why: these classes, and no others.
        classes: label of the manifest → class; empty: they are the same.
        healthy: the class without what the set is about.
        slices: of a volume; None: a case is one film.
    """

    dataset: str
    families: tuple[Family, ...]
    image: str
    names: tuple[str, ...]
    why: str
    classes: Mapping[int, int] = field(default_factory=dict)
    healthy: int = 0
    slices: HeadSlices | None = None


_TABLE = (
    LabelSet(
        "covidx_cxr3", ("chest_film",), "image", ("negative", "positive"),
        "as released: SARS-CoV-2 was found, or it was not",
    ),
    LabelSet(
        "covid_radiography", ("chest_film",), "image",
        ("normal", "COVID", "lung opacity", "viral pneumonia"), "as released",
    ),
    LabelSet(
        "covid_qu_ex", ("chest_film",), "image", ("normal", "COVID-19", "other infection"),
        "as released",
    ),
    LabelSet(
        "cxr3", ("chest_film", "real"), "image", ("normal", "bacterial", "viral"),
        "as released; children, where the other sets show adults",
    ),
    LabelSet(
        "oasis1", ("head_mr",), "t1", ("no dementia", "dementia"),
        "CDR 0 against above 0: of the four grades the highest has two people, who cannot train "
        "somebody and judge him",
        classes=MappingProxyType({0: 0, 1: 1, 2: 1, 3: 1}), slices=HeadSlices(),
    ),
    LabelSet(
        "adni", ("head_mr",), "t1", ("normal", "mild impairment", "Alzheimer's"),
        "as released; whoever is mildly impaired is no case of dementia there, and one in OASIS",
        slices=HeadSlices(),
    ),
    LabelSet(
        "breastmnist", ("real",), "image", ("malignant", "normal or benign"),
        "as released; ultrasound, and nothing of a chest", healthy=1,
    ),
    LabelSet(
        "retinamnist", ("real",), "image", ("0", "1", "2", "3", "4"),
        "as released; photographs of retinas, in grey here",
    ),
)  # fmt: skip
LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType({s.dataset: s for s in _TABLE})


def label_set(dataset: str) -> LabelSet:
    """Return how a set is read.

    Raises:
        ValueError: names those that there are.
    """
    if dataset not in LABEL_SETS:
        raise ValueError(
            f"dataset: expected one of {list(LABEL_SETS)}, found {dataset!r}; say in label_sets.py "
            "what is read of it"
        )
    return LABEL_SETS[dataset]
