"""Boxes cut out of volumes, all modalities on one grid, with regions and a label each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.data.store import key_of


@dataclass(frozen=True)
class Blocks:
    """Boxes in memory; all modalities show the same place.

    Attributes:
        images: name → ``(N, 1, D, H, W)``, half precision.
        regions: ``(N, D, H, W)`` uint8: 0 for none, n is ``region_names[n - 1]``.
        region_names: of all regions, whether a patient has them or not.
        labels: ``(N,)`` int64.
        patients: of each box.
        ids: of each box.
        spacing_mm: size of a voxel along D, H, W.
        facts: name → ``(N,)`` numbers; what nobody knows is NaN.
        fingerprint: of everything above.
    """

    images: Mapping[str, Tensor]
    regions: Tensor
    region_names: tuple[str, ...]
    labels: Tensor
    patients: tuple[str, ...]
    ids: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    facts: Mapping[str, NDArray[np.float64]]
    fingerprint: str

    def __post_init__(self) -> None:
        """Refuse parts of unequal length.

        Raises:
            ValueError: names the lengths.
        """
        lengths = {name: len(image) for name, image in self.images.items()}
        lengths |= {name: len(numbers) for name, numbers in self.facts.items()}
        lengths |= {name: len(getattr(self, name)) for name in ("regions", "labels", "patients")}
        if set(lengths.values()) != {len(self.ids)}:
            raise ValueError(f"blocks: expected {len(self.ids)} of everything, found {lengths}")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: Sequence[int] | Tensor) -> Blocks:
        """Return the boxes at ``rows``."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        numbers = chosen.tolist()
        return replace(
            self,
            images={name: x[chosen] for name, x in self.images.items()},
            regions=self.regions[chosen],
            labels=self.labels[chosen],
            patients=tuple(self.patients[i] for i in numbers),
            ids=tuple(self.ids[i] for i in numbers),
            facts={name: x[numbers] for name, x in self.facts.items()},
            fingerprint=key_of(of=self.fingerprint, rows=numbers),
        )

    def of(self, patients: Sequence[str]) -> Blocks:
        """Return the boxes of some patients, in their present order."""
        wanted = set(patients)
        return self.rows([i for i, p in enumerate(self.patients) if p in wanted])

    def cut(self, shape: tuple[int, int, int], first: NDArray[np.integer], key: str) -> Blocks:
        """Return a smaller box of each, beginning at its own voxel.

        Args:
            shape: voxels of the result along D, H, W.
            first: ``(N, 3)``, where each begins.
            key: what the places depend on, for the fingerprint.

        Raises:
            ValueError: a box that reaches beyond the edge.
        """
        room = np.array(self.regions.shape[1:]) - shape
        if first.shape != (len(self), 3) or (first < 0).any() or (first > room).any():
            raise ValueError(
                f"cut: expected one place for each of {len(self)} boxes, from 0 to {room.tolist()},"
                f" found {first.shape}, from {first.min(0).tolist()} to {first.max(0).tolist()}"
            )
        axes = [torch.from_numpy(first[:, a, None] + np.arange(n)) for a, n in enumerate(shape)]
        row = torch.arange(len(self))[:, None, None, None]
        z, y, x = axes[0][:, :, None, None], axes[1][:, None, :, None], axes[2][:, None, None, :]
        return replace(
            self,
            images={n: image[:, 0][row, z, y, x][:, None] for n, image in self.images.items()},
            regions=self.regions[row, z, y, x],
            fingerprint=key_of(of=self.fingerprint, shape=shape, places=key),
        )


def joined(parts: Sequence[Blocks]) -> Blocks:
    """Return boxes of several patients, or several views of them, as one.

    Raises:
        ValueError: no parts, or parts that differ in their voxels, modalities or regions.
    """
    if not parts:
        raise ValueError("blocks: expected at least one part to join, found none")
    first = parts[0]

    def kind(b: Blocks) -> object:
        return tuple(b.regions.shape[1:]), set(b.images), set(b.facts), b.region_names, b.spacing_mm

    if other := [b for b in parts if kind(b) != kind(first)]:
        raise ValueError(
            f"blocks: expected parts alike, found {kind(first)} and {kind(other[0])}; prepare them "
            "with one frame"
        )
    return Blocks(
        {name: torch.cat([b.images[name] for b in parts]) for name in first.images},
        torch.cat([b.regions for b in parts]),
        first.region_names,
        torch.cat([b.labels for b in parts]),
        tuple(p for b in parts for p in b.patients),
        tuple(i for b in parts for i in b.ids),
        first.spacing_mm,
        {name: np.concatenate([b.facts[name] for b in parts]) for name in first.facts},
        key_of(joined=[b.fingerprint for b in parts]),
    )
