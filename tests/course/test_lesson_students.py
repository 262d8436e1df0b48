"""What lesson 03 computes around its trainings."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from medkd_lib.course.experiments.student_arms import ARMS, TEACHERS
from medkd_lib.course.lesson_students import (
    arm_colours,
    attention_of_patch,
    layers,
    priced,
    teacher_places,
)
from medkd_lib.course.mended import mended_losses
from medkd_lib.distill.partial_cross_attention import Triple
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.cost import Cost
from medkd_lib.models.hybrid import HybridTeacher
from medkd_lib.models.vgg import NARROW, VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VitTrunk
from medkd_lib.show.style import CONTROL, METHOD, STUDENT, TEACHER


def hybrid() -> HybridTeacher:
    torch.manual_seed(0)
    return HybridTeacher(3, VggTrunk(1, NARROW), VitTrunk(1, 32, NARROW_VIT), 32)


def test_every_arm_has_the_colour_of_its_kind() -> None:
    colours = arm_colours()
    assert set(colours) == {*ARMS, *TEACHERS}
    kinds = {name: colours[name] for name in ("teacher", "views", "cakd", "kd_untrained")}
    assert list(kinds.values()) == [TEACHER, STUDENT, METHOD, CONTROL]
    assert colours["pca_gl_shuffled"] == CONTROL


def test_a_stage_ends_where_its_map_is_halved_and_tokens_become_maps() -> None:
    network = hybrid()
    seen = layers(network, teacher_places(network), torch.randn(2, 1, 32, 32))
    shapes = {name: tuple(x.shape[1:]) for name, x in seen.items()}
    assert shapes == {
        "VGG 1": (8, 16, 16), "VGG 2": (16, 8, 8), "VGG 3": (32, 4, 4), "VGG 4": (64, 4, 4),
        "ViT 1": (64, 4, 4), "ViT 2": (64, 4, 4), "ViT 3": (64, 4, 4),
    }  # fmt: skip


def test_patches_keep_their_place_without_the_class_token() -> None:
    tokens = torch.arange(10.0).view(1, 10, 1)  # a class token and 3 x 3 patches
    network = nn.Sequential(nn.Identity())
    (seen,) = layers(network, {"block": "0"}, tokens).values()
    assert seen[0, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def triple(seed: int) -> Triple:
    numbers = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, 2, 9, 4, generator=numbers)
    return q, k, v


def test_a_crossed_patch_looks_like_the_teachers_at_0_and_like_the_students_at_1() -> None:
    student, teacher = triple(0), triple(1)
    for p, (q, k, _) in ((0.0, teacher), (1.0, student)):
        weights = (q @ k.transpose(-2, -1) / 2).softmax(-1)[0].mean(0)
        found = torch.from_numpy(attention_of_patch(student, teacher, p, (2, 1)))
        torch.testing.assert_close(found, weights[2 * 3 + 1].view(3, 3))
    once, twice = (attention_of_patch(student, teacher, 0.5, (2, 1)) for _ in range(2))
    assert (once == twice).all()


def test_students_share_one_bill() -> None:
    p = Predictions(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), ("a", "b", "c"))
    bills = {"teacher": Cost(100, 1000, 1.0, (1, 1)), "student": Cost(10, 50, 1.0, (1, 1))}
    found = priced({"teacher": p, "kd": p}, bills)
    assert [(n.label, n.macs, n.parameters, n.teacher) for n in found] == [
        ("teacher", 1000, 100, True), ("kd", 50, 10, False)]  # fmt: skip
    assert math.isclose(found[0].value, 0.75)  # recall 1/2 and 1
    assert found[0].interval[0] <= 0.75 <= found[0].interval[1]


class Toy(nn.Module):
    """Images (N, 4) to logits and one token; a teacher has batch norm and a Tanh."""

    def __init__(self, extra: nn.Module, squashed: bool) -> None:
        super().__init__()
        self.trunk, self.squashed = nn.Sequential(nn.Linear(4, 3), extra), squashed

    def forward(
        self, images: torch.Tensor, squash: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.trunk(images)
        return (logits.tanh() if squash and self.squashed else logits), logits[:, None]


def test_mended_losses_train_whom_they_should_and_nobody_else() -> None:
    torch.manual_seed(0)
    student, teacher = Toy(nn.Identity(), False), Toy(nn.BatchNorm1d(3), True)
    discriminator, images, labels = nn.Linear(3, 1), torch.randn(8, 4), torch.randint(3, (8,))
    before = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    losses = mended_losses(student, teacher, discriminator, images, labels, 4.0)
    assert all(torch.equal(b, before[name]) for name, b in teacher.named_buffers())
    assert all(p.requires_grad for p in discriminator.parameters())
    trained = {"student": student, "teacher": teacher, "discriminator": discriminator}
    reached = {}
    for name, loss in losses.items():
        for network in trained.values():
            network.zero_grad()
        loss.backward(retain_graph=True)
        reached[name] = {
            who for who, network in trained.items()
            if any(p.grad is not None and p.grad.any() for p in network.parameters())
        }  # fmt: skip
    only = {"student"}
    assert reached == {
        "cross_entropy": only, "distillation": only, "fooling": only,
        "discriminator": {"discriminator"},
    }  # fmt: skip
    plain = F.softmax(teacher.eval()(images, squash=False)[0] / 4, dim=1)
    log_student = F.log_softmax(student(images)[0] / 4, dim=1)
    expected = 16 * (plain * (plain.log() - log_student)).sum(1).mean()
    torch.testing.assert_close(losses["distillation"], expected, rtol=1e-4, atol=1e-5)
