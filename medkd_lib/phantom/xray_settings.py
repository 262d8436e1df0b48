"""X-ray rooms and how a patient stands in them: every number that may shift a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class XRaySettings:
    """One X-ray room. Domain shift is another row of these numbers.

    Attributes:
        photons: I0, counts per detector pixel in the open beam.
        scatter_fraction: scattered share of the light that reaches the detector, 0.3 with a
            grid to 0.6 without (§4 †).
        scatter_mm: width (σ) of the scatter's low-pass.
        blur_mm: width (σ) of the detector's point spread.
        field_mm: edge of the square field that the film shows.
        pixels: edge of the film in pixels.
        contrast: width of the display's sigmoid in units of the line integral; smaller is harder.
        detail: gain of structures finer than 14 mm in the display (multi-scale processing).
        brightness: shift of the display, positive is whiter.
        marker: height of the side marker's letter in pixels, 0 for none.
    """

    photons: float = 6e4
    scatter_fraction: float = 0.35
    scatter_mm: float = 35.0
    blur_mm: float = 0.9
    field_mm: float = 340.0
    pixels: int = 224
    contrast: float = 0.75
    detail: float = 0.6
    brightness: float = -0.05
    marker: int = 14

    def __post_init__(self) -> None:
        """Refuse impossible rooms."""
        if not 0.0 <= self.scatter_fraction < 1.0:
            raise ValueError(
                f"scatter_fraction: expected 0 ≤ value < 1, found {self.scatter_fraction}; "
                "0.3 is a film with a grid, 0.6 one without"
            )
        if self.photons <= 0 or self.pixels < 8 or self.contrast <= 0 or self.field_mm <= 0:
            raise ValueError(
                "photons, contrast and field_mm must be positive and pixels at least 8, found "
                f"{self.photons}, {self.contrast}, {self.field_mm}, {self.pixels}"
            )


# Two hospitals (D): A films with a grid and a soft look; B is a bedside unit: no grid, fewer
# photons, a blurrier detector, a harder display and a larger letter.
HOSPITALS: Mapping[str, XRaySettings] = MappingProxyType(
    {
        "hospital_a": XRaySettings(),
        "hospital_b": XRaySettings(
            photons=1.5e4,
            scatter_fraction=0.55,
            scatter_mm=50.0,
            blur_mm=1.6,
            field_mm=360.0,
            contrast=0.62,
            detail=0.3,
            brightness=0.35,
            marker=21,
        ),
    }
)


@dataclass(frozen=True)
class Positioning:
    """How the patient stands and how the exposure came out; differs from film to film.

    Attributes:
        rotation_deg: turn about the body's long axis (small: done as a shear of the beam).
        tilt_deg: turn of the film in its own plane.
        shift_mm: right and up offset of the patient in the field.
        zoom: magnification of the field, 1.1 shows less of the body.
        exposure: factor on the photon number.
        brightness: added to the display's shift.
        contrast: factor on the display's width.
        marker_place: where the letter stands, (row, column) as shares of the film.
    """

    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    shift_mm: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    exposure: float = 1.0
    brightness: float = 0.0
    contrast: float = 1.0
    marker_place: tuple[float, float] = (0.08, 0.06)


def sample_positioning(rng: np.random.Generator) -> Positioning:
    """Draw a film's positioning and exposure (D), independent of what the patient has."""
    return Positioning(
        rotation_deg=float(rng.normal(0.0, 2.0)),
        tilt_deg=float(rng.normal(0.0, 1.2)),
        shift_mm=(float(rng.normal(0.0, 3.0)), float(rng.normal(0.0, 4.0))),
        zoom=float(rng.uniform(1.01, 1.08)),
        exposure=float(np.exp(rng.normal(0.0, 0.25))),
        brightness=float(rng.normal(0.0, 0.06)),
        contrast=float(np.exp(rng.normal(0.0, 0.05))),
        marker_place=(float(rng.uniform(0.05, 0.22)), float(rng.uniform(0.03, 0.10))),
    )
