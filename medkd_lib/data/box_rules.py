"""What becomes of boxes that no image can hold: one rule for every format with edges.

Pascal VOC counts corner pixels and has its own reading of equal corners (:mod:`.voc`); the outcome
is the same. A box of one pixel stays, whatever its number: a thousand on one image are a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.boxes import Floats, areas, clip_boxes
from medkd_lib.data.problems import Problem


def sound_boxes(
    stated: Floats, names: Sequence[str], *, size: tuple[int, int], where: Path | str
) -> tuple[Floats, NDArray[np.bool_], list[Problem]]:
    """Return boxes cut to the image, which of them to keep, and what was wrong.

    Args:
        stated: ``(N, 4)`` pixel edges, finite.
        names: class of each, for the messages.
        size: width and height of the image.
        where: named in the messages.

    Returns:
        ``(N, 4)`` boxes, ``(N,)`` keep, and problems ``degenerate_box`` and ``outside_box``
        (dropped), ``clipped_box`` (cut).
    """
    boxes = clip_boxes(stated, width=size[0], height=size[1])
    ordered = (stated[:, 0] < stated[:, 2]) & (stated[:, 1] < stated[:, 3])
    keep = ordered & (areas(boxes) > 0.0)
    problems = []
    for row, box, name, good in zip(stated, boxes, names, ordered, strict=True):
        text = f"{name} {', '.join(f'{v:g}' for v in row)}"
        if not good:
            problems.append(
                Problem(
                    "degenerate_box", str(where), "left < right and top < bottom", text,
                    "dropped; correct the annotation if the object matters", severity="warning",
                )
            )  # fmt: skip
        elif not areas(box[None])[0]:
            problems.append(
                Problem(
                    "outside_box", str(where), f"a box inside {size[0]} × {size[1]}", text,
                    "dropped; does the annotation belong to this image?", severity="warning",
                )
            )  # fmt: skip
        elif not np.array_equal(row, box):
            problems.append(
                Problem(
                    "clipped_box", str(where), f"a box inside {size[0]} × {size[1]}", text,
                    "cut to the image", severity="repaired",
                )
            )  # fmt: skip
    return boxes, np.asarray(keep), problems
