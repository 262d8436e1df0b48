"""Lesson 04: what a run's translator did to the test patients, as numbers of its result."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medkd_lib.data.sections import Sections
from medkd_lib.evaluate.pixels import Images, Mask
from medkd_lib.evaluate.translation import collapse, copy_through
from medkd_lib.evaluate.translation_error import absolute_error, histogram_kl
from medkd_lib.evaluate.tumour_contrast import tumour_contrast
from medkd_lib.evaluate.wilcoxon import per_patient

# What counts as a failure; choices of ours, reasoned at `collapse` and `copy_through`.
LEAST_RATIO, LEAST_MOVE, MOST_CORRELATION = 0.25, 0.5, 0.98
# Intensity on [-1, 1] below which air lies on CT, and fat above it. On MR noise fills the air, and
# suppressed fat is as dark: nothing is outlined there.
AIR, OUTLINED = -0.9, ("ct",)
# Above this lies bone: 160 HU, where the window is [-160, 240] HU as on all CT sections here.
BONE = 0.6
RING_MM = 10.0


def translation_report(
    pseudo: Tensor,
    source: Sections,
    target: Sections,
    *,
    student: str,
    teacher: str,
    teacher_dice: float,
) -> dict[str, float]:
    r"""Return what became of translated images, as numbers; a finite one, or no entry.

    ================================ ============================================================
    name                             what
    ================================ ============================================================
    ``variance_ratio``               variance between patients, pseudo over real images
    ``collapsed``                    1 if that is below `LEAST_RATIO`, else 0
    ``moved``, ``gap``               mean change of a pixel, and the least that the histograms ask
                                     for
    ``source_correlation``           of a pseudo-image with its source, inside the patient
    ``copied``                       1 if ``moved`` ≤ `LEAST_MOVE` · ``gap`` or the correlation is
                                     `MOST_CORRELATION` or more, else 0
    ``histogram_kl``                 in nats, pseudo from real
    ``contrast_source``, ``_pseudo`` tumour minus a ring of `RING_MM` around it, in image units
                                     (the range is 2)
    ``contrast_teaching``            the same of the teacher's own patients: what it learns from
    ``soft_source``, ``soft_pseudo`` contrast with soft tissue alone: a ring of pixels between `AIR`
                                     and `BONE` on the source, a pixel away from the tumour. Beside
                                     lung, and beside ribs, a tumour shows on every scanner; what CT
                                     cannot tell is a tumour from a mediastinum.
                                     Of CT sources alone; absent if no tumour has such a ring
    ``teacher_dice``                 of the teacher on pseudo-images against the source's label:
                                     geometry that drifted, or tumours that are gone, lower it
    with the truth alone:
    ``contrast_true``, ``soft_true`` of the true images of the same patients
    ``true_correlation``             of the true images with the sources: whether `MOST_CORRELATION`
                                     is a fair threshold for this pair of modalities
    ``mae``, ``mae_tumour``          mean absolute error, everywhere and in the tumour
    ``copy_mae``, ``copy_mae_tumour`` the same of a translator that hands its source on: the error
                                     that is worth nothing
    ================================ ============================================================

    Contrast and error are means over patients of means over their sections with tumour (for the
    error everywhere, over all sections).

    The air around a patient is alike in all modalities and drives every correlation up: on CT a
    correlation is taken inside the patient, and no ring reaches out of him. Everything else is of
    whole frames; frames that show more air in one set than in the other widen ``gap`` and
    ``histogram_kl``.

    Args:
        pseudo: ``(N, 1, H, W)``, the sections of ``source`` in the teacher's modality.
        source: test sections; their masks, and the truth if they hold the teacher's modality.
        target: real sections of the teacher's modality, of other patients, of the same size.
        student: modality of the sources.
        teacher: modality of the targets.
        teacher_dice: measured on whole patients by the caller, who has the teacher.

    Raises:
        ValueError: pseudo-images that do not fit their sources, a Dice outside [0, 1], a modality
            that a set does not hold, no tumour on either side, or as the measures that are called.
    """
    if not 0 <= teacher_dice <= 1:
        raise ValueError(f"teacher_dice: expected a number in [0, 1], found {teacher_dice}")
    sources = _images("source", source, student)
    real = _images("target", target, teacher)
    if pseudo.shape != source.images[student].shape:
        raise ValueError(
            f"pseudo: expected {tuple(source.images[student].shape)} like its sources, found "
            f"{tuple(pseudo.shape)}; translate all sections, in their order"
        )
    translated = _numbers(pseudo)
    inside = patient_outline(sources) if student in OUTLINED else np.ones(sources.shape, bool)
    spread = collapse(
        translated, real, patients=source.patients, real_patients=target.patients,
        least_ratio=LEAST_RATIO,
    )  # fmt: skip
    copy = copy_through(
        translated, sources, real, least_move=LEAST_MOVE, most_correlation=MOST_CORRELATION
    )
    copy = replace(copy, source_correlation=_correlation(translated, sources, inside))
    tumour, taught = source.masks.numpy() > 0, target.masks.numpy() > 0
    report = {
        "variance_ratio": spread.ratio,
        "collapsed": float(spread.collapsed),
        "moved": copy.moved,
        "gap": copy.gap,
        "source_correlation": copy.source_correlation,
        "copied": float(copy.copied),
        "histogram_kl": histogram_kl(translated, real),
        "contrast_source": _contrast(sources, tumour, source, inside),
        "contrast_pseudo": _contrast(translated, tumour, source, inside),
        "contrast_teaching": _contrast(real, taught, target, np.ones(real.shape, bool)),
        "teacher_dice": teacher_dice,
    }
    soft = inside & soft_tissue(sources)
    # On MR no threshold tells soft tissue from the rest.
    beside = student in OUTLINED and _has_ring(tumour, soft, source.spacing_mm[:2])
    if beside:
        report["soft_source"] = _contrast(sources, tumour, source, soft, apart=True)
        report["soft_pseudo"] = _contrast(translated, tumour, source, soft, apart=True)
    if teacher not in source.images:
        return report
    true = _numbers(source.images[teacher])
    if beside:
        report["soft_true"] = _contrast(true, tumour, source, soft, apart=True)
    error = absolute_error(translated, true, tumour)
    of_copy = absolute_error(sources, true, tumour)
    return report | {
        "contrast_true": _contrast(true, tumour, source, inside),
        "true_correlation": _correlation(true, sources, inside),
        "mae": _over_patients(error.everywhere, source.patients),
        "mae_tumour": _over_patients(error.in_masks, source.patients),
        "copy_mae": _over_patients(of_copy.everywhere, source.patients),
        "copy_mae_tumour": _over_patients(of_copy.in_masks, source.patients),
    }


def patient_outline(images: Images) -> Mask:
    """Return what lies within the outline of each section's patient, lungs and all, ``(N, H, W)``.

    Specks of noise outside, smaller than 3 x 3 pixels, are left out.
    """
    square = np.ones((1, 3, 3), dtype=bool)
    there = ndimage.binary_opening(images > AIR, square)
    filled = [ndimage.binary_fill_holes(section) for section in there]
    return np.stack(filled)


def soft_tissue(images: Images) -> Mask:
    """Return the pixels of CT sections that are neither air or lung nor bone, ``(N, H, W)``."""
    found: Mask = (images > AIR) & (images < BONE)
    return found


def _images(name: str, sections: Sections, modality: str) -> Images:
    if modality not in sections.images:
        raise ValueError(
            f"{name}: expected sections that show {modality!r}, found {sorted(sections.images)}"
        )
    return _numbers(sections.images[modality])


def _numbers(images: Tensor) -> Images:
    numbers: Images = images[:, 0].detach().float().cpu().numpy()
    return numbers


def _correlation(images: Images, source: Images, inside: Mask) -> float:
    """Return the mean over sections; one without contrast follows nothing, and counts as 0."""
    found = []
    for x, y, within in zip(images, source, inside, strict=True):
        flat = not within.any() or np.ptp(x[within]) == 0 or np.ptp(y[within]) == 0
        found.append(0.0 if flat else float(np.corrcoef(x[within], y[within])[0, 1]))
    return float(np.mean(found))


def _contrast(
    images: Images, tumour: Mask, of: Sections, inside: Mask, *, apart: bool = False
) -> float:
    """Return the contrast with a ring around the tumour, or with one a pixel apart from it."""
    found = tumour_contrast(
        images, tumour, of.spacing_mm[:2], ring_mm=RING_MM, inside=inside,
        gap_mm=max(of.spacing_mm[:2]) if apart else 0.0,
    )  # fmt: skip
    return _over_patients(found.absolute, of.patients)


def _has_ring(tumour: Mask, inside: Mask, spacing_mm: Sequence[float]) -> bool:
    """Return whether a pixel inside lies in the ring that is a pixel apart from some tumour."""
    gap = max(spacing_mm)
    for section, allowed in zip(tumour, inside, strict=True):
        if section.any():
            away = ndimage.distance_transform_edt(~section, sampling=spacing_mm)
            if (allowed & (away > gap) & (away <= gap + RING_MM)).any():
                return True
    return False


def _over_patients(values: NDArray[np.float64], patients: Sequence[str]) -> float:
    return float(per_patient(values, patients).mean())
