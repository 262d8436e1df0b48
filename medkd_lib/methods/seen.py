"""What one forward pass of student and teacher showed: the material of every feature loss."""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from medkd_lib.methods.base import FrozenTeacher, bare
from medkd_lib.models.tap import tap
from medkd_lib.models.vit import QKV, VitTrunk

Part = TypeVar("Part")


class Answer(NamedTuple):
    """What the teacher showed, without gradient.

    Shapes:
        logits: ``(N, classes)``.
        map: ``(N, C, h, w)``, VGG's last map; None for a teacher without that branch.
        tokens: ``(N, grid², dim)``, ViT's last tokens without the class token; None likewise.
        qkv: of ViT's last attention layer, each ``(N, heads, grid², d)``, without the class
            token; None likewise.
    """

    logits: Tensor
    map: Tensor | None
    tokens: Tensor | None
    qkv: QKV | None

    def rolled(self) -> "Answer":
        """Return every part given to the next image of the batch: nobody keeps his own."""
        # A roll by one is a permutation without fixed point (in batches of two or more).
        return Answer(
            self.logits.roll(1, dims=0),
            None if self.map is None else self.map.roll(1, dims=0),
            None if self.tokens is None else self.tokens.roll(1, dims=0),
            None if self.qkv is None else QKV(*(x.roll(1, dims=0) for x in self.qkv)),
        )


class Seen(NamedTuple):
    """Student and teacher on the same images, with the labels that may be used.

    Shapes:
        student_logits, teacher_logits: ``(N, classes)``.
        student_map: ``(N, C, h, w)``, tapped where the method says; with gradient.
        teacher_map, teacher_tokens, teacher_qkv: see `Answer`.
        labels: ``(N,)`` int64.
        labelled: ``(N,)``, 1 where the label may be used, else 0.
    """

    student_logits: Tensor
    student_map: Tensor
    teacher_logits: Tensor
    teacher_map: Tensor | None
    teacher_tokens: Tensor | None
    teacher_qkv: QKV | None
    labels: Tensor
    labelled: Tensor


def ask(teacher: FrozenTeacher, images: Tensor) -> Answer:
    """Return what the teacher shows on ``images``.

    Args:
        teacher: a `HybridTeacher` or `MsgffTeacher` in its guard. Any other classifier has
            neither of their taps and shows its logits alone.
        images: ``(N, channels, H, W)``.
    """
    network = teacher.network
    children = dict(network.named_children())
    places: dict[str, str] = {p: p for p in ("vgg_map", "vit_tokens") if p in children}
    vit = children.get("vit")
    if isinstance(vit, VitTrunk):
        places["attention_input"] = f"vit.{vit.attention_inputs[-1]}"
    with tap(network, places) as shown:
        logits = teacher(images)
    # A branch that is switched off was not called, so its tap is empty.
    tokens, attention_input = shown.get("vit_tokens"), shown.get("attention_input")
    qkv = None
    if isinstance(vit, VitTrunk) and attention_input is not None:
        with torch.no_grad():
            qkv = QKV(*(x[:, :, 1:] for x in vit.qkv(vit.size.depth - 1, attention_input)))
    return Answer(logits, shown.get("vgg_map"), None if tokens is None else tokens[:, 1:], qkv)


def show(student: nn.Module, images: Tensor, place: str) -> tuple[Tensor, Tensor]:
    """Return the student's logits and its map at ``place``, both with gradient.

    Args:
        student: the network, with or without the fabric's wrapper.
        images: ``(N, channels, H, W)``.
        place: module path inside the bare network, such as ``network.stages.stage3``.

    Raises:
        KeyError: the student has no such module.
        ValueError: what the module gives is no map.
    """
    with tap(bare(student), {"map": place}) as shown:
        logits = student(images)
    student_map = shown.get("map")
    if student_map is None or student_map.ndim != 4:
        found = "nothing, it was not called" if student_map is None else tuple(student_map.shape)
        raise ValueError(
            f"student_place {place!r}: expected a map (N, C, h, w), found {found}; name a stage "
            "before the pooling"
        )
    return logits, student_map


def together(
    student: tuple[Tensor, Tensor], teacher: Answer, labels: Tensor, labelled: Tensor
) -> Seen:
    """Return the student's logits and map, the teacher's answer and the labels as one `Seen`."""
    student_logits, student_map = student
    logits, teacher_map, tokens, qkv = teacher
    return Seen(student_logits, student_map, logits, teacher_map, tokens, qkv, labels, labelled)


def needed(part: Part | None, name: str) -> Part:
    """Return a part of what was seen.

    Raises:
        ValueError: the teacher did not show it.
    """
    if part is None:
        raise ValueError(
            f"{name}: this loss needs it and the teacher showed none; choose a teacher with that "
            "branch, or another loss"
        )
    return part
