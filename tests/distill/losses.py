"""The table of all losses of the library: what each is called with, and what it promises.

A new loss of `medkd_lib/distill/` is one more line in `LOSSES`; `test_contract.py` then holds it to
every property, and its row appears in the printed table. Not here are losses without a student
and a teacher to be equal: of a discriminator's answers (`adversarial.py`, squares of `gan.py`),
of a code against its prior (`vae.py`) and of two sets of images, of which none is another's
(`deep_coral.py`, `mmd.py`). The focal loss is here: labels are its teacher.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.attention import attention_transfer
from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.distill.boxes import binary_kd
from medkd_lib.distill.chopra import chopra
from medkd_lib.distill.contextual import contextual_loss
from medkd_lib.distill.contrast import crd_in_batch
from medkd_lib.distill.cross_image import cross_image_relations
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.distill.focal import focal_loss
from medkd_lib.distill.foreground import foreground_distance
from medkd_lib.distill.graph_terms import cosine_distance
from medkd_lib.distill.gromov_wasserstein import gromov_wasserstein
from medkd_lib.distill.hints import hint_loss
from medkd_lib.distill.image_l1 import image_l1
from medkd_lib.distill.logits import dkd, hinton_kd
from medkd_lib.distill.ofa import ofa
from medkd_lib.distill.partial_cross_attention import partial_cross_attention_loss
from medkd_lib.distill.region_graph import Graph, GraphWeights, region_graph_distillation
from medkd_lib.distill.relations import rkd, rkd_angle, rkd_distance
from medkd_lib.distill.several_teachers import confidence_weights, equal_weights, weighed_kd
from medkd_lib.distill.tokens import token_loss
from medkd_lib.models.region_graph import RegionGraph

LABELS = torch.tensor([0, 3, 1, 2, 2, 4])
BALANCED = torch.tensor([0, 1, 2, 0, 1, 2])
TWO = torch.tensor([0, 1, 0, 1, 1, 0])
Pair = tuple[Tensor, Tensor]


def random(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@dataclass(frozen=True)
class Family:
    """The shape that student and teacher share in these tests, and what counts as large."""

    shape: tuple[int, ...]
    large: Callable[[Tensor, Tensor], Pair]


LOGITS = Family((6, 5), lambda s, t: (1e4 * s.sign(), -1e4 * s.sign()))
DENSE = Family((6, 3, 4, 3), lambda s, t: (1e4 * s.sign(), -1e4 * s.sign()))
MAPS = Family((6, 3, 4, 3), lambda s, t: (1e3 * s, 1e3 * t))
EMBEDDINGS = Family((6, 8), lambda s, t: (1e3 * s, 1e3 * t))
TOKENS = Family((6, 4, 8), lambda s, t: (1e3 * s, 1e3 * t))
HEADS = Family((6, 2, 3, 4), lambda s, t: (1e3 * s, 1e3 * t))


def _per_image(x: Tensor, low: float, high: float) -> Tensor:
    """One number per image, evenly spaced."""
    return torch.linspace(low, high, len(x), dtype=x.dtype).view(-1, *[1] * (x.ndim - 1))


def _rotation(x: Tensor, seed: int) -> Tensor:
    return x @ torch.linalg.qr(random((x.shape[1], x.shape[1]), seed))[0]


def _masks(labels: Tensor) -> Tensor:
    """Three classes, laid out by an image's label."""
    return (labels[:, None, None] + torch.arange(12).view(4, 3) // 2) % 3


def _positions(x: Tensor) -> Tensor:
    return x.flatten(2).roll(5, dims=2).view_as(x)


# Changes of (student, teacher) that leave a value as it is, by the words of the printed table.
CHANGES: Mapping[str, Callable[[Tensor, Tensor], Pair]] = {
    "shift of an image's logits": lambda s, t: (
        s + _per_image(s, -3, 5),
        t + _per_image(t, 4, -1),
    ),
    "scale of an image's map": lambda s, t: (
        s * _per_image(s, 0.1, 9),
        t * _per_image(t, 7, 0.2),
    ),
    "sign of activations": lambda s, t: (-s, t),
    "channel order of either map": lambda s, t: (s.roll(1, 1), t.roll(2, 1)),
    "channel order of both": lambda s, t: (s.roll(1, 1), t.roll(1, 1)),
    "order of positions": lambda s, t: (_positions(s), _positions(t)),
    "order of positions of either": lambda s, t: (_positions(s), t.flip(2, 3)),
    "order of tokens": lambda s, t: (s.roll(1, -2), t.roll(1, -2)),
    "order of tokens of either": lambda s, t: (s.roll(1, -2), t.flip(-2)),
    "joint shift": lambda s, t: (s + 3, t + 3),
    "joint scale": lambda s, t: (7 * s, 7 * t),
    "rotation of either space": lambda s, t: (_rotation(s, 7), _rotation(t, 8)),
    "rotation of both": lambda s, t: (_rotation(s, 7), _rotation(t, 7)),
    "shift of either space": lambda s, t: (s + 2, t - 5),
    "scale of either space": lambda s, t: (0.03 * s, 40 * t),
    "length of an embedding": lambda s, t: (
        s * _per_image(s, 0.1, 9),
        t * _per_image(t, 7, 0.2),
    ),
    "exchange of the two": lambda s, t: (t, s),
}


@dataclass(frozen=True)
class Least:
    """Where the loss is least, and its value there, as the definition says it."""

    student: Tensor
    teacher: Tensor
    value: float


def equality(teacher: Tensor) -> Least:
    return Least(teacher, teacher, 0.0)


def corners_of_simplex(labels: Tensor) -> Tensor:
    """One corner of a regular simplex per class."""
    classes = int(labels.max()) + 1
    return (torch.eye(classes, dtype=torch.float64) - 1 / classes)[labels]


def apart(teacher: Tensor) -> Least:
    """Contrastive, margin: corners of the simplex are further apart than the margin."""
    corners = corners_of_simplex(BALANCED)
    return Least(corners, corners, 0.0)


def opposite(teacher: Tensor) -> Least:
    """Contrastive, energy: two classes at Q, the diagonal of a cube, which is a corner of it."""
    places = (2 * TWO - 1)[:, None] * torch.ones(8, dtype=torch.float64)
    return Least(places, places, 4 * math.sqrt(8) * math.exp(-2.77))


def simplex(teacher: Tensor, labels: Tensor) -> Least:
    """InfoNCE: student and teacher the same regular simplex, one corner per class."""
    classes = int(labels.max()) + 1
    corners = corners_of_simplex(labels)
    negatives = len(labels) - len(labels) // classes
    value = math.log1p(negatives * math.exp(-classes / ((classes - 1) * 0.07)))
    return Least(corners, corners, value)


def enhanced(teacher: Tensor) -> Least:
    """OFA: the student's distribution is w / W, and the value the mean of W times its entropy."""
    m = F.one_hot(LABELS, teacher.shape[1])
    w = (teacher.softmax(1) + m) ** 1.5 - m
    value = -(w * (w / w.sum(1, keepdim=True)).log()).sum(1).mean()
    return Least(w.log(), teacher, float(value))


def sure(teacher: Tensor) -> Least:
    """All of the mass on the labels."""
    return Least(100.0 * F.one_hot(LABELS, teacher.shape[1]).double(), teacher, 0.0)


def two_teachers(teacher: Tensor) -> Tensor:
    """A second opinion: the same with its classes in another order."""
    return torch.stack([teacher, teacher.flip(1)])


def mixture(teacher: Tensor, weighing: Callable[[Tensor, Tensor], Tensor]) -> Least:
    """Student = the teachers' weighed mean; the value is their divergence from it."""
    both = two_teachers(teacher)
    weights = weighing(both, LABELS)[..., None]
    p = (both / 3).softmax(2)
    mean = (weights * p).sum(0)
    value = 9 * (weights * p * (p / mean).log()).sum((0, 2)).mean()
    return Least(3 * mean.log(), teacher, float(value))


def equally(teachers: Tensor, labels: Tensor) -> Tensor:
    return equal_weights(teachers)


def graph(tokens: Tensor) -> Graph:
    """Tokens as the nodes of complete graphs, pooled nodes being float32 at least."""
    wide = tokens if tokens.dtype == torch.float64 else tokens.float()
    present = torch.ones(tokens.shape[:2], dtype=torch.bool)
    similarity = RegionGraph(wide, present, wide[..., :3].detach()).similarity()
    return Graph(tokens, similarity, present)


def graph_terms(student: Tensor, teacher: Tensor, *weights: float) -> Tensor:
    """Node, edge and Gromov–Wasserstein terms, weighed."""
    return region_graph_distillation(graph(student), graph(teacher), GraphWeights(*weights)).total


def gromov(student: Tensor, teacher: Tensor) -> Tensor:
    """Gromov–Wasserstein of cosine distances, without a word on which node is which."""
    s, t = graph(student), graph(teacher)
    pair = cosine_distance(s.similarity), cosine_distance(t.similarity)
    return gromov_wasserstein(*pair, s.present, t.present)


@dataclass(frozen=True)
class Loss:
    """One row: the call, and what the definition promises of it.

    Args:
        call: student, teacher, labels → scalar.
        family: shapes and large inputs.
        oracle: file and test that compare it with another library or a closed form.
        against: that library or form, in a word.
        unchanged_by: names in `CHANGES`.
        relational: a value of the batch as a whole, not a mean over images.
        least: where it is least; ``least_where`` says it in words.
    """

    call: Callable[[Tensor, Tensor, Tensor], Tensor]
    family: Family
    oracle: str
    against: str
    unchanged_by: tuple[str, ...]
    relational: bool = False
    least: Callable[[Tensor], Least] = equality
    least_where: str = "0 at student = teacher"
    labels: Tensor = LABELS


SHIFT = ("shift of an image's logits",)
SIMILARITY = ("rotation of either space", "shift of either space", "scale of either space")
TURNED = ("rotation of both", "length of an embedding", "exchange of the two")
NODES = ("order of tokens", "length of an embedding", "exchange of the two")
PLACE = ("channel order of both", "order of positions")
LOOK = ("scale of an image's map", "sign of activations", "channel order of either map")

# One line (or block) per loss; a further loss of `distill/` goes here.
LOSSES: Mapping[str, Loss] = {
    "hinton_kd": Loss(
        lambda s, t, y: hinton_kd(s, t, 3.0),
        LOGITS,
        "test_logits.py::test_torchdistill_agrees",
        "torchdistill",
        SHIFT,
    ),
    "dkd": Loss(
        lambda s, t, y: dkd(s, t, y, 3.0),
        LOGITS,
        "test_logits.py::test_dkd_equals_its_definition",
        "definition",
        SHIFT,
    ),
    "balanced_kd": Loss(
        lambda s, t, y: balanced_kd(s, t, _masks(y), 3.0),
        DENSE,
        "test_balanced_kd.py::test_lesion_and_background_have_the_same_say",
        "PyTorch",
        SHIFT,
    ),
    "binary_kd": Loss(
        lambda s, t, y: binary_kd(s, t, 3.0),
        LOGITS,
        "test_boxes.py::test_sigmoids_are_bernoulli_variables",
        "PyTorch",
        ("channel order of both",),
    ),
    "focal_loss": Loss(
        lambda s, t, y: focal_loss(s, y),
        LOGITS,
        "test_focal.py::test_monai_agrees",
        "MONAI",
        SHIFT,
        least=sure,
        least_where="0 where all mass is on the label",
    ),
    "weighed_kd": Loss(
        lambda s, t, y: weighed_kd(s, two_teachers(t), equal_weights(two_teachers(t)), 3.0),
        LOGITS,
        "test_several_teachers.py::test_the_definition_teacher_by_teacher",
        "definition",
        SHIFT,
        least=lambda t: mixture(t, equally),
        least_where="the teachers' divergence at student = their mean",
    ),
    "weighed_kd, confidence": Loss(
        lambda s, t, y: weighed_kd(s, two_teachers(t), confidence_weights(two_teachers(t), y), 3.0),
        LOGITS,
        "test_several_teachers.py::test_the_definition_teacher_by_teacher",
        "definition",
        SHIFT,
        least=lambda t: mixture(t, confidence_weights),
        least_where="the same with the mean weighed",
    ),
    "ofa": Loss(
        ofa,
        LOGITS,
        "test_ofa.py::test_probabilities_as_the_formula_prints_them",
        "definition",
        SHIFT,
        least=enhanced,
        least_where="W·H(w/W) at student = w/W",
    ),
    "hint_loss": Loss(
        lambda s, t, y: hint_loss(s, t),
        MAPS,
        "test_hints.py::test_torchdistill_agrees",
        "torchdistill",
        ("channel order of both", "order of positions", "joint shift", "exchange of the two"),
    ),
    # Cycle, identity and reconstruction losses are this one by their other names.
    "image_l1": Loss(
        lambda s, t, y: image_l1(s, t),
        MAPS,
        "test_image_l1.py::test_pytorchs_l1_agrees",
        "PyTorch",
        (*PLACE, "joint shift", "exchange of the two"),
    ),
    "feature_distance, l2": Loss(
        lambda s, t, y: feature_distance(s, t, "l2"),
        MAPS,
        "test_feature_distance.py::test_normalised_l2_is_twice_one_minus_correlation",
        "numpy.corrcoef",
        (*PLACE, "shift of either space", "exchange of the two"),
        relational=True,
    ),
    "feature_distance, cosine": Loss(
        lambda s, t, y: feature_distance(s, t, "cosine"),
        MAPS,
        "test_feature_distance.py::test_cosine_is_pytorchs",
        "PyTorch",
        (*PLACE, "shift of either space", "exchange of the two"),
        relational=True,
    ),
    "feature_distance, cosine, raw": Loss(
        lambda s, t, y: feature_distance(s, t, "cosine", normalise=False),
        MAPS,
        "test_feature_distance.py::test_cosine_is_pytorchs",
        "PyTorch",
        (*PLACE, "scale of an image's map", "scale of either space", "exchange of the two"),
    ),
    "feature_distance, mmd": Loss(
        lambda s, t, y: feature_distance(s, t, "mmd"),
        MAPS,
        "test_feature_distance.py::test_mmd_is_the_sum_over_all_pairs",
        "definition",
        (*PLACE, "order of positions of either", "shift of either space"),
        relational=True,
    ),
    "feature_distance, mmd, raw": Loss(
        lambda s, t, y: feature_distance(s, t, "mmd", normalise=False),
        MAPS,
        "test_feature_distance.py::test_mmd_is_the_sum_over_all_pairs",
        "definition",
        (*PLACE, "order of positions of either", "joint shift", "joint scale"),
    ),
    "foreground_distance, l2": Loss(
        lambda s, t, y: foreground_distance(s, t, _masks(y) == 0, least=2).mean(),
        MAPS,
        "test_foreground.py::test_everywhere_it_is_the_plain_distance",
        "feature_distance",
        ("channel order of both", "exchange of the two"),
    ),
    "foreground_distance, cosine": Loss(
        lambda s, t, y: foreground_distance(s, t, _masks(y) == 0, "cosine", least=2).mean(),
        MAPS,
        "test_foreground.py::test_everywhere_it_is_the_plain_distance",
        "feature_distance",
        ("channel order of both", "scale of an image's map", "exchange of the two"),
    ),
    "contextual_loss": Loss(
        lambda s, t, y: contextual_loss(s, t),
        MAPS,
        "test_contextual.py::test_brute_force",
        "definition, loop by loop",
        (*PLACE, "order of positions of either", "joint shift", "joint scale"),
        least_where="0 at student = teacher, or its positions in another order",
    ),
    "attention_transfer": Loss(
        lambda s, t, y: attention_transfer(s, t),
        MAPS,
        "test_attention.py::test_torchdistill_agrees",
        "torchdistill",
        (*LOOK, "order of positions", "exchange of the two"),
    ),
    "rkd_distance": Loss(
        lambda s, t, y: rkd_distance(s, t),
        EMBEDDINGS,
        "test_relations.py::test_torchdistill_agrees",
        "torchdistill",
        (*SIMILARITY, "exchange of the two"),
        relational=True,
    ),
    "rkd_angle": Loss(
        lambda s, t, y: rkd_angle(s, t),
        EMBEDDINGS,
        "test_relations.py::test_torchdistill_agrees",
        "torchdistill",
        (*SIMILARITY, "exchange of the two"),
        relational=True,
    ),
    "rkd": Loss(
        lambda s, t, y: rkd(s, t),
        EMBEDDINGS,
        "test_relations.py::test_torchdistill_agrees",
        "torchdistill",
        (*SIMILARITY, "exchange of the two"),
        relational=True,
    ),
    "crd_in_batch": Loss(
        lambda s, t, y: crd_in_batch(s, t),
        EMBEDDINGS,
        "test_contrast.py::test_metric_learning_agrees",
        "pytorch-metric-learning",
        TURNED,
        relational=True,
        least=lambda t: simplex(t, torch.arange(6)),
        least_where="log(1 + (N-1) exp(-N/((N-1)τ))) at one regular simplex",
    ),
    "crd_in_batch, labels": Loss(
        lambda s, t, y: crd_in_batch(s, t, labels=y),
        EMBEDDINGS,
        "test_contrast.py::test_metric_learning_agrees_on_what_is_a_negative",
        "pytorch-metric-learning",
        TURNED,
        relational=True,
        least=lambda t: simplex(t, BALANCED),
        least_where="the same with one corner per class, classes balanced",
        labels=BALANCED,
    ),
    "chopra, margin": Loss(
        lambda s, t, y: chopra(s, t, y, "margin", 1.5),
        EMBEDDINGS,
        "test_chopra.py::test_metric_learning_agrees",
        "pytorch-metric-learning",
        TURNED,
        relational=True,
        least=apart,
        least_where="0 at student = teacher, classes m apart",
        labels=BALANCED,
    ),
    "chopra, energy": Loss(
        lambda s, t, y: chopra(s, t, y, "energy"),
        EMBEDDINGS,
        "test_chopra.py::test_energy_equals_the_definition",
        "definition",
        ("channel order of both", "length of an embedding", "exchange of the two"),
        relational=True,
        least=opposite,
        least_where="2Q exp(-2.77) at student = teacher, two classes Q apart",
        labels=TWO,
    ),
    "token_loss": Loss(
        lambda s, t, y: token_loss(s, t),
        TOKENS,
        "test_tokens.py::test_closed_form",
        "closed form",
        ("order of tokens", "exchange of the two"),
    ),
    "node_term": Loss(
        lambda s, t, y: graph_terms(s, t, 1, 0, 0),
        TOKENS,
        "test_graph_terms.py::test_nodes_are_compared_by_cosine",
        "PyTorch",
        NODES,
    ),
    "edge_term": Loss(
        lambda s, t, y: graph_terms(s, t, 0, 1, 0),
        TOKENS,
        "test_graph_terms.py::test_edges_equal_the_definition",
        "definition",
        NODES,
    ),
    "gromov_wasserstein": Loss(
        lambda s, t, y: gromov(s, t),
        TOKENS,
        "test_gromov_wasserstein.py::test_pots_solver_agrees",
        "POT",
        ("order of tokens", "order of tokens of either", "length of an embedding"),
        least_where="0 at student = teacher, or its nodes in another order",
    ),
    "region_graph_distillation": Loss(
        lambda s, t, y: graph_terms(s, t, 1, 1, 1),
        TOKENS,
        "test_region_graph.py::test_the_total_is_the_weighed_sum",
        "its terms",
        NODES[:2],
    ),
    "cross_image_relations": Loss(
        lambda s, t, y: cross_image_relations(s, t, torch.ones(s.shape[:2], dtype=torch.bool)),
        TOKENS,
        "test_cross_image.py::test_loops_over_regions_agree",
        "definition, region by region",
        ("order of tokens", "length of an embedding"),
        relational=True,
    ),
    # Nothing crossed, so that nothing is drawn. Scale-free: in the paper's form the Gram term grows
    # with the fourth power of the values, and its gradient leaves float16 at values of 1e3.
    "partial_cross_attention, scale-free": Loss(
        lambda s, t, y: (
            partial_cross_attention_loss((s,) * 3, (t,) * 3, 1.0, scale_free=True).total
        ),
        HEADS,
        "test_partial_cross_attention.py::test_pytorchs_attention_agrees",
        "PyTorch",
        ("order of tokens",),
        relational=True,
    ),
}
