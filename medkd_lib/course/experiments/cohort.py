"""Lessons 02 and 03: patients of one or several sets as labelled images, divided for one seed.

Test patients are the same for every seed (the official ones, or a third drawn once), so that all
recorded runs answer about the same images; training and validation patients are drawn anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from medkd_lib.data.augment import augment
from medkd_lib.data.case import Case
from medkd_lib.data.images import ImageSet, load_images
from medkd_lib.data.index import Index
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.slices import (
    TUMOUR_LEVELS,
    Rule,
    label_slices,
    pick,
    slice_images,
    tumour_level,
    tumour_present,
)
from medkd_lib.data.split import Split, split_by_patient
from medkd_lib.data.views import slice_augment
from medkd_lib.data.volumes import Volumes

LabelScheme = Literal["level", "present", "type"]
TEST_SHARE, VAL_SHARE = 1 / 3, 0.15
CHANNELS = ("t1n", "t1c", "t2w", "t2f")
# A label of a patient, not of a slice: which of the joined sets the patient comes from.
TUMOUR_TYPES: Mapping[str, str] = MappingProxyType(
    {"brats2023_gli": "glioma", "brats2023_men": "meningioma", "brats2023_met": "metastases"}
)
RULES: Mapping[LabelScheme, Rule] = MappingProxyType(
    {"level": tumour_level, "present": tumour_present, "type": tumour_present}
)


@dataclass(frozen=True)
class Sampling:
    """Which images of a patient, and at what size.

    Attributes:
        size: pixels of a side as the networks are given them; each brings them to its own size.
        slices: at most so many slices of a visit.
        field_mm: side of the square cut out of brain slices; 224 mm holds every brain.
    """

    size: int = 112
    slices: int = 8
    field_mm: float = 224.0


@dataclass(frozen=True)
class Cohort:
    """Images of the parts ``train``, ``val`` and ``test``, and what they are.

    Attributes:
        dataset: id, or ids joined by ``+``.
        class_names: one for each label.
        parts: part → images.
        split: case ids of each part, with its hash.
        background: value of what is no patient in an image, or None (films have no such value).
    """

    dataset: str
    class_names: tuple[str, ...]
    parts: Mapping[str, ImageSet]
    split: Split
    background: float | None

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.parts["train"].images.shape[1])

    def views(self, images: Tensor) -> Tensor:
        """Return an everyday random view of each image, float32; it changes no label."""
        # Slices are kept in half precision; a batch of them is not.
        plain = images.float()
        return augment(plain) if self.background is None else slice_augment(plain)

    def sizes_mm2(self, part: str) -> list[float]:
        """Return the tumour's area on each image of a part; empty where there are no masks."""
        images = self.parts[part]
        if images.masks is None:
            return []
        pixel = (Sampling.field_mm / images.masks.shape[-1]) ** 2
        return [float(n) * pixel for n in (images.masks > 0).flatten(1).sum(1)]


@dataclass(frozen=True)
class Source:
    """All images of one set, or of several, before anybody is divided.

    Attributes:
        dataset: id, or ids joined by ``+``.
        class_names: one for each label.
        cases: patients' cases; the label is there to balance the division.
        images: in the order of the cases; a case may have several.
        background: see `Cohort`.
    """

    dataset: str
    class_names: tuple[str, ...]
    cases: tuple[Case, ...]
    images: ImageSet
    background: float | None

    def divided(self, seed: int) -> Cohort:
        """Return the parts for one seed."""
        split = divide(self.cases, seed)
        of_case = [name.split("/k")[0] for name in self.images.ids]
        parts = {}
        for part, ids in split.parts.items():
            inside = set(ids)
            parts[part] = self.images.rows([i for i, c in enumerate(of_case) if c in inside])
        return Cohort(self.dataset, self.class_names, parts, split, self.background)


def divide(cases: Sequence[Case], seed: int) -> Split:
    """Return train, val and test by patient; the test patients do not depend on the seed."""
    if not any(c.split == "test" for c in cases):
        shares = {"rest": 1 - TEST_SHARE, "test": TEST_SHARE}
        held = set(split_by_patient(cases, shares, seed=0).parts["test"])
        cases = [replace(c, split="test" if c.id in held else c.split) for c in cases]
    return split_by_patient(cases, {"train": 1 - VAL_SHARE, "val": VAL_SHARE}, seed)


def open_source(
    indexes: Sequence[Index], sampling: Sampling, scheme: LabelScheme = "level"
) -> Source:
    """Read the images of one set of pictures, or of one or several BraTS sets.

    Args:
        indexes: one set of labelled pictures, or BraTS sets.
        sampling: sizes.
        scheme: what a slice's label is; pictures bring their own labels.

    Raises:
        ValueError: several sets without ``type``, or ``type`` without several.
    """
    manifest = indexes[0].manifest
    if manifest.layout and "image" in manifest.layout.images:
        channels = 3 if "fundus" in manifest.modality else 1
        images = load_images(indexes[0].cases, sampling.size, channels=channels)
        names = manifest.labels.names if manifest.labels else []
        return Source(manifest.id, tuple(names), tuple(indexes[0].cases), images, None)
    if (scheme == "type") != (len(indexes) > 1):
        raise ValueError(
            f"label scheme 'type' needs several sets, the others one; found {scheme!r} with "
            f"{[i.manifest.id for i in indexes]}"
        )
    cases = tuple(
        replace(c, label=number if scheme == "type" else None)
        for number, found in enumerate(indexes)
        for c in found.cases
    )
    sets = [_labelled(found, sampling, scheme, number) for number, found in enumerate(indexes)]
    names_of: dict[LabelScheme, tuple[str, ...]] = {
        "level": TUMOUR_LEVELS,
        "present": ("no tumour", "tumour"),
        "type": tuple(TUMOUR_TYPES.get(i.manifest.id, i.manifest.id) for i in indexes),
    }
    dataset = "+".join(i.manifest.id for i in indexes)
    return Source(dataset, names_of[scheme], cases, joined(sets), background=0.0)


def _labelled(found: Index, sampling: Sampling, scheme: LabelScheme, number: int) -> ImageSet:
    """Return the chosen slices of one set, each patient's alike for every seed and every split."""
    step = sampling.field_mm / sampling.size
    recipe = Recipe(
        CHANNELS, "seg", intensity="zscore", spacing_mm=_spacing(found, step),
        shape=(sampling.size, sampling.size, round(155 / step)),
    )  # fmt: skip
    volumes = Volumes(found.manifest, found.cases, recipe)
    rows = label_slices(volumes, RULES[scheme])
    if scheme == "type":
        rows = [replace(r, label=number) for r in rows if r.label == 1]
    return slice_images(volumes, pick(rows, sampling.slices, seed=0))


def _spacing(found: Index, step: float) -> tuple[float, float, float] | None:
    """Return the voxel size to resample to, or None where the files already have it."""
    volume = read_case(found.cases[0], found.manifest, [CHANNELS[0]])[CHANNELS[0]]
    if np.allclose(volume.spacing_mm, step, rtol=0.01):
        return None
    return (step, step, step)


def joined(sets: Sequence[ImageSet]) -> ImageSet:
    """Return several image sets as one."""
    if len(sets) == 1:
        return sets[0]
    masks = [s.masks for s in sets if s.masks is not None]
    return ImageSet(
        torch.cat([s.images for s in sets]),
        torch.cat([s.labels for s in sets]),
        tuple(p for s in sets for p in s.patients),
        tuple(i for s in sets for i in s.ids),
        "+".join(s.fingerprint for s in sets),
        torch.cat(masks) if len(masks) == len(sets) else None,
    )
