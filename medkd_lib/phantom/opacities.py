"""Pneumonia in the lungs: which opacities a patient has, by class and difficulty.

Opacity means air replaced by fluid. A finding is a soft, wavy ball inside one lobe; its ``fill``
says how much of the air is gone (0.3 is ground glass, 0.9 consolidation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

Diagnosis = Literal["normal", "bacterial", "viral"]
Difficulty = Literal["clear", "subtle", "none"]
Lobe = Literal["RUL", "RML", "RLL", "LUL", "LLL"]
LOBES: tuple[Lobe, ...] = get_args(Lobe)

# §4 CAP series R: right lower 35 %, left lower 22 %; the remaining 43 % shared out by D.
BACTERIAL_LOBES: Mapping[Lobe, float] = MappingProxyType(
    {"RLL": 0.35, "LLL": 0.22, "RUL": 0.18, "RML": 0.12, "LUL": 0.13}
)
# §4 R: lower zones in 90 %, bilateral and multifocal.
VIRAL_LOBES: Mapping[Lobe, float] = MappingProxyType(
    {"RLL": 0.32, "LLL": 0.32, "RUL": 0.12, "RML": 0.10, "LUL": 0.14}
)

OCCULT_SHARE = 0.04
"""Infections that leave no trace in the lungs (D)."""


@dataclass(frozen=True)
class Finding:
    """One opacity.

    Attributes:
        kind: ``"consolidation"``, ``"ground_glass"`` or the innocent ``"atelectasis"``.
        lobe: the lobe that holds all of it.
        position: where in the lobe, as a rank in [0, 1) through the lobe's voxels.
        target_ml: volume of the ball; the lobe's border may cut it (measured later).
        fill: share of the air replaced by fluid, 0…1.
        edge: width of the soft border as a share of the radius.
        flatness: radius along z over radius across, 1 is round, 0.2 a plate.
        texture_seed: seed of the wavy outline and mottling.
    """

    kind: Literal["consolidation", "ground_glass", "atelectasis"]
    lobe: Lobe
    position: float
    target_ml: float
    fill: float
    edge: float
    flatness: float
    texture_seed: int

    @property
    def side(self) -> Literal["right", "left"]:
        """The patient's side."""
        return "right" if self.lobe[0] == "R" else "left"


@dataclass(frozen=True)
class Infection:
    """What a disease does to a pair of lungs.

    Attributes:
        findings: the opacities, innocent ones included.
        cuffing: factor on vessel calibre, 1 for none.
        interstitial: mean share of air lost to a fine net in both lungs; never quite 0.
    """

    findings: tuple[Finding, ...]
    cuffing: float
    interstitial: float


@dataclass(frozen=True)
class OpacityPrior:
    """Ranges that make a difficulty: medians of log-normals and fills (D, set on baselines).

    Attributes:
        lobar_ml: median volume of the ball of a bacterial consolidation; its lobe cuts it.
        lobar_fill: (low, high) fill of it; 0.85…1 is −100…+30 HU, lower is early disease.
        patch_ml: median volume of one viral patch.
        patch_fill: (low, high); 0.17…0.43 is the dossier's −700…−460 HU.
        patches: (fewest, most) viral patches, both sides together.
        cuffing: viral thickening of bronchovascular bundles, factor on vessel radius, (low, high).
        interstitial: viral net of thickened septa, mean share of air lost, (low, high).
        spread: standard deviation of log volume.
    """

    lobar_ml: float
    lobar_fill: tuple[float, float]
    patch_ml: float
    patch_fill: tuple[float, float]
    patches: tuple[int, int]
    cuffing: tuple[float, float]
    interstitial: tuple[float, float]
    spread: float


