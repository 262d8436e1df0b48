"""Tiny detection batches: noise with bright squares, and where they are."""

import torch

from medkd_lib.data.batches import Batch
from medkd_lib.data.box_batches import padded_boxes
from tests.models.detectors import SIDE


def squares(seed: int, number: int = 2, brightness: float = 0.0) -> Batch:
    """One square in each image, none in the last."""
    draw = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(number, 1, SIDE, SIDE, generator=draw) + brightness
    boxes: list[list[tuple[int, ...]]] = []
    for n, (x, y, s) in enumerate(torch.randint(6, 20, (number, 3), generator=draw).tolist()):
        last = n == number - 1 > 0
        boxes.append([] if last else [(x, y, x + s, y + s)])
        if not last:
            images[n, :, y : y + s, x : x + s] += 2
    return {"images": images, **padded_boxes(boxes, most=2)}


def of_datasets(seed: int, **brightness: float) -> Batch:
    """A batch of several datasets, which differ by their brightness."""
    batch: Batch = {}
    for k, (name, value) in enumerate(brightness.items()):
        batch |= {f"{name}/{n}": x for n, x in squares(100 * seed + k, 2, value).items()}
    return batch
