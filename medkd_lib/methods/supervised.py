"""Training on labels alone: every baseline, and every teacher."""

import torch
import torch.nn.functional as F
from torch import nn

from medkd_lib.data.batches import Batch
from medkd_lib.methods.base import Losses, Method, bare


class Supervised(Method):
    """Cross-entropy on labels, with label smoothing as the cheap rival of distillation.

    Args:
        network: classifier ``(N, channels, H, W) → (N, classes)``.
        learning_rate: of Adam.
        label_smoothing: share of the target spread evenly over all classes.
    """

    def __init__(
        self, network: nn.Module, *, learning_rate: float, label_smoothing: float = 0.0
    ) -> None:
        self.networks = {"student": network}
        self.optimizers = {"adam": torch.optim.Adam(network.parameters(), lr=learning_rate)}
        self.label_smoothing = label_smoothing

    def update(self, batch: Batch) -> Losses:
        """One step on ``images`` and ``labels``."""
        logits = self.networks["student"](batch["images"])
        loss = F.cross_entropy(logits, batch["labels"], label_smoothing=self.label_smoothing)
        self.optimizers["adam"].zero_grad()
        self.fabric.backward(loss)
        self.optimizers["adam"].step()
        return {"cross_entropy": loss.detach()}

    def deployable(self) -> nn.Module:
        """Return the trained classifier."""
        return bare(self.networks["student"]).eval()
