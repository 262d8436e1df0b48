"""What lesson 04 goes on with where its exercises are open."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.course.mended_cmedl import matched_quantiles, mended_step


def test_five_pixels_by_hand() -> None:
    ct, mr = np.array([45.0, -100, 300, -850, 45]), np.array([6.0, 0, 8, 1, 2])
    assert matched_quantiles(ct, mr).tolist() == [4, 1, 8, 0, 4]
    assert mr.tolist() == [6, 0, 8, 1, 2]


def test_a_histogram_becomes_the_other_and_the_order_stays() -> None:
    rng = np.random.default_rng(0)
    ct, mr = rng.normal(size=(2, 60))
    found = matched_quantiles(ct, mr)
    np.testing.assert_allclose(np.sort(found), np.sort(mr))
    assert (np.diff(found[np.argsort(ct)]) >= 0).all()


def test_as_many_values_on_either_side() -> None:
    with pytest.raises(ValueError, match="as many MR as CT values, found \\(3,\\) and \\(4,\\)"):
        matched_quantiles(np.zeros(3), np.zeros(4))


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = self.trunk(images).tanh()
        return self.head(found), found


def test_every_loss_has_its_value_and_trains_one_network() -> None:
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        "generator": nn.Conv2d(1, 1, 3, padding=1), "judge": nn.Conv2d(1, 1, 3),
        "teacher": Segmenter(), "student": Segmenter(),
    }  # fmt: skip
    ct, mr = torch.randn(2, 2, 1, 5, 5)
    ct_masks, mr_masks = torch.randint(2, (2, 2, 5, 5))
    losses = mended_step(networks, ct, ct_masks, mr, mr_masks)
    whom = {"adversarial": "generator", "judge": "judge", "teacher": "teacher",
            "student": "student", "hint": "student"}  # fmt: skip
    for name, loss in losses.items():
        for network in networks.values():
            network.zero_grad()
        loss.backward(retain_graph=True)
        pulled = [n for n, net in networks.items() if any(p.grad is not None and p.grad.any()
                                                          for p in net.parameters())]  # fmt: skip
        assert pulled == [whom[name]], name
    pseudo = networks["generator"](ct)
    on_mr, (on_pseudo, told) = networks["teacher"](mr)[0], networks["teacher"](pseudo)
    taught = F.cross_entropy(on_mr, mr_masks) + F.cross_entropy(on_pseudo, ct_masks)
    torch.testing.assert_close(losses["teacher"], taught)
    hint = (networks["student"](ct)[1] - told).square().mean()
    torch.testing.assert_close(losses["hint"], hint)
    fake, real = networks["judge"](pseudo), networks["judge"](mr)
    torch.testing.assert_close(losses["adversarial"], (fake - 1).square().mean())
    torch.testing.assert_close(losses["judge"], (real - 1).square().mean() + fake.square().mean())
