"""One channel against many: oracles for AUC and Fisher ratio, luck, planted channels, sampling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from medkd_lib.evaluate.separability import (
    Voxels,
    auc,
    fisher_ratio,
    sample_voxels,
    separability,
)


def noise(patients: int, channels: int, each: int = 40, seed: int = 0) -> Voxels:
    """Return features that know nothing: half of each patient's voxels are foreground."""
    rng = np.random.default_rng(seed)
    count = patients * each
    return Voxels(
        rng.standard_normal((count, channels)),
        np.arange(count) % 2 == 0,
        np.repeat([f"p{i}" for i in range(patients)], each),
    )


def planted(channel: int, shift: float, **kwargs: int) -> Voxels:
    voxels = noise(**kwargs)
    voxels.features[voxels.foreground, channel] += shift
    return voxels


def test_auc_is_scikit_learns_ties_included() -> None:
    voxels = planted(1, 0.7, patients=4, channels=3)
    features = voxels.features.round(1)  # many ties
    found = auc(features, voxels.foreground)
    expected = [roc_auc_score(voxels.foreground, features[:, c]) for c in range(3)]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(auc(-features, voxels.foreground), 1 - found)
    assert auc(np.ones((6, 1)), np.arange(6) < 2)[0] == 0.5


def test_fisher_by_hand_and_by_scikit_learn() -> None:
    features = np.array([[1.0, 3.0, 7.0], [3.0, 3.0, 7.0], [6.0, 3.0, 9.0], [8.0, 3.0, 9.0]])
    foreground = np.array([False, False, True, True])
    # (7 - 2)² / (1 + 1); a constant tells nothing; two constants tell everything
    assert fisher_ratio(features, foreground).tolist() == [12.5, 0, np.inf]
    voxels = planted(0, 1.3, patients=4, channels=1, each=400)
    lda = LinearDiscriminantAnalysis(solver="eigen").fit(voxels.features, voxels.foreground)
    one, zero = (voxels.features[voxels.foreground == k, 0] for k in (True, False))
    # equal classes: the within-class variance is their mean, so J = d² / 2
    d2 = (one.mean() - zero.mean()) ** 2 / float(lda.covariance_[0, 0])
    assert fisher_ratio(voxels.features, voxels.foreground)[0] == pytest.approx(d2 / 2)


@pytest.mark.parametrize("shift", [2.0, -2.0])
def test_a_planted_channel_is_found_whichever_way_it_points(shift: float) -> None:
    found = separability(planted(5, shift, patients=20, channels=12, each=200), seed=0)
    assert found.channels == (5, 5)
    # two normals 2 SD apart: AUC = Φ(2/√2), J = 4/2
    assert found.auc == pytest.approx(0.921, abs=0.02) and found.fisher == pytest.approx(
        2, rel=0.15
    )


def test_the_best_of_many_channels_is_luck_on_its_own_patients_only() -> None:
    chosen_on_itself, found = [], []
    for seed in range(10):
        voxels = noise(8, 64, seed=seed)
        chosen_on_itself.append(np.abs(auc(voxels.features, voxels.foreground) - 0.5).max())
        found.append(separability(voxels, seed=seed).auc - 0.5)
    assert np.mean(chosen_on_itself) > 0.06
    assert abs(np.mean(found)) < 0.02 and min(found) < 0


def test_a_channel_that_turns_round_between_halves_comes_out_below_one_half() -> None:
    voxels = noise(2, 1)
    first = np.random.default_rng(0).permutation(np.unique(voxels.patients))[0]
    sign = np.where(voxels.patients == first, 1.0, -1.0)
    voxels.features[:, 0] = sign * voxels.foreground
    assert separability(voxels, seed=0).auc == 0


def test_invariant_to_what_it_says() -> None:
    voxels = planted(2, 1.0, patients=10, channels=4)
    found = separability(voxels, seed=1)
    risen = Voxels(np.exp(voxels.features), voxels.foreground, voxels.patients)
    assert separability(risen, seed=1).auc == pytest.approx(found.auc)
    moved = Voxels(5 - 3 * voxels.features, voxels.foreground, voxels.patients)
    again = separability(moved, seed=1)
    assert (again.auc, again.fisher) == pytest.approx((found.auc, found.fisher))


