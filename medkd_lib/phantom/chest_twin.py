"""What the three writers of chest sets share: arguments checked, tables, and a word of caution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from medkd_lib.phantom.chest_settings import SETTINGS, Difficulty, Size
from medkd_lib.phantom.chest_truth import ChestTruth
from medkd_lib.phantom.twin_files import check_free, check_request, write_table

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""


@dataclass(frozen=True)
class ChestJob:
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
    named = {"difficulty": (difficulty, tuple(SETTINGS)), "size": (size, get_args(Size))}
    check_request(patients, workers, named)


def refuse_issues(known_issues: bool, dataset: str) -> None:
    """Say that a set has no broken cases to make.

    Raises:
        ValueError: they were asked for.
    """
    if known_issues:
        raise ValueError(
            f"known_issues: {dataset} documents no broken case, found known_issues=True; the twin "
            "of nsclc_radiomics has seven"
        )


def write_truth(folder: Path, rows: Iterable[ChestTruth]) -> None:
    """Write ``truth.csv``, sorted by case."""
    ordered = sorted(rows, key=lambda row: row.case)
    write_table(folder / "truth.csv", ChestTruth, ordered)


def write_source(
    folder: Path,
    dataset: str,
    maker: str,
    *,
    patients: int,
    size: Size,
    seed: int,
    difficulty: Difficulty,
    remark: str,
) -> None:
    """Write ``SOURCE.txt``: what this is, and what it is not."""
    none = " (T2w MR tells no soft tissue from another)"
    text = f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated scans of virtual adults with a lung tumour in the folder layout of "{dataset}".
A result on them says something about a method, nothing about a disease. Only the part of the chest
around the tumour is there.
{remark}
made by: {maker}, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{none if difficulty == "none" else ""}
patients: {patients}
size: {size}

truth.csv   what only a phantom knows, per scan; never train on it
"""
    (folder / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
