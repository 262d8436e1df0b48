"""The lobulated surface of a tumour and the fields inside it, the same on every grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.thigh_waves import Axes, draw_waves, wave_field


@dataclass(frozen=True, eq=False)
class Shape:
    r"""A tilted ellipsoid with a wavy surface.

    With :math:`q = M (p - c)` (rotation, then division by the semi-axes) and fields :math:`w` of
    unit variance the surface is :math:`\tilde\rho = |q|\,(1 + a\,w(p)) = 1`.

    Attributes:
        semi_axes_mm: along the turned x, y, z.
        turn: (3, 3) rotation, rows are the turned axes.
        lobulation: a, 0 is an ellipsoid.
        surface, core, hot, strand: wave vectors of the surface, the necrosis, the uptake and the
            fat, relative to a centre at zero.
        necrotic_share, fat_share: of the volume, 0 for none.
        core_level, strand_level: thresholds of the two fields that give those shares.
    """

    semi_axes_mm: tuple[float, float, float]
    turn: NDArray[np.float64]
    lobulation: float
    surface: NDArray[np.float64]
    core: NDArray[np.float64]
    hot: NDArray[np.float64]
    strand: NDArray[np.float64]
    necrotic_share: float
    fat_share: float
    core_level: float = np.inf
    strand_level: float = np.inf

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of an upright box around the surface, waves included."""
        half = np.sqrt((self.turn.T**2) @ np.array(self.semi_axes_mm) ** 2)
        return half / (1.0 - 1.6 * self.lobulation)

    def smooth_rho(self, axes: Axes) -> FloatArray:
        """|q| of the ellipsoid without waves; ``axes`` are relative to the centre."""
        x, y, z = axes
        total: FloatArray = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
        for row in self.turn / np.array(self.semi_axes_mm)[:, None]:
            part = x * np.float32(row[0]) + y * np.float32(row[1]) + z * np.float32(row[2])
            total += part * part
        return np.sqrt(total, out=total)

    def rho(self, axes: Axes) -> FloatArray:
        """ρ̃, below 1 inside."""
        wave = np.clip(wave_field(axes, self.surface), -1.6, 1.6)
        return self.smooth_rho(axes) * (1.0 + np.float32(self.lobulation) * wave)

    def necrosis(self, axes: Axes, rho: FloatArray) -> FloatArray:
        """Share of dead tissue, 0…1: a wavy core, off centre."""
        if not np.isfinite(self.core_level):
            return np.zeros_like(rho)
        field = 0.28 * wave_field(axes, self.core) - rho
        return np.clip((field - self.core_level) / 0.10 + 0.5, 0.0, 1.0)

    def strands(self, axes: Axes) -> FloatArray:
        """Share of fat, 0…1, in strands and lobules."""
        field = wave_field(axes, self.strand)
        return np.clip((field - self.strand_level) / 1.2 + 0.5, 0.0, 1.0)

    def hunger(self, axes: Axes, rho: FloatArray) -> FloatArray:
        """Uptake of viable tissue relative to its hungriest part, 0.2…1: clones and a hot rim."""
        field = 0.55 + 0.24 * wave_field(axes, self.hot) + 0.35 * (np.minimum(rho, 1.0) - 0.6)
        return np.clip(field, 0.2, 1.0).astype(np.float32)


def draw_shape(
    rng: np.random.Generator, volume_ml: float, necrotic_share: float, fat_share: float
) -> Shape:
    """Draw a surface and scale it to the volume.

    Spread of the axes follows the bounding boxes of the 21 real masks: height over width 1.3 with
    a log-normal spread of 0.22, width over depth 1.0 with 0.2.
    """
    wide = float(rng.lognormal(0.0, 0.10))
    tall = float(rng.lognormal(np.log(1.35), 0.22))
    unit = np.array([wide, 1.0 / wide, tall]) / tall ** (1.0 / 3.0)
    yaw, pitch, roll = np.deg2rad(
        [rng.uniform(0.0, 180.0), rng.normal(0.0, 13.0), rng.normal(0.0, 13.0)]
    )
    lobulation = float(rng.uniform(0.06, 0.18))
    first = Shape(
        semi_axes_mm=(float(unit[0]), float(unit[1]), float(unit[2])),
        turn=_rotation(yaw, pitch, roll),
        lobulation=lobulation,
        surface=draw_waves(rng, (1.6, 1.6, 2.1), 20),
        core=draw_waves(rng, (1.9, 1.9, 2.6)),
        hot=draw_waves(rng, (1.5, 1.5, 1.9)),
        strand=draw_waves(rng, (0.7, 0.7, 1.2), 32),
        necrotic_share=necrotic_share,
        fat_share=fat_share,
    )
    axis = np.linspace(-2.2, 2.2, 45, dtype=np.float32)
    axes = axis[:, None, None], axis[None, :, None], axis[None, None, :]
    rho = first.rho(axes)
    inside = rho < 1.0
    unit_volume = float(inside.sum()) * float(axis[1] - axis[0]) ** 3
    radius = (volume_ml * 1000.0 / unit_volume) ** (1.0 / 3.0)
    core_level = strand_level = np.inf
    if necrotic_share > 0.0:
        core_field = 0.28 * wave_field(axes, first.core) - rho
        core_level = float(np.quantile(core_field[inside], 1.0 - necrotic_share))
    if fat_share > 0.0:
        fat_field = wave_field(axes, first.strand)
        strand_level = float(np.quantile(fat_field[inside], 1.0 - fat_share))
    scale = np.array([1 / radius, 1 / radius, 1 / radius, 1.0])[:, None]
    a, b, c = (float(v * radius) for v in unit)
    return replace(
        first,
        semi_axes_mm=(a, b, c),
        surface=first.surface * scale,
        core=first.core * scale,
        hot=first.hot * scale,
        strand=first.strand * scale,
        core_level=core_level,
        strand_level=strand_level,
    )


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Turn about z, then tilt about y and x (radians)."""
    cz, sz, cy, sy, cx, sx = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1.0]])
    about_y = np.array([[cy, 0, sy], [0, 1.0, 0], [-sy, 0, cy]])
    about_x = np.array([[1.0, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.asarray((about_x @ about_y @ about_z).T)
