"""MedMNIST-style archives → cases: one row, one case, and no patient is published."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout
from medkd_lib.data.problems import Problem

SPLITS = ("train", "val", "test")
DAMAGE = (BadZipFile, KeyError, EOFError, OSError, ValueError, zlib.error)


def index_npz(manifest: Manifest, layout: Layout, base: Path) -> list[Case]:
    """Return a case for each row of ``{train,val,test}_labels``.

    If the manifest says that the archive cannot be read yet, the cases have no label.

    Raises:
        LayoutError: no archive, not an archive, an array is missing, or an unknown label.
    """
    role = layout.image_roles["image"]
    path = base / role.globs[0]
    if not path.is_file():
        raise LayoutError(
            Problem(
                "no_archive", manifest.id, str(path), "none",
                "data_root is the folder that holds the archive",
            )
        )  # fmt: skip
    valid = {v.id for v in manifest.labels.values} if manifest.labels else set()
    names = names_in(path)
    cases = []
    for split in SPLITS:
        if f"{split}_images" not in names:
            raise _unreadable(path, f"no array {split}_images")
        labels = read_array(path, f"{split}_labels")
        if not role.unread:
            _require_known(labels, valid, f"{path} {split}")
        for row in range(len(labels)):
            label = None if role.unread else int(labels[row].item())
            case_id = f"{split}-{row:05d}"
            cases.append(
                Case(
                    case_id, case_id, manifest.id, {"image": path}, label, split, row,
                    derived_from=manifest.derived_from,
                )
            )  # fmt: skip
    return cases


def names_in(path: Path) -> list[str]:
    """Return the names of an archive's arrays.

    Raises:
        LayoutError: ``bad_archive``.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    except (*DAMAGE, AttributeError) as error:  # a single array has no names
        raise _unreadable(path, str(error)) from error


def read_array(path: Path, name: str) -> NDArray[Any]:
    """Return one array of an archive; its first axis counts the rows.

    Raises:
        LayoutError: ``bad_archive``: no archive, no such array, damaged, or pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[name]
    except DAMAGE as error:
        raise _unreadable(path, f"{name}: {error}") from error
    if array.ndim == 0:
        raise _unreadable(path, f"{name}: a single number")
    return array


def _require_known(labels: NDArray[Any], valid: set[int], where: str) -> None:
    """Raise `LayoutError` unless each row has one label, and a known one."""
    if labels.size != len(labels):
        raise LayoutError(
            Problem(
                "several_labels", where, "one label per image", f"{labels.size // len(labels)}",
                "sets with several labels per image are not read yet",
            )
        )  # fmt: skip
    for row, label in enumerate(labels.reshape(-1).tolist()):
        if label not in valid:
            raise LayoutError(
                Problem(
                    "unknown_label", f"{where} row {row}", f"one of {sorted(valid)}",
                    f"label {label}", "check that the archive belongs to this manifest",
                )
            )  # fmt: skip


def _unreadable(path: Path, reason: str) -> LayoutError:
    return LayoutError(
        Problem(
            "bad_archive", str(path), "a .npz with {train,val,test}_labels and _images, no pickle",
            reason, "fetch it again and compare its hash",
        )
    )  # fmt: skip
