"""What a network finds where nothing is: predicted regions on sections without tumour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.evaluate.segment import Mask
from medkd_lib.evaluate.stack import rows_by_case

# regions of one section: pixels that share an edge or a corner, never across sections
IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
IN_PLANE[1] = True


def false_positives(
    predictions: Mask,
    truths: Mask,
    ids: Sequence[str],
    spacing_mm: Sequence[float],
    *,
    least_mm2: float,
) -> pd.DataFrame:
    r"""Return one row per section without a true voxel: what was predicted there.

    A section is *flagged* if a predicted region of it has an area of at least ``least_mm2``,

    $$\mathrm{flagged}_n=\Bigl[\max_{R\subset P_n}|R|\,a\ge A_\min\Bigr],$$

    with a the area of a pixel. Regions are connected in the plane, over edges and corners. The
    share of flagged sections is ``table.flagged.mean()``, its interval
    ``patient_bootstrap(table.flagged, patients)``; `by_case` sums up each case.

    A prediction that goes on one section beyond the tumour's end is a boundary error, which the
    surface measures see, rather than an invented tumour: ``from_tumour_mm`` tells the two apart
    (``table[table.from_tumour_mm > 10]``).

    Args:
        predictions: bool ``(N, H, W)``.
        truths: likewise.
        ids: ``case/kNNN`` of each section.
        spacing_mm: of rows, columns and from section to section.
        least_mm2: smallest region that counts, above 0; state it beside every share.

    Returns:
        Index ``id``, in the given order; columns ``case``, ``largest_mm2`` (of the largest region;
        0 if there is none), ``predicted_ml`` (of all regions, however small), ``flagged`` and
        ``from_tumour_mm`` (to the nearest section with tumour of the case along the third axis;
        infinity if it has none). No rows if every section shows tumour.

    Raises:
        ValueError: masks that are not bool or not of one shape ``(N, H, W)``, ids that do not fit,
            spacings that are not three positive numbers, or a least area that is not above 0.
    """
    _check(predictions, truths, ids, spacing_mm, least_mm2)
    cases = rows_by_case(ids)
    tumour = np.asarray(truths.any(axis=(1, 2)))
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    table = pd.DataFrame(
        {
            "case": [name.rsplit("/", 1)[0] for name in ids],
            "largest_mm2": _largest_regions(predictions) * pixel_mm2,
            "predicted_ml": predictions.sum(axis=(1, 2)) * pixel_mm2 * spacing_mm[2] / 1000,
            "from_tumour_mm": _sections_from_tumour(tumour, cases) * spacing_mm[2],
        },
        index=pd.Index(ids, name="id"),
    )
    # a region of exactly the least area counts, whatever rounding did to the product
    table["flagged"] = table.largest_mm2 >= least_mm2 * (1 - 1e-9)
    return table[~tumour]


def by_case(table: pd.DataFrame) -> pd.DataFrame:
    """Sum up `false_positives` per case.

    Returns:
        Index ``case``; columns ``sections`` (without tumour), ``share`` (flagged among them) and
        ``predicted_ml`` (in all of them). A case whose every section shows tumour has no row.
    """
    groups = table.groupby("case", sort=False)
    return pd.DataFrame(
        {
            "sections": groups.size(),
            "share": groups.flagged.mean(),
            "predicted_ml": groups.predicted_ml.sum(),
        }
    )


def _largest_regions(masks: Mask) -> NDArray[np.int64]:
    """Return the pixel count of each section's largest region."""
    labels, count = ndimage.label(masks, structure=IN_PLANE)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0  # the background is no region
    return sizes[labels].max(axis=(1, 2))


def _sections_from_tumour(
    tumour: NDArray[np.bool_], cases: dict[str, list[int]]
) -> NDArray[np.float64]:
    """Return how many sections each one is away from the nearest with tumour of its case."""
    away = np.full(len(tumour), np.inf)
    for rows in cases.values():
        places = np.flatnonzero(tumour[rows])
        if len(places):
            steps = np.abs(np.arange(len(rows))[:, None] - places).min(axis=1)
            away[rows] = steps
    return away


def _check(
    predictions: Mask,
    truths: Mask,
    ids: Sequence[str],
    spacing_mm: Sequence[float],
    least_mm2: float,
) -> None:
    if predictions.dtype != bool or truths.dtype != bool:
        raise ValueError(
            f"false_positives: expected bool masks, found {predictions.dtype} and {truths.dtype}; "
            "of label ids take masks == label"
        )
    if predictions.shape != truths.shape or truths.ndim != 3 or len(ids) != len(truths):
        raise ValueError(
            "false_positives: expected masks (N, H, W) and N ids, found "
            f"{predictions.shape}, {truths.shape} and {len(ids)} ids"
        )
    if len(spacing_mm) != 3 or not all(s > 0 for s in spacing_mm):
        raise ValueError(
            f"false_positives: expected three positive spacings in mm, found {tuple(spacing_mm)}"
        )
    if not least_mm2 > 0:
        raise ValueError(
            f"false_positives: expected least_mm2 > 0, found {least_mm2}; at 0 every section counts"
        )
