"""One virtual stroke patient: brain, infarct, hospital; scanned as DWI, ADC and FLAIR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain import voxelise_brain
from medkd_lib.phantom.brain_patient import BrainPatient, sample_brain
from medkd_lib.phantom.infarct import Infarct, sample_infarct
from medkd_lib.phantom.infarct_tissue import with_infarct_tissues
from medkd_lib.phantom.infarct_voxels import dead_share, with_infarct
from medkd_lib.phantom.isles_centres import Centre, Size, SliceGrid, draw_centre, draw_grids
from medkd_lib.phantom.mixture import anatomy_of, thick_slices
from medkd_lib.phantom.mr import adc_map
from medkd_lib.phantom.mr_scan import bias_field, scan_mr
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import TissueMR, mr_table, vary

B_S_MM2 = 1000.0
"""Diffusion weighting of the DWI."""

MOTION_MM, MOTION_DEG = 0.8, 0.7
"""Spread of the head's move between DWI and FLAIR (D; one audit calls FLAIR not registered)."""

DEAD_SHARE = 0.5
"""A voxel is drawn into the mask if at least this share of its tissue has died (D)."""


@dataclass(frozen=True)
class Look:
    """How easy infarcts are to see; ranges drawn uniformly per patient (D).

    Attributes:
        contrast: 1 = diffusion and T2 as measured in infarcts, 0 = as alive.
        noise: of the scanner, share of white matter at b = 0.
    """

    contrast: tuple[float, float]
    noise: tuple[float, float]


LOOKS: Mapping[Difficulty, Look] = MappingProxyType(
    {
        "clear": Look((0.85, 1.0), (0.015, 0.025)),
        "subtle": Look((0.3, 0.7), (0.02, 0.04)),
        # as subtle; the images are taken of the brain as it was before
        "none": Look((0.3, 0.7), (0.02, 0.04)),
    }
)


@dataclass(frozen=True)
class StrokePatient:
    """A patient before any voxel.

    Attributes:
        brain: as it lies during DWI.
        brain_later: as it lies during FLAIR, after a small move.
        infarct: what died; None for a patient without a lesion.
        centre: who scanned.
        grids: voxels of ``dwi`` and ``flair``.
        tissues: MR values, those of the infarct at their drawn contrast included.
        contrast: of the infarct.
        noise: of the scanner.
        bias: its shading.
        gain: stored signal of white matter per image.
    """

    brain: BrainPatient
    brain_later: BrainPatient
    infarct: Infarct | None
    centre: Centre
    grids: Mapping[str, SliceGrid]
    tissues: Mapping[str, TissueMR]
    contrast: float
    noise: float
    bias: float
    gain: Mapping[str, float]

    @property
    def moved_mm(self) -> float:
        """How far the head moved between DWI and FLAIR, turns left out."""
        between = np.subtract(self.brain_later.shift_mm, self.brain.shift_mm)
        return float(np.linalg.norm(between))


@dataclass(frozen=True)
class StrokeScan:
    """The images of one patient, axes Left, Posterior, Superior.

    Attributes:
        images: float32 by role: ``dwi`` and ``flair`` magnitudes, ``adc`` in µm²/ms; exactly 0
            outside the stripped brain.
        mask: uint8 on the grid of ``dwi``, 1 = infarct.
        infarct_ml: volume of dead tissue on that grid, partial volumes included.
        brain_ml: volume of the stripped brain there.
    """

    images: Mapping[str, FloatArray]
    mask: NDArray[np.uint8]
    infarct_ml: float
    brain_ml: float


