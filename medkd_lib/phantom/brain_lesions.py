"""Brain tumours as attributes: what gliomas, metastases and meningiomas are, and sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain_cortex import core_depth, hull_depth, pial_depth
from medkd_lib.phantom.brain_frame import Push
from medkd_lib.phantom.brain_parts import lateral_ventricle_depth, thalamus_depth
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import Points, brainstem_depth, cerebellum_depth
from medkd_lib.phantom.waves import Waves, random_waves

Tumour = Literal["glioma", "metastasis", "meningioma"]

GLIOMA_ML = (10.0, 18.0, 50.0)
"""Median necrosis, enhancing rim and oedema (§5 D start values, to be fitted on real labels)."""

GLIOMA_SIGMA, SHARED = 0.9, 0.6
"""Log-normal spread (§5 D) and the share of its variance common to all parts of a tumour (D)."""

CORE_MAX_ML, WHOLE_MAX_ML = 90.0, 190.0
"""Larger draws are scaled down, so that a tumour fits its hemisphere (D)."""

METASTASES_MEAN = 2.2
"""Mean of the geometric distribution of their number (§5 D from R)."""

METASTASIS_MM, METASTASIS_SIGMA = 7.0, 0.65
"""Median and log-normal spread of their diameter (§5 D)."""

MENINGIOMA_MM, MENINGIOMA_SIGMA = 32.0, 0.35
"""Median and log-normal spread of its diameter (D, not in the dossier)."""


@dataclass(frozen=True)
class Lesion:
    """One tumour.

    Attributes:
        kind: of tumour.
        side: the patient's side.
        centre_mm: in the brain frame, before the mass pushed anything.
        necrosis_ml: fluid in the middle; 0 for a solid tumour.
        enhancing_ml: solid part that takes up the contrast agent.
        core_ml: solid part around it that does not (glioma only).
        oedema_ml: wet white matter around.
        rough: relative waviness of the surface.
        at_falx: a meningioma of the falx rather than of the convexity.
        texture: the waviness, in units of the tumour's radius.
    """

    kind: Tumour
    side: Literal["left", "right"]
    centre_mm: tuple[float, float, float]
    necrosis_ml: float
    enhancing_ml: float
    core_ml: float
    oedema_ml: float
    rough: float
    at_falx: bool
    texture: tuple[Waves, Waves, Waves]

    @property
    def mass_ml(self) -> float:
        """Volume without oedema."""
        return self.necrosis_ml + self.enhancing_ml + self.core_ml

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of that volume."""
        return float((3000.0 * self.mass_ml / (4.0 * np.pi)) ** (1.0 / 3.0))

    @property
    def push(self) -> Push | None:
        """How it displaces the brain; small tumours do not."""
        radius = self.radius_mm
        if self.kind == "meningioma":
            return Push(self.centre_mm, 1.5 * radius, 0.85)
        if radius < 6.0:
            return None
        return Push(self.centre_mm, 1.9 * radius, 0.22)

    def grown(self, factor: float, oedema_factor: float) -> Lesion:
        """Return the tumour at a later visit: volumes times factors, the rim as a surface."""
        room = min(factor, CORE_MAX_ML / self.mass_ml) if self.kind == "glioma" else factor
        return replace(
            self,
            necrosis_ml=self.necrosis_ml * room ** (4.0 / 3.0),
            enhancing_ml=self.enhancing_ml * room ** (2.0 / 3.0),
            core_ml=self.core_ml * room,
            oedema_ml=min(self.oedema_ml * oedema_factor, WHOLE_MAX_ML - self.mass_ml * room),
        )


def sample_lesions(
    rng: np.random.Generator, tumour: Tumour, brain: BrainPatient
) -> tuple[Lesion, ...]:
    """Draw the tumours of one patient: one glioma, one meningioma, or one to many metastases."""
    if tumour == "glioma":
        return (_glioma(rng, brain),)
    if tumour == "meningioma":
        return (_meningioma(rng, brain),)
    count = min(int(rng.geometric(1.0 / METASTASES_MEAN)), 12)
    lesions: list[Lesion] = []
    for _ in range(count):
        lesions.append(_metastasis(rng, brain, lesions))
    return tuple(lesions)


def _texture(rng: np.random.Generator) -> tuple[Waves, Waves, Waves]:
    return (
        random_waves(rng, 1.0, 3.0, 12),
        random_waves(rng, 0.8, 2.5, 12),
        random_waves(rng, 0.7, 2.2, 12),
    )


