"""Networks in two halves: the same answer, other maps, another head."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.models.efficientnet import NARROW_B0, EfficientNet
from medkd_lib.models.joint_teacher import Fuser, JointTeacher
from medkd_lib.models.levels import Levelled, Whole
from medkd_lib.models.medvit import NARROW, MedViT
from medkd_lib.models.multi_head import MultiHead, other_head
from medkd_lib.models.read_out import Read
from medkd_lib.models.trans_resunet import TransResUNet
from medkd_lib.models.unet import UNet


def unet(seed: int = 0, widths: tuple[int, ...] = (4, 6, 8)) -> UNet:
    torch.manual_seed(seed)
    return UNet(1, 2, widths, "batch")


def trans(seed: int = 0) -> TransResUNet:
    torch.manual_seed(seed)
    return TransResUNet(1, 2, 8, (1, 1, 1), heads=2, layers=1)


def medvit(seed: int = 0, read: Read = "all") -> MedViT:
    torch.manual_seed(seed)
    return MedViT(1, 2, NARROW, read=read)


def efficientnet(seed: int = 0, read: Read = "all") -> EfficientNet:
    torch.manual_seed(seed)
    return EfficientNet(1, 2, *NARROW_B0, read=read)


NETWORKS: Mapping[str, Callable[[], Levelled]] = {
    "unet": unet, "trans_resunet": trans, "medvit": medvit, "efficientnet": efficientnet,
}  # fmt: skip
each_network = pytest.mark.parametrize("name", NETWORKS)


def images(number: int = 3, seed: int = 1) -> Tensor:
    return torch.randn(number, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


@each_network
def test_two_halves_make_the_whole(name: str) -> None:
    network, x = NETWORKS[name]().eval(), images()
    maps = network.encode(x)
    assert [m.shape[1] for m in maps] == list(network.level_channels)
    sides = [m.shape[-1] for m in maps]
    assert sides == sorted(sides, reverse=True) and len(set(sides)) == len(sides)
    torch.testing.assert_close(network.decode(maps, x), network(x))
    output, shown = Whole(network)(x)
    assert torch.equal(output, network(x)) and torch.equal(shown[-1], maps[-1])
    torch.testing.assert_close(network.decode(network.fuse(network.told(x)), x), output)


@each_network
def test_a_decoder_can_do_without_its_encoder(name: str) -> None:
    network = NETWORKS[name]().eval()
    x, answer = images(), network(images())
    maps = network.encode(x)
    rest = deepcopy(network).without_encoder()
    torch.testing.assert_close(rest.decode(maps, x), answer)
    # every weight that is left has a part in the answer
    answered = rest.decode([m.detach() for m in maps], x).square().sum()
    gone = torch.autograd.grad(answered, list(rest.parameters()), allow_unused=True)
    assert all(g is not None for g in gone)
    assert sum(p.numel() for p in rest.parameters()) < sum(p.numel() for p in network.parameters())


def joint(
    teachers: int = 3, *, standardise: bool = False, widths: tuple[int, ...] = (4, 6, 8)
) -> JointTeacher:
    found: list[Levelled] = [unet(k, widths) for k in range(teachers)]
    return JointTeacher(found, unet(9), "batch", standardise=standardise)


def test_teachers_stay_as_they_are_while_the_joint_one_learns() -> None:
    network = joint().train()
    assert not any(m.training for m in network.teachers.modules())
    assert network.fusers.training
    before = deepcopy(network.teachers.state_dict())
    adam = torch.optim.Adam(network.parameters(), lr=0.1)
    for seed in range(3):
        adam.zero_grad()
        network(images(4, seed)).square().mean().backward()
        adam.step()
    assert all(torch.equal(v, before[k]) for k, v in network.teachers.state_dict().items())
    assert all(p.grad is None for p in network.teachers.parameters())
    learners = [p for n, p in network.named_parameters() if not n.startswith("teachers")]
    assert all(p.grad is not None for p in learners)


def test_kept_maps_give_the_same_answer() -> None:
    network, x = joint(standardise=True).train(), images()
    network(x)  # statistics
    network.eval()
    torch.testing.assert_close(network.decode(network.fuse(network.told(x)), x), network(x))


def test_teachers_lose_what_nobody_asks_for() -> None:
    whole, kept = unet(), unet().without_decoder()
    torch.testing.assert_close(kept.encode(images())[-1], whole.encode(images())[-1])
    names = [name for name, _ in kept.named_children()]
    assert names == ["encoder"]
    assert all(not hasattr(teacher, "decoder") for teacher in joint().teachers)


def test_a_fused_map_is_its_formula() -> None:
    network, x = joint().eval(), images()
    told = network.told(x)
    fuser = cast(Fuser, network.fusers[1])
    both = torch.cat([maps[1] for maps in told], dim=1)
    mixed = torch.einsum("oc,nchw->nohw", fuser.mix.weight[:, :, 0, 0], both)
    torch.testing.assert_close(network.fuse(told)[1], nn.functional.gelu(fuser.rest[0](mixed)))


def test_a_teacher_without_weights_has_no_share() -> None:
    network = joint()
    shares = network.shares()
    assert [len(row) for row in shares] == [3, 3, 3]
    assert all(sum(row) == pytest.approx(1) for row in shares)
    with torch.no_grad():
        cast(Fuser, network.fusers[0]).mix.weight[:, :4] = 0
    assert network.shares()[0][0] == 0 and network.shares()[1] == shares[1]


def test_teachers_may_be_wider_than_the_trunk() -> None:
    network = joint(2, widths=(6, 8, 10)).eval()
    assert [m.shape[1] for m in network.encode(images())] == [4, 6, 8]


def test_teachers_of_other_depth_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of 3 levels.*\[4\]"):
        JointTeacher([unet(0, (4, 6, 8, 8))], unet(), "batch")
    with pytest.raises(ValueError, match="one or more"):
        JointTeacher([], unet(), "batch")


def test_heads_share_everything_but_the_last_layer() -> None:
    network, x = MultiHead(unet(), ["a", "b"]).eval(), images()
    torch.testing.assert_close(network({"a": x})["a"].output, unet().eval()(x))
    with torch.no_grad():
        cast(nn.Conv2d, network.heads["b"]).bias.add_(1)  # type: ignore[union-attr]
    both = network({"a": x, "b": x, "c": x[:1]})
    torch.testing.assert_close(both["b"].output, both["a"].output + 1)
    torch.testing.assert_close(both["a"].maps[-1], both["b"].maps[-1])
    torch.testing.assert_close(network.alone("b").eval()(x), both["b"].output)
    # without a head: the map that heads read
    torch.testing.assert_close(network.heads["a"](both["c"].output), both["a"].output[:1])
    with pytest.raises(KeyError, match="'a', 'b'"):
        network.alone("c")
    with pytest.raises(ValueError, match="different names"):
        MultiHead(unet(), ["a", "a"])


def test_all_datasets_pass_as_one_batch() -> None:
    """A norm over the batch is to see the mixture that it will remember."""
    dark, bright = images(4, 1), images(4, 2) + 5
    network = MultiHead(unet(), ["a", "b"]).train()
    found = network({"a": dark, "b": bright})
    whole = unet().train().encode(torch.cat([dark, bright]))
    torch.testing.assert_close(torch.cat([found["a"].maps[0], found["b"].maps[0]]), whole[0])


def test_a_joint_teacher_has_heads_too() -> None:
    network, x = MultiHead(joint(), ["a", "b"]).eval(), images()
    expected = network({"a": x, "b": x[:2]})
    torch.testing.assert_close(expected["a"].output, network.alone("a").eval()(x))


@pytest.mark.parametrize("network", [medvit, efficientnet])
def test_a_trunk_that_reads_one_level_fuses_no_others(network: Callable[..., Levelled]) -> None:
    assert network(0, "last").read_levels == (3,)
    assert network(0, "all").read_levels == unet(0, (4, 6, 8, 8)).read_levels == (0, 1, 2, 3)
    with pytest.raises(ValueError, match=r"all 4 levels, found one that reads \(3,\)"):
        JointTeacher([network(1)], network(0, "last"), "batch")
    fused = JointTeacher([network(1)], network(0, "all"), "batch").train()
    fused(images()).square().sum().backward()
    learners = {n: p.grad for n, p in fused.named_parameters() if not n.startswith("teachers")}
    assert all(g is not None for g in learners.values())
    assert all(learners[f"fusers.{level}.mix.weight"].abs().max() > 0 for level in range(4))  # type: ignore[union-attr]


def test_datasets_may_have_other_classes() -> None:
    before = torch.random.get_rng_state()
    network = MultiHead(unet(), ["a", "b", "c", "d"], {"b": 5, "c": 2, "d": 5}).eval()
    found = network({name: images() for name in "abcd"})
    assert [found[n].output.shape[1] for n in "abcd"] == [2, 5, 2, 5]
    # whoever has as many as the network starts as it did, the others alike and from the seed alone
    assert torch.equal(found["a"].output, found["c"].output)
    assert torch.equal(found["b"].output, found["d"].output)
    torch.random.set_rng_state(before)
    again = MultiHead(unet(), ["b"], {"b": 5}).eval()
    assert torch.equal(again({"b": images()})["b"].output, found["b"].output)
    other = MultiHead(unet(), ["b"], {"b": 5}, seed=1).eval()
    assert not torch.allclose(other({"b": images()})["b"].output, found["b"].output)
    assert network.alone("b").eval()(images()).shape[1] == 5


def test_heads_draw_nobody_elses_random_numbers() -> None:
    network = unet()
    own = deepcopy(network.head.state_dict())
    before = torch.random.get_rng_state()
    heads = MultiHead(network, ["a", "b", "c"], {"c": 7}).heads
    assert torch.equal(torch.random.get_rng_state(), before)
    for name in "ab":
        assert all(torch.equal(v, own[k]) for k, v in heads[name].state_dict().items())


def test_heads_that_cannot_be_changed_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names among \['a'\], found \['b'\]"):
        MultiHead(unet(), ["a"], {"b": 3})
    with pytest.raises(ValueError, match="one or more, found 0"):
        other_head(nn.Linear(3, 2), 0, seed=0)
    with pytest.raises(TypeError, match="found Sequential"):
        other_head(nn.Sequential(nn.Linear(3, 2)), 3, seed=0)
    assert other_head(nn.Linear(3, 2).double(), 4, seed=0)(torch.zeros(1, 3).double()).shape[1] == 4
