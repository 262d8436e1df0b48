# %% [markdown]
# # 06 · Many datasets, one teacher
#
# **Question** A hospital has a dozen labelled scans of what it cares about, and the world has hundreds of *something
# else*. Can teachers of those other sets, fused into one, make a better student for the small one, and would we notice
# if the gain came from somewhere else?
#
# **Paper** Ceausescu, Anghelina, Alexe 2026, *Multi-Dataset Cross-Domain Knowledge Distillation for Unified Medical
# Image Segmentation, Classification, and Detection* (arXiv 2605.01563). **Its abstract and six captions were read, its
# body was not**: stages are its own, every number behind them is ours. Of its ancestor (Iordache et
# al., arXiv 2410.22184) the code was read. A referee report of it that goes round is machine-made from the abstract, the
# "rebuttal" invented: neither is evidence of anything.
#
# **Data and licence** By default phantom twins: lung tumours as the target (MSD task 06), liver and kidney tumours as
# sources (MSD task 03, KiTS23). With `data_root` the real sets (CC BY-SA 4.0, CC BY-NC-SA 4.0); small real MR sets:
# `msd_hippocampus`, `openms_4ch`, `sts_petctmr`.
#
# **Budget** smoke ≤ 60 s (does every cell run? read nothing off it) · lesson ≤ 4 min · paper 300 min on one GPU (an
# estimate)
#
# **You need** lesson 00 (temperature, teacher, student) and, for Dice, lesson 04. Not for clinical use.

# %% tags=["parameters"]
profile: str = "lesson"  # [smoke | lesson | paper] how much to compute
dataset: str = "msd_task06_lung"  # manifest of the target, the set that the student is for
sources: str = "msd_task03_liver+kits23"  # manifests of the sets that may help, joined by +
external: str = ""  # manifests of sets that are only tested on, such as nsclc_radiomics
data_root: str = ""  # [folder] with a folder of real images per set; empty: the phantom twins
difficulty: str = "subtle"  # [clear | subtle | none] of the phantoms
architecture: str = "unet"  # [unet | transresunet] of teachers and students
domain: str = "reversal"  # [reversal | coral | mmd | none] how source teachers hide which set an image is from
lambda_domain: float = 1.0  # [>= 0] strength of it; at 0 a classifier looks on and nobody hides
gamma_domain: float = 10.0  # [> 0] how fast that strength rises
joint_on: str = "target"  # [target | all] whose labels the joint teacher's fusers learn from
alpha: float = 0.3  # [>= 0] weight of the teacher's logits in the student's loss
beta: float = 0.1  # [>= 0] of its maps
gamma_labels: float = 0.6  # [>= 0] of the labels
temperature: float = 2.0  # [0.1..100] of the logits
levels: str = "all"  # [none | bottleneck | encoder | all] which maps the student follows
distance: str = "l2"  # [l2 | cosine | chopra] of maps
follow: str = "joint"  # [joint | each] the fused maps, or those of every teacher at once
standardise: bool = False  # bring every teacher's channels to one scale first
sampling: str = "equal"  # [equal | root] of datasets in a batch: all alike, or by the root of their size
dropping: float = 0.0  # [0..1] with follow = each: drop a teacher who is not the worst matched, image by image
train_patients: int | None = None  # [>= 3] of the target; None: the profile, else 14, of small real sets 10
patients: int | None = None  # [>= 20] of the target's phantom; None: the profile decides
source_patients: int | None = None  # [>= 3] of each source's phantom; None: the profile decides
seed: int = 100  # [0..4294967295] of split, weights and batches
device: str = "auto"  # [auto | cpu | cuda] where to train
max_steps: int = 0  # [>= 0] cut every training after so many steps (result marked truncated); 0: no

# %%
from medkd_lib.course.exercise import Scoreboard
from medkd_lib.course.lesson import table
from medkd_lib.course.resolve import fabric_for, resolve

score = Scoreboard("06")
config = resolve(
    globals(),
    profiles={
        "smoke": {"patients": 24, "source_patients": 6, "external_patients": 4, "train_patients": 8, "val_patients": 2, "size": "small"},
        "lesson": {"patients": 100, "source_patients": 24, "external_patients": 8, "val_patients": None, "size": "small"},
        "paper": {"patients": 64, "source_patients": 131, "external_patients": 100, "val_patients": None, "size": "full"},
    },
)
if config.profile == "paper" and config.max_steps:  # a look at the full sizes, not a result
    config.patients, config.source_patients = min(config.patients, 30), min(config.source_patients, 6)

# %% [markdown]
# ## What you will be able to do
#
# 1. hide a domain from a classifier by turning a gradient round, and say when that does harm;
# 2. find the bug that lets images of a batch talk to each other, and patients who came twice;
# 3. fuse frozen teachers level by level, and see whom a joint teacher listens to;
# 4. tell *more data*, *more network* and *a better method* apart, by choosing rivals before looking.
#
# **Recall.** In lesson 05 the teacher saw more of the *same patients*, in lesson 04 other patients under another
# scanner. Here it saw other patients, in other hospitals, with *other diseases*, and all it can hand on is how it looks
# at images.
#
# **Words.** The *target* is the set the student is for, a *source* one that may help, a *domain* whatever lets a network
# tell sets apart: scanner, dose, organ. A *level* is a depth of the encoder, the *bottleneck* the last. A *probe* is a
# linear classifier on frozen features. *Dice* is the overlap of two masks, twice the common part over the sum of both;
# *surface Dice* the share of both outlines that lie within a pixel of each other, *HD95* the distance in mm within
# which 95 % of either outline has the other; a *false alarm* is a section without lesion on which something is found.
# An *arm* is one way of training that is compared. *Adversarial* training sets two networks against each other.
#
# **Letters.** $h_l$ is the student's map at level $l$, $f_l^t$ that of the target's teacher, $f_l^1\dots f_l^m$ those of
# the $m$ source teachers, $F_l$ the fused one; $\mathcal L_y$ is the loss of labels, $\mathcal L_d$ that of telling
# domains apart; $\lambda$ says how much of it the encoder hears, $p$ from 0 to 1 how far the training is. A bar over a
# term is its mean, $*$ a convolution.
#
# ## 1 · One gradient, turned round
#
# An encoder has one weight and maps an image with brightness $x$ to $h=wx$. Two scanners: on A every image has $x=1$, on
# B $x=-1$. A classifier says *A* with probability $\sigma(vh)$, and $w=v=1$. On either scanner it gives the right answer
# a probability of $\sigma(vw)=\sigma(1)=0.73$. Its loss is $\mathcal L_d=-\ln\sigma(vw)$, and
#
# $$\frac{\partial\mathcal L_d}{\partial w}=-\bigl(1-\sigma(vw)\bigr)\,v=-0.27$$
#
# Going *down* this gradient, the encoder would make $w$ larger, and the scanners easier to tell apart. A **gradient
# reversal** between the two leaves every value as it is and multiplies what comes back by $-\lambda$:
#
# $$R_\lambda(h)=h,\qquad \frac{\partial R_\lambda}{\partial h}=-\lambda I$$
#
# One minimisation then trains two players: the classifier goes down, at full strength, and the encoder goes up. The cell
# takes 60 steps by hand with $\lambda=1$ and with $\lambda=0$, and asks the library for the first gradient.

