"""A primary lung tumour and the collapsed lung beside it, as attributes and as shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.chest_settings import Place, Setting
from medkd_lib.phantom.chest_shapes import Point
from medkd_lib.phantom.thigh_waves import Axes, draw_waves, wave_field

LOG_ML, SPREAD_ML = float(np.log(35.0)), 1.0
"""Mean and spread of ln(volume in mL): log-normal (D; the decathlon's are 0.7 to 370, §5 R)."""

SMALLEST_ML, LARGEST_ML = 4.0, 150.0
"""A smaller one would be two voxels wide at the 5 mm that the lesson's networks see (D)."""

PLACE_SHARE: dict[Place, float] = {"mediastinum": 0.45, "hilum": 0.30, "chest_wall": 0.25}
"""How the abutting tumours are shared out (D)."""

INVASION_MM = {"lung": 0.0, "mediastinum": 12.0, "hilum": 10.0, "chest_wall": 8.0}
"""Deepest growth into soft tissue; a tumour draws between a quarter of it and all (D)."""


@dataclass(frozen=True, eq=False)
class LungTumour:
    r"""One tumour.

    Its surface is a level of :math:`\tilde\rho(p) = |q|\,(1 + a\,w(q))`, :math:`q` the place over
    the semi-axes, :math:`w` waves of unit variance; the level is chosen on the grid so that what
    lung and soft tissue leave of it has the volume.

    Attributes:
        place: where it grows.
        side: the patient's.
        centre_mm: LPS in the patient's frame.
        volume_ml: aimed at.
        radius_mm: of a ball of the volume at the first scan; unit of the waves.
        axes: semi-axes over that radius.
        turn_deg: about z.
        lobulation: a.
        waves: (4, M) of the surface, in units of the radius.
        invasion_mm: how deep it grows into soft tissue.
        t2_factor: on the tumour's T2.
        contrast_hu: tumour minus muscle on CT.
    """

    place: Place
    side: Literal["right", "left"]
    centre_mm: Point
    volume_ml: float
    radius_mm: float
    axes: tuple[float, float, float]
    turn_deg: float
    lobulation: float
    waves: NDArray[np.float64]
    invasion_mm: float
    t2_factor: float
    contrast_hu: float

    @property
    def reach_mm(self) -> float:
        """No part of it lies further from its centre along an axis."""
        return self.radius_mm * max(self.axes) * 1.75

    def rho(self, axes_mm: Axes) -> FloatArray:
        """ρ̃ at places relative to the centre."""
        x, y, z = (u / np.float32(self.radius_mm) for u in axes_mm)
        c, s = np.cos(np.deg2rad(self.turn_deg)), np.sin(np.deg2rad(self.turn_deg))
        a, b, h = self.axes
        u, v = (c * x + s * y) / np.float32(a), (c * y - s * x) / np.float32(b)
        rho = np.sqrt(u**2 + v**2 + (z / np.float32(h)) ** 2)
        wave = np.clip(wave_field((x, y, z), self.waves), -1.8, 1.8)
        return np.asarray(rho * (1.0 + np.float32(self.lobulation) * wave), np.float32)

    def shrunk(self, factor: float) -> LungTumour:
        """Return the same tumour at another volume; its waves stay where they are."""
        return replace(self, volume_ml=self.volume_ml * factor)


@dataclass(frozen=True)
class Collapse:
    """A wedge of lung without air, from the tumour outwards.

    Attributes:
        axis: unit vector from the tumour away from the root of the lung.
        length_mm: from the tumour's centre.
        half_angle_deg: opening.
        seed: of the wavy border.
    """

    axis: Point
    length_mm: float
    half_angle_deg: float
    seed: int


@dataclass(frozen=True)
class Draft:
    """What is drawn before the tumour has a place."""

    place: Place
    volume_ml: float

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of that volume."""
        return float((3000.0 * self.volume_ml / (4.0 * np.pi)) ** (1.0 / 3.0))


def draft_tumour(rng: np.random.Generator, setting: Setting) -> Draft:
    """Draw volume and kind of place."""
    touches = rng.random() < setting.abutting
    kinds = list(PLACE_SHARE)
    kind = kinds[int(rng.choice(len(kinds), p=list(PLACE_SHARE.values())))]
    volume = float(np.exp(_within(rng, LOG_ML, SPREAD_ML, np.log(SMALLEST_ML), np.log(LARGEST_ML))))
    return Draft(kind if touches else "lung", volume)


def sample_tumour(
    rng: np.random.Generator,
    draft: Draft,
    side: Literal["right", "left"],
    centre_mm: Point,
    setting: Setting,
) -> LungTumour:
    """Draw shape and contrast of a tumour whose place is known."""
    wide, tall = float(rng.lognormal(0.0, 0.12)), float(rng.lognormal(0.0, 0.15))
    unit = np.array([wide, 1.0 / wide, tall]) / tall ** (1.0 / 3.0)
    return LungTumour(
        place=draft.place,
        side=side,
        centre_mm=centre_mm,
        volume_ml=draft.volume_ml,
        radius_mm=draft.radius_mm,
        axes=(float(unit[0]), float(unit[1]), float(unit[2])),
        turn_deg=float(rng.uniform(0.0, 180.0)),
        lobulation=float(rng.uniform(0.08, 0.18)),
        waves=draw_waves(rng, (1.5, 1.5, 1.7), 24),
        invasion_mm=INVASION_MM[draft.place] * float(rng.uniform(0.25, 1.0)),
        # ln T2 ± 0.2 spreads the signal by about 0.25 (§1.2 R: 2.14 ± 0.63 × muscle)
        t2_factor=float(np.exp(_within(rng, 0.0, 0.2, -0.4, 0.4))),
        contrast_hu=float(rng.normal(setting.contrast_hu, setting.contrast_sd_hu)),
    )


def sample_collapse(
    rng: np.random.Generator, tumour: LungTumour, hilum_mm: Point, setting: Setting
) -> Collapse | None:
    """Draw the wedge, or none; tumours in front of the chest wall block no airway."""
    there = rng.random() < setting.collapse
    jitter = rng.normal(0.0, 0.35, 3)
    length = tumour.radius_mm + float(rng.uniform(18.0, 45.0))
    angle = float(rng.uniform(24.0, 42.0))
    seed = int(rng.integers(2**31))
    if not there or tumour.place == "chest_wall":
        return None
    away = np.array(tumour.centre_mm) - np.array(hilum_mm)
    sign = 1.0 if tumour.side == "left" else -1.0
    way = away / max(float(np.linalg.norm(away)), 15.0) + jitter
    # in front of the root or behind it, outwards is to the side all the same
    way[0] = sign * max(sign * float(way[0]), 0.35)
    x, y, z = (float(v) for v in way / np.linalg.norm(way))
    return Collapse((x, y, z), length, angle, seed)


def _within(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """Draw a normal number again until it lies within the bounds."""
    value = float(rng.normal(mean, sd))
    while not low <= value <= high:
        value = float(rng.normal(mean, sd))
    return value
