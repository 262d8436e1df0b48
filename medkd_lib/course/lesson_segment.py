"""Lessons that segment: tables, metrics and the headline from the numbers of every test case."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_classify import INTERVAL_KIND
from medkd_lib.course.result import Headline, Metric
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.stack import volumes
from medkd_lib.evaluate.wilcoxon import signed_rank

UNITS: Mapping[str, str] = {"hd95_mm": "mm"}
COLUMNS: Mapping[str, str] = {
    "dice": "Dice", "surface_dice": "surface Dice", "hd95_mm": "HD95 (mm)",
    "false_alarms": "false alarms",
}  # fmt: skip


def score_table(results: Mapping[str, Measured], rival: str = "alone") -> pd.DataFrame:
    """Return one row per arm: every measure, and the Dice against a rival's patient by patient."""
    rows = []
    for arm, found in results.items():
        row = {"arm": ARM_TITLES[arm]}
        for name, values in found.values.items():
            low, high = patient_bootstrap(*there(values, found.patients))
            row[name] = f"{np.nanmean(values):.3f} [{low:.3f}, {high:.3f}]"
        row["missed"] = f"{int((np.asarray(found.values['dice']) == 0).sum())}"
        if arm != rival and rival in results:
            test = signed_rank(
                np.asarray(found.values["dice"]), np.asarray(results[rival].values["dice"]),
                found.patients,
            )  # fmt: skip
            row["median gain"] = f"{test.median:+.3f}"
            row["effect"], row["Wilcoxon p"] = f"{test.effect:+.2f}", f"{test.p:.3g}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("").rename(columns=COLUMNS)


def case_table(found: Measured, masks: NDArray[np.bool_], sections: Sections) -> pd.DataFrame:
    """Return an arm's numbers case by case with their outcome, for `scores_by_case`.

    Args:
        found: of `answers`.
        masks: ``(N, H, W)``, the arm's answer to each section.
        sections: whose sections; their masks are the truth.
    """
    given, truths = (volumes(m, sections.ids) for m in (masks, sections.masks.numpy() > 0))
    outcomes = {
        (True, True): "both", (True, False): "missed", (False, True): "false alarm",
        (False, False): "neither",
    }  # fmt: skip
    table = pd.DataFrame(dict(found.values), index=pd.Index(found.cases, name="case"))
    table["outcome"] = [outcomes[bool(truths[c].any()), bool(given[c].any())] for c in found.cases]
    return table


def metrics_of(results: Mapping[str, Measured], images: Images, *, seed: int) -> list[Metric]:
    """Return every measure of every arm with its interval, and the further numbers of each."""
    found = []
    for arm, measured in results.items():
        metric = partial(
            Metric, arm=arm, seed=seed, dataset=images.manifest.id, evidence=images.evidence,
            split_hash=measured.split,
        )  # fmt: skip
        for name, values in measured.values.items():
            defined, who = there(values, measured.patients)
            found.append(
                metric(
                    name=name, value=float(defined.mean()), unit=UNITS.get(name, ""),
                    n=len(set(who)), interval=patient_bootstrap(defined, who),
                    interval_kind=INTERVAL_KIND,
                )
            )  # fmt: skip
        found += [metric(name=name, value=value) for name, value in measured.extras.items()]
    return found


def headline_of(
    results: Mapping[str, Measured], pair: tuple[str, str], images: Images, recorded: str,
    measure: str = "dice", title: str = "Dice",
) -> Headline:  # fmt: skip
    """Compare two arms' Dice, or another measure, in one sentence, as `lesson_classify` does."""
    arm, rival = (np.asarray(results[name].values[measure]) for name in pair)
    gain, who = there(arm - rival, results[pair[0]].patients)
    low, high = patient_bootstrap(gain, who)
    text = (
        f"{images.manifest.id} ({images.evidence}), {title}: {ARM_TITLES[pair[0]]} "
        f"{np.nanmean(arm):.3f} against {ARM_TITLES[pair[1]]} {np.nanmean(rival):.3f}, difference "
        f"{gain.mean():+.3f} [{low:+.3f}, {high:+.3f}] over test patients, one training; {recorded}"
    )
    return Headline(text=text, metric=measure)


def there(
    values: Sequence[float] | NDArray[np.float64], patients: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return values and their patients without those that are not defined."""
    numbers = np.asarray(values, float)
    there = np.isfinite(numbers)
    return numbers[there], [p for p, ok in zip(patients, there, strict=True) if ok]
