"""Taps: what they keep, what they say when a place is wrong, and that they leave no trace."""

import pytest
import torch
from torch import nn

from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.models.tap import tap

IMAGES = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) for m in model.modules())


def test_it_keeps_what_the_module_returned_with_its_gradient() -> None:
    model = SmallCNN(3, (4, 8)).eval()
    with tap(model, {"first": "stages.stage1", "logits": "head"}) as seen:
        logits = model(IMAGES)
    assert set(seen) == {"first", "logits"}
    assert seen["logits"] is logits
    torch.testing.assert_close(
        seen["first"], model.get_submodule("stages.stage1")(IMAGES), rtol=0, atol=0
    )
    (gradient,) = torch.autograd.grad(logits.sum(), seen["first"])
    assert gradient.abs().max() > 0


def test_a_module_called_twice_leaves_its_last_output() -> None:
    model = nn.Sequential(nn.Flatten())
    with tap(model, {"flat": "0"}) as seen:
        model(IMAGES)
        model(2 * IMAGES)
    torch.testing.assert_close(seen["flat"], 2 * IMAGES.flatten(1))


def test_an_in_place_activation_shows_in_the_tap() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
    with tap(model, {"before": "0", "after": "1"}) as seen:
        model(IMAGES)
    assert bool((seen["before"] >= 0).all())
    torch.testing.assert_close(seen["before"], seen["after"])


def test_hooks_go_with_the_block() -> None:
    model = SmallCNN(3, (4, 8))
    with tap(model, {"first": "stages.stage1"}) as seen:
        assert hooks(model) == 1
    model(IMAGES)
    assert hooks(model) == 0 and seen == {}


def test_hooks_go_when_the_block_raises() -> None:
    model = SmallCNN(3, (4, 8))
    with pytest.raises(RuntimeError, match="inside"), tap(model, {"first": "stages.stage1"}):
        raise RuntimeError("inside")
    assert hooks(model) == 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("stages.stage9", r"stages has no module 'stage9', it has \['stage1', 'stage2'\]"),
        ("neck", r"SmallCNN has no module 'neck', it has \['stages', 'head'\]"),
        ("head.weight", r"head has no module 'weight', it has \[\]"),
    ],
)
def test_a_wrong_place_names_what_there_is(path: str, said: str) -> None:
    model = SmallCNN(3, (4, 8))
    with pytest.raises(KeyError, match=said), tap(model, {"right": "head", "wrong": path}):
        pass
    assert hooks(model) == 0  # neither does the right one stay
