"""CMEDL: who is trained by what, and what leaves the lab."""

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from monai.losses.dice import DiceCELoss
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.data.section_views import section_views
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.methods.base import bare
from medkd_lib.methods.cmedl import CMEDL
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Student, Weights
from medkd_lib.methods.cycle_translator import CycleTranslator
from medkd_lib.methods.latent_translator import LatentTranslator
from medkd_lib.methods.translate import Translator
from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.patch_discriminator import patch_discriminator
from medkd_lib.models.resnet_generator import ResnetGenerator
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.models.shared_latent import SharedLatentTranslator
from medkd_lib.models.tap import tap
from medkd_lib.models.unet import UNet

SIDE = 16


def unet(channels: int = 1) -> UNet:
    torch.manual_seed(1)
    return UNet(channels, 2, (4, 4, 8), norm="instance")


def cycle(weights: Weights, **settings: Any) -> CycleTranslator:
    # Without dropout: random draws in between would make two runs differ for no reason.
    return CycleTranslator(
        (
            ResnetGenerator(width=2, blocks=1, dropout=0),
            ResnetGenerator(width=2, blocks=1, dropout=0),
        ),
        (patch_discriminator(2, 1), patch_discriminator(2, 1)),
        learning_rate=1e-3,
        steps=10,
        weights=weights,
        **settings,
    )


def latent(weights: Weights) -> LatentTranslator:
    network = SharedLatentTranslator(("source", "target"), width=2, private_blocks=1)
    judges = (patch_discriminator(2, 1), patch_discriminator(2, 1))
    return LatentTranslator(network, judges, learning_rate=1e-3, steps=10, weights=weights)


def method(
    hints: Hints = Hints(warm_up=0.0),  # noqa: B008
    weights: Weights = Weights(),  # noqa: B008
    students: dict[str, Student] | None = None,
    translator: Callable[[Weights], Translator] = cycle,
    views: Callable[[Batch], Batch] = dict,
    precision: Any = "32-true",
) -> CMEDL:
    torch.manual_seed(0)
    plans = STUDENTS if students is None else students
    made = CMEDL(
        translator(weights),
        unet(),
        {name: (unet(2 if plan.concatenated else 1), plan) for name, plan in plans.items()},
        hints=hints,
        weights=weights,
        learning_rate=1e-2,
        steps=10,
        views=views,
    )
    made.setup(Fabric(accelerator="cpu", devices=1, precision=precision))
    return made


def batch(n: int = 3, seed: int = 0, side: int = SIDE) -> Batch:
    numbers = torch.Generator().manual_seed(seed)

    def images() -> Tensor:
        return torch.rand(n, 1, side, side, generator=numbers) * 2 - 1

    def masks() -> Tensor:
        return (torch.rand(n, side, side, generator=numbers) < 0.3).to(torch.uint8)

    return {
        "source": images(), "source_masks": masks(), "target": images(), "target_masks": masks(),
        "true": images(), "more": images(), "more_masks": masks(),
        "source_patients": torch.arange(n),
    }  # fmt: skip


def test_hints_of_another_patient_are_never_those_of_another_section_of_the_own() -> None:
    given = batch(n=4) | {"source_patients": torch.tensor([5, 5, 7, 5])}
    made = method()
    teacher, student = (
        deepcopy(bare(made.networks[name])) for name in ("teacher", "student_other_hints")
    )
    losses = made.update(given)
    pseudo = made.translator.translate(given["source"])
    # the nearest row before each that shows somebody else: 0 ← 2 (past 3), 1 ← 2, 2 ← 1, 3 ← 2
    assert isinstance(student, SegmentationNetwork) and isinstance(teacher, SegmentationNetwork)
    pairs = zip(
        maps(student, given["source"]), maps(teacher, pseudo[[2, 2, 1, 2]]), strict=True
    )  # fmt: skip
    wanted = torch.stack([feature_distance(s, t) for s, t in pairs]).sum()
    torch.testing.assert_close(losses["other_hints_hint"], wanted.detach(), atol=1e-4, rtol=1e-4)
    alone = made.update(given | {"source_patients": torch.zeros(4, dtype=torch.long)})
    assert alone["other_hints_hint"].item() == 0 and alone["cmedl_hint"].item() > 0


def weights_of(network: torch.nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in bare(network).parameters()])


@pytest.mark.parametrize("translator", [cycle, latent])
def test_one_step_trains_everything(translator: Callable[[Weights], Translator]) -> None:
    made = method(translator=translator)
    before = {name: weights_of(network) for name, network in made.networks.items()}
    losses = made.update(batch())
    for name, network in made.networks.items():
        assert not torch.equal(before[name], weights_of(network)), name
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    assert {f"{s}_hint" for s in ("cmedl", "true_hints", "other_hints")} <= set(losses)
    assert not {f"{s}_hint" for s in ("alone", "concat", "more_labels")} & set(losses)


