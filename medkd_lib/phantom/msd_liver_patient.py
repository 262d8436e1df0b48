"""Who is in the liver set's twin: most with several tumours, darker than the liver around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.abdomen import ORGANS, voxelise_abdomen
from medkd_lib.phantom.abdomen_agent import IODINE_HU
from medkd_lib.phantom.abdomen_case import (
    BODY,
    LOOKS,
    AbdomenCase,
    place_in_scanner,
    scan_case,
    stream,
)
from medkd_lib.phantom.abdomen_lesion import Lesion
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, sample_abdomen
from medkd_lib.phantom.abdomen_protocol import Cohort, Size
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.hcc_tissue import phase_hu
from medkd_lib.phantom.liver_mass import Burden, sample_masses
from medkd_lib.phantom.lobulated_mass import LobulatedMass

COHORT: Cohort = "msd_task03_liver"
LIVER, TUMOUR = 1, 2
"""Labels of the release."""

SOUND_SHARE = 13 / 131
"""Share of the patients without a tumour (R: 118 of the 131 have one)."""

BURDEN = Burden((0.45, 0.25, 0.15, 0.10, 0.05), 40.0, 0.4, 15.0, 90.0)
"""One to five, median 4 cm, spread 0.4 (D: the dossier's metastases, §5 D, are one to ten with a
median of 2 cm). Of those a network of lesson size learnt nothing that a teacher could hand on, see
:data:`LOOK`."""

NATIVE_CONTRAST_HU = -8.0
"""Tumour minus liver without contrast agent (§2.3 D from R, for HCC)."""

BRIGHT_SHARE = 0.08
"""Share of the patients whose tumours are as much brighter as others' are darker (D)."""


@dataclass(frozen=True)
class Look:
    """How tumours appear in the portal phase at 120 kV.

    Attributes:
        contrast_hu: mean of tumour minus liver.
        between_hu: its spread between patients.
        within_hu: its spread between the tumours of one patient.
        mottle_hu: unevenness of a tumour.
    """

    contrast_hu: float
    between_hu: float
    within_hu: float
    mottle_hu: float


_SUBTLE = Look(-38.0, 4.0, 2.0, 5.0)

LOOK: Mapping[Difficulty, Look] = MappingProxyType(
    {"clear": Look(-60.0, 6.0, 3.0, 5.0), "subtle": _SUBTLE, "none": _SUBTLE}
)
"""Subtle: metastases, 60–80 HU in a liver of 105 (§2.3 †). Clear: metastases gone to fluid (D).
None: the tumours of subtle, which the image does not show.

Fixed on the student alone, before any distillation: lesson 06's U-Net on sections, 40 patients of
seed 1, 20 others tested, one training; Dice after 400 and 800 updates. With the first design, one
to ten tumours of 2 cm, −16 HU: .05 (.07 after 1200). With one to five:

======== =========== ====== ====
contrast median size   400   800
======== =========== ====== ====
−30 HU   3 cm           –   .21
−45 HU   3 cm          .30  .37
−60 HU   3 cm          .38  .40
−38 HU   4 cm          .34  .46
======== =========== ====== ====
"""


def liver_patient(
    index: int, *, seed: int, difficulty: Difficulty
) -> tuple[AbdomenPatient, tuple[Lesion, ...]]:
    """Draw patient ``index`` (from 0): a body, and what grows in its liver.

    Args:
        index: of the patient.
        seed: of the set.
        difficulty: one of :data:`LOOK`; all show the same bodies and shapes.
    """
    body = np.random.default_rng(stream(COHORT, index, seed, BODY))
    person = sample_abdomen(body)
    sound = float(body.random()) < SOUND_SHARE
    masses = () if sound else sample_masses(person, body, BURDEN)
    looks = np.random.default_rng(stream(COHORT, index, seed, LOOKS))
    return person, _lesions(person, masses, LOOK[difficulty], looks)


def liver_case(index: int, *, seed: int, difficulty: Difficulty, size: Size) -> AbdomenCase:
    """Draw and scan patient ``index`` (from 0).

    All difficulties of a seed show the same bodies, tumours, protocols and noise; labels are alike.

    Args:
        index: of the patient.
        seed: of the set.
        difficulty: one of :data:`LOOK`.
        size: of the voxels.
    """
    person, lesions = liver_patient(index, seed=seed, difficulty=difficulty)
    protocol, grid, noise, place = place_in_scanner(COHORT, index, seed, size, person)
    anatomy = voxelise_abdomen(person, grid)
    return scan_case(
        anatomy, person, lesions, protocol, difficulty,
        organs=(1 + ORGANS.index("liver"),), room=anatomy.fraction("liver", "liver_vein"),
        ids={"tumour": TUMOUR}, noise=noise, place=place,
    )  # fmt: skip


def _lesions(
    person: AbdomenPatient,
    masses: tuple[LobulatedMass, ...],
    look: Look,
    rng: np.random.Generator,
) -> tuple[Lesion, ...]:
    r"""Give each mass its looks.

    .. math:: c = \pm(\bar c + \sigma_b\,n_{patient} + \sigma_w\,n_{mass})
    """
    own, bright = float(rng.standard_normal()), float(rng.random()) < BRIGHT_SHARE
    native = phase_hu(person, "unenhanced")["liver"] + NATIVE_CONTRAST_HU
    portal = phase_hu(person, "portal")["liver"]
    lesions = []
    for mass in masses:
        deviate = look.between_hu * own + look.within_hu * float(rng.standard_normal())
        contrast = look.contrast_hu + deviate
        solid = portal + (-contrast if bright else contrast)
        # one concentration serves every tube voltage
        iodine = (solid - native) / IODINE_HU[120]
        lesions.append(Lesion("tumour", mass, native, {"portal": iodine}, look.mottle_hu))
    return tuple(lesions)
