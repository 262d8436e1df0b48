"""What a classifier makes of its maps: the mean of the last one, or of all levels side by side."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from medkd_lib.models.domain_classifier import pooled

Read = Literal["last", "all"]


class ReadOut(nn.Module):
    r"""Maps of all levels in, one vector per image out; a linear head stands behind it.

    $$\texttt{last}:\quad v = \overline{g(m_L)},\qquad
    \texttt{all}:\quad v = [\,\overline{\mathrm{BN}_1(m_1)}\,;\dots;
    \overline{\mathrm{BN}_{L-1}(m_{L-1})}\,;\overline{g(m_L)}\,]$$

    with the bars over positions and g what the network does to its last map before the mean.

    A network that makes its own maps passes everything through the last one, and ``last`` is what
    is published. Maps that were fused level by level do not pass through each other: behind
    ``last`` nothing but the coarsest fuser would learn, and a student that follows the others
    would follow random mixtures. ``all`` is our answer to that, no paper's: every level has its
    share of the vector, the norm brings the levels to one loudness. It has no use for maps that an
    *instance* norm made, of which the mean over positions is the same for every image.

    Args:
        channels: of the maps, finest first.
        tail: g, map to map.
        tail_channels: of g's result.
        read: see above.
        dropout: of the vector, in training.

    Attributes:
        width: of the vector.
        levels: which maps are read.

    Shapes:
        input maps ``(N, channels[l], h_l, w_l)``, output ``(N, width)``.

    Raises:
        ValueError: ``read`` is neither.
    """

    def __init__(
        self, channels: Sequence[int], tail: nn.Module, tail_channels: int, read: Read,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if read not in get_args(Read):
            raise ValueError(f"read: expected one of {get_args(Read)}, found {read!r}")
        finer = tuple(channels[:-1]) if read == "all" else ()
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in finer)
        self.tail = tail
        self.dropout = nn.Dropout(dropout)
        self.width = sum(finer) + tail_channels
        self.levels = tuple(range(len(channels) - 1 - len(finer), len(channels)))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the vectors."""
        *finer, last = (maps[level] for level in self.levels)
        normed = [norm(x) for norm, x in zip(self.norms, finer, strict=True)]
        # v = [mean BN(m_1) ; … ; mean g(m_L)]
        means = [pooled(x) for x in (*normed, self.tail(last))]
        return self.dropout(torch.cat(means, dim=1))
