"""Folder → the slices of one DICOM series: bystanders set aside, mixtures refused.

Traps this guards against: two contrast phases in one series (HCC-TACE-Seg on TCIA), several
series in one folder, pseudo-patients (LDCT-and-Projection-data). Identifiers may be empty after
de-identification, so nothing here relies on one alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ImplicitVRLittleEndian

from medkd_lib.data.dicom_tags import NEEDED, require_readable_tags
from medkd_lib.data.problems import Problem, bad

BYSTANDERS = {"dicomdir", "thumbs.db", ".ds_store", "desktop.ini", "version", "lockfile"}
NO_IMAGES = {"SR", "PR", "KO", "DOC", "REG", "FID", "RTSTRUCT", "RTPLAN", "RTRECORD", "PLAN"}
DICOM_SUFFIXES = {"", ".dcm", ".dicom", ".ima", ".img"}


@dataclass(frozen=True)
class Slice:
    """One file of a series."""

    path: Path
    header: Dataset

    def text(self, keyword: str) -> str:
        """Return a value as text, empty if it is missing or empty."""
        value = self.header.get(keyword)
        return "" if value is None else str(value).strip()


def find_series(
    folder: Path, *, series: str | None = None, acquisition: int | None = None
) -> tuple[list[Slice], list[Problem]]:
    """Return the slices of the one series in ``folder``, in no order, and what was left out.

    Args:
        folder: read without its subfolders.
        series: SeriesInstanceUID, SeriesNumber or SeriesDescription, if there are several.
        acquisition: AcquisitionNumber, if several lie in one series.

    Raises:
        DataError: ``missing_file``, ``empty_folder``, ``no_dicom``, ``unreadable_slice``,
            ``bad_tag``, ``no_pixel_data``, ``no_such_series``, ``mixed_patients``,
            ``mixed_series``, ``no_such_acquisition``.
    """
    slices, problems = _images(folder)
    slices, scouts = _without_localizers(slices, folder)
    groups: dict[str, list[Slice]] = defaultdict(list)
    for s in slices:
        groups[s.text("SeriesInstanceUID")].append(s)
    if series is not None:
        slices = _named(groups, series, folder)
    patients = sorted({s.text("PatientID") or s.text("PatientName") for s in slices})
    if len(patients) > 1:
        raise bad(
            "mixed_patients", folder, expected="one patient", found=f"{len(patients)}: "
            f"{patients[:4]}", next_step="sort the files into one folder per patient",
        )  # fmt: skip
    kinds = sorted({(s.text("SeriesInstanceUID"), s.text("Modality")) for s in slices})
    if len(kinds) > 1:
        listed = [f"{_title(groups[uid][0])}: {len(groups[uid])} images" for uid, _ in kinds]
        raise bad(
            "mixed_series", folder, expected="one series", found=f"{len(kinds)}: "
            + "; ".join(dict.fromkeys(listed)),
            next_step="give each a folder of its own, or choose one in Python: read_dicom(folder, "
            "series=UID, number or description)",
        )  # fmt: skip
    if acquisition is not None:
        slices = _acquired(slices, acquisition, folder)
    return slices, [*problems, *scouts]


def _images(folder: Path) -> tuple[list[Slice], list[Problem]]:
    if not folder.is_dir():
        raise bad(
            "missing_file", folder, expected="a folder of DICOM files", found="no such folder",
            next_step="check the name, or fetch the data set",
        )  # fmt: skip
    entries = sorted(folder.iterdir())
    files = [p for p in entries if p.is_file()]
    if not files:
        inside = [p.name for p in entries][:4]
        raise bad(
            "empty_folder", folder, expected="DICOM files",
            found=f"only the folders {inside}" if inside else "nothing",
            next_step="name the folder that holds the slices themselves",
        )  # fmt: skip
    slices: list[Slice] = []
    aside: list[str] = []
    for path in files:
        header = _header(path)
        if header is None:
            aside.append(path.name)
            continue
        require_readable_tags(header, path, NEEDED if _has_pixels(header) else ())
        if _has_pixels(header):
            slices.append(Slice(path, header))
        elif _claims_to_be_an_image(header):
            raise bad(
                "no_pixel_data", path, expected="pixel data", found="a header alone",
                next_step="fetch the file again; it may have been cut off",
            )  # fmt: skip
        else:
            aside.append(f"{path.name} ({header.get('Modality', 'no image')})")
    if not slices:
        raise bad(
            "no_dicom", folder, expected="DICOM images", found=f"{len(files)} files, none of them "
            f"an image: {aside[:4]}", next_step="check the folder's name",
        )  # fmt: skip
    if not aside:
        return slices, []
    note = Problem(
        "bystander", str(folder), "images alone", f"{len(aside)} other files: {aside[:6]}",
        "nothing to do: ignored", severity="warning",
    )  # fmt: skip
    return slices, [note]


def _header(path: Path) -> Dataset | None:
    """Return the file's data set, or None for a file that is not meant to be a slice."""
    name = path.name.lower()
    if name in BYSTANDERS or name.startswith("._"):
        return None
    try:
        return dcmread(path)
    except InvalidDicomError:
        pass  # no "DICM" after 128 bytes: an old file without preamble, or no DICOM at all
    except Exception as error:  # pydicom raises many types on damaged files; all mean the same
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if path.suffix.lower() not in DICOM_SUFFIXES and not path.suffix[1:].isdigit():
        return None
    try:
        header = dcmread(path, force=True)
        whole = "Rows" in header and "SOPClassUID" in header and _has_pixels(header)
    except Exception as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise _unreadable(path, f"{path.stat().st_size} bytes that are no DICOM")
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # PS3.10: the default
    return header


