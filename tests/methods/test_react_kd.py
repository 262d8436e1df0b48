"""REACT-KD: who sees what, what each term teaches, odd regions, a student that needs CT alone."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.data.batches import Batch, batches
from medkd_lib.distill.attention import attention_transfer
from medkd_lib.distill.cross_image import cross_image_relations
from medkd_lib.distill.focal import focal_loss
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.region_graph import GraphWeights, region_graph_distillation
from medkd_lib.distill.several_teachers import confidence_weights, weighed_kd
from medkd_lib.methods.base import bare
from medkd_lib.methods.modality_dropout import ModalityDropout
from medkd_lib.methods.react_kd import ReactKD, graph_of
from medkd_lib.methods.react_kd_parts import LABELS_ALONE, Weights
from medkd_lib.models.cbam3d import Attention
from medkd_lib.models.fused_classifier import Answer, Branch, FusedClassifier
from medkd_lib.models.region_masks import Regions
from medkd_lib.models.segresnet_encoder import SegResNetEncoder
from medkd_lib.train import fit

SHAPE, REGIONS, SPACING = (8, 8, 12), 4, (4.0, 2.0, 2.0)
EVERYTHING = Weights(attention=100.0, cross_image=1.0)
TERMS = {
    "focal", "distillation", "nodes", "edges", "gromov_wasserstein", "attention", "cross_image",
}  # fmt: skip


def classifier(
    seed: int, reads: dict[str, tuple[str, ...]], attention: Attention = "shared"
) -> FusedClassifier:
    torch.manual_seed(seed)
    branches = {
        name: Branch(mine, SegResNetEncoder(len(mine), 4, (1, 1), stem_stride=2, groups=2))
        for name, mine in reads.items()
    }
    network = FusedClassifier(branches, 3, 6, attention=attention, kernel=3)
    with torch.no_grad():
        network.head.weight.mul_(20)  # untrained, it would say the same of every patient
    return network


def student(attention: Attention = "shared") -> FusedClassifier:
    return classifier(1, {"ct": ("ct",), "pet": ("fdg",)}, attention)


def teacher() -> FusedClassifier:
    return classifier(0, {"fdg": ("ct", "fdg"), "acetate": ("ct", "acetate")})


def tensors(n: int = 4, seed: int = 0) -> Batch:
    numbers = torch.Generator().manual_seed(seed)
    volumes = {k: torch.randn(n, 1, *SHAPE, generator=numbers) for k in ("ct", "fdg", "acetate")}
    return volumes | {
        "labels": torch.randint(3, (n,), generator=numbers),
        "regions": torch.randint(REGIONS + 1, (n, *SHAPE), generator=numbers).to(torch.uint8),
        "patients": torch.arange(n),
    }


def react_kd(
    weights: Weights = EVERYTHING,
    *,
    asked: FusedClassifier | None = None,
    attention: Attention = "shared",
    precision: Any = "32-true",
    regions: int = REGIONS,
    spacing_mm: Sequence[float] = SPACING,
    **settings: Any,
) -> ReactKD:
    method = ReactKD(
        student(attention), bedside=("ct",), learning_rate=1e-2, steps=20, weights=weights,
        regions=regions, spacing_mm=spacing_mm, teacher=asked, **settings,
    )  # fmt: skip
    method.setup(Fabric(accelerator="cpu", devices=1, precision=precision))
    return method


def values(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: value.item() for name, value in losses.items()}


def states(method: ReactKD) -> dict[str, dict[str, Tensor]]:
    return {k: copy.deepcopy(bare(n).state_dict()) for k, n in method.networks.items()}


def answers(batch: Batch, network: FusedClassifier | None = None) -> Batch:
    """What a teacher says of a batch, as a loader would bring it."""
    with torch.no_grad():
        answer: Answer = (network or teacher()).eval()(batch)
    return {"teacher_logits": answer.logits[:, None], "teacher_map": answer.fused}


def test_the_teacher_does_not_move_and_the_student_does() -> None:
    method = react_kd(asked=teacher())
    before = states(method)
    for step in range(3):
        losses = method.update(tensors(seed=step))
    assert set(losses) == TERMS
    assert all(v.ndim == 0 and torch.isfinite(v) and not v.requires_grad for v in losses.values())
    after = states(method)
    assert all(torch.equal(v, before["teacher"][k]) for k, v in after["teacher"].items())
    still = [k for k, v in after["student"].items() if torch.equal(v, before["student"][k])]
    assert still == []
    assert not any(m.training for m in method.networks["teacher"].modules())


def test_the_gradient_is_that_of_the_formula() -> None:
    """All terms at once, printed again from the library's losses."""
    w = replace(EVERYTHING, alpha=0.3, beta=2.0, graph=GraphWeights(1.0, 3.0, 0.5), gw_alpha=0.7)
    method = react_kd(w, asked=teacher())
    ours = copy.deepcopy(bare(method.networks["student"]))
    data = tensors()
    method.update(data)
    logits, fused = ours(data)
    with torch.no_grad():
        theirs, their_map = teacher().eval()(data)
    regions = Regions(data["regions"], REGIONS, SPACING)
    mine, taught = graph_of(fused, regions), graph_of(their_map, regions)
    both = mine.present & taught.present
    total = (
        0.7 * focal_loss(logits, data["labels"], 2.0)
        + 0.3 * hinton_kd(logits, theirs, 2.0)
        + 2.0 * region_graph_distillation(mine, taught, w.graph, alpha=0.7).total
        + 100.0 * attention_transfer(fused.flatten(3), their_map.flatten(3))
        + cross_image_relations(mine.nodes, taught.nodes, both)
    )
    total.backward()
    trained = bare(method.networks["student"])
    for (name, p), q in zip(trained.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "weights",
    [
        Weights(alpha=0.0, graph=GraphWeights(1, 0, 0)),
        Weights(alpha=0.0, graph=GraphWeights(0, 1, 0)),
        Weights(alpha=0.0, graph=GraphWeights(0, 0, 1)),
        Weights(alpha=0.0, graph=GraphWeights(0, 0, 1), gw_alpha=0.5),
        Weights(alpha=0.0, beta=0.0, attention=100.0),
        Weights(alpha=0.0, beta=0.0, cross_image=1.0),
        Weights(alpha=0.5, beta=0.0),
        Weights(alpha=0.5, beta=0.0, teachers="confidence"),
    ],
    ids=["node", "edge", "gw", "fused gw", "attention", "cross-image", "kd", "weighed kd"],
)
def test_every_term_alone_changes_what_the_student_learns(weights: Weights) -> None:
    taught, untaught = react_kd(weights, asked=teacher()), react_kd(LABELS_ALONE)
    data = tensors()
    taught.update(data)
    untaught.update(data)
    for (name, p), (_, q) in zip(
        bare(taught.networks["student"]).named_parameters(),
        bare(untaught.networks["student"]).named_parameters(),
        strict=True,
    ):
        assert p.grad is not None and q.grad is not None
        if "encoders" in name:  # the term reaches the first layers, not the head alone
            assert (p.grad - (1 - weights.alpha) * q.grad).abs().max() > 1e-7, name


