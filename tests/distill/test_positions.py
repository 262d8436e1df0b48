"""Which positions a loss over pairs takes."""

import pytest
import torch

from medkd_lib.distill.positions import places_of_classes, some_positions


def test_all_of_them_where_they_are_few_and_no_number_is_drawn() -> None:
    draw = torch.Generator().manual_seed(0)
    before = draw.get_state()
    assert some_positions(torch.zeros(1, 2, 3, 4), 12, draw) == slice(None)
    assert torch.equal(draw.get_state(), before)


def test_distinct_positions_each_as_likely() -> None:
    draw, maps = torch.Generator().manual_seed(0), torch.zeros(2, 1, 2, 3)
    count = torch.zeros(6)
    for _ in range(600):
        chosen = some_positions(maps, 2, draw)
        assert isinstance(chosen, torch.Tensor)
        assert len(set(chosen.tolist())) == 2
        count[chosen] += 1
    # 200 each, standard deviation 11.5
    assert (count - 200).abs().max() < 50


def test_without_a_generator_the_cost_is_named() -> None:
    with pytest.raises(ValueError, match=r"128 x 128 = 16384 positions.*would take 1024 MiB"):
        some_positions(torch.zeros(1, 1, 128, 128), 4096, None)


def test_every_class_has_its_say() -> None:
    labels = torch.tensor([0, 0, 2, 0, 1, 0, 0, 2, 0, 0])
    draw = torch.Generator().manual_seed(0)
    count = torch.zeros(10)
    for _ in range(700):
        chosen = places_of_classes(labels, 2, draw)
        assert labels[chosen].bincount().tolist() == [2, 1, 2]
        assert chosen.tolist() == sorted({*chosen.tolist()})
        count[chosen] += 1
    assert (count[labels != 0] == 700).all()
    # two of seven: 200 each, standard deviation 12
    assert (count[labels == 0] - 200).abs().max() < 50


def test_where_all_are_taken_no_number_is_drawn() -> None:
    labels = torch.tensor([1, 0, 1])
    assert places_of_classes(labels, 2, None).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="2 places of class 1, more than per_class = 1"):
        places_of_classes(labels, 1, None)
    with pytest.raises(ValueError, match="expected 1 or more, found 0"):
        places_of_classes(labels, 0, None)
