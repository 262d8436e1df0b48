"""Blocks of the sarcoma twin: inside what both scanners saw, chosen blind to the tumour."""

import shutil
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import pytest
import torch

from medkd_lib.course.experiments import sts_blocks as module
from medkd_lib.course.experiments.folds import folds_of
from medkd_lib.course.experiments.liver_blocks import DOSES
from medkd_lib.course.experiments.sts_blocks import (
    HOT_SUV,
    LEAST_SHARE,
    SHAPE,
    Target,
    sts_blocks,
)
from medkd_lib.course.experiments.sts_scans import (
    HIGHEST_SUV,
    PARTS,
    PHOTONS,
    SPACING_MM,
    WINDOW_HU,
    Scan,
    sts_scans,
    tumour_parts,
)
from medkd_lib.data.blocks import Blocks
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.volumes import Volumes
from medkd_lib.models.region_graph import region_graph
from medkd_lib.models.region_masks import Regions
from medkd_lib.phantom.low_dose import LowDose, electronic_noise
from medkd_lib.phantom.low_dose_fast import noise_std
from medkd_lib.phantom.sts import write_sts


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = write_sts(tmp_path_factory.mktemp("twin") / "sts", patients=3, seed=3)
    return index(load_manifest("sts_petctmr"), out)


@pytest.fixture(scope="module")
def scans(twin: Index) -> list[Scan]:
    return sts_scans(twin)


@pytest.fixture(scope="module")
def blocks(twin: Index) -> Blocks:
    return sts_blocks(twin, per_patient=20)


def boxes(made: Blocks) -> list[tuple[slice, ...]]:
    """Return where blocks lie, read from their ids."""
    found = []
    for name in made.ids:
        place = name.rsplit("/", 1)[1]
        first = (int(place[1:4]), int(place[5:8]), int(place[9:12]))
        found.append(tuple(slice(a, a + n) for a, n in zip(first, SHAPE, strict=True)))
    return found


def test_blocks_have_one_size_one_scale_and_so_many_of_each_patient(blocks: Blocks) -> None:
    assert set(blocks.images) == {"ct", "pet", *DOSES}
    for image in blocks.images.values():
        assert image.shape == (60, 1, *SHAPE) and image.dtype == torch.float16
        assert image.min() >= -1 and image.max() <= 1 and image.float().std() > 0.05
    assert blocks.spacing_mm == SPACING_MM and blocks.region_names == PARTS
    assert [blocks.patients.count(p) for p in sorted(set(blocks.patients))] == [20, 20, 20]


def test_blocks_lie_where_ct_and_pet_have_both_measured(blocks: Blocks, scans: list[Scan]) -> None:
    fields = {scan.patient: scan.field for scan in scans}
    # or any place would do
    assert any(not field.all() for field in fields.values())
    for patient, box in zip(blocks.patients, boxes(blocks), strict=True):
        assert fields[patient][box].all()
        assert fields[patient][box].shape == SHAPE


def test_places_vary_along_every_axis(blocks: Blocks) -> None:
    for axis in "xyz":
        offset = blocks.facts[f"offset_{axis}_mm"]
        assert offset.std() > 3 and offset.min() < 0 < offset.max()


def test_places_are_chosen_without_a_look_at_the_tumour(
    twin: Index, blocks: Blocks, tmp_path: Path
) -> None:
    shutil.copytree(twin.root, tmp_path / "sts")
    for path in (tmp_path / "sts").glob("STS_*/CT_mask.nii.gz"):
        mask = cast(nib.Nifti1Image, nib.load(path))
        nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), path)
    without = sts_blocks(index(twin.manifest, tmp_path / "sts"), per_patient=20)
    assert without.ids == blocks.ids
    assert torch.equal(without.images["ct_tenth"], blocks.images["ct_tenth"])
    assert not without.labels.any() and not without.regions.any()
    assert np.isnan(without.facts["highest_suv"]).all()


def test_targets_are_what_the_rule_says(twin: Index, blocks: Blocks) -> None:
    present = sts_blocks(twin, per_patient=20, target="present")
    assert present.ids == blocks.ids and present.fingerprint != blocks.fingerprint
    for row in range(len(blocks)):
        tumour = (blocks.regions[row] == 1) | (blocks.regions[row] == 2)
        share = float(tumour.float().mean())
        assert blocks.facts["tumour_share"][row] == pytest.approx(share)
        assert present.labels[row] == (share >= LEAST_SHARE)
        if not share:
            assert np.isnan(blocks.facts["highest_suv"][row])
            continue
        suv = (float(blocks.images["pet"][row, 0][tumour].max()) + 1) / 2 * HIGHEST_SUV
        assert min(blocks.facts["highest_suv"][row], HIGHEST_SUV) == pytest.approx(suv, abs=0.01)
        hot = share >= LEAST_SHARE and blocks.facts["highest_suv"][row] >= HOT_SUV
        assert blocks.labels[row] == hot
    # or the rules are not tried
    assert 0 < blocks.labels.sum() <= present.labels.sum() < len(blocks)


def test_voxels_are_where_the_files_have_them(twin: Index, scans: list[Scan]) -> None:
    """The image's axes, D from feet to head and H from front to back, and the scale of HU."""
    for case, scan in zip(twin.cases, scans, strict=True):
        image = cast(nib.Nifti1Image, nib.load(case.files["ct"]))
        # LPS: the first index grows to the left; nearest voxel of the file at 2 mm steps
        hu = np.asarray(image.dataobj, np.float32)
        step = np.array(image.header.get_zooms()[:3])
        at = [
            np.clip(np.rint(np.arange(n) * s / d).astype(int), 0, m - 1)
            for n, s, d, m in zip(
                scan.images["ct"].shape[::-1], SPACING_MM[::-1], step, hu.shape, strict=True
            )
        ]
        near = hu[np.ix_(*at)].transpose(2, 1, 0)
        low, high = WINDOW_HU
        near = np.clip(2 * (near - low) / (high - low) - 1, -1, 1)
        apart = [np.abs(scan.images["ct"].float().numpy() - near).mean()]
        for axis in range(3):
            apart.append(np.abs(scan.images["ct"].float().numpy() - np.flip(near, axis)).mean())
        assert apart[0] < 0.5 * min(apart[1:])


