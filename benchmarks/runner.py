"""How much `medkd run` adds to bare papermill on a notebook that does nothing.

Pairs, alternating which goes first, in one session: a machine that is busy for a while slows both
of a pair. The bound is a median ratio of 1.5. Run: ``python benchmarks/runner.py [PAIRS]``.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BOUND = 1.5
OUT = Path(__file__).parent / "out"
NOTEBOOK = Path(__file__).parents[1] / "tests" / "course" / "notebooks" / "00_fine.ipynb"
COMMAND_LINE = "from medkd_lib.cli import main; main()"


def papermill(folder: Path) -> list[str]:
    return [sys.executable, "-m", "papermill", str(NOTEBOOK), str(folder / "executed.ipynb")]


def medkd(folder: Path) -> list[str]:
    arguments = ["run", str(NOTEBOOK), "--out", str(folder), "--fresh"]
    return [sys.executable, "-c", COMMAND_LINE, *arguments]


def seconds(command: list[str], folder: Path) -> float:
    env = os.environ | {"MEDKD_RUN_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - began


def measure(pairs: int) -> list[dict[str, float]]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for pair in range(-1, pairs):  # the first one only warms the file cache
            order = [papermill, medkd] if pair % 2 else [medkd, papermill]
            row = {}
            for build in order:
                folder = Path(name) / f"{pair}-{build.__name__}"
                folder.mkdir()
                row[build.__name__] = seconds(build(folder), folder)
            if pair >= 0:
                rows.append(row | {"ratio": row["medkd"] / row["papermill"]})
    return rows


def main() -> int:
    rows = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
    low, middle, high = statistics.quantiles([row["ratio"] for row in rows], n=4)
    times = {name: statistics.median(row[name] for row in rows) for name in ("medkd", "papermill")}
    print(f"medkd {times['medkd']:.2f} s, papermill {times['papermill']:.2f} s (medians)")
    print(f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}, {len(rows)} pairs)")
    record = {
        "benchmark": "medkd run / papermill, one trivial notebook, wall time",
        "bound": BOUND,
        "ratio": {"median": middle, "quartiles": [low, high]},
        "seconds": times,
        "pairs": rows,
        "versions": {"python": platform.python_version(), "papermill": version("papermill")},
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }
    OUT.mkdir(exist_ok=True)
    (OUT / "runner.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if middle <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
