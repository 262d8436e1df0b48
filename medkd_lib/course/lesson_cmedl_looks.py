"""What lesson 04 looks at: sections, translations, tumour contrast, hinted maps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medkd_lib.course.experiments.cmedl_study import CmedlStudy
from medkd_lib.course.experiments.cmedl_translation import (
    OUTLINED,
    RING_MM,
    patient_outline,
    soft_tissue,
)
from medkd_lib.data.sections import Sections
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.evaluate.tumour_contrast import TumourContrast, tumour_contrast
from medkd_lib.evaluate.wilcoxon import per_patient
from medkd_lib.methods.cmedl_parts import Hints
from medkd_lib.models.tap import tap
from medkd_lib.show.translation import RoundTrip
from medkd_lib.train import Trained


def largest_sections(sections: Sections) -> list[int]:
    """Return, of each patient with tumour, the section that shows most of it; smallest first."""
    areas = (sections.masks > 0).flatten(1).sum(dim=1).tolist()
    best: dict[str, int] = {}
    for row, patient in enumerate(sections.patients):
        if areas[row] > areas[best.setdefault(patient, row)]:
            best[patient] = row
    return sorted((row for row in best.values() if areas[row]), key=lambda row: areas[row])


def trip(
    study: CmedlStudy, trained: Trained, part: Literal["test", "teaching"], rows: Sequence[int],
    titles: Sequence[str],
) -> RoundTrip:  # fmt: skip
    """Return sections of a part, translated and brought back; with the truth where it is known.

    Args:
        study: of the patients.
        trained: of `CmedlStudy.train`.
        part: ``test`` starts in the student's modality, ``teaching`` in the teacher's.
        rows: of the part.
        titles: one per row.
    """
    m, sections = study.modalities, getattr(study.modalities, part).rows(rows)
    start, end = (m.student, m.teacher) if part == "test" else (m.teacher, m.student)
    there, back = study.there_and_back(trained, sections.images[start], start)
    truth = sections.images.get(end)
    return RoundTrip(
        start.upper(), end.upper(), sections.images[start][:, 0], there[:, 0], back[:, 0],
        sections.masks, titles, None if truth is None else truth[:, 0],
    )  # fmt: skip


def bars(
    study: CmedlStudy, pseudo: Tensor, names: tuple[str, str]
) -> dict[str, tuple[TumourContrast, Sequence[str]]]:
    """Return the tumour's contrast in test images: theirs, translated and, where known, true ones.

    On CT the ring is soft tissue, neither lung nor bone, a pixel away from the tumour: what CT
    cannot tell is a tumour from a mediastinum. Rings of the other pictures are the same pixels. On
    other sources nothing is outlined, and the ring is whatever is there.

    Args:
        study: whose test patients.
        pseudo: ``(N, 1, H, W)``, their translations.
        names: of the student's modality and of the teacher's.
    """
    m, test = study.modalities, study.modalities.test
    source = test.images[m.student][:, 0].numpy()
    soft = (patient_outline(source) & soft_tissue(source)) if m.student in OUTLINED else None
    kinds = {names[0]: source, f"pseudo-{names[1]}": pseudo[:, 0].numpy()}
    if m.teacher in test.images:
        kinds[f"true {names[1]}"] = test.images[m.teacher][:, 0].numpy()
    spacing = test.spacing_mm[:2]
    gap = 0.0 if soft is None else max(spacing)
    masks = test.masks.numpy()
    return {
        name: (
            tumour_contrast(x, masks, spacing, ring_mm=RING_MM, gap_mm=gap, inside=soft),
            test.patients,
        )
        for name, x in kinds.items()
    }


def bar_table(contrasts: Mapping[str, tuple[TumourContrast, Sequence[str]]]) -> pd.DataFrame:
    """Return the numbers of the contrast bars, averaged as they are: over patients.

    A patient counts by the mean over the sections that show the tumour and have a ring.

    Args:
        contrasts: of `bars`.
    """
    rows = []
    for name, (found, who) in contrasts.items():
        relative = per_patient(found.relative, who).dropna()
        magnitude = per_patient(np.abs(found.relative), who).dropna()
        absolute = per_patient(found.absolute, who).dropna()
        rows.append(
            {"picture": name, "tumour − ring (SD)": f"{relative.mean():+.2f}",
             "tumour − ring (grey values)": f"{absolute.mean():+.3f}",
             "its magnitude, dark or bright (SD)": f"{magnitude.mean():.2f}",
             "patients": len(relative)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def translation_table(report: Mapping[str, float]) -> pd.DataFrame:
    """Return the numbers of `translation_report` with what each of them says.

    The contrasts are left to `bar_table`, which has all of them by one definition.
    """
    shown = [name for name in TRANSLATION if name in report]
    values = [
        ("yes" if report[n] else "no") if n in FLAGS else f"{report[n]:.3f}" for n in shown
    ]  # fmt: skip
    return pd.DataFrame({"what": [TRANSLATION[n] for n in shown], "value": values})


FLAGS = ("collapsed", "copied")
# In the order of the table; a grey value is on [-1, 1].
TRANSLATION: Mapping[str, str] = {
    "variance_ratio": "variance between patients, translated over real",
    "collapsed": "all translations alike",
    "source_correlation": "correlation of a translation with its source",
    "true_correlation": "correlation of the true image with that source",
    "copied": "the source handed on",
    "histogram_kl": "grey values: divergence from real ones (nats)",
    "teacher_dice": "Dice of the teacher on translated images",
    "mae": "mean error of the translation, everywhere (grey values)",
    "copy_mae": "mean error of handing the source on, everywhere (grey values)",
    "mae_tumour": "mean error of the translation, in the tumour (grey values)",
    "copy_mae_tumour": "mean error of handing the source on, in the tumour (grey values)",
}


@torch.no_grad()
def hinted(study: CmedlStudy, trained: Trained, arm: str, images: Tensor, layer: str) -> Tensor:
    """Return an arm's map of one hinted layer, ``(N, C, h, w)``.

    Args:
        study: its plan names the arms.
        trained: of `CmedlStudy.train`.
        arm: a student, or the teacher (of images in its own modality).
        images: ``(N, 1, H, W)``, what the network itself is shown.
        layer: a place of `SegmentationNetwork`.
    """
    network: nn.Module = study.network(trained, arm).eval()
    with tap(network, {layer: layer}) as seen:
        network(images)
    return seen[layer]


def loudness(
    student: nn.Module, teacher: nn.Module, images: Tensor, pseudo: Tensor, masks: Tensor,
    hints: Hints, segmentation: Callable[[Tensor, Tensor], Tensor],
) -> float:  # fmt: skip
    r"""Return how loud the hint is beside the labels: what each would do to the student's weights.

    $$\lVert\nabla_S\textstyle\sum_l d(\phi^S_l(x_c),\phi^T_l(G(x_c)))\rVert \,/\,
    \lVert\nabla_S\mathcal L_{seg}(S(x_c),y_c)\rVert$$

    Args:
        student: its weights are those of the gradient.
        teacher: of the other modality, with maps of the student's shapes.
        images: ``(N, 1, H, W)``, $x_c$.
        pseudo: ``(N, 1, H, W)``, $G(x_c)$.
        masks: ``(N, H, W)``, not zero in the tumour.
        hints: layers, distance and normalisation; the weight is left to the reader.
        segmentation: of logits ``(N, 2, H, W)`` and classes ``(N, 1, H, W)``, such as a CMEDL's.
    """
    places = {layer: layer for layer in hints.layers}
    with tap(student, places) as mine:
        logits = student(images)
    with torch.no_grad(), tap(teacher, places) as told:
        teacher(pseudo)
    draws = torch.Generator().manual_seed(0)  # of the positions that ``mmd`` compares
    distances = [
        feature_distance(mine[n], told[n], hints.distance, hints.normalise, generator=draws)
        for n in hints.layers
    ]
    labels = segmentation(logits, (masks > 0)[:, None].float())
    hint, label = (_length(loss, student) for loss in (torch.stack(distances).sum(), labels))
    return hint / label


def _length(loss: Tensor, network: nn.Module) -> float:
    weights = list(network.parameters())
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return float(torch.stack([g.square().sum() for g in found if g is not None]).sum().sqrt())
