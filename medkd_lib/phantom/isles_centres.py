"""The virtual hospitals of the ISLES twin: field strength, protocols, voxels; one domain each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.mr import null_ti_ms
from medkd_lib.phantom.mr_settings import PROTOCOLS, MRSettings
from medkd_lib.phantom.tissue_mr import mr_table

Size = Literal["small", "full"]
Span = tuple[float, float]

FIELD_MM, HEIGHT_MM = 225.0, 152.0
"""Field of view in the plane and along the head; a head of the phantom fits (D)."""

SUB_SLICE_MM = 2.0
"""Thick slices are averages of slices up to this thick."""


@dataclass(frozen=True)
class Centre:
    """One hospital's scanner. Domain shift is another row of these numbers.

    Attributes:
        name: as ``truth.csv`` has it.
        share: of the patients.
        field_t: tesla.
        dwi: protocol at b = 0; b = 1000 s/mm² is the same with diffusion weighting.
        flair: protocol; its TI nulls fluid.
        dwi_mm: pixel and slice distance, ranges.
        flair_mm: the same of FLAIR: finer pixels, slices of its own.
    """

    name: str
    share: float
    field_t: float
    dwi: MRSettings
    flair: MRSettings
    dwi_mm: tuple[Span, Span]
    flair_mm: tuple[Span, Span]


def _flair(tr_ms: float, te_ms: float) -> MRSettings:
    ti_ms = null_ti_ms(mr_table()["csf"].t1_ms, tr_ms)
    return replace(PROTOCOLS["t2f"], name="flair", tr_ms=tr_ms, te_ms=te_ms, ti_ms=ti_ms)


def _dwi(tr_ms: float, te_ms: float) -> MRSettings:
    return replace(PROTOCOLS["dwi_b0"], name="dwi", tr_ms=tr_ms, te_ms=te_ms)


CENTRES: Mapping[str, Centre] = MappingProxyType(
    {
        c.name: c
        for c in (
            # together the pixels and slices span what was read of all 250 cases, 0.88 × 0.88 × 2
            # to 2 × 2 × 5 mm; who has which, and FLAIR's own, is D
            Centre("A", 0.5, 3.0, _dwi(6000.0, 75.0), _flair(9000.0, 120.0),
                   ((1.2, 1.8), (2.0, 3.0)), ((0.7, 0.9), (3.0, 4.0))),
            Centre("B", 0.3, 1.5, _dwi(6000.0, 90.0), _flair(9000.0, 110.0),
                   ((1.6, 2.0), (4.0, 5.0)), ((0.8, 1.0), (4.5, 5.5))),
            Centre("C", 0.2, 3.0, _dwi(4500.0, 65.0), _flair(11000.0, 140.0),
                   ((0.88, 1.3), (4.0, 5.0)), ((0.7, 0.9), (4.0, 5.0))),
        )
    }
)  # fmt: skip
"""Times of §1.5 († for A and B; C: D), inversion times computed."""

SMALL_PIXEL_MM: tuple[Span, Span] = ((1.8, 2.0), (1.3, 1.5))
"""Pixels of DWI and FLAIR in small twins: the coarse end of what is real, the slices stay."""


@dataclass(frozen=True)
class SliceGrid:
    """A grid of thick slices, and the thinner ones that each of them averages.

    Attributes:
        grid: of the file.
        thinner: slices of ``fine`` per slice of ``grid``.
    """

    grid: Grid
    thinner: int

    @property
    def fine(self) -> Grid:
        """The same box, cut into thinner slices."""
        i, j, k = self.grid.shape
        x, y, z = self.grid.spacing_mm
        return Grid((i, j, k * self.thinner), (x, y, z / self.thinner))


def draw_centre(rng: np.random.Generator) -> Centre:
    """Draw the hospital of a patient."""
    names = tuple(CENTRES)
    return CENTRES[names[int(rng.choice(len(names), p=[CENTRES[n].share for n in names]))]]


def draw_grids(rng: np.random.Generator, centre: Centre, size: Size) -> dict[str, SliceGrid]:
    """Draw the voxels of ``dwi`` (shared by ADC and mask) and of ``flair``."""
    grids = {}
    for place, (name, (pixel, height)) in enumerate(
        (("dwi", centre.dwi_mm), ("flair", centre.flair_mm))
    ):
        span = pixel if size == "full" else SMALL_PIXEL_MM[place]
        in_plane, apart = (round(float(rng.uniform(*s)), 3) for s in (span, height))
        across, slices = 2 * round(FIELD_MM / in_plane / 2), round(HEIGHT_MM / apart)
        grid = Grid((across, across, slices), (in_plane, in_plane, apart))
        grids[name] = SliceGrid(grid, int(np.ceil(apart / SUB_SLICE_MM)))
    return grids
