r"""Bring the attention branch's map onto the grid of a convolutional map, and register the two.

Every aligner is called with $F$ ``(N, dim, n, n)`` and $T$ ``(N, dim, m, m)`` and returns
`Aligned`; each starts as plain resizing, so an aligner that learns nothing changes nothing. One
aligner serves all scales: displacements are in cells of $T$, which mean the same distance on each.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.resize import to_size

Align = Literal["none", "flow", "frozen", "stn", "deform"]
Beyond = Literal["border", "zeros"]
CENTRE = 4
Layer = TypeVar("Layer", bound=nn.Module)


class Aligned(NamedTuple):
    """What an aligner returns.

    Attributes:
        map: ``(N, dim, n, n)``, the attention branch's map on the other map's grid.
        flow: ``(N, 2, n, n)``, from where it was read: displacement (dx, dy) in cells of $T$,
            positive to the right and down; times ``field_mm / m`` it is in mm.
    """

    map: Tensor
    flow: Tensor


class NoAlign(nn.Module):
    r"""Resize alone: $A=\tilde T$, averaged down or bilinear up.

    Args:
        dim: channels of both maps (not needed; the aligners share one signature).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, cnn_map: Tensor, vit_map: Tensor) -> Aligned:
        """Return the resized map and a flow of zeros."""
        resized = to_size(vit_map, cnn_map.shape[-1])
        return Aligned(resized, resized.new_zeros(len(resized), 2, *resized.shape[2:]))


class FlowAlign(nn.Module):
    r"""A predicted displacement per cell, and a bilinear warp.

    $$\Delta = \ell\,\tanh\frac{\mathrm{conv}_{3\times3}([F;\tilde T])}{\ell},\qquad
    A(u) = \tilde T(u+\Delta(u))$$

    The limit $\ell$ keeps a cell near its place: without it a classifier's flow ran to 4 to 12
    cells within 300 updates, beyond the head, and read the border. The convolution starts at
    zero: identity. It is linear, so it can learn a displacement that is the same in all images,
    or one that a feature tells; it cannot compare $F$ with $T$ and find the shift of each image by
    itself (that needs their product).

    Args:
        dim: channels of both maps.
        frozen: the control: warp by zero, nothing to learn.
        limit: $\ell$, largest displacement along each axis in cells of $T$.

    Source: the flow alignment of Li et al. 2020 (SFNet, arXiv 2002.10120), there between two
    levels of one network and without a limit.
    """

    def __init__(self, dim: int, *, frozen: bool = False, limit: float = 2.0) -> None:
        super().__init__()
        self.limit = limit
        self.head = None if frozen else _zeroed(nn.Conv2d(2 * dim, 2, 3, padding=1))

    def forward(self, cnn_map: Tensor, vit_map: Tensor) -> Aligned:
        """Return the warped map and the flow."""
        resized = to_size(vit_map, cnn_map.shape[-1])
        if self.head is None:
            flow = resized.new_zeros(len(resized), 2, *resized.shape[2:])
        else:
            # Δ = l tanh(conv([F; T~]) / l)
            free = self.head(torch.cat([cnn_map, resized], dim=1))
            flow = self.limit * torch.tanh(free / self.limit)
        return Aligned(_warp(resized, flow, vit_map.shape[-1]), flow)


