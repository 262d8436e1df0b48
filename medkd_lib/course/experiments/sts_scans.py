"""A sarcoma patient on one grid: CT at several doses, PET, and where the tumour's parts lie."""

import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from medkd_lib.course.experiments.liver_blocks import DOSES
from medkd_lib.course.experiments.sts_sections import PIXEL_MM, SLICE_MM, common_field
from medkd_lib.data.index import Index
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import key_of, store
from medkd_lib.data.volumes import Volumes
from medkd_lib.fingerprint import code_hash
from medkd_lib.phantom.low_dose import LowDose, electronic_noise
from medkd_lib.phantom.low_dose_fast import add_fast_noise

# MR is not asked for: its field is the smallest, and no arm of REACT-KD sees it.
MODALITIES = ("ct", "pet")
SPACING_MM = (SLICE_MM, PIXEL_MM, PIXEL_MM)
WINDOW_HU = (-160.0, 240.0)
HIGHEST_SUV = 10.0

PHOTONS = 1.2e4
"""I0 per ray of this grid at which the scans' own noise would arise (D).

Measured: in muscle that two neighbouring slices share, their difference over √2 (its spread by the
median absolute deviation: what stays the same is anatomy, what changes is noise), after resampling.
I0 is where `noise_std` has that mean square there; the median over 21 patients, half of whom lie
between 6e3 and 2.4e4. A crop lacks the other leg and the table, so this I0 is what is left of the
tube's photons behind them, and holds for these crops on this grid only (a test measures it anew).
"""

PARTS = ("core", "rim", "surroundings")
CORE_MM, AROUND_MM = 6.0, 15.0
# Below lies air: a mean over it would say how near the skin a tumour is.
LEAST_TISSUE_HU = -300.0


@dataclass(frozen=True)
class Scan:
    """A patient on the grid of the CT, axes D (feet to head), H (front to back), W (right to left).

    Attributes:
        case: its id.
        patient: whose it is.
        images: name → ``(D, H, W)`` on [-1, 1], half precision: ``ct``, its lower doses, ``pet``.
        suv: ``(D, H, W)``, not clipped.
        parts: ``(D, H, W)`` uint8: 0 for none, n is ``PARTS[n - 1]``.
        field: ``(D, H, W)`` bool, what CT and PET have both measured.
        key: of everything above.
    """

    case: str
    patient: str
    images: dict[str, Tensor]
    suv: Tensor
    parts: Tensor
    field: Tensor
    key: str


def sts_scans(found: Index) -> list[Scan]:
    """Return every patient of the set, or of its twin; kept on disk.

    Raises:
        LayoutError: a patient without CT, PET or mask.
    """
    recipe = Recipe(
        MODALITIES, "ct_mask", reference="ct", spacing_mm=(PIXEL_MM, PIXEL_MM, SLICE_MM),
        intensity="as_stored",
    )  # fmt: skip
    volumes, kept = Volumes(found.manifest, found.cases, recipe), store("scans", durable=False)
    here = "course/experiments"
    code = code_hash(
        ("data", "phantom", *(f"{here}/{n}.py" for n in ("sts_scans", "sts_sections")))
    )
    scans = []
    for number, case in enumerate(found.cases):
        key = key_of(case=volumes.key(case), doses=dict(DOSES), code=code)
        made = kept.get_or_make(key, partial(_prepared, found, volumes, number)).tensors
        images = {name: made[f"image {name}"] for name in ("ct", *DOSES, "pet")}
        scans.append(
            Scan(
                case.id, case.patient, images, made["suv"], made["parts"], made["field"].bool(), key
            )
        )
    return scans


def dose(share: float) -> LowDose:
    """Return a share of the dose that these crops were scanned with, on this grid."""
    return LowDose(share * PHOTONS, electronic=electronic_noise(PHOTONS), source_photons=PHOTONS)


def _prepared(
    found: Index, volumes: Volumes, number: int
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return a patient's tensors by name, and no note."""
    prepared = volumes[number]
    assert prepared.mask is not None  # the recipe names one
    # (C, I, J, K) of LPS → (C, D, H, W): slices first, then the picture's rows and columns
    hu, suv = prepared.image.permute(0, 3, 2, 1).float()
    # Noise is the patient's, and the same whatever else is in the folder.
    generator = torch.Generator().manual_seed(zlib.crc32(prepared.case.id.encode()))
    low, high = WINDOW_HU
    scans = {"ct": hu}
    for name, share in DOSES.items():
        scans[name] = add_fast_noise(hu.contiguous(), PIXEL_MM, dose(share), generator)
    images = {n: (2 * (x - low) / (high - low) - 1).clamp(-1, 1) for n, x in scans.items()}
    images["pet"] = 2 * (suv / HIGHEST_SUV).clamp(0, 1) - 1
    tumour = (prepared.mask.permute(2, 1, 0) > 0).numpy()
    field = common_field(found, prepared, MODALITIES).transpose(2, 1, 0)
    kept = {f"image {n}": x.half().contiguous() for n, x in images.items()}
    kept |= {
        "suv": suv.half().contiguous(),
        "parts": torch.from_numpy(tumour_parts(tumour, hu.numpy(), SPACING_MM)),
        "field": torch.from_numpy(np.ascontiguousarray(field, np.uint8)),
    }
    return kept, {}


def tumour_parts(
    tumour: NDArray[np.bool_], hu: NDArray[np.float32], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Return core, rim and surroundings of a tumour by their number in `PARTS`, 0 elsewhere.

    The core is `CORE_MM` or more away from all that is not tumour, the rim is the rest of it. The
    surroundings are tissue within `AROUND_MM` of it. Distances run between centres of voxels.
    Without a tumour there is no part.

    Args:
        tumour: whole, ``(D, H, W)``: in a block alone, the block's faces would be its border.
        hu: CT numbers of the same voxels.
        spacing_mm: along these axes.
    """
    parts = np.zeros(tumour.shape, np.uint8)
    if not tumour.any():
        return parts
    outside = distance_transform_edt(~tumour, sampling=spacing_mm)
    parts[(outside <= AROUND_MM) & (hu > LEAST_TISSUE_HU)] = 3
    parts[tumour] = 2
    parts[distance_transform_edt(tumour, sampling=spacing_mm) >= CORE_MM] = 1
    return parts
