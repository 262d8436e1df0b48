"""What lesson 02 computes around its trainings: sets, maps, who finds the tumour, prices."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.cohort import TUMOUR_TYPES, Sampling
from medkd_lib.course.experiments.teacher_arms import ARMS
from medkd_lib.course.experiments.teachers import TeacherStudy
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.resolve import Config
from medkd_lib.evaluate.cost import macs
from medkd_lib.evaluate.intervals import patient_bootstrap, t_interval
from medkd_lib.evaluate.saliency import grad_cam, localisation
from medkd_lib.models.hybrid import HybridTeacher
from medkd_lib.models.tap import tap
from medkd_lib.models.vit import attention_weights
from medkd_lib.show.students import Priced
from medkd_lib.show.style import CONTROL, METHOD, STUDENT, TEACHER

Follow = Callable[[list[NDArray[np.float32]]], NDArray[np.floating]]
Floats = NDArray[np.float64]
ROLLOUT, CAM = "ViT: attention rollout", "VGG: Grad-CAM"


def is_volumes(dataset: str) -> bool:
    """Return whether a set of this lesson holds volumes, which give several slices a patient."""
    return dataset.startswith("brats")


def open_sets(config: Config, sampling: Sampling) -> list[Images]:
    """Open the set of a run, or the three that ``label_scheme="type"`` joins.

    A film is one image and a volume gives several, so a twin of films gets as many more patients.
    The roots of joined real sets are folders of ``data_root``, named as the sets.
    """
    volumes = is_volumes(config.dataset)
    joined = volumes and config.label_scheme == "type"
    names = list(TUMOUR_TYPES) if joined else [config.dataset]
    return [
        open_images(
            name,
            f"{config.data_root}/{name}" if joined and config.data_root else config.data_root,
            patients=config.patients * (1 if volumes else sampling.slices),
            difficulty=config.difficulty,
            size=config.size if volumes else None,
        )
        for name in names
    ]


def weights_of_node(
    query: Floats, keys: Floats, places_mm: Floats, node: int,
    neighbours: NDArray[np.bool_], reach_mm: float,
) -> Floats:  # fmt: skip
    r"""Return the weights ``(V,)`` with which one node reads the others.

    $$\mathrm{softmax}_j\Bigl(\frac{q^\top k_j}{\sqrt d}
    - \frac{\lVert p_i-p_j\rVert^2}{2r^2}\Bigr)$$

    over its neighbours; exactly 0 elsewhere. It is PyTorch's own attention with values that are the
    identity, so that the output is the weights.

    Args:
        query: ``(d,)`` of the node.
        keys: ``(V, d)``.
        places_mm: ``(V, 2)``.
        node: number of the node.
        neighbours: ``(V,)``, whom it reads.
        reach_mm: r.
    """
    squared = ((places_mm - places_mm[node]) ** 2).sum(axis=1)
    added = torch.from_numpy(np.where(neighbours, -squared / (2 * reach_mm**2), -np.inf))
    one, all_keys = torch.from_numpy(query)[None], torch.from_numpy(keys)
    identity = torch.eye(len(keys), dtype=torch.float64, device="cpu")
    weights = F.scaled_dot_product_attention(one, all_keys, identity, added[None])
    return np.asarray(weights[0].numpy(), np.float64)


def maps_of(
    hybrid: HybridTeacher, images: Tensor, classes: Tensor, follow: Follow
) -> dict[str, Tensor]:
    """Return a hybrid's attention rollout and Grad-CAM, each ``(N, h, w)`` on the CPU.

    Args:
        hybrid: with both branches.
        images: ``(N, channels, H, W)`` float32.
        classes: ``(N,)``, whose logit Grad-CAM explains.
        follow: attention of all blocks of one image, each ``(heads, tokens, tokens)``, first block
            first → what reached the class token from each patch.
    """
    hybrid.eval()
    vit, device = hybrid.vit, next(hybrid.parameters()).device
    blocks = {str(k): f"vit.{place}" for k, place in enumerate(vit.attention_inputs)}
    with torch.no_grad(), tap(hybrid, blocks) as seen:
        hybrid(images.to(device))
        attention = [
            attention_weights(vit.qkv(int(k), x)).float().cpu().numpy() for k, x in seen.items()
        ]
    followed = [follow([block[n] for block in attention]) for n in range(len(images))]
    patches = torch.tensor(np.stack(followed), dtype=torch.float32)
    cam = grad_cam(hybrid, "vgg_map", images.to(device), classes.to(device))
    return {ROLLOUT: patches.unflatten(1, (vit.grid, vit.grid)), CAM: cam.cpu()}


def localisation_table(
    states: Mapping[str, Mapping[str, Tensor]],
    images: Tensor,
    masks: Tensor,
    patients: Sequence[str],
) -> pd.DataFrame:
    """Return how much of each map lies inside the tumour, against chance.

    A map counts on tissue only, since nobody looks for a tumour in the air; chance is the tumour's
    share of the tissue.

    Args:
        states: state of the network → kind of map → ``(N, h, w)``.
        images: ``(N, channels, H, W)``, their background exactly 0.
        masks: ``(N, H, W)`` label ids, none of them empty.
        patients: of each image.
    """
    tissue, inside = (images != 0).any(dim=1), masks > 0
    chance = inside.sum((1, 2)) / tissue.sum((1, 2))
    rows = [_row("chance: the tumour's share of the tissue", float(chance.mean()))]
    for state, kinds in states.items():
        for kind, heat in kinds.items():
            large = F.interpolate(heat[:, None], tissue.shape[1:], mode="bilinear")[:, 0]
            found = localisation(large * tissue, inside)
            low, high = patient_bootstrap(found.share.numpy(), patients)
            rows.append(
                _row(
                    f"{kind}, {state}", float(found.share.mean()), f"{low:.3f}–{high:.3f}",
                    f"{float(found.hit.mean()):.2f}",
                )
            )  # fmt: skip
    return pd.DataFrame(rows)


def _row(name: str, share: float, interval: str = "", hit: str = "") -> dict[str, str]:
    return {"map": name, "share": f"{share:.3f}", "95 % interval": interval, "hit": hit}


def arm_colours() -> dict[str, str]:
    """Return a colour for each arm: small networks, branches and hybrids, ladder, its controls."""
    rungs = ("a1", "a2", "a3", "a4")
    kinds = {"student": STUDENT, "hybrid": TEACHER, "wide": TEACHER, "msgff": CONTROL}
    return {name: METHOD if name in rungs else kinds[arm.kind] for name, arm in ARMS.items()}


def prices(
    recorded: Recorded, setting: str, study: TeacherStudy, arms: Sequence[str]
) -> list[Priced]:
    """Return cost and recorded measure of those arms that a setting ran.

    Args:
        recorded: the tables.
        setting: one of them.
        study: its networks are counted; at the sizes that were recorded.
        arms: in the order of the result.
    """
    runs, primary = recorded.of(setting), recorded.grid.primary
    example = study.cohort.parts["test"].rows([0]).inputs().float()
    priced = []
    for arm in arms:
        values = runs[runs.arm == arm][primary].tolist()
        if not values:
            continue
        network = study.network(arm).eval()
        priced.append(
            Priced(
                ARM_TITLES[arm].split(":")[0],
                macs(network, example),
                sum(p.numel() for p in network.parameters()),
                float(np.mean(values)),
                t_interval(values),
                teacher=arm != "student",
            )
        )
    return priced
