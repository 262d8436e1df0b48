"""``medkd record NN``: run the declared grid, resumable run by run, and write the small tables.

Each run is one JSON file in the medkd home, keyed by everything it depends on; the committed tables
are made from those files alone:

- ``runs.csv``: one row per (setting, arm, seed) with its measures and, as hex, which test cases
  were right, or each case's numbers (so that every contrast can be recomputed from the table);
- ``cases.csv``: the test cases, their patients, labels and sizes;
- ``contrasts.csv``: the declared contrasts with interval, p and Holm's p.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.outcome import Measured, Outcome
from medkd_lib.course.experiments.registry import EXPERIMENTS
from medkd_lib.course.grid import Grid, Option, Setting
from medkd_lib.course.result import write_atomic
from medkd_lib.course.tables import RunRow, read_runs, write_tables
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.classify import Predictions, measures
from medkd_lib.fingerprint import code_hash, content_hash
from medkd_lib.home import medkd_home

# The rooms whose code decides a recorded number.
RECORDED_ROOMS = (
    "data",
    "models",
    "distill",
    "methods",
    "train.py",
    "phantom",
    "course/experiments",
    "evaluate",
)


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell of the grid."""

    lesson: str
    experiment: str
    options: dict[str, Option]
    setting: Setting
    roots: tuple[str, ...]
    data: str
    arm: str
    seed: int

    @property
    def path(self) -> Path:
        """File of this run in the medkd home; its name depends on code, data and cell."""
        key = key_of(
            setting=self.setting.model_dump(exclude={"arms", "title"}),
            data=self.data,
            arm=self.arm,
            seed=self.seed,
            experiment=self.experiment,
            options=self.options,
            code=code_hash(RECORDED_ROOMS),
            torch=torch.__version__,
        )
        return medkd_home() / "recorded" / self.lesson / f"{key}.json"


def record(
    grid: Grid,
    out: Path,
    *,
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    settings: Sequence[str] = (),
    jobs: int = 1,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Run what is missing of the grid and write the tables into ``out``.

    Args:
        grid: the declared grid.
        out: folder of the committed tables; runs that are not chosen keep their rows.
        arms: only these arms; empty means all declared.
        seeds: only these seeds.
        settings: only these settings.
        jobs: processes side by side, each on one thread.
        tell: called with one line per finished run, and at the end with one that names the arms
            whose rows other code made, if there are any.

    Raises:
        ValueError: an arm, seed or setting that the grid does not declare.
    """
    chosen = _chosen(grid, arms, seeds, settings)
    todo = [job for job in chosen if not job.path.is_file()]
    tell(f"{len(chosen)} runs declared here, {len(chosen) - len(todo)} done before")
    # Teachers first: the students of a seed then find them in the cache instead of racing.
    teachers = EXPERIMENTS[grid.experiment].teachers
    first = [j for j in todo if j.arm in teachers]
    for group in (first, [j for j in todo if j not in first]):
        for count, job in enumerate(_finished(group, jobs), start=1):
            tell(f"{count}/{len(group)} {job.setting.id} {job.arm} seed {job.seed}")
    write_tables(grid, [_read(job) for job in chosen], out)
    if kept := of_other_code(read_runs(out), code_hash(RECORDED_ROOMS)):
        tell(f"rows of other code stay in {out / 'runs.csv'}: {kept}")


def of_other_code(runs: pd.DataFrame, code: str) -> str:
    """Return setting and arms of the rows that another code made, as text; empty if none.

    Such rows may stay, since each is keyed by its code; whoever compares them has to know.
    """
    other = runs[runs.code != code]
    return "; ".join(
        f"{setting} {', '.join(mine.arm.unique())}"
        for setting, mine in other.groupby("setting", sort=False)
    )


def _chosen(
    grid: Grid, arms: Sequence[str], seeds: Sequence[int], settings: Sequence[str]
) -> list[Job]:
    known = [s.id for s in grid.settings]
    unknown = ({*arms} - {*grid.arms}, {*seeds} - {*grid.seeds}, {*settings} - {*known})
    if any(unknown):
        raise ValueError(
            f"not in the declared grid: {[sorted(map(str, u)) for u in unknown if u]}"
            f"; it has arms {grid.arms}, seeds {grid.seeds}, settings {known}"
        )
    wanted = [s for s in grid.settings if s.id in (settings or known)]
    roots = {s.id: s.roots() for s in wanted}
    data = {name: content_hash(folders) for name, folders in roots.items()}
    return [
        Job(
            grid.lesson, grid.experiment, grid.options | s.options, s,
            tuple(str(r) for r in roots[s.id]), data[s.id], arm, seed,
        )
        for s in wanted
        for seed in grid.seeds_of(s)
        if not seeds or seed in seeds
        for arm in grid.arms_of(s)
        if not arms or arm in arms
    ]  # fmt: skip


def _finished(group: Sequence[Job], jobs: int) -> Iterator[Job]:
    if jobs == 1:
        for job in group:
            yield run_job(job)
        return
    # spawn: a forked child would inherit torch's thread pools in an undefined state.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run_job, job) for job in group]):
            yield future.result()


def run_job(job: Job) -> Job:
    """Run one cell and keep its result."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    outcome = EXPERIMENTS[job.experiment].run(
        job.setting.datasets, job.roots, job.arm, job.seed, job.options,
        Fabric(accelerator="cpu", devices=1),
    )  # fmt: skip
    row = _measured(job, outcome) if isinstance(outcome, Measured) else _answered(job, outcome)
    row = dataclasses.replace(row, seconds=round(time.perf_counter() - began, 2))
    job.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(job.path, json.dumps(dataclasses.asdict(row)))
    return job


def _answered(job: Job, outcome: Outcome) -> RunRow:
    """Return the row of classified images: one bit for each."""
    found = measures(outcome.predictions) | dict(outcome.extras)
    if outcome.noisy is not None:
        found["balanced_accuracy_noisy"] = measures(outcome.noisy)["balanced_accuracy"]
    return RunRow(
        setting=job.setting.id,
        arm=job.arm,
        seed=job.seed,
        split=outcome.split,
        code=code_hash(RECORDED_ROOMS),
        seconds=0.0,
        measures={k: round(v, 6) for k, v in found.items()},
        correct=_bits(outcome.predictions),
        cases=list(outcome.cases),
        patients=list(outcome.predictions.patients),
        labels=[int(label) for label in outcome.predictions.labels],
        sizes_mm2=[round(size) for size in outcome.sizes_mm2],
        correct_noisy="" if outcome.noisy is None else _bits(outcome.noisy),
    )


def _measured(job: Job, outcome: Measured) -> RunRow:
    """Return the row of segmented cases: a number for each, per measure."""
    found = {name: float(np.nanmean(each)) for name, each in outcome.values.items()}
    return RunRow(
        setting=job.setting.id,
        arm=job.arm,
        seed=job.seed,
        split=outcome.split,
        code=code_hash(RECORDED_ROOMS),
        seconds=0.0,
        measures={k: round(v, 6) for k, v in (found | dict(outcome.extras)).items()},
        correct="",
        cases=list(outcome.cases),
        patients=list(outcome.patients),
        values={name: [round(float(v), 4) for v in each] for name, each in outcome.values.items()},
        strata={name: [round(float(v), 3) for v in each] for name, each in outcome.strata.items()},
    )


def _bits(predictions: Predictions) -> str:
    return np.packbits(predictions.correct).tobytes().hex()


def _read(job: Job) -> RunRow:
    return RunRow(**json.loads(job.path.read_text(encoding="utf-8")))
