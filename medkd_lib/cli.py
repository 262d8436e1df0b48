"""The command `medkd`. Every command imports what it needs when it runs, so the help is quick."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Knowledge distillation in medical imaging: run, record, grade, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Manifests and phantom twins.", no_args_is_help=True)
course_app = typer.Typer(help="Build, check and grade the notebooks.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(course_app, name="course")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Jobs = Annotated[int, typer.Option("-j", min=1, help="How many side by side.")]


def main() -> None:
    """Run the command; errors a user can mend are one message and exit code 2, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        sys.stderr.write(f"medkd: {error}\n")
        sys.exit(2)


@app.command()
def run(
    lessons: Annotated[list[str], typer.Argument(help="00, a topic, a path to .ipynb, or all.")],
    param: Annotated[
        list[str] | None, typer.Option("-p", help="name=value, as in `medkd params`.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="smoke | lesson | paper")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run folders.")] = None,
    jobs: Jobs = 1,
    fresh: Annotated[bool, typer.Option(help="Run again what is finished, too.")] = False,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Shorten every training; marks the result truncated.")
    ] = None,
    solutions: Annotated[bool, typer.Option(help="Run the solution notebooks.")] = False,
    cell_timeout: Annotated[float | None, typer.Option(help="Seconds for one cell.")] = None,
) -> None:
    """Run lessons headlessly into run folders.

    Examples: medkd run 00 · medkd run all --profile smoke -j 2 ·
    medkd run 00 -p dataset=cxr3 -p data_root=path/to/cxr3
    """
    from medkd_lib.course.run import exit_code, make_requests, run_lessons

    given: dict[str, object] = {}
    for text in param or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-p {text}: expected name=value, for example -p seed=1")
        given[name.strip()] = value
    caller = Path.cwd()
    requests = make_requests(
        lessons, given, caller=caller, profile=profile, max_steps=max_steps, solutions=solutions
    )
    outcomes = run_lessons(
        requests, caller=caller, out=out, jobs=jobs, fresh=fresh, cell_timeout=cell_timeout
    )
    raise typer.Exit(exit_code(outcomes))


@app.command()
def params(lesson: str, as_json: Json = False) -> None:
    """List a lesson's parameters: name, type, default, rule, meaning."""
    from medkd_lib.course.locate import find_lessons
    from medkd_lib.course.parameters import read_parameters

    (found,) = find_lessons([lesson], Path.cwd())
    parameters = read_parameters(found.notebook)
    if as_json:
        typer.echo(json.dumps([vars(p) for p in parameters], indent=1))
        return
    rows = [(p.name, p.type_text, repr(p.default), p.rule, p.meaning) for p in parameters]
    _table(("name", "type", "default", "rule", "meaning"), rows)


@app.command()
def record(
    lesson: str,
    arms: Annotated[str, typer.Option(help="Comma-separated; default all.")] = "",
    seeds: Annotated[str, typer.Option(help="Comma-separated; default all.")] = "",
    settings: Annotated[str, typer.Option(help="Comma-separated; default all.")] = "",
    jobs: Jobs = 1,
) -> None:
    """Run a lesson's declared experiment (resumable) and write its tables.

    Real images are found through MEDKD_REAL_DATA. Example: medkd record 00 -j 2
    """
    from medkd_lib.course.grid import read_grid, results_folder
    from medkd_lib.course.record import record as run_grid

    run_grid(
        read_grid(lesson),
        results_folder(lesson),
        arms=_names(arms),
        seeds=[int(s) for s in _names(seeds)],
        settings=_names(settings),
        jobs=jobs,
        tell=typer.echo,
    )


@app.command()
def report(folder: Path) -> None:
    """Write index.html and results.csv from the result.json files under FOLDER."""
    from medkd_lib.course.report import write_report

    typer.echo(write_report(folder))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what the machine offers, and how to get what is missing."""
    from medkd_lib.course.doctor import diagnose, healthy

    findings = diagnose()
    if as_json:
        typer.echo(json.dumps([vars(f) for f in findings], indent=1))
    else:
        _table(
            ("", "subject", "found", "fix"),
            [(f.level, f.subject, f.found, f.fix) for f in findings],
        )
    raise typer.Exit(0 if healthy(findings) else 1)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the manifests."""
    from medkd_lib.data.manifest import load_manifest, manifest_ids

    manifests = [load_manifest(name) for name in manifest_ids()]
    if as_json:
        typer.echo(json.dumps([m.model_dump(mode="json") for m in manifests], indent=1))
        return
    rows = [
        (m.id, "/".join(m.modality), "/".join(m.task), m.access.level, m.licence.name,
         "twin" if m.phantom else "")
        for m in manifests
    ]  # fmt: skip
    _table(("id", "modality", "task", "access", "licence", "phantom"), rows)


