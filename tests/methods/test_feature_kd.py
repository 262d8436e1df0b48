"""Feature distillation: every term trains student and adapters, the teacher is left alone."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch, batches
from medkd_lib.distill.attention import attention_transfer
from medkd_lib.distill.contrast import crd_in_batch
from medkd_lib.distill.hints import hint_loss
from medkd_lib.methods.base import FrozenTeacher, bare
from medkd_lib.methods.feature_kd import FeatureControl, FeatureKD
from medkd_lib.methods.hinton import HintonKD
from medkd_lib.methods.seen import Answer, Seen, ask, show, together
from medkd_lib.methods.supervised import Supervised
from medkd_lib.methods.terms import (
    AttentionTerm,
    ContrastTerm,
    DkdTerm,
    HintTerm,
    OfaTerm,
    RelationTerm,
    Term,
)
from medkd_lib.models.hybrid import Branches, HybridTeacher
from medkd_lib.models.resize import AtSize
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.models.tap import tap
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import VitSize, VitTrunk
from medkd_lib.train import fit

SIDE, CHANNELS, CLASSES = 16, 2, 3
# student stage → channels of its map; 8 x 8 and 4 x 4 positions, the teacher's has 4 x 4
STAGES = {"stage1": 4, "stage2": 8}
TERMS: dict[str, Callable[[int], Term]] = {
    "hint": lambda channels: HintTerm(channels, 8),
    "attention": lambda channels: AttentionTerm(),
    "relation": lambda channels: RelationTerm(),
    "contrast": lambda channels: ContrastTerm(channels, 8, dim=16),
    "ofa": lambda channels: OfaTerm(channels, CLASSES),
    "dkd": lambda channels: DkdTerm(),
}


def tiny_teacher(branches: Branches = "both", seed: int = 0) -> HybridTeacher:
    torch.manual_seed(seed)
    vit = VitTrunk(CHANNELS, SIDE, VitSize(patch=4, dim=8, depth=2, heads=2, mlp=16))
    vgg = VggTrunk(CHANNELS, (4, "M", 8, "M", 8))
    return HybridTeacher(CLASSES, vgg, vit, SIDE, branches=branches)


def tiny_student(seed: int = 1) -> AtSize:
    torch.manual_seed(seed)
    return AtSize(SmallCNN(CLASSES, (4, 8), in_channels=CHANNELS), SIDE)


def tensors(n: int = 8, seed: int = 0, labelled: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return {
        "images": torch.randn(n, CHANNELS, SIDE, SIDE, generator=generator),
        "labels": torch.randint(CLASSES, (n,), generator=generator),
        "labelled": torch.full((n,), labelled),
    }


def feature_kd(
    name: str,
    stage: str = "stage2",
    *,
    alpha: float = 0.5,
    weight: float | None = None,
    control: FeatureControl = "none",
    views: Callable[[Tensor], Tensor] = augment,
) -> FeatureKD:
    student, teacher = tiny_student(), tiny_teacher()
    return FeatureKD(
        student, teacher, TERMS[name](STAGES[stage]), student_place=f"network.stages.{stage}",
        temperature=4.0, alpha=alpha, learning_rate=1e-2, steps=20, weight=weight,
        control=control, views=views,
    )  # fmt: skip


def as_it_is(images: Tensor) -> Tensor:
    return images


def seen(stage: str = "stage2", labelled: float = 1.0) -> Seen:
    data = tensors(labelled=labelled)
    answer = ask(FrozenTeacher(tiny_teacher()), data["images"])
    student = show(tiny_student(), data["images"], f"network.stages.{stage}")
    return together(student, answer, data["labels"], data["labelled"])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", TERMS)
def test_every_term_trains_its_adapters_and_the_student(name: str, stage: str) -> None:
    """Also on a grid finer than the teacher's (stage 1), and through the term alone."""
    student, term = tiny_student(), TERMS[name](STAGES[stage])
    data = tensors()
    answer = ask(FrozenTeacher(tiny_teacher()), data["images"])
    shown = show(student, data["images"], f"network.stages.{stage}")
    value = term(together(shown, answer, data["labels"], data["labelled"]))
    value.backward()
    assert value.ndim == 0 and torch.isfinite(value)
    for parameter in term.parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0
    gradient = student.get_submodule(f"network.stages.{stage}.0").weight.grad
    assert isinstance(gradient, Tensor) and gradient.abs().max() > 0


def test_terms_are_the_librarys_losses() -> None:
    view = seen("stage1")
    assert view.teacher_map is not None
    hint = HintTerm(4, 8)
    pooled = nn.functional.adaptive_avg_pool2d(hint.regressor(view.student_map), 4)
    torch.testing.assert_close(hint(view), hint_loss(pooled, view.teacher_map))
    expected = attention_transfer(view.student_map, view.teacher_map)
    torch.testing.assert_close(AttentionTerm()(view), expected)
    contrast = ContrastTerm(4, 8)
    ours = contrast.student_head(view.student_map.mean(dim=(2, 3)))
    theirs = contrast.teacher_head(view.teacher_map.mean(dim=(2, 3)))
    torch.testing.assert_close(contrast(view), crd_in_batch(ours, theirs))


