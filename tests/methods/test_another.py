"""Whose answer a shuffled control is taught."""

from itertools import product

import pytest
import torch

from medkd_lib.data.batches import numbered
from medkd_lib.methods.another import of_another


def test_where_everybody_is_somebody_else_it_is_a_roll_by_one() -> None:
    mine, theirs = of_another(torch.arange(5))
    assert mine.tolist() == [0, 1, 2, 3, 4]
    assert theirs.tolist() == torch.arange(5).roll(1).tolist()


@pytest.mark.parametrize("n", range(6))
def test_nobody_is_taught_his_own_answer(n: int) -> None:
    for names in product("abc", repeat=n):
        patients = numbered(names)
        mine, theirs = of_another(patients)
        assert (patients[mine] != patients[theirs]).all()
        # everybody is taught if there are two patients at all, and nobody otherwise
        assert mine.tolist() == (list(range(n)) if len(set(names)) > 1 else [])


def test_equal_names_have_equal_numbers() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert numbered([]).dtype == torch.long
