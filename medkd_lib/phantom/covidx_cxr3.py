"""The synthetic twin of ``covidx_cxr3``: films with patients, listed in two text files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from medkd_lib.phantom.covidx_plan import ListedFilm, plan_patients
from medkd_lib.phantom.film_broken import OddFile, exact_copy, truncated
from medkd_lib.phantom.film_set import (
    FileJob,
    check_film_request,
    jpeg,
    made_films,
    png,
    source_text,
)
from medkd_lib.phantom.film_take import Size
from medkd_lib.phantom.film_truth import FilmTruth
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, write_table

PIXELS: Mapping[Size, int] = MappingProxyType({"small": 160, "full": 320})
"""Edge of the films (D: the real ones have many sizes)."""

UNLISTED, NOT_THERE = "unlisted_film", "listed_without_film"


def write_covidx_cxr3(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
    shortcut: float = 1.0,
    test_fraction: float = 0.15,
) -> Path:
    """Write a synthetic set in the layout of ``covidx_cxr3``.

    ``train/`` and ``test/`` with PNG and JPEG files named as their upstreams name them, and
    ``train.txt`` and ``test.txt`` with one line per film: patient, file, ``positive`` or
    ``negative``, source. Plus ``truth.csv`` (:class:`~medkd_lib.phantom.film_truth.FilmTruth`) and
    ``SOURCE.txt``. The release has no masks.

    A positive training patient has 5.7 films on average and a negative one 1.0, as read, so that
    half of the films are positive though one patient in six is. One patient in 25 is the film of
    another under a new name: a split by patient does not part those two. People of the twins of
    ``covid_radiography`` and ``covid_qu_ex`` of the same seed come back here
    (:mod:`medkd_lib.phantom.film_parts`).

    Difficulty was fixed on a student trained alone and on the oracle, before any distillation
    (balanced accuracy, chance 0.5; student: a four-layer CNN of widths 8-16-32-64 on 64×64
    pixels, 300 steps of 24 films, mean of 3 seeds, people divided; oracle:
    :func:`~medkd_lib.phantom.film_oracle.film_oracle`; rim: logistic regression on the outer two of
    16×16 pixels; one small set of seed 3, 150 patients with
    229 films, 100 of them for training):

    ========== ======== ======= ====== ====
    difficulty shortcut student oracle rim
    ========== ======== ======= ====== ====
    subtle     0        0.68    0.96   0.56
    subtle     1        0.92    0.98   0.96
    ========== ======== ======= ====== ====

    Standard deviations over seeds are 0.06–0.07: 100 films are those of few positive patients.
    ``clear`` and ``none`` share their people and ranges with ``covid_radiography`` and were
    measured there.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; about 1.8 times as many films.
        size: ``"full"`` has films of 320 pixels, ``"small"`` of 160 on a coarser body.
        seed: of the whole set; sets of one seed share people.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to what the films
            show; at ``shortcut`` 0 unrelated to the sources, too).
        workers: processes; the bytes do not depend on them.
        known_issues: add an exact copy under another patient, a file that ends too early, a film
            that no list names and a line without a film (lists of two versions differ so).
        shortcut: 1 as documented, 0 with sources drawn apart from the class, or between.
        test_fraction: share of the patients in the test split. Ours: the read share of 0.022 would
            leave a small set without test patients.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, or an impossible number.
    """
    out = Path(out)
    check_film_request(out, patients, workers, difficulty, size, shortcut)
    if not 0.0 <= test_fraction < 1.0:
        raise ValueError(f"test_fraction: expected 0 ≤ value < 1, found {test_fraction}")
    films = plan_patients(
        patients, seed=seed, shortcut=shortcut, difficulty=difficulty, test_fraction=test_fraction
    )
    files = [_job(film, films, size) for film in films]
    lines = {split: [f.line for f in films if f.plan.split == split] for split in ("train", "test")}
    with build_folder(out) as building:
        for split in lines:
            (building / split).mkdir()
        truth: list[FilmTruth] = []
        issues: list[Issue] = []
        for made in made_films(files, seed=seed, size=size, difficulty=difficulty, workers=workers):
            content = jpeg(made.film) if made.truth.file.endswith(".jpg") else png(made.film)
            (building / made.truth.file).write_bytes(content)
            truth.append(made.truth)
            if known_issues and made.truth.file == files[0].file:
                for odd in _odd(made.truth, content):
                    name = Path(odd.truth.file).name
                    (building / odd.truth.file).write_bytes(odd.content)
                    truth.append(odd.truth)
                    issues.append(Issue(name, odd.truth.known_issue, odd.what))
                    if odd.truth.known_issue != UNLISTED:
                        lines["train"].append(
                            f"{odd.truth.patient} {name} {odd.truth.label} {odd.truth.source}"
                        )
        if known_issues:
            gone = "ffffffff-gone.png"
            lines["train"].append(f"ffffffff-gone {gone} negative rsna")
            issues.append(Issue(gone, NOT_THERE, "train.txt names a film that is not there"))
            write_issues(building, issues)
        for split, listed in lines.items():
            text = "".join(f"{line}\n" for line in listed)
            (building / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")
        truth.sort(key=lambda row: row.file)
        write_table(building / "truth.csv", FilmTruth, truth)
        text = source_text(
            "covidx_cxr3", "medkd_lib.phantom.covidx_cxr3.write_covidx_cxr3",
            patients=patients, films=len(truth), seed=seed, difficulty=difficulty,
            shortcut=shortcut, size=size, known_issues=known_issues,
        )  # fmt: skip
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _job(film: ListedFilm, films: list[ListedFilm], size: Size) -> FileJob:
    number = film.plan.copy_of
    copy_of = "" if number is None else films[number].file
    return FileJob(film.plan, film.file, film.patient, copy_of, PIXELS[size], PIXELS[size])


def _odd(sound: FilmTruth, content: bytes) -> list[OddFile]:
    """Return a copy under another patient, a file cut short, and a film that no list names."""
    end = Path(sound.file).suffix
    copied, cut, unlisted = (
        breaks(sound, content, f"train/ffffffff-{word}{end}", f"ffffffff-{word}")
        for breaks, word in ((exact_copy, "copy"), (truncated, "short"), (_unlisted, "unlisted"))
    )
    return [copied, cut, unlisted]


def _unlisted(sound: FilmTruth, content: bytes, file: str, patient: str) -> OddFile:
    """Return a film (followed by four bytes, so that it equals no other) without a line."""
    odd = exact_copy(sound, content + b"\0" * 4, file, "")
    truth = FilmTruth(**{**vars(odd.truth), "known_issue": UNLISTED})
    return OddFile(truth, odd.content, "neither train.txt nor test.txt names the film")
