"""Slices, their labels, their views, CLAHE, windows and sides: on volumes one can count by hand."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medkd_lib.data.augment_slices import slice_views, view
from medkd_lib.data.clahe import clahe
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.side import lesion_side
from medkd_lib.data.slices import (
    label_slices,
    load_slices,
    pick,
    slice_images,
    tumour_level,
    tumour_present,
    tumour_state,
)
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volume import Volume
from medkd_lib.data.volumes import Volumes
from medkd_lib.data.windows import random_window

LPS = np.diag([-2.0, -2.0, 2.0, 1.0])


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """Two cases of 12 × 10 × 8 voxels of 2 mm; enhancing tissue in slice 5 of the first."""
    manifest: Manifest = load_manifest("brats2023_gli")
    for number in (1, 2):
        name = f"BraTS-GLI-{number:05d}-000"
        image = np.zeros((12, 10, 8), np.int16)
        image[1:11, 1:9, 1:7] = 100 + np.arange(8)[None, :, None]  # the value tells the row
        mask = np.zeros(image.shape, np.uint8)
        if number == 1:
            mask[2:6, 2:6, 5] = 3  # 16 pixels of 4 mm²: 64 mm²
            mask[2:4, 2:4, 4] = 3  # 16 mm²: the grey zone
            mask[2:7, 2:6, 3] = 2
        for role in ("t1n", "t1c", "t2w", "t2f", "seg"):
            path = tmp_path / "x" / name / f"{name}-{role}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(mask if role == "seg" else image, LPS), path)
    found = index(manifest, tmp_path)
    recipe = Recipe(("t1n", "t2f"), "seg", intensity="as_stored", dtype="float32")
    return Volumes(manifest, found.cases, recipe, TensorStore(tmp_path / "cache"))


def test_the_state_of_a_slice_and_its_grey_zone() -> None:
    mask = np.zeros((20, 20), np.uint8)
    assert tumour_state(mask, 1.0) == 0
    mask[:10, :10] = 2
    assert tumour_state(mask, 1.0) == 1
    mask[0, :5] = 1
    assert tumour_state(mask, 1.0) is None, "five square millimetres of core are neither"
    mask[:5, :10] = 1
    assert tumour_state(mask, 1.0) == 2
    mask[5:, 10:] = 3
    assert tumour_state(mask, 1.0) == 3
    assert tumour_state(mask, 0.01) is None


def test_slices_get_their_label_by_area_and_the_grey_zone_is_left_out(volumes: Volumes) -> None:
    rows = label_slices(volumes)
    first = {r.k: r.label for r in rows if r.row == 0}
    assert first == {1: 0, 2: 0, 3: 1, 5: 3, 6: 0}, "slice 4 is in the grey zone, 0 and 7 are air"
    assert {r.label for r in rows if r.row == 1} == {0}


def test_pictures_stand_upright_with_their_mask(volumes: Volumes) -> None:
    rows = [r for r in label_slices(volumes) if r.label == 3]
    loaded = load_slices(volumes, rows)
    assert loaded.images.shape == (1, 2, 10, 12) and loaded.masks.shape == (1, 10, 12)
    assert loaded.masks[0, 2:6, 2:6].eq(3).all() and int(loaded.masks.eq(3).sum()) == 16
    # Axis 1 of the volume grows to the back: it runs down the picture, axis 0 to the right.
    assert loaded.images[0, 0, 3, 4] == volumes[0].image[0, 4, 3, 5]
    assert loaded.patients == (rows[0].case.patient,)


def test_pick_takes_at_most_so_many_of_each_case(volumes: Volumes) -> None:
    rows = label_slices(volumes)
    few = pick(rows, 2, seed=0)
    assert [r.row for r in few] == [0, 0, 1, 1] and few == pick(rows, 2, seed=0)
    assert all(r in rows for r in few)


def test_another_orientation_is_refused(volumes: Volumes) -> None:
    turned = Volumes(volumes.manifest, volumes.cases, Recipe(("t1n",), "seg", axcodes="RAS"))
    with pytest.raises(ValueError, match=r"'LPS'.*'RAS'"):
        label_slices(turned)


def test_views_keep_labels_and_background() -> None:
    torch.manual_seed(0)
    image = torch.zeros(2, 48, 48)
    image[:, 8:40, 8:40] = torch.randn(2, 32, 32) + 3
    mask = torch.zeros(48, 48)
    mask[14:30, 12:22] = 3
    bent = slice_views(elastic=1.0)
    seen = [view(bent, image, mask, seed=s) for s in range(8)]
    for moved, labels in seen:
        assert set(labels.unique().tolist()) <= {0.0, 3.0}
        outside = moved.eq(0).all(dim=0)
        assert 0.3 < float(outside.float().mean()) < 0.8, "noise must not fill the background"
    again = view(bent, image, mask, seed=3)
    assert torch.equal(again[0], seen[3][0]) and torch.equal(again[1], seen[3][1])
    assert not torch.equal(seen[0][0], seen[1][0])
    areas = {int(labels.eq(3).sum()) for _, labels in seen}
    assert len(areas) > 3, "deformation changes areas, so labels are derived again"


def test_a_bilinear_mask_invents_labels_and_the_parameter_shows_it() -> None:
    mask = torch.zeros(48, 48)
    mask[14:30, 12:22] = 3
    image = torch.ones(1, 48, 48)
    _, wrong = view(slice_views(mask_mode="bilinear"), image, mask, seed=1)
    assert not set(wrong.round().unique().tolist()) <= {0.0, 3.0}


def test_clahe_leaves_the_background_alone_and_refuses_z_scores() -> None:
    rng = np.random.default_rng(0)
    picture = np.zeros((64, 64))
    picture[16:48, 16:48] = 0.4 + 0.05 * rng.random((32, 32))
    inside = picture > 0
    equal = clahe(picture, inside)
    assert np.all(equal[~inside] == 0)
    assert equal[inside].std() > 2 * picture[inside].std()
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        clahe(picture - 0.5, inside)


def test_windows_have_one_size_lie_inside_and_are_never_padded() -> None:
    volume = Volume(np.zeros((60, 80, 5)), np.diag([-1.5, -1.0, 3.0, 1.0]))
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(30):
        first, second = random_window(volume, 60.0, rng)
        assert first.stop - first.start == 40 and second.stop - second.start == 60
        assert first.start >= 0 and first.stop <= 60 and second.stop <= 80
        starts.add((first.start, second.start))
    assert len(starts) > 20
    with pytest.raises(ValueError, match="at least 96 mm along axis 0, found 90 mm"):
        random_window(volume, 96.0, rng)


def test_the_side_is_the_patients_whatever_the_axes() -> None:
    brain = np.zeros((10, 12, 14), bool)
    brain[1:9, 1:11, 1:13] = True
    lesion = np.zeros_like(brain)
    lesion[7, 5, 5] = True
    ras = np.diag([1.0, 1.0, 1.0, 1.0])
    ras[0, 3] = -300.0
    for codes in ("RAS", "LPS", "SAR", "PIL"):
        turned, whole = (Volume(m, ras).oriented(codes) for m in (lesion, brain))
        assert lesion_side(turned.array, whole.array, turned.affine) == "right"
    with pytest.raises(ValueError, match="0 lesion"):
        lesion_side(np.zeros_like(brain), brain, ras)


def test_levels_are_nested_and_keep_the_grey_zone() -> None:
    mask = np.zeros((20, 20), np.uint8)
    assert tumour_level(mask, 1.0) == tumour_present(mask, 1.0) == 0
    mask[:10, :10] = 2
    assert (tumour_level(mask, 1.0), tumour_present(mask, 1.0)) == (1, 1)
    for core in (1, 3):
        mask[:5, :10] = core
        assert (tumour_level(mask, 1.0), tumour_present(mask, 1.0)) == (2, 1)
    mask[:5, :10] = 2
    mask[0, 0] = 3
    assert tumour_level(mask, 1.0) is None and tumour_present(mask, 1.0) is None


def test_slices_as_labelled_images(volumes: Volumes) -> None:
    rows = label_slices(volumes)
    images = slice_images(volumes, rows)
    assert images.images.dtype == torch.float16 and images.inputs() is images.images
    assert images.ids[0] == f"{rows[0].case.id}/k{rows[0].k:03d}" and len(set(images.ids)) == len(
        rows
    )
    assert images.labels.tolist() == [r.label for r in rows]
    assert images.masks is not None and images.masks.shape == (len(rows), 10, 12)
    few = images.rows([2, 0])
    assert few.ids == (images.ids[2], images.ids[0])
    assert few.masks is not None and torch.equal(few.masks[1], images.masks[0])
    assert few.fingerprint != images.fingerprint
    assert slice_images(volumes, rows[:-1]).fingerprint != images.fingerprint
