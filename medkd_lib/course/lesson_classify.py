"""Lessons that classify images: tables, metrics and the headline from test predictions."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.logits import Study
from medkd_lib.course.lesson import Images
from medkd_lib.course.result import Headline, Metric
from medkd_lib.data.images import load_images
from medkd_lib.data.split import Split
from medkd_lib.evaluate.classify import Predictions, measures
from medkd_lib.evaluate.intervals import class_weights, patient_bootstrap

Primary = Literal["accuracy", "balanced_accuracy"]
INTERVAL_KIND = "95 % bootstrap over test patients, one training"


def full_size(images: Images, study: Study, rows: Tensor) -> Tensor:
    """Return transfer images at display size, not at the networks' input size."""
    cases = study.split.of("transfer", images.index.cases)
    return load_images([cases[i] for i in rows.tolist()], 160, channels=study.channels).images


def primary_values(p: Predictions, primary: Primary) -> NDArray[np.float64]:
    """Return one number per case whose mean is the primary measure."""
    correct = p.correct.astype(np.float64)
    return correct if primary == "accuracy" else correct * class_weights(p.labels)


def report_metrics(
    results: Mapping[str, Predictions], primary: Primary = "accuracy"
) -> pd.DataFrame:
    """Return one row per arm: primary measure with interval, AUC, NLL, ECE, images, patients."""
    rows = []
    for arm, p in results.items():
        values = primary_values(p, primary)
        low, high = patient_bootstrap(values, p.patients)
        m = measures(p)
        rows.append({
            "arm": ARM_TITLES.get(arm, arm), primary.replace("_", " "): f"{values.mean():.3f}",
            "95 % interval": f"{low:.3f}–{high:.3f}",
            "AUC": f"{m['auc_macro']:.3f}", "NLL": f"{m['nll']:.2f}", "ECE": f"{m['ece']:.3f}",
            "images": len(p.labels), "patients": len(set(p.patients)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def metrics_of(
    results: Mapping[str, Predictions], images: Images, *, seed: int, split: Split,
    primary: Primary = "accuracy",
) -> list[Metric]:  # fmt: skip
    """Return every measure of every arm; the primary one with its interval."""
    found = []
    for arm, p in results.items():
        for name, value in measures(p).items():
            interval = None
            if name == primary:
                interval = patient_bootstrap(primary_values(p, primary), p.patients)
            found.append(Metric(
                name=name, value=value, arm=arm, n=len(set(p.patients)), seed=seed,
                interval=interval, interval_kind=INTERVAL_KIND if interval else "",
                dataset=images.manifest.id, evidence=images.evidence, split_hash=split.hash,
            ))  # fmt: skip
    return found


def headline_of(
    results: Mapping[str, Predictions], pair: tuple[str, str], images: Images, recorded: str,
    primary: Primary = "accuracy",
) -> Headline:  # fmt: skip
    """Compare two arms' primary measures in one sentence.

    Args:
        results: arm → test predictions.
        pair: (arm, rival).
        images: gives dataset and evidence.
        recorded: what many seeds say to the same question, so that one lucky run cannot flatter.
        primary: what is compared.
    """
    arm, rival = (primary_values(results[name], primary) for name in pair)
    low, high = patient_bootstrap(arm - rival, results[pair[0]].patients)
    text = (
        f"{images.manifest.id} ({images.evidence}), {primary.replace('_', ' ')}: "
        f"{ARM_TITLES[pair[0]]} {arm.mean():.3f} against {ARM_TITLES[pair[1]]} "
        f"{rival.mean():.3f}, difference {(arm - rival).mean():+.3f} "
        f"[{low:+.3f}, {high:+.3f}] over test patients, one training; {recorded}"
    )
    return Headline(text=text, metric=primary)
