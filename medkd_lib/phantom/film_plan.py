"""Who stands on which film of a collage: label, source, person, and which film is a copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medkd_lib.phantom.film_copies import COPY_KINDS, CopyKind
from medkd_lib.phantom.film_disease import FilmDiagnosis
from medkd_lib.phantom.film_parts import Part
from medkd_lib.phantom.opacities import Difficulty

OWN_PEOPLE = 1_000_000
"""People that a set shares with no other begin here, a million for each set."""


@dataclass(frozen=True)
class FilmPlan:
    """One file of a set.

    Attributes:
        number: 0-based place in the set.
        label: class it is filed under.
        source: upstream.
        by_class: whether the source was drawn by the class (or apart from it).
        diagnosis: what the film shows.
        member: which of the source's people with that diagnosis.
        take: which film of that person.
        split: side of the official split, empty without one.
        copy_of: number of the film that this one repeats.
        copy_kind: what happened to it on the way.
    """

    number: int
    label: str
    source: str
    by_class: bool
    diagnosis: FilmDiagnosis
    member: int
    take: int
    split: str = ""
    copy_of: int | None = None
    copy_kind: CopyKind | None = None

    @property
    def person(self) -> str:
        """Whose film it is, alike in every set made with one seed."""
        return f"{self.source}-{self.diagnosis}-{self.member}"


@dataclass
class Deck:
    r"""Draws source, diagnosis and person for a label.

    .. math:: P(s \mid c) = \gamma\,P_\text{read}(s \mid c) + (1 - \gamma)\,P_\text{read}(s)

    with :math:`\gamma` the shortcut: at 1 the class tells the source as it does in the real set,
    at 0 nothing does. What is drawn apart from the class shows what its label says all the same
    (but for difficulty ``none``, where the diagnosis is drawn from the whole set).

    Attributes:
        parts: of the set.
        shortcut: γ.
        difficulty: of the set.
        set_number: keeps a set's own people apart from those of the others.
        met: how many people were taken so far, by source and diagnosis; two decks of one set
            share it, so that nobody is dealt twice.
    """

    parts: Sequence[Part]
    shortcut: float
    difficulty: Difficulty
    set_number: int
    met: Counter[tuple[str, str]] = field(default_factory=Counter)

    def draw(self, label: str, rng: np.random.Generator) -> tuple[str, bool, FilmDiagnosis, int]:
        """Return source, whether the class chose it, diagnosis, and the next person of both."""
        of_label = [part for part in self.parts if part.label == label]
        by_class = bool(rng.random() < self.shortcut)
        chosen = _drawn(of_label, rng)
        elsewhere = _drawn(self.parts, rng)
        # at `none`, what a film shows has a draw of its own
        anything = _drawn(self.parts, rng)
        source = chosen.source if by_class else elsewhere.source
        part = anything if self.difficulty == "none" else chosen
        key = (source, part.diagnosis)
        place = self.met[key]
        self.met[key] += 1
        every = self._shared(source)
        if place % every == 0:
            return source, by_class, part.diagnosis, place // every
        return source, by_class, part.diagnosis, OWN_PEOPLE * (self.set_number + 1) + place

    def _shared(self, source: str) -> int:
        return next(part.shared for part in self.parts if part.source == source)


def label_by_quota(shares: Mapping[str, float], so_far: Mapping[str, int]) -> str:
    r"""Return the label that is furthest behind its share, :math:`(n + 1) p_c - n_c`."""
    total = sum(shares.values())
    count = sum(so_far.values()) + 1
    return max(shares, key=lambda label: count * shares[label] / total - so_far.get(label, 0))


def drawn_copy(
    earlier: Sequence[FilmPlan], plan_number: int, split: str, rng: np.random.Generator
) -> FilmPlan:
    """Return a file that repeats one of the earlier films, under a name and place of its own."""
    original = earlier[int(rng.integers(len(earlier)))]
    kind = COPY_KINDS[int(rng.integers(len(COPY_KINDS)))]
    return FilmPlan(
        plan_number, original.label, original.source, original.by_class, original.diagnosis,
        original.member, original.take, split, original.number, kind,
    )  # fmt: skip


def plan_films(
    parts: Sequence[Part],
    films: int,
    *,
    seed: int,
    set_number: int,
    shortcut: float,
    difficulty: Difficulty,
    copies: float,
    again: float,
    splits: Mapping[str, float],
) -> list[FilmPlan]:
    """Plan a set that knows no patients: a number of files, and who is on them.

    Classes come in the set's own shares (by quota, so that every beginning has them), copies and
    further films of a person by chance. Each file has a random stream of its own: more files leave
    the earlier ones as they are.

    Args:
        parts: what the set is made of.
        films: number of files.
        seed: of the set.
        set_number: of the set.
        shortcut: how far the class chooses the source, 0 to 1.
        difficulty: of the set.
        copies: share of files that are near-duplicates of an earlier one of their class.
        again: share of files that are another film of the last person of their class.
        splits: folder → share; drawn film by film.
    """
    deck = Deck(parts, shortcut, difficulty, set_number)
    shares: dict[str, float] = {}
    for part in parts:
        shares[part.label] = shares.get(part.label, 0.0) + part.films
    plans: list[FilmPlan] = []
    originals: dict[str, list[FilmPlan]] = {label: [] for label in shares}
    so_far: Counter[str] = Counter()
    takes: Counter[str] = Counter()
    for number in range(films):
        label = label_by_quota(shares, so_far)
        so_far[label] += 1
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(set_number, number)))
        split = _split(splits, rng)
        happens = rng.random()
        before = originals[label]
        if before and happens < copies:
            plans.append(drawn_copy(before, number, split, rng))
            continue
        if before and happens < copies + again:
            last = before[-1]
            takes[last.person] += 1
            plan = FilmPlan(
                number, label, last.source, last.by_class, last.diagnosis, last.member,
                takes[last.person], split,
            )  # fmt: skip
        else:
            source, by_class, diagnosis, member = deck.draw(label, rng)
            plan = FilmPlan(number, label, source, by_class, diagnosis, member, 0, split)
        before.append(plan)
        plans.append(plan)
    return plans


def _drawn(parts: Sequence[Part], rng: np.random.Generator) -> Part:
    weights = np.array([part.films for part in parts])
    return parts[int(rng.choice(len(parts), p=weights / weights.sum()))]


def _split(splits: Mapping[str, float], rng: np.random.Generator) -> str:
    names, value = list(splits), rng.random()
    if not names:
        return ""
    edges = np.cumsum([splits[name] for name in names])
    return names[min(int(np.searchsorted(edges, value, side="right")), len(names) - 1)]
