"""What every segmentation network owes its methods: sizes, taps, gradients, norms, eval mode."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.mrrn import MRRN
from medkd_lib.models.segmentation import Norm, SegmentationNetwork, norm_layer, upsample
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.trans_resunet import TransResUNet
from medkd_lib.models.unet import UNet

NETWORKS: dict[str, Callable[[Norm], SegmentationNetwork]] = {
    "unet": lambda norm: UNet(2, 3, (4, 6, 8), norm),
    "fc_densenet": lambda norm: FCDenseNet(2, 3, 6, 2, (2, 1), 2, (1, 3), norm),
    "mrrn": lambda norm: MRRN(2, 3, 4, 3, "clean", norm),
    "mrrn_published": lambda norm: MRRN(2, 3, 4, 3, "published", norm),
    "trans_resunet": lambda norm: TransResUNet(2, 3, 4, (1, 1, 1), norm, dropout=0.0),
}
EVERY_NETWORK = pytest.mark.parametrize("name", NETWORKS)
BOTH_NORMS = pytest.mark.parametrize("norm", ["batch", "instance"])


def build(name: str, norm: Norm = "batch") -> SegmentationNetwork:
    torch.manual_seed(0)
    return NETWORKS[name](norm).eval()


def images(network: SegmentationNetwork, number: int = 2) -> Tensor:
    """Return oblong images, an odd number of strides on each side."""
    shape = (number, network.in_channels, 3 * network.stride, 5 * network.stride)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def without_dropout(network: SegmentationNetwork) -> SegmentationNetwork:
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    return network


@EVERY_NETWORK
@BOTH_NORMS
def test_logits_have_the_size_of_the_images(name: str, norm: Norm) -> None:
    network = build(name, norm)
    x = images(network)
    assert network(x).shape == (2, 3, *x.shape[-2:])


@EVERY_NETWORK
def test_hint_places_are_half_and_full_size_and_have_the_stated_channels(name: str) -> None:
    network = build(name)
    x = images(network)
    height, width = x.shape[-2:]
    with tap(network, {place: place for place in (*network.hint_places, "head")}) as seen:
        logits = network(x)
    half, full = (seen[place] for place in network.hint_places)
    assert half.shape == (2, network.hint_channels[0], height // 2, width // 2)
    assert full.shape == (2, network.hint_channels[1], height, width)
    assert seen["head"] is logits
    # A hint teaches what lies before it: its gradient reaches the first weights.
    for hint in (half, full):
        first = next(network.parameters())
        (gradient,) = torch.autograd.grad(hint.square().mean(), first, retain_graph=True)
        assert gradient.abs().max() > 0


def test_a_teacher_and_a_student_of_other_architecture_are_tapped_alike() -> None:
    assert {build(name).hint_places for name in NETWORKS} == {("hint_half", "hint_full")}


@EVERY_NETWORK
def test_the_gradient_reaches_every_weight(name: str) -> None:
    # In eval mode: a norm that uses the batch's mean takes the gradient from the bias before it.
    network = build(name)
    network(images(network)).square().mean().backward()
    silent = {
        path
        for path, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    }
    # What the published layout writes to a stream and nobody reads: see tests/models/test_mrrn.py.
    forgotten = {"encoder.2.1.adjust"} if name == "mrrn_published" else set()
    assert silent == {f"{path}.{kind}" for path in forgotten for kind in ("weight", "bias")}


@EVERY_NETWORK
@BOTH_NORMS
def test_eval_mode_is_deterministic_and_looks_at_one_image_at_a_time(name: str, norm: Norm) -> None:
    # In double precision: other batch sizes round otherwise, and instance norms of narrow maps
    # blow that up to the fifth decimal.
    network = build(name, norm).double()
    x = images(network).double()
    with torch.no_grad():
        logits = network(x)
        assert torch.equal(network(x), logits)
        torch.testing.assert_close(network(x[:1])[0], logits[0], rtol=0, atol=1e-10)


@EVERY_NETWORK
@BOTH_NORMS
def test_only_batch_norm_lets_images_meet_in_training(name: str, norm: Norm) -> None:
    network = without_dropout(build(name, norm)).train()
    x = images(network)
    others = torch.cat([x[:1], 5 * x[1:] + 3])
    with torch.no_grad():
        change = (network(x)[0] - network(others)[0]).abs().max()
    assert change > 1e-2 if norm == "batch" else change < 1e-4


@EVERY_NETWORK
def test_both_norms_have_the_same_number_of_parameters(name: str) -> None:
    assert parameter_count(build(name, "batch")) == parameter_count(build(name, "instance"))
    kinds = {type(m) for m in build(name, "instance").modules()}
    assert nn.InstanceNorm2d in kinds
    assert nn.BatchNorm2d not in kinds


@EVERY_NETWORK
def test_images_that_do_not_fit_are_refused(name: str) -> None:
    network = build(name, "instance")
    stride = network.stride
    with pytest.raises(ValueError, match=f"multiples of {stride}, found {stride} x {stride + 1}"):
        network(torch.zeros(1, 2, stride, stride + 1))
    with pytest.raises(ValueError, match=r"expected \(N, 2, H, W\), found \(1, 1, 8, 8\)"):
        network(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="one position"):
        network(torch.zeros(1, 2, stride, stride))
    # Batch norm in eval mode has its statistics and takes the same image.
    assert build(name)(torch.zeros(1, 2, stride, stride)).isfinite().all()


@EVERY_NETWORK
def test_an_unknown_norm_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"norm: expected one of .*, found 'group'"):
        build(name, "group")  # type: ignore[arg-type]


def test_norms_have_scale_and_shift() -> None:
    assert [parameter_count(norm_layer(norm, 5)) for norm in ("batch", "instance")] == [10, 10]


def test_upsampling_keeps_corners_and_planes() -> None:
    plane = torch.arange(3.0)[:, None] + 10 * torch.arange(4.0)
    up = upsample(plane[None, None], 4)[0, 0]
    expected = torch.linspace(0, 2, 12)[:, None] + 10 * torch.linspace(0, 3, 16)
    torch.testing.assert_close(up, expected)
