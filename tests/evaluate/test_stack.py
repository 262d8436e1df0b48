"""Sections back into volumes: their order, and what may not be missing."""

import numpy as np
import pytest
import torch

from medkd_lib.evaluate.stack import rows_by_case, volumes


def test_sections_stack_in_the_order_of_their_numbers() -> None:
    rng = np.random.default_rng(0)
    whole = {"p1/ct": rng.integers(0, 4, (5, 6, 12)), "p2/ct": rng.integers(0, 4, (5, 6, 9))}
    sections = [
        (f"{c}/k{k + 3:03d}", v[..., k]) for c, v in whole.items() for k in range(v.shape[2])
    ]
    order = rng.permutation(len(sections))
    ids = [sections[i][0] for i in order]
    masks = np.stack([sections[i][1] for i in order]).astype(np.uint8)
    for found in (volumes(masks, ids), volumes(torch.as_tensor(masks), ids)):
        assert set(found) == set(whole)
        for case, volume in whole.items():
            assert found[case].dtype == np.uint8
            np.testing.assert_array_equal(found[case], volume)


def test_every_second_section_is_a_volume_of_its_own_spacing() -> None:
    assert rows_by_case(["a/k004", "a/k000", "b/k001", "a/k002"]) == {"a": [1, 3, 0], "b": [2]}


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a/k0", "a/k1", "a/k3"], r"a: expected each section 1 after .* found k001 and then k003"),
        (["a/k0", "a/k1", "b/k0", "b/k2"], r"b: expected each section 1 after"),
        (["a/k0", "a/k0"], r"'a/k0': expected once, found twice"),
        (["a/k0", "a-1"], r"'a-1': expected an id like case/k012"),
    ],
)
def test_gaps_and_strange_names_are_refused(ids: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows_by_case(ids)


def test_as_many_ids_as_sections() -> None:
    with pytest.raises(ValueError, match="expected 3 ids, found 2"):
        volumes(np.zeros((3, 4, 4)), ["a/k0", "a/k1"])
