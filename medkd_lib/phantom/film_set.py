"""What the three writers of film collages share: people to films, films to files, and the check."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from medkd_lib.phantom.film_copies import again, mask_again
from medkd_lib.phantom.film_disease import DIAGNOSES
from medkd_lib.phantom.film_marks import Film, resized
from medkd_lib.phantom.film_person import sample_person
from medkd_lib.phantom.film_plan import FilmPlan
from medkd_lib.phantom.film_sources import SOURCE_NUMBER, SOURCES
from medkd_lib.phantom.film_take import Size, Taken, stand, take
from medkd_lib.phantom.film_truth import FilmTruth, truth_of
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import check_free, check_request, in_order

FILM_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

PEOPLE_STREAM, COPY_STREAM = 11, 12
"""First numbers of the keys of people and of copies; those of a set's plan are 0, 1 and 2."""

PEOPLE_WORDS = """\
SYNTHETIC IMAGES. NO PATIENT WAS EVER FILMED. NOT FOR CLINICAL USE.

These are simulated chest films of virtual people in the folder layout of the real set "{dataset}".
A result on them says something about a method, nothing about a disease. Sources are named after
the real upstream collections, because who took whose films is documented; how their films look is
invented.

made by: {maker}, generator version {version}
seed: {seed}
difficulty: {difficulty}{remark}
shortcut: {shortcut!r}
patients: {patients}
films: {films}
size: {size}

truth.csv   what only a phantom knows, per film; never train on it
{odd}"""


@dataclass(frozen=True)
class FileJob:
    """One file of one person: its plan, its names, its edge in pixels."""

    plan: FilmPlan
    file: str
    patient: str
    copy_of: str
    pixels: int
    mask_pixels: int


@dataclass(frozen=True)
class _Job:
    """All files of one person; small, so that it travels to another process."""

    files: tuple[FileJob, ...]
    seed: int
    size: Size
    difficulty: Difficulty


@dataclass(frozen=True)
class MadeFilm:
    """One file as it will be written: truth, pixels of the film and of the mask."""

    truth: FilmTruth
    film: Film
    mask: Film


def check_film_request(
    out: Path,
    patients: int,
    workers: int,
    difficulty: str,
    size: str,
    shortcut: float,
    *,
    least: int = 1,
    why: str = "",
) -> None:
    """Refuse what no writer of films can do, before any work.

    Raises:
        FileExistsError: ``out`` exists and is not an empty folder.
        ValueError: an unknown name, or an impossible number.
    """
    check_free(out)
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size))},
        least=least,
        why=why,
    )
    if not 0.0 <= shortcut <= 1.0:
        raise ValueError(
            f"shortcut: expected 0 (source and class apart) to 1 (as documented), found {shortcut}"
        )


def made_films(
    files: Sequence[FileJob], *, seed: int, size: Size, difficulty: Difficulty, workers: int
) -> Iterator[MadeFilm]:
    """Make the films, person by person: a body is laid on the grid once for all of its films."""
    people: Mapping[str, list[FileJob]] = defaultdict(list)
    for file in files:
        people[file.plan.person].append(file)
    jobs = [_Job(tuple(own), seed, size, difficulty) for own in people.values()]
    for made in in_order(_make, jobs, workers, chunk=4):
        yield from made


def png(film: Film) -> bytes:
    """Bytes of a grey PNG."""
    return _stored(film, lambda image, to: image.save(to, "PNG", compress_level=4))


def jpeg(film: Film, quality: int = 92) -> bytes:
    """Bytes of a grey JPEG."""
    return _stored(film, lambda image, to: image.save(to, "JPEG", quality=quality))


def source_text(
    dataset: str, maker: str, *, patients: int, films: int, seed: int, difficulty: Difficulty,
    shortcut: float, size: Size, known_issues: bool,
) -> str:  # fmt: skip
    """Return the words of ``SOURCE.txt``."""
    remark = " (labels drawn independently of what the films show)" if difficulty == "none" else ""
    odd = "known_issues.csv  files broken on purpose\n" if known_issues else ""
    return PEOPLE_WORDS.format(
        dataset=dataset, maker=maker, version=FILM_VERSION, seed=seed, difficulty=difficulty,
        remark=remark, shortcut=shortcut, patients=patients, films=films, size=size, odd=odd,
    )  # fmt: skip


def _make(job: _Job) -> list[MadeFilm]:
    first = job.files[0].plan
    key = (
        PEOPLE_STREAM,
        SOURCE_NUMBER[first.source],
        DIAGNOSES.index(first.diagnosis),
        first.member,
    )
    rng = np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=key))
    source = SOURCES[first.source]
    person = sample_person(rng, first.diagnosis, job.difficulty, child=source.child)
    standing = stand(person, source, job.size)
    takes: dict[int, Taken] = {}
    made = []
    for file in job.files:
        number = file.plan.take
        if number not in takes:
            # key: the exposure is this person's, in whichever set it lies
            shot = np.random.SeedSequence(job.seed, spawn_key=(*key, number))
            takes[number] = take(standing, job.size, np.random.default_rng(shot))
        made.append(_file(file, job.seed, takes[number], truth_of(
            file.plan, file.file, file.patient, file.copy_of, standing, takes[number]
        )))  # fmt: skip
    return made


def _file(file: FileJob, seed: int, taken: Taken, truth: FilmTruth) -> MadeFilm:
    """Resize a native film to its set; a copy goes through its own history after that."""
    film = resized(taken.film, (file.pixels, file.pixels))
    mask = resized(taken.mask, (file.mask_pixels, file.mask_pixels), mask=True)
    kind = file.plan.copy_kind
    if kind is not None:
        key = (COPY_STREAM, *(ord(letter) for letter in file.file))
        sequence = np.random.SeedSequence(seed, spawn_key=key)
        film = again(film, kind, np.random.default_rng(sequence))
        mask = mask_again(mask, kind, np.random.default_rng(sequence))
    return MadeFilm(truth, film, mask)


def _stored(film: Film, save: Callable[[Image.Image, io.BytesIO], None]) -> bytes:
    to = io.BytesIO()
    save(Image.fromarray(film), to)
    return to.getvalue()
