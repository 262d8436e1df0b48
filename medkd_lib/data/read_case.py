"""Case → volumes: every role read, the documented repairs made, the grids compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from nibabel.affines import from_matvec

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import KnownIssue, Layout
from medkd_lib.data.masks import as_mask, read_mask
from medkd_lib.data.png_slices import read_png_slices
from medkd_lib.data.problems import DataError, Problem, bad
from medkd_lib.data.read import read_volume
from medkd_lib.data.regions import read_regions
from medkd_lib.data.volume import Volume, require_same_grid


def read_case(
    case: Case, manifest: Manifest, roles: Sequence[str] | None = None
) -> dict[str, Volume]:
    """Return the case's volumes by role, masks in the manifest's label ids.

    Args:
        case: from the index.
        manifest: tells unit, label space, and which roles share a grid.
        roles: which to read; default all the case has.

    Raises:
        DataError: a file is unreadable, a mask holds an unknown value, or roles that should lie
            on one grid do not.
        LayoutError: a wanted role is missing.
    """
    wanted = list(case.files) if roles is None else list(roles)
    missing = [role for role in wanted if role not in case.files]
    if missing:
        raise LayoutError(
            Problem(
                "missing_modality", f"case {case.id}", f"the roles {wanted}",
                f"no {missing}, only {sorted(case.files)}", "leave the case or the role out",
            )
        )  # fmt: skip
    volumes = {role: read_role(case, manifest, role) for role in wanted}
    volumes = with_affines_mended(volumes, case, manifest)
    for problem in grid_problems(volumes, case, manifest):
        raise DataError(problem)
    return volumes


def with_affines_mended(
    volumes: dict[str, Volume], case: Case, manifest: Manifest
) -> dict[str, Volume]:
    """Return the volumes after every ``fix_affine`` of the case.

    A role that lends its affine is mended first, wherever its own repair stands in the manifest,
    and read if it is not among the volumes: what a role becomes does not depend on its company.

    Raises:
        DataError: ``affine_cycle``, or ``missing_modality`` if the lender is not there.
    """
    mended: dict[str, Volume] = {}
    return {role: _mended(role, volumes, mended, case, manifest, ()) for role in volumes}


def _mended(
    role: str, read: dict[str, Volume], mended: dict[str, Volume], case: Case, manifest: Manifest,
    borrowers: tuple[str, ...],
) -> Volume:  # fmt: skip
    """Return one role after its repairs, and keep it in ``mended`` for those who borrow from it."""
    # No closure that calls itself: such a circle would keep the voxels until the next collection.
    if role in borrowers:
        raise bad(
            "affine_cycle", f"case {case.id} {role}", expected="an affine to begin with",
            found=" ← ".join((*borrowers, role)),
            next_step="correct the known issues: one of these must state its affine",
        )  # fmt: skip
    if role not in mended:
        volume = read[role] if role in read else read_role(case, manifest, role)
        for issue in case.repairs:
            if issue.action == "fix_affine" and issue.role == role:
                lent = None
                if lender := _lender(issue, case):
                    way = (*borrowers, role)
                    lent = _mended(lender, read, mended, case, manifest, way)
                volume = _with_affine(volume, issue, case, lent)
        mended[role] = volume
    return mended[role]


def _lender(issue: KnownIssue, case: Case) -> str | None:
    """Return the role whose affine shall be copied, if one shall."""
    to = issue.to or ""
    if not to.startswith("copy:"):
        return None
    name = to.removeprefix("copy:")
    if name not in case.files:
        raise bad(
            "missing_modality", f"case {case.id}", expected=f"{name!r}, whose affine {issue.role} "
            "shall take", found=f"only {sorted(case.files)}",
            next_step="correct the known issue in the manifest",
        )  # fmt: skip
    return name


def grid_problems(volumes: dict[str, Volume], case: Case, manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem for every volume that is off the grid it should share."""
    for group in grid_groups(manifest, list(volumes)):
        first = group[0]
        for role in group[1:]:
            try:
                require_same_grid(
                    str(case.files[role]), volumes[role], str(case.files[first]), volumes[first]
                )
            except DataError as error:
                yield error.problem


