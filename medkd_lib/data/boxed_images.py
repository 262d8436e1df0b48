"""Index → images with boxes: the readers of all formats behind one function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from medkd_lib.data.boxed import (
    BoxedImage,
    Found,
    box_without_image,
    label_ids,
    split_of,
    unmarked,
)
from medkd_lib.data.boxed_cases import read_cases, voc_roles
from medkd_lib.data.boxes import from_voc
from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.coco import read_coco
from medkd_lib.data.deeplesion_info import OFFSET_HU, read_deeplesion
from medkd_lib.data.dicom_order import order_slices
from medkd_lib.data.dicom_sort import find_series
from medkd_lib.data.index import Index
from medkd_lib.data.manifest_boxes import BoxFiles, BoxFormat
from medkd_lib.data.problems import DataError, Problem, bad
from medkd_lib.data.voc import Annotation, read_voc


def boxed_images(
    found: Index, *, drop_broken: bool = False
) -> tuple[list[BoxedImage], list[Problem]]:
    """Return every image of the index's cases with its boxes, and what was noticed.

    Args:
        found: cases of a set whose manifest has ``boxes``, or a VOC file for each case.
        drop_broken: leave out images with an error and list it, instead of raising at the first.

    Raises:
        LayoutError: ``no_layout``: the manifest states no boxes.
        DataError: the first error: ``unknown_label``, ``size_mismatch``, ``duplicate_role`` (two
            annotations of one slice), and those of the files.
    """
    manifest = found.manifest
    gathered, roles = Found(), voc_roles(manifest)
    if manifest.boxes is not None and manifest.layout is not None:
        base = found.root / manifest.layout.root
        files = sorted({p for p in base.glob(manifest.boxes.glob) if not p.name.startswith("._")})
        if not files:
            gathered.problems.append(_none(base, manifest.boxes))
        else:
            READERS[manifest.boxes.format](found, manifest.boxes, files, gathered)
    elif roles is not None:
        read_cases(found, roles, gathered)
    else:
        raise LayoutError(
            Problem(
                "no_layout", manifest.id,
                "`boxes` in the manifest, which says where they stand, or a VOC file per case",
                "neither", "take a set that has them, or read its annotations yourself",
            )
        )  # fmt: skip
    errors = [p for p in gathered.problems if p.severity == "error"]
    if errors and not drop_broken:
        raise DataError(errors[0])
    return gathered.images, gathered.problems


def _voc_by_uid(found: Index, spec: BoxFiles, files: list[Path], out: Found) -> None:
    """One file per slice, named by its SOPInstanceUID."""
    by_uid: dict[str, Path] = {}
    for path in files:
        if path.stem in by_uid:
            out.problems.append(_two(path, by_uid[path.stem]))
        by_uid.setdefault(path.stem, path)
    used: set[str] = set()
    for case in found.cases:
        folder = case.images[spec.image]
        try:
            slices, _ = order_slices(find_series(folder)[0], folder)
        except DataError as error:
            out.problems.append(error.problem)
            continue
        uids = [s.text("SOPInstanceUID") for s in slices]
        if not set(uids) & set(by_uid):
            out.problems.append(
                unmarked(f"case {case.id}", "series", f"none of its {len(uids)} slices has one")
            )
            continue
        for place, (one, uid) in enumerate(zip(slices, uids, strict=True)):
            size = (int(one.header.Columns), int(one.header.Rows))
            marked = Annotation(uid, *size, from_voc([]), (), (), ())
            if uid in by_uid:
                used.add(uid)
                try:
                    marked = _of_size(by_uid[uid], read_voc(by_uid[uid]), size, one.path)
                except DataError as error:
                    out.problems.append(error.problem)
                    continue
            image = BoxedImage(
                uid, case.id, case.patient, case.dataset, split_of(case), folder, place, size,
                marked.boxes, (),
            )  # fmt: skip
            _label(found, spec, image, marked, by_uid.get(uid, one.path), out)
    lost = [by_uid[uid].name for uid in sorted(set(by_uid) - used)]
    out.problems += box_without_image(files[0].parent.parent, lost)


def _coco(found: Index, spec: BoxFiles, files: list[Path], out: Found) -> None:
    """One file per folder of pictures."""
    of_path = {case.images[spec.image]: case for case in found.cases}
    told: set[Path] = set()
    for path in files:
        try:
            annotations, problems = read_coco(path)
        except DataError as error:
            out.problems.append(error.problem)
            continue
        out.problems += problems
        lost = []
        for name in sorted(annotations):
            picture = path.parent / name
            told.add(picture)
            case = of_path.get(picture)
            if case is None:
                # left out of the index on purpose, or not there at all
                lost += [] if picture.is_file() else [name]
                continue
            _picture(found, spec, case, picture, annotations[name], path, out)
        out.problems += box_without_image(path, lost)
    for picture, case in of_path.items():
        if picture not in told:
            out.problems.append(unmarked(picture, "picture", f"no entry for case {case.id}"))


def _picture(
    found: Index, spec: BoxFiles, case: Case, picture: Path, marked: Annotation, path: Path,
    out: Found,
) -> None:  # fmt: skip
    image = BoxedImage(
        case.id, case.id, case.patient, case.dataset, split_of(case), picture, None,
        (marked.width, marked.height), marked.boxes, (),
    )  # fmt: skip
    _label(found, spec, image, marked, path, out)


def _deeplesion(found: Index, spec: BoxFiles, files: list[Path], out: Found) -> None:
    """One table of key slices; what the other slices of a folder show was not marked."""
    labels = found.manifest.labels
    ids = [v.id for v in labels.values] if labels else []
    of_case = {case.id: case for case in found.cases}
    lost: dict[Path, list[str]] = defaultdict(list)
    told: set[str] = set()
    for path in files:
        try:
            keys = read_deeplesion(path)
        except DataError as error:
            out.problems.append(error.problem)
            continue
        for key in keys:
            case = of_case.get(key.folder)
            picture = case.images[spec.image] / key.file if case else None
            if case is None or picture is None or not picture.is_file():
                lost[path].append(f"{key.folder}_{key.file}")
                continue
            told.add(case.id)
            # types are left to the table: training rows do not have them
            image = BoxedImage(
                f"{key.folder}_{key.file.removesuffix('.png')}", case.id, case.patient,
                case.dataset, key.split, picture, None, key.size, key.boxes,
                tuple(ids[:1]) * len(key.boxes), key.window_hu, OFFSET_HU,
            )  # fmt: skip
            out.add(image, key.problems)
    for path, names in lost.items():
        out.problems += box_without_image(path, names)
    for name in sorted(set(of_case) - told):
        out.problems.append(unmarked(f"case {name}", "folder", "no row of the table"))


READERS: Mapping[BoxFormat, Callable[[Index, BoxFiles, list[Path], Found], None]] = {
    "voc_by_uid": _voc_by_uid,
    "coco": _coco,
    "deeplesion": _deeplesion,
}


def _label(
    found: Index, spec: BoxFiles, image: BoxedImage, marked: Annotation, where: Path, out: Found
) -> None:
    """Give the boxes their label ids and list the image."""
    try:
        labels = label_ids(found.manifest, spec, marked.names, where)
    except DataError as error:
        out.problems.append(error.problem)
        return
    out.add(replace(image, labels=labels), marked.problems)


def _of_size(path: Path, marked: Annotation, size: tuple[int, int], image: Path) -> Annotation:
    if (marked.width, marked.height) != size:
        raise bad(
            "size_mismatch", path, expected=f"{size[0]} × {size[1]} pixels, as {image}",
            found=f"{marked.width} × {marked.height} stated",
            next_step="the annotation belongs to another image: correct or remove it",
        )  # fmt: skip
    return marked


def _two(path: Path, known: Path) -> Problem:
    return Problem(
        "duplicate_role", str(path), "one annotation per slice", f"another one: {known}",
        "remove one of the two",
    )  # fmt: skip


def _none(base: Path, spec: BoxFiles) -> Problem:
    return Problem(
        "missing_file", str(base), f"files with boxes like {spec.glob!r}", "none",
        "fetch the annotations too; `medkd data show` says where they are",
    )  # fmt: skip
