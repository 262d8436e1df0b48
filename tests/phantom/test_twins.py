"""The twins as a whole: made, indexed, checked, divided, and read alike by three readers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.data.check import check
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest, manifest_ids
from medkd_lib.data.picture import read_picture
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.side import lesion_side
from medkd_lib.data.split import LeakageError, Split, check_disjoint, split_by_patient
from medkd_lib.data.volumes import Volumes
from medkd_lib.phantom.twin import MAKERS, twin

# Glioma patients come back in full blocks of eight, one of each block.
PATIENTS = {
    "cxr3": 18, "brats2023_gli": 8, "brats2023_men": 3, "brats2023_met": 3, "sts_petctmr": 3,
    "chaos": 3, "msd_task06_lung": 3, "cmedl_private_mr_cohort": 3, "nsclc_radiomics": 3,
    "react_kd_private_cohort": 3, "hcc_tace_seg": 3, "msd_task03_liver": 3, "kits23": 3,
    "isles2022": 3, "brainmetshare": 3, "brats2021": 3,
    "covid_radiography": 16, "covid_qu_ex": 16, "covidx_cxr3": 14,
    "oasis1": 3, "oasis1_slices_kaggle": 3, "adni": 3,
    "lung_pet_ct_dx": 3, "deeplesion": 3, "lungct_roboflow": 3,
}  # fmt: skip
# Where no patient is named, each image stands for one: so many are found of those made above.
IMAGES = {"lungct_roboflow": 21}
FOUND = PATIENTS | IMAGES
BRATS = [name for name in PATIENTS if name.startswith("brats")]
VOLUMES = [
    *BRATS, "sts_petctmr", "msd_task06_lung", "cmedl_private_mr_cohort", "msd_task03_liver",
    "kits23", "isles2022",
]  # fmt: skip
# Where the axes of a release point to, if not to the patient's left, back and head.
AXCODES = {"msd_task03_liver": "RAS", "kits23": "IPL", "isles2022": "LAS"}
# PNG and Analyze know no geometry: the twin states it, and every reading says so.
TOLD = {"brainmetshare": {"stated_geometry"}, "oasis1": {"stated_geometry"}}

# Sets that name their own test part.
OFFICIAL_TEST = ("cxr3", "covid_qu_ex", "covidx_cxr3", "lungct_roboflow")

Twins = Callable[[str], Index]


@pytest.fixture(scope="module")
def twins() -> Twins:
    """Index of a twin in the session's medkd home, made once for all tests."""
    made: dict[str, Index] = {}

    def of(dataset: str) -> Index:
        if dataset not in made:
            manifest = load_manifest(dataset)
            root = twin(manifest, patients=PATIENTS[dataset], difficulty="clear")
            made[dataset] = index(manifest, root)
        return made[dataset]

    return of


