"""RF-DETR behind its map: queries that each answer with a box and a class, or with nothing."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from transformers import RfDetrForObjectDetection
from transformers.loss.loss_lw_detr import LwDetrHungarianMatcher

from medkd_lib.models.detector import Boxes, Compared, DetectionHead, Scene, Seen, Target


class Handed(nn.Module):
    """Stands where the library's network has its backbone, and hands on what it is given."""

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map, and that nothing of it is padding."""
        return maps, mask.bool()


class DetrHead(DetectionHead):
    """The library's network without its backbone: it is given a map where it expects an image.

    Args:
        network: whose backbone was taken out; its place gets a `Handed`.

    Shapes:
        candidates ``(N, Q, 4 + C)``: a box as centre, width and height in shares of the image, and
            a logit per class, of Q queries.
    """

    def __init__(self, network: RfDetrForObjectDetection) -> None:
        super().__init__()
        network.model.backbone = Handed()
        self.network = network

    @property
    def classes(self) -> int:
        """Number of classes; background is where all of them are unlikely."""
        return self.network.class_embed.out_features

    def forward(self, scene: Scene) -> "Tensor | DetrSeen":
        """Return candidates in eval mode, in training mode what losses need."""
        (features,) = scene.maps
        said = self.network(features)
        if self.training:
            return DetrSeen(self, said, scene.size)
        return torch.cat([said.pred_boxes, said.logits], dim=2)

    def boxes(self, candidates: Tensor, size: tuple[int, int]) -> list[Boxes]:
        """Return as many pairs of a query and a class as there are queries, the surest first.

        Nothing is suppressed: queries have learnt to answer for one object each.
        """
        boxes, logits = self.parts(candidates)
        scores, places = logits.sigmoid().flatten(1).topk(boxes.shape[1], dim=1)
        queries, classes = places // self.classes, places % self.classes
        corners = in_pixels(boxes, size).gather(1, queries[..., None].expand(-1, -1, 4))
        return [Boxes(*one) for one in zip(corners, scores, classes + 1, strict=True)]

    def parts(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Return the boxes and logits that candidates are made of.

        Raises:
            ValueError: candidates of another number of classes.
        """
        if candidates.ndim != 3 or candidates.shape[2] != 4 + self.classes:
            raise ValueError(
                f"candidates: expected (N, Q, {4 + self.classes}) for {self.classes} classes, "
                f"found {tuple(candidates.shape)}; teacher and student need the same classes"
            )
        boxes, logits = candidates.split([4, self.classes], dim=2)
        # Side by side in memory again: a sigmoid's last digit depends on it.
        return boxes.contiguous(), logits.contiguous()


class DetrSeen(Seen):
    """What the queries of all groups answered, and what they would have answered earlier.

    Args:
        head: whose answer.
        said: the library's output in training mode.
        size: of the images.
    """

    def __init__(self, head: DetrHead, said: Any, size: tuple[int, int]) -> None:
        self.head, self.said, self.size = head, said, size

    def loss(self, targets: Sequence[Target]) -> Tensor:
        """Return the library's weighed sum, of every layer and of the boxes before the first."""
        network, said = self.head.network, self.said
        config = network.config
        earlier: tuple[Tensor | None, Tensor | None] = (None, None)
        if config.auxiliary_loss:
            earlier = network.predict_class_and_boxes(
                said.intermediate_hidden_states, said.intermediate_reference_points
            )
        labels = [
            {"class_labels": t.classes - 1, "boxes": in_shares(t.boxes, self.size)} for t in targets
        ]
        loss, _, _ = network.loss_function(
            said.logits, labels, said.logits.device, said.pred_boxes, config, *earlier,
            said.enc_outputs_class, said.enc_outputs_coord_logits,
        )  # fmt: skip
        return cast(Tensor, loss)

    def compared(self, told: Tensor, score: float) -> Compared:
        """Return what queries say of the teacher's objects, those matched to them.

        An object is a teacher's query whose surest class has a probability of ``score`` or more.
        The match is the library's, of one query in every group to each object, as for labels; a
        student's other queries are told nothing.
        """
        boxes, logits = self.head.parts(told)
        sure = logits.sigmoid().amax(dim=2) >= score
        objects = [
            {"class_labels": z[s].argmax(dim=1), "boxes": b[s], "logits": z[s]}
            for z, b, s in zip(logits, boxes, sure, strict=True)
        ]
        said = {"logits": self.said.logits, "pred_boxes": self.said.pred_boxes}
        matched = self._matcher(said, objects, self.head.network.config.group_detr)
        mine = torch.cat([torch.full_like(q, n) for n, (q, _) in enumerate(matched)])
        queries = torch.cat([q for q, _ in matched])
        theirs = {
            name: torch.cat([o[name][k] for o, (_, k) in zip(objects, matched, strict=True)])
            for name in ("logits", "boxes")
        }
        return Compared(
            said["logits"][mine, queries], theirs["logits"],
            torch.ones(len(mine), dtype=torch.bool, device=logits.device),
            in_pixels(said["pred_boxes"][mine, queries], self.size),
            in_pixels(theirs["boxes"], self.size),
            exclusive=False,
        )  # fmt: skip

    @cached_property
    def _matcher(self) -> LwDetrHungarianMatcher:
        c = self.head.network.config
        return LwDetrHungarianMatcher(c.class_cost, c.bbox_cost, c.giou_cost)


def in_pixels(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes ``(…, 4)`` of centre and size in shares of the image as pixel edges."""
    height, width = size
    corners: Tensor = box_convert(boxes, "cxcywh", "xyxy")
    return corners * corners.new_tensor([width, height, width, height])


def in_shares(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes ``(…, 4)`` of pixel edges as centre and size in shares of the image."""
    height, width = size
    scale = boxes.new_tensor([width, height, width, height])
    shares: Tensor = box_convert(boxes / scale, "xyxy", "cxcywh")
    return shares
