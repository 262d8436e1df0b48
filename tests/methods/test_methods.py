"""Methods: the teacher guard, the controls, state, and the student that stands alone."""

import copy
from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.methods.base import FrozenTeacher, bare
from medkd_lib.methods.hinton import HintonKD, TeacherControl
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.small_cnn import SmallCNN, parameter_count


def network(seed: int, widths: tuple[int, ...] = (4, 8)) -> SmallCNN:
    torch.manual_seed(seed)
    return SmallCNN(3, widths)


def batch(seed: int = 0, labelled: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return {
        "images": torch.randn(8, 1, 16, 16, generator=generator),
        "labels": torch.randint(3, (8,), generator=generator),
        "labelled": torch.full((8,), labelled),
    }


def kd(teacher: nn.Module, control: TeacherControl = "none", alpha: float = 0.5) -> HintonKD:
    return HintonKD(
        network(1), teacher, temperature=4.0, alpha=alpha, learning_rate=1e-2, steps=10,
        control=control,
    )  # fmt: skip


def buffers(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def moved(before: dict[str, Tensor], net: nn.Module) -> list[str]:
    return [k for k, v in net.state_dict().items() if not torch.equal(v, before[k])]


def test_parameter_counts_are_pinned() -> None:
    assert parameter_count(SmallCNN(3, (8, 16, 32, 64))) == 24699
    assert parameter_count(SmallCNN(3, (16, 32, 64, 96))) == 79187


def test_the_guard_holds_against_train_and_gradients() -> None:
    teacher = FrozenTeacher(network(0))
    teacher.train()
    assert not any(m.training for m in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    out = teacher(batch()["images"].requires_grad_())
    assert not out.requires_grad


def test_a_frozen_teacher_does_not_move_while_it_teaches(cpu: Fabric) -> None:
    teacher = network(0)
    before = buffers(teacher)
    method = kd(teacher)
    method.setup(cpu)
    student_before = buffers(bare(method.networks["student"]))
    for step in range(5):
        method.update(batch(step))
    assert moved(before, teacher) == []
    assert moved(student_before, bare(method.networks["student"]))


def test_the_train_mode_control_really_drifts(cpu: Fabric) -> None:
    teacher = network(0)
    before = buffers(teacher)
    method = kd(teacher, "train_mode")
    method.setup(cpu)
    method.update(batch())
    assert any("running_mean" in name for name in moved(before, teacher))


def test_a_shuffled_teacher_answers_for_another_image(cpu: Fabric) -> None:
    class Echo(nn.Module):
        """Answers with the image's own pixels, so a mix-up is visible; remembers its answer."""

        heard = torch.empty(0)

        def forward(self, images: Tensor) -> Tensor:
            self.heard = images.flatten(1)[:, :3].clone()
            return self.heard

    for control, places in (("none", 0), ("shuffled", 1)):
        echo = Echo()
        method = kd(echo, cast(TeacherControl, control))
        method.setup(cpu)
        student = copy.deepcopy(bare(method.networks["student"])).train()
        torch.manual_seed(0)
        found = method.update(batch())["distillation"]
        torch.manual_seed(0)  # the same augmentation
        student_logits = student(augment(batch()["images"]))
        expected = hinton_kd(student_logits, echo.heard.roll(places, 0), 4.0)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_unlabelled_images_give_no_label_gradient(cpu: Fabric) -> None:
    method = kd(network(0), alpha=0.0)  # only labels count, and there are none
    method.setup(cpu)
    losses = method.update(batch(labelled=0.0))
    assert float(losses["cross_entropy"]) == 0
    student = bare(method.networks["student"])
    assert all(float(p.grad.abs().max()) == 0 for p in student.parameters() if p.grad is not None)


def test_alpha_zero_is_training_on_labels_alone(cpu: Fabric) -> None:
    nets = []
    for make in (
        lambda: kd(network(0), alpha=0.0),
        lambda: Supervised(network(1), learning_rate=1e-2, steps=10),
    ):
        method = make()
        method.setup(cpu)
        torch.manual_seed(5)  # the same augmentation
        for step in range(4):
            method.update(batch(step))
        nets.append(method.deployable().state_dict())
    assert all(torch.allclose(nets[0][k].float(), nets[1][k].float(), atol=1e-6) for k in nets[0])


def test_the_student_stands_alone(cpu: Fabric) -> None:
    method = kd(network(0))
    method.setup(cpu)
    method.update(batch())
    student = copy.deepcopy(method.deployable())
    method.networks.clear()
    assert not student.training
    assert student(batch()["images"]).shape == (8, 3)


def test_label_smoothing_changes_the_target(cpu: Fabric) -> None:
    values = []
    for smoothing in (0.0, 0.2):
        method = Supervised(network(1), learning_rate=1e-2, steps=10, label_smoothing=smoothing)
        method.setup(cpu)
        torch.manual_seed(0)
        values.append(float(method.update(batch())["cross_entropy"]))
    assert values[0] != pytest.approx(values[1])


def test_bfloat16_runs_and_stays_finite() -> None:
    method = kd(network(0))
    method.setup(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    assert all(torch.isfinite(v) for v in method.update(batch()).values())
