"""The three written collages: layout, people they share, copies, defects, and the shortcut."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medkd_lib.data.apart import LeakageError, require_apart
from medkd_lib.data.check import check
from medkd_lib.data.index import index, scan
from medkd_lib.data.look_alikes import look_alikes
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.covid_qu_ex import write_covid_qu_ex
from medkd_lib.phantom.covid_radiography import write_covid_radiography
from medkd_lib.phantom.covidx_cxr3 import write_covidx_cxr3
from medkd_lib.phantom.film_set import FILM_VERSION
from medkd_lib.phantom.twin import make_twin

WRITERS: Mapping[str, Callable[..., Path]] = {
    "covid_radiography": write_covid_radiography,
    "covid_qu_ex": write_covid_qu_ex,
    "covidx_cxr3": write_covidx_cxr3,
}
PATIENTS = {"covid_radiography": 40, "covid_qu_ex": 40, "covidx_cxr3": 20}
PATTERNS = {
    "covid_radiography": r"COVID-19_Radiography_Dataset/(?P<label>COVID|Normal|Lung_Opacity|"
    r"Viral Pneumonia)/images/(?P=label)-\d+\.png",
    "covid_qu_ex": r"Lung Segmentation Data/Lung Segmentation Data/(Train|Val|Test)/"
    r"(?:(?P<label>COVID-19)/images/covid_\d+|(?P<other>Non-COVID)/images/non_COVID \(\d+\)|"
    r"(?P<well>Normal)/images/Normal \(\d+\))\.png",
    "covidx_cxr3": r"(train|test)/[\w.-]+\.(png|jpg)",
}

Made = Callable[[str], Path]
Row = dict[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folder of a small twin of seed 5, written once."""
    top = tmp_path_factory.mktemp("collages")

    def of(dataset: str) -> Path:
        out: Path = top / dataset
        if not out.exists():
            WRITERS[dataset](out, patients=PATIENTS[dataset], seed=5, difficulty="clear")
        return out

    return of


