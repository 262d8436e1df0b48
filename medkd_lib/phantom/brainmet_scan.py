"""Virtual patients of the ``brainmetshare`` twin and their four sequences at 1.5 or 3 T."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brats_patient import BratsPatient, sample_patient
from medkd_lib.phantom.mr import null_ti_ms
from medkd_lib.phantom.mr_scan import NO_AGENT, scan_mr
from medkd_lib.phantom.mr_settings import PROTOCOLS, MRSettings
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import mr_table

FIELD_SHARE: Mapping[float, float] = MappingProxyType({1.5: 0.4, 3.0: 0.6})
"""Scanners of the real set had both fields (R); how many had which is D."""

WITHOUT_AGENT = "t1_se_pre"
"""The only sequence before contrast: FLAIR, too, came after it (R)."""

_T1_SE = MRSettings(WITHOUT_AGENT, "spin_echo", 600.0, 10.0)
_FLAIR_TR_MS = 6000.0
_FLAIR = replace(
    PROTOCOLS["t2f"],
    name="flair",
    tr_ms=_FLAIR_TR_MS,
    ti_ms=null_ti_ms(mr_table()["csf"].t1_ms, _FLAIR_TR_MS),
)

SEQUENCES: Mapping[float, Mapping[str, MRSettings]] = MappingProxyType(
    {
        field: MappingProxyType(
            {
                "t1_gre_post": MRSettings(
                    "t1_gre_post", "mprage", tr, 3.0, ti_ms=ti, flip_deg=flip, pulses=pulses
                ),
                WITHOUT_AGENT: _T1_SE,
                "t1_se_post": replace(_T1_SE, name="t1_se_post"),
                "flair": _FLAIR,
            }
        )
        for field, tr, ti, flip, pulses in (
            (1.5, 1900.0, 1000.0, 12.0, 160),
            (3.0, 2300.0, 900.0, 9.0, 176),
        )
    }
)
"""By field: inversion-prepared gradient echo, spin echo before and after, FLAIR (R which; times
§1.5 †, the short TR of a 3-D FLAIR with TE 120 for its effective one D, TI computed)."""

WHITE_MATTER_GREY = (70.0, 95.0)
"""Grey value of white matter, per patient and sequence (D: 8 bits, enhancement below the top)."""


def sample_metastases(rng: np.random.Generator, difficulty: Difficulty) -> BratsPatient:
    """Draw a patient as those of BraTS-MET are drawn, on a scanner of either field."""
    fields = tuple(FIELD_SHARE)
    field_t = fields[int(rng.choice(len(fields), p=list(FIELD_SHARE.values())))]
    patient = sample_patient(rng, "met", difficulty, field_t)
    gain = {name: float(rng.uniform(*WHITE_MATTER_GREY)) for name in SEQUENCES[field_t]}
    return replace(patient, gain=MappingProxyType(gain))


def scan_metastases(
    patient: BratsPatient, anatomy: BrainAnatomy, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Scan with the four sequences of the patient's field.

    Args:
        patient: whom.
        anatomy: of the patient, with or without the metastases.
        rng: source of shading and noise, one stream per sequence.

    Returns:
        float32 magnitudes by role, white matter at its grey value before contrast, exactly 0
        outside the stripped brain.
    """
    sequences = SEQUENCES[patient.field_t]
    return {
        name: scan_mr(
            anatomy,
            patient.tissues,
            replace(settings, noise=patient.noise, bias=patient.bias),
            stream,
            gd_mm=NO_AGENT if name == WITHOUT_AGENT else patient.gd_mm,
            gain=patient.gain[name],
            noise_outside=False,
        ).signal
        for (name, settings), stream in zip(
            sequences.items(), rng.spawn(len(sequences)), strict=True
        )
    }
