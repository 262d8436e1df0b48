"""A teacher's features at mean 0 and standard deviation 1, channel by channel, over all it saw."""

import torch
from torch import Tensor, nn


class RunningStandardise(nn.Module):
    r"""Subtract each channel's mean and divide by its standard deviation over the training set.

    $$\hat t_c = \frac{t_c-\mu_c}{\sqrt{\sigma_c^2+\epsilon}}$$

    Without it the mean squared error to a teacher is the error in its few loudest channels, and
    among several teachers that to the loudest one. In training mode a batch is first added to what
    was seen before, exactly (all positions of all images weigh the same), and then standardised by
    that, not by itself as batch norm would: an image's target does not depend on its batch once
    enough was seen. In eval mode nothing is added.

    Statistics are of one process; in a distributed run each has its own.

    Args:
        channels: of the maps.
        epsilon: ε, beside the variance: a dead channel stays 0.

    Shapes:
        input ``(N, channels)`` or ``(N, channels, …)``, output the same, float32 at least; no
        gradient reaches the statistics.

    Raises:
        ValueError: another number of channels.
        RuntimeError: eval mode before anything was seen.

    Source: the idea is that of PHI-S (Ranzinger et al. 2024, arXiv 2410.01680), which rotates
    channels so that one scale does for all, and of UNIC (Sariyildiz et al. 2024, arXiv 2408.05088),
    which keeps an exponential average; per channel and over everything seen is ours. Merging of
    moments: Chan, Golub & LeVeque 1983 (Am. Stat. 37), equation 2.1.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.epsilon = channels, epsilon
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.zeros(channels))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, standardised."""
        if features.ndim < 2 or features.shape[1] != self.channels:
            raise ValueError(
                f"features: expected (N, {self.channels}, …), found {tuple(features.shape)}"
            )
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        if self.training:
            self._see(wide.detach())
        elif not self.count:
            raise RuntimeError(
                "RunningStandardise: nothing was seen yet, so there is no mean; run it over the "
                "training set in training mode first, or load its state"
            )
        shape = (1, self.channels, *[1] * (features.ndim - 2))
        mean, variance = (x.to(wide.dtype).view(shape) for x in (self.mean, self.variance))
        # (t - μ) / sqrt(σ² + ε)
        return (wide - mean) * (variance + self.epsilon).rsqrt()

    @torch.no_grad()
    def _see(self, features: Tensor) -> None:
        """Merge the moments of a batch with those of all before."""
        rows = features.movedim(1, -1).flatten(0, -2)
        new = len(rows)
        share = new / (int(self.count) + new)
        step = rows.mean(dim=0) - self.mean
        # σ² <- (1-w) σ² + w σ'² + w (1-w) (μ'-μ)², μ <- μ + w (μ'-μ), w the new share
        within = rows.var(dim=0, correction=0) - self.variance
        self.variance += share * within + share * (1 - share) * step.square()
        self.mean += share * step
        self.count += new
