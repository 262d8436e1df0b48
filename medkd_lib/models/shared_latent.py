"""The second image-to-image network: variational autoencoders that share their latent space."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medkd_lib.models.translation_blocks import (
    ResidualBlock,
    Up,
    UpBlock,
    down_block,
    draw_weights,
    image_head,
    stem,
)

# Standard deviations from exp(-5) = 0.007 to exp(5) = 148, so that no exponential overflows.
MOST_LOG_VARIANCE = 10.0


class Posterior(NamedTuple):
    r"""$q(z\mid x) = N(\mu, \operatorname{diag}\sigma^2)$ of a batch of images.

    Shapes:
        mean: ``(N, Z, h, w)``, $\mu$.
        log_variance: same shape, $\log\sigma^2$.
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        r"""Return a draw that lets gradients through to mean and variance.

        $$z = \mu + \sigma\,\varepsilon,\qquad \varepsilon\sim N(0, I)$$

        Args:
            generator: of the draws, on the tensors' device; None uses the global one.
        """
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        # z = μ + σ ε
        return self.mean + (self.log_variance / 2).exp() * noise


class Translated(NamedTuple):
    """One pass: the posterior of the images, and the image in every modality asked for."""

    posterior: Posterior
    images: dict[str, Tensor]


class SharedLatentTranslator(nn.Module):
    r"""One encoder and one decoder per modality; the blocks next to the latent are the same ones.

    $$q(z\mid x_a) = N\big(\mu(h), \operatorname{diag}\sigma^2(h)\big),\quad h = E(E_a(x_a)),\qquad
    \hat x_{a\to b} = D_b(D(z))$$

    $E_a$ and $D_b$ belong to a modality, $E$, $\mu$, $\sigma$ and $D$ to all. Decoding into the
    images' own modality is reconstruction, into another one translation. Nothing but the shared
    blocks, the prior and the losses on translated images (`distill.vae`) makes a code
    mean the same in both modalities: trained on reconstruction alone, two anatomies may share a
    code. The mean is the map of the shared blocks itself, the log variance a 1x1 convolution of it,
    kept between -10 and 10 by $10\tanh(\cdot/10)$; untrained, σ is about 1, UNIT's constant.

    Args:
        modalities: names, two or more.
        channels: of the images, the same in every modality.
        width: channels at full size; the latent has four times as many.
        private_blocks: residual blocks of each encoder and of each decoder.
        shared_blocks: residual blocks of $E$ and of $D$, one or more.
        up: see `UpBlock`.

    Shapes:
        images ``(N, channels, H, W)`` scaled to [-1, 1], sides multiples of 4 and 8 or more; latent
        ``(N, 4 width, H/4, W/4)``; translated images ``(N, channels, H, W)`` in (-1, 1).

    Raises:
        ValueError: fewer than two modalities or no shared block; an unknown modality or ``up``;
            images of another size or number of channels.

    Source: the idea is UNIT's (Liu et al. 2017, arXiv 1703.00848): a shared latent by shared
    weights, three private and one shared block on either side. Widths, the learnt variance (UNIT's
    is 1) and the common names are ours. CMEDL trains two image-to-image networks; that the second
    was a variational autoencoder is recollection, and *which* one is unknown to us. This class is
    our stand-in for it and not a reproduction.
    """

    def __init__(
        self,
        modalities: Sequence[str] = ("ct", "mr"),
        channels: int = 1,
        width: int = 64,
        private_blocks: int = 3,
        shared_blocks: int = 1,
        up: Up = "resize",
    ) -> None:
        super().__init__()
        if len(set(modalities)) < 2 or shared_blocks < 1:
            raise ValueError(
                "SharedLatentTranslator: expected two or more modalities and one or more shared "
                f"blocks, found {tuple(modalities)} and {shared_blocks}"
            )
        self.channels = channels
        inner = 4 * width

        def residual(blocks: int) -> list[nn.Module]:
            return [ResidualBlock(inner) for _ in range(blocks)]

        def encoder() -> nn.Module:
            halvings = [down_block(width, 2 * width), down_block(2 * width, inner)]
            return nn.Sequential(stem(channels, width), *halvings, *residual(private_blocks))

        def decoder() -> nn.Module:
            doublings = [UpBlock(inner, 2 * width, up), UpBlock(2 * width, width, up)]
            return nn.Sequential(*residual(private_blocks), *doublings, image_head(width, channels))

        self.encoders = nn.ModuleDict({name: encoder() for name in modalities})
        self.shared_encoder = nn.Sequential(*residual(shared_blocks))
        self.log_variance = nn.Conv2d(inner, inner, 1)
        self.shared_decoder = nn.Sequential(*residual(shared_blocks))
        self.decoders = nn.ModuleDict({name: decoder() for name in modalities})
        draw_weights(self)

    def forward(
        self,
        images: Tensor,
        source: str,
        targets: Sequence[str],
        *,
        sample: bool = True,
        generator: torch.Generator | None = None,
    ) -> Translated:
        """Encode once, draw one code, and decode it into every modality of ``targets``.

        Args:
            images: of the modality ``source``.
            source: its name.
            targets: names; with ``source`` among them its entry is the reconstruction.
            sample: draw the code, as the losses need it; False takes its mean.
            generator: see `Posterior.sample`.
        """
        posterior = self.encode(images, source)
        code = posterior.sample(generator) if sample else posterior.mean
        return Translated(posterior, {name: self.decode(code, name) for name in targets})

    def translate(self, images: Tensor, source: str, target: str) -> Tensor:
        """Return the images in the modality ``target``, from the mean code: the same every time."""
        return self(images, source, (target,), sample=False).images[target]

    def encode(self, images: Tensor, source: str) -> Posterior:
        """Return the posterior of images of the modality ``source``."""
        self._check(images)
        mean = self.shared_encoder(self._of(self.encoders, "source", source)(images))
        raw = self.log_variance(mean)
        return Posterior(mean, MOST_LOG_VARIANCE * torch.tanh(raw / MOST_LOG_VARIANCE))

    def decode(self, code: Tensor, target: str) -> Tensor:
        """Return the images of the modality ``target`` that belong to a code ``(N, Z, h, w)``."""
        return self._of(self.decoders, "target", target)(self.shared_decoder(code))

    def _of(self, networks: nn.ModuleDict, role: str, name: str) -> nn.Module:
        if name not in networks:
            raise ValueError(f"{role}: expected one of {[*networks]}, found {name!r}")
        return networks[name]

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"images: expected (N, {self.channels}, H, W), found {tuple(images.shape)}; build "
                "the translator with the channels of your images"
            )
        height, width = images.shape[-2:]
        if height % 4 or width % 4 or min(height, width) < 8:
            raise ValueError(
                f"images: expected sides that are multiples of 4, 8 or more, found {height} x "
                f"{width}; pad or crop them"
            )
