"""What lesson 03 computes around its trainings: layers to compare, attention of a patch, prices."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.course.experiments.student_arms import ARMS
from medkd_lib.course.experiments.students import StudentStudy
from medkd_lib.course.lesson_classify import primary_values
from medkd_lib.distill.partial_cross_attention import Triple, cross
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.cost import Cost
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.models.tap import tap
from medkd_lib.models.vit import QKV, attention_weights
from medkd_lib.show.students import Priced
from medkd_lib.show.style import CONTROL, METHOD, STUDENT, TEACHER


def arm_colours() -> dict[str, str]:
    """Return a colour for each arm: teachers, labels alone, taught by a teacher, controls."""
    colours = dict.fromkeys(("teacher", "teacher_vgg", "teacher_vit"), TEACHER)
    for name, arm in ARMS.items():
        colours[name] = STUDENT if arm.teacher is None else METHOD
        if arm.shuffled or arm.teacher == "untrained":
            colours[name] = CONTROL
    return colours


def teacher_places(teacher: nn.Module) -> dict[str, str]:
    """Return VGG's stages and ViT's blocks of a hybrid: name → module path to `tap`."""
    features = list(teacher.get_submodule("vgg.features").children())
    # A stage ends where its map is halved; the last one ends with the trunk.
    ends = [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    places = {f"VGG {n}": f"vgg.features.{i}" for n, i in enumerate([*ends, len(features) - 1], 1)}
    blocks = "vit.vit.encoder.layers"
    for n, (name, _) in enumerate(teacher.get_submodule(blocks).named_children(), 1):
        places[f"ViT {n}"] = f"{blocks}.{name}"
    return places


def student_places(study: StudentStudy, student: nn.Module) -> dict[str, str]:
    """Return the student's stages: name → module path to `tap`."""
    parent = study.student_place.rpartition(".")[0]
    names = [name for name, _ in student.get_submodule(parent).named_children()]
    return {f"stage {n}": f"{parent}.{name}" for n, name in enumerate(names, 1)}


@torch.no_grad()
def layers(network: nn.Module, places: Mapping[str, str], images: Tensor) -> dict[str, Tensor]:
    """Return what each place shows of the images; tokens without class token, laid out as maps.

    Args:
        network: put into eval mode.
        places: name → module path.
        images: ``(N, channels, H, W)``, one batch, on the network's device.
    """
    network.eval()
    with tap(network, places) as seen:
        network(images)
    return {name: _as_map(shown) for name, shown in seen.items()}


def _as_map(shown: Tensor) -> Tensor:
    if shown.ndim != 3:
        return shown
    grid = round((shown.shape[1] - 1) ** 0.5)
    return shown[:, 1:].transpose(1, 2).unflatten(2, (grid, grid))


def attention_of_patch(
    student_qkv: Triple, teacher_qkv: Triple, p_student: float, patch: tuple[int, int]
) -> NDArray[np.float32]:
    """Return where a patch of one image looks when queries and keys are crossed, ``(g, g)``.

    The draws are the same for every ``p_student``, so that one picture turns into the other.

    Args:
        student_qkv: of one image, each ``(1, heads, g², d)``.
        teacher_qkv: likewise.
        p_student: share of the student's own elements.
        patch: row and column.
    """
    generator = torch.Generator(student_qkv[0].device).manual_seed(0)
    pairs = zip(student_qkv, teacher_qkv, strict=True)
    mixed = QKV(*(cross(s, t, p_student, generator) for s, t in pairs))
    weights = attention_weights(mixed)[0].mean(dim=0)
    grid = round(weights.shape[0] ** 0.5)
    found: NDArray[np.float32] = (
        weights[patch[0] * grid + patch[1]].unflatten(0, (grid, grid)).detach().cpu().numpy()
    )
    return found


def priced(results: Mapping[str, Predictions], bills: Mapping[str, Cost]) -> list[Priced]:
    """Return balanced accuracy with its interval, and cost, of every network.

    Args:
        results: name → test predictions; the ``teacher`` is called so.
        bills: cost of the ``teacher`` and of the ``student``.
    """
    found = []
    for arm, p in results.items():
        values, is_teacher = primary_values(p, "balanced_accuracy"), arm == "teacher"
        bill = bills["teacher" if is_teacher else "student"]
        interval = patient_bootstrap(values, p.patients)
        found.append(
            Priced(
                arm, bill.macs, bill.parameters, float(values.mean()), interval,
                teacher=is_teacher,
            )
        )  # fmt: skip
    return found
