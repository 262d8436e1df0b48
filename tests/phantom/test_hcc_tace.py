"""The external set's twin on disk: layout, masks found by reference, another scanner, issues."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from medkd_lib.data.check import check
from medkd_lib.data.index import index, scan
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom import hcc_tace
from medkd_lib.phantom.hcc_tace import make_ct, write_hcc_tace
from medkd_lib.phantom.react_exam import make_exam

SEED, SLICE = 9, 8.0
ID = "hcc_tace_seg"


@pytest.fixture(scope="module", autouse=True)
def thick() -> Iterator[None]:
    """Fewer slices: the same code on fewer files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hcc_tace, "SLICE_MM", {"small": SLICE, "full": 2.5})
        yield


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory, thick: None) -> Path:
    out = tmp_path_factory.mktemp("twin") / "hcc"
    return write_hcc_tace(out, patients=3, seed=SEED, known_issues=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.dcm"))
    }


def test_a_mask_goes_with_the_series_it_was_drawn_on(unusual: Path) -> None:
    found = scan(load_manifest(ID), unusual)
    rows = {row["case"]: row for row in table(unusual / "truth.csv")}
    assert {c.id: c.patient for c in found.cases} == {n: r["patient"] for n, r in rows.items()}
    assert len(rows) == 4 and sum("seg" in c.files for c in found.cases) == 3
    twice = [c for c in found.cases if c.patient == "HCC_002"]
    with_mask = [c for c in twice if "seg" in c.files]
    assert len(twice) == 2 and len(with_mask) == 1
    seg = pydicom.dcmread(next(with_mask[0].files["seg"].glob("*.dcm")), stop_before_pixels=True)
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == with_mask[0].id
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [
        "Liver", "Mass", "Portal vein", "Abdominal aorta",
    ]  # fmt: skip


def test_the_loader_reads_the_ct_and_its_regions_as_they_were_made(unusual: Path) -> None:
    manifest = load_manifest(ID)
    made = make_ct(0, seed=SEED, difficulty="subtle", size="small")
    case = next(c for c in scan(manifest, unusual).cases if c.patient == "HCC_001")
    volumes = read_case(case, manifest)
    np.testing.assert_array_equal(volumes["ct"].array, np.rint(made.ct))
    np.testing.assert_allclose(volumes["ct"].affine, made.affine, atol=1e-5)
    assert volumes["seg"].same_grid(volumes["ct"])
    labels = {"Liver": 1, "Mass": 2, "Portal vein": 3, "Abdominal aorta": 4}
    for name, mask in made.segments.items():
        assert mask.any()
        np.testing.assert_array_equal(volumes["seg"].array == labels[name], mask)
    (row,) = (r for r in table(unusual / "truth.csv") if r["case"] == case.id)
    liver = ndimage.binary_erosion(volumes["seg"].array == 1, iterations=2)
    seen = np.median(volumes["ct"].array[liver])
    assert seen == pytest.approx(float(row["liver_hu"]), abs=4.0)
    names = ["well", "moderate", "poor"]
    assert case.label is not None and names[case.label] == row["grade"]


def test_it_is_another_scanner_and_other_people() -> None:
    here = make_ct(0, seed=0, difficulty="subtle", size="small")
    there = make_exam(0, seed=0, difficulty="subtle", size="small")
    assert here.patient.person != there.patient.person
    aorta = [np.median(x.ct[x.anatomy.regions == 12]) for x in (here, there)]
    assert aorta[0] > 110.0 > 70.0 > aorta[1], "one with contrast agent, one without"
    assert here.anatomy.grid.spacing_mm[0] < there.anatomy.grid.spacing_mm[0]

    def correlation(hu: np.ndarray, mask: np.ndarray) -> float:
        both = mask[1:] & mask[:-1]
        return float(np.corrcoef(hu[1:][both], hu[:-1][both])[0, 1])

    kernel = [
        correlation(x.ct, ndimage.binary_erosion(np.isin(x.anatomy.regions, range(1, 9)),
                                                 iterations=2))
        for x in (here, there)
    ]  # fmt: skip
    assert kernel[0] < kernel[1] - 0.1, "the standard kernel leaves finer noise than the soft one"


def test_what_is_unusual_is_listed_and_told(unusual: Path) -> None:
    listed = {row["kind"]: row["case"] for row in table(unusual / "known_issues.csv")}
    assert set(listed) == {"second_series", "no_grade"}
    found = index(load_manifest(ID), unusual)
    assert listed["second_series"] in {c.id for c in found.cases if "seg" not in c.files}
    assert {c.patient for c in found.cases if c.label is None} == {listed["no_grade"]}
    assert {p.kind for p in check(load_manifest(ID), unusual)} == {"no_label"}


def test_a_mask_of_a_series_that_is_not_here_is_told(tmp_path: Path) -> None:
    root = write_hcc_tace(tmp_path / "twin", patients=1, seed=SEED)
    (ct,) = (root / "hcc_tace_seg" / "HCC_001" / "CT").iterdir()
    ct.rename(ct.with_name("1.2.3"))
    found = scan(load_manifest(ID), root)
    assert [p.kind for p in found.problems] == ["missing_modality"]
    assert [c.id for c in found.cases] == ["1.2.3"] and "seg" not in found.cases[0].files
    (seg,) = (root / "hcc_tace_seg" / "HCC_001" / "SEG").rglob("*.dcm")
    file = pydicom.dcmread(seg)
    del file.ReferencedSeriesSequence
    file.save_as(seg)
    assert [p.kind for p in scan(load_manifest(ID), root).problems] == ["bad_tag"]


def test_same_bytes_with_two_workers_and_more_patients(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # processes of their own do not see the patched slices
        patch.setattr(hcc_tace, "SLICE_MM", {"small": 5.0, "full": 2.5})
        alone = hashes(write_hcc_tace(tmp_path / "alone", patients=1, seed=SEED))
        pair = hashes(write_hcc_tace(tmp_path / "pair", patients=2, seed=SEED, workers=2))
    assert len(alone) > 30 and alone.items() <= pair.items()


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        write_hcc_tace(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patients ≥ 3"):
        write_hcc_tace(tmp_path / "a", patients=2, known_issues=True)
    assert list(tmp_path.iterdir()) == []
