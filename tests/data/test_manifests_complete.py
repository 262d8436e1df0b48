"""The committed manifests as a whole: every set is there, and what they state holds together."""

from __future__ import annotations

import re
from itertools import product

import pytest

from medkd_lib.data.manifest import Manifest, load_manifest, manifest_folder, manifest_ids
from medkd_lib.data.split import LeakageError, check_overlaps

MEDMNIST = [
    "adrenalmnist3d", "bloodmnist", "breastmnist", "chestmnist", "dermamnist", "fracturemnist3d",
    "nodulemnist3d", "octmnist", "organamnist", "organcmnist", "organmnist3d", "organsmnist",
    "pathmnist", "pneumoniamnist", "retinamnist", "synapsemnist3d", "tissuemnist", "vesselmnist3d",
]  # fmt: skip
OTHERS = [
    "adni", "amos22", "bccd_detection", "brainmetshare", "brats2013_2ch", "brats2020", "brats2021",
    "brats2023_gli", "brats2023_men", "brats2023_met", "brats2023_ped", "brats2023_ssa",
    "brats_africa", "chaos", "cmedl_private_mr_cohort", "covid_qu_ex", "covid_radiography",
    "covidx_cxr3", "cxr3", "deeplesion", "fdg_pet_ct_lesions", "glioma_4ch", "hcc_tace_seg",
    "isles2022", "kits19", "kits23", "ldct_and_projection", "lits", "lung_pet_ct_dx",
    "lungct_roboflow", "msd_hippocampus", "msd_task03_liver", "msd_task06_lung", "nsclc_radiomics",
    "oasis1", "oasis1_slices_kaggle", "openms_4ch", "react_kd_private_cohort", "sts_petctmr",
    "totalseg_ct", "totalsegmentator_v2", "upenn_gbm",
]  # fmt: skip
TWINS = {"chaos", "cxr3", "brats2023_gli", "brats2023_men", "brats2023_met", "sts_petctmr"} | {
    "msd_task06_lung", "cmedl_private_mr_cohort", "nsclc_radiomics",
    "react_kd_private_cohort", "hcc_tace_seg", "msd_task03_liver", "kits23",
    "isles2022", "brainmetshare", "brats2021",
    "covid_radiography", "covid_qu_ex", "covidx_cxr3",
    "oasis1", "oasis1_slices_kaggle", "adni",
    "lung_pet_ct_dx", "deeplesion", "lungct_roboflow",
}  # fmt: skip


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    return {name: load_manifest(name) for name in manifest_ids()}


def test_every_set_has_a_manifest() -> None:
    assert len(MEDMNIST) == 18
    assert set(MEDMNIST) | set(OTHERS) <= set(manifest_ids())


def test_overlaps_point_to_manifests_and_back(manifests: dict[str, Manifest]) -> None:
    pairs = {(a, o.id) for a, m in manifests.items() for o in m.overlaps}
    assert {b for _, b in pairs} <= set(manifests)
    assert {(b, a) for a, b in pairs} == pairs
    assert all(a != b for a, b in pairs)
    assert all(o.evidence for m in manifests.values() for o in m.overlaps)


SHARED = [
    {"lits", "msd_task03_liver", "organamnist", "organcmnist", "organsmnist", "organmnist3d"},
    {"brats2020", "brats2021", "brats2023_gli"},
    {"kits19", "kits23"},
    {"covid_radiography", "covid_qu_ex", "covidx_cxr3"},
    {"oasis1", "oasis1_slices_kaggle"},
    {"cxr3", "pneumoniamnist", "covid_radiography"},
]


@pytest.mark.parametrize("group", SHARED, ids=lambda g: min(g))
def test_sets_with_the_same_patients_never_meet(
    group: set[str], manifests: dict[str, Manifest]
) -> None:
    for a, b in product(sorted(group), repeat=2):
        if a != b:
            with pytest.raises(LeakageError, match="share patients"):
                check_overlaps([manifests[a]], [manifests[b]])


def test_sets_without_a_common_patient_may_meet(manifests: dict[str, Manifest]) -> None:
    check_overlaps([manifests["kits23"]], [manifests["lits"], manifests["isles2022"]])


def test_gated_sets_carry_no_link_and_no_case_list(manifests: dict[str, Manifest]) -> None:
    gated = [m for m in manifests.values() if m.access.level != "open"]
    assert len(gated) > 10
    for m in gated:
        assert {d.method for d in m.download}.isdisjoint({"http", "doi", "idc"}), m.id
        assert not [f for d in m.download for f in d.files if f.url], m.id
        assert m.access.steps, f"{m.id}: say how a person gets it"


def test_open_sets_can_be_fetched(manifests: dict[str, Manifest]) -> None:
    for m in manifests.values():
        if m.access.level == "open":
            assert m.download and m.access.url, m.id
            assert m.access.steps, m.id
            for d in m.download:
                assert d.method != "http" or all(f.url and f.hash for f in d.files), m.id


