"""The synthetic twin of ``deeplesion``: CT slices with measured lesions of three body regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from medkd_lib.phantom.deeplesion_table import TableRow, table_row, write_table_rows
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.nodule_boxes import HABITS, measured, true_box
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
from medkd_lib.phantom.nodule_settings import SCANNERS, Difficulty, Size
from medkd_lib.phantom.nodule_truth import CaseRow, Rows, box_row, case_row, write_truth
from medkd_lib.phantom.nodule_twin import NoduleJob, check_arguments, write_source
from medkd_lib.phantom.twin_files import build_folder, in_order

FOLDER = "Images_png"

OFFSET = 32768
"""Added to every CT number, so that 16 bits without a sign hold it (the release's own script)."""

LENGTH_MM = 50.0
"""Height of a folder's slices around the lesion looked for (D)."""

FOLLOWED = 0.3
"""Share of the patients who come back for a second study (D; the release has 2.4 a patient)."""

GROWTH = (0.15, 0.25)
"""Mean and spread of the logarithm of a lesion's growth in diameter between both (D)."""

SPLIT_BLOCK = (1, 1, 1, 1, 2, 1, 1, 3, 1, 1, 1, 2, 1, 3, 1, 1, 1, 2, 1, 3)
"""``Train_Val_Test`` of each 20 patients in a row: 14, 3 and 3, the release's 70, 15 and 15 %."""

SPLIT_NAMES = {1: "train", 2: "val", 3: "test"}


@dataclass(frozen=True)
class Slips:
    """Names of the kinds of broken rows that the first patient gets on request."""

    noisy = "noisy_box"
    outside = "outside_box"
    missing = "box_without_image"


def write_deeplesion(
    out: Path,
    *,
    patients: int = 40,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``deeplesion``.

    ``Images_png/{patient}_{study}_{series}/{slice}.png`` (16 bits, HU + 32768) and
    ``DL_info.csv`` with the release's columns, one row per marked lesion: all boxes of a folder
    are on one key slice, made of the two diameters and a margin, and nothing says what the other
    slices show. Lesion types (numbers as commonly given, not verified): 3 mediastinum, 4 liver,
    5 lung; −1 for all training rows; bone, abdomen, kidney, soft tissue and pelvis are left out.
    Plus ``truth.csv``, ``boxes.csv`` (with the lesions that nobody marked) and ``SOURCE.txt``. The
    bytes do not depend on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; three in ten come twice.
        size: 192² (``small``) or 384² pixels.
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.nodule_settings.VISIBILITY`.
        workers: processes; 1 works in this one.
        known_issues: add to the first patient a row marked as possibly noisy (documented), one
            whose box lies outside the image and one whose slice is not there (neither is).
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
        folder = building / FOLDER
        folder.mkdir()
        jobs = [
            NoduleJob(index, f"{index + 1:06d}", folder, seed, difficulty, size)
            for index in range(patients)
        ]
        truth: list[Rows] = []
        table: list[TableRow] = []
        for rows, lines in in_order(_write, jobs, workers):
            truth.append(rows)
            table += lines
        if known_issues:
            table += _broken(table[0])
            case = table[0].File_name.rsplit("_", 1)[0]
            write_issues(building, [
                Issue(case, Slips.noisy, "a row with Possibly_noisy = 1"),
                Issue(case, Slips.outside, "a box wholly outside the image"),
                Issue(case, Slips.missing, "a row whose key slice is not there"),
            ])  # fmt: skip
        write_table_rows(building / "DL_info.csv", table)
        write_truth(building, truth)
        write_source(
            building, "deeplesion", "medkd_lib.phantom.deeplesion.write_deeplesion",
            patients=patients, size=size, seed=seed, difficulty=difficulty,
            known_issues=known_issues,
            remark="Five of the release's eight kinds of lesions are left out.",
        )  # fmt: skip
    return out


def _write(job: NoduleJob) -> tuple[Rows, list[TableRow]]:
    patient = nodule_patient("deeplesion", job.index, seed=job.seed, difficulty=job.difficulty)
    choice = generator("deeplesion", job.index, job.seed, CHOICE)
    hand = generator("deeplesion", job.index, job.seed, DRAWING)
    age = int(choice.integers(35, 86))
    twice = bool(choice.random() < FOLLOWED)
    cases, boxes, lines = [], [], []
    for study in range(1 + twice):
        protocol = SCANNERS["deeplesion"][int(choice.random() < 0.25)]
        now = patient if study == 0 else _grown(patient, float(choice.normal(*GROWTH)))
        purpose = SCAN + 10 * (study + 1)
        (scan,) = scan_nodules(
            now, (protocol,), size=job.size, height_mm=now.lesions[0].mass.centre_mm[2],
            length_mm=LENGTH_MM, seed=stream("deeplesion", job.index, job.seed, purpose),
        )  # fmt: skip
        case = f"{job.name}_{study + 1:02d}_01"
        found, marked = _mark(job, case, study, now, scan, age, choice, hand)
        cases.append(found[0][0])
        boxes += found[1]
        lines += marked
    return (cases, boxes), lines


def _grown(patient: NodulePatient, growth: float) -> NodulePatient:
    """Return the patient at the second study, the lesion looked for larger or smaller."""
    first, *others = patient.lesions
    mass = replace(first.mass, radius_mm=first.mass.radius_mm * float(np.exp(growth)))
    return replace(patient, lesions=(replace(first, mass=mass), *others))


def _mark(
    job: NoduleJob, case: str, study: int, patient: NodulePatient, scan: NoduleScan, age: int,
    choice: np.random.Generator, hand: np.random.Generator,
) -> tuple[tuple[list[CaseRow], list], list[TableRow]]:  # fmt: skip
    """Write the slices of a study, and measure what is marked on its key slice."""
    masks = [scan.mask(n) for n in range(len(patient.lesions))]
    areas = masks[0].sum(axis=(0, 1))
    key = int(areas.argmax())
    if not areas[key]:
        raise ValueError(
            f"{case}: expected the lesion on a slice, found {patient.lesions[0].diameter_mm:.1f} mm"
            " hidden by bone or airway; take another seed"
        )
    # slices are numbered from the head down; the first is not number 1
    count, first = scan.hu.shape[2], int(choice.integers(5, 200))
    numbers = [first + count - 1 - k for k in range(count)]
    folder = job.folder / case
    folder.mkdir()
    for k, number in enumerate(numbers):
        stored = (scan.hu[:, :, k].T.astype(np.int32) + OFFSET).astype(np.uint16)
        Image.fromarray(stored).save(folder / f"{number:03d}.png")
    habit, split = HABITS["deeplesion"], SPLIT_BLOCK[job.index % len(SPLIT_BLOCK)]
    rows, lines = [], []
    for k in range(count):
        for lesion, mask in enumerate(masks):
            seen = mask[:, :, k]
            true = true_box(seen)
            if true is None:
                continue
            box = None
            if k == key and (lesion == 0 or hand.random() < habit.marked):
                found = measured(seen, habit, hand)
                box = found.box
                lines.append(
                    table_row(case, numbers, key, study, patient, scan, lesion, found, age, split)
                )
            image = f"{case}_{numbers[k]:03d}.png"
            rows.append(box_row(case, image, job.name, patient, scan, lesion, k, true, box))
    truth = case_row(
        case, job.name, job.difficulty, patient, scan, rows, images=count,
        split=SPLIT_NAMES[split],
    )  # fmt: skip
    return ([truth], rows), lines


def _broken(row: TableRow) -> list[TableRow]:
    """Return three rows like the first, each with one defect."""
    side = float(row.Image_size.split(",")[0])
    nowhere = row.File_name.rsplit("_", 1)[0] + "_999.png"
    outside = ", ".join(f"{v:g}" for v in (side + 5, 3.0, side + 20, 15.0))
    return [
        replace(row, Possibly_noisy=1),
        replace(row, Bounding_boxes=outside),
        replace(row, File_name=nowhere, Key_slice_index=999),
    ]
