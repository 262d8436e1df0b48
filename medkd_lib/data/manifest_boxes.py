"""Where the boxes of a set stand that has no annotation file per case."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medkd_lib.data.manifest_layout import inside
from medkd_lib.data.manifest_parts import Strict

BoxFormat = Literal["voc_by_uid", "coco", "deeplesion"]


class BoxFiles(Strict):
    """The files that hold boxes, and what their classes are called here.

    ============ ===============================================================================
    format       what the files are
    ============ ===============================================================================
    voc_by_uid   Pascal VOC, one file per DICOM slice, named by its SOPInstanceUID
    coco         COCO JSON beside the pictures it speaks of
    deeplesion   one ``DL_info.csv`` of key slices; pictures of 16 bits, HU is the value − 32768
    ============ ===============================================================================

    ``glob`` is relative to the layout's root; ``image`` is the role of the images; ``classes``
    maps the names in the files to label ids (default: the names of ``labels``).
    """

    format: BoxFormat
    glob: str
    image: str
    classes: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _glob_stays_inside(self) -> Self:
        inside(self.glob, "boxes.glob")
        return self
