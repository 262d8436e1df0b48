"""Where the films of the COVID collages come from: virtual hospitals named after real upstreams.

Which real set took whose films is documented (:mod:`medkd_lib.phantom.film_parts`). How the films
of a source *look* is not: every number below is ours (D), so that the sources differ as rooms,
machines, printers and converters make them differ, and not in who is ill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from medkd_lib.phantom.xray_settings import HOSPITALS, XRaySettings

Span = tuple[float, float]


@dataclass(frozen=True)
class FilmSource:
    """One upstream collection. Domain shift is another row of these numbers.

    Attributes:
        name: as ``truth.csv`` has it.
        child: whether its patients are children.
        kev: mean energy of the beam (60 for a low, 70 for a high tube voltage).
        room: detector, scatter, field and display; pixels and marker are set elsewhere.
        letters: text burnt into the film, and on which side of the *film* it stands.
        letter: height of the text, share of the film's edge.
        shutter: width of the black borders left by collimation, share of the edge, (low, high).
        cut: share of the height lost before the film was squeezed into a square, (low, high).
        detail: edge of a smaller copy that the film went through, share of its own, (low, high).
        quality: JPEG quality of each time that it was saved, (low, high).
        saved: how often.
    """

    name: str
    child: bool
    kev: float
    room: XRaySettings
    letters: tuple[tuple[str, str], ...]
    letter: float
    shutter: Span
    cut: Span
    detail: Span
    quality: Span
    saved: int


GRID, BEDSIDE = HOSPITALS["hospital_a"], HOSPITALS["hospital_b"]

SOURCES: Mapping[str, FilmSource] = MappingProxyType(
    {
        s.name: s
        for s in (
            FilmSource("rsna", False, 70.0, replace(GRID, contrast=0.80, brightness=-0.10),
                       (("L", "right"),), 0.055, (0.0, 0.01), (0.0, 0.0), (1.0, 1.0),
                       (88.0, 94.0), 1),
            FilmSource("kermany", True, 60.0, replace(GRID, contrast=0.66, field_mm=330.0),
                       (("R", "left"),), 0.075, (0.0, 0.0), (0.10, 0.22), (1.0, 1.0),
                       (75.0, 85.0), 1),
            FilmSource("bimcv", False, 65.0, replace(GRID, detail=0.9, brightness=0.10),
                       (("D", "left"),), 0.045, (0.02, 0.05), (0.0, 0.06), (1.0, 1.0),
                       (90.0, 96.0), 1),
            FilmSource("german", False, 70.0, replace(BEDSIDE, field_mm=380.0, brightness=0.25),
                       (("A P", "left"),), 0.04, (0.04, 0.09), (0.0, 0.04), (0.8, 1.0),
                       (80.0, 90.0), 1),
            FilmSource("web", False, 65.0, replace(BEDSIDE, contrast=0.58, brightness=0.15),
                       (("R", "left"), ("A", "right")), 0.06, (0.0, 0.03), (0.05, 0.18),
                       (0.45, 0.7), (45.0, 70.0), 3),
            FilmSource("github", False, 65.0, replace(GRID, contrast=0.62, brightness=0.20),
                       (("R", "left"),), 0.05, (0.0, 0.02), (0.0, 0.12), (0.6, 0.85),
                       (60.0, 80.0), 2),
            FilmSource("cohen", False, 65.0, replace(GRID, contrast=0.60, brightness=0.12),
                       (("A", "right"),), 0.05, (0.0, 0.03), (0.0, 0.15), (0.5, 0.8),
                       (55.0, 75.0), 2),
            FilmSource("stonybrook", False, 65.0, replace(BEDSIDE, detail=0.5),
                       (("A P", "right"),), 0.045, (0.03, 0.06), (0.0, 0.03), (1.0, 1.0),
                       (85.0, 92.0), 1),
            FilmSource("ricord", False, 70.0, replace(BEDSIDE, photons=3e4, contrast=0.72),
                       (("L", "right"),), 0.05, (0.01, 0.04), (0.0, 0.05), (1.0, 1.0),
                       (90.0, 95.0), 1),
        )
    }
)  # fmt: skip

SOURCE_NUMBER: Mapping[str, int] = MappingProxyType({name: n for n, name in enumerate(SOURCES)})
"""Part of the key of a source's people; a new source goes to the end."""
