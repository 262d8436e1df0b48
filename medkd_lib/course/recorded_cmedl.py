"""Lesson 04: which recorded setting a reader's run belongs to, and the means of that setting."""

import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.cmedl_sources import ABDOMEN, SARCOMA
from medkd_lib.course.experiments.cmedl_study import CmedlStudy
from medkd_lib.course.lesson import Images
from medkd_lib.course.recorded import Recorded, Shown
from medkd_lib.course.resolve import Config
from medkd_lib.methods.cmedl_parts import Hints, Weights

# A run on data that was never recorded is shown beside this one.
DEFAULT = "phantom_subtle"


def setting_name(config: Config, images: Images) -> str:
    """Return what a run's setting would be called in the grid, recorded or not."""
    kind = "phantom" if images.evidence == "phantom" else "real"
    name = f"{kind}_{config.difficulty}"
    if config.dataset == SARCOMA:
        name = f"sts_{config.teacher}" if kind == "real" else "sts_twin"
    elif config.dataset == ABDOMEN:
        name = "abdomen_equal" if name == "phantom_subtle" else f"abdomen_{name}"
    elif config.setting == "weak":
        name += "_weak"
    if config.architecture != "unet":
        name += f"_{config.architecture}"
    return name + ("_latent" if config.translation == "latent" else "")


def setting_of(recorded: Recorded, study: CmedlStudy, config: Config, images: Images) -> Shown:
    """Return the recorded setting to show beside a run; comparable if only the seed differs.

    A run on data, networks or a translator that were not recorded is shown beside the default
    phantom, without a star; so is one of another profile, or with a knob that was turned.
    """
    known = {s.id: s for s in recorded.settings}
    wanted = setting_name(config, images)
    if wanted not in known or config.dataset not in known[wanted].datasets:
        print(f"{wanted} was not recorded: shown is {known[DEFAULT].title}, without your run")
        return Shown(DEFAULT, known[DEFAULT].title, False)
    # a grid names the student's cohort first
    mine = [config.patients, config.mr_patients]
    asked = mine[::-1] if config.setting == "weak" else mine
    abdomen = config.dataset == ABDOMEN
    same = {
        "profile": config.profile == "lesson" and not config.truncated,
        # of sarcomas a run tests one fold, and a recorded row all of them
        "patients": config.dataset != SARCOMA
        and known[wanted].patients == (config.patients if abdomen else asked),
        "organ": not abdomen or known[wanted].options.get("organ") == config.organ,
        "hints": study.plan.hints == Hints(),
        "weights": study.plan.weights == Weights(),
        "teaching_share": study.modalities.teaching_share == study.modalities.share,
    }
    if other := [name for name, equal in same.items() if not equal]:
        print(f"your run differs from the recorded ones in {', '.join(other)}: no star")
    return Shown(wanted, known[wanted].title, not other)


def recorded_means(recorded: Recorded, setting: str, columns: dict[str, str]) -> pd.DataFrame:
    """Return the mean of each measure over the seeds, a row per arm in the grid's order.

    Args:
        recorded: of lesson 04.
        setting: id.
        columns: measure of ``runs.csv`` → what to call it.
    """
    mean = recorded.of(setting).groupby("arm")[list(columns)].mean()
    return (
        mean.loc[[arm for arm in recorded.grid.arms if arm in mean.index]]
        .rename(index=ARM_TITLES, columns=columns)
        .rename_axis("arm")
        .reset_index()
    )
