"""The folded cortex: pial surface, fissures and sulci as depth fields in the brain frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import (
    Points,
    brainstem_depth,
    cerebellum_depth,
    egg_depth,
    ellipsoid_depth,
    smooth_max,
    smooth_min,
    temporal_depth,
)

VESSEL_MM = 1.1
"""Largest radius of a vessel in a sulcus (D)."""

HEMISPHERE_MM = 500.0
"""Distance of the two hemispheres in the random field of their folds."""


@dataclass(frozen=True)
class Cortex:
    """Fields of the cerebrum, all in millimetres.

    Attributes:
        pia: depth below the pial surface without its sulci (the fissures are cut).
        sulcus: signed distance to the nearest sulcal sheet.
        reach: depth to which the sulcus here goes.
        vessel: depth at which a vessel runs in the sulcus here.
        calibre: its radius, 0 where there is none.
        sylvian: depth inside the lateral fissure and the cistern over the insula.
    """

    pia: FloatArray
    sulcus: FloatArray
    reach: FloatArray
    vessel: FloatArray
    calibre: FloatArray
    sylvian: FloatArray

    def gap(self, patient: BrainPatient) -> FloatArray:
        """Half width of the fluid in the sulcus, wider towards the surface."""
        gap = np.exp(self.pia * np.float32(-0.25))
        np.minimum(gap, 1.5, out=gap)
        gap *= np.float32(0.35 + 0.75 * patient.atrophy)
        gap += np.float32(0.30 + 0.35 * patient.atrophy)
        # closes over the last two millimetres of the sulcus
        gap *= np.clip((self.reach - self.pia) / 2.0, 0.0, 1.0)
        return gap

    def below(self, gap: FloatArray) -> FloatArray:
        """Distance from the nearest fluid: what decides between grey and white matter."""
        bottom = np.maximum(self.pia - self.reach, 0.0)
        bottom *= bottom
        side = np.abs(self.sulcus)
        side -= gap
        np.maximum(side, 0.0, out=side)
        side *= side
        bottom += side
        np.sqrt(bottom, out=bottom)
        np.minimum(bottom, self.pia, out=bottom)
        return np.minimum(bottom, -self.sylvian, out=bottom)


def hull_depth(p: Points) -> FloatArray:
    """Depth inside everything that skull stripping leaves, cisterns filled, without folds."""
    cistern = ellipsoid_depth(p, (0.0, 8.0, -15.0), (18.0, 24.0, 10.0))
    depth = smooth_max(egg_depth(p), temporal_depth(p), 14.0)
    depth = smooth_max(depth, cerebellum_depth(p), 8.0)
    depth = smooth_max(depth, brainstem_depth(p), 14.0)
    return smooth_max(depth, cistern, 6.0)


def core_depth(p: Points) -> FloatArray:
    """Depth inside the corpus callosum's outer border, in the midline plane only."""
    flat = Points(np.zeros_like(p.v), p.v, p.w)
    return ellipsoid_depth(flat, (0.0, 6.5, 9.0), (30.0, 37.5, 20.5))


def pial_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth below the cerebrum's surface: hemispheres, cut by midline, tentorium and brainstem."""
    lobes = smooth_max(egg_depth(p), temporal_depth(p), 3.0)
    half = np.float32(0.6 + 0.6 * patient.atrophy)
    # the falx ends at the corpus callosum: below it the halves are joined
    joined = np.maximum(core_depth(p), 0.0)
    medial = np.sqrt(p.u**2 + joined**2)
    medial -= half
    lobes = smooth_min(lobes, medial, 5.0)
    lobes = smooth_min(lobes, -cerebellum_depth(p) - 2.0, 3.0)
    # cisterns about the midbrain; above it the brainstem enters the hemispheres
    stem = brainstem_depth(p) + 3.5
    stem -= np.maximum(p.w + 11.0, 0.0) * np.float32(1.5)
    return smooth_min(lobes, -stem, 3.0)


