"""Figures that reach the page, the run folder and those who cannot see them."""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
from IPython.core.getipython import get_ipython
from IPython.display import Image, display
from matplotlib.figure import Figure

from medkd_lib.show.style import course_style


class Gallery:
    """The figures of one run: each is shown, saved as PNG and listed with its alt text.

    Args:
        folder: the run folder; images go to its ``figures/``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alts: dict[str, str] = {}

    def show(self, figure: Figure, *, name: str, alt: str) -> None:
        """Save ``figure`` as ``figures/NAME.png``, display it with its alt text and close it.

        Raises:
            ValueError: the alt text is empty or a mere repetition of the name.
        """
        if len(alt.split()) < 4:
            raise ValueError(f"figure {name!r}: the alt text must say what one sees, found {alt!r}")
        buffer = io.BytesIO()
        with course_style():
            figure.savefig(buffer, format="png")
        plt.close(figure)
        path = self.folder / "figures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        self.alts[f"figures/{name}.png"] = alt
        if get_ipython() is not None:
            width = int(figure.get_figwidth() * 100)
            display(Image(buffer.getvalue(), width=width, alt=alt))

    def explore(
        self,
        draw: Callable[..., Figure],
        sliders: Mapping[str, tuple[float, float, float]],
        presets: Sequence[Mapping[str, float]],
        *,
        name: str,
        alt: str,
    ) -> None:
        """Offer sliders over ``draw(**values)``, and always its static twin at the presets.

        Args:
            draw: returns a figure for the given values.
            sliders: name → (lowest, highest, step).
            presets: the values at which the twin is drawn, one figure each.
            name: file name of the twin's figures.
            alt: what they show; the preset is added.
        """
        if _has_frontend():
            _sliders(draw, sliders, presets[len(presets) // 2])
        for number, preset in enumerate(presets, start=1):
            values = ", ".join(f"{k} {v:g}" for k, v in preset.items())
            with course_style():
                figure = draw(**preset)
            self.show(figure, name=f"{name}_{number}", alt=f"{alt} Here: {values}.")


def _has_frontend() -> bool:
    """Whether somebody can move a slider: a Jupyter kernel that no batch runner drives."""
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel") and not _batch()


def _batch() -> bool:
    # papermill names itself in the kernel's environment only through our runner; bare papermill
    # shows the slider's widget as a text line, which is harmless.
    return "MEDKD_RUN_DIR" in os.environ


def _sliders(
    draw: Callable[..., Figure],
    sliders: Mapping[str, tuple[float, float, float]],
    start: Mapping[str, float],
) -> None:
    def redraw(**values: float) -> None:
        with course_style():
            figure = draw(**values)
            display(figure)
        plt.close(figure)

    handles = {
        key: ipywidgets.FloatSlider(
            value=start[key],
            min=low,
            max=high,
            step=step,
            description=key,
            continuous_update=False,
            style={"description_width": "initial"},
        )
        for key, (low, high, step) in sliders.items()
    }
    ipywidgets.interact(redraw, **handles)
