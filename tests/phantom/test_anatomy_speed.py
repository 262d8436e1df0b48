"""Shortcuts over parts of a volume give the values of the whole, bit for bit."""

import numpy as np
from scipy import ndimage, special

from medkd_lib.phantom.abdomen import abdomen_layers, sample_abdomen
from medkd_lib.phantom.anatomy import Anatomy, Grid
from medkd_lib.phantom.blur import FWHM_PER_SIGMA, blur

GRID = Grid((64, 56, 24), (7.0, 7.0, 11.0))


def indicator(anatomy: Anatomy, *tissues: str) -> np.ndarray:
    names = {layer.tissue for layer in anatomy.layers} | {"air"}
    return anatomy.paint({name: float(name in tissues) for name in names})


def test_fractions_are_those_of_painting_everything() -> None:
    anatomy = abdomen_layers(sample_abdomen(np.random.default_rng(3)), GRID)
    assert any(layer.voxels is not None for layer in anatomy.layers)
    tissues = sorted({layer.tissue for layer in anatomy.layers} | {"air", "none such"})
    for tissue in tissues:
        assert np.array_equal(anatomy.fraction(tissue), indicator(anatomy, tissue)), tissue
    both = ("liver", "liver_vein")
    assert np.array_equal(anatomy.fraction(*both), indicator(anatomy, *both))


def test_blur_beside_zeros_is_the_blur_of_the_whole() -> None:
    spacing, fwhm = (4.0, 4.0, 5.0), 9.0
    for low, high in (
        ((20, 18, 0), (30, 40, 12)),
        ((0, 0, 3), (60, 5, 9)),
        ((30, 30, 6), (31, 31, 7)),
    ):
        volume = np.zeros((60, 50, 12), np.float32)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        volume[box] = np.random.default_rng(0).uniform(0.5, 9.0, volume[box].shape)
        whole = volume
        for axis, step in enumerate(spacing):
            t = (fwhm / FWHM_PER_SIGMA / step) ** 2
            reach = int(np.ceil(5.0 * np.sqrt(t))) + 1
            weights = special.ive(np.abs(np.arange(-reach, reach + 1)), t)
            whole = ndimage.correlate1d(
                whole, weights / weights.sum(), axis=axis, mode="reflect", output=np.float32
            )
        assert np.array_equal(blur(volume, fwhm, spacing), whole)
    assert not blur(np.zeros((4, 4, 4), np.float32), fwhm, spacing).any()
