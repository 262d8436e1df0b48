"""Figures of how well tumours were found: patient by patient, and by kind of tumour."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.wilcoxon import per_patient
from medkd_lib.show.style import CONTROL, METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

COLOURS = (STUDENT, METHOD, TEACHER, OKABE_ITO["purple"], OKABE_ITO["sky"], CONTROL)
MEASURES = {"dice": "Dice", "surface_dice": "surface Dice", "hd95_mm": "HD95, mm"}


def scores_by_case(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw Dice, surface Dice and HD95 of every case in every arm, the same case joined.

    A box has the quartiles and the median over cases. A missed tumour, of which the answer has no
    voxel, is a cross. Where the answer is empty altogether, `medkd_lib.evaluate.segment.compare`
    gives HD95 the image's diagonal, which would flatten the rest: it is drawn above a dotted line
    over all others, and counts there in the box. Cases without tumour have no score and are left
    out.

    Args:
        tables: arm → what `medkd_lib.evaluate.segment.measure_cases` found.

    Raises:
        ValueError: arms of different cases, or no case with a tumour.
    """
    cases = {name: list(table.index) for name, table in tables.items()}
    first = next(iter(cases.values()))
    if any(c != first for c in cases.values()):
        raise ValueError(
            "scores_by_case: expected the same cases in the same order in all arms, found "
            f"{ {name: len(c) for name, c in cases.items()} } cases; a joined line would lie"
        )
    scored = {name: table[table.dice.notna()] for name, table in tables.items()}
    if not all(len(table) for table in scored.values()):
        raise ValueError("scores_by_case: expected a case with tumour, found none")
    with course_style():
        figure, axes = plt.subplots(1, 3, figsize=(max(11.0, 1.1 * 3 * len(tables) + 2), 4.8))
        for axis, (column, title) in zip(axes, MEASURES.items(), strict=True):
            _measure(axis, column, scored)
            axis.set_title(title, fontsize=16)
        figure.legend(
            handles=[plt.Line2D([], [], marker="X", ls="", ms=10, color="black", label="missed")],
            loc="outside lower center", fontsize=14,
        )  # fmt: skip
    return figure


def _measure(axis: Axes, column: str, scored: Mapping[str, pd.DataFrame]) -> None:
    missed = {name: (t.dice == 0).to_numpy() for name, t in scored.items()}
    values = pd.DataFrame({name: t[column] for name, t in scored.items()})
    lost = np.array([(t.outcome == "missed").to_numpy() for t in scored.values()]).T
    found = values.where(~lost)
    if column == "hd95_mm":
        highest = float(np.nanmax([found.max().max(), 1.0]))
        values = values.where(~lost, 1.18 * highest)
        axis.set_ylim(0, 1.28 * highest if lost.any() else 1.08 * highest)
        if lost.any():
            axis.set_yticks([t for t in axis.get_yticks() if t <= highest])
            axis.axhline(1.09 * highest, color="black", lw=1, ls=":")
            axis.text(1.0, 1.1 * highest, "no answer", ha="right", va="bottom", fontsize=12,
                      transform=axis.get_yaxis_transform())  # fmt: skip
    else:
        axis.set_ylim(-0.04, 1.04)
    axis.plot(range(len(scored)), values.to_numpy().T, color="0.55", lw=1, alpha=0.6, zorder=2)
    for place, name in enumerate(scored):
        colour, heights = COLOURS[place % len(COLOURS)], values[name].to_numpy()
        axis.boxplot(
            heights, positions=[place], widths=0.5, showfliers=False, whis=(0, 100),
            patch_artist=True, zorder=1, manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.3, "edgecolor": colour},
            medianprops={"color": "black", "lw": 2.5}, whiskerprops={"lw": 0},
            capprops={"lw": 0},
        )  # fmt: skip
        for cases, marker, size in ((~missed[name], "o", 7), (missed[name], "X", 12)):
            # An empty line that is not clipped has no extent, and the layout gives up.
            if cases.any():
                axis.plot(
                    [place] * int(cases.sum()), heights[cases], marker, color=colour, mec="black",
                    mew=0.8, ms=size, zorder=4, ls="", clip_on=False,
                )  # fmt: skip
    axis.set_xticks(range(len(scored)), list(scored), fontsize=13)
    axis.set_xlim(-0.5, len(scored) - 0.5)
    axis.grid(axis="x", visible=False)


def by_stratum(
    differences: Mapping[str, NDArray[np.floating]],
    patients: Sequence[str],
    strata: Mapping[str, tuple[Sequence[str] | NDArray[np.str_], Sequence[str]]],
    measure: str = "Dice",
) -> Figure:
    """Draw differences between arms in groups of cases, such as small tumours or near ones.

    A faint dot is a patient, the bar the 95 % interval of the mean over patients; a group of one
    patient has no interval. Groups are small and were looked at one by one: they suggest, and do
    not decide.

    Args:
        differences: contrast → ``(cases,)``, arm minus rival; NaN has no score in either.
        patients: of each case.
        strata: what divides → the group of each case (an empty name belongs to none), and the
            groups in drawing order; of `medkd_lib.evaluate.thirds.thirds` or
            `medkd_lib.evaluate.strata.terciles`.
        measure: what differs.

    Raises:
        ValueError: parts that do not fit.
    """
    for name, part in {**differences, **{s: of for s, (of, _) in strata.items()}}.items():
        if len(part) != len(patients):
            raise ValueError(f"{name}: expected {len(patients)} cases, found {len(part)}")
    rows = max(len(order) for _, order in strata.values()) * (len(differences) + 0.6)
    with course_style():
        figure, axes = plt.subplots(
            1,
            len(strata),
            figsize=(6.0 * len(strata), 0.5 * rows + 1.6),
            sharex=True,
            squeeze=False,
        )
        for axis, (title, (of, order)) in zip(axes[0], strata.items(), strict=True):
            ticks = {}
            for place, group in enumerate(order):
                members = np.asarray(of) == group
                whose = [p for p, member in zip(patients, members, strict=True) if member]
                top = place * (len(differences) + 0.6)
                for number, values in enumerate(differences.values()):
                    found = per_patient(np.asarray(values)[members], whose).dropna()
                    _interval(axis, top + number, found, COLOURS[1:][number % 5])
                ticks[top + (len(differences) - 1) / 2] = f"{group}\nn = {len(set(whose))}"
            axis.axvline(0, color="black", lw=1.5)
            axis.set_yticks(list(ticks), list(ticks.values()), fontsize=13)
            axis.set_ylim(len(order) * (len(differences) + 0.6) - 0.6, -0.8)
            axis.set_title(title, fontsize=15)
            axis.xaxis.set_major_locator(MaxNLocator(4))
            axis.set_xlabel(f"difference in {measure}", fontsize=14)
            axis.grid(axis="y", visible=False)
        figure.legend(
            handles=[
                plt.Line2D([], [], marker="o", lw=5, color=COLOURS[1:][n % 5], label=name)
                for n, name in enumerate(differences)
            ],
            loc="outside lower center", ncols=len(differences), fontsize=14,
        )  # fmt: skip
    return figure


def _interval(axis: Axes, height: float, found: pd.Series, colour: str) -> None:
    axis.plot(found, [height] * len(found), "o", color=colour, ms=6, alpha=0.35, mew=0)
    if len(found) > 1:
        span = patient_bootstrap(found.to_numpy(), list(found.index))
        axis.plot(span, [height, height], color=colour, lw=5, alpha=0.5, solid_capstyle="butt")
    if len(found):
        axis.plot(found.mean(), height, "D", color=colour, mec="black", ms=9)
