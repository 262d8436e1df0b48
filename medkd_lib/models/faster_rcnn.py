"""torchvision's Faster R-CNN: a small one for a laptop, and the published one with a ResNet-50."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from medkd_lib.models.detector import Detector
from medkd_lib.models.detector_weights import load_detector
from medkd_lib.models.faster_rcnn_head import RcnnHead
from medkd_lib.models.segmentation import Norm, double_conv

# The first level of the pyramid is a quarter of the image's side.
FINEST = 4
NO_NORMALISING: Mapping[str, list[float]] = {"image_mean": [0.0], "image_std": [1.0]}


class FasterRCNN(Detector):
    """A Faster R-CNN of torchvision's, taken apart into its backbone with pyramid and its heads.

    torchvision's own ``forward`` first passes images through a transform, which subtracts means,
    divides by standard deviations, **resizes** (the shorter side to 800 pixels, as built by
    default) and pads. Here no image is changed: intensities and size are the caller's business, and
    a lesion of 8 pixels stays one of 8 pixels. Everything behind the transform is torchvision's.

    Args:
        network: built, with a `BackboneWithFPN`; its parts are kept, not copied.
        in_channels: of the images.

    Shapes:
        images ``(N, in_channels, H, W)`` with sides that are multiples of the coarsest level's
        stride; ``encode`` returns the pyramid's levels P2, P3, … without the one that only
        subsamples the last; answers: see `RcnnHead`.

    Raises:
        ValueError: images of other channels or sides.

    Source: Ren et al. 2015 (arXiv 1506.01497), Lin et al. 2017 (arXiv 1612.03144), in torchvision's
    implementation. That the joint-teacher paper (arXiv 2605.01563) has a Faster R-CNN is in its
    captions; which backbone is unknown to us.
    """

    def __init__(self, network: TorchvisionFasterRCNN, in_channels: int) -> None:
        levels = len(network.backbone.fpn.inner_blocks)
        super().__init__(
            network.backbone, RcnnHead(network.rpn, network.roi_heads),
            [network.backbone.out_channels] * levels, in_channels=in_channels,
            stride=FINEST * 2 ** (levels - 1),
        )  # fmt: skip

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the pyramid, finest first."""
        self.check_images(images)
        maps: list[Tensor] = list(self.encoder(images).values())
        return maps[:-1]


def small_faster_rcnn(
    in_channels: int,
    classes: int,
    widths: Sequence[int] = (8, 16, 32, 64),
    *,
    pyramid: int = 32,
    hidden: int = 64,
    anchors: Sequence[int] = (8, 16, 32, 64),
    norm: Norm = "instance",
) -> FasterRCNN:
    """Return a Faster R-CNN for grey images of about 100 pixels and objects of 4 to 50.

    Four sizes of anchors, one for each level, in three shapes; some 64 proposals where the library
    has 1000 and more; 32 anchors and 32 regions drawn per image where it has 256 and 512. At the
    library's own numbers nearly every anchor of such an image is drawn, and most of a step is spent
    on sorting them. All sizes are ours, chosen on drawn discs: on 100 pictures of 0 to 3 of them in
    textured noise, 400 updates of Adam at 2e-3 in batches of 4 gave mAP@0.5 .48 on 100 others, and
    .57 with batch norm (one seed each).

    Args:
        in_channels: of the images.
        classes: beside background.
        widths: of the backbone, from half the image's side on; each further one halves it. The
            pyramid begins with the second.
        pyramid: channels of every level.
        hidden: width of the two layers that look at a region.
        anchors: side of the anchors in pixels, for each level and the one that subsamples the last.
        norm: of the backbone, as `SegmentationNetwork`.

    Raises:
        ValueError: anchors that are not one more than levels.
    """
    levels = len(widths) - 1
    if levels < 1 or len(anchors) != levels + 1:
        raise ValueError(
            f"anchors: expected {levels + 1} sizes for {levels} levels (one or more) and the one "
            f"below, found {tuple(anchors)}"
        )
    backbone = BackboneWithFPN(
        _body(in_channels, widths, norm),
        {f"stage{k}": str(k - 1) for k in range(1, len(widths))},
        list(widths[1:]),
        pyramid,
    )
    # A region is looked at on the level that has anchors of its size: on the second from twice
    # the finest anchor on. Level 3 is what the pyramid's authors call an eighth of the image.
    regions = MultiScaleRoIAlign(
        [str(k) for k in range(levels)], output_size=5, sampling_ratio=2,
        canonical_scale=2 * anchors[0], canonical_level=3,
    )  # fmt: skip
    network = TorchvisionFasterRCNN(
        backbone, None, rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in anchors), ((0.5, 1.0, 2.0),) * len(anchors)
        ),
        rpn_pre_nms_top_n_train=128, rpn_pre_nms_top_n_test=128, rpn_post_nms_top_n_train=64,
        rpn_post_nms_top_n_test=64, rpn_fg_iou_thresh=0.5, rpn_batch_size_per_image=32,
        box_batch_size_per_image=32, box_roi_pool=regions,
        box_head=TwoMLPHead(pyramid * regions.output_size[0] * regions.output_size[1], hidden),
        box_predictor=FastRCNNPredictor(hidden, classes + 1),
        box_score_thresh=0.01, box_nms_thresh=0.3, **NO_NORMALISING,
    )  # fmt: skip
    return FasterRCNN(network, in_channels)


def resnet50_faster_rcnn(in_channels: int, classes: int, weights: Path | None = None) -> FasterRCNN:
    """Return torchvision's ``fasterrcnn_resnet50_fpn``: 41.3 million parameters.

    With weights, batch norm is frozen and the first layers with it, as torchvision does; without,
    everything is trained. Images are not resized, see `FasterRCNN`.

    Args:
        in_channels: of the images; the first convolution is fitted to them.
        classes: beside background.
        weights: a file of torchvision's weights of this detector, see `load_detector`.

    Raises:
        ValueError: as `load_detector`.
    """
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=3 if weights else 5,
        norm_layer=FrozenBatchNorm2d if weights else nn.BatchNorm2d,
    )  # fmt: skip
    body = backbone.body
    if in_channels != 3:
        grad = body.conv1.weight.requires_grad
        body.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        body.conv1.requires_grad_(grad)
    network = TorchvisionFasterRCNN(backbone, classes + 1, **NO_NORMALISING)
    if weights:
        load_detector(
            network, weights, first="backbone.body.conv1.weight",
            fresh=("roi_heads.box_predictor.",),
        )  # fmt: skip
        # The only published weights were made by a batch norm without ε; torchvision sets it so.
        overwrite_eps(network, 0.0)
    return FasterRCNN(network, in_channels)


def _body(in_channels: int, widths: Sequence[int], norm: Norm) -> nn.Sequential:
    """Return stages that halve the side, two convolutions each."""
    stages = {"stage0": nn.Sequential(nn.AvgPool2d(2), double_conv(in_channels, widths[0], norm))}
    for k, (before, width) in enumerate(pairwise(widths), 1):
        stages[f"stage{k}"] = nn.Sequential(nn.MaxPool2d(2), double_conv(before, width, norm))
    return nn.Sequential(OrderedDict(stages))
