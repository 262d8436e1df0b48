"""Detectors taken apart are the libraries' own: losses, gradients, boxes; and odd boxes."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from medkd_lib.models.detector import Boxes, Scene, Target, detect, head_of
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levels
from medkd_lib.models.multi_head import MultiHead
from medkd_lib.models.unet import UNet
from tests.models.detectors import DETECTORS, SIDE, TARGETS, Plain, images, target

each_detector = pytest.mark.parametrize("name", DETECTORS)


@each_detector
def test_losses_and_gradients_are_the_librarys(name: str) -> None:
    network, x = DETECTORS[name]().train(), images()
    plain = Plain(network)
    plain.network.train()
    torch.manual_seed(5)  # of the anchors and regions that are drawn
    mine = network(x).loss(TARGETS)
    torch.manual_seed(5)
    theirs = plain.loss(x, TARGETS)
    assert torch.equal(mine, theirs)
    mine.backward()
    theirs.backward()
    gone = {n: p.grad for n, p in plain.network.named_parameters()}
    for part, front in (("encoder.", "backbone."), ("head.", "")):
        for n, p in network.named_parameters():
            if n.startswith(part):
                inner = n.removeprefix(part).removeprefix("network.")
                key = next(k for k in (front + inner, "model.backbone." + inner) if k in gone)
                assert (p.grad is None) == (gone[key] is None), n
                assert p.grad is None or torch.equal(p.grad, gone[key]), n
    heard = [p for p in network.parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert len(heard) > 0.8 * len(list(network.parameters()))


@each_detector
def test_boxes_are_the_librarys(name: str) -> None:
    network, x = DETECTORS[name](classes=2), images(4)
    with torch.no_grad():
        theirs = Plain(network).found(x)
    mine = detect(network, x, batch_size=4)
    assert sum(len(b.boxes) for b in mine) > 4
    for a, b in zip(mine, theirs, strict=True):
        order = b[1].argsort(descending=True, stable=True)
        assert torch.equal(a.scores, b[1][order]) and torch.equal(a.boxes, b[0][order])
        assert torch.equal(a.classes, b[2][order]) and int(a.classes.min()) >= 1


@each_detector
def test_an_image_is_answered_alike_in_any_company(name: str) -> None:
    network, x = DETECTORS[name]().eval(), images(4)
    together, alone = network(x), network(x[:1])
    assert together.shape[1:] == alone.shape[1:]
    for a, b in zip(detect(network, x)[0], detect(network, x[:1])[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@each_detector
def test_two_halves_make_the_whole(name: str) -> None:
    network, x = DETECTORS[name]().eval(), images()
    maps = network.encode(x)
    assert [m.shape[1] for m in maps] == list(network.level_channels)
    whole = network(x)
    assert torch.equal(network.decode(maps, x), whole)
    rest = deepcopy(network).without_encoder()
    assert not hasattr(rest, "encoder") and torch.equal(rest.decode(maps, x), whole)
    kept = deepcopy(network).without_decoder()
    assert not hasattr(kept, "head")
    assert all(torch.equal(a, b) for a, b in zip(kept.encode(x), maps, strict=True))


@each_detector
def test_a_scene_is_split_by_images(name: str) -> None:
    network, x = DETECTORS[name]().eval(), images(5)
    scene = Scene(network.encode(x), x)
    first, second = scene.split([2, 3])
    assert torch.equal(second.images, x[2:]) and len(first.images) == 2
    assert all(torch.equal(a, b[2:]) for a, b in zip(second.maps, scene.maps, strict=True))


@each_detector
def test_heads_of_datasets_are_whole_heads(name: str) -> None:
    network, x = DETECTORS[name](), images(4)
    alone = deepcopy(network).eval()(x)
    heads = MultiHead(network, ["a", "b"]).eval()
    both = heads({"a": x[:2], "b": x[2:]})
    # a box is decoded beside those of other images: the last digit may differ
    torch.testing.assert_close(both["b"].output, alone[2:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(heads.alone("a").eval()(x), alone, rtol=1e-4, atol=1e-4)
    unlabelled = heads({"a": x[:2], "c": x[2:]})["c"]
    assert isinstance(unlabelled, Levels) and isinstance(unlabelled.output, Scene)


@each_detector
def test_a_joint_teacher_has_a_fresh_head_on_fused_maps(name: str) -> None:
    make, x = DETECTORS[name], images()
    teachers = [make(1), make(2)]
    network = JointTeacher(teachers, make(3), "batch").train()
    torch.manual_seed(0)
    network(x).loss(TARGETS).backward()
    assert all(p.grad is None for p in network.teachers.parameters())
    fusers = list(network.fusers.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in fusers)
    assert len(detect(network, x)) == 3 and head_of(network) is network.trunk.head


ODD = {
    "nothing in any image": [target(), target(), target()],
    "one pixel": [target((7, 9, 8, 10)), target(), target((0, 0, 1, 1))],
    "a thousand": [
        target(*((x, y, x + 3.0, y + 2.0) for x in range(40) for y in range(25))),
        target(),
        target((1, 1, SIDE, SIDE)),
    ],
}


@pytest.mark.parametrize("odd", ODD)
@each_detector
def test_odd_boxes_have_a_finite_loss(name: str, odd: str) -> None:
    network = DETECTORS[name]().train()
    loss = network(images()).loss(ODD[odd])
    loss.backward()
    assert torch.isfinite(loss) and float(loss.detach()) > 0
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert grads and all(torch.isfinite(g).all() for g in grads)


@each_detector
def test_an_untrained_teacher_may_be_sure_of_nothing(name: str) -> None:
    network = DETECTORS[name]()
    told = network.eval()(images()).detach()
    pairs = network.train()(images()).compared(told, score=1.1)
    assert pairs.student_boxes.shape == pairs.teacher_boxes.shape == (0, 4)
    assert not pairs.teacher_sure.any()
    nothing = network(images()).compared(torch.zeros_like(told), score=1.1)
    assert nothing.student_logits.shape == nothing.teacher_logits.shape == (0, told_width(name))


def told_width(name: str) -> int:
    return 2 if name == "faster_rcnn" else 1


def test_a_student_scores_the_proposals_of_its_teacher() -> None:
    """With the teacher's own weights it says to the bit what the teacher said."""
    make = DETECTORS["faster_rcnn"]
    teacher, twin, x = make(4).eval(), make(4).train(), images()
    told = teacher(x).detach()
    # instance norm has no statistics, so training mode sees the same maps
    pairs = twin(x).compared(told, score=0.5)
    torch.testing.assert_close(pairs.student_logits, pairs.teacher_logits)
    torch.testing.assert_close(pairs.student_boxes, pairs.teacher_boxes)
    assert len(pairs.student_boxes) == int(pairs.teacher_sure.sum()) and pairs.exclusive
    rows = (told[..., 2:4] > told[..., :2]).all(dim=-1)
    assert len(pairs.student_logits) == int(rows.sum()) > 10
    sure = told[rows][:, 4:6].softmax(dim=1)[:, 1] >= 0.5
    assert torch.equal(sure, pairs.teacher_sure)


