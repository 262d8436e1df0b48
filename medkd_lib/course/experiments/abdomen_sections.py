"""Sections of the abdomen set's MR patients: T2-SPIR, T1 in phase, one organ as foreground.

Either sequence has pixels and slices of its own, and the body breathes in between. A student's
patient stands on the grid of the T2, whose mask counts; the T1 is brought there. On that T1 the
mask is off by the breath, in reality and in the twin: an oracle, and not a perfect one. A teacher's
patient is a T1 on its own grid with its own mask, and nothing else of this patient is read.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from medkd_lib.course.experiments.lung_sections import Frame, framed
from medkd_lib.data.field import inside_field
from medkd_lib.data.index import Index
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.store import key_of, store
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.fingerprint import code_hash

# 320 mm from front to back hold an abdomen that does not lie in the middle; slices are 5.5 to 9 mm
# apart in the release, 7.8 on average.
COARSE_ABDOMEN = Frame(5.0, 8.0, (80, 64))
# About the release's own pixels.
FINE_ABDOMEN = Frame(1.6, 8.0, (256, 256))


def pair_recipe(frame: Frame = COARSE_ABDOMEN) -> Recipe:
    """Return how T2 and T1 of a student's patient are prepared: on the T2's grid, with its mask."""
    return Recipe(
        ("t2", "t1_in"), "t2_mask", reference="t2", spacing_mm=frame.spacing_mm, intensity="unit"
    )


def t1_recipe(frame: Frame = COARSE_ABDOMEN) -> Recipe:
    """Return how the T1 of a teacher's patient is prepared."""
    return Recipe(("t1_in",), "t1_mask", spacing_mm=frame.spacing_mm, intensity="unit")


def paired_sections(found: Index, organ: str, frame: Frame = COARSE_ABDOMEN) -> Sections:
    """Return ``t2`` and the same patient's ``t1``, masks of the T2, of every MR patient.

    Sections that only one sequence reached are left out: there a T1 would be black.

    Args:
        found: the set, or its twin.
        organ: as the manifest's labels name it, such as ``liver`` or ``right_kidney``.
        frame: of the sections.

    Raises:
        ValueError: an organ that the manifest does not name, or as `_sections`.
    """
    return _sections(found, organ, pair_recipe(frame), ("t2", "t1"), frame)


def t1_sections(found: Index, organ: str, frame: Frame = COARSE_ABDOMEN) -> Sections:
    """Return ``t1`` alone, on its own grid with its own masks, of every MR patient.

    Args:
        found: the set, or its twin.
        organ: see `paired_sections`.
        frame: of the sections.

    Raises:
        ValueError: likewise.
    """
    return _sections(found, organ, t1_recipe(frame), ("t1",), frame)


def label_of(manifest: Manifest, organ: str) -> int:
    """Return the id of an organ's label; spaces of its name are underscores here.

    Raises:
        ValueError: names those that there are.
    """
    values = manifest.labels.values if manifest.labels else []
    known = {v.name.replace(" ", "_"): v.id for v in values if v.id}
    if organ not in known:
        raise ValueError(
            f"organ: expected one of {list(known)}, the labels of {manifest.id}, found {organ!r}"
        )
    return known[organ]


def _sections(
    found: Index, organ: str, recipe: Recipe, modalities: tuple[str, ...], frame: Frame
) -> Sections:
    """Return the sections of all patients who have what a recipe asks for.

    Raises:
        ValueError: nobody has it, or a patient's sequences share no slice.
    """
    label = label_of(found.manifest, organ)
    wanted = set(recipe.roles)
    cases = [case for case in found.cases if wanted <= case.files.keys()]
    if not cases:
        raise ValueError(
            f"{found.manifest.id}: expected patients with {sorted(wanted)}, found none among "
            f"{len(found.cases)} cases in {found.root}; fetch the MR part of the set"
        )
    volumes = Volumes(found.manifest, cases, recipe)
    parts = []
    for row, case in enumerate(cases):
        prepared = volumes[row]
        images = dict(zip(modalities, prepared.image, strict=True))
        measured, key = _measured(volumes, row), volumes.key(case)
        parts.append(_as_sections(prepared, images, measured, label, key, frame))
    return joined(parts)


def _measured(volumes: Volumes, row: int) -> Tensor:
    """Return which slices of a case every image of the recipe reached, ``(K,)`` bool.

    Kept on disk: it takes the headers of all slices.
    """
    case = volumes.cases[row]

    def made() -> tuple[dict[str, Tensor], dict[str, object]]:
        prepared = volumes[row]
        shape = tuple(prepared.image.shape[1:])
        reached = np.ones(shape[2], dtype=bool)
        for volume in read_case(case, volumes.manifest, volumes.recipe.images).values():
            field = inside_field(volume.affine, volume.shape, prepared.affine.numpy(), shape)
            reached &= field.any(axis=(0, 1))
        return {"reached": torch.from_numpy(reached)}, {}

    key = key_of(
        case=volumes.key(case), code=code_hash(("course/experiments/abdomen_sections.py",))
    )
    return store("abdomen_fields", durable=False).get_or_make(key, made).tensors["reached"]


def _as_sections(
    prepared: Prepared, images: Mapping[str, Tensor], measured: Tensor, label: int, key: str,
    frame: Frame,
) -> Sections:  # fmt: skip
    """Return the measured slices of one prepared case, each in the middle of a frame."""
    case = prepared.case
    if prepared.mask is None:
        raise ValueError(f"case {case.id}: sections need a mask; name one in the recipe")
    slices = torch.nonzero(measured).flatten().tolist()
    if not slices:
        raise ValueError(
            f"case {case.id}: expected slices that its sequences all reach, found none; their "
            "headers disagree on where the patient lies: leave the case out"
        )
    mask = (prepared.mask == label).to(torch.uint8)
    volume_ml = float(mask.sum()) * float(np.prod(frame.spacing_mm)) / 1000
    return Sections(
        # [0, 1] of the recipe → [-1, 1]; what the frame adds is air
        {
            n: framed(2 * x.float() - 1, -1.0, frame.shape)[slices][:, None]
            for n, x in images.items()
        },
        framed(mask, 0, frame.shape)[slices],
        (case.patient,) * len(slices),
        tuple(f"{case.id}/k{k:03d}" for k in slices),
        frame.spacing_mm,
        {"volume_ml": np.full(len(slices), volume_ml)},
        key_of(case=case.id, key=key, label=label, slices=slices, shape=frame.shape),
    )
