"""What the tissues are to X-rays: CT numbers and attenuation, each with its source.

Evidence letters follow the course's tissue dossier (section numbers in brackets):
R read in a publication, C computed from composition, † textbook value, D our design choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

MU_WATER_65KEV = 0.1987
"""Linear attenuation of water at 65 keV in cm⁻¹ (C, §2.1)."""


@dataclass(frozen=True)
class TissueXray:
    """One tissue as an X-ray or CT scanner sees it.

    Attributes:
        hu: CT number at 120 kV.
        mu_65kev: linear attenuation at 65 keV in cm⁻¹.
        source: dossier section and evidence letter of both numbers.
    """

    hu: float
    mu_65kev: float
    source: str


# Where the dossier gives only a CT number, μ(65 keV) = μ_water·(1 + HU/1000).
TISSUES: Mapping[str, TissueXray] = MappingProxyType(
    {
        "air": TissueXray(-1000.0, 0.0, "definition of the scale"),
        "lung": TissueXray(-850.0, 0.0298, "§2.3 †, full inspiration; §4 C 0.030"),
        "adipose": TissueXray(-79.0, 0.1824, "§2.1 C"),
        "water": TissueXray(0.0, MU_WATER_65KEV, "§2.1 C, definition of the scale"),
        "skin": TissueXray(75.0, 0.2136, "§2.1 C at 60 keV, μ from HU"),
        "muscle": TissueXray(43.0, 0.2074, "§2.1 C"),
        "blood": TissueXray(57.0, 0.2101, "§2.1 C"),
        "liver": TissueXray(54.0, 0.2095, "§2.1 C; 58±9 R in §2.2"),
        "exudate": TissueXray(30.0, 0.2047, "§4 C consolidation +30; range §2.3 †"),
        "marrow": TissueXray(200.0, 0.2384, "§2.2 † trabecular 150–250, μ from HU"),
        "vertebra": TissueXray(460.0, 0.29, "§4 C, a quarter cortical"),
        "cortical_bone": TissueXray(1627.0, 0.5411, "§2.1 C"),
        "csf": TissueXray(8.0, 0.2003, "§2.2 † clear fluid 0–15, μ from HU"),
        "grey_matter": TissueXray(37.0, 0.2061, "§2.2 †, μ from HU; grey − white 7.1 R"),
        "deep_grey": TissueXray(37.0, 0.2061, "D: as cortex, μ from HU"),
        "white_matter": TissueXray(30.0, 0.2047, "§2.2 †, μ from HU"),
        "sarcoma": TissueXray(38.0, 0.2063, "D: a little under muscle, μ from HU"),
        "sarcoma_myxoid": TissueXray(20.0, 0.2027, "D: between fluid and muscle, μ from HU"),
        "sarcoma_necrosis": TissueXray(15.0, 0.2017, "D: fluid 0–20 †, μ from HU"),
    }
)


def hu_table() -> dict[str, float]:
    """CT number at 120 kV per tissue name."""
    return {name: tissue.hu for name, tissue in TISSUES.items()}


def mu_table() -> dict[str, float]:
    """Linear attenuation at 65 keV in cm⁻¹ per tissue name."""
    return {name: tissue.mu_65kev for name, tissue in TISSUES.items()}


def hu_to_mu(
    hu: NDArray[np.floating] | float, mu_water: float = MU_WATER_65KEV
) -> NDArray[np.floating] | float:
    r"""Linear attenuation from CT numbers, :math:`\mu = \mu_w (1 + HU/1000)`.

    Exact at the energy where the HU were measured. Bone measured at 120 kV and used at 65 keV
    reads 3.5 % low (0.522 against 0.541 cm⁻¹); use :func:`mu_table` where the tissue is known.

    Args:
        hu: CT numbers, any shape.
        mu_water: attenuation of water at the energy wanted, cm⁻¹.

    Returns:
        μ in cm⁻¹, shape of ``hu``, never below zero.
    """
    # μ = μ_w (1 + HU/1000); noise can push air below −1000 HU, attenuation cannot be negative
    return np.maximum(mu_water * (1.0 + hu / 1000.0), 0.0)


def mu_to_hu(
    mu: NDArray[np.floating] | float, mu_water: float = MU_WATER_65KEV
) -> NDArray[np.floating] | float:
    r"""CT numbers from linear attenuation, :math:`HU = 1000 (\mu - \mu_w)/\mu_w`.

    Args:
        mu: linear attenuation in cm⁻¹, any shape.
        mu_water: attenuation of water at the same energy, cm⁻¹.
    """
    return 1000.0 * (mu - mu_water) / mu_water


def opacity_hu(fill: float, lung_hu: float) -> float:
    r"""CT number of lung whose air is replaced by exudate up to ``fill``.

    .. math:: HU = HU_{lung} + f\,(HU_{exudate} - HU_{lung})

    Args:
        fill: fraction in [0, 1]; 0.28 gives ground glass at −600, 1 gives consolidation at +30.
        lung_hu: CT number of this patient's healthy lung.

    Raises:
        ValueError: if ``fill`` is outside [0, 1].
    """
    if not 0.0 <= fill <= 1.0:
        raise ValueError(
            f"fill: expected a fraction between 0 and 1, found {fill!r}; divide a percentage by 100"
        )
    return lung_hu + fill * (TISSUES["exudate"].hu - lung_hu)
