"""Lessons 06 and 07: which sets may stand side by side in a joint run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path


def check_joined(
    roots: Mapping[str, Path], names: Sequence[str], families: Callable[[str], Collection[str]]
) -> None:
    """Refuse sets that show something else than the first one, or that lie nowhere.

    Args:
        roots: folder of every set.
        names: ids, the target's first.
        families: of a set; two sets are joined if they have one in common.

    Raises:
        ValueError: names those sets.
    """
    mine = sorted(families(names[0]))
    strangers = {n: sorted(families(n)) for n in names if not set(mine) & set(families(n))}
    if strangers:
        raise ValueError(
            f"datasets: expected sets of the family {' or '.join(mine)}, that of {names[0]}, found "
            f"{strangers}; their images show something else"
        )
    if missing := [name for name in names if name not in roots]:
        raise ValueError(
            f"roots: expected a folder of every set, found none of {missing}; make its twin or "
            "fetch it (`medkd data show ID`)"
        )
