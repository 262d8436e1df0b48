"""`data check`: every planted defect once, with the right severity; nothing about sound data."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medkd_lib.data.check import check
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.problems import Problem
from medkd_lib.phantom.brats import write_brats

from .tiny import AFFINE, SHAPE, brain, lesion, manifest, write, write_case, write_set


def found(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(p.kind, p.severity, Path(p.where).name) for p in problems]


def test_a_sound_folder_has_no_problem(tmp_path: Path) -> None:
    seen: list[str] = []
    assert check(manifest(), write_set(tmp_path), seen.append) == []
    assert seen == ["P0", "P1", "P2"]


def test_every_planted_defect_is_told_once(tmp_path: Path) -> None:
    """Nine broken cases and a sound one; files by their names, all in one run."""
    write_set(tmp_path, 10)

    def file(case: int, role: str) -> Path:
        return tmp_path / f"P{case}" / f"P{case}-{role}.nii.gz"

    file(1, "t2").unlink()
    file(2, "t1").write_bytes(file(2, "t1").read_bytes()[:-200])
    write(file(3, "t2"), np.where(brain(3) > 900, np.nan, brain(3)).astype(np.float32))
    write(file(4, "seg"), np.where(lesion(4) == 3, 4, lesion(4)).astype(np.uint8))
    write(file(5, "seg"), lesion(5), AFFINE + np.eye(4)[:, [3, 1, 2, 0]] * [[0, 0, 0, 3]])
    write(file(6, "seg"), np.roll(lesion(6), 5, axis=0))
    write(file(7, "t1"), np.full(SHAPE, 7, np.int16))
    write(file(7, "seg"), np.zeros(SHAPE, np.uint8))
    for role in ("t1", "t2", "seg"):
        shutil.copy(file(0, role), file(8, role))
    write(file(9, "seg"), (lesion(9) * np.float32(0.99999997)).astype(np.float32) + 1e-6)
    assert sorted(found(check(manifest(), tmp_path))) == sorted(
        [
            ("missing_modality", "error", "case P1"),
            ("truncated", "error", "P2-t1.nii.gz"),
            ("nan_voxels", "error", "P3-t2.nii.gz"),
            ("unknown_label", "error", "P4-seg.nii.gz"),
            ("grid_mismatch", "error", "P5-seg.nii.gz"),
            ("mask_beside_tissue", "warning", "P6-seg.nii.gz"),
            ("constant", "warning", "P7-t1.nii.gz"),
            ("empty_mask", "warning", "P7-seg.nii.gz"),
            ("duplicate_patient", "error", "case P8"),
            ("near_integer", "repaired", "P9-seg.nii.gz"),
        ]
    )


def test_one_broken_file_does_not_hide_another(tmp_path: Path) -> None:
    write_case(tmp_path, "P0", 0)
    for role in ("t1", "seg"):
        (tmp_path / "P0" / f"P0-{role}.nii.gz").write_bytes(b"")
    assert found(check(manifest(), tmp_path)) == [
        ("empty_file", "error", "P0-seg.nii.gz"),
        ("empty_file", "error", "P0-t1.nii.gz"),
    ]


def test_every_volume_off_the_grid_is_named(tmp_path: Path) -> None:
    write_case(tmp_path, "P0", 0)
    for role in ("t2", "seg"):
        write(tmp_path / "P0" / f"P0-{role}.nii.gz", lesion(0), np.diag([2.0, 2, 2, 1]))
    assert [k for k, _, _ in found(check(manifest(), tmp_path))] == ["grid_mismatch"] * 2


def test_repairs_come_after_errors_and_before_warnings(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    (tmp_path / "P0" / "P0-t2.nii.gz").unlink()
    write(tmp_path / "P1" / "P1-seg.nii.gz", np.zeros(SHAPE, np.uint8))
    fix = {"cases": ["P2"], "what": "lost", "action": "fix_affine", "source": "here",
           "role": "seg", "to": "copy:t1"}  # fmt: skip
    problems = check(manifest(known_issues=[fix]), tmp_path)
    assert [p.severity for p in problems] == ["error", "repaired", "warning"]


def test_a_known_issue_that_repairs_silences_the_error(tmp_path: Path) -> None:
    write_set(tmp_path, 2)
    write(tmp_path / "P1" / "P1-seg.nii.gz", lesion(1), np.diag([2.0, 2, 2, 1]))
    assert [p.severity for p in check(manifest(), tmp_path)] == ["error"]
    fix = {"cases": ["P1"], "what": "lost", "action": "fix_affine", "source": "here",
           "role": "seg", "to": "copy:t1"}  # fmt: skip
    repaired = found(check(manifest(known_issues=[fix]), tmp_path))
    assert repaired == [("fixed_affine", "repaired", "case P1 seg")]


def two_grids(root: Path, shift_mm: float) -> dict[str, Any]:
    """Write CT and PET of one patient, each with its own mask of one ball."""
    for role, step in (("ct", 1.0), ("pet", 4.0)):
        affine = np.diag([-step, -step, step, 1.0])
        edge = 20 - step / 2
        affine[:3, 3] = edge + (shift_mm if role == "pet" else 0.0), edge, -edge
        shape = (int(40 / step),) * 3
        index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
        place = index * step - edge
        ball = (place**2).sum(axis=0) < 64
        write(root / "P0" / f"P0-{role}.nii.gz", ball.astype(np.float32) + 1, affine)
        write(root / "P0" / f"P0-{role}_mask.nii.gz", ball.astype(np.uint8), affine)
    return {
        "images": {"ct": "*/*-ct.nii.gz", "pet": "*/*-pet.nii.gz"},
        "annotations": {"ct_mask": "*/*-ct_mask.nii.gz", "pet_mask": "*/*-pet_mask.nii.gz"},
        "case_regex": r"^(?P<patient>P\d)/",
        "grids": [["ct", "ct_mask"], ["pet", "pet_mask"]],
    }


@pytest.mark.parametrize(("shift_mm", "told"), [(0.0, False), (2.0, False), (9.0, True)])
def test_masks_of_one_lesion_that_lie_apart(tmp_path: Path, shift_mm: float, told: bool) -> None:
    layout = two_grids(tmp_path, shift_mm)
    problems = check(manifest(layout), tmp_path)
    assert found(problems) == ([("masks_apart", "warning", "case P0")] if told else [])


def test_a_folder_with_nothing_is_one_problem(tmp_path: Path) -> None:
    assert [p.kind for p in check(manifest(), tmp_path)] == ["no_case"]
    assert [p.kind for p in check(manifest(), tmp_path / "nowhere")] == ["no_folder"]
    assert [p.kind for p in check(manifest().model_copy(update={"layout": None}), tmp_path)] == [
        "no_layout"]  # fmt: skip


def test_tables_are_part_of_it(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "labels.csv").write_text("id,mets\nP0,1\nP1,7\n")
    outcome = {"kind": "classes", "values": [{"id": 0, "name": "no"}, {"id": 1, "name": "yes"}]}
    listed = manifest(
        {"table": {"file": "labels.csv", "key": "id", "label": "mets"}}, outcome=outcome
    )
    assert found(check(listed, tmp_path)) == [
        ("unknown_label", "error", "labels.csv row P1"),
        ("no_label", "warning", "case P2"),
    ]


def test_the_documented_broken_cases_of_a_brain_twin_are_all_seen(tmp_path: Path) -> None:
    write_brats(tmp_path / "twin", task="gli", patients=2, size="small", seed=0,
                difficulty="clear", workers=1, known_issues=True)  # fmt: skip
    problems = check(load_manifest("brats2023_gli"), tmp_path / "twin")
    kinds = {
        "missing_t2w": "missing_modality", "old_label_4": "unknown_label",
        "misregistered_seg": "mask_beside_tissue", "odd_seg_name": "missing_modality",
        "repeated_case": "duplicate_patient", "truncated_file": "truncated",
        "nan_voxels": "nan_voxels", "empty_seg": "empty_mask", "flipped_affine": "grid_mismatch",
    }  # fmt: skip
    lines = (tmp_path / "twin" / "known_issues.csv").read_text().splitlines()[1:]
    planted = {line.split(",")[0]: line.split(",")[1] for line in lines}
    assert set(planted.values()) == set(kinds)
    for case, kind in planted.items():
        told = [p.kind for p in problems if case in p.where]
        # A shift by a few voxels shows only where the tumour touches the rim of the brain.
        assert told == [kinds[kind]] or (kind == "misregistered_seg" and told == []), (kind, told)
    assert len([p for p in problems if not any(case in p.where for case in planted)]) == 0


def pictures(root: Path, mask: Any, **changes: Any) -> list[Problem]:
    """Check one picture of 9 × 8 pixels with its mask."""
    Image.fromarray(np.arange(72, dtype=np.uint8).reshape(8, 9)).save(root / "P1_image.png")
    Image.fromarray(np.asarray(mask, np.uint8)).save(root / "P1_mask.png")
    layout = {"images": {"image": "*_image.png"}, "annotations": {"seg": "*_mask.png"},
              "case_regex": r"(?P<patient>P\d)_"} | changes  # fmt: skip
    return check(manifest(layout), root)


def test_masks_of_pictures_are_compared_with_labels_and_image(tmp_path: Path) -> None:
    sound = np.arange(72).reshape(8, 9) % 4
    assert pictures(tmp_path, sound) == []
    assert found(pictures(tmp_path, np.where(sound == 3, 7, sound))) == [
        ("unknown_label", "error", "P1_mask.png")]  # fmt: skip
    (turned,) = pictures(tmp_path, sound.T)
    assert turned.kind == "size_mismatch" and turned.found == "8 × 9"
    assert turned.expected.startswith("9 × 8 pixels")
    assert pictures(tmp_path, sound.T, grids=[["image"], ["seg"]]) == []


def test_boxes_are_compared_with_picture_and_classes(tmp_path: Path) -> None:
    Image.fromarray(np.arange(72, dtype=np.uint8).reshape(8, 9)).save(tmp_path / "P1.png")

    def boxes(width: int, name: str) -> list[tuple[str, str, str]]:
        (tmp_path / "P1.xml").write_text(
            f"<a><size><width>{width}</width><height>8</height></size><object><name>{name}</name>"
            "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></a>"
        )
        layout = {"images": {"image": "*.png"}, "annotations": {"boxes": "*.xml"},
                  "case_regex": r"(?P<patient>P\d)"}  # fmt: skip
        labels = {"kind": "boxes", "values": [{"id": 1, "name": "cell"}]}
        return found(check(manifest(layout, labels=labels), tmp_path))

    assert boxes(9, "cell") == []
    assert boxes(9, "zebra") == [("unknown_label", "error", "P1.xml")]
    assert sorted(boxes(100, "zebra")) == [
        ("size_mismatch", "error", "P1.xml"), ("unknown_label", "error", "P1.xml")]  # fmt: skip


def archive(root: Path, **images: Any) -> list[tuple[str, str]]:
    splits = ("train", "val", "test")
    labels: dict[str, Any] = {f"{s}_labels": np.zeros((2, 1), np.uint8) for s in splits}
    np.savez(root / "x.npz", **labels, **images)
    layout = {"kind": "npz", "images": {"image": "x.npz"}, "annotations": {}}
    classes = {"kind": "classes", "values": [{"id": 0, "name": "n"}]}
    return [(p.kind, p.severity) for p in check(manifest(layout, labels=classes), root)]


def test_archives_without_images_or_with_fewer(tmp_path: Path) -> None:
    two = {f"{s}_images": np.zeros((2, 8, 8), np.uint8) for s in ("train", "val", "test")}
    assert archive(tmp_path, **two) == []
    assert archive(tmp_path) == [("bad_archive", "error")]
    one = {"val_images": np.zeros((1, 8, 8), np.uint8)}
    assert archive(tmp_path, **(two | one)) == [("row_mismatch", "error")]


def test_a_role_that_cannot_be_read_yet_is_told_once(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "P1" / "P1-t2.nii.gz").write_bytes(b"")
    seg = {"glob": "*/*-seg.nii.gz", "unread": "nobody knows its axes"}
    assert found(check(manifest({"annotations": {"seg": seg}}), tmp_path)) == [
        ("empty_file", "error", "P1-t2.nii.gz"), ("unread", "error", "tiny seg")]  # fmt: skip


def test_the_broken_lender_of_an_affine_is_told_once(tmp_path: Path) -> None:
    write_case(tmp_path, "P0", 0)
    (tmp_path / "P0" / "P0-t1.nii.gz").write_bytes(b"")
    fix = {"cases": ["P0"], "what": "lost", "action": "fix_affine", "source": "here",
           "role": "seg", "to": "copy:t1"}  # fmt: skip
    assert found(check(manifest(known_issues=[fix]), tmp_path)) == [
        ("empty_file", "error", "P0-t1.nii.gz")]  # fmt: skip
