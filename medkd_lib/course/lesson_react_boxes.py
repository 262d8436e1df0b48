"""Lesson 05: what boxes show without a network: typical patients, what a coarse grid hides."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from medkd_lib.course.experiments.react_arms import TRACERS
from medkd_lib.data.blocks import Blocks
from medkd_lib.models.fused_classifier import ROI

# Voxels of the boxes that are put together: as they are, and as one or two strides of 2 leave them.
TOGETHER = (1, 2, 4)


def typical_rows(boxes: Blocks, classes: int) -> list[int]:
    """Return for each class the patient whose uptakes are nearest to the class's mean.

    The first one of a class may be an odd one out. Where nobody outlines a mass it is the first.

    Args:
        boxes: with or without `ROI`.
        classes: number of labels; those that nobody has are left out.
    """
    found = []
    for label in range(classes):
        rows = (boxes.labels == label).nonzero().flatten().tolist()
        if not rows:
            continue
        if ROI in boxes.images:
            uptake = np.stack([pooled(boxes, t)[rows] for t in TRACERS if t in boxes.images], 1)
            away = np.linalg.norm(uptake - uptake.mean(axis=0), axis=1)
            rows = [rows[int(away.argmin())]]
        found.append(rows[0])
    return found


def pooled(boxes: Blocks, image: str, together: int = 1) -> NDArray[np.float64]:
    """Return the mean of an image over everybody's masses, ``(N,)``.

    Args:
        boxes: with `ROI`.
        image: its name.
        together: so many voxels along each axis are averaged first, of image and masses.
    """

    def coarse(volume: Tensor) -> Tensor:
        return F.avg_pool3d(volume.float(), together, ceil_mode=True, count_include_pad=False)

    values, inside = coarse(boxes.images[image]), coarse(boxes.images[ROI])
    whole = inside.sum(dim=(1, 2, 3, 4))
    mean = (values * inside).sum(dim=(1, 2, 3, 4)) / torch.where(whole > 0, whole, 1.0)
    return np.asarray(mean, np.float64)


def grades_by_voxel(boxes: Blocks, class_names: Sequence[str], folds: int = 3) -> pd.DataFrame:
    """Return how well one number, the mean CT over the masses, ranks grades at three voxel sizes.

    A logistic regression, each patient answered by a fit without it. Columns: ``voxels``,
    ``macro AUC``, ``patients``.

    Args:
        boxes: of training patients, with `ROI`.
        class_names: of the labels.
        folds: by patient.
    """
    labels, rows = boxes.labels.numpy(), []
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for together in TOGETHER:
        model = make_pipeline(StandardScaler(), LogisticRegression())
        told = cross_val_predict(
            model, pooled(boxes, "ct", together)[:, None], labels, groups=boxes.patients, cv=split,
            method="predict_proba",
        )  # fmt: skip
        auc = roc_auc_score(labels, told, multi_class="ovr", labels=range(len(class_names)))
        side = together * boxes.spacing_mm[0]
        rows.append({"voxels": f"{side:.0f} mm", "macro AUC": round(float(auc), 3),
                     "patients": len(set(boxes.patients))})  # fmt: skip
    return pd.DataFrame(rows)
