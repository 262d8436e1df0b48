"""Lesson 06: which recorded setting a reader's run belongs to, its means, and who helps whom."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from medkd_lib.course.experiments.joint_arms import ARMS
from medkd_lib.course.experiments.joint_budget import LESSON, RECORDED
from medkd_lib.course.experiments.joint_sources import TRAIN, VAL
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_joint import declared_arm, names_in
from medkd_lib.course.recorded import Recorded, Shown
from medkd_lib.course.resolve import Config
from medkd_lib.evaluate.intervals import Interval

# A run on data that was never recorded is shown beside this one.
DEFAULT = "lung_subtle"
# What one source alone is worth: pooled training with it, then the target.
GAIN = "finetuned_vs_alone"
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "dice": "Dice", "dice_median": "median", "dice_worst_tenth": "worst tenth",
        "missed": "hardly found", "false_alarms": "false alarms",
        "surface_dice": "surface Dice", "val_dice": "validation Dice",
    }
)  # fmt: skip
# Numbers of some arms alone, by how their names begin.
MORE: Mapping[str, str] = MappingProxyType(
    {
        "dice_": "Dice, ", "probe_high_": "probe at most, ", "probe_": "probe, ",
        "taught_": "teacher's Dice on its own source, ",
    }
)  # fmt: skip


def setting_of(recorded: Recorded, config: Config, images: Images) -> Shown:
    """Return the recorded setting to show beside a run; comparable if the experiment is the same.

    The recorded runs have more patients and updates than a laptop waits for; a star among them is
    still worth a look, and the difference is said.
    """
    known = {s.id: s for s in recorded.settings}
    if not known:
        print("nothing of this grid is recorded yet: `medkd record 06`")
        return Shown(DEFAULT, DEFAULT, False)
    mine = [config.dataset, *names_in(config)[0]]
    phantom = images.evidence == "phantom"
    alike = [
        s
        for s in known.values()
        if [d for d in s.datasets if d not in str(s.options.get("external", "")).split("+")] == mine
        and not s.options.get("judged_on")
        and (s.difficulty == config.difficulty if phantom else bool(s.real_folder))
        and s.options.get("architecture", "unet") == config.architecture
    ]
    if not alike:
        default = DEFAULT if DEFAULT in known else next(iter(known))
        print(f"these sets were not recorded: shown is {known[default].title}, without your run")
        return Shown(default, known[default].title, False)
    found = alike[0]
    same = {
        "profile": config.profile == "lesson" and not config.truncated,
        "method": declared_arm(config) == ARMS["joint"] and config.sampling == "equal",
        "labelled patients": config.train_patients in (None, TRAIN)
        and config.val_patients in (None, VAL),
        # of the real family the answers of all folds are judged together; a run has one
        "folds": not found.real_folder,
    }
    if other := [name for name, equal in same.items() if not equal]:
        print(f"your run differs from the recorded ones in {', '.join(other)}: no star")
    elif found.patients:
        print(
            f"recorded with {found.patients} patients and {RECORDED.steps} updates, your run with "
            f"{config.patients}, {config.source_patients} per source, and {LESSON.steps}"
        )
    return Shown(found.id, found.title, not other)


def means(recorded: Recorded, setting: str, columns: Mapping[str, str] = COLUMNS) -> pd.DataFrame:
    """Return the means over seeds, a row per arm in the grid's order; probes and other sets too.

    Args:
        recorded: whose.
        setting: id.
        columns: measure → what to call it.
    """
    runs = recorded.of(setting)
    more = [n for n in runs if n.startswith(tuple(MORE)) and n not in columns]
    fronts = {n: next(front for front in MORE if n.startswith(front)) for n in more}
    titles = {n: MORE[front] + n.removeprefix(front) for n, front in fronts.items()}
    return recorded.means_of(setting, {**columns, **titles}).fillna("")


def transfer_gains(recorded: Recorded) -> dict[tuple[str, str], tuple[float, Interval]]:
    """Return what one source alone is worth to a target: (source, target) → gain and interval.

    Of the settings with one source; the interval is that of the declared contrast, over seeds and
    patients.
    """
    found = {}
    for setting in recorded.settings:
        if len(setting.datasets) != 2:
            continue
        rows = recorded.contrasts
        mine = rows[(rows.setting == setting.id) & (rows.contrast == GAIN)]
        for row in mine.itertuples():
            target, source = setting.datasets
            found[source, target] = (float(row.difference), (float(row.low), float(row.high)))
    return found
