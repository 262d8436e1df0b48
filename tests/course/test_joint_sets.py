"""What is read of every set: the right image, the right foreground, all of it, upright alike."""

from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medkd_lib.course.experiments.joint_sections import IMAGE, joint_sections
from medkd_lib.course.experiments.joint_sets import AIR, JOINT_SETS, joint_set
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.volumes import Volumes
from medkd_lib.evaluate.stack import volumes
from medkd_lib.phantom.brainmet import GRIDS, write_brainmet
from medkd_lib.phantom.brats import write_brats
from medkd_lib.phantom.hcc_tace import write_hcc_tace
from medkd_lib.phantom.isles import write_isles
from medkd_lib.phantom.kits import write_kits
from medkd_lib.phantom.msd_liver import write_msd_liver
from medkd_lib.phantom.msd_lung import write_msd_lung
from medkd_lib.phantom.nsclc import write_nsclc
from medkd_lib.phantom.sts import write_sts

MAKERS: Mapping[str, tuple[Callable[..., Path], dict[str, object]]] = {
    "isles2022": (write_isles, {"patients": 1}),
    "brats2021": (write_brats, {"patients": 1, "task": "gli", "release": "2021"}),
    "brainmetshare": (write_brainmet, {"patients": 1}),
    "msd_task03_liver": (write_msd_liver, {"patients": 2}),
    "msd_task06_lung": (write_msd_lung, {"patients": 2}),
    "kits23": (write_kits, {"patients": 2}),
    "hcc_tace_seg": (write_hcc_tace, {"patients": 1}),
    "nsclc_radiomics": (write_nsclc, {"patients": 1}),
    "sts_petctmr": (write_sts, {"patients": 4}),
}
# Their masks are no file of voxels that could be counted past the loader.
DICOM = ("hcc_tace_seg", "nsclc_radiomics")
WHOLE = [name for name in MAKERS if not joint_set(name).windows]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Index]:
    folder = tmp_path_factory.mktemp("twins")
    return {
        name: index(load_manifest(name), make(folder / name, seed=3, difficulty="clear", **options))
        for name, (make, options) in MAKERS.items()
    }


@pytest.fixture(scope="module")
def found(twins: dict[str, Index]) -> dict[str, Sections]:
    return {name: joint_sections(each) for name, each in twins.items()}


@pytest.mark.parametrize("name", JOINT_SETS)
def test_the_table_says_what_the_manifests_say(name: str) -> None:
    chosen, manifest = joint_set(name), load_manifest(name)
    assert manifest.layout is not None and manifest.labels is not None
    assert chosen.image in manifest.layout.image_roles
    assert chosen.mask in manifest.layout.annotation_roles
    names = {v.id: v.name for v in manifest.labels.values}
    assert 0 not in chosen.lesion and set(chosen.lesion) <= set(names)
    # an organ is taken with its masses, so that no hole tells where they are
    assert not chosen.other or set(chosen.lesion) < set(chosen.other) <= set(names)


def test_sections_of_a_family_have_one_size_that_networks_can_halve() -> None:
    shapes: dict[str, set[tuple[int, int]]] = {}
    for chosen in JOINT_SETS.values():
        shapes.setdefault(chosen.family, set()).add(chosen.frame.shape)
    for family, found in shapes.items():
        assert len(found) == 1, family
        assert all(side % 16 == 0 for side in found.pop()), family


def test_lesions_are_told_by_name() -> None:
    wanted = {
        "isles2022": {"infarct"}, "brats2021": {"NCR", "ED", "ET"},
        "brainmetshare": {"metastasis"}, "msd_task03_liver": {"cancer"},
        "msd_task06_lung": {"cancer"}, "kits23": {"tumour"}, "nsclc_radiomics": {"tumour"},
        "hcc_tace_seg": {"tumour"},
        "msd_hippocampus": {"anterior", "posterior"}, "openms_4ch": {"lesion"},
        "sts_petctmr": {"tumour"},
    }  # fmt: skip
    for name, chosen in JOINT_SETS.items():
        labels = load_manifest(name).labels
        assert labels is not None
        assert {v.name for v in labels.values if v.id in chosen.lesion} == wanted[name]


def test_sections_have_one_size_one_scale_and_names_of_their_own(
    found: dict[str, Sections],
) -> None:
    for name, sections in found.items():
        image, (width, height) = sections.images[IMAGE], joint_set(name).frame.shape
        assert image.shape == (len(sections), 1, height, width) and image.dtype == torch.float32
        assert sections.masks.shape == (len(sections), height, width)
        assert -1 <= image.min() < image.max() <= 1 and image.std() > 0.1, name
        assert sections.masks.dtype == torch.uint8
        assert set(sections.masks.unique().tolist()) == {0, 1}, name
        assert sections.spacing_mm == joint_set(name).frame.spacing_mm
        assert all(x.startswith(f"{name}:") for x in (*sections.patients, *sections.ids))
    fingerprints = {sections.fingerprint for sections in found.values()}
    assert len(fingerprints) == len(found)


