"""MR sequences: from a tissue's PD, T1, T2 and diffusion to its signal.

Everything here is one number per tissue; :mod:`medkd_lib.phantom.mr_scan` makes images of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.mr_settings import PROTOCOLS, MRSettings, Sequence
from medkd_lib.phantom.tissue_mr import TissueMR

__all__ = [
    "GADOLINIUM_R1",
    "GADOLINIUM_R2",
    "PROTOCOLS",
    "MRSettings",
    "Sequence",
    "adc_map",
    "magnetisation",
    "null_ti_ms",
    "reference_signal",
    "signal",
]

GADOLINIUM_R1 = 4.5
"""Longitudinal relaxivity in L·mmol⁻¹·s⁻¹ (§1.4: 3.0–5.0 R for common agents; §1.6)."""

GADOLINIUM_R2 = 6.0
"""Transverse relaxivity in L·mmol⁻¹·s⁻¹ (§1.4: 5–7 †)."""


def signal(
    tissue: TissueMR,
    settings: MRSettings,
    gd_mm: float = 0.0,
    *,
    t2_star_ms: float | None = None,
) -> float:
    """Magnitude of :func:`magnetisation`: what a noiseless image shows of a pure voxel."""
    return abs(magnetisation(tissue, settings, gd_mm, t2_star_ms=t2_star_ms))


def magnetisation(
    tissue: TissueMR,
    settings: MRSettings,
    gd_mm: float = 0.0,
    *,
    t2_star_ms: float | None = None,
) -> float:
    r"""Transverse magnetisation at the echo, negative where an inverted tissue has not recovered.

    Tissues that share a voxel add up with their signs, before the magnitude is taken.

    .. math::
        \tfrac{1}{T_1'} &= \tfrac{1}{T_1} + r_1 C, \quad
        \tfrac{1}{T_2'} = \tfrac{1}{T_2} + r_2 C, \quad E_1 = e^{-TR/T_1'} \\
        M_{SE} &= PD\,(1 - E_1)\,e^{-TE/T_2'} \\
        M_{IR} &= PD\,(1 - 2e^{-TI/T_1'} + E_1)\,e^{-TE/T_2'} \\
        M_{GRE} &= PD\,\sin\alpha\,\tfrac{1 - E_1}{1 - \cos\alpha\,E_1}\,e^{-TE/T_2^*} \\
        M_{DWI} &= M_{SE}\,e^{-b\,ADC}

    and for ``mprage`` the steady state of inversion, waiting, pulse train, waiting (§1.3, §1.4).
    Saturated fat is taken off PD first.

    Args:
        tissue: native values.
        settings: protocol.
        gd_mm: gadolinium concentration C in mmol/L.
        t2_star_ms: native T2* for gradient echoes (``gradient_echo``, ``mprage``); without it T2
            is used, which is fair only for TE far below T2*.

    Raises:
        ValueError: for a negative concentration.
    """
    if gd_mm < 0.0:
        raise ValueError(f"gd_mm: expected 0 or more mmol/L, found {gd_mm}; 0 means no agent")
    t1 = 1.0 / (1.0 / tissue.t1_ms + GADOLINIUM_R1 * gd_mm / 1000.0)
    gradient = settings.sequence in ("gradient_echo", "mprage")
    decay_ms = t2_star_ms if gradient and t2_star_ms is not None else tissue.t2_ms
    t2 = 1.0 / (1.0 / decay_ms + GADOLINIUM_R2 * gd_mm / 1000.0)
    e1 = float(np.exp(-settings.tr_ms / t1))
    alpha = float(np.deg2rad(settings.flip_deg))
    if settings.sequence == "inversion_recovery":
        # 1 − 2e^(−TI/T1) + E1
        recovered = 1.0 - 2.0 * float(np.exp(-settings.ti_ms / t1)) + e1
    elif settings.sequence == "gradient_echo":
        # sin α (1 − E1)/(1 − cos α E1)
        recovered = float(np.sin(alpha) * (1.0 - e1) / (1.0 - np.cos(alpha) * e1))
    elif settings.sequence == "mprage":
        recovered = _mprage_steady_state(t1, settings) * float(np.sin(alpha))
    else:
        # 1 − E1, and e^(−b ADC): s/mm² · 10⁻³ mm²/s
        diffusion = np.exp(-settings.b_s_mm2 * tissue.adc_um2_ms / 1000.0)
        recovered = (1.0 - e1) * float(diffusion)
    protons = tissue.pd * (1.0 - settings.fat_saturation * tissue.fat)
    return protons * recovered * float(np.exp(-settings.te_ms / t2))


def _mprage_steady_state(t1_ms: float, settings: MRSettings) -> float:
    r"""Longitudinal magnetisation just before the pulse in the middle of the train.

    One repetition maps :math:`M \mapsto aM + c`; in the steady state :math:`M = c/(1 - a)`.
    """
    before, after = (float(np.exp(-gap / t1_ms)) for gap in settings.mprage_gaps_ms())
    between = float(np.exp(-settings.echo_spacing_ms / t1_ms))
    cosine = float(np.cos(np.deg2rad(settings.flip_deg)))

    def repetition(m: float) -> tuple[float, float]:
        m = 1.0 + (-m - 1.0) * before  # inversion, then recovery to the first pulse
        middle = m
        for pulse in range(settings.pulses):
            if pulse == settings.pulses // 2:
                middle = m
            m = 1.0 + (m * cosine - 1.0) * between
        return middle, 1.0 + (m - 1.0) * after

    c = repetition(0.0)[1]
    a = repetition(1.0)[1] - c
    return repetition(c / (1.0 - a))[0]


def reference_signal(tissues: Mapping[str, TissueMR], settings: MRSettings) -> float:
    """Signal of the reference tissue without agent and at b = 0: the unit of noise and gain.

    It is the same for an image and its partner (t1n and t1c, b 0 and b 1000), so their difference
    and their ratio mean something.

    Raises:
        KeyError: if the table lacks the reference tissue.
        ValueError: if that tissue has no signal.
    """
    if settings.reference not in tissues:
        raise KeyError(
            f"{settings.name}: reference tissue {settings.reference!r} is not in the table; found "
            f"{sorted(tissues)}; choose MRSettings.reference among them"
        )
    value = signal(tissues[settings.reference], replace(settings, b_s_mm2=0.0))
    if value <= 0.0:
        raise ValueError(
            f"{settings.name}: reference tissue {settings.reference!r} gives no signal; "
            "choose another MRSettings.reference"
        )
    return value


def null_ti_ms(t1_ms: float, tr_ms: float) -> float:
    r"""Inversion time that nulls a tissue.

    .. math:: TI_0 = T_1\,[\ln 2 - \ln(1 + e^{-TR/T_1})]
    """
    return t1_ms * float(np.log(2.0) - np.log1p(np.exp(-tr_ms / t1_ms)))


def adc_map(s0: FloatArray, sb: FloatArray, b: float) -> FloatArray:
    r"""Apparent diffusion coefficient of two images of the same gain.

    .. math:: ADC = \ln(S_0/S_b)/b

    From noisy magnitudes it reads low where :math:`S_b` sinks into the noise floor (CSF), as on
    a scanner.

    Args:
        s0: image at b = 0, any shape.
        sb: image at ``b``, same shape.
        b: diffusion weighting in s/mm².

    Returns:
        float32, µm²/ms = 10⁻³ mm²/s; 0 where one of the images has no signal.

    Raises:
        ValueError: if the shapes differ or ``b`` is not positive.
    """
    if s0.shape != sb.shape or b <= 0.0:
        raise ValueError(
            f"adc_map: expected two images of one shape and b > 0, found {s0.shape}, {sb.shape} "
            f"and b = {b}; pass dwi_b0, dwi_b1000 and 1000"
        )
    seen = (s0 > 0.0) & (sb > 0.0)
    ratio = np.divide(s0, sb, out=np.ones(s0.shape, np.float32), where=seen)
    # ln(S0/Sb)/b in mm²/s, times 1000
    return np.log(ratio) * np.float32(1000.0 / b)
