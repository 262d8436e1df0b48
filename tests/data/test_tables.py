"""Tables: encodings, delimiters, keys; every defect has its own kind and names the place."""

from pathlib import Path

import pytest

from medkd_lib.data.problems import DataError
from medkd_lib.data.tables import read_table


def write(folder: Path, content: bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(content)
    return path


GOOD = [{"id": "007", "Größe": "klein"}, {"id": "8", "Größe": "a;b"}]


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-8-sig", "cp1252"),
        ("cp1252", "cp1252"), ("latin-1", "latin-1"), ("utf-16", "utf-16"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, stated: str, end: str) -> None:
    text = end.join(["id,Größe", "007,klein", "", '8,"a;b"', ""])
    path = write(tmp_path, text.encode(encoding))
    assert read_table(path, encoding=stated, required=["id"], unique="id") == GOOD


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_and_a_line_break_in_a_cell(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path, f'a{delimiter}b\n1{delimiter}"x\ny"\n'.encode())
    assert read_table(path, delimiter=delimiter) == [{"a": "1", "b": "x\ny"}]


def test_one_column_is_a_table(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, b"id\n1\n"), required=["id"]) == [{"id": "1"}]
    assert read_table(write(tmp_path, b"a;b\n1\n"), required=["a;b"]) == [{"a;b": "1"}]


DEFECTS: dict[str, tuple[bytes, dict[str, str], str, str]] = {
    "empty": (b"", {}, "empty_file", "0 bytes"),
    "blank": (b"\n , \n", {}, "empty_file", "blank lines"),
    "header only": (b"id,label\n", {}, "empty_table", "none"),
    "xlsx": (b"PK\x03\x04 and more", {}, "not_text", "xlsx"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1", {}, "not_text", "xls"),
    "utf-16 unstated": ("id,label\n1,2\n".encode("utf-16"), {}, "nul_bytes", "utf-16"),
    "nul": (b"id,label\n1,\x002\n", {}, "nul_bytes", "byte 11"),
    "cp1252 as utf-8": ("id,label\n1,groß\n".encode("cp1252"), {}, "wrong_encoding",
                        r"0xdf at position 14 \(line 2\).*cp1252"),
    "no such encoding": (b"id\n1\n", {"encoding": "utf8mb4"}, "unknown_encoding", "utf8mb4"),
    "semicolons": (b"id;label\n1;2\n", {}, "wrong_delimiter", "';' .semicolon"),
    "tabs": (b"id\tlabel, text\n1\t2\n", {"delimiter": ";"}, "wrong_delimiter", "tab"),
    "missing": (b"id,Label \n1,2\n", {}, "missing_column", r"'label'.*nearest is 'Label '"),
    "missing, nothing near": (b"id,zzz\n1,2\n", {}, "missing_column", r"\['id', 'zzz'\];"),
    "column twice": (b"id,label,id\n1,2,3\n", {}, "duplicate_column", "'id'"),
    "short row": (b"id,label\n1,2\n3\n", {}, "ragged_row", "line 3: expected 2 cells.*1"),
    "long row": (b"id,label\n1,2,3\n", {}, "ragged_row", "line 2.*found 3"),
    "key twice": (b"id,label\n1,2\n\n1,3\n", {}, "duplicate_key", "'1' in lines 2 and 4"),
    "open quote": (b'id,label\n1,"2\n', {}, "damaged_table", "line 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", DEFECTS)
def test_defects(tmp_path: Path, case: str) -> None:
    content, options, kind, message = DEFECTS[case]
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        read_table(path, required=["id", "label"], unique="id", **options)
    assert error.value.problem.kind == kind and "labels.csv" in error.value.problem.where


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")


@pytest.mark.real_data
def test_the_real_label_tables(real_data: Path) -> None:
    rows = read_table(
        real_data / "cxr3/labels.csv", required=["file", "label", "split"], unique="file"
    )
    assert len(rows) == 1080 and {r["split"] for r in rows} == {"train", "test"}
    assert len(read_table(real_data / "sts_petctmr/labels.csv")) >= 21
