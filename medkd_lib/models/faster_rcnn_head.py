"""Faster R-CNN behind its maps: region proposals, and what each of them is."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from medkd_lib.models.detector import Boxes, Compared, DetectionHead, Scene, Seen, Target


class RcnnHead(DetectionHead):
    """torchvision's region proposal network and its heads per region, called as it calls them.

    The coarsest map of the pyramid, every second value of the one before, is made here: it is
    nothing that an encoder could say, or a student follow.

    Args:
        rpn: proposes boxes.
        roi_heads: says what is in them, and mends them.

    Shapes:
        candidates ``(N, P, 4 + (C + 1) + 4 (C + 1))``: the proposal in pixel edges, logits of
        background and of C classes, and per class how the box is to be mended, in torchvision's
        code. P is the most proposals of an image; where there are fewer, rows are zero, a proposal
        without area, which no proposal network lets pass.
    """

    def __init__(self, rpn: RegionProposalNetwork, roi_heads: RoIHeads) -> None:
        super().__init__()
        self.rpn, self.roi_heads = rpn, roi_heads
        self.coarser = LastLevelMaxPool()

    @property
    def classes(self) -> int:
        """Number of classes beside background."""
        return int(self.roi_heads.box_predictor.cls_score.out_features) - 1

    def forward(self, scene: Scene) -> "Tensor | RcnnSeen":
        """Return candidates in eval mode, in training mode what losses need."""
        maps, images = self.features(scene), listed(scene)
        if self.training:
            return RcnnSeen(self, maps, images)
        proposals, _ = self.rpn(images, maps, None)
        logits, codes = self.look(maps, images, proposals)
        rows = torch.cat([torch.cat(proposals), logits, codes], dim=1)
        padded = pad_sequence(list(rows.split([len(p) for p in proposals])), batch_first=True)
        # as many rows as there can be, so that answers to other images have this shape, too
        return F.pad(padded, (0, 0, 0, self.rpn.post_nms_top_n() - padded.shape[1]))

    def boxes(self, candidates: Tensor, size: tuple[int, int]) -> list[Boxes]:
        """Return torchvision's choice: sure enough, the best of those that overlap, so many."""
        proposals, logits, codes = self.parts(candidates)
        there = has_area(proposals)
        found = self.roi_heads.postprocess_detections(
            logits[there], codes[there], [p[t] for p, t in zip(proposals, there, strict=True)],
            [size] * len(candidates),
        )  # fmt: skip
        return [Boxes(boxes, scores, labels) for boxes, scores, labels in zip(*found, strict=True)]

    def features(self, scene: Scene) -> dict[str, Tensor]:
        """Return the maps under the names that torchvision gives them, and the coarsest one."""
        maps, names = self.coarser(list(scene.maps), [], [str(k) for k in range(len(scene.maps))])
        return OrderedDict(zip(names, maps, strict=True))

    def look(
        self, maps: dict[str, Tensor], images: ImageList, proposals: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return logits and box codes of proposals, those of all images in a row."""
        heads = self.roi_heads
        regions = heads.box_head(heads.box_roi_pool(maps, list(proposals), images.image_sizes))
        logits, codes = heads.box_predictor(regions)
        return logits, codes

    def parts(self, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the proposals, logits and codes that candidates are made of.

        Raises:
            ValueError: candidates of another number of classes.
        """
        each = (4, self.classes + 1, 4 * (self.classes + 1))
        if candidates.ndim != 3 or candidates.shape[2] != sum(each):
            raise ValueError(
                f"candidates: expected (N, P, {sum(each)}) for {self.classes} classes, found "
                f"{tuple(candidates.shape)}; teacher and student need the same classes"
            )
        proposals, logits, codes = candidates.split(each, dim=2)
        return proposals, logits, codes

    def mended(self, codes: Tensor, proposals: Tensor, classes: Tensor) -> Tensor:
        """Return the boxes ``(K, 4)`` of proposals, mended as one class each asks for."""
        decoded = self.roi_heads.box_coder.decode(codes, [proposals])
        boxes = decoded.reshape(len(codes), self.classes + 1, 4)  # without a proposal it is not so
        chosen: Tensor = boxes[torch.arange(len(classes), device=classes.device), classes]
        return chosen


class RcnnSeen(Seen):
    """Maps and images, until labels say which anchors and proposals are drawn.

    Args:
        head: that will look at them.
        maps: all of them.
        images: with their sizes.
    """

    def __init__(self, head: RcnnHead, maps: dict[str, Tensor], images: ImageList) -> None:
        self.head, self.maps, self.images = head, maps, images

    def loss(self, targets: Sequence[Target]) -> Tensor:
        """Return torchvision's four losses, added up as its own training does."""
        named = [{"boxes": t.boxes, "labels": t.classes} for t in targets]
        proposals, of_proposals = self.head.rpn(self.images, self.maps, named)
        sizes = self.images.image_sizes
        _, of_regions = self.head.roi_heads(self.maps, proposals, sizes, named)
        return reduce(torch.add, [*of_regions.values(), *of_proposals.values()])

    def compared(self, told: Tensor, score: float) -> Compared:
        r"""Return what both say of the teacher's proposals: the student looks where it looked.

        Its own proposals would be others in every step, and unknown to a teacher that was asked
        beforehand. An object is a proposal whose surest class besides background has a probability
        of ``score`` or more, and its box is the one mended for that class.
        """
        proposals, logits, codes = self.head.parts(told)
        there = has_area(proposals)
        places = [p[t] for p, t in zip(proposals, there, strict=True)]
        mine, my_codes = self.head.look(self.maps, self.images, places)
        theirs, their_codes, where = logits[there], codes[there], proposals[there]
        sure, kind = theirs.softmax(dim=1)[:, 1:].max(dim=1)
        objects, kind = sure >= score, kind + 1
        return Compared(
            mine, theirs, objects,
            self.head.mended(my_codes[objects], where[objects], kind[objects]),
            self.head.mended(their_codes[objects], where[objects], kind[objects]),
            exclusive=True,
        )  # fmt: skip


def listed(scene: Scene) -> ImageList:
    """Return images as torchvision wants them: all of one size, nothing padded."""
    return ImageList(scene.images, [scene.size] * len(scene.images))


def has_area(proposals: Tensor) -> Tensor:
    """Return ``(N, P)`` bool, False for rows that only fill up."""
    return (proposals[..., 2:] > proposals[..., :2]).all(dim=-1)