def test_labels_alone_ask_neither_a_teacher_nor_regions() -> None:
    method = react_kd(LABELS_ALONE)
    data = tensors()
    del data["regions"], data["acetate"]
    ours = copy.deepcopy(bare(method.networks["student"]))
    losses = method.update(data)
    assert set(losses) == {"focal"}
    expected = focal_loss(ours(data).logits, data["labels"], 2.0)
    assert losses["focal"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_answers_that_the_batch_brings_are_as_good_as_asking() -> None:
    asking, brought = react_kd(asked=teacher()), react_kd()
    for step in range(3):
        data = tensors(seed=step)
        expected = values(asking.update(data))
        assert values(brought.update(data | answers(data))) == pytest.approx(expected, rel=1e-4)
    assert set(brought.networks) == {"student"}


def test_only_what_a_term_asks_for_must_be_brought() -> None:
    data = tensors()
    brought = answers(data)
    of_map, of_logits = Weights(alpha=0.0), Weights(beta=0.0)
    react_kd(of_map).update(data | {"teacher_map": brought["teacher_map"]})
    react_kd(of_logits).update(data | {"teacher_logits": brought["teacher_logits"]})
    with pytest.raises(KeyError, match=r"found no \['teacher_map'\].*let the loader bring"):
        react_kd(of_map).update(data | {"teacher_logits": brought["teacher_logits"]})
    with pytest.raises(KeyError, match=r"found no \['teacher_logits', 'teacher_map'\]"):
        react_kd(Weights()).update(data)


def test_several_teachers_are_weighed_as_asked() -> None:
    data = tensors()
    both = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(9)) * 3
    found = {}
    for teachers in ("equal", "confidence"):
        w = Weights(beta=0.0, teachers=teachers)
        method = react_kd(w)
        logits = copy.deepcopy(bare(method.networks["student"]))(data).logits
        found[teachers] = method.update(data | {"teacher_logits": both})["distillation"].item()
    apart = torch.stack([hinton_kd(logits, both[:, t], 2.0) for t in range(2)])
    assert found["equal"] == pytest.approx(apart.mean().item(), rel=1e-5)
    trust = confidence_weights(both.transpose(0, 1), data["labels"])
    expected = weighed_kd(logits, both.transpose(0, 1), trust, 2.0).item()
    assert found["confidence"] == pytest.approx(expected, rel=1e-5)
    assert found["confidence"] != pytest.approx(found["equal"], rel=1e-3)


