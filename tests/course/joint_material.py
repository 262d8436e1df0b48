"""A joint run's material without a phantom: bright squares; ground and noise tell the dataset."""

import numpy as np
import torch

from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.data.sections import Sections

TARGET, SOURCES = "isles2022", ("brats2021", "brainmetshare")


def squares(
    dataset: str, patients: range, ground: float, noise: float = 0.1, slices: int = 4
) -> Sections:
    """Sections of 32 pixels; every second one shows a square."""
    draw = torch.Generator().manual_seed(patients.start + len(dataset))
    n = len(patients) * slices
    images = noise * torch.randn(n, 1, 32, 32, generator=draw) + ground
    masks = torch.zeros(n, 32, 32, dtype=torch.uint8)
    corners = torch.randint(2, 22, (n, 2), generator=draw).tolist()
    for row, (i, j) in enumerate(corners):
        if row % 2:
            masks[row, i : i + 7, j : j + 7] = 1
    images += 0.8 * masks[:, None]
    names = [f"{dataset}:{p:03d}" for p in patients for _ in range(slices)]
    ids = [f"{p:03d}/k{k:03d}" for p in patients for k in range(slices)]
    return Sections(
        {"image": images}, masks, tuple(names), tuple(f"{dataset}:{i}" for i in ids),
        (3.0, 3.0, 5.0), {"volume_ml": np.full(n, 1.0)}, f"{dataset}{patients}{ground}",
    )  # fmt: skip


def cohort(external: bool = False) -> SectionCohort:
    """Six patients of a target, more of it, and two sources of eight patients each."""
    held = {"msd_hippocampus": squares("msd_hippocampus", range(3), -0.3)} if external else {}
    return SectionCohort(
        TARGET,
        SOURCES,
        {
            TARGET: squares(TARGET, range(6), -0.5),
            SOURCES[0]: squares(SOURCES[0], range(8), -0.1, 0.3),
            SOURCES[1]: squares(SOURCES[1], range(8), -0.8, 0.02),
        },
        squares(TARGET, range(6, 14), -0.5),
        squares(TARGET, range(20, 23), -0.5),
        squares(TARGET, range(30, 34), -0.5),
        held,
        "split",
    )
