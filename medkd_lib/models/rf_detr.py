"""transformers' RF-DETR: a small one that learns from scratch, and the published sizes."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor, nn
from transformers import RfDetrConfig, RfDetrForObjectDetection
from transformers.models.rf_detr.configuration_rf_detr import RfDetrDinov2Config

from medkd_lib.models.detector import Detector
from medkd_lib.models.rf_detr_head import DetrHead

PublishedSize = Literal["nano", "small", "medium", "large"]


class Published(NamedTuple):
    """What distinguishes the published sizes: side of the images, and layers of the decoder."""

    side: int
    decoder_layers: int


PUBLISHED: Mapping[PublishedSize, Published] = MappingProxyType(
    {
        "nano": Published(384, 2),
        "small": Published(512, 3),
        "medium": Published(576, 4),
        "large": Published(704, 4),
    }
)
# Layers that say which classes there are: the last one, and one per group of queries before it.
CLASS_LAYERS = ("class_embed.", "model.enc_out_class_embed.")


class RFDETR(Detector):
    """An RF-DETR of transformers', taken apart into backbone with projector and everything else.

    The backbone is a vision transformer whose stages all have one resolution, a patch of the image;
    a convolutional projector makes one map of them, the only one that the rest looks at. So there
    is one level to fuse and to follow, and "encoder" and "bottleneck" levels are not two things
    here. No image is resized or normalised.

    Args:
        network: built; its parts are kept, not copied.

    Shapes:
        images ``(N, C, H, W)`` as configured, square, with sides that are multiples of a patch
        times the windows along a side; answers: see `DetrHead`.

    Raises:
        ValueError: images of other channels or sides.

    Source: Robinson et al. 2025, in transformers' implementation. That the joint-teacher paper
    (arXiv 2605.01563) has an RF-DETR is in its captions; which size is unknown to us.
    """

    def __init__(self, network: RfDetrForObjectDetection) -> None:
        backbone: Any = network.config.backbone_config
        encoder = network.model.backbone
        super().__init__(
            encoder, DetrHead(network), [network.config.d_model],
            in_channels=backbone.num_channels, stride=backbone.patch_size * backbone.num_windows,
        )  # fmt: skip

    def check_images(self, images: Tensor) -> None:
        """Refuse images of another kind than the network was built for.

        Raises:
            ValueError: other channels or sides, or no square: the library cuts windows by the wrong
                side then.
        """
        super().check_images(images)
        if images.shape[-2] != images.shape[-1]:
            raise ValueError(
                f"images: expected squares, found {images.shape[-2]} x {images.shape[-1]}; pad or "
                "crop the images"
            )

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the projector's map, the only one."""
        self.check_images(images)
        features, _ = self.encoder(images, images.new_ones(images[:, 0].shape))
        return [features]


def small_rf_detr(
    in_channels: int,
    classes: int,
    side: int = 96,
    *,
    patch: int = 8,
    hidden: int = 64,
    layers: int = 2,
    width: int = 64,
    queries: int = 16,
    groups: int = 6,
) -> RFDETR:
    """Return an RF-DETR for grey images of about 100 pixels, to be trained from scratch.

    Every part is there, each of them small; attention is over the whole image (one window), and
    nothing is dropped out. All sizes are ours, chosen on drawn discs.

    It needs large batches and many groups. After 400 updates of Adam at 1e-3 on 100 pictures of
    0 to 3 discs in textured noise, 100 others gave mAP@0.5 .29 and .34 (two seeds) in batches of
    8; 600 updates in batches of 4 gave .07, three groups in batches of 4 (300 updates) .14, a rate
    of 5e-4 .20, one of 2e-3 nothing in narrower ones (one seed each). `small_faster_rcnn` gave .48
    after 300 in batches of 4.

    Args:
        in_channels: of the images.
        classes: beside background.
        side: of the images, for which positions are learnt; others are interpolated.
        patch: side of a patch in pixels; the map has a place for each.
        hidden: width of the backbone; half of its layers are handed to the projector.
        layers: of the backbone.
        width: of the map and the queries.
        queries: most objects of an image; no more than the map has places.
        groups: of queries in training; each learns as if it were alone.

    Raises:
        ValueError: more queries than places.
    """
    if queries > (side // patch) ** 2:
        raise ValueError(
            f"queries: expected at most {(side // patch) ** 2}, the places of the map, found "
            f"{queries}; take smaller patches or fewer queries"
        )
    backbone = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4,
        "mlp_ratio": 2, "image_size": side, "patch_size": patch, "num_channels": in_channels,
        "num_windows": 1, "out_features": [f"stage{layers // 2}", f"stage{layers}"],
    }  # fmt: skip
    behind = {
        "d_model": width, "c2f_num_blocks": 1, "dropout": 0.0, "decoder_layers": 2,
        "decoder_ffn_dim": 2 * width, "decoder_self_attention_heads": 4,
        "decoder_cross_attention_heads": 4, "decoder_n_points": 2, "num_queries": queries,
        "group_detr": groups,
    }  # fmt: skip
    return _built(backbone, behind, classes)


