"""What a network is shown instead of the images, to find out what it could do without them."""

from dataclasses import replace
from typing import Literal

import torch.nn.functional as F

from medkd_lib.data.images import ImageSet
from medkd_lib.data.store import key_of

InputControl = Literal["images", "outline", "no_tumour", "hole", "truth"]
# BraTS knows background, core, oedema, enhancing; one plane each.
MASK_IDS = 4


def shown(images: ImageSet, control: InputControl, background: float | None) -> ImageSet:
    """Return what the control shows.

    ``outline``: where there is tissue, and nothing else (the shape of the slice, hence its height
    in the head, but no grey value). ``no_tumour``: every voxel of the tumour set to the mean of
    tissue; its hole stays visible. ``hole``: that hole and nothing else, what ``no_tumour`` gives
    away. ``truth``: the expert's mask, one plane per id, the most that any reader of the images
    could know.

    Args:
        images: of a part.
        control: ``images`` changes nothing.
        background: value of what is no patient.

    Raises:
        ValueError: films have no outline, and without masks nobody knows where the tumour is.
    """
    if control == "images":
        return images
    key = key_of(of=images.fingerprint, shown=control)
    if control == "outline":
        if background is None:
            raise ValueError("control 'outline': expected images with a background, found films")
        tissue = (images.images != background).any(dim=1, keepdim=True)
        outline = tissue.expand_as(images.images).to(images.images.dtype)
        return replace(images, images=outline, fingerprint=key)
    if images.masks is None:
        raise ValueError(f"control {control!r}: expected images with masks, found none")
    if control == "no_tumour":
        kept = images.images * (images.masks == 0)[:, None]
        return replace(images, images=kept, fingerprint=key)
    if control == "hole":
        hole = (images.masks > 0)[:, None].expand_as(images.images).to(images.images.dtype)
        return replace(images, images=hole, fingerprint=key)
    planes = F.one_hot(images.masks.long(), MASK_IDS).movedim(-1, 1)
    return replace(images, images=planes.to(images.images.dtype), fingerprint=key)
