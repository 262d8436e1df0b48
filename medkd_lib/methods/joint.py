r"""A joint teacher of several datasets' teachers, and a student that follows it at several levels.

1. A target teacher learns from the target alone; each source teacher from its source and the
   target, with a loss that hides which of the two an image is from (`ManyDatasets`).
2. All are frozen; their maps are fused level by level, and a fresh decoder learns from the target's
   labels (`JointTeacher`, trained by `ManyDatasets`).
3. The student learns from the target's images:

$$\mathcal L = \alpha\,\mathcal L_{logits}(T) + \beta\sum_{l}d\bigl(P_l h^S_l, F_l\bigr)
+ \gamma\,\mathcal L_y$$

Source: Ceausescu et al. 2026 (arXiv 2605.01563): the stages, "encoder and bottleneck",
"multi-level", from its abstract and captions, all that could be read of it. Weights, distances,
levels, optimiser and schedule are ours, and parameters. Of its ancestor (arXiv 2410.22184) the code
was read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from medkd_lib.data.batches import Batch
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.distill.several_teachers import kept_teachers
from medkd_lib.methods.base import FrozenTeacher, Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.joint_parts import Placed, Task, Weights
from medkd_lib.methods.told import LOGITS, ask, kept_in
from medkd_lib.models.followers import Followers
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled, Whole


class JointStudent(Method):
    """The third stage: labels, a teacher's logits and its maps, on the target's images.

    Any network of levels may teach: the joint teacher, one trained on several datasets, or the
    student's twin.

    Args:
        student: the network to train.
        teacher: what it follows, frozen here; with ``follow="each"`` a `JointTeacher`.
        task: the losses that know what a label is.
        weights: of the terms, with their switches.
        learning_rate: of Adam, at the start of a half-cosine; of projectors too.
        steps: planned updates.
        views: augmentation; teacher and student see the same view. A batch that brings the
            teacher's answers was augmented before: leave it as it is.
        seed: of the dropping of teachers.

    Raises:
        ValueError: every teacher is to be followed and there is only one, or teachers are to be
            dropped where nothing is known of single teachers and images.
    """

    def __init__(
        self, student: Levelled, teacher: Levelled, task: Task[Any], weights: Weights, *,
        learning_rate: float, steps: int, views: Callable[[Batch], Batch] = lambda batch: batch,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.task, self.weights, self.views = task, weights, views
        self.levels = weights.followed_levels(len(student.level_channels))
        followed = _followed(teacher, weights)
        self.teacher = FrozenTeacher(teacher)
        followers = Followers(
            student.level_channels, followed, self.levels,
            always=weights.follow == "each", standardise=weights.standardise,
        )  # fmt: skip
        self.networks = {
            "student": Whole(student), "teacher": self.teacher, "followers": followers,
        }  # fmt: skip
        self.seed = seed
        adam, cosine = adam_with_cosine(student, learning_rate, steps)
        self.optimizers, self.schedules = {"student": adam}, {"student": cosine}
        if any(True for _ in followers.parameters()):
            adam, cosine = adam_with_cosine(followers, learning_rate, steps)
            self.optimizers["followers"], self.schedules["followers"] = adam, cosine

    def update(self, batch: Batch) -> Losses:
        """One step on ``images`` and what the task asks for, such as ``masks``.

        Where the batch brings what the teacher says (`ask_all`), nobody is asked.
        """
        w, batch = self.weights, self.views(batch)
        output, maps = self.networks["student"](batch["images"])
        labels = self.task.label_loss(output, batch)
        # L = α L_logits + β L_features + γ L_y
        loss, losses = w.labels * labels, {"labels": labels}
        if w.logits or self.levels:
            said = batch if LOGITS in batch else self._ask(batch["images"])
            if w.logits:
                teacher_logits = said[LOGITS].float()
                soft = self.task.logit_loss(output, teacher_logits, batch, w.temperature)
                loss, losses["logits"] = loss + w.logits * soft, soft
            if self.levels:
                features = self._features(maps, kept_in(said), batch)
                loss, losses["features"] = loss + w.features * features, features
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        self.fabric.backward(loss)
        for name, optimizer in self.optimizers.items():
            optimizer.step()
            self.schedules[name].step()
        return {name: value.detach() for name, value in losses.items()}

    def _ask(self, images: Tensor) -> Batch:
        with self.fabric.autocast():
            network = cast(Levelled, self.teacher.network)
            return ask(network, images, self.levels, self.weights.follow)

    def _features(
        self, maps: Sequence[Tensor], told: Mapping[tuple[int, int], Tensor], batch: Batch
    ) -> Tensor:
        r"""Return $\frac1N\sum_n\frac1T\sum_t a_{tn}\sum_l d(P_{tl}h_{nl}, f_{tnl})$, a 1 or 0."""
        each = [
            torch.stack([self._distance(mine, theirs, batch) for mine, theirs in pairs]).sum(dim=0)
            for pairs in self.networks["followers"](maps, told)
        ]
        losses = torch.stack(each)
        if self.weights.dropping:
            # By the step alone, so that a training that was interrupted goes on the same.
            step = self.schedules["student"].last_epoch
            draw = torch.Generator().manual_seed(1_000_003 * self.seed + step)
            losses = losses * kept_teachers(losses, self.weights.dropping, generator=draw)
        return losses.mean(dim=0).mean()

    def _distance(self, mine: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
        """Return the distance of two maps, image by image; Chopra's, of the whole batch."""
        kind = self.weights.distance
        if kind == "chopra":
            return self.task.contrast(mine, theirs, batch)
        if isinstance(self.task, Placed):
            return self.task.map_distance(mine, theirs, batch, kind)
        return feature_distance(mine, theirs, kind, normalise=False, reduction="none")

    def deployable(self) -> nn.Module:
        """Return the student alone."""
        return cast(Whole, bare(self.networks["student"])).network.eval()


def _followed(teacher: Levelled, weights: Weights) -> list[tuple[int, ...]]:
    """Return the channels of the maps that are followed, teacher by teacher."""
    if weights.dropping and (weights.follow != "each" or weights.distance == "chopra"):
        raise ValueError(
            f"dropping: expected follow='each' and a distance of single images, found follow="
            f"{weights.follow!r} and {weights.distance!r}; one teacher cannot be dropped, and "
            "chopra compares the images of a batch"
        )
    if weights.follow == "joint":
        return [teacher.level_channels]
    if not isinstance(teacher, JointTeacher):
        raise ValueError(
            f"follow='each': expected a JointTeacher, found {type(teacher).__name__}; a single "
            "teacher is followed with 'joint'"
        )
    return [cast(Levelled, t).level_channels for t in teacher.teachers]
