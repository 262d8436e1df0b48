"""The projector against chords and scikit-image, the reconstruction against what was projected."""

import math

import numpy as np
import pytest
import torch
from skimage.transform import radon

from medkd_lib.phantom.parallel_beam import (
    ParallelBeam,
    backproject,
    filtered_backprojection,
    project,
)


def disc(
    shape: tuple[int, int], radius: float, at: tuple[float, float] = (0.0, 0.0)
) -> torch.Tensor:
    y = (torch.arange(shape[0]) - (shape[0] - 1) / 2)[:, None] - at[0]
    x = torch.arange(shape[1]) - (shape[1] - 1) / 2 - at[1]
    # an edge of one pixel, as a scanner would see it
    return (radius + 0.5 - torch.hypot(y, x)).clamp(0.0, 1.0)


def test_chords_of_a_disc() -> None:
    beam = ParallelBeam((64, 80), 2.0, 24)
    p = project(0.2 * disc(beam.shape, 25.0)[None], beam)[0]
    s = torch.arange(beam.bins) - (beam.bins - 1) / 2
    chord_cm = 2.0 * (25.0**2 - s**2).clamp(min=0.0).sqrt() * 0.2
    inner = s.abs() < 22
    torch.testing.assert_close(
        p[:, inner], (0.2 * chord_cm[inner]).expand(24, -1), atol=0.02, rtol=0.02
    )
    assert float(p[:, s.abs() > 27].abs().max()) < 1e-6


def test_agrees_with_scikit_image() -> None:
    beam = ParallelBeam((61, 61), 10.0, 20)
    image = disc(beam.shape, 9.0, (6.0, 12.0)) + 0.5 * disc(beam.shape, 14.0, (-8.0, -5.0))
    ours = project(image[None], beam)[0].numpy()
    theirs = radon(image.numpy(), np.arange(20) * 9.0, circle=False).T
    # They leave out the bins that see the outermost corners, and their angles turn the other way.
    edge = (beam.bins - theirs.shape[1]) // 2
    turned = np.concatenate([ours[:1], ours[:0:-1, ::-1]])[:, edge:-edge]
    assert float(np.abs(turned - theirs).max()) < 0.04 * theirs.max()
    assert float(np.abs(turned - theirs).mean()) < 0.004 * theirs.max()


@pytest.mark.parametrize("shape", [(64, 64), (48, 70)])
def test_what_was_projected_comes_back(shape: tuple[int, int]) -> None:
    beam = ParallelBeam(shape, 3.0, 140)
    mu = 0.2 * torch.stack([disc(shape, 18.0), disc(shape, 8.0, (5.0, -9.0))])
    again = filtered_backprojection(project(mu, beam), beam, "standard")
    assert float(again[0][disc(shape, 14.0) == 1].mean()) == pytest.approx(0.2, rel=0.01)
    assert float((again - mu).abs().mean()) < 0.004
    # the second disc is where it was put, not mirrored
    assert float(again[1][disc(shape, 6.0, (5.0, -9.0)) == 1].min()) > 0.18


def test_the_kernels_are_ordered_by_sharpness() -> None:
    beam = ParallelBeam((64, 64), 3.0, 90)
    p = torch.randn(4, 90, beam.bins, generator=torch.Generator().manual_seed(0))
    noise = [
        float(filtered_backprojection(p, beam, kernel).std())
        for kernel in ("soft", "standard", "sharp")
    ]
    assert noise[0] < 0.7 * noise[1] < 0.4 * noise[2]


def test_the_batch_changes_nothing_and_gradients_reach_the_slice() -> None:
    beam = ParallelBeam((20, 24), 3.0, 7)
    mu = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = project(mu, beam)
    torch.testing.assert_close(together[1], project(mu[1:2], beam)[0])
    mu.requires_grad_()
    (project(mu, beam) * together).sum().backward()
    assert mu.grad is not None and float(mu.grad.abs().min()) > 0.0


def test_backprojecting_a_constant_counts_the_views() -> None:
    beam = ParallelBeam((20, 24), 3.0, 7)
    flat = backproject(torch.ones(2, 7, beam.bins), beam)
    torch.testing.assert_close(flat, torch.full((2, 20, 24), 7.0))


def test_every_corner_is_seen() -> None:
    beam = ParallelBeam((9, 14), 10.0, 36)
    corner = torch.zeros(1, 9, 14)
    corner[0, 0, 0] = corner[0, -1, -1] = 1.0
    # Rays a bin apart cross each pixel: they sum to about its area of 1 cm² at any angle.
    sums = project(corner, beam)[0].sum(1)
    assert float(sums.min()) > 1.5 and float(sums.max()) < 2.5
    assert float(sums.mean()) == pytest.approx(2.0, rel=0.02)
    assert beam.bins % 2 == 1 and beam.angle(18) == pytest.approx(math.pi / 2)


def test_wrong_shapes_and_geometries_are_refused() -> None:
    beam = ParallelBeam((20, 24), 3.0, 7)
    with pytest.raises(ValueError, match=r"expected slices \(B, 20, 24\)"):
        project(torch.zeros(1, 24, 20), beam)
    with pytest.raises(ValueError, match="project with the same beam"):
        filtered_backprojection(torch.zeros(1, 7, 9), beam, "sharp")
    for wrong in (((1, 24), 3.0, 7), ((20, 24), 0.0, 7), ((20, 24), 3.0, 0)):
        with pytest.raises(ValueError, match="ParallelBeam"):
            ParallelBeam(*wrong)
