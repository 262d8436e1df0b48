"""What is lost when the dose is lowered: AUC per level, and paired differences from full dose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medkd_lib.evaluate.auc import Auc, auc_difference, auc_table
from medkd_lib.evaluate.classify import Predictions


@dataclass(frozen=True)
class DoseLevel:
    """One level of a series.

    Attributes:
        share: of the full dose, 1 at full dose.
        auc: at this level.
        from_full: AUC minus that of full dose, on the same redrawn patients.
    """

    share: float
    auc: Auc
    from_full: Auc


def dose_series(
    by_dose: Mapping[float, Predictions], class_names: Sequence[str], *, average: str = "macro",
    draws: int = 2000, seed: int = 0,
) -> tuple[DoseLevel, ...]:  # fmt: skip
    """Return the levels of one network from full dose downwards.

    Args:
        by_dose: share of the full dose → predictions of the same patients; 1.0 among them.
        class_names: of the columns.
        average: which AUC of `auc_table`.
        draws: bootstrap samples.
        seed: of the drawing.

    Raises:
        ValueError: no full dose, no such average, or as `auc_difference`.
    """
    if 1.0 not in by_dose or average not in (*class_names, "macro", "micro"):
        raise ValueError(
            "dose_series: expected the full dose 1.0 among the doses and a class, macro or micro, "
            f"found {sorted(by_dose)} and {average!r}"
        )
    levels = []
    for share in sorted(by_dose, reverse=True):
        own = auc_table(by_dose[share], class_names, draws=draws, seed=seed)
        lost = auc_difference(by_dose[share], by_dose[1.0], class_names, draws=draws, seed=seed)
        levels.append(DoseLevel(share, own[average], lost[average]))
    return tuple(levels)
