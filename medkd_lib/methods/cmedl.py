r"""CMEDL: a teacher of one modality trains a student of another one, without paired patients.

Source is the student's modality (CT), target the teacher's (MR). $G$ translates a source image,
so the teacher can look at the student's own patient, and its features lie where the student's do:

$$\mathcal L_T = \mathcal L_{seg}(T(x_m), y_m) + \mathcal L_{seg}(T(G(x_c)), y_c)$$
$$\mathcal L_S = \lambda_{seg}\,\mathcal L_{seg}(S(x_c), y_c)
+ w\,\lambda_{hint} \sum_l d\bigl(\phi^S_l(x_c), \phi^T_l(G(x_c))\bigr)$$

with w rising from 0 to 1. All networks train at once. The student alone is kept.

Source: Jiang et al. 2022 (IEEE TMI 41:1057, arXiv 2107.07985) and Jiang et al. 2019 (MICCAI): who
sees what, from the abstracts. Weights, layers, distances, what gradients reach, and the order below
could not be read; they are ours, and switches.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import torch
from lightning_fabric import Fabric
from monai.losses.dice import DiceCELoss
from torch import Tensor, nn

from medkd_lib.data.batches import Batch
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.methods.another import of_another
from medkd_lib.methods.base import Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.bedside import PSEUDO_ONLY, at_bedside
from medkd_lib.methods.cmedl_parts import Hints, HintsFrom, Student, Weights
from medkd_lib.methods.held import held, uncounted
from medkd_lib.methods.teacher_features import TeacherFeatures
from medkd_lib.methods.translate import Translator
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.models.tap import tap

Maps = dict[str, Tensor]
# Whose pictures the teacher may look at for a hint.
Pictures = Literal["pseudo", "true"]


class CMEDL(Method):
    """One translator, one teacher, and as many students as are to be compared.

    Several students beside each other see the same batches, translator and teacher: what differs
    between them is what they were given, not the luck of another adversarial training.

    Args:
        translator: source → target and back. Without features of its own, its contextual loss
            compares maps of the teacher's encoder.
        teacher: network of the target's modality, trained here.
        students: name → network and what it is given; the first one with hints from translated
            images is the method's own.
        hints: how features are handed on.
        weights: of everything else.
        learning_rate: of teacher and students, at the start of a half-cosine.
        steps: planned updates.
        views: augmentation of a whole batch; images and masks move together.

    Raises:
        ValueError: no student has hints from translated images.
    """

    def __init__(
        self,
        translator: Translator,
        teacher: SegmentationNetwork,
        students: Mapping[str, tuple[SegmentationNetwork, Student]],
        *,
        hints: Hints,
        weights: Weights,
        learning_rate: float,
        steps: int,
        views: Callable[[Batch], Batch],
    ) -> None:
        self.translator, self.hints, self.weights = translator, hints, weights
        if weights.contextual and translator.features is None:
            translator.features = TeacherFeatures(teacher)
        self.plans = {name: plan for name, (_, plan) in students.items()}
        own = [name for name, plan in self.plans.items() if plan.hints == "pseudo"]
        if not own:
            raise ValueError(
                "students: expected one with hints from translated images, which is the method's "
                f"own, found {self.plans}"
            )
        self.own, self.steps, self.views = own[0], steps, views
        self.networks = {**translator.networks, "teacher": teacher}
        self.networks |= {f"student_{name}": network for name, (network, _) in students.items()}
        for name, (network, plan) in students.items():
            adapters = self._adapters(network, teacher, plan)
            if adapters:
                self.networks[f"adapters_{name}"] = adapters
        self.optimizers, self.schedules = dict(translator.optimizers), dict(translator.schedules)
        self.learners = [name for name in self.networks if name not in translator.networks]
        for name in self.learners:
            adam, cosine = adam_with_cosine(self.networks[name], learning_rate, steps)
            self.optimizers[name], self.schedules[name] = adam, cosine
        # Dice over the batch: a section without tumour alone would have no Dice to speak of.
        self.segmentation = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, batch=True,
            lambda_ce=weights.cross_entropy,
        )  # fmt: skip

    def setup(self, fabric: Fabric) -> None:
        """Move everything to the fabric's device; the translator gets its wrapped networks."""
        super().setup(fabric)
        self.translator.bind(self.networks, self.optimizers, fabric)

    def update(self, batch: Batch) -> Losses:
        """One step on ``source``, ``source_masks``, ``target``, ``target_masks``.

        ``true``, the target's modality of the source's patients, is asked for by students with
        true hints; ``source_patients``, a number for each, by those with hints of another one;
        ``more`` and ``more_masks`` by those with more labels.
        """
        batch = self.views(batch)
        source, masks = batch["source"], batch["source_masks"]
        # 1, 2: generators, then discriminators
        losses = self.translator.update(source, batch["target"], self._minding(masks))
        # 3: translated anew by the generator as it is now, and cut off from it
        pseudo = self.translator.translate(source)
        # 4: the teacher on real and translated images, and on the true ones if a hint needs them
        teacher_loss, told = self._teach(batch, pseudo)
        losses["teacher"] = teacher_loss
        # 5: students on the source, each with the teacher's features that it may see
        total = teacher_loss
        for name in self.plans:
            segmentation, hint = self._learn(name, batch, pseudo, told)
            losses[f"{name}_segmentation"] = segmentation
            total = total + self.weights.segmentation * segmentation
            if hint is not None:
                losses[f"{name}_hint"] = hint
                total = total + self.ramp() * self.hints.weight * hint
        # Teacher and students share no weight, so one backward serves all of them; the hint uses
        # the features of this pass and not of the teacher one step later.
        for name in self.learners:
            self.optimizers[name].zero_grad()
        self.fabric.backward(total)
        for name in self.learners:
            self.optimizers[name].step()
        for schedule in self.schedules.values():
            schedule.step()
        return {name: value.detach() for name, value in losses.items()}

    def ramp(self) -> float:
        """Return how much hints count at the present step, from 0 to 1."""
        # The schedule counts the steps, and is saved with the rest.
        done, rise = self.schedules["teacher"].last_epoch, self.hints.warm_up * self.steps
        return min(1.0, done / rise) if rise > 0 else 1.0

    def _minding(self, masks: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Return the teacher's segmentation loss on translated images, for the generator alone."""
        weight = self.weights.segmentation_to_generator
        if not weight:
            return None

        def mind(pseudo: Tensor) -> Tensor:
            with held(self.networks["teacher"]):
                return weight * self._loss(self.networks["teacher"](pseudo), masks)

        return mind

    def _teach(self, batch: Batch, pseudo: Tensor) -> tuple[Tensor, dict[HintsFrom, Maps]]:
        """Return the teacher's loss, and its maps of what the students may be told about."""
        teacher, target = self.networks["teacher"], batch["target"]
        places = {layer: layer for layer in self.hints.layers}
        with tap(bare(teacher), places) as seen:
            logits = teacher(torch.cat([target, pseudo]))
        m = len(target)
        # L_T = L_seg(T(x_m), y_m) + L_seg(T(G(x_c)), y_c); true images carry no label in it
        loss = self._loss(logits[:m], batch["target_masks"]) + self._loss(
            logits[m:], batch["source_masks"]
        )
        told: dict[HintsFrom, Maps] = {"pseudo": {k: x[m:] for k, x in seen.items()}}
        if any(plan.hints == "true" for plan in self.plans.values()):
            # The teacher may not become another one because a control looks over its shoulder.
            with uncounted(bare(teacher)), tap(bare(teacher), places) as true:
                teacher(batch["true"])
            told["true"] = dict(true)
        return self.weights.segmentation * loss, told

    def _learn(
        self, name: str, batch: Batch, pseudo: Tensor, told: Mapping[HintsFrom, Maps]
    ) -> tuple[Tensor, Tensor | None]:
        """Return a student's segmentation loss and, if it has one, its hint loss."""
        plan, network = self.plans[name], self.networks[f"student_{name}"]
        source, masks = batch["source"], batch["source_masks"]
        images = torch.cat([source, pseudo], dim=1) if plan.concatenated else source
        if plan.more_labels:
            images, masks = (
                torch.cat([images, batch["more"]]),
                torch.cat([masks, batch["more_masks"]]),
            )
        places = {layer: layer for layer in self.hints.layers}
        with tap(bare(network), places if plan.hints != "nobody" else {}) as seen:
            logits = network(images)
        segmentation = self._loss(logits, masks)
        if plan.hints == "nobody":
            return segmentation, None
        adapters = self.networks.get(f"adapters_{name}")
        if plan.hints != "other":
            theirs = told[plan.hints]
        else:
            rows, others = of_another(batch["source_patients"])
            if not len(rows):
                return segmentation, logits.new_zeros(())
            seen = {layer: x[rows] for layer, x in seen.items()}
            theirs = {layer: x[others] for layer, x in told["pseudo"].items()}
        distances = []
        for layer in self.hints.layers:
            mine = seen[layer]
            if adapters is not None and layer in bare(adapters):  # type: ignore[operator]
                mine = cast(nn.ModuleDict, bare(adapters))[layer](mine)
            distances.append(
                feature_distance(
                    mine,
                    theirs[layer],
                    self.hints.distance,
                    self.hints.normalise,
                    detach=self.hints.detach,
                    generator=self.translator.draws,
                )
            )
        # Σ_l d(φ^S_l, φ^T_l)
        return segmentation, torch.stack(distances).sum()

    def _adapters(
        self, student: SegmentationNetwork, teacher: SegmentationNetwork, plan: Student
    ) -> nn.ModuleDict:
        """Return 1x1 convolutions for hinted layers whose channels differ; none for equals."""
        adapters = nn.ModuleDict()
        if plan.hints == "nobody":
            return adapters
        mine = dict(zip(student.hint_places, student.hint_channels, strict=True))
        theirs = dict(zip(teacher.hint_places, teacher.hint_channels, strict=True))
        for layer in self.hints.layers:
            if mine.get(layer) != theirs.get(layer):
                adapters[layer] = nn.Conv2d(mine[layer], theirs[layer], 1)
        return adapters

    def _loss(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Return Dice and cross-entropy of logits ``(N, classes, H, W)`` and ids ``(N, H, W)``."""
        loss: Tensor = self.segmentation(logits.float(), masks[:, None].float())
        return loss

    def deployable(self) -> nn.Module:
        """Return the method's own student: source images in, nothing else needed."""
        return self.deployed(self.own)

    def deployed(self, name: str) -> nn.Module:
        """Return what a student needs at the bedside: itself, or with the generator before it.

        ``pseudo_only`` is no student but the teacher behind the generator.
        """
        plan = self.plans.get(name)
        network = "teacher" if name == PSEUDO_ONLY else f"student_{name}"
        return at_bedside(bare(self.networks[network]), self.translator.carrier(), plan)

    def state_dict(self) -> dict[str, Any]:
        """Return networks, optimizers, random state and the translator's pools."""
        return super().state_dict() | {"translator": self.translator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.translator.load_state_dict(state["translator"])
