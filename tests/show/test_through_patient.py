"""The slider through a patient and its static twin show the section that was asked for."""

from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.show.gallery import Gallery
from medkd_lib.show.through_patient import through_patient

mpl.use("agg")
DEPTH = 5


def patient() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    images = {n: torch.full((DEPTH, 8, 12), v) for n, v in (("CT", 0.0), ("pseudo-MR", 0.5))}
    images = {n: x + torch.arange(DEPTH)[:, None, None] / 100 for n, x in images.items()}
    truth = torch.zeros(DEPTH, 8, 12, dtype=torch.uint8)
    truth[1:4, 2:5, 3:6] = 1
    return images, truth


def test_the_asked_section_is_drawn_in_every_kind_of_image() -> None:
    images, truth = patient()
    figure = through_patient(images, truth, {"CMEDL": truth}, 3.2, pixel_mm=(4.0, 2.0))
    ct, pseudo, along = figure.axes
    assert [ct.get_title(), pseudo.get_title()] == ["CT", "pseudo-MR"]
    assert float(np.asarray(ct.images[0].get_array())[0, 0]) == pytest.approx(0.03)
    assert float(np.asarray(pseudo.images[0].get_array())[0, 0]) == pytest.approx(0.53)
    assert ct.get_aspect() == 2 and len(ct.collections) == len(pseudo.collections) == 2
    assert along.get_title(loc="left") == "section 3"
    areas, answer, marker = along.lines
    np.testing.assert_allclose(np.asarray(areas.get_ydata()), np.array([0, 9, 9, 9, 0]) * 0.08)
    np.testing.assert_array_equal(areas.get_ydata(), answer.get_ydata())
    assert np.ravel(marker.get_xdata())[0] == 3


def test_sections_outside_the_patient_are_refused() -> None:
    images, truth = patient()
    with pytest.raises(ValueError, match="0 to 4, found 5"):
        through_patient(images, truth, {}, 5, pixel_mm=(5.0, 5.0))
    with pytest.raises(ValueError, match="through_patient: "):
        through_patient(images, truth[:2], {}, 0, pixel_mm=(5.0, 5.0))


def test_the_gallery_draws_its_twin_at_the_presets(tmp_path: Path) -> None:
    images, truth = patient()
    gallery = Gallery(tmp_path)
    gallery.explore(
        partial(through_patient, images, truth, {}, pixel_mm=(5.0, 5.0)),
        {"section": (0, DEPTH - 1, 1)}, [{"section": 1}, {"section": 3}], name="patient",
        alt="One patient's section in CT and pseudo-MR.",
    )  # fmt: skip
    assert [alt.rpartition("Here: ")[2] for alt in gallery.alts.values()] == [
        "section 1.", "section 3."]  # fmt: skip
    assert len(list((tmp_path / "figures").glob("patient_*.png"))) == 2
