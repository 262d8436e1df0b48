"""What one more source costs while the student of a joint teacher is trained, 1 to 6 sources.

Lesson size, one thread. Each round times an update under every joint teacher once, with teachers
that are asked and with answers that the batch brings, so a busy moment slows all alike; the two are
compared within each round. With answers kept the time must not depend on the number of sources;
asked it is to grow along a line. ``--paper`` takes the networks of the paper profile at 256 pixels.
Run: ``python benchmarks/joint_sources.py [ROUNDS] [--paper]``.
"""

import json
import os
import platform
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from medkd_lib.course.experiments.joint_budget import LESSON, PAPER
from medkd_lib.course.experiments.joint_cost import cost_of_sources, line_through

OUT = Path(__file__).parent / "out"
COUNTS = (1, 2, 3, 4, 5, 6)


def main() -> None:
    """Measure, print, and keep the numbers."""
    numbers = [int(a) for a in sys.argv[1:] if a.isdecimal()]
    paper = "--paper" in sys.argv
    rounds = numbers[0] if numbers else (2 if paper else 15)
    budget = replace(PAPER, batch_size=2) if paper else LESSON
    side = 256 if paper else 64
    costs = cost_of_sources(COUNTS, budget, size=(side, side), rounds=rounds)
    for c in costs:
        ratio, low, high = c.asked_over_kept
        print(
            f"{c.sources} sources: asked {c.asked_ms:.1f} ms, kept {c.kept_ms:.1f} ms, ratio "
            f"{ratio:.2f} [{low:.2f}, {high:.2f}], {c.megabytes:.1f} MB"
        )
    lines = {what: line_through(costs, what) for what in ("asked_ms", "kept_ms", "megabytes")}
    for what, line in lines.items():
        print(
            f"{what}: {line.intercept:.2f} + {line.slope:.2f} per source, R² {line.r_squared:.3f}"
        )
    OUT.mkdir(exist_ok=True)
    report = {
        "paper": paper, "rounds": rounds, "costs": [asdict(c) for c in costs],
        "lines": {what: asdict(line) for what, line in lines.items()},
        "torch": version("torch"), "machine": platform.machine(),
    }  # fmt: skip
    name = f"joint_sources{'_paper' if paper else ''}.json"
    (OUT / name).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
