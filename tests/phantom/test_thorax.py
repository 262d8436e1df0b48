"""A sampled chest has its organs where they belong, with the CT numbers they should have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.ct import CTSettings, scan_ct
from medkd_lib.phantom.opacities import LOBES, Diagnosis
from medkd_lib.phantom.thorax import ThoraxAnatomy, ThoraxPatient, sample_thorax, voxelise_thorax
from medkd_lib.phantom.tissue import TISSUES

COARSE = Grid((96, 32, 96), (4.0, 8.25, 4.0))


def draw(diagnosis: Diagnosis, seed: int) -> tuple[ThoraxPatient, ThoraxAnatomy]:
    patient = sample_thorax(np.random.default_rng(seed), diagnosis, "subtle")
    return patient, voxelise_thorax(patient, COARSE)


def first_with_findings(diagnosis: Diagnosis) -> tuple[ThoraxPatient, ThoraxAnatomy]:
    for seed in range(20):
        patient, anatomy = draw(diagnosis, seed)
        if any(f.kind != "atelectasis" for f in patient.findings):
            return patient, anatomy
    raise AssertionError("20 patients and none with an infection that shows")


def test_noiseless_ct_has_the_tissues_hu() -> None:
    patient = replace(sample_thorax(np.random.default_rng(1), "normal", "clear"), interstitial=0.0)
    anatomy = voxelise_thorax(patient)
    rng = np.random.default_rng(0)
    scan = scan_ct(anatomy, patient.hu_values(), CTSettings(sigma_hu=0, texture_hu=0), rng)
    expected = {
        t: TISSUES[t].hu for t in ("air", "adipose", "muscle", "liver", "blood", "vertebra")
    }
    expected["lung"] = patient.lung_hu
    for tissue, hu in expected.items():
        pure = anatomy.fraction(tissue) > 0.999
        assert pure.sum() > 50, tissue
        np.testing.assert_allclose(scan.hu[pure], hu, atol=3.0, err_msg=tissue)
    # thin cortex is never pure at this grid, and yet far denser than anything soft
    assert np.min(scan.hu[anatomy.fraction("cortical_bone") > 0.6]) > 600
    assert -950 < patient.lung_hu < -700
    assert scan.hu[0, 0, 0] == -1000


def test_volumes_follow_the_priors() -> None:
    aimed, got = [], []
    for seed in range(12):
        patient, anatomy = draw("normal", seed)
        aimed.append(patient.lung_ml * patient.inspiration)
        got.append(sum(anatomy.lung_ml))
    # §5: 4468 ± 1271 and 4668 ± 1192 mL; the voxels meet the aim
    assert 3000 < np.mean(got) < 6000
    assert np.mean(got) == pytest.approx(np.mean(aimed), rel=0.10)
    assert np.corrcoef(aimed, got)[0, 1] > 0.85


def test_sides_and_levels() -> None:
    patient, anatomy = draw("normal", 3)
    x, _, z = COARSE.coordinates()

    def centre(name: str, axis: np.ndarray) -> float:
        layer = anatomy.layer(name)
        part = axis[layer.box[0]] if axis is x else axis[:, :, layer.box[2]]
        return float((layer.membership * part).sum() / layer.membership.sum())

    assert centre("heart", x) > 5.0  # to the patient's left
    assert centre("liver", x) < -20.0  # to the patient's right
    assert centre("stomach air", x) > 20.0
    assert centre("lung right", x) < -30.0 < 30.0 < centre("lung left", x)
    assert centre("liver", z) < centre("heart", z) < centre("aortic knob", z)
    assert np.mean([draw("normal", s)[0].dome_mm[0] - draw("normal", s)[0].dome_mm[1]
                    for s in range(10)]) > 0  # fmt: skip
    assert patient.cage_mm[0] > patient.heart_mm


def test_lobes_share_out_the_lungs() -> None:
    _, anatomy = draw("normal", 4)
    for side, letter in (("right", "R"), ("left", "L")):
        lung = anatomy.layer(f"lung {side}").membership
        lobes = [anatomy.lobes[lobe].membership for lobe in LOBES if lobe[0] == letter]
        np.testing.assert_allclose(sum(lobes), lung, atol=1e-5)
        volumes = [lobe.sum() for lobe in lobes]
        assert min(volumes) > 0.04 * sum(volumes)


@pytest.mark.parametrize("diagnosis", ["bacterial", "viral"])
def test_findings_lie_inside_their_lobe(diagnosis: Diagnosis) -> None:
    patient, anatomy = first_with_findings(diagnosis)
    total = np.zeros(COARSE.shape, np.float32)
    for number, finding in enumerate(patient.findings):
        layer = anatomy.layer(f"finding {number}")
        whole = np.zeros(COARSE.shape, np.float32)
        whole[layer.box] = layer.membership
        lobe = np.zeros(COARSE.shape, np.float32)
        lobe[anatomy.lobes[finding.lobe].box] = anatomy.lobes[finding.lobe].membership
        assert np.max(whole) > 0.0
        assert np.all(whole <= lobe + 1e-6)
        total += whole
    infected = {f.lobe for f in patient.findings if f.kind != "atelectasis"}
    if diagnosis == "bacterial":
        assert len(infected) == 1
    else:
        assert {lobe[0] for lobe in infected} == {"R", "L"}


def test_lobes_are_drawn_as_in_the_dossier() -> None:
    lobes = []
    for seed in range(400):
        patient = sample_thorax(np.random.default_rng(seed), "bacterial", "clear")
        lobes += [f.lobe for f in patient.findings if f.kind == "consolidation"]
    share = lobes.count("RLL") / len(lobes)
    assert share == pytest.approx(0.35, abs=0.08)  # 3.4 standard errors
    assert len(lobes) / 400 == pytest.approx(0.96, abs=0.035)  # the rest does not show


def test_opacity_is_denser_than_lung_and_normal_has_none() -> None:
    patient, anatomy = first_with_findings("bacterial")
    hu = anatomy.paint(patient.hu_values())
    number = next(i for i, f in enumerate(patient.findings) if f.kind == "consolidation")
    layer = anatomy.layer(f"finding {number}")
    core = layer.membership > 0.8 * np.max(layer.membership)
    assert np.median(hu[layer.box][core]) > patient.lung_hu + 200
    normal = sample_thorax(np.random.default_rng(5), "normal", "clear")
    assert all(f.kind == "atelectasis" for f in normal.findings)
    assert normal.cuffing == 1.0


def test_body_does_not_know_the_diagnosis() -> None:
    bodies = [
        sample_thorax(np.random.default_rng(8), diagnosis, "clear")
        for diagnosis in ("normal", "bacterial", "viral")
    ]
    blank = {"diagnosis": "normal", "findings": (), "cuffing": 1.0, "interstitial": 0.0}
    assert len({replace(body, **blank) for body in bodies}) == 1  # type: ignore[arg-type]


def test_same_state_same_patient_and_unknown_words_are_refused() -> None:
    first, second = draw("viral", 2), draw("viral", 2)
    assert first[0] == second[0]
    np.testing.assert_array_equal(
        first[1].paint(first[0].mu_values()), second[1].paint(second[0].mu_values())
    )
    assert draw("viral", 3)[0] != first[0]
    with pytest.raises(ValueError, match="diagnosis"):
        sample_thorax(np.random.default_rng(0), "covid", "clear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="difficulty"):
        sample_thorax(np.random.default_rng(0), "viral", "easy")  # type: ignore[arg-type]
