"""What distillation costs in one update of a detector: a step with it over a step without.

Lesson size: both small detectors on images of 96 pixels, one thread. The teacher is a joint one of
two sources beside the target's. Three ways: the detector's own losses alone, in the path of the
method (the same code with weights 0); with all terms and a teacher that is asked; with all terms
and answers that the batch brings. Each round times every way once, so a busy moment slows all
alike, and ratios are taken within each round. Bound: median ratio with answers kept <= 2.
Run: ``python benchmarks/detection_step.py [ROUNDS]``.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from lightning_fabric import Fabric

from medkd_lib.data.batches import Batch
from medkd_lib.data.box_batches import padded_boxes
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_detection import Detection
from medkd_lib.methods.joint_parts import LABELS_ALONE, Weights
from medkd_lib.methods.told import ask_all
from medkd_lib.models.detector import Detector
from medkd_lib.models.faster_rcnn import small_faster_rcnn
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.rf_detr import small_rf_detr

OUT = Path(__file__).parent / "out"
BOUND, SIDE, BATCH, BOXES, SOURCES = 2.0, 96, 4, 3, 2
DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "faster_rcnn": lambda: small_faster_rcnn(1, 1),
    "rf_detr": lambda: small_rf_detr(1, 1, SIDE),
}


def scenes() -> Batch:
    """Return noise with boxes anywhere: the cost hardly depends on what images show."""
    draw = np.random.default_rng(0)
    boxes = []
    for _ in range(BATCH):
        low = draw.uniform(0, SIDE - 24, (BOXES, 2))
        boxes.append(np.concatenate([low, low + draw.uniform(6, 24, (BOXES, 2))], axis=1))
    images = torch.randn(BATCH, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return {"images": images, **padded_boxes(boxes)}


def student(make: Callable[[], Detector], teacher: JointTeacher, weights: Weights) -> JointStudent:
    """Return a method that is ready; everything that a teacher says is an object to it."""
    method = JointStudent(
        make(), teacher, Detection(score=0.0), weights, learning_rate=1e-4, steps=1000
    )
    method.setup(Fabric(accelerator="cpu", devices=1))
    return method


def measured(make: Callable[[], Detector], rounds: int) -> dict[str, list[float]]:
    """Return the CPU milliseconds of every way, round by round; two rounds before do not count."""
    torch.manual_seed(0)
    teachers = [make() for _ in range(SOURCES + 1)]
    joint = JointTeacher(teachers, make(), "instance").eval()
    plain = scenes()
    told = {**plain, **ask_all(joint, plain["images"], range(len(joint.level_channels)))}
    ways = {
        "without": (student(make, joint, LABELS_ALONE), plain),
        "asked": (student(make, joint, Weights()), plain),
        "kept": (student(make, joint, Weights()), told),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(-2, rounds):
        for way, (method, batch) in ways.items():
            began = time.process_time()
            method.update(batch)
            if number >= 0:
                times[way].append(1000 * (time.process_time() - began))
    return times


def main() -> int:
    """Measure, print and keep the ratios; 1 if the bound is missed."""
    torch.set_num_threads(1)
    rounds = next((int(a) for a in sys.argv[1:] if a.isdecimal()), 20)
    report: dict[str, object] = {
        "side": SIDE, "batch": BATCH, "boxes": BOXES, "sources": SOURCES, "rounds": rounds,
        "bound": BOUND, "torch": version("torch"), "machine": platform.machine(),
    }  # fmt: skip
    missed = False
    for name, make in DETECTORS.items():
        times = measured(make, rounds)
        ratios = {
            way: np.percentile(np.array(times[way]) / np.array(times["without"]), [25, 50, 75])
            for way in ("asked", "kept")
        }
        missed |= bool(ratios["kept"][1] > BOUND)
        said = ", ".join(
            f"{way} {middle:.2f} [{low:.2f}, {high:.2f}]"
            for way, (low, middle, high) in ratios.items()
        )
        print(
            f"{name}: {np.median(times['without']):.0f} ms without distillation; with it, times as "
            f"much (median, quartiles): {said}; bound {BOUND:g} with answers kept",
            flush=True,
        )
        report[name] = {
            "milliseconds": {way: float(np.median(t)) for way, t in times.items()},
            "ratios": {way: ratio.tolist() for way, ratio in ratios.items()},
        }
    OUT.mkdir(exist_ok=True)
    (OUT / "detection_step.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