def in_the_file(path: Path, labels: tuple[int, ...]) -> float:
    """Return the volume of some labels in mL, read past our loader."""
    if path.is_dir():  # PNG slices, 255 for the one label there is
        voxels = sum(int((np.asarray(Image.open(p)) > 0).sum()) for p in path.glob("*.png"))
        return float(voxels * np.prod(GRIDS["small"].spacing_mm)) / 1000
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    voxel = float(np.prod(image.header.get_zooms()))
    return float(np.isin(np.asarray(image.dataobj), labels).sum()) * voxel / 1000


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in DICOM])
@pytest.mark.parametrize("foreground", ["lesion", "other"])
def test_the_foreground_is_what_the_mask_file_holds(
    twins: dict[str, Index], name: str, foreground: str
) -> None:
    chosen = joint_set(name)
    sections = joint_sections(twins[name], foreground)  # type: ignore[arg-type]
    if foreground == "other" and not chosen.other:
        # the body: what is not air, and most of the lesion with it
        assert torch.equal(sections.masks > 0, sections.images[IMAGE][:, 0] > 2 * AIR - 1)
        lesion = joint_sections(twins[name]).masks > 0
        assert sections.masks[lesion].float().mean() > 0.6
        assert 0.03 < sections.masks.float().mean() < 0.9
        return
    labels = chosen.lesion if foreground == "lesion" else chosen.other
    stacked = volumes(sections.masks, sections.ids)
    assert len(stacked) == len(twins[name].cases)
    for case in twins[name].cases:
        truth = in_the_file(case.files[chosen.mask], labels)
        volume = stacked[f"{name}:{case.id}"].sum() * np.prod(chosen.frame.spacing_mm) / 1000
        # nearest neighbours at a coarser grid: a large volume stays, a small one is rounded
        assert volume == pytest.approx(truth, rel=0.15, abs=1.0), case.id
        assert truth > 0


@pytest.mark.parametrize("name", WHOLE)
def test_the_frame_cuts_nothing_off_a_foreground(
    twins: dict[str, Index], found: dict[str, Sections], name: str
) -> None:
    chosen, sections = joint_set(name), found[name]
    cases = Volumes(twins[name].manifest, twins[name].cases, chosen.recipe)
    stacked = volumes(sections.masks, sections.ids)
    told = dict(zip(sections.ids, sections.facts["volume_ml"], strict=True))
    for row in range(len(cases)):
        prepared = cases[row]
        assert prepared.mask is not None
        voxels = int(np.isin(prepared.mask.numpy(), chosen.lesion).sum())
        mine = stacked[f"{name}:{prepared.case.id}"]
        assert mine.shape[2] == prepared.image.shape[3], "every section, in order"
        assert mine.sum() == voxels
        assert told[f"{name}:{prepared.case.id}/k000"] == pytest.approx(
            voxels * np.prod(chosen.frame.spacing_mm) / 1000
        )


@pytest.mark.parametrize("name", ["isles2022", "brats2021", "brainmetshare"])
def test_the_chosen_sequence_shows_the_lesion_bright(found: dict[str, Sections], name: str) -> None:
    image, lesion = found[name].images[IMAGE][:, 0], found[name].masks > 0
    brain = (image > -0.9) & ~lesion & lesion.flatten(1).any(dim=1)[:, None, None]
    inside = float(image[lesion].mean())
    assert inside > float(image[brain].mean()) + 0.2
    # and the mask lies where it is: 36 mm beside, there is something else
    assert float(image.roll(12, dims=2)[lesion].mean()) < inside - 0.1


@pytest.mark.parametrize("name", [n for n in WHOLE if joint_set(n).other])
def test_an_organ_holds_its_tumours(
    twins: dict[str, Index], found: dict[str, Sections], name: str
) -> None:
    organ, tumour = joint_sections(twins[name], "other"), found[name]
    assert torch.equal(organ.images[IMAGE], tumour.images[IMAGE]) and organ.ids == tumour.ids
    assert not (tumour.masks > organ.masks).any()
    assert organ.masks.sum() > tumour.masks.sum()
    assert organ.fingerprint != tumour.fingerprint


def test_windows_lie_elsewhere_in_training_and_stack_in_a_test(twins: dict[str, Index]) -> None:
    still, again = (joint_sections(twins["sts_petctmr"], seed=seed) for seed in (0, 0))
    assert torch.equal(still.masks, again.masks) and still.fingerprint == again.fingerprint
    first, second = (
        joint_sections(twins["sts_petctmr"], moving=True, seed=seed) for seed in (1, 2)
    )
    assert first.fingerprint != second.fingerprint
    assert not torch.equal(first.images[IMAGE], second.images[IMAGE])
    # slices that one place serves, as a volume; a place per slice serves at least as many
    assert set(volumes(still.masks, still.ids)) == {i.split("/")[0] for i in still.ids}
    assert len(first) >= len(still)
    middles = [np.argwhere(m.numpy() > 0).mean(axis=0) for m in first.masks if m.any()]
    assert np.std(middles, axis=0).min() > 3, "a tumour in the middle would give itself away"


def test_a_set_without_a_row_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of .*isles2022.*, found 'chaos'"):
        joint_sections(Index(load_manifest("chaos"), tmp_path, []))


def test_a_set_without_masks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected cases with \['ct', 'seg'\], found none"):
        joint_sections(Index(load_manifest("kits23"), tmp_path, []))


def test_real_sets_are_whole(real_data: Path) -> None:
    names = ("msd_hippocampus", "openms_4ch", "sts_petctmr")
    real = {name: index(load_manifest(name), real_data / name) for name in names}
    for name in names[:2]:
        sections, chosen = joint_sections(real[name]), joint_set(name)
        stacked = volumes(sections.masks, sections.ids)
        for case in real[name].cases:
            truth = in_the_file(case.files[chosen.mask], chosen.lesion)
            mine = stacked[f"{name}:{case.id}"].sum() * np.prod(chosen.frame.spacing_mm) / 1000
            assert mine == pytest.approx(truth, rel=0.05), case.id
    windows = joint_sections(real["sts_petctmr"], moving=True, seed=1)
    # four of the 21 crops are narrower than 80 mm
    assert len(set(windows.patients)) == 17
    assert 0.3 < float(windows.masks.flatten(1).any(dim=1).float().mean()) < 1
