"""Sections: parts of one length, chosen by patient and without a look at the mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medkd_lib.data.sections import Sections, joined


def sections(patient: str = "a", n: int = 6, spacing_mm: float = 2.0) -> Sections:
    values = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 1, 4, 4)
    return Sections(
        {"ct": values, "mr": -values},
        torch.zeros(n, 4, 4, dtype=torch.uint8),
        (patient,) * n,
        tuple(f"{patient}/k{k:03d}" for k in range(n)),
        (spacing_mm, spacing_mm, 5.0),
        {"volume_ml": np.full(n, 3.0)},
        f"{patient}{n}",
    )


def test_rows_take_every_part_along() -> None:
    chosen = sections().rows([4, 1])
    assert chosen.ids == ("a/k004", "a/k001") and len(chosen) == 2
    assert chosen.images["ct"][:, 0, 0, 0].tolist() == [4, 1]
    assert chosen.images["mr"][:, 0, 0, 0].tolist() == [-4, -1]
    assert chosen.fingerprint != sections().fingerprint


def test_joining_and_choosing_patients() -> None:
    both = joined([sections("a"), sections("b", 3)])
    assert len(both) == 9 and both.of(["b"]).patients == ("b",) * 3
    only_ct = replace(sections("b"), images={"ct": sections("b").images["ct"]})
    assert set(joined([sections("a"), only_ct]).images) == {"ct"}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        replace(sections(), patients=("a",))
    with pytest.raises(ValueError, match="resample"):
        joined([sections("a"), sections("b", spacing_mm=1.0)])
    with pytest.raises(ValueError, match="at least one"):
        joined([])
