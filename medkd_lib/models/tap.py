"""Look inside a network while it works: named forward hooks, no editing of anybody's code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def tap(model: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of named modules during forward passes inside the ``with`` block.

    ::

        with tap(teacher, {"map": "vgg_map"}) as seen:
            logits = teacher(images)
        seen["map"]  # with its gradient, if the pass had one

    A module that is called twice leaves its last output. One that an in-place activation follows
    leaves the activated map, since the two share their memory. The hooks are gone after the block,
    so the network that leaves the lab carries none.

    Args:
        model: torchvision's, MONAI's, transformers' or ours; a wrapper's inner network is found
            by ``get_submodule`` alone, so unwrap first.
        places: our name → module path as in ``model.named_modules()``.

    Raises:
        KeyError: a path that the model does not have; names the nearest parent's children.
    """
    seen: dict[str, Tensor] = {}
    hooks = []
    try:
        for name, path in places.items():
            module = _module(model, path)
            hooks.append(module.register_forward_hook(_keeper(seen, name)))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _keeper(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen[name] = output

    return keep


def _module(model: nn.Module, path: str) -> nn.Module:
    module = model
    for depth, part in enumerate(path.split(".")):
        children = dict(module.named_children())
        if part not in children:
            parent = ".".join(path.split(".")[:depth]) or type(model).__name__
            raise KeyError(f"tap {path!r}: {parent} has no module {part!r}, it has {[*children]}")
        module = children[part]
    return module
