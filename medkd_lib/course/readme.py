"""The results table of README.md, made from the recorded tables and from nothing else."""

from pathlib import Path

from medkd_lib.course.grid import results_folder
from medkd_lib.course.recorded import Recorded
from medkd_lib.evaluate.intervals import t_interval

BEGIN, END = "<!-- results:begin (medkd course readme) -->", "<!-- results:end -->"
ARMS = ("teacher", "few_alone", "few_smooth", "few_kd", "few_kd_shuffled", "many_alone", "many_kd")
CONTRASTS = ("few_kd_vs_alone", "few_kd_vs_shuffled", "few_kd_vs_pseudo", "many_kd_vs_alone")


def results_block(recorded: Recorded) -> str:
    """Return the Markdown between the markers: arms by setting, then declared contrasts."""
    grid = recorded.grid
    head = "| test accuracy | " + " | ".join(s.title for s in grid.settings) + " |"
    lines = [head, "|---" * (len(grid.settings) + 1) + "|"]
    for arm in ARMS:
        cells = []
        for setting in grid.settings:
            runs = recorded.of(setting.id)
            values = runs[runs.arm == arm].accuracy.tolist()
            low, high = t_interval(values)
            cells.append(f"{sum(values) / len(values):.3f} [{low:.3f}, {high:.3f}]")
        lines.append(f"| {recorded.arm_titles[arm]} | " + " | ".join(cells) + " |")
    lines += ["", head.replace("test accuracy", "declared contrast (difference)")]
    lines.append("|---" * (len(grid.settings) + 1) + "|")
    for contrast in CONTRASTS:
        cells = []
        for setting in grid.settings:
            table = recorded.contrasts_of(setting.id)
            c = table[table.contrast == contrast].iloc[0]
            bold = "**" if c.verdict != "undecided" else ""
            number = f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}]"
            cells.append(f"{bold}{number}{bold}, p {c.p_holm:.2g}")
        lines.append(f"| {recorded.questions[contrast]} | " + " | ".join(cells) + " |")
    c = recorded.contrasts.groupby("setting").first()
    patients = ", ".join(f"{s.title}: {c.patients[s.id]}" for s in grid.settings)
    lines += [
        "",
        f"{len(grid.seeds)} seeds each. Arms: mean and 95 % t-interval over seeds. Contrasts: "
        "paired difference with a 95 % bootstrap over seeds and test patients; p after Holm's "
        f"correction over the {len(grid.contrasts)} declared contrasts of a setting; bold where "
        f"both exclude zero. Test patients: {patients}. Recorded by `medkd record {grid.lesson}`.",
    ]
    return "\n".join(lines)


def with_results(text: str, block: str) -> str:
    """Return the README's text with ``block`` between its markers.

    Raises:
        ValueError: the markers are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: expected the markers {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def refreshed(path: Path) -> str:
    """Return what README.md should say."""
    recorded = Recorded.read("00", results_folder("00"))
    return with_results(path.read_text(encoding="utf-8"), results_block(recorded))
