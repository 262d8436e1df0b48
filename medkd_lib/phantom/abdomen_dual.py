"""T1 dual: one gradient echo read twice, with water and fat in phase and opposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from medkd_lib.phantom.anatomy import Anatomy, FloatArray
from medkd_lib.phantom.mr import magnetisation
from medkd_lib.phantom.mr_scan import SILENT, bias_field, rician
from medkd_lib.phantom.mr_settings import MRSettings
from medkd_lib.phantom.tissue_mr import TissueMR

FAT_SHIFT_HZ = 220.0
"""How much slower fat precesses than water at 1.5 T (§1.1: −3.4 ppm, −220 Hz)."""

FAT_T1_MS, FAT_T2_STAR_MS = 300.0, 30.0
"""Of fat wherever it sits: T1 §1.1 R at 1.5 T, T2* D."""

R2_PRIME = 12.0
"""Decay by the field's unevenness within a voxel, 1/T2* = 1/T2 + R2', in 1/s (D)."""


def scan_dual(
    anatomy: Anatomy,
    tissues: Mapping[str, TissueMR],
    settings: MRSettings,
    echo_times_ms: tuple[float, float],
    rng: np.random.Generator,
    *,
    gain: float = 500.0,
) -> tuple[FloatArray, FloatArray]:
    r"""Scan both echoes.

    .. math:: S(TE) = \Big|B\,g\,\frac{W(TE) + F(TE)\,e^{2\pi i\,\Delta f\,TE}}{M_{ref}}
              + n_1 + i\,n_2\Big|

    W and F are the magnetisations of the water and of the fat in a voxel. Opposed
    (:math:`\Delta f\,TE = \tfrac12`) they cancel where they share a voxel: black lines along every
    border of an organ with fat, and a fatty liver that darkens.

    Args:
        anatomy: tissue fractions.
        tissues: values per tissue; ``fat`` is the share of its protons that sit in fat.
        settings: a gradient echo; its ``te_ms`` is not used.
        echo_times_ms: of the two images, for instance 4.6 (in phase) and 2.3 (opposed) at 1.5 T.
        rng: source of the coil's shading, which both share, and of the noise of each.
        gain: stored signal g of the reference tissue's water, first echo.

    Returns:
        One float32 magnitude image per echo.

    Raises:
        KeyError: if a tissue of the anatomy has no values.
    """
    names = {layer.tissue for layer in anatomy.layers} | {"air"}
    missing = sorted(names - set(tissues))
    if missing:
        raise KeyError(f"tissues: no MR values for {missing}; start from abdomen_mr()")
    reference = _water(tissues[settings.reference], settings, echo_times_ms[0])
    # the echoes differ by a few milliseconds: a tissue's decay between them is the same in water
    # and fat to a percent, so one volume of each is painted per echo
    bias: FloatArray | None = None
    images = []
    for te_ms in echo_times_ms:
        water = anatomy.paint({n: _water(tissues[n], settings, te_ms) for n in names})
        fat = anatomy.paint({n: _fat(tissues[n], settings, te_ms) for n in names})
        turn = 2.0 * np.pi * FAT_SHIFT_HZ * te_ms / 1000.0
        # |W + F e^{iφ}|
        real = water + np.float32(np.cos(turn)) * fat
        fat *= np.float32(np.sin(turn))
        image = np.hypot(real, fat)
        image *= np.float32(gain / reference)
        if bias is None:
            bias = bias_field(anatomy.grid.shape, settings.bias, rng, image > SILENT * gain)
        image *= bias
        images.append(rician(image, settings.noise * gain, rng))
    return images[0], images[1]


def echo_signal(tissue: TissueMR, settings: MRSettings, te_ms: float) -> float:
    r"""Magnitude of a pure voxel without noise, :math:`|W + F\,e^{2\pi i\,\Delta f\,TE}|`."""
    turn = 2.0 * np.pi * FAT_SHIFT_HZ * te_ms / 1000.0
    fat = _fat(tissue, settings, te_ms)
    return float(abs(_water(tissue, settings, te_ms) + fat * np.exp(1j * turn)))


def _water(tissue: TissueMR, settings: MRSettings, te_ms: float) -> float:
    """Magnetisation of the tissue's water at the echo."""
    wet = replace(tissue, pd=tissue.pd * (1.0 - tissue.fat))
    return _echo(wet, settings, te_ms, 1.0 / (1.0 / tissue.t2_ms + R2_PRIME / 1000.0))


def _fat(tissue: TissueMR, settings: MRSettings, te_ms: float) -> float:
    """Magnetisation of the tissue's fat at the echo."""
    fat = replace(tissue, pd=tissue.pd * tissue.fat, t1_ms=FAT_T1_MS)
    return _echo(fat, settings, te_ms, FAT_T2_STAR_MS)


def _echo(tissue: TissueMR, settings: MRSettings, te_ms: float, t2_star_ms: float) -> float:
    return magnetisation(tissue, replace(settings, te_ms=te_ms), t2_star_ms=t2_star_ms)
