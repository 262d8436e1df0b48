"""Which stages an MSGFF teacher has: the ablation ladder, its controls, and the two sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from medkd_lib.models.alignment import Align
from medkd_lib.models.geometric_attention import Geometry
from medkd_lib.models.grid_graph import Coordinates, Edges


@dataclass(frozen=True)
class MsgffShape:
    """Everything about an MSGFF teacher but its two trunks; the default is the lesson's A4.

    Attributes:
        sizes: sides in pixels of the pyramid, rising; one of them is the ViT's image size.
        grids: cells per side that each scale is pooled to, not falling.
        dim: width of the node features.
        heads: attention heads of the graph.
        layers: layers of the graph.
        field_mm: side of the image in mm.
        align: how the ViT's map is registered.
        graph: whether nodes exchange messages.
        geometry: what their attention knows of places.
        edges: who reads whom.
        coordinates: true or shuffled.
        top_from: the information control: the largest scale is first brought down to this side
            and blown up again, so it has its pixels and its tokens, but no detail beyond.
        seed: of random edges and shuffled coordinates.
    """

    sizes: tuple[int, ...] = (28, 56, 112)
    grids: tuple[int, ...] = (3, 7, 7)
    dim: int = 64
    heads: int = 4
    layers: int = 2
    field_mm: float = 224.0
    align: Align = "flow"
    graph: bool = True
    geometry: Geometry = "both"
    edges: Edges = "containment"
    coordinates: Coordinates = "true"
    top_from: int | None = None
    seed: int = 0


LESSON = MsgffShape()
# 448 pixels from a slice of 240 are interpolation: see `top_from`.
PAPER = MsgffShape(sizes=(112, 224, 448), grids=(7, 14, 14), dim=256, heads=8)


def ladder(full: MsgffShape) -> Mapping[str, MsgffShape]:
    """Return the rungs A1 to A4, one stage more each; A0 is `HybridTeacher`.

    A1 several resolutions, A2 + alignment, A3 + graph without geometry, A4 everything.
    """
    return MappingProxyType(
        {
            "A1": replace(full, align="none", graph=False),
            "A2": replace(full, graph=False),
            "A3": replace(full, geometry="none"),
            "A4": full,
        }
    )


def controls(full: MsgffShape, top_from: int) -> Mapping[str, MsgffShape]:
    """Return A4 with one thing taken away or made wrong.

    Args:
        full: A4.
        top_from: side that the largest scale is made from in ``top_from``.
    """
    return MappingProxyType(
        {
            "no_cross_scale": replace(full, edges="no_cross_scale"),
            "random_edges": replace(full, edges="random"),
            "complete_graph": replace(full, edges="complete"),
            "shuffled_coordinates": replace(full, coordinates="shuffled"),
            "phi_only": replace(full, geometry="phi"),
            "gauss_only": replace(full, geometry="gauss"),
            "frozen_flow": replace(full, align="frozen"),
            "top_from": replace(full, top_from=top_from),
        }
    )


LADDER, PAPER_LADDER = ladder(LESSON), ladder(PAPER)
CONTROLS, PAPER_CONTROLS = controls(LESSON, top_from=56), controls(PAPER, top_from=112)
