"""Least-squares GAN, cycle and identity: closed forms, MONAI as oracle, and what they allow."""

from collections.abc import Callable

import pytest
import torch
from monai.losses.adversarial_loss import PatchAdversarialLoss
from torch import Tensor

from medkd_lib.distill.gan import cycle_loss, identity_loss, lsgan_discriminator, lsgan_generator
from medkd_lib.models.patch_discriminator import patch_discriminator
from tests.distill.losses import random


def scores(seed: int) -> Tensor:
    return random((4, 1, 3, 5), seed)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "generator": lsgan_generator,
    "discriminator, real": lambda a: lsgan_discriminator(a, torch.zeros_like(a)),
    "discriminator, fake": lambda a: lsgan_discriminator(torch.ones_like(a), a),
}
EACH = pytest.mark.parametrize("name", LOSSES)


def test_closed_forms() -> None:
    zero, half, one = (torch.full((2, 1, 3, 3), v) for v in (0.0, 0.5, 1.0))
    assert float(lsgan_discriminator(one, zero)) == 0
    assert float(lsgan_discriminator(half, half)) == 0.5
    assert float(lsgan_discriminator(zero, one)) == 2
    assert [float(lsgan_generator(x)) for x in (zero, half, one)] == [1, 0.25, 0]


def test_monai_agrees() -> None:
    monai = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)
    real, fake = scores(0), scores(1)
    theirs = monai(real, True, for_discriminator=True) + monai(fake, False, for_discriminator=True)
    assert float(lsgan_discriminator(real, fake)) == pytest.approx(float(theirs))
    generator = monai(fake, True, for_discriminator=False)
    assert float(lsgan_generator(fake)) == pytest.approx(float(generator))


def test_a_mean_over_images_and_patches() -> None:
    fake = scores(0)
    single = [float(lsgan_generator(s)) for s in fake.flatten()]
    assert float(lsgan_generator(fake)) == pytest.approx(sum(single) / len(single))


def test_a_fake_beyond_real_is_pulled_back_too() -> None:
    fake = torch.tensor([3.0], requires_grad=True)
    lsgan_generator(fake).backward()
    assert fake.grad is not None and float(fake.grad) == 4


@EACH
def test_gradcheck(name: str) -> None:
    a = scores(0).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], a)
    (gradient,) = torch.autograd.grad(LOSSES[name](a), a)
    assert gradient.abs().max() > 1e-3


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_finite_in_half_precision_and_at_huge_scores(name: str, dtype: torch.dtype) -> None:
    a = (1e4 * torch.sign(scores(0))).to(dtype).requires_grad_()
    value = LOSSES[name](a)
    value.backward()
    assert value.dtype == torch.float32 and 1e7 < float(value.detach()) < 1e9
    assert a.grad is not None and torch.isfinite(a.grad).all()


def test_a_list_of_maps_is_refused_with_the_remedy() -> None:
    maps = patch_discriminator(2, 1)(torch.zeros(1, 1, 16, 16))
    with pytest.raises(TypeError, match=r"fake_scores: .* found a list; .*network\(images\)\[-1\]"):
        lsgan_generator(maps)
    with pytest.raises(TypeError, match="real_scores"):
        lsgan_discriminator(maps, maps[-1])
    assert torch.isfinite(lsgan_generator(maps[-1]))


def test_the_cycle_does_not_see_a_wrong_translation_that_can_be_undone() -> None:
    """Upside down is no MR; there and back is the image all the same."""
    images = random((2, 1, 4, 4), 0)
    flipped = images.flip(2)
    assert float(cycle_loss(flipped.flip(2), images)) == 0
    # neither does the identity term, which asks about images of the other modality only
    mr = random((2, 1, 4, 4), 1)
    assert float(identity_loss(mr, mr)) == 0
    assert float(identity_loss(mr.flip(2), mr)) > 0.1


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss])
def test_the_image_is_a_constant(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    restored, images = (random((2, 1, 4, 4), seed).requires_grad_() for seed in (0, 1))
    loss(restored, images).backward()
    assert images.grad is None
    assert restored.grad is not None
    torch.testing.assert_close(restored.grad, torch.sign(restored - images).detach() / 32)
