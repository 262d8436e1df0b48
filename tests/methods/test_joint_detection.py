"""Detection as a task: three stages, each term by hand, and whose gradient goes where."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.data.box_batches import BOXES, CLASSES, padded_boxes
from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.distill.boxes import binary_kd, box_terms
from medkd_lib.distill.foreground import cells_of_boxes, foreground_distance
from medkd_lib.methods.base import bare
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_detection import Detection
from medkd_lib.methods.joint_parts import LABELS_ALONE, Domain, Placed, Weights
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.methods.told import LOGITS, ask, ask_all
from medkd_lib.models.detector import Detector, detect
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled, Whole
from tests.methods.detection_batches import of_datasets, squares
from tests.methods.joint_batches import weights_of
from tests.models.detectors import DETECTORS, SIDE

each_detector = pytest.mark.parametrize("name", DETECTORS)
BOTH = Weights(0.3, 0.1, 0.6)
# An untrained network is sure of hardly anything: everything is an object.
ALL_OBJECTS = Detection(score=0.0)


def joint(name: str) -> JointTeacher:
    make = DETECTORS[name]
    return JointTeacher([make(1), make(2)], make(3), "batch").eval()


def student(
    name: str, weights: Weights = BOTH, teacher: Levelled | None = None,
    task: Detection = ALL_OBJECTS,
) -> JointStudent:  # fmt: skip
    return JointStudent(
        DETECTORS[name](7), teacher or joint(name), task, weights, learning_rate=1e-3, steps=20,
        seed=3,
    )  # fmt: skip


def after(found: JointStudent | ManyDatasets, fabric: Fabric, steps: int, front: str = "") -> Any:
    torch.manual_seed(0)
    found.setup(fabric)
    for step in range(steps):
        losses = found.update({f"{front}{n}": x for n, x in squares(step).items()})
    return losses, found.deployable().state_dict()


@each_detector
def test_three_stages(name: str, cpu: Fabric) -> None:
    make, task = DETECTORS[name], Detection(score=0.05)
    # 1. the target's teacher, and a source's that hides which of two datasets an image is of
    target = ManyDatasets(make(1), ("target",), task, learning_rate=1e-3, steps=3)
    source = ManyDatasets(
        make(2), ("source", "target"), task, learning_rate=1e-3, steps=3, domain=Domain()
    )
    for found in (target, source):
        torch.manual_seed(0)
        found.setup(cpu)
        for step in range(3):
            losses = found.update(of_datasets(step, target=0.0, source=1.0))
            assert all(torch.isfinite(x) for x in losses.values())
    assert set(losses) == {"labels source", "labels target", "domain", "domain accuracy"}
    # 2. the joint teacher, behind the two
    network = JointTeacher(
        [cast(Levelled, m.deployable()) for m in (target, source)], make(3), "batch"
    )
    before = weights_of(network)
    fused = ManyDatasets(network, ("target",), task, learning_rate=1e-3, steps=3)
    fused.setup(cpu)
    for step in range(3):
        fused.update(of_datasets(step, target=0.0))
    moved = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert moved and not any(n.startswith("teachers") for n in moved)
    # 3. the student
    teacher = cast(Levelled, fused.deployable())
    followed = student(name, BOTH, teacher, task)
    frozen = weights_of(teacher)
    losses, _ = after(followed, cpu, 3)
    assert set(losses) == {"labels", "logits", "features"}
    assert all(torch.isfinite(x) for x in losses.values())
    assert all(torch.equal(v, frozen[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(m.training for m in teacher.modules())
    gone = followed.deployable()
    assert isinstance(gone, Detector) and len(detect(gone, squares(9)["images"])) == 2


@each_detector
def test_labels_alone_in_this_path_are_the_target_alone_bit_for_bit(name: str, cpu: Fabric) -> None:
    _, taught = after(student(name, LABELS_ALONE), cpu, 4)
    alone = ManyDatasets(DETECTORS[name](7), ("target",), Detection(), learning_rate=1e-3, steps=20)
    _, plain = after(alone, cpu, 4, "target/")
    assert all(torch.equal(v, plain[k]) for k, v in taught.items())
    start = DETECTORS[name](7).state_dict()
    assert any(not torch.equal(v, start[k]) for k, v in taught.items())


def terms(name: str) -> dict[str, Callable[[Any, Levelled], Tensor]]:
    """Each term of distillation, of a student's pass and its frozen teacher."""
    batch = squares(0)

    def told(teacher: Levelled) -> dict[str, Tensor]:
        return ask(teacher, batch["images"], range(len(teacher.level_channels)))

    def maps(seen: Any, teacher: Levelled, kind: Any) -> Tensor:
        said = told(teacher)
        each = [
            ALL_OBJECTS.map_distance(m, said[f"told/0/{level}"], batch, kind).mean()
            for level, m in enumerate(seen.maps)
        ]
        return torch.stack(each).sum()

    no_boxes = Detection(score=0.0, box=0.0)
    return {
        "classes": lambda seen, t: no_boxes.logit_loss(seen.output, told(t)[LOGITS], batch, 2.0),
        "boxes": lambda seen, t: (
            ALL_OBJECTS.logit_loss(seen.output, told(t)[LOGITS], batch, 2.0)
            - no_boxes.logit_loss(seen.output, told(t)[LOGITS], batch, 2.0)
        ),
        "maps, l2": lambda seen, t: maps(seen, t, "l2"),
        "maps, cosine": lambda seen, t: maps(seen, t, "cosine"),
        "contrast": lambda seen, t: ALL_OBJECTS.contrast(seen.maps[0], told(t)["told/0/0"], batch),
    }


