"""What is done to every case before it is cached: named steps in one order, one hash."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medkd_lib.data.grid import Box, paste, resampled, tissue_box
from medkd_lib.data.intensity import Intensity, Scale, Window, fit_scale
from medkd_lib.data.problems import bad
from medkd_lib.data.units import AIR_HU
from medkd_lib.data.volume import Volume, describe_grid

# MONAI's grid sampling and a network's input both know no labels beyond a byte.
HIGHEST_LABEL = 255
HIGHEST_HALF = 65504.0


@dataclass(frozen=True)
class Recipe:
    """How a case becomes one tensor of channels and one of labels.

    The steps, in this order: orientation; resampling onto ``reference`` or to ``spacing_mm``
    (images linear, masks nearest: a mean of two labels is a third one); intensity, over the
    **whole volume** of each channel; centre crop or padding to ``shape``.

    Attributes:
        images: roles that become channels, in this order.
        mask: role of the label map, or none.
        axcodes: orientation of the result; in LPS ``image[c, :, :, k].T`` is the picture a
            radiologist expects, the patient's front up and right side on the left.
        reference: role whose grid all others are resampled to; none if they share one.
        spacing_mm: wanted voxel size, or as it is.
        intensity: one for all channels, or one for each. ``zscore`` and ``unit`` (0.5 and 99.5
            percentile to [0, 1]) look at tissue only and leave background zero, since a
            skull-stripped background is not tissue; ``window`` maps ``window`` to [0, 1];
            ``as_stored`` changes nothing. In a list, a window is its two numbers:
            ``((-160.0, 240.0), (0.0, 20.0), "zscore")`` for CT, PET and MR.
        window: lowest and highest value shown, in the image's unit.
        percentiles: of ``unit``.
        shape: voxels of the result, or as they come.
        dtype: of the cached channels; half precision resolves a z-score to a thousandth.

    Background is 0, or −1024 in CT numbers (`AIR_HU`): so it is recognised, and so it is written
    where resampling or padding reaches beyond the image.
    """

    images: tuple[str, ...]
    mask: str | None = None
    axcodes: str = "LPS"
    reference: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    intensity: Intensity | tuple[Intensity | Window, ...] = "zscore"
    window: Window | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    shape: tuple[int, int, int] | None = None
    dtype: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        """Refuse recipes that contradict themselves."""
        if not self.images or len(set(self.roles)) != len(self.roles):
            raise ValueError(f"images: expected different roles, at least one, found {self.roles}")
        if (self.intensity == "window") != (self.window is not None):
            raise ValueError(
                f"window: expected (low, high) exactly with intensity 'window', found "
                f"{self.window} with {self.intensity!r}"
            )
        if isinstance(self.intensity, tuple) and (
            len(self.intensity) != len(self.images) or "window" in self.intensity
        ):
            raise ValueError(
                f"intensity: expected one for each of {self.images}, a window as (low, high), "
                f"found {self.intensity}"
            )
        for how in self.channel_intensity:
            if isinstance(how, tuple) and not how[0] < how[1]:
                raise ValueError(f"window: expected (low, high), low < high, found {how}")
        if self.reference is not None and self.reference not in self.images:
            raise ValueError(
                f"reference: expected one of the images {self.images}, found {self.reference!r}"
            )

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles to read."""
        return self.images + ((self.mask,) if self.mask else ())

    @property
    def channel_intensity(self) -> tuple[Intensity | Window, ...]:
        """What is done to each channel: a name, or a window's two numbers."""
        if isinstance(self.intensity, tuple):
            return self.intensity
        return (self.window or self.intensity,) * len(self.images)

    def as_dict(self) -> dict[str, object]:
        """Return all that the result depends on, for the cache's key."""
        return asdict(self)

    def apply(self, volumes: dict[str, Volume]) -> dict[str, torch.Tensor]:
        """Return ``image`` (C, I, J, K), ``affine`` (4, 4) and, with a mask, ``mask`` (I, J, K).

        Raises:
            KeyError: a role of the recipe is not among the volumes.
            DataError: ``constant`` (a channel without tissue), ``off_grid`` (grids that differ
                and no ``reference``), ``half_precision`` or ``many_labels`` (values that the
                wanted dtype cannot hold).
        """
        outside = {r: float(AIR_HU) for r in self.images if volumes[r].unit == "HU"}
        placed = {role: volumes[role].oriented(self.axcodes) for role in self.roles}
        if self.reference or self.spacing_mm:
            masks = frozenset({self.mask} if self.mask else ())
            placed = resampled(
                placed, masks, outside, reference=self.reference, spacing_mm=self.spacing_mm
            )
        first = placed[self.images[0]]
        box = Box.middle(first.shape, self.shape)
        # numpy asks the system for zeroed pages; PyTorch would write every one of them.
        image = torch.from_numpy(np.zeros((len(self.images), *box.shape), self.dtype))
        for channel, role in enumerate(self.images):
            _require_grid(role, placed[role], first)
            # Flips change no statistics, and the array as it was read is quicker to run through.
            whole = placed[role] if self.reference or self.spacing_mm else volumes[role]
            scale = fit_scale(
                whole.array, self.channel_intensity[channel], role,
                percentiles=self.percentiles, background=outside.get(role, 0.0),
            )  # fmt: skip
            self._fill(image[channel], placed[role].array, box, scale, outside, role)
        out = {"image": image, "affine": torch.from_numpy(box.affine(first.affine))}
        if self.mask:
            _require_grid(self.mask, placed[self.mask], first)
            out["mask"] = _labels(placed[self.mask].array, box, self.mask)
        return out

    def _fill(
        self, into: torch.Tensor, array: NDArray[Any], box: Box, scale: Scale,
        outside: dict[str, float], role: str,
    ) -> None:  # fmt: skip
        """Scale the part of a channel that lies in the box, and write it into the tensor."""
        part = box.cut(array)
        if part.shape != box.shape and scale.background is None:
            into.fill_(float(scale(np.array([outside.get(role, 0.0)], np.float32))[0]))
        # Of n voxels no z-score exceeds √n, and the others end in [0, 1].
        if self.dtype == "float16" and scale == Scale() and part.size:
            highest = max(abs(float(np.max(part))), abs(float(np.min(part))))
            if highest > HIGHEST_HALF:
                raise bad(
                    "half_precision", role, expected=f"values up to {HIGHEST_HALF:g}, the largest "
                    "of float16", found=f"{highest:g}",
                    next_step="scale the intensities, or ask for dtype 'float32' in the recipe",
                )  # fmt: skip
        target = into[box.place(part.shape)]
        if scale.background is not None:
            # All around the tissue is background, becomes 0, and is 0 already.
            inner = tissue_box(part, scale.background)
            part, target = part[inner], target[inner]
        paste(scale(np.asarray(part, np.float32)), target)


def _require_grid(role: str, volume: Volume, first: Volume) -> None:
    # After orientation: a header in LPS and one in RAS may describe one grid.
    if not volume.same_grid(first):
        raise bad(
            "off_grid", role, expected=f"the first channel's grid, {describe_grid(first)}",
            found=describe_grid(volume),
            next_step="name the role whose grid all shall take: `reference` in the recipe",
        )  # fmt: skip


def _labels(array: NDArray[Any], box: Box, role: str) -> torch.Tensor:
    if array.dtype != np.uint8 and (highest := int(np.max(array, initial=0))) > HIGHEST_LABEL:
        raise bad(
            "many_labels", role, expected=f"label ids up to {HIGHEST_LABEL}", found=f"{highest}",
            next_step="remap the labels in the manifest",
        )  # fmt: skip
    out = torch.from_numpy(np.zeros(box.shape, np.uint8))
    part = np.asarray(box.cut(array), np.uint8, order="K")
    paste(part, out[box.place(part.shape)])
    return out
