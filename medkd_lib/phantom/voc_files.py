"""Boxes as Pascal VOC files, the way annotators of single slices save them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from medkd_lib.phantom.nodule_boxes import Box


def write_voc(path: Path, image: str, size: tuple[int, int], found: Sequence[tuple[str, Box]]) \
        -> None:  # fmt: skip
    """Write one annotation; VOC counts corner pixels from 1, both inside.

    Args:
        path: file to write.
        image: name of the picture.
        size: its width and height in pixels.
        found: class and box (pixel edges, whole numbers) of each object.
    """
    root = Element("annotation")
    SubElement(root, "filename").text = image
    stated = SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*size, 1), strict=True):
        SubElement(stated, name).text = str(value)
    for label, (x1, y1, x2, y2) in found:
        entry = SubElement(root, "object")
        SubElement(entry, "name").text = label
        SubElement(entry, "difficult").text = "0"
        corners = SubElement(entry, "bndbox")
        edges = (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2))
        for name, edge in edges:
            SubElement(corners, name).text = f"{edge:.0f}"
    indent(root)
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        ElementTree(root).write(handle, encoding="unicode")
        handle.write("\n")
