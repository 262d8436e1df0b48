"""Lesson 07: which recorded setting belongs to a reader's run, and what its columns are."""

from collections.abc import Mapping
from types import MappingProxyType

from medkd_lib.course.recorded import Recorded
from medkd_lib.course.resolve import Config

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
    network, hard = (
        (config.architecture, config.difficulty)
        if task == "labels"
        else (config.detector, config.box_difficulty)
    )
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
            bool(s.options.get("judged_on")),
        )

    nearest = min(range(len(known)), key=far)
    if any(far(nearest)):
        print(f"{task}: this run was not recorded; shown is {known[nearest].title}")
    return known[nearest].id
