r"""The second translator: variational autoencoders with a shared latent, and two discriminators.

For each modality $a$ with the other one $b$, see `medkd_lib.distill.vae`:

$$\mathcal L_a = \lambda_{cyc}\,[\mathcal L_{rec}(\hat x_{a\to a}, x_a)
+ \mathcal L_{cyc}(\hat x_{a\to b\to a}, x_a)] + \lambda_{KL}\,[\mathrm{KL}(q_a)
+ \mathrm{KL}(q_{ab})] + \lambda_{adv}\,\mathcal L_G(\hat x_{a\to b})$$

and, for the translated source, $\lambda_{CX}\,\mathcal L_{CX}$.
"""

from typing import cast

import torch
from torch import Tensor, nn

from medkd_lib.distill.gan import cycle_loss, lsgan_generator
from medkd_lib.distill.vae import kl_to_standard_normal, reconstruction_loss
from medkd_lib.methods.base import Losses, bare
from medkd_lib.methods.cmedl_parts import Weights
from medkd_lib.methods.held import held
from medkd_lib.methods.image_pool import ImagePool
from medkd_lib.methods.translate import Features, OnTranslated, Translator, gan_adam
from medkd_lib.models.shared_latent import SharedLatentTranslator

SOURCE, TARGET = "source", "target"


class LatentTranslator(Translator):
    r"""One network for both directions, two discriminators.

    Args:
        network: a `SharedLatentTranslator` of the modalities ``source`` and ``target``.
        judges: discriminators of target and of source.
        learning_rate: of all three.
        steps: planned updates.
        weights: see `Weights`; ``cycle`` weighs the reconstruction, too, which is what
            ``identity`` asks of a CycleGAN: that weight has no part here.
        kl: $\lambda_{KL}$.
        features: see `Translator`.
        positions: see `Translator`.
        seed: of pools and positions.

    Source: after UNIT (Liu et al. 2017); which autoencoder CMEDL used is unknown to us.
    """

    def __init__(
        self,
        network: SharedLatentTranslator,
        judges: tuple[nn.Module, nn.Module],
        *,
        learning_rate: float,
        steps: int,
        weights: Weights,
        kl: float = 0.02,
        features: Features | None = None,
        positions: int = 256,
        seed: int = 0,
    ) -> None:
        self.networks = {"shared": network, "judge_target": judges[0], "judge_source": judges[1]}
        self.optimizers, self.schedules = {}, {}
        for name, part in self.networks.items():
            adam, schedule = gan_adam(part, learning_rate, steps)
            self.optimizers[name], self.schedules[name] = adam, schedule
        self.pools = {
            "judge_target": ImagePool(seed=2 * seed),
            "judge_source": ImagePool(seed=2 * seed + 1),
        }
        self.weights, self.kl = weights, kl
        self.features, self.positions = features, positions
        self.draws = torch.Generator().manual_seed(seed)

    def update(self, source: Tensor, target: Tensor, also: OnTranslated | None = None) -> Losses:
        """Run one step: the shared network, then both discriminators."""
        w, shared = self.weights, self.networks["shared"]
        real = {SOURCE: source, TARGET: target}
        fakes: dict[str, Tensor] = {}
        losses: dict[str, Tensor] = {}
        for a, b in ((SOURCE, TARGET), (TARGET, SOURCE)):
            there = shared(real[a], a, (a, b))
            fakes[b] = there.images[b]
            back = shared(fakes[b], b, (a,))
            with held(self.networks[f"judge_{b}"]):
                scores = self.networks[f"judge_{b}"](fakes[b])[-1]
            terms = {
                "reconstruction": reconstruction_loss(there.images[a], real[a]),
                "cycle": cycle_loss(back.images[a], real[a]),
                "kl": kl_to_standard_normal(*there.posterior)
                + kl_to_standard_normal(*back.posterior),
                "adversarial": lsgan_generator(scores),
            }
            for name, value in terms.items():
                losses[name] = losses.get(name, torch.zeros_like(value)) + value
        total = (
            w.cycle * (losses["reconstruction"] + losses["cycle"])
            + self.kl * losses["kl"]
            + w.adversarial * losses["adversarial"]
        )
        if w.contextual:
            losses["contextual"] = self.contextual(fakes[TARGET], target)
            total = total + w.contextual * losses["contextual"]
        if also is not None:
            losses["also"] = also(fakes[TARGET])
            total = total + losses["also"]
        self.optimizers["shared"].zero_grad()
        self.fabric.backward(total)
        self.optimizers["shared"].step()
        judged = {f"judge_{m}": self.judge(f"judge_{m}", real[m], fakes[m]) for m in real}
        return {name: value.detach() for name, value in losses.items()} | judged

    def carrier(self) -> nn.Module:
        """Return the shared network, bound to the direction source → target."""
        return self._bound(SOURCE, TARGET)

    def returner(self) -> nn.Module:
        """Return the shared network, bound to the direction target → source."""
        return self._bound(TARGET, SOURCE)

    def _bound(self, a: str, b: str) -> nn.Module:
        return Direction(cast(SharedLatentTranslator, bare(self.networks["shared"])), a, b)


class Direction(nn.Module):
    """A shared-latent translator that goes one way, through the mean code."""

    def __init__(self, shared: SharedLatentTranslator, a: str, b: str) -> None:
        super().__init__()
        self.shared, self.a, self.b = shared, a, b

    def forward(self, images: Tensor) -> Tensor:
        """Return images of modality a in modality b."""
        return self.shared.translate(images, self.a, self.b)
