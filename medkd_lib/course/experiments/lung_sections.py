"""Sections of the chest sets, CT of one cohort and T2w MR of another, and what a phantom adds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medkd_lib.data.index import Index
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.store import key_of, store
from medkd_lib.data.volume import Volume
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.fingerprint import code_hash
from medkd_lib.phantom.chest_cohort import Cohort, UntakenMR, untaken_mr
from medkd_lib.phantom.chest_settings import Difficulty, Size


@dataclass(frozen=True)
class Frame:
    """What every section is brought to.

    Attributes:
        pixel_mm: side of a pixel.
        slice_mm: from section to section.
        shape: width and height in pixels; what a chest does not fill is air.
    """

    pixel_mm: float = 5.0
    slice_mm: float = 5.0
    shape: tuple[int, int] = (80, 56)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Along rows, columns and from section to section."""
        return self.pixel_mm, self.pixel_mm, self.slice_mm


COARSE = Frame()
# 256 pixels a side are the sibling method's public default; what they measured is unknown.
FINE = Frame(1.6, 3.0, (256, 256))
# CT: a mediastinal window, in which a tumour beside the heart differs at all.
WINDOWS: Mapping[str, object] = {"ct": (-160.0, 240.0), "mr": "unit"}
FACTS: Mapping[str, str] = {"volume_ml": "mask_ml", "mediastinum_mm": "to_mediastinum_mm"}


def recipe(modality: str, frame: Frame = COARSE) -> Recipe:
    """Return how a chest of one modality is prepared, its label among it."""
    return Recipe(
        (modality,), "seg", spacing_mm=frame.spacing_mm,
        intensity=(WINDOWS[modality],),  # type: ignore[arg-type]
    )  # fmt: skip


def lung_sections(
    found: Index, modality: str, frame: Frame = COARSE, *, slices: int = 0
) -> Sections:
    """Return the sections of all cases, in the order of the index.

    Args:
        found: a set of CT or MR volumes with tumour masks, real or a twin.
        modality: ``ct`` or ``mr``.
        frame: of the sections.
        slices: at most so many of a case, evenly spread; 0: all.
    """
    volumes = Volumes(found.manifest, found.cases, recipe(modality, frame))
    facts = _facts(found)
    parts = []
    for number, case in enumerate(volumes.cases):
        prepared = volumes[number]
        parts.append(
            as_sections(
                prepared, modality, facts.get(case.id, {}), volumes.key(case), frame, slices=slices
            )
        )
    return joined(parts)


def as_sections(
    prepared: Prepared, modality: str, facts: Mapping[str, float], key: str,
    frame: Frame = COARSE, *, slices: int = 0,
) -> Sections:  # fmt: skip
    """Return one prepared case as sections, each in the middle of a frame."""
    if prepared.mask is None:
        raise ValueError(f"case {prepared.case.id}: sections need a mask; name one in the recipe")
    depth = prepared.image.shape[3]
    wanted = (
        np.arange(depth)
        if not slices
        else np.unique(np.linspace(0, depth - 1, min(slices, depth)).round().astype(int))
    )
    # [0, 1] of the recipe → [-1, 1]; what the frame adds is air
    image = framed(2 * prepared.image[0].float() - 1, -1.0, frame.shape)[:, None]
    mask = framed((prepared.mask > 0).to(torch.uint8), 0, frame.shape)
    names = [f"{prepared.case.id}/k{k:03d}" for k in wanted]
    return Sections(
        {modality: image[wanted]},
        mask[wanted],
        (prepared.case.patient,) * len(wanted),
        tuple(names),
        frame.spacing_mm,
        {name: np.full(len(wanted), facts.get(name, np.nan)) for name in FACTS},
        key_of(case=prepared.case.id, key=key, slices=wanted.tolist(), shape=frame.shape),
    )


def framed(volume: Tensor, fill: float, shape: tuple[int, int] = COARSE.shape) -> Tensor:
    """Return ``(I, J, K)`` in LPS as upright sections ``(K, H, W)`` in the middle of a frame."""
    upright = volume.permute(2, 1, 0)
    width, height = shape
    out = torch.full((len(upright), height, width), fill, dtype=volume.dtype)
    rows, columns = (_shared(a, b) for a, b in zip(out.shape[1:], upright.shape[1:], strict=True))
    out[:, rows[0], columns[0]] = upright[:, rows[1], columns[1]]
    return out


def _shared(new: int, old: int) -> tuple[slice, slice]:
    """Return where the middle of an old axis lies in a new one, and where it is taken from."""
    n = min(new, old)
    a, b = (new - n) // 2, (old - n) // 2
    return slice(a, a + n), slice(b, b + n)


def true_mr(
    found: Index, frame: Frame = COARSE, *, difficulty: Difficulty, size: Size = "small",
    seed: int = 0,
) -> list[Tensor]:  # fmt: skip
    """Return, per case of a CT twin, the MR that this very patient would have had, ``(K, H, W)``.

    Only a phantom knows it. The grid is the CT's, so sections correspond one to one.

    Args:
        found: the twin; its cases in the order of their patients.
        frame: of its sections.
        difficulty: of the twin.
        size: of its voxels.
        seed: of the twin.

    Raises:
        ValueError: the set is no chest twin of CT.
    """
    cohort = found.manifest.id
    twin = (found.root / "truth.csv").is_file()
    if not twin or cohort not in ("msd_task06_lung", "nsclc_radiomics"):
        raise ValueError(
            f"true_mr: expected the twin of a CT set of chests, found {cohort} "
            f"in {found.root}; reality has no MR of these patients"
        )
    kept = store("true_mr")
    out = []
    for index in range(len(found.cases)):
        key = key_of(
            cohort=cohort, index=index, seed=seed, difficulty=difficulty, frame=asdict(frame),
            size=size,
            code=code_hash(("phantom", "data", "course/experiments/lung_sections.py")),
        )  # fmt: skip
        entry = kept.get(key)
        if entry is None:
            untaken = untaken_mr(
                cast(Cohort, cohort), index, seed=seed, difficulty=difficulty, size=size
            )
            scanned = _prepared(untaken, frame)
            entry = kept.put(key, {"mr": scanned})
        out.append(entry.tensors["mr"])
    return out


def _prepared(mr: UntakenMR, frame: Frame) -> Tensor:
    volumes = {"mr": Volume(mr.t2w, mr.affine), "seg": Volume(mr.label, mr.affine, "label")}
    made = recipe("mr", frame).apply(volumes)
    return framed(2 * made["image"][0].float() - 1, -1.0, frame.shape)


def _facts(found: Index) -> dict[str, dict[str, float]]:
    """Return what a twin's ``truth.csv`` says of each case; nothing for real sets."""
    table = found.root / "truth.csv"
    if not table.is_file():
        return {}
    rows = pd.read_csv(table, dtype={"case": str})
    return {
        row.case: {name: float(getattr(row, column)) for name, column in FACTS.items()}
        for row in rows.itertuples()
    }