@data_app.command("show")
def data_show(dataset: str) -> None:
    """Show one manifest: licence, access, how to get it, layout, known issues."""
    import yaml

    from medkd_lib.data.manifest import load_manifest

    content = load_manifest(dataset).model_dump(mode="json")
    typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())


@data_app.command("schema")
def data_schema() -> None:
    """Write data_manifests/schema.json from the manifest model."""
    from medkd_lib.data.manifest import json_schema, manifest_folder

    path = manifest_folder() / "schema.json"
    path.write_text(json_schema(), encoding="utf-8")
    typer.echo(path)


@data_app.command("index")
def data_index(dataset: str, root: Annotated[Path, typer.Option()], as_json: Json = False) -> None:
    """Index a folder: how many cases, patients and labels; what the manifest warns of."""
    from collections import Counter

    from medkd_lib.data.index import index
    from medkd_lib.data.manifest import load_manifest

    found = index(load_manifest(dataset), root.absolute())
    names = found.manifest.labels.names if found.manifest.labels else []
    summary = {
        "dataset": dataset,
        "cases": len(found.cases),
        "patients": len({c.patient for c in found.cases}),
        "splits": dict(Counter(str(c.split) for c in found.cases)),
        "labels": {names[k]: n for k, n in sorted(Counter(found.labels).items())},
        "notes": found.notes,
    }
    if as_json:
        typer.echo(json.dumps(summary, indent=1))
        return
    for key, value in summary.items():
        typer.echo(f"{key:<9} {value}")


@data_app.command("make")
def data_make(
    dataset: str,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the medkd home.")] = None,
    patients: Annotated[int | None, typer.Option(min=1)] = None,
    difficulty: Annotated[str | None, typer.Option(help="As in the manifest.")] = None,
    seed: int = 0,
    jobs: Jobs = 1,
) -> None:
    """Make the phantom twin of a dataset, in the layout of the real release."""
    from medkd_lib.data.manifest import load_manifest
    from medkd_lib.phantom.twin import NoTwinError, make_twin, twin

    manifest = load_manifest(dataset)
    if manifest.phantom is None:
        raise NoTwinError(f"{dataset} has no phantom twin yet; `medkd data show {dataset}`")
    number = patients or manifest.phantom.patients
    wanted = difficulty or manifest.phantom.default_difficulty
    if out is None:
        made = twin(manifest, patients=number, difficulty=wanted, seed=seed, workers=jobs)
    else:
        made = make_twin(
            manifest, out.absolute(), patients=number, difficulty=wanted, seed=seed, workers=jobs
        )
    typer.echo(made)


@course_app.command("build")
def course_build(
    check: Annotated[bool, typer.Option("--check", help="Only say what is stale.")] = False,
) -> None:
    """Build lesson and solution notebooks from notebooks/masters."""
    from medkd_lib.course.build import build_all, stale
    from medkd_lib.course.locate import notebooks_folder

    folder = notebooks_folder(Path.cwd())
    if check:
        messages = stale(folder)
        for message in messages:
            typer.echo(message)
        raise typer.Exit(1 if messages else 0)
    for path in build_all(folder):
        typer.echo(path)


@course_app.command("check")
def course_check() -> None:
    """Report what would break or tire a reader of the lessons; errors fail."""
    from medkd_lib.course.check import check_all
    from medkd_lib.course.locate import notebooks_folder

    findings = check_all(notebooks_folder(Path.cwd()))
    for finding in findings:
        typer.echo(finding)
    raise typer.Exit(1 if any(f.severity == "error" for f in findings) else 0)


@course_app.command("grade")
def course_grade(
    lesson: str,
    submissions: Annotated[Path | None, typer.Option(help="Folder of handed-in .ipynb.")] = None,
    key: Annotated[Path, typer.Option(help="The instructor's key file.")] = Path("instructor.key"),
    out: Annotated[Path, typer.Option()] = Path("grades"),
    jobs: Jobs = 1,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key file first.")] = False,
) -> None:
    """Grade handed-in lessons through otter-grader; the solution is graded first.

    Example: medkd course grade 00 --submissions handed_in --new-key
    """
    from medkd_lib.course import grade as grading
    from medkd_lib.course.locate import find_lessons, notebooks_folder

    if new_key:
        typer.echo(f"new key: {grading.new_key(key)}; keep it out of git")
    if submissions is None:
        if new_key:
            return
        raise ValueError("--submissions: name the folder of the handed-in notebooks")
    (found,) = find_lessons([lesson], Path.cwd())
    master = notebooks_folder(Path.cwd()) / "masters" / f"{found.notebook.stem}.py"
    rows = grading.grade(
        master,
        grading.submissions_in(submissions),
        grading.read_key(key),
        out.absolute(),
        jobs=jobs,
        progress=lambda row: typer.echo(row),
    )
    typer.echo(f"{len(rows)} graded: {out / 'grades.csv'}")


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
