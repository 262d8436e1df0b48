r"""The losses of a translator with a shared latent: draw what you were given, from a usual code.

For two modalities $a$ and $b$, with the posteriors $q_a = q(z\mid x_a)$ of an image and
$q_{ab} = q(z\mid\hat x_{a\to b})$ of its translation,

$$\mathcal L_a = \lambda_r\,\mathcal L_{rec}(\hat x_{a\to a}, x_a) + \lambda_k\,\mathrm{KL}(q_a)
+ \lambda_c\,\mathcal L_{cyc}(\hat x_{a\to b\to a}, x_a) + \lambda_k\,\mathrm{KL}(q_{ab})
+ \lambda_g\,\mathcal L_G(\hat x_{a\to b})$$

with `reconstruction_loss` and `kl_to_standard_normal` from here, `cycle_loss` and `lsgan_generator`
from `medkd_lib.distill.gan`. UNIT's public settings: λ 10, 0.01, 10, 0.01 and 1. The KL here is
half of UNIT's at unit variance, so its 0.01 there is 0.02 here.
"""

from torch import Tensor

from medkd_lib.distill.image_l1 import image_l1
from medkd_lib.distill.precision import in_float32


def reconstruction_loss(reconstruction: Tensor, images: Tensor) -> Tensor:
    r"""Return how far an image decoded into its own modality is from itself.

    $$\mathcal L_{rec} = \overline{\lvert \hat x_{a\to a} - x_a\rvert}$$

    Up to constants the negative log likelihood of Laplace noise around the decoder's image.

    Args:
        reconstruction: ``(N, C, H, W)``, with gradient.
        images: same shape; a constant.

    Raises:
        ValueError: shapes differ.

    Source: Liu et al. 2017 (arXiv 1703.00848), equation 3 and section 3.
    """
    return image_l1(reconstruction, images)


@in_float32
def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return the KL divergence of a diagonal Gaussian from $N(0, I)$, per latent element.

    $$\mathcal L = \frac1{\#z}\sum \tfrac12\big(\mu^2 + e^{s} - 1 - s\big),\qquad s = \log\sigma^2$$

    Zero at μ = 0, s = 0. Mean over all elements, so that the weight means the same at every size;
    the evidence bound takes sums. With $\mathcal L_{rec}$ a mean over pixels too, weights
    $\lambda_k/\lambda_r$ here are $\lambda_k/\lambda_r$ × pixels / latent elements there.

    Args:
        mean: μ, any shape.
        log_variance: s, same shape, up to 80; above, $e^s$ leaves float32 and the loss is infinite.

    Raises:
        ValueError: shapes differ.

    Source: Kingma and Welling 2014 (arXiv 1312.6114), appendix B.
    """
    if mean.shape != log_variance.shape:
        raise ValueError(
            f"mean {tuple(mean.shape)} and log_variance {tuple(log_variance.shape)} differ in "
            "shape; expected one variance for every element of the latent"
        )
    # ½ (μ² + e^s - 1 - s); expm1 keeps the difference exact near s = 0
    return (mean.square() + log_variance.expm1() - log_variance).mean() / 2
