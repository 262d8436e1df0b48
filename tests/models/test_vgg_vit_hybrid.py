"""The teacher's branches against torchvision's own models, their sizes, and their fusion."""

import itertools

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from medkd_lib.models.hybrid import Branches, Fusion, HybridTeacher
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.vgg import NARROW, VGG19, VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VIT_B16, VitSize, VitTrunk, attention_weights


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def narrow(fusion: Fusion = "features", branches: Branches = "both") -> HybridTeacher:
    torch.manual_seed(0)
    vgg, vit = VggTrunk(4, NARROW), VitTrunk(4, 32, NARROW_VIT)
    return HybridTeacher(4, vgg, vit, 32, fusion, branches).eval()


def test_full_size_counts() -> None:
    """Four channels, four classes; the dossier's numbers, to the weight."""
    with torch.device("meta"):
        vgg, vit = VggTrunk(4), VitTrunk(4, 224)
        hybrid = HybridTeacher(4, vgg, vit, 224)
        published = torchvision.models.vgg19_bn(), torchvision.models.vit_b_16()
    assert parameter_count(vgg) == 20_035_968
    assert parameter_count(vit) == 85_995_264
    assert parameter_count(hybrid.head) == (512 + 768) * 4 + 4
    assert parameter_count(hybrid) == 106_036_356
    # the published models, less their heads, plus one input channel
    assert parameter_count(published[0].features) + 64 * 9 == 20_035_968
    heads = parameter_count(published[1].heads)
    assert parameter_count(published[1]) - heads + 768 * 16**2 == 85_995_264


def test_narrow_counts() -> None:
    with torch.device("meta"):
        vgg, vit = VggTrunk(4, NARROW), VitTrunk(4, 64, NARROW_VIT)
        both = parameter_count(HybridTeacher(4, vgg, vit, 64))
    # 3x3 convolutions with bias, batch norm of twice the width
    widths = (4, 8, 16, 32, 32, 64, 64)
    by_hand = sum(9 * a * b + 3 * b for a, b in itertools.pairwise(widths))
    assert parameter_count(vgg) == by_hand
    d, m = NARROW_VIT.dim, NARROW_VIT.mlp
    block = 4 * d * d + 4 * d + 2 * d * m + m + d + 4 * d
    assert parameter_count(vit) == 4 * 64 * d + d + d + 65 * d + 3 * block + 2 * d
    assert both == parameter_count(vgg) + parameter_count(vit) + (64 + d) * 4 + 4


def test_vgg_is_torchvisions_up_to_the_last_pooling() -> None:
    torch.manual_seed(0)
    ours = VggTrunk(3).eval()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that are not the neutral ones
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.05, 0.15)
    with torch.device("meta"):  # 123 million weights of its head are never made
        theirs = torchvision.models.vgg19_bn().features
    theirs = theirs.to_empty(device="cpu").eval()
    theirs.load_state_dict(ours.features.state_dict())
    x = images(1, 3, 32, 32)
    with torch.no_grad():
        found, expected = ours(x), theirs[:-1](x)
    assert isinstance(theirs[-1], nn.MaxPool2d) and len(theirs) == len(ours.features) + 1
    assert expected.std() > 1e-3
    # Ours lays the image out channels last, which changes the order of additions.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert found.shape == (1, ours.width, 32 // ours.stride, 32 // ours.stride)


def test_vit_is_torchvisions_encoder() -> None:
    torch.manual_seed(0)
    ours = VitTrunk(3, 32).eval()
    with torch.device("meta"):
        theirs = torchvision.models.vit_b_16(image_size=32, num_classes=2)
    theirs = theirs.to_empty(device="cpu").eval()
    head = nn.Linear(768, 2)
    heads = {f"heads.head.{k}": w for k, w in head.state_dict().items()}
    theirs.load_state_dict({**ours.vit.state_dict(), **heads})
    x = images(2, 3, 32, 32)
    with torch.no_grad(), tap(theirs, {"tokens": "encoder"}) as seen:
        logits = theirs(x)
        tokens = ours(x)
        torch.testing.assert_close(head(tokens[:, 0]), logits)
    assert tokens.shape == (2, 1 + ours.grid**2, 768)
    torch.testing.assert_close(tokens, seen["tokens"], rtol=0, atol=0)


