"""The run of lesson 04: nobody on two sides, test patients untouched, every arm answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.cmedl_budget import (
    LESSON,
    PAPER,
    Architecture,
    Budget,
    method,
    network,
    translator,
)
from medkd_lib.course.experiments.cmedl_study import TEACHER, CmedlStudy, Plan
from medkd_lib.course.experiments.modalities import Modalities, divide, with_truth
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.sections import Sections
from medkd_lib.methods.bedside import PSEUDO_ONLY
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Student, Weights

TINY = replace(
    LESSON, steps=3, unet=(4, 4, 8), generator=(2, 1), judge=(2, 1), densefcn=(4, 2, 1, 2),
    mrrn=(2, 2), shift=1,
)  # fmt: skip


def sections(name: str, patients: int, modality: str, slices: int = 4) -> Sections:
    numbers = torch.Generator().manual_seed(len(name) + patients)
    n = patients * slices
    images = torch.rand(n, 1, 16, 24, generator=numbers) * 2 - 1
    shows = (torch.arange(n) % 2 == 0)[:, None, None]  # every other section shows something
    return Sections(
        {modality: images},
        ((images[:, 0] > 0.6) & shows).to(torch.uint8),
        tuple(f"{name}{i // slices}" for i in range(n)),
        tuple(f"{name}{i // slices}/k{i % slices:03d}" for i in range(n)),
        (5.0, 5.0, 5.0),
        {"volume_ml": np.repeat(np.arange(patients, dtype=float), slices)},
        name,
    )


def modalities(truth: bool = True, seed: int = 0) -> Modalities:
    ct = sections("c", 20, "ct")
    if truth:
        ct = with_truth(ct, "mr", list((-ct.images["ct"][:, 0]).split(4)))
    split, parts = divide(ct, "toy", seed)
    return Modalities(
        "ct", "mr", parts["train"], parts["more"], sections("m", 6, "mr"), parts["val"],
        parts["test"], split.hash,
    )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CmedlStudy:
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path))
    return CmedlStudy(modalities(), TINY, Plan(), 0, Fabric(accelerator="cpu", devices=1))


def test_nobody_is_on_two_sides() -> None:
    first, second = modalities(seed=0), modalities(seed=1)
    assert set(first.test.patients) == set(second.test.patients)
    assert set(first.train.patients) != set(second.train.patients)
    with pytest.raises(LeakageError, match="split by patient"):
        replace(first, teaching=first.test)
    with pytest.raises(LeakageError, match="'train' and in 'teaching'"):
        replace(first, teaching=first.train)


def test_test_patients_are_never_handed_out(study: CmedlStudy) -> None:
    study.train()
    touched = set().union(*(drawn.touched for drawn in study.sets.values()))
    assert all(drawn.touched for drawn in study.sets.values())
    assert not touched & {*study.modalities.test.patients, *study.modalities.val.patients}


def test_every_arm_answers_for_every_test_section(study: CmedlStudy) -> None:
    trained = study.train()
    assert study.train().from_cache
    answers = {arm: study.masks(trained, arm) for arm in study.arms}
    assert set(answers) == {*STUDENTS, PSEUDO_ONLY, TEACHER}
    shapes = {a.shape for a in answers.values()}
    assert shapes == {tuple(study.modalities.test.masks.shape)}
    table = study.scores(answers["cmedl"], tolerance_mm=5.0)
    assert len(table) == len(set(study.modalities.test.patients))
    assert study.translated(trained).shape == study.modalities.test.images["ct"].shape


@pytest.mark.parametrize("kind", ["unet", "densefcn", "mrrn"])
def test_students_begin_alike_and_unlike_their_teacher(kind: Architecture) -> None:
    begun = method(TINY, architecture=kind, hints=Hints(), weights=Weights(), seed=3).networks
    first = begun["student_alone"].state_dict()
    for name in STUDENTS.keys() - {"concat"}:
        other = begun[f"student_{name}"].state_dict()
        assert all(torch.equal(first[key], other[key]) for key in first), name
    teacher = begun["teacher"].state_dict()
    assert any(not torch.equal(first[key], teacher[key]) for key in first)
    # two channels are another first convolution
    assert next(begun["student_concat"].parameters()).shape[1] == 2


def test_a_cached_run_gives_the_same_answers(study: CmedlStudy) -> None:
    fresh, again = study.train(), study.train()
    assert again.from_cache and not fresh.from_cache
    for arm in study.arms:
        assert np.array_equal(study.masks(fresh, arm), study.masks(again, arm))


def test_true_hints_need_a_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path))
    fabric = Fabric(accelerator="cpu", devices=1)
    unpaired = modalities(truth=False)
    with pytest.raises(ValueError, match="true_hints"):
        CmedlStudy(unpaired, TINY, Plan(), 0, fabric)
    plan = Plan(students={"cmedl": Student("pseudo")}, architecture="mrrn", translation="latent")
    study = CmedlStudy(unpaired, TINY, plan, 0, fabric, max_steps=1)
    assert study.train().history.steps == [1]


@pytest.mark.parametrize("kind", ["unet", "densefcn", "mrrn"])
def test_networks_fit_the_lessons_sections(kind: str) -> None:
    from medkd_lib.course.experiments.lung_sections import COARSE
    from medkd_lib.course.experiments.sts_sections import PIXEL_MM, WINDOW_MM

    side = round(WINDOW_MM / PIXEL_MM)
    for shape in (COARSE.shape[::-1], (side, side)):
        images = torch.zeros(2, 1, *shape)
        assert network(kind, LESSON)(images).shape == (2, 2, *shape)  # type: ignore[arg-type]


def test_the_published_sizes_can_be_built() -> None:
    count: dict[str, int] = {}
    with torch.device("meta"):
        for kind in ("unet", "densefcn", "mrrn"):
            built = network(kind, PAPER)
            count[kind] = sum(p.numel() for p in built.parameters())
    assert count == {"unet": 13_394_242, "densefcn": 1_374_194, "mrrn": 38_780_802}
    small: Budget = replace(PAPER, generator=(4, 9))
    made = translator("cyclegan", small, Weights(), 0)
    assert len(made.networks) == 4


def test_true_sections_must_correspond() -> None:
    with pytest.raises(ValueError, match="true sections"):
        with_truth(sections("c", 3, "ct"), "mr", [torch.zeros(4, 16, 24)])


def test_a_translation_comes_back_in_either_direction(study: CmedlStudy) -> None:
    trained, m = study.train(), study.modalities
    for images, modality in ((m.test.images["ct"], "ct"), (m.teaching.images["mr"], "mr")):
        there, back = study.there_and_back(trained, images, modality)
        assert there.shape == back.shape == images.shape
        assert not torch.allclose(there, back)
    assert torch.equal(
        study.translated(trained), study.there_and_back(trained, m.test.images["ct"], "ct")[0]
    )


def test_a_shared_latent_space_comes_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path))
    plan = Plan({"cmedl": STUDENTS["cmedl"]}, translation="latent")
    study = CmedlStudy(modalities(), TINY, plan, 0, Fabric(accelerator="cpu", devices=1))
    study.train()
    kept = study.train()  # read from the cache
    there, back = study.there_and_back(kept, study.modalities.test.images["ct"], "ct")
    assert kept.from_cache and there.shape == back.shape
