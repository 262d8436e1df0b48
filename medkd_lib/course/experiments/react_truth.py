"""The oracle of lesson 05: a line through what only a phantom knows of the masses."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medkd_lib.data.blocks import Blocks
from medkd_lib.evaluate.classify import Predictions

TRUTH = "truth.csv"


def oracle(root: Path, train: Blocks, test: Blocks) -> Predictions:
    """Return the best that anybody could answer who sees both tracers and the CT without noise.

    A logistic regression on the true values, fitted on the training patients: log uptake over the
    liver's of both tracers, contrast and log mottle on CT.

    Args:
        root: folder of a twin.
        train: boxes of the training patients, one per exam.
        test: of the test patients.

    Raises:
        FileNotFoundError: no truth table: only a phantom knows it.
    """
    path = root / TRUTH
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected the truth table of a twin, found none; real images have no oracle, "
            "leave the arm out"
        )
    table = pd.read_csv(path).set_index("case")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(_values(table, train), train.labels.numpy())
    probabilities = np.asarray(model.predict_proba(_values(table, test)), np.float64)
    return Predictions(probabilities, test.labels.numpy(), test.patients)


def _values(table: pd.DataFrame, boxes: Blocks) -> NDArray[np.float64]:
    mine = table.loc[list(boxes.ids)]
    columns = [
        np.log(mine.fdg_suv / mine.fdg_liver_suv),
        np.log(mine.acetate_suv / mine.acetate_liver_suv),
        mine.contrast_hu,
        np.log(mine.mottle_hu),
    ]
    return np.stack([c.to_numpy(np.float64) for c in columns], axis=1)
