"""The nbgrader source goes through nbgrader's own preprocessors."""

import ast
from pathlib import Path

import pytest

from medkd_lib.course.exercise import secret_for
from medkd_lib.course.nbgrader import CONFIG, nbgrader_source, write_nbgrader

pytest.importorskip("nbgrader", reason="nbgrader is not installed")

from nbgrader import preprocessors as steps
from nbgrader.utils import is_grade, is_solution
from traitlets.config import Config

MASTER = Path(__file__).parents[2] / "notebooks/masters/00_distillation_in_one_hour.py"
KEY = bytes(range(32))


def _config() -> Config:
    config = Config()
    exec(CONFIG, {"get_config": lambda: config})
    return config


def _through(notebook, *names: str):
    resources: dict = {}
    for name in names:
        notebook, resources = getattr(steps, name)(config=_config()).preprocess(notebook, resources)
    return notebook


def test_release_has_stubs_and_no_hidden_checks() -> None:
    released = _through(
        nbgrader_source(MASTER, KEY),
        # the order of nbgrader's generate_assignment, without its database
        *("LockCells", "ClearSolutions", "ClearOutput", "CheckCellMetadata", "ComputeChecksums"),
        *("ClearHiddenTests", "ClearMarkScheme", "ComputeChecksums", "CheckCellMetadata"),
    )
    text = str(released)
    assert "log_student" not in text and "was_training" not in text
    assert "unseen_logits" not in text
    assert str(secret_for(KEY, "00", "q1", "unseen_logits")) not in text
    assert "two_classes_by_hand" in text
    answers = [cell.source for cell in released.cells if is_solution(cell)]
    assert len(answers) == 3 and all(source.rstrip().endswith("...") for source in answers)


def test_points_and_places() -> None:
    notebook = nbgrader_source(MASTER, KEY)
    graded = [cell for cell in notebook.cells if is_grade(cell)]
    assert len(graded) == 20
    assert sum(cell.metadata.nbgrader.points for cell in graded) == 12
    ids = [c.metadata.nbgrader.grade_id for c in notebook.cells if "nbgrader" in c.metadata]
    assert len(set(ids)) == len(ids)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert prose[0].startswith("## Exercise 1")


@pytest.mark.filterwarnings("ignore")
def test_the_source_solves_itself_and_the_release_does_not() -> None:
    source = nbgrader_source(MASTER, KEY)
    names: dict = {}
    for cell in source.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    released = _through(nbgrader_source(MASTER, KEY), "ClearSolutions")
    names = {}
    for cell in released.cells:
        if is_grade(cell):
            with pytest.raises(AssertionError, match="not solved yet"):
                exec(cell.source, names)
        elif cell.cell_type == "code":
            exec(cell.source, names)


def test_files_are_where_nbgrader_looks(tmp_path: Path) -> None:
    config, source = write_nbgrader(MASTER, KEY, tmp_path)
    assert source == tmp_path / "source" / MASTER.stem / f"{MASTER.stem}.ipynb"
    ast.parse(config.read_text(encoding="utf-8"))
