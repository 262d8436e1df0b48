"""What the region graph costs in one update of REACT-KD: its share of the whole step.

Lesson size: boxes, batch and student of lesson 05's default profile with its PET branch, 18
regions, one thread. Paper size (``--paper``): the full student on 64 × 224 × 224 voxels, one
patient; the teacher's answers lie ready at either size, as in the lesson. The graph's part (both
graphs and all three terms, forward and back to the student's map) is timed on maps of the same
size, turn by turn with whole updates within one run, so a busy moment slows both; the share is
taken within each round. Bound: median share <= 0.10.
Run: ``python benchmarks/react_step.py [ROUNDS] [--paper]``.
"""

import json
import os
import platform
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
from medkd_lib.course.experiments.react_arms import ARMS, CT_BRANCH
from medkd_lib.course.experiments.react_budget import LESSON, PAPER, Budget, classifier
from medkd_lib.distill.region_graph import region_graph_distillation
from medkd_lib.methods.modality_dropout import ModalityDropout
from medkd_lib.methods.react_kd import ReactKD, graph_of
from medkd_lib.models.region_masks import Regions

OUT = Path(__file__).parent / "out"
BOUND, REGIONS, CLASSES = 0.10, 18, 3
BRANCHES = {**CT_BRANCH, "pet": ("fdg", "acetate")}
PAPER_SHAPE = (64, 224, 224)


def batch(budget: Budget, shape: tuple[int, int, int], patients: int) -> dict[str, Tensor]:
    """Return noise and blocky regions: the cost hardly depends on what boxes show."""
    numbers = torch.Generator().manual_seed(0)
    names = [name for read in BRANCHES.values() for name in read]
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


def main(rounds: int, paper: bool) -> int:
    """Measure, print and keep the shares; 1 if the bound is missed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    budget, shape = (PAPER, PAPER_SHAPE) if paper else (LESSON, COARSE_LIVER.shape)
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
    shares = []
    for _ in range(rounds):
        whole, part = seconds(lambda: method.update(data)), seconds(graph)
        shares.append(part / whole)
    size = "paper" if paper else "lesson"
    found = {
        "size": size, "rounds": rounds, "median_share": statistics.median(shares),
        "lowest": min(shares), "highest": max(shares), "bound": BOUND,
        "torch": version("torch"), "machine": platform.machine(),
    }  # fmt: skip
    OUT.mkdir(exist_ok=True)
    path = OUT / f"react_step_{size}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(
        f"{size}: the graph is {found['median_share']:.3f} of an update "
        f"[{min(shares):.3f}, {max(shares):.3f}], {rounds} rounds; bound {BOUND}"
    )
    return int(statistics.median(shares) > BOUND)


if __name__ == "__main__":
    asked = [a for a in sys.argv[1:] if a != "--paper"]
    sys.exit(main(int(asked[0]) if asked else 16, "--paper" in sys.argv))
