"""Rollout, Grad-CAM and localisation against closed forms."""

import math

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.evaluate.saliency import attention_rollout, grad_cam, localisation
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.models.tap import tap
from medkd_lib.models.vit import NARROW_VIT, VitTrunk, attention_weights


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_rollout_is_the_product_of_averaged_residual_attention() -> None:
    weights = [random(2, 3, 5, 5).softmax(-1), random(2, 3, 5, 5).roll(1, 0).softmax(-1)]
    found = attention_rollout(weights)
    for n in range(2):
        first, second = (0.5 * w[n].mean(0) + 0.5 * torch.eye(5) for w in weights)
        expected = (second @ first)[0, 1:].reshape(2, 2)
        torch.testing.assert_close(found[n], expected)


def test_order_of_blocks_matters() -> None:
    weights = [random(1, 2, 5, 5).softmax(-1), random(1, 2, 5, 5).flip(-1).softmax(-1)]
    forward, backward = attention_rollout(weights), attention_rollout(weights[::-1])
    assert float((forward - backward).abs().max()) > 1e-3


def test_attention_that_stays_where_it_is_reaches_no_patch() -> None:
    own = torch.eye(10).expand(2, 3, 10, 10)
    torch.testing.assert_close(attention_rollout([own] * 4), torch.zeros(2, 3, 3))


def test_uniform_attention_halves_what_the_token_kept() -> None:
    uniform = torch.full((1, 2, 5, 5), 0.2)
    one, two = attention_rollout([uniform]), attention_rollout([uniform] * 2)
    torch.testing.assert_close(one, torch.full((1, 2, 2), 0.1))
    # 1/2 stays, 1/2 spreads: after two blocks 3/4 has been spread
    torch.testing.assert_close(two, torch.full((1, 2, 2), 0.15))


def test_attention_to_one_patch_points_at_it_row_by_row() -> None:
    weights = torch.zeros(1, 1, 10, 10)
    weights[..., 6] = 1  # token 6 is patch 5: second row, third column
    cam = attention_rollout([weights])[0]
    assert cam.flatten().argmax() == 5 and cam[1, 2] == 0.5 and cam.sum() == 0.5


def test_rollout_of_a_transformer() -> None:
    torch.manual_seed(0)
    trunk = VitTrunk(1, 32, NARROW_VIT).eval()
    places = {str(i): p for i, p in enumerate(trunk.attention_inputs)}
    with torch.no_grad(), tap(trunk, places) as seen:
        trunk(random(2, 1, 32, 32).float())
        weights = [attention_weights(trunk.qkv(i, seen[str(i)])) for i in range(3)]
    cam = attention_rollout(weights)
    assert cam.shape == (2, 4, 4) and bool((cam > 0).all())
    # the class token's own share is the rest of 1: at least (1/2)³
    assert bool((cam.sum((1, 2)) <= 1 - 0.5**3).all())


def test_rollout_refuses_what_has_no_grid() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        attention_rollout([])
    with pytest.raises(ValueError, match=r"1 \+ a square of tokens, found 7"):
        attention_rollout([torch.rand(1, 1, 7, 7)])


