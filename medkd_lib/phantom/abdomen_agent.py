"""Contrast agent in an abdomen: one iodine concentration per tissue and phase serves every tube.

Evidence letters follow the course's tissue dossier (docs/tissue-dossier.md, section numbers in
brackets): R read in a publication, C computed, † textbook value, D our design choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.hcc_tissue import phase_hu

EnhancedPhase = Literal["corticomedullary", "portal", "nephrographic"]
"""About 35 s, 70 s and 90 s after the injection."""

TubeVoltage = Literal[80, 100, 120, 140]

IODINE_HU: Mapping[TubeVoltage, float] = MappingProxyType(
    {80: 43.9, 100: 33.2, 120: 27.1, 140: 22.7}
)
"""CT number per mg of iodine and mL at a tube voltage in kV (§2.1 C)."""

FAT_SHIFT_HU: Mapping[TubeVoltage, float] = MappingProxyType(
    {80: -20.0, 100: -7.0, 120: 0.0, 140: 5.0}
)
"""Fat against its CT number at 120 kV (§2.1 C: −99, −86, −79, −74)."""

BONE_FACTOR: Mapping[TubeVoltage, float] = MappingProxyType(
    {80: 2237 / 1627, 100: 1840 / 1627, 120: 1.0, 140: 1478 / 1627}
)
"""Mineral against its CT number at 120 kV (§2.1 C, cortical bone; in marrow D)."""

# Iodine about 35 s after the injection over that about 70 s after it. A person's own uptake, as
# drawn for the portal phase, is so kept in both.
_EARLY_SHARE: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "liver": (0.40, "§2.2 R +16–25 of +50–55"),
        "spleen": (1.0, "§2.2 † 120 in both"),
        "kidney_cortex": (0.97, "§2.2 † 150–200 against 180"),
        "kidney_medulla": (0.30, "§2.2 † 70 against 160, 32 before"),
        "pancreas": (1.40, "§2.2 † 110 against 90, 40 before"),
        "muscle": (0.64, "§2.2 † 55 against 60, 46 before"),
        "bowel_wall": (0.82, "§2.2 † 80 against 90, 35 before"),
        "arterial_blood": (2.0, "§2.2 R +213–222 against +108 †"),
        "heart_blood": (1.6, "D: between artery and vein"),
        "portal_blood": (0.32, "§2.2 † 60–100 against 165"),
        "liver_vein": (0.12, "D: hepatic veins fill last"),
        "venous_blood": (0.50, "D: the kidneys' veins bring it early"),
    }
)


def iodine_mg_ml(person: AbdomenPatient, phase: EnhancedPhase) -> dict[str, float]:
    r"""Iodine per tissue, this person's own.

    .. math:: c_{portal} = \frac{HU_{portal} - HU_{native}}{27.1}, \qquad c_{early} = r\,c_{portal}

    at 120 kV. The nephrographic phase, 20 s after the portal one, has its numbers (D: cortex and
    medulla are told for one of the two only); what sets it apart is how tumours of the kidney look.

    Args:
        person: whose tissues.
        phase: after the injection.

    Returns:
        mg/mL per tissue that takes any.
    """
    native, portal = phase_hu(person, "unenhanced"), phase_hu(person, "portal")
    taken = {t: (portal[t] - native[t]) / IODINE_HU[120] for t in portal if portal[t] != native[t]}
    if phase == "corticomedullary":
        return {tissue: _EARLY_SHARE[tissue][0] * c for tissue, c in taken.items()}
    return taken


def contrast_hu(
    person: AbdomenPatient, phase: EnhancedPhase, kilovolts: TubeVoltage
) -> dict[str, float]:
    r"""CT number per tissue in a phase at a tube voltage.

    .. math:: HU = HU_{native}(kV) + c\,K(kV)

    with K of :data:`IODINE_HU`. Without agent, soft tissue changes by less than 4 HU between
    voltages (§2.1) and is left alone; fat and bone change.

    Args:
        person: whose tissues.
        phase: after the injection.
        kilovolts: of the tube.
    """
    values = phase_hu(person, "unenhanced")
    values["adipose"] += FAT_SHIFT_HU[kilovolts]
    for mineral in ("cortical_bone", "red_marrow"):
        values[mineral] *= BONE_FACTOR[kilovolts]
    for tissue, iodine in iodine_mg_ml(person, phase).items():
        # HU = HU_native + c K(kV)
        values[tissue] += iodine * IODINE_HU[kilovolts]
    return values
