"""Broken cases of the ``sts_petctmr`` twin: what a loader must find before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from medkd_lib.phantom.known_issue import Issue
from medkd_lib.phantom.sts_truth import patient_name

Kind = Literal[
    "ct_shift", "mask_grid", "missing_mr", "padding", "missing_outcome", "missing_images"
]

SHIFT_MM = (3.45, 0.06, 6.32)
"""CT against PET and MR in LPS, 7.2 mm long: as measured on the real STS_019."""

PADDING_HU = -3024.0
"""What some CT scanners store outside their circular field of view."""

KIND_OF_PATIENT: Mapping[int, Kind] = {
    1: "ct_shift",
    2: "mask_grid",
    3: "missing_mr",
    4: "padding",
    5: "missing_outcome",
}
"""Index of the patient that gets each kind; ``missing_images`` is a line without a patient."""

WHAT: Mapping[Kind, str] = {
    "ct_shift": "the CT and its mask lie 7.2 mm off PET and MR in the world frame",
    "mask_grid": "CT_mask.nii.gz has the CT's shape and the PET's affine",
    "missing_mr": "MR_T1_image.nii.gz and MR_T1_mask.nii.gz are not there",
    "padding": "the CT holds -3024 outside a circular field of view",
    "missing_outcome": "labels.csv has an empty lung_metastasis",
    "missing_images": "labels.csv names a patient without a folder",
}

SMALLEST_SET = max(KIND_OF_PATIENT) + 1
"""Patients needed for every kind, patient 0 staying sound."""


def issues(patients: int) -> list[Issue]:
    """All broken cases of a set of that many patients, in order."""
    kinds: dict[int, Kind] = {**KIND_OF_PATIENT, patients: "missing_images"}
    return [Issue(patient_name(i), kind, WHAT[kind]) for i, kind in kinds.items()]
