"""Masters become notebooks: the same bytes, ids that stay, nothing that leaks."""

import json
from pathlib import Path

import nbformat
import pytest

from medkd_lib.course import stubs
from medkd_lib.course.build import as_text, build_all, build_lesson, build_solution, stale
from medkd_lib.course.master import MasterError, read_master
from medkd_lib.course.structure import leaks, structure

MASTER = Path(__file__).parents[2] / "notebooks/masters/00_distillation_in_one_hour.py"

SMALL = '''# %% [markdown]
# # 01 · Small
# **Budget** smoke ≤ 60 s · lesson ≤ 4 min · paper 1.5 h on one GPU

# %%
print("first")

# %% tags=["exercise"] exercise="q1"
def double(x):
    # Hint: + is enough.
    # BEGIN SOLUTION
    secret_sum = x + x
    return secret_sum
    # END SOLUTION

# %% tags=["check"] exercise="q1"
@score.check("q1", double, points=1)
def of_three(double):
    """Twice three is six."""
    assert double(3) == 6

# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", double, points=2)
def of_any(double, secret):
    """Twice any number."""
    assert double(secret) == 2 * secret

# %%
print("last")
'''


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    (tmp_path / "masters").mkdir()
    (tmp_path / "masters" / "01_small.py").write_text(SMALL, encoding="utf-8")
    return tmp_path


def _ids(folder: Path, text: str) -> list[str]:
    master = folder / "masters" / "01_small.py"
    master.write_text(text, encoding="utf-8")
    return [cell.id for cell in build_lesson(master).cells]


def test_lesson_has_the_stub_and_neither_solution_nor_hidden_check(notebooks: Path) -> None:
    text = as_text(build_lesson(notebooks / "masters" / "01_small.py"))
    assert "secret_sum" not in text
    assert "of_any" not in text and "hidden" not in text
    assert "SOLUTION" not in text
    cell = build_lesson(notebooks / "masters" / "01_small.py").cells[2]
    assert cell.source == "def double(x):\n    # Hint: + is enough.\n    ..."
    assert cell.metadata == {"tags": ["exercise"], "exercise": "q1"}


def test_solution_runs_and_shows_no_markers(notebooks: Path) -> None:
    cell = build_solution(notebooks / "masters" / "01_small.py").cells[2]
    assert "SOLUTION" not in cell.source
    names: dict[str, object] = {}
    exec(cell.source, names)
    assert names["double"](4) == 8  # type: ignore[operator]


def test_metadata_carries_lesson_hash_and_budgets(notebooks: Path) -> None:
    master = notebooks / "masters" / "01_small.py"
    about = build_lesson(master).metadata.medkd
    assert about.lesson == "01" and about.title == "01 · Small"
    assert about.budgets == {"smoke": 60, "lesson": 240, "paper": 5400}
    assert about.master_sha256 == read_master(master).sha256


def test_windows_line_ends_build_the_same_bytes(notebooks: Path) -> None:
    master = notebooks / "masters" / "01_small.py"
    unix = as_text(build_lesson(master))
    master.write_bytes(SMALL.replace("\n", "\r\n").encode())
    assert as_text(build_lesson(master)) == unix


def test_build_is_a_valid_notebook_and_a_fixed_point(notebooks: Path) -> None:
    lesson, solved = build_all(notebooks)
    assert lesson == notebooks / "01_small.ipynb"
    assert solved == notebooks / "solutions" / "01_small.ipynb"
    nbformat.validate(nbformat.read(lesson, as_version=4))
    assert json.loads(lesson.read_text(encoding="utf-8"))["nbformat_minor"] == 5
    before = lesson.read_bytes()
    build_all(notebooks)
    assert lesson.read_bytes() == before
    assert stale(notebooks) == []


