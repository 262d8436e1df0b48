"""Segmentation as a task of joint-teacher distillation."""

import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.distill.chopra import chopra_of_maps


class Segmentation:
    """Masks ``(N, H, W)`` under the name ``masks``; Dice and cross-entropy, pixels balanced.

    Args:
        cross_entropy: weight of the cross-entropy beside the Dice.
        places: most places of a class in Chopra's pairs.
        seed: of the draw of those places.
    """

    def __init__(self, cross_entropy: float = 0.2, places: int = 128, seed: int = 0) -> None:
        # Dice over the batch: an image without a lesion alone would have none to speak of.
        self.segmentation = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=True,
            lambda_ce=cross_entropy,
        )  # fmt: skip
        self.places, self.seed = places, seed

    def label_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return Dice loss and weighed cross-entropy."""
        loss: Tensor = self.segmentation(output, batch["masks"].long()[:, None])
        return loss

    def logit_loss(
        self, student: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return `balanced_kd`."""
        return balanced_kd(student, teacher, batch["masks"].long(), temperature)

    def contrast(self, student_map: Tensor, teacher_map: Tensor, batch: Batch) -> Tensor:
        """Return `chopra_of_maps` with a margin; the draw of places depends on the masks alone."""
        draw = torch.Generator().manual_seed(self.seed)
        return chopra_of_maps(
            student_map, teacher_map, batch["masks"].long(), per_class=self.places, generator=draw
        )
