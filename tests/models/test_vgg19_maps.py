"""A user's VGG19: the right maps of the right images, or an error that says what the file is."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from medkd_lib.methods.cmedl_parts import Weights
from medkd_lib.models.vgg19_maps import LAYERS, MEAN, SD, Vgg19Maps
from tests.methods.test_cmedl import cycle


@pytest.fixture(scope="module")
def trunk() -> nn.Sequential:
    """Torchvision's layers up to the last one needed, with weights of nobody's."""
    torch.manual_seed(0)
    layers: nn.Sequential = make_layers(cfgs["E"][:12], batch_norm=False)
    return layers


@pytest.fixture(scope="module")
def file(trunk: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    weights = {f"features.{name}": w for name, w in trunk.state_dict().items()}
    # heads and later layers of a whole file are not read
    torch.save(weights | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def test_maps_are_torchvisions_before_their_relu(trunk: nn.Sequential, file: Path) -> None:
    images = torch.rand(2, 1, 32, 48) * 2 - 1
    maps = Vgg19Maps(file)(images)
    assert [tuple(m.shape) for m in maps] == [(2, 256, 8, 12), (2, 256, 8, 12), (2, 512, 4, 6)]
    grey = (images + 1) / 2
    mean, sd = (torch.tensor(x).view(1, 3, 1, 1) for x in (MEAN, SD))
    rgb = (grey.expand(-1, 3, -1, -1) - mean) / sd
    for layer, found in zip(LAYERS, maps, strict=True):
        with torch.no_grad():
            expected: Tensor = trunk[: layer + 1](rgb)
        assert isinstance(trunk[layer], nn.Conv2d) and (found < 0).any()
        torch.testing.assert_close(found, expected)


def test_it_is_frozen_and_hands_the_gradient_on(file: Path) -> None:
    network = Vgg19Maps(file)
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    network(images)[-1].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())


def test_other_layers_and_files(file: Path, tmp_path: Path) -> None:
    assert [tuple(m.shape) for m in Vgg19Maps(file, (0, 2))(torch.rand(1, 1, 8, 8))] == [
        (1, 64, 8, 8), (1, 64, 8, 8),
    ]  # fmt: skip
    weights = {k: v.contiguous() for k, v in torch.load(file, weights_only=True).items()}
    save_file(weights, tmp_path / "vgg19.safetensors")
    images = torch.rand(1, 1, 8, 8)
    same = Vgg19Maps(tmp_path / "vgg19.safetensors", (5,))(images)
    assert torch.equal(same[0], Vgg19Maps(file, (5,))(images)[0])


def test_what_does_not_fit_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a file of ImageNet weights"):
        Vgg19Maps(tmp_path / "none.pth")
    normed = make_layers(cfgs["E"][:3], batch_norm=True)
    torch.save({f"features.{k}": v for k, v in normed.state_dict().items()}, tmp_path / "bn.pth")
    with pytest.raises(ValueError, match=r"expected the weights of this trunk, found missing"):
        Vgg19Maps(tmp_path / "bn.pth")
    for layers in ((), (16, 14), (14, 14), (-1,), (14, 99)):
        with pytest.raises(ValueError, match="layers: expected ascending indices below 37"):
            Vgg19Maps(file, layers)
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\) on \[-1, 1\], found \(1, 3, "):
        Vgg19Maps(file, (0,))(torch.rand(1, 3, 8, 8))


def test_a_translator_compares_them(file: Path) -> None:
    translator = cycle(Weights(contextual=1.0), features=Vgg19Maps(file))
    translator.bind(
        translator.networks, translator.optimizers, Fabric(accelerator="cpu", devices=1)
    )
    real = torch.rand(2, 1, 32, 32) * 2 - 1
    fake = real.flip(0).requires_grad_()
    # the same images in another order hold other features beside each other
    loss = translator.contextual(fake, real)
    assert loss > translator.contextual(real, real) > -1e-6
    loss.backward()
    assert fake.grad is not None and fake.grad.abs().sum() > 0
