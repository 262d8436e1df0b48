"""The graph of a patient's regions, of a whole batch at once: what a network says of each region.

Nothing is detached: a loss on the graph trains the network whose map was pooled.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from medkd_lib.models.region_masks import Regions, pool_regions


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """R nodes of each of B patients; who has fewer regions has absent ones.

    Attributes:
        nodes: ``(B, R, C)`` mean features, 0 where absent.
        present: ``(B, R)`` bool.
        centroids_mm: ``(B, R, 3)`` along the axes D, H, W, 0 where absent.
    """

    nodes: Tensor
    present: Tensor
    centroids_mm: Tensor

    def of(self, patient: int) -> "RegionGraph":
        """Return the graph of one patient of the batch, as a batch of one."""
        row = slice(patient, patient + 1)
        return RegionGraph(self.nodes[row], self.present[row], self.centroids_mm[row])

    def similarity(self) -> Tensor:
        r"""Return edges by what nodes say: cosines ``(B, R, R)``, 0 at absent nodes.

        $$S_{ij} = \frac{\langle h_i, h_j\rangle}{\lVert h_i\rVert\,\lVert h_j\rVert}$$

        A feature of length 0 has no direction: its cosines and its gradient are 0.
        """
        with torch.autocast(self.nodes.device.type, enabled=False):
            length = torch.linalg.vector_norm(self.nodes, dim=-1, keepdim=True)
            direction = self.nodes / length.masked_fill(length == 0, torch.inf)
            return direction @ direction.transpose(1, 2)

    def distance_mm(self) -> Tensor:
        r"""Return edges by where nodes lie: ``(B, R, R)`` in mm, 0 at absent nodes.

        $$d_{ij} = \lVert c_i - c_j\rVert$$
        """
        both = self.present[:, :, None] & self.present[:, None]
        apart = self.centroids_mm[:, :, None] - self.centroids_mm[:, None]
        return torch.linalg.vector_norm(apart, dim=-1) * both


def region_graph(features: Tensor, regions: Regions) -> RegionGraph:
    """Return the graph of the regions in a batch of feature maps.

    A map of any precision gives nodes in float32 (float64 stays). A patient without any region
    has no node present.

    Args:
        features: ``(B, C, d, h, w)``.
        regions: of the same patients, covering the same field, at least as fine as the map.

    Raises:
        ValueError: as `Regions.masks` and `pool_regions`.

    Source: pooling of regions of interest as drawn for REACT-KD (arXiv 2508.02104), whose released
    code samples the map at region centroids, on the CPU and detached. Masks by area are ours.
    """
    if features.ndim != 5 or len(features) != len(regions.present):
        raise ValueError(
            f"region_graph: expected maps (B, C, d, h, w) and regions of the same patients, found "
            f"{tuple(features.shape)} and {tuple(regions.shape)}"
        )
    depth, height, width = features.shape[2:]
    nodes = pool_regions(features, regions.masks((depth, height, width)))
    return RegionGraph(nodes, regions.present, regions.centroids_mm)
