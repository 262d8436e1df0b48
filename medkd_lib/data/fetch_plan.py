"""What a download consists of: which way, which files, their hashes, their addresses, the room."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from pooch.downloaders import REQUESTS_HEADERS, doi_to_repository

from medkd_lib.data.archive import no_space
from medkd_lib.data.archive_members import archive_kind
from medkd_lib.data.archive_names import safe_name
from medkd_lib.data.host_steps import steps
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import Download, FileFact
from medkd_lib.data.problems import bad

AUTOMATIC = ("http", "doi")
RESERVE = 256 << 20  # never fill a disk to its last byte


class YourTurnError(Exception):
    """The host wants a person: an account, an application, a click; the text says how."""


class NotObtainableError(Exception):
    """Nobody can fetch this set today; the text says what is missing."""


def to_unpack(fact: FileFact) -> bool:
    """Whether the layout describes what is inside: as stated, else zip and tar files are."""
    if fact.unpack is not None:
        return fact.unpack
    return archive_kind(Path(fact.name)) in ("zip", "tar")


def choose_files(
    manifest: Manifest, download: Download, names: Sequence[str] = ()
) -> list[FileFact]:
    """Return the named files, or those that the layout reads; kind ``unknown_file``."""
    there = {fact.name: fact for fact in download.files}
    layout = manifest.layout
    if not names and layout and layout.kind == "npz":
        read = [glob for role in layout.image_roles.values() for glob in role.globs]
        names = [name for name in there if name in read]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise bad(
            "unknown_file", manifest.id, expected=f"one of {sorted(there)}", found=str(unknown),
            next_step=f"see `medkd data show {manifest.id}`",
        )  # fmt: skip
    return [there[safe_name(name, manifest.id)] for name in names or there]


def is_automatic(manifest: Manifest) -> bool:
    """Whether :func:`get` can fetch the set without a person's hands."""
    return manifest.access.level in ("open", "click_through") and bool(_ways(manifest))


def _ways(manifest: Manifest) -> list[Download]:
    return [d for d in manifest.download if d.method in AUTOMATIC and d.files]


def automatic_way(manifest: Manifest, folder: Path, source: int) -> Download:
    """Return the download to take, or raise what a person has to do instead."""
    if manifest.access.level in ("blocked", "private"):
        raise NotObtainableError(steps(manifest, folder))
    if not is_automatic(manifest):
        raise YourTurnError(steps(manifest, folder))
    ways = _ways(manifest)
    if not 1 <= source <= len(ways):
        raise bad(
            "unknown_source", manifest.id, expected=f"a source from 1 to {len(ways)}",
            found=str(source), next_step=f"see `medkd data show {manifest.id}`",
        )  # fmt: skip
    return ways[source - 1]


def known_hashes(
    chosen: Sequence[FileFact], record: dict[str, Any] | None, unverified: bool
) -> dict[str, str | None]:
    """Return each file's hash: the manifest's, or the one written down at an earlier download."""
    before = {row["name"]: row["hash"] for row in (record or {}).get("files", [])}
    known = {fact.name: fact.hash or before.get(fact.name) for fact in chosen}
    bare = [name for name, value in known.items() if value is None]
    if bare and not unverified:
        raise bad(
            "no_known_hash", bare[0], expected="a hash in the manifest", found="none",
            next_step="compare it with the dataset's page; --unverified takes it as it comes and "
            "writes its sha256 down",
        )  # fmt: skip
    return known


def check_space(folder: Path, missing: Sequence[FileFact]) -> None:
    """Refuse a download for which the disk has no room; kind ``no_space``."""
    needed = 0
    for fact in missing:
        size = fact.bytes or 0
        path, part = folder / fact.name, part_file(folder, fact)
        here = next((p.stat().st_size for p in (path, part) if p.is_file()), 0)
        # Images are packed already, so what comes out is at least as large as the archive.
        needed += max(size - here, 0) + (size if to_unpack(fact) else 0)
    place = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if needed + RESERVE > free:
        raise no_space(folder, f"{needed / 1e9:.1f} GB and a reserve", f"{free / 1e9:.1f} GB free")


def part_file(folder: Path, fact: FileFact) -> Path:
    """Return where a file gathers until it is whole."""
    path = folder / fact.name
    return path.with_name(f".{path.name}.part")


def address_of(download: Download, fact: FileFact) -> str:
    """Return a file's URL; a DOI is resolved by its host (Zenodo, Figshare, Dataverse)."""
    if fact.url:
        return fact.url
    if download.method == "http":
        return f"{download.ref.rstrip('/')}/{fact.name}"
    try:
        repository = doi_to_repository(download.ref, headers=REQUESTS_HEADERS, timeout=30)
        return str(repository.download_url(fact.name))
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise bad(
            "doi_unresolved", f"doi:{download.ref}", expected=f"a link to {fact.name}",
            found=f"{type(error).__name__}: {error}",
            next_step="try again later, or fetch it from the DOI's page and use --from",
        ) from error  # fmt: skip
