"""The arms of lesson 03: who teaches the student what, in the order of the lesson."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medkd_lib.methods.cross_arch_parts import Parts

FeatureTerm = Literal["dkd", "hints", "attention", "relations", "contrast", "ofa"]
Teacher = Literal["hybrid", "vgg", "vit", "untrained"]

# Factors on the usual weight of each term (`medkd_lib.methods.terms`), out of 10, 1, 0.1, 0.01 and
# 0.001, and the weights of the cross-architecture parts, out of the same five.
STRENGTHS: Mapping[FeatureTerm, float] = MappingProxyType(
    {
        "dkd": 0.001,
        "ofa": 1.0,
        "hints": 0.001,
        "attention": 0.001,
        "relations": 0.01,
        "contrast": 1.0,
    }
)
CHOSEN = Parts(lambda_pca=0.001, lambda_gl=0.01, lambda_adversarial=0.005)


@dataclass(frozen=True)
class Arm:
    r"""One way to train the student.

    $$\mathcal L = (1-\alpha)\,\mathrm{CE} + \alpha\,\mathcal L_{KD} + \text{terms}$$

    The weights of terms are those that were best on validation patients, five values tried for
    each (`STRENGTHS`, `CHOSEN`); arms called ``…_usual`` take the usual weight of their method.

    Attributes:
        teacher: whose answers and features; None: labels alone.
        kd: with Hinton's term (α of the budget), else α = 0.
        smoothing: of the labels.
        term: one further loss, on logits, on VGG's map or on pooled features.
        usual: whether that loss, or the cross-architecture parts, have their usual weights.
        pca: partially cross attention, on the ViT's queries, keys and values.
        gl: group-wise linear projection onto the ViT's tokens.
        multi_view: the student sees altered images, the teacher the plain ones.
        adversarial: a discriminator tells tokens of teacher and student apart.
        shuffled: everything the teacher says belongs to another image of the batch.
        times: so many times the updates of the other arms.
    """

    teacher: Teacher | None = "hybrid"
    kd: bool = False
    smoothing: float = 0.0
    term: FeatureTerm | None = None
    usual: bool = False
    pca: bool = False
    gl: bool = False
    multi_view: bool = False
    adversarial: bool = False
    shuffled: bool = False
    times: int = 1

    @property
    def strength(self) -> float:
        """Factor on the usual weight of the term."""
        return 1.0 if self.usual or self.term is None else STRENGTHS[self.term]

    @property
    def crosses(self) -> bool:
        """Whether the arm needs the cross-architecture method."""
        return self.pca or self.gl or self.multi_view or self.adversarial


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "alone": Arm(None),
        # A step of KD takes two and a half times as long as a plain one (the teacher answers), one
        # of PCA and GL four times (recorded seconds).
        "alone_long": Arm(None, times=3),
        "smooth": Arm(None, smoothing=0.02),
        "kd": Arm(kd=True),
        "dkd": Arm(term="dkd"),
        "ofa": Arm(term="ofa"),
        "hints": Arm(term="hints"),
        "attention": Arm(term="attention"),
        "relations": Arm(term="relations"),
        "contrast": Arm(term="contrast"),
        "dkd_usual": Arm(term="dkd", usual=True),
        "hints_usual": Arm(term="hints", usual=True),
        "attention_usual": Arm(term="attention", usual=True),
        "relations_usual": Arm(term="relations", usual=True),
        "pca_gl_usual": Arm(pca=True, gl=True, usual=True),
        "cakd_usual": Arm(pca=True, gl=True, multi_view=True, adversarial=True, usual=True),
        "pca": Arm(pca=True),
        "gl": Arm(gl=True),
        "pca_gl": Arm(pca=True, gl=True),
        "views": Arm(None, multi_view=True),
        "cakd_plain": Arm(pca=True, gl=True, multi_view=True),
        "cakd": Arm(pca=True, gl=True, multi_view=True, adversarial=True),
        "all": Arm(kd=True, term="attention", pca=True, gl=True, multi_view=True, adversarial=True),
        "kd_vgg": Arm("vgg", kd=True),
        "kd_vit": Arm("vit", kd=True),
        "kd_shuffled": Arm(kd=True, shuffled=True),
        "pca_gl_shuffled": Arm(pca=True, gl=True, shuffled=True),
        "kd_untrained": Arm("untrained", kd=True),
        "pca_gl_untrained": Arm("untrained", pca=True, gl=True),
    }
)
# Arms of the recorded experiment that are teachers, and their arm in lesson 02.
TEACHERS: Mapping[str, str] = MappingProxyType(
    {"teacher": "hybrid", "teacher_vgg": "vgg", "teacher_vit": "vit"}
)
