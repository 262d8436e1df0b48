"""Tiny images in classes, and networks whose norms have seen something, for tests."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def bright_half(seed: int, number: int = 16, side: int = 32) -> tuple[Tensor, Tensor]:
    """Noise with a bright spot in the left half (class 0) or in the right one (class 1)."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(number, 1, side, side, generator=draw)
    labels = torch.arange(number) % 2
    for n, label in enumerate(labels.tolist()):
        row = int(torch.randint(2, side - 10, (1,), generator=draw))
        column = 4 + label * side // 2
        images[n, :, row : row + 8, column : column + 8] += 2
    return images, labels


def seen_maps(network: Network, channels: int = 1) -> Network:
    """Return the network in eval mode, its batch norms knowing the maps of some noise.

    Untrained ones let next to nothing through.
    """
    draw = torch.Generator().manual_seed(0)
    noise = [torch.randn(8, channels, 32, 32, generator=draw) for _ in range(4)]
    return knowing(network, noise)


def knowing(network: Network, images: list[Tensor]) -> Network:
    """Return the network in eval mode, with the plain mean statistics of some batches."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None
    network.train()
    first = next(network.parameters())
    with torch.no_grad():
        for batch in images:
            network(batch.to(first))
    return network.eval()


def learnt(network: nn.Module, steps: int = 20) -> float:
    """Return the accuracy on 64 unseen images of `bright_half` after some updates."""
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(steps):
        x, labels = bright_half(step)
        adam.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        adam.step()
    # After so few steps running means still remember the first ones.
    knowing(network, [bright_half(step)[0] for step in range(steps, steps + 4)])
    x, labels = bright_half(1000, 64)
    with torch.no_grad():
        return float((network(x).argmax(1) == labels).float().mean())
