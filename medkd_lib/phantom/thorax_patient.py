"""Who lies on the table: the attributes of one virtual patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.opacities import Diagnosis, Difficulty, Finding, sample_findings
from medkd_lib.phantom.tissue import hu_table, mu_table, opacity_hu


@dataclass(frozen=True)
class ThoraxPatient:
    """One adult chest, described by numbers; all lengths in mm, volumes in mL.

    The virtual patients are adults because the dossier's volumes are; the real set of the same
    layout shows children.

    Attributes:
        diagnosis: what the findings were drawn for.
        male: sex, drives lung volume and breast shadows.
        height_cm: body height.
        weight_kg: body weight, drives fat thickness.
        lung_ml: lung volume at full inspiration aimed at (§5 R).
        inspiration: share of the full breath actually taken, lifts the diaphragm.
        cage_mm: half width, half depth and height (apex to lung base) of the rib cage.
        apex_mm: z of the lung apex.
        fat_mm: thickness of subcutaneous fat at the flanks.
        heart_mm: half width of the heart (cardiothoracic ratio ≈ heart over cage).
        heart_tilt_deg: tilt of the heart's long axis to the left.
        dome_mm: z of the right and left diaphragm domes.
        rib_drop_mm: how much lower the front of a rib lies than its back.
        rib_pitch_mm: distance between neighbouring ribs.
        rib_jitter_mm: offset of each of the 12 pairs.
        spine_bend_mm: sideways bow of the spine.
        clavicle_lift_mm: height of the outer end over the inner end.
        stomach_air_mm: radius of the gastric bubble.
        mediastinum_mm: half width of the upper mediastinum.
        vessel_scale: calibre of the pulmonary vessels, a trait that all classes share.
        cuffing: disease factor on that calibre.
        interstitial: mean share of air lost to a fine net in both lungs.
        vessel_seed: seed of the vessel trees and the net.
        findings: the opacities.
    """

    diagnosis: Diagnosis
    male: bool
    height_cm: float
    weight_kg: float
    lung_ml: float
    inspiration: float
    cage_mm: tuple[float, float, float]
    apex_mm: float
    fat_mm: float
    heart_mm: float
    heart_tilt_deg: float
    dome_mm: tuple[float, float]
    rib_drop_mm: float
    rib_pitch_mm: float
    rib_jitter_mm: tuple[float, ...]
    spine_bend_mm: float
    clavicle_lift_mm: float
    stomach_air_mm: float
    mediastinum_mm: float
    vessel_scale: float
    cuffing: float
    interstitial: float
    vessel_seed: int
    findings: tuple[Finding, ...]

    @property
    def lung_hu(self) -> float:
        r"""CT number of this lung: the same tissue in a smaller breath is denser.

        .. math:: HU = -1000 + 1000\,m / V

        with :math:`m` = 530 mL lung tissue (§5 R) + 170 mL blood in small vessels (D), which
        gives −850 for 4.7 L.
        """
        return -1000.0 + 1000.0 * 700.0 / (self.lung_ml * self.inspiration)

    def hu_values(self) -> dict[str, float]:
        """CT number per tissue, with this patient's lung."""
        return hu_table() | {"lung": self.lung_hu}

    def mu_values(self) -> dict[str, float]:
        """Attenuation at 65 keV in cm⁻¹ per tissue, with this patient's lung."""
        table = mu_table()
        return table | {"lung": table["water"] * (1.0 + self.lung_hu / 1000.0)}

    def finding_hu(self, finding: Finding) -> float:
        """CT number in the middle of a finding."""
        return opacity_hu(finding.fill, self.lung_hu)


def sample_thorax(
    rng: np.random.Generator, diagnosis: Diagnosis, difficulty: Difficulty
) -> ThoraxPatient:
    r"""Draw one patient.

    Lung volume follows §5 (R), :math:`V = -10150 + 605\,male + 92.6\,h - 13.0\,w` mL, with a
    residual of 350 mL (D). Everything else is D: ranges that look like chest films. Only the
    findings, ``cuffing`` and ``interstitial`` depend on the diagnosis, and they are drawn last, so
    that the same generator state gives the same body for every diagnosis.

    Args:
        rng: source of randomness.
        diagnosis: ``"normal"``, ``"bacterial"`` or ``"viral"``.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (findings as in ``subtle``).

    Raises:
        ValueError: for an unknown diagnosis or difficulty.
    """
    male = bool(rng.random() < 0.5)
    height = float(np.clip(rng.normal(175.0 if male else 163.0, 7.0), 148.0, 198.0))
    weight = float(np.clip(rng.normal(23.5, 2.2), 17.5, 36.0) * (height / 100.0) ** 2)
    # V = −10150 + 605·male + 92.6·h − 13.0·w
    mean_ml = -10150.0 + 605.0 * male + 92.6 * height - 13.0 * weight
    lung_ml = float(np.clip(mean_ml + rng.normal(0.0, 350.0), 2600.0, 7200.0))
    inspiration = float(rng.uniform(0.86, 1.0))
    # V ∝ width · depth · height, shared out evenly and then jittered; the reference 216 mm was
    # set so that the voxelised lungs match V on average
    size = (lung_ml / 4600.0) ** (1.0 / 3.0)
    half_width = 126.0 * size ** rng.uniform(0.6, 1.0) * rng.normal(1.0, 0.03)
    half_depth = 80.0 * size * rng.normal(1.0, 0.04)
    length = lung_ml / 4600.0 * 216.0 * 126.0 * 80.0 / (half_width * half_depth)
    length = float(np.clip(length, 185.0, 290.0))
    apex = length / 2 + rng.normal(0.0, 6.0)
    # the last part of a breath moves mainly the diaphragm
    right_dome = apex - length * (0.60 + 0.28 * inspiration) + rng.normal(0.0, 4.0)
    left_dome = right_dome - rng.normal(11.0, 6.0)
    bmi = weight / (height / 100.0) ** 2
    traits = {
        "male": male,
        "height_cm": height,
        "weight_kg": weight,
        "lung_ml": lung_ml,
        "inspiration": inspiration,
        "cage_mm": (float(half_width), float(half_depth), length),
        "apex_mm": float(apex),
        "fat_mm": float(np.clip(3.0 + 1.6 * (bmi - 17.0) + rng.normal(0.0, 3.0), 4.0, 42.0)),
        "heart_mm": float(half_width * np.clip(rng.normal(0.46, 0.04), 0.36, 0.6)),
        "heart_tilt_deg": float(rng.normal(-38.0, 6.0)),
        "dome_mm": (float(right_dome), float(left_dome)),
        "rib_drop_mm": float(rng.normal(80.0, 10.0)),
        "rib_pitch_mm": float(length / 9.6 * rng.normal(1.0, 0.04)),
        "rib_jitter_mm": tuple(float(v) for v in rng.normal(0.0, 1.2, 12)),
        "spine_bend_mm": float(rng.normal(0.0, 3.0)),
        "clavicle_lift_mm": float(rng.normal(18.0, 9.0)),
        "stomach_air_mm": float(rng.uniform(8.0, 34.0)),
        "mediastinum_mm": float(rng.normal(29.0, 3.5)),
        "vessel_scale": float(np.clip(rng.normal(1.0, 0.08), 0.7, 1.3)),
        "vessel_seed": int(rng.integers(2**31)),
    }
    infection = sample_findings(rng, diagnosis, difficulty)
    return ThoraxPatient(diagnosis=diagnosis, **vars(infection), **traits)  # type: ignore[arg-type]
