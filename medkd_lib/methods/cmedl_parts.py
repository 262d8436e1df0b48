"""The switches and weights of `CMEDL`, and the students that learn beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

HintsFrom = Literal["nobody", "pseudo", "true", "other"]
Distance = Literal["l2", "cosine", "mmd"]


@dataclass(frozen=True)
class Weights:
    r"""Weights of all terms but the hints; the paper's are unknown, these are ours.

    Attributes:
        adversarial, cycle, contextual: of the translator; for what the last one compares see
            `Translator`.
        identity: of a CycleGAN, likewise. Nothing else says that dark is to stay dark: without
            it two of three translators of chest CT painted a photographic negative, whose cycle
            and histogram are as good.
        segmentation: of Dice and cross-entropy, teacher and students.
        cross_entropy: of the cross-entropy beside the Dice. Where a tumour fills a hundredth of
            the pixels, 1 let one of three baselines end in answering nothing anywhere.
        segmentation_to_generator: weight of the teacher's segmentation loss on pseudo images in
            the *generator's* step; 0 keeps it out. It punishes a translation in which the teacher
            no longer finds the tumour.
    """

    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 2.0
    contextual: float = 0.0
    segmentation: float = 1.0
    cross_entropy: float = 0.2
    segmentation_to_generator: float = 0.0


@dataclass(frozen=True)
class Hints:
    r"""How the teacher's features are handed on.

    $$\mathcal L_{hint} = \sum_{l\in\text{layers}} d\bigl(\phi^S_l(x), \phi^T_l(G(x))\bigr)$$

    Attributes:
        weight: $\lambda_{hint}$.
        layers: places of `SegmentationNetwork`; the paper's "last two layers" may mean the last
            two decoder blocks, or the last one and the logits: ``("hint_full", "head")``.
        distance: see `medkd_lib.distill.feature_distance`.
        normalise: bring every channel of both maps to mean 0 and variance 1 first, so that the
            scale of random features does not decide.
        warm_up: share of the steps in which the weight rises from 0: a teacher that has learned
            nothing yet has nothing to say. Its own loss on translated images does not wait: where
            it did, one of two teachers settled on answering nothing there, and CMEDL with it.
        detach: no gradient of the hints reaches the teacher. Without it both can agree on
            nothing: features that shrink to zero.
    """

    weight: float = 0.1
    layers: tuple[str, ...] = ("hint_half", "hint_full")
    distance: Distance = "l2"
    normalise: bool = True
    warm_up: float = 0.3
    detach: bool = True


@dataclass(frozen=True)
class Student:
    """What one student of the run is given; all begin with the same weights where shapes allow.

    Attributes:
        hints: from whose picture the teacher's features come: the translated one of the same
            patient (the method), the *true* one (which only a phantom or a paired set knows), that
            of another patient of the batch (a control), or nobody.
        concatenated: sees the image and its translation as two channels; needs the generator for
            good.
        more_labels: every step has a second labelled batch, of patients whom nobody else sees.
    """

    hints: HintsFrom = "nobody"
    concatenated: bool = False
    more_labels: bool = False


STUDENTS: Mapping[str, Student] = MappingProxyType(
    {
        "alone": Student(),
        "cmedl": Student("pseudo"),
        "true_hints": Student("true"),
        "other_hints": Student("other"),
        "concat": Student(concatenated=True),
        "more_labels": Student(more_labels=True),
    }
)
