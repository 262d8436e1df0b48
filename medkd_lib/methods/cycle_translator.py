r"""CycleGAN between two unpaired modalities.

$$\mathcal L_G = \lambda_{adv}\,[\mathcal L_G^{T}+\mathcal L_G^{S}]
+ \lambda_{cyc}\,[\mathcal L_{cyc}^{S}+\mathcal L_{cyc}^{T}]
+ \lambda_{idt}\,[\mathcal L_{idt}^{T}+\mathcal L_{idt}^{S}] + \lambda_{CX}\,\mathcal L_{CX}$$
"""

import torch
from torch import Tensor, nn

from medkd_lib.distill.gan import cycle_loss, identity_loss, lsgan_generator
from medkd_lib.methods.base import Losses, bare
from medkd_lib.methods.cmedl_parts import Weights
from medkd_lib.methods.held import held
from medkd_lib.methods.image_pool import ImagePool
from medkd_lib.methods.translate import Features, OnTranslated, Translator, gan_adam


class CycleTranslator(Translator):
    """Two generators, two discriminators.

    Args:
        generators: source → target and target → source, such as two `ResnetGenerator`.
        judges: discriminators of target and of source, such as two `patch_discriminator`.
        learning_rate: of all four.
        steps: planned updates.
        weights: see `Weights`.
        features: see `Translator`.
        positions: see `Translator`.
        seed: of pools and positions.

    Source: Zhu et al. 2017 (ICCV, arXiv 1703.10593). The abstract of CMEDL's cone-beam paper
    names a CycleGAN with contextual losses; weights and layers could not be read.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        judges: tuple[nn.Module, nn.Module],
        *,
        learning_rate: float,
        steps: int,
        weights: Weights,
        features: Features | None = None,
        positions: int = 256,
        seed: int = 0,
    ) -> None:
        self.networks = {
            "to_target": generators[0],
            "to_source": generators[1],
            "judge_target": judges[0],
            "judge_source": judges[1],
        }
        self.optimizers, self.schedules = {}, {}
        for name, network in self.networks.items():
            adam, schedule = gan_adam(network, learning_rate, steps)
            self.optimizers[name], self.schedules[name] = adam, schedule
        self.pools = {
            "judge_target": ImagePool(seed=2 * seed),
            "judge_source": ImagePool(seed=2 * seed + 1),
        }
        self.weights, self.features, self.positions = weights, features, positions
        self.draws = torch.Generator().manual_seed(seed)

    def update(self, source: Tensor, target: Tensor, also: OnTranslated | None = None) -> Losses:
        """Run one step: both generators, then both discriminators."""
        w, nets = self.weights, self.networks
        to_target, to_source = nets["to_target"], nets["to_source"]
        fake_target, fake_source = to_target(source), to_source(target)
        losses = {
            "cycle": cycle_loss(to_source(fake_target), source)
            + cycle_loss(to_target(fake_source), target)
        }
        with held(nets["judge_target"], nets["judge_source"]):
            losses["adversarial"] = lsgan_generator(
                nets["judge_target"](fake_target)[-1]
            ) + lsgan_generator(nets["judge_source"](fake_source)[-1])
        total = w.adversarial * losses["adversarial"] + w.cycle * losses["cycle"]
        if w.identity:
            losses["identity"] = identity_loss(to_target(target), target) + identity_loss(
                to_source(source), source
            )
            total = total + w.identity * losses["identity"]
        if w.contextual:
            losses["contextual"] = self.contextual(fake_target, target)
            total = total + w.contextual * losses["contextual"]
        if also is not None:
            losses["also"] = also(fake_target)
            total = total + losses["also"]
        for name in ("to_target", "to_source"):
            self.optimizers[name].zero_grad()
        self.fabric.backward(total)
        for name in ("to_target", "to_source"):
            self.optimizers[name].step()
        judged = {
            "judge_target": self.judge("judge_target", target, fake_target),
            "judge_source": self.judge("judge_source", source, fake_source),
        }
        return {name: value.detach() for name, value in losses.items()} | judged

    def carrier(self) -> nn.Module:
        """Return the generator of the target's modality."""
        return bare(self.networks["to_target"])

    def returner(self) -> nn.Module:
        """Return the generator of the source's modality."""
        return bare(self.networks["to_source"])
