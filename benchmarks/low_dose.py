"""What a low dose costs: our projector against scikit-image's, the fast noise against our own.

A batch of abdomens is projected and reconstructed by `medkd_lib.phantom.parallel_beam`, and one of
its slices by scikit-image's radon and iradon, turn by turn within one run on one thread, so that a
busy machine slows both; a ratio is per slice and taken within each round. Bound: ours at least
3 times as fast, the fast noise at least 3 times as fast as the sinogram.
Run: ``python benchmarks/low_dose.py [ROUNDS]``.
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

import numpy as np
import torch
from skimage.transform import iradon, radon
from torch import Tensor

from medkd_lib.phantom.low_dose import LowDose, attenuation, scan_low_dose
from medkd_lib.phantom.low_dose_fast import add_fast_noise
from medkd_lib.phantom.parallel_beam import ParallelBeam, filtered_backprojection, project

OUT = Path(__file__).parent / "out"
SIDE, PIXEL_MM, VIEWS, BATCH = 128, 2.8, 200, 16
BOUND = 3.0


def abdomens() -> Tensor:
    """Return ellipses of water, (BATCH, SIDE, SIDE) in HU."""
    u = (torch.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_MM
    inside = (u / 161.0) ** 2 + (u[:, None] / 112.0) ** 2 < 1
    return torch.where(inside, 0.0, -1000.0).repeat(BATCH, 1, 1)


def main(rounds: int) -> int:
    """Measure, print and keep the ratios; 1 if a bound is missed."""
    torch.set_num_threads(1)
    hu = abdomens()
    mu, beam = attenuation(hu), ParallelBeam((SIDE, SIDE), PIXEL_MM, VIEWS)
    one, degrees = mu[0].numpy(), np.arange(VIEWS) * 180.0 / VIEWS
    dose, generator = LowDose(1e5, views=VIEWS), torch.Generator().manual_seed(0)

    def scikit_image() -> None:
        sinogram = radon(one, degrees, circle=False)
        iradon(sinogram, degrees, output_size=SIDE, filter_name="hann", circle=False)

    work: dict[str, tuple[Callable[[], object], int]] = {
        "ours": (lambda: filtered_backprojection(project(mu, beam), beam, "standard"), BATCH),
        "scikit_image": (scikit_image, 1),
        "sinogram_noise": (lambda: scan_low_dose(hu, PIXEL_MM, dose, generator), BATCH),
        "fast_noise": (lambda: add_fast_noise(hu, PIXEL_MM, dose, generator), BATCH),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(rounds + 1):
        for name, (run, slices) in work.items():
            began = time.perf_counter()
            run()
            if round_:  # the first one warms caches
                seconds[name].append((time.perf_counter() - began) / slices)
    median_ms = {name: 1000 * statistics.median(s) for name, s in seconds.items()}
    report: dict[str, object] = {
        "python": platform.python_version(), "torch": version("torch"),
        "scikit-image": version("scikit-image"), "rounds": rounds, "batch": BATCH, "side": SIDE,
        "views": VIEWS, "ms_per_slice": median_ms,
    }  # fmt: skip
    missed = []
    for slow, quick in (("scikit_image", "ours"), ("sinogram_noise", "fast_noise")):
        ratios = [a / b for a, b in zip(seconds[slow], seconds[quick], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        report[quick] = {"ratio": median, "quartiles": [low, high], "bound": BOUND}
        print(f"{quick} is {median:.1f} times as fast as {slow} ({low:.1f}–{high:.1f})")
        if median < BOUND:
            missed.append(quick)
    OUT.mkdir(exist_ok=True)
    (OUT / "low_dose.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if missed:
        print(f"bounds missed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 12))
