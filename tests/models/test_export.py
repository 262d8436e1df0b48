"""The exported student: the same logits, any batch size, and a clear word where ONNX is missing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from medkd_lib.models import export
from medkd_lib.models.export import export_student, load_exported, missing_onnx_packages
from medkd_lib.models.mobilenet import mobilenet_v3_small
from medkd_lib.models.resize import AtSize
from medkd_lib.models.small_cnn import SmallCNN


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def trained(network: nn.Module, batch: Tensor) -> nn.Module:
    """Statistics and a head as after a training: logits that differ, of the size of 0.1 to 1."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5  # half way to the statistics of this batch
    head = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        network.train()(batch)
        head.weight /= network.eval()(batch).std()
    return network.train()


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda: AtSize(SmallCNN(4, (8, 16), in_channels=4), 32), 75),
        (lambda: mobilenet_v3_small(4, 4), 32),
    ],
    ids=["small_cnn", "mobilenet"],
)
def test_both_files_give_the_networks_logits(
    build: Callable[[], nn.Module], size: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    batch = images(7, 4, size, size)
    network = trained(build(), batch)
    exported = export_student(network, batch[:2], tmp_path / "out", onnx=True)
    assert network.training  # it was a copy that went into eval mode
    assert set(exported.differences) == {"pt2", "onnx"}
    assert all(0 <= d <= 1e-5 for d in exported.differences.values())
    assert exported.program == tmp_path / "out" / "student.pt2"
    assert exported.onnx == tmp_path / "out" / "student.onnx"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"student.pt2", "student.onnx"}
    (dimensions,) = (x.type.tensor_type.shape.dim for x in onnx.load(exported.onnx).graph.input)
    assert [d.dim_param or d.dim_value for d in dimensions] == ["batch", 4, size, size]
    with torch.no_grad():
        logits = network.eval()(batch)
    assert logits.std() > 0.1
    for path in (exported.program, exported.onnx):
        answer = load_exported(path)
        for n in (1, 5, 7):
            torch.testing.assert_close(answer(batch[:n]), logits[:n], rtol=0, atol=1e-5)


def test_a_program_runs_without_this_package(tmp_path: Path) -> None:
    """What a hospital would do: PyTorch and the file, nothing of ours."""
    network = trained(SmallCNN(3, (4,)), images(7, 1, 8, 8)).eval()
    exported = export_student(network, images(1, 1, 8, 8), tmp_path, onnx=False)
    assert exported.onnx is None and not (tmp_path / "student.onnx").exists()
    code = (
        "import sys, torch\n"
        f"logits = torch.export.load({str(exported.program)!r}).module()(torch.ones(1, 1, 8, 8))\n"
        "assert not any(name.startswith('medkd') for name in sys.modules)\n"
        "print(logits.flatten().tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = network(torch.ones(1, 1, 8, 8)).flatten().tolist()
    assert json.loads(done.stdout) == pytest.approx(expected, abs=1e-5)


class Noisy(nn.Module):
    """Answers differently every time, like dropout that somebody left on."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) + torch.rand(x.shape[0], 1)


def test_a_file_with_other_logits_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "student.pt2").write_text("an earlier export")
    with pytest.raises(ValueError, match=r"differences of \{'pt2': .*nothing was written"):
        export_student(Noisy(), images(2, 1, 8, 8), tmp_path, onnx=False)
    assert [p.name for p in tmp_path.iterdir()] == ["student.pt2"]
    assert (tmp_path / "student.pt2").read_text() == "an earlier export"


def test_without_the_extra_onnx_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_onnx_packages() == []
    monkeypatch.setattr(
        export, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    assert missing_onnx_packages() == ["onnxruntime"]
    network = SmallCNN(3, (4,))
    with pytest.raises(ModuleNotFoundError, match=r"not installed: onnxruntime.*medkd\[onnx\]"):
        export_student(network, images(1, 1, 8, 8), tmp_path, onnx=True)
    assert [*tmp_path.iterdir()] == []
    assert export_student(network, images(1, 1, 8, 8), tmp_path, onnx=False).onnx is None
