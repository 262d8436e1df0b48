"""What stands between a student's maps and those it follows, level by level, while it learns."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from medkd_lib.models.standardise import RunningStandardise

Pair = tuple[Tensor, Tensor]


class Followers(nn.Module):
    """A 1x1 convolution per followed map where widths differ, and the followed maps' common scale.

    Dropped with the teacher: the student that leaves the lab never calls it.

    Args:
        own: channels of the student's maps, finest first.
        theirs: of every teacher's.
        levels: which levels are followed.
        always: project between equal widths, too: several teachers cannot all be one map.
        standardise: bring the followed channels to mean 0 and standard deviation 1 first.

    Raises:
        ValueError: a teacher without one of the levels.
    """

    def __init__(
        self, own: Sequence[int], theirs: Sequence[Sequence[int]], levels: Sequence[int], *,
        always: bool, standardise: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        if short := [len(t) for t in theirs if levels and len(t) <= max(levels)]:
            raise ValueError(
                f"levels: expected teachers of {max(levels) + 1} levels or more, found {short}"
            )
        self.places = [[(t, level) for level in levels] for t in range(len(theirs))]
        self.project, self.scale = nn.ModuleDict(), nn.ModuleDict()
        for t, level in (place for of_teacher in self.places for place in of_teacher):
            a, b = own[level], theirs[t][level]
            between = nn.Conv2d(a, b, 1) if always or a != b else nn.Identity()
            self.project[f"{t}/{level}"] = between
            self.scale[f"{t}/{level}"] = RunningStandardise(b) if standardise else nn.Identity()

    def forward(
        self, maps: Sequence[Tensor], told: Mapping[tuple[int, int], Tensor]
    ) -> list[list[Pair]]:
        """Return the student's map and the one it is to equal, by teacher and level.

        Args:
            maps: the student's, all levels.
            told: the teachers', by teacher and level.
        """
        return [
            [
                (
                    self.project[f"{t}/{level}"](maps[level]),
                    self.scale[f"{t}/{level}"](told[t, level]),
                )
                for t, level in of_teacher
            ]
            for of_teacher in self.places
        ]
