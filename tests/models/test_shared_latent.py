"""The shared-latent translator: what is shared, what is drawn, and that it learns to draw."""

import pytest
import torch
from torch import Tensor

from medkd_lib.distill.vae import kl_to_standard_normal, reconstruction_loss
from medkd_lib.models.shared_latent import Posterior, SharedLatentTranslator
from medkd_lib.models.small_cnn import parameter_count


def narrow(modalities: tuple[str, ...] = ("ct", "mr"), width: int = 3) -> SharedLatentTranslator:
    torch.manual_seed(0)
    return SharedLatentTranslator(modalities, width=width, private_blocks=1)


def discs(number: int, seed: int = 0) -> Tensor:
    """Bright discs on dark ground, ``(N, 1, 16, 16)``."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.rand(number, 2, 1, 1, generator=draw) * 8 + 4
    rows, columns = torch.arange(16.0)[:, None], torch.arange(16.0)
    squared = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    return (1.6 * (squared < 9).float() - 0.8)[:, None]


def test_counts_are_pinned() -> None:
    with torch.device("meta"):
        assert parameter_count(SharedLatentTranslator()) == 18_076_418
        assert parameter_count(SharedLatentTranslator(width=8, private_blocks=1)) == 136_802
        # a further modality brings its own encoder and decoder and no further shared block
        two, three = (parameter_count(narrow(tuple("abc"[:n]))) for n in (2, 3))
        private = parameter_count(narrow().encoders["ct"]) + parameter_count(
            narrow().decoders["ct"]
        )
    assert three - two == private


def test_shapes_and_range() -> None:
    network, x = narrow(), discs(2)
    posterior, out = network(x, "ct", ("ct", "mr"))
    assert posterior.mean.shape == posterior.log_variance.shape == (2, 12, 4, 4)
    assert set(out) == {"ct", "mr"}
    assert all(image.shape == x.shape and image.abs().max() <= 1 for image in out.values())
    assert network.translate(torch.zeros(1, 1, 8, 20), "mr", "ct").shape == (1, 1, 8, 20)


def test_the_innermost_blocks_are_the_same_weights_and_the_outer_ones_are_not() -> None:
    network, x = narrow(), discs(2)
    for source, target, stranger in (("ct", "ct", "mr"), ("mr", "mr", "ct")):
        network.zero_grad()
        network(x, source, (target,)).images[target].square().mean().backward()
        touched = {
            name.split(".weight")[0] for name, w in network.named_parameters() if w.grad is not None
        }
        assert any(name.startswith("shared_encoder") for name in touched)
        assert any(name.startswith("shared_decoder") for name in touched)
        assert any(name.startswith(f"encoders.{source}") for name in touched)
        assert not any(stranger in name for name in touched)


def test_translation_is_the_same_every_time_and_needs_only_its_own_two_parts() -> None:
    network, x = narrow().train(), discs(2)
    with torch.no_grad():
        first = network.translate(x, "ct", "mr")
        network.decoders["ct"].requires_grad_(False)
        for weight in network.encoders["mr"].parameters():
            weight.fill_(torch.nan)
        assert torch.equal(network.translate(x, "ct", "mr"), first)


def test_one_code_is_decoded_into_all_modalities() -> None:
    network, x = narrow().eval(), discs(2)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        posterior, out = network(x, "ct", ("ct", "mr"), generator=draw)
        code = posterior.sample(torch.Generator().manual_seed(3))
        for name, image in out.items():
            assert torch.equal(network.decode(code, name), image)


def test_a_sample_has_the_posteriors_mean_and_variance_and_passes_gradients() -> None:
    mean = torch.full((1, 4, 100, 100), 2.0, requires_grad=True)
    log_variance = torch.full((1, 4, 100, 100), -1.0, requires_grad=True)
    sample = Posterior(mean, log_variance).sample(torch.Generator().manual_seed(0))
    assert float(sample.detach().mean()) == pytest.approx(2.0, abs=0.02)
    assert float(sample.detach().var()) == pytest.approx(2.718281828**-1, rel=0.03)
    sample.sum().backward()
    assert mean.grad is not None and (mean.grad == 1).all()
    # dz/ds = σ ε / 2 = (z - μ) / 2
    assert log_variance.grad is not None
    torch.testing.assert_close(log_variance.grad, (sample - mean).detach() / 2)


def test_the_variance_stays_finite_whatever_the_network_says() -> None:
    network = narrow()
    with torch.no_grad():
        network.log_variance.weight.fill_(1e6)
        posterior = network.encode(discs(2), "ct")
    assert posterior.log_variance.abs().max() <= 10
    assert torch.isfinite(posterior.sample()).all()


def test_in_bfloat16_it_draws_nearly_the_same() -> None:
    network, x = narrow(), discs(2)
    with torch.no_grad():
        exact = network.translate(x, "ct", "mr")
        with torch.autocast("cpu", torch.bfloat16):
            half = network.translate(x, "ct", "mr")
    assert (half - exact).abs().max() < 0.1


def test_what_does_not_fit_is_refused() -> None:
    network = narrow()
    with pytest.raises(ValueError, match=r"source: expected one of \['ct', 'mr'\], found 'pet'"):
        network.translate(discs(1), "pet", "mr")
    with pytest.raises(ValueError, match=r"target: expected one of \['ct', 'mr'\], found 'pet'"):
        network.translate(discs(1), "ct", "pet")
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\), found \(1, 2, 8, 8\)"):
        network.translate(torch.zeros(1, 2, 8, 8), "ct", "mr")
    with pytest.raises(ValueError, match="multiples of 4, 8 or more, found 8 x 10"):
        network.translate(torch.zeros(1, 1, 8, 10), "ct", "mr")
    with pytest.raises(ValueError, match="two or more modalities"):
        SharedLatentTranslator(("ct", "ct"))


def test_a_narrow_one_learns_to_draw_what_it_was_given() -> None:
    network = narrow(width=4)
    adam = torch.optim.Adam(network.parameters(), lr=5e-3, betas=(0.5, 0.999))
    for step in range(60):
        x = discs(8, seed=10 + step)
        posterior, out = network(x, "ct", ("ct",))
        loss = reconstruction_loss(out["ct"], x) + 0.002 * kl_to_standard_normal(*posterior)
        adam.zero_grad()
        loss.backward()
        adam.step()
    unseen = discs(32, seed=1)
    with torch.no_grad():
        error = reconstruction_loss(network.translate(unseen, "ct", "ct"), unseen)
    # The best constant image, dark everywhere, misses every disc. Five seeds: 0.52 to 0.67 of it.
    constant = reconstruction_loss(torch.full_like(unseen, -0.8), unseen)
    assert float(error) < 0.85 * float(constant)
