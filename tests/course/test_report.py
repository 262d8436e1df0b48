"""The report: escaped, self-contained, honest about what is no result."""

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medkd_lib.course.report import write_report
from medkd_lib.course.result import (
    Claim,
    Failure,
    Figure,
    Headline,
    Metric,
    Result,
    ResultError,
    write_result,
)

EVIL = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """Collects what a browser would load and show, and checks that tags are closed."""

    VOID = ("meta", "img", "circle", "line", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [str(found[name]) for name in ("href", "src") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data


def metric(arm: str, value: float) -> Metric:
    return Metric(
        name="dice",
        value=value,
        n=12,
        seed=0,
        interval=(value - 0.1, value + 0.1),
        interval_kind="95 % bootstrap",
        arm=arm,
        evidence="phantom",
    )


def add(run_dir: Path, folder: str, **fields: object) -> Path:
    path = run_dir / folder
    path.mkdir(parents=True)
    write_result(path, Result.model_validate({"lesson": folder, "key": "key"} | fields))
    return path


def page(run_dir: Path) -> Page:
    return Page(write_report(run_dir).read_text("utf-8"))


def rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_good_run_shows_numbers_figures_and_links(tmp_path: Path) -> None:
    folder = add(
        tmp_path,
        "04 ünï #1",
        title="Born again",
        metrics=[metric("alone", 0.71), metric("born again", 0.75)],
        headline=Headline(text="It helps a little."),
        figures=[Figure(file="figures/loss 1.png", alt="Loss falls")],
        claims=[Claim(id="ban-1", verdict="undecided at this n")],
        seconds=90,
        budget_seconds=240,
        peak_memory_mb=512,
    )
    (folder / "figures").mkdir()
    (folder / "figures" / "loss 1.png").write_bytes(b"png")
    (folder / "executed.ipynb").write_text("{}")
    shown = page(tmp_path)
    for text in ("It helps a little.", "0.710", "0.610 to 0.810", "12", "ban-1", "512 MB"):
        assert text in shown.text
    assert "1.5 min of 4.0 min" in shown.text and "95 % bootstrap" in shown.text
    assert shown.images[0]["alt"] == "Loss falls"
    quoted = "04%20%C3%BCn%C3%AF%20%231"
    assert f"{quoted}/executed.ipynb" in shown.links
    assert shown.images[0]["src"] == f"{quoted}/figures/loss%201.png"
    assert [row["arm"] for row in rows(tmp_path)] == ["alone", "born again"]
    assert rows(tmp_path)[0]["low"] == str(0.71 - 0.1)


def test_it_needs_no_network_and_no_script(tmp_path: Path) -> None:
    add(tmp_path, "04_x")
    html = write_report(tmp_path).read_text("utf-8")
    assert "script" not in Page(html).tags and "link" not in Page(html).tags
    assert all(not link.startswith(("http", "//")) for link in Page(html).links)
    assert "@import" not in html and "url(" not in html


def test_every_text_is_escaped(tmp_path: Path) -> None:
    add(
        tmp_path,
        "04_x",
        title=EVIL,
        metrics=[metric(EVIL, 0.5)],
        headline=Headline(text=EVIL),
        figures=[Figure(file="x.png", alt=EVIL)],
        claims=[Claim(id=EVIL, verdict=EVIL, note=EVIL)],
        params={EVIL: EVIL},
        versions={EVIL: EVIL},
        reused_from=EVIL,
        profile=EVIL,
    )
    failure = Failure(cell=2, source=EVIL, error=EVIL, traceback=EVIL)
    add(tmp_path, "05 <b>", title=EVIL, status="failed", failure=failure)
    shown = page(tmp_path)
    assert "script" not in shown.tags and "b" not in shown.tags
    assert shown.text.count(EVIL) >= 14


def test_a_truncated_run_is_refused_as_evidence(tmp_path: Path) -> None:
    headline = Headline(text="Far better")
    add(tmp_path, "04_x", truncated=True, metrics=[metric("a", 0.9)], headline=headline)
    shown = page(tmp_path)
    assert "Truncated: not a result." in shown.text and "Far better" not in shown.text
    (row,) = rows(tmp_path)
    assert (row["status"], row["value"], row["metric"]) == ("truncated", "", "")


@pytest.mark.parametrize("status", ["failed", "timeout", "kernel_died"])
def test_a_failed_run_shows_its_cell_and_gives_no_numbers(tmp_path: Path, status: str) -> None:
    failure = Failure(cell=7, source="boom()", error="ValueError: no", traceback="line 1")
    add(tmp_path, "04_x", status=status, failure=failure, metrics=[metric("a", 0.9)])
    shown = page(tmp_path)
    assert "Cell 7: ValueError: no" in shown.text and "boom()" in shown.text
    assert rows(tmp_path)[0]["value"] == ""


def test_broken_and_unfinished_runs_become_cards(tmp_path: Path) -> None:
    for folder, file, text in (
        ("04_broken", "result.json", '{"lesson": "x", "metrics": ['),
        ("05_unknown", "result.json", '{"lesson": "x", "surprise": 1}'),
        ("06_begun", "params.json", "{}"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    running = add(tmp_path, "07_running", key="", headline=Headline(text="Too early"))
    (running / "params.json").write_text("{}")
    shown = page(tmp_path)
    assert shown.text.count("The result file cannot be used.") == 2 and "surprise" in shown.text
    assert shown.text.count("did not come to its end") == 2 and "Too early" not in shown.text
    assert [row["status"] for row in rows(tmp_path)] == ["broken"] * 2 + ["unfinished"] * 2


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="expected a folder of runs"):
        write_report(tmp_path)
    with pytest.raises(ResultError, match="expected a folder of runs"):
        write_report(tmp_path / "missing")
