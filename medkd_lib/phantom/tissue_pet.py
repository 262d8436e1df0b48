"""What the tissues are to a PET scanner: standardised uptake of FDG and ¹¹C-acetate, with sources.

Evidence letters follow the course's tissue dossier (section numbers in brackets): R read in a
publication, † textbook value, D our design choice. A tissue whose uptake is not known to the
dossier (glioma, meningioma, a sarcoma in acetate, …) has no entry: give it your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

Tracer = Literal["fdg", "acetate"]


@dataclass(frozen=True)
class TissuePET:
    """Uptake of one tissue.

    Attributes:
        suv: mean standardised uptake value, g/mL, at the usual time (FDG 60 min, acetate 20 min).
        source: dossier section and evidence letter.
    """

    suv: float
    source: str


SARCOMA_SUV_BY_GRADE: Mapping[int, float] = MappingProxyType({1: 3.0, 2: 7.0, 3: 11.0})
"""Median FDG SUV of a soft-tissue sarcoma by grade (§3.3 D, from R: 2.7–52 in 93 of 102)."""

_FDG = {
    "air": TissuePET(0.0, "no tissue"),
    "water": TissuePET(0.0, "D: cyst fluid takes up nothing"),
    "csf": TissuePET(0.3, "D"),
    "grey_matter": TissuePET(8.0, "§3.2 D; cerebellum 8.0±2.2 R"),
    "deep_grey": TissuePET(8.0, "D: as cortex"),
    "white_matter": TissuePET(2.0, "§3.2 D; grey to white 4:1 R"),
    "necrosis": TissuePET(0.5, "D: cold"),
    "adipose": TissuePET(0.3, "§3.2 †"),
    "muscle": TissuePET(0.6, "§3.2 †"),
    "skin": TissuePET(0.6, "D: as muscle"),
    "blood": TissuePET(1.5, "§3.2 †"),
    "marrow": TissuePET(0.9, "§3.2 D; SUVmax 1.0 R"),
    "vertebra": TissuePET(0.8, "D: three quarters marrow, one quarter cortex"),
    "cortical_bone": TissuePET(0.4, "§3.2 D"),
    "lung": TissuePET(0.4, "§3.2 D; SUVmax 0.7 R"),
    "liver": TissuePET(1.85, "§3.2 R; 23 % between patients R"),
    "spleen": TissuePET(1.6, "§3.2 †"),
    "sarcoma": TissuePET(SARCOMA_SUV_BY_GRADE[2], "§3.3 D: the median of grade 2"),
    "sarcoma_myxoid": TissuePET(3.0, "D: the median of grade 1; myxoid < 10.3 R"),
    "sarcoma_necrosis": TissuePET(0.5, "§3.3 D: cold core"),
}

_ACETATE = {
    "air": TissuePET(0.0, "no tissue"),
    "water": TissuePET(0.0, "D: cyst fluid takes up nothing"),
    "csf": TissuePET(0.3, "D"),
    "grey_matter": TissuePET(1.4, "§3.2 D, 1–1.5"),
    "deep_grey": TissuePET(1.4, "D: as cortex"),
    "white_matter": TissuePET(1.0, "§3.2 D, 1–1.5"),
    "necrosis": TissuePET(0.5, "D: cold"),
    "adipose": TissuePET(0.3, "§3.2 D"),
    "muscle": TissuePET(1.0, "§3.2 D"),
    "skin": TissuePET(0.6, "D: between fat and muscle"),
    "blood": TissuePET(1.0, "§3.2 D, cleared fast"),
    "marrow": TissuePET(1.2, "§3.2 D"),
    "vertebra": TissuePET(1.0, "D: three quarters marrow, one quarter cortex"),
    "cortical_bone": TissuePET(0.4, "D: as with FDG"),
    "lung": TissuePET(0.5, "§3.2 D"),
    "liver": TissuePET(3.3, "§3.2 R"),
    "spleen": TissuePET(4.5, "§3.2 R"),
}

TISSUES_PET: Mapping[str, Mapping[str, TissuePET]] = MappingProxyType(
    {"fdg": MappingProxyType(_FDG), "acetate": MappingProxyType(_ACETATE)}
)
"""Uptake per tracer and tissue."""


def suv_table(tracer: Tracer) -> dict[str, float]:
    """SUV per tissue name, a copy that may be changed.

    Raises:
        ValueError: for an unknown tracer.
    """
    if tracer not in TISSUES_PET:
        raise ValueError(
            f"tracer: expected one of {get_args(Tracer)}, found {tracer!r}; check the spelling"
        )
    return {name: tissue.suv for name, tissue in TISSUES_PET[tracer].items()}
