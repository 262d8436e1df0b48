"""What the writers of the liver and the kidney set share: jobs, arguments, files, a warning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from medkd_lib.data.volume import Volume
from medkd_lib.phantom.abdomen_case import AbdomenCase
from medkd_lib.phantom.abdomen_protocol import Cohort, Size
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.ct import CTScan
from medkd_lib.phantom.twin_files import check_free, check_request, write_nifti

GENERATOR_VERSION = "2"
"""Raised whenever the same seed gives other bytes."""


@dataclass(frozen=True)
class AbdomenJob:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    index: int
    folder: Path
    seed: int
    difficulty: Difficulty
    size: Size


def check_arguments(
    out: Path, patients: int, size: str, difficulty: str, workers: int, *, least: int = 1,
    why: str = "",
) -> None:  # fmt: skip
    """Refuse what no writer can do.

    Raises:
        FileExistsError: ``out`` holds something.
        ValueError: an unknown size or difficulty, or an impossible number.
    """
    check_free(out)
    named = {
        "difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size)),
    }  # fmt: skip
    check_request(patients, workers, named, least=least, why=why)


def write_pair(case: AbdomenCase, image: Path, mask: Path, axcodes: str) -> None:
    """Write CT (int16 HU) and mask (uint8) with their axes as a release has them.

    Args:
        case: axes Left, Posterior, Superior in memory.
        image: file to write.
        mask: the other one.
        axcodes: where the axes of the files point to.
    """
    stored = CTScan(case.hu, case.anatomy.grid.spacing_mm, case.affine).stored()
    for path, array in ((image, stored), (mask, case.label)):
        turned = Volume(array, case.affine).oriented(axcodes)
        write_nifti(path, turned.array, turned.affine)


def write_source(
    folder: Path,
    dataset: Cohort,
    maker: str,
    *,
    patients: int,
    size: Size,
    seed: int,
    difficulty: Difficulty,
    known_issues: bool,
) -> None:
    """Write ``SOURCE.txt``: what this is, and what it is not."""
    remark = " (the images know nothing of the lesions)" if difficulty == "none" else ""
    text = f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated CTs of virtual adults in the folder layout of the real set "{dataset}".
A result on them says something about a method, nothing about a disease.

made by: {maker}, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}
known_issues: {known_issues}

truth.csv, lesions.csv   what only a phantom knows; never train on them
"""
    (folder / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
