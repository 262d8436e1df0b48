"""The recipe against hand calculation, nibabel, scipy, SimpleITK, TorchIO and MONAI."""

from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torchio as tio
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import ResizeWithPadOrCropd
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.spatial.dictionary import Orientationd, Spacingd
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from medkd_lib.data.intensity import unit_range
from medkd_lib.data.problems import DataError
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.volume import Volume

from .tiny import AFFINE, SHAPE, brain, lesion

RAW: Any = {"intensity": "as_stored", "dtype": "float32"}


def volumes(**arrays: NDArray[Any]) -> dict[str, Volume]:
    return {role: Volume(array, AFFINE) for role, array in arrays.items()}


def world(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """World point of every voxel, (3, I, J, K)."""
    index = np.indices(shape).reshape(3, -1)
    return (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)


def sampled(array: NDArray[Any], affine: NDArray[np.float64], points: NDArray[np.float64],
            order: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:  # fmt: skip
    """Value of an image at world points by scipy, and which points lie within its voxel centres."""
    inverse = np.linalg.inv(affine)
    index = inverse[:3, :3] @ points.reshape(3, -1) + inverse[:3, 3:]
    within = (index >= -1e-6) & (index <= np.array(array.shape)[:, None] - 1 + 1e-6)
    inside: Any = within.all(axis=0)
    values = map_coordinates(array.astype(float), index, order=order, mode="nearest")
    return values.reshape(points.shape[1:]), inside.reshape(points.shape[1:])


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SAL", "PIR"])
def test_orientation_agrees_with_nibabel(axcodes: str) -> None:
    out = Recipe(("t1",), "seg", axcodes=axcodes, **RAW).apply(
        volumes(t1=brain(1), seg=lesion(1)))  # fmt: skip
    image = nib.Nifti1Image(brain(1), AFFINE)
    ornt = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(axcodes))
    )
    wanted = image.as_reoriented(ornt)
    np.testing.assert_array_equal(out["image"][0], np.asarray(wanted.dataobj))
    np.testing.assert_allclose(out["affine"], wanted.affine)
    assert "".join(nib.aff2axcodes(out["affine"].numpy())) == axcodes


@pytest.mark.parametrize("spacing", [(1.3, 0.9, 1.1), (2.7, 2.9, 3.1)])
def test_resampling_agrees_with_scipy(spacing: tuple[float, float, float]) -> None:
    given = volumes(t1=brain(1).astype(np.float32), seg=lesion(1))
    out = Recipe(("t1",), "seg", "RAS", spacing_mm=spacing, **RAW).apply(given)
    affine = out["affine"].numpy()
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), spacing)
    points = world(affine, out["mask"].shape)
    wanted, inside = sampled(brain(1), AFFINE, points, order=1)
    assert inside.mean() > 0.4
    np.testing.assert_allclose(out["image"][0].numpy()[inside], wanted[inside], rtol=1e-4, atol=0.1)
    labels, _ = sampled(lesion(1), AFFINE, points, order=0)
    np.testing.assert_array_equal(out["mask"].numpy()[inside], labels[inside])
    # The new grid covers the old one to within a voxel.
    for axis, (n, old, new) in enumerate(zip(SHAPE, (1.0, 1.25, 2.0), spacing, strict=True)):
        assert abs((n - 1) * old - (out["mask"].shape[axis] - 1) * new) <= new


def test_masks_get_no_new_labels() -> None:
    mask = lesion(1)
    mask[mask == 1] = 3  # only 0, 2, 3: interpolation would invent a 1
    given = volumes(t1=brain(1), seg=mask)
    out = Recipe(("t1",), "seg", spacing_mm=(0.7, 0.7, 0.7)).apply(given)
    assert out["mask"].dtype == torch.uint8 and set(out["mask"].unique().tolist()) == {0, 2, 3}
    assert 1 in np.rint(sampled(mask, AFFINE, world(AFFINE, SHAPE) + 0.5, order=1)[0])


