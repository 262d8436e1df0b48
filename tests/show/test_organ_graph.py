"""Many organs as one graph: numbered nodes, seen from the feet, beside all their cosines."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.models.region_graph import RegionGraph
from medkd_lib.show.organ_graph import organ_graph

mpl.use("agg")
NAMES = ("liver", "aorta", "spleen", "kidney right")


def graph(patients: int = 1, absent: int | None = 2) -> RegionGraph:
    generator = torch.Generator().manual_seed(0)
    present = torch.ones(patients, 4, dtype=torch.bool)
    if absent is not None:
        present[:, absent] = False
    # D, H, W: from feet to head, from front to back, from right to left
    places = torch.tensor([[0.0, 10.0, 50.0], [0.0, 100.0, 150.0], [0.0, 90.0, 250.0],
                           [0.0, 120.0, 60.0]]).expand(patients, 4, 3)  # fmt: skip
    nodes = torch.randn(patients, 4, 5, generator=generator)
    return RegionGraph(nodes * present[..., None], present, places * present[..., None])


def test_nodes_are_numbered_and_the_front_is_up() -> None:
    left, right, _ = organ_graph(graph(), NAMES).axes
    where = {t.get_text(): t.get_position() for t in left.texts}
    assert set(where) == {"1", "2", "4"}  # the spleen is not there
    assert where["1"][1] > where["2"][1] > where["4"][1]
    assert where["1"][0] < where["2"][0]
    assert [t.get_text() for t in right.get_yticklabels()] == ["liver  1", "aorta  2",
                                                              "kidney right  4"]  # fmt: skip
    g = graph()
    cosines = g.similarity()[0][g.present[0]][:, g.present[0]].numpy()
    np.testing.assert_allclose(np.asarray(right.images[0].get_array()), cosines, atol=1e-6)


def test_odd_graphs_are_told() -> None:
    with pytest.raises(ValueError, match="one patient with 4 nodes"):
        organ_graph(graph(patients=2), NAMES)
    alone = graph()
    alone.present[0, 1:] = False
    with pytest.raises(ValueError, match="two regions or more, found 1"):
        organ_graph(alone, NAMES)
