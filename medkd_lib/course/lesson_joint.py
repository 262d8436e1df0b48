"""What lesson 06 does around its trainings: several sets, who is where, gains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
from torch import Tensor

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.course.experiments.joint_sources import joint_cohort
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.experiments.mask_measures import scores
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.lesson_segment import there
from medkd_lib.course.resolve import Config
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.methods.joint_parts import Alignment, Domain, Weights

# Of sections, whose range is [-1, 1].
AIR = -1 + 1e-3


@dataclass(frozen=True)
class Material:
    """The sets of a run, the target's first, and who is where."""

    images: Sequence[Images]
    cohort: SectionCohort


def names_in(config: Config) -> tuple[list[str], list[str]]:
    """Return the ids of the sources, and of the sets that are only tested on."""
    return named_in(config.sources), named_in(config.external)


def named_in(joined: str) -> list[str]:
    """Return the ids of sets that are joined by ``+``."""
    return joined.split("+") if joined else []


def open_material(config: Config) -> Material:
    """Open what a run's parameters ask for; without ``data_root`` the phantom twins.

    ``data_root`` holds a folder per set, named as its manifest.
    """
    sources, external = names_in(config)
    counts = {config.dataset: config.patients} | dict.fromkeys(sources, config.source_patients)
    counts |= dict.fromkeys(external, config.external_patients)
    images = [
        open_images(
            name, f"{config.data_root}/{name}" if config.data_root else "", patients=count,
            difficulty=config.difficulty, size=config.size,
        )
        for name, count in counts.items()
    ]  # fmt: skip
    cohort = joint_cohort(
        {i.manifest.id: i.root for i in images}, config.dataset, sources, external, config.seed,
        train=config.train_patients, val=config.val_patients,
    )  # fmt: skip
    return Material(images, cohort)


def declared_arm(config: Config) -> Arm:
    """Return the method with the knobs of a run's parameters."""
    domain = None
    if config.domain != "none":
        kind = cast(Alignment, config.domain)
        domain = Domain(kind, config.lambda_domain, config.gamma_domain)
    weights = Weights(
        config.alpha, config.beta, config.gamma_labels, config.temperature, config.levels,
        config.distance, config.follow, config.standardise, config.dropping,
    )  # fmt: skip
    return Arm(weights=weights, domain=domain, joint_on=config.joint_on)


def visible(arm: Arm) -> Arm:
    """Return the arm with domains that nobody hides: the encoder hears no classifier."""
    return replace(arm, domain=replace(arm.domain or Domain(), weight=0.0))


def who_is_where(cohort: SectionCohort) -> pd.DataFrame:
    """Return patients, sections, the share with a lesion of each part, and who learns from it."""
    learns = {
        "more": "the control with more target labels", "val": "nobody; for choices",
        "test": "nobody; to judge",
    }  # fmt: skip
    rows = []
    for part, sections in cohort.parts.items():
        kind = part.split()[0]
        who = {"train": "its own teacher; with the target the pooled network",
               "external": "nobody; another hospital, asked once at the end"}  # fmt: skip
        if part == f"train {cohort.target}":
            who["train"] = "all teachers and the student"
        shows = (sections.masks > 0).flatten(1).any(dim=1).float()
        rows.append(
            {"part": part, "patients": len(set(sections.patients)), "sections": len(sections),
             "with lesion": f"{float(shows.mean()):.0%}" if len(sections) else "",
             "who learns from it": {**learns, **who}[kind]}
        )  # fmt: skip
    return pd.DataFrame(rows)


def gains(
    results: Mapping[str, Measured], rivals: Sequence[tuple[str, str]], measure: str = "dice",
    title: str = "Dice",
) -> pd.DataFrame:  # fmt: skip
    """Return differences of a measure between arms, case by case, with 95 % intervals.

    Args:
        results: arm → its numbers, on the same cases.
        rivals: (arm, rival); those that were not run are left out.
        measure: of every case.
        title: of the measure.
    """
    rows = []
    for arm, rival in rivals:
        if not {arm, rival} <= set(results):
            continue
        mine, theirs = (np.asarray(results[a].values[measure]) for a in (arm, rival))
        difference, who = there(mine - theirs, results[arm].patients)
        low, high = patient_bootstrap(difference, who)
        rows.append(
            {"arm": ARM_TITLES[arm], "minus": ARM_TITLES[rival],
             title: f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]",
             "patients": len(set(who))}
        )  # fmt: skip
    return pd.DataFrame(rows)


def typical(sections: Sections, number: int = 3) -> list[int]:
    """Return sections with a small, … and a large lesson, of different patients where possible."""
    area = (sections.masks > 0).flatten(1).sum(dim=1).numpy()
    best: dict[str, int] = {}
    for row in np.argsort(-area, kind="stable"):
        if area[row]:
            best.setdefault(sections.patients[row], int(row))
    rows = sorted(best.values(), key=lambda row: area[row])
    places = np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)
    return [rows[k] for k in places]


def grey_values(cohort: SectionCohort, *, per_image: bool = False) -> dict[str, Tensor]:
    """Return the grey values of each training set, all images in one.

    Air is left out: how much of it is in a frame says nothing about tissue.

    Args:
        cohort: whose.
        per_image: bring the values of every image to mean 0 and standard deviation 1 first.
    """
    found = {}
    for name, sections in cohort.train.items():
        images = sections.images["image"].float().flatten(1)
        inside = images > AIR
        if per_image:
            count = inside.sum(dim=1, keepdim=True).clamp(min=1)
            mean = (images * inside).sum(dim=1, keepdim=True) / count
            spread = (((images - mean) * inside).square().sum(dim=1, keepdim=True) / count).sqrt()
            images = (images - mean) / spread.clamp(min=1e-3)
        found[name] = images[inside]
    return found


def known_of_sources(study: JointStudy, arm: Arm) -> pd.DataFrame:
    """Return what each source's teacher knows of its source: Dice on its own training patients.

    Args:
        study: whose teachers; they are trained if need be.
        arm: that says how they hide domains.
    """
    rows = []
    for source in study.cohort.sources:
        own = study.cohort.train[source]
        masks = study.masks(study.source_teacher(source, arm.domain), own)
        dice = scores(masks, own, tolerance_mm=1.0).dice.dropna()
        rows.append(
            {"teacher of": source, "Dice on its own training patients": f"{dice.mean():.3f}",
             "median": f"{dice.median():.3f}", "patients": len(dice)}
        )  # fmt: skip
    return pd.DataFrame(rows)
