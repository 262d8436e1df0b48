"""CycleGAN's history: what it hands out, how often, and that a resumed one goes on to the bit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medkd_lib.methods.image_pool import ImagePool


def numbered(*numbers: int) -> Tensor:
    """Images ``(N, 1, 1, 2)`` that show their own number."""
    return torch.tensor(numbers).float().view(-1, 1, 1, 1).expand(-1, 1, 1, 2)


def numbers(images: Tensor) -> list[int]:
    return [int(image.flatten()[0]) for image in images]


def test_while_it_fills_everybody_is_handed_on() -> None:
    pool = ImagePool(3)
    assert numbers(pool.exchange(numbered(0, 1))) == [0, 1]
    assert numbers(pool.exchange(numbered(2))) == [2]
    assert [int(image.flatten()[0]) for image in pool.images] == [0, 1, 2]


def test_then_half_are_exchanged_for_older_ones() -> None:
    pool = ImagePool(50)
    given = [list(range(start, start + 4)) for start in range(0, 4000, 4)]
    back = [numbers(pool.exchange(numbered(*four))) for four in given]
    later = [
        (g, b)
        for gs, bs in zip(given, back, strict=True)
        for g, b in zip(gs, bs, strict=True)
        if g >= 100
    ]
    exchanged = [(g, b) for g, b in later if b != g]
    # binomial, 3900 times ½: standard deviation 0.008
    assert len(exchanged) / len(later) == pytest.approx(0.5, abs=0.03)
    assert all(b < g for g, b in exchanged)
    # one in 50 is replaced every second image: a mean age of 100
    ages = [g - b for g, b in exchanged if g > 1000]
    assert sum(ages) / len(ages) == pytest.approx(100, rel=0.15)
    # whoever is handed out has left the pool, so nobody comes twice
    old = [b for _, b in exchanged]
    assert len(set(old)) == len(old)


def test_images_are_cut_off_from_the_generator_and_from_later_changes() -> None:
    pool, images = ImagePool(2), numbered(0, 1).clone().requires_grad_()
    assert not pool.exchange(images * 1).requires_grad
    with torch.no_grad():
        images.fill_(9)
    assert [int(image.flatten()[0]) for image in pool.images] == [0, 1]
    # nor does the pool hold on to the batch's memory
    assert all(image.untyped_storage().nbytes() == 8 for image in pool.images)


def test_other_draws_and_the_pool_leave_each_other_alone() -> None:
    def run(disturb: bool) -> list[int]:
        pool = ImagePool(4, seed=1)
        out = []
        for n in range(40):
            if disturb:
                torch.rand(3)
            out += numbers(pool.exchange(numbered(n)))
        return out

    before = torch.get_rng_state()
    quiet = run(disturb=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert run(disturb=True) == quiet


def test_a_resumed_pool_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole, first = ImagePool(4, seed=2), ImagePool(4, seed=2)
    for n in range(20):
        whole.exchange(numbered(2 * n, 2 * n + 1))
    for n in range(7):
        first.exchange(numbered(2 * n, 2 * n + 1))
    torch.save(first.state_dict(), tmp_path / "pool.pt")
    # what happens to it afterwards is not in the file
    first.exchange(numbered(100, 101))
    second = ImagePool(4, seed=99)
    second.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True))
    for n in range(7, 20):
        second.exchange(numbered(2 * n, 2 * n + 1))
    assert numbers(torch.stack(second.images)) == numbers(torch.stack(whole.images))
    assert torch.equal(second.generator.get_state(), whole.generator.get_state())


def test_a_state_does_not_change_after_it_was_taken() -> None:
    pool = ImagePool(2)
    pool.exchange(numbered(0))
    state = pool.state_dict()
    for n in range(1, 30):
        pool.exchange(numbered(n))
    assert numbers(torch.stack(state["images"])) == [0]


def test_an_empty_pool_hands_everybody_on() -> None:
    pool = ImagePool(0)
    assert numbers(pool.exchange(numbered(5, 6))) == [5, 6]
    assert not pool.images


def test_errors() -> None:
    with pytest.raises(ValueError, match="size: expected 0 or more, found -1"):
        ImagePool(-1)
    pool = ImagePool(3)
    pool.exchange(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"expected \(N, 1, 4, 4\) .* found \(1, 1, 8, 8\)"):
        pool.exchange(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="of size 50, found 3"):
        ImagePool(50).load_state_dict(pool.state_dict())
