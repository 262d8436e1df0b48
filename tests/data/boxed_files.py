"""Tiny sets of each format in which boxes come: one bright block, and the box around it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from medkd_lib.data.dicom import read_series
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.dicom_files import write_ct_series
from medkd_lib.phantom.voc_files import write_voc

WIDTH, HEIGHT = 40, 30
BOX = (12.0, 5.0, 20.0, 9.0)
HEADER = ("File_name,Bounding_boxes,Possibly_noisy,Image_size,DICOM_windows,Coarse_lesion_type,"
          "Train_Val_Test")  # fmt: skip


def bright(shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """−1000 HU with 100 HU inside the box."""
    image = np.full(shape, -1000, np.int32)
    image[int(BOX[1]) : int(BOX[3]), int(BOX[0]) : int(BOX[2])] = 100
    return image


def deeplesion(root: Path, *more: str) -> Index:
    """Two folders; the second slice of the first one is the key slice."""
    for folder in ("000001_01_01", "000002_01_01"):
        (root / "Images_png" / folder).mkdir(parents=True)
        for number in (8, 9):
            # no two folders of the same bytes
            slice_hu = bright() if (folder[5], number) != ("2", 9) else np.zeros_like(bright())
            stored = (slice_hu + 32768).astype(np.uint16)
            Image.fromarray(stored).save(root / "Images_png" / folder / f"{number:03d}.png")
    box = ", ".join(f"{v:g}" for v in BOX)
    rows = [
        HEADER,
        f'000001_01_01_009.png,"{box}",0,"{WIDTH}, {HEIGHT}","-1100, 100",-1,1',
        f'000002_01_01_008.png,"{box}",0,"{WIDTH}, {HEIGHT}","-1000, 200",5,3',
        *more,
    ]
    (root / "DL_info.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return index(load_manifest("deeplesion"), root)


def coco(root: Path, *more: dict[str, object]) -> Index:
    """One picture with a box in train, one without in valid."""
    grey = np.clip((bright() + 1000) / 1100 * 255, 0, 255).astype(np.uint8)
    for part, name in (("train", "a"), ("valid", "b")):
        (root / part).mkdir(parents=True)
        picture = Image.fromarray(grey if name == "a" else np.full_like(grey, 7))
        picture.save(root / part / f"{name}.jpg", quality=100, subsampling=0)
        x1, y1, x2, y2 = BOX
        first = {"image_id": 0, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        images = [{"id": 0, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}]
        contents = {
            "categories": [{"id": 1, "name": "nodule"}, {"id": 2, "name": "cyst"}],
            "images": [*images, *(more if name == "a" else ())],
            "annotations": [first] if name == "a" else [],
        }
        (root / part / "_annotations.coco.json").write_text(json.dumps(contents), encoding="utf-8")
    return index(load_manifest("lungct_roboflow"), root)


def dicom(root: Path) -> Index:
    """A series of four slices, the third one with the box, names shuffled."""
    volume = np.full((WIDTH, HEIGHT, 4), -1000.0)
    volume[..., 2] = bright().T
    # 0.7 mm pixels, 5 mm slices; columns to the patient's left, rows to the back
    affine = np.diag([-0.7, -0.7, 5.0, 1.0])
    series = root / "lung_pet_ct_dx" / "Lung_Dx-G0002" / "CT" / "1.2.3"
    write_ct_series(series, volume, affine, patient="Lung_Dx-G0002")
    uid = read_series(series).slices[2].text("SOPInstanceUID")
    folder = root / "xml" / "Annotation" / "G0002"
    folder.mkdir(parents=True)
    write_voc(folder / f"{uid}.xml", f"{uid}.dcm", (WIDTH, HEIGHT), [("G", BOX)])
    return index(load_manifest("lung_pet_ct_dx"), root)


MAKE: dict[str, Callable[[Path], Index]] = {"deeplesion": deeplesion, "coco": coco, "dicom": dicom}
