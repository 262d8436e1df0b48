"""A run's metrics as an HTML table, intervals drawn to one scale per metric."""

import math
from collections.abc import Sequence
from html import escape

from medkd_lib.course.result import Metric

WIDTH, HEIGHT = 128, 24


def metric_table(metrics: Sequence[Metric]) -> str:
    """Return the table; a column that would be empty throughout is left out."""
    if not metrics:
        return ""
    cells = [_cells(metric, metrics) for metric in metrics]
    columns = [name for name in cells[0] if any(row[name][0] for row in cells)]
    head = "".join(f'<th scope="col"{_class(cells[0][c][1])}>{escape(c)}</th>' for c in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(row[column][1])}>{row[column][0]}</td>" for column in columns)
        + "</tr>"
        for row in cells
    )
    kinds = sorted({metric.interval_kind for metric in metrics if metric.interval_kind})
    note = f'<p class="soft">Intervals: {escape("; ".join(kinds))}.</p>' if kinds else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Metrics"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def number(value: float) -> str:
    """Return a number with the digits a reader can use: three after the point below ten."""
    size = abs(value)
    if size == 0 or 0.01 <= size < 10:
        return f"{value:.3f}"
    if size < 0.01:
        return f"{value:.2e}"
    return f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def _cells(metric: Metric, all_metrics: Sequence[Metric]) -> dict[str, tuple[str, str]]:
    """Return for each column its escaped HTML and its class."""
    low_high = " to ".join(number(end) for end in metric.interval) if metric.interval else ""
    tag = f'<span class="tag {escape(metric.evidence)}">{escape(metric.evidence)}</span>'
    return {
        "Metric": (escape(metric.name), ""),
        "Arm": (escape(metric.arm), ""),
        "Data": (escape(metric.dataset), ""),
        "Value": (f"{number(metric.value)} {escape(metric.unit)}".strip(), "num"),
        "Interval": (low_high, "num"),
        "Range": (_range(metric, all_metrics), ""),
        "n": (str(metric.n) if metric.n is not None else "", "num"),
        "Seed": (str(metric.seed) if metric.seed is not None else "", "num"),
        "Evidence": (tag, ""),
    }


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _range(metric: Metric, all_metrics: Sequence[Metric]) -> str:
    """Draw value and interval on the scale shared by the metric's rows."""
    if not metric.interval:
        return ""
    rows = [m for m in all_metrics if (m.name, m.unit) == (metric.name, metric.unit)]
    ends = [end for m in rows for end in (*(m.interval or ()), m.value)]
    low, high = min(ends), max(ends)
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return ""

    def at(value: float) -> str:
        return f"{6 + (WIDTH - 12) * (value - low) / span:.1f}"

    left, middle, right = at(metric.interval[0]), at(metric.value), at(metric.interval[1])
    return (
        f'<svg class="range" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<line x1="{left}" x2="{right}" y1="12" y2="12" stroke="currentColor" stroke-width="2.5" '
        'stroke-linecap="round" opacity=".55"/>'
        f'<circle cx="{middle}" cy="12" r="4.5" fill="currentColor"/></svg>'
    )
