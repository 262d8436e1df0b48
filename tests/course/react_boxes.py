"""Made-up boxes for the tests of lesson 05: a mass is brighter, and takes up more, by its grade."""

import numpy as np
import torch

from medkd_lib.course.experiments.react_cohort import ReactCohort, divided
from medkd_lib.data.blocks import Blocks

SHAPE = (8, 12, 12)
ROOM = (10, 14, 14)
DOSES = ("ct", "ct_half", "ct_tenth")
NAMES = ("liver segment I", "liver segment II", "aorta", "tumour 1", "tumour 2")
GRADES = ("well", "moderate", "poor")


def boxes(patients: int = 36) -> Blocks:
    """Return one box per patient, of all grades in turn."""
    noise = torch.Generator().manual_seed(0)
    labels = torch.arange(patients) % 3
    regions = torch.zeros(patients, *ROOM, dtype=torch.uint8)
    regions[:, 1:9, 1:7, 1:13], regions[:, 1:9, 7:13, 1:7], regions[:, 1:9, 7:13, 7:13] = 1, 2, 3
    regions[:, 3:7, 5:9, 5:9] = 4
    roi = (regions == 4).float()
    grade = labels[:, None, None, None].float()

    def seen(effect: float, spread: float) -> torch.Tensor:
        white = torch.empty(patients, *ROOM).normal_(generator=noise)
        return (roi * effect * grade + spread * white)[:, None].half()

    images = {
        "ct": seen(1.0, 0.3), "ct_half": seen(1.0, 0.5), "ct_tenth": seen(1.0, 1.0),
        "fdg": seen(1.0, 0.1), "acetate": seen(-1.0, 0.1), "roi": roi[:, None].half(),
    }  # fmt: skip
    who = tuple(f"P{n:02d}" for n in range(patients))
    facts = {"tumour_ml": np.linspace(1, 9, patients)}
    return Blocks(
        images, regions, NAMES, labels, who, tuple(f"{p}/exam_1" for p in who), (6.0, 6.0, 6.0),
        facts, f"made up, {patients} patients",
    )  # fmt: skip


def cohort(seed: int = 0) -> ReactCohort:
    """Return the boxes divided for a seed."""
    return divided(boxes(), "react_kd_private_cohort", GRADES, SHAPE, DOSES, seed)
