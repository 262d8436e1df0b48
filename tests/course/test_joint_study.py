"""Every arm of lesson 06 runs, begins alike, and is what its name says."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.joint_arms import ALONE, ARMS, JOINT, Arm
from medkd_lib.course.experiments.joint_banks import shown_often
from medkd_lib.course.experiments.joint_budget import Architecture, Budget
from medkd_lib.course.experiments.joint_stages import levelled
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.experiments.joint_views import side_by_side
from medkd_lib.course.experiments.mask_measures import scores
from medkd_lib.methods.joint_parts import LABELS_ALONE
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.trans_resunet import TransResUNet
from medkd_lib.models.unet import UNet
from medkd_lib.train import Trained
from tests.course.joint_material import SOURCES, TARGET, cohort

TINY = Budget(steps=3, batch_size=4, unet=(4, 6, 8), transresunet=(8, (1, 1, 1)), shift=2)


def study(fabric: Fabric, budget: Budget = TINY, architecture: Architecture = "unet") -> JointStudy:
    return JointStudy(cohort(), budget, 0, fabric, architecture)


def same(a: Trained, b: Trained) -> bool:
    mine, theirs = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in mine.items())


# What changes the material is done to the cohort, see test_joint_material.py.
@pytest.mark.parametrize(
    "name", [n for n, a in ARMS.items() if a.material == "as it is" and a.sources == a.target == 1]
)
def test_every_arm_answers_as_the_same_network(name: str, cpu: Fabric) -> None:
    found = study(cpu)
    trained = found.train(ARMS[name])
    kind = JointTeacher if name == "joint_teacher" else UNet
    assert isinstance(trained.network, kind)
    masks = found.masks(trained, found.cohort.test)
    assert masks.shape == (16, 32, 32)
    table = scores(masks, found.cohort.test, tolerance_mm=3.0)
    assert len(table) == 4 and table.dice.notna().all()


@pytest.mark.parametrize("kept", [0, 2])
def test_labels_alone_in_the_students_path_are_the_student_alone(kept: int, cpu: Fabric) -> None:
    found = study(cpu, replace(TINY, kept_views=kept))
    silent = found.train(replace(JOINT, weights=LABELS_ALONE))
    assert same(silent, found.train(ALONE))
    assert not same(found.train(JOINT), found.train(ALONE))


def test_every_arm_is_shown_the_same_kept_views(cpu: Fabric) -> None:
    budget = replace(TINY, kept_views=2)
    found = study(cpu, budget)
    teacher = levelled(found.alone())
    plain = found.shown((TARGET,))[TARGET].tensors
    taught = found.shown_to_student(teacher, JOINT.weights)[TARGET].tensors
    assert torch.equal(plain[f"{TARGET}/images"], taught["images"])
    assert torch.equal(plain[f"{TARGET}/masks"], taught["masks"])
    # an answer is to the view beside it
    with torch.no_grad():
        expected = teacher(taught["images"][5:6])[0]
    torch.testing.assert_close(taught["told_logits"][5].float(), expected, rtol=1e-2, atol=1e-2)
    assert not torch.equal(*(taught["images"][k::24][0] for k in (0, 12)))


def test_the_target_teacher_begins_elsewhere_than_the_student(cpu: Fabric) -> None:
    found = study(cpu)
    assert not same(found.alone(1000), found.alone())
    assert same(found.alone(), found.train(ALONE))


def test_a_joint_teacher_holds_who_it_names(cpu: Fabric) -> None:
    found = study(cpu)
    held: dict[str, list[dict[str, Tensor]]] = {}
    for members in ("sources", "targets", "random"):
        joint = found.joint_teacher(replace(JOINT, members=members)).network
        held[members] = [t.state_dict() for t in cast(JointTeacher, joint).teachers]
    # decoders are gone: nobody asks for a teacher's answer
    target = found.alone(1000).network.state_dict()
    assert all(name in target for name in held["sources"][0])
    for networks in held.values():
        assert len(networks) == 1 + len(SOURCES)
        assert all(torch.equal(v, target[k]) for k, v in networks[0].items())
    untrained = found.alone(2000, factor=0).network.state_dict()
    assert all(torch.equal(v, untrained[k]) for k, v in held["random"][1].items())
    source = found.source_teacher(SOURCES[1], JOINT.domain).network.state_dict()
    assert all(torch.equal(v, source[k]) for k, v in held["sources"][2].items())
    assert any(not torch.equal(v, source[k]) for k, v in held["targets"][2].items())


def test_the_long_student_has_the_updates_of_the_pipeline(cpu: Fabric) -> None:
    found = study(cpu)
    last = found.train(ARMS["alone_pipeline"]).history.steps[-1]
    # the target, two sources, the joint one, the student
    assert last == 5 * TINY.steps and found.train(ALONE).history.steps[-1] == TINY.steps
    cut = JointStudy(cohort(), TINY, 0, cpu, max_steps=2)
    assert cut.train(ARMS["alone_pipeline"]).history.steps[-1] == 2


def test_fine_tuning_begins_where_the_pooled_training_ended(cpu: Fabric) -> None:
    found = study(cpu)
    cut = JointStudy(cohort(), TINY, 0, cpu)
    start = levelled(cut.pooled()).state_dict()
    # a learning rate of nothing leaves the start as it is
    still = JointStudy(cohort(), replace(TINY, learning_rate=0.0), 0, cpu)
    still.pooled = cut.pooled  # type: ignore[method-assign]
    ended = still.train(ARMS["finetuned"]).network.state_dict()
    assert all(torch.equal(v, start[k]) for k, v in ended.items())
    assert not same(found.train(ARMS["finetuned"]), found.pooled())


@pytest.mark.parametrize("name", ["alone", "finetuned", "joint", "self_distilled"])
def test_the_other_network_goes_the_same_ways(name: str, cpu: Fabric) -> None:
    found = study(cpu, architecture="transresunet")
    assert isinstance(found.train(ARMS[name]).network, TransResUNet)


def test_it_learns(cpu: Fabric) -> None:
    found = study(cpu, replace(TINY, steps=60, learning_rate=1e-2))
    for arm in (ALONE, JOINT, Arm("pooled", answer="teacher")):
        table = scores(
            found.masks(found.train(arm), found.cohort.test), found.cohort.test, tolerance_mm=3.0
        )
        assert table.dice.mean() > 0.5


def test_root_sampling_shows_large_sets_more_often(cpu: Fabric) -> None:
    found = study(cpu, replace(TINY, sampling="root", batch_size=12))
    batch = next(iter(side_by_side(found.shown((TARGET, *SOURCES)), found.budget, 0, 0)))
    sizes = {name: len(batch[f"{name}/images"]) for name in (TARGET, *SOURCES)}
    assert sizes[TARGET] < sizes[SOURCES[0]] == sizes[SOURCES[1]]
    assert not same(found.pooled(), study(cpu, replace(TINY, batch_size=12)).pooled())


def test_who_does_not_see_the_sources_does_not_depend_on_them(cpu: Fabric) -> None:
    whole = study(cpu)
    one = replace(
        cohort(), sources=SOURCES[:1],
        train={n: s for n, s in cohort().train.items() if n != SOURCES[1]}, split="other",
    )  # fmt: skip
    few = JointStudy(one, TINY, 0, cpu)
    assert few.alone().key == whole.alone().key
    theirs = whole.source_teacher(SOURCES[0], JOINT.domain)
    assert few.source_teacher(SOURCES[0], JOINT.domain).key == theirs.key
    assert few.pooled().key != whole.pooled().key
    assert few.train(JOINT).key != whole.train(JOINT).key


def test_what_learns_from_sources_may_have_more_updates(cpu: Fabric) -> None:
    found = study(cpu, replace(TINY, source_factor=2))
    last = {
        "alone": found.alone(), "pooled": found.pooled(),
        "source": found.source_teacher(SOURCES[0], None), "joint": found.train(JOINT),
        "pipeline": found.train(ARMS["alone_pipeline"]),
    }  # fmt: skip
    steps = {name: trained.history.steps[-1] for name, trained in last.items()}
    assert steps == {"alone": 3, "pooled": 6, "source": 6, "joint": 3, "pipeline": 21}


def test_self_distillation_follows_somebody_who_began_elsewhere(cpu: Fabric) -> None:
    found = study(cpu)
    assert found._teacher(ARMS["self_distilled"]).key == found.alone(1000).key
    assert found._teacher(ARMS["kd_finetuned"]).key == found.finetuned().key
    assert found.finetuned(gentle=True).key != found.finetuned().key


def test_what_shows_something_anyway_is_not_repeated() -> None:
    sections = cohort().train[TARGET]
    assert shown_often(sections, 0.5).ids == sections.ids
    often = shown_often(sections, 0.8)
    assert often.ids != sections.ids
    assert float((often.masks > 0).flatten(1).any(dim=1).float().mean()) == pytest.approx(
        0.8, abs=0.02
    )
