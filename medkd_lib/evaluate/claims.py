"""The claim ledger: what a paper says, what could be read, what we measured, and the verdict.

No number enters it by hand: the measured side comes from a recorded contrast, and a claim that was
missed stays in the table.
"""

from pathlib import Path
from typing import Literal, Self

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medkd_lib.evaluate.intervals import Decision

Evidence = Literal["phantom", "stand-in", "original"]
Verdict = Literal[
    "reproduced",
    "direction supported",
    "not supported",
    "undecided at this n",
    "not testable here",
    "not recorded",
]


class Published(BaseModel):
    """A number as published, and where it was read (``primary`` only if in the paper itself)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str
    read_in: str
    primary: bool


class Premise(BaseModel):
    """What must hold of a setting's runs before a trial on it says anything about its claim.

    Attributes:
        arm: whose runs.
        measures: beginning of the names of the numbers that are looked at, all of them.
        below: every one of them, in every run, must lie below this.
        why: what is not so where one does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    arm: str
    measures: str
    below: float
    why: str


class Trial(BaseModel):
    """A recorded contrast, in one setting, whose positive difference supports a claim.

    A claim that something is *kept* is supported where nothing below ``-margin`` is left in the
    interval. Where a ``premise`` does not hold, the difference stands and the verdict does not: a
    method that did not do what it is said to help by was not tested.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    setting: str
    contrast: str
    evidence: Evidence
    margin: float = Field(default=0.0, ge=0)
    premise: Premise | None = None


class Claim(BaseModel):
    """One claim of a paper, with the trials that speak for or against it.

    A claim without a trial is not testable here and says why in ``reason``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    text: str
    place: str
    published: Published | None
    trials: list[Trial] = []
    reason: str | None = None

    @model_validator(mode="after")
    def _testable_or_explained(self) -> Self:
        if not self.trials and not self.reason:
            raise ValueError(f"claim {self.id}: without a trial it needs a reason")
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


def kept(low: float, high: float, margin: float) -> Decision:
    """Return whether a measure was kept, from the interval of its difference."""
    if low > -margin:
        return "better"
    return "worse" if high < -margin else "undecided"


def judge(evidence: Evidence, decision: Decision) -> Verdict:
    """Return the verdict on one trial from the course's decision on its contrast.

    *Reproduced* needs the original data.
    """
    if decision == "undecided":
        return "undecided at this n"
    if decision == "worse":
        return "not supported"
    return "reproduced" if evidence == "original" else "direction supported"


def ledger(paper: Paper, contrasts: pd.DataFrame, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per trial (or per claim that has none), measured side from ``contrasts``.

    Args:
        paper: the claims.
        contrasts: rows of a recorded ``contrasts.csv``.
        runs: rows of its ``runs.csv``, where premises are looked up; without them none holds.
    """
    rows = []
    for claim in paper.claims:
        published = "not read"
        if claim.published:
            published = claim.published.text + ("" if claim.published.primary else " (second hand)")
        row = {"claim": claim.id, "says": claim.text, "published": published}
        if not claim.trials:
            rows.append(
                row
                | {
                    "ours": "",
                    "evidence": "",
                    "verdict": "not testable here",
                    "note": claim.reason or "",
                }
            )
        for trial in claim.trials:
            rows.append(row | _measured(trial, contrasts, runs))
    return pd.DataFrame(rows)


def _broken(trial: Trial, runs: pd.DataFrame | None) -> str:
    """Return why a trial's premise does not hold, or nothing."""
    premise = trial.premise
    if premise is None:
        return ""
    numbers = pd.Series(dtype=float)
    if runs is not None:
        asked = runs[(runs.setting == trial.setting) & (runs.arm == premise.arm)]
        columns = [name for name in runs.columns if name.startswith(premise.measures)]
        numbers = asked[columns].stack().astype(float)
    if numbers.empty:
        return f"{premise.why}: {premise.measures}* of {premise.arm} was not recorded"
    highest = float(numbers.max())
    if highest < premise.below:
        return ""
    return f"{premise.why}: {premise.measures}* up to {highest:.2f}, needed below {premise.below:g}"


def _measured(trial: Trial, contrasts: pd.DataFrame, runs: pd.DataFrame | None) -> dict[str, str]:
    found = contrasts[(contrasts.setting == trial.setting) & (contrasts.contrast == trial.contrast)]
    place = f"{trial.setting}: {trial.contrast}"
    if found.empty:
        return {
            "ours": "",
            "evidence": trial.evidence,
            "verdict": "not recorded",
            "note": place,
        }
    line = found.iloc[0]
    ours = (
        f"{line.difference:+.3f} [{line.low:+.3f}, {line.high:+.3f}], "
        f"{line.seeds} seeds, {line.patients} patients"
    )
    decision = kept(line.low, line.high, trial.margin) if trial.margin else line.verdict
    broken = _broken(trial, runs)
    return {
        "ours": ours,
        "evidence": trial.evidence,
        "verdict": "not testable here" if broken else judge(trial.evidence, decision),
        "note": place
        + (f", a loss of {trial.margin:g} allowed" if trial.margin else "")
        + (f"; {broken}" if broken else ""),
    }
