"""Whose answer a shuffled control is taught: another patient's, never another view of the own."""

import torch
from torch import Tensor


def of_another(patients: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of a batch, and for each the row of another patient.

    The other one is the nearest row before it, round the end, that shows somebody else. Where
    everybody in the batch is one patient there are no rows: the control is taught nothing then.

    Args:
        patients: ``(N,)`` a number for each patient, see `medkd_lib.data.batches.numbered`.

    Returns:
        Two int64 tensors of one length, at most N.
    """
    row = torch.arange(len(patients), device=patients.device)
    # 1, 2, … rows before; the last of these is the row itself
    before = (row[:, None] - row - 1) % max(len(patients), 1)
    differs = patients[before] != patients[:, None]
    mine = differs.any(dim=1).nonzero().flatten()
    # argmax finds the first of equal values, which is the nearest row
    theirs = before[mine, differs[mine].int().argmax(dim=1)] if len(mine) else mine
    return mine, theirs
