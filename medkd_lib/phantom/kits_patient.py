"""Who is in the kidney set's twin: tumours that take up agent early, and cysts that take none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.abdomen import ORGANS, voxelise_abdomen
from medkd_lib.phantom.abdomen_agent import IODINE_HU, EnhancedPhase
from medkd_lib.phantom.abdomen_case import (
    BODY,
    LOOKS,
    AbdomenCase,
    place_in_scanner,
    scan_case,
    stream,
)
from medkd_lib.phantom.abdomen_lesion import Kind, Lesion
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, sample_abdomen
from medkd_lib.phantom.abdomen_protocol import Cohort, Size
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.kidney_mass import kidney_room, sample_kidney_masses
from medkd_lib.phantom.lobulated_mass import LobulatedMass

COHORT: Cohort = "kits23"
KIDNEY, TUMOUR, CYST = 1, 2, 3
"""Labels of the release."""

IDS: Mapping[Kind, int] = MappingProxyType({"tumour": TUMOUR, "cyst": CYST})
PARENCHYMA = ("kidney_cortex", "kidney_medulla")

CYST_HU = (0.0, 20.0)
"""Simple cysts, without agent or with it (§2.2 † 0–15, a little more for the denser ones D)."""

WIDEST = 1.5
"""Most that a tumour differs from the mean, in SD (D)."""

NECROTIC_FROM_MM, NECROSIS = 40.0, (0.05, 0.35)
"""Diameter from which a tumour has fluid inside, and its share (D; the measured numbers are of
tumours up to 4 cm)."""


@dataclass(frozen=True)
class Look:
    """How a kind of tumour appears at 120 kV: means, and spreads between patients.

    Attributes:
        native_hu: without contrast agent.
        enhanced_hu: by phase.
        mottle_hu: unevenness of its solid part.
    """

    native_hu: tuple[float, float]
    enhanced_hu: Mapping[EnhancedPhase, tuple[float, float]]
    mottle_hu: float


CLEAR_CELL = Look(
    (34.0, 7.0), {"corticomedullary": (173.0, 45.0), "nephrographic": (149.0, 34.0)}, 18.0
)
"""Clear-cell cancer, as bright as the cortex (§2.3 R; mottle D): strong, early, uneven."""

HYPOVASCULAR = Look(
    (32.0, 6.0), {"corticomedullary": (65.0, 10.0), "nephrographic": (85.0, 12.0)}, 8.0
)
"""A kind that takes up little (unenhanced §2.3 R 32 ± 12; the rest D)."""

LOOK: Mapping[Difficulty, Look] = MappingProxyType(
    {"clear": HYPOVASCULAR, "subtle": CLEAR_CELL, "none": CLEAR_CELL}
)
"""Clear: all tumours far darker than the cortex, easy on purpose (D). Subtle: all clear-cell, the
largest part of the real set (R 310 of 489). None: tumours and cysts are the kidney's own tissue in
their place, and end where it does."""


def kits_patient(
    index: int, *, seed: int, difficulty: Difficulty
) -> tuple[AbdomenPatient, tuple[Lesion, ...]]:
    """Draw patient ``index`` (from 0): a body, and what grows on its kidneys.

    Args:
        index: of the patient.
        seed: of the set.
        difficulty: one of :data:`LOOK`; all show the same bodies and shapes.
    """
    body = np.random.default_rng(stream(COHORT, index, seed, BODY))
    person = sample_abdomen(body)
    masses = sample_kidney_masses(person, body)
    looks = np.random.default_rng(stream(COHORT, index, seed, LOOKS))
    return person, _lesions(masses, LOOK[difficulty], looks)


def kits_case(index: int, *, seed: int, difficulty: Difficulty, size: Size) -> AbdomenCase:
    """Draw and scan patient ``index`` (from 0).

    All difficulties of a seed show the same bodies, protocols and noise, and the same lesions; at
    ``none`` what bulges out of the kidney is left away, as its shape would be seen.

    Args:
        index: of the patient.
        seed: of the set.
        difficulty: one of :data:`LOOK`.
        size: of the voxels.
    """
    person, lesions = kits_patient(index, seed=seed, difficulty=difficulty)
    protocol, grid, noise, place = place_in_scanner(COHORT, index, seed, size, person)
    anatomy = voxelise_abdomen(person, grid)
    hidden = difficulty == "none"
    return scan_case(
        anatomy, person, lesions, protocol, difficulty,
        organs=(1 + ORGANS.index("right kidney"), 1 + ORGANS.index("left kidney")),
        room=anatomy.fraction(*PARENCHYMA) if hidden else kidney_room(person, anatomy),
        ids=IDS, noise=noise, place=place,
    )  # fmt: skip


def _lesions(
    masses: tuple[tuple[Kind, LobulatedMass], ...], look: Look, rng: np.random.Generator
) -> tuple[Lesion, ...]:
    """Give each mass its looks; the tumours of one patient are of one kind and one uptake."""
    own, other = np.clip(rng.standard_normal(2), -WIDEST, WIDEST)
    native = look.native_hu[0] + look.native_hu[1] * float(other)
    iodine: dict[EnhancedPhase, float] = {
        # one deviate for both phases: who takes up much early does so late
        phase: (mean + spread * float(own) - native) / IODINE_HU[120]
        for phase, (mean, spread) in look.enhanced_hu.items()
    }
    lesions = []
    for kind, mass in masses:
        fluid, share = float(rng.uniform(*CYST_HU)), float(rng.uniform(*NECROSIS))
        if kind == "cyst":
            lesions.append(Lesion("cyst", mass, fluid, {}))
            continue
        necrosis = share if 2.0 * mass.radius_mm > NECROTIC_FROM_MM else 0.0
        lesions.append(Lesion("tumour", mass, native, iodine, look.mottle_hu, necrosis))
    return tuple(lesions)
