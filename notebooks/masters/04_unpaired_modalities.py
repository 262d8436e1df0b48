# %% [markdown]
# # 04 · A teacher that sees another scanner
#
# **Question** Can a scanner that is not there teach? A network that will only ever see CT learns beside one that sees
# MR, of *other* patients. What can cross between them, and what cannot?
#
# **Paper** Jiang, Rimner, Deasy, Veeraraghavan 2022, *Unpaired cross-modality educed distillation (CMEDL)*, IEEE TMI
# 41:1057 (arXiv 2107.07985), and its MICCAI 2019 forerunner. **Abstracts only were read**: who sees what is theirs;
# weights, layers, distances and the order of a step are *ours*. No number of ours is the paper's; its abstract's
# numbers stand in the ledger of section 11, marked *published*.
#
# **Data and licence** Chests with a lung tumour: by default the *phantom twins* of MSD Task06 Lung (CT; CC BY-SA 4.0)
# and of the paper's private T2w MR cohort, made here, no download. With `data_root`: the sarcomas of `sts_petctmr`
# (CT, MR and PET; CC BY 3.0); the abdomens of `chaos` (two MR sequences, T1 teaches T2; CC BY-NC-SA 4.0); or real
# chests, for which you need labelled MR of your own, in a folder `cmedl_private_mr_cohort` beside the CT's: that cohort
# is private, and nobody outside has it.
#
# **Budget** smoke ≤ 60 s · lesson ≤ 4 min · paper 600 min on one GPU (an estimate). `smoke` only asks whether every
# cell runs; its networks have learned nothing, so read nothing off its numbers and pictures.
#
# **You need** lesson 00; lesson 03 has the idea of features that cross. Not for clinical use.

# %% tags=["parameters"]
profile: str = "lesson"  # [smoke | lesson | paper] how much to compute
dataset: str = "msd_task06_lung"  # [msd_task06_lung | nsclc_radiomics | sts_petctmr | chaos] manifest of the images
data_root: str = ""  # [folder] real images; empty: the phantom twins
difficulty: str = "subtle"  # [clear | subtle | none] of the phantom; in `none` MR knows no more than CT
setting: str = "informative"  # [informative | weak] MR teaches CT, or CT teaches MR; on chaos T1 teaches T2, an equal
teacher: str = "mr"  # [mr | pet] what teaches on sarcomas; chests have MR alone
organ: str = "spleen"  # [liver | spleen | right_kidney | left_kidney] what is segmented on the abdomen (chaos)
architecture: str = "unet"  # [unet | densefcn | mrrn] of teacher and students
translation: str = "cyclegan"  # [cyclegan | latent] how CT becomes MR
lambda_hint: float = 0.1  # [>= 0] weight of the hints beside the labels
hint_warmup: float = 0.3  # [0..1] share of the steps in which that weight rises from 0
hint_layers: str = "last_blocks"  # [last_blocks | block_and_head] two readings of "the last two layers"
hint_distance: str = "l2"  # [l2 | cosine | mmd] between the student's and the teacher's maps
detach_teacher: bool = True  # [] False lets the hints pull the teacher, too
seg_to_generator: float = 0.0  # [>= 0] weight of the teacher's segmentation loss in the generator's step
lambda_cycle: float = 10.0  # [>= 0] weight of coming back to where one started
lambda_identity: float = 2.0  # [>= 0] weight of leaving real MR (and CT) as they are
lambda_contextual: float = 0.0  # [>= 0] weight of the contextual loss, on maps of the teacher's encoder
teaching_share: float = 0.5  # [0..1] share of the MR training sections that show a tumour
patients: int | None = None  # [>= 12] CT patients of the phantom (chaos: half are MR); None: the profile decides
mr_patients: int | None = None  # [>= 4] MR patients of the phantom; None: the profile decides
seed: int = 100  # [0..4294967295] of split, weights and batches
device: str = "auto"  # [auto | cpu | cuda] where to train
max_steps: int = 0  # [>= 0] cut the training after so many steps (result marked truncated); 0: no

# %%
from medkd_lib.course.exercise import Scoreboard
from medkd_lib.course.lesson import table
from medkd_lib.course.resolve import fabric_for, resolve

score = Scoreboard("04")
config = resolve(
    globals(),
    profiles={
        "smoke": {"patients": 12, "mr_patients": 4, "size": "small"},
        "lesson": {"patients": 100, "mr_patients": 28, "size": "small"},
        "paper": {"patients": 200, "mr_patients": 60, "size": "full"},
    },
)
if config.profile == "paper" and config.max_steps:  # a look at the full sizes, not a result
    config.patients, config.mr_patients = min(config.patients, 15), min(config.mr_patients, 6)
if config.setting == "weak":
    config.mr_patients = max(config.mr_patients, 12)  # MR is the student's then, and its patients are divided
if config.dataset == "chaos":
    config.patients = max(config.patients, 22)  # half are CT, and the MR half is divided
if config.profile == "smoke":
    print("smoke only asks whether every cell runs: read nothing off the numbers and pictures below")

# %% [markdown]
# ## What you will be able to do
#
# 1. say what a translation without pairs can know, and prove what it cannot;
# 2. write the hint loss, and mend a step of six networks so that each loss trains whom it should;
# 3. measure a translator by what it did to the *tumour*, not by how much its pictures look like MR;
# 4. judge a gain by its controls: true hints, hints of another patient, more labels, a guess without pixels.
#
# **Recall.** In lesson 03 features crossed from a teacher to a student of another build, and both looked at the *same
# image*. Here the teacher looks at another image: its modality is not the student's. For that image to exist, somebody
# has to paint it.
#
# **Words.** A *modality* is a kind of image. *CT* measures how much X-rays are weakened: lung and bone stand out, soft
# tissues hardly differ. *T2w MR*, a magnetic resonance image weighted by T2, tells soft tissues apart. *Unpaired*: no
# patient was seen by both scanners, so nobody knows which MR belongs to a CT. A *translator* (image to image) has two
# *generators*, CT to MR and back, and two *discriminators*, or *judges*, which try to tell painted images from real
# ones. A painted MR is a *pseudo-MR*. *Cycle*: there and back again. A *hint* is the wish that the student's maps be
# like the teacher's. An *oracle* knows what reality hides: a phantom can be scanned by both scanners. The *mediastinum*
# is what lies between the lungs: heart, great vessels, gullet, lymph nodes. An *arm* is one way to train or to answer,
# compared with the others. *Dice* is twice the common volume of answer and truth over the sum of both volumes: 1 is
# perfect, 0 is missed. *False alarms* are the share of a patient's tumour-free sections on which a region of at least
# 1 cm² is called tumour.
#
# **Letters.** $x_c, y_c$: a CT section and its mask; $x_m, y_m$: an MR section of somebody else and its mask. $G$
# paints MR from CT, $G'$ CT from MR; $D$ judges MR, $D'$ CT. $T$ is the teacher, $S$ the student, $\phi_l$ a map at
# layer $l$. A bar is a mean over everything under it.
#
# ## 1 · Translating without pairs, by hand
#
# Forget the places of pixels for a moment. Five of them, from one CT, in Hounsfield units; and five grey values from
# somebody else's T2w MR, in no order. Nobody says which belong together. All that a translator can ask is that its
# values *as a whole* look like MR's: the same **histogram**. If it keeps the order (darker stays darker), there is
# only one way: the smallest becomes the smallest, the second the second, and so on.
#
# | | lung | fat | muscle | tumour | bone |
# |---|---|---|---|---|---|
# | CT | −850 | −100 | 45 | **45** | 300 |
# | true MR | 0 | 8 | 2 | **6** | 1 |
#
# MR's values, sorted: 0, 1, 2, 6, 8. Lung gets 0, fat gets 1, bone gets 8. Muscle and tumour share ranks 3 and 4,
# but they are *one* number on CT. A function gives one number for one number: both get the mean, 4. On the true MR
# they are 4 apart, on the pseudo-MR 0. Fat and bone have changed places as well: an order is a poor guess about
# physics. (A deep generator may break the order, and it sees neighbours. But where two places look alike to it,
# neighbours and all, it paints them alike.)
#
# Now an image of 6,000 pixels with noise, 10 % of its soft tissue tumour. The noise breaks the ties, so every pixel
# gets a rank of its own. The histogram will be perfect.

# %%
import numpy as np

rng = np.random.default_rng(0)


def pixels(tumours: float) -> tuple[np.ndarray, np.ndarray]:
    """Six thousand pixels of soft tissue: which of them are tumour, and noise of SD 1."""
    return rng.random(6000) < tumours, rng.normal(size=6000)


def by_rank(ct: np.ndarray, mr: np.ndarray) -> np.ndarray:
    painted = np.empty(len(ct))
    painted[np.argsort(ct)] = np.sort(mr)
    return painted


tumour, noise = pixels(0.10)
ct = 45 + 15 * noise  # tumour and muscle alike: 45 HU, noise of 15
others, noise = pixels(0.10)
mr = np.where(others, 6.0, 2.0) + 0.5 * noise  # somebody else's MR, tumours bright
painted = by_rank(ct, mr)
assert np.array_equal(np.sort(painted), np.sort(mr))  # no histogram could be better
gap = {"true MR": 6.0 - 2.0, "pseudo-MR": painted[tumour].mean() - painted[~tumour].mean()}
print({name: round(float(value), 2) for name, value in gap.items()}, "tumour minus muscle")
print(f"painted bright: {np.mean(painted[tumour] > 4):.0%} of the tumour, {np.mean(painted[~tumour] > 4):.0%} of the muscle")

