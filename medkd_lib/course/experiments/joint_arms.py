"""The arms of lesson 06: what the student learns from, and what each rival controls for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from medkd_lib.methods.joint_parts import Domain, Weights

# Who teaches: nobody; the target's teacher; one network for all datasets, or that one fine-tuned;
# the joint teacher.
Teacher = Literal["nobody", "alone", "pooled", "finetuned", "joint"]
# What the joint teacher is made of beside the target's teacher.
Members = Literal["sources", "targets", "random"]
# What is done to the material first.
Material = Literal["as it is", "shuffled labels", "other structure"]
Start = Literal["fresh", "pooled"]


@dataclass(frozen=True)
class Arm:
    """One way to a student.

    Attributes:
        teacher: whom the student follows.
        weights: of the student's loss.
        members: of the joint teacher.
        domain: how source teachers hide domains; None: there is no domain loss.
        joint_on: whose labels the joint teacher's fusers and decoder learn from.
        start: the student's first weights: untrained, or those of the pooled training.
        gentle: fine-tuned at a tenth of the learning rate.
        long: trained for as many updates as the whole pipeline has.
        more: learns from the further target patients, too.
        material: what is changed about the sources.
        sources: share of every source's patients.
        target: share of the target's labelled patients.
        answer: what is tested: the student, or what it would have learnt from.
    """

    teacher: Teacher = "joint"
    weights: Weights = Weights()  # noqa: RUF009
    members: Members = "sources"
    domain: Domain | None = Domain()  # noqa: RUF009
    joint_on: Literal["target", "all"] = "target"
    start: Start = "fresh"
    gentle: bool = False
    long: bool = False
    more: bool = False
    material: Material = "as it is"
    sources: float = 1.0
    target: float = 1.0
    answer: Literal["student", "teacher"] = "student"


ALONE = Arm("nobody")
JOINT = Arm()
LOGITS = replace(JOINT.weights, features=0.0)


def _joint(**changed: object) -> Arm:
    return replace(JOINT, weights=replace(JOINT.weights, **changed))  # type: ignore[arg-type]


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "alone": ALONE,
        "alone_pipeline": replace(ALONE, long=True),
        "more_target": replace(ALONE, more=True),
        "pooled": Arm("pooled", answer="teacher"),
        "finetuned": replace(ALONE, start="pooled"),
        "finetuned_gentle": replace(ALONE, start="pooled", gentle=True),
        "kd_pooled": Arm("pooled", LOGITS),
        "kd_finetuned": Arm("finetuned", LOGITS),
        "joint": JOINT,
        "joint_teacher": replace(JOINT, answer="teacher"),
        "joint_visible": replace(JOINT, domain=Domain(weight=0.0)),
        "joint_coral": replace(JOINT, domain=Domain("coral")),
        "joint_mmd": replace(JOINT, domain=Domain("mmd")),
        "joint_logits": _joint(features=0.0),
        "joint_bottleneck": _joint(levels="bottleneck"),
        "joint_encoder": _joint(levels="encoder"),
        "joint_cosine": _joint(distance="cosine"),
        "joint_chopra": _joint(distance="chopra"),
        "joint_each": _joint(follow="each"),
        "joint_each_dropped": _joint(follow="each", dropping=0.5),
        "joint_ancestor": _joint(logits=0.6, features=0.2, labels=0.2),
        "joint_on_all": replace(JOINT, joint_on="all"),
        "joint_finetuned": replace(JOINT, start="pooled"),
        "target_teachers": replace(JOINT, members="targets"),
        "random_sources": replace(JOINT, members="random"),
        "self_distilled": Arm("alone"),
        "unrelated": replace(JOINT, material="other structure"),
        "shuffled_labels": replace(JOINT, material="shuffled labels"),
        "joint_eighth": replace(JOINT, sources=1 / 8),
        "joint_quarter": replace(JOINT, sources=1 / 4),
        "joint_half": replace(JOINT, sources=1 / 2),
        "finetuned_eighth": replace(ALONE, start="pooled", sources=1 / 8),
        "finetuned_quarter": replace(ALONE, start="pooled", sources=1 / 4),
        "finetuned_half": replace(ALONE, start="pooled", sources=1 / 2),
        "half_alone": replace(ALONE, target=1 / 2),
        "half_finetuned": replace(ALONE, start="pooled", target=1 / 2),
        "half_joint": replace(JOINT, target=1 / 2),
    }
)
# An arm that is no network: a guess without pixels.
GEOMETRY = "geometry"
