"""A lesson's declared contrasts as figures: each family of questions in all recorded settings."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from medkd_lib.course.recorded import Recorded
from medkd_lib.show.families import forest_by_setting

# Settings beside each other that can still be read.
ABREAST = 5
MARGIN = 0.02


def forests(recorded: Recorded, measure: str) -> Iterator[tuple[str, Figure, str]]:
    """Yield name, figure and alternative text of each family, at most `ABREAST` settings a figure.

    A family that none of a figure's settings answered is left out.

    Args:
        recorded: of one lesson.
        measure: what the difference is one of.
    """
    titles = {s.id: s.title for s in recorded.settings}
    groups = [list(titles)[start : start + ABREAST] for start in range(0, len(titles), ABREAST)]
    for family in dict.fromkeys(c.family for c in recorded.grid.contrasts):
        asked = {c.id: c.question for c in recorded.grid.contrasts if c.family == family}
        for number, group in enumerate(groups):
            table = recorded.contrasts
            ours = table[table.setting.isin(group) & table.contrast.isin(list(asked))]
            if ours.empty:
                continue
            questions = {c: question for c, question in asked.items() if c in set(ours.contrast)}
            settings = {s: titles[s] for s in group if s in set(ours.setting)}
            limits = (min(0, ours.low.min()) - MARGIN, max(0, ours.high.max()) + MARGIN)
            figure = forest_by_setting(
                ours, questions, settings, f"Declared contrasts: {family}", limits, measure
            )
            yield (
                f"forest_{family}_{number}".replace(" ", "_"),
                figure,
                f"Declared contrasts of the family {family} in {', '.join(settings.values())}: "
                "difference with 95 % interval and verdict: better, worse, undecided or not run.",
            )
