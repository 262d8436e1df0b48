"""The loop: exact resume, atomic checkpoints, finite losses, the trained-model cache."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.data.batches import Batch, batches
from medkd_lib.methods.base import Method
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.train import History, fit, fit_cached, predict

STEPS = 24


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 16, 16, generator=generator)
    return {"images": images, "labels": (images.mean((1, 2, 3)) > 0).long()}


def loader(start: int) -> Iterator[Batch]:
    return iter(batches(tensors(), 8, seed=3, start=start))


def build(steps: int = STEPS) -> Supervised:
    torch.manual_seed(0)
    return Supervised(SmallCNN(2, (4, 8)), learning_rate=1e-2, steps=steps)


class Stops(Exception):
    pass


def stopping(after: int, start: int) -> Iterator[Batch]:
    for number, batch in enumerate(loader(start), start=1):
        if number > after:
            raise Stops
        yield batch


def weights(method: Method) -> dict[str, Tensor]:
    return method.deployable().state_dict()


def test_the_loop_learns(cpu: Fabric) -> None:
    method = build(200)
    history = fit(method, loader, 200, cpu)
    assert history.losses["cross_entropy"][-1] < 0.8 * history.losses["cross_entropy"][0]
    assert history.steps[-1] == 200


def test_resume_equals_the_uninterrupted_run_bit_for_bit(cpu: Fabric, tmp_path: Path) -> None:
    whole = build()
    history = fit(whole, loader, STEPS, cpu, log_every=4)
    checkpoint = tmp_path / "state.pt"
    with pytest.raises(Stops):
        fit(build(), lambda start: stopping(13, start), STEPS, cpu,
            checkpoint=checkpoint, checkpoint_every=5, log_every=4)  # fmt: skip
    torch.manual_seed(999)  # a new process has another random state
    resumed = Supervised(SmallCNN(2, (4, 8)), learning_rate=1e-2, steps=STEPS)
    log = tmp_path / "log.jsonl"
    again = fit(resumed, loader, STEPS, cpu, checkpoint=checkpoint, checkpoint_every=5,
                log_every=4, log=log)  # fmt: skip
    assert all(torch.equal(v, weights(resumed)[k]) for k, v in weights(whole).items())
    assert vars(again) == vars(history)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == history.steps


def test_resume_in_the_middle_of_an_epoch_draws_the_same_batches() -> None:
    first = [b["labels"].tolist() for b, _ in zip(loader(0), range(12), strict=False)]
    later = [b["labels"].tolist() for b, _ in zip(loader(7), range(5), strict=False)]
    assert later == first[7:]


def test_a_half_written_checkpoint_is_never_seen(
    cpu: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full_disk_the_third_time(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk_the_third_time)
    with pytest.raises(OSError, match="No space left"):
        fit(build(), loader, STEPS, cpu, checkpoint=tmp_path / "s.pt", checkpoint_every=5)
    assert [p.name for p in tmp_path.iterdir()] == ["s.pt"]
    state = torch.load(tmp_path / "s.pt", weights_only=True)
    assert state["step"] == 10


def test_the_log_is_there_while_training_goes_on(cpu: Fabric, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log.jsonl"
    with pytest.raises(Stops):
        fit(build(), lambda start: stopping(13, start), STEPS, cpu, log=log, log_every=4)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [4, 8, 12]


def test_a_loss_that_is_not_finite_stops_with_its_name(cpu: Fabric) -> None:
    class Breaks(Supervised):
        def update(self, batch: Batch) -> dict[str, Tensor]:
            return {"cross_entropy": torch.tensor(float("nan"))}

    with pytest.raises(FloatingPointError, match="step 5: loss 'cross_entropy' is nan"):
        fit(Breaks(SmallCNN(2, (4,)), learning_rate=1.0, steps=9), loader, 9, cpu, log_every=5)


def cached(fabric: Fabric, **inputs: object) -> tuple[bool, dict[str, Tensor], History]:
    trained = fit_cached(build, loader, STEPS, fabric, inputs={"seed": 0, **inputs})
    return trained.from_cache, trained.network.state_dict(), trained.history


def test_a_finished_training_is_shared(cpu: Fabric, home: Path) -> None:
    fresh, first, history = cached(cpu)
    again, second, same = cached(cpu)
    other, _, _ = cached(cpu, data="other")
    assert (fresh, again, other) == (False, True, False)
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert vars(history) == vars(same)
    assert not list((home / "checkpoints").glob("*"))


def test_a_damaged_cache_entry_is_made_anew(cpu: Fabric, home: Path) -> None:
    _, first, _ = cached(cpu)
    (entry,) = (home / "store" / "models").glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="damaged"):
        fresh, second, _ = cached(cpu)
    assert not fresh
    assert all(torch.equal(v, second[k]) for k, v in first.items())


KILLED = """
import sys, time, torch
sys.path.insert(0, {tests!r})
from lightning_fabric import Fabric
import medkd_lib.train as train
from tests.test_train import build, loader, STEPS
if {slow}:
    save = train._save
    def slow_save(*args):
        save(*args); print("saved", flush=True); time.sleep(60)
    train._save = slow_save
