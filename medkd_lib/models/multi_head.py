"""One trunk for several datasets, a last layer for each: labels need not mean the same."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType

import torch
from torch import Tensor, nn

from medkd_lib.models.levels import Levelled, Levels, Whole


class MultiHead(nn.Module):
    """A network whose last layer depends on the dataset; everything before it is shared.

    All heads begin with the network's own weights, so that a dataset's head starts the same
    whatever the others are. One for another number of classes cannot, and begins as `other_head`.

    Args:
        network: its ``head`` is taken out.
        datasets: names, one head each.
        classes: number of classes of datasets that have not as many as the network answers.
        seed: of their heads.

    Raises:
        ValueError: no dataset, or one named twice; or classes of one that is not among them.
    """

    def __init__(
        self, network: Levelled, datasets: Sequence[str],
        classes: Mapping[str, int] = MappingProxyType({}), seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        if not datasets or len(set(datasets)) != len(datasets):
            raise ValueError(
                f"datasets: expected different names, one or more, found {list(datasets)}"
            )
        if strangers := [name for name in classes if name not in datasets]:
            raise ValueError(
                f"classes: expected names among {list(datasets)}, found {strangers}; a dataset "
                "without labels has no head"
            )
        head = network.swap_head(nn.Identity())
        self.trunk = Whole(network)
        self.heads = nn.ModuleDict(
            {
                name: other_head(head, classes[name], seed) if name in classes else deepcopy(head)
                for name in datasets
            }
        )

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Levels]:
        """Return every dataset's answer and maps; all pass as one batch.

        A norm over the batch then sees in training what it will remember: the mixture.

        Args:
            images: of each dataset, all of one size. A dataset without a head gets the maps before
                the heads for an answer.
        """
        names, counts = list(images), [len(x) for x in images.values()]
        last, maps = self.trunk(torch.cat([images[name] for name in names]))
        each = zip(names, last.split(counts), *(m.split(counts) for m in maps), strict=True)
        return {
            name: Levels(self.heads[name](own) if name in self.heads else own, levels)
            for name, own, *levels in each
        }

    @property
    def network(self) -> Levelled:
        """The shared network, without a head."""
        return self.trunk.network

    def alone(self, dataset: str) -> Levelled:
        """Return a copy of the network with a dataset's head, as it would leave the lab.

        Raises:
            KeyError: names the datasets that there are.
        """
        if dataset not in self.heads:
            raise KeyError(f"dataset: expected one of {list(self.heads)}, found {dataset!r}")
        network = deepcopy(self.network)
        network.swap_head(deepcopy(self.heads[dataset]))
        return network


def other_head(head: nn.Module, classes: int, seed: int) -> nn.Module:
    """Return a last layer like another one, for so many classes; a copy where it has as many.

    A new one has PyTorch's own initial weights, from the seed alone: nobody else's random numbers
    change, and datasets with equally many classes begin alike.

    Args:
        head: a linear layer, or a 1x1 convolution.
        classes: number of outputs, one or more.
        seed: of the weights.

    Raises:
        TypeError: a last layer of another kind.
        ValueError: no class.
    """
    if classes < 1:
        raise ValueError(f"classes: expected one or more, found {classes}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(head, nn.Linear):
            other: nn.Module = nn.Linear(head.in_features, classes)
            same = head.out_features == classes
        elif isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1):
            other = nn.Conv2d(head.in_channels, classes, 1)
            same = head.out_channels == classes
        else:
            raise TypeError(
                f"head: expected a linear layer or a 1x1 convolution, found {type(head).__name__}; "
                "build the network with the classes of this dataset"
            )
    return deepcopy(head) if same else other.to(head.weight)
