"""Images that lie in two sets under two names, found by what they show."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class LookAlike(NamedTuple):
    """One pair: the rows of both images, and their likeness, at most 1."""

    first: int
    second: int
    likeness: float


def look_alikes(
    first: Tensor, second: Tensor, *, least: float = 0.95, side: int = 32
) -> list[LookAlike]:
    r"""Return the pairs of images that show the same, the most alike first.

    $$\rho_{ij}=\cos(u_i-\bar u,\;v_j-\bar u)$$

    with u, v thumbnails at mean 0 and standard deviation 1 each, and $\bar u$ the mean thumbnail of
    all images of both sets: what every image of a body part shares proves nothing. A copy is found
    though it was stored in another format, resized, brightened, or under another patient's name; a
    hash of its file finds none of these. Not found are copies that were cropped, turned or
    mirrored: ask again with them.

    Two neighbouring slices of one patient are look-alikes, too, and of two patients rarely.

    Args:
        first: ``(N, 1, H, W)``, no unit.
        second: ``(M, 1, H', W')``.
        least: lowest likeness that counts; look at the pairs near it before you rely on it.
        side: of the thumbnails, in pixels; both sets are averaged to it.

    Raises:
        ValueError: other shapes, an empty set, or a limit outside (0, 1].
    """
    if not 0 < least <= 1:
        raise ValueError(f"least: expected within (0, 1], found {least}")
    for name, images in (("first", first), ("second", second)):
        if images.ndim != 4 or images.shape[1] != 1 or not len(images):
            raise ValueError(
                f"{name}: expected images (N, 1, H, W), one or more, found {tuple(images.shape)}"
            )
    u, v = (_thumbnails(images, side) for images in (first, second))
    mean = torch.cat([u, v]).mean(dim=0)
    # ρ = cos(u - ū, v - ū)
    a, b = (F.normalize(x - mean, dim=1) for x in (u, v))
    likeness = a @ b.T
    pairs = torch.nonzero(likeness >= least).tolist()
    found = [LookAlike(i, j, float(likeness[i, j])) for i, j in pairs]
    return sorted(found, key=lambda pair: -pair.likeness)


def _thumbnails(images: Tensor, side: int) -> Tensor:
    """Return ``(N, side²)`` at mean 0 and standard deviation 1; one grey value stays 0."""
    small = F.adaptive_avg_pool2d(images.double(), side).flatten(1)
    centred = small - small.mean(dim=1, keepdim=True)
    return centred / centred.std(dim=1, keepdim=True, correction=0).clamp(min=1e-9)
