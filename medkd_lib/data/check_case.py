"""Problems of one case of volumes: each file by itself, then what they say about each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.read_case import grid_groups, grid_problems, read_role, with_affines_mended
from medkd_lib.data.units import AIR_HU
from medkd_lib.data.volume import Volume

OUTSIDE_SHARE = 0.01
"""A mask may reach a few voxels beyond the skull-strip; more than this share means a shift."""


def volume_problems(case: Case, manifest: Manifest) -> Iterator[Problem]:
    """Yield every problem of a case: one broken file does not hide another."""
    read: dict[str, Volume] = {}
    told: list[Problem] = []
    closed = manifest.layout.unread if manifest.layout else {}  # told once, by `check`
    for role in case.files:
        if role in closed:
            continue
        try:
            read[role] = read_role(case, manifest, role)
        except DataError as error:
            told.append(error.problem)
    yield from told
    try:
        volumes = with_affines_mended(read, case, manifest)
    except DataError as error:
        if error.problem not in told:  # the lender of an affine may be the broken file
            yield error.problem
        return
    for role, volume in volumes.items():
        yield from volume.problems
        if role in case.images and np.ptp(volume.array) == 0:
            yield Problem(
                "constant", str(case.files[role]), "an image", f"{volume.array.flat[0]} everywhere",
                "fetch the file again, or exclude the case", severity="warning",
            )  # fmt: skip
    off_grid = list(grid_problems(volumes, case, manifest))
    yield from off_grid
    if not off_grid:
        yield from _masks_beside_tissue(volumes, case, manifest)
        yield from _masks_apart(volumes, case, manifest)


def _masks_beside_tissue(
    volumes: dict[str, Volume], case: Case, manifest: Manifest
) -> Iterator[Problem]:
    """Report masks that lie where no image of their grid shows anything: shifted or another's."""
    for group in grid_groups(manifest, list(volumes)):
        images = [volumes[r] for r in group if r in case.images]
        for role in (r for r in group if r in case.annotations):
            drawn = volumes[role].array != 0
            if not images or not drawn.any():
                continue
            empty = np.all([_background(image)[drawn] for image in images], axis=0)
            share = float(np.mean(empty))
            if share > OUTSIDE_SHARE:
                yield Problem(
                    "mask_beside_tissue", str(case.files[role]), "a mask on tissue",
                    f"{share:.0%} of it where every image of its grid is empty",
                    "look at it: the mask may be shifted, flipped or another patient's",
                    severity="warning",
                )  # fmt: skip


def _background(image: Volume) -> NDArray[np.bool_]:
    return np.asarray(image.array <= AIR_HU if image.unit == "HU" else image.array == 0)


def _masks_apart(volumes: dict[str, Volume], case: Case, manifest: Manifest) -> Iterator[Problem]:
    r"""Report masks of one label space on different grids whose centres are a voxel apart.

    .. math:: |c_a - c_b| > \max(\text{spacing}_a, \text{spacing}_b), \qquad
              c = \tfrac1n \sum_{x \in mask} A x

    Two drawings of one lesion differ at the rim; a moved patient moves the centre.
    """
    if manifest.layout is None or manifest.layout.grids is None:
        return
    masks = [
        (role, volumes[role])
        for group in grid_groups(manifest, list(volumes))
        for role in group
        if role in case.annotations and volumes[role].array.any()
    ]
    for (one, a), (other, b) in combinations(masks, 2):
        apart = float(np.linalg.norm(_centre_mm(a) - _centre_mm(b)))
        if not a.same_grid(b) and apart > max(*a.spacing_mm, *b.spacing_mm):
            yield Problem(
                "masks_apart", f"case {case.id}", f"{one} and {other} around one place",
                f"centres {apart:.1f} mm apart",
                "the patient moved between the scans, or a header is wrong: register, or leave "
                "the case out where voxels are compared", severity="warning",
            )  # fmt: skip


def _centre_mm(mask: Volume) -> NDArray[np.float64]:
    index = np.argwhere(mask.array).mean(axis=0)
    return np.asarray(mask.affine[:3, :3] @ index + mask.affine[:3, 3])
