"""DICOM series → `Volume`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medkd_lib.data.dicom_counts import count_problems
from medkd_lib.data.dicom_geometry import series_affine
from medkd_lib.data.dicom_order import order_slices
from medkd_lib.data.dicom_pixels import read_pixels, require_plain
from medkd_lib.data.dicom_sort import Slice, find_series
from medkd_lib.data.geometry import check_affine
from medkd_lib.data.problems import Problem
from medkd_lib.data.units import hounsfield
from medkd_lib.data.volume import Volume
from medkd_lib.data.voxels import require_finite

PET_UNITS = {"BQML": "Bq/mL", "GML": "SUV"}


@dataclass(frozen=True)
class Series:
    """A volume and the headers of its slices, in the array's order."""

    volume: Volume
    slices: tuple[Slice, ...]


def read_dicom(
    folder: Path, *, series: str | None = None, acquisition: int | None = None
) -> Volume:
    """Return the one image series in ``folder`` as a volume of axes (column, row, slice).

    Unit: ``"HU"`` for CT, ``"Bq/mL"`` for PET in BQML, ``"SUV"`` for PET in GML (see
    `medkd_lib.data.suv.read_pet` for the SUV of the others), the Units tag itself for other PET,
    None for the rest.

    Args:
        folder: holds the slices; subfolders are not searched.
        series: SeriesInstanceUID, SeriesNumber or SeriesDescription, if there are several.
        acquisition: AcquisitionNumber, if a series holds several images at the same places.

    Raises:
        DataError: the ``kind`` tells why; see `medkd_lib.data.dicom_sort`,
            `medkd_lib.data.dicom_geometry` and `medkd_lib.data.dicom_pixels`.
    """
    return read_series(folder, series=series, acquisition=acquisition).volume


def read_series(
    folder: Path, *, series: str | None = None, acquisition: int | None = None
) -> Series:
    """Return volume and headers; the arguments are those of `read_dicom`."""
    found, problems = find_series(folder, series=series, acquisition=acquisition)
    for s in found:
        require_plain(s)
    ordered, copies = order_slices(found, folder)
    affine, uneven = series_affine(ordered, folder)
    array, odd = read_pixels(ordered, folder)
    require_finite(array, folder)
    tilted = {p.kind for p in uneven} & {"gantry_tilt"}
    # A tilted gantry shears the affine; one report of it is enough.
    lean = [p for p in check_affine(affine, folder) if not (tilted and p.kind == "sheared")]
    whole = acquisition is None and not any(p.kind == "localizer" for p in problems)
    counted = count_problems(found, ordered, folder, whole=whole)
    volume = Volume(array, affine, None, (*problems, *copies, *uneven, *counted, *odd, *lean))
    first = ordered[0]
    if first.text("Modality") == "CT":
        volume = hounsfield(Volume(array, affine, "HU", volume.problems), folder)
        volume = _with_rescale_type(volume, first, folder)
    elif first.text("Modality") == "PT":
        units = first.text("Units")
        volume = Volume(array, affine, PET_UNITS.get(units, units or None), volume.problems)
    return Series(volume, tuple(ordered))


def _with_rescale_type(volume: Volume, first: Slice, folder: Path) -> Volume:
    stated = first.text("RescaleType")
    if stated in ("", "HU"):
        return volume
    note = Problem(
        "rescale_type", str(folder), "RescaleType HU", stated,
        "check air (−1000) and fat (−100): the values are taken as HU", severity="warning",
    )  # fmt: skip
    return Volume(volume.array, volume.affine, "HU", (*volume.problems, note))
