"""The attention branch: torchvision's Vision Transformer, and what its attention looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer


@dataclass(frozen=True)
class VitSize:
    """Depth and width of a Vision Transformer."""

    patch: int
    dim: int
    depth: int
    heads: int
    mlp: int


VIT_B16 = VitSize(16, 768, 12, 12, 3072)
NARROW_VIT = VitSize(8, 64, 3, 4, 128)
SIZES: Mapping[str, VitSize] = MappingProxyType({"vit_b16": VIT_B16, "narrow": NARROW_VIT})


class QKV(NamedTuple):
    """Queries, keys and values of one attention layer, each ``(N, heads, tokens, d)``."""

    q: Tensor
    k: Tensor
    v: Tensor


class VitTrunk(nn.Module):
    """Patch embedding, class token, position embedding and encoder, without a head.

    Args:
        in_channels: of the images.
        image_size: side in pixels, a multiple of the patch.
        size: depth and width.

    Shapes:
        input ``(N, in_channels, image_size, image_size)``, output ``(N, 1 + grid², dim)``: the
        class token first, then the patches row by row, after the final layer norm.

    Source: Dosovitskiy et al. 2021; torchvision's module layout.
    """

    def __init__(self, in_channels: int, image_size: int, size: VitSize = VIT_B16) -> None:
        super().__init__()
        if image_size % size.patch:
            raise ValueError(
                f"image_size: expected a multiple of the patch of {size.patch} pixels, found "
                f"{image_size}"
            )
        vit = VisionTransformer(image_size, size.patch, size.depth, size.heads, size.dim, size.mlp)
        vit.conv_proj = nn.Conv2d(in_channels, size.dim, size.patch, size.patch)
        # as torchvision initialises it: variance 1 / fan-in
        nn.init.trunc_normal_(vit.conv_proj.weight, std=(in_channels * size.patch**2) ** -0.5)
        nn.init.zeros_(vit.conv_proj.bias)
        vit.heads = nn.Identity()
        self.vit = vit
        self.size = size
        self.grid = image_size // size.patch

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens."""
        x = self.vit._process_input(images)
        x = torch.cat([self.vit.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.vit.encoder(x)

    @property
    def attention_inputs(self) -> list[str]:
        """Module paths to `tap` for each block's attention input, first block first."""
        return [f"vit.encoder.layers.encoder_layer_{i}.ln_1" for i in range(self.size.depth)]

    def qkv(self, block: int, attention_input: Tensor) -> QKV:
        """Return what block number ``block`` computed from its tapped attention input.

        torchvision's blocks hand out neither queries nor weights; the module's own projection,
        applied again to the same input, gives them exactly.
        """
        attention = self.vit.encoder.layers[block].self_attention
        joint = F.linear(attention_input, attention.in_proj_weight, attention.in_proj_bias)
        n, tokens, _ = attention_input.shape
        parts = joint.view(n, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        return QKV(*parts)


def attention_weights(qkv: QKV) -> Tensor:
    r"""Return $\mathrm{softmax}(QK^\top/\sqrt d)$, ``(N, heads, tokens, tokens)``."""
    return (qkv.q @ qkv.k.transpose(-2, -1) / qkv.q.shape[-1] ** 0.5).softmax(dim=-1)
