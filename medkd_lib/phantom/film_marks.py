"""What is on a film beside the patient: letters, the borders of the collimator, older copies."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Film = NDArray[np.uint8]

# Five by seven dots, one row of a letter per word.
GLYPHS = {
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "D": "11110 10001 10001 10001 10001 10001 11110",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    " ": "00 00 00 00 00 00 00",
}
WHITE = 250


def burn_letters(film: Film, text: str, height: int, place: tuple[float, float]) -> Film:
    """Copy of the film with white letters.

    Args:
        film: (H, W).
        text: of the letters in :data:`GLYPHS`.
        height: of a letter, pixels; below 7 it is drawn with 7.
        place: corner nearest to the film's own, (row, column) as shares; a column above one half
            counts from the text's right end.

    Raises:
        ValueError: a letter that has no glyph.
    """
    unknown = sorted(set(text) - set(GLYPHS))
    if unknown:
        raise ValueError(f"text: expected letters of {sorted(GLYPHS)}, found {unknown}")
    gap = np.zeros((7, 1), np.uint8)
    parts = []
    for letter in text:
        rows = GLYPHS[letter].split()
        parts += [np.array([[int(dot) for dot in row] for row in rows], np.uint8), gap]
    times = max(round(height / 7), 1)
    drawn = np.kron(np.hstack(parts[:-1]), np.ones((times, times), np.uint8))
    row, column = (int(share * n) for share, n in zip(place, film.shape, strict=True))
    if place[1] > 0.5:
        column = max(column - drawn.shape[1], 0)
    marked = film.copy()
    part = marked[row : row + drawn.shape[0], column : column + drawn.shape[1]]
    part[drawn[: part.shape[0], : part.shape[1]] > 0] = WHITE
    return marked


def close_shutters(film: Film, widths: tuple[float, float, float, float]) -> Film:
    """Copy of the film with black borders: top, right, bottom and left, as shares of the edge."""
    height, width = film.shape
    top, bottom = (round(widths[n] * height) for n in (0, 2))
    right, left = (round(widths[n] * width) for n in (1, 3))
    closed = np.zeros_like(film)
    inside = np.s_[top : height - bottom, left : width - right]
    closed[inside] = film[inside]
    return closed


def resized(film: Film, size: tuple[int, int], *, mask: bool = False) -> Film:
    """Film of another (height, width); masks keep their values, images are filtered (Lanczos)."""
    if film.shape == size:
        return film
    how = Image.Resampling.NEAREST if mask else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(film).resize((size[1], size[0]), how))


def through_jpeg(film: Film, quality: int) -> Film:
    """Film after it was saved as JPEG and opened again."""
    stored = io.BytesIO()
    Image.fromarray(film).save(stored, "JPEG", quality=quality)
    with Image.open(stored) as opened:
        return np.asarray(opened.convert("L"))
