"""Two-dimensional picture files → arrays, with nothing lost or invented on the way.

Formats: PNG, JPEG, BMP, TIFF. What each kind of pixel becomes:

========================  =======================================================================
in the file               ``read_picture``
========================  =======================================================================
grey 1, 2, 4, 8 bit       uint8, full scale 0…255
grey 16 bit               uint16 as stored; ``offset`` is added if the dataset states one
colour, CMYK, palette     RGB; ``grey`` is ITU-R 601 luma (equal channels keep their value)
alpha, all opaque         dropped
alpha, not opaque         error ``transparent``: black behind it would be invented
colour 16 bit, float      error ``unsupported_depth``: the reader would round it unasked
EXIF orientation          applied
several frames            error ``animated``
========================  =======================================================================
"""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medkd_lib.data.problems import DataError, bad

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
PHOTOMETRIC = 262  # the TIFF tag that says whether 0 is black (1) or white (0)

# PNG stores labels 0…3 or 0…15 in 2 or 4 bits; the reader stretches them to 0…255.
STRETCHED = {"L;2": 85, "L;4": 17}


def read_picture(
    path: Path, *, mode: Literal["grey", "rgb"], offset: int | None = None
) -> NDArray[Any]:
    """Return the pixels of a picture.

    Args:
        path: the file.
        mode: ``grey`` → ``(H, W)``, ``rgb`` → ``(H, W, 3)``.
        offset: added to every value if given (DeepLesion: −32768 makes HU); the result is int32.

    Returns:
        uint8, uint16 for 16-bit files, int32 with ``offset``; row 0 is the top, column 0 the left.

    Raises:
        DataError: kinds ``missing_file``, ``empty_file``, ``not_an_image``, ``truncated``,
            ``damaged``, ``too_large``, ``animated``, ``transparent``, ``unsupported_depth``,
            ``unsupported_mode``, ``min_is_white``.
    """
    picture = load(path)
    if picture.mode.startswith("I"):
        pixels = _sixteen_bit(path, picture)
        if mode == "rgb":
            pixels = np.repeat(pixels[..., None], 3, axis=2)
    else:
        picture = _opaque(path, picture)
        if picture.mode not in ("1", "L", "RGB"):
            picture = picture.convert("L" if picture.mode == "LA" else "RGB")
        pixels = np.array(picture.convert("L" if mode == "grey" else "RGB"))
    return pixels if offset is None else pixels.astype(np.int32) + offset


def read_index_mask(path: Path) -> NDArray[Any]:
    """Return the label ids of a PNG, BMP or TIFF mask exactly as stored, ``(H, W)``.

    A palette gives its indices, not its colours; a colour file is accepted if its channels are
    equal. uint8, or uint16 for 16-bit files.

    Raises:
        DataError: as :func:`read_picture`, and ``lossy_mask`` (JPEG changes labels),
            ``colour_mask`` (the table from colour to label is not in the file).
    """
    picture = load(path)
    if picture.format == "JPEG":
        raise bad(
            "lossy_mask", path, expected="a mask in PNG, BMP or TIFF", found="a JPEG file",
            next_step="ask the origin for lossless masks: JPEG mixes labels at their borders",
        )  # fmt: skip
    if _min_is_white(picture):
        raise _inverted(path)
    if picture.mode.startswith("I"):
        return _sixteen_bit(path, picture)
    if picture.mode in ("1", "P", "L"):
        return np.array(picture).astype(np.uint8) // STRETCHED.get(picture.info["rawmode"], 1)
    channels = np.array(_opaque(path, picture).convert("RGB"))
    if (channels != channels[..., :1]).any():
        raise bad(
            "colour_mask", path, expected="one label id per pixel",
            found=f"{len(np.unique(channels.reshape(-1, 3), axis=0))} colours",
            next_step="translate the colours to ids with the table of the origin",
        )  # fmt: skip
    return channels[..., 0].copy()


