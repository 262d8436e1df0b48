"""Lesson 02: which network should teach? Baselines, the hybrid, MSGFF's ladder and its controls.

All arms see the same patients, images and number of updates. Networks are given images of one
size and bring them to their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.course.experiments.cohort import (
    Cohort,
    LabelScheme,
    Sampling,
    Source,
    open_source,
)
from medkd_lib.course.experiments.input_controls import InputControl, shown
from medkd_lib.course.experiments.outcome import Outcome
from medkd_lib.course.experiments.pretrained import NONE, Pretrained
from medkd_lib.course.experiments.teacher_arms import (
    ARMS,
    Budget,
    network_of,
    rate_of,
    size_of,
)
from medkd_lib.data.batches import balanced, batches
from medkd_lib.data.images import ImageSet
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.noise import noisy
from medkd_lib.evaluate.classify import Predictions, balanced_accuracy
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.resize import to_size
from medkd_lib.models.tap import tap
from medkd_lib.train import Trained, fit_cached, predict

# Noise of the robustness test: a z-score's, or a film's on [-1, 1].
NOISE = {"slices": 0.5, "films": 0.25}


class TeacherStudy:
    """A cohort and the trainings on it.

    Args:
        cohort: divided for ``seed``.
        budget: sizes and steps.
        seed: of weights and batches.
        fabric: device and precision.
        max_steps: cut every training after so many steps; 0: no.
        pretrained: what the trunks of teachers start from; students have none.
    """

    def __init__(
        self,
        cohort: Cohort,
        budget: Budget,
        seed: int,
        fabric: Fabric,
        max_steps: int = 0,
        pretrained: Pretrained = NONE,
    ) -> None:
        self.cohort, self.budget, self.seed = cohort, budget, seed
        self.fabric, self.max_steps, self.pretrained = fabric, max_steps, pretrained

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each logit."""
        return self.cohort.class_names

    def network(self, arm: str) -> nn.Module:
        """Return the network of an arm before training, laid out as convolutions like it."""
        network = network_of(ARMS[arm], self.budget, len(self.class_names), self.cohort.channels)
        self.pretrained.fill(network)
        # On a CPU, convolutions over channels-last maps take about two thirds of the time.
        return network.to(memory_format=torch.channels_last)

    def images(self, arm: str, part: str) -> ImageSet:
        """Return what an arm is shown of a part."""
        return self.shown(ARMS[arm].shows, part)

    def shown(self, control: InputControl, part: str) -> ImageSet:
        """Return a part as a control shows it."""
        return shown(self.cohort.parts[part], control, self.cohort.background)

    def train(self, arm: str, *, progress: bool = False, steps: int | None = None) -> Trained:
        """Train one arm on labels alone (cached); ``steps=0`` returns it untrained."""
        images, b = self.images(arm, "train"), self.budget
        tensors = {
            "images": at_most(images.inputs(), size_of(ARMS[arm], b)),
            "labels": images.labels,
        }
        rows = balanced(images.labels)
        planned = b.student_steps if ARMS[arm].kind == "student" else b.steps

        def build() -> Supervised:
            return Supervised(
                self.network(arm),
                learning_rate=rate_of(ARMS[arm], b),
                steps=planned,
                views=self.views(arm),
            )

        inputs: dict[str, object] = {
            "arm": asdict(ARMS[arm]),
            "budget": asdict(b),
            "channels": self.cohort.channels,
            "pretrained": {} if ARMS[arm].kind == "student" else self.pretrained.digests(),
            "images": images.fingerprint,
            "split": self.cohort.split.hash,
            "seed": self.seed,
        }
        return fit_cached(
            build,
            lambda start: batches(tensors, b.batch_size, self.seed, start=start, rows=rows),
            self.steps(planned if steps is None else steps),
            self.fabric,
            inputs=inputs,
            rooms=("course/experiments",),
            progress=arm if progress else "",
        )

    def views(self, arm: str) -> Callable[[Tensor], Tensor]:
        """Return an arm's augmentation; planes of a mask have no exposure and no noise."""
        return Tensor.float if ARMS[arm].shows in ("truth", "hole") else self.cohort.views

    def steps(self, planned: int) -> int:
        """Return the planned steps, cut by ``max_steps`` if that is set."""
        return min(planned, self.max_steps) if self.max_steps else planned

    def predictions(
        self, network: nn.Module, part: str = "test", *, sigma: float = 0.0,
        shows: InputControl = "images",
    ) -> Predictions:  # fmt: skip
        """Return a network's probabilities on a part, with noise of ``sigma`` if asked for."""
        images = self.shown(shows, part)
        background = self.cohort.background
        pixels = images.inputs()
        if sigma:
            pixels = noisy(pixels, sigma, seed=0, background=background)
        logits = predict(network, pixels)
        return Predictions.from_logits(logits.numpy(), images.labels.numpy(), images.patients)

    @property
    def test_noise(self) -> float:
        """Sigma of the robustness test."""
        return NOISE["films" if self.cohort.background is None else "slices"]

    def outcome(self, arm: str, network: nn.Module) -> Outcome:
        """Return a trained arm's answers for the recorder."""
        shows = ARMS[arm].shows if arm in ARMS else "images"
        test = self.cohort.parts["test"]
        return Outcome(
            self.predictions(network, shows=shows),
            test.ids,
            self.cohort.split.hash,
            noisy=self.predictions(network, shows=shows, sigma=self.test_noise),
            sizes_mm2=self.cohort.sizes_mm2("test"),
            extras={
                "val_balanced_accuracy": balanced_accuracy(
                    self.predictions(network, "val", shows=shows)
                )
            }
            | flow_size(network, test),
        )


