"""The ImageNet weights that the trunks of a study start from, if the user brings any."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from medkd_lib.data.file_digest import digest
from medkd_lib.models.imagenet import load_trunk
from medkd_lib.models.msgff import MsgffTeacher, ScaleNorms
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitTrunk


@dataclass(frozen=True)
class Pretrained:
    """Files of torchvision's weights, one for each kind of trunk; empty: it starts at random.

    Attributes:
        vgg: of ``vgg19_bn``, for every `VggTrunk`.
        vit: of ``vit_b_16``, for every `VitTrunk`.
    """

    vgg: str = ""
    vit: str = ""

    def digests(self) -> dict[str, str]:
        """Return trunk → SHA-256 of its file: what a training with these weights depends on.

        Raises:
            FileNotFoundError: no such file.
        """
        files = {"vgg": Path(self.vgg), "vit": Path(self.vit)}
        given = {trunk: file for trunk, file in files.items() if getattr(self, trunk)}
        for trunk, file in given.items():
            if not file.is_file():
                raise FileNotFoundError(
                    f"{trunk} weights: expected a file of torchvision's weights, found none at "
                    f"{file}; name the file, or leave it empty to start at random"
                )
        return {trunk: digest(file) for trunk, file in given.items()}

    def fill(self, network: nn.Module) -> None:
        """Fill the trunks that a network has, as `load_trunk` says; without trunks it stays.

        Args:
            network: of `network_of`, filled in place.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file does not fit its trunk, as in a lesson's narrow one.
        """
        for name, kind, file in (("vgg", VggTrunk, self.vgg), ("vit", VitTrunk, self.vit)):
            trunk = getattr(network, name, None)
            if file and isinstance(trunk, kind):
                load_trunk(trunk, Path(file))
        if self.vgg and isinstance(network, MsgffTeacher):
            # The other scales start with the trunk's statistics, which are new.
            network.norms = nn.ModuleDict({s: ScaleNorms(network.vgg) for s in network.norms})


NONE = Pretrained()