class Toy(nn.Module):
    """One convolution, the mean, a linear head: its class activation map is known."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.aside = nn.Conv2d(1, 1, 1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.aside(x)
        return self.head(self.conv(x).mean(dim=(2, 3)))


def toy() -> Toy:
    torch.manual_seed(0)
    return Toy().double().eval()


def test_grad_cam_of_a_linear_head_is_the_class_activation_map() -> None:
    model, x, classes = toy(), random(4, 1, 6, 8), torch.tensor([0, 1, 1, 0])
    found = grad_cam(model, "conv", x, classes)
    with torch.no_grad():
        # Zhou et al. 2016: Σ_k w_ck A_k; the mean's 1/hw goes with the maximum
        expected = torch.einsum("nk,nkhw->nhw", model.head.weight[classes], model.conv(x)).relu()
        expected = expected / expected.amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(found, expected)
    assert found.shape == (4, 6, 8) and not found.requires_grad
    torch.testing.assert_close(found.amax(dim=(1, 2)), torch.ones(4, dtype=torch.float64))
    assert bool((found >= 0).all())


def test_each_image_is_explained_by_itself() -> None:
    model, x, classes = toy(), random(3, 1, 6, 6), torch.tensor([0, 1, 1])
    together = grad_cam(model, "conv", x, classes)
    alone = [grad_cam(model, "conv", x[i : i + 1], classes[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_grad_cam_leaves_nothing_behind() -> None:
    model, x = toy(), random(2, 1, 6, 6)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    grad_cam(model, "conv", x, torch.tensor([0, 1]))
    assert model.conv.weight.grad is None and not x.requires_grad
    assert bool((model.head.weight.grad == 1).all())
    assert sum(len(m._forward_hooks) for m in model.modules()) == 0


def test_a_frozen_network_and_no_grad_around_do_no_harm() -> None:
    model, x, classes = toy(), random(2, 1, 6, 6), torch.tensor([0, 1])
    expected = grad_cam(model, "conv", x, classes)
    model.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(model, "conv", x, classes), expected)


def test_nothing_that_speaks_for_a_class_is_a_map_of_zeros() -> None:
    model = toy()
    with torch.no_grad():
        model.conv.weight.fill_(1)
        model.conv.bias.fill_(0)  # type: ignore[union-attr]
        model.head.weight.fill_(-1)
    cam = grad_cam(model, "conv", torch.ones(1, 1, 6, 6, dtype=torch.float64), torch.tensor([0]))
    assert bool((cam == 0).all())


def test_a_network_with_in_place_activations() -> None:
    torch.manual_seed(0)
    model = SmallCNN(3, (4, 8)).eval()
    x = random(2, 1, 16, 16).float()
    cam = grad_cam(model, "stages.stage2", x, torch.tensor([0, 2]))
    assert cam.shape == (2, 4, 4) and bool(torch.isfinite(cam).all())
    # the last map before mean and head: again the class activation map
    a = model.stages(x)
    expected = torch.einsum("nk,nkhw->nhw", model.head.weight[[0, 2]], a).relu().detach()
    highest = expected.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(cam, expected / highest)


def test_grad_cam_says_what_is_wrong() -> None:
    model, x, classes = toy(), random(2, 1, 6, 6), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="in eval mode"):
        grad_cam(toy().train(), "conv", x, classes)
    with pytest.raises(KeyError, match="no module 'stem'"):
        grad_cam(model, "stem", x, classes)
    with pytest.raises(ValueError, match=r"map \(N, K, h, w\) or .* at 'head', found \(2, 2\)"):
        grad_cam(model, "head", x, classes)
    with pytest.raises(ValueError, match="no gradient at 'aside'"):
        grad_cam(model, "aside", x, classes)
    guarded = nn.Sequential(model).eval()
    guarded.forward = torch.no_grad()(guarded.forward)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"torch\.no_grad"):
        grad_cam(guarded, "0.conv", x, classes)


def test_localisation_by_hand() -> None:
    maps = torch.tensor([[[4.0, 1.0], [2.0, 1.0]]]).expand(3, 2, 2)
    masks = torch.zeros(3, 2, 2, dtype=torch.bool)
    masks[0, 0, 0] = True
    masks[1, 1] = True
    share, hit = localisation(maps, masks)
    torch.testing.assert_close(share[:2], torch.tensor([0.5, 0.375]))
    assert hit[:2].tolist() == [1, 0]
    # the empty mask is no case: left out, it does not pull the mean down
    assert math.isnan(share[2]) and math.isnan(hit[2])
    assert float(share.nanmean()) == pytest.approx((0.5 + 0.375) / 2)


def test_a_map_that_knows_nothing_gets_the_masks_share_of_the_image() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[0, 4:12, 3:9] = True
    share, hit = localisation(torch.full((1, 4, 4), 0.3), masks)
    # every pixel is its maximum: so does its hit
    assert float(share) == pytest.approx(48 / 1024) == pytest.approx(float(hit))


def test_maps_are_brought_to_the_mask() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2] = 1
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[0, 8:16, 16:24] = True  # that cell
    share, hit = localisation(maps, masks)
    assert float(hit) == 1 and 0.4 < float(share) < 0.7  # bilinear: the rest is around it
    assert float(localisation(maps, masks.roll(16, 2)).hit) == 0


def test_a_map_of_zeros_points_nowhere() -> None:
    found = localisation(torch.zeros(1, 2, 2), torch.ones(1, 4, 4, dtype=torch.bool))
    assert (float(found.share), float(found.hit)) == (0, 0)


def test_localisation_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"found \(1, 2, 2\) and \(2, 4, 4\)"):
        localisation(torch.zeros(1, 2, 2), torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match="at least as large"):
        localisation(torch.zeros(1, 8, 8), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="non-negative"):
        localisation(-torch.ones(1, 2, 2), torch.ones(1, 4, 4))


class ToyOfVolumes(nn.Module):
    """The same over three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean(dim=(2, 3, 4)))


