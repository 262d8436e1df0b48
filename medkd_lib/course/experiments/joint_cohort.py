"""Lessons 06 and 07: the material of a joint run: a small target, its sources, whole other sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Generic, Protocol, Self, TypeVar

from medkd_lib.data.apart import LeakageError, check_apart
from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.stack import rows_by_case


class Part(Protocol):
    """Images of some patients with what is known of them, whatever the task."""

    @property
    def patients(self) -> Sequence[str]:
        """Of each image, named ``dataset:patient``."""

    @property
    def ids(self) -> Sequence[str]:
        """Of each image."""

    @property
    def fingerprint(self) -> str:
        """Of everything there is of them."""

    def __len__(self) -> int: ...

    def of(self, patients: Sequence[str]) -> Self:
        """Return the images of some patients."""


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class JointCohort(Generic[P]):
    """Images of several sets, each patient in one place.

    Attributes:
        target: id of the set that the student is for.
        sources: ids of the others that somebody trains on.
        train: dataset → training images, the target's first.
        more: further labelled patients of the target, about as many images as all sources
            together have, as far as there are any: what other data would have to beat.
        val: of the target, whole patients.
        test: likewise; nobody trains on them.
        external: whole sets that nobody trains on or chooses by.
        split: hash of who is where.
        cleaned: sets that share patients with others by their manifests, and how many of their
            patients were left out for looking like one of another set.
    """

    target: str
    sources: tuple[str, ...]
    train: Mapping[str, P]
    more: P
    val: P
    test: P
    external: Mapping[str, P]
    split: str
    cleaned: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a patient on two sides, under one name or under two.

        Raises:
            LeakageError: names the patient, or the two sets whose manifests declare an overlap.
            ValueError: a set twice, or training images of other sets than were named.
        """
        named = [self.target, *self.sources, *self.external]
        if len(set(named)) < len(named):
            raise ValueError(f"datasets: expected each once, found {named}; name other sources")
        if list(self.train) != named[: 1 + len(self.sources)]:
            raise ValueError(
                f"train: expected images of {named[: 1 + len(self.sources)]} in this order, "
                f"found {list(self.train)}"
            )
        check_apart(named, cleaned=self.cleaned)
        sides = self.parts
        people = {name: set(part.patients) for name, part in sides.items()}
        for a, b in combinations(people, 2):
            if shared := sorted(people[a] & people[b]):
                raise LeakageError(
                    f"patient {shared[0]} is in {a!r} and in {b!r}; split by patient, not by image"
                )

    @property
    def parts(self) -> Mapping[str, P]:
        """All parts by name: ``train ID``, ``more``, ``val``, ``test``, ``external ID``."""
        return {
            **{f"train {name}": part for name, part in self.train.items()},
            "more": self.more,
            "val": self.val,
            "test": self.test,
            **{f"external {name}": part for name, part in self.external.items()},
        }

    @property
    def fingerprint(self) -> str:
        """Everything that a training depends on."""
        return key_of(
            split=self.split, parts={n: part.fingerprint for n, part in self.parts.items()}
        )


@dataclass(frozen=True)
class SectionCohort(JointCohort[Sections]):
    """Sections that show ``image`` on [-1, 1], and masks of 0 and 1, of one size in pixels."""

    def __post_init__(self) -> None:
        """Refuse what `JointCohort` does, and sections that do not fit together.

        Raises:
            LeakageError: see `JointCohort`.
            ValueError: likewise; parts of different sizes, or test sections that do not stack to
                volumes.
        """
        super().__post_init__()
        sizes = {name: tuple(s.masks.shape[1:]) for name, s in self.parts.items() if len(s)}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"sections: expected one size in pixels, found {sizes}; cut them alike"
            )
        for sections in (self.val, self.test, *self.external.values()):
            rows_by_case(sections.ids)
