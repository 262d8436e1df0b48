"""The same film again under another name: what collectors of collections do to it on the way."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from medkd_lib.phantom.film_marks import Film, resized, through_jpeg

CopyKind = Literal["resized", "brightened", "cropped"]
COPY_KINDS: tuple[CopyKind, ...] = get_args(CopyKind)


def again(film: Film, kind: CopyKind, rng: np.random.Generator) -> Film:
    """Near-duplicate of a film; no byte hash finds it.

    ``resized``: down to 55–80 % of the edge and back; ``brightened``: another gain and offset;
    ``cropped``: 3–7 % lost at every side, stretched back. Each is saved as JPEG once more (all D:
    that such copies exist is documented, how they came about is not).

    Args:
        film: (H, W).
        kind: what happened to it.
        rng: source of the amounts.
    """
    height, width = film.shape
    if kind == "resized":
        share = rng.uniform(0.55, 0.80)
        small = (max(round(share * height), 8), max(round(share * width), 8))
        film = resized(resized(film, small), (height, width))
    elif kind == "brightened":
        gain, offset = rng.uniform(0.82, 0.95), rng.uniform(5.0, 30.0)
        film = np.clip(np.rint(gain * film + offset), 0, 255).astype(np.uint8)
    else:
        top, right, bottom, left = (rng.uniform(0.03, 0.07) for _ in range(4))
        cut = film[
            round(top * height) : height - round(bottom * height),
            round(left * width) : width - round(right * width),
        ]
        film = resized(np.ascontiguousarray(cut), (height, width))
    return through_jpeg(film, int(rng.integers(50, 76)))


def mask_again(mask: Film, kind: CopyKind, rng: np.random.Generator) -> Film:
    """Mask of that near-duplicate; ``rng`` has the state that :func:`again` began with."""
    if kind != "cropped":
        return mask
    height, width = mask.shape
    top, right, bottom, left = (rng.uniform(0.03, 0.07) for _ in range(4))
    cut = mask[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]
    return resized(np.ascontiguousarray(cut), (height, width), mask=True)
