"""What abdominal tissues are to a CT in the portal venous phase and to an MR at 1.5 T.

Evidence letters follow the course's tissue dossier (section numbers in brackets): R read in a
publication, C computed, † textbook value, D our design choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.tissue_mr import TissueMR, mr_table

FIELD_T = 1.5
"""Field strength of the scanner behind the real set (its organisers' data page)."""

# name: CT number about 70 s after contrast agent, source
_PORTAL_HU: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "air": (-1000.0, "definition of the scale"),
        "lung": (-800.0, "§2.3 †, not full inspiration"),
        "skin": (75.0, "§2.1 C"),
        "cortical_bone": (1240.0, "as measured on real CTs of the thigh; §2.1 C 1627"),
        "red_marrow": (190.0, "§2.2 † trabecular 150–250"),
        "disc": (75.0, "†"),
        "csf": (8.0, "§2.2 † clear fluid"),
        "liver_vein": (165.0, "§2.2 † portal vein"),
        "venous_blood": (125.0, "§2.2 † vena cava 120"),
        "heart_blood": (145.0, "D: as the aorta"),
        "kidney_medulla": (160.0, "§2.2 †"),
        "urine": (10.0, "§2.2 †, before excretion"),
        "bile": (8.0, "§2.2 †"),
        "pancreas": (90.0, "§2.2 †"),
        "bowel_wall": (90.0, "§2.2 †"),
        "bowel_content": (30.0, "§2.2 † 10–40"),
        "stomach_content": (18.0, "§2.2 † 10–40, mostly water"),
    }
)

# name: PD, T1 in ms, T2 in ms at 1.5 T, share of fat, source. What is not here is mr_table's.
_MR: Mapping[str, tuple[float, float, float, float, str]] = MappingProxyType(
    {
        "liver_vein": (0.85, 1387, 120, 0.0, "§1.2 T1 venous R, T2 D: flowing blood loses signal"),
        "portal_blood": (0.85, 1387, 120, 0.0, "as liver_vein"),
        "venous_blood": (0.55, 1387, 120, 0.0, "as liver_vein, faster: part of it leaves (D)"),
        "arterial_blood": (0.30, 1412, 120, 0.0, "§1.2 T1 arterial R; flow void by PD (D)"),
        "heart_blood": (0.30, 1412, 120, 0.0, "as arterial_blood"),
        "kidney_cortex": (0.86, 966, 87, 0.0, "§1.2 R, PD D"),
        "kidney_medulla": (0.90, 1412, 85, 0.0, "§1.2 R, PD D"),
        "pancreas": (0.82, 584, 46, 0.0, "§1.2 R, PD D"),
        "red_marrow": (0.80, 549, 49, 0.5, "§1.2 R, fat share R, PD D"),
        "disc": (0.80, 1000, 80, 0.0, "D"),
        "urine": (0.98, 3500, 800, 0.0, "D: nearly water"),
        "bile": (0.97, 2200, 500, 0.0, "D: water with what shortens T1"),
        "bowel_wall": (0.84, 900, 55, 0.0, "D: muscle and mucosa"),
        "bowel_content": (0.75, 700, 90, 0.0, "D: mixed, stool is bright on T1"),
        "stomach_content": (0.92, 1800, 250, 0.0, "D: mostly water"),
    }
)

CONTRASTED = (
    *("liver", "spleen", "kidney_cortex", "kidney_medulla", "pancreas", "muscle", "bowel_wall"),
    *("bowel_content",),
)
"""The tissues whose mutual contrast a difficulty may shrink: organs and what they lie against."""


def portal_hu(patient: AbdomenPatient) -> dict[str, float]:
    r"""CT number per tissue, portal venous phase, this person's own where known.

    Fat in the liver replaces tissue, :math:`HU = (1 - f)\,HU_{liver} + f\,HU_{fat}`.
    """
    values = {name: hu for name, (hu, _) in _PORTAL_HU.items()} | patient.hu
    share = patient.liver_fat
    # HU = (1 − f) HU_liver + f HU_fat
    values["liver"] = (1.0 - share) * values["liver"] + share * values["adipose"]
    return values


def abdomen_mr(patient: AbdomenPatient) -> dict[str, TissueMR]:
    """MR values per tissue at 1.5 T before the patient's own spread; liver with this one's fat."""
    tissues = mr_table(FIELD_T)
    for name, (pd, t1, t2, fat, source) in _MR.items():
        tissues[name] = TissueMR(pd, float(t1), float(t2), 1.0, source, fat)
    tissues["liver"] = replace(tissues["liver"], fat=patient.liver_fat)
    return tissues


def shrink_contrast(tissues: Mapping[str, TissueMR], spread: float) -> dict[str, TissueMR]:
    r"""Bring the tissues of :data:`CONTRASTED` together.

    .. math:: T' = \bar T\,(T / \bar T)^s, \qquad
              \bar T = \exp\big(\tfrac1n \textstyle\sum_i \ln T_i\big)

    for PD, T1 and T2; s = 1 leaves them, s = 0 makes them one tissue. Fat, fluid, vessels and bone
    stay, so organs keep their outlines where they lie in fat.

    Args:
        tissues: values per tissue.
        spread: s, 0 to 1 (above 1 would exaggerate).

    Raises:
        ValueError: for a negative ``spread``.
    """
    if spread < 0.0:
        raise ValueError(f"spread: expected 0 or more, found {spread}; 1 leaves the tissues alone")
    changed = dict(tissues)
    for field in ("pd", "t1_ms", "t2_ms"):
        own = np.array([getattr(tissues[name], field) for name in CONTRASTED])
        middle = float(np.exp(np.log(own).mean()))
        for name, value in zip(CONTRASTED, own, strict=True):
            # T' = T̄ (T/T̄)^s
            shrunk = middle * (float(value) / middle) ** spread
            changed[name] = replace(changed[name], **{field: shrunk})
    return changed
