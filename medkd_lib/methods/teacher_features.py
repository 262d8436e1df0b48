"""What the contextual loss compares by default: maps of the teacher's own encoder."""

from collections.abc import Sequence

from torch import Tensor, nn

from medkd_lib.methods.base import bare
from medkd_lib.methods.held import held
from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.mrrn import MRRN
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.models.tap import tap
from medkd_lib.models.unet import UNet

# A matrix over pairs of positions of a larger map would pass 64 MiB.
MOST_POSITIONS = 64 * 64
# VGG19's maps in public code lie at two sizes, too.
MAPS = 2


class TeacherFeatures:
    """Maps of a segmentation network's encoder, for a loss on the images alone.

    The teacher sees the target's modality, so what its encoder tells apart there is what a
    translated image should have; nothing pretrained is needed, and nothing to download. It learns
    while the generator does: at first its maps are random ones, which still tell textures apart.

    The pass takes no part in the teacher's training: its weights get no gradient, and it is in
    eval mode, so that batch norm neither learns statistics from translated images nor brings both
    images to the same mean and variance, and dropout is off. The decoder runs along unused.

    Args:
        teacher: one of ours.
        maps: how many, the finest ones of at most `MOST_POSITIONS` positions.

    Raises:
        KeyError: a network whose encoder we do not know.

    Source: ours; CMEDL's cone-beam paper names contextual losses, public code of such losses takes
    VGG19's maps (`medkd_lib.models.vgg19_maps`).
    """

    def __init__(self, teacher: SegmentationNetwork, maps: int = MAPS) -> None:
        self.teacher, self.maps = teacher, maps
        self.places = {place: place for place in encoder_places(teacher)}

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """Return maps ``(N, C, h, w)``, the finest first; the gradient reaches the images alone.

        Raises:
            ValueError: even the coarsest map is too large.
        """
        teacher = bare(self.teacher)
        was = teacher.training
        teacher.eval()
        with held(teacher), tap(teacher, self.places) as seen:
            teacher(images)
        teacher.train(was)
        # a unit of MRRN hands on its map and a stream
        found = [x[0] if isinstance(x, tuple) else x for x in seen.values()]
        small = [x for x in found if x[0, 0].numel() <= MOST_POSITIONS]
        if not small:
            raise ValueError(
                f"images of {tuple(images.shape[-2:])}: expected an encoder's map of at most "
                f"{MOST_POSITIONS} positions, found {[tuple(x.shape[-2:]) for x in found]}; use a "
                "deeper teacher, or other `features`"
            )
        return small[: self.maps]


def encoder_places(network: nn.Module) -> list[str]:
    """Return the places of an encoder's levels below full size, the finest first.

    Raises:
        KeyError: a network that is none of ours.
    """
    if isinstance(network, UNet):
        return [f"encoder.{level}" for level in range(1, len(network.encoder))]
    if isinstance(network, FCDenseNet):
        return [f"transitions_down.{level}" for level in range(len(network.transitions_down))]
    if isinstance(network, MRRN):
        levels = enumerate(network.encoder)
        return [f"encoder.{level}.{len(list(units.children())) - 1}" for level, units in levels]
    raise KeyError(
        f"encoder_places: expected a UNet, an FCDenseNet or an MRRN, found "
        f"{type(network).__name__}; give the translator `features` of your own"
    )
