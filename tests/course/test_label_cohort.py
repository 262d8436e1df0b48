"""Lesson 07, classes: who is where, whom cleaning finds, and what of a brain is shown."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medkd_lib.course.experiments.label_cohort import (
    label_cohort,
    with_groups,
)
from medkd_lib.course.experiments.label_images import label_images, middle_slices
from medkd_lib.course.experiments.label_sets import LABEL_SETS, HeadSlices, label_set
from medkd_lib.course.experiments.look_alike_patients import without_look_alikes
from medkd_lib.course.experiments.target_division import divided
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.images import ImageSet
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.covid_radiography import write_covid_radiography
from medkd_lib.phantom.covidx_cxr3 import write_covidx_cxr3
from medkd_lib.phantom.oasis import write_oasis1
from tests.course.label_toys import label_toys


@pytest.mark.parametrize("name", list(LABEL_SETS))
def test_every_set_is_one_whose_manifest_knows_these_classes(name: str) -> None:
    chosen, manifest = LABEL_SETS[name], load_manifest(name)
    assert manifest.labels is not None
    ids = [value.id for value in manifest.labels.values]
    given = chosen.classes or {label: label for label in ids}
    assert sorted(given) == ids
    assert sorted(set(given.values())) == list(range(len(chosen.names)))
    with pytest.raises(ValueError, match="expected one of"):
        label_set("nobody")


def noise(n: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (128 + 30 * torch.randn(n, 1, 32, 32, generator=draw)).clamp(0, 255).to(torch.uint8)


def strangers(dataset: str, n: int, seed: int) -> ImageSet:
    names = tuple(f"{dataset}:{k}" for k in range(n))
    return ImageSet(noise(n, seed), torch.zeros(n, dtype=torch.long), names, names, f"{seed}")


def test_patients_who_came_twice_are_left_out_of_the_later_set() -> None:
    target = strangers("covidx_cxr3", 8, 1)
    source = strangers("covid_radiography", 10, 2)
    images = source.images.clone()
    images[3] = (0.6 * target.images[5].float() + 20).to(torch.uint8)  # in another window
    source = replace(source, images=images)
    other = strangers("cxr3", 6, 3)
    found, cleaned = without_look_alikes(
        {"covidx_cxr3": target, "covid_radiography": source, "cxr3": other},
        lambda images: images.inputs().float(),
    )
    assert cleaned == {"covid_radiography": 1, "cxr3": 0}
    assert "covid_radiography:3" not in found["covid_radiography"].patients
    assert [len(x) for x in found.values()] == [8, 9, 6]


def test_sets_with_a_declared_overlap_are_refused_unless_cleaned() -> None:
    pair = ("covid_radiography",)
    with pytest.raises(LeakageError, match="share patients"):
        label_toys("covidx_cxr3", pair)


def test_the_slices_of_a_brain_lie_where_they_are_asked_for() -> None:
    volume = torch.zeros(4, 4, 40)
    volume[1:3, 1:3, 10:31] = 0.5  # from slice 10 to slice 30
    assert middle_slices(volume, HeadSlices(low=0.25, high=0.5)) == [15, 16, 17, 18, 19, 20]
    with pytest.raises(ValueError, match="background"):
        middle_slices(torch.zeros(4, 4, 4), HeadSlices())


def test_a_cohort_of_film_twins(tmp_path: Path) -> None:
    roots = {
        "covidx_cxr3": write_covidx_cxr3(tmp_path / "x", patients=48, seed=6),
        "covid_radiography": write_covid_radiography(tmp_path / "r", patients=30, seed=6),
    }
    names = ("covidx_cxr3", ["covid_radiography"])
    with pytest.raises(LeakageError, match="share patients"):
        label_cohort(roots, *names, size=32, train=16, val=12)
    found = label_cohort(roots, *names, size=32, train=16, val=12, clean=True)
    assert list(found.cleaned) == ["covid_radiography"]
    assert len(set(found.train["covidx_cxr3"].patients)) == 16
    assert found.train["covid_radiography"].images.shape[1:] == (1, 32, 32)
    # whoever of the target's people is not cropped is found among the source's
    assert found.cleaned["covid_radiography"] > 0
    again = label_cohort(roots, *names, seed=1, size=32, train=16, val=12, clean=True)
    assert set(again.test.patients) == set(found.test.patients)
    assert again.split != found.split


def test_slices_of_brain_twins(tmp_path: Path) -> None:
    root = write_oasis1(tmp_path / "o", patients=2, seed=1)
    images = label_images(index(load_manifest("oasis1"), root), 64)
    assert set(images.labels.tolist()) <= {0, 1} and images.images.shape[1:] == (1, 64, 64)
    assert images.patients.count(images.patients[0]) >= 4, "a patient has several slices"
    assert (images.floats() > -0.9).float().mean() > 0.1, "a brain is shown"


def test_every_part_has_its_share_of_each_kind() -> None:
    kinds = {f"p{k:03d}": int(k % 6 == 0) for k in range(96)}  # 16 of one kind
    tested: list[str] = []
    for fold in range(5):
        found = divided(kinds, "x", 0, fold, 30, 12)
        tested += found["test"]
        assert sorted(n for part in found.values() for n in part) == sorted(kinds)
        assert 3 <= sum(kinds[n] for n in found["test"]) <= 4
        assert 1 <= sum(kinds[n] for n in found["val"]) <= 3
        assert 4 <= sum(kinds[n] for n in found["train"]) <= 6
        assert divided(kinds, "x", 1, fold, 30, 12)["test"] == found["test"]
    assert sorted(tested) == sorted(kinds)
    assert divided(kinds, "x", 1, 0, 30, 12)["train"] != divided(kinds, "x", 0, 0, 30, 12)["train"]
    rare = {name: int(name == "p007") for name in kinds}
    with pytest.raises(ValueError, match="expected patients of every kind in"):
        divided(rare, "x", 0, 0, 30, 12)
    with pytest.raises(ValueError, match="ask for fewer"):
        divided(kinds, "x", 0, 0, 70, 12)


def test_a_film_and_its_copy_are_one_patient() -> None:
    films = strangers("covid_radiography", 6, 4)
    images = films.images.clone()
    images[5] = (0.7 * images[2].float() + 10).to(torch.uint8)
    images[4] = (0.8 * images[5].float() + 5).to(torch.uint8)  # a copy of the copy
    grouped = with_groups(replace(films, images=images))
    assert [p.split(":")[1] for p in grouped.patients] == ["0", "1", "2", "3", "2", "2"]
    assert grouped.fingerprint != films.fingerprint
