"""The soft part of a chest: wall, lungs and lobes, mediastinum, heart, belly, airways, vessels."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import Box, FloatArray, Grid, Layer, ellipsoid, soft
from medkd_lib.phantom.opacities import LOBES, Lobe
from medkd_lib.phantom.thorax_frame import ThoraxFrame
from medkd_lib.phantom.tubes import Tubes, polyline, tube_layer


def body_wall(frame: ThoraxFrame) -> list[Layer]:
    """Skin, fat under it, muscle under that, and a layer of fat for a breast on each side."""
    patient, grid = frame.patient, frame.grid
    x, y, z = grid.coordinates()
    # outline seen from the front: neck in the middle, shoulders sloping down from it
    neck = 58.0 + 0.4 * patient.fat_mm
    slope = patient.apex_mm + 34.0 - 0.30 * np.maximum(np.abs(x) - neck, 0.0)
    top = np.where(np.abs(x) < neck, 4.0 * (neck - np.abs(x)), 0.0) + slope
    depth = frame.body.depth_mm()
    # shoulders are round from front to back: lower the top by y²/250
    np.minimum(depth, (top - z).astype(np.float32) - y**2 / np.float32(250.0), out=depth)
    depth /= frame.body.voxel_mm
    muscle_depth = depth - (np.float32(2.0 + patient.fat_mm) / frame.body.voxel_mm)
    fat_depth = depth - np.float32(2.0) / frame.body.voxel_mm
    everything = grid.everything
    layers = [
        Layer("skin", "skin", everything, soft(depth)),
        Layer("fat", "adipose", everything, soft(fat_depth)),
        Layer("muscle", "muscle", everything, soft(muscle_depth)),
    ]
    if not patient.male:
        half_width, half_depth, _ = patient.cage_mm
        thick = 14.0 + 0.7 * patient.fat_mm
        front = -(half_depth + 18.0 + 0.45 * patient.fat_mm)
        for number, sign in enumerate((-1.0, 1.0)):
            centre = (sign * 0.62 * half_width, front, patient.apex_mm - 0.62 * patient.cage_mm[2])
            layers.append(
                ellipsoid(grid, f"breast {number}", "adipose", centre, (58.0, thick, 55.0))
            )
    return layers


def lungs(frame: ThoraxFrame) -> tuple[list[Layer], dict[Lobe, Layer]]:
    """Both lungs and the five lobes that share them out.

    Returns:
        Two layers ``"lung right"`` and ``"lung left"``, and one layer per lobe. A lobe's
        membership includes the lung's soft edge, so the lobes of a side add up to its lung.
    """
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, length = patient.cage_mm
    low_z, high_z = patient.apex_mm - 1.35 * length, patient.apex_mm
    layers: list[Layer] = []
    lobes: dict[Lobe, Layer] = {}
    for side, sign in (("right", -1.0), ("left", 1.0)):
        near, far = sorted((sign * 8.0, sign * (half_width + 4.0)))
        box = grid.box((near, -half_depth - 6.0, low_z), (far, half_depth + 12.0, high_z))
        x, y, z = grid.coordinates(box)
        i, j, k = box
        rho, scale = frame.cage.rho[i, j], frame.cage.mm_per_rho[i, j] / frame.cage.voxel_mm[i, j]
        depth = frame.cage.profile[:, :, k] - rho
        depth *= scale
        # the dome is steep at the back: a voxel column leaves it over more than one voxel
        np.minimum(depth, (z - frame.diaphragm_mm[i, j]) * np.float32(0.35), out=depth)
        np.minimum(depth, (np.abs(x) - _mediastinum(frame, y, z)) * np.float32(0.5), out=depth)
        lung = soft(depth)
        layers.append(Layer(f"lung {side}", "lung", box, lung))
        lobes |= _lobes(side, lung, box, frame)
    return layers, lobes


def _mediastinum(frame: ThoraxFrame, y: FloatArray, z: FloatArray) -> FloatArray:
    """Half width in mm of what lies between the lungs, (1, J, K): narrow in front, waisted."""
    patient = frame.patient
    t = (patient.apex_mm - z) / patient.cage_mm[2]
    knob = 0.10 * np.exp(-(((t - 0.28) / 0.1) ** 2))
    lower = 0.40 / (1.0 + np.exp(-(t - 0.42) / 0.03))
    front = 1.0 / (1.0 + np.exp(-(y + 0.40 * patient.cage_mm[1]) / 8.0))
    width = patient.mediastinum_mm * (0.86 + knob - lower) * (0.10 + 0.90 * front)
    return np.asarray(width, np.float32)


def mediastinal_fat(frame: ThoraxFrame) -> Layer:
    """Fat, thinned with vessels and gullet, that fills the cage wherever the lungs do not."""
    patient, grid = frame.patient, frame.grid
    half_depth = patient.cage_mm[1]
    low = min(patient.dome_mm)
    box = grid.box((-48.0, -half_depth, low), (48.0, half_depth + 8.0, patient.apex_mm))
    i, j, k = box
    depth = frame.cage.profile[:, :, k] - frame.cage.rho[i, j]
    depth *= frame.cage.mm_per_rho[i, j] / frame.cage.voxel_mm[i, j]
    return Layer("mediastinal fat", "adipose", box, soft(depth) * np.float32(0.7))


def _lobes(side: str, lung: FloatArray, box: Box, frame: ThoraxFrame) -> dict[Lobe, Layer]:
    """Cut a lung along its fissures: the oblique one, and on the right the horizontal one."""
    patient = frame.patient
    _, y, z = frame.grid.coordinates(box)
    middle = patient.apex_mm - 0.52 * patient.cage_mm[2]
    # oblique fissure: from the fourth vertebra behind to the diaphragm in front
    above = np.clip((z - (middle + 0.95 * y)) / 4.0 + 0.5, 0.0, 1.0).astype(np.float32)
    if side == "left":
        parts: dict[Lobe, FloatArray] = {"LUL": above, "LLL": 1.0 - above}
    else:
        top = np.clip((z - middle) / 2.0 + 0.5, 0.0, 1.0).astype(np.float32)
        parts = {"RUL": above * top, "RML": above * (1.0 - top), "RLL": 1.0 - above}
    return {lobe: Layer(lobe, "lung", box, lung * parts[lobe]) for lobe in LOBES if lobe in parts}


def heart_and_vessels(frame: ThoraxFrame) -> list[Layer]:
    """Heart, great vessels, aortic knob and the roots of the lungs."""
    patient, grid = frame.patient, frame.grid
    _, half_depth, length = patient.cage_mm
    size = patient.heart_mm
    floor = 0.5 * sum(patient.dome_mm)
    front = -0.22 * half_depth
    arch = patient.apex_mm - 0.27 * length
    middle = floor + 0.60 * size
    return [
        ellipsoid(grid, "heart", "blood", (0.36 * size, front, middle),
                  (0.78 * size, 0.78 * size, 1.12 * size), patient.heart_tilt_deg),
        ellipsoid(grid, "right atrium", "blood", (-0.24 * size, front + 8.0, middle + 4.0),
                  (0.56 * size, 0.6 * size, 0.82 * size)),
        ellipsoid(grid, "heart base", "blood", (0.05 * size, front + 6.0, middle + 0.75 * size),
                  (0.62 * size, 0.5 * size, 0.75 * size)),
        ellipsoid(grid, "aortic knob", "blood", (20.0, 16.0, arch), (18.0, 26.0, 17.0)),
        ellipsoid(grid, "hilum right", "blood", (-36.0, 4.0, arch - 42.0), (11.0, 15.0, 20.0),
                  18.0),
        ellipsoid(grid, "hilum left", "blood", (36.0, 4.0, arch - 33.0), (11.0, 15.0, 19.0), -18.0),
    ]  # fmt: skip


def belly(frame: ThoraxFrame) -> list[Layer]:
    """Liver under the right dome, air in the stomach under the left one."""
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, _ = patient.cage_mm
    right, left = patient.dome_mm
    air = patient.stomach_air_mm
    liver = ellipsoid(
        grid, "liver", "liver", (-0.4 * half_width, 0.0, right - 85.0),
        (0.72 * half_width, 0.85 * half_depth, 78.0),
    )  # fmt: skip
    stomach = ellipsoid(
        grid, "stomach air", "air", (0.42 * half_width, -8.0, left - 14.0 - 0.6 * air),
        (1.2 * air, air, 0.6 * air),
    )  # fmt: skip
    return [liver, stomach]


def airways(frame: ThoraxFrame) -> Layer:
    """Trachea and main bronchi, filled with air."""
    patient, grid = frame.patient, frame.grid
    carina = patient.apex_mm - 0.36 * patient.cage_mm[2]
    top = grid.shape[2] / 2 * grid.spacing_mm[2] - 4.0
    places = {
        "trachea": ([[0.0, 2.0, top], [1.0, 8.0, carina + 40.0], [-3.0, 16.0, carina]], 8.0),
        "right": ([[-3.0, 16.0, carina], [-34.0, 18.0, carina - 30.0]], 6.5),
        "left": ([[-3.0, 16.0, carina], [44.0, 18.0, carina - 28.0]], 5.5),
    }
    pieces = [polyline(np.array(points), radius) for points, radius in places.values()]
    tubes = Tubes(
        np.concatenate([p.start_mm for p in pieces]),
        np.concatenate([p.end_mm for p in pieces]),
        np.concatenate([p.radius_mm for p in pieces]),
    )
    return tube_layer("airways", "air", tubes, grid)


def vessel_tree(frame: ThoraxFrame, side: str) -> Tubes:
    r"""Pulmonary vessels of one side: a random tree that branches and tapers from the hilum.

    Each generation splits in two, :math:`r_{g+1} = 0.76\,r_g` (Murray's cube law gives
    :math:`2^{-1/3} = 0.79` †) and :math:`\ell_{g+1} = 0.8\,\ell_g`; lower vessels are
    larger (gravity).
    """
    patient = frame.patient
    rng = np.random.default_rng([patient.vessel_seed, int(side == "left")])
    sign = 1.0 if side == "left" else -1.0
    hilum = np.array([sign * 36.0, 4.0, patient.apex_mm - 0.41 * patient.cage_mm[2]])
    reach = patient.cage_mm[2] / 260.0
    # first generation: a fan from straight up, over sideways, to straight down
    fan = np.deg2rad(np.array([72.0, 45.0, 15.0, -15.0, -42.0, -68.0, -84.0]))
    depth = rng.uniform(-0.7, 0.8, len(fan))
    heading = np.stack([sign * np.cos(fan), depth, np.sin(fan)], axis=1)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    start = np.repeat(hilum[None], len(fan), axis=0)
    radius = 3.5 * patient.vessel_scale * patient.cuffing * np.where(fan < 0.3, 1.1, 0.85)
    length = 34.0 * reach * rng.uniform(0.8, 1.2, len(fan))
    starts, ends, radii = [], [], []
    for _ in range(6):
        end = start + heading * length[:, None]
        starts.append(start)
        ends.append(end)
        radii.append(radius)
        start = np.repeat(end, 2, axis=0)
        turn = rng.normal(0.0, 0.38, (len(end), 3))
        turn = np.stack([turn, -turn], axis=1).reshape(-1, 3) + rng.normal(
            0, 0.1, (2 * len(end), 3)
        )
        heading = np.repeat(heading, 2, axis=0) + turn
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        radius = np.repeat(radius, 2) * 0.76
        length = np.repeat(length, 2) * 0.8 * rng.uniform(0.75, 1.2, 2 * len(end))
    return Tubes(np.concatenate(starts), np.concatenate(ends), np.concatenate(radii))


def vessels_in_lung(frame: ThoraxFrame, lung: Layer, side: str) -> Layer:
    """Draw the vessel tree as blood, kept inside the lung."""
    tree = tube_layer(f"vessels {side}", "blood", vessel_tree(frame, side), frame.grid, 2.0)
    return clip_to(tree, lung, frame.grid)


def clip_to(layer: Layer, inside: Layer, grid: Grid) -> Layer:
    """Multiply the layer by another one's membership, in their common box."""
    box = tuple(
        slice(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start)))
        for a, b in zip(layer.box, inside.box, strict=True)
    )
    own = tuple(
        slice(c.start - a.start, c.stop - a.start) for c, a in zip(box, layer.box, strict=True)
    )
    other = tuple(
        slice(c.start - b.start, c.stop - b.start) for c, b in zip(box, inside.box, strict=True)
    )
    member = layer.membership[own] * inside.membership[other]
    return Layer(layer.name, layer.tissue, (box[0], box[1], box[2]), member)