def grid_groups(manifest: Manifest, roles: Sequence[str]) -> list[list[str]]:
    """Return which of the roles share a voxel grid; without a statement, all of them do."""
    if manifest.layout is None or manifest.layout.grids is None:
        return [list(roles)] if roles else []
    stated = [[r for r in group if r in roles] for group in manifest.layout.grids]
    return [group for group in stated if group]


def read_role(case: Case, manifest: Manifest, role: str) -> Volume:
    """Return one volume, a mask in the manifest's label ids; affines as the file has them."""
    path = case.files[role]
    if manifest.layout is None:
        raise ValueError(f"{manifest.id}: a case without a layout cannot exist")
    require_readable(manifest.layout, manifest.id, [role])
    if role in case.images:
        spec = manifest.layout.image_roles[role]
        return read_volume(path, unit=spec.unit, axcodes=spec.axcodes, spacing_mm=spec.spacing_mm)
    spec = manifest.layout.annotation_roles[role]
    changes = [i.pairs for i in case.repairs if i.action == "relabel" and i.role == role]
    labels = manifest.labels
    values = labels.stored_ids.union(*changes) if labels else None
    if spec.slices_of is None:
        mask = read_mask(path, values=values, axcodes=spec.axcodes, spacing_mm=spec.spacing_mm)
    else:
        series = _series(case, role, spec.slices_of)
        if spec.regions is None:
            drawn = read_png_slices(path, series)
        else:
            drawn = read_regions(path, series, spec.regions)
        mask = as_mask(drawn, path, values)
    for pairs in [*changes, labels.remap if labels else {}]:
        mask = _mapped(mask, pairs)
    return mask


def _series(case: Case, role: str, name: str) -> Path:
    """Return the folder of the series that a mask was drawn on."""
    if name not in case.files:
        raise bad(
            "missing_modality", f"case {case.id}", expected=f"{name!r}, on which {role} was drawn",
            found=f"only {sorted(case.files)}", next_step="fetch the case again",
        )  # fmt: skip
    return case.files[name]


def require_readable(layout: Layout, dataset: str, roles: Sequence[str]) -> None:
    """Raise `LayoutError` (``unread``) at the first role that the loader cannot open yet."""
    for role in roles:
        if why := layout.unread.get(role):
            raise LayoutError(unread(dataset, role, why))


def unread(dataset: str, role: str, why: str) -> Problem:
    """Return the problem of a role that the manifest declares as not readable yet."""
    return Problem(
        "unread", f"{dataset} {role}", "files that the loader can open", why,
        "name the other roles; once what is missing is known, state it in the manifest",
    )  # fmt: skip


def _mapped(mask: Volume, pairs: dict[int, int]) -> Volume:
    """Give values their new number, all at once (1→2 and 2→1 exchange the two)."""
    if not pairs:
        return mask
    # A number that the stored dtype cannot hold would wrap around to another label.
    dtype = np.promote_types(mask.array.dtype, np.min_scalar_type(max(pairs.values())))
    array = mask.array.astype(dtype)
    for old, new in pairs.items():
        array[mask.array == old] = new
    return replace(mask, array=array)


def _with_affine(volume: Volume, issue: KnownIssue, case: Case, lent: Volume | None) -> Volume:
    """Execute one ``fix_affine`` (the forms are listed at `KnownIssue`)."""
    to = issue.to or ""
    note = Problem(
        "fixed_affine", f"case {case.id} {issue.role}", "a header that tells where the voxels lie",
        issue.what, f"mended on reading as the manifest says: {to}", severity="repaired",
    )  # fmt: skip
    problems = (*volume.problems, note)
    if to.startswith("flip_"):
        flipped = np.flip(volume.array, axis="ijk".index(to[-1]))
        return replace(volume, array=np.ascontiguousarray(flipped), problems=problems)
    if lent is not None:
        return replace(volume, affine=lent.affine, problems=problems)
    spacing = np.array([float(s) for s in to.removeprefix("spacing ").split(",")])
    # Direction and origin stay; only the length of the axes is wrong.
    axes = volume.affine[:3, :3] / np.array(volume.spacing_mm) * spacing
    return replace(volume, affine=from_matvec(axes, volume.affine[:3, 3]), problems=problems)
