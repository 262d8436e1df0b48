"""The synthetic twin of ``covid_qu_ex``: a collage of films in three classes and three folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from medkd_lib.phantom.film_broken import FIRST_ODD_NUMBER, OddFile, exact_copy, truncated
from medkd_lib.phantom.film_parts import QU_EX
from medkd_lib.phantom.film_plan import FilmPlan, plan_films
from medkd_lib.phantom.film_set import (
    FileJob,
    check_film_request,
    made_films,
    png,
    source_text,
)
from medkd_lib.phantom.film_take import Size
from medkd_lib.phantom.film_truth import FilmTruth
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, write_table

TOP = "Lung Segmentation Data/Lung Segmentation Data"
SET_NUMBER = 1

PIXELS: Mapping[Size, int] = MappingProxyType({"small": 128, "full": 256})
"""Edge of films and masks; 256 is what a public reader of the set resizes to."""

NAMES: Mapping[str, str] = MappingProxyType(
    {"COVID-19": "covid_{}", "Non-COVID": "non_COVID ({})", "Normal": "Normal ({})"}
)
"""File names; that of the normal films is ours, the other two are those of public readers."""

FOLDERS: Mapping[str, float] = MappingProxyType({"Train": 0.64, "Val": 0.16, "Test": 0.20})
"""Shares of the three folders (D: their counts were not read)."""

COPIES, AGAIN = 0.05, 0.10
"""Near-duplicates, and further films of a person (D)."""


def write_covid_qu_ex(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
    shortcut: float = 1.0,
) -> Path:
    """Write a synthetic set in the layout of ``covid_qu_ex``.

    ``Lung Segmentation Data/Lung Segmentation Data/{Train,Val,Test}/{COVID-19,Non-COVID,Normal}``
    with ``images/*.png`` and ``lung masks/*.png`` (0 and 255, true projections of the lungs), plus
    ``truth.csv`` (:class:`~medkd_lib.phantom.film_truth.FilmTruth`) and ``SOURCE.txt``. The second
    half of the release, ``Infection Segmentation Data``, is left out.

    No patient is named, and whether the real folders divide patients is not stated. Here they
    divide films (our choice), so that a person's other films and near-duplicates stand on two
    sides; ``truth.csv`` says whose they are. Half of every source's people are those of the
    ``covid_radiography`` twin of the same seed, on the same films in another size.

    What the classes are made of was not read; :data:`medkd_lib.phantom.film_parts.QU_EX` says what
    we took instead.

    Difficulty was fixed on a student trained alone and on the oracle, before any distillation
    (balanced accuracy, chance 0.33; student: a four-layer CNN of widths 8-16-32-64 on 64×64
    pixels, 300 steps of 24 films, mean of 3 seeds, people divided; oracle:
    :func:`~medkd_lib.phantom.film_oracle.film_oracle`; rim: logistic regression on the outer two of
    16×16 pixels; one small set of seed 3, 260 films, 100 of them
    for training):

    ========== ======== ======= ====== ====
    difficulty shortcut student oracle rim
    ========== ======== ======= ====== ====
    subtle     0        0.60    0.96   0.43
    subtle     1        0.82    0.97   0.77
    ========== ======== ======= ====== ====

    With 160 training films the student reaches 0.69 at shortcut 0. ``clear`` and ``none`` share
    their people and ranges with ``covid_radiography`` and were measured there.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of films: the release knows nothing smaller than a film.
        size: ``"full"`` has films of 256 pixels, ``"small"`` of 128 on a coarser body.
        seed: of the whole set; sets of one seed share people.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to what the films
            show; at ``shortcut`` 0 unrelated to the sources, too).
        workers: processes; the bytes do not depend on them.
        known_issues: add an exact copy in the folder ``Test`` of a film of another, and a file
            that ends too early.
        shortcut: 1 as our reading of the sources has it, 0 with sources drawn apart from the
            class, or between.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, or an impossible number.
    """
    out = Path(out)
    check_film_request(out, patients, workers, difficulty, size, shortcut)
    plans = plan_films(
        QU_EX, patients, seed=seed, set_number=SET_NUMBER, shortcut=shortcut,
        difficulty=difficulty, copies=COPIES, again=AGAIN, splits=FOLDERS,
    )  # fmt: skip
    files = _named(plans, size)
    with build_folder(out) as building:
        for folder in FOLDERS:
            for label in NAMES:
                for kind in ("images", "lung masks"):
                    (building / TOP / folder / label / kind).mkdir(parents=True)
        truth: list[FilmTruth] = []
        odd: list[OddFile] = []
        for made in made_films(files, seed=seed, size=size, difficulty=difficulty, workers=workers):
            content, mask = png(made.film), png(made.mask)
            _write(building, made.truth.file, content, mask)
            truth.append(made.truth)
            if known_issues and made.truth.file == files[0].file:
                for number, breaks in enumerate((exact_copy, truncated), start=FIRST_ODD_NUMBER):
                    file = _file("Test", made.truth.label, number)
                    odd.append(breaks(made.truth, content, file, ""))
                    _write(building, file, odd[-1].content, mask)
        if known_issues:
            write_issues(
                building,
                (Issue(Path(o.truth.file).stem, o.truth.known_issue, o.what) for o in odd),
            )
        truth = sorted([*truth, *(o.truth for o in odd)], key=lambda row: row.file)
        write_table(building / "truth.csv", FilmTruth, truth)
        text = source_text(
            "covid_qu_ex", "medkd_lib.phantom.covid_qu_ex.write_covid_qu_ex",
            patients=patients, films=len(truth), seed=seed, difficulty=difficulty,
            shortcut=shortcut, size=size, known_issues=known_issues,
        )  # fmt: skip
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _write(building: Path, file: str, content: bytes, mask: bytes) -> None:
    path = building / file
    path.write_bytes(content)
    (path.parents[1] / "lung masks" / path.name).write_bytes(mask)


def _file(folder: str, label: str, number: int) -> str:
    return f"{TOP}/{folder}/{label}/images/{NAMES[label].format(number)}.png"


def _named(plans: list[FilmPlan], size: Size) -> list[FileJob]:
    """Give every film its name: class by class from 1, whatever the folder."""
    count: Counter[str] = Counter()
    names: list[str] = []
    for plan in plans:
        count[plan.label] += 1
        names.append(_file(plan.split, plan.label, count[plan.label]))
    return [
        FileJob(plan, name, "", names[plan.copy_of] if plan.copy_of is not None else "",
                PIXELS[size], PIXELS[size])
        for plan, name in zip(plans, names, strict=True)
    ]  # fmt: skip