def test_features_are_read_as_interpolation_reads_them() -> None:
    features = torch.randn(3, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 16, 12, dtype=torch.bool)
    masks[0, 3:7, 2:9] = masks[2, 0, 0] = True
    voxels = sample_voxels(features, masks, ["a", "b", "c"], per_section=10_000, seed=0)
    large = F.interpolate(features, (16, 12), mode="bilinear", align_corners=False)
    assert len(voxels.features) == masks.numel() and voxels.foreground.sum() == masks.sum()
    for patient, n in (("a", 0), ("b", 1), ("c", 2)):
        for kind in (True, False):
            rows = (voxels.patients == patient) & (voxels.foreground == kind)
            expected = large[n][:, masks[n] == kind].T.double().numpy()
            order, found = np.lexsort(expected.T), voxels.features[rows]
            np.testing.assert_allclose(found[np.lexsort(found.T)], expected[order], atol=1e-5)


def test_no_section_outweighs_another_and_background_is_where_it_is_said_to_be() -> None:
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[0, 2:14, 2:14] = masks[1, 4:6, 4:6] = True
    ring = torch.zeros_like(masks)
    ring[:, :8, :8] = True
    place = torch.arange(256.0).reshape(1, 1, 16, 16).expand(2, 1, 16, 16)
    voxels = sample_voxels(place, masks, ["a", "b"], per_section=20, seed=0, background=ring)
    counts = [(voxels.patients == p) & (voxels.foreground == k) for p in "ab" for k in (1, 0)]
    assert [int(c.sum()) for c in counts] == [20, 20, 4, 20]
    drawn = voxels.features[~voxels.foreground, 0].round().astype(int)
    n = (voxels.patients[~voxels.foreground] == "b").astype(int)
    assert (ring & ~masks).numpy().reshape(2, -1)[n, drawn].all()
    again = sample_voxels(place, masks, ["a", "b"], per_section=20, seed=0, background=ring)
    np.testing.assert_array_equal(voxels.features, again.features)


def test_end_to_end_a_map_that_shows_the_tumour() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(24, 32, 32, dtype=torch.bool)
    for n in range(24):
        masks[n, 6 + n % 8 : 14 + n % 8, 10:18] = True
    features = torch.randn(24, 6, 16, 16, generator=generator)
    features[:, 3] += 3 * F.avg_pool2d(masks[:, None].float(), 2)[:, 0]
    patients = [f"p{n // 4}" for n in range(24)]
    voxels = sample_voxels(features, masks, patients, per_section=30, seed=0)
    found = separability(voxels, seed=0)
    assert found.channels == (3, 3) and found.auc > 0.9 and found.fisher > 1


def test_errors_name_what_is_wrong() -> None:
    features, masks = torch.zeros(2, 3, 4, 4), torch.zeros(2, 8, 8, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"torch.uint8 \(2, 8, 8\) and 2 patients"):
        sample_voxels(features, masks.byte(), ["a", "b"], per_section=5, seed=0)
    with pytest.raises(ValueError, match="and 1 patients"):
        sample_voxels(features, masks, ["a"], per_section=5, seed=0)
    with pytest.raises(ValueError, match="per_section >= 1, found 0"):
        sample_voxels(features, masks, ["a", "b"], per_section=0, seed=0)
    with pytest.raises(ValueError, match=r"bool background \(2, 8, 8\), found .* \(2, 4, 4\)"):
        sample_voxels(
            features, masks, ["a", "b"], per_section=5, seed=0, background=masks[:, :4, :4]
        )
    with pytest.raises(ValueError, match="finite features"):
        sample_voxels(features * torch.nan, masks, ["a", "b"], per_section=5, seed=0)
    with pytest.raises(ValueError, match=r"at least two patients to divide, found \['p0'\]"):
        separability(noise(1, 3), seed=0)
    one_sided = noise(2, 3)
    one_sided = Voxels(one_sided.features, one_sided.patients == "p0", one_sided.patients)
    with pytest.raises(ValueError, match=r"found 40 of 40 voxels|found 0 of 40 voxels"):
        separability(one_sided, seed=0)
