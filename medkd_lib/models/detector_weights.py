"""Weights of published detectors that the user brings; nothing is downloaded here."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from medkd_lib.models.imagenet import Loaded, _fit_channels, _read, _refuse_misfits


def load_detector(network: nn.Module, path: Path, *, first: str, fresh: Sequence[str]) -> Loaded:
    r"""Fill a library's detector with a file of its weights, but for the layers that name classes.

    The first convolution saw RGB; for other channels it becomes $\tfrac1C\sum_k w_{ok}$ in each of
    C channels, so that a grey image in all of them gives the map that the grey RGB image gave. The
    weights expect the intensities they were trained with.

    Args:
        network: the library's own, before it is taken apart; untouched if anything does not fit.
        path: a state dict, ``.pth`` / ``.pt`` (read with ``weights_only=True``) or
            ``.safetensors``.
        first: key of the first convolution's weight.
        fresh: beginnings of the keys of layers that stay as they are where the file has them in
            another shape, as for another number of classes.

    Returns:
        What was adapted and what was ignored.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no state dict, or its keys or shapes do not fit the network.
    """
    weights, expected = _read(path), network.state_dict()
    left = tuple(
        key for key, own in expected.items()
        if key.startswith(tuple(fresh)) and key in weights and weights[key].shape != own.shape
    )  # fmt: skip
    weights |= {key: expected[key] for key in left}
    for key in (k for k in expected if k.endswith("num_batches_tracked")):
        weights.setdefault(key, expected[key])
    # Of files saved by a batch norm that counts, into one that is frozen and does not.
    counters = [k for k in weights if k.endswith("num_batches_tracked") and k not in expected]
    weights = {key: w for key, w in weights.items() if key not in counters}
    adapted = _fit_channels(weights, first, channels=expected[first].shape[1])
    _refuse_misfits(path, expected, weights)
    network.load_state_dict(weights)
    return Loaded(tuple(adapted), (*left, *counters))