def _glioma(rng: np.random.Generator, brain: BrainPatient) -> Lesion:
    common = rng.standard_normal()
    own = rng.standard_normal(3)
    spread = GLIOMA_SIGMA * (np.sqrt(SHARED) * common + np.sqrt(1.0 - SHARED) * own)
    necrosis, enhancing, oedema = (float(v) for v in GLIOMA_ML * np.exp(spread))
    core = float(rng.uniform(0.05, 0.30)) * (necrosis + enhancing)
    shrink = min(1.0, CORE_MAX_ML / (necrosis + enhancing + core))
    necrosis, enhancing, core = (v * shrink for v in (necrosis, enhancing, core))
    oedema = min(oedema, WHOLE_MAX_ML - necrosis - enhancing - core)

    def deep_white(p: Points) -> FloatArray:
        """Positive in white matter at some distance from cortex, ventricles and brainstem."""
        depth = np.minimum(pial_depth(p, brain) - 12.0, -lateral_ventricle_depth(p, brain) - 5.0)
        depth = np.minimum(depth, -thalamus_depth(p, brain) - 5.0)
        return np.minimum(depth, -brainstem_depth(p) - 10.0)

    side, centre = place(rng, deep_white, ((14, -50, -24), (50, 76, 52)))
    rough = float(rng.uniform(0.14, 0.26))
    return Lesion("glioma", side, centre, necrosis, enhancing, core, oedema, rough, False,
                  _texture(rng))  # fmt: skip


def _metastasis(rng: np.random.Generator, brain: BrainPatient, others: list[Lesion]) -> Lesion:
    diameter = float(METASTASIS_MM * np.exp(METASTASIS_SIGMA * rng.standard_normal()))
    diameter = float(np.clip(diameter, 3.5, 40.0))
    volume = np.pi / 6.0 * diameter**3 / 1000.0
    ring = diameter > 9.0 and rng.random() < 0.65
    necrosis = volume * float(rng.uniform(0.15, 0.5)) if ring else 0.0
    wet = diameter > 5.0 and rng.random() < 0.75
    # oedema far larger than the tumour is typical, and relatively more so in small ones (D)
    oedema = volume * float(np.exp(rng.normal(1.3, 0.7))) + 0.5 if wet else 0.0
    oedema = min(oedema, 70.0)

    def junction(p: Points) -> FloatArray:
        """Positive a few millimetres below the surface, away from the other tumours."""
        depth = np.maximum(pial_depth(p, brain), cerebellum_depth(p))
        near = 4.0 - np.abs(depth - (5.0 + 0.35 * diameter))
        near = np.minimum(near, -lateral_ventricle_depth(p, brain) - diameter / 2.0 - 1.0)
        # the joined halves have no cortex
        near = np.where(np.abs(p.u) < 20.0, np.minimum(near, -core_depth(p)), near)
        for other in others:
            gap = sum((a - c) ** 2 for a, c in zip(p, other.centre_mm, strict=True))
            near = np.minimum(near, np.sqrt(gap) - 1.3 * (other.radius_mm + diameter / 2.0) - 2.0)
        return near

    side, centre = place(rng, junction, ((4, -68, -56), (66, 100, 72)))
    rough = float(rng.uniform(0.04, 0.12))
    return Lesion("metastasis", side, centre, necrosis, volume - necrosis, 0.0, oedema, rough,
                  False, _texture(rng))  # fmt: skip


def _meningioma(rng: np.random.Generator, brain: BrainPatient) -> Lesion:
    diameter = float(MENINGIOMA_MM * np.exp(MENINGIOMA_SIGMA * rng.standard_normal()))
    diameter = float(np.clip(diameter, 14.0, 55.0))
    # what the dura cuts off is not counted: the volume is that of the piece inside
    volume = 0.8 * np.pi / 6.0 * diameter**3 / 1000.0
    at_falx = bool(rng.random() < 0.3)
    dry = rng.random() < 0.4
    oedema = 0.0 if dry else min(volume * float(np.exp(rng.normal(-0.3, 0.7))), 90.0)

    def base(p: Points) -> FloatArray:
        """Positive in the sheet where the centre of a tumour on the dura may lie."""
        if at_falx:
            sheet = 4.0 - np.abs(np.abs(p.u) - 0.42 * diameter)
            inside = np.minimum(pial_depth(p, brain) - 2.0, hull_depth(p) - 0.25 * diameter)
            return np.minimum(np.minimum(sheet, inside), -core_depth(p) - 0.5 * diameter)
        sheet = 2.0 - np.abs(hull_depth(p) - 0.30 * diameter)
        above = np.minimum(p.w - 2.0 + 0.3 * np.abs(p.u), np.abs(p.u) - 0.55 * diameter)
        return np.minimum(sheet, above)

    side, centre = place(rng, base, ((2, -68, -12), (66, 100, 72)))
    rough = float(rng.uniform(0.05, 0.12))
    return Lesion("meningioma", side, centre, 0.0, volume, 0.0, oedema, rough, at_falx,
                  _texture(rng))  # fmt: skip


def place(
    rng: np.random.Generator,
    allowed: Callable[[Points], FloatArray],
    corners_mm: tuple[tuple[float, float, float], tuple[float, float, float]],
) -> tuple[Literal["left", "right"], tuple[float, float, float]]:
    """Draw points on one side until one is allowed; the best of them if none is."""
    side: Literal["left", "right"] = "left" if rng.random() < 0.5 else "right"
    points = rng.uniform(*corners_mm, (3000, 3)).astype(np.float32)
    points[:, 0] *= 1.0 if side == "left" else -1.0
    value = allowed(Points(*points.T))
    good = np.flatnonzero(value > 0.0)
    choice = int(good[0]) if len(good) else int(np.argmax(value))
    u, v, w = (float(c) for c in points[choice])
    return side, (u, v, w)
