"""The switches and weights of `CrossArchitectureKD`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parts:
    r"""What of the method is switched on, and its numbers; one class serves all ablation arms.

    Attributes:
        pca: partially cross attention, $\mathcal L_{p1}$.
        gl: token loss behind the group-wise linear projector, $\mathcal L_{p2}$.
        multi_view: the student, and it alone, sees strong random views.
        adversarial: a discriminator between the tokens, $\mathcal L_{MVG}$.
        lambda_pca, lambda_gl, lambda_adversarial: weights. The paper weighs its first two alike;
            its λ could not be read. The losses used here are scale-free, hence 1, 1 and 0.05 to
            begin with; validation patients of lesson 03 chose far less.
        p_student: share of the student's own elements in the crossed matrices.
        p_view: probability of a strong view.
        dropout: in the group-wise linear projector.
        ramp: share of the steps in which $w$ rises from 0 to 1: projectors begin untrained, and
            what they pass back at first would be noise.
        saturating: the paper's minimax form of $\mathcal L_{MVG}$.
    """

    pca: bool = True
    gl: bool = True
    multi_view: bool = True
    adversarial: bool = True
    lambda_pca: float = 1.0
    lambda_gl: float = 1.0
    lambda_adversarial: float = 0.05
    p_student: float = 0.5
    p_view: float = 0.5
    dropout: float = 0.1
    ramp: float = 0.2
    saturating: bool = False


ALL_PARTS = Parts()
