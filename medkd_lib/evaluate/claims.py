"""The claim ledger: what a paper says, what could be read, what we measured, and the verdict.

No number enters it by hand: the measured side comes from a recorded contrast, and a claim that was
missed stays in the table.
"""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from medkd_lib.evaluate.intervals import Contrast

Evidence = Literal["phantom", "stand-in", "original"]
Verdict = Literal[
    "reproduced",
    "direction supported",
    "not supported",
    "undecided at this n",
    "not testable here",
]


class Published(BaseModel):
    """A number as published, and where it was read (``primary`` only if in the paper itself)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str
    read_in: str
    primary: bool


class Claim(BaseModel):
    """One claim of a paper.

    ``contrast`` names the recorded contrast whose positive difference supports the claim;
    ``direction`` ``none`` claims that there is no difference worth naming; a claim without a
    contrast is not testable here and says why in ``reason``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    text: str
    place: str
    published: Published | None
    contrast: str | None
    evidence: Evidence | None
    reason: str | None = None

    @model_validator(mode="after")
    def _testable_or_explained(self) -> Self:
        if self.contrast is None and not self.reason:
            raise ValueError(f"claim {self.id}: without a contrast it needs a reason")
        if self.contrast is not None and self.evidence is None:
            raise ValueError(f"claim {self.id}: name the evidence of its contrast")
        return self


class Paper(BaseModel):
    """A paper's claims, in the order of the paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    citation: str
    claims: list[Claim]


def read_paper(path: Path) -> Paper:
    """Read ``data_manifests/claims/ID.yaml``."""
    return Paper.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def judge(claim: Claim, contrast: Contrast | None, p_adjusted: float | None) -> Verdict:
    """Return the verdict on one claim.

    A direction counts as supported when the interval lies above zero and the Holm-adjusted
    p-value is below 0.05; as not supported when the interval lies below zero. *Reproduced* needs
    the original data.
    """
    if claim.contrast is None:
        return "not testable here"
    if contrast is None or p_adjusted is None:
        return "undecided at this n"
    if contrast.verdict == "worse":
        return "not supported"
    if contrast.verdict == "better" and p_adjusted < 0.05:
        return "reproduced" if claim.evidence == "original" else "direction supported"
    return "undecided at this n"
