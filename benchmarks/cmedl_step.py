"""What one update of CMEDL adds to its parts: a whole step against the sum of bare PyTorch steps.

Lesson size: sections of 56 x 80 pixels, batch and networks of lesson 04's default profile, all its
students, one thread. The parts are written out below as one would time each alone: augmentation,
both generators, both discriminators, translation for the teacher, the teacher, and every student
with the hints it gets, each with its own forward pass, backward pass and optimizer, on inputs that
lie ready. Whole steps and parts alternate within one run, so a busy moment slows both; the ratio is
taken within each round. Bound: median ratio <= 1.10.
Run: ``python benchmarks/cmedl_step.py [ROUNDS]``.
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
from torch import Tensor, nn

from medkd_lib.course.experiments.cmedl_budget import LESSON, method
from medkd_lib.course.experiments.lung_sections import COARSE
from medkd_lib.data.section_views import section_views
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.distill.gan import (
    cycle_loss,
    identity_loss,
    lsgan_discriminator,
    lsgan_generator,
)
from medkd_lib.methods.cmedl import CMEDL
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Weights
from medkd_lib.models.tap import tap

OUT = Path(__file__).parent / "out"
BOUND = 1.10
HINTS, WEIGHTS = Hints(), Weights()
Part = Callable[[], None]
Maps = dict[str, Tensor]


def batch() -> dict[str, Tensor]:
    """Return noise and blobs: the cost does not depend on what sections show."""
    numbers = torch.Generator().manual_seed(0)
    size = (LESSON.batch_size, *COARSE.shape[::-1])

    def images() -> Tensor:
        return torch.rand(size, generator=numbers)[:, None] * 2 - 1

    def masks() -> Tensor:
        return (torch.rand(size, generator=numbers) < 0.1).to(torch.uint8)

    pairs = {"source": images(), "target": images(), "more": images()}
    return {**pairs, **{f"{name}_masks": masks() for name in pairs}, "true": images()}


def whole() -> CMEDL:
    """Return the method of the lesson with all its students."""
    made = method(LESSON, students=STUDENTS, hints=HINTS, weights=WEIGHTS, seed=0)
    made.setup(Fabric(accelerator="cpu", devices=1))
    return made


def parts(data: dict[str, Tensor]) -> dict[str, Part]:
    """Return one function per part, on networks of its own that are those of the lesson."""
    made = method(LESSON, students=STUDENTS, hints=HINTS, weights=WEIGHTS, seed=0)
    nets, adams = made.networks, made.optimizers
    for network in nets.values():
        network.train()
    source, target = data["source"], data["target"]
    with torch.no_grad():
        pseudo, fake_source = nets["to_target"](source), nets["to_source"](target)
    found: dict[str, Part] = {
        "views": lambda: _views(data),
        "generators": lambda: _generators(nets, adams, source, target),
        "judge_target": lambda: _judge(nets, adams, "judge_target", target, pseudo),
        "judge_source": lambda: _judge(nets, adams, "judge_source", source, fake_source),
        "translate": lambda: _translate(nets["to_target"], source),
        "teacher": lambda: _teacher(made, data, pseudo),
    }
    with tap(nets["teacher"], {layer: layer for layer in HINTS.layers}) as seen, torch.no_grad():
        nets["teacher"](pseudo)
    told = dict(seen)
    for name in STUDENTS:
        found[name] = lambda name=name: _student(made, name, data, pseudo, told)
    return found


def _views(data: dict[str, Tensor]) -> None:
    section_views(data, shift=LESSON.shift, flip=LESSON.flip)


def _generators(
    nets: dict[str, nn.Module], adams: dict[str, torch.optim.Optimizer], source: Tensor,
    target: Tensor,
) -> None:  # fmt: skip
    judges = [*nets["judge_target"].parameters(), *nets["judge_source"].parameters()]
    there, back = nets["to_target"], nets["to_source"]
    fake_target, fake_source = there(source), back(target)
    cycle = cycle_loss(back(fake_target), source) + cycle_loss(there(fake_source), target)
    for weight in judges:
        weight.requires_grad_(False)
    adversarial = lsgan_generator(nets["judge_target"](fake_target)[-1]) + lsgan_generator(
        nets["judge_source"](fake_source)[-1]
    )
    for weight in judges:
        weight.requires_grad_(True)
    identity = identity_loss(there(target), target) + identity_loss(back(source), source)
    adams["to_target"].zero_grad()
    adams["to_source"].zero_grad()
    (
        WEIGHTS.adversarial * adversarial + WEIGHTS.cycle * cycle + WEIGHTS.identity * identity
    ).backward()
    adams["to_target"].step()
    adams["to_source"].step()


def _judge(
    nets: dict[str, nn.Module], adams: dict[str, torch.optim.Optimizer], name: str, real: Tensor,
    fake: Tensor,
) -> None:  # fmt: skip
    scores = nets[name](torch.cat([real, fake]))[-1]
    loss = lsgan_discriminator(*scores.chunk(2))
    adams[name].zero_grad()
    loss.backward()
    adams[name].step()


@torch.no_grad()
def _translate(generator: nn.Module, source: Tensor) -> None:
    generator(source)


def _teacher(made: CMEDL, data: dict[str, Tensor], pseudo: Tensor) -> None:
    n = len(pseudo)
    logits = made.networks["teacher"](torch.cat([data["target"], pseudo, data["true"]]))
    loss = _dice(made, logits[:n], data["target_masks"]) + _dice(
        made, logits[n : 2 * n], data["source_masks"]
    )
    _learn(made, "teacher", loss)


def _student(made: CMEDL, name: str, data: dict[str, Tensor], pseudo: Tensor, told: Maps) -> None:
    plan, network = STUDENTS[name], made.networks[f"student_{name}"]
    images, masks = data["source"], data["source_masks"]
    if plan.concatenated:
        images = torch.cat([images, pseudo], dim=1)
    if plan.more_labels:
        images = torch.cat([images, data["more"]])
        masks = torch.cat([masks, data["more_masks"]])
    hinted = plan.hints != "nobody"
    with tap(network, {layer: layer for layer in HINTS.layers} if hinted else {}) as seen:
        logits = network(images)
    loss = _dice(made, logits, masks)
    if hinted:
        for layer in HINTS.layers:
            loss = loss + feature_distance(
                seen[layer], told[layer], HINTS.distance, HINTS.normalise, detach=True,
                generator=made.translator.draws,
            )  # fmt: skip
    _learn(made, f"student_{name}", loss)


def _dice(made: CMEDL, logits: Tensor, masks: Tensor) -> Tensor:
    loss: Tensor = made.segmentation(logits, masks[:, None].float())
    return loss


def _learn(made: CMEDL, name: str, loss: Tensor) -> None:
    made.optimizers[name].zero_grad()
    loss.backward()
    made.optimizers[name].step()


def seconds(step: Part) -> float:
    """Return how long one call took."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of a median: order statistics, whatever the distribution."""
    ordered, n = sorted(values), len(values)
    reach = 0.98 * n**0.5
    return ordered[max(0, int(n / 2 - reach))], ordered[min(n - 1, int(n / 2 + reach))]


