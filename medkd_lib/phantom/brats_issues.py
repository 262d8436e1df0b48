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

from medkd_lib.phantom.brats_release import RELEASES, Release
from medkd_lib.phantom.known_issue import Issue
from medkd_lib.phantom.twin_files import write_nifti

SHIFT_VOXELS = (4, -3, 2)
"""Shift of the misplaced label map along left, posterior, superior."""


@dataclass(frozen=True)
class _Case:
    """A finished case to break, and a sound one beside it.

    Attributes:
        folder: of the case to break.
        sound: folder of another, for the repeated one.
        release: whose names and ids the files have.
    """

    folder: Path
    sound: Path
    release: Release

    def file(self, which: str) -> Path:
        """Return the file of an image (our name) or of ``seg``."""
        return self.folder / self.release.file(self.folder.name, which)

    def name(self, which: str) -> str:
        """Return the release's name of an image."""
        return self.release.images[which]


def issue_kinds(release: Release) -> tuple[str, ...]:
    """Kinds of broken cases, in the order of their patient numbers."""
    return tuple(release.other_label if kind == OTHER_LABEL else kind for kind in ISSUES)


def break_case(kind: str, folder: Path, sound: Path, release: Release) -> Issue:
    """Break one finished case.

    Args:
        kind: of :func:`issue_kinds`.
        folder: of the case to break.
        sound: folder of another, sound case, for the repeated one.
        release: whose names and ids the files have.
    """
    breaks = ISSUES[OTHER_LABEL if kind == release.other_label else kind]
    return Issue(folder.name, kind, breaks(_Case(folder, sound, release)))


def _read(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    image = cast(nib.Nifti1Image, nib.load(path))
    return np.asanyarray(image.dataobj), np.asarray(image.affine)


def _no_t2w(case: _Case) -> str:
    case.file("t2w").unlink()
    return f"no {case.name('t2w')} file"


def _other_label(case: _Case) -> str:
    own = case.release.enhancing
    other, when = (4, "up to 2022") if own == 3 else (3, "from 2023")
    labels, affine = _read(case.file("seg"))
    labels = np.where(labels == own, np.uint8(other), labels)
    write_nifti(case.file("seg"), labels, affine)
    return f"enhancing tumour has id {other}, as {when}, instead of {own}"


def _misregistered(case: _Case) -> str:
    labels, affine = _read(case.file("seg"))
    labels = np.roll(labels, SHIFT_VOXELS, axis=(0, 1, 2))
    write_nifti(case.file("seg"), labels, affine)
    return f"seg shifted by {SHIFT_VOXELS} voxels against the images"


def _odd_name(case: _Case) -> str:
    name = "W39_1998.09.19_Segm.nii.gz"
    case.file("seg").rename(case.folder / name)
    return f"seg is called {name}, as in BraTS20_Training_355"


def _repeated(case: _Case) -> str:
    for path in sorted(case.folder.iterdir()):
        path.unlink()
    for path in sorted(case.sound.iterdir()):
        shutil.copyfile(path, case.folder / path.name.replace(case.sound.name, case.folder.name))
    return f"byte for byte the case {case.sound.name} under another patient number"


def _truncated(case: _Case) -> str:
    path = case.file("t1c")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return f"{case.name('t1c')} file ends after two thirds"


def _not_a_number(case: _Case) -> str:
    path = case.file("t2f")
    image, affine = _read(path)
    values = image.astype(np.float32)
    i, j, k = (n // 2 for n in values.shape)
    values[i : i + 3, j : j + 3, k] = np.nan
    write_nifti(path, values, affine)
    return f"{case.name('t2f')} is float32 and holds nine NaN voxels"


def _empty_seg(case: _Case) -> str:
    labels, affine = _read(case.file("seg"))
    write_nifti(case.file("seg"), np.zeros_like(labels), affine)
    return "seg holds background only"


def _flipped(case: _Case) -> str:
    path = case.file("t2f")
    image, affine = _read(path)
    affine = affine.copy()
    # the first axis now claims to run to the right: the same array, mirrored in the world
    affine[0, 3] += affine[0, 0] * (image.shape[0] - 1)
    affine[0, 0] *= -1.0
    write_nifti(path, image, affine)
    return f"affine of {case.name('t2f')} runs to the right along the first axis; its voxels do not"


OTHER_LABEL = RELEASES["2023"].other_label

ISSUES: Mapping[str, Callable[[_Case], str]] = MappingProxyType(
    {
        "missing_t2w": _no_t2w,
        OTHER_LABEL: _other_label,
        "misregistered_seg": _misregistered,
        "odd_seg_name": _odd_name,
        "repeated_case": _repeated,
        "truncated_file": _truncated,
        "nan_voxels": _not_a_number,
        "empty_seg": _empty_seg,
        "flipped_affine": _flipped,
    }
)
"""What breaks a case, by kind as BraTS 2023 calls it, in the order of their patient numbers."""
