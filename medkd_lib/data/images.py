"""Labelled images in memory; pictures → one uint8 tensor and one of labels, cached by content."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from medkd_lib.data.case import Case
from medkd_lib.data.file_digest import digest
from medkd_lib.data.index_npz import read_array
from medkd_lib.data.picture import read_picture
from medkd_lib.data.problems import bad
from medkd_lib.data.store import key_of, store
from medkd_lib.fingerprint import code_hash


@dataclass(frozen=True)
class ImageSet:
    """Images in memory with their labels, patients and names, in the order of the cases.

    Shapes:
        images: ``(N, channels, H, W)``: uint8 grey values as stored (0…255), or float16 already
            normalised (slices of volumes).
        labels: ``(N,)`` int64.
        masks: ``(N, H, W)`` uint8 label ids, or None where nobody drew any.
    """

    images: Tensor
    labels: Tensor
    patients: tuple[str, ...]
    ids: tuple[str, ...]
    fingerprint: str
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self) -> Tensor:
        """Return what a network is given: films scaled to [-1, 1], normalised slices as they are.

        Slices stay in half precision; whoever cuts a batch out of them makes it float32.
        """
        return self.images if self.images.is_floating_point() else self.floats()

    def floats(self) -> Tensor:
        """Return the images as float32, films scaled to [-1, 1]."""
        if self.images.is_floating_point():
            return self.images.float()
        return self.images.float().div_(127.5).sub_(1.0)

    def rows(self, rows: Sequence[int] | Tensor) -> "ImageSet":
        """Return the images at ``rows``."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        return ImageSet(
            self.images[chosen],
            self.labels[chosen],
            tuple(self.patients[i] for i in chosen.tolist()),
            tuple(self.ids[i] for i in chosen.tolist()),
            key_of(of=self.fingerprint, rows=chosen.tolist()),
            None if self.masks is None else self.masks[chosen],
        )

    def of(self, patients: Sequence[str]) -> "ImageSet":
        """Return the images of some patients, in their present order."""
        wanted = set(patients)
        return self.rows([i for i, p in enumerate(self.patients) if p in wanted])


def load_images(cases: Sequence[Case], image_size: int, *, channels: int = 1) -> ImageSet:
    """Return the cases' images resized to ``image_size`` square (area-averaged, no cropping).

    The cache key holds every file's bytes, so a changed file is never served from the cache.

    Args:
        cases: labelled cases whose role ``image`` is a PNG/JPEG file or a row of an archive.
        image_size: side in pixels.
        channels: 1 converts to grey (ITU-R 601 luma), 3 to RGB.

    Raises:
        DataError: ``missing_modality``, ``no_label``, ``sixteen_bit``, ``not_a_picture`` (the
            archive holds volumes), ``row_mismatch``, ``bad_archive``, and those of the pictures.
    """
    _require_pictures(cases)
    hashes = {path: digest(path) for path in sorted({c.images["image"] for c in cases})}
    content = [(c.id, c.split, c.row, hashes[c.images["image"]]) for c in cases]
    key = key_of(
        content=content,
        size=image_size,
        channels=channels,
        reader=code_hash(("data/images.py", "data/picture.py", "data/index_npz.py")),
        pillow=version("pillow"),
    )
    entry = store("images").get_or_make(
        key, lambda: ({"images": _read_all(cases, image_size, channels)}, {})
    )
    labels = torch.tensor([c.label for c in cases], dtype=torch.long)
    fingerprint = key_of(images=key, labels=labels.tolist())
    return ImageSet(
        entry.tensors["images"],
        labels,
        tuple(c.patient for c in cases),
        tuple(c.id for c in cases),
        fingerprint,
    )


def _require_pictures(cases: Sequence[Case]) -> None:
    for case in cases:
        if "image" not in case.images:
            raise bad(
                "missing_modality", f"case {case.id}", expected="the role 'image'",
                found=f"only {sorted(case.files)}", next_step="volumes are read by `Volumes`",
            )  # fmt: skip
        if case.label is None:
            raise bad(
                "no_label", f"case {case.id}", expected="a label for every case", found="none",
                next_step="leave these cases out, or complete the label table",
            )  # fmt: skip


def _read_all(cases: Sequence[Case], image_size: int, channels: int) -> Tensor:
    archives: dict[tuple[Path, str], NDArray[Any]] = {}
    out = np.empty((len(cases), channels, image_size, image_size), np.uint8)
    for i, case in enumerate(cases):
        path = case.images["image"]
        if case.row is None:
            pixels = read_picture(path, mode="grey" if channels == 1 else "rgb")
            _require_eight_bits(pixels, path)
            picture = Image.fromarray(pixels)
        else:
            split = str(case.split)
            if (path, split) not in archives:
                archives[path, split] = _archived(path, split)
            rows = archives[path, split]
            if case.row >= len(rows):
                raise bad(
                    "row_mismatch", f"{path} {split}", expected=f"an image in row {case.row}, as "
                    "there is a label", found=f"{len(rows)} images",
                    next_step="fetch the archive again and compare its hash",
                )  # fmt: skip
            picture = Image.fromarray(rows[case.row])
        picture = picture.convert("L" if channels == 1 else "RGB")
        if picture.size != (image_size, image_size):
            # Downsizing must average, or fine texture turns into moiré; upsizing interpolates.
            smaller = min(picture.size) >= image_size
            picture = picture.resize(
                (image_size, image_size),
                Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR,
            )
        pixels = np.asarray(picture)
        out[i] = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(out)


def _archived(path: Path, split: str) -> NDArray[Any]:
    """Return the pictures of one split: (N, H, W) or (N, H, W, 3), 8 bits."""
    images = read_array(path, f"{split}_images")
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
        raise bad(
            "not_a_picture", f"{path} {split}", expected="pictures, (N, H, W) or (N, H, W, 3)",
            found=f"an array {images.shape}",
            next_step="these are volumes; take a set of pictures, or slices of them",
        )  # fmt: skip
    _require_eight_bits(images, f"{path} {split}")
    return images


def _require_eight_bits(pixels: NDArray[Any], where: Path | str) -> None:
    if pixels.dtype != np.uint8:
        raise bad(
            "sixteen_bit", where, expected="8 bits", found=f"{pixels.dtype}",
            next_step="window it to 8 bits first: which window is your decision",
        )  # fmt: skip