# %% [markdown]
# The histogram is right to the last pixel, and as many pixels are bright as should be. They are merely the wrong
# ones: the translator paints tumour wherever the noise happened to be high.
#
# ### The information argument
#
# That is no weakness of this translator. **Any** $G$ is a function of the CT. Whatever decides on $G(x_c)$ also
# decides on $x_c$, by first applying $G$. So the best decision on the pseudo-MR is never better than the best decision
# on the CT (the *data processing inequality*).
#
# By hand: a pixel looks dark, middle or bright on CT; muscle does so with probability 0.5, 0.4, 0.1, tumour with 0.1,
# 0.4, 0.5. The AUC is the chance that a random tumour pixel is brighter than a random muscle pixel, ties counted
# half:
#
# $$0.1\cdot\tfrac{0.5}{2} + 0.4\cdot\bigl(0.5+\tfrac{0.4}{2}\bigr) + 0.5\cdot\bigl(0.9+\tfrac{0.1}{2}\bigr) = 0.78$$
#
# A $G$ that paints middle and bright alike leaves two values: $0.1\cdot 0.25+0.9\cdot(0.5+0.25)=0.70$. A $G$ that
# paints everything alike: 0.5. The cell below tries all 27 functions from three values to three, each with the best
# order of its values.
#
# **So where could a gain come from?** Three honest places: (1) the MR patients are *labelled*: the teacher knows more
# tumours than the student has seen; (2) a hint is one more demand on the student, and demands regularise; (3) the same
# information may be *easier* to use when it is painted with more contrast. A gain that needs none of the three would
# be a miracle, or a mistake.

# %%
from itertools import permutations, product

import pandas as pd

of_muscle, of_tumour = np.array([0.5, 0.4, 0.1]), np.array([0.1, 0.4, 0.5])


def best_auc(p0: np.ndarray, p1: np.ndarray) -> float:
    """Area under the ROC curve of the best order of the values."""
    wins = [sum(p1[a] * (p0[list(order[:k])].sum() + p0[a] / 2) for k, a in enumerate(order))
            for order in permutations(range(len(p0)))]
    return float(max(wins))


found = {}
for paint in product(range(3), repeat=3):  # dark, middle and bright become paint[0], paint[1], paint[2]
    merge = np.eye(3)[list(paint)]
    found[paint] = best_auc(of_muscle @ merge, of_tumour @ merge)
on_ct = best_auc(of_muscle, of_tumour)
assert np.isclose(on_ct, 0.78) and np.isclose(found[0, 1, 1], 0.70) and max(found.values()) <= on_ct + 1e-12
kept = pd.Series(found).round(2).value_counts().sort_index(ascending=False)
table(pd.DataFrame({"AUC on the painted value": kept.index, "of the 27 functions": kept.to_numpy()}))
print(f"AUC on the CT itself {on_ct:.2f}: no function is above it")

# %% tags=["exercise-setup"]
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


def numbers(secret: int, *shape: int) -> NDArray:
    """Normal numbers from a seed of their own."""
    return np.random.default_rng(secret).normal(size=shape)


def maps(secret: int, *shape: int) -> Tensor:
    """A feature map of shape (images, channels, height, width) in double precision."""
    return torch.from_numpy(numbers(secret, *shape))


def plain(letter: object) -> str:
    """A letter as it is meant: `C`, `(c)` and `c.` are c."""
    return str(letter).strip(" ().").lower()


def slip(found: float, known: dict[float, str]) -> str:
    """What usually leads to a wrong number, if it is a known one."""
    return next((f", as where {why}" for value, why in known.items() if abs(found - value) < 1e-2), "")

# %% [markdown]
# ## 2 · Your turn
#
# Four exercises. An open one stops nothing: its check says *not solved yet*, and the lesson goes on with the
# library's function. Hidden checks also ask for what the text says and the visible ones do not try.
#
# ## Exercise 1 · Match the quantiles
#
# Write the translator of section 1. It gets as many MR values as CT values, in any order. Every CT value becomes the
# MR value of the same rank. **Equal CT values must stay equal**: they become the mean of the MR values of all their
# ranks. Leave both arrays as they are.


# %% tags=["exercise"] exercise="q1"
def match_quantiles(ct: NDArray, mr: NDArray) -> NDArray:
    """Return a pseudo-MR value for each CT value, shape (N,); equal CT values get equal ones."""
    # Hint: np.unique(ct, return_inverse=True) numbers the groups of equal values; np.bincount sums by group.
    # BEGIN SOLUTION
    _, group, count = np.unique(ct, return_inverse=True, return_counts=True)
    painted = np.empty(len(ct))
    painted[np.argsort(ct)] = np.sort(mr)
    return (np.bincount(group, painted) / count)[group]
    # END SOLUTION


# %% tags=["check"] exercise="q1"
@score.check("q1", match_quantiles, points=0.5)
def five_pixels_by_hand(match_quantiles):
    """Muscle and tumour, both 45 HU, become 4; lung 0, fat 1, bone 8."""
    found = np.asarray(match_quantiles(np.array([45.0, -100, 300, -850, 45]), np.array([6.0, 0, 8, 1, 2])), float)
    assert found.shape == (5,) and np.allclose(found, [4, 1, 8, 0, 4]), f"expected [4, 1, 8, 0, 4], got {found.round(3).tolist()}"


@score.check("q1", match_quantiles, points=0.5)
def the_histogram_is_mrs(match_quantiles):
    """Where no CT values are equal, the painted values are MR's values, in another order."""
    ct, mr = numbers(1, 50), numbers(2, 50)
    found = np.sort(np.asarray(match_quantiles(ct, mr), float))
    assert np.allclose(found, np.sort(mr)), "sorted, the painted values are not MR's sorted values"


@score.check("q1", match_quantiles, points=0.25)
def three_of_a_kind_by_hand(match_quantiles):
    """Three equal CT values have ranks 2, 3 and 4: all get the mean of 1, 2 and 9, which is 4; the other gets 0."""
    found = np.asarray(match_quantiles(np.array([7.0, 7, -3, 7]), np.array([2.0, 9, 0, 1])), float)
    why = slip(found[0], {2: "the ranks are averaged in place of the MR values", 1: "all get the lowest rank's value"})
    assert np.allclose(found, [4, 4, 0, 4]), f"expected [4, 4, 0, 4], got {found.round(3).tolist()}{why}"


@score.check("q1", match_quantiles, points=0.25)
def darker_stays_darker(match_quantiles):
    """The order is kept: a larger CT value never gets a smaller MR value."""
    ct, mr = numbers(3, 40).round(1), numbers(4, 40)
    found = np.asarray(match_quantiles(ct, mr), float)
    darker = ct[:, None] < ct[None, :]  # pairs of different CT values alone
    drop = (found[:, None] - found[None, :])[darker].max()
    assert drop < 1e-9, f"a larger CT value got an MR value smaller by {drop:.3f}"


# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", match_quantiles, points=1)
def equal_values_stay_equal(match_quantiles, secret):
    """Fresh numbers with many ties: each group gets the mean of the MR values of its ranks."""
    ct, mr = numbers(secret, 60).round(0), 5 * numbers(secret + 1, 60)
    found = np.asarray(match_quantiles(ct, mr), float)
    ranks = np.sort(ct)
    for value in np.unique(ct):
        expected = np.sort(mr)[ranks == value].mean()
        got = found[ct == value]
        assert np.allclose(got, expected), f"CT value {value:g}: expected {expected:.4f} everywhere, got {got[:3]}"


@score.hidden_check("q1", match_quantiles, points=0.5)
def the_inputs_stay_as_they_were(match_quantiles, secret):
    """Neither array may change: the same pixels are used again."""
    ct, mr = numbers(secret, 30), numbers(secret + 5, 30)
    before = ct.copy(), mr.copy()
    match_quantiles(ct, mr)
    assert np.array_equal(ct, before[0]) and np.array_equal(mr, before[1]), "an input was changed"


# %%
from medkd_lib.course.mended_cmedl import matched_quantiles

lesson_match = score.settle("q1", student=match_quantiles, library=matched_quantiles)
rows = []
for share in (0.0, 0.1, 0.3):
    others, noise = pixels(share)
    mr = np.where(others, 6.0, 2.0) + 0.5 * noise
    painted = np.asarray(lesson_match(ct, mr), float)
    rows.append({"tumour in the MR cohort": f"{share:.0%}", "in the CT": f"{tumour.mean():.0%}",
                 "painted bright, all pixels": f"{np.mean(painted > 4):.0%}",
                 "of the muscle": f"{np.mean(painted[~tumour] > 4):.0%}",
                 "of the tumour": f"{np.mean(painted[tumour] > 4):.0%}"})
table(pd.DataFrame(rows))

# %% [markdown]
# **A trap: prevalence.** The MR cohort decides how much tumour is painted, the CT does not. If the MR patients show
# none, every tumour is taken away; if they show three times as much, it is painted into muscle. A discriminator
# *demands* this: a painted set with the wrong share of bright spots can be told from a real one (Cohen et al. 2018,
# arXiv 1805.08841). In this lesson half of the training sections show a tumour on both sides. The parameter
# `teaching_share` breaks that on purpose: try 0.
#
# ## 3 · Patients of two scanners
#
# Two cohorts, nobody in both. A phantom chest has a tumour that lies in the lung, or leans on mediastinum or chest
# wall; there CT shows soft tissue beside soft tissue, and T2w MR, by its physics, tells them apart. `difficulty` says
# by how much; in `none` MR knows no more than CT does. A *case* is a whole patient, all sections together. The student
# never meets the patients in `more`: they are for a control of the recorded runs.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt

