"""What needs no network on the sarcoma blocks: the row without voxels, and plain image features.

Every table of these blocks carries the row without voxels: the crops were made around the tumour,
so a block's place in its crop tells a good part of the answer. No network sees that place.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medkd_lib.course.experiments.folds import folds_of
from medkd_lib.course.experiments.sts_blocks import AXES
from medkd_lib.data.blocks import Blocks
from medkd_lib.evaluate.auc import auc_table
from medkd_lib.evaluate.classify import Predictions

Features = NDArray[np.float64]

# Of a CT's window 50 HU each: fat, muscle and bone of a thigh lie in different ones.
BINS = 8


def place_features(blocks: Blocks) -> Features:
    """Return what is known without one voxel, ``(N, 7)``.

    The crop's extent along three axes, how far the block's middle lies from the crop's middle, and
    the same along the body as a share of the extent.
    """
    extent = np.stack([blocks.facts[f"extent_{a}_mm"] for a in AXES], 1)
    offset = np.abs(np.stack([blocks.facts[f"offset_{a}_mm"] for a in AXES], 1))
    return np.concatenate([extent, offset, offset[:, :1] / extent[:, :1]], 1)


def image_features(blocks: Blocks, names: Sequence[str]) -> Features:
    """Return mean, standard deviation, highest value and a histogram of each image.

    The mean alone tells bone and air of a thigh, not muscle from fat.

    Returns:
        ``(N, 11 · images)``; the last 8 of each are shares of voxels in equal parts of [-1, 1].
    """
    columns: list[Features] = []
    inner = np.linspace(-1, 1, BINS + 1)[1:-1]
    for name in names:
        flat = blocks.images[name].float().flatten(1).numpy().astype(np.float64)
        columns += [flat.mean(1), flat.std(1), flat.max(1)]
        place = np.digitize(flat, inner)
        columns += [(place == n).mean(1) for n in range(BINS)]
    return np.stack(columns, 1)


def place_alone(train: Blocks, test: Blocks) -> Predictions:
    """Return what a logistic regression says of some blocks by their place in the crop alone.

    Raises:
        ValueError: as `_answers`.
    """
    probabilities = _answers(place_features(train), _labels(train), place_features(test))
    return Predictions(probabilities, _labels(test), test.patients)


def scores_by_folds(
    features: Features, labels: NDArray[np.int64], patients: Sequence[str]
) -> Predictions:
    """Return a logistic regression's probabilities, each from a fit without that fold's patients.

    Raises:
        ValueError: as `_answers`.
    """
    probabilities = np.full((len(labels), 2), np.nan)
    for members in folds_of(patients):
        test = np.isin(np.array(patients), members)
        if test.any():  # with fewer patients than folds some are empty
            probabilities[test] = _answers(features[~test], labels[~test], features[test])
    return Predictions(probabilities, labels, tuple(patients))


def _answers(features: Features, labels: NDArray[np.int64], asked: Features) -> Features:
    """Return probabilities of both classes, ``(asked, 2)``.

    Raises:
        ValueError: labels of one class.
    """
    if len(there := np.unique(labels)) != 2:
        raise ValueError(
            f"logistic regression: expected two classes among the {len(labels)} blocks to learn "
            f"from, found {there.tolist()}; add patients"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return np.asarray(model.fit(features, labels).predict_proba(asked), np.float64)


def _labels(blocks: Blocks) -> NDArray[np.int64]:
    return np.asarray(blocks.labels, np.int64)


def baseline_table(blocks: Blocks) -> pd.DataFrame:
    """Return the AUC of every row that needs no network, with an interval over patients.

    Rows: ``geometry`` (no voxels), then plain features of every image, and of CT with PET.
    Columns: ``row``, ``auc``, ``low``, ``high``.
    """
    rows: Mapping[str, Features] = {"geometry": place_features(blocks)} | {
        " + ".join(names): image_features(blocks, names)
        for names in (*((n,) for n in blocks.images), ("ct", "pet"))
    }
    found = []
    for row, features in rows.items():
        scores = scores_by_folds(features, _labels(blocks), blocks.patients)
        auc = auc_table(scores, ("no", "yes"))["yes"]  # of two classes either has the same
        low, high = auc.interval
        found.append({"row": row, "auc": auc.value, "low": low, "high": high})
    return pd.DataFrame(found)
