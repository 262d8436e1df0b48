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
    edge: Tensor

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
        # Not saved with the weights: the graph is built again from the configuration.
        self.register_buffer("offsets", features, persistent=False)
        self.register_buffer("squared_mm", distance**2, persistent=False)
        self.register_buffer("edge", reader * len(graph.mask) + read, persistent=False)
        self.nodes = len(graph.mask)

    def reach_mm(self) -> Tensor | None:
        """Return the reach $r_h$ of each head in mm; None without the Gaussian term."""
        return None if self.log_reach is None else self.log_reach.exp()

    def forward(self) -> Tensor:
        """Return the bias of every pair, ``(heads or 1, V, V)`` float32."""
        of_edges = torch.zeros_like(self.squared_mm)
        if self.phi is not None:
            # φ(Δp / L, |Δp| / L, Δσ)
            of_edges = of_edges + self.phi(self.offsets).float()
        reach_mm = self.reach_mm()
        if reach_mm is not None:
            # - |Δp|² / 2r²
            of_edges = of_edges - self.squared_mm / (2 * reach_mm**2)
        pairs = of_edges.new_full((of_edges.shape[1], self.nodes**2), -torch.inf)
        return pairs.index_copy(1, self.edge, of_edges.T).unflatten(1, (self.nodes, self.nodes))


class GeometricLayer(nn.Module):
    r"""One layer of attention over a node's neighbours, and a perceptron; identity at the start.

    $$e_{ij} = \frac{q_i^\top k_j}{\sqrt d} + b_{ij},\qquad
    h_i \leftarrow h_i + W_o\sum_j \mathrm{softmax}_j(e_{ij})\,v_j,\qquad
    h_i \leftarrow h_i + \mathrm{FFN}(h_i)$$

    Layer norm before each branch. $W_o$ and the last layer of the FFN start at zero, so a graph
    that learns nothing changes nothing. Pairs off the graph are masked, not left out: with a few
    hundred nodes the dense product is the simplest and fast enough.

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
        weights = self._weights(q, k)
        # h + W Σ softmax(e) v
        nodes = nodes + self.project((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return nodes + self.ffn(self.norm_ffn(nodes))

    def attention(self, attention_input: Tensor) -> Tensor:
        """Return the attention ``(N, heads, V, V)``: row i what node i reads, 0 off the graph.

        Args:
            attention_input: ``(N, V, dim)``, the tapped output of ``norm_attention``.
        """
        q, k, _ = self._qkv(attention_input)
        return self._weights(q, k)

    def _qkv(self, attention_input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each ``(N, heads, V, d)``."""
        joint = self.qkv(attention_input).unflatten(2, (3, self.heads, -1))
        q, k, v = joint.permute(2, 0, 3, 1, 4)
        return q, k, v

    def _weights(self, q: Tensor, k: Tensor) -> Tensor:
        # e = q·k / √d + b
        return F.softmax(q @ k.mT / q.shape[-1] ** 0.5 + self.bias(), dim=-1)
