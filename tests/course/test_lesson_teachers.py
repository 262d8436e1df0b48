"""What lesson 02 computes beside its trainings: attention of one node, maps, shares, prices."""

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.cohort import Cohort
from medkd_lib.course.experiments.teacher_arms import ARMS, LESSON
from medkd_lib.course.experiments.teachers import TeacherStudy
from medkd_lib.course.grid import Grid
from medkd_lib.course.lesson_teachers import (
    CAM,
    ROLLOUT,
    arm_colours,
    is_volumes,
    localisation_table,
    maps_of,
    prices,
    weights_of_node,
)
from medkd_lib.course.recorded import Recorded
from medkd_lib.data.images import ImageSet
from medkd_lib.data.split import Split
from medkd_lib.evaluate.saliency import attention_rollout, grad_cam
from medkd_lib.models.geometric_attention import GeometricLayer
from medkd_lib.models.grid_graph import grid_graph
from medkd_lib.models.hybrid import HybridTeacher
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitSize, VitTrunk


def test_one_node_reads_as_the_layer_does() -> None:
    graph = grid_graph((3, 7), 224.0)
    layer = GeometricLayer(graph, dim=8, heads=1, geometry="gauss")
    with torch.no_grad():
        whole = layer.attention(torch.zeros(1, 58, 8))[0, 0].numpy()
    places, mask = graph.positions_mm.double().numpy(), graph.mask.numpy()
    for node in (0, 4, 33):
        blank = np.zeros((58, 8))
        mine = weights_of_node(blank[0], blank, places, node, mask[node], 32.0)
        np.testing.assert_allclose(mine, whole[node], atol=1e-6)
        assert mine.sum() == pytest.approx(1) and (mine[~mask[node]] == 0).all()


def hybrid() -> HybridTeacher:
    trunk = VitTrunk(4, 16, VitSize(8, 16, 2, 2, 16))
    return HybridTeacher(3, VggTrunk(4, (8, "M", 8)), trunk, 16).eval()


def test_maps_are_those_of_the_evaluation_room() -> None:
    network, images, classes = hybrid(), torch.randn(5, 4, 16, 16), torch.tensor([0, 1, 2, 0, 1])
    seen: list[int] = []

    def follow(blocks: list[np.ndarray]) -> np.ndarray:
        seen.append(len(blocks))
        assert blocks[0].shape == (2, 5, 5)
        return attention_rollout([torch.from_numpy(b)[None] for b in blocks]).flatten().numpy()

    maps = maps_of(network, images, classes, follow)
    assert seen == [2] * 5 and maps[ROLLOUT].shape == (5, 2, 2)
    np.testing.assert_allclose(maps[CAM], grad_cam(network, "vgg_map", images, classes))


def test_a_map_that_knows_nothing_gets_the_tumours_share_of_the_tissue() -> None:
    images = torch.zeros(2, 4, 32, 32)
    images[:, :, 8:24, 8:24] = 1.0  # 256 pixels of tissue
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[:, 8:16, 8:16] = 3  # 64 of them
    flat, right = torch.ones(2, 4, 4), torch.zeros(2, 4, 4)
    right[:, 1, 1] = 1.0
    table = localisation_table(
        {"trained": {"flat": flat, "right": right}}, images, masks, ["a", "b"]
    )
    chance, blind, sharp = table.to_dict("records")
    assert chance["share"] == blind["share"] == "0.250" and chance["hit"] == ""
    assert float(sharp["share"]) > 0.5 and sharp["hit"] == "1.00"
    assert [blind["map"], sharp["map"]] == ["flat, trained", "right, trained"]


def test_every_arm_has_a_colour_and_controls_are_grey() -> None:
    colours = arm_colours()
    assert colours.keys() == ARMS.keys()
    assert colours["a4"] == colours["a1"] != colours["a4_random_edges"]
    assert colours["hybrid"] == colours["vit"] != colours["student"]


def test_volumes_are_told_from_films() -> None:
    assert is_volumes("brats2023_gli") and not is_volumes("cxr3")


def test_prices_are_counted_for_the_arms_that_ran() -> None:
    grid = Grid.model_validate({
        "lesson": "02", "experiment": "teachers", "declared": "today", "seeds": [0, 1, 2, 3, 4],
        "settings": [{"id": "toy", "title": "t", "dataset": "brats2023_gli", "evidence": "phantom",
                      "difficulty": "clear", "patients": 9}],
        "arms": ["student", "hybrid"], "primary": "balanced_accuracy", "correction": "holm",
        "contrasts": [],
    })  # fmt: skip
    runs = pd.DataFrame({"setting": "toy", "arm": "hybrid", "seed": range(5),
                         "balanced_accuracy": [0.7, 0.8, 0.75, 0.7, 0.8]})  # fmt: skip
    images = ImageSet(
        torch.zeros(1, 4, 112, 112).half(), torch.tensor([0]), ("p",), ("p/k000",), "print"
    )
    cohort = Cohort(
        "toy", ("a", "b", "c"), {"train": images, "test": images}, Split("toy", 0, {}), 0.0
    )
    study = TeacherStudy(cohort, LESSON, 0, Fabric(accelerator="cpu", devices=1))
    found = prices(Recorded(grid, runs, pd.DataFrame(), pd.DataFrame()), "toy", study,
                   ["student", "hybrid"])  # fmt: skip
    (only,) = found
    assert only.label == "A0" and only.teacher and only.value == pytest.approx(0.75)
    assert only.parameters == sum(p.numel() for p in study.network("hybrid").parameters())
    assert only.interval[0] < 0.75 < only.interval[1] and only.macs > 10e6
