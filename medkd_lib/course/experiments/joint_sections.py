"""Sections of any set of `JOINT_SETS`: one channel, one foreground, one size."""

from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.joint_sets import Foreground, JointSet, joint_set
from medkd_lib.course.experiments.lung_sections import as_sections
from medkd_lib.course.experiments.window_places import upright_windows, window_corners
from medkd_lib.data.index import Index
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.store import key_of
from medkd_lib.data.volumes import Prepared, Volumes

IMAGE = "image"


def joint_sections(
    found: Index, foreground: Foreground = "lesion", *, moving: bool = False, seed: int = 0
) -> Sections:
    """Return the sections of all labelled cases as ``image`` on [-1, 1] with masks of 0 and 1.

    Patients and ids begin with the dataset's name: the number of a patient means somebody else in
    another set.

    Args:
        found: a set of the table, real or a twin.
        foreground: what counts, see `JointSet`.
        moving: where sections are windows, every one lies elsewhere, for training; False gives all
            sections of a case the same place, so that they make a volume.
        seed: of the places of windows.

    Raises:
        ValueError: a set that the table does not know, or no case with image and mask (and room
            for a window).
    """
    chosen = joint_set(found.manifest.id)
    recipe = chosen.recipe
    cases = [case for case in found.cases if set(recipe.roles) <= case.files.keys()]
    volumes = Volumes(found.manifest, cases, recipe)
    parts = []
    for row, case in enumerate(cases):
        prepared = volumes[row]
        assert prepared.mask is not None  # the recipe names one
        mask = chosen.foreground(foreground, prepared.image[0].float(), prepared.mask)
        shown = replace(prepared, mask=mask)
        key = key_of(case=volumes.key(case), foreground=foreground, of=asdict(chosen))
        volume_ml = float(mask.sum()) * float(np.prod(chosen.frame.spacing_mm)) / 1000
        if chosen.windows:
            rng = np.random.default_rng([seed, row])
            part = _windows(shown, volume_ml, chosen, key, rng, moving=moving)
        else:
            part = as_sections(shown, IMAGE, {"volume_ml": volume_ml}, key, chosen.frame)
        if part is not None:
            parts.append(_named(part, chosen.dataset))
    if not parts:
        raise ValueError(
            f"{chosen.dataset}: expected cases with {sorted(recipe.roles)}"
            f"{', as large as a window' if chosen.windows else ''}, found none among "
            f"{len(found.cases)} in {found.root}; look at `medkd data check {chosen.dataset}`"
        )
    return joined(parts)


def _windows(
    prepared: Prepared, volume_ml: float, chosen: JointSet, key: str, rng: np.random.Generator, *,
    moving: bool,
) -> Sections | None:  # fmt: skip
    """Return a case's windows, or None where none fits."""
    side = chosen.frame.shape[0]
    assert prepared.mask is not None
    # Resampled onto a grid of its own, an image has measured every voxel of it.
    everywhere: NDArray[np.bool_] = np.ones(tuple(prepared.image.shape[1:]), dtype=bool)
    corners = window_corners(everywhere, side, rng, moving=moving)
    if not corners:
        return None
    image: Tensor = upright_windows(prepared.image[0], corners, side)
    return Sections(
        # [0, 1] of the recipe → [-1, 1]
        {IMAGE: 2 * image.float()[:, None] - 1},
        upright_windows(prepared.mask.to(torch.uint8), corners, side),
        (prepared.case.patient,) * len(corners),
        tuple(f"{prepared.case.id}/k{k:03d}" for k, _, _ in corners),
        chosen.frame.spacing_mm,
        {"volume_ml": np.full(len(corners), volume_ml)},
        key_of(key=key, corners=corners),
    )


def _named(part: Sections, dataset: str) -> Sections:
    return replace(
        part,
        patients=tuple(f"{dataset}:{p}" for p in part.patients),
        ids=tuple(f"{dataset}:{i}" for i in part.ids),
        # what every set can tell, and no set alone
        facts={"volume_ml": part.facts["volume_ml"]},
    )
