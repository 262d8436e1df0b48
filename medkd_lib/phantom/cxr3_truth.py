"""One line of ``truth.csv``: what only a phantom knows about a film."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.cxr3_plan import PatientPlan
from medkd_lib.phantom.opacities import LOBES
from medkd_lib.phantom.thorax import ThoraxAnatomy, ThoraxPatient


@dataclass(frozen=True)
class TruthRow:
    """What only a phantom knows about one film; the columns of ``truth.csv``.

    Attributes:
        file: as in ``labels.csv``.
        label: class the film is filed under.
        split: train or test.
        patient_number: as in ``labels.csv``.
        film: 0 for the patient's first film.
        diagnosis: class the anatomy was drawn for; in ``none`` unrelated to ``label``. Never a
            feature: it *is* the answer in the other difficulties.
        scanner: preset of the X-ray room.
        side: ``none``, ``right``, ``left`` or ``both`` (infection only, not atelectasis).
        lobes: lobes with infection, joined by ``+``.
        foci: number of infectious opacities.
        right_ml: infected volume on the right, mL.
        left_ml: the same on the left.
        mean_hu: volume-weighted CT number in the middle of the opacities; that of healthy lung
            where there is none.
        cuffing: disease factor on vessel calibre.
        interstitial: mean share of air lost to a fine net in both lungs.
        atelectasis: number of innocent plate-like opacities.
        lung_hu: CT number of healthy lung.
        lung_ml: lung volume on the grid.
        heart_mm: half width of the heart.
        fat_mm: thickness of subcutaneous fat.
        vessel_scale: vessel calibre before disease.
        male: 1 or 0.
        rotation_deg: turn of the patient on this film.
        exposure: factor on the photon number of this film.
    """

    file: str
    label: str
    split: str
    patient_number: int
    film: int
    diagnosis: str
    scanner: str
    side: str
    lobes: str
    foci: int
    right_ml: float
    left_ml: float
    mean_hu: float
    cuffing: float
    interstitial: float
    atelectasis: int
    lung_hu: float
    lung_ml: float
    heart_mm: float
    fat_mm: float
    vessel_scale: float
    male: int
    rotation_deg: float
    exposure: float


def truth_row(
    plan: PatientPlan,
    film: int,
    patient: ThoraxPatient,
    anatomy: ThoraxAnatomy,
    scanner: str,
    rotation_deg: float,
    exposure: float,
) -> TruthRow:
    """Gather the truth of one film; volumes are those measured on the grid."""
    infected = [
        (finding, ml)
        for finding, ml in zip(patient.findings, anatomy.finding_ml, strict=True)
        if finding.kind != "atelectasis"
    ]
    ml = {s: sum(v for f, v in infected if f.side == s) for s in ("right", "left")}
    total = sum(ml.values())
    hu = sum(v * patient.finding_hu(f) for f, v in infected) / total if total else patient.lung_hu
    sides = [side for side in ("right", "left") if ml[side] > 0.0]
    lobes = {finding.lobe for finding, _ in infected}
    return TruthRow(
        file=plan.file(film),
        label=plan.label,
        split=plan.split,
        patient_number=plan.number,
        film=film,
        diagnosis=plan.diagnosis,
        scanner=scanner,
        side="both" if len(sides) == 2 else sides[0] if sides else "none",
        lobes="+".join(lobe for lobe in LOBES if lobe in lobes),
        foci=len(infected),
        right_ml=round(ml["right"], 2),
        left_ml=round(ml["left"], 2),
        mean_hu=round(hu, 1),
        cuffing=round(patient.cuffing, 4),
        interstitial=round(patient.interstitial, 4),
        atelectasis=len(patient.findings) - len(infected),
        lung_hu=round(patient.lung_hu, 1),
        lung_ml=round(sum(anatomy.lung_ml), 0),
        heart_mm=round(patient.heart_mm, 1),
        fat_mm=round(patient.fat_mm, 1),
        vessel_scale=round(patient.vessel_scale, 4),
        male=int(patient.male),
        rotation_deg=round(rotation_deg, 3),
        exposure=round(exposure, 4),
    )
