"""What lesson 05 looks at: scans, graphs, attention, where a network looks."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medkd_lib.course.experiments.liver_blocks import (
    DOSES,
    around,
    cut,
    label_ids,
    recipe_of,
    voxels_of,
)
from medkd_lib.course.experiments.liver_frame import COARSE_LIVER
from medkd_lib.course.experiments.react_cohort import SEEN
from medkd_lib.course.experiments.react_sources import SARCOMA
from medkd_lib.course.experiments.react_study import ask, bedside, classifier_of
from medkd_lib.course.experiments.sts_scans import HIGHEST_SUV, WINDOW_HU
from medkd_lib.course.lesson import Images
from medkd_lib.data.blocks import Blocks
from medkd_lib.data.volumes import Volumes
from medkd_lib.evaluate.saliency import grad_cam, localisation
from medkd_lib.methods.react_kd_released import ReleasedStudent
from medkd_lib.models.fused_classifier import AtBedside
from medkd_lib.models.region_graph import RegionGraph, region_graph
from medkd_lib.models.region_masks import Regions
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.show.cbam import AttentionLook
from medkd_lib.show.liver import BoxScans
from medkd_lib.show.volume_looks import VolumeMaps
from medkd_lib.train import Trained

TUMOUR_NAMES = ("tumour", "core", "rim")


def scans_of(
    images: Images, boxes: Blocks, rows: Sequence[int], class_names: Sequence[str]
) -> list[BoxScans]:
    """Return exams to draw, as they were scanned: CT in HU, uptake in SUV, nothing blanked out.

    Args:
        images: the set that the boxes come from.
        boxes: of livers or sarcomas.
        rows: of the boxes.
        class_names: titles.
    """
    titles = [class_names[int(boxes.labels[row])] for row in rows]
    if images.manifest.id == SARCOMA:
        tumour, (low, high) = tumour_masks(boxes), WINDOW_HU
        return [
            BoxScans(
                title, (boxes.images["ct"][row, 0].float() + 1) / 2 * (high - low) + low,
                {"PET": HIGHEST_SUV / 2 * (boxes.images["pet"][row, 0].float() + 1)},
                {"tumour": tumour[row]}, boxes.spacing_mm,
            )
            for title, row in zip(titles, rows, strict=True)
        ]  # fmt: skip
    frame, values = COARSE_LIVER, label_ids(images.index)
    cases = {case.id: n for n, case in enumerate(images.index.cases)}
    recipe = recipe_of(images.index, frame)
    volumes, found = Volumes(images.manifest, images.index.cases, recipe), []
    for title, row in zip(titles, rows, strict=True):
        prepared = volumes[cases[boxes.ids[row]]]
        assert prepared.mask is not None
        scans = prepared.image.permute(0, 3, 2, 1).float()
        labels = prepared.mask.permute(2, 1, 0)
        liver, tumour = (
            torch.from_numpy(voxels_of(labels.numpy(), values, *names))
            for names in (("liver", "hepatic", "tumour"), ("tumour",))
        )
        box = around((liver | tumour).numpy(), frame)
        found.append(
            BoxScans(
                title, cut(scans[0], box, -1000.0),
                {n: cut(x, box, 0.0) for n, x in zip(recipe.images[1:], scans[1:], strict=True)},
                {"tumour": cut(tumour, box, 0.0), "liver": cut(liver, box, 0.0)},
                (frame.spacing_mm,) * 3,
            )
        )  # fmt: skip
    return found


def looks_of(trained: Trained, boxes: Blocks, *, place_by_place: bool = False) -> VolumeMaps:
    """Return where a network looks, and how much of that lies in the tumour."""
    maps = where_it_looks(trained, boxes, place_by_place=place_by_place)
    return VolumeMaps(maps, localisation(maps, tumour_masks(boxes)).share)


def graphs_of(trained: Trained, boxes: Blocks) -> RegionGraph:
    """Return the region graphs of boxes in a network's fused map; a student is shown its CT.

    Args:
        trained: of `ReactStudy`.
        boxes: with everything that the network reads; ``seen`` is the CT at full dose.
    """
    network = classifier_of(trained)
    full = {**boxes.images, SEEN: boxes.images["ct"]}
    _, fused = ask(network.only(bedside(network)), replace(boxes, images=full))
    return region_graph(fused, Regions(boxes.regions, len(boxes.region_names), boxes.spacing_mm))


def where_it_looks(trained: Trained, boxes: Blocks, *, place_by_place: bool) -> Tensor:
    """Return `grad_cam` of the label's logit, ``(N, d, h, w)`` on 0…1, CT at full dose."""
    network = classifier_of(trained)
    at_bedside = AtBedside(network.only(bedside(network))).eval()
    images = {**boxes.images, SEEN: boxes.images["ct"]}
    channels = torch.cat([images[name] for name in at_bedside.reads], dim=1).float()
    return grad_cam(
        at_bedside, "network.map", channels, boxes.labels, place_by_place=place_by_place
    )


def attention_of(trained: Trained, box: Blocks, doses: Sequence[str]) -> dict[str, AttentionLook]:
    """Return what the CT branch's attention says of one box, by the dose of its CT."""
    network = classifier_of(trained)
    attention = network.attention_to("ct")
    if attention is None:
        raise ValueError("attention_of: expected a network with CBAM, found one without")
    looks = {}
    for dose in doses:
        image = box.images[dose].float()
        with torch.no_grad(), tap(network, {"narrow": "narrow.ct"}) as seen:
            network.only(("ct",)).branch_map("ct", {SEEN: image})
            channels = attention.channel_weights(seen["narrow"])
            weighed = channels[:, :, None, None, None] * seen["narrow"]
            places = attention.place_weights(weighed)
        title = f"{DOSES[dose]:.0%} of the dose" if dose in DOSES else "full dose"
        looks[title] = AttentionLook(channels[0], places[0, 0], image[0, 0])
    return looks


def released_student() -> dict[str, int]:
    """Return the weights of the released CT student: all of it, its network, its one layer."""
    student = ReleasedStudent()
    layer = student.widest
    return {
        "released CT student": parameter_count(student),
        "… its SegResNet, decoder included": parameter_count(student.segresnet),
        f"… one Linear({layer.in_features:,} → {layer.out_features})": parameter_count(layer),
    }


def tumour_masks(boxes: Blocks) -> Tensor:
    """Return where the tumours are, ``(N, D, H, W)`` bool."""
    wanted = [n for n, name in enumerate(boxes.region_names, 1) if name.startswith(TUMOUR_NAMES)]
    return torch.isin(boxes.regions, torch.tensor(wanted, dtype=boxes.regions.dtype))
