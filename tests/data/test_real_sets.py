"""The real sets, where they are at hand: each loads, and each known trap is met or reported."""

from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from medkd_lib.data.check import check
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.masks import read_mask
from medkd_lib.data.problems import Problem
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volumes import Volumes

pytestmark = pytest.mark.real_data

# Set, folder, number of cases, and what `check` says about it: kind and severity, how often.
SETS = {
    "sts_petctmr": ("sts_petctmr", 21, {("masks_apart", "warning"): 2}),
    "msd_hippocampus": ("msd_hippocampus", 60, {("identity_affine", "warning"): 12}),
    "openms_4ch": ("openms_4ch", 1, {}),
    "glioma_4ch": ("glioma_4ch", 1, {}),
    "brats2013_2ch": ("brats2013_2ch", 1, {}),
    "upenn_gbm": ("upenn_gbm", 1, {}),
    "totalseg_ct": ("totalseg_ct", 3, {("below_air", "warning"): 2}),
    "bccd_detection": ("bccd_detection", 364, {("degenerate_box", "warning"): 2}),
    "cxr3": ("cxr3", 1080, {("duplicate_case", "warning"): 1}),
    "breastmnist": ("medmnist", 780, {}),
    "retinamnist": ("medmnist", 1600, {}),
}


def opened(real_data: Path, dataset: str) -> Index:
    return index(load_manifest(dataset), real_data / SETS[dataset][0])


def prepared(real_data: Path, dataset: str, recipe: Recipe, tmp_path: Path) -> Volumes:
    found = opened(real_data, dataset)
    return Volumes(found.manifest, found.cases, recipe, TensorStore(tmp_path, durable=False))


def problems(real_data: Path, dataset: str) -> list[Problem]:
    return check(load_manifest(dataset), real_data / SETS[dataset][0])


@pytest.mark.parametrize("dataset", SETS)
def test_every_set_loads_and_check_tells_what_is_known(real_data: Path, dataset: str) -> None:
    _, number, told = SETS[dataset]
    assert len(opened(real_data, dataset).cases) == number
    assert Counter((p.kind, p.severity) for p in problems(real_data, dataset)) == told


def test_the_patient_who_moved_between_ct_and_pet_is_named(real_data: Path) -> None:
    told = problems(real_data, "sts_petctmr")
    assert {p.where for p in told} == {"case STS_019"}
    (pet,) = [p for p in told if "pet_mask" in p.expected]
    assert "7.2 mm" in pet.found


def test_three_grids_meet_and_beyond_the_mr_nothing_is_invented(
    real_data: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        ("ct", "pet", "mr"), "ct_mask", axcodes="LPS", reference="ct", dtype="float32",
        intensity=((-160.0, 240.0), (0.0, 20.0), "zscore"),
    )  # fmt: skip
    volumes = prepared(real_data, "sts_petctmr", recipe, tmp_path)
    row = [c.id for c in volumes.cases].index("STS_003")
    found, original = volumes[row], read_case(volumes.cases[row], volumes.manifest)
    assert found.image.shape[1:] == original["ct"].shape
    np.testing.assert_allclose(found.affine, original["ct"].oriented("LPS").affine)
    # World points of the CT that lie a voxel or more beyond the MR.
    shape, mr = found.image.shape[1:], original["mr"]
    points = np.concatenate([np.indices(shape).reshape(3, -1), np.ones((1, np.prod(shape)))])
    at = (np.linalg.inv(mr.affine) @ found.affine.numpy() @ points)[:3]
    beyond = ((at < -1) | (at > np.array(mr.shape)[:, None])).any(axis=0).reshape(shape)
    within = ((at >= 0) & (at <= np.array(mr.shape)[:, None] - 1)).all(axis=0).reshape(shape)
    channel = found.image[2].numpy()
    assert beyond.mean() > 0.01 and (channel[beyond] == 0).all()
    assert (channel[within] != 0).mean() > 0.99
    assert found.mask is not None
    # The tumour shines in PET.
    assert found.image[1][found.mask > 0].mean() > 2 * found.image[1][found.mask == 0].mean()


