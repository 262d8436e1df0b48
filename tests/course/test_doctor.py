"""`medkd doctor` names what is missing and how to get it, and changes nothing."""

from importlib import metadata
from pathlib import Path

import pytest

from medkd_lib.course import doctor
from medkd_lib.course.doctor import Finding, diagnose, healthy


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKD_HOME", str(tmp_path_factory.mktemp("home")))
        return {finding.subject: finding for finding in diagnose()}


def test_it_looks_at_what_lessons_need(findings: dict[str, Finding]) -> None:
    wanted = {"Python", "torch", "papermill", "Device", "Threads", "medkd home", "Free disk"}
    assert wanted <= set(findings)
    assert findings["torch"].found == metadata.version("torch")


def test_what_is_not_well_says_what_to_do(findings: dict[str, Finding]) -> None:
    assert all(finding.fix for finding in findings.values() if finding.level != "ok")


def test_an_old_and_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        return ["numpy<9,>=99.0", "no-such-package>=1", "pydantic>=2", "ruff>=99; extra == 'test'"]

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    found = {finding.subject: finding for finding in doctor._packages()}
    assert found["numpy"].level == "missing" and "older than 99.0" in found["numpy"].found
    assert found["no-such-package"].fix == "pip install 'no-such-package>=1'"
    assert found["pydantic"].level == "ok" and "ruff" not in found
    assert not healthy(list(found.values())) and healthy([found["pydantic"]])


@pytest.mark.parametrize(
    ("older", "newer"), [("2.9", "2.10"), ("2.11.0+cpu", "2.12"), ("1.6rc1", "1.6.1")]
)
def test_versions_compare_by_number(older: str, newer: str) -> None:
    assert doctor._release(older) < doctor._release(newer)


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path / "file" / "home"))
    (finding,) = doctor._home()
    assert finding.level == "missing" and "MEDKD_HOME" in finding.fix
