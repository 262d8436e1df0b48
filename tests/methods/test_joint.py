"""The student of a joint teacher: its terms, its switches, and labels alone in the same path."""

import copy
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.methods.base import bare
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_parts import LABELS_ALONE, Weights
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.methods.told import LOGITS, ask_all
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled, Whole
from medkd_lib.models.unet import UNet
from tests.methods.joint_batches import scene, unet, weights_of

BOTH = Weights(0.3, 0.1, 0.6)


def joint() -> JointTeacher:
    return JointTeacher([unet(1), unet(2, (6, 8, 10))], unet(3), "batch").eval()


def student(
    weights: Weights = BOTH, teacher: Levelled | None = None, steps: int = 20
) -> JointStudent:
    return JointStudent(
        unet(7),
        teacher or joint(),
        Segmentation(),
        weights,
        learning_rate=1e-2,
        steps=steps,
        seed=3,
    )


def after(
    found: JointStudent | ManyDatasets, fabric: Fabric, steps: int = 5, front: str = ""
) -> dict[str, Any]:
    torch.manual_seed(0)
    found.setup(fabric)
    for step in range(steps):
        losses = found.update({f"{front}{n}": x for n, x in scene(step).items()})
    return {"losses": losses, "weights": found.deployable().state_dict()}


def test_the_total_is_the_weighed_sum_of_its_terms(cpu: Fabric) -> None:
    teacher, batch = joint(), scene(0)
    found = student(BOTH, teacher)
    found.setup(cpu)
    network = copy.deepcopy(cast(Whole, bare(found.networks["student"])).network)
    losses = found.update(batch)
    maps = network.encode(batch["images"])
    output = network.decode(maps, batch["images"])
    with torch.no_grad():
        fused = teacher.encode(batch["images"])
        told = teacher.decode(fused, batch["images"])
    apart = torch.stack([(a - b).square().mean() for a, b in zip(maps, fused, strict=True)]).sum()
    assert float(losses["features"]) == pytest.approx(float(apart.detach()), rel=1e-5)
    # the gradient that was taken is that of 0.3, 0.1 and 0.6 times the three
    soft = balanced_kd(output, told, batch["masks"].long(), 2.0)
    assert float(losses["logits"]) == pytest.approx(float(soft.detach()), rel=1e-5)
    total = 0.3 * soft + 0.1 * apart + 0.6 * Segmentation().label_loss(output, batch)
    total.backward()
    taken = dict(found.deployable().named_parameters())
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(taken[name].grad, parameter.grad, rtol=1e-4, atol=1e-7)


def test_labels_alone_in_this_path_are_the_target_alone_bit_for_bit(cpu: Fabric) -> None:
    taught = after(student(LABELS_ALONE), cpu, 8)
    alone = ManyDatasets(unet(7), ("target",), Segmentation(), learning_rate=1e-2, steps=20)
    plain = after(alone, cpu, 8, "target/")
    assert all(torch.equal(v, plain["weights"][k]) for k, v in taught["weights"].items())


def test_the_teacher_stays_and_the_student_leaves_alone(cpu: Fabric) -> None:
    teacher = joint()
    before = weights_of(teacher)
    found = student(BOTH, teacher)
    after(found, cpu)
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(m.training for m in teacher.modules())
    gone = found.deployable()
    assert isinstance(gone, UNet) and gone(scene(0)["images"]).shape == (4, 2, 16, 16)


SWITCHES = {
    "bottleneck": replace(BOTH, levels="bottleneck"),
    "encoder": replace(BOTH, levels="encoder"),
    "none": replace(BOTH, levels="none"),
    "cosine": replace(BOTH, distance="cosine"),
    "chopra": replace(BOTH, distance="chopra"),
    "each": replace(BOTH, follow="each"),
    "each, dropped": replace(BOTH, follow="each", dropping=0.9),
    "standardise": replace(BOTH, standardise=True),
    "features alone": replace(BOTH, logits=0.0),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_changes_what_is_learnt(name: str, cpu: Fabric) -> None:
    weights = SWITCHES[name]
    found, plain = after(student(weights), cpu), after(student(), cpu)
    assert all(torch.isfinite(x) for x in found["losses"].values())
    assert ("features" in found["losses"]) == (name != "none")
    assert ("logits" in found["losses"]) == (name != "features alone")
    assert any(not torch.equal(v, plain["weights"][k]) for k, v in found["weights"].items())


def test_which_levels_are_followed() -> None:
    chosen = {
        k: replace(BOTH, levels=k).followed_levels(4)
        for k in ("none", "bottleneck", "encoder", "all")
    }
    assert chosen == {"none": (), "bottleneck": (3,), "encoder": (0, 1, 2), "all": (0, 1, 2, 3)}
    assert replace(BOTH, features=0.0).followed_levels(4) == ()


@pytest.mark.parametrize("follow", ["joint", "each"])
def test_answers_that_were_kept_teach_the_same(follow: Any, cpu: Fabric) -> None:
    weights, teacher = replace(BOTH, follow=follow), joint()
    live, kept = student(weights, teacher), student(weights, teacher)
    for found in (live, kept):
        torch.manual_seed(0)
        found.setup(cpu)
    for step in range(5):
        batch = scene(step)
        said = ask_all(teacher, batch["images"], kept.levels, follow, batch_size=3)
        assert said[LOGITS].dtype == torch.float16 and len(said[LOGITS]) == 4
        a, b = live.update(batch), kept.update({**batch, **said})
        for name in a:
            assert float(a[name]) == pytest.approx(float(b[name]), rel=5e-3)


def test_a_teacher_in_training_mode_is_not_asked() -> None:
    with pytest.raises(ValueError, match="eval"):
        ask_all(unet(1).train(), scene(0)["images"], (0,))


def test_impossible_switches_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a JointTeacher, found UNet"):
        student(replace(BOTH, follow="each"), unet(1))
    with pytest.raises(ValueError, match="follow='each'"):
        student(replace(BOTH, dropping=0.5))
    with pytest.raises(ValueError, match="single images"):
        student(replace(BOTH, dropping=0.5, follow="each", distance="chopra"))


def test_training_goes_on_to_the_bit(cpu: Fabric) -> None:
    weights = replace(BOTH, follow="each", dropping=0.5, standardise=True)
    whole = after(student(weights), cpu, 6)["weights"]
    first = student(weights)
    after(first, cpu, 3)
    second = student(weights)
    second.setup(cpu)
    second.load_state_dict(first.state_dict())
    for step in range(3, 6):
        second.update(scene(step))
    resumed = second.deployable().state_dict()
    assert all(torch.equal(v, resumed[k]) for k, v in whole.items())
