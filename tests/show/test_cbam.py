"""CBAM as drawn: bars that are the weights, places on one scale, over what the branch was shown."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.models.cbam3d import CBAM3D
from medkd_lib.show.box import box_slice
from medkd_lib.show.cbam import AttentionLook, attention_looks
from medkd_lib.show.overlay import Heat, blown_up, on_grey
from medkd_lib.show.section import as_array

mpl.use("agg")
MASK = np.zeros((6, 8, 12), bool)
MASK[3:5, 2:4, 5:8] = True
SPACING = (4.0, 2.0, 2.0)


def look(seed: int = 0) -> AttentionLook:
    torch.manual_seed(seed)
    attention, features = CBAM3D(5, ratio=2, kernel=3), torch.randn(1, 5, 3, 4, 6)
    weights = attention.channel_weights(features)
    places = attention.place_weights(weights[:, :, None, None, None] * features)
    return AttentionLook(weights[0], places[0, 0], torch.randn(6, 8, 12))


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_bars_and_places_are_the_weights(plane: str) -> None:
    looks = {"FDG": look(0), "dose": look(1)}
    figure = attention_looks(looks, MASK, SPACING, plane=plane, window=(-2, 2))  # type: ignore[arg-type]
    bars, below = figure.axes[:2], figure.axes[2:4]
    fine = [blown_up(x.places, MASK.shape) for x in looks.values()]
    heat = Heat(float(np.min(fine)), float(np.max(fine)), strongest=0.55)
    assert figure.axes[4].get_ylim() == pytest.approx((heat.low, heat.high))  # the colour bar
    first = next(iter(looks.values())).channels
    for axis, picture, (name, x), places in zip(bars, below, looks.items(), fine, strict=True):
        assert axis.get_title(loc="left") == name
        heights = [p.get_height() for p in axis.patches if isinstance(p, mpl.patches.Rectangle)]
        np.testing.assert_allclose(heights, as_array(x.channels), rtol=1e-6)
        (steps,) = (p for p in axis.patches if isinstance(p, mpl.patches.StepPatch))
        np.testing.assert_allclose(steps.get_data()[0], as_array(first))
        number = 3 if plane == "axial" else 2
        expected = on_grey(
            box_slice(x.image, plane, number), (-2, 2), box_slice(places, plane, number), heat  # type: ignore[arg-type]
        )  # fmt: skip
        np.testing.assert_allclose(np.asarray(picture.images[0].get_array()), expected)
        assert len(picture.collections) == 1  # the mask
        assert picture.get_aspect() == (1 if plane == "axial" else 2)


def test_places_that_weigh_alike_have_one_colour() -> None:
    even = replace(look(), places=torch.full((3, 4, 6), 0.5) + 1e-6 * torch.randn(3, 4, 6))
    image = np.asarray(attention_looks({"a": even}, MASK, SPACING).axes[1].images[0].get_array())
    grey = replace(even, image=torch.full((6, 8, 12), -1.0))
    flat = np.asarray(attention_looks({"a": grey}, MASK, SPACING).axes[1].images[0].get_array())
    assert np.ptp(flat, axis=(0, 1)).max() < 0.01 < np.ptp(image, axis=(0, 1)).max()


def test_looks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one row of the batch"):
        AttentionLook(torch.ones(1, 5), torch.ones(1, 3, 4, 6), torch.ones(1, 6, 8, 12))
    narrow = replace(look(), channels=torch.ones(4))
    for looks in ({}, {"a": look(), "b": narrow}):
        with pytest.raises(ValueError, match="looks of one width"):
            attention_looks(looks, MASK, SPACING)
    with pytest.raises(ValueError, match="at a box of"):
        attention_looks({"a": look()}, MASK[1:], SPACING)
