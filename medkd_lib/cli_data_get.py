"""`medkd data get`: download and verify, or verify what was fetched by other means."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medkd_lib.cli_table import Json

if TYPE_CHECKING:
    from medkd_lib.data.manifest import Manifest
    from medkd_lib.data.problems import Problem

EXIT_NOT_OBTAINABLE = 1
EXIT_YOUR_TURN = 3


def register(app: typer.Typer) -> None:
    """Add the command `get` to the app of `medkd data`."""
    app.command("get")(data_get)


def data_get(
    dataset: str,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the medkd home.")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read its licence and say yes.")
    ] = False,
    brought: Annotated[
        Path | None,
        typer.Option("--from", help="Verify this file or folder instead of downloading."),
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Only this file; may be given several times.")
    ] = None,
    source: Annotated[int, typer.Option(min=1, help="Which of several downloads.")] = 1,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Take files whose hash nobody published.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch a dataset, verified and unpacked, and say how to use it.

    Exit code 0: it is there; 3: its host wants a person, the steps are shown; 1: nobody can
    fetch it; 2: something is wrong, the message says what.

    Examples: medkd data get breastmnist --accept-licence ·
    medkd data get isles2022 --out path/to/isles · medkd data get kits23 --from path/to/kits23
    """
    from medkd_lib.data.fetch import get
    from medkd_lib.data.fetch_plan import NotObtainableError, YourTurnError
    from medkd_lib.data.manifest import load_manifest

    manifest = load_manifest(dataset)
    notes: list[Problem] = []
    if brought is not None:
        _bring(manifest, brought, out, unverified, as_json)
        return
    try:
        agreed = accept_licence or _ask(manifest)
        root = get(
            manifest, out, accept_licence=agreed, progress=sys.stderr.isatty(),
            unverified=unverified, files=file or (), source=source, notes=notes,
        )  # fmt: skip
    except (YourTurnError, NotObtainableError) as error:
        yours = isinstance(error, YourTurnError)
        typer.echo(json.dumps({"steps": str(error)}) if as_json else str(error))
        raise typer.Exit(EXIT_YOUR_TURN if yours else EXIT_NOT_OBTAINABLE) from error
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise
    _report(manifest, root, None, notes, as_json)


def _ask(manifest: Manifest) -> bool:
    """Show the licence and ask, if somebody is there and a download is possible at all."""
    from medkd_lib.data.fetch_plan import is_automatic
    from medkd_lib.data.host_steps import licence_text

    if not is_automatic(manifest) or not sys.stdin.isatty():
        return False
    typer.echo(licence_text(manifest), err=True)
    return typer.confirm("Do you accept this licence?", err=True)


def _bring(
    manifest: Manifest, path: Path, out: Path | None, unverified: bool, as_json: bool
) -> None:
    from medkd_lib.data.bring import bring

    done = bring(manifest, path, out, unverified=unverified)
    _report(manifest, done.root, done.cases, done.problems, as_json)


def _report(
    manifest: Manifest, root: Path, cases: int | None, problems: Sequence[Problem], as_json: bool
) -> None:
    if as_json:
        found = [vars(p) for p in problems]
        shown = {"dataset": manifest.id, "data_root": str(root), "cases": cases, "problems": found}
        typer.echo(json.dumps(shown, indent=1))
        return
    for problem in problems:
        typer.echo(f"{problem.severity}: {problem}", err=True)
    if cases is not None:
        typer.echo(f"{cases} cases of {manifest.id}")
    typer.echo(f"data_root: {root}")
    typer.echo(f"next: medkd data check {manifest.id} --root {root}")
