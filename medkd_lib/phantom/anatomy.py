"""A patient's anatomy as soft layers on a grid: paint any physical property from it.

A layer says how much of each voxel a tissue takes (0…1, partial volume). Layers lie over each
other like coats of paint, so the fractions of all tissues add up to one in every voxel, and any
property that mixes linearly (attenuation, HU, proton density, uptake) is painted the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# float32 by convention: a volume of float64 would cost twice the time and memory
FloatArray = NDArray[np.floating]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """A voxel grid in patient coordinates (millimetres).

    Array axes are ``[i, j, k]`` = patient Left, Posterior, Superior ("LPS" axis codes): x grows
    to the patient's left, y to the back, z to the head. The origin lies in the middle.

    Attributes:
        shape: voxels along (left, posterior, superior).
        spacing_mm: voxel size along the same axes. The default is coarse along y, the X-ray beam.
    """

    shape: tuple[int, int, int] = (192, 48, 192)
    spacing_mm: tuple[float, float, float] = (2.0, 5.5, 2.0)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index → world millimetres in RAS+, the convention of NIfTI and nibabel."""
        first = -(np.array(self.shape) - 1) / 2 * np.array(self.spacing_mm)
        lps = np.diag([*self.spacing_mm, 1.0])
        lps[:3, 3] = first
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def coordinates(self, box: Box | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Voxel centres x, y, z in mm, shaped for broadcasting: (I,1,1), (1,J,1), (1,1,K)."""
        x, y, z = (
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
            for n, s in zip(self.shape, self.spacing_mm, strict=True)
        )
        if box is not None:
            x, y, z = x[box[0]], y[box[1]], z[box[2]]
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def box(self, low_mm: tuple[float, ...], high_mm: tuple[float, ...]) -> Box:
        """Smallest index box that holds the millimetre box, cut at the grid (may be empty)."""
        slices = []
        for low, high, n, s in zip(low_mm, high_mm, self.shape, self.spacing_mm, strict=True):
            start = int(np.floor(low / s + (n - 1) / 2))
            stop = int(np.ceil(high / s + (n - 1) / 2)) + 1
            start = min(max(start, 0), n)
            slices.append(slice(start, min(max(stop, start), n)))
        return slices[0], slices[1], slices[2]

    @property
    def everything(self) -> Box:
        """The box of the whole grid."""
        return slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])


@dataclass(frozen=True)
class Layer:
    """One coat of paint: ``membership`` (0…1) of ``tissue`` inside ``box``.

    Attributes:
        name: what it is (``"heart"``, ``"finding 0"``), unique enough to be looked up.
        tissue: a key of :data:`medkd_lib.phantom.tissue.TISSUES`.
        box: index box in the grid.
        membership: float32, shape of the box; or of ``voxels``.
        voxels: flat indices into the grid, for shapes that fill little of their box (ribs).
    """

    name: str
    tissue: str
    box: Box
    membership: FloatArray
    voxels: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Anatomy:
    """Layers on a grid, first painted first, the last one on top."""

    grid: Grid
    layers: tuple[Layer, ...]

    def paint(self, values: Mapping[str, float]) -> FloatArray:
        r"""Volume of a property that mixes linearly.

        .. math:: v \leftarrow v + m\,(v_\text{tissue} - v) \quad\text{layer by layer, from air}

        Args:
            values: property per tissue name, ``"air"`` included (the background).

        Returns:
            float32 volume of the grid's shape.

        Raises:
            KeyError: if a tissue of a layer has no value.
        """
        missing = sorted(({layer.tissue for layer in self.layers} | {"air"}) - set(values))
        if missing:
            raise KeyError(
                f"values: no entry for tissue {missing}; found {sorted(values)}; "
                "start from tissue.hu_table() or tissue.mu_table()"
            )
        volume = np.full(self.grid.shape, values["air"], np.float32)
        # Before the first other value is painted, air's own on air changes nothing.
        first = next(
            (n for n, layer in enumerate(self.layers) if values[layer.tissue] != values["air"]),
            len(self.layers),
        )
        for layer in self.layers[first:]:
            sparse = layer.voxels is not None
            part = volume.reshape(-1)[layer.voxels] if sparse else volume[layer.box]
            _cover(part, layer.membership, values[layer.tissue])
            if sparse:
                volume.reshape(-1)[layer.voxels] = part
        return volume

    def fraction(self, *tissues: str) -> FloatArray:
        """Fraction of each voxel that the tissues take together, 0…1."""
        if "air" in tissues:
            names = {layer.tissue for layer in self.layers} | {"air"}
            return self.paint({name: float(name in tissues) for name in names})
        volume = np.zeros(self.grid.shape, np.float32)
        wanted = [n for n, layer in enumerate(self.layers) if layer.tissue in tissues]
        if not wanted:
            return volume
        # Before the first of these layers all is 0, and beyond their boxes it stays 0.
        region = _around([self.layers[n] for n in wanted], self.grid)
        for layer in self.layers[wanted[0] :]:
            value = float(layer.tissue in tissues)
            if layer.voxels is None:
                whole, own = _common(layer.box, region)
                _cover(volume[whole], layer.membership[own], value)
            else:
                part = volume.reshape(-1)[layer.voxels]
                _cover(part, layer.membership, value)
                volume.reshape(-1)[layer.voxels] = part
        return volume

    def layer(self, name: str) -> Layer:
        """Find the layer of that name.

        Raises:
            KeyError: if there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"layer {name!r}: not found; layers are {[x.name for x in self.layers]}")

    def labels(self, tissues: tuple[str, ...]) -> NDArray[np.uint8]:
        """Label map: index in ``tissues`` of the tissue with the largest fraction per voxel."""
        return np.argmax([self.fraction(tissue) for tissue in tissues], axis=0).astype(np.uint8)


