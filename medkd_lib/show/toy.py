"""Figures for things small enough to check by hand."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax

from medkd_lib.show.style import CONTROL, METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

PULL_RANGE = 2.0  # one scale for all T and α, so that figures can be compared
Gradient = Callable[[NDArray[np.floating], NDArray[np.floating], float], NDArray[np.floating]]


def gradient_against_temperature(size: Callable[[float, bool], float]) -> Figure:
    """Draw ``size(T, scale_t2)`` over T on logarithmic axes, with and without T²."""
    temperatures = np.geomspace(1, 50, 25)
    with course_style():
        figure, ax = plt.subplots(figsize=(6.6, 3.8))
        kept = [size(float(t), True) for t in temperatures]
        dropped = [size(float(t), False) for t in temperatures]
        ax.loglog(temperatures, kept, color=METHOD, lw=2.5)
        ax.loglog(temperatures, dropped, color=OKABE_ITO["vermillion"], lw=2.5)
        guide = dropped[-1] * (temperatures[-1] / temperatures) ** 2
        ax.loglog(temperatures[8:], guide[8:], ":", color=CONTROL)
        ax.annotate(
            "T² kept",
            (temperatures[-1], kept[-1]),
            xytext=(-70, -18),
            textcoords="offset points",
            color=METHOD,
        )
        ax.annotate(
            "T² dropped",
            (temperatures[-8], dropped[-8]),
            xytext=(10, 6),
            textcoords="offset points",
            color=OKABE_ITO["vermillion"],
        )
        ax.annotate(
            "slope −2",
            (temperatures[12], guide[12]),
            xytext=(-58, -16),
            textcoords="offset points",
            color=CONTROL,
        )
        ax.set(xlabel="temperature T", ylabel="size of the gradient")
    return figure


def pulls(
    student_logits: NDArray[np.floating],
    teacher_logits: NDArray[np.floating],
    label: int,
    class_names: Sequence[str],
    temperature: float,
    alpha: float,
    gradient: Gradient,
) -> Figure:
    """Draw both softened answers to one image, and what label and teacher ask of each logit.

    Args:
        student_logits: ``(1, C)``.
        teacher_logits: ``(1, C)``.
        label: the true class.
        class_names: C names.
        temperature: of the softening.
        alpha: weight of the teacher's pull.
        gradient: gradient of the distillation loss; the pull is its negative.
    """
    place = np.arange(len(class_names))
    soft_s, soft_t = (softmax(z[0] / temperature) for z in (student_logits, teacher_logits))
    hard = -(1 - alpha) * (softmax(student_logits[0]) - np.eye(len(class_names))[label])
    soft = -alpha * gradient(student_logits, teacher_logits, temperature)[0]
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
        left.bar(place - 0.2, soft_t, 0.38, color=TEACHER, label="teacher")
        left.bar(place + 0.2, soft_s, 0.38, color=STUDENT, label="student")
        left.set(title=f"softened at T = {temperature:g}", ylabel="probability", ylim=(0, 1))
        right.bar(place - 0.2, hard, 0.38, color=CONTROL, label="label")
        right.bar(place + 0.2, soft, 0.38, color=METHOD, label="teacher")
        right.axhline(0, color="black", lw=0.8)
        right.set(
            title=f"pull on the student's logits, α = {alpha:g}",
            ylabel="minus gradient",
            ylim=(-PULL_RANGE, PULL_RANGE),
        )
        for ax in (left, right):
            ax.set_xticks(place, [f"{n} ✓" if k == label else n for k, n in enumerate(class_names)])
            ax.legend()
    return figure
