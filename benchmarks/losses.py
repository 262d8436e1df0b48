"""What each way of distilling costs: one training step of every arm of lesson 03 against plain KD.

Lesson size: student at 56 pixels, hybrid teacher, batch 16, one thread. Single steps of all arms
alternate within one run, so a busy moment slows all of them; a ratio is taken within each round.
Plain KD runs the teacher too. Bound: median ratio <= 1.5, else `REASONS` says why.
Run: ``python benchmarks/losses.py``.
"""

import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.cohort import Cohort
from medkd_lib.course.experiments.student_arms import ARMS
from medkd_lib.course.experiments.students import StudentStudy
from medkd_lib.course.experiments.teacher_arms import LESSON
from medkd_lib.course.experiments.teachers import TeacherStudy
from medkd_lib.data.images import ImageSet
from medkd_lib.data.split import Split
from medkd_lib.methods.base import Method

OUT = Path(__file__).parent / "out"
BOUND = 1.5
# Arms whose ratio may lie above the bound, and why.
CROSSING = (
    "three 3x3 convolutions up to the width of the ViT and two attentions, forward and back, "
    "beside a student of 6,259 weights"
)
REASONS = {
    "pca": CROSSING,
    "pca_gl": CROSSING,
    "pca_gl_shuffled": CROSSING,
    "pca_gl_untrained": CROSSING,
    "cakd_plain": "two projectors and a second, strong view of the images for the student",
    "cakd": "as cakd_plain, and a discriminator that takes a step of its own",
    "all": "as cakd, and attention transfer",
}
LEFT_OUT = ("alone_long", "smooth", "views")  # no teacher: `alone` stands for them


def batch() -> dict[str, torch.Tensor]:
    """Return a batch of noise slices: the cost does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    size = LESSON.base
    return {
        "images": torch.randn(LESSON.batch_size, 4, size, size, generator=generator).half(),
        "labels": torch.randint(3, (LESSON.batch_size,), generator=generator),
        "labelled": torch.ones(LESSON.batch_size),
    }


def methods(fabric: Fabric) -> dict[str, Method]:
    """Return every arm's method with an untrained teacher, ready to step."""
    b = batch()
    names = tuple(map(str, range(LESSON.batch_size)))
    images = ImageSet(b["images"], b["labels"], names, names, "noise")
    cohort = Cohort("noise", ("a", "b", "c"), {"train": images}, Split("noise", 0, {}), 0.0)
    study = StudentStudy(TeacherStudy(cohort, LESSON, 0, fabric))
    ready = {}
    for name, arm in ARMS.items():
        if name in LEFT_OUT:
            continue
        torch.manual_seed(0)
        kind = arm.teacher if arm.teacher in ("vgg", "vit") else "hybrid"
        teacher = None if arm.teacher is None else study.teachers.network(kind)
        ready[name] = study.method(arm, teacher)
        ready[name].setup(fabric)
    return ready


def main() -> None:
    """Measure, print and keep the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    torch.set_num_threads(1)
    ready, data = methods(Fabric(accelerator="cpu", devices=1)), batch()
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    for round_ in range(rounds + 5):
        for name, method in ready.items():
            began = time.perf_counter()
            method.update(data)
            if round_ >= 5:  # the first ones warm caches
                seconds[name].append(time.perf_counter() - began)
    report: dict[str, object] = {
        "python": platform.python_version(), "torch": version("torch"), "rounds": rounds,
        "ms_per_kd_step": 1000 * statistics.median(seconds["kd"]),
    }  # fmt: skip
    missed = []
    for name, mine in seconds.items():
        ratios = [a / b for a, b in zip(mine, seconds["kd"], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        report[name] = {"ratio": median, "quartiles": [low, high], "bound": BOUND}
        print(f"{name:18s} {median:.2f} of a KD step (quartiles {low:.2f}–{high:.2f})")
        if median > BOUND and name not in REASONS:
            missed.append(name)
    print(f"KD step: {report['ms_per_kd_step']:.1f} ms")
    OUT.mkdir(exist_ok=True)
    (OUT / "losses.json").write_text(json.dumps(report, indent=1) + "\n")
    if missed:
        sys.exit(f"bound missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
