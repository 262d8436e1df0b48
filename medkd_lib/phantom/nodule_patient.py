"""Who has something to be boxed: a body, its lesions, and what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.chest_mediastinum import levels
from medkd_lib.phantom.chest_place import place_tumour
from medkd_lib.phantom.chest_settings import Place
from medkd_lib.phantom.chest_shapes import Point
from medkd_lib.phantom.chest_tumour import Draft
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.nodule_rooms import shown_share
from medkd_lib.phantom.nodule_settings import (
    BURDENS,
    FIELD_MM,
    Cohort,
    Difficulty,
    Kind,
    visibility_bounds,
)
from medkd_lib.phantom.thorax_patient import ThoraxPatient, sample_thorax

HISTOLOGY_PLACE: Mapping[str, Mapping[Place, float]] = MappingProxyType(
    {
        "A": {"lung": 0.65, "chest_wall": 0.20, "hilum": 0.10, "mediastinum": 0.05},
        "B": {"lung": 0.10, "chest_wall": 0.05, "hilum": 0.55, "mediastinum": 0.30},
        "E": {"lung": 0.50, "chest_wall": 0.30, "hilum": 0.20, "mediastinum": 0.00},
        "G": {"lung": 0.30, "chest_wall": 0.10, "hilum": 0.45, "mediastinum": 0.15},
    }
)
"""Where tumours grow: adenocarcinoma at the periphery, small cell and squamous cell carcinoma at
the root of the lung (†; the shares are D)."""

ANYWHERE: Mapping[Place, float] = MappingProxyType({"lung": 0.7, "chest_wall": 0.15, "hilum": 0.15})

OTHER_SCALE: Mapping[Kind, float] = MappingProxyType(
    {"lung": 1.0, "mediastinum": 1.3, "liver": 1.5}
)
"""On the median diameter: enlarged nodes and liver lesions are larger than nodules (D)."""

GAP_MM = 6.0
"""Least distance between the surfaces of two lesions (D)."""

TRIES, SHRINKS = 30, 0.9
"""How often a place is drawn before the lesion shrinks, and to which share of its diameter (D)."""

SHOWN = 0.45
"""Least share of a lesion's volume that bone, heart and vessels leave to be seen (D)."""


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Attributes:
        kind: where it grows.
        mass: place, size and shape, in the patient's frame.
        visibility: see :data:`~medkd_lib.phantom.nodule_settings.VISIBILITY`.
    """

    kind: Kind
    mass: LobulatedMass
    visibility: float

    @property
    def diameter_mm(self) -> float:
        """Of a ball of its volume."""
        return 2.0 * self.mass.radius_mm


@dataclass(frozen=True)
class Mimic:
    """A short stout piece of vessel: round on a slice, and longer than any nodule along its axis.

    Attributes:
        centre_mm: LPS in the patient's frame.
        semi_axes_mm: along the axis and across it.
        axis: direction, at most 45° off the z axis.
        visibility: as a lesion's; where lesions have none, that of ``subtle``.
    """

    centre_mm: Point
    semi_axes_mm: tuple[float, float]
    axis: Point
    visibility: float


@dataclass(frozen=True, eq=False)
class NodulePatient:
    """One patient before any voxel.

    Attributes:
        body: the chest.
        fat_share: of fat in what fills the mediastinum.
        node_seed: of the ordinary lymph nodes.
        field_mm: side of the field of view.
        lesions: one or more, the first is why the patient was scanned.
        mimics: any number.
    """

    body: ThoraxPatient
    fat_share: float
    node_seed: int
    field_mm: float
    lesions: tuple[Lesion, ...]
    mimics: tuple[Mimic, ...]


def sample_patient(
    rng: np.random.Generator, cohort: Cohort, difficulty: Difficulty, histology: str = ""
) -> NodulePatient:
    """Draw one patient: at every difficulty the same body, places and sizes.

    Args:
        rng: source of randomness.
        cohort: which set; its :data:`~medkd_lib.phantom.nodule_settings.BURDENS`.
        difficulty: sets the visibility alone.
        histology: A, B, E or G moves the first lesion to where such tumours grow.

    Raises:
        ValueError: no room was found for a lesion, however small.
    """
    burden = BURDENS[cohort]
    body = sample_thorax(rng, "normal", difficulty)
    fat_share, node_seed = float(rng.uniform(0.55, 0.95)), int(rng.integers(2**31))
    field = float(rng.uniform(*FIELD_MM))
    number = 1 + int(rng.choice(len(burden.number_share), p=burden.number_share))
    lesions: list[Lesion] = []
    for n in range(number):
        places = HISTOLOGY_PLACE[histology] if histology and n == 0 else ANYWHERE
        lesions.append(_lesion(rng, body, node_seed, cohort, places, difficulty, lesions))
    mimics = _mimics(rng, body, cohort, difficulty, lesions)
    return NodulePatient(body, fat_share, node_seed, field, tuple(lesions), mimics)


def _lesion(
    rng: np.random.Generator, body: ThoraxPatient, node_seed: int, cohort: Cohort,
    places: Mapping[Place, float], difficulty: Difficulty, others: list[Lesion],
) -> Lesion:  # fmt: skip
    """Draw one lesion that touches none of the others and is not hidden."""
    burden = BURDENS[cohort]
    kinds = list(burden.kind_share)
    kind = kinds[int(rng.choice(len(kinds), p=list(burden.kind_share.values())))]
    # later lesions are the small ones
    median = burden.diameter_mm * OTHER_SCALE[kind] * (1.0 if not others else 0.6)
    diameter = float(
        np.clip(
            median * rng.lognormal(0.0, burden.diameter_spread), burden.smallest_mm,
            burden.largest_mm if not others else 0.5 * burden.largest_mm,
        )
    )  # fmt: skip
    radius = 0.5 * diameter
    shape = rng.lognormal(0.0, 0.12, 3)
    shape /= np.prod(shape) ** (1.0 / 3.0)
    axes = (float(shape[0]), float(shape[1]), float(shape[2]))
    wave_seed = int(rng.integers(2**31))
    low, high = visibility_bounds(cohort, difficulty, kind)
    visibility = low + (high - low) * float(rng.random())
    taken = [(o.mass.centre_mm, o.mass.radius_mm) for o in others]
    while radius > 0.25 * burden.smallest_mm:
        for _ in range(TRIES):
            centre = _place(rng, body, kind, radius, places)
            if not _apart(centre, radius, taken):
                continue
            mass = LobulatedMass(centre, radius, axes, wave_seed)
            if shown_share(body, node_seed, kind, mass) >= SHOWN:
                return Lesion(kind, mass, visibility)
        radius *= SHRINKS
    raise ValueError(
        f"{kind} lesion: expected room beside {len(others)} others, found none even for one of "
        f"{2.0 * radius:.1f} mm; take another seed"
    )


def _place(
    rng: np.random.Generator, body: ThoraxPatient, kind: Kind, radius: float,
    places: Mapping[Place, float],
) -> Point:  # fmt: skip
    """Draw a centre; shares of places concern the lung alone."""
    half_width, half_depth, _ = body.cage_mm
    if kind == "mediastinum":
        # where lymph nodes lie: around the airways
        side = 1.0 if rng.random() < 0.5 else -1.0
        high = levels(body)["pulmonary"] + float(rng.uniform(-20.0, 40.0))
        return side * float(rng.uniform(8.0, 26.0)), float(rng.uniform(-14.0, 22.0)), high
    if kind == "liver":
        # under the middle of the right dome, its depth below the surface at least the radius
        x = -half_width * float(rng.uniform(0.20, 0.60))
        y = half_depth * float(rng.uniform(-0.45, 0.35))
        return x, y, body.dome_mm[0] - 1.1 * radius - float(rng.uniform(18.0, 60.0))
    names = list(places)
    name = names[int(rng.choice(len(names), p=list(places.values())))]
    _, centre = place_tumour(rng, body, Draft(name, 4.0 / 3.0 * np.pi * radius**3 / 1000.0))
    return centre


def _mimics(
    rng: np.random.Generator, body: ThoraxPatient, cohort: Cohort, difficulty: Difficulty,
    lesions: list[Lesion],
) -> tuple[Mimic, ...]:  # fmt: skip
    """Draw pieces of vessel in the lungs, as visible as the lesions would be."""
    shown: Difficulty = "subtle" if difficulty == "none" else difficulty
    low, high = visibility_bounds(cohort, shown, "lung")
    taken = [(o.mass.centre_mm, o.mass.radius_mm) for o in lesions]
    found: list[Mimic] = []
    for _ in range(int(rng.poisson(BURDENS[cohort].mimics))):
        across = 0.5 * float(rng.uniform(4.0, 11.0))
        along = across * float(rng.uniform(3.0, 5.0))
        tilt, turn = np.deg2rad(rng.uniform(0.0, 45.0)), rng.uniform(0.0, 2.0 * np.pi)
        axis = (
            float(np.sin(tilt) * np.cos(turn)),
            float(np.sin(tilt) * np.sin(turn)),
            float(np.cos(tilt)),
        )
        visibility = low + (high - low) * float(rng.random())
        centre = _place(rng, body, "lung", across, ANYWHERE)
        # one that runs into a lesion or another one is left out: their number is free
        if _apart(centre, along, taken):
            taken.append((centre, along))
            found.append(Mimic(centre, (along, across), axis, visibility))
    return tuple(found)


def _apart(centre: Point, radius: float, taken: list[tuple[Point, float]]) -> bool:
    # 1.35: the longest semi-axis with its waves
    return all(
        float(np.linalg.norm(np.subtract(centre, other))) > 1.35 * (radius + r) + GAP_MM
        for other, r in taken
    )
