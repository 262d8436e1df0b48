"""Graphs as drawn: who is there, where, joined to whom, and coupled with whom."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import Tensor

from medkd_lib.distill.coupling import gromov_plan
from medkd_lib.distill.graph_terms import cosine_distance
from medkd_lib.models.region_graph import RegionGraph
from medkd_lib.show.graph_nodes import EDGE_COLOURS, KINDS, LEAST_MM, Node, node_of
from medkd_lib.show.region_graph import region_graphs

mpl.use("agg")
NAMES = ("liver segment I", "liver segment II", "aorta", "portal vein", "spleen", "tumour 1",
         "tumour 2")  # fmt: skip
R = len(NAMES)


def graph(seed: int = 0, absent: int = 6) -> RegionGraph:
    generator = torch.Generator().manual_seed(seed)
    present = torch.ones(1, R, dtype=torch.bool)
    present[0, absent] = False
    places = torch.tensor([[[50.0 * r, 7.0, 40.0 * (r % 3)] for r in range(R)]])
    nodes = torch.randn(1, R, 4, generator=generator)
    return RegionGraph(nodes * present[..., None], present, places * present[..., None])


def plan(student: RegionGraph, teacher: RegionGraph) -> Tensor:
    return gromov_plan(
        cosine_distance(student.similarity()), cosine_distance(teacher.similarity()),
        student.present, teacher.present,
    )  # fmt: skip


def nodes_in(axis: Axes) -> dict[str, tuple[float, float]]:
    return {t.get_text(): t.get_position() for t in axis.texts}


def test_names_become_letters_that_tell_regions_apart() -> None:
    assert node_of("liver segment IV") == Node("IV", "liver")
    assert node_of("tumour 3") == Node("T3", "tumour")
    assert node_of("inferior vena cava") == Node("IVC", "vessel")
    assert node_of("left kidney") == Node("LK", "other organ")
    assert len({node_of(name).short for name in NAMES}) == R
    assert {node_of(name).kind for name in NAMES} == set(KINDS)


def test_nodes_that_are_there_stand_at_their_centroids_seen_from_the_front() -> None:
    g = graph()
    figure = region_graphs(g, g, NAMES, plan(g, g))
    figure.canvas.draw()  # aspects are settled only now
    student, teacher = figure.axes[:2]
    assert student.get_xlim() == teacher.get_xlim() and student.get_ylim() == teacher.get_ylim()
    assert (student.get_title(loc="left"), teacher.get_title(loc="left")) == ("student", "teacher")
    for axis in (student, teacher):
        found = nodes_in(axis)
        assert list(found) == ["I", "II", "Ao", "PV", "Sp", "T1"]  # T2 is absent
        for r, place in enumerate(found.values()):
            np.testing.assert_allclose(place, (40.0 * (r % 3), 50.0 * r), atol=0.5)


def test_nodes_at_one_place_are_moved_apart() -> None:
    g = graph()
    g = replace(g, centroids_mm=torch.zeros_like(g.centroids_mm))
    places = np.array(list(nodes_in(region_graphs(g, g, NAMES, plan(g, g)).axes[0]).values()))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e3 * np.eye(len(places))
    assert apart.min() > 0.6 * LEAST_MM


def test_edges_are_the_strongest_cosines_on_one_scale() -> None:
    student, teacher = graph(0), graph(1)
    figure = region_graphs(student, teacher, NAMES, plan(student, teacher), strongest=1)
    drawn: list[tuple[float, float, object]] = []
    for axis, g in zip(figure.axes, (student, teacher), strict=False):
        cosines = g.similarity()[0].numpy()[:6, :6]
        np.fill_diagonal(cosines, -2)
        expected = {frozenset((i, int(cosines[i].argmax()))) for i in range(6)}
        places = {p: i for i, p in enumerate(nodes_in(axis).values())}
        edges = [line for line in axis.lines if line.get_marker() == "None"]
        pairs = {
            frozenset(places[x, y] for x, y in line.get_xydata().tolist()): line  # type: ignore[union-attr]
            for line in edges
        }
        assert set(pairs) == expected
        drawn += [
            (float(cosines[tuple(pair)]), line.get_linewidth(), line.get_color())
            for pair, line in pairs.items()
        ]
    drawn.sort(key=lambda edge: edge[0])
    widths = [width for _, width, _ in drawn]
    assert widths == sorted(widths) and widths[0] < widths[-1]
    assert drawn[0][2] == EDGE_COLOURS(0.0)


def test_the_coupling_of_a_graph_with_itself_is_the_diagonal() -> None:
    g = graph()
    axis = region_graphs(g, g, NAMES, plan(g, g)).axes[2]
    np.testing.assert_allclose(np.asarray(axis.images[0].get_array()), np.eye(6))
    assert "100% to the same region" in axis.get_title(loc="left")
    assert [t.get_text() for t in axis.get_yticklabels()] == ["I", "II", "Ao", "PV", "Sp", "T1"]


def test_a_region_that_one_graph_lacks_has_no_frame() -> None:
    student, teacher = graph(0, absent=6), graph(1, absent=0)
    axis = region_graphs(student, teacher, NAMES, plan(student, teacher)).axes[2]
    shares = np.asarray(axis.images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    frames = {(round(p.get_y() + 0.5), round(p.get_x() + 0.5)) for p in axis.patches}  # type: ignore[attr-defined]
    assert frames == {(r, r - 1) for r in range(1, 6)}
    assert [t.get_text() for t in axis.get_xticklabels()] == ["II", "Ao", "PV", "Sp", "T1", "T2"]


def test_what_is_no_pair_of_graphs_of_one_patient_is_refused() -> None:
    g = graph()
    two = RegionGraph(*(torch.cat([x, x]) for x in (g.nodes, g.present, g.centroids_mm)))
    with pytest.raises(ValueError, match="graphs of one patient"):
        region_graphs(two, g, NAMES, plan(g, g))
    with pytest.raises(ValueError, match=r"and \(3, 3\)"):
        region_graphs(g, g, NAMES, torch.eye(3))
    lonely = replace(g, present=torch.arange(R)[None] == 0)
    with pytest.raises(ValueError, match="two regions or more"):
        region_graphs(lonely, g, NAMES, plan(g, g))
