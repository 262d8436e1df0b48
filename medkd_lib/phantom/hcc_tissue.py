"""Tissues of an abdomen with liver cancer: CT without and with contrast agent, and two PET tracers.

Evidence letters follow the course's tissue dossier (docs/tissue-dossier.md, section numbers in
brackets): R read in a publication, C computed, † textbook value, D our design choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.abdomen_tissue import portal_hu
from medkd_lib.phantom.tissue_pet import TissuePET, Tracer, suv_table

Phase = Literal["unenhanced", "portal"]

CONTRAST_FACTOR: Mapping[Phase, float] = MappingProxyType({"unenhanced": 1.0, "portal": 1.3})
"""Mass minus liver in a phase over the unenhanced difference: wash-out deepens it (D; §2.3 D gives
−8 HU unenhanced and −5 to −15 in the portal phase)."""

# Where a person differs from the mean, both phases differ alike: mean without, mean with agent.
_VARYING: Mapping[str, tuple[float, float, str]] = MappingProxyType(
    {
        "liver": (56.0, 106.0, "§2.2 R 58 ± 9, C 54; its 38–70 R"),
        "muscle": (46.0, 60.0, "§2.1 C"),
        "spleen": (48.0, 120.0, "§2.2 R 43–53"),
        "kidney_cortex": (34.0, 180.0, "§2.2 † 30–35"),
        "arterial_blood": (42.0, 150.0, "§2.2 † 40–45"),
        "portal_blood": (40.0, 165.0, "§2.2 †"),
    }
)
_FLAT: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "liver_vein": (40.0, "§2.2 † portal vein"),
        "venous_blood": (40.0, "§2.2 † vena cava"),
        "heart_blood": (42.0, "D: as the aorta"),
        "kidney_medulla": (32.0, "§2.2 † 30–35"),
        "pancreas": (40.0, "§2.2 †"),
        "bowel_wall": (35.0, "§2.2 †"),
    }
)

_UPTAKE: Mapping[Tracer, Mapping[str, TissuePET]] = MappingProxyType(
    {
        "fdg": {
            "kidney_cortex": TissuePET(2.5, "§3.2 †"),
            "kidney_medulla": TissuePET(2.5, "D: as cortex"),
            "urine": TissuePET(15.0, "§3.2 † pelvis 5–50"),
            "bile": TissuePET(0.8, "D"),
            "pancreas": TissuePET(1.2, "§3.2 †"),
            "bowel_wall": TissuePET(1.8, "§3.2 † 1–3"),
            "bowel_content": TissuePET(0.6, "D"),
            "stomach_content": TissuePET(0.4, "D"),
            "disc": TissuePET(0.6, "D: as muscle"),
            "red_marrow": TissuePET(0.9, "§3.2 D"),
        },
        "acetate": {
            "kidney_cortex": TissuePET(2.5, "§3.2 D 2–3"),
            "kidney_medulla": TissuePET(2.0, "§3.2 D 2–3"),
            "urine": TissuePET(1.0, "D: no urinary excretion R"),
            "bile": TissuePET(0.8, "D"),
            "pancreas": TissuePET(6.0, "§3.2 R head 6.4, body 5.9"),
            "bowel_wall": TissuePET(2.5, "§3.2 D 2–3"),
            "bowel_content": TissuePET(0.8, "D"),
            "stomach_content": TissuePET(0.5, "D"),
            "disc": TissuePET(0.8, "D"),
            "red_marrow": TissuePET(1.2, "§3.2 D"),
        },
    }
)


def phase_hu(person: AbdomenPatient, phase: Phase) -> dict[str, float]:
    r"""CT number per tissue in a phase, this person's own where known.

    Without agent, :math:`HU_{own} = HU_{mean} + (HU^{portal}_{own} - HU^{portal}_{mean})` for what
    varies; fat, bone, gas and fluids stay.
    """
    portal = portal_hu(person)
    if phase == "portal":
        return portal
    share = person.liver_fat
    values = portal | {name: hu for name, (hu, _) in _FLAT.items()}
    for name, (mean, enhanced, _) in _VARYING.items():
        own = person.hu[name] - enhanced
        # vessels and kidneys vary by their dose of agent, organs by themselves
        values[name] = mean + (own if name in ("liver", "muscle", "spleen") else 0.0)
    # HU = (1 − f) HU_liver + f HU_fat
    values["liver"] = (1.0 - share) * values["liver"] + share * values["adipose"]
    return values


def abdomen_suv(tracer: Tracer, liver: float) -> dict[str, float]:
    """Uptake per tissue of an abdomen; blood of all kinds is blood.

    Args:
        tracer: which.
        liver: uptake of this person's liver.
    """
    values = suv_table(tracer) | {name: t.suv for name, t in _UPTAKE[tracer].items()}
    blood = ("arterial_blood", "venous_blood", "portal_blood", "liver_vein", "heart_blood")
    return values | dict.fromkeys(blood, values["blood"]) | {"liver": liver}
