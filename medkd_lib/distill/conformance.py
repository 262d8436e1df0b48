"""What other public libraries compute under the name "the KD loss", in terms of ours.

Formulas as read in their code; tests compare them with independent implementations, and
torchdistill's with the library itself.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.logits import hinton_kd


@dataclass(frozen=True)
class SameName:
    """One library's loss: its name, how ours gives it, its value, its ratio to ours."""

    library: str
    ours: str
    value: float
    ratio: float


def kd_losses_compared(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> list[SameName]:
    """Return the value of each library's default distillation term on the same logits.

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``.
        temperature: $T > 0$.
    """
    z = (student_logits, teacher_logits, temperature)
    reference = float(hinton_kd(*z))
    soft_s, soft_t = (F.softmax(x / temperature, dim=1) for x in z[:2])
    rows = [
        ("RepDistiller, KD-Zoo, mdistiller", "as it is", reference),
        (
            "torchdistill without a label term",
            "scale_t2=False",
            float(hinton_kd(*z, scale_t2=False)),
        ),
        (
            "labml",
            '100 × (reduction="mean", scale_t2=False)',
            100 * float(hinton_kd(*z, reduction="mean", scale_t2=False)),
        ),
        (
            "KD_Lib (VanillaKD)",
            "not a KL: T² × MSE of the two softmaxes",
            temperature**2 * float(F.mse_loss(soft_s, soft_t)),
        ),
    ]
    return [SameName(name, ours, value, value / reference) for name, ours, value in rows]
