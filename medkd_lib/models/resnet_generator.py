"""CycleGAN's generator: an image of one modality in, an image of another out."""

from torch import Tensor, nn

from medkd_lib.models.translation_blocks import (
    ResidualBlock,
    Up,
    UpBlock,
    down_block,
    draw_weights,
    image_head,
    stem,
)

# Reflection by one pixel needs a coarsest map (a quarter of the side, rounded up) of two.
LEAST_SIDE = 5


class ResnetGenerator(nn.Module):
    r"""Two halvings, residual blocks at a quarter of the side, two doublings, tanh.

    $$\hat m = \tanh(C_7(U_2(U_1(R_B\cdots R_1(D_2(D_1(S(x))))))))$$

    with stem $S$ of $w$ channels, $D$ to $2w$ and $4w$, residual blocks $R$ at $4w$, $U$ back to
    $2w$ and $w$. As published there is no skip connection: what passes the middle passes at a
    quarter of the side in $4w$ channels. With ``skips`` the maps before each halving are added
    after the doubling, $U_1(r)+D_1(s)$ and $U_2(u)+s$: edges stay where they are from the first
    step on, which a laptop's few hundred steps do not teach otherwise (measured on chests of 5 mm:
    600 steps give organs with it and fog without). Dropout in the blocks is on in training only;
    a translation for another network to learn from is not the same twice unless the generator is
    in eval mode.

    Args:
        in_channels: of the images.
        out_channels: of the translated images.
        width: $w$, channels at full size; 64 is the published one, 8 a laptop's.
        blocks: $B$; 9 is the published number for images of 256 pixels, 2 a laptop's.
        up: ``transposed`` as published, ``resize`` without its checkerboard (see `UpBlock`).
        dropout: between the two convolutions of a block.
        skips: see above; no weight more or less.

    Shapes:
        input ``(N, in_channels, H, W)`` scaled to [-1, 1], sides of any length from 5; output
        ``(N, out_channels, H, W)`` in (-1, 1). Taps: ``stem``, ``down.0``, ``down.1``,
        ``residual.0`` …, ``up.0``, ``up.1``.

    Raises:
        ValueError: no block, an unknown ``up``, images of other channels or too small.

    Source: Zhu et al. 2017 (ICCV, arXiv 1703.10593), section 7.2, after Johnson et al. 2016; sizes,
    biases, dropout and N(0, 0.02) as in the public code of PSIGAN (Jiang et al. 2020), from the
    same group as CMEDL: 11,365,633 parameters for one channel. That CMEDL used this very network
    is our inference. Odd sides and sides that are no multiple of 4 are ours: a doubling returns to
    the size that its halving started from.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        blocks: int = 9,
        up: Up = "transposed",
        dropout: float = 0.5,
        skips: bool = False,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"blocks: expected one or more, found {blocks}")
        self.in_channels, self.skips = in_channels, skips
        self.stem = stem(in_channels, width)
        self.down = nn.ModuleList([down_block(width, 2 * width), down_block(2 * width, 4 * width)])
        self.residual = nn.Sequential(*(ResidualBlock(4 * width, dropout) for _ in range(blocks)))
        self.up = nn.ModuleList([UpBlock(4 * width, 2 * width, up), UpBlock(2 * width, width, up)])
        self.head = image_head(width, out_channels)
        draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the translated images."""
        self._check(images)
        x = self.stem(images)
        before: list[Tensor] = []
        for down in self.down:
            before.append(x)
            x = down(x)
        x = self.residual(x)
        for up in self.up:
            fine = before.pop()
            x = up(x, (fine.shape[-2], fine.shape[-1]))
            x = x + fine if self.skips else x
        return self.head(x)

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected (N, {self.in_channels}, H, W), found {tuple(images.shape)}; "
                "build the generator with the in_channels of your images"
            )
        if min(images.shape[-2:]) < LEAST_SIDE:
            raise ValueError(
                f"images: expected sides of {LEAST_SIDE} pixels or more, found "
                f"{images.shape[-2]} x {images.shape[-1]}; the map at a quarter of the side needs "
                "two positions to reflect"
            )
