"""The synthetic twin of a dataset, made on demand and kept in the medkd home."""

from pathlib import Path
from typing import cast

from medkd_lib.data.manifest import Manifest
from medkd_lib.fingerprint import code_hash
from medkd_lib.home import medkd_home
from medkd_lib.phantom.cxr3 import write_cxr3
from medkd_lib.phantom.opacities import Difficulty


class NoTwinError(ValueError):
    """The dataset has no phantom twin (yet); the message says what to do instead."""


def make_twin(
    manifest: Manifest, out: Path, *, patients: int, difficulty: str, seed: int, workers: int = 1
) -> Path:
    """Write the twin of ``manifest`` into ``out``, in the layout of the real release.

    Raises:
        NoTwinError: the manifest states no phantom.
        ValueError: the phantom has no such difficulty.
    """
    if manifest.phantom is None:
        raise NoTwinError(
            f"{manifest.id} has no phantom twin yet; give the folder of the real "
            f"images (data_root), see `medkd data show {manifest.id}`"
        )
    if difficulty not in manifest.phantom.difficulties:
        raise ValueError(
            f"{manifest.id}: difficulty {difficulty!r} is not one of "
            f"{manifest.phantom.difficulties}"
        )
    if manifest.phantom.maker == "cxr3":
        return write_cxr3(
            out,
            patients=patients,
            seed=seed,
            difficulty=cast(Difficulty, difficulty),
            workers=workers,
        )
    raise NoTwinError(f"{manifest.id}: no maker named {manifest.phantom.maker!r} in the library")


def twin(
    manifest: Manifest, *, patients: int, difficulty: str, seed: int = 0, workers: int = 1
) -> Path:
    """Return the folder of the twin, made once per content (size, seed, difficulty, code)."""
    # All phantoms of one code version share a folder, so old ones are easy to find and delete.
    code = code_hash(("phantom",))
    out = medkd_home() / "phantoms" / code / f"{manifest.id}-{difficulty}-{patients}-seed{seed}"
    if out.is_dir():
        return out
    try:
        return make_twin(
            manifest, out, patients=patients, difficulty=difficulty, seed=seed, workers=workers
        )
    except OSError:
        # Another process finished the same twin first: its folder is as good as ours.
        if out.is_dir():
            return out
        raise
