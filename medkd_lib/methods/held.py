"""Networks that pass a gradient on and take none."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

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
