"""One virtual patient of the ``sts_petctmr`` twin: one anatomy before three scanners."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.ct import CTSettings, scan_ct
from medkd_lib.phantom.mr import reference_signal, signal
from medkd_lib.phantom.mr_scan import bias_field, scan_mr
from medkd_lib.phantom.pet import scan_pet
from medkd_lib.phantom.sts_outcome import driver, outcome
from medkd_lib.phantom.sts_scan import Modality, Protocol, Size, crop_grids, sample_protocol
from medkd_lib.phantom.sts_truth import TruthRow, truth_row
from medkd_lib.phantom.thigh import ThighAnatomy, voxelise_thigh
from medkd_lib.phantom.thigh_noise import limb_noise
from medkd_lib.phantom.thigh_patient import ThighPatient, sample_thigh
from medkd_lib.phantom.thigh_tumour import Difficulty
from medkd_lib.phantom.thigh_waves import draw_waves, wave_field
from medkd_lib.phantom.tissue_mr import mr_table, vary
from medkd_lib.phantom.tissue_pet import suv_table

FLOW_VOID = 0.45
"""Signal of blood on a spin echo relative to resting blood: it leaves the slice (D)."""

NECROSIS_T1 = 0.7
"""T1 of a sarcoma's core relative to plain debris: blood and protein shorten it. In ten real
patients the part that is cold on PET is as bright on T1 as the rest (ratio 0.98–1.11)."""

MR_MOTTLE = 0.025
"""Unevenness of the MR signal within a tissue (D; solid real tumours spread by 2–4 % of fat)."""

TABLE_HU = -250.0
"""CT number of the table's top (D)."""


@dataclass(frozen=True)
class Pictures:
    """One modality of one patient.

    Attributes:
        image: (I, J, K) float32.
        mask: (I, J, K) uint8, 1 inside the tumour.
        affine: index → RAS+ millimetres in the frame that all modalities share.
    """

    image: FloatArray
    mask: NDArray[np.uint8]
    affine: NDArray[np.float64]


def make_patient(
    index: int, *, seed: int, difficulty: Difficulty, size: Size
) -> tuple[TruthRow, dict[Modality, Pictures]]:
    """Anatomy, three scans with their masks, and the outcome of patient ``index`` (from 0).

    Four streams of the patient's own seed make the body, the protocol, the noise and the outcome:
    a change in one leaves the others alone.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(index,))
    body, protocol_stream, noise, fate = (np.random.default_rng(s) for s in sequence.spawn(4))
    patient = sample_thigh(body, difficulty)
    protocol = sample_protocol(protocol_stream, patient)
    grids = crop_grids(patient, protocol, size)
    pictures: dict[Modality, Pictures] = {}
    for (modality, grid), rng in zip(grids.items(), noise.spawn(3), strict=True):
        anatomy = voxelise_thigh(patient, grid, table=modality == "CT")
        image = _SCANNERS[modality](patient, protocol, anatomy, rng)
        affine = grid.affine
        # LPS → RAS turns the signs of x and y
        affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * protocol.world_mm
        pictures[modality] = Pictures(image, anatomy.mask, affine)
    metastasis, probability = outcome(driver(patient.tumour), difficulty, fate)
    row = truth_row(index, patient, protocol, pictures, metastasis, probability)
    return row, pictures


def _ct(
    patient: ThighPatient, protocol: Protocol, anatomy: ThighAnatomy, rng: np.random.Generator
) -> FloatArray:
    """CT numbers as the real files hold them: whole, from −1000."""
    values = patient.hu_values() | {"table": TABLE_HU}
    quiet = CTSettings(sigma_hu=0.0, texture_hu=4.0)
    hu = scan_ct(anatomy, values, quiet, rng).hu
    grid = anatomy.grid
    hu += limb_noise(grid.shape, grid.spacing_mm, protocol.sigma_hu, rng)
    np.rint(hu, out=hu)
    return np.maximum(hu, np.float32(-1000.0))


def _mr(
    patient: ThighPatient, protocol: Protocol, anatomy: ThighAnatomy, rng: np.random.Generator
) -> FloatArray:
    """T1-weighted MR, scaled so that fat has the value it has in the real files; whole numbers."""
    tissues = dict(vary(mr_table(3.0), rng))
    core = tissues["sarcoma_necrosis"]
    tissues["sarcoma_necrosis"] = replace(core, t1_ms=core.t1_ms * NECROSIS_T1)
    tissues["blood"] = replace(tissues["blood"], pd=tissues["blood"].pd * FLOW_VOID)
    settings = protocol.mr
    fat = signal(tissues["adipose"], settings) / reference_signal(tissues, settings)
    shading = bias_field(anatomy.grid.shape, settings.bias, rng)
    # muscle and tumour are uneven, fat is not: a mottle of a centimetre rides on the shading
    mottle = wave_field(anatomy.grid.coordinates(), draw_waves(rng, (13.0, 13.0, 26.0), 64))
    mottle *= np.float32(MR_MOTTLE) * (1.0 - anatomy.fraction("adipose"))
    shading *= 1.0 + mottle
    gain = protocol.fat_signal / fat
    scan = scan_mr(anatomy, tissues, settings, rng, gain=gain, bias=shading)
    return np.rint(scan.signal)


def _pet(
    patient: ThighPatient, protocol: Protocol, anatomy: ThighAnatomy, rng: np.random.Generator
) -> FloatArray:
    """FDG-PET in SUV."""
    tumour = patient.tumour
    table = suv_table("fdg")
    # one patient's resting tissue takes up a little more or less than another's
    level = float(rng.lognormal(0.05, 0.2))
    suv = {name: value * level for name, value in table.items()}
    suv |= {tumour.tissue: tumour.uptake}
    extra = (anatomy.hunger - 1.0) * np.float32(tumour.uptake) * anatomy.fraction(tumour.tissue)
    return scan_pet(anatomy, suv, protocol.pet, rng, extra=extra).suv


_SCANNERS = {"CT": _ct, "MR_T1": _mr, "PET": _pet}
