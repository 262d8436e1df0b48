"""How good, and how honest, a classifier's probabilities are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Class probabilities for labelled cases of known patients.

    Shapes:
        probabilities: ``(N, C)``, rows sum to 1; labels: ``(N,)``; patients: N names.
    """

    probabilities: Floats
    labels: Ints
    patients: tuple[str, ...]

    @classmethod
    def from_logits(
        cls, logits: NDArray[np.floating], labels: NDArray[np.integer], patients: tuple[str, ...]
    ) -> "Predictions":
        """Return softmax probabilities of the logits."""
        shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
        exp = np.exp(shifted)
        return cls(exp / exp.sum(1, keepdims=True), labels.astype(np.int64), patients)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the label, per case."""
        return np.asarray(self.probabilities.argmax(1) == self.labels)


def accuracy(p: Predictions) -> float:
    """Return the share of cases whose most probable class is right."""
    return float(p.correct.mean())


def balanced_accuracy(p: Predictions) -> float:
    r"""Return the mean recall over the classes that the labels hold.

    $$\frac1{|K|}\sum_{k\in K}\frac{\mathrm{TP}_k}{\mathrm{TP}_k+\mathrm{FN}_k}$$

    A class counts as much as another, however rare: always answering the commonest of C classes
    gives 1/C. A class without a case has no recall and is left out.
    """
    return float(np.mean([p.correct[p.labels == k].mean() for k in np.unique(p.labels)]))


def macro_f1(p: Predictions) -> float:
    r"""Return the mean F1 over the classes that labels or answers hold.

    $$\frac1{|K|}\sum_{k\in K}
    \frac{2\,\mathrm{TP}_k}{2\,\mathrm{TP}_k+\mathrm{FP}_k+\mathrm{FN}_k}$$

    A class that is answered and never true counts, with 0. It is the mean of F1, not the F1 of
    mean precision and mean recall, which some papers call by the same name.
    """
    answers = p.probabilities.argmax(1)
    of_class = [
        # 2 TP / ((TP + FN) + (TP + FP))
        2 * ((answers == k) & p.correct).sum() / ((p.labels == k).sum() + (answers == k).sum())
        for k in np.union1d(p.labels, answers)
    ]
    return float(np.mean(of_class))


def auc_macro(p: Predictions) -> float:
    """Return the one-against-rest area under the ROC curve, averaged over classes."""
    if p.probabilities.shape[1] == 2:
        return float(roc_auc_score(p.labels, p.probabilities[:, 1]))
    return float(roc_auc_score(p.labels, p.probabilities, multi_class="ovr", average="macro"))


def negative_log_likelihood(p: Predictions) -> float:
    """Return the mean of -log p(label), probabilities floored at 1e-12."""
    chosen = p.probabilities[np.arange(len(p.labels)), p.labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


@dataclass(frozen=True)
class ReliabilityBins:
    """Cases grouped by confidence: mean confidence, accuracy and count of each bin in use.

    Where the confidence is that of one class, the accuracy is how often that class is true.
    """

    confidence: Floats
    accuracy: Floats
    count: Ints


def reliability(p: Predictions, bins: int = 10) -> ReliabilityBins:
    """Group cases by their top probability into equal-width bins; empty bins are left out."""
    return _grouped(p.probabilities.max(1), p.correct, bins)


def class_reliability(p: Predictions, class_: int, bins: int = 10) -> ReliabilityBins:
    """Group cases by the probability of one class: what a one-against-rest threshold reads."""
    return _grouped(p.probabilities[:, class_], p.labels == class_, bins)


def _grouped(confidence: Floats, hit: NDArray[np.bool_], bins: int) -> ReliabilityBins:
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    used = np.unique(place)
    return ReliabilityBins(
        confidence=np.array([confidence[place == b].mean() for b in used]),
        accuracy=np.array([hit[place == b].mean() for b in used]),
        count=np.array([(place == b).sum() for b in used], dtype=np.int64),
    )


def expected_calibration_error(p: Predictions, bins: int = 10) -> float:
    r"""Return the expected calibration error.

    $$\mathrm{ECE}=\sum_b \frac{n_b}{N}\,\lvert\mathrm{acc}_b-\mathrm{conf}_b\rvert$$

    Source: Naeini et al. 2015; Guo et al. 2017. It depends on the bins and is biased upwards for
    few cases: compare arms on the same cases only.
    """
    return _gap(reliability(p, bins))


def classwise_calibration_error(p: Predictions, bins: int = 10) -> float:
    r"""Return the calibration error of each class's probability, averaged over the C classes.

    $$\frac1C\sum_c\sum_b \frac{n_{cb}}{N}\,\lvert\mathrm{freq}_{cb}-\mathrm{conf}_{cb}\rvert$$

    The top probability can be honest where that of a rare class is not, and a decision curve of
    that class reads the latter. Source: Kull et al. 2019.
    """
    classes = p.probabilities.shape[1]
    return float(np.mean([_gap(class_reliability(p, c, bins)) for c in range(classes)]))


def _gap(r: ReliabilityBins) -> float:
    return float((r.count * np.abs(r.accuracy - r.confidence)).sum() / r.count.sum())


def measures(p: Predictions) -> dict[str, float]:
    """Return every measure of a result table by its name."""
    return {
        "accuracy": accuracy(p),
        "auc_macro": auc_macro(p),
        "nll": negative_log_likelihood(p),
        "ece": expected_calibration_error(p),
        "balanced_accuracy": balanced_accuracy(p),
        "macro_f1": macro_f1(p),
    }
