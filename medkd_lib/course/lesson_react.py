"""What lesson 05 does around its trainings: patients, tables of AUCs, graphs, where it looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.liver_blocks import DOSES
from medkd_lib.course.experiments.liver_frame import COARSE_LIVER, FINE_LIVER
from medkd_lib.course.experiments.react_arms import Arm
from medkd_lib.course.experiments.react_cells import calibrated_on, temperature
from medkd_lib.course.experiments.react_cohort import ReactCohort
from medkd_lib.course.experiments.react_sources import (
    EXTERNAL,
    LIVER,
    SARCOMA,
    external,
    livers,
    sarcomas,
)
from medkd_lib.course.experiments.react_study import (
    ReactStudy,
    bedside,
    classifier_of,
    predictions,
)
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.lesson_classify import INTERVAL_KIND
from medkd_lib.course.resolve import Config
from medkd_lib.course.result import Headline, Metric
from medkd_lib.data.blocks import Blocks
from medkd_lib.distill.region_graph import GraphWeights
from medkd_lib.evaluate.auc import Auc, auc_difference, auc_table
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.methods.react_kd_parts import Weights
from medkd_lib.train import Trained

DRAWS = 1000


@dataclass(frozen=True)
class Material:
    """The patients of a run.

    Attributes:
        images: of the cohort, and of the other hospital if there is one.
        cohort: divided.
        others: boxes of the other hospital's patients, or None.
    """

    images: Sequence[Images]
    cohort: ReactCohort
    others: Blocks | None


def open_material(config: Config) -> Material:
    """Open what a run's parameters ask for; without ``data_root`` the phantom twins.

    With ``data_root`` the liver cohort is a folder of it, and so is the other hospital's set where
    it is there; of sarcomas ``data_root`` is the set's own folder.
    """
    if config.dataset == SARCOMA:
        images = open_images(
            SARCOMA, config.data_root, patients=config.patients, difficulty=config.difficulty
        )
        return Material([images], sarcomas(images.index, config.seed, 0, config.target), None)
    frame = FINE_LIVER if config.size == "full" else COARSE_LIVER
    sets = [
        open_images(
            name, f"{config.data_root}/{name}" if config.data_root else "", patients=patients,
            difficulty=config.difficulty, size=config.size,
        )
        for name, patients in ((LIVER, config.patients), (EXTERNAL, config.external_patients))
        if patients
    ]  # fmt: skip
    others = external(sets[1].index, frame) if len(sets) > 1 else None
    return Material(sets, livers(sets[0].index, config.seed, frame), others)


def who_is_where(material: Material) -> pd.DataFrame:
    """Return patients, boxes and classes of each part."""
    parts = dict(material.cohort.parts)
    if material.others is not None:
        parts["other hospital"] = material.others
    rows = []
    for part, boxes in parts.items():
        number = np.bincount(boxes.labels.numpy(), minlength=len(material.cohort.class_names))
        rows.append(
            {"part": part, "patients": len(set(boxes.patients)), "boxes": len(boxes)}
            | dict(zip(material.cohort.class_names, number.tolist(), strict=True))
        )
    return pd.DataFrame(rows)


def auc_rows(results: Mapping[str, Predictions], class_names: Sequence[str]) -> pd.DataFrame:
    """Return one row per arm: AUC of every class against the rest, macro and micro."""
    rows = []
    for arm, p in results.items():
        found = auc_table(p, class_names, draws=DRAWS)
        rows.append({"arm": ARM_TITLES.get(arm, arm)} | {n: _written(a) for n, a in found.items()})
    return pd.DataFrame(rows)


def gains(
    results: Mapping[str, Predictions], rival: str, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return what every arm has above a rival, for every AUC, on the same redrawn patients."""
    rows = []
    for arm, p in results.items():
        if arm == rival:
            continue
        found = auc_difference(p, results[rival], class_names, draws=DRAWS)
        title = f"{ARM_TITLES.get(arm, arm)} − {ARM_TITLES.get(rival, rival)}"
        rows.append({"difference": title} | {n: _written(a, "+") for n, a in found.items()})
    return pd.DataFrame(rows)


