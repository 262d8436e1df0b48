"""Opacities on the grid: wavy balls inside one lobe and the net of an interstitial pneumonia."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid, Layer
from medkd_lib.phantom.opacities import Finding


def finding_layer(finding: Finding, number: int, lobe: Layer, grid: Grid) -> Layer:
    r"""Draw the finding as a layer of exudate, cut by its lobe.

    Ball of radius :math:`r = (3V / 4\pi f)^{1/3}` (:math:`f` the flatness) around a place in the
    lobe, its distance made wavy by plane waves :math:`w`:

    .. math:: m = \text{fill}\cdot\mathrm{clip}\!\Big(\frac{1 - \rho(1 + 0.28 w)}{e} + \tfrac12\Big)
              \cdot m_\text{lobe}

    Args:
        finding: what to draw.
        number: used in the layer's name, ``"finding 0"``.
        lobe: layer of the lobe named in the finding (membership includes the lung's edge).
        grid: the grid.
    """
    radius = (3000.0 * finding.target_ml / (4.0 * np.pi * finding.flatness)) ** (1 / 3)
    radii = (radius, radius, radius * finding.flatness)
    centre = _centre(finding.position, lobe, grid)
    reach = [1.25 * r * (1.0 + finding.edge / 2) for r in radii]
    box = grid.box(
        tuple(c - r for c, r in zip(centre, reach, strict=True)),
        tuple(c + r for c, r in zip(centre, reach, strict=True)),
    )
    box = tuple(  # type: ignore[assignment]
        slice(max(b.start, o.start), max(min(b.stop, o.stop), max(b.start, o.start)))
        for b, o in zip(box, lobe.box, strict=True)
    )
    x, y, z = (u - c for u, c in zip(grid.coordinates(box), centre, strict=True))
    rho = np.sqrt((x**2 + z**2 / finding.flatness**2) + y**2) / np.float32(radius)
    rng = np.random.default_rng(finding.texture_seed)
    wave = _plane_waves(rng, (x, y, z), radius)
    ball = np.clip((1.0 - rho * (1.0 + 0.28 * wave)) / finding.edge + 0.5, 0.0, 1.0)
    inner = tuple(
        slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, lobe.box, strict=True)
    )
    # viral patches are mottled lobule by lobule, a consolidation is nearly uniform
    lobule = 20.0 if finding.kind == "ground_glass" else radius
    depth = 0.5 if finding.kind == "ground_glass" else 0.15
    mottle = 1.0 + depth * _plane_waves(rng, (x, y, z), lobule)
    member = np.clip(finding.fill * mottle, 0.0, 1.0) * ball * lobe.membership[inner]
    return Layer(f"finding {number}", "exudate", box, member.astype(np.float32))


def _centre(position: float, lobe: Layer, grid: Grid) -> tuple[float, float, float]:
    """Patient coordinates of the voxel at rank ``position`` among the lobe's inner voxels."""
    inside = np.flatnonzero(lobe.membership > 0.5)
    if not len(inside):
        raise ValueError(
            f"{lobe.name}: expected at least one voxel of lung, found none; "
            "use a finer grid or a larger chest"
        )
    index = np.unravel_index(inside[int(position * len(inside))], lobe.membership.shape)
    axes = grid.coordinates(lobe.box)
    x, y, z = (float(axis.ravel()[i]) for axis, i in zip(axes, index, strict=True))
    return x, y, z


def interstitial_layer(strength: float, lung: Layer, grid: Grid, seed: int) -> Layer:
    r"""Draw a net of thickened septa through one lung, :math:`m = s\,(1 + w)^2/1.5\,m_\text{lung}`.

    :math:`w` has unit-amplitude waves of 12–20 mm, :math:`E[(1 + w)^2] = 1.5`, so the mean share
    of air lost is ``strength``.
    """
    axes = grid.coordinates(lung.box)
    net = 1.0 + _plane_waves(np.random.default_rng(seed), axes, 8.0, 40)
    net *= net
    net *= np.float32(strength / 1.5)
    np.clip(net, 0.0, 1.0, out=net)
    net *= lung.membership
    return Layer(f"interstitium {lung.name}", "exudate", lung.box, net)


def _plane_waves(
    rng: np.random.Generator,
    axes: tuple[FloatArray, FloatArray, FloatArray],
    radius: float,
    waves: int = 16,
) -> FloatArray:
    r"""Smooth random field of variance 1/2, wavelengths around twice the radius.

    .. math:: w = M^{-1/2} \sum_m \cos(k_m \cdot r + \varphi_m)
                = M^{-1/2}\,\Re \sum_m e^{i(k_x x + \varphi)}\,e^{i k_y y}\,e^{i k_z z}

    The product form is one matrix product per volume instead of M cosines per voxel.
    """
    direction = rng.normal(size=(3, waves))
    direction /= np.linalg.norm(direction, axis=0)
    k = direction * rng.uniform(2.5, 4.2, waves) / max(radius, 8.0)
    phase = rng.uniform(0.0, 2.0 * np.pi, waves)
    x, y, z = (axis.ravel()[:, None] * row for axis, row in zip(axes, k, strict=True))
    ex, ey, ez = np.exp(1j * (x + phase)), np.exp(1j * y), np.exp(1j * z)
    front = (ex[:, None] * ey[None]).astype(np.complex64).reshape(-1, waves)
    back = (ez / np.sqrt(waves)).astype(np.complex64)
    # Re(ab) = Re a Re b − Im a Im b
    field = front.real @ back.real.T
    field -= front.imag @ back.imag.T
    return field.reshape(len(x), len(y), len(z))
