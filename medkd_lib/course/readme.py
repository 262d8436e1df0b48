"""The results tables of README.md, made from the recorded tables and from nothing else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from medkd_lib.course.recorded import Recorded
from medkd_lib.evaluate.intervals import t_interval

BEGIN, END = (
    "<!-- results:begin {lesson} (medkd course readme) -->",
    "<!-- results:end {lesson} -->",
)


@dataclass(frozen=True)
class Selection:
    """What of a lesson README.md shows; the tables hold the others. No settings mean all."""

    arms: tuple[str, ...]
    contrasts: tuple[str, ...]
    settings: tuple[str, ...] = ()


LESSONS: Mapping[str, Selection] = MappingProxyType(
    {
        "00": Selection(
            ("teacher", "few_alone", "few_smooth", "few_kd", "few_kd_shuffled", "many_alone",
             "many_kd"),
            ("few_kd_vs_alone", "few_kd_vs_shuffled", "few_kd_vs_pseudo", "many_kd_vs_alone"),
        ),
        "02": Selection(
            ("student", "vgg", "vit", "hybrid", "hybrid_wide", "a1", "a2", "a3", "a4"),
            ("teacher_vs_student", "hybrid_vs_vgg", "hybrid_vs_vit", "msgff_vs_hybrid",
             "msgff_vs_wide"),
        ),
        "03": Selection(
            ("teacher", "alone", "alone_long", "kd", "relations", "attention", "attention_usual",
             "pca_gl", "cakd", "all", "kd_shuffled"),
            ("kd_vs_alone", "kd_vs_long", "relations_vs_alone", "cakd_vs_alone", "all_vs_alone",
             "kd_vs_shuffled", "attention_vs_usual"),
        ),
        "04": Selection(
            ("teacher_true", "alone", "cmedl", "true_hints", "other_hints", "pseudo_only", "concat",
             "more_labels", "geometry"),
            ("teacher_vs_alone", "true_vs_alone", "cmedl_vs_alone", "cmedl_vs_other",
             "cmedl_vs_pseudo", "more_vs_cmedl"),
            ("phantom_clear", "phantom_subtle", "phantom_none", "sts_mr", "sts_pet"),
        ),
        "05": Selection(
            ("truth", "place", "teacher", "alone", "alone_pet", "kd", "react", "no_graph",
             "react_shuffled"),
            ("teacher_vs_alone", "alone_vs_place", "react_vs_alone", "kd_vs_alone",
             "react_vs_alone_pet", "react_vs_no_graph", "react_vs_shuffled"),
        ),
    }
)  # fmt: skip


def results_block(recorded: Recorded, selection: Selection) -> str:
    """Return the Markdown between the markers: arms by setting, then declared contrasts."""
    grid = recorded.grid
    if recorded.runs.empty:
        return (
            f"Nothing is recorded yet under the present declaration: `medkd record {grid.lesson}`."
        )
    measure = {"auc": "macro AUC"}.get(grid.primary, grid.primary.replace("_", " "))
    compared = set(recorded.contrasts.setting)
    shown = [
        s for s in recorded.settings
        if s.id in compared and (not selection.settings or s.id in selection.settings)
    ]  # fmt: skip
    head = f"| test {measure} | " + " | ".join(s.title for s in shown) + " |"
    lines = [head, "|---" * (len(shown) + 1) + "|"]
    for arm in selection.arms:
        cells = [_mean(recorded, s.id, arm) for s in shown]
        lines.append(f"| {recorded.arm_titles[arm]} | " + " | ".join(cells) + " |")
    lines += ["", head.replace(f"test {measure}", "declared contrast (difference)")]
    lines.append("|---" * (len(shown) + 1) + "|")
    for contrast in selection.contrasts:
        cells = [_difference(recorded, s.id, contrast) for s in shown]
        lines.append(f"| {recorded.questions[contrast]} | " + " | ".join(cells) + " |")
    table = recorded.contrasts.groupby("setting")
    patients = ", ".join(f"{s.title}: {table.first().patients[s.id]}" for s in shown)
    families = len({c.family for c in grid.contrasts})
    asked = f"over the {len(grid.contrasts)}" if families == 1 else "within each family of"
    fewer = "".join(
        f", {s.title}: {len(s.seeds)}" for s in shown if s.seeds and s.seeds != grid.seeds
    )
    lines += [
        "",
        f"{len(grid.seeds)} seeds each{fewer}. Arms: mean and 95 % t-interval over seeds. "
        "Contrasts: paired difference with a 95 % bootstrap over seeds and test patients; p after "
        f"Holm's correction {asked} declared contrasts of a setting; bold where "
        f"both exclude zero. Test patients: {patients}. Recorded by `medkd record {grid.lesson}`.",
    ]
    return "\n".join(lines)


def _mean(recorded: Recorded, setting: str, arm: str) -> str:
    runs = recorded.of(setting)
    values = runs[runs.arm == arm][recorded.grid.primary].tolist()
    if not values:
        return "–"
    low, high = t_interval(values)
    return f"{sum(values) / len(values):.3f} [{low:.3f}, {high:.3f}]"


def _difference(recorded: Recorded, setting: str, contrast: str) -> str:
    table = recorded.contrasts_of(setting)
    found = table[table.contrast == contrast]
    if found.empty:
        return "–"
    c = found.iloc[0]
    bold = "**" if c.verdict != "undecided" else ""
    number = f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}]"
    return f"{bold}{number}{bold}, p {c.p_holm:.2g}"


def with_results(text: str, lesson: str, block: str) -> str:
    """Return the README's text with ``block`` between the lesson's markers.

    Raises:
        ValueError: the markers are not there.
    """
    begin, end = BEGIN.format(lesson=lesson), END.format(lesson=lesson)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md: expected the markers {begin!r} and {end!r}")
    return pattern.sub(lambda _: f"{begin}\n{block}\n{end}", text)


def refreshed(path: Path) -> str:
    """Return what README.md should say."""
    text = path.read_text(encoding="utf-8")
    for lesson, selection in LESSONS.items():
        text = with_results(text, lesson, results_block(Recorded.read(lesson), selection))
    return text
