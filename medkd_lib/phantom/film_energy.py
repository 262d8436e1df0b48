"""The same chest at another tube voltage: attenuation at another mean energy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# §2.1 C, μ in cm⁻¹ at 60, 65 and 70 keV.
_MEASURED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "water": (0.2059, 0.1987, 0.1929),
        "adipose": (0.1875, 0.1824, 0.1781),
        "cortical_bone": (0.6045, 0.5411, 0.4935),
    }
)
_ENERGIES = (60.0, 65.0, 70.0)

CORTICAL_PART: Mapping[str, float] = MappingProxyType({"cortical_bone": 1.0, "vertebra": 0.25})
"""Share of compact bone in a tissue (§4: a vertebra is a quarter cortical)."""


def mu_at(mu_65kev: Mapping[str, float], kev: float) -> dict[str, float]:
    r"""Attenuation per tissue at another mean energy of the beam.

    .. math:: \mu(E) = \mu(65)\,\big[(1 - c)\,r_w(E) + c\,r_b(E)\big]

    with :math:`r_w, r_b` the ratios of water and compact bone, interpolated between the energies
    that were computed, and :math:`c` the share of the attenuation that bone makes. Fat has its own
    ratio; every other soft tissue follows water.

    Args:
        mu_65kev: attenuation at 65 keV in cm⁻¹, by tissue.
        kev: 60 to 70; a film at 100 to 125 kVp has 60 to 70 keV (§4 †).

    Raises:
        ValueError: an energy outside that range.
    """
    low, middle, high = _ENERGIES
    if not low <= kev <= high:
        raise ValueError(f"kev: expected {low:g} to {high:g}, found {kev}; nothing else is tabled")

    def ratio(material: str) -> float:
        at_low, at_middle, at_high = _MEASURED[material]
        ends = (at_low, (middle - kev) / (middle - low)) if kev < middle else (
            at_high, (kev - middle) / (high - middle)
        )  # fmt: skip
        return 1.0 + ends[1] * (ends[0] / at_middle - 1.0)

    def factor(tissue: str, mu: float) -> float:
        if tissue == "adipose":
            return ratio("adipose")
        part = CORTICAL_PART.get(tissue, 0.0)
        bone = min(part * _MEASURED["cortical_bone"][1] / mu, 1.0) if part else 0.0
        return (1.0 - bone) * ratio("water") + bone * ratio("cortical_bone")

    return {tissue: mu * factor(tissue, mu) for tissue, mu in mu_65kev.items()}
