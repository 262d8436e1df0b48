"""How far one channel of a feature map tells foreground from background."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Separability:
    """What the best single channel achieves on patients it was not chosen on.

    Attributes:
        auc: mean of both halves; 0.5 for a map that knows nothing (it may come out below).
        fisher: of the chosen channels on the same patients, mean of both halves.
        channels: chosen on the first half and on the second; the same one, if the map has a channel
            for the foreground rather than many that share the work.
    """

    auc: float
    fisher: float
    channels: tuple[int, int]


@dataclass(frozen=True)
class Voxels:
    """Features of drawn voxels: ``(M, C)``, whether each is foreground, and whose it is."""

    features: Floats
    foreground: NDArray[np.bool_]
    patients: NDArray[np.str_]


def separability(voxels: Voxels, *, seed: int) -> Separability:
    r"""Choose a channel on one half of the patients, measure it on the other, and the reverse.

    With the direction $d_c=\pm1$ in which channel c is higher in the foreground of half A,

    $$c^*=\arg\max_c \mathrm{AUC}_A(d_c x_c),\qquad
    \mathrm{AUC}=\mathrm{AUC}_B(d_{c^*}x_{c^*}),\qquad
    J=\frac{(\mu_1-\mu_0)^2}{\sigma_1^2+\sigma_0^2}\Big|_{B,c^*}$$

    and the mean with A and B exchanged. The best of many channels is above 0.5 by luck alone on
    the voxels it was chosen on, the more so the wider the map, so an AUC of the same patients
    favours wide networks. AUC does not change under any rising function of a channel; J does not
    change under its shift and scale. Both change when channels are mixed: compare networks of one
    layout, at the same place.

    Args:
        voxels: of `sample_voxels`.
        seed: of the division of the patients.

    Raises:
        ValueError: fewer than two patients, or a half without foreground or background.

    Our own measure for the statement that hinted features tell foreground from background (Jiang
    et al., arXiv 2107.07985, abstract); how the authors measured that could not be read. J is
    Fisher's criterion (Bishop 2006, equation 4.25) with variances in place of scatters.
    """
    names = np.unique(voxels.patients)
    if len(names) < 2:
        raise ValueError(
            f"separability: expected at least two patients to divide, found {names.tolist()}"
        )
    first = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    in_first = np.isin(voxels.patients, first)
    for name, half in (("first", in_first), ("second", ~in_first)):
        there = voxels.foreground[half]
        if there.all() or not there.any():
            raise ValueError(
                f"separability: expected foreground and background in the {name} half of the "
                f"patients, found {int(there.sum())} of {len(there)} voxels in the foreground; "
                "use more patients, or another seed"
            )
    aucs = [auc(voxels.features[half], voxels.foreground[half]) for half in (in_first, ~in_first)]
    chosen = [int(np.abs(a - 0.5).argmax()) for a in aucs]
    # a channel that is low in the foreground where it was chosen has to be low in the other half
    found = [
        aucs[other][c] if aucs[own][c] >= 0.5 else 1 - aucs[other][c]
        for own, other, c in ((0, 1, chosen[0]), (1, 0, chosen[1]))
    ]
    ratios = [
        fisher_ratio(voxels.features[half][:, [c]], voxels.foreground[half])[0]
        for half, c in ((~in_first, chosen[0]), (in_first, chosen[1]))
    ]
    return Separability(float(np.mean(found)), float(np.mean(ratios)), (chosen[0], chosen[1]))


def sample_voxels(
    features: Tensor,
    masks: Tensor,
    patients: Sequence[str],
    *,
    per_section: int,
    seed: int,
    background: Tensor | None = None,
) -> Voxels:
    """Draw voxels of each section: of its foreground and of its background, as far as there are.

    A map smaller than the mask is read at the mask's pixels, bilinearly: a small tumour would
    vanish from a mask brought down to the map. Most of an image is air, which any network tells
    from a tumour; ``background`` says what is worth telling apart.

    Args:
        features: ``(N, C, h, w)``.
        masks: bool ``(N, H, W)``.
        patients: of each section.
        per_section: most voxels of either kind from one section, so that large tumours do not
            outweigh small ones.
        seed: of the drawing.
        background: bool ``(N, H, W)``, where background is drawn (a ring around the tumour, the
            body); pixels of the mask are never background. Without it, everywhere.

    Raises:
        ValueError: shapes or types that do not fit, or features that are not finite.
    """
    fits = features.ndim == 4 and masks.ndim == 3 and masks.dtype == torch.bool
    if not fits or not len(features) == len(masks) == len(patients):
        raise ValueError(
            "sample_voxels: expected features (N, C, h, w), bool masks (N, H, W) and N patients, "
            f"found {tuple(features.shape)}, {masks.dtype} {tuple(masks.shape)} and "
            f"{len(patients)} patients"
        )
    if background is not None and (
        background.shape != masks.shape or background.dtype != torch.bool
    ):
        raise ValueError(
            f"sample_voxels: expected a bool background {tuple(masks.shape)}, found "
            f"{background.dtype} {tuple(background.shape)}"
        )
    if per_section < 1:
        raise ValueError(f"sample_voxels: expected per_section >= 1, found {per_section}")
    if not torch.isfinite(features).all():
        raise ValueError("sample_voxels: expected finite features, found NaN or infinity")
    rng = np.random.default_rng(seed)
    inside = masks.cpu()
    outside = ~inside if background is None else background.cpu() & ~inside
    found, there, whose = [], [], []
    for n, patient in enumerate(patients):
        for foreground, place in ((True, inside[n]), (False, outside[n])):
            rows, columns = np.nonzero(place.numpy())
            drawn = rng.permutation(len(rows))[:per_section]
            found.append(_read(features[n], rows[drawn], columns[drawn], tuple(place.shape)))
            there.append(np.full(len(drawn), foreground))
            whose += [patient] * len(drawn)
    return Voxels(np.concatenate(found), np.concatenate(there), np.array(whose, dtype=np.str_))


def auc(features: Floats, foreground: NDArray[np.bool_]) -> Floats:
    r"""Return each channel's area under the ROC curve: P(foreground above background), ties half.

    $$\mathrm{AUC}_c=\frac{\sum_{i\in F}r_{ic}-n_1(n_1+1)/2}{n_1n_0}$$

    with r the (mean) ranks within the channel: Mann and Whitney's U.
    """
    n_1, n_0 = int(foreground.sum()), int((~foreground).sum())
    ranks = rankdata(features, axis=0)
    # (Σ r - n1 (n1 + 1) / 2) / (n1 n0)
    area: Floats = (ranks[foreground].sum(axis=0) - n_1 * (n_1 + 1) / 2) / (n_1 * n_0)
    return area


def fisher_ratio(features: Floats, foreground: NDArray[np.bool_]) -> Floats:
    """Return each channel's Fisher ratio; 0 for a channel that is the same everywhere."""
    one, zero = features[foreground], features[~foreground]
    # J = (μ1 - μ0)² / (σ1² + σ0²)
    between = (one.mean(axis=0) - zero.mean(axis=0)) ** 2
    within = one.var(axis=0) + zero.var(axis=0)
    constant = (between == 0) & (within == 0)
    with np.errstate(divide="ignore"):
        ratio: Floats = np.where(constant, 0.0, between / np.where(constant, 1.0, within))
    return ratio


def _read(
    features: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64], size: tuple[int, ...]
) -> Floats:
    """Return ``(points, C)`` features of one map at pixels of an image of another size."""
    # pixel centres on -1…1, as interpolate with align_corners=False places them
    y = (2 * torch.as_tensor(rows) + 1) / size[0] - 1
    x = (2 * torch.as_tensor(columns) + 1) / size[1] - 1
    places = torch.stack([x, y], dim=-1)[None, None].to(features.device, torch.float32)
    read = F.grid_sample(
        features.detach().float()[None],
        places,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return read[0, :, 0].T.double().cpu().numpy()
