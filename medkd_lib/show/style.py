"""One look for all figures: colour-blind-safe (Okabe–Ito), large enough for a lecture hall."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#6E6E6E",
}
TEACHER, STUDENT, METHOD, CONTROL = (
    OKABE_ITO["blue"],
    OKABE_ITO["orange"],
    OKABE_ITO["green"],
    OKABE_ITO["grey"],
)

# A verdict is told by its marker as well: green and red are one colour to some readers.
VERDICTS: dict[str, dict[str, Any]] = {
    "better": {"color": METHOD, "marker": "^"},
    "worse": {"color": OKABE_ITO["vermillion"], "marker": "v"},
    "undecided": {"color": OKABE_ITO["grey"], "marker": "o", "mfc": "white"},
}
VERDICT_KEY = "▲ green: better · ▼ red: worse · ○ grey: undecided"

# matplotlib types its keys as a long list of literals; any string-keyed dict would do.
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "image.cmap": "gray",
    "axes.prop_cycle": cycler(
        color=[OKABE_ITO[c] for c in ("blue", "orange", "green", "purple", "sky", "vermillion")]
    ),
}


@contextmanager
def course_style() -> Iterator[None]:
    """Draw in the course's style inside a ``with`` block, leaving the user's settings alone."""
    with mpl.rc_context(STYLE):
        yield
