"""The parts of a manifest: licence, access, files, labels, splits, phantom."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Access = Literal[
    "open", "account", "click_through", "dua", "application", "restricted", "private", "blocked"
]
Method = Literal[
    "http", "doi", "idc", "tcia_aspera", "synapse", "kaggle", "huggingface", "roboflow", "manual"
]


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

    @property
    def stored_ids(self) -> set[int]:
        """The ids that files hold: before ``remap`` gave some of them a new number."""
        ids = {v.id for v in self.values}
        return (ids - set(self.remap.values())) | set(self.remap)

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
        if undefined := sorted(set(foreground) - ids):
            raise ValueError(
                f"labels.remap: {undefined} undefined; labels.values has {sorted(ids)}"
            )
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
