"""Masses in a liver: how many, how large, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medkd_lib.phantom.abdomen import abdomen_layers
from medkd_lib.phantom.abdomen_frame import build_frame
from medkd_lib.phantom.abdomen_liver import liver
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.thigh_grid import PlacedGrid


@dataclass(frozen=True)
class Burden:
    """How many masses a liver has, and how large they are.

    Attributes:
        number_share: shares of patients with one, two, … masses; they add up to 1.
        diameter_mm: median diameter.
        diameter_spread: of its logarithm.
        smallest_mm, largest_mm: beyond them no diameter is drawn.
    """

    number_share: tuple[float, ...]
    diameter_mm: float
    diameter_spread: float
    smallest_mm: float
    largest_mm: float


HCC_BURDEN = Burden((0.55, 0.30, 0.15), 30.0, 0.6, 15.0, 90.0)
"""1–3 HCC, median 3 cm, spread 0.6 (§5 D). A smaller one would be three PET voxels wide, a larger
one would fill the lobe (D)."""

GAP_MM = 12.0
"""Least distance between two masses: each stays a piece of its own (D)."""

INSIDE = 0.35
"""Least depth of a centre below the liver's surface, in radii: a mass may bulge (D)."""


def sample_masses(
    person: AbdomenPatient, rng: np.random.Generator, burden: Burden = HCC_BURDEN
) -> tuple[LobulatedMass, ...]:
    """Place masses in a person's liver.

    A centre is drawn from the places deep enough and far enough from the masses before; if there
    is none, the mass shrinks by a tenth until there is. One that falls into a vessel or another
    organ, which would hide it, moves to the nearest place that is liver.

    Args:
        person: whose liver.
        rng: source of randomness.
        burden: how many, and how large.

    Raises:
        ValueError: the liver has no room even for the smallest mass.
    """
    share = burden.number_share
    number = 1 + int(rng.choice(len(share), p=share))
    places, depth, seen = _room(person)
    found: list[LobulatedMass] = []
    for _ in range(number):
        wanted = burden.diameter_mm * float(rng.lognormal(0.0, burden.diameter_spread))
        radius = 0.5 * float(np.clip(wanted, burden.smallest_mm, burden.largest_mm))
        shape = rng.lognormal(0.0, 0.1, 3)
        shape /= np.prod(shape) ** (1.0 / 3.0)
        jitter, wave_seed = rng.uniform(-3.0, 3.0, 3), int(rng.integers(2**31))
        pick = float(rng.random())
        while not (free := _free(places, depth, radius, found)).any():
            radius *= 0.9
            if radius < 0.25 * burden.smallest_mm:
                raise ValueError(
                    f"liver: expected room for a mass of {0.5 * burden.smallest_mm:g} mm, found "
                    "none; check the person's liver_tip_mm and liver_left_mm"
                )
        picked = np.flatnonzero(free)[int(pick * int(free.sum()))]
        if not seen[picked] and (free & seen).any():
            others = np.flatnonzero(free & seen)
            apart = np.linalg.norm(places[others] - places[picked], axis=1)
            picked = others[int(apart.argmin())]
        chosen = places[picked] + jitter
        centre = (float(chosen[0]), float(chosen[1]), float(chosen[2]))
        axes = (float(shape[0]), float(shape[1]), float(shape[2]))
        found.append(LobulatedMass(centre, radius, axes, wave_seed))
    return tuple(found)


def _room(
    person: AbdomenPatient,
) -> tuple[FloatArray, FloatArray, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Places inside the liver's outline on a lattice of 6 mm, (N, 3), their depth, who is liver.

    The outline runs through the vena cava: a place may lie inside it and be no liver.
    """
    a, b = person.cavity_mm
    low = (-a, -b, person.liver_tip_mm - 24.0)
    high = (person.liver_left_mm + 10.0, b, person.dome_mm[0])
    shape = tuple(int((h - w) / 6.0) + 1 for w, h in zip(low, high, strict=True))
    grid = PlacedGrid((shape[0], shape[1], shape[2]), (6.0, 6.0, 6.0), low)
    body = liver(build_frame(person, grid))[0]
    inside = np.zeros(grid.shape, bool)
    inside[body.box] = body.membership >= 0.5
    depth = ndimage.distance_transform_edt(inside, sampling=grid.spacing_mm)
    index = np.argwhere(inside)
    shown = abdomen_layers(person, grid).fraction("liver", "liver_vein")[inside] >= 0.5
    return np.array(low) + 6.0 * index, depth[inside], shown


def _free(
    places: FloatArray, depth: FloatArray, radius: float, masses: list[LobulatedMass]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    free = depth >= INSIDE * radius
    for mass in masses:
        apart = np.linalg.norm(places - np.array(mass.centre_mm), axis=1)
        # 1.35: the longest semi-axis with its waves
        free &= apart > 1.35 * (radius + mass.radius_mm) + GAP_MM
    return np.asarray(free)
