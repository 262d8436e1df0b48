"""A virtual chest: sample a patient, lay the anatomy on a grid as soft layers."""

from __future__ import annotations

from dataclasses import dataclass

from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer
from medkd_lib.phantom.opacities import Lobe
from medkd_lib.phantom.opacity_layers import finding_layer, interstitial_layer
from medkd_lib.phantom.thorax_bones import clavicles, ribs, scapulae, spine
from medkd_lib.phantom.thorax_frame import build_frame
from medkd_lib.phantom.thorax_organs import (
    airways,
    belly,
    body_wall,
    heart_and_vessels,
    lungs,
    mediastinal_fat,
    vessels_in_lung,
)
from medkd_lib.phantom.thorax_patient import ThoraxPatient, sample_thorax

__all__ = ["ThoraxAnatomy", "ThoraxPatient", "sample_thorax", "voxelise_thorax"]


@dataclass(frozen=True)
class ThoraxAnatomy(Anatomy):
    """Anatomy of a chest with what can only be measured on the grid.

    Attributes:
        lobes: membership of each lobe in the lung (before vessels and heart lie over it).
        finding_ml: volume of each finding inside its lobe, mL, in the patient's order.
        lung_ml: right and left lung volume, mL, before the heart lies over them.
    """

    lobes: dict[Lobe, Layer]
    finding_ml: tuple[float, ...]
    lung_ml: tuple[float, float]


def voxelise_thorax(patient: ThoraxPatient, grid: Grid | None = None) -> ThoraxAnatomy:
    """Lay a patient's anatomy on a grid.

    Order of painting: wall, lungs, opacities and vessels in them, heart and great vessels over
    the lungs, belly, airways, bones on top.

    Args:
        patient: the attributes.
        grid: default 192 × 48 × 192 voxels of 2 × 5.5 × 2 mm (coarse along the X-ray beam).

    Returns:
        Layers with soft edges; ``anatomy.paint(patient.hu_values())`` is the noiseless CT.
    """
    grid = grid or Grid()
    frame = build_frame(patient, grid)
    layers = [*body_wall(frame), mediastinal_fat(frame)]
    lung_layers, lobes = lungs(frame)
    layers += lung_layers
    findings = [
        finding_layer(finding, number, lobes[finding.lobe], grid)
        for number, finding in enumerate(patient.findings)
    ]
    layers += [
        interstitial_layer(patient.interstitial, lung, grid, patient.vessel_seed + number)
        for number, lung in enumerate(lung_layers)
    ]
    layers += findings
    layers += [
        vessels_in_lung(frame, lung, side)
        for lung, side in zip(lung_layers, ("right", "left"), strict=True)
    ]
    layers += heart_and_vessels(frame)
    layers += belly(frame)
    layers += spine(frame)
    layers.append(airways(frame))
    layers += ribs(frame)
    layers += scapulae(frame)
    layers += clavicles(frame)
    finding_ml = tuple(
        float(layer.membership.sum()) / max(finding.fill, 1e-6) * grid.voxel_ml
        for layer, finding in zip(findings, patient.findings, strict=True)
    )
    right, left = (float(layer.membership.sum()) * grid.voxel_ml for layer in lung_layers)
    return ThoraxAnatomy(grid, tuple(layers), lobes, finding_ml, (right, left))
