"""Random views of a batch of images in which boxes move with what they mark."""

import torch
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.data.box_batches import BOXES, CLASSES, cut_to
from medkd_lib.data.section_views import AIR, _moved


def box_views(batch: Batch, *, shift: int = 4, flip: float = 0.0, visible: float = 0.5) -> Batch:
    """Return every image moved by whole pixels, some mirrored, and its boxes likewise.

    Nothing is interpolated. Randomness comes from torch's global generator on the CPU.

    Args:
        batch: ``images`` ``(N, 1, H, W)`` on [-1, 1], ``boxes`` and ``box_classes`` as
            `padded_boxes` gives them.
        shift: largest displacement along either axis, in pixels; air moves in.
        flip: probability of a mirror image, left for right; 0 where the side matters.
        visible: least share of a box's area that is still in the image; of others the mark is
            taken away, and what is left of the object counts as background.
    """
    images, out = batch["images"], dict(batch)
    n, size = len(images), (images.shape[-2], images.shape[-1])
    moves = torch.randint(-shift, shift + 1, (n, 2))
    mirrored = torch.rand(n) < flip
    out["images"] = torch.stack(
        [
            _moved(x, move, AIR, mirror)
            for x, move, mirror in zip(images, moves.tolist(), mirrored.tolist(), strict=True)
        ]
    )
    boxes = batch[BOXES]
    down, right = moves.to(boxes).unbind(dim=1)
    moved = boxes + torch.stack([right, down, right, down], dim=1)[:, None]
    inside = cut_to(moved, size)
    kept = _area(inside) >= visible * _area(moved)
    out[CLASSES] = batch[CLASSES] * kept
    turned = inside[..., [2, 1, 0, 3]] * inside.new_tensor([-1, 1, -1, 1])
    turned = turned + turned.new_tensor([size[1], 0, size[1], 0])
    out[BOXES] = torch.where(mirrored.to(boxes.device)[:, None, None], turned, inside)
    return out


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
