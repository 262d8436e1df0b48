"""The synthetic twin of ``covid_radiography``: a collage of films in four classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from medkd_lib.phantom.film_broken import FIRST_ODD_NUMBER, OddFile, exact_copy, truncated
from medkd_lib.phantom.film_parts import RADIOGRAPHY
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
from medkd_lib.phantom.xlsx_files import write_xlsx

TOP = "COVID-19_Radiography_Dataset"
SET_NUMBER = 0

PIXELS: Mapping[Size, tuple[int, int]] = MappingProxyType({"small": (150, 128), "full": (299, 256)})
"""Edge of films (299: public readers) and of masks (256: ours)."""

COPIES, AGAIN = 0.05, 0.10
"""Near-duplicates, and further films of a person (D: both exist, how many was not counted)."""

SHEET = ("FILE NAME", "FORMAT", "SIZE", "URL")


def write_covid_radiography(
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
    """Write a synthetic set in the layout of ``covid_radiography``.

    ``COVID-19_Radiography_Dataset/{COVID,Normal,Lung_Opacity,Viral Pneumonia}/images/*.png``, lung
    masks of the same names in ``masks`` (0 and 255, true projections of the lungs), one
    ``CLASS.metadata.xlsx`` for each class (file name, format, size, and no address), plus
    ``truth.csv`` (:class:`~medkd_lib.phantom.film_truth.FilmTruth`) and ``SOURCE.txt``. The
    release's ``README.md.txt`` is left out.

    The release names no patients, so the loader takes every film for one, and a split that
    divides by them divides films. Here ``truth.csv`` knows better: one film in ten is another film
    of a person who was there before, and one in twenty a near-duplicate.

    **The class is the source** (:mod:`medkd_lib.phantom.film_parts`, read): COVID films come from
    four upstreams that have no other class, viral pneumonias from one that shows children,
    opacities and most normals from a fifth. ``shortcut`` cuts that.

    Difficulty was fixed on a student trained alone and on the oracle, before any distillation
    (balanced accuracy, chance 0.25; student: a four-layer CNN of widths 8-16-32-64 on 64×64
    pixels, 300 steps of 24 films, mean of 3 seeds, people divided; oracle:
    :func:`~medkd_lib.phantom.film_oracle.film_oracle`; rim: logistic regression on the outer two of
    16×16 pixels; one small set of seed 3, 300 films, 100 of them
    for training):

    ========== ======== ======= ====== ====
    difficulty shortcut student oracle rim
    ========== ======== ======= ====== ====
    clear      0        0.73    0.96   0.49
    subtle     0        0.67    0.96   0.46
    subtle     1        0.82    0.97   0.77
    none       0        0.28    0.29   0.33
    ========== ======== ======= ====== ====

    Standard deviations over seeds are 0.04–0.07. The rim is above chance at shortcut 0, too: a
    film is exposed and shown by what its middle holds, and a child's fills the field. At ``none``
    it is not (0.33 and, on seed 4, 0.31; labels shuffled by person give 0.26 ± 0.04).

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of films: the release knows nothing smaller than a film.
        size: ``"full"`` has films of 299 pixels, ``"small"`` of 150 on a coarser body.
        seed: of the whole set; sets of one seed share people (``film_parts``).
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to what the films
            show; at ``shortcut`` 0 unrelated to the sources, too).
        workers: processes; the bytes do not depend on them.
        known_issues: add an exact copy under another name, and a file that ends too early.
        shortcut: 1 as documented, 0 with sources drawn apart from the class, or between.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, or an impossible number.
    """
    out = Path(out)
    check_film_request(out, patients, workers, difficulty, size, shortcut)
    plans = plan_films(
        RADIOGRAPHY, patients, seed=seed, set_number=SET_NUMBER, shortcut=shortcut,
        difficulty=difficulty, copies=COPIES, again=AGAIN, splits={},
    )  # fmt: skip
    files = _named(plans, size)
    with build_folder(out) as building:
        for label in dict.fromkeys(part.label for part in RADIOGRAPHY):
            for folder in ("images", "masks"):
                (building / TOP / label / folder).mkdir(parents=True)
        truth: list[FilmTruth] = []
        odd: list[OddFile] = []
        for made in made_films(files, seed=seed, size=size, difficulty=difficulty, workers=workers):
            path, content = building / made.truth.file, png(made.film)
            path.write_bytes(content)
            mask = path.parents[1] / "masks" / path.name
            mask.write_bytes(png(made.mask))
            truth.append(made.truth)
            if known_issues and made.truth.file == files[0].file:
                for number, breaks in enumerate((exact_copy, truncated), start=FIRST_ODD_NUMBER):
                    file = _file(made.truth.label, number)
                    odd.append(breaks(made.truth, content, file, ""))
                    # the mask is whole: the film alone is odd
                    mask.with_name(Path(file).name).write_bytes(png(made.mask))
        for broken in odd:
            (building / broken.truth.file).write_bytes(broken.content)
        if known_issues:
            write_issues(
                building,
                (Issue(Path(o.truth.file).stem, o.truth.known_issue, o.what) for o in odd),
            )
        truth = sorted([*truth, *(o.truth for o in odd)], key=lambda row: row.file)
        write_table(building / "truth.csv", FilmTruth, truth)
        _write_sheets(building, truth, PIXELS[size][0])
        text = source_text(
            "covid_radiography", "medkd_lib.phantom.covid_radiography.write_covid_radiography",
            patients=patients, films=len(truth), seed=seed, difficulty=difficulty,
            shortcut=shortcut, size=size, known_issues=known_issues,
        )  # fmt: skip
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _file(label: str, number: int) -> str:
    return f"{TOP}/{label}/images/{label}-{number}.png"


def _named(plans: list[FilmPlan], size: Size) -> list[FileJob]:
    """Give every film its name: class by class from 1."""
    count: Counter[str] = Counter()
    names: list[str] = []
    for plan in plans:
        count[plan.label] += 1
        names.append(_file(plan.label, count[plan.label]))
    pixels, mask_pixels = PIXELS[size]
    return [
        FileJob(plan, name, "", names[plan.copy_of] if plan.copy_of is not None else "",
                pixels, mask_pixels)
        for plan, name in zip(plans, names, strict=True)
    ]  # fmt: skip


def _write_sheets(building: Path, truth: list[FilmTruth], pixels: int) -> None:
    for label in dict.fromkeys(part.label for part in RADIOGRAPHY):
        rows = [
            (Path(row.file).stem, "PNG", f"{pixels}*{pixels}", "")
            for row in truth
            if row.label == label
        ]
        write_xlsx(building / TOP / f"{label}.metadata.xlsx", SHEET, rows)
