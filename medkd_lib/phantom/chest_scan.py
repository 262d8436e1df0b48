"""One chest before two scanners: the CT, and the T2w MR that this very patient would have had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.chest import ChestAnatomy, voxelise_chest
from medkd_lib.phantom.chest_patient import ChestPatient
from medkd_lib.phantom.chest_settings import SETTINGS, Size
from medkd_lib.phantom.chest_tissue import COLLAPSE, T2W, TUMOUR
from medkd_lib.phantom.ct import CTScan, CTSettings, scan_ct
from medkd_lib.phantom.mr_scan import bias_field, scan_mr
from medkd_lib.phantom.thigh_waves import draw_waves, wave_field

MR_MOTTLE = 0.04
"""Unevenness of the MR signal within a tissue (D)."""

TISSUE_IDS: Mapping[str, int] = {
    "outside": 0,
    "lung": 1,
    "fat": 2,
    "soft": 3,
    "mediastinum": 4,
    "bone": 5,
    "tumour": 6,
    "collapse": 7,
}
"""Ids of :attr:`ChestPair.tissue`. ``mediastinum`` is its soft tissue (heart, vessels, nodes);
fat is ``fat`` wherever it lies; ``soft`` is muscle, skin and liver."""


@dataclass(frozen=True, eq=False)
class ChestPair:
    """Both scans of one patient on one grid, and what they show.

    Attributes:
        ct: CT, HU as written to files (whole numbers).
        t2w: (I, J, K) float32 T2w magnitude.
        label: (I, J, K) uint8, 1 where the tumour takes half of the voxel or more.
        tissue: (I, J, K) uint8, see :data:`TISSUE_IDS`.
        lung: (I, J, K) bool, aerated lung with its vessels; tumour and collapse are none.
        mediastinum_mm: (I, J, K) float32, distance to the mediastinum as it was before the tumour.
        sigma_hu: noise of the CT.
        mr_noise: noise of the MR as a share of muscle's signal.
    """

    ct: CTScan
    t2w: FloatArray
    label: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    lung: NDArray[np.bool_]
    mediastinum_mm: FloatArray
    sigma_hu: float
    mr_noise: float

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along left, posterior, superior."""
        return self.ct.spacing_mm

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index → RAS+ millimetres."""
        return self.ct.affine


def scan_pair(
    patient: ChestPatient,
    *,
    size: Size = "small",
    seed: np.random.SeedSequence,
    grid: Grid | None = None,
) -> ChestPair:
    """Scan the patient by CT and by MR on one grid: the oracle of every translation.

    Reality has no such pair: between two scanners the patient moves and breathes.

    Args:
        patient: whom.
        size: of the voxels.
        seed: of both scanners, spawned in the order CT, MR; left as it is.
        grid: another grid than the patient's.
    """
    grid = grid or patient.grid(size)
    ct_seed, mr_seed = scanner_seeds(seed)
    anatomy = voxelise_chest(patient, grid)
    ct, sigma = chest_ct(patient, anatomy, ct_seed)
    t2w, noise = chest_mr(patient, anatomy, mr_seed)
    distance = ndimage.distance_transform_edt(~anatomy.middle, sampling=grid.spacing_mm)
    organs = anatomy.organs()
    return ChestPair(
        ct=ct,
        t2w=t2w,
        label=label_of(anatomy),
        tissue=tissue_map(anatomy),
        lung=organs["Lung-Left"] | organs["Lung-Right"],
        mediastinum_mm=distance.astype(np.float32),
        sigma_hu=sigma,
        mr_noise=noise,
    )


def scanner_seeds(
    seed: np.random.SeedSequence,
) -> tuple[np.random.SeedSequence, np.random.SeedSequence]:
    """Seeds of CT and MR. ``SeedSequence.spawn`` would count up; this gives the same every time."""
    ct, mr = (
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, n)) for n in range(2)
    )
    return ct, mr


def chest_ct(
    patient: ChestPatient, anatomy: ChestAnatomy, seed: np.random.SeedSequence
) -> tuple[CTScan, float]:
    """CT on the scanner's table, in whole HU; and its noise."""
    rng = np.random.default_rng(seed)
    sigma = SETTINGS[patient.difficulty].sigma_hu * float(rng.lognormal(0.0, 0.15))
    settings = CTSettings(kernel="soft", sigma_hu=sigma, texture_hu=4.0)
    scan = scan_ct(anatomy.on_table(), patient.hu, settings, rng)
    return replace(scan, hu=scan.stored().astype(np.float32)), sigma


def chest_mr(
    patient: ChestPatient, anatomy: ChestAnatomy, seed: np.random.SeedSequence
) -> tuple[FloatArray, float]:
    """T2w MR in whole numbers of an arbitrary scale, as scanners store it; and its noise."""
    rng = np.random.default_rng(seed)
    noise = SETTINGS[patient.difficulty].mr_noise * float(rng.lognormal(0.0, 0.15))
    settings = replace(T2W, noise=noise)
    gain = float(rng.lognormal(np.log(180.0), 0.3))
    shading = bias_field(anatomy.grid.shape, settings.bias, rng)
    mottle = wave_field(anatomy.grid.coordinates(), draw_waves(rng, (11.0, 11.0, 18.0), 48))
    shading *= 1.0 + np.float32(MR_MOTTLE) * mottle
    scan = scan_mr(anatomy, patient.tissues, settings, rng, gain=gain, bias=shading)
    return np.rint(scan.signal), noise


def label_of(anatomy: ChestAnatomy) -> NDArray[np.uint8]:
    """1 where the tumour takes half of the voxel or more."""
    return (anatomy.tumour >= 0.5).astype(np.uint8)


def tissue_map(anatomy: ChestAnatomy) -> NDArray[np.uint8]:
    """Kind of tissue with the largest share, see :data:`TISSUE_IDS`."""
    names = {
        "outside": ("air",),
        "lung": ("lung",),
        "fat": ("adipose",),
        "soft": (
            "muscle",
            "skin",
            "liver",
            "spleen",
            "blood",
            "myocardium",
            "node",
            "csf",
            "white_matter",
        ),
        "bone": ("cortical_bone", "marrow", "vertebra"),
        "tumour": (TUMOUR,),
        "collapse": (COLLAPSE,),
    }
    kinds = list(names)
    shares = [anatomy.fraction(*tissues) for tissues in names.values()]
    # the tumour as in the label: half of the voxel counts, the largest of many parts does not
    shares[kinds.index("tumour")] = np.where(anatomy.tumour >= 0.5, np.float32(2.0), 0.0)
    ids = np.array([TISSUE_IDS[kind] for kind in kinds], np.uint8)
    found = ids[np.argmax(shares, axis=0)]
    soft = found == TISSUE_IDS["soft"]
    found[soft & anatomy.middle] = TISSUE_IDS["mediastinum"]
    return found
