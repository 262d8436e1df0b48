"""Images with boxes in memory: one size, 8 bits, boxes moved along; cached by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medkd_lib.data.boxed import BoxedImage
from medkd_lib.data.boxed_images import boxed_images
from medkd_lib.data.boxed_pixels import pixels
from medkd_lib.data.file_digest import digest
from medkd_lib.data.index import Index
from medkd_lib.data.problems import bad
from medkd_lib.data.store import key_of, store
from medkd_lib.fingerprint import code_hash

READER = ("data/boxed_pixels.py", "data/detection_set.py", "data/dicom_pixels.py",
          "data/picture.py")  # fmt: skip


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Images of one size with their boxes, in one order.

    Shapes:
        images: ``(N, 1, S, S)`` uint8 grey, black where the image was not square.
        boxes: N tensors ``(n, 4)`` float32, pixel edges on these images (`torchvision`'s form).
        labels: N tensors ``(n,)`` int64, ids of the manifest; 0 is background.
    """

    images: Tensor
    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    ids: tuple[str, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    splits: tuple[str | None, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def inputs(self) -> Tensor:
        """Return the images as float32 in [0, 1], what torchvision's detectors are given."""
        return self.images.float().div_(255.0)

    def targets(self, rows: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return ``boxes`` and ``labels`` of some images, torchvision's training targets."""
        return [{"boxes": self.boxes[row], "labels": self.labels[row]} for row in rows]

    def rows(self, rows: Sequence[int]) -> DetectionSet:
        """Return the images at ``rows``."""
        chosen = list(rows)
        return DetectionSet(
            self.images[torch.as_tensor(chosen, dtype=torch.long)],
            tuple(self.boxes[r] for r in chosen),
            tuple(self.labels[r] for r in chosen),
            tuple(self.ids[r] for r in chosen),
            tuple(self.cases[r] for r in chosen),
            tuple(self.patients[r] for r in chosen),
            tuple(self.splits[r] for r in chosen),
            key_of(of=self.fingerprint, rows=chosen),
        )

    def of(self, patients: Sequence[str]) -> DetectionSet:
        """Return the images of some patients, in their present order."""
        wanted = set(patients)
        return self.rows([i for i, p in enumerate(self.patients) if p in wanted])


def load_detections(
    found: Index, image_size: int, *, window_hu: tuple[float, float] | None = None
) -> DetectionSet:
    r"""Return all images with boxes of a set, scaled to fit a square of ``image_size``.

    .. math:: g = 255\,\mathrm{clip}\big((HU - low)/(high - low),\ 0,\ 1\big)

    Images of HU need a window; ``window_hu``, else the row's own (DeepLesion), else the manifest's
    preprocessing. Pictures of 8 bits stay as they are. Both sides are scaled by the same factor
    (area-averaged when smaller); the rest at the right and at the bottom is black.

    Args:
        found: cases of a set with boxes, see :mod:`~medkd_lib.data.boxed`.
        image_size: side in pixels.
        window_hu: lowest and highest CT number shown.

    Raises:
        ValueError: no window is known, or an impossible one or size.
        DataError: ``sixteen_bit`` (no offset is stated), and those of
            :func:`~medkd_lib.data.boxed_images.boxed_images` and the pixels.
    """
    if image_size < 1 or (window_hu is not None and window_hu[0] >= window_hu[1]):
        raise ValueError(
            "image_size and window_hu: expected 1 or more and low < high, found "
            f"{image_size} and {window_hu}"
        )
    images, _ = boxed_images(found)
    windows = [_window(found, image, window_hu) for image in images]
    hashes = {path: digest(path) for path in sorted({image.path for image in images})}
    key = key_of(
        images=[(image.id, image.place, hashes[image.path]) for image in images],
        windows=windows, size=image_size, reader=code_hash(READER), pillow=version("pillow"),
    )  # fmt: skip

    def made() -> tuple[dict[str, Tensor], dict[str, object]]:
        out = np.zeros((len(images), 1, image_size, image_size), np.uint8)
        for row, (image, values) in enumerate(pixels(images)):
            if windows[row] is None and values.max() > 255:
                raise bad(
                    "sixteen_bit", image.path, expected="8 bits", found=f"{values.max():g}",
                    next_step="window it to 8 bits first: which window is your decision",
                )  # fmt: skip
            _fit(values, windows[row], out[row, 0])
        return {"images": torch.from_numpy(out)}, {}

    scales = [image_size / max(image.size) for image in images]
    boxes = tuple(
        torch.from_numpy(image.boxes * scale).float().reshape(-1, 4)
        for image, scale in zip(images, scales, strict=True)
    )
    labels = tuple(torch.tensor(image.labels, dtype=torch.long) for image in images)
    drawn = [(b.tolist(), x.tolist()) for b, x in zip(boxes, labels, strict=True)]
    return DetectionSet(
        store("images").get_or_make(key, made).tensors["images"],
        boxes,
        labels,
        tuple(image.id for image in images),
        tuple(image.case for image in images),
        tuple(image.patient for image in images),
        tuple(image.split for image in images),
        key_of(images=key, drawn=drawn),
    )


def _window(
    found: Index, image: BoxedImage, wanted: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return the window of an image of HU, None for a picture of 8 bits."""
    if image.place is None and image.offset is None:
        return None
    stated = found.manifest.preprocessing
    window = wanted or image.window_hu or (stated.window if stated else None)
    if window is None:
        raise ValueError(
            f"window_hu: expected (low, high) for {image.dataset}, whose manifest states none, "
            "found None; (-1400, 0) shows lungs"
        )
    return window


def _fit(
    values: NDArray[np.float32], window: tuple[float, float] | None, out: NDArray[np.uint8]
) -> None:
    """Write an image into the upper left corner of a square."""
    # g = 255 clip((HU − low)/(high − low), 0, 1)
    if window is not None:
        values = np.clip((values - window[0]) / (window[1] - window[0]), 0.0, 1.0) * 255.0
    height, width = values.shape
    scale = len(out) / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    picture = Image.fromarray(values.astype(np.float32))
    if size != picture.size:
        smaller = Image.Resampling.BOX if scale < 1.0 else Image.Resampling.BILINEAR
        picture = picture.resize(size, smaller)
    out[: size[1], : size[0]] = np.clip(np.rint(np.asarray(picture)), 0, 255).astype(np.uint8)
