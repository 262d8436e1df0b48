"""Lines of the tables of the OASIS-1 twin: what the release tells, what only a phantom knows."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.dementia_truth import SKULL_ML, BrainVolumes
from medkd_lib.phantom.oasis_patient import ATLAS_SCALE, OasisPerson
from medkd_lib.phantom.oasis_plan import CDR
from medkd_lib.phantom.opacities import Difficulty

TABLE_COLUMNS = ("ID", "M/F", "Age", "CDR", "eTIV", "nWBV", "ASF", "Delay")
"""Of ``oasis_cross-sectional.csv``: those of the release that a phantom can fill. Hand, education,
social status and MMSE are left out: nothing in a phantom would stand behind them."""


@dataclass(frozen=True)
class OasisTruth:
    """The columns of ``truth.csv`` of ``oasis1``, one line per session.

    Attributes:
        case: name of the session.
        patient: name of the person.
        known_issue: what is odd about the session, empty if nothing is.
        difficulty: of the set; in ``none`` the label was drawn without regard to the brain.
        label: CDR as the table has it.
        drawn_cdr: CDR the brain was drawn for. Never a feature: it *is* the answer in the other
            difficulties.
        age: years.
        male: 1 or 0.
        scans: acquisitions in the session.
        delay_days: time since the first session; 0 for the first.
        severity: of dementia, 0 for none, 1, 2, 3 about the middle of CDR 0.5, 1 and 2.
        ventricle_factor: on the ventricles' volume since youth, by age, dementia and chance.
        hippocampus_factor: on the hippocampus' volume.
        cortex_factor: on the cortex' thickness.
        cortex_mm: its thickness, before the atlas.
        sulci: their width, 0.2 in the young, 0.8 in the old on average.
        skull_ml: volume inside the skull, as the image has it (in the atlas).
        ventricle_ml: in the image.
        hippocampus_ml: in the image, amygdala included, both sides.
        grey_ml: in the image.
        tissue_ml: in the image, whole brain.
        etiv_ml: volume inside the skull before the atlas.
        nwbv: whole brain over the volume inside the skull.
        noise: of one acquisition, share of white matter.
        bias: shading of one acquisition.
    """

    case: str
    patient: str
    known_issue: str
    difficulty: str
    label: str
    drawn_cdr: str
    age: int
    male: int
    scans: int
    delay_days: int
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
    etiv_ml: float
    nwbv: float
    noise: float
    bias: float


def truth_of(
    person: OasisPerson, session: int, volumes: BrainVolumes, difficulty: Difficulty
) -> OasisTruth:
    """Gather the truth of one session (0 or 1)."""
    plan, decline = person.plan, person.decline
    return OasisTruth(
        case=plan.sessions[session],
        patient=plan.patient,
        known_issue="",
        difficulty=difficulty,
        label=CDR[plan.grade],
        drawn_cdr=CDR[plan.drawn],
        age=plan.age,
        male=int(plan.male),
        scans=plan.scans,
        delay_days=plan.delay_days if session else 0,
        severity=round(decline.severity, 4),
        ventricle_factor=round(decline.ventricles, 4),
        hippocampus_factor=round(decline.hippocampus, 4),
        cortex_factor=round(decline.cortex, 4),
        cortex_mm=round(person.brain.cortex_mm, 4),
        sulci=round(decline.sulci, 4),
        skull_ml=volumes.skull_ml,
        ventricle_ml=volumes.ventricle_ml,
        hippocampus_ml=volumes.hippocampus_ml,
        grey_ml=volumes.grey_ml,
        tissue_ml=volumes.tissue_ml,
        etiv_ml=round(SKULL_ML * person.brain.mean_scale**3, 1),
        nwbv=round(volumes.tissue_ml / volumes.skull_ml, 4),
        noise=round(person.noise, 5),
        bias=round(person.bias, 4),
    )


def table_line(row: OasisTruth, *, blank: bool) -> tuple[object, ...]:
    """Write a session as the release's table has it: :data:`TABLE_COLUMNS`.

    Args:
        row: of the session.
        blank: leave the CDR empty.
    """
    return (
        row.case,
        "M" if row.male else "F",
        row.age,
        "" if blank else row.label,
        round(row.etiv_ml),
        f"{row.nwbv:.3f}",
        f"{SKULL_ML * ATLAS_SCALE**3 / row.etiv_ml:.3f}",
        row.delay_days or "N/A",
    )
