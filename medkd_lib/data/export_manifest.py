"""The manifest of an exported set: what it inherits from its source, and what it lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import KnownIssue, LabelTable, Layout, Role
from medkd_lib.data.manifest_parts import Labels, LabelValue, Overlap, Preprocessing, Splits
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.slices import SliceRow

# Also the channels that no picture shows are in the arrays, which is why they are a role.
CASE_REGEX = r"^(?:images|arrays)/(?P<patient>[^/]+)/(?P<case>[^/]+)\.(?:png|npz)$"


def derived_manifest(
    source: Manifest,
    recipe: Recipe,
    rows: Sequence[SliceRow],
    dataset: str,
    names: Mapping[int, str],
    preview: Sequence[str],
    *,
    synthetic: bool = False,
) -> Manifest:
    """Return the manifest of slices taken from ``source``.

    Licence and access are the source's, an unknown right to redistribute stays unknown. The source
    and all that overlaps it are declared as overlaps: nobody may train on one and test on the
    other. Repairs were made before the export; they become remarks. Slices of ``synthetic`` images
    say so first.
    """
    lost = [role for role in recipe.images if role not in preview]
    colours = (
        f"grey = {preview[0]}"
        if len(preview) == 1
        else ", ".join(f"{c} = {r}" for c, r in zip(("red", "green", "blue"), preview, strict=True))
    )
    shown = KnownIssue(
        cases=["*"],
        what=f"the PNG files hold 256 levels of {colours}"
        + (f"; {', '.join(lost)} only in arrays/" if lost else ""),
        action="warn",
        source="made by the export",
    )
    nobody = KnownIssue(
        cases=["*"],
        what=f"synthetic images in the form of {source.id}: none shows a real person",
        action="warn",
        source="made by the export",
    )
    version = f", version {source.version}" if source.version else ""
    doi = f", doi {source.doi}" if source.doi else ""
    return Manifest(
        schema_version="1.0",
        id=dataset,
        title=f"Axial slices of {source.title}",
        version=None,
        retrieved=None,
        homepage=source.homepage,
        doi=None,
        citation=[f"Derived from {source.title} ({source.id}{version}{doi}).", *source.citation],
        licence=source.licence,
        access=source.access,
        modality=source.modality,
        task=["classification"],
        n_cases={
            "slices": len(rows),
            "patients": len({r.case.patient for r in rows}),
            "source_cases": len({r.case.id for r in rows}),
        },
        size_mb=None,
        download=[],
        layout=Layout(
            images={
                "image": Role(glob="images/*/*.png"),
                "array": Role(glob="arrays/*/*.npz"),
            },
            case_regex=CASE_REGEX,
            table=LabelTable(file="labels.csv", key="case", label="label", by="case"),
        ),
        labels=Labels(
            kind="classes", values=[LabelValue(id=i, name=n) for i, n in sorted(names.items())]
        ),
        splits=Splits(
            policy="group_kfold",
            note=f"all slices of a patient on one side; a split of {source.id} by patient holds "
            "here too",
        ),
        preprocessing=Preprocessing(
            orientation=recipe.axcodes,
            spacing_mm=list(recipe.spacing_mm) if recipe.spacing_mm else None,
            window=recipe.window,
            norm=str(recipe.intensity),
            source="recipe.json beside this file",
        ),
        metrics=["accuracy"],
        known_issues=[*([nobody] if synthetic else []), shown, *_remarks(source, rows)],
        overlaps=[
            Overlap(id=source.id, evidence=f"every slice of {dataset} was taken from it"),
            *source.overlaps,
        ],
        derived_from=source.derived_from or source.id,
        phantom=None,
    )


def _remarks(source: Manifest, rows: Sequence[SliceRow]) -> list[KnownIssue]:
    """Return the source's issues that met an exported case, none of them executable."""
    ids = {r.case.id for r in rows}
    return [
        KnownIssue(
            cases=[f"{pattern}_z*" for pattern in issue.cases],
            what=issue.what
            if issue.action == "warn"
            else f"{issue.what} ({issue.action} was carried out before the export)",
            action="warn",
            source=f"{source.id}: {issue.source}",
        )
        for issue in source.known_issues
        if any(fnmatchcase(i, pattern) for i in ids for pattern in issue.cases)
    ]
