"""Multi-scale geometric feature fusion (MSGFF): the teacher's fusion, stage by stage."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.alignment import ALIGNERS
from medkd_lib.models.geometric_attention import GeometricLayer
from medkd_lib.models.grid_graph import grid_graph
from medkd_lib.models.msgff_sizes import LESSON, MsgffShape
from medkd_lib.models.resize import to_size
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitTrunk


class ScaleNorms(nn.Module):
    r"""Batch-norm statistics of one more scale; weights, scales and shifts are the trunk's.

    $$\mathrm{BN}(x) = \gamma\,\frac{x-\mu_s}{\sqrt{\sigma_s^2+\epsilon}}+\beta$$

    A smaller image is smoother, so each scale has its own mean and variance. Sharing their running
    averages as well leaves a network that is right in train mode and wrong in eval mode (measured
    on a toy: A1 99 % against 73 % correct, A4 100 % against 28 %).

    Source: detection heads that are shared by the levels of a pyramid have the same problem;
    EfficientDet's released code keeps batch norms per level. Here weight and bias stay shared.

    Args:
        vgg: the shared trunk; its present statistics are the start.
    """

    def __init__(self, vgg: VggTrunk) -> None:
        super().__init__()
        self.norms = nn.ModuleDict()
        for name, layer in vgg.features.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                own = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, affine=False)
                own.load_state_dict(layer.state_dict(), strict=False)
                self.norms[name] = own

    def forward(self, vgg: VggTrunk, images: Tensor) -> Tensor:
        """Return the trunk's last map under this scale's statistics."""
        for name, layer in vgg.features.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                images = self._normed(name, layer, images)
            else:
                images = layer(images)
        return images

    def _normed(self, name: str, layer: nn.BatchNorm2d, maps: Tensor) -> Tensor:
        own = cast(nn.BatchNorm2d, self.norms[name])
        return F.batch_norm(
            maps,
            own.running_mean,
            own.running_var,
            layer.weight,
            layer.bias,
            own.training,
            cast(float, own.momentum),
            own.eps,
        )


class MsgffTeacher(nn.Module):
    r"""A pyramid through one VGG, aligned with a ViT's map, joined by a graph.

    1. Pyramid, shared weights (`ScaleNorms`): $F_s = \mathrm{conv}_{1\times1}\,\mathrm{pool}_{n_s}
       \mathrm{VGG}(x_s)$; the ViT sees the base scale alone and gives $T$.
    2. Alignment: $A_s = \mathrm{align}(F_s, T)$ (`medkd_lib.models.alignment`).
    3. Nodes: $h_{s,u} = W[F_s(u);A_s(u)] + e_s$; layers of geometric attention between them.
    4. Read-out: $g_s = \sum_u \mathrm{softmax}_u(w^\top h_{s,u})\,h_{s,u}$,
       $z = W'[g_1;g_2;\dots] + b$.

    Alignment, graph and read-out start as identity and mean, so that all rungs of the ladder give
    the same logits until they learn something else.

    Args:
        classes: number of logits.
        vgg: convolutional trunk, shared by all scales.
        vit: attention trunk; its image size is the base scale.
        shape: scales and switches (`medkd_lib.models.msgff_sizes`).

    Shapes:
        input ``(N, channels, H, W)`` of any size, output ``(N, classes)``. Taps: ``vgg_map``
        ``(N, width, h, w)`` and ``vit_tokens`` ``(N, 1 + grid², dim)``, both of the base scale, as
        in `HybridTeacher`; ``flows.s`` ``(N, 2, n_s, n_s)``; ``layers.l.norm_attention``
        (for `GeometricLayer.attention`); ``nodes`` ``(N, V, dim)`` after the graph; ``pooled``
        ``(N, scales, dim)``. ``grid_graph`` says where each node lies.

    Raises:
        ValueError: sizes, grids and trunks do not fit; see `_check`.

    Source: weekly report "Cross-Architectural Knowledge Distillation in Medical Imaging", VII,
    which names the stages; their form is this course's.
    """

    def __init__(
        self, classes: int, vgg: VggTrunk, vit: VitTrunk, shape: MsgffShape = LESSON
    ) -> None:
        super().__init__()
        self.image_size = vit.grid * vit.size.patch
        _check(shape, vgg.stride, self.image_size)
        self.vgg, self.vit, self.shape = vgg, vit, shape
        self.base = shape.sizes.index(self.image_size)
        # Places to tap, the first two the same in every teacher of this course.
        self.vgg_map, self.vit_tokens = nn.Identity(), nn.Identity()
        self.flows = nn.ModuleList(nn.Identity() for _ in shape.sizes)
        self.nodes, self.pooled = nn.Identity(), nn.Identity()
        # The base scale's statistics are the trunk's own.
        self.norms = nn.ModuleDict(
            {str(size): ScaleNorms(vgg) for size in shape.sizes if size != self.image_size}
        )
        self.from_vgg = nn.Conv2d(vgg.width, shape.dim, 1)
        self.from_vit = nn.Conv2d(vit.size.dim, shape.dim, 1)
        self.align = ALIGNERS[shape.align](shape.dim)
        self.join = nn.Linear(2 * shape.dim, shape.dim)
        self.scale_embedding = nn.Parameter(torch.empty(len(shape.sizes), shape.dim))
        nn.init.trunc_normal_(self.scale_embedding, std=0.02)
        self.grid_graph = grid_graph(
            shape.grids, shape.field_mm, shape.edges, shape.coordinates, shape.seed
        )
        self.layers = nn.ModuleList(
            GeometricLayer(self.grid_graph, shape.dim, shape.heads, shape.geometry)
            for _ in range(shape.layers if shape.graph else 0)
        )
        # No bias: the softmax over cells would cancel it. Zero: the read-out starts as the mean.
        self.score = nn.Linear(shape.dim, 1, bias=False)
        nn.init.zeros_(self.score.weight)
        self.head = nn.Linear(len(shape.sizes) * shape.dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        views = self._pyramid(images)
        tokens = self.vit_tokens(self.vit(views[self.base]))[:, 1:]
        square = (self.vit.grid, self.vit.grid)
        vit_map = self.from_vit(tokens.transpose(1, 2).unflatten(2, square))
        nodes = torch.cat([self._nodes(s, v, vit_map) for s, v in enumerate(views)], dim=1)
        for layer in self.layers:
            nodes = layer(nodes)
        of_scales = self.nodes(nodes).split([n * n for n in self.shape.grids], dim=1)
        # g = Σ softmax(w·h) h, scale by scale
        weighed = [F.softmax(self.score(h), dim=1).mT @ h for h in of_scales]
        return self.head(self.pooled(torch.cat(weighed, dim=1)).flatten(1))

    def _pyramid(self, images: Tensor) -> list[Tensor]:
        """Return the images at every size, each made from the originals."""
        *lower, top = self.shape.sizes
        views = [to_size(images, size) for size in lower]
        if self.shape.top_from is not None:
            images = to_size(images, self.shape.top_from)
        # Channels last: a third less time in the convolutions and poolings of a CPU.
        views.append(to_size(images, top))
        return [view.contiguous(memory_format=torch.channels_last) for view in views]

    def _nodes(self, scale: int, view: Tensor, vit_map: Tensor) -> Tensor:
        """Return the node features of one scale, ``(N, n_s², dim)``."""
        if scale == self.base:
            vgg_map = self.vgg_map(self.vgg(view))
        else:
            vgg_map = self.norms[str(self.shape.sizes[scale])](self.vgg, view)
        side = self.shape.grids[scale]
        if vgg_map.shape[-2:] != (side, side):
            vgg_map = F.adaptive_avg_pool2d(vgg_map, side)
        cnn_map = self.from_vgg(vgg_map)
        aligned = self.align(cnn_map, vit_map)
        self.flows[scale](aligned.flow)
        # h = W[F; A] + e
        joint = torch.cat([cnn_map, aligned.map], dim=1).flatten(2).mT
        return self.join(joint) + self.scale_embedding[scale]


def _check(shape: MsgffShape, stride: int, vit_size: int) -> None:
    sizes, grids = shape.sizes, shape.grids
    if shape.align not in ALIGNERS:
        raise ValueError(f"align: expected one of {', '.join(ALIGNERS)}, found {shape.align!r}")
    if len(sizes) != len(grids) or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes: expected one rising size per grid {grids}, found {sizes}")
    if vit_size not in sizes:
        raise ValueError(
            f"sizes: expected the ViT's image size {vit_size} among them, found {sizes}; build the "
            "VitTrunk for one of the scales"
        )
    for size, grid in zip(sizes, grids, strict=True):
        if size < stride * grid:
            raise ValueError(
                f"sizes: {size} pixels give a map of {size // stride} cells a side at the VGG's "
                f"stride of {stride}, fewer than the grid's {grid}; a larger size or a smaller grid"
            )
    if shape.top_from is not None and not 0 < shape.top_from < sizes[-1]:
        raise ValueError(
            f"top_from: expected a side below the largest size {sizes[-1]}, found {shape.top_from}"
        )
