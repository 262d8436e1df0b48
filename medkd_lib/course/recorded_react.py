"""Lesson 05: which recorded setting a reader's run belongs to, its colours, and its means."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.react_arms import ARMS, GEOMETRY, ORACLE, TEACHERS
from medkd_lib.course.experiments.react_sources import SARCOMA
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_react import declared_arm
from medkd_lib.course.recorded import Recorded, Shown
from medkd_lib.course.resolve import Config
from medkd_lib.show.style import CONTROL, METHOD, STUDENT, TEACHER

# A run on data that was never recorded is shown beside this one.
DEFAULT = "phantom_subtle"
_CONTROLS = ("react_shuffled", "react_untrained", GEOMETRY)
_BY_LABELS = ("alone", "alone_pet")
COLOURS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys((*ARMS,), METHOD)
    | dict.fromkeys((*TEACHERS, ORACLE), TEACHER)
    | dict.fromkeys(_CONTROLS, CONTROL)
    | dict.fromkeys(_BY_LABELS, STUDENT)
)

# The same by the name in a figure, and for a map that is drawn another way.
COLOURS_BY_TITLE: Mapping[str, str] = MappingProxyType(
    {ARM_TITLES[arm]: colour for arm, colour in COLOURS.items() if arm in ARM_TITLES}
)


def setting_of(recorded: Recorded, config: Config, images: Images) -> Shown:
    """Return the recorded setting to show beside a run; comparable if the experiment is the same.

    The recorded runs have more phantom patients than a laptop waits for; a star among them is still
    worth a look, and the difference is said.
    """
    known = {s.id: s for s in recorded.settings}
    wanted = f"phantom_{config.difficulty}" if images.evidence == "phantom" else "real"
    if config.dataset == SARCOMA:
        wanted = f"sts_{config.target}" if images.evidence != "phantom" else "sts_twin"
    if not known:
        print("nothing of this grid is recorded yet: `medkd record 05`")
        # Images of the reader's own, or the sarcomas' twin, are no setting of the grid.
        declared = {s.id for s in recorded.grid.settings}
        wanted = wanted if wanted in declared else DEFAULT
        return Shown(wanted, wanted, False)
    if wanted not in known:
        default = DEFAULT if DEFAULT in known else next(iter(known))
        print(f"{wanted} was not recorded: shown is {known[default].title}, without your run")
        return Shown(default, known[default].title, False)
    same = {
        "profile": config.profile == "lesson" and not config.truncated,
        "method": declared_arm(config) == ARMS["react"],
        # of sarcomas the answers of all folds are judged together; a run has one
        "folds": config.dataset != SARCOMA,
    }
    if other := [name for name, equal in same.items() if not equal]:
        print(f"your run differs from the recorded ones in {', '.join(other)}: no star")
    theirs, mine = known[wanted].patients, [config.patients, config.external_patients]
    if not other and images.evidence == "phantom" and theirs != mine:
        print(f"recorded with {theirs} patients, your run with {mine}: its star has fewer to learn "
              "from, and others to answer")  # fmt: skip
    return Shown(wanted, known[wanted].title, not other)


COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "auc": "macro AUC", "auc_ct_quarter": "a quarter of the dose",
        "auc_ct_tenth": "a tenth", "auc_external_ct": "other hospital", "accuracy": "accuracy",
        "log_score": "mean log score", "benefit_0.2": "net benefit at 0.2",
        "benefit_0.4": "at 0.4", "benefit_0.6": "at 0.6",
    }
)  # fmt: skip


def means(recorded: Recorded, setting: str) -> pd.DataFrame:
    """Return the means over seeds, a row per arm in the grid's order."""
    return recorded.means_of(setting, COLUMNS).fillna("")
