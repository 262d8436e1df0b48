"""A label map → numbered regions: organs as they are, every component of a mass on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class RegionIds:
    """Regions of one patient, numbered as in every other patient.

    Attributes:
        ids: shape of the label map, uint8 (int16 above 255 regions): 0 is no region, n is
            ``names[n - 1]``.
        names: of all regions, present or not: ``("liver", "spleen", "mass 1", "mass 2")``.
    """

    ids: NDArray[np.uint8] | NDArray[np.int16]
    names: tuple[str, ...]


def region_ids(
    labels: NDArray[np.integer],
    organs: Mapping[str, int],
    masses: Mapping[str, int] | None = None,
    *,
    components: int = 3,
    least_voxels: int = 1,
) -> RegionIds:
    """Return the regions of a label map: first the organs, then the components of each mass.

    Voxels of a mass belong together if they share a face, an edge or a corner. The largest
    component is number 1; equally large ones are taken in reading order. A mass that touches the
    border of the map is a component like any other. A region that is not there keeps its number,
    so that number n means the same in all patients of a batch.

    Args:
        labels: label ids, any number of axes.
        organs: name → label id; what is in neither mapping becomes 0.
        masses: name → label id; each gets as many regions as ``components`` says.
        components: most components of one mass.
        least_voxels: smaller components are specks of a segmenter and become 0.

    Raises:
        ValueError: labels that are no whole numbers; a label id given twice, or 0; more components
            than there is room for; numbers of components or voxels below 1.
    """
    masses = masses or {}
    _check(labels, [*organs.values(), *masses.values()], components, least_voxels)
    names = [*organs, *(f"{name} {n + 1}" for name in masses for n in range(components))]
    ids = np.zeros(labels.shape, np.uint8 if len(names) < 256 else np.int16)
    for number, label in enumerate(organs.values(), start=1):
        ids[labels == label] = number
    first = len(organs) + 1
    for name, label in masses.items():
        found, kept = _components(labels == label, least_voxels)
        if len(kept) > components:
            raise ValueError(
                f"{name}: expected at most components = {components}, found {len(kept)} of "
                f"{least_voxels} or more voxels; raise components, or least_voxels to drop specks"
            )
        for n, component in enumerate(kept):
            ids[found == component] = first + n
        first += components
    return RegionIds(ids, tuple(names))


def _components(mask: NDArray[np.bool_], least_voxels: int) -> tuple[NDArray[np.int32], list[int]]:
    """Return component numbers, and which of them to keep, the largest first."""
    found, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    sizes = np.bincount(found.ravel())
    sizes[0] = 0  # what is no mass
    order = np.argsort(-sizes, kind="stable")
    return found, [int(n) for n in order if sizes[n] >= least_voxels]


def _check(
    labels: NDArray[np.integer], given: Sequence[int], components: int, least_voxels: int
) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels: expected whole numbers, found {labels.dtype}; resample masks with nearest "
            "neighbour and convert them"
        )
    if len(set(given)) < len(given) or 0 in given:
        raise ValueError(
            f"organs, masses: expected label ids other than 0, each once, found {sorted(given)}; "
            "0 is the background"
        )
    for name, value in (("components", components), ("least_voxels", least_voxels)):
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, found {value}")
