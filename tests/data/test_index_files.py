"""Index of folders: globs, roles, tables, and known issues that are executed, not only told."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.index import index, scan
from medkd_lib.data.manifest_layout import KnownIssue
from medkd_lib.data.read_case import read_case

from .tiny import AFFINE, brain, lesion, manifest, write, write_case, write_set


def issue(action: str, cases: list[str], **more: Any) -> dict[str, Any]:
    return {"cases": cases, "what": "made up", "action": action, "source": "here"} | more


def ids(cases: list[Case]) -> list[str]:
    return [c.id for c in cases]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_set(tmp_path / "tiny")


def test_cases_are_sorted_and_roles_sorted_out(tiny: Path) -> None:
    found = index(manifest(), tiny)
    assert ids(found.cases) == ["P0", "P1", "P2"]
    one = found.cases[1]
    assert (one.patient, one.dataset, one.label, one.row) == ("P1", "tiny", None, None)
    assert one.images == {r: tiny / "P1" / f"P1-{r}.nii.gz" for r in ("t1", "t2")}
    assert one.annotations == {"seg": tiny / "P1" / "P1-seg.nii.gz"}
    assert list(one.files) == ["t1", "t2", "seg"]
    assert not found.problems and not found.notes


def test_several_globs_serve_one_role_and_a_file_that_fits_two_counts_once(tiny: Path) -> None:
    write(tiny / "P2" / "P2-t1.nii", brain(7))
    (tiny / "P2" / "P2-t1.nii.gz").unlink()
    layout = {"images": {"t1": {"glob": ["*/*-t1.nii.gz", "*/*-t1.nii*"]}, "t2": "*/*-t2.nii.gz"}}
    found = index(manifest(layout), tiny)
    assert [c.images["t1"].name for c in found.cases] == [
        "P0-t1.nii.gz", "P1-t1.nii.gz", "P2-t1.nii"]  # fmt: skip


def test_files_of_the_mac_and_ignored_ones_are_no_images(tiny: Path) -> None:
    shutil.copy(tiny / "P0" / "P0-t1.nii.gz", tiny / "P0" / "._P0-t1.nii.gz")
    shutil.copy(tiny / "P0" / "P0-t1.nii.gz", tiny / "P0" / "old-t1.nii.gz")
    found = index(manifest({"ignore": ["old-*"]}), tiny)
    assert found.cases[0].images["t1"].name == "P0-t1.nii.gz"
    with pytest.raises(LayoutError, match=r"old-t1\.nii\.gz: expected a name like"):
        index(manifest(), tiny)


def test_a_missing_modality_is_an_error_unless_optional(tiny: Path) -> None:
    (tiny / "P1" / "P1-t2.nii.gz").unlink()
    with pytest.raises(LayoutError, match="case P1: expected a file for 't2'") as caught:
        index(manifest(), tiny)
    assert caught.value.problem.kind == "missing_modality"
    kept = index(manifest(), tiny, drop_broken=True)
    assert ids(kept.cases) == ["P0", "P2"]
    assert [(p.kind, p.where, p.severity) for p in kept.problems] == [
        ("missing_modality", "case P1", "error")]  # fmt: skip
    optional = manifest({"images": {"t1": "*/*-t1.nii.gz", "t2": {"glob": "*/*-t2.nii.gz",
                                                                  "optional": True}}})  # fmt: skip
    found = index(optional, tiny)
    assert [sorted(c.images) for c in found.cases] == [["t1", "t2"], ["t1"], ["t1", "t2"]]


def test_several_problems_are_counted_and_all_dropped(tiny: Path) -> None:
    (tiny / "P1" / "P1-t2.nii.gz").unlink()
    (tiny / "P2" / "P2-seg.nii.gz").unlink()
    with pytest.raises(LayoutError, match="and 1 more problem"):
        index(manifest(), tiny)
    assert ids(index(manifest(), tiny, drop_broken=True).cases) == ["P0"]
    (tiny / "P0" / "P0-t1.nii.gz").unlink()
    with pytest.raises(LayoutError, match="no whole case"):
        index(manifest(), tiny, drop_broken=True)


def test_two_files_for_one_role_leave_the_case_out(tiny: Path) -> None:
    shutil.copy(tiny / "P1" / "P1-t1.nii.gz", tiny / "P1" / "P1-t1.nii")
    layout = {"images": {"t1": "*/*-t1.nii*", "t2": "*/*-t2.nii.gz"}}
    with pytest.raises(LayoutError, match="it has a t1 already"):
        index(manifest(layout), tiny)
    # Nobody knows which of the two is the right one.
    assert ids(index(manifest(layout), tiny, drop_broken=True).cases) == ["P0", "P2"]


def test_exclude_and_warn(tiny: Path) -> None:
    listed = manifest(known_issues=[issue("exclude", ["P[01]"]), issue("warn", ["*"])])
    found = index(listed, tiny)
    assert ids(found.cases) == ["P2"]
    assert found.notes == ["exclude (2 cases: P0, P1): made up", "warn (1 cases): made up"]
    assert index(manifest(known_issues=[issue("warn", ["X*"])]), tiny).notes == []


def test_an_excluded_case_may_lack_a_modality(tiny: Path) -> None:
    (tiny / "P1" / "P1-t2.nii.gz").unlink()
    found = index(manifest(known_issues=[issue("exclude", ["P1"])]), tiny)
    assert ids(found.cases) == ["P0", "P2"]


def test_dedupe_keeps_the_first_of_equal_bytes(tiny: Path) -> None:
    for role in ("t1", "t2", "seg"):
        shutil.copy(tiny / "P0" / f"P0-{role}.nii.gz", tiny / "P2" / f"P2-{role}.nii.gz")
    found = index(manifest(known_issues=[issue("dedupe", ["*"])]), tiny)
    assert ids(found.cases) == ["P0", "P1"]
    # Equal t1 alone is no repeated case.
    shutil.copy(tiny / "P1" / "P1-t2.nii.gz", tiny / "P2" / "P2-t2.nii.gz")
    assert len(index(manifest(known_issues=[issue("dedupe", ["*"])]), tiny).cases) == 3


def test_rename_takes_the_oddly_named_mask(tiny: Path) -> None:
    (tiny / "P1" / "P1-seg.nii.gz").rename(tiny / "P1" / "Segm_old.nii.gz")
    fix = issue("rename", ["P1"], role="seg", to="Segm_old.nii.gz")
    found = index(manifest(known_issues=[fix]), tiny)
    assert found.cases[1].annotations["seg"].name == "Segm_old.nii.gz"
    # Once the release is corrected, the right file wins.
    write(tiny / "P1" / "P1-seg.nii.gz", lesion(1))
    found = index(manifest(known_issues=[fix]), tiny)
    assert found.cases[1].annotations["seg"].name == "P1-seg.nii.gz"


@pytest.mark.parametrize(("to", "axis"), [("flip_i", 0), ("flip_j", 1), ("flip_k", 2)])
def test_a_mask_stored_back_to_front_is_turned(tiny: Path, to: str, axis: int) -> None:
    write(tiny / "P1" / "P1-seg.nii.gz", np.flip(lesion(1), axis))
    listed = manifest(known_issues=[issue("fix_affine", ["P1"], role="seg", to=to)])
    case = index(listed, tiny).cases[1]
    volumes = read_case(case, listed)
    np.testing.assert_array_equal(volumes["seg"].array, lesion(1))
    np.testing.assert_array_equal(volumes["seg"].affine, AFFINE)
    assert [(p.kind, p.severity) for p in volumes["seg"].problems] == [("fixed_affine", "repaired")]


def test_a_lost_header_is_copied_or_stated(tiny: Path) -> None:
    write(tiny / "P1" / "P1-seg.nii.gz", lesion(1), np.diag([0.5, 0.5, 0.5, 1]))
    plain = manifest()
    with pytest.raises(ValueError, match="grid of"):
        read_case(index(plain, tiny).cases[1], plain)
    copied = manifest(known_issues=[issue("fix_affine", ["P1"], role="seg", to="copy:t2")])
    volumes = read_case(index(copied, tiny).cases[1], copied)
    np.testing.assert_array_equal(volumes["seg"].affine, AFFINE)
    wrong = AFFINE.copy()
    wrong[:3, :3] *= 3
    write(tiny / "P1" / "P1-t1.nii.gz", brain(1), wrong)
    both = [*copied.known_issues, KnownIssue.model_validate(
        issue("fix_affine", ["P*"], role="t1", to="spacing 1.0,1.25,2.0"))]  # fmt: skip
    stated = manifest(known_issues=both)
    volumes = read_case(index(stated, tiny).cases[1], stated)
    np.testing.assert_allclose(volumes["t1"].affine, AFFINE)


def table(root: Path, text: str) -> dict[str, Any]:
    (root / "labels.csv").write_text(text)
    outcome = {"kind": "classes", "values": [{"id": 0, "name": "no"}, {"id": 1, "name": "yes"}]}
    stated = {"file": "labels.csv", "key": "id", "label": "mets"}
    return {"layout": {"table": stated}, "outcome": outcome}


def test_labels_come_from_the_table_by_name_or_number(tiny: Path) -> None:
    found = index(manifest(**table(tiny, "id,mets\nP0,yes\nP1,0\nP2,1\n")), tiny)
    assert found.labels == [1, 0, 1] and not found.problems


def test_missing_rows_and_cells_warn_and_unknown_values_do_not_pass(tiny: Path) -> None:
    found = index(manifest(**table(tiny, "id,mets\nP0,yes\nP1,\nP9,no\n")), tiny)
    assert [c.label for c in found.cases] == [1, None, None]
    assert sorted((p.kind, p.where.split("/")[-1], p.severity) for p in found.problems) == [
        ("no_images", "labels.csv row P9", "warning"),
        ("no_label", "case P1", "warning"),
        ("no_label", "case P2", "warning"),
    ]
    with pytest.raises(LayoutError, match=r"none for \['P1', 'P2'\]"):
        _ = found.labels
    unknown = manifest(**table(tiny, "id,mets\nP0,perhaps\nP1,no\nP2,no\n"))
    with pytest.raises(LayoutError, match=r"row P0: expected one of .* found 'perhaps'"):
        index(unknown, tiny)
    kept = index(unknown, tiny, drop_broken=True)
    assert ids(kept.cases) == ["P1", "P2"]


def test_the_row_of_an_excluded_case_is_no_surprise(tiny: Path) -> None:
    labelled = table(tiny, "id,mets\nP0,yes\nP1,no\nP2,no\n")
    found = index(manifest(**labelled, known_issues=[issue("exclude", ["P1"])]), tiny)
    assert ids(found.cases) == ["P0", "P2"] and not found.problems


def test_a_missing_table_is_an_error(tiny: Path) -> None:
    listed = manifest(**table(tiny, "id,mets\n"))
    (tiny / "labels.csv").unlink()
    with pytest.raises(LayoutError, match=r"labels\.csv"):
        index(listed, tiny)


def test_one_patient_may_have_several_cases(tmp_path: Path) -> None:
    layout = {
        "images": {"t1": "*/*/*-t1.nii.gz"},
        "annotations": {},
        "case_regex": r"^(?P<patient>P\d+)/(?P<case>P\d+-\d+)/",
    }
    for visit in ("P0-000", "P0-001", "P1-000"):
        write(tmp_path / visit[:2] / visit / f"{visit}-t1.nii.gz", brain(0))
    found = index(manifest(layout), tmp_path)
    assert [(c.patient, c.id) for c in found.cases] == [
        ("P0", "P0-000"), ("P0", "P0-001"), ("P1", "P1-000")]  # fmt: skip


def test_scan_tells_every_problem_at_once(tiny: Path) -> None:
    (tiny / "P1" / "P1-t2.nii.gz").unlink()
    write(tiny / "P0" / "stray-t1.nii.gz", brain(0))
    write_case(tiny, "P7", 7)
    (tiny / "P7" / "P7-seg.nii.gz").unlink()
    found = scan(manifest(), tiny)
    assert ids(found.cases) == ["P0", "P2"]
    assert sorted(p.kind for p in found.problems) == [
        "missing_modality", "missing_modality", "no_patient"]  # fmt: skip


def test_a_folder_without_anything_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"files like .*-t1\.nii\.gz.*data_root"):
        index(manifest(), tmp_path)
    with pytest.raises(LayoutError, match="found none"):
        index(manifest(), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        ("train/yes/A-s1", "train/yes/B-s1", "expected patient A, .* found patient B"),
        ("train/yes/A-s1", "train/no/A-s1", "expected label 1, .* found label 0"),
        ("train/yes/A-s1", "test/yes/A-s1", "expected split train, .* found split test"),
    ],
)
def test_files_of_one_case_that_disagree_are_not_merged(
    tmp_path: Path, image: str, mask: str, told: str
) -> None:
    layout = {
        "images": {"t1": "*/*/*_t1.nii.gz"},
        "annotations": {"seg": "*/*/*_seg.nii.gz"},
        "case_regex": r"(?P<split>train|test)/(?P<label>yes|no)/(?P<patient>[AB])-(?P<case>s\d)",
    }
    classes = {"kind": "classes", "values": [{"id": 0, "name": "no"}, {"id": 1, "name": "yes"}]}
    listed = manifest(layout, outcome=classes)
    write(tmp_path / f"{image}_t1.nii.gz", brain(0))
    write(tmp_path / f"{mask}_seg.nii.gz", lesion(0))
    for role, array in (("t1", brain(1)), ("seg", lesion(1))):
        write(tmp_path / f"train/no/B-s2_{role}.nii.gz", array)
    with pytest.raises(LayoutError, match=told) as caught:
        index(listed, tmp_path)
    assert caught.value.problem.kind == "case_disagrees"
    kept = index(listed, tmp_path, drop_broken=True)
    assert ids(kept.cases) == ["s2"] and [p.kind for p in kept.problems] == ["case_disagrees"]


def test_a_path_that_tells_no_label_contradicts_nothing(tmp_path: Path) -> None:
    layout = {
        "images": {"t1": "images/*/*.nii.gz"},
        "annotations": {"seg": "masks/*.nii.gz"},
        "case_regex": r"(?:images/(?P<label>yes|no)|masks)/(?P<patient>P\d)",
    }
    classes = {"kind": "classes", "values": [{"id": 0, "name": "no"}, {"id": 1, "name": "yes"}]}
    write(tmp_path / "images" / "yes" / "P0.nii.gz", brain(0))
    write(tmp_path / "masks" / "P0.nii.gz", lesion(0))
    found = index(manifest(layout, outcome=classes), tmp_path)
    assert [(c.label, sorted(c.files)) for c in found.cases] == [(1, ["seg", "t1"])]


def test_notes_say_which_cases_changed(tiny: Path) -> None:
    for role in ("t1", "t2"):
        shutil.copy(tiny / "P0" / f"P0-{role}.nii.gz", tiny / "P2" / f"P2-{role}.nii.gz")
    (tiny / "P1" / "P1-seg.nii.gz").rename(tiny / "P1" / "odd.nii.gz")
    issues = [issue("dedupe", ["*"]), issue("rename", ["*"], role="seg", to="odd.nii.gz")]
    assert index(manifest(known_issues=issues), tiny).notes == [
        "dedupe (1 cases: P2): made up", "rename (1 cases: P1): made up"]  # fmt: skip
    write_set(tiny.parent / "sound", 9)
    sound = tiny.parent / "sound"
    assert index(manifest(known_issues=issues), sound).notes == []
    (note,) = index(manifest(known_issues=[issue("exclude", ["P[0-7]"])]), sound).notes
    assert note == "exclude (8 cases: P0, P1, P2, P3, P4 and 3 more): made up"


def test_case_rules_do_not_depend_on_the_system(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.normcase", str.lower)  # as on Windows
    listed = manifest({"ignore": ["p1-*"]}, known_issues=[issue("exclude", ["p*"])])
    assert ids(index(listed, tiny).cases) == ["P0", "P1", "P2"]


@pytest.mark.parametrize(("cell", "label"), [("2", 3), ("0.5", 1), ("1", 2), ("3", None)])
def test_a_grade_is_no_id_of_another_grade(tiny: Path, cell: str, label: int | None) -> None:
    """Clinical dementia ratings 0, 0.5, 1, 2 have the ids 0 to 3; a rating 3 is none of them."""
    (tiny / "labels.csv").write_text(f"id,mets\nP0,{cell}\nP1,0\nP2,0\n")
    names = ("0", "0.5", "1", "2")
    outcome = {"kind": "ordinal", "values": [{"id": i, "name": n} for i, n in enumerate(names)]}
    stated = {"file": "labels.csv", "key": "id", "label": "mets"}
    found = index(manifest({"table": stated}, outcome=outcome), tiny, drop_broken=True)
    labels = {c.id: c.label for c in found.cases}
    assert labels.get("P0") == label
    assert [p.kind for p in found.problems] == ([] if label is not None else ["unknown_label"])


def test_roles_that_cannot_be_read_yet_are_listed_and_say_so(tiny: Path) -> None:
    seg = {"glob": "*/*-seg.nii.gz", "unread": "nobody knows its axes"}
    listed = manifest({"annotations": {"seg": seg}})
    found = index(listed, tiny)
    assert ids(found.cases) == ["P0", "P1", "P2"] and "seg" in found.cases[0].files
    assert found.notes == ["seg is listed, but cannot be read yet: nobody knows its axes"]
    with pytest.raises(LayoutError, match=r"tiny seg: .* found nobody knows its axes") as caught:
        read_case(found.cases[0], listed)
    assert caught.value.problem.kind == "unread"
    assert list(read_case(found.cases[0], listed, ["t1"])) == ["t1"]
