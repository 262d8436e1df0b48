"""What is declared, pinned and explained agrees: pyproject, constraints, environment."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = (ROOT / "environment.yml").read_text()


def declared() -> dict[str, str]:
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    return {canonicalize_name(Requirement(x).name): str(Requirement(x).specifier) for x in lines}


def pip_list() -> list[str]:
    dependencies = yaml.safe_load(ENVIRONMENT)["dependencies"]
    return next(d["pip"] for d in dependencies if isinstance(d, dict))


def pins() -> dict[str, list[str]]:
    """Pinned versions of each package; more than one where Pythons need different ones."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            pinned = Requirement(line)
            version = str(pinned.specifier).removeprefix("==")
            found.setdefault(canonicalize_name(pinned.name), []).append(version)
    return found


def test_environment_and_pyproject_name_the_same_packages() -> None:
    named = {
        canonicalize_name(Requirement(line).name): str(Requirement(line).specifier)
        for line in pip_list()
        if not line.startswith("-")
    }
    assert named == declared()
    assert "-e ." in pip_list() and "-c constraints.txt" in pip_list()


def test_the_grading_extra_is_part_of_what_is_tested() -> None:
    assert set(PROJECT["optional-dependencies"]["grade"]) <= set(
        PROJECT["optional-dependencies"]["test"]
    )


def test_every_line_of_the_environment_has_a_reason() -> None:
    entries = [x for x in ENVIRONMENT.splitlines() if re.match(r"\s+- \S", x)]
    bare = [x for x in entries if "pip:" not in x and "conda-forge" not in x and "  # " not in x]
    assert len(entries) > 30 and bare == []


def test_every_declared_package_is_pinned_within_its_bounds() -> None:
    for name, specifier in declared().items():
        bounds = Requirement(f"{name}{specifier}").specifier
        assert pins().get(name), f"{name} is not in constraints.txt"
        assert all(bounds.contains(version) for version in pins()[name]), (name, pins()[name])


def test_constraints_hold_names_and_versions_only() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text and " @ " not in text
    assert pins()["torch"] == ["2.14.1"]


def test_supported_pythons_agree() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert all(f'"{v}"' in workflow for v in ("3.11", "3.12", "3.13"))
    python = next(d for d in yaml.safe_load(ENVIRONMENT)["dependencies"] if "python" in str(d))
    assert python in ("python=3.11", "python=3.12", "python=3.13")


def tracked_texts() -> dict[Path, str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    texts = {}
    for name in filter(None, listed.split("\0")):
        try:
            texts[Path(name)] = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
    return texts


def test_files_name_known_hosts_only() -> None:
    """Origins of data, licences and schemas; no package registry and no passing mirror."""
    known = {
        # licences, identifiers, schemas
        "www.apache.org", "creativecommons.org", "doi.org", "json-schema.org",
        "schemas.openxmlformats.org",
        # home pages of data sets
        "adni.loni.usc.edu", "aimi.stanford.edu", "amos22.grand-challenge.org",
        "chaos.grand-challenge.org", "competitions.codalab.org", "isles22.grand-challenge.org",
        "medicaldecathlon.com", "medmnist.com", "nihcc.app.box.com", "sites.wustl.edu",
        "www.med.upenn.edu",
        # hosts where owners keep them; files of a repository are named by their commit
        "github.com", "imaging.datacommons.cancer.gov", "msd-for-monai.s3-us-west-2.amazonaws.com",
        "git-lfs.github.com", "raw.githubusercontent.com", "www.kaggle.com", "www.synapse.org",
    }  # fmt: skip
    for path, text in tracked_texts().items():
        assert set(re.findall(r"https?://([A-Za-z0-9.-]+)", text)) <= known, path


def test_only_the_ci_script_looks_outside_the_checkout() -> None:
    for path, text in tracked_texts().items():
        outside = re.findall(r"\.\./shared|(?<![\w.])/(?:root|opt|work)/", text)
        assert not outside or path.parts[0] == ".ci" or path == Path("tests/test_packaging.py"), (
            path
        )
