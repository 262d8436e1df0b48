"""CKA: definitions, invariances, both estimators, both forms, layers of different shapes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from medkd_lib.evaluate.cka import cka_matrix, linear_cka


def features(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernels(x: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return (x @ x.T).numpy(), (y @ y.T).numpy()


def hsic_0(k: np.ndarray, m: np.ndarray) -> float:
    """Kornblith's equation 3: tr(K H L H) / (n - 1)²."""
    n = len(k)
    h = np.eye(n) - 1 / n
    return float(np.trace(k @ h @ m @ h)) / (n - 1) ** 2


def hsic_1(k: np.ndarray, m: np.ndarray) -> float:
    """Song's estimator as Nguyen's equation 3 prints it, on kernels that are not centred."""
    n = len(k)
    k, m, one = k.copy(), m.copy(), np.ones(n)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    pairs = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return float(pairs - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


# fewer and more features than images, so that products and Gram matrices are both used
SHAPES = [(12, 3, 5), (12, 40, 50), (12, 3, 90), (12, 90, 3)]


@pytest.mark.parametrize(("n", "d", "e"), SHAPES)
@pytest.mark.parametrize(("unbiased", "hsic"), [(False, hsic_0), (True, hsic_1)])
def test_equals_the_definition(
    n: int, d: int, e: int, unbiased: bool, hsic: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    x, y = features(n, d, 0) + 3, features(n, e, 1) - 1
    y[:, 0] = 2 * x[:, 0] + y[:, 0]
    k, m = kernels(x, y)
    expected = hsic(k, m) / (hsic(k, k) * hsic(m, m)) ** 0.5
    assert linear_cka(x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-9)


def test_one_feature_each_is_the_squared_correlation() -> None:
    x, y = features(30, 1, 0), features(30, 1, 1)
    y += 0.5 * x
    r = pearsonr(x[:, 0].numpy(), y[:, 0].numpy()).statistic
    assert linear_cka(x, y) == pytest.approx(r**2, rel=1e-10)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("d", [4, 60])
def test_rotation_shift_and_scale_change_nothing(d: int, unbiased: bool) -> None:
    x, y = features(20, d, 0), features(20, 7, 1)
    y[:, 0] = x[:, 0]
    turned = 1e-3 * x @ torch.linalg.qr(features(d, d, 2))[0] + 5
    value = linear_cka(x, y, unbiased=unbiased)
    assert linear_cka(turned, 300 * y, unbiased=unbiased) == pytest.approx(value, rel=1e-8)
    assert linear_cka(x, turned, unbiased=unbiased) == pytest.approx(1, rel=1e-10)
    assert linear_cka(y, x, unbiased=unbiased) == pytest.approx(value, rel=1e-10)
    assert linear_cka(1e-60 * x, 1e90 * y, unbiased=unbiased) == pytest.approx(value, rel=1e-8)
    # but another linear map does: CKA is no regression
    stretched = x * torch.logspace(0, 2, d, dtype=x.dtype)
    assert linear_cka(x, stretched, unbiased=unbiased) < 0.99


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_images_must_correspond(unbiased: bool) -> None:
    x = features(40, 5, 0)
    assert linear_cka(x, x.roll(1, 0), unbiased=unbiased) < 0.3


def test_unrelated_wide_features_look_alike_to_the_biased_estimator_only() -> None:
    pairs = [(features(20, 200, s), features(20, 200, 100 + s)) for s in range(40)]
    biased = np.array([linear_cka(x, y) for x, y in pairs])
    unbiased = np.array([linear_cka(x, y, unbiased=True) for x, y in pairs])
    assert biased.min() > 0.8
    standard_error = unbiased.std(ddof=1) / 40**0.5
    assert abs(unbiased.mean()) < 3 * standard_error < 0.05


@pytest.mark.parametrize(("n", "d"), [(6, 2000), (2000, 6)])
def test_the_cheaper_form_is_taken(n: int, d: int) -> None:
    """Three products of 6 × 2000 by 2000 × 6; the other form would take 333 times as many."""
    with FlopCounterMode(display=False) as counter:
        linear_cka(features(n, d, 0), features(n, d, 1))
    assert 0 < counter.get_total_flops() <= 3 * 2 * 6 * 6 * 2000


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float64(dtype: torch.dtype) -> None:
    x, y = (1e3 * features(10, 300, s).to(dtype) for s in (0, 1))
    assert linear_cka(x, y) == pytest.approx(linear_cka(x.double(), y.double()), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_constant_features_have_no_cka(dtype: torch.dtype) -> None:
    dead = torch.full((10, 3), 0.1, dtype=dtype)
    dead[0, 0] *= 1 + torch.finfo(dtype).eps  # the last digit of one value
    for constant in (dead, torch.zeros(10, 3, dtype=dtype)):
        with pytest.raises(ValueError, match="x: the features are the same for all 10 images"):
            linear_cka(constant, features(10, 4, 1).to(dtype))


def test_images_all_equally_far_apart_have_no_unbiased_cka() -> None:
    with pytest.raises(ValueError, match="x: all images are equally far apart"):
        linear_cka(torch.eye(8), features(8, 3, 0), unbiased=True)
    assert linear_cka(torch.eye(8), torch.eye(8)) == pytest.approx(1)


def layers() -> dict[str, Tensor]:
    return {
        "map": features(12, 2 * 64, 0).view(12, 2, 8, 8),
        "small map": features(12, 4 * 9, 1).view(12, 4, 3, 3),
        "vector": features(12, 5, 2),
    }


def test_the_matrix_holds_linear_cka_of_averaged_maps() -> None:
    seen = layers()
    table = cka_matrix({"vector": seen["vector"]}, seen, unbiased=False)
    assert [*table.index] == ["vector"] and [*table.columns] == [*seen]
    blocks = seen["map"].unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    expected = [blocks.flatten(1), seen["small map"].flatten(1), seen["vector"]]
    for value, layer in zip(table.loc["vector"], expected, strict=True):
        assert value == pytest.approx(linear_cka(seen["vector"], layer), rel=1e-10)


def test_a_network_against_itself() -> None:
    table = cka_matrix(layers(), layers())
    np.testing.assert_allclose(np.diag(table), 1, rtol=1e-12)
    np.testing.assert_allclose(table, table.T, rtol=1e-10)
    assert np.abs(table.to_numpy()[~np.eye(3, dtype=bool)]).max() < 0.6


def test_grid_one_compares_channel_means() -> None:
    seen = layers()
    means = {"map": seen["map"].mean((2, 3))}
    with_grid = cka_matrix(seen, {"map": seen["map"]}, grid=1)
    by_hand = cka_matrix(
        {k: v.flatten(2).mean(2) if v.ndim == 4 else v for k, v in seen.items()}, means
    )
    np.testing.assert_allclose(with_grid, by_hand, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_cka(features(5, 2, 0), features(6, 2, 1)), "5 and 6 images"),
        (lambda: linear_cka(features(1, 2, 0), features(1, 2, 1)), "at least 2 images"),
        (
            lambda: linear_cka(features(3, 2, 0), features(3, 2, 1), unbiased=True),
            "at least 4 images",
        ),
        (lambda: linear_cka(features(5, 2, 0) / 0, features(5, 2, 1)), "10 values are not finite"),
        (lambda: linear_cka(torch.ones(5, 2, dtype=torch.long), features(5, 2, 1)), "int64"),
        (lambda: cka_matrix({}, layers()), "no student layer"),
        (lambda: cka_matrix(layers(), layers(), grid=0), "grid >= 1"),
        (lambda: cka_matrix({"v": features(9, 2, 0)}, layers()), r"layers of \[9, 12\] images"),
        (lambda: cka_matrix({"dead": torch.ones(12, 3)}, layers()), "student dead: the features"),
        (lambda: cka_matrix(layers(), {"vit": torch.ones(12, 17, 8)}), "teacher vit.*class token"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
