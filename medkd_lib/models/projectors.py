"""What stands between a convolutional student and a transformer teacher while they train.

All three are dropped with the teacher: the student that leaves the lab never calls them. At the
paper's size they are no small matter (3.2 and 5.3 million parameters), beside a small student they
can be most of what is trained.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.vit import QKV


class PartialCrossProjector(nn.Module):
    r"""Map a student's feature map to queries, keys and values of the teacher's shape.

    $$\{Q_S, K_S, V_S\} = \mathrm{Proj}_1(h_S)$$

    Three 3x3 convolutions side by side, one each for Q, K and V. They are computed as one
    convolution of three times the width, which is the same and faster.

    Args:
        in_channels: of the student's map.
        dim: width of the teacher's tokens.
        heads: of the teacher's attention; ``dim`` is split evenly among them.
        grid: side of the teacher's token grid.

    Shapes:
        input ``(N, in_channels, h, w)`` of any size, averaged (or repeated) to the grid first;
        output three times ``(N, heads, grid², dim / heads)``, patches row by row.

    Raises:
        ValueError: ``dim`` cannot be split among the heads.

    Source: Liu et al. 2022 (ACCV), equation 1. With 256 channels and 768 dimensions 5.31 million
    parameters. Whether the three convolutions stand side by side or one after the other is not
    said where we could read; one after the other would be 6.5 to 12.4 million.
    """

    def __init__(self, in_channels: int, dim: int, heads: int, grid: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"dim: expected a multiple of the {heads} heads, found {dim}; give the teacher's "
                "own width and heads"
            )
        self.heads, self.grid = heads, grid
        self.convolutions = nn.Conv2d(in_channels, 3 * dim, 3, padding=1)

    def forward(self, student_map: Tensor) -> QKV:
        """Return the student's queries, keys and values."""
        joint = self.convolutions(_on_grid(student_map, self.grid))
        # (N, 3 · heads · d, g, g) -> (3, N, heads, g², d)
        parts = joint.flatten(2).unflatten(1, (3, self.heads, -1)).permute(1, 0, 2, 4, 3)
        return QKV(*parts)


class GroupLinear(nn.Module):
    r"""Map a student's feature map to tokens of the teacher's width, position by position.

    $$h'_S = \mathrm{Proj}_2(h_S) \in \mathbb R^{N \times \mathrm{tokens} \times \mathrm{dim}}$$

    One linear layer for all positions would be blind to where it is, one for each of 196 positions
    38.7 million parameters. Here every block of ``share`` x ``share`` neighbouring positions has a
    layer of its own: a grid of 14 x 14 has 4 x 4 = 16 of them (the last row and column of blocks
    are two positions wide), one of 7 x 7 has four.

    Args:
        in_channels: of the student's map.
        dim: width of the teacher's tokens.
        grid: side of the teacher's token grid.
        share: side of a block of positions that share one layer.
        dropout: probability with which an input feature is dropped in training. The paper has
            dropout at this place and its rate is unknown to us; 0.1 is our choice.

    Shapes:
        input ``(N, in_channels, h, w)`` of any size, averaged (or repeated) to the grid first;
        output ``(N, grid², dim)``, row by row.

    Source: Liu et al. 2022 (ACCV), equation 5. With 256 channels, 768 dimensions and a grid of 14
    3.16 million parameters.
    """

    def __init__(
        self, in_channels: int, dim: int, grid: int, share: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.grid, self.share = grid, share
        self.blocks = -(-grid // share)
        # As in nn.Linear: uniform within 1 / sqrt(fan-in), weights and biases.
        bound = in_channels**-0.5
        groups = self.blocks**2
        self.weight = nn.Parameter(torch.empty(groups, in_channels, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, dim).uniform_(-bound, bound))
        self.dropout = nn.Dropout(dropout)

    def forward(self, student_map: Tensor) -> Tensor:
        """Return the student's tokens."""
        x = self.dropout(_on_grid(student_map, self.grid))
        n, b, s = len(x), self.blocks, self.share
        # Zeros complete the last blocks; what becomes of them is cut off below.
        missing = b * s - self.grid
        x = F.pad(x, (0, missing, 0, missing)).unflatten(3, (b, s)).unflatten(2, (b, s))
        # (N, C, b, s, b, s) -> (b², N s², C): one matrix product per block of positions
        x = x.permute(2, 4, 0, 3, 5, 1).reshape(b * b, n * s * s, -1)
        y = torch.baddbmm(self.bias, x, self.weight)
        # back to (N, b, s, b, s, dim) -> (N, g, g, dim)
        y = y.view(b, b, n, s, s, -1).permute(2, 0, 3, 1, 4, 5).reshape(n, b * s, b * s, -1)
        return y[:, : self.grid, : self.grid].flatten(1, 2)


class TokenDiscriminator(nn.Module):
    r"""Tell the teacher's tokens from the student's: three fully connected layers.

    One logit per token, so $k$ in equations 8 and 9 runs over the tokens of the batch. One logit
    per image would be the other reading; its first layer alone would see 196 x 768 numbers.
    Tokens are layer-normed first (without parameters): the difference in scale between two
    networks would give the student away and teach it nothing.

    Args:
        dim: width of the tokens.
        hidden: width of the two hidden layers; None takes ``dim``.

    Shapes:
        input ``(N, tokens, dim)``, output logits ``(N, tokens)``, positive for "teacher".

    Source: Liu et al. 2022 (ACCV), section on multi-view robust training. Widths and activation
    are not given where we could read; leaky ReLU with slope 0.2 is what such networks usually have.
    """

    def __init__(self, dim: int, hidden: int | None = None) -> None:
        super().__init__()
        width = hidden or dim
        self.layers = nn.Sequential(
            nn.LayerNorm(dim, elementwise_affine=False),
            nn.Linear(dim, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return one logit per token."""
        return self.layers(tokens).squeeze(-1)


def _on_grid(student_map: Tensor, grid: int) -> Tensor:
    # Pooling to the size that is there already changes nothing and takes a millisecond.
    if student_map.shape[-2:] == (grid, grid):
        return student_map
    return F.adaptive_avg_pool2d(student_map, grid)
