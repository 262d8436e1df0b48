"""Lessons that classify images: tables, metrics and the headline from test predictions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.logits import Study
from medkd_lib.course.lesson import Images
from medkd_lib.course.result import Headline, Metric
from medkd_lib.data.images import load_images
from medkd_lib.evaluate.classify import Predictions, measures
from medkd_lib.evaluate.intervals import patient_bootstrap

INTERVAL_KIND = "95 % bootstrap over test patients, one training"


def full_size(images: Images, study: Study, rows: Tensor) -> Tensor:
    """Return transfer images at display size, not at the networks' input size."""
    cases = study.split.of("transfer", images.index.cases)
    return load_images([cases[i] for i in rows.tolist()], 160, channels=study.channels).images


def report_metrics(results: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return one row per arm: accuracy with its interval, AUC, NLL, ECE, films and patients."""
    rows = []
    for arm, p in results.items():
        low, high = patient_bootstrap(p.correct, p.patients)
        m = measures(p)
        rows.append({
            "arm": ARM_TITLES.get(arm, arm), "accuracy": f"{m['accuracy']:.3f}",
            "95 % interval": f"{low:.3f}–{high:.3f}",
            "AUC": f"{m['auc_macro']:.3f}", "NLL": f"{m['nll']:.2f}", "ECE": f"{m['ece']:.3f}",
            "films": len(p.labels), "patients": len(set(p.patients)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def metrics_of(results: Mapping[str, Predictions], study: Study, images: Images) -> list[Metric]:
    """Return every measure of every arm; accuracies with their interval."""
    return [
        _metric(name, value, arm, p, study, images)
        for arm, p in results.items()
        for name, value in measures(p).items()
    ]


def _metric(
    name: str, value: float, arm: str, p: Predictions, study: Study, images: Images
) -> Metric:
    interval = patient_bootstrap(p.correct, p.patients) if name == "accuracy" else None
    return Metric(
        name=name, value=value, arm=arm, n=len(set(p.patients)), seed=study.seed,
        interval=interval, interval_kind=INTERVAL_KIND if interval else "",
        dataset=images.manifest.id, evidence=images.evidence, split_hash=study.split.hash,
    )  # fmt: skip


def headline_of(
    results: Mapping[str, Predictions], pair: tuple[str, str], images: Images, recorded: str
) -> Headline:
    """Compare two arms' accuracies in one sentence.

    Args:
        results: arm → test predictions.
        pair: (arm, rival).
        images: gives dataset and evidence.
        recorded: what many seeds say to the same question, so that one lucky run cannot flatter.
    """
    arm, rival = (results[name] for name in pair)
    difference = arm.correct.astype(float) - rival.correct.astype(float)
    low, high = patient_bootstrap(difference, arm.patients)
    text = (
        f"{images.manifest.id} ({images.evidence}): {ARM_TITLES[pair[0]]} "
        f"{np.mean(arm.correct):.3f} against {ARM_TITLES[pair[1]]} "
        f"{np.mean(rival.correct):.3f}, difference {difference.mean():+.3f} "
        f"[{low:+.3f}, {high:+.3f}] over test patients, one training; {recorded}"
    )
    return Headline(text=text, metric="accuracy")
