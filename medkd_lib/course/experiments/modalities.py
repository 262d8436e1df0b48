"""Patients of a student's modality, others of a teacher's, and nobody on two sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medkd_lib.data.apart import LeakageError
from medkd_lib.data.batches import numbered
from medkd_lib.data.case import Case
from medkd_lib.data.sections import Sections
from medkd_lib.data.split import Split, split_by_patient
from medkd_lib.data.unpaired import Drawn

# Who is kept for testing, and who is used to choose; the rest trains.
TEST_SHARE, VAL_SHARE, MORE_SHARE = 0.35, 0.12, 0.5


@dataclass(frozen=True)
class Modalities:
    """The material of one CMEDL run.

    Attributes:
        student: the student's modality, such as ``ct``.
        teacher: the teacher's, such as ``mr``.
        train: sections of the student's modality; with the teacher's, too, where somebody knows
            what the same patients look like there.
        more: further labelled patients, for the control with more labels.
        teaching: sections of the teacher's modality, of other patients.
        val: of the student's modality, whole patients.
        test: likewise; nobody trains on them.
        split: hash of the division.
        share: of training sections that show a tumour, see `Sections.with_share`; None: as they
            come.
        teaching_share: likewise, of the teacher's.
        mirrored: whether a mirror image could be a patient, too: a tumour may lie on either side,
            an organ does not.
    """

    student: str
    teacher: str
    train: Sections
    more: Sections
    teaching: Sections
    val: Sections
    test: Sections
    split: str
    share: float | None = 0.5
    teaching_share: float | None = 0.5
    mirrored: bool = True

    def __post_init__(self) -> None:
        """Refuse a patient on two sides.

        Raises:
            LeakageError: names one.
        """
        sides = {name: set(getattr(self, name).patients) for name in PARTS}
        for a, b in (("train", "test"), ("more", "test"), ("teaching", "test"), ("val", "test"),
                     ("train", "val"), ("more", "val"), ("teaching", "val"), ("train", "more"),
                     ("train", "teaching")):  # fmt: skip
            if shared := sorted(sides[a] & sides[b]):
                raise LeakageError(
                    f"patient {shared[0]} is in {a!r} and in {b!r}; split by patient, and draw "
                    "the teacher's patients from the others"
                )

    @property
    def paired(self) -> bool:
        """Whether the student's patients are known in the teacher's modality, too."""
        return self.teacher in self.train.images

    def sets(self) -> Mapping[str, Drawn]:
        """Return what batches are drawn from, under the names that `CMEDL` asks for."""
        train, more = (_shared(x, self.share) for x in (self.train, self.more))
        teaching = _shared(self.teaching, self.teaching_share)
        source: dict[str, Tensor] = {
            "source": train.images[self.student],
            "source_masks": train.masks,
            "source_patients": numbered(train.patients),
        }
        if self.paired:
            source["true"] = train.images[self.teacher]
        target = {"target": teaching.images[self.teacher], "target_masks": teaching.masks}
        found = {
            "source": Drawn(source, train.patients),
            "target": Drawn(target, teaching.patients),
        }
        if len(more):
            labels = {"more": more.images[self.student], "more_masks": more.masks}
            found["more"] = Drawn(labels, more.patients)
        return found

    @property
    def fingerprint(self) -> str:
        """Everything that a training depends on."""
        parts = [getattr(self, name).fingerprint for name in PARTS]
        shares = f"{self.share}/{self.teaching_share}"
        return "+".join([self.student, self.teacher, shares, *parts])


PARTS = ("train", "more", "teaching", "val", "test")


def _shared(sections: Sections, share: float | None) -> Sections:
    return sections if share is None or not len(sections) else sections.with_share(share)


def divide(
    source: Sections, dataset: str, seed: int, *, test: Sequence[str] | None = None
) -> tuple[Split, dict[str, Sections]]:
    """Return train, more, val and test by patient; without ``test``, a share drawn once.

    Args:
        source: sections of all patients of the student's modality.
        dataset: id of the set.
        seed: of everything but the test patients.
        test: the test patients, such as those of a fold.
    """
    names = sorted(set(source.patients))
    held = set(held_out(names, dataset) if test is None else test)
    cases = [Case(n, n, dataset, {}, split="test" if n in held else None) for n in names]
    rest = 1 - VAL_SHARE
    shares = {"train": rest * (1 - MORE_SHARE), "more": rest * MORE_SHARE, "val": VAL_SHARE}
    split = split_by_patient(cases, shares, seed)
    return split, {part: source.of(ids) for part, ids in split.parts.items()}


def held_out(patients: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Return who is kept for testing, a share drawn once: the same whatever the seed of a run."""
    cases = [Case(name, name, dataset, {}) for name in sorted(patients)]
    shares = {"rest": 1 - TEST_SHARE, "test": TEST_SHARE}
    return split_by_patient(cases, shares, seed=0).parts["test"]


def with_truth(sections: Sections, modality: str, truth: Sequence[Tensor]) -> Sections:
    """Return sections with the true image of another modality, case by case in their order.

    Args:
        sections: all sections of all cases, in the order of ``truth``.
        modality: what the true images show.
        truth: ``(K, H, W)`` of each case.

    Raises:
        ValueError: the numbers of sections differ.
    """
    stacked = torch.cat(list(truth))[:, None]
    if len(stacked) != len(sections):
        raise ValueError(
            f"with_truth: expected {len(sections)} true sections, found {len(stacked)}; take the "
            "grid, and all slices, of the sections"
        )
    return replace(sections, images={**sections.images, modality: stacked})
