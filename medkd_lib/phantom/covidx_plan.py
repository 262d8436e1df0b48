"""Who is in the twin of ``covidx_cxr3``: patients, their films, and the names of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.film_parts import COVIDX_TEST, COVIDX_TRAIN
from medkd_lib.phantom.film_plan import Deck, FilmPlan, drawn_copy, label_by_quota
from medkd_lib.phantom.opacities import Difficulty

SET_NUMBER = 2

PATIENTS_READ: Mapping[str, float] = MappingProxyType(
    {"train/negative": 13850, "train/positive": 2808, "test/negative": 200, "test/positive": 178}
)
"""Patients of each split and class (documentation of COVIDx CXR-3)."""

FILMS_READ: Mapping[str, float] = MappingProxyType(
    {"train/negative": 13992, "train/positive": 15994, "test/negative": 200, "test/positive": 200}
)
MOST_FILMS = 20
"""Films that one patient has at most (D; the list has patients with more)."""

COPIES = 0.04
"""Patients who are somebody else's film under another name (D: collections took from each other,
how many films they share was not counted)."""

LISTED: Mapping[str, str] = MappingProxyType({"web": "sirm"})
"""Sources that the lists call otherwise than we do."""


@dataclass(frozen=True)
class ListedFilm:
    """One line of ``train.txt`` or ``test.txt``, and what stands behind it.

    Attributes:
        plan: of the film.
        patient: first column.
        name: second column, the file.
        source: fourth column.
    """

    plan: FilmPlan
    patient: str
    name: str
    source: str

    @property
    def file(self) -> str:
        """Path inside the set."""
        return f"{self.plan.split}/{self.name}"

    @property
    def line(self) -> str:
        """Patient, file, class and source, divided by blanks."""
        return f"{self.patient} {self.name} {self.plan.label} {self.source}"


def plan_patients(
    patients: int, *, seed: int, shortcut: float, difficulty: Difficulty, test_fraction: float
) -> list[ListedFilm]:
    r"""Plan patients and their films.

    Patients come in the read shares of classes by quota, ``test_fraction`` of them as test
    patients; a patient of a class has :math:`1 + \mathrm{Geometric}` films with the read mean
    (5.7 for positive training patients, 1.0 for negatives), 20 at most.

    Args:
        patients: number of patients; more leave the earlier ones as they are.
        seed: of the set.
        shortcut: how far the class chooses the source.
        difficulty: of the set.
        test_fraction: share of the patients in the test split (read: 0.022).
    """
    met: Counter[tuple[str, str]] = Counter()
    decks = {
        "train": Deck(COVIDX_TRAIN, shortcut, difficulty, SET_NUMBER, met),
        "test": Deck(COVIDX_TEST, shortcut, difficulty, SET_NUMBER, met),
    }
    shares = _shares(test_fraction)
    so_far: Counter[str] = Counter()
    names_used: set[str] = set()
    films: list[ListedFilm] = []
    for patient in range(patients):
        cell = label_by_quota(shares, so_far)
        so_far[cell] += 1
        split, label = cell.split("/")
        key = (SET_NUMBER, patient)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        before = [f.plan for f in films if f.plan.label == label and f.plan.copy_of is None]
        copied = rng.random() < COPIES
        mean = FILMS_READ[cell] / PATIENTS_READ[cell]
        number = min(int(rng.geometric(1.0 / mean)), MOST_FILMS)
        source, by_class, diagnosis, member = decks[split].draw(label, rng)
        if copied and before:
            plans = [drawn_copy(before, len(films), split, rng)]
        else:
            plans = [
                FilmPlan(len(films) + take, label, source, by_class, diagnosis, member, take, split)
                for take in range(number)
            ]
        name_of_patient = None
        for plan in plans:
            name_of_patient, name = _named(plan.source, patient, name_of_patient, rng, names_used)
            listed = LISTED.get(plan.source, plan.source)
            films.append(ListedFilm(plan, name_of_patient, name, listed))
    return films


def _shares(test_fraction: float) -> dict[str, float]:
    """Return the shares of the four cells with another test fraction than the real one."""
    totals = {s: sum(v for k, v in PATIENTS_READ.items() if k.startswith(s)) for s in (
        "train", "test"
    )}  # fmt: skip
    wanted = {"train": 1.0 - test_fraction, "test": test_fraction}
    return {k: v / totals[k.split("/")[0]] * wanted[k.split("/")[0]]
            for k, v in PATIENTS_READ.items()}  # fmt: skip


def _named(
    source: str, patient: int, known: str | None, rng: np.random.Generator, used: set[str]
) -> tuple[str, str]:
    """Return patient and file as the lists of the real set write them for this source."""
    name_patient, name_file = NAMING.get(source, (_number, _journal))
    who = known or name_patient(patient, rng)
    file = name_file(who, rng)
    while file in used:  # a source that names files after patients has a second film of one
        file = f"{Path(file).stem}-{_digits(rng, 3)}{Path(file).suffix}"
    used.add(file)
    return who, file


def _hexadecimal(rng: np.random.Generator, digits: int) -> str:
    return "".join("0123456789abcdef"[int(d)] for d in rng.integers(0, 16, digits))


def _digits(rng: np.random.Generator, digits: int) -> str:
    return "".join(str(int(d)) for d in rng.integers(0, 10, digits))


def _rsna_patient(patient: int, rng: np.random.Generator) -> str:
    parts = [f"{patient:08x}", *(_hexadecimal(rng, n) for n in (4, 4, 4, 12))]
    return "-".join(parts)


def _rsna_file(who: str, rng: np.random.Generator) -> str:
    return f"{who}.png"


def _stonybrook_file(who: str, rng: np.random.Generator) -> str:
    day, study, series, end = (int(rng.integers(1, 29)), _digits(rng, 5),
                               int(rng.integers(1, 4)), _digits(rng, 5))  # fmt: skip
    return f"{who}-01-{day:02d}-1901-NA-CHEST_AP_PORT-{study}-{series}.000000-AP-{end}-1-1.jpg"


def _ricord_file(who: str, rng: np.random.Generator) -> str:
    return f"MIDRC-RICORD-1C-{who}-{_digits(rng, 5)}-0.png"


def _bimcv_file(who: str, rng: np.random.Generator) -> str:
    return f"{who}_ses-E{_digits(rng, 5)}_run-1_bp-chest_vp-ap_cr.png"


def _number(patient: int, rng: np.random.Generator) -> str:
    return str(patient + 1)


def _journal(who: str, rng: np.random.Generator) -> str:
    return f"{_hexadecimal(rng, 8)}.jpg"


def _sirm_file(who: str, rng: np.random.Generator) -> str:
    return f"COVID-{_digits(rng, 4)}.png"


Naming = tuple[Callable[[int, np.random.Generator], str], Callable[[str, np.random.Generator], str]]
NAMING: Mapping[str, Naming] = MappingProxyType(
    {
        "rsna": (_rsna_patient, _rsna_file),
        "stonybrook": (lambda p, _: f"A{p + 100_000}", _stonybrook_file),
        "ricord": (lambda p, _: f"419639-{p:06d}", _ricord_file),
        "bimcv": (lambda p, _: f"sub-S{p + 3000:05d}", _bimcv_file),
        "web": (lambda p, _: f"COVID{p + 1}", _sirm_file),
    }
)
"""How a source names patients and files; ``cohen`` numbers patients and has files of journals."""
