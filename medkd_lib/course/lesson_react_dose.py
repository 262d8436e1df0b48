"""What lesson 05 shows of low doses: noise by path length, one slice, and two laws side by side."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.liver_frame import COARSE_LIVER
from medkd_lib.course.experiments.react_sources import SARCOMA
from medkd_lib.course.experiments.sts_scans import dose as sarcoma_dose
from medkd_lib.course.experiments.sts_sections import PIXEL_MM
from medkd_lib.course.lesson import Images
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.volumes import Volumes
from medkd_lib.phantom.low_dose import LowDose, added_variance, measure, scan_low_dose
from medkd_lib.phantom.low_dose_fast import noise_std
from medkd_lib.phantom.low_dose_released import released_low_dose, released_projection_std
from medkd_lib.phantom.tissue import MU_WATER_65KEV
from medkd_lib.show.dose_laws import LawPictures
from medkd_lib.show.low_dose import DosePictures, around_body

RAYS, DRAWS = 4000, 8
# Of a slice to which the released law is put: from air to bone, and as wide as a CT's field.
SPAN_HU, FIELD_MM = 2000.0, 450.0
AIR_HU = -1000.0
# A voxel of tissue that no border of air has thinned.
LEAST_TISSUE_HU = -200.0
# Where the released law is measured, to be brought to a noise: its variance falls as 1 / dose.
TRIAL_DOSE = 100.0


def noise_laws() -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]],
                          dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:  # fmt: skip
    """Return paths through water in cm, the noise of a ray behind them by law, and simulated rays.

    The last law is the released one, on a slice scaled to [0, 1] and 45 cm wide.
    """
    path = np.linspace(2.0, 45.0, 60)
    integral = torch.from_numpy(path * MU_WATER_65KEV)
    noise = torch.Generator().manual_seed(0)
    laws, dots = {}, {}
    for photons in (5e5, 5e4, 5e3):
        dose, title = LowDose(photons), f"counts, I0 = {photons:g}"
        laws[title] = added_variance(integral, dose).sqrt().numpy()
        at = integral[4::8]
        rays = measure(at.expand(RAYS, -1), dose, noise)
        dots[title] = path[4::8], rays.std(dim=0).numpy()
    laws["released, dose = 5e4"] = released_projection_std(
        torch.from_numpy(path), 5e4, hu_span=SPAN_HU, field_mm=FIELD_MM
    ).numpy()
    return path, laws, dots


def one_dose(images: Images, share: float = 0.1) -> DosePictures:
    """Return one patient's slice scanned again at a share of its dose, on the boxes' grid.

    Args:
        images: livers or sarcomas; the slice is the middle one of the first patient.
        share: of the scan's own dose, below 1.
    """
    hu, pixel_mm = _slice(images)
    dose = _dose(images, share)
    scan = scan_low_dose(hu, pixel_mm, dose, torch.Generator().manual_seed(0))
    noise = noise_std(hu, pixel_mm, dose)
    return DosePictures(
        scan.line_integrals[0], scan.measured[0], hu[0], scan.hu[0], noise[0],
        f"{share:.0%} of the dose",
    )  # fmt: skip


def two_laws(images: Images, share: float = 0.1, size: float = 1.0) -> tuple[LawPictures, ...]:
    """Return one slice at a low dose by photon counting and by the released law.

    The released ``dose`` is no I0: it is set so that the patient *as he is* has the same noise in
    his body by both laws. Then the patient shrinks, and both doses stay.

    Args:
        images: livers or sarcomas; the slice is the middle one of the first patient.
        share: of the scan's own dose, below 1.
        size: of the patient, 1 as scanned; the field and its pixels stay.
    """
    whole, pixel_mm = _slice(images)
    dose = _dose(images, share)

    def counted(hu: Tensor) -> Tensor:
        many = hu.expand(DRAWS, -1, -1).contiguous()
        return scan_low_dose(many, pixel_mm, dose, torch.Generator().manual_seed(0)).hu

    def released(hu: Tensor, at: float) -> Tensor:
        many = hu.expand(DRAWS, -1, -1).contiguous()
        return released_low_dose(many, at, torch.Generator().manual_seed(0))

    # std ∝ 1 / √dose
    trial = _body_noise(released(whole, TRIAL_DOSE), whole)
    same = TRIAL_DOSE * (trial / _body_noise(counted(whole), whole)) ** 2
    hu, shown = shrunk(whole, size), (slice(None), *around_body(whole[0].numpy()))
    laws = {
        f"photon counting, I0 = {dose.photons:.0f}": counted(hu),
        f"released law, dose = {same:.0f}": released(hu, same),
    }
    return tuple(
        LawPictures(
            name, drawn[shown][0], (drawn[0] - drawn.mean(dim=0))[shown[1:]],
            drawn[shown].std(dim=0), _body_noise(drawn, hu),
        )
        for name, drawn in laws.items()
    )  # fmt: skip


def shrunk(hu: Tensor, size: float) -> Tensor:
    """Return slices ``(B, H, W)`` with a smaller patient in the same field, air around it.

    Raises:
        ValueError: a size that is not above 0 and at most 1.
    """
    if not 0.0 < size <= 1.0:
        raise ValueError(f"size: expected above 0 and at most 1, found {size}")
    height, width = hu.shape[1:]
    rows, columns = max(round(size * height), 1), max(round(size * width), 1)
    small = F.interpolate(hu[:, None], (rows, columns), mode="area")[:, 0]
    top, left = (height - rows) // 2, (width - columns) // 2
    return F.pad(
        small, (left, width - columns - left, top, height - rows - top), value=AIR_HU
    )  # fmt: skip


def _slice(images: Images) -> tuple[Tensor, float]:
    """Return the middle slice of the first patient, ``(1, H, W)`` in HU, and its pixel in mm."""
    # I0 was measured on the grid of the boxes, and holds for it.
    pixel_mm = PIXEL_MM if images.manifest.id == SARCOMA else COARSE_LIVER.spacing_mm
    recipe = Recipe(("ct",), spacing_mm=(pixel_mm,) * 3, intensity="as_stored")
    prepared = Volumes(images.manifest, images.index.cases[:1], recipe)[0].image[0]
    return prepared[:, :, prepared.shape[2] // 2].T[None].float(), pixel_mm


def _dose(images: Images, share: float) -> LowDose:
    if images.manifest.id == SARCOMA:
        return sarcoma_dose(share)
    return COARSE_LIVER.dose(images.manifest.id, share)


def _body_noise(drawn: Tensor, hu: Tensor) -> float:
    """Return the standard deviation over draws ``(draws, H, W)``, its mean over the body."""
    return float(drawn.std(dim=0)[hu[0] > LEAST_TISSUE_HU].mean())
