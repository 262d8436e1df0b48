"""What a linear probe reads from features: the domain that an encoder was to hide, or the class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from medkd_lib.evaluate.intervals import Interval, redrawn_patients

Finding = Literal["reached", "not reached", "undecided"]


@dataclass(frozen=True)
class Probe:
    """How well a linear probe tells labels apart in patients it was not fitted on.

    Attributes:
        balanced_accuracy: mean recall over the labels, from 0 to 1.
        interval: its 95 % interval over patients.
        chance: of a probe that reads nothing: 1 / number of labels.
        patients: their number.
        cases: number of feature vectors.
    """

    balanced_accuracy: float
    interval: Interval
    chance: float
    patients: int
    cases: int


def linear_probe(
    features: Tensor,
    labels: Sequence[str],
    patients: Sequence[str],
    *,
    folds: int = 5,
    draws: int = 2000,
    seed: int = 0,
) -> Probe:
    r"""Fit logistic regression on the patients of all folds but one, read the last, in turn.

    $$\frac1{|K|}\sum_{k\in K}\frac{1}{n_k}\sum_{i:\,y_i=k}[\hat y_i = k]$$

    with $\hat y_i$ by the probe that saw no image of i's patient: slices of one patient are alike,
    and a probe that met one of them recognises the patient, not the domain. Features are
    standardised and classes weighed by the fitted patients. The interval redraws patients, with the
    fitted probes as they are; where nothing is missed it has no width and says nothing of the next
    thousand patients.

    A discriminator's loss is no substitute: it is low or high by its own training as much as by the
    features. And a linear probe at chance is not proof: a deeper one may find what it did not.

    Args:
        features: ``(N, D)``, no unit, of a network that trains no more.
        labels: N names, of the domain (or of the class).
        patients: N names, unique across datasets: ``dataset:patient``.
        folds: of the cross-validation; every label needs as many patients.
        draws: bootstrap samples.
        seed: of the folds and of the drawing.

    Raises:
        ValueError: shapes do not fit, values that are not finite, a single label, a label with
            fewer patients than folds, or folds that leave a label out of the fit.

    The measure is a common one; regularisation (C = 1) and the number of folds are ours.
    """
    names, whose = np.asarray(labels), np.asarray(patients)
    x = _checked(features, names, whose, folds)
    division = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    answers = np.empty_like(names)
    for fitted, read in division.split(x, names, whose):
        if missing := {*names.tolist()} - {*names[fitted].tolist()}:
            raise ValueError(
                f"linear_probe: {sorted(missing)} lie in one fold, so the probe of that fold never "
                "saw them; use more folds or another seed"
            )
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)
        )
        answers[read] = probe.fit(x[fitted], names[fitted]).predict(x[read])
    weights = redrawn_patients(patients, draws=draws, seed=seed)
    redrawn = _mean_recall(weights, answers, names)
    low, high = np.nanpercentile(redrawn, [2.5, 97.5])
    return Probe(
        balanced_accuracy=float(_mean_recall(np.ones((1, len(names))), answers, names)[0]),
        interval=(float(low), float(high)),
        chance=1 / len(np.unique(names)),
        patients=len(np.unique(whose)),
        cases=len(names),
    )


def invariance(probe: Probe, tolerance: float = 0.1) -> Finding:
    """Return whether domains are hidden from a linear probe, by the course's rule.

    ``reached`` needs the whole interval below chance + tolerance, ``not reached`` all of it above;
    everything else is ``undecided``. An interval that merely contains chance is no finding: few
    patients make it wide.

    Args:
        probe: of domains.
        tolerance: of balanced accuracy, to be declared before anything is trained.

    Raises:
        ValueError: a tolerance that is negative or leaves nothing above it.
    """
    limit = probe.chance + tolerance
    if not probe.chance <= limit < 1:
        raise ValueError(
            f"tolerance: expected within 0…{1 - probe.chance:.3g} at chance {probe.chance:.3g}, "
            f"found {tolerance}"
        )
    if probe.interval[1] < limit:
        return "reached"
    return "not reached" if probe.interval[0] > limit else "undecided"


def invariance_sentence(probe: Probe, tolerance: float = 0.1) -> str:
    """Return the sentence that a lesson may print about invariance, with its numbers.

    Args:
        probe: of domains.
        tolerance: as `invariance`.
    """
    verdict = {
        "reached": "was reached, as far as a linear probe sees",
        "not reached": "was not reached",
        "undecided": "is undecided at this n",
    }[invariance(probe, tolerance)]
    low, high = probe.interval
    return (
        f"Domain invariance {verdict}: balanced accuracy {probe.balanced_accuracy:.2f} "
        f"[{low:.2f}, {high:.2f}] in {probe.patients} patients, chance {probe.chance:.2f}, "
        f"tolerance {tolerance:.2f}."
    )


def _mean_recall(
    weights: NDArray[np.float64], answers: NDArray[np.str_], labels: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Return the mean recall in each sample of cases ``(samples, N)``, over the labels it holds."""
    right = weights * (answers == labels)
    of_label = [labels == name for name in np.unique(labels)]
    with np.errstate(invalid="ignore"):
        recalls = [right[:, k].sum(1) / weights[:, k].sum(1) for k in of_label]
    return np.asarray(np.nanmean(recalls, axis=0), np.float64)


def _checked(
    features: Tensor, labels: NDArray[np.str_], patients: NDArray[np.str_], folds: int
) -> NDArray[np.float64]:
    if features.ndim != 2 or not len(features) == len(labels) == len(patients):
        raise ValueError(
            f"linear_probe: expected features (N, D), N labels and N patients, found "
            f"{tuple(features.shape)}, {len(labels)} and {len(patients)}; average maps over their "
            "positions"
        )
    x = np.asarray(features.detach().double().cpu().numpy(), np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"linear_probe: {int((~np.isfinite(x)).sum())} values are not finite")
    found = {str(k): len(np.unique(patients[labels == k])) for k in np.unique(labels)}
    if len(found) < 2 or min(found.values()) < folds:
        raise ValueError(
            f"linear_probe: expected two labels or more with {folds} patients or more each, found "
            f"{found}; pool more patients or lower folds"
        )
    return x
