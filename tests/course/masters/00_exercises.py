# %% [markdown]
# # 00 · Exercises: the loss, its gradient, and a teacher that must not move
#
# **Question** What exactly does a student learn from a teacher's logits, and what can go wrong on the way?
#
# **Paper** Hinton, Vinyals, Dean 2015, *Distilling the Knowledge in a Neural Network*, section 2 and 2.1.
#
# **Data and licence** None: every number is drawn or written in the cells below.
#
# **Budget** smoke ≤ 60 s · lesson ≤ 4 min · paper 4 min, no GPU needed

# %%
from medkd_lib.course.exercise import Scoreboard

score = Scoreboard("00")

# %% [markdown]
# The checks below need a few small things: two images' logits over three findings, and a teacher small
# enough to read. Your answers may use them too.

# %% tags=["exercise-setup"]
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Two images, three findings: nodule, effusion, nothing.
z_teacher = torch.tensor([[3.0, 1.0, -1.0], [0.0, 2.0, 1.0]])
z_student = torch.tensor([[1.0, 0.0, 0.5], [1.0, 0.0, 1.0]])


def films(number: int, seed: int, brightness: float = 0.0) -> Tensor:
    """Draw noise films, 1 × 8 × 8 each: enough to see what a layer does with its statistics."""
    generator = torch.Generator().manual_seed(seed)
    return brightness + torch.randn(number, 1, 8, 8, generator=generator)


def small_teacher(seed: int) -> nn.Sequential:
    """Convolution, BatchNorm, dropout: 1 × 8 × 8 images to 3 logits; its statistics are warm."""
    with torch.random.fork_rng(devices=[]):  # the lesson's own random numbers stay untouched
        torch.manual_seed(seed)
        features = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()]
        head = nn.Linear(4 * 36, 3)
        nn.init.normal_(head.weight, std=0.3)  # a teacher that is sure of itself
        teacher = nn.Sequential(*features, nn.Dropout(0.5), head)
        for batch in range(20):
            teacher(films(16, seed=batch, brightness=2.0))
    return teacher.eval()


# %% [markdown]
# ## Exercise 1 · The distillation loss
#
# A teacher that has seen many chest films is sure of its first image: *nodule, perhaps an effusion*. The
# one-hot label says *nodule* and nothing else. The rest of what the teacher knows sits in its small
# probabilities, and a **temperature** $T$ brings it to light: $p = \mathrm{softmax}(z / T)$. The student is
# asked to give the same softened probabilities:
#
# $$\mathcal L_{KD} = T^2 \cdot \frac1B \sum_{b=1}^{B} \sum_{c=1}^{C} p^{\,t}_{bc}\,
# \log\frac{p^{\,t}_{bc}}{p^{\,s}_{bc}}$$
#
# Four things to keep in mind (public code has got the second and the third wrong): the **teacher** stands in
# front of the logarithm; we **sum over classes** and take the **mean over images**; $T^2$ stays, because the
# gradient of the softened loss shrinks like $1/T^2$; and the teacher is a given, so **no gradient** may reach
# it. Logits of real networks grow large: the loss must stay finite at $\pm 10^4$.


# %% tags=["exercise"] exercise="q1"
def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """KL(teacher ‖ student) of the softened probabilities, times T²: one number for the batch.

    Both logits have shape (images, classes).
    """
    # Hint: F.log_softmax stays finite where the logarithm of F.softmax does not.
    # BEGIN SOLUTION
    log_student = F.log_softmax(student_logits / temperature, dim=1)
    log_teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    per_image = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1)
    return temperature**2 * per_image.mean()
    # END SOLUTION


# %% tags=["check"] exercise="q1"
@score.check("q1", kd_loss, points=0.5)
def two_classes_by_hand(kd_loss):
    """Probabilities 3/4, 1/4 against 1/2, 1/2 at T = 1: the teacher's stand in front of the logarithm."""
    teacher, student = torch.tensor([[3.0, 1.0]]).log(), torch.zeros(1, 2)
    value = float(kd_loss(student, teacher, 1.0))
    by_hand = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)  # 0.1308
    assert abs(value - by_hand) < 1e-4, f"expected {by_hand:.4f}, got {value:.4f}"


