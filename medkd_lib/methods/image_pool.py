"""CycleGAN's history: the discriminator also sees what the generator painted some time ago."""

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    r"""Keep up to ``size`` translated images and hand out old ones in their place.

    While the pool fills, every image is kept and handed on. After that each image is, with
    probability ½, exchanged for one drawn from the pool, which it replaces there. A discriminator
    that sees the newest images alone follows the generator round in circles.

    Random numbers come from a generator of its own, so the pool neither disturbs nor depends on
    other draws; `state_dict` holds it with the images, and a resumed training goes on to the bit.

    Args:
        size: of the pool; 0 hands every image on.
        seed: of the draws.

    Raises:
        ValueError: a negative size.

    Source: Shrivastava et al. 2017 (CVPR, arXiv 1612.07828), section 2.3; 50 images and ½ as in
    Zhu et al. 2017 (arXiv 1703.10593), section 4 and public code.
    """

    def __init__(self, size: int = 50, seed: int = 0) -> None:
        if size < 0:
            raise ValueError(f"size: expected 0 or more, found {size}")
        self.size = size
        self.images: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def exchange(self, images: Tensor) -> Tensor:
        """Return as many images for the discriminator, detached, on the device of the given ones.

        Args:
            images: the generator's newest, ``(N, C, H, W)``; with or without gradient.

        Raises:
            ValueError: images of another shape than those in the pool.
        """
        newest = images.detach()
        if self.size == 0:
            return newest
        if self.images and self.images[0].shape != newest.shape[1:]:
            raise ValueError(
                f"images: expected (N, {', '.join(map(str, self.images[0].shape))}) like those in "
                f"the pool, found {tuple(newest.shape)}; one pool serves one direction and size"
            )
        return torch.stack([self._one(image) for image in newest])

    def _one(self, image: Tensor) -> Tensor:
        # A clone: a row of the batch would keep the whole batch in memory.
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.rand((), generator=self.generator) < 0.5:
            return image
        place = int(torch.randint(self.size, (), generator=self.generator))
        old, self.images[place] = self.images[place], image.clone()
        # After a resume the images lie on the CPU until they are exchanged.
        return old.to(image.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the images and the state of the draws."""
        return {
            "size": self.size,
            "images": list(self.images),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: it comes from a pool of another size.
        """
        if state["size"] != self.size:
            raise ValueError(
                f"image pool: expected the state of one of size {self.size}, found "
                f"{state['size']}; resume with the configuration that was trained"
            )
        self.images = list(state["images"])
        self.generator.set_state(state["generator"])
