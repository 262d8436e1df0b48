"""The parts of a manifest: licence, access, files, layout, labels, splits, issues, phantom."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Access = Literal[
    "open", "account", "click_through", "dua", "application", "restricted", "private", "blocked"
]
Method = Literal[
    "http", "doi", "idc", "tcia_aspera", "synapse", "kaggle", "huggingface", "roboflow", "manual"
]
Action = Literal["exclude", "rename", "fix_affine", "relabel", "warn", "dedupe"]


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
    """One file of a release: ``hash`` is ``md5:…`` or ``sha256:…`` and names its source.

    ``unpack``: whether the layout describes what is inside; null: if the name ends as a zip's or
    a tar's does.
    """

    name: str
    url: str | None = None
    bytes: int | None = None
    hash: str | None = None
    hash_source: str | None = None
    unpack: bool | None = None

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


class Role(Strict):
    """Where the files of one role lie and what the format itself cannot say.

    ``glob`` (one or several: releases differ) is relative to the layout's root and may name files
    or folders (a DICOM series, a stack of PNG slices). ``axcodes`` and ``spacing_mm`` are for
    formats that carry no geometry (Analyze, PNG); ``unit`` is the unit after reading.
    """

    glob: str | list[str]
    optional: bool = False
    modality: str | None = None
    unit: Literal["HU", "SUV", "Bq/mL", "label"] | None = None
    axcodes: str | None = None
    spacing_mm: list[float] | None = None

    @property
    def globs(self) -> list[str]:
        """The patterns as a list."""
        return [self.glob] if isinstance(self.glob, str) else self.glob


class LabelTable(Strict):
    """A CSV with one label per patient or case (``key`` says which column names it)."""

    file: str
    key: str
    label: str
    by: Literal["patient", "case"] = "patient"
    delimiter: str = ","
    encoding: str = "utf-8"


class Layout(Strict):
    """Where the files of a case lie under ``data_root``.

    ``files``: ``images`` and ``annotations`` (masks, boxes) map a role to a glob or a `Role`;
    ``case_regex`` is searched in the path relative to the root and has the named group
    ``patient`` (and may have ``case``, ``label``, ``split``).
    ``grids`` lists the roles that lie on one voxel grid; null: all of a case's volumes do.
    ``npz``: one MedMNIST-style archive with ``{train,val,test}_{images,labels}``; such archives
    carry no patient, so each image counts as its own and the official split stands.
    """

    kind: Literal["files", "npz"] = "files"
    root: str = "."
    images: dict[str, str | Role]
    annotations: dict[str, str | Role] = {}
    case_regex: str | None = None
    grids: list[list[str]] | None = None
    table: LabelTable | None = None
    ignore: list[str] = []

    @property
    def image_roles(self) -> dict[str, Role]:
        """The image roles, each as a `Role`."""
        return {k: Role(glob=v) if isinstance(v, str) else v for k, v in self.images.items()}

    @property
    def annotation_roles(self) -> dict[str, Role]:
        """The annotation roles, each as a `Role`."""
        return {k: Role(glob=v) if isinstance(v, str) else v for k, v in self.annotations.items()}

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Self:
        both = sorted(set(self.images) & set(self.annotations))
        if both:
            raise ValueError(f"layout: {both} is an image and an annotation; one role, one name")
        return self

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
    """A documented defect and what the loader does about it.

    ======== ==================================================================================
    action   executed as
    ======== ==================================================================================
    exclude  the cases are left out of the index
    warn     a line in the index's notes
    dedupe   of cases whose files have equal bytes, the first stays
    rename   annotation ``role``: the file named ``to`` in the case's folder, if it is missing
    fix_affine  at reading, ``role``: ``to: flip_i`` (or j, k: the voxels along that axis are stored
             the wrong way round), ``to: copy:ROLE`` (the affine of that role),
             ``to: spacing 0.7,0.7,5``
    relabel  at reading the annotation ``role``: ``to: "4->3"``, several divided by commas
    ======== ==================================================================================
    """

    cases: list[str]
    what: str
    action: Action
    source: str
    role: str | None = None
    to: str | None = None

    @model_validator(mode="after")
    def _can_be_executed(self) -> Self:
        forms = {
            "rename": r"[^/\\]+",
            "fix_affine": r"flip_[ijk]|copy:\w+|spacing [\d.]+,[\d.]+,[\d.]+",
            "relabel": r"\d+->\d+(, ?\d+->\d+)*",
        }
        if self.action in forms and not (
            self.role and self.to and re.fullmatch(forms[self.action], self.to)
        ):
            raise ValueError(
                f"known issue {self.what!r}: {self.action} needs `role` and `to` "
                f"like {forms[self.action]}, found role {self.role!r} and to {self.to!r}"
            )
        return self


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
    sizes: list[Literal["small", "full"]] = ["full"]
    note: str | None = None
