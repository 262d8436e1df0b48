"""The discriminator of image-to-image translation: it judges patches, not the image."""

from monai.networks.nets.patchgan_discriminator import PatchDiscriminator


def patch_discriminator(
    width: int = 64, layers: int = 3, in_channels: int = 1
) -> PatchDiscriminator:
    r"""Return a PatchGAN: one score per overlapping patch of the image.

    Convolutions of 4x4 pixels and LeakyReLU 0.2: ``layers`` of stride 2, then two of stride 1. A
    score sees a patch of side $r$, and an image of side $H$ (a multiple of $2^l$) has $n^2$ scores:

    $$r = 9\cdot2^l - 2,\qquad n = H/2^l - 2$$

    ============  =====  =========================  =====================
    layers $l$    patch  scores of 256², 64², 48²   parameters at width 64
    ============  =====  =========================  =====================
    1             16     126², 30², 22²             134,337
    2             34     62², 14², 10²              660,929
    3             70     30², 6², 4²                2,762,689
    ============  =====  =========================  =====================

    A patch of 70 pixels is a quarter of an image of 256 on a side, and larger than all of an image
    of 64: there the same three layers judge whole images and no longer patches. For images of 48 to
    64 pixels take two layers, whose patch is half of them.

    Args:
        width: channels after the first convolution, doubled by every later one; 64 as published.
        layers: number of halvings, one or more.
        in_channels: of the images.

    Returns:
        MONAI's network. ``network(images)`` is the list of all its maps; the scores are the last,
        ``network(images)[-1]``, ``(N, 1, n, n)``, without a sigmoid.

    Raises:
        ValueError: no layer, or no channel.

    Source: Isola et al. 2017 (CVPR, arXiv 1611.07004), section 6.1.2; as in the public code of
    PSIGAN (instance norm without weights, biases everywhere, N(0, 0.02)).
    """
    if layers < 1 or width < 1:
        raise ValueError(
            f"patch_discriminator: expected one or more layers and channels, found layers {layers} "
            f"and width {width}"
        )
    # MONAI counts the last convolution before the scores, of stride 1, and not the first.
    return PatchDiscriminator(
        2, width, in_channels, num_layers_d=layers, norm="INSTANCE", bias=True
    )