def _unreadable(path: Path, found: str) -> Exception:
    return bad(
        "unreadable_slice", path, expected="a DICOM file", found=found,
        next_step="fetch it again; if it is no slice, move it out of the folder",
    )  # fmt: skip


def _has_pixels(header: Dataset) -> bool:
    return any(k in header for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def _claims_to_be_an_image(header: Dataset) -> bool:
    """Whether a data set without pixels lost them (and is no report, plan or structure set)."""
    sop_class = str(header.get("SOPClassUID") or "")
    if sop_class:
        return "Image Storage" in UID(sop_class).name
    return str(header.get("Modality") or "") not in NO_IMAGES


def _without_localizers(slices: Sequence[Slice], folder: Path) -> tuple[list[Slice], list[Problem]]:
    """Drop scouts among slices: projections of another geometry, for planning the scan."""
    scouts = [s for s in slices if "LOCALIZER" in s.text("ImageType").upper()]
    if not scouts or len(scouts) == len(slices):
        return list(slices), []
    note = Problem(
        "localizer", str(folder), "slices alone",
        f"{len(scouts)} localizers ({scouts[0].path.name} …)", "nothing to do: left out",
        severity="repaired",
    )  # fmt: skip
    return [s for s in slices if s not in scouts], [note]


def _title(s: Slice) -> str:
    uid, words = s.text("SeriesInstanceUID") or "(no UID)", s.text("SeriesDescription")
    return f"{s.text('Modality')} {words!r} {uid}"


def _named(groups: dict[str, list[Slice]], series: str, folder: Path) -> list[Slice]:
    def answers(s: Slice) -> bool:
        keys = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription")
        return series in (s.text(k) for k in keys)

    chosen = [s for group in groups.values() for s in group if answers(s)]
    if not chosen:
        raise bad(
            "no_such_series", folder, expected=f"a series {series!r}",
            found="; ".join(_title(g[0]) for g in groups.values()),
            next_step="name one of these by UID, number or description",
        )  # fmt: skip
    return chosen


def _acquired(slices: Sequence[Slice], acquisition: int, folder: Path) -> list[Slice]:
    chosen = [s for s in slices if s.text("AcquisitionNumber") == str(acquisition)]
    if not chosen:
        counts = dict(Counter(s.text("AcquisitionNumber") or "none" for s in slices))
        raise bad(
            "no_such_acquisition", folder, expected=f"AcquisitionNumber {acquisition}",
            found=f"slices by number: {counts}", next_step="name one of these",
        )  # fmt: skip
    return chosen
