"""The figure of FROC curves: how many lesions are found, at how many false alarms per image."""

from collections.abc import Mapping
from fractions import Fraction

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from medkd_lib.evaluate.froc import Froc
from medkd_lib.show.decision import LINES
from medkd_lib.show.style import course_style

MARKERS = ("o", "s", "^", "D", "v", "P")


def froc_figure(
    arms: Mapping[str, Froc], *, bands: bool = True, colours: Mapping[str, str] | None = None
) -> Figure:
    """Draw sensitivity over false positives per image, a line with its band and mean per arm.

    Between the marks nothing was measured; the lines only lead the eye.

    Args:
        arms: arm → what `medkd_lib.evaluate.froc.froc` found, all at the same rates.
        bands: draw the 95 % bands; more than two hide one another.
        colours: arm → its colour, the same in every figure of a lesson; others by their place.

    Raises:
        ValueError: no arm, too many to tell apart, or curves read at other rates.
    """
    if not 1 <= len(arms) <= len(LINES):
        raise ValueError(f"froc_figure: expected 1 to {len(LINES)} arms, found {len(arms)}")
    rates = {arm: tuple(curve.rates.tolist()) for arm, curve in arms.items()}
    if len(set(rates.values())) != 1:
        raise ValueError(f"froc_figure: expected the same rates in every arm, found {rates}")
    ticks = next(iter(rates.values()))
    with course_style():
        figure, axis = plt.subplots(figsize=(7.6, 5.0))
        for (arm, curve), (usual, dash), marker in zip(arms.items(), LINES, MARKERS, strict=False):
            colour = (colours or {}).get(arm, usual)
            if bands:
                axis.fill_between(
                    curve.rates, curve.low, curve.high, color=colour, alpha=0.18, lw=0
                )
            low, high = curve.interval
            axis.plot(
                curve.rates, curve.sensitivity, color=colour, ls=dash, lw=2.5, marker=marker, ms=8,
                label=f"{arm}: {curve.score:.2f} ({low:.2f}–{high:.2f})",
            )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(Fraction(t).limit_denominator(64)) for t in ticks])
        axis.minorticks_off()
        axis.set(
            ylim=(-0.02, 1.02), xlabel="false positives per image", ylabel="lesions found (share)"
        )
        axis.legend(
            loc="lower right", fontsize=12, title="mean over the marks, 95 % interval",
            title_fontsize=11, frameon=True, framealpha=0.85, edgecolor="none", handlelength=3,
        )  # fmt: skip
    return figure
