"""`medkd data get`: what it says, what it asks, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from medkd_lib import cli_data_get
from medkd_lib.data import manifest as manifests
from medkd_lib.data.host_steps import steps
from medkd_lib.data.manifest import Manifest, load_manifest, manifest_ids
from medkd_lib.data.problems import DataError
from tests.data.hosts import fact, manifest
from tests.data.test_bring import lay_out
from tests.data.test_fetch import BODY, host, pauses  # noqa: F401  (fixtures)

Give = Callable[[Manifest], None]
app = typer.Typer()
cli_data_get.register(app)
app.command("other")(lambda: None)  # two commands, so that each keeps its name


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Let the command find this manifest under any name."""
    return lambda it: monkeypatch.setattr(manifests, "load_manifest", lambda _: it)


def call(*arguments: str, **how: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["get", "toy", *arguments], **how)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_download_says_how_to_go_on(host: Any, give: Give, tmp_path: Path) -> None:  # noqa: F811
    give(manifest(fact(host, "a.bin")))
    out = tmp_path / "out"
    code, shown, _ = call("--accept-licence", "--out", str(out))
    assert code == 0 and (out / "a.bin").read_bytes() == BODY
    assert shown.splitlines()[-2:] == [
        f"data_root: {out}", f"next: medkd data check toy --root {out}"]  # fmt: skip
    code, shown, _ = call("--accept-licence", "--out", str(out), "--json")
    assert json.loads(shown)["data_root"] == str(out)


def test_without_a_terminal_the_licence_needs_the_flag(host: Any, give: Give) -> None:  # noqa: F811
    give(manifest(fact(host, "a.bin")))
    with pytest.raises(DataError, match="--accept-licence"):
        call()
    assert host.seen == []


@pytest.mark.parametrize(("answer", "fetched"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_at_a_terminal_it_asks(
    host: Any, give: Give, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
    answer: str, fetched: bool,
) -> None:  # fmt: skip
    give(manifest(fact(host, "a.bin")))

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    monkeypatch.setattr(cli_data_get, "sys", type("S", (), {"stdin": Terminal, "stderr": Terminal}))
    if fetched:
        _, _, shown = call("--out", str(tmp_path / "out"), input=answer)
        assert "CC BY 4.0" in shown and "Do you accept" in shown
    else:
        with pytest.raises(DataError, match="a yes to its licence"):
            call("--out", str(tmp_path / "out"), input=answer)
    assert (tmp_path / "out/a.bin").exists() == fetched == bool(host.seen)


def test_a_host_that_wants_a_person_is_exit_code_3(give: Give) -> None:
    give(manifest(download=[{"method": "synapse", "ref": "syn1"}], access={"level": "dua"}))
    code, shown, _ = call()
    assert code == 3 and "synapse get -r syn1" in shown
    code, shown, _ = call("--json")
    assert code == 3 and "SYNAPSE_AUTH_TOKEN" in json.loads(shown)["steps"]


@pytest.mark.parametrize("level", ["blocked", "private"])
def test_what_nobody_can_fetch_is_exit_code_1(give: Give, level: str) -> None:
    give(manifest(download=[], access={"level": level, "steps": ["The project's name."]}))
    code, shown, _ = call()
    assert code == 1 and "1. The project's name." in shown


def test_from(give: Give, home: Path, tmp_path: Path) -> None:
    give(manifest(access={"level": "dua"}))
    root = lay_out(tmp_path / "mine", patients=1)
    code, shown, warned = call("--from", str(root))
    assert code == 0 and f"data_root: {root}" in shown and "1 cases of toy" in shown
    assert "warning" in warned and "fetched a part on purpose" in warned
    assert json.loads(call("--from", str(root), "--json")[1])["cases"] == 1


COMMANDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "idc": ({"ref": "hcc_tace_seg", "revision": "v25"},
            "idc download hcc_tace_seg --download-dir '/d a'", "release v25"),
    "synapse": ({"ref": "syn51514105"},
                "synapse get -r syn51514105 --downloadLocation '/d a'", "SYNAPSE_AUTH_TOKEN"),
    "kaggle": ({"ref": "o/s", "revision": "5"},
               "kaggle datasets download o/s/5 -p '/d a' --unzip", "KAGGLE_API_TOKEN"),
    "huggingface": ({"ref": "o/s", "revision": "abc"},
                    "hf download o/s --repo-type dataset --revision abc --local-dir '/d a'",
                    "HF_TOKEN"),
    "roboflow": ({"ref": "w/p", "revision": "3"}, "roboflow download -f coco -l '/d a' w/p/3",
                 "ROBOFLOW_API_KEY"),
    "tcia_aspera": ({"ref": "10.7937/x"}, "ascli faspex5 packages receive", "md5sum -c"),
    "manual": ({"ref": "the archive", "recipe": ["Ask nicely."]}, "Put the files (the archive)",
               "Ask nicely."),
    "doi": ({"ref": "10.1/x"}, "from doi:10.1/x into '/d a'", "--from '/d a'"),
}  # fmt: skip


@pytest.mark.parametrize("method", COMMANDS)
def test_each_host_has_its_own_command(method: str) -> None:
    how, command, also = COMMANDS[method]
    of = manifest(
        download=[{"method": method, **how}],
        access={"level": "account", "url": "the page", "steps": ["Log in."],
                "env": ["EXTRA_TOKEN"], "ai_tools_prohibited": True},
    )  # fmt: skip
    text = steps(of, Path("/d a"))
    assert command in text and also in text and "Page: the page" in text
    assert "EXTRA_TOKEN" in text and "AI tools" in text
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert [line.split(".")[0].strip() for line in lines] == [
        str(n) for n in range(1, len(lines) + 1)]  # fmt: skip
    assert lines[0] == "  1. Log in." and "medkd data get toy --from '/d a'" in lines[-1]


def test_every_committed_manifest_has_steps() -> None:
    for name in manifest_ids():
        of = load_manifest(name)
        text = steps(of, Path("folder"))
        blocked = of.access.level in ("blocked", "private")
        assert text.startswith(name) and (blocked or f"medkd data get {name} --from" in text)
