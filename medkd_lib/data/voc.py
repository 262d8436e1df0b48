"""Pascal VOC annotation files: boxes of one picture, with what is wrong with them.

Rules, each reported as a problem: a box whose corners meet or are swapped is a slip of the mouse
and is dropped (read to the letter, equal corners would be one pixel: no annotator draws that); a
box that leaves the image is cut to it; a box wholly outside is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from medkd_lib.data.boxes import Floats, areas, clip_boxes, from_voc
from medkd_lib.data.picture import load
from medkd_lib.data.problems import Problem, bad


@dataclass(frozen=True)
class Annotation:
    """The boxes of one picture.

    Attributes:
        image: file name of the picture, as the annotation states it.
        width, height: of the picture, in pixels.
        boxes: ``(N, 4)``, pixel edges ``x1, y1, x2, y2`` (see :mod:`medkd_lib.data.boxes`).
        names: the class of each box.
        difficult: whether the annotator marked it as hard to recognise.
        problems: boxes that were dropped or cut.
    """

    image: str
    width: int
    height: int
    boxes: Floats
    names: tuple[str, ...]
    difficult: tuple[bool, ...]
    problems: tuple[Problem, ...]


def read_voc(path: Path, *, image: Path | None = None) -> Annotation:
    """Read one VOC file.

    Args:
        path: the XML file.
        image: its picture; if given, its size must be the stated one.

    Raises:
        DataError: kinds ``missing_file``, ``unsafe_xml`` (entities, DTD), ``damaged``,
            ``missing_field``, ``size_mismatch``, and those of the picture. Problems of single
            boxes (``degenerate_box``, ``outside_box``, ``clipped_box``) stand in the result.
    """
    root = _root(path)
    size = root.find("size")
    width, height = (int(_number(path, size, name)) for name in ("width", "height"))
    if image is not None and (found := load(image).size) != (width, height):
        raise bad(
            "size_mismatch", path, expected=f"{width} × {height} pixels, as the annotation states",
            found=f"{found[0]} × {found[1]} in {image}",
            next_step="the picture was resized or belongs to another annotation; take the original",
        )  # fmt: skip
    corners, names, difficult = [], [], []
    for entry in root.iter("object"):
        names.append(_text(path, entry, "name"))
        difficult.append((entry.findtext("difficult") or "0").strip() == "1")
        edges = entry.find("bndbox")
        corners.append([_number(path, edges, n) for n in ("xmin", "ymin", "xmax", "ymax")])
    stated = np.array(corners, dtype=np.float64).reshape(-1, 4)
    boxes = clip_boxes(from_voc(stated), width=width, height=height)
    problems = [
        problem
        for row, box, name in zip(stated, boxes, names, strict=True)
        if (problem := _judge(path, row, box, name, (width, height)))
    ]
    keep = (stated[:, 0] < stated[:, 2]) & (stated[:, 1] < stated[:, 3]) & (areas(boxes) > 0)
    return Annotation(
        (root.findtext("filename") or "").strip(), width, height, boxes[keep],
        tuple(n for n, k in zip(names, keep, strict=True) if k),
        tuple(d for d, k in zip(difficult, keep, strict=True) if k),
        tuple(problems),
    )  # fmt: skip


def _judge(
    path: Path, row: Floats, box: Floats, name: str, size: tuple[int, int]
) -> Problem | None:
    text = f"{name} {', '.join(f'{v:g}' for v in row)}"
    if row[0] >= row[2] or row[1] >= row[3]:
        return Problem(
            "degenerate_box", str(path), "xmin < xmax and ymin < ymax", text,
            "dropped; correct the annotation if the object matters", severity="warning",
        )  # fmt: skip
    if not areas(box[None])[0]:
        return Problem(
            "outside_box", str(path), f"a box inside {size[0]} × {size[1]}", text,
            "dropped; does the annotation belong to this picture?", severity="warning",
        )  # fmt: skip
    if not np.array_equal(from_voc(row[None])[0], box):
        return Problem(
            "clipped_box", str(path), f"a box inside {size[0]} × {size[1]}, counted from 1", text,
            "cut to the image", severity="repaired",
        )  # fmt: skip
    return None


def _root(path: Path) -> Any:
    try:
        return parse(path, forbid_dtd=True).getroot()
    except FileNotFoundError as error:
        raise bad(
            "missing_file", path, expected="a VOC annotation", found="no such file",
            next_step="check data_root and the manifest's layout",
        ) from error  # fmt: skip
    except DefusedXmlException as error:
        raise bad(
            "unsafe_xml", path, expected="plain XML without entities or a DTD", found=str(error),
            next_step="do not trust this file: such tricks fill memory or read other files",
        ) from error  # fmt: skip
    except (ParseError, ValueError, LookupError) as error:
        raise bad(
            "damaged", path, expected="well-formed XML", found=str(error),
            next_step="fetch the file again",
        ) from error  # fmt: skip


def _text(path: Path, parent: Any, name: str) -> str:
    found = (parent.findtext(name) or "").strip() if parent is not None else ""
    if not found:
        raise bad(
            "missing_field", path, expected=f"<{name}>", found="none, or an empty one",
            next_step="is this a Pascal VOC file? The picture's size and each box need all fields",
        )  # fmt: skip
    return str(found)


def _number(path: Path, parent: Any, name: str) -> float:
    text = _text(path, parent, name)
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or (name in ("width", "height") and value < 1):
        raise bad(
            "missing_field", path, expected=f"a number in <{name}>", found=repr(text),
            next_step="correct the annotation",
        )  # fmt: skip
    return value
