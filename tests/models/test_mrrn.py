"""MRRN: both counts, the order of the visits, the tensor that the published decoder drops."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.models.mrrn import MRRN, Variant, streams_at
from medkd_lib.models.mrrn_blocks import FRRU, ResidualUnit
from medkd_lib.models.segmentation import upsample
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap


@pytest.mark.parametrize(("variant", "count"), [("published", 38_916_418), ("clean", 38_780_802)])
def test_both_layouts_are_pinned(variant: Variant, count: int) -> None:
    with torch.device("meta"):
        network = MRRN(1, 2, variant=variant)
    assert parameter_count(network) == count
    assert network.stride == 16
    assert network.hint_channels == (64, 32)


def test_visits() -> None:
    assert [streams_at(level) for level in (1, 2, 3, 4)] == [
        [1, 1, 1],
        [1, 2, 1],
        [1, 3, 2, 1],
        [1, 4, 3, 2, 1],
    ]
    with torch.device("meta"):
        network = MRRN(1, 2)
    ways = (network.encoder, network.decoder)
    assert [sum(isinstance(m, FRRU) for m in way.modules()) for way in ways] == [15, 10]


def test_two_published_units_write_what_nobody_reads() -> None:
    torch.manual_seed(0)
    network = MRRN(1, 2, width=2, levels=4, variant="published").eval()
    network(torch.randn(1, 1, 32, 32)).square().mean().backward()
    silent = {path for path, weight in network.named_parameters() if weight.grad is None}
    # level 4 to r_4 on the way down, level 3 to r_3 on the way up
    units = ("encoder.3.1.adjust", "decoder.0.1.adjust")
    assert silent == {f"{unit}.{kind}" for unit in units for kind in ("weight", "bias")}


@pytest.mark.parametrize("variant", ["clean", "published"])
def test_where_level_1_starts_on_the_way_up(variant: Variant) -> None:
    torch.manual_seed(0)
    network = MRRN(1, 2, width=2, levels=3, variant=variant).eval()
    started: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        started.append(inputs[0])

    network.get_submodule("decoder.1.0").register_forward_pre_hook(keep)
    # Of level 2 on the way up: the unit that writes r_2 last, and the last unit.
    with tap(network, {"to_r2": "decoder.0.1", "last": "decoder.0.2"}) as seen:
        network(torch.randn(1, 1, 16, 24))
    pooled, r_2 = seen["last"][0], seen["to_r2"][1]
    assert (started[0] is r_2) == (variant == "published")
    assert (started[0].shape[1] == pooled.shape[1]) == (variant == "clean")
    if variant == "clean":
        torch.testing.assert_close(started[0], upsample(pooled))


def test_fusion_and_head_read_the_hints() -> None:
    torch.manual_seed(0)
    network = MRRN(1, 2, width=2, levels=2).eval()
    with tap(network, {"half": "hint_half", "full": "hint_full", "fuse": "fuse"}) as seen:
        logits = network(torch.randn(1, 1, 8, 12))
    torch.testing.assert_close(network.head(seen["full"]), logits)
    torch.testing.assert_close(network.tail(seen["fuse"]), seen["full"])
    assert seen["half"].shape == (1, 4, 4, 6)


def test_residual_unit_adds_what_is_not_negative() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 5)
    out = ResidualUnit(3, "batch")(x)
    assert (out >= x).all()
    assert (out > x).any()


def unit(dropout: float = 0.0, *, writes: bool = True) -> FRRU:
    torch.manual_seed(0)
    return FRRU(3, 2, 4, 2, "instance", dropout, writes=writes)


def test_frru_is_its_equation() -> None:
    frru = unit()
    pooled, stream = torch.randn(1, 3, 4, 6), torch.randn(1, 2, 8, 12)
    new_pooled, new_stream = frru(pooled, stream)
    # the maximum over 2 x 2, by reshaping
    seen = stream.view(1, 2, 4, 2, 6, 2).amax(dim=(3, 5))
    torch.testing.assert_close(new_pooled, frru.convolutions(torch.cat([seen, pooled], dim=1)))
    assert frru.adjust is not None
    torch.testing.assert_close(new_stream - stream, upsample(frru.adjust(new_pooled)))


def test_frru_drops_channels_of_the_stream_and_never_of_the_pooled_stream() -> None:
    frru = unit(dropout=1.0)
    pooled, stream = torch.randn(1, 3, 4, 6), torch.randn(1, 2, 8, 12)
    blind, _ = frru(pooled, stream)
    torch.testing.assert_close(blind, frru(pooled, torch.zeros_like(stream))[0])
    assert not torch.allclose(blind, frru.eval()(pooled, stream)[0])


def test_frru_that_does_not_write_leaves_the_stream() -> None:
    stream = torch.randn(1, 2, 8, 12)
    assert unit(writes=False)(torch.randn(1, 3, 4, 6), stream)[1] is stream


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"variant: expected one of .*, found 'dirty'"):
        MRRN(1, 2, variant="dirty")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="levels: expected two or more, found 1"):
        MRRN(1, 2, levels=1)
