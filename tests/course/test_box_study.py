"""Lesson 07, boxes: the three stages run and every arm answers for every image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments import box_budget
from medkd_lib.course.experiments.box_budget import Architecture, BoxBudget, detector
from medkd_lib.course.experiments.box_cells import answered
from medkd_lib.course.experiments.box_cohort import BoxCohort, box_cohort
from medkd_lib.course.experiments.box_study import BoxStudy
from medkd_lib.course.experiments.joint_arms import ALONE, ARMS, JOINT
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.problems import DataError
from medkd_lib.methods.joint_parts import LABELS_ALONE
from medkd_lib.models.detector import Detector
from medkd_lib.models.faster_rcnn import small_faster_rcnn
from medkd_lib.phantom.lung_pet_ct_dx import write_lung_pet_ct_dx
from medkd_lib.phantom.lungct_roboflow import write_lungct_roboflow
from medkd_lib.train import Trained

TARGET, SOURCE = "lung_pet_ct_dx", "deeplesion"
TINY = BoxBudget(steps=3, batch_size=2, rf_detr_batch=2, size=64, kept_views=1)


def discs(dataset: str, patients: range, ground: int = 60, each: int = 2) -> DetectionSet:
    """Return images of 64 pixels; of two of a patient the first one shows a bright square."""
    draw = torch.Generator().manual_seed(patients.start + len(dataset))
    n = len(patients) * each
    images = ground + 10 * torch.randn(n, 1, 64, 64, generator=draw)
    corners = torch.randint(4, 44, (n, 2), generator=draw).tolist()
    boxes = []
    for row, (x, y) in enumerate(corners):
        if row % each:
            boxes.append(torch.zeros(0, 4))
            continue
        images[row, 0, y : y + 12, x : x + 12] += 120
        boxes.append(torch.tensor([[x, y, x + 12, y + 12]], dtype=torch.float32))
    names = tuple(f"{dataset}:{p:03d}" for p in patients for _ in range(each))
    return DetectionSet(
        images.clamp(0, 255).to(torch.uint8), tuple(boxes),
        tuple(torch.ones(len(b), dtype=torch.long) for b in boxes),
        tuple(f"{name}/{k % each}" for k, name in enumerate(names)), names, names,
        (None,) * n, f"{dataset}{patients}{ground}",
    )  # fmt: skip


def cohort() -> BoxCohort:
    train = {TARGET: discs(TARGET, range(6)), SOURCE: discs(SOURCE, range(6), 30)}
    return JointCohort(
        TARGET, (SOURCE,), train, discs(TARGET, range(6, 9)), discs(TARGET, range(10, 13)),
        discs(TARGET, range(20, 25)), {}, "split",
    )  # fmt: skip


def same(a: Trained, b: Trained) -> bool:
    mine, theirs = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in mine.items())


@pytest.mark.parametrize("kind", ["faster_rcnn", "rf_detr"])
def test_every_arm_answers_for_every_image(kind: Architecture, cpu: Fabric) -> None:
    found = BoxStudy(cohort(), TINY, 0, cpu, kind)
    for name in ("alone", "pooled", "finetuned", "joint", "joint_visible", "target_teachers",
                 "self_distilled"):  # fmt: skip
        measured = answered(found, ARMS[name])
        assert len(measured.cases) == len(measured.values["froc"]) == 10
        assert np.isnan(measured.values["froc"]).sum() == 5  # images without a box
        assert {"map_50", "map_coco", "froc_val"} <= measured.extras.keys()
    assert f"probe_{SOURCE}" in answered(found, JOINT).extras


def test_labels_alone_in_the_students_path_are_the_student_alone(cpu: Fabric) -> None:
    found = BoxStudy(cohort(), TINY, 0, cpu)
    silent = found.train(replace(JOINT, weights=LABELS_ALONE))
    assert same(silent, found.train(ALONE))
    assert not same(found.train(JOINT), found.train(ALONE))


def test_a_detector_learns_from_scratch(cpu: Fabric) -> None:
    budget = replace(TINY, steps=80, batch_size=4)
    measured = answered(BoxStudy(cohort(), budget, 0, cpu), ALONE)
    assert np.nanmean(measured.values["froc"]) > 0.5


def test_images_with_a_box_are_drawn_as_often_as_others(cpu: Fabric) -> None:
    few = cohort().train[TARGET].rows([0, 1, 3, 5, 7, 9])  # one with a box, five without
    one = replace(cohort(), train={**cohort().train, TARGET: few})
    drawn = BoxStudy(one, TINY, 0, cpu).bank(TARGET)
    assert (drawn.tensors["box_classes"] > 0).any(dim=1).tolist().count(True) == 5
    assert len(drawn) == 10


def test_each_detector_has_its_learning_rate() -> None:
    budget = BoxBudget()
    assert budget.of("faster_rcnn").learning_rate == budget.learning_rate
    own = budget.of("rf_detr")
    assert (own.learning_rate, own.batch_size) == (budget.rf_detr_rate, budget.rf_detr_batch)


def test_weights_are_of_published_detectors_and_part_of_the_key(
    cpu: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"not weights, but something to be told by")
    with pytest.raises(ValueError, match="take the profile paper"):
        detector("faster_rcnn", TINY, 0, file)
    asked: list[Path] = []

    def small(*given: object) -> Detector:
        asked.extend(g for g in given if isinstance(g, Path))
        return small_faster_rcnn(1, 1)

    for name in ("resnet50_faster_rcnn", "rf_detr_from"):
        monkeypatch.setattr(box_budget, name, small)
    paper = replace(TINY, published=True)
    for kind in ("faster_rcnn", "rf_detr"):
        study = BoxStudy(cohort(), paper, 0, cpu, kind, weights=str(file))
        study.untrained(0)
        plain = BoxStudy(cohort(), paper, 0, cpu, kind)
        assert study.layout != plain.layout and "weights" not in plain.layout
    assert asked == [file, tmp_path]  # a file, and a folder
    with pytest.raises(DataError, match="nowhere"):
        BoxStudy(cohort(), paper, 0, cpu, weights=str(tmp_path / "nowhere.pth"))


def test_a_cohort_of_box_twins(tmp_path: Path) -> None:
    roots = {
        "lung_pet_ct_dx": write_lung_pet_ct_dx(tmp_path / "dx", patients=6, seed=3),
        "lungct_roboflow": write_lungct_roboflow(tmp_path / "rf", patients=4, seed=3),
    }
    names = ("lung_pet_ct_dx", ["lungct_roboflow"])
    with pytest.raises(LeakageError, match="share patients"):
        box_cohort(roots, *names, size=48, train=2, val=1)
    found = box_cohort(roots, *names, size=48, train=2, val=1, clean=True)
    assert list(found.cleaned) == ["lungct_roboflow"]
    assert {part.images.shape[1:] for part in found.parts.values() if len(part)} == {(1, 48, 48)}
    assert all(len(set(found.train[n].patients)) for n in found.train)
    boxes = torch.cat(found.train["lung_pet_ct_dx"].boxes)
    assert len(boxes) and boxes.min() >= 0 and boxes.max() <= 48
