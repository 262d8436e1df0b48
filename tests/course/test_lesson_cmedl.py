"""What lesson 04 computes around its training."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from medkd_lib.course.experiments.cmedl_study import CmedlStudy
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_cmedl import shows_tumour, who_is_where
from medkd_lib.course.lesson_cmedl_looks import (
    TRANSLATION,
    bar_table,
    bars,
    largest_sections,
    loudness,
    translation_table,
)
from medkd_lib.course.lesson_segment import case_table, headline_of, metrics_of, score_table
from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.segment import measure_cases
from medkd_lib.evaluate.stack import volumes
from medkd_lib.evaluate.tumour_contrast import TumourContrast
from medkd_lib.methods.cmedl_parts import Hints


def sections(name: str, modality: str, areas: list[list[int]]) -> Sections:
    """One list of tumour areas per patient, a section each: body 0, air around it, tumour 0.5."""
    flat = [area for patient in areas for area in patient]
    masks = torch.zeros(len(flat), 16, 16, dtype=torch.uint8)
    for mask, area in zip(masks, flat, strict=True):
        mask[8, 4 : 4 + area] = 1
    images = torch.full((len(flat), 1, 16, 16), -1.0)
    images[:, :, 2:14, 2:14] = 0.0
    images[masks[:, None] > 0] = 0.5
    patients = [f"{name}{i}" for i, patient in enumerate(areas) for _ in patient]
    return Sections(
        {modality: images}, masks, tuple(patients),
        tuple(f"{p}/k{i:03d}" for i, p in enumerate(patients)), (5.0, 5.0, 5.0), {}, name,
    )  # fmt: skip


@pytest.fixture
def modalities() -> Modalities:
    test = sections("t", "ct", [[0, 3, 2], [1, 0], [0, 0], [5]])
    test = replace(test, images={**test.images, "mr": 2 * test.images["ct"].clamp(max=0.25)})
    train, more = (sections(n, "ct", [[1, 0]]) for n in ("a", "b"))
    teaching, val = sections("m", "mr", [[1], [0]]), sections("v", "ct", [[1]])
    return Modalities("ct", "mr", train, more, teaching, val, test, "x")


def test_who_is_where_counts_patients_and_tumours(modalities: Modalities) -> None:
    found = who_is_where(modalities).set_index("part")
    assert found.loc["test", ["patients", "sections", "with tumour"]].tolist() == [4, 8, "50%"]
    assert found.loc["teaching", "who learns from it"] == "mr: teacher, generator"


def test_each_patient_gives_the_section_with_most_tumour_smallest_first(
    modalities: Modalities,
) -> None:
    assert largest_sections(modalities.test) == [3, 1, 7]
    assert shows_tumour(modalities.test).tolist() == [False, True, True, True, False, False,
                                                      False, True]  # fmt: skip


def test_bars_compare_the_tumour_with_soft_tissue_alone(modalities: Modalities) -> None:
    study = cast(CmedlStudy, SimpleNamespace(modalities=modalities))
    pseudo = torch.full_like(modalities.test.images["ct"], -1.0)
    pseudo[:, :, 2:14, 2:14] = 0.0  # a translator that painted the tumour over
    found = bars(study, pseudo, ("CT", "MR"))
    assert list(found) == ["CT", "pseudo-MR", "true MR"]
    absolute = {name: np.nanmean(contrast.absolute) for name, (contrast, _) in found.items()}
    # the air, -1 all around, would have made every contrast larger
    assert absolute == pytest.approx({"CT": 0.5, "pseudo-MR": 0.0, "true MR": 0.5})


def test_no_bar_compares_a_tumour_with_bone(modalities: Modalities) -> None:
    images = {m: x.clone() for m, x in modalities.test.images.items()}
    images["ct"][:, :, 10] = 0.9  # a rib in the ring, two pixels below the tumour
    images["mr"][:, :, 10] = -0.8
    ribs = replace(modalities, test=replace(modalities.test, images=images))
    study = cast(CmedlStudy, SimpleNamespace(modalities=ribs))
    found = bars(study, images["mr"], ("CT", "MR"))
    absolute = {name: np.nanmean(contrast.absolute) for name, (contrast, _) in found.items()}
    assert absolute == pytest.approx({"CT": 0.5, "pseudo-MR": 0.5, "true MR": 0.5})


def test_a_patient_counts_once_and_the_magnitude_forgets_the_sign() -> None:
    relative = np.array([1.0, 3.0, np.nan, -4.0])
    contrast = TumourContrast(relative / 10, relative)
    (row,) = bar_table({"CT": (contrast, ["a", "a", "a", "b"])}).to_dict("records")
    # patient a: 2, patient b: -4
    assert row["tumour − ring (SD)"] == "-1.00" and row["tumour − ring (grey values)"] == "-0.100"
    assert row["its magnitude, dark or bright (SD)"] == "3.00" and row["patients"] == 2


class Painter(nn.Module):
    """A map of two channels and logits of it, both linear."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.hint_full, self.head = nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.hint_full.weight.fill_(weight)
            self.head.weight.copy_(torch.eye(2)[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.hint_full(images))
        return found


def test_loudness_is_the_ratio_of_two_gradients_on_the_student() -> None:
    student, teacher = Painter(1.0), Painter(3.0)
    images = torch.ones(2, 1, 2, 2)
    hints = Hints(layers=("hint_full",), normalise=False)

    def sum_of_logits(logits: Tensor, classes: Tensor) -> Tensor:
        assert classes.shape == (2, 1, 2, 2) and classes.unique().tolist() == [0, 1]
        return logits.mean()

    masks = torch.tensor([0, 1]).view(2, 1, 1).expand(2, 2, 2)
    found = loudness(student, teacher, images, images, masks, hints, sum_of_logits)
    # d = mean of (w_c - 3)^2 over two channels: its gradient is (w_c - 3) = -2 for each, length
    # sqrt(8). Mean logit: 1/2 for each of two w and of four head weights, length sqrt(6)/2.
    assert found == pytest.approx(8**0.5 / (6**0.5 / 2))
    assert all(p.grad is None for p in [*student.parameters(), *teacher.parameters()])


def measured(dice: list[float]) -> Measured:
    names = [f"p{i}" for i in range(len(dice))]
    values = {"dice": dice, "surface_dice": dice, "hd95_mm": [10.0] * len(dice),
              "false_alarms": [0.5, np.nan, 0.0]}  # fmt: skip
    return Measured(names, names, "x", values, {}, {"val_dice": 0.5})


def test_rows_metrics_and_headline_come_from_the_same_numbers() -> None:
    results = {"alone": measured([0.4, 0.6, 0.0]), "cmedl": measured([0.5, 0.7, 0.2])}
    found = score_table(results).set_index("arm")
    ours = found.loc["CMEDL: hints from the translation"]
    assert ours["Dice"].startswith("0.467 [") and ours["median gain"] == "+0.100"
    assert found.loc["student alone", ["missed", "median gain"]].tolist() == ["1", ""]
    images = cast(Images, SimpleNamespace(manifest=SimpleNamespace(id="s"), evidence="phantom"))
    metrics = {(m.arm, m.name): m for m in metrics_of(results, images, seed=1)}
    dice, alarms = metrics["cmedl", "dice"], metrics["cmedl", "false_alarms"]
    assert dice.value == pytest.approx(1.4 / 3) and dice.n == 3
    assert alarms.n == 2 and alarms.value == 0.25, "a case without such a section is left out"
    assert metrics["alone", "hd95_mm"].unit == "mm"
    assert metrics["alone", "val_dice"].value == 0.5
    text = headline_of(results, ("cmedl", "alone"), images, "recorded: ?").text
    assert "0.467 against student alone 0.333, difference +0.133" in text


def test_the_table_of_cases_is_that_of_the_measurement(modalities: Modalities) -> None:
    test = modalities.test
    truth = test.masks.numpy() > 0
    answer = truth.copy()
    answer[:3], answer[6, 0, 0] = False, True  # the first patient missed, an alarm for the third
    cases = [f"t{i}" for i in range(4)]
    test = replace(test, ids=tuple(f"{p}/k{i:03d}" for i, p in enumerate(test.patients)))
    spacing = test.spacing_mm
    wanted = measure_cases(volumes(answer, test.ids), volumes(truth, test.ids), spacing, 5.0)
    values = {name: wanted[name].tolist() for name in ("dice", "surface_dice", "hd95_mm")}
    found = case_table(Measured(cases, cases, "x", values), answer, test)
    pd.testing.assert_frame_equal(found, wanted[[*values, "outcome"]])
    assert found.outcome.tolist() == ["missed", "both", "false alarm", "both"]


def test_the_table_of_a_translation_names_what_was_measured() -> None:
    found = translation_table(
        {"mae": 0.1234, "collapsed": 0.0, "copied": 1.0, "moved": 1.0, "soft_source": 0.3}
    )
    assert dict(found.to_numpy().tolist()) == {
        "all translations alike": "no",
        "the source handed on": "yes",
        "mean error of the translation, everywhere (grey values)": "0.123",
    }
    assert len(set(TRANSLATION.values())) == len(TRANSLATION), "two rows of one name"
