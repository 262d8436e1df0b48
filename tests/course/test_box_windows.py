"""Windows of drawn volumes: boxes lie on what is bright, and no place tells where that is."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.measure import label, regionprops

from medkd_lib.course.experiments.box_sets import box_set
from medkd_lib.course.experiments.box_windows import boxed_windows, boxes_of
from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.case import Case
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.sts import write_sts

BOXES = box_set("sts_petctmr")
# Pixels of 4 mm, as the drawn volumes have them: nothing is resampled.
SIDE, PIXEL_MM = 24, 4.0
SLICES = 12
Mask = NDArray[np.bool_]


def drawn(root: Path, marks: Sequence[Mask], shown: Sequence[Mask] | None = None) -> Index:
    """Patients whose CT is 0 HU and 200 HU where ``shown``, default where it is marked."""
    assert BOXES.windows is not None
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, BOXES.windows.slice_mm, 1.0])  # axes LPS
    cases = []
    for number, (mask, bright) in enumerate(zip(marks, shown or marks, strict=True)):
        name = f"STS_{number:03d}"
        (root / name).mkdir(parents=True)
        files = {"ct": 200.0 * bright.astype(np.float32), "ct_mask": mask.astype(np.uint8)}
        paths = {}
        for role, values in files.items():
            paths[role] = root / name / f"{role}.nii.gz"
            nib.save(nib.Nifti1Image(values, affine), paths[role])
        cases.append(
            Case(name, name, "sts_petctmr", {"ct": paths["ct"]},
                 annotations={"ct_mask": paths["ct_mask"]})
        )  # fmt: skip
    return Index(load_manifest("sts_petctmr"), root, cases)


def block(shape: tuple[int, int, int] = (40, 36, SLICES)) -> Mask:
    """A block in half of the slices, not in the middle; in the last slice one voxel."""
    mask = np.zeros(shape, bool)
    mask[12:22, 15:20, 2:8] = True
    mask[30:33, 8:12, 3] = True
    mask[20, 18, SLICES - 1] = True
    return mask


def windows(found: Index, seed: int = 0, size: int = SIDE) -> DetectionSet:
    assert BOXES.windows is not None and BOXES.window_hu is not None
    return boxed_windows(found, BOXES.windows, BOXES.window_hu, size, seed)


def test_boxes_are_those_of_what_a_window_shows(tmp_path: Path) -> None:
    made = windows(drawn(tmp_path, [block(), block()]))
    assert made.images.dtype == torch.uint8 and made.images.shape[1:] == (1, SIDE, SIDE)
    cut, several = 0, 0
    for picture, boxes, labels in zip(made.images, made.boxes, made.labels, strict=True):
        bright = (picture[0] > 150).numpy()
        # 25 mm² are two pixels
        np.testing.assert_array_equal(boxes_from_mask(bright, min_area=2), boxes)
        assert labels.tolist() == [1] * len(boxes)
        cut += bool(((boxes == 0) | (boxes == SIDE)).any())
        several += len(boxes) > 1
    assert cut and several
    assert 0 < sum(len(b) > 0 for b in made.boxes) < len(made), "sections without tumour stay"


def test_a_window_is_never_padded_and_keeps_every_section(tmp_path: Path) -> None:
    found = drawn(tmp_path, [np.zeros((40, 36, SLICES), bool)])
    made = windows(found)
    assert made.ids == tuple(f"STS_000/k{k:03d}" for k in range(SLICES))
    # 0 HU lies at 160/400 of the window; what is not measured would be black
    assert set(made.images.unique().tolist()) == {102}


def test_what_shows_less_than_the_least_is_neither_marked_nor_empty(tmp_path: Path) -> None:
    point = np.zeros((40, 36, 4), bool)
    point[20, 18, 0] = True  # in every window
    point[20:22, 18, 1] = True
    assert windows(drawn(tmp_path, [point])).ids == tuple(f"STS_000/k{k:03d}" for k in (1, 2, 3))


def test_places_know_the_seed_and_not_the_tumour(tmp_path: Path) -> None:
    """A ramp tells where a window lies, whatever is marked."""
    ramp = np.zeros((40, 36, SLICES), bool)
    ramp[::2, ::3] = True
    marked, empty = block(), np.zeros_like(ramp)
    one = windows(drawn(tmp_path / "a", [marked], [ramp]))
    two = windows(drawn(tmp_path / "b", [empty], [ramp]))
    other = windows(drawn(tmp_path / "c", [marked], [ramp]), seed=1)
    rows = [two.ids.index(name) for name in one.ids]
    assert torch.equal(one.images, two.images[rows]) and one.fingerprint != two.fingerprint
    shared = [name for name in one.ids if name in other.ids]
    moved = [
        not torch.equal(one.images[one.ids.index(n)], other.images[other.ids.index(n)])
        for n in shared
    ]
    assert np.mean(moved) > 0.5 and one.fingerprint != other.fingerprint
    again = windows(drawn(tmp_path / "d", [marked], [ramp]))
    assert torch.equal(one.images, again.images) and one.fingerprint == again.fingerprint


def test_a_smaller_budget_shows_the_same_place(tmp_path: Path) -> None:
    """96 mm are 96 mm, whatever the pixels."""
    mask = np.zeros((24, 24, 3), bool)  # one place fits
    mask[6:14, 8:20] = True
    found = drawn(tmp_path, [mask])
    fine, coarse = windows(found), windows(found, size=12)
    torch.testing.assert_close(fine.boxes[0], torch.tensor([[6.0, 8.0, 14.0, 20.0]]))
    torch.testing.assert_close(coarse.boxes[0], fine.boxes[0] / 2)


def test_a_patient_without_room_is_left_out_and_a_set_without_is_told(tmp_path: Path) -> None:
    narrow = np.zeros((40, 20, 3), bool)
    made = windows(drawn(tmp_path / "a", [narrow, block()]))
    assert set(made.patients) == {"STS_001"}
    with pytest.raises(ValueError, match=r"room for a window of 96 mm, found none among 1"):
        windows(drawn(tmp_path / "b", [narrow]))


def test_components_are_those_of_another_library() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((16, 20)) < 0.25
        found = boxes_of(torch.from_numpy(mask), 4)
        parts = [p for p in regionprops(label(mask, connectivity=2)) if p.area >= 4]
        wanted = sorted((p.bbox[1], p.bbox[0], p.bbox[3], p.bbox[2]) for p in parts)
        assert found is not None and sorted(map(tuple, found.tolist())) == wanted


def test_a_twin_is_read(tmp_path: Path) -> None:
    found = index(load_manifest("sts_petctmr"), write_sts(tmp_path / "sts", patients=1, seed=3))
    made = windows(found, size=48)
    boxes = torch.cat(made.boxes)
    assert len(made) > 20 and len(boxes) > 0
    assert boxes.min() >= 0 and boxes.max() <= 48 and (boxes[:, 2:] > boxes[:, :2]).all()
    # soft tissue is grey in this window
    assert 40 < float(made.images.float().mean()) < 160


@pytest.mark.real_data
def test_every_real_patient_has_room(real_data: Path) -> None:
    found = index(load_manifest("sts_petctmr"), real_data / "sts_petctmr")
    made = windows(found, size=96)
    assert len(set(made.patients)) == 21
    assert {p for p, b in zip(made.patients, made.boxes, strict=True) if len(b)} == set(
        made.patients
    )
    assert 0.4 < np.mean([len(b) > 0 for b in made.boxes]) < 0.6
