"""Where networks are active at a level, beside what each of them gets wrong."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.show.overlay import Heat, on_grey
from medkd_lib.show.section import TRUTH, Outline, as_array, draw_section
from medkd_lib.show.style import OKABE_ITO, course_style

FOUND, INVENTED, MISSED = (OKABE_ITO[c] for c in ("green", "orange", "purple"))


def level_looks(
    images: Tensor,
    truths: Tensor,
    maps: Mapping[str, Tensor],
    answers: Mapping[str, Tensor],
    *,
    level: str,
) -> Figure:
    r"""Draw, per network, where its map is active and what is found, invented and missed.

    Activity is $a_p=\lVert h_p\rVert_2$ over channels, as attention transfer takes it, brought to
    [0, 1] within an image: where no colour lies, it is *least of this image*, not nothing.

    Args:
        images: ``(N, H, W)`` on [-1, 1], a row each.
        truths: ``(N, H, W)``, not zero in the lesion.
        maps: network → ``(N, C, h, w)``.
        answers: network → ``(N, H, W)`` bool.
        level: what the maps are called.
    """
    columns = 1 + 2 * len(maps)
    height, width = images.shape[1:]
    with course_style():
        figure, axes = plt.subplots(
            len(images), columns, squeeze=False,
            figsize=(2.3 * columns, 2.3 * height / width * len(images) + 1.0),
        )  # fmt: skip
        for row, image in enumerate(images):
            truth = Outline(truths[row], TRUTH)
            draw_section(axes[row][0], image, [truth])
            for number, name in enumerate(maps):
                looks, errors = axes[row][1 + 2 * number : 3 + 2 * number]
                draw_section(looks, image, [truth])
                activity = _activity(maps[name][row], (height, width))
                looks.imshow(on_grey(as_array(image), (-1.0, 1.0), activity, Heat()))
                draw_section(errors, image, [])
                kinds = _errors(as_array(answers[name][row]) > 0, as_array(truths[row]) > 0)
                errors.imshow(
                    np.ma.masked_equal(kinds, 0), alpha=0.8, vmin=1, vmax=3,
                    cmap=ListedColormap([FOUND, INVENTED, MISSED]), interpolation="nearest",
                )  # fmt: skip
                if row == 0:
                    looks.set_title(f"{name}:\n{level}", fontsize=12)
                    errors.set_title("\nanswer", fontsize=12)
        named = {"found": FOUND, "invented": INVENTED, "missed": MISSED}
        figure.legend(
            handles=[Patch(color=colour, label=name) for name, colour in named.items()],
            loc="outside lower center", ncols=3,
        )  # fmt: skip
    return figure


def _activity(one: Tensor, size: Sequence[int]) -> NDArray[np.float32]:
    strength = one.detach().float().square().sum(dim=0).sqrt()
    # Before it is enlarged, which would leave rounding for a difference where there is none.
    strength = strength - strength.min()
    scaled = strength / (strength.max() or 1.0)
    large = F.interpolate(scaled[None, None], tuple(size), mode="bilinear", align_corners=False)
    found: NDArray[np.float32] = as_array(large[0, 0])
    return found


def _errors(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Return 0 where both are silent, 1 found, 2 invented, 3 missed."""
    return 1 * (answer & truth) + 2 * (answer & ~truth) + 3 * (~answer & truth)
