"""Tissues of a chest with a lung tumour, for CT and T2w MR at 3 T, each with its source.

Evidence letters follow the course's tissue dossier: R read, C computed, † textbook, D design.
Only what differs from :mod:`medkd_lib.phantom.tissue` and :mod:`medkd_lib.phantom.tissue_mr` stands
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.mr_settings import MRSettings
from medkd_lib.phantom.tissue import hu_table
from medkd_lib.phantom.tissue_mr import TissueMR, fainter, mr_table, vary

TUMOUR, COLLAPSE = "lung_tumour", "collapsed_lung"

BESIDE_TUMOURS = (TUMOUR, COLLAPSE, "blood", "myocardium", "node")
"""Soft tissues that CT hardly tells apart and T2w does."""

CHEST_HU: Mapping[str, float] = MappingProxyType(
    {
        "blood": 43.0,  # §2.2 † aorta 40–45, unenhanced
        "myocardium": 46.0,  # D: as muscle
        "node": 38.0,  # D
        "spleen": 50.0,  # §2.2 43–53 R
        "vertebra": 220.0,  # §2.2 † trabecular 150–250; slices resolve the shell
        "table": -250.0,  # D
    }
)
"""CT numbers at 120 kV of what the X-ray table does not have, or has for a film."""

FLOW_VOID = 0.12
"""Signal of blood in heart, great and lung vessels relative to resting blood: between the pulses
of a turbo spin echo it has left the slice (D)."""

CHEST_MR: Mapping[str, TissueMR] = MappingProxyType(
    {
        "muscle": TissueMR(0.85, 1150.0, 50.0, 1.5, "§1.2 T2 29–50 R, upper end: with it the "
                           "tumour has 2.2 × muscle's signal; R 2.14 ± 0.63"),
        "adipose": TissueMR(0.95, 375.0, 110.0, 0.05, "§1.2 T2 68–130 R; a train of echoes keeps "
                            "fat bright", 0.95),
        "blood": TissueMR(0.85 * FLOW_VOID, 1613.0, 110.0, 3.0, "§1.2 R, flow void D"),
        "myocardium": TissueMR(0.85, 1471.0, 47.0, 1.5, "§1.2 R, PD D"),
        "liver": TissueMR(0.80, 809.0, 50.0, 1.1, "§1.2 T1 R; T2 D as muscle's, 34–46 R"),
        "node": TissueMR(0.88, 1300.0, 75.0, 1.0, "D: a little below the tumour"),
        "vertebra": TissueMR(0.90, 586.0, 60.0, 0.4, "§1.2 T1 R; T2 D above 49 R, half is fat"),
        TUMOUR: TissueMR(0.90, 1400.0, 80.0, 1.2, "§1.2 D"),
        COLLAPSE: TissueMR(0.92, 1700.0, 120.0, 1.6, "D: wetter than the tumour that blocks it"),
    }
)  # fmt: skip
"""At 3 T."""

T2W = MRSettings(
    "t2w_chest", "spin_echo", 5000.0, 100.0, fat_saturation=0.92, noise=0.12, bias=0.25,
    reference="muscle",
)  # fmt: skip
"""Turbo spin echo triggered by breathing (§1.5 †: 5000 / 100 at 3 T; its effective TE counts).

Fat is suppressed (D; whether the cohort's was could not be read): where it is bright, the partial
volume of fat and lung has a tumour's grey, and MR knows little more than CT.
"""


def hu_values(lung_hu: float, contrast_hu: float) -> dict[str, float]:
    """CT number per tissue; tumour and collapsed lung have one, ``contrast_hu`` off muscle's."""
    table = {**hu_table(), **CHEST_HU, "lung": lung_hu}
    return table | dict.fromkeys((TUMOUR, COLLAPSE), table["muscle"] + contrast_hu)


def mr_values(rng: np.random.Generator, tumour_t2: float, contrast: float) -> dict[str, TissueMR]:
    r"""Draw one patient's MR values.

    .. math:: T = T_m\,(T_t / T_m)^c

    (PD and T1 alike) for each of :data:`BESIDE_TUMOURS`, m being muscle, after levels and the
    tumour's own T2 were drawn: at :math:`c = 0` they are exactly muscle, flowing blood included.

    Args:
        rng: source of the levels.
        tumour_t2: factor on the tumour's T2.
        contrast: c, see :attr:`~medkd_lib.phantom.chest_settings.Setting.t2_contrast`.
    """
    tissues = vary({**mr_table(3.0), **CHEST_MR}, rng)
    tumour = tissues[TUMOUR]
    tissues[TUMOUR] = replace(tumour, t2_ms=tumour.t2_ms * tumour_t2)
    for name in BESIDE_TUMOURS:
        tissues[name] = fainter(tissues[name], tissues["muscle"], contrast)
    return tissues
