"""Images of cases with a Pascal VOC file each: such a manifest needs no ``boxes``."""

from medkd_lib.data.boxed import BoxedImage, Found, label_ids, split_of, unmarked
from medkd_lib.data.index import Index
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.voc import read_voc


def voc_roles(manifest: Manifest) -> tuple[str, str] | None:
    """Return the roles of the picture and of its boxes, or None where the layout has no such pair.

    A case must have one picture: a VOC file does not tell which of several it describes.
    """
    layout, labels = manifest.layout, manifest.labels
    if layout is None or labels is None or labels.kind != "boxes":
        return None
    boxes = [
        role
        for role, files in layout.annotation_roles.items()
        if all(pattern.endswith(".xml") for pattern in files.globs)
    ]
    images = list(layout.image_roles)
    return (images[0], boxes[0]) if len(images) == len(boxes) == 1 else None


def read_cases(found: Index, roles: tuple[str, str], out: Found) -> None:
    """Gather the picture of every case with the boxes of its file.

    A picture without a file is left out and told: not looked at is not the same as empty.

    Args:
        found: cases of a set with `voc_roles`.
        roles: of the picture and of the boxes.
        out: what is gathered; errors of single files become its problems.
    """
    image, boxes = roles
    for case in found.cases:
        path = case.annotations.get(boxes)
        if path is None:
            out.problems.append(unmarked(f"case {case.id}", "picture", f"no file {boxes!r}"))
            continue
        try:
            marked = read_voc(path)
            labels = label_ids(found.manifest, None, marked.names, path)
        except DataError as error:
            out.problems.append(error.problem)
            continue
        shown = BoxedImage(
            case.id, case.id, case.patient, case.dataset, split_of(case), case.images[image], None,
            (marked.width, marked.height), marked.boxes, labels,
        )  # fmt: skip
        out.add(shown, marked.problems)
