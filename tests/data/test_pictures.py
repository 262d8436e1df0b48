"""Pictures: every way of storing pixels, and every way of being broken."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.data.picture import load, read_index_mask, read_picture
from medkd_lib.data.problems import DataError

RAMP = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
COLOUR = np.dstack([RAMP, RAMP[::-1], 255 - RAMP])


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes]) -> bytes:
    """A PNG by hand, for depths that the writer cannot make."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def save(
    folder: Path, name: str, picture: Image.Image | NDArray[np.generic], **how: object
) -> Path:
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    picture.save(folder / name, **how)  # type: ignore[arg-type]
    return folder / name


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_in_every_lossless_format(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path, f"a.{suffix}", RAMP)
    grey, rgb = read_picture(path, mode="grey"), read_picture(path, mode="rgb")
    np.testing.assert_array_equal(grey, RAMP)
    np.testing.assert_array_equal(rgb, np.dstack([RAMP] * 3))
    assert grey.dtype == rgb.dtype == np.uint8 and grey.flags.writeable


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_equal_channels_keep_their_value(tmp_path: Path, mode: str) -> None:
    # 12 grey values fit a palette exactly.
    path = save(tmp_path, "a.png", Image.fromarray(RAMP).convert(mode))
    np.testing.assert_array_equal(read_picture(path, mode="grey"), RAMP)


def test_colour_and_its_luma(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", COLOUR)
    np.testing.assert_array_equal(read_picture(path, mode="rgb"), COLOUR)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_picture(path, mode="grey"), luma, atol=0.51)


def test_a_palette_means_its_colours_in_a_picture_and_its_indices_in_a_mask(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode=None)
    indexed.putpalette([10, 20, 30, 40, 50, 60, 250, 0, 0])
    path = save(tmp_path, "m.png", indexed, transparency=0)
    assert read_index_mask(path).tolist() == [[0, 1, 2]], "a transparent background is label 0"
    path = save(tmp_path, "p.png", indexed)
    assert read_picture(path, mode="rgb")[0, 2].tolist() == [250, 0, 0]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, name: str) -> None:
    stored = np.array([[0, 31768, 32768, 65535]], np.uint16)
    path = save(tmp_path, name, stored)
    grey = read_picture(path, mode="grey")
    assert grey.dtype == np.uint16 and grey.tolist() == stored.tolist()
    assert read_picture(path, mode="rgb").shape == (1, 4, 3)
    # DeepLesion's rule: HU = value - 32768.
    hu = read_picture(path, mode="grey", offset=-32768)
    assert hu.dtype == np.int32 and hu.tolist() == [[-32768, -1000, 0, 32767]]
    np.testing.assert_array_equal(read_index_mask(path), stored)


@pytest.mark.parametrize(
    ("depth", "row", "labels", "greys"),
    [
        (1, 0b01000000, [0, 1], [0, 255]),
        (2, 0b00011011, [0, 1, 2, 3], [0, 85, 170, 255]),
        (4, 0x1F, [1, 15], [17, 255]),
    ],
)
def test_low_depths_are_labels_in_a_mask(
    tmp_path: Path, depth: int, row: int, labels: list[int], greys: list[int]
) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(png(len(labels), 1, depth, 0, [bytes([row])]))
    assert read_index_mask(path).tolist() == [labels]
    assert read_picture(path, mode="grey").tolist() == [greys]


def test_a_mask_saved_as_grey_colour_is_accepted(tmp_path: Path) -> None:
    path = save(tmp_path, "m.png", np.dstack([RAMP] * 3))
    np.testing.assert_array_equal(read_index_mask(path), RAMP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, "a.png", RAMP, exif=exif)
    upright = {
        1: RAMP, 2: RAMP[:, ::-1], 3: RAMP[::-1, ::-1], 4: RAMP[::-1],
        5: RAMP.T, 6: np.rot90(RAMP, -1), 7: RAMP[::-1, ::-1].T, 8: np.rot90(RAMP),
    }  # fmt: skip
    np.testing.assert_array_equal(read_picture(path, mode="grey"), upright[orientation])
    np.testing.assert_array_equal(read_index_mask(path), upright[orientation])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    rgb = read_picture(save(tmp_path, "a.jpg", flat, quality=100), mode="rgb")
    assert np.abs(rgb.astype(int) - [255, 0, 0]).max() < 6, "cyan 0, magenta and yellow full: red"


