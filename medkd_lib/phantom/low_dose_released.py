"""REACT-KD's low-dose law as released, to be shown beside the physical one: not photon noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from medkd_lib.phantom.parallel_beam import ParallelBeam, filtered_backprojection, project
from medkd_lib.phantom.tissue import MU_WATER_65KEV

DOMAIN = 256.0
"""Edge of the square on which the released code places every slice, whatever its size in mm."""


def released_low_dose(hu: Tensor, dose: float, generator: torch.Generator) -> Tensor:
    r"""Degrade slices as the released code does.

    .. math:: \tilde x = \frac{x - \min x}{\max x - \min x}, \qquad q = \mathcal R \tilde x, \qquad
              \tilde q = \mathrm{Poisson}(q \cdot \mathrm{dose}) / \mathrm{dose}

    per slice, padded with zeros to a square of side n on [−128, 128]², n angles, bare ramp,
    clipped to [0, 1] and stretched back. No exponential, no electronic noise, no pixel size: twice
    the path has twice the variance, not :math:`e^p` times, and ``dose`` means something else on
    every slice.

    Args:
        hu: (B, H, W) any grey values.
        dose: the released code names 1e6, 5e4, 1e4, 1e3 and 5e2.
        generator: source of the noise.

    Raises:
        ValueError: dose not above 0, or a slice of one grey value, which min-max cannot scale.

    Source: REACT-KD's repository (LDCT_simulate), rewritten from its formula; the Radon transform
    and the filter are ours.
    """
    if dose <= 0.0:
        raise ValueError(f"released_low_dose: expected a dose above 0, found {dose}")
    low = hu.amin((1, 2), keepdim=True)
    span = hu.amax((1, 2), keepdim=True) - low
    if bool((span <= 0).any()):
        raise ValueError("released_low_dose: a slice has one grey value; leave it out")
    height, width = hu.shape[1:]
    n = max(height, width)
    top, left = (n - height) // 2, (n - width) // 2
    pad = (left, n - width - left, top, n - height - top)
    scaled = F.pad((hu.float() - low) / span, pad)
    # The projector takes pixels in mm and integrates in cm.
    beam = ParallelBeam((n, n), 10.0 * DOMAIN / n, n)
    q = project(scaled, beam)
    noisy = torch.poisson(q.clamp(min=0.0) * dose, generator=generator) / dose
    image = filtered_backprojection(noisy, beam, "sharp").clamp(0.0, 1.0)
    return image[:, top : top + height, left : left + width] * span + low


def released_projection_std(
    path_cm: Tensor, dose: float, *, hu_span: float, field_mm: float
) -> Tensor:
    r"""Noise of the released law on true line integrals, for a path through water.

    On the scaled slice (air 0) a path of L cm through water has
    :math:`q = L\,\frac{1000}{R}\,\frac{256}{\mathrm{field}}` and
    :math:`\mathrm{std}(\tilde q) = \sqrt{q/\mathrm{dose}}`. Scaled back to attenuation:

    .. math:: \mathrm{std}(\hat p) = \mu_w \sqrt{\frac{R}{1000}\,\frac{\mathrm{field}}{256}\,
              \frac{L}{\mathrm{dose}}}

    Linear in path length under the root, and dependent on the slice's span R of grey values.

    Args:
        path_cm: L, any shape.
        dose: as in :func:`released_low_dose`.
        hu_span: R, maximum minus minimum of the slice, the minimum being air.
        field_mm: edge of the padded slice.
    """
    field_cm = field_mm / 10.0
    scale = hu_span / 1000.0 * field_cm / DOMAIN
    return MU_WATER_65KEV * math.sqrt(scale / dose) * path_cm.sqrt()
