"""Random views of a batch: strong ones of films and slices, and everyday ones of brain slices.

Two kinds of images come here. Films fill their frame: what lies beyond the border is the border
repeated. Slices normalised within the brain have a background of one exact value: beyond the
border is background, and exposure and noise stay within the tissue.

Randomness comes from torch's global generator on the CPU; only per-pixel noise is drawn where the
images are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_view(
    images: Tensor,
    p: float = 0.5,
    *,
    background: float | None = None,
    exposure: float = 0.2,
    crop: float = 0.7,
    degrees: float = 20.0,
    masked: float = 0.4,
    patches: int = 8,
) -> Tensor:
    r"""Return each image as it is, or, with probability $p$, a strong random view of it.

    $$\tilde x = \begin{cases}\mathrm{Trans}(x) & u < p\\ x & \text{else}\end{cases}
    \qquad u\sim U(0,1)$$

    Trans is a random crop blown up to the frame, a rotation, a gain and an offset in every
    channel, and hidden patches: each of random strength, some nearly nothing. It does not keep
    areas, and a crop may lose what the label is about.

    Args:
        images: ``(N, C, H, W)`` float, H and W at least ``patches``.
        p: probability of a strong view.
        background: value of what is no patient; None for films.
        exposure: standard deviation of a gain around 1 and an offset around 0, in images' units.
        crop: smallest side of the crop, as a share of the image's.
        degrees: largest rotation.
        masked: largest share of hidden patches; they become background, or the image's mean.
        patches: along each side of the image.

    Source: Liu et al. 2022 (ACCV), equation 7: colour, random crop, rotation, patch masking, with
    $p = 0.5$. Their strengths could not be read; these are ours. No gamma: it has no meaning on
    normalised slices.
    """
    chosen = torch.rand(len(images)) < p
    n = int(chosen.sum())
    if n == 0:
        return images
    picked = images[chosen.to(images.device)]
    side = 1 - (1 - crop) * torch.rand(n)
    # A crop of share s stays inside the image while its centre is within 1 - s of the middle.
    centre = _symmetric(n, 2) * (1 - side)[:, None]
    moved, outside = _warped(picked, _symmetric(n) * degrees, side, centre, background)
    view = _exposed(moved, outside, exposure, exposure, 0.0, background)
    hidden = torch.rand(n, 1, patches, patches) < masked * torch.rand(n, 1, 1, 1)
    cover = F.interpolate(hidden.float(), images.shape[2:], mode="nearest").to(images.device)
    fill = view.mean(dim=(1, 2, 3), keepdim=True) if background is None else background
    out = images.clone()
    out[chosen.to(images.device)] = torch.where(cover > 0, fill, view)
    return out


def slice_augment(
    images: Tensor,
    *,
    flip: float = 0.5,
    degrees: float = 10.0,
    shift: float = 0.04,
    exposure: float = 0.1,
    noise: float = 0.05,
) -> Tensor:
    """Return an everyday random view of each brain slice; its background stays exactly 0.

    Nothing is scaled, so areas stay what they were, and with them a label that follows from an
    area. Left and right are exchanged in half of the views: set ``flip`` to 0 where the side
    matters.

    Args:
        images: ``(N, C, H, W)`` float, normalised within the tissue, background 0 in every
            channel.
        flip: probability of a mirror image.
        degrees: largest rotation.
        shift: largest translation as a share of the side.
        exposure: standard deviation of a channel's gain around 1; half of it as offset around 0.
        noise: standard deviation of Gaussian noise in the tissue, in images' units.
    """
    n = len(images)
    mirror = 1 - 2 * (torch.rand(n) < flip).float()
    # grid_sample's coordinates run from -1 to 1, so a share s of the side is 2 s.
    offset = _symmetric(n, 2) * 2 * shift
    angle = _symmetric(n) * degrees
    moved, outside = _warped(images, angle, torch.ones(n), offset, 0.0, mirror)
    return _exposed(moved, outside, exposure, exposure / 2, noise, 0.0)


def _symmetric(*shape: int) -> Tensor:
    """Return uniform numbers from -1 to 1."""
    return torch.rand(*shape) * 2 - 1


def _warped(
    images: Tensor,
    degrees: Tensor,
    side: Tensor,
    centre: Tensor,
    background: float | None,
    mirror: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return what lies at ``centre + side · R · position``, and where that is background."""
    angle = degrees * math.pi / 180
    cos, sin = angle.cos() * side, angle.sin() * side
    # Both axes run from -1 to 1 whatever the pixels' number; a rotation is one in pixels.
    height, width = images.shape[2:]
    theta = torch.empty(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = cos, -sin * height / width
    theta[:, 1, 0], theta[:, 1, 1] = sin * width / height, cos
    if mirror is not None:
        theta[:, :, 0] *= mirror[:, None]
    theta[:, :, 2] = centre
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    if background is None:
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False), None
    # Background is where all channels have its value. It travels along as a channel: a pixel on
    # the rim is a mixture, and belongs to whatever it has more of.
    tissue = ((images - background).abs().amax(dim=1, keepdim=True) > 0).to(images.dtype)
    # grid_sample puts 0 beyond the border and knows no other value.
    both = torch.cat([images - background if background else images, tissue], dim=1)
    moved = F.grid_sample(both, grid, align_corners=False)
    return (moved[:, :-1] + background if background else moved[:, :-1]), moved[:, -1:] <= 0.5


def _exposed(
    images: Tensor,
    outside: Tensor | None,
    gain: float,
    offset: float,
    noise: float,
    background: float | None,
) -> Tensor:
    """Return images with another gain and offset in every channel, and with noise."""
    n, channels = images.shape[:2]
    factor = 1 + gain * torch.randn(n, channels, 1, 1)
    constant = offset * torch.randn(n, channels, 1, 1)
    # In place from here on: this runs at every step, and `exposed` is nobody else's.
    exposed = torch.addcmul(constant.to(images.device), images, factor.to(images.device))
    if noise > 0:
        exposed.add_(torch.randn_like(exposed), alpha=noise)
    if outside is None or background is None:
        return exposed
    return exposed.masked_fill_(outside, background)
