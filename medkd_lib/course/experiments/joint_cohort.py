"""Lesson 06: the material of a joint run: a small target, its sources, and whole other sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from medkd_lib.data.apart import LeakageError, check_apart
from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.stack import rows_by_case


@dataclass(frozen=True)
class JointCohort:
    """Sections of several sets, each patient in one place.

    All show ``image`` on [-1, 1], and masks of 0 and 1, of one size in pixels; patients are named
    ``dataset:patient``.

    Attributes:
        target: id of the set that the student is for.
        sources: ids of the others that somebody trains on.
        train: dataset → training sections, the target's first.
        more: further labelled patients of the target, about as many sections as all sources
            together have, as far as there are any: what other data would have to beat.
        val: of the target, whole patients.
        test: likewise; nobody trains on them.
        external: whole sets that nobody trains on or chooses by.
        split: hash of who is where.
    """

    target: str
    sources: tuple[str, ...]
    train: Mapping[str, Sections]
    more: Sections
    val: Sections
    test: Sections
    external: Mapping[str, Sections]
    split: str

    def __post_init__(self) -> None:
        """Refuse a patient on two sides, under one name or under two.

        Raises:
            LeakageError: names the patient, or the two sets whose manifests declare an overlap.
            ValueError: a set twice, training sections of other sets than were named, parts of
                different sizes, or test sections that do not stack to volumes.
        """
        named = [self.target, *self.sources, *self.external]
        if len(set(named)) < len(named):
            raise ValueError(f"datasets: expected each once, found {named}; name other sources")
        if list(self.train) != named[: 1 + len(self.sources)]:
            raise ValueError(
                f"train: expected sections of {named[: 1 + len(self.sources)]} in this order, "
                f"found {list(self.train)}"
            )
        check_apart(named)
        sides = self.parts
        people = {name: set(sections.patients) for name, sections in sides.items()}
        for a, b in combinations(people, 2):
            if shared := sorted(people[a] & people[b]):
                raise LeakageError(
                    f"patient {shared[0]} is in {a!r} and in {b!r}; split by patient, not by image"
                )
        sizes = {name: tuple(s.masks.shape[1:]) for name, s in sides.items() if len(s)}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"sections: expected one size in pixels, found {sizes}; cut them alike"
            )
        for sections in (self.val, self.test, *self.external.values()):
            rows_by_case(sections.ids)

    @property
    def parts(self) -> Mapping[str, Sections]:
        """All parts by name: ``train ID``, ``more``, ``val``, ``test``, ``external ID``."""
        return {
            **{f"train {name}": sections for name, sections in self.train.items()},
            "more": self.more,
            "val": self.val,
            "test": self.test,
            **{f"external {name}": sections for name, sections in self.external.items()},
        }

    @property
    def fingerprint(self) -> str:
        """Everything that a training depends on."""
        return key_of(
            split=self.split, parts={n: sections.fingerprint for n, sections in self.parts.items()}
        )
