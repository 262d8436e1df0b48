"""Training and test data apart: by declared overlap, by source of an exported set, by patient."""

from dataclasses import replace
from pathlib import Path

import pytest

from medkd_lib.data.apart import LeakageError, check_apart, check_overlaps, require_apart
from medkd_lib.data.case import Case
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.split import split_by_patient

from .tiny import manifest, write_set


def cases(dataset: str, patients: str, derived_from: str | None = None) -> list[Case]:
    return [
        Case(f"{dataset}-{p}", p, dataset, {}, label=i % 2, derived_from=derived_from)
        for i, p in enumerate(patients)
    ]


def test_patients_of_one_dataset_are_compared() -> None:
    require_apart(cases("toy", "abc"), cases("toy", "def"))
    with pytest.raises(LeakageError, match="toy: patient c is in 'training' and in 'test'"):
        require_apart(cases("toy", "abc"), cases("toy", "cde"))
    with pytest.raises(LeakageError, match=r"'a' and in 'b'.*1 more"):
        require_apart(cases("toy", "abc"), cases("toy", "bc"), names=("a", "b"))


def test_the_same_number_in_another_dataset_is_another_patient() -> None:
    require_apart(cases("toy", "abc"), cases("game", "abc"))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "pair",
    [
        ("kits19", "kits23"), ("lits", "msd_task03_liver"), ("oasis1", "oasis1_slices_kaggle"),
        ("covid_radiography", "covidx_cxr3"), ("covid_radiography", "covid_qu_ex"),
        ("covid_qu_ex", "covidx_cxr3"), ("cxr3", "covid_radiography"),
    ],
)  # fmt: skip
def test_declared_overlaps_are_refused_whatever_the_names(
    pair: tuple[str, str], turned: bool
) -> None:
    first, second = reversed(pair) if turned else pair
    found = rf"{first} \(training\) and {second} \(test\) share"
    with pytest.raises(LeakageError, match=found):
        require_apart(cases(first, "abc"), cases(second, "xyz"))
    require_apart(cases(pair[1], "abc"), cases("isles2022", "xyz"))


def test_liver_and_kidney_sets_share_nobody() -> None:
    require_apart(cases("msd_task03_liver", "abc"), cases("kits23", "abc"))


@pytest.mark.parametrize("other", ["brats2023_gli", "brats2021", "gli_slices_b"])
def test_an_exported_set_counts_as_its_source(other: str) -> None:
    exported = cases("gli_slices", "abc", "brats2023_gli")
    origin = "brats2023_gli" if other == "gli_slices_b" else None
    with pytest.raises(LeakageError, match=r"gli_slices.* share patients"):
        require_apart(exported, cases(other, "xyz", origin))
    with pytest.raises(LeakageError, match="share patients"):
        split_by_patient([*exported, *cases(other, "xyz", origin)], {"train": 0.5, "test": 0.5}, 0)
    require_apart(exported, cases("isles2022", "xyz"))


def test_the_manifest_of_an_exported_set_says_so() -> None:
    source = load_manifest("brats2023_gli")
    exported = manifest(id="gli_slices", derived_from=source.id)
    with pytest.raises(LeakageError, match=r"gli_slices .* and brats2021 .* share patients"):
        check_overlaps([exported], [load_manifest("brats2021")])
    check_overlaps([exported], [load_manifest("isles2022")])


def test_cases_and_indexes_are_alike(tmp_path: Path) -> None:
    found = index(manifest(derived_from="kits19"), write_set(tmp_path))
    assert {c.derived_from for c in found.cases} == {"kits19"}
    for side in (found, found.cases):
        with pytest.raises(LeakageError, match=r"tiny.* share patients"):
            require_apart(side, cases("kits23", "xyz"))
        with pytest.raises(LeakageError, match="patient P0"):
            require_apart(side, found)
        require_apart(side, cases("isles2022", "xyz"))


def test_names_alone_can_be_asked() -> None:
    with pytest.raises(LeakageError, match="brats2021 and brats2023_gli share patients"):
        check_apart({"brats2021", "brats2023_gli"})
    check_apart({"brats2021", "kits23", "toy"})
    check_apart(set())
    # one of the two was cleaned of the other's patients
    check_apart({"brats2021", "brats2023_gli"}, cleaned={"brats2023_gli"})
    with pytest.raises(LeakageError):
        check_apart({"brats2021", "brats2023_gli", "kits23"}, cleaned={"kits23"})


def test_nothing_and_ambiguous_ids_are_not_divided() -> None:
    with pytest.raises(DataError) as caught:
        split_by_patient([], {"train": 1.0}, 0)
    assert caught.value.problem.kind == "no_case"
    twice = [*cases("toy", "abcdef"), *(replace(c, dataset="game") for c in cases("toy", "uvwxyz"))]
    twice[6:] = [replace(c, id=twice[i].id) for i, c in enumerate(twice[6:])]
    with pytest.raises(DataError) as caught:
        split_by_patient(twice, {"train": 0.5, "test": 0.5}, 0)
    assert caught.value.problem.kind == "duplicate_case_id"
