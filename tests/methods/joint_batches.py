"""Tiny networks and batches for the tests of joint-teacher distillation."""

import torch
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.models.unet import UNet

WIDTHS = (4, 6, 8)


def unet(seed: int, widths: tuple[int, ...] = WIDTHS) -> UNet:
    torch.manual_seed(seed)
    return UNet(1, 2, widths, "batch")


def scene(seed: int, number: int = 4, brightness: float = 0.0) -> Batch:
    """Noise with a bright square in each image, and where it is."""
    draw = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(number, 1, 16, 16, generator=draw) + brightness
    masks = torch.zeros(number, 16, 16, dtype=torch.uint8)
    for n, (i, j) in enumerate(torch.randint(0, 10, (number, 2), generator=draw).tolist()):
        masks[n, i : i + 6, j : j + 6] = 1
    return {"images": images + 2 * masks[:, None], "masks": masks}


def side_by_side(seed: int, **brightness: float) -> Batch:
    """A batch of several datasets, which differ by their brightness."""
    batch: Batch = {}
    for k, (name, value) in enumerate(brightness.items()):
        batch |= {f"{name}/{n}": x for n, x in scene(100 * seed + k, 4, value).items()}
    return batch


def weights_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
