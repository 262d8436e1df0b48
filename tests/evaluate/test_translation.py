"""Collapse and copies: translators of known failure, and the variance and distances by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from medkd_lib.evaluate.translation import collapse, copy_through

Images = NDArray[np.float64]


def anatomy(number: int, seed: int) -> NDArray[np.int64]:
    """Label maps ``(N, 24, 24)``: air 0, an oval body 1 with two organs 2 and 3."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :24]
    labels = np.zeros((number, 24, 24), np.int64)
    for label, size in ((1, 9), (2, 4), (3, 3)):
        centre = 11.5 + rng.normal(0, 1.5 * label, (2, number, 1, 1))
        radius = size + rng.normal(0, 0.7, (2, number, 1, 1))
        oval = ((rows - centre[0]) / radius[0]) ** 2 + ((columns - centre[1]) / radius[1]) ** 2 < 1
        labels[oval & ((labels == 1) | (label == 1))] = label
    return labels


def scan(labels: NDArray[np.int64], values: tuple[float, ...], seed: int) -> Images:
    noise = np.random.default_rng(seed).normal(0, 0.03, labels.shape)
    return np.clip(np.array(values)[labels] + noise, -1, 1)


CT, MR = (-1.0, 0.1, 0.2, -0.6), (-1.0, -0.2, 0.6, 0.9)
labels, other_labels = anatomy(30, 0), anatomy(30, 1)
ct, true_mr, real_mr = scan(labels, CT, 2), scan(labels, MR, 3), scan(other_labels, MR, 4)
body, other_body = labels > 0, other_labels > 0


def test_variance_is_numpys_where_every_image_is_a_patient() -> None:
    found = collapse(ct, real_mr)
    assert found.pseudo_variance == pytest.approx(ct.var(axis=0, ddof=1).mean(), rel=1e-10)
    assert found.real_variance == pytest.approx(real_mr.var(axis=0, ddof=1).mean(), rel=1e-10)
    assert found.ratio == pytest.approx(found.pseudo_variance / found.real_variance)


def test_pairs_within_a_patient_do_not_count() -> None:
    x, names = ct[:6], ["a", "b", "a", "c", "c", "c"]
    pairs = [
        0.5 * ((x[n] - x[m]) ** 2).mean()
        for n in range(6)
        for m in range(n)
        if names[n] != names[m]
    ]
    found = collapse(x, real_mr, patients=names)
    assert found.pseudo_variance == pytest.approx(np.mean(pairs), rel=1e-10)


def test_many_slices_of_a_mean_patient_are_no_variety() -> None:
    slices = np.tile(true_mr[:10], (3, 1, 1))  # the same ten slices for each of three patients
    named = [f"p{n // 10}" for n in range(30)]
    steady = np.repeat(true_mr[:1], 30, axis=0)
    steady[::2] += 0.05  # one slice, and a flicker within patients
    assert collapse(slices, real_mr, patients=named).ratio == pytest.approx(0.9, abs=0.4)
    assert collapse(steady, real_mr, patients=named).collapsed


def test_the_true_translation_is_not_collapsed_and_a_mean_image_is() -> None:
    good = collapse(true_mr, real_mr)
    assert not good.collapsed
    assert good.ratio == pytest.approx(1, abs=0.4)
    mean = np.repeat(real_mr.mean(axis=0, keepdims=True), 30, axis=0)
    assert collapse(mean, real_mr).ratio == pytest.approx(0, abs=1e-20)
    assert collapse(mean, real_mr).collapsed
    # a third of the way out of the mean image is 1/9 of the variance
    third = mean + (true_mr - true_mr.mean(axis=0)) / 3
    assert collapse(third, real_mr).collapsed
    assert not collapse(third, real_mr, least_ratio=0.05).collapsed


def test_the_true_translation_is_no_copy_and_the_source_is() -> None:
    good = copy_through(true_mr, ct, real_mr)
    assert not good.copied
    assert good.remaining < 0.2 * good.gap
    copy = copy_through(ct, ct, real_mr)
    assert copy.copied
    assert (copy.moved, copy.source_correlation) == (0, pytest.approx(1))
    assert copy.remaining == copy.gap


