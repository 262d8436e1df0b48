"""The muscles of a thigh: a power diagram of their bellies, parted by fat, rounded at corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, soft
from medkd_lib.phantom.thigh_build import LENGTH_MM
from medkd_lib.phantom.thigh_frame import ThighFrame
from medkd_lib.phantom.thigh_waves import draw_waves, wave_field

ROUND_MM = 1.9
"""How much the corners between three muscles are rounded (D)."""


@dataclass(frozen=True)
class Belly:
    """One seed of the power diagram, in radii of the fascia; a muscle may have several.

    Attributes:
        muscle: name.
        u, v: outwards and backwards at mid-thigh.
        du, dv: how much further per 200 mm towards the hip.
        weight: added to the seed's power; a strap muscle has a negative one.
        septum: half width of the fat around it, in units of the patient's.
        fatty: how much fat it holds, in units of the patient's infiltration.
    """

    muscle: str
    u: float
    v: float
    du: float = 0.0
    dv: float = 0.0
    weight: float = 0.0
    septum: float = 1.0
    fatty: float = 1.0


# D, after the look of the thigh in the real crops: extensors in front of the femur, adductors
# on the inner side, flexors behind.
BELLIES: tuple[Belly, ...] = (
    Belly("rectus femoris", 0.06, -0.74, 0.0, 0.04, -0.03, 1.1, 0.7),
    Belly("vastus lateralis", 0.62, -0.44, 0.0, 0.05, 0.02, 0.45, 0.7),
    Belly("vastus lateralis", 0.78, -0.02, 0.0, 0.0, 0.03, 0.45, 0.7),
    Belly("vastus lateralis", 0.55, 0.22, -0.1, 0.0, -0.08, 0.45, 0.7),
    Belly("vastus intermedius", 0.18, -0.36, 0.0, 0.0, 0.0, 0.4, 0.6),
    Belly("vastus intermedius", 0.38, -0.10, 0.0, 0.0, -0.02, 0.4, 0.6),
    Belly("vastus medialis", -0.36, -0.50, 0.15, 0.05, 0.02, 0.6, 0.7),
    Belly("vastus medialis", -0.14, -0.22, 0.1, 0.0, -0.04, 0.6, 0.7),
    Belly("sartorius", -0.66, -0.58, 0.38, -0.32, -0.10, 1.7, 1.3),
    Belly("adductor longus", -0.52, -0.14, 0.0, -0.08, -0.03, 1.0, 1.0),
    Belly("adductor magnus", -0.36, 0.24, 0.0, 0.0, 0.05, 0.9, 1.1),
    Belly("adductor magnus", -0.02, 0.20, 0.0, 0.05, -0.03, 0.9, 1.1),
    Belly("gracilis", -0.88, 0.14, 0.0, -0.10, -0.07, 1.6, 1.2),
    Belly("semimembranosus", -0.50, 0.62, 0.05, 0.0, 0.03, 1.5, 1.5),
    Belly("semitendinosus", -0.10, 0.82, 0.0, 0.0, -0.03, 1.5, 1.5),
    Belly("biceps femoris", 0.34, 0.70, -0.08, 0.03, 0.03, 1.5, 1.5),
    Belly("biceps femoris short head", 0.30, 0.36, 0.0, 0.0, -0.10, 1.2, 1.3),
)


def _seed(frame: ThighFrame, belly: Belly) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seed position and power weight along z, in mm and mm², each (1, 1, K)."""
    turn = np.deg2rad(frame.patient.rotation_deg)
    c, s = float(np.cos(turn)), float(np.sin(turn))
    up = frame.z / np.float32(LENGTH_MM)
    u, v = belly.u + belly.du * up, belly.v + belly.dv * up
    # outward rotation carries the front of the thigh outwards
    return (
        (c * u - s * v) * frame.fascia_mm,
        (s * u + c * v) * frame.fascia_mm,
        belly.weight * frame.fascia_mm**2,
    )


def _power(frame: ThighFrame, belly: Belly) -> FloatArray:
    cu, cv, weight = _seed(frame, belly)
    power = (frame.u - cu) ** 2
    power += (frame.v - cv) ** 2
    power -= weight
    return power


def muscles(frame: ThighFrame) -> tuple[FloatArray, FloatArray]:
    r"""Membership of all muscles together, and the share of fat marbled into them.

    The seed of least power :math:`P_a = |p - c_a|^2 - w_a` owns the voxel; its distance to the
    wall of seed b is :math:`g_b = (P_b - P_a) / (2 |c_a - c_b|)`, and the distance to everything
    is a soft minimum that rounds corners,

    .. math:: d = -k \log\Big(e^{-d_\text{fascia}/k} + \sum_b e^{-(g_b - s_a)/k}\Big)

    over the b of other muscles; each belly draws back from those walls by half a septum s.
    """
    patient = frame.patient
    shape = frame.u.shape
    best = np.full(shape, np.inf, np.float32)
    owner = np.zeros(shape, np.int8)
    for number, belly in enumerate(BELLIES):
        power = _power(frame, belly)
        owner[power < best] = number
        np.minimum(best, power, out=best)

    names = [belly.muscle for belly in BELLIES]
    place = np.array([(b.u, b.v) for b in BELLIES]) * patient.muscle_mm
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    same = np.array([[a == b for b in names] for a in names])
    # 1/(2 k |c_a − c_b|); walls inside a muscle are infinitely far
    slope = np.where(same, 0.0, 0.5 / ROUND_MM / np.maximum(apart, 1.0)).astype(np.float32)
    septum = np.array([b.septum for b in BELLIES], np.float32) * np.float32(patient.septum_mm)
    draw_back = septum / np.float32(ROUND_MM)
    total = np.exp(np.maximum(frame.fascia_depth, -60.0) * np.float32(-1.0 / ROUND_MM))
    for number, belly in enumerate(BELLIES):
        gap = _power(frame, belly)
        gap -= best
        gap *= -slope[number][owner]
        gap += draw_back[owner]
        np.exp(gap, out=gap)
        gap *= ~same[number][owner]
        total += gap
    depth = np.log(total, out=total)
    depth *= np.float32(-ROUND_MM)
    depth /= frame.pixel_mm

    # fat between fascicles: thin curved sheets, where a second field lets them be
    rng = np.random.default_rng(patient.wave_seed + 1)
    axes = frame.grid.coordinates()
    sheets = np.abs(wave_field(axes, draw_waves(rng, (17.0, 17.0, 150.0), 32)))
    where = wave_field(axes, draw_waves(rng, (55.0, 55.0, 120.0), 16))
    fatty = np.array([b.fatty for b in BELLIES], np.float32) * np.float32(patient.infiltration)
    # E[max(1 − |w|/0.3, 0)] = 0.119 and E[max(0.5 + w, 0)] = 0.698 for unit normal w
    marbling = np.maximum(1.0 - sheets / np.float32(0.3), 0.0)
    marbling *= np.maximum(where + np.float32(0.5), 0.0)
    marbling *= fatty[owner] / np.float32(0.119 * 0.698)
    return soft(depth), np.minimum(marbling, np.float32(0.7))