@pytest.mark.parametrize("brought", [False, True])
def test_the_shuffled_control_teaches_the_answers_to_other_patients(brought: bool) -> None:
    data = tensors()
    given = data | answers(data) if brought else data
    asked = None if brought else teacher()
    own = values(react_kd(asked=asked).update(given))
    shuffled = values(react_kd(asked=asked, shuffled=True).update(given))
    assert own["focal"] == shuffled["focal"]
    for name in TERMS - {"focal"}:
        assert shuffled[name] != pytest.approx(own[name], rel=1e-3), name
    # the whole answer of one other patient: image, map and regions together
    ours = student().train()(data)
    rolled = answers({k: v.roll(1, 0) for k, v in data.items()})
    soft = hinton_kd(ours.logits, rolled["teacher_logits"][:, 0], 2.0)
    assert shuffled["distillation"] == pytest.approx(soft.item(), rel=1e-4)
    mine, taught = (
        graph_of(fused, Regions(labels, REGIONS, SPACING))
        for fused, labels in (
            (ours.fused, data["regions"]),
            (rolled["teacher_map"], data["regions"].roll(1, 0)),
        )
    )
    edges = region_graph_distillation(mine, taught).edge
    assert shuffled["edges"] == pytest.approx(edges.item(), rel=1e-4)


def test_the_shuffled_control_is_never_taught_another_view_of_the_same_patient() -> None:
    data = tensors() | {"patients": torch.tensor([1, 1, 2, 1])}
    given = data | answers(data)
    found = values(react_kd(shuffled=True).update(given))
    ours = student().train()(data)
    soft = hinton_kd(ours.logits, given["teacher_logits"][[2, 2, 1, 2], 0], 2.0)
    assert found["distillation"] == pytest.approx(soft.item(), rel=1e-4)
    one = given | {"patients": torch.zeros(4, dtype=torch.long)}
    assert set(values(react_kd(shuffled=True).update(one))) == {"focal"}


class Watched(FusedClassifier):
    """Remembers what it was shown."""

    volumes: dict[str, Tensor]
    present: Tensor | None

    def forward(self, volumes: Any, present: Tensor | None = None) -> Answer:
        self.volumes, self.present = dict(volumes), present
        return super().forward(volumes, present)


def watched(network: FusedClassifier) -> Watched:
    network.__class__ = Watched
    assert isinstance(network, Watched)
    return network


def test_dropout_blinds_some_students_and_never_the_teacher() -> None:
    dropout = ModalityDropout((("ct", "pet"), ("ct",)), (0.5, 0.5))
    seeing = watched(teacher())
    method = react_kd(asked=seeing, dropout=dropout)
    learning = watched(bare(method.networks["student"]))  # type: ignore[arg-type]
    data = tensors(16)
    before = {name: x.clone() for name, x in data.items()}
    torch.manual_seed(0)
    method.update(data)
    assert seeing.present is None
    assert all(torch.equal(seeing.volumes[k], before[k]) for k in ("ct", "fdg", "acetate"))
    # and nothing was blanked in place
    assert all(torch.equal(x, before[k]) for k, x in data.items())
    assert learning.present is not None
    torch.manual_seed(0)
    drawn = dropout.draw(16, ("ct", "pet"), torch.device("cpu"))
    assert torch.equal(learning.present, drawn)
    assert drawn[:, 0].all() and 0 < int(drawn[:, 1].sum()) < 16
    assert torch.equal(learning.volumes["fdg"], before["fdg"])


