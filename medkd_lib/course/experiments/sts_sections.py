"""Sections of the sarcoma set: windows of one size at random places inside the common field.

The images are crops around the tumour, so their size and middle give the answer away. A window of
fixed size at a random place does not, and it lies where all three modalities know something.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medkd_lib.course.experiments.window_places import (
    Corner,
    upright_windows,
    window_corners,
)
from medkd_lib.data.case import Case
from medkd_lib.data.field import inside_field
from medkd_lib.data.index import Index
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.store import key_of
from medkd_lib.data.volumes import Prepared, Volumes

MODALITIES = ("ct", "mr", "pet")
PIXEL_MM, SLICE_MM, WINDOW_MM = 2.0, 3.27, 80.0
RECIPE = Recipe(
    MODALITIES, "ct_mask", reference="ct", spacing_mm=(PIXEL_MM, PIXEL_MM, SLICE_MM),
    intensity=((-160.0, 240.0), "unit", (0.0, 10.0)),
)  # fmt: skip


def sts_sections(found: Index, *, moving: bool, seed: int) -> Sections:
    """Return all sections of all patients whose modalities share a field as large as a window.

    Args:
        found: the set, or its twin.
        moving: every section has a window of its own, for training; False gives all sections of a
            patient the same one, so that they make a volume.
        seed: of the places.

    Raises:
        ValueError: no patient is left.
    """
    volumes = Volumes(found.manifest, found.cases, RECIPE)
    parts = []
    for number in range(len(volumes)):
        prepared = volumes[number]
        field = common_field(found, prepared)
        rng = np.random.default_rng([seed, number])
        part = _windows(prepared, field, moving, rng)
        if part is not None:
            parts.append(part)
    if not parts:
        raise ValueError(
            f"{found.manifest.id}: expected patients in whom CT, MR and PET share a field of "
            f"{WINDOW_MM:g} mm, found none among {len(volumes)}"
        )
    return joined(parts)


def common_field(
    found: Index, prepared: Prepared, modalities: Sequence[str] = MODALITIES
) -> NDArray[np.bool_]:
    """Return which voxels of a prepared case every one of the modalities has measured."""
    field = np.ones(tuple(prepared.image.shape[1:]), dtype=bool)
    volumes = read_case(prepared.case, found.manifest, modalities)
    for volume in volumes.values():
        field &= inside_field(volume.affine, volume.shape, prepared.affine.numpy(), field.shape)
    return field


def _windows(
    prepared: Prepared, field: NDArray[np.bool_], moving: bool, rng: np.random.Generator
) -> Sections | None:
    """Return a patient's windows, or None where none fits."""
    side = round(WINDOW_MM / PIXEL_MM)
    corners = window_corners(field, side, rng, moving=moving)
    return _cut(prepared, corners, side) if corners else None


def _cut(prepared: Prepared, corners: list[Corner], side: int) -> Sections:
    case: Case = prepared.case
    if prepared.mask is None:
        raise ValueError(f"case {case.id}: sections need a mask; name one in the recipe")

    # [0, 1] of the recipe → [-1, 1]
    images = {
        name: 2 * upright_windows(channel, corners, side).float()[:, None] - 1
        for name, channel in zip(MODALITIES, prepared.image, strict=True)
    }
    mask = (prepared.mask > 0).to(torch.uint8)
    voxel_ml = PIXEL_MM**2 * SLICE_MM / 1000
    volume_ml = np.full(len(corners), float(mask.sum()) * voxel_ml)
    return Sections(
        images,
        upright_windows(mask, corners, side),
        (case.patient,) * len(corners),
        tuple(f"{case.id}/k{k:03d}" for k, _, _ in corners),
        (PIXEL_MM, PIXEL_MM, SLICE_MM),
        {"volume_ml": volume_ml},
        key_of(case=case.id, recipe=RECIPE.as_dict(), corners=corners),
    )