original = train.fit
def often(method, loader_from, *args, **kwargs):
    def told(start):
        print("from step", start, flush=True)
        return loader_from(start)
    return original(method, told, *args, **(kwargs | dict(checkpoint_every=5)))
train.fit = often
done = train.fit_cached(build, loader, STEPS, Fabric(accelerator="cpu", devices=1),
                        inputs={{"seed": 0}})
torch.save(done.network.state_dict(), {out!r})
"""


def test_kill_9_during_training_then_the_same_command(home: Path, tmp_path: Path) -> None:
    def start(slow: bool, out: str) -> subprocess.Popen[str]:
        root = str(Path(__file__).parents[1])
        code = textwrap.dedent(KILLED).format(tests=root, slow=slow, out=str(tmp_path / out))
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"MEDKD_HOME": str(home), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    killed = start(True, "never.pt")
    assert killed.stdout is not None
    assert [killed.stdout.readline().strip() for _ in range(2)] == ["from step 0", "saved"]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert list((home / "checkpoints").glob("*.pt"))
    resumed = start(False, "resumed.pt")
    assert resumed.communicate()[0] == "from step 5\n" and resumed.returncode == 0
    for entry in (home / "store" / "models").glob("*"):
        entry.unlink()
    whole = start(False, "whole.pt")
    assert whole.communicate()[0] == "from step 0\n" and whole.returncode == 0
    kept = torch.load(tmp_path / "resumed.pt", weights_only=True)
    again = torch.load(tmp_path / "whole.pt", weights_only=True)
    assert all(torch.equal(v, kept[k]) for k, v in again.items())


def test_predict_keeps_order_and_needs_no_batch_fit() -> None:
    net = SmallCNN(2, (4,)).eval()
    images = tensors()["images"]
    assert torch.allclose(predict(net, images, batch_size=7), net(images), atol=1e-6)


def test_large_images_are_asked_about_a_few_at_once() -> None:
    class Counting(torch.nn.Module):
        """Answers with an image's own mean; remembers how many it was shown at once."""

        def __init__(self) -> None:
            super().__init__()
            self.scale, self.seen = torch.nn.Parameter(torch.ones(())), list[int]()

        def forward(self, images: Tensor) -> Tensor:
            self.seen.append(len(images))
            return self.scale * images.mean((1, 2, 3))

    for side, at_once in ((64, 128), (512, 8), (4096, 1)):
        counting = Counting()
        images = torch.arange(3.0)[:, None, None, None].expand(3, 1, side, side)
        assert predict(counting, images, at_once).tolist() == [0, 1, 2]
        assert max(counting.seen) <= at_once
        many = torch.zeros(1, 1, side, side).expand(130, 1, side, side)
        if side < 4096:
            predict(counting, many)
            assert max(counting.seen) == at_once
