"""Modality dropout: which branches of a student see their images, patient by patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModalityDropout:
    """States a patient may be in during training, and how often.

    Attributes:
        states: each names the branches that are shown.
        probabilities: of the states; they sum to 1.

    Example::

        ModalityDropout((("ct", "pet"), ("ct",)), (0.7, 0.3))

    Source: REACT-KD's figure has the states both, first, second, without their probabilities; its
    released code draws once *per batch* (p = 0.3) and blanks the image in place, so that the
    teacher is blinded with the student. Here each patient is drawn, and only the student.
    """

    states: tuple[tuple[str, ...], ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse states without a branch and probabilities that are none.

        Raises:
            ValueError: says which.
        """
        good = len(self.states) == len(self.probabilities) and all(self.states)
        p = self.probabilities
        if not good or any(x < 0 for x in p) or not abs(sum(p) - 1) <= 1e-6:
            raise ValueError(
                "ModalityDropout: expected states with a branch or more and a probability for "
                f"each, summing to 1, found {self.states} and {self.probabilities}"
            )

    def draw(self, patients: int, branches: Sequence[str], device: torch.device) -> Tensor:
        """Return who shows what, ``(patients, branches)`` bool, from the global random state.

        Raises:
            ValueError: a state names a branch that the student does not have.
        """
        unknown = {b for state in self.states for b in state} - {*branches}
        if unknown:
            raise ValueError(
                f"ModalityDropout: expected states of the branches {tuple(branches)}, found "
                f"{sorted(unknown)}"
            )
        shown = torch.tensor([[b in state for b in branches] for state in self.states])
        drawn = torch.multinomial(torch.tensor(self.probabilities), patients, replacement=True)
        return shown[drawn].to(device)


def shown(drawn: Tensor, held: Tensor | None) -> Tensor:
    """Return what a patient shows: what is drawn of what is there, or all that is there.

    Args:
        drawn: ``(B, branches)`` bool, of `ModalityDropout.draw`.
        held: which images a patient has at all, or None: all of them.
    """
    if held is None:
        return drawn
    both = drawn & held
    return torch.where(both.any(dim=1, keepdim=True), both, held)
