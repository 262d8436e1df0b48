"""What every lesson does with its data and its results, so that a lesson's cells can teach."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.display import HTML, display
from torch import Tensor

from medkd_lib import __version__
from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.exercise import Scoreboard
from medkd_lib.course.experiments.logits import Study
from medkd_lib.course.resolve import Config
from medkd_lib.course.result import (
    Claim,
    Evidence,
    Figure,
    Headline,
    Metric,
    Result,
    run_folder,
    write_result,
)
from medkd_lib.data.images import load_images
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.split import write_split
from medkd_lib.evaluate.classify import Predictions, measures
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.phantom.twin import NoTwinError, twin
from medkd_lib.show.gallery import Gallery

# Every twin carries it, no real release does.
TRUTH_TABLE = "truth.csv"
INTERVAL_KIND = "95 % bootstrap over test patients, one training"


@dataclass(frozen=True)
class Images:
    """The images of a run: where they are, what they are, and what they are evidence of."""

    manifest: Manifest
    root: Path
    index: Index
    evidence: Evidence

    def full_size(self, study: Study, rows: Tensor) -> Tensor:
        """Return transfer images at display size, not at the networks' input size."""
        cases = study.split.of("transfer", self.index.cases)
        return load_images([cases[i] for i in rows.tolist()], 160, channels=study.channels).images


def open_images(config: Config) -> Images:
    """Index ``data_root``, or make the phantom twin of ``dataset`` and index that.

    Raises:
        NoTwinError: no ``data_root``, and the dataset has no twin: says how to get the images.
    """
    manifest = load_manifest(config.dataset)
    if config.data_root:
        root = Path(config.data_root)
        # A twin handed over as data_root stays a phantom: its truth table gives it away.
        synthetic = (root / TRUTH_TABLE).is_file()
        return Images(manifest, root, index(manifest, root), "phantom" if synthetic else "stand-in")
    if manifest.phantom is None:
        raise NoTwinError(
            f"parameter data_root: {config.dataset} has no phantom twin yet; name the folder of "
            f"the real images, for example -p data_root=path/to/{config.dataset} "
            f"(`medkd data show {config.dataset}` says where they come from)"
        )
    root = twin(manifest, patients=config.patients, difficulty=config.difficulty)
    # The manifest's known issues are those of the real release; the twin is clean.
    notes = [f"synthetic patients, difficulty {config.difficulty!r}: no film shows a real person"]
    return Images(manifest, root, replace(index(manifest, root), notes=notes), "phantom")


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


def table(rows: pd.DataFrame | list[Any]) -> None:
    """Show a table: as HTML in a notebook, as text in a script."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([vars(r) for r in rows])
    with pd.option_context("display.max_colwidth", None, "display.width", 160):
        if get_ipython() is None:
            print(frame.to_string(index=False))
        else:
            display(HTML(frame.to_html(index=False, float_format=lambda x: f"{x:.3f}")))


def finish(
    lesson: str,
    *,
    title: str,
    config: Config,
    study: Study,
    images: Images,
    results: Mapping[str, Predictions],
    gallery: Gallery,
    ledger: pd.DataFrame,
    score: Scoreboard,
    headline: tuple[str, str],
    recorded: str = "no recorded runs to compare with",
) -> Path:
    """Write ``result.json``: every measure of every arm, figures with alt text, claims, versions.

    Args:
        lesson: folder name of the lesson.
        title: for the card.
        config: the resolved parameters.
        study: gives the split's hash and the seed.
        images: gives dataset and evidence.
        results: arm → test predictions.
        gallery: the figures shown.
        ledger: the claim table.
        score: the exercises.
        headline: (arm, rival): the card's sentence compares their accuracies.
        recorded: what many seeds say to the same question, so that one lucky run cannot flatter.
    """
    metrics = [
        _metric(name, value, arm, p, study, images)
        for arm, p in results.items()
        for name, value in measures(p).items()
    ]
    points = score.as_dict()
    result = Result(
        lesson=lesson, title=title, profile=config.profile, metrics=metrics,
        headline=_headline(results, headline, images, recorded),
        figures=[Figure(file=f, alt=a) for f, a in gallery.alts.items()],
        claims=[Claim(id=r.claim, verdict=r.verdict, note=r.note) for r in ledger.itertuples()],
        params={k: v for k, v in vars(config).items()
                if isinstance(v, (bool, int, float, str)) or v is None},
        versions={"medkd": __version__}
        | {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
        truncated=config.truncated,
        exercises={"points": points["points"], "possible": points["possible"]},
        seconds=time.perf_counter() - config.started,
    )  # fmt: skip
    folder = run_folder(lesson)
    write_split(study.split, folder / "split.json")
    path = write_result(folder, result)
    print(f"written: {path}")
    return path


def _metric(
    name: str, value: float, arm: str, p: Predictions, study: Study, images: Images
) -> Metric:
    interval = patient_bootstrap(p.correct, p.patients) if name == "accuracy" else None
    return Metric(
        name=name, value=value, arm=arm, n=len(set(p.patients)), seed=study.seed,
        interval=interval, interval_kind=INTERVAL_KIND if interval else "",
        dataset=images.manifest.id, evidence=images.evidence, split_hash=study.split.hash,
    )  # fmt: skip


def _headline(
    results: Mapping[str, Predictions], pair: tuple[str, str], images: Images, recorded: str
) -> Headline:
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
