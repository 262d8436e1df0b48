"""What is declared, pinned and explained agrees: pyproject, constraints, environment."""

import re
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


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


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
        pinned = pins().get(name)
        assert pinned is not None, f"{name} is not in constraints.txt"
        assert Requirement(f"{name}{specifier}").specifier.contains(pinned), (name, pinned)


def test_constraints_hold_names_and_versions_only() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text and " @ " not in text
    assert pins()["torch"].startswith("2.14.")


def test_supported_pythons_agree() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert all(f'"{v}"' in workflow for v in ("3.11", "3.12", "3.13"))
    python = next(d for d in yaml.safe_load(ENVIRONMENT)["dependencies"] if "python" in str(d))
    assert python in ("python=3.11", "python=3.12", "python=3.13")


def test_the_repository_speaks_of_the_product_alone() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|/work/|/root/")
    skipped = {".git", ".venv", "runs", "__pycache__"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if skipped & set(parts) or not path.is_file() or path == Path(__file__):
            continue
        if any(p.startswith(".") and p not in (".ci", ".github") for p in parts[:-1]):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        assert not hosts.search(text), path
