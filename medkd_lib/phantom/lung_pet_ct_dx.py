"""The synthetic twin of ``lung_pet_ct_dx``: chest CT of lung cancer, tumours boxed per slice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medkd_lib.phantom.dicom_files import PROTOCOL_TIME, write_ct_series
from medkd_lib.phantom.dicom_slices import Series
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.nodule_boxes import HABITS, Box, drawn_box, true_box
from medkd_lib.phantom.nodule_cohort import (
    DRAWING,
    SCAN,
    generator,
    histologies,
    nodule_patient,
    stream,
)
from medkd_lib.phantom.nodule_patient import NodulePatient
from medkd_lib.phantom.nodule_scan import NoduleScan, scan_nodules
from medkd_lib.phantom.nodule_settings import SCANNERS, Difficulty, Size
from medkd_lib.phantom.nodule_truth import BoxRow, Rows, box_row, case_row, write_truth
from medkd_lib.phantom.nodule_twin import NoduleJob, check_arguments, write_source
from medkd_lib.phantom.twin_files import build_folder, in_order
from medkd_lib.phantom.voc_files import write_voc

FOLDER = "lung_pet_ct_dx"
BOXES = Path("Lung-PET-CT-Dx-Annotations-XML-Files-rev12222020") / "Annotation"

LENGTH_MM = 120.0
"""Height of a scan around the tumour; the release shows the whole chest (D: for speed)."""

BOTH = 3
"""Each third patient has two series, thick and thin, the others one of the two in turn (D)."""

UNBOXED = ("A", 24)
"""The patient of the release for whom there is no box; a sound twin skips the number."""

FIRST_ISSUE = 100_000
"""The stream of a broken patient lies apart from those of sound ones."""


@dataclass(frozen=True)
class DxJob(NoduleJob):
    """A job, with the letter of the tumour's histology."""

    histology: str = "A"


def patient_names(patients: int) -> list[tuple[str, str]]:
    """Names and letters of that many sound patients: counted per letter from 1."""
    counts: Counter[str] = Counter()
    found = []
    for letter in histologies(patients):
        counts[letter] += 1 + ((letter, counts[letter] + 1) == UNBOXED)
        found.append((f"Lung_Dx-{letter}{counts[letter]:04d}", letter))
    return found


