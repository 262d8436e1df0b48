"""Images with boxes as tensors: the boxes move along, windows are the rows', nothing is stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.detection_set import load_detections
from medkd_lib.data.index import index
from medkd_lib.data.problems import DataError

from .boxed_files import BOX, MAKE, bright, coco, deeplesion, dicom


def test_tensors_keep_boxes_on_what_is_bright(tmp_path: Path) -> None:
    for name, make in MAKE.items():
        loaded = load_detections(make(tmp_path / name), 80)
        assert loaded.images.shape[1:] == (1, 80, 80) and loaded.images.dtype == torch.uint8
        assert float(loaded.inputs().min()) >= 0 and float(loaded.inputs().max()) <= 1
        rows = [row for row, boxes in enumerate(loaded.boxes) if len(boxes)]
        for row, target in zip(rows, loaded.targets(rows), strict=True):
            # twice the size; below row 60 the square is empty
            assert target["boxes"].tolist() == [[2 * v for v in BOX]]
            assert target["labels"].tolist() == [1]
            assert not loaded.images[row, 0, 60:].any()
            image = loaded.images[row, 0].float()
            assert boxes_from_mask((image > image.max() / 2).numpy()).tolist() == [
                pytest.approx([2 * v for v in BOX], abs=1.0)
            ]
        empty = [row for row in range(len(loaded)) if row not in rows]
        assert all(loaded.boxes[row].shape == (0, 4) for row in empty)
        part = loaded.rows(rows)
        assert len(part) == len(rows) and part.fingerprint != loaded.fingerprint
        assert part.patients == tuple(loaded.patients[row] for row in rows)


def test_each_image_of_hu_has_its_window(tmp_path: Path) -> None:
    found = deeplesion(tmp_path)
    own = load_detections(found, 40)
    # −1000 HU in the rows' windows −1100…100 and −1000…200
    assert [int(image[0, 0, 0]) for image in own.images] == [round(100 / 1200 * 255), 0]
    one = load_detections(found, 40, window_hu=(-2000.0, 0.0))
    assert {int(image[0, 0, 0]) for image in one.images} == {round(0.5 * 255)}
    assert one.fingerprint != own.fingerprint
    with pytest.raises(ValueError, match="low < high"):
        load_detections(found, 40, window_hu=(0.0, 0.0))
    with pytest.raises(ValueError, match="image_size"):
        load_detections(found, 0)
    series = dicom(tmp_path / "dicom")
    bare = series.manifest.model_copy(update={"preprocessing": None})
    with pytest.raises(ValueError, match="whose manifest states none"):
        load_detections(replace(series, manifest=bare), 40)


def test_sixteen_bits_without_an_offset_are_refused(tmp_path: Path) -> None:
    found = coco(tmp_path)
    picture = tmp_path / "train" / "a.jpg"
    Image.fromarray((bright() + 32768).astype(np.uint16)).save(tmp_path / "a.png")
    picture.write_bytes((tmp_path / "a.png").read_bytes())
    with pytest.raises(DataError) as caught:
        load_detections(found, 40)
    assert caught.value.problem.kind == "sixteen_bit"


def test_a_changed_image_is_not_served_from_the_cache(tmp_path: Path) -> None:
    found = deeplesion(tmp_path)
    before = load_detections(found, 40)
    path = tmp_path / "Images_png" / "000001_01_01" / "009.png"
    Image.fromarray((bright() + 32769).astype(np.uint16)).save(path)
    after = load_detections(index(found.manifest, tmp_path), 40)
    assert after.fingerprint != before.fingerprint
