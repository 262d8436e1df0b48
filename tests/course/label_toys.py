"""A joint run's films without a phantom: a bright patch on the side that the class says."""

import torch

from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.label_cohort import LabelCohort
from medkd_lib.data.images import ImageSet

TARGET, SOURCES = "oasis1", ("adni",)
FILMS = "cxr3"


def films(
    dataset: str, patients: range, classes: int, ground: int = 90, each: int = 2, seed: int = 0
) -> ImageSet:
    """Return uint8 films of 32 pixels; class k has its patch in row k."""
    draw = torch.Generator().manual_seed(1000 * seed + patients.start + len(dataset))
    n = len(patients) * each
    labels = torch.tensor([p % classes for p in patients for _ in range(each)])
    images = ground + 12 * torch.randn(n, 1, 32, 32, generator=draw)
    for row, label in enumerate(labels.tolist()):
        images[row, 0, 2 + 9 * label : 9 + 9 * label, 8:24] += 60
    names = [f"{dataset}:{p:03d}" for p in patients for _ in range(each)]
    ids = [f"{name}/k{k % each:03d}" for k, name in enumerate(names)]
    return ImageSet(
        images.clamp(0, 255).to(torch.uint8), labels, tuple(names), tuple(ids),
        f"{dataset}{patients}{ground}{each}{seed}",
    )  # fmt: skip


def label_toys(target: str = TARGET, sources: tuple[str, ...] = SOURCES) -> LabelCohort:
    """Return a target of two classes, and sources of three, darker."""
    classes = 3 if target == FILMS else 2
    helping = {name: films(name, range(15), 3, 60) for name in sources}
    return JointCohort(
        target, sources, {target: films(target, range(12), classes), **helping},
        films(target, range(12, 18), classes), films(target, range(20, 26), classes),
        films(target, range(30, 42), classes), {}, "split",
    )  # fmt: skip