def test_private_and_blocked_sets_say_so(manifests: dict[str, Manifest]) -> None:
    closed = {m.id for m in manifests.values() if m.access.level in ("private", "blocked")}
    assert closed == {"react_kd_private_cohort", "cmedl_private_mr_cohort", "lungct_roboflow"}
    for name in closed:
        m = manifests[name]
        # a layout alone may stand there, if it is that of a phantom twin
        assert m.layout is None or m.phantom is not None, name
        assert m.licence.spdx is None and m.download == [], name


def test_hashes_and_licences_name_their_source(manifests: dict[str, Manifest]) -> None:
    for m in manifests.values():
        assert m.licence.source, m.id
        files = [f for d in m.download for f in d.files]
        assert all(f.hash_source for f in files if f.hash), m.id
        assert all(r.source for r in m.reference_results) and all(i.source for i in m.known_issues)


def test_medmnist_sums_are_the_packages(manifests: dict[str, Manifest]) -> None:
    for name in MEDMNIST:
        m = manifests[name]
        names = [f.name for f in m.download[0].files]
        larger = ["_64"] if name.endswith("3d") else ["_64", "_128", "_224"]
        assert names == [f"{name}{s}.npz" for s in ("", *larger)]
        assert {f.hash_source for f in m.download[0].files} == {"medmnist 3.0.2 info.py"}
        n = m.n_cases
        parts = [n["train_images"], n["val_images"], n["test_images"]]
        assert n["images"] == sum(p for p in parts if p is not None)
    assert manifests["dermamnist"].licence.spdx == "CC-BY-NC-4.0"
    # What was measured or read by hand outlives a new run of the generator.
    assert manifests["retinamnist"].reference_results[0].value == 0.515
    assert manifests["breastmnist"].labels is not None
    assert manifests["breastmnist"].labels.names == ["malignant", "normal, benign"]


def test_the_number_of_enhancing_tumour(manifests: dict[str, Manifest]) -> None:
    def number(name: str) -> int:
        labels = manifests[name].labels
        assert labels is not None
        return next(v.id for v in labels.values if v.name == "ET")

    years = {name: number(name) for name in manifests if re.match(r"brats20(20|21|23)", name)}
    assert len(years) == 7
    assert years == {name: 3 if "2023" in name else 4 for name in years}
    for name, et in years.items():
        labels = manifests[name].labels
        assert labels is not None
        assert labels.regions == {"WT": [1, 2, et], "TC": [1, et], "ET": [et]}
    assert number("glioma_4ch") == 3  # after reading
    glioma = manifests["glioma_4ch"].labels
    assert glioma is not None and glioma.remap == {4: 3}


def test_executable_issues_name_a_role_of_the_layout(manifests: dict[str, Manifest]) -> None:
    executed = 0
    for m in manifests.values():
        for issue in m.known_issues:
            if issue.action == "warn":
                continue
            assert m.layout is not None, m.id
            roles = {**m.layout.image_roles, **m.layout.annotation_roles}
            assert issue.role is None or issue.role in roles, m.id
            executed += 1
    assert executed >= 8


def test_grids_name_roles(manifests: dict[str, Manifest]) -> None:
    for m in manifests.values():
        if m.layout and m.layout.grids is not None:
            roles = {**m.layout.image_roles, **m.layout.annotation_roles}
            named = [r for group in m.layout.grids for r in group]
            assert set(named) <= set(roles) and len(named) == len(set(named)), m.id


def test_twins_where_a_lesson_or_a_loader_test_uses_them(manifests: dict[str, Manifest]) -> None:
    twins = {m.id: m.phantom for m in manifests.values() if m.phantom}
    assert set(twins) == TWINS
    for name, phantom in twins.items():
        assert phantom.default_difficulty in phantom.difficulties, name
        assert "none" in phantom.difficulties, "one difficulty without an effect"
    assert [twins[f"brats2023_{t}"].patients for t in ("gli", "men", "met")] == [40, 24, 24]


INVALID = {
    "0ac2186ea6d936ff41ce605c6a9588aeb20f031085589897dbab22fc82a12972": "autoPET from a bare host",
    "nd320": "a copy of the hippocampus without a licence for the data",
    "waliatushar": "a copy of the chest X-rays without a licence",
    "mxochicale": "a copy of MedMNIST",
    "drive.google": "copies the owners do not support",
    "kaggle.com/datasets/.*brats": "copies of gated sets",
    r"https?://\d": "hosts without a name",
}


@pytest.mark.parametrize("pattern", INVALID)
def test_no_manifest_names_an_invalid_copy(pattern: str) -> None:
    files = list(manifest_folder().glob("*.yaml"))
    named = [p.name for p in files if re.search(pattern, p.read_text(encoding="utf-8"), re.I)]
    assert len(files) > 50 and named == [], INVALID[pattern]