def published_rf_detr(size: PublishedSize, in_channels: int, classes: int) -> RFDETR:
    """Return an untrained RF-DETR of a published size: 30.5 to 33.9 million parameters.

    Args:
        size: see `PUBLISHED`; positions are learnt for its images, others are interpolated.
        in_channels: of the images.
        classes: beside background.

    Raises:
        ValueError: an unknown size.

    Source: sides and numbers of layers as in the authors' configuration files; larger ones of
    another licence are left out.
    """
    if size not in PUBLISHED:
        raise ValueError(f"size: expected one of {get_args(PublishedSize)}, found {size!r}")
    side, layers = PUBLISHED[size]
    backbone = {
        "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": side,
        "patch_size": 16, "num_channels": in_channels, "num_windows": 2,
        "out_features": ["stage3", "stage6", "stage9", "stage12"],
    }  # fmt: skip
    return _built(backbone, {"decoder_layers": layers, "decoder_n_points": 2}, classes)


def rf_detr_from(folder: Path, in_channels: int, classes: int) -> RFDETR:
    r"""Return an RF-DETR with the weights of a folder that the user brings; nothing is downloaded.

    The layers that name classes are fresh where the folder's are for another number. The first
    convolution saw RGB; for C other channels each gets $\tfrac1C\sum_k w_{ok}$, so that a grey
    image in all of them gives the map that the grey RGB image gave. The weights expect the
    intensities they were trained with.

    Args:
        folder: ``config.json`` and ``model.safetensors``, as transformers saves them.
        in_channels: of the images.
        classes: beside background.

    Raises:
        FileNotFoundError: no such folder, or one of the two files is not in it.
        ValueError: the weights are not those of the configuration.
    """
    if missing := [n for n in ("config.json", "model.safetensors") if not (folder / n).is_file()]:
        raise FileNotFoundError(
            f"{folder}: expected config.json and model.safetensors, found no {missing}"
        )
    config: Any = RfDetrConfig.from_pretrained(folder, local_files_only=True, num_labels=classes)
    # With the report, which the library's annotation does not know.
    loaded: Any = RfDetrForObjectDetection.from_pretrained(
        folder, config=config, local_files_only=True, use_safetensors=True,
        ignore_mismatched_sizes=True, output_loading_info=True,
    )  # fmt: skip
    network, report = loaded
    _refuse_misfits(folder, report)
    _fit_channels(network, in_channels)
    return RFDETR(network.train())


def _built(backbone: Mapping[str, Any], behind: Mapping[str, Any], classes: int) -> RFDETR:
    config: Any = RfDetrConfig
    return RFDETR(
        RfDetrForObjectDetection(
            config(backbone_config=RfDetrDinov2Config(**backbone), num_labels=classes, **behind)
        )
    )


def _refuse_misfits(folder: Path, report: Mapping[str, Any]) -> None:
    """Accept other shapes where classes are named, and nothing else."""
    others = [str(key[0]) for key in report["mismatched_keys"]]
    wrong = {
        "missing": sorted(report["missing_keys"]),
        "unexpected": sorted(report["unexpected_keys"]),
        "another shape": sorted(k for k in others if not k.startswith(CLASS_LAYERS)),
    }
    if said := [f"{what}: {', '.join(keys[:5])}" for what, keys in wrong.items() if keys]:
        raise ValueError(
            f"{folder}: expected the weights of its config.json, found {'; '.join(said)}; name a "
            "folder that transformers saved whole"
        )


def _fit_channels(network: RfDetrForObjectDetection, channels: int) -> None:
    """Make the patches' convolution one of so many channels, all alike; see `rf_detr_from`."""
    patches: Any = network.model.backbone.backbone.embeddings.patch_embeddings
    seen = patches.projection.in_channels
    if channels == seen:
        return
    # w'_oc = 1/C sum_k w_ok
    summed = patches.projection.weight.detach().sum(dim=1, keepdim=True)
    patches.projection.in_channels = patches.num_channels = channels
    patches.projection.weight = nn.Parameter(summed.repeat(1, channels, 1, 1) / channels)
    backbone: Any = network.config.backbone_config
    backbone.num_channels = channels
