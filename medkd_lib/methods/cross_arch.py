r"""Liu et al. 2022 (ACCV): a transformer teaches a convolutional network, from the equations.

$$\mathcal L = (1-\alpha)\,\mathrm{CE} + \alpha\,\mathcal L_{KD}
+ w(e)\,[\lambda_1\mathcal L_{p1} + \lambda_2\mathcal L_{p2} + \lambda_3\mathcal L_{MVG}]$$

The paper's equation 10 is $(\mathcal L_{p1}+\mathcal L_{p2})+\lambda\mathcal L_{MVG}$ with an
unknown λ; labels and logits are not in it, although the student keeps its classifier. The weights
and the ramp are ours; why the authors' released code is not followed: `cross_arch_released`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch
from medkd_lib.data.views import multi_view
from medkd_lib.distill.adversarial import discriminator_loss, fooling_loss
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.partial_cross_attention import partial_cross_attention_loss
from medkd_lib.distill.tokens import token_cosine, token_loss
from medkd_lib.methods.base import FrozenTeacher, Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.cross_arch_parts import ALL_PARTS, Parts
from medkd_lib.methods.feature_kd import FeatureControl
from medkd_lib.methods.held import held
from medkd_lib.methods.seen import Seen, ask, needed, show, together
from medkd_lib.methods.terms import Term
from medkd_lib.models.projectors import GroupLinear, PartialCrossProjector, TokenDiscriminator
from medkd_lib.models.vit import VitTrunk


class CrossArchitectureKD(Method):
    """Distillation of a transformer's attention and tokens into a convolutional student.

    Args:
        student: the network to train.
        teacher: a trained `HybridTeacher` or `MsgffTeacher` with its ViT; never updated.
        student_place: module path of the student's map, such as ``network.stages.stage3``.
        student_channels: of that map.
        temperature: $T > 0$.
        alpha: weight of the logits' term, 0…1.
        learning_rate: of Adam, at the start of a half-cosine; for projectors and discriminator
            too.
        steps: planned updates, the length of that half-cosine.
        parts: switches and weights.
        views: everyday augmentation; the teacher sees its view, the student that view or a
            strong view of it.
        background: of the images, see `medkd_lib.data.views`.
        extra: one more term, with its usual weight (such as attention transfer from the VGG map).
        control: ``shuffled`` gives every image the teacher's answer to another one.

    Raises:
        ValueError: the teacher has no ViT.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        student_place: str,
        student_channels: int,
        temperature: float,
        alpha: float,
        learning_rate: float,
        steps: int,
        parts: Parts = ALL_PARTS,
        views: Callable[[Tensor], Tensor] = augment,
        background: float | None = None,
        extra: Term | None = None,
        control: FeatureControl = "none",
    ) -> None:
        self.teacher = FrozenTeacher(teacher)
        self.networks = {"student": student, "teacher": self.teacher}
        vit = getattr(teacher, "vit", None)
        if not isinstance(vit, VitTrunk):
            raise ValueError(
                f"teacher: expected one with a Vision Transformer as `vit`, found "
                f"{type(teacher).__name__} with {type(vit).__name__}; for a convolutional teacher "
                "use FeatureKD"
            )
        dim, heads = vit.size.dim, vit.size.heads
        if parts.pca:
            projector = PartialCrossProjector(student_channels, dim, heads, vit.grid)
            self.networks["pca_projector"] = projector
        if parts.gl or parts.adversarial:
            tokens = GroupLinear(student_channels, dim, vit.grid, dropout=parts.dropout)
            self.networks["gl_projector"] = tokens
        if parts.adversarial:
            self.networks["discriminator"] = TokenDiscriminator(dim)
        if extra is not None:
            self.networks["extra"] = extra
        self.optimizers, self.schedules = {}, {}
        for name, network in self.networks.items():
            if any(p.requires_grad for p in network.parameters()):
                adam, cosine = adam_with_cosine(network, learning_rate, steps)
                self.optimizers[name], self.schedules[name] = adam, cosine
        self.student_place, self.extra = student_place, extra
        self.temperature, self.alpha, self.steps = temperature, alpha, steps
        self.parts, self.views, self.background = parts, views, background
        self.control = control

    def update(self, batch: Batch) -> Losses:
        """One step on ``images``, ``labels`` and the mask ``labelled``."""
        parts, networks = self.parts, self.networks
        images = self.views(batch["images"])
        seen_by_student = images
        if parts.multi_view:
            seen_by_student = multi_view(images, parts.p_view, background=self.background)
        with self.fabric.autocast():
            answer = ask(self.teacher, images)
        if self.control == "shuffled":
            answer = answer.rolled()
        student = show(networks["student"], seen_by_student, self.student_place)
        seen = together(student, answer, batch["labels"], batch["labelled"])

        soft = hinton_kd(seen.student_logits, seen.teacher_logits, self.temperature)
        # Mean over the labelled images only; zero when the batch holds none.
        each = F.cross_entropy(seen.student_logits, seen.labels, reduction="none")
        hard = (each * seen.labelled).sum() / seen.labelled.sum().clamp(min=1)
        weighed, watched = self._feature_losses(seen)
        # L = (1 - α) CE + α KD + w Σ λ_i L_i
        loss = (1 - self.alpha) * hard + self.alpha * soft
        loss = loss + self.ramp() * sum(weight * value for weight, value in weighed.values())

        trained = [k for k in self.optimizers if k != "discriminator"]
        for name in trained:
            self.optimizers[name].zero_grad()
        self.fabric.backward(loss)
        for name in trained:
            self.optimizers[name].step()
        for schedule in self.schedules.values():
            schedule.step()
        features = {name: value.detach() for name, (_, value) in weighed.items()}
        return {
            "cross_entropy": hard.detach(), "distillation": soft.detach(), **features, **watched
        }  # fmt: skip

    def ramp(self) -> float:
        """Return $w$ of the current step: from 0 to 1 over the first part of the training."""
        # The schedule counts the steps, and is saved with the rest.
        done = self.schedules["student"].last_epoch
        return min(1.0, done / (self.parts.ramp * self.steps)) if self.parts.ramp > 0 else 1.0

    def _feature_losses(self, seen: Seen) -> tuple[dict[str, tuple[float, Tensor]], Losses]:
        """Return name → (λ, loss) of what is switched on, and what is only watched."""
        parts, networks = self.parts, self.networks
        weighed: dict[str, tuple[float, Tensor]] = {}
        watched: Losses = {}
        if parts.pca:
            qkv = networks["pca_projector"](seen.student_map)
            teacher_qkv = needed(seen.teacher_qkv, "teacher_qkv")
            attention, gram = partial_cross_attention_loss(
                qkv, teacher_qkv, parts.p_student, scale_free=True
            )
            weighed["pca_attention"] = parts.lambda_pca, attention
            weighed["pca_gram"] = parts.lambda_pca, gram
        if parts.gl or parts.adversarial:
            tokens = networks["gl_projector"](seen.student_map)
            teacher_tokens = needed(seen.teacher_tokens, "teacher_tokens")
            watched["token_cosine"] = token_cosine(tokens, teacher_tokens)
            if parts.gl:
                weighed["tokens"] = parts.lambda_gl, token_loss(tokens, teacher_tokens)
            if parts.adversarial:
                # First the discriminator, on tokens cut off from the student …
                watched["discriminator"] = self._discriminate(teacher_tokens, tokens.detach())
                # … then the student against it: the same tokens with their gradient, and a
                # discriminator that passes gradients on and takes none.
                judge = bare(networks["discriminator"])
                with held(judge), self.fabric.autocast():
                    fake_logits = judge(tokens)
                fooling = fooling_loss(fake_logits, saturating=parts.saturating)
                weighed["adversarial"] = parts.lambda_adversarial, fooling
        if self.extra is not None:
            weighed[self.extra.name] = self.extra.weight, networks["extra"](seen)
        return weighed, watched

    def _discriminate(self, real: Tensor, fake: Tensor) -> Tensor:
        """Train the discriminator on one batch and return its loss."""
        # One call for both, so that several processes synchronise its gradients once.
        logits = self.networks["discriminator"](torch.cat([real, fake]))
        loss = discriminator_loss(*logits.chunk(2))
        self.optimizers["discriminator"].zero_grad()
        self.fabric.backward(loss)
        self.optimizers["discriminator"].step()
        return loss.detach()

    def deployable(self) -> nn.Module:
        """Return the student alone."""
        return bare(self.networks["student"]).eval()
