"""The student leaves the lab: a file that runs without teacher, training code or this package."""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

Classifier = Callable[[Tensor], Tensor]

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# An export that has frozen the batch size shows at once.
BATCH_SIZES = (1, 5)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Exported:
    """Files that passed the check, and how far their logits are from the network's.

    ``differences`` maps ``"pt2"`` and ``"onnx"`` to the largest difference of a logit, divided by
    the largest logit if that is above 1.
    """

    program: Path
    onnx: Path | None
    differences: Mapping[str, float]


def missing_onnx_packages() -> list[str]:
    """Return which of the packages for ONNX are not installed."""
    return [name for name in ONNX_PACKAGES if find_spec(name) is None]


def export_student(network: nn.Module, example: Tensor, folder: Path, *, onnx: bool) -> Exported:
    r"""Write ``student.pt2`` and, if asked for, ``student.onnx``; both take any batch size.

    Each file is read back and run with batches of 1 and 5 on the CPU. It is kept only if

    $$\max_{nc}\lvert z^{\mathrm{file}}_{nc} - z_{nc}\rvert \le 10^{-5}\,
    \max(1, \max_{nc}\lvert z_{nc}\rvert)$$

    The relative part is there because logits of 100 have no fifth decimal in float32.

    Args:
        network: one tensor in, logits out; exported as a copy in eval mode on the CPU, so
            dropout is off and batch norm uses its running statistics.
        example: ``(N, C, H, W)`` images; the files expect this C, H, W and type.
        folder: made if it is not there; files of an earlier export are replaced.
        onnx: also write ONNX (the extra ``onnx``); ask `missing_onnx_packages` first where it
            may be absent.

    Raises:
        ModuleNotFoundError: ONNX is asked for and a package is missing.
        ValueError: an exported file gives other logits.
    """
    missing = missing_onnx_packages() if onnx else []
    if missing:
        raise ModuleNotFoundError(
            f"ONNX export needs {', '.join(ONNX_PACKAGES)}; not installed: {', '.join(missing)}. "
            "Run: pip install 'medkd[onnx]', or export with onnx=False"
        )
    network = copy.deepcopy(network).cpu().eval()
    rows = torch.arange(max(BATCH_SIZES)) % len(example)
    images = example.detach().cpu()[rows]
    # Traced with five images: with one, the tracer would take the batch size for a constant.
    program = torch.export.export(
        network, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as unchecked:
        files = {"pt2": Path(unchecked) / "student.pt2"}
        with warnings.catch_warnings():
            # Said of any program, since views of one storage are written apart.
            warnings.filterwarnings("ignore", message="No complete tensor found")
            torch.export.save(program, files["pt2"])
        if onnx:
            files["onnx"] = Path(unchecked) / "student.onnx"
            _save_onnx(program, files["onnx"])
        differences = {kind: _difference(network, images, path) for kind, path in files.items()}
        wrong = {kind: d for kind, d in differences.items() if not d <= TOLERANCE}
        if wrong:
            raise ValueError(
                f"{folder}: expected the network's logits to {TOLERANCE}, found differences of "
                f"{wrong}; nothing was written. Does the forward pass draw random numbers, or "
                "branch on its input?"
            )
        kept = {kind: path.replace(folder / path.name) for kind, path in files.items()}
    return Exported(kept["pt2"], kept.get("onnx"), differences)


def load_exported(path: Path) -> Classifier:
    """Return an exported file, ``.pt2`` or ``.onnx``, as a function from CPU images to logits."""
    if path.suffix == ".onnx":
        import onnxruntime  # an extra: this module must be importable without it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    return torch.no_grad()(torch.export.load(path).module())


def _save_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    torch.onnx.export(
        program,
        f=path,
        dynamo=True,
        external_data=False,  # one file to hand over; ONNX's limit is 2 GB
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: "batch"},),  # the name that readers of the file see
        verbose=False,
    )


@torch.no_grad()
def _difference(network: nn.Module, images: Tensor, path: Path) -> float:
    """Return the largest relative difference over the batch sizes (NaN if a logit is NaN)."""
    exported = load_exported(path)
    found = []
    for size in BATCH_SIZES:
        logits = network(images[:size])
        scale = logits.abs().max().clamp(min=1)
        found.append((exported(images[:size]) - logits).abs().max() / scale)
    return float(torch.stack(found).max())
