"""Files of the collages broken on purpose: what a loader of films must notice."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medkd_lib.phantom.film_truth import FilmTruth

FIRST_ODD_NUMBER = 90_001
"""Odd files are numbered from here, apart from the usual ones."""

EXACT_COPY, TRUNCATED = "exact_copy", "truncated_file"


@dataclass(frozen=True)
class OddFile:
    """A file beside the sound ones.

    Attributes:
        truth: its line in ``truth.csv``.
        content: what is written.
        what: the defect in words.
    """

    truth: FilmTruth
    content: bytes
    what: str


def exact_copy(sound: FilmTruth, content: bytes, file: str, patient: str) -> OddFile:
    """Return the same bytes under another name, and under another patient where there are any."""
    truth = replace(
        sound, file=file, patient=patient, copy_of=sound.file, copy_kind="exact",
        known_issue=EXACT_COPY,
    )  # fmt: skip
    return OddFile(truth, content, f"byte for byte the film {sound.file}")


def truncated(sound: FilmTruth, content: bytes, file: str, patient: str) -> OddFile:
    """Return a film whose file ends after two thirds, as after an interrupted download."""
    truth = replace(
        sound, file=file, patient=patient, copy_of=sound.file, copy_kind="exact",
        known_issue=TRUNCATED,
    )  # fmt: skip
    return OddFile(truth, content[: len(content) * 2 // 3], "the file ends after two thirds")
