"""The cell after the parameters: refuse what is wrong, derive what follows, seed, print.

papermill accepts a misspelt parameter with one log line and converts no type. `resolve` looks at
what was really set, so the same notebook is safe under ``medkd run``, bare papermill and "Run all".
"""

import ast
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import torch
from lightning_fabric import Fabric, seed_everything

from medkd_lib.course.parameters import Parameter, ParameterError, read_parameters, validate

Globals = Mapping[str, object]


class Config(SimpleNamespace):
    """Checked parameters and the values derived from the profile, as attributes."""

    profile: str
    seed: int
    max_steps: int
    device: str
    truncated: bool
    started: float


def resolve(
    namespace: Globals, profiles: Mapping[str, Mapping[str, object]], *, quiet: bool = False
) -> Config:
    """Check the notebook's parameters, fill the profile's values, seed and choose the device.

    Args:
        namespace: the notebook's ``globals()``.
        profiles: for each profile the values of what the parameters leave open: parameters that
            are ``None``, and names that are no parameters (sizes, steps, widths).
        quiet: print nothing.

    Raises:
        ParameterError: unknown names, wrong types, impossible values, a missing data root.
    """
    cells = _cells(namespace)
    parameters = read_parameters(cells[0])
    given = {p.name: namespace.get(p.name, p.default) for p in parameters}
    for name in _injected_names(cells[1:]):
        given.setdefault(name, namespace.get(name))
    values = validate(parameters, given, Path.cwd())
    chosen = profiles[str(values["profile"])]
    overridden = {name for name in chosen if values.get(name) is not None}
    values |= {name: value for name, value in chosen.items() if name not in overridden}
    config = Config(**values)
    config.device = _device(str(values.get("device", "auto")))
    config.started = time.perf_counter()
    config.truncated = bool(values.get("max_steps"))
    if config.profile != "paper":
        # Small networks on busy cores run many times faster on one thread than on two.
        torch.set_num_threads(1)
    seed_everything(config.seed, workers=True, verbose=False)
    if not quiet:
        print(_table(config, parameters, set(chosen) - overridden))
    return config


def fabric_for(config: Config) -> Fabric:
    """Return the Fabric (device and precision) that every training of the lesson uses."""
    return Fabric(
        accelerator=config.device,
        devices=1,  # a notebook is one process; several GPUs run several notebooks or seeds
        precision="bf16-mixed" if config.device == "cuda" and config.profile == "paper" else None,
    )


def _cells(namespace: Globals) -> list[str]:
    """Source of the parameters cell and of all that ran after it, newest parameters cell first."""
    history = namespace.get("In")
    if isinstance(history, list):
        sources = [str(cell) for cell in history]
        for start in range(len(sources) - 1, -1, -1):
            if _is_parameters_cell(sources[start]):
                return sources[start:]
        raise ParameterError("expected the parameters cell to run before `resolve`; run it first")
    path = Path(str(namespace.get("__file__", "")))
    if not path.is_file():
        raise ParameterError("`resolve` found neither a notebook history nor the script's file")
    text = path.read_text(encoding="utf-8").split("# %%")
    return ["".join(c.partition("\n")[2]) for c in text if 'tags=["parameters"' in c[:80]]


def _is_parameters_cell(source: str) -> bool:
    return source.lstrip().startswith("profile: str")


def _injected_names(cells: list[str]) -> list[str]:
    """Names that papermill's injected cell sets (it begins with ``# Parameters``)."""
    names = []
    for source in cells:
        if source.startswith("# Parameters"):
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    names.append(node.targets[0].id)
    return names


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParameterError(
            "parameter device: expected a CUDA device, found none; use -p device=cpu"
        )
    return wanted


def _table(config: Config, parameters: list[Parameter], derived: set[str]) -> str:
    meanings = {p.name: p.meaning for p in parameters}
    rows = [f"  {n:<18} {getattr(config, n)!r:<22} {meanings[n]}" for n in meanings]
    rows += [
        f"  {n:<18} {getattr(config, n)!r:<22} (profile {config.profile})"
        for n in sorted(derived - set(meanings))
    ]
    where = f"{platform.python_version()} · torch {version('torch')} · {config.device}"
    threads = f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores"
    return "\n".join([*rows, f"  Python {where} · {threads}"])
