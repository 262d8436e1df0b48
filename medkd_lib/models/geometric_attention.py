"""Attention along the edges of a graph whose nodes have a place and a size."""

from math import log
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.grid_graph import GridGraph

Geometry = Literal["both", "phi", "gauss", "none"]
REACH_MM = 32.0
PHI_WIDTH = 16


class GeometricBias(nn.Module):
    r"""What geometry alone says of each edge, one value per head; minus infinity off the graph.

    $$b_{ijh} = \phi_h\!\left(\frac{p_i-p_j}{L},\frac{\lVert p_i-p_j\rVert}{L},
    \sigma_i-\sigma_j\right) - \frac{\lVert p_i-p_j\rVert^2}{2 r_h^2}$$

    with places $p$ in mm, field $L$, $\sigma=\log_2$ of the cell's side, $\phi$ a perceptron with
    one hidden layer of 16, and a learnable reach $r_h$ in mm. It depends on no image, so it is
    computed once per forward pass, on the edges alone.

    Args:
        graph: nodes and edges.
        heads: number of attention heads.
        geometry: both terms, one of them, or the bare graph.
        reach_mm: $r_h$ at the start; kept positive by learning its logarithm.

    Raises:
        ValueError: unknown ``geometry``.
    """

    offsets: Tensor
    squared_mm: Tensor
    slot: Tensor
    closed: Tensor

    def __init__(
        self, graph: GridGraph, heads: int, geometry: Geometry = "both", reach_mm: float = REACH_MM
    ) -> None:
        super().__init__()
        if geometry not in get_args(Geometry):
            known = ", ".join(get_args(Geometry))
            raise ValueError(f"geometry: expected one of {known}, found {geometry!r}")
        self.phi: nn.Module | None = None
        self.log_reach: nn.Parameter | None = None
        if geometry in ("both", "phi"):
            # No last bias: a constant per head cancels in the softmax.
            last = nn.Linear(PHI_WIDTH, heads, bias=False)
            self.phi = nn.Sequential(nn.Linear(4, PHI_WIDTH), nn.GELU(), last)
        if geometry in ("both", "gauss"):
            self.log_reach = nn.Parameter(torch.full((heads,), log(reach_mm)))
        reader, read = graph.edges()
        delta = graph.positions_mm[reader] - graph.positions_mm[read]
        distance = delta.norm(dim=1, keepdim=True)
        size = (graph.log_size[reader] - graph.log_size[read])[:, None]
        features = torch.cat([delta / graph.field_mm, distance / graph.field_mm, size], dim=1)
        blocks = graph.blocks()
        self.shapes = [block.open.shape for block in blocks]
        is_open = torch.cat([block.open.flatten() for block in blocks])
        closed = torch.zeros_like(is_open, dtype=torch.float32).masked_fill(~is_open, -torch.inf)
        # Not saved with the weights: the graph is built again from the configuration.
        self.register_buffer("offsets", features, persistent=False)
        self.register_buffer("squared_mm", distance**2, persistent=False)
        self.register_buffer("slot", is_open.nonzero()[:, 0], persistent=False)
        self.register_buffer("closed", closed[None], persistent=False)

    def reach_mm(self) -> Tensor | None:
        """Return the reach $r_h$ of each head in mm; None without the Gaussian term."""
        return None if self.log_reach is None else self.log_reach.exp()

    def forward(self) -> list[Tensor]:
        """Return one ``(heads or 1, blocks, cells, keys)`` per scale (`Block`).

        In float32 under autocast too: bfloat16 would round 100 mm² to the nearest half.
        """
        terms = []
        if self.phi is not None:
            # φ(Δp / L, |Δp| / L, Δσ)
            terms.append(self.phi(self.offsets).to(self.closed.dtype))
        reach_mm = self.reach_mm()
        if reach_mm is not None:
            # - |Δp|² / 2r²
            terms.append(-self.squared_mm / (2 * reach_mm**2))
        bias = self.closed
        if terms:
            of_edges = torch.stack(terms).sum(0).T
            bias = bias.repeat(len(of_edges), 1).index_copy(1, self.slot, of_edges)
        parts = bias.split([shape.numel() for shape in self.shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]


class GeometricLayer(nn.Module):
    r"""One layer of attention over a node's neighbours, and a perceptron; identity at the start.

    $$e_{ij} = \frac{q_i^\top k_j}{\sqrt d} + b_{ij},\qquad
    h_i \leftarrow h_i + W_o\sum_j \mathrm{softmax}_j(e_{ij})\,v_j,\qquad
    h_i \leftarrow h_i + \mathrm{FFN}(h_i)$$

    Layer norm before each branch. $W_o$ and the last layer of the FFN start at zero, so a graph
    that learns nothing changes nothing. The sum runs over the nodes that a row of cells reads
    together (`GridGraph.blocks`), a fifth of all pairs.

    Args:
        graph: nodes and edges.
        dim: width of the node features, a multiple of ``heads``; the FFN is twice as wide.
        heads: number of attention heads.
        geometry: see `GeometricBias`.

    Shapes:
        input and output ``(N, V, dim)``.

    Raises:
        ValueError: dim is no multiple of heads, or the input has other nodes than the graph.

    Source: this course's proposal for the weekly report's "geometric-aware attention" (VII.4b).
    """

    def __init__(self, graph: GridGraph, dim: int, heads: int, geometry: Geometry = "both") -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim: expected a multiple of the {heads} heads, found {dim}")
        self.heads, self.nodes = heads, len(graph.mask)
        self.bias = GeometricBias(graph, heads, geometry)
        self.cells = [side * side for side in graph.grids]
        for scale, block in enumerate(graph.blocks()):
            self.register_buffer(f"keys{scale}", block.keys, persistent=False)
        reader, read = graph.edges()
        self.register_buffer("edge", reader * self.nodes + read, persistent=False)
        self.norm_attention, self.norm_ffn = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        narrow = nn.Linear(2 * dim, dim)
        self.ffn = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), narrow)
        for last in (*self.project.parameters(), *narrow.parameters()):
            nn.init.zeros_(last)

    def forward(self, nodes: Tensor) -> Tensor:
        """Return the nodes after one exchange with their neighbours."""
        if nodes.shape[1] != self.nodes:
            raise ValueError(f"nodes: expected the graph's {self.nodes}, found {nodes.shape[1]}")
        q, k, v = self._qkv(self.norm_attention(nodes))
        # Σ softmax(e) v, the scales one after the other
        read = [
            (weights.to(v.dtype) @ self._read(v, scale)).flatten(2, 3)
            for scale, weights in enumerate(self._weights(q, k))
        ]
        nodes = nodes + self.project(torch.cat(read, dim=2).transpose(1, 2).flatten(2))
        return nodes + self.ffn(self.norm_ffn(nodes))

    def attention(self, attention_input: Tensor) -> Tensor:
        """Return the attention ``(N, heads, V, V)``: row i what node i reads, 0 off the graph.

        Args:
            attention_input: ``(N, V, dim)``, the tapped output of ``norm_attention``. Training
                never needs the weights as a matrix, so they are computed again from it.
        """
        q, k, _ = self._qkv(attention_input)
        flat = torch.cat([weights.flatten(2) for weights in self._weights(q, k)], dim=2)
        matrix = flat.new_zeros(*flat.shape[:2], self.nodes**2)
        # Blocks hold the open slots in the order of the edges.
        of_edges = flat.index_select(2, self.bias.slot)
        return matrix.index_copy(2, self.get_buffer("edge"), of_edges).unflatten(
            2, (-1, self.nodes)
        )

    def _qkv(self, attention_input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries over √d, keys and values, each ``(N, heads, V, d)``."""
        joint = self.qkv(attention_input).unflatten(2, (3, self.heads, -1))
        q, k, v = joint.permute(2, 0, 3, 1, 4).contiguous()
        return q / q.shape[-1] ** 0.5, k, v

    def _read(self, nodes: Tensor, scale: int) -> Tensor:
        """Return the nodes that the scale's blocks read, ``(N, heads, blocks, keys, d)``."""
        keys = self.get_buffer(f"keys{scale}")
        return nodes.index_select(2, keys.flatten()).unflatten(2, keys.shape)

    def _weights(self, q: Tensor, k: Tensor) -> list[Tensor]:
        """Return the softmax of every scale, ``(N, heads, blocks, cells, keys)``."""
        weights = []
        for scale, (of_scale, bias) in enumerate(
            zip(q.split(self.cells, 2), self.bias(), strict=True)
        ):
            # e = q·k / √d + b
            rows = of_scale.unflatten(2, (bias.shape[1], -1))
            weights.append(F.softmax(rows @ self._read(k, scale).mT + bias, dim=-1))
        return weights
