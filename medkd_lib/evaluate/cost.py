"""What an answer costs: parameters, multiplications and time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of weights.
        macs: multiply-accumulate operations for one image.
        latency_ms: median time for one image on one CPU thread.
        latency_quartiles_ms: first and third quartile of that time.
    """

    parameters: int
    macs: int
    latency_ms: float
    latency_quartiles_ms: tuple[float, float]


def cost(network: nn.Module, example: Tensor, *, repeats: int = 30, warm_up: int = 3) -> Cost:
    """Count and time a network that answers one image at a time.

    The time is of this machine, now: compare networks within one run, and not across tables. MACs
    do not depend on the machine and do not predict the time either (a depthwise convolution has
    few MACs and waits for memory).

    Args:
        network: in eval mode, on the CPU.
        example: ``(N, …)`` images on the CPU; the first one is used.
        repeats: timed passes.
        warm_up: passes before, which pay for first-time preparations.

    Raises:
        ValueError: training mode, or not on the CPU (count on any device with `macs`).
    """
    devices = {x.device.type for x in (example, *network.parameters())}
    if devices != {"cpu"}:
        raise ValueError(
            f"cost: expected network and example on the CPU, found {sorted(devices)}; move both "
            "with .cpu(), or count without timing: macs(network, example)"
        )
    image = example[:1]
    counted = macs(network, image)
    times = np.empty(repeats)
    with _one_thread(), torch.inference_mode():
        for _ in range(warm_up):
            network(image)
        for i in range(repeats):
            start = time.perf_counter()
            network(image)
            times[i] = 1000 * (time.perf_counter() - start)
    first, median, third = (float(q) for q in np.percentile(times, [25, 50, 75]))
    parameters = sum(p.numel() for p in network.parameters())
    return Cost(parameters, counted, median, (first, third))


def macs(network: nn.Module, example: Tensor) -> int:
    r"""Return the multiply-accumulate operations for one image, attention included.

    Counted are convolutions and matrix products, as papers do: a convolution has

    $$H_{\mathrm{out}} W_{\mathrm{out}}\, C_{\mathrm{out}}\,
    \frac{C_{\mathrm{in}}}{\mathrm{groups}}\, k^2$$

    Not counted are biases, norms, activations, pooling, softmax and sampling. PyTorch's counter
    knows no formula for the fused attention kernels of a CPU and for the fast path of
    ``nn.MultiheadAttention`` in eval mode, so both are switched off while it counts: the same
    mathematics, as matrix products it sees. A mean over the batch: what a network computes once
    for all images is shared.

    Args:
        network: in eval mode, on any device, ``meta`` included (no memory, no time).
        example: ``(N, …)`` images on the same device.

    Raises:
        ValueError: training mode, in which batch norm would change.
    """
    if any(module.training for module in network.modules()):
        raise ValueError("macs: expected a network in eval mode, found training mode; call eval()")
    with _plain_attention(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example)
    # The counter counts a multiplication and its addition as two.
    return round(counter.get_total_flops() / 2 / len(example))


@contextmanager
def _plain_attention() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
