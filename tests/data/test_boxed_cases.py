"""A VOC file for each picture: boxes lie on what is bright, and slips of the mouse are left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medkd_lib.data.boxed_cases import voc_roles
from medkd_lib.data.boxed_images import boxed_images
from medkd_lib.data.boxed_pixels import pixels
from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.check import check
from medkd_lib.data.detection_set import load_detections
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.phantom.nodule_boxes import Box
from medkd_lib.phantom.voc_files import write_voc

from .boxed_files import BOX, HEIGHT, WIDTH, bright

# One pixel in the way VOC counts: both corners at 6, 6.
POINT = (5.0, 5.0, 6.0, 6.0)


def smears(root: Path, *marked: list[tuple[str, Box]]) -> Index:
    """Colour pictures 00000, 00001, … with a bright block, and what was marked on each."""
    (root / "JPEGImages").mkdir(parents=True)
    (root / "Annotations").mkdir()
    grey = np.clip((bright() + 1000) / 1100 * 255, 0, 255).astype(np.uint8)
    for number, found in enumerate(marked):
        name = f"BloodImage_{number:05d}"
        # no two pictures of the same bytes
        colours = np.stack([grey, grey, np.minimum(grey, 200 + number)], axis=-1)
        picture = Image.fromarray(colours)
        picture.save(root / "JPEGImages" / f"{name}.jpg", quality=100, subsampling=0)
        write_voc(root / "Annotations" / f"{name}.xml", f"{name}.jpg", (WIDTH, HEIGHT), found)
    return index(load_manifest("bccd_detection"), root)


def test_the_box_lies_on_what_is_bright(tmp_path: Path) -> None:
    found = smears(tmp_path, [("WBC", BOX)], [])
    images, problems = boxed_images(found)
    assert problems == []
    assert [(i.id, i.patient, i.labels) for i in images] == [
        ("BloodImage_00000", "BloodImage_00000", (2,)), ("BloodImage_00001",) * 2 + ((),),
    ]  # fmt: skip
    image, values = next(pixels(images))
    assert values.shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(boxes_from_mask(values > 120), image.boxes)
    # half the size, and the rest of the square is black
    loaded = load_detections(found, WIDTH // 2)
    torch.testing.assert_close(loaded.boxes[0], torch.tensor([BOX]) / 2)
    assert loaded.boxes[1].shape == (0, 4)
    assert not loaded.images[:, :, HEIGHT // 2 :].any() and loaded.images[0].max() > 240


def test_a_box_without_area_is_left_out_and_its_picture_kept(tmp_path: Path) -> None:
    found = smears(tmp_path, [("RBC", POINT), ("Platelets", BOX)], [("RBC", POINT)])
    images, problems = boxed_images(found)
    assert [p.kind for p in problems] == ["degenerate_box"] * 2
    assert [(i.id, i.boxes.tolist(), i.labels) for i in images] == [
        ("BloodImage_00000", [list(BOX)], (3,))
    ], "the second picture is marked and nobody knows where: it is not empty"
    # and `check` tells each of them once
    assert [p.kind for p in check(found.manifest, tmp_path)] == ["degenerate_box"] * 2


def test_a_picture_without_file_is_not_called_empty(tmp_path: Path) -> None:
    found = smears(tmp_path, [("RBC", BOX)], [("RBC", BOX)])
    first, second = found.cases
    images, problems = boxed_images(replace(found, cases=[replace(first, annotations={}), second]))
    assert [i.id for i in images] == [second.id]
    assert [(p.kind, p.severity) for p in problems] == [("unmarked", "warning")]


def test_a_class_nobody_defined_is_refused(tmp_path: Path) -> None:
    found = smears(tmp_path, [("RBC", BOX)], [("amoeba", BOX)])
    with pytest.raises(DataError, match=r"expected one of the classes .*RBC.*'amoeba'") as caught:
        boxed_images(found)
    assert caught.value.problem.kind == "unknown_label"
    images, _ = boxed_images(found, drop_broken=True)
    assert [i.id for i in images] == ["BloodImage_00000"]


def test_only_one_picture_and_one_file_make_a_pair() -> None:
    smear = load_manifest("bccd_detection")
    assert voc_roles(smear) == ("image", "boxes")
    assert voc_roles(load_manifest("sts_petctmr")) is None  # masks
    assert voc_roles(load_manifest("lungct_roboflow")) is None  # one file for a folder
    assert smear.layout is not None
    two = smear.layout.model_copy(update={"images": {"image": "a/*.jpg", "other": "b/*.jpg"}})
    assert voc_roles(smear.model_copy(update={"layout": two})) is None


@pytest.mark.real_data
def test_all_real_smears(real_data: Path) -> None:
    found = index(load_manifest("bccd_detection"), real_data / "bccd_detection")
    images, problems = boxed_images(found)
    assert len(images) == 364 and sum(len(i.boxes) for i in images) == 4888 - 2
    slips = sorted(Path(p.where).stem for p in problems)
    assert slips == ["BloodImage_00338", "BloodImage_00343"]
    assert {n: len(i.boxes) > 0 for n in slips for i in images if i.id == n} == dict.fromkeys(
        slips, True
    )