def test_grad_cam_of_volumes_is_the_class_activation_map() -> None:
    torch.manual_seed(0)
    model, x, classes = (
        ToyOfVolumes().double().eval(),
        random(3, 1, 4, 6, 8),
        torch.tensor([0, 1, 1]),
    )
    found = grad_cam(model, "conv", x, classes)
    with torch.no_grad():
        expected = torch.einsum("nk,nkdhw->ndhw", model.head.weight[classes], model.conv(x)).relu()
    for one, other in zip(found, expected, strict=True):  # each by its own maximum
        torch.testing.assert_close(one, other / other.max())
    assert found.shape == (3, 4, 6, 8)
    alone = [grad_cam(model, "conv", x[i : i + 1], classes[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(found, torch.cat(alone))


def test_a_volume_of_one_slice_is_that_slice() -> None:
    maps, masks = random(4, 5, 6).abs(), random(4, 10, 12) > 0.5
    flat, deep = localisation(maps, masks), localisation(maps[:, None], masks[:, None])
    torch.testing.assert_close(deep.share, flat.share)
    torch.testing.assert_close(deep.hit, flat.hit)
    assert bool((flat.share > 0).all())


def test_localisation_in_volumes_by_hand() -> None:
    maps = torch.zeros(4, 2, 2, 2)
    maps[:, 1, 0, 1], maps[:, 0, 1, 0] = 3, 1
    masks = torch.zeros(4, 2, 2, 2, dtype=torch.bool)
    masks[0, 1] = masks[1, 0] = masks[2, :, 1] = True
    share, hit = localisation(maps, masks)
    torch.testing.assert_close(share[:3], torch.tensor([0.75, 0.25, 0.25]))
    assert hit[:3].tolist() == [1, 0, 0] and math.isnan(share[3]) and math.isnan(hit[3])


def test_maps_of_volumes_are_brought_to_the_mask_along_every_axis() -> None:
    masks = torch.zeros(1, 16, 24, 32, dtype=torch.bool)
    masks[0, 4:8, 12:18, 24:32] = True  # the cell 1, 2, 3
    maps = torch.zeros(1, 4, 4, 4)
    maps[0, 1, 2, 3] = 1
    share, hit = localisation(maps, masks)
    assert float(hit) == 1 and 0.25 < float(share) < 0.6
    for axis in (1, 2, 3):
        assert float(localisation(maps.roll(1, axis), masks).hit) == 0
    # a map that knows nothing gets the mask's share of the box
    share, _ = localisation(torch.full((1, 4, 4, 4), 0.2), masks)
    assert float(share) == pytest.approx(4 * 6 * 8 / (16 * 24 * 32))


def test_maps_of_volumes_and_masks_of_slices_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"found \(1, 2, 2, 2\) and \(1, 4, 4\)"):
        localisation(torch.zeros(1, 2, 2, 2), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="at least as large"):
        localisation(torch.zeros(1, 4, 2, 2), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"or \(N, K, d, h, w\) at 'head', found \(1, 2\)"):
        grad_cam(ToyOfVolumes().double().eval(), "head", random(1, 1, 4, 4, 4), torch.tensor([0]))


def test_place_by_place_stays_where_the_logit_looks() -> None:
    """Pooled over one corner, the averaged gradient paints everywhere, the other only there."""
    torch.manual_seed(0)

    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Conv3d(1, 4, 3, padding=1)
            self.head = nn.Linear(4, 2)

        def forward(self, volumes: Tensor) -> Tensor:
            features = torch.relu(self.map(volumes))
            logits: Tensor = self.head(features[:, :, :2, :2, :2].mean(dim=(2, 3, 4)))
            return logits

    model, volumes = Corner().eval(), torch.randn(3, 1, 4, 4, 4)
    labels = torch.zeros(3, dtype=torch.long)
    inside = torch.zeros(3, 4, 4, 4, dtype=torch.bool)
    inside[:, :2, :2, :2] = True
    spread = grad_cam(model, "map", volumes, labels)
    exact = grad_cam(model, "map", volumes, labels, place_by_place=True)
    assert bool((spread[~inside] > 0).any()) and not bool((exact[~inside] > 0).any())
