"""The training loop: explicit, resumable to the bit on CPU, logged; and the trained-model cache.

One loop serves every method, because a method is only asked for ``update(batch)``.
"""

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from medkd_lib.atomic import write_whole
from medkd_lib.data.batches import Batch
from medkd_lib.data.store import key_of, store
from medkd_lib.fingerprint import code_hash
from medkd_lib.home import medkd_home
from medkd_lib.methods.base import Method

LoaderFrom = Callable[[int], Iterable[Batch]]

# Of all images that a network is asked about at once: 128 of 128².
MOST_PIXELS = 128**3

# The rooms whose code decides what a training computes.
TRAINING_ROOMS = ("data", "models", "distill", "methods", "train.py")


@dataclass
class History:
    """Named losses at the logged steps."""

    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Append one logged step."""
        self.steps.append(step)
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Trained:
    """A finished training: the deployable network alone, its history, and what it cost.

    ``key`` identifies the training by everything it depends on; another training that uses this
    network puts it among its own inputs.
    """

    key: str
    network: nn.Module
    history: History
    seconds: float
    from_cache: bool


def fit(
    method: Method,
    loader_from: LoaderFrom,
    steps: int,
    fabric: Fabric,
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 200,
    log: Path | None = None,
    log_every: int = 20,
    progress: str = "",
) -> History:
    """Train for ``steps`` updates; go on from ``checkpoint`` if it is there.

    Args:
        method: not yet set up.
        loader_from: step → endless batches beginning at that step (see `data.batches`).
        steps: number of updates in all, those before an interruption included.
        fabric: device, precision, processes.
        checkpoint: file for the state every ``checkpoint_every`` steps; removed by nobody here.
        checkpoint_every: steps between checkpoints.
        log: JSON-lines file, one line per logged step, written as it goes.
        log_every: steps between logged losses.
        progress: title of the progress bar; empty shows none.

    Raises:
        FloatingPointError: a logged loss is not finite (named, with its step).
    """
    method.setup(fabric)
    history, start = History(), 0
    if checkpoint and checkpoint.is_file():
        start, history = _resume(method, checkpoint)
    bar = tqdm(
        total=steps,
        initial=start,
        desc=progress,
        disable=not progress,
        leave=False,
        mininterval=0.5,
    )
    move = fabric.device.type != "cpu"
    if log:
        _begin_log(history, log)
    batches = iter(loader_from(start))
    for step in range(start + 1, steps + 1):
        batch = next(batches)
        losses = method.update(fabric.to_device(batch) if move else batch)
        if step % log_every == 0 or step == steps:
            logged = _finite(losses, step)
            history.add(step, logged)
            if log:
                _append(log, {"step": step, **logged})
        if checkpoint and step % checkpoint_every == 0 and step < steps:
            _save(method, history, step, checkpoint)
        bar.update()
    bar.close()
    return history


def fit_cached(
    build: Callable[[], Method],
    loader_from: LoaderFrom,
    steps: int,
    fabric: Fabric,
    *,
    inputs: Mapping[str, object],
    rooms: Sequence[str] = (),
    keep: Callable[[Method], nn.Module] | None = None,
    progress: str = "",
) -> Trained:
    """Train once per content: a finished training with the same inputs is loaded, not repeated.

    Args:
        build: makes the method with its seeded, untrained networks.
        loader_from: as in `fit`.
        steps: as in `fit`; part of the key.
        fabric: as in `fit`; device and precision are part of the key.
        inputs: everything else the result depends on: data fingerprint, split hash,
            configuration, seed. The library's code is added here.
        rooms: more files or folders of the library whose code decides the result, such as the
            one that builds the networks.
        keep: what to keep of a method besides its student, such as all students of one run; None
            keeps what is deployable. Its name is part of the key.
        progress: title of the progress bar.
    """
    torch.manual_seed(int(str(inputs["seed"])))
    method = build()
    key = key_of(
        inputs=dict(inputs),
        steps=steps,
        code=code_hash((*TRAINING_ROOMS, *rooms)),
        method=type(method).__qualname__,
        device=fabric.device.type,
        precision=str(fabric._precision.precision),
        torch=torch.__version__,
        **({} if keep is None else {"keep": keep.__qualname__}),
    )
    models = store("models")
    entry = models.get(key)
    if entry is not None:
        network = method.deployable() if keep is None else keep(method)
        network.load_state_dict(entry.tensors)
        history = History(**json.loads(str(entry.note["history"])))
        return Trained(
            key, network.to(fabric.device), history, float(str(entry.note["seconds"])), True
        )
    checkpoint = medkd_home() / "checkpoints" / f"{key}.pt"
    log = medkd_home() / "logs" / f"{key}.jsonl"
    began = time.perf_counter()
    history = fit(
        method, loader_from, steps, fabric, checkpoint=checkpoint, log=log, progress=progress
    )
    seconds = time.perf_counter() - began
    network = method.deployable() if keep is None else keep(method)
    note = {"history": json.dumps(vars(history)), "seconds": seconds}
    models.put(key, network.state_dict(), note)
    checkpoint.unlink(missing_ok=True)
    return Trained(key, network, history, seconds, False)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch_size: int = 128) -> Tensor:
    """Return the logits of all images, in eval mode, on the CPU.

    Args:
        network: on any device.
        images: ``(N, …)``.
        batch_size: images asked at once, fewer where they are large: 64 maps of 128 images of 256²
            pixels are 2 GB, and a network holds several of them.
    """
    device = next(network.parameters()).device
    network.eval()
    at_once = max(1, min(batch_size, MOST_PIXELS // max(1, images[:1, :1].numel())))
    chunks = [network(c.to(device).float()).float().cpu() for c in images.split(at_once)]
    return torch.cat(chunks)


def _finite(losses: Mapping[str, Tensor], step: int) -> dict[str, float]:
    values = {name: float(value) for name, value in losses.items()}
    for name, value in values.items():
        if not torch.isfinite(torch.tensor(value)):
            raise FloatingPointError(
                f"step {step}: loss {name!r} is {value}; lower the learning rate or look at the "
                "inputs (a division by an empty mask, logits beyond the precision)"
            )
    return values


def _save(method: Method, history: History, step: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({"method": method.state_dict(), "history": vars(history), "step": step}, buffer)
    write_whole(path, buffer.getvalue())


def _resume(method: Method, path: Path) -> tuple[int, History]:
    # On the CPU first: random states must stay there, and networks copy to their own device.
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    method.load_state_dict(state["method"])
    return state["step"], History(**state["history"])


def _begin_log(history: History, path: Path) -> None:
    """Start the log, with the lines of a resumed training and none that it will write again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    for i, step in enumerate(history.steps):
        _append(path, {"step": step, **{k: v[i] for k, v in history.losses.items()}})


def _append(path: Path, line: Mapping[str, float]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
