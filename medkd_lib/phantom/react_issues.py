"""Broken and misleading cases of the ``react_kd_private_cohort`` twin."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Kind = Literal["second_exam", "no_dose", "no_acetate"]

KIND_OF_PATIENT: Mapping[int, Kind] = MappingProxyType(
    {1: "second_exam", 2: "no_dose", 3: "no_acetate"}
)
"""Index of the patient that gets each kind."""

WHAT: Mapping[Kind, str] = MappingProxyType(
    {
        "second_exam": "the patient came twice: a split by exam puts one person on both sides",
        "no_dose": "the acetate PET's header lost the injected dose: no SUV",
        "no_acetate": "the acetate PET is not there",
    }
)

SMALLEST_SET = max(KIND_OF_PATIENT) + 1
"""Patients needed for every kind, patient 0 staying sound."""
