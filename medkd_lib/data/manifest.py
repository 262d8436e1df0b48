"""A dataset described once, as facts: the pydantic model behind ``data_manifests/*.yaml``.

A manifest never embeds data. Unknown is ``null``, never guessed; a hash names its source; the
layout must give every file a patient, because every split is made by patient.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SCHEMA_VERSION = "1.0"

Access = Literal[
    "open", "account", "click_through", "dua", "application", "restricted", "private", "blocked"
]
Method = Literal[
    "http", "doi", "idc", "tcia_aspera", "synapse", "kaggle", "huggingface", "roboflow", "manual"
]
Action = Literal["exclude", "rename", "fix_affine", "relabel", "warn", "dedupe"]


class ManifestError(ValueError):
    """A manifest is missing or wrong; the message names the file, the field and the fix."""


class Strict(BaseModel):
    """Base of all manifest parts: a misspelt key is an error, a manifest does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(Strict):
    """What the owner allows; ``redistribute`` null means the wording could not be read."""

    spdx: str | None
    name: str
    url: str | None = None
    commercial: bool | None = None
    share_alike: bool | None = None
    redistribute: bool | None = None
    source: str | None = None


class AccessRule(Strict):
    """How a person gets the data."""

    level: Access
    url: str | None = None
    steps: list[str] = []
    env: list[str] = []
    ai_tools_prohibited: bool | None = None


class FileFact(Strict):
    """One file of a release: ``hash`` is ``md5:…`` or ``sha256:…`` and names its source."""

    name: str
    url: str | None = None
    bytes: int | None = None
    hash: str | None = None
    hash_source: str | None = None

    @model_validator(mode="after")
    def _hash_has_form_and_source(self) -> Self:
        if self.hash is None:
            return self
        if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", self.hash):
            raise ValueError(f"hash of {self.name}: expected md5:<32 hex> or sha256:<64 hex>")
        if not self.hash_source:
            raise ValueError(f"hash of {self.name} has no hash_source: say where it was read")
        return self


class Download(Strict):
    """One way to fetch the data."""

    method: Method
    ref: str
    revision: str | None = None
    files: list[FileFact] = []
    recipe: list[str] = []

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.method in ("idc", "huggingface", "kaggle") and not self.revision:
            raise ValueError(f"download by {self.method} needs a revision: those hosts change")
        return self


class Layout(Strict):
    """Where the files of a case lie under ``data_root``.

    ``files``: ``images`` maps a role to a glob; ``case_regex`` is searched in the path relative
    to the root and has the named group ``patient`` (and may have ``case``, ``label``, ``split``).
    ``npz``: one MedMNIST-style archive with ``{train,val,test}_{images,labels}``; such archives
    carry no patient, so each image counts as its own and the official split stands.
    """

    kind: Literal["files", "npz"] = "files"
    root: str = "."
    images: dict[str, str]
    case_regex: str | None = None
    ignore: list[str] = []

    @model_validator(mode="after")
    def _patient_is_named(self) -> Self:
        if self.kind == "npz":
            return self
        if self.case_regex is None or "patient" not in re.compile(self.case_regex).groupindex:
            raise ValueError("layout.case_regex needs the named group `patient`: (?P<patient>…)")
        return self


class LabelValue(Strict):
    """One label id and its name."""

    id: int
    name: str


class Labels(Strict):
    """The label space; ``regions`` are unions of label ids."""

    kind: Literal["classes", "ordinal", "multilabel", "mask", "boxes"]
    values: list[LabelValue]
    regions: dict[str, list[int]] = {}
    remap: dict[int, int] = {}

    @property
    def names(self) -> list[str]:
        """Names in the order of their ids."""
        return [v.name for v in sorted(self.values, key=lambda v: v.id)]

    @model_validator(mode="after")
    def _ids_hold_together(self) -> Self:
        ids = {v.id for v in self.values}
        if len(ids) != len(self.values):
            raise ValueError("labels.values: an id stands twice")
        for region, members in self.regions.items():
            if not set(members) <= ids:
                raise ValueError(f"labels.regions.{region}: {sorted(set(members) - ids)} undefined")
        foreground = [v for k, v in self.remap.items() if k != 0]
        if len(set(foreground)) != len(foreground):
            raise ValueError("labels.remap: two foreground ids become one")
        return self


class Splits(Strict):
    """How patients are divided; ``official`` names the folders or keys of a given split."""

    policy: Literal["official_test", "official", "group_kfold"]
    group_by: Literal["patient"] = "patient"
    test_labels_public: bool | None = None
    seed: int = 0
    note: str | None = None


class Preprocessing(Strict):
    """Defaults with their source; a lesson may override them by name."""

    orientation: str | None = None
    spacing_mm: list[float] | None = None
    window: tuple[float, float] | None = None
    norm: str
    image_size: int | None = None
    source: str


class ReferenceResult(Strict):
    """A published or measured number to compare with."""

    metric: str
    value: float
    split: str
    source: str


class KnownIssue(Strict):
    """A documented defect and what the loader does about it."""

    cases: list[str]
    what: str
    action: Action
    source: str
    to: str | None = None


class Overlap(Strict):
    """Another dataset that shares patients: never on the other side of a split."""

    id: str
    evidence: str


class Phantom(Strict):
    """How to make the synthetic twin; null until a lesson or a loader test uses the set."""

    maker: str
    patients: int
    difficulties: list[str]
    default_difficulty: str
    note: str | None = None


class Manifest(Strict):
    """One dataset. Field by field: see the dataset chapter of CONTRIBUTING.md."""

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
    labels: Labels | None
    splits: Splits | None
    preprocessing: Preprocessing | None
    metrics: list[str] = []
    reference_results: list[ReferenceResult] = []
    known_issues: list[KnownIssue] = []
    overlaps: list[Overlap] = []
    phantom: Phantom | None

    @model_validator(mode="after")
    def _gated_data_has_no_link(self) -> Self:
        if self.licence.redistribute is False and self.access.level != "open":
            direct = [d.method for d in self.download if d.method in ("http", "doi")]
            if direct:
                raise ValueError(f"{self.id}: gated, not redistributable, yet download {direct}")
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
