"""The declared grid of a recorded experiment: arms × seeds × settings, contrasts, correction.

``notebooks/results/NN/grid.yaml`` is written and committed before any of its runs.
"""

import os
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.twin import twin


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Setting(_Part):
    """One dataset as one difficulty; ``real_folder`` is a folder under ``MEDKD_REAL_DATA``."""

    id: str
    title: str
    dataset: str
    evidence: Literal["phantom", "stand-in", "original"]
    difficulty: str = ""
    patients: int = 0
    real_folder: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.real_folder) == bool(self.difficulty):
            raise ValueError(f"setting {self.id}: give either real_folder or difficulty")
        return self

    def root(self) -> Path:
        """Return the folder of the images; the phantom twin is made if need be.

        Raises:
            FileNotFoundError: real images are wanted and not there; says how to name them.
        """
        if self.difficulty:
            return twin(
                load_manifest(self.dataset), patients=self.patients, difficulty=self.difficulty
            )
        base = os.environ.get("MEDKD_REAL_DATA", "")
        root = Path(base) / self.real_folder
        if not base or not root.is_dir():
            raise FileNotFoundError(
                f"setting {self.id} needs real images: set MEDKD_REAL_DATA to the folder that "
                f"holds {self.real_folder!r} (found {base!r}), or leave it out with --settings"
            )
        return root


class ContrastPlan(_Part):
    """``arm`` minus ``rival``; ``settings`` empty means all of them."""

    id: str
    question: str
    arm: str
    rival: str
    settings: list[str] = []


class Grid(_Part):
    """What is run, and what will be asked of it."""

    lesson: str
    experiment: Literal["logits"]
    declared: str
    temperature: float
    alpha: float
    seeds: list[int]
    settings: list[Setting]
    arms: list[str]
    primary: str
    correction: Literal["holm"]
    contrasts: list[ContrastPlan]

    @model_validator(mode="after")
    def _names_hold_together(self) -> Self:
        arms, settings = set(self.arms), {s.id for s in self.settings}
        for contrast in self.contrasts:
            unknown = ({contrast.arm, contrast.rival} - arms) | (set(contrast.settings) - settings)
            if unknown:
                raise ValueError(f"contrast {contrast.id}: {sorted(unknown)} not in the grid")
        if len(self.seeds) < 5:
            raise ValueError(f"expected at least 5 seeds, found {self.seeds}")
        return self


def results_folder(lesson: str) -> Path:
    """Return ``notebooks/results/NN`` of the checkout."""
    return Path(__file__).resolve().parents[2] / "notebooks" / "results" / lesson


def read_grid(lesson: str, folder: Path | None = None) -> Grid:
    """Read the committed grid of a lesson.

    Raises:
        FileNotFoundError: the lesson declares no recorded experiment.
    """
    path = (folder or results_folder(lesson)) / "grid.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"lesson {lesson} declares no recorded experiment: no {path}")
    return Grid.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
