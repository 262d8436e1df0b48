"""Figures about what crosses: colours and numbers say where an element comes from."""

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from medkd_lib.show.crossing import attention_on_image, crossed_matrices, layers_on_grid
from medkd_lib.show.style import OKABE_ITO

mpl.use("agg")


def test_neighbouring_blocks_differ_in_colour_and_positions_carry_their_number() -> None:
    rows, columns = np.divmod(np.arange(49), 7)
    figure = layers_on_grid({"seven": rows // 4 * 2 + columns // 4})
    (ax,) = figure.axes
    picture = np.asarray(ax.images[0].get_array())
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 4
    np.testing.assert_array_equal(picture[0, 0], picture[3, 3])
    assert (picture[3, 3] != picture[4, 4]).any()
    assert [t.get_text() for t in ax.texts[:7]] == ["0", "0", "0", "0", "1", "1", "1"]


def test_crossed_elements_have_the_number_and_the_colour_of_their_source() -> None:
    student, teacher = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
    figure = crossed_matrices(student, teacher, np.array([[0.2, 0.9]]), 0.5, "QK")
    crossed = figure.axes[3]
    assert [t.get_text() for t in crossed.texts] == ["1", "4"]
    found = [patch.get_facecolor()[:3] for patch in crossed.patches]
    assert found == [to_rgb(OKABE_ITO["orange"]), to_rgb(OKABE_ITO["sky"])]
    assert [t.get_text() for t in crossed.get_xticklabels()] == ["Q", "K"]


def test_maps_of_attention_share_a_scale_and_the_patch_is_framed() -> None:
    image = torch.zeros(14, 14)
    maps = {"teacher": np.full((7, 7), 1 / 49), "student": np.eye(7) / 7}
    mask = torch.zeros(14, 14)
    mask[4:8, 4:8] = 1
    figure = attention_on_image(image, maps, (2, 3), mask)
    picture, teacher, student = figure.axes[:3]
    (frame,) = [p for p in picture.patches if isinstance(p, Rectangle)]
    assert frame.get_xy() == (5.5, 3.5) and frame.get_width() == 2
    assert teacher.images[1].get_clim() == student.images[1].get_clim() == (0, 1 / 7)
    assert len(picture.collections) == 1  # the outline
    assert not attention_on_image(image, maps, (2, 3)).axes[0].collections
