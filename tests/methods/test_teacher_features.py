"""The contextual loss by default: the teacher's encoder looks, the generator alone learns."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.distill.contextual import contextual_loss
from medkd_lib.methods.base import bare
from medkd_lib.methods.cmedl import CMEDL
from medkd_lib.methods.cmedl_parts import Hints, Student, Weights
from medkd_lib.methods.cycle_translator import CycleTranslator
from medkd_lib.methods.latent_translator import LatentTranslator
from medkd_lib.methods.teacher_features import MOST_POSITIONS, TeacherFeatures, encoder_places
from medkd_lib.methods.translate import Translator
from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.mrrn import MRRN
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.models.unet import UNet
from tests.methods.test_cmedl import batch, cycle, latent, unet, weights_of

NETWORKS: dict[str, Any] = {
    "unet": lambda norm: UNet(1, 2, (4, 4, 8), norm),
    "densefcn": lambda norm: FCDenseNet(1, 2, 4, 2, (1, 1), 1, (1, 1), norm=norm),
    "mrrn": lambda norm: MRRN(1, 2, 2, 2, norm=norm),
}


def given(translator: Translator) -> Translator:
    """Return a translator that is there already."""
    return translator


def made(translator: Callable[[], Translator], weights: Weights) -> CMEDL:
    torch.manual_seed(0)
    method = CMEDL(
        translator(), unet(), {"cmedl": (unet(), Student("pseudo"))}, hints=Hints(),
        weights=weights, learning_rate=1e-2, steps=10, views=dict,
    )  # fmt: skip
    method.setup(Fabric(accelerator="cpu", devices=1))
    return method


class Counting:
    """Features that count how often they were asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        self.calls += 1
        return [torch.cat([images, images**2], dim=1)]


@pytest.mark.parametrize("kind", NETWORKS)
def test_maps_are_the_encoders_from_fine_to_coarse(kind: str) -> None:
    network = NETWORKS[kind]("instance")
    maps = TeacherFeatures(network)(torch.rand(2, 1, 32, 48))
    assert [tuple(m.shape[-2:]) for m in maps] == [(16, 24), (8, 12)]
    assert all(len(m) == 2 and m.std() > 0 for m in maps)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gradient_reaches_the_images_and_not_the_teacher(kind: str) -> None:
    torch.manual_seed(0)  # some untrained networks are dead, and hand nothing back
    network: SegmentationNetwork = NETWORKS[kind]("batch").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(2, 1, 32, 32, requires_grad=True)
    maps = TeacherFeatures(network)(images)
    contextual_loss(maps[0], maps[0].detach().flip(0)).backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    # no statistics learned, nothing left in eval mode or hooked
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_maps_are_bounded() -> None:
    network = UNet(1, 2, (2, 2, 2, 2), "instance")
    maps = TeacherFeatures(network)(torch.rand(1, 1, 256, 256))
    assert [m.shape[-1] for m in maps] == [64, 32]
    assert all(m[0, 0].numel() <= MOST_POSITIONS for m in maps)
    with pytest.raises(ValueError, match=r"at most 4096 positions, found \[\(132, 132\)"):
        TeacherFeatures(UNet(1, 2, (2, 2, 2), "instance"))(torch.rand(1, 1, 264, 264))


def test_another_network_needs_features_of_its_own() -> None:
    with pytest.raises(KeyError, match="found Linear"):
        encoder_places(nn.Linear(1, 1))


@pytest.mark.parametrize("kind", [cycle, latent])
def test_the_term_pulls_the_generator_and_nobody_else(kind: Any) -> None:
    def after(weight: float) -> tuple[CMEDL, dict[str, Tensor]]:
        weights = Weights(contextual=weight)
        method = made(lambda: kind(weights), weights)
        losses = method.update(batch(side=32))
        assert ("contextual" in losses) == (weight > 0)
        return method, {name: weights_of(n) for name, n in method.networks.items()}

    method, with_it = after(5.0)
    assert isinstance(method.translator.features, TeacherFeatures)
    assert method.translator.features.teacher is bare(method.networks["teacher"])
    _, without = after(0.0)
    carrier = "to_target" if kind is cycle else "shared"
    assert not torch.equal(with_it[carrier], without[carrier])
    for name in ("judge_target", "judge_source"):
        assert torch.equal(with_it[name], without[name]), name


def test_the_loss_is_that_of_the_teachers_maps() -> None:
    weights = Weights(contextual=1.0)
    method = made(lambda: cycle(weights), weights)
    fake, real = (
        torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(n)) for n in (1, 2)
    )
    teacher = bare(method.networks["teacher"])
    assert isinstance(teacher, SegmentationNetwork)
    maps = [TeacherFeatures(teacher)(x) for x in (fake, real)]
    each = [contextual_loss(x, y) for x, y in zip(*maps, strict=True)]
    # maps of 256 and 64 positions are compared whole
    torch.testing.assert_close(method.translator.contextual(fake, real), torch.stack(each).mean())


@pytest.mark.parametrize("kind", [CycleTranslator, LatentTranslator])
def test_without_weight_nobody_is_asked_and_nothing_is_drawn(kind: type[Translator]) -> None:
    counting = Counting()
    for weight, calls in ((0.0, 0), (1.0, 2)):
        weights = Weights(contextual=weight)
        translator = cycle(weights) if kind is CycleTranslator else latent(weights)
        translator.features, translator.positions = counting, 16
        method = made(partial(given, translator), weights)
        assert method.translator.features is counting  # one's own stand over the teacher's
        drawn = translator.draws.get_state()
        method.update(batch())
        assert counting.calls == calls
        # the hints draw nothing at this distance
        assert torch.equal(drawn, translator.draws.get_state()) == (weight == 0)


def test_a_translator_alone_says_what_it_lacks() -> None:
    weights = Weights(contextual=1.0)
    translator = cycle(weights)
    translator.fabric = Fabric(accelerator="cpu", devices=1)
    with pytest.raises(ValueError, match="contextual loss: expected `features`, found none"):
        translator.contextual(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))


def test_an_autoencoder_reconstructs_and_has_no_identity_loss() -> None:
    # Two images through one translator: with and without the weight it is the same training.
    found = []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        translator = latent(Weights(identity=weight))
        translator.fabric = Fabric(accelerator="cpu", devices=1)
        found.append(translator.update(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)))
    assert "reconstruction" in found[0] and "identity" not in found[0]
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_training_with_the_term_goes_on_to_the_bit() -> None:
    weights = Weights(contextual=1.0)

    def fresh() -> CMEDL:
        return made(lambda: cycle(weights, positions=16), weights)

    whole, first, second = fresh(), fresh(), fresh()
    for step in range(3):
        whole.update(batch(seed=step))
    first.update(batch(seed=0))
    second.load_state_dict(first.state_dict())
    for step in (1, 2):
        second.update(batch(seed=step))
    for name, network in whole.networks.items():
        assert torch.equal(weights_of(network), weights_of(second.networks[name])), name
