r"""Training on labels of one or several datasets, which an encoder may have to hide.

$$\mathcal L = \frac1{|Y|}\sum_{d\in Y}\mathcal L_y^d + \mathcal L_d$$

Every teacher of the joint-teacher method is one of these: the target's (one dataset), a source's
(two datasets and a domain loss), the joint one (a `JointTeacher` as network). So are the method's
rivals: the target alone, and the pooled training with a head per dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.data.batches import Batch
from medkd_lib.distill.deep_coral import deep_coral
from medkd_lib.distill.gradient_reversal import reversal_strength, reverse_gradient
from medkd_lib.distill.mmd import mmd
from medkd_lib.methods.base import Losses, Method, adam_with_cosine, bare
from medkd_lib.methods.joint_parts import Domain, Task
from medkd_lib.methods.told import part_of
from medkd_lib.models.domain_classifier import DomainClassifier, pooled
from medkd_lib.models.levels import Levelled
from medkd_lib.models.multi_head import MultiHead
from medkd_lib.models.standardise import RunningStandardise

PAIRWISE = {"coral": deep_coral, "mmd": mmd}


class ManyDatasets(Method):
    """One network, a head per labelled dataset, all of them in every step.

    Args:
        network: untrained, or trained elsewhere; its head is copied for every labelled dataset.
        labelled: datasets whose labels count, the one that leaves the lab first.
        unlabelled: datasets that only the domain loss sees.
        task: the label loss.
        learning_rate: of Adam, at the start of a half-cosine.
        steps: planned updates.
        domain: how domains are hidden; None: they are not.
        views: augmentation of a dataset's part of the batch.
        classes: of labelled datasets that have not as many as the network answers, see `MultiHead`.
        seed: of the heads of those.

    Raises:
        ValueError: a domain loss with one dataset.

    Source: stages 1 and 2 of Ceausescu et al. (arXiv 2605.01563), as far as captions tell; gradient
    reversal as in Ganin et al. 2016, see `Domain`. Whether target labels count in a source's
    teacher is unknown to us: ``labelled`` says it.
    """

    def __init__(
        self, network: Levelled, labelled: Sequence[str], task: Task[Any], *, learning_rate: float,
        steps: int, unlabelled: Sequence[str] = (), domain: Domain | None = None,
        views: Callable[[Batch], Batch] = lambda batch: batch,
        classes: Mapping[str, int] = MappingProxyType({}), seed: int = 0,
    ) -> None:  # fmt: skip
        self.labelled, self.datasets = tuple(labelled), (*labelled, *unlabelled)
        if domain and len(self.datasets) < 2:
            raise ValueError(
                f"domain: expected two datasets or more to tell apart, found {self.datasets}"
            )
        self.task, self.domain, self.steps, self.views = task, domain, steps, views
        width = network.level_channels[domain.level if domain else -1]
        self.networks: dict[str, nn.Module] = {
            "student": MultiHead(network, self.labelled, classes, seed)
        }
        if domain and domain.kind == "reversal":
            # Behind a norm per image pooled features vary by some hundredths of their mean; raw,
            # the classifier learns next to nothing of what a linear probe reads from them.
            self.networks["domain"] = nn.Sequential(
                RunningStandardise(width), DomainClassifier(width, len(self.datasets))
            )
        self.optimizers, self.schedules = {}, {}
        for name, learner in self.networks.items():
            adam, cosine = adam_with_cosine(learner, learning_rate, steps)
            self.optimizers[name], self.schedules[name] = adam, cosine

    def update(self, batch: Batch) -> Losses:
        """One step on ``DATASET/images`` and, for a task, such as ``DATASET/masks``."""
        parts = {name: self.views(part_of(batch, name)) for name in self.datasets}
        images = {name: part["images"] for name, part in parts.items()}
        answers = self.networks["student"](images)
        labels = [self.task.label_loss(answers[d].output, parts[d]) for d in self.labelled]
        # L = mean of L_y over labelled datasets + L_d
        loss = torch.stack(labels).mean()
        losses = {f"labels {d}": x for d, x in zip(self.labelled, labels, strict=True)}
        if self.domain:
            seen = [pooled(answers[d].maps[self.domain.level]) for d in self.datasets]
            hidden = self._hide(self.domain, seen)
            losses |= hidden
            loss = loss + hidden["domain"]
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        self.fabric.backward(loss)
        for name, optimizer in self.optimizers.items():
            optimizer.step()
            self.schedules[name].step()
        return {name: value.detach() for name, value in losses.items()}

    def _hide(self, domain: Domain, seen: Sequence[Tensor]) -> Losses:
        """Return the domain loss as it counts, and for a classifier how often it is right."""
        done = min(1.0, self.schedules["student"].last_epoch / self.steps)
        strength = domain.weight * reversal_strength(done, domain.gamma)
        if domain.kind != "reversal":
            # λ · mean over the other datasets of their distance to the first
            apart = PAIRWISE[domain.kind]
            others = torch.stack([apart(other, seen[0]) for other in seen[1:]])
            return {"domain": strength * others.mean()}
        numbers = [torch.full((len(x),), k, device=x.device) for k, x in enumerate(seen)]
        truth = torch.cat(numbers)
        logits = self.networks["domain"](reverse_gradient(torch.cat(list(seen)), strength))
        # The classifier descends at full strength, the encoder hears -λ of it.
        right = (logits.detach().argmax(dim=1) == truth).float().mean()
        return {"domain": F.cross_entropy(logits, truth), "domain accuracy": right}

    def deployable(self) -> nn.Module:
        """Return the network with the first labelled dataset's head."""
        return self.shared.alone(self.labelled[0]).eval()

    @property
    def shared(self) -> MultiHead:
        """The network with all its heads."""
        network = bare(self.networks["student"])
        if not isinstance(network, MultiHead):
            raise TypeError(f"student: expected a MultiHead, found {type(network).__name__}")
        return network
