"""What lesson 04 does around its trainings: two sets, tables of masks, metrics, features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.cmedl_cells import answered
from medkd_lib.course.experiments.cmedl_sources import SARCOMA, chests, sarcomas
from medkd_lib.course.experiments.cmedl_study import CmedlStudy
from medkd_lib.course.experiments.cmedl_translation import AIR, OUTLINED, RING_MM, patient_outline
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.lesson_classify import INTERVAL_KIND
from medkd_lib.course.resolve import Config
from medkd_lib.course.result import Headline, Metric
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.stack import volumes
from medkd_lib.evaluate.tumour_contrast import TumourContrast, tumour_contrast
from medkd_lib.evaluate.wilcoxon import signed_rank
from medkd_lib.models.tap import tap
from medkd_lib.train import Trained

CT_SET, MR_SET = "msd_task06_lung", "cmedl_private_mr_cohort"
UNITS: Mapping[str, str] = {"hd95_mm": "mm"}


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
    set holds both modalities of every patient, so ``data_root`` is its own folder.
    """
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


def largest_sections(sections: Sections) -> list[int]:
    """Return, of each patient with tumour, the section that shows most of it; smallest first."""
    areas = (sections.masks > 0).flatten(1).sum(dim=1).tolist()
    best: dict[str, int] = {}
    for row, patient in enumerate(sections.patients):
        if areas[row] > areas[best.setdefault(patient, row)]:
            best[patient] = row
    return sorted((row for row in best.values() if areas[row]), key=lambda row: areas[row])


def bars(
    study: CmedlStudy, pseudo: Tensor, names: tuple[str, str]
) -> dict[str, tuple[TumourContrast, Sequence[str]]]:
    """Return the tumour's contrast in test images: theirs, translated and, where known, true ones.

    On CT the ring is soft tissue, a pixel away from the tumour: what CT cannot tell is a tumour
    from a mediastinum. On other modalities nothing is outlined, and the ring is whatever is there.

    Args:
        study: whose test patients.
        pseudo: ``(N, 1, H, W)``, their translations.
        names: of the student's modality and of the teacher's.
    """
    m, test = study.modalities, study.modalities.test
    source = test.images[m.student][:, 0].numpy()
    soft = (patient_outline(source) & (source > AIR)) if m.student in OUTLINED else None
    kinds = {names[0]: source, f"pseudo-{names[1]}": pseudo[:, 0].numpy()}
    if m.teacher in test.images:
        kinds[f"true {names[1]}"] = test.images[m.teacher][:, 0].numpy()
    spacing = test.spacing_mm[:2]
    gap = 0.0 if soft is None else max(spacing)
    masks = test.masks.numpy()
    return {
        name: (
            tumour_contrast(x, masks, spacing, ring_mm=RING_MM, gap_mm=gap, inside=soft),
            test.patients,
        )
        for name, x in kinds.items()
    }


def answers(study: CmedlStudy, arms: Sequence[str]) -> dict[str, Measured]:
    """Return what each arm answers for the test patients; the training is cached."""
    return {arm: answered(study, arm) for arm in arms}


def score_table(results: Mapping[str, Measured], rival: str = "alone") -> pd.DataFrame:
    """Return one row per arm: every measure, and the Dice against a rival's patient by patient."""
    rows = []
    for arm, found in results.items():
        row = {"arm": ARM_TITLES[arm]}
        for name, values in found.values.items():
            low, high = patient_bootstrap(*_there(values, found.patients))
            row[name] = f"{np.nanmean(values):.3f} [{low:.3f}, {high:.3f}]"
        row["missed"] = f"{int((np.asarray(found.values['dice']) == 0).sum())}"
        if arm != rival and rival in results:
            test = signed_rank(
                np.asarray(found.values["dice"]), np.asarray(results[rival].values["dice"]),
                found.patients,
            )  # fmt: skip
            row["median gain"] = f"{test.median:+.3f}"
            row["effect"], row["Wilcoxon p"] = f"{test.effect:+.2f}", f"{test.p:.3g}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("").rename(columns=COLUMNS)


def case_table(found: Measured, masks: NDArray[np.bool_], sections: Sections) -> pd.DataFrame:
    """Return an arm's numbers case by case with their outcome, for `scores_by_case`.

    Args:
        found: of `answers`.
        masks: ``(N, H, W)``, the arm's answer to each section.
        sections: whose sections; their masks are the truth.
    """
    given, truths = (volumes(m, sections.ids) for m in (masks, sections.masks.numpy() > 0))
    outcomes = {
        (True, True): "both", (True, False): "missed", (False, True): "false alarm",
        (False, False): "neither",
    }  # fmt: skip
    table = pd.DataFrame(dict(found.values), index=pd.Index(found.cases, name="case"))
    table["outcome"] = [outcomes[bool(truths[c].any()), bool(given[c].any())] for c in found.cases]
    return table


