"""Find lessons: ``04``, a topic, a path to an ``.ipynb``, or ``all`` become notebook files."""

import difflib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import medkd_lib


class LessonError(ValueError):
    """A lesson or the notebooks folder was not found, or is no notebook; names the fix."""


@dataclass(frozen=True)
class Lesson:
    """A notebook file and what the runner needs to know of it, read without nbformat.

    (Importing nbformat takes a second; the file is plain JSON.)
    """

    notebook: Path
    solutions: bool = False

    @property
    def name(self) -> str:
        """The name of its run folder, such as ``04_born_again``."""
        return self.notebook.stem + ("_solutions" if self.solutions else "")

    @cached_property
    def content(self) -> dict[str, Any]:
        """The notebook as JSON."""
        try:
            content = json.loads(self.notebook.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LessonError(f"{self.notebook}: not a readable notebook: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
            raise LessonError(f"{self.notebook}: expected a notebook with `cells`, found none")
        return content

    @cached_property
    def title(self) -> str:
        """The title in the metadata, else the first heading, else the file's name."""
        named = self._medkd.get("title")
        lines = (
            line
            for cell in self.content["cells"]
            if cell["cell_type"] == "markdown"
            for line in "".join(cell["source"]).splitlines()
        )
        heading = next((line.lstrip("# ") for line in lines if line.startswith("# ")), None)
        return str(named or heading or self.notebook.stem)

    @cached_property
    def has_parameters(self) -> bool:
        """Whether a cell is tagged ``parameters``."""
        return any(
            "parameters" in cell.get("metadata", {}).get("tags", [])
            for cell in self.content["cells"]
        )

    @cached_property
    def source_hash(self) -> str:
        """A hash of what is executed and shown: kinds, tags and sources, not outputs."""
        cells = [
            (c["cell_type"], c.get("metadata", {}).get("tags", []), "".join(c["source"]))
            for c in self.content["cells"]
        ]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()

    def budget(self, profile: str) -> float | None:
        """Return the seconds the notebook's card promises for ``profile``, if it does."""
        seconds = self._medkd.get("budgets", {}).get(profile)
        return float(seconds) if seconds is not None else None

    @property
    def _medkd(self) -> dict[str, Any]:
        return self.content.get("metadata", {}).get("medkd", {})


def notebooks_folder(caller: Path) -> Path:
    """Return the checkout's ``notebooks`` folder.

    Looked for in ``MEDKD_NOTEBOOKS`` (the checkout or its notebooks folder), beside the installed
    package, then from ``caller`` upwards.

    Raises:
        LessonError: none of them has notebooks.
    """
    named = os.environ.get("MEDKD_NOTEBOOKS")
    if named:
        root = (caller / Path(named).expanduser()).resolve()
        folder = root / "notebooks" if (root / "notebooks").is_dir() else root
        if not folder.is_dir():
            raise LessonError(f"MEDKD_NOTEBOOKS: expected a folder, found none at {folder}")
        return folder
    places = [Path(medkd_lib.__file__).resolve().parent.parent, caller, *caller.parents]
    for place in places:
        folder = place / "notebooks"
        if any(folder.glob("[0-9][0-9]_*.ipynb")) or (folder / "masters").is_dir():
            return folder
    raise LessonError(
        f"no notebooks beside the package ({places[0]}) nor above {caller}; "
        "run this inside a checkout of medkd, or set MEDKD_NOTEBOOKS to its notebooks folder"
    )


def find_lessons(names: Sequence[str], caller: Path, *, solutions: bool = False) -> list[Lesson]:
    """Return the lessons meant by ``names``, in that order and each once.

    Raises:
        LessonError: a name fits no notebook; the message lists what there is.
    """
    found: dict[Path, Lesson] = {}
    for name in names:
        if name.endswith(".ipynb"):
            lessons = [_at_path(name, caller)]
        else:
            folder = notebooks_folder(caller)
            lessons = _named(name, folder / "solutions" if solutions else folder, solutions)
        for lesson in lessons:
            found.setdefault(lesson.notebook, lesson)
    return list(found.values())


def _at_path(name: str, caller: Path) -> Lesson:
    path = (caller / Path(name).expanduser()).resolve()
    if not path.is_file():
        raise LessonError(f"{name}: expected a notebook, found none at {path}")
    return Lesson(path, solutions=path.parent.name == "solutions")


def _named(name: str, folder: Path, solutions: bool) -> list[Lesson]:
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise LessonError(
            f"{folder}: expected notebooks such as 04_topic.ipynb, found none; "
            "build them with `medkd course build`"
        )
    if name == "all":
        return [Lesson(path, solutions) for path in notebooks]
    wanted = name.replace("-", "_").lower()
    if wanted.isdigit():
        wanted = wanted.zfill(2)
    by_name = {key: path for path in notebooks for key in _names_of(path)}
    if wanted not in by_name:
        near = difflib.get_close_matches(wanted, by_name, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        have = ", ".join(path.stem for path in notebooks)
        raise LessonError(f"unknown lesson {name!r}: {hint}{folder} has {have}")
    return [Lesson(by_name[wanted], solutions)]


def _names_of(path: Path) -> list[str]:
    number, _, topic = path.stem.lower().partition("_")
    return [number, topic, path.stem.lower()]