@score.check("q1", kd_loss, points=0.5)
def equal_logits_cost_nothing(kd_loss):
    """Nothing is left to learn, so the loss is zero (a cross-entropy keeps the teacher's entropy)."""
    value = float(kd_loss(z_teacher.clone(), z_teacher, 2.0))
    assert abs(value) < 1e-5, f"expected 0, got {value:.4f}"


@score.check("q1", kd_loss, points=0.5)
def t_squared_is_kept(kd_loss):
    """Twice the logits at T = 2 are the same probabilities as at T = 1: only T² = 4 may differ."""
    one = float(kd_loss(z_student, z_teacher, 1.0))
    two = float(kd_loss(2 * z_student, 2 * z_teacher, 2.0))
    assert one > 0.01, f"these logits differ, so the loss cannot be {one:.4f}"
    assert abs(two / one - 4) < 1e-3, f"expected 4 times the loss, got {two / one:.4f} times"


@score.check("q1", kd_loss, points=0.5)
def the_teacher_is_not_pulled(kd_loss):
    """The gradient must reach the student and stop before the teacher (detach)."""
    student, teacher = z_student.clone().requires_grad_(), z_teacher.clone().requires_grad_()
    kd_loss(student, teacher, 2.0).backward()
    pull = 0.0 if student.grad is None else float(student.grad.abs().max())
    assert pull > 0.01, f"a gradient of {pull:.4f} reached the student"
    assert teacher.grad is None, "a gradient reached the teacher"


# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", kd_loss, points=1)
def unseen_logits(kd_loss, secret):
    """On fresh logits at T = 1 the value must equal the definition: sum over classes, mean over images."""
    rng = np.random.default_rng(secret)
    student, teacher = rng.normal(0, 2, (7, 5)), rng.normal(0, 2, (7, 5))
    log_s = student - np.log(np.exp(student).sum(1, keepdims=True))
    log_t = teacher - np.log(np.exp(teacher).sum(1, keepdims=True))
    expected = float((np.exp(log_t) * (log_t - log_s)).sum(1).mean())
    value = float(kd_loss(torch.tensor(student), torch.tensor(teacher), 1.0))
    assert abs(value - expected) < 1e-4 * expected, f"expected {expected:.5f}, got {value:.5f}"


@score.hidden_check("q1", kd_loss, points=1)
def unseen_temperature(kd_loss, secret):
    """Logits times T, softened at T, are the same probabilities: the loss grows by T² alone."""
    rng = np.random.default_rng(secret)
    temperature = float(rng.uniform(3, 9))
    student, teacher = torch.tensor(rng.normal(0, 1, (2, 6, 4)))
    cold = float(kd_loss(student, teacher, 1.0))
    warm = float(kd_loss(student * temperature, teacher * temperature, temperature))
    assert cold > 0.01, f"fresh logits differ, so the loss cannot be {cold:.4f}"
    ratio, expected = warm / cold, temperature**2
    assert abs(ratio - expected) < 1e-3, f"expected {expected:.3f} times, got {ratio:.3f} times"


@score.hidden_check("q1", kd_loss, points=0.5)
def finite_at_large_logits(kd_loss, secret):
    """Logits of ±10⁴ give a large but finite loss, and a finite gradient."""
    sign = 1.0 if secret % 2 else -1.0
    student = torch.tensor([[1e4, -1e4], [0.0, 1.0]]).mul(sign).requires_grad_()
    teacher = torch.tensor([[-1e4, 1e4], [0.0, 1.0]]).mul(sign)
    value = kd_loss(student, teacher, 1.0)
    value.backward()
    found = float(value.detach())
    assert 1e3 < found < float("inf"), f"expected about 10⁴, got {found}"
    assert student.grad is not None and torch.isfinite(student.grad).all(), "no finite gradient"


