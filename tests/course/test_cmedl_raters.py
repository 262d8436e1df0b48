"""Virtual raters with proposals: they agree more, and agreeing is not being right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medkd_lib.course.experiments.cmedl_raters import (
    GROWN,
    OTHER,
    UNAIDED,
    Panel,
    grown,
    of_other_patients,
    rater_table,
)
from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.raters import draw_raters, variability
from medkd_lib.evaluate.segment import Mask, compare

SPACING = (3.0, 3.0, 3.0)
PANEL = Panel(raters=3, sd_mm=2.5, correlation_mm=12.0, tolerance_mm=7.0, grown_mm=4.0)


def balls(radii_mm: tuple[float, ...], side: int = 16) -> Sections:
    """One case per radius, a ball in the middle, as sections."""
    away = 3.0 * (np.indices((side,) * 3) - (side - 1) / 2)
    masks = [np.moveaxis((away**2).sum(axis=0) < r**2, -1, 0) for r in radii_mm]
    stacked = torch.from_numpy(np.concatenate(masks).astype(np.uint8))
    ids = tuple(f"c{n}/k{k:03d}" for n in range(len(radii_mm)) for k in range(side))
    patients = tuple(name.split("/")[0].replace("c", "p") for name in ids)
    return Sections({"ct": stacked[:, None].float()}, stacked, patients, ids, SPACING, {}, "balls")


sections = balls((9.0, 13.0, 16.0))
truth = sections.masks.numpy() > 0
nothing = np.zeros_like(truth)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    answers = {"perfect": truth, "missed": nothing}
    return rater_table(sections, answers, PANEL, seed=1)


def test_one_row_per_proposal_and_case_and_every_case_alike(table: pd.DataFrame) -> None:
    names = [UNAIDED, "perfect", "missed", GROWN, OTHER]
    assert list(table.index) == [(name, f"c{n}") for n in range(3) for name in names]
    assert table.loc[("perfect", "c2"), "patient"] == "p2"
    unaided = table.loc[UNAIDED]
    volume = np.moveaxis(truth.reshape(3, 16, 16, 16)[1], 0, -1)
    assert unaided.loc["c1", "volume_ml"] == pytest.approx(volume.sum() * 0.027, rel=0.35)
    assert unaided.proposal_dice.isna().all()
    assert (table.loc["perfect"].proposal_dice == 1).all()


def test_without_a_proposal_raters_are_those_of_the_measure() -> None:
    found = rater_table(sections, {}, PANEL, seed=4).loc[(UNAIDED, "c0")]
    volume = np.moveaxis(truth[:16], 0, -1)
    own = draw_raters(
        volume, SPACING, raters=3, sd_mm=2.5, correlation_mm=12.0,
        seed=int(key_of(case="c0", seed=4)[:8], 16),
    )  # fmt: skip
    spread = variability(own, SPACING, tolerance_mm=PANEL.surface_mm)
    assert found["dice"] == spread.dice and found["volume_sd_ml"] == spread.volume_sd_ml
    against = [compare(o, volume, SPACING, PANEL.surface_mm).dice for o in own]
    assert found["truth_dice"] == pytest.approx(np.mean(against))


def test_a_good_proposal_brings_raters_together_and_nearer_to_the_truth(
    table: pd.DataFrame,
) -> None:
    unaided, perfect = table.loc[UNAIDED], table.loc["perfect"]
    assert (perfect.dice > unaided.dice + 0.05).all()
    assert (perfect.volume_sd_ml < 0.5 * unaided.volume_sd_ml).all()
    assert (perfect.truth_dice > unaided.truth_dice + 0.05).all()


def test_an_empty_proposal_changes_nothing(table: pd.DataFrame) -> None:
    columns = ["dice", "surface_dice", "volume_sd_ml", "volume_ml", "truth_dice"]
    pd.testing.assert_frame_equal(
        table.loc["missed"][columns], table.loc[UNAIDED][columns], check_names=False
    )
    assert (table.loc["missed"].proposal_dice == 0).all()


def test_a_wrong_proposal_brings_raters_together_and_further_from_the_truth(
    table: pd.DataFrame,
) -> None:
    """Hence agreement between raters is no evidence for a proposal."""
    unaided, wrong = table.loc[UNAIDED], table.loc[GROWN]
    assert wrong.dice.mean() > unaided.dice.mean() + 0.03
    # of the smallest ball, three voxels in radius, raters lose more than the proposal adds
    assert (wrong.truth_dice < unaided.truth_dice - 0.03)[["c1", "c2"]].all()
    assert (wrong.volume_ml > 1.2 * unaided.volume_ml).all()


def test_raters_of_a_case_do_not_depend_on_its_company() -> None:
    alone = rater_table(sections.of(["p1", "p2"]), {}, PANEL, seed=1)
    together = rater_table(sections, {"perfect": truth}, PANEL, seed=1)
    pd.testing.assert_series_equal(alone.loc[(UNAIDED, "c2")], together.loc[(UNAIDED, "c2")])
    other = rater_table(sections, {}, PANEL, seed=2)
    assert (other.loc[UNAIDED].dice != together.loc[UNAIDED].dice).all()
    # balls of one size are drawn differently all the same
    twins = rater_table(balls((12.0, 12.0)), {}, PANEL, seed=1).loc[UNAIDED]
    assert twins.dice.iloc[0] != twins.dice.iloc[1]


def volume_of(mask: Mask) -> float:
    return float(mask.sum()) * 0.027


def test_the_wrong_proposals_are_what_they_say() -> None:
    cases = {f"c{n}": np.moveaxis(truth[16 * n : 16 * n + 16], 0, -1) for n in range(3)}
    wide = grown(cases["c0"], (3.0, 3.0, 3.0), 3.0)
    # one voxel along every axis, none over a corner
    edges = np.argwhere(wide).min(axis=0), np.argwhere(cases["c0"]).min(axis=0)
    np.testing.assert_array_equal(edges[0], edges[1] - 1)
    assert grown(cases["c0"], SPACING, 2.9).sum() == cases["c0"].sum()
    exchanged = of_other_patients(cases, SPACING)
    for case, other in (("c0", "c1"), ("c1", "c2"), ("c2", "c0")):
        assert volume_of(exchanged[case]) == pytest.approx(volume_of(cases[other]), rel=0.1)
        middle = np.argwhere(exchanged[case]).mean(axis=0)
        np.testing.assert_allclose(middle, np.argwhere(cases[case]).mean(axis=0), atol=0.3)
    # a single voxel has an extent, too
    dot = np.zeros_like(cases["c0"])
    dot[4, 5, 6] = True
    moved = of_other_patients({"a": cases["c0"], "b": dot}, SPACING)
    assert moved["a"].sum() <= 8 and moved["b"].any()


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"\['grown'\] are the names of controls"):
        rater_table(sections, {"grown": truth}, PANEL, seed=0)
    blank = replace(sections, masks=sections.masks.clone())
    blank.masks[16:32] = 0
    with pytest.raises(ValueError, match=r"found 3, of which \['c1'\] show none"):
        rater_table(blank, {}, PANEL, seed=0)
    with pytest.raises(ValueError, match="two cases or more"):
        rater_table(sections.of(["p0"]), {}, PANEL, seed=0)
    with pytest.raises(ValueError, match="expected 47 ids"):
        rater_table(sections, {"short": truth[1:]}, PANEL, seed=0)
