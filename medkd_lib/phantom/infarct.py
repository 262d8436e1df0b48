"""Ischaemic infarcts as attributes: territories of the arteries, pieces, age; and sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain_cortex import pial_depth
from medkd_lib.phantom.brain_lesions import place
from medkd_lib.phantom.brain_parts import lateral_ventricle_depth
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import Points, brainstem_depth, cerebellum_depth
from medkd_lib.phantom.waves import Waves, random_waves

Side = Literal["left", "right"]
Millimetres = tuple[float, float, float]
Territory = Literal["middle", "anterior", "posterior", "cerebellar", "lacunar"]


@dataclass(frozen=True)
class Supply:
    """What one artery feeds, on the patient's left (u > 0); every number D, after any atlas.

    Attributes:
        share: of the infarcts.
        median_ml: of the volume.
        largest_ml: an infarct of the whole territory.
        corners_mm: box of the places on the surface where a piece may begin.
        stem_mm: where the artery comes from: pieces are wedges that point there.
    """

    share: float
    median_ml: float
    largest_ml: float
    corners_mm: tuple[Millimetres, Millimetres]
    stem_mm: Millimetres


SUPPLIES: Mapping[Territory, Supply] = MappingProxyType(
    {
        "middle": Supply(0.58, 15.0, 180.0, ((26, -45, -20), (68, 55, 50)), (30, 4, 4)),
        "anterior": Supply(0.08, 8.0, 40.0, ((2, -66, 5), (20, 30, 72)), (6, -12, 14)),
        "posterior": Supply(0.14, 10.0, 60.0, ((3, 58, -12), (36, 98, 32)), (18, 36, 2)),
        "cerebellar": Supply(0.08, 8.0, 40.0, ((8, 50, -58), (46, 92, -22)), (8, 42, -34)),
        "lacunar": Supply(0.12, 1.1, 4.0, ((13, -14, -4), (30, 26, 28)), (20, 2, -10)),
    }
)

VOLUME_SIGMA = 1.1
"""Log-normal spread of the volume (D: no table of volumes was found; ISLES spans 0.04–482 mL)."""

SMALLEST_ML = 0.5
"""Pieces below this would vanish between thick slices (D)."""

PIECES_MEAN, PIECES_MAX = 1.9, 5
"""Emboli that broke up: mean of a geometric distribution, and its end (D)."""

AGE_H = (1.5, 24.0)
"""Hours since the onset, log-uniform: the window of an acute scan (D)."""

ADC_RATIO, ADC_RATIO_SPREAD, ADC_RATIO_RANGE = 0.627 / 0.843, 0.077 / 0.843, (0.55, 0.9)
"""ADC in the core over the other side's (§1.1 R: 0.627 ± 0.077 against 0.843), and its limits."""


@dataclass(frozen=True)
class Piece:
    r"""One connected infarct: a wedge with its base on the surface, its tip towards the artery.

    Attributes:
        territory: whose artery is shut.
        side: the patient's side.
        base_mm: middle of the base, brain frame.
        inwards: unit vector from the base to the stem.
        volume_ml: of dead tissue.
        slimness: depth of the wedge over the radius of its base; 0 for a ball.
        rough: relative waviness of the surface.
        texture: the waviness, in millimetres.
    """

    territory: Territory
    side: Side
    base_mm: Millimetres
    inwards: Millimetres
    volume_ml: float
    slimness: float
    rough: float
    texture: Waves


@dataclass(frozen=True)
class Infarct:
    """What a patient's stroke is before any voxel.

    Attributes:
        pieces: largest first.
        age_h: hours since the onset: T2, and so FLAIR, rises with them.
        adc_ratio: ADC of the infarct over that of the same tissue alive.
    """

    pieces: tuple[Piece, ...]
    age_h: float
    adc_ratio: float

    @property
    def volume_ml(self) -> float:
        """Sum of the pieces."""
        return sum(piece.volume_ml for piece in self.pieces)


