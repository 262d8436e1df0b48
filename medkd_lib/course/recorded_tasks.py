"""Lesson 07: which recorded setting belongs to a reader's run, and what its columns are."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.lesson_joint import named_in
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.resolve import Config
from medkd_lib.evaluate.intervals import t_interval

# Task → the measure that its figure shows, and what to call it.
MEASURE_OF: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"labels": ("auc", "AUC, mean over classes"), "boxes": ("froc", "FROC, centre in the box")}
)
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "auc": "AUC", "accuracy": "accuracy", "balanced": "balanced", "ece": "ECE",
        "auc_fair": "AUC, class apart from house", "auc_rim": "AUC, rim shown alone",
        "auc_val": "AUC, validation", "froc": "FROC, centre", "froc_iou": "FROC, IoU ½",
        "map_50": "mAP@0.5", "map_coco": "mAP@[.5:.95]", "froc_val": "FROC, validation",
    }
)  # fmt: skip


def setting_of(recorded: Recorded, task: str, dataset: str, config: Config) -> str | None:
    """Return the recorded setting to show beside a run; None: of this task there is none.

    That of the run's target, difficulty and network before another one of the task; the lesson's
    own run has fewer patients and updates, so it is no dot among the recorded ones.

    Args:
        recorded: lesson 07's.
        task: ``labels`` or ``boxes``.
        dataset: the target.
        config: of the run.
    """
    network, hard, sources = (
        (config.architecture, config.difficulty, config.sources)
        if task == "labels"
        else (config.detector, config.box_difficulty, config.box_sources)
    )
    # Of films alone; as documented where nothing is said.
    apart = config.shortcut if task == "labels" and not config.data_root else 1
    known = [s for s in recorded.settings if s.options.get("task") == task]
    if not known:
        return None
    usual = {"labels": "medvit", "boxes": "faster_rcnn"}[task]

    def far(k: int) -> tuple[bool, ...]:
        s = known[k]
        return (
            s.datasets[0] != dataset,
            bool(s.real_folder) != bool(config.data_root) or s.difficulty not in ("", hard),
            s.options.get("architecture", usual) != network,
            s.datasets[1:] != named_in(sources),
            (s.shortcut[0] if s.shortcut else 1) != apart,
            bool(s.options.get("judged_on")),
        )

    nearest = min(range(len(known)), key=far)
    if any(far(nearest)):
        print(f"{task}: this run was not recorded; shown is {known[nearest].title}")
    return known[nearest].id


def falls(recorded: Recorded, setting: str) -> pd.DataFrame:
    r"""Return how far each arm falls where the class tells nothing of the house, over the seeds.

    $$f=\mathrm{AUC}_{documented}-\mathrm{AUC}_{apart},\qquad f_{arm}-f_{alone}$$

    The films of the two AUCs are other ones, so a fall alone may be that of harder films; its
    difference to the student alone's is not. Above zero, an arm has more of the shortcut.

    Args:
        recorded: lesson 07's.
        setting: that has both.
    """
    runs = recorded.of(setting)
    fall = (runs.auc - runs.auc_fair).groupby([runs.arm, runs.seed]).first().unstack()
    rows = []
    for arm in (a for a in recorded.grid.arms if a in fall.index):
        more = (fall.loc[arm] - fall.loc["alone"]).dropna().tolist()
        low, high = t_interval(fall.loc[arm].dropna().tolist())
        row = {
            "arm": ARM_TITLES[arm],
            "fall": f"{fall.loc[arm].mean():.3f} [{low:.3f}, {high:.3f}]",
        }
        if arm != "alone":
            low, high = t_interval(more)
            row["more than alone"] = f"{np.mean(more):+.3f} [{low:+.3f}, {high:+.3f}]"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")
