"""Lesson 05: the region graph of a real CT whose label map has dozens of organs."""

from pathlib import Path

import torch
import torch.nn.functional as F

from medkd_lib.course.experiments.liver_blocks import HIGHEST_HU, UNIT_HU, label_ids
from medkd_lib.course.experiments.liver_frame import COARSE_LIVER
from medkd_lib.course.experiments.react_cohort import SEEN
from medkd_lib.course.experiments.react_study import bedside, classifier_of
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.models.region_graph import RegionGraph, region_graph
from medkd_lib.models.region_masks import Regions
from medkd_lib.train import Trained

ORGANS = "totalseg_ct"
# As scanned: at the networks' 6 mm the smallest organ would be no voxel.
RECIPE = Recipe(("ct",), mask="seg", intensity="as_stored", dtype="float32")


def _organs(prepared: Prepared) -> int:
    return 0 if prepared.mask is None else len(prepared.mask.unique())


@torch.no_grad()
def organ_graph_of(root: str | Path, trained: Trained) -> tuple[RegionGraph, tuple[str, ...]]:
    """Return the graph of a CT's organs in a student's map, and their names.

    Of several CTs the one with the most organs is taken. It is told from its own liver, as the
    boxes of livers are, and everything that has a label is shown. Convolutions do not ask how
    large a volume is.

    Args:
        root: folder of ``totalseg_ct``.
        trained: a student of livers: a network of sarcomas knows another unit of CT.

    Raises:
        ValueError: no case with CT and label map.
    """
    found = index(load_manifest(ORGANS), Path(root))
    whole = [case for case in found.cases if {"ct", "seg"} <= case.files.keys()]
    if not whole:
        raise ValueError(
            f"{root}: expected a case of {ORGANS} with roles ct and seg, found "
            f"{[(c.id, sorted(c.files)) for c in found.cases]}; `medkd data get {ORGANS}`"
        )
    volumes = Volumes(found.manifest, whole, RECIPE)
    prepared = max((volumes[row] for row in range(len(whole))), key=_organs)
    assert prepared.mask is not None
    # (C, I, J, K) of LPS → (D, H, W): slices first, then the picture's rows and columns
    hu, labels = prepared.image[0].permute(2, 1, 0), prepared.mask.permute(2, 1, 0).long()
    ids = {name: value for name, value in label_ids(found).items() if (labels == value).any()}
    middle = hu[labels == ids["liver"]].median()
    seen = (hu - middle).clamp(-HIGHEST_HU, HIGHEST_HU) / UNIT_HU * (labels > 0)
    number = torch.zeros(int(labels.max()) + 1, dtype=torch.uint8)
    for node, value in enumerate(ids.values(), start=1):
        number[value] = node
    network = classifier_of(trained)
    network = network.only(bedside(network)).eval()
    spacing = prepared.affine[:3, :3].norm(dim=0).flip(0).tolist()
    # A voxel of the network's is the mean of what it covers.
    size = [round(n * s / COARSE_LIVER.spacing_mm) for n, s in zip(hu.shape, spacing, strict=True)]
    fused = network.fused_map({SEEN: F.interpolate(seen[None, None], size, mode="area")})
    regions = Regions(number[labels][None], len(ids), spacing)
    return region_graph(fused, regions), tuple(name.replace("_", " ") for name in ids)
