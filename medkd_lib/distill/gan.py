r"""The losses of CycleGAN: fool a discriminator, come back to where you started, change no more.

Scores are a discriminator's answers without a sigmoid: 1 for real, 0 for fake. Least squares keep
pulling at fakes that lie far from 1 on the right side too, where a sigmoid is already flat.
"""

from torch import Tensor

from medkd_lib.distill.image_l1 import image_l1
from medkd_lib.distill.precision import in_float32


def lsgan_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    r"""Return the discriminator's least-squares loss.

    $$\mathcal L_D = \overline{(D(m)-1)^2} + \overline{D(G(c))^2}$$

    with means over images and patches. It is ½ for a discriminator that answers ½ to everything,
    and 0 for one that is never wrong.

    Args:
        real_scores: answers to real images, any shape, such as ``(N, 1, h, w)`` of a PatchGAN.
        fake_scores: answers to *detached* translated images (or an image pool's): this loss must
            not train the generator.

    Raises:
        TypeError: a list of maps instead of the scores.

    Source: Mao et al. 2017 (ICCV, arXiv 1611.04076), equation 2 with labels a = 0, b = 1, without
    its ½; CycleGAN's code has a ½. With Adam a factor on a discriminator's only loss does nothing.
    """
    return _squared_distance("real_scores", real_scores, 1.0) + _squared_distance(
        "fake_scores", fake_scores, 0.0
    )


def lsgan_generator(fake_scores: Tensor) -> Tensor:
    r"""Return the generator's least-squares loss: its images should be scored as real.

    $$\mathcal L_G = \overline{(D(G(c))-1)^2}$$

    Args:
        fake_scores: answers to translated images, with their gradient, any shape.

    Raises:
        TypeError: a list of maps instead of the scores.

    Source: Mao et al. 2017, equation 2 with c = 1, without its ½, as in CycleGAN's code.
    """
    return _squared_distance("fake_scores", fake_scores, 1.0)


def cycle_loss(restored: Tensor, images: Tensor) -> Tensor:
    r"""Return how far there and back leads away from the image.

    $$\mathcal L_{cyc} = \overline{\lvert G_{MC}(G_{CM}(c)) - c\rvert}$$

    One direction; CycleGAN adds the other one, with the same weight (usually 10). It does not
    forbid a wrong translation, only one that cannot be undone: whatever $G_{CM}$ moves, paints or
    hides, $G_{MC}$ may move back.

    Args:
        restored: ``(N, C, H, W)``, through both generators, with gradient.
        images: what the first was given; a constant.

    Raises:
        ValueError: shapes differ.

    Source: Zhu et al. 2017 (ICCV, arXiv 1703.10593), equation 2: the L1 norm, here the mean over
    pixels, as in its code.
    """
    return image_l1(restored, images)


def identity_loss(unchanged: Tensor, images: Tensor) -> Tensor:
    r"""Return how much a generator changes images that have its target modality already.

    $$\mathcal L_{idt} = \overline{\lvert G_{CM}(m) - m\rvert}$$

    Usual weight: half the cycle's. It needs as many channels in as out.

    Args:
        unchanged: ``(N, C, H, W)``, the generator's answer to ``images``, with gradient.
        images: real ones of the *target* modality; a constant.

    Raises:
        ValueError: shapes differ.

    Source: Zhu et al. 2017, section 5.2. Whether CMEDL has it is unknown to us; PSIGAN, from the
    same group, does.
    """
    return image_l1(unchanged, images)


def _squared_distance(name: str, scores: Tensor, target: float) -> Tensor:
    if not isinstance(scores, Tensor):
        raise TypeError(
            f"{name}: expected a tensor of scores, found a {type(scores).__name__}; MONAI's "
            "PatchDiscriminator returns all its maps, the scores are the last: network(images)[-1]"
        )
    return _mean_square(scores, target)


@in_float32
def _mean_square(scores: Tensor, target: float) -> Tensor:
    # mean of (D - target)²
    return (scores - target).square().mean()
