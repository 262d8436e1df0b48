"""Masses in a liver: how many, how large, where, and their shape on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medkd_lib.phantom.abdomen_frame import build_frame, soft_edge
from medkd_lib.phantom.abdomen_liver import liver
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Millimetres
from medkd_lib.phantom.anatomy import Box, FloatArray, Grid
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.waves import random_waves

NUMBER_SHARE = (0.55, 0.30, 0.15)
"""Shares of patients with one, two and three masses (D; 1–3 HCC, §5 D)."""

DIAMETER_MM, DIAMETER_SPREAD = 30.0, 0.6
"""Median diameter and the spread of its logarithm (§5 D)."""

SMALLEST_MM, LARGEST_MM = 15.0, 90.0
"""A smaller one would be three PET voxels wide, a larger one would fill the lobe (D)."""

GAP_MM = 12.0
"""Least distance between two masses: each stays a piece of its own (D)."""

INSIDE = 0.35
"""Least depth of a centre below the liver's surface, in radii: a mass may bulge (D)."""

LOBULATION = 0.07
"""Waviness of the surface (D)."""


@dataclass(frozen=True)
class LiverMass:
    r"""One mass: the inside of :math:`|q|\,(1 + a\,w(q)) = 1`, q the place over the semi-axes.

    Attributes:
        centre_mm: LPS in the patient's frame.
        radius_mm: of a ball of its volume, what the liver cuts off counted.
        axes: semi-axes over that radius; their product is 1.
        wave_seed: of the waves w of unit variance on its surface, and of its inner unevenness.
    """

    centre_mm: Millimetres
    radius_mm: float
    axes: tuple[float, float, float]
    wave_seed: int

    def draw(self, grid: Grid) -> tuple[Box, FloatArray]:
        """Membership 0…1 in the smallest box of the grid that holds it (may be empty)."""
        reach = self.radius_mm * max(self.axes) * (1.0 + 3.0 * LOBULATION) + max(grid.spacing_mm)
        box = grid.box(
            tuple(c - reach for c in self.centre_mm), tuple(c + reach for c in self.centre_mm)
        )
        q = self._own(grid, box)
        wave = random_waves(np.random.default_rng(self.wave_seed), 0.9, 2.5, 8)(*q)
        rho = np.sqrt(sum(axis**2 for axis in q)) * (1.0 + LOBULATION * np.clip(wave, -2.5, 2.5))
        return box, soft_edge(((1.0 - rho) * self.radius_mm).astype(np.float32))

    def unevenness(self, grid: Grid, box: Box) -> FloatArray:
        """Smooth field of variance 1 in a box, waves of 8 to 25 mm; the same on any grid."""
        rng = np.random.default_rng([self.wave_seed, 1])
        return random_waves(rng, 8.0, 25.0, 16)(*np.broadcast_arrays(*grid.coordinates(box)))

    def _own(self, grid: Grid, box: Box) -> list[FloatArray]:
        """Places over the semi-axes, three arrays of the box's shape."""
        axes = np.broadcast_arrays(*grid.coordinates(box))
        return [
            (u - np.float32(c)) / np.float32(self.radius_mm * a)
            for u, c, a in zip(axes, self.centre_mm, self.axes, strict=True)
        ]


def sample_masses(person: AbdomenPatient, rng: np.random.Generator) -> tuple[LiverMass, ...]:
    """Place one to three masses in a person's liver.

    A centre is drawn from the places deep enough and far enough from the masses before; if there
    is none, the mass shrinks by a tenth until there is.

    Args:
        person: whose liver.
        rng: source of randomness.

    Raises:
        ValueError: the liver has no room even for the smallest mass.
    """
    number = 1 + int(rng.choice(3, p=NUMBER_SHARE))
    places, depth = _room(person)
    found: list[LiverMass] = []
    for _ in range(number):
        wanted = DIAMETER_MM * float(rng.lognormal(0.0, DIAMETER_SPREAD))
        radius = 0.5 * float(np.clip(wanted, SMALLEST_MM, LARGEST_MM))
        shape = rng.lognormal(0.0, 0.1, 3)
        shape /= np.prod(shape) ** (1.0 / 3.0)
        jitter, wave_seed = rng.uniform(-3.0, 3.0, 3), int(rng.integers(2**31))
        pick = float(rng.random())
        while not (free := _free(places, depth, radius, found)).any():
            radius *= 0.9
            if radius < 0.25 * SMALLEST_MM:
                raise ValueError(
                    f"liver: expected room for a mass of {0.5 * SMALLEST_MM:g} mm, found none; "
                    "check the person's liver_tip_mm and liver_left_mm"
                )
        chosen = places[free][int(pick * int(free.sum()))] + jitter
        centre = (float(chosen[0]), float(chosen[1]), float(chosen[2]))
        axes = (float(shape[0]), float(shape[1]), float(shape[2]))
        found.append(LiverMass(centre, radius, axes, wave_seed))
    return tuple(found)


def _room(person: AbdomenPatient) -> tuple[FloatArray, FloatArray]:
    """Places inside the liver on a lattice of 6 mm, (N, 3), and their depth, (N,)."""
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
    return np.array(low) + 6.0 * index, depth[inside]


def _free(
    places: FloatArray, depth: FloatArray, radius: float, masses: list[LiverMass]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    free = depth >= INSIDE * radius
    for mass in masses:
        apart = np.linalg.norm(places - np.array(mass.centre_mm), axis=1)
        # 1.35: the longest semi-axis with its waves
        free &= apart > 1.35 * (radius + mass.radius_mm) + GAP_MM
    return np.asarray(free)
