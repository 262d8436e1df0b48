"""Classification in all three stages: its losses by hand, who hears of them, and who does not."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from medkd_lib.data.batches import Batch
from medkd_lib.distill.chopra import chopra
from medkd_lib.methods.base import bare
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_classification import Classification
from medkd_lib.methods.joint_parts import LABELS_ALONE, Domain, Weights
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.methods.told import ask_all
from medkd_lib.models.efficientnet import NARROW_B0, EfficientNet
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled, Whole
from medkd_lib.models.medvit import NARROW, MedViT
from medkd_lib.models.read_out import Read
from tests.methods.joint_batches import weights_of
from tests.models.classified import bright_half, seen_maps

BOTH = Weights(0.3, 0.1, 0.6)


def medvit(seed: int, read: Read = "last") -> Levelled:
    torch.manual_seed(seed)
    return MedViT(1, 2, NARROW, read=read)


def efficientnet(seed: int, read: Read = "last") -> Levelled:
    torch.manual_seed(seed)
    return EfficientNet(1, 2, *NARROW_B0, read=read, dropout=0.0, path_dropout=0.0)


NETWORKS: Mapping[str, Callable[..., Levelled]] = {"medvit": medvit, "efficientnet": efficientnet}
each_network = pytest.mark.parametrize("kind", NETWORKS)


def films(seed: int, number: int = 6) -> Batch:
    images, labels = bright_half(seed, number)
    return {"images": images, "labels": labels}


def named(dataset: str, batch: Batch) -> Batch:
    return {f"{dataset}/{name}": x for name, x in batch.items()}


def joint(kind: str) -> JointTeacher:
    network = NETWORKS[kind]
    return seen_maps(JointTeacher([network(1), network(2)], network(3, "all"), "batch"))


def student(
    kind: str, teacher: Levelled, weights: Weights = BOTH, task: Classification | None = None
) -> JointStudent:
    return JointStudent(
        NETWORKS[kind](7), teacher, task or Classification(), weights, learning_rate=1e-3, steps=20
    )


def after(
    found: JointStudent | ManyDatasets, fabric: Fabric, batches: list[Batch]
) -> dict[str, Tensor]:
    torch.manual_seed(0)
    found.setup(fabric)
    for batch in batches:
        losses = found.update(batch)
    assert all(torch.isfinite(x) for x in losses.values())
    return losses


@each_network
def test_three_stages_from_teachers_to_a_student(kind: str, cpu: Fabric) -> None:
    """The source has three classes: only the encoder is shared, and hides who is who."""
    network, task = NETWORKS[kind], Classification()
    settings: dict[str, Any] = {"learning_rate": 1e-3, "steps": 3}
    target = ManyDatasets(network(1), ("target",), task, **settings)
    after(target, cpu, [named("target", films(k)) for k in range(3)])
    both = []
    for k in range(3):
        source = films(100 + k)
        source["labels"] = torch.arange(6) % 3
        both.append({**named("target", films(k)), **named("source", source)})
    source_teacher = ManyDatasets(
        network(2), ("source", "target"), task, domain=Domain(), classes={"source": 3}, **settings
    )
    losses = after(source_teacher, cpu, both)
    assert set(losses) == {"labels source", "labels target", "domain", "domain accuracy"}
    outputs = {name: head(torch.zeros(1, _width(head))) for name, head in
               source_teacher.shared.heads.items()}  # fmt: skip
    assert {name: x.shape[1] for name, x in outputs.items()} == {"source": 3, "target": 2}
    members = [cast(Levelled, m.deployable()) for m in (target, source_teacher)]
    fused = JointTeacher(members, network(3, "all"), "batch")
    before = weights_of(fused)
    trained = ManyDatasets(fused, ("target",), task, **settings)
    after(trained, cpu, [named("target", films(k)) for k in range(3)])
    moved = {n for n, v in fused.state_dict().items() if not torch.equal(v, before[n])}
    assert not any(n.startswith("teachers.") for n in moved)
    # the fusers of every level learn, because every level is read
    assert all(f"fusers.{level}.mix.weight" in moved for level in range(4))
    teacher = cast(Levelled, trained.deployable())
    still = weights_of(teacher)
    found = student(kind, teacher)
    losses = after(found, cpu, [films(k) for k in range(3)])
    assert set(losses) == {"labels", "logits", "features"}
    assert all(torch.equal(v, still[k]) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(m.training for m in teacher.modules())
    alone = found.deployable()
    assert type(alone) is type(network(0)) and alone(films(9)["images"]).shape == (6, 2)


def _width(head: nn.Module) -> int:
    assert isinstance(head, nn.Linear)
    return head.in_features


@each_network
def test_labels_alone_are_the_target_alone_bit_for_bit(kind: str, cpu: Fabric) -> None:
    taught = student(kind, joint(kind), LABELS_ALONE)
    plain = ManyDatasets(
        NETWORKS[kind](7), ("target",), Classification(), learning_rate=1e-3, steps=20
    )
    after(taught, cpu, [films(k) for k in range(4)])
    after(plain, cpu, [named("target", films(k)) for k in range(4)])
    mine, theirs = (m.deployable().state_dict() for m in (taught, plain))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(v, theirs[k]) for k, v in mine.items())


@each_network
def test_the_total_is_the_weighed_sum_of_its_terms_by_hand(kind: str, cpu: Fabric) -> None:
    teacher, batch = joint(kind), films(0)
    found = student(kind, teacher, replace(BOTH, temperature=3.0), Classification([1.0, 4.0]))
    found.setup(cpu)
    network = copy.deepcopy(cast(Whole, bare(found.networks["student"])).network)
    losses = found.update(batch)
    maps = network.encode(batch["images"])
    output = network.decode(maps, batch["images"])
    with torch.no_grad():
        fused = teacher.encode(batch["images"])
        told = teacher.decode(fused, batch["images"])
    weight = torch.tensor([1.0, 4.0])[batch["labels"]]
    surprise = -output.log_softmax(dim=1)[torch.arange(6), batch["labels"]]
    labels = (weight * surprise).sum() / weight.sum()
    soft = 9 * kl_divergence(Categorical(logits=told / 3), Categorical(logits=output / 3)).mean()
    apart = torch.stack([(a - b).square().mean() for a, b in zip(maps, fused, strict=True)]).sum()
    for name, expected in {"labels": labels, "logits": soft, "features": apart}.items():
        assert float(losses[name]) == pytest.approx(float(expected.detach()), rel=1e-4)
        assert float(expected.detach()) > 1e-4
    (0.3 * soft + 0.1 * apart + 0.6 * labels).backward()
    taken = dict(found.deployable().named_parameters())
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(taken[name].grad, parameter.grad, rtol=1e-3, atol=1e-5)


SWITCHES = {
    "cosine": replace(BOTH, distance="cosine"),
    "chopra": replace(BOTH, distance="chopra"),
    "each": replace(BOTH, follow="each", dropping=0.5),
    "standardise": replace(BOTH, standardise=True),
    "bottleneck": replace(BOTH, levels="bottleneck"),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_changes_what_is_learnt(name: str, cpu: Fabric) -> None:
    teacher, batches = joint("medvit"), [films(k) for k in range(2)]
    found, plain = student("medvit", teacher, SWITCHES[name]), student("medvit", teacher)
    after(found, cpu, batches)
    after(plain, cpu, batches)
    mine, theirs = (m.deployable().state_dict() for m in (found, plain))
    assert any(not torch.equal(v, theirs[k]) for k, v in mine.items())


def test_a_student_may_follow_maps_of_another_architecture(cpu: Fabric) -> None:
    """Both have four levels at a quarter to a 32nd of the side; projectors meet the widths."""
    teacher = joint("efficientnet")
    batch = films(0)
    kept = ask_all(teacher, batch["images"], range(4))
    found = student("medvit", teacher)
    losses = after(found, cpu, [{**batch, **kept}])
    live = after(student("medvit", teacher), cpu, [batch])
    for name in ("logits", "features"):
        assert float(losses[name]) == pytest.approx(float(live[name]), rel=5e-3)


def test_levels_of_other_sides_are_refused(cpu: Fabric) -> None:
    found = student("medvit", joint("medvit"))
    found.setup(cpu)
    batch, small = films(0), films(0)["images"][..., ::2, ::2]
    kept = ask_all(joint("medvit"), small, range(4))
    with pytest.raises(ValueError, match="maps of one shape"):
        found.update({**batch, **kept})


def test_pairs_are_images_by_their_mean_maps() -> None:
    draw = torch.Generator().manual_seed(0)
    s, t = (torch.randn(4, 3, 2, 2, generator=draw) for _ in range(2))
    labels = torch.tensor([0, 1, 1, 2])
    task, batch = Classification(), {"labels": labels}
    found = float(task.contrast(s, t, batch))
    means = [m.sum(dim=(2, 3)) / 4 for m in (s, t)]
    unit = [m / m.norm(dim=1, keepdim=True) for m in means]
    genuine, impostors = [], []
    for i in range(4):
        for j in range(4):
            distance = float((unit[0][i] - unit[1][j]).norm())
            if i == j:
                genuine.append(distance**2 / 2)
            elif labels[i] != labels[j]:
                impostors.append(max(0.0, 1 - distance) ** 2 / 2)
    assert len(impostors) == 10
    assert found == pytest.approx(sum(genuine) / 4 + sum(impostors) / 10, rel=1e-5)
    # where something is in a map does not matter
    assert float(task.contrast(s.flip(3), t, batch)) == pytest.approx(found, rel=1e-5)
    assert found == pytest.approx(float(chopra(means[0], means[1], labels)), rel=1e-5)


def test_rare_classes_weigh_as_much_as_they_are_told_to() -> None:
    output, labels = torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])
    output[:, 1] = 1.0
    batch = {"labels": labels}
    wrong, right = math.log(1 + math.e), math.log(1 + math.exp(-1))
    plain = Classification().label_loss(output, batch)
    assert float(plain) == pytest.approx((3 * wrong + right) / 4)
    even = Classification([1 / 3, 1.0]).label_loss(output, batch)
    assert float(even) == pytest.approx((wrong + right) / 2)
    with pytest.raises(ValueError, match="expected 2, one for each class of the answer, found 3"):
        Classification([1.0, 1.0, 1.0]).label_loss(output, batch)
