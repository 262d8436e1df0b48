"""What every method is: networks, one readable ``update(batch)``, and a student that stands alone.

The teacher guard lives here: a frozen teacher cannot be trained, its batch-norm statistics cannot
drift, and its outputs carry no gradient, whatever ``train()`` or an optimizer is called on.
"""

from abc import ABC, abstractmethod
from typing import Any, Self, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.data.batches import Batch

Losses = dict[str, Tensor]


class FrozenTeacher(nn.Module):
    """A teacher that stays in eval mode, without gradient, even inside a training method.

    Args:
        network: the trained teacher; its parameters are frozen in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Ignore ``mode``: batch norm must use the statistics of the teacher's own training."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the network's output without gradient."""
        return cast(Tensor, self.network(*inputs))


class Method(ABC):
    """One way to train: named networks and optimizers, and one step in plain sight.

    Subclasses fill ``networks``, ``optimizers`` and ``schedules`` and write `update`.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    schedules: dict[str, torch.optim.lr_scheduler.LRScheduler]
    fabric: Fabric

    def setup(self, fabric: Fabric) -> None:
        """Move networks and optimizers to the fabric's device and precision."""
        self.fabric = fabric
        owner = {id(p): name for name, net in self.networks.items() for p in net.parameters()}
        for name, network in list(self.networks.items()):
            mine = [
                k
                for k, o in self.optimizers.items()
                if owner[id(o.param_groups[0]["params"][0])] == name
            ]
            if mine:
                ready: Any = fabric.setup(network, *(self.optimizers[k] for k in mine))
                self.networks[name] = ready[0]
                self.optimizers.update(zip(mine, ready[1:], strict=True))
            else:
                # Frozen networks need no gradient synchronisation, hence no wrapper; `update`
                # calls them under ``fabric.autocast()``.
                network.to(fabric.device)
        for network in self.networks.values():
            network.train()

    @abstractmethod
    def update(self, batch: Batch) -> Losses:
        """Run one step (forward, backward, optimizers) and return the detached named losses."""

    @abstractmethod
    def deployable(self) -> nn.Module:
        """Return the network that leaves the lab, alone, in eval mode."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training needs to go on: networks, optimizers, random state."""
        return {
            "networks": {k: bare(n).state_dict() for k, n in self.networks.items()},
            "optimizers": {k: o.state_dict() for k, o in self.optimizers.items()},
            "schedules": {k: s.state_dict() for k, s in self.schedules.items()},
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, network in self.networks.items():
            bare(network).load_state_dict(state["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        torch.set_rng_state(state["rng"])
        if len(state["rng_cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(state["rng_cuda"])


def adam_with_cosine(
    network: nn.Module, learning_rate: float, steps: int
) -> tuple[torch.optim.Adam, torch.optim.lr_scheduler.LRScheduler]:
    """Return Adam and a half-cosine from ``learning_rate`` to 0 over ``steps`` updates.

    With a constant rate the last weights of a small batch-normed network jump from step to step;
    the decay makes one final measurement mean something without choosing among checkpoints.
    """
    adam = torch.optim.Adam(network.parameters(), lr=learning_rate)
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)


def bare(network: nn.Module) -> nn.Module:
    """Return the module without the fabric's wrapper."""
    return cast(nn.Module, getattr(network, "module", network))