def test_maxima_four_orders_apart_become_one_scale(real_data: Path, tmp_path: Path) -> None:
    found = opened(real_data, "msd_hippocampus")
    role = next(iter(found.cases[0].images))
    highest = [float(read_case(c, found.manifest, [role])[role].array.max()) for c in found.cases]
    assert max(highest) / min(highest) > 1000
    volumes = prepared(real_data, "msd_hippocampus", Recipe((role,)), tmp_path)
    for number in (int(np.argmax(highest)), int(np.argmin(highest))):
        image = volumes[number].image.float()
        assert torch.isfinite(image).all()
        tissue = image[image != 0]
        assert abs(float(tissue.mean())) < 0.01 and float(tissue.std()) == pytest.approx(
            1, abs=0.01
        )


def test_a_brain_mask_of_almost_one_is_rounded_and_said(real_data: Path) -> None:
    path = next((real_data / "brats2013_2ch").rglob("brainmask.nii.gz"))
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image) and 0 < 1 - float(np.max(image.get_fdata())) < 1e-6
    mask = read_mask(path, values={0, 1})
    assert set(np.unique(mask.array)) == {0, 1} and mask.array.dtype == np.uint8


def test_the_old_enhancing_label_becomes_the_new_one(real_data: Path, tmp_path: Path) -> None:
    found = opened(real_data, "glioma_4ch")
    case = found.cases[0]
    stored = np.asarray(nib.load(case.annotations["seg"]).dataobj)  # type: ignore[attr-defined]
    mask = read_case(case, found.manifest)["seg"].array
    assert 4 in stored and 4 not in mask
    np.testing.assert_array_equal(mask == 3, stored == 4)


def test_absent_sequences_are_absent_and_nothing_is_made_up(
    real_data: Path, tmp_path: Path
) -> None:
    found = opened(real_data, "upenn_gbm")
    assert sorted(found.cases[0].images) == ["t2"]
    with pytest.raises(ValueError, match="expected the roles"):
        _ = prepared(real_data, "upenn_gbm", Recipe(("t2", "flair"), "seg"), tmp_path)[0]
    assert prepared(real_data, "upenn_gbm", Recipe(("t2",), "seg"), tmp_path)[0].mask is not None


def test_four_sequences_of_one_head_become_channels(real_data: Path, tmp_path: Path) -> None:
    roles = ("flair", "t1", "t1c", "t2")
    recipe = Recipe(roles, "lesion", shape=(160, 192, 160), intensity="unit")
    found = prepared(real_data, "openms_4ch", recipe, tmp_path)[0]
    assert found.image.shape == (4, 160, 192, 160) and found.mask is not None
    assert "".join(nib.aff2axcodes(found.affine.numpy())) == "LPS"
    flair = found.image[0]
    assert flair[found.mask > 0].float().mean() > flair[flair > 0].float().mean()


def test_a_label_map_stored_the_other_way_round_fits_its_series(
    real_data: Path, tmp_path: Path
) -> None:
    """The series reads LPS, its mask is stored LAS: only the world brings the two together."""
    found = opened(real_data, "totalseg_ct")
    case = next(c for c in found.cases if c.id == "dicom")
    raw = read_case(case, found.manifest)
    assert raw["ct"].axcodes != raw["seg"].axcodes
    recipe = Recipe(("ct",), "seg", axcodes="LPS", intensity="as_stored", dtype="float32")
    volumes = Volumes(found.manifest, [case], recipe, TensorStore(tmp_path, durable=False))
    oriented = volumes[0]
    assert oriented.mask is not None

    liver, spleen, first_rib, last_rib = 5, 1, 92, 115

    def anatomy(mask: torch.Tensor) -> tuple[float, float]:
        """Spread of HU within liver and spleen, which are even, and mean of the ribs."""
        hu = oriented.image[0]
        even = max(float(hu[mask == organ].std()) for organ in (liver, spleen))
        return even, float(hu[(mask >= first_rib) & (mask <= last_rib)].mean())

    even, ribs = anatomy(oriented.mask)
    assert even < 30 and ribs > 150
    mirrored_even, mirrored_ribs = anatomy(oriented.mask.flip(1))
    assert mirrored_even > 100 and mirrored_ribs < 100


def test_zero_area_boxes_are_named(real_data: Path) -> None:
    told = problems(real_data, "bccd_detection")
    assert sorted(Path(p.where).stem for p in told) == ["BloodImage_00338", "BloodImage_00343"]


def test_the_film_that_stands_twice_is_named(real_data: Path) -> None:
    (told,) = problems(real_data, "cxr3")
    assert told.where == "case NORMAL2-IM-0173-0001-0002"
    assert "NORMAL2-IM-0173-0001-0001" in told.found
