"""Grey values and tumours of translated images: the drawn numbers are the measured ones."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import StepPatch

from medkd_lib.evaluate.translation_error import histogram_kl
from medkd_lib.evaluate.tumour_contrast import TumourContrast
from medkd_lib.show.translation_measures import contrast_bars, intensity_histograms

mpl.use("agg")


def test_each_kind_stands_before_the_real_ones_with_its_divergence() -> None:
    rng = np.random.default_rng(0)
    images = {name: rng.uniform(-1, high, 500) for name, high in (("CT", 0), ("MR", 1))}
    images["pseudo-MR"] = images["MR"].copy()
    figure = intensity_histograms(images, "MR", bins=8)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    kl = histogram_kl(images["CT"], images["MR"], bins=8)
    assert titles == [f"CT\nKL {kl:.2f}", "pseudo-MR\nKL 0.00"] and kl > 0.1
    for axis, name in zip(figure.axes, ("CT", "pseudo-MR"), strict=True):
        real, own = (p for p in axis.patches if isinstance(p, StepPatch))
        for patch, key in ((real, "MR"), (own, name)):
            counts = np.histogram(images[key], 8, (-1, 1))[0]
            np.testing.assert_allclose(np.asarray(patch.get_data()[0], float), counts / 500)


def test_histograms_need_real_images_and_something_beside_them() -> None:
    with pytest.raises(ValueError, match="'MR' and something to compare"):
        intensity_histograms({"CT": np.zeros(4)}, "MR")
    with pytest.raises(ValueError, match="something to compare"):
        intensity_histograms({"MR": np.zeros(4)}, "MR")


def contrast(*relative: float) -> TumourContrast:
    values = np.array(relative)
    return TumourContrast(values, values)


def test_bars_are_means_of_patients_and_not_of_sections() -> None:
    # three sections of patient a, one of b, one of c that shows no tumour
    who = ["a", "a", "a", "b", "c"]
    nan = float("nan")
    figure = contrast_bars(
        {"CT": (contrast(1, 2, 3, 6, nan), who), "MR": (contrast(-1, -1, -1, -3, nan), who)}
    )
    (axis,) = figure.axes
    heights = [patch.get_height() for patch in axis.patches]  # type: ignore[attr-defined]
    assert heights == [4, -2]
    assert [t.get_text() for t in axis.texts] == ["+4.00", "−2.00"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["CT\n2 patients", "MR\n2 patients"]
    dots = [np.asarray(line.get_ydata()) for line in axis.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots, [[2, 6], [-1, -3]])
    spans = [line.get_ydata() for line in axis.lines if line.get_linewidth() == 3]
    np.testing.assert_allclose(np.asarray(spans[0]), [2, 6])


def test_only_the_same_patients_are_joined() -> None:
    figure = contrast_bars(
        {"pseudo-MR": (contrast(1.0, 2.0), ["a", "b"]), "MR": (contrast(5.0, 2.5), ["z", "b"])}
    )
    joined = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines[:3]]
    whole = [y.tolist() for y in joined if not np.isnan(y).any()]
    assert whole == [[2.0, 2.5]]
