# %% [markdown]
# # 01 · From scanner to tensor
#
# **Question** What happens to an image between the scanner and the network, which of these steps can silently ruin
# a study, and how would we notice?
#
# **Paper** No paper but *the plan*: six preprocessing steps for BraTS 2023 as a student project wrote them down
# (acquisition, normalisation, resizing, augmentation, masks, splits; unpublished). For leakage: Yagis et al. 2021, Scientific Reports 11:22544.
#
# **Data and licence** Phantom twins of BraTS 2023 and of a sarcoma set (PET, CT, MR), made here, no download. With
# `data_root` and `sts_root` real ones: BraTS (Synapse terms), open glioma, MS and CT cases, sarcomas (CC BY 3.0).
#
# **Budget** smoke ≤ 60 s · lesson ≤ 4 min · paper 30 min on one core
#
# **You need** numpy indexing. Not for clinical use.

# %% tags=["parameters"]
profile: str = "lesson"  # [smoke | lesson | paper] how many patients, which size
dataset: str = "brats2023_gli"  # [brats2023_gli | brats2023_men | brats2023_met | glioma_4ch | openms_4ch | totalseg_ct | sts_petctmr] the case looked at
data_root: str = ""  # [folder] its real images; empty: the phantom twin
case_number: int = 0  # [>= 0] which case of it
cohort_root: str = ""  # [folder] real BraTS sets in subfolders brats2023_gli, _men, _met; empty: twins
sts_root: str = ""  # [folder] real sts_petctmr; empty: the phantom twin
difficulty: str = "clear"  # [clear | subtle | none] of the phantoms
seed: int = 100  # [0..4294967295] of splits, augmentation and windows
max_steps: int = 0  # [>= 0] use at most so many patients of each set (result marked truncated); 0: no

# %%
from medkd_lib.course.lesson import open_images, table
from medkd_lib.course.resolve import resolve

config = resolve(
    globals(),
    profiles={
        "smoke": {"size": "small", "patients": 10, "sts_patients": 6, "seeds": 3, "crop": 112},
        "lesson": {"size": "small", "patients": 24, "sts_patients": 16, "seeds": 10, "crop": 112},
        "paper": {"size": "full", "patients": 40, "sts_patients": 21, "seeds": 20, "crop": 224},
    },
)
if config.max_steps:
    config.patients = config.sts_patients = max(3, config.max_steps)

# %% [markdown]
# ## What you will be able to do
#
# 1. say where a voxel lies in the patient, and which side is left, for any file;
# 2. choose a normalisation, a resampling and an augmentation, and name what each of them breaks;
# 3. turn counts of a PET scanner into SUV, and put three scanners onto one grid;
# 4. divide patients so that nothing leaks, and *measure* a leak when somebody else did not.
#
# **Recall.** A network sees an array. It does not see millimetres, units, patients or hospitals. All of that must be
# put right, or be lost on purpose, before the first convolution. Every step below is shown once as it should be and
# once broken. The broken version never raises an error by itself: that is why it is dangerous.
#
# **Words.** *T1, T2, FLAIR*: MR sequences; in BraTS files `t1n` (T1, native), `t1c` (T1 after contrast agent), `t2w`,
# `t2f` (FLAIR, T2 with the water nulled). A file's part in a case is its **role**. *Skull-stripped*: only the brain is
# left, the rest is exactly 0. *R, L, A, P, S, I*: the patient's right, left, front (anterior), back (posterior), head
# (superior), feet (inferior). Tumour parts: *NCR* necrosis and other core, *ED* oedema, *ET* enhancing tumour; regions:
# *WT* the whole tumour, *TC* its core (NCR and ET). *Evidence*: what a run's images are, `phantom` or real (`stand-in`).

# %% [markdown]
# ## 1 · A voxel has an address
#
# An image file holds an array and an **affine**, a 4 × 4 matrix that turns a voxel's index $(i, j, k)$ into
# millimetres in the patient:
#
# $$\begin{pmatrix}x\\y\\z\\1\end{pmatrix} = A\begin{pmatrix}i\\j\\k\\1\end{pmatrix},\qquad
# \text{NIfTI: } x \text{ to the patient's right},\ y \text{ to the front},\ z \text{ to the head (RAS+)}.$$
#
# Take BraTS: $A$ has $-1, -1, 1$ on its diagonal and the origin $(0, 239, 0)$. The voxel $(10, 20, 24)$ lies at
# $x=-10$ (10 mm to the *left* of the origin), $y=-20+239=219$, $z=24$. The index $i$ grows to the patient's left, $j$ to
# the back, $k$ upwards: the file's axis codes are **LPS**. By hand, with nibabel, and with SimpleITK, which counts
# millimetres to the left and back, and hands out arrays as $(k, j, i)$:

# %%
import nibabel as nib
import numpy as np
import SimpleITK as sitk

from medkd_lib.course.result import run_folder

folder = run_folder("01_from_scanner_to_tensor")
A = np.diag([-1.0, -1.0, 1.0, 1.0])
A[:3, 3] = 0, 239, 0
voxel = (10, 20, 24)
toy = np.zeros((20, 30, 40), np.int16)
toy[voxel] = 1000
by_hand = A @ np.array([*voxel, 1])
assert np.allclose(by_hand[:3], nib.affines.apply_affine(A, voxel)) and by_hand[0] == -10
nib.save(nib.Nifti1Image(toy, A), folder / "toy.nii.gz")
in_itk = sitk.ReadImage(folder / "toy.nii.gz")
print("axis codes", nib.aff2axcodes(A), "· in the patient:", by_hand[:3], "mm (RAS+)")
print("SimpleITK:", in_itk.TransformIndexToPhysicalPoint(voxel), "mm (LPS+),",
      "array", sitk.GetArrayFromImage(in_itk).shape, "against nibabel's", toy.shape)

# %% [markdown]
# Same file, same voxel, opposite signs and axes the other way round: $x$ and $y$ change sign between the two
# conventions. Mix them up and nothing fails; the tumour changes sides. (The small twin below has 2 mm voxels that cover
# two of BraTS's each, so its first voxel's centre lies half a millimetre further: origin −0.5, 238.5, 0.)
#
# ## 2 · The case
#
# A **manifest** says what the files are called, who may use them and what is wrong with them. The *index* finds the
# cases, `read_case` opens one, and refuses what does not fit: a missing sequence, a mask on another grid, a label
# nobody has heard of. The default case is a **phantom twin**: a synthetic patient with a glioma, scanned by a virtual
# MR scanner (signal equations for T1, T2 and FLAIR, contrast agent, Rician noise), written in the real layout.

# %%
from medkd_lib.data.read_case import read_case
from medkd_lib.data.volume import Volume, describe_grid

images = open_images(config.dataset, config.data_root, patients=config.patients,
                     difficulty=config.difficulty, size=config.size)
case = images.index.cases[config.case_number]
volumes = read_case(case, images.manifest)
print(f"{images.manifest.title}\nlicence of the real set: {images.manifest.licence.name} · evidence of this run: {images.evidence}")
print(f"{len(images.index.cases)} cases of {len({c.patient for c in images.index.cases})} patients; case {case.id}")
for role, volume in volumes.items():
    print(f"{role:6s} {describe_grid(volume)}, {volume.array.dtype}")
for note in images.index.notes + [str(p) for v in volumes.values() for p in v.problems]:
    print("note:", note)

# %% [markdown]
# One convention for looking, whatever the file's axes: the head up or the front up, and **the patient's right on the
# left of the picture**, as if you stood at the foot of the bed. Outlined is the set's mask; the notes above say who or what drew it.

