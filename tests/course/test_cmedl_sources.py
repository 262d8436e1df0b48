"""Who is on which side of a run on sarcomas and on chests; abdomens have a file of their own."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from medkd_lib.course.experiments import cmedl_sources
from medkd_lib.course.experiments.cmedl_sources import chests, sarcomas
from medkd_lib.course.experiments.folds import FOLDS
from medkd_lib.course.experiments.modalities import with_truth
from medkd_lib.data.index import Index
from medkd_lib.data.sections import Sections
from tests.course.test_cmedl_study import sections

SARCOMAS = sections("s", 17, "ct")


def index_of(dataset: str) -> Index:
    manifest = SimpleNamespace(id=dataset)
    return cast(Index, SimpleNamespace(root=Path("nowhere"), manifest=manifest))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Index:
    def made(root: Path, *, moving: bool, seed: int) -> Sections:
        ct = SARCOMAS.images["ct"]
        images = {"ct": ct, "mr": -ct, "pet": ct / 2}
        name = f"moving {seed}" if moving else f"still {seed}"
        return replace(SARCOMAS, images=images, fingerprint=name)

    monkeypatch.setattr(cmedl_sources, "_of_sarcomas", made)
    return index_of("sts_petctmr")


def test_every_sarcoma_patient_is_tested_once_whatever_the_seed(found: Index) -> None:
    whole = [sarcomas(found, 3, fold) for fold in range(FOLDS)]
    tested = [set(m.test.patients) for m in whole]
    assert sum(len(t) for t in tested) == 17 and set().union(*tested) == set(SARCOMAS.patients)
    again = [sarcomas(found, 4, fold) for fold in range(FOLDS)]
    assert [set(m.test.patients) for m in again] == tested
    assert any(set(a.train.patients) != set(b.train.patients)
               for a, b in zip(whole, again, strict=True))  # fmt: skip
    assert len({m.split for m in [*whole, *again]}) == 2 * FOLDS


@pytest.mark.parametrize("teacher", ["mr", "pet"])
def test_the_pairing_of_sarcomas_is_dropped_in_training(found: Index, teacher: str) -> None:
    m = sarcomas(found, 0, 1, teacher=teacher)
    sides = [set(part.patients) for part in (m.train, m.teaching, m.val, m.test)]
    assert sum(len(side) for side in sides) == len(set().union(*sides)) == 17
    assert abs(len(sides[0]) - len(sides[1])) <= 1 and not len(m.more)
    drawn = m.sets()
    assert not set(drawn["source"].patients) & set(drawn["target"].patients)
    # sections come as they are, those of the teacher in its own modality
    assert drawn["target"].tensors["target"] is m.teaching.images[teacher]
    assert drawn["source"].tensors["source"] is m.train.images["ct"]
    # the same patients in the teacher's modality: for the oracle, and to measure the translation
    assert drawn["source"].tensors["true"] is m.train.images[teacher]
    assert teacher in m.test.images


def test_windows_move_with_the_seed_in_training_and_stand_still_in_a_test(
    found: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    made = cmedl_sources._of_sarcomas

    def noted(root: Path, *, moving: bool, seed: int) -> Sections:
        asked.append((moving, seed))
        return made(root, moving=moving, seed=seed)

    monkeypatch.setattr(cmedl_sources, "_of_sarcomas", noted)
    m = sarcomas(found, 5, 0)
    assert asked == [(True, 5), (False, 0)]
    moving, still = made(found.root, moving=True, seed=5), made(found.root, moving=False, seed=0)
    for name, source in (("train", moving), ("teaching", moving), ("val", still), ("test", still)):
        part: Sections = getattr(m, name)
        rows = [i for i, p in enumerate(source.patients) if p in set(part.patients)]
        assert part.fingerprint == source.rows(rows).fingerprint, name


def test_only_the_chests_of_a_ct_student_are_known_to_the_oracle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(dataset: str, root: Path, difficulty: str, frame: object, size: str) -> Sections:
        kind = cmedl_sources.CHESTS[dataset]
        mine = sections(kind[0], 20, kind)
        if not difficulty:
            return mine
        return with_truth(mine, "mr", list((-mine.images[kind][:, 0]).split(4)))

    monkeypatch.setattr(cmedl_sources, "_of_chests", made)
    ct, mr = index_of("msd_task06_lung"), index_of("cmedl_private_mr_cohort")
    informative = chests(ct, mr, 0, difficulty="subtle")
    weak = chests(mr, ct, 0, difficulty="subtle")
    assert (informative.student, informative.teacher, informative.paired) == ("ct", "mr", True)
    assert (weak.student, weak.teacher, weak.paired) == ("mr", "ct", False)
    # real chests: nobody knows
    assert not chests(ct, mr, 0).paired
    assert not chests(ct, mr, 0, difficulty="subtle", truth=False).paired
    other = chests(ct, mr, 1, difficulty="subtle")
    assert set(other.test.patients) == set(informative.test.patients)
    assert set(other.train.patients) != set(informative.train.patients)
    assert {p[0] for p in informative.teaching.patients} == {"m"}