def test_nobody_reaches_the_targets_histogram_without_moving_the_gap() -> None:
    for pseudo in (true_mr, ct, 0.5 * ct + 0.5 * true_mr, -ct, np.roll(ct, 3, axis=2)):
        found = copy_through(pseudo, ct, real_mr)
        assert found.moved >= found.gap - found.remaining - 1e-12


@pytest.mark.parametrize(
    ("pseudo", "copied"),
    [
        (0.9 * ct + 0.1 * true_mr, True),  # moved a tenth
        (0.6 * ct + 0.1, True),  # another window, the same picture
        (scan(labels, CT, 5), True),  # noise of its own
        (-ct, False),  # an inversion is a translation, if a poor one
        (np.repeat(real_mr[:1], 30, axis=0), False),  # collapse is another failure
        (np.zeros_like(ct), False),  # nor does a blank image copy anything
    ],
    ids=["nearly", "windowed", "noise", "inverted", "collapsed", "blank"],
)
def test_what_counts_as_a_copy(pseudo: Images, copied: bool) -> None:
    assert copy_through(pseudo, ct, real_mr).copied is copied


def test_air_makes_all_modalities_alike() -> None:
    everywhere = copy_through(true_mr, ct, real_mr)
    inside = copy_through(true_mr, ct, real_mr, inside=body, real_inside=other_body)
    assert everywhere.source_correlation > inside.source_correlation + 0.3
    # distances in the body alone: its share of the image is what the whole image divides by
    assert inside.moved == pytest.approx(np.abs(true_mr - ct)[body].mean())
    # an image without any body is left out of the mean and does no harm
    emptied = body.copy()
    emptied[0] = False
    kept = copy_through(true_mr, ct, real_mr, inside=emptied).source_correlation
    assert np.isfinite(kept)


def test_where_histograms_are_alike_the_correlation_decides() -> None:
    """T1 and T2 of one range: nothing to move, so only the picture tells."""
    mirrored = scan(labels, (-1.0, -0.2, 0.9, 0.6), 6)
    real = scan(other_labels, (-1.0, -0.2, 0.9, 0.6), 7)
    found = copy_through(scan(labels, MR, 8), true_mr, real)
    assert found.copied and found.gap < 0.15
    right = copy_through(mirrored, true_mr, real, inside=body, real_inside=other_body)
    assert not right.copied


def test_thresholds_are_the_callers() -> None:
    half = 0.5 * ct + 0.5 * true_mr
    strict = copy_through(half, ct, real_mr, least_move=2.0)
    assert strict.copied and strict.least_move == 2.0
    assert copy_through(true_mr, ct, real_mr, most_correlation=0.1).copied


def test_errors() -> None:
    with pytest.raises(ValueError, match="images of one shape"):
        collapse(ct[:, :20], real_mr)
    with pytest.raises(ValueError, match="pseudo: expected one patient per image, found 2 names"):
        collapse(ct, real_mr, patients=["a", "b"])
    with pytest.raises(
        ValueError, match="pseudo: expected images of two patients or more, found 1"
    ):
        collapse(ct, real_mr, patients=["a"] * 30)
    with pytest.raises(ValueError, match="real: expected images that differ"):
        collapse(ct, np.repeat(real_mr[:1], 5, axis=0))
    with pytest.raises(ValueError, match=r"pseudo \(30, 24, 24\) and source \(29, 24, 24\)"):
        copy_through(ct, ct[1:], real_mr)
    with pytest.raises(ValueError, match="pseudo: expected a bool mask of shape"):
        copy_through(ct, ct, real_mr, inside=labels)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="pseudo: expected finite pixels, found 17280 of which 17279"
    ):
        copy_through(np.where(np.arange(17280).reshape(ct.shape) == 5, np.nan, ct), ct, real_mr)