# Set on baselines alone, before any distillation was run: see ``write_cxr3`` for the numbers.
PRIORS: Mapping[str, OpacityPrior] = MappingProxyType(
    {
        "clear": OpacityPrior(
            lobar_ml=2000.0,  # fills most lobes to the fissure
            lobar_fill=(0.90, 1.0),
            patch_ml=110.0,
            patch_fill=(0.35, 0.60),
            patches=(7, 13),
            cuffing=(1.2, 1.6),
            interstitial=(0.19, 0.33),
            spread=0.25,
        ),
        "subtle": OpacityPrior(
            lobar_ml=1000.0,
            lobar_fill=(0.85, 1.0),
            patch_ml=100.0,
            patch_fill=(0.30, 0.55),
            patches=(5, 11),
            cuffing=(1.1, 1.5),
            interstitial=(0.12, 0.25),
            spread=0.35,
        ),
    }
)


def sample_findings(
    rng: np.random.Generator, diagnosis: Diagnosis, difficulty: Difficulty
) -> Infection:
    """Draw the opacities of one patient.

    Classes overlap on purpose (D): one infection in 25 does not show at all (§4 R: half of early
    COVID films are normal), every lung has a trace of interstitial net, and one patient in four
    has a plate of atelectasis, whatever the class.

    ``none`` has no distribution of its own: it uses ``subtle`` here, and the *label* is drawn
    apart from the anatomy where the files are written (:mod:`medkd_lib.phantom.cxr3`).

    Args:
        rng: source of randomness.
        diagnosis: what the patient has.
        difficulty: how plain it is.

    Raises:
        ValueError: for an unknown diagnosis or difficulty.
    """
    for name, value, known in (
        ("diagnosis", diagnosis, get_args(Diagnosis)),
        ("difficulty", difficulty, get_args(Difficulty)),
    ):
        if value not in known:
            raise ValueError(f"{name}: expected one of {known}, found {value!r}; check spelling")
    prior = PRIORS["subtle" if difficulty == "none" else difficulty]
    findings: list[Finding] = []
    cuffing = 1.0
    interstitial = float(abs(rng.normal(0.0, 0.012)))
    shows = rng.random() >= OCCULT_SHARE
    if diagnosis == "bacterial" and shows:
        lobe = _draw_lobe(rng, BACTERIAL_LOBES)
        volume = _lognormal(rng, prior.lobar_ml, prior.spread)
        findings.append(
            _finding(rng, "consolidation", lobe, volume, rng.uniform(*prior.lobar_fill), 0.3)
        )
    elif diagnosis == "viral" and shows:
        interstitial += rng.uniform(*prior.interstitial)
        cuffing = rng.uniform(*prior.cuffing)
        number = int(rng.integers(prior.patches[0], prior.patches[1] + 1))
        lobes = [_draw_lobe(rng, VIRAL_LOBES) for _ in range(number)]
        if len({lobe[0] for lobe in lobes}) == 1:  # bilateral by definition of the class
            lobes[0] = "LLL" if lobes[0][0] == "R" else "RLL"
        for lobe in lobes:
            volume = _lognormal(rng, prior.patch_ml, prior.spread)
            fill = rng.uniform(*prior.patch_fill)
            findings.append(_finding(rng, "ground_glass", lobe, volume, fill, 0.6))
    if rng.random() < 0.25:  # plate atelectasis at a base, in every class alike (D)
        base: Lobe = "RLL" if rng.random() < 0.5 else "LLL"
        volume = _lognormal(rng, 12.0, 0.5)
        findings.append(_finding(rng, "atelectasis", base, volume, rng.uniform(0.4, 0.9), 0.4, 0.2))
    return Infection(tuple(findings), cuffing, interstitial)


def _finding(
    rng: np.random.Generator,
    kind: Literal["consolidation", "ground_glass", "atelectasis"],
    lobe: Lobe,
    volume_ml: float,
    fill: float,
    edge: float,
    flatness: float = 1.0,
) -> Finding:
    seed = int(rng.integers(2**31))
    return Finding(kind, lobe, rng.random(), volume_ml, float(fill), edge, flatness, seed)


def _draw_lobe(rng: np.random.Generator, weights: Mapping[Lobe, float]) -> Lobe:
    return LOBES[int(rng.choice(len(LOBES), p=[weights[lobe] for lobe in LOBES]))]


def _lognormal(rng: np.random.Generator, median: float, sigma: float) -> float:
    return float(median * np.exp(sigma * rng.standard_normal()))
