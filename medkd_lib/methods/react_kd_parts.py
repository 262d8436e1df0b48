"""The weights of `ReactKD`; its rivals and ablations are other weights of the same method."""

from dataclasses import dataclass
from typing import Literal

from medkd_lib.distill.region_graph import GraphWeights

TeacherWeighing = Literal["equal", "confidence"]


@dataclass(frozen=True)
class Weights:
    r"""Every weight of the total loss.

    $$\mathcal L = (1-\alpha)\,\mathcal L_{focal} + \alpha\,\lambda_{KD}\,\mathcal L_{KD}
    + \beta\,\mathcal L_{RGD} + \lambda_{AT}\,\mathcal L_{AT} + \lambda_{CI}\,\mathcal L_{CI}$$

    Attributes:
        alpha: α, share of the teacher's logits, 0…1.
        logits: λ_KD; 0 takes the logits away and leaves labels and graph in their proportion, which
            α = 0 would change as well.
        temperature: of the logits' term, which keeps its T².
        gamma: of the focal loss.
        beta: of region graph distillation.
        graph: of its terms; a term of weight 0 is not computed.
        gw_alpha: 1 is Gromov–Wasserstein, less is fused with the nodes' cost.
        attention: λ_AT, of attention transfer on the fused maps.
        cross_image: λ_CI, of relations between regions of different patients.
        teachers: how several teachers' logits are weighed.

    T = 2, α = 0.7, γ = 2 and graph weights of 1 are REACT-KD's released configuration (which does
    not use T and α: its code has the mean square of logits). What α multiplies there is not said.
    """

    alpha: float = 0.7
    logits: float = 1.0
    temperature: float = 2.0
    gamma: float = 2.0
    beta: float = 1.0
    graph: GraphWeights = GraphWeights()  # noqa: RUF009
    gw_alpha: float = 1.0
    attention: float = 0.0
    cross_image: float = 0.0
    teachers: TeacherWeighing = "equal"

    @property
    def needs_logits(self) -> bool:
        """Whether a term asks for the teachers' logits."""
        return self.alpha * self.logits > 0

    @property
    def needs_map(self) -> bool:
        """Whether a term asks for the teacher's map."""
        return self.beta > 0 or self.attention > 0 or self.cross_image > 0


LABELS_ALONE = Weights(alpha=0.0, beta=0.0)
