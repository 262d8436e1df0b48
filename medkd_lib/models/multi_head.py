"""One trunk for several datasets, a last layer for each: labels need not mean the same."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from medkd_lib.models.levels import Levelled, Levels, Whole


class MultiHead(nn.Module):
    """A network whose last layer depends on the dataset; everything before it is shared.

    All heads begin with the network's own weights, so that a dataset's head starts the same
    whatever the others are.

    Args:
        network: its ``head`` is taken out.
        datasets: names, one head each.

    Raises:
        ValueError: no dataset, or one named twice.
    """

    def __init__(self, network: Levelled, datasets: Sequence[str]) -> None:
        super().__init__()
        if not datasets or len(set(datasets)) != len(datasets):
            raise ValueError(
                f"datasets: expected different names, one or more, found {list(datasets)}"
            )
        head = network.swap_head(nn.Identity())
        self.trunk = Whole(network)
        self.heads = nn.ModuleDict({name: deepcopy(head) for name in datasets})

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
