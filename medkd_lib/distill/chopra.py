"""Contrastive loss over pairs, in Chopra's form of 2005 and in the form with a margin."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.positions import places_of_classes
from medkd_lib.distill.precision import in_float32, unit

Form = Literal["energy", "margin"]


@in_float32
def chopra(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    form: Form = "margin",
    margin: float = 1.0,
) -> Tensor:
    r"""Return the loss of places that belong together and of places that do not.

    Genuine pairs are the same place in student and teacher, (i, i); impostors a student's place and
    a teacher's place of another class, (i, j) with $y_i\ne y_j$; all other pairs are left out. With
    unit vectors,

    $$\texttt{energy}:\quad E_{ij}=\lVert\hat s_i-\hat t_j\rVert_1,\qquad
    \mathcal L=\overline{\tfrac2Q E_{ii}^2}+\overline{2Q\,e^{-2.77\,E_{ij}/Q}},\qquad Q=2\sqrt D$$
    $$\texttt{margin}:\quad D_{ij}=\lVert\hat s_i-\hat t_j\rVert_2,\qquad
    \mathcal L=\overline{\tfrac12D_{ii}^2}+\overline{\tfrac12\max(0,m-D_{ij})^2}$$

    with a mean over the genuine pairs and one over the impostors: they are some P and some P² and
    would drown the others in a mean over all. Without a second class the impostors' mean is 0.

    ``margin`` is 0 where every place equals its teacher's and classes are m apart. ``energy`` never
    is: impostors are pushed however far they are, and it is least, $2Q\,e^{-2.77}$, where places
    equal their teacher's and classes are Q apart. Its values grow with $\sqrt D$, the margin's do
    not. No loss of the two is `monai.losses.ContrastiveLoss`, which is InfoNCE (`crd_in_batch`).

    Args:
        student: vectors ``(P, D)``; only their directions count, a zero vector gets no gradient.
        teacher: ``(P, D)`` of the same places, a constant.
        labels: ``(P,)`` int64, the class of each place.
        form: see above.
        margin: m within (0, 2], the distance of opposite unit vectors; ``energy`` has none.

    Raises:
        ValueError: shapes do not fit, an unknown form, or a margin that no pair can reach.

    Source: Chopra, Hadsell & LeCun 2005 (CVPR), its exact loss: the L1 norm, because the
    gradient of a squared one vanishes where impostors coincide, and Q its upper bound, $2\sqrt D$
    for unit vectors. Hadsell, Chopra & LeCun 2006 (CVPR), equation 4, for the margin.
    pytorch-metric-learning's ``ContrastiveLoss`` has the same pairs with D and max(0, m - D), not
    squared. Departures: unit vectors, as there; a network's scale would otherwise decide who is
    far. Whether Ceausescu et al. (arXiv 2605.01563), who cite Chopra, use either is unknown to us.
    """
    _check(student, teacher, labels, form, margin)
    s, t = unit(student), unit(teacher.detach())
    # Distances one by one: |a|² + |b|² - 2ab would round away those of nearly equal vectors.
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(s, t, p=1.0 if form == "energy" else 2.0, compute_mode=exact)
    genuine, impostors = distance.diagonal(), distance[labels[:, None] != labels]
    if form == "energy":
        bound = 2 * student.shape[1] ** 0.5
        # (2/Q) E², and 2Q e^(-2.77 E/Q)
        attraction = 2 / bound * genuine.square()
        repulsion = 2 * bound * (-2.77 / bound * impostors).exp()
    else:
        # ½ D², and ½ max(0, m - D)²
        attraction = genuine.square() / 2
        repulsion = (margin - impostors).clamp(min=0).square() / 2
    return attraction.mean() + repulsion.sum() / max(1, len(impostors))


def chopra_of_maps(
    student_map: Tensor,
    teacher_map: Tensor,
    masks: Tensor,
    form: Form = "margin",
    margin: float = 1.0,
    *,
    per_class: int = 256,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return `chopra` of places drawn from two maps of the same images.

    A place has the highest class id that lies in it, so a small lesion does not vanish from a
    coarse map. As many places of each class are drawn, as far as there are: most of an image is
    background, and a matrix over all pairs of places would be large.

    Args:
        student_map: ``(N, D, h, w)``, after a projector where widths differ.
        teacher_map: same shape, a constant.
        masks: class ids ``(N, H, W)`` int64 at the images' size, 0 the background; sides that the
            map's sides divide.
        form: as `chopra`.
        margin: as `chopra`.
        per_class: most places of one class in the batch.
        generator: of the draw; needed where a class has more places.

    Raises:
        ValueError: as `chopra`, masks that do not lie on the map, or no generator where it is
            needed.
    """
    grid = tuple(student_map.shape[-2:])
    fits = masks.ndim == 3 and len(masks) == len(student_map)
    if not fits or any(a % b for a, b in zip(masks.shape[1:], grid, strict=True)):
        raise ValueError(
            f"masks: expected ({len(student_map)}, H, W) with sides that are multiples of the "
            f"map's {grid}, found {tuple(masks.shape)}"
        )
    labels = F.adaptive_max_pool2d(masks.float(), grid).long().flatten()
    places = places_of_classes(labels, per_class, generator)
    student, teacher = (m.movedim(1, -1).flatten(0, 2)[places] for m in (student_map, teacher_map))
    return chopra(student, teacher, labels[places], form, margin)


def _check(student: Tensor, teacher: Tensor, labels: Tensor, form: str, margin: float) -> None:
    if student.ndim != 2 or student.shape != teacher.shape or labels.shape != student.shape[:1]:
        raise ValueError(
            "chopra: expected student and teacher (P, D) and labels (P,), found "
            f"{tuple(student.shape)}, {tuple(teacher.shape)} and {tuple(labels.shape)}; of maps "
            "take chopra_of_maps, between widths a projector"
        )
    if form not in get_args(Form):
        raise ValueError(f"form: expected one of {get_args(Form)}, found {form!r}")
    if not 0 < margin <= 2:
        raise ValueError(
            f"margin: expected within 0…2, the distances of unit vectors, found {margin}"
        )
