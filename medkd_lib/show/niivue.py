"""A three-dimensional viewer in the notebook, for those who have installed ipyniivue."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def niivue(image: Path, mask: Path | None = None, *, height: int = 400) -> Any | None:
    """Return an interactive NiiVue widget of a file, or None where ipyniivue is missing.

    It shows the file itself, by the file's own affine: a second opinion on our display convention.

    Args:
        image: ``.nii`` or ``.nii.gz``; a folder (DICOM) gives None too.
        mask: drawn over it, half transparent.
        height: in pixels.
    """
    if find_spec("ipyniivue") is None or image.is_dir():
        return None
    volumes: list[dict[str, object]] = [{"path": str(image), "colormap": "gray"}]
    if mask is not None:
        volumes.append({"path": str(mask), "colormap": "warm", "opacity": 0.5})
    # Imported by name: an optional package that is not part of the tested set.
    viewer = import_module("ipyniivue").NiiVue(height=height)
    viewer.load_volumes(volumes)
    return viewer