COLUMNS: Mapping[str, str] = {
    "dice": "Dice", "surface_dice": "surface Dice", "hd95_mm": "HD95 (mm)",
    "false_alarms": "false alarms",
}  # fmt: skip


def metrics_of(results: Mapping[str, Measured], images: Images, *, seed: int) -> list[Metric]:
    """Return every measure of every arm with its interval, and the further numbers of each."""
    found = []
    for arm, measured in results.items():
        metric = partial(
            Metric, arm=arm, seed=seed, dataset=images.manifest.id, evidence=images.evidence,
            split_hash=measured.split,
        )  # fmt: skip
        for name, values in measured.values.items():
            there, who = _there(values, measured.patients)
            found.append(
                metric(
                    name=name, value=float(there.mean()), unit=UNITS.get(name, ""), n=len(set(who)),
                    interval=patient_bootstrap(there, who), interval_kind=INTERVAL_KIND,
                )
            )  # fmt: skip
        found += [metric(name=name, value=value) for name, value in measured.extras.items()]
    return found


def headline_of(
    results: Mapping[str, Measured], pair: tuple[str, str], images: Images, recorded: str
) -> Headline:
    """Compare two arms' Dice in one sentence, see `lesson_classify.headline_of`."""
    arm, rival = (np.asarray(results[name].values["dice"]) for name in pair)
    gain, who = _there(arm - rival, results[pair[0]].patients)
    low, high = patient_bootstrap(gain, who)
    text = (
        f"{images.manifest.id} ({images.evidence}), Dice: {ARM_TITLES[pair[0]]} "
        f"{np.nanmean(arm):.3f} against {ARM_TITLES[pair[1]]} {np.nanmean(rival):.3f}, difference "
        f"{gain.mean():+.3f} [{low:+.3f}, {high:+.3f}] over test patients, one training; {recorded}"
    )
    return Headline(text=text, metric="dice")


def translation_table(report: Mapping[str, float]) -> pd.DataFrame:
    """Return the numbers of `translation_report` with what each of them says."""
    rows = [(TRANSLATION[n], f"{v:.3f}") for n, v in report.items() if n in TRANSLATION]
    return pd.DataFrame(rows, columns=["what", "value"])


TRANSLATION: Mapping[str, str] = {
    "variance_ratio": "variance between patients, translated over real",
    "collapsed": "all translations alike (1: yes)",
    "source_correlation": "correlation of a translation with its source",
    "copied": "the source handed on (1: yes)",
    "histogram_kl": "grey values: divergence from real ones (nats)",
    "soft_source": "tumour − soft tissue around it, source",
    "soft_pseudo": "tumour − soft tissue around it, translated",
    "soft_true": "tumour − soft tissue around it, true",
    "teacher_dice": "Dice of the teacher on translated images",
    "mae": "error of the translation, everywhere",
    "copy_mae": "… of handing the source on",
    "mae_tumour": "error of the translation, in the tumour",
    "copy_mae_tumour": "… of handing the source on",
}


@torch.no_grad()
def hinted(study: CmedlStudy, trained: Trained, arm: str, images: Tensor, layer: str) -> Tensor:
    """Return an arm's map of one hinted layer, ``(N, C, h, w)``.

    Args:
        study: its plan names the arms.
        trained: of `CmedlStudy.train`.
        arm: a student, or the teacher (of images in its own modality).
        images: ``(N, 1, H, W)``, what the network itself is shown.
        layer: a place of `SegmentationNetwork`.
    """
    network: nn.Module = study.network(trained, arm).eval()
    with tap(network, {layer: layer}) as seen:
        network(images)
    return seen[layer]


def shows_tumour(sections: Sections) -> NDArray[np.bool_]:
    """Return which sections show a tumour, ``(N,)``."""
    found: NDArray[np.bool_] = (sections.masks > 0).flatten(1).any(dim=1).numpy()
    return found


def _there(
    values: Sequence[float] | NDArray[np.float64], patients: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return values and their patients without those that are not defined."""
    numbers = np.asarray(values, float)
    there = np.isfinite(numbers)
    return numbers[there], [p for p, ok in zip(patients, there, strict=True) if ok]
