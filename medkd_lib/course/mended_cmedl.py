"""What lesson 04 goes on with where its exercises are open: quantiles matched, the step mended."""

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.distill.gan import lsgan_discriminator, lsgan_generator
from medkd_lib.methods.held import held

Values = NDArray[np.floating]


def matched_quantiles(ct: Values, mr: Values) -> NDArray[np.float64]:
    r"""Return the rising function of the CT values that gives them MR's histogram.

    $$G(x_i) = \overline{\{m_{(r)} : x_{(r)} = x_i\}}$$

    with both sides sorted, $x_{(r)}$ and $m_{(r)}$: a value becomes the MR value of its rank, and
    equal values, which a function cannot tell apart, become the mean over their ranks.

    Args:
        ct: ``(N,)``, any unit.
        mr: ``(N,)`` of other patients, any unit, in any order.

    Raises:
        ValueError: not as many MR as CT values.
    """
    if ct.ndim != 1 or ct.shape != mr.shape:
        raise ValueError(
            f"matched_quantiles: expected as many MR as CT values, found {ct.shape} and "
            f"{mr.shape}; draw as many of either"
        )
    _, group, count = np.unique(ct, return_inverse=True, return_counts=True)
    matched = np.empty(len(ct))
    matched[np.argsort(ct)] = np.sort(mr)
    # G(x) = mean of m_(r) over the ranks r of x
    found: NDArray[np.float64] = (np.bincount(group, matched) / count)[group]
    return found


def mended_step(
    networks: Mapping[str, nn.Module], ct: Tensor, ct_masks: Tensor, mr: Tensor, mr_masks: Tensor
) -> dict[str, Tensor]:
    r"""Return the five losses of one step, each with a path to the one network that it trains.

    $$\overline{(D(G(x_c))-1)^2},\quad \overline{(D(x_m)-1)^2}+\overline{D(G(x_c))^2},\quad
    \mathrm{CE}(T(x_m), y_m)+\mathrm{CE}(T(G(x_c)), y_c),\quad \mathrm{CE}(S(x_c), y_c),\quad
    \overline{(\phi^S(x_c)-\phi^T(G(x_c)))^2}$$

    Args:
        networks: ``generator`` G, ``judge`` D (images to images), ``teacher`` T and ``student`` S
            (images to logits and maps).
        ct: ``(N, 1, H, W)``.
        ct_masks: ``(N, H, W)`` ids.
        mr: likewise, of other patients.
        mr_masks: likewise.
    """
    judge = networks["judge"]
    translated = networks["generator"](ct)
    with held(judge):
        adversarial = lsgan_generator(judge(translated))
    pseudo = translated.detach()
    judged = lsgan_discriminator(judge(mr), judge(pseudo))
    mr_logits, _ = networks["teacher"](mr)
    pseudo_logits, told = networks["teacher"](pseudo)
    student_logits, mine = networks["student"](ct)
    return {
        "adversarial": adversarial,
        "judge": judged,
        "teacher": F.cross_entropy(mr_logits, mr_masks) + F.cross_entropy(pseudo_logits, ct_masks),
        "student": F.cross_entropy(student_logits, ct_masks),
        "hint": F.mse_loss(mine, told.detach()),
    }
