"""Every problem of a dataset folder in one list: files opened, values, grids, repeats, table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from medkd_lib.data.case import Case
from medkd_lib.data.check_case import volume_problems
from medkd_lib.data.index import scan
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.picture import read_picture
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.voc import read_voc
from medkd_lib.data.volumes import digest

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


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
    problems = list(found.problems)
    first_of: dict[tuple[tuple[str, str], ...], Case] = {}
    for case in found.cases:
        if progress:
            progress(case.id)
        if case.row is None:
            flat = any(p.suffix.lower() in PICTURES for p in case.images.values())
            problems += _picture_problems(case) if flat else volume_problems(case, manifest)
            problems += _repeated(case, first_of)
    if found.cases and manifest.layout and manifest.layout.kind == "npz":
        problems += _npz_problems(found.cases[0].images["image"])
    order = {"error": 0, "repaired": 1, "warning": 2}
    return sorted(problems, key=lambda p: (order[p.severity], p.where))


def _picture_problems(case: Case) -> Iterator[Problem]:
    for path in case.files.values():
        try:
            if path.suffix.lower() in PICTURES:
                read_picture(path, mode="rgb")
            elif path.suffix.lower() == ".xml":
                yield from read_voc(path).problems
        except DataError as error:
            yield error.problem


def _repeated(case: Case, first_of: dict[tuple[tuple[str, str], ...], Case]) -> Iterator[Problem]:
    """Report a case with the bytes of an earlier one: two patients that are one leak."""
    content = tuple((role, digest(path)) for role, path in sorted(case.images.items()))
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
    with np.load(path, allow_pickle=False) as archive:
        for split in ("train", "val", "test"):
            images, labels = len(archive[f"{split}_images"]), len(archive[f"{split}_labels"])
            if images != labels:
                yield Problem(
                    "row_mismatch", f"{path} {split}", f"{labels} images, one per label",
                    f"{images}", "fetch the archive again and compare its hash",
                )  # fmt: skip
