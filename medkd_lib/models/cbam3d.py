"""CBAM in three dimensions: which channels matter, then where."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Attention = Literal["shared", "separate", "none"]
# Name of the attention that all branches share.
ALL = "all"


class CBAM3D(nn.Module):
    r"""Weigh a map's channels, then its places, each by a number between 0 and 1.

    $$F' = \sigma\big(W_2\,\mathrm{ReLU}(W_1\,\overline F)
    + W_2\,\mathrm{ReLU}(W_1\,\max F)\big)\odot F,\qquad
    F'' = \sigma\big(\mathrm{conv}_{k^3}[\,\mathrm{mean}_c F';\ \max_c F'\,]\big)\odot F'$$

    Args:
        channels: of the map.
        ratio: W1 leaves ``channels / ratio`` of them (at least one).
        kernel: k, odd.

    Shapes:
        input and output ``(B, channels, d, h, w)``.

    Raises:
        ValueError: an even kernel, or a number below 1.

    Source: Woo et al. 2018 (ECCV), lifted to volumes; ratio 8 and kernel 7 as in REACT-KD's
    released code (arXiv 2508.02104). No biases, as there.
    """

    def __init__(self, channels: int, ratio: int = 8, kernel: int = 7) -> None:
        super().__init__()
        if kernel % 2 == 0 or min(channels, ratio, kernel) < 1:
            raise ValueError(
                "CBAM3D: expected channels, ratio and an odd kernel of 1 or more, found "
                f"{channels}, {ratio} and {kernel}"
            )
        narrow = max(1, channels // ratio)
        self.shared_mlp = nn.Sequential(
            nn.Linear(channels, narrow, bias=False),
            nn.ReLU(),
            nn.Linear(narrow, channels, bias=False),
        )
        self.where = nn.Conv3d(2, 1, kernel, padding=kernel // 2, bias=False)

    def channel_weights(self, features: Tensor) -> Tensor:
        """Return the weight of every channel, ``(B, channels)``."""
        mean, highest = features.mean(dim=(2, 3, 4)), features.amax(dim=(2, 3, 4))
        return torch.sigmoid(self.shared_mlp(mean) + self.shared_mlp(highest))

    def place_weights(self, features: Tensor) -> Tensor:
        """Return the weight of every place, ``(B, 1, d, h, w)``, of a map with weighed channels."""
        seen = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], dim=1)
        return torch.sigmoid(self.where(seen))

    def forward(self, features: Tensor) -> Tensor:
        """Return the weighed map."""
        weighed = self.channel_weights(features)[:, :, None, None, None] * features
        return self.place_weights(weighed) * weighed


def attention_of(
    how: Attention, branches: Sequence[str], channels: int, kernel: int = 7
) -> nn.ModuleDict:
    """Return the attention of branches: one for each name, one under ``all``, or nothing.

    Args:
        how: ``shared``: one set of weights sees the maps of all branches, as REACT-KD's abstract
            says; ``separate``: each branch has its own; ``none``: maps stay as they are.
        branches: their names.
        channels: of every branch's map.
        kernel: see `CBAM3D`.

    Raises:
        ValueError: another word.
    """
    if how not in get_args(Attention):
        raise ValueError(f"attention: expected one of {get_args(Attention)}, found {how!r}")
    names = {"shared": (ALL,), "separate": tuple(branches), "none": ()}[how]
    return nn.ModuleDict({name: CBAM3D(channels, kernel=kernel) for name in names})