def territory_depth(p: Points, patient: BrainPatient, territory: Territory) -> FloatArray:
    """Depth inside what an artery feeds (mm, both sides alike, negative outside).

    Watersheds are planes and lie where they do in most heads (D).
    """
    q = np.abs(p.u)
    cerebellum = np.asarray(cerebellum_depth(p))
    if territory == "cerebellar":
        return cerebellum
    tissue = np.minimum(-cerebellum, -brainstem_depth(p))
    # parasagittal, from the frontal pole to the parieto-occipital fissure
    anterior = np.minimum(np.minimum(22.0 - q, p.w - 4.0), 56.0 - p.v)
    # occipital lobe and the underside of the temporal one
    below = np.minimum(np.minimum(34.0 - q, p.v - 20.0), -6.0 - p.w)
    posterior = np.maximum(np.minimum(p.v - 58.0, 46.0 - q), below)
    if territory == "anterior":
        return np.minimum(anterior, tissue)
    if territory == "posterior":
        return np.minimum(posterior, tissue)
    rest = np.minimum(-np.maximum(anterior, posterior), tissue)
    if territory == "middle":
        return np.minimum(rest, q - 8.0)
    # the deep nuclei and the capsule between them
    deep = np.minimum(np.minimum(q - 10.0, 33.0 - q), np.minimum(p.v + 18.0, 30.0 - p.v))
    deep = np.minimum(deep, np.minimum(p.w + 8.0, 32.0 - p.w))
    return np.minimum(np.minimum(deep, tissue), -lateral_ventricle_depth(p, patient))


def sample_infarct(rng: np.random.Generator, brain: BrainPatient) -> Infarct:
    """Draw one patient's stroke: one artery, one side, one to a few pieces."""
    names = tuple(SUPPLIES)
    territory = names[int(rng.choice(len(names), p=[SUPPLIES[n].share for n in names]))]
    supply = SUPPLIES[territory]
    total = float(supply.median_ml * np.exp(VOLUME_SIGMA * rng.standard_normal()))
    total = float(np.clip(total, SMALLEST_ML, supply.largest_ml))
    number = min(int(rng.geometric(1.0 / PIECES_MEAN)), PIECES_MAX)
    if territory == "lacunar":
        number = 1
    shares = np.sort(rng.dirichlet(np.ones(number)))[::-1]
    volumes = [v for v in (float(s) * total for s in shares) if v >= SMALLEST_ML] or [total]
    pieces: list[Piece] = []
    for volume in volumes:
        side = pieces[0].side if pieces else None
        pieces.append(_piece(rng, brain, territory, volume, side))
    age = float(np.exp(rng.uniform(*np.log(AGE_H))))
    ratio = ADC_RATIO + ADC_RATIO_SPREAD * float(rng.standard_normal())
    return Infarct(tuple(pieces), age, float(np.clip(ratio, *ADC_RATIO_RANGE)))


def _piece(
    rng: np.random.Generator,
    brain: BrainPatient,
    territory: Territory,
    volume_ml: float,
    side: Side | None,
) -> Piece:
    supply = SUPPLIES[territory]
    chosen, (u, v, w) = place(rng, _beginning(brain, territory), supply.corners_mm)
    if side is not None and side != chosen:
        # the frame is symmetric: the same place on the side of the shut artery
        chosen, u = side, -u
    sign = 1.0 if chosen == "left" else -1.0
    way = np.array(supply.stem_mm) * [sign, 1.0, 1.0] - [u, v, w]
    inwards = way / np.linalg.norm(way)
    return Piece(
        territory,
        chosen,
        (u, v, w),
        (float(inwards[0]), float(inwards[1]), float(inwards[2])),
        volume_ml,
        slimness=0.0 if territory == "lacunar" else float(rng.uniform(1.0, 1.8)),
        rough=float(rng.uniform(0.10, 0.22)),
        texture=random_waves(rng, 9.0, 30.0, 12),
    )


def _beginning(brain: BrainPatient, territory: Territory) -> Callable[[Points], FloatArray]:
    """Positive where a piece may begin: just below the surface, or anywhere in the deep nuclei."""

    def allowed(p: Points) -> FloatArray:
        inside = territory_depth(p, brain, territory) - 2.0
        if territory == "lacunar":
            return inside
        depth = np.maximum(pial_depth(p, brain), cerebellum_depth(p))
        return np.minimum(inside, 2.5 - np.abs(depth - 3.0))

    return allowed
