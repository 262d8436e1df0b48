"""The arms of lesson 05: who teaches the student what, in the order of the lesson."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from medkd_lib.distill.region_graph import GraphWeights
from medkd_lib.methods.react_kd_parts import LABELS_ALONE, Weights
from medkd_lib.models.cbam3d import Attention

Teacher = Literal["both", "pet", "dose", "untrained"]
Nodes = Literal["segments", "parenchyma", "two"]

REACT = Weights()
LOGITS = replace(REACT, beta=0.0)

# Branches by name and what they read. ``seen`` is the CT at the dose of the moment, ``ct`` the one
# that came with the PET.
# A set has the tracers that it has: livers FDG and acetate, sarcomas one, called ``pet``.
TRACERS = ("fdg", "acetate", "pet")
PET_BRANCHES: Mapping[str, tuple[str, ...]] = {tracer: ("ct", tracer) for tracer in TRACERS}
DOSE_BRANCHES: Mapping[str, tuple[str, ...]] = {"dose": ("seen",)}
TEACHER_BRANCHES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "both": {**PET_BRANCHES, **DOSE_BRANCHES},
    "pet": PET_BRANCHES,
    "dose": DOSE_BRANCHES,
}
CT_BRANCH: Mapping[str, tuple[str, ...]] = {"ct": ("seen",)}


@dataclass(frozen=True)
class Arm:
    """One way to train the student.

    Attributes:
        weights: of the loss's terms.
        teachers: whose logits; the first one's map as well.
        map_of: whose map, if it is another one's than the first teacher's.
        attention: of teacher and student.
        pet: shown to the student as a second branch, to this share of the patients of a batch;
            0: it has no such branch. At the test nobody has a PET.
        shuffled: every patient is taught the answer to another one.
        nodes: of the graph, see `nodes_of`.
    """

    weights: Weights = REACT
    teachers: tuple[Teacher, ...] = ("both",)
    map_of: Teacher | None = None
    attention: Attention = "shared"
    pet: float = 0.7
    shuffled: bool = False
    nodes: Nodes = "segments"


def _graph(**weights: float) -> Arm:
    return Arm(replace(REACT, graph=GraphWeights(**weights)))


ALONE = Arm(LABELS_ALONE, (), pet=0.0)
ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "alone": ALONE,
        "alone_pet": replace(ALONE, pet=0.7),
        "kd": Arm(LOGITS, pet=0.0),
        "at": Arm(replace(LOGITS, attention=1000.0), pet=0.0),
        "cirkd": Arm(replace(LOGITS, cross_image=1.0), pet=0.0),
        "mean_teachers": Arm(LOGITS, ("pet", "dose"), pet=0.0),
        "adaptive": Arm(replace(LOGITS, teachers="confidence"), ("pet", "dose"), pet=0.0),
        "react": Arm(),
        "no_logits": Arm(replace(REACT, logits=0.0)),
        "no_graph": Arm(LOGITS),
        "no_node": _graph(node=0.0),
        "no_edge": _graph(edge=0.0),
        "no_gw": _graph(gromov_wasserstein=0.0),
        "no_cbam": Arm(attention="none"),
        "separate_cbam": Arm(attention="separate"),
        "no_dropout": Arm(pet=1.0),
        "ct_only": Arm(pet=0.0),
        "pet_teacher": Arm(teachers=("pet",)),
        "dose_teacher": Arm(teachers=("dose",)),
        "fused_gw": Arm(replace(REACT, gw_alpha=0.5)),
        "two_nodes": Arm(nodes="two"),
        "react_shuffled": Arm(shuffled=True),
        # Logits of a random head would be one more change: they stay the trained teacher's.
        "react_untrained": Arm(map_of="untrained"),
    }
)
# Arms of the recorded experiment that are teachers, each shown all that it reads.
TEACHERS: Mapping[str, Teacher] = MappingProxyType(
    {"teacher": "both", "teacher_pet": "pet", "teacher_dose": "dose"}
)
# An arm that is no network: a line through what only a phantom knows of the masses.
ORACLE = "truth"
# Another: where the block lies in its crop, without one voxel (sarcomas alone).
GEOMETRY = "place"


def nodes_of(names: tuple[str, ...], kind: Nodes) -> tuple[int, ...]:
    """Return the number of each region's node, 0 for none; by the name of the region.

    ``segments``: every region is a node of its own; ``parenchyma``: the liver's segments are one;
    ``two``: parenchyma, all masses, and nothing else, as in the released code.

    Raises:
        ValueError: no region would be a node.
    """
    if kind == "segments":
        return tuple(range(1, len(names) + 1))
    number, numbers, liver = 0, [], 0
    for name in names:
        if name.startswith("liver"):
            liver = liver or (number := number + 1)
            numbers.append(liver)
        elif kind == "two":
            numbers.append(2 if name.startswith("tumour") else 0)
        else:
            numbers.append(number := number + 1)
    if not any(numbers):
        raise ValueError(
            f"nodes {kind!r}: expected liver or tumour among the regions, found {names}; choose "
            "'segments' for this set"
        )
    return tuple(numbers)
