"""Broken cases of the ``chaos`` twin: what the real release's users had to find out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.chaos_patient import Modality
from medkd_lib.phantom.chaos_truth import patient_name
from medkd_lib.phantom.known_issue import Issue

Kind = Literal["grey_spread", "numbers_with_z", "one_bit"]

GREY = (0, 63, 126, 189, 252)
"""Grey value of each label in the MR masks."""

GREY_RANGE = ((0, 0), (55, 70), (110, 135), (175, 200), (240, 255))
"""What the organisers' data page lets each of them be."""

KIND_OF_PATIENT: Mapping[tuple[Modality, int], Kind] = MappingProxyType(
    {("MR", 1): "grey_spread", ("MR", 2): "numbers_with_z", ("CT", 1): "one_bit"}
)
"""Modality and index of the patients that get each kind."""

WHAT: Mapping[Kind, str] = MappingProxyType(
    {
        "grey_spread": "grey values of the masks spread within the documented ranges",
        "numbers_with_z": "slices, and their masks, are numbered from the feet up",
        "one_bit": "the liver's mask holds one bit per pixel: 1 or 255, as the reader likes",
    }
)

SMALLEST_SET = 5
"""Patients needed for every kind: three MR and two CT, the first of each staying sound."""


def issues() -> list[Issue]:
    """All unusual cases, in order."""
    return [Issue(patient_name(*who), kind, WHAT[kind]) for who, kind in KIND_OF_PATIENT.items()]


def grey(organs: NDArray[np.uint8], spread: np.random.Generator | None) -> NDArray[np.uint8]:
    """Return labels 0–4 as the grey values of an MR mask, spread if a generator is given."""
    if spread is None:
        return np.array(GREY, np.uint8)[organs]
    low, high = (np.array(ends, np.int64)[organs] for ends in zip(*GREY_RANGE, strict=True))
    return spread.integers(low, high, endpoint=True).astype(np.uint8)
