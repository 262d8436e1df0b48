"""What a grid asks of recorded runs: answers case by case, and every declared contrast."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.grid import ContrastPlan, Grid
from medkd_lib.evaluate.intervals import Contrast, class_weights, decide, holm, paired_contrast
from medkd_lib.evaluate.strata import terciles

CONTRAST_COLUMNS = [
    *("setting", "contrast", "difference", "low", "high", "p", "p_holm", "verdict"),
    *("seeds", "cases", "patients"),
]
# Before the name of a measure: the column that holds it case by case.
EACH = "each_"


def correct_matrix(
    runs: pd.DataFrame, setting: str, arm: str, cases: int, answers: str = "clean"
) -> NDArray[np.uint8]:
    """Return ``(seeds, cases)`` of 0/1, seeds in rising order."""
    mine = runs[(runs.setting == setting) & (runs.arm == arm)].sort_values("seed")
    column = mine.correct if answers == "clean" else mine.correct_noisy
    packed = [np.frombuffer(bytes.fromhex(text), np.uint8) for text in column]
    return np.stack([np.unpackbits(bits)[:cases] for bits in packed])


def values_matrix(runs: pd.DataFrame, setting: str, arm: str, measure: str) -> NDArray[np.float64]:
    """Return ``(seeds, cases)`` of a measure, seeds in rising order; NaN where not defined."""
    mine = runs[(runs.setting == setting) & (runs.arm == arm)].sort_values("seed")
    return np.array([unpacked(text) for text in mine[EACH + measure]])


def unpacked(text: str) -> list[float]:
    """Return the numbers of one cell of ``runs.csv``; what is empty there is NaN."""
    return [float(x) if x else np.nan for x in text.split(";")]


def contrast_table(grid: Grid, runs: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Compute every declared contrast; Holm's correction runs within a setting and a family.

    With balanced accuracy as the primary measure every case counts by `class_weights`; the weights
    stay as they are when patients are redrawn. Where answers are masks, a contrast compares a
    measure case by case; a case without a value is left out, which its truth alone decides.
    """
    lines = []
    for setting in grid.settings:
        mine = cases[cases.setting == setting.id]
        patients: dict[str, int] = {}
        seen = runs[runs.setting == setting.id]
        complete = seen.groupby("arm").seed.nunique()
        found: list[Contrast] = []
        for plan in grid.contrasts_of(setting):
            wanted = len(grid.seeds_of(setting))
            if min(complete.get(plan.arm, 0), complete.get(plan.rival, 0)) < wanted:
                continue  # an unfinished grid shows what is complete, never a partial contrast
            asked = np.ones(len(mine), bool)
            if plan.only:
                sizes, away = mine[plan.by].to_numpy(float), plan.by.endswith("_mm")
                asked = terciles(sizes, zero_is_none=not away) == plan.only
            arm, rival = (
                _compared(grid, plan, seen, mine, setting.id, a) for a in (plan.arm, plan.rival)
            )
            asked &= ~np.isnan(arm).any(axis=0)
            if grid.primary == "balanced_accuracy":
                weights = class_weights(mine.label[asked].to_numpy())
                arm[:, asked], rival[:, asked] = arm[:, asked] * weights, rival[:, asked] * weights
            arm, rival = arm[:, asked], rival[:, asked]
            who = mine.patient[asked].tolist()
            patients[plan.id] = len(set(who))
            found.append(paired_contrast(plan.id, arm, rival, who))
        family = {plan.id: plan.family for plan in grid.contrasts}
        adjusted = {
            name: p
            for each in dict.fromkeys(family.values())
            for name, p in holm({c.name: c.p for c in found if family[c.name] == each}).items()
        }
        lines += [
            {
                "setting": setting.id,
                "contrast": c.name,
                "difference": round(c.difference, 4),
                "low": round(c.interval[0], 4),
                "high": round(c.interval[1], 4),
                "p": float(f"{c.p:.3g}"),
                "p_holm": float(f"{adjusted[c.name]:.3g}"),
                "verdict": decide(c.interval, adjusted[c.name]),
                "seeds": c.seeds,
                "cases": c.cases,
                "patients": patients[c.name],
            }
            for c in found
        ]
    return pd.DataFrame(lines, columns=CONTRAST_COLUMNS)


def _compared(
    grid: Grid, plan: ContrastPlan, runs: pd.DataFrame, cases: pd.DataFrame, setting: str, arm: str
) -> NDArray[np.float64]:
    """Return ``(seeds, cases)`` of what a contrast compares of an arm."""
    if grid.primary in ("dice", "auc"):
        return values_matrix(runs, setting, arm, plan.measure or grid.primary)
    return correct_matrix(runs, setting, arm, len(cases), plan.answers).astype(np.float64)
