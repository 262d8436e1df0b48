"""Answers as drawn: truth and answer in words, mistakes framed, maps at their place."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.show.answers import WRONG, answered_cases
from medkd_lib.show.style import METHOD
from medkd_lib.show.teachers import grey

mpl.use("agg")
NAMES = ("normal", "viral")


def predictions() -> Predictions:
    first = np.array([0.9, 0.3, 0.8])
    return Predictions(np.stack([first, 1 - first], axis=1), np.array([0, 1, 1]), tuple("abc"))


def images() -> torch.Tensor:
    return torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_words_and_frames_say_who_was_right() -> None:
    figure = answered_cases(images(), predictions(), NAMES, rows=[2, 0])
    wrong, right = figure.axes
    assert wrong.get_title(loc="left") == "WRONG: normal 0.80\ntruth: viral"
    assert right.get_title(loc="left") == "right: normal 0.90\ntruth: normal"
    for axis, colour, style in ((wrong, WRONG, "--"), (right, METHOD, "-")):
        frame = axis.spines["left"]
        assert to_hex(frame.get_edgecolor()).upper() == colour and frame.get_linestyle() == style
    shown = np.asarray(wrong.images[0].get_array())
    np.testing.assert_allclose(shown, grey(images()[2]))


def test_a_map_lies_beside_its_image_at_its_place() -> None:
    maps = torch.zeros(3, 2, 2)
    maps[1, 0, 1] = 3.0
    figure = answered_cases(images(), predictions(), NAMES, rows=[1, 0], maps=maps, columns=2)
    assert len(figure.axes) == 4
    beside = [np.asarray(figure.axes[k].images[0].get_array()) for k in (1, 3)]
    coloured = [np.ptp(b, axis=2) > 0.05 for b in beside]
    # upper right of the first, nowhere in the second
    assert coloured[0][:3, 5:].all() and not coloured[0][5:].any() and not coloured[0][:, :2].any()
    assert not coloured[1].any()


def test_rows_that_are_left_over_stay_empty() -> None:
    figure = answered_cases(images(), predictions(), NAMES, rows=[0, 1, 2], columns=2)
    assert [bool(axis.images) for axis in figure.axes] == [True, True, True, False]


@pytest.mark.parametrize("change", [
    {"rows": []}, {"images": images()[:2]}, {"maps": torch.zeros(2, 2, 2)}, {"class_names": ["a"]},
])  # fmt: skip
def test_what_does_not_fit_is_refused(change: dict[str, object]) -> None:
    call: dict[str, object] = {
        "images": images(), "p": predictions(), "class_names": NAMES, "rows": [0], **change
    }  # fmt: skip
    with pytest.raises(ValueError, match="answered_cases: expected 3 images and maps, 2 class"):
        answered_cases(**call)  # type: ignore[arg-type]
