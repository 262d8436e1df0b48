"""PatchGAN: published count, number of scores and size of the patch behind one."""

import pytest
import torch
from torch import nn

from medkd_lib.models.patch_discriminator import patch_discriminator
from medkd_lib.models.small_cnn import parameter_count

# layers: parameters at width 64, side of a patch, scores per side of 256, 64 and 48 pixels
TABLE = {
    1: (134_337, 16, (126, 30, 22)),
    2: (660_929, 34, (62, 14, 10)),
    3: (2_762_689, 70, (30, 6, 4)),
}
EVERY = pytest.mark.parametrize("layers", TABLE)


@EVERY
def test_counts_are_pinned(layers: int) -> None:
    with torch.device("meta"):
        assert parameter_count(patch_discriminator(64, layers)) == TABLE[layers][0]


def test_the_default_is_the_published_one() -> None:
    with torch.device("meta"):
        assert parameter_count(patch_discriminator()) == 2_762_689


@EVERY
def test_number_of_scores(layers: int) -> None:
    network = patch_discriminator(2, layers).eval()
    with torch.no_grad():
        found = tuple(network(torch.zeros(1, 1, s, s))[-1].shape[2:] for s in (256, 64, 48))
    assert found == tuple((n, n) for n in TABLE[layers][2])
    patch = 9 * 2**layers - 2
    assert patch == TABLE[layers][1]
    assert TABLE[layers][2] == tuple(s // 2**layers - 2 for s in (256, 64, 48))


@EVERY
def test_a_score_sees_a_patch_and_no_more(layers: int) -> None:
    network = patch_discriminator(2, layers)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign,assignment]  # sees the whole map
    x = torch.randn(1, 1, 160, 160, requires_grad=True)
    scores = network(x)[-1]
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    side = (seen.amax(0) - seen.amin(0) + 1).tolist()
    assert side == [TABLE[layers][1]] * 2


def test_scores_have_no_sigmoid_and_weights_are_drawn_small() -> None:
    torch.manual_seed(0)
    network = patch_discriminator(16)
    kernels = [w for w in network.parameters() if w.ndim == 4]
    assert all(w.std().item() == pytest.approx(0.02, rel=0.2) for w in kernels)
    assert not any(isinstance(m, nn.Sigmoid | nn.BatchNorm2d) for m in network.modules())
    assert sum(isinstance(m, nn.InstanceNorm2d) for m in network.modules()) == 3


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="found layers 0 and width 8"):
        patch_discriminator(8, 0)
