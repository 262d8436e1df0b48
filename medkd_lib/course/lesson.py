"""What every lesson does with its data and its results, so that a lesson's cells can teach."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.display import HTML, display

from medkd_lib import __version__
from medkd_lib.course.exercise import Scoreboard
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
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.split import Split, write_split
from medkd_lib.phantom.twin import NoTwinError, twin
from medkd_lib.show.gallery import Gallery

# Every twin carries it, no real release does.
TRUTH_TABLE = "truth.csv"


@dataclass(frozen=True)
class Images:
    """The images of a run: where they are, what they are, and what they are evidence of."""

    manifest: Manifest
    root: Path
    index: Index
    evidence: Evidence


def open_images(
    dataset: str,
    data_root: str = "",
    *,
    patients: int,
    difficulty: str,
    size: str | None = None,
    workers: int = 1,
    shortcut: float | None = None,
) -> Images:
    """Index ``data_root``, or make the phantom twin of ``dataset`` and index that.

    Raises:
        NoTwinError: no ``data_root``, and the dataset has no twin: says how to get the images.
    """
    manifest = load_manifest(dataset)
    if data_root:
        root = Path(data_root)
        # A twin handed over as data_root stays a phantom: its truth table gives it away.
        synthetic = (root / TRUTH_TABLE).is_file()
        found = index(manifest, root)
        return Images(found.manifest, root, found, "phantom" if synthetic else "stand-in")
    if manifest.phantom is None:
        raise NoTwinError(
            f"parameter data_root: {dataset} has no phantom twin yet; name the folder of "
            f"the real images, for example -p data_root=path/to/{dataset} "
            f"(`medkd data show {dataset}` says where they come from)"
        )
    root = twin(
        manifest, patients=patients, difficulty=difficulty, size=size, workers=workers,
        shortcut=shortcut,
    )  # fmt: skip
    # The manifest's known issues are those of the real release; the twin is clean.
    notes = [f"synthetic patients, difficulty {difficulty!r}: no image shows a real person"]
    found = index(manifest, root)
    return Images(found.manifest, root, replace(found, notes=notes), "phantom")


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
    metrics: Sequence[Metric],
    headline: Headline,
    gallery: Gallery,
    score: Scoreboard,
    ledger: pd.DataFrame | None = None,
    split: Split | None = None,
) -> Path:
    """Write ``result.json``: metrics, figures with alt text, claims, versions, exercises.

    Args:
        lesson: folder name of the lesson.
        title: for the card.
        config: the resolved parameters.
        metrics: what was measured.
        headline: the card's sentence.
        gallery: the figures shown.
        score: the exercises.
        ledger: the claim table, if the lesson touches a paper's claims.
        split: written beside the result, with its hash.
    """
    points = score.as_dict()
    claims = [] if ledger is None else list(ledger.itertuples())
    result = Result(
        lesson=lesson, title=title, profile=config.profile, metrics=list(metrics),
        headline=headline,
        figures=[Figure(file=f, alt=a) for f, a in gallery.alts.items()],
        claims=[Claim(id=r.claim, verdict=r.verdict, note=r.note) for r in claims],
        params={k: v for k, v in vars(config).items()
                if isinstance(v, (bool, int, float, str)) or v is None},
        versions={"medkd": __version__}
        | {name: version(name) for name in ("torch", "numpy", "scikit-learn", "monai", "nibabel")},
        truncated=config.truncated,
        exercises={"points": points["points"], "possible": points["possible"]},
        seconds=time.perf_counter() - config.started,
    )  # fmt: skip
    folder = run_folder(lesson)
    if split is not None:
        write_split(split, folder / "split.json")
    path = write_result(folder, result)
    print(f"written: {path}")
    return path
