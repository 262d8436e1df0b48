"""The losses of a concurrent training, each part in its own panel."""

from collections.abc import Iterable, Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from medkd_lib.show.students import LINES
from medkd_lib.show.style import OKABE_ITO, course_style

COLOURS = tuple(
    OKABE_ITO[c] for c in ("orange", "green", "blue", "purple", "sky", "vermillion", "black")
)
SEGMENTATION, HINT = "_segmentation", "_hint"
# A discriminator that answers ½ to everything, see `medkd_lib.distill.gan.lsgan_discriminator`.
CANNOT_TELL = 0.5


def cmedl_curves(
    rows: Iterable[Mapping[str, float]], titles: Mapping[str, str] | None = None
) -> Figure:
    """Draw translator, discriminators, teacher, students and hints over the steps.

    None of the first two tells whether a translation is right: they are two players' scores
    against each other.

    Args:
        rows: one per logged step, as in the training's JSON-lines log: ``step`` and named losses of
            CMEDL, that is the translator's terms, ``judge_…``,
            ``teacher``, ``ARM_segmentation`` and ``ARM_hint``.
        titles: arm or term → what to call it.

    Raises:
        ValueError: no rows, or one without a step.
    """
    logged = list(rows)
    if not logged or any("step" not in row for row in logged):
        raise ValueError(
            f"cmedl_curves: expected rows with a step, found {len(logged)} rows, of which "
            f"{sum('step' not in row for row in logged)} without"
        )
    names = list(dict.fromkeys(name for row in logged for name in row if name != "step"))
    panels: dict[str, list[str]] = {}
    for name in names:
        panels.setdefault(_panel(name), []).append(name)
    arms = list(dict.fromkeys(_arm(name) for name in names if _panel(name) in (STUDENTS, HINTS)))
    shown = [title for title in (TRANSLATOR, JUDGES, TEACHER, STUDENTS, HINTS) if title in panels]
    with course_style():
        figure, axes = plt.subplots(
            2, 3, figsize=(13, 6.6), layout="constrained", sharex=True, squeeze=False
        )
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        for axis, title in zip(axes.flat, shown, strict=False):
            own = cycle(COLOURS)
            for number, name in enumerate(panels[title]):
                known = [row for row in logged if name in row]
                # An arm keeps its colour and its dashes in both panels.
                place = arms.index(_arm(name)) if title in (STUDENTS, HINTS) else number
                colour = COLOURS[place % len(COLOURS)] if title in (STUDENTS, HINTS) else next(own)
                axis.plot(
                    [row["step"] for row in known], [row[name] for row in known],
                    LINES[place % len(LINES)], color=colour, lw=2.2,
                    marker="o" if len(known) == 1 else "",  # one logged step makes no line
                    label=(titles or {}).get(_arm(name), _arm(name).replace("_", " ")),
                )  # fmt: skip
            _dress(axis, title)
        for axis in axes.flat[max(len(shown) - 3, 0) : len(shown)]:  # the lowest of each column
            axis.set_xlabel("step", fontsize=14)
            axis.tick_params(labelbottom=True)
    return figure


TRANSLATOR, JUDGES, TEACHER = "translator", "discriminators", "teacher, both kinds of images"
STUDENTS, HINTS = "students, segmentation", "students, distance to the hint"


def _panel(name: str) -> str:
    if name.endswith(SEGMENTATION):
        return STUDENTS
    if name.endswith(HINT):
        return HINTS
    if name.startswith("judge_"):
        return JUDGES
    return TEACHER if name == "teacher" else TRANSLATOR


def _arm(name: str) -> str:
    for ending in (SEGMENTATION, HINT):
        name = name.removesuffix(ending)
    return name


def _dress(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=15)
    if title == TRANSLATOR:
        axis.set_yscale("log")  # a cycle's grey values beside a discriminator's score
        for which in (axis.yaxis.set_major_locator, axis.yaxis.set_minor_locator):
            which(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        highest = max(float(np.max(line.get_ydata())) for line in axis.lines)
        axis.set_ylim(0, 1.08 * highest)
    if title == JUDGES:
        axis.axhline(CANNOT_TELL, color="black", ls=":", lw=1.2)
        axis.text(0.98, CANNOT_TELL, "cannot tell", ha="right", va="bottom", fontsize=12,
                  transform=axis.get_yaxis_transform())  # fmt: skip
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    if len(axis.lines) - (title == JUDGES) > 1:
        axis.legend(fontsize=12)
