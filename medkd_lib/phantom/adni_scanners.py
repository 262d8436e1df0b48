"""The virtual scanners of the ADNI twin: field, T1 protocol, noise, shading; one domain each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from medkd_lib.phantom.mr_settings import MRSettings

Span = tuple[float, float]


@dataclass(frozen=True)
class Scanner:
    """One kind of scanner. Domain shift is another row of these numbers.

    Attributes:
        name: as ``truth.csv`` has it.
        vendor: a letter; no real company's numbers stand behind it.
        field_t: tesla.
        settings: T1 protocol; noise and shading are drawn per patient.
        noise: share of white matter, range.
        bias: shading that is left after correction, range.
        gain: stored signal of white matter, range.
        sites: numbers of the hospitals that have one.
    """

    name: str
    vendor: str
    field_t: float
    settings: MRSettings
    noise: Span
    bias: Span
    gain: Span
    sites: tuple[int, ...]


def _t1(tr_ms: float, te_ms: float, ti_ms: float, flip_deg: float, pulses: int) -> MRSettings:
    return MRSettings("t1", "mprage", tr_ms, te_ms, ti_ms=ti_ms, flip_deg=flip_deg, pulses=pulses)


SCANNERS: Mapping[str, Scanner] = MappingProxyType(
    {
        s.name: s
        for s in (
            # times within or about §1.5 †, which scanner has which is D; noise falls and shading
            # grows with the field
            Scanner("A 1.5 T", "A", 1.5, _t1(2400.0, 3.5, 1000.0, 8.0, 160),
                    (0.05, 0.07), (0.04, 0.10), (250.0, 400.0), (951, 952, 953)),
            Scanner("B 1.5 T", "B", 1.5, _t1(1500.0, 4.0, 600.0, 15.0, 140),
                    (0.06, 0.08), (0.05, 0.12), (700.0, 1100.0), (954, 955, 956)),
            Scanner("A 3 T", "A", 3.0, _t1(2300.0, 3.0, 900.0, 9.0, 176),
                    (0.03, 0.05), (0.10, 0.25), (250.0, 400.0), (957,)),
            Scanner("C 3 T", "C", 3.0, _t1(2000.0, 3.5, 750.0, 8.0, 150),
                    (0.03, 0.05), (0.10, 0.25), (900.0, 1500.0), (958,)),
        )
    }
)  # fmt: skip
"""Six hospitals of 1.5 T and two of 3 T: a quarter at 3 T, as a public page says of the first
phase. Their numbers are apart from those of real hospitals (D)."""

SITES: Mapping[int, Scanner] = MappingProxyType(
    {site: s for s in SCANNERS.values() for site in s.sites}
)
"""Scanner of each hospital."""
