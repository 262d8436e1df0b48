"""Boxes of patients: a row per scanner, one scale for all, outlines where the regions are."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from medkd_lib.show.box import box_slice
from medkd_lib.show.liver import BoxScans, liver_scans
from medkd_lib.show.overlay import Heat, on_grey

mpl.use("agg")


def patient(title: str = "well", seed: int = 0) -> BoxScans:
    rng = np.random.default_rng(seed)
    liver, tumour = np.zeros((2, 6, 8, 10), bool)
    liver[1:5, 2:7, 1:8] = tumour[3:5, 4:6, 2:4] = True
    ct, fdg, acetate = rng.normal(50, 20, (6, 8, 10)), *(4 * rng.random((2, 6, 8, 10)))
    return BoxScans(
        title, ct, {"FDG": fdg, "acetate": acetate}, {"tumour": tumour, "liver": liver}, (6, 3, 3)
    )


def pictures(figure: Figure) -> list[mpl.axes.Axes]:
    return [a for a in figure.axes if a.images]


def test_a_pair_of_columns_per_patient_and_a_row_per_scanner() -> None:
    given = [patient("well"), patient("poor", 1)]
    figure = liver_scans(given, window=(0.0, 100.0), highest_suv=5.0)
    axes = pictures(figure)
    assert len(axes) == 2 * 3 * 2
    assert [part._suptitle.get_text() for part in figure.subfigs] == ["well", "poor"]  # type: ignore[attr-defined]
    assert [a.get_ylabel() for a in axes[:6:2]] == ["CT", "FDG", "acetate"]
    for axis, place in ((axes[0], ("axial", 3)), (axes[1], ("coronal", 4))):
        drawn = axis.images[0]
        np.testing.assert_array_equal(drawn.get_array(), box_slice(given[0].ct, *place))  # type: ignore[arg-type]
        assert drawn.get_clim() == (0, 100) and len(axis.collections) == 2
    assert axes[1].get_aspect() == 2 and axes[0].get_aspect() == 1
    # FDG of the second patient, axial
    poor = given[1]
    expected = on_grey(
        box_slice(poor.ct, "axial", 3), (0.0, 100.0), box_slice(poor.tracers["FDG"], "axial", 3),
        Heat(0.0, 5.0),
    )  # fmt: skip
    np.testing.assert_allclose(np.asarray(axes[8].images[0].get_array()), expected)
    extent = axes[0].collections[0].get_paths()[0].get_extents()
    assert (extent.x0, extent.x1, extent.y0, extent.y1) == (1.5, 3.5, 3.5, 5.5)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["tumour", "liver"]
    lines = figure.legends[0].get_lines()
    assert lines[0].get_color() != lines[1].get_color()
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_what_does_not_lie_on_one_grid_is_refused() -> None:
    good = patient()
    with pytest.raises(ValueError, match="one shape"):
        replace(good, ct=np.zeros((6, 8, 9)))
    with pytest.raises(ValueError, match="one region or more"):
        replace(good, regions={})


def test_patients_that_cannot_stand_side_by_side_are_refused() -> None:
    good = patient()
    with pytest.raises(ValueError, match="same tracers"):
        liver_scans([good, replace(good, tracers={"FDG": good.tracers["FDG"]})])
    with pytest.raises(ValueError, match="one patient or more"):
        liver_scans([])
    with pytest.raises(ValueError, match="at most 3 regions"):
        liver_scans([replace(good, regions={n: good.regions["liver"] for n in "abcd"})])
