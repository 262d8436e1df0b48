"""What lies between the lungs, as slices show it: heart, great vessels, airways, gullet, nodes.

All places are D: proportions of an adult as anatomy books give them, scaled to the patient's heart
and rib cage. The coordinates are the patient's (LPS, mm).
"""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import Layer
from medkd_lib.phantom.chest_shapes import Point, capsules, turned_ellipsoid
from medkd_lib.phantom.thorax_frame import ThoraxFrame
from medkd_lib.phantom.thorax_patient import ThoraxPatient

HEART_AXIS: Point = (0.66, -0.55, -0.51)
"""Towards the apex: to the left, to the front, down."""

WALL_MM = 1.6
"""Wall of trachea and bronchi."""

NODE_COUNT = 9
"""Lymph nodes of ordinary size, 3 to 5 mm in radius."""


def levels(patient: ThoraxPatient) -> dict[str, float]:
    """Heights in mm of the places that vessels and airways are hung on."""
    apex, length = patient.apex_mm, patient.cage_mm[2]
    return {
        "top": apex + 40.0,
        "arch": apex - 0.26 * length,
        "carina": apex - 0.36 * length,
        "pulmonary": apex - 0.44 * length,
        "heart": 0.5 * sum(patient.dome_mm) + 0.60 * patient.heart_mm,
        "floor": min(patient.dome_mm) - 30.0,
    }


def hilum_mm(patient: ThoraxPatient, side: str) -> Point:
    """Root of a lung."""
    sign = 1.0 if side == "left" else -1.0
    return sign * 40.0, 8.0, levels(patient)["pulmonary"] - 8.0


def heart(frame: ThoraxFrame) -> list[Layer]:
    """Muscle with four chambers in it."""
    patient, grid = frame.patient, frame.grid
    size = patient.heart_mm
    c = np.array([0.24 * size, -0.22 * patient.cage_mm[1], levels(patient)["heart"]])

    def at(x: float, y: float, z: float) -> Point:
        place = c + size * np.array([x, y, z])
        return float(place[0]), float(place[1]), float(place[2])

    up: Point = (0.2, 0.1, 1.0)
    return [
        turned_ellipsoid(grid, "heart", "myocardium", at(0, 0, 0), (1.08 * size, 0.74 * size),
                         HEART_AXIS),
        turned_ellipsoid(grid, "left atrium", "blood", at(-0.14, 0.62, 0.52),
                         (0.36 * size, 0.55 * size), (0.0, 1.0, 0.35)),
        turned_ellipsoid(grid, "right atrium", "blood", at(-0.66, 0.16, 0.16),
                         (0.52 * size, 0.42 * size), up),
        turned_ellipsoid(grid, "right ventricle", "blood", at(-0.06, -0.32, -0.02),
                         (0.84 * size, 0.33 * size), HEART_AXIS),
        turned_ellipsoid(grid, "left ventricle", "blood", at(0.22, 0.14, -0.05),
                         (0.72 * size, 0.30 * size), HEART_AXIS),
    ]  # fmt: skip


def heart_fat(frame: ThoraxFrame) -> Layer:
    """Fat on the heart, most of it in front and to the left."""
    patient, grid = frame.patient, frame.grid
    size = patient.heart_mm
    centre = (0.30 * size, -0.22 * patient.cage_mm[1] - 0.07 * size, levels(patient)["heart"])
    thick = 0.5 + 0.05 * patient.fat_mm
    semi = (1.08 * size + thick, 0.74 * size + thick)
    return turned_ellipsoid(grid, "heart fat", "adipose", centre, semi, HEART_AXIS, 0.9)


