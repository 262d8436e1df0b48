"""How a virtual patient of the ``sts_petctmr`` twin is scanned and cropped: three own grids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medkd_lib.phantom.mr_settings import PROTOCOLS, MRSettings
from medkd_lib.phantom.pet import PETSettings
from medkd_lib.phantom.thigh import tumour_membership
from medkd_lib.phantom.thigh_grid import Millimetres, PlacedGrid, grid_over
from medkd_lib.phantom.thigh_patient import ThighPatient

Size = Literal["small", "full"]
Modality = Literal["CT", "MR_T1", "PET"]

PIXEL_MM: dict[Size, float] = {"small": 1.953125, "full": 0.9765625}
COARSE_MR_PIXEL_MM: dict[Size, float] = {"small": 2.34375, "full": 1.171875}
SLICE_MM = 3.27
PET_PIXEL_MM, PET_SHARE = (3.90625, 4.6875, 5.46875), (5 / 21, 5 / 21, 11 / 21)
"""Voxels of the real files and how often they occur. Small twins halve CT and MR alone: a PET of
8–11 mm would miss the tumours."""

MARGIN_MM = 50.0
"""The originals were cropped to the tumour's box plus 5 cm, in whole voxels."""


@dataclass(frozen=True)
class Protocol:
    """All that is not anatomy in one patient's scans.

    Attributes:
        sigma_hu: CT noise on voxels of 0.977 mm.
        mr: MR settings.
        pet: PET settings.
        pet_pixel_mm: in-plane voxel of the PET.
        mr_coarse: whether the MR has a grid of its own instead of the CT's lattice.
        mr_margin_mm: six margins of the MR around the tumour's box: low then high x, y, z.
        cut_mm: margin left above or below the tumour where the scan's range ended, negative cuts
            the tumour; ``None`` leaves the 5 cm.
        cut_top: whether the range ended above.
        phase_mm: place of the lattices: CT x, y; PET x, y; the slices' z.
        world_mm: where the patient's frame lies in the scanner's, LPS.
        fat_signal: stored MR value of fat.
    """

    sigma_hu: float
    mr: MRSettings
    pet: PETSettings
    pet_pixel_mm: float
    mr_coarse: bool
    mr_margin_mm: tuple[float, ...]
    cut_mm: float | None
    cut_top: bool
    phase_mm: tuple[float, ...]
    world_mm: Millimetres
    fat_signal: float


def sample_protocol(rng: np.random.Generator, patient: ThighPatient) -> Protocol:
    """Draw one patient's protocol; shares and ranges measured on the 21 real patients.

    CT noise is 22 HU in the thigh (25 ± 8 with the tissue's own mottle). The MR is smaller than the
    CT on every side: in the plane it ends 24 mm (median, 9–51) from the tumour; in height half of
    them have the CT's slices. The scan's range ended within the margin in a third, all of them
    tumours taller than 80 mm.
    """
    in_plane = np.clip(rng.lognormal(np.log(24.0), 0.42, 4), 9.0, MARGIN_MM)
    height = rng.uniform(10.0, 46.0, 2) if rng.random() < 0.5 else np.full(2, MARGIN_MM)
    height_mm = 2.0 * float(patient.tumour.shape.reach_mm[2])
    cut = bool(rng.random() < np.clip((height_mm - 80.0) / 60.0, 0.0, 0.8))
    cut_mm = float(rng.uniform(-12.0, 40.0))
    mr = replace(
        PROTOCOLS["t1w_limb"],
        # up to the one sarcoma protocol of §1.5 (500 ms); shorter ones give the contrast of the
        # real files, muscle and tumour at a third of fat
        tr_ms=float(rng.uniform(360.0, 500.0)),
        te_ms=float(rng.uniform(8.0, 12.0)),
        noise=float(rng.uniform(0.02, 0.05)),
        bias=0.08,  # what N4 left over
    )
    return Protocol(
        sigma_hu=float(np.clip(rng.lognormal(np.log(22.0), 0.28), 12.0, 45.0)),
        mr=mr,
        pet=PETSettings(liver_noise=float(rng.uniform(0.09, 0.14))),
        pet_pixel_mm=PET_PIXEL_MM[int(rng.choice(3, p=PET_SHARE))],
        mr_coarse=bool(rng.random() < 1 / 21),
        mr_margin_mm=(in_plane[0], in_plane[1], height[0], in_plane[2], in_plane[3], height[1]),
        cut_mm=cut_mm if cut else None,
        cut_top=bool(rng.random() < 0.5),
        phase_mm=tuple(float(v) for v in rng.uniform(0.0, 6.0, 5)),
        world_mm=(
            float(rng.normal(0.0, 12.0)),
            float(rng.normal(0.0, 60.0)),
            float(rng.choice([-1.0, 1.0]) * rng.uniform(250.0, 850.0)),
        ),
        fat_signal=float(rng.normal(960.0, 20.0)),
    )


