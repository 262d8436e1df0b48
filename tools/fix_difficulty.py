"""How hard are the twins? Baselines alone, on patients who are never tested; writes a table.

    python tools/fix_difficulty.py [--seeds 11,12] [--difficulties clear,subtle,none]
    python tools/fix_difficulty.py --organs liver,spleen,right_kidney,left_kidney [--patients 100]

Chests, or with organs the abdomen: one U-Net of the lesson's size learns from CT (T2), another one
from the true MR (T1) of the same patients; T1 with its own grid and masks, as a teacher does. Both
answer for the same sections. Difficulty is settled with this table, before any hint is given. Seeds
differ from the recorded. Rows of other runs of this tool stay in the table.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.losses.dice import DiceCELoss

from medkd_lib.course.experiments.abdomen_sections import t1_sections
from medkd_lib.course.experiments.cmedl_budget import LESSON, network
from medkd_lib.course.experiments.cmedl_sources import ABDOMEN, abdomens, chests
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.lesson_cmedl import CT_SET, MR_SET
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.section_views import section_views
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.unpaired import Drawn, UnpairedBatches
from medkd_lib.evaluate.segment import measure_cases
from medkd_lib.evaluate.stack import volumes
from medkd_lib.methods.cmedl_parts import Weights
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.phantom.twin import twin
from medkd_lib.train import predict

OUT = Path(__file__).parents[1] / "notebooks" / "results" / "04" / "difficulty.csv"
PATIENTS, TEACHING = 100, 28
# What makes a row another row.
CELL = ["dataset", "organ", "difficulty", "modality", "seed", "trained_on"]


def trained(sections: Sections, modality: str, seed: int, flip: float) -> SegmentationNetwork:
    """Return a network of the lesson's size, trained on labels alone with the lesson's steps."""
    torch.manual_seed(seed)
    net = network("unet", LESSON)
    loss = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True,
        lambda_ce=Weights().cross_entropy,
    )  # fmt: skip
    adam = torch.optim.Adam(net.parameters(), LESSON.learning_rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, LESSON.steps)
    shown = sections.with_share(0.5)
    tensors = {"source": shown.images[modality], "source_masks": shown.masks}
    batches = iter(
        UnpairedBatches({"source": Drawn(tensors, shown.patients)}, LESSON.batch_size, seed)
    )
    for _ in range(LESSON.steps):
        batch = section_views(next(batches), shift=LESSON.shift, flip=flip)
        value = loss(net(batch["source"]), batch["source_masks"][:, None].float())
        adam.zero_grad()
        value.backward()
        adam.step()
        cosine.step()
    return net.eval()


@dataclass(frozen=True)
class Baselines:
    """Patients divided, and the sections that either modality's network learns from."""

    parts: Modalities
    learns: Mapping[str, Sections]


def chest(difficulty: str, seed: int) -> Baselines:
    """Return chests: CT, and the true MR of the same patients on the same grid."""
    student, teacher = (
        index(load_manifest(name), twin(load_manifest(name), patients=n, difficulty=difficulty))
        for name, n in ((CT_SET, PATIENTS), (MR_SET, TEACHING))
    )
    parts = chests(student, teacher, seed, difficulty=difficulty)
    return Baselines(parts, {"ct": parts.train, "mr": parts.train})


def abdomen(difficulty: str, seed: int, organ: str, patients: int) -> Baselines:
    """Return abdomens: T2, and the T1 of the same patients."""
    manifest = load_manifest(ABDOMEN)
    found = index(manifest, twin(manifest, patients=patients, difficulty=difficulty))
    parts = abdomens(found, seed, organ=organ)
    own = t1_sections(found, organ).of(parts.train.patients)
    return Baselines(parts, {"t2": parts.train, "t1": own})


def row(of: Baselines, modality: str, seed: int) -> dict[str, object]:
    """Return one baseline's Dice on patients that neither train nor test."""
    asked = joined([of.parts.val, of.parts.more])
    flip = LESSON.flip if of.parts.mirrored else 0.0
    net = trained(of.learns[modality], modality, seed, flip)
    logits = predict(net, asked.images[modality])
    found = volumes((logits[:, 1] > logits[:, 0]).numpy(), asked.ids)
    truth = volumes(asked.masks.numpy() > 0, asked.ids)
    dice = measure_cases(found, truth, asked.spacing_mm, 5.0).dice
    voxel_ml = float(np.prod(asked.spacing_mm)) / 1000
    large = np.array([t.sum() * voxel_ml for t in truth.values()])
    return {
        "modality": modality, "seed": seed, "patients": len(dice),
        "trained_on": len(set(of.parts.train.patients)), "dice": round(float(dice.mean()), 4),
        "sd": round(float(dice.std()), 4), "missed": round(float((dice == 0).mean()), 4),
        "larger_half": round(float(dice[large > np.median(large)].mean()), 4),
    }  # fmt: skip


def kept(new: pd.DataFrame) -> pd.DataFrame:
    """Return the table with new rows; of two of one cell the new one."""
    old = pd.read_csv(OUT, keep_default_na=False) if OUT.is_file() else new.iloc[:0]
    return pd.concat([old, new]).drop_duplicates(CELL, keep="last")


def main() -> None:
    """Train the baselines and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="11,12")
    parser.add_argument("--difficulties", default="clear,subtle,none")
    parser.add_argument("--organs", default="", help="of the abdomen; without, chests are measured")
    parser.add_argument("--patients", type=int, default=100, help="of the abdomen's twin, half MR")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    organs = asked.organs.split(",")
    for difficulty, organ, seed in product(
        asked.difficulties.split(","), organs, map(int, asked.seeds.split(","))
    ):
        of = abdomen(difficulty, seed, organ, asked.patients) if organ else chest(difficulty, seed)
        for modality in of.learns:
            cell = {"dataset": ABDOMEN if organ else CT_SET, "organ": organ,
                    "difficulty": difficulty}  # fmt: skip
            new = pd.DataFrame([cell | row(of, modality, seed)])
            print(new.iloc[0].to_dict(), flush=True)
            kept(new).to_csv(OUT, index=False)


if __name__ == "__main__":
    main()