def jpeg() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def frames(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RAMP).save(
        stream, kind, save_all=True, append_images=[Image.fromarray(RAMP[::-1])]
    )
    return stream.getvalue()


def of(picture: NDArray[np.generic] | Image.Image, kind: str = "PNG", **how: object) -> bytes:
    stream = io.BytesIO()
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    picture.save(stream, kind, **how)
    return stream.getvalue()


HALF = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)])
HALF[0, 0, 3] = 128
BROKEN: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "empty_file", "0 bytes"),
    "html": (b"<html>please log in", "not_an_image", "<html>pleas"),
    "gif": (of(RAMP, "GIF"), "not_an_image", "GIF8"),
    "cut jpeg": (jpeg()[:800], "truncated", "truncated"),
    "cut png": (of(np.tile(RAMP, (20, 20)))[:80], "truncated", "truncated"),
    "garbled png": (of(RAMP)[:45] + b"\xff" * 30, "damaged", "whole to its end"),
    "no width": (png(0, 1, 8, 0, [b""]), "not_an_image", "PNG"),
    "bomb": (png(60000, 60000, 8, 0, [b""]), "too_large", "3600000000 pixels"),
    "half a bomb": (png(10000, 10000, 8, 0, [b""]), "too_large", "100000000 pixels"),
    "two pages": (frames("TIFF"), "animated", "2 frames"),
    "animated png": (frames("PNG"), "animated", "2 frames"),
    "see-through": (of(HALF), "transparent", "1 pixels"),
    "transparent grey": (of(RAMP, transparency=0), "transparent", "1 pixels"),
    "16-bit colour": (png(1, 1, 16, 2, [bytes(6)]), "unsupported_depth", "RGB;16B"),
    "16-bit alpha": (png(1, 1, 16, 4, [bytes(4)]), "unsupported_depth", "LA;16B"),
    "float": (of(RAMP.astype(np.float32), "TIFF"), "unsupported_depth", "F;32F"),
    "signed": (of(RAMP.astype(np.int32) - 1000, "TIFF"), "unsupported_depth", "-1000…-780"),
    "0 is white": (of(RAMP.astype(np.uint16), "TIFF", tiffinfo={262: 0}), "min_is_white", "white"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    content, kind, message = BROKEN[case]
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_picture(path, mode="grey")
    assert error.value.problem.kind == kind and "a.png" in error.value.problem.where


def test_masks_that_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="JPEG mixes labels"):
        read_index_mask(save(tmp_path, "m.jpg", RAMP))
    with pytest.raises(DataError, match="12 colours"):
        read_index_mask(save(tmp_path, "m.png", COLOUR))
    with pytest.raises(DataError, match="0 is white"):
        read_index_mask(save(tmp_path, "m.tif", RAMP, tiffinfo={262: 0}))
    with pytest.raises(DataError, match="no such file"):
        read_index_mask(tmp_path / "none.png")


@pytest.mark.real_data
def test_real_films_keep_every_bit_of_the_earlier_reader(real_data: Path) -> None:
    films = sorted((real_data / "cxr3").rglob("*.jpeg"))
    assert len(films) == 1080
    for path in films[::20]:
        for name, letter in (("grey", "L"), ("rgb", "RGB")):
            with Image.open(path) as picture:
                before = np.asarray(picture.convert(letter))
            now = read_picture(path, mode=name)  # type: ignore[arg-type]
            assert np.array_equal(before, now), path
        assert load(path).size == (224, 224)
