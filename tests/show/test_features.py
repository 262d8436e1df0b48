"""Features as colours and as one channel: one basis for all, one measure with the picture."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.patches import StepPatch

from medkd_lib.evaluate.separability import Voxels, separability
from medkd_lib.show.features import components, feature_colours, separating_channel, standardised

mpl.use("agg")


def maps(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 5, 6, 8, generator=torch.Generator().manual_seed(seed))


def drawn(figure: mpl.figure.Figure, column: int) -> np.ndarray:
    return np.asarray(figure.axes[column].images[0].get_array())


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    flat = standardised(maps())
    np.testing.assert_allclose(flat.mean(dim=0), 0, atol=1e-12)
    np.testing.assert_allclose(flat.var(dim=0, correction=0), 1, atol=1e-4)
    found = components(flat)
    right = torch.linalg.svd(flat, full_matrices=False).Vh[:3].T
    np.testing.assert_allclose((found * right).sum(dim=0).abs(), 1, atol=1e-9)
    largest = found.abs().argmax(dim=0)
    assert (found[largest, torch.arange(3)] > 0).all()


def test_a_student_that_equals_its_teacher_has_its_colours_up_to_scale_and_shift() -> None:
    teacher = maps()
    figure = feature_colours(
        torch.zeros(2, 12, 16), {"teacher": teacher, "same": 3 * teacher + 2, "other": maps(1)},
        torch.zeros(2, 12, 16), ["one", "two"], fitted_on="teacher",
    )  # fmt: skip
    np.testing.assert_allclose(drawn(figure, 1), drawn(figure, 2), atol=1e-4)
    assert np.abs(drawn(figure, 1) - drawn(figure, 3)).mean() > 0.1
    assert drawn(figure, 1).shape == (12, 16, 3)  # at the image's pixels
    np.testing.assert_array_equal(drawn(figure, 1)[0, 0], drawn(figure, 1)[1, 1])
    shares = [int(a.get_title().split("\n")[1].split()[0]) for a in figure.axes[1:4]]
    flat = standardised(teacher)
    values = torch.linalg.eigvalsh(flat.T @ flat)
    assert shares[0] == shares[1] == round(100 * float(values[-3:].sum() / values.sum()))
    assert shares[2] < shares[0]


def test_three_channels_are_all_of_the_variance() -> None:
    figure = feature_colours(
        torch.zeros(2, 6, 8), {"t": maps()[:, :3]}, torch.zeros(2, 6, 8), ["a", "b"], fitted_on="t"
    )
    assert figure.axes[1].get_title() == "t\n100 % of its variance"


def test_maps_that_do_not_compare_are_refused() -> None:
    images, masks = torch.zeros(2, 12, 16), torch.zeros(2, 12, 16)
    for wrong in (
        {"t": maps(), "s": maps()[:, :4]},
        {"t": maps()[:, :2]},
        {"s": maps()},
        {"t": maps()[:1]},
    ):
        with pytest.raises(ValueError, match="feature_colours: "):
            feature_colours(images, wrong, masks, ["a", "b"], fitted_on="t")


def voxels(shift: float, channels: int = 3) -> Voxels:
    rng = np.random.default_rng(0)
    foreground = np.tile([True, False], 200)
    features = rng.normal(size=(400, channels))
    features[:, 1] -= shift * foreground  # the tumour is low in channel 1
    return Voxels(features, foreground, np.repeat(np.array(list("abcd")), 100))


def test_the_channel_is_turned_so_that_tumours_lie_to_the_right_and_the_auc_is_held_out() -> None:
    networks = {"without": voxels(0.5), "with": voxels(4.0)}
    figure = separating_channel(networks, seed=0, bins=20)
    for axis, (name, of) in zip(figure.axes, networks.items(), strict=True):
        auc = separability(of, seed=0).auc
        assert axis.get_title(loc="left") == f"{name}\nAUC {auc:.2f} on other patients"
    assert figure.axes[1].get_xlabel().startswith("channel 1,")
    around, tumour = (p for p in figure.axes[1].patches if isinstance(p, StepPatch))
    edges = tumour.get_data()[1]
    centres = (edges[:-1] + edges[1:]) / 2
    means = [float((p.get_data()[0] * centres).sum()) for p in (around, tumour)]
    assert means[1] - means[0] > 1.5


def test_what_lies_beyond_the_axis_is_in_its_last_bin() -> None:
    of = voxels(0.5)
    of.features[:20:2, 1] = -1000.0  # ten voxels of the tumour, far on its own side
    (axis,) = separating_channel({"one": of}, seed=0).axes
    tumour = [p for p in axis.patches if isinstance(p, StepPatch)][1].get_data()[0]
    assert tumour[-1] == pytest.approx(10 / 200) and tumour.sum() == pytest.approx(1.0)
