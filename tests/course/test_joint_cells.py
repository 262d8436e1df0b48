"""The numbers of an arm of lesson 06."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.joint_arms import ARMS
from medkd_lib.course.experiments.joint_cells import answered, guessed
from medkd_lib.course.experiments.joint_probe import bottleneck, probes
from medkd_lib.course.experiments.joint_stages import levelled
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.methods.joint_parts import Domain
from tests.course.joint_material import SOURCES, cohort
from tests.course.test_joint_study import TINY


def study(fabric: Fabric) -> JointStudy:
    return JointStudy(cohort(external=True), TINY, 0, fabric)


def test_an_arm_has_a_number_per_patient_and_some_of_all(cpu: Fabric) -> None:
    found = answered(study(cpu), ARMS["joint"])
    assert found.patients == [f"isles2022:{p:03d}" for p in range(30, 34)]
    assert set(found.values) == {"dice", "surface_dice", "hd95_mm", "false_alarms"}
    names = {"val_dice", "dice_msd_hippocampus", "missed", "dice_median", "dice_worst_tenth"}
    fronts = ("probe", "probe_high", "taught")
    assert set(found.extras) == names | {f"{f}_{s}" for s in SOURCES for f in fronts}
    assert all(found.extras[f"probe_high_{s}"] >= found.extras[f"probe_{s}"] for s in SOURCES)
    dice = np.asarray(found.values["dice"])
    assert found.extras["dice_worst_tenth"] == pytest.approx(dice.min())
    assert found.extras["dice_median"] == pytest.approx(np.median(dice))
    assert found.extras["missed"] == pytest.approx((dice < 0.05).mean())
    alone = answered(study(cpu), ARMS["alone"])
    assert set(alone.extras) == names


def test_a_guess_sees_no_pixel(cpu: Fabric) -> None:
    one = cohort()
    other = cohort()
    other.test.images["image"].zero_()
    assert guessed(one).values == guessed(other).values


def test_a_probe_finds_what_nobody_hid(cpu: Fabric) -> None:
    """The noise of the sets differs; an encoder that has hardly learnt shows it."""
    # a norm per image would bring all noise to one strength
    one = JointStudy(cohort(), replace(TINY, norm="batch"), 0, cpu)
    found = probes(one, Domain(weight=0.0))
    assert set(found) == set(SOURCES)
    assert all(p.balanced_accuracy > 0.8 and p.chance == 0.5 for p in found.values())


def test_a_bottleneck_is_asked_in_parts(cpu: Fabric) -> None:
    one = study(cpu)
    network, sections = levelled(one.alone()), one.cohort.train[SOURCES[0]]
    features = bottleneck(network, sections.images["image"])
    assert features.shape == (len(sections), 8)
    with torch.no_grad():
        alone = network.encode(sections.images["image"][5:6])[-1].mean((2, 3))[0]
    torch.testing.assert_close(features[5], alone)


def test_a_whole_other_set_may_be_judged_on(cpu: Fabric) -> None:
    one = study(cpu)
    here, there = (answered(one, ARMS["alone"], on) for on in ("", "msd_hippocampus"))
    assert there.patients == [f"msd_hippocampus:{p:03d}" for p in range(3)]
    assert there.extras["dice_msd_hippocampus"] == pytest.approx(np.mean(there.values["dice"]))
    assert here.extras["val_dice"] == there.extras["val_dice"] and here.split == there.split
    assert guessed(one.cohort, "msd_hippocampus").patients == there.patients


def test_a_source_of_one_patient_has_no_probe(cpu: Fabric) -> None:
    made = cohort()
    alone = made.train[SOURCES[1]].of(made.train[SOURCES[1]].patients[:1])
    few = replace(made, train={**made.train, SOURCES[1]: alone})
    assert set(probes(JointStudy(few, TINY, 0, cpu), None)) == {SOURCES[0]}
