"""The MSGFF teacher: one start for all rungs, taps, sizes, statistics per scale, controls."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.geometric_attention import GeometricLayer
from medkd_lib.models.hybrid import HybridTeacher
from medkd_lib.models.msgff import MsgffTeacher, ScaleNorms
from medkd_lib.models.msgff_sizes import (
    CONTROLS,
    LADDER,
    LESSON,
    PAPER_CONTROLS,
    PAPER_LADDER,
    MsgffShape,
)
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.vgg import NARROW, VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VitTrunk

ALTERNATIVES = {align: replace(LESSON, align=align) for align in ("stn", "deform")}
EVERY = {**LADDER, **CONTROLS, **ALTERNATIVES}


def teacher(shape: MsgffShape = LESSON, vit_size: int = 56) -> MsgffTeacher:
    torch.manual_seed(0)
    vit = VitTrunk(4, vit_size, NARROW_VIT)
    return MsgffTeacher(4, VggTrunk(4, NARROW), vit, shape)


def images(batch: int = 2, side: int = 112) -> Tensor:
    return torch.randn(batch, 4, side, side, generator=torch.Generator().manual_seed(2))


def like_a1(name: str) -> tuple[MsgffTeacher, MsgffTeacher]:
    """Return a teacher and an A1 that shares its weights by name, both in eval mode."""
    other = teacher(EVERY[name])
    a1 = teacher(LADDER["A1"])
    weights = other.state_dict()
    a1.load_state_dict({key: weights[key] for key in a1.state_dict()})
    return other.eval(), a1.eval()


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("A1", "top_from")])
def test_every_rung_and_control_starts_as_a1(name: str) -> None:
    other, a1 = like_a1(name)
    for mode in (False, True):
        with torch.no_grad():
            expected = a1.train(mode)(images())
            torch.testing.assert_close(other.train(mode)(images()), expected, atol=1e-6, rtol=0)
        assert expected.std() > 0.01


@pytest.mark.parametrize("name", ["A2", "A3", "A4"])
def test_each_stage_changes_the_answer_once_it_has_learnt(name: str) -> None:
    other, a1 = like_a1(name)
    extra = other.state_dict().keys() - a1.state_dict().keys()
    with torch.no_grad():
        for key, parameter in other.named_parameters():
            if key in extra:
                parameter.add_(0.1)
        assert (other(images()) - a1(images())).abs().max() > 1e-3


def test_what_each_rung_adds() -> None:
    counts = {name: parameter_count(teacher(shape)) for name, shape in LADDER.items()}
    assert counts == {"A1": 209_068, "A2": 211_374, "A3": 278_318, "A4": 278_614}
    # The proposal's steps: 2306 for the flow, 67 248 for two layers with geometry. Ours has no
    # bias where a softmax would cancel it (4 after each φ); its trunks are smaller.
    assert counts["A2"] - counts["A1"] == 2306
    assert counts["A4"] - counts["A2"] == 67_248 - 2 * 4


@pytest.mark.parametrize(
    ("name", "count"),
    [("A1", 106_494_852), ("A2", 106_504_070), ("A3", 107_558_278), ("A4", 107_558_710)],
)
def test_paper_sizes_are_pinned(name: str, count: int) -> None:
    with torch.device("meta"):
        network = MsgffTeacher(4, VggTrunk(4), VitTrunk(4, 224), PAPER_LADDER[name])
    assert parameter_count(network) == count


def test_the_paper_size_runs_in_shape() -> None:
    with torch.device("meta"):
        network = MsgffTeacher(3, VggTrunk(4), VitTrunk(4, 224), PAPER_CONTROLS["top_from"])
    network = network.to("meta")
    with tap(network, {"map": "vgg_map", "nodes": "nodes"}) as seen:
        assert network(torch.empty(2, 4, 240, 240, device="meta")).shape == (2, 3)
    assert seen["map"].shape == (2, 512, 14, 14)
    assert seen["nodes"].shape == (2, 441, 256)


def test_everything_distillable_is_a_tap() -> None:
    network = teacher()
    places = {
        "vgg_map": "vgg_map",
        "vit_tokens": "vit_tokens",
        "nodes": "nodes",
        "pooled": "pooled",
        **{f"flow{s}": f"flows.{s}" for s in range(3)},
        "attention_input": "layers.1.norm_attention",
    }
    with tap(network, places) as seen:
        logits = network(images())
    assert {name: tuple(value.shape) for name, value in seen.items()} == {
        "vgg_map": (2, 64, 7, 7),
        "vit_tokens": (2, 50, 64),
        "nodes": (2, 107, 64),
        "pooled": (2, 3, 64),
        "flow0": (2, 2, 3, 3),
        "flow1": (2, 2, 7, 7),
        "flow2": (2, 2, 7, 7),
        "attention_input": (2, 107, 64),
    }
    torch.testing.assert_close(network.head(seen["pooled"].flatten(1)), logits)
    layer = network.layers[1]
    assert isinstance(layer, GeometricLayer)
    weights = layer.attention(seen["attention_input"])
    clicked = network.grid_graph.node_at(2, 100.0, 60.0)
    assert torch.equal(weights[0, 0, clicked] > 0, network.grid_graph.mask[clicked])


def test_the_base_scale_is_the_hybrid_teachers() -> None:
    network = teacher().eval()
    hybrid = HybridTeacher(4, network.vgg, network.vit, network.image_size).eval()
    assert network.image_size == hybrid.image_size == 56
    places = {"map": "vgg_map", "tokens": "vit_tokens"}
    with torch.no_grad(), tap(network, places) as ours, tap(hybrid, places) as theirs:
        network(images()), hybrid(images())
    for name in places:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)
    assert isinstance(network.head, nn.Linear) and network.head.out_features == 4


def test_the_readout_starts_as_the_mean_of_each_scale() -> None:
    network = teacher().eval()
    with torch.no_grad(), tap(network, {"nodes": "nodes", "pooled": "pooled"}) as seen:
        network(images())
    scale_of = network.grid_graph.scale_of
    for scale in range(3):
        mean = seen["nodes"][:, scale_of == scale].mean(1)
        torch.testing.assert_close(seen["pooled"][:, scale], mean, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["A1", "A4", "stn", "deform"])
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    network = teacher(EVERY[name])
    adam = torch.optim.Adam(network.parameters(), 1e-3)
    labels = torch.tensor([0, 1, 2, 3])
    for _ in range(3):
        adam.zero_grad()
        F.cross_entropy(network(images(4)), labels).backward()
        adam.step()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", ["A1", "A4"])
def test_an_image_is_answered_by_itself(name: str) -> None:
    network = teacher(EVERY[name]).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            network(images(3))[:1], network(images(3)[:1]), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("shape", [(112, 112), (240, 240), (64, 80), (20, 20)])
def test_images_of_any_size(shape: tuple[int, int]) -> None:
    with torch.no_grad():
        assert teacher().eval()(torch.randn(1, 4, *shape)).shape == (1, 4)


def test_every_scale_keeps_its_own_batch_norm_statistics() -> None:
    """In eval mode the network answers as it did in training, which shared averages would not."""
    network = teacher(LADDER["A1"])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    batch = images(8) + F.interpolate(images(8, side=7), (112, 112), mode="bilinear")
    with torch.no_grad():
        trained = network(batch)
        own = (network.eval()(batch) - trained).abs().mean()
        for norms in network.norms.values():
            assert isinstance(norms, ScaleNorms)
            norms.norms.load_state_dict(ScaleNorms(network.vgg).norms.state_dict())
        shared = (network(batch) - trained).abs().mean()
    # What is left with their own: variances over n - 1, and few pixels at the smallest scale.
    assert own < 0.05 * trained.std()
    assert shared > 5 * own
    assert [*network.norms] == ["28", "112"]
    assert "norms.28.norms.1.running_mean" in network.state_dict()


def test_top_from_takes_the_finest_detail_away() -> None:
    """A checkerboard of single pixels exists in the largest scale alone."""
    rows, columns = torch.meshgrid(torch.arange(112), torch.arange(112), indexing="ij")
    fine = images() + 2.0 * ((rows + columns) % 2 * 2 - 1)
    full, reduced = teacher(), teacher(CONTROLS["top_from"])
    with torch.no_grad():
        assert (full(fine) - full(images())).abs().max() > 1e-3
        torch.testing.assert_close(reduced(fine), reduced(images()), atol=1e-6, rtol=0)
        # and the smaller scales still see the original
        assert (reduced(images() ** 2) - reduced(images())).abs().max() > 1e-2


def test_weights_save_and_load_into_a_new_teacher() -> None:
    network, again = teacher().eval(), teacher(replace(LESSON, seed=0)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        again.load_state_dict(network.state_dict())
        torch.testing.assert_close(again(images()), network(images()))
    # no tensor is saved twice, and nothing that follows from the configuration
    state = network.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    assert not [key for key in state if "keys" in key or "offsets" in key]


def test_runs_in_bfloat16() -> None:
    network = teacher()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images(4))
    F.cross_entropy(logits.float(), torch.tensor([0, 1, 2, 3])).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert logits.isfinite().all() and all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: teacher(replace(LESSON, sizes=(4, 56, 112))), "4 pixels give a map of 0 cells"),
        (lambda: teacher(replace(LESSON, grids=(4, 7, 14))), "fewer than the grid's 4"),
        (lambda: teacher(replace(LESSON, grids=(7, 14))), "one rising size per grid"),
        (lambda: teacher(replace(LESSON, sizes=(56, 28, 112))), "rising"),
        (lambda: teacher(vit_size=64), "ViT's image size 64 among them"),
        (lambda: teacher(replace(LESSON, top_from=112)), "top_from: .* below .* 112"),
        (lambda: teacher(replace(LESSON, dim=30)), "multiple of the 4 heads"),
        (lambda: teacher(replace(LESSON, align="tps")), "align: expected one of none, flow"),  # type: ignore[arg-type]
    ],
)
def test_errors_name_what_is_wrong(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
