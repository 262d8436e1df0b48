"""Series read quickly hold what pydicom finds, and what is not plain is left to pydicom."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ImplicitVRLittleEndian

from medkd_lib.data.dicom_quick import SeriesReader
from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.pet_header import PETHeader
from medkd_lib.data.pet_series import TAGS, read_headers
from medkd_lib.phantom.dicom_files import write_ct_series, write_pet_series

START = datetime(2021, 5, 4, 9, 30)


def pet_folder(folder: Path) -> Path:
    activity = np.random.default_rng(0).uniform(0.0, 9e3, (6, 5, 4))
    return write_pet_series(
        folder, activity, np.diag([4.0, 4.0, 5.0, 1.0]), weight_kg=71.5, injected_bq=3e8,
        injection_time=START, series_time=START + timedelta(minutes=61),
    )  # fmt: skip


def ct_folder(folder: Path) -> Path:
    hu = np.random.default_rng(1).normal(0.0, 90.0, (6, 5, 4))
    return write_ct_series(
        folder, hu, np.diag([-2.0, -2.0, 5.0, 1.0]), tags={"BodyPartExamined": ""}
    )


@pytest.mark.parametrize("make", [ct_folder, pet_folder])
def test_every_file_is_what_pydicom_reads(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    reader = SeriesReader()
    for n, path in enumerate(sorted(make(tmp_path / "s").iterdir())):
        quick, slow = reader.read(path), dcmread(path)
        assert quick is not None
        if n > 0:
            # only what the writer varies from slice to slice
            assert reader.own is not None
            assert {BaseTag(t) for t in reader.own} <= {
                Tag(k) for k in ("SOPInstanceUID", "InstanceNumber", "ImageIndex", "RescaleSlope",
                                 "ImagePositionPatient", "PixelData")
            }  # fmt: skip
        assert quick.file_meta == slow.file_meta
        assert Dataset(quick) == Dataset(slow)
        assert np.array_equal(quick.pixel_array, slow.pixel_array)
        reader.keep(quick)


def test_other_character_sets_share_nothing(tmp_path: Path) -> None:
    folder = ct_folder(tmp_path / "s")
    first, second = sorted(folder.iterdir())[:2]
    for path, charset in ((first, "ISO_IR 100"), (second, "ISO_IR 144")):
        file = dcmread(path)
        file.SpecificCharacterSet = charset
        file.StudyDescription = ""
        file.save_as(path)
        content = path.read_bytes()
        # one byte that is a letter of its own in either set
        path.write_bytes(
            content.replace(b"\x08\x00\x30\x10LO\0\0", b"\x08\x00\x30\x10LO\x02\0\xc4\xd0")
        )
    reader = SeriesReader()
    one = reader.read(first)
    assert one is not None
    western = str(one.StudyDescription)
    reader.keep(one)
    two = reader.read(second)
    assert two is not None and reader.own is None
    assert two.StudyDescription == dcmread(second).StudyDescription != western


def test_what_is_not_plain_is_left_to_pydicom(tmp_path: Path) -> None:
    path = sorted(ct_folder(tmp_path / "s").iterdir())[0]
    content = path.read_bytes()
    odd = {"cut": content[:-3], "no preamble": content[132:], "tail": content + b"\0" * 5}
    odd["unknown VR"] = content.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00Q?")
    for name, changed in odd.items():
        (tmp_path / "odd.dcm").write_bytes(changed)
        assert changed != content
        assert SeriesReader().read(tmp_path / "odd.dcm") is None, name
    file = dcmread(path)
    file.ReferencedImageSequence = [Dataset()]
    file["ReferencedImageSequence"].is_undefined_length = True
    file.save_as(tmp_path / "undefined.dcm")
    assert SeriesReader().read(tmp_path / "undefined.dcm") is None
    file = dcmread(path)
    file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file.save_as(tmp_path / "implicit.dcm", implicit_vr=True, little_endian=True)
    assert SeriesReader().read(tmp_path / "implicit.dcm") is None


class Watched(Dataset):
    """A data set that notes which tags are asked for."""

    def note(self, key: Any) -> None:
        """Note a tag, however it is written."""
        self.__dict__.setdefault("asked", set()).add(Tag(key))

    def get(self, key: Any, default: Any = None) -> Any:
        """Note and answer."""
        self.note(key)
        return super().get(key, default)

    def __contains__(self, key: Any) -> bool:
        self.note(key)
        return super().__contains__(key)

    def __getitem__(self, key: Any) -> Any:
        """Note and answer."""
        self.note(key)
        return super().__getitem__(key)


def test_pet_headers_are_shared_only_by_slices_that_say_the_same(tmp_path: Path) -> None:
    folder = pet_folder(tmp_path / "s")
    paths = sorted(folder.iterdir())
    later = dcmread(paths[2])
    later.AcquisitionTime = "104500"
    later.save_as(paths[2])
    reader, slices = SeriesReader(), []
    for path in paths:
        header = reader.read(path)
        assert header is not None
        reader.keep(header)
        slices.append(Slice(path, header))
    assert read_headers(slices) == [PETHeader.of(dcmread(p), p) for p in paths]


def test_all_that_a_pet_header_asks_for_tells_slices_apart(tmp_path: Path) -> None:
    watched = Watched(dcmread(sorted(pet_folder(tmp_path / "s").iterdir())[0]))
    watched.add_new((0x7053, 0x0010), "LO", "Philips PET Private Group")
    watched.add_new((0x7053, 0x1000), "DS", "2")
    watched.add_new((0x7053, 0x1009), "DS", "3")
    watched.__dict__["asked"] = set()
    PETHeader.of(watched)
    # pydicom's own questions when it converts text and numbers
    inner = {Tag("SpecificCharacterSet"), Tag("PixelRepresentation")}
    assert watched.__dict__["asked"] - inner == set(TAGS)
