"""What every folder of the Medical Segmentation Decathlon has beside its images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

PARTS = ("imagesTr", "labelsTr")
"""Folders of the training part; the twins leave the hidden test images out."""


def write_contents(
    folder: Path, name: str, description: str, labels: Mapping[int, str], cases: Sequence[str]
) -> None:
    """Write ``dataset.json``, the decathlon's table of contents.

    Args:
        folder: of the task.
        name: of the task, as in ``Task03_Liver`` without its number.
        description: in a line.
        labels: id → name, without the background.
        cases: file names without their suffix.
    """
    contents = {
        "name": name,
        "description": description,
        "reference": "medkd",
        "licence": "none: synthetic images",
        "release": "phantom twin",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **{str(n): label for n, label in labels.items()}},
        "numTraining": len(cases),
        "numTest": 0,
        "training": [
            {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
            for case in cases
        ],
        "test": [],
    }
    text = json.dumps(contents, indent=1)
    (folder / "dataset.json").write_text(text, encoding="utf-8", newline="\n")
