"""A study's teachers start from the user's weights, students do not, and the cache knows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from medkd_lib.course.experiments.cohort import Cohort
from medkd_lib.course.experiments.pretrained import Pretrained
from medkd_lib.course.experiments.students import StudentStudy
from medkd_lib.course.experiments.teacher_arms import ARMS, LESSON
from medkd_lib.course.experiments.teachers import TeacherStudy
from medkd_lib.data.images import ImageSet
from medkd_lib.data.split import Split
from medkd_lib.models.imagenet import load_trunk
from medkd_lib.models.msgff import MsgffTeacher, ScaleNorms
from medkd_lib.models.vgg import NARROW, VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VitTrunk

TINY = replace(LESSON, steps=1, student_steps=1, batch_size=6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """Narrow trunks for RGB as torchvision would save them, their statistics not those of birth."""
    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("weights")
    vgg, vit = VggTrunk(3, NARROW), VitTrunk(3, 64, NARROW_VIT)
    for layer in vgg.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            nn.init.normal_(layer.running_mean)
    torch.save(vgg.state_dict(), folder / "vgg.pth")
    torch.save(vit.vit.state_dict(), folder / "vit.pth")
    return Pretrained(str(folder / "vgg.pth"), str(folder / "vit.pth"))


def study(fabric: Fabric, pretrained: Pretrained) -> TeacherStudy:
    generator = torch.Generator().manual_seed(0)
    names = tuple(f"case{i}" for i in range(12))
    images = torch.randn(12, 4, 112, 112, generator=generator).half()
    part = ImageSet(images, torch.arange(12) % 3, names, names, "noise")
    parts = dict.fromkeys(("train", "val", "test"), part)
    cohort = Cohort("noise", ("none", "oedema only", "core"), parts, Split("noise", 0, {}), 0.0)
    return TeacherStudy(cohort, TINY, 0, fabric, pretrained=pretrained)


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(w, theirs[k]) for k, w in one.state_dict().items())


@pytest.mark.parametrize("arm", ["vgg", "vit", "hybrid", "hybrid_logits", "a1", "a4"])
def test_every_teacher_starts_from_the_files(arm: str, cpu: Fabric, weights: Pretrained) -> None:
    vgg, vit = VggTrunk(4, NARROW), VitTrunk(4, TINY.base, NARROW_VIT)
    load_trunk(vgg, Path(weights.vgg))
    load_trunk(vit, Path(weights.vit))
    network = study(cpu, weights).network(arm)
    for name, trunk in (("vgg", vgg), ("vit", vit)):
        if ARMS[arm].branches in ("both", name):
            assert same(network.get_submodule(name), trunk)
    if isinstance(network, MsgffTeacher):
        assert len(network.norms) == len(network.shape.sizes) - 1
        assert all(same(norms, ScaleNorms(vgg)) for norms in network.norms.values())


def test_one_file_alone_leaves_the_other_trunk_at_random(cpu: Fabric, weights: Pretrained) -> None:
    torch.manual_seed(0)
    plain = study(cpu, Pretrained()).network("a4")
    torch.manual_seed(0)
    half = study(cpu, Pretrained(vit=weights.vit)).network("a4")
    assert same(half.get_submodule("vgg"), plain.get_submodule("vgg"))
    assert same(half.get_submodule("norms"), plain.get_submodule("norms"))
    assert same(half.get_submodule("head"), plain.get_submodule("head"))
    assert not same(half.get_submodule("vit"), plain.get_submodule("vit"))


def test_the_content_of_the_files_is_part_of_the_cache_key(
    cpu: Fabric, home: Path, weights: Pretrained, tmp_path: Path
) -> None:
    filled, plain = study(cpu, weights), study(cpu, Pretrained())
    trained = filled.train("hybrid")
    assert trained.key != plain.train("hybrid").key
    copy = tmp_path / "renamed.pth"
    copy.write_bytes(Path(weights.vgg).read_bytes())
    again = study(cpu, replace(weights, vgg=str(copy))).train("hybrid")
    assert again.key == trained.key and again.from_cache
    changed = torch.load(copy, weights_only=True)
    changed["features.0.bias"] += 1.0
    torch.save(changed, copy)
    assert study(cpu, replace(weights, vgg=str(copy))).train("hybrid").key != trained.key


def test_students_start_at_random_and_lesson_03_has_the_same_teacher(
    cpu: Fabric, home: Path, weights: Pretrained
) -> None:
    filled, plain = study(cpu, weights), study(cpu, Pretrained())
    assert filled.train("student").key == plain.train("student").key
    students = StudentStudy(filled)
    assert students.teacher("hybrid").key == filled.train("hybrid").key
    assert students.train("kd").key != StudentStudy(plain).train("kd").key
    before = students.teacher("untrained").network
    vgg = VggTrunk(4, NARROW)
    load_trunk(vgg, Path(weights.vgg))
    assert same(before.get_submodule("vgg"), vgg), "untrained here, but not on photographs"


def test_what_does_not_fit_or_is_not_there_is_refused(
    cpu: Fabric, home: Path, weights: Pretrained, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"vgg\.pth: expected the weights of this trunk.*another"):
        study(cpu, weights).network("hybrid_wide")
    gone = study(cpu, Pretrained(vgg=str(tmp_path / "nowhere.pth")))
    with pytest.raises(FileNotFoundError, match=r"vgg weights: .* found none at .*nowhere\.pth"):
        gone.train("hybrid")
