"""What a chest film of the COVID collages can show: four diagnoses, drawn as opacities.

The lobar and the viral pneumonia are those of :mod:`medkd_lib.phantom.opacities` with ranges of
their own; COVID-19 is new here. What is read about COVID-19 on films (§4 of the tissue dossier, R):
abnormal in 36–48 %, ground glass in 51–81 %, consolidation in 26–51 %, lower zones in 90–94 %,
multifocal and on both sides in 43–63 %, central and peripheral together more often than peripheral
alone. Ours (D): every volume, fill and number, and that far fewer than half of the films are
normal: an oracle could not reach 0.90 otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from medkd_lib.phantom.opacities import (
    BACTERIAL_LOBES,
    LOBES,
    OCCULT_SHARE,
    VIRAL_LOBES,
    Difficulty,
    Finding,
    Infection,
    Lobe,
)

FilmDiagnosis = Literal["normal", "opacity", "viral", "covid"]
DIAGNOSES: tuple[FilmDiagnosis, ...] = get_args(FilmDiagnosis)

# Lower zones in more than nine of ten patients with several patches (R); the weights are D.
COVID_LOBES: Mapping[Lobe, float] = MappingProxyType(
    {"RLL": 0.38, "LLL": 0.38, "RUL": 0.08, "RML": 0.08, "LUL": 0.08}
)
BOTH_SIDES = 0.6
"""COVID patients with patches on both sides: the upper end of 43–63 % (R)."""

CONSOLIDATED = 0.35
"""COVID patients with a consolidation among their patches: within 26–51 % (R)."""

PERIPHERAL = 0.7
"""COVID patches that lie under the chest wall (D; on CT 82–90 % of patients have some)."""

RIM = 0.18
"""The outer share of a lobe's voxels, counted from the side, that is called peripheral."""


@dataclass(frozen=True)
class FilmPrior:
    """Ranges that make a difficulty (D, fixed on baselines alone; see the writers' tables).

    Attributes:
        lobar_ml: median volume of the lobar consolidation; its lobe cuts it.
        lobar_fill: (low, high) share of its air that is gone.
        viral_ml: median volume of one patch of a viral pneumonia.
        viral_fill: its fill.
        viral_patches: (fewest, most).
        cuffing: viral factor on vessel calibre, (low, high).
        interstitial: viral net, mean share of air lost, (low, high).
        covid_ml: median volume of one COVID patch.
        covid_fill: its fill; 0.17…0.43 is the dossier's ground glass of −700…−460 HU.
        covid_patches: (fewest, most).
        spread: standard deviation of log volume.
    """

    lobar_ml: float
    lobar_fill: tuple[float, float]
    viral_ml: float
    viral_fill: tuple[float, float]
    viral_patches: tuple[int, int]
    cuffing: tuple[float, float]
    interstitial: tuple[float, float]
    covid_ml: float
    covid_fill: tuple[float, float]
    covid_patches: tuple[int, int]
    spread: float


FILM_PRIORS: Mapping[str, FilmPrior] = MappingProxyType(
    {
        "clear": FilmPrior(
            lobar_ml=2200.0,
            lobar_fill=(0.92, 1.0),
            viral_ml=90.0,
            viral_fill=(0.30, 0.50),
            viral_patches=(4, 8),
            cuffing=(1.4, 1.8),
            interstitial=(0.26, 0.40),
            covid_ml=520.0,
            covid_fill=(0.55, 0.85),
            covid_patches=(5, 9),
            spread=0.25,
        ),
        "subtle": FilmPrior(
            lobar_ml=1700.0,
            lobar_fill=(0.88, 1.0),
            viral_ml=80.0,
            viral_fill=(0.25, 0.45),
            viral_patches=(4, 8),
            cuffing=(1.2, 1.6),
            interstitial=(0.20, 0.34),
            covid_ml=420.0,
            covid_fill=(0.40, 0.70),
            covid_patches=(4, 8),
            spread=0.35,
        ),
    }
)


