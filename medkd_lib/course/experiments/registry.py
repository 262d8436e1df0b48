"""Which experiments can be recorded: a grid names one of them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from medkd_lib.course.experiments import (
    cmedl_cells,
    joint_cells,
    logits,
    react_arms,
    react_cells,
    students,
    task_cells,
    teachers,
)
from medkd_lib.course.experiments.outcome import Measured, Outcome


@dataclass(frozen=True)
class Experiment:
    """How to run one cell, and which arms others build on.

    ``run(datasets, roots, arm, seed, options, fabric)`` trains one arm and answers for the test
    images.
    """

    run: Callable[..., Outcome | Measured]
    teachers: Collection[str]


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "logits": Experiment(logits.run_cell, logits.TEACHERS),
        "teachers": Experiment(teachers.run_cell, ()),
        "students": Experiment(students.run_cell, students.TEACHERS),
        # One training serves all arms of a seed; the first to run fills the cache.
        "cmedl": Experiment(cmedl_cells.run_cell, ("alone",)),
        "joint": Experiment(joint_cells.run_cell, ("pooled", "joint_teacher")),
        "tasks": Experiment(task_cells.run_cell, ("pooled",)),
        "react": Experiment(react_cells.run_cell, react_arms.TEACHERS),
    }
)
