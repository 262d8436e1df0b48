"""Random views of a batch of sections in which image, mask and true counterpart move together."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from medkd_lib.data.batches import Batch

# What shows the same place in a batch: image, its mask, of two modalities the true counterpart.
TOGETHER: Mapping[str, Sequence[str]] = {
    "images": ("images", "masks"),
    "source": ("source", "source_masks", "true"),
    "target": ("target", "target_masks"),
    "more": ("more", "more_masks"),
}
AIR = -1.0


def section_views(batch: Batch, *, shift: int = 4, flip: float = 0.0) -> Batch:
    """Return every section moved by whole pixels, some mirrored; nothing is interpolated.

    A moved mask stays a mask of ids, and a translated image has no blur that a real one lacks.
    Randomness comes from torch's global generator on the CPU.

    Args:
        batch: images ``(N, 1, H, W)`` on [-1, 1], masks ``(N, H, W)``; see `TOGETHER`.
        shift: largest displacement along either axis, in pixels; air and background move in.
        flip: probability of a mirror image, left for right; 0 where the side matters.
    """
    out = dict(batch)
    for names in TOGETHER.values():
        present = [name for name in names if name in batch]
        if not present:
            continue
        n = len(batch[present[0]])
        moves = torch.randint(-shift, shift + 1, (n, 2)).tolist()
        mirrored = (torch.rand(n) < flip).tolist()
        for name in present:
            fill = AIR if batch[name].is_floating_point() else 0
            rows = [
                _moved(x, move, fill, mirror)
                for x, move, mirror in zip(batch[name], moves, mirrored, strict=True)
            ]
            out[name] = torch.stack(rows)
    return out


def _moved(section: Tensor, move: Sequence[int], fill: float, mirror: bool) -> Tensor:
    """Return one section ``(…, H, W)`` moved down and to the right, then perhaps mirrored."""
    height, width = section.shape[-2:]
    down, right = move
    out = torch.full_like(section, fill)
    rows, columns = _overlap(height, down), _overlap(width, right)
    out[..., rows[1], columns[1]] = section[..., rows[0], columns[0]]
    return out.flip(-1) if mirror else out


def _overlap(size: int, move: int) -> tuple[slice, slice]:
    """Return where along an axis something is taken from, and where it goes."""
    return (
        slice(max(0, -move), size - max(0, move)),
        slice(max(0, move), size - max(0, -move)),
    )