def sample_infection(
    rng: np.random.Generator, diagnosis: FilmDiagnosis, difficulty: Difficulty
) -> Infection:
    """Draw the opacities of one person.

    Shared by all diagnoses: a trace of interstitial net, and a plate of atelectasis in one person
    of four. One infection in 25 leaves no trace. ``none`` draws as ``subtle`` does; there the
    *label* knows nothing of the diagnosis.

    Args:
        rng: source of randomness.
        diagnosis: what the person has.
        difficulty: how plain it is.

    Raises:
        ValueError: for an unknown diagnosis or difficulty.
    """
    for name, value, known in (
        ("diagnosis", diagnosis, DIAGNOSES),
        ("difficulty", difficulty, get_args(Difficulty)),
    ):
        if value not in known:
            raise ValueError(f"{name}: expected one of {known}, found {value!r}; check spelling")
    prior = FILM_PRIORS["subtle" if difficulty == "none" else difficulty]
    interstitial, cuffing = float(abs(rng.normal(0.0, 0.012))), 1.0
    findings: list[Finding] = []
    shows = rng.random() >= OCCULT_SHARE
    if diagnosis == "opacity" and shows:
        volume = _lognormal(rng, prior.lobar_ml, prior.spread)
        lobe = _draw_lobe(rng, BACTERIAL_LOBES)
        fill = rng.uniform(*prior.lobar_fill)
        findings.append(_finding(rng, "consolidation", lobe, rng.random(), volume, fill, 0.3))
    elif diagnosis == "viral" and shows:
        interstitial += rng.uniform(*prior.interstitial)
        cuffing = rng.uniform(*prior.cuffing)
        for lobe in _lobes(rng, VIRAL_LOBES, prior.viral_patches, both=True):
            volume = _lognormal(rng, prior.viral_ml, prior.spread)
            fill = rng.uniform(*prior.viral_fill)
            findings.append(_finding(rng, "ground_glass", lobe, rng.random(), volume, fill, 0.6))
    elif diagnosis == "covid" and shows:
        findings += _covid_patches(rng, prior)
    if rng.random() < 0.25:
        base: Lobe = "RLL" if rng.random() < 0.5 else "LLL"
        volume, fill = _lognormal(rng, 12.0, 0.5), rng.uniform(0.4, 0.9)
        findings.append(
            _finding(rng, "atelectasis", base, rng.random(), volume, fill, 0.4, flatness=0.2)
        )
    return Infection(tuple(findings), cuffing, interstitial)


def is_peripheral(finding: Finding) -> bool:
    """Whether the middle of a finding lies in the outer rim of its lobe."""
    from_the_side = finding.position if finding.side == "right" else 1.0 - finding.position
    return from_the_side <= RIM


def _covid_patches(rng: np.random.Generator, prior: FilmPrior) -> list[Finding]:
    """Patches of ground glass, most of them under the wall of the chest, some consolidated."""
    consolidated = rng.random() < CONSOLIDATED
    patches = []
    both = rng.random() < BOTH_SIDES
    for number, lobe in enumerate(_lobes(rng, COVID_LOBES, prior.covid_patches, both=both)):
        depth = rng.random() * (RIM if rng.random() < PERIPHERAL else 1.0)
        # voxels are counted from the patient's right: the right lung's rim comes first
        place = depth if lobe[0] == "R" else 1.0 - 1e-6 - depth
        volume = _lognormal(rng, prior.covid_ml, prior.spread)
        fill = rng.uniform(*prior.covid_fill)
        if consolidated and number == 0:
            patches.append(_finding(rng, "consolidation", lobe, place, volume, 0.9, 0.5))
        else:
            patches.append(_finding(rng, "ground_glass", lobe, place, volume, fill, 0.5))
    return patches


def _lobes(
    rng: np.random.Generator, weights: Mapping[Lobe, float], number: tuple[int, int], *, both: bool
) -> list[Lobe]:
    """Draw the lobe of each patch; ``both`` sides have one at least, or one side has all."""
    lobes = [_draw_lobe(rng, weights) for _ in range(int(rng.integers(number[0], number[1] + 1)))]
    side = lobes[0][0]
    other: dict[Lobe, Lobe] = {"RUL": "LUL", "RML": "LUL", "RLL": "LLL", "LUL": "RUL", "LLL": "RLL"}
    if both and len({lobe[0] for lobe in lobes}) == 1:
        lobes[-1] = other[lobes[-1]]
    if not both:
        lobes = [lobe if lobe[0] == side else other[lobe] for lobe in lobes]
    return lobes


def _finding(
    rng: np.random.Generator,
    kind: Literal["consolidation", "ground_glass", "atelectasis"],
    lobe: Lobe,
    position: float,
    volume_ml: float,
    fill: float,
    edge: float,
    flatness: float = 1.0,
) -> Finding:
    seed = int(rng.integers(2**31))
    return Finding(kind, lobe, float(position), volume_ml, float(fill), edge, flatness, seed)


def _draw_lobe(rng: np.random.Generator, weights: Mapping[Lobe, float]) -> Lobe:
    return LOBES[int(rng.choice(len(LOBES), p=[weights[lobe] for lobe in LOBES]))]


def _lognormal(rng: np.random.Generator, median: float, sigma: float) -> float:
    return float(median * np.exp(sigma * rng.standard_normal()))
