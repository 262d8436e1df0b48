"""What controls do to the sources, and what they leave alone."""

import pytest
import torch

from medkd_lib.course.experiments.joint_arms import ARMS
from medkd_lib.course.experiments.joint_change import (
    changed,
    other_masks,
    share_of_sources,
    share_of_target,
    shuffled_labels,
)
from tests.course.joint_material import SOURCES, TARGET, cohort


def test_every_image_of_a_source_has_another_ones_mask() -> None:
    before, after = cohort(), shuffled_labels(cohort(), 0, other_masks)
    for name in SOURCES:
        mine, theirs = after.train[name], before.train[name]
        assert torch.equal(mine.images["image"], theirs.images["image"])
        assert mine.masks.sum() == theirs.masks.sum()
        own = theirs.masks > 0
        shows = own.flatten(1).any(1)
        overlap = (own & (mine.masks > 0)).flatten(1).sum(1)[shows]
        assert float(overlap.float().mean()) < 0.4 * float(
            own.flatten(1).sum(1)[shows].float().mean()
        )
        assert mine.fingerprint != theirs.fingerprint
    assert after.train[TARGET] is not None
    assert torch.equal(after.train[TARGET].masks, before.train[TARGET].masks)


def test_smaller_shares_lie_within_larger_ones() -> None:
    people = {
        share: set(share_of_sources(cohort(), share, 0).train[SOURCES[0]].patients)
        for share in (1 / 8, 1 / 4, 1 / 2, 1.0)
    }
    assert [len(p) for p in people.values()] == [1, 2, 4, 8]
    assert people[1 / 8] < people[1 / 4] < people[1 / 2] < people[1.0]
    assert set(share_of_sources(cohort(), 1 / 4, 1).train[SOURCES[0]].patients) != people[1 / 4]
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        share_of_sources(cohort(), 0.0, 0)


def test_an_arm_asks_for_its_material() -> None:
    plain = cohort().fingerprint
    assert changed(cohort(), ARMS["joint"], 0, other_masks).fingerprint == plain
    assert changed(cohort(), ARMS["shuffled_labels"], 0, other_masks).fingerprint != plain
    eighth = changed(cohort(), ARMS["joint_eighth"], 0, other_masks)
    assert len(set(eighth.train[SOURCES[1]].patients)) == 1
    assert eighth.train[TARGET].patients == cohort().train[TARGET].patients


def test_half_of_the_target_is_half_of_its_patients() -> None:
    half = changed(cohort(), ARMS["half_joint"], 0, other_masks)
    assert len(set(half.train[TARGET].patients)) == 3
    assert half.train[SOURCES[0]].patients == cohort().train[SOURCES[0]].patients
    alone = changed(cohort(), ARMS["half_alone"], 0, other_masks)
    assert alone.train[TARGET].patients == half.train[TARGET].patients
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        share_of_target(cohort(), 1.5, 0)
