"""`medkd data get --from`: verify what a person fetched by other means, where it lies.

Nothing is copied: large sets stay on the disk or share they are on, which may be read-only, so
the record goes into the medkd home. Only an archive that still has to be unpacked leads to new
files, in ``out`` or the medkd home.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pooch

from medkd_lib.data.archive_members import archive_kind
from medkd_lib.data.case import LayoutError
from medkd_lib.data.fetch import default_folder
from medkd_lib.data.fetch_plan import to_unpack
from medkd_lib.data.index import scan
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import FileFact
from medkd_lib.data.merge import unpack_into
from medkd_lib.data.problems import DataError, Problem, bad
from medkd_lib.data.verified import RECORD_NAME, write_record
from medkd_lib.home import medkd_home


@dataclass(frozen=True)
class Brought:
    """What was verified.

    Attributes:
        root: the folder to name as ``data_root``.
        record: the file that says what was verified and how.
        cases: how many the layout found; None if the manifest has no layout.
        problems: what does not fit but does not stop.
    """

    root: Path
    record: Path
    cases: int | None
    problems: tuple[Problem, ...]


def bring(
    manifest: Manifest, path: Path, out: Path | None = None, *, unverified: bool = False
) -> Brought:
    """Verify a file or folder: by hash where the manifest knows one, by its layout otherwise.

    Args:
        manifest: the dataset it should be.
        path: an archive, a data file, or the folder that holds them or their contents.
        out: where archives are unpacked, if their contents do not lie beside them yet.
        unverified: accept a file of unknown hash, or a folder of a set without a layout.

    Raises:
        DataError: kinds ``missing_file``, ``hash_mismatch``, ``unknown_file``, ``no_known_hash``,
            ``wrong_name``, those of the layout and of the archives.
    """
    path = path.absolute()
    if not path.exists():
        raise bad(
            "missing_file", path, expected="a file or a folder", found="nothing",
            next_step="check the path given to --from",
        )  # fmt: skip
    verified = _verify_files(manifest, path, unverified)
    archives = [file for file, fact, _ in verified if _is_archive(file, fact)]
    root, where = (path if path.is_dir() else path.parent), _record_in_home(manifest, path)
    notes: list[Problem] = []
    unpacked: dict[str, Any] = {}
    if archives and (path.is_file() or not _lies_there(manifest, root)):
        root = (out or default_folder(manifest)).absolute()
        where = root / RECORD_NAME
        unpacked = {file.name: unpack_into(file, root, notes) for file in archives}
    layout, problems = _layout(manifest, root, path, unverified)
    write_record(
        where, manifest, how="brought", licence_accepted="by the person who brought the data",
        files=[row for _, _, row in verified], unpacked=unpacked, layout=layout,
    )  # fmt: skip
    cases = layout["cases"] if layout else None
    return Brought(root, where, cases, (*notes, *problems))


def _verify_files(
    manifest: Manifest, path: Path, unverified: bool
) -> list[tuple[Path, FileFact | None, dict[str, Any]]]:
    """Return the files of the manifest that are there, each with its row for the record."""
    facts: dict[str, list[FileFact]] = {}
    for download in manifest.download:
        for fact in download.files:
            facts.setdefault(fact.name, []).append(fact)
    if path.is_file():
        return [_verify(path, facts.get(path.name) or _all(facts.values()), unverified)]
    return [
        _verify(path / name, same_name, unverified)
        for name, same_name in facts.items()
        if (path / name).is_file()
    ]


def _all(groups: Iterable[list[FileFact]]) -> list[FileFact]:
    return [fact for group in groups for fact in group]


def _verify(
    path: Path, facts: list[FileFact], unverified: bool
) -> tuple[Path, FileFact | None, dict[str, Any]]:
    """Compare one file with every fact it could be: releases may share a name."""
    sums: dict[str, str] = {}
    for fact in facts:
        if fact.hash:
            algorithm, _, wanted = fact.hash.partition(":")
            if algorithm not in sums:
                sums[algorithm] = pooch.file_hash(str(path), algorithm)
            if sums[algorithm] == wanted:
                return path, fact, _row(path, fact.hash, verified=True)
    stated = [fact.hash for fact in facts if fact.hash]
    if stated and any(fact.name == path.name for fact in facts):
        raise bad(
            "hash_mismatch", path, expected=" or ".join(stated),
            found=" and ".join(f"{name}:{value}" for name, value in sums.items()),
            next_step="it was cut or belongs to another release; fetch it again",
        )  # fmt: skip
    if stated:
        raise bad(
            "unknown_file", path, expected=f"one of {sorted({f.name for f in facts})}",
            found=f"{path.name}, and its bytes are those of none of them",
            next_step="name the file that the dataset's page offers",
        )  # fmt: skip
    if not unverified:
        raise bad(
            "no_known_hash", path, expected="a hash in the manifest", found="none",
            next_step="compare it with the dataset's page, then add --unverified",
        )  # fmt: skip
    named = next((fact for fact in facts if fact.name == path.name), None)
    return path, named, _row(path, f"sha256:{pooch.file_hash(str(path))}", verified=False)


def _row(path: Path, hash_: str, *, verified: bool) -> dict[str, Any]:
    size = path.stat().st_size
    return {"name": path.name, "bytes": size, "hash": hash_, "verified": verified}


def _is_archive(path: Path, fact: FileFact | None) -> bool:
    return to_unpack(fact) if fact else archive_kind(path) in ("zip", "tar")


def _lies_there(manifest: Manifest, root: Path) -> bool:
    """Whether the contents of the archives are unpacked beside them."""
    try:
        return bool(scan(manifest, root).cases)
    except LayoutError:
        return False


def _layout(
    manifest: Manifest, root: Path, path: Path, unverified: bool
) -> tuple[dict[str, Any] | None, list[Problem]]:
    if manifest.layout is None and (unverified or path.is_file()):
        return None, []
    try:
        found = scan(manifest, root)
    except DataError as error:
        # Any other defect of the archive is its own and not a matter of the name.
        if path.is_file() and manifest.layout and error.problem.kind == "no_archive":
            raise bad(
                "wrong_name", path, expected=f"the name {manifest.layout.images}", found=path.name,
                next_step="give it that name: the layout reads the file by it",
            ) from error  # fmt: skip
        raise
    errors = [p for p in found.problems if p.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more: `medkd data check`)" if len(errors) > 1 else ""
        raise DataError(replace(errors[0], found=errors[0].found + more))
    patients = len({case.patient for case in found.cases})
    counts = {
        "cases": len(found.cases), "patients": patients,
        "files": dict(Counter(role for case in found.cases for role in case.files)),
    }  # fmt: skip
    problems = list(found.problems)
    stated = {key: value for key, value in manifest.n_cases.items() if value is not None}
    if stated and not {len(found.cases), patients} & set(stated.values()):
        problems.append(
            Problem(
                "count_mismatch", str(root), f"one of {stated}",
                f"{len(found.cases)} cases of {patients} patients",
                "harmless if you fetched a part on purpose", severity="warning",
            )
        )  # fmt: skip
    return counts, problems


def _record_in_home(manifest: Manifest, path: Path) -> Path:
    key = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return medkd_home() / "brought" / f"{manifest.id}-{key}.json"
