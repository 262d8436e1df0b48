"""Tumours painted over a brain: necrosis, rim, core and oedema as layers with exact volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Grid, Layer, soft
from medkd_lib.phantom.brain import BrainAnatomy, voxelise_brain
from medkd_lib.phantom.brain_frame import frame_box, refine
from medkd_lib.phantom.brain_lesions import Lesion, Tumour
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import Points, cerebellum_depth

ENHANCING: Mapping[Tumour, str] = MappingProxyType(
    {"glioma": "tumour", "metastasis": "metastasis", "meningioma": "meningioma"}
)
"""Tissue of the enhancing part."""

LABEL_TISSUES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {1: ("necrosis", "tumour_core"), 2: ("oedema",), 3: tuple(ENHANCING.values())}
)
"""BraTS 2023 label ids: 1 necrosis and non-enhancing core, 2 oedema, 3 enhancing tumour."""

TENTORIUM_COST_MM = 40.0
"""So much further away lies, for oedema, what is beyond the tentorium (D)."""

GREY_COST_MM, MIDLINE_COST, WAY_MM = 18.0, 2.5, 1.4
"""Oedema enters grey matter as if it lay this much further away, and hardly crosses over (D)."""


def voxelise_tumours(patient: BrainPatient, lesions: Sequence[Lesion], grid: Grid) -> BrainAnatomy:
    """Draw a brain with its tumours, displaced by them."""
    pushes = [lesion.push for lesion in lesions]
    brain = voxelise_brain(patient, grid, pushes=[p for p in pushes if p is not None])
    if not lesions:
        return brain
    white = brain.fraction("white_matter")
    fluid = brain.fraction("csf")
    wet: list[Layer] = []
    solid: list[Layer] = []
    for number, lesion in enumerate(lesions):
        below, above = _lesion_layers(f"lesion {number}", lesion, brain, white, fluid)
        wet += below
        solid += above
    # all oedema lies below all tumours: two neighbours share it
    return replace(brain, layers=brain.layers + tuple(wet) + tuple(solid))


def label_map(anatomy: Anatomy) -> NDArray[np.uint8]:
    """BraTS 2023 labels from the anatomy's own fractions, never from an image.

    A voxel belongs to the tumour if necrosis, core, rim and oedema take at least half of it; its
    label is the one with the largest share.
    """
    shares = np.stack([anatomy.fraction(*tissues) for tissues in LABEL_TISSUES.values()])
    ids = np.array(list(LABEL_TISSUES), np.uint8)
    return np.where(shares.sum(axis=0) >= 0.5, ids[shares.argmax(axis=0)], 0).astype(np.uint8)


def volume_level(field: FloatArray, target_ml: float, room: FloatArray, voxel_ml: float) -> float:
    """Threshold below which the room in ``field`` adds up to the target.

    Args:
        field: any shape; small where a lesion begins.
        target_ml: volume wanted; the largest value of the field if there is less room.
        room: share of each voxel that may be filled, 0…1, same shape.
        voxel_ml: volume of a voxel.
    """
    # voxels without room add nothing: sorting the others alone gives the same threshold
    free = room.reshape(-1) > 0
    values, rooms = field.reshape(-1)[free], room.reshape(-1)[free]
    order = np.argsort(values)
    volume = np.cumsum(rooms[order], dtype=np.float64) * voxel_ml
    at = min(int(np.searchsorted(volume, target_ml)), len(order) - 1)
    return float(values[order[at]])


def _lesion_layers(
    name: str, lesion: Lesion, brain: BrainAnatomy, white: FloatArray, fluid: FloatArray
) -> tuple[list[Layer], list[Layer]]:
    """Layers that go below every tumour, and those of this one."""
    grid, patient = brain.grid, brain.patient
    radius = lesion.radius_mm / patient.mean_scale
    whole = (3000.0 * (lesion.mass_ml + lesion.oedema_ml) / (4.0 * np.pi)) ** (1.0 / 3.0)
    reach = 1.5 * radius + (3.0 + 1.5 * whole / patient.mean_scale if lesion.oedema_ml else 4.0)
    centre = np.array(lesion.centre_mm)
    box = frame_box(patient, grid, tuple(centre - reach), tuple(centre + reach), margin_mm=4.0)
    p = Points(*(refine(a, brain.fields, brain.fields_box, grid, box) for a in brain.frame))
    voxel = float(np.prod(grid.spacing_mm)) ** (1.0 / 3.0) / patient.mean_scale
    inside = brain.inside[box]

    local = Points(
        *((a - np.float32(c)) / np.float32(radius) for a, c in zip(p, centre, strict=True))
    )
    distance = np.sqrt(local.u**2 + local.v**2 + local.w**2) * np.float32(radius)
    wavy, inner, fingers = lesion.texture
    outer = distance / np.clip(1.0 + lesion.rough * wavy(*local), 0.5, 1.6)
    allowed = inside
    if lesion.at_falx:
        sign = 1.0 if lesion.side == "left" else -1.0
        allowed = inside & (sign * p.u > 0.8)

    def mass_level(target_ml: float) -> float:
        if target_ml / grid.voxel_ml < 60.0 and lesion.kind == "metastasis":
            # too few voxels to count: the radius of the ball
            ball = (3000.0 * target_ml / (4.0 * np.pi)) ** (1.0 / 3.0)
            return ball / patient.mean_scale
        return volume_level(outer, target_ml, allowed.astype(np.float32), grid.voxel_ml)

    def layer(part: str, tissue: str, member: FloatArray) -> Layer:
        member = member.astype(np.float32)
        member *= allowed if part != "oedema" else inside
        return Layer(f"{name} {part}", tissue, box, member)

    edge = mass_level(lesion.mass_ml)
    rim = mass_level(lesion.mass_ml - lesion.core_ml) if lesion.core_ml else edge
    below, above = [], []
    if lesion.oedema_ml:
        cost = (outer - edge) / np.clip(1.0 + 0.3 * fingers(*local), 0.45, 1.9)
        # fingers end smoothly: the way is through white matter, not voxel by voxel
        way = gaussian_filter(white[box], [WAY_MM / s for s in grid.spacing_mm])
        cost += np.float32(GREY_COST_MM) * (1.0 - way)
        over = p.u if lesion.side == "right" else -p.u
        cost += np.float32(MIDLINE_COST) * np.maximum(over, 0.0)
        # the tentorium holds water back on either side
        home = cerebellum_depth(Points(*(np.array([c], np.float32) for c in centre)))[0] > 0.0
        cerebellum = cerebellum_depth(p)
        beyond = cerebellum < -4.0 if home else cerebellum > -1.0
        cost += np.where(beyond, np.float32(TENTORIUM_COST_MM), 0.0)
        wettable = np.clip(1.0 - fluid[box], 0.0, 1.0) * inside
        room = wettable * (outer > edge)
        depth = volume_level(cost, lesion.oedema_ml, room, grid.voxel_ml) - cost
        below.append(layer("oedema", "oedema", soft(depth / (2.0 * voxel)) * wettable))
    if lesion.kind == "meningioma":
        # pushed cortex and a cleft of fluid between it and the tumour
        uneven = np.clip(0.6 + 0.5 * fingers(*local), 0.0, 1.0)
        shell = soft((edge + 1.0 + 2.6 * uneven - outer) / voxel) * (1.0 - fluid[box])
        above.append(layer("cortex", "grey_matter", 0.85 * shell))
        cleft = soft((edge + 0.9 - outer) / voxel) * np.clip(inner(*local), 0.0, 0.85)
        above.append(layer("cleft", "csf", cleft))
    if lesion.core_ml:
        above.append(layer("core", "tumour_core", soft((edge - outer) / voxel)))
    above.append(layer("enhancing", ENHANCING[lesion.kind], soft((rim - outer) / voxel)))
    if lesion.necrosis_ml:
        cavity = outer * np.clip(1.0 + 0.22 * inner(*local), 0.6, 1.5)
        middle = volume_level(cavity, lesion.necrosis_ml, allowed.astype(np.float32), grid.voxel_ml)
        depth = np.minimum(middle - cavity, rim - outer - 1.2)
        above.append(layer("necrosis", "necrosis", soft(depth / voxel)))
    return below, above
