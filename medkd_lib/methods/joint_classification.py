"""Classification as a task of joint-teacher distillation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.distill.chopra import chopra
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.models.domain_classifier import pooled


class Classification:
    r"""One class per image, ``(N,)`` int64 under the name ``labels``.

    $$\mathcal L_y = \frac{\sum_n w_{y_n}\,\bigl(-\log p_{n y_n}\bigr)}{\sum_n w_{y_n}},\qquad
    \mathcal L_{logits} = \frac{T^2}{N}\sum_n\mathrm{KL}\bigl(p^t_n\,\Vert\,p^s_n\bigr)$$

    Chopra's pairs are images: one seen by student and teacher belongs together, one of another
    class does not; both by the means of their maps over positions.

    Args:
        class_weights: w of each class, such as 1 over its number of images; None: all 1. They are
            of one set of classes: where datasets have others, draw from balanced rows instead
            (`medkd_lib.data.batches.balanced`), and not from both.

    Source: cross-entropy and `hinton_kd` as everywhere in this course; which losses Ceausescu et
    al. (arXiv 2605.01563) have for classification is unknown to us, as is whether they use Chopra's
    at all. The ancestor's code (arXiv 2410.22184) has T² times the cross-entropy with softened
    answers, whose gradient is the same.
    """

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)

    def label_loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the weighed cross-entropy.

        Raises:
            ValueError: not as many weights as the answer has classes.
        """
        weights = self.class_weights
        if weights is not None:
            if weights.shape != output.shape[1:]:
                raise ValueError(
                    f"class_weights: expected {output.shape[1]}, one for each class of the answer, "
                    f"found {len(weights)}; of datasets with other classes balance the rows"
                )
            weights = weights.to(output)
        return F.cross_entropy(output, batch["labels"], weights)

    def logit_loss(
        self, student: Tensor, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return `hinton_kd`."""
        return hinton_kd(student, teacher, temperature)

    def contrast(self, student_map: Tensor, teacher_map: Tensor, batch: Batch) -> Tensor:
        """Return `chopra` of the maps' means, with a margin."""
        return chopra(pooled(student_map), pooled(teacher_map), batch["labels"])
