"""CBAM in three dimensions: its formula in numpy, its size, whose attention is whose."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate
from scipy.special import expit

from medkd_lib.models.cbam3d import ALL, CBAM3D, Attention, attention_of
from medkd_lib.models.small_cnn import parameter_count

Array = NDArray[np.float64]


def attention(channels: int = 6, ratio: int = 2, kernel: int = 3) -> CBAM3D:
    torch.manual_seed(0)
    return CBAM3D(channels, ratio, kernel).double()


def features(channels: int = 6) -> torch.Tensor:
    return torch.randn(2, channels, 4, 5, 6, generator=torch.Generator().manual_seed(1)).double()


def by_formula(module: CBAM3D, f: Array) -> Array:
    """The two lines of the docstring, patient by patient, without PyTorch."""
    weights = {name: p.detach().numpy() for name, p in module.named_parameters()}
    w1, w2 = weights["shared_mlp.0.weight"], weights["shared_mlp.2.weight"]
    kernel = weights["where.weight"][0]
    result = np.zeros_like(f)
    for b, one in enumerate(f):
        flat = one.reshape(len(one), -1)
        mean, highest = flat.mean(1), flat.max(1)
        what = expit(w2 @ np.maximum(w1 @ mean, 0) + w2 @ np.maximum(w1 @ highest, 0))
        weighed = what[:, None, None, None] * one
        seen = weighed.mean(0), weighed.max(0)
        where = sum(correlate(x, k, mode="constant") for x, k in zip(seen, kernel, strict=True))
        result[b] = expit(where) * weighed
    return result


@pytest.mark.parametrize(("ratio", "kernel"), [(2, 3), (8, 7), (1, 1)])
def test_the_formula_in_numpy(ratio: int, kernel: int) -> None:
    module, f = attention(ratio=ratio, kernel=kernel), features()
    expected = by_formula(module, f.numpy())
    np.testing.assert_allclose(module(f).detach().numpy(), expected, atol=1e-12)
    assert not np.allclose(expected, f.numpy() / 4, atol=1e-3)  # more than two halves


def test_weights_lie_between_0_and_1_and_depend_on_the_map() -> None:
    module, f = attention(), features()
    what = module.channel_weights(f).detach()
    where = module.place_weights(f).detach()
    assert what.shape == (2, 6) and where.shape == (2, 1, 4, 5, 6)
    for weights in (what, where):
        assert 0 < float(weights.min()) < float(weights.max()) < 1
        assert not torch.allclose(weights[0], weights[1])
    assert (module(f).abs() <= f.abs()).all()


def test_the_size_that_the_released_code_has() -> None:
    assert parameter_count(CBAM3D(768)) == 148_142 == 2 * 768 * 96 + 2 * 7**3
    assert parameter_count(CBAM3D(4, 8, 3)) == 2 * 4 * 1 + 2 * 27  # one channel is left


@pytest.mark.parametrize("sizes", [(8, 2, 4), (0, 2, 3), (8, 0, 3), (8, 2, -1)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="odd kernel"):
        CBAM3D(*sizes)


@pytest.mark.parametrize(
    ("how", "names"), [("shared", [ALL]), ("separate", ["ct", "pet"]), ("none", [])]
)
def test_whose_attention_it_is(how: Attention, names: list[str]) -> None:
    found = attention_of(how, ("ct", "pet"), 8, kernel=3)
    assert list(found) == names
    assert parameter_count(found) == len(names) * parameter_count(CBAM3D(8, kernel=3))


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*'shared', 'separate', 'none'"):
        attention_of("common", ("ct",), 8)  # type: ignore[arg-type]
