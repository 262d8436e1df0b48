"""Toy sections of named sets, for everything about a joint run but reading images."""

import numpy as np
import torch

from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.data.sections import Sections


def toy(dataset: str, patients: int, slices: int = 4, side: int = 16) -> Sections:
    """Return sections of a set; every other one shows something."""
    n = patients * slices
    images = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(n)) * 2 - 1
    shows = (torch.arange(n) % 2 == 0)[:, None, None]
    names = [f"{dataset}:p{i // slices:02d}" for i in range(n)]
    return Sections(
        {"image": images},
        ((images[:, 0] > 0.6) & shows).to(torch.uint8),
        tuple(names),
        tuple(f"{name}/k{i % slices:03d}" for i, name in enumerate(names)),
        (5.0, 5.0, 5.0),
        {"volume_ml": np.repeat(np.arange(patients, dtype=float), slices)},
        f"{dataset} {patients} {slices} {side}",
    )


def toy_cohort(target: str = "kits23", source: str = "msd_task03_liver") -> SectionCohort:
    """Return a target of eleven patients with one source, and one set that nobody trains on."""
    mine = toy(target, 11)
    names = sorted(set(mine.patients))
    return SectionCohort(
        target, (source,), {target: mine.of(names[:3]), source: toy(source, 5)},
        mine.of(names[3:6]), mine.of(names[6:8]), mine.of(names[8:]),
        {"msd_task06_lung": toy("msd_task06_lung", 2)}, "hash",
    )  # fmt: skip
