"""Lessons 06 and 07: whether a source's teacher still knows which dataset an image is from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_cohort import P
from medkd_lib.course.experiments.joint_stages import JointStages, levelled
from medkd_lib.evaluate.domain_probe import Probe, linear_probe
from medkd_lib.methods.joint_parts import Domain
from medkd_lib.models.domain_classifier import pooled
from medkd_lib.models.levels import Levelled

AT_ONCE, FOLDS = 64, 3


def probes(
    study: JointStages[P], domain: Domain | None, sources: Sequence[str] | None = None,
    level: int = -1,
) -> dict[str, Probe]:  # fmt: skip
    """Return, for the teacher of each source, how well a linear probe tells it from the target.

    Both sides are training patients, as the teacher saw both; a probe is read on patients whom
    *it* was not fitted on. A source of fewer patients than folds is left out: no probe of one
    patient tells him from his set.

    Args:
        study: whose teachers; they are trained if need be.
        domain: how they hide domains.
        sources: whose teachers; None: of all sources.
        level: of the maps, -1 the bottleneck.
    """
    found, cohort = {}, study.cohort
    own = cohort.train[cohort.target]
    for source in cohort.sources if sources is None else sources:
        theirs = cohort.train[source]
        if len(set(theirs.patients)) < FOLDS:
            continue
        network = levelled(study.source_teacher(source, domain))
        features = [bottleneck(network, study.inputs(s), level) for s in (own, theirs)]
        labels = [cohort.target] * len(own) + [source] * len(theirs)
        patients = [*own.patients, *theirs.patients]
        found[source] = linear_probe(torch.cat(features), labels, patients, folds=FOLDS)
    return found


def probe_numbers(study: JointStages[P], arm: Arm) -> dict[str, float]:
    """Return the probes of an arm's source teachers, and the upper ends of their intervals.

    Empty where no teacher learnt from a source.
    """
    if arm.teacher != "joint" or arm.members != "sources":
        return {}
    found: dict[str, float] = {}
    for source, probe in probes(study, arm.domain).items():
        found[f"probe_{source}"] = probe.balanced_accuracy
        found[f"probe_high_{source}"] = probe.interval[1]
    return found


def bottleneck(network: Levelled, images: Tensor, level: int = -1) -> Tensor:
    """Return the mean over positions of a network's map of images, ``(N, C)``."""
    return pooled(maps_of(network, images, level))


@torch.no_grad()
def maps_of(network: Levelled, images: Tensor, level: int) -> Tensor:
    """Return a network's maps of one level, ``(N, C, h, w)``, in eval mode, on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    chunks = images.split(AT_ONCE)
    return torch.cat([network.encode(c.to(device).float())[level].cpu() for c in chunks])
