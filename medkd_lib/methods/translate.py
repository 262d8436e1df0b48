"""What a translator between two unpaired modalities is to a method that uses it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.distill.contextual import contextual_loss
from medkd_lib.distill.gan import lsgan_discriminator
from medkd_lib.methods.base import Losses
from medkd_lib.methods.image_pool import ImagePool

# A loss on translated images that the generator is to mind beside its own.
OnTranslated = Callable[[Tensor], Tensor]
# Maps of images, to compare by the contextual loss.
Features = Callable[[Tensor], Sequence[Tensor]]


class Translator(ABC):
    """Both directions between the student's modality (source) and the teacher's (target).

    The method that owns a translator puts its networks among its own, sets all up, and hands the
    wrapped ones back with `bind`. Discriminators are called ``judge_target`` and ``judge_source``.

    Attributes:
        features: what the contextual loss compares, such as a `Vgg19Maps`; None leaves it to the
            owner (`CMEDL` gives the maps of its teacher's encoder). Used where the weight of the
            loss is not 0.
        positions: of a map that the contextual loss compares at most, drawn at random.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    schedules: dict[str, torch.optim.lr_scheduler.LRScheduler]
    pools: dict[str, ImagePool]
    draws: torch.Generator
    features: Features | None
    positions: int
    fabric: Fabric

    def bind(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        fabric: Fabric,
    ) -> None:
        """Take over what the owner's ``setup`` has wrapped."""
        self.networks = {name: networks[name] for name in self.networks}
        self.optimizers = {name: optimizers[name] for name in self.optimizers}
        self.fabric = fabric
        if isinstance(self.features, nn.Module):
            self.features.to(fabric.device)

    @abstractmethod
    def update(self, source: Tensor, target: Tensor, also: OnTranslated | None = None) -> Losses:
        """Run one step of generators, then of discriminators, and return the named losses.

        Args:
            source: ``(N, 1, H, W)`` on [-1, 1].
            target: likewise, of other patients.
            also: a weighted loss on the translated source images, for the generator alone.
        """

    @abstractmethod
    def carrier(self) -> nn.Module:
        """Return a network that translates source into target, sharing this one's weights."""

    @abstractmethod
    def returner(self) -> nn.Module:
        """Return a network that translates target into source, likewise."""

    @torch.no_grad()
    def translate(self, source: Tensor) -> Tensor:
        """Return source images in the target's modality, without gradient and without dropout."""
        carrier = self.carrier()
        was = carrier.training
        with self.fabric.autocast():
            translated: Tensor = carrier.eval()(source)
        carrier.train(was)
        return translated.float()

    def contextual(self, fake: Tensor, real: Tensor) -> Tensor:
        """Return the contextual loss, mean over maps, each fake beside some real image.

        Raises:
            ValueError: there are no features.
        """
        if self.features is None:
            raise ValueError(
                "contextual loss: expected `features`, found none; give maps of a network of yours "
                "(such as Vgg19Maps), or set the weight to 0"
            )
        with self.fabric.autocast():
            theirs = self.features(fake)
            # real images are constants
            with torch.no_grad():
                wanted = self.features(real)
        each = [
            contextual_loss(x, y, max_positions=self.positions, generator=self.draws)
            for x, y in zip(theirs, wanted, strict=True)
        ]
        return torch.stack(each).mean()

    def judge(self, name: str, real: Tensor, fake: Tensor) -> Tensor:
        """Train one discriminator on real images and on the pool's fakes; return its loss."""
        old = self.pools[name].exchange(fake.float())
        # One call for both: instance norm keeps images apart, and processes synchronise once.
        scores = self.networks[name](torch.cat([real, old]))[-1]
        loss = lsgan_discriminator(*scores.chunk(2))
        self.optimizers[name].zero_grad()
        self.fabric.backward(loss)
        self.optimizers[name].step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return what the owner's state does not hold: the pools, and the state of the draws."""
        pools = {name: pool.state_dict() for name, pool in self.pools.items()}
        return {"pools": pools, "draws": self.draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name])
        self.draws.set_state(state["draws"])


def gan_adam(
    network: nn.Module, learning_rate: float, steps: int
) -> tuple[torch.optim.Adam, torch.optim.lr_scheduler.LRScheduler]:
    """Return Adam with β = (0.5, 0.999), its rate constant for half of the steps, then down to 0.

    Source: Zhu et al. 2017, section 4 and appendix; the public code of CMEDL's group likewise.
    """
    adam = torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999))
    half = max(1, steps // 2)
    return adam, torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: min(1.0, max(0.0, (steps - step) / half))
    )
