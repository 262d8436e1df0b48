"""Maps of a VGG19 that the user brings, to compare images by (contextual or perceptual losses)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from medkd_lib.models.imagenet import _read, _refuse_misfits

# Of ImageNet's RGB images on [0, 1], which the weights were trained with.
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The seventh, eighth and ninth convolution, conv3_3, conv3_4 and conv4_1.
LAYERS = (14, 16, 19)


class Vgg19Maps(nn.Module):
    r"""VGG19 without batch norm, up to a layer; frozen.

    An image on [-1, 1] becomes a grey RGB image, standardised as the weights expect,

    $$x' = \frac{(x + 1)/2 - \mu_k}{\sigma_k},\qquad k\in\mathrm{RGB}.$$

    Args:
        path: the state dict of torchvision's ``vgg19``, ``.pth`` / ``.pt`` (read with
            ``weights_only=True``) or ``.safetensors``. Nothing is downloaded.
        layers: indices into torchvision's ``features``, ascending. The maps are those of the
            convolutions, before their ReLU.

    Shapes:
        input ``(N, 1, H, W)``, output ``(N, 256, H/4, W/4)`` twice and ``(N, 512, H/8, W/8)``
        for the default layers.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no state dict or another network's (with batch norm, for
            one), layers that are not there or not in order.

    Source: Simonyan and Zisserman 2015, configuration E. Which of its maps CMEDL compared could
    not be read; the sizes recalled for 256 x 256 images fit these three and no others.
    """

    def __init__(self, path: Path, layers: Sequence[int] = LAYERS) -> None:
        super().__init__()
        # on no device: the file's weights take the place of what would be drawn
        with torch.device("meta"):
            whole = make_layers(cfgs["E"], batch_norm=False)
        if (
            not layers
            or list(layers) != sorted(set(layers))
            or not 0 <= layers[0] <= layers[-1] < len(whole)
        ):
            raise ValueError(
                f"layers: expected ascending indices below {len(whole)}, found {tuple(layers)}"
            )
        self.layers = tuple(layers)
        self.features = whole[: layers[-1] + 1]
        for module in self.features:
            # in place, it would overwrite the convolution's map that is handed out
            if isinstance(module, nn.ReLU):
                module.inplace = False
        weights = _read(path)
        needed = {k: w.float() for k, w in weights.items() if self._is_before_the_last(k)}
        _refuse_misfits(path, self.state_dict(), needed)
        self.load_state_dict(needed, assign=True)
        self.requires_grad_(False).eval()
        # no state: every VGG19 has them
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(SD).view(1, 3, 1, 1), persistent=False)

    def _is_before_the_last(self, key: str) -> bool:
        parts = key.split(".")
        return parts[0] == "features" and parts[1].isdigit() and int(parts[1]) <= self.layers[-1]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, in the order of the layers.

        Raises:
            ValueError: images that are not ``(N, 1, H, W)``.
        """
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(
                f"images: expected (N, 1, H, W) on [-1, 1], found {tuple(images.shape)}"
            )
        # x' = ((x + 1) / 2 - μ) / σ
        x = ((images + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("sd")
        maps = []
        for number, module in enumerate(self.features):
            x = module(x)
            if number in self.layers:
                maps.append(x)
        return maps
