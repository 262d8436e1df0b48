"""Lesson 05: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.experiments.react_arms import GEOMETRY, ORACLE
from medkd_lib.course.experiments.react_budget import LESSON, budget_for
from medkd_lib.course.experiments.react_cohort import SEEN, ReactCohort
from medkd_lib.course.experiments.react_sources import folds_in, material
from medkd_lib.course.experiments.react_study import (
    ReactStudy,
    bedside,
    classifier_of,
    logits_of,
    predictions,
)
from medkd_lib.course.experiments.react_truth import oracle
from medkd_lib.course.experiments.sts_baselines import place_alone
from medkd_lib.data.blocks import Blocks
from medkd_lib.evaluate.auc import auc_of_cases
from medkd_lib.evaluate.calibration import fit_temperature
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.decision import net_benefit
from medkd_lib.train import Trained

NO_NETWORK = (ORACLE, GEOMETRY)
# Where a decision curve is read for the tables.
PRICES = np.round(np.arange(0.1, 0.95, 0.1), 1)


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; teachers are shared through the cache.

    Of sarcomas every fold is trained, and the answers to all patients are judged together.
    """
    asked = []
    others = None
    for fold in folds_in(datasets[0]):
        cohort, others = material(datasets, roots, seed, options, fold)
        study = ReactStudy(cohort, budget_for(datasets[0], LESSON), seed, fabric)
        asked.append(Asked(study, None if arm in NO_NETWORK else study.train(arm)))
    if arm in NO_NETWORK:
        by_hand = [guessed(arm, each.study.cohort, Path(roots[0])) for each in asked]
        return measured(asked, by_hand, {})
    return answered(asked, others)


class Asked(NamedTuple):
    """A fold: its patients, and the network that is asked about them; None: nobody is."""

    study: ReactStudy
    trained: Trained | None


def guessed(arm: str, cohort: ReactCohort, root: Path) -> Predictions:
    """Return what needs no network: the oracle's answer, or that of a block's place alone."""
    train, test = cohort.parts["train"], cohort.parts["test"]
    if arm == ORACLE:
        return oracle(root, train, test)
    return place_alone(train, test)


def answered(asked: Sequence[Asked], others: Blocks | None = None) -> Measured:
    """Return what trained networks answer for their test patients, with its numbers.

    AUC and accuracy are those of the network as it is; what speaks of probabilities (log score,
    net benefit) is said after calibration on validation patients. One-against-the-rest AUC of three
    classes changes with the temperature, so calibrated and other AUCs would not compare.

    Args:
        asked: of every fold.
        others: patients of another hospital; of one fold alone.
    """
    pairs = [(study, trained) for study, trained in asked if trained is not None]
    doses = pairs[0][0].cohort.doses

    def on(part: str, dose: str) -> float:
        return auc([study.predictions(trained, part, dose) for study, trained in pairs])

    extras = {f"auc_{dose}": on("test", dose) for dose in doses[1:]} | {"auc_val": on("val", "ct")}
    if others is not None and reads_ct_alone(pairs[0][1]):
        extras |= {
            f"auc_external_{dose}": auc([predictions(pairs[0][1], others, dose)]) for dose in doses
        }
    heats = [temperature(study, trained) for study, trained in pairs]
    extras["temperature"] = float(np.mean(heats))
    calibrated = [
        calibrated_on(trained, study.cohort.parts["test"], heat)
        for (study, trained), heat in zip(pairs, heats, strict=True)
    ]
    plain = [study.predictions(trained) for study, trained in pairs]
    return measured(asked, plain, extras | benefits(joined(calibrated)), calibrated)


def reads_ct_alone(trained: Trained) -> bool:
    """Return whether a network needs nothing but a CT at the bedside."""
    network = classifier_of(trained)
    return all(network.reads[name] == (SEEN,) for name in bedside(network))


def temperature(study: ReactStudy, trained: Trained) -> float:
    """Return the temperature that validation patients ask for; 1 where they do not determine it."""
    val = study.cohort.parts["val"]
    found = fit_temperature(logits_of(trained, val).numpy(), val.labels.numpy())
    return 1.0 if found.at_edge else found.value


def calibrated_on(trained: Trained, boxes: Blocks, heat: float) -> Predictions:
    """Return probabilities at a temperature, CT at full dose."""
    logits = logits_of(trained, boxes).numpy() / heat
    return Predictions.from_logits(logits, boxes.labels.numpy(), boxes.patients)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the answers of several folds as one."""
    return Predictions(
        np.concatenate([p.probabilities for p in parts]),
        np.concatenate([p.labels for p in parts]),
        tuple(name for p in parts for name in p.patients),
    )


def auc(folds: Sequence[Predictions]) -> float:
    """Return the macro AUC, the mean over cases of every fold's own."""
    return float(auc_by_fold(folds).mean())


def auc_by_fold(folds: Sequence[Predictions]) -> NDArray[np.float64]:
    """Return `auc_of_cases` fold by fold: networks of different folds share no scale."""
    return np.concatenate([auc_of_cases(p) for p in folds])


def benefits(predictions: Predictions) -> dict[str, float]:
    """Return the net benefit at every price, mean over the classes against the rest."""
    classes = predictions.probabilities.shape[1]
    each = [
        net_benefit(predictions.probabilities[:, c], predictions.labels == c, PRICES)
        for c in range(classes)
    ]
    return {f"benefit_{p:.1f}": float(b) for p, b in zip(PRICES, np.mean(each, 0), strict=True)}


def measured(
    asked: Sequence[Asked], answers: Sequence[Predictions], extras: Mapping[str, float],
    calibrated: Sequence[Predictions] | None = None,
) -> Measured:  # fmt: skip
    """Return the numbers of every test case, those of all folds one after the other.

    Args:
        asked: of every fold.
        answers: of every fold.
        extras: numbers of the whole run.
        calibrated: the same answers for the log score; None: they need no calibration.
    """
    tests = [each.study.cohort.parts["test"] for each in asked]
    together = joined(answers)
    said = joined(calibrated or answers)
    own = said.probabilities[np.arange(len(said.labels)), said.labels]
    return Measured(
        cases=[name for boxes in tests for name in boxes.ids],
        patients=together.patients,
        split="+".join(each.study.cohort.split.hash[:12] for each in asked),
        values={
            "auc": auc_by_fold(answers).tolist(),
            "accuracy": together.correct.astype(float).tolist(),
            # The log of 0 would make a mean of -infinity out of one sure mistake.
            "log_score": np.log(np.maximum(own, 1e-4)).tolist(),
        },
        strata={
            name: [float(x) for boxes in tests for x in boxes.facts[name]]
            for name in tests[0].facts
        },
        extras=extras,
    )