def write_lung_pet_ct_dx(
    out: Path,
    *,
    patients: int = 40,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``lung_pet_ct_dx``.

    ``lung_pet_ct_dx/Lung_Dx-Xnnnn/CT/{SeriesInstanceUID}/*.dcm``, the archive's order of folders,
    one slice a file, names shuffled; X is the histology. The boxes in their first form:
    ``Lung-PET-CT-Dx-Annotations-…/Annotation/Xnnnn/{SOPInstanceUID}.xml``, Pascal VOC, one file
    per slice that was marked, the class being the letter. Plus ``truth.csv``, ``boxes.csv`` and
    ``SOURCE.txt``. PET and DICOM SR are left out. The bytes do not depend on ``workers``; more
    patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of sound patients; the letters have the release's shares.
        size: 192² (``small``) or 384² pixels.
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.nodule_settings.VISIBILITY`.
        workers: processes; 1 works in this one.
        known_issues: add patient A0024, who has no box at all (documented), and give the first
            patient an annotation of a slice that is not there and a box without area (both are
            slips of annotation tools; none is documented here). ``known_issues.csv`` lists them.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    check_arguments(out, patients, size, difficulty, workers)
    with build_folder(out) as building:
        names = patient_names(patients)
        jobs = [
            DxJob(index, name, building, seed, difficulty, size, histology=letter,
                  issue="slips" if known_issues and index == 0 else "")
            for index, (name, letter) in enumerate(names)
        ]  # fmt: skip
        if known_issues:
            letter, number = UNBOXED
            name = f"Lung_Dx-{letter}{number:04d}"
            jobs.append(DxJob(FIRST_ISSUE + number, name, building, seed, difficulty, size,
                              histology=letter, issue="no_boxes"))  # fmt: skip
            first = names[0][0]
            write_issues(building, [
                Issue(name, "no_boxes", "no slice of this patient was marked"),
                Issue(first, "box_without_image", "an annotation of a slice that is not there"),
                Issue(first, "degenerate_box", "a box without area"),
            ])  # fmt: skip
        write_truth(building, in_order(_write, jobs, workers))
        write_source(
            building, "lung_pet_ct_dx", "medkd_lib.phantom.lung_pet_ct_dx.write_lung_pet_ct_dx",
            patients=patients, size=size, seed=seed, difficulty=difficulty,
            known_issues=known_issues,
            remark="Only 12 cm of the chest around the tumour are there, and no PET.",
        )  # fmt: skip
    return out


def protocols(index: int) -> tuple[int, ...]:
    """Return which of the set's scanners patient ``index`` was before."""
    return (0, 1) if index % BOTH == BOTH - 1 else (index % BOTH,)


def _write(job: DxJob) -> Rows:
    patient = nodule_patient(
        "lung_pet_ct_dx", job.index, seed=job.seed, difficulty=job.difficulty,
        histology=job.histology,
    )  # fmt: skip
    chosen = protocols(job.index)
    scans = scan_nodules(
        patient, tuple(SCANNERS["lung_pet_ct_dx"][n] for n in chosen), size=job.size,
        height_mm=patient.lesions[0].mass.centre_mm[2], length_mm=LENGTH_MM,
        seed=stream("lung_pet_ct_dx", job.index, job.seed, SCAN),
    )  # fmt: skip
    hand = generator("lung_pet_ct_dx", job.index, job.seed, DRAWING)
    study = Series("CT", job.name, job.seed, PROTOCOL_TIME)
    cases, boxes = [], []
    for number, scan in enumerate(scans):
        # a seed of its own keeps the identifiers of two series of one patient apart
        series = Series("CT", job.name, 2 * job.seed + number, PROTOCOL_TIME)
        case = str(series.uid("series", *series.words))
        write_ct_series(
            job.folder / FOLDER / job.name / "CT" / case, scan.hu, scan.affine, patient=job.name,
            seed=series.seed, tags={
                "StudyInstanceUID": study.uid("study"), "FrameOfReferenceUID": study.uid("frame"),
                "SeriesNumber": 2 + number, "SeriesDescription": scan.scanner.name,
            },
        )  # fmt: skip
        rows = _annotate(job, case, series, patient, scan, hand)
        cases.append(
            case_row(case, job.name, job.difficulty, patient, scan, rows,
                     images=scan.hu.shape[2], histology=job.histology)
        )  # fmt: skip
        boxes += rows
    return cases, boxes


def _annotate(
    job: DxJob, case: str, series: Series, patient: NodulePatient, scan: NoduleScan,
    hand: np.random.Generator,
) -> list[BoxRow]:  # fmt: skip
    """Draw on every slice of a series, and write a file for each that was marked."""
    folder = job.folder / BOXES / job.name.removeprefix("Lung_Dx-")
    if job.issue != "no_boxes":
        folder.mkdir(parents=True, exist_ok=True)
    habit, size = HABITS["lung_pet_ct_dx"], (scan.hu.shape[0], scan.hu.shape[1])
    rows: list[BoxRow] = []
    masks = [scan.mask(n) for n in range(len(patient.lesions))]
    for k in range(scan.hu.shape[2]):
        image = str(series.uid(*series.words, k))
        drawn: list[tuple[str, Box]] = []
        for lesion, mask in enumerate(masks):
            true = true_box(mask[:, :, k])
            if true is None:
                continue
            marked = int(mask[:, :, k].sum()) >= habit.least_px and job.issue != "no_boxes"
            box = drawn_box(true, habit, hand, size) if marked else None
            if box is not None:
                drawn.append((job.histology, box))
            rows.append(box_row(case, image, job.name, patient, scan, lesion, k, true, box))
        if drawn:
            write_voc(folder / f"{image}.xml", f"{image}.dcm", size, drawn)
    if job.issue == "slips":
        _slips(job, folder, series, size, {row.image for row in rows})
    return rows


def _slips(
    job: DxJob, folder: Path, series: Series, size: tuple[int, int], shown: set[str]
) -> None:
    """Write an annotation of no slice, and a box without area on the first slice without lesion."""
    nowhere = str(series.uid("slice that was removed"))
    whole: Box = (10.0, 12.0, 30.0, 31.0)
    write_voc(folder / f"{nowhere}.xml", f"{nowhere}.dcm", size, [(job.histology, whole)])
    slices = (str(series.uid(*series.words, k)) for k in range(len(shown) + 1))
    first = next(image for image in slices if image not in shown)
    # VOC counts the right edge inside: −1 makes both corners the same column
    flat: Box = (50.0, 60.0, 51.0, 70.0)
    write_voc(folder / f"{first}.xml", f"{first}.dcm", size, [(job.histology, flat)])