def maps(network: SegmentationNetwork, images: Tensor) -> Sequence[Tensor]:
    places = {place: place for place in network.hint_places}
    with tap(network, places) as seen:
        network(images)
    return [seen[place] for place in network.hint_places]


@pytest.mark.parametrize("translator", [cycle, latent])
def test_a_step_has_the_losses_of_its_equations(
    translator: Callable[[Weights], Translator],
) -> None:
    made, given = method(translator=translator), batch()
    teacher, *students = (
        deepcopy(bare(made.networks[name]))
        for name in ("teacher", "student_cmedl", "student_concat", "student_more_labels")
    )
    losses = made.update(given)
    # teacher and students see what the generator paints after its own step
    source, pseudo = given["source"], made.translator.translate(given["source"])
    loss = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True,
        lambda_ce=Weights().cross_entropy,
    )  # fmt: skip

    def segmented(network: torch.nn.Module, images: Tensor, masks: Tensor) -> Tensor:
        found: Tensor = loss(network(images), masks[:, None].float())
        return found

    cmedl, concat, more = students
    both = torch.cat([source, given["more"]])
    wanted = {
        # L_seg(T(x_m), y_m) + L_seg(T(G(x_c)), y_c)
        "teacher": segmented(teacher, given["target"], given["target_masks"])
        + segmented(teacher, pseudo, given["source_masks"]),
        "cmedl_segmentation": segmented(cmedl, source, given["source_masks"]),
        "concat_segmentation": segmented(
            concat, torch.cat([source, pseudo], 1), given["source_masks"]
        ),
        "more_labels_segmentation": segmented(
            more, both, torch.cat([given["source_masks"], given["more_masks"]])
        ),
    }
    # the three students with hints begin with the same weights; row n's other patient is row n - 1
    looked_at = {"cmedl": pseudo, "true_hints": given["true"], "other_hints": pseudo[[2, 0, 1]]}
    assert isinstance(cmedl, SegmentationNetwork) and isinstance(teacher, SegmentationNetwork)
    for name, images in looked_at.items():
        pairs = zip(maps(cmedl, source), maps(teacher, images), strict=True)
        wanted[f"{name}_hint"] = torch.stack([feature_distance(s, t) for s, t in pairs]).sum()
    for name, value in wanted.items():
        torch.testing.assert_close(losses[name], value.detach(), atol=1e-4, rtol=1e-4, msg=name)


def trained(students: dict[str, Student], steps: int = 3, **settings: Any) -> CMEDL:
    made = method(students=students, **settings)
    for step in range(steps):
        made.update(batch(seed=step))
    return made


def test_a_student_alone_does_not_notice_the_others() -> None:
    both = trained({"alone": Student(), "cmedl": Student("pseudo")})
    more = trained(dict(STUDENTS))
    for name in ("alone", "cmedl"):
        ours, theirs = (made.deployed(name)(batch()["source"]) for made in (both, more))
        # With the oracle the teacher's batch is larger, and sums are rounded elsewhere.
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
    alone = trained({"alone": Student(), "cmedl": Student("pseudo")}, hints=Hints(weight=5.0))
    key = "student_alone"
    assert torch.equal(weights_of(both.networks[key]), weights_of(alone.networks[key]))


def test_true_hints_leave_a_batch_normed_teacher_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def batch_normed(channels: int = 1) -> UNet:
        torch.manual_seed(1)
        return UNet(channels, 2, (4, 4, 8), norm="batch")

    monkeypatch.setattr(sys.modules[__name__], "unet", batch_normed)
    few = {"alone": Student(), "cmedl": Student("pseudo")}
    made = [trained(few | more) for more in ({}, {"true_hints": Student("true")})]
    without, with_true = (dict(bare(m.networks["teacher"]).named_buffers()) for m in made)
    assert any("running_mean" in name for name in without)
    for name, buffer in without.items():
        torch.testing.assert_close(buffer, with_true[name], atol=1e-5, rtol=1e-5, msg=name)
    assert all(
        m.track_running_stats
        for m in bare(made[1].networks["teacher"]).modules()
        if isinstance(m, torch.nn.BatchNorm2d)
    )


def test_hints_of_no_weight_teach_nothing_to_the_last_bit() -> None:
    made = trained({"alone": Student(), "cmedl": Student("pseudo")}, hints=Hints(weight=0.0))
    alone, cmedl = (weights_of(made.networks[f"student_{name}"]) for name in ("alone", "cmedl"))
    assert torch.equal(alone, cmedl)


def test_hints_from_different_pictures_teach_differently() -> None:
    made = trained(dict(STUDENTS))
    found = [weights_of(made.networks[f"student_{n}"]) for n in ("alone", "cmedl", "true_hints")]
    found += [
        weights_of(made.networks["student_other_hints"]),
        weights_of(made.networks["student_more_labels"]),
    ]
    for i, a in enumerate(found):
        assert all(not torch.allclose(a, b) for b in found[i + 1 :])


