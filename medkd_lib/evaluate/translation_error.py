"""How near are pseudo-images to real ones: their intensities, and the true image where it is known.

Both are means over whole images, to which a tumour is a detail.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy

from medkd_lib.evaluate.pixels import Images, pixels


def histogram_kl(
    pseudo: Images,
    real: Images,
    *,
    bins: int = 64,
    value_range: tuple[float, float] = (-1.0, 1.0),
    pseudocount: float = 0.5,
) -> float:
    r"""Return the KL divergence of the pseudo-images' intensity histogram from the real one's.

    $$\mathrm{KL} = \sum_b p_b\log\frac{p_b}{q_b},\qquad p_b\propto n_b + \alpha$$

    in nats. It depends on the number of bins, and much on how much air the images show.

    Args:
        pseudo: translated images, any shape.
        real: real images of the target modality, any shape.
        bins: of equal width.
        value_range: lowest and highest value.
        pseudocount: α > 0; without it a single pixel in a bin that real images leave empty makes
            the divergence infinite.

    Raises:
        ValueError: values outside the range (they would be dropped) or not finite; a setting that
            is not positive.

    Source: MedPhys19 (Jiang et al. 2019) reports 0.069 between pseudo and real MR; neither its
    direction nor its bins are known to us, so the numbers do not compare.
    """
    low, high = value_range
    if bins < 1 or pseudocount <= 0 or not low < high:
        raise ValueError(
            "histogram_kl: expected bins >= 1, pseudocount > 0 and low < high, found "
            f"{bins}, {pseudocount} and {value_range}"
        )
    counts = []
    for name, images in {"pseudo": pseudo, "real": real}.items():
        values = pixels(name, images)
        if values.min() < low or values.max() > high:
            raise ValueError(
                f"{name}: expected values in [{low}, {high}], found {values.min():.4g} to "
                f"{values.max():.4g}; give the images' own range"
            )
        counts.append(np.histogram(values, bins, value_range)[0] + pseudocount)
    return float(entropy(*counts))


@dataclass(frozen=True)
class AbsoluteError:
    """Mean absolute error per image, in image units.

    Attributes:
        everywhere: ``(N,)``, over all pixels.
        in_masks: ``(N,)``, over the mask's pixels; NaN for an image whose mask is empty.
    """

    everywhere: NDArray[np.float64]
    in_masks: NDArray[np.float64]


def absolute_error(pseudo: Images, truth: Images, masks: NDArray[np.generic]) -> AbsoluteError:
    r"""Return how far pseudo-images are from the true images of the same patients.

    $$e_n = \overline{\lvert\hat m_n - m_n\rvert}$$

    A tumour is a small part of an image: the mean over all pixels hardly hears of it.

    Args:
        pseudo: ``(N, …)``.
        truth: same shape: a phantom's other scan, or a registered one.
        masks: same shape; not zero in the tumour.

    Raises:
        ValueError: shapes differ, or values are not finite.
    """
    if pseudo.shape != truth.shape or pseudo.shape != masks.shape:
        raise ValueError(
            f"pseudo {pseudo.shape}, truth {truth.shape} and masks {masks.shape}: expected one "
            "shape; true images must be of the same patients in the same order"
        )
    difference = pixels("pseudo", pseudo) - pixels("truth", truth)
    errors = np.abs(difference).reshape(pseudo.shape)
    inside = masks.astype(bool)
    return AbsoluteError(
        everywhere=errors.reshape(len(errors), -1).mean(axis=1),
        in_masks=np.array(
            [e[i].mean() if i.any() else np.nan for e, i in zip(errors, inside, strict=True)]
        ),
    )
