"""Downloads against a host on the loopback device: what comes, what is refused, what goes on."""

import gzip
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from urllib3.response import HTTPResponse

from medkd_lib.data import resume
from medkd_lib.data.fetch import get
from medkd_lib.data.fetch_plan import NotObtainableError, YourTurnError, choose_files
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.verified import RECORD_NAME
from tests.data.hosts import Host, fact, manifest, serve

BODY = bytes(range(256)) * 8000  # 2 MB: two blocks


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    return stream.getvalue()


PATIENTS = zipped({"set/p1.png": png(), "set/p2.png": png(), "__MACOSX/._p1.png": b"x"})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test waits: the pauses that would have been made are listed."""
    made: list[float] = []
    original = resume.ResumingDownload.__init__

    def quick(self: resume.ResumingDownload, *a: Any, **k: Any) -> None:
        original(self, *a, **k)
        self.sleep = made.append

    monkeypatch.setattr(resume.ResumingDownload, "__init__", quick)
    return made


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Host]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serve() as running:
        running.files = {"a.bin": BODY, "set.zip": PATIENTS}
        yield running


def fetch(host: Host, out: Path, *names: str, **how: Any) -> Path:
    facts = [fact(host, name) for name in names or ("a.bin",)]
    return get(manifest(*facts), out, accept_licence=True, progress=False, **how)


def left(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file()} if folder.exists() else set()


def test_a_good_file_is_fetched_once_and_recorded(host: Host, tmp_path: Path) -> None:
    root = fetch(host, tmp_path / "out")
    assert (root / "a.bin").read_bytes() == BODY and left(root) == {"a.bin", RECORD_NAME}
    record = json.loads((root / RECORD_NAME).read_text())
    assert record["files"] == [{
        "name": "a.bin", "bytes": len(BODY), "verified": True,
        "hash": f"md5:{hashlib.md5(BODY).hexdigest()}",
    }]  # fmt: skip
    assert record["licence"] == {"name": "CC BY 4.0", "accepted": "before the download"}
    assert record["tools"]["pooch"] and record["date"].endswith("+00:00")
    fetch(host, tmp_path / "out")
    assert len(host.seen) == 1, "a verified file is not downloaded again"
    (root / RECORD_NAME).unlink()
    fetch(host, tmp_path / "out")
    assert len(host.seen) == 1 and (root / RECORD_NAME).is_file()


def test_the_default_folder_is_in_the_medkd_home(host: Host, home: Path) -> None:
    facts = fact(host, "a.bin")
    assert get(manifest(facts), accept_licence=True, progress=False) == home / "data" / "toy"


def test_a_damaged_file_is_fetched_again(host: Host, tmp_path: Path) -> None:
    root = fetch(host, tmp_path / "out")
    (root / "a.bin").write_bytes(BODY[:-1] + b"\0")
    fetch(host, tmp_path / "out")
    assert (root / "a.bin").read_bytes() == BODY and len(host.seen) == 2


def test_a_wrong_hash_leaves_nothing_and_names_both(host: Host, tmp_path: Path) -> None:
    wrong = fact(host, "a.bin", hash="sha256:" + "0" * 64)
    with pytest.raises(DataError) as error:
        get(manifest(wrong), tmp_path / "out", accept_licence=True, progress=False)
    assert error.value.problem.kind == "hash_mismatch"
    assert error.value.problem.expected == "sha256:" + "0" * 64
    assert error.value.problem.found == hashlib.sha256(BODY).hexdigest()
    assert left(tmp_path) == set()


def test_the_licence_comes_first(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CC BY 4\.0[^$]*Toy et al") as error:
        get(manifest(fact(host, "a.bin")), tmp_path / "out", accept_licence=False)
    assert error.value.problem.kind == "licence_not_accepted"
    assert host.seen == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_repeated(host: Host, tmp_path: Path, status: int) -> None:
    host.answers = [status]
    with pytest.raises(DataError, match=str(status)) as error:
        fetch(host, tmp_path / "out")
    assert error.value.problem.kind == "refused_by_server" and len(host.seen) == 1
    assert left(tmp_path) == set()


def test_a_busy_server_is_asked_again(host: Host, tmp_path: Path, pauses: list[float]) -> None:
    host.answers = [500, 503, 429]
    root = fetch(host, tmp_path / "out")
    assert (root / "a.bin").read_bytes() == BODY
    assert pauses == [7, 7, 7], "as long as Retry-After says"


def test_a_dead_server_is_given_up(tmp_path: Path, host: Host, pauses: list[float]) -> None:
    nowhere = fact(host, "a.bin", url=f"http://{'127.0.0.1'}:9/a.bin")
    with pytest.raises(DataError, match="5 attempts in vain") as error:
        get(manifest(nowhere), tmp_path / "out", accept_licence=True, progress=False)
    assert error.value.problem.kind == "no_connection" and pauses == [1, 2, 4, 8]


def test_a_broken_connection_goes_on_by_range(host: Host, tmp_path: Path) -> None:
    host.cut_after, host.cuts = 900_000, 2
    root = fetch(host, tmp_path / "out")
    assert (root / "a.bin").read_bytes() == BODY
    assert [asked for _, asked in host.seen] == ["", "bytes=900000-", "bytes=1800000-"]
    assert left(root) == {"a.bin", RECORD_NAME}


def test_without_ranges_it_starts_again(host: Host, tmp_path: Path) -> None:
    host.cut_after, host.cuts, host.ranges = 900_000, 1, False
    assert (fetch(host, tmp_path / "out") / "a.bin").read_bytes() == BODY
    host.cuts = 1_000
    (tmp_path / "out/a.bin").unlink()
    with pytest.raises(DataError, match="attempts in vain"):
        fetch(host, tmp_path / "out")  # always cut at one place: no endless loop


def test_control_c_leaves_no_half_file_and_the_next_call_goes_on(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bar:
        def __init__(self, **_: object) -> None:
            pass

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, _: int) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resume, "tqdm", Bar)
        with pytest.raises(KeyboardInterrupt):
            fetch(host, tmp_path / "out")
    assert left(tmp_path) == {".a.bin.part", ".a.bin.part.tag"}, "no half file, no temporary one"
    assert (fetch(host, tmp_path / "out") / "a.bin").read_bytes() == BODY
    assert host.seen[-1][1].startswith("bytes=")


def test_another_version_on_the_server_starts_again(host: Host, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"old" * 100)
    part.with_name("x.part.tag").write_text('"v0"')
    resume.ResumingDownload(part, False)(host.url("a.bin"), str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_part_without_tag_is_continued_only_if_a_hash_will_judge(
    host: Host, tmp_path: Path
) -> None:
    host.tag = ""
    for has_hash, asked in ((True, "bytes=1000-"), (False, "")):
        (tmp_path / "x.part").write_bytes(BODY[:1000])
        resume.ResumingDownload(tmp_path / "x.part", has_hash)(
            host.url("a.bin"), str(tmp_path / "x")
        )
        assert host.seen[-1][1] == asked and (tmp_path / "x").read_bytes() == BODY


def test_a_part_that_is_whole_or_too_long(host: Host, tmp_path: Path) -> None:
    for content in (BODY, BODY + b"more"):
        (tmp_path / "x.part").write_bytes(content)
        resume.ResumingDownload(tmp_path / "x.part", True, sleep=lambda _: None)(
            host.url("a.bin"), str(tmp_path / "x")
        )
        assert (tmp_path / "x").read_bytes() == BODY


def test_redirects_and_unknown_length(host: Host, tmp_path: Path) -> None:
    host.length = False
    moved = fact(host, "a.bin", url=host.url("moved/a.bin"))
    root = get(manifest(moved), tmp_path / "out", accept_licence=True, progress=False)
    assert (root / "a.bin").read_bytes() == BODY
    assert [path for path, _ in host.seen] == ["moved/a.bin", "a.bin"]


def test_stored_bytes_arrive_although_the_server_calls_them_an_encoding(
    host: Host, tmp_path: Path
) -> None:
    host.files["ct.nii.gz"], host.encoding = gzip.compress(b"voxels"), "gzip"
    root = fetch(host, tmp_path / "out", "ct.nii.gz")
    assert (root / "ct.nii.gz").read_bytes() == host.files["ct.nii.gz"], "and it is not unpacked"
    assert host.encodings == ["identity"]


def test_fewer_bytes_than_announced_are_seen_without_a_hash(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HTTPResponse.stream
    blocks = [BODY[:1000]]

    def short(self: HTTPResponse, *a: Any, **k: Any) -> Any:
        return iter([blocks.pop()]) if blocks else real(self, *a, **k)

    monkeypatch.setattr(HTTPResponse, "stream", short)
    download = resume.ResumingDownload(tmp_path / "x.part", False, sleep=lambda _: None)
    download(host.url("a.bin"), str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY and host.seen[-1][1] == "bytes=1000-"


def test_another_size_is_refused_before_it_is_fetched(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 13,000 bytes, found 2,048,000") as error:
        get(manifest(fact(host, "a.bin", bytes=13_000)), tmp_path / "out", accept_licence=True,
            progress=False)  # fmt: skip
    assert error.value.problem.kind == "wrong_size" and left(tmp_path) == set()


def test_free_space_is_checked_before(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    large = manifest(fact(host, "a.bin", bytes=10**12))
    with pytest.raises(DataError, match=r"1000\.0 GB and a reserve, found 1\.0 GB") as error:
        get(large, tmp_path / "out", accept_licence=True)
    assert error.value.problem.kind == "no_space" and host.seen == []


def test_a_disk_that_fills_up(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    original = Path.open

    def opened(self: Path, mode: str = "r", *a: Any, **k: Any) -> Any:
        return Full() if self.name.endswith(".part") else original(self, mode, *a, **k)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(DataError, match="No space left") as error:
        fetch(host, tmp_path / "out")
    assert error.value.problem.kind == "no_space" and "a.bin" not in left(tmp_path)


def test_without_a_published_hash(host: Host, tmp_path: Path) -> None:
    bare = manifest(fact(host, "a.bin", hashed=False))
    with pytest.raises(DataError, match="--unverified") as error:
        get(bare, tmp_path / "out", accept_licence=True, progress=False)
    assert error.value.problem.kind == "no_known_hash" and host.seen == []
    root = get(bare, tmp_path / "out", accept_licence=True, progress=False, unverified=True)
    (row,) = json.loads((root / RECORD_NAME).read_text())["files"]
    assert row["hash"] == "sha256:" + hashlib.sha256(BODY).hexdigest() and not row["verified"]
    # From now on that sum counts.
    host.files["a.bin"] = b"changed"
    (root / "a.bin").unlink()
    with pytest.raises(DataError, match=row["hash"]):
        get(bare, tmp_path / "out", accept_licence=True, progress=False)


def test_archives_are_unpacked_once_and_may_then_be_removed(host: Host, tmp_path: Path) -> None:
    notes: list[Problem] = []
    root = fetch(host, tmp_path / "out", "set.zip", "a.bin", notes=notes)
    assert left(root) == {"a.bin", "set.zip", "p1.png", "p2.png", RECORD_NAME}
    assert [n.kind for n in notes] == ["junk"]
    (root / "set.zip").unlink()
    fetch(host, tmp_path / "out", "set.zip", "a.bin")
    assert len(host.seen) == 2
    (root / "set/p1.png").unlink()
    fetch(host, tmp_path / "out", "set.zip", "a.bin")
    assert len(host.seen) == 3 and (root / "set/p1.png").is_file()


def test_an_archive_that_says_it_is_not_to_be_unpacked(host: Host, tmp_path: Path) -> None:
    kept = manifest(fact(host, "set.zip", unpack=False))
    root = get(kept, tmp_path / "out", accept_licence=True, progress=False)
    assert left(root) == {"set.zip", RECORD_NAME}


def test_an_archive_that_climbs_out(host: Host, tmp_path: Path) -> None:
    host.files["evil.zip"] = zipped({"../../evil.txt": b"x", "good": b"y"})
    with pytest.raises(DataError) as error:
        fetch(host, tmp_path / "out", "evil.zip")
    assert error.value.problem.kind == "unsafe_name"
    assert left(tmp_path) == {"evil.zip"}, "verified, but nothing came out, and no record"


def test_files_of_the_user_are_not_replaced(host: Host, tmp_path: Path) -> None:
    (tmp_path / "out/set").mkdir(parents=True)
    (tmp_path / "out/set/p2.png").write_bytes(b"mine")
    with pytest.raises(DataError) as error:
        fetch(host, tmp_path / "out", "set.zip")
    assert error.value.problem.kind == "file_in_the_way"
    assert left(tmp_path) == {"set.zip", "p2.png"}
    assert (tmp_path / "out/set/p2.png").read_bytes() == b"mine"


def test_a_folder_of_another_dataset(host: Host, tmp_path: Path) -> None:
    fetch(host, tmp_path / "out")
    other = manifest(fact(host, "a.bin"), id="other")
    with pytest.raises(DataError, match="expected a folder for other, found toy"):
        get(other, tmp_path / "out", accept_licence=True)


def test_names_with_a_way_out_are_refused(host: Host, tmp_path: Path) -> None:
    evil = manifest(fact(host, "a.bin") | {"name": "../a.bin"})
    with pytest.raises(DataError) as error:
        get(evil, tmp_path / "out", accept_licence=True)
    assert error.value.problem.kind == "unsafe_name" and host.seen == []


def test_which_files_of_a_release(host: Host) -> None:
    several = manifest(
        *({"name": f"toy{size}.npz"} for size in ("", "_64", "_128")),
        layout={"kind": "npz", "images": {"image": "toy.npz"}},
    )  # fmt: skip
    download = several.download[0]
    assert [f.name for f in choose_files(several, download)] == ["toy.npz"]
    assert [f.name for f in choose_files(several, download, ["toy_64.npz"])] == ["toy_64.npz"]
    with pytest.raises(DataError, match="toy_65") as error:
        choose_files(several, download, ["toy_65.npz"])
    assert error.value.problem.kind == "unknown_file"


class Answer:
    """What the two requests behind a Zenodo DOI give."""

    def __init__(self, url: str, content: object = None, status: int = 200) -> None:
        self.url, self.status_code, self._content = url, status, content

    def json(self) -> object:
        return self._content

    def raise_for_status(self) -> None:
        raise requests.HTTPError(f"{self.status_code} for {self.url}")


def test_a_doi_is_resolved_through_the_host_of_the_record(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    listing = {"files": [{"key": "a.bin", "links": {"self": host.url("a.bin")}}]}
    real = requests.get

    def answer(url: str, **how: Any) -> Any:
        asked.append(url)
        if "doi.org" in url:
            return Answer(f"https://{'zenodo.org'}/records/42")
        return Answer(url, listing) if "api/records" in url else real(url, **how)

    monkeypatch.setattr(requests, "get", answer)
    by_doi = {**fact(host, "a.bin"), "url": None}
    download = {"method": "doi", "ref": "10.5281/zenodo.42", "files": [by_doi]}
    root = get(manifest(download=[download]), tmp_path / "out", accept_licence=True, progress=False)
    assert (root / "a.bin").read_bytes() == BODY
    assert asked[0].endswith("doi.org/10.5281/zenodo.42")
    assert asked[1].endswith("api/records/42") and asked[2] == host.url("a.bin")
    # The record has no such file; the DOI does not exist.
    (root / RECORD_NAME).unlink()
    (root / "a.bin").unlink()
    listing["files"].clear()
    for broken in (answer, lambda url, **_: Answer(url, status=404)):
        monkeypatch.setattr(requests, "get", broken)
        with pytest.raises(DataError, match=r"doi:10\.5281/zenodo\.42") as error:
            get(manifest(download=[download]), tmp_path / "out", accept_licence=True)
        assert error.value.problem.kind == "doi_unresolved"


def test_a_second_source(host: Host, tmp_path: Path) -> None:
    ways = [
        {"method": "http", "ref": host.address, "files": [{**fact(host, "a.bin"), "url": None}]},
        {"method": "http", "ref": "x", "files": [fact(host, "set.zip")]},
    ]
    two = manifest(download=ways)
    assert (get(two, tmp_path / "1", accept_licence=True, progress=False) / "a.bin").is_file()
    second = get(two, tmp_path / "2", accept_licence=True, progress=False, source=2)
    assert "set.zip" in left(second)
    with pytest.raises(DataError, match="from 1 to 2"):
        get(two, tmp_path / "3", accept_licence=True, source=3)


@pytest.mark.parametrize("level", ["account", "dua", "application", "restricted"])
def test_what_needs_a_person_is_handed_back(host: Host, level: str, tmp_path: Path) -> None:
    gated = manifest(fact(host, "a.bin"), access={"level": level, "steps": ["Ask the owner."]})
    with pytest.raises(YourTurnError, match=r"1\. Ask the owner"):
        get(gated, tmp_path / "out", accept_licence=True)
    assert host.seen == [] and not (tmp_path / "out").exists()


def test_what_nobody_can_fetch(tmp_path: Path) -> None:
    blocked = manifest(download=[], access={"level": "blocked", "steps": ["Its project's name."]})
    with pytest.raises(NotObtainableError, match=r"cannot be fetched[^$]*1\. Its project's name"):
        get(blocked, tmp_path / "out", accept_licence=True)