from medkd_lib.course.lesson_cmedl import open_material, who_is_where
from medkd_lib.course.lesson_cmedl_looks import largest_sections
from medkd_lib.course.result import run_folder
from medkd_lib.data.apart import LeakageError
from medkd_lib.show.gallery import Gallery
from medkd_lib.show.section import Outline, draw_section
from medkd_lib.show.style import course_style

gallery = Gallery(run_folder("04_unpaired_modalities"))
material = open_material(config)
images, modalities = material.images[0], replace(material.modalities, teaching_share=config.teaching_share)
test, CT, MR = modalities.test, modalities.student.upper(), modalities.teacher.upper()
known = modalities.teacher in test.images
for each in material.images:
    print(f"{each.manifest.title} · licence {each.manifest.licence.name} · evidence {each.evidence}")
table(who_is_where(modalities))
try:
    replace(modalities, teaching=test)
except LeakageError as error:
    print("a test patient who teaches is refused:", error)

# %%
mine, theirs = largest_sections(test), largest_sections(modalities.teaching)
one, other = mine[len(mine) // 2], theirs[len(theirs) // 2]
panels = {f"{CT} of a test patient": (test.images[modalities.student][one, 0], test.masks[one])}
if known:
    panels[f"true {MR} of the same patient"] = test.images[modalities.teacher][one, 0], test.masks[one]
panels[f"{MR} of somebody who teaches"] = (
    modalities.teaching.images[modalities.teacher][other, 0], modalities.teaching.masks[other])
with course_style():
    figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 3.6), squeeze=False)
    for axis, (title, (picture, mask)) in zip(axes[0], panels.items(), strict=True):
        draw_section(axis, picture, [Outline(mask)])
        axis.set_title(title, loc="center", fontsize=15)
gallery.show(figure, name="patients",
             alt=f"Sections with the tumour outlined: {', '.join(panels)}. Only a phantom or a paired set has the middle one.")

# %% [markdown]
# The middle picture is the oracle's. The student's patients never had that scan; the method must paint it.
#
# ## 4 · Six networks, one step
#
# | network | is shown | label | learns from | at the bedside |
# |---|---|---|---|---|
# | $G$, $G'$ | CT, MR | none | fooling $D$, $D'$; the cycle | dropped |
# | $D$, $D'$ | real and painted images | none | telling them apart | dropped |
# | teacher $T$ | MR with its mask, *and* pseudo-MR with the **CT's** mask | both | segmentation | dropped |
# | student $S$ | CT | CT's | segmentation, and the hint | **kept** |
#
# All train at once, nothing is trained before. That, and who sees what, is in the abstracts. Here is the trick that
# makes pairs unnecessary: the student looks at $x_c$, the teacher at $G(x_c)$, *the same patient painted*. Their maps
# lie on the same places by construction, if $G$ keeps the geometry.
#
# One step, in the order of the public code of a sibling method by the same group:
#
# $$\text{1.}\;\;\mathcal L_G = \overline{(D(G(x_c))-1)^2} + \overline{(D'(G'(x_m))-1)^2}
# + \lambda_{cyc}\bigl[\overline{|G'(G(x_c))-x_c|}+\overline{|G(G'(x_m))-x_m|}\bigr]
# + \lambda_{idt}\bigl[\overline{|G(x_m)-x_m|}+\overline{|G'(x_c)-x_c|}\bigr]$$
# $$\text{2.}\;\;\mathcal L_D = \overline{(D(x_m)-1)^2}+\overline{D(G(x_c))^2}\quad\text{(and likewise }D')$$
# $$\text{3.}\;\;\mathcal L_T = \mathcal L_{seg}(T(x_m),y_m)+\mathcal L_{seg}(T(G(x_c)),y_c)$$
# $$\text{4.}\;\;\mathcal L_S = \mathcal L_{seg}(S(x_c),y_c)
# +w\,\lambda_{hint}\sum_l d\bigl(\phi^S_l(x_c),\,\phi^T_l(G(x_c))\bigr)$$
#
# with $\mathcal L_{seg}$ Dice plus a fifth of the cross-entropy, and $w$ rising from 0 to 1 in the first steps
# (`hint_warmup`): an untrained teacher has nothing to say. In 2, $G(x_c)$ comes from a *pool* of up to 50 earlier
# paintings, so that $D$ does not forget what it once unmasked. And $D$ answers once per *patch*: the bar is over its
# answers, too. $G(x_c)$ is painted anew for 3 and 4 and cut off from the generator, the teacher's maps are cut off from
# the teacher; both are switches (`seg_to_generator`, `detach_teacher`).
#
# What the order buys: teacher and students see the generator as it is *after* its step, and a hint uses the teacher's
# maps from *before* its own step, the same pass that 3 is computed on. Nobody is taught by a picture or a map that the
# step has already outdated, and nothing is computed twice.
#
# Why 0 and 1 without a sigmoid? Behind a sigmoid with cross-entropy, a painting that $D$ takes for real with 0.99 sends
# back next to no gradient, however far it lies from the real ones. $(D-1)^2$ has the slope $2(D-1)$: an answer of 3
# pulls back as hard as one of −1 pulls up. Least squares pull also at those that already pass.
#
# Why the *identity* terms, which show a generator an image of the modality that it is to paint? Without them nothing
# says that dark stays dark. A $G$ that paints a photographic negative, and a $G'$ that turns it back, have a perfect
# cycle, and the judges see patches with the edges and grey values of MR. Two of our first three translators did just
# that (`lambda_identity` 0; the *correlation with its source* in section 6 is then negative).
#
# **The other options.**
#
# - `hint_distance="cosine"` compares the *directions* of both maps at each place, not how strong they are.
# - `"mmd"` (maximum mean discrepancy) compares two *heaps* of positions: shuffle a map's places, it costs nothing.
# - `translation="latent"`: no two generators, but an encoder and a decoder per modality around one *shared latent
#   space*: CT goes in through its own encoder and comes out through MR's decoder.
# - `architecture="densefcn"`: in a block of the DenseFCN each layer sees the maps of all layers before it.
# - `"mrrn"`: the multiple-resolution residual network keeps a stream at *every* size beside the pooled one, which reads
#   from them and adds to them all along its way.
# - `lambda_contextual`: a further demand on $G$: each place of a painted MR's encoder map shall find its like *anywhere*
#   in that of a real one.
#
# **Which maps?** "The last two layers", says the 2019 abstract. That may be the last two decoder blocks (our
# default), or the last block and the logits: `hint_layers`. What is *ours* in this section: the distance and its
# normalisation, all weights, the warm-up, every size. The table has the published layouts as the group's public code
# has them (that CMEDL used just these is a guess which the counts support), and this run's.

# %%
from medkd_lib.course.experiments.cmedl_budget import BUDGETS, network
from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.mrrn import MRRN
from medkd_lib.models.patch_discriminator import patch_discriminator
from medkd_lib.models.resnet_generator import ResnetGenerator
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.unet import UNet

budget = BUDGETS[config.profile]
with torch.device("meta"):  # shapes and counts without memory
    sizes = {"U-Net": UNet(1, 2), "DenseFCN, 57 layers": FCDenseNet(1, 2),
             "MRRN, as published (its decoder drops a tensor)": MRRN(1, 2, variant="published"),
             "MRRN, clean (ours)": MRRN(1, 2), "generator": ResnetGenerator(),
             "discriminator": patch_discriminator(), f"this run's {config.architecture}": network(config.architecture, budget),
             "this run's generator": ResnetGenerator(width=budget.generator[0], blocks=budget.generator[1])}
table(pd.DataFrame([{"network": name, "weights": f"{parameter_count(net):,}"} for name, net in sizes.items()]))
layers = {"last_blocks": ("hint_half", "hint_full"), "block_and_head": ("hint_full", "head")}[config.hint_layers]
untrained = network(config.architecture, budget).eval()
with torch.no_grad(), tap(untrained, {layer: layer for layer in layers}) as seen:
    untrained(test.images[modalities.student][:1])
print("hinted maps:", {layer: tuple(found.shape[1:]) for layer, found in seen.items()})

# %% [markdown]
# ## Exercise 2 · The hint loss
#
# Write $d$, the distance of two maps of shape (images, channels, height, width):
#
# 1. bring **each channel** of either map to mean 0 and standard deviation 1, over *images and positions* together,
#    each map by its own statistics (variance divided by the number of values, $\varepsilon=10^{-5}$ added to it);
# 2. return the mean of the squared differences over everything.
#
# The teacher is a given. Why normalise? Two networks that were never introduced have features of any size; a raw
# difference would first of all ask the student to copy the *scale*. By hand, one channel and two positions: student
# (0, 2), teacher (5, 1). Normalised: (−1, 1) and (1, −1), so $d=((-2)^2+2^2)/2=4$, the most that is possible: the
# student says the opposite.