def load(path: Path) -> Image.Image:
    """Return the decoded picture, upright; ``info["rawmode"]`` says how the file stores pixels."""
    try:
        if path.stat().st_size == 0:
            raise bad(
                "empty_file", path, expected="a picture", found="0 bytes",
                next_step="fetch the file again",
            )  # fmt: skip
        with warnings.catch_warnings():
            # A header that claims a hundred million pixels is refused before memory is taken.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(path, formats=FORMATS)
        with picture:
            _check_frames_and_depth(path, picture)
            rawmode = _rawmode(picture)
            stored_as, minimum_is_white = picture.format, _min_is_white(picture)
            picture.load()
            picture = ImageOps.exif_transpose(picture)
    except FileNotFoundError as error:
        raise bad(
            "missing_file", path, expected="a picture", found="no such file",
            next_step="check data_root and the manifest's layout",
        ) from error  # fmt: skip
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise bad(
            "too_large", path, expected=f"at most {Image.MAX_IMAGE_PIXELS} pixels",
            found=str(error), next_step="a whole-slide image needs a tiled reader; cut it first",
        ) from error  # fmt: skip
    except Image.UnidentifiedImageError as error:
        raise bad(
            "not_an_image", path, expected=f"a readable image ({', '.join(FORMATS)})",
            found=f"bytes {_first_bytes(path)}", next_step="fetch the file again",
        ) from error  # fmt: skip
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise bad(
            kind, path, expected="a readable image, whole to its end", found=str(error),
            next_step="fetch the file again",
        ) from error  # fmt: skip
    picture.format = stored_as
    picture.info |= {"rawmode": rawmode, "min_is_white": minimum_is_white}
    return picture


def _check_frames_and_depth(path: Path, picture: Image.Image) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise bad(
            "animated", path, expected="one picture", found=f"{frames} frames or pages",
            next_step="save each frame as a file of its own",
        )  # fmt: skip
    rawmode = _rawmode(picture)
    if picture.mode == "F" or (";16" in rawmode and not picture.mode.startswith("I")):
        raise bad(
            "unsupported_depth", path, expected="8-bit colour, or grey of 8 or 16 bit",
            found=f"{picture.mode} stored as {rawmode}",
            next_step="convert it with a stated scale: it would be cut to 8 bit silently",
        )  # fmt: skip
    if picture.mode in ("LAB", "HSV"):
        raise bad(
            "unsupported_mode", path, expected="grey, RGB, CMYK or a palette", found=picture.mode,
            next_step="convert it to RGB in the program that wrote it",
        )  # fmt: skip
    if picture.mode.startswith("I") and _min_is_white(picture):
        raise _inverted(path)


def _rawmode(picture: Image.Image) -> str:
    tiles = getattr(picture, "tile", None)
    args = tiles[0][3] if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _min_is_white(picture: Image.Image) -> bool:
    if "min_is_white" in picture.info:
        return bool(picture.info["min_is_white"])
    return getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == 0


def _inverted(path: Path) -> DataError:
    return bad(
        "min_is_white", path, expected="a TIFF in which 0 is black", found="0 is white",
        next_step="save it as MinIsBlack: whether to invert the stored values is not certain",
    )  # fmt: skip


def _opaque(path: Path, picture: Image.Image) -> Image.Image:
    """Return the picture without its alpha channel, which must hide nothing."""
    if not picture.has_transparency_data:
        return picture
    with_alpha = picture if picture.mode in ("LA", "RGBA") else picture.convert("RGBA")
    hidden = int(np.count_nonzero(np.asarray(with_alpha.getchannel("A")) != 255))
    if hidden:
        raise bad(
            "transparent", path, expected="an opaque picture",
            found=f"{hidden} pixels that are partly or wholly transparent",
            next_step="flatten it on the background you want, and say which",
        )  # fmt: skip
    return with_alpha.convert("L" if with_alpha.mode == "LA" else "RGB")


def _sixteen_bit(path: Path, picture: Image.Image) -> NDArray[np.uint16]:
    values = np.asarray(picture)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise bad(
            "unsupported_depth", path, expected="values 0…65535", found=f"{low}…{high}",
            next_step="convert it to 16 bit with a stated offset",
        )  # fmt: skip
    return values.astype(np.uint16)


def _first_bytes(path: Path) -> str:
    with path.open("rb") as stream:
        return repr(stream.read(12))
