"""One lesson's card in the report, and its row in the overview. Every text is escaped here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from medkd_lib.course.report_table import metric_table
from medkd_lib.course.result import Failure, Result

# Symbol and word carry the meaning; colour only repeats it.
STATES = {
    "ok": ("✓", "ok", "good"),
    "failed": ("✗", "failed", "bad"),
    "timeout": ("◷", "ran too long", "bad"),
    "kernel_died": ("✗", "kernel died", "bad"),
    "skipped": ("–", "skipped", "warn"),
    "truncated": ("◍", "truncated", "warn"),
    "unfinished": ("…", "not finished", "warn"),
    "broken": ("✗", "broken result", "bad"),
}


@dataclass(frozen=True)
class Entry:
    """A run folder with its checked result, or with the reason why there is none."""

    folder: Path
    result: Result | None
    problem: str = ""

    @property
    def state(self) -> str:
        """The key into `STATES`."""
        if self.result is None:
            return "broken" if self.problem else "unfinished"
        if self.result.status == "ok" and self.result.truncated:
            return "truncated"
        return self.result.status

    @property
    def is_evidence(self) -> bool:
        """Whether its numbers may be read as results: a whole run that ended well."""
        return self.state == "ok"

    @property
    def anchor(self) -> str:
        """An id for links inside the page: letters, digits and dashes of the folder's name."""
        return "run-" + re.sub(r"[^\w-]", "-", self.folder.name)

    @property
    def title(self) -> str:
        """The lesson's title, else the folder's name."""
        return (self.result.title if self.result else "") or self.folder.name


def state_html(entry: Entry) -> str:
    """Return the status as symbol and word."""
    symbol, word, tone = STATES[entry.state]
    return f'<span class="state {tone}"><span aria-hidden="true">{symbol}</span> {word}</span>'


def row_html(entry: Entry) -> str:
    """Return the lesson's row of the overview."""
    result = entry.result
    told = result.headline.text if result and result.headline and entry.is_evidence else ""
    return (
        f'<tr><th scope="row"><a href="#{entry.anchor}">{escape(entry.title)}</a></th>'
        f"<td>{state_html(entry)}</td><td>{escape(told)}</td>"
        f'<td class="num">{_time(result) if result else ""}</td></tr>'
    )


def card_html(entry: Entry) -> str:
    """Return the lesson's card."""
    parts = _body(entry, entry.result) if entry.result else [_no_result(entry)]
    anchor = entry.anchor
    heading = f'<h2 id="{anchor}-title">{escape(entry.title)}</h2>{state_html(entry)}'
    return (
        f'<article class="card" id="{anchor}" aria-labelledby="{anchor}-title">\n'
        f'<div class="top">{heading}</div>\n'
        + "\n".join(part for part in [*parts, _links(entry)] if part)
        + "\n</article>"
    )


def _body(entry: Entry, result: Result) -> list[str]:
    numbers = metric_table(result.metrics)
    headline = f'<p class="headline">{escape(result.headline.text)}</p>' if result.headline else ""
    if not entry.is_evidence:
        headline = ""
        numbers = _fold("Numbers of this run, not a result", numbers)
    return [
        _facts(result),
        _refusal(entry),
        _failure(result.failure) if result.failure else "",
        headline,
        numbers,
        _claims(result) if entry.is_evidence else "",
        _figures(entry, result),
        _fold("Parameters, versions, exercises", _details(result)),
    ]


def _no_result(entry: Entry) -> str:
    if entry.problem:
        return (
            '<div class="note error"><p><strong>The result file cannot be used.</strong></p>'
            f"<p>{escape(entry.problem)}</p></div>"
        )
    return '<p class="note">This run did not come to its end; the same command goes on with it.</p>'


def _refusal(entry: Entry) -> str:
    if entry.state != "truncated":
        return ""
    return (
        '<p class="note"><strong>Truncated: not a result.</strong> Training was cut short by '
        "<code>max_steps</code>. This shows that the notebook runs, and nothing about a method.</p>"
    )