# %%
import math

import torch

from medkd_lib.distill.gradient_reversal import reversal_strength, reverse_gradient


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def played(strength: float, steps: int = 60, rate: float = 0.3) -> list[float]:
    """How sure the classifier is after every step, when the encoder hears so much of it."""
    w, v, sure = 1.0, 1.0, []
    for _ in range(steps):
        sure.append(sigmoid(v * w))
        miss = 1 - sure[-1]
        # v goes down its gradient -miss·w; w hears -λ times its own, -miss·v
        w, v = w - rate * strength * miss * v, v + rate * miss * w
    return sure


first = torch.tensor(1.0, requires_grad=True)
told = torch.nn.functional.logsigmoid(reverse_gradient(first * 1.0, 1.0)).neg()
(heard,) = torch.autograd.grad(told, first)
assert abs(float(heard) - (1 - sigmoid(1.0))) < 1e-6  # the sign is turned: +0.27
hidden, seen = played(1.0), played(0.0)
print(f"nobody hides: right with {seen[0]:.2f} at first, {seen[-1]:.2f} after 60 steps")
print("the encoder hides:", " ".join(f"{x:.2f}" for x in hidden[::6]), f"(between {min(hidden):.2f} and {max(hidden):.2f})")

# %% [markdown]
# With $\lambda=1$ the two chase each other: the classifier is sure, then wrong, then sure again, and never settles.
# Adversarial training has no valley to roll into. Its strength is raised slowly for another reason: at first the
# classifier knows nothing, and what is turned round would be noise,
#
# $$\lambda_p=\frac{2}{1+e^{-\gamma p}}-1$$
#
# with $\gamma=10$ in the paper that invented it (DANN, 2016). Two public libraries have $\gamma=1$ for a default: their
# training *ends* at $\lambda=0.46$, where the paper's is after a tenth of its way.
#
# **When hiding does harm.** Suppose A is a lung clinic where four images of five show a tumour, and B a screening where
# one of ten does. Any feature that says *tumour* also says *A*. An encoder that hides the domain perfectly has hidden
# the tumour. Invariance is only free where the *labels* do not know the domain either. The next cell hides a domain
# perfectly, by taking each set's mean off a feature that shows tumours, first where both sets have as many of them and
# then where they do not, and asks how many pairs of one image with and one without tumour it still ranks rightly.

# %%
import numpy as np
from sklearn.metrics import roc_auc_score

for share_in_a, share_in_b in ((0.5, 0.5), (0.8, 0.1)):
    rng = np.random.default_rng(0)
    tumour = np.concatenate([rng.random(4000) < share_in_a, rng.random(4000) < share_in_b])
    feature = tumour + rng.normal(0, 0.35, 8000)  # what an encoder found, of 4000 images of A and as many of B
    hidden = feature - np.repeat([feature[:4000].mean(), feature[4000:].mean()], 4000)
    ranked = [roc_auc_score(tumour, f) for f in (feature, hidden)]
    print(f"tumours in {share_in_a:.0%} of A, {share_in_b:.0%} of B: ranked rightly {ranked[0]:.2f}, with the domain hidden {ranked[1]:.2f}")

# %% [markdown]
# ## 2 · Your turn
#
# Four exercises. An open one stops nothing: its check says *not solved yet*, and the lesson goes on with the library's
# function. Hidden checks also ask for what the text says and the visible ones do not try.
#
# ## Exercise 1 · Turn a gradient round
#
# Write $R_\lambda$ with $\lambda=\lambda_p$. The value stays as it is, whatever its shape; what comes back is multiplied
# by $-\lambda_p$.

# %% tags=["exercise-setup"]
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def normal(secret: int, *shape: int) -> Tensor:
    """Normal numbers in double precision, from a seed of their own."""
    return torch.from_numpy(np.random.default_rng(secret).normal(size=shape))


def comes_back(hide, progress: float, gamma: float, secret: int) -> tuple[Tensor, Tensor]:
    """What becomes of a gradient of normal numbers on its way back, and those numbers."""
    features, arriving = normal(secret, 3, 4).requires_grad_(), normal(secret + 1, 3, 4)
    (gone_back,) = torch.autograd.grad((hide(features, progress, gamma) * arriving).sum(), features)
    return gone_back, arriving


# %% tags=["exercise"] exercise="q1"
def hide(features: Tensor, progress: float, gamma: float = 10.0) -> Tensor:
    """The features as they are; their gradient comes back times -λ, with λ by the share of the training that is done."""
    # Hint: for a number c, x.detach() + c * (x - x.detach()) has the value of x. What gradient does it have?
    # BEGIN SOLUTION
    strength = 2 / (1 + np.exp(-gamma * progress)) - 1
    return features.detach() - strength * (features - features.detach())
    # END SOLUTION


