"""Broken cases of the BraTS family, made on purpose: what a loader must notice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.twin_files import write_nifti

SHIFT_VOXELS = (4, -3, 2)
"""Shift of the misplaced label map along left, posterior, superior."""


@dataclass(frozen=True)
class KnownIssue:
    """One line of ``known_issues.csv``.

    Attributes:
        case: folder of the case.
        kind: key of :data:`ISSUES`.
        what: what is wrong, in words.
    """

    case: str
    kind: str
    what: str


def break_case(kind: str, folder: Path, sound: Path) -> KnownIssue:
    """Break one finished case.

    Args:
        kind: key of :data:`ISSUES`.
        folder: of the case to break.
        sound: folder of another, sound case, for the repeated one.
    """
    return KnownIssue(folder.name, kind, ISSUES[kind](folder, sound))


def _file(folder: Path, which: str) -> Path:
    return folder / f"{folder.name}-{which}.nii.gz"


def _read(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    image = cast(nib.Nifti1Image, nib.load(path))
    return np.asanyarray(image.dataobj), np.asarray(image.affine)


def _no_t2w(folder: Path, sound: Path) -> str:
    _file(folder, "t2w").unlink()
    return "no t2w file"


def _old_label(folder: Path, sound: Path) -> str:
    labels, affine = _read(_file(folder, "seg"))
    labels = np.where(labels == 3, np.uint8(4), labels)
    write_nifti(_file(folder, "seg"), labels, affine)
    return "enhancing tumour has id 4, as up to 2022, instead of 3"


def _misregistered(folder: Path, sound: Path) -> str:
    labels, affine = _read(_file(folder, "seg"))
    labels = np.roll(labels, SHIFT_VOXELS, axis=(0, 1, 2))
    write_nifti(_file(folder, "seg"), labels, affine)
    return f"seg shifted by {SHIFT_VOXELS} voxels against the images"


def _odd_name(folder: Path, sound: Path) -> str:
    name = "W39_1998.09.19_Segm.nii.gz"
    _file(folder, "seg").rename(folder / name)
    return f"seg is called {name}, as in BraTS20_Training_355"


def _repeated(folder: Path, sound: Path) -> str:
    for path in sorted(folder.iterdir()):
        path.unlink()
    for path in sorted(sound.iterdir()):
        shutil.copyfile(path, folder / path.name.replace(sound.name, folder.name))
    return f"byte for byte the case {sound.name} under another patient number"


def _truncated(folder: Path, sound: Path) -> str:
    path = _file(folder, "t1c")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return "t1c file ends after two thirds"


def _not_a_number(folder: Path, sound: Path) -> str:
    path = _file(folder, "t2f")
    image, affine = _read(path)
    values = image.astype(np.float32)
    i, j, k = (n // 2 for n in values.shape)
    values[i : i + 3, j : j + 3, k] = np.nan
    write_nifti(path, values, affine)
    return "t2f is float32 and holds nine NaN voxels"


def _empty_seg(folder: Path, sound: Path) -> str:
    labels, affine = _read(_file(folder, "seg"))
    write_nifti(_file(folder, "seg"), np.zeros_like(labels), affine)
    return "seg holds background only"


def _flipped(folder: Path, sound: Path) -> str:
    path = _file(folder, "t2f")
    image, affine = _read(path)
    affine = affine.copy()
    # the first axis now claims to run to the right: the same array, mirrored in the world
    affine[0, 3] += affine[0, 0] * (image.shape[0] - 1)
    affine[0, 0] *= -1.0
    write_nifti(path, image, affine)
    return "affine of t2f runs to the right along the first axis; its voxels do not"


ISSUES: Mapping[str, Callable[[Path, Path], str]] = MappingProxyType(
    {
        "missing_t2w": _no_t2w,
        "old_label_4": _old_label,
        "misregistered_seg": _misregistered,
        "odd_seg_name": _odd_name,
        "repeated_case": _repeated,
        "truncated_file": _truncated,
        "nan_voxels": _not_a_number,
        "empty_seg": _empty_seg,
        "flipped_affine": _flipped,
    }
)
"""What breaks a case, by kind, in the order of their patient numbers."""
