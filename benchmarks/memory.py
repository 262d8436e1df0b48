"""Does memory grow with the number of cases: index, prepare, cache and read back 20 to 200 of them.

Every number runs in a fresh process over small brain twins: eight are made, the others are the
same files under other patient numbers (other paths are needed, not other brains). Measured is the
process's peak resident size, whose slope over the cases is fitted. Keeping the prepared cases would
cost 530 MB per 100; paths, labels and checksums cost 1 MB, and the allocator's mood a few. Bound:
10 MB per 100 cases.
Run: ``python benchmarks/memory.py``.
"""

import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volumes import Volumes
from medkd_lib.phantom.brats import write_brats

OUT = Path(__file__).parent / "out"
NUMBERS = (20, 50, 100, 200)
MADE = 8
BOUND_MB_PER_100 = 10.0


def peak_mb() -> float:
    """Return the peak resident size of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("/proc/self/status has no VmHWM: this benchmark needs Linux")


def many(sources: Path, root: Path, number: int) -> None:
    """Copy the made cases until there are ``number``, each under a patient number of its own."""
    folders = sorted(p for p in sources.rglob("BraTS-GLI-*") if p.is_dir())
    for n in range(number):
        source, name = folders[n % len(folders)], f"BraTS-GLI-{10000 + n}-000"
        (root / name).mkdir(parents=True)
        for file in source.iterdir():
            shutil.copyfile(file, root / name / file.name.replace(source.name, name))


def measure(root: str, cache: str, out: str) -> None:
    """Index, prepare and read back; write how much the peak rose above the first case's."""
    manifest = load_manifest("brats2023_gli")
    recipe = Recipe(("t1n", "t1c", "t2w", "t2f"), "seg", shape=(96, 96, 64))
    first = index(manifest, Path(root)).cases[:1]
    warm = Volumes(manifest, first, recipe, TensorStore(Path(cache) / "warm", durable=False))
    for _ in range(3):
        _ = warm[0]
    before = peak_mb()
    volumes = Volumes(manifest, index(manifest, Path(root)).cases, recipe,
                      TensorStore(Path(cache) / "all", durable=False))  # fmt: skip
    for _ in range(2):
        for row in range(len(volumes)):
            _ = volumes[row]
    Path(out).write_text(json.dumps({"before_mb": before, "after_mb": peak_mb()}))


def main() -> int:
    rows = []
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_brats(home / "made", task="gli", patients=MADE, size="small", seed=0,
                    difficulty="clear", workers=1)  # fmt: skip
        for number in NUMBERS:
            root, cache = home / f"data-{number}", home / f"cache-{number}"
            many(home / "made", root, number)
            out = home / f"{number}.json"
            child = context.Process(target=measure, args=(str(root), str(cache), str(out)))
            child.start()
            child.join()
            if child.exitcode != 0:
                return 1
            row = {"cases": number, **json.loads(out.read_text())}
            rows.append(row)
            print(f"{number:4d} cases: {row['before_mb']:.1f} MB after one, "
                  f"{row['after_mb']:.1f} MB at most after two epochs")  # fmt: skip
            shutil.rmtree(root)
            shutil.rmtree(cache)
    slope = 100 * np.polyfit([r["cases"] for r in rows], [r["after_mb"] for r in rows], 1)[0]
    print(f"slope {slope:+.2f} MB per 100 cases (bound {BOUND_MB_PER_100})")
    report = {"rows": rows, "mb_per_100_cases": slope, "bound": BOUND_MB_PER_100,
              "python": platform.python_version()}  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "memory.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if slope <= BOUND_MB_PER_100 else 1


if __name__ == "__main__":
    sys.exit(main())
