"""How hard is the chest twin? Baselines alone, on patients who are never tested; writes a table.

    python tools/fix_difficulty.py [--seeds 11,12] [--difficulties clear,subtle,none]

One U-Net of the lesson's size learns from CT, another one from the true MR of the same patients.
Difficulty is settled with this table, before any hint is given. Seeds differ from the recorded.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.losses.dice import DiceCELoss

from medkd_lib.course.experiments.cmedl_budget import LESSON, network
from medkd_lib.course.experiments.cmedl_sources import chests
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


def trained(sections: Sections, modality: str, seed: int) -> SegmentationNetwork:
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
        batch = section_views(next(batches), shift=LESSON.shift, flip=LESSON.flip)
        value = loss(net(batch["source"]), batch["source_masks"][:, None].float())
        adam.zero_grad()
        value.backward()
        adam.step()
        cosine.step()
    return net.eval()


def row(difficulty: str, modality: str, seed: int) -> dict[str, object]:
    """Return one baseline's Dice on patients that neither train nor test."""
    student, teacher = (
        index(load_manifest(name), twin(load_manifest(name), patients=n, difficulty=difficulty))
        for name, n in ((CT_SET, PATIENTS), (MR_SET, TEACHING))
    )
    parts = chests(student, teacher, seed, difficulty=difficulty)
    asked = joined([parts.val, parts.more])
    logits = predict(trained(parts.train, modality, seed), asked.images[modality])
    found = volumes((logits[:, 1] > logits[:, 0]).numpy(), asked.ids)
    truth = volumes(asked.masks.numpy() > 0, asked.ids)
    dice = measure_cases(found, truth, asked.spacing_mm, 5.0).dice
    voxel_ml = float(np.prod(asked.spacing_mm)) / 1000
    large = np.array([t.sum() * voxel_ml for t in truth.values()])
    return {
        "difficulty": difficulty, "modality": modality, "seed": seed, "patients": len(dice),
        "trained_on": len(set(parts.train.patients)), "dice": round(float(dice.mean()), 4),
        "sd": round(float(dice.std()), 4), "missed": round(float((dice == 0).mean()), 4),
        "larger_half": round(float(dice[large > np.median(large)].mean()), 4),
    }  # fmt: skip


def main() -> None:
    """Train the baselines and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="11,12")
    parser.add_argument("--difficulties", default="clear,subtle,none")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for difficulty in asked.difficulties.split(","):
        for seed in map(int, asked.seeds.split(",")):
            for modality in ("ct", "mr"):
                rows.append(row(difficulty, modality, seed))
                print(rows[-1], flush=True)
                pd.DataFrame(rows).to_csv(OUT, index=False)


if __name__ == "__main__":
    main()
