"""Pixels of images with boxes: HU where the release has them, grey values where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.boxed import BoxedImage
from medkd_lib.data.boxed_images import boxed_images
from medkd_lib.data.dicom import read_series
from medkd_lib.data.index import Index
from medkd_lib.data.picture import read_picture
from medkd_lib.data.problems import DataError, Problem, bad


def pixels(images: Sequence[BoxedImage]) -> Iterator[tuple[BoxedImage, NDArray[np.float32]]]:
    """Yield each image with its ``(H, W)`` pixels; neighbours of one series share a reading.

    Rows and columns lie as stored: boxes count them so, and nothing is turned.

    Raises:
        DataError: ``size_mismatch`` (not what the annotation states), ``missing_file`` and all
            that pictures and series raise.
    """
    for path, group in groupby(images, key=lambda image: image.path):
        volume = None
        for image in group:
            if image.place is None:
                values = read_picture(path, mode="grey", offset=image.offset)
            else:
                volume = read_series(path).volume if volume is None else volume
                values = volume.array[:, :, image.place].T
            height, width = values.shape
            if (width, height) != image.size:
                raise bad(
                    "size_mismatch", path, expected=f"{image.size[0]} × {image.size[1]} pixels, "
                    "as the annotation states", found=f"{width} × {height}",
                    next_step="the picture was resized or belongs to another annotation; take the "
                    "original",
                )  # fmt: skip
            yield image, np.asarray(values, np.float32)


def box_problems(found: Index) -> list[Problem]:
    """Return all that is wrong with the boxes of a set; pictures are opened, series are not again.

    A set whose manifest states no ``boxes`` has none here.
    """
    if found.manifest.boxes is None:
        return []
    images, problems = boxed_images(found, drop_broken=True)
    for image in images:
        # the size of a slice was compared with its header
        if image.place is None:
            try:
                next(pixels([image]))
            except DataError as error:
                problems.append(error.problem)
    return problems