def _cover(part: FloatArray, membership: FloatArray, value: float) -> None:
    r"""Paint one coat in place, :math:`v \leftarrow v + m\,(v_\text{tissue} - v)`."""
    change = np.float32(value) - part
    change *= membership
    part += change


def _around(layers: Sequence[Layer], grid: Grid) -> Box:
    """Smallest box that holds the boxes of all layers; the whole grid for a sparse one."""
    if any(layer.voxels is not None for layer in layers):
        return grid.everything
    boxes = [layer.box for layer in layers if layer.membership.size]
    i, j, k = (
        slice(
            min((b[a].start for b in boxes), default=0), max((b[a].stop for b in boxes), default=0)
        )
        for a in range(3)
    )
    return i, j, k


def _common(box: Box, region: Box) -> tuple[Box, Box]:
    """Return what two boxes share, counted in the grid and from the corner of the first."""
    spans = [(max(b.start, r.start), min(b.stop, r.stop)) for b, r in zip(box, region, strict=True)]
    i, j, k = (slice(low, max(low, high)) for low, high in spans)
    a, b, c = (
        slice(s.start - o.start, s.stop - o.start) for s, o in zip((i, j, k), box, strict=True)
    )
    return (i, j, k), (a, b, c)


def soft(depth: FloatArray) -> FloatArray:
    r"""Membership from a signed depth in voxels (positive inside): the partial volume of an edge.

    .. math:: m = \mathrm{clip}(d + \tfrac12, 0, 1)

    Works in place on ``depth`` to spare a copy of the volume.
    """
    depth += 0.5
    return np.clip(depth, 0.0, 1.0, out=depth)


def ellipsoid(
    grid: Grid,
    name: str,
    tissue: str,
    centre_mm: tuple[float, float, float],
    semi_axes_mm: tuple[float, float, float],
    tilt_deg: float = 0.0,
) -> Layer:
    r"""Draw a soft ellipsoid, tilted in the coronal plane.

    Depth of a voxel in voxels: :math:`d = (1 - \rho)\,\min_a (r_a / s_a)` with
    :math:`\rho^2 = \sum_a (u_a/r_a)^2`, exact at the axes.

    Args:
        grid: where to draw.
        name: layer name.
        tissue: layer tissue.
        centre_mm: x, y, z.
        semi_axes_mm: semi-axes along the tilted x, y, and the tilted z.
        tilt_deg: rotation about y; positive tips the top of the body to the patient's left.
    """
    reach = max(semi_axes_mm[0], semi_axes_mm[2]) + 4.0
    half = (reach, semi_axes_mm[1] + grid.spacing_mm[1], reach)
    box = grid.box(
        tuple(c - h for c, h in zip(centre_mm, half, strict=True)),
        tuple(c + h for c, h in zip(centre_mm, half, strict=True)),
    )
    x, y, z = grid.coordinates(box)
    x, y, z = x - centre_mm[0], y - centre_mm[1], z - centre_mm[2]
    c, s = float(np.cos(np.deg2rad(tilt_deg))), float(np.sin(np.deg2rad(tilt_deg)))
    u, w = c * x - s * z, s * x + c * z
    rho = np.sqrt(
        ((u / semi_axes_mm[0]) ** 2 + (w / semi_axes_mm[2]) ** 2) + (y / semi_axes_mm[1]) ** 2
    )
    scale = min(r / d for r, d in zip(semi_axes_mm, grid.spacing_mm, strict=True))
    return Layer(name, tissue, box, soft((1.0 - rho) * np.float32(scale)))
