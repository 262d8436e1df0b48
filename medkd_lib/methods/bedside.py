"""What a student of CMEDL needs when it is used: itself, or the generator before it as well."""

import torch
from torch import Tensor, nn

from medkd_lib.methods.cmedl_parts import Student

# The teacher behind the generator: an arm, and no student.
PSEUDO_ONLY = "pseudo_only"


class AfterTranslation(nn.Module):
    """A network that looks at translated images, alone or beside the images themselves.

    Args:
        carrier: source → target.
        network: of the target, or of both as two channels.
        beside: both.
    """

    def __init__(self, carrier: nn.Module, network: nn.Module, *, beside: bool) -> None:
        super().__init__()
        self.carrier, self.network, self.beside = carrier, network, beside

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of source images."""
        pseudo = self.carrier(images)
        return self.network(torch.cat([images, pseudo], dim=1) if self.beside else pseudo)


def at_bedside(network: nn.Module, carrier: nn.Module, plan: Student | None) -> nn.Module:
    """Return a network as it is used, in eval mode: source images in, logits out.

    Args:
        network: a student, or the teacher.
        carrier: the generator source → target; part of the result only where it is needed.
        plan: the student's; None for the teacher, who sees translated images alone.
    """
    if plan is None:
        return AfterTranslation(carrier, network, beside=False).eval()
    if plan.concatenated:
        return AfterTranslation(carrier, network, beside=True).eval()
    return network.eval()