def test_lower_doses_are_the_same_scan_with_the_noise_that_is_missing(
    twin: Index, scans: list[Scan]
) -> None:
    low, high = WINDOW_HU
    recipe = Recipe(("ct",), spacing_mm=SPACING_MM[::-1], intensity="as_stored")
    prepared = Volumes(twin.manifest, twin.cases, recipe)
    for number, scan in enumerate(scans):
        hu = prepared[number].image[0].permute(2, 1, 0).float().contiguous()
        # far enough from the window's ends that noise of a quarter's dose is not clipped
        inside = (hu > low + 160) & (hu < high - 160) & (scan.field > 0)
        levels = []
        for name, share in DOSES.items():
            added = (scan.images[name] - scan.images["ct"]).float()[inside] * (high - low) / 2
            assert abs(float(added.mean())) < 0.2 * float(added.std())
            levels.append(float(added.std()))
            if name == "ct_quarter":
                white = electronic_noise(PHOTONS)
                dose = LowDose(share * PHOTONS, electronic=white, source_photons=PHOTONS)
                told = noise_std(hu, SPACING_MM[1], dose)[inside].square().mean().sqrt()
                assert float(added.std()) == pytest.approx(float(told), rel=0.1)
        assert levels == sorted(levels) and levels[2] > 2 * levels[0]


def test_parts_of_a_ball_have_the_volumes_of_their_radii() -> None:
    spacing = (3.0, 2.0, 2.0)
    axes = [np.arange(-n, n + 1) * s for n, s in zip((15, 22, 22), spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(z**2 + y**2 + x**2)
    hu = np.where(x > -10, 40.0, -1000.0).astype(np.float32)
    parts = tumour_parts(radius <= 20, np.full(hu.shape, 40, np.float32), spacing)
    ml = [float((parts == n).sum()) * 12 / 1000 for n in (1, 2, 3)]
    # the tumour ends half a voxel, about 1 mm, before the centre of the first voxel beyond
    wanted = [4 / 3 * np.pi * r**3 / 1000 for r in (15.0, 20.0, 35.0)]
    assert ml[0] == pytest.approx(wanted[0], rel=0.1)
    assert ml[1] == pytest.approx(wanted[1] - wanted[0], rel=0.1)
    assert ml[2] == pytest.approx(wanted[2] - wanted[1], rel=0.1)
    assert radius[parts == 1].max() < 16 and radius[parts == 3].max() < 36
    # air is no surrounding, whatever was drawn as tumour stays
    cut = tumour_parts(radius <= 20, hu, spacing)
    assert not (cut == 3)[hu < 0].any() and ((cut == 3) == (parts == 3))[hu > 0].all()
    assert np.array_equal((cut == 1) | (cut == 2), radius <= 20)
    assert not tumour_parts(np.zeros(hu.shape, bool), hu, spacing).any()


def test_a_block_without_tumour_has_a_graph_without_nodes(blocks: Blocks) -> None:
    nothing = ~(blocks.regions > 0).flatten(1).any(1)
    assert 0 < int(nothing.sum()) < len(blocks)
    features = torch.randn(len(blocks), 4, 2, 5, 5)
    graph = region_graph(features, Regions(blocks.regions, len(PARTS), blocks.spacing_mm))
    assert not graph.present[nothing].any() and not graph.nodes[nothing].any()
    assert graph.present[~nothing].any(1).all()


def test_places_follow_from_the_seed_and_noise_is_the_patients(twin: Index) -> None:
    first, again, other = (sts_blocks(twin, per_patient=20, seed=s) for s in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(first.images["ct_tenth"], again.images["ct_tenth"])
    assert first.ids != other.ids
    # two seeds' blocks of one patient show the same scan where they overlap
    a, b = next(
        (i, j)
        for i, one in enumerate(boxes(first)) for j, two in enumerate(boxes(other))
        if first.patients[i] == other.patients[j]
        and all(abs(u.start - v.start) < 4 for u, v in zip(one, two, strict=True))
    )  # fmt: skip
    shift = [u.start - v.start for u, v in zip(boxes(first)[a], boxes(other)[b], strict=True)]
    mine = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(shift, SHAPE, strict=True))
    theirs = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(shift, SHAPE, strict=True))
    assert torch.equal(first.images["ct_tenth"][a, 0][mine], other.images["ct_tenth"][b, 0][theirs])


def test_all_blocks_of_a_patient_are_in_one_fold(blocks: Blocks) -> None:
    folds = folds_of(blocks.patients)
    assert sorted(p for members in folds for p in members) == sorted(set(blocks.patients))
    assert sum(len(blocks.of(members)) for members in folds) == len(blocks)


def test_requests_that_cannot_be_met_are_told(twin: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"expected a target of .*, found 'warm' and 12"):
        sts_blocks(twin, target=cast(Target, "warm"))
    with pytest.raises(ValueError, match="found 'hot' and 0"):
        sts_blocks(twin, per_patient=0)
    for shape in ((8, 400, 40), (400, 40, 40)):
        monkeypatch.setattr(module, "SHAPE", shape)
        with pytest.raises(ValueError, match="found none among 3"):
            sts_blocks(twin)
