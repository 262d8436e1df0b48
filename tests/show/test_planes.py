"""Slices hang as radiologists hang them, whatever the file's axes; panels draw all they get."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from numpy.typing import NDArray

from medkd_lib.data.volume import Volume
from medkd_lib.show.plane import Picture, Plane, fullest, picture
from medkd_lib.show.volumes import OUTLINES, Panel, draw, panels

mpl.use("agg")

# Directions in RAS+ millimetres, and a body of odd size so that a middle slice exists.
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
COUNT, SPACING, CENTRE = (7, 9, 11), (2.0, 3.0, 4.0), np.array([-119.5, 20.0, 300.0])
VALUE = {letter: 10 * (n + 1) for n, letter in enumerate(TOWARDS)}
STORED = ["LPS", "RAS", "LAS", "SAR", "PIL", "ASL", "IRP"]
# Left, right, top and bottom edge: the patient's right on the left, the face or the head up.
HANGING: dict[Plane, str] = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


def body(codes: str) -> Volume:
    """A volume stored as ``codes``, each of its six ends marked; built without the library."""
    affine, shape = np.eye(4), []
    for column, letter in enumerate(codes):
        axis, sign = TOWARDS[letter]
        affine[:3, column] = 0
        affine[axis, column] = sign * SPACING[axis]
        shape.append(COUNT[axis])
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    array = np.zeros(shape, np.int16)
    for letter, (axis, sign) in TOWARDS.items():
        world = CENTRE.copy()
        world[axis] += sign * SPACING[axis] * (COUNT[axis] - 1) / 2
        i, j, k = np.rint(np.linalg.solve(affine, [*world, 1.0])[:3]).astype(int)
        array[i, j, k] = VALUE[letter]
    return Volume(array, affine)


def edges(pixels: NDArray[Any]) -> list[int]:
    rows, columns = (n // 2 for n in pixels.shape)
    return [int(pixels[place]) for place in ((rows, 0), (rows, -1), (0, columns), (-1, columns))]


@pytest.mark.parametrize("codes", STORED)
@pytest.mark.parametrize("plane", HANGING)
def test_each_end_of_the_patient_lands_at_its_edge(codes: str, plane: Plane) -> None:
    shown = picture(body(codes), plane)
    assert shown.letters == HANGING[plane]
    assert edges(shown.pixels) == [VALUE[letter] for letter in HANGING[plane]]
    assert np.count_nonzero(shown.pixels) == 4, "the other two ends lie in other slices"


@pytest.mark.parametrize("codes", STORED)
def test_pixels_keep_their_millimetres(codes: str) -> None:
    wanted = {"axial": (9, 7, 3 / 2, 2.0), "coronal": (11, 7, 4 / 2, 2.0),
              "sagittal": (11, 9, 4 / 3, 3.0)}  # fmt: skip
    for plane in HANGING:
        shown = picture(body(codes), plane)
        found = (*shown.pixels.shape, shown.aspect, shown.pixel_mm)
        assert found == pytest.approx(wanted[plane])


@pytest.mark.parametrize("codes", STORED)
def test_places_run_from_right_front_and_bottom(codes: str) -> None:
    ends: dict[Plane, str] = {"sagittal": "RL", "coronal": "AP", "axial": "IS"}
    for plane, letters in ends.items():
        for place, letter in enumerate(letters):
            pixels = picture(body(codes), plane, place).pixels
            assert pixels[tuple(n // 2 for n in pixels.shape)] == VALUE[letter]


def test_what_is_no_plane_or_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'axial', 'coronal', 'sagittal'.*'transversal'"):
        picture(body("LPS"), "transversal")  # type: ignore[arg-type]
    for place in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"expected 0 to 1.*found {place}"):
            picture(body("LPS"), "axial", place)


@pytest.mark.parametrize("codes", STORED)
def test_the_fullest_slice_is_where_most_of_the_mask_lies(codes: str) -> None:
    lps = np.zeros((7, 9, 11), np.uint8)
    lps[1, 2, 3] = 3  # a high label is one voxel, too
    lps[5, 6:8, 9] = 1
    mask = Volume(lps, np.diag([-2.0, -3.0, 4.0, 1.0])).oriented(codes)
    assert fullest(mask, "axial") == pytest.approx(9 / 10)
    assert fullest(mask, "sagittal") == pytest.approx(5 / 6)
    assert fullest(mask, "coronal") == pytest.approx(2 / 8), "the first of equals"
    assert picture(mask, "axial", fullest(mask, "axial")).pixels.sum() == 2
    assert fullest(replace(mask, array=np.zeros_like(mask.array))) == 0.5


def flat(pixels: NDArray[Any], pixel_mm: float = 1.0, aspect: float = 1.0) -> Picture:
    return Picture(pixels, aspect, "RLAP", pixel_mm)


def contours(axis: Axes) -> dict[str, tuple[float, ...]]:
    """Colour → left, right, top and bottom of each outline."""
    found = {}
    for line in axis.collections:
        if isinstance(line, QuadContourSet):
            (colour,) = np.asarray(line.get_edgecolor())
            x, y = np.asarray(line.get_paths()[0].vertices).T
            found[to_hex(colour).upper()] = tuple(map(float, (x.min(), x.max(), y.min(), y.max())))
    return found


def test_every_label_has_its_outline_around_its_pixels() -> None:
    mask = np.zeros((20, 30))
    mask[2:5, 3:9] = 1
    mask[8:12, 10:20] = 2
    mask[16:, 25:] = 3  # reaches the corner
    mask[9, 12] = 7  # the seventh label begins the colours anew
    figure = panels([Panel(flat(np.ones((20, 30))), mask=mask)], scale=False)
    axis = figure.axes[0]
    found = contours(axis)
    assert found[OUTLINES[1]] == (9.5, 19.5, 7.5, 11.5)
    assert found[OUTLINES[2]] == (24.5, 29.5, 15.5, 19.5), "closed at the picture's edge"
    assert len([c for c in axis.collections if isinstance(c, QuadContourSet)]) == 4
    assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, 29.5), (19.5, -0.5))


@pytest.mark.filterwarnings("error")
def test_a_mask_that_fills_the_picture_is_outlined_and_an_empty_one_is_not() -> None:
    full, empty = np.ones((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    figure = panels([Panel(flat(full), mask=m) for m in (full, empty)])
    assert contours(figure.axes[0]) == {OUTLINES[0]: (-0.5, 5.5, -0.5, 3.5)}
    assert contours(figure.axes[1]) == {}


def test_a_mask_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask.*\(4, 6\).*\(6, 4\)"):
        Panel(flat(np.ones((4, 6))), "CT", np.ones((6, 4)))


def test_titles_notes_letters_and_the_order_of_the_panels() -> None:
    shown = [
        Panel(flat(np.full((8, 8), n)), f"panel {n}", note=f"note {n}" * (n == 2)) for n in range(5)
    ]
    figure = panels(shown, columns=3)
    assert len(figure.axes) == 6
    assert [a.get_title(loc="left") for a in figure.axes] == [*(f"panel {n}" for n in range(5)), ""]
    assert [np.max(np.asarray(a.images[0].get_array())) for a in figure.axes[:5]] == [0, 1, 2, 3, 4]
    assert not figure.axes[5].images and not any(a.axison for a in figure.axes)
    words = [[t.get_text() for t in a.texts] for a in figure.axes]
    assert words[0][:4] == ["R", "L", "A", "P"] and "note 2" in words[2]
    r, left, a, p = (t.get_position() for t in figure.axes[0].texts[:4])
    assert r[0] < 0.1 < 0.9 < left[0] and p[1] < 0.1 < 0.9 < a[1]


def test_five_centimetres_are_five_centimetres() -> None:
    figure = panels([Panel(flat(np.ones((100, 90)), pixel_mm=1.25))] * 2)
    (bar,), (label, *_) = figure.axes[0].lines, figure.axes[0].texts[4:]
    x, y = (np.asarray(v, float) for v in bar.get_data())
    assert np.ptp(x) * 1.25 == pytest.approx(50) and np.ptp(y) == 0
    assert x.min() > 0 and x.max() < 90 and 90 < y[0] < 100 and label.get_text() == "5 cm"
    assert figure.axes[0].get_xlim() == (-0.5, 89.5), "the bar moves nothing"
    assert not figure.axes[1].lines, "once is enough"
    assert not panels([Panel(flat(np.ones((9, 9))))]).axes[0].lines, "there is no room for it"
    assert not panels([Panel(flat(np.ones((99, 99))))], scale=False).axes[0].lines


@pytest.mark.parametrize("plane", HANGING)
def test_on_the_page_millimetres_are_square(plane: Plane) -> None:
    volume = body("RAS")
    shown = picture(volume, plane)
    figure = panels([Panel(shown, mask=np.asarray(shown.pixels > 0))], scale=False)
    figure.canvas.draw()
    box = figure.axes[0].get_window_extent()
    rows, columns = shown.pixels.shape
    height_mm = rows * shown.pixel_mm * shown.aspect
    assert box.height / box.width == pytest.approx(height_mm / (columns * shown.pixel_mm), rel=1e-3)


def test_a_bright_spot_at_the_patients_left_front_is_seen_right_and_up() -> None:
    array = np.zeros((40, 40, 3), np.float32)  # RAS: the first axis grows to the right
    array[5:9, 30:34] = 1
    figure = panels(
        [Panel(replace(picture(Volume(array, np.eye(4))), letters="    "))], scale=False
    )
    figure.canvas.draw()
    page = np.asarray(figure.canvas.buffer_rgba())[..., 0].astype(float)  # type: ignore[attr-defined]
    box = figure.axes[0].get_window_extent()
    inside = page[int(page.shape[0] - box.y1) + 2 : int(page.shape[0] - box.y0) - 2,
                  int(box.x0) + 2 : int(box.x1) - 2]  # fmt: skip
    row, column = np.argwhere(inside > 200).mean(axis=0) / inside.shape
    assert column == pytest.approx(1 - 7 / 40, abs=0.03)
    assert row == pytest.approx(1 - 32 / 40, abs=0.03)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "pixels",
    [np.full((5, 5), 7, np.int16), np.full((5, 5), -1024.0), np.zeros((5, 5), bool),
     np.eye(5, dtype=bool), np.full((5, 5), 3e4, np.float16), np.where(np.eye(5) > 0, np.nan, 1.0),
     np.full((5, 5), np.nan)],
)  # fmt: skip
def test_dull_pictures_are_drawn(pixels: NDArray[Any]) -> None:
    figure = panels([Panel(flat(pixels), "dull")])
    figure.canvas.draw()
    low, high = figure.axes[0].images[0].get_clim()
    assert low < high


def test_grey_limits_come_from_the_tissue_unless_given() -> None:
    image = np.zeros((100, 100))
    image[:10] = 100  # a little tissue in much air
    image[0, 0:5] = 5000  # and a vessel
    assert panels([Panel(flat(image))]).axes[0].images[0].get_clim() == pytest.approx((0, 110))
    hu = np.where(image > 0, 50.0, -1000.0)
    assert panels([Panel(flat(hu))]).axes[0].images[0].get_clim() == pytest.approx((-1000, 155))
    given = panels([Panel(flat(image), limits=(-160, 240))])
    assert given.axes[0].images[0].get_clim() == (-160, 240)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_colour_pictures_keep_their_colours(dtype: type) -> None:
    pixels: NDArray[Any] = np.zeros((6, 8, 3), dtype)
    pixels[..., 1] = 200 if dtype is np.uint8 else 0.8
    figure, axis = plt.subplots()
    draw(axis, Panel(flat(pixels, aspect=2.5), mask=np.eye(6, 8)))
    assert axis.get_aspect() == 2.5
    np.testing.assert_array_equal(axis.images[0].get_array(), pixels)
    figure.canvas.draw()
    assert len(contours(axis)) == 1
