"""The deep parts of a brain: ventricles, corpus callosum, grey nuclei, brainstem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import (
    Points,
    brainstem_depth,
    chain_depth,
    ellipsoid_depth,
    smooth_max,
)

Depth = Callable[[Points, BrainPatient], FloatArray]


@dataclass(frozen=True)
class Part:
    """One structure of the brain frame.

    Attributes:
        name: layer name.
        tissue: layer tissue.
        share: how much of the tissue there is inside, 0…1 (the thalamus is half white fibres).
        low_mm: lower corner of a box that holds it, in the brain frame.
        high_mm: upper corner.
        depth: its depth field.
    """

    name: str
    tissue: str
    share: float
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    depth: Depth


def _mirrored(p: Points) -> Points:
    return Points(np.abs(p.u), p.v, p.w)


FRONT_AND_BODY = (
    (14.0, -28.0, 4.0, 2.4),
    (8.0, -19.0, 8.5, 5.2),
    (5.8, -9.0, 13.5, 5.2),
    (5.8, 6.0, 18.5, 5.0),
    (10.0, 19.0, 19.5, 4.6),
    (17.0, 30.0, 16.0, 5.6),
    (23.0, 39.0, 10.0, 7.5),
)
OCCIPITAL_HORN = ((23.0, 39.0, 10.0, 7.0), (26.0, 53.0, 7.0, 4.0), (23.0, 67.0, 5.0, 1.8))
TEMPORAL_HORN = (
    (23.0, 39.0, 10.0, 6.5),
    (31.0, 30.0, -3.0, 3.6),
    (34.0, 16.0, -13.0, 2.4),
    (31.0, 2.0, -18.0, 2.2),
)


def lateral_ventricle_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in both lateral ventricles: frontal horn and body, atrium, two more horns."""
    q = _mirrored(p)
    grow = patient.ventricles

    def grown(nodes: tuple[tuple[float, float, float, float], ...]) -> FloatArray:
        return chain_depth(q, [(u, v, w, r * grow) for u, v, w, r in nodes])

    # in coronal view the body is a wing: lower towards the midline, higher outside
    wing = Points(q.u, q.v, (p.w + 0.45 * (9.0 - q.u)) * 0.8)
    body = chain_depth(wing, [(u, v, 0.8 * (w + 0.45 * (9.0 - u)), r * grow)
                              for u, v, w, r in FRONT_AND_BODY])  # fmt: skip
    depth = smooth_max(body, grown(OCCIPITAL_HORN), 2.0)
    depth = smooth_max(depth, grown(TEMPORAL_HORN), 1.5)
    # the septum keeps the two apart
    return np.minimum(depth, q.u - 0.35)


def third_ventricle_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the slit between the thalami."""
    width = 2.0 * patient.ventricles + 0.4
    slit = ellipsoid_depth(p, (0.0, 12.0, -1.0), (width, 16.0, 11.0))
    # the thalami touch in its middle
    bridge = np.sqrt((p.v - 14.0) ** 2 + (p.w - 3.0) ** 2) - 3.5
    return np.minimum(slit, bridge)


def fourth_ventricle_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the tent behind the pons, with the aqueduct leading to it."""
    grow = patient.ventricles
    tent = ellipsoid_depth(p, (0.0, 40.0, -31.0), (7.0 * grow, 4.5 * grow, 9.0))
    nodes = ((0.0, 27.0, -6.0, 1.0), (0.0, 32.0, -16.0, 0.9), (0.0, 39.0, -26.0, 1.8))
    return np.maximum(tent, chain_depth(p, nodes))


def callosum_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the corpus callosum: a bowed band across the midline, thick at both ends."""
    thin = 1.0 - 0.15 * patient.atrophy
    nodes = (
        (0.0, -20.0, -3.0, 1.6), (0.0, -27.0, 0.0, 3.0), (0.0, -31.0, 6.0, 4.6 * thin),
        (0.0, -27.0, 14.0, 4.4 * thin), (0.0, -17.0, 21.0, 3.2 * thin),
        (0.0, 0.0, 26.0, 3.1 * thin), (0.0, 16.0, 26.0, 2.9 * thin),
        (0.0, 29.0, 21.0, 3.4 * thin), (0.0, 37.0, 14.0, 4.9 * thin), (0.0, 37.5, 9.5, 4.2 * thin),
    )  # fmt: skip
    # fibres fan out upwards on either side
    lift = 0.012 * np.minimum(p.u**2, 400.0)
    band = chain_depth(Points(np.zeros_like(p.u), p.v, p.w - lift), nodes)
    return np.minimum(band, 22.0 - np.abs(p.u))


def fornix_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the fornix, from below the splenium to the anterior commissure."""
    nodes = ((4.0, 30.0, 15.0, 1.8), (1.5, 14.0, 18.0, 1.9), (1.0, 2.0, 13.0, 1.9),
             (1.5, -1.0, 4.0, 1.6))  # fmt: skip
    return chain_depth(_mirrored(p), nodes)


def caudate_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the caudate nuclei: the head bulges into the frontal horn, the tail follows it."""
    nodes = ((13.0, -19.0, 1.0, 5.5), (14.0, -12.0, 6.0, 6.4), (15.0, -2.0, 12.0, 5.0),
             (17.0, 10.0, 18.5, 3.0), (20.5, 22.0, 19.0, 2.0), (25.5, 32.0, 12.0, 1.4))  # fmt: skip
    return chain_depth(_mirrored(p), nodes)


def putamen_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the putamina, flat shells with the front end nearer the midline."""
    return ellipsoid_depth(_mirrored(p), (26.0, 1.0, 1.5), (5.6, 17.5, 10.5), 14.0)


