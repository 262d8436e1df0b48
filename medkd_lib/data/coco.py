"""COCO detection files: the boxes of the pictures of one folder."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medkd_lib.data.box_rules import sound_boxes
from medkd_lib.data.boxes import from_coco
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.voc import Annotation


def read_coco(path: Path) -> tuple[dict[str, Annotation], list[Problem]]:
    """Return the annotation of each picture by its file name, those without a box included.

    ``iscrowd`` becomes ``difficult``. Outlines (``segmentation``) are not read.

    Args:
        path: the JSON file.

    Raises:
        DataError: ``missing_file``, ``damaged``, ``missing_field``, ``duplicate_key`` (a picture
            or a number stands twice). Boxes whose picture is not listed are a problem
            ``box_without_image``; those of single boxes stand in their annotation
            (:func:`~medkd_lib.data.box_rules.sound_boxes`).
    """
    whole = _contents(path)
    names = {
        _whole(path, c, "id", "category"): str(c.get("name", "")) for c in _list(path, whole,
                                                                               "categories")
    }  # fmt: skip
    images: dict[int, tuple[str, int, int]] = {}
    for entry in _list(path, whole, "images"):
        number = _whole(path, entry, "id", "image")
        name = str(entry.get("file_name") or "")
        size = [_whole(path, entry, side, f"image {name}") for side in ("width", "height")]
        if not name or min(size) < 1:
            raise _missing(path, "file_name, width and height of 1 or more", f"{entry}"[:120])
        if number in images or name in {known for known, _, _ in images.values()}:
            raise bad(
                "duplicate_key", path, expected="every picture once", found=f"{name}, id {number},"
                " a second time", next_step="export the set again, or remove one of the two",
            )  # fmt: skip
        images[number] = (name, size[0], size[1])
    found: dict[int, list[tuple[list[float], str, bool]]] = defaultdict(list)
    for entry in _list(path, whole, "annotations"):
        number = _whole(path, entry, "image_id", "annotation")
        category = _whole(path, entry, "category_id", "annotation")
        if category not in names:
            raise _missing(path, f"a category among {sorted(names)}", f"category_id {category}")
        crowd = bool(entry.get("iscrowd", 0))
        found[number].append((_edges(path, entry), names[category], crowd))
    strangers = sorted(set(found) - set(images))
    problems = [
        Problem(
            "box_without_image", str(path), "boxes of pictures that are listed",
            f"{sum(len(found[n]) for n in strangers)} boxes of the image ids {strangers[:4]}",
            "not used; export the set again", severity="warning",
        )
    ] if strangers else []  # fmt: skip
    annotations = {
        name: _annotation(path, name, (width, height), found.get(number, []))
        for number, (name, width, height) in images.items()
    }
    return annotations, problems


def _annotation(
    path: Path, name: str, size: tuple[int, int], rows: list[tuple[list[float], str, bool]]
) -> Annotation:
    stated = from_coco([edges for edges, _, _ in rows])
    names = [label for _, label, _ in rows]
    boxes, keep, problems = sound_boxes(stated, names, size=size, where=f"{path} {name}")
    kept = [row for row, good in zip(rows, keep, strict=True) if good]
    return Annotation(
        name, size[0], size[1], boxes[keep], tuple(label for _, label, _ in kept),
        tuple(crowd for _, _, crowd in kept), tuple(problems),
    )  # fmt: skip


def _contents(path: Path) -> Mapping[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise bad(
            "missing_file", path, expected="a COCO annotation file", found="no such file",
            next_step="check data_root and the manifest's boxes",
        ) from error  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise bad(
            "damaged", path, expected="JSON", found=str(error)[:120],
            next_step="fetch the file again",
        ) from error  # fmt: skip
    if not isinstance(whole, dict):
        raise _missing(path, "images, annotations and categories", type(whole).__name__)
    return whole


def _list(path: Path, whole: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = whole.get(key)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise _missing(path, f"a list {key!r} of objects", f"{type(entries).__name__}")
    return entries


def _whole(path: Path, entry: Mapping[str, Any], key: str, what: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _missing(path, f"a whole number {key!r} in {what}", repr(value))
    return value


def _edges(path: Path, entry: Mapping[str, Any]) -> list[float]:
    values = entry.get("bbox")
    numbers = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in values
    )
    if not isinstance(values, list) or not numbers or len(values) != 4:
        raise _missing(path, "four numbers in 'bbox'", f"{values!r}"[:120])
    return [float(v) for v in values]


def _missing(path: Path, expected: str, found: str) -> Exception:
    return bad(
        "missing_field", path, expected=expected, found=found,
        next_step="is this a COCO detection file? Correct it, or export it again",
    )  # fmt: skip
