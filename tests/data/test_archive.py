"""Archives: the good ones in every format, and every trick and damage refused without a trace."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medkd_lib.data import archive as module
from medkd_lib.data.archive import unpack
from medkd_lib.data.problems import DataError, Problem

FILES = {"set/a.txt": b"first", "set/deep/b.bin": bytes(range(256)) * 40, "empty": b""}


def zipped(path: Path, files: dict[str, bytes], **how: int) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(path: Path, target: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/a.txt", b"first")
        info = zipfile.ZipInfo("set/link")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return path


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "a.zip": lambda p, f: zipped(p, f, compression=zipfile.ZIP_DEFLATED),
    "a.tar": tarred,
    "a.tar.gz": lambda p, f: tarred(p, f, mode="w:gz"),
    "a.tgz": lambda p, f: tarred(p, f, mode="w:gz"),
    "a.tar.xz": lambda p, f: tarred(p, f, mode="w:xz"),
    "a.tar.bz2": lambda p, f: tarred(p, f, mode="w:bz2"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_good_archives(tmp_path: Path, name: str) -> None:
    made = MAKERS[name](tmp_path / name, FILES)
    (tmp_path / "out").mkdir()  # an empty folder may be there
    files = unpack(made, tmp_path / "out")
    assert {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in files} == FILES
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
    assert {p.name for p in tmp_path.iterdir()} == {name, "out"}, "nothing else is left"


def test_a_single_gz(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(b"voxels"))
    assert unpack(tmp_path / "ct.nii.gz", tmp_path / "out") == [tmp_path / "out/ct.nii"]
    assert (tmp_path / "out/ct.nii").read_bytes() == b"voxels"


def test_junk_is_skipped_and_noted(tmp_path: Path) -> None:
    junk = {"__MACOSX/set/._a.txt": b"x", "set/._a.txt": b"x", "set/.DS_Store": b"x"}
    notes: list[Problem] = []
    made = zipped(tmp_path / "a.zip", {**junk, **FILES, "set/.hidden": b"kept"})
    names = {p.name for p in unpack(made, tmp_path / "out", notes=notes)}
    assert names == {"a.txt", "b.bin", "empty", ".hidden"}
    (note,) = notes
    assert (note.kind, note.severity) == ("junk", "warning") and "3 leavings" in note.found


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_inside_becomes_a_copy(tmp_path: Path, kind: bytes) -> None:
    target = "../empty/../set/a.txt" if kind == tarfile.SYMTYPE else "set/a.txt"
    made = tarred(tmp_path / "a.tar", FILES, special("set/link", kind, target), mode="w")
    unpack(made, tmp_path / "out")
    link = tmp_path / "out/set/link"
    assert link.read_bytes() == b"first" and not link.is_symlink() and link.stat().st_nlink == 1


def test_a_zip_link_inside_becomes_a_copy(tmp_path: Path) -> None:
    unpack(zip_link(tmp_path / "a.zip", "a.txt"), tmp_path / "out")
    assert (tmp_path / "out/set/link").read_bytes() == b"first"


EVIL_NAMES = [
    "/etc/passwd", "../out.txt", "set/../../out.txt", "C:\\out.txt", "C:/out.txt", "..\\out.txt",
    "set\\a.txt", "set/a\nb.txt", "//server/share/a", "set/a.txt:hidden", "set/10:30/a",
]  # fmt: skip


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_names_that_could_leave_the_folder(tmp_path: Path, name: str, kind: str) -> None:
    refused(MAKERS[kind](tmp_path / kind, {"good": b"x", name: b"y"}), "unsafe_name")


def test_a_nul_hides_no_name(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", {"a.txtX../../b": b"x"})
    made.write_bytes(made.read_bytes().replace(b"txtX", b"txt\0"))
    refused(made, "unsafe_name")


def refused(made: Path, kind: str, message: str = ".", **limits: float) -> None:
    """Unpacking fails with this kind, and nothing is left anywhere."""
    before = {p: p.read_bytes() for p in made.parent.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=message) as error:
        unpack(made, made.parent / "new/out", **limits)  # type: ignore[arg-type]
    assert error.value.problem.kind == kind, error.value
    assert str(made) in error.value.problem.where
    assert {p: p.read_bytes() for p in made.parent.rglob("*") if p.is_file()} == before
    assert not (made.parent / "new/out").exists()
    assert not list((made.parent / "new").glob("*"))


LINKS = [
    special("set/link", tarfile.SYMTYPE, "/etc/passwd"),
    special("set/link", tarfile.SYMTYPE, "../../a.txt"),
    special("set/link", tarfile.SYMTYPE, "deep"),  # a folder: what follows could be written there
    special("set/link", tarfile.SYMTYPE, "link"),
    special("set/link", tarfile.SYMTYPE, "nowhere"),
    special("set/link", tarfile.LNKTYPE, "../a.txt"),
    special("set/link", tarfile.LNKTYPE, "/etc/passwd"),
]


@pytest.mark.parametrize("link", LINKS, ids=lambda i: f"{i.type!r} {i.linkname}")
def test_links_that_lead_elsewhere(tmp_path: Path, link: tarfile.TarInfo) -> None:
    refused(tarred(tmp_path / "a.tar", FILES, link), "unsafe_link", "set/link")


def test_a_link_is_no_way_for_later_members(tmp_path: Path) -> None:
    first = tarred(tmp_path / "a.tar", {}, special("set", tarfile.SYMTYPE, "/tmp"))
    with tarfile.open(first, "a") as archive:
        info = tarfile.TarInfo("set/pwned")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    refused(first, "duplicate_name", "file and folder")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../a", "nowhere"])
def test_zip_links_that_lead_elsewhere(tmp_path: Path, target: str) -> None:
    refused(zip_link(tmp_path / "a.zip", target), "unsafe_link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(tmp_path: Path, kind: bytes) -> None:
    refused(tarred(tmp_path / "a.tar", FILES, special("dev", kind)), "device_file")


def test_a_name_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), \
            zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:  # fmt: skip
        archive.writestr("a.txt", b"1")
        archive.writestr("a.txt", b"2")
    refused(tmp_path / "a.zip", "duplicate_name", "'a.txt' twice")
    refused(tarred(tmp_path / "b.tar", {"a": b"1", "./a": b"2"}), "duplicate_name")
    refused(tarred(tmp_path / "c.tar", {"a": b"1", "a/b": b"2"}), "duplicate_name", "folder")
    refused(tarred(tmp_path / "d.tar", {"a/b": b"1", "a": b"2"}), "duplicate_name", "folder")


@pytest.mark.parametrize(
    "names",
    [("Scan.PNG", "scan.png"), ("P1/a.txt", "p1/b.txt"), ("P1", "p1/b.txt"),
     ("caf\u00e9", "cafe\u0301"), ("straße/a", "STRASSE/b")],
)  # fmt: skip
def test_names_that_differ_in_case_are_refused_on_every_disk(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    made = zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    refused(made, "case_collision", "use --from FOLDER")


@pytest.mark.parametrize(
    "name", ["CON", "set/nul.txt", "a/Com1.tar.gz", "LPT9 .txt", "aux/a", "a/x. ", "set/a.", "b /c"]
)
def test_names_that_windows_cannot_hold(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "a.zip", {"good": b"x", name: b"y"}), "unportable_name")


def test_names_that_only_look_like_devices(tmp_path: Path) -> None:
    names = ["CONTROL.txt", "nullen/a", "com10", "auxiliary", "a.con", ".hidden", "set/..a"]
    made = zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    assert len(unpack(made, tmp_path / "out")) == len(names)


@pytest.mark.parametrize("name", ["z.zip", "t.tar.gz", "t.tar.xz", "b.nii.gz"])
def test_bombs_by_size_and_by_ratio(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "b.nii.gz":
        (tmp_path / name).write_bytes(gzip.compress(bytes(3 << 20)))
    else:
        MAKERS["a" + name[1:]](tmp_path / name, {"zeros": bytes(3 << 20)})
    refused(tmp_path / name, "bomb", "at most 2,000,000 bytes", max_bytes=2_000_000)
    unpack(tmp_path / name, tmp_path / "fine", max_ratio=1e9)
    shutil.rmtree(tmp_path / "fine")
    monkeypatch.setattr(module, "RATIO_FROM", 1 << 20)
    refused(tmp_path / name, "bomb", "at most", max_ratio=100)


def test_copies_made_from_links_count_towards_the_limit(tmp_path: Path) -> None:
    links = [special(f"l{k}", tarfile.LNKTYPE, "big") for k in range(50)]
    made = tarred(tmp_path / "a.tar.gz", {"big": bytes(400_000)}, *links, mode="w:gz")
    assert made.stat().st_size < 10_000
    refused(made, "bomb", "1,200,000 or more, at 'l1'", max_bytes=1_000_000)
    assert len(unpack(made, tmp_path / "out", max_bytes=51 * 400_000)) == 51


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", {"zeros": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED)
    # Claim 10 bytes in the local header and in the directory.
    made.write_bytes(made.read_bytes().replace((1 << 20).to_bytes(4, "little"), b"\x0a\0\0\0"))
    refused(made, "damaged", max_bytes=1 << 30)


def test_a_claim_above_the_limit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 33
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(1 << 16))
    refused(tmp_path / "a.tar", "bomb", "8,589,934,592 or more")


def test_passwords(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", {"a.txt": b"x"})
    content = bytearray(made.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    made.write_bytes(content)
    refused(made, "encrypted", "password")


def test_an_unknown_compression(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", {"a.txt": b"x"})
    content = bytearray(made.read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + at] = 9  # Deflate64, of Windows' own zips above 4 GB
    made.write_bytes(content)
    refused(made, "unsupported_compression", "7-Zip")


@pytest.mark.parametrize("name", [*MAKERS, "a.gz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_archive(tmp_path: Path, name: str, share: float) -> None:
    content = os.urandom(40_000)
    if name == "a.gz":
        (tmp_path / name).write_bytes(gzip.compress(content))
    else:
        MAKERS[name](tmp_path / name, {f"{k}.bin": content for k in range(4)})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / name, "truncated")


def test_a_tar_cut_between_two_files_is_seen(tmp_path: Path) -> None:
    made = tarred(tmp_path / "a.tar", {"a": b"x" * 512, "b": b"y" * 512})
    made.write_bytes(made.read_bytes()[:1024])
    refused(made, "truncated", "end mark")


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    made = tarred(tmp_path / "a.tar", {"a": b"x" * 512, "b": b"y" * 512})
    content = bytearray(made.read_bytes())
    content[1024 + 148] ^= 0xFF  # the checksum of the second header
    made.write_bytes(content)
    refused(made, "truncated")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_flipped_bits(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    suffix = {"gzip": "gz", "bz2": "bz2", "lzma": "xz"}[pack.__module__]
    inner = tarred(tmp_path / "inner.tar", {"a": os.urandom(50_000)}).read_bytes()
    content = bytearray(pack(inner))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "inner.tar").unlink()
    (tmp_path / f"a.tar.{suffix}").write_bytes(content)
    with pytest.raises(DataError) as error:
        unpack(tmp_path / f"a.tar.{suffix}", tmp_path / "out")
    assert error.value.problem.kind in ("damaged", "truncated")
    assert not (tmp_path / "out").exists()


def test_a_zip_with_a_flipped_bit(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", {"a.txt": b"some text"})
    made.write_bytes(made.read_bytes().replace(b"some text", b"same text"))
    refused(made, "damaged", "CRC")


WRONG: dict[str, tuple[str, bytes, str, str]] = {
    "html": ("a.zip", b"<!DOCTYPE html><title>Sign in", "wrong_format", "login or error page"),
    "gz named zip": ("a.zip", gzip.compress(b"x"), "wrong_format", "found gzip"),
    "zip named tar": ("a.tar.gz", b"PK\x03\x04", "wrong_format", "found zip"),
    "7z": ("a.zip", b"7z\xbc\xaf\x27\x1c", "wrong_format", "unpack it yourself"),
    "no archive": ("a.nii", b"xxxx", "wrong_format", "zip, tar"),
    "text named gz": ("a.gz", b"hello", "wrong_format", "hello"),
    "empty": ("a.zip", b"", "empty_file", "0 bytes"),
    "no files": ("a.tar", bytes(10240), "empty_archive", "none"),
    "noise named tar": ("a.tar", b"noise" * 400, "damaged", "whole archive"),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_are_not_what_they_say(tmp_path: Path, case: str) -> None:
    name, content, kind, message = WRONG[case]
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, kind, message)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    made = zipped(tmp_path / "a.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(DataError, match="something in it"):
        unpack(made, tmp_path / "out")
    assert (tmp_path / "out/mine").read_text() == "x"
    with pytest.raises(DataError, match="no such file"):
        unpack(tmp_path / "none.zip", tmp_path / "new")


def test_a_full_disk_and_an_interruption_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = zipped(tmp_path / "a.zip", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        refused(made, "no_space", "100 free")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Job, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        unpack(made, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "new"}
