"""The committed tables of a recorded experiment: written by the recorder, read by everyone."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from medkd_lib.course.contrasts import EACH, contrast_table, unpacked
from medkd_lib.course.grid import Grid
from medkd_lib.course.result import write_atomic


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


# Columns of runs.csv that are no measure.
PLAIN = ("setting", "arm", "seed", "split", "code", "seconds", "correct", "correct_noisy")


def write_tables(grid: Grid, rows: Sequence[RunRow], out: Path) -> None:
    """Write ``runs.csv``, ``cases.csv`` and ``contrasts.csv`` atomically into ``out``.

    Rows already in the tables stay unless ``rows`` holds the same (setting, arm, seed): recording
    a part of the grid never throws the rest away.

    Raises:
        ValueError: there is no row at all, old rows of a setting have other test cases, or rows
            of one seed were trained on patients divided in another way.
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
    # Two NaNs are not equal: written as they are, a case would have a line for each of its runs.
    columns += [["" if x != x else x for x in row.strata.get(name, blank)] for name in strata]
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
    _require_one_split(both.values(), out)
    order = [(s.id, arm, seed) for s in grid.settings for seed in grid.seeds for arm in grid.arms]
    return [both[key] for key in order if key in both]


def _require_one_split(rows: Iterable[RunRow], out: Path) -> None:
    """Refuse arms of one seed that saw other patients: a contrast would pair them."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for r in rows:
        found.setdefault((r.setting, r.seed), {}).setdefault(r.split, []).append(r.arm)
    for (setting, seed), splits in found.items():
        if len(splits) > 1:
            said = "; ".join(f"{split}: {', '.join(arms)}" for split, arms in splits.items())
            raise ValueError(
                f"{out}: expected one split for all arms of {setting}, seed {seed}, found {said}; "
                "record the arms of the older split again, in one go with the others"
            )


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
                values={c.removeprefix(EACH): unpacked(record[c]) for c in each if record[c]},
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


def _write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomic(path, text.getvalue())
