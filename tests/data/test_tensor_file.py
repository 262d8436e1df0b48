"""Our safetensors bytes against the library's: each reads what the other writes."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from medkd_lib.data.tensor_file import DTYPES, pack, unpack


def tensors() -> dict[str, Tensor]:
    """One of every dtype, with odd lengths, an empty one and a scalar."""
    generator = torch.Generator().manual_seed(0)
    out = {
        f"{name} x": torch.randint(0, 2, (3, 5), generator=generator).to(dtype)
        for name, dtype in DTYPES.items()
    }
    return out | {"empty": torch.zeros(0, 4), "scalar": torch.tensor(2.5), "é": torch.ones(1)}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert other[name].dtype == tensor.dtype and other[name].shape == tensor.shape
        assert torch.equal(other[name], tensor), name


def test_the_library_reads_our_bytes() -> None:
    assert_equal(tensors(), load(pack(tensors(), {"a": 1})))


def test_we_read_the_library_s_bytes() -> None:
    blob = save(tensors(), {"note": '{"a": [1, "b"]}'})
    entry = unpack(BytesIO(blob))
    assert_equal(tensors(), entry.tensors)
    assert entry.note == {"a": [1, "b"]}


def test_there_and_back() -> None:
    digest, blob = hashlib.sha256(), pack(tensors(), {"a": None})
    entry = unpack(BytesIO(blob), digest.update)
    assert digest.digest() == hashlib.sha256(blob).digest()
    assert_equal(tensors(), entry.tensors)
    assert entry.note == {"a": None}
    entry.tensors["F32 x"].add_(1)  # may be written to
    assert pack(tensors(), {}) == pack(dict(reversed(tensors().items())), {})


@pytest.mark.parametrize("cut", [0, 4, 60, -1])
def test_half_a_file_is_no_file(cut: int) -> None:
    with pytest.raises(ValueError):
        unpack(BytesIO(pack(tensors(), {})[:cut]))


def test_a_header_that_lies_reserves_no_memory() -> None:
    blob = pack({"x": torch.zeros(3)}, {})
    for old, new in ((b"[3]", b"[9]"), (b"[0,12]", b"[4,16]"), (b'"F32"', b'"F64"')):
        with pytest.raises(ValueError, match="do not fit its shape"):
            unpack(BytesIO(blob.replace(old, new)))
    with pytest.raises(ValueError, match="behind the last tensor"):
        unpack(BytesIO(blob + b"x"))


def test_each_tensor_has_its_own_memory(tmp_path: Path) -> None:
    torch.save(unpack(BytesIO(pack(tensors(), {}))).tensors, tmp_path / "x.pt")
    assert_equal(tensors(), torch.load(tmp_path / "x.pt", weights_only=True))


def test_what_the_format_cannot_hold_is_refused() -> None:
    with pytest.raises(KeyError, match="complex64"):
        pack({"x": torch.zeros(2, dtype=torch.complex64)}, {})
