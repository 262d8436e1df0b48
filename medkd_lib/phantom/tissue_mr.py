"""What the tissues are to an MR scanner: proton density, T1, T2 and diffusion, with sources.

Evidence letters follow the course's tissue dossier (section numbers in brackets): R read in a
publication, C computed, † textbook value, D our design choice, "in R" chosen inside a read range.
Methods disagree about levels (grey matter T1 at 3 T is 1143–1820 ms), far less about the ratios
to white matter, and the ratios make the picture: :func:`vary` therefore moves the levels together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class TissueMR:
    """One tissue as an MR scanner sees it, without contrast agent.

    Attributes:
        pd: proton density, CSF = 1.
        t1_ms: longitudinal relaxation time.
        t2_ms: transverse relaxation time.
        adc_um2_ms: apparent diffusion coefficient in µm²/ms = 10⁻³ mm²/s.
        source: dossier section and evidence letters.
        fat: share of the protons that sit in fat and go with fat saturation.
    """

    pd: float
    t1_ms: float
    t2_ms: float
    adc_um2_ms: float
    source: str
    fat: float = 0.0


# name: PD, (T1 at 1.5 T, at 3 T), (T2 at 1.5 T, at 3 T), ADC, source
_Row = tuple[float, tuple[float, float], tuple[float, float], float, str]
_ROWS: Mapping[str, _Row] = {
    "air": (0.0, (1.0, 1.0), (1.0, 1.0), 0.0, "no protons, so the times do not matter"),
    "csf": (1.00, (4200, 4200), (2000, 2000), 3.0, "§1.1 in R, ADC †"),
    "grey_matter": (0.86, (1150, 1400), (95, 90), 0.85, "§1.1 in R, ADC †"),
    "deep_grey": (0.84, (1090, 1340), (80, 65), 0.75, "§1.1 T1 in R, PD D, T2 and ADC †"),
    "white_matter": (0.77, (650, 840), (75, 70), 0.84, "§1.1 in R, ADC R"),
    "oedema": (0.90, (1150, 1400), (130, 120), 1.5, "§1.1 D from R ratios to white matter, ADC †"),
    "tumour": (0.92, (1300, 1700), (120, 110), 1.1, "§1.1 D, ADC † (0.8–1.4)"),
    "tumour_core": (
        *(0.92, (1400, 1800), (140, 130), 1.3),
        "D: solid but not enhancing, wetter than the enhancing part, drier than necrosis",
    ),
    "necrosis": (
        *(0.98, (2300, 2500), (400, 400), 2.2),
        "§1.6 D: T1 of protein-rich fluid, 2000–2500; pure fluid (§1.1, 3000) would null on "
        "FLAIR; T2 and ADC §1.1 †",
    ),
    "metastasis": (0.92, (1300, 1650), (115, 105), 1.2, "§1.1 D, ADC †"),
    "meningioma": (
        *(0.86, (1200, 1450), (95, 90), 0.9),
        "D: not in the dossier; near grey matter before contrast, enhances strongly and evenly",
    ),
    "infarct": (
        *(0.86, (1150 * 1.05, 1400 * 1.05), (95 + 9.9, 90 + 9.9), 0.627),
        "§1.1 at 6 h in grey matter: T1 × 1.05 †, T2 + 1.65 ms/h R, ADC R",
    ),
    "adipose": (0.95, (300, 375), (75, 70), 0.05, "§1.1 in R, PD D, ADC †, fat share D"),
    "muscle": (0.85, (930, 1150), (36, 38), 1.5, "§1.2 in R, PD D, ADC †"),
    "cortical_bone": (0.05, (200, 300), (0.5, 0.25), 0.0, "§1.1 R; ADC D, it has no signal"),
    "marrow": (
        *(0.90, (330, 410), (70, 66), 0.2),
        "D: yellow marrow of a limb, mostly fat; between §1.1 fat and marrow",
    ),
    "blood": (
        *(0.85, (1412, 1613), (200, 110), 3.0),
        "§1.2 T1 arterial R, T2 D between arterial and venous R; PD, ADC D; standing blood, "
        "flow voids are left out",
    ),
    "skin": (0.75, (900, 1100), (35, 32), 1.0, "D: collagen-rich, muscle-like"),
    "sarcoma": (0.92, (1200, 1500), (90, 90), 1.1, "§1.2 D, ADC R"),
    "sarcoma_myxoid": (0.97, (1200, 1500), (200, 200), 2.6, "§1.2 D, ADC R"),
    "sarcoma_necrosis": (0.98, (2300, 2500), (300, 300), 2.2, "D: as necrosis, with some debris"),
    "liver": (0.80, (586, 809), (46, 34), 1.1, "§1.2 R, PD D"),
    "spleen": (0.85, (1057, 1328), (79, 61), 0.8, "§1.2 R, PD D"),
    "lung": (0.20, (1200, 1300), (40, 40), 1.0, "§1.2 †, T2 and ADC D; T2* 2.1 → 0.74 ms R"),
}

_FAT: Mapping[str, float] = {"adipose": 0.95, "marrow": 0.85}

TISSUES_MR: Mapping[float, Mapping[str, TissueMR]] = MappingProxyType(
    {
        field: MappingProxyType(
            {
                name: TissueMR(pd, float(t1[i]), float(t2[i]), adc, source, _FAT.get(name, 0.0))
                for name, (pd, t1, t2, adc, source) in _ROWS.items()
            }
        )
        for i, field in enumerate((1.5, 3.0))
    }
)
"""Tissues per field strength in tesla."""


def mr_table(field_t: float = 3.0) -> dict[str, TissueMR]:
    """Tissues at one field strength, a copy that may be changed.

    Raises:
        ValueError: for a field without a table.
    """
    if field_t not in TISSUES_MR:
        raise ValueError(
            f"field_t: expected one of {sorted(TISSUES_MR)} tesla, found {field_t!r}; "
            "pass your own table to scan_mr for another field"
        )
    return dict(TISSUES_MR[field_t])


def vary(
    tissues: Mapping[str, TissueMR],
    rng: np.random.Generator,
    *,
    level: float = 0.12,
    own: float = 0.03,
) -> dict[str, TissueMR]:
    r"""Draw the values of one patient: levels move together, ratios to white matter hold (§0.1).

    .. math:: T_i' = T_i\,e^{\ell z + o\,z_i}, \qquad z, z_i \sim N(0, 1)

    with one :math:`z` for every T1 and another for every T2. CSF stays as it is: it is nearly
    water, all tables agree on its T1 within 3 % (§1.1) where grey matter spans 45 %, and at 12 %
    the fluid would no longer null on FLAIR. PD and ADC stay, too.

    Args:
        tissues: values to vary, for instance ``mr_table(3.0)``.
        rng: source of randomness; draws go by sorted tissue name.
        level: spread ℓ of the common factors (log-normal; §0.1: 0.10–0.15).
        own: spread o of each tissue's own factors.

    Raises:
        ValueError: for a negative spread.
    """
    if level < 0.0 or own < 0.0:
        raise ValueError(
            f"level and own: expected spreads of 0 or more, found {level} and {own}; 0 = no spread"
        )
    common = level * rng.standard_normal(2)
    varied = {}
    for name in sorted(tissues):
        tissue = tissues[name]
        # T' = T exp(ℓ z + o z_i)
        t1_factor, t2_factor = np.exp(common + own * rng.standard_normal(2))
        if name == "csf":
            t1_factor = t2_factor = 1.0
        varied[name] = replace(
            tissue,
            t1_ms=tissue.t1_ms * float(t1_factor),
            t2_ms=tissue.t2_ms * float(t2_factor),
        )
    return varied


def fainter(lesion: TissueMR, normal: TissueMR, contrast: float) -> TissueMR:
    r"""Mix a tissue between normal and diseased: :math:`T = T_n (T_l / T_n)^c`, and so for PD."""

    def between(a: float, b: float) -> float:
        return float(a * (b / a) ** contrast)

    return replace(
        lesion,
        pd=between(normal.pd, lesion.pd),
        t1_ms=between(normal.t1_ms, lesion.t1_ms),
        t2_ms=between(normal.t2_ms, lesion.t2_ms),
        adc_um2_ms=between(normal.adc_um2_ms, lesion.adc_um2_ms),
    )