@pytest.mark.parametrize("term", ["classes", "boxes", "maps, l2", "maps, cosine", "contrast"])
@each_detector
def test_every_term_pulls_the_student_alone(name: str, term: str) -> None:
    teacher, network = joint(name), DETECTORS[name](7).train()
    with torch.no_grad():  # RF-DETR's boxes begin with a layer of zeros, which lets nothing through
        for p in network.parameters():
            p.add_(0.02 * torch.randn_like(p))
    teacher.requires_grad_(True)  # were it not frozen, it would still hear nothing
    loss = terms(name)[term](Whole(network)(squares(0)["images"]), teacher)
    assert float(loss.detach()) > 0
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    reached = [n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()]
    assert any(n.startswith("encoder") for n in reached)
    assert any(n.startswith("head") for n in reached) == (term in ("classes", "boxes"))


@each_detector
def test_the_logit_loss_is_its_parts(name: str) -> None:
    teacher, batch = joint(name), squares(0)
    seen = DETECTORS[name](7).train()(batch["images"])
    told = ask(teacher, batch["images"], ())[LOGITS]
    pairs = seen.compared(told, 0.0)
    kd = (
        balanced_kd(pairs.student_logits, pairs.teacher_logits, pairs.teacher_sure.long(), 3.0)
        if name == "faster_rcnn"
        else binary_kd(pairs.student_logits, pairs.teacher_logits, 3.0)
    )
    boxes = box_terms(pairs.student_boxes, pairs.teacher_boxes, (SIDE, SIDE))
    task = Detection(score=0.0, box=0.7)
    found = task.logit_loss(seen, told, batch, 3.0)
    torch.testing.assert_close(found, kd + 0.7 * boxes)


@each_detector
def test_a_teacher_who_is_sure_of_nothing_says_nothing_of_boxes(name: str) -> None:
    teacher, batch = joint(name), squares(0)
    told = ask(teacher, batch["images"], ())[LOGITS]
    seen = DETECTORS[name](7).train()(batch["images"])
    loss = Detection(score=1.0).logit_loss(seen, told, batch, 2.0)
    plain = Detection(score=1.0, box=0.0).logit_loss(seen, told, batch, 2.0)
    assert float(loss.detach()) == float(plain.detach())
    assert (float(loss.detach()) == 0) == (name == "rf_detr")
    nothing = Detection().logit_loss(seen, torch.zeros_like(told), batch, 2.0)
    if name == "faster_rcnn":  # not even a proposal
        assert float(nothing.detach()) == 0
    nothing.backward()


