"""Prepared slices as PNG and NumPy files: a small set of its own, with manifest and hashes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.atomic import build_folder
from medkd_lib.data.export_manifest import derived_manifest
from medkd_lib.data.file_digest import digest
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.slices import SliceRow
from medkd_lib.data.volumes import Prepared, Volumes

LABEL_COLUMNS = ("file", "case", "patient", "slice", "label")


def export_slices(
    volumes: Volumes,
    rows: Sequence[SliceRow],
    out: Path,
    *,
    dataset: str,
    names: Mapping[int, str],
    preview: Sequence[str],
    synthetic: bool = False,
    inside_checkout: bool = False,
) -> Manifest:
    r"""Write the chosen axial slices into ``out`` and return the manifest of the new set.

    ::

        images/PATIENT/CASE_zKKK.png   8 bit: round(255 x) of ``preview``, rows from front to back
        arrays/PATIENT/CASE_zKKK.npz   image (C, H, W) float16, mask (H, W) uint8, channels, affine
        labels.csv                     file, case, patient, slice, label
        DATASET.yaml                   the manifest: ``index(load_manifest(DATASET, out), out)``
        recipe.json                    what was done to the volumes
        files.csv                      path, bytes and SHA-256 of all of these

    A PNG is for looking at and for networks of three colours: 256 levels and no fourth channel.
    The arrays lose nothing but half precision and are read with ``numpy.load``, no pickle.

    Args:
        volumes: prepared in LPS (slices stand upright) with an intensity that ends in [0, 1].
        rows: slices to write, in any order.
        out: folder to create; an existing empty one is replaced.
        dataset: id of the new set.
        names: name of each label id.
        preview: one role (grey) or three (red, green, blue) of the recipe's images.
        synthetic: the images were made by a phantom: they may go anywhere, and the new manifest
            says that they show nobody.
        inside_checkout: write into a git checkout although the source may not be passed on, for a
            checkout that is never pushed.

    Raises:
        FileExistsError: ``out`` holds something.
        ValueError: no rows, a row twice, a label without a name, a recipe whose values are not in
            [0, 1], a preview of unknown roles, or a target inside a git checkout for real images
            that may not be passed on.
    """
    _check_request(volumes, rows, names, preview)
    if not (synthetic or inside_checkout):
        _check_place(volumes.manifest, out)
    manifest = derived_manifest(
        volumes.manifest, volumes.recipe, rows, dataset, names, preview, synthetic=synthetic
    )
    lines: dict[int, tuple[str, str, str, int, int]] = {}
    with build_folder(out) as folder:
        # By volume, so that each is opened once; the table keeps the order of the rows.
        for number in sorted({r.row for r in rows}):
            prepared = volumes[number]
            for i, row in enumerate(rows):
                if row.row == number:
                    name = slice_id(row)
                    file = _write_slice(folder, prepared, volumes.recipe, row, preview)
                    lines[i] = (file, name, row.case.patient, row.k, row.label)
        _write_csv(folder / "labels.csv", LABEL_COLUMNS, (lines[i] for i in range(len(rows))))
        recipe = {
            "source": volumes.manifest.id, "preview": list(preview), "channels":
            list(volumes.recipe.images), "recipe": volumes.recipe.as_dict(),
        }  # fmt: skip
        (folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
        text = yaml.safe_dump(
            manifest.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
        )
        (folder / f"{dataset}.yaml").write_text(text, encoding="utf-8")
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        _write_csv(
            folder / "files.csv",
            ("path", "bytes", "sha256"),
            (
                (p.relative_to(folder).as_posix(), p.stat().st_size, digest(p))
                for p in files
            ),
        )  # fmt: skip
    return manifest


def slice_id(row: SliceRow) -> str:
    """Return the case id of an exported slice."""
    return f"{row.case.id}_z{row.k:03d}"


def _check_request(
    volumes: Volumes, rows: Sequence[SliceRow], names: Mapping[int, str], preview: Sequence[str]
) -> None:
    recipe = volumes.recipe
    if recipe.axcodes != "LPS":
        raise ValueError(
            f"recipe: expected axcodes 'LPS', so that slices stand upright, found "
            f"{recipe.axcodes!r}"
        )
    if not all(how == "unit" or isinstance(how, tuple) for how in recipe.channel_intensity):
        raise ValueError(
            "recipe: expected intensity 'unit' or 'window', whose values lie in [0, 1], found "
            f"{recipe.intensity!r}: 8 bits would clip it"
        )
    if len(preview) not in (1, 3) or not set(preview) <= set(recipe.images):
        raise ValueError(
            f"preview: expected one or three of {recipe.images}, found {tuple(preview)}"
        )
    if not rows:
        raise ValueError("rows: expected slices, found none; loosen the rule that chose them")
    seen: set[str] = set()
    for row in rows:
        for word in (row.case.patient, row.case.id):
            if not re.fullmatch(r"\w[\w.+-]*", word):
                raise ValueError(f"case {row.case.id!r}: {word!r} cannot be a file's name")
        if row.label not in names:
            raise ValueError(f"label: expected one of {sorted(names)}, found {row.label}; name it")
        if slice_id(row) in seen:
            raise ValueError(f"rows: expected every slice once, found {slice_id(row)} twice")
        seen.add(slice_id(row))


def _check_place(source: Manifest, out: Path) -> None:
    """Keep what may not be passed on out of a repository that will be pushed one day."""
    if source.licence.redistribute is True:
        return
    target = out.expanduser().resolve()
    checkout = next((f for f in (target, *target.parents) if (f / ".git").exists()), None)
    if checkout is not None:
        raise ValueError(
            f"{out}: expected a folder outside the git checkout {checkout}, since the licence of "
            f"{source.id} ({source.licence.name}) is not known to allow passing the images on; "
            f"choose one outside, for example {checkout.parent / (checkout.name + '-exports')}, or "
            "state inside_checkout=True if that checkout is never pushed (synthetic=True for the "
            "images of a phantom)"
        )


def _write_slice(
    folder: Path, prepared: Prepared, recipe: Recipe, row: SliceRow, preview: Sequence[str]
) -> str:
    """Write both files of a slice; return the picture's path below ``folder``."""
    image: NDArray[np.float32] = prepared.image[..., row.k].transpose(1, 2).float().numpy()
    shown = image[[recipe.images.index(role) for role in preview]]
    low, high = float(np.min(shown)), float(np.max(shown))
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{slice_id(row)}: expected values in [0, 1], found {low:g} to {high:g}")
    pixels = np.rint(255.0 * shown).astype(np.uint8)
    file = f"images/{row.case.patient}/{slice_id(row)}.png"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[0] if len(preview) == 1 else pixels.transpose(1, 2, 0)).save(
        folder / file
    )
    arrays: dict[str, NDArray[np.generic]] = {
        "image": image.astype(np.float16),
        "channels": np.array(recipe.images),
        "affine": np.asarray(prepared.affine, np.float64),
    }
    if prepared.mask is not None:
        arrays["mask"] = np.ascontiguousarray(prepared.mask[..., row.k].T)
    target = folder / "arrays" / row.case.patient
    target.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target / f"{slice_id(row)}.npz", allow_pickle=False, **arrays)
    return file


def _write_csv(path: Path, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
