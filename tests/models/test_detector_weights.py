"""Published layouts have their published sizes; weights that a user brings arrive unchanged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.ops import FrozenBatchNorm2d

from medkd_lib.models.detector import head_of
from medkd_lib.models.faster_rcnn import resnet50_faster_rcnn, small_faster_rcnn
from medkd_lib.models.rf_detr import (
    PUBLISHED,
    RFDETR,
    published_rf_detr,
    rf_detr_from,
    small_rf_detr,
)

CONV = "backbone.body.conv1.weight"


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_faster_rcnn_has_the_published_size() -> None:
    # torchvision's own with 2 classes, background among them; batch norm's weights counted
    assert parameters(resnet50_faster_rcnn(3, 1)) == 41_352_281
    assert parameters(resnet50_faster_rcnn(1, 1)) == 41_352_281 - 2 * 64 * 49
    assert resnet50_faster_rcnn(1, 1).level_channels == (256,) * 4


@pytest.mark.parametrize(
    ("size", "millions"), [("nano", 30.5), ("small", 32.1), ("medium", 33.7), ("large", 33.9)]
)
def test_rf_detr_has_the_published_sizes(size: Any, millions: float) -> None:
    """As its authors' README counts them, with the classes of COCO."""
    with torch.device("meta"):
        network = published_rf_detr(size, 3, 91)
    assert round(parameters(network) / 1e6, 1) == millions
    assert network.stride == 32 and PUBLISHED[size].side % 32 == 0


def test_small_ones_are_small() -> None:
    assert parameters(small_faster_rcnn(1, 1)) < 200_000
    assert parameters(small_rf_detr(1, 1)) < 1_000_000


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="nano"):
        published_rf_detr("huge", 1, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 36"):
        small_rf_detr(1, 1, 48, queries=37)
    with pytest.raises(ValueError, match="anchors: expected 4"):
        small_faster_rcnn(1, 1, anchors=(8, 16))


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's of COCO: 91 classes, batch norm that does not count."""
    torch.manual_seed(0)
    whole = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    state = {k: v for k, v in whole.state_dict().items() if "num_batches" not in k}
    path = tmp_path_factory.mktemp("weights") / "coco.safetensors"
    save_file({k: v.clone() for k, v in state.items()}, path)
    return path


def test_weights_of_torchvision_arrive(coco: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(coco)
    network = resnet50_faster_rcnn(1, 2, coco)
    state = network.state_dict()
    assert torch.equal(state["head.rpn.head.conv.0.0.weight"], weights["rpn.head.conv.0.0.weight"])
    body = "body.layer2.0.conv2.weight"
    assert torch.equal(state["encoder." + body], weights["backbone." + body])
    grey = state["encoder.body.conv1.weight"]
    torch.testing.assert_close(grey, weights[CONV].sum(dim=1, keepdim=True))
    assert head_of(network).classes == 2
    frozen = [m for m in network.modules() if isinstance(m, FrozenBatchNorm2d)]
    # torchvision's own switch for these weights
    assert frozen and {m.eps for m in frozen} == {0.0}
    # as torchvision: the first layers stay as they are, grey or not
    assert not network.encoder.body.conv1.weight.requires_grad  # type: ignore[union-attr]
    assert network.encoder.body.layer3[0].conv1.weight.requires_grad  # type: ignore[index,union-attr]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_file({CONV: torch.zeros(64, 3, 7, 7)}, wrong)
    with pytest.raises(ValueError, match="missing: "):
        resnet50_faster_rcnn(3, 1, wrong)
    with pytest.raises(FileNotFoundError, match="none"):
        resnet50_faster_rcnn(3, 1, tmp_path / "nowhere.pth")


def saved(folder: Path, classes: int = 2) -> tuple[RFDETR, Path]:
    """A small network, and the folder in which transformers saved it."""
    torch.manual_seed(3)
    network = small_rf_detr(3, classes, 48, hidden=16, layers=2, width=16, queries=6, groups=2)
    whole: Any = head_of(network).network
    whole.model.backbone, handed = network.encoder, whole.model.backbone
    whole.save_pretrained(folder)
    whole.model.backbone = handed
    return network, folder


def test_weights_of_transformers_arrive(tmp_path: Path) -> None:
    network, folder = saved(tmp_path / "own")
    again = rf_detr_from(folder, 3, 2)
    state = again.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert again.training


def test_grey_images_see_what_grey_rgb_images_gave(tmp_path: Path) -> None:
    network, folder = saved(tmp_path / "own")
    grey = rf_detr_from(folder, 1, 2)
    x = torch.randn(2, 1, 48, 48)
    (expected,), (found,) = network.encode(x.expand(2, 3, 48, 48)), grey.encode(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        grey.encode(x.expand(2, 3, 48, 48))


def test_other_classes_get_fresh_last_layers(tmp_path: Path) -> None:
    network, folder = saved(tmp_path / "own")
    other = rf_detr_from(folder, 3, 5)
    mine, theirs = network.state_dict(), other.state_dict()
    fresh = {k for k, v in mine.items() if v.shape != theirs[k].shape}
    assert all("class_embed" in k for k in fresh) and len(fresh) == 6
    assert all(torch.equal(v, theirs[k]) for k, v in mine.items() if k not in fresh)
    assert other.eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 6, 9)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json.*model\.safetensors"):
        rf_detr_from(tmp_path, 1, 1)
    _, folder = saved(tmp_path / "own")
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("query_feat.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"missing: model\.query_feat"):
        rf_detr_from(folder, 3, 2)
