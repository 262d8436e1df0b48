"""Boxes around the liver: CT at several doses, two PET tracers, regions and grade.

The liver's place and the masses' are taken from the label map, so whoever uses such a network needs
a segmenter first, as drawn for REACT-KD; experts' masks in its place flatter the result.
"""

import zlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.liver_frame import COARSE_LIVER, LiverFrame
from medkd_lib.data.blocks import Blocks, joined
from medkd_lib.data.index import Index
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.region_ids import region_ids
from medkd_lib.data.store import Entry, key_of, store
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.fingerprint import code_hash
from medkd_lib.phantom.low_dose_fast import add_fast_noise

# A unit of the CT: about the noise of a voxel, and what mass and liver differ by. In the unit of a
# window, ± 75 HU as ± 1, a network would have to grow weights of twenty first.
# A window wider than the masses ask for brings fat and lung, which a norm over the box then divides
# everything by.
UNIT_HU, HIGHEST_HU = 10.0, 45.0
# Of an uptake over the liver's own.
HIGHEST_RATIO = 3.0
# What room there is for another place of the box, in voxels on either side.
MARGIN = 2
COMPONENTS = 3
# Share of the dose that is left; the scan as it is has all of it.
DOSES: Mapping[str, float] = {"ct_half": 0.5, "ct_quarter": 0.25, "ct_tenth": 0.1}


def liver_blocks(found: Index, frame: LiverFrame = COARSE_LIVER) -> Blocks:
    """Return one box per exam, larger than the frame by a margin on every side.

    Args:
        found: ``react_kd_private_cohort`` or ``hcc_tace_seg``, or a twin; of the second, CT alone.
        frame: of the boxes.

    Raises:
        LayoutError: a case without a grade.
    """
    labels, values = found.labels, label_ids(found)
    recipe = recipe_of(found, frame)
    tracers = recipe.images[1:]
    volumes, kept = Volumes(found.manifest, found.cases, recipe), store("blocks", durable=False)
    parts = []
    for number, case in enumerate(found.cases):
        key = key_of(
            case=volumes.key(case), frame=asdict(frame), margin=MARGIN, doses=dict(DOSES),
            code=code_hash(("data", "phantom", "course/experiments")),
        )  # fmt: skip
        entry = kept.get_or_make(key, partial(_made, volumes, number, tracers, values, frame))
        parts.append(_block(entry, key, case.id, case.patient, labels[number], values, frame))
    return joined(parts)


def recipe_of(found: Index, frame: LiverFrame) -> Recipe:
    """Return how an exam is prepared: CT in HU, tracers in SUV, the label map, on one grid."""
    # Of everybody: an exam that lacks one is told when it is read, and silences no other.
    roles = {role for case in found.cases for role in case.files}
    return Recipe(
        ("ct", *(r for r in ("fdg", "acetate") if r in roles)),
        "regions" if "regions" in roles else "seg", reference="ct",
        spacing_mm=(frame.spacing_mm,) * 3, intensity="as_stored",
    )  # fmt: skip


def label_ids(found: Index) -> dict[str, int]:
    """Return the ids of a label map by name, without the background."""
    names = found.manifest.labels
    assert names is not None  # both sets have a label map
    return {v.name: v.id for v in names.values if v.id}


def _made(
    volumes: Volumes, number: int, tracers: tuple[str, ...], values: Mapping[str, int],
    frame: LiverFrame,
) -> tuple[dict[str, Tensor], dict[str, object]]:  # fmt: skip
    return _box(volumes[number], volumes.manifest.id, tracers, values, frame), {}


