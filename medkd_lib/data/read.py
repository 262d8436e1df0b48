"""One entry for every volume: content says what a file is, its name only where content cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medkd_lib.data.analyze import read_pair
from medkd_lib.data.dicom import read_series
from medkd_lib.data.dicom_sort import BYSTANDERS
from medkd_lib.data.geometry import require_as_stated
from medkd_lib.data.gz import MAGIC, read_bytes, require_no_text
from medkd_lib.data.itk_files import read_itk
from medkd_lib.data.nifti import nifti_from_bytes
from medkd_lib.data.png_stack import read_png_stack
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.suv import read_pet
from medkd_lib.data.units import in_unit
from medkd_lib.data.volume import Volume

SCANNERS_OF = {"HU": "CT", "SUV": "PT", "Bq/mL": "PT"}
"""The Modality that measures in a unit; other units are the manifest's to state."""


def read_volume(
    path: Path,
    *,
    unit: str | None = None,
    axcodes: str | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> Volume:
    """Return the volume in a file or a folder.

    Files: NIfTI (``.nii``, ``.nii.gz``), pairs of ``.hdr`` and ``.img`` (NIfTI or Analyze), NRRD,
    MetaImage. Folders: one DICOM series, or a stack of PNG slices.

    Args:
        path: file or folder.
        unit: what the manifest states. ``"HU"`` mends CT padding in any format; ``"SUV"`` converts
            DICOM PET. A DICOM series that says otherwise is an error.
        axcodes: where the axes point, for formats that do not say (Analyze, PNG); elsewhere it
            must agree with the file.
        spacing_mm: voxel size, for the same.

    Raises:
        DataError: its ``kind`` tells why; every message names file, expectation, finding, next
            step.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, unit, axcodes, spacing_mm)
    blob_start = _start(path)
    require_no_text(blob_start, path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".hdr", ".img")):
        volume = read_pair(path, axcodes=axcodes, spacing_mm=spacing_mm)
    elif blob_start.startswith(b"NRRD") or name.endswith((".mha", ".mhd", ".nrrd", ".nhdr")):
        volume = read_itk(path, axcodes=axcodes, spacing_mm=spacing_mm)
    elif blob_start[128:132] == b"DICM" or name.endswith((".dcm", ".png")):
        raise bad(
            "one_slice", path, expected="a volume",
            found="one slice of a DICOM series or PNG stack",
            next_step=f"name the folder: {path.parent}",
        )  # fmt: skip
    else:
        volume = nifti_from_bytes(read_bytes(path), path, axcodes=axcodes, spacing_mm=spacing_mm)
        volume = _with_name_checked(volume, path, packed=blob_start.startswith(MAGIC))
    return in_unit(volume, unit, path)


def _read_folder(
    folder: Path, unit: str | None, axcodes: str | None, spacing_mm: Sequence[float] | None
) -> Volume:
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith("._")]
    if any(p.suffix.lower() == ".png" for p in files) and not any(map(_is_dicom, files)):
        stack = read_png_stack(folder, axcodes=axcodes, spacing_mm=spacing_mm)
        return in_unit(stack, unit, folder)
    if unit == "SUV" and files:
        volume = read_pet(folder)
    else:
        read = read_series(folder)
        volume = read.volume
        _require_unit(volume.unit, unit, read.slices[0].text("Modality"), folder)
    require_as_stated(volume, folder, axcodes, spacing_mm)
    return volume if volume.unit is not None else in_unit(volume, unit, folder)


def _require_unit(own: str | None, stated: str | None, modality: str, folder: Path) -> None:
    """Refuse a statement that a DICOM header contradicts: nothing makes HU of an MR."""
    if stated is None or stated == own or (own is None and stated not in SCANNERS_OF):
        return
    raise bad(
        "unit_disagrees", folder, expected=f"{stated} as the manifest states"
        + (f", from Modality {SCANNERS_OF[stated]}" if stated in SCANNERS_OF else ""),
        found=f"{own or 'no unit'}, from Modality {modality or 'none'}",
        next_step="correct the manifest's role, or the folder it names",
    )  # fmt: skip


def _start(path: Path) -> bytes:
    if not path.exists() or path.stat().st_size == 0:
        return read_bytes(path)  # raises, naming the file
    with path.open("rb") as file:
        return file.read(132)


def _is_dicom(path: Path) -> bool:
    if path.name.lower() in BYSTANDERS:
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _with_name_checked(volume: Volume, path: Path, *, packed: bool) -> Volume:
    """Report a name that says packed when it is not, or the other way round."""
    if packed == path.name.lower().endswith(".gz"):
        return volume
    note = Problem(
        "wrong_suffix", str(path), "a name as the content is",
        "gzipped bytes" if packed else "bytes that are not gzipped",
        "rename it: other software will stumble", severity="warning",
    )  # fmt: skip
    return replace(volume, problems=(*volume.problems, note))