class SpatialTransformerAlign(nn.Module):
    r"""One affine map per image.

    $$A(u) = \tilde T(\theta\,[u;1]),\qquad
    \theta = I + \mathrm{MLP}(\mathrm{pool}_{3\times3}\,\mathrm{conv}_{1\times1}[F;\tilde T])$$

    with $u$ in $[-1,1]^2$ and the last layer zero at the start: identity.

    Args:
        dim: channels of both maps.

    Source: Jaderberg et al. 2015 (arXiv 1506.02025), equation 1; the localisation network is
    pooled to 3x3 cells, so that it serves grids of any size.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(2 * dim, 8, 1)
        self.affine = _zeroed(nn.Linear(8 * 9, 6))

    def forward(self, cnn_map: Tensor, vit_map: Tensor) -> Aligned:
        """Return the warped map and the displacement that the affine map amounts to."""
        resized = to_size(vit_map, cnn_map.shape[-1])
        joint = F.relu(self.reduce(torch.cat([cnn_map, resized], dim=1)))
        # θ = I + MLP(…), one row per output coordinate
        change = self.affine(F.adaptive_avg_pool2d(joint, 3).flatten(1)).unflatten(1, (2, 3))
        # The identity adds nothing to a displacement: (θ - I) [u; 1], and half a side is m/2 cells.
        moved = F.affine_grid(change.float(), list(resized.shape), align_corners=False)
        flow = moved.permute(0, 3, 1, 2) * (vit_map.shape[-1] / 2)
        return Aligned(_warp(resized, flow, vit_map.shape[-1]), flow)


class DeformableAlign(nn.Module):
    r"""A 3x3 convolution per channel whose taps $p_k$ are displaced cell by cell.

    $$\Delta = \mathrm{conv}_{3\times3}([F;\tilde T]),\qquad
    A_c(u) = \sum_{k=1}^{9} w_{ck}\,\tilde T_c(u+p_k+\Delta_k(u))$$

    The offsets start at zero and $w_c$ at its centre tap alone: identity. The flow it reports is
    that of the centre tap. Beyond the border lie zeros, as in torchvision's operator, which a test
    holds this against; that one is several times slower on a CPU.

    Args:
        dim: channels of both maps.

    Source: Dai et al. 2017 (arXiv 1703.06211), equation 2; as alignment in Huang et al. 2021
    (FaPN, ICCV). Here without modulation and channel by channel: 9 weights a channel, not 9·dim.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.offsets = _zeroed(nn.Conv2d(2 * dim, 18, 3, padding=1))
        centre = torch.zeros(dim, 9)
        centre[:, CENTRE] = 1.0
        self.kernel = nn.Parameter(centre)
        steps = torch.arange(9, device="cpu")
        taps = torch.stack([steps % 3 - 1, steps // 3 - 1], dim=1)
        self.register_buffer("taps", taps[:, :, None, None], persistent=False)

    def forward(self, cnn_map: Tensor, vit_map: Tensor) -> Aligned:
        """Return the convolved map and the displacement of the centre tap."""
        resized = to_size(vit_map, cnn_map.shape[-1])
        offsets = self.offsets(torch.cat([cnn_map, resized], dim=1)).unflatten(1, (9, 2))
        # The taps lie one cell of the finer grid apart, displacements are in cells of T: p_k + Δ_k
        places = self.get_buffer("taps") * (vit_map.shape[-1] / resized.shape[-1]) + offsets
        taken = [
            _warp(resized, displacement, vit_map.shape[-1], beyond="zeros")
            for displacement in places.unbind(1)
        ]
        # Σ_k w_k T~(u + p_k + Δ_k)
        weighed = [w[:, None, None] * t for w, t in zip(self.kernel.unbind(1), taken, strict=True)]
        return Aligned(torch.stack(weighed).sum(0).to(resized.dtype), offsets[:, CENTRE])


ALIGNERS: Mapping[Align, Callable[[int], nn.Module]] = MappingProxyType(
    {
        "none": NoAlign,
        "flow": FlowAlign,
        "frozen": partial(FlowAlign, frozen=True),
        "stn": SpatialTransformerAlign,
        "deform": DeformableAlign,
    }
)


def _zeroed(layer: Layer) -> Layer:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _warp(resized: Tensor, flow: Tensor, vit_side: int, beyond: Beyond = "border") -> Tensor:
    r"""Return $\tilde T(u+\Delta(u))$, bilinear.

    Args:
        resized: ``(N, dim, n, n)``.
        flow: ``(N, 2, n, n)`` in cells of a grid with ``vit_side`` cells.
        vit_side: cells per side of that grid.
        beyond: what is read outside the map, the border's value or zeros.
    """
    side = resized.shape[-1]
    # In float32 whatever the rest runs in: bfloat16 has 8 bits, too few for a place between cells.
    centre = (torch.arange(side, device=flow.device, dtype=torch.float32) + 0.5) * (2 / side) - 1
    identity = torch.stack(torch.meshgrid(centre, centre, indexing="xy"), dim=-1)
    # u + Δ in [-1, 1], where one cell of T measures 2 / m
    places = identity + flow.float().permute(0, 2, 3, 1) * (2 / vit_side)
    warped = F.grid_sample(resized.float(), places, padding_mode=beyond, align_corners=False)
    return warped.to(resized.dtype)
