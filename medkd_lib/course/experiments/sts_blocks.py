"""Blocks of the sarcoma set: one size, random places, and what PET knows as the target.

The images are crops around the tumour, so their size, and where in them a block lies, tell the
answer. A block has one size, lies at a random place inside what CT and PET have both measured, is
never padded, and is chosen without a look at the tumour. What its place would tell is kept as
facts, for the row without voxels (`sts_baselines`).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from medkd_lib.course.experiments.sts_scans import PARTS, SPACING_MM, Scan, sts_scans
from medkd_lib.course.experiments.sts_sections import PIXEL_MM, WINDOW_MM
from medkd_lib.data.blocks import Blocks, joined
from medkd_lib.data.index import Index
from medkd_lib.data.store import key_of

SLICES = 8
SIDE = round(WINDOW_MM / PIXEL_MM)
SHAPE = (SLICES, SIDE, SIDE)
AXES = ("z", "y", "x")

Target = Literal["hot", "present"]
CLASS_NAMES = {
    "hot": ("no hot tumour", "hot tumour"),
    "present": ("no tumour", "tumour"),
}

# A block shows tumour where a hundredth of it is tumour: 1 mL of 167.
LEAST_SHARE = 0.01

HOT_SUV = 4.0
"""Highest SUV of the tumour in a block, from which it is hot.

Chosen on the distribution of SUV and on logistic regressions (`sts_baselines`), before any network
was trained. At 4 about a half of all blocks is hot, PET knows which (AUC 0.96 to 0.98) and CT a
little (0.64 to 0.71), which is where tumour is: among blocks with tumour CT does not tell the hot
ones (0.54, interval 0.41 to 0.68). At 8, which halves the blocks *with* tumour, heat is a trait of
the patient more than of the block, and on 21 patients plain features of CT rank those no better
than chance: there a teacher would have nothing to hand on.
"""


def sts_blocks(
    found: Index, *, target: Target = "hot", per_patient: int = 12, seed: int = 0
) -> Blocks:
    """Return so many blocks of every patient in whom one fits.

    Images: ``ct`` and its lower doses (`liver_blocks.DOSES`), ``pet``. Regions: core, rim and
    surroundings of the tumour, for the graph in training: nobody has them at the bedside. They are
    those of the whole tumour, so a block beside it may show surroundings alone; a block that none
    of them reaches has a graph without a node.

    Args:
        found: ``sts_petctmr``, or its twin.
        target: ``present`` is a share of tumour of `LEAST_SHARE` or more, ``hot`` is that and a
            highest SUV in it of `HOT_SUV` or more. Both are 0 or 1.
        per_patient: blocks of each; they may overlap.
        seed: of the places.

    Raises:
        ValueError: an unknown target, fewer than one block, or no patient in whom one fits.
    """
    if target not in get_args(Target) or per_patient < 1:
        raise ValueError(
            f"sts_blocks: expected a target of {get_args(Target)} and one block per patient or "
            f"more, found {target!r} and {per_patient}"
        )
    parts = []
    for number, scan in enumerate(sts_scans(found)):
        places = _places(scan.field)
        if len(places):
            rng = np.random.default_rng([seed, number])
            drawn = places[rng.choice(len(places), per_patient, replace=len(places) < per_patient)]
            parts.append(_blocks(scan, drawn, target))
    if not parts:
        raise ValueError(
            f"{found.manifest.id}: expected patients in whom CT and PET share {SHAPE} voxels of "
            f"{SPACING_MM} mm, found none among {len(found.cases)}"
        )
    return joined(parts)


def _places(field: torch.Tensor) -> NDArray[np.int64]:
    """Return where a block that lies in the field entirely may begin, ``(places, 3)``."""
    if any(n < size for n, size in zip(field.shape, SHAPE, strict=True)):
        return np.empty((0, 3), np.int64)
    # One axis after the other: 88 steps a place, not 12,800.
    lacking = 1.0 - field[None, None].float()
    for axis, size in enumerate(SHAPE):
        window = tuple(size if a == axis else 1 for a in range(3))
        lacking = F.max_pool3d(lacking, window, stride=1)
    return np.argwhere(lacking[0, 0].numpy() == 0)


def _blocks(scan: Scan, places: NDArray[np.int64], target: Target) -> Blocks:
    boxes = [tuple(slice(a, a + n) for a, n in zip(p, SHAPE, strict=True)) for p in places.tolist()]

    def cut(volume: torch.Tensor) -> torch.Tensor:
        return torch.stack([volume[box] for box in boxes])

    regions, suv = cut(scan.parts), cut(scan.suv).float()
    tumour = (regions == 1) | (regions == 2)
    share = tumour.double().mean((1, 2, 3)).numpy()
    highest = torch.where(tumour, suv, -torch.inf).amax((1, 2, 3)).double().numpy()
    label = share >= LEAST_SHARE
    if target == "hot":
        label &= highest >= HOT_SUV
    facts = {"tumour_share": share, "highest_suv": np.where(share > 0, highest, np.nan)}
    return Blocks(
        {name: cut(image)[:, None] for name, image in scan.images.items()},
        regions,
        PARTS,
        torch.from_numpy(label.astype(np.int64)),
        (scan.patient,) * len(boxes),
        tuple(f"{scan.case}/z{z:03d}y{y:03d}x{x:03d}" for z, y, x in places.tolist()),
        SPACING_MM,
        facts | _place_facts(scan.field.shape, places),
        key_of(scan=scan.key, places=places.tolist(), shape=SHAPE, target=target),
    )


def _place_facts(shape: Sequence[int], places: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the crop's extent and where a block's middle lies from the crop's middle, in mm."""
    spacing = np.array(SPACING_MM)
    extent = np.array(shape) * spacing
    offset = (places - (np.array(shape) - SHAPE) / 2) * spacing
    return {f"extent_{a}_mm": np.full(len(places), extent[n]) for n, a in enumerate(AXES)} | {
        f"offset_{a}_mm": offset[:, n] for n, a in enumerate(AXES)
    }
