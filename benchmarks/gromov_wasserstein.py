"""Which solver of Gromov–Wasserstein: ours, POT's loop or POT's batched one.

Sixteen pairs of graphs at once, cosine distances of random features, the student's nodes in an
order of their own; one thread, CPU seconds, value and gradient. ``related`` students are the
teacher with half of something else, ``equal`` ones the teacher: the value should be 0. A lower
value is a better minimum, as every solver only finds local ones. POT's loop is its conditional
gradient with default settings; its batched solver has a regularisation of 0.01 and 50 steps, and
its plans need not keep their sums: `sums off` says by how much of a node's mass at worst.
Solvers alternate within one run; ratios are taken within each round.
Run: ``python benchmarks/gromov_wasserstein.py [ROUNDS]``.
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
from ot.batch import solve_gromov_batch
from torch import Tensor

from medkd_lib.distill.graph_terms import cosine_distance
from medkd_lib.distill.gromov_wasserstein import gromov_wasserstein
from medkd_lib.distill.precision import unit

OUT = Path(__file__).parent / "out"
BATCH, CHANNELS = 16, 32
NODES = (4, 12, 24)
Call = Callable[[Tensor, Tensor], Tensor]


def corners(student: Tensor, teacher: Tensor) -> Tensor:
    present = torch.ones(student.shape[:2], dtype=torch.bool)
    return gromov_wasserstein(student, teacher, present, present)


def pot_loop(student: Tensor, teacher: Tensor) -> Tensor:
    present = torch.ones(student.shape[:2], dtype=torch.bool)
    return gromov_wasserstein(student, teacher, present, present, solver="pot")


def pot_batched(student: Tensor, teacher: Tensor) -> Tensor:
    value: Tensor = solve_gromov_batch(student, teacher, reg=0.01).value.mean()
    return value


def sums_off(student: Tensor, teacher: Tensor) -> float:
    """Return how much mass a node has too much or too little in POT's batched plans, at worst."""
    plan = solve_gromov_batch(student, teacher, reg=0.01).plan
    nodes = student.shape[1]
    return max(float((nodes * plan.sum(dim=axis) - 1).abs().max()) for axis in (1, 2))


SOLVERS: dict[str, Call] = {"ours": corners, "POT": pot_loop, "POT batched": pot_batched}


def distances(nodes: Tensor) -> Tensor:
    direction = unit(nodes)
    return cosine_distance(direction @ direction.transpose(1, 2))


def graphs(nodes: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return kind → distances of student and teacher."""
    generator = torch.Generator().manual_seed(nodes)
    teacher, other = (
        torch.randn((BATCH, nodes, CHANNELS), generator=generator) + 0.5 for _ in range(2)
    )
    order = torch.randperm(nodes, generator=generator)
    students = {"unrelated": other, "related": teacher + 0.5 * other, "equal": teacher}
    return {
        kind: (distances(student[:, order]), distances(teacher))
        for kind, student in students.items()
    }


def measure(call: Call, student: Tensor, teacher: Tensor) -> tuple[float, float]:
    """Return CPU seconds of value and gradient, and the value."""
    student = student.clone().requires_grad_()
    began = time.process_time()
    value = call(student, teacher)
    torch.autograd.grad(value, student)
    return time.process_time() - began, float(value.detach())


def main() -> None:
    """Measure, print and keep times and values."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    torch.set_num_threads(1)
    report: dict[str, object] = {
        "python": platform.python_version(), "torch": version("torch"), "POT": version("POT"),
        "rounds": rounds,
    }  # fmt: skip
    for nodes in NODES:
        for kind, pair in graphs(nodes).items():
            seconds: dict[str, list[float]] = {name: [] for name in SOLVERS}
            values: dict[str, float] = {}
            for round_ in range(rounds + 1):
                for name, call in SOLVERS.items():
                    used, values[name] = measure(call, *pair)
                    if round_:  # the first one warms caches
                        seconds[name].append(used)
            row: dict[str, object] = {}
            for name, mine in seconds.items():
                ratios = [a / b for a, b in zip(mine, seconds["ours"], strict=True)]
                ms, ratio = 1000 * statistics.median(mine), statistics.median(ratios)
                row[name] = {"ms": ms, "time over ours": ratio, "value": values[name]}
                print(f"{nodes:3d} nodes, {kind:9s} {name:12s} {ms:6.1f} ms ({ratio:.1f} of ours), "
                      f"value {values[name]:.5f}")  # fmt: skip
            off = sums_off(*pair)
            print(f"{nodes:3d} nodes, {kind:9s} POT batched: sums off by {off:.2f}")
            report[f"{nodes} {kind}"] = row | {"sums off": off}
    OUT.mkdir(exist_ok=True)
    (OUT / "gromov_wasserstein.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
