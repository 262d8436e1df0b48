"""How much of each teacher the fusers of a joint one listen to, level by level."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medkd_lib.show.style import OKABE_ITO, course_style

COLOURS = [OKABE_ITO[c] for c in ("blue", "orange", "green", "purple", "sky", "vermillion")]
HATCHES = ("", "//", "..", "xx", "\\\\", "++")


def fusion_shares(shares: Sequence[Sequence[float]], teachers: Sequence[str]) -> Figure:
    """Draw a bar per level, divided among the teachers, and a line where all were equal.

    Args:
        shares: level by level, finest first, each adding up to 1.
        teachers: names, in the order of the shares.

    Raises:
        ValueError: a level with another number of teachers.
    """
    table = np.asarray(shares, float)
    if table.ndim != 2 or table.shape[1] != len(teachers):
        raise ValueError(f"shares: expected {len(teachers)} numbers per level, found {table.shape}")
    levels = [f"level {k + 1}" for k in range(len(table) - 1)] + ["bottleneck"]
    with course_style():
        figure, axis = plt.subplots(figsize=(9, 0.6 * len(levels) + 1.6))
        left = np.zeros(len(levels))
        for name, part, colour, hatch in zip(teachers, table.T, COLOURS, HATCHES, strict=False):
            axis.barh(levels, part, left=left, color=colour, hatch=hatch, ec="white", label=name)
            for row, (start, width) in enumerate(zip(left, part, strict=True)):
                axis.text(start + width / 2, row, f"{width:.2f}", ha="center", va="center",
                          fontsize=11, bbox={"fc": "white", "ec": "none", "pad": 1.5})  # fmt: skip
            left += part
        for k in range(1, len(teachers)):
            axis.axvline(k / len(teachers), color="black", lw=1, ls=":")
        axis.set(xlim=(0, 1), xlabel="share of the fuser's weights (dotted: all alike)")
        axis.invert_yaxis()
        axis.grid(visible=False)
        figure.legend(loc="outside upper center", ncols=len(teachers), fontsize=11)
    return figure
