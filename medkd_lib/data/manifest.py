"""A dataset described once, as facts: the pydantic model behind ``data_manifests/*.yaml``.

A manifest never embeds data. Unknown is ``null``, never guessed; a hash names its source; the
layout must give every file a patient, because every split is made by patient.
"""

import json
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from medkd_lib.data.manifest_boxes import BoxFiles
from medkd_lib.data.manifest_layout import KnownIssue, Layout
from medkd_lib.data.manifest_parts import (
    AccessRule,
    Download,
    Labels,
    Licence,
    Overlap,
    Phantom,
    Preprocessing,
    ReferenceResult,
    Splits,
    Strict,
)

SCHEMA_VERSION = "1.0"


class ManifestError(ValueError):
    """A manifest is missing or wrong; the message names the file, the field and the fix."""


class Manifest(Strict):
    """One dataset. Field by field: see the dataset chapter of CONTRIBUTING.md.

    ``labels`` is what the annotation (or, without one, the case) carries; ``outcome`` is a label
    of the whole case that stands beside a mask. ``derived_from`` names the dataset whose patients
    these are, if the set was made from another one: it then counts as that one. ``boxes`` tells
    where boxes stand if the layout's annotations do not hold them.
    """

    schema_version: Literal["1.0"]
    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    version: str | None
    retrieved: str | None
    homepage: str | None
    doi: str | None
    citation: list[str]
    licence: Licence
    access: AccessRule
    modality: list[str]
    task: list[str]
    n_cases: dict[str, int | None]
    size_mb: float | None
    download: list[Download]
    layout: Layout | None
    boxes: BoxFiles | None = None
    labels: Labels | None
    outcome: Labels | None = None
    splits: Splits | None
    preprocessing: Preprocessing | None
    metrics: list[str] = []
    reference_results: list[ReferenceResult] = []
    known_issues: list[KnownIssue] = []
    overlaps: list[Overlap] = []
    derived_from: str | None = None
    phantom: Phantom | None

    @property
    def case_labels(self) -> Labels | None:
        """The label space of a whole case: ``outcome``, or ``labels`` if they are classes."""
        if self.outcome is not None or self.labels is None:
            return self.outcome
        return None if self.labels.kind in ("mask", "boxes") else self.labels

    @model_validator(mode="after")
    def _gated_data_has_no_link(self) -> Self:
        if self.licence.redistribute is False and self.access.level != "open":
            direct = [d.method for d in self.download if d.method in ("http", "doi")]
            if direct:
                raise ValueError(f"{self.id}: gated, not redistributable, yet download {direct}")
        return self

    @model_validator(mode="after")
    def _boxes_are_of_an_image(self) -> Self:
        if self.boxes is None:
            return self
        roles = sorted(self.layout.images) if self.layout else []
        known = {v.id for v in self.labels.values} if self.labels else set()
        if self.boxes.image not in roles or not set(self.boxes.classes.values()) <= known:
            raise ValueError(
                f"boxes: expected an image among {roles} and classes among {sorted(known)}, found "
                f"{self.boxes.image!r} and {self.boxes.classes}"
            )
        return self

    @model_validator(mode="after")
    def _new_labels_are_defined(self) -> Self:
        if self.labels is None:
            return self
        known = self.labels.stored_ids | {0}
        for issue in self.known_issues:
            if undefined := sorted(set(issue.pairs.values()) - known):
                raise ValueError(
                    f"known issue {issue.what!r}: relabel to {undefined}, which is undefined; "
                    f"the files hold {sorted(known)}"
                )
        return self


def manifest_folder() -> Path:
    """Return the checkout's ``data_manifests`` folder."""
    return Path(__file__).resolve().parents[2] / "data_manifests"


def read_manifest(path: Path) -> Manifest:
    """Read and validate one YAML file.

    Raises:
        ManifestError: unreadable, or a field is wrong; every problem is listed with its path.
    """
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(raw)
    except yaml.YAMLError as error:
        raise ManifestError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        where = [
            f"  {'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors()
        ]
        raise ManifestError("\n".join([f"{path}: not a valid manifest", *where])) from error
    if manifest.id != path.stem:
        raise ManifestError(f"{path}: id {manifest.id!r} differs from the file name")
    return manifest


def load_manifest(dataset: str, folder: Path | None = None) -> Manifest:
    """Return the manifest named ``dataset``; the error lists the ones there are."""
    folder = folder or manifest_folder()
    path = folder / f"{dataset}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ManifestError(f"no manifest {dataset!r} in {folder}; there are: {there}")
    return read_manifest(path)


def manifest_ids(folder: Path | None = None) -> list[str]:
    """Return the ids of all manifests, sorted."""
    return sorted(p.stem for p in (folder or manifest_folder()).glob("*.yaml"))


def json_schema() -> str:
    """Return the JSON Schema of a manifest as committed in ``data_manifests/schema.json``."""
    return json.dumps(Manifest.model_json_schema(), indent=1, sort_keys=True) + "\n"
