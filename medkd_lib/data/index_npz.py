"""MedMNIST-style archives → cases: one row, one case, and no patient is published."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout
from medkd_lib.data.problems import Problem


def index_npz(manifest: Manifest, layout: Layout, base: Path) -> list[Case]:
    """Return a case for each row of ``{train,val,test}_labels``.

    Raises:
        LayoutError: no archive, not an archive, an array is missing, or an unknown label.
    """
    role = layout.image_roles["image"]
    path = base / role.globs[0]
    if not path.is_file():
        raise LayoutError(
            Problem(
                "no_archive", manifest.id, str(path), "none",
                "data_root is the folder that holds the archive",
            )
        )  # fmt: skip
    valid = {v.id for v in manifest.labels.values} if manifest.labels else set()
    cases = []
    try:
        with np.load(path, allow_pickle=False) as archive:
            for split in ("train", "val", "test"):
                labels = archive[f"{split}_labels"]
                if labels.size != len(labels):
                    raise LayoutError(
                        Problem(
                            "several_labels", str(path), "one label per image",
                            f"{labels.size // len(labels)}",
                            "sets with several labels per image are not read yet",
                        )
                    )  # fmt: skip
                labels = labels.reshape(-1)
                for row, label in enumerate(labels.tolist()):
                    if label not in valid:
                        raise LayoutError(
                            Problem(
                                "unknown_label", f"{path} {split} row {row}",
                                f"one of {sorted(valid)}", f"label {label}",
                                "check that the archive belongs to this manifest",
                            )
                        )  # fmt: skip
                    case_id = f"{split}-{row:05d}"
                    cases.append(
                        Case(case_id, case_id, manifest.id, {"image": path}, label, split, row)
                    )
    except (BadZipFile, KeyError, EOFError, OSError) as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        if isinstance(error, LayoutError):
            raise
        raise _unreadable(path, error) from error
    return cases


def _unreadable(path: Path, error: Exception) -> LayoutError:
    return LayoutError(
        Problem(
            "bad_archive", str(path), "a .npz with {train,val,test}_labels and _images, no pickle",
            str(error), "fetch it again and compare its hash",
        )
    )  # fmt: skip
