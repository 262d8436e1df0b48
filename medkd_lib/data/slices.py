"""Volumes → labelled axial slices: the label comes from the mask, the patient stays attached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.data.case import Case
from medkd_lib.data.images import ImageSet
from medkd_lib.data.store import key_of
from medkd_lib.data.volumes import Prepared, Volumes

# Names of the ids that `tumour_state` gives.
TUMOUR_STATES = ("none", "oedema only", "core, nothing enhances", "enhancing")
# Names of the ids that `tumour_level` gives.
TUMOUR_LEVELS = ("none", "oedema only", "core")

Rule = Callable[[NDArray[np.uint8], float], int | None]


@dataclass(frozen=True)
class SliceRow:
    """One axial slice: the case, its row in the volumes, the slice number and the label."""

    case: Case
    row: int
    k: int
    label: int


@dataclass(frozen=True)
class SliceSet:
    """Slices in memory, upright as a radiologist looks at them.

    Shapes:
        images: ``(N, C, H, W)`` float32, rows from front to back, columns from the patient's
            right to left.
        masks: ``(N, H, W)`` uint8 label ids.
        labels: ``(N,)`` int64.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor
    rows: tuple[SliceRow, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each slice."""
        return tuple(r.case.patient for r in self.rows)


def tumour_state(mask: NDArray[np.uint8], pixel_mm2: float, least_mm2: float = 50.0) -> int | None:
    """Return the state of a slice (id in `TUMOUR_STATES`), or None in the grey zone.

    A part counts as present from ``least_mm2`` on and as absent at zero; a slice with a part in
    between shows too little to be called either, and is left out.

    Args:
        mask: BraTS 2023 ids, 1 necrosis or other core, 2 oedema, 3 enhancing.
        pixel_mm2: area of a pixel.
        least_mm2: smallest area that counts.
    """
    for state, part in ((3, 3), (2, 1), (1, 2)):
        area = float((mask == part).sum()) * pixel_mm2
        if area >= least_mm2:
            return state
        if area > 0:
            return None
    return 0


def tumour_level(mask: NDArray[np.uint8], pixel_mm2: float) -> int | None:
    """Return how far a slice has got (id in `TUMOUR_LEVELS`), or None in the grey zone.

    The two states with a core are one level: on the glioma twins fewer than one slice in a hundred
    shows a core that does not enhance, too few to learn and far too few to measure. The levels are
    nested as BraTS's regions are: whole tumour, tumour core.
    """
    state = tumour_state(mask, pixel_mm2)
    return None if state is None else min(state, 2)


def tumour_present(mask: NDArray[np.uint8], pixel_mm2: float) -> int | None:
    """Return 1 for a slice with tumour, 0 for one without, None in the grey zone."""
    state = tumour_state(mask, pixel_mm2)
    return None if state is None else min(state, 1)


def label_slices(
    volumes: Volumes, rule: Rule = tumour_state, *, inside: float = 0.25
) -> list[SliceRow]:
    """Return all slices that get a label, in the order of cases and slices.

    Args:
        volumes: cases with masks, prepared in LPS.
        rule: mask of a slice and pixel area → label or None (leave out).
        inside: share of the fullest slice's tissue that a slice must hold; without it *no tumour*
            would mostly mean *top of the skull*.

    Raises:
        ValueError: the recipe has no mask or another orientation.
    """
    _require_upright(volumes)
    rows = []
    for number in range(len(volumes)):
        prepared = volumes[number]
        mask = label_volume(prepared)
        tissue = (prepared.image != 0).any(dim=0).sum(dim=(0, 1)).float()
        size = prepared.affine[:3, :3].norm(dim=0)
        for k in range(mask.shape[2]):
            if tissue[k] < inside * tissue.max():
                continue
            label = rule(np.asarray(mask[:, :, k]), float(size[0] * size[1]))
            if label is not None:
                rows.append(SliceRow(prepared.case, number, k, label))
    return rows


def pick(rows: Sequence[SliceRow], per_case: int, seed: int) -> list[SliceRow]:
    """Return at most ``per_case`` slices of each case, drawn by seed, in the order given."""
    rng = np.random.default_rng(seed)
    by_case: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        by_case.setdefault(row.case.id, []).append(i)
    chosen: set[int] = set()
    for members in by_case.values():
        chosen.update(rng.permutation(members)[:per_case].tolist())
    return [row for i, row in enumerate(rows) if i in chosen]


def load_slices(volumes: Volumes, rows: Sequence[SliceRow]) -> SliceSet:
    """Return the pixels of the rows; each volume is opened once."""
    _require_upright(volumes)
    images: list[Tensor | None] = [None] * len(rows)
    masks: list[Tensor | None] = [None] * len(rows)
    for number in sorted({r.row for r in rows}):
        prepared = volumes[number]
        mask = label_volume(prepared)
        for i, row in enumerate(rows):
            if row.row == number:
                images[i] = prepared.image[:, :, :, row.k].transpose(1, 2).float()
                masks[i] = mask[:, :, row.k].T.contiguous()
    return SliceSet(
        torch.stack([i for i in images if i is not None]),
        torch.stack([m for m in masks if m is not None]),
        torch.tensor([r.label for r in rows]),
        tuple(rows),
    )


def slice_images(volumes: Volumes, rows: Sequence[SliceRow]) -> ImageSet:
    """Return the rows as labelled images in half precision; each is named ``case/kNNN``."""
    loaded = load_slices(volumes, rows)
    files = {number: volumes.key(volumes.cases[number]) for number in {r.row for r in rows}}
    return ImageSet(
        loaded.images.half(),
        loaded.labels,
        loaded.patients,
        tuple(f"{r.case.id}/k{r.k:03d}" for r in rows),
        key_of(slices=[(files[r.row], r.k, r.label) for r in rows]),
        loaded.masks,
    )


def label_volume(prepared: Prepared) -> Tensor:
    """Return the case's label map ``(I, J, K)``.

    Raises:
        ValueError: the recipe named no mask.
    """
    if prepared.mask is None:
        raise ValueError(f"case {prepared.case.id}: slices need a mask; name one in the recipe")
    return prepared.mask


def _require_upright(volumes: Volumes) -> None:
    if volumes.recipe.axcodes != "LPS":
        raise ValueError(
            f"recipe: expected axcodes 'LPS', so that slices stand upright, found "
            f"{volumes.recipe.axcodes!r}"
        )
