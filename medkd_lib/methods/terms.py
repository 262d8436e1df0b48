"""Feature losses as terms of a method: what of the seen they compare, through which adapters.

A term is a loss of `medkd_lib.distill` with the small networks it needs between two architectures.
They are trained with the student and dropped after it. To add one: a function in ``distill``, and
a class here that picks its inputs from `Seen`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.distill.attention import attention_transfer
from medkd_lib.distill.contrast import crd_in_batch
from medkd_lib.distill.hints import hint_loss
from medkd_lib.distill.logits import dkd
from medkd_lib.distill.ofa import ofa
from medkd_lib.distill.relations import rkd
from medkd_lib.methods.seen import Seen, needed


class Term(nn.Module, ABC):
    """One loss on what was seen, and the trainable adapters it needs (perhaps none).

    Attributes:
        name: under which the loss is logged.
        weight: usual factor of the loss in the total.
    """

    name: str
    weight: float = 1.0

    @abstractmethod
    def forward(self, seen: Seen) -> Tensor:
        """Return the scalar loss, without its weight."""


class HintTerm(Term):
    """FitNets: the student's map, through a 1x1 convolution, equals the teacher's map.

    Both maps are averaged to the coarser of the two grids, axis by axis.

    Args:
        student_channels: of the student's map.
        teacher_channels: of the teacher's map.

    Source: Romero et al. 2015; weight 100 as in RepDistiller.
    """

    name, weight = "hint", 100.0

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.regressor = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, seen: Seen) -> Tensor:
        """Return `hint_loss` on the common grid."""
        teacher_map = needed(seen.teacher_map, "teacher_map")
        (h_s, w_s), (h_t, w_t) = seen.student_map.shape[2:], teacher_map.shape[2:]
        grid = (min(h_s, h_t), min(w_s, w_t))
        # A 1x1 convolution and an average may be exchanged; on the smaller map it costs less.
        regressed = self.regressor(F.adaptive_avg_pool2d(seen.student_map, grid))
        return hint_loss(regressed, F.adaptive_avg_pool2d(teacher_map, grid))


class AttentionTerm(Term):
    """Attention transfer: the student is active where the teacher is. No adapter.

    Source: Zagoruyko and Komodakis 2017; weight 1000 as in RepDistiller.
    """

    name, weight = "attention", 1000.0

    def forward(self, seen: Seen) -> Tensor:
        """Return `attention_transfer` of the two maps."""
        return attention_transfer(seen.student_map, needed(seen.teacher_map, "teacher_map"))


class RelationTerm(Term):
    """RKD: images lie to one another as in the teacher's pooled map. No adapter.

    Source: Park et al. 2019; 25 for distances and 50 for angles as in RepDistiller.
    """

    name, weight = "relation", 1.0

    def forward(self, seen: Seen) -> Tensor:
        """Return `rkd` of the two maps' means over positions."""
        teacher_map = needed(seen.teacher_map, "teacher_map")
        return rkd(seen.student_map.mean(dim=(2, 3)), teacher_map.mean(dim=(2, 3)), 25.0, 50.0)


class ContrastTerm(Term):
    """CRD within the batch: an image's two embeddings find each other among the others.

    Args:
        student_channels: of the student's map.
        teacher_channels: of the teacher's map.
        dim: of the common embedding; one linear head on either side, both trained.

    Source: Tian et al. 2020; dimension 128, weight 0.8.
    """

    name, weight = "contrast", 0.8

    def __init__(self, student_channels: int, teacher_channels: int, dim: int = 128) -> None:
        super().__init__()
        self.student_head = nn.Linear(student_channels, dim)
        self.teacher_head = nn.Linear(teacher_channels, dim)

    def forward(self, seen: Seen) -> Tensor:
        """Return `crd_in_batch` of the embeddings of the pooled maps."""
        teacher_map = needed(seen.teacher_map, "teacher_map")
        student = self.student_head(seen.student_map.mean(dim=(2, 3)))
        teacher = self.teacher_head(teacher_map.mean(dim=(2, 3)))
        # The loss is the same with the roles exchanged, but holds its second argument constant:
        # the exchanged call adds nothing to the value and trains the teacher's head, as in CRD.
        exchanged = crd_in_batch(teacher, student)
        return crd_in_batch(student, teacher) + exchanged - exchanged.detach()


class OfaTerm(Term):
    """One-for-all: an exit head on the student's stage answers, and learns from the logits.

    Args:
        student_channels: of the student's map.
        classes: number of logits.
        eps: how much louder the target class is spoken; 1 is the plain soft label.
        width: channels of the exit head.

    Source: Hao et al. 2023; ε = 1.5 for a transformer that teaches a CNN, weight 1. Their exit
    head has several convolutions; one 1x1 convolution before the mean stands for them here.
    """

    name, weight = "ofa", 1.0

    def __init__(
        self, student_channels: int, classes: int, eps: float = 1.5, width: int = 128
    ) -> None:
        super().__init__()
        self.eps = eps
        self.exit = nn.Sequential(
            nn.Conv2d(student_channels, width, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, classes),
        )

    def forward(self, seen: Seen) -> Tensor:
        """Return `ofa` of the exit head's logits over the labelled images."""
        exit_logits = self.exit(seen.student_map)
        return _on_labelled(seen, exit_logits, lambda s, t, y: ofa(s, t, y, self.eps))


class DkdTerm(Term):
    """Decoupled KD on the logits, in the place of the plain one (set ``alpha = 0``). No adapter.

    Args:
        temperature: $T > 0$.

    Source: Zhao et al. 2022; α = 1, β = 8, T = 4.
    """

    name, weight = "dkd", 1.0

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, seen: Seen) -> Tensor:
        """Return `dkd` over the labelled images."""
        return _on_labelled(
            seen,
            seen.student_logits,
            lambda s, t, y: dkd(s, t, y, self.temperature, alpha=1.0, beta=8.0),
        )


def _on_labelled(
    seen: Seen, student_logits: Tensor, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Return a loss that needs labels over the images whose label may be used; 0 if none may."""
    rows = seen.labelled.bool()
    if not rows.any():
        return student_logits.sum() * 0.0
    return loss(student_logits[rows], seen.teacher_logits[rows], seen.labels[rows])
