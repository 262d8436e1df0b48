"""Every loss is computed in at least float32, whatever precision the networks run in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")
HALF = (torch.float16, torch.bfloat16)


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Lift half-precision arguments of a loss to float32 and keep autocast out of it.

    The largest float16 is 65504: the square of an activation of 300 is more, and a similarity
    with three digits, divided by a temperature of 0.07, is no ranking. Autocast would take matrix
    products inside the loss back to half precision. float64 stays float64; gradients arrive in
    the precision of the arguments.

    Args:
        loss: a function of tensors (on one device) and settings, with at least one tensor.
    """

    @wraps(loss)
    def lifted(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        wide: Any = [_lift(a) for a in args]
        named: Any = {name: _lift(a) for name, a in kwargs.items()}
        device = next(a.device for a in [*wide, *named.values()] if isinstance(a, Tensor))
        with torch.autocast(device.type, enabled=False):
            return loss(*wide, **named)

    return lifted


def unit(vectors: Tensor) -> Tensor:
    r"""Return vectors along the last axis at length 1; a zero vector stays zero.

    $$\hat v = v / \lVert v\rVert,\qquad \hat 0 = 0$$

    The gradient at zero is zero too. `torch.nn.functional.normalize` divides by $10^{-12}$
    there: finite, and large enough to destroy the weights in one step.

    Args:
        vectors: ``(…, D)``, any unit.
    """
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.masked_fill(length == 0, torch.inf)


def _lift(argument: object) -> object:
    if isinstance(argument, Tensor) and argument.dtype in HALF:
        return argument.float()
    return argument
