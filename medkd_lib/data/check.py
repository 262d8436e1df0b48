"""Every problem of a dataset folder in one list: files opened, values, grids, repeats, table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from medkd_lib.data.boxed_pixels import box_problems
from medkd_lib.data.case import Case
from medkd_lib.data.check_case import volume_problems
from medkd_lib.data.check_picture import picture_problems, shows_pictures
from medkd_lib.data.file_digest import Content, content_of
from medkd_lib.data.index import scan
from medkd_lib.data.index_npz import SPLITS, read_array
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.read_case import unread


def check(
    manifest: Manifest, root: Path, progress: Callable[[str], None] | None = None
) -> list[Problem]:
    """Return every problem under ``root``: errors first, then repairs, then warnings.

    Opens every file of every case, one case at a time; nothing is written. ``progress`` is told
    each case's id.
    """
    try:
        found = scan(manifest, root)
    except DataError as error:
        return [error.problem]
    manifest = found.manifest  # with what the folder's holder states
    problems = list(found.problems)
    closed = manifest.layout.unread if manifest.layout else {}
    # Images that are opened one by one for their boxes are not closed altogether.
    opened = manifest.boxes.image if manifest.boxes else None
    problems += [unread(manifest.id, r, why) for r, why in closed.items() if r != opened]
    first_of: dict[Content, Case] = {}
    for case in found.cases:
        if progress:
            progress(case.id)
        if case.row is None:
            flat = shows_pictures(case)
            problems += (picture_problems if flat else volume_problems)(case, manifest)
            problems += _repeated(case, first_of)
    problems += box_problems(found)
    if found.cases and manifest.layout and manifest.layout.kind == "npz":
        problems += _npz_problems(found.cases[0].images["image"])
    order = {"error": 0, "repaired": 1, "warning": 2}
    return sorted(problems, key=lambda p: (order[p.severity], p.where))


def _repeated(case: Case, first_of: dict[Content, Case]) -> Iterator[Problem]:
    """Report a case with the bytes of an earlier one: two patients that are one leak."""
    try:
        content = content_of(case.images)
    except DataError:
        return  # half of a pair is missing, as reading it has told
    known = first_of.setdefault(content, case)
    if known is not case:
        other = known.patient != case.patient
        yield Problem(
            "duplicate_patient" if other else "duplicate_case", f"case {case.id}",
            "images of its own", f"the same bytes as case {known.id}",
            "add a known issue `dedupe`: on two sides of a split this is a leak",
            severity="error" if other else "warning",
        )  # fmt: skip


def _npz_problems(path: Path) -> Iterator[Problem]:
    for split in SPLITS:
        try:
            images = len(read_array(path, f"{split}_images"))
            labels = len(read_array(path, f"{split}_labels"))
        except DataError as error:
            yield error.problem
            continue
        if images != labels:
            yield Problem(
                "row_mismatch", f"{path} {split}", f"{labels} images, one per label",
                f"{images}", "fetch the archive again and compare its hash",
            )  # fmt: skip