def sylvian_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth inside the lateral fissure: a slit from the side that meets the sheet on the insula."""
    u = np.abs(p.u)
    half = np.float32(0.7 + 0.7 * patient.atrophy)
    roof = -7.0 + 0.42 * (p.v + 20.0) + 2.2 * patient.bumps(*p)
    beyond_v = np.maximum(np.maximum(-24.0 - p.v, p.v - 36.0), 0.0)
    slit = np.sqrt((0.95 * (p.w - roof)) ** 2 + np.maximum(37.0 - u, 0.0) ** 2 + beyond_v**2)
    sheet_u = 36.5 + 0.006 * (p.v - 2.0) ** 2 + 0.012 * (p.w - roof) ** 2 + 0.9 * patient.depth(*p)
    above = np.maximum(np.abs(p.w - roof - 2.0) - 12.0, 0.0)
    beside = np.maximum(np.abs(p.v - 2.0) - 21.0, 0.0)
    sheet = np.sqrt((u - sheet_u) ** 2 + above**2 + beside**2)
    return half - np.minimum(slit, sheet)


def cortex_fields(p: Points, patient: BrainPatient) -> Cortex:
    r"""All cortical fields on a grid of points.

    Sulci are the sheets where a band-limited random field vanishes. The field is read at the foot
    :math:`q = p - d\,\nabla d` of each point on the surface, so sheets go straight down; the
    distance to a sheet is :math:`n / |\nabla n|`.

    Args:
        p: places on a regular grid (gradients are taken along the array axes).
        patient: whose folds.
    """
    pia = pial_depth(p, patient)
    slopes = np.gradient(pia)
    steps = [np.gradient(a, axis=axis) for axis, a in enumerate(p)]
    length = np.sqrt(sum(s * s for s in slopes)) + np.float32(1e-6)
    foot_depth = np.clip(pia, -4.0, 24.0)
    foot = Points(
        *(
            (a - foot_depth * (slope / length) * np.sign(step.mean())).astype(np.float32)
            for a, slope, step in zip(p, slopes, steps, strict=True)
        )
    )
    # a sulcus leans a little as it goes down
    lean = np.float32(0.25) * foot_depth
    wobble = patient.bumps(*foot) * lean
    spacing = [float(np.abs(step).mean()) for step in steps]
    field, steepness = (np.zeros_like(pia) for _ in range(2))
    for sign in (1.0, -1.0):
        # each hemisphere reads its own part of the field, else sulci would meet at the midline
        own = patient.gyri(foot.u + wobble + sign * HEMISPHERE_MM, foot.v - wobble, foot.w)
        here = sign * p.u >= 0.0
        field[here] = own[here]
        slope = np.sqrt(sum(g * g for g in np.gradient(own, *spacing)))
        steepness[here] = slope[here]
    typical = float(np.median(steepness[pia > 0.0])) if (pia > 0.0).any() else 1.0
    sulcus = field / np.sqrt(steepness**2 + np.float32((0.3 * typical) ** 2))
    reach = np.clip(17.0 + 6.0 * patient.depth(*foot), 0.0, 26.0).astype(np.float32)
    # where the foot jumps from one side of a lobe to the other there is no sulcus,
    # nor below the corpus callosum, where the hemispheres are joined
    reach[steepness > 3.6 * typical] = 0.0
    reach = gaussian_filter(reach, 0.7)
    reach *= np.where(np.abs(p.u) < 24.0, np.clip(-core_depth(p) / 3.0, 0.0, 1.0), 1.0)
    reach[reach < 3.0] = 0.0
    # vessels run along the sulci: they are where the sheet crosses a certain, wavy depth
    vessel = 4.0 + 3.5 * patient.vessels[0](*foot)
    calibre = np.clip(1.2 * patient.vessels[1](*foot), 0.0, VESSEL_MM)
    calibre *= np.clip((reach - pia) / 2.0, 0.0, 1.0)
    return Cortex(pia, sulcus.astype(np.float32), reach, vessel, calibre, sylvian_depth(p, patient))
