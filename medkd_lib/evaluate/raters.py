"""Virtual raters: who outlines the same structure with boundaries of a known scatter.

They show by which mechanism a proposal can lower the disagreement of raters: a rater moves a
proposed contour only where she objects to it. How far she goes along with a good or a bad proposal
is a setting, not a finding; no number from here says anything about human raters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

from medkd_lib.evaluate.segment import Mask, bounding_box, compare
from medkd_lib.evaluate.surface_distance_map import Floats, SignedDistance, signed_distance

# enough that two points correlate as stated to about 1/sqrt(WAVES) in any one drawing
WAVES = 200


def draw_raters(
    reference: Mask,
    spacing_mm: Sequence[float],
    *,
    raters: int,
    sd_mm: float,
    correlation_mm: float,
    seed: int,
) -> Mask:
    r"""Return the masks that several raters draw of one reference, each by her own displacement.

    With $\varphi$ the signed distance to the reference's boundary (negative inside), b(p) its
    point nearest to p, and n a smooth Gaussian field of mean 0 and variance 1 (one per rater),

    $$M=\{p:\varphi(p)<\sigma\,n(b(p))\},\qquad
    \mathrm{E}[n(p)\,n(p+\Delta)]=e^{-\lVert\Delta\rVert^2/L^2}.$$

    The field is read on the boundary, so it moves a plane along its normal by exactly $\sigma n$:
    mean 0, SD $\sigma$. On voxels of size s the displacement is rounded, which adds $s^2/12$ to
    the variance; a $\sigma$ below about s/2 moves hardly anything. Where the boundary is curved
    more tightly than $\sigma$, displaced boundaries meet, and a structure thinner than that can
    break or vanish.

    Args:
        reference: bool, with voxels inside and outside.
        spacing_mm: along each axis.
        raters: how many; rater i is the same however many there are.
        sd_mm: $\sigma\ge0$, of the boundary's displacement.
        correlation_mm: $L>0$, the distance at which displacements correlate by 1/e.
        seed: of the raters. Raters of several cases share no displacement if each case has its
            own seed.

    Returns:
        bool ``(raters, *reference.shape)``.

    Raises:
        ValueError: settings out of range, or as `signed_distance`.

    Our own construction. Raters differ in nothing but these displacements; an L far larger than
    the structure makes each of them generous or sparing as a whole.
    """
    if raters < 1 or not sd_mm >= 0 or not correlation_mm > 0:
        raise ValueError(
            "draw_raters: expected raters >= 1, sd_mm >= 0 and correlation_mm > 0, found "
            f"{raters}, {sd_mm} and {correlation_mm}"
        )
    if not reference.any():
        raise ValueError("draw_raters: expected a reference to draw, found an empty mask")
    # Nobody moves a boundary by six SD: distances are needed only up to there.
    reach = 6 * sd_mm
    margin = [int(np.ceil(reach / s)) + 1 for s in spacing_mm]
    box = tuple(
        slice(max(side.start - m, 0), side.stop + m)
        for side, m in zip(bounding_box(reference), margin, strict=True)
    )
    distance = signed_distance(reference[box], spacing_mm)
    near = np.abs(distance.mm) <= reach
    corner = np.array([[side.start] for side in box])
    boundary_mm = (distance.nearest[:, near] + corner).T * np.asarray(spacing_mm)
    drawn = np.repeat(reference[None], raters, axis=0)
    for rater in range(raters):
        n = smooth_field(boundary_mm, correlation_mm, np.random.default_rng([seed, rater]))
        # M = {φ < σ n(b)}
        drawn[rater][box][near] = distance.mm[near] < sd_mm * n
    return drawn


def assisted(
    own: Mask, proposal: Mask, spacing_mm: Sequence[float], *, tolerance_mm: float
) -> Mask:
    r"""Return what a rater hands in who corrects a proposal instead of drawing from nothing.

    Where the two masks agree nothing is to be decided. At a voxel p on which they differ, let
    $b_o$ and $b_p$ be the points of her own and of the proposed boundary nearest to p, and
    $\varphi_o$, $\varphi_p$ the signed distances. The boundaries' local disagreement is

    $$\delta(p)=\max\{|\varphi_o(p)|,\ |\varphi_o(b_p)|,\ |\varphi_p(b_o)|\};$$

    she accepts the proposal where $\delta\le\tau$, and draws her own boundary elsewhere.

    With $\tau=0$ she draws as if there were no proposal, with $\tau\to\infty$ she accepts
    anything. A proposed region far from hers is deleted, one of hers without a proposal added.
    Even a bad proposal is accepted where it happens to cross her outline: raters then share a
    stretch of boundary, which a surface Dice between them sees.

    Args:
        own: bool, what she would draw unaided.
        proposal: bool, likewise shaped.
        spacing_mm: along each axis.
        tolerance_mm: $\tau\ge0$.

    Raises:
        ValueError: shapes or types that do not fit, or a negative tolerance.

    Our own construction; it leaves out that a proposal also moves what she would have drawn.
    """
    if own.shape != proposal.shape or own.dtype != bool or proposal.dtype != bool:
        raise ValueError(
            f"assisted: expected two bool masks of one shape, found {own.dtype} {own.shape} and "
            f"{proposal.dtype} {proposal.shape}"
        )
    if not tolerance_mm >= 0:
        raise ValueError(f"assisted: expected tolerance_mm >= 0, found {tolerance_mm}")
    # No boundary on one side: nothing is near anything, so all of it is her own.
    if not (own.any() and proposal.any()) or own.all() or proposal.all():
        return own.copy()
    box = _matters(own, proposal, spacing_mm, tolerance_mm)
    hers, theirs = own[box], proposal[box]
    if not theirs.any() or theirs.all():
        return own.copy()
    phi_o, phi_p = signed_distance(hers, spacing_mm), signed_distance(theirs, spacing_mm)
    # δ = max(|φ_o(p)|, |φ_o(b_p)|, |φ_p(b_o)|)
    disagreement = np.maximum.reduce(
        [np.abs(phi_o.mm), np.abs(_at(phi_o.mm, phi_p)), np.abs(_at(phi_p.mm, phi_o))]
    )
    drawn = own.copy()
    drawn[box] = np.where(disagreement <= tolerance_mm, theirs, hers)
    return drawn


@dataclass(frozen=True)
class Variability:
    """How far raters of one structure are apart: means over all pairs, and the volume's SD."""

    dice: float
    surface_dice: float
    volume_sd_ml: float
    volume_ml: float


