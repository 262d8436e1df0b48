"""Weights that the user brings: torchvision's files, fitted to our channels and grids."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import EfficientNet as Published
from torchvision.models import VisionTransformer
from torchvision.models.efficientnet import MBConvConfig
from torchvision.models.vgg import VGG, make_layers
from torchvision.models.vision_transformer import interpolate_embeddings

from medkd_lib.models.efficientnet import STAGES, EfficientNet
from medkd_lib.models.imagenet import POSITIONS, load_trunk
from medkd_lib.models.vgg import NARROW, VggTrunk
from medkd_lib.models.vit import VitSize, VitTrunk

SIZE = VitSize(8, 16, 2, 2, 32)


@pytest.fixture(scope="module")
def vgg() -> nn.Module:
    """A torchvision VGG of our narrow layers, its fully connected head cut to size."""
    torch.manual_seed(1)
    with torch.device("meta"):
        whole = VGG(make_layers([*NARROW, "M"], batch_norm=True), init_weights=False)
    whole.classifier = nn.Sequential(nn.Linear(64, 10))
    whole.features = make_layers([*NARROW, "M"], batch_norm=True)
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
    return whole.eval()


@pytest.fixture(scope="module")
def vit() -> VisionTransformer:
    torch.manual_seed(2)
    whole = VisionTransformer(32, 8, SIZE.depth, SIZE.heads, SIZE.dim, SIZE.mlp, num_classes=10)
    nn.init.normal_(whole.class_token)
    return whole.eval()


def saved(weights: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({k: w.contiguous() for k, w in weights.items()}, path)
    else:
        torch.save(weights, path)
    return path


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def efficientnet() -> Published:
    torch.manual_seed(3)
    stages = [MBConvConfig(*s, width_mult=0.25, depth_mult=0.3) for s in STAGES]
    whole = Published(stages, dropout=0.2, num_classes=10)
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, std=0.1)
    return whole.eval()


@pytest.mark.parametrize("read", ["last", "all"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_the_published_efficientnet_is_ours_up_to_the_head(
    name: str, read: Any, efficientnet: Published, tmp_path: Path
) -> None:
    x, file = images(2, 3, 64, 64), saved(efficientnet.state_dict(), tmp_path / name)
    ours = EfficientNet(3, 2, 0.25, 0.3, read=read).eval()
    head = {k: v.clone() for k, v in ours.head.state_dict().items()}
    loaded = load_trunk(ours, file)
    assert loaded.adapted == ()
    assert set(loaded.ignored) == {"classifier.1.weight", "classifier.1.bias"}
    theirs = efficientnet.features(x).mean(dim=(2, 3))
    torch.testing.assert_close(ours.read_out(ours.encode(x))[:, -theirs.shape[1] :], theirs)
    assert all(torch.equal(v, head[k]) for k, v in ours.head.state_dict().items())
    grey = EfficientNet(1, 2, 0.25, 0.3).eval()
    assert len(load_trunk(grey, file).adapted) == 1
    one = images(2, 1, 64, 64)
    repeated = efficientnet.features(one.expand(-1, 3, -1, -1)).mean(dim=(2, 3))
    torch.testing.assert_close(grey.read_out(grey.encode(one)), repeated, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="another shape"):
        load_trunk(EfficientNet(3, 2, 0.5, 0.3), file)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_the_published_network_answers_through_our_trunk(
    name: str, vgg: nn.Module, vit: VisionTransformer, tmp_path: Path
) -> None:
    x = images(2, 3, 32, 32)
    ours: VggTrunk | VitTrunk = VggTrunk(3, NARROW).eval()
    loaded = load_trunk(ours, saved(vgg.state_dict(), tmp_path / name))
    torch.testing.assert_close(ours(x), vgg.get_submodule("features")[:-1](x))  # type: ignore[index]
    assert loaded.adapted == ()
    assert set(loaded.ignored) == {"classifier.0.weight", "classifier.0.bias"}
    ours = VitTrunk(3, 32, SIZE).eval()
    loaded = load_trunk(ours, saved(vit.state_dict(), tmp_path / name))
    torch.testing.assert_close(vit.heads(ours(x)[:, 0]), vit(x))
    assert loaded.adapted == ()
    assert set(loaded.ignored) == {"heads.head.weight", "heads.head.bias"}


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_a_grey_image_gives_the_map_of_the_grey_rgb_image(
    channels: int, vgg: nn.Module, vit: VisionTransformer, tmp_path: Path
) -> None:
    grey = images(2, 1, 32, 32)
    for theirs, ours, rgb in (
        (vgg, VggTrunk(channels, NARROW), VggTrunk(3, NARROW)),
        (vit, VitTrunk(channels, 32, SIZE), VitTrunk(3, 32, SIZE)),
    ):
        path = saved(theirs.state_dict(), tmp_path / "w.pth")
        load_trunk(rgb, path)
        loaded = load_trunk(ours, path)
        found = ours.eval()(grey.expand(-1, channels, -1, -1))
        expected = rgb.eval()(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert f"repeated for {channels} channels, times 3/{channels}" in loaded.adapted[0]


def test_three_channels_keep_their_colours(vgg: nn.Module, tmp_path: Path) -> None:
    ours = VggTrunk(3, NARROW)
    load_trunk(ours, saved(vgg.state_dict(), tmp_path / "w.pth"))
    weight = ours.features[0].weight.detach()
    assert float((weight - weight.mean(dim=1, keepdim=True)).abs().max()) > 1e-3


@pytest.mark.parametrize("image_size", [16, 64])
def test_positions_follow_the_grid(image_size: int, vit: VisionTransformer, tmp_path: Path) -> None:
    weights = vit.state_dict()
    ours = VitTrunk(3, image_size, SIZE)
    loaded = load_trunk(ours, saved(weights, tmp_path / "w.pth"))
    expected = interpolate_embeddings(image_size, 8, {POSITIONS: weights[POSITIONS]})[POSITIONS]
    found = ours.vit.encoder.pos_embedding
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(found[:, 0], weights[POSITIONS][:, 0], rtol=0, atol=0)
    # corners aligned: the first patch keeps its embedding
    torch.testing.assert_close(found[:, 1], weights[POSITIONS][:, 1])
    grid = image_size // 8
    assert loaded.adapted == (
        f"{POSITIONS}: interpolated (bicubic) from 4 x 4 to {grid} x {grid} patches",
    )


def test_files_older_than_some_names_are_read(
    vgg: nn.Module, vit: VisionTransformer, tmp_path: Path
) -> None:
    """As published: VGG without batch norm's counters, ViT with the MLP layers' former names."""
    old = {k: w for k, w in vgg.state_dict().items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "w.pth"
    torch.save(old, path, _use_new_zipfile_serialization=False)
    trunk = VggTrunk(3, NARROW)
    load_trunk(trunk, path)
    x = images(2, 3, 32, 32)
    features = vgg.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    torch.testing.assert_close(trunk.eval()(x), features[:-1](x))
    former = {
        k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): w
        for k, w in vit.state_dict().items()
    }
    assert any("linear_2" in k for k in former)
    ours = VitTrunk(3, 32, SIZE).eval()
    load_trunk(ours, saved(former, path))
    torch.testing.assert_close(vit.heads(ours(x)[:, 0]), vit(x))


def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    vgg: nn.Module, vit: VisionTransformer, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    trunk = VitTrunk(4, 32, SIZE)
    before = {k: w.clone() for k, w in trunk.state_dict().items()}
    weights = vit.state_dict()
    weights["encoder.extra"] = weights.pop("encoder.ln.weight")
    weights["class_token"] = torch.zeros(1, 1, 8)
    with pytest.raises(ValueError) as error:
        load_trunk(trunk, saved(weights, path))
    for said in (
        str(path),
        "missing: encoder.ln.weight",
        "unexpected: encoder.extra",
        "another shape: class_token (1, 1, 8) instead of (1, 1, 16)",
    ):
        assert said in str(error.value)
    assert all(torch.equal(w, before[k]) for k, w in trunk.state_dict().items())
    with pytest.raises(ValueError, match=r"missing: class_token.* and \d+ more; unexpected: feat"):
        load_trunk(trunk, saved(vgg.state_dict(), path))
    with pytest.raises(ValueError, match="missing: features"):
        load_trunk(VggTrunk(4, NARROW), saved(vit.state_dict(), path))
    weights = vit.state_dict() | {POSITIONS: torch.zeros(1, 8, 16)}
    with pytest.raises(ValueError, match=r"1 \+ a square of tokens, found 8"):
        load_trunk(trunk, saved(weights, path))


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    trunk = VggTrunk(4, NARROW)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth: expected a file"):
        load_trunk(trunk, tmp_path / "nowhere.pth")
    for name in ("text.pth", "text.safetensors", "text.h5"):
        (tmp_path / name).write_text("not weights")
        with pytest.raises(ValueError, match=rf"{name}: expected a state dict"):
            load_trunk(trunk, tmp_path / name)
    torch.save({"epoch": 3, "model": trunk.state_dict()}, tmp_path / "whole.pth")
    with pytest.raises(ValueError, match=r"whole\.pth.*save model\.state_dict\(\) alone"):
        load_trunk(trunk, tmp_path / "whole.pth")
    torch.save(trunk, tmp_path / "pickled.pth")  # a pickle may run code: weights_only refuses it
    with pytest.raises(ValueError, match=r"pickled\.pth: expected a state dict"):
        load_trunk(trunk, tmp_path / "pickled.pth")
