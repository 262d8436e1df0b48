"""Batches from several unpaired sets at once, each in an endless order of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.data import IterableDataset

from medkd_lib.data.batches import Batch, SeededBatches


@dataclass(frozen=True)
class Drawn:
    """One set to draw from, and who has been drawn.

    Attributes:
        tensors: name → tensor with sections along the first axis.
        patients: of each section.
        touched: patients whose sections were handed out so far.
    """

    tensors: Mapping[str, Tensor]
    patients: Sequence[str]
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Refuse tensors of another length than the patients.

        Raises:
            ValueError: names the lengths.
        """
        lengths = {name: len(t) for name, t in self.tensors.items()}
        if set(lengths.values()) != {len(self.patients)}:
            raise ValueError(f"expected {len(self.patients)} sections everywhere, found {lengths}")

    def __len__(self) -> int:
        return len(self.patients)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        self.touched.update(self.patients[i] for i in rows)
        return {name: tensor[list(rows)] for name, tensor in self.tensors.items()}


class UnpairedBatches(IterableDataset[Batch]):
    """Endless batches, the parts of every set side by side.

    Each set runs through its own epochs: a small one begins anew while a large one goes on. (Two
    loaders that are zipped stop with the shorter one, and the rest of the longer one is never
    seen.) What step ``s`` holds depends on (seed, s) alone, so a training can stop and go on.

    Args:
        sets: name → what to draw from.
        batch_size: sections of each set in a batch, or by the name of the set.
        seed: of all orders; each set's own is derived from it.
        start: step to begin at.

    Raises:
        ValueError: two sets name a tensor alike.
    """

    def __init__(
        self,
        sets: Mapping[str, Drawn],
        batch_size: int | Mapping[str, int],
        seed: int,
        start: int = 0,
    ) -> None:
        names = [name for drawn in sets.values() for name in drawn.tensors]
        if len(set(names)) != len(names):
            raise ValueError(f"sets: expected different names of tensors, found {sorted(names)}")
        sizes = dict.fromkeys(sets, batch_size) if isinstance(batch_size, int) else batch_size
        self.sets, self.sizes, self.seed, self.start = dict(sets), sizes, seed, start

    def __iter__(self) -> Iterator[Batch]:
        # A large odd factor keeps the orders of neighbouring seeds and sets apart.
        orders = [
            iter(SeededBatches(len(drawn), self.sizes[name], 7919 * self.seed + number, self.start))
            for number, (name, drawn) in enumerate(self.sets.items())
        ]
        while True:
            batch: Batch = {}
            for drawn, order in zip(self.sets.values(), orders, strict=True):
                batch |= drawn[next(order)]
            yield batch


def root_sizes(lengths: Mapping[str, int], total: int) -> dict[str, int]:
    r"""Return how many of each set are in a batch when cases weigh $1/\sqrt{n}$ of their set.

    A set's part of the batch is then $\sqrt{n_d}/\sum_k\sqrt{n_k}$: large sets are shown more often
    than small ones, and less so than by their size. Rounded, and at least one.

    Args:
        lengths: name → number of cases.
        total: of the batch, before rounding.

    Source: Ulrich et al. 2023 (MultiTalent, MICCAI): cases with a weight of 1/√n of their dataset.
    """
    roots = {name: length**0.5 for name, length in lengths.items()}
    whole = sum(roots.values())
    return {name: max(1, round(total * root / whole)) for name, root in roots.items()}
