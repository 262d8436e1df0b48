"""Cross-architecture KD: the four tests of its design, every switch, resume, and what it learns."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.data.batches import Batch, batches
from medkd_lib.distill.tokens import token_cosine
from medkd_lib.methods.base import bare
from medkd_lib.methods.cross_arch import CrossArchitectureKD
from medkd_lib.methods.cross_arch_parts import Parts
from medkd_lib.methods.hinton import HintonKD
from medkd_lib.methods.terms import AttentionTerm, HintTerm, Term
from medkd_lib.train import fit
from tests.methods.test_feature_kd import as_it_is, tensors, tiny_student, tiny_teacher

NOTHING = Parts(pca=False, gl=False, multi_view=False, adversarial=False)
FEATURES = {
    "pca": ["pca_attention", "pca_gram"],
    "gl": ["tokens"],
    "adversarial": ["adversarial"],
}


def cross(parts: Parts, *, stage: str = "stage2", extra: Term | None = None, alpha: float = 0.5,
          **settings: object) -> CrossArchitectureKD:  # fmt: skip
    return CrossArchitectureKD(
        tiny_student(), tiny_teacher(), student_place=f"network.stages.{stage}",
        student_channels={"stage1": 4, "stage2": 8}[stage], temperature=4.0, alpha=alpha,
        learning_rate=1e-2, steps=20, parts=parts, extra=extra, **settings,  # type: ignore[arg-type]
    )  # fmt: skip


def started(method: CrossArchitectureKD, fabric: Fabric) -> CrossArchitectureKD:
    method.setup(fabric)
    return method


def gradients(method: CrossArchitectureKD, network: str) -> list[Tensor]:
    parameters = bare(method.networks[network]).parameters()
    return [p.grad for p in parameters if p.grad is not None]


@pytest.mark.parametrize("saturating", [False, True])
def test_a_the_adversarial_term_reaches_the_student(cpu: Fabric, saturating: bool) -> None:
    """Nothing else pulls: no labels, no logits. The released form gives none, see its own test."""
    parts = replace(NOTHING, adversarial=True, ramp=0.0, saturating=saturating)
    method = started(cross(parts, alpha=0.0), cpu)
    method.update(tensors(labelled=0.0))
    stage = bare(method.networks["student"]).get_submodule("network.stages.stage1.0")
    assert isinstance(stage.weight.grad, Tensor) and stage.weight.grad.abs().max() > 0
    head = bare(method.networks["student"]).get_submodule("network.head")
    assert isinstance(head.weight.grad, Tensor) and head.weight.grad.abs().max() == 0


def test_b_the_teacher_stays_and_all_that_is_trained_moves(cpu: Fabric) -> None:
    method = started(cross(Parts(ramp=0.0)), cpu)
    before = {k: copy.deepcopy(bare(n).state_dict()) for k, n in method.networks.items()}
    assert set(before) == {"student", "teacher", "pca_projector", "gl_projector", "discriminator"}
    for step in range(3):
        method.update(tensors(seed=step))
    for key, network in method.networks.items():
        now = bare(network).state_dict()
        still = [k for k, v in now.items() if torch.equal(v, before[key][k])]
        if key == "teacher":
            assert len(still) == len(now)
        else:
            assert still == [k for k in still if "num_batches" in k]


def test_c_a_pure_teacher_has_no_attention_term(cpu: Fabric) -> None:
    method = started(cross(Parts(p_student=0.0)), cpu)
    losses = method.update(tensors())
    assert float(losses["pca_attention"]) == 0 and float(losses["pca_gram"]) > 0


def test_d_dropping_the_projectors_leaves_the_students_logits(cpu: Fabric) -> None:
    method = started(cross(Parts()), cpu)
    for step in range(2):
        method.update(tensors(seed=step))
    student = copy.deepcopy(method.deployable())
    before = student(tensors()["images"])
    method.networks.clear()
    assert not student.training and set(student.state_dict()) == set(tiny_student().state_dict())
    assert torch.equal(student(tensors()["images"]), before)


def test_the_discriminator_is_trained_by_its_own_loss_alone(cpu: Fabric) -> None:
    """The student's backward adds nothing to the gradients of the discriminator's own step."""
    method = started(cross(Parts(ramp=0.0, lambda_adversarial=1e3)), cpu)
    after_its_step: list[list[Tensor]] = []
    own = method._discriminate

    def watched(real: Tensor, fake: Tensor) -> Tensor:
        loss = own(real, fake)
        after_its_step.append([g.clone() for g in gradients(method, "discriminator")])
        return loss

    method._discriminate = watched  # type: ignore[method-assign]
    method.update(tensors())
    now = gradients(method, "discriminator")
    assert len(now) == 6 and all(
        torch.equal(a, b) for a, b in zip(now, after_its_step[0], strict=True)
    )
    assert all(p.requires_grad for p in bare(method.networks["discriminator"]).parameters())


def test_the_discriminator_learns_to_tell_and_the_student_to_fool(cpu: Fabric) -> None:
    """Without the student's term the discriminator wins; with a strong one it wins less."""
    found = {}
    for weight in (0.0, 3.0):
        torch.manual_seed(0)
        parts = replace(NOTHING, adversarial=True, lambda_adversarial=weight, ramp=0.0, dropout=0.0)
        method = started(cross(parts, alpha=0.0, views=as_it_is), cpu)
        for _ in range(60):
            losses = method.update(tensors(16))
        found[weight] = float(losses["discriminator"])
    assert found[0.0] < 0.9  # 1.386 is guessing
    assert found[3.0] > found[0.0] + 0.2