@score.hidden_check("q1", kd_loss, points=0.5)
def a_shift_changes_nothing(kd_loss, secret):
    """One number added to all logits of an image leaves its probabilities, so the loss, as they are."""
    rng = np.random.default_rng(secret)
    student = torch.tensor(rng.normal(0, 1, (6, 4))).requires_grad_()
    teacher, shift = torch.tensor(rng.normal(0, 1, (6, 4))), torch.tensor(rng.uniform(2, 5, (6, 1)))
    still, shifted = kd_loss(student, teacher, 2.0), kd_loss(student + shift, teacher - shift, 2.0)
    shifted.backward()
    change, gradient = float((shifted - still).detach()), student.grad
    assert abs(change) < 1e-4, f"the loss changed by {change:.5f}"
    assert gradient is not None and gradient.abs().max() > 1e-4, "no gradient reached the student"
    assert gradient.sum(dim=1).abs().max() < 1e-6, "the gradient asks for a shift"


# %% [markdown]
# ## Exercise 2 · The gradient, with paper and pencil
#
# Derive $\partial \mathcal L_{KD} / \partial z^{s}$ for the loss above. The derivative of a log-softmax is short,
# one $T$ comes from $z/T$ and two stand in front, and what is left is worth remembering:
#
# $$\frac{\partial \mathcal L_{KD}}{\partial z^{s}_{bc}} = \frac{T}{B}\,\bigl(p^{\,s}_{bc} - p^{\,t}_{bc}\bigr)$$
#
# Write it in numpy, without autograd. **Before you run the checks**: what becomes of it when $T$ grows very large
# and the logits of each image have mean zero? (Hinton, section 2.1: distillation turns into matching logits,
# with gradient $(z^s - z^t)/(C\,B)$. Do you see it?)


# %% tags=["exercise"] exercise="q2"
def kd_gradient(
    student_logits: np.ndarray, teacher_logits: np.ndarray, temperature: float
) -> np.ndarray:
    """The gradient of the distillation loss with respect to the student's logits, in numpy.

    Both logits and the result have shape (images, classes).
    """

    # Hint: subtract each image's largest logit before np.exp, and nothing overflows.
    # BEGIN SOLUTION
    def softened(logits: np.ndarray) -> np.ndarray:
        weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
        return weights / weights.sum(axis=1, keepdims=True)

    return temperature * (softened(student_logits) - softened(teacher_logits)) / len(student_logits)
    # END SOLUTION


# %% tags=["check"] exercise="q2"
@score.check("q2", kd_gradient, points=0.5)
def one_image_by_hand(kd_gradient):
    """One image, T = 2: softened to 1/2 and 1/2 against 3/4 and 1/4, the gradient is 2 · (−1/4, +1/4)."""
    student, teacher = np.zeros((1, 2)), 2 * np.log([[3.0, 1.0]])
    gradient = np.asarray(kd_gradient(student, teacher, 2.0))
    assert gradient.shape == (1, 2), f"expected shape (1, 2), got {gradient.shape}"
    assert np.allclose(gradient, [[-0.5, 0.5]], atol=1e-4), f"expected [[-0.5 0.5]], got {gradient}"


@score.check("q2", kd_gradient, points=0.5)
def every_image_sums_to_zero(kd_gradient):
    """Both softened answers for an image sum to one over its classes: their difference sums to zero."""
    gradient = np.asarray(kd_gradient(z_student.double().numpy(), z_teacher.double().numpy(), 3.0))
    assert np.abs(gradient).max() > 0.01, "these logits differ, so the gradient cannot be zero"
    sums = gradient.sum(axis=1)
    assert np.allclose(sums, 0, atol=1e-6), f"expected 0 for each image, got {sums}"


