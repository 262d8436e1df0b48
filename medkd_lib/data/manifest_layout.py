"""Where the files of a case lie, and what is known to be wrong with them."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from medkd_lib.data.manifest_parts import Strict

Action = Literal["exclude", "rename", "fix_affine", "relabel", "warn", "dedupe"]


def inside(path: str, what: str) -> str:
    """Return a path or pattern that cannot leave the folder it is relative to.

    A manifest may come from somebody else: it must not make the loader open other files.

    Raises:
        ValueError: empty, absolute, with a drive, a backslash or ``..``.
    """
    parts = path.split("/")
    outside = not path or path.startswith("/") or ".." in parts
    if outside or "\\" in path or re.match(r"[A-Za-z]:", path):
        raise ValueError(
            f"{what}: expected a relative path with '/' that stays in data_root, found {path!r}"
        )
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"{what}: expected ** as a whole part of the path, found {path!r}")
    return path


class Role(Strict):
    """Where the files of one role lie and what the format itself cannot say.

    ``glob`` (one or several: releases differ) is relative to the layout's root and may name files
    or folders (a DICOM series, a stack of PNG slices). ``axcodes`` and ``spacing_mm`` are for
    formats that carry no geometry (Analyze, PNG); ``unit`` is the unit after reading.
    ``slices_of``: the image role on whose DICOM files these masks were drawn: PNG slices, or
    regions. ``regions``: of an RTSTRUCT or a DICOM SEG, the name of a region → its label id.
    ``by_reference``: the case of such a file is the image folder named as the series that the file
    refers to, since its own path does not tell.
    ``unread``: why the loader cannot open these files yet; the index lists them all the same.
    """

    glob: str | list[str]
    optional: bool = False
    modality: str | None = None
    unit: Literal["HU", "SUV", "Bq/mL", "label"] | None = None
    axcodes: str | None = None
    spacing_mm: list[float] | None = None
    slices_of: str | None = None
    regions: dict[str, int] | None = None
    by_reference: bool = False
    unread: str | None = None

    @property
    def globs(self) -> list[str]:
        """The patterns as a list."""
        return [self.glob] if isinstance(self.glob, str) else self.glob

    @model_validator(mode="after")
    def _globs_stay_inside(self) -> Self:
        for pattern in self.globs:
            inside(pattern, "glob")
        return self

    @model_validator(mode="after")
    def _regions_are_of_a_series(self) -> Self:
        if self.regions is not None and (not self.regions or self.slices_of is None):
            raise ValueError(
                "regions: expected names with their label ids, and `slices_of`, the image they "
                f"were drawn on, found {self.regions} and slices_of {self.slices_of}"
            )
        if self.by_reference and self.regions is None:
            raise ValueError(
                "by_reference: expected with `regions`, the only files that refer to a series, "
                "found without"
            )
        return self


class LabelTable(Strict):
    """A CSV with one label per patient or case (``key`` says which column names it)."""

    file: str
    key: str
    label: str
    by: Literal["patient", "case"] = "patient"
    delimiter: str = ","
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _file_is_inside(self) -> Self:
        inside(self.file, "table.file")
        return self


class CaseList(Strict):
    """A text file without a header that names the patient and the label of each file of a split.

    One line per file, divided by blanks: patient first, then the file's name, label and source
    last (a name may hold blanks of its own). ``folder`` is where the files lie.
    """

    file: str
    folder: str

    @model_validator(mode="after")
    def _paths_are_inside(self) -> Self:
        inside(self.file, "lists.file")
        inside(self.folder, "lists.folder")
        return self


class Layout(Strict):
    """Where the files of a case lie under ``data_root``.

    ``files``: ``images`` and ``annotations`` (masks, boxes) map a role to a glob or a `Role`;
    ``case_regex`` is searched in the path relative to the root and has the named group
    ``patient`` (and may have ``case``, ``label``, ``split``).
    ``grids`` lists the roles that lie on one voxel grid; null: all of a case's volumes do.
    ``lists``: files that name patient and label where no path does; they override ``case_regex``,
    whose patient is then only what stands there until the list is read.
    ``npz``: one MedMNIST-style archive with ``{train,val,test}_{images,labels}``; such archives
    carry no patient, so each image counts as its own and the official split stands.
    """

    kind: Literal["files", "npz"] = "files"
    root: str = "."
    images: dict[str, str | Role]
    annotations: dict[str, str | Role] = Field(default_factory=dict)
    case_regex: str | None = None
    grids: list[list[str]] | None = None
    table: LabelTable | None = None
    lists: list[CaseList] = Field(default_factory=list)
    ignore: list[str] = Field(default_factory=list)

    @property
    def image_roles(self) -> dict[str, Role]:
        """The image roles, each as a `Role`."""
        return {k: Role(glob=v) if isinstance(v, str) else v for k, v in self.images.items()}

    @property
    def annotation_roles(self) -> dict[str, Role]:
        """The annotation roles, each as a `Role`."""
        return {k: Role(glob=v) if isinstance(v, str) else v for k, v in self.annotations.items()}

    @property
    def unread(self) -> dict[str, str]:
        """The roles whose files the loader cannot open yet, each with the reason."""
        roles = {**self.image_roles, **self.annotation_roles}
        return {name: role.unread for name, role in roles.items() if role.unread}

    @model_validator(mode="after")
    def _paths_stay_inside(self) -> Self:
        inside(self.root, "layout.root")
        # A plain text becomes a `Role` only when it is asked for.
        _ = self.image_roles, self.annotation_roles
        return self

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Self:
        both = sorted(set(self.images) & set(self.annotations))
        if both:
            raise ValueError(f"layout: {both} is an image and an annotation; one role, one name")
        return self

    @model_validator(mode="after")
    def _slices_are_of_an_image(self) -> Self:
        for name, role in {**self.image_roles, **self.annotation_roles}.items():
            if role.slices_of is not None and role.slices_of not in self.images:
                raise ValueError(
                    f"layout.{name}.slices_of: expected one of the images {sorted(self.images)}, "
                    f"found {role.slices_of!r}"
                )
            if role.regions is not None and name not in self.annotations:
                raise ValueError(f"layout.{name}.regions: expected with annotations alone")
        return self

    @model_validator(mode="after")
    def _patient_is_named(self) -> Self:
        if self.kind == "npz":
            return self
        try:
            groups = re.compile(self.case_regex or "").groupindex
        except re.error as error:
            raise ValueError(f"layout.case_regex: not a regular expression: {error}") from error
        if "patient" not in groups:
            raise ValueError("layout.case_regex needs the named group `patient`: (?P<patient>…)")
        return self


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
    relabel  at reading the annotation ``role``: ``to: "4->3"`` or ``to: "55..70->63"``, several
             divided by commas
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
            "rename": r"[^/]+",
            "fix_affine": r"flip_[ijk]|copy:\w+|spacing [\d.]+,[\d.]+,[\d.]+",
            "relabel": r"\d+(\.\.\d+)?->\d+(, ?\d+(\.\.\d+)?->\d+)*",
        }
        if self.action in forms and not (
            self.role and self.to and re.fullmatch(forms[self.action], self.to)
        ):
            raise ValueError(
                f"known issue {self.what!r}: {self.action} needs `role` and `to` "
                f"like {forms[self.action]}, found role {self.role!r} and to {self.to!r}"
            )
        if self.action == "rename":
            inside(self.to or "", f"known issue {self.what!r}: to")
        return self

    @property
    def pairs(self) -> dict[int, int]:
        """Old id → new id of a ``relabel``; empty for other actions."""
        if self.action != "relabel":
            return {}
        pairs: dict[int, int] = {}
        for part in (self.to or "").split(","):
            old, new = part.split("->")
            first, _, last = old.partition("..")
            pairs |= dict.fromkeys(range(int(first), int(last or first) + 1), int(new))
        return pairs
