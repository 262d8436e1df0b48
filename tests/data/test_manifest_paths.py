"""Layouts of the manifests: the releases' own paths find their role, patient and case."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest, load_manifest, manifest_ids

GLI = "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/BraTS-GLI-00008-001/BraTS-GLI-00008-001"
# Paths as the releases write them: (path, role, patient, case). Some are folders: a DICOM series.
PATHS: dict[str, list[tuple[str, str, str, str]]] = {
    "adni": [
        ("sub-ADNI951S0001/ses-M000/anat/sub-ADNI951S0001_ses-M000_T1w.nii.gz", "t1",
         "sub-ADNI951S0001", "sub-ADNI951S0001_ses-M000"),
    ],
    "amos22": [
        ("amos22/imagesTr/amos_0004.nii.gz", "image", "0004", "amos_0004"),
        ("amos22/labelsVa/amos_0588.nii.gz", "seg", "0588", "amos_0588"),
    ],
    "bccd_detection": [
        ("JPEGImages/BloodImage_00338.jpg", "image", "BloodImage_00338", "BloodImage_00338"),
        ("Annotations/BloodImage_00338.xml", "boxes", "BloodImage_00338", "BloodImage_00338"),
    ],
    "brainmetshare": [
        ("stanford_release_brainmask/mets_stanford_releaseMask_train/Mets_005/0", "t1_gre_post",
         "005", "Mets_005"),
        ("mets_stanford_release_train/Mets_105/seg", "seg", "105", "Mets_105"),
    ],
    "brats2013_2ch": [
        ("brats_2013_pat0006_1/OTMultiClass.nii.gz", "seg", "pat0006", "brats_2013_pat0006_1"),
        ("train/brats_2013_pat0005_1/T1c_subtrMeanDivStd.nii.gz", "t1c", "pat0005",
         "brats_2013_pat0005_1"),
    ],
    "brats2020": [
        ("MICCAI_BraTS2020_TrainingData/BraTS20_Training_001/BraTS20_Training_001_t1ce.nii",
         "t1ce", "001", "BraTS20_Training_001"),
        ("BraTS20_Training_355/BraTS20_Training_355_t1.nii", "t1", "355", "BraTS20_Training_355"),
    ],
    "brats2021": [
        ("BraTS2021_TrainingSet/BraTS2021_00002/BraTS2021_00002_flair.nii.gz", "flair", "00002",
         "BraTS2021_00002"),
    ],
    "brats2023_gli": [
        (f"{GLI}-t1n.nii.gz", "t1n", "BraTS-GLI-00008", "BraTS-GLI-00008-001"),
        (f"{GLI}-seg.nii.gz", "seg", "BraTS-GLI-00008", "BraTS-GLI-00008-001"),
        ("BraTS-GLI-00008-000/BraTS-GLI-00008-000-t2f.nii.gz", "t2f", "BraTS-GLI-00008",
         "BraTS-GLI-00008-000"),
    ],
    "brats2023_men": [
        ("BraTS-MEN-Train/BraTS-MEN-00004-000/BraTS-MEN-00004-000-t1c.nii.gz", "t1c",
         "BraTS-MEN-00004", "BraTS-MEN-00004-000"),
    ],
    "brats2023_met": [
        ("BraTS-MET-00730-001/BraTS-MET-00730-001-t2w.nii.gz", "t2w", "BraTS-MET-00730",
         "BraTS-MET-00730-001"),
    ],
    "brats2023_ped": [
        ("BraTS-PED-00002-000/BraTS-PED-00002-000-seg.nii.gz", "seg", "BraTS-PED-00002",
         "BraTS-PED-00002-000"),
    ],
    "brats2023_ssa": [
        ("BraTS-SSA-00002-000/BraTS-SSA-00002-000-t2f.nii.gz", "t2f", "BraTS-SSA-00002",
         "BraTS-SSA-00002-000"),
    ],
    "chaos": [
        ("CHAOS/Train_Sets/CT/1/DICOM_anon", "ct", "CT/1", "CT/1"),
        ("Train_Sets/MR/1/T1DUAL/DICOM_anon/InPhase", "t1_in", "MR/1", "MR/1"),
        ("Train_Sets/MR/1/T2SPIR/DICOM_anon", "t2", "MR/1", "MR/1"),
        ("Train_Sets/MR/1/T2SPIR/Ground", "t2_mask", "MR/1", "MR/1"),
    ],
    "covid_qu_ex": [
        ("Lung Segmentation Data/Lung Segmentation Data/Train/Non-COVID/images/non_COVID (1).png",
         "image", "non_COVID (1)", "non_COVID (1)"),
    ],
    # until the lists are read, a file stands for its patient
    "covidx_cxr3": [
        ("train/A100002-01-18-1901-NA-CHEST_AP_PORT-78068-2.000000-AP-19914-1-1.jpg", "image",
         "A100002-01-18-1901-NA-CHEST_AP_PORT-78068-2.000000-AP-19914-1-1.jpg",
         "A100002-01-18-1901-NA-CHEST_AP_PORT-78068-2.000000-AP-19914-1-1.jpg"),
        ("test/MIDRC-RICORD-1C-419639-000002-10161-0.png", "image",
         "MIDRC-RICORD-1C-419639-000002-10161-0.png", "MIDRC-RICORD-1C-419639-000002-10161-0.png"),
    ],
    "covid_radiography": [
        ("COVID-19_Radiography_Dataset/Viral Pneumonia/images/Viral Pneumonia-1.png", "image",
         "Viral Pneumonia-1", "Viral Pneumonia-1"),
    ],
    "cxr3": [
        ("train/normal/NORMAL2-IM-0123-0001.jpeg", "image", "IM-0123", "NORMAL2-IM-0123-0001"),
        ("test/viral/person1_virus_6.jpeg", "image", "person1", "person1_virus_6"),
    ],
    "deeplesion": [("Images_png/000001_01_02", "ct", "000001", "000001_01_02")],
    "fdg_pet_ct_lesions": [
        ("FDG-PET-CT-Lesions/PETCT_0011f3deaf/STUDY/SUV.nii.gz", "suv",
         "PETCT_0011f3deaf", "PETCT_0011f3deaf/STUDY"),
    ],
    "glioma_4ch": [("TCGA-FG-6692/fla.nii.gz", "flair", "TCGA-FG-6692", "TCGA-FG-6692")],
    "hcc_tace_seg": [
        ("hcc_tace_seg/HCC_009/CT/1.3.6.1.4", "ct", "HCC_009", "1.3.6.1.4"),
        ("hcc_tace_seg/HCC_009/SEG/1.2.276.0", "seg", "HCC_009", "1.2.276.0"),
    ],
    "isles2022": [
        ("ISLES-2022/sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_adc.nii.gz", "adc",
         "strokecase0001", "sub-strokecase0001"),
        ("ISLES-2022/sub-strokecase0001/ses-0001/anat/sub-strokecase0001_ses-0001_FLAIR.nii.gz",
         "flair", "strokecase0001", "sub-strokecase0001"),
        ("rawdata/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_flair.nii.gz", "flair",
         "strokecase0001", "sub-strokecase0001"),
        ("derivatives/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_msk.nii.gz", "seg",
         "strokecase0001", "sub-strokecase0001"),
    ],
    "kits19": [("data/case_00015/imaging.nii.gz", "ct", "00015", "case_00015")],
    "kits23": [("dataset/case_00588/segmentation.nii.gz", "seg", "00588", "case_00588")],
    "ldct_and_projection": [("low_dose/L299", "low_dose", "L299", "L299")],
    "lits": [
        ("Training_Batch1/volume-7.nii", "ct", "7", "7"),
        ("Training_Batch2/segmentation-130.nii", "seg", "130", "130"),
    ],
    "lung_pet_ct_dx": [
        ("lung_pet_ct_dx/Lung_Dx-A0001/CT/1.3.6.1", "ct", "Lung_Dx-A0001", "1.3.6.1"),
    ],
    "lungct_roboflow": [
        ("train/a_jpg.rf.0f1e.jpg", "image", "a_jpg.rf.0f1e", "a_jpg.rf.0f1e"),
    ],
    "msd_hippocampus": [
        ("images/hippocampus_001.nii.gz", "t1", "001", "hippocampus_001"),
        ("Task04_Hippocampus/labelsTr/hippocampus_350.nii.gz", "seg", "350", "hippocampus_350"),
    ],
    "msd_task03_liver": [("Task03_Liver/labelsTr/liver_5.nii.gz", "seg", "5", "liver_5")],
    "msd_task06_lung": [("Task06_Lung/imagesTr/lung_096.nii.gz", "ct", "096", "lung_096")],
    "nsclc_radiomics": [
        ("nsclc_radiomics/LUNG1-001/SEG/1.2.276", "seg", "LUNG1-001", "LUNG1-001"),
    ],
    "oasis1": [
        ("disc1/OAS1_0001_MR1/PROCESSED/MPRAGE/T88_111/"
         "OAS1_0001_MR1_mpr_n4_anon_111_t88_masked_gfc.hdr", "t1", "OAS1_0001", "OAS1_0001_MR1"),
    ],
    "oasis1_slices_kaggle": [
        ("Data/Very mild Dementia/OAS1_0003_MR1_mpr-1_100.jpg", "image", "OAS1_0003",
         "OAS1_0003_MR1_mpr-1_100"),
    ],
    "openms_4ch": [("patient19/T1POST.nii.gz", "t1c", "patient19", "patient19")],
    "sts_petctmr": [
        ("STS_019/MR_T1_image.nii.gz", "mr", "STS_019", "STS_019"),
        ("STS_019/PET_mask.nii.gz", "pet_mask", "STS_019", "STS_019"),
    ],
    "cmedl_private_mr_cohort": [
        ("MR/MSK-0001/scan_2.nii.gz", "mr", "MSK-0001", "MSK-0001/scan_2"),
        ("MR/MSK-0028/scan_1_seg.nii.gz", "seg", "MSK-0028", "MSK-0028/scan_1"),
    ],
    "react_kd_private_cohort": [
        ("react_kd/RKD-001/exam_1/CT", "ct", "RKD-001", "RKD-001/exam_1"),
        ("react_kd/RKD-002/exam_2/ACT", "acetate", "RKD-002", "RKD-002/exam_2"),
        ("react_kd/RKD-097/exam_1/regions.nii.gz", "regions", "RKD-097", "RKD-097/exam_1"),
    ],
    "totalseg_ct": [
        ("example_ct.nii.gz", "ct_whole", "example", "example"),
        ("example_ct_sm.nii.gz", "ct", "example", "example"),
        ("example_seg.nii.gz", "seg", "example", "example"),
        ("example_mr_sm.nii.gz", "mr", "mr", "mr"),
        ("example_ct_dicom", "ct", "dicom", "dicom"),
        ("example_seg_dicom.nii.gz", "seg", "dicom", "dicom"),
    ],
    "totalsegmentator_v2": [
        ("s0011/ct.nii.gz", "ct", "s0011", "s0011"),
        ("Totalsegmentator_dataset_v201/s0011/segmentations", "segmentations", "s0011", "s0011"),
    ],
    "upenn_gbm": [("UPENN-GBM-00002/t2.nii.gz", "t2", "UPENN-GBM-00002", "UPENN-GBM-00002")],
}  # fmt: skip


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    return {name: load_manifest(name) for name in manifest_ids()}


def test_every_layout_of_files_has_example_paths(manifests: dict[str, Manifest]) -> None:
    layouts = {m.id for m in manifests.values() if m.layout and m.layout.kind == "files"}
    assert layouts == set(PATHS)


EXAMPLES = [(name, *example) for name, examples in PATHS.items() for example in examples]


@pytest.mark.parametrize(("name", "path", "role", "patient", "case"), EXAMPLES)
def test_documented_paths_fit_globs_and_pattern(
    name: str, path: str, role: str, patient: str, case: str, manifests: dict[str, Manifest],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    layout = manifests[name].layout
    assert layout is not None and layout.case_regex is not None
    match = re.search(layout.case_regex, path)
    assert match is not None
    assert match["patient"] == patient
    assert (match.groupdict().get("case") or match["patient"]) == case
    roles = {**layout.image_roles, **layout.annotation_roles}
    root = tmp_path_factory.mktemp("tree")
    (root / path).mkdir(parents=True)
    hits = [r for r, spec in roles.items() for g in spec.globs if any(root.glob(g))]
    assert hits == [role], "exactly one glob of one role fits"


def test_labels_in_paths_are_labels_of_the_case(manifests: dict[str, Manifest]) -> None:
    checked = 0
    for name, path, *_ in EXAMPLES:
        m = manifests[name]
        match = re.search(m.layout.case_regex or "", path) if m.layout else None
        label = match.groupdict().get("label") if match else None
        if label is not None:
            assert m.case_labels is not None and label in m.case_labels.names, path
            checked += 1
    assert checked >= 5


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("bccd_detection", 364), ("brats2013_2ch", 1), ("glioma_4ch", 1), ("msd_hippocampus", 60),
        ("openms_4ch", 1), ("sts_petctmr", 21), ("totalseg_ct", 3), ("upenn_gbm", 1),
    ],
)  # fmt: skip
def test_real_folders_index_without_a_problem(real_data: Path, name: str, number: int) -> None:
    found = index(load_manifest(name), real_data / name)
    assert len(found.cases) == len({c.patient for c in found.cases}) == number
    assert found.problems == []
    if name == "sts_petctmr":
        assert sum(found.labels) == 6
