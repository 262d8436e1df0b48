"""Do the numbers look like their unit: CT numbers in HU, uptake in SUV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.problems import Problem
from medkd_lib.data.volume import Volume

AIR_HU = -1024
"""What padding becomes: the least value scanners store, a little below air."""

PADDING_HU = -2000
"""No matter attenuates less than vacuum (−1000 HU); noise adds a few hundred HU. At and below
this a number is a marker: −3024 (−2000 stored, less 1024) round the field of view, and −2048."""

LARGEST_SUV = 1000.0
"""The bladder reaches some hundreds; a volume in Bq/mL starts at thousands."""


def in_unit(volume: Volume, unit: str | None, where: Path | str) -> Volume:
    """Return the volume with its unit, CT padding mended, and what the numbers contradict."""
    volume = replace(volume, unit=unit)
    if unit == "HU":
        return hounsfield(volume, where)
    if unit == "SUV" and (highest := float(np.max(volume.array))) > LARGEST_SUV:
        note = Problem(
            "not_suv", str(where), f"SUV up to {LARGEST_SUV:g}", f"{highest:g}",
            "check the unit: this looks like Bq/mL", severity="warning",
        )  # fmt: skip
        return replace(volume, problems=(*volume.problems, note))
    return volume


def hounsfield(volume: Volume, where: Path | str) -> Volume:
    """Return CT numbers with padding set to −1024 HU.

    Repaired: ``padding``, every voxel of −2000 HU or less. Left alone and reported: ``below_air``
    (between −2000 and −1024 HU, the noise of reconstruction), ``not_hounsfield`` (nothing below
    0: stored values that were never rescaled look like this, a crop inside an organ as well).
    """
    array: NDArray[Any] = volume.array
    problems = list(volume.problems)
    low = array.min()
    if low <= PADDING_HU:
        padding = array <= PADDING_HU
        count = int(padding.sum())
        array = np.where(padding, np.asarray(AIR_HU, array.dtype), array)
        problems.append(
            Problem(
                "padding", str(where), f"CT numbers above {PADDING_HU} HU",
                f"{count} voxels down to {float(low):g}: padding outside the field of view",
                f"nothing to do: set to {AIR_HU} HU", severity="repaired",
            )
        )  # fmt: skip
        low = array.min()
    if low < AIR_HU:
        count = int((array < AIR_HU).sum())
        problems.append(
            Problem(
                "below_air", str(where), f"CT numbers from {AIR_HU} HU",
                f"{count} voxels down to {float(low):g}", "nothing to do: left as they are; clip "
                "to your window", severity="warning",
            )
        )  # fmt: skip
    elif low >= 0:
        problems.append(
            Problem(
                "not_hounsfield", str(where), "CT numbers, air near −1000 HU",
                f"nothing below {float(low):g}",
                "check whether 1024 must be subtracted (a crop within an organ is fine)",
                severity="warning",
            )
        )  # fmt: skip
    return replace(volume, array=array, problems=tuple(problems))
