"""What the segmentation networks of this course share: sizes, norms and the places for hints."""

from typing import ClassVar, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "instance"]


class SegmentationNetwork(nn.Module):
    """Images in, logits of the same size out; two maps on the way are named, for `tap`.

    Every network calls its identity modules ``hint_half`` and ``hint_full`` on the output of the
    last decoder block but one (half the image's side) and of the last one (its full side), and
    its last convolution ``head``, which is a third place to tap. So a teacher and a student of
    different architecture are tapped alike, and only `hint_channels` may differ.

    Args:
        in_channels: of the images.
        stride: sides of images must be multiples of it: 2 to the number of poolings.
        norm: ``batch`` as published, or ``instance``: nothing passes from one image of a batch to
            another, so real and synthetic images cannot mix their statistics. Both have a scale
            and a shift per channel, hence the same number of parameters.
        hint_channels: of the two named maps.

    Raises:
        ValueError: ``norm`` is neither.

    Source: "the last two layers" are aligned in Jiang et al. 2019 (MICCAI). Which maps these are
    is not said where we could read; the outputs of the last two decoder blocks are our reading.
    """

    hint_places: ClassVar[tuple[str, str]] = ("hint_half", "hint_full")

    def __init__(
        self, in_channels: int, stride: int, norm: Norm, hint_channels: tuple[int, int]
    ) -> None:
        super().__init__()
        if norm not in get_args(Norm):
            raise ValueError(f"norm: expected one of {get_args(Norm)}, found {norm!r}")
        self.in_channels, self.stride, self.norm = in_channels, stride, norm
        self._hint_channels = hint_channels
        self.hint_half, self.hint_full = nn.Identity(), nn.Identity()

    @property
    def hint_channels(self) -> tuple[int, int]:
        """Channels of the maps at `hint_places`, in their order."""
        return self._hint_channels

    def check_images(self, images: Tensor) -> None:
        """Refuse images that this network cannot halve and double back.

        Raises:
            ValueError: the channels are others, a side is no multiple of the stride, or the
                coarsest map has one position, which instance norm would set to its shift.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected (N, {self.in_channels}, H, W), found {tuple(images.shape)}; "
                "build the network with the in_channels of your images"
            )
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or 0 in (height, width):
            raise ValueError(
                f"images: expected sides that are multiples of {self.stride}, found {height} x "
                f"{width}; pad or crop the images, or build the network with fewer levels"
            )
        if self.norm == "instance" and height == width == self.stride:
            raise ValueError(
                f"images: {height} x {width} leaves a coarsest map of one position, which has no "
                "statistics for instance norm; expected a larger image or a network with fewer "
                "levels"
            )


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Return the norm named ``norm`` for ``channels`` channels, with scale and shift."""
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.BatchNorm2d(channels)


def conv_norm_relu(
    in_channels: int, out_channels: int, norm: Norm, kernel: int = 3, dilation: int = 1
) -> nn.Sequential:
    """Return convolution (3x3 unless said), norm and ReLU; the side stays the same."""
    return nn.Sequential(
        *conv_norm(in_channels, out_channels, norm, kernel, dilation), nn.ReLU(inplace=True)
    )


def conv_norm(
    in_channels: int, out_channels: int, norm: Norm, kernel: int = 3, dilation: int = 1
) -> nn.Sequential:
    """Return convolution (of an odd kernel) and norm; the side stays the same."""
    return nn.Sequential(
        # The norm takes the bias away again; it is here because the published counts hold it.
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
        ),
        norm_layer(norm, out_channels),
    )


def double_conv(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    """Return two `conv_norm_relu`, the step of U-Net and of MRRN."""
    return nn.Sequential(
        conv_norm_relu(in_channels, out_channels, norm),
        conv_norm_relu(out_channels, out_channels, norm),
    )


def upsample(maps: Tensor, factor: int = 2) -> Tensor:
    """Return maps of ``factor`` times the side, bilinear, corners on corners.

    Aligned corners stretch the grid: a map's centre stays in place, its other points move by up to
    half a pixel of the coarse map. The published networks do so; the convolutions after it learn
    around it.
    """
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=True)