# %% tags=["exercise"] exercise="q2"
def hint_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """Mean squared difference of the two maps, each channel normalised first."""
    # Hint: map.var(dim=(0, 2, 3), keepdim=True, correction=0)
    # BEGIN SOLUTION
    def normalised(x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
        return centred / (x.var(dim=(0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()

    return F.mse_loss(normalised(student_map), normalised(teacher_map.detach()))
    # END SOLUTION


# %% tags=["check"] exercise="q2"
@score.check("q2", hint_loss, points=0.25)
def two_positions_by_hand(hint_loss):
    """Student (0, 2), teacher (5, 1): the opposite, 4."""
    found = float(hint_loss(torch.tensor([[[[0.0, 2]]]]), torch.tensor([[[[5.0, 1]]]])))
    why = slip(found, {2: "the variance was divided by n − 1", 13: "maps are not normalised", 8: "d is summed"})
    assert abs(found - 4) < 1e-3, f"expected 4.000, got {found:.3f}{why}"


@score.check("q2", hint_loss, points=0.5)
def two_images_by_hand(hint_loss):
    """Two images, two channels, two positions: of each channel's four values two agree in sign, so d = 2."""
    student = torch.tensor([[[[0.0, 0]], [[10, 30]]], [[[2, 2]], [[10, 30]]]])  # −1, −1, 1, 1 and −1, 1, −1, 1
    teacher = torch.tensor([[[[0.0, 2]], [[5, 5]]], [[[0, 2]], [[1, 1]]]])  # −1, 1, −1, 1 and 1, 1, −1, −1
    found = float(hint_loss(student, teacher))  # two of four signs differ, and each costs 4
    why = slip(found, {1: "every image has statistics of its own", 1.144: "all channels share theirs"})
    assert abs(found - 2) < 1e-3, f"expected 2.000, got {found:.3f}{why}"


@score.check("q2", hint_loss, points=0.25)
def scale_and_shift_cost_nothing(hint_loss):
    """A teacher that says the same three times as loud, and one higher, costs nothing."""
    found = float(hint_loss(maps(1, 2, 3, 4, 4), 3 * maps(1, 2, 3, 4, 4) + 1))
    assert abs(found) < 1e-6, f"expected 0, got {found:.6f}"


@score.check("q2", hint_loss, points=0.5)
def the_teacher_is_not_pulled(hint_loss):
    """The gradient must reach the student's map and not the teacher's."""
    student, teacher = (maps(seed, 2, 3, 4, 4).requires_grad_() for seed in (1, 2))
    hint_loss(student, teacher).backward()
    assert student.grad is not None and student.grad.abs().max() > 1e-9, "no gradient reached the student"
    assert teacher.grad is None, "a gradient reached the teacher"


# %% tags=["hidden-check"] exercise="q2"
@score.hidden_check("q2", hint_loss, points=1)
def unseen_maps(hint_loss, secret):
    """Fresh maps, images of different brightness: statistics over images and positions, mean over everything."""
    shape = (3, 2 + secret % 3, 4, 5)
    student, teacher = maps(secret, *shape), maps(secret + 1, *shape) + torch.arange(3.0).view(3, 1, 1, 1)
    s, t = (F.batch_norm(x, None, None, training=True, eps=1e-5) for x in (student, teacher))
    expected, found = float(((s - t) ** 2).mean()), float(hint_loss(student, teacher))
    assert abs(found - expected) < 1e-6, f"expected {expected:.5f}, got {found:.5f}"


@score.hidden_check("q2", hint_loss, points=0.5)
def a_dead_channel_stays_finite(hint_loss, secret):
    """A channel that is the same everywhere has no deviation; it costs the teacher's variance, and no NaN."""
    student = maps(secret, 2, 2, 3, 3)
    student[:, 1] = 0.0
    found = float(hint_loss(student, student + 0.0))
    assert abs(found) < 1e-6, f"equal maps with a dead channel: expected 0, got {found}"
    found = float(hint_loss(torch.zeros(2, 1, 3, 3, dtype=torch.float64), maps(secret, 2, 1, 3, 3)))
    assert abs(found - 1) < 1e-3, f"a student that says nothing: expected 1, got {found}"


# %% [markdown]
# **Predict.** Four students start from the same weights and see the same batches beside one translator and one
# teacher: *alone* (labels only), *CMEDL* (hints from its own patients' pseudo-MR), *another patient* (a control: hints
# from the pseudo-MR of another patient of the batch) and, where anybody knows it, *true hints* (from the patient's true
# MR). The last says what hints would say if translation were perfect. It is no upper bound on Dice: part of what true MR
# says cannot be read off the CT, and the student is asked for it all the same. A pseudo-MR's hint is a function of the
# CT, and can be met. Order the four by their Dice before you run on.
#
# The cell below is the training, all of it; it is kept, so a second run is quick. Its loop is in the library.

# %%
my_guess = ""  # for example "true > CMEDL > alone = another patient"

from functools import partial

from medkd_lib.course.experiments.cmedl_study import CmedlStudy, Plan
from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Weights

lesson_hint = score.settle("q2", student=hint_loss, library=feature_distance)
if lesson_hint is hint_loss:
    print("the training has the library's, tested equal; yours measures the maps in section 8")
hints = Hints(weight=config.lambda_hint, layers=layers, distance=config.hint_distance,
              warm_up=config.hint_warmup, detach=config.detach_teacher)
weights = Weights(cycle=config.lambda_cycle, identity=config.lambda_identity, contextual=config.lambda_contextual,
                  segmentation_to_generator=config.seg_to_generator)
arms = ["alone", "cmedl", "other_hints", *(["true_hints"] if modalities.paired else [])]
plan = Plan({arm: STUDENTS[arm] for arm in arms}, config.architecture, config.translation, hints, weights)
study = CmedlStudy(modalities, budget, plan, config.seed, fabric_for(config), config.max_steps)
trained = study.train(progress=True)
print(f"{len(trained.history.steps)} logged steps, {trained.seconds:.0f} s", "(kept from an earlier run)" * trained.from_cache)
if not trained.from_cache:  # a kept training hands nobody out
    touched = set().union(*(drawn.touched for drawn in study.sets.values()))
    print(f"{len(touched)} patients were handed out; of the test patients {len(touched & set(test.patients))}")

# %% [markdown]
# ## Exercise 3 · Mend it: a step with three bugs
#
# A colleague wrote the losses of one step, small enough to read: `judge` is $D$, `teacher` and `student` return logits
# and a map, and the hint is a plain squared difference. It runs, and every loss is finite. In the setup below, find
# three bugs. Then write it anew, with the same five names and the same networks. What must hold:
#
# | loss | value | may send a gradient to |
# |---|---|---|
# | `adversarial` | $\overline{(D(G(x_c))-1)^2}$ | the generator alone |
# | `judge` | $\overline{(D(x_m)-1)^2}+\overline{D(G(x_c))^2}$ | the judge alone |
# | `teacher` | $\mathrm{CE}(T(x_m),y_m)+\mathrm{CE}(T(G(x_c)),y_c)$ | the teacher alone |
# | `student` | $\mathrm{CE}(S(x_c),y_c)$ | the student alone |
# | `hint` | $\overline{(\phi^S(x_c)-\phi^T(G(x_c)))^2}$ | the student alone |
#
# (CE is the mean cross-entropy over pixels.) After the call every network must be trainable as before.

# %% tags=["exercise-setup"]
class Segmenter(nn.Module):
    """Images (N, 1, H, W) to two logits per pixel, and a map of four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.tanh(self.trunk(images))
        return self.head(found), found


def toys(seed: int) -> tuple[dict[str, nn.Module], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Four networks by name; three CT sections with masks, and three MR sections of others with theirs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**31)
        networks = {"generator": nn.Conv2d(1, 1, 3, padding=1), "judge": nn.Conv2d(1, 1, 3),
                    "teacher": Segmenter(), "student": Segmenter()}
        (ct, mr), masks = torch.randn(2, 3, 1, 6, 6), torch.randint(2, (2, 3, 6, 6))
        return networks, (ct, masks[0], mr, masks[1])


def pulled(networks: dict[str, nn.Module], loss: Tensor) -> set[str]:
    """Names of the networks to which a loss sends a gradient; none where it was cut off from all."""
    if not loss.requires_grad:
        return set()
    for net in networks.values():
        net.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, net in networks.items() if any(p.grad is not None and p.grad.any() for p in net.parameters())}


# %% tags=["exercise-setup"]
def careless_step(networks, ct, ct_masks, mr, mr_masks):
    pseudo = networks["generator"](ct)
    networks["judge"].requires_grad_(False)  # fooling trains the generator, not the judge
    adversarial = (networks["judge"](pseudo) - 1).square().mean()
    networks["judge"].requires_grad_(True)
    judged = (networks["judge"](mr) - 1).square().mean() + networks["judge"](pseudo).square().mean()
    mr_logits, _ = networks["teacher"](mr)
    pseudo_logits, told = networks["teacher"](pseudo.detach())
    taught = F.cross_entropy(mr_logits, mr_masks) + F.cross_entropy(pseudo_logits, mr_masks)
    logits, mine = networks["student"](ct)
    return {"adversarial": adversarial, "judge": judged, "teacher": taught,
            "student": F.cross_entropy(logits, ct_masks), "hint": F.mse_loss(mine, told)}


def trains_alone(networks: dict[str, nn.Module], loss: Tensor, name: str) -> None:
    """Fail unless a loss sends a gradient to this network and to no other."""
    found = pulled(networks, loss)
    assert found == {name}, f"expected a gradient to the {name} alone, found {sorted(found)}"


# %% tags=["exercise"] exercise="q3"
def step_losses(networks: dict[str, nn.Module], ct: Tensor, ct_masks: Tensor, mr: Tensor,
                mr_masks: Tensor) -> dict[str, Tensor]:
    """The five losses of one step by name: adversarial, judge, teacher, student, hint."""
    # Hint: of each loss ask whom it may train, and detach what leads to anybody else.
    # BEGIN SOLUTION
    translated = networks["generator"](ct)
    networks["judge"].requires_grad_(False)
    adversarial = (networks["judge"](translated) - 1).square().mean()
    networks["judge"].requires_grad_(True)
    pseudo = translated.detach()
    # Bug 1, attached fakes: the generator was trained to be *found out*, against its own loss.
    judged = (networks["judge"](mr) - 1).square().mean() + networks["judge"](pseudo).square().mean()
    mr_logits, _ = networks["teacher"](mr)
    pseudo_logits, told = networks["teacher"](pseudo)
    # Bug 2, the MR's mask on the pseudo-image: another patient's tumour. A pseudo-MR shows the CT's patient.
    taught = F.cross_entropy(mr_logits, mr_masks) + F.cross_entropy(pseudo_logits, ct_masks)
    logits, mine = networks["student"](ct)
    return {"adversarial": adversarial, "judge": judged, "teacher": taught,
            "student": F.cross_entropy(logits, ct_masks),
            "hint": F.mse_loss(mine, told.detach())}  # bug 3, no detach: the teacher was pulled towards the student
    # END SOLUTION


# %% tags=["check"] exercise="q3"
@score.check("q3", step_losses, points=0.5)
def a_pseudo_image_shows_the_cts_patient(step_losses):
    """The teacher's loss: MR with the MR's mask, pseudo-MR with the CT's mask."""
    networks, (ct, ct_masks, mr, mr_masks) = toys(1)
    found = step_losses(networks, ct, ct_masks, mr, mr_masks)["teacher"].item()
    on_mr, on_pseudo = (networks["teacher"](x)[0] for x in (mr, networks["generator"](ct)))
    expected = (F.cross_entropy(on_mr, mr_masks) + F.cross_entropy(on_pseudo, ct_masks)).item()
    assert abs(found - expected) < 1e-5, f"expected {expected:.4f}, got {found:.4f}"


@score.check("q3", step_losses, points=0.5)
def the_judge_alone_learns_to_judge(step_losses):
    """The judge's loss must send no gradient to the generator."""
    networks, batch = toys(2)
    trains_alone(networks, step_losses(networks, *batch)["judge"], "judge")


@score.check("q3", step_losses, points=0.5)
def the_hint_trains_the_student_alone(step_losses):
    """The hint must reach the student, and neither teacher nor generator."""
    networks, batch = toys(3)
    trains_alone(networks, step_losses(networks, *batch)["hint"], "student")


# %% tags=["check"] exercise="q3"
@score.check("q3", step_losses, points=0.5)
def fooling_trains_the_generator_alone(step_losses):
    """The adversarial loss must reach the generator, and not the judge."""
    networks, batch = toys(4)
    trains_alone(networks, step_losses(networks, *batch)["adversarial"], "generator")


@score.check("q3", step_losses, points=0.5)
def everybody_stays_trainable(step_losses):
    """After the call every weight of every network must be trainable as before."""
    networks, batch = toys(5)
    step_losses(networks, *batch)
    frozen = [name for name, net in networks.items() if not all(p.requires_grad for p in net.parameters())]
    assert not frozen, f"left frozen: {', '.join(frozen)}"


# %% tags=["hidden-check"] exercise="q3"
@score.hidden_check("q3", step_losses, points=0.5)
def segmentation_stays_at_home(step_losses, secret):
    """Teacher and student learn from their own segmentation loss; the generator from neither."""
    networks, batch = toys(secret + 1)
    losses = step_losses(networks, *batch)
    for name in ("teacher", "student"):
        trains_alone(networks, losses[name], name)


@score.hidden_check("q3", step_losses, points=1)
def unseen_losses(step_losses, secret):
    """Fresh networks and images: each of the five values equals its definition."""
    networks, (ct, ct_masks, mr, mr_masks) = toys(secret + 2)
    losses = step_losses(networks, ct, ct_masks, mr, mr_masks)
    pseudo = networks["generator"](ct)
    real, fake = networks["judge"](mr), networks["judge"](pseudo)
    (z_m, _), (z_p, told), (z_c, mine) = (networks[n](x) for n, x in
                                          (("teacher", mr), ("teacher", pseudo), ("student", ct)))
    expected = {"adversarial": ((fake - 1) ** 2).mean(), "judge": ((real - 1) ** 2).mean() + (fake**2).mean(),
                "teacher": F.cross_entropy(z_m, mr_masks) + F.cross_entropy(z_p, ct_masks),
                "student": F.cross_entropy(z_c, ct_masks), "hint": ((mine - told) ** 2).mean()}
    for name, value in expected.items():
        assert abs(losses[name].item() - value.item()) < 1e-5, f"{name}: expected {value.item():.4f}, got {losses[name].item():.4f}"


# %% [markdown]
# ## 5 · Baselines first
#
# One training holds everybody, so it stands above. Before we look at what was taught, look at those who were not:
#
# - *the usual place*: where half of the training sections with tumour show it, whatever the picture. What a network
#   has above it, it has from pixels. On whole chests it is worth next to nothing, for tumours may be anywhere; on the
#   sarcomas, which are crops around the tumour, it is the one to beat;
# - *student alone*: labels, no teacher. The bar to beat on chests;
# - *teacher on the translation*: the teacher behind the generator, from CT alone; what the student is told;
# - *teacher on the true image*: what MR would be worth if the patient had had it. Only an oracle has this row.
#
# **Is there anything to teach?** If the last row is not clearly above the second, the teacher knows nothing worth
# telling, and nobody should expect hints to help. But a gap is *necessary, not sufficient*: whatever of it only the
# MR's pixels know, no CT student can have, by section 1. What a CT student *can* reach, more labels show: the second
# table has recorded means of *alone*, of the same student with twice the patients, and of the teacher on the true image.
#
# The first table has means over test patients with their 95 % interval; *missed* counts tumours of which nothing was
# found. Surface Dice asks which share of both outlines lies within 5 mm of the other (the paper's tolerance could not
# be read); *HD95* is the distance, in mm, within which 95 % of either outline has the other.
#
# Do not be alarmed by *alone*'s false alarms, on nearly every second tumour-free section, and its HD95 of many
# centimetres. Soft tissue beside soft tissue looks like a tumour on CT, few patients taught the difference, four pixels
# make an alarm, and every section is another chance. One such region at the other end of the chest makes HD95 as long
# as the chest and hardly moves the Dice. With twice the patients both are far smaller (recorded, section 11).

# %%
from medkd_lib.course.experiments.cmedl_cells import GEOMETRY
from medkd_lib.course.lesson_cmedl import answers
from medkd_lib.course.lesson_segment import score_table
from medkd_lib.course.mended_cmedl import mended_step
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_cmedl import recorded_reach
from medkd_lib.methods.bedside import PSEUDO_ONLY

lesson_step = score.settle("q3", student=step_losses, library=mended_step)
networks, batch = toys(config.seed)
for title, step in {"careless": careless_step, "mended": lesson_step}.items():
    print(f"{title:9s}", {name: "+".join(sorted(pulled(networks, loss))) for name, loss in step(networks, *batch).items()})
results = answers(study, [GEOMETRY, *study.arms])
table(score_table({arm: results[arm] for arm in results if arm in (GEOMETRY, "alone", PSEUDO_ONLY, "teacher_true")}, ""))
recorded = Recorded.read("04")
table(recorded_reach(recorded))

# %% [markdown]
# Then the losses. *Translator* and *discriminators* are scores of players against each other, and low ones do not say
# that a picture is right; the dotted line is a discriminator that answers ½ to everything. The distance to the hint
# is drawn for those who are asked to lower it.

# %%
from medkd_lib.course.lesson_cmedl import SHORT
from medkd_lib.show.cmedl_curves import cmedl_curves

losses = trained.history.losses
logged = [{"step": step} | {name: values[i] for name, values in losses.items()} for i, step in enumerate(trained.history.steps)]
gallery.show(
    cmedl_curves(logged, {arm: SHORT[arm].replace("\n", " ") for arm in arms}), name="curves",
    alt="Losses over the steps in five panels: translator, discriminators with the line of one that cannot tell, teacher, "
    "segmentation of each student, and distance to the hint of those who get one.")

# %% [markdown]
# ## 6 · What did the translator paint?
#
# Look at its work in four ways, and ask each time what the way *cannot* see.
#
# - **Pictures.** CT, pseudo-MR and true MR of test patients, and the signed difference. Do organs have edges, is fat
#   bright, is air dark? Then look into the outline.
# - **Histograms.** The Kullback–Leibler divergence (KL) is 0 for equal histograms. Exercise 1 reached 0 with tumours
#   at the wrong places.
# - **The mean error.** A tumour fills about a hundredth of a section: an error there hardly moves the mean. Small
#   error and lost tumour go together easily. *Handing the source on* is the error of a translator that does nothing.
# - **The contrast bar**: mean of the tumour minus mean of a ring around it, in standard deviations (SD) of the tissue
#   that may be in the ring. From CT that is soft tissue alone, for all pictures at the same pixels: beside lung any
#   scanner shows a tumour, beside bone too. This bar decides whether there is anything to teach: if pseudo-MR stands
#   where CT stands, the translator knew no more than CT, as section 1 said it must; if it stands *nearer to 0*, it also
#   threw some of that away. Figure and table have one averaging, over sections of a patient, then over patients. The
#   *magnitude* forgets the sign of every section first: bright and dark tumours cancel in the mean, and not in it.
#
# Two failures have a flag in the table. *All translations alike*: the variance between patients has collapsed. *The
# source handed on*: $G$ has learned to do nothing. (Neither flag sees a tumour.) A third has a sign: a negative
# *correlation with its source* where true MR has a positive one is the photographic negative of section 4. A fourth
# kind is silent: what $G$ paints over, $G'$ can paint back from traces that no eye sees, so a perfect cycle does not
# vouch for the middle.

# %%
from medkd_lib.course.lesson_cmedl import shows_tumour
from medkd_lib.course.lesson_cmedl_looks import translation_table, trip
from medkd_lib.show.translation import error_maps, round_trips

pseudo = study.translated(trained)
healthy = next((i for i in range(len(test)) if not shows_tumour(test)[i] and test.patients[i] == test.patients[one]), one)
chosen = [mine[len(mine) // 4], one, mine[-1], healthy]
titles = ["small tumour", "middle", "large tumour", "no tumour"]
trips = [trip(study, trained, "test", chosen, titles),
         trip(study, trained, "teaching", theirs[len(theirs) // 2 :][:1], ["teaches"])]
gallery.show(round_trips(trips), name="translated",
             alt=f"Four test sections in {CT}, painted as {MR} and back, with what was lost on the way; one of {MR} the other way "
             "round. The tumour is outlined.")
if known:
    truth = test.images[modalities.teacher]
    gallery.show(error_maps(pseudo[chosen, 0], truth[chosen, 0], test.masks[chosen], titles, MR), name="errors",
                 alt=f"Pseudo-{MR}, true {MR} of the same patients and their signed difference on four test sections, with the "
                 "mean error of the section and of the tumour below each.")
table(translation_table(results[PSEUDO_ONLY].extras))

# %%
from medkd_lib.course.lesson_cmedl_looks import bar_table, bars
from medkd_lib.show.translation_measures import contrast_bars, intensity_histograms

contrasts = bars(study, pseudo, (CT, MR))
gallery.show(contrast_bars(contrasts), name="contrast",
             alt=f"Bars of the tumour's contrast with its surroundings in {', '.join(contrasts)}, in standard deviations of the "
             "image, with a dot per test patient and 95 % intervals.")
pictures = {CT: test.images[modalities.student], f"pseudo-{MR}": pseudo}
if known:
    pictures[f"true {MR}"] = test.images[modalities.teacher]
gallery.show(intensity_histograms(pictures | {f"{MR} that teaches": modalities.teaching.images[modalities.teacher]},
                                  f"{MR} that teaches"), name="histograms",
             alt=f"Histograms of grey values of {', '.join(pictures)} over that of the teaching patients, with the divergence.")
table(bar_table(contrasts))

# %% [markdown]
# ## Exercise 4 · Read the bar
#
# **(a)** Write the bar's number for one picture: the mean of the tumour minus the mean of its ring, divided by the
# standard deviation of the whole picture. The ring is one pixel wide: all pixels outside the tumour that touch it, by
# an edge *or a corner*. In the picture below the tumour is the 5:
#
# | 2 | 2 | 2 | 2 | 2 |
# |---|---|---|---|---|
# | 2 | 3 | 1 | 3 | 2 |
# | 2 | 1 | **5** | 1 | 2 |
# | 2 | 3 | 1 | 3 | 2 |
# | 2 | 2 | 2 | 2 | 2 |
#
# Its ring has the mean 2, all 25 values the standard deviation 0.8158, so the bar is $3/0.8158=3.677$.
#
# **(b)** A translator's pseudo-MR cannot be told from MR by eye: its histogram has a KL of 0.02, its mean error is a
# quarter of that of handing CT on. Its bar stands at 0.1, CT's at 0.1, true MR's at 1.5. What may a student gain from
# hints on it? Return one letter beside the number:
#
# - `"a"`: nearly all that true MR would give; the error that is left is small.
# - `"b"`: nothing at all; hints from pseudo-images cannot change a student.
# - `"c"`: no knowledge of where *this* patient's tumour is beyond the CT's own; a gain would have to come from the
#   teacher's labelled MR patients, from regularisation, or from an easier picture of the same information.
# - `"d"`: more than true MR would give, for the discriminator has seen many patients and true MR shows one.


# %% tags=["exercise"] exercise="q4"
def bar_and_reason(image: NDArray, tumour: NDArray) -> tuple[float, str]:
    """The contrast of the tumour (bool, same shape) in standard deviations, and the letter of (b)."""
    # Hint: np.pad(tumour, 1) can be shifted in eight directions; the picture has at least one pixel around the tumour.
    # BEGIN SOLUTION
    height, width = tumour.shape
    padded = np.pad(tumour, 1)
    shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    ring = np.any(shifted, axis=0) & ~tumour
    # (c): G is a function of the CT, and the bar shows that it made nothing easier either.
    return float((image[tumour].mean() - image[ring].mean()) / image.std()), "c"
    # END SOLUTION


# %% tags=["check"] exercise="q4"
@score.check("q4", bar_and_reason, points=0.5)
def the_five_in_the_middle(bar_and_reason):
    """The picture above: 3 / 0.8158 = 3.677, and one of the letters a to d."""
    image = np.array([[2, 2, 2, 2, 2], [2, 3, 1, 3, 2], [2, 1, 5, 1, 2], [2, 3, 1, 3, 2], [2, 2, 2, 2, 2]], float)
    found, letter = bar_and_reason(image, image == 5)
    assert abs(found - 3.677) < 2e-3, f"expected 3.677, got {found:.3f}"
    assert plain(letter) in ("a", "b", "c", "d"), f"expected one of the letters a to d, got {letter!r}"
    print("letter noted; section 7 has the answer")


# %% tags=["hidden-check"] exercise="q4"
@score.hidden_check("q4", bar_and_reason, points=0.5)
def an_unseen_tumour(bar_and_reason, secret):
    """A fresh picture, a tumour of six pixels that is no square, dark or bright."""
    image, tumour = 2 + 3 * numbers(secret, 9, 9), np.zeros((9, 9), bool)
    tumour[3:5, 3:5] = tumour[5, 4:6] = True
    near = [(i, j) for i, j in np.ndindex(9, 9) if not tumour[i, j] and tumour[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].any()]
    ring = np.mean([image[place] for place in near])
    expected, found = (image[tumour].mean() - ring) / image.std(), bar_and_reason(image, tumour)[0]
    assert abs(found - expected) < 1e-6, f"expected {expected:.4f}, got {found:.4f}"


@score.hidden_check("q4", bar_and_reason, points=1)
def why_a_good_picture_need_not_help(bar_and_reason):
    """Section 1 has the argument: the pseudo-MR is a function of the CT."""
    image = np.arange(25.0).reshape(5, 5)
    letter = bar_and_reason(image, image == 12)[1]
    assert plain(letter) == "c", f"{letter!r} is not what section 1 allows"


# %% [markdown]
# ## 7 · Did it help?
#
# *(b) was **c***. The picture is a function of the CT (section 1), and a bar that stands where CT's stands says that it
# made nothing easier either. Not *a*: histogram and mean error hardly see a tumour, so what is left of the error may be
# all of it. Not *b*: hints from any picture move a student, and a demand may regularise. Not *d*: the discriminator saw
# many patients, but asks only that patches *look like* MR; where this patient's tumour is, it never knew.
#
# **The controls** say what a gain would mean:
#
# | row | what changes | if it did as well as CMEDL, then |
# |---|---|---|
# | another patient | hints from another patient of the batch (the recorded phantom rows, older, hold another section of the patient's own in one step of 28) | it need not be about this patient: a demand alone regularises |
# | true hints | hints from the patient's true MR: what hints would say if translation were perfect | little is lost by translating. *No upper bound* on Dice: part of what true MR says cannot be read off the CT, and the student is asked for it all the same |
# | teacher on the translation | no student at all | the student is needless |
# | *twice the patients* (recorded) | labels of more CT patients, no teacher | labels would have done it |
# | *two channels* (recorded) | CT and pseudo-MR side by side | hints are a detour |
#
# In the table *median gain* is the difference to *alone*, patient by patient; the *effect* says how one-sided these
# differences are (+1: higher in every patient, by however little), and *p* is Wilcoxon's signed-rank test. It speaks
# of new patients for *these* trained networks. Another seed, another training; only the recorded runs speak of that.
#
# **Where?** If MR helps, then where CT cannot see: at small tumours, and near the mediastinum. Groups are thirds of
# the test patients; they were looked at one by one and suggest, no more. Last, the largest **false alarms**, on sections
# without tumour: a translator that paints tumours teaches to see them.

# %%
from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.lesson_segment import case_table
from medkd_lib.show.segmentation import outlined
from medkd_lib.show.segmentation_scores import scores_by_case

masks = {arm: study.masks(trained, arm) for arm in study.arms}
table(score_table({arm: results[arm] for arm in study.arms}))
print("you guessed:", my_guess or "nothing yet; go back to section 4 and write a guess")
deaf = [ARM_TITLES[arm] for arm in arms if np.nanmax(results[arm].values["dice"]) < 0.01]
print("every tumour missed by:", ", ".join(deaf) or "nobody", "· see section 10 before you read on" * bool(deaf))
gallery.show(
    scores_by_case({SHORT[arm]: case_table(results[arm], found, test) for arm, found in masks.items()}),
    name="scores",
    alt=f"Dice, surface Dice and HD95 of every test patient for {', '.join(ARM_TITLES[a] for a in masks)}; the same patient is "
    "joined, crosses are missed tumours.")
near = [mine[len(mine) // 4], one, mine[-1]]
compared = {SHORT[arm].replace("\n", " "): masks[arm][near] for arm in arms}
gallery.show(
    outlined(test.images[modalities.student][near, 0], test.masks[near], compared, titles[:3]), name="outlines",
    alt=f"Three test sections with a small, a middle and a large tumour; beside each the truth and the answers of "
    f"{', '.join(compared)}.")

# %%
from medkd_lib.course.experiments.cmedl_cells import LEAST_MM2
from medkd_lib.evaluate.false_positives import false_positives
from medkd_lib.evaluate.thirds import thirds
from medkd_lib.show.segmentation import false_positive_gallery
from medkd_lib.show.segmentation_scores import by_stratum

dice = {arm: np.asarray(results[arm].values["dice"]) for arm in arms}
differences = {f"{SHORT[arm]} − alone".replace("\n", " "): dice[arm] - dice["alone"] for arm in arms if arm != "alone"}
facts = {"volume_ml": ("tumour volume", ("small", "middle", "large"), "mL"),
         "mediastinum_mm": ("distance to the mediastinum", ("near", "middle", "far"), "mm")}
strata = {title: thirds(np.asarray(results["alone"].strata[fact]), names, unit) for fact, (title, names, unit) in facts.items()
          if np.isfinite(results["alone"].strata.get(fact, [np.nan])).any()}
if strata:
    gallery.show(by_stratum(differences, results["alone"].patients, strata), name="strata",
                 alt=f"Difference in Dice to the student alone for {', '.join(differences)} in thirds of "
                 f"{' and of '.join(strata)}.")
for arm in ("alone", "cmedl"):
    alarms = false_positives(masks[arm], test.masks.numpy() > 0, test.ids, test.spacing_mm, least_mm2=LEAST_MM2)
    gallery.show(false_positive_gallery(SHORT[arm], alarms, test.images[modalities.student][:, 0], masks[arm], test.ids,
                                        least_mm2=LEAST_MM2), name=f"false_{arm}",
                 alt=f"The largest regions that the arm {ARM_TITLES[arm]!r} calls tumour on test sections without one.")

# %% [markdown]
# ## 8 · Did the hint change the features?
#
# The abstract says that hinted features tell foreground from background. Three looks, from the most colourful to the
# most sober:
#
# - **Colours.** The last decoder map of each network, its channels projected on three directions of the *teacher's*
#   map. Like colours at like places: the maps agree. A student that never met the teacher looks different even if it
#   knows as much; the colours show agreement, not knowledge.
# - **One channel.** Of each network the channel that best tells tumour from its surroundings, chosen on half of the
#   patients and measured on the others (AUC; 0.5 knows nothing). This is the claim itself.
# - **CKA** (lesson 03) with the teacher, and the hint's own distance, of a student *with* and *without* hints. The
#   loss asks for these two; that they move is no evidence of anything else.

# %%
from medkd_lib.course.experiments.cmedl_study import TEACHER
from medkd_lib.course.lesson_cmedl_looks import hinted
from medkd_lib.evaluate.cka import cka_matrix
from medkd_lib.evaluate.separability import sample_voxels
from medkd_lib.show.features import feature_colours, separating_channel

picked = np.flatnonzero(shows_tumour(test))[:: max(1, int(shows_tumour(test).sum()) // 80)]
looked_at = test.images[modalities.student][picked]
seen = {SHORT[arm].replace("\n", " "): hinted(study, trained, arm, looked_at, "hint_full") for arm in arms}
teacher_sees = f"teacher, pseudo-{MR}"
seen = {teacher_sees: hinted(study, trained, TEACHER, pseudo[picked], "hint_full")} | seen
who, tumours = [test.patients[i] for i in picked], test.masks[picked] > 0
few = [int(i) for i in np.linspace(0, len(picked) - 1, 3)]
gallery.show(
    feature_colours(looked_at[few, 0], {name: found[few] for name, found in seen.items()},
                    tumours[few], ["", "", ""], fitted_on=teacher_sees), name="features",
    alt=f"Last decoder maps of {', '.join(seen)} on three test sections as colours, with the tumour outlined.")
ring = F.max_pool2d(tumours.float()[:, None], 7, stride=1, padding=3)[:, 0] > 0
gallery.show(
    separating_channel({name: sample_voxels(found, tumours, who, per_section=40, seed=config.seed, background=ring)
                        for name, found in seen.items()}, seed=config.seed), name="channel",
    alt=f"Histograms of the channel that best separates tumour from its surroundings in {', '.join(seen)}, with the AUC on "
    "other patients.")
alike = cka_matrix({n: x for n, x in seen.items() if n != teacher_sees}, {"CKA with the teacher": seen[teacher_sees]})
alike["distance of exercise 2"] = [float(lesson_hint(seen[name], seen[teacher_sees])) for name in alike.index]
table(alike.rename_axis(columns=None).reset_index())

# %% [markdown]
# ## 9 · Raters, and a walk through a patient
#
# The abstract reports that *raters* differed less when they started from the method's outline. Nobody is asked here.
# Our raters are the truth with boundary noise of 3 mm, and a rule: where a proposed boundary is near enough to her
# own, a rater accepts it. Then agreement rises *by construction*, for any proposal that is near enough, right or
# wrong. So the table has two columns: agreement among raters, and agreement with the **truth**; and three rows beside
# our networks: `unaided`, raters who draw with no proposal before them, and two proposals that are wrong on purpose:
# `grown`, the truth grown by 5 mm all around, and `other_patient`, the shape of another patient's tumour in this one's
# place. Compare `grown` with `unaided` before you believe any number on variability.
#
# Below it, one test patient from feet to head. Move the section; watch the answers in the pseudo-MR and, where it is
# known, in the true one. **What to change next:**
#
# | knob | try | what to look at |
# |---|---|---|
# | `lambda_hint` | 0, 5 | at 0 a U-Net's CMEDL must equal *alone* to the last digit (the other two networks drop channels at random); at 5, who still listens to labels? |
# | `detach_teacher` | False | the teacher's rows, and section 10 |
# | `teaching_share` | 0 | false alarms, misses and the contrast bar |
# | `lambda_identity`, `lambda_contextual` | 0, with several seeds; 1 | the pictures: is dark still dark? |
# | `seg_to_generator` | 1 | the bar: now the generator pays for a tumour that the teacher no longer finds |
# | `hint_distance`, `hint_layers` | `cosine`, `mmd`; `block_and_head` | CKA, then Dice |
# | `setting`, `difficulty` | `weak`, with `-p patients=40` as recorded; `none` | a teacher that knows less, or nothing more |

# %%
from medkd_lib.course.experiments.cmedl_raters import Panel, rater_table
from medkd_lib.show.through_patient import through_patient

asked = list(dict.fromkeys(test.patients[row] for row in mine))[:: max(1, len(mine) // 6)]
places = [i for i, patient in enumerate(test.patients) if patient in asked]
panel = Panel(raters=2) if config.profile == "smoke" else Panel()  # untrained masks are everywhere, and slow to edit
proposed = {ARM_TITLES[arm]: masks[arm][places] for arm in ("alone", "cmedl")}
drawn = rater_table(test.of(asked), proposed, panel, seed=config.seed)
agreement = drawn.groupby("proposal", sort=False)[["dice", "truth_dice", "proposal_dice", "volume_sd_ml"]].mean()
agreement.columns = ["Dice among raters", "Dice with the truth", "the proposal's own Dice", "SD of the volume (mL)"]
table(agreement.reset_index())
here = [i for i, patient in enumerate(test.patients) if patient == test.patients[one]]
stacks = {CT: test.images[modalities.student][here, 0], f"pseudo-{MR}": pseudo[here, 0]}
if known:
    stacks[f"true {MR}"] = test.images[modalities.teacher][here, 0]
walk = partial(through_patient, stacks, test.masks[here], {SHORT[a].replace("\n", " "): masks[a][here] for a in arms[:3]},
               pixel_mm=test.spacing_mm[:2])
middle, last = here.index(one), len(here) - 1
gallery.explore(walk, {"section": (0, last, 1)}, [{"section": max(0, middle - 2)}, {"section": middle},
                                                  {"section": min(last, middle + 2)}], name="walk",
                alt=f"A section of a test patient in {', '.join(stacks)} with the truth and three answers, and the outlined area "
                "of every section below.")

# %% [markdown]
# ## 10 · Broken on purpose
#
# **The missing detach.** Two small networks look at pictures that share only half of what they show, as a CT and a
# *true* MR do. Nothing but the hint trains them. With the teacher detached, the student approaches it as far as the
# pictures allow. Without, the cheapest agreement is *silence*: whatever both say beyond what the pictures share costs
# something, so raw maps shrink (left; the axis is logarithmic). Normalised maps cannot buy agreement by shrinking. But
# look right, at the share of the teacher's variance that comes from what only *its* picture shows, $t$ beside the
# shared $s$, measured by drawing $t$ anew: $\overline{(\phi^T(s+t)-\phi^T(s+t'))^2}\,/\,2\,\mathrm{Var}(\phi^T)$. Not
# detached, the teacher forgets it, raw and normalised alike. Normalising saves the size, not the knowledge.
#
# **The cold start.** At the first step the teacher has learned nothing. How loud is its hint all the same? The last
# table has the length of the gradient that the hint sends to the student's weights, over that of the labels' loss that
# the run trains with, on this run's data: for the networks as they were before their first step and for the trained
# pair, with normalised and with raw maps. Multiply by `lambda_hint`. A warm-up keeps the weight small while there is
# nothing to say.
#
# **What too loud looks like.** Tumours fill few pixels, so maps of student and teacher can be nearly alike with no
# tumour in them. If the hint outvotes the labels, the student stays with the empty mask: every tumour missed, hardly a
# false alarm, the distance to the hint small, CKA high. It listens well; nobody else is heard. The results cell above
# prints a line where that happened.
#
# **Traps you meet elsewhere**
#
# | trap | what it does | what helps |
# |---|---|---|
# | transposed convolutions, stride 2 and kernel 3 | overlap unevenly: a checkerboard in the pseudo-MR, which networks take for a feature | enlarge first, then convolve, as the lesson's generator does |
# | batch norm over real and painted images | mixes the statistics of two modalities; alone at the bedside the network is another one | instance norm, as in this profile (the paper-size networks have batch norm, as published), or statistics per modality |
# | HU offset: stored values taken for HU | shifts the window by about 1,000 HU: a section that is all black, or all white | apply slope and intercept; look at the smallest and largest value (lesson 01) |
# | cross-entropy divided twice | a mean, divided by the number of pixels once more: labels fall silent beside the hint | know each `reduction`; compare gradients as below |
# | Dice per section for Dice per patient | a tumour's faint ends count as much as its middle, and empty sections as 0, 1 or nothing | say which; here whole patients count |
# | HD95 of an empty answer | infinite, NaN or left out: leaving it out rewards silence | state the convention; here it is the image's diagonal |

# %%
from medkd_lib.show.silence import silence


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1))


torch.manual_seed(config.seed)
shared, own, true_only, redrawn = torch.randn(4, 16, 1, 12, 12)
spreads: dict[str, list[float]] = {}
shares: dict[str, list[float]] = {}
ways = {"detached": (True, False), "not detached": (False, False), "not detached, normalised": (False, True)}
for title, (detach, normalise) in ways.items():
    pupil, guide, spreads[title], shares[title] = small(1), small(2), [], []
    adam = torch.optim.Adam([*pupil.parameters(), *guide.parameters()], lr=0.01)
    for _ in range(150):
        says, told = pupil(shared + own), guide(shared + true_only)
        changed = (told - guide(shared + redrawn)).detach().square().mean()
        spreads[title].append(says.detach().std().item())
        shares[title].append((changed / (2 * told.detach().var())).item())
        adam.zero_grad()
        feature_distance(says, told, "l2", normalise, detach=detach).backward()
        adam.step()
gallery.show(silence(spreads, shares), name="silence", alt="Over 150 steps of the hint alone, teacher detached, not detached, "
             "not detached with normalised maps: SD of the student's features, and what share of the teacher's variance comes "
             "from what only its picture shows.")
for title, values in shares.items():
    print(f"{title}: share {values[0]:.3f} before, {values[-1]:.3f} after")

# %%
from medkd_lib.course.experiments.cmedl_budget import method
from medkd_lib.course.lesson_cmedl_looks import loudness

start = method(budget, students=plan.students, architecture=config.architecture, translation=config.translation,
               hints=hints, weights=weights, seed=config.seed)  # this run before its first step
eight = [int(i) for i in picked[:8]]
seen_by = (test.images[modalities.student][eight], pseudo[eight], test.masks[eight])
pairs = {"before the first step": (start.networks["student_cmedl"].eval(), start.networks["teacher"].eval()),
         "trained": (study.network(trained, "cmedl").cpu(), study.network(trained, TEACHER).cpu())}
table(pd.DataFrame([{"student and teacher": name, "maps": "normalised" if normalise else "raw",
                     "hint over labels": f"{loud:.2f}",
                     f"times lambda_hint = {config.lambda_hint:g}": f"{config.lambda_hint * loud:.2f}"}
                    for name, (pupil, guide) in pairs.items() for normalise in (True, False)
                    for loud in [loudness(pupil, guide, *seen_by, replace(hints, normalise=normalise), start.segmentation)]]))

# %% [markdown]
# ## 11 · Many runs
#
# One training proves little; a translator is a game of two players, and its luck is everybody's luck. The grid, its
# contrasts and the correction were declared before these runs (`notebooks/results/04/grid.yaml`): the phantom at
# three difficulties with every arm, the other networks, the other translator and the weak teacher, and real sarcomas
# in five folds, with MR and with PET as the teacher. Every dot is one training, the stroke their mean, the bar its
# 95 % interval over seeds, the star your run, of half the updates.
#
# Before any Dice, the lesson's central measure: what the recorded translators did to tissue and tumour, in grey values
# on [−1, 1]. Compare each error with that of *handing the source on*, everywhere and then in the tumour; and the
# translated tumour's contrast with that of its source and of the true image. (Here it is against all around the tumour,
# lung and bone too; section 6 has soft tissue alone.)

# %%
from medkd_lib.course.recorded_cmedl import recorded_translation

table(recorded_translation(recorded))

# %% [markdown]
# Now the Dice. Under the figure stand the trainings that answered nothing: one of them moves its arm's mean further than
# any hint does.
#
# Then the declared *contrasts*, one family of questions at a time. *Better* and *worse* need an interval without zero
# *and* a p-value below 0.05 after Holm's correction within the family.
#
# How to read them together: first *teacher on the true image* against *alone*: is there anything to teach? Then *true
# hints* against *alone*: would hints carry what of it a CT can show, if translation were perfect? Only then *CMEDL*
# against *alone*, and against *another patient*: if the two cannot be told apart, the gain was not about the patient.
# In the difficulty `none` MR knows no more than CT: what helps there is no knowledge of MR. The sentences below the
# figures are computed from the tables.

# %%
from medkd_lib.course.recorded_cmedl import answered_nothing, setting_of
from medkd_lib.show.classify import recorded_arms
from medkd_lib.show.style import CONTROL, METHOD, STUDENT
from medkd_lib.show.style import TEACHER as TEACHER_BLUE

shown = setting_of(recorded, study, config, images)
stars = {arm: float(np.nanmean(found.values["dice"])) for arm, found in results.items()} if shown.comparable else {}
colours = {"alone": STUDENT, "more_labels": STUDENT, "cmedl": METHOD, "true_hints": METHOD, "concat": METHOD,
           PSEUDO_ONLY: TEACHER_BLUE, "teacher_true": TEACHER_BLUE, "other_hints": CONTROL, GEOMETRY: CONTROL}
gallery.show(
    recorded_arms(recorded.of(shown.id), recorded.titles_in(shown.id), "dice", mine=stars, colours=colours,
                  title=f"Recorded: {shown.title}", label="Dice"), name="recorded",
    alt=f"Dice of recorded trainings on {shown.title}: dots, mean and interval over seeds of "
    f"{', '.join(recorded.titles_in(shown.id).values())}; stars are the reader's own run.")
print(answered_nothing(recorded, shown.id))
table(recorded.means_of(shown.id, {"dice": "Dice", "surface_dice": "surface Dice", "hd95_mm": "HD95 (mm)",
                                         "false_alarms": "false alarms"}))
table(recorded.verdicts(shown.id))

# %%
from medkd_lib.course.forests import forests
from medkd_lib.course.recorded import claim_ledger
from medkd_lib.course.recorded_cmedl import tally

for name, figure, alt in forests(recorded, "Dice, or what the question names"):
    gallery.show(figure, name=name, alt=alt)
for contrast in ("true_vs_alone", "cmedl_vs_alone", "cmedl_vs_other"):
    for setting in recorded.contrasts.setting[recorded.contrasts.contrast == contrast]:
        print(f"{recorded.questions[contrast]}: {recorded.sentence(setting, contrast)}")
print("\n".join(tally(recorded)))
ledger = claim_ledger("cmedl", recorded)
table(ledger)

# %% [markdown]
# ## 12 · What we could not know
#
# - **The paper's body.** Weights, learning rates, hinted layers, the norm of the hint, what gradients reach, the second
#   translator, preprocessing and every table: unread. A difference between our numbers and the abstract's has a dozen
#   possible reasons.
# - **Its data.** The MR tumours are private, and to our knowledge no labelled lung tumours in MR are public. The MR
#   chests here are phantoms; the sarcomas are real, but another disease, crops around the tumour, and paired (we
#   dropped the pairs, and used them only to measure).
# - **Its size.** 377 CT and 82 MR scans, sections of 256 × 256 pixels, by the abstracts and public code; ours are
#   56 × 80 pixels of 5 mm, and networks a hundredth as large. A GAN of that size may paint what ours cannot.
# - **Raters** are settings of ours.
# - **Phantoms** are physics with design choices. How much T2w tells tumour from mediastinum in a patient is not the
#   number that we put in.
#
# ## Summary
#
# Without pairs a translator learns what MR looks like, not what this patient's MR shows; it is a function of the CT,
# and no decision on it beats the best decision on the CT. What a teacher of another modality *could* add is what its
# own labelled patients taught it, a demand that regularises, and an easier picture; in how many recorded settings it
# did, the cell below counts. Look at the tumour's contrast before any other measure of a translation. Detach the
# teacher; warm the hints up; keep the prevalence of both sets alike; and count a gain as knowledge of this patient only
# if hints of another one do not bring it. Where more labels are to be had, compare with them first.
#
# **Next** · lesson 01 has the loader for scans of your own, and `CONTRIBUTING.md` says how a method joins the others.

# %% tags=["result"]
from medkd_lib.course.lesson import finish
from medkd_lib.course.lesson_segment import headline_of, metrics_of

print("\n".join(tally(recorded)))
print(score.summary())
finish(
    "04_unpaired_modalities", title="A teacher that sees another scanner", config=config,
    metrics=metrics_of(results, images, seed=config.seed), gallery=gallery, ledger=ledger, score=score,
    headline=headline_of(results, ("cmedl", "alone"), images, recorded.sentence(shown.id, "cmedl_vs_alone")),
)
