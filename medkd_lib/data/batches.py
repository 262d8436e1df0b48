"""Minibatches that depend on (seed, epoch, step) alone, so training can stop and go on."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Batch = dict[str, Tensor]


class TensorDictDataset(Dataset[Batch]):
    """Tensors of equal length; a whole batch is cut out in one indexing operation.

    Args:
        tensors: name → tensor with cases along the first axis.
        rows: which cases, in which multiplicity (see `balanced`); None: each once.
    """

    def __init__(self, tensors: Mapping[str, Tensor], rows: Tensor | None = None) -> None:
        lengths = {name: len(t) for name, t in tensors.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"tensors of unequal length: {lengths}")
        self.tensors = dict(tensors)
        self.rows = torch.arange(next(iter(lengths.values()))) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Batch:
        return {name: t[self.rows[row]] for name, t in self.tensors.items()}

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        chosen = self.rows[torch.as_tensor(rows)]
        return {name: t[chosen] for name, t in self.tensors.items()}


class SeededBatches(Sampler[list[int]]):
    """Endless batches of row numbers: a fresh permutation per epoch, seeded by (seed, epoch).

    Every epoch drops its incomplete last batch; with fewer rows than a batch, all rows are one
    batch. ``start`` is the step to begin at, which makes resuming exact.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, start: int = 0) -> None:
        if rows < 1:
            raise ValueError("no cases to draw batches from; check the split's fractions")
        self.rows, self.batch_size = rows, min(batch_size, rows)
        self.seed, self.start = seed, start

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return self.rows // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        step = self.start
        while True:
            epoch, first = divmod(step, self.per_epoch)
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.rows, generator=generator).tolist()
            for k in range(first, self.per_epoch):
                yield order[k * self.batch_size : (k + 1) * self.batch_size]
                step += 1


def numbered(names: Sequence[str]) -> Tensor:
    """Return a number for each name, equal ones alike: what a batch can carry of its patients."""
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([known[name] for name in names], dtype=torch.long)


def balanced(labels: Tensor) -> Tensor:
    """Return row numbers in which every class is as frequent as the most frequent one.

    Rows of rarer classes come several times (the first ones of a class once more than its last
    ones where the numbers do not divide). For training only: a balanced test set is another
    population.

    Args:
        labels: ``(N,)`` int64.
    """
    most = int(labels.bincount().max())
    rows = [(labels == label).nonzero().flatten() for label in labels.unique()]
    return torch.cat([r.repeat(-(-most // len(r)))[:most] for r in rows])


def batches(
    tensors: Mapping[str, Tensor],
    batch_size: int,
    seed: int,
    *,
    start: int = 0,
    rows: Tensor | None = None,
) -> DataLoader[Batch]:
    """Return an endless loader over in-memory tensors, beginning at step ``start``.

    ``rows`` chooses cases, some perhaps several times in an epoch (see `balanced`).
    """
    data = TensorDictDataset(tensors, rows)
    sampler = SeededBatches(len(data), batch_size, seed, start)
    return DataLoader(
        data,
        batch_sampler=sampler,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        # Its own generator: an iterator draws a base seed, and drawing it from the global one
        # would make a resumed training differ from an uninterrupted one.
        generator=torch.Generator().manual_seed(seed),
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch
