"""Splits by patient, made once, hashed and checked: leakage raises an error, it cannot happen."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from medkd_lib.data.apart import (
    LeakageError,
    check_apart,
    check_overlaps,
    require_apart,
    require_one_origin,
)
from medkd_lib.data.case import Case
from medkd_lib.data.problems import bad

__all__ = [
    "LeakageError", "Split", "check_apart", "check_disjoint", "check_overlaps", "read_split",
    "require_apart", "split_by_patient", "write_split",
]  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Named, disjoint parts (``train``, ``val``, ``test``, …) as sorted case ids."""

    dataset: str
    seed: int
    parts: Mapping[str, tuple[str, ...]]

    @property
    def hash(self) -> str:
        """SHA-256 (first 16 hex digits) of the dataset and the case ids of every part."""
        text = json.dumps([self.dataset, {k: list(v) for k, v in sorted(self.parts.items())}])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def of(self, part: str, cases: Sequence[Case]) -> list[Case]:
        """Return the cases of one part, in the split's order."""
        by_id = {c.id: c for c in cases}
        return [by_id[i] for i in self.parts[part]]


def split_by_patient(
    cases: Sequence[Case], fractions: Mapping[str, float], seed: int, *, keep_test: bool = True
) -> Split:
    """Divide cases into parts by patient, classes balanced as well as whole patients allow.

    Args:
        cases: labelled cases, of one dataset or of several.
        fractions: part name → share of the cases that have no official test place; sums to 1.
        seed: of the shuffling of patients.
        keep_test: cases whose official split is ``test`` become the part ``test`` untouched.

    Raises:
        ValueError: fractions do not sum to 1, or there are fewer patients than parts need.
        DataError: ``no_case``, or ``duplicate_case_id`` (a part could not tell which is meant).
        LeakageError: the official test patients also appear among the others, or the cases come
            from several datasets that share patients under different names (`overlaps`).
    """
    _require_cases(cases)
    require_one_origin(cases)
    if abs(sum(fractions.values()) - 1) > 1e-9:
        raise ValueError(f"fractions sum to {sum(fractions.values())}, expected 1: {fractions}")
    official = [c for c in cases if keep_test and c.split == "test"]
    rest = [c for c in cases if not (keep_test and c.split == "test")]
    parts = {
        name: tuple(sorted(c.id for c in members))
        for name, members in _divide(rest, fractions, seed).items()
    }
    if official:
        parts["test"] = tuple(sorted(c.id for c in official))
    split = Split("+".join(sorted({c.dataset for c in cases})), seed, parts)
    check_disjoint(split, cases)
    return split


def _require_cases(cases: Sequence[Case]) -> None:
    if not cases:
        raise bad(
            "no_case", "split", expected="cases to divide", found="none",
            next_step="index a folder that holds some; was every case left out?",
        )  # fmt: skip
    twice = [name for name, count in Counter(c.id for c in cases).items() if count > 1]
    if twice:
        raise bad(
            "duplicate_case_id", "split", expected="case ids that differ",
            found=f"{twice[:3]} more than once ({len(twice)} ids)",
            next_step="divide each dataset by itself, or give their cases different ids",
        )  # fmt: skip


def _divide(
    cases: Sequence[Case], fractions: Mapping[str, float], seed: int, folds: int = 20
) -> dict[str, list[Case]]:
    """Deal 20 stratified patient folds out to the parts, nearest to the wanted shares."""
    unlabelled = [c.id for c in cases if c.label is None]
    if 0 < len(unlabelled) < len(cases):
        raise ValueError(
            f"a balanced split needs labels for all cases or for none (a set with masks only); "
            f"none for {unlabelled[:3]} ({len(unlabelled)} of {len(cases)})"
        )
    patients = len({c.patient for c in cases})
    count = Counter(c.label for c in cases)
    folds = min(folds, patients, *count.values())
    if folds < len(fractions):
        raise ValueError(
            f"too few for the parts {list(fractions)}: {patients} patients, the rarest class has "
            f"{min(count.values())} images; make or get more patients"
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    labels = [0 if c.label is None else c.label for c in cases]
    groups = [c.patient for c in cases]
    pieces = [test for _, test in splitter.split(np.zeros(len(cases)), labels, groups)]
    edges = np.round(np.cumsum(list(fractions.values())) * folds).astype(int)
    starts = np.concatenate([[0], edges[:-1]])
    divided = {}
    for name, start, end in zip(fractions, starts, edges, strict=True):
        rows = np.concatenate(pieces[start:end]) if end > start else np.array([], int)
        divided[name] = [cases[i] for i in rows]
        if not divided[name]:
            raise ValueError(
                f"part {name!r} ({fractions[name]:.0%}) would be empty: {patients} patients, the "
                f"rarest class with {min(count.values())} images, come in {folds} folds; make or "
                "get more patients"
            )
    return divided


def check_disjoint(split: Split, cases: Sequence[Case]) -> None:
    """Raise `LeakageError` if a patient stands in two parts of the split."""
    for one, other in combinations(split.parts, 2):
        require_apart(split.of(one, cases), split.of(other, cases), names=(one, other))


def write_split(split: Split, path: Path) -> None:
    """Write a split with its hash as JSON."""
    content = {
        "dataset": split.dataset,
        "seed": split.seed,
        "hash": split.hash,
        "parts": {k: list(v) for k, v in split.parts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_split(path: Path) -> Split:
    """Read a split and verify its hash; raises ValueError if the file was edited by hand."""
    content = json.loads(path.read_text(encoding="utf-8"))
    split = Split(
        content["dataset"], content["seed"], {k: tuple(v) for k, v in content["parts"].items()}
    )
    if split.hash != content["hash"]:
        raise ValueError(
            f"{path}: hash {content['hash']} stated, {split.hash} found; the split "
            "was changed after it was written: make it anew"
        )
    return split
