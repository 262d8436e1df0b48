"""Lesson 02's verdict, which lesson 03 begins with: which teacher, and does it know more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.contrasts import correct_matrix
from medkd_lib.course.recorded import Recorded
from medkd_lib.evaluate.intervals import Contrast, Interval, class_weights, paired_contrast

# Fixed before lesson 02's tables existed: balanced accuracy.
MARGIN = 0.02
STUDENT, HYBRID, MSGFF = "student", "hybrid", "a4"


@dataclass(frozen=True)
class Verdict:
    """Which teacher is handed to lesson 03, and whether it has earned that.

    Attributes:
        setting: id of the recorded setting.
        teacher: arm of lesson 02, ``hybrid`` or ``a4``.
        margin: by how much it must beat the student.
        difference: teacher minus student, mean over the seeds.
        interval: of the difference, over seeds and test patients.
        seeds: number of trainings of each.
        passes: the difference reaches the margin and its interval leaves out zero.
        choice: why this teacher and not the other one.
        text: the decision in words.
    """

    setting: str
    teacher: str
    margin: float
    difference: float
    interval: Interval
    seeds: int
    passes: bool
    choice: str
    text: str


def teacher_verdict(recorded: Recorded, setting: str, margin: float = MARGIN) -> Verdict:
    r"""Choose the teacher of a setting and compare it with its student.

    MSGFF becomes the teacher only if its gain over the hybrid is larger than the spread of that
    gain over the seeds, else the simpler network stays:

    $$\overline{d} > \mathrm{SD}(d),\qquad d_s = \mathrm{A4}_s - \mathrm{A0}_s$$

    The teacher passes if it beats the student by ``margin`` on average and the 95 % interval of
    the difference (seeds and test patients redrawn) leaves out zero. The choice is made on the
    same test patients, so a chosen MSGFF is judged a little too kindly; it says so.

    Args:
        recorded: lesson 02's tables.
        setting: one of them.
        margin: in units of the grid's primary measure.

    Raises:
        ValueError: the setting holds no complete runs of student and hybrid.

    Source: the falsifier of MSGFF was declared before the runs: a gain below one standard
    deviation over the seeds does not support it. The deviation could be an arm's own or the
    paired difference's; it is the latter here, since both arms of a seed share their patients.
    """
    missing = {STUDENT, HYBRID} - _complete(recorded, setting)
    if missing:
        raise ValueError(
            f"verdict of {setting}: expected all seeds of {STUDENT} and {HYBRID} in runs.csv, "
            f"missing {sorted(missing)}; finish `medkd record {recorded.grid.lesson}` first"
        )
    teacher, choice = _choose(recorded, setting)
    found = _compare(recorded, setting, teacher, STUDENT)
    low, high = found.interval
    passes = found.difference >= margin and low > 0
    words = _words(found, margin, passes)
    text = (
        f"{_setting_title(recorded, setting)}: the teacher ({ARM_TITLES[teacher]}) {words} "
        f"({found.difference:+.3f} [{low:+.3f}, {high:+.3f}], {found.seeds} seeds)"
    )
    return Verdict(
        setting,
        teacher,
        margin,
        found.difference,
        found.interval,
        found.seeds,
        passes,
        choice,
        text,
    )


def _words(found: Contrast, margin: float, passes: bool) -> str:
    low, high = found.interval
    if passes:
        return f"beats the student by the margin of {margin:g}"
    if low > 0:
        return f"is better than the student, but not by the margin of {margin:g}"
    if high < 0:
        return "is worse than the student"
    return (
        f"is not shown to beat the student: the margin is {margin:g}, and the interval holds zero"
    )


def _choose(recorded: Recorded, setting: str) -> tuple[str, str]:
    if MSGFF not in _complete(recorded, setting):
        return HYBRID, "MSGFF was not recorded here, the hybrid is the teacher"
    gain = _per_seed(recorded, setting, MSGFF) - _per_seed(recorded, setting, HYBRID)
    spread = float(gain.std(ddof=1))
    numbers = f"MSGFF − hybrid {gain.mean():+.3f}, SD over seeds {spread:.3f}"
    if gain.mean() > spread:
        return MSGFF, f"{numbers}: MSGFF is the teacher (chosen on these test patients)"
    return HYBRID, f"{numbers}: MSGFF is not supported, the hybrid stays"


def _complete(recorded: Recorded, setting: str) -> set[str]:
    """Return the arms of a setting that ran with every declared seed."""
    seeds = recorded.of(setting).groupby("arm").seed.nunique()
    return {str(arm) for arm, n in seeds.items() if n == len(recorded.grid.seeds)}


def _compare(recorded: Recorded, setting: str, arm: str, rival: str) -> Contrast:
    patients = recorded.cases[recorded.cases.setting == setting].patient.tolist()
    ours, theirs = (_weighed(recorded, setting, a) for a in (arm, rival))
    return paired_contrast(f"{arm} − {rival}", ours, theirs, patients)


def _per_seed(recorded: Recorded, setting: str, arm: str) -> NDArray[np.float64]:
    return np.asarray(_weighed(recorded, setting, arm).mean(axis=1), np.float64)


def _weighed(recorded: Recorded, setting: str, arm: str) -> NDArray[np.float64]:
    """Return ``(seeds, cases)`` whose row means are the primary measure."""
    cases = recorded.cases[recorded.cases.setting == setting]
    correct = correct_matrix(recorded.runs, setting, arm, len(cases)).astype(np.float64)
    if recorded.grid.primary == "accuracy":
        return correct
    return correct * class_weights(cases.label.to_numpy())


def _setting_title(recorded: Recorded, setting: str) -> str:
    return next(s.title for s in recorded.grid.settings if s.id == setting)
