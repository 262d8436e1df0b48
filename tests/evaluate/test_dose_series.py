"""A dose series: levels from full dose down, each beside its paired difference."""

import numpy as np
import pytest

from medkd_lib.evaluate.auc import auc_difference, auc_table
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.dose_series import dose_series

NAMES = ("well", "poor")


def noisy(noise: float, labels_seed: int = 0) -> Predictions:
    labels = np.random.default_rng(labels_seed).integers(2, size=120)
    z = np.random.default_rng(1).normal(0, 1, (120, 2)) + 2 * np.eye(2)[labels]
    z = z + noise * np.random.default_rng(2).normal(0, 1, (120, 2))
    return Predictions.from_logits(z, labels, tuple(map(str, range(120))))


def test_levels_fall_from_full_dose_and_are_paired_with_it() -> None:
    by_dose = {0.1: noisy(3.0), 1.0: noisy(0.0), 0.25: noisy(1.0)}
    levels = dose_series(by_dose, NAMES, draws=200)
    assert [level.share for level in levels] == [1.0, 0.25, 0.1]
    assert levels[0].from_full.value == 0 and levels[0].from_full.interval == (0, 0)
    for level in levels:
        own = auc_table(by_dose[level.share], NAMES, draws=200)["macro"]
        paired = auc_difference(by_dose[level.share], by_dose[1.0], NAMES, draws=200)["macro"]
        assert (level.auc, level.from_full) == (own, paired)
    assert levels[2].from_full.value < levels[1].from_full.value < 0
    micro = dose_series(by_dose, NAMES, average="micro", draws=20)
    expected = auc_table(by_dose[0.1], NAMES, draws=20)["micro"].value
    assert micro[2].auc.value == expected != levels[2].auc.value


def test_without_full_dose_or_with_other_patients_there_is_no_series() -> None:
    with pytest.raises(ValueError, match=r"full dose 1\.0"):
        dose_series({0.1: noisy(1.0)}, NAMES)
    with pytest.raises(ValueError, match="'worst'"):
        dose_series({1.0: noisy(1.0)}, NAMES, average="worst")
    with pytest.raises(ValueError, match="same cases"):
        dose_series({1.0: noisy(0.0), 0.1: noisy(0.0, labels_seed=5)}, NAMES)