def rows_of(root: Path) -> list[Row]:
    with (root / "truth.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def pixels(root: Path, row: Row) -> NDArray[np.uint8]:
    with Image.open(root / row["file"]) as image:
        return np.asarray(image.convert("L"))


def thumbnails(root: Path, rows: list[Row], side: int = 64) -> torch.Tensor:
    films = [
        np.asarray(Image.fromarray(pixels(root, row)).resize((side, side), Image.Resampling.BOX))
        for row in rows
    ]
    return torch.tensor(np.array(films), dtype=torch.float32)[:, None]


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dataset", WRITERS)
def test_layout_is_the_real_sets(made: Made, dataset: str) -> None:
    root, rows = made(dataset), rows_of(made(dataset))
    films = [
        path
        for path in root.rglob("*.*")
        if path.suffix in (".png", ".jpg") and "masks" not in path.parent.name
    ]
    assert {p.relative_to(root).as_posix() for p in films} == {row["file"] for row in rows}
    for row in rows:
        match = re.fullmatch(PATTERNS[dataset], row["file"])
        assert match is not None, row["file"]
        told = [label for label in match.groupdict().values() if label]
        assert told in ([], [row["label"]])
    if dataset != "covidx_cxr3":
        folder = "masks" if dataset == "covid_radiography" else "lung masks"
        for path in films:
            with Image.open(path.parents[1] / folder / path.name) as mask:
                assert (mask.mode, mask.size) == ("L", (128, 128))
                assert set(np.unique(np.asarray(mask))) == {0, 255}
    text = (root / "SOURCE.txt").read_text(encoding="utf-8")
    assert text.startswith("SYNTHETIC IMAGES")
    for words in ("seed: 5", "difficulty: clear", "shortcut: 1.0", f"version {FILM_VERSION}"):
        assert words in text


def test_films_have_the_sizes_that_are_stated(made: Made, tmp_path: Path) -> None:
    edges = {"covid_radiography": (150, 299), "covid_qu_ex": (128, 256), "covidx_cxr3": (160, 320)}
    for dataset, (small, full) in edges.items():
        assert {pixels(made(dataset), row).shape for row in rows_of(made(dataset))} == {
            (small, small)
        }
        root = WRITERS[dataset](tmp_path / dataset, patients=1, size="full")
        assert {pixels(root, row).shape for row in rows_of(root)} == {(full, full)}
    (sheet,) = {p.name for p in made("covid_radiography").rglob("Viral*.xlsx")}
    assert sheet == "Viral Pneumonia.metadata.xlsx"


def test_the_lists_name_every_film_with_its_patient(made: Made) -> None:
    root = made("covidx_cxr3")
    truth = {Path(row["file"]).name: row for row in rows_of(root)}
    for split in ("train", "test"):
        for line in (root / f"{split}.txt").read_text(encoding="utf-8").splitlines():
            patient, name, label, source = line.split(" ")
            row = truth.pop(name)
            assert (patient, label, split) == (row["patient"], row["label"], row["split"])
            assert source == {"web": "sirm"}.get(row["source"], row["source"])
    assert not truth
    found = index(load_manifest("covidx_cxr3"), root)
    assert {c.id: c.patient for c in found.cases} == {
        Path(row["file"]).name: row["patient"] for row in rows_of(root)
    }


@pytest.mark.parametrize("dataset", WRITERS)
def test_more_patients_and_more_workers_change_no_film(
    made: Made, dataset: str, tmp_path: Path
) -> None:
    whole = hashes(made(dataset))
    workers = 2 if dataset == "covid_radiography" else 1
    few = WRITERS[dataset](
        tmp_path / "few", patients=4, seed=5, difficulty="clear", workers=workers
    )
    films = {k: v for k, v in hashes(few).items() if k.endswith((".png", ".jpg"))}
    assert films and films.items() <= whole.items()
    other = WRITERS[dataset](tmp_path / "other", patients=2, seed=6, difficulty="clear")
    theirs = {r["file"]: hashes(other)[r["file"]] for r in rows_of(other)}
    assert not set(theirs.values()) & set(whole.values())


def test_sets_of_one_seed_share_films_and_the_loader_refuses_them(made: Made) -> None:
    roots = {dataset: made(dataset) for dataset in WRITERS}
    rows = {dataset: rows_of(root) for dataset, root in roots.items()}
    for one, other in (
        ("covid_radiography", "covid_qu_ex"),
        ("covid_radiography", "covidx_cxr3"),
        ("covid_qu_ex", "covidx_cxr3"),
    ):
        same = {
            (i, j)
            for i, a in enumerate(rows[one])
            for j, b in enumerate(rows[other])
            if (a["person"], a["take"]) == (b["person"], b["take"])
        }
        # what is the same exposure by its truth looks the same, and hardly anything else does
        plain = {
            (i, j) for i, j in same if not (rows[one][i]["copy_of"] + rows[other][j]["copy_of"])
        }
        assert plain, f"{one} and {other} of one seed have no film in common"
        found = {
            (p.first, p.second)
            for p in look_alikes(
                thumbnails(roots[one], rows[one]), thumbnails(roots[other], rows[other]), least=0.9
            )
        }
        assert plain <= found
        people = [(rows[one][i]["person"], rows[other][j]["person"]) for i, j in found]
        assert np.mean([a == b for a, b in people]) > 0.9
        indexes = [index(load_manifest(name), roots[name]) for name in (one, other)]
        with pytest.raises(LeakageError, match="share patients"):
            require_apart(*indexes)


def test_near_duplicates_have_other_bytes_and_are_found_by_their_looks(made: Made) -> None:
    root = made("covid_radiography")
    rows = rows_of(root)
    number = {row["file"]: n for n, row in enumerate(rows)}
    copies = [row for row in rows if row["copy_of"]]
    assert copies, "none was drawn: another seed"
    assert len(set(hashes(root)[row["file"]] for row in rows)) == len(rows)
    films = thumbnails(root, rows)
    found = {(p.first, p.second) for p in look_alikes(films, films, least=0.9)}
    for row in copies:
        pair = (number[row["file"]], number[row["copy_of"]])
        if row["copy_kind"] != "cropped":  # a crop is what the docstring says is not found
            assert pair in found, row["copy_kind"]
        original = rows[pair[1]]
        assert (row["person"], row["take"]) == (original["person"], original["take"])


@pytest.mark.parametrize("dataset", WRITERS)
def test_planted_defects_are_told_or_mended(dataset: str, tmp_path: Path) -> None:
    manifest = load_manifest(dataset)
    root = make_twin(
        manifest, tmp_path / "t", patients=3, difficulty="clear", seed=2, known_issues=True
    )
    with (root / "known_issues.csv").open(newline="", encoding="utf-8") as handle:
        planted = {row["case"]: row["kind"] for row in csv.DictReader(handle)}
    kinds = Counter(planted.values())
    assert kinds["exact_copy"] == kinds["truncated_file"] == 1
    found = scan(manifest, root)
    (note,) = [n for n in found.notes if n.startswith("dedupe")]
    copy = next(case for case, kind in planted.items() if kind == "exact_copy")
    # of two equal files the one with the first name stays
    assert "dedupe (1 cases" in note and len({copy} & {c.id for c in found.cases}) in (0, 1)
    told = {p.kind for p in check(manifest, root)}
    expected = {"truncated"}
    if dataset == "covidx_cxr3":
        expected |= {"no_patient", "no_images"}
        assert kinds["unlisted_film"] == kinds["listed_without_film"] == 1
    assert told == expected
    truth = {row["file"]: row for row in rows_of(root)}
    assert {r["known_issue"] for r in truth.values()} - {""} == set(kinds) - {"listed_without_film"}


def border_score(rows: list[Row], films: torch.Tensor, what: str) -> float:
    """Balanced accuracy of a linear model on the outer two of 16 × 16 pixels, people divided."""
    small = torch.nn.functional.adaptive_avg_pool2d(films, 16)[:, 0].numpy()
    rim = np.ones((16, 16), bool)
    rim[2:-2, 2:-2] = False
    labels = np.array([row[what] for row in rows])
    people = np.unique([row["person"] for row in rows], return_inverse=True)[1]
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    )
    parts = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    told = cross_val_predict(model, small[:, rim], labels, cv=parts, groups=people)
    return float(balanced_accuracy_score(labels, told))