# %%
from medkd_lib.course.exercise import Scoreboard
from medkd_lib.show.gallery import Gallery
from medkd_lib.show.plane import Plane, fullest, picture
from medkd_lib.show.volumes import Panel, panels

gallery, score = Gallery(folder), Scoreboard("01")
first = next(iter(case.images))


def mask_on(role: str) -> Volume | None:
    """The mask that lies on the voxels of this image, if there is one."""
    image = volumes[role].oriented("LPS")
    return next((volumes[m] for m in case.annotations if volumes[m].oriented("LPS").same_grid(image)), None)


def slice_of(role: str, plane: Plane, place: float) -> Panel:
    mask, window = mask_on(role), (-160, 240) if volumes[role].unit == "HU" else None
    outline = picture(mask, plane, place).pixels if mask else None
    return Panel(picture(volumes[role], plane, place), f"{role}, {plane}", outline, window)


planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
lesion = mask_on(first)
place = {plane: fullest(lesion, plane) if lesion else 0.5 for plane in planes}
gallery.show(
    panels([slice_of(role, plane, place[plane]) for plane in planes for role in case.images],
           columns=len(case.images) if len(case.images) > 1 else 3),
    name="case",
    alt=f"Axial, coronal and sagittal slices of {', '.join(case.images)} of one case, the mask's "
    "labels outlined, patient directions at the edges.",
)

# %% [markdown]
# **Broken once.** What most tutorials write is `plt.imshow(array[:, :, k])`. numpy's first index runs *down* the
# picture, so the patient lies on their side. And what if somebody saved the array with another affine, or flipped it
# "to look right" and kept the header? The right picture below shows such a file: nothing looks wrong, and what lay on
# the patient's right is now on the left. (After the three pictures, move through the slices of the case.)

# %%
from dataclasses import replace

from IPython.display import display

from medkd_lib.show.niivue import niivue

