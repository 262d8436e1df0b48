"""Lesson 07, classes: the three stages run, heads have their sets' classes, numbers are sound."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.joint_arms import ALONE, ARMS, JOINT
from medkd_lib.course.experiments.joint_change import changed
from medkd_lib.course.experiments.label_budget import Classifier, LabelBudget, classifier
from medkd_lib.course.experiments.label_cells import (
    answered,
    other_labels,
    rim_alone,
    rim_cohort,
    run_cell,
    told,
)
from medkd_lib.course.experiments.label_study import LabelStudy
from medkd_lib.course.experiments.task_cells import run_cell as run_task
from medkd_lib.methods.joint_parts import LABELS_ALONE
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.train import Trained
from tests.course.label_toys import FILMS, SOURCES, TARGET, films, label_toys

TINY = LabelBudget(steps=3, batch_size=4, size=32, kept_views=1)
ASKED = ("alone", "pooled", "finetuned", "joint", "joint_visible", "target_teachers",
         "self_distilled")  # fmt: skip


def study(fabric: Fabric, kind: Classifier = "medvit", budget: LabelBudget = TINY) -> LabelStudy:
    return LabelStudy(label_toys(), budget, 0, fabric, kind)


def same(a: Trained, b: Trained) -> bool:
    mine, theirs = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in mine.items())


@pytest.mark.parametrize("kind", ["medvit", "efficientnet"])
def test_every_arm_answers_for_every_patient(kind: Classifier, cpu: Fabric) -> None:
    found = study(cpu, kind)
    for name in ASKED:
        measured = answered(found, ARMS[name])
        assert measured.cases == sorted(set(found.cohort.test.patients))  # two slices, one answer
        assert len(measured.values["auc"]) == 12 and "auc_rim" not in measured.extras
        assert {"auc_val", "ece", "balanced"} <= measured.extras.keys()
    assert "probe_adni" in answered(found, JOINT).extras


def test_labels_alone_in_the_students_path_are_the_student_alone(cpu: Fabric) -> None:
    found = study(cpu)
    silent = found.train(replace(JOINT, weights=LABELS_ALONE))
    assert same(silent, found.train(ALONE))
    assert not same(found.train(JOINT), found.train(ALONE))


def test_a_source_has_its_own_classes_and_the_target_keeps_its(cpu: Fabric) -> None:
    found = study(cpu)
    assert dict(found.classes) == {"adni": 3}
    teacher = found.source_teacher(SOURCES[0], JOINT.domain)
    for trained, classes in ((found.pooled(), 2), (teacher, 3)):
        assert trained.network(found.inputs(found.cohort.test)).shape == (24, classes)


def test_the_joint_teacher_reads_all_levels_and_its_teachers_none(cpu: Fabric) -> None:
    joint = cast(JointTeacher, study(cpu).joint_teacher(JOINT).network)
    assert joint.trunk.read_levels == (0, 1, 2, 3)
    assert classifier("medvit", 2, TINY, 0).read_levels == (3,)
    assert not any(p.requires_grad for p in joint.teachers.parameters())


def test_controls_change_the_material(cpu: Fabric) -> None:
    plain = label_toys()
    shuffled = changed(plain, ARMS["shuffled_labels"], 0, other_labels)
    mine, theirs = shuffled.train[SOURCES[0]], plain.train[SOURCES[0]]
    assert torch.equal(mine.images, theirs.images)
    assert mine.labels.bincount().tolist() == theirs.labels.bincount().tolist()
    assert not torch.equal(mine.labels, theirs.labels)
    assert torch.equal(shuffled.train[TARGET].labels, plain.train[TARGET].labels)
    eighth = changed(plain, ARMS["joint_eighth"], 0, other_labels)
    assert len(set(eighth.train[SOURCES[0]].patients)) == 2
    with pytest.raises(ValueError, match="another structure"):
        run_cell(["oasis1"], ["nowhere"], "unrelated", 0, {}, cpu)
    with pytest.raises(ValueError, match="medvitt"):
        classifier("medvitt", 2, TINY, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="task: expected one of"):
        run_task(["oasis1"], ["nowhere"], "alone", 0, {}, cpu)


def test_each_network_has_its_learning_rate() -> None:
    budget = LabelBudget()
    assert budget.of("medvit").learning_rate == 1e-3
    assert budget.of("efficientnet").learning_rate == 1e-2


def test_classes_are_balanced_before_they_are_drawn(cpu: Fabric) -> None:
    cohort = label_toys()
    few = cohort.train[TARGET].rows([0, 1, 2, 3, 4, 8])  # four of class 0, two of class 1
    one = replace(cohort, train={**cohort.train, TARGET: few})
    labels = LabelStudy(one, TINY, 0, cpu).bank(TARGET).tensors["labels"]
    assert labels.bincount().tolist() == [4, 4]


def test_a_network_learns_and_a_film_has_a_rim(cpu: Fabric) -> None:
    """Where the patch is says the class; nothing of it reaches the rim."""
    budget = replace(TINY, steps=40, batch_size=12)
    one = LabelStudy(label_toys(FILMS, ()), budget, 0, cpu)
    measured = answered(one, ALONE)
    assert np.mean(measured.values["auc"]) > 0.9
    assert len(measured.cases) == 24  # films, not patients
    rim = rim_alone(films(FILMS, range(3), 3, each=1))
    width = round(0.15 * 32)
    assert not rim.images[..., width:-width, width:-width].any() and rim.images[..., 0, 0].all()
    trained = one.train(ALONE)
    assert told(one, trained, one.cohort.test).probabilities.shape == (24, 3)
    assert "auc_rim" in measured.extras


def test_fair_films_are_asked_beside_the_test_or_in_its_place(cpu: Fabric) -> None:
    one = LabelStudy(label_toys(FILMS, ()), replace(TINY, steps=40, batch_size=12), 0, cpu)
    apart = films(FILMS, range(50, 59), 3, each=1)
    # the patch is where another class has it: whoever learnt the place is wrong
    turned = replace(apart, labels=(apart.labels + 1) % 3)
    beside, instead = answered(one, ALONE, turned), answered(one, ALONE, turned, "fair")
    assert np.mean(beside.values["auc"]) > 0.9 > 0.6 > beside.extras["auc_fair"]
    assert np.mean(instead.values["auc"]) == pytest.approx(beside.extras["auc_fair"])
    assert instead.cases == list(turned.ids) and "auc_fair" not in answered(one, ALONE).extras
    for asked, there in (("fair", None), ("rim", turned)):
        with pytest.raises(ValueError, match="judged_on: expected fair"):
            answered(one, ALONE, there, asked)


def test_a_cohort_of_rims_has_no_lung_and_no_source() -> None:
    plain = label_toys(FILMS, ())
    rims = rim_cohort(plain)
    for name, part in rims.parts.items():
        assert not part.images[..., 5:-5, 5:-5].any() and part.images[..., 0, 0].any()
        assert part.fingerprint != plain.parts[name].fingerprint
    with pytest.raises(ValueError, match="whose rim is black"):
        rim_cohort(label_toys())
