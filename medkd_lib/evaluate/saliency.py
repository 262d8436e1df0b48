"""Where a network looked: attention rollout, Grad-CAM, and whether that is where the lesion is.

A map shows what a network used, not that it was right to use it; an untrained network has maps
too. Compare with those, and with the share of the image that the mask covers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.tap import tap


def attention_rollout(weights: Sequence[Tensor]) -> Tensor:
    r"""Follow the class token's attention through all blocks down to the patches.

    $$\hat A_l = \tfrac12\Bigl(\tfrac1H\sum_h A_{lh} + I\Bigr),\qquad R = \hat A_L\cdots\hat A_1$$

    The result is the class token's row of R without its own column: the share of each patch in
    the class token. What the token kept for itself is missing from the sum, so attention that
    never looks at a patch gives a map of zeros.

    Args:
        weights: each block's attention weights ``(N, heads, 1 + g², 1 + g²)``, rows summing to 1,
            the class token first; first block first.

    Shapes:
        output ``(N, g, g)``.

    Raises:
        ValueError: no block, or tokens that are not a class token and a square grid.

    Source: Abnar and Zuidema 2020, equation 1 and section 3. The identity stands for the residual
    connection; values, MLPs and layer norms are left out, as there.
    """
    if not weights:
        raise ValueError(
            "attention rollout: expected the weights of at least one block, found none"
        )
    tokens = weights[0].shape[-1]
    side = math.isqrt(tokens - 1)
    if side**2 != tokens - 1:
        raise ValueError(f"attention rollout: expected 1 + a square of tokens, found {tokens}")
    identity = torch.eye(tokens, dtype=weights[0].dtype, device=weights[0].device)
    rollout = identity.expand(len(weights[0]), tokens, tokens)
    for block in weights:
        # Â = (mean_h A_h + I), rows renormalised to 1
        mixed = block.mean(dim=1) + identity
        mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        rollout = mixed @ rollout
    return rollout[:, 0, 1:].unflatten(1, (side, side))


def grad_cam(
    model: nn.Module, place: str, images: Tensor, classes: Tensor, *, place_by_place: bool = False
) -> Tensor:
    r"""Return which cells of a convolutional map speak for a class.

    $$\alpha_k = \frac1{hw}\sum_{ij}\frac{\partial z_c}{\partial A_{kij}},\qquad
    L_{ij} = \max\Bigl(0, \sum_k \alpha_k A_{kij}\Bigr)\Big/\max_{ij} L_{ij}$$

    and the same over three axes for volumes. The mean over places forgets *where* the logit has its
    gradient: a channel that counts at one place paints wherever it is active. Place by place,

    $$L_{ij} = \max\Bigl(0, \sum_k \frac{\partial z_c}{\partial A_{kij}} A_{kij}\Bigr),$$

    a place that the logit does not depend on stays 0.

    Before a global mean and a linear head this is the class activation map of Zhou et al. 2016.
    If nothing speaks for the class the map is zero, and stays zero. No parameter's ``grad`` is
    touched; frozen parameters do no harm.

    Args:
        model: in eval mode, images to logits ``(N, C)``.
        place: module path of the map, as in ``model.named_modules()``.
        images: ``(N, channels, H, W)`` or ``(N, channels, D, H, W)``.
        classes: ``(N,)``, whose logit is explained: the answer's or the label's.
        place_by_place: the second formula.

    Shapes:
        output ``(N, h, w)`` or ``(N, d, h, w)``, detached, 0…1.

    Raises:
        KeyError: no such place.
        ValueError: model in training mode, a place that gives no ``(N, K, h, w)`` map (or
            ``(N, K, d, h, w)``), or one that the logits do not depend on.

    Source: Selvaraju et al. 2017, equations 1 and 2; the division by the maximum is for drawing.
    Place by place: Draelos & Carin 2020 (arXiv 2011.08891, HiResCAM).
    """
    if any(module.training for module in model.modules()):
        raise ValueError(
            "grad_cam: expected a model in eval mode, found training mode, in which batch norm "
            "mixes the images; call model.eval()"
        )
    # The images ask for a gradient, so that the map has one even behind frozen layers.
    with torch.enable_grad(), tap(model, {"map": place}) as seen:
        logits = model(images.detach().requires_grad_())
        chosen = logits.gather(1, classes[:, None].to(logits.device)).sum()
    found = seen.get("map")
    if not isinstance(found, Tensor) or found.ndim not in (4, 5):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"grad_cam: expected a map (N, K, h, w) or (N, K, d, h, w) at {place!r}, found {shape}"
        )
    gradient = None
    if chosen.requires_grad and found.requires_grad:
        (gradient,) = torch.autograd.grad(chosen, found, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"grad_cam: the logits have no gradient at {place!r}: is it off their way, or behind "
            "torch.no_grad (a guarded teacher is its .network)?"
        )
    # α_k = mean_ij ∂z_c/∂A_kij;  L = ReLU(Σ_k α_k A_k)
    places = tuple(range(2, found.ndim))
    alpha = gradient if place_by_place else gradient.mean(dim=places, keepdim=True)
    cam = (alpha * found.detach()).sum(dim=1).relu()
    highest = cam.amax(dim=tuple(range(1, cam.ndim)), keepdim=True)
    return cam / torch.where(highest > 0, highest, 1)


class Localisation(NamedTuple):
    """Per image, ``(N,)``: share of the map inside the mask, and the pointing game's hit."""

    share: Tensor
    hit: Tensor


