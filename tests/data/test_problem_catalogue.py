"""The page of data problems and the code agree, and no kind is without a test."""

import re
from pathlib import Path

import pytest

from medkd_lib.fingerprint import PACKAGE
from tests.data.expected_kinds import expected_kinds
from tests.data.problem_kinds import problem_kinds

PAGE = Path(__file__).parents[2] / "docs" / "data-problems.md"
ROW = re.compile(r"\| `(?P<kind>\w+)` \| (?P<meaning>[^|]+) \| (?P<happens>[^|]+) \|")
SEVERITY = re.compile(r"\*\*(error|repaired|warning)\*\*")
ENOUGH = 40


def rows() -> list[re.Match[str]]:
    """The page's rows; every line of a table that is no head must be one."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("| kind |", "|---|")):
            match = ROW.fullmatch(line)
            assert match is not None, f"expected | `kind` | meaning | what happens |, found {line}"
            found.append(match)
    return found


def planting_files() -> list[Path]:
    """The files that plant defects, those that read the code left out."""
    own = (Path(__file__).name, "problem_kinds.py", "expected_kinds.py")
    return [p for p in sorted(Path(__file__).parent.glob("*.py")) if p.name not in own]


def test_every_kind_can_be_read_from_the_code() -> None:
    assert problem_kinds().unread == []
    outside = [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE / "data"]
    assert problem_kinds(tuple(outside)).severities == {}, "make problems in medkd_lib/data alone"


def test_page_and_code_name_the_same_kinds_and_tell_the_same_end() -> None:
    told = {row["kind"]: set(SEVERITY.findall(row["happens"])) for row in rows()}
    assert len(told) == len(rows()), "a kind stands in one table only"
    assert told == problem_kinds().severities


def test_every_kind_is_planted_in_a_test() -> None:
    severities, tested = problem_kinds().severities, expected_kinds(planting_files())
    assert sorted(set(severities) - tested) == []
    stopped_or_mended = {k for k, ends in severities.items() if ends & {"error", "repaired"}}
    assert len(stopped_or_mended & tested) >= ENOUGH


SOURCE = """
def made(kind, where):
    return bad(kind, where, expected="a", found="b", next_step="c")

class Header:
    def error(self, name, found):
        return self._refuse(f"no_{name}", found)
    def _refuse(self, slug, found):
        return bad(slug, found, expected="a", found="b", next_step="c")

def read(header, cut, other):
    made("direct", "x")
    header.error("weight", "none")
    kind = "cut" if cut else "broken"
    made(kind, "x")
    for name, value in (("first", 1), ("second", 2)):
        Problem(name, "x", "a", "b", "c", severity="repaired")
    Problem("two" if other else "one", "x", "a", "b", "c",
            severity="error" if other else "warning")
"""


def test_the_reading_of_kinds_follows_helpers_loops_and_conditions(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(SOURCE, encoding="utf-8")
    found = problem_kinds((path,))
    assert found.severities == {
        "direct": {"error"}, "no_weight": {"error"}, "cut": {"error"}, "broken": {"error"},
        "first": {"repaired"}, "second": {"repaired"}, "one": {"warning"}, "two": {"error"},
    }  # fmt: skip
    assert found.unread == []


TESTS = '''
"""word1"""
WORDS = {"key": (lambda p: Image.new("word2"), "cell"), "head": [("row", 1)]}

def refused(path, kind, message="word3"):
    pass

@pytest.mark.parametrize(("kind", "edit"), [("given", edit(word="word4")), ("also", None)])
def test_it(tmp_path, kind):
    (tmp_path / "word5").mkdir()
    refused(tmp_path / "word6", "helped", "word7")
    write(["word8"], {"word9": 1}, option="word10")
    assert "word11" in str(error.value) and "member" in [p.kind for p in problems]
    assert error.value.problem.kind == "equal" if cut else "word12"
    assert error.value.problem.kind in {"one", "other"}
    assert told == sorted(("every", part) for part in parts)
    for wrong, name in (("looped", 1),):
        pass
    ds.ImageType = ["word13"]
'''


def test_a_word_that_merely_occurs_is_no_expectation(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(TESTS, encoding="utf-8")
    expected = {
        "cell",
        "given",
        "also",
        "helped",
        "member",
        "equal",
        "one",
        "other",
        "looped",
        "every",
    }
    assert expected_kinds([path]) == expected | {"key", "head", "row"}


@pytest.mark.parametrize("kind", ["kinds[0]", "name", 'f"{a}_{b}"'])
def test_a_kind_that_cannot_be_read_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "source.py"
    path.write_text(f"def read(kinds):\n    Problem({kind}, 'x', 'a', 'b', 'c')\n", "utf-8")
    found = problem_kinds((path,))
    assert found.severities == {} and [line[:11] for line in found.unread] == ["source.py:2"]
