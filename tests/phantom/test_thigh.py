"""The thigh is one object on every grid, its tissues where they belong, its tumour as asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medkd_lib.phantom.thigh import (
    ThighPatient,
    sample_thigh,
    tumour_membership,
    voxelise_thigh,
)
from medkd_lib.phantom.thigh_bone import femur_depth
from medkd_lib.phantom.thigh_grid import PlacedGrid, grid_over
from medkd_lib.phantom.thigh_noise import limb_noise
from medkd_lib.phantom.thigh_waves import draw_waves, wave_field

TISSUES = (
    *("air", "skin", "adipose", "muscle", "blood", "sarcoma", "sarcoma_myxoid"),
    *("sarcoma_necrosis", "cortical_bone", "marrow"),
)


def patient_number(index: int, difficulty: str = "subtle") -> ThighPatient:
    return sample_thigh(np.random.default_rng([5, index]), difficulty)  # type: ignore[arg-type]


def slab(patient: ThighPatient, pixel: float = 2.0, slices: int = 3) -> PlacedGrid:
    """Both legs in a few slices through the tumour's centre."""
    z = patient.tumour.centre_mm[2]
    half = (slices - 1) / 2 * 5.0
    return grid_over(
        (-260.0, -150.0, z - half), (260.0, 150.0, z + half), (pixel, pixel, 5.0), (0, 0, z)
    )


def around_tumour(patient: ThighPatient, spacing: tuple[float, float, float]) -> PlacedGrid:
    reach = patient.tumour.shape.reach_mm + 8.0
    centre = np.array(patient.tumour.centre_mm)
    return grid_over(tuple(centre - reach), tuple(centre + reach), spacing, (0.3, 1.1, 0.7))


def test_placed_grid_knows_its_place() -> None:
    grid = PlacedGrid((4, 5, 6), (1.0, 2.0, 3.0), (10.0, -20.0, 30.0))
    np.testing.assert_allclose(grid.affine @ [0, 0, 0, 1], [-10.0, 20.0, 30.0, 1.0])
    np.testing.assert_allclose(grid.affine @ [1, 1, 1, 1], [-11.0, 18.0, 33.0, 1.0])
    part = grid.crop((slice(1, 3), slice(0, 2), slice(4, 6)))
    assert part.first_mm == (11.0, -20.0, 42.0)
    np.testing.assert_allclose(part.coordinates()[2].ravel(), grid.coordinates()[2].ravel()[4:])
    assert grid.box((11.5, -17.0, 0.0), (12.5, -15.0, 33.0)) == (
        slice(1, 4), slice(1, 4), slice(0, 2),
    )  # fmt: skip
    laid = grid_over((-1.0, 0.2, 5.0), (3.2, 4.0, 9.0), (2.0, 2.0, 2.0), (0.5, 0.0, 1.0))
    assert laid.first_mm == (-1.5, 0.0, 5.0)
    assert np.all(laid.last_mm >= [3.2, 4.0, 9.0])


def test_waves_are_the_same_field_on_any_grid() -> None:
    waves = draw_waves(np.random.default_rng(0), (20.0, 20.0, 40.0), 12)
    fine = PlacedGrid((60, 50, 40), (2.0, 2.0, 3.0), (-7.0, 3.0, 11.0))
    coarse = fine.crop((slice(10, 30), slice(5, 9), slice(0, 40)))
    field = wave_field(fine.coordinates(), waves)
    part = wave_field(coarse.coordinates(), waves)
    np.testing.assert_allclose(part, field[10:30, 5:9], atol=1e-4)
    # one voxel by the definition: sqrt(2/M) Σ cos(k·p + φ)
    p = np.array(fine.first_mm) + np.array([3, 4, 5]) * np.array(fine.spacing_mm)
    value = np.sqrt(2 / 12) * np.cos(p @ waves[:3] + waves[3]).sum()
    assert field[3, 4, 5] == pytest.approx(value, abs=1e-4)


def test_every_voxel_is_shared_out_among_the_tissues() -> None:
    patient = patient_number(1)
    anatomy = voxelise_thigh(patient, slab(patient))
    shares = {name: anatomy.fraction(name) for name in TISSUES}
    np.testing.assert_allclose(sum(shares.values()), 1.0, atol=1e-5)
    for name, share in shares.items():
        assert np.min(share) > -1e-5, name
    volume = {name: float(share.sum()) for name, share in shares.items()}
    # two legs: muscle is most of them, then fat; a few per cent are bone and skin
    body = sum(volume.values()) - volume["air"]
    assert 0.45 < volume["muscle"] / body < 0.9
    assert 0.08 < volume["adipose"] / body < 0.5
    assert 0.01 < volume["cortical_bone"] / body < 0.08
    assert 0.005 < volume["skin"] / body < 0.06


