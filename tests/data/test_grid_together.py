"""Volumes of one grid are resampled together, with the values each has alone."""

import numpy as np

from medkd_lib.data.grid import resampled
from medkd_lib.data.volume import Volume


def test_company_changes_no_value() -> None:
    rng = np.random.default_rng(0)
    ct, pet = np.diag([-4.0, -4.0, 5.0, 1.0]), np.diag([-4.07, -4.07, 5.0, 1.0])
    pet[:3, 3] = (1.3, -2.1, 0.0)
    volumes = {
        "ct": Volume(rng.normal(0.0, 90.0, (12, 11, 6)), ct, "HU"),
        "fdg": Volume(rng.uniform(0.0, 9.0, (12, 12, 6)), pet, "SUV"),
        "mask": Volume(rng.integers(0, 9, (12, 11, 6)), ct, "label"),
        "acetate": Volume(rng.uniform(0.0, 9.0, (12, 12, 6)), pet, "SUV"),
    }
    outside, masks = {"ct": -1024.0}, frozenset({"mask"})
    how = {"reference": "ct", "spacing_mm": (5.0, 5.0, 5.0)}
    together = resampled(volumes, masks, outside, **how)  # type: ignore[arg-type]
    assert list(together) == list(volumes)
    for role in ("fdg", "mask", "acetate"):
        pair = {r: volumes[r] for r in ("ct", role)}
        alone = resampled(pair, masks & set(pair), outside, **how)  # type: ignore[arg-type]
        for name in pair:
            assert np.array_equal(alone[name].array, together[name].array), name
            assert np.array_equal(alone[name].affine, together[name].affine)
