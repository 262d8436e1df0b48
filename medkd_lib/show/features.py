"""Figures of what hints change inside a network: maps as colours, and the channel that tells."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.evaluate.separability import Voxels, auc, separability
from medkd_lib.show.section import TRUTH, Outline, as_array, draw_section
from medkd_lib.show.style import course_style


def feature_colours(
    images: Tensor,
    maps: Mapping[str, Tensor],
    masks: Tensor,
    titles: Sequence[str],
    *,
    fitted_on: str,
) -> Figure:
    r"""Draw feature maps as colours: three principal components of one network's, for all.

    With every channel of every network at mean 0 and standard deviation 1 (as
    `medkd_lib.distill.feature_distance` compares them) and V the first three principal directions
    of the fitted network's $Z_T$, the colours are $ZV$, and the share said beside a name is

    $$\frac{\lVert Z V\rVert_F^2}{\lVert Z\rVert_F^2},$$

    of that network's own variance. Colours are cut at the fitted network's 2nd and 98th percentile;
    they say where maps are alike, and none has a meaning of its own.

    Channels of networks that were never brought together have nothing in common but their number: a
    student without hints looks unlike its teacher even if it knows as much. What it knows is for
    `separating_channel`; likeness that no rotation spoils is for `medkd_lib.evaluate.cka`.

    Args:
        images: ``(N, H, W)`` on [-1, 1], a row each.
        maps: network → ``(N, C, h, w)`` at one place.
        masks: ``(N, H, W)``, not zero in the tumour.
        titles: of the rows.
        fitted_on: the network whose components are taken.

    Raises:
        ValueError: maps of different shapes, fewer than three channels, or an unknown network.
    """
    shapes = {name: tuple(m.shape) for name, m in maps.items()}
    shape = shapes.get(fitted_on, ())
    if len(shape) != 4 or len(set(shapes.values())) != 1 or shape[0] != len(images) or shape[1] < 3:
        raise ValueError(
            f"feature_colours: expected maps ({len(images)}, C, h, w) of three channels or more "
            f"from {fitted_on!r} and the others, found {shapes}"
        )
    flat = {name: standardised(m) for name, m in maps.items()}
    basis = components(flat[fitted_on])
    projected = {name: z @ basis for name, z in flat.items()}
    low, high = (np.percentile(as_array(projected[fitted_on]), q, axis=0) for q in (2, 98))
    n, height, width = images.shape
    with course_style():
        figure, axes = plt.subplots(
            n, 1 + len(maps), squeeze=False,
            figsize=(3.1 * (1 + len(maps)), (3.1 * height / width + 0.1) * n + 0.9),
        )  # fmt: skip
        for row, title in enumerate(titles):
            draw_section(axes[row][0], images[row], [Outline(masks[row])])
            axes[row][0].set_ylabel(title, fontsize=14)
        for column, (name, p) in enumerate(projected.items(), start=1):
            share = float(p.square().sum() / flat[name].square().sum())
            colours = np.clip((as_array(p) - low) / np.maximum(high - low, 1e-6), 0, 1)
            pictures = colours.reshape(n, *shape[2:], 3)
            for row in range(n):
                axis = axes[row][column]
                draw_section(axis, _enlarged(pictures[row], (height, width)),
                             [Outline(masks[row], "white")])  # fmt: skip
            axes[0][column].set_title(f"{name}\n{100 * share:.0f} % of its variance", loc="center",
                                      fontsize=14)  # fmt: skip
        axes[0][0].set_title("image", loc="center", fontsize=14)
    return figure


def standardised(maps: Tensor) -> Tensor:
    """Return ``(N h w, C)`` with each channel at mean 0 and variance 1; a dead one stays 0."""
    flat = maps.detach().double().cpu().movedim(1, -1).flatten(0, 2)
    centred = flat - flat.mean(dim=0)
    return centred / (flat.var(dim=0, correction=0) + 1e-5).sqrt()


def components(flat: Tensor, count: int = 3) -> Tensor:
    """Return the first principal directions ``(C, count)`` of centred rows, the larger side up."""
    directions = torch.linalg.eigh(flat.T @ flat).eigenvectors.flip(1)[:, :count]
    # Either sign is right; without a rule colours would turn over by rounding.
    largest = directions.abs().argmax(dim=0)
    return directions * directions[largest, torch.arange(count)].sign()


def _enlarged(picture: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """Return the nearest pixels of a map at an image's pixels, so that outlines fit it."""
    rows, columns = (
        (np.arange(to) + 0.5) * of // to for to, of in zip(size, picture.shape[:2], strict=True)
    )
    return picture[rows.astype(int)[:, None], columns.astype(int)[None]]


def separating_channel(networks: Mapping[str, Voxels], *, seed: int, bins: int = 40) -> Figure:
    """Draw the channel that best tells tumour from surroundings, a panel per network.

    The channel was chosen on half of the patients; the histogram has the voxels of all of them, the
    channel in its own standard deviations and turned so that tumours lie to the right. The AUC in
    the title is `separability`'s, of patients on whom the channel was not chosen.

    Args:
        networks: name → drawn voxels, of `medkd_lib.evaluate.separability.sample_voxels`.
        seed: of the division of the patients.
        bins: of equal width, the same in all panels.

    Raises:
        ValueError: as `separability`.
    """
    edges = np.linspace(-3.5, 3.5, bins + 1)
    with course_style():
        figure, axes = plt.subplots(
            1, len(networks), figsize=(4.3 * len(networks) + 0.4, 4.1), sharey=True, squeeze=False
        )
        for axis, (name, voxels) in zip(axes[0], networks.items(), strict=True):
            found = separability(voxels, seed=seed)
            channel = voxels.features[:, [found.channels[0]]]
            turned = 1.0 if auc(channel, voxels.foreground)[0] >= 0.5 else -1.0
            z = turned * (channel[:, 0] - channel.mean()) / max(float(channel.std()), 1e-12)
            for label, part, colour, fill in (
                ("surroundings", z[~voxels.foreground], "0.75", True),
                ("tumour", z[voxels.foreground], TRUTH, False),
            ):
                # What lies beyond the axis belongs to its last bins.
                counts = np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0]
                axis.stairs(counts / len(part), edges, fill=fill, color=colour, lw=2.8, label=label)
            axis.set_title(f"{name}\nAUC {found.auc:.2f} on other patients", fontsize=15)
            axis.set_xlabel(f"channel {found.channels[0]}, standard deviations", fontsize=13)
            axis.set_xlim(edges[0], edges[-1])
        axes[0][0].set_ylabel("share of voxels", fontsize=13)
        axes[0][-1].legend(fontsize=14)
    return figure
