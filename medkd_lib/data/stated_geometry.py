"""What the holder of a folder states about pictures that do not know where their axes point.

A manifest holds what a release documents, and some releases of PNG slices do not document their
axes. Whoever has looked at a case writes what was seen into one small file beside the images; the
manifest stays as it is, and the statement holds for this folder alone.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout, Role
from medkd_lib.data.manifest_parts import Strict
from medkd_lib.data.problems import DataError, bad

STATEMENT = "stated_geometry.yaml"
"""Its name; it lies in ``data_root``."""


class StatedGeometry(Strict):
    """The content of :data:`STATEMENT`.

    ``axcodes``: where the axes of a stack point, as
    :func:`medkd_lib.data.png_stack.read_png_stack` counts them. ``spacing_mm``: voxel size, if
    it is another than the manifest's. ``source``: who says so, and from what.
    """

    dataset: str
    axcodes: str
    spacing_mm: list[float] | None = None
    source: str


def read_statement(root: Path) -> StatedGeometry | None:
    """Return what the folder's holder states; None without such a file.

    Raises:
        DataError: ``bad_statement``.
    """
    path = root / STATEMENT
    if not path.is_file():
        return None
    try:
        return StatedGeometry.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused(path, f"no YAML: {error}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise _refused(path, "; ".join(wrong)) from error


def write_statement(root: Path, statement: StatedGeometry) -> None:
    """Write :data:`STATEMENT` into a folder; the bytes depend on the statement alone."""
    text = yaml.safe_dump(statement.model_dump(exclude_none=True), sort_keys=False)
    (root / STATEMENT).write_text(text, encoding="utf-8", newline="\n")


def as_stated(manifest: Manifest, statement: StatedGeometry, root: Path) -> Manifest:
    """Return the manifest with the statement in every role that waits for its axes.

    A role waits if the manifest states how large its voxels are and not where its axes point. A
    manifest that holds the statement already comes back as it is.

    Raises:
        DataError: ``bad_statement``: of another dataset, or no role waits for its axes alone.
    """
    path = root / STATEMENT
    if statement.dataset != manifest.id:
        raise _refused(path, f"dataset {statement.dataset!r}, while {manifest.id!r} is read")
    layout = manifest.layout
    roles = list(_roles(layout).values()) if layout else []
    if layout is None or not any(_waits(r) or _holds(r, statement) for r in roles):
        raise _refused(path, f"no role of {manifest.id} waits for its axes alone")

    def stated(roles: dict[str, Role]) -> dict[str, Role]:
        update = {
            "axcodes": statement.axcodes, "unread": None,
            **({"spacing_mm": statement.spacing_mm} if statement.spacing_mm else {}),
        }  # fmt: skip
        return {n: r.model_copy(update=update) if _waits(r) else r for n, r in roles.items()}

    told = layout.model_copy(
        update={
            "images": stated(layout.image_roles), "annotations": stated(layout.annotation_roles),
        }
    )  # fmt: skip
    return manifest.model_copy(update={"layout": told})


def _roles(layout: Layout) -> dict[str, Role]:
    return {**layout.image_roles, **layout.annotation_roles}


def _waits(role: Role) -> bool:
    return role.spacing_mm is not None and role.axcodes is None


def _holds(role: Role, statement: StatedGeometry) -> bool:
    spacing = statement.spacing_mm or role.spacing_mm
    return role.axcodes == statement.axcodes and role.spacing_mm == spacing


def _refused(path: Path, found: str) -> DataError:
    return bad(
        "bad_statement", path, expected="`dataset`, `axcodes` (three letters such as LPS), `source`"
        " and, if it is another than the manifest's, `spacing_mm`, for a dataset of PNG slices",
        found=found, next_step="correct the file, or remove it: nothing is guessed",
    )  # fmt: skip
