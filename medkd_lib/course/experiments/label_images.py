"""Lesson 07, classes: images of any set of `LABEL_SETS`, one channel, one size."""

import numpy as np
import torch
from torch import Tensor

from medkd_lib.course.experiments.label_sets import HeadSlices, LabelSet, label_set
from medkd_lib.course.experiments.lung_sections import framed
from medkd_lib.data.case import Case
from medkd_lib.data.images import ImageSet, load_images
from medkd_lib.data.index import Index
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import key_of
from medkd_lib.data.volumes import Volumes

# Of a prepared brain; what is not brain is 0.
BRAIN = 0.02


def label_images(found: Index, size: int) -> ImageSet:
    """Return the images of all labelled cases, with the classes that the table asks for.

    Patients and ids begin with the dataset's name: the number of a patient means somebody else in
    another set.

    Args:
        found: a set of the table, real or a twin.
        size: pixels of a side.

    Raises:
        ValueError: a set that the table does not know, or no labelled case.
    """
    chosen = label_set(found.manifest.id)
    cases = [c for c in found.cases if c.label is not None and chosen.image in c.images]
    if not cases:
        raise ValueError(
            f"{chosen.dataset}: expected labelled cases with {chosen.image!r}, found none among "
            f"{len(found.cases)} in {found.root}; look at `medkd data check {chosen.dataset}`"
        )
    plain = _slices(found, cases, chosen, chosen.slices, size) if chosen.slices else (
        load_images(cases, size)
    )  # fmt: skip
    labels = plain.labels
    if chosen.classes:
        labels = torch.tensor([chosen.classes[int(x)] for x in labels])
    return ImageSet(
        plain.images,
        labels,
        tuple(f"{chosen.dataset}:{p}" for p in plain.patients),
        tuple(f"{chosen.dataset}:{i}" for i in plain.ids),
        key_of(of=plain.fingerprint, labels=labels.tolist(), dataset=chosen.dataset),
    )


def _slices(
    found: Index, cases: list[Case], chosen: LabelSet, which: HeadSlices, size: int
) -> ImageSet:
    """Return some axial slices of every volume, the label of its patient on each."""
    spacing = (which.pixel_mm, which.pixel_mm, which.slice_mm)
    recipe = Recipe((chosen.image,), spacing_mm=spacing, intensity=("unit",))
    volumes = Volumes(found.manifest, cases, recipe)
    images: list[Tensor] = []
    owners: list[tuple[Case, int]] = []
    for number, case in enumerate(cases):
        volume = volumes[number].image[0].float()
        wanted = middle_slices(volume, which)
        # [0, 1] → [-1, 1]
        images.append(framed(2 * volume - 1, -1.0, (size, size))[wanted, None].half())
        owners += [(case, k) for k in wanted]
    return ImageSet(
        torch.cat(images),
        torch.tensor([_label(case) for case, _ in owners]),
        tuple(case.patient for case, _ in owners),
        tuple(f"{case.id}/k{k:03d}" for case, k in owners),
        key_of(volumes=[volumes.key(c) for c in cases], owners=[k for _, k in owners], size=size),
    )


def middle_slices(volume: Tensor, which: HeadSlices) -> list[int]:
    """Return the numbers of the slices of a brain that are shown, from below.

    Args:
        volume: ``(I, J, K)`` on [0, 1], in LPS.
        which: shares of the brain's height.
    """
    there = np.flatnonzero((volume > BRAIN).flatten(0, 1).any(dim=0).numpy())
    if not len(there):
        raise ValueError("volume: expected a brain, found nothing but background")
    low, high = (there[0] + share * (there[-1] - there[0]) for share in (which.low, which.high))
    return list(range(round(low), round(high) + 1))


def _label(case: Case) -> int:
    assert case.label is not None  # those without were left out
    return case.label
