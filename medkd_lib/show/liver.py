"""One box of a patient as several scanners see it: CT in grey, every tracer in colour over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from medkd_lib.show.box import BoxPlane, box_slice, fullest_slice, patient_sides, pixel_aspect
from medkd_lib.show.overlay import Heat, on_grey
from medkd_lib.show.section import Outline, draw_section, legend_lines
from medkd_lib.show.style import OKABE_ITO, course_style

LIVER_WINDOW = (-15.0, 135.0)
PLANES: tuple[BoxPlane, ...] = ("axial", "coronal")
# No colour of a PET's map, and told apart by their dashes as well.
EDGES = ((OKABE_ITO["sky"], "-"), ("white", (0, (3, 2))), (OKABE_ITO["green"], "-."))


@dataclass(frozen=True)
class BoxScans:
    """One patient's box.

    Attributes:
        title: above the patient's pictures, such as the grade.
        ct: ``(D, H, W)`` in HU, in the order of LPS: feet to head, front to back, right to left.
        tracers: name → ``(D, H, W)`` SUV.
        regions: name → ``(D, H, W)`` bool, outlined; slices go through the fullest place of the
            first one.
        spacing_mm: along D, H, W.

    Raises:
        ValueError: other shapes, or no region.
    """

    title: str
    ct: ArrayLike
    tracers: Mapping[str, ArrayLike]
    regions: Mapping[str, ArrayLike]
    spacing_mm: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse what does not lie on one grid."""
        named = {"CT": self.ct, **self.tracers, **self.regions}
        shapes = {name: np.shape(x) for name, x in named.items()}
        if len(set(shapes.values())) != 1 or len(np.shape(self.ct)) != 3 or not self.regions:
            raise ValueError(
                f"BoxScans {self.title!r}: expected one region or more, and everything of one "
                f"shape (D, H, W), found {shapes}"
            )


def liver_scans(
    patients: Sequence[BoxScans],
    *,
    window: tuple[float, float] = LIVER_WINDOW,
    highest_suv: float = 8.0,
) -> Figure:
    """Draw every patient in two columns, axial and coronal: CT, then each tracer over it.

    Outlines are the regions. All patients share the scale of CT and PET: uptake is compared.

    Args:
        patients: with the same tracers.
        window: HU shown as black and white.
        highest_suv: drawn brightest.

    Raises:
        ValueError: no patient, other tracers in different patients, or too many regions.
    """
    first = patients[0] if patients else None
    if first is None or any(tuple(p.tracers) != tuple(first.tracers) for p in patients):
        raise ValueError(
            "liver_scans: expected one patient or more with the same tracers, found "
            f"{[tuple(p.tracers) for p in patients]}"
        )
    names = list(dict.fromkeys(name for p in patients for name in p.regions))
    if len(names) > len(EDGES):
        raise ValueError(f"liver_scans: expected at most {len(EDGES)} regions, found {names}")
    edges = dict(zip(names, EDGES, strict=False))
    rows = ("CT", *first.tracers)
    heat = Heat(0.0, highest_suv)
    with course_style():
        figure = plt.figure(figsize=(5.2 * len(patients) + 0.9, 2.45 * len(rows) + 0.9))
        # The last one's colour bar needs room of its own.
        widths = [*[1.0] * (len(patients) - 1), 1.0 + 0.9 / 5.2]
        parts = figure.subfigures(1, len(patients), squeeze=False, width_ratios=widths)[0]
        for part, patient in zip(parts, patients, strict=True):
            part.suptitle(patient.title, fontsize=16)
            axes = part.subplots(len(rows), 2, squeeze=False)
            for (row, column), axis in np.ndenumerate(axes):
                _picture(axis, patient, rows[row], PLANES[column], (window, heat, edges))
            if patient is first:
                for name, axis in zip(rows, axes[:, 0], strict=True):
                    axis.set_ylabel(name, fontsize=15)
            if patient is patients[-1]:
                bar = part.colorbar(heat.bar, ax=axes[1:], shrink=0.7, pad=0.02)
                bar.set_label("SUV", fontsize=14)
        figure.legend(
            handles=[_on_dark(line) for line in _lines(edges)], loc="outside lower center",
            ncols=len(names), fontsize=14, labelcolor="white", facecolor="0.25", frameon=True,
        )  # fmt: skip
    return figure


def _picture(
    axis: Axes, patient: BoxScans, name: str, plane: BoxPlane,
    look: tuple[tuple[float, float], Heat, Mapping[str, Any]],
) -> None:  # fmt: skip
    window, heat, edges = look
    number = fullest_slice(next(iter(patient.regions.values())), plane)
    ct: NDArray[Any] = box_slice(patient.ct, plane, number)
    pixels = ct
    if name in patient.tracers:
        pixels = on_grey(ct, window, box_slice(patient.tracers[name], plane, number), heat)
    outlines = [
        Outline(box_slice(mask, plane, number), *edges[region])
        for region, mask in patient.regions.items()
    ]
    draw_section(
        axis, pixels, outlines, limits=window, aspect=pixel_aspect(patient.spacing_mm, plane)
    )
    patient_sides(axis, plane)
    if name == "CT":
        axis.set_title(plane, fontsize=13)


def _lines(edges: Mapping[str, Any]) -> list[Line2D]:
    nothing = np.zeros((1, 1))
    return legend_lines({name: Outline(nothing, *edge) for name, edge in edges.items()})


def _on_dark(line: Line2D) -> Line2D:
    line.set_linewidth(2.5)
    return line
