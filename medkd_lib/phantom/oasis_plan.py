"""Who is in the twins of OASIS-1: grade, age, sex, scans and sessions of each person.

Everything here follows from (seed, index) alone, so adding people at the end changes no earlier
one, and the volumes and the slices of one seed show the same people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.opacities import Difficulty

CDR = ("0", "0.5", "1", "2")
"""The grades as the table writes them; an index into this is a label id."""

COUNTS = (316, 70, 28, 2)
"""People per grade, of 416 (the usual counts, which take a blank CDR as 0)."""

PEOPLE, DEMENTED = sum(COUNTS), sum(COUNTS[1:])

MODERATE_PLACES = (5, 17)
"""Which of the demented have CDR 2 (D: early, so that a quarter of the set has both of them)."""

BLOCK = 8
"""People are shuffled in blocks of so many."""

YOUNG_SHARE = 0.5
"""Share of people below 60 among those with CDR 0 (D; the release has more, as recalled)."""

YOUNG_AGES = (18, 59)
OLD_AGE, OLD_SPREAD, OLD_AGES = 76.0, 8.0, (60, 96)
"""Range of the young; mean, spread and range of the others, the same at every grade (D)."""

MALE_SHARE = 0.4
"""Of all people (D)."""

SECOND_SESSIONS = 16
"""One of so many people with CDR 0 came back within 90 days (D: 20 of 316 did, as recalled)."""

LABEL_STREAM, DRAWN_STREAM, PERSON_STREAM = 1, 2, 3


@dataclass(frozen=True)
class OasisPlan:
    """One person of the set.

    Attributes:
        index: 0-based.
        grade: label, an index into :data:`CDR`.
        drawn: grade that the brain is drawn for; differs from ``grade`` only in ``none``.
        age: years.
        male: whether.
        scans: acquisitions in a session, 3 or 4.
        delay_days: time to a second session; 0 without one.
    """

    index: int
    grade: int
    drawn: int
    age: int
    male: bool
    scans: int
    delay_days: int

    @property
    def patient(self) -> str:
        """Name of the person, ``OAS1_0001`` upwards."""
        return f"OAS1_{self.index + 1:04d}"

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions: ``…_MR1``, and ``…_MR2`` of those who came back."""
        return tuple(f"{self.patient}_MR{n + 1}" for n in range(1 + bool(self.delay_days)))


def grade_of(rank: int) -> int:
    r"""Grade of the person at a place of the unshuffled set, by even steps.

    A place is demented where :math:`\lfloor 100 (r+1)/416 \rfloor > \lfloor 100 r/416 \rfloor`;
    in the same way 28 of every 98 demented have CDR 1. Every 416 places have :data:`COUNTS`.
    """
    before, after = ((rank + n) * DEMENTED // PEOPLE for n in (0, 1))
    if after == before:
        return 0
    place = before % DEMENTED
    if place in MODERATE_PLACES:
        return 3
    milder = place - sum(p < place for p in MODERATE_PLACES)
    of = COUNTS[1] + COUNTS[2]
    return 2 if (milder + 1) * COUNTS[2] // of > milder * COUNTS[2] // of else 1


def plan_person(index: int, *, seed: int, difficulty: Difficulty) -> OasisPlan:
    """Decide who one person is.

    In ``none`` the brain's grade is drawn from a stream of its own with the shares of
    :data:`COUNTS`, and the age goes with the brain: neither tells the label.

    Args:
        index: 0-based.
        seed: of the set.
        difficulty: of the set.
    """

    def stream(kind: int, key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, kind)))

    block, place = divmod(index, BLOCK)
    rank = BLOCK * block + int(stream(LABEL_STREAM, block).permutation(BLOCK)[place])
    grade = drawn = grade_of(rank)
    if difficulty == "none":
        shares = np.array(COUNTS) / PEOPLE
        drawn = int(stream(DRAWN_STREAM, index).choice(len(CDR), p=shares))
    rng = stream(PERSON_STREAM, index)
    young = bool(rng.random() < YOUNG_SHARE) and drawn == 0
    ages = (
        float(rng.integers(YOUNG_AGES[0], YOUNG_AGES[1], endpoint=True)),
        float(np.clip(np.rint(rng.normal(OLD_AGE, OLD_SPREAD)), *OLD_AGES)),
    )
    male = bool(rng.random() < MALE_SHARE)
    scans = int(rng.integers(3, 4, endpoint=True))
    delay = int(rng.integers(1, 90, endpoint=True))
    # every sixteenth healthy place, counted before anybody is shuffled
    healthy = rank - (rank * DEMENTED // PEOPLE)
    back = grade == 0 and healthy % SECOND_SESSIONS == 1
    return OasisPlan(
        index, grade, drawn, int(ages[0] if young else ages[1]), male, scans, delay if back else 0
    )
