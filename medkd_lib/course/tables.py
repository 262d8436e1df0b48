"""The committed tables of a recorded experiment: written by the recorder, read by everyone."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.grid import ContrastPlan, Grid
from medkd_lib.course.result import write_atomic
from medkd_lib.evaluate.intervals import Contrast, class_weights, decide, holm, paired_contrast
from medkd_lib.evaluate.strata import terciles

CONTRAST_COLUMNS = [
    *("setting", "contrast", "difference", "low", "high", "p", "p_holm", "verdict"),
    *("seeds", "cases", "patients"),
]


@dataclass(frozen=True)
class RunRow:
    """One recorded run; ``correct`` packs one bit per test case as hex.

    ``labels``, ``sizes_mm2`` and ``correct_noisy`` (the same for the test images made worse) are
    empty in experiments that do not record them. Where answers are masks, ``values`` holds one
    number per case and measure instead of a bit, and ``strata`` what cases are grouped by.
    """

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
    labels: list[int] = field(default_factory=list)
    sizes_mm2: list[float] = field(default_factory=list)
    correct_noisy: str = ""
    values: dict[str, list[float]] = field(default_factory=dict)
    strata: dict[str, list[float]] = field(default_factory=dict)


# Before the name of a measure: the column that holds it case by case.
EACH = "each_"
# Columns of runs.csv that are no measure.
PLAIN = ("setting", "arm", "seed", "split", "code", "seconds", "correct", "correct_noisy")


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
    names = list(dict.fromkeys(name for r in rows for name in r.measures))
    noisy = ["correct_noisy"] if any(r.correct_noisy for r in rows) else []
    each = list(dict.fromkeys(name for r in rows for name in r.values))
    _write(
        out / "runs.csv",
        ["setting", "arm", "seed", *names, "split", "code", "seconds", "correct", *noisy,
         *(EACH + name for name in each)],
        [
            [r.setting, r.arm, r.seed, *(r.measures.get(n, "") for n in names),
             r.split, r.code, r.seconds, r.correct, *([r.correct_noisy] if noisy else []),
             *(_packed(r.values.get(name, [])) for name in each)]
            for r in rows
        ],
    )  # fmt: skip
    labelled = any(r.labels for r in rows)
    strata = list(dict.fromkeys(name for r in rows for name in r.strata))
    columns = ["setting", "case", "patient", *(["label", "size_mm2"] if labelled else []), *strata]
    cases = {line: None for r in rows for line in _case_lines(r, strata, labelled=labelled)}
    _write(out / "cases.csv", columns, [list(c) for c in cases])
    contrasts = contrast_table(grid, read_runs(out), read_cases(out))
    _write(out / "contrasts.csv", list(contrasts.columns), contrasts.to_numpy().tolist())


def _packed(numbers: Sequence[float]) -> str:
    """Return numbers as text; what is not defined is empty."""
    return ";".join("" if np.isnan(x) else f"{x:g}" for x in numbers)


def _case_lines(row: RunRow, strata: Sequence[str], *, labelled: bool) -> list[tuple[object, ...]]:
    """Return one line per test case; what a run did not record is empty."""
    blank: list[object] = [""] * len(row.cases)
    columns: list[Sequence[object]] = [row.cases, row.patients]
    if labelled:
        columns += [row.labels or blank, row.sizes_mm2 or blank]
    columns += [row.strata.get(name, blank) for name in strata]
    return [(row.setting, *line) for line in zip(*columns, strict=True)]


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
    each = [c for c in runs.columns if c.startswith(EACH)]
    names = [c for c in runs.columns if c not in PLAIN and c not in each]
    known = {"setting", "case", "patient", "label", "size_mm2"}
    strata = [c for c in cases.columns if c not in known]
    found = []
    for record in runs.to_dict("records"):
        mine = cases[cases.setting == record["setting"]]
        labels, sizes = ([], []) if "label" not in mine else (mine.label, mine.size_mm2.dropna())
        found.append(
            RunRow(
                **{name: record[name] for name in PLAIN if name in record},
                values={c.removeprefix(EACH): _unpacked(record[c]) for c in each if record[c]},
                strata={c: mine[c].tolist() for c in strata if mine[c].notna().any()},
                measures={n: record[n] for n in names if not pd.isna(record[n])},
                cases=mine.case.tolist(),
                patients=mine.patient.tolist(),
                labels=[int(x) for x in labels],
                sizes_mm2=[float(x) for x in sizes],
            )
        )
    return found


def read_runs(folder: Path) -> pd.DataFrame:
    """Return ``runs.csv`` as a table."""
    head = pd.read_csv(folder / "runs.csv", nrows=0).columns
    plain = ("correct", "correct_noisy", "split", "code")
    texts = [c for c in head if c in plain or c.startswith(EACH)]
    return pd.read_csv(folder / "runs.csv", dtype=dict.fromkeys(texts, str)).fillna(
        dict.fromkeys(texts, "")
    )


def read_cases(folder: Path) -> pd.DataFrame:
    """Return ``cases.csv`` as a table."""
    return pd.read_csv(folder / "cases.csv", dtype={"case": str, "patient": str})


def read_contrasts(folder: Path) -> pd.DataFrame:
    """Return ``contrasts.csv`` as a table."""
    return pd.read_csv(folder / "contrasts.csv")


def correct_matrix(
    runs: pd.DataFrame, setting: str, arm: str, cases: int, answers: str = "clean"
) -> NDArray[np.uint8]:
    """Return ``(seeds, cases)`` of 0/1, seeds in rising order."""
    mine = runs[(runs.setting == setting) & (runs.arm == arm)].sort_values("seed")
    column = mine.correct if answers == "clean" else mine.correct_noisy
    packed = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in column]
    return np.stack([np.unpackbits(bits)[:cases] for bits in packed])


def values_matrix(runs: pd.DataFrame, setting: str, arm: str, measure: str) -> NDArray[np.float64]:
    """Return ``(seeds, cases)`` of a measure, seeds in rising order; NaN where not defined."""
    mine = runs[(runs.setting == setting) & (runs.arm == arm)].sort_values("seed")
    return np.array([_unpacked(text) for text in mine[EACH + measure]])


def _unpacked(text: str) -> list[float]:
    return [float(x) if x else np.nan for x in text.split(";")]


def contrast_table(grid: Grid, runs: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Compute every declared contrast; Holm's correction runs within a setting and a family.

    With balanced accuracy as the primary measure every case counts by `class_weights`; the weights
    stay as they are when patients are redrawn. Where answers are masks, a contrast compares a
    measure case by case; a case without a value is left out, which its truth alone decides.
    """
    lines = []
    for setting in grid.settings:
        mine = cases[cases.setting == setting.id]
        patients: dict[str, int] = {}
        seen = runs[runs.setting == setting.id]
        complete = seen.groupby("arm").seed.nunique()
        found: list[Contrast] = []
        for plan in grid.contrasts_of(setting):
            wanted = len(grid.seeds_of(setting))
            if min(complete.get(plan.arm, 0), complete.get(plan.rival, 0)) < wanted:
                continue  # an unfinished grid shows what is complete, never a partial contrast
            asked = np.ones(len(mine), bool)
            if plan.only:
                asked = terciles(mine[plan.by].to_numpy(float)) == plan.only
            arm, rival = (
                _compared(grid, plan, seen, mine, setting.id, a) for a in (plan.arm, plan.rival)
            )
            asked &= ~np.isnan(arm).any(axis=0)
            if grid.primary == "balanced_accuracy":
                weights = class_weights(mine.label[asked].to_numpy())
                arm[:, asked], rival[:, asked] = arm[:, asked] * weights, rival[:, asked] * weights
            arm, rival = arm[:, asked], rival[:, asked]
            who = mine.patient[asked].tolist()
            patients[plan.id] = len(set(who))
            found.append(paired_contrast(plan.id, arm, rival, who))
        family = {plan.id: plan.family for plan in grid.contrasts}
        adjusted = {
            name: p
            for each in dict.fromkeys(family.values())
            for name, p in holm({c.name: c.p for c in found if family[c.name] == each}).items()
        }
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
                "patients": patients[c.name],
            }
            for c in found
        ]
    return pd.DataFrame(lines, columns=CONTRAST_COLUMNS)


def _compared(
    grid: Grid, plan: ContrastPlan, runs: pd.DataFrame, cases: pd.DataFrame, setting: str, arm: str
) -> NDArray[np.float64]:
    """Return ``(seeds, cases)`` of what a contrast compares of an arm."""
    if grid.primary == "dice":
        return values_matrix(runs, setting, arm, plan.measure or grid.primary)
    return correct_matrix(runs, setting, arm, len(cases), plan.answers).astype(np.float64)


def _write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, text.getvalue())
