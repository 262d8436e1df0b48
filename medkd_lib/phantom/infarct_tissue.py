"""What ischaemia does to tissue: less diffusion at once, more water by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from medkd_lib.phantom.infarct import Infarct
from medkd_lib.phantom.tissue_mr import TissueMR, fainter

DEAD: Mapping[str, str] = MappingProxyType(
    {
        "grey_matter": "infarct_grey_matter",
        "white_matter": "infarct_white_matter",
        "deep_grey": "infarct_deep_grey",
    }
)
"""Tissue of the living brain → the same after its artery was shut."""

T1_FACTOR = 1.05
"""§1.1 †."""

T2_RISE_MS_PER_H = 1.65
"""§1.1 R: 1.4–1.9 ms an hour, measured below 10 h; taken as straight up to a day (D)."""


def infarcted(tissue: TissueMR, age_h: float, adc_ratio: float, contrast: float = 1.0) -> TissueMR:
    r"""Return a tissue some hours after its artery was shut.

    .. math:: T_1' = 1.05\,T_1, \qquad T_2' = T_2 + 1.65\,\tfrac{ms}{h}\,t, \qquad
              ADC' = r\,ADC

    Args:
        tissue: alive.
        age_h: t.
        adc_ratio: r.
        contrast: 1 = all of that, 0 = as alive (:func:`medkd_lib.phantom.tissue_mr.fainter`).
    """
    dead = replace(
        tissue,
        t1_ms=tissue.t1_ms * T1_FACTOR,
        t2_ms=tissue.t2_ms + T2_RISE_MS_PER_H * age_h,
        adc_um2_ms=tissue.adc_um2_ms * adc_ratio,
        source="§1.1: T1 †, T2 and ADC R",
    )
    return fainter(dead, tissue, contrast)


def with_infarct_tissues(
    tissues: Mapping[str, TissueMR], infarct: Infarct, contrast: float
) -> dict[str, TissueMR]:
    """Return a patient's table with the tissues of :data:`DEAD` added."""
    dead = {
        name: infarcted(tissues[alive], infarct.age_h, infarct.adc_ratio, contrast)
        for alive, name in DEAD.items()
    }
    return {**tissues, **dead}