def _box(
    prepared: Prepared, dataset: str, tracers: tuple[str, ...], values: Mapping[str, int],
    frame: LiverFrame,
) -> dict[str, Tensor]:  # fmt: skip
    """Return the box's images and regions, margins included."""
    assert prepared.mask is not None
    # (C, I, J, K) of LPS → (C, D, H, W): slices first, then the picture's rows and columns
    image, labels = prepared.image.permute(0, 3, 2, 1).float(), prepared.mask.permute(2, 1, 0)
    hu = image[0]
    noise = torch.Generator().manual_seed(zlib.crc32(prepared.case.id.encode()))
    scans = {"ct": hu}
    for name, share in DOSES.items():
        scans[name] = add_fast_noise(hu, frame.spacing_mm, frame.dose(dataset, share), noise)
    # Everything is told from the patient's own liver: how bright a liver is on CT depends on its
    # fat, and its uptake on the dose and on the weight.
    own = torch.from_numpy(voxels_of(labels.numpy(), values, "liver segment", "liver"))
    middle = hu[own].median()
    images = {n: (x - middle).clamp(-HIGHEST_HU, HIGHEST_HU) / UNIT_HU for n, x in scans.items()}
    for tracer, suv in zip(tracers, image[1:], strict=True):
        images[tracer] = (suv / suv[own].median()).clamp(0, HIGHEST_RATIO) - 1
    # Only labelled parts are shown: the released preprocessing multiplies images by masks, too.
    # What is not shown is as bright as the liver, and not a dark body of its own.
    images = {n: x * (labels > 0) for n, x in images.items()}
    images["roi"] = (labels == values["tumour"]).float()
    box = around(voxels_of(labels.numpy(), values, "liver", "tumour"), frame)
    out = {n: cut(x, box, 0.0)[None].half() for n, x in images.items()}
    out["regions"] = cut(_regions(labels, values), box, 0)
    return out


def voxels_of(
    labels: NDArray[np.integer], values: Mapping[str, int], *names: str
) -> NDArray[np.bool_]:
    """Return where a label lies whose name begins with one of ``names``."""
    inside: NDArray[np.bool_] = np.isin(
        labels, [v for n, v in values.items() if n.startswith(names)]
    )
    return inside


def around(liver: NDArray[np.bool_], frame: LiverFrame) -> list[slice]:
    """Return the box around the middle of the liver's extent; it may reach beyond the edge."""
    box = []
    for axis, size in enumerate(frame.shape):
        others = tuple(a for a in range(3) if a != axis)
        places = np.flatnonzero(liver.any(axis=others))
        whole = size + 2 * MARGIN
        first = round((places[0] + places[-1] + 1 - whole) / 2)
        box.append(slice(first, first + whole))
    return box


def cut(volume: Tensor, box: list[slice], outside: float) -> Tensor:
    """Return a box; what lies beyond the volume's edge is ``outside``."""
    out = volume.new_full(tuple(b.stop - b.start for b in box), outside)
    inner = [slice(max(b.start, 0), min(b.stop, n)) for b, n in zip(box, volume.shape, strict=True)]
    place = [slice(i.start - b.start, i.stop - b.start) for i, b in zip(inner, box, strict=True)]
    out[tuple(place)] = volume[tuple(inner)]
    return out


def _organs(values: Mapping[str, int]) -> dict[str, int]:
    return {n: v for n, v in values.items() if n != "tumour"}


def _regions(labels: Tensor, values: Mapping[str, int]) -> Tensor:
    found = region_ids(
        labels.numpy(), _organs(values), {"tumour": values["tumour"]}, components=COMPONENTS,
        least_voxels=4,
    )  # fmt: skip
    return torch.from_numpy(found.ids.astype(np.uint8))


def _block(
    entry: Entry, key: str, case: str, patient: str, label: int, values: Mapping[str, int],
    frame: LiverFrame,
) -> Blocks:  # fmt: skip
    images = {n: x[None] for n, x in entry.tensors.items() if n != "regions"}
    names = (*_organs(values), *(f"tumour {n + 1}" for n in range(COMPONENTS)))
    regions = entry.tensors["regions"]
    voxels = float((regions > len(_organs(values))).sum())
    facts = {"tumour_ml": np.array([voxels * frame.spacing_mm**3 / 1000])}
    return Blocks(
        images, regions[None], names, torch.tensor([label]), (patient,), (case,),
        (frame.spacing_mm,) * 3, facts, key,
    )  # fmt: skip
