r"""Distillation from a teacher's inside: one feature loss beside the labels and the logits.

$$\mathcal L = (1-\alpha)\,\mathrm{CE}(\text{labelled images})
+ \alpha\,\mathcal L_{KD}(T) + \lambda\,\mathcal L_{\text{term}}$$

Which loss it is, and what it compares, is the term's business (`medkd_lib.methods.terms`); which
papers they come from stands there.
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.methods.base import FrozenTeacher, Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.seen import ask, show, together
from medkd_lib.methods.terms import Term

FeatureControl = Literal["none", "shuffled"]


class FeatureKD(Method):
    r"""Labels, softened logits and one term on features.

    Args:
        student: the network to train.
        teacher: the trained `HybridTeacher` or `MsgffTeacher`; never updated.
        term: the feature loss with its adapters.
        student_place: module path of the student's map, such as ``network.stages.stage3``.
        temperature: $T > 0$.
        alpha: weight of the logits' term, 0…1; 0 leaves the logits out.
        learning_rate: of Adam, at the start of a half-cosine; for the adapters too.
        steps: planned updates, the length of that half-cosine.
        weight: $\lambda$; None takes the term's usual one.
        views: augmentation; teacher and student see the same view.
        control: ``shuffled`` gives every image the teacher's answer to another image of the
            batch, logits, map, tokens and attention alike.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        term: Term,
        *,
        student_place: str,
        temperature: float,
        alpha: float,
        learning_rate: float,
        steps: int,
        weight: float | None = None,
        views: Callable[[Tensor], Tensor] = augment,
        control: FeatureControl = "none",
    ) -> None:
        self.teacher = FrozenTeacher(teacher)
        self.networks = {"student": student, "teacher": self.teacher, "term": term}
        adam, cosine = adam_with_cosine(student, learning_rate, steps)
        self.optimizers, self.schedules = {"student": adam}, {"student": cosine}
        # Adam treats every parameter alone: a second one for the adapters is the same as a second
        # group in the first, and some terms have no adapters at all.
        if any(True for _ in term.parameters()):
            adam, cosine = adam_with_cosine(term, learning_rate, steps)
            self.optimizers["term"], self.schedules["term"] = adam, cosine
        self.student_place, self.name = student_place, term.name
        self.temperature, self.alpha = temperature, alpha
        self.weight = term.weight if weight is None else weight
        self.views, self.control = views, control

    def update(self, batch: Batch) -> Losses:
        """One step on ``images``, ``labels`` and the mask ``labelled``."""
        images = self.views(batch["images"])
        with self.fabric.autocast():
            answer = ask(self.teacher, images)
        if self.control == "shuffled":
            answer = answer.rolled()
        student = show(self.networks["student"], images, self.student_place)
        seen = together(student, answer, batch["labels"], batch["labelled"])
        soft = hinton_kd(seen.student_logits, seen.teacher_logits, self.temperature)
        # Mean over the labelled images only; zero when the batch holds none.
        each = F.cross_entropy(seen.student_logits, seen.labels, reduction="none")
        hard = (each * seen.labelled).sum() / seen.labelled.sum().clamp(min=1)
        feature = self.networks["term"](seen)
        # L = (1 - α) CE + α KD + λ term
        loss = (1 - self.alpha) * hard + self.alpha * soft + self.weight * feature
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        self.fabric.backward(loss)
        for name, optimizer in self.optimizers.items():
            optimizer.step()
            self.schedules[name].step()
        return {
            "cross_entropy": hard.detach(),
            "distillation": soft.detach(),
            self.name: feature.detach(),
        }

    def deployable(self) -> nn.Module:
        """Return the student alone."""
        return bare(self.networks["student"]).eval()
