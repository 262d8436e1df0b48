"""What the three writers of detection sets share: jobs, arguments, and a word of caution.

Difficulty was fixed on two baselines, before any distillation and with no detector. A small
classifier of patches (four convolutions of 16 to 32 channels, 24² pixels, 500 steps of batch 32,
Adam 1e-3, trained on patients 1 to 30 of seed 11) tells a lesion from a sham: a place drawn by the
lesion's own rule in the same patient where nothing grows; up to three slices of each are averaged.
The oracle is a matched filter that knows the patient without the lesion, and what the lesion would
add there (``deeplesion``; of the other two sets the mean over the true mask, which needs less).
AUC on patients 31 to 60, ``small``; of the classifier the mean and range of three seeds of the
network:

==================  ===========  =====  ========================  ==========================
set                 difficulty   n      classifier                oracle
==================  ===========  =====  ========================  ==========================
lung_pet_ct_dx      subtle       64     0.81 (0.75 to 0.85)       1.00
lung_pet_ct_dx      none         64     0.40 (0.36 to 0.45)       0.5, since the images agree
deeplesion          subtle       108    0.80 (0.76 to 0.85)       1.00
deeplesion          none         108    0.47 (0.44 to 0.49)       0.5, since the images agree
lungct_roboflow     subtle       91     0.84 (0.81 to 0.88)       0.99
lungct_roboflow     none         91     0.53 (0.51 to 0.54)       0.5, since the images agree
==================  ===========  =====  ========================  ==========================

The ranges of ``subtle`` were chosen by these very patients (six settings of the lung's, three of
the mediastinum's and the liver's): the numbers are selected ones, not those of unseen patients. n
counts lesions and shams; at 64 an AUC of 0.5 has a standard error of 0.07. By kind in
``deeplesion``, three seeds: lung 0.82, mediastinum 0.79, liver 0.81. ``clear`` was not measured. A
detector has to find the place as well: these numbers say nothing about its sensitivity.
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
