"""Who may stand on two sides: training and test data share no patient, under whatever name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from medkd_lib.data.case import Case
from medkd_lib.data.index import Index
from medkd_lib.data.manifest import Manifest, load_manifest, manifest_ids
from medkd_lib.data.manifest_parts import Overlap

Cases = Index | Sequence[Case]


class LeakageError(ValueError):
    """A patient, or a declared overlap of datasets, stands on two sides of a split."""


@dataclass(frozen=True)
class _Dataset:
    """What a dataset says about its patients."""

    id: str
    derived_from: str | None
    overlaps: tuple[Overlap, ...]

    @property
    def names(self) -> set[str]:
        """The datasets whose patients these are: its own, and the one it was made from."""
        return {self.id, self.derived_from or self.id}


def require_apart(
    train: Cases, test: Cases, *, names: tuple[str, str] = ("training", "test")
) -> None:
    """Raise `LeakageError` unless one may train on the first cases and test on the second.

    Compared are the datasets (declared `overlaps`; an exported set counts as its source) and,
    within one dataset, the patients.

    Args:
        train: an index, or cases of one dataset or several.
        test: likewise.
        names: what to call the two sides.
    """
    for a, b in product(_datasets(train), _datasets(test)):
        _refuse_shared(a, b, names)
    ours, theirs = _patients(train), _patients(test)
    if shared := sorted(ours & theirs):
        dataset, patient = shared[0]
        more = f" (and {len(shared) - 1} more patients)" if len(shared) > 1 else ""
        raise LeakageError(
            f"{dataset}: patient {patient} is in {names[0]!r} and in {names[1]!r}{more}; "
            "split by patient, not by image"
        )


def require_one_origin(cases: Cases) -> None:
    """Raise `LeakageError` if the cases come from two datasets that share patients.

    A patient who has another name in the other set would be divided as if they were two people.
    """
    for a, b in combinations(_datasets(cases), 2):
        _refuse_shared(a, b, None)


def check_overlaps(train: Sequence[Manifest], test: Sequence[Manifest]) -> None:
    """Raise `LeakageError` if a training dataset shares patients with a test dataset."""
    for a, b in product(train, test):
        _refuse_shared(_stated(a), _stated(b), ("training", "test"))


def check_apart(datasets: Collection[str], *, cleaned: Collection[str] = ()) -> None:
    """Raise `LeakageError` if two of the named datasets share patients.

    Names without a manifest (a toy) declare nothing; for exported sets, whose manifests lie
    beside their files, take `require_apart` with their cases.

    Args:
        datasets: ids.
        cleaned: of those out of which whoever asks left every patient that the others were found
            to have, image by image (`look_alikes`): a declared overlap does not count then.
    """
    known = [load_manifest(name) for name in sorted(datasets) if name in manifest_ids()]
    for a, b in combinations(known, 2):
        if a.id not in cleaned and b.id not in cleaned:
            _refuse_shared(_stated(a), _stated(b), None)


def _refuse_shared(a: _Dataset, b: _Dataset, sides: tuple[str, str] | None) -> None:
    """Raise if two datasets of different names have patients in common."""
    if a.id == b.id:
        return
    first, second = (f"{a.id} ({sides[0]})", f"{b.id} ({sides[1]})") if sides else (a.id, b.id)
    if common := a.names & b.names:
        evidence = f"both are {min(common)}, or were made from it"
    else:
        declared = [o for o in a.overlaps if o.id in b.names]
        declared += [o for o in b.overlaps if o.id in a.names]
        if not declared:
            return
        evidence = declared[0].evidence
    raise LeakageError(
        f"{first} and {second} share patients: {evidence}; use one of the two, divided by patient"
    )


def _datasets(cases: Cases) -> list[_Dataset]:
    if isinstance(cases, Index):
        return [_stated(cases.manifest)]
    found = sorted({(c.dataset, c.derived_from or "") for c in cases})
    return [_looked_up(name, origin or None) for name, origin in found]


def _stated(manifest: Manifest) -> _Dataset:
    return _Dataset(manifest.id, manifest.derived_from, tuple(manifest.overlaps))


def _looked_up(name: str, derived_from: str | None) -> _Dataset:
    """Return what the committed manifests say about a dataset, or about its source."""
    overlaps: list[Overlap] = []
    for known in sorted({name, derived_from or name} & set(manifest_ids())):
        overlaps += load_manifest(known).overlaps
    return _Dataset(name, derived_from, tuple(overlaps))


def _patients(cases: Cases) -> set[tuple[str, str]]:
    # The number of a patient means somebody else in another dataset.
    listed = cases.cases if isinstance(cases, Index) else cases
    return {(c.dataset, c.patient) for c in listed}
