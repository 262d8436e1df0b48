"""The abdomen: one object on every grid, organs where and as large as they are, honest physics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd_lib.phantom.abdomen import ORGANS, AbdomenAnatomy, sample_abdomen, voxelise_abdomen
from medkd_lib.phantom.abdomen_contrast import contrast_to_noise
from medkd_lib.phantom.abdomen_dual import echo_signal, scan_dual
from medkd_lib.phantom.abdomen_frame import smooth_min, soft_edge
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.abdomen_scan import (
    IN_PHASE_MS,
    OUT_PHASE_MS,
    STRENGTH,
    T1_DUAL,
    T2_SPIR,
    Strength,
    scan_pair,
)
from medkd_lib.phantom.abdomen_tissue import (
    CONTRASTED,
    abdomen_mr,
    portal_hu,
    shrink_contrast,
)
from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer
from medkd_lib.phantom.mr import signal
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.tissue_mr import TissueMR

COARSE = PlacedGrid((96, 76, 28), (4.0, 4.0, 10.0), (-190.0, -140.0, -140.0))
SILENT = Strength(1.0, 1.0, 0.0, 0.0)


def patient_number(index: int, **changes: object) -> AbdomenPatient:
    return replace(sample_abdomen(np.random.default_rng([9, index])), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def anatomies() -> list[AbdomenAnatomy]:
    return [voxelise_abdomen(patient_number(i), COARSE) for i in range(6)]


def millilitres(anatomy: AbdomenAnatomy) -> list[float]:
    counts = np.bincount(anatomy.organs.ravel(), minlength=5)
    return [float(n) * anatomy.grid.voxel_ml for n in counts[1:]]


def centre(anatomy: AbdomenAnatomy, label: int) -> np.ndarray:
    places = np.argwhere(anatomy.organs == label)
    first = np.array([axis.ravel()[0] for axis in anatomy.grid.coordinates()])
    return np.asarray(first + places.mean(axis=0) * anatomy.grid.spacing_mm)


def test_organs_have_the_volumes_of_the_dossier(anatomies: list[AbdomenAnatomy]) -> None:
    volumes = np.array([millilitres(a) for a in anatomies])
    liver, spleen, kidneys = volumes[:, 0], volumes[:, 3], volumes[:, 1] + volumes[:, 2]
    # §5: liver 825–1700, spleen 81–322, both kidneys 249–612 mL; livers stray 75 mL (SD)
    assert liver.min() > 780.0 and liver.max() < 1850.0
    assert spleen.min() > 75.0 and spleen.max() < 330.0
    assert kidneys.min() > 230.0 and kidneys.max() < 620.0
    assert 1100.0 < np.mean(liver) < 1500.0 and np.std(liver) > 60.0


def test_air_around_the_body_is_air_on_coarse_voxels_too(anatomies: list[AbdomenAnatomy]) -> None:
    for anatomy in anatomies:
        air = anatomy.fraction("air")
        assert float(min(air[:3, :3].min(), air[-3:, :3].min())) == 1.0


def test_organs_lie_where_they_lie(anatomies: list[AbdomenAnatomy]) -> None:
    for anatomy in anatomies:
        liver, right, left, spleen = (centre(anatomy, n) for n in range(1, 5))
        assert len(ORGANS) == 4
        # x grows to the patient's left, y to the back, z to the head
        assert liver[0] < -20.0 and spleen[0] > 50.0
        assert right[0] < -40.0 and left[0] > 40.0
        assert liver[2] > right[2] and spleen[2] > left[2]
        assert min(right[1], left[1]) > liver[1] and spleen[1] > 0.0
        marks = anatomy.landmarks
        assert marks.confluence[2] > marks.portal_split[2] > marks.gallbladder[2]
        assert marks.right_vein[0] < marks.middle_vein[0] < marks.left_vein[0]


def test_each_organ_is_one_piece_of_its_tissue(anatomies: list[AbdomenAnatomy]) -> None:
    anatomy = anatomies[0]
    everything = {layer.tissue for layer in anatomy.layers} | {"air"}
    total = np.sum([anatomy.fraction(t) for t in everything], axis=0)
    np.testing.assert_allclose(total, 1.0, atol=1e-4)
    assert anatomy.fraction("liver", "liver_vein")[anatomy.organs == 1].min() >= 0.5
    assert anatomy.fraction("spleen")[anatomy.organs == 4].min() >= 0.5
    kidneys = anatomy.fraction("kidney_cortex", "kidney_medulla")
    assert kidneys[np.isin(anatomy.organs, (2, 3))].min() >= 0.5
    assert kidneys[~np.isin(anatomy.organs, (2, 3))].max() < 0.5


def test_a_person_is_the_same_on_another_grid(anatomies: list[AbdomenAnatomy]) -> None:
    fine = PlacedGrid((128, 101, 40), (3.0, 3.0, 7.0), (-190.5, -140.5, -140.0))
    again = millilitres(voxelise_abdomen(patient_number(0), fine))
    for first, second in zip(millilitres(anatomies[0]), again, strict=True):
        assert second == pytest.approx(first, rel=0.09)


def test_soft_edges_are_as_wide_as_voxels_in_their_direction() -> None:
    z = np.arange(-20.0, 20.0, 8.0, dtype=np.float32)[None, None, :]
    flat = np.broadcast_to(z + 2.0, (4, 4, 5)).copy()  # surface at z = −2, slices of 8 mm
    # the slice at −4 reaches from −8 to 0: a quarter of it lies above −2
    np.testing.assert_allclose(soft_edge(flat)[0, 0], [0.0, 0.0, 0.25, 1.0, 1.0], atol=1e-6)
    one, three, nine = (np.array([v], np.float32) for v in (1.0, 3.0, 9.0))
    assert smooth_min(three, three, 4.0)[0] == pytest.approx(2.0)
    assert smooth_min(one, nine, 4.0)[0] == pytest.approx(1.0)


def test_water_and_fat_cancel_when_opposed_and_add_in_phase() -> None:
    tissues = {
        "air": TissueMR(0.0, 1.0, 1.0, 0.0, "-"),
        "water": TissueMR(1.0, 800.0, 50.0, 1.0, "-"),
        "liver": TissueMR(1.0, 800.0, 50.0, 1.0, "-"),
        "fat": TissueMR(1.0, 300.0, 50.0, 1.0, "-", fat=1.0),
    }
    settings = replace(T1_DUAL, noise=0.0, bias=0.0)
    water, fat = (echo_signal(tissues[n], settings, OUT_PHASE_MS) for n in ("water", "fat"))
    share = np.linspace(0.0, 1.0, 11, dtype=np.float32).reshape(11, 1, 1)
    grid = Grid((11, 1, 1), (2.0, 2.0, 8.0))
    anatomy = Anatomy(
        grid,
        (
            Layer("w", "water", grid.everything, np.ones((11, 1, 1), np.float32)),
            Layer("f", "fat", grid.everything, share),
        ),
    )
    rng = np.random.default_rng(0)
    first, second = scan_dual(
        anatomy, tissues, settings, (IN_PHASE_MS, OUT_PHASE_MS), rng, gain=1.0
    )
    scale = water / second[0, 0, 0]
    # |W − F| at half a turn; the phase is 0.506 turns, hence the tolerance
    expected = np.abs((1.0 - share) * water - share * fat) / scale
    np.testing.assert_allclose(second, expected, atol=0.02 * second.max())
    assert second.min() < 0.05 * first.min() and np.all(np.diff(first[:, 0, 0]) > 0.0)
    with pytest.raises(KeyError, match="water"):
        scan_dual(anatomy, {"air": tissues["air"]}, settings, (4.6, 2.3), rng)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_fatty_liver_darkens_when_opposed_and_on_ct(share: float) -> None:
    patient = patient_number(0, liver_fat=share)
    liver = abdomen_mr(patient)["liver"]
    drop = echo_signal(liver, T1_DUAL, OUT_PHASE_MS) / echo_signal(liver, T1_DUAL, IN_PHASE_MS)
    assert drop == pytest.approx(1.07, abs=0.04) if share == 0.0 else drop < 0.65
    lean = portal_hu(replace(patient, liver_fat=0.0))["liver"]
    fat = portal_hu(patient)["adipose"]
    assert portal_hu(patient)["liver"] == pytest.approx((1.0 - share) * lean + share * fat)


def test_signals_have_the_order_of_the_clinic() -> None:
    tissues = abdomen_mr(patient_number(0, liver_fat=0.02))
    t1 = {n: echo_signal(t, T1_DUAL, IN_PHASE_MS) for n, t in tissues.items()}
    assert t1["adipose"] > t1["liver"] > t1["kidney_cortex"] > t1["spleen"] > t1["kidney_medulla"]
    assert t1["kidney_medulla"] > t1["bile"]
    t2 = {n: signal(t, T2_SPIR) for n, t in tissues.items()}
    assert t2["bile"] > t2["kidney_cortex"] > t2["spleen"] > t2["liver"] > t2["muscle"]
    assert t2["muscle"] > t2["adipose"], "SPIR takes the fat away"


def test_shrinking_keeps_order_and_ends_in_one_tissue() -> None:
    tissues = abdomen_mr(patient_number(0))
    assert shrink_contrast(tissues, 1.0)["spleen"].t2_ms == pytest.approx(79.0)
    one = {round(shrink_contrast(tissues, 0.0)[n].t1_ms, 6) for n in CONTRASTED}
    assert len(one) == 1
    half = shrink_contrast(tissues, 0.5)
    ratio = half["spleen"].t2_ms / half["liver"].t2_ms
    assert ratio == pytest.approx((79.0 / 46.0) ** 0.5)
    assert half["adipose"] == tissues["adipose"]
    with pytest.raises(ValueError, match="spread"):
        shrink_contrast(tissues, -0.1)


def test_difficulties_mean_what_they_say() -> None:
    tissues = abdomen_mr(patient_number(0, liver_fat=0.03))
    cnr = {name: contrast_to_noise(tissues, s) for name, s in STRENGTH.items()}
    advantage = {name: c["t1"][0] / c["t2"][0] for name, c in cnr.items()}
    assert advantage["clear"] > 3.5 and 1.6 < advantage["subtle"] < 2.4
    # no border is better on T1 than on T2, neither among organs nor against fat
    assert all(t1 <= t2 for t1, t2 in zip(cnr["none"]["t1"], cnr["none"]["t2"], strict=True))
    assert cnr["none"]["t2"] == cnr["subtle"]["t2"], "the student's images are the same"
    assert cnr["subtle"]["t1"] == (pytest.approx(3.68, abs=0.01), pytest.approx(30.0, abs=0.1))


def test_one_patient_before_all_scanners() -> None:
    patient = patient_number(3, liver_fat=0.02)
    pair = scan_pair(
        patient, COARSE, np.random.default_rng(1), sigma_hu=0.0,
        strength=SILENT,
    )  # fmt: skip
    for image in (pair.t1_in, pair.t1_out, pair.t2, pair.ct):
        assert image.shape == pair.organs.shape and image.dtype == np.float32
        assert np.isfinite(image).all()
    pure = pair.anatomy.fraction("liver") > 0.99
    values = portal_hu(patient)
    assert float(pair.ct[pure].mean()) == pytest.approx(values["liver"], abs=1.0)
    cortex = pair.anatomy.fraction("kidney_cortex") > 0.99
    assert float(pair.ct[cortex].mean()) == pytest.approx(values["kidney_cortex"], abs=3.0)
    spleen = pair.organs == 4
    # T2 after fat suppression: spleen bright beside the liver; T1: the other way round
    assert float(np.median(pair.t2[spleen])) > 1.3 * float(np.median(pair.t2[pure]))
    assert float(np.median(pair.t1_in[spleen])) < 0.9 * float(np.median(pair.t1_in[pure]))
    again = scan_pair(patient, COARSE, np.random.default_rng(1), sigma_hu=0.0, strength=SILENT)
    np.testing.assert_array_equal(pair.t2, again.t2)
