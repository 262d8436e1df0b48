r"""REACT-KD, mended: logits and a graph of regions, from teachers who see more to a CT student.

$$\mathcal L = (1-\alpha)\,\mathcal L_{focal} + \alpha\,\lambda_{KD}\,T^2\,\mathrm{KL}(p^t\Vert p^s)
+ \beta\,(w_n\mathcal L_{node} + w_e\mathcal L_{edge} + w_{gw}\mathcal L_{GW})$$

What the paper draws and what could be read of it decides (arXiv 2508.02104, figure of the
pipeline); why its released code is not followed: `react_kd_released`. The total loss is our
reading of the released configuration; the paper's own weights could not be read.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medkd_lib.data.batches import Batch
from medkd_lib.distill.attention import attention_transfer
from medkd_lib.distill.cross_image import cross_image_relations
from medkd_lib.distill.focal import focal_loss
from medkd_lib.distill.region_graph import Graph, region_graph_distillation
from medkd_lib.distill.several_teachers import confidence_weights, equal_weights, weighed_kd
from medkd_lib.methods.another import of_another
from medkd_lib.methods.base import FrozenTeacher, Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.modality_dropout import ModalityDropout, shown
from medkd_lib.methods.react_kd_parts import Weights
from medkd_lib.models.fused_classifier import Answer, AtBedside, FusedClassifier
from medkd_lib.models.region_graph import region_graph
from medkd_lib.models.region_masks import Regions


class ReactKD(Method):
    """A student of several branches, trained by labels, a teacher's logits and its region graph.

    With ``LABELS_ALONE`` nobody teaches: so teachers and the student alone are trained, too.

    Args:
        student: its branches; the ones named by ``bedside`` are all that it has later.
        bedside: branches that leave the lab, such as ``("ct",)``.
        learning_rate: of Adam, at the start of a half-cosine.
        steps: planned updates, the length of that half-cosine.
        weights: of the terms.
        teacher: a trained classifier that is asked at every step; it sees every volume, whatever
            the student is shown. None: the batch brings ``teacher_logits`` ``(B, teachers, C)``
            and ``teacher_map`` ``(B, channels, d, h, w)``, as far as the weights ask for them.
        dropout: which branches of the student are shown; None: all, always.
        regions: number of regions in the batch's ``regions``.
        spacing_mm: of those, along D, H, W.
        shuffled: every patient is taught the answer to another one, as a control.

    Raises:
        ValueError: α outside 0…1.
    """

    def __init__(
        self, student: FusedClassifier, *, bedside: Sequence[str], learning_rate: float, steps: int,
        weights: Weights, regions: int, spacing_mm: Sequence[float],
        teacher: FusedClassifier | None = None, dropout: ModalityDropout | None = None,
        shuffled: bool = False,
    ) -> None:  # fmt: skip
        if not 0 <= weights.alpha <= 1:
            raise ValueError(f"alpha: expected 0 to 1, found {weights.alpha}")
        self.networks: dict[str, nn.Module] = {"student": student}
        self.teacher = None if teacher is None else FrozenTeacher(teacher)
        if self.teacher is not None:
            self.networks["teacher"] = self.teacher
        adam, cosine = adam_with_cosine(student, learning_rate, steps)
        self.optimizers, self.schedules = {"adam": adam}, {"cosine": cosine}
        self.bedside, self.weights, self.dropout = tuple(bedside), weights, dropout
        self.regions, self.spacing_mm, self.shuffled = regions, tuple(spacing_mm), shuffled
        self.branches = student.names

    def update(self, batch: Batch) -> Losses:
        """One step on volumes by name, ``labels``, ``regions``, ``patients`` and perhaps ``held``.

        ``held`` ``(B, branches)`` says which of the student's images a patient has at all;
        ``patients``, a number for each, are asked for by the shuffled control alone.
        """
        labels = batch["labels"]
        # Boxes are kept in half precision to save memory; networks are not.
        volumes = {
            name: x.float() for name, x in batch.items() if x.ndim == 5 and name != "teacher_map"
        }
        # The teacher sees everything; what is drawn is the student's alone.
        answer = self.networks["student"](volumes, self._shown(batch))
        hard = focal_loss(answer.logits, labels, self.weights.gamma)
        # L = (1 - α) focal + α KD + β RGD + λ_AT AT + λ_CI CI
        loss, losses = (1 - self.weights.alpha) * hard, {"focal": hard}
        told, terms = self._told(batch, volumes, answer)
        loss, losses = loss + told, losses | terms

        self.optimizers["adam"].zero_grad()
        self.fabric.backward(loss)
        self.optimizers["adam"].step()
        self.schedules["cosine"].step()
        return {name: value.detach() for name, value in losses.items()}

    def _told(self, batch: Batch, volumes: Batch, answer: Answer) -> tuple[Tensor, Losses]:
        """Return the weighed sum of all terms that come from teachers, and each of them."""
        w, loss, losses = self.weights, answer.logits.new_zeros(()), Losses()
        if not (w.needs_logits or w.needs_map):
            return loss, losses
        teacher_logits, teacher_map = self._taught(batch, volumes)
        # Everybody is taught the answer to himself, in the control that to another patient.
        mine: Tensor | slice = slice(None)
        theirs: Tensor | slice = mine
        if self.shuffled:
            mine, theirs = of_another(batch["patients"])
            if not len(mine):
                return loss, losses
        logits, fused = answer.logits[mine], answer.fused[mine]
        if w.needs_logits:
            teachers = teacher_logits[theirs].transpose(0, 1)
            weighing = (
                confidence_weights(teachers, batch["labels"][mine])
                if w.teachers == "confidence"
                else equal_weights(teachers)
            )
            soft = weighed_kd(logits, teachers, weighing, w.temperature)
            loss, losses["distillation"] = loss + w.alpha * w.logits * soft, soft
        if w.beta or w.cross_image:
            own = self._regions(batch["regions"][mine])
            others = self._regions(batch["regions"][theirs]) if self.shuffled else own
            graph, taught = graph_of(fused, own), graph_of(teacher_map[theirs], others)
            if w.beta:
                terms = region_graph_distillation(graph, taught, w.graph, alpha=w.gw_alpha)
                loss = loss + w.beta * terms.total
                losses |= {"nodes": terms.node, "edges": terms.edge}
                losses["gromov_wasserstein"] = terms.gromov_wasserstein
            if w.cross_image:
                both = graph.present & taught.present
                relations = cross_image_relations(graph.nodes, taught.nodes, both)
                loss, losses["cross_image"] = loss + w.cross_image * relations, relations
        if w.attention:
            # A volume is as good as a picture of (D, H · W) places: nothing here looks at nearness.
            looks = attention_transfer(fused.flatten(3), teacher_map[theirs].flatten(3))
            loss, losses["attention"] = loss + w.attention * looks, looks
        return loss, losses

    def _regions(self, numbers: Tensor) -> Regions:
        return Regions(numbers, self.regions, self.spacing_mm)

    def _shown(self, batch: Batch) -> Tensor | None:
        """Return which branches of the student are shown to whom; None: all to everybody."""
        held = batch.get("held")
        if self.dropout is None:
            return held
        labels = batch["labels"]
        return shown(self.dropout.draw(len(labels), self.branches, labels.device), held)

    def _taught(self, batch: Batch, volumes: Batch) -> tuple[Tensor, Tensor]:
        """Return the teachers' logits ``(B, teachers, C)`` and the teacher's map.

        Raises:
            KeyError: no teacher, and no answer in the batch that a term asks for.
        """
        if self.teacher is not None:
            with self.fabric.autocast(), torch.no_grad():
                answer = self.teacher.network(volumes)
            logits, fused = answer.logits[:, None], answer.fused
        else:
            asked = {"teacher_logits": self.weights.needs_logits}
            asked["teacher_map"] = self.weights.needs_map
            if missing := [name for name, needed in asked.items() if needed and name not in batch]:
                raise KeyError(
                    f"ReactKD: expected a teacher, or its answers in the batch, found no {missing}"
                    f" among {sorted(batch)}; let the loader bring them, or set their weights to 0"
                )
            # What nobody asks for need not be there, and is not looked at.
            nothing = batch["labels"]
            logits, fused = (batch[n] if needed else nothing for n, needed in asked.items())
        return logits, fused

    def deployable(self) -> nn.Module:
        """Return the student with its bedside branches alone."""
        student = bare(self.networks["student"])
        assert isinstance(student, FusedClassifier)
        return AtBedside(student.only(self.bedside)).eval()


def graph_of(fused: Tensor, regions: Regions) -> Graph:
    """Return the graph of regions in a fused map, attached to the network that made it."""
    found = region_graph(fused, regions)
    return Graph(found.nodes, found.similarity(), found.present)
