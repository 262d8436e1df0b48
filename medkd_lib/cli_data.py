"""`medkd data`: manifests and phantom twins."""

import json
from pathlib import Path
from typing import Annotated

import typer

from medkd_lib.cli_table import Jobs, Json, print_table
from medkd_lib.threads import one_thread

data_app = typer.Typer(help="Manifests and phantom twins.", no_args_is_help=True)


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
    print_table(("id", "modality", "task", "access", "licence", "phantom"), rows)


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
    one_thread()
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