@pytest.mark.parametrize("with_dropout", [False, True])
@pytest.mark.parametrize("lacking", ["ct", "pet", "each something else"])
def test_a_modality_that_is_missing_stops_no_step(lacking: str, with_dropout: bool) -> None:
    dropout = ModalityDropout((("ct", "pet"), ("ct",)), (0.5, 0.5)) if with_dropout else None
    data = tensors() | answers(tensors())
    del data["acetate"]  # the teacher has answered before
    held = {
        "ct": [[0, 1]] * 4, "pet": [[1, 0]] * 4, "each something else": [[1, 0], [0, 1]] * 2,
    }[lacking]  # fmt: skip
    data["held"] = torch.tensor(held).bool()
    if lacking in ("ct", "pet"):
        del data[{"ct": "ct", "pet": "fdg"}[lacking]]
    else:
        data["ct"][1], data["fdg"][0] = torch.nan, torch.nan
    method = react_kd(dropout=dropout)
    before = states(method)["student"]
    torch.manual_seed(0)
    losses = method.update(data)
    assert set(losses) == TERMS and all(torch.isfinite(v) for v in losses.values())
    after = states(method)["student"]
    assert all(torch.isfinite(v).all() for v in after.values())
    moved = {k.split(".")[1] for k, v in after.items() if not torch.equal(v, before[k])}
    seen = {"ct": {"pet"}, "pet": {"ct"}}.get(lacking, {"ct", "pet"})
    assert {"ct", "pet"} & moved == seen


def test_a_patient_with_nothing_at_all_is_refused() -> None:
    data = tensors() | {"held": torch.tensor([[1, 1], [0, 0], [1, 0], [1, 1]]).bool()}
    with pytest.raises(ValueError, match="a branch or more for every patient"):
        react_kd(asked=teacher()).update(data)


