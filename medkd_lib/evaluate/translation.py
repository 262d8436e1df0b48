"""Did a translator translate at all? Collapse and copies.

Arrays ``(N, …)`` of images on one scale. Either measure sees one way to fail and passes over the
others: a translator may do neither and still lose the tumour, see `translation_error` for what it
has of the target and `tumour_contrast` for what matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from medkd_lib.evaluate.pixels import Images, Mask, all_pixels, pixels


@dataclass(frozen=True)
class Collapse:
    """How much pseudo-images differ between patients, and how much real ones do.

    Attributes:
        pseudo_variance: between patients, mean over pixels, in squared image units.
        real_variance: the same of real images of the target modality.
        least_ratio: below which the translator counts as collapsed.
    """

    pseudo_variance: float
    real_variance: float
    least_ratio: float

    @property
    def ratio(self) -> float:
        """1 where pseudo-images are as different as real ones, 0 where all are the same."""
        return self.pseudo_variance / self.real_variance

    @property
    def collapsed(self) -> bool:
        """Whether the ratio is below ``least_ratio``."""
        return self.ratio < self.least_ratio


def collapse(
    pseudo: Images,
    real: Images,
    *,
    patients: Sequence[str] | None = None,
    real_patients: Sequence[str] | None = None,
    least_ratio: float = 0.25,
) -> Collapse:
    r"""Measure whether a translator answers the same whatever it is given.

    $$V = \tfrac12\,\overline{(x_n - x_m)^2}$$

    over pixels and pairs of images $n, m$ of different patients. With one image per patient this is
    the unbiased variance of a pixel, averaged over pixels; slices of one patient are never compared
    with each other, so a patient with many does not look like variety.

    Args:
        pseudo: translated images ``(N, …)``.
        real: real images of the target modality ``(M, …)``, same shape per image, other patients
            allowed, cut and scaled as the pseudo-images were.
        patients: N names; None: every image is a patient of its own.
        real_patients: M names, likewise.
        least_ratio: our choice: ¼ is half the real standard deviation. Real variance holds noise
            that a good translator need not draw, so 1 is not to be expected; a translator that
            keeps the outlines of its sources is well above ¼, one that draws a mean patient near 0.

    Raises:
        ValueError: images of different shapes, names that do not fit, one patient only, values
            that are not finite, or real images without variance.
    """
    if pseudo.shape[1:] != real.shape[1:]:
        raise ValueError(
            f"pseudo {pseudo.shape} and real {real.shape}: expected images of one shape"
        )
    if (real == real[:1]).all():
        raise ValueError("real: expected images that differ between patients, found equal ones")
    return Collapse(
        _between_patients("pseudo", pseudo, patients),
        _between_patients("real", real, real_patients),
        least_ratio,
    )


@dataclass(frozen=True)
class CopyThrough:
    """How far the pseudo-images went from their sources, and how far they had to go.

    Attributes:
        moved: mean absolute difference of a pixel from its source, in image units.
        gap: distance of the sources' intensities from the real ones of the target modality, the
            least a pixel must move on average to have their histogram.
        remaining: the same distance of the pseudo-images' intensities.
        source_correlation: mean over images of the correlation with the source.
        least_move: see `copy_through`.
        most_correlation: see `copy_through`.
    """

    moved: float
    gap: float
    remaining: float
    source_correlation: float
    least_move: float
    most_correlation: float

    @property
    def copied(self) -> bool:
        """Whether images moved too little, or are their sources up to brightness and contrast."""
        short = self.moved <= self.least_move * self.gap
        return short or self.source_correlation >= self.most_correlation


def copy_through(
    pseudo: Images,
    source: Images,
    real: Images,
    *,
    inside: Mask | None = None,
    real_inside: Mask | None = None,
    least_move: float = 0.5,
    most_correlation: float = 0.98,
) -> CopyThrough:
    r"""Measure whether a translator hands its input on.

    $$W(a, b) = \int\lvert F_a(v) - F_b(v)\rvert\,dv,\qquad
    \overline{\lvert\hat m-c\rvert}\;\ge\;W(c,\hat m)\;\ge\; W(c, m) - W(\hat m, m)$$

    with the distributions $F$ of all pixels' values: the earth mover's distance is the cheapest way
    to turn one histogram into another, so pseudo-images with the target's histogram
    ($W(\hat m, m) = 0$) have moved by the gap $W(c, m)$ at least. Where the two modalities have
    nearly the same histogram the gap says little, and the correlation decides.

    Args:
        pseudo: translated images ``(N, …)``.
        source: what they were translated from, same shape.
        real: real images of the target modality ``(M, …)``.
        inside: same shape as ``pseudo``; pixels outside, such as air around the patient, are left
            out: they are alike in all modalities and drive every correlation up.
        real_inside: the same for ``real``.
        least_move: part of the gap that an image must have moved not to be a copy. Our choice:
            half of what any translation needs.
        most_correlation: from which an image is its source up to brightness and contrast. Our
            choice: at 0.98, 4 % of its variance are its own. True pairs of two modalities stay
            below it where they show different tissues; measure them where you have pairs.

    Raises:
        ValueError: shapes or masks that do not fit, nothing inside, values that are not finite.
    """
    if pseudo.shape != source.shape:
        raise ValueError(f"pseudo {pseudo.shape} and source {source.shape} differ in shape")
    moved = pixels("pseudo", pseudo, inside) - pixels("source", source, inside)
    target = pixels("real", real, real_inside)
    correlations = [
        _correlation(p[i], s[i])
        for p, s, i in zip(pseudo, source, all_pixels(pseudo, inside), strict=True)
        if i.any()
    ]
    return CopyThrough(
        moved=float(np.abs(moved).mean()),
        gap=float(wasserstein_distance(pixels("source", source, inside), target)),
        remaining=float(wasserstein_distance(pixels("pseudo", pseudo, inside), target)),
        source_correlation=float(np.mean(correlations)),
        least_move=least_move,
        most_correlation=most_correlation,
    )


def _between_patients(name: str, images: Images, patients: Sequence[str] | None) -> float:
    names = np.arange(len(images)) if patients is None else np.asarray(patients)
    if len(names) != len(images):
        raise ValueError(f"{name}: expected one patient per image, found {len(names)} names")
    _, row, slices = np.unique(names, return_inverse=True, return_counts=True)
    pairs = (len(images) ** 2 - (slices**2).sum()) / 2
    if pairs == 0:
        raise ValueError(f"{name}: expected images of two patients or more, found {len(slices)}")
    x = pixels(name, images, None).reshape(len(images), -1)
    x = x - x.mean(axis=0)
    sums = np.zeros((len(slices), x.shape[1]))
    np.add.at(sums, row, x)
    # Σ_{n<m} (x_n - x_m)² = N Σ x² - (Σ x)², over all pairs less those within a patient; the sum
    # over all is zero around the mean
    squares = np.bincount(row, (x**2).mean(axis=1))
    within = (slices * squares).sum() - (sums**2).mean(axis=1).sum()
    return float((len(x) * squares.sum() - within) / pairs / 2)


def _correlation(a: Images, b: Images) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0  # an image without contrast follows nothing
    return float(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1])
