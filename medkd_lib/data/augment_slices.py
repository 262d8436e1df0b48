"""Random views of a slice and its mask: image linear, mask nearest, background kept at zero."""

from __future__ import annotations

import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from monai.transforms.spatial.dictionary import Rand2DElasticd, RandAffined, RandFlipd
from torch import Tensor

KEYS = ("image", "mask", "inside")


def slice_views(
    *,
    flip: float = 0.5,
    rotate: float = 0.17,
    scale: float = 0.1,
    elastic: float = 0.5,
    noise: float = 0.05,
    exposure: float = 0.1,
    mask_mode: str = "nearest",
) -> Compose:
    """Return the course's augmentation of slices as a MONAI `Compose` over `KEYS`.

    Args:
        flip: probability of a mirror image, left for right; set 0 where the side matters.
        rotate: largest angle in radians.
        scale: largest relative change of size.
        elastic: probability of an elastic deformation (nodes 24 pixels apart, moved by 1 to 2).
        noise: standard deviation, in units of the image.
        exposure: largest relative gain, and half of it as offset.
        mask_mode: interpolation of the mask; anything but ``nearest`` invents labels.
    """
    modes = ("bilinear", mask_mode, "nearest")
    return Compose([
        RandFlipd(KEYS, prob=flip, spatial_axis=1),
        RandAffined(KEYS, prob=1.0, rotate_range=rotate, scale_range=scale, mode=modes,
                    padding_mode="zeros"),
        Rand2DElasticd(KEYS, (24, 24), (1, 2), prob=elastic, mode=modes, padding_mode="zeros"),
        RandGaussianNoised("image", prob=1.0, std=noise, sample_std=False),
        RandScaleIntensityd("image", exposure, prob=1.0),
        RandShiftIntensityd("image", exposure / 2, prob=1.0),
    ])  # fmt: skip


def view(transform: Compose, image: Tensor, mask: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return one random view; the same seed gives the same view.

    The outline of the tissue is deformed along with image and mask; outside it the image is zero
    again afterwards, since noise and offsets belong to tissue.

    Args:
        transform: from `slice_views`.
        image: ``(C, H, W)``, background zero.
        mask: ``(H, W)`` label ids.
        seed: of this view.
    """
    inside = (image != 0).any(dim=0)
    transform.set_random_state(seed)
    out = transform({"image": image, "mask": mask[None].float(), "inside": inside[None].float()})
    tissue = torch.as_tensor(out["inside"]) > 0.5
    return torch.as_tensor(out["image"]) * tissue, torch.as_tensor(out["mask"])[0]
