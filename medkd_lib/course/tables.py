"""The committed tables of a recorded experiment: written by the recorder, read by everyone."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.grid import Grid
from medkd_lib.course.result import write_atomic
from medkd_lib.evaluate.intervals import Contrast, decide, holm, paired_contrast

CONTRAST_COLUMNS = [
    *("setting", "contrast", "difference", "low", "high", "p", "p_holm", "verdict"),
    *("seeds", "cases", "patients"),
]


@dataclass(frozen=True)
class RunRow:
    """One recorded run; ``correct`` packs one bit per test case as hex."""

    setting: str
    arm: str
    seed: int
    split: str
    code: str
    seconds: float
    measures: dict[str, float]
    correct: str
    cases: list[str]
    patients: list[str]


def write_tables(grid: Grid, rows: Sequence[RunRow], out: Path) -> None:
    """Write ``runs.csv``, ``cases.csv`` and ``contrasts.csv`` atomically into ``out``.

    Rows already in the tables stay unless ``rows`` holds the same (setting, arm, seed): recording
    a part of the grid never throws the rest away.

    Raises:
        ValueError: there is no row at all, or old rows of a setting have other test cases.
    """
    rows = _merged(grid, rows, out)
    if not rows:
        raise ValueError(f"{out}: no run to write; see `medkd record --help`")
    out.mkdir(parents=True, exist_ok=True)
    names = list(rows[0].measures)
    _write(
        out / "runs.csv",
        ["setting", "arm", "seed", *names, "split", "code", "seconds", "correct"],
        [
            [
                r.setting,
                r.arm,
                r.seed,
                *(r.measures[n] for n in names),
                r.split,
                r.code,
                r.seconds,
                r.correct,
            ]
            for r in rows
        ],
    )
    cases = {
        (r.setting, c, p): None for r in rows for c, p in zip(r.cases, r.patients, strict=True)
    }
    _write(out / "cases.csv", ["setting", "case", "patient"], [list(c) for c in cases])
    contrasts = contrast_table(grid, read_runs(out), read_cases(out))
    _write(out / "contrasts.csv", list(contrasts.columns), contrasts.to_numpy().tolist())


def _merged(grid: Grid, rows: Sequence[RunRow], out: Path) -> list[RunRow]:
    new = {(r.setting, r.arm, r.seed): r for r in rows}
    kept = (
        {}
        if not (out / "runs.csv").is_file()
        else {(r.setting, r.arm, r.seed): r for r in _read_rows(out)}
    )
    for row in kept.values():
        fresh = next((r for r in rows if r.setting == row.setting), row)
        if row.cases != fresh.cases:
            raise ValueError(
                f"{out}: the recorded runs of {row.setting} have other test cases than the new "
                "ones; delete runs.csv and record the whole setting again"
            )
    both = kept | new
    order = [(s.id, arm, seed) for s in grid.settings for seed in grid.seeds for arm in grid.arms]
    return [both[key] for key in order if key in both]


def _read_rows(folder: Path) -> list[RunRow]:
    runs, cases = read_runs(folder), read_cases(folder)
    plain = {"setting", "arm", "seed", "split", "code", "seconds", "correct"}
    names = [c for c in runs.columns if c not in plain]
    found = []
    for record in runs.to_dict("records"):
        mine = cases[cases.setting == record["setting"]]
        found.append(
            RunRow(
                **{name: record[name] for name in plain},
                measures={name: record[name] for name in names},
                cases=mine.case.tolist(),
                patients=mine.patient.tolist(),
            )
        )
    return found


def read_runs(folder: Path) -> pd.DataFrame:
    """Return ``runs.csv`` as a table."""
    return pd.read_csv(folder / "runs.csv", dtype={"correct": str, "split": str, "code": str})


def read_cases(folder: Path) -> pd.DataFrame:
    """Return ``cases.csv`` as a table."""
    return pd.read_csv(folder / "cases.csv", dtype=str)


def read_contrasts(folder: Path) -> pd.DataFrame:
    """Return ``contrasts.csv`` as a table."""
    return pd.read_csv(folder / "contrasts.csv")


def correct_matrix(runs: pd.DataFrame, setting: str, arm: str, cases: int) -> NDArray[np.uint8]:
    """Return ``(seeds, cases)`` of 0/1, seeds in rising order."""
    mine = runs[(runs.setting == setting) & (runs.arm == arm)].sort_values("seed")
    packed = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in mine.correct]
    return np.stack([np.unpackbits(bits)[:cases] for bits in packed])


def contrast_table(grid: Grid, runs: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Compute every declared contrast; Holm's correction runs within a setting."""
    lines = []
    for setting in grid.settings:
        patients = cases[cases.setting == setting.id].patient.tolist()
        seen = runs[runs.setting == setting.id]
        complete = seen.groupby("arm").seed.nunique()
        found: list[Contrast] = []
        for plan in grid.contrasts:
            if plan.settings and setting.id not in plan.settings:
                continue
            if min(complete.get(plan.arm, 0), complete.get(plan.rival, 0)) < len(grid.seeds):
                continue  # an unfinished grid shows what is complete, never a partial contrast
            arm = correct_matrix(runs, setting.id, plan.arm, len(patients))
            rival = correct_matrix(runs, setting.id, plan.rival, len(patients))
            found.append(paired_contrast(plan.id, arm, rival, patients))
        adjusted = holm({c.name: c.p for c in found})
        lines += [
            {
                "setting": setting.id,
                "contrast": c.name,
                "difference": round(c.difference, 4),
                "low": round(c.interval[0], 4),
                "high": round(c.interval[1], 4),
                "p": float(f"{c.p:.3g}"),
                "p_holm": float(f"{adjusted[c.name]:.3g}"),
                "verdict": decide(c.interval, adjusted[c.name]),
                "seeds": c.seeds,
                "cases": c.cases,
                "patients": len(set(patients)),
            }
            for c in found
        ]
    return pd.DataFrame(lines, columns=CONTRAST_COLUMNS)


def _write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, text.getvalue())
