"""Running standardisation: the training set's own moments, whatever the batches."""

import pytest
import torch
from torch import Tensor

from medkd_lib.models.standardise import RunningStandardise

SCALES = torch.tensor([0.01, 1.0, 300.0])


def maps(number: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    drift = 2.0 * seed  # so that the batches' means differ
    x = torch.randn(number, 3, 4, 5, generator=draw, dtype=torch.float64) + drift
    return x * SCALES.view(1, 3, 1, 1)


BATCHES = [maps(n, seed) for seed, n in enumerate((4, 1, 7, 2))]


def seen(batches: list[Tensor]) -> RunningStandardise:
    module = RunningStandardise(3).double()
    for batch in batches:
        module(batch)
    return module


def test_the_moments_are_those_of_all_batches_together() -> None:
    together = torch.cat(BATCHES).movedim(1, -1).flatten(0, -2)
    module = seen(BATCHES)
    torch.testing.assert_close(module.mean, together.mean(0))
    torch.testing.assert_close(module.variance, together.var(0, correction=0))
    assert int(module.count) == 14 * 20
    torch.testing.assert_close(seen(BATCHES[::-1]).variance, module.variance)


def test_channels_come_out_alike() -> None:
    out = seen(BATCHES).eval()(torch.cat(BATCHES)).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(out.mean(0), torch.zeros(3).double(), atol=1e-9, rtol=0)
    # ε = 1e-5 beside variances of 5e-4 (the first channel) and more
    assert out.std(0, correction=0).tolist() == pytest.approx([1, 1, 1], rel=0.02)


def test_a_batch_is_not_standardised_by_itself() -> None:
    module = seen(BATCHES)
    moved = module.eval()(BATCHES[0] + 5 * SCALES.view(1, 3, 1, 1))
    still = module(BATCHES[0])
    shift = (moved - still).mean((0, 2, 3))
    expected = 5 * SCALES.double() / (module.variance + 1e-5).sqrt()
    torch.testing.assert_close(shift, expected)
    torch.testing.assert_close(module(BATCHES[0][:1]), still[:1])


def test_eval_mode_adds_nothing_and_needs_something() -> None:
    module = seen(BATCHES[:2]).eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module(BATCHES[2])
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    with pytest.raises(RuntimeError, match="nothing was seen yet"):
        RunningStandardise(3).eval()(torch.zeros(1, 3, 2, 2))


def test_a_checkpoint_goes_on_where_it_stopped() -> None:
    resumed = RunningStandardise(3).double()
    resumed.load_state_dict(seen(BATCHES[:2]).state_dict())
    for batch in BATCHES[2:]:
        resumed(batch)
    assert torch.equal(resumed.variance, seen(BATCHES).variance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_measured_in_float32(dtype: torch.dtype) -> None:
    x = torch.cat(BATCHES).to(dtype)
    module = RunningStandardise(3)
    out = module(x)
    assert out.dtype == torch.float32 and out.isfinite().all()
    wide = x.double().movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(
        module.variance, wide.var(0, correction=0).float(), rtol=1e-4, atol=0
    )


def test_vectors_and_dead_channels_and_gradients() -> None:
    module = RunningStandardise(2)
    x = torch.tensor([[3.0, 1.0], [3.0, 3.0]], requires_grad=True)
    out = module(x)
    torch.testing.assert_close(out, torch.tensor([[0.0, -1.0], [0.0, 1.0]]), atol=1e-5, rtol=0)
    # the statistics are constants: the slope is 1 / sqrt(σ² + ε), not batch norm's
    (slope,) = torch.autograd.grad(out[0, 1], x)
    assert slope.tolist() == [[0.0, pytest.approx(1.0, abs=1e-4)], [0.0, 0.0]]
    assert not module.mean.requires_grad
    with pytest.raises(ValueError, match=r"expected \(N, 2, …\), found \(4, 3\)"):
        module(torch.zeros(4, 3))
