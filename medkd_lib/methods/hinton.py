r"""Hinton, Vinyals, Dean 2015: the student learns from the teacher's softened outputs.

$$\mathcal L = (1-\alpha)\,\mathrm{CE}(\text{labelled images})
+ \alpha\,\mathcal L_{KD}(\text{all images}; T)$$

The paper trains on a *transfer set* that may be unlabelled; ``labelled`` in the batch says for
which images the label may be used. The switches are this course's negative controls.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.methods.base import FrozenTeacher, Losses, Method, adam_with_cosine, bare

TeacherControl = Literal["none", "shuffled", "train_mode"]


class HintonKD(Method):
    """Logit distillation with the course's controls.

    Args:
        student: the network to train.
        teacher: the trained teacher; never updated.
        temperature: $T > 0$.
        alpha: weight of the distillation term, 0…1.
        learning_rate: of Adam, at the start of a half-cosine.
        steps: planned updates, the length of that half-cosine.
        scale_t2: keep the factor $T^2$ (the control drops it).
        control: ``shuffled`` gives every image the teacher's answer to another image of the
            batch; ``train_mode`` leaves the guard off, so batch norm uses (and changes) batch
            statistics.
        views: augmentation, images → images of the same shape; teacher and student see the same
            view.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        temperature: float,
        alpha: float,
        learning_rate: float,
        steps: int,
        scale_t2: bool = True,
        control: TeacherControl = "none",
        views: Callable[[Tensor], Tensor] = augment,
    ) -> None:
        guarded = teacher.train() if control == "train_mode" else FrozenTeacher(teacher)
        self.networks = {"student": student, "teacher": guarded}
        adam, cosine = adam_with_cosine(student, learning_rate, steps)
        self.optimizers, self.schedules = {"adam": adam}, {"cosine": cosine}
        self.temperature, self.alpha = temperature, alpha
        self.scale_t2, self.control, self.views = scale_t2, control, views

    def update(self, batch: Batch) -> Losses:
        """One step on ``images``, ``labels`` and the mask ``labelled``."""
        images = self.views(batch["images"])
        student_logits = self.networks["student"](images)
        with torch.no_grad(), self.fabric.autocast():
            teacher_logits = self.networks["teacher"](images)
        if self.control == "shuffled":
            # A roll by one is a permutation without fixed point: nobody keeps his own answer.
            teacher_logits = teacher_logits.roll(1, dims=0)
        soft = hinton_kd(student_logits, teacher_logits, self.temperature, scale_t2=self.scale_t2)
        # Mean over the labelled images only; zero when the batch holds none.
        each = F.cross_entropy(student_logits, batch["labels"], reduction="none")
        hard = (each * batch["labelled"]).sum() / batch["labelled"].sum().clamp(min=1)
        loss = (1 - self.alpha) * hard + self.alpha * soft
        self.optimizers["adam"].zero_grad()
        self.fabric.backward(loss)
        self.optimizers["adam"].step()
        self.schedules["cosine"].step()
        return {"cross_entropy": hard.detach(), "distillation": soft.detach()}

    def deployable(self) -> nn.Module:
        """Return the student alone."""
        return bare(self.networks["student"]).eval()