@pytest.mark.parametrize("switch", FEATURES)
def test_each_part_alone_brings_its_losses_and_networks(cpu: Fabric, switch: str) -> None:
    method = started(cross(replace(NOTHING, **{switch: True})), cpu)
    losses = method.update(tensors())
    watched = {"pca": [], "gl": ["token_cosine"], "adversarial": ["token_cosine", "discriminator"]}
    assert set(losses) == {
        "cross_entropy", "distillation", *FEATURES[switch], *watched[switch]
    }  # fmt: skip
    assert ("pca_projector" in method.networks) == (switch == "pca")
    assert ("discriminator" in method.networks) == (switch == "adversarial")
    assert all(torch.isfinite(v) and not v.requires_grad for v in losses.values())


def test_nothing_switched_on_is_hintons_method_bit_for_bit(cpu: Fabric) -> None:
    nets = []
    for method in (
        cross(NOTHING),
        HintonKD(tiny_student(), tiny_teacher(), temperature=4.0, alpha=0.5, learning_rate=1e-2,
                 steps=20),
    ):  # fmt: skip
        method.setup(cpu)
        torch.manual_seed(5)
        for step in range(3):
            method.update(tensors(seed=step))
        nets.append(method.deployable().state_dict())
    assert all(torch.equal(v, nets[1][k]) for k, v in nets[0].items())


def test_only_the_student_sees_the_strong_view(cpu: Fabric) -> None:
    shown: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    for multi_view in (False, True):
        method = cross(replace(NOTHING, multi_view=multi_view, p_view=1.0), views=as_it_is)
        for name in shown:
            method.networks[name].register_forward_pre_hook(
                lambda module, inputs, name=name: shown[name].append(inputs[0])
            )
        started(method, cpu).update(tensors())
    images = tensors()["images"]
    assert all(torch.equal(x, images) for x in shown["teacher"]) and len(shown["teacher"]) == 2
    assert torch.equal(shown["student"][0], images)
    assert all(not torch.equal(a, b) for a, b in zip(shown["student"][1], images, strict=True))


def test_the_background_is_handed_to_the_strong_view(cpu: Fabric) -> None:
    shown: list[Tensor] = []
    method = cross(replace(NOTHING, multi_view=True, p_view=1.0), views=as_it_is, background=0.0)
    method.networks["student"].register_forward_pre_hook(
        lambda module, inputs: shown.append(inputs[0])
    )
    data = tensors()
    data["images"][:, :, :, :5] = 0
    data["images"][:, :, :, 11:] = 0
    started(method, cpu).update(data)
    assert float((shown[0] == 0).all(dim=1).float().mean()) > 0.2


def test_the_ramp_rises_over_the_first_part_of_the_steps(cpu: Fabric) -> None:
    method = started(cross(Parts(ramp=0.2)), cpu)  # 4 of 20 steps
    found = []
    for step in range(6):
        found.append(method.ramp())
        method.update(tensors(seed=step))
    assert found == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert started(cross(Parts(ramp=0.0)), cpu).ramp() == 1.0


