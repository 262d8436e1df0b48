"""The domain probe: what it reads, whom it must not recognise, and the sentence that it allows."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from medkd_lib.evaluate.domain_probe import (
    Finding,
    Probe,
    invariance,
    invariance_sentence,
    linear_probe,
)

Cases = tuple[Tensor, list[str], list[str]]


def cases(shift: float, *, seed: int = 0, patients: tuple[int, ...] = (40, 40)) -> Cases:
    """One vector per patient; domain k lies ``shift`` to one side on axis k."""
    draw = torch.Generator().manual_seed(seed)
    domains = [k for k, n in enumerate(patients) for _ in range(n)]
    x = torch.randn(len(domains), 6, generator=draw)
    for row, k in enumerate(domains):
        x[row, k] += shift
    names = [f"d{k}" for k in domains]
    return x, names, [f"{name}:{i}" for i, name in enumerate(names)]


def slices(number: int, *, seed: int = 0) -> Cases:
    """Slices that show whose they are and nothing of the domain."""
    draw = torch.Generator().manual_seed(seed)
    _, names, whose = cases(0, patients=(20, 20))
    own = 5 * torch.randn(40, 60, generator=draw)
    x = own.repeat_interleave(number, 0) + torch.randn(40 * number, 60, generator=draw)
    return x, *([s for s in xs for _ in range(number)] for xs in (names, whose))  # type: ignore[return-value]


def test_what_is_there_is_read_and_what_is_not_is_not() -> None:
    sure = linear_probe(*cases(20))
    assert sure.balanced_accuracy == 1 and sure.interval == (1, 1)
    assert (sure.chance, sure.patients, sure.cases) == (0.5, 80, 80)
    found = [linear_probe(*cases(0, seed=s)).balanced_accuracy for s in range(8)]
    # one seed's standard deviation is 0.056; cross-validation leans below chance
    assert np.mean(found) == pytest.approx(0.48, abs=0.06)
    some = linear_probe(*cases(1.5))
    low, high = some.interval
    assert 0.5 < low < some.balanced_accuracy < high < 1


def test_two_normals_are_told_apart_as_well_as_they_can_be() -> None:
    # Directions known, Φ(√2 · 1.5 / 2) = 0.856 were the best.
    probe = linear_probe(*cases(1.5, patients=(400, 400)))
    assert probe.balanced_accuracy == pytest.approx(0.856, abs=0.03)
    # each recall a share of 400: the interval of their mean is ± 1.96 sqrt(p(1-p)/800)
    low, high = probe.interval
    p = probe.balanced_accuracy
    assert high - low == pytest.approx(2 * 1.96 * (p * (1 - p) / 800) ** 0.5, rel=0.1)


def test_a_patient_is_not_taken_for_a_domain() -> None:
    x, names, whose = slices(10)
    probe = linear_probe(x, names, whose)
    assert probe.balanced_accuracy < 0.65
    # slices of one patient on both sides are read without any domain in them
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    leaky = cross_val_predict(LogisticRegression(max_iter=5000), x.numpy(), names, cv=folds)
    assert balanced_accuracy_score(names, leaky) > 0.95


def test_the_interval_counts_patients_not_slices() -> None:
    x, names, whose = cases(1.0)
    once = linear_probe(x, names, whose)
    nine = linear_probe(
        x.repeat_interleave(9, 0), *([s for s in xs for _ in range(9)] for xs in (names, whose))
    )
    assert (nine.patients, nine.cases) == (80, 720)
    width = [probe.interval[1] - probe.interval[0] for probe in (once, nine)]
    assert width[1] == pytest.approx(width[0], rel=0.2)


def test_a_rare_domain_counts_as_much() -> None:
    probe = linear_probe(*cases(0, patients=(90, 10)))
    # always answering the common one would be 90 % right
    assert probe.balanced_accuracy < 0.7
    # and as much in the fit: four seeds 0.81 to 0.86, unweighed 0.72 to 0.74
    assert linear_probe(*cases(1.5, patients=(360, 40))).balanced_accuracy > 0.77
    # features that are the same for all: one answer for everybody
    _, names, whose = cases(0, patients=(30, 10))
    constant = linear_probe(torch.ones(40, 3), names, whose)
    assert constant.balanced_accuracy == 0.5


def test_three_domains_have_a_chance_of_a_third() -> None:
    x, names, whose = cases(20, patients=(60, 80, 100))
    assert linear_probe(x, names, whose).chance == pytest.approx(1 / 3)
    assert linear_probe(x, names, whose).balanced_accuracy == 1
    # without what tells the last two from each other: recalls 1, ½, ½
    x[:, 1:] = 0
    two_of_three = linear_probe(x, names, whose).balanced_accuracy
    assert two_of_three == pytest.approx(2 / 3, abs=0.08)


def test_a_networks_scale_does_not_count_and_seeds_repeat() -> None:
    x, names, whose = cases(1.0)
    scaled = x.double() * torch.logspace(-3, 3, 6) + 7
    assert linear_probe(scaled, names, whose) == linear_probe(x, names, whose)
    assert linear_probe(x, names, whose, seed=3) == linear_probe(x, names, whose, seed=3)
    assert linear_probe(x, names, whose, seed=3).interval != linear_probe(x, names, whose).interval


@pytest.mark.parametrize(
    ("interval", "finding", "words"),
    [
        ((0.42, 0.58), "reached", "was reached, as far as a linear probe sees"),
        ((0.51, 0.59), "reached", "was reached"),
        ((0.61, 0.8), "not reached", "was not reached"),
        # contains chance, which is no finding
        ((0.45, 0.75), "undecided", "is undecided at this n"),
    ],
)
def test_the_sentence(interval: tuple[float, float], finding: Finding, words: str) -> None:
    probe = Probe(sum(interval) / 2, interval, 0.5, 30, 200)
    assert invariance(probe) == finding
    sentence = invariance_sentence(probe)
    assert sentence.startswith(f"Domain invariance {words}")
    assert f"[{interval[0]:.2f}, {interval[1]:.2f}] in 30 patients, chance 0.50" in sentence
    # a stricter tolerance, declared, can change it
    assert invariance(probe, 0.005) != "reached"


def test_errors() -> None:
    x, names, whose = cases(0, patients=(6, 4))
    with pytest.raises(
        ValueError, match=r"with 5 patients or more each, found \{'d0': 6, 'd1': 4\}"
    ):
        linear_probe(x, names, whose)
    assert linear_probe(x, names, whose, folds=4).patients == 10
    with pytest.raises(ValueError, match="two labels or more"):
        linear_probe(x, ["one"] * 10, whose)
    with pytest.raises(ValueError, match=r"found \(10, 6\), 9 and 10"):
        linear_probe(x, names[:9], whose)
    with pytest.raises(ValueError, match="average maps over their positions"):
        linear_probe(x[:, :, None], names, whose)
    # patients with both labels can leave no division in which every probe has seen both
    mixed = ["1", "2", "2", "3", "3"]
    with pytest.raises(ValueError, match=r"\['a'\] lie in one fold"):
        linear_probe(torch.ones(5, 2), ["b", "a", "a", "a", "b"], mixed, folds=2)
    x[3, 2] = torch.nan
    with pytest.raises(ValueError, match="1 values are not finite"):
        linear_probe(x, names, whose, folds=4)
    for tolerance in (-0.1, 0.5):
        with pytest.raises(ValueError, match=r"expected within 0…0.5 at chance 0.5"):
            invariance(Probe(0.5, (0.4, 0.6), 0.5, 30, 200), tolerance)
