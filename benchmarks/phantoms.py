"""How long one virtual patient takes, from sampling to files, on one core.

Run: ``python benchmarks/phantoms.py [PATIENTS]``. The twins are made patient by patient in an order
that rotates, so a busy machine troubles all of them alike; CPU seconds are shown beside wall
seconds. The aims are 2 s of CPU for a small brain patient and 15 s for a full-size one.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from medkd_lib.phantom.brats import write_brats
from medkd_lib.phantom.hcc_tace import write_hcc_tace
from medkd_lib.phantom.react import write_react
from medkd_lib.phantom.sts import write_sts

OUT = Path(__file__).parent / "out"
AIMS = {"brain gli small": 2.0, "brain gli full": 15.0}


def makers() -> dict[str, Callable[[Path, int], Path]]:
    """Return name → make one patient into a folder, with a seed."""
    found: dict[str, Callable[[Path, int], Path]] = {}
    for size in ("small", "full"):
        for task in ("gli", "men", "met"):
            found[f"brain {task} {size}"] = lambda out, seed, task=task, size=size: write_brats(
                out, task=task, patients=1, size=size, seed=seed
            )
        found[f"thigh {size}"] = lambda out, seed, size=size: write_sts(
            out, patients=1, size=size, seed=seed
        )
        for name, write in (("liver PET/CT", write_react), ("liver CT", write_hcc_tace)):
            found[f"{name} {size}"] = lambda out, seed, write=write, size=size: write(
                out, patients=1, size=size, seed=seed
            )
    return found


def main(patients: int) -> int:
    """Make the patients, print medians, write ``out/phantoms.json``; 1 if an aim is missed."""
    made = makers()
    cpu: dict[str, list[float]] = {name: [] for name in made}
    wall: dict[str, list[float]] = {name: [] for name in made}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(patients + 1):
            names = list(made)[seed % len(made) :] + list(made)[: seed % len(made)]
            for name in names:
                out = Path(folder) / f"{name}-{seed}".replace(" ", "-")
                started, used = time.perf_counter(), time.process_time()
                made[name](out, seed)
                if seed:  # the first round imports and warms up
                    wall[name].append(time.perf_counter() - started)
                    cpu[name].append(time.process_time() - used)
    report = {
        name: {"cpu_s": statistics.median(cpu[name]), "wall_s": statistics.median(wall[name]),
               "worst_cpu_s": max(cpu[name]), "patients": patients}
        for name in made
    }  # fmt: skip
    for name, row in report.items():
        print(f"{name:20s} CPU {row['cpu_s']:6.2f} s (worst {row['worst_cpu_s']:.2f}), "
              f"wall {row['wall_s']:6.2f} s a patient")  # fmt: skip
    OUT.mkdir(exist_ok=True)
    whole = {"python": platform.python_version(), "phantoms": report}
    (OUT / "phantoms.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    missed = [name for name, aim in AIMS.items() if report[name]["cpu_s"] > aim]
    if missed:
        print(f"aims missed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
