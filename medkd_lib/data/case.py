"""One case: the images of one patient, what was drawn on them, and what must be repaired."""

from dataclasses import dataclass, field
from pathlib import Path

from medkd_lib.data.manifest_layout import KnownIssue
from medkd_lib.data.problems import DataError


class LayoutError(DataError):
    """What lies in the folder does not fit the manifest; the message names file and next step."""


@dataclass(frozen=True)
class Case:
    """One image set of one patient.

    ``images`` and ``annotations`` map a role (``image``, ``ct``, ``t1n``, ``seg``, …) to its file
    or folder; ``row`` is the position inside an archive, else ``None``; ``split`` is the official
    one, if there is any; ``repairs`` are the known issues to execute when the files are read;
    ``derived_from`` is the dataset that the files were made from, as the manifest states it.
    """

    id: str
    patient: str
    dataset: str
    images: dict[str, Path]
    label: int | None = None
    split: str | None = None
    row: int | None = None
    annotations: dict[str, Path] = field(default_factory=dict)
    repairs: tuple[KnownIssue, ...] = ()
    derived_from: str | None = None

    @property
    def files(self) -> dict[str, Path]:
        """All roles, images first."""
        return {**self.images, **self.annotations}