volume, lps = volumes[first], volumes[first].oriented("LPS")
k = round(place["axial"] * (lps.shape[2] - 1))
as_stored = volume.array[:, :, volume.shape[2] // 2]
careless = replace(picture(lps, "axial"), pixels=as_stored, letters="    ", aspect=1)
flipped = replace(volume, array=volume.array[::-1])
gallery.show(
    panels([slice_of(first, "axial", place["axial"]), Panel(careless, "imshow(array[:, :, k])"),
            Panel(picture(flipped, "axial", place["axial"]), "array flipped, header kept")], width=3.6),
    name="orientation",
    alt="The same axial slice three times: upright by the convention, lying on its side as imshow "
    "draws it, and mirrored because the array was flipped without its affine.",
)


def viewer(slice: float, contrast: float):
    return panels([slice_of(list(case.images)[int(contrast) - 1], "axial", slice)], width=4.5)


gallery.explore(
    viewer, {"slice": (0, 1, 0.01), "contrast": (1, len(case.images), 1)},
    [{"slice": s, "contrast": len(case.images)} for s in (0.35, place["axial"], 0.65)],
    name="viewer", alt="One axial slice of the case, low, through the lesion, and high.",
)
in_three_dimensions = niivue(case.images[first])  # None unless ipyniivue is installed
if in_three_dimensions is not None:
    display(in_three_dimensions)

# %% [markdown]
# ## Exercise 1 · Left or right?
#
# A surgeon wants to know the side. Write it for **any** file: axes in any order and direction, oblique ones too, a world origin anywhere
# (in BraTS the whole head lies at negative $x$, so the sign of $x$ alone says nothing), voxels of any size. You get the
# lesion and the brain as boolean arrays and the affine. The side is where the lesion's centre lies from the brain's.

# %% tags=["exercise-setup"]
import numpy as np
from numpy.typing import NDArray


def head(axcodes: str, spacing: float = 1.0, origin: float = -120.0):
    """A toy brain (a block) with a lesion at the patient's right front: lesion, brain, affine."""
    brain, lesion = np.zeros((12, 14, 16), bool), np.zeros((12, 14, 16), bool)
    brain[2:10, 2:12, 3:13] = True
    lesion[8:10, 9:11, 6:8] = True  # i grows to the right, j to the front: RAS
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    order = ["RLAPSI".index(code) // 2 for code in axcodes]
    lesion, brain, affine = lesion.transpose(order), brain.transpose(order), affine[:, [*order, 3]]
    for axis, code in enumerate(axcodes):
        if code in "LPI":
            lesion, brain = np.flip(lesion, axis), np.flip(brain, axis)
            affine = affine.copy()
            affine[:, 3] += affine[:, axis] * (lesion.shape[axis] - 1)
            affine[:, axis] *= -1
    return lesion, brain, affine


# %% tags=["exercise"] exercise="q1"
def lesion_side(lesion: NDArray, brain: NDArray, affine: NDArray) -> str:
    """On which side of the patient's brain the lesion's centre lies: "left" or "right".

    Both masks have shape (I, J, K); the affine turns (i, j, k, 1) into RAS+ millimetres.
    """
    # Hint: np.argwhere(mask).mean(axis=0) is the centre of a mask in voxels.
    # BEGIN SOLUTION
    def centre(mask: NDArray) -> NDArray:
        return affine @ np.append(np.argwhere(mask).mean(axis=0), 1.0)

    return "right" if centre(lesion)[0] > centre(brain)[0] else "left"
    # END SOLUTION


# %% tags=["check"] exercise="q1"
@score.check("q1", lesion_side, points=0.5)
def the_toy_lesion_is_on_the_right(lesion_side):
    """In RAS the first index grows to the patient's right, and the toy lesion sits at its end."""
    side = lesion_side(*head("RAS"))
    assert side == "right", f"expected 'right', got {side!r}"


@score.check("q1", lesion_side, points=0.5)
def lps_is_the_same_patient(lesion_side):
    """The same head stored as LPS, as in BraTS, and as SAR: the array is turned, the patient is not."""
    for codes in ("LPS", "SAR"):
        side = lesion_side(*head(codes, origin=0.0))
        assert side == "right", f"axes {codes}: expected 'right', got {side!r}"


@score.check("q1", lesion_side, points=0.5)
def a_mirrored_lesion_is_on_the_left(lesion_side):
    """The lesion mirrored within the array: now the patient's left."""
    lesion, brain, affine = head("RAS")
    side = lesion_side(lesion[::-1], brain, affine)
    assert side == "left", f"expected 'left', got {side!r}"


# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", lesion_side, points=0.5)
def any_order_of_axes(lesion_side, secret):
    """Axes swapped, as in sagittal and coronal acquisitions: left and right may be the last index."""
    for codes in ("SAR", "PSL", "AIR", "SLP", "IRA"):
        side = lesion_side(*head(codes, spacing=0.5 + secret % 5))
        assert side == "right", f"axes {codes}: expected 'right', got {side!r}"


@score.hidden_check("q1", lesion_side, points=0.5)
def any_origin(lesion_side, secret):
    """Neither the world's origin nor the array's middle is the middle of the brain."""
    for origin in (-500.0 - secret % 100, 0.0, 400.0 + secret % 100):
        lesion, brain, affine = head("LAS", origin=origin)
        room = ((20 + secret % 20, 0), (0, 0), (0, 0))  # the head fills one end of the array
        affine[:, 3] -= affine[:, 0] * room[0][0]
        side = lesion_side(np.pad(lesion, room), np.pad(brain, room), affine)
        assert side == "right", f"origin {origin}: expected 'right', got {side!r}"


@score.hidden_check("q1", lesion_side, points=0.5)
def a_turned_grid(lesion_side, secret):
    """Oblique images: no axis of the array runs exactly from left to right, so all of them count."""
    _, brain, affine = head("RAS")
    lesion = np.zeros_like(brain)
    lesion[2:8, 10:12, 6:8] = True  # far in front, and its centre a little left of the grid's middle
    angle = np.radians(25 + secret % 15)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    side = lesion_side(lesion, brain, turn @ affine)
    assert side == "right", f"grid turned by {np.degrees(angle):.0f}°: expected 'right', got {side!r}"


# %% [markdown]
# ## 3 · DICOM: a folder of slices
#
# Hospitals send one file per slice. The file **names** say nothing; `ImagePositionPatient` says where a slice lies, and
# `RescaleSlope` and `RescaleIntercept` turn stored numbers into Hounsfield units. Below, the CT of a sarcoma patient
# (thigh) is written as such a folder and read back twice: in the order of the names, and by position. Then one file is
# taken away. Our reader does not interpolate a gap in silence; read its message.

# %%
import shutil

from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from medkd_lib.data.side import lesion_side as library_side
from medkd_lib.phantom.dicom_files import write_ct_series

side_of = score.settle("q1", student=lesion_side, library=library_side)
sarcomas = open_images("sts_petctmr", config.sts_root, patients=config.sts_patients,
                       difficulty=config.difficulty, size=config.size)
patient = read_case(sarcomas.index.cases[0], sarcomas.manifest)
ct = patient["ct"]
shutil.rmtree(folder / "dicom", ignore_errors=True)  # of an earlier run of this notebook
series = write_ct_series(folder / "dicom" / "ct", ct.array, ct.affine, seed=config.seed)
again = read_volume(series)
print("read by position:", describe_grid(again), "·", again.unit,
      "· largest difference", float(np.abs(again.array - ct.array).max()), "HU")
names = sorted(series.iterdir())
names[len(names) // 2].unlink()
try:
    read_volume(series)
except DataError as error:
    print("one file less, refused:", error)

# %%
import pydicom

named = write_ct_series(folder / "dicom" / "named", ct.array, ct.affine, seed=config.seed)
by_name = [pydicom.dcmread(f) for f in sorted(named.iterdir())]
stored = np.stack([f.pixel_array.T for f in by_name], axis=2)
slope, intercept = float(by_name[0].RescaleSlope), float(by_name[0].RescaleIntercept)
upwards = np.argsort([float(f.ImagePositionPatient[2]) for f in by_name])
gallery.show(
    panels([Panel(picture(again, "coronal"), "by position, in HU", limits=(-150, 250)),
            Panel(picture(replace(ct, array=stored * slope + intercept), "coronal"), "by file name", limits=(-150, 250)),
            Panel(picture(replace(ct, array=stored[:, :, upwards]), "coronal"), "stored numbers taken for HU",
                  limits=(-150, 250))], width=3.6, scale=False),
    name="dicom",
    alt="Coronal CT of a thigh three times: in order of position; in order of file names, shredded; and "
    "with stored numbers shown as Hounsfield units, all white.",
)

# %% [markdown]
# ## 4 · Grey values
#
# CT is calibrated: water is 0 HU and air −1000 in every hospital, so a CT gets a fixed **window**, the same for
# everyone, and nothing else. **MR is not**: the same tissue gets another number in every scanner, sequence and patient.
# Hence normalisation, by three rules:
#
# - **Only tissue counts.** Skull-stripped background is an exact zero and no tissue; it must not enter mean or minimum.
# - **Percentiles, not extremes.** Min–max lets one hot voxel set the scale for all others.
# - **The whole volume, not each slice.** Per slice, a bright tumour darkens its own neighbourhood, and the brightness
#   of a slice no longer means anything.
#
# Below: the tissue of up to three cases as stored; after min–max; after mapping the 0.5 and 99.5 percentiles to 0 and 1;
# and as z-scores, $(x-\mu)/\sigma$ over tissue. **Broken once:** in the first case we heated a single voxel, to three
# times the maximum. Which of the four notices?

# %%
import torch

from medkd_lib.data.case import Case
from medkd_lib.data.intensity import unit_range
from medkd_lib.show.preprocessing import grey_values

hounsfield = volume.unit == "HU"


def tissue(case: Case) -> NDArray:
    array = read_case(case, images.manifest, [first])[first].array.astype(np.float32)
    return array[array > -500 if hounsfield else array != 0]


shown = [c for c in images.index.cases if first in c.images][:3]
raw = {c.id[-9:]: tissue(c) for c in shown}
hot = next(iter(raw.values()))
hot[0] = 3 * hot.max()
steps = {
    "as stored": lambda x: x,
    "window −160…240 HU" if hounsfield else "min–max":
        lambda x: np.clip((x + 160) / 400, 0, 1) if hounsfield else (x - x.min()) / (x.max() - x.min()),
    "percentiles to [0, 1]": lambda x: unit_range(torch.from_numpy(x)).numpy(),
    "z-score": lambda x: (x - x.mean()) / x.std(),
}

# %%
stages = {title: {name: step(x) for name, x in raw.items()} for title, step in steps.items()}
for title, values in stages.items():
    print(f"{title:22s} median of the tissue:", {name: round(float(np.median(x)), 2) for name, x in values.items()})
per_slice = [np.percentile(s[s != 0], 99.5) for s in np.moveaxis(lps.array.astype(float), 2, 0) if (s != 0).sum() > 500]
print(f"mean with the background {lps.array.mean():.0f}, over tissue {lps.array[lps.array != 0].mean():.0f}; "
      f"the 99.5 percentile of single slices runs from {min(per_slice):.0f} to {max(per_slice):.0f}")
gallery.show(
    grey_values(stages),
    name="grey_values",
    alt=f"Histograms of the tissue of {len(raw)} case(s), role {first}, as stored, after min-max or a window, "
    "after percentiles, and as z-scores; the case with one hot voxel is squeezed to the left by min-max.",
)

# %% [markdown]
# ### Histogram equalisation and CLAHE
#
# The plan asks for one of them. Plain **equalisation** gives every grey value the same share of the picture. On a
# skull-stripped slice most pixels are background, so the background itself is lifted to grey: wherever you equalise,
# look at **tissue only**. **CLAHE** does it tile by tile and limits the gain. It wants values in [0, 1] (on z-scores
# our wrapper refuses, as scikit-image does: the kind of error one is grateful for), and it is local: two pixels of one value come out
# different, so "brighter" no longer means "more signal", and noise is amplified too. It is for looking. By default it
# stays out of the tensors; who trains with it tests with it.

# %%
from scipy.stats import spearmanr
from skimage.exposure import equalize_hist

from medkd_lib.data.clahe import clahe

pixels = lps.array[:, :, k].T.astype(np.float32)
inside = pixels > -500 if hounsfield else pixels != 0
unit = np.clip((pixels + 160) / 400, 0, 1) if hounsfield else unit_range(torch.from_numpy(pixels)).numpy()
local, everything = clahe(unit, inside), equalize_hist(unit)
frame = picture(volume, "axial", place["axial"])
try:
    clahe((unit - unit[inside].mean()) / unit[inside].std(), inside)
except ValueError as error:
    print("refused:", error)
print(f"background after equalisation: {everything[~inside].mean():.2f} (everything), {local[~inside].mean():.2f} (CLAHE inside)")
print(f"rank correlation of CLAHE with the signal: {spearmanr(unit[inside], local[inside]).statistic:.3f} (1 = same order)")
gallery.show(
    panels([Panel(replace(frame, pixels=p), t, limits=(0, 1)) for t, p in
            {"[0, 1]": unit, "CLAHE inside the tissue": local, "equalised, background and all": everything}.items()],
           width=3.6),
    name="clahe",
    alt="One slice on [0, 1]; with CLAHE inside the tissue, more local contrast and more noise; and "
    "equalised as a whole, where the background turns grey.",
)

# %% [markdown]
# ## 5 · Size: crop, resample, and the labels that nobody drew
#
# VGG19 and ViT-B/16 want 224 × 224 pixels, BraTS has 240 × 240. **Crop**, do not resize: the outer 8 pixels hold no
# brain (we check), every pixel stays 1 mm and keeps its value. Resizing would interpolate all of them. (The small twin
# has 2 mm voxels, so its numbers are half: 120 and 112.) Blowing 240 up to 448, which the plan wants for several
# scales, adds pixels and no information.
#
# Where resampling cannot be avoided, images and **masks part ways**. An image is a smooth field, linear interpolation is
# fine. A label is a *name*: halfway between 0 (background) and 2 (oedema) lies 1, and 1 is the name of *necrosis*, which
# nobody drew there. (With two labels only, nothing can be invented; the outline still moves.)
#
# ## Exercise 2 · Resize a mask
#
# Write it with index arithmetic alone: each output pixel takes the label of the input pixel that contains its centre.
# The centre of output pixel $r$ of $R$ lies at $(r + \tfrac12)\,N/R$ on an axis of $N$ input pixels.


# %% tags=["exercise"] exercise="q2"
def resize_mask(mask: NDArray, shape: tuple[int, int]) -> NDArray:
    """Resize a label map (H, W) to `shape` without inventing labels; whole numbers stay whole numbers."""
    # Hint: np.floor of the position is the index of the pixel that contains it.
    # BEGIN SOLUTION
    rows, columns = (
        np.floor((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
    # END SOLUTION


# %% tags=["check"] exercise="q2"
@score.check("q2", resize_mask, points=0.5)
def twice_and_half(resize_mask):
    """Every pixel becomes four of its kind; halved, the centre decides."""
    small = np.array([[0, 3], [1, 2]])
    large = np.asarray(resize_mask(small, (4, 4)))
    assert np.array_equal(large, np.kron(small, np.ones((2, 2), int))), f"got {large.tolist()}"
    row = np.asarray(resize_mask(np.arange(4)[None], (1, 2)))
    assert row.tolist() == [[1, 3]], f"of 0 1 2 3 the centres at 1.0 and 3.0 lie in 1 and 3, got {row.tolist()}"


@score.check("q2", resize_mask, points=0.5)
def no_label_is_invented(resize_mask):
    """Background and enhancing tumour only: there is still no oedema afterwards."""
    mask = np.zeros((20, 20), np.uint8)
    mask[6:15, 4:11] = 3
    values = set(np.unique(resize_mask(mask, (17, 13))).tolist())
    assert values <= {0, 3}, f"labels {sorted(values)}, expected only 0 and 3"


# %% tags=["hidden-check"] exercise="q2"
@score.hidden_check("q2", resize_mask, points=1)
def the_centre_decides(resize_mask, secret):
    """Down and up, along both axes: the label comes from the input pixel that holds the centre."""
    rng = np.random.default_rng(secret)
    for axis in (0, 1):
        names = rng.permutation(61)  # every row (or column) has a name; 61: no centre on a border
        mask = np.repeat(names[:, None], 61, axis=1) if axis == 0 else np.repeat(names[None], 61, axis=0)
        for shape in ((30, 26), (45, 53), (120, 97)):
            new = np.asarray(resize_mask(mask, shape))
            assert new.shape == shape, f"expected shape {shape}, got {new.shape}"
            source = np.argsort(names)[np.moveaxis(new, axis, -1).astype(int)]
            off = (np.arange(shape[axis]) + 0.5) * 61 / shape[axis] - (source + 0.5)
            assert np.abs(off).max() < 0.5, f"to {shape}: taken from up to {np.abs(off).max():.2f} pixels away"


@score.hidden_check("q2", resize_mask, points=0.5)
def names_stay_whole_numbers(resize_mask, secret):
    """Other sets number their labels beyond 255; an id is a whole number, in and out."""
    rng = np.random.default_rng(secret)
    ids = np.array([0, 17, 1035, 2035])
    new = np.asarray(resize_mask(np.kron(rng.permutation(ids).reshape(2, 2), np.ones((10, 10), int)), (13, 17)))
    assert set(np.unique(new).tolist()) == set(ids.tolist()), f"ids {ids.tolist()} became {np.unique(new).tolist()[:6]}"
    assert np.issubdtype(new.dtype, np.integer), f"expected whole numbers, got {new.dtype}"


# %%
import torch.nn.functional as F


def nearest(mask: NDArray, shape: tuple[int, int]) -> NDArray:
    larger = F.interpolate(torch.from_numpy(mask)[None, None].float(), shape, mode="nearest-exact")
    return larger[0, 0].numpy().astype(mask.dtype)


resize = score.settle("q2", student=resize_mask, library=nearest)
if volume.unit != "HU":
    edge = lps.shape[0] // 30  # 8 of 240 pixels, 4 of 120
    cut = int((lps.array != 0).sum() - (lps.array[edge:-edge, edge:-edge] != 0).sum())
    print(f"voxels of tissue that the crop would cut off: {cut}")

# %%
from scipy.ndimage import binary_dilation

from medkd_lib.show.preprocessing import fake_labels

demo = lesion or patient["ct_mask"]
flat = picture(demo, "axial", fullest(demo)).pixels.astype(np.int64)
shape = tuple(int(n * 0.88) for n in flat.shape)
linear = F.interpolate(torch.from_numpy(flat)[None, None].float(), shape, mode="bilinear")[0, 0]
rounded = linear.round().numpy().astype(int)
truth = resize(flat, shape)
invented = sum(int(((rounded == v) & ~binary_dilation(truth == v, np.ones((3, 3)))).sum()) for v in np.unique(rounded))
other = int((rounded != truth).sum())
print(f"bilinear and rounded: {other} pixels differ from the nearest label, and {invented} carry a label that nobody "
      f"drew within a pixel of them (of {int((truth > 0).sum())} labelled pixels; {len(np.unique(flat))} labels)")
labels = images.manifest.labels if lesion else sarcomas.manifest.labels
titles = {v.id: v.name for v in labels.values} if labels else {}
gallery.show(
    fake_labels(flat, {"nearest": truth, "bilinear, rounded": rounded}, titles),
    name="labels",
    alt=f"A label map and its resized versions, nearest neighbour and bilinear with rounding; in the second "
    f"{invented} pixels carry a label that nobody drew there.",
)

# %% [markdown]
# ## 6 · Augmentation, and the label that follows from the mask
#
# Random flips, turns, sizes, elastic deformation, noise and exposure make many views of one slice. Four traps:
#
# - **The mask goes along**, with nearest neighbour (you have seen why).
# - **A label that was derived from the mask is derived again.** Deformation changes areas; a slice whose enhancing part
#   shrinks below the threshold is no longer an *enhancing* slice.
# - **A mirrored brain has its tumour on the other side.** Harmless for "is there a tumour", wrong for the side.
# - **Background stays background.** Noise and offsets belong to tissue, or the network learns the skull-strip's edge.
#
# (In the pictures below the background is grey: a z-score of 0 is average tissue, and so is a background set to 0.)
#
# The label here: the part (necrosis, oedema, enhancing) that a slice shows with at least 50 mm², the rarest first; a
# slice with *a little* of it is called neither yes nor no, and left out.

# %%
from medkd_lib.course.result import Evidence
from medkd_lib.data.augment_slices import slice_views, view
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.slices import (
    TUMOUR_STATES,
    label_slices,
    label_volume,
    load_slices,
    pick,
    tumour_state,
)
from medkd_lib.data.volumes import Volumes

KINDS = {"brats2023_gli": "glioma", "brats2023_men": "meningioma", "brats2023_met": "metastases"}
channels = ("t1n", "t1c", "t2w", "t2f")
recipe = Recipe(channels, "seg", intensity="zscore", shape=(config.crop, config.crop, 155 * config.crop // 224))
cohort, sources = {}, set()
for kind in KINDS:
    where = f"{config.cohort_root}/{kind}" if config.cohort_root else ""
    opened = open_images(kind, where, patients=config.patients, difficulty=config.difficulty, size=config.size)
    cohort[kind] = Volumes(opened.manifest, opened.index.cases, recipe)
    sources.add(opened.evidence)
cohort_evidence: Evidence = "phantom" if "phantom" in sources else "stand-in"
rows = {kind: label_slices(cohort[kind]) for kind in KINDS}
for kind in KINDS:
    states = np.bincount([r.label for r in rows[kind]], minlength=4)
    print(f"{KINDS[kind]:11s} {len(cohort[kind])} cases,", dict(zip(TUMOUR_STATES, states.tolist(), strict=True)))

# %%
glioma = cohort["brats2023_gli"]
enhancing = [r for r in rows["brats2023_gli"] if r.label == 3]
few = load_slices(glioma, enhancing)
pixel_mm = float(glioma[0].affine[:3, 0].norm())
areas = (few.masks == 3).flatten(1).sum(1) * pixel_mm**2
chosen_row = int((areas - 60).abs().argmin())  # near the 50 mm² that decide
middle = enhancing[chosen_row]
one = load_slices(glioma, [middle])
upright = picture(read_case(middle.case, glioma.manifest, ["t1c"])["t1c"], "axial")
transform = slice_views()
views = [Panel(replace(upright, pixels=np.asarray(one.images[0, 1]), aspect=1.0), "as it is",
               np.asarray(one.masks[0]), (-2, 3), f"enhancing {int(areas[chosen_row])} mm²: enhancing")]
for number in range(1, 8):
    bent, labels_bent = view(transform, one.images[0], one.masks[0], seed=config.seed + number)
    part = labels_bent.round().byte().numpy()
    state = tumour_state(part, pixel_mm**2)
    name = "left out" if state is None else TUMOUR_STATES[state]
    area = int((part == 3).sum() * pixel_mm**2)
    views.append(Panel(replace(upright, pixels=np.asarray(bent[1]), aspect=1.0, letters="    "),
                       f"view {number}", part, (-2, 3), f"enhancing {area} mm²: {name}"))
gallery.show(
    panels(views, columns=4, width=3.0),
    name="views",
    alt="One post-contrast slice and seven random views of it with the deformed mask: turned, mirrored, "
    "bent, noisier; the enhancing area differs from view to view.",
)

# %%
smallest = areas.argsort()[:12].tolist()
changed = {"nearest": 0, "bilinear": 0}
for mode in changed:
    elastic = slice_views(flip=0, elastic=1.0, scale=0.15, mask_mode=mode)
    for row in smallest:
        for draw in range(5):
            _, labels_bent = view(elastic, few.images[row], few.masks[row], seed=100 * row + draw)
            changed[mode] += tumour_state(labels_bent.round().byte().numpy(), pixel_mm**2) != 3
print(f"of {5 * len(smallest)} views of the {len(smallest)} smallest enhancing slices, {changed['nearest']} are "
      f"'enhancing' no more (label derived again); with a bilinear mask, whose thin parts fade, {changed['bilinear']}")

# %% [markdown]
# ## 7 · Masks: categories, one-hot, and are they on the right pixels?
#
# A loss wants the mask as **one-hot** planes: one binary picture per label. One-hot hides errors well. A stray value
# becomes a class of its own or disappears, so the set of values is checked first. (MONAI's BraTS helper still expects
# enhancing tumour as 4, the number used up to 2022. On 2023 masks, where it is 3, ET comes out empty, TC and WT lose
# their enhancing part, and nothing is said.)
#
# Alignment is harder: a mask shifted by some voxels is still a mask. Three checks that cost nothing: equal **shape and
# affine**; mask inside the **brain**; and the *mean signal* inside the mask, which falls when it slides off the lesion.
# The second check sleeps until the mask reaches the brain's edge; the third sees the first millimetres.

# %%
from monai.transforms import ConvertToMultiChannelBasedOnBratsClasses

prepared = glioma[middle.row]
ids = label_volume(prepared).long()
assert set(ids.unique().tolist()) <= {0, 1, 2, 3}
one_hot = F.one_hot(ids, 4).movedim(-1, 0)
assert torch.equal(one_hot.argmax(0), ids) and int(one_hot.sum()) == ids.numel()
for et in (4, 3):
    regions = ConvertToMultiChannelBasedOnBratsClasses(et_label=et)(ids[None])
    print(f"MONAI, et_label={et}: voxels in TC, WT, ET = {[int(region.sum()) for region in regions]}")

tissue_mask, flair, tumour = (prepared.image != 0).any(0), prepared.image[3].float(), ids > 0
shifts = list(range(0, 22, 3))
inside_brain, signal = [], []
for shift in shifts:
    moved = torch.roll(tumour, shift, dims=0)
    inside_brain.append(float(tissue_mask[moved].float().mean()))
    signal.append(float(flair[moved].mean()))

# %%
from medkd_lib.show.preprocessing import curve

gallery.show(
    curve([s * pixel_mm for s in shifts],
          {"share of the mask inside the brain": inside_brain, "mean FLAIR z-score inside the mask": signal},
          xlabel="the mask is shifted to the left by (mm)", ylabel="value"),
    name="alignment",
    alt="Two alignment checks against the shift of the mask: the mean FLAIR signal inside the mask falls "
    "from the first millimetres on, the share inside the brain only when the mask reaches its edge.",
)

# %% [markdown]
# ## 8 · PET: from counts to SUV
#
# A PET scanner reports activity in Bq/mL. That depends on how much was injected, into whom, and how long ago. The
# **standardised uptake value** divides all of it out:
#
# $$\mathrm{SUV} = \frac{c\;[\text{Bq/mL}]\cdot w\;[\text{g}]}{D\;[\text{Bq}]\cdot 2^{-\Delta t/T_{1/2}}}$$
#
# with $c$ the activity in the voxel, $w$ the patient's weight, $D$ the injected activity, $T_{1/2}$ the half-life and
# $\Delta t$ the time that passed. If the tracer spread evenly through a body of 1 g/mL, every voxel would read 1. The
# trap is $\Delta t$. The header's
# `DecayCorrection` says to which moment the image was corrected: **START**, the start of the scan, so
# $\Delta t$ = scan − injection; **ADMIN**, the injection itself, so $\Delta t = 0$. Confuse them and after an hour of
# fluorine-18 ($T_{1/2}$ = 109.8 min) every SUV is off by a factor of 1.46, in both directions plausible.
#
# ## Exercise 3 · SUV


# %% tags=["exercise"] exercise="q3"
def suv_from(bq_ml: float, weight_kg: float, injected_bq: float, half_life_s: float,
             injected_at: float, scanned_at: float, decay_correction: str) -> float:
    """The SUV of one voxel. Times are seconds of the day; `decay_correction` is "START" or "ADMIN".

    A scan "before" its injection was made after midnight. Any other `decay_correction`: ValueError.
    """
    # Hint: the modulo of a negative number of seconds by a day's 86400 is what you need.
    # BEGIN SOLUTION
    if decay_correction not in ("START", "ADMIN"):
        raise ValueError(f"decay_correction: expected START or ADMIN, found {decay_correction!r}")
    waited = (scanned_at - injected_at) % 86400 if decay_correction == "START" else 0.0
    return bq_ml * 1000 * weight_kg / (injected_bq * 2 ** (-waited / half_life_s))
    # END SOLUTION


# %% tags=["check"] exercise="q3"
@score.check("q3", suv_from, points=0.5)
def evenly_spread_is_one(suv_from):
    """370 MBq in 74 kg are 5000 Bq in every gram: SUV 1 if nothing has decayed."""
    value = suv_from(5000.0, 74.0, 370e6, 6586.2, 0.0, 3600.0, "ADMIN")
    assert abs(value - 1) < 1e-6, f"expected 1, got {value:.4f}"


@score.check("q3", suv_from, points=0.5)
def one_half_life_doubles(suv_from):
    """START, one half-life after the injection: half the dose is left, so the SUV doubles."""
    value = suv_from(5000.0, 74.0, 370e6, 6586.2, 1000.0, 1000.0 + 6586.2, "START")
    assert abs(value - 2) < 1e-6, f"expected 2, got {value:.4f}"


# %% tags=["hidden-check"] exercise="q3"
@score.hidden_check("q3", suv_from, points=1)
def any_patient(suv_from, secret):
    """Fresh numbers, another nuclide, both corrections."""
    rng = np.random.default_rng(secret)
    c, w, d, t, wait = rng.uniform((1e3, 40, 1e8, 1000, 300), (4e4, 120, 6e8, 7000, 5000))
    expected = c * 1000 * w / (d * 2 ** (-wait / t))
    value = suv_from(c, w, d, t, 30000.0, 30000.0 + wait, "START")
    assert abs(value - expected) < 1e-6 * expected, f"expected {expected:.4f}, got {value:.4f}"
    value, expected = suv_from(c, w, d, t, 30000.0, 30000.0 + wait, "ADMIN"), c * 1000 * w / d
    assert abs(value - expected) < 1e-6 * expected, f"ADMIN: expected {expected:.4f}, got {value:.4f}"


@score.hidden_check("q3", suv_from, points=0.5)
def over_midnight(suv_from, secret):
    """Injected at 23:40, scanned at 00:40."""
    value = suv_from(5000.0, 74.0, 370e6, 3600.0, 85200.0, 2400.0, "START")
    assert abs(value - 2) < 1e-6, f"expected 2 (one half-life of an hour), got {value:.4g}"


@score.hidden_check("q3", suv_from, points=0.5)
def nothing_is_guessed(suv_from, secret):
    """A correction nobody has heard of is refused, not guessed."""
    for correction in ("NONE", "", f"X{secret % 1000}"):
        try:
            suv_from(5000.0, 74.0, 370e6, 6586.2, 0.0, 3600.0, correction)
        except ValueError:
            continue
        raise AssertionError(f"decay_correction={correction!r} was accepted")


# %%
from datetime import datetime

from medkd_lib.phantom.dicom_files import write_pet_series
from medkd_lib.phantom.pet import suv


def library_suv(bq_ml, weight_kg, injected_bq, half_life_s, injected_at, scanned_at, decay_correction):
    minutes = 0.0 if decay_correction == "ADMIN" else (scanned_at - injected_at) % 86400 / 60
    return suv(bq_ml, weight_kg, injected_bq, half_life_s / 60, minutes)


to_suv = score.settle("q3", student=suv_from, library=library_suv)
pet, half_life, weight, dose = patient["pet"], 6586.2, 74.0, 370e6
injected, scanned = datetime(2020, 1, 2, 9, 0), datetime(2020, 1, 2, 10, 0)
bq = np.clip(pet.array, 0, None) * dose * 2 ** (-3600 / half_life) / (1000 * weight)
for correction in ("START", "ADMIN"):
    written = write_pet_series(folder / "dicom" / f"pet_{correction}", bq, pet.affine, weight_kg=weight,
                               injected_bq=dose, injection_time=injected, series_time=scanned,
                               decay_correction=correction, seed=config.seed)
    hottest = float(read_volume(written, unit="SUV").array.max())
    yours = to_suv(float(bq.max()), weight, dose, half_life, 32400.0, 36000.0, correction)
    lie = "" if correction == "START" else " (broken once: the same counts under a header that lies)"
    print(f"header says {correction}: hottest voxel SUV {hottest:.2f} (reader), {yours:.2f} (formula){lie}")
print(f"truth: {pet.array.max():.2f}")

# %% [markdown]
# ### Three scanners, three grids
#
# CT, MR and PET of one patient share the patient's world, not the voxels. To stack them as channels, two are resampled
# onto the third (images linear, masks nearest). And look at the MR's **field of view**: often smaller than the CT's.
# Outside it *nothing is known*. Zero says so; repeating the border paints stripes that a network will happily learn.

# %%
from monai.data import MetaTensor
from monai.transforms import ResampleToMatch


def for_monai(volume) -> MetaTensor:
    return MetaTensor(torch.from_numpy(volume.array.astype(np.float32))[None], affine=torch.from_numpy(volume.affine))


outline = {"ct": "ct_mask", "mr": "mr_mask", "pet": "pet_mask"}
limits = {"ct": (-150, 250), "mr": None, "pet": (0, 6)}
top = fullest(patient["ct_mask"])
scans = []
for role, mask_role in outline.items():
    own = fullest(patient[mask_role])
    scans.append(Panel(picture(patient[role], "axial", own), f"{role}, own grid",
                       picture(patient[mask_role], "axial", own).pixels, limits[role]))
for title, padding in (("zeros", "zeros"), ("border repeated", "border")):
    onto = ResampleToMatch(mode="bilinear", padding_mode=padding)(for_monai(patient["mr"]), for_monai(ct))
    scans.append(Panel(picture(replace(ct, array=np.asarray(onto[0])), "axial", top), f"mr on ct: {title}"))
gallery.show(
    panels(scans, columns=5, width=2.9),
    name="grids",
    alt="CT, MR and PET of one thigh on their own grids with the tumour outlined, and the MR resampled onto "
    "the CT's grid: black outside its field of view, or with stripes where the border was repeated.",
)

# %% [markdown]
# ### Is the twin like the real thing?
#
# A phantom that flatters would make every later lesson flatter. So: tissue values measured the same way on twin and real
# patients (fat and muscle found by CT windows away from the tumour, the tumour by its mask). Below, the twins made here,
# and the 21 real patients as recorded in `notebooks/results/01/sts_real.csv`, or measured now if `sts_root` names them.
# Where the last column says *no*, the mean of the twins lies more than one standard deviation of the real patients away:
# there the phantom is wrong, and a result that rests on it is too. (`difficulty` moves the tumour's contrast on purpose.)

# %%
import pandas as pd

from medkd_lib.course.grid import results_folder
from medkd_lib.phantom.sts_compare import TISSUE_TITLES, tissue_means

measured = pd.DataFrame([vars(tissue_means(c.images["ct"].parent)) for c in sarcomas.index.cases])
real = pd.read_csv(results_folder("01") / "sts_real.csv")
columns = [c for c in real.columns if c != "patient"]
compared = pd.DataFrame({
    "tissue value": [TISSUE_TITLES[c] for c in columns],
    "real (21), mean ± SD": [f"{real[c].mean():.2f} ± {real[c].std():.2f}" for c in columns],
    f"this run: {sarcomas.evidence} ({len(measured)})": [f"{measured[c].mean():.2f} ± {measured[c].std():.2f}" for c in columns],
    "within one SD": ["yes" if abs(measured[c].mean() - real[c].mean()) <= real[c].std() else "no" for c in columns],
})
table(compared)

# %% [markdown]
# ## 9 · Patients are divided, not slices
#
# Our cohort: three BraTS sets, and the tumour **type** as the class of a patient. (On real data this class is
# *confounded*: each set comes from its own hospitals, so a network may learn the hospital. On the twins it is not, since
# one virtual scanner made all three.) The plan asks for 80 % training, 10 % validation, 10 % test, balanced.
#
# ## Exercise 4 · 80 / 10 / 10
#
# Slices come with a patient and a class (the patient's). Give each slice its part, `"train"`, `"val"` or `"test"`, such
# that **no patient is in two parts**, about 80/10/10 of the *patients* of **each class** go to each part, and the same
# seed gives the same answer, another seed another one.
#
# (Dividing patients is not enough when **two sets** hold the same people under two names. The manifests declare such
# overlaps, and our split refuses them: below, BraTS 2021 and BraTS 2023.)


# %% tags=["exercise"] exercise="q4"
def split_slices(patients: list[str], classes: list[int], seed: int) -> list[str]:
    """The part of each slice, by patient, balanced by class."""
    # Hint: per class, shuffle its sorted patients and cut the list twice.
    # BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    part_of = {}
    class_of = dict(zip(patients, classes, strict=True))
    for label in sorted(set(classes)):
        members = rng.permutation(sorted(p for p, c in class_of.items() if c == label))
        tenth = max(1, round(len(members) / 10))
        for rank, patient in enumerate(members):
            part_of[patient] = "val" if rank < tenth else "test" if rank < 2 * tenth else "train"
    return [part_of[p] for p in patients]
    # END SOLUTION


# %% tags=["exercise-setup"]
def slices_of(patients_per_class: tuple[int, ...], seed: int) -> tuple[list[str], list[int]]:
    """Slices in random order: patient and class of each, 3 to 9 slices per patient."""
    rng = np.random.default_rng(seed)
    both = [(f"p{c}-{i:03d}", c) for c, n in enumerate(patients_per_class) for i in range(n)
            for _ in range(int(rng.integers(3, 10)))]
    order = rng.permutation(len(both))
    return [both[i][0] for i in order], [both[i][1] for i in order]


# %% tags=["check"] exercise="q4"
@score.check("q4", split_slices, points=0.5)
def nobody_is_in_two_parts(split_slices):
    """All slices of a patient get one part."""
    patients, classes = slices_of((30, 20, 10), seed=1)
    parts: dict[str, set] = {}
    for patient, part in zip(patients, split_slices(patients, classes, 0), strict=True):
        parts.setdefault(patient, set()).add(part)
    both = [p for p, found in parts.items() if len(found) > 1]
    assert not both, f"{len(both)} of {len(parts)} patients are in two parts, for example {both[:1]}"


@score.check("q4", split_slices, points=0.5)
def eighty_ten_ten(split_slices):
    """Of 60 patients about 48 in train, 6 in val and 6 in test."""
    patients, classes = slices_of((30, 20, 10), seed=1)
    part_of = dict(zip(patients, split_slices(patients, classes, 0), strict=True))
    count = {part: list(part_of.values()).count(part) for part in ("train", "val", "test")}
    assert set(part_of.values()) == set(count), f"parts called {sorted(set(part_of.values()))}"
    assert all(abs(count[p] - n) <= 2 for p, n in (("train", 48), ("val", 6), ("test", 6))), f"patients: {count}"


# %% tags=["hidden-check"] exercise="q4"
@score.hidden_check("q4", split_slices, points=1)
def each_class_in_each_part(split_slices, secret):
    """Also the rare class is divided 8 : 1 : 1, whatever the seed."""
    patients, classes = slices_of((300, 200, 100), seed=secret)
    for seed in range(secret % 1000, secret % 1000 + 8):
        part_of = dict(zip(patients, split_slices(patients, classes, seed), strict=True))
        for label, total in enumerate((300, 200, 100)):
            for part, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
                number = sum(p.startswith(f"p{label}-") for p, v in part_of.items() if v == part)
                assert abs(number - share * total) <= 2, f"class {label}: {number} of {total} in {part}"


@score.hidden_check("q4", split_slices, points=0.5)
def the_seed_decides(split_slices, secret):
    """Same seed, same parts; another seed, others; the order of the slices does not matter."""
    patients, classes = slices_of((30, 30), seed=secret)
    first_try = dict(zip(patients, split_slices(patients, classes, 3), strict=True))
    again = dict(zip(patients[::-1], split_slices(patients[::-1], classes[::-1], 3), strict=True))
    other = dict(zip(patients, split_slices(patients, classes, 4), strict=True))
    assert first_try == again, "the same seed gave another split when the slices came in another order"
    assert first_try != other, "another seed gave the same split"


# %%
from medkd_lib.data.split import LeakageError, check_apart, split_by_patient
from medkd_lib.show.preprocessing import shares


def library_split(patients: list[str], classes: list[int], seed: int) -> list[str]:
    cases = [Case(str(i), p, "cohort", {}, c) for i, (p, c) in enumerate(zip(patients, classes, strict=True))]
    parts = split_by_patient(cases, {"train": 0.8, "val": 0.1, "test": 0.1}, seed).parts
    return [part for i in range(len(cases)) for part, ids in parts.items() if str(i) in ids]


divide = score.settle("q4", student=split_slices, library=library_split)
of_case = [(c.patient, label) for label, v in enumerate(cohort.values()) for c in v.cases]
given = divide([p for p, _ in of_case], [c for _, c in of_case], config.seed)
placed = {p: (part, label) for (p, label), part in zip(of_case, given, strict=True)}
counts = {part: {kind: sum(v == (part, label) for v in placed.values()) for label, kind in enumerate(KINDS.values())}
          for part in ("train", "val", "test")}
try:
    check_apart({"brats2021", "brats2023_gli"})
except LeakageError as error:
    print("refused:", error)
gallery.show(shares(counts), name="split",
             alt="Share of glioma, meningioma and metastasis patients in training, validation and test part.")

# %% [markdown]
# ## 10 · Measure a leak
#
# What does it cost to divide slices? Take the dullest classifier there is: a test slice, shrunk to 16 × 16 pixels, gets
# the label of the **most similar training slice**. It knows nothing of tumours. We divide into five parts, each of which
# is tested once (five-fold cross-validation, with several seeds, so nothing hangs on one lucky tenth): once by slices,
# once by patients; once with the true labels and once with labels that **mean nothing**, a coin tossed for every
# patient. **Guess the four numbers before you run**, and write them into the first line. (Yagis et al. 2021 found 96 % on meaningless labels with slices divided, about 50 % with
# subjects divided, on brain MR; read second hand.)

# %%
from medkd_lib.course.experiments.leakage import fingerprints, slice_against_patient
from medkd_lib.show.preprocessing import leakage

my_guess = ""  # tumour type: slices, patients; coin: slices, patients, for example "0.9 0.6 0.5 0.5"
# Every slice with a label, as a project would take them.
vectors = np.concatenate([fingerprints(load_slices(cohort[kind], rows[kind]).images) for kind in KINDS])
types = np.concatenate([np.full(len(rows[kind]), label) for label, kind in enumerate(KINDS)])
who = [r.case.patient for kind in KINDS for r in rows[kind]]
runs = pd.concat([
    slice_against_patient(vectors, types, who, title="tumour type", seeds=range(config.seeds)),
    slice_against_patient(vectors, types, who, title="a coin per patient", seeds=range(config.seeds), random_labels=True),
])
gallery.show(
    leakage(runs), name="leakage",
    alt="Accuracy of the nearest neighbour over several seeds: near one when slices are divided, for true "
    "and for meaningless labels; near chance when patients are divided.",
)
print(f"{len(who)} slices of {len(set(who))} patients, {config.seeds} divisions; your guess: {my_guess or 'none'}")

# %% [markdown]
# With slices divided, a label that means nothing is "predicted" nearly perfectly: the classifier recognises the
# **patient**, whose label it has seen. Nothing in the number tells you so; only the control with a coin does. With
# patients divided the coin is back at chance, and what is left of the tumour type is what the pixels really give.
#
# ## 11 · Leakage, once more: the crop that knows the answer
#
# The sarcoma images were cut out as *the tumour's box plus 5 cm*. So the shape of the image gives the tumour away: draw
# an ellipsoid into the middle of the array, 5 cm from each side, **without looking at a single pixel**, and compare it
# with the expert's mask (Dice: twice the overlap over the sum of both volumes). The mending: a window of one size (96 mm)
# at a random place, never padded. In a window the size of the crop is gone, so the best blind guess is a constant one, a
# disc of 6 cm in the middle of every slice; its row on the whole crop says how much the window alone takes away. Every
# table of a segmentation on such data needs the row *geometry only (no pixels)*.

# %%
from medkd_lib.data.windows import central_disc, random_window
from medkd_lib.phantom.sts_compare import shape_dice
from medkd_lib.show.preprocessing import strip

rng = np.random.default_rng(config.seed)
blind, disc, windowed = [], [], []


def dice(guess: NDArray, expert: NDArray) -> float:
    return float(2 * (guess & expert).sum() / (guess.sum() + expert.sum()))


for c in sarcomas.index.cases:
    drawn = read_case(c, sarcomas.manifest, ["ct_mask"])["ct_mask"]
    blind.append(shape_dice(drawn.array > 0, drawn.spacing_mm))
    window = replace(drawn, array=drawn.array[random_window(drawn, 96.0, rng)])
    disc.append(dice(central_disc(drawn, 30.0), drawn.array > 0))
    windowed.append(dice(central_disc(window, 30.0), window.array > 0))
gallery.show(
    strip({"ellipsoid, whole crop": blind, "disc, whole crop": disc, "disc, window at random": windowed}, "Dice of a guess without pixels", (0, 1)),
    name="geometry",
    alt="Dice of an ellipsoid drawn from the image's shape alone, one dot per patient: high on the whole "
    "crop, lower for a disc, lowest on windows at random places.",
)

# %% [markdown]
# ## 12 · Export
#
# The plan wants PNG or NumPy files. Both, with their price: an 8-bit PNG has 256 levels and three colours, so one of
# the four sequences stays behind; the `.npz` keeps all of them as half-precision floats, and the mask. The set gets **a
# manifest of its own**: licence and patients of the source, layout, hashes. What has no manifest cannot be split by
# patient by the next person. (Slices of gated data must not be passed on; the manifest says so.)

# %%
from medkd_lib.data.export import export_slices
from medkd_lib.data.index import index
from medkd_lib.data.manifest import read_manifest
from medkd_lib.data.store import key_of
from medkd_lib.home import medkd_home

# Outside any checkout, since slices of gated data stay with you; one folder for each run folder.
out = medkd_home() / "exports" / key_of(run=str(folder))[:8]
shutil.rmtree(out, ignore_errors=True)
exported_rows = pick(rows["brats2023_gli"], 3, config.seed)
unit_volumes = Volumes(glioma.manifest, glioma.cases, replace(recipe, intensity="unit"))
export_slices(unit_volumes, exported_rows, out, dataset="gli_slices", names=dict(enumerate(TUMOUR_STATES)),
              preview=("t1c", "t2w", "t2f"), synthetic=cohort_evidence == "phantom")
exported = index(read_manifest(out / "gli_slices.yaml"), out)
print(f"{len(exported.cases)} slices of {len({c.patient for c in exported.cases})} patients, "
      f"{sum(f.stat().st_size for f in out.rglob('*') if f.is_file()) / 1e6:.1f} MB, read back by our own index")

# %% [markdown]
# ## Claims
#
# The verdicts come from the runs above: paired differences over divisions of the same patients.

# %%
from medkd_lib.course.experiments.leakage import contrasts
from medkd_lib.data.manifest import manifest_folder
from medkd_lib.evaluate.claims import ledger as claim_table
from medkd_lib.evaluate.claims import read_paper

measured_contrasts = contrasts(runs, cohort_evidence, patients=len(set(who)))
ledger = claim_table(read_paper(manifest_folder() / "claims" / "yagis2021.yaml"), measured_contrasts)
table(ledger)

# %% [markdown]
# ## What we could not know
#
# - **The twins are physics with design choices.** They have no hospital, no motion, no metal; their leak is the leak of a
#   patient's own anatomy. Real data leak in more ways (site, protocol, date).
# - **BraTS 2023 itself** was not at hand; file layout, affine and labels are as several public loaders state them.
# - **Yagis et al.** was read second hand.
#
# ## Summary
#
# A voxel has an address and a unit; a label is a name; a patient is the unit of evidence. Look by one convention, check
# side, grid, values. Normalise over tissue, crop before you resize, never interpolate a name, derive labels again after
# you bend them. Divide patients. Then try to beat your result without pixels and with meaningless labels: if that works,
# you have measured the leak and not the disease.
#
# **Next** · 02 trains the hybrid teacher, VGG19 and a Vision Transformer, on these tensors.

# %% tags=["result"]
from medkd_lib.course.lesson import finish
from medkd_lib.course.result import Headline, Metric
from medkd_lib.evaluate.intervals import patient_bootstrap, t_interval

print(score.summary())
means = runs.groupby(["labels", "split"]).accuracy.agg(list)
metrics = [Metric(name="accuracy", value=float(np.mean(v)), arm=f"{labels}, {split} split", n=len(set(who)),
                  seed=config.seed, dataset="brats2023", evidence=cohort_evidence, interval=t_interval(v),
                  interval_kind="95 % t over divisions of the same patients") for (labels, split), v in means.items()]
sarcoma_patients = [c.patient for c in sarcomas.index.cases]
metrics += [Metric(name="dice_without_pixels", value=float(np.mean(v)), arm=arm, n=len(v), seed=config.seed,
                   dataset="sts_petctmr", evidence=sarcomas.evidence, interval=patient_bootstrap(np.array(v), sarcoma_patients),
                   interval_kind="95 % bootstrap over patients")
            for arm, v in {"crop": blind, "disc": disc, "window": windowed}.items()]
coin = {split: np.mean(means["a coin per patient", split]) for split in ("slice", "patient")}
finish("01_from_scanner_to_tensor", title="From scanner to tensor", config=config, metrics=metrics, gallery=gallery,
       score=score, ledger=ledger, headline=Headline(metric="accuracy", text=(
           f"Labels that mean nothing are 'predicted' with {coin['slice']:.2f} when slices are divided and with "
           f"{coin['patient']:.2f} when patients are (a fair coin; {len(set(who))} patients, {config.seeds} divisions); "
           f"an ellipsoid without pixels finds sarcomas with Dice {np.mean(blind):.2f}")))
