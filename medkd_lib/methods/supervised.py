"""Training on labels alone: every baseline, and every teacher."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch
from medkd_lib.methods.base import Losses, Method, adam_with_cosine, bare


class Supervised(Method):
    """Cross-entropy on labels, with label smoothing as the cheap rival of distillation.

    Args:
        network: classifier ``(N, channels, H, W) → (N, classes)``.
        learning_rate: of Adam, at the start of a half-cosine.
        steps: planned updates, the length of that half-cosine.
        label_smoothing: share of the target spread evenly over all classes.
        views: augmentation, images → images of the same shape.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        steps: int,
        label_smoothing: float = 0.0,
        views: Callable[[Tensor], Tensor] = augment,
    ) -> None:
        self.networks = {"student": network}
        adam, cosine = adam_with_cosine(network, learning_rate, steps)
        self.optimizers, self.schedules = {"adam": adam}, {"cosine": cosine}
        self.label_smoothing, self.views = label_smoothing, views

    def update(self, batch: Batch) -> Losses:
        """One step on ``images`` and ``labels``."""
        logits = self.networks["student"](self.views(batch["images"]))
        loss = F.cross_entropy(logits, batch["labels"], label_smoothing=self.label_smoothing)
        self.optimizers["adam"].zero_grad()
        self.fabric.backward(loss)
        self.optimizers["adam"].step()
        self.schedules["cosine"].step()
        return {"cross_entropy": loss.detach()}

    def deployable(self) -> nn.Module:
        """Return the trained classifier."""
        return bare(self.networks["student"]).eval()
