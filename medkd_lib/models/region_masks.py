r"""Regions of a batch on a coarser grid: shares of cells, centres of mass, pooled features.

Everything is one count over the batch. A one-hot mask would hold batch × regions × voxels: 41 GB
in float32 for 16 patients of 64 × 224 × 224 voxels and 200 regions; the counts per cell of a grid
of 4 × 14 × 14 hold 10 MB.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

Grid = tuple[int, int, int]


class Regions:
    """Regions of a batch, checked once; graphs of student and teachers are built on the same ones.

    Args:
        labels: ``(B, D', H', W')`` whole numbers, 0 for none, 1 … R, on the device of the maps.
        count: R.
        spacing_mm: distance of voxels along D', H', W': one triple, or ``(B, 3)``.

    Attributes:
        present: ``(B, R)`` bool: regions of one voxel or more.
        centroids_mm: ``(B, R, 3)`` float32, 0 where absent, in mm from the centre of the
            first voxel along D', H', W'.

    Raises:
        ValueError: other axes, numbers that are not whole or not in 0 … R, a spacing of another
            shape or not positive.

    Example::

        regions = Regions(batch["regions"], count=12, spacing_mm=(4.0, 3.0, 3.0))
        masks = regions.masks((8, 16, 16))
    """

    def __init__(self, labels: Tensor, count: int, spacing_mm: Tensor | Sequence[float]) -> None:
        _check_labels(labels, count)
        spacing = _spacing(spacing_mm, labels)
        self.count = count
        self.shape = labels.shape
        # One number per region of the batch, 0 … B (R + 1) - 1; half the memory where it suffices.
        kind = torch.int32 if len(labels) * (count + 1) < 2**31 else torch.int64
        first = torch.arange(len(labels), dtype=kind, device=labels.device) * (count + 1)
        self._numbered = labels.to(kind) + first[:, None, None, None]
        self.centroids_mm, self.present = self._centroids(spacing)
        self._masks: dict[Grid, Tensor] = {}

    def masks(self, grid: Grid) -> Tensor:
        r"""Return the share of every cell that belongs to each region: masks averaged over area.

        $$M_r(v) = \frac{\lvert\{x \in v : \ell(x) = r\}\rvert}{\lvert v\rvert}$$

        with the label ℓ of voxel x. Where the grids do not divide, a voxel on the border of two
        cells belongs to both by the share of its volume, so no volume is lost and none counted
        twice. A grid that was asked for before is not counted again.

        Args:
            grid: cells of the feature map along the same axes, at most as many as voxels.

        Returns:
            ``(B, R, d, h, w)`` float32 in [0, 1].

        Raises:
            ValueError: a finer grid than the labels'.
        """
        if grid not in self._masks:
            self._masks[grid] = self._count_masks(grid)
        return self._masks[grid]

    def _count_masks(self, grid: Grid) -> Tensor:
        fine = self.shape[1:]
        if any(cells > voxels or cells < 1 for cells, voxels in zip(grid, fine, strict=True)):
            raise ValueError(
                f"grid: expected 1 to as many cells as voxels along each axis, found {tuple(grid)} "
                f"cells and {tuple(fine)} voxels; tap a coarser feature map or refine the labels"
            )
        places = grid[0] * grid[1] * grid[2]
        axes = [_cells(n, m, self._numbered.device) for n, m in zip(fine, grid, strict=True)]
        whole = all(len(parts) == 1 for parts in axes)
        masks = torch.zeros((), device=self._numbered.device)
        for (z, in_z), (y, in_y), (x, in_x) in product(*axes):
            cell = (z[:, None, None] * grid[1] + y[:, None]) * grid[2] + x
            share = None if whole else in_z[:, None, None] * in_y[:, None] * in_x
            masks = masks + self._counts(cell, places, share)
        return (masks * (places / fine.numel())).float().view(-1, self.count, *grid)

    def _centroids(self, spacing: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return centres of mass in mm from the centre of the first voxel, and who is present.

        $$c_r = \frac1{\lvert r\rvert}\sum_{(i,j,k)\in r} (i\,s_D,\; j\,s_H,\; k\,s_W)$$
        """
        centres = []
        size = torch.zeros(())
        for axis, voxels in enumerate(self.shape[1:]):
            at = torch.arange(voxels, device=self._numbered.device)
            here = self._counts(at.view([-1 if other == axis else 1 for other in range(3)]), voxels)
            size = here.sum(dim=-1)
            centres.append((here / size[..., None].clamp(min=1)) @ at.float())
        return torch.stack(centres, dim=-1) * spacing[:, None], size > 0

    def _counts(self, place: Tensor, places: int, share: Tensor | None = None) -> Tensor:
        """Return ``(B, R, places)``: how many voxels of each region lie at each place."""
        bins = len(self._numbered) * (self.count + 1) * places
        kind = torch.int32 if bins < 2**31 else torch.int64
        index = torch.add(place.to(kind), self._numbered.to(kind), alpha=places)
        weights = None if share is None else share.expand_as(index).flatten()
        found = torch.bincount(index.flatten(), weights, minlength=bins)
        return found.view(-1, self.count + 1, places)[:, 1:]


def pool_regions(features: Tensor, masks: Tensor) -> Tensor:
    r"""Return the mean feature of every region.

    $$h_r = \frac{\sum_v M_r(v)\,F(v)}{\sum_v M_r(v)}$$

    The gradient runs through; a region of no volume has the feature 0 and hands on nothing.

    Args:
        features: ``(B, C, d, h, w)``, any precision; computed in float32 at least.
        masks: ``(B, R, d, h, w)``, constants, on the same device.

    Returns:
        ``(B, R, C)``, float32 or float64.

    Raises:
        ValueError: batches or grids differ.
    """
    if features.ndim != 5 or (len(features), *features.shape[2:]) != (
        len(masks),
        *masks.shape[2:],
    ):
        raise ValueError(
            f"pool_regions: expected features (B, C, d, h, w) and masks (B, R, d, h, w), found "
            f"{tuple(features.shape)} and {tuple(masks.shape)}; ask for masks of the map's grid"
        )
    with torch.autocast(features.device.type, enabled=False):
        wide = features if features.dtype == torch.float64 else features.float()
        weights = masks.to(wide.dtype).flatten(2)
        total = weights.sum(dim=-1, keepdim=True)
        weights = weights / total.masked_fill(total == 0, 1.0)
        return weights @ wide.flatten(2).transpose(1, 2)


def _cells(voxels: int, cells: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return the one or two cells that each voxel of an axis lies in, and its share in them."""
    # In units of 1 / cells of a voxel: a voxel is `cells` wide, a cell `voxels`.
    start = torch.arange(voxels, device=device) * cells
    first = start // voxels
    share = ((first + 1) * voxels - start).clamp(max=cells) / cells
    parts = [(first, share)]
    if voxels % cells:
        parts.append(((first + 1).clamp(max=cells - 1), 1 - share))
    return parts


def _check_labels(labels: Tensor, count: int) -> None:
    if labels.ndim != 4 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"regions: expected whole numbers (B, D', H', W'), found {labels.dtype} "
            f"{tuple(labels.shape)}; give one label map per patient, not one-hot masks"
        )
    if count < 1 or not labels.numel():
        raise ValueError(
            f"regions: expected at least one number and one voxel, found count = {count} and "
            f"{tuple(labels.shape)}"
        )
    low, high = (int(x) for x in labels.aminmax())
    if low < 0 or high > count:
        raise ValueError(
            f"regions: expected numbers 0 to count = {count}, found {low} to {high}; number them "
            "with region_ids and pass as many as it names"
        )


def _spacing(spacing_mm: Tensor | Sequence[float], labels: Tensor) -> Tensor:
    """Return ``(B, 3)`` or ``(1, 3)``."""
    spacing = torch.as_tensor(spacing_mm, dtype=torch.float32, device=labels.device)
    if spacing.shape not in ((3,), (len(labels), 3)):
        raise ValueError(
            f"spacing_mm: expected 3 numbers or ({len(labels)}, 3), found {tuple(spacing.shape)}"
        )
    if not bool(((spacing > 0) & spacing.isfinite()).all()):
        raise ValueError(
            f"spacing_mm: expected millimetres > 0, found {spacing.tolist()}; read them from the "
            "affine of the labels' grid, in the order of its axes"
        )
    return spacing.view(-1, 3)
