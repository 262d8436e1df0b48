"""The figure of raters who are given a network's answer, and of those who are not."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.raters import Variability
from medkd_lib.show.section import Masks, Outline, draw_section, window_around
from medkd_lib.show.style import CONTROL, METHOD, OKABE_ITO, course_style

RATERS = tuple((OKABE_ITO[c], s) for c, s in (("sky", "-"), ("yellow", "--"), ("green", "-.")))
PROPOSAL = (OKABE_ITO["purple"], "-", 5.0)


def raters_agree(
    image: Tensor,
    drawn: Mapping[str, Masks],
    proposals: Mapping[str, Masks],
    agreement: Mapping[str, Sequence[Variability]],
    *,
    margin: int = 6,
) -> Figure:
    """Draw raters' outlines of one section under each condition, and how well their volumes agree.

    A bar is the mean over cases of the raters' mean pairwise Dice, a dot a case,
    joined with itself; the interval redraws cases. The raters are made by
    `medkd_lib.evaluate.raters`: what a proposal does to them follows from settings, and says
    nothing about human ones.

    Args:
        image: ``(H, W)`` on [-1, 1].
        drawn: condition → ``(R, H, W)``, the raters' masks of this section.
        proposals: condition → ``(H, W)``, what they were given, where they were given anything.
        agreement: condition → one `Variability` per case, in one order of cases.
        margin: pixels around all outlines.

    Raises:
        ValueError: more raters than can be told apart, or conditions of different cases.
    """
    if max(len(m) for m in drawn.values()) > len(RATERS):
        raise ValueError(f"raters_agree: expected at most {len(RATERS)} raters in one picture")
    counts = {name: len(found) for name, found in agreement.items()}
    if len(set(counts.values())) != 1 or set(counts) != set(drawn):
        raise ValueError(
            f"raters_agree: expected the same cases in {list(drawn)}, found {counts} cases"
        )
    window = window_around([m for masks in drawn.values() for m in masks], margin, 1.0)
    with course_style():
        figure, axes = plt.subplots(
            1, len(drawn) + 1, figsize=(3.8 * (len(drawn) + 1), 4.6), squeeze=False
        )
        for axis, (name, masks) in zip(axes[0], drawn.items(), strict=False):
            lines = [
                Outline(m, colour, style, 2.4)
                for m, (colour, style) in zip(masks, RATERS, strict=False)
            ]
            if name in proposals:
                lines.insert(0, Outline(proposals[name], *PROPOSAL))
            draw_section(axis, image, lines)
            axis.set(xlim=window[:2], ylim=window[2:])
            axis.set_title(name, loc="center", fontsize=15)
        handles = [
            plt.Line2D([], [], color=c, ls=s, lw=3, label=f"rater {n}")
            for n, (c, s) in enumerate(RATERS, start=1)
        ]
        if proposals:
            handles.append(plt.Line2D([], [], color=PROPOSAL[0], lw=PROPOSAL[2], label="proposal"))
        figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=14)
        bars = axes[0][-1]
        dice = np.array([[v.dice for v in agreement[name]] for name in drawn])
        bars.plot(range(len(drawn)), dice, color="0.55", lw=1)
        for place, values in enumerate(dice):
            colour = (CONTROL, METHOD)[place % 2]
            bars.bar(place, values.mean(), 0.55, color=colour, alpha=0.4)
            bars.plot([place] * len(values), values, "o", color=colour, mec="black", mew=0.6, ms=7)
            if len(values) > 1:
                span = patient_bootstrap(values, [str(i) for i in range(len(values))])
                bars.plot([place - 0.2] * 2, span, color="black", lw=3)
            bars.text(place, 0.03, f"{values.mean():.2f}", ha="center", fontsize=16)
        bars.set_xticks(range(len(drawn)), list(drawn), fontsize=13)
        bars.set(ylim=(0, 1.02), xlim=(-0.5, len(drawn) - 0.5))
        bars.set_title("Dice between raters", fontsize=15)
        bars.grid(axis="x", visible=False)
    return figure
