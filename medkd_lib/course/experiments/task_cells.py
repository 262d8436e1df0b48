"""Lesson 07: one cell of its recorded experiment, whichever the task."""

from collections.abc import Mapping, Sequence

from lightning_fabric import Fabric

from medkd_lib.course.experiments import box_cells, label_cells
from medkd_lib.course.experiments.outcome import Measured

CELLS = {"labels": label_cells.run_cell, "boxes": box_cells.run_cell}


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell of the task that the option ``task`` names, ``labels`` or ``boxes``.

    Raises:
        ValueError: another task.
    """
    task = str(options.get("task", ""))
    if task not in CELLS:
        raise ValueError(f"task: expected one of {list(CELLS)}, found {task!r}; see the grid")
    return CELLS[task](datasets, roots, arm, seed, options, fabric)
