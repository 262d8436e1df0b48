"""The synthetic twin of ``lungct_roboflow``: CT slices as JPEG, divided image by image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.nodule_boxes import HABITS, Box, drawn_box, true_box
from medkd_lib.phantom.nodule_cohort import (
    CHOICE,
    DRAWING,
    SCAN,
    generator,
    nodule_patient,
    stream,
)
from medkd_lib.phantom.nodule_patient import NodulePatient
from medkd_lib.phantom.nodule_scan import NoduleScan, scan_nodules
from medkd_lib.phantom.nodule_settings import PIXELS, SCANNERS, Cohort, Difficulty, Size
from medkd_lib.phantom.nodule_truth import BoxRow, CaseRow, Rows, box_row, case_row, write_truth
from medkd_lib.phantom.nodule_twin import NoduleJob, check_arguments, write_source
from medkd_lib.phantom.twin_files import build_folder, in_order

CONTENTS = "_annotations.coco.json"

PARTS = {"train": 0.7, "valid": 0.2, "test": 0.1}
"""Folders and shares of a random division; each picture draws its own lot (D)."""

WINDOWS_HU = ((-1400.0, 0.0), (-1400.0, 0.0), (-1400.0, 200.0), (-1000.0, 400.0))
"""What the uploaders' viewers showed: one of these per patient (D; the first is that of
``lung_pet_ct_dx``)."""

WITH_LESION, WITHOUT_LESION = 5, 3
"""Slices taken of a patient, at most: with a lesion and without (D)."""

LENGTH_MM = 110.0
"""Height that the slices are taken from (D)."""

QUALITY = (70, 93)
"""JPEG quality, drawn per patient (D)."""


@dataclass(frozen=True)
class Picture:
    """One picture with what stands about it in the contents."""

    part: str
    file: str
    size: tuple[int, int]
    boxes: tuple[Box, ...]


def write_lungct_roboflow(
    out: Path,
    *,
    patients: int = 40,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout in which Roboflow exports COCO detection sets.

    ``{train,valid,test}/slice_nnnn_jpg.rf.{32 hex}.jpg`` (8 bits, windowed) with one
    ``_annotations.coco.json`` per folder; plus ``truth.csv``, ``boxes.csv`` and ``SOURCE.txt``.
    Nothing of the real set but its name and number of images could be found: layout, window,
    prevalence and hand are our choice. Its likely fault is made on purpose: each picture is put
    into a folder by lot, so that slices of one patient lie on both sides, and no name tells whose
    they are (``truth.csv`` does). The bytes do not depend on ``workers``; more patients leave the
    earlier pictures as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of virtual patients, up to eight pictures of each.
        size: 192² (``small``) or 384² pixels.
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.nodule_settings.VISIBILITY`.
        workers: processes; 1 works in this one.
        known_issues: copy one training picture into ``test`` under another name, name a picture
            that is not there, and draw a box without area. None is documented: nothing is.
            ``known_issues.csv`` lists them.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    check_arguments(out, patients, size, difficulty, workers)
    with build_folder(out) as building:
        for part in PARTS:
            (building / part).mkdir()
        jobs = [
            NoduleJob(index, f"{index + 1:04d}", building, seed, difficulty, size)
            for index in range(patients)
        ]
        truth: list[Rows] = []
        pictures: list[Picture] = []
        for rows, found in in_order(_write, jobs, workers):
            truth.append(rows)
            pictures += found
        if known_issues:
            pictures, issues = _broken(building, pictures)
            write_issues(building, issues)
        for part in PARTS:
            _contents(building / part, [p for p in pictures if p.part == part])
        write_truth(building, truth)
        write_source(
            building, "lungct_roboflow", "medkd_lib.phantom.lungct_roboflow.write_lungct_roboflow",
            patients=patients, size=size, seed=seed, difficulty=difficulty,
            known_issues=known_issues,
            remark="Slices of one patient lie in train, valid and test: a fault made on purpose.",
        )  # fmt: skip
    return out


def _write(job: NoduleJob) -> tuple[Rows, list[Picture]]:
    cohort: Cohort = "lungct_roboflow"
    patient = nodule_patient(cohort, job.index, seed=job.seed, difficulty=job.difficulty)
    choice = generator(cohort, job.index, job.seed, CHOICE)
    hand = generator(cohort, job.index, job.seed, DRAWING)
    protocol = SCANNERS[cohort][int(choice.integers(len(SCANNERS[cohort])))]
    low, high = WINDOWS_HU[int(choice.integers(len(WINDOWS_HU)))]
    quality = int(choice.integers(*QUALITY))
    (scan,) = scan_nodules(
        patient, (protocol,), size=job.size, height_mm=patient.lesions[0].mass.centre_mm[2],
        length_mm=LENGTH_MM, seed=stream(cohort, job.index, job.seed, SCAN),
    )  # fmt: skip
    cases: list[CaseRow] = []
    boxes: list[BoxRow] = []
    pictures: list[Picture] = []
    for k in _chosen(scan, choice):
        digest = hashlib.sha256(f"{job.seed} {job.difficulty} {job.index} {k}".encode()).hexdigest()
        name = f"slice_{int(choice.integers(10_000)):04d}_jpg.rf.{digest[:32]}"
        part = str(choice.choice(list(PARTS), p=list(PARTS.values())))
        grey = np.clip((scan.hu[:, :, k].T - low) / (high - low), 0.0, 1.0) * 255.0
        Image.fromarray(np.rint(grey).astype(np.uint8)).save(
            job.folder / part / f"{name}.jpg", quality=quality
        )
        rows, drawn = _annotate(job, name, patient, scan, k, hand)
        middle = 0.5 * (scan.hu.shape[2] - 1)
        cases.append(
            case_row(
                name, job.name, job.difficulty, patient, scan, rows, images=1,
                split={"valid": "val"}.get(part, part), window=f"{low:g}..{high:g}",
                height_mm=(k - middle) * scan.spacing_mm[2],
            )
        )  # fmt: skip
        boxes += rows
        pictures.append(Picture(part, f"{name}.jpg", (PIXELS[job.size],) * 2, tuple(drawn)))
    return (cases, boxes), pictures


def _chosen(scan: NoduleScan, choice: np.random.Generator) -> list[int]:
    """Choose slices with a lesion and without, from the feet up."""
    shows = np.any([scan.mask(n).any(axis=(0, 1)) for n in range(len(scan.shares))], axis=0)
    found: list[int] = []
    for wanted, many in ((True, WITH_LESION), (False, WITHOUT_LESION)):
        there = np.flatnonzero(shows == wanted)
        found += choice.choice(there, min(many, len(there)), replace=False).tolist()
    return sorted(found)


def _annotate(
    job: NoduleJob, case: str, patient: NodulePatient, scan: NoduleScan, k: int,
    hand: np.random.Generator,
) -> tuple[list[BoxRow], list[Box]]:  # fmt: skip
    habit, size = HABITS["lungct_roboflow"], (scan.hu.shape[0], scan.hu.shape[1])
    rows: list[BoxRow] = []
    drawn: list[Box] = []
    for lesion in range(len(patient.lesions)):
        mask = scan.mask(lesion)[:, :, k]
        true = true_box(mask)
        if true is None:
            continue
        seen = int(mask.sum()) >= habit.least_px and bool(hand.random() < habit.marked)
        box = drawn_box(true, habit, hand, size) if seen else None
        if box is not None:
            drawn.append(box)
        rows.append(box_row(case, f"{case}.jpg", job.name, patient, scan, lesion, k, true, box))
    return rows, drawn


def _broken(folder: Path, pictures: Sequence[Picture]) -> tuple[list[Picture], list[Issue]]:
    """Return the pictures with a defect each of three kinds; the copy is written."""
    first = next(p for p in pictures if p.part == "train" and p.boxes)
    names = [
        f"slice_{9990 + n}_jpg.rf.{hashlib.sha256(f'{first.file} {n}'.encode()).hexdigest()[:32]}"
        for n in range(2)
    ]
    copy, nowhere = (f"{name}.jpg" for name in names)
    (folder / "test" / copy).write_bytes((folder / "train" / first.file).read_bytes())
    flat: Box = (20.0, 30.0, 20.0, 40.0)
    changed = [replace(p, boxes=(*p.boxes, flat)) if p is first else p for p in pictures]
    changed += [
        Picture("test", copy, first.size, first.boxes),
        Picture("train", nowhere, first.size, ((10.0, 10.0, 20.0, 20.0),)),
    ]
    return changed, [
        Issue(names[0], "duplicate_patient", f"the bytes of {first.file} in another part"),
        Issue(first.file.removesuffix(".jpg"), "degenerate_box", "a box without area"),
        Issue(names[1], "box_without_image", "the contents name a picture that is not there"),
    ]


def _contents(folder: Path, pictures: Sequence[Picture]) -> None:
    """Write a folder's boxes; category 0 is the empty one that such exports begin with (D)."""
    ordered = sorted(pictures, key=lambda p: p.file)
    images = [
        {"id": n, "license": 1, "file_name": p.file, "width": p.size[0], "height": p.size[1]}
        for n, p in enumerate(ordered)
    ]
    found = [(n, box) for n, p in enumerate(ordered) for box in p.boxes]
    annotations = [
        {"id": i, "image_id": n, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
         "area": (x2 - x1) * (y2 - y1), "segmentation": [], "iscrowd": 0}
        for i, (n, (x1, y1, x2, y2)) in enumerate(found)
    ]  # fmt: skip
    contents = {
        "info": {"description": "synthetic: virtual chests"},
        "licenses": [],
        "categories": [
            {"id": 0, "name": "nodules", "supercategory": "none"},
            {"id": 1, "name": "nodule", "supercategory": "nodules"},
        ],
        "images": images,
        "annotations": annotations,
    }
    text = json.dumps(contents, indent=1) + "\n"
    (folder / CONTENTS).write_text(text, encoding="utf-8", newline="\n")
