"""Lesson 06: what is read of each segmentation set, and what its foreground is.

Every set shows one image channel. Which sequence that is differs between MR sets, so "channel 1" is
other physics in each of them; CT shows HU everywhere, and sets differ by phase, dose and organ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from medkd_lib.course.experiments.lung_sections import Frame
from medkd_lib.data.intensity import Intensity, Window
from medkd_lib.data.recipe import Recipe

Family = Literal["brain_mr", "body_ct", "real"]
Foreground = Literal["lesion", "other"]
# One window for all sets of CT: a HU is a HU, and what differs is left for the networks to bear.
SOFT_TISSUE: Window = (-160.0, 240.0)
# Of the real family's sections, in pixels.
SIDE = 64
# Of a prepared image; fat is 0.15 in the window above, a stripped brain's surroundings are 0.
AIR = 0.05


@dataclass(frozen=True)
class JointSet:
    """One set as a joint run sees it.

    Attributes:
        dataset: id of its manifest.
        family: the sets that may be joined; their sections have one size.
        image: role of the channel.
        mask: role of the label map.
        lesion: label ids of what is looked for.
        intensity: of the channel, see `Recipe`.
        frame: of its sections.
        why: this image and this foreground, and no other.
        other: label ids of another structure, for the control with unrelated sources. An organ is
            taken with its masses: holes in it would tell where they are. Empty: the set labels
            nothing else, and the other structure is the body, all that is brighter than air.
        windows: cut the sections as windows at random places, since the images are crops around
            the answer. False puts whole sections in the middle of a frame.
    """

    dataset: str
    family: Family
    image: str
    mask: str
    lesion: tuple[int, ...]
    intensity: Intensity | Window
    frame: Frame
    why: str
    other: tuple[int, ...] = ()
    windows: bool = False

    @property
    def recipe(self) -> Recipe:
        """How a case of this set is prepared."""
        return Recipe(
            (self.image,), self.mask, spacing_mm=self.frame.spacing_mm, intensity=(self.intensity,)
        )

    def foreground(self, what: Foreground, image: Tensor, labels: Tensor) -> Tensor:
        """Return a foreground of a prepared case, bool, of the image's shape.

        Args:
            what: which one.
            image: on [0, 1].
            labels: label ids.
        """
        if what == "other" and not self.other:
            return image > AIR
        ids = self.lesion if what == "lesion" else self.other
        return torch.isin(labels, torch.tensor(ids, dtype=labels.dtype))


# A stripped brain is at most 190 mm long; slices of acute scans are up to 5 mm thick.
_BRAIN = Frame(3.0, 5.0, (64, 64))
# 320 mm by 256 mm hold every liver, kidney and lung tumour; what is cut off is flank and arms. Of
# pixels of 5 mm a tumour of 2 cm would have a dozen.
_BODY = Frame(4.0, 5.0, (80, 64))

_TABLE = (
    JointSet(
        "isles2022", "brain_mr", "dwi", "seg", (1,), "unit", _BRAIN,
        "the mask is drawn on DWI, which shows an infarct within hours; FLAIR lies on another grid "
        "and lags behind",
    ),
    JointSet(
        "brats2021", "brain_mr", "flair", "seg", (1, 2, 4), "unit", _BRAIN,
        "the whole tumour, oedema included, is what FLAIR shows and two raters agree on best",
    ),
    JointSet(
        "brainmetshare", "brain_mr", "t1_gre_post", "seg", (1,), "unit", _BRAIN,
        "metastases are drawn where contrast agent leaks; the gradient echo has the thin slices",
    ),
    JointSet(
        "msd_task03_liver", "body_ct", "ct", "seg", (2,), SOFT_TISSUE, _BODY,
        "tumour and not liver: the two differ by more than 0.2 Dice, so it has to be said",
        other=(1, 2),
    ),
    JointSet(
        "msd_task06_lung", "body_ct", "ct", "seg", (1,), SOFT_TISSUE, _BODY,
        "the set labels tumours alone; in this window lung is as dark as air",
    ),
    JointSet(
        "nsclc_radiomics", "body_ct", "ct", "seg", (1,), SOFT_TISSUE, _BODY,
        "lung tumours of another hospital, as drawn for radiotherapy",
    ),
    JointSet(
        "kits23", "body_ct", "ct", "seg", (2,), SOFT_TISSUE, _BODY,
        "tumour without cyst: to tell them apart is part of the question",
        other=(1, 2, 3),
    ),
    JointSet(
        "hcc_tace_seg", "body_ct", "ct", "seg", (2,), SOFT_TISSUE, _BODY,
        "liver tumours of another hospital; vessels are labelled there, too, and are no liver",
        other=(1, 2),
    ),
    JointSet(
        "msd_hippocampus", "real", "t1", "seg", (1, 2), "unit", Frame(1.0, 1.0, (SIDE, SIDE)),
        "both parts together, as one foreground; a structure and no lesion, the only labelled one",
    ),
    JointSet(
        "openms_4ch", "real", "flair", "lesion", (1,), "unit", Frame(3.0, 3.0, (SIDE, SIDE)),
        "plaques are bright on FLAIR, where fluid is dark; one patient: a source, never a target",
    ),
    JointSet(
        "sts_petctmr", "real", "mr", "mr_mask", (1,), "unit", Frame(1.25, 3.27, (SIDE, SIDE)),
        "T1 on its own grid with its own mask: the one MR of the set; windows of 80 mm",
        windows=True,
    ),
)  # fmt: skip
JOINT_SETS: Mapping[str, JointSet] = MappingProxyType({s.dataset: s for s in _TABLE})


def joint_set(dataset: str) -> JointSet:
    """Return how a set is read.

    Raises:
        ValueError: names those that there are.
    """
    if dataset not in JOINT_SETS:
        raise ValueError(
            f"dataset: expected one of {list(JOINT_SETS)}, found {dataset!r}; say in joint_sets.py "
            "what is read of it"
        )
    return JOINT_SETS[dataset]
