"""A brain on a grid: skull-stripped, soft-edged, ready for any MR protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, Box, FloatArray, Grid, Layer, soft
from medkd_lib.phantom.brain_cerebellum import cerebellum_layers
from medkd_lib.phantom.brain_cortex import Cortex, cortex_fields, hull_depth
from medkd_lib.phantom.brain_frame import Push, frame_box, refine, to_frame
from medkd_lib.phantom.brain_parts import PARTS, VENTRICLES
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import Points

FIELD_MM = 2.0
"""Spacing on which the smooth depth fields are computed; finer grids interpolate them."""


@dataclass(frozen=True)
class BrainAnatomy(Anatomy):
    """A brain as layers; the fluid that fills the stripped skull is the first of them.

    Attributes:
        patient: whose brain.
        inside: (I, J, K) what skull stripping left; everything else is air, exactly.
        fields: the grid of the depth fields.
        fields_box: the box of ``fields`` that holds the brain.
        frame: brain-frame coordinates on that box, before any mass pushed.
    """

    patient: BrainPatient
    inside: NDArray[np.bool_]
    fields: Grid
    fields_box: Box
    frame: Points

    def ventricle_ml(self) -> float:
        """Volume of the ventricles."""
        shares = [self.layer(name).membership.sum() for name in VENTRICLES]
        return float(sum(shares)) * self.grid.voxel_ml

    def tissue_ml(self, *tissues: str) -> float:
        """Volume that the tissues take, partial volumes included."""
        return float(self.fraction(*tissues).sum(dtype=np.float64)) * self.grid.voxel_ml


def field_grid(grid: Grid) -> Grid:
    """Grid of the depth fields: the same extent in voxels of 2 mm."""
    shape = [
        max(round(n * s / FIELD_MM), 2) for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return Grid((shape[0], shape[1], shape[2]), (FIELD_MM,) * 3)


def sheet(distance: FloatArray, half_width: FloatArray) -> FloatArray:
    r"""Membership of a thin sheet, exact for a box-shaped voxel (all in voxels).

    .. math:: m = \mathrm{soft}(h - s) + \mathrm{soft}(h + s) - 1

    A sheet thinner than a voxel keeps its volume instead of growing to a voxel's width.
    """
    member = soft(half_width - distance)
    member += soft(half_width + distance)
    member -= 1.0
    return np.maximum(member, 0.0, out=member)


def voxelise_brain(
    patient: BrainPatient, grid: Grid, *, pushes: Sequence[Push] = ()
) -> BrainAnatomy:
    """Draw one brain.

    Args:
        patient: whose.
        grid: where; :data:`medkd_lib.phantom.brain_frame.FULL_GRID` and ``SMALL_GRID`` are those
            of the files.
        pushes: masses that displace it; the skull does not move.
    """
    fields = field_grid(grid)
    fields_box = frame_box(patient, fields, (-72, -73, -86), (72, 108, 82), margin_mm=4.0)
    frame = to_frame(patient, fields, fields_box)
    moved = frame
    for push in pushes:
        moved = push(moved)
    low = [
        (s.start - (n - 1) / 2) * FIELD_MM for s, n in zip(fields_box, fields.shape, strict=True)
    ]
    high = [
        (s.stop - 1 - (n - 1) / 2) * FIELD_MM for s, n in zip(fields_box, fields.shape, strict=True)
    ]
    box = grid.box(tuple(low), tuple(high))
    voxel = float(np.prod(grid.spacing_mm)) ** (1.0 / 3.0) / patient.mean_scale

    def fine(field: FloatArray) -> FloatArray:
        return refine(field, fields, fields_box, grid, box)

    # the fluid: a millimetre or two over the folds, cut hard as by a mask
    rim = np.float32(0.5 + 1.3 * patient.atrophy)
    inside = np.zeros(grid.shape, bool)
    inside[box] = fine(hull_depth(frame) + rim) > 0.0
    stripped = inside[box]
    layers = [Layer("csf", "csf", box, stripped.astype(np.float32))]

    coarse = cortex_fields(moved, patient)
    # signed fields are smooth, so they are refined first and cut into tissue on the fine grid
    cortex = Cortex(*(fine(getattr(coarse, f.name)) for f in dataclass_fields(Cortex)))
    gap = cortex.gap(patient)
    white = cortex.below(gap)
    white -= np.float32(patient.cortex_mm)
    white /= voxel
    grey = soft(np.minimum(cortex.pia, -cortex.sylvian) / voxel)
    grey *= 1.0 - sheet(cortex.sulcus / voxel, gap / voxel)
    grey *= stripped
    layers.append(Layer("cortex", "grey_matter", box, grey))
    member = soft(white)
    member *= stripped
    # white matter is not even: a few percent of it count as grey
    member *= 1.0 - np.clip(0.05 + 0.035 * fine(patient.fibres(*moved)), 0.0, 0.2)
    layers.append(Layer("cerebral white", "white_matter", box, member))
    # a square tube of the same cross-section, so that thin vessels keep their volume
    side = cortex.calibre * np.float32(0.5 * np.sqrt(np.pi) / voxel)
    blood = sheet(cortex.sulcus / voxel, side)
    blood *= sheet((cortex.pia - cortex.vessel) / voxel, side)
    blood *= stripped
    layers.append(Layer("sulcal vessels", "blood", box, blood))
    layers += cerebellum_layers(patient, grid, fields, fields_box, moved, inside)
    for part in PARTS:
        part_box = frame_box(patient, grid, part.low_mm, part.high_mm)
        field_box = frame_box(patient, fields, part.low_mm, part.high_mm, margin_mm=11.0)
        local = tuple(
            slice(max(b.start - o.start, 0), max(b.stop - o.start, 0))
            for b, o in zip(field_box, fields_box, strict=True)
        )
        placed = tuple(
            slice(o.start + s.start, min(o.start + s.stop, o.stop))
            for s, o in zip(local, fields_box, strict=True)
        )
        depth = part.depth(Points(*(a[local] for a in moved)), patient)
        depth = refine(depth, fields, (placed[0], placed[1], placed[2]), grid, part_box)
        depth /= voxel
        member = soft(depth)
        member *= np.float32(part.share)
        member *= inside[part_box]
        layers.append(Layer(part.name, part.tissue, part_box, member))
    return BrainAnatomy(grid, tuple(layers), patient, inside, fields, fields_box, frame)
