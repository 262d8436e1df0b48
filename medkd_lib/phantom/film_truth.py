"""One line of ``truth.csv``: what only a phantom knows about a film of a collage."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.film_disease import is_peripheral
from medkd_lib.phantom.film_plan import FilmPlan
from medkd_lib.phantom.film_take import Standing, Taken
from medkd_lib.phantom.opacities import LOBES


@dataclass(frozen=True)
class FilmTruth:
    """The columns of ``truth.csv``.

    Attributes:
        file: path inside the set.
        label: class it is filed under.
        split: side of the official split, empty without one.
        patient: as the release names it; empty where it names none.
        person: whose film it is: the same words in two sets of one seed are the same person.
        source: upstream.
        source_by_class: 1 if the class chose the source, 0 if it was drawn apart from it.
        diagnosis: what the anatomy was drawn for; unrelated to ``label`` at ``none``.
        take: 0 for the person's first film; the same person and take are the same exposure.
        copy_of: file of the film that this one repeats, empty for an original.
        copy_kind: ``resized``, ``brightened``, ``cropped``, or ``exact``.
        known_issue: kind of the defect built in, empty for a sound file.
        child: 1 or 0.
        scale: length of the chest over an adult's.
        side: ``none``, ``right``, ``left`` or ``both`` (infection only).
        lobes: lobes with infection, joined by ``+``.
        foci: number of infectious opacities.
        peripheral: share of the infected volume whose patches lie in the outer rim.
        right_ml: infected volume on the right, mL.
        left_ml: the same on the left.
        mean_hu: volume-weighted CT number of the opacities; healthy lung's where there is none.
        cuffing: disease factor on vessel calibre.
        interstitial: mean share of air lost to a fine net in both lungs.
        atelectasis: number of innocent plates.
        lung_hu: CT number of healthy lung.
        lung_ml: lung volume.
        rotation_deg: turn of the patient on this film.
        exposure: factor on the photon number.
    """

    file: str
    label: str
    split: str
    patient: str
    person: str
    source: str
    source_by_class: int
    diagnosis: str
    take: int
    copy_of: str
    copy_kind: str
    known_issue: str
    child: int
    scale: float
    side: str
    lobes: str
    foci: int
    peripheral: float
    right_ml: float
    left_ml: float
    mean_hu: float
    cuffing: float
    interstitial: float
    atelectasis: int
    lung_hu: float
    lung_ml: float
    rotation_deg: float
    exposure: float


def truth_of(
    plan: FilmPlan, file: str, patient: str, copy_of: str, standing: Standing, taken: Taken
) -> FilmTruth:
    """Gather the truth of one file; volumes are those measured on the grid, of this body's size."""
    body, anatomy = standing.person.body, standing.anatomy
    size = standing.person.scale**3
    infected = [
        (finding, ml * size)
        for finding, ml in zip(body.findings, anatomy.finding_ml, strict=True)
        if finding.kind != "atelectasis"
    ]
    ml = {s: sum(v for f, v in infected if f.side == s) for s in ("right", "left")}
    total = sum(ml.values())
    hu = sum(v * body.finding_hu(f) for f, v in infected) / total if total else body.lung_hu
    rim = sum(v for f, v in infected if is_peripheral(f)) / total if total else 0.0
    sides = [side for side in ("right", "left") if ml[side] > 0.0]
    lobes = {finding.lobe for finding, _ in infected}
    return FilmTruth(
        file=file,
        label=plan.label,
        split=plan.split,
        patient=patient,
        person=plan.person,
        source=plan.source,
        source_by_class=int(plan.by_class),
        diagnosis=plan.diagnosis,
        take=plan.take,
        copy_of=copy_of,
        copy_kind=plan.copy_kind or "",
        known_issue="",
        child=int(standing.person.child),
        scale=round(standing.person.scale, 4),
        side="both" if len(sides) == 2 else sides[0] if sides else "none",
        lobes="+".join(lobe for lobe in LOBES if lobe in lobes),
        foci=len(infected),
        peripheral=round(rim, 4),
        right_ml=round(ml["right"], 2),
        left_ml=round(ml["left"], 2),
        mean_hu=round(hu, 1),
        cuffing=round(body.cuffing, 4),
        interstitial=round(body.interstitial, 4),
        atelectasis=len(body.findings) - len(infected),
        lung_hu=round(body.lung_hu, 1),
        lung_ml=round(sum(anatomy.lung_ml) * size, 0),
        rotation_deg=round(taken.positioning.rotation_deg, 3),
        exposure=round(taken.positioning.exposure, 4),
    )
