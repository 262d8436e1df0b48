"""How a person fetches a dataset from a host that wants a person: commands, variables, steps."""

from __future__ import annotations

import shlex
from pathlib import Path

from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import Download

# Environment variables that the hosts' own tools read; a manifest may name further ones.
TOKENS = {
    "synapse": ["SYNAPSE_AUTH_TOKEN"],
    "kaggle": ["KAGGLE_API_TOKEN"],
    "huggingface": ["HF_TOKEN"],
    "roboflow": ["ROBOFLOW_API_KEY"],
}
TOOLS = {
    "idc": "idc-index",
    "synapse": "synapseclient",
    "kaggle": "kaggle",
    "huggingface": "huggingface_hub",
    "roboflow": "roboflow",
}


def steps(manifest: Manifest, folder: Path) -> str:
    """Return numbered steps to get the data by hand, ending with the command that verifies them.

    Args:
        manifest: the dataset.
        folder: where the commands put the files.
    """
    level = manifest.access.level
    if level in ("blocked", "private"):
        head = {
            "blocked": "cannot be fetched: what identifies it is missing",
            "private": "is private: only its owners have it",
        }[level]
        lines = [f"{manifest.id} {head}.", *_numbered(manifest.access.steps)]
        return "\n".join([*lines, *([f"See {manifest.access.url}"] if manifest.access.url else [])])
    todo = list(manifest.access.steps)
    tokens = list(manifest.access.env)
    for download in manifest.download:
        tokens += [t for t in TOKENS.get(download.method, []) if t not in tokens]
        todo += _commands(download, folder)
    todo.append(
        "Verify what you have: "
        f"medkd data get {manifest.id} --from {shlex.quote(str(folder))}"
    )  # fmt: skip
    lines = [
        f"{manifest.id}: {_reason(manifest)}",
        *([f"Page: {manifest.access.url}"] if manifest.access.url else []),
        *([f"Environment variables its tools read: {', '.join(tokens)}"] if tokens else []),
        *_numbered(todo),
    ]
    if manifest.access.ai_tools_prohibited:
        lines.append("Its agreement forbids giving these data to AI tools that keep their inputs.")
    return "\n".join(lines)


def licence_text(manifest: Manifest) -> str:
    """Return what a person should know before saying yes."""
    licence = manifest.licence
    rights = {
        "commercial use": licence.commercial,
        "share alike": licence.share_alike,
        "redistribution": licence.redistribute,
    }
    words = {True: "yes", False: "no", None: "unknown"}
    lines = [
        f"{manifest.title}: licence {licence.name}{f' ({licence.url})' if licence.url else ''}",
        ", ".join(f"{name}: {words[value]}" for name, value in rights.items()),
        *[f"cite: {entry}" for entry in manifest.citation],
    ]
    return "\n".join(lines)


def _reason(manifest: Manifest) -> str:
    return {
        "open": "open, but not fetched automatically; do this yourself.",
        "click_through": "its terms are accepted on its page; do this yourself.",
        "account": "its host wants an account; do this yourself.",
        "dua": "its host wants a signed agreement; do this yourself.",
        "application": "its owners decide about each application; do this yourself.",
        "restricted": "access is restricted; do this yourself.",
    }[manifest.access.level]


def _numbered(todo: list[str]) -> list[str]:
    return [f"  {number}. {text}" for number, text in enumerate(todo, 1)]


def _commands(download: Download, folder: Path) -> list[str]:
    """Return the host's own command for one download, and what it needs."""
    place, ref, revision = shlex.quote(str(folder)), download.ref, download.revision
    tool = TOOLS.get(download.method)
    out = [f"pip install {tool}"] if tool else []
    if download.method == "idc":
        out += [
            f"idc download {shlex.quote(ref)} --download-dir {place}",
            f"Compare: the manifest describes IDC release {revision}; `pip show idc-index-data` "
            "says which release your tool knows.",
        ]
    elif download.method == "synapse":
        out += [f"synapse get -r {shlex.quote(ref)} --downloadLocation {place}"]
    elif download.method == "kaggle":
        handle = shlex.quote(f"{ref}/{revision}")
        out += [f"kaggle datasets download {handle} -p {place} --unzip"]
    elif download.method == "huggingface":
        out += [
            f"hf download {shlex.quote(ref)} --repo-type dataset "
            f"--revision {shlex.quote(str(revision))} --local-dir {place}"
        ]
    elif download.method == "roboflow":
        handle = shlex.quote(f"{ref}/{revision}" if revision else ref)
        out += [f"roboflow download -f coco -l {place} {handle}"]
    elif download.method == "tcia_aspera":
        out += [
            f"Open the page of doi:{ref} and take the link of its Aspera package.",
            f"With IBM Aspera Connect in the browser, or: "
            f"ascli faspex5 packages receive --url=LINK --to-folder={place}",
            "Compare the sums: `md5sum -c FILE.sums` in the folder of the package.",
        ]
    elif download.method in ("http", "doi"):
        kind = "doi:" if download.method == "doi" else ""
        names = ", ".join(fact.name for fact in download.files) or "the files"
        out += [f"Fetch {names} from {kind}{ref} into {place}"]
    else:
        out += [f"Put the files ({ref}) into {place}"]
    return [*out, *download.recipe]
