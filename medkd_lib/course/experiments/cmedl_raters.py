"""Lesson 04: virtual raters outline the test patients' tumours, from nothing and from proposals.

The paper reports that raters differed less with its student's outline before them. Nobody is asked
here: raters are the truth with boundary noise of known size, and an editing rule (both ours, see
`medkd_lib.evaluate.raters`). What that can show, and what it cannot:

- it can show how near a proposal must be for raters with a given scatter and tolerance to take it
  over, and so rank proposals;
- it cannot show that a proposal is good. Whoever accepts the same outline agrees, even on a wrong
  one: agreement between raters rises by construction. So each table holds the raters' agreement
  with the *truth* as well, and two proposals that are wrong on purpose;
- it says nothing of human raters, who are drawn by what they are shown and tire of correcting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.raters import assisted, draw_raters, variability
from medkd_lib.evaluate.segment import Mask, compare
from medkd_lib.evaluate.stack import volumes

# No proposal, and the two that are wrong on purpose; no arm may be called so.
UNAIDED, GROWN, OTHER = "unaided", "grown", "other_patient"


@dataclass(frozen=True)
class Panel:
    """Raters and their habits; every number is ours, and part of what a table says.

    Attributes:
        raters: of each patient.
        sd_mm: of the boundary's displacement; below half a voxel it moves hardly anything.
        correlation_mm: along the boundary, over which a displacement stays.
        tolerance_mm: a rater accepts a proposed boundary that is at most so far from her own. The
            default is 2 · √2 · ``sd_mm``: two unaided raters are nearer than that in 95 % of it.
        surface_mm: tolerance of the surface Dice.
        grown_mm: by how much the wrong proposal `GROWN` is larger than the truth all around.
    """

    raters: int = 5
    sd_mm: float = 3.0
    correlation_mm: float = 15.0
    tolerance_mm: float = 8.5
    surface_mm: float = 5.0
    grown_mm: float = 5.0


def rater_table(
    sections: Sections, answers: Mapping[str, NDArray[np.bool_]], panel: Panel, *, seed: int
) -> pd.DataFrame:
    """Return one row per proposal and case: how far raters are apart, and how far from the truth.

    Every case is outlined once by each rater, from nothing; the same outlines are then brought
    together with each proposal. So rows of one case differ by the proposal alone.

    Args:
        sections: test sections of whole patients; their masks are the truth.
        answers: proposal → ``(N, H, W)`` bool, such as the masks of the arms of a run.
        panel: see there.
        seed: of the raters.

    Returns:
        Index ``proposal`` (`UNAIDED`, the answers, `GROWN`, `OTHER`) and ``case``; columns
        ``patient``; ``dice``, ``surface_dice``, ``volume_sd_ml`` and ``volume_ml`` of the raters
        among each other, see `variability`; ``truth_dice`` and ``truth_surface_dice``, their mean
        agreement with the truth; ``proposal_dice``, the proposal's own (NaN for `UNAIDED`).

    Raises:
        ValueError: an answer that does not fit the sections or has the name of a control, fewer
            than two patients, a case without tumour, or as the measures that are called.
    """
    if taken := sorted({UNAIDED, GROWN, OTHER} & set(answers)):
        raise ValueError(f"answers: {taken} are the names of controls; call these arms otherwise")
    truths = volumes(sections.masks.numpy() > 0, sections.ids)
    empty = [case for case, truth in truths.items() if not truth.any()]
    if empty or len(truths) < 2:
        raise ValueError(
            f"rater_table: expected two cases or more, each with a tumour to outline, found "
            f"{len(truths)}, of which {empty} show none; choose the others with `Sections.of`"
        )
    spacing = sections.spacing_mm
    proposals: dict[str, Mapping[str, Mask] | None] = {UNAIDED: None}
    proposals |= {name: volumes(masks, sections.ids) for name, masks in answers.items()}
    proposals[GROWN] = {case: grown(truth, spacing, panel.grown_mm)
                        for case, truth in truths.items()}  # fmt: skip
    proposals[OTHER] = of_other_patients(truths, spacing)
    who = {name.rsplit("/", 1)[0]: p for name, p in zip(sections.ids, sections.patients,
                                                        strict=True)}  # fmt: skip
    rows = []
    for case, truth in truths.items():
        own = draw_raters(
            truth, spacing, raters=panel.raters, sd_mm=panel.sd_mm,
            correlation_mm=panel.correlation_mm, seed=int(key_of(case=case, seed=seed)[:8], 16),
        )  # fmt: skip
        for name, proposed in proposals.items():
            proposal = None if proposed is None else proposed[case]
            row = _row(own, proposal, truth, spacing, panel)
            rows.append({"proposal": name, "case": case, "patient": who[case], **row})
    return pd.DataFrame(rows).set_index(["proposal", "case"])


def grown(truth: Mask, spacing_mm: Sequence[float], by_mm: float) -> Mask:
    """Return a mask and all that is at most ``by_mm`` away: a proposal too large all around."""
    away = ndimage.distance_transform_edt(~truth, sampling=spacing_mm)
    return np.asarray(away <= by_mm)


def of_other_patients(truths: Mapping[str, Mask], spacing_mm: Sequence[float]) -> dict[str, Mask]:
    r"""Return, per case, an ellipsoid in the right place with the extent of the next case's tumour.

    $$\{p:(p-c)^\top\Sigma^{-1}(p-c)\le r^2\}$$

    with c the middle of the case's own tumour, $\Sigma$ the covariance of the other tumour's voxels
    (with that of a voxel, $s^2/12$ along each axis) and r such that the volume is the other's.

    Args:
        truths: case → bool ``(H, W, K)``; none of them empty.
        spacing_mm: along the axes.
    """
    s = np.asarray(spacing_mm)
    cases = list(truths)
    found = {}
    for case, other in zip(cases, [*cases[1:], cases[0]], strict=True):
        points = np.argwhere(truths[other]) * s
        sigma = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((3, 3))
        sigma = sigma + np.diag(s**2 / 12)
        # 4/3 π r³ sqrt(det Σ) = V
        volume_mm3 = len(points) * s.prod()
        r = (volume_mm3 / (4 / 3 * np.pi * np.sqrt(np.linalg.det(sigma)))) ** (1 / 3)
        truth = truths[case]
        middle = (np.argwhere(truth) * s).mean(axis=0)
        off = np.moveaxis(np.indices(truth.shape), 0, -1) * s - middle
        # (p - c)ᵀ Σ⁻¹ (p - c) ≤ r²
        within = np.einsum("...a,ab,...b->...", off, np.linalg.inv(sigma), off) <= r**2
        found[case] = np.asarray(within)
    return found


def _row(
    own: Mask, proposal: Mask | None, truth: Mask, spacing_mm: Sequence[float], panel: Panel
) -> dict[str, float]:
    drawn = own
    if proposal is not None:
        drawn = np.stack(
            [assisted(o, proposal, spacing_mm, tolerance_mm=panel.tolerance_mm) for o in own]
        )
    spread = variability(drawn, spacing_mm, tolerance_mm=panel.surface_mm)
    against = [compare(mask, truth, spacing_mm, panel.surface_mm) for mask in drawn]
    itself = np.nan
    if proposal is not None:
        itself = compare(proposal, truth, spacing_mm, panel.surface_mm).dice
    return vars(spread) | {
        "truth_dice": float(np.mean([a.dice for a in against])),
        "truth_surface_dice": float(np.mean([a.surface_dice for a in against])),
        "proposal_dice": float(itself),
    }