def teacher_after(detach: bool, weight: float) -> Tensor:
    hints = Hints(weight=weight, warm_up=0.0, detach=detach, normalise=False)
    made = method(hints, students={"cmedl": Student("pseudo")})
    made.update(batch())
    return weights_of(made.networks["teacher"])


def test_a_detached_hint_does_not_pull_the_teacher_and_an_attached_one_does() -> None:
    assert torch.equal(teacher_after(True, 50.0), teacher_after(True, 0.0))
    assert not torch.equal(teacher_after(False, 50.0), teacher_after(False, 0.0))


def test_neither_hints_nor_segmentation_reach_the_generator_unless_told_to() -> None:
    def generator(weights: Weights, hint: float) -> Tensor:
        made = method(Hints(weight=hint, warm_up=0.0), weights, {"cmedl": Student("pseudo")})
        made.update(batch())
        return weights_of(made.networks["to_target"])

    plain = generator(Weights(), 1.0)
    assert torch.equal(plain, generator(Weights(), 9.0))
    assert torch.equal(plain, generator(Weights(segmentation=3.0), 1.0))
    assert not torch.equal(plain, generator(Weights(segmentation_to_generator=5.0), 1.0))


def test_minding_the_tumour_leaves_the_teacher_trainable_and_untouched() -> None:
    made = method(weights=Weights(segmentation_to_generator=5.0))
    teacher = bare(made.networks["teacher"])
    mind = made._minding(batch()["source_masks"])
    assert mind is not None
    mind(batch()["source"].requires_grad_()).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.requires_grad for p in teacher.parameters())


def test_the_warm_up_rises_from_nothing() -> None:
    made = method(Hints(warm_up=0.5))
    found = []
    for step in range(7):
        found.append(made.ramp())
        made.update(batch(seed=step))
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])


def test_a_teacher_of_another_kind_gets_adapters_where_channels_differ() -> None:
    torch.manual_seed(0)
    weights = Weights()
    teacher = FCDenseNet(1, 2, 8, 4, (2, 2), 2, (2, 2), norm="instance", dropout=0.0)
    made = CMEDL(
        cycle(weights), teacher, {"cmedl": (unet(), Student("pseudo"))},
        hints=Hints(layers=("hint_full", "head")), weights=weights, learning_rate=1e-2, steps=10,
        views=dict,
    )  # fmt: skip
    made.setup(Fabric(accelerator="cpu", devices=1))
    assert [*bare(made.networks["adapters_cmedl"]).state_dict()] == [
        "hint_full.weight",
        "hint_full.bias",
    ]
    made.update(batch())


def test_the_student_leaves_alone() -> None:
    made = trained(dict(STUDENTS))
    student = made.deployable()
    count = sum(p.numel() for p in student.parameters())
    assert count == sum(p.numel() for p in unet().parameters())
    del made
    assert student(batch()["source"]).shape == (3, 2, SIDE, SIDE)


def test_what_needs_a_generator_brings_it_along() -> None:
    made = trained(dict(STUDENTS))
    source = batch()["source"]
    for name in ("concat", "pseudo_only"):
        network = made.deployed(name)
        assert network(source).shape == (3, 2, SIDE, SIDE)
        assert any(key.startswith("carrier.") for key in network.state_dict())


def test_a_training_goes_on_to_the_bit() -> None:
    views = partial(section_views, shift=2, flip=0.5)
    whole = method(views=views)
    torch.manual_seed(5)
    for step in range(4):
        whole.update(batch(seed=step))
    first = method(views=views)
    torch.manual_seed(5)
    for step in range(2):
        first.update(batch(seed=step))
    state = first.state_dict()
    second = method(views=views)
    second.load_state_dict(state)
    for step in (2, 3):
        second.update(batch(seed=step))
    for name, network in whole.networks.items():
        assert torch.equal(weights_of(network), weights_of(second.networks[name])), name


def test_identity_and_contextual_terms_are_there_when_asked_for() -> None:
    weights = Weights(identity=5.0, contextual=1.0)
    made = method(
        weights=weights, translator=partial(cycle, features=lambda x: [torch.cat([x, x**2], 1)])
    )
    assert {"identity", "contextual"} <= set(made.update(batch()))


def test_half_precision_is_near_full_precision_and_stays_finite() -> None:
    full, half = method(), method(precision="bf16-mixed")
    # Hints compare standardised maps: on a few pixels bfloat16's three digits show in them.
    a, b = full.update(batch(side=48)), half.update(batch(side=48))
    for name, loss in a.items():
        assert float(b[name]) == pytest.approx(float(loss), rel=0.02), name
    half = method(students={"cmedl": Student("pseudo")}, precision="bf16-mixed")
    for step in range(50):
        assert all(torch.isfinite(x) for x in half.update(batch(seed=step)).values())


def test_a_run_without_the_method_is_refused() -> None:
    with pytest.raises(ValueError, match="hints from translated"):
        method(students={"alone": Student()})
