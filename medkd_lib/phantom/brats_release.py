"""How the releases of BraTS differ: folders, file names and the number of enhancing tumour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.brats_patient import Task
from medkd_lib.phantom.brats_plan import BratsPlan

Year = Literal["2021", "2023"]


@dataclass(frozen=True)
class Release:
    """One release's conventions.

    Attributes:
        year: of the release.
        joint: between a case's name and what a file holds.
        images: our name of a contrast → the release's.
        enhancing: label id of enhancing tumour, 3 in the anatomy's own labels.
        other_label: kind of the known issue in which a mask follows the other release.
        visits: whether second visits belong to the release.
    """

    year: Year
    joint: str
    images: Mapping[str, str]
    enhancing: int
    other_label: str
    visits: bool

    def top(self, task: Task) -> str:
        """Name of the folder that holds the cases."""
        if self.year == "2023":
            return f"ASNR-MICCAI-BraTS2023-{task.upper()}-Challenge-TrainingData"
        return "BraTS2021_TrainingSet"

    def case(self, plan: BratsPlan, visit: int) -> str:
        """Name of a case; 2021 numbers scans and knows no time points."""
        return plan.case(visit) if self.year == "2023" else f"BraTS2021_{plan.number:05d}"

    def file(self, case: str, which: str) -> str:
        """File name of an image (our name) or of ``seg``."""
        return f"{case}{self.joint}{self.images.get(which, which)}.nii.gz"

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label map in the release's ids."""
        return np.where(labels == 3, np.uint8(self.enhancing), labels)


RELEASES: Mapping[Year, Release] = MappingProxyType(
    {
        "2021": Release(
            "2021", "_", {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"}, 4,
            "new_label_3", visits=False,
        ),
        "2023": Release(
            "2023", "-", {n: n for n in ("t1n", "t1c", "t2w", "t2f")}, 3, "old_label_4",
            visits=True,
        ),
    }
)  # fmt: skip
