"""Cases → images with their boxes, whatever format the boxes came in: the one way to detection.

A set whose manifest has ``boxes`` (:class:`~medkd_lib.data.manifest_boxes.BoxFiles`) is listed
image by image: each DICOM slice of a series, each picture of a COCO file, each key slice of
DeepLesion; so is a set with a VOC file per case (:mod:`~medkd_lib.data.boxed_cases`). An image
without a box is listed if somebody looked at it and drew nothing; one of which no annotation
speaks, or all of whose boxes had to be dropped, is left out and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medkd_lib.data.boxes import Floats
from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_boxes import BoxFiles
from medkd_lib.data.problems import DataError, Problem

SPLITS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
"""Names of folders → our names of the parts."""


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """One image and what was marked on it.

    Attributes:
        id: name of the image within the dataset.
        case, patient, dataset: where it belongs; splits keep patients together.
        split: train, val or test if the release says so.
        path: the picture, or the folder of the series.
        place: position of the slice in a series, None for a picture.
        size: width and height in pixels.
        boxes: ``(N, 4)`` pixel edges (:mod:`medkd_lib.data.boxes`), rows counted as stored.
        labels: label id of each.
        window_hu: what the annotator was shown, if the release says so.
        offset: added to stored values to make HU, if the release says so.
    """

    id: str
    case: str
    patient: str
    dataset: str
    split: str | None
    path: Path
    place: int | None
    size: tuple[int, int]
    boxes: Floats
    labels: tuple[int, ...]
    window_hu: tuple[float, float] | None = None
    offset: int | None = None


@dataclass
class Found:
    """What a reader of one format gathers: images, and all that was wrong."""

    images: list[BoxedImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, image: BoxedImage, problems: Sequence[Problem]) -> None:
        """List an image, unless all of its boxes were dropped: it is marked, nobody knows where."""
        self.problems += problems
        if len(image.boxes) or not any(p.severity == "warning" for p in problems):
            self.images.append(image)


def label_ids(
    manifest: Manifest, boxes: BoxFiles | None, names: Sequence[str], where: Path | str
) -> tuple[int, ...]:
    """Return the label ids of classes as the files name them.

    Args:
        manifest: whose labels.
        boxes: may name the classes otherwise; None: they are the names of the labels.
        names: of each box.
        where: named in the messages.

    Raises:
        DataError: ``unknown_label``.
    """
    own = {v.name: v.id for v in manifest.labels.values} if manifest.labels else {}
    known = (boxes.classes if boxes else {}) or own
    if strangers := sorted(set(names) - set(known)):
        raise DataError(
            Problem(
                "unknown_label", str(where), f"one of the classes {sorted(known)}",
                f"boxes of {strangers}",
                "correct the annotation, or add the class to the manifest's `boxes`",
            )
        )  # fmt: skip
    return tuple(known[name] for name in names)


def split_of(case: Case) -> str | None:
    """Return the part that the case's folder names, in our words."""
    return SPLITS.get(case.split, case.split) if case.split else None


def unmarked(where: Path | str, what: str, found: str) -> Problem:
    """Return the problem of an image that nobody is known to have looked at."""
    return Problem(
        "unmarked", str(where), f"an annotation that speaks of this {what}", found,
        "left out: not looked at is not the same as empty", severity="warning",
    )  # fmt: skip


def box_without_image(where: Path | str, names: Sequence[str]) -> Iterator[Problem]:
    """Yield one problem for all boxes of a file or folder whose images are not there."""
    if names:
        yield Problem(
            "box_without_image", str(where), "the image of every annotation",
            f"none for {list(names[:3])} ({len(names)} in all)",
            "not used; harmless if a part was fetched on purpose", severity="warning",
        )  # fmt: skip
