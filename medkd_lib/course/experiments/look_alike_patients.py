"""Lesson 07: patients who stand in two sets under two names, found by what their images show."""

from collections.abc import Callable, Mapping

from torch import Tensor

from medkd_lib.course.experiments.joint_cohort import P
from medkd_lib.data.apart import LeakageError, check_apart
from medkd_lib.data.look_alikes import look_alikes

# Two images this much alike are taken for one; see `look_alikes`.
ALIKE = 0.9


def without_look_alikes(
    whole: Mapping[str, P], shown: Callable[[P], Tensor], least: float = ALIKE
) -> tuple[dict[str, P], dict[str, int]]:
    """Return the sets without patients who look like one of an earlier set they overlap with.

    A patient goes with all images if one of them is found. What was cropped or mirrored is not
    found, see `look_alikes`: where a set's truth is known, ask how much was missed.

    Args:
        whole: in the order in which they count; the first one stays as it is.
        shown: gives a set's images, ``(N, 1, H, W)``.
        least: lowest likeness that counts.

    Returns:
        The sets, and of those that an earlier one overlaps with how many patients were left out.
    """
    found: dict[str, P] = {}
    cleaned: dict[str, int] = {}
    for name, part in whole.items():
        for other, theirs in found.items():
            if not _overlap(name, other):
                continue
            pairs = look_alikes(shown(theirs), shown(part), least=least)
            gone = {part.patients[pair.second] for pair in pairs}
            cleaned[name] = cleaned.get(name, 0) + len(gone)
            part = part.of(sorted(set(part.patients) - gone))
        found[name] = part
    return found, cleaned


def _overlap(a: str, b: str) -> bool:
    try:
        check_apart([a, b])
    except LeakageError:
        return True
    return False
