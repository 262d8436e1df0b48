"""What age and dementia do to a brain: ventricles and sulci widen, cortex and hippocampus thin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.opacities import Difficulty

SEVERITIES = (0.0, 1.0, 2.0, 3.0)
"""Places of CDR 0, 0.5, 1 and 2 on the scale of severity."""

VENTRICLES = (1.0, 1.3, 1.6, 1.9)
HIPPOCAMPUS = (1.0, 0.84, 0.72, 0.64)
CORTEX = (1.0, 0.97, 0.94, 0.91)
"""Factors on volume, volume and thickness at these severities. §5 (D) has the ventricles and the
cortex to CDR 1, and 0.88 and 0.78 for the hippocampus; see :data:`SPREAD` for why it is smaller
here. No table reaches CDR 2: the rows are carried on."""

SULCI = (0.0, 0.06, 0.12, 0.18)
"""What dementia adds to the width of sulci, on the scale of ``BrainPatient.atrophy`` (D)."""

SPREAD = (0.35, 0.03, 0.06, 0.25)
"""Spread between people of one age and grade: ventricles, hippocampus, cortex, sulci; log-normal,
the sulci's additive. §5 (D) has 20, 8 and 4 %: with those a small network on slices reached 0.88
(60 people to train), since ventricles alone told nearly all. Set here on baselines, so that what is
large in a picture says less and what is small in it, the hippocampus, more. Its drawn spread is
small because the bending of the frame adds to it: in images of 2 mm it is 7 % (130 people)."""

WITHIN_GRADE = 0.15
"""Spread of severity within a CDR above 0 (D)."""

YOUNG = 20.0
"""Age from which decline is counted, in years."""

LN_VENTRICLES_A_YEAR = 0.013
LN_HIPPOCAMPUS_A_YEAR = -0.0027
LN_CORTEX_A_YEAR = -0.0014
SULCI_YOUNG, SULCI_A_YEAR = 0.20, 0.009
"""Normal ageing, also at CDR 0 (D; together they cost some 0.3 % of the brain's tissue a year,
where 0.45 % was measured (§5 R); the slope below 60 is certainly not as straight)."""

YOUNG_RADIUS = 0.80
"""Factor on the ventricles' radius at :data:`YOUNG`: some 14 mL (D)."""

VENTRICLE_POWER, HIPPOCAMPUS_POWER = 1.94, 2.2
"""Power with which the phantom's volumes grow with the radius (measured on its grid)."""

YOUNG_CORTEX_MM = (3.25, 0.05)
"""Mean and spread of the cortex at :data:`YOUNG`, before the spread of decline (D)."""


@dataclass(frozen=True)
class Look:
    """How strongly dementia acts.

    Attributes:
        effect: factor on the logarithms (and on the added width) of the tables above.
        spread: factor on :data:`SPREAD`.
    """

    effect: float
    spread: float


LOOKS: Mapping[Difficulty, Look] = MappingProxyType(
    {
        "clear": Look(1.6, 0.7),
        "subtle": Look(1.0, 1.0),
        # as subtle; the label is drawn without regard to the brain
        "none": Look(1.0, 1.0),
    }
)


@dataclass(frozen=True)
class Decline:
    """What has become of a brain since it was young.

    Attributes:
        severity: of dementia, 0 for none; see :data:`SEVERITIES`.
        ventricles: factor on their volume.
        hippocampus: factor on its volume.
        cortex: factor on its thickness.
        sulci: their width, on the scale of ``BrainPatient.atrophy``.
    """

    severity: float
    ventricles: float
    hippocampus: float
    cortex: float
    sulci: float


def sample_severity(rng: np.random.Generator, grade: int) -> float:
    """Draw a severity of one of the grades 0 to 3 (CDR 0, 0.5, 1, 2); 0 without dementia."""
    spread = WITHIN_GRADE * float(np.clip(rng.standard_normal(), -2.0, 2.0))
    return SEVERITIES[grade] + spread if grade else 0.0


def sample_decline(
    rng: np.random.Generator, age: float, severity: float, difficulty: Difficulty
) -> Decline:
    r"""Draw the decline of one person.

    .. math:: \ln f = a\,(\text{age} - 20) + e\,\ln m(s) + \sigma z, \qquad z \sim N(0, 1)

    with m(s) interpolated between the grades. Age and dementia act through the same four things,
    so an old brain looks like a younger one with dementia.

    Args:
        rng: source of the four z.
        age: years.
        severity: s.
        difficulty: sets e and σ, see :data:`LOOKS`.
    """
    look = LOOKS[difficulty]
    years = age - YOUNG

    def at(row: tuple[float, ...]) -> float:
        return float(np.interp(severity, SEVERITIES, row))

    z = np.clip(rng.standard_normal(4), -2.5, 2.5) * np.array(SPREAD) * look.spread
    slopes = (LN_VENTRICLES_A_YEAR, LN_HIPPOCAMPUS_A_YEAR, LN_CORTEX_A_YEAR)
    ventricles, hippocampus, cortex = (
        # ln f = a (age − 20) + e ln m(s) + σ z
        float(np.exp(slope * years + look.effect * np.log(at(row)) + own))
        for slope, row, own in zip(slopes, (VENTRICLES, HIPPOCAMPUS, CORTEX), z, strict=False)
    )
    sulci = SULCI_YOUNG + SULCI_A_YEAR * years + look.effect * at(SULCI) + float(z[3])
    return Decline(severity, ventricles, hippocampus, cortex, max(sulci, 0.0))


def with_decline(brain: BrainPatient, decline: Decline, rng: np.random.Generator) -> BrainPatient:
    """Give a brain the decline of its owner.

    Args:
        brain: size, pose and folds stay; ventricles, sulci and cortex are replaced.
        decline: of the owner.
        rng: source of the cortex's thickness when young.
    """
    mean, spread = YOUNG_CORTEX_MM
    return replace(
        brain,
        ventricles=YOUNG_RADIUS * decline.ventricles ** (1.0 / VENTRICLE_POWER),
        hippocampus=decline.hippocampus ** (1.0 / HIPPOCAMPUS_POWER),
        cortex_mm=float(rng.normal(mean, spread)) * decline.cortex,
        atrophy=decline.sulci,
    )
