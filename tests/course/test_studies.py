"""The studies of lessons 02 and 03: every arm is built, trains, and differs where it must."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments import student_arms, teacher_arms
from medkd_lib.course.experiments.cohort import Cohort
from medkd_lib.course.experiments.students import StudentStudy
from medkd_lib.course.experiments.teacher_arms import LESSON, PAPER, Budget, network_of
from medkd_lib.course.experiments.teachers import TeacherStudy
from medkd_lib.course.grid import read_grid
from medkd_lib.data.images import ImageSet
from medkd_lib.data.split import Split
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.msgff import MsgffTeacher

TINY = replace(LESSON, steps=2, student_steps=2, batch_size=6)


def part(seed: int, n: int = 12, masks: bool = True) -> ImageSet:
    """Noise in a disc of tissue, a square of tumour in every third image."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(112.0) - 55.5
    disc = (rows[:, None] ** 2 + rows[None] ** 2 < 45**2).float()
    images = (disc * torch.randn(n, 4, 112, 112, generator=generator)).half()
    labels = torch.arange(n) % 3
    drawn = torch.zeros(n, 112, 112, dtype=torch.uint8)
    drawn[labels == 1, 40:50, 40:50] = 2
    drawn[labels == 2, 40:50, 40:50] = 3
    names = tuple(f"case{seed}-{i}" for i in range(n))
    return ImageSet(images, labels, names, names, f"noise{seed}", drawn if masks else None)


@pytest.fixture
def cohort() -> Cohort:
    parts = {name: part(seed) for seed, name in enumerate(("train", "val", "test"))}
    return Cohort("noise", ("none", "oedema only", "core"), parts, Split("noise", 0, {}), 0.0)


@pytest.fixture
def study(cohort: Cohort, home: Path, cpu: Fabric) -> TeacherStudy:
    return TeacherStudy(cohort, TINY, 0, cpu)


@pytest.mark.parametrize("arm", teacher_arms.ARMS)
def test_every_teacher_arm_trains_and_answers(study: TeacherStudy, arm: str) -> None:
    trained = study.train(arm)
    assert not trained.from_cache and study.train(arm).from_cache
    outcome = study.outcome(arm, trained.network)
    assert outcome.predictions.probabilities.shape == (12, 3)
    assert outcome.noisy is not None
    assert list(outcome.cases) == list(study.cohort.parts["test"].ids)
    assert {s > 0 for s in outcome.sizes_mm2} == {True, False}
    assert "val_balanced_accuracy" in outcome.extras
    flows = isinstance(trained.network, MsgffTeacher) and trained.network.shape.align == "flow"
    assert ("flow_cells" in outcome.extras) == flows


@pytest.mark.parametrize("arm", student_arms.ARMS)
def test_every_student_arm_moves_the_same_student(study: TeacherStudy, arm: str) -> None:
    students = StudentStudy(study)
    trained = students.train(arm)
    untrained = study.network("student")
    assert {k: v.shape for k, v in trained.network.state_dict().items()} == {
        k: v.shape for k, v in untrained.state_dict().items()
    }, "what leaves is the student alone, without projector or teacher"
    assert trained.history.losses and students.train(arm).from_cache
    assert students.outcome(arm).predictions.labels.tolist() == part(2).labels.tolist()


def test_arms_differ_in_what_they_learn(study: TeacherStudy) -> None:
    students = StudentStudy(study)
    weights = {}
    for arm in student_arms.ARMS:
        network = students.train(arm).network
        weights[arm] = torch.cat([p.detach().flatten() for p in network.parameters()])
    same = [
        (a, b) for a in weights for b in weights if a < b and torch.equal(weights[a], weights[b])
    ]
    assert same == []


def test_an_untrained_teacher_took_no_step(study: TeacherStudy) -> None:
    students = StudentStudy(study)
    torch.manual_seed(0)
    fresh = study.network("hybrid").state_dict()
    untrained = students.teacher("untrained").network.state_dict()
    assert all(torch.equal(fresh[k], untrained[k]) for k in fresh)
    trained = students.teacher("hybrid").network.state_dict()
    assert not torch.equal(trained["head.weight"], untrained["head.weight"])


def test_the_chosen_teacher_may_be_another_rung(study: TeacherStudy) -> None:
    students = StudentStudy(study, teacher="a4")
    assert isinstance(students.teacher("hybrid").network, MsgffTeacher)
    assert students.train("cakd").history.losses["token_cosine"]


def test_the_student_alone_is_lesson_02s(study: TeacherStudy) -> None:
    alone = StudentStudy(study).train("alone")
    assert alone.key == study.train("student").key


def test_the_wide_hybrid_has_the_arithmetic_of_the_full_fusion() -> None:
    from medkd_lib.evaluate.cost import macs

    example = torch.randn(1, 4, 112, 112)
    wide, full, hybrid = (
        macs(network_of(teacher_arms.ARMS[a], LESSON, 3, 4).eval(), example)
        for a in ("hybrid_wide", "a4", "hybrid")
    )
    assert wide / full == pytest.approx(1, abs=0.1)
    assert 3.5 < full / hybrid < 4.5


@pytest.mark.parametrize("arm", ["student", "hybrid", "a4", "hybrid_wide", "a0_maps"])
def test_paper_size_networks_can_be_built(arm: str) -> None:
    with torch.device("meta"):
        network = network_of(teacher_arms.ARMS[arm], PAPER, 3, 4)
    count = sum(p.numel() for p in network.parameters())
    assert count > (1e6 if arm == "student" else 1e8)


def test_max_steps_cuts_every_training(cohort: Cohort, home: Path, cpu: Fabric) -> None:
    cut = TeacherStudy(cohort, Budget(batch_size=6), 0, cpu, max_steps=1)
    assert cut.train("student").history.steps == [1]
    assert StudentStudy(cut).train("kd").history.steps == [1]


def test_films_train_without_background_and_masks(cohort: Cohort, home: Path, cpu: Fabric) -> None:
    films = {
        name: replace(p, images=torch.randint(256, p.images.shape, dtype=torch.uint8), masks=None)
        for name, p in cohort.parts.items()
    }
    study = TeacherStudy(replace(cohort, parts=films, background=None), TINY, 0, cpu)
    outcome = study.outcome("hybrid", study.train("hybrid").network)
    assert list(outcome.sizes_mm2) == []
    StudentStudy(study).train("cakd")
    with pytest.raises(ValueError, match="films"):
        study.train("outline")


def test_a_method_without_teacher_is_supervised(study: TeacherStudy) -> None:
    students = StudentStudy(study)
    assert isinstance(students.method(student_arms.ARMS["views"], None), Supervised)


@pytest.mark.parametrize("lesson", ["02", "03"])
def test_every_declared_arm_exists_and_has_a_title(lesson: str) -> None:
    arms = teacher_arms.ARMS if lesson == "02" else student_arms.ARMS | student_arms.TEACHERS  # type: ignore[operator]
    grid = read_grid(lesson)
    assert set(grid.arms) <= set(arms) and set(grid.arms) <= set(ARM_TITLES)