def test_a_students_queries_are_matched_to_the_teachers_objects() -> None:
    """In every group one query for each object, whatever the others are."""
    make = DETECTORS["rf_detr"]
    teacher, twin, x = make(4).eval(), make(4).train(), images(2)
    told = teacher(x).detach()
    told[:, :, 4] = -9.0
    told[0, 3, 4], told[1, 0, 4], told[1, 5, 4] = 2.0, 1.0, 3.0
    pairs = twin(x).compared(told, score=0.5)
    assert len(pairs.student_logits) == 2 * 3 and not pairs.exclusive
    assert sorted(pairs.teacher_logits.flatten().tolist()) == [1, 1, 2, 2, 3, 3]
    assert pairs.student_boxes.shape == pairs.teacher_boxes.shape == (6, 4)


@each_detector
def test_images_and_answers_of_another_kind_are_refused(name: str) -> None:
    network = DETECTORS[name]()
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        network(torch.zeros(1, 3, SIDE, SIDE))
    with pytest.raises(ValueError, match="multiples of"):
        network(torch.zeros(1, 1, SIDE + 1, SIDE + 1))
    with pytest.raises(ValueError, match="the same classes"):
        head_of(network).boxes(torch.zeros(1, 4, 99), (SIDE, SIDE))
    with pytest.raises(TypeError, match="expected a detector"):
        head_of(UNet(1, 2, (4, 6, 8)))


def test_boxes_stay_in_the_image() -> None:
    found: list[Boxes] = detect(DETECTORS["faster_rcnn"](), images())
    every: Tensor = torch.cat([f.boxes for f in found])
    assert float(every.min()) >= 0 and float(every.max()) <= SIDE
    assert isinstance(TARGETS[0], Target)