@pytest.mark.parametrize("name", ["ofa", "dkd"])
def test_terms_with_labels_use_only_those_they_may(name: str) -> None:
    torch.manual_seed(0)
    term = TERMS[name](8)
    view = seen()
    half = torch.tensor([1.0, 0, 0, 1, 1, 0, 0, 1])
    wrong = torch.where(half.bool(), view.labels, (view.labels + 1) % CLASSES)
    value = term(view._replace(labelled=half))
    assert term(view._replace(labelled=half, labels=wrong)).item() == pytest.approx(value.item())
    assert value.item() != pytest.approx(term(view).item())
    assert term(view._replace(labelled=torch.zeros(8))).item() == 0


def test_what_the_teacher_shows_is_its_own_and_has_no_class_token() -> None:
    teacher, images = tiny_teacher().eval(), tensors()["images"]
    answer = ask(FrozenTeacher(teacher), images)
    with torch.no_grad():
        tokens, vgg_map = teacher.vit(images), teacher.vgg(images)
    torch.testing.assert_close(answer.tokens, tokens[:, 1:])
    torch.testing.assert_close(answer.map, vgg_map)
    assert answer.qkv is not None
    assert {tuple(x.shape) for x in answer.qkv} == {(8, 2, 16, 4)}
    # the last block's, from its own input
    with tap(teacher, {"x": "vit.vit.encoder.layers.encoder_layer_1.ln_1"}) as shown:
        teacher(images)
    attention = teacher.vit.vit.encoder.layers[1].self_attention
    joint = shown["x"][:, 1:] @ attention.in_proj_weight.T + attention.in_proj_bias
    for found, expected in zip(answer.qkv, joint.chunk(3, dim=-1), strict=True):
        torch.testing.assert_close(found.transpose(1, 2).flatten(2), expected)
    assert not any(x.requires_grad for x in (answer.logits, *answer.qkv))


def test_a_branch_that_is_off_shows_nothing_and_a_term_says_so() -> None:
    images = tensors()["images"]
    convolutional = ask(FrozenTeacher(tiny_teacher("vgg")), images)
    assert convolutional.map is not None
    assert convolutional.tokens is None and convolutional.qkv is None
    attentive = ask(FrozenTeacher(tiny_teacher("vit")), images)
    assert attentive.map is None and attentive.tokens is not None and attentive.qkv is not None
    plain = ask(FrozenTeacher(tiny_student()), images)
    assert plain.logits.shape == (8, CLASSES) and plain[1:] == (None, None, None)
    view = seen()._replace(teacher_map=None)
    for name in ("hint", "attention", "relation", "contrast"):
        with pytest.raises(ValueError, match="teacher_map: this loss needs it"):
            TERMS[name](8)(view)


def test_a_place_without_a_map_is_named() -> None:
    with pytest.raises(ValueError, match=r"'network.head': expected a map .* found \(8, 3\)"):
        show(tiny_student(), tensors()["images"], "network.head")
    with pytest.raises(KeyError, match="stage7"):
        show(tiny_student(), tensors()["images"], "network.stages.stage7")


def test_rolled_answers_belong_to_other_images_in_all_parts() -> None:
    answer = ask(FrozenTeacher(tiny_teacher()), tensors()["images"])
    rolled = answer.rolled()
    assert answer.qkv is not None and rolled.qkv is not None
    whole = [answer.logits, answer.map, answer.tokens, *answer.qkv]
    for own, other in zip(whole, [*rolled[:3], *rolled.qkv], strict=True):
        assert own is not None and other is not None
        assert torch.equal(own.roll(1, 0), other) and not torch.equal(own, other)
    assert Answer(answer.logits, None, None, None).rolled()[1:] == (None, None, None)


@pytest.mark.parametrize("name", ["attention", "hint"])
def test_the_shuffled_control_changes_every_term_of_the_loss(cpu: Fabric, name: str) -> None:
    losses = []
    for control in ("none", "shuffled"):
        torch.manual_seed(0)
        method = feature_kd(name, control=control, views=as_it_is)
        method.setup(cpu)
        losses.append(method.update(tensors()))
    assert losses[0]["cross_entropy"] == losses[1]["cross_entropy"]
    for key in ("distillation", name):
        assert float(losses[0][key]) != pytest.approx(float(losses[1][key]), rel=1e-3), key


