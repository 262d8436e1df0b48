"""Figures about students and their teachers: training terms, noise and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medkd_lib.show.style import METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

# Wide enough apart to be told in grey as well.
LINES = ("-", "--", "-.", ":")
MARKERS = "os^Dv<>P*X"


@dataclass(frozen=True)
class Term:
    """A named loss of a history: what its panel is called, and a value worth a dotted line.

    Attributes:
        title: of the panel.
        line: height of the dotted line, or None.
        says: what the line means.
    """

    title: str
    line: float | None = None
    says: str = ""


def training_terms(
    histories: Mapping[str, Mapping[str, Sequence[float]]],
    steps: Mapping[str, Sequence[int]],
    terms: Mapping[str, Term],
    columns: int = 4,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Draw every term of every training over its steps, one panel per term.

    Args:
        histories: training → loss name → values at the logged steps.
        steps: training → the logged steps.
        terms: loss name → its panel, in drawing order; names that no history has are left out.
        columns: panels side by side.
        colours: training → its colour, the same in every figure of a lesson; others by place.
    """
    shown = [name for name in terms if any(name in h for h in histories.values())]
    rows = -(-len(shown) // columns)
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.3 * columns, 2.8 * rows + 0.5), squeeze=False
        )
        for ax in axes.flat[len(shown) :]:
            ax.axis("off")
        drawn = {}
        for ax, name in zip(axes.flat, shown, strict=False):
            for number, (label, history) in enumerate(histories.items()):
                if name in history:
                    style = LINES[number % len(LINES)]
                    colour = (colours or {}).get(label, f"C{number}")
                    (line,) = ax.plot(steps[label], history[name], style, color=colour, lw=2)
                    drawn[label] = line
            _dotted(ax, terms[name])
            ax.set_title(terms[name].title)
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for ax in axes[-1]:
            ax.set_xlabel("step")
        figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=len(drawn))
    return figure


def _dotted(ax: Axes, term: Term) -> None:
    if term.line is None:
        return
    ax.axhline(term.line, ls=":", color="black", lw=1.2)
    # A little room above, so that the words stand clear of line and frame.
    low, high = ax.get_ylim()
    ax.set_ylim(low, max(high, term.line + 0.18 * (high - low)))
    ax.text(0.98, term.line, term.says, va="bottom", ha="right", fontsize=10,
            transform=ax.get_yaxis_transform())  # fmt: skip


def noise_sweep(
    sigmas: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    chance: float,
    marked: float | None = None,
    unit: str = "",
) -> Figure:
    """Draw balanced accuracy against the test noise, one named line per network.

    Args:
        sigmas: standard deviations of the noise.
        curves: label → balanced accuracy at each of them.
        chance: a dotted line, drawn if a curve comes near it.
        marked: the one noise that was recorded over seeds.
        unit: of the noise.
    """
    with course_style():
        figure, ax = plt.subplots(figsize=(8.6, 4.2))
        for number, (label, values) in enumerate(curves.items()):
            ax.plot(sigmas, values, marker=MARKERS[number % len(MARKERS)], ms=7, lw=2, label=label)
        # Far below all curves the line would only squeeze them together.
        if min(min(values) for values in curves.values()) < chance + 0.15:
            ax.axhline(chance, ls=":", color="black")
            ax.text(sigmas[0], chance, "chance", va="bottom", fontsize=11)
        if marked is not None:
            ax.axvline(marked, ls="--", lw=1, color=OKABE_ITO["grey"])
            ax.text(marked, 1.0, " recorded", fontsize=11, va="top",
                    color=OKABE_ITO["grey"], transform=ax.get_xaxis_transform())  # fmt: skip
        ax.set(xlabel=f"σ of the test noise{f', {unit}' if unit else ''}",
               ylabel="balanced accuracy")  # fmt: skip
        figure.legend(loc="outside right center")
    return figure


@dataclass(frozen=True)
class Priced:
    """One network: what an image costs, and how often its answer is right.

    Attributes:
        label: name.
        macs: multiply-accumulate operations for an image.
        parameters: weights.
        value: primary measure.
        interval: of the value.
        teacher: draws it in the teacher's colour.
    """

    label: str
    macs: int
    parameters: int
    value: float
    interval: tuple[float, float]
    teacher: bool = False


def accuracy_against_cost(networks: Sequence[Priced], measure: str) -> Figure:
    """Draw each network's measure with its interval, one panel for each price of an image.

    Networks of one price would stand on one spot of a cost axis and hide each other. They share a
    panel instead: its label tells the price, and places inside it mean nothing. Panels stand from
    cheap to dear and share the height. Intervals are drawn within [0, 1], which a bootstrap of
    weighted cases may leave and a share cannot.

    Args:
        networks: in drawing order; the first one of a price is the student without a teacher.
        measure: what the value is, a share.
    """
    prices = sorted({(network.macs, network.parameters) for network in networks})
    panels = [[n for n in networks if (n.macs, n.parameters) == price] for price in prices]
    widths = [max(2.0, 1.25 * len(panel)) for panel in panels]
    with course_style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(sum(widths) + 1.4, 4.8), sharey=True, squeeze=False,
            width_ratios=widths,
        )  # fmt: skip
        for ax, panel in zip(axes[0], panels, strict=True):
            for place, network in enumerate(panel):
                _one_network(ax, place, network, number=networks.index(network))
            names = [fill(network.label, 11, break_long_words=False) for network in panel]
            ax.set_xticks(range(len(panel)), names, fontsize=11)
            ax.set_xlim(-0.7, len(panel) - 0.3)
            ax.grid(False, axis="x")
            ax.set_xlabel(_price(panel[0], prices[0][0]), fontsize=11)
        axes[0][0].set_ylabel(f"{measure}, 95 % interval")
        figure.align_xlabels()
    return figure


def _one_network(ax: Axes, place: int, network: Priced, number: int) -> None:
    colour = TEACHER if network.teacher else (STUDENT, METHOD)[place > 0]
    low, high = (min(max(end, 0.0), 1.0) for end in network.interval)
    ax.plot([place, place], [low, high], color=colour, lw=6, alpha=0.3, solid_capstyle="butt")
    marker = MARKERS[number % len(MARKERS)]
    ax.plot(place, network.value, marker, ms=10, color=colour, mec="black")


def _price(network: Priced, cheapest: int) -> str:
    times = f" (× {network.macs / cheapest:.0f})" if network.macs > cheapest else ""
    return (
        f"{network.macs / 1e6:,.2f} million{times}\nmultiply-accumulates\n"
        f"{network.parameters:,} weights"
    )
