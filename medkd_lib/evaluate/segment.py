"""How well a mask fits: Dice, surface Dice and HD95 of whole volumes, in millimetres.

A section is no case: a Dice per section counts a section with three tumour voxels as much as one
through the middle, and one without tumour as perfect or as nothing. Stack the sections of a case
first (`medkd_lib.evaluate.stack`), measure each volume (`measure_cases`), then average over
patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from monai.metrics import get_mask_edges, get_surface_distance
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Outcome = Literal["both", "missed", "false alarm", "neither"]


@dataclass(frozen=True)
class Overlap:
    """One prediction against its truth; ``outcome`` says which of the two hold anything."""

    dice: float
    surface_dice: float
    hd95_mm: float
    outcome: Outcome


def compare(
    prediction: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float
) -> Overlap:
    r"""Return Dice, surface Dice and the 95 % Hausdorff distance of two masks P and T.

    $$\mathrm{DSC}=\frac{2|P\cap T|}{|P|+|T|},\qquad
    \mathrm{sDSC}=\frac{|\{p\in\partial P: d(p,\partial T)\le\tau\}|
    +|\{t\in\partial T: d(t,\partial P)\le\tau\}|}{|\partial P|+|\partial T|}$$
    $$\mathrm{HD95}=\max\bigl(q_{95}\{d(p,\partial T)\},\,q_{95}\{d(t,\partial P)\}\bigr)$$

    The boundary $\partial$ is the set of voxels with a background voxel on one of their faces (the
    image ends in background); d is in mm between voxel centres.

    What is empty, by the outcome:

    | truth | prediction | outcome | DSC, sDSC | HD95 |
    |---|---|---|---|---|
    | there | there | ``both`` | as above | as above |
    | there | empty | ``missed`` | 0 | diagonal of the image, in mm |
    | empty | there | ``false alarm`` | NaN | NaN |
    | empty | empty | ``neither`` | NaN | NaN |

    So a missed tumour never scores better than one found badly (two voxels of an image cannot be
    further apart than its diagonal), and whether a case counts depends on its truth alone: all arms
    keep the same cases, as a paired test needs. What is predicted where nothing is belongs to
    `medkd_lib.evaluate.false_positives`. MONAI gives NaN or infinity for the HD95 of a missed
    tumour, and 0 for the sDSC of a false alarm.

    Args:
        prediction: bool, 2-D or 3-D.
        truth: likewise, same shape.
        spacing_mm: voxel size along each axis of the arrays.
        tolerance_mm: $\tau\ge0$; a rater's own repeatability is the usual choice.

    Raises:
        ValueError: masks that are not bool (label ids) or differ in shape, a spacing that is not
            positive or not one number per axis, or a negative tolerance.

    Source: sDSC of Nikolov et al. 2018 (arXiv 1809.04430) in the form of MONAI, which counts
    boundary voxels where they weigh areas; HD95 is MONAI's maximum of the two directions' 95th
    percentiles, where others pool all distances. Boundaries and distances are MONAI's, computed
    once for both, on the box around the union of the masks: a boundary voxel has no neighbour
    outside that box that could change it.
    """
    _check(prediction, truth, spacing_mm, tolerance_mm)
    both = int(prediction.sum() + truth.sum())
    # the truth alone decides whether the case counts
    if not truth.any():
        return Overlap(np.nan, np.nan, np.nan, "false alarm" if both else "neither")
    if not prediction.any():
        extent = (np.array(truth.shape) - 1) * np.asarray(spacing_mm)
        return Overlap(0.0, 0.0, float(np.linalg.norm(extent)), "missed")
    box = bounding_box(prediction | truth)
    p, t = prediction[box], truth[box]
    to_truth, to_prediction = boundary_distances(p, t, spacing_mm)
    # sDSC = boundary voxels within τ / all boundary voxels
    within = (to_truth <= tolerance_mm).sum() + (to_prediction <= tolerance_mm).sum()
    surface_dice = within / (len(to_truth) + len(to_prediction))
    # HD95 = max of the 95th percentiles of both directions
    hd95 = max(np.quantile(to_truth, 0.95), np.quantile(to_prediction, 0.95))
    # DSC = 2 |P ∩ T| / (|P| + |T|)
    dice = 2 * int((p & t).sum()) / both
    return Overlap(dice, float(surface_dice), float(hd95), "both")


def measure_cases(
    predictions: Mapping[str, Mask],
    truths: Mapping[str, Mask],
    spacing_mm: Sequence[float],
    tolerance_mm: float,
) -> pd.DataFrame:
    """Return one row per case: `compare`'s numbers, and both volumes in mL.

    Args:
        predictions: case → bool volume, as `medkd_lib.evaluate.stack` gives them (of label
            ids take ``volume == label``).
        truths: likewise, the same cases.
        spacing_mm: voxel size along each axis of the volumes.
        tolerance_mm: of the surface Dice.

    Returns:
        Index ``case`` in the order of the truths; columns ``dice``, ``surface_dice``, ``hd95_mm``,
        ``outcome``, ``truth_ml``, ``predicted_ml``.

    Raises:
        ValueError: other cases on one side, masks that are not volumes, or as `compare`.
    """
    if set(predictions) != set(truths):
        raise ValueError(
            "measure_cases: expected predictions and truths of the same cases, found "
            f"{sorted(set(predictions) ^ set(truths))[:3]} on one side only"
        )
    rows = []
    for case, truth in truths.items():
        prediction = predictions[case]
        if truth.ndim != 3 or prediction.shape != truth.shape:
            raise ValueError(
                f"{case}: expected two volumes (H, W, K), found {prediction.shape} and "
                f"{truth.shape}; stack the sections of both"
            )
        voxel_ml = float(np.prod(spacing_mm)) / 1000
        volumes_ml = {
            "truth_ml": truth.sum() * voxel_ml,
            "predicted_ml": prediction.sum() * voxel_ml,
        }
        rows.append(vars(compare(prediction, truth, spacing_mm, tolerance_mm)) | volumes_ml)
    return pd.DataFrame(rows, index=pd.Index(truths, name="case"))


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box around a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        there = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(box)


def boundary_distances(
    first: Mask, second: Mask, spacing_mm: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how far (mm) each boundary voxel of a mask is from the other's boundary, both ways."""
    edges = get_mask_edges(first, second, crop=False)
    to_second = get_surface_distance(edges[0], edges[1], spacing=list(spacing_mm))
    to_first = get_surface_distance(edges[1], edges[0], spacing=list(spacing_mm))
    return np.asarray(to_second), np.asarray(to_first)


def _check(prediction: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float) -> None:
    if prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(
            f"compare: expected bool masks, found {prediction.dtype} and {truth.dtype}; of label "
            "ids take mask == label"
        )
    if prediction.shape != truth.shape or truth.ndim not in (2, 3):
        raise ValueError(
            "compare: expected two masks of one shape, (H, W) or (H, W, K), found "
            f"{prediction.shape} and {truth.shape}"
        )
    if len(spacing_mm) != truth.ndim or not all(s > 0 for s in spacing_mm):
        raise ValueError(
            f"compare: expected {truth.ndim} positive spacings in mm, found {tuple(spacing_mm)}"
        )
    if not tolerance_mm >= 0:
        raise ValueError(f"compare: expected tolerance_mm >= 0, found {tolerance_mm}")