# %% tags=["hidden-check"] exercise="q2"
@score.hidden_check("q2", kd_gradient, points=0.75)
def autograd_agrees_at_any_temperature(kd_gradient, secret):
    """One unseen image at an unseen temperature: the formula must equal what autograd finds."""
    rng = np.random.default_rng(secret)
    temperature = float(rng.uniform(2, 6))
    student, teacher = torch.tensor(rng.normal(0, 3, (2, 1, 6)))
    student.requires_grad_()
    log_s = F.log_softmax(student / temperature, dim=1)
    log_t = F.log_softmax(teacher / temperature, dim=1)
    (temperature**2 * (log_t.exp() * (log_t - log_s)).sum()).backward()
    expected = np.asarray(student.grad)
    gradient = np.asarray(kd_gradient(student.detach().numpy(), teacher.numpy(), temperature))
    assert np.allclose(gradient, expected, atol=1e-6), f"T = {temperature:.2f}: the values differ"


@score.hidden_check("q2", kd_gradient, points=0.75)
def finite_differences_agree_for_a_batch(kd_gradient, secret):
    """Unseen images at T = 1: a nudge to one logit changes the batch-mean loss as the formula says."""
    rng = np.random.default_rng(secret)
    student, teacher = rng.normal(0, 2, (5, 4)), rng.normal(0, 2, (5, 4))

    def loss(logits):
        log_s = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        log_t = teacher - np.log(np.exp(teacher).sum(1, keepdims=True))
        return (np.exp(log_t) * (log_t - log_s)).sum(1).mean()

    gradient = np.asarray(kd_gradient(student.copy(), teacher.copy(), 1.0))
    for image, label in [(0, 0), (2, 3), (4, 1)]:
        nudge = np.zeros_like(student)
        nudge[image, label] = 1e-5
        slope = (loss(student + nudge) - loss(student - nudge)) / 2e-5
        found = float(gradient[image, label])
        where = f"image {image}, class {label}"
        assert abs(found - slope) < 1e-6, f"{where}: expected {slope:.6f}, got {found:.6f}"


@score.hidden_check("q2", kd_gradient, points=0.5)
def the_high_temperature_limit(kd_gradient, secret):
    """For centred logits and a very large T the gradient is (z_s − z_t) / (C · B): matching logits."""
    rng = np.random.default_rng(secret)
    student, teacher = rng.normal(0, 1, (3, 5)), rng.normal(0, 1, (3, 5))
    student -= student.mean(1, keepdims=True)
    teacher -= teacher.mean(1, keepdims=True)
    gradient = np.asarray(kd_gradient(student, teacher, 1e5))
    assert np.allclose(gradient, (student - teacher) / (5 * 3), atol=1e-4), "the limit is missed"


# %% [markdown]
# ## Exercise 3 · Break it, then mend it
#
# The function below asks a teacher for its logits, and takes care that no gradient is stored. Is that enough?
# The teacher learned on films of one hospital (pixel mean 2) and now labels those of another (mean 0).
# **Guess before you run:** does the teacher's answer for one and the same film change while it teaches?


