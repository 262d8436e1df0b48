"""Tiny detectors of both kinds, the same weights in the library's own form, and drawn squares."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from medkd_lib.models.detector import Detector, Target, head_of
from medkd_lib.models.faster_rcnn import small_faster_rcnn
from medkd_lib.models.faster_rcnn_head import RcnnHead
from medkd_lib.models.rf_detr import small_rf_detr
from medkd_lib.models.rf_detr_head import DetrHead, in_shares

SIDE = 48


def rcnn(seed: int = 0, classes: int = 1) -> Detector:
    torch.manual_seed(seed)
    return small_faster_rcnn(1, classes, (4, 6, 8), pyramid=8, hidden=12, anchors=(8, 16, 32))


def detr(seed: int = 0, classes: int = 1) -> Detector:
    torch.manual_seed(seed)
    return small_rf_detr(1, classes, SIDE, hidden=16, layers=2, width=16, queries=6, groups=2)


DETECTORS: Mapping[str, Callable[..., Detector]] = {"faster_rcnn": rcnn, "rf_detr": detr}


def images(number: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(number, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def target(*boxes: Sequence[float], kind: int = 1) -> Target:
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(rows, torch.full((len(rows),), kind))


TARGETS = [target((4, 6, 14, 20), (30, 30, 40, 38)), target((0, 0, 9, 9)), target()]


class Plain:
    """The library's detector, called as its own documentation says."""

    def __init__(self, network: Detector) -> None:
        """Put a copy of the wrapper's parts together again."""
        copy = deepcopy(network)
        self.head = head_of(copy)
        if isinstance(self.head, RcnnHead):
            self.network: Any = _rcnn(copy, self.head)
        elif isinstance(self.head, DetrHead):
            self.network = _detr(copy, self.head)

    def loss(self, x: Tensor, targets: Sequence[Target]) -> Tensor:
        if isinstance(self.head, DetrHead):
            labels = [
                {"class_labels": t.classes - 1, "boxes": in_shares(t.boxes, (SIDE, SIDE))}
                for t in targets
            ]
            return self.network(x, labels=labels).loss
        named = [{"boxes": t.boxes, "labels": t.classes} for t in targets]
        return sum(self.network(list(x), named).values())

    def found(self, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes, scores and classes, by the library's own post-processing."""
        if isinstance(self.head, RcnnHead):
            return [(f["boxes"], f["scores"], f["labels"]) for f in self.network.eval()(list(x))]
        from transformers import RfDetrImageProcessor

        said = self.network.eval()(x)
        sizes = [tuple(x.shape[-2:])] * len(x)
        rows = RfDetrImageProcessor().post_process_object_detection(said, 0.0, sizes)
        return [(f["boxes"], f["scores"], f["labels"] + 1) for f in rows]


def _rcnn(copy: Detector, head: RcnnHead) -> nn.Module:
    """torchvision's `GeneralizedRCNN` with a transform that leaves images alone."""
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    transform = GeneralizedRCNNTransform(
        SIDE, SIDE, [0.0], [1.0], size_divisible=1, fixed_size=(SIDE, SIDE), _skip_resize=True
    )
    return GeneralizedRCNN(copy.encoder, head.rpn, head.roi_heads, transform)


def _detr(copy: Detector, head: DetrHead) -> nn.Module:
    head.network.model.backbone = copy.encoder
    return head.network