def localisation(maps: Tensor, masks: Tensor) -> Localisation:
    r"""Return how much of each map lies inside its mask, and whether its maximum does.

    $$\mathrm{share} = \frac{\sum_{\mathrm{mask}} L}{\sum L}$$

    A map that knows nothing (uniform) gets the mask's share of the image, ``masks.float().mean``:
    compare with that. The hit is 1 or 0; if several pixels share the maximum it is the share of
    them inside the mask, what a draw among them would hit. A map of zeros points nowhere: 0 and 0.
    An empty mask has nothing to be found: NaN and NaN, which the caller leaves out
    (``share.nanmean()``).

    Args:
        maps: ``(N, h, w)`` or ``(N, d, h, w)``, non-negative; blown up to the masks linearly.
        masks: ``(N, H, W)`` or ``(N, D, H, W)``, true inside; at least as large as the maps.

    Raises:
        ValueError: shapes that do not match, or a negative map.

    Source: pointing game of Zhang et al. 2018, without their tolerance of 15 pixels, which would
    be a whole lesion here.
    """
    fits = maps.ndim == masks.ndim in (3, 4) and len(maps) == len(masks)
    if not fits or any(m > n for m, n in zip(maps.shape[1:], masks.shape[1:], strict=True)):
        raise ValueError(
            "localisation: expected maps (N, h, w) and masks (N, H, W) at least as large (or both "
            f"of volumes), found {tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if bool((maps < 0).any()):
        raise ValueError("localisation: expected non-negative maps, found values below 0")
    inside = masks.bool()
    axes = tuple(range(1, masks.ndim))
    linear = "bilinear" if masks.ndim == 3 else "trilinear"
    large = F.interpolate(maps.float()[:, None], masks.shape[1:], mode=linear, align_corners=False)[
        :, 0
    ]
    mass = large.sum(dim=axes)
    share = (large * inside).sum(dim=axes) / torch.where(mass > 0, mass, 1)
    # interpolation leaves equal pixels a rounding apart
    highest = large >= (1 - 1e-5) * large.amax(dim=axes, keepdim=True)
    hit = (highest & inside).sum(dim=axes) / highest.sum(dim=axes)
    hit = torch.where(mass > 0, hit, 0.0)
    empty = ~inside.flatten(1).any(dim=1)
    nothing = torch.full_like(share, math.nan)
    return Localisation(torch.where(empty, nothing, share), torch.where(empty, nothing, hit))
