"""ImageNet weights that the user brings: torchvision's files, adapted to other channels and grids.

Nothing is downloaded here. Without such a file a network this large, trained on a few hundred
patients, is not expected to beat a small one.
"""

import math
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from medkd_lib.models.efficientnet import EfficientNet
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitTrunk

Weights = dict[str, Tensor]
Trunk = VggTrunk | VitTrunk | EfficientNet

POSITIONS = "encoder.pos_embedding"
# What torchvision's EfficientNet does not have under these names.
OF_NO_FILE = ("head.", "read_out.norms.")


@dataclass(frozen=True)
class Loaded:
    """What became of a file: sentences about what was adapted, and the keys that were ignored."""

    adapted: tuple[str, ...]
    ignored: tuple[str, ...]


def load_trunk(trunk: Trunk, path: Path) -> Loaded:
    r"""Fill a trunk with the weights of torchvision's ``vgg19_bn``, ``vit_b_16`` or a relative.

    Or all of an `EfficientNet` but its head, and the norms with which it reads several levels.

    The first convolution saw RGB. For $C \neq 3$ channels it becomes

    $$w'_{oc} = \frac3C\cdot\frac13\sum_{k\in\mathrm{RGB}} w_{ok},\qquad c = 1 \dots C$$

    so that a grey image in all channels gives the map that the grey RGB image gave. With three
    channels it stays as it is. Heads are ignored. If the trunk's grid of patches is another one,
    the position embeddings are interpolated (bicubic, corners aligned, by torchvision's own
    function), the class token's is kept.

    The weights expect the intensities they were trained with: mean 0 and standard deviation 1
    over the image set, as z-scored images roughly have.

    Args:
        trunk: filled in place; untouched if anything does not fit.
        path: a state dict, ``.pth`` / ``.pt`` (read with ``weights_only=True``) or
            ``.safetensors``.

    Returns:
        What was adapted and what was ignored.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no state dict, or its keys or shapes do not fit the trunk.
    """
    weights = _read(path)
    network: nn.Module = trunk
    head, first = "classifier.", "features.0.weight"
    if isinstance(trunk, VitTrunk):
        network, head, first = trunk.vit, "heads.", "conv_proj.weight"
    elif isinstance(trunk, EfficientNet):
        first = "features.0.0.weight"
    ignored = tuple(key for key in weights if key.startswith(head))
    weights = {_renamed(k, trunk): w for k, w in weights.items() if k not in ignored}
    expected = network.state_dict()
    own = [k for k in expected if isinstance(trunk, EfficientNet) and k.startswith(OF_NO_FILE)]
    kept = {key: expected.pop(key) for key in own}
    for key in (k for k in expected if k.endswith("num_batches_tracked")):
        # Files older than PyTorch 0.4.1 lack these counters, which no forward pass reads.
        weights.setdefault(key, expected[key])
    adapted = _fit_channels(weights, first, channels=expected[first].shape[1])
    if isinstance(trunk, VitTrunk):
        adapted += _fit_positions(weights, trunk, path)
    _refuse_misfits(path, expected, weights)
    network.load_state_dict(weights | kept)
    return Loaded(tuple(adapted), ignored)


def _read(path: Path) -> Weights:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of ImageNet weights, found none")
    wanted = "expected a state dict as torchvision saves it (.pth, .pt or .safetensors)"
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix not in (".pth", ".pt"):
            raise ValueError(f"{path}: {wanted}, found the suffix {path.suffix!r}")
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        raise ValueError(f"{path}: {wanted}, found a file that cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(w, Tensor) for w in content.values()):
        found = f"{type(content).__name__} of other things than tensors"
        raise ValueError(f"{path}: {wanted}, found {found}; save model.state_dict() alone")
    return dict(content)


def _renamed(key: str, trunk: Trunk) -> str:
    """Return our name of a weight.

    torchvision's published ViT is older than its present names for the two MLP layers; our
    EfficientNet has its last convolution behind the maps.
    """
    if isinstance(trunk, EfficientNet):
        return key.replace("features.8.", "read_out.tail.")
    return key.replace("mlp.linear_1.", "mlp.0.").replace("mlp.linear_2.", "mlp.3.")


def _fit_channels(weights: Weights, key: str, *, channels: int) -> list[str]:
    if channels == 3 or key not in weights or weights[key].ndim != 4 or len(weights[key][0]) != 3:
        return []
    # w'_oc = (3/C) mean_k w_ok
    mean = (3 / channels) * weights[key].mean(dim=1, keepdim=True)
    weights[key] = mean.repeat(1, channels, 1, 1)
    return [f"{key}: mean over RGB, repeated for {channels} channels, times 3/{channels}"]


def _fit_positions(weights: Weights, trunk: VitTrunk, path: Path) -> list[str]:
    if POSITIONS not in weights or weights[POSITIONS].ndim != 3:
        return []
    tokens = weights[POSITIONS].shape[1]
    if tokens == 1 + trunk.grid**2:
        return []
    side = math.isqrt(tokens - 1)
    if side**2 != tokens - 1:
        raise ValueError(f"{path}: {POSITIONS}: expected 1 + a square of tokens, found {tokens}")
    patch = trunk.size.patch
    fitted = interpolate_embeddings(trunk.grid * patch, patch, {POSITIONS: weights[POSITIONS]})
    weights[POSITIONS] = fitted[POSITIONS]
    grid = f"{side} x {side} to {trunk.grid} x {trunk.grid}"
    return [f"{POSITIONS}: interpolated (bicubic) from {grid} patches"]


def _refuse_misfits(path: Path, expected: Weights, found: Weights) -> None:
    complaints = {
        "missing": [k for k in expected if k not in found],
        "unexpected": [k for k in found if k not in expected],
        "another shape": [
            f"{k} {tuple(found[k].shape)} instead of {tuple(w.shape)}"
            for k, w in expected.items()
            if k in found and found[k].shape != w.shape
        ],
    }
    said = [
        f"{what}: {', '.join(keys[:5])}" + (f" and {len(keys) - 5} more" if keys[5:] else "")
        for what, keys in complaints.items()
        if keys
    ]
    if said:
        raise ValueError(
            f"{path}: expected the weights of this trunk, found {'; '.join(said)}. Build the trunk "
            "in the size the file was saved from, or name another file"
        )
