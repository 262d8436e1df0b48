"""Lesson 06: whom a joint teacher leans on, by silencing one of its teachers at a time."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_stages import levelled
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.experiments.mask_measures import scores
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled, Told
from medkd_lib.train import Trained

AT_ONCE = 64
# Of the test sections so many apart are asked: neighbours look alike.
APART = 3


@torch.no_grad()
def left_out(study: JointStudy, arm: Arm) -> pd.DataFrame:
    """Return the joint teacher's Dice on test patients with each of its teachers silenced in turn.

    A silenced teacher says its own mean over all images, channel by channel and place by place:
    what it would say of *everybody*. Nobody is trained anew, so the table tells whom this joint
    teacher leans on, and not whom another one could do without.

    Args:
        study: whose joint teacher; it is trained if need be.
        arm: that names it.
    """
    test = every(study.cohort.test, APART)
    joint = levelled(study.joint_teacher(arm)).eval()
    device = next(joint.parameters()).device
    chunks = test.images["image"].to(device).split(AT_ONCE)
    told = [joint.told(chunk) for chunk in chunks]
    teachers = range(len(told[0]))
    means = [
        [torch.cat([t[k][level] for t in told]).mean(dim=0) for level in range(len(told[0][k]))]
        for k in teachers
    ]
    rows = []
    for silent in (None, *teachers):
        parts = zip(told, chunks, strict=True)
        masks = np.concatenate([_answer(joint, t, x, silent, means) for t, x in parts])
        dice = scores(masks, test, tolerance_mm=1.0).dice.to_numpy()
        there = np.isfinite(dice)
        who = [p for p, kept in zip(dict.fromkeys(test.patients), there, strict=True) if kept]
        low, high = patient_bootstrap(dice[there], who)
        names = [study.cohort.target, *study.cohort.sources]
        title = "nobody" if silent is None else f"teacher of {names[silent]}"
        rows.append(
            {"silenced": title, "Dice": f"{dice[there].mean():.3f} [{low:.3f}, {high:.3f}]"}
        )
    return pd.DataFrame(rows)


def shares_of(joint: Trained) -> list[list[float]]:
    """Return each teacher's part of a trained joint teacher's fusers, level by level."""
    return cast(JointTeacher, joint.network).shares()


def every(sections: Sections, apart: int) -> Sections:
    """Return the sections of each case whose number is a multiple of ``apart``."""
    numbers = [int(name.rsplit("/k", 1)[1]) for name in sections.ids]
    return sections.rows([row for row, number in enumerate(numbers) if number % apart == 0])


def _answer(
    joint: Levelled, told: Told, images: Tensor, silent: int | None,
    means: Sequence[Sequence[Tensor]],
) -> NDArray[np.bool_]:  # fmt: skip
    heard = [
        [mean.expand_as(m) for mean, m in zip(means[k], maps, strict=True)] if k == silent else maps
        for k, maps in enumerate(told)
    ]
    logits = joint.decode(joint.fuse(heard), images)
    answer: NDArray[np.bool_] = (logits[:, 1] > logits[:, 0]).cpu().numpy()
    return answer
