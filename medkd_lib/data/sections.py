"""Axial sections of one or several modalities on one grid, with masks: material of segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.data.store import key_of


@dataclass(frozen=True)
class Sections:
    """Sections in memory; all modalities show the same place.

    Attributes:
        images: modality → ``(N, 1, H, W)`` float32 on [-1, 1], the range of a translator's tanh.
        masks: ``(N, H, W)`` uint8 label ids.
        patients: of each section.
        ids: ``case/kNNN``, the case and the number of the slice.
        spacing_mm: size of a voxel along rows, columns and from section to section.
        facts: name → ``(N,)`` numbers of each section's patient, such as a tumour's volume in mL;
            what nobody knows is NaN.
        fingerprint: of everything above.
    """

    images: Mapping[str, Tensor]
    masks: Tensor
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
        lengths = {name: len(x) for name, x in self.images.items()}
        lengths |= {name: len(x) for name, x in self.facts.items()}
        lengths |= {"masks": len(self.masks), "patients": len(self.patients), "ids": len(self.ids)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"sections: expected parts of one length, found {lengths}")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: Sequence[int] | Tensor) -> Sections:
        """Return the sections at ``rows``."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        numbers = chosen.tolist()
        return replace(
            self,
            images={name: x[chosen] for name, x in self.images.items()},
            masks=self.masks[chosen],
            patients=tuple(self.patients[i] for i in numbers),
            ids=tuple(self.ids[i] for i in numbers),
            facts={name: x[numbers] for name, x in self.facts.items()},
            fingerprint=key_of(of=self.fingerprint, rows=numbers),
        )

    def of(self, patients: Sequence[str]) -> Sections:
        """Return the sections of some patients, in their present order."""
        wanted = set(patients)
        return self.rows([i for i, p in enumerate(self.patients) if p in wanted])

    def with_share(self, share: float) -> Sections:
        """Return the sections, some of them repeated, so that a share of them shows something.

        Tumours fill few sections; without this a network is mostly shown none, and two modalities
        whose shares differ tell a translator to add tumours or to take them away. For training.

        Args:
            share: of the sections whose mask is not empty, in [0, 1]; 0 leaves only the others.

        Raises:
            ValueError: an impossible share, or no section of a kind that is asked for.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share: expected a number in [0, 1], found {share}")
        shows = (self.masks > 0).flatten(1).any(dim=1)
        kinds = {"with": torch.nonzero(shows).flatten(), "without": torch.nonzero(~shows).flatten()}
        total = 2 * max(len(rows) for rows in kinds.values())
        wanted = {"with": round(share * total), "without": total - round(share * total)}
        if empty := [kind for kind, n in wanted.items() if n and not len(kinds[kind])]:
            raise ValueError(
                f"share {share}: expected sections {empty[0]} something in the mask, found none "
                f"among {len(self)}"
            )
        repeated = [
            rows.repeat(-(-wanted[kind] // max(1, len(rows))))[: wanted[kind]]
            for kind, rows in kinds.items()
        ]
        return self.rows(torch.cat(repeated))


def joined(parts: Sequence[Sections]) -> Sections:
    """Return sections of several patients as one; modalities and facts that all of them have.

    Raises:
        ValueError: no parts, or voxels or sizes that differ.
    """
    if not parts:
        raise ValueError("sections: expected at least one part to join, found none")
    first = parts[0]
    for part in parts[1:]:
        if part.masks.shape[1:] != first.masks.shape[1:] or not np.allclose(
            part.spacing_mm, first.spacing_mm, rtol=1e-3
        ):
            raise ValueError(
                f"sections: expected {tuple(first.masks.shape[1:])} pixels of {first.spacing_mm} "
                f"mm in all parts, found {tuple(part.masks.shape[1:])} of {part.spacing_mm} mm in "
                f"{part.ids[:1]}; resample and cut them alike"
            )
    images = [n for n in first.images if all(n in p.images for p in parts)]
    facts = [n for n in first.facts if all(n in p.facts for p in parts)]
    return Sections(
        {name: torch.cat([p.images[name] for p in parts]) for name in images},
        torch.cat([p.masks for p in parts]),
        tuple(x for p in parts for x in p.patients),
        tuple(x for p in parts for x in p.ids),
        first.spacing_mm,
        {name: np.concatenate([p.facts[name] for p in parts]) for name in facts},
        key_of(joined=[p.fingerprint for p in parts], modalities=images, facts=facts),
    )
