"""The declared grid of a recorded experiment: arms × seeds × settings, contrasts, correction.

``notebooks/results/NN/grid.yaml`` is written and committed before any of its runs.
"""

import os
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from medkd_lib.data.manifest import load_manifest
from medkd_lib.evaluate.strata import Stratum
from medkd_lib.phantom.twin import fair_twin, twin

Option = bool | int | float | str | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Setting(_Part):
    """One dataset (or several, joined by ``+``) as one difficulty.

    ``patients`` is a number, or one for each of the joined sets; ``twin_seed`` draws them, other
    ones than the lesson's own where those have been looked at; ``real_folder`` is a folder under
    ``MEDKD_REAL_DATA``, or one for each of the joined sets, joined likewise; ``options`` are the
    experiment's, for this setting alone; ``arms`` and ``seeds`` empty mean all of the grid's.
    ``shortcut`` of each of the joined twins says how far the class tells where a film is from;
    empty: as documented. ``fair`` asks for one twin more, of the first set with so many patients,
    other people, and sources drawn apart from the class: whoever learnt a shortcut is found out
    there. Its folder follows those of the joined sets.
    """

    id: str
    title: str
    dataset: str
    evidence: Literal["phantom", "stand-in", "original"]
    difficulty: str = ""
    patients: int | list[int] = 0
    twin_seed: int = 0
    real_folder: str = ""
    shortcut: list[float | None] = []
    fair: int = 0
    options: dict[str, Option] = {}
    arms: list[str] = []
    seeds: list[int] = []

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.real_folder) == bool(self.difficulty):
            raise ValueError(f"setting {self.id}: give either real_folder or difficulty")
        if self.fair and self.real_folder:
            raise ValueError(f"setting {self.id}: only a twin can be made fair; leave `fair` out")
        return self

    @property
    def datasets(self) -> list[str]:
        """The manifests' ids."""
        return self.dataset.split("+")

    def roots(self) -> list[Path]:
        """Return the folder of each dataset's images; phantom twins are made if need be.

        Raises:
            FileNotFoundError: real images are wanted and not there; says how to name them.
        """
        if self.difficulty:
            one = self.patients
            counts = one if isinstance(one, list) else [one] * len(self.datasets)
            cuts = self.shortcut or [None] * len(self.datasets)
            roots = [
                twin(
                    load_manifest(name), patients=count, difficulty=self.difficulty,
                    seed=self.twin_seed, shortcut=cut,
                )
                for name, count, cut in zip(self.datasets, counts, cuts, strict=True)
            ]  # fmt: skip
            if self.fair:
                target = load_manifest(self.datasets[0])
                roots.append(fair_twin(target, self.fair, self.difficulty, self.twin_seed))
            return roots
        base = os.environ.get("MEDKD_REAL_DATA", "")
        roots = [Path(base) / folder for folder in self.real_folder.split("+")]
        if missing := [root.name for root in roots if not base or not root.is_dir()]:
            raise FileNotFoundError(
                f"setting {self.id} needs real images: set MEDKD_REAL_DATA to the folder that "
                f"holds {missing} (found {base!r}), or leave it out with --settings"
            )
        return roots


class ContrastPlan(_Part):
    """``arm`` minus ``rival``; ``settings`` empty means all of them that run both arms.

    ``answers`` names what is compared: the answers to the test images, or those to the test images
    made worse (``noisy``), where the experiment records them; ``only`` asks for the cases with a
    small, middle or large tumour alone, or whatever ``by`` measures. ``measure`` is another one
    than the grid's primary. ``family`` names the question it belongs to: the correction
    runs within a family.
    """

    id: str
    question: str
    arm: str
    rival: str
    settings: list[str] = []
    answers: Literal["clean", "noisy"] = "clean"
    only: Stratum | None = None
    by: str = "size_mm2"
    measure: str = ""
    family: str = "all"


class Grid(_Part):
    """What is run, and what will be asked of it.

    ``primary`` balanced accuracy weighs every class alike, whatever its share of the test images;
    ``dice`` is a mean over test cases, and so is ``auc`` of the numbers of `auc_of_cases`.
    """

    lesson: str
    experiment: Literal["logits", "teachers", "students", "cmedl", "react", "joint", "tasks"]
    declared: str
    options: dict[str, Option] = {}
    seeds: list[int]
    settings: list[Setting]
    arms: list[str]
    primary: Literal["accuracy", "balanced_accuracy", "dice", "auc"]
    correction: Literal["holm"]
    contrasts: list[ContrastPlan]

    @model_validator(mode="after")
    def _names_hold_together(self) -> Self:
        arms, settings = set(self.arms), {s.id for s in self.settings}
        for contrast in self.contrasts:
            unknown = ({contrast.arm, contrast.rival} - arms) | (set(contrast.settings) - settings)
            if unknown:
                raise ValueError(f"contrast {contrast.id}: {sorted(unknown)} not in the grid")
        for setting in self.settings:
            if unknown := set(setting.arms) - arms:
                raise ValueError(f"setting {setting.id}: {sorted(unknown)} not in the grid's arms")
        if len(self.seeds) < 5:
            raise ValueError(f"expected at least 5 seeds, found {self.seeds}")
        for setting in self.settings:
            if setting.seeds and (len(setting.seeds) < 3 or set(setting.seeds) - set(self.seeds)):
                raise ValueError(
                    f"setting {setting.id}: expected at least 3 of the grid's seeds {self.seeds}, "
                    f"found {setting.seeds}"
                )
        return self

    def seeds_of(self, setting: Setting) -> list[int]:
        """Return the seeds that a setting runs."""
        return setting.seeds or self.seeds

    def arms_of(self, setting: Setting) -> list[str]:
        """Return the arms that a setting runs, in the grid's order."""
        return [a for a in self.arms if not setting.arms or a in setting.arms]

    def contrasts_of(self, setting: Setting) -> list[ContrastPlan]:
        """Return the contrasts that are asked of a setting."""
        run = set(self.arms_of(setting))
        return [
            c for c in self.contrasts
            if {c.arm, c.rival} <= run and (not c.settings or setting.id in c.settings)
        ]  # fmt: skip


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
