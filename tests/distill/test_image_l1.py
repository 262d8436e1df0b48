"""Mean absolute difference: PyTorch's, and the shapes it must not broadcast."""

import pytest
import torch
import torch.nn.functional as F

from medkd_lib.distill.image_l1 import image_l1
from tests.distill.losses import random


def test_pytorchs_l1_agrees() -> None:
    output, images = random((3, 2, 4, 5), 0), random((3, 2, 4, 5), 1)
    assert float(image_l1(output, images)) == pytest.approx(float(F.l1_loss(output, images)))


def test_by_hand_and_bounded() -> None:
    output, images = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[-1.0, -0.5]]]])
    assert float(image_l1(output, images)) == (2 + 0.5) / 2
    assert float(image_l1(torch.ones(1, 1, 2, 2), -torch.ones(1, 1, 2, 2))) == 2


def test_one_channel_is_not_compared_with_three() -> None:
    with pytest.raises(ValueError, match=r"output \(1, 1, 4, 4\) and images \(1, 3, 4, 4\)"):
        image_l1(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4))
