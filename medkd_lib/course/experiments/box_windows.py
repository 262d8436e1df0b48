"""Lesson 07, boxes: windows of volumes at random places, and the boxes of what their masks show.

For images that were cropped around the answer, see `window_places`: a window has one size, lies at
a random place inside its section, is never padded, and is chosen without a look at the mask. Every
section of a crop is taken, whichever of them the tumour fills.
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.box_sets import BoxWindows
from medkd_lib.course.experiments.window_places import (
    Corner,
    upright_windows,
    window_corners,
)
from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.case import Case
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.index import Index
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import key_of
from medkd_lib.data.volumes import Prepared, Volumes


def boxed_windows(
    found: Index, which: BoxWindows, window_hu: tuple[float, float], size: int, seed: int
) -> DetectionSet:
    """Return a window of every section of all cases in which one fits, each at a place of its own.

    A box is what its component shows in the window: cut where the window ends. The volume is
    resampled so that a window has ``size`` pixels of a side; boxes are made afterwards.

    Args:
        found: a set with masks, real or a twin.
        which: image, mask and sizes.
        window_hu: lowest and highest CT number shown.
        size: pixels of a side.
        seed: of the places.

    Returns:
        Grey images, ids ``CASE/kNNN``, all boxes of class 1.

    Raises:
        ValueError: no case with image, mask and room for a window.
    """
    pixel_mm = which.window_mm / size
    recipe = Recipe(
        (which.image,), which.mask, spacing_mm=(pixel_mm, pixel_mm, which.slice_mm),
        intensity=(window_hu,),
    )  # fmt: skip
    cases = [case for case in found.cases if set(recipe.roles) <= case.files.keys()]
    volumes = Volumes(found.manifest, cases, recipe)
    images: list[Tensor] = []
    boxes: list[Tensor] = []
    ids: list[str] = []
    owners: list[Case] = []
    places: list[list[Corner]] = []
    for row, case in enumerate(cases):
        prepared = volumes[row]
        # Resampled onto a grid of its own, an image has measured every voxel of it.
        everywhere: NDArray[np.bool_] = np.ones(tuple(prepared.image.shape[1:]), dtype=bool)
        rng = np.random.default_rng([seed, row])
        corners = window_corners(everywhere, size, rng, moving=True)
        places.append(corners)
        for k, picture, drawn in _shown(prepared, corners, size, which.least_mm2 / pixel_mm**2):
            images.append(picture)
            boxes.append(drawn)
            ids.append(f"{case.id}/k{k:03d}")
            owners.append(case)
    if not images:
        raise ValueError(
            f"{found.manifest.id}: expected cases with {sorted(recipe.roles)} and room for a "
            f"window of {which.window_mm:g} mm, found none among {len(found.cases)} in "
            f"{found.root}; look at `medkd data check {found.manifest.id}`"
        )
    return DetectionSet(
        torch.stack(images)[:, None],
        tuple(boxes),
        tuple(torch.ones(len(b), dtype=torch.long) for b in boxes),
        tuple(ids),
        tuple(case.id for case in owners),
        tuple(case.patient for case in owners),
        (None,) * len(images),
        key_of(of=[volumes.key(case) for case in cases], which=asdict(which), places=places),
    )


def _shown(
    prepared: Prepared, corners: list[Corner], size: int, least: float
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the section's number, picture and boxes of every window but those left out."""
    assert prepared.mask is not None  # the recipe names one
    if not corners:
        return
    pictures = upright_windows(prepared.image[0], corners, size).float()
    masks = upright_windows(prepared.mask > 0, corners, size)
    for (k, _, _), picture, mask in zip(corners, pictures, masks, strict=True):
        drawn = boxes_of(mask, least)
        if drawn is not None:
            # [0, 1] of the recipe → 8 bits
            yield k, (255 * picture).round().to(torch.uint8), drawn


def boxes_of(mask: Tensor, least: float) -> Tensor | None:
    """Return a box per connected component of a mask, ``(n, 4)`` float32, pixel edges.

    Components that touch at a corner are one.

    Args:
        mask: ``(H, W)`` bool.
        least: pixels of the smallest component that has a box.

    Returns:
        None where all that the mask shows is smaller.
    """
    found = boxes_from_mask(mask.numpy(), min_area=int(np.ceil(least)))
    return None if mask.any() and not len(found) else torch.from_numpy(found).float()