def variability(masks: Mask, spacing_mm: Sequence[float], *, tolerance_mm: float) -> Variability:
    """Return mean pairwise Dice and surface Dice, and mean and SD of the raters' volumes.

    Two raters who both draw nothing agree (1 and 1); of two of whom one draws nothing, 0 and 0.
    There is no truth here, so no pair is left out. The SD is that of a sample (R - 1).

    Args:
        masks: bool ``(R, H, W, K)`` of R ≥ 2 raters.
        spacing_mm: along the three axes.
        tolerance_mm: of the surface Dice.

    Raises:
        ValueError: not two volumes or more, or as `compare`.
    """
    if masks.ndim != 4 or len(masks) < 2:
        raise ValueError(
            f"variability: expected masks (R, H, W, K) of two raters or more, found {masks.shape}"
        )
    pairs = []
    for first, second in combinations(masks, 2):
        # `compare` leaves out what has no truth; the raters' mirror image is the same pair
        one = compare(first, second, spacing_mm, tolerance_mm)
        if one.outcome == "neither":
            pairs.append((1.0, 1.0))
        elif one.outcome == "both":
            pairs.append((one.dice, one.surface_dice))
        else:
            pairs.append((0.0, 0.0))
    dice, surface_dice = np.mean(pairs, axis=0)
    ml = masks.sum(axis=(1, 2, 3)) * float(np.prod(spacing_mm)) / 1000
    return Variability(float(dice), float(surface_dice), float(ml.std(ddof=1)), float(ml.mean()))


def smooth_field(points_mm: Floats, correlation_mm: float, rng: np.random.Generator) -> Floats:
    r"""Return a Gaussian random field of mean 0 and variance 1 at points of space.

    $$n(p)=\frac1{\sqrt N}\sum_{i=1}^{N} R_i\cos(k_i\cdot p+\alpha_i),\qquad
    k_i\sim\mathcal N(0,\,2/L^2),\quad R_i^2\sim\chi^2_2$$

    with uniform phases: a Gaussian at every point, correlated by $e^{-\Delta^2/L^2}$ between two.

    Args:
        points_mm: ``(P, axes)``.
        correlation_mm: L.
        rng: draws the waves; nothing depends on a grid.
    """
    k = rng.standard_normal((WAVES, points_mm.shape[1])) * (np.sqrt(2) / correlation_mm)
    height = np.sqrt(rng.chisquare(2, WAVES) / WAVES)
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    field: Floats = np.cos(points_mm @ k.T + phase) @ height
    return field


def _matters(
    own: Mask, proposal: Mask, spacing_mm: Sequence[float], tolerance_mm: float
) -> tuple[slice, ...]:
    """Return the box in which a proposal can be accepted, with all that decides on it.

    Outside of both masks they agree. What is accepted lies within τ of her own boundary and, since
    a distance grows by no more than one walks, within 2 τ of the proposed one: boundaries further
    than 3 τ from hers decide on nothing. Smoothing and interpolation reach over a few voxels more.
    """
    sides = []
    for mine, both, s in zip(
        bounding_box(own), bounding_box(own | proposal), spacing_mm, strict=True
    ):
        margin = int(np.ceil(3 * tolerance_mm / s)) + 5
        start = max(mine.start - margin, both.start - 1, 0)
        sides.append(slice(start, min(mine.stop + margin, both.stop + 1)))
    return tuple(sides)


def _at(values: Floats, distance: SignedDistance) -> Floats:
    """Return values at each voxel's nearest boundary point, interpolated linearly."""
    found: Floats = ndimage.map_coordinates(values, distance.nearest, order=1, mode="nearest")
    return found
