"""Pictures of a translator: every picture in its column, the losses of the way in numbers."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.show.translation import RoundTrip, error_maps, round_trips

mpl.use("agg")


def stacks(n: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(n, 12, 20, generator=torch.Generator().manual_seed(0)) - 0.5
    masks = torch.zeros(n, 12, 20, dtype=torch.uint8)
    masks[0, 3:6, 4:9] = 1
    return images, masks


def trip(source: str, target: str, truth: torch.Tensor | None = None) -> RoundTrip:
    images, masks = stacks()
    return RoundTrip(
        source, target, images, -images, images + 0.25, masks, ["tumour", "none"], truth
    )


def test_each_direction_has_its_rows_and_each_picture_its_column() -> None:
    images, _ = stacks()
    figure = round_trips([trip("CT", "MR", images / 2), trip("MR", "CT")])
    panels = np.array(figure.axes[:20]).reshape(4, 5)
    titles = [axis.get_title() for axis in panels[0]]
    assert titles == ["CT", "pseudo-MR", "true MR", "CT again", "|difference|"]
    assert [axis.get_title() for axis in panels[2][[0, 1, 3]]] == ["MR", "pseudo-CT", "MR again"]
    drawn = [np.asarray(axis.images[0].get_array()) for axis in panels[0]]
    expected = [images[0], -images[0], images[0] / 2, images[0] + 0.25, torch.full((12, 20), 0.25)]
    for found, wanted in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert {axis.get_xlabel() for axis in panels[:, 4]} == {"mean 0.250"}
    assert [axis.get_ylabel() for axis in panels[:, 0]] == ["tumour", "none"] * 2


def test_tumours_are_outlined_everywhere_and_the_unknown_is_said_to_be() -> None:
    figure = round_trips([trip("CT", "MR", stacks()[0]), trip("MR", "CT")])
    panels = np.array(figure.axes[:20]).reshape(4, 5)
    assert [len(axis.collections) for axis in panels[0]] == [1] * 5
    assert not any(len(axis.collections) for axis in panels[1])
    assert [t.get_text() for t in panels[2][2].texts] == ["nobody\nknows"]
    assert not panels[2][2].images
    assert len(round_trips([trip("MR", "CT")]).axes) == 2 * 4 + 1  # no column, one colour bar


def test_all_differences_share_a_scale() -> None:
    further = trip("MR", "CT")
    further = replace(further, back=further.real - 0.75)
    figure = round_trips([trip("CT", "MR"), further])
    limits = [figure.axes[i].images[0].get_clim() for i in (3, 7, 11, 15)]
    np.testing.assert_allclose(limits, [(0, 0.75)] * 4, atol=1e-6)


def test_a_round_trip_of_stacks_that_differ_is_refused() -> None:
    images, masks = stacks()
    with pytest.raises(ValueError, match="round trip"):
        RoundTrip("CT", "MR", images, images[:1], images, masks, ["a", "b"])
    with pytest.raises(ValueError, match="2 titles"):
        RoundTrip("CT", "MR", images, images, images, masks, ["a"])


def test_errors_are_signed_and_the_tumours_own_error_stands_beside_the_whole() -> None:
    images, masks = stacks()
    pseudo = images.clone()
    pseudo[0, 3:6, 4:9] -= 0.4
    figure = error_maps(pseudo, images, masks, ["tumour", "none"])
    first, second = figure.axes[2], figure.axes[5]
    drawn = np.asarray(first.images[0].get_array())
    assert drawn[4, 5] == pytest.approx(-0.4, abs=1e-6) and drawn[0, 0] == 0
    low, high = first.images[0].get_clim()
    assert low == -high == pytest.approx(-0.4, abs=1e-6)
    assert first.get_xlabel() == f"mean error {0.4 * 15 / 240:.2f}, in the tumour 0.40"
    assert second.get_xlabel() == "mean error 0.00"
    assert [len(axis.collections) for axis in figure.axes[:6]] == [1, 1, 1, 0, 0, 0]
    with pytest.raises(ValueError, match="error_maps"):
        error_maps(pseudo[:1], images, masks, ["a", "b"])
