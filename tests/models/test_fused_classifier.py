"""A classifier of several branches: the mean of those present, whose weights, what stays behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medkd_lib.models.cbam3d import Attention
from medkd_lib.models.fused_classifier import ROI, AtBedside, Branch, FusedClassifier
from medkd_lib.models.segresnet_encoder import SegResNetEncoder

HERE = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1]]).bool()
NAMES = ("ct", "fdg", "acetate")


def network(attention: Attention = "shared", dropout: float = 0.0) -> FusedClassifier:
    torch.manual_seed(0)
    reads = {"ct": ("ct",), "fdg": ("ct", "fdg"), "acetate": ("acetate",)}
    branches = {
        name: Branch(mine, SegResNetEncoder(len(mine), 4, (1, 1), groups=2))
        for name, mine in reads.items()
    }
    return FusedClassifier(branches, 3, 6, attention=attention, kernel=3, dropout=dropout)


def volumes(seed: int = 0) -> dict[str, Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return {name: torch.randn(4, 1, 4, 6, 8, generator=numbers) for name in NAMES}


@pytest.mark.parametrize("attention", ["shared", "separate", "none"])
def test_the_mean_of_the_branches_that_each_patient_has(attention: Attention) -> None:
    net, seen = network(attention), volumes()
    logits, fused = net(seen, HERE)
    for b, here in enumerate(HERE):
        alone = {name: x[b : b + 1] for name, x in seen.items()}
        maps = [net.branch_map(n, alone) for n, h in zip(NAMES, here, strict=True) if h]
        expected = sum(maps[1:], maps[0]) / len(maps)
        torch.testing.assert_close(fused[b : b + 1], expected)
        torch.testing.assert_close(logits[b : b + 1], net.head(expected.mean(dim=(2, 3, 4))))
    assert fused.shape == (4, 6, 2, 3, 4) and logits.shape == (4, 3)


def test_everybody_has_everything_unless_it_is_said() -> None:
    net, seen = network(), volumes()
    for all_of_it, said in zip(net(seen), net(seen, torch.ones(4, 3).bool()), strict=True):
        torch.testing.assert_close(all_of_it, said)


def test_a_branch_is_narrow_then_attention() -> None:
    net, seen = network("separate"), volumes()
    both = torch.cat([seen["ct"], seen["fdg"]], dim=1)  # in the order of `reads`
    expected = net.attention["fdg"](net.narrow["fdg"](net.encoders["fdg"](both)))
    torch.testing.assert_close(net.branch_map("fdg", seen), expected)
    plain = network("none")
    torch.testing.assert_close(
        plain.branch_map("fdg", seen), plain.narrow["fdg"](plain.encoders["fdg"](both))
    )


def test_what_a_patient_lacks_is_not_looked_at() -> None:
    net, seen = network(), volumes()
    blind = {name: x.clone() for name, x in seen.items()}
    blind["acetate"][1] = torch.nan
    blind["fdg"][[1, 3]] = torch.nan
    for found, expected in zip(net(blind, HERE), net(seen, HERE), strict=True):
        assert torch.equal(found, expected)


def test_what_nobody_has_may_be_missing_and_its_branch_is_not_trained() -> None:
    net = network("separate")
    ct_only = torch.tensor([[1, 0, 0]] * 4).bool()
    net({"ct": volumes()["ct"]}, ct_only).logits.square().sum().backward()
    heard = {
        n.split(".")[1] for n, p in net.named_parameters() if p.grad is not None and ".ct." in n
    }
    deaf = [p for n, p in net.named_parameters() if ".fdg." in n or ".acetate." in n]
    assert heard == {"ct"} and deaf and all(p.grad is None for p in deaf)


def test_shared_attention_is_one_module_and_separate_is_one_per_branch(tmp_path: Path) -> None:
    shared, separate, none = (network(a) for a in get_args(Attention))
    assert len({id(shared.attention_to(name)) for name in NAMES}) == 1
    assert len({id(separate.attention_to(name)) for name in NAMES}) == 3
    assert [none.attention_to(name) for name in NAMES] == [None] * 3
    keys = [k for k in shared.state_dict() if k.startswith("attention.")]
    assert {k.split(".")[1] for k in keys} == {"all"} and len(keys) == 3
    # safetensors refuses two names of one tensor
    save_file(shared.state_dict(), tmp_path / "shared.safetensors")
    again = network()
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    again.load_state_dict(load_file(tmp_path / "shared.safetensors"))
    assert torch.equal(again(volumes()).logits, shared(volumes()).logits)
    kept = {k.split(".")[1] for k in separate.state_dict() if k.startswith("attention.")}
    assert kept == set(NAMES)


@pytest.mark.parametrize(("attention", "moved"), [("shared", 3), ("separate", 1)])
def test_shared_attention_changes_every_branch(attention: Attention, moved: int) -> None:
    net, seen = network(attention), volumes()
    before = [net.branch_map(name, seen) for name in NAMES]
    module = net.attention_to("ct")
    assert module is not None
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3)
    after = [net.branch_map(name, seen) for name in NAMES]
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) == moved


@pytest.mark.parametrize("attention", ["shared", "separate", "none"])
def test_a_part_shares_the_weights_and_answers_as_the_whole(attention: Attention) -> None:
    net, seen = network(attention).eval(), volumes()
    part = net.only(("ct", "acetate"))
    assert part.names == ("ct", "acetate") and not part.training and type(part) is type(net)
    present = torch.tensor([[1, 0, 1]] * 4).bool()
    few = {name: seen[name] for name in ("ct", "acetate")}
    for found, expected in zip(part(few), net(seen, present), strict=True):
        torch.testing.assert_close(found, expected)
    whole = {id(p) for p in net.parameters()}
    assert all(id(p) in whole for p in part.parameters())
    assert not any("fdg" in name for name in part.state_dict())
    assert any("fdg" in name for name in net.state_dict())  # the whole is left as it was
    with torch.no_grad():
        net.head.bias.add_(1.0)
    torch.testing.assert_close(part(few).logits, net(seen, present).logits)


def test_dropout_is_of_pooled_features_alone() -> None:
    net, seen = network(dropout=0.5).train(), volumes()
    torch.manual_seed(0)
    first, second = net(seen), net(seen)
    assert torch.equal(first.fused, second.fused)
    assert not torch.equal(first.logits, second.logits)
    assert torch.equal(net.eval()(seen).logits, net(seen).logits)


def test_at_the_bedside_one_tensor_goes_in() -> None:
    net, seen = network().eval(), volumes()
    bedside = AtBedside(net)
    assert bedside.reads == NAMES  # the CT once, though two branches read it
    channels = torch.cat([seen[name] for name in NAMES], dim=1)
    torch.testing.assert_close(bedside(channels), net(seen).logits)
    alone = AtBedside(net.only(["ct"]))
    torch.testing.assert_close(alone(seen["ct"]), net.only(["ct"])(seen).logits)
    with pytest.raises(ValueError, match=r"expected \(B, 1, D, H, W\) .*'ct'"):
        alone(channels)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, v: FusedClassifier({}, 3), ValueError, "found none"),
        (lambda n, v: n({"ct": v["ct"]}), KeyError, r"'fdg': expected .* found no \['fdg'\]"),
        (lambda n, v: n({"ct": v["ct"]}, HERE), KeyError, "leave the branch out with `only`"),
        (lambda n, v: n(v, HERE[:, :2]), ValueError, r"expected \(B, 3\)"),
        (lambda n, v: n(v, HERE & torch.tensor([[1], [0], [1], [1]]).bool()), ValueError, "every"),
        (lambda n, v: n.only(["mr"]), KeyError, "some of the branches"),
        (lambda n, v: n.only([]), KeyError, "some of the branches"),
    ],
)
def test_errors_name_what_is_wrong(
    call: Callable[[FusedClassifier, dict[str, Tensor]], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(network(), volumes())


def test_pooling_over_a_region_hears_of_nothing_else() -> None:
    torch.manual_seed(0)
    branch = Branch(("ct",), SegResNetEncoder(1, 4, (1,), groups=4))
    net = FusedClassifier({"ct": branch}, 3, 4, attention="none", pool="roi").eval()
    assert net.needs == ("ct", ROI) == AtBedside(net).reads
    seen = {"ct": torch.randn(2, 1, 4, 6, 6), ROI: torch.zeros(2, 1, 4, 6, 6)}
    seen[ROI][0, :, 1:3, 2:4, 2:4] = 1
    logits, fused = net(seen)
    inside = seen[ROI][0, 0].bool()
    assert torch.allclose(logits[0], net.head(fused[0][:, inside].mean(dim=1)), atol=1e-5)
    # who has no such voxel is pooled over the box
    assert torch.allclose(logits[1], net.head(fused[1].mean(dim=(1, 2, 3))), atol=1e-5)
    with pytest.raises(KeyError, match="roi"):
        net({"ct": seen["ct"]})
    assert net.only(["ct"]).needs == net.needs


def test_a_region_is_brought_to_the_map_by_area() -> None:
    torch.manual_seed(0)
    branch = Branch(("ct",), SegResNetEncoder(1, 4, (1,), stem_stride=2, groups=4))
    net = FusedClassifier({"ct": branch}, 3, 4, attention="none", pool="roi").eval()
    roi = torch.zeros(1, 1, 4, 4, 4)
    roi[..., 0, 0, 0], roi[..., 2:, 2:, 2:] = 1, 1  # an eighth of one cell, and all of another
    fused = net.fused_map({"ct": torch.randn(1, 1, 4, 4, 4)})
    pooled = net.pooled(fused, {ROI: roi})
    expected = (fused[0, :, 0, 0, 0] / 8 + fused[0, :, 1, 1, 1]) / (1 + 1 / 8)
    assert torch.allclose(pooled[0], expected, atol=1e-6)
