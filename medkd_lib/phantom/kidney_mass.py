"""Tumours and cysts of the kidneys: how many, how large, and where on which kidney."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen_frame import build_frame
from medkd_lib.phantom.abdomen_kidneys import kidney_turn
from medkd_lib.phantom.abdomen_lesion import Kind
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Side
from medkd_lib.phantom.anatomy import Anatomy, FloatArray
from medkd_lib.phantom.lobulated_mass import LobulatedMass

TUMOUR_SHARE = (0.90, 0.08, 0.02)
"""Shares of patients with one, two and three tumours (§5 C: 90, 7, 2 %)."""

CYST_SHARE = (0.49, 0.31, 0.14, 0.06)
"""Shares of patients with none to three cysts (§5 C: 51 % have any; the rest D)."""

DIAMETER_MM: dict[Kind, tuple[float, float]] = {"tumour": (40.0, 0.66), "cyst": (20.0, 0.45)}
"""Median and spread of the logarithm: tumours 40 mm, quartiles 25 and 61 (§5 C); cysts 4.4 mL, a
ball of 20 mm (§5 C; spread D)."""

RANGE_MM: dict[Kind, tuple[float, float]] = {"tumour": (16.0, 110.0), "cyst": (10.0, 60.0)}
"""Smaller ones would fall between the slices, larger ones leave no room (D; §5 C: 5–95 % of the
tumours 17–120)."""

OUTSIDE = (-0.8, 0.3)
"""How far the centre lies beyond the kidney's surface, in radii: from buried to bulging (D)."""

FORWARD = 0.7
"""How far directions lean to the front (D): behind a kidney lies the wall."""

GAP_MM = 4.0
"""Least distance between two lesions: each stays a piece of its own (D)."""

TRIES = 12
"""Places tried before a lesion shrinks by a tenth (D)."""

WALLS = (
    *("liver", "liver_vein", "spleen", "muscle", "skin", "lung", "cortical_bone", "red_marrow"),
    *("disc", "csf", "arterial_blood", "venous_blood", "portal_blood", "heart_blood"),
)
"""What does not give way to a tumour of the kidney; fat and bowel do (D)."""


def sample_kidney_masses(
    person: AbdomenPatient, rng: np.random.Generator
) -> tuple[tuple[Kind, LobulatedMass], ...]:
    """Place one to three tumours, and up to three cysts, on a person's kidneys.

    Args:
        person: whose kidneys.
        rng: source of randomness.

    Returns:
        Kind and shape, tumours first.
    """
    tumours = 1 + int(rng.choice(len(TUMOUR_SHARE), p=TUMOUR_SHARE))
    cysts = int(rng.choice(len(CYST_SHARE), p=CYST_SHARE))
    kinds: list[Kind] = [*(["tumour"] * tumours), *(["cyst"] * cysts)]  # type: ignore[list-item]
    found: list[tuple[Kind, LobulatedMass]] = []
    for kind in kinds:
        median, spread = DIAMETER_MM[kind]
        wanted = median * float(rng.lognormal(0.0, spread))
        radius = 0.5 * float(np.clip(wanted, *RANGE_MM[kind]))
        shape = rng.lognormal(0.0, 0.1 if kind == "tumour" else 0.04, 3)
        shape /= np.prod(shape) ** (1.0 / 3.0)
        axes = (float(shape[0]), float(shape[1]), float(shape[2]))
        wave_seed = int(rng.integers(2**31))
        centre = _place(person, radius, rng)
        tries = 1
        while not _free(centre, radius, [mass for _, mass in found]):
            if tries % TRIES == 0:
                radius *= 0.9
            centre = _place(person, radius, rng)
            tries += 1
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        found.append((kind, LobulatedMass(place, radius, axes, wave_seed)))
    return tuple(found)


def kidney_room(person: AbdomenPatient, base: Anatomy) -> FloatArray:
    """Share of each voxel, (I, J, K), that a mass of the kidney may take: not :data:`WALLS`."""
    frame = build_frame(person, base.grid)
    inside = np.clip(frame.cavity_mm / frame.pixel_mm + 0.5, 0.0, 1.0)
    return np.asarray(inside * (1.0 - base.fraction(*WALLS)), np.float32)


def _place(person: AbdomenPatient, radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
    r"""Centre of a mass, LPS: along a direction d from the middle of a kidney.

    .. math:: p = p_0 + \max(R(d) + e\,r,\ 0.3\,R(d))\,d, \qquad R(d) = |d / s|^{-1}

    with the kidney's semi-axes s and e from :data:`OUTSIDE`.
    """
    side: Side = "right" if rng.random() < 0.5 else "left"
    number = 0 if side == "right" else 1
    direction = rng.standard_normal(3)
    # away from the hilum, where the vessels are
    direction[0] = abs(direction[0])
    # rather to the front, where there is room
    direction[1] += FORWARD
    direction /= np.linalg.norm(direction)
    # R(d), distance of the kidney's surface
    reach = 1.0 / float(np.linalg.norm(direction / np.array(person.kidney_mm[number])))
    away = max(reach + float(rng.uniform(*OUTSIDE)) * radius, 0.3 * reach)
    turned = kidney_turn(person, side).T @ direction
    return np.asarray(np.array(person.kidney_place_mm[number]) + away * turned)


def _free(centre: NDArray[np.float64], radius: float, masses: list[LobulatedMass]) -> bool:
    # 1.25: the longest semi-axis with its waves
    return all(
        np.linalg.norm(centre - np.array(m.centre_mm)) > 1.25 * (radius + m.radius_mm) + GAP_MM
        for m in masses
    )