def truth_of(root: Path) -> list[dict[str, str]]:
    with (root / "truth.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def world_mm(image: SimpleITK.Image, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean place in ITK's world, LPS millimetres."""
    points = [image.TransformIndexToPhysicalPoint([int(v) for v in p]) for p in places]
    return np.asarray(np.mean(points, axis=0))


def ijk(image: SimpleITK.Image) -> NDArray[Any]:
    """ITK hands arrays out with the last axis first."""
    return np.asarray(SimpleITK.GetArrayFromImage(image)).T


def test_every_manifest_with_a_phantom_is_tested_here() -> None:
    phantoms = {name: load_manifest(name).phantom for name in manifest_ids()}
    assert {name for name, phantom in phantoms.items() if phantom} == set(PATIENTS)
    assert {phantom.maker for phantom in phantoms.values() if phantom} == set(MAKERS)


@pytest.mark.parametrize("dataset", PATIENTS)
def test_a_twin_is_whole_and_sound(twins: Twins, dataset: str) -> None:
    found = twins(dataset)
    assert len({c.patient for c in found.cases}) == FOUND[dataset]
    assert len(found.cases) == len(truth_of(found.root)) and not found.problems
    seen: list[str] = []
    problems = check(found.manifest, found.root, seen.append)
    assert {p.kind for p in problems} == TOLD.get(dataset, set())
    assert sorted(seen) == [c.id for c in found.cases]


@pytest.mark.parametrize("dataset", PATIENTS)
def test_no_patient_stands_on_two_sides(twins: Twins, dataset: str) -> None:
    # Masks are no classes, and three outcomes cannot be balanced: those are divided as one class.
    cases = [replace(c, label=c.label if dataset == "cxr3" else 0) for c in twins(dataset).cases]
    names = ("train", "val") if dataset in OFFICIAL_TEST else ("train", "val", "test")
    for seed in range(5):
        split = split_by_patient(cases, dict.fromkeys(names, 1 / len(names)), seed)
        parts = {name: {c.patient for c in split.of(name, cases)} for name in split.parts}
        assert set(parts) == {"train", "val", "test"} and all(parts.values())
        assert sum(map(len, parts.values())) == FOUND[dataset]
        assert sum(map(len, split.parts.values())) == len(cases)


def test_the_glioma_who_comes_twice_would_leak_by_folder(twins: Twins) -> None:
    cases = twins("brats2023_gli").cases
    (patient,) = [p for p, n in Counter(c.patient for c in cases).items() if n == 2]
    first, second = [c.id for c in cases if c.patient == patient]
    assert (first[-3:], second[-3:]) == ("000", "001") and first[:-3] == second[:-3]
    careless = Split("brats2023_gli", 0, {"train": (first,), "test": (second,)})
    with pytest.raises(LeakageError, match=patient):
        check_disjoint(careless, cases)


@pytest.mark.parametrize("dataset", VOLUMES)
def test_three_readers_see_the_same_voxels_at_the_same_place(twins: Twins, dataset: str) -> None:
    found = twins(dataset)
    case = found.cases[-1]
    volumes = read_case(case, found.manifest)
    assert set(volumes) == set(case.files)
    for role, volume in volumes.items():
        image = nib.nifti1.Nifti1Image.from_filename(case.files[role])
        np.testing.assert_array_equal(volume.array, np.asanyarray(image.dataobj))
        np.testing.assert_allclose(volume.affine, image.affine, atol=1e-5)
        assert volume.axcodes == "".join(nib.orientations.aff2axcodes(image.affine))
        assert volume.axcodes == AXCODES.get(dataset, "LPS")
        itk = SimpleITK.ReadImage(str(case.files[role]))
        np.testing.assert_array_equal(volume.array, ijk(itk))
        corner = np.array(volume.shape) - 1
        for place in (np.zeros(3, int), corner, corner // 3):
            ras = (volume.affine @ [*place, 1.0])[:3]
            np.testing.assert_allclose(
                world_mm(itk, place[None]) * [-1, -1, 1], ras, rtol=1e-6, atol=2e-3
            )


@pytest.mark.parametrize("dataset", BRATS)
def test_truth_loader_and_simpleitk_agree_on_the_side(twins: Twins, dataset: str) -> None:
    found = twins(dataset)
    truth = {row["case"]: row for row in truth_of(found.root)}
    # The loader's own way, turned to axes that the files do not have.
    layout, labels = found.manifest.layout, found.manifest.labels
    assert layout is not None and labels is not None
    contrasts, core_ids = tuple(layout.image_roles), labels.regions["TC"]
    loaded = Volumes(found.manifest, found.cases, Recipe(contrasts, "seg", "RAS"))
    sides = []
    for number, case in enumerate(found.cases):
        prepared = loaded[number]
        assert prepared.mask is not None
        core = np.isin(np.asarray(prepared.mask), core_ids)
        if truth[case.id]["side"] == "both" or not core.any():
            continue
        brain = np.asarray((prepared.image != 0).any(dim=0))
        side = lesion_side(core, brain, np.asarray(prepared.affine))
        seg, t1n = (SimpleITK.ReadImage(str(case.files[r])) for r in ("seg", contrasts[0]))
        lesion = world_mm(seg, np.argwhere(np.isin(ijk(seg), core_ids)))
        middle = world_mm(t1n, np.argwhere(ijk(t1n) > 0)[::50])
        itk = "left" if lesion[0] > middle[0] else "right"  # LPS: x grows to the left
        assert truth[case.id]["side"] == side == itk, case.id
        sides.append(side)
    assert sides, "every lesion lies on both sides: another seed"


def test_both_sides_were_met(twins: Twins) -> None:
    sides = {row["side"] for name in BRATS for row in truth_of(twins(name).root)}
    assert {"left", "right"} <= sides, "the agreement above would hold for a constant"


def test_the_three_grids_of_a_sarcoma_share_one_world(twins: Twins) -> None:
    found = twins("sts_petctmr")
    truth = {row["patient"]: row for row in truth_of(found.root)}
    for case in found.cases:
        volumes = read_case(case, found.manifest)
        masks = {r: SimpleITK.ReadImage(str(case.files[f"{r}_mask"])) for r in ("ct", "mr", "pet")}
        assert len({m.GetSpacing() for m in masks.values()}) == 2, "PET has its own voxels"
        assert len({m.GetSize() for m in masks.values()}) == 3
        centre = {r: world_mm(m, np.argwhere(ijk(m) > 0)) for r, m in masks.items()}
        grown_from = [float(truth[case.id][f"{axis}_mm"]) for axis in "xyz"]
        for role, mask in masks.items():
            ours = volumes[f"{role}_mask"]
            index_of = np.append(np.argwhere(ours.array > 0).mean(axis=0), 1.0)
            np.testing.assert_allclose(
                (ours.affine @ index_of)[:3] * [-1, -1, 1], centre[role], atol=1e-2
            )
            assert np.linalg.norm(centre[role] - centre["ct"]) < max(mask.GetSpacing()) / 2
            # Bone, skin and the end of the scan cut the tumour, so its middle moves a little.
            assert np.linalg.norm(centre[role] - grown_from) < 15
            onto_ct = SimpleITK.Resample(
                mask, masks["ct"], SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor
            )
            a, b = ijk(onto_ct) > 0, ijk(masks["ct"]) > 0
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.85, (case.id, role)


def test_films_are_read_as_they_lie_on_disk(twins: Twins) -> None:
    found = twins("cxr3")
    truth = {row["file"]: row for row in truth_of(found.root)}
    names = {v.id: v.name for v in found.manifest.labels.values} if found.manifest.labels else {}
    for case in found.cases:
        path = case.images["image"]
        row = truth[path.relative_to(found.root).as_posix()]
        assert (names[case.label or 0], case.split) == (row["label"], row["split"])
        assert int(re.sub(r"\D", "", case.patient)) == int(row["patient_number"])
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(read_picture(path, mode="rgb")), image)
