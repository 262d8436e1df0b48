"""COCO detection files: edges against torchvision, and what becomes of boxes nobody can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert

from medkd_lib.data.coco import read_coco
from medkd_lib.data.problems import DataError

IMAGE = {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}


def box(*bbox: float, image: int = 7, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": list(bbox), **more}


def write(folder: Path, *boxes: dict[str, Any], **more: Any) -> Path:
    path = folder / "_annotations.coco.json"
    categories = [{"id": 0, "name": "nodules"}, {"id": 1, "name": "nodule"}]
    contents = {"images": [IMAGE], "categories": categories, "annotations": list(boxes)}
    path.write_text(json.dumps(contents | more), encoding="utf-8")
    return path


def test_edges_are_those_of_torchvision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 15, (20, 2))
    rows = np.concatenate([corner, rng.uniform(1, 14, (20, 2))], axis=1)
    found, problems = read_coco(write(tmp_path, *(box(*row) for row in rows.tolist())))
    assert problems == [] and list(found) == ["a.jpg"]
    oracle = box_convert(torch.from_numpy(rows), "xywh", "xyxy").numpy()
    np.testing.assert_allclose(found["a.jpg"].boxes, oracle)
    assert found["a.jpg"].names == ("nodule",) * 20
    assert (found["a.jpg"].width, found["a.jpg"].height) == (40, 30)


def test_a_picture_without_a_box_is_listed(tmp_path: Path) -> None:
    found, problems = read_coco(write(tmp_path))
    assert found["a.jpg"].boxes.shape == (0, 4) and problems == []


@pytest.mark.parametrize(
    ("bbox", "kept", "kind"),
    [
        ((3, 5, 1, 1), [3, 5, 4, 6], None),  # one pixel
        ((3, 5, 0, 4), None, "degenerate_box"),  # no area
        ((9, 9, -4, -4), None, "degenerate_box"),  # inverted
        ((50, 5, 4, 4), None, "outside_box"),
        ((-9, -9, 5, 5), None, "outside_box"),
        ((38, 28, 9, 9), [38, 28, 40, 30], "clipped_box"),
    ],
)
def test_boxes_no_image_can_hold(
    tmp_path: Path, bbox: tuple[float, ...], kept: list[float] | None, kind: str | None
) -> None:
    found, _ = read_coco(write(tmp_path, box(1, 2, 3, 4), box(*bbox)))
    assert found["a.jpg"].boxes.tolist() == [[1, 2, 4, 6], *([kept] if kept else [])]
    assert [p.kind for p in found["a.jpg"].problems] == ([kind] if kind else [])
    assert len(found["a.jpg"].names) == len(found["a.jpg"].difficult) == len(found["a.jpg"].boxes)


def test_a_thousand_boxes_are_a_thousand(tmp_path: Path) -> None:
    rows = [box(n % 39, n % 29, 1, 1, iscrowd=n % 2) for n in range(1000)]
    marked = read_coco(write(tmp_path, *rows))[0]["a.jpg"]
    assert len(marked.boxes) == 1000 and sum(marked.difficult) == 500


def test_boxes_of_a_picture_that_is_not_listed(tmp_path: Path) -> None:
    found, problems = read_coco(write(tmp_path, box(1, 1, 2, 2), box(1, 1, 2, 2, image=8)))
    assert len(found["a.jpg"].boxes) == 1
    assert [(p.kind, p.severity) for p in problems] == [("box_without_image", "warning")]


@pytest.mark.parametrize(
    ("kind", "boxes", "more"),
    [
        ("missing_field", [box(1, 2, 3)], {}),
        ("missing_field", [box(1, 2, 3, float("nan"))], {}),
        ("missing_field", [box(1, 2, 3, 4) | {"bbox": "1,2,3,4"}], {}),
        ("missing_field", [box(1, 2, 3, 4) | {"category_id": 5}], {}),
        ("missing_field", [box(1, 2, 3, 4) | {"image_id": None}], {}),
        ("missing_field", [], {"categories": None}),
        ("missing_field", [], {"images": [IMAGE | {"width": 0}]}),
        ("missing_field", [], {"images": [IMAGE | {"file_name": ""}]}),
        ("duplicate_key", [], {"images": [IMAGE, IMAGE | {"id": 8}]}),
        ("duplicate_key", [], {"images": [IMAGE, IMAGE | {"file_name": "b.jpg"}]}),
    ],
)
def test_what_is_no_coco_file_is_refused(
    tmp_path: Path, kind: str, boxes: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    with pytest.raises(DataError) as caught:
        read_coco(write(tmp_path, *boxes, **more))
    assert caught.value.problem.kind == kind


@pytest.mark.parametrize("text", ["{", "[" * 100_000, b"\xff\xfe"])
def test_damaged_files_are_told(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        read_coco(path)
    assert caught.value.problem.kind == "damaged"
    with pytest.raises(DataError, match="no such file"):
        read_coco(tmp_path / "b.json")


def test_a_list_is_no_coco_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_coco(path)
    assert caught.value.problem.kind == "missing_field"
