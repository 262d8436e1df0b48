"""The runs of lesson 05: nobody on two sides, every arm trains and answers from CT alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.react_arms import ARMS, GEOMETRY, ORACLE, TEACHERS, nodes_of
from medkd_lib.course.experiments.react_budget import LESSON, PAPER, classifier
from medkd_lib.course.experiments.react_cells import Asked, answered, joined, measured
from medkd_lib.course.experiments.react_cohort import FULL_SHARE, SEEN
from medkd_lib.course.experiments.react_study import (
    ReactStudy,
    ask,
    bedside,
    classifier_of,
    logits_of,
)
from medkd_lib.course.experiments.react_truth import oracle
from medkd_lib.course.grid import read_grid
from medkd_lib.data.apart import LeakageError
from medkd_lib.evaluate.auc import auc_of_cases
from tests.course.react_boxes import DOSES, NAMES, SHAPE, boxes, cohort

TINY = replace(LESSON, steps=2, student_steps=2, batch_size=6, views=2, channels=4, kernel=3)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReactStudy:
    """Return a study of made-up boxes with a cache of its own."""
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path))
    return ReactStudy(cohort(), TINY, 0, Fabric(accelerator="cpu", devices=1))


def test_test_patients_do_not_depend_on_the_seed_and_never_train() -> None:
    first, second = cohort(0), cohort(1)
    assert first.parts["test"].patients == second.parts["test"].patients
    assert first.parts["train"].patients != second.parts["train"].patients
    bank = first.bank(3, seed=0)
    assert len(bank) == 3 * len(first.parts["train"])
    assert set(bank.patients) == set(first.parts["train"].patients)
    assert not set(bank.patients) & {*first.parts["test"].patients, *first.parts["val"].patients}


def test_a_patient_on_two_sides_is_refused() -> None:
    found = cohort()
    with pytest.raises(LeakageError, match="P"):
        replace(found, parts={**found.parts, "val": found.parts["test"]})


def test_a_bank_is_the_same_for_a_seed_and_sees_every_dose() -> None:
    found = cohort()
    one, same, other = found.bank(8, 0), found.bank(8, 0), found.bank(8, 1)
    assert torch.equal(one.images[SEEN], same.images[SEEN]) and one.fingerprint == same.fingerprint
    assert not torch.equal(one.images[SEEN], other.images[SEEN])
    assert one.regions.shape[1:] == SHAPE
    is_dose = {d: (one.images[SEEN] == one.images[d]).flatten(1).all(1) for d in DOSES}
    assert all(rows.any() for rows in is_dose.values())
    # a binomial share of at least 150 boxes
    assert abs(float(is_dose["ct"].float().mean()) - FULL_SHARE) < 0.15


@pytest.mark.parametrize("name", [*ARMS, *TEACHERS])
def test_every_arm_trains_and_answers(study: ReactStudy, name: str) -> None:
    trained = study.train(name)
    network = classifier_of(trained)
    p = study.predictions(trained)
    assert p.probabilities.shape == (len(study.cohort.parts["test"]), 3)
    assert np.isfinite(p.probabilities).all()
    if name in ARMS:
        # the bedside is the CT and where to pool; PET is not even there
        assert bedside(network) == ("ct",)
        test = study.cohort.parts["test"]
        ct_only = replace(test, images={n: test.images[n] for n in ("ct", "roi")})
        assert torch.equal(logits_of(trained, ct_only), logits_of(trained, test))
        assert ("pet" in network.names) == (ARMS[name].pet > 0)


def test_a_teacher_sees_every_tracer_that_a_set_has(study: ReactStudy) -> None:
    def with_tracers(names: dict[str, str]) -> ReactStudy:
        kept = {n: x for n, x in study.bank.images.items() if n not in ("fdg", "acetate")}
        images = kept | {new: study.bank.images[old] for new, old in names.items()}
        found = ReactStudy(study.cohort, TINY, 0, study.fabric)
        found.bank = replace(found.bank, images=images)
        return found

    assert set(study.branches_of("both")) == {"fdg", "acetate", "dose"}
    one = with_tracers({"pet": "fdg"})
    assert one.branches_of("both") == {"pet": ("ct", "pet"), "dose": (SEEN,)}
    assert one.branches_of("pet") == {"pet": ("ct", "pet")}
    with pytest.raises(ValueError, match="among the images"):
        with_tracers({}).branches_of("both")


def test_a_student_learns_what_its_images_show(study: ReactStudy) -> None:
    longer = ReactStudy(study.cohort, replace(TINY, student_steps=150), 0, study.fabric)
    p = longer.predictions(longer.train("alone"), "train")
    assert float(auc_of_cases(p).mean()) > 0.8


def test_answers_are_the_teachers_own(study: ReactStudy) -> None:
    logits, fused = study.answers("both", "shared")
    network = classifier_of(study.teacher("both"))
    again, maps = ask(network, study.bank)
    assert torch.equal(logits, again) and torch.equal(fused, maps)
    assert len(logits) == len(study.bank)


def test_a_second_study_takes_its_networks_from_the_cache(study: ReactStudy) -> None:
    assert not study.train("react").from_cache
    again = ReactStudy(study.cohort, TINY, 0, study.fabric).train("react")
    assert again.from_cache
    other = ReactStudy(cohort(1), TINY, 1, study.fabric).train("react")
    assert not other.from_cache


def test_an_untrained_teacher_is_the_joint_one_before_its_first_update(study: ReactStudy) -> None:
    untrained, trained = (classifier_of(study.teacher(k)) for k in ("untrained", "both"))
    assert untrained.names == trained.names
    before, after = untrained.head.weight, trained.head.weight
    assert not torch.equal(before, after)
    torch.manual_seed(0)
    again = classifier_of(ReactStudy(cohort(), TINY, 0, study.fabric).teacher("untrained"))
    for mine, theirs in zip(untrained.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_an_untrained_graph_comes_with_the_trained_teachers_logits(study: ReactStudy) -> None:
    arm = ARMS["react_untrained"]
    given = study._tensors({"seen"}, arm)
    assert torch.equal(given["teacher_logits"][:, 0], study.answers("both", "shared")[0])
    assert torch.equal(given["teacher_map"], study.answers("untrained", "shared")[1])


def test_without_logits_labels_keep_their_weight() -> None:
    arms = [ARMS[name].weights for name in ("react", "no_logits")]
    assert arms[0].alpha == arms[1].alpha and not arms[1].needs_logits and arms[1].needs_map


def test_nodes_are_numbered_by_kind() -> None:
    assert nodes_of(NAMES, "segments") == (1, 2, 3, 4, 5)
    assert nodes_of(NAMES, "parenchyma") == (1, 1, 2, 3, 4)
    assert nodes_of(NAMES, "two") == (1, 1, 0, 2, 2)
    with pytest.raises(ValueError, match="choose 'segments'"):
        nodes_of(("core", "rim", "surroundings"), "two")


def test_recorded_numbers_come_from_all_folds(study: ReactStudy) -> None:
    asked = [Asked(study, study.train("alone"))]
    one, two = answered(asked), answered([*asked, *asked])
    assert one.values["auc"] and len(two.cases) == 2 * len(one.cases)
    assert {"auc_ct_half", "auc_ct_tenth", "auc_val", "temperature", "benefit_0.5"} <= {*one.extras}
    # the same answers twice: the same area
    assert np.mean(two.values["auc"]) == pytest.approx(np.mean(one.values["auc"]), abs=1e-9)


def test_an_external_set_is_asked_with_ct_alone(study: ReactStudy) -> None:
    others = study.cohort.parts["val"]
    student = answered([Asked(study, study.train("react"))], others)
    teacher = answered([Asked(study, study.train("teacher"))], others)
    assert "auc_external_ct_tenth" in student.extras
    assert not any(name.startswith("auc_external") for name in teacher.extras)


def test_the_oracle_reads_the_truth_and_real_images_have_none(tmp_path: Path) -> None:
    everybody = boxes()
    lines = ["case,fdg_suv,fdg_liver_suv,acetate_suv,acetate_liver_suv,contrast_hu,mottle_hu"]
    for name, label in zip(everybody.ids, everybody.labels.tolist(), strict=True):
        lines.append(f"{name},{2.0 + label},2.0,{6.0 - label},3.0,{-5 - label},{4 + label}")
    (tmp_path / "truth.csv").write_text("\n".join(lines), encoding="utf-8")
    p = oracle(tmp_path, everybody.rows(range(18)), everybody.rows(range(18, 36)))
    assert float(auc_of_cases(p).mean()) == 1.0
    with pytest.raises(FileNotFoundError, match="real images have no oracle"):
        oracle(tmp_path / "real", everybody, everybody)


def test_the_grid_names_arms_that_exist(study: ReactStudy) -> None:
    grid = read_grid("05")
    known = {*ARMS, *TEACHERS, ORACLE, GEOMETRY}
    assert set(grid.arms) == known <= set(ARM_TITLES)
    with pytest.raises(KeyError):
        study.train("no such arm")


def test_measured_puts_folds_side_by_side(study: ReactStudy) -> None:
    p = study.predictions(study.train("alone"))
    found = measured([Asked(study, None)] * 2, [p, p], {})
    assert found.values["auc"] == auc_of_cases(joined([p, p])).tolist()
    assert len(found.strata["tumour_ml"]) == len(found.cases) == len(found.patients)


def test_paper_size_is_as_drawn() -> None:
    teacher = classifier(PAPER, {"fdg": ("ct", "fdg")}, 3, kind="swin")
    student = classifier(PAPER, {"ct": ("seen",)}, 3)
    assert teacher.encoders["fdg"].channels == 384
    assert student.encoders["ct"].channels == 64
