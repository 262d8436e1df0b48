"""The command `medkd`. Every command imports what it needs when it runs, so the help is quick."""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from medkd_lib.cli_course import course_app
from medkd_lib.cli_data import data_app
from medkd_lib.cli_table import Jobs, Json, print_table
from medkd_lib.threads import one_thread

app = typer.Typer(
    help="Knowledge distillation in medical imaging: run, record, grade, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.add_typer(course_app, name="course")


def main() -> None:
    """Run the command; what a user can mend is one message and exit code 2, not a traceback."""
    try:
        app()
    except Exception as error:
        if not _for_the_user(error):
            raise
        sys.stderr.write(f"medkd: {error}\n")
        sys.exit(2)


def _for_the_user(error: Exception) -> bool:
    """Whether our own code raised this error on purpose; a library's error keeps its traceback."""
    if type(error).__module__.startswith("medkd_lib"):
        return True
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    ours = raised_in.is_relative_to(Path(__file__).resolve().parent)
    return ours and isinstance(error, (ValueError, FileNotFoundError, FileExistsError))


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
    as_json: Json = False,
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
    if as_json:
        typer.echo(json.dumps([o.result.model_dump(mode="json") for o in outcomes], indent=1))
    raise typer.Exit(exit_code(outcomes))


@app.command()
def params(lesson: str, as_json: Json = False) -> None:
    """List a lesson's parameters: name, type, default, rule, meaning."""
    from medkd_lib.course.locate import find_lessons
    from medkd_lib.course.parameters import read_parameters

    found = find_lessons([lesson], Path.cwd())[0]
    parameters = read_parameters(found.notebook)
    if as_json:
        typer.echo(json.dumps([vars(p) for p in parameters], indent=1))
        return
    rows = [(p.name, p.type_text, repr(p.default), p.rule, p.meaning) for p in parameters]
    print_table(("name", "type", "default", "rule", "meaning"), rows)


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
    one_thread()
    from medkd_lib.course.grid import read_grid, results_folder
    from medkd_lib.course.record import record as run_grid

    run_grid(
        read_grid(lesson),
        results_folder(lesson),
        arms=_names(arms),
        seeds=_numbers(seeds),
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
        print_table(
            ("", "subject", "found", "fix"),
            [(f.level, f.subject, f.found, f.fix) for f in findings],
        )
    raise typer.Exit(0 if healthy(findings) else 1)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[int]:
    wrong = [part for part in _names(text) if not part.isdigit()]
    if wrong:
        raise ValueError(f"--seeds: expected numbers such as 0,1,2, found {', '.join(wrong)}")
    return [int(part) for part in _names(text)]
