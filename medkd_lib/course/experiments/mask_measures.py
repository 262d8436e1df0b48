"""The numbers of every test case of an experiment whose answers are masks of sections."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.false_positives import by_case, false_positives
from medkd_lib.evaluate.segment import measure_cases
from medkd_lib.evaluate.stack import volumes

MEASURES = ("dice", "surface_dice", "hd95_mm")


def scores(masks: NDArray[np.bool_], sections: Sections, *, tolerance_mm: float) -> pd.DataFrame:
    """Return overlap and distances of each case, see `measure_cases`."""
    truth = sections.masks.numpy() > 0
    return measure_cases(
        volumes(masks, sections.ids), volumes(truth, sections.ids), sections.spacing_mm,
        tolerance_mm,
    )  # fmt: skip


def measured_masks(
    masks: NDArray[np.bool_], test: Sections, split: str, extras: Mapping[str, float], *,
    tolerance_mm: float, least_mm2: float,
) -> Measured:  # fmt: skip
    """Return overlap, distances and false alarms of every case.

    Args:
        masks: the answer to each section, ``(N, H, W)``.
        test: whole cases.
        split: hash of the division.
        extras: further numbers of the arm.
        tolerance_mm: of the surface Dice.
        least_mm2: area of a region that counts as a false positive on a section without anything.
    """
    truth = test.masks.numpy() > 0
    table = scores(masks, test, tolerance_mm=tolerance_mm)
    alarms = by_case(
        false_positives(masks, truth, test.ids, test.spacing_mm, least_mm2=least_mm2)
    ).reindex(table.index)
    cases = [name.rsplit("/", 1)[0] for name in test.ids]
    first = [cases.index(case) for case in table.index]
    return Measured(
        cases=list(table.index),
        patients=[test.patients[i] for i in first],
        split=split,
        values={name: table[name].tolist() for name in MEASURES}
        | {"false_alarms": alarms.share.tolist()},
        strata={name: values[first].tolist() for name, values in test.facts.items()},
        extras=extras,
    )


def usual_place(sections: Sections) -> NDArray[np.bool_]:
    """Return where half of the training sections with tumour show it, or more; ``(H, W)``.

    A guess without pixels: if it is good, the frame gave the answer away. Should nothing be shown
    by one half, it is the place that most of them show.
    """
    shows = (sections.masks > 0).flatten(1).any(dim=1)
    share = (sections.masks[shows] > 0).float().mean(dim=0)
    guess: NDArray[np.bool_] = (share >= min(0.5, float(share.max()))).numpy()
    return guess


def joined(parts: Sequence[Measured]) -> Measured:
    """Return the folds of one run as one: every patient was tested once."""
    if len(parts) == 1:
        return parts[0]
    values, strata = (
        {n: [x for p in parts for x in getattr(p, kind)[n]] for n in getattr(parts[0], kind)}
        for kind in ("values", "strata")
    )
    # Folds without one of the numbers (no tumour beside soft tissue) leave it to the others.
    names = list(dict.fromkeys(name for p in parts for name in p.extras))
    return Measured(
        cases=[c for p in parts for c in p.cases],
        patients=[x for p in parts for x in p.patients],
        split="+".join(p.split[:6] for p in parts),
        values=values,
        strata=strata,
        extras={n: float(np.mean([p.extras[n] for p in parts if n in p.extras])) for n in names},
    )
