"""Region pooling and graph building of a batch against scikit-image's regionprops per sample.

Batch 16, labels of 32 x 64 x 64 voxels (liver segments, organs, masses: 12 regions), a feature map
of 64 channels on a grid of 8 x 16 x 16, one thread. Both give mean feature and centroid in mm of
every region, and cosine and millimetre edges; that they agree is checked first. scikit-image wants
an intensity image on the labels' grid, and features are new in every step: repeating them there is
part of its time, and the ratio without that is reported too. The two alternate within one run, in
CPU seconds; ratios are taken within each round. Bound: ours at least
10 times faster, the repeating counted. Run: ``python benchmarks/region_graph.py [ROUNDS]``.
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
from skimage.measure import regionprops
from torch import Tensor

from medkd_lib.models.region_graph import region_graph
from medkd_lib.models.region_masks import Regions

OUT = Path(__file__).parent / "out"
BOUND = 10.0
BATCH, REGIONS, CHANNELS = 16, 12, 64
SHAPE, GRID = (32, 64, 64), (8, 16, 16)
SPACING = (4.0, 3.0, 3.0)
Edges = tuple[np.ndarray, np.ndarray]


def patients() -> tuple[Tensor, Tensor]:
    """Return labels and features: ellipsoids, drawn later over earlier, and noise."""
    random = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), axis=-1)
    labels = np.zeros((BATCH, *SHAPE), np.uint8)
    for patient in labels:
        for number in range(1, REGIONS + 1):
            middle, radius = random.uniform(-0.7, 0.7, 3), random.uniform(0.15, 0.45, 3)
            patient[(((places - middle) / radius) ** 2).sum(-1) < 1] = number
    generator = torch.Generator().manual_seed(0)
    return torch.from_numpy(labels), torch.randn((BATCH, CHANNELS, *GRID), generator=generator)


def ours(labels: Tensor, features: Tensor) -> list[Tensor]:
    graph = region_graph(features, Regions(labels, REGIONS, SPACING))
    return [graph.nodes, graph.centroids_mm, graph.similarity(), graph.distance_mm()]


def repeated(features: Tensor) -> np.ndarray:
    fine = features.movedim(1, -1).numpy()
    for axis, (n, m) in enumerate(zip(SHAPE, GRID, strict=True), start=1):
        fine = fine.repeat(n // m, axis=axis)
    return fine


def scikit_image(labels: np.ndarray, fine: np.ndarray) -> list[np.ndarray]:
    nodes = np.zeros((BATCH, REGIONS, CHANNELS), np.float32)
    centres = np.zeros((BATCH, REGIONS, 3), np.float32)
    present = np.zeros((BATCH, REGIONS), bool)
    for b in range(BATCH):
        for found in regionprops(labels[b], fine[b], spacing=SPACING):
            nodes[b, found.label - 1] = found.intensity_mean
            centres[b, found.label - 1] = found.centroid
            present[b, found.label - 1] = True
    direction = nodes / np.maximum(np.linalg.norm(nodes, axis=-1, keepdims=True), 1e-12)
    apart = np.linalg.norm(centres[:, :, None] - centres[:, None], axis=-1)
    both = present[:, :, None] & present[:, None]
    return [nodes, centres, direction @ direction.transpose(0, 2, 1), apart * both]


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> int:
    """Compare values, measure, print and keep the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    labels, features = patients()
    fine, flat = repeated(features), labels.numpy()
    for mine, theirs in zip(ours(labels, features), scikit_image(flat, fine), strict=True):
        if not np.allclose(mine.numpy(), theirs, rtol=1e-4, atol=1e-3):
            print(f"values differ by up to {np.abs(mine.numpy() - theirs).max()}")
            return 1
    rows = []
    for round_ in range(rounds + 2):
        row = {
            "ours": seconds(lambda: ours(labels, features)),
            "scikit-image": seconds(lambda: scikit_image(flat, repeated(features))),
            "regionprops alone": seconds(lambda: scikit_image(flat, fine)),
        }
        if round_ >= 2:  # the first ones warm caches
            rows.append(row)
    ratios = {
        name: statistics.quantiles([r[name] / r["ours"] for r in rows], n=4)
        for name in ("scikit-image", "regionprops alone")
    }
    milliseconds = {n: 1000 * statistics.median(r[n] for r in rows) for n in rows[0]}
    print(f"ours {milliseconds['ours']:.1f} ms of CPU for {BATCH} patients (median)")
    for name, (low, middle, high) in ratios.items():
        print(f"{name}: {milliseconds[name]:.0f} ms, {middle:.1f} times as long "
              f"(quartiles {low:.1f}–{high:.1f}, {rounds} rounds)")  # fmt: skip
    record = {
        "benchmark": "region pooling and graph, batch 16, scikit-image / ours, CPU time",
        "bound": BOUND,
        "ratio": {n: {"median": r[1], "quartiles": [r[0], r[2]]} for n, r in ratios.items()},
        "milliseconds": milliseconds, "rounds": rows,
        "versions": {"python": platform.python_version(), "torch": version("torch"),
                     "scikit-image": version("scikit-image")},
    }  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "region_graph.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if ratios["scikit-image"][1] >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
