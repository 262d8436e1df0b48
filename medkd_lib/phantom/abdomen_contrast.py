"""How well an image tells organs apart: contrast-to-noise of the borders that a reader draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medkd_lib.phantom.abdomen_dual import echo_signal
from medkd_lib.phantom.abdomen_scan import IN_PHASE_MS, T1_DUAL, T2_SPIR, Strength
from medkd_lib.phantom.abdomen_tissue import shrink_contrast
from medkd_lib.phantom.mr import signal
from medkd_lib.phantom.tissue_mr import TissueMR

SOFT_BORDERS = (
    ("liver", "kidney_cortex"),
    ("liver", "muscle"),
    ("liver", "bowel_wall"),
    ("liver", "pancreas"),
    ("liver", "spleen"),
    ("spleen", "kidney_cortex"),
    ("spleen", "muscle"),
    ("spleen", "bowel_wall"),
    ("kidney_cortex", "muscle"),
    ("kidney_cortex", "bowel_wall"),
)
"""Organs against what they touch."""

FAT_BORDERS = (("liver", "adipose"), ("kidney_cortex", "adipose"), ("spleen", "adipose"))
"""Organs against the fat around them."""


def contrast_to_noise(
    tissues: Mapping[str, TissueMR], strength: Strength
) -> dict[str, tuple[float, float]]:
    r"""Mean contrast-to-noise of soft and of fat borders in the T1 (in phase) and the T2 image.

    .. math:: CNR = \frac1n \sum_{(a, b)} \frac{|S_a - S_b|}{\sigma}

    with σ of one channel of the complex noise, and no bias field: what the physics offers, before
    any partial volume.

    Args:
        tissues: values per tissue before the difficulty's change, as from
            :func:`medkd_lib.phantom.abdomen_tissue.abdomen_mr`.
        strength: of the difficulty.

    Returns:
        ``{"t1": (soft, fat), "t2": (soft, fat)}``.
    """
    t1 = shrink_contrast(tissues, strength.t1_spread)
    t2 = shrink_contrast(tissues, strength.t2_spread)
    in_phase = {n: echo_signal(t, T1_DUAL, IN_PHASE_MS) for n, t in t1.items()}
    spir = {n: signal(t, T2_SPIR) for n, t in t2.items()}
    return {
        "t1": _means(in_phase, strength.t1_noise * in_phase["liver"]),
        "t2": _means(spir, strength.t2_noise * spir["liver"]),
    }


def _means(signals: Mapping[str, float], sigma: float) -> tuple[float, float]:
    soft, fat = (
        float(np.mean([abs(signals[a] - signals[b]) / sigma for a, b in borders]))
        for borders in (SOFT_BORDERS, FAT_BORDERS)
    )
    return soft, fat
