"""Manifests: the committed ones hold, the schema is fresh, and errors can be read."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from medkd_lib.data.manifest import (
    ManifestError,
    json_schema,
    load_manifest,
    manifest_folder,
    manifest_ids,
    read_manifest,
)


def raw(name: str = "cxr3") -> dict[str, Any]:
    content = yaml.safe_load((manifest_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_every_committed_manifest_is_valid() -> None:
    assert {"cxr3", "breastmnist", "retinamnist"} <= set(manifest_ids())
    for name in manifest_ids():
        assert load_manifest(name).id == name


def test_the_committed_schema_is_fresh_and_accepts_the_manifests() -> None:
    committed = (manifest_folder() / "schema.json").read_text(encoding="utf-8")
    assert committed == json_schema(), "run `medkd data schema`"
    schema = json.loads(committed)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in manifest_ids():
        validator.validate(raw(name))


BAD: dict[str, tuple[list[Any], Any, str]] = {
    "a misspelt key": (["licens"], {}, "licens"),
    "no patient": (["layout", "case_regex"], "(?P<case>.*)", "patient"),
    "a broken hash": (["download", 0, "files"],
                      [{"name": "a", "hash": "md5:12", "hash_source": "x"}], "md5:<32 hex>"),
    "a hash nobody vouches for": (["download", 0, "files"],
                                  [{"name": "a", "hash": "md5:" + "0" * 32}], "hash_source"),
    "a moving host without revision": (["download", 0],
                                       {"method": "kaggle", "ref": "a/b"}, "revision"),
    "a region of unknown labels": (["labels", "regions"], {"all": [0, 9]}, r"\[9\]"),
    "two labels with one id": (["labels", "values", 1, "id"], 0, "twice"),
    "two labels become one": (["labels", "remap"], {1: 2, 2: 2}, "become one"),
    "a remap to nowhere": (["labels", "remap"], {9: 7}, r"\[7\] undefined"),
    "a relabel to nowhere": (["known_issues"], [
        {"cases": ["*"], "what": "w", "action": "relabel", "source": "s", "role": "image",
         "to": "1->300"}], r"relabel to \[300\]"),
    "a pattern that is none": (["layout", "case_regex"], "(?P<patient>", "not a regular expr"),
    "a root outside": (["layout", "root"], "../elsewhere", "stays in data_root"),
    "an absolute glob": (["layout", "images", "image"], "/etc/*", "stays in data_root"),
    "a glob that climbs": (["layout", "images", "image"], {"glob": ["a/../../*"]}, "data_root"),
    "a drive": (["layout", "images", "image"], "C:/x/*", "stays in data_root"),
    "a backslash": (["layout", "images", "image"], "x\\y", "stays in data_root"),
    "stars within a name": (["layout", "images", "image"], "a**/b", "whole part"),
    "no glob": (["layout", "images", "image"], "", "stays in data_root"),
    "a table outside": (["layout", "table"], {"file": "../l.csv", "key": "a", "label": "b"},
                        "table.file"),
    "a rename to the folder above": (["known_issues"], [
        {"cases": ["*"], "what": "w", "action": "rename", "source": "s", "role": "image",
         "to": ".."}], "stays in data_root"),
    "an unknown access": (["access", "level"], "free", "access.level"),
    "another id": (["id"], "other", "differs from the file name"),
    "a direct link to gated data": (["licence", "redistribute"], False, "gated"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_errors_name_file_and_field(case: str, tmp_path: Path) -> None:
    keys, value, message = BAD[case]
    content = copy.deepcopy(raw())
    if case == "a direct link to gated data":
        content["access"]["level"] = "dua"
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path = tmp_path / "cxr3.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ManifestError, match=message) as error:
        read_manifest(path)
    assert "cxr3.yaml" in str(error.value)


def test_an_unknown_dataset_lists_what_there_is() -> None:
    with pytest.raises(ManifestError, match="breastmnist, chaos"):
        load_manifest("cxr4")


def test_broken_yaml(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [1,", encoding="utf-8")
    with pytest.raises(ManifestError, match="not valid YAML"):
        read_manifest(tmp_path / "x.yaml")
