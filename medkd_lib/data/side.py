"""On which side of the patient a lesion lies, for any orientation of the file."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray


def lesion_side(
    lesion: NDArray[Any], brain: NDArray[Any], affine: NDArray[Any]
) -> Literal["left", "right"]:
    """Return the patient's side of the lesion's centre, seen from the brain's centre.

    The brain and not the world's origin, which is a convention of the file: in BraTS the whole
    head lies at negative x.

    Args:
        lesion: ``(I, J, K)``, true inside.
        brain: ``(I, J, K)``, true inside.
        affine: 4×4, voxel → RAS+ millimetres.

    Raises:
        ValueError: one of the masks is empty.
    """
    if not lesion.any() or not brain.any():
        raise ValueError(
            f"expected two masks, found {int(lesion.sum())} lesion and {int(brain.sum())} brain "
            "voxels; check that both were read"
        )
    lesion_x, brain_x = (
        float(apply_affine(affine, np.argwhere(mask).mean(axis=0))[0]) for mask in (lesion, brain)
    )
    return "right" if lesion_x > brain_x else "left"
