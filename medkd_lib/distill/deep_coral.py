"""Deep CORAL: two sets of features are to spread alike, whatever their means."""

from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def deep_coral(source: Tensor, target: Tensor) -> Tensor:
    r"""Return how far the covariances of two sets of vectors are apart.

    $$\mathcal L = \frac{1}{4d^2}\,\lVert C_s - C_t\rVert_F^2,\qquad
    C = \frac{1}{n-1}\sum_i (x_i-\bar x)(x_i-\bar x)^\top$$

    0 where the sets are equal, in any order, and where one is the other shifted: CORAL does not see
    a difference of the means. It grows with the fourth power of a common scale, so its weight
    belongs to one layer of one network, and its gradient with the third: at spreads of some tens
    that leaves float16. A covariance of n vectors has rank n - 1 at most: with batches much smaller
    than d the loss compares noise too.

    Both sets come from the encoder that is to make them alike, so the gradient reaches both, unlike
    that of a loss between student and teacher.

    Args:
        source: ``(n, d)``, n ≥ 2, no unit.
        target: ``(m, d)``, m ≥ 2; m need not be n.

    Raises:
        ValueError: not two sets of vectors of one width, or fewer than two vectors in one.

    Source: Sun & Saenko 2016 (ECCV workshops, arXiv 1607.01719), equations 1 to 3.
    """
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise ValueError(
            "deep_coral: expected vectors (n, d) and (m, d), found "
            f"{tuple(source.shape)} and {tuple(target.shape)}; average maps over their positions"
        )
    if len(source) < 2 or len(target) < 2:
        raise ValueError(
            f"deep_coral: expected two vectors or more on each side, found {len(source)} and "
            f"{len(target)}; one has no covariance, so draw larger batches"
        )
    difference = _covariance(source) - _covariance(target)
    # ||C_s - C_t||² / 4d²
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(vectors: Tensor) -> Tensor:
    centred = vectors - vectors.mean(dim=0)
    return centred.T @ centred / (len(vectors) - 1)