# %% tags=["check"] exercise="q1"
@score.check("q1", hide, points=0.5)
def the_value_stays(hide):
    """What goes forward is not changed."""
    features = normal(1, 2, 3, 4)
    assert torch.allclose(hide(features, 0.7, 10.0), features), "the features changed on their way"


@score.check("q1", hide, points=0.5)
def the_sign_is_turned(hide):
    """Near the end, with γ = 10, nearly the whole gradient comes back with its sign turned."""
    found, arriving = comes_back(hide, 1.0, 10.0, 2)
    assert torch.allclose(found, -arriving, atol=1e-3), f"expected {float(-arriving[0, 0]):.3f}, got {float(found[0, 0]):.3f}"


@score.check("q1", hide, points=0.5)
def nothing_is_heard_at_first(hide):
    """At p = 0 the encoder hears nothing."""
    found, _ = comes_back(hide, 0.0, 10.0, 3)
    assert found.abs().max() < 1e-9, f"expected 0, got {float(found.abs().max()):.3f}"


# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", hide, points=1)
def the_schedule_is_the_papers(hide, secret):
    """Fresh points of the training and other γ."""
    for progress, gamma in ((0.1, 10.0), (0.25, 10.0), (1.0, 1.0), (0.5, 3.0)):
        found, arriving = comes_back(hide, progress, gamma, secret)
        expected = 2 / (1 + np.exp(-gamma * progress)) - 1
        assert torch.allclose(found, -expected * arriving, atol=1e-6), f"p {progress}, γ {gamma}: expected λ = {expected:.3f}"


# %%

import matplotlib.pyplot as plt

from medkd_lib.course.mended_joint import hide as library_hide
from medkd_lib.course.result import run_folder
from medkd_lib.show.gallery import Gallery
from medkd_lib.show.style import METHOD, TEACHER, course_style

gallery = Gallery(run_folder("06_many_datasets_one_teacher"))
lesson_hide = score.settle("q1", student=hide, library=library_hide)


def schedule(gamma: float) -> plt.Figure:
    progress = np.linspace(0, 1, 101)
    with course_style():
        figure, axis = plt.subplots(figsize=(6.5, 3.2))
        axis.plot(progress, [reversal_strength(p, 10.0) for p in progress], color=TEACHER, ls="--", label="γ = 10, as invented")
        back = [-float(comes_back(lesson_hide, p, gamma, 0)[0][0, 0] / normal(1, 3, 4)[0, 0]) for p in progress]
        axis.plot(progress, back, color=METHOD, lw=3, label=f"γ = {gamma:g}, measured from the gradient")
        axis.set(xlabel="share of the training, p", ylabel="λ", ylim=(0, 1.05))
        axis.legend(loc="lower right")
    return figure


gallery.explore(schedule, {"gamma": (1, 20, 1)}, [{"gamma": 1}, {"gamma": 3}], name="schedule",
                alt="Strength of the gradient reversal over the training for a chosen γ, measured from what comes back, beside γ = 10.")

# %% [markdown]
# ## 3 · Sets, and who came twice
#
# The target has few labelled patients, on purpose. Every section shows one channel; CT is told in one window for all
# sets, for a Hounsfield unit is the same everywhere. (Of MR sets "channel 1" is other physics in each.) What differs
# is what lies in the picture: organ, phase of the contrast agent, dose, the size of a lesion.
#
# In the figure the last two columns have the grey values without air, as read and with mean 0 and standard deviation 1
# in each image. The line is the target's. Where the histograms differ, brightness alone gives a domain away.
# Where they agree, *shape* may still do so.
#
# Patients are divided by set and name, and sets whose manifests declare common patients are refused (LiTS *is* MSD task
# 03; KiTS19 lies within KiTS23). The cell plants a leak to see it refused.

# %%
from dataclasses import replace

from medkd_lib.course.lesson_joint import grey_values, open_material, typical, who_is_where
from medkd_lib.data.apart import LeakageError, check_apart
from medkd_lib.show.domains import domain_grid

material = open_material(config)
cohort, images = material.cohort, material.images[0]
test, target = cohort.test, cohort.target
for each in material.images:
    print(f"{each.manifest.title} · licence {each.manifest.licence.name} · evidence {each.evidence}")
table(who_is_where(cohort))
for what, leak in {"a test patient who trains": lambda: replace(cohort, train={**cohort.train, target: test}),
                   "one set under two names": lambda: check_apart(["kits19", "kits23"])}.items():
    try:
        leak()
    except LeakageError as error:
        print(f"{what} is refused: {error}")
rows = {name: typical(sections) for name, sections in cohort.train.items()}
gallery.show(
    domain_grid({n: (s.images["image"][rows[n], 0], s.masks[rows[n]]) for n, s in cohort.train.items()},
                {"as read": grey_values(cohort), "per image": grey_values(cohort, per_image=True)}, target),
    name="domains", alt="Three sections of every training set with the lesion outlined, and histograms of grey values, as read and "
    "normalised per image, with the target's as a line.")

# %% [markdown]
# ## Exercise 2 · Who came twice?
#
# A manifest can only refuse what it knows. Collections are built from collections: one COVID set of chest films was
# found to hold another one whole, and a group that merged fifteen of them removed 8133 duplicates. The file's hash
# does not help, for a copy was stored anew, as another format, in another window. So compare what images *show*. For
# images of two sets, $(N,1,H,W)$ and $(M,1,H,W)$ of equal size:
#
# - bring every image to mean 0 and standard deviation 1, which forgets brightness and contrast;
# - take off the mean of *all* $N+M$ images, for what every chest shares proves nothing;
# - a pair is *the same* if the cosine between the two is at least `least`.
#
# Return the pairs of row numbers (first set, second set), in rising order.

# %% tags=["exercise-setup"]
def chests(secret: int, number: int) -> Tensor:
    """Pictures (number, 1, 24, 24) that share one anatomy and have something of their own."""
    common = torch.from_numpy(np.random.default_rng(7).normal(size=(1, 1, 24, 24)))
    return 6 * common + normal(secret, number, 1, 24, 24)


