"""NRRD and MetaImage → `Volume`, read by SimpleITK and turned from LPS to RAS+."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import SimpleITK as sitk

from medkd_lib.data.geometry import Affine, check_affine, require_as_stated, stated_affine
from medkd_lib.data.problems import bad
from medkd_lib.data.volume import Volume
from medkd_lib.data.voxels import as_grey, require_finite, require_grey, three_axes

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

LONGEST_HEADER = 65536
DATA_KEYS = ("data file", "datafile", "elementdatafile")

# Keys without which SimpleITK fills in the identity and says nothing.
ORIENTATION_KEYS = {"space directions", "transformmatrix", "rotation", "orientation"}
SPACING_KEYS = {"space directions", "spacings", "elementspacing"}


def read_itk(
    path: Path, *, axcodes: str | None = None, spacing_mm: Sequence[float] | None = None
) -> Volume:
    r"""Return the image of a ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd`` file.

    With ITK's direction cosines :math:`D`, spacing :math:`s` and origin :math:`o` (all LPS):

    .. math:: A = \operatorname{diag}(-1,-1,1,1)
              \begin{pmatrix} D\,\operatorname{diag}(s) & o \\ 0 & 1 \end{pmatrix}

    Args:
        path: the file; ``.nhdr`` and ``.mhd`` name a second file with the voxels.
        axcodes: needed only if the header gives no direction.
        spacing_mm: needed only if the header gives no spacing.

    Raises:
        DataError: ``unreadable`` (truncated or damaged; neither format has a checksum of its own,
            so changed bytes in unpacked voxels go unseen), ``missing_pair``, ``data_elsewhere``,
            ``several_files``, ``four_d``, ``colour``, ``complex``, ``unsupported_dtype``,
            ``nan_voxels``, ``inf_voxels``, ``no_orientation``, ``no_spacing``,
            ``singular_affine``, ``absurd_spacing``.
    """
    header = read_keys(path)
    _require_data_file(path, header)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise bad(
            "unreadable", path, expected="a whole NRRD or MetaImage file",
            found=f"SimpleITK says: {reason}",
            next_step="fetch the file again; it is cut off or damaged",
        ) from error  # fmt: skip
    stored = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise bad(
            "colour", path, expected="one grey value per voxel",
            found=f"{image.GetNumberOfComponentsPerPixel()} components",
            next_step="write the component you mean to a file of its own",
        )  # fmt: skip
    require_grey(stored.dtype, image.GetPixelIDTypeAsString(), path)
    shape, problems = three_axes(image.GetSize(), path)
    array = as_grey(stored.T.reshape(shape, order="F"))
    require_finite(array, path)
    spacing: Sequence[float] | None = image.GetSpacing() if SPACING_KEYS & set(header) else None
    if spacing and _knows_orientation(header) and image.GetDimension() >= 3:
        affine = lps_affine(image)
        volume = Volume(array, affine, None, (*problems, *check_affine(affine, path)))
        require_as_stated(volume, path, axcodes, spacing_mm)
        return volume
    affine, note = stated_affine(shape, axcodes, spacing or spacing_mm, path)
    volume = Volume(array, affine, None, (*problems, note))
    require_as_stated(volume, path, None, spacing_mm)
    return volume


def lps_affine(image: sitk.Image) -> Affine:
    """Return the RAS+ affine of the first three axes of a SimpleITK image."""
    n = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(n, n)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ affine


def read_keys(path: Path) -> Mapping[str, str]:
    """Return the text header's keys (lower case) and values."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
        longer = bool(file.read(1))
    nrrd = text.startswith(b"NRRD")
    # NRRD: an empty line ends the header; MetaImage: the line that names the data.
    end = re.search(rb"\r?\n\r?\n" if nrrd else rb"(?m)^\s*ElementDataFile[^\n]*\n?", text)
    if end is None and (longer or not nrrd):  # a detached NRRD header may end with its file
        raise bad(
            "unreadable", path, expected="a header that ends with "
            + ("an empty line" if nrrd else "ElementDataFile"),
            found=f"none in {len(text)} bytes",
            next_step="fetch the file again; its header is damaged",
        )  # fmt: skip
    if end:
        text = text[: end.start() if nrrd else end.end()]
    separator = ":" if nrrd else "="
    keys: dict[str, str] = {}
    for line in text.decode("latin-1").splitlines():
        key, found, value = line.partition(separator)
        if found and not line.startswith("#"):
            keys[key.strip().lower()] = value.lstrip("=").strip()
    return keys


def _knows_orientation(header: Mapping[str, str]) -> bool:
    keys = set(header)
    named = "space directions" not in keys or "space" in keys  # directions in which world?
    return bool(ORIENTATION_KEYS & keys) and named


def _require_data_file(path: Path, header: Mapping[str, str]) -> None:
    """Refuse a header whose voxels are not inside it or in one file of a plain name beside it.

    A header that came from elsewhere must not choose which files of this machine are read.
    """
    name = next((header[key] for key in DATA_KEYS if key in header), "LOCAL").removeprefix("./")
    if name.upper() == "LOCAL":
        return
    if name.upper().startswith("LIST") or "%" in name:
        raise bad(
            "several_files", path, expected="one file of voxels", found=f"{name!r}",
            next_step="convert it to .nrrd or .mha, which hold header and voxels in one file",
        )  # fmt: skip
    if name in ("", "..") or not name == PurePosixPath(name).name == PureWindowsPath(name).name:
        raise bad(
            "data_elsewhere", path, expected="the plain name of a file beside it",
            found=f"{name!r}", next_step="put both files in one folder and correct the header",
        )  # fmt: skip
    if not (path.parent / name).exists():
        raise bad(
            "missing_pair", path, expected=f"{name} beside it, as the header says",
            found=f"no such file in {path.parent}", next_step="fetch both files of the pair",
        )  # fmt: skip
