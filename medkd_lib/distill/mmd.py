"""Maximum mean discrepancy: whether two samples come from one distribution, in any order."""

from typing import Literal

import torch
from torch import Tensor

from medkd_lib.distill.precision import in_float32

# Squared widths of the kernels, in units of a median squared distance.
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


@in_float32
def mmd(source: Tensor, target: Tensor) -> Tensor:
    r"""Return the squared MMD of two sets of vectors.

    $$\overline{k(s_i,s_j)}+\overline{k(t_i,t_j)}-2\,\overline{k(s_i,t_j)},\qquad
    k(a,b)=\tfrac15\sum_{f}\exp\Big(\!-\frac{\lVert a-b\rVert^2}{f\,\mu}\Big)$$

    with the bars over all pairs, $f\in\{\tfrac14,\tfrac12,1,2,4\}$ and μ the median squared
    distance within the union of both, a constant (1 where it is zero). It does not change with a
    common shift, scale or rotation, nor with the order of either set, and is 0 for equal sets.
    Small samples of one distribution are above 0, by about $1/n + 1/m$ times $1-\bar k$.

    Both sets come from the encoder that is to make them alike, so the gradient reaches both.

    Args:
        source: ``(n, d)``, no unit.
        target: ``(m, d)``; m need not be n.

    Raises:
        ValueError: not two sets of vectors of one width, or an empty one.

    Source: Gretton et al. 2012 (JMLR), equation 5, the biased estimator, which is never negative;
    its section 8 for the median over both samples. A sum of kernels as in Long et al. 2015 (arXiv
    1502.02791), the factors are ours.
    """
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise ValueError(
            "mmd: expected vectors (n, d) and (m, d), found "
            f"{tuple(source.shape)} and {tuple(target.shape)}; average maps over their positions"
        )
    if 0 in (len(source), len(target)):
        raise ValueError(
            f"mmd: expected one vector or more on each side, found {len(source)} and {len(target)}"
        )
    return squared_mmd(source[None], target[None], scale_of="both")[0]


def squared_mmd(s: Tensor, t: Tensor, scale_of: Literal["t", "both"]) -> Tensor:
    """Return the squared MMD of N pairs of samples, ``(N,)``.

    Args:
        s: ``(N, n, d)``.
        t: ``(N, m, d)``.
        scale_of: whose median squared distance is the unit of the kernels' widths.
    """
    # MMD does not change with a common shift; around zero, |a|² + |b|² - 2ab does not cancel.
    centre = t.detach().mean(dim=1, keepdim=True)
    s, t = s - centre, t - centre
    of_s, of_t, between = (_squared_distances(a, b) for a, b in ((s, s), (t, t), (s, t)))
    spread = _pairs(of_t)
    if scale_of == "both":
        spread = torch.cat([_pairs(of_s), spread, between.detach().flatten(1)], dim=1)
    median = spread.median(dim=1).values[:, None, None]
    scale = median.masked_fill(median == 0, 1.0)
    # mean k(s,s') + mean k(t,t') - 2 mean k(s,t)
    return _kernel(of_s, scale) + _kernel(of_t, scale) - 2 * _kernel(between, scale)


def _pairs(squared: Tensor) -> Tensor:
    """Return the distance of each pair of different members, ``(N, pairs)``, a constant."""
    members = squared.shape[1]
    p, q = torch.triu_indices(members, members, offset=1, device=squared.device)
    return squared.detach()[:, p, q]


def _kernel(squared: Tensor, scale: Tensor) -> Tensor:
    """Return the mean over all pairs of the mean of the kernels, ``(N,)``."""
    relative = squared / scale
    kernels = [(-relative / factor).exp().mean(dim=(1, 2)) for factor in BANDWIDTHS]
    return torch.stack(kernels).mean(dim=0)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    # |a - b|² = |a|² + |b|² - 2 ab, never below zero
    squares = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None, :]
    return (squares - 2 * a @ b.transpose(1, 2)).clamp(min=0)