def crop_grids(patient: ThighPatient, protocol: Protocol, size: Size) -> dict[Modality, PlacedGrid]:
    """Lay the three cropped grids around the tumour.

    CT and PET: the tumour's box on their own lattice plus 5 cm in whole voxels; all three share
    the places of the slices, as the real files do. The MR lies on the CT's lattice, or in one
    patient of 21 on a coarser one.
    """
    ax, ay, px, py, z = protocol.phase_mm
    pixel, pet = PIXEL_MM[size], protocol.pet_pixel_mm
    fine = _tumour_box(patient, (pixel, pixel, SLICE_MM), (ax, ay, z))
    low, high = fine.first_mm[2] - _whole(SLICE_MM), fine.last_mm[2] + _whole(SLICE_MM)
    if protocol.cut_mm is not None:
        cut = round(protocol.cut_mm / SLICE_MM) * SLICE_MM
        if protocol.cut_top:
            high = float(fine.last_mm[2]) + cut
        else:
            low = fine.first_mm[2] - cut
    coarse = COARSE_MR_PIXEL_MM[size] if protocol.mr_coarse else pixel
    hot = _tumour_box(patient, (pet, pet, SLICE_MM), (px, py, z))
    grids: dict[Modality, PlacedGrid] = {
        "CT": _padded(fine, [_whole(pixel)] * 6, low, high, (ax, ay, z), pixel),
        "MR_T1": _padded(fine, protocol.mr_margin_mm, low, high, (ax, ay, z), coarse),
        "PET": _padded(hot, [_whole(pet)] * 6, low, high, (px, py, z), pet),
    }
    return grids


def _whole(spacing_mm: float) -> float:
    """5 cm in whole voxels."""
    return float(np.ceil(MARGIN_MM / spacing_mm)) * spacing_mm


def _tumour_box(patient: ThighPatient, spacing_mm: Millimetres, phase: Millimetres) -> PlacedGrid:
    """Smallest grid on that lattice that holds the tumour's mask."""
    reach = patient.tumour.shape.reach_mm + 2.0 * np.array(spacing_mm)
    centre = np.array(patient.tumour.centre_mm)
    around = grid_over(tuple(centre - reach), tuple(centre + reach), spacing_mm, phase)
    box, member = tumour_membership(patient, around)
    index = np.argwhere(member >= 0.5) + [b.start for b in box]
    if not len(index):
        raise ValueError(
            f"tumour of {patient.tumour.volume_ml:.1f} mL: expected a voxel of {spacing_mm} mm "
            "inside, found none; use finer voxels"
        )
    low, high = index.min(axis=0), index.max(axis=0) + 1
    return around.crop((slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])))


def _padded(
    inner: PlacedGrid,
    margin_mm: tuple[float, ...] | list[float],
    low_z: float,
    high_z: float,
    phase: Millimetres,
    pixel_mm: float,
) -> PlacedGrid:
    """Grow a box by its six margins, height within the scan's range, on a lattice."""
    low = np.array(inner.first_mm) - np.array(margin_mm[:3])
    high = inner.last_mm + np.array(margin_mm[3:])
    low[2], high[2] = max(low[2], low_z), min(high[2], high_z)
    # half a voxel of slack, so that a border on the lattice stays where it is
    slack = 0.5 * np.array([pixel_mm, pixel_mm, SLICE_MM])
    return grid_over(tuple(low + slack), tuple(high - slack), (pixel_mm, pixel_mm, SLICE_MM), phase)