def _failure(failure: Failure) -> str:
    where = f"Cell {failure.cell}" if failure.cell else "Outside any cell"
    source = f"<pre>{escape(failure.source)}</pre>" if failure.source else ""
    trace = f"<pre>{escape(failure.traceback)}</pre>" if failure.traceback else ""
    return (
        f'<div class="note error"><p><strong>{where}: {escape(failure.error)}</strong></p>'
        f"{source}{_fold('Traceback', trace)}</div>"
    )


def _time(result: Result) -> str:
    """Return minutes against the budget, with a bar for the eye."""
    if result.seconds is None:
        return ""
    spent, budget = result.seconds, result.budget_seconds
    if not budget:
        return f'<span class="time">{minutes(spent)}</span>'
    share = min(100, round(100 * spent / budget))
    bar = f'<span class="meter" aria-hidden="true"><span style="width:{share}%"></span></span>'
    return f'{bar}<span class="time">{minutes(spent)} of {minutes(budget)}</span>'


def minutes(seconds: float) -> str:
    """Return a duration in minutes, below one in seconds."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 595 else f"{seconds / 60:.0f} min"


def _facts(result: Result) -> str:
    memory = result.peak_memory_mb
    facts = [
        f"Profile {escape(result.profile)}" if result.profile else "",
        f"Time {_time(result)}" if result.seconds is not None else "",
        f"Peak memory {memory:,.0f} MB" if memory is not None else "",
        f"From {escape(result.created[:16].replace('T', ' '))}",
        f"Copied from {escape(result.reused_from)}" if result.reused_from else "",
    ]
    return '<ul class="facts">' + "".join(f"<li>{fact}</li>" for fact in facts if fact) + "</ul>"


def _claims(result: Result) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(c.id)}</th><td>{escape(c.verdict)}</td>'
        f"<td>{escape(c.note)}</td></tr>"
        for c in result.claims
    )
    head = (
        '<tr><th scope="col">Claim</th><th scope="col">Verdict</th><th scope="col">Note</th></tr>'
    )
    return (
        f"<h3>Claims</h3><table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""
    )


def _figures(entry: Entry, result: Result) -> str:
    shown = []
    for figure in result.figures:
        source = escape(quote(f"{entry.folder.name}/{figure.file}"))
        alt = escape(figure.alt)
        image = f'<img src="{source}" alt="{alt}" loading="lazy">'
        # The caption repeats the alt text for the eye; a screen reader reads it once.
        caption = f'<figcaption aria-hidden="true">{alt}</figcaption>'
        if not (entry.folder / figure.file).is_file():
            image = f'<p class="note">The file {escape(figure.file)} is missing.</p>'
            caption = f"<figcaption>{alt}</figcaption>"
        shown.append(f"<figure>{image}{caption}</figure>")
    return f'<div class="figures">{"".join(shown)}</div>' if shown else ""


def _details(result: Result) -> str:
    groups: dict[str, Mapping[str, object]] = {
        "": result.params,
        "exercise ": result.exercises,
        "version of ": result.versions,
    }
    items = [
        f"<dt>{escape(label + name)}</dt><dd>{escape(str(value))}</dd>"
        for label, group in groups.items()
        for name, value in group.items()
    ]
    return f"<dl>{''.join(items)}</dl>" if items else ""


def _fold(summary: str, inner: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>" if inner else ""


def _links(entry: Entry) -> str:
    names = {
        "executed.ipynb": "Executed notebook",
        "result.json": "result.json",
        "stdout.log": "Output log",
        "stderr.log": "Error log",
    }
    links = [
        f'<a href="{escape(quote(f"{entry.folder.name}/{file}"))}">{label}</a>'
        for file, label in names.items()
        if (entry.folder / file).is_file() and (entry.folder / file).stat().st_size
    ]
    return f'<p class="links">{"".join(links)}</p>' if links else ""
