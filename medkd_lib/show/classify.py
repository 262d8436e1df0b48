"""Figures about classifiers: films, softened probabilities, reliability, recorded arms."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from medkd_lib.evaluate.classify import Predictions, expected_calibration_error, reliability
from medkd_lib.evaluate.intervals import t_interval
from medkd_lib.show.style import (
    METHOD,
    OKABE_ITO,
    STUDENT,
    TEACHER,
    VERDICT_KEY,
    VERDICTS,
    course_style,
)


def montage(images: Tensor, titles: Sequence[str], columns: int = 6) -> Figure:
    """Draw images ``(N, C, H, W)`` uint8 in rows, each under its title."""
    rows = -(-len(images) // columns)
    with course_style():
        figure, axes = plt.subplots(rows, columns, figsize=(1.8 * columns, 2.05 * rows))
        for ax in np.ravel(axes):
            ax.axis("off")
        for ax, image, title in zip(np.ravel(axes), images, titles, strict=False):
            pixels = image.permute(1, 2, 0).numpy()
            ax.imshow(pixels if pixels.shape[2] == 3 else pixels[:, :, 0], vmin=0, vmax=255)
            ax.set_title(title, fontsize=11, loc="center")
    return figure


def softened(
    logits: Mapping[str, np.ndarray], class_names: Sequence[str], temperatures: Sequence[float]
) -> Figure:
    """Draw, for each named logit vector, its softmax at several temperatures as bars."""
    with course_style():
        figure, axes = plt.subplots(1, len(logits), figsize=(5.2 * len(logits), 3.4), sharey=True)
        for ax, (name, z) in zip(np.ravel(axes), logits.items(), strict=True):
            width = 0.8 / len(temperatures)
            for k, temperature in enumerate(temperatures):
                p = np.exp((z - z.max()) / temperature)
                place = np.arange(len(z)) + (k - (len(temperatures) - 1) / 2) * width
                ax.bar(place, p / p.sum(), width, label=f"T = {temperature:g}")
            ax.set_xticks(range(len(z)), class_names)
            ax.set_title(name)
            ax.set_ylim(0, 1)
        np.ravel(axes)[0].set_ylabel("probability")
        np.ravel(axes)[-1].legend()
    return figure


def loss_curves(
    histories: Mapping[str, Mapping[str, Sequence[float]]], steps: Mapping[str, Sequence[int]]
) -> Figure:
    """Draw every named loss of every training over its steps, one panel per loss name."""
    names = sorted({loss for h in histories.values() for loss in h})
    with course_style():
        figure, axes = plt.subplots(1, len(names), figsize=(5.2 * len(names), 3.4), squeeze=False)
        for ax, loss in zip(axes[0], names, strict=True):
            for label, history in histories.items():
                if loss in history:
                    ax.plot(steps[label], history[loss], label=label)
            ax.set(title=loss.replace("_", " "), xlabel="step", ylabel="loss")
            ax.legend()
    return figure


def reliability_diagram(predictions: Mapping[str, Predictions], bins: int = 8) -> Figure:
    """Draw accuracy against confidence, one panel per arm; dot area shows the cases in a bin."""
    with course_style():
        figure, axes = plt.subplots(
            1, len(predictions), figsize=(3.7 * len(predictions), 3.9), sharey=True, squeeze=False
        )
        for ax, (name, p) in zip(axes[0], predictions.items(), strict=True):
            r = reliability(p, bins)
            ax.plot([0, 1], [0, 1], "--", color=OKABE_ITO["grey"], lw=1)
            ax.scatter(
                r.confidence,
                r.accuracy,
                s=900 * r.count / len(p.labels) + 12,
                color=OKABE_ITO["blue"],
                zorder=3,
                clip_on=False,
            )
            # Over the dots: a bin of all cases would hide its own distance from the line.
            ax.vlines(
                r.confidence,
                r.accuracy,
                r.confidence,
                color=OKABE_ITO["vermillion"],
                lw=3,
                zorder=4,
            )
            ece = expected_calibration_error(p)
            ax.set(
                title=f"{name}\nECE {ece:.3f}",
                xlabel="confidence",
                xlim=(0.25, 1.05),
                ylim=(0, 1.05),
            )
        axes[0][0].set_ylabel("accuracy")
    return figure


def recorded_arms(
    runs: pd.DataFrame,
    arms: Mapping[str, str],
    measure: str,
    *,
    mine: Mapping[str, float] | None = None,
    chance: float | None = None,
    title: str = "",
    colours: Mapping[str, str] | None = None,
    label: str = "",
) -> Figure:
    """Draw recorded runs per arm (dots, mean and 95 % t-interval) and the reader's own run.

    Args:
        runs: rows of ``runs.csv`` of one setting.
        arms: arm id → label, in drawing order.
        measure: column to draw.
        mine: arm id → the reader's value, drawn as a star.
        chance: a dotted line; where it would squeeze the dots, an arrow at the edge instead.
        title: of the figure.
        colours: arm id → colour; by default teachers, distilled students and others differ.
        label: of the axis; by default the column's name.
    """
    with course_style():
        figure, ax = plt.subplots(figsize=(8.6, 0.42 * len(arms) + 1.5))
        for row, arm in enumerate(arms):
            colour = (colours or {}).get(arm, _colour(arm))
            values = runs[runs.arm == arm][measure].tolist()
            _one_arm(ax, row, values, colour, (mine or {}).get(arm))
        if chance is not None:
            _mark_chance(ax, chance, len(arms) - 0.15)
        ax.set_yticks(range(len(arms)), list(arms.values()))
        ax.set_ylim(len(arms) - 0.1, -0.8)
        ax.set(xlabel=label or measure.replace("_", " "), title=title)
    return figure


def _mark_chance(ax: Axes, chance: float, row: float) -> None:
    low, high = ax.get_xlim()
    room = (high - low) / 3
    if low - room <= chance <= high + room:
        ax.axvline(chance, ls=":", color=OKABE_ITO["grey"])
        ax.text(chance, row, " chance", va="bottom", fontsize=10)
        return
    left = chance < low
    words = f" ← chance, {chance:.2f}" if left else f"chance, {chance:.2f} → "
    ax.text(
        0 if left else 1, row, words, ha="left" if left else "right", va="bottom", fontsize=10,
        transform=ax.get_yaxis_transform(),
    )  # fmt: skip


def _colour(arm: str) -> str:
    if "_kd" in arm or "pseudo" in arm:
        return METHOD
    return TEACHER if "teacher" in arm else STUDENT


def _one_arm(ax: Axes, row: int, values: list[float], colour: str, own: float | None) -> None:
    if values:
        low, high = t_interval(values)
        ax.plot([low, high], [row, row], color=colour, lw=6, alpha=0.25, solid_capstyle="round")
        ax.plot(values, [row] * len(values), "o", ms=5, color=colour, alpha=0.8)
        ax.plot(np.mean(values), row, "|", ms=18, mew=2.5, color=colour)
    if own is not None:
        ax.plot(
            own,
            row,
            "*",
            ms=15,
            color=OKABE_ITO["vermillion"],
            mec="black",
            mew=0.7,
            label="your run",
        )


def forest(
    contrasts: pd.DataFrame,
    questions: Mapping[str, str],
    title: str = "",
    limits: tuple[float, float] | None = None,
    measure: str = "accuracy",
) -> Figure:
    """Draw declared contrasts as points with 95 % intervals around a zero line.

    Args:
        contrasts: rows of ``contrasts.csv`` of one setting.
        questions: contrast id → label, for the contrasts to draw.
        title: of the figure.
        limits: range of the axis, so that several figures can be compared.
        measure: what the difference is one of.
    """
    with course_style():
        rows = contrasts[contrasts.contrast.isin(list(questions))]
        figure, ax = plt.subplots(figsize=(8.6, 0.5 * len(rows) + 1.4))
        ax.axvline(0, color=OKABE_ITO["grey"], lw=1)
        for place, line in enumerate(rows.itertuples()):
            mark = VERDICTS[str(line.verdict)]
            ax.plot([line.low, line.high], [place, place], color=mark["color"], lw=3)
            ax.plot(line.difference, place, ms=9, mew=2, **mark)
        ax.set_yticks(range(len(rows)), [questions[c] for c in rows.contrast])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        if limits:
            ax.set_xlim(*limits)
        ax.set_xlabel(
            f"difference in {measure} (arm minus rival), 95 % interval\n"
            f"{VERDICT_KEY} after Holm's correction",
            loc="right",
            fontsize=10,
        )
        ax.set_title(title)
    return figure
