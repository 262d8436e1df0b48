"""A person with liver cancer before the scanners: CT in two phases, PET with two tracers."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.ct import CTSettings, scan_ct
from medkd_lib.phantom.hcc_anatomy import HccAnatomy, HccLayers
from medkd_lib.phantom.hcc_patient import HccPatient
from medkd_lib.phantom.hcc_tissue import CONTRAST_FACTOR, Phase, abdomen_suv, phase_hu
from medkd_lib.phantom.pet import PETSettings, scan_pet

LOWEST_HU = -1024.0
UNEVEN_UPTAKE = 0.12
"""SD of the uptake within a mass over its mean (D; §3.4 R: parts of large ones differ)."""


def hcc_ct(
    patient: HccPatient,
    anatomy: HccAnatomy,
    phase: Phase,
    settings: CTSettings,
    rng: np.random.Generator,
) -> FloatArray:
    r"""CT numbers, (I, J, K).

    A mass of membership m in a liver of :math:`H_l` shows

    .. math:: H = H_l + f\,c + s\,w

    with its unenhanced contrast c, the phase's factor f, its mottle s and a smooth field w of
    variance 1; mottle does not change with the phase.

    Args:
        patient: whose.
        anatomy: on the grid wanted.
        phase: before or about 70 s after contrast agent.
        settings: of the scanner.
        rng: source of texture and noise.
    """
    values = phase_hu(patient.person, phase)
    for n, look in enumerate(patient.looks, start=1):
        values[f"mass_{n}"] = values["liver"] + CONTRAST_FACTOR[phase] * look.contrast_hu
    hu = scan_ct(anatomy, values, settings, rng).hu
    for layer, mass, look in zip(anatomy.masses, patient.masses, patient.looks, strict=True):
        # s w, in the voxels' share of the mass
        field = mass.unevenness(anatomy.grid, layer.box)
        hu[layer.box] += np.float32(look.mottle_hu) * layer.membership * field
    # the lowest number that scanners store
    return np.maximum(hu, np.float32(LOWEST_HU))


def hcc_pet(
    patient: HccPatient, anatomy: HccAnatomy | HccLayers, settings: PETSettings,
    rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    """SUV of the settings' tracer, (I, J, K); uptake of a mass is its ratio times the liver's.

    Args:
        patient: whose.
        anatomy: on the grid wanted; labels are not looked at.
        settings: of the scanner.
        rng: source of noise.
    """
    liver = patient.liver_suv[settings.tracer]
    values = abdomen_suv(settings.tracer, liver)
    extra = np.zeros(anatomy.grid.shape, np.float32)
    triples = zip(anatomy.masses, patient.masses, patient.looks, strict=True)
    for n, (layer, mass, look) in enumerate(triples, start=1):
        ratio = look.fdg_ratio if settings.tracer == "fdg" else look.acetate_ratio
        values[f"mass_{n}"] = ratio * liver
        field = np.clip(mass.unevenness(anatomy.grid, layer.box), -3.0, 3.0)
        extra[layer.box] += np.float32(UNEVEN_UPTAKE * ratio * liver) * layer.membership * field
    return scan_pet(anatomy, values, settings, rng, extra=extra).suv