def main() -> int:
    """Measure, print and keep the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    torch.set_num_threads(1)
    data, made = batch(), whole()
    alone = parts(data)
    rows: list[dict[str, float]] = []
    for round_ in range(-5, rounds):  # the first ones warm caches
        row: dict[str, float] = {}
        steps: dict[str, Part] = {"whole": lambda: made.update(data) and None, **alone}
        # whoever goes first in one round goes last in the next
        for name in steps if round_ % 2 else reversed(steps):
            row[name] = seconds(steps[name])
        if round_ >= 0:
            rows.append(row)
    ratios = [row["whole"] / sum(row[name] for name in alone) for row in rows]
    middle, (low, high) = statistics.median(ratios), interval(ratios)
    times = {name: 1000 * statistics.median(row[name] for row in rows) for name in rows[0]}
    for name, ms in times.items():
        print(f"{name:14s} {ms:7.1f} ms")
    print(f"whole / sum of parts: {middle:.3f} (95 % {low:.3f}–{high:.3f}, {rounds} rounds)")
    record = {
        "benchmark": "one update of CMEDL / the sum of its parts timed alone",
        "bound": BOUND,
        "ratio": {"median": middle, "interval": [low, high]},
        "milliseconds": times,
        "rounds": rounds,
        "versions": {"python": platform.python_version(), "torch": version("torch")},
    }
    OUT.mkdir(exist_ok=True)
    (OUT / "cmedl_step.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if middle <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