# %%
def careless_logits(teacher: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return teacher(images)


test_films = films(200, seed=100, brightness=2.0)
teacher = small_teacher(seed=0)
finding_before = teacher(test_films).argmax(dim=1)
teacher.train()  # as a training loop leaves every network it is given
for batch in range(30):
    careless_logits(teacher, films(16, seed=200 + batch))
finding_after = teacher.eval()(test_films).argmax(dim=1)
changed = int((finding_before != finding_after).sum())
print(f"no weight has moved, and yet the teacher changed its mind about {changed} of 200 films")

# %% [markdown]
# `torch.no_grad()` stops gradients, not BatchNorm: in train mode every batch moves the running statistics, and
# dropout rolls its dice. Write the function that a training loop can call without harm. It
#
# - answers from the **running statistics**, for a single image too, and without dropout;
# - stores **no gradient**, and leaves **every buffer** as it was;
# - gives back **every module** of the teacher in the mode in which it found it. (A teacher may be in train mode
#   with one BatchNorm layer frozen in eval mode. `teacher.train()` would wake that layer up.)


# %% tags=["exercise"] exercise="q3"
def teacher_logits(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's logits for a batch of images, asked for without leaving a trace.

    Images have shape (images, channels, height, width), the result (images, classes).
    """
    # Hint: teacher.modules() lists every module; each one has its own .training flag.
    # BEGIN SOLUTION
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    with torch.no_grad():
        logits = teacher(images)
    for module, was_training in modes:
        module.training = was_training
    return logits
    # END SOLUTION


# %% tags=["check"] exercise="q3"
@score.check("q3", teacher_logits, points=0.5)
def running_statistics_answer(teacher_logits):
    """A teacher found in train mode must answer from its running statistics, without dropout."""
    images = films(4, seed=5)
    expected = small_teacher(seed=1)(images).detach()
    answer = teacher_logits(small_teacher(seed=1).train(), images)
    assert answer.shape == (4, 3), f"expected logits of shape (4, 3), got {tuple(answer.shape)}"
    gap = float((answer.detach() - expected).abs().max())
    assert gap < 1e-4, f"the logits differ by up to {gap:.3f}"


@score.check("q3", teacher_logits, points=0.5)
def no_buffer_moves(teacher_logits):
    """Running mean, running variance and the batch counter must be what they were before the call."""
    teacher = small_teacher(seed=1).train()
    before = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    teacher_logits(teacher, films(4, seed=5))
    moved = [
        name for name, buffer in teacher.named_buffers() if not torch.equal(buffer, before[name])
    ]
    assert not moved, f"these buffers moved: {', '.join(moved)}"


@score.check("q3", teacher_logits, points=0.5)
def the_mode_is_given_back(teacher_logits):
    """A teacher found in train mode is in train mode afterwards, one found in eval mode stays there."""
    images = torch.zeros(2, 1, 8, 8)
    for found_training in (True, False):
        teacher = small_teacher(seed=1).train(found_training)
        teacher_logits(teacher, images)
        left = teacher.training
        assert left == found_training, f"found with training={found_training}, left with {left}"


# %% tags=["hidden-check"] exercise="q3"
@score.hidden_check("q3", teacher_logits, points=1)
def an_unseen_teacher(teacher_logits, secret):
    """A fresh teacher in train mode, asked three times: the right answer each time, no buffer moved."""
    seed = secret % 2**31
    images = films(6, seed)
    expected = small_teacher(seed)(images).detach()
    teacher = small_teacher(seed).train()
    before = {name: buffer.clone() for name, buffer in teacher.named_buffers()}
    for _ in range(3):
        answer = teacher_logits(teacher, images)
        assert torch.allclose(answer.detach(), expected, atol=1e-4), "the logits differ"
    assert all(torch.equal(b, before[n]) for n, b in teacher.named_buffers()), "a buffer moved"


@score.hidden_check("q3", teacher_logits, points=0.5)
def one_image_alone(teacher_logits, secret):
    """An image asked for alone gets the logits it gets within a batch."""
    images = films(5, secret % 2**31)
    expected = small_teacher(seed=2)(images).detach()
    alone = teacher_logits(small_teacher(seed=2).train(), images[3:4])
    assert alone.shape == (1, 3), f"expected logits of shape (1, 3), got {tuple(alone.shape)}"
    assert torch.allclose(alone.detach()[0], expected[3], atol=1e-4), "the logits differ"


@score.hidden_check("q3", teacher_logits, points=0.5)
def no_gradient_is_stored(teacher_logits, secret):
    """The logits must not require a gradient, although the teacher's weights do."""
    images = films(2, secret % 2**31)
    answer = teacher_logits(small_teacher(seed=3), images)
    assert not answer.requires_grad, "the logits still carry a gradient"


@score.hidden_check("q3", teacher_logits, points=0.5)
def every_module_keeps_its_mode(teacher_logits, secret):
    """A teacher in train mode with one layer frozen in eval mode must be given back exactly so."""
    teacher = small_teacher(seed=3).train()
    teacher[1 if secret % 2 else 4].eval()
    before = [module.training for module in teacher.modules()]
    teacher_logits(teacher, torch.zeros(2, 1, 8, 8))
    assert [module.training for module in teacher.modules()] == before, "a module changed its mode"


# %% [markdown]
# ## How far you got
#
# An exercise that is still open stops nothing: the lesson goes on with the library's own function.

# %%
print(score.summary())
