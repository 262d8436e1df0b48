"""One line of ``truth.csv``: what only a phantom knows about a slice of the OASIS-1 slices."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.oasis_truth import OasisTruth


@dataclass(frozen=True)
class SliceTruth:
    """The columns of ``truth.csv``, one line per slice.

    Attributes:
        case: name of the picture.
        patient: name of the person.
        difficulty: of the set; in ``none`` the label was drawn without regard to the brain.
        label: folder.
        drawn_cdr: CDR the brain was drawn for. Never a feature.
        scan: number of the acquisition.
        height_mm: number of the slice; the lowest is 100.
        age: years.
        male: 1 or 0.
        severity: of dementia.
        cortex_mm: thickness of the cortex.
        sulci: their width, 0.2 in the young, 0.8 in the old on average.
        skull_ml: volume inside the skull.
        ventricle_ml: of the whole brain, not of the slice; as the three that follow.
        hippocampus_ml: amygdala included, both sides.
        grey_ml: grey matter.
        tissue_ml: whole brain.
        gain: grey value of white matter.
        noise: share of white matter.
        bias: shading.
    """

    case: str
    patient: str
    difficulty: str
    label: str
    drawn_cdr: str
    scan: int
    height_mm: int
    age: int
    male: int
    severity: float
    cortex_mm: float
    sulci: float
    skull_ml: float
    ventricle_ml: float
    hippocampus_ml: float
    grey_ml: float
    tissue_ml: float
    gain: float
    noise: float
    bias: float


def slice_truth(
    case: str, label: str, scan: int, height_mm: int, gain: float, row: OasisTruth
) -> SliceTruth:
    """Gather the truth of one slice; ``row`` holds that of its session, outside the atlas."""
    return SliceTruth(
        case=case,
        patient=row.patient,
        difficulty=row.difficulty,
        label=label,
        drawn_cdr=row.drawn_cdr,
        scan=scan,
        height_mm=height_mm,
        age=row.age,
        male=row.male,
        severity=row.severity,
        cortex_mm=row.cortex_mm,
        sulci=row.sulci,
        skull_ml=row.skull_ml,
        ventricle_ml=row.ventricle_ml,
        hippocampus_ml=row.hippocampus_ml,
        grey_ml=row.grey_ml,
        tissue_ml=row.tissue_ml,
        gain=round(gain, 3),
        noise=row.noise,
        bias=row.bias,
    )
