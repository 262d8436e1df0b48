"""The graph of a real CT with dozens of organs, in the map of a network that never saw it."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from medkd_lib.course.experiments.react_arms import CT_BRANCH
from medkd_lib.course.experiments.react_budget import LESSON, classifier
from medkd_lib.course.lesson_react_organs import ORGANS, organ_graph_of
from medkd_lib.train import Trained


def student() -> Trained:
    torch.manual_seed(0)
    network = classifier(LESSON, CT_BRANCH, 3).eval()
    return cast(Trained, SimpleNamespace(network=network))


def test_every_organ_of_the_real_ct_is_a_node(real_data: Path) -> None:
    graph, names = organ_graph_of(real_data / ORGANS, student())
    assert len(names) == 41 and bool(graph.present.all())
    assert torch.isfinite(graph.nodes).all()
    where = dict(zip(names, graph.centroids_mm[0].tolist(), strict=True))
    # D, H, W: the left kidney lies further to the left, the spine behind the liver
    assert where["kidney left"][2] > where["kidney right"][2] + 50
    assert where["liver"][2] < where["spleen"][2]
    assert where["vertebrae L1"][1] > where["liver"][1]


def test_a_folder_without_a_mask_is_told(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "example_ct_sm.nii.gz").symlink_to(real_data / ORGANS / "example_ct_sm.nii.gz")
    with pytest.raises(ValueError, match="expected a case of totalseg_ct with roles ct and seg"):
        organ_graph_of(tmp_path, student())