def great_vessels(frame: ThoraxFrame) -> list[Layer]:
    """Aorta, its branches, both venae cavae's upper one, pulmonary trunk, arteries and veins."""
    patient, grid = frame.patient, frame.grid
    at = levels(patient)
    back = 0.5 * patient.cage_mm[1]
    top, arch, carina, pulmonary, floor = (
        at[k] for k in ("top", "arch", "carina", "pulmonary", "floor")
    )
    aorta: list[Point] = [
        (4, -8, pulmonary - 26), (-10, -20, pulmonary - 2), (-12, -22, carina),
        (-4, -20, arch - 6), (10, -15, arch), (20, 1, arch), (23, 19, arch - 3),
        (21, back - 3, carina), (19, back, pulmonary), (16, back + 2, pulmonary - 60),
        (8, back + 2, floor),
    ]  # fmt: skip
    drawn: dict[str, tuple[list[Point], list[float]]] = {
        "aorta": (aorta, [16, 15, 14, 13, 12, 12, 11.5, 11, 10.5, 10, 10]),
        "brachiocephalic artery": ([(-4, -18, arch), (-14, -12, top)], [6, 5]),
        "left carotid": ([(9, -14, arch), (14, -6, top)], [4.5, 4]),
        "left subclavian": ([(19, 4, arch), (26, 6, top)], [5, 4.5]),
        "upper vena cava": (
            [(-30, -14, top), (-23, -14, arch + 12), (-23, -8, carina), (-22, -4, pulmonary - 25)],
            [6, 8, 9, 9.5],
        ),
        "left brachiocephalic vein": ([(30, -20, arch + 34), (-20, -20, arch + 14)], [6, 6.5]),
        "pulmonary trunk": ([(16, -30, pulmonary - 24), (15, -22, pulmonary)], [14, 13]),
        "left pulmonary artery": (
            [(15, -20, pulmonary), (28, 2, pulmonary + 3), (41, 12, pulmonary - 4),
             (45, 20, pulmonary - 36)],
            [12, 10, 8.5, 5.5],
        ),
        "right pulmonary artery": (
            [(14, -18, pulmonary), (0, 0, pulmonary), (-24, 3, pulmonary - 3),
             (-40, 8, pulmonary - 8), (-44, 18, pulmonary - 40)],
            [11, 9.5, 9, 8, 5.5],
        ),
        "left veins": ([(12, 16, at["heart"] + 30), (42, 10, pulmonary - 24)], [7, 5]),
        "right veins": ([(-16, 16, at["heart"] + 30), (-42, 8, pulmonary - 28)], [7, 5]),
        "azygos vein": ([(-7, back + 1, arch - 8), (-6, back + 3, floor)], [4, 3.5]),
    }  # fmt: skip
    return [capsules(grid, name, "blood", *places) for name, places in drawn.items()]


def gullet_and_nodes(frame: ThoraxFrame, seed: int) -> list[Layer]:
    """Gullet before the spine, and small nodes around the airways."""
    patient, grid = frame.patient, frame.grid
    at = levels(patient)
    front = 0.70 * patient.cage_mm[1] - 19.0
    gullet: list[Point] = [(3, 20, at["top"]), (3, 27, at["carina"] + 20),
                           (1, front, at["pulmonary"]), (7, front, at["floor"])]  # fmt: skip
    layers = [capsules(grid, "gullet", "muscle", gullet, 5.5)]
    rng = np.random.default_rng(seed)
    for number in range(NODE_COUNT):
        side = 1.0 if rng.random() < 0.5 else -1.0
        high = at["pulmonary"] + float(rng.uniform(-28.0, 46.0))
        place = (side * float(rng.uniform(8.0, 32.0)), float(rng.uniform(-14.0, 22.0)), high)
        radius = float(rng.uniform(3.0, 5.0))
        layers.append(
            turned_ellipsoid(
                grid, f"node {number}", "node", place, (1.4 * radius, radius), (0.2, 0.3, 1.0)
            )
        )
    return layers


def airways(frame: ThoraxFrame) -> list[Layer]:
    """Trachea and main bronchi: a thin wall, then air."""
    patient, grid = frame.patient, frame.grid
    at = levels(patient)
    carina = at["carina"]
    fork: Point = (-3.0, 15.0, carina)
    tubes: list[tuple[list[Point], list[float]]] = [
        ([(0, 2, at["top"] + 40), (1, 9, carina + 40), fork], [9, 9, 9.5]),
        ([fork, (-32, 16, carina - 24), (-46, 20, carina - 48)], [7, 6.5, 4]),
        ([fork, (30, 17, carina - 24), (46, 20, carina - 44)], [6.5, 5.5, 4]),
    ]
    outer = [[r + WALL_MM for r in radii] for _, radii in tubes]
    walls = [
        capsules(grid, f"airway wall {n}", "muscle", points, radii)
        for n, ((points, _), radii) in enumerate(zip(tubes, outer, strict=True))
    ]
    air = [capsules(grid, f"airway {n}", "air", *tube) for n, tube in enumerate(tubes)]
    return walls + air
