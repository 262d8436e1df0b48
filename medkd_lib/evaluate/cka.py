"""Centred kernel alignment: how alike two layers, of any two networks, arrange the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor


def linear_cka(x: Tensor, y: Tensor, *, unbiased: bool = False) -> float:
    r"""Return the linear CKA of two sets of features of the same images.

    $$\mathrm{CKA}(X,Y)=\frac{\mathrm{HSIC}(K,L)}
    {\sqrt{\mathrm{HSIC}(K,K)\,\mathrm{HSIC}(L,L)}},\qquad K=XX^\top,\ L=YY^\top$$

    On centred features, with $k_i=K_{ii}$, $l_i=L_{ii}$ and up to factors that cancel,

    $$\mathrm{HSIC}_0=\langle K,L\rangle=\lVert X^\top Y\rVert_F^2,\qquad
    \mathrm{HSIC}_1=\langle K,L\rangle-\tfrac{N}{N-2}\sum_i k_i l_i
    +\tfrac{\operatorname{tr}K\,\operatorname{tr}L}{(N-1)(N-2)}.$$

    HSIC_0 is biased upwards: with fewer images than features it nears 1 even for features that
    have nothing in common. HSIC_1 has expectation zero there and may come out below zero; the
    ratio of unbiased estimates is itself only nearly unbiased. Compare values of one estimator on
    the same images.

    Neither changes under a rotation, a shift or a common scale of either side; unlike a regression,
    both change under other linear maps.

    Args:
        x: features ``(N, D)``, any unit; $N\ge2$, for ``unbiased`` $N\ge4$.
        y: ``(N, D')`` of the same images.
        unbiased: HSIC_1 instead of HSIC_0.

    Returns:
        0…1, or -1…1 for ``unbiased``.

    Raises:
        ValueError: not two axes, different or too few images, values that are not finite, features
            that do not vary over the images, or (``unbiased``) images all equally far apart.

    Source: Kornblith et al. 2019 (arXiv 1905.00414), equations 3 and 4; Nguyen et al. 2021 (arXiv
    2010.15327), equation 3, for HSIC_1 of Song et al. 2012. Computed in float64, through
    $N\times N$ Gram matrices or $D\times D'$ products, whichever is cheaper; the number is the
    same.
    """
    if len(x) != len(y):
        raise ValueError(f"linear_cka: {len(x)} and {len(y)} images; both need the same ones")
    return _cka(_centred("x", x, unbiased), _centred("y", y, unbiased))


def cka_matrix(
    student_features: Mapping[str, Tensor],
    teacher_features: Mapping[str, Tensor],
    *,
    grid: int = 4,
    unbiased: bool = True,
) -> pd.DataFrame:
    """Return the linear CKA of every student layer (rows) with every teacher layer (columns).

    Vectors ``(N, D)`` are taken as they are. Maps ``(N, C, h, w)`` are averaged down to at most
    ``grid × grid`` positions and flattened: position counts, as in Kornblith et al., but a map of
    56² is not compared pixel by pixel with one of 7², and memory stays small. Tokens ``(N, L, D)``
    are refused, because only the caller knows whether a class token stands among them.

    The default is the unbiased estimator: flattened maps have more features than there are images.

    Args:
        student_features: layer → features of the same N images in the same order.
        teacher_features: likewise.
        grid: largest side of an averaged map; 1 compares channel means only.
        unbiased: as in `linear_cka`.

    Raises:
        ValueError: as `linear_cka`, naming the layer; tokens; no layer; a grid below 1.
    """
    if grid < 1:
        raise ValueError(f"cka_matrix: expected grid >= 1, found {grid}")
    student = _layers("student", student_features, grid, unbiased)
    teacher = _layers("teacher", teacher_features, grid, unbiased)
    images = {len(layer.features) for layer in student + teacher}
    if len(images) != 1:
        raise ValueError(f"cka_matrix: layers of {sorted(images)} images; all need the same ones")
    return pd.DataFrame(
        [[_cka(s, t) for t in teacher] for s in student],
        index=pd.Index([*student_features], name="student"),
        columns=pd.Index([*teacher_features], name="teacher"),
    )


@dataclass(frozen=True)
class _Centred:
    """Features around their mean, and what every comparison needs of them."""

    features: Tensor  # (N, D), float64
    square: Tensor  # (N,), the Gram matrix's diagonal k_i
    unbiased: bool

    @cached_property
    def gram(self) -> Tensor:
        """K, computed once however many layers are compared with this one."""
        return self.features @ self.features.T

    @cached_property
    def own(self) -> float:
        """HSIC(K, K)."""
        return _hsic(self, self)


def _layers(side: str, layers: Mapping[str, Tensor], grid: int, unbiased: bool) -> list[_Centred]:
    if not layers:
        raise ValueError(f"cka_matrix: no {side} layer; tap at least one")
    vectors = {f"{side} {name}": features for name, features in layers.items()}
    return [_centred(name, _as_vectors(name, x, grid), unbiased) for name, x in vectors.items()]


def _centred(name: str, features: Tensor, unbiased: bool) -> _Centred:
    _check(name, features, 4 if unbiased else 2)
    wide = features.detach().double()
    centred = wide - wide.mean(dim=0)
    # What varies by less than the input's own rounding is constant: noise has no structure.
    rounding = torch.finfo(features.dtype).eps * wide.norm()
    if centred.norm() <= rounding:
        raise ValueError(
            f"{name}: the features are the same for all {len(features)} images, so CKA is 0/0; "
            "look for a dead layer, or leave it out"
        )
    # CKA does not change with scale; at length 1 the squares below cannot leave float64.
    centred = centred / centred.norm()
    layer = _Centred(centred, centred.square().sum(dim=1), unbiased)
    # HSIC(K, K) >= 0 by Cauchy-Schwarz; tr K = 1 here, so this is far above rounding.
    if layer.own <= 1e-12:
        raise ValueError(
            f"{name}: all images are equally far apart, so the unbiased CKA is 0/0; use the biased "
            "one (unbiased=False) or more images"
        )
    return layer


def _hsic(a: _Centred, b: _Centred) -> float:
    n = len(a.features)
    d_a, d_b = a.features.shape[1], b.features.shape[1]
    # <K, L> = ||X'Y||² costs N D D'; the sum over both Gram matrices costs N² (D + D').
    if d_a * d_b <= n * (d_a + d_b):
        inner = (a.features.T @ b.features).square().sum()
    else:
        inner = (a.gram * b.gram).sum()
    if not a.unbiased:
        return float(inner)
    # HSIC_1 = <K,L> - N/(N-2) Σ k_i l_i + tr K tr L / ((N-1)(N-2)): Song's formula, where K1 = 0
    diagonal = (a.square * b.square).sum() * n / (n - 2)
    traces = a.square.sum() * b.square.sum() / ((n - 1) * (n - 2))
    return float(inner - diagonal + traces)


def _cka(a: _Centred, b: _Centred) -> float:
    # CKA = HSIC(K,L) / sqrt(HSIC(K,K) HSIC(L,L))
    return _hsic(a, b) / (a.own * b.own) ** 0.5


def _as_vectors(name: str, features: Tensor, grid: int) -> Tensor:
    if features.ndim == 2:
        return features
    if features.ndim == 4:
        size = (min(features.shape[2], grid), min(features.shape[3], grid))
        # in float64, because not every device pools in half precision
        pooled = F.adaptive_avg_pool2d(features.detach().double(), size)
        return pooled.flatten(1).to(features.dtype)
    raise ValueError(
        f"{name}: expected vectors (N, D) or maps (N, C, h, w), found {tuple(features.shape)}; of "
        "tokens take the class token, or lay the patches on their grid: "
        "tokens[:, 1:].transpose(1, 2).unflatten(2, (g, g))"
    )


def _check(name: str, features: Tensor, least: int) -> None:
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"{name}: expected floating-point features (N, D), found {features.dtype} "
            f"{tuple(features.shape)}; flatten maps, or call cka_matrix"
        )
    if len(features) < least:
        raise ValueError(f"{name}: expected at least {least} images, found {len(features)}")
    if not torch.isfinite(features).all():
        raise ValueError(f"{name}: {int((~torch.isfinite(features)).sum())} values are not finite")
