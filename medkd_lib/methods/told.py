"""What frozen teachers say of an image, kept beside it in a batch: asked once, not every step."""

from collections.abc import Collection

import torch
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.methods.joint_parts import Followed
from medkd_lib.models.levels import Levelled

LOGITS = "told_logits"


def part_of(batch: Batch, dataset: str) -> Batch:
    """Return a dataset's part of a batch, under plain names."""
    front = f"{dataset}/"
    return {n.removeprefix(front): x for n, x in batch.items() if n.startswith(front)}


def kept_in(batch: Batch) -> dict[tuple[int, int], Tensor]:
    """Return the maps that a batch brings, by teacher and level."""
    found = [(n, n.split("/")[1:]) for n in batch if n.startswith("told/")]
    return {(int(t), int(level)): batch[n].float() for n, (t, level) in found}


@torch.no_grad()
def ask(
    network: Levelled, images: Tensor, levels: Collection[int], followed: Followed = "joint"
) -> Batch:
    """Return what a frozen network says of images, under the names that a batch brings it.

    Args:
        network: in eval mode, so that an answer does not depend on the batch.
        images: as they will be shown to the student, ``(N, C, H, W)``.
        levels: whose maps are wanted.
        followed: ``joint`` gives its own maps as those of teacher 0; ``each`` those of every
            teacher inside a joint one.

    Returns:
        ``told_logits``, and ``told/TEACHER/LEVEL``.

    Raises:
        ValueError: the network is in training mode.
    """
    if network.training:
        raise ValueError("network: expected eval mode, found training; call .eval() first")
    seen = network.told(images)
    fused = network.fuse(seen)
    said: Batch = {LOGITS: network.decode(fused, images)}
    for t, maps in enumerate(seen if followed == "each" else [fused]):
        said |= {f"told/{t}/{level}": maps[level] for level in levels}
    return said


def ask_all(
    network: Levelled,
    images: Tensor,
    levels: Collection[int],
    followed: Followed = "joint",
    *,
    batch_size: int = 64,
) -> Batch:
    """Return `ask` of all images that will ever be shown, for a batch to bring.

    Args:
        network: see `ask`.
        images: every view.
        levels: see `ask`; their maps are what fills the memory.
        followed: see `ask`.
        batch_size: images asked at once.

    Returns:
        The same names, float16, on the CPU; readers go on in float32.
    """
    device = next(network.parameters()).device
    parts = [
        ask(network, chunk.to(device).float(), levels, followed)
        for chunk in images.split(batch_size)
    ]
    return {name: torch.cat([part[name].half().cpu() for part in parts]) for name in parts[0]}
