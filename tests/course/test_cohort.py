"""Cohorts of lessons 02 and 03: patients apart, the same test for all seeds, honest controls."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medkd_lib.course.experiments.cohort import Sampling, Source, open_source
from medkd_lib.course.experiments.input_controls import shown
from medkd_lib.data.augment import augment
from medkd_lib.data.images import ImageSet
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.views import slice_augment
from medkd_lib.phantom.twin import make_twin

SAMPLING = Sampling(slices=3)


def glioma(root: Path, patients: int = 9) -> Index:
    manifest = load_manifest("brats2023_gli")
    make_twin(manifest, root, patients=patients, difficulty="clear", seed=0)
    return index(manifest, root)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return glioma(tmp_path_factory.mktemp("twins") / "gli")


@pytest.fixture(scope="module")
def source(found: Index) -> Source:
    return open_source([found], SAMPLING)


def test_slices_come_labelled_and_sized(source: Source) -> None:
    images = source.images
    assert source.class_names == ("none", "oedema only", "core")
    assert images.images.shape[1:] == (4, 112, 112) and images.masks is not None
    assert source.background == 0.0
    core = ((images.masks == 1) | (images.masks == 3)).flatten(1).any(1)
    assert torch.equal(core, images.labels == 2)
    per_case = np.unique([name.split("/k")[0] for name in images.ids], return_counts=True)[1]
    assert per_case.max() <= 3


def test_test_patients_are_the_same_for_every_seed_and_nobody_is_twice(source: Source) -> None:
    one, other = source.divided(1), source.divided(2)
    assert one.parts["test"].ids == other.parts["test"].ids
    assert one.parts["train"].ids != other.parts["train"].ids
    for cohort in (one, other):
        patients = {part: set(images.patients) for part, images in cohort.parts.items()}
        assert set(patients) == {"train", "val", "test"}
        assert not patients["train"] & patients["test"] and not patients["val"] & patients["test"]
        assert not patients["train"] & patients["val"]
        assert sum(len(p) for p in cohort.parts.values()) == len(source.images)


def test_a_tumours_size_is_its_area(source: Source) -> None:
    cohort = source.divided(0)
    masks = cohort.parts["test"].masks
    assert masks is not None
    expected = (masks > 0).sum(dim=(1, 2)).double() * 4.0
    assert cohort.sizes_mm2("test") == pytest.approx(expected.tolist())
    shows = cohort.parts["test"].labels > 0
    assert [size > 0 for size in cohort.sizes_mm2("test")] == shows.tolist()


def test_each_kind_of_image_has_its_views(source: Source) -> None:
    images = source.images.images[:4]
    slices = source.divided(0)
    films = Source("cxr3", ("a", "b"), source.cases, source.images, background=None).divided(0)
    for cohort, library in ((slices, slice_augment), (films, augment)):
        torch.manual_seed(0)
        mine = cohort.views(images)
        torch.manual_seed(0)
        assert mine.dtype == torch.float32 and torch.equal(mine, library(images.float()))
    assert films.channels == 4


def test_controls_show_what_they_say(source: Source) -> None:
    images = source.images
    assert images.masks is not None
    assert shown(images, "images", 0.0) is images
    outline = shown(images, "outline", 0.0)
    assert set(outline.images.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(outline.images[:, 0] > 0, (images.images != 0).any(1))
    healed = shown(images, "no_tumour", 0.0)
    hole = shown(images, "hole", 0.0)
    assert hole.masks is not None
    assert torch.equal(hole.images.bool(), (hole.masks > 0)[:, None].expand_as(hole.images))
    inside = (images.masks > 0)[:, None].expand_as(images.images)
    assert not healed.images[inside].any() and torch.equal(
        healed.images[~inside], images.images[~inside]
    )
    truth = shown(images, "truth", 0.0)
    assert torch.equal(truth.images.argmax(1), images.masks.long())
    keys = {x.fingerprint for x in (images, outline, healed, hole, truth)}
    assert len(keys) == 5, "each control trains anew"


def test_what_cannot_be_shown_is_refused(source: Source) -> None:
    with pytest.raises(ValueError, match=r"outline.*films"):
        shown(source.images, "outline", None)
    bare = ImageSet(*(getattr(source.images, n) for n in
                      ("images", "labels", "patients", "ids", "fingerprint")))  # fmt: skip
    with pytest.raises(ValueError, match="masks"):
        shown(bare, "truth", 0.0)


def test_types_join_sets_and_are_balanced_by_patient(found: Index, tmp_path: Path) -> None:
    manifest = load_manifest("brats2023_men")
    make_twin(manifest, tmp_path / "men", patients=9, difficulty="clear", seed=0)
    both = open_source([found, index(manifest, tmp_path / "men")], SAMPLING, "type")
    assert both.class_names == ("glioma", "meningioma")
    assert both.dataset == "brats2023_gli+brats2023_men"
    kinds = {
        name.split("-")[1]: int(y)
        for name, y in zip(both.images.ids, both.images.labels, strict=True)
    }
    assert kinds == {"GLI": 0, "MEN": 1}
    assert both.images.masks is not None and (both.images.masks > 0).flatten(1).any(1).all()
    cohort = both.divided(0)
    assert all(set(p.labels.tolist()) == {0, 1} for p in cohort.parts.values())
    for wrong, scheme in (([found], "type"), ([found, found], "level")):
        with pytest.raises(ValueError, match="several sets"):
            open_source(wrong, SAMPLING, scheme)  # type: ignore[arg-type]
