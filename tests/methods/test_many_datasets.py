"""Training on several datasets: heads, who is labelled, and what hides a domain."""

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.data.section_views import section_views
from medkd_lib.distill.deep_coral import deep_coral
from medkd_lib.distill.mmd import mmd
from medkd_lib.methods.joint_parts import Alignment, Domain
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.methods.told import part_of
from medkd_lib.models.domain_classifier import pooled
from medkd_lib.models.joint_teacher import JointTeacher
from tests.methods.joint_batches import scene, side_by_side, unet, weights_of


def method(
    *, labelled: tuple[str, ...] = ("target", "source"), unlabelled: tuple[str, ...] = (),
    domain: Domain | None = None, steps: int = 20,
) -> ManyDatasets:  # fmt: skip
    return ManyDatasets(
        unet(1), labelled, Segmentation(), learning_rate=1e-2, steps=steps, unlabelled=unlabelled,
        domain=domain,
    )  # fmt: skip


def trained(found: ManyDatasets, fabric: Fabric, steps: int = 20) -> ManyDatasets:
    found.setup(fabric)
    for step in range(steps):
        found.update(side_by_side(step, target=0.0, source=1.0))
    return found


def test_it_learns_every_labelled_dataset(cpu: Fabric) -> None:
    found = method(steps=60)
    found.setup(cpu)
    first = found.update(side_by_side(0, target=0.0, source=1.0))
    for step in range(1, 60):
        last = found.update(side_by_side(step, target=0.0, source=1.0))
    assert set(last) == {"labels target", "labels source"}
    for name, loss in last.items():
        assert float(loss) < 0.5 * float(first[name])
    # the target's head leaves the lab
    x = scene(999)["images"]
    found.shared.eval()
    expected = found.shared({"target": x})["target"].output
    torch.testing.assert_close(found.deployable()(x), expected)


def test_an_unlabelled_dataset_has_no_head_and_no_label_loss(cpu: Fabric) -> None:
    found = method(labelled=("source",), unlabelled=("target",), domain=Domain())
    found.setup(cpu)
    batch = side_by_side(0, target=0.0, source=1.0)
    del batch["target/masks"]
    losses = found.update(batch)
    assert set(losses) == {"labels source", "domain", "domain accuracy"}
    assert list(found.shared.heads) == ["source"]


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("done", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["reversal", "coral", "mmd"])
def test_what_the_encoder_hears(kind: Alignment, done: float, cpu: Fabric) -> None:
    """Labels, and λ of the domain loss: turned round under a classifier, straight otherwise."""
    found = method(domain=Domain(kind, 0.7, gamma=10.0))
    found.setup(cpu)
    found.schedules["student"].last_epoch = int(done * 20)
    shared, batch = copy.deepcopy(found.shared), side_by_side(0, target=0.0, source=1.0)
    classifier = copy.deepcopy(found.networks.get("domain"))
    found.update(batch)
    answers = shared({d: batch[f"{d}/images"] for d in ("target", "source")})
    a, b = (pooled(answers[d].maps[-1]) for d in ("target", "source"))
    task = Segmentation()
    labels = [task.label_loss(x.output, part_of(batch, d)) for d, x in answers.items()]
    strength = 0.7 * math.tanh(10 * done / 2)
    if classifier is not None:
        truth = torch.tensor([0] * len(a) + [1] * len(b))
        guilt = F.cross_entropy(classifier(torch.cat([a, b])), truth)
        own = torch.autograd.grad(guilt, list(classifier.parameters()), retain_graph=True)
        apart, sign = guilt, -1.0
        taken = gradients(found.networks["domain"])
        # the classifier itself learns at full strength from the first step on
        for expected, got in zip(own, taken.values(), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)
    else:
        apart, sign = {"coral": deep_coral, "mmd": mmd}[kind](b, a), 1.0
    (torch.stack(labels).mean() + sign * strength * apart).backward()
    taken = gradients(found.shared)
    for name, expected in gradients(shared).items():
        torch.testing.assert_close(taken[name], expected, rtol=1e-3, atol=1e-6)


def test_without_weight_the_classifier_learns_and_the_encoder_hears_nothing(cpu: Fabric) -> None:
    silent = trained(method(domain=Domain(weight=0.0)), cpu)
    without = trained(method(), cpu)
    mine, theirs = silent.shared.state_dict(), without.shared.state_dict()
    assert all(torch.equal(mine[k], theirs[k]) for k in theirs)
    start = weights_of(method(domain=Domain(weight=0.0)).networks["domain"])
    learnt = silent.networks["domain"].state_dict()
    assert not any(torch.equal(v, start[n]) for n, v in learnt.items())


def test_one_dataset_has_no_domain_to_hide() -> None:
    with pytest.raises(ValueError, match="two datasets or more"):
        method(labelled=("target",), domain=Domain())


def test_a_joint_teacher_is_trained_behind_its_teachers(cpu: Fabric) -> None:
    network = JointTeacher([unet(1), unet(2)], unet(3), "batch")
    found = ManyDatasets(network, ("target",), Segmentation(), learning_rate=1e-2, steps=5)
    found.setup(cpu)
    before = weights_of(network)
    for step in range(5):
        found.update(side_by_side(step, target=0.0))
    moved = [n for n, v in network.state_dict().items() if not torch.equal(v, before[n])]
    assert moved and not any(n.startswith("teachers") for n in moved)


def test_views_move_image_and_mask_together(cpu: Fabric) -> None:
    seen = []

    def watched(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(section_views(batch, shift=4, flip=0.5))
        return seen[-1]

    found = ManyDatasets(
        unet(1), ("target",), Segmentation(), learning_rate=1e-2, steps=5, views=partial(watched)
    )
    found.setup(cpu)
    batch = side_by_side(0, target=0.0)
    found.update(batch)
    view = seen[0]
    assert not torch.equal(view["images"], batch["target/images"])
    inside = view["images"][:, 0][view["masks"] > 0]
    assert float(inside.mean()) > 1.5