@pytest.mark.parametrize("size", [NARROW_VIT, VitSize(8, 24, 2, 3, 48)])
def test_qkv_reproduces_the_attention(size: VitSize) -> None:
    torch.manual_seed(0)
    trunk = VitTrunk(2, 32, size).double().eval()
    for block in trunk.vit.encoder.layers:  # torchvision starts with zero biases
        nn.init.normal_(block.self_attention.in_proj_bias)
        nn.init.normal_(block.self_attention.out_proj.bias)
    places = {str(i): path for i, path in enumerate(trunk.attention_inputs)}
    with torch.no_grad(), tap(trunk, places) as seen:
        trunk(images(2, 2, 32, 32, dtype=torch.float64))
        assert len(seen) == size.depth
        for i, block in enumerate(trunk.vit.encoder.layers):
            x = seen[str(i)]
            attention = block.self_attention
            expected, their_weights = attention(x, x, x, average_attn_weights=False)
            qkv = trunk.qkv(i, x)
            assert qkv.q.shape == (2, size.heads, 17, size.dim // size.heads)
            # softmax(QKᵀ/√d) V, heads side by side, then the output projection
            mixed = (attention_weights(qkv) @ qkv.v).transpose(1, 2).flatten(2)
            found = F.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(attention_weights(qkv), their_weights, rtol=0, atol=1e-12)


def test_an_image_that_no_patch_divides_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the patch of 8 pixels, found 60"):
        VitTrunk(1, 60, NARROW_VIT)
    assert VIT_B16.patch == 16 and VGG19.count("M") == 4


@pytest.mark.parametrize("fusion", ["features", "logits"])
def test_fusion_is_the_formula(fusion: Fusion) -> None:
    teacher = narrow(fusion)
    x = images(3, 4, 32, 32)
    with torch.no_grad(), tap(teacher, {"map": "vgg_map", "tokens": "vit_tokens"}) as seen:
        logits = teacher(x)
        assert seen["map"].shape == (3, 64, 4, 4) and seen["tokens"].shape == (3, 17, 64)
        parts = [seen["map"].mean(dim=(2, 3)), seen["tokens"][:, 0]]
        if fusion == "logits":
            parts = [teacher.branch_heads[b](p) for b, p in zip(("vgg", "vit"), parts, strict=True)]
        torch.testing.assert_close(logits, teacher.head(torch.cat(parts, dim=1)))


@pytest.mark.parametrize("fusion", ["features", "logits"])
@pytest.mark.parametrize(("branch", "other"), [("vgg", VitTrunk), ("vit", VggTrunk)])
def test_a_branch_alone_holds_and_calls_no_other(
    branch: Branches, other: type[nn.Module], fusion: Fusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    for trunk in (VggTrunk, VitTrunk):
        inner = trunk.forward

        def spy(self: nn.Module, x: Tensor, inner=inner) -> Tensor:
            called.append(type(self).__name__)
            return inner(self, x)

        monkeypatch.setattr(trunk, "forward", spy)
    alone = narrow(fusion, branch)
    assert alone(images(2, 4, 32, 32)).shape == (2, 4)
    assert called and other.__name__ not in called
    assert not any(isinstance(m, other) for m in alone.modules())
    called.clear()
    narrow(fusion)(images(2, 4, 32, 32))
    assert set(called) == {"VggTrunk", "VitTrunk"}


def test_images_of_any_size_are_seen_at_one() -> None:
    teacher = narrow()
    large = images(2, 4, 64, 64)
    torch.testing.assert_close(teacher(large), teacher(F.avg_pool2d(large, 2)))


def test_a_dynamic_batch_can_be_traced() -> None:
    trunk = VitTrunk(4, 32, VitSize(8, 8, 1, 2, 8)).eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(trunk, (images(2, 4, 32, 32),), dynamic_shapes=({0: batch},))
    assert program.module()(images(3, 4, 32, 32)).shape == (3, 17, 8)
