"""The teachers' encoder as drawn: four stages, 384 channels at a sixteenth."""

import torch

from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.swin_encoder import SwinEncoder


def test_shape_and_size_are_those_of_the_figure() -> None:
    torch.manual_seed(0)
    encoder = SwinEncoder(2, width=12, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), window=2)
    found = encoder(torch.randn(1, 2, 32, 32, 48))
    assert found.shape == (1, 96, 2, 2, 3) and encoder.channels == 96
    found.mean().backward()
    missed = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert not missed, f"weights that nothing depends on: {missed}"


def test_full_size_is_pinned() -> None:
    encoder = SwinEncoder(2)
    assert encoder.channels == 384
    # two channels, 2 · 2 · 6 · 2 blocks of window 7
    assert parameter_count(encoder) == 7_581_858


def test_computing_blocks_again_changes_nothing() -> None:
    size = {"width": 12, "depths": (1, 1, 1, 1), "heads": (1, 2, 4, 8), "window": 2}
    torch.manual_seed(0)
    plain = SwinEncoder(1, **size).train()  # type: ignore[arg-type]
    again = SwinEncoder(1, checkpoint=True, **size).train()  # type: ignore[arg-type]
    again.load_state_dict(plain.state_dict())
    volumes = torch.randn(1, 1, 32, 32, 32)
    found = [net(volumes) for net in (plain, again)]
    assert torch.allclose(found[0], found[1], atol=1e-6)
    for each in found:
        each.square().sum().backward()
    grads = [[p.grad for p in net.parameters()] for net in (plain, again)]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*grads, strict=True))
