"""The arms of lesson 00 and the sizes of its networks and trainings."""

from dataclasses import dataclass
from typing import Literal

from medkd_lib.methods.hinton import TeacherControl

FRACTIONS = {"teacher": 0.425, "transfer": 0.425, "val": 0.15}

TeacherKind = Literal["good", "few_labels", "untrained"]


@dataclass(frozen=True)
class Budget:
    """Sizes that the profile decides; everything here is part of the cache key."""

    image_size: int = 64
    teacher_widths: tuple[int, ...] = (16, 32, 64, 96)
    teacher_convs: int = 1
    student_widths: tuple[int, ...] = (8, 16, 32, 64)
    teacher_steps: int = 1000
    student_steps: int = 800
    batch_size: int = 32
    learning_rate: float = 3e-3
    few_per_class: int = 20


@dataclass(frozen=True)
class Arm:
    """One way to train the student.

    ``labels`` few: ``few_per_class`` labelled transfer images, the others unlabelled; many: all
    labelled. ``teacher`` None trains on labels alone. ``transfer`` False shows the student
    only its labelled images. ``pseudo`` replaces the teacher's soft
    answers by its most probable class.
    """

    labels: Literal["few", "many"] = "few"
    teacher: TeacherKind | None = None
    smoothing: float = 0.0
    pseudo: bool = False
    transfer: bool = True
    scale_t2: bool = True
    control: TeacherControl = "none"


ARMS: dict[str, Arm] = {
    "few_alone": Arm(),
    "few_smooth": Arm(smoothing=0.1),
    "few_pseudo": Arm(teacher="good", pseudo=True),
    "few_kd": Arm(teacher="good"),
    "few_kd_own": Arm(teacher="good", transfer=False),
    "few_kd_no_t2": Arm(teacher="good", scale_t2=False),
    "few_kd_shuffled": Arm(teacher="good", control="shuffled"),
    "few_kd_untrained": Arm(teacher="untrained"),
    "few_kd_bad_teacher": Arm(teacher="few_labels"),
    "few_kd_train_mode": Arm(teacher="good", control="train_mode"),
    "many_alone": Arm(labels="many"),
    "many_smooth": Arm(labels="many", smoothing=0.1),
    "many_kd": Arm(labels="many", teacher="good"),
    "many_kd_bad_teacher": Arm(labels="many", teacher="few_labels"),
}
TEACHERS: dict[str, TeacherKind] = {"teacher": "good", "bad_teacher": "few_labels"}
