"""What lesson 04 does around its trainings: two sets, tables of masks, metrics, features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.experiments.abdomen_sections import COARSE_ABDOMEN, FINE_ABDOMEN
from medkd_lib.course.experiments.cmedl_cells import GEOMETRY, answered
from medkd_lib.course.experiments.cmedl_sources import ABDOMEN, SARCOMA, abdomens, chests, sarcomas
from medkd_lib.course.experiments.cmedl_study import TEACHER, CmedlStudy
from medkd_lib.course.experiments.lung_sections import COARSE, FINE
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.resolve import Config
from medkd_lib.data.sections import Sections
from medkd_lib.methods.bedside import PSEUDO_ONLY

# Arm → a name that fits under a dot.
SHORT: Mapping[str, str] = {
    GEOMETRY: "usual\nplace", "alone": "alone", "cmedl": "CMEDL", "other_hints": "another\npatient",
    "true_hints": "true\nhints", PSEUDO_ONLY: "teacher,\npseudo", TEACHER: "teacher,\ntrue",
}  # fmt: skip
CT_SET, MR_SET = "msd_task06_lung", "cmedl_private_mr_cohort"


@dataclass(frozen=True)
class Material:
    """The sets of a run, and its patients divided: whom the student learns from, and the teacher.

    Attributes:
        images: of the student's set, and of the teacher's if it is another one.
        modalities: the division.
    """

    images: Sequence[Images]
    modalities: Modalities


def open_material(config: Config) -> Material:
    """Open what a run's parameters ask for; without ``data_root`` the phantom twins.

    ``setting`` says who teaches whom: ``informative`` (MR teaches CT), ``weak`` (CT teaches MR).
    Real chests of both modalities are folders of ``data_root``, named as the sets. The sarcoma
    set holds both modalities of every patient, and the abdomen set both sequences: there is no
    setting to choose, and ``data_root`` is the set's own folder. On abdomens T1 teaches T2, a
    teacher of no richer modality; of ``patients`` half are MR.
    """
    if config.dataset == ABDOMEN:
        images = open_images(
            ABDOMEN, config.data_root, patients=config.patients, difficulty=config.difficulty,
            size=config.size,
        )  # fmt: skip
        frame = FINE_ABDOMEN if config.size == "full" else COARSE_ABDOMEN
        return Material(
            [images], abdomens(images.index, config.seed, organ=config.organ, frame=frame)
        )
    if config.dataset == SARCOMA:
        images = open_images(
            SARCOMA, config.data_root, patients=config.patients, difficulty=config.difficulty
        )
        return Material([images], sarcomas(images.index, config.seed, 0, teacher=config.teacher))
    sets = [
        open_images(
            name,
            f"{config.data_root}/{name}" if config.data_root else "",
            patients=patients,
            difficulty=config.difficulty,
            size=config.size,
        )
        for name, patients in ((config.dataset, config.patients), (MR_SET, config.mr_patients))
    ]
    student, teacher = sets if config.setting == "informative" else sets[::-1]
    phantom = all(images.evidence == "phantom" for images in sets)
    return Material(
        [student, teacher],
        chests(
            student.index, teacher.index, config.seed,
            difficulty=config.difficulty if phantom else "",
            frame=FINE if config.size == "full" else COARSE, size=config.size,
        ),
    )  # fmt: skip


def who_is_where(modalities: Modalities) -> pd.DataFrame:
    """Return patients, sections and share with tumour of each part, and who sees it."""
    student, teacher = modalities.student, modalities.teacher
    sees = {
        "train": f"{student}: student, teacher (translated), generator",
        "more": f"{student}: the control with more labels",
        "teaching": f"{teacher}: teacher, generator",
        "val": f"{student}: nobody; to choose",
        "test": f"{student}: nobody; to judge",
    }
    rows = []
    for part, whom in sees.items():
        sections: Sections = getattr(modalities, part)
        rows.append(
            {"part": part, "patients": len(set(sections.patients)), "sections": len(sections),
             "with tumour": f"{shows_tumour(sections).mean():.0%}" if len(sections) else "",
             "who learns from it": whom}
        )  # fmt: skip
    return pd.DataFrame(rows)


def answers(study: CmedlStudy, arms: Sequence[str]) -> dict[str, Measured]:
    """Return what each arm answers for the test patients; the training is cached."""
    return {arm: answered(study, arm) for arm in arms}


def shows_tumour(sections: Sections) -> NDArray[np.bool_]:
    """Return which sections show a tumour, ``(N,)``."""
    found: NDArray[np.bool_] = (sections.masks > 0).flatten(1).any(dim=1).numpy()
    return found