def by_dose(trained: Trained, boxes: Blocks, doses: Sequence[str]) -> dict[float, Predictions]:
    """Return a network's answers to boxes at every dose, by its share of the full one."""
    return {DOSES.get(dose, 1.0): predictions(trained, boxes, dose) for dose in doses}


def calibrated(study: ReactStudy, trained: Trained) -> Predictions:
    """Return a network's probabilities on the test boxes, honest as far as validation tells."""
    return calibrated_on(trained, study.cohort.parts["test"], temperature(study, trained))


def declared_arm(config: Config) -> Arm:
    """Return the arm that a run's parameters describe; the declared one where none was turned."""
    graph = GraphWeights(config.w_node, config.w_edge, config.w_gw)
    weights = Weights(
        alpha=config.alpha, temperature=config.temperature, beta=config.beta, graph=graph,
        gw_alpha=config.gw_alpha,
    )  # fmt: skip
    return Arm(
        weights, (config.teacher,), attention=config.attention, pet=config.pet_share,
        nodes=config.nodes,
    )  # fmt: skip


def missing_rows(study: ReactStudy, trained: Mapping[str, Trained]) -> pd.DataFrame:
    """Return macro AUC of networks by what they are shown at the test, with intervals."""
    names, rows = study.cohort.class_names, []
    for arm, network in trained.items():
        whole, own = classifier_of(network).names, bedside(classifier_of(network))
        # A teacher's branches have no CT of their own to be asked about: it is shown them all.
        shows = {"CT alone" if own == ("ct",) else "everything": own}
        if len(whole) > len(own):
            shows |= {"PET alone": ("pet",), "CT and PET": whole}
        for what, branches in shows.items():
            for dose in (study.cohort.doses[0], study.cohort.doses[-1]):
                if dose != study.cohort.doses[0] and what == "PET alone":
                    continue
                p = study.predictions(network, "test", dose, branches)
                rows.append(
                    {"arm": ARM_TITLES.get(arm, arm), "shown": what,
                     "CT's dose": "full" if dose == "ct" else dose.removeprefix("ct_"),
                     "macro AUC": _written(auc_table(p, names, draws=DRAWS)["macro"])}
                )  # fmt: skip
    return pd.DataFrame(rows)


def metrics_of(
    results: Mapping[str, Predictions], images: Images, class_names: Sequence[str], *, seed: int,
    split: str,
) -> list[Metric]:  # fmt: skip
    """Return every AUC of every arm with its interval."""
    return [
        Metric(
            name=f"auc_{name}".replace(" ", "_"), arm=arm, value=found.value,
            n=len(set(p.patients)), seed=seed, interval=found.interval, interval_kind=INTERVAL_KIND,
            dataset=images.manifest.id, evidence=images.evidence, split_hash=split,
        )
        for arm, p in results.items()
        for name, found in auc_table(p, class_names, draws=DRAWS).items()
    ]  # fmt: skip


def headline_of(
    results: Mapping[str, Predictions], pair: tuple[str, str], images: Images,
    class_names: Sequence[str], recorded: str,
) -> Headline:  # fmt: skip
    """Compare two arms' macro AUC in one sentence, see `lesson_classify.headline_of`."""
    arm, rival = (auc_table(results[name], class_names, draws=2)["macro"].value for name in pair)
    gain = auc_difference(results[pair[0]], results[pair[1]], class_names, draws=DRAWS)["macro"]
    low, high = gain.interval
    text = (
        f"{images.manifest.id} ({images.evidence}), macro AUC: {ARM_TITLES[pair[0]]} {arm:.3f} "
        f"against {ARM_TITLES[pair[1]]} {rival:.3f}, difference {gain.value:+.3f} "
        f"[{low:+.3f}, {high:+.3f}] over test patients, one training; {recorded}"
    )
    return Headline(text=text, metric="auc_macro")


def _written(found: Auc, sign: str = "") -> str:
    low, high = found.interval
    return f"{found.value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
