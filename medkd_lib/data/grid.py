"""One voxel grid for all volumes of a case: resampling, and a box in the middle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.data.problems import bad
from medkd_lib.data.volume import Volume

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor

Shape = tuple[int, int, int]

HIGHEST_RESAMPLED = 65535


def resampled(
    volumes: Mapping[str, Volume],
    masks: frozenset[str],
    outside: Mapping[str, float],
    *,
    reference: str | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
) -> dict[str, Volume]:
    """Return the volumes on the grid of ``reference``, then at ``spacing_mm``, as far as given.

    Images are interpolated linearly, masks take the nearest voxel: a mean of two labels is a third
    one. Beyond an image's edge lies ``outside`` (0 by default), in masks background.

    Raises:
        DataError: ``many_labels``: an id that the resampled mask, uint16, cannot hold.
    """
    for role in sorted(masks):
        highest = int(np.max(volumes[role].array, initial=0))
        if highest > HIGHEST_RESAMPLED:
            raise bad(
                "many_labels", role, expected=f"label ids up to {HIGHEST_RESAMPLED}",
                found=f"{highest}", next_step="remap the labels in the manifest",
            )  # fmt: skip
    # MONAI takes seconds to import: only who resamples pays, not every worker of a loader.
    from monai.transforms.spatial.array import ResampleToMatch, Spacing

    out: dict[str, Any] = {r: _lifted(v, outside.get(r, 0.0)) for r, v in volumes.items()}
    modes = {role: "nearest" if role in masks else "bilinear" for role in volumes}
    if reference is not None:
        match, target = ResampleToMatch(padding_mode="zeros"), out[reference]
        others = {r: v for r, v in out.items() if r != reference}
        out |= _together(lambda v, mode: match(v, target, mode=mode), others, modes)
    if spacing_mm is not None:
        step = Spacing(spacing_mm, padding_mode="zeros")
        out = _together(lambda v, mode: step(v, mode=mode), out, modes)
    return {
        role: replace(
            volumes[role],
            array=_lowered(tensor, outside.get(role, 0.0), role in masks),
            affine=np.asarray(tensor.affine, np.float64),
        )
        for role, tensor in out.items()
    }


def _together(
    change: Callable[[MetaTensor, str], Tensor], volumes: Mapping[str, Any],
    modes: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Resample volumes of one grid and mode as channels: where a voxel comes from is found once."""
    from monai.data.meta_tensor import MetaTensor

    groups: dict[object, list[str]] = defaultdict(list)
    for role, volume in volumes.items():
        grid = (tuple(volume.shape), volume.affine.numpy().tobytes())
        groups[modes[role], grid].append(role)
    out: dict[str, Any] = {}
    for roles in groups.values():
        whole = torch.cat([volumes[role].as_tensor() for role in roles])
        moved: Any = change(MetaTensor(whole, affine=volumes[roles[0]].affine), modes[roles[0]])
        voxels, affine = moved.as_tensor(), moved.affine
        for channel, role in enumerate(roles):
            out[role] = MetaTensor(voxels[channel : channel + 1], affine=affine)
    return {role: out[role] for role in volumes}


def _lifted(volume: Volume, outside: float) -> MetaTensor:
    """Put a volume into MONAI's tensor, shifted so that MONAI's padding, 0, means outside."""
    from monai.data.meta_tensor import MetaTensor

    array = volume.array.astype(np.float32)
    array -= np.float32(outside)
    voxels = torch.from_numpy(np.ascontiguousarray(array))[None]
    return MetaTensor(voxels, affine=torch.from_numpy(volume.affine))


def _lowered(tensor: MetaTensor, outside: float, mask: bool) -> NDArray[Any]:
    array = tensor.as_tensor()[0].numpy()
    return np.rint(array).astype(np.uint16) if mask else array + np.float32(outside)


@dataclass(frozen=True)
class Box:
    """The middle of a grid: cropped where it is larger than wanted, padded where smaller.

    Odd differences are shared as MONAI's ``ResizeWithPadOrCrop`` shares them.

    Attributes:
        start: first voxel of the old grid that is inside, or minus the voxels put before it.
        shape: of the result.
    """

    start: Shape
    shape: Shape

    @classmethod
    def middle(cls, old: Shape, wanted: Shape | None) -> Box:
        """Return the box of ``wanted`` voxels in the middle of ``old``; all of it for None."""
        i, j, k = (_start(n, m) for n, m in zip(old, wanted or old, strict=True))
        return cls((i, j, k), wanted or old)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the part of the array that lies in the box (a view)."""
        i, j, k = (
            slice(max(s, 0), max(s + m, 0)) for s, m in zip(self.start, self.shape, strict=True)
        )
        return array[i, j, k]

    def place(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """Return where what `cut` returned lies in the box."""
        return tuple(
            slice(max(-s, 0), max(-s, 0) + n) for s, n in zip(self.start, shape, strict=True)
        )

    def affine(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the affine of the box: the same world, another first voxel."""
        moved = affine.copy()
        moved[:3, 3] = affine[:3, :3] @ np.array(self.start, float) + affine[:3, 3]
        return moved


def paste(part: NDArray[Any], into: Tensor) -> None:
    """Write an array into a tensor of its shape and any dtype."""
    into.copy_(_in_c_order(part, into.dtype))


def tissue_box(array: NDArray[Any], background: float) -> tuple[slice, ...]:
    """Return the smallest box that holds every voxel that is not background (may be empty)."""
    # NIfTI's first index runs fastest: turned over, whole lines of memory are looked at.
    tissue = (array != background).T
    lines = tissue.any(axis=2)
    k, j = _reach(lines.any(axis=1)), _reach(lines.any(axis=0))
    return _reach(tissue[k, j].any(axis=(0, 1))), j, k


def _reach(line: NDArray[np.bool_]) -> slice:
    where = np.flatnonzero(line)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)


def _in_c_order(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
    """Return the array as a tensor, quickly if its first index runs fastest, as NIfTI's does.

    A cast and a full transposition at once jump through memory; a cast in place, a transposition
    of two axes (done in blocks) and one that moves whole lines take a third of the time.
    """
    if not array.flags.writeable:  # PyTorch knows no read-only tensors
        array = array.copy(order="K")
    if not array.flags.f_contiguous or array.size == 0:
        return torch.from_numpy(np.ascontiguousarray(array))
    i, j, k = array.shape
    cast = torch.from_numpy(array.T).to(dtype)
    return cast.reshape(k, j * i).t().contiguous().reshape(j, i, k).transpose(0, 1)


def _start(old: int, wanted: int) -> int:
    return old // 2 - wanted // 2 if old > wanted else -((wanted - old) // 2)
