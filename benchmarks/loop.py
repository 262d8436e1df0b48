"""What our training loop adds to a bare PyTorch loop that does the same work.

Same network, same batches, same augmentation and optimizer, one thread; blocks of steps alternate
between the two loops within one run, so a busy moment slows both. Log (every 10 steps), progress
bar and checkpoints (one in a block, synchronised to disk) are on. Bounds: median
ratio <= 1.03 at about 20 ms a step, <= 1.06 at about 3 ms. Run: ``python benchmarks/loop.py``.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TQDM_MININTERVAL"] = "0.5"

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import batches
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.train import fit

OUT = Path(__file__).parent / "out"
SIZES = {"~3 ms": ((8, 16, 32), 40), "~20 ms": ((16, 32, 64, 96), 80)}
BOUNDS = {"~3 ms": 1.06, "~20 ms": 1.03}
# Short blocks and many pairs: a busy moment then spoils few pairs. One checkpoint in a block.
STEPS = {"~3 ms": 210, "~20 ms": 60}


def bare(widths: tuple[int, ...], tensors: dict[str, torch.Tensor], steps: int) -> float:
    """Seconds of the loop everybody writes."""
    torch.manual_seed(0)
    net = SmallCNN(3, widths)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    loader = iter(batches(tensors, 32, 0))
    began = time.perf_counter()
    for _ in range(steps):
        batch = next(loader)
        loss = F.cross_entropy(net(augment(batch["images"])), batch["labels"])
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
    return time.perf_counter() - began


def ours(
    widths: tuple[int, ...], tensors: dict[str, torch.Tensor], steps: int, home: Path
) -> float:
    """Seconds of `fit` with log, progress bar and checkpoints."""
    torch.manual_seed(0)
    method = Supervised(SmallCNN(3, widths), learning_rate=1e-3, steps=steps)
    fabric = Fabric(accelerator="cpu", devices=1)
    began = time.perf_counter()
    fit(
        method, lambda start: batches(tensors, 32, 0, start=start), steps, fabric,
        checkpoint=home / f"{time.time_ns()}.pt", log=home / "log.jsonl", log_every=10,
        checkpoint_every=max(1, steps - 10),
        progress="loop",
    )  # fmt: skip
    return time.perf_counter() - began


def main() -> None:
    """Measure, print and keep the ratios."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    torch.set_num_threads(1)
    report: dict[str, object] = {
        "python": platform.python_version(), "torch": version("torch"),
        "fabric": version("lightning-fabric"), "pairs": pairs,
    }  # fmt: skip
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (widths, side) in SIZES.items():
            generator = torch.Generator().manual_seed(0)
            tensors = {
                "images": torch.randn(320, 1, side, side, generator=generator),
                "labels": torch.randint(3, (320,), generator=generator),
            }
            steps, ratios, plain = STEPS[name], [], []
            bare(widths, tensors, 10), ours(widths, tensors, 10, Path(folder))
            for pair in range(pairs):
                first = bare(widths, tensors, steps) if pair % 2 else None
                mine = ours(widths, tensors, steps, Path(folder))
                alone = first if first is not None else bare(widths, tensors, steps)
                ratios.append(mine / alone)
                plain.append(1000 * alone / steps)
            low, median, high = statistics.quantiles(ratios, n=4)
            report[name] = {
                "ms_per_bare_step": statistics.median(plain), "ratio": median,
                "quartiles": [low, high], "bound": BOUNDS[name],
            }  # fmt: skip
            print(
                f"{name}: bare {statistics.median(plain):.2f} ms a step, ratio {median:.3f} "
                f"(quartiles {low:.3f}–{high:.3f}), bound {BOUNDS[name]}"
            )
            if median > BOUNDS[name]:
                missed.append(name)
    OUT.mkdir(exist_ok=True)
    (OUT / "loop.json").write_text(json.dumps(report, indent=1) + "\n")
    if missed:
        sys.exit(f"bound missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
