"""Lesson 07, boxes: guesses without one pixel. If they are good, the frame gave the answer away."""

import numpy as np
import torch

from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.hits import hits
from medkd_lib.evaluate.intervals import Floats

# The rates of the FROC go to eight false boxes an image: a guess may use them all.
GUESSES = 9


def usual_boxes(part: DetectionSet, number: int = GUESSES) -> tuple[Floats, Floats]:
    r"""Return where boxes usually are, the best guess first, ``(K, 4)``, and scores ``(K,)``.

    Training boxes, each chosen for the training boxes that its centre lies in and no earlier
    choice's does,

    $$b_k=\arg\max_b\ \#\{l\notin C_{k-1}:\ \text{centre}(b)\in l\},\qquad
    s_k=\frac{\#(C_k\setminus C_{k-1})}{\#\{\text{images}\}}$$

    with $C_k$ the boxes that hold a centre of $b_1,\dots,b_k$. One mean box would be a straw man:
    of real sarcomas (five folds, two seeds) it had a mean sensitivity of .26, nine such guesses
    have .38.

    Args:
        part: training images.
        number: at most so many; fewer when every box is covered.

    Raises:
        ValueError: no box at all.
    """
    boxes = torch.cat(part.boxes).double().numpy() if len(part) else np.empty((0, 4))
    if not len(boxes):
        raise ValueError(
            f"usual_boxes: expected a box somewhere in {len(part)} training images, found none; a "
            "guess needs one, and so does a detector"
        )
    holds = hits(boxes, boxes, "centre")  # (guess, box)
    open_ = np.ones(len(boxes), bool)
    chosen: list[int] = []
    scores: list[float] = []
    while open_.any() and len(chosen) < number:
        new = (holds & open_).sum(axis=1)
        chosen.append(int(new.argmax()))
        scores.append(float(new.max()) / len(part))
        open_ &= ~holds[chosen[-1]]
    return boxes[chosen], np.array(scores)


def guessed_boxes(train: DetectionSet, asked: DetectionSet) -> Detections:
    """Return the usual boxes of training images as what is found in every image that is asked."""
    boxes, scores = usual_boxes(train)
    return Detections.of(
        [boxes] * len(asked), [scores] * len(asked), [b.numpy() for b in asked.boxes],
        asked.patients,
    )  # fmt: skip
