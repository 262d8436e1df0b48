"""What a reader trips over is found, with file, cell and line."""

from pathlib import Path

import pytest
import yaml

from medkd_lib.course.check import check_notebook
from medkd_lib.course.master import read_master
from medkd_lib.course.structure import structure

CARD = """# %% [markdown]
# # 01 · Small
#
# **Question** Does it work?
#
# **Paper** Hinton 2015
#
# **Data and licence** none
#
# **Budget** smoke ≤ 60 s · lesson ≤ 4 min · paper 20 min on one GPU

# %% tags=["parameters"]
profile: str = "lesson"  # how much to compute

# %%
config = resolve(globals())

# %% [markdown]
# Some prose.

"""
BROKEN = yaml.safe_load(
    (Path(__file__).parent / "masters" / "broken.yaml").read_text(encoding="utf-8")
)


def _messages(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "01_small.py"
    path.write_text(text, encoding="utf-8")
    return [str(finding) for finding in check_notebook(path)]


def test_a_good_master_has_no_findings(tmp_path: Path) -> None:
    assert _messages(tmp_path, CARD) == []


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case["name"])
def test_broken_exercises_are_named_with_cell_and_line(tmp_path: Path, case: dict) -> None:
    path = tmp_path / "02_broken.py"
    path.write_text("# %% [markdown]\n# # 02\n" + case["cells"], encoding="utf-8")
    findings = structure(read_master(path))
    hits = [f for f in findings if case["says"].lower() in f.message.lower()]
    assert hits, [str(f) for f in findings]
    assert (hits[0].cell, hits[0].line, hits[0].severity) == (case["cell"], case["line"], "error")
    assert hits[0].path == path


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("# %pip install torch", "pip install"),
        ("# !ls", "magics break the plain script"),
        ("# %matplotlib inline", "magics break the plain script"),
        ("try:\n    f()\nexcept:\n    pass", "bare except"),
        ("plt.show()", "bare plt.show()"),
        ("show(fig)", "without alt text"),
        ('show(fig, alt="")', "without alt text"),
        ('open("/home/me/scan.nii")', "an absolute path, '/home/me/scan.nii'"),
        (r'open("C:\\scans\\a.nii")', "an absolute path"),
        ('open("~/scan.nii")', "an absolute path"),
        ("get_ipython().magic('x')", "get_ipython()"),
        ("x = (", "not valid Python"),
    ],
)
def test_code_that_breaks_a_reader_is_an_error(tmp_path: Path, code: str, says: str) -> None:
    messages = _messages(tmp_path, f"{CARD}# %%\n{code}\n")
    assert any(says in m and ": error: " in m and "(cell 5)" in m for m in messages), messages


@pytest.mark.parametrize(
    "code",
    ['show(fig, alt="Loss against steps")', "show(fig, alt=describe(fig))", 'x = "1/2 or a/b"'],
)
def test_good_code_is_left_alone(tmp_path: Path, code: str) -> None:
    assert _messages(tmp_path, f"{CARD}# %%\n{code}\n") == []


@pytest.mark.parametrize(
    ("prose", "says"),
    [
        ("![](figure.png)", "an image without alt text"),
        ('<img src="figure.png">', "an image without alt text"),
        ("[data](/srv/data)", "an absolute path, '/srv/data'"),
    ],
)
def test_prose_that_breaks_a_reader_is_an_error(tmp_path: Path, prose: str, says: str) -> None:
    messages = _messages(tmp_path, f"{CARD}# %% [markdown]\n# {prose}\n")
    assert any(says in m and ": error: " in m for m in messages), messages


@pytest.mark.parametrize("field", ["Question", "Paper", "Data and licence", "Budget"])
def test_a_card_without_a_field_is_an_error(tmp_path: Path, field: str) -> None:
    messages = _messages(tmp_path, CARD.replace(f"**{field}**", field))
    assert any(f"the card lacks its {field.lower()}" in m for m in messages), messages


def test_a_budget_without_a_profile_is_an_error(tmp_path: Path) -> None:
    messages = _messages(tmp_path, CARD.replace(" · paper 20 min on one GPU", ""))
    assert any("no budget for paper" in m for m in messages)


def test_parameters_must_be_resolved_by_the_next_cell(tmp_path: Path) -> None:
    messages = _messages(tmp_path, CARD.replace("config = resolve(globals())", "print(profile)"))
    assert any("the next cell must call resolve" in m and "(cell 2)" in m for m in messages)
    messages = _messages(tmp_path, CARD.replace(' tags=["parameters"]', ""))
    assert any('one cell tagged "parameters", found 0' in m for m in messages)


def test_length_warns_then_fails(tmp_path: Path) -> None:
    long, longer = ("# %%\n" + "x = 1\n" * n for n in (26, 41))
    assert any("warning: 26 lines" in m for m in _messages(tmp_path, CARD + long))
    assert any("error: 41 lines" in m for m in _messages(tmp_path, CARD + longer))


def test_many_cells_and_little_prose_warn(tmp_path: Path) -> None:
    messages = _messages(tmp_path, CARD + "# %%\nx = 1\n\n" * 60)
    assert any("warning: 64 cells" in m for m in messages)
    assert any("warning: 3% of the cells are prose" in m for m in messages)