@pytest.mark.parametrize("attention", ["shared", "separate", "none"])
def test_the_student_leaves_alone_and_needs_the_ct_alone(attention: Attention) -> None:
    method = react_kd(asked=teacher(), attention=attention)
    method.update(tensors())
    deployed = copy.deepcopy(method.deployable())
    data = tensors(seed=5)
    with torch.no_grad():
        ct_only = torch.tensor([[1, 0]] * 4).bool()
        expected = bare(method.networks["student"])({"ct": data["ct"]}, ct_only).logits
    method.networks.clear()
    assert not any(m.training for m in deployed.modules())
    assert not any("pet" in name for name in deployed.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(deployed(data["ct"]), expected)
    assert sum(isinstance(m, SegResNetEncoder) for m in deployed.modules()) == 1


def loader(start: int) -> Iterator[Batch]:
    return iter(batches(tensors(12), 4, seed=3, start=start))


def test_resume_goes_on_bit_for_bit(cpu: Fabric, tmp_path: Path) -> None:
    def made() -> ReactKD:
        dropout = ModalityDropout((("ct", "pet"), ("ct",)), (0.5, 0.5))
        return ReactKD(
            student(), bedside=("ct",), learning_rate=1e-2, steps=8, weights=EVERYTHING,
            regions=REGIONS, spacing_mm=SPACING, teacher=teacher(), dropout=dropout,
        )  # fmt: skip

    whole, halves = made(), made()
    torch.manual_seed(0)
    history = fit(whole, loader, 8, cpu, log_every=2)
    torch.manual_seed(0)
    checkpoint = tmp_path / "state.pt"
    fit(halves, loader, 5, cpu, checkpoint=checkpoint, checkpoint_every=4, log_every=2)
    resumed = made()
    torch.manual_seed(999)
    again = fit(resumed, loader, 8, cpu, checkpoint=checkpoint, checkpoint_every=4, log_every=2)
    assert vars(again) == vars(history)
    one, other = states(whole), states(resumed)
    assert all(torch.equal(v, other[k][name]) for k in one for name, v in one[k].items())


def test_half_precision_is_near_full_precision() -> None:
    full = values(react_kd(asked=teacher()).update(tensors()))
    half = react_kd(asked=teacher(), precision="bf16-mixed")
    found = values(half.update(tensors()))
    assert found == pytest.approx(full, rel=0.05, abs=2e-3)
    for step in range(10):
        assert all(torch.isfinite(v) for v in half.update(tensors(seed=step)).values())


def test_boxes_kept_in_half_precision_are_widened() -> None:
    data = tensors()
    stored = {k: x.half() if x.ndim == 5 else x for k, x in data.items()}
    rounded = {k: x.float() if x.ndim == 5 else x for k, x in stored.items()}
    found, expected = (react_kd(asked=teacher()).update(x) for x in (stored, rounded))
    assert values(found) == values(expected)


def step(labels: Tensor, count: int, spacing_mm: Sequence[float] = SPACING) -> dict[str, float]:
    """One step with other regions; the student is still whole afterwards."""
    method = react_kd(asked=teacher(), regions=count, spacing_mm=spacing_mm)
    found = values(method.update(tensors() | {"regions": labels}))
    assert all(torch.isfinite(p).all() for p in bare(method.networks["student"]).parameters())
    return found


GRAPH = ("nodes", "edges", "gromov_wasserstein", "cross_image")


def test_no_region_teaches_by_logits_alone() -> None:
    found = step(torch.zeros(4, *SHAPE, dtype=torch.uint8), 3)
    assert [found[name] for name in GRAPH] == [0, 0, 0, 0]
    plain = values(react_kd(asked=teacher()).update(tensors()))
    for name in ("focal", "distillation", "attention"):
        assert found[name] == plain[name]


def test_one_region_has_a_node_and_no_edge() -> None:
    labels = torch.ones(4, *SHAPE, dtype=torch.uint8)
    found = step(labels, 1)
    assert found["nodes"] > 0.01 and found["edges"] == 0
    assert found["gromov_wasserstein"] == pytest.approx(0, abs=1e-7)
    # the region is everything: its node is the mean of the map
    data = tensors()
    ours = student()(data).fused.mean(dim=(2, 3, 4))
    theirs = teacher().eval()(data).fused.mean(dim=(2, 3, 4))
    cosine = F.cosine_similarity(ours, theirs).mean().item()
    assert found["nodes"] == pytest.approx(1 - cosine, rel=1e-3)


def test_a_patient_without_regions_among_others_counts_with_nothing() -> None:
    labels = tensors()["regions"].clone()
    whole = step(labels, REGIONS)
    labels[2] = 0
    found = step(labels, REGIONS)
    assert all(0 < found[name] < whole[name] for name in ("nodes", "edges"))


def test_two_hundred_regions() -> None:
    labels = (torch.arange(8 * 8 * 12).view(SHAPE) % 200 + 1).to(torch.uint8).expand(4, -1, -1, -1)
    found = step(labels, 200)
    assert all(0 < found[name] < 2 for name in GRAPH)


def test_a_mass_at_the_border() -> None:
    labels = torch.ones(4, *SHAPE, dtype=torch.uint8)
    labels[:, -1, -1, -1] = 2  # one voxel of the last cell
    labels[:, 0, 0, :] = 3  # an edge of the box
    found = step(labels, 3)
    assert all(found[name] > 0 for name in ("nodes", "edges", "cross_image"))
    # of that voxel the network knows what the last cell of its map says
    graph = graph_of(student()(tensors()).fused, Regions(labels, 3, SPACING))
    last = student()(tensors()).fused[..., -1, -1, -1]
    torch.testing.assert_close(graph.nodes[:, 1], last)


def test_the_size_of_a_voxel_changes_centres_and_no_loss() -> None:
    labels = tensors()["regions"]
    anisotropic, isotropic = (step(labels, REGIONS, mm) for mm in ((9.0, 0.5, 0.7), (1, 1, 1)))
    assert anisotropic == isotropic
    far, near = (Regions(labels, REGIONS, mm).centroids_mm for mm in ((9.0, 0.5, 0.7), (1, 1, 1)))
    torch.testing.assert_close(far, near * torch.tensor([9.0, 0.5, 0.7]))


def test_more_regions_than_announced_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 to count = 3, found 0 to 4"):
        step(tensors()["regions"], 3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha: expected 0 to 1"):
        react_kd(Weights(alpha=alpha))


def test_the_graph_is_attached_to_the_map() -> None:
    """The released code detaches it: its graph term cannot teach."""
    fused = torch.randn(4, 6, 4, 4, 6, requires_grad=True)
    graph = graph_of(fused, Regions(tensors()["regions"], REGIONS, SPACING))
    slopes = torch.autograd.grad(graph.nodes.sum() + graph.similarity.square().sum(), fused)
    assert isinstance(slopes[0], Tensor) and slopes[0].abs().max() > 0
    assert graph.present.all()
