"""Problems of one case of pictures: files, masks against label space and image, boxes likewise."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.picture import read_index_mask, read_picture
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.read_case import grid_groups
from medkd_lib.data.voc import read_voc

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}

Size = tuple[int, int]
"""Height and width in pixels."""


def shows_pictures(case: Case) -> bool:
    """Whether the case's images are two-dimensional picture files."""
    return any(is_picture(path) for path in case.images.values())


def is_picture(path: Path) -> bool:
    """Whether the name is a picture's."""
    return path.suffix.lower() in PICTURES


def picture_problems(case: Case, manifest: Manifest) -> Iterator[Problem]:
    """Yield every problem of a case: one broken file does not hide another."""
    closed = manifest.layout.unread if manifest.layout else {}  # told once, by `check`
    sizes: dict[str, Size] = {}
    for role, path in case.files.items():
        if role in closed:
            continue
        try:
            if not is_picture(path):
                if path.suffix.lower() == ".xml":
                    yield from _box_problems(path, case, manifest)
            elif role in case.images:
                height, width = read_picture(path, mode="rgb").shape[:2]
                sizes[role] = (height, width)
            else:
                sizes[role] = yield from _mask_problems(path, manifest)
        except DataError as error:
            yield error.problem
    yield from _size_problems(sizes, case, manifest)


def _mask_problems(path: Path, manifest: Manifest) -> Generator[Problem, None, Size]:
    """Yield what a mask of label ids holds that the manifest does not know; return its size."""
    mask = read_index_mask(path)
    labels = manifest.labels
    # Beside classes of whole cases, a mask's label space is not stated anywhere.
    if labels is not None and labels.kind == "mask":
        values, counts = np.unique(mask, return_counts=True)
        known = labels.stored_ids | {0}
        foreign = {
            int(v): int(n) for v, n in zip(values, counts, strict=True) if int(v) not in known
        }
        if foreign:
            yield Problem(
                "unknown_label", str(path), f"one of {sorted(known)}",
                f"value: pixels = {foreign}", "add the label to the manifest, or a remap or "
                "relabel if the documentation states one",
            )  # fmt: skip
    height, width = mask.shape
    return height, width


def _box_problems(path: Path, case: Case, manifest: Manifest) -> Iterator[Problem]:
    """Yield what is wrong with the boxes of the case's picture, and classes nobody defined."""
    pictures = [image for image in case.images.values() if is_picture(image)]
    # With several pictures, the file does not tell which one it describes.
    try:
        found = read_voc(path, image=pictures[0] if len(pictures) == 1 else None)
    except DataError as error:
        if error.problem.kind != "size_mismatch":
            raise
        yield error.problem
        found = read_voc(path)
    yield from found.problems
    labels = manifest.labels
    if labels is not None and labels.kind == "boxes":
        for name in sorted(set(found.names) - set(labels.names)):
            yield Problem(
                "unknown_label", str(path), f"one of {labels.names}", f"a box of class {name!r}",
                "correct the annotation, or add the class to the manifest",
            )  # fmt: skip


def _size_problems(sizes: dict[str, Size], case: Case, manifest: Manifest) -> Iterator[Problem]:
    """Yield pictures that share a grid by the manifest and differ in size."""
    for group in grid_groups(manifest, list(sizes)):
        first = group[0]
        for role in group[1:]:
            if sizes[role] != sizes[first]:
                (height, width), (rows, columns) = sizes[first], sizes[role]
                yield Problem(
                    "size_mismatch", str(case.files[role]),
                    f"{width} × {height} pixels, as {case.files[first]}", f"{columns} × {rows}",
                    "one of them was resized: take the original, or state `grids` in the manifest",
                )  # fmt: skip
