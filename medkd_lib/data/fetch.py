"""`medkd data get`: open files come by HTTP or DOI, verified, resumable, unpacked, recorded.

What a person has to do with an account or an application is not done here: the error
`YourTurnError` carries the steps (:mod:`medkd_lib.data.host_steps`), and
:func:`medkd_lib.data.bring.bring` verifies what they come back with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pooch

from medkd_lib.data.fetch_plan import (
    address_of,
    automatic_way,
    check_space,
    choose_files,
    known_hashes,
    part_file,
    to_unpack,
)
from medkd_lib.data.host_steps import licence_text
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import Download, FileFact
from medkd_lib.data.merge import unpack_into
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.resume import ResumingDownload
from medkd_lib.data.verified import RECORD_NAME, read_record, still_unpacked, write_record
from medkd_lib.home import medkd_home


def get(
    manifest: Manifest,
    out: Path | None = None,
    *,
    accept_licence: bool,
    progress: bool = True,
    unverified: bool = False,
    files: Sequence[str] = (),
    source: int = 1,
    notes: list[Problem] | None = None,
) -> Path:
    """Download, verify and unpack a dataset; return the folder to name as ``data_root``.

    A finished file is not fetched again, a started one is continued, a wrong one is removed.

    Args:
        manifest: the dataset.
        out: the folder; default ``data/ID`` in the medkd home.
        accept_licence: the person has read the licence and says yes.
        progress: draw bars on stderr.
        unverified: take files of which the manifest knows no hash; theirs is then written down
            and must come again.
        files: names to fetch; default: what the layout reads (an archive in several sizes), or all.
        source: which of the manifest's automatic downloads, counted from 1.
        notes: takes warnings of the archives.

    Raises:
        YourTurnError, NotObtainableError: nothing can be done automatically.
        DataError: kinds ``licence_not_accepted``, ``unknown_file``, ``no_known_hash``,
            ``hash_mismatch``, ``wrong_size``, ``refused_by_server``, ``no_connection``,
            ``doi_unresolved``, ``no_space``, ``other_dataset``, ``file_in_the_way`` and those of
            :func:`medkd_lib.data.archive.unpack`.
    """
    folder = (out or default_folder(manifest)).absolute()
    download = automatic_way(manifest, folder, source)
    chosen = choose_files(manifest, download, files)
    if not accept_licence:
        raise bad(
            "licence_not_accepted", manifest.id, expected="a yes to its licence",
            found="no answer, so nothing was fetched", next_step=f"read it and, if you agree, "
            f"run `medkd data get {manifest.id} --accept-licence`: {licence_text(manifest)}",
        )  # fmt: skip
    record = read_record(folder)
    if record and record["dataset"] != manifest.id:
        raise bad(
            "other_dataset", folder, expected=f"a folder for {manifest.id}",
            found=record["dataset"], next_step="name another folder with --out",
        )  # fmt: skip
    known = known_hashes(chosen, record, unverified)
    missing = [f for f in chosen if not _is_done(folder, f, known[f.name], record)]
    check_space(folder, missing)
    rows: dict[str, dict[str, Any]] = {r["name"]: r for r in (record or {}).get("files", [])}
    unpacked: dict[str, Any] = dict((record or {}).get("unpacked", {}))
    for fact in missing:
        path = _fetch(folder, download, fact, known[fact.name], progress)
        rows[fact.name] = {
            "name": fact.name, "bytes": path.stat().st_size,
            "hash": known[fact.name] or f"sha256:{pooch.file_hash(str(path))}",
            "verified": fact.hash is not None,
        }  # fmt: skip
        if to_unpack(fact):
            unpacked[fact.name] = unpack_into(path, folder, notes)
    if missing:
        write_record(
            folder / RECORD_NAME, manifest, how="downloaded",
            licence_accepted="before the download", files=list(rows.values()), unpacked=unpacked,
        )  # fmt: skip
    return folder


def default_folder(manifest: Manifest) -> Path:
    """Return where a dataset lies unless told otherwise."""
    return medkd_home() / "data" / manifest.id


def _is_done(
    folder: Path, fact: FileFact, known: str | None, record: dict[str, Any] | None
) -> bool:
    """Whether nothing is left to do: the file is verified, or was and has been unpacked."""
    recorded = {row["name"]: row["hash"] for row in (record or {}).get("files", [])}
    if known is None or recorded.get(fact.name) != known:
        return False
    if to_unpack(fact):
        return still_unpacked(folder, record, fact.name)
    path = folder / fact.name
    return path.is_file() and pooch.file_hash(str(path), known.split(":")[0]) in known


def _fetch(
    folder: Path, download: Download, fact: FileFact, known: str | None, progress: bool
) -> Path:
    """Fetch one file through pooch: it appears under its name only if its hash is right."""
    path = folder / fact.name
    path.parent.mkdir(parents=True, exist_ok=True)
    done = path.is_file() and (
        known is None or pooch.file_hash(str(path), known.split(":")[0]) in known
    )
    url = "" if done else address_of(download, fact)
    downloader = ResumingDownload(part_file(folder, fact), known is not None, fact.bytes, progress)
    try:
        pooch.retrieve(url, known, fname=fact.name, path=folder, downloader=downloader)
    except ValueError as error:
        match = re.search(r"but got (\w+)", str(error))
        if not match:
            raise
        raise bad(
            "hash_mismatch", url, expected=str(known), found=match.group(1),
            next_step="nothing was kept; fetch it again, and if it differs again the host changed "
            "the file: tell the maintainers of the manifest",
        ) from error  # fmt: skip
    return path
