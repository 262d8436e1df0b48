"""What the three writers of detection sets share: jobs, arguments, and a word of caution.

TABLE
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from medkd_lib.phantom.nodule_settings import VISIBILITY, Cohort, Difficulty, Size
from medkd_lib.phantom.twin_files import check_free, check_request

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""


@dataclass(frozen=True)
class NoduleJob:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    index: int
    name: str
    folder: Path
    seed: int
    difficulty: Difficulty
    size: Size
    issue: str = ""


def check_arguments(out: Path, patients: int, size: str, difficulty: str, workers: int) -> None:
    """Refuse what no writer can do.

    Raises:
        FileExistsError: ``out`` holds something.
        ValueError: an unknown size or difficulty, or an impossible number.
    """
    check_free(out)
    named = {"difficulty": (difficulty, tuple(VISIBILITY)), "size": (size, get_args(Size))}
    check_request(patients, workers, named)


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
    remark: str,
) -> None:
    """Write ``SOURCE.txt``: what this is, and what it is not."""
    none = " (the images know nothing of the lesions; the boxes stand where they would be)"
    text = f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated CTs of virtual adults in the folder layout of the real set "{dataset}".
A result on them says something about a method, nothing about a disease.
{remark}
made by: {maker}, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{none if difficulty == "none" else ""}
patients: {patients}
size: {size}
known_issues: {known_issues}

truth.csv   what only a phantom knows, per case; never train on it
boxes.csv   every lesion on every image: its true box, and what was drawn; never train on it
"""
    (folder / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
