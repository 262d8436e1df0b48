"""`medkd doctor`: what is installed, what the machine offers, what is missing and how to get it."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from medkd_lib.home import medkd_home

Level = Literal["ok", "advice", "missing"]
PYTHON = ((3, 11), (3, 14))
ENOUGH_DISK_GB = 5.0
# Optional: what it is for, and how to get it.
EXTRAS = {
    "otter-grader": ("grading notebooks", "pip install 'medkd[grade]'"),
    "torchdistill": ("comparing losses with another library", "pip install 'medkd[test]'"),
    "onnxruntime": ("exporting a student to ONNX", "pip install 'medkd[onnx]'"),
    "snakemake": ("running grids on a cluster", "pip install snakemake"),
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``missing`` breaks lessons, ``advice`` slows or limits them."""

    level: Level
    subject: str
    found: str
    fix: str = ""


def diagnose() -> list[Finding]:
    """Look at everything a lesson needs; nothing is changed, downloaded or sent."""
    return [
        _python(),
        *_packages(),
        *_torch(),
        _threads(),
        *_home(),
        *_extras(),
    ]


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing that lessons need is missing."""
    return all(finding.level != "missing" for finding in findings)


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    (low, end) = PYTHON
    if low <= sys.version_info[:2] < end:
        return Finding("ok", "Python", found)
    fix = (
        f"expected {low[0]}.{low[1]} to {end[0]}.{end[1] - 1}: conda env create -f environment.yml"
    )
    return Finding("missing", "Python", found, fix)


def _packages() -> list[Finding]:
    """Compare the installed versions with the minimum in the package's own metadata."""
    try:
        requirements = metadata.requires("medkd") or []
    except metadata.PackageNotFoundError:
        fix = "pip install -e . in the checkout"
        return [Finding("missing", "medkd", "not installed, only importable", fix)]
    findings = [Finding("ok", "medkd", metadata.version("medkd"))]
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", wanted)
        if name and "extra" not in marker:
            minimum = re.search(r">=\s*([0-9.]+)", wanted)
            findings.append(_package(name[0], minimum[1] if minimum else "0"))
    return findings


def _package(name: str, minimum: str) -> Finding:
    fix = f"pip install '{name}>={minimum}'"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding("missing", name, "not installed", fix)
    if _release(found) < _release(minimum):
        return Finding("missing", name, f"{found}, older than {minimum}", fix)
    return Finding("ok", name, found)


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version; suffixes such as ``+cpu`` or ``rc1`` do not count here."""
    numbers = re.match(r"[0-9.]+", version)
    return tuple(int(n) for n in numbers[0].split(".") if n) if numbers else ()


TORCH_QUESTION = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "threads": torch.get_num_threads(),
    "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count() * cuda)],
    "built_for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only",
}))
import torchvision
"""


def _torch() -> list[Finding]:
    """Ask torch in a process of its own: a broken installation can crash its importer."""
    asked = subprocess.run(
        [sys.executable, "-c", TORCH_QUESTION], capture_output=True, text=True, check=False
    )
    lines = asked.stdout.strip().splitlines()
    last_error = (asked.stderr.strip().splitlines() or ["no message"])[-1]
    if not lines:
        return [
            Finding("missing", "torch works", last_error, "pip install --force-reinstall torch")
        ]
    answer = json.loads(lines[-1])
    built = f"torch built for {answer['built_for']}"
    if answer["gpus"]:
        device = Finding("ok", "Device", f"{', '.join(answer['gpus'])}; {built}")
    elif shutil.which("nvidia-smi"):
        fix = "install the torch build for your driver's CUDA version, see pytorch.org"
        device = Finding("advice", "Device", f"a GPU driver, but torch sees no GPU; {built}", fix)
    else:
        text = "no GPU: lessons run on the CPU, the paper profile wants a GPU"
        device = Finding("ok", "Device", f"{text}; {built}")
    if asked.returncode == 0:
        return [device]
    fix = "install the torchvision that belongs to this torch: pip install --upgrade torchvision"
    return [device, Finding("missing", "torchvision works", last_error, fix)]


def _threads() -> Finding:
    cores = os.cpu_count() or 1
    named = os.environ.get("OMP_NUM_THREADS")
    text = f"{cores} cores, OMP_NUM_THREADS {named or 'not set'}"
    if cores > 1 and named != "1":
        fix = "`medkd run` uses one thread per lesson; in JupyterLab set OMP_NUM_THREADS=1"
        return Finding("advice", "Threads", text, fix)
    return Finding("ok", "Threads", text)


def _home() -> list[Finding]:
    home = medkd_home()
    fix = "set MEDKD_HOME to a folder you can write"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return [Finding("missing", "medkd home", f"{home}: cannot be written: {error}", fix)]
    free = shutil.disk_usage(home).free / 1e9
    enough = free >= ENOUGH_DISK_GB
    return [
        Finding("ok", "medkd home", str(home)),
        Finding(
            "ok" if enough else "advice",
            "Free disk",
            f"{free:.1f} GB in {home}",
            ""
            if enough
            else f"phantoms and cached models want about {ENOUGH_DISK_GB:.0f} GB; {fix}",
        ),
    ]


def _extras() -> list[Finding]:
    findings = []
    for name, (purpose, fix) in EXTRAS.items():
        try:
            findings.append(Finding("ok", name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found = f"not installed; only needed for {purpose}"
            findings.append(Finding("advice", name, found, fix))
    return findings
