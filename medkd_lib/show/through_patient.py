"""A slider through one patient: every kind of image, all outlines, and where the section lies."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from medkd_lib.show.section import (
    TRUTH,
    Masks,
    Outline,
    answer_outlines,
    as_array,
    draw_section,
    legend_lines,
    same_stack,
)
from medkd_lib.show.style import course_style


def through_patient(
    images: Mapping[str, Tensor],
    truth: Masks,
    answers: Mapping[str, Masks],
    section: float,
    *,
    pixel_mm: tuple[float, float],
) -> Figure:
    """Draw one section of a patient in each kind of image, and where it lies in the patient.

    For `medkd_lib.show.gallery.Gallery.explore`: fix all but ``section`` with ``partial`` and give
    the slider 0 to K - 1 in steps of 1.

    Args:
        images: name → ``(K, H, W)`` on [-1, 1], such as CT, pseudo-MR and true MR.
        truth: ``(K, H, W)``, not zero in the tumour.
        answers: arm → likewise.
        section: number, rounded.
        pixel_mm: height and width of a pixel.

    Raises:
        ValueError: shapes that do not fit, a section outside the patient, or more arms than can be
            told apart.
    """
    depth, height, width = same_stack("through_patient", {**images, "truth": truth, **answers})
    k = round(section)
    if not 0 <= k < depth:
        raise ValueError(f"section: expected 0 to {depth - 1}, found {section:g}")
    lines = {"truth": Outline(truth[k], TRUTH, width=3.0)}
    lines |= answer_outlines({name: a[k] for name, a in answers.items()})
    aspect = pixel_mm[0] / pixel_mm[1]
    with course_style():
        figure = plt.figure(
            figsize=(3.9 * len(images), 3.9 * height / width * aspect + 3.0),
        )
        grid = figure.add_gridspec(2, len(images), height_ratios=[2.4, 1])
        for column, (name, stack) in enumerate(images.items()):
            axis = figure.add_subplot(grid[0, column])
            draw_section(axis, stack[k], list(lines.values()), aspect=aspect)
            axis.set_title(name, loc="center", fontsize=16)
        _areas(figure.add_subplot(grid[1, :]), {"truth": truth, **answers}, lines, k, pixel_mm)
        figure.legend(handles=legend_lines(lines), loc="outside lower center", ncols=len(lines),
                      fontsize=14)  # fmt: skip
    return figure


def _areas(
    axis: Axes,
    masks: Mapping[str, Masks],
    lines: Mapping[str, Outline],
    k: int,
    pixel_mm: tuple[float, float],
) -> None:
    """Draw the outlined area along the patient, and mark the section shown."""
    for name, mask in masks.items():
        areas = (as_array(mask) > 0).sum(axis=(1, 2)) * pixel_mm[0] * pixel_mm[1] / 100
        # Yellow is made for dark pictures; on white it needs an edge.
        edge = [withStroke(linewidth=4.2, foreground="black")]
        line = lines[name]
        axis.plot(areas, line.style, color=line.colour, lw=2.6, path_effects=edge)
    axis.axvline(k, color="black", lw=1.5)
    axis.set_title(f"section {k}", fontsize=15)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("section, feet to head", fontsize=13)
    axis.set_ylabel("area, cm²", fontsize=13)
    axis.set_ylim(bottom=0)
