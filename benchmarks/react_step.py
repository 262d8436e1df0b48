"""What the region graph costs in one update of REACT-KD: its share of the whole step.

Lesson size: boxes, batch and student of lesson 05's default profile with its PET branch, 18
regions, one thread. Paper size (``--paper``): the full student on 64 × 224 × 224 voxels, one
patient; the teacher's answers lie ready at either size, as in the lesson. The graph's part (both
graphs and all three terms, forward and back to the student's map) is timed on maps of the same
size, turn by turn with whole updates within one run, so a busy moment slows both; the share is
taken within each round. Bound: median share <= 0.10.

``--paper`` then makes one update of the teacher too, with its three Swin branches, and tells
seconds and the peak of memory of either; ``--shape`` takes smaller boxes where memory is short.
Run: ``python benchmarks/react_step.py [ROUNDS] [--paper] [--shape 32 112 112]``.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.liver_frame import COARSE_LIVER
from medkd_lib.course.experiments.react_arms import ALONE, ARMS, CT_BRANCH, TEACHER_BRANCHES
from medkd_lib.course.experiments.react_budget import LESSON, PAPER, Budget, classifier
from medkd_lib.distill.region_graph import region_graph_distillation
from medkd_lib.methods.modality_dropout import ModalityDropout
from medkd_lib.methods.react_kd import ReactKD, graph_of
from medkd_lib.models.region_masks import Regions

OUT = Path(__file__).parent / "out"
BOUND, REGIONS, CLASSES = 0.10, 18, 3
BRANCHES = {**CT_BRANCH, "pet": ("fdg", "acetate")}
TEACHER = {n: read for n, read in TEACHER_BRANCHES["both"].items() if n != "pet"}  # of livers
PAPER_SHAPE = (64, 224, 224)


def batch(budget: Budget, shape: tuple[int, int, int], patients: int) -> dict[str, Tensor]:
    """Return noise and blocky regions: the cost hardly depends on what boxes show."""
    numbers = torch.Generator().manual_seed(0)
    names = sorted({name for read in (*BRANCHES.values(), *TEACHER.values()) for name in read})
    images = {n: torch.randn(patients, 1, *shape, generator=numbers) for n in names}
    coarse = torch.randint(0, REGIONS + 1, (patients, 4, 4, 4), generator=numbers)
    regions = torch.nn.functional.interpolate(coarse[:, None].float(), shape)[:, 0].byte()
    network = classifier(budget, CT_BRANCH, CLASSES)
    with torch.no_grad():
        fused = network(
            {"seen": images["seen"][:1], "roi": torch.ones_like(images["seen"][:1])}
        ).fused
    return {
        **images,
        "roi": (regions > REGIONS - 3).float()[:, None],
        "regions": regions,
        "labels": torch.randint(0, CLASSES, (patients,), generator=numbers),
        "teacher_logits": torch.randn(patients, 1, CLASSES, generator=numbers),
        "teacher_map": torch.randn(patients, *fused.shape[1:], generator=numbers),
    }


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def peak_gb() -> float:
    """Return the peak resident size of this process so far (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def teacher_update(budget: Budget, data: dict[str, Tensor]) -> dict[str, float]:
    """Return parameters, CPU seconds and peak memory of one update of the teacher."""
    network = classifier(budget, TEACHER, CLASSES, kind=budget.teacher_encoder)
    method = ReactKD(
        network, bedside=tuple(TEACHER), learning_rate=budget.learning_rate, steps=1,
        weights=ALONE.weights, regions=REGIONS, spacing_mm=(6.0,) * 3,
    )  # fmt: skip
    method.setup(Fabric(accelerator="cpu", devices=1))
    read = {n: x for n, x in data.items() if not n.startswith("teacher_")}
    took = seconds(lambda: method.update(read))
    size = sum(p.numel() for p in network.parameters())
    return {"teacher_parameters": size, "teacher_seconds": took, "teacher_peak_gb": peak_gb()}


def main(rounds: int, paper: bool, shape: tuple[int, int, int]) -> int:
    """Measure, print and keep the shares; 1 if the bound is missed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    budget = PAPER if paper else LESSON
    data = batch(budget, shape, 1 if paper else budget.batch_size)
    arm = ARMS["react"]
    method = ReactKD(
        classifier(budget, BRANCHES, CLASSES), bedside=("ct",), learning_rate=1e-3,
        steps=rounds + 1, weights=arm.weights, regions=REGIONS, spacing_mm=(6.0,) * 3,
        dropout=ModalityDropout((("ct", "pet"), ("ct",)), (arm.pet, 1 - arm.pet)),
    )  # fmt: skip
    method.setup(Fabric(accelerator="cpu", devices=1))
    student_map = torch.randn_like(data["teacher_map"]).requires_grad_()

    def graph() -> None:
        regions = Regions(data["regions"], REGIONS, (6.0,) * 3)
        mine, taught = (graph_of(x, regions) for x in (student_map, data["teacher_map"]))
        region_graph_distillation(mine, taught, arm.weights.graph).total.backward()

    method.update(data)
    graph()
    shares, whole = [], []
    for _ in range(rounds):
        whole.append(seconds(lambda: method.update(data)))
        shares.append(seconds(graph) / whole[-1])
    size = "paper" if paper else "lesson"
    found = {
        "size": size, "shape": shape, "rounds": rounds, "median_share": statistics.median(shares),
        "lowest": min(shares), "highest": max(shares), "bound": BOUND,
        "seconds": statistics.median(whole), "peak_gb": peak_gb(),
        "torch": version("torch"), "machine": platform.machine(),
    }  # fmt: skip
    print(
        f"{size}, boxes of {shape}: the graph is {found['median_share']:.3f} of an update of "
        f"{found['seconds']:.2f} s [{min(shares):.3f}, {max(shares):.3f}], {rounds} rounds, "
        f"{found['peak_gb']:.1f} GB; bound {BOUND}",
        flush=True,
    )
    if paper:
        found |= teacher_update(budget, data)
        print(
            f"one update of the teacher, {found['teacher_parameters'] / 1e6:.1f} M weights: "
            f"{found['teacher_seconds']:.0f} s, {found['teacher_peak_gb']:.1f} GB"
        )
    OUT.mkdir(exist_ok=True)
    path = OUT / f"react_step_{size}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(statistics.median(shares) > BOUND)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("rounds", type=int, nargs="?", default=16)
    asked.add_argument("--paper", action="store_true", help="full size, and the teacher's update")
    asked.add_argument("--shape", type=int, nargs=3, help="voxels of a box along D, H, W")
    given = asked.parse_args()
    usual = PAPER_SHAPE if given.paper else COARSE_LIVER.shape
    sys.exit(main(given.rounds, given.paper, tuple(given.shape or usual)))