def at_most(images: Tensor, size: int) -> Tensor:
    """Return images averaged down to a side of ``size``, once; smaller ones as they are.

    A network would do the same at every step, after the augmentation of four times the pixels
    (which took three quarters of a student's step).
    """
    if images.shape[-1] <= size:
        return images
    # In float32: means of half-precision numbers are summed in half precision.
    return to_size(images.float(), size).to(images.dtype)


def flow_size(network: nn.Module, images: ImageSet) -> dict[str, float]:
    """Return the mean length of the flow in cells, over all scales, if the network predicts one."""
    shape = getattr(network, "shape", None)
    if shape is None or shape.align != "flow":
        return {}
    places = {str(s): f"flows.{s}" for s in range(len(shape.sizes))}
    with tap(network, places) as seen:
        predict(network, images.rows(range(min(64, len(images)))).inputs())
    lengths = [flow.norm(dim=1).mean() for flow in seen.values()]
    return {"flow_cells": float(torch.stack(lengths).mean())}


@lru_cache(maxsize=2)
def source_of(
    datasets: tuple[str, ...], roots: tuple[str, ...], sampling: Sampling, scheme: LabelScheme
) -> Source:
    """Return the images of a setting; a recording process reads them once, not once per cell."""
    found = [
        index(load_manifest(name), Path(root)) for name, root in zip(datasets, roots, strict=True)
    ]
    return open_source(found, sampling, scheme)


def study_of(
    datasets: Sequence[str], roots: Sequence[str], seed: int, options: Mapping[str, object],
    fabric: Fabric,
) -> TeacherStudy:  # fmt: skip
    """Return the study of one recorded cell at the budget of the lesson's default profile."""
    budget = Budget()
    scheme: LabelScheme = options.get("label_scheme", "level")  # type: ignore[assignment]
    source = source_of(tuple(datasets), tuple(roots), budget.sampling, scheme)
    return TeacherStudy(source.divided(seed), budget, seed, fabric)


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Outcome:  # fmt: skip
    """Run one cell of the recorded experiment of lesson 02."""
    study = study_of(datasets, roots, seed, options, fabric)
    return study.outcome(arm, study.train(arm).network)
