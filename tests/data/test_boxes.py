"""Boxes: one convention, its neighbours as oracles, and VOC files with their slips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_convert, masks_to_boxes

from medkd_lib.data.boxes import (
    areas,
    boxes_from_mask,
    clip_boxes,
    from_coco,
    from_voc,
    from_yolo,
    to_coco,
    to_voc,
    to_yolo,
)
from medkd_lib.data.problems import DataError
from medkd_lib.data.voc import read_voc


def random_boxes(count: int = 50) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.integers(0, 40, (count, 2))
    return np.concatenate([low, low + rng.integers(1, 24, (count, 2))], axis=1).astype(float)


def test_the_single_pixel_of_the_docstring() -> None:
    mask = np.zeros((10, 10), bool)
    mask[5, 3] = True  # row 5, column 3
    box = boxes_from_mask(mask)
    assert box.tolist() == [[3, 5, 4, 6]] and areas(box).tolist() == [1]
    assert to_voc(box).tolist() == [[4, 6, 4, 6]]
    assert to_coco(box).tolist() == [[3, 5, 1, 1]]
    np.testing.assert_allclose(to_yolo(box, width=10, height=10), [[0.35, 0.55, 0.1, 0.1]])
    inclusive = masks_to_boxes(torch.from_numpy(mask[None]))
    assert inclusive.tolist() == [[3, 5, 3, 5]], "torchvision: both corners inside"


def test_area_is_the_number_of_pixels_of_a_filled_box() -> None:
    for box in random_boxes():
        x1, y1, x2, y2 = box.astype(int)
        mask = np.zeros((64, 64), np.uint8)
        mask[y1:y2, x1:x2] = 1
        np.testing.assert_array_equal(boxes_from_mask(mask), box[None])
        assert areas(box[None])[0] == mask.sum()
        oracle = masks_to_boxes(torch.from_numpy(mask[None])).numpy()
        np.testing.assert_array_equal(oracle + np.array([0, 0, 1, 1]), box[None])


def test_there_and_back() -> None:
    boxes = random_boxes()
    size = {"width": 640, "height": 480}
    np.testing.assert_array_equal(from_voc(to_voc(boxes)), boxes)
    np.testing.assert_array_equal(from_coco(to_coco(boxes)), boxes)
    np.testing.assert_allclose(from_yolo(to_yolo(boxes, **size), **size), boxes, atol=1e-10)
    tensor = torch.from_numpy(boxes)
    np.testing.assert_array_equal(to_coco(boxes), box_convert(tensor, "xyxy", "xywh"))
    scaled = box_convert(tensor, "xyxy", "cxcywh") / torch.tensor([640, 480, 640, 480])
    np.testing.assert_allclose(to_yolo(boxes, **size), scaled)


def test_components_connectivity_and_size() -> None:
    mask = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
    assert boxes_from_mask(mask).tolist() == [[0, 0, 3, 2], [4, 2, 5, 3]]
    assert boxes_from_mask(mask, connectivity="faces").tolist() == [
        [0, 0, 2, 1], [2, 1, 3, 2], [4, 2, 5, 3]]  # fmt: skip
    assert boxes_from_mask(mask, min_area=2).tolist() == [[0, 0, 3, 2]]
    assert boxes_from_mask(np.zeros((4, 4), bool)).shape == (0, 4)


def test_three_dimensions_and_the_order_of_axes() -> None:
    volume = np.zeros((6, 7, 8), bool)
    volume[1:3, 2:5, 4:8] = True
    assert boxes_from_mask(volume).tolist() == [[1, 2, 4, 3, 5, 8]]
    assert boxes_from_mask(volume, axes="zyx").tolist() == [[4, 2, 1, 8, 5, 3]]
    assert boxes_from_mask(volume[0] | volume[1], axes="xy").tolist() == [[2, 4, 5, 8]]
    assert boxes_from_mask(np.zeros((2, 2, 2), bool)).shape == (0, 6)


def test_what_is_no_binary_mask_or_no_box() -> None:
    with pytest.raises(DataError, match=r"values \[0, 2\]"):
        boxes_from_mask(np.array([[0, 2]]))
    with pytest.raises(ValueError, match="axes"):
        boxes_from_mask(np.zeros((2, 2), bool), axes="xyz")
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        to_coco([1, 2, 3, 4])
    assert from_voc([]).shape == (0, 4)


def test_clipping() -> None:
    boxes = [[-5, -5, 5, 5], [90, 90, 110, 120], [200, 0, 210, 10], [3, 3, 2, 9]]
    clipped = clip_boxes(boxes, width=100, height=100)
    assert clipped[:2].tolist() == [[0, 0, 5, 5], [90, 90, 100, 100]]
    assert areas(clipped).tolist() == [25, 100, 0, 0]


def voc(objects: str, size: str = "<width>100</width><height>80</height>") -> str:
    return f"<annotation><filename>a.png</filename><size>{size}</size>{objects}</annotation>"


def thing(corners: str, name: str = "cell", difficult: str = "0") -> str:
    edges = "".join(
        f"<{n}>{v}</{n}>"
        for n, v in zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=True)
    )
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{edges}</bndbox></object>"
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "a.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_voc_counts_from_one_and_includes_both_corners(tmp_path: Path) -> None:
    path = write(tmp_path, voc(thing("1 1 100 80") + thing("11 21 30.5 22", "nucleus", "1")))
    found = read_voc(path)
    assert found.boxes.tolist() == [[0, 0, 100, 80], [10, 20, 30.5, 22]]
    assert found.names == ("cell", "nucleus") and found.difficult == (False, True)
    assert (found.image, found.width, found.height, found.problems) == ("a.png", 100, 80, ())


@pytest.mark.parametrize(
    ("corners", "kind", "severity", "left"),
    [
        ("50 60 50 60", "degenerate_box", "warning", []),
        ("50 60 40 70", "degenerate_box", "warning", []),
        ("110 10 120 20", "outside_box", "warning", []),
        ("90 70 120 90", "clipped_box", "repaired", [[89, 69, 100, 80]]),
        ("0 0 10 10", "clipped_box", "repaired", [[0, 0, 10, 10]]),
    ],
)
def test_slips_are_reported_and_treated_by_rule(
    tmp_path: Path, corners: str, kind: str, severity: str, left: list[list[float]]
) -> None:
    found = read_voc(write(tmp_path, voc(thing("1 1 9 9", "whole") + thing(corners))))
    (problem,) = found.problems
    assert (problem.kind, problem.severity) == (kind, severity)
    assert "a.xml" in problem.where and problem.found.startswith("cell ")
    assert found.boxes.tolist() == [[0, 0, 9, 9], *left]
    assert found.names == ("whole", "cell")[: len(found.boxes)]


def test_a_picture_without_objects(tmp_path: Path) -> None:
    assert read_voc(write(tmp_path, voc(""))).boxes.shape == (0, 4)


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>',
    "unsafe_xml",
    "do not trust",
)
BROKEN = {
    "bomb": BOMB,
    "a file of this machine": (
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>',
        "unsafe_xml", "do not trust"),
    "a DTD": ("<!DOCTYPE annotation><annotation/>", "unsafe_xml", "DTD"),
    "cut": (voc(thing("1 1 2 2"))[:60], "damaged", "well-formed"),
    "no size": ("<annotation/>", "missing_field", "<width>"),
    "size zero": (voc("", "<width>0</width><height>0</height>"), "missing_field", "'0'"),
    "no name": (voc(thing("1 1 2 2", "")), "missing_field", "<name>"),
    "no number": (voc(thing("1 1 nan 2")), "missing_field", "number in <xmax>"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(tmp_path: Path, case: str) -> None:
    text, kind, message = BROKEN[case]
    with pytest.raises(DataError, match=message) as error:
        read_voc(write(tmp_path, text))
    assert error.value.problem.kind == kind


def test_the_picture_must_have_the_stated_size(tmp_path: Path) -> None:
    path = write(tmp_path, voc(thing("1 1 9 9")))
    for size in ((100, 80), (80, 100)):
        Image.new("L", size).save(tmp_path / "a.png")
        if size == (100, 80):
            assert len(read_voc(path, image=tmp_path / "a.png").boxes) == 1
    with pytest.raises(DataError, match=r"expected 100 × 80 pixels.*found 80 × 100"):
        read_voc(path, image=tmp_path / "a.png")
    with pytest.raises(DataError, match="no such file"):
        read_voc(tmp_path / "b.xml")


@pytest.mark.real_data
def test_all_real_annotations(real_data: Path) -> None:
    root = real_data / "bccd_detection"
    found = {p.stem: read_voc(p) for p in sorted((root / "Annotations").glob("*.xml"))}
    slips = {name: [p.kind for p in a.problems] for name, a in found.items() if a.problems}
    assert len(found) == 364
    assert slips == {"BloodImage_00338": ["degenerate_box"], "BloodImage_00343": ["degenerate_box"]}
    assert sum(len(a.boxes) for a in found.values()) == 4888 - 2
    first = read_voc(
        root / "Annotations/BloodImage_00000.xml", image=root / "JPEGImages/BloodImage_00000.jpg"
    )
    assert set(first.names) <= {"RBC", "WBC", "Platelets"}
