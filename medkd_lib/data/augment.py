"""Random views of a batch of films: shifted a little, exposed a little differently."""

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, shift: float = 0.06, exposure: float = 0.1) -> Tensor:
    """Return a random view of each image; randomness comes from torch's global generator.

    No flip: a mirrored chest has its heart on the wrong side.

    Args:
        images: ``(N, C, H, W)`` float.
        shift: largest translation as a share of the side; the border is repeated.
        exposure: standard deviation of a gain around 1 and of an offset around 0.
    """
    n = len(images)
    theta = torch.eye(2, 3).repeat(n, 1, 1)
    # grid_sample's coordinates run from -1 to 1, so a share s of the side is 2 s.
    theta[:, :, 2] = (torch.rand(n, 2) * 2 - 1) * 2 * shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False).to(images.device)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = 1 + exposure * torch.randn(n, 1, 1, 1)
    offset = exposure * torch.randn(n, 1, 1, 1)
    return moved * gain.to(images.device) + offset.to(images.device)
