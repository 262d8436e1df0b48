"""`medkd data`: twins are made, indexed and checked; what is broken is told, with its file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from medkd_lib.data import manifest as manifests
from medkd_lib.data.here import here
from medkd_lib.data.manifest import json_schema, load_manifest, manifest_ids
from tests.phantom.test_twins import FOUND, PATIENTS, TOLD
from tests.test_cli import call

# What `data check` calls the defects that the twins plant.
KINDS = {
    "missing_t2w": "missing_modality", "old_label_4": "unknown_label",
    "new_label_3": "unknown_label",
    "odd_seg_name": "missing_modality", "repeated_case": "duplicate_patient",
    "truncated_file": "truncated", "nan_voxels": "nan_voxels", "empty_seg": "empty_mask",
    "flipped_affine": "grid_mismatch",
    "ct_shift": "masks_apart", "mask_grid": "grid_mismatch", "missing_mr": "missing_modality",
    "padding": "padding", "missing_outcome": "no_label", "missing_images": "no_images",
}  # fmt: skip
# A mask that moved by some voxels is seen only where it reaches past the rim of the brain.
SEEN_BY_CHANCE = "misregistered_seg"
BREAKABLE = {
    "brats2023_gli": 1, "brats2023_men": 1, "brats2023_met": 1, "brats2021": 1, "sts_petctmr": 6,
}  # fmt: skip

Made = Callable[[str], Path]


@pytest.fixture(scope="module")
def made() -> Made:
    """The root of a sound twin, made by the command into the session's medkd home."""

    def of(dataset: str) -> Path:
        patients = str(PATIENTS[dataset])
        code, text = call("data", "make", dataset, "--patients", patients, "--difficulty", "clear")
        assert code == 0
        return Path(text.strip())

    return of


