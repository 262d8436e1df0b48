"""MR protocols: every number of a sequence that may shift a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

Sequence = Literal["spin_echo", "gradient_echo", "inversion_recovery", "mprage", "diffusion"]


@dataclass(frozen=True)
class MRSettings:
    """One MR protocol. Domain shift is another row of these numbers.

    Attributes:
        name: what the image is called.
        sequence: which equation of §1.3 makes the signal.
        tr_ms: repetition time.
        te_ms: echo time (of a fast spin echo: the effective one).
        ti_ms: inversion time; only for ``inversion_recovery`` and ``mprage``.
        flip_deg: flip angle; only for ``gradient_echo`` and ``mprage``.
        b_s_mm2: diffusion weighting in s/mm²; only for ``diffusion``.
        echo_spacing_ms: time between the pulses of the ``mprage`` train.
        pulses: length of that train; the pulse in its middle fills the centre of k-space.
        fat_saturation: share of fat's signal that is suppressed, 1 = all of it.
        noise: σ of each channel as a share of the reference signal, 0.03 = 3 % (§1.7: 2–5 %).
        bias: 0.2 = "20 % INU", a factor 0.90–1.10 over the body (§1.7 R); 0 = none.
        reference: tissue whose signal, without agent and at b = 0, sets noise and gain.
    """

    name: str
    sequence: Sequence
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    flip_deg: float = 90.0
    b_s_mm2: float = 0.0
    echo_spacing_ms: float = 7.0
    pulses: int = 176
    fat_saturation: float = 0.0
    noise: float = 0.03
    bias: float = 0.2
    reference: str = "white_matter"

    def __post_init__(self) -> None:
        """Refuse impossible protocols."""
        if self.sequence not in get_args(Sequence):
            known = get_args(Sequence)
            self._refuse("sequence", f"one of {known}", self.sequence, "check the spelling")
        if not 0.0 <= self.te_ms < self.tr_ms:
            found = f"te_ms {self.te_ms}, tr_ms {self.tr_ms}"
            self._refuse("te_ms", "0 ≤ te_ms < tr_ms", found, "times are milliseconds")
        if not 0.0 < self.flip_deg <= 180.0:
            self._refuse("flip_deg", "degrees in (0, 180]", self.flip_deg, "90 for a spin echo")
        if not 0.0 <= self.fat_saturation <= 1.0:
            share = self.fat_saturation
            self._refuse("fat_saturation", "a share in [0, 1]", share, "0 = no saturation")
        if self.noise < 0.0:
            self._refuse("noise", "a share of 0 or more", self.noise, "0.03 means 3 %")
        if not 0.0 <= self.bias < 2.0:
            self._refuse("bias", "a span in [0, 2)", self.bias, "0.2 means a factor 0.9–1.1")
        if self.sequence == "diffusion" and self.b_s_mm2 < 0.0:
            self._refuse("b_s_mm2", "0 or more", self.b_s_mm2, "b is in s/mm², usually 0 or 1000")
        if self.sequence != "diffusion" and self.b_s_mm2 != 0.0:
            self._refuse("b_s_mm2", f"0 for {self.sequence}", self.b_s_mm2, "use 'diffusion'")
        inverted = self.sequence in ("inversion_recovery", "mprage")
        if not inverted and self.ti_ms != 0.0:
            self._refuse("ti_ms", f"0 for {self.sequence}", self.ti_ms, "nothing is inverted")
        if self.sequence == "inversion_recovery" and not 0.0 < self.ti_ms < self.tr_ms:
            found = f"ti_ms {self.ti_ms}, tr_ms {self.tr_ms}"
            self._refuse("ti_ms", "0 < ti_ms < tr_ms", found, "null_ti_ms finds one")
        if self.sequence == "mprage":
            if self.pulses < 1 or self.echo_spacing_ms <= 0.0:
                found = f"pulses {self.pulses}, echo_spacing_ms {self.echo_spacing_ms}"
                self._refuse("mprage train", "pulses ≥ 1, spacing > 0", found, "e.g. 176 and 7 ms")
            if min(self.mprage_gaps_ms()) < 0.0:
                found = f"{self.pulses} × {self.echo_spacing_ms} ms about ti_ms {self.ti_ms}"
                expected = f"a train inside one tr_ms of {self.tr_ms}"
                self._refuse("mprage train", expected, found, "shorten it or move ti_ms")

    def mprage_gaps_ms(self) -> tuple[float, float]:
        """Free recovery before and after the pulse train of ``mprage``, in ms."""
        before = self.ti_ms - self.pulses // 2 * self.echo_spacing_ms
        return before, self.tr_ms - before - self.pulses * self.echo_spacing_ms

    def _refuse(self, what: str, expected: str, found: object, advice: str) -> None:
        raise ValueError(f"{self.name}: {what}: expected {expected}, found {found!r}; {advice}")


_T1 = MRSettings("t1n", "mprage", 2300.0, 3.0, ti_ms=900.0, flip_deg=9.0)
# Echo-planar images always saturate fat (D: 95 %). No shading of their own: two draws would not
# cancel in the ADC (scan_mr takes a shared field).
_DWI = MRSettings("dwi_b0", "diffusion", 6000.0, 75.0, fat_saturation=0.95, bias=0.0)

# Values of §1.5 at 3 T († unless noted)
PROTOCOLS: Mapping[str, MRSettings] = MappingProxyType(
    {
        "t1n": _T1,
        # the same sequence before and after the agent is the consensus minimum (R)
        "t1c": replace(_T1, name="t1c"),
        "t2w": MRSettings("t2w", "spin_echo", 5000.0, 100.0),
        # 2D values; TI nulls CSF (C, §1.3: 2445 for TR 9000 and T1 4200)
        "t2f": MRSettings("t2f", "inversion_recovery", 9000.0, 120.0, ti_ms=2445.0),
        "dwi_b0": _DWI,
        "dwi_b1000": replace(_DWI, name="dwi_b1000", b_s_mm2=1000.0),
        # R: times of the one sarcoma protocol read; noise and saturation D (muscle is dark on T2)
        "t1w_limb": MRSettings("t1w_limb", "spin_echo", 500.0, 8.0, reference="muscle"),
        "t2fs_limb": MRSettings(
            "t2fs_limb",
            "spin_echo",
            6200.0,
            110.0,
            fat_saturation=0.95,
            noise=0.15,
            reference="muscle",
        ),
    }
)
