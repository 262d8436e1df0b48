"""`medkd course`: build, check and grade the notebooks."""

from pathlib import Path
from typing import Annotated

import typer

from medkd_lib.cli_table import Jobs

course_app = typer.Typer(help="Build, check and grade the notebooks.", no_args_is_help=True)


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


@course_app.command("readme")
def course_readme() -> None:
    """Refresh the results table of README.md from the recorded tables."""
    from medkd_lib.course.locate import notebooks_folder
    from medkd_lib.course.readme import refreshed

    path = notebooks_folder(Path.cwd()).parent / "README.md"
    path.write_text(refreshed(path), encoding="utf-8")
    typer.echo(path)


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
    found = find_lessons([lesson], Path.cwd())[0]
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


@course_app.command("nbgrader")
def course_nbgrader(
    lesson: str,
    out: Annotated[Path, typer.Option(help="Folder of the nbgrader course.")],
    key: Annotated[Path, typer.Option(help="The instructor's key file.")] = Path("instructor.key"),
) -> None:
    """Write a lesson's exercises as an nbgrader source notebook, with the course's settings.

    It holds solutions and hidden checks: keep it private; nbgrader takes them out on release.
    """
    from medkd_lib.course.grade import read_key
    from medkd_lib.course.locate import find_lessons, notebooks_folder
    from medkd_lib.course.nbgrader import write_nbgrader

    found = find_lessons([lesson], Path.cwd())[0]
    master = notebooks_folder(Path.cwd()) / "masters" / f"{found.notebook.stem}.py"
    for path in write_nbgrader(master, read_key(key), out.absolute()):
        typer.echo(path)
