"""Networks that pass a gradient on and take none, or look without counting what they saw."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medkd_lib.methods.base import bare


@contextmanager
def held(*networks: nn.Module) -> Iterator[None]:
    """Let gradients pass through networks and into none of their weights, inside the block."""
    weights = [p for network in networks for p in bare(network).parameters() if p.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@contextmanager
def uncounted(network: nn.Module) -> Iterator[None]:
    """Keep what is seen inside the block out of a network's running statistics.

    Batch norms go on normalising a batch by its own mean and variance, and do not remember it.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
