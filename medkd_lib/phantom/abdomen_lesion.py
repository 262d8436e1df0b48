"""A lesion of an abdominal organ: shape, what it is to a CT, and how it is laid over the organ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from medkd_lib.phantom.abdomen_agent import (
    IODINE_HU,
    EnhancedPhase,
    TubeVoltage,
    contrast_hu,
)
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.abdomen_protocol import Protocol
from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Layer
from medkd_lib.phantom.ct import scan_ct
from medkd_lib.phantom.hcc_scan import LOWEST_HU
from medkd_lib.phantom.lobulated_mass import LobulatedMass

Kind = Literal["tumour", "cyst"]

NECROSIS_HU = 15.0
"""Fluid in a tumour (§2.3 † 0–20)."""

RIM = 0.3
"""Width of the border of a necrosis, in SD of the field that shapes it (D)."""


@dataclass(frozen=True)
class Lesion:
    """One tumour or cyst, the same under every protocol.

    Attributes:
        kind: tumour or cyst.
        shape: where and how large.
        native_hu: its solid part without contrast agent.
        iodine_mg_ml: what that takes, by phase.
        mottle_hu: SD of its unevenness, waves of 8 to 25 mm.
        necrosis: share of it that is fluid and takes no agent, 0 to below 1.
    """

    kind: Kind
    shape: LobulatedMass
    native_hu: float
    iodine_mg_ml: Mapping[EnhancedPhase, float]
    mottle_hu: float = 0.0
    necrosis: float = 0.0

    def hu(self, phase: EnhancedPhase, kilovolts: TubeVoltage) -> float:
        r"""CT number of the solid part, :math:`HU_{native} + c\,K(kV)`."""
        # a cyst takes none, whatever the phase
        iodine = self.iodine_mg_ml[phase] if self.iodine_mg_ml else 0.0
        return self.native_hu + iodine * IODINE_HU[kilovolts]

    def uneven(self, field: FloatArray, solid_hu: float) -> FloatArray:
        r"""Return what unevenness and necrosis add to the solid part.

        .. math:: s\,w\,(1 - n) + n\,(HU_f - HU_l), \qquad
                  n = \mathrm{clip}\Big(\frac{t - w}{r} + \tfrac12,\ 0,\ 1\Big)

        with t such that the share ``necrosis`` of a normal w lies below it: fluid collects where
        the tumour is darkest.

        Args:
            field: w, smooth, variance 1.
            solid_hu: CT number of the solid part.
        """
        fluid = np.zeros_like(field)
        if self.necrosis > 0.0:
            threshold = NormalDist().inv_cdf(self.necrosis)
            fluid = np.clip((threshold - field) / RIM + 0.5, 0.0, 1.0)
        solid = np.float32(self.mottle_hu) * field * (1.0 - fluid)
        return np.asarray(solid + fluid * (NECROSIS_HU - solid_hu), np.float32)


def lay_lesions(base: Anatomy, lesions: Sequence[Lesion], room: FloatArray) -> tuple[Layer, ...]:
    """Layer of each lesion, of the tissue ``lesion_1`` and so on.

    Args:
        base: the person without them.
        lesions: whose.
        room: (I, J, K) share of the voxel that a lesion may take, 0 to 1.
    """
    layers = []
    for n, lesion in enumerate(lesions, start=1):
        box, member = lesion.shape.draw(base.grid)
        layers.append(Layer(f"lesion {n}", f"lesion_{n}", box, member * room[box]))
    return tuple(layers)


def scan_lesions(
    base: Anatomy,
    person: AbdomenPatient,
    lesions: Sequence[Lesion],
    layers: Sequence[Layer],
    protocol: Protocol,
    rng: np.random.Generator,
) -> FloatArray:
    """CT of a person with lesions, (I, J, K) in HU.

    Args:
        base: the person without them.
        person: the same, for the tissues' values.
        lesions: what they are; none gives the CT of the person alone, with the same noise.
        layers: of the lesions, as `lay_lesions` gives them.
        protocol: of the scan.
        rng: source of texture and noise.
    """
    phase, kilovolts = protocol.phase, protocol.kilovolts
    own = {f"lesion_{n}": x.hu(phase, kilovolts) for n, x in enumerate(lesions, start=1)}
    values = contrast_hu(person, phase, kilovolts) | own
    hu = scan_ct(Anatomy(base.grid, (*base.layers, *layers)), values, protocol.settings, rng).hu
    for lesion, layer in zip(lesions, layers, strict=True):
        field = lesion.shape.unevenness(base.grid, layer.box)
        hu[layer.box] += layer.membership * lesion.uneven(field, own[layer.tissue])
    return np.maximum(hu, np.float32(LOWEST_HU))