def test_the_zscore_is_that_of_the_tissue_of_the_whole_volume() -> None:
    given = volumes(t1=brain(1), t2=brain(2) * 7)
    out = Recipe(("t2", "t1"), dtype="float32", axcodes="LPS", shape=(4, 4, 4)).apply(given)
    for channel, array in ((0, brain(2) * 7), (1, brain(1))):
        tissue = array[array != 0].astype(float)
        wanted = np.where(array != 0, (array - tissue.mean()) / tissue.std(), 0)
        i, j, k = (slice(n // 2 - 2, n // 2 + 2) for n in SHAPE)
        np.testing.assert_allclose(out["image"][channel], wanted[i, j, k], atol=1e-6)


def test_zscore_and_percentiles_agree_with_torchio() -> None:
    array = brain(3).astype(np.float32)
    image = tio.ScalarImage(tensor=torch.from_numpy(array)[None], affine=AFFINE)
    inside = array != 0
    ours = Recipe(("t1",), dtype="float32", axcodes="LPS").apply(volumes(t1=array))
    theirs = tio.ZNormalization(masking_method=lambda x: x != 0)(image)
    # TorchIO divides by n − 1.
    np.testing.assert_allclose(
        ours["image"][0].numpy()[inside], theirs.numpy()[0][inside], rtol=5e-3, atol=1e-3
    )
    unit = Recipe(("t1",), dtype="float32", axcodes="LPS", intensity="unit").apply(
        volumes(t1=array))  # fmt: skip
    rescale = tio.RescaleIntensity((0, 1), (0.5, 99.5), masking_method=lambda x: x != 0)
    np.testing.assert_allclose(
        unit["image"][0].numpy()[inside], rescale(image).numpy()[0][inside], atol=1e-5
    )
    assert (unit["image"][0].numpy()[~inside] == 0).all()


def test_one_hot_voxel_does_not_set_the_scale() -> None:
    array = brain(4).astype(np.float32)
    hot = array.copy()
    hot[5, 4, 3] = 1e6
    plain, disturbed = (
        Recipe(("t1",), intensity="unit", axcodes="LPS").apply(volumes(t1=a))["image"]
        for a in (array, hot)
    )
    assert disturbed[0, 5, 4, 3] == 1
    disturbed[0, 5, 4, 3] = plain[0, 5, 4, 3]
    np.testing.assert_allclose(plain, disturbed, atol=0.05)


def test_unit_range_by_hand() -> None:
    image = torch.tensor([0.0, 10, 20, 30, 40, 50])
    # The quartiles of 10…50 are 20 and 40.
    wanted = [0, 0, 0, 0.5, 1, 1]
    np.testing.assert_allclose(unit_range(image, (25, 75)), wanted)
    with pytest.raises(ValueError, match="0 voxels that are not background"):
        unit_range(torch.zeros(5))


def test_a_window_counts_every_voxel() -> None:
    array = np.linspace(-5, 5, 720).reshape(SHAPE).astype(np.float32)
    out = Recipe(("t1",), intensity="window", window=(-4, 4), dtype="float32", axcodes="LPS")
    np.testing.assert_allclose(
        out.apply(volumes(t1=array))["image"][0], np.clip((array + 4) / 8, 0, 1), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(4, 5, 3), (5, 4, 7), (13, 12, 11), (4, 12, 8), (11, 3, 9)])
def test_crop_and_padding_keep_the_world(shape: tuple[int, int, int]) -> None:
    """A planted voxel has the same world point before and after, and nothing is invented."""
    array = np.zeros(SHAPE, np.float32)
    array[5, 4, 4] = 1000
    array[4, 4, 4] = 500
    out = Recipe(("t1",), "seg", shape=shape, **RAW).apply(
        volumes(t1=array, seg=(array > 0).astype(np.uint8)))  # fmt: skip
    assert out["image"].shape == (1, *shape) and out["mask"].shape == shape
    found = np.unravel_index(int(out["image"][0].argmax()), shape)
    np.testing.assert_allclose(
        out["affine"].numpy() @ [*found, 1], AFFINE @ [5, 4, 4, 1], atol=1e-9
    )
    assert sorted(out["image"].unique().tolist())[-2:] == [500, 1000]
    np.testing.assert_array_equal(out["mask"], out["image"][0] > 0)


@pytest.mark.parametrize(
    ("spacing", "shape"),
    [(None, (8, 7, 11)), (None, (7, 12, 5)), ((1.5, 1.0, 1.7), (9, 9, 9)), (None, None)],
)
def test_all_steps_agree_with_monai(spacing: Any, shape: Any) -> None:
    arrays: dict[str, NDArray[Any]] = {"t1": brain(1), "t2": brain(2), "seg": lesion(1)}
    roles, modes = list(arrays), ["bilinear", "bilinear", "nearest"]
    steps: list[Any] = [Orientationd(roles, axcodes="RAS", labels=None)]
    if spacing:
        steps.append(Spacingd(roles, spacing, mode=modes, padding_mode="zeros"))
    steps.append(NormalizeIntensityd(roles[:2], nonzero=True, channel_wise=True))
    if shape:
        steps.append(ResizeWithPadOrCropd(roles, shape))
    affine = torch.from_numpy(AFFINE)
    wanted = Compose(steps)(
        {r: MetaTensor(torch.from_numpy(a.astype(np.float32))[None], affine=affine)
         for r, a in arrays.items()})  # fmt: skip
    recipe = Recipe(("t1", "t2"), "seg", "RAS", spacing_mm=spacing, shape=shape, dtype="float32")
    out = recipe.apply(volumes(**arrays))
    for channel, role in enumerate(("t1", "t2")):
        np.testing.assert_allclose(out["image"][channel], wanted[role][0], atol=2e-5)
    np.testing.assert_array_equal(out["mask"], wanted["seg"][0])
    np.testing.assert_allclose(out["affine"], wanted["t1"].affine, atol=1e-9)


def three_grids() -> dict[str, Volume]:
    """CT, PET and MR of one leg: three voxel sizes, the MR smaller than the CT, one world.

    The values are linear in the world, so linear interpolation has to return them exactly.
    """
    grids = {
        "ct": ((20, 18, 10), np.diag([-1.0, -1.0, 3.0, 1])),
        "pet": ((7, 6, 12), np.diag([-4.0, -4.0, 3.0, 1])),
        "mr": ((12, 18, 7), np.diag([-1.2, -0.9, 4.0, 1])),
    }
    out = {}
    for role, (shape, affine) in grids.items():
        affine[:3, 3] = {"ct": (10, 9, -15), "pet": (13, 11, -18), "mr": (7.1, 8, -13)}[role]
        x, y, z = world(affine, shape)
        ramp = (200 + 3 * x - 5 * y + 2 * z).astype(np.float32)
        out[role] = Volume(ramp, affine, "HU" if role == "ct" else None)
    x, y, z = world(out["ct"].affine, out["ct"].shape)
    ball = ((x**2 + y**2 + z**2) < 36).astype(np.uint8) * 2
    out["seg"] = Volume(ball, out["ct"].affine, "label")
    return out


@pytest.mark.parametrize("reference", ["ct", "pet", "mr"])
def test_three_grids_become_one(reference: str) -> None:
    given = three_grids()
    out = Recipe(("ct", "pet", "mr"), "seg", axcodes="LPS", reference=reference, **RAW).apply(given)
    target = given[reference]
    np.testing.assert_allclose(out["affine"], target.affine)
    assert out["image"].shape[1:] == target.shape
    points = world(target.affine, target.shape)
    x, y, z = points
    for channel, role in enumerate(("ct", "pet", "mr")):
        image = out["image"][channel].numpy()
        _, inside = sampled(given[role].array, given[role].affine, points, order=1)
        assert inside.any()
        np.testing.assert_allclose(image[inside], (200 + 3 * x - 5 * y + 2 * z)[inside], atol=0.02)
        # A voxel or more beyond the edge nothing is known: air in CT, zero elsewhere.
        index = np.linalg.inv(given[role].affine) @ np.concatenate([points, np.ones_like(x)[None]],
                                                                   0).reshape(4, -1)  # fmt: skip
        size = np.array(given[role].shape)[:, None]
        beyond = ((index[:3] < -1) | (index[:3] > size)).any(axis=0).reshape(x.shape)
        assert beyond.any() or (reference, role) not in (("ct", "mr"), ("pet", "ct"))
        assert (image[beyond] == (-1024 if role == "ct" else 0)).all()
    assert set(out["mask"].unique().tolist()) <= {0, 2} and (out["mask"] == 2).any()


def test_resampling_onto_a_reference_agrees_with_simpleitk() -> None:
    given = three_grids()
    noise = np.random.default_rng(0).normal(size=given["pet"].shape).astype(np.float32) + 5
    given["pet"] = Volume(noise, given["pet"].affine)

    def itk(volume: Volume) -> sitk.Image:
        image = sitk.GetImageFromArray(volume.array.transpose(2, 1, 0))
        image.SetSpacing(volume.spacing_mm)
        image.SetOrigin((np.diag([-1, -1, 1]) @ volume.affine[:3, 3]).tolist())
        return image  # its axes are LPS like ours

    wanted = sitk.Resample(itk(given["pet"]), itk(given["ct"]), sitk.Transform(), sitk.sitkLinear,
                           float("nan"))  # fmt: skip
    oracle = sitk.GetArrayFromImage(wanted).transpose(2, 1, 0)
    out = Recipe(("ct", "pet"), axcodes="LPS", reference="ct", **RAW).apply(given)
    _, inside = sampled(noise, given["pet"].affine, world(given["ct"].affine, given["ct"].shape), 1)
    np.testing.assert_allclose(out["image"][1].numpy()[inside], oracle[inside], atol=1e-4)


def test_what_lies_beyond_the_view_counts_as_no_tissue() -> None:
    given = three_grids()
    plain = Recipe(("ct", "mr"), axcodes="LPS", reference="ct", **RAW).apply(given)["image"][1]
    scored = Recipe(("ct", "mr"), axcodes="LPS", reference="ct", dtype="float32").apply(given)
    tissue = plain[plain != 0]
    assert (scored["image"][1][plain == 0] == 0).all() and (plain == 0).any()
    np.testing.assert_allclose(
        scored["image"][1][plain != 0], (tissue - tissue.mean()) / tissue.std(correction=0),
        atol=1e-4,
    )  # fmt: skip


def test_each_channel_may_have_its_own_scale() -> None:
    given = three_grids()
    recipe = Recipe(
        ("ct", "pet", "mr"), axcodes="LPS", reference="ct", dtype="float32",
        intensity=((-160.0, 240.0), (0.0, 20.0), "zscore"),
    )  # fmt: skip
    out = recipe.apply(given)["image"]
    raw = Recipe(("ct", "pet", "mr"), axcodes="LPS", reference="ct", **RAW).apply(given)["image"]
    np.testing.assert_allclose(out[0], ((raw[0] + 160) / 400).clamp(0, 1), atol=1e-6)
    np.testing.assert_allclose(out[1], (raw[1] / 20).clamp(0, 1), atol=1e-6)
    assert out[2][raw[2] != 0].std(correction=0) == pytest.approx(1, abs=1e-5)


def test_air_surrounds_a_padded_ct_and_is_no_tissue() -> None:
    hu = brain(1).astype(np.int16) - 500
    hu[brain(1) == 0] = -1024
    hu[3, 3, 3] = 0
    ct = {"ct": Volume(hu, AFFINE, "HU")}
    padded = Recipe(("ct",), axcodes="LPS", shape=(12, 9, 8), **RAW).apply(ct)["image"][0]
    assert (padded[0] == -1024).all() and (padded[1:11] == torch.from_numpy(hu)).all()
    scored = Recipe(("ct",), axcodes="LPS", dtype="float32").apply(ct)["image"][0].numpy()
    tissue = hu[hu != -1024].astype(float)
    np.testing.assert_allclose(scored[hu != -1024], (tissue - tissue.mean()) / tissue.std(),
                               atol=1e-5)  # fmt: skip
    # Water is 0 HU and tissue.
    assert (hu == 0).any() and (scored[hu == 0] != 0).all()


def test_half_precision_keeps_a_thousandth_and_refuses_what_it_cannot_hold() -> None:
    given = volumes(t1=brain(1))
    half, full = (Recipe(("t1",), dtype=d).apply(given)["image"] for d in ("float16", "float32"))
    assert half.dtype == torch.float16
    np.testing.assert_allclose(half, full, atol=1e-3)
    huge = volumes(t1=brain(1).astype(np.float32) * 1000)
    with pytest.raises(DataError, match=r"t1: expected values up to 65504, .* found 9") as caught:
        Recipe(("t1",), intensity="as_stored").apply(huge)
    assert caught.value.problem.kind == "half_precision"
    assert Recipe(("t1",), **RAW).apply(huge)["image"].max() > 9e5


@pytest.mark.parametrize("intensity", ["zscore", "unit"])
@pytest.mark.parametrize("value", [0, 7])
def test_an_empty_channel_is_named(intensity: Any, value: int) -> None:
    given = volumes(t1=brain(1), t2=np.full(SHAPE, value, np.float32))
    with pytest.raises(DataError, match="t2: expected tissue with a range of values"):
        Recipe(("t1", "t2"), intensity=intensity).apply(given)


def test_labels_beyond_a_byte_do_not_wrap() -> None:
    seg = lesion(1).astype(np.uint16) * 100
    with pytest.raises(DataError, match="label ids up to 255, found 300"):
        Recipe(("t1",), "seg").apply(volumes(t1=brain(1), seg=seg))


def test_volumes_of_two_sizes_need_a_reference() -> None:
    given = three_grids()
    with pytest.raises(
        DataError, match=r"pet: expected the first channel's grid, 20×18×10 .* found 7×6×12"
    ):
        Recipe(("ct", "pet"), **RAW).apply(given)


def test_the_input_is_left_alone() -> None:
    given = volumes(t1=brain(1).astype(np.float32), seg=lesion(1))
    for recipe in (
        Recipe(("t1",), "seg"),
        Recipe(("t1",), "seg", axcodes="LPS", **RAW),
        Recipe(("t1",), "seg", spacing_mm=(1, 1, 1), intensity="unit"),
    ):
        out = recipe.apply(given)
        out["image"].add_(5), out["mask"].add_(5)
        np.testing.assert_array_equal(given["t1"].array, brain(1))
        np.testing.assert_array_equal(given["seg"].array, lesion(1))


def test_two_headers_may_describe_one_grid() -> None:
    seg = Volume(lesion(1), AFFINE).oriented("RAS")
    out = Recipe(("t1",), "seg", axcodes="LPS").apply({"t1": Volume(brain(1), AFFINE), "seg": seg})
    np.testing.assert_array_equal(out["mask"], lesion(1))
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.01
    moved = Volume(lesion(1), shifted)
    with pytest.raises(DataError, match="seg: expected the first channel's grid"):
        Recipe(("t1",), "seg").apply({"t1": Volume(brain(1), AFFINE), "seg": moved})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": ()}, "at least one"),
        ({"images": ("a", "a")}, "different roles"),
        ({"images": ("a",), "mask": "a"}, "different roles"),
        ({"images": ("a",), "intensity": "window"}, "exactly with intensity 'window'"),
        ({"images": ("a",), "window": (0, 1)}, "exactly with intensity 'window'"),
        ({"images": ("a",), "intensity": "window", "window": (1, 1)}, "low < high"),
        ({"images": ("a", "b"), "intensity": ("unit",)}, "one for each"),
        ({"images": ("a",), "intensity": ("window",)}, "one for each"),
        ({"images": ("a",), "reference": "b"}, "one of the images"),
    ],
)
def test_recipes_that_contradict_themselves(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**fields)
