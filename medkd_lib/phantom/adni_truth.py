"""One line of ``truth.csv``: what only a phantom knows about a participant of the ADNI twin."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.adni_patient import DIAGNOSES, AdniPatient
from medkd_lib.phantom.dementia_truth import BrainVolumes
from medkd_lib.phantom.opacities import Difficulty


@dataclass(frozen=True)
class AdniTruth:
    """The columns of ``truth.csv``.

    Attributes:
        case: participant and session.
        patient: name of the participant.
        difficulty: of the set; in ``none`` the label was drawn without regard to the brain.
        label: diagnosis as the table has it.
        drawn_diagnosis: the one the brain was drawn for. Never a feature.
        age: years.
        male: 1 or 0.
        site: hospital.
        scanner: kind of scanner, a domain of its own.
        vendor: of it.
        field_t: its field strength, tesla.
        severity: of dementia, 0 for none, about 1 in MCI and 2 in AD.
        ventricle_factor: on the ventricles' volume since youth, by age, disease and chance.
        hippocampus_factor: on the hippocampus' volume.
        cortex_factor: on the cortex' thickness.
        cortex_mm: its thickness.
        sulci: their width, 0.2 in the young, 0.8 in the old on average.
        skull_ml: volume inside the skull.
        ventricle_ml: in the image.
        hippocampus_ml: in the image, amygdala included, both sides.
        grey_ml: in the image.
        tissue_ml: in the image, whole brain.
        noise: of the scanner, share of white matter.
        bias: shading of the scanner.
        gain: stored signal of white matter.
    """

    case: str
    patient: str
    difficulty: str
    label: str
    drawn_diagnosis: str
    age: float
    male: int
    site: int
    scanner: str
    vendor: str
    field_t: float
    severity: float
    ventricle_factor: float
    hippocampus_factor: float
    cortex_factor: float
    cortex_mm: float
    sulci: float
    skull_ml: float
    ventricle_ml: float
    hippocampus_ml: float
    grey_ml: float
    tissue_ml: float
    noise: float
    bias: float
    gain: float


def truth_of(
    patient: AdniPatient, case: str, volumes: BrainVolumes, difficulty: Difficulty
) -> AdniTruth:
    """Gather the truth of one participant."""
    decline, scanner = patient.decline, patient.scanner
    return AdniTruth(
        case=case,
        patient=patient.participant,
        difficulty=difficulty,
        label=DIAGNOSES[patient.diagnosis],
        drawn_diagnosis=DIAGNOSES[patient.drawn],
        age=patient.age,
        male=int(patient.male),
        site=patient.site,
        scanner=scanner.name,
        vendor=scanner.vendor,
        field_t=scanner.field_t,
        severity=round(decline.severity, 4),
        ventricle_factor=round(decline.ventricles, 4),
        hippocampus_factor=round(decline.hippocampus, 4),
        cortex_factor=round(decline.cortex, 4),
        cortex_mm=round(patient.brain.cortex_mm, 4),
        sulci=round(decline.sulci, 4),
        skull_ml=volumes.skull_ml,
        ventricle_ml=volumes.ventricle_ml,
        hippocampus_ml=volumes.hippocampus_ml,
        grey_ml=volumes.grey_ml,
        tissue_ml=volumes.tissue_ml,
        noise=round(patient.noise, 5),
        bias=round(patient.bias, 4),
        gain=round(patient.gain, 2),
    )
