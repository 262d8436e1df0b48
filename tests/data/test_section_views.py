"""Views of sections: image, mask and counterpart move together, by whole pixels."""

import torch

from medkd_lib.data.section_views import section_views


def test_what_shows_one_place_moves_together() -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 1, 12, 12) * 1.8 - 0.9
    masks = (images[:, 0] > 0.5).to(torch.uint8)
    found = section_views(
        {"source": images, "source_masks": masks, "true": -images}, shift=3, flip=0.5
    )
    inside = found["source"] > -1
    assert torch.equal((found["source"][:, 0] > 0.5).to(torch.uint8), found["source_masks"])
    assert torch.equal(found["true"][inside], -found["source"][inside])
    assert not torch.equal(found["source"], images)


def test_values_are_moved_and_never_mixed() -> None:
    torch.manual_seed(1)
    images = torch.arange(16.0).view(1, 1, 4, 4).repeat(20, 1, 1, 1)
    found = section_views({"target": images}, shift=2)
    assert set(found["target"].unique().tolist()) <= {-1.0, *range(16)}
    # air moves in where the image was
    assert (found["target"] == -1).any()


def test_source_and_target_move_apart() -> None:
    torch.manual_seed(2)
    images = torch.rand(10, 1, 9, 9)
    found = section_views({"source": images, "target": images}, shift=3)
    assert not torch.equal(found["source"], found["target"])


def test_nothing_moves_when_nothing_may() -> None:
    images = torch.rand(3, 1, 5, 6)
    assert torch.equal(section_views({"more": images}, shift=0)["more"], images)