def test_at_the_start_of_the_ramp_projectors_pull_on_nothing(cpu: Fabric) -> None:
    """The first step trains the student as plain KD does."""
    steps = []
    for parts in (NOTHING, replace(Parts(), multi_view=False)):
        method = started(cross(parts, views=as_it_is), cpu)
        method.update(tensors())
        steps.append(method.deployable().state_dict())
    assert all(torch.allclose(v, steps[1][k], atol=1e-7) for k, v in steps[0].items())


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_an_extra_term_is_weighed_logged_and_trained(cpu: Fabric, stage: str) -> None:
    for extra in (AttentionTerm(), HintTerm({"stage1": 4, "stage2": 8}[stage], 8)):
        before = copy.deepcopy(extra.state_dict())
        method = started(cross(Parts(ramp=0.0), stage=stage, extra=extra), cpu)
        losses = method.update(tensors())
        assert float(losses[extra.name]) > 0
        assert all(not torch.equal(v, before[k]) for k, v in extra.state_dict().items())


def test_shuffled_gives_another_images_answer_in_all_parts(cpu: Fabric) -> None:
    found = []
    parts = Parts(multi_view=False, dropout=0.0)
    for control in ("none", "shuffled"):
        torch.manual_seed(0)
        method = cross(parts, extra=AttentionTerm(), views=as_it_is, control=control)
        torch.manual_seed(0)
        found.append(started(method, cpu).update(tensors()))
    plain, shuffled = found
    assert plain["cross_entropy"] == shuffled["cross_entropy"]
    for key in ("distillation", "pca_attention", "pca_gram", "tokens", "attention"):
        assert float(plain[key]) != pytest.approx(float(shuffled[key]), rel=1e-4), key


def test_the_token_loss_brings_the_tokens_together(cpu: Fabric) -> None:
    parts = replace(NOTHING, gl=True, ramp=0.0, dropout=0.0)
    torch.manual_seed(0)
    method = started(cross(parts, alpha=0.0, views=as_it_is), cpu)
    cosines = [float(method.update(tensors())["token_cosine"]) for _ in range(40)]
    assert cosines[-1] > cosines[0] + 0.3
    tokens = torch.randn(2, 4, 8)
    assert float(token_cosine(tokens, tokens)) == pytest.approx(1.0)  # what the number means


def loader(start: int) -> Iterator[Batch]:
    return iter(batches(tensors(24), 8, seed=3, start=start))


def test_resume_goes_on_bit_for_bit(cpu: Fabric, tmp_path: Path) -> None:
    def build() -> CrossArchitectureKD:
        return cross(Parts(), extra=HintTerm(8, 8))

    torch.manual_seed(0)
    whole = build()
    history = fit(whole, loader, 12, cpu, log_every=3)
    torch.manual_seed(0)
    checkpoint = tmp_path / "state.pt"
    fit(build(), loader, 7, cpu, checkpoint=checkpoint, checkpoint_every=6, log_every=3)
    torch.manual_seed(999)
    resumed = build()
    again = fit(resumed, loader, 12, cpu, checkpoint=checkpoint, checkpoint_every=6, log_every=3)
    assert vars(again) == vars(history)
    assert whole.ramp() == resumed.ramp()
    for key, network in whole.networks.items():
        other = bare(resumed.networks[key]).state_dict()
        assert all(torch.equal(v, other[k]) for k, v in bare(network).state_dict().items()), key


def test_bfloat16_runs_and_stays_finite() -> None:
    method = cross(Parts(ramp=0.0), extra=HintTerm(8, 8))
    method.setup(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))
    for step in range(2):
        assert all(torch.isfinite(v) for v in method.update(tensors(seed=step)).values())


def test_a_teacher_without_a_transformer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Vision Transformer .* HybridTeacher with Identity"):
        CrossArchitectureKD(
            tiny_student(), tiny_teacher("vgg"), student_place="network.stages.stage2",
            student_channels=8, temperature=4.0, alpha=0.5, learning_rate=1e-2, steps=20,
        )  # fmt: skip
