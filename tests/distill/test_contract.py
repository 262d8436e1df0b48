"""What every loss of the library must keep, for the whole table in `losses.py`.

``python -m tests.distill.test_contract`` runs these tests and every loss's oracle, and prints the
table "loss × property" in Markdown from what passed; it fails if anything did not.
"""

import importlib
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.distill.losses import CHANGES, LOSSES, Loss, Pair, random

each_loss = pytest.mark.parametrize("name", LOSSES)
PROMISED = [(name, change) for name, loss in LOSSES.items() for change in loss.unchanged_by]
HALF_AND_SINGLE = [torch.float16, torch.bfloat16, torch.float32]


def pair(loss: Loss, dtype: torch.dtype = torch.float64) -> Pair:
    return random(loss.family.shape, 0, dtype), random(loss.family.shape, 1, dtype)


def value(loss: Loss, student: Tensor, teacher: Tensor) -> float:
    return float(loss.call(student, teacher, loss.labels))


def gradient(loss: Loss, student: Tensor, teacher: Tensor) -> Tensor:
    student = student.clone().requires_grad_()
    return torch.autograd.grad(loss.call(student, teacher, loss.labels), student)[0]


@each_loss
def test_least_where_the_definition_says(name: str) -> None:
    loss = LOSSES[name]
    least = loss.least(random(loss.family.shape, 1))
    assert value(loss, least.student, least.teacher) == pytest.approx(least.value, abs=1e-10)
    assert gradient(loss, least.student, least.teacher).abs().max() < 1e-7
    for seed in range(5):
        elsewhere = random(tuple(least.teacher.shape), 10 + seed)
        assert value(loss, elsewhere, least.teacher) > least.value + 1e-3


@pytest.mark.parametrize(("name", "change"), PROMISED)
def test_unchanged_by(name: str, change: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss)
    moved = CHANGES[change](student, teacher)
    assert value(loss, *moved) == pytest.approx(value(loss, student, teacher), rel=1e-9)


@each_loss
def test_the_order_of_images_does_not_matter(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    shuffled = float(loss.call(student[order], teacher[order], loss.labels[order]))
    assert shuffled == pytest.approx(value(loss, student, teacher), rel=1e-9)
    # but which student belongs to which teacher does
    assert value(loss, student[order], teacher) != pytest.approx(shuffled, rel=1e-3)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.relational])
def test_a_mean_over_images(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss)
    single = [
        float(loss.call(student[i : i + 1], teacher[i : i + 1], loss.labels[i : i + 1]))
        for i in range(len(student))
    ]
    assert value(loss, student, teacher) == pytest.approx(sum(single) / len(single), rel=1e-9)


@each_loss
def test_the_gradient_reaches_the_student_alone(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = (x.requires_grad_() for x in pair(loss))
    loss.call(student, teacher, loss.labels).backward()
    assert student.grad is not None and student.grad.abs().max() > 1e-3
    # every image of the student hears of it
    assert (student.grad.flatten(1).abs().amax(1) > 0).all()
    assert teacher.grad is None


@each_loss
def test_gradcheck(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss)
    assert torch.autograd.gradcheck(
        lambda s: loss.call(s, teacher, loss.labels), student.requires_grad_()
    )


@pytest.mark.parametrize("size", ["usual", "large", "student zero", "both zero"])
@pytest.mark.parametrize("dtype", HALF_AND_SINGLE, ids=str)
@each_loss
def test_finite_and_exact_in_low_precision(name: str, dtype: torch.dtype, size: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss, torch.float32)
    if size == "large":
        student, teacher = loss.family.large(student, teacher)
    if size == "student zero":
        student = torch.zeros_like(student)
    if size == "both zero":
        student, teacher = torch.zeros_like(student), torch.zeros_like(teacher)
    student, teacher = student.to(dtype), teacher.to(dtype)
    # the same rounded inputs, computed in float64
    exact = value(loss, student.double(), teacher.double())
    result = loss.call(student, teacher, loss.labels)
    assert result.dtype == torch.float32
    assert float(result) == pytest.approx(exact, rel=1e-4, abs=1e-6)
    slope = gradient(loss, student, teacher)
    assert slope.dtype == dtype and torch.isfinite(slope).all()
    # a zero vector must not answer with 1 / 1e-12
    assert slope.abs().max() < 1e4 or "zero" not in size


@each_loss
def test_autocast_changes_nothing(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = pair(loss, torch.float32)
    outside = value(loss, student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        assert value(loss, student, teacher) == pytest.approx(outside, rel=1e-6)


@each_loss
def test_the_oracle_it_names_exists(name: str) -> None:
    file, test = LOSSES[name].oracle.split("::")
    assert callable(getattr(importlib.import_module(f"tests.distill.{file[:-3]}"), test))


class Outcomes:
    """Which tests ran, by function and loss, and whether all their cases passed."""

    def __init__(self) -> None:
        self.place: dict[str, tuple[str, str]] = {}
        self.passed: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)

    def pytest_itemcollected(self, item: pytest.Function) -> None:
        file = Path(item.location[0]).name
        mine = file == Path(__file__).name
        name = str(item.callspec.params["name"]) if mine else ""
        self.place[item.nodeid] = f"{file}::{item.originalname}", name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.passed[self.place[report.nodeid]].append(report.passed)

    def cell(self, test: str, name: str = "", text: str = "✓") -> str:
        """Return the text where all cases of the test passed, else what happened."""
        cases = self.passed[test, name]
        return text if cases and all(cases) else ("FAILED" if cases else "did not run")


COLUMNS = {
    "gradient: student only": "test_the_gradient_reaches_the_student_alone",
    "gradcheck, float64": "test_gradcheck",
    "finite and exact, fp16 · bf16 · fp32, large, zero": "test_finite_and_exact_in_low_precision",
    "autocast": "test_autocast_changes_nothing",
}


def markdown(outcomes: Outcomes) -> str:
    """Return the table "loss × property"; a cell holds its text because its tests passed."""
    head = ["loss", "oracle", "least", "unchanged by", "over images", *COLUMNS]
    lines = [head, ["---"] * len(head)]
    here = Path(__file__).name
    for name, loss in LOSSES.items():
        order = outcomes.cell(
            f"{here}::test_the_order_of_images_does_not_matter", name, "any order"
        )
        mean = outcomes.cell(f"{here}::test_a_mean_over_images", name, "mean")
        invariances = ", ".join(loss.unchanged_by)
        lines.append(
            [
                f"`{name}`",
                outcomes.cell(loss.oracle, text=loss.against),
                outcomes.cell(
                    f"{here}::test_least_where_the_definition_says", name, loss.least_where
                ),
                outcomes.cell(f"{here}::test_unchanged_by", name, invariances),
                order if loss.relational else f"{mean}, {order}",
                *(outcomes.cell(f"{here}::{test}", name) for test in COLUMNS.values()),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Run the tests, print the table, return pytest's exit status."""
    folder = Path(__file__).parent
    oracles = {str(folder / loss.oracle) for loss in LOSSES.values()}
    outcomes = Outcomes()
    quiet = ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider"]
    status = pytest.main([*quiet, __file__, *sorted(oracles)], plugins=[outcomes])
    print(markdown(outcomes))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
