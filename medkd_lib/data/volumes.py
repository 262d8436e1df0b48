"""Cases as tensors: read, prepared and cached once, then served from disk, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version

import torch
from torch.utils.data import Dataset

from medkd_lib.data.case import Case
from medkd_lib.data.file_digest import digest
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import TensorStore, key_of, store
from medkd_lib.fingerprint import code_hash

# Any of them may be at work when a file is read.
LIBRARIES = ("monai", "nibabel", "numpy", "pillow", "pydicom", "SimpleITK", "torch")


@dataclass(frozen=True)
class Prepared:
    """One case after its recipe.

    Shapes:
        image: ``(C, I, J, K)``, channels in the recipe's order.
        mask: ``(I, J, K)`` uint8 label ids, or None.
        affine: ``(4, 4)`` float64, voxel → RAS+ millimetres.
    """

    case: Case
    image: torch.Tensor
    mask: torch.Tensor | None
    affine: torch.Tensor


class Volumes(Dataset[Prepared]):
    """Cases of one dataset under one recipe; holds paths, never voxels.

    The key of a case is made of its files' bytes, its repairs, the recipe, our code and the
    libraries' versions, so a changed file or step is never served from the cache. Entries are
    written whole and verified when read; several workers and processes may share them.
    """

    def __init__(
        self, manifest: Manifest, cases: Sequence[Case], recipe: Recipe,
        cache: TensorStore | None = None,
    ) -> None:  # fmt: skip
        self.manifest = manifest
        self.cases = list(cases)
        self.recipe = recipe
        self.cache = cache if cache is not None else store("volumes", durable=False)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, row: int) -> Prepared:
        case = self.cases[row]
        entry = self.cache.get_or_make(self.key(case), lambda: (self._prepare(case), {}))
        tensors = entry.tensors
        return Prepared(case, tensors["image"], tensors.get("mask"), tensors["affine"])

    def key(self, case: Case) -> str:
        """Return the case's key in the cache."""
        # A repair may look at a role that the recipe does not use.
        lent = (i.to.removeprefix("copy:") for i in case.repairs if i.to and "copy:" in i.to)
        roles = {*self.recipe.roles, *lent} & case.files.keys()
        files = {role: digest(case.files[role]) for role in sorted(roles)}
        labels = self.manifest.labels
        return key_of(
            files=files,
            recipe=self.recipe.as_dict(),
            repairs=[r.model_dump() for r in case.repairs],
            labels=labels.model_dump() if labels else None,
            layout=self.manifest.layout.model_dump() if self.manifest.layout else None,
            code=code_hash(("data",)),
            versions=_versions(),
        )

    def _prepare(self, case: Case) -> dict[str, torch.Tensor]:
        volumes = read_case(case, self.manifest, self.recipe.roles)
        try:
            return self.recipe.apply(volumes)
        except DataError as error:
            # The recipe knows the role, we know the file.
            role = error.problem.where
            raise DataError(
                replace(error.problem, where=str(case.files.get(role, role)))
            ) from error


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
