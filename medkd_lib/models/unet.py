"""U-Net with bilinear up-sampling, as wide and as deep as asked for."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.levels import Levelled
from medkd_lib.models.segmentation import Norm, SegmentationNetwork, double_conv, upsample

# Of the network that CMEDL's group used beside it; with batch norm and 1 -> 2 channels 13,394,242
# parameters.
PUBLISHED_WIDTHS = (64, 128, 256, 512, 512)


class UNet(Levelled, SegmentationNetwork):
    r"""Two convolutions per level on the way down, two on the way up, with all skips.

    $$d_l = C_l([e_l\,;\,\mathrm{up}(d_{l+1})]),\qquad e_{l+1} = C'_{l+1}(\mathrm{pool}(e_l))$$

    with $C$ two times (3x3 convolution, norm, ReLU), ``pool`` the maximum over 2 x 2 and ``up``
    bilinear. A decoder block hands on the width of the level above its own, so that the two
    halves of the next concatenation are equally wide; the topmost one keeps its width.

    Args:
        in_channels: of the images.
        classes: number of logits per pixel.
        widths: channels per level, full size first; each further level halves the side. The
            default is the published layout, ``(8, 16, 32)`` is a laptop's.
        norm: see `SegmentationNetwork`.

    Shapes:
        input ``(N, in_channels, H, W)`` with sides that are multiples of 2 to the number of
        poolings, output ``(N, classes, H, W)``. Taps: ``hint_half`` and ``hint_full``, at the
        default widths both 64 channels, and ``head``.

    Raises:
        ValueError: fewer than three levels (the hints need two decoder blocks), an unknown norm,
            images of another size or number of channels.

    Source: Ronneberger et al. 2015; widths, padding, batch norm and bilinear up-sampling as in the
    public code of PSIGAN (Jiang et al. 2020), from the same group as CMEDL. That CMEDL used this
    very layout is a guess that the number of parameters supports.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = PUBLISHED_WIDTHS,
        norm: Norm = "batch",
    ) -> None:
        if len(widths) < 3:
            raise ValueError(
                f"widths: expected three levels or more, found {tuple(widths)}; the two hint "
                "places need two decoder blocks"
            )
        handed_on = [widths[0], *widths[:-2]]  # by the decoder block of each level, top first
        super().__init__(in_channels, 2 ** (len(widths) - 1), norm, (handed_on[1], handed_on[0]))
        self._level_channels = tuple(widths)
        before = [in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(
            double_conv(a, b, norm) for a, b in zip(before, widths, strict=True)
        )
        below = [*handed_on[1:], widths[-1]]
        self.decoder = nn.ModuleList(
            double_conv(widths[level] + below[level], handed_on[level], norm)
            for level in reversed(range(len(handed_on)))
        )
        self.head = nn.Conv2d(handed_on[0], classes, 1)

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels per level, full size first."""
        return self._level_channels

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the encoder's maps, the bottleneck last."""
        self.check_images(images)
        maps: list[Tensor] = []
        for block in self.encoder:
            # e_{l+1} = C'(pool(e_l))
            maps.append(block(F.max_pool2d(maps[-1], 2) if maps else images))
        return maps

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """Return the logits."""
        *skips, x = maps
        for block in self.decoder:
            # d_l = C([e_l ; up(d_{l+1})])
            x = block(torch.cat([skips.pop(), upsample(x)], dim=1))
            if len(skips) == 1:
                x = self.hint_half(x)
        return self.head(self.hint_full(x))
