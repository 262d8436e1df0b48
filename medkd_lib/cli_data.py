"""`medkd data`: manifests, downloads, phantom twins, checks."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from medkd_lib.cli_data_get import register as register_get
from medkd_lib.cli_table import Jobs, Json, print_table
from medkd_lib.threads import one_thread

data_app = typer.Typer(help="Manifests, downloads, phantom twins, checks.", no_args_is_help=True)
register_get(data_app)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the manifests: what each set is, who may have it, and what is here."""
    from medkd_lib.data.here import here
    from medkd_lib.data.manifest import load_manifest, manifest_ids

    manifests = [load_manifest(name) for name in manifest_ids()]
    if as_json:
        typer.echo(json.dumps([m.model_dump(mode="json") for m in manifests], indent=1))
        return
    rows = [
        (m.id, "/".join(m.modality), "/".join(m.task), m.access.level, _size(m.size_mb),
         m.licence.spdx or m.licence.name, ", ".join(here(m)))
        for m in manifests
    ]  # fmt: skip
    print_table(("id", "modality", "task", "access", "size", "licence", "here"), rows)


def _size(megabytes: float | None) -> str:
    if megabytes is None:
        return "?"
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.3g} MB"


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
    space = found.manifest.case_labels
    names: dict[int | None, str] = {v.id: v.name for v in space.values} if space else {}
    summary = {
        "dataset": dataset,
        "cases": len(found.cases),
        "patients": len({c.patient for c in found.cases}),
        "files": dict(Counter(role for c in found.cases for role in c.files)),
        "splits": dict(Counter(str(c.split) for c in found.cases)),
        "labels": dict(Counter(names.get(c.label, "none") for c in found.cases)) if names else {},
        "notes": found.notes,
        "problems": [str(p) for p in found.problems],
    }
    if as_json:
        typer.echo(json.dumps(summary, indent=1))
        return
    for key, value in summary.items():
        typer.echo(f"{key:<9} {value}")


@data_app.command("check")
def data_check(dataset: str, root: Annotated[Path, typer.Option()], as_json: Json = False) -> None:
    """Open every file of a folder and list every problem; exit code 1 if any is an error.

    One line per problem, its files as they lie under the root.

    Example: medkd data check brats2023_gli --root path/to/BraTS2023
    """
    from dataclasses import asdict

    from tqdm import tqdm

    from medkd_lib.data.check import check
    from medkd_lib.data.manifest import load_manifest

    opened: list[str] = []
    with tqdm(unit=" cases", desc=dataset, leave=False, disable=None) as bar:

        def progress(case: str) -> None:
            opened.append(case)
            bar.update()

        problems = check(load_manifest(dataset), root.absolute(), progress)
    errors = sum(p.severity == "error" for p in problems)
    if as_json:
        typer.echo(json.dumps([asdict(p) for p in problems], indent=1))
    else:
        for p in problems:
            # No table: a cell cuts long paths, and the file is what the reader needs.
            text = str(p).replace(f"{root.absolute()}{os.sep}", "")
            typer.echo(f"{p.severity:<9}{p.kind:<19}{text}")
        typer.echo(
            f"{dataset}: {len(opened)} cases opened, {errors} errors, {len(problems)} problems"
        )
    if errors:
        raise typer.Exit(1)


@data_app.command("make")
def data_make(
    dataset: str,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the medkd home.")] = None,
    patients: Annotated[int | None, typer.Option(min=1)] = None,
    size: Annotated[str | None, typer.Option(help="small or full; default: small.")] = None,
    difficulty: Annotated[str | None, typer.Option(help="As in the manifest.")] = None,
    seed: int = 0,
    shortcut: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Films of many sources: 1 the class tells the source."),
    ] = None,
    with_known_issues: Annotated[
        bool, typer.Option("--with-known-issues", help="Add the release's broken cases.")
    ] = False,
    jobs: Jobs = 1,
) -> None:
    """Make the phantom twin of a dataset, in the layout of the real release.

    Example: medkd data make brats2023_gli --patients 4 --size full --out twin
    """
    one_thread()
    from medkd_lib.data.manifest import load_manifest
    from medkd_lib.phantom.twin import NoTwinError, make_twin, twin

    manifest = load_manifest(dataset)
    if manifest.phantom is None:
        raise NoTwinError(f"{dataset} has no phantom twin yet; `medkd data show {dataset}`")
    number = patients or manifest.phantom.patients
    wanted = difficulty or manifest.phantom.default_difficulty
    if out is None and not with_known_issues:
        made = twin(
            manifest, patients=number, difficulty=wanted, seed=seed, workers=jobs, size=size,
            shortcut=shortcut,
        )  # fmt: skip
    elif out is None:
        raise ValueError("--out: expected a folder for a twin with broken cases, found none")
    else:
        made = make_twin(
            manifest, out.absolute(), patients=number, difficulty=wanted, seed=seed, workers=jobs,
            size=size, known_issues=with_known_issues, shortcut=shortcut,
        )  # fmt: skip
    typer.echo(made)