def test_the_rim_tells_the_class_only_while_the_source_follows_it(tmp_path: Path) -> None:
    scores = {}
    for shortcut in (1.0, 0.0):
        # labels without any effect on the lungs: what is left is the source
        root = make_twin(
            load_manifest("covid_qu_ex"), tmp_path / str(shortcut), patients=90,
            difficulty="none", seed=3, shortcut=shortcut,
        )  # fmt: skip
        rows = rows_of(root)
        films = thumbnails(root, rows, 16)
        scores[shortcut] = border_score(rows, films, "label")
        if shortcut == 0.0:
            assert border_score(rows, films, "child") > 0.8, "sources look different all the same"
    # three classes; four standard errors of 90 films are 0.20
    assert scores[1.0] > 0.6 and scores[0.0] < 1 / 3 + 0.20, scores


@pytest.mark.parametrize("dataset", WRITERS)
def test_wrong_requests_are_refused_before_any_work(dataset: str, tmp_path: Path) -> None:
    write = WRITERS[dataset]
    for wrong, words in (
        ({"difficulty": "hard"}, "difficulty"),
        ({"size": "huge"}, "size"),
        ({"shortcut": 1.5}, "shortcut"),
        ({"patients": 0}, "patients"),
    ):
        with pytest.raises(ValueError, match=words):
            write(tmp_path / "t", **({"patients": 1} | wrong))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="empty folder"):
        write(tmp_path, patients=1)
    with pytest.raises(ValueError, match="shortcut is of"):
        make_twin(
            load_manifest("cxr3"), tmp_path / "c", patients=1, difficulty="clear", seed=0,
            shortcut=0.5,
        )  # fmt: skip
