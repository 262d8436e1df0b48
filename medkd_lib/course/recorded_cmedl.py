"""Lesson 04: which recorded setting a reader's run belongs to, and the means of that setting."""

import numpy as np
import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.cmedl_budget import RECORDED
from medkd_lib.course.experiments.cmedl_cells import GEOMETRY
from medkd_lib.course.experiments.cmedl_sources import ABDOMEN, SARCOMA
from medkd_lib.course.experiments.cmedl_study import CmedlStudy
from medkd_lib.course.lesson import Images
from medkd_lib.course.recorded import Recorded, Shown
from medkd_lib.course.resolve import Config
from medkd_lib.methods.bedside import PSEUDO_ONLY
from medkd_lib.methods.cmedl_parts import Hints, Weights

# A run on data that was never recorded is shown beside this one.
DEFAULT = "phantom_subtle"
# A training whose Dice is below this has answered nothing, or next to nothing.
NOTHING = 0.01
# What `recorded_translation` shows. `contrast_…` is the tumour against all that is around it, lung
# too: the recorded `soft_…` had bone in their rings, which the lesson's bars leave out.
TRANSLATION = {
    "mae": "error, everywhere",
    "copy_mae": "of handing the source on, everywhere",
    "mae_tumour": "error, in the tumour",
    "copy_mae_tumour": "of handing the source on, in the tumour",
    "contrast_source": "tumour − all around: source",
    "contrast_pseudo": "tumour − all around: translated",
    "contrast_true": "tumour − all around: true",
}


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
    """Return the recorded setting to show beside a run.

    Comparable if nothing differs but the seed, and the number of updates, which is said: a reader
    waits for half of them.

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
    else:
        print(f"recorded with {RECORDED.steps} updates, your run with {study.budget.steps}")
    return Shown(wanted, known[wanted].title, not other)


def recorded_reach(recorded: Recorded) -> pd.DataFrame:
    """Return the mean Dice of the student alone, with twice the patients, and the true teacher.

    More labels show what a student of the same images can reach; the true teacher's lead over that
    may be in pixels that no such student has. Settings that ran all three arms.
    """
    arms = ["alone", "more_labels", "teacher_true"]
    means = recorded.runs.pivot_table(index="setting", columns="arm", values="dice")
    rows = [
        {"recorded setting": s.title} | {ARM_TITLES[a]: f"{means.loc[s.id, a]:.3f}" for a in arms}
        for s in recorded.settings
        if set(arms) <= set(means.columns[means.loc[s.id].notna()])
    ]
    return pd.DataFrame(rows)


def recorded_translation(recorded: Recorded) -> pd.DataFrame:
    """Return what the translators did, mean over the trainings of a setting, in grey values.

    Grey values are on [-1, 1]. Settings without a true image have no errors, and a blank there.
    """
    runs = recorded.runs[recorded.runs.arm == PSEUDO_ONLY]
    means = runs.groupby("setting")[list(TRANSLATION)].mean()
    rows = [
        {"recorded setting": s.title}
        | {name: _number(float(means.loc[s.id, column])) for column, name in TRANSLATION.items()}
        for s in recorded.settings
        if s.id in means.index
    ]
    return pd.DataFrame(rows)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def answered_nothing(recorded: Recorded, setting: str) -> str:
    """Return which trainings of a setting answered nothing, by arm and seed, as a sentence."""
    runs = recorded.of(setting)
    mute = runs[(runs.dice < NOTHING) & (runs.arm != GEOMETRY)]
    named = [f"{ARM_TITLES[row.arm]} (seed {row.seed})" for row in mute.itertuples()]
    return f"trainings that answered nothing (Dice below {NOTHING:g}): {', '.join(named) or 'none'}"


def tally(recorded: Recorded) -> list[str]:
    """Return in how many recorded settings hints were better or worse than none, as sentences."""
    sentences = []
    for contrast in ("cmedl_vs_alone", "true_vs_alone"):
        found = recorded.contrasts[recorded.contrasts.contrast == contrast]
        counts = [f"{verdict} in {(found.verdict == verdict).sum()}"
                  for verdict in ("better", "worse", "undecided")]  # fmt: skip
        sentences.append(
            f"{recorded.questions[contrast]}: {', '.join(counts)} of {len(found)} recorded settings"
        )
    phantoms = {s.id for s in recorded.settings if s.evidence == "phantom"}
    more = recorded.contrasts[
        (recorded.contrasts.contrast == "more_vs_cmedl") & recorded.contrasts.setting.isin(phantoms)
    ]
    wins = int((more.verdict == "better").sum())
    sentences.append(f"twice the labels beat CMEDL in {wins} of {len(more)} phantoms that had them")
    return sentences
