"""Three formats, one list: each box lies on what was bright, and what cannot be used is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medkd_lib.data.boxed_images import boxed_images
from medkd_lib.data.boxed_pixels import box_problems, pixels
from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.case import LayoutError
from medkd_lib.data.check import check
from medkd_lib.data.detection_set import load_detections
from medkd_lib.data.index import index
from medkd_lib.data.manifest import ManifestError, manifest_folder, read_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.phantom.voc_files import write_voc

from .boxed_files import BOX, HEIGHT, MAKE, WIDTH, coco, deeplesion, dicom


@pytest.mark.parametrize("name", MAKE)
def test_the_box_lies_on_what_is_bright(tmp_path: Path, name: str) -> None:
    images, problems = boxed_images(MAKE[name](tmp_path))
    assert problems == []
    assert {"deeplesion": 2, "coco": 2, "dicom": 4}[name] == len(images)
    marked = [(image, values) for image, values in pixels(images) if len(image.boxes)]
    assert len(marked) == {"deeplesion": 2, "coco": 1, "dicom": 1}[name]
    for image, values in marked:
        assert values.shape == (HEIGHT, WIDTH) and image.size == (WIDTH, HEIGHT)
        half = (values.max() + values.min()) / 2
        np.testing.assert_array_equal(boxes_from_mask(values > half), image.boxes)
        assert image.boxes.tolist() == [list(BOX)] and image.labels == (1,)
        if name != "coco":
            assert (values.max(), values.min()) == (100, -1000)


def test_splits_windows_and_patients_are_the_releases(tmp_path: Path) -> None:
    images, _ = boxed_images(deeplesion(tmp_path / "d"))
    assert [(i.patient, i.split, i.window_hu) for i in images] == [
        ("000001", "train", (-1100.0, 100.0)), ("000002", "test", (-1000.0, 200.0)),
    ]  # fmt: skip
    images, _ = boxed_images(coco(tmp_path / "c"))
    assert [(i.id, i.split, len(i.boxes)) for i in images] == [("a", "train", 1), ("b", "val", 0)]
    (*_, last) = boxed_images(dicom(tmp_path / "x"))[0]
    assert (last.patient, last.case, last.split) == ("Lung_Dx-G0002", "1.2.3", None)


def test_a_series_nobody_marked_is_left_out(tmp_path: Path) -> None:
    found = dicom(tmp_path)
    (xml,) = tmp_path.rglob("*.xml")
    xml.rename(xml.with_name("1.2.3.4.xml"))
    images, problems = boxed_images(found)
    assert images == []
    assert [p.kind for p in problems] == ["unmarked", "box_without_image"]
    assert {p.severity for p in problems} == {"warning"}
    xml.with_name("1.2.3.4.xml").unlink()
    with pytest.raises(DataError, match="files with boxes") as caught:
        boxed_images(found)
    assert caught.value.problem.kind == "missing_file"


def test_two_annotations_of_one_slice_and_one_of_another_size(tmp_path: Path) -> None:
    found = dicom(tmp_path)
    (xml,) = tmp_path.rglob("*.xml")
    other = xml.parent.parent / "G0003"
    other.mkdir()
    (other / xml.name).write_bytes(xml.read_bytes())
    with pytest.raises(DataError) as caught:
        boxed_images(found)
    assert caught.value.problem.kind == "duplicate_role"
    (other / xml.name).unlink()
    write_voc(xml, "a.dcm", (WIDTH + 1, HEIGHT), [("G", BOX)])
    images, problems = boxed_images(found, drop_broken=True)
    assert [p.kind for p in problems] == ["size_mismatch"] and len(images) == 3
    write_voc(xml, "a.dcm", (WIDTH, HEIGHT), [("Z", BOX)])
    with pytest.raises(DataError) as caught:
        boxed_images(found)
    assert caught.value.problem.kind == "unknown_label"


def test_an_image_whose_boxes_were_all_dropped_is_not_called_empty(tmp_path: Path) -> None:
    found = dicom(tmp_path)
    (xml,) = tmp_path.rglob("*.xml")
    write_voc(xml, "a.dcm", (WIDTH, HEIGHT), [("G", (100.0, 2.0, 110.0, 9.0))])
    images, problems = boxed_images(found)
    assert [p.kind for p in problems] == ["outside_box"]
    assert len(images) == 3 and all(len(image.boxes) == 0 for image in images)


def test_missing_pictures_and_pictures_without_entry(tmp_path: Path) -> None:
    nowhere = {"id": 5, "file_name": "gone.jpg", "width": 9, "height": 9}
    found = coco(tmp_path, nowhere)
    images, problems = boxed_images(found)
    assert len(images) == 2 and [p.kind for p in problems] == ["box_without_image"]
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "train" / "c.jpg")
    _, problems = boxed_images(index(found.manifest, tmp_path))
    assert [p.kind for p in problems] == ["box_without_image", "unmarked"]
    row = f'000009_01_01_001.png,"1, 2, 3, 4",0,"{WIDTH}, {HEIGHT}","-175, 275",5,1'
    _, problems = boxed_images(deeplesion(tmp_path / "d", row))
    assert [p.kind for p in problems] == ["box_without_image"]


def test_a_resized_picture_is_told_by_check(tmp_path: Path) -> None:
    found = deeplesion(tmp_path)
    assert check(found.manifest, tmp_path) == []
    path = tmp_path / "Images_png" / "000001_01_01" / "009.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH - 1), np.uint16)).save(path)
    assert [p.kind for p in check(found.manifest, tmp_path)] == ["size_mismatch"]
    with pytest.raises(DataError, match="as the annotation states"):
        load_detections(found, 32)


def test_sets_without_boxes_say_so(tmp_path: Path) -> None:
    found = coco(tmp_path)
    plain = replace(found, manifest=found.manifest.model_copy(update={"boxes": None}))
    assert box_problems(plain) == []
    with pytest.raises(LayoutError, match="`boxes` in the manifest"):
        boxed_images(plain)


def test_boxes_of_an_unknown_role_or_class_are_refused(tmp_path: Path) -> None:
    text = (manifest_folder() / "lungct_roboflow.yaml").read_text(encoding="utf-8")
    for old, new in (("image: image\n", "image: ct\n"), ("nodule: 1", "nodule: 2"),
                     ('"*/_annotations', '"../*/_annotations')):  # fmt: skip
        path = tmp_path / "lungct_roboflow.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != text
        with pytest.raises(ManifestError, match="boxes"):
            read_manifest(path)