@pytest.mark.parametrize("name", TERMS)
def test_the_teacher_does_not_move_and_the_rest_does(cpu: Fabric, name: str) -> None:
    method = feature_kd(name)
    method.setup(cpu)
    before = {k: copy.deepcopy(bare(n).state_dict()) for k, n in method.networks.items()}
    for step in range(3):
        losses = method.update(tensors(seed=step))
    assert set(losses) == {"cross_entropy", "distillation", name}
    assert not any(v.requires_grad for v in losses.values())
    for key, network in method.networks.items():
        now = bare(network).state_dict()
        still = [k for k, v in now.items() if torch.equal(v, before[key][k])]
        if key == "teacher":
            assert len(still) == len(now)
        else:
            assert still == [k for k in still if "num_batches" in k]


def test_weight_zero_is_hintons_method_bit_for_bit(cpu: Fabric) -> None:
    nets = []
    for make in (
        lambda: feature_kd("attention", weight=0.0),
        lambda: HintonKD(tiny_student(), tiny_teacher(), temperature=4.0, alpha=0.5,
                         learning_rate=1e-2, steps=20),
    ):  # fmt: skip
        method = make()
        method.setup(cpu)
        torch.manual_seed(5)
        for step in range(3):
            method.update(tensors(seed=step))
        nets.append(method.deployable().state_dict())
    assert all(torch.equal(v, nets[1][k]) for k, v in nets[0].items())


def test_the_loss_is_its_formula(cpu: Fabric) -> None:
    """One step of plain gradient descent on the printed formula gives the same gradient."""
    method = feature_kd("attention", alpha=0.3, views=as_it_is)
    method.setup(cpu)
    student = copy.deepcopy(bare(method.networks["student"])).train()
    losses = method.update(tensors())
    data = tensors()
    answer = ask(FrozenTeacher(tiny_teacher()), data["images"])
    logits, student_map = show(student, data["images"], "network.stages.stage2")
    hard = nn.functional.cross_entropy(logits, data["labels"])
    assert answer.map is not None
    feature = attention_transfer(student_map, answer.map)
    soft = losses["distillation"]
    log_p_s, p_t = (logits / 4).log_softmax(1), (answer.logits / 4).softmax(1)
    expected = 16 * nn.functional.kl_div(log_p_s, p_t, reduction="batchmean")
    torch.testing.assert_close(soft, expected.detach())
    (0.7 * hard + 0.3 * expected + 1000 * feature).backward()
    trained = bare(method.networks["student"])
    for (name, mine), theirs in zip(trained.named_parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=name, rtol=1e-4, atol=1e-5)


def test_views_are_the_methods_to_choose(cpu: Fabric) -> None:
    shown: list[Tensor] = []

    def remembered(images: Tensor) -> Tensor:
        shown.append(images)
        return images

    common = {"learning_rate": 1e-2, "steps": 5}
    methods = [
        feature_kd("attention", views=remembered),
        HintonKD(tiny_student(), tiny_teacher(), temperature=4.0, alpha=0.5, views=remembered,
                 **common),  # type: ignore[arg-type]
        Supervised(tiny_student(), views=remembered, **common),  # type: ignore[arg-type]
    ]  # fmt: skip
    for method in methods:
        method.setup(cpu)
        method.update(tensors())
    assert len(shown) == 3 and all(torch.equal(x, tensors()["images"]) for x in shown)


def loader(start: int) -> Iterator[Batch]:
    return iter(batches(tensors(24), 8, seed=3, start=start))


@pytest.mark.parametrize("name", ["contrast", "dkd"])
def test_resume_goes_on_bit_for_bit(cpu: Fabric, tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    whole = feature_kd(name)
    history = fit(whole, loader, 12, cpu, log_every=3)
    torch.manual_seed(0)
    checkpoint = tmp_path / "state.pt"
    fit(feature_kd(name), loader, 7, cpu, checkpoint=checkpoint, checkpoint_every=6, log_every=3)
    torch.manual_seed(999)
    resumed = feature_kd(name)
    again = fit(resumed, loader, 12, cpu, checkpoint=checkpoint, checkpoint_every=6, log_every=3)
    assert vars(again) == vars(history)
    for key, network in whole.networks.items():
        other = bare(resumed.networks[key]).state_dict()
        assert all(torch.equal(v, other[k]) for k, v in bare(network).state_dict().items())


@pytest.mark.parametrize("name", TERMS)
def test_the_student_stands_alone(cpu: Fabric, name: str) -> None:
    method = feature_kd(name)
    method.setup(cpu)
    method.update(tensors())
    student = copy.deepcopy(method.deployable())
    before = student(tensors()["images"])
    method.networks.clear()
    assert not student.training and isinstance(student, AtSize)
    assert set(student.state_dict()) == set(tiny_student().state_dict())
    assert torch.equal(student(tensors()["images"]), before)


@pytest.mark.parametrize("name", TERMS)
def test_bfloat16_runs_and_stays_finite(name: str) -> None:
    method = feature_kd(name)
    method.setup(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    for step in range(2):
        assert all(torch.isfinite(v) for v in method.update(tensors(seed=step)).values())
