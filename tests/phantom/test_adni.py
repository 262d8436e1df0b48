"""The written ADNI twin: BIDS tree, table, scanners as domains by physics, absent images."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medkd_lib.data.check import check
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom.adni import write_adni
from medkd_lib.phantom.adni_patient import AdniPatient, sample_patient, scan_patient
from medkd_lib.phantom.adni_scanners import SCANNERS, SITES
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain import BrainAnatomy, voxelise_brain
from medkd_lib.phantom.mr import signal
from medkd_lib.phantom.oasis_patient import GRIDS

SEED, PATIENTS = 0, 2


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adni") / "twin"
    return write_adni(out, patients=PATIENTS, seed=SEED, difficulty="subtle")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adni") / "broken"
    return write_adni(out, patients=1, seed=SEED, workers=2, known_issues=True)


@pytest.fixture(scope="module")
def anatomy() -> BrainAnatomy:
    patient = sample_patient(0, np.random.default_rng(0), seed=SEED, difficulty="subtle")
    return voxelise_brain(patient.brain, GRIDS["small"])


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


def someone(scanner: str) -> AdniPatient:
    """Return the first patient of a scanner."""
    for n in range(200):
        patient = sample_patient(n, np.random.default_rng(n), seed=SEED, difficulty="subtle")
        if patient.scanner.name == scanner:
            return patient
    raise AssertionError(scanner)


def test_tree_and_table_are_the_converters(twin: Path) -> None:
    rows = table(twin / "truth.csv")
    people = [row["patient"] for row in rows]
    assert len(people) == len(set(people)) == PATIENTS
    beside = {"participants.tsv", "dataset_description.json", "truth.csv", "SOURCE.txt"}
    assert {p.name for p in twin.iterdir()} == beside | set(people)
    assert json.loads((twin / "dataset_description.json").read_text())["BIDSVersion"]
    listed = {row["participant_id"]: row for row in table(twin / "participants.tsv", "\t")}
    for number, row in enumerate(rows):
        name = row["patient"]
        assert re.fullmatch(rf"sub-ADNI95[1-8]S{number + 1:04d}", name)
        (path,) = (twin / name).rglob("*.*")
        assert path == twin / name / "ses-M000" / "anat" / f"{name}_ses-M000_T1w.nii.gz"
        image = nib.nifti1.Nifti1Image.from_filename(path)
        assert image.get_data_dtype() == np.int16
        assert nib.orientations.aff2axcodes(image.affine) == ("L", "P", "S")
        middle = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
        np.testing.assert_allclose(middle, 0.0, atol=1e-4)
        told = listed[name]
        assert (told["diagnosis_sc"], told["site"]) == (row["label"], row["site"])
        assert (told["age_bl"], told["sex"]) == (row["age"], "FM"[int(row["male"])])
        scanner = SITES[int(row["site"])]
        assert (row["scanner"], float(row["field_t"])) == (scanner.name, scanner.field_t)
        assert scanner.noise[0] <= float(row["noise"]) <= scanner.noise[1]


def test_the_loader_reads_label_and_image(twin: Path) -> None:
    manifest = load_manifest("adni")
    found = index(manifest, twin)
    truth = {row["case"]: row for row in table(twin / "truth.csv")}
    assert [c.id for c in found.cases] == sorted(truth) and not found.problems
    assert check(manifest, twin) == [] and manifest.labels is not None
    for case in found.cases:
        assert case.label is not None
        assert manifest.labels.names[case.label] == truth[case.id]["label"]
        assert case.patient == truth[case.id]["patient"]
        volume = read_case(case, manifest)["t1"]
        assert volume.shape == (88, 104, 88) and volume.array.min() == 0


def measured(image: FloatArray, anatomy: BrainAnatomy) -> Callable[[str], float]:
    def of(tissue: str) -> float:
        pure = anatomy.fraction(tissue) > (0.94 if tissue == "white_matter" else 0.999)
        assert pure.sum() > 50
        return float(np.median(image[pure]))

    return of


@pytest.mark.parametrize("name", SCANNERS)
def test_a_scanner_shows_the_contrast_of_its_protocol(name: str, anatomy: BrainAnatomy) -> None:
    patient = someone(name)
    image = scan_patient(patient, anatomy, np.random.default_rng(1))
    of = measured(image, anatomy)
    protocol, tissues = SCANNERS[name].settings, patient.tissues
    # white matter holds some grey, and the median of noise on fluid lies a little above it
    for tissue, rel in (("grey_matter", 0.06), ("csf", 0.25)):
        expected = signal(tissues[tissue], protocol) / signal(tissues["white_matter"], protocol)
        assert of(tissue) / of("white_matter") == pytest.approx(expected, rel=rel), tissue
    assert SCANNERS[name].gain[0] * 0.9 < of("white_matter") < SCANNERS[name].gain[1] * 1.1


def test_fields_and_protocols_shift_the_domain() -> None:
    ratios = {}
    for name, scanner in SCANNERS.items():
        tissues = someone(name).tissues
        white = signal(tissues["white_matter"], scanner.settings)
        ratios[name] = [
            signal(tissues[t], scanner.settings) / white for t in ("csf", "grey_matter")
        ]
    shades = np.array(list(ratios.values()))
    apart = np.abs(shades[:, None] - shades[None]).max(axis=2)[np.triu_indices(len(shades), 1)]
    assert apart.min() > 0.01 and apart.max() > 0.08
    fields = {f: [s.noise for s in SCANNERS.values() if s.field_t == f] for f in (1.5, 3.0)}
    assert min(low for low, _ in fields[1.5]) >= max(high for _, high in fields[3.0])


def test_nothing_of_a_scanner_knows_the_diagnosis() -> None:
    people = [
        sample_patient(n, np.random.default_rng([3, n]), seed=SEED, difficulty="subtle")
        for n in range(240)
    ]
    sick = np.array([p.diagnosis for p in people], float)
    field = np.array([p.scanner.field_t for p in people])
    assert np.mean(field == 3.0) == pytest.approx(0.25, abs=0.1)
    for values in (field, [p.age for p in people], [p.noise for p in people]):
        assert abs(np.corrcoef(sick, values)[0, 1]) < 4 / np.sqrt(len(people))
    decline = [p.decline.hippocampus for p in people]
    assert np.corrcoef(sick, decline)[0, 1] < -0.6


def test_some_participants_have_no_image(twin: Path, broken: Path) -> None:
    (issue,) = table(broken / "known_issues.csv")
    assert issue["kind"] == "missing_images" and re.fullmatch(r"sub-ADNI95\dS9001", issue["case"])
    assert len(table(broken / "participants.tsv", "\t")) == 2
    problems = check(load_manifest("adni"), broken)
    assert [(p.kind, p.severity) for p in problems] == [("no_images", "warning")]
    assert issue["case"] in problems[0].where
    first = hashes(broken)
    assert len(first) == 1 and first.items() <= hashes(twin).items(), "another set, the same bytes"


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_adni(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
