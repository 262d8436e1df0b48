"""A lesson's recorded experiment, as the lesson reads it: arms, contrasts, verdict sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.grid import Grid, Setting, read_grid, results_folder
from medkd_lib.course.lesson import Images
from medkd_lib.course.resolve import Config
from medkd_lib.course.tables import read_cases, read_contrasts, read_runs
from medkd_lib.data.manifest import load_manifest, manifest_folder
from medkd_lib.evaluate.claims import ledger, read_paper

# The columns of tables without rows: runs, cases, contrasts.
NOTHING = (
    ("setting", "arm", "seed"), ("setting", "case", "patient"),
    ("setting", "contrast", "difference", "low", "high", "p", "p_holm", "verdict", "seeds",
     "patients"),
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """The recorded setting a reader's run belongs to; comparable if it is the same experiment."""

    id: str
    title: str
    comparable: bool


@dataclass(frozen=True)
class Recorded:
    """The committed tables and the grid they were made from."""

    grid: Grid
    runs: pd.DataFrame
    cases: pd.DataFrame
    contrasts: pd.DataFrame

    @classmethod
    def read(cls, lesson: str, folder: Path | None = None) -> "Recorded":
        """Read ``notebooks/results/NN``; a grid of which nothing is recorded yet has no rows."""
        place = folder or results_folder(lesson)
        if not (place / "runs.csv").is_file():
            nothing = [pd.DataFrame(columns=list(names)) for names in NOTHING]
            return cls(read_grid(lesson, place), *nothing)
        tables = (read_runs(place), read_cases(place), read_contrasts(place))
        return cls(read_grid(lesson, place), *tables)

    @property
    def arm_titles(self) -> dict[str, str]:
        """Arm id → label, in the grid's order."""
        return {arm: ARM_TITLES[arm] for arm in self.grid.arms}

    def titles_in(self, setting: str) -> dict[str, str]:
        """Arm id → label of the arms that a setting ran, in the grid's order."""
        return {arm: ARM_TITLES[arm] for arm in self.grid.arms_of(self._setting(setting))}

    @property
    def settings(self) -> list[Setting]:
        """The settings that were recorded, in the grid's order; others are only declared so far."""
        known = set(self.runs.setting)
        return [s for s in self.grid.settings if s.id in known]

    @property
    def questions(self) -> dict[str, str]:
        """Contrast id → what it asks."""
        return {c.id: c.question for c in self.grid.contrasts}

    def of(self, setting: str) -> pd.DataFrame:
        """Return the runs of one setting."""
        return self.runs[self.runs.setting == setting]

    def contrasts_of(self, setting: str) -> pd.DataFrame:
        """Return the contrasts of one setting."""
        return self.contrasts[self.contrasts.setting == setting]

    def chance(self, setting: str) -> float:
        """Return the accuracy of guessing among equally frequent classes."""
        mine = self.cases[self.cases.setting == setting]
        if "label" in mine:
            return 1 / int(mine.label.nunique())
        labels = load_manifest(self._setting(setting).dataset).labels
        if labels is None:
            raise ValueError(f"setting {setting}: its manifest has no labels")
        return 1 / len(labels.values)

    def setting_for(self, images: Images, config: Config, scheme: str = "") -> Shown:
        """Return the recorded setting to show beside the reader's run.

        A run at another profile, or on data that was never recorded, is shown beside the default
        phantom, without a star. ``scheme`` names a label other than the lesson's default.
        """
        wanted = (
            f"{images.manifest.id}_real"
            if images.evidence != "phantom"
            else f"phantom_{config.difficulty}"
        ) + (f"_{scheme}" if scheme else "")
        known = {s.id: s for s in self.settings}
        if wanted in known:
            same = self._same_experiment(config, known[wanted])
            if not same:
                print("your run differs from the recorded ones by more than its seed: no star")
            return Shown(wanted, known[wanted].title, same)
        default = known["phantom_subtle"]
        print(f"{wanted} was not recorded: shown is {default.title}, without your run")
        return Shown(default.id, default.title, False)

    def _same_experiment(self, config: Config, setting: Setting) -> bool:
        """Whether the reader's run differs from the recorded ones by its seed alone."""
        options = self.grid.options | setting.options
        mine = {name: getattr(config, name) for name in options if hasattr(config, name)}
        theirs = {name: options[name] for name in mine}
        return config.profile == "lesson" and not config.truncated and mine == theirs

    def verdicts(self, setting: str) -> pd.DataFrame:
        """Return each declared contrast as a sentence a reader can quote."""
        rows = [
            {"question": self.questions[c.contrast],
             "difference": f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}]",
             "Holm p": f"{c.p_holm:.3g}",
             "verdict": c.verdict,
             "n": f"{c.seeds} seeds, {c.patients} patients"}
            for c in self.contrasts_of(setting).itertuples()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def means(self, setting: str) -> pd.DataFrame:
        """Return mean primary measure, AUC and calibration error of every arm over the seeds."""
        primary = self.grid.primary
        columns = {primary: primary.replace("_", " "), "auc_macro": "AUC", "ece": "ECE"}
        return self.means_of(setting, columns)

    def means_of(self, setting: str, columns: Mapping[str, str]) -> pd.DataFrame:
        """Return means over the seeds, a row per arm in the grid's order.

        Args:
            setting: id.
            columns: measure of ``runs.csv`` → what to call it; those that the setting has no
                number of are left out.
        """
        runs = self.of(setting)
        there = {name: title for name, title in columns.items() if name in runs}
        mean = runs.groupby("arm")[list(there)].mean().dropna(axis=1, how="all")
        return (
            mean.loc[[arm for arm in self.grid.arms if arm in mean.index]]
            .rename(index=ARM_TITLES, columns=there)
            .rename_axis("arm")
            .reset_index()
        )

    def sentence(self, setting: str, contrast: str) -> str:
        """Return one declared contrast in words, to stand beside a single run."""
        table = self.contrasts_of(setting)
        found = table[table.contrast == contrast]
        if not len(found):
            return "not recorded yet"
        c = found.iloc[0]
        return (
            f"recorded over {c.seeds} seeds on {self._setting(setting).title}: {c.difference:+.3f} "
            f"[{c.low:+.3f}, {c.high:+.3f}], {c.verdict}"
        )

    def _setting(self, setting: str) -> Setting:
        return next(s for s in self.grid.settings if s.id == setting)


def claim_ledger(name: str, *recorded: Recorded) -> pd.DataFrame:
    """Return a paper's claims with the recorded evidence for and against each.

    A claim whose trials all belong to other lessons is left to them.

    Args:
        name: file name under ``data_manifests/claims``.
        recorded: one or several lessons whose contrasts the claims name.
    """
    contrasts, runs = (
        pd.concat(tables, ignore_index=True)
        for tables in ([r.contrasts for r in recorded], [r.runs for r in recorded])
    )
    paper = read_paper(manifest_folder() / "claims" / f"{name}.yaml")
    ours = {setting.id for r in recorded for setting in r.grid.settings}
    mine = [c for c in paper.claims if not c.trials or ours & {t.setting for t in c.trials}]
    return ledger(paper.model_copy(update={"claims": mine}), contrasts, runs)
