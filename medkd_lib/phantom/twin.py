"""The synthetic twin of a dataset, made on demand and kept in the medkd home."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from medkd_lib.data.manifest import Manifest
from medkd_lib.fingerprint import code_hash
from medkd_lib.home import medkd_home
from medkd_lib.phantom.adni import write_adni
from medkd_lib.phantom.brainmet import write_brainmet
from medkd_lib.phantom.brats import write_brats
from medkd_lib.phantom.chaos import write_chaos
from medkd_lib.phantom.covid_qu_ex import write_covid_qu_ex
from medkd_lib.phantom.covid_radiography import write_covid_radiography
from medkd_lib.phantom.covidx_cxr3 import write_covidx_cxr3
from medkd_lib.phantom.cxr3 import write_cxr3
from medkd_lib.phantom.deeplesion import write_deeplesion
from medkd_lib.phantom.hcc_tace import write_hcc_tace
from medkd_lib.phantom.isles import write_isles
from medkd_lib.phantom.kits import write_kits
from medkd_lib.phantom.lung_mr import write_lung_mr
from medkd_lib.phantom.lung_pet_ct_dx import write_lung_pet_ct_dx
from medkd_lib.phantom.lungct_roboflow import write_lungct_roboflow
from medkd_lib.phantom.msd_liver import write_msd_liver
from medkd_lib.phantom.msd_lung import write_msd_lung
from medkd_lib.phantom.nsclc import write_nsclc
from medkd_lib.phantom.oasis import write_oasis1
from medkd_lib.phantom.oasis_slices import write_oasis1_slices_kaggle
from medkd_lib.phantom.react import write_react
from medkd_lib.phantom.sts import write_sts

# Each takes (out, patients=, seed=, difficulty=, workers=); those of volumes also size= and
# known_issues=. A manifest names its maker.
MAKERS: Mapping[str, Callable[..., Path]] = {
    "cxr3": write_cxr3,
    "brats_gli": partial(write_brats, task="gli"),
    "brats_men": partial(write_brats, task="men"),
    "brats_met": partial(write_brats, task="met"),
    "brats_2021": partial(write_brats, task="gli", release="2021"),
    "brainmet": write_brainmet,
    "isles": write_isles,
    "sts": write_sts,
    "msd_lung": write_msd_lung,
    "lung_mr": write_lung_mr,
    "nsclc": write_nsclc,
    "chaos": write_chaos,
    "react": write_react,
    "hcc_tace": write_hcc_tace,
    "msd_liver": write_msd_liver,
    "kits": write_kits,
    "lung_pet_ct_dx": write_lung_pet_ct_dx,
    "deeplesion": write_deeplesion,
    "lungct_roboflow": write_lungct_roboflow,
    "oasis1": write_oasis1,
    "oasis1_slices": write_oasis1_slices_kaggle,
    "adni": write_adni,
    "covid_radiography": write_covid_radiography,
    "covid_qu_ex": write_covid_qu_ex,
    "covidx_cxr3": write_covidx_cxr3,
}

# From a twin's seed to that of its fair one.
FAIR = 1000
COLLAGES = ("covid_radiography", "covid_qu_ex", "covidx_cxr3")
"""Makers that also take ``shortcut=``: how far the class tells the source."""


class NoTwinError(ValueError):
    """The dataset has no phantom twin (yet); the message says what to do instead."""


def make_twin(
    manifest: Manifest,
    out: Path,
    *,
    patients: int,
    difficulty: str,
    seed: int,
    workers: int = 1,
    size: str | None = None,
    known_issues: bool = False,
    shortcut: float | None = None,
) -> Path:
    """Write the twin of ``manifest`` into ``out``, in the layout of the real release.

    Args:
        manifest: names maker, difficulties and sizes.
        out: folder to create.
        patients: how many virtual patients.
        difficulty: one of the manifest's.
        seed: of the whole set; the bytes do not depend on ``workers``.
        workers: processes.
        size: ``small`` or ``full``; default the manifest's first.
        known_issues: add the documented broken cases of the real release.
        shortcut: of a set of films from many sources, 0 to 1; default as documented.

    Raises:
        NoTwinError: the manifest states no phantom, or the library has no such maker.
        ValueError: the phantom has no such difficulty, size, broken cases or shortcut.
    """
    if manifest.phantom is None:
        raise NoTwinError(
            f"{manifest.id} has no phantom twin yet; give the folder of the real "
            f"images (data_root), see `medkd data show {manifest.id}`"
        )
    phantom = manifest.phantom
    if difficulty not in phantom.difficulties:
        raise ValueError(
            f"{manifest.id}: difficulty {difficulty!r} is not one of {phantom.difficulties}"
        )
    wanted = size or phantom.sizes[0]
    if wanted not in phantom.sizes:
        raise ValueError(f"{manifest.id}: size {wanted!r} is not one of {phantom.sizes}")
    if phantom.maker not in MAKERS:
        raise NoTwinError(f"{manifest.id}: no maker named {phantom.maker!r} in the library")
    options: dict[str, Any] = {}
    if len(phantom.sizes) > 1:
        options = {"size": wanted, "known_issues": known_issues}
    elif known_issues:
        raise ValueError(f"{manifest.id}: its twin has no broken cases (with-known-issues)")
    if shortcut is not None:
        if phantom.maker not in COLLAGES:
            raise ValueError(
                f"{manifest.id}: shortcut is of {COLLAGES}, whose films come from many sources"
            )
        options["shortcut"] = shortcut
    return MAKERS[phantom.maker](
        out, patients=patients, seed=seed, difficulty=difficulty, workers=workers, **options
    )


def twin(
    manifest: Manifest,
    *,
    patients: int,
    difficulty: str,
    seed: int = 0,
    workers: int = 1,
    size: str | None = None,
    shortcut: float | None = None,
) -> Path:
    """Return the folder of the twin, made once per content (patients, size, seed, code, …)."""
    # All phantoms of one code version share a folder, so old ones are easy to find and delete.
    code = code_hash(("phantom",))
    # The default size has one name, whether it was asked for or not.
    default = size is None or (manifest.phantom and size == manifest.phantom.sizes[0])
    scale = "" if default else f"-{size}"
    # Likewise the shortcut: as documented is 1.
    cut = "" if shortcut in (None, 1) else f"-shortcut{shortcut:g}"
    name = f"{manifest.id}-{difficulty}-{patients}{scale}{cut}-seed{seed}"
    out = medkd_home() / "phantoms" / code / name
    if out.is_dir():
        return out
    try:
        return make_twin(
            manifest, out, patients=patients, difficulty=difficulty, seed=seed, workers=workers,
            size=size, shortcut=shortcut,
        )  # fmt: skip
    except OSError:
        # Another process finished the same twin first: its folder is as good as ours.
        if out.is_dir():
            return out
        raise


def fair_twin(manifest: Manifest, patients: int, difficulty: str, seed: int = 0) -> Path:
    """Return the twin beside that of a seed: other people, the class tells nothing of the source.

    Sets of one seed share people, those of two do not. Its seed is far off: whoever chooses on the
    twins of seeds 0, 1, 2 … has not looked at it.

    Args:
        manifest: of a set of films from many sources.
        patients: how many.
        difficulty: as the other twin's.
        seed: of the other twin.

    Raises:
        ValueError: see `twin`.
    """
    return twin(manifest, patients=patients, difficulty=difficulty, seed=seed + FAIR, shortcut=0.0)
