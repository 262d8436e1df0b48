"""`medkd report DIR`: one page and one table from the `result.json` files of a run, and no other.

The page needs no network and no script, and opens from the disk. Numbers of runs that failed or
were truncated are kept out of `results.csv`: they are no evidence.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from medkd_lib.course.report_card import STATES, Entry, card_html, row_html
from medkd_lib.course.result import Metric, ResultError, read_result, write_atomic

TEMPLATE = Path(__file__).with_name("report.html")
RUN_COLUMNS = (
    *("folder", "lesson", "title", "profile", "status", "truncated", "seconds", "budget_seconds"),
    *("peak_memory_mb", "created"),
)
METRIC_COLUMNS = (
    *("metric", "arm", "dataset", "value", "unit", "n", "seed", "low", "high", "interval_kind"),
    *("evidence", "split_hash"),
)


def write_report(run_dir: Path) -> Path:
    """Write ``index.html`` and ``results.csv`` into ``run_dir``; return the page.

    Raises:
        ResultError: the folder holds no runs.
    """
    entries = read_entries(run_dir)
    write_atomic(run_dir / "results.csv", as_csv(entries))
    return write_atomic(run_dir / "index.html", as_page(entries, run_dir.resolve().name))


def read_entries(run_dir: Path) -> list[Entry]:
    """Read every run folder in ``run_dir``, those without a usable result included.

    Raises:
        ResultError: there is none.
    """
    folders = sorted(
        folder
        for folder in (run_dir.iterdir() if run_dir.is_dir() else ())
        if (folder / "params.json").is_file() or (folder / "result.json").is_file()
    )
    folders = [folder for folder in folders if not folder.name.startswith(".")]
    if not folders:
        raise ResultError(
            f"{run_dir}: expected a folder of runs such as runs/20250131-120000, found none in it"
        )
    return [_entry(folder) for folder in folders]


def _entry(folder: Path) -> Entry:
    if not (folder / "result.json").is_file():
        return Entry(folder, None)
    try:
        result = read_result(folder)
    except ResultError as error:
        return Entry(folder, None, str(error))
    # While a notebook runs, its own result has no key yet: the run may still fail.
    if (folder / "params.json").is_file() and not result.key:
        return Entry(folder, None)
    return Entry(folder, result)


def as_page(entries: Sequence[Entry], name: str) -> str:
    """Return the page's HTML."""
    counts = Counter(entry.state for entry in entries)
    told = ", ".join(f"{counts[state]} {STATES[state][1]}" for state in STATES if counts[state])
    lessons = "1 lesson" if len(entries) == 1 else f"{len(entries)} lessons"
    head = "".join(f'<th scope="col">{word}</th>' for word in ("Lesson", "Status", "Result"))
    overview = (
        '<div class="list scroll" tabindex="0" role="region" aria-label="Overview"><table>'
        f'<thead><tr>{head}<th scope="col" class="num">Time and budget</th></tr></thead>'
        f"<tbody>{''.join(row_html(entry) for entry in entries)}</tbody></table></div>"
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"Results of {escape(name)}",
        subtitle=f"{lessons}: {escape(told)}.",
        overview=overview if len(entries) > 1 else "",
        cards="\n".join(card_html(entry) for entry in entries),
    )


def as_csv(entries: Sequence[Entry]) -> str:
    """Return one row per metric of runs that count, and one row without numbers per other run."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*RUN_COLUMNS, *METRIC_COLUMNS], lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        run: dict[str, object] = {"folder": entry.folder.name, "status": entry.state}
        if entry.result is not None:
            fields = entry.result.model_dump(include=set(RUN_COLUMNS))
            run = fields | run
        metrics = entry.result.metrics if entry.result and entry.is_evidence else []
        writer.writerows([run | _metric_fields(metric) for metric in metrics] or [run])
    return stream.getvalue()


def _metric_fields(metric: Metric) -> dict[str, object]:
    low, high = metric.interval or (None, None)
    fields = metric.model_dump(exclude={"name", "interval"})
    return fields | {"metric": metric.name, "low": low, "high": high}
