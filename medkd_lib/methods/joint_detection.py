"""Detection as a task of joint-teacher distillation."""

import torch
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.data.box_batches import BOXES, CLASSES, marked
from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.distill.boxes import binary_kd, box_terms
from medkd_lib.distill.chopra import chopra_of_maps
from medkd_lib.distill.foreground import cells_of_boxes, foreground_distance
from medkd_lib.methods.joint_parts import FeatureDistance
from medkd_lib.models.detector import Compared, Seen, Target


class Detection:
    r"""Boxes under the names ``boxes`` and ``box_classes``, see `padded_boxes`.

    Label loss: the detector's own, all of its terms, weighed as its library weighs them. Logit
    loss: what student and teacher say of the same things (`Seen.compared`), and how far apart their
    boxes are,

    $$\mathcal L_{logits}=\mathcal L_{kd}(T)+\lambda_b\,\mathcal L_{box}$$

    For Faster R-CNN the things are the teacher's proposals: the KL of softened class logits with
    background among the classes, proposals that the teacher takes for objects and all others
    weighing the same (`balanced_kd`; nearly every proposal is background). For RF-DETR they are
    the teacher's objects, each matched to one query in every group: the KL of softened yes-or-no
    answers (`binary_kd`). Boxes: `box_terms` for the teacher's objects alone. Of anchors, and of
    queries that nothing was matched to, nothing is distilled. Feature loss: `foreground_distance`.

    Args:
        score: from which probability on a teacher's box is an object. A detector with queries that
            learnt for minutes is seldom surer than a half.
        box: $\lambda_b$; 0 leaves boxes out.
        background: hard background cells per foreground cell.
        least: of them in every image and level.
        places: most places of a class in Chopra's pairs.
        seed: of the draw of those places.

    Raises:
        ValueError: a score outside 0…1.

    Source: the joint-teacher paper (arXiv 2605.01563) distils detectors; which of these terms it
    has, and their weights, is unknown to us. All of the above is ours.
    """

    def __init__(
        self, score: float = 0.3, *, box: float = 1.0, background: float = 1.0, least: int = 8,
        places: int = 64, seed: int = 0,
    ) -> None:  # fmt: skip
        if not 0 <= score <= 1:
            raise ValueError(f"score: expected within 0…1, found {score}")
        self.score, self.box = score, box
        self.background, self.least = background, least
        self.places, self.seed = places, seed

    def label_loss(self, output: Seen, batch: Batch) -> Tensor:
        """Return the sum of the detector's own losses."""
        return output.loss([Target(*one) for one in marked(batch, _size(batch))])

    def logit_loss(
        self, student: Seen, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the loss of class logits, and of boxes times their weight."""
        pairs = student.compared(teacher, self.score)
        loss = _class_term(pairs, temperature)
        if self.box:
            apart = box_terms(pairs.student_boxes, pairs.teacher_boxes, _size(batch))
            loss = loss + self.box * apart
        return loss

    def map_distance(
        self, student_map: Tensor, teacher_map: Tensor, batch: Batch, kind: FeatureDistance
    ) -> Tensor:
        """Return `foreground_distance` of each image; labels say where objects are."""
        if kind == "chopra":
            raise ValueError("kind: expected l2 or cosine, found chopra; see `contrast`")
        grid = (student_map.shape[-2], student_map.shape[-1])
        inside = cells_of_boxes(batch[BOXES], batch[CLASSES] > 0, _size(batch), grid)
        return foreground_distance(
            student_map, teacher_map, inside, kind, ratio=self.background, least=self.least
        )

    def contrast(self, student_map: Tensor, teacher_map: Tensor, batch: Batch) -> Tensor:
        """Return `chopra_of_maps` with a margin, of cells that a class's boxes touch and others."""
        grid = (student_map.shape[-2], student_map.shape[-1])
        kinds = torch.zeros(len(student_map), *grid, dtype=torch.long, device=student_map.device)
        for k in batch[CLASSES].unique().tolist():
            if k:  # in rising order: where classes meet the highest counts, as in `chopra_of_maps`
                touched = cells_of_boxes(batch[BOXES], batch[CLASSES] == k, _size(batch), grid)
                kinds[touched] = k
        draw = torch.Generator().manual_seed(self.seed)
        return chopra_of_maps(
            student_map, teacher_map, kinds, per_class=self.places, generator=draw
        )


def _class_term(pairs: Compared, temperature: float) -> Tensor:
    """Return the divergence of class logits; 0 where there is nothing to compare."""
    if not len(pairs.student_logits):
        return pairs.student_logits.sum()
    if pairs.exclusive:
        return balanced_kd(
            pairs.student_logits, pairs.teacher_logits, pairs.teacher_sure.long(), temperature
        )
    return binary_kd(pairs.student_logits, pairs.teacher_logits, temperature)


def _size(batch: Batch) -> tuple[int, int]:
    height, width = batch["images"].shape[-2:]
    return height, width
