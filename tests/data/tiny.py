"""A made-up volume set of a few kilobytes: `manifest()` describes what `write_set()` writes."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from medkd_lib.data.manifest import Manifest

SHAPE = (10, 9, 8)
# Left and back, unequal edges, an origin off zero: nothing about this affine is symmetric.
AFFINE = np.array([[-1.0, 0, 0, 20], [0, -1.25, 0, 30], [0, 0, 2.0, -40], [0, 0, 0, 1]])
LAYOUT: dict[str, Any] = {
    "images": {"t1": "*/*-t1.nii.gz", "t2": "*/*-t2.nii.gz"},
    "annotations": {"seg": "*/*-seg.nii.gz"},
    "case_regex": r"^(?P<patient>P\d+)/(?P<case>P\d+)-\w+\.nii",
}
LABELS: dict[str, Any] = {
    "kind": "mask",
    "values": [
        {"id": 0, "name": "background"},
        {"id": 1, "name": "core"},
        {"id": 2, "name": "oedema"},
        {"id": 3, "name": "enhancing"},
    ],
}


def manifest(layout: dict[str, Any] | None = None, **changes: Any) -> Manifest:
    """Return the manifest of the tiny set; ``layout`` and the fields of ``changes`` replace."""
    fields: dict[str, Any] = {
        "schema_version": "1.0", "id": "tiny", "title": "Tiny", "version": "1", "retrieved": None,
        "homepage": None, "doi": None, "citation": ["Nobody. Nothing."],
        "licence": {"spdx": None, "name": "made up", "redistribute": True},
        "access": {"level": "open"}, "modality": ["MR"], "task": ["segmentation"],
        "n_cases": {"patients": None}, "size_mb": None, "download": [],
        "layout": LAYOUT | (layout or {}), "labels": LABELS, "splits": None,
        "preprocessing": None, "phantom": None,
    }  # fmt: skip
    return Manifest.model_validate(fields | changes)


def write(path: Path, array: ArrayLike, affine: NDArray[np.float64] = AFFINE) -> Path:
    """Write a NIfTI file with the array's own dtype."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.asarray(array), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def brain(seed: int) -> NDArray[np.int16]:
    """Return positive noise inside a box, zero outside, like a skull-stripped image."""
    rng = np.random.default_rng(seed)
    image = np.zeros(SHAPE, np.int16)
    image[1:9, 1:8, 1:7] = rng.integers(100, 1000, (8, 7, 6))
    return image


def lesion(seed: int) -> NDArray[np.uint8]:
    """Return a label map with the values 0 to 3, at a place that the seed decides."""
    mask = np.zeros(SHAPE, np.uint8)
    i = 2 + seed % 3
    mask[i : i + 4, 2:6, 2:6] = 2
    mask[i : i + 2, 2:6, 2:6] = 1
    mask[i + 1, 3:5, 3:5] = 3
    return mask


def write_case(root: Path, patient: str, seed: int) -> Path:
    """Write one patient: two images and a mask."""
    folder = root / patient
    write(folder / f"{patient}-t1.nii.gz", brain(seed))
    write(folder / f"{patient}-t2.nii.gz", brain(seed + 100))
    write(folder / f"{patient}-seg.nii.gz", lesion(seed))
    return folder


def write_set(root: Path, patients: int = 3) -> Path:
    """Write patients P0, P1, …"""
    for number in range(patients):
        write_case(root, f"P{number}", number)
    return root
