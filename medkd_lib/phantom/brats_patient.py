"""One virtual patient of the BraTS twins: brain, tumours, contrast agent, scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brain_lesion_layers import ENHANCING, voxelise_tumours
from medkd_lib.phantom.brain_lesions import Lesion, Tumour, sample_lesions
from medkd_lib.phantom.brain_patient import BrainPatient, sample_brain
from medkd_lib.phantom.mr import PROTOCOLS, MRSettings
from medkd_lib.phantom.mr_scan import scan_mr
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import TissueMR, fainter, mr_table, vary

Task = Literal["gli", "men", "met"]

TUMOUR_OF: Mapping[Task, Tumour] = MappingProxyType(
    {"gli": "glioma", "men": "meningioma", "met": "metastasis"}
)

CONTRASTS = ("t1n", "t1c", "t2w", "t2f")
"""The four images of a case, in the order of the release."""

BLOOD_GD_MM = (0.6, 1.0)
"""Agent in vessels and choroid plexus, per patient (§1.4 D: 1 mM in vessels, 0.3 in plexus)."""

BRAIN_GD_MM = 0.02
"""Agent in normal brain, all of it in its vessels (§1.4 D: up to 0.03)."""


@dataclass(frozen=True)
class Look:
    """How easy tumours are to see; ranges drawn uniformly per patient.

    Attributes:
        gd_mm: agent in the enhancing part (``clear`` is the range of rims in §1.4 D; 0.12 mM makes
            a tumour as bright as white matter).
        oedema: contrast of oedema, 0 = white matter, 1 = the table's values.
        noise: of the scanner, see :class:`MRSettings`.
    """

    gd_mm: tuple[float, float]
    oedema: tuple[float, float]
    noise: tuple[float, float]


LOOKS: Mapping[Difficulty, Look] = MappingProxyType(
    {
        "clear": Look((0.3, 0.8), (0.85, 1.0), (0.015, 0.025)),
        "subtle": Look((0.12, 0.35), (0.3, 0.8), (0.025, 0.05)),
        # as subtle; the images are taken without the tumours
        "none": Look((0.12, 0.35), (0.3, 0.8), (0.025, 0.05)),
    }
)

MENINGIOMA_GD = 1.3
"""Factor on the agent: no barrier at all (D)."""


@dataclass(frozen=True)
class BratsPatient:
    """A patient before any voxel.

    Attributes:
        task: challenge the patient belongs to.
        brain: the healthy brain.
        lesions: its tumours.
        tissues: MR values of this patient's tissues, oedema at its drawn contrast.
        gd_mm: contrast agent per tissue in the post-contrast scan.
        oedema_contrast: drawn contrast of the oedema.
        noise: of this patient's scanner.
        bias: its shading.
        gain: stored signal of white matter per contrast; MR units are arbitrary.
        field_t: field strength.
    """

    task: Task
    brain: BrainPatient
    lesions: tuple[Lesion, ...]
    tissues: Mapping[str, TissueMR]
    gd_mm: Mapping[str, float]
    oedema_contrast: float
    noise: float
    bias: float
    gain: Mapping[str, float]
    field_t: float

    @property
    def rim_gd_mm(self) -> float:
        """Agent in the enhancing part."""
        return self.gd_mm[ENHANCING[TUMOUR_OF[self.task]]]


def sample_patient(
    rng: np.random.Generator,
    task: Task,
    difficulty: Difficulty = "subtle",
    field_t: float = 3.0,
) -> BratsPatient:
    """Draw one patient."""
    brain = sample_brain(rng)
    lesions = sample_lesions(rng, TUMOUR_OF[task], brain)
    look = LOOKS[difficulty]
    rim, contrast, noise = (float(rng.uniform(*r)) for r in (look.gd_mm, look.oedema, look.noise))
    blood = float(rng.uniform(*BLOOD_GD_MM))
    tissues = vary(mr_table(field_t), rng)
    tissues["oedema"] = fainter(tissues["oedema"], tissues["white_matter"], contrast)
    gd = {"grey_matter": BRAIN_GD_MM, "deep_grey": BRAIN_GD_MM, "white_matter": BRAIN_GD_MM / 2,
          "tumour": rim, "metastasis": rim, "meningioma": MENINGIOMA_GD * rim,
          "blood": blood, "tumour_core": 0.05 * rim, "necrosis": 0.05 * rim}  # fmt: skip
    gain = {name: float(600.0 * np.exp(0.3 * rng.standard_normal())) for name in CONTRASTS}
    bias = float(rng.uniform(0.05, 0.25))
    return BratsPatient(task, brain, lesions, MappingProxyType(tissues), MappingProxyType(gd),
                        contrast, noise, bias, MappingProxyType(gain), field_t)  # fmt: skip


def later(patient: BratsPatient, rng: np.random.Generator) -> BratsPatient:
    """Return the patient at a second visit: tumours grown or shrunk, another scanner day."""
    factor = float(np.exp(rng.normal(0.15, 0.45)))
    oedema = float(np.exp(rng.normal(0.0, 0.35))) * factor**0.5
    gain = {name: g * float(np.exp(rng.normal(0.0, 0.1))) for name, g in patient.gain.items()}
    return replace(
        patient,
        lesions=tuple(lesion.grown(factor, oedema) for lesion in patient.lesions),
        noise=patient.noise * float(np.exp(rng.normal(0.0, 0.15))),
        gain=MappingProxyType(gain),
    )


def voxelise_patient(patient: BratsPatient, grid: Grid, *, lesions: bool = True) -> BrainAnatomy:
    """Anatomy of the patient, with the tumours or as the brain was without them."""
    return voxelise_tumours(patient.brain, patient.lesions if lesions else (), grid)


def scan_patient(
    patient: BratsPatient,
    grid: Grid,
    rng: np.random.Generator,
    *,
    lesions: bool = True,
    anatomy: BrainAnatomy | None = None,
    protocols: Mapping[str, MRSettings] | None = None,
) -> dict[str, FloatArray]:
    """Scan the patient with any protocols.

    Args:
        patient: whom.
        grid: where; ignored if ``anatomy`` is given.
        rng: source of shading and noise, one stream per image in the order of the protocols.
        lesions: False scans the same brain without its tumours.
        anatomy: a finished anatomy of this patient, to save time.
        protocols: settings by name, noise and shading as given; by default the four contrasts
            with the patient's own noise and shading. Those named ``t1c`` get the contrast agent.

    Returns:
        float32 magnitude images by name, exactly 0 outside the stripped brain.
    """
    if anatomy is None:
        anatomy = voxelise_patient(patient, grid, lesions=lesions)
    if protocols is None:
        protocols = {
            name: replace(PROTOCOLS[name], noise=patient.noise, bias=patient.bias)
            for name in CONTRASTS
        }
    streams = rng.spawn(len(protocols))
    return {
        name: scan_mr(
            anatomy,
            patient.tissues,
            settings,
            stream,
            gd_mm=patient.gd_mm if settings.name == "t1c" else {},
            gain=patient.gain.get(name, 1000.0),
            noise_outside=False,
        ).signal
        for (name, settings), stream in zip(protocols.items(), streams, strict=True)
    }
