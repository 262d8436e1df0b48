"""What of a dataset lies on this machine: fetched, brought by the user, or made as a twin."""

from __future__ import annotations

import json
from pathlib import Path

from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.verified import read_record
from medkd_lib.home import medkd_home


def here(manifest: Manifest) -> list[str]:
    """Return what the medkd home knows of a set, in a few words each.

    A record that cannot be read is one of these words, and no reason to tell nothing of the
    other sets.
    """
    home = medkd_home()
    words = [_fetched(home / "data" / manifest.id), _brought(home / "brought", manifest.id)]
    if manifest.phantom:
        made = any((home / "phantoms").glob(f"*/{manifest.id}-*"))
        words.append("phantom twin made" if made else "phantom twin")
    return [word for word in words if word]


def _fetched(folder: Path) -> str:
    try:
        return "fetched" if read_record(folder) is not None else ""
    except DataError:
        return "fetched (damaged record)"


def _brought(folder: Path, dataset: str) -> str:
    """Look at the records of data that lie elsewhere; ids hold no hyphen, so names are exact."""
    records = sorted(folder.glob(f"{dataset}-*.json"))
    if not records:
        return ""
    whole = [r for r in records if _names(r, dataset)]
    return "brought" if len(whole) == len(records) else "brought (damaged record)"


def _names(record: Path, dataset: str) -> bool:
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("dataset") == dataset
