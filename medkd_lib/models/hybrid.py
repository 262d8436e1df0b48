"""The hybrid teacher of the weekly report: VGG and Vision Transformer, concatenated."""

from typing import Literal

import torch
from torch import Tensor, nn

from medkd_lib.models.resize import to_size
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitTrunk

Fusion = Literal["features", "logits"]
Branches = Literal["both", "vgg", "vit"]


class HybridTeacher(nn.Module):
    r"""Two architectures, one answer.

    $$z = W\,[\,\overline{F_{\mathrm{VGG}}}\,;\,t_{\mathrm{cls}}\,] + b$$

    with the mean of VGG's last map and ViT's class token. The report is ambiguous: it gives each
    branch a head of its own *and* concatenates "the outputs". ``fusion="logits"`` is the other
    reading: $z = W\,[z_{\mathrm{VGG}}; z_{\mathrm{ViT}}] + b$.

    Args:
        classes: number of logits.
        vgg: convolutional trunk.
        vit: attention trunk.
        image_size: side that both branches see.
        fusion: what is concatenated.
        branches: one branch alone is the baseline; the other one then is not called.

    Shapes:
        input ``(N, channels, H, W)`` of any size, output ``(N, classes)``. Taps: ``vgg_map``
        ``(N, width, h, w)`` and ``vit_tokens`` ``(N, 1 + grid², dim)``.

    Source: weekly report "Cross-Architectural Knowledge Distillation in Medical Imaging", VI.
    """

    def __init__(
        self,
        classes: int,
        vgg: VggTrunk,
        vit: VitTrunk,
        image_size: int,
        fusion: Fusion = "features",
        branches: Branches = "both",
    ) -> None:
        super().__init__()
        self.vgg, self.vit, self.image_size = vgg, vit, image_size
        self.fusion, self.branches = fusion, branches
        widths = {"vgg": vgg.width, "vit": vit.size.dim}
        if branches != "both":
            widths = {branches: widths[branches]}
            setattr(self, "vit" if branches == "vgg" else "vgg", nn.Identity())
        # Places to tap, the same in every teacher of this course.
        self.vgg_map, self.vit_tokens = nn.Identity(), nn.Identity()
        if fusion == "logits":
            self.branch_heads = nn.ModuleDict({b: nn.Linear(w, classes) for b, w in widths.items()})
            self.head = nn.Linear(classes * len(widths), classes)
        else:
            self.head = nn.Linear(sum(widths.values()), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        images = to_size(images, self.image_size)
        pooled: dict[str, Tensor] = {}
        if self.branches != "vit":
            pooled["vgg"] = self.vgg_map(self.vgg(images)).mean(dim=(2, 3))
        if self.branches != "vgg":
            pooled["vit"] = self.vit_tokens(self.vit(images))[:, 0]
        if self.fusion == "logits":
            pooled = {b: self.branch_heads[b](x) for b, x in pooled.items()}
        return self.head(torch.cat(list(pooled.values()), dim=1))