# %% tags=["exercise"] exercise="q2"
def same_images(ours: Tensor, theirs: Tensor, least: float = 0.95) -> list[tuple[int, int]]:
    """Pairs (row of ours, row of theirs) that show the same image."""
    # Hint: x.flatten(1); torch.nonzero(matrix >= least).tolist() gives rows and columns in rising order.
    # BEGIN SOLUTION
    def standard(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return (flat - flat.mean(dim=1, keepdim=True)) / flat.std(dim=1, keepdim=True).clamp(min=1e-9)

    a, b = standard(ours), standard(theirs)
    mean = torch.cat([a, b]).mean(dim=0)
    a, b = (nn.functional.normalize(x - mean, dim=1) for x in (a, b))
    return [(i, j) for i, j in torch.nonzero(a @ b.T >= least).tolist()]
    # END SOLUTION


# %% tags=["check"] exercise="q2"
@score.check("q2", same_images, points=0.5)
def a_plain_copy(same_images):
    """Two of the images lie in the other set as they are."""
    ours, theirs = chests(1, 6), chests(2, 8)
    theirs[5], theirs[0] = ours[1], ours[4]
    found = [tuple(pair) for pair in same_images(ours, theirs)]
    assert found == [(1, 5), (4, 0)], f"expected [(1, 5), (4, 0)], got {found}"


@score.check("q2", same_images, points=0.5)
def strangers_share_an_anatomy(same_images):
    """Chests look alike: raw, their cosine is above 0.95, and nobody here came twice."""
    found = same_images(chests(3, 6), chests(4, 8))
    assert not found, f"expected no pair, got {found}: is the mean of all images taken off?"


# %% tags=["hidden-check"] exercise="q2"
@score.hidden_check("q2", same_images, points=1)
def a_copy_in_another_window(same_images, secret):
    """Brighter, with another contrast, and with a little noise."""
    ours, theirs = chests(secret, 7), chests(secret + 1, 5)
    theirs[3] = 0.2 * ours[2] + 5 + 0.01 * normal(secret + 2, 1, 24, 24)
    found = [tuple(pair) for pair in same_images(ours, theirs)]
    assert found == [(2, 3)], f"expected [(2, 3)], got {found}"


@score.hidden_check("q2", same_images, points=0.5)
def least_is_asked(same_images, secret):
    """With a mixture of an image and a stranger, it depends on the limit."""
    ours, theirs = chests(secret, 7), chests(secret + 1, 5)
    theirs[1] = ours[6] + 0.35 * normal(secret + 2, 1, 24, 24)
    strict, mild = ([tuple(p) for p in same_images(ours, theirs, least)] for least in (0.99, 0.8))
    assert (strict, mild) == ([], [(6, 1)]), f"expected [] and [(6, 1)], got {strict} and {mild}"


# %%
from medkd_lib.course.mended_joint import same_images as library_same

lesson_same = score.settle("q2", student=same_images, library=library_same)
looked_at, elsewhere = test.images["image"][:: max(1, len(test) // 60)], cohort.train[cohort.sources[0]].images["image"][::9].clone()
elsewhere[4] = 0.5 * looked_at[3] - 0.2  # a test image, darker and with another contrast, among a source's
copies = lesson_same(looked_at.double(), elsewhere.double())
print(f"planted: test section 3 as {cohort.sources[0]} section 4; found: {[tuple(p) for p in copies][:5]}")

# %% [markdown]
# ## 4 · Baselines first
#
# Nobody distils yet. The rivals of the method are chosen *now*, before it has run, for each of them would explain its
# gain away:
#
# | arm | what | if the method is no better, then |
# |---|---|---|
# | *usual place* | where lesions usually are, no pixel seen | the frame gives the answer away |
# | *student alone* | the target's labels | nothing was handed on |
# | *more target labels* (recorded) | further labelled patients of the target | not a rival but a ruler: what other data would have to reach |
# | *one network, a head per dataset* | pooled training, with as many looks at the target as every other arm | a joint *teacher* is not needed |
# | *the same, then the target alone* | pooled, then fine-tuned | **the same data do it without distillation: the arm that decides** |
#
# All students but the fine-tuned begin with the same weights, and all see the same views of the same sections.

# %%
from medkd_lib.course.experiments.joint_arms import ARMS, GEOMETRY
from medkd_lib.course.experiments.joint_budget import BUDGETS
from medkd_lib.course.experiments.joint_cells import answered, guessed
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.lesson_segment import score_table

budget = replace(BUDGETS[config.profile], sampling=config.sampling)
study = JointStudy(cohort, budget, config.seed, fabric_for(config), config.architecture, config.max_steps)
trained, results = {}, {GEOMETRY: guessed(cohort)}
for name in ("alone", "pooled", "finetuned"):
    trained[name] = study.train(ARMS[name])
    results[name] = answered(study, ARMS[name])
    print(f"{name}: {trained[name].seconds:.0f} s", "(kept from an earlier run)" * trained[name].from_cache)
table(score_table(results))

# %% [markdown]
# The ruler is in section 9, where it has seeds: if further labels of the *target itself* hardly help this student,
# sources cannot be expected to, and the question of this lesson is closed before it is asked.
#
# **Predict.** Order *student alone*, *fine-tuned* and *joint distillation* by their Dice. Then say what you expect of
# a joint teacher whose source teachers were never trained at all (recorded, section 9).
#
# ## 5 · First stage: a teacher per set
#
# The target's teacher learns from the target. Each source's teacher learns from its source *and* the target, with a head
# for each, and with a classifier on its pooled bottleneck that tries to tell the two apart, behind a gradient reversal.
#
# Did it work? Not the classifier's loss decides, for a classifier may be bad by itself; nor does a pretty picture. Train
# the encoder, freeze it, and fit a *fresh* linear probe, read on patients whom it was not fitted on. Chance is one half.
# The course may speak of invariance only where the whole interval lies below 0.6.
#
# At lesson size every map is normalised *per image* (instance norm), which forgets brightness and contrast before
# anybody asks. Does a probe still find the set? Compare the rows *hidden* and *looked at*: in the second, a classifier
# learned all the same, and the encoder heard nothing of it.
# Then compare with the figure: where the classifier's loss sits on the dotted line it "cannot tell", and a fresh probe of
# the very same features may tell them all. To fool *one* classifier that runs beside is not to hide. (Every point is one
# batch of a few images.)
#
# **And is there anything to hand on?** Before a teacher of livers is asked about lungs, ask it about livers. The table has
# every source teacher's Dice on its *own training patients*: whoever has not learned his own set has nothing to tell, and
# arms that take his knowledge away cannot differ.

# %%
from medkd_lib.course.experiments.joint_probe import bottleneck, probes
from medkd_lib.course.lesson_joint import declared_arm, known_of_sources, visible
from medkd_lib.evaluate.domain_probe import invariance_sentence
from medkd_lib.show.students import Term, training_terms

arm = declared_arm(config)
open_arm = visible(arm)
stage_one = {f"{s}, {way}": study.source_teacher(s, a.domain) for s in cohort.sources[:1]
             for way, a in {"hidden": arm, "looked at": open_arm}.items()}
terms = {f"labels {target}": Term("labels, target"), f"labels {cohort.sources[0]}": Term("labels, source"),
         "domain": Term("domain loss", float(np.log(2)) if config.domain == "reversal" else None, "cannot tell"), "domain accuracy": Term("classifier is right", 0.5, "guesses")}
gallery.show(
    training_terms({n: t.history.losses for n, t in stage_one.items()}, {n: t.history.steps for n, t in stage_one.items()}, terms),
    name="stage_one", alt="Label losses, domain loss and accuracy of the domain classifier over the steps, with and without hiding.")
for source, probe in probes(study, arm.domain).items():
    print(f"{source}, hidden: {invariance_sentence(probe)}")
for source, probe in probes(study, open_arm.domain, cohort.sources[:1]).items():
    print(f"{source}, looked at: {invariance_sentence(probe)}")
table(known_of_sources(study, arm))

# %% [markdown]
# Then the pictures, one kind beside the other. *PCA* is a projection; *t-SNE* keeps who is near whom, and its clusters'
# sizes and distances mean nothing. Three perplexities from one seed: what is one cluster in one picture may be three in
# the next. Every picture stands twice, coloured by set and by *does the section show a lesion?* A good encoder would have
# the first row mixed and the second one apart. The paper has one such picture, of one perplexity, and no number.

# %%
from medkd_lib.course.experiments.joint_stages import levelled
from medkd_lib.evaluate.domain_probe import linear_probe
from medkd_lib.evaluate.embedding import embeddings
from medkd_lib.show.embedding import embedding_figure

source = cohort.sources[0]
pair = {name: cohort.train[name].rows(range(0, len(cohort.train[name]), max(1, len(cohort.train[name]) // 150))) for name in (target, source)}
network = levelled(study.source_teacher(source, arm.domain))
features = torch.cat([bottleneck(network, study.inputs(s)) for s in pair.values()])
domains = [name for name, s in pair.items() for _ in range(len(s))]
classes = ["lesion" if m.any() else "none" for s in pair.values() for m in s.masks]
found = probes(study, arm.domain, [source])[source], linear_probe(features, classes, [p for s in pair.values() for p in s.patients], folds=3)
numbers = {what: f"linear probe: {p.balanced_accuracy:.2f}\n[{p.interval[0]:.2f}, {p.interval[1]:.2f}], chance {p.chance:.2f}"
           for what, p in zip(("set", "class"), found, strict=True)}
small = 10 if config.profile == "smoke" else 40
gallery.show(
    embedding_figure(embeddings(features, perplexities=(5, 15, small), seed=config.seed), {"set": domains, "class": classes}, numbers),
    name="embedding", alt=f"Bottleneck features of the teacher of {source} in the plane by PCA and by t-SNE at three perplexities, coloured "
    "by set and by class.")

# %% [markdown]
# ## 6 · A network whose images talk to each other
#
# The paper segments with U-Net and with *TransResU-Net*: a ResNet, and at its bottleneck a transformer beside dilated
# convolutions. Its public code flattens the bottleneck to `(batch, channels, h·w)` and hands it to a transformer that
# expects `(sequence, batch, width)`. It runs, for the numbers happen to fit. But the *images of the batch* are now the
# sequence: attention mixes patients. What is found in one depends on which others it is tested with, and in a test set
# that is a leak. (Behind the whole network a bottleneck feature changed by a fifth; the bare attention below, by more.)
#
# ## Exercise 3 · One image, whoever is beside it
#
# Write the step that the code meant: every *position* looks at every position of the **same** image. `attention` is a
# `nn.MultiheadAttention` of width $C$ with `batch_first=True`; positions are taken row by row, and the map that returns
# has the shape of the one that came.

# %% tags=["exercise-setup"]
def attention_of(width: int, secret: int = 0) -> nn.MultiheadAttention:
    """Attention of two heads with fixed random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(secret % 2**31)
        return nn.MultiheadAttention(width, 2, batch_first=True).double().eval()


def talkative(maps: Tensor, attention: nn.MultiheadAttention) -> Tensor:
    """As in the public code, cut down to what matters: works for maps of C = h · w alone."""
    sequence = maps.flatten(2)  # (N, C, h·w): the batch comes to stand where tokens are expected
    seen = attention(sequence.transpose(0, 1), sequence.transpose(0, 1), sequence.transpose(0, 1))[0]
    return seen.transpose(0, 1).view_as(maps)


# %% tags=["exercise"] exercise="q3"
def look_around(maps: Tensor, attention: nn.MultiheadAttention) -> Tensor:
    """Maps (N, C, h, w) in which every position has looked at all positions of its own image."""
    # Hint: attention(tokens, tokens, tokens)[0] with tokens (N, h·w, C); unflatten brings two axes back.
    # BEGIN SOLUTION
    tokens = maps.flatten(2).transpose(1, 2)
    seen = attention(tokens, tokens, tokens)[0]
    return seen.transpose(1, 2).unflatten(2, maps.shape[-2:])
    # END SOLUTION


# %% tags=["check"] exercise="q3"
@score.check("q3", look_around, points=0.5)
def alone_as_in_company(look_around):
    """An image answers the same alone as among others."""
    maps, attention = normal(1, 3, 4, 2, 2), attention_of(4)
    assert torch.allclose(look_around(maps, attention)[:1], look_around(maps[:1], attention)), "the others were heard"


@score.check("q3", look_around, points=0.5)
def any_size(look_around):
    """A map of three times five positions comes back as one."""
    found = look_around(normal(2, 2, 4, 3, 5), attention_of(4))
    assert found.shape == (2, 4, 3, 5), f"expected (2, 4, 3, 5), got {tuple(found.shape)}"


# %% tags=["hidden-check"] exercise="q3"
@score.hidden_check("q3", look_around, points=1)
def position_by_position(look_around, secret):
    """Fresh maps, against attention on tokens that are laid out one by one."""
    maps, attention = normal(secret, 2, 6, 2, 3), attention_of(6, secret)
    tokens = torch.stack([maps[:, :, i, j] for i in range(2) for j in range(3)], dim=1)
    seen = attention(tokens, tokens, tokens)[0]
    found = look_around(maps, attention)
    for k, (i, j) in enumerate((i, j) for i in range(2) for j in range(3)):
        assert torch.allclose(found[:, :, i, j], seen[:, k]), f"position ({i}, {j}) is not what its token became"


# %%
from medkd_lib.course.mended_joint import look_around as library_look

lesson_look = score.settle("q3", student=look_around, library=library_look)
maps = normal(5, 4, 4, 2, 2)
for title, way in {"public code": talkative, "mended": lesson_look}.items():
    together, alone = way(maps, attention_of(4))[:1], way(maps[:1], attention_of(4))
    print(f"{title:12s} an image changes by {((together - alone).norm() / alone.norm()).item():.0%} in company")

# %% [markdown]
# ## 7 · Second and third stage
#
# **The joint teacher.** All teachers are frozen and look at a target image; at every level a 1×1 convolution brings their
# maps together, and a fresh decoder learns from the target's labels:
#
# $$F_l=\mathrm{GELU}\bigl(\mathrm{norm}(W_l*[\,f_l^{t};f_l^{1};\dots;f_l^{m}\,])\bigr)$$
#
# **The student** follows it on the target's images:
#
# $$\mathcal L=\alpha\,\mathcal L_{logits}(T)+\beta\sum_l\overline{(h_l-F_l)^2}+\gamma\,\mathcal L_y$$
#
# Logits are compared pixel by pixel, lesion and background weighing the same: in a plain mean a student that answers
# *nothing* is nearly right about a lesion of a hundredth of the image. The ancestor has weights (0.6, 0.2, 0.2); the
# paper's are unknown to us, ours are (0.3, 0.1, 0.6).
#
# **Two more rivals.** *Self-distillation*, trained below, follows the target's own teacher: a network like the student,
# with the same labels, that began from other weights. *Joint of target teachers alone* (recorded) has as many teachers and
# as many weights, and no source. If they do as well, no source was needed.

# %%
from medkd_lib.course.lesson_joint_left_out import left_out, shares_of
from medkd_lib.show.fusion_shares import fusion_shares

names = {"joint": arm, "self_distilled": replace(ARMS["self_distilled"], weights=arm.weights)}
if arm.weights.follow == "each":  # a single teacher has no members to follow
    names.pop("self_distilled")
for name, way in names.items():
    trained[name] = study.train(way)
    results[name] = answered(study, way)
    print(f"{name}: {trained[name].seconds:.0f} s", "(kept from an earlier run)" * trained[name].from_cache)
joint = study.joint_teacher(arm)
table(left_out(study, arm))
gallery.show(fusion_shares(shares_of(joint), [target, *cohort.sources]), name="shares",
             alt="Share of each teacher in the fusers' weights, level by level, with a line where all were alike.")
distilled = {"labels": Term("labels"), "logits": Term("logits"), "features": Term("features, all levels")}
histories = {n: trained[n].history for n in names}
gallery.show(training_terms({n: h.losses for n, h in histories.items()}, {n: h.steps for n, h in histories.items()}, distilled, columns=3),
             name="terms", alt="Loss of labels, logits and features over the steps for joint distillation and self-distillation.")

# %% [markdown]
# A bar that ends near a dotted line says that the fusers listen to all alike, and *nothing* about whether what they hear is worth
# anything. The table silences one teacher at a time: it says to every image what it
# says on average to all. Whom does the Dice miss? (Every third test section is asked. Nobody is trained anew, so this is
# whom *this* joint teacher leans on.)
#
# ## 8 · Did it help?
#
# First table: every arm. Second: the differences that matter, patient by patient.

# %%
from medkd_lib.course.lesson_joint import gains
from medkd_lib.course.lesson_segment import case_table
from medkd_lib.show.segmentation_scores import scores_by_case

table(score_table(results))
table(gains(results, [("joint", "alone"), ("finetuned", "alone"), ("joint", "finetuned"),
                      ("joint", "self_distilled")]))
for name, answers in results.items():
    for elsewhere_set in cohort.external:
        if (value := answers.extras.get(f"dice_{elsewhere_set}")) is not None:
            print(f"{name}: mean Dice on {elsewhere_set}, where nobody trained: {value:.3f}")
masks = {name: study.masks(network, test) for name, network in trained.items()}
SHORT = {"alone": "alone", "finetuned": "fine-\ntuned", "joint": "joint"}
gallery.show(scores_by_case({SHORT[n]: case_table(results[n], masks[n], test) for n in SHORT}), name="scores",
             alt="Dice, surface Dice and HD95 of every test patient for three arms; the same patient is joined.")

# %% [markdown]
# **Where does each look?** Activity (the length of the vector over channels) of the bottleneck (or the level you choose), stretched within the image, and what is
# found, invented and missed. The paper shows such maps of baseline and student side by side. Ask of every pair: would I
# have known which is which?

# %%
from medkd_lib.course.experiments.joint_probe import maps_of
from medkd_lib.show.level_looks import level_looks

chosen = typical(test)
depth = len(levelled(trained["alone"]).level_channels)


def looks(level: int) -> plt.Figure:
    seen = {}
    for name in ("alone", "joint"):
        seen[name] = maps_of(levelled(trained[name]), test.images["image"][chosen], level - 1)
    where = "bottleneck" if level == depth else f"level {level}"
    return level_looks(test.images["image"][chosen, 0], test.masks[chosen], seen,
                       {n: torch.from_numpy(masks[n][chosen]) for n in seen}, level=where)


gallery.explore(looks, {"level": (1, depth, 1)}, [{"level": depth}, {"level": 1}], name="looks",
                alt="Activity of student alone and of the joint student over three test sections, and what each found, invented, missed.")

# %% [markdown]
# ## Exercise 4 · Beat the arm that decides, or explain
#
# **(a)** From the Dice of the same patients under five arms return what each comparison is worth, as mean differences:
# `data` (fine-tuned − alone), `capacity` (target teachers − alone), `self` (self-distilled − alone) and `mechanism`
# (joint − fine-tuned).
#
# **(b)** "Our student beats the dataset-specific network in all five seeds and the multi-head network in four." No other
# rival was run. What follows? Return one letter beside the numbers:
#
# - `"a"`: what the sources know reached the student through the joint teacher.
# - `"b"`: nothing about the sources: teachers of the target alone, or the student's own twin, might have done the same, and
#   fine-tuning the multi-head network might have done better.
# - `"c"`: domain-invariant features generalise better.
# - `"d"`: with five seeds, nothing at all.

# %% tags=["exercise-setup"]
def five_arms(secret: int, number: int = 12) -> dict[str, NDArray]:
    """Dice of some patients under the five arms."""
    rng = np.random.default_rng(secret)
    alone = rng.uniform(0.3, 0.9, number)
    shifts = {"alone": 0.0, "finetuned": 0.06, "target_teachers": 0.01, "self_distilled": 0.02, "joint": 0.01}
    return {name: np.clip(alone + shift + rng.normal(0, 0.03, number), 0, 1) for name, shift in shifts.items()}


# %% tags=["exercise"] exercise="q4"
def effects_and_reason(dice: dict[str, NDArray]) -> tuple[dict[str, float], str]:
    """The four mean differences by name, and the letter of (b)."""
    # Hint: float(np.mean(a - b)) for each pair.
    # BEGIN SOLUTION
    pairs = {"data": ("finetuned", "alone"), "capacity": ("target_teachers", "alone"),
             "self": ("self_distilled", "alone"), "mechanism": ("joint", "finetuned")}
    # Not a and not c: both name one of the explanations that were left open. Not d: five seeds are few, but the
    # trouble is another one: nobody looked for the cause.
    return {name: float(np.mean(dice[a] - dice[b])) for name, (a, b) in pairs.items()}, "b"
    # END SOLUTION


# %% tags=["check"] exercise="q4"
@score.check("q4", effects_and_reason, points=0.5)
def two_patients_by_hand(effects_and_reason):
    """Two patients: alone 0.5 and 0.7, fine-tuned 0.6 and 0.8, the others 0.5 and 0.8."""
    rest = np.array([0.5, 0.8])
    dice = {"alone": np.array([0.5, 0.7]), "finetuned": np.array([0.6, 0.8]), "target_teachers": rest, "self_distilled": rest, "joint": rest}
    found = effects_and_reason(dice)[0]
    for name, expected in {"data": 0.1, "capacity": 0.05, "self": 0.05, "mechanism": -0.05}.items():
        assert abs(found[name] - expected) < 1e-9, f"{name}: expected {expected}, got {found[name]:.3f}"


@score.check("q4", effects_and_reason, points=0.25)
def a_letter_is_noted(effects_and_reason):
    """One of the letters a to d."""
    letter = effects_and_reason(five_arms(0))[1]
    assert letter in ("a", "b", "c", "d"), f"expected one of the letters a to d, got {letter!r}"


# %% tags=["hidden-check"] exercise="q4"
@score.hidden_check("q4", effects_and_reason, points=0.5)
def unseen_patients(effects_and_reason, secret):
    """Fresh patients under the five arms."""
    dice = five_arms(secret)
    found = effects_and_reason(dice)[0]
    expected = {"data": dice["finetuned"] - dice["alone"], "capacity": dice["target_teachers"] - dice["alone"],
                "self": dice["self_distilled"] - dice["alone"], "mechanism": dice["joint"] - dice["finetuned"]}
    for name, each in expected.items():
        assert abs(found[name] - float(np.sum(each) / len(each))) < 1e-9, f"{name}: expected {np.mean(each):.4f}"


@score.hidden_check("q4", effects_and_reason, points=1)
def what_two_baselines_leave_open(effects_and_reason):
    """Sections 4 and 7 have the argument."""
    letter = effects_and_reason(five_arms(0))[1]
    assert letter == "b", f"{letter!r} is not what sections 4 and 7 allow"


# %%
from medkd_lib.course.mended_joint import effects as library_effects

lesson_effects = score.settle("q4", student=effects_and_reason, library=library_effects)
worth = lesson_effects(five_arms(config.seed, 200))[0]
print("the invented patients:", ", ".join(f"{name} {value:+.3f}" for name, value in worth.items()))

# %% [markdown]
# ## 9 · Many runs
#
# One training on few patients proves little. The grid, its contrasts and the correction were declared before the runs
# (`notebooks/results/06/grid.yaml`). Every dot is one training, the stroke their mean, the bar its 95 % interval over
# seeds, the star your run, of half the updates and fewer patients. *Better* and *worse* need an interval without zero, over seeds *and* patients, *and* a p-value
# below 0.05 after Holm's correction within a family of questions.
#
# The families: *premise* (do labels of the target help at all?), *data* (does training on the same data help?), *method*
# (joint − alone, and what else is more than alone), *mechanism* (joint − arms that have everything but the mechanism),
# *parts*, *controls*, *sources* (fewer of them) and *exchange* (half the target's patients, with all sources). One
# setting asks all this of a *whole other hospital*, that nobody trained on or chose by.

# %%
from medkd_lib.course.recorded import Recorded, claim_ledger
from medkd_lib.course.recorded_joint import means, setting_of
from medkd_lib.show.classify import recorded_arms

recorded = Recorded.read("06")
shown = setting_of(recorded, config, images)
stars = {a: float(np.nanmean(f.values["dice"])) for a, f in results.items()} if shown.comparable else {}
there = set(recorded.of(shown.id).arm)  # empty where nothing of this grid is recorded yet
titles = {name: title for name, title in recorded.titles_in(shown.id).items() if name in there}
if there:
    gallery.show(recorded_arms(recorded.of(shown.id), titles, "dice", mine=stars, title=f"Recorded: {shown.title}"),
                 name="recorded", alt=f"Dice of recorded trainings on {shown.title}: dots, mean and interval over seeds; stars are the "
                 "reader's run.")
    table(means(recorded, shown.id))
    table(recorded.verdicts(shown.id))

# %%
from medkd_lib.course.forests import forests

for name, figure, alt in forests(recorded, "Dice"):
    gallery.show(figure, name=name, alt=alt)
ledger = claim_ledger("multidataset", recorded)
table(ledger)

# %% [markdown]
# **Which source helps which target?** Gains of fine-tuning after one source alone, over the target alone. Hatched are
# cells whose interval holds zero. A negative one is *negative transfer*: the source taught what the target must forget.
#
# **What does a source cost?** Frozen teachers can be asked once about every view that will be shown, and their answers
# kept: then a step does not know how many there were. Asked at every step, each source adds its own. (Times
# are measured here and now; memory is counted, weights and the maps that are handed over.)

# %%
from medkd_lib.course.experiments.joint_cost import cost_of_sources, line_through
from medkd_lib.course.recorded_joint import transfer_gains
from medkd_lib.show.source_cost import source_cost
from medkd_lib.show.transfer_matrix import transfer_matrix

gained = transfer_gains(recorded)
if gained:
    gallery.show(transfer_matrix(gained, sorted({s for s, _ in gained}), sorted({t for _, t in gained}), measure="Dice"), name="transfer",
                 alt="Matrix of gains in Dice over the target alone, source by target, with intervals over seeds and patients.")
counts = (1, 2, 3) if config.profile == "smoke" else (1, 2, 3, 4, 5, 6)
costs = cost_of_sources(counts, budget, rounds=2 if config.profile == "smoke" else 5, architecture=config.architecture)
shown_costs = [[getattr(c, what) for c in costs] for what in ("sources", "asked_ms", "kept_ms", "megabytes")]
gallery.show(source_cost(*shown_costs), name="cost", alt="Time of an update, asked and with kept answers, and memory, over the number of sources.")
for what in ("asked_ms", "kept_ms", "megabytes"):
    line = line_through(costs, what)
    print(f"{what}: {line.intercept:.1f} + {line.slope:.2f} per source (R² {line.r_squared:.2f})")

# %% [markdown]
# **What to change next:**
#
# | knob | try | what to look at |
# |---|---|---|
# | `lambda_domain`, `gamma_domain` | 0; 1 | the classifier, then the probe: they need not agree |
# | `domain` | `coral`, `mmd` | no classifier to fool: does the probe care? |
# | `levels`, `distance` | `none`; `chopra` | what features add to logits |
# | `alpha`, `beta`, `gamma_labels` | 0, 0, 1 | must equal *student alone* to the last digit |
# | `alpha`, `beta`, `gamma_labels` | 0.6, 0.2, 0.2 | the ancestor's weights |
# | `joint_on` | `all` | a joint teacher that learns from every label there is |
# | `follow`, `dropping` | `each`, 0.5 | no fusing: the student follows every teacher |
# | `train_patients` | 6 | do sources matter more where labels are fewer? |
# | `sources` | one of them | who helps, who harms |
# | `architecture` | `transresunet` | the other network |
#
# ## 10 · What we could not know
#
# - **The paper's body**: weights, temperature, λ and its schedule; where the gradient reversal sits; whether target labels
#   count in a source's teacher; how maps are fused and at how many levels; on which data the joint teacher learns; whether
#   Chopra's contrast, which it cites, is used; whether the student is smaller than its teacher; 2-D or 3-D, image size,
#   sequences, splits and their unit, class maps, optimiser, epochs, seeds, hardware, every result.
# - **Its baselines**: two are named, *dataset-specific* and *multi-head*. Neither fine-tuning, nor target-only teachers, nor
#   self-distillation can be seen; without them a gain may be the data's, the network's size, distillation's as such, or the
#   method's.
# - **Phantoms** differ by physics that we chose; two organs are nearer in ours, or further, than in hospitals.
#
# ## Summary
#
# A gradient reversal makes two players of one loss; that they play does not mean that a domain is hidden: ask a fresh
# probe. Networks whose images talk to each other, and patients who came twice, leak without an error message. A joint
# teacher has data, weights and a mechanism; a gain of it counts for the mechanism only against rivals that have the
# other two. Fine-tuning on the same data is the cheapest of them, and the one to beat.
#
# **Next** · lesson 01 has the loader for scans of your own, and `CONTRIBUTING.md` says how a method joins the others.

# %% tags=["result"]
from medkd_lib.course.lesson import finish
from medkd_lib.course.lesson_segment import headline_of, metrics_of

print(score.summary())
finish(
    "06_many_datasets_one_teacher", title="Many datasets, one teacher", config=config,
    metrics=metrics_of(results, images, seed=config.seed), gallery=gallery, ledger=ledger, score=score,
    headline=headline_of(results, ("joint", "alone"), images, recorded.sentence(shown.id, "joint_vs_alone")),
)