def test_stale_names_changed_missing_and_orphaned_notebooks(notebooks: Path) -> None:
    lesson, solved = build_all(notebooks)
    lesson.write_text(lesson.read_text(encoding="utf-8") + " ", encoding="utf-8")
    solved.unlink()
    (notebooks / "09_gone.ipynb").write_text("{}", encoding="utf-8")
    changed, missing, orphan = stale(notebooks)
    assert "01_small.ipynb: differs" in changed and "medkd course build" in changed
    assert "solutions" in missing and "not built yet" in missing
    assert "09_gone.ipynb: has no master" in orphan


def test_inserting_a_cell_adds_one_id_and_moves_none(notebooks: Path) -> None:
    before = _ids(notebooks, SMALL)
    more = SMALL.replace('# %%\nprint("last")', '# %%\nprint("new")\n\n# %%\nprint("last")')
    after = _ids(notebooks, more)
    assert [i for i in after if i in before] == before and len(after) == len(before) + 1


def test_editing_a_cell_changes_no_other_id(notebooks: Path) -> None:
    before = _ids(notebooks, SMALL)
    after = _ids(notebooks, SMALL.replace('print("first")', 'print("changed")'))
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1
    longer = SMALL.replace('print("first")', 'print("first")\nprint("second")')
    assert _ids(notebooks, longer) == before


def test_cells_with_one_first_line_get_different_ids(notebooks: Path) -> None:
    ids = _ids(notebooks, SMALL + '\n# %%\nprint("last")\n')
    assert len(set(ids)) == len(ids) and ids[-1] == ids[-2] + "-2"
    assert ids[2:4] == ["exercise-q1", "check-q1"]


@pytest.mark.parametrize(
    ("line", "stub"),
    [
        ("x = 3  # SOLUTION", "x = ..."),
        ("    σ: float = 0.5 * α  # SOLUTION", "    σ: float = ..."),
        ("a, b = f(1), '# not a comment'  # SOLUTION", "a, b = ..."),
        ("    loss.backward()  # SOLUTION", "    ..."),
        ("x = 3  # no marker", "x = 3  # no marker"),
    ],
)
def test_inline_solutions(line: str, stub: str) -> None:
    assert stubs.stub(line) == stub
    assert stubs.solution(line) == line.removesuffix("  # SOLUTION")


def test_a_stub_line_the_solution_lacks_is_found() -> None:
    kept = "def f(x):\n    y = 2\n    # BEGIN SOLUTION\n    return x\n    # END SOLUTION"
    assert stubs.unexplained_lines(kept) == []
    # No marker can produce such a line; an edit of the rules that could would show up here.
    assert stubs.unexplained_lines("x = 3  # SOLUTION") == []


def test_text_above_the_first_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "02_loose.py"
    path.write_text("import os\n\n# %%\nprint(1)\n", encoding="utf-8")
    with pytest.raises(MasterError, match=r"02_loose\.py.*move text above the first marker"):
        read_master(path)


def test_a_wrong_marker_names_file_cell_and_line(notebooks: Path) -> None:
    master = notebooks / "masters" / "01_small.py"
    master.write_text(SMALL.replace("    # END SOLUTION\n", ""), encoding="utf-8")
    with pytest.raises(MasterError, match=r"01_small\.py:11 \(cell 3\): BEGIN SOLUTION without"):
        build_lesson(master)


def test_the_exercises_of_lesson_00_build_clean() -> None:
    read = read_master(MASTER)
    assert structure(read) == []
    assert leaks(read, build_lesson(MASTER)) == []


def test_a_leaked_solution_or_hidden_check_is_found() -> None:
    read = read_master(MASTER)
    solved = leaks(read, build_solution(MASTER))
    assert solved and "a line of a solution" in solved[0].message
    lesson = build_lesson(MASTER)
    hidden = read.tagged("hidden-check")[0].source
    lesson.cells.append(nbformat.v4.new_code_cell(hidden))
    assert {f.cell for f in leaks(read, lesson)} == {len(lesson.cells)}