def test_the_leg_is_wrapped_in_skin_and_fat_and_holds_a_femur() -> None:
    patient = replace(patient_number(3), half_distance_mm=120.0, rotation_deg=0.0)
    patient = replace(patient, tumour=replace(patient.tumour, visible=False))
    grid = slab(patient, 1.0, 1)
    anatomy = voxelise_thigh(patient, grid)
    names = ("air", "skin", "adipose", "muscle", "cortical_bone", "marrow")
    label = anatomy.labels(names)[:, :, 0]
    for leg in (label[: grid.shape[0] // 2], label[grid.shape[0] // 2 + 1 :]):
        _, holes = ndimage.label(leg == names.index("marrow"))
        assert holes == 1
        # marrow → bone → the rest → skin → air, going outwards along +y from the canal's middle
        i, j = np.round(ndimage.center_of_mass(leg == names.index("marrow"))).astype(int)
        seen = [name for name, _ in Counter(names[v] for v in leg[i, j:]).items()]
        assert seen[:2] == ["marrow", "cortical_bone"]
        assert seen[-1] == "air"
        assert {"muscle", "adipose"} <= set(seen)
    # mirror images but for the wandering of walls, millimetres of outline
    left, right = (label > 0)[: grid.shape[0] // 2], (label > 0)[grid.shape[0] // 2 + 1 :][::-1]
    rows = min(len(left), len(right))
    both = (left[-rows:] & right[-rows:]).sum()
    assert 2 * both / (left.sum() + right.sum()) > 0.95


def test_the_tumour_is_the_same_object_on_three_grids() -> None:
    for index in range(4):
        patient = patient_number(index)
        volumes, centres = [], []
        for spacing in ((1.0, 1.0, 3.27), (1.95, 1.95, 3.27), (4.7, 4.7, 3.27)):
            grid = around_tumour(patient, spacing)
            box, member = tumour_membership(patient, grid)
            volumes.append(float(member.sum()) * grid.voxel_ml)
            place = np.argwhere(member >= 0.5).mean(axis=0) + [b.start for b in box]
            centres.append(np.array(grid.first_mm) + place * np.array(spacing))
        assert volumes[1] == pytest.approx(volumes[0], rel=0.02)
        assert volumes[2] == pytest.approx(volumes[0], rel=0.04)
        assert np.abs(centres[1] - centres[0]).max() < 0.5
        assert np.abs(centres[2] - centres[0]).max() < 1.5


def test_the_tumour_has_its_volume_and_spares_bone_and_skin() -> None:
    ratios = []
    for index in range(8):
        patient = patient_number(index)
        grid = around_tumour(patient, (2.0, 2.0, 3.27))
        anatomy = voxelise_thigh(patient, grid)
        inside = anatomy.mask > 0
        ratios.append(float(anatomy.tumour.sum()) * grid.voxel_ml / patient.tumour.volume_ml)
        assert np.max(femur_depth(patient, grid)[inside]) < 0.5
        air_or_bone = anatomy.fraction("air", "cortical_bone", "marrow", "skin")
        assert np.max(air_or_bone[inside]) < 0.75
        assert air_or_bone[inside].mean() < 0.03
        tumour = anatomy.fraction("sarcoma", "sarcoma_myxoid", "sarcoma_necrosis", "adipose")
        assert tumour[inside].mean() > 0.93
    # bone or skin may cut a big one, nothing makes one bigger
    assert np.median(ratios) == pytest.approx(1.0, abs=0.03)
    assert 0.6 < min(ratios) <= max(ratios) < 1.05


def test_necrosis_and_fat_take_the_share_asked_for() -> None:
    seen = set()
    for index in range(40):
        patient = patient_number(index)
        shape = patient.tumour.shape
        if patient.tumour.volume_ml > 300.0 or patient.tumour.variant in seen:
            continue
        anatomy = voxelise_thigh(patient, around_tumour(patient, (2.0, 2.0, 3.27)))
        total = float(anatomy.tumour.sum())
        dead = float(anatomy.fraction("sarcoma_necrosis").sum()) / total
        assert dead == pytest.approx(shape.necrotic_share, abs=0.05)
        inside = anatomy.tumour > 0.99
        if patient.tumour.variant == "lipomatous":
            fat = float(anatomy.fraction("adipose")[inside].mean())
            assert fat == pytest.approx(shape.fat_share, abs=0.1)
        hungry = anatomy.hunger[inside]
        assert np.min(hungry) >= 0.2
        assert np.max(hungry) <= 1.0
        assert hungry.std() > 0.05
        seen.add(patient.tumour.variant)
    assert seen == {"solid", "necrotic", "myxoid", "lipomatous"}


def test_an_invisible_tumour_leaves_the_anatomy_as_it_was() -> None:
    patient = patient_number(2, "none")
    grid = around_tumour(patient, (3.0, 3.0, 5.0))
    anatomy = voxelise_thigh(patient, grid)
    assert anatomy.mask.sum() > 100  # the mask marks the place
    assert np.max(anatomy.fraction("sarcoma", "sarcoma_myxoid", "sarcoma_necrosis")) == 0.0
    assert np.all(anatomy.hunger == 1.0)
    # elsewhere in the body, or of another size, the tumour would change no voxel
    far = replace(patient.tumour, centre_mm=(0.0, 0.0, 0.0), volume_ml=1.0)
    moved = voxelise_thigh(replace(patient, tumour=far), grid)
    values = patient.hu_values()
    np.testing.assert_array_equal(moved.paint(values), anatomy.paint(values))
    # the visible one of the same patient pushes tissue aside beyond its own border
    seen = voxelise_thigh(patient_number(2), grid)
    outside = seen.tumour == 0.0
    assert np.abs(seen.paint(values) - anatomy.paint(values))[outside].max() > 50.0


def test_difficulty_changes_contrast_and_nothing_else() -> None:
    clear, subtle, none = (patient_number(6, d) for d in ("clear", "subtle", "none"))
    assert clear.tumour.contrast_hu == pytest.approx(2.2 * subtle.tumour.contrast_hu)
    assert (clear.tumour.visible, subtle.tumour.visible, none.tumour.visible) == (True, True, False)
    for other in (clear, none):
        assert other.tumour.centre_mm == subtle.tumour.centre_mm
        assert other.tumour.uptake == subtle.tumour.uptake
        assert other.hu == subtle.hu


def test_the_population_is_the_one_described() -> None:
    tumours = [patient_number(index).tumour for index in range(300)]
    logs = np.log([t.volume_ml for t in tumours])
    assert logs.mean() == pytest.approx(4.85, abs=0.25)
    assert logs.std() == pytest.approx(0.9, abs=0.15)  # 1.02 before the bounds cut the tails
    assert np.exp(logs.min()) >= 15.0
    assert np.exp(logs.max()) <= 680.0
    grades = Counter[str](t.grade for t in tumours)
    for grade, share in (("high", 0.585), ("intermediate", 0.309), ("low", 0.106)):
        # four standard errors
        assert grades[grade] / 300 == pytest.approx(
            share, abs=4 * np.sqrt(share * (1 - share) / 300)
        )
    medians = [np.median([t.uptake for t in tumours if t.grade == g]) for g in grades]
    uptake = dict(zip(grades, medians, strict=True))
    assert uptake["high"] > uptake["intermediate"] > uptake["low"]
    assert not any(t.variant == "necrotic" for t in tumours if t.grade == "low")
    shallow = np.mean([not t.deep for t in tumours])
    assert 0.02 < shallow < 0.2


def test_noise_lies_in_streaks_and_has_its_level() -> None:
    rng = np.random.default_rng(0)
    fine = limb_noise((160, 160, 6), (0.9765625, 0.9765625, 3.27), 25.0, rng)
    assert fine.std() == pytest.approx(25.0, rel=0.05)
    assert abs(fine.mean()) < 0.5
    along = np.diff(fine, axis=0).std() / np.sqrt(2.0)
    across = np.diff(fine, axis=1).std() / np.sqrt(2.0)
    assert along < 0.75 * across
    coarse = limb_noise((80, 80, 6), (1.953125, 1.953125, 3.27), 25.0, rng)
    # a voxel of four averages; FBP noise is mostly high frequency, so more than half is lost
    assert coarse.std() < 0.65 * 25.0
    assert np.abs(np.corrcoef(fine[..., 0].ravel(), fine[..., 1].ravel())[0, 1]) < 0.05