def test_the_student_of_faster_rcnn_follows_maps_where_objects_are(cpu: Fabric) -> None:
    """The total is 0.3, 0.1 and 0.6 times the three, and features know foreground."""
    teacher, batch = joint("faster_rcnn"), squares(0)
    found = student("faster_rcnn", BOTH, teacher)
    found.setup(cpu)
    network = copy.deepcopy(cast(Whole, bare(found.networks["student"])).network)
    torch.manual_seed(1)
    losses = found.update(batch)
    torch.manual_seed(1)
    seen = Whole(network)(batch["images"])
    said = ask(teacher, batch["images"], range(2))
    apart = []
    for level, m in enumerate(seen.maps):
        inside = cells_of_boxes(
            batch[BOXES], batch[CLASSES] > 0, (SIDE, SIDE), (m.shape[-2], m.shape[-1])
        )
        apart.append(foreground_distance(m, said[f"told/0/{level}"], inside).mean())
    features = torch.stack(apart).sum()
    labels = ALL_OBJECTS.label_loss(seen.output, batch)
    soft = ALL_OBJECTS.logit_loss(seen.output, said[LOGITS], batch, 2.0)
    for name, value in (("labels", labels), ("logits", soft), ("features", features)):
        assert float(losses[name]) == pytest.approx(float(value.detach()), rel=1e-4)
    (0.6 * labels + 0.3 * soft + 0.1 * features).backward()
    taken = dict(found.deployable().named_parameters())
    for n, p in network.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(taken[n].grad, p.grad, rtol=1e-3, atol=1e-6)


@each_detector
def test_answers_that_were_kept_teach_the_same(name: str, cpu: Fabric) -> None:
    teacher = joint(name)
    live, kept = student(name, BOTH, teacher), student(name, BOTH, teacher)
    for found in (live, kept):
        found.setup(cpu)
    for step in range(2):
        batch = squares(step)
        said = ask_all(teacher, batch["images"], kept.levels, batch_size=1)
        assert said[LOGITS].dtype == torch.float16 and len(said[LOGITS]) == 2
        torch.manual_seed(step)
        a = live.update(batch)
        torch.manual_seed(step)
        b = kept.update({**batch, **said})
        for what in a:  # halved boxes are a sixteenth of a pixel off
            assert float(a[what]) == pytest.approx(float(b[what]), rel=3e-2)


@pytest.mark.parametrize(
    "weights",
    [replace(BOTH, distance="cosine"), replace(BOTH, distance="chopra"),
     replace(BOTH, follow="each", dropping=0.5), replace(BOTH, standardise=True)],
    ids=["cosine", "chopra", "each", "standardise"],
)  # fmt: skip
@each_detector
def test_switches_of_the_method_work_on_detectors(name: str, weights: Weights, cpu: Fabric) -> None:
    losses, _ = after(student(name, weights), cpu, 2)
    assert all(torch.isfinite(x) for x in losses.values()) and float(losses["features"]) > 0


ODD: dict[str, list[Any]] = {
    "nothing": [[], []],
    "one pixel": [[(3, 4, 4, 5)], []],
    "beyond the edge": [[(-9, -9, 5, 5), (40, 40, 99, 60)], []],
    "a thousand": [[(x, y, x + 2, y + 3) for x in range(40) for y in range(25)], [(0, 0, 9, 9)]],
}


@pytest.mark.parametrize("odd", ODD)
@each_detector
def test_odd_boxes_teach_finitely(name: str, odd: str, cpu: Fabric) -> None:
    found = student(name)
    found.setup(cpu)
    losses = found.update({"images": squares(0)["images"], **padded_boxes(ODD[odd])})
    assert all(torch.isfinite(x) for x in losses.values())
    assert all(torch.isfinite(v).all() for v in found.deployable().state_dict().values())


@each_detector
def test_boxes_beside_the_image_or_without_area_are_refused(name: str, cpu: Fabric) -> None:
    found = student(name)
    found.setup(cpu)
    batch = squares(0)
    for wrong in ((SIDE + 1, 0, SIDE + 9, 5), (4, 4, 4, 9)):
        boxes = batch[BOXES].clone()
        boxes[0, 0] = torch.tensor(wrong, dtype=torch.float32)
        with pytest.raises(ValueError, match="expected an area within the image"):
            found.update({**batch, BOXES: boxes})


def test_segmentation_has_no_say_in_where_maps_are_compared() -> None:
    assert isinstance(Detection(), Placed) and not isinstance(Segmentation(), Placed)
    with pytest.raises(ValueError, match="score"):
        Detection(score=1.5)