def sample_stroke(
    rng: np.random.Generator,
    difficulty: Difficulty = "subtle",
    size: Size = "small",
    *,
    lesion: bool = True,
) -> StrokePatient:
    """Draw one patient.

    Args:
        rng: source of everything.
        difficulty: see :data:`LOOKS`.
        size: of the pixels.
        lesion: False draws a patient whose scan shows no infarct, as three of 250 real ones.
    """
    brain = sample_brain(rng)
    shift = [p + float(rng.normal(0.0, MOTION_MM)) for p in brain.shift_mm]
    turn = [a + float(rng.normal(0.0, MOTION_DEG)) for a in brain.rotation_deg]
    later = replace(
        brain,
        shift_mm=(shift[0], shift[1], shift[2]),
        rotation_deg=(turn[0], turn[1], turn[2]),
    )
    infarct = sample_infarct(rng, brain)
    centre = draw_centre(rng)
    grids = draw_grids(rng, centre, size)
    look = LOOKS[difficulty]
    contrast, noise = (float(rng.uniform(*r)) for r in (look.contrast, look.noise))
    bias = float(rng.uniform(0.05, 0.25))
    tissues = with_infarct_tissues(vary(mr_table(centre.field_t), rng), infarct, contrast)
    gain = {name: float(350.0 * np.exp(0.3 * rng.standard_normal())) for name in grids}
    return StrokePatient(
        brain, later, infarct if lesion else None, centre, MappingProxyType(grids),
        MappingProxyType(tissues), contrast, noise, bias, MappingProxyType(gain),
    )  # fmt: skip


def fractions_on(
    patient: StrokePatient, role: str, *, lesion: bool = True
) -> dict[str, FloatArray]:
    """Tissue fractions on the grid of ``dwi`` or ``flair``, thick slices averaged."""
    grid = patient.grids[role]
    brain = patient.brain if role == "dwi" else patient.brain_later
    pieces = patient.infarct.pieces if patient.infarct is not None and lesion else ()
    return thick_slices(with_infarct(voxelise_brain(brain, grid.fine), pieces), grid.thinner)


def scan_stroke(
    patient: StrokePatient, rng: np.random.Generator, *, lesion: bool = True
) -> StrokeScan:
    r"""Scan one patient.

    DWI is the trace image at b = 1000 s/mm²; b = 0 is taken with the same shading and not kept,
    and

    .. math:: ADC = \ln(S_0 / S_b) / b

    comes from the two noisy images, as on a scanner.

    Args:
        patient: whom.
        rng: source of shading and noise.
        lesion: False shows the brain as it was before; the mask still marks the infarct.
    """
    streams = rng.spawn(4)
    fractions = fractions_on(patient, "dwi")
    shown = fractions if lesion else fractions_on(patient, "dwi", lesion=False)
    grid = patient.grids["dwi"].grid
    anatomy = anatomy_of(shown, grid)
    body = np.sum(list(shown.values()), axis=0) > 0.0
    bias = bias_field(grid.shape, patient.bias, streams[0], body)
    settings = replace(patient.centre.dwi, noise=patient.noise, bias=0.0)
    s0, sb = (
        scan_mr(
            anatomy, patient.tissues, replace(settings, b_s_mm2=b), stream,
            gain=patient.gain["dwi"], noise_outside=False, bias=bias,
        ).signal
        for b, stream in ((0.0, streams[1]), (B_S_MM2, streams[2]))
    )  # fmt: skip
    flair = scan_mr(
        anatomy_of(fractions_on(patient, "flair", lesion=lesion), patient.grids["flair"].grid),
        patient.tissues,
        replace(patient.centre.flair, noise=patient.noise, bias=patient.bias),
        streams[3],
        gain=patient.gain["flair"],
        noise_outside=False,
    ).signal
    dead = sum(fractions[name] for name in fractions if name.startswith("infarct"))
    mask = (dead_share(fractions) >= DEAD_SHARE).astype(np.uint8)
    return StrokeScan(
        MappingProxyType({"dwi": sb, "adc": adc_map(s0, sb, B_S_MM2), "flair": flair}),
        mask,
        float(np.sum(dead, dtype=np.float64)) * grid.voxel_ml,
        float(body.sum()) * grid.voxel_ml,
    )
