"""The two units of MRRN: one adds to a map, the other lets two resolutions meet."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.segmentation import Norm, conv_norm_relu, double_conv, upsample


class ResidualUnit(nn.Module):
    r"""$x + \mathrm{ReLU}(\mathrm{norm}(\mathrm{conv}_{3\times3}(x)))$, channels and side kept.

    Args:
        channels: of the map.
        norm: see `SegmentationNetwork`.
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.added = conv_norm_relu(channels, channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with what the unit adds."""
        return x + self.added(x)


class FRRU(nn.Module):
    r"""Full-resolution residual unit: a pooled stream reads a finer stream and adds to it.

    $$p' = C([\,\mathrm{dropout}(\mathrm{pool}_s(r))\,;\,p\,]),\qquad
    r' = r + \mathrm{up}_s(W p')$$

    with $C$ two times (3x3 convolution, norm, ReLU), $\mathrm{pool}_s$ the maximum over $s\times s$
    and $W$ a 1x1 convolution to the channels of $r$.

    Args:
        pooled_channels: of $p$.
        stream_channels: of $r$.
        out_channels: of $p'$.
        factor: $s$, how many times finer the stream is.
        norm: see `SegmentationNetwork`.
        dropout: probability for a channel of the stream, in training.
        writes: without it there is no $W$ and $r' = r$, for a stream that is not read again.

    Shapes:
        ``(N, pooled_channels, h, w)`` and ``(N, stream_channels, s h, s w)`` in,
        ``(N, out_channels, h, w)`` and the stream's own shape out.

    Source: Pohlen et al. 2017 (CVPR) for the unit; the dropout, the ReLU inside and the bilinear
    way back as in the public code of MRRN-DS.
    """

    def __init__(
        self,
        pooled_channels: int,
        stream_channels: int,
        out_channels: int,
        factor: int,
        norm: Norm,
        dropout: float,
        *,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.factor = factor
        self.dropout = nn.Dropout2d(dropout)
        self.convolutions = double_conv(stream_channels + pooled_channels, out_channels, norm)
        self.adjust = nn.Conv2d(out_channels, stream_channels, 1) if writes else None

    def forward(self, pooled: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return both streams after they met."""
        # p' = C([dropout(pool(r)) ; p])
        seen = self.dropout(F.max_pool2d(stream, self.factor))
        pooled = self.convolutions(torch.cat([seen, pooled], dim=1))
        if self.adjust is None:
            return pooled, stream
        # r' = r + up(W p')
        return pooled, stream + upsample(self.adjust(pooled), self.factor)