def pallidum_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the globi pallidi."""
    return ellipsoid_depth(_mirrored(p), (19.0, 4.0, -0.5), (3.6, 9.5, 6.0), 20.0)


def thalamus_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the thalami, eggs with the back end further out."""
    return ellipsoid_depth(_mirrored(p), (11.5, 18.0, 7.0), (9.2, 15.5, 9.5), 25.0)


def hippocampus_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in hippocampus and amygdala, medial to the temporal horn."""
    nodes = ((22.0, 2.0, -20.0, 6.0), (25.0, 10.0, -19.0, 4.5), (27.5, 20.0, -13.0, 3.6),
             (25.0, 31.0, -5.0, 3.0), (18.0, 36.0, 3.0, 2.0))  # fmt: skip
    grow = patient.hippocampus
    return chain_depth(_mirrored(p), [(u, v, w, r * grow) for u, v, w, r in nodes])


def plexus_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the choroid plexus, on the floor of the ventricles' bodies and in the atria."""
    nodes = ((6.5, 4.0, 15.0, 1.1), (11.0, 18.0, 16.5, 1.3), (18.0, 31.0, 13.0, 1.8),
             (23.0, 40.0, 8.0, 3.0), (28.0, 34.0, 1.0, 1.6))  # fmt: skip
    return chain_depth(_mirrored(p), nodes)


def artery_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the large arteries: basilar, both middle and anterior cerebral arteries."""
    q = _mirrored(p)
    basilar = ((0.0, 12.0, -44.0, 1.6), (0.0, 6.0, -32.0, 1.7), (0.0, 5.5, -18.0, 1.6))
    middle = ((8.0, -2.0, -14.0, 1.7), (20.0, -5.0, -13.0, 1.5), (33.0, -3.0, -11.0, 1.3),
              (37.5, 6.0, -3.0, 1.1), (38.0, 18.0, 6.0, 1.0))  # fmt: skip
    anterior = ((8.0, -2.0, -14.0, 1.3), (1.6, -14.0, -14.0, 1.2), (1.2, -33.0, -6.0, 1.1),
                (1.2, -37.5, 7.0, 1.0), (1.2, -31.0, 21.0, 1.0),
                (1.2, -14.0, 30.0, 0.9))  # fmt: skip
    depth = np.maximum(chain_depth(q, middle), chain_depth(q, anterior))
    return np.maximum(depth, chain_depth(p, basilar))


def stem_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the brainstem."""
    return brainstem_depth(p)


def peduncle_depth(p: Points, patient: BrainPatient) -> FloatArray:
    """Depth in the middle cerebellar peduncles, from the pons around the fourth ventricle."""
    nodes = ((9.0, 22.0, -30.0, 6.0), (16.0, 36.0, -32.0, 5.5), (17.0, 48.0, -35.0, 6.0))
    return chain_depth(_mirrored(p), nodes)


_STEM = ((-20.0, 2.0, -90.0), (20.0, 52.0, 6.0))
_CAUDATE = ((-32.0, -30.0, -8.0), (32.0, 38.0, 26.0))

PARTS: tuple[Part, ...] = (
    Part("brainstem", "grey_matter", 1.0, *_STEM, stem_depth),
    Part("brainstem fibres", "white_matter", 0.72, *_STEM, stem_depth),
    Part("peduncles", "white_matter", 0.9, (-26, 14, -46), (26, 58, -22), peduncle_depth),
    Part("corpus callosum", "white_matter", 1.0, (-24, -40, -8), (24, 46, 38), callosum_depth),
    Part("hippocampus", "grey_matter", 1.0, (-36, -6, -28), (36, 42, 6), hippocampus_depth),
    Part("putamen", "deep_grey", 1.0, (-36, -20, -12), (36, 22, 16), putamen_depth),
    Part("pallidum", "deep_grey", 0.45, (-30, -10, -10), (30, 18, 8), pallidum_depth),
    Part("thalamus", "deep_grey", 0.62, (-26, 0, -4), (26, 38, 19), thalamus_depth),
    Part("lateral ventricles", "csf", 1.0, (-44, -40, -26), (44, 74, 34), lateral_ventricle_depth),
    Part("third ventricle", "csf", 1.0, (-6, -8, -16), (6, 32, 14), third_ventricle_depth),
    Part("fourth ventricle", "csf", 1.0, (-12, 22, -44), (12, 50, 0), fourth_ventricle_depth),
    Part("choroid plexus", "blood", 0.7, (-34, -2, -6), (34, 48, 24), plexus_depth),
    Part("arteries", "blood", 1.0, (-44, -44, -50), (44, 26, 36), artery_depth),
    Part("caudate", "deep_grey", 1.0, *_CAUDATE, caudate_depth),
    Part("fornix", "white_matter", 1.0, (-8, -6, 0), (8, 36, 24), fornix_depth),
)
"""In the order of painting, upon the cortex and the cerebellum."""

VENTRICLES = ("lateral ventricles", "third ventricle", "fourth ventricle")