@pytest.fixture(scope="module", params=BREAKABLE)
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin with every documented defect, in a folder named after its dataset."""
    out: Path = tmp_path_factory.mktemp("broken") / request.param
    code, text = call(
        "data", "make", request.param, "--patients", str(BREAKABLE[request.param]),
        "--difficulty", "clear", "--with-known-issues", "--out", str(out),
    )  # fmt: skip
    assert code == 0 and Path(text.strip()) == out
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dataset", PATIENTS)
def test_index_counts_what_is_there(made: Made, dataset: str) -> None:
    root = made(dataset)
    truth, manifest = table(root / "truth.csv"), load_manifest(dataset)
    code, text = call("data", "index", dataset, "--root", str(root), "--json")
    found = json.loads(text)
    assert code == 0 and found["dataset"] == dataset and found["problems"] == []
    assert (found["cases"], found["patients"]) == (len(truth), FOUND[dataset])
    layout = manifest.layout
    assert layout is not None
    roles = [*layout.image_roles, *layout.annotation_roles]
    if dataset == "chaos":  # CT and MR are of different patients
        assert set(found["files"]) == set(roles)
        assert found["files"]["ct"] + found["files"]["t2"] == len(truth)
    else:
        assert found["files"] == dict.fromkeys(roles, len(truth))
    if dataset == "cxr3":
        assert found["labels"] == Counter(row["label"] for row in truth)
        assert found["splits"] == Counter(row["split"] for row in truth)
    elif dataset == "sts_petctmr":
        names = ("no lung metastasis", "lung metastasis")
        assert found["labels"] == Counter(names[int(r["lung_metastasis"])] for r in truth)
    elif dataset == "lung_pet_ct_dx":
        assert found["labels"] == Counter(row["histology"] for row in truth)
    elif dataset in ("oasis1", "oasis1_slices_kaggle", "adni"):
        assert found["labels"] == Counter(row["label"] for row in truth)
    elif dataset.startswith("covid"):
        assert found["labels"] == Counter(row["label"] for row in truth)
        assert found["splits"] == Counter(row["split"].lower() or "None" for row in truth)
    elif "grade" in truth[0]:
        grades = {"well": "well", "moderate": "moderately", "poor": "poorly"}
        told = Counter(f"{grades[r['grade']]} differentiated" for r in truth)
        assert found["labels"] == told
    else:
        assert found["labels"] == {} and found["cases"] >= found["patients"]
    # Repairs of single cases are told beside what holds for all of them.
    warned = [n for n in found["notes"] if not n.startswith(("relabel", "copy", "axes", "ct is"))]
    stated = [i for i in manifest.known_issues if i.cases[0].endswith("*") and i.action == "warn"]
    assert len(warned) == len(stated)
    code, text = call("data", "index", dataset, "--root", str(root))
    assert code == 0 and f"patients  {FOUND[dataset]}" in text.splitlines()


@pytest.mark.parametrize("dataset", PATIENTS)
def test_a_sound_twin_passes(made: Made, dataset: str) -> None:
    root = made(dataset)
    code, text = call("data", "check", dataset, "--root", str(root))
    cases = len(table(root / "truth.csv"))
    *told, summary = text.splitlines()
    assert code == 0
    assert summary == f"{dataset}: {cases} cases opened, 0 errors, {len(told)} problems"
    code, text = call("data", "check", dataset, "--root", str(root), "--json")
    problems = json.loads(text)
    assert code == 0 and len(problems) == len(told)
    assert {p["kind"] for p in problems} == TOLD.get(dataset, set())


def test_every_planted_defect_is_told_with_its_case(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = broken.name
    monkeypatch.chdir(broken.parent)  # a relative root will do
    code, text = call("data", "check", dataset, "--root", dataset)
    *lines, summary = text.splitlines()
    planted = {row["case"]: row["kind"] for row in table(broken / "known_issues.csv")}
    assert set(planted.values()) <= {*KINDS, SEEN_BY_CHANCE}
    for case, kind in planted.items():
        told = {line.split()[1] for line in lines if case in line.split(":")[0]}
        assert told == {KINDS[kind]} if kind != SEEN_BY_CHANCE else told <= {"mask_beside_tissue"}
    assert all(any(case in line for case in planted) for line in lines), "sound cases are silent"
    errors = sum(line.startswith("error") for line in lines)
    assert code == 1 and errors >= 2
    assert summary.endswith(f" cases opened, {errors} errors, {len(lines)} problems")
    assert str(broken) not in text and "…" not in text, "paths are short and whole"

    code, text = call("data", "check", dataset, "--root", dataset, "--json")
    problems = json.loads(text)
    assert code == 1 and [p["kind"] for p in problems] == [line.split()[1] for line in lines]
    assert all(p["where"] and p["expected"] and p["found"] and p["next_step"] for p in problems)


def test_index_of_a_broken_folder_names_the_first_defect(broken: Path) -> None:
    with pytest.raises(ValueError, match=r"expected .*found .*more problems"):
        call("data", "index", broken.name, "--root", str(broken))


def test_list_shows_every_set_once_for_people_and_programs(made: Made) -> None:
    made("sts_petctmr")
    code, text = call("data", "list")
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert code == 0 and set(manifest_ids()) <= set(rows)
    assert "phantom twin" in rows["sts_petctmr"] and "CT/PT/MR" in rows["sts_petctmr"]
    assert "phantom twin" not in rows["breastmnist"] and "fetched" not in text
    code, text = call("data", "list", "--json")
    listed = {m["id"]: m for m in json.loads(text)}
    assert code == 0 and list(listed) == manifest_ids()
    assert listed["sts_petctmr"]["phantom"]["sizes"] == ["small", "full"]
    assert listed["breastmnist"]["phantom"] is None


@pytest.mark.parametrize("dataset", ["cxr3", "sts_petctmr", "breastmnist"])
def test_show_is_the_whole_manifest_as_yaml(dataset: str) -> None:
    code, text = call("data", "show", dataset)
    assert code == 0
    assert yaml.safe_load(text) == load_manifest(dataset).model_dump(mode="json")
    assert text.index("licence:") < text.index("layout:") < text.index("known_issues:")


def test_schema_is_written_beside_the_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "manifest_folder", lambda: tmp_path)
    code, text = call("data", "schema")
    assert code == 0 and Path(text.strip()) == tmp_path / "schema.json"
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_same_bytes_from_two_processes_and_others_from_another_seed(tmp_path: Path) -> None:
    def make(name: str, *more: str) -> dict[str, str]:
        out = tmp_path / name
        code, _ = call("data", "make", "sts_petctmr", "--patients", "2", "--out", str(out), *more)
        assert code == 0
        return hashes(out)

    one = make("one", "-j", "1")
    assert one == make("two", "-j", "2")
    volumes = {name: value for name, value in one.items() if name.endswith(".nii.gz")}
    other = make("other", "--seed", "1")
    assert len(volumes) == 12 and not set(volumes.values()) & set(other.values())


def test_without_a_folder_the_twin_lies_in_the_home_and_is_made_once(home: Path) -> None:
    arguments = ["data", "make", "sts_petctmr", "--patients", "1"]
    code, text = call(*arguments)
    root = Path(text.strip())
    assert code == 0 and root.is_relative_to(home / "phantoms")
    (root / "truth.csv").write_text("kept")
    assert call(*arguments) == (0, text) == call(*arguments, "--size", "small", "-j", "2")
    assert (root / "truth.csv").read_text() == "kept"
    assert call(*arguments, "--seed", "1")[1] != text


REFUSED: dict[str, tuple[list[str], str]] = {
    "a size": (["sts_petctmr", "--size", "huge"], r"'huge' is not one of \['small', 'full'\]"),
    "the size of another": (["cxr3", "--size", "small"], r"'small' is not one of \['full'\]"),
    "a difficulty": (["brats2023_men", "--difficulty", "hard"], "'clear', 'subtle', 'none'"),
    "a set without twin": (["breastmnist"], "no phantom twin yet; `medkd data show breastmnist`"),
    "an unknown set": (["cxr4"], "breastmnist"),
    "broken cases in the home": (["sts_petctmr", "--with-known-issues"], "--out: expected a fol"),
    "broken cases that there are not": (["cxr3", "--with-known-issues", "--out", "x"],
                                        "no broken cases"),
    "too few to break": (["sts_petctmr", "--patients", "5", "--with-known-issues", "--out", "x"],
                         "patients ≥ 6"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_make_refuses_before_any_work(
    what: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, message = REFUSED[what]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call("data", "make", *arguments)
    assert not list(tmp_path.rglob("*.*")), "nothing was written"


@pytest.mark.parametrize("dataset", ["cxr3", "brats2023_met", "sts_petctmr"])
def test_a_filled_folder_is_left_as_it_is(dataset: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="empty folder"):
        call("data", "make", dataset, "--patients", "1", "--out", str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("arguments", [["--patients", "0"], ["-j", "0"], ["--patients", "two"]])
def test_impossible_numbers_are_refused_with_the_option(arguments: list[str]) -> None:
    code, text = call("data", "make", "cxr3", *arguments)
    assert code == 2 and arguments[0] in text


def test_list_tells_what_is_here_and_a_damaged_record_hides_nothing(home: Path) -> None:
    def told(dataset: str) -> list[str]:
        return here(load_manifest(dataset))

    record = home / "data" / "breastmnist" / ".medkd-verified.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"dataset": "breastmnist", "files": [], "unpacked": {}}))
    brought = home / "brought" / "kits19-0123abcd.json"
    brought.parent.mkdir(parents=True)
    brought.write_text(json.dumps({"dataset": "kits19"}))
    (home / "phantoms" / "code" / "cxr3-clear-2-seed0").mkdir(parents=True)
    assert told("breastmnist") == ["fetched"]
    assert told("kits19") == ["brought"] and told("lits") == []
    assert told("cxr3") == ["phantom twin made"] and told("sts_petctmr") == ["phantom twin"]
    code, text = call("data", "list")
    assert code == 0 and all(word in text for word in ("fetched", "brought", "made"))

    record.write_text("{")
    brought.write_text("[")
    assert told("breastmnist") == ["fetched (damaged record)"]
    assert told("kits19") == ["brought (damaged record)"]
    code, text = call("data", "list")
    assert code == 0 and "damaged" in text and all(name in text for name in manifest_ids())
