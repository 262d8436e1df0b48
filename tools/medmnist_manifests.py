"""Write the manifests of the 18 MedMNIST sets from the package's own table.

Run it where ``medmnist==3.0.2`` is installed (``pip install --no-deps medmnist==3.0.2`` is enough:
only its table is read, neither torch nor the package itself is imported), then look at the
difference::

    python tools/medmnist_manifests.py data_manifests

Labels, counts, licence and MD5 sums are the table's. What it does not say (sizes measured on files,
published baselines, overlaps, remarks) stands in ``medmnist_facts.yaml``, each with its source.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

VERSION = "3.0.2"
RECORD = "10.5281/zenodo.10519652"
INFO = f"medmnist {VERSION} info.py"
KINDS = {
    "multi-class": "classes",
    "binary-class": "classes",
    "ordinal-regression": "ordinal",
    "multi-label, binary-class": "multilabel",
}
NO_PATIENTS = (
    "no patient ids are published: each image counts as its own patient and the official test "
    "part stands"
)


class Inline(dict[str, Any]):
    """A mapping that YAML writes on one line."""


class _Dumper(yaml.SafeDumper):
    """Lists indented, short ones on one line, as in the manifests written by hand."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _sequence(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.Node:
    short = all(isinstance(v, str) and len(v) < 20 for v in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=short)


_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(
    Inline, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v, flow_style=True)
)


def read_info() -> dict[str, dict[str, Any]]:
    """Return the table of the installed package without importing the package."""
    if version("medmnist") != VERSION:
        raise SystemExit(f"expected medmnist {VERSION}, found {version('medmnist')}: install it")
    package = importlib.util.find_spec("medmnist")
    if package is None or package.origin is None:
        raise SystemExit(f"medmnist {VERSION} is not installed here")
    path = Path(package.origin).with_name("info.py")
    spec = importlib.util.spec_from_file_location("medmnist_info", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot read {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.INFO)


def archives(flag: str, info: dict[str, Any], size: int | None) -> list[Inline]:
    """Return the archives of one set: 28 and every larger size the table has an MD5 for."""
    found = []
    for suffix in ("", "_64", "_128", "_224"):
        if f"MD5{suffix}" in info:
            fact: dict[str, Any] = {"name": f"{flag}{suffix}.npz"}
            if not suffix and size is not None:
                fact["bytes"] = size
            fact |= {"hash": f"md5:{info[f'MD5{suffix}']}", "hash_source": INFO}
            found.append(Inline(fact))
    return found


def licence(name: str) -> dict[str, Any]:
    """Return the licence: CC BY 4.0, or its non-commercial form."""
    free = name == "CC BY 4.0"
    return {
        "spdx": name.replace("CC ", "CC-").replace(" ", "-"),
        "name": name,
        "url": f"https://creativecommons.org/licenses/{'by' if free else 'by-nc'}/4.0/",
        "commercial": free,
        "share_alike": False,
        "redistribute": True,
        "source": f"MedMNIST README, section License and Citation; {INFO}",
    }


def manifest(flag: str, info: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return one manifest."""
    shape = "28 × 28 × 28" if flag.endswith("3d") else "28 × 28"
    count = info["n_samples"]
    size = facts.get("bytes")
    kind = KINDS[info["task"]]
    paper = "Yang J et al. MedMNIST v2. Scientific Data 2023, doi 10.1038/s41597-022-01721-8."
    return {
        "schema_version": "1.0",
        "id": flag,
        "title": f"{facts['title']}, {shape}",
        "version": VERSION,
        "retrieved": facts.get("retrieved"),
        "homepage": "https://medmnist.com",
        "doi": RECORD,
        "citation": [paper, *filter(None, [facts["origin"]])],
        "licence": licence(info["license"]),
        "access": {
            "level": "open",
            "url": f"https://doi.org/{RECORD}",
            "steps": [
                f"Put {flag}.npz into a folder; that folder is data_root.",
                "The larger sizes hold the same images; put one of them there under this name.",
            ],
        },
        "modality": [facts["modality"]],
        "task": ["classification"],
        "n_cases": Inline(
            images=sum(count.values()),
            train_images=count["train"],
            val_images=count["val"],
            test_images=count["test"],
            patients=facts.get("patients"),
        ),
        "size_mb": round(size / 1e6, 2) if size else None,
        "download": [{"method": "doi", "ref": RECORD, "files": archives(flag, info, size)}],
        "layout": {"kind": "npz", "root": ".", "images": _images(flag, kind)},
        "labels": {
            "kind": kind,
            "values": [
                Inline(id=int(k), name=facts.get("label_prefix", "") + v)
                for k, v in info["label"].items()
            ],
        },
        "splits": {
            "policy": "official",
            "group_by": "patient",
            "test_labels_public": True,
            "note": facts.get("split_note", NO_PATIENTS),
        },
        "preprocessing": {"norm": "[0, 255] to [-1, 1]", "image_size": 28, "source": "MedMNIST"},
        "metrics": ["auc_macro"] if kind == "multilabel" else ["accuracy", "auc_macro_ovr"],
        "reference_results": [
            {"metric": "accuracy", "value": r["value"], "split": "test", "source": r["source"]}
            for r in facts.get("reference", [])
        ],
        "known_issues": [
            {"cases": ["*"], "what": i["what"], "action": "warn", "source": i["source"]}
            for i in facts.get("issues", [])
        ],
        "overlaps": [{"id": k, "evidence": v} for k, v in facts.get("overlaps", {}).items()],
        "phantom": None,
    }


def _images(flag: str, kind: str) -> dict[str, Any]:
    name = f"{flag}.npz"
    if kind != "multilabel":
        return Inline(image=name)
    return {"image": {"glob": name, "unread": "several labels per image: the index keeps one"}}


def main(folder: Path) -> None:
    """Write ``FLAG.yaml`` for every set of the table."""
    table = read_info()
    path = Path(__file__).with_name("medmnist_facts.yaml")
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    if set(table) != set(facts):
        raise SystemExit(f"{path}: without a counterpart: {sorted(set(table) ^ set(facts))}")
    for flag, info in table.items():
        content = manifest(flag, info, facts[flag])
        text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
        head = "# Written by tools/medmnist_manifests.py: change it there.\n"
        (folder / f"{flag}.yaml").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
