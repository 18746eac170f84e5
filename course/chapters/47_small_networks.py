# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 47 · Small networks for small devices
#
# > **Claim.** A network that is rounded to two bits after training forgets what it has learned. Rounded while it learns, with a step that is learned as well, it keeps most of it in a thirteenth of the bytes, more than a narrow network of that size. Whether it is also faster is another question, and only a clock answers it.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | round weights to few levels and say what is stored; send a gradient through a staircase; learn the size of a step; find the best one-bit weights; choose weights by how they move; take neurons out without changing the function; learn from a teacher; count bytes, and measure what they are worth |
# | **Before you start** | gradient descent with PyTorch; the chain rule; least squares |
# | **Time** | 150 minutes |
# | **Points** | 22, in eight exercises |

# %% tags=["setup"]
import itertools
import math
import statistics

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional

from course.kit import Question, figure, quiz, setup, stored
from modular import digits
from modular.compact import (
    LSQ,
    STE,
    BinaryLinear,
    DoReFa,
    Movement,
    distill,
    export_int8,
    quantize_weights,
    size_report,
)

generator = setup(seed=47)

# %% [markdown]
# ## Cold open: a network that is rounded too late
#
# A small device, a hearing aid or a sensor, has little memory and a small battery. A weight is usually
# a number of 32 bits. Does the network need them? Let us train one on digits, round its weights to fewer
# bits, and look.
#
# With $b$ **bits** a weight can have $2^b$ values. We lay equal steps from minus the largest size of a
# weight of the layer to plus the largest, and each weight goes to the nearest one.

# %% tags=["given"]
task = digits(torch.Generator().manual_seed(47))


def network(seed=0, width=64):
    """Three layers for the digits of scikit-learn: 64 pixels, 10 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def train(net, passes, seed=0, rate=0.1):
    """Descend with momentum in batches of 64; the rate falls to zero."""
    steps = passes * (len(task.x) // 64)
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / steps)
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(task.x), (64,), generator=order)
        optimizer.zero_grad()
        functional.cross_entropy(net(task.x[rows]), task.y[rows]).backward()
        optimizer.step()
        schedule.step()
    return net


@torch.no_grad()
def accuracy(net):
    """Right answers on the test digits, in percent."""
    return 100 * (net(task.x_test).argmax(dim=1) == task.y_test).double().mean().item()


def restored(seed):
    """A network with the weights that training has found."""
    net = network(seed)
    net.load_state_dict(trained[seed])
    return net


def rounded_after(seed, bits):
    """Accuracy of a trained network whose weights are rounded, without more training."""
    return accuracy(quantize_weights(restored(seed), STE(bits)))


# %%
trained = {seed: train(network(seed), 15, seed).state_dict() for seed in range(3)}
BITS = (8, 6, 5, 4, 3, 2)
whole = [accuracy(restored(seed)) for seed in range(3)]
after = {bits: [rounded_after(seed, bits) for seed in range(3)] for bits in BITS}
middle = [statistics.median(after[bits]) for bits in BITS]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6.4, 3.2))
ax.axhline(statistics.median(whole), color="k", ls="--", lw=1.5, label="32 bits")
ax.axhline(10, color="k", ls=":", lw=1.5, label="guessing")
ax.plot(BITS, middle, "o-", ms=7, label="rounded after training")
ax.set(xlabel="bits of a weight", ylabel="test accuracy in %", ylim=(0, 104))
ax.invert_xaxis()
ax.legend(fontsize=9, loc="lower left")
figure(
    fig,
    caption="Digits, the median of three networks, rounded to fewer and fewer bits.",
    alt="Accuracy against the bits of a weight, from 8 at the left to 2 at the right. The line stays "
    "at the height of 32 bits down to 4, is hardly lower at 3, and falls to about twice guessing at 2.",
)

# %%
print("8 bits cost less than a point:", statistics.median(whole) - middle[0] < 1)
print("2 bits cost 30 points or more:", statistics.median(whole) - middle[-1] > 30)

# %% [markdown]
# With 8 bits, a quarter of the bytes, no loss can be seen here. With 2 bits the network is little better than guessing. But is it *two bits* that
# are too few, or is it *rounding after training*? The network was never told what would happen to its weights.
# This chapter tells it: it rounds while it learns. Then it looks at the other ways to a small network, with
# fewer weights or with a teacher, and puts all of them on one plot of size against accuracy (after the survey of
# Roth et al. 2020). At the end it asks a question that such plots leave out: is the small network also *fast*?

# %% [markdown]
# ## 1. Levels
#
# A **quantiser** replaces a weight $w$ by a whole number $q$, the **code**, times a **step** $\Delta$:
#
# $$ \hat w = \Delta\, q, \qquad q = \operatorname{round}(w / \Delta) \in \{-Q, \dots, Q\}, \qquad
#    Q = 2^{b-1} - 1 . $$
#
# Stored are the codes, $b$ bits each, and *one* number $\Delta$ for the whole layer. We leave one of the
# $2^b$ codes unused, so that levels lie the same on both sides of zero: with 2 bits there are three levels,
# $-\Delta, 0, \Delta$. The plain rule takes $\Delta = \max |w| / Q$, so that the largest weight is a level.
#
# **Shapes.** `w` has any shape; the codes have the same shape, and the step is one number.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def drawn(*shape, seed=0):
    """Normal random numbers of one seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ### Exercise 47.1 · Codes and a step
# Difficulty ●○○○○ · 2 points
#
# Write `codes_of(w, bits)`. Return the codes, a tensor of whole numbers (an integer dtype) of the shape of `w`, and
# the step of the plain rule. If all weights are zero, codes are zero and the step is 1. Change no argument.


# %% nbgrader={"grade": false, "grade_id": "ex47-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def codes_of(w, bits):
    """Return whole numbers q of the shape of w, and the step.

    w: (...). bits: 2 to 16.
    """
    ### BEGIN SOLUTION
    most = 2 ** (bits - 1) - 1
    step = w.abs().max() / most
    if step == 0:
        step = step + 1
    return (w / step).round().long(), step
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
q_try, step_try = codes_of(torch.tensor([-0.6, 0.05, 0.25, 0.6]), 3)
assert isinstance(q_try, torch.Tensor) and not q_try.is_floating_point(), (
    "codes are whole numbers: end with .long(), or another integer dtype"
)
assert math.isclose(float(step_try), 0.2, rel_tol=1e-5), (
    "3 bits have Q = 3, and the largest size is 0.6"
)
assert math.isclose(float(step_try), 0.2, rel_tol=1e-12), FLOAT64
assert q_try.tolist() == [-3, 0, 1, 3], (
    "0.05 is a quarter of a step, 0.25 is one and a quarter"
)

# %% nbgrader={"grade": true, "grade_id": "ex47-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w_try = drawn(200, 5, seed=1)
q_try, step_try = codes_of(w_try, 4)
assert len(q_try.unique()) <= 15, "4 bits, used the same on both sides: 15 levels"
### BEGIN HIDDEN TESTS
for bits_try, seed in ((2, 2), (3, 3), (5, 4), (8, 5), (12, 6)):
    w_try = drawn(40, 7, seed=seed) * 3
    kept = w_try.clone()
    q_try, step_try = codes_of(w_try, bits_try)
    assert torch.equal(w_try, kept), "w was changed in place"
    assert q_try.shape == w_try.shape, "a code for each weight"
    most_try = 2 ** (bits_try - 1) - 1
    exact = w_try.abs().max() / most_try
    assert math.isclose(float(step_try), float(exact), rel_tol=1e-12), (
        "the step is max|w| / Q with Q = 2^(bits - 1) - 1, one for the whole tensor"
    )
    assert int(q_try.abs().max()) == most_try, "the largest weight has the code Q or -Q"
    assert ((q_try * exact - w_try).abs() <= exact / 2 * (1 + 1e-9)).all(), (
        "each weight goes to the nearest level: at most half a step away"
    )
    again, _ = codes_of(q_try * exact, bits_try)
    assert torch.equal(again, q_try), "rounding twice must be rounding once"
q_try, step_try = codes_of(torch.zeros(2, 3), 4)
assert not q_try.any() and float(step_try) == 1, (
    "weights that are all zero: codes zero, step 1, and nothing is divided by zero"
)
q_try, step_try = codes_of(torch.full((3,), -1e-9), 4)
assert q_try.tolist() == [-7] * 3, "small weights are no zeros: the step is small, too"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First $Q$ from the bits, then the step, then divide and round.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The step comes from the whole tensor: `w.abs().max()`. `round` gives floats; a method makes whole numbers of them.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\Delta = \max|w| / (2^{b-1} - 1)$, $q = \operatorname{round}(w / \Delta)$.
#
# </details>

# %% [markdown]
# ### Where does the error come from?
#
# The plain rule depends on one weight only, the largest. Here are 4096 normal weights, rounded to three levels
# (2 bits), with steps of all sizes. What is beyond the last level is cut to it.

# %%
many = drawn(4096, seed=6)
sizes = torch.linspace(0.3, 4.5, 85)
errors = [
    ((size * (many / size).round().clamp(-1, 1) - many) ** 2).mean() for size in sizes
]
_, plain_step = codes_of(many, 2)
at_plain = ((plain_step * (many / plain_step).round() - many) ** 2).mean()
best = sizes[torch.stack(errors).argmin()]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6.4, 3))
ax.plot(sizes, errors, lw=2)
ax.plot(plain_step, at_plain, "s", ms=9, label="plain rule: the largest weight")
ax.plot(best, min(errors), "o", ms=9, label="least error")
ax.axhline(1, color="k", ls=":", lw=1.5, label="all weights set to zero")
ax.set(xlabel="step Δ", ylabel="mean squared error", ylim=(0, 1.1))
ax.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Normal weights of variance one, rounded to three levels with different steps.",
    alt="A curve that falls to about 0.2 near a step of 1.2 and rises to nearly one. The plain rule's "
    "square is at the far right, near the dotted line of setting all weights to zero; a circle marks "
    "the lowest point.",
)

# %%
print("the best step is below half of the plain one:", bool(best < plain_step / 2))
print("it cuts weights off:", f"{(many.abs() > 1.5 * best).double().mean():.0%}")
print("the plain rule's error, four times the least or more:", end=" ")
print(bool(at_plain > 4 * min(errors)))
rounded = [layer.weight for layer in quantize_weights(restored(0), STE(2))[::2]]
zeros = sum(int((w == 0).sum()) for w in rounded) / sum(w.numel() for w in rounded)
print("cold open, 2 bits: more than nine tenths of the weights are zero:", zeros > 0.9)

# %% [markdown]
# With the plain rule nearly all weights become zero, since the level $\Delta$ is as far out as the largest weight. So it was in
# the cold open: of all its weights with 2 bits more than nine tenths were zero. A better step *cuts* the large weights to
# have finer levels for the many.
# What is best depends on the loss, and not on the mean squared error of the weights: so learn it.

# %% [markdown]
# ## 2. A gradient through a staircase
#
# Rounding has derivative zero nearly everywhere. A network that rounds its weights cannot learn: no gradient comes
# through. The **straight-through estimator** (Bengio, Léonard and Courville 2013) makes one up. Forward, round.
# Backward, act as if nothing had been rounded:
#
# $$ \hat w = \Delta \operatorname{round}\big(\operatorname{clip}(w / \Delta, -Q, Q)\big), \qquad
#    \frac{\partial \hat w}{\partial w} := \begin{cases} 1 & |w| \le Q \Delta \\ 0 & \text{beyond} \end{cases} $$
#
# The optimiser holds the weights $w$ with all their bits; the network computes with $\hat w$. Small gradients
# add up in $w$ until it passes the middle between two levels, and then $\hat w$ jumps.

# %% [markdown]
# ### Exercise 47.2 · Straight through
# Difficulty ●●○○○ · 3 points
#
# Write `through(w, step, most)`: the value $\hat w$ with the gradient above. `step` and `most` ($Q$) are Python
# numbers. No class, no hook: what stands in front of `.detach()` has no gradient.


# %% nbgrader={"grade": false, "grade_id": "ex47-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def through(w, step, most):
    """Return the rounded weights, with a gradient that passes the rounding.

    w: (...). step: number > 0. most: the largest code.
    """
    ### BEGIN SOLUTION
    inside = w.clamp(-most * step, most * step)
    level = (inside / step).round() * step
    return inside + (level - inside).detach()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w_try = torch.tensor([0.4, -0.9, 5.0], requires_grad=True)
out_try = through(w_try, 0.5, 3)
assert out_try.dtype == torch.float64, FLOAT64
assert torch.allclose(out_try, torch.tensor([0.5, -1.0, 1.5])), (
    "0.4 goes to one step, -0.9 to minus two, 5.0 is cut to three"
)
assert out_try.requires_grad, "no gradient comes through"
(slope_try,) = torch.autograd.grad(out_try.sum(), w_try)
assert slope_try.tolist() == [1.0, 1.0, 0.0], "one inside, zero where it is cut"

# %% nbgrader={"grade": true, "grade_id": "ex47-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
w_try = drawn(50, seed=7).requires_grad_()
(slope_try,) = torch.autograd.grad((3 * through(w_try, 0.3, 2)).sum(), w_try)
assert set(slope_try.tolist()) <= {0.0, 3.0}, (
    "the gradient that comes is passed on, or stopped"
)
### BEGIN HIDDEN TESTS
for seed, (step_try, most_try) in enumerate([(0.4, 1), (0.25, 3), (0.7, 7), (2.0, 1)]):
    w_try = (2 * drawn(60, 3, seed=seed)).requires_grad_()
    pull = drawn(60, 3, seed=seed + 20)
    kept = w_try.detach().clone()
    out_try = through(w_try, step_try, most_try)
    exact = step_try * (kept / step_try).clamp(-most_try, most_try).round()
    assert torch.allclose(out_try, exact, rtol=0, atol=1e-12), (
        "the value is not the level: divide, cut at Q, round, multiply"
    )
    (slope_try,) = torch.autograd.grad((out_try * pull).sum(), w_try)
    exact = pull * (kept.abs() <= most_try * step_try)
    assert torch.allclose(slope_try, exact, rtol=0, atol=1e-12), (
        "the gradient is that of the output up to |w| = Q step, and zero beyond"
    )
    assert torch.equal(w_try.detach(), kept), "w was changed in place"
w_try = torch.tensor([1.4, -1.4, 1.6], requires_grad=True)
(slope_try,) = torch.autograd.grad(through(w_try, 0.5, 3).sum(), w_try)
assert slope_try.tolist() == [1.0, 1.0, 0.0], (
    "1.4 has the last level, but it was not cut: Q step is 1.5"
)
w_try = torch.tensor([1.5, -1.5], requires_grad=True)
(slope_try,) = torch.autograd.grad(through(w_try, 0.5, 3).sum(), w_try)
assert slope_try.tolist() == [1.0, 1.0], (
    "|w| = Q step is not beyond: there the gradient is one. (With the plain rule the "
    "largest weight stands there. clamp has this gradient, hardtanh and minimum have not.)"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `v + (u - v).detach()` has the value of `u` and the gradient of `v`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `clamp` has the right gradient already: one inside, zero outside. Only the rounding needs help.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With $v = \operatorname{clip}(w, -Q\Delta, Q\Delta)$ and $u = \Delta \operatorname{round}(v / \Delta)$:
# value $u$, gradient of $v$.
#
# </details>

# %% [markdown]
# Does such an invented gradient lead anywhere? One weight, the loss $(\hat w - 0.6)^2$, levels at whole numbers:

# %%
w, path = torch.tensor(-2.2), []
for _ in range(40):
    w.requires_grad_()
    value = through(w, 1.0, 3)
    (slope,) = torch.autograd.grad((value - 0.6) ** 2, w)
    path.append((w.item(), value.item()))
    w = (w - 0.15 * slope).detach()

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6.4, 3))
ax.plot([p[0] for p in path], "-", lw=1.8, label="w, which the optimiser holds")
ax.step(range(40), [p[1] for p in path], "--", where="mid", lw=1.8, label="its level")
ax.axhline(0.6, color="k", ls=":", lw=1.5, label="where the loss is least")
ax.set(xlabel="steps of descent", ylabel="weight", ylim=(-2.5, 1.6))
ax.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Descent with straight-through gradients towards a place between two levels.",
    alt="A solid line rises from -2.2 and then swings around one half; a dashed staircase follows it and "
    "jumps between zero and one again and again, with a dotted line at 0.6 between them.",
)

# %%
levels = {p[1] for p in path[-12:]}
print("levels in the last twelve steps:", sorted(level + 0.0 for level in levels))

# %% [markdown]
# It arrives, and then it does not rest: the weight swings around the middle between 0 and 1, since each level says
# "go to the other one". A rate that falls to zero ends that on *one* of the two.

# %% [markdown]
# ## 3. A step that is learned
#
# If the weights learn, why not the step? What is the derivative of $\hat w = \Delta\, q$ by $\Delta$? With the code held
# fixed it would be $q$. But the code depends on $\Delta$, too: $q = \operatorname{round}(w / \Delta)$. **LSQ** (learned
# step size quantisation, Esser et al. 2020) sends the gradient straight through the rounding here as well:
#
# $$ \frac{\partial \hat w}{\partial \Delta} := \begin{cases}
#    \operatorname{round}(w / \Delta) - w / \Delta & |w| \le Q \Delta \\
#    \pm Q & \text{beyond}, \end{cases} $$
#
# and the gradient by $w$ is that of section 2. A matrix of $m \times n$ weights has one step, whose gradient is a sum over all
# of them; the paper divides it by $\sqrt{m n Q}$ so that the step does not learn much faster than the weights.

# %% [markdown]
# ### Exercise 47.3 · Learn the step
# Difficulty ●●○○○ · 3 points
#
# Write `lsq(w, step, most)`: the value as in 47.2, now differentiable by `w` *and* by `step`, a tensor with one number,
# with the gradients above (not divided by $\sqrt{m n Q}$).


# %% nbgrader={"grade": false, "grade_id": "ex47-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lsq(w, step, most):
    """Return rounded weights that have a gradient by w and by the step.

    w: (...). step: tensor with one number > 0. most: the largest code.
    """
    ### BEGIN SOLUTION
    v = (w / step).clamp(-most, most)
    return (v + (v.round() - v).detach()) * step
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w_try = torch.tensor([0.4, 5.0, -5.0], requires_grad=True)
step_try = torch.tensor(0.5, requires_grad=True)
out_try = lsq(w_try, step_try, 3)
assert out_try.dtype == torch.float64, FLOAT64
assert torch.allclose(out_try, torch.tensor([0.5, 1.5, -1.5])), "the values of 47.2"
assert out_try.requires_grad, "no gradient comes through"
(slope_try,) = torch.autograd.grad(out_try[0], step_try, retain_graph=True)
assert math.isclose(slope_try.item(), 1 - 0.8, rel_tol=1e-9), (
    "inside: round(0.8) - 0.8 = 0.2"
)
(slope_try,) = torch.autograd.grad(out_try[2], step_try)
assert math.isclose(slope_try.item(), -3, rel_tol=1e-9), "beyond -Q step: -Q"

# %% nbgrader={"grade": true, "grade_id": "ex47-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
w_try = drawn(30, seed=8).requires_grad_()
out_try = lsq(w_try, torch.tensor(0.4), 2)
assert out_try.requires_grad, "no gradient reaches w"
(slope_try,) = torch.autograd.grad(out_try.sum(), w_try)
assert torch.equal(slope_try, (w_try.abs() <= 0.8).double()), (
    "the gradient by w is still that of 47.2"
)
### BEGIN HIDDEN TESTS
for seed, (size_try, most_try) in enumerate([(0.4, 1), (0.25, 3), (0.7, 7), (2.0, 1)]):
    w_try = (2 * drawn(60, 3, seed=seed)).requires_grad_()
    step_try = torch.tensor(size_try, requires_grad=True)
    pull, v_try = drawn(60, 3, seed=seed + 20), w_try.detach() / size_try
    q_try = v_try.clamp(-most_try, most_try).round()
    out_try = lsq(w_try, step_try, most_try)
    assert torch.allclose(out_try, size_try * q_try, rtol=0, atol=1e-12), (
        "the value is not the level"
    )
    by_w, by_step = torch.autograd.grad(
        (out_try * pull).sum(), (w_try, step_try), allow_unused=True
    )
    assert by_w is not None, "no gradient reaches w"
    assert by_step is not None, "no gradient reaches the step"
    inside = v_try.abs() <= most_try
    assert torch.allclose(by_w, pull * inside, rtol=0, atol=1e-12), (
        "the gradient by w is one inside, and zero beyond"
    )
    exact = (pull * torch.where(inside, q_try - v_try, q_try)).sum()
    assert torch.allclose(by_step.reshape(()), exact, rtol=1e-9, atol=1e-9), (
        "the gradient by the step is the sum of round(w / step) - w / step inside and of "
        "Q or -Q beyond, each times the gradient of its output"
    )
step_try = torch.tensor([0.5], requires_grad=True)
out_try = lsq(w_try, step_try, 3)
assert out_try.shape == w_try.shape, "the result has the shape of w"
try:
    (by_step,) = torch.autograd.grad(out_try.sum(), step_try)
except RuntimeError as error:
    raise AssertionError(
        "a step of shape (1,) is a tensor with one number, too: its gradient has the "
        "shape of the step"
    ) from error
v_try = w_try.detach() / 0.5
q_try = v_try.clamp(-3, 3).round()
exact = torch.where(v_try.abs() <= 3, q_try - v_try, q_try).sum()
assert torch.allclose(by_step, exact.reshape(1), rtol=1e-9, atol=1e-9), (
    "for a step of shape (1,) the gradient is another one"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write the formula for the value, and ask at which single place autograd must be told something else than zero.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Divide by the step and cut; round with the trick of 47.2; multiply by the step. Autograd does the rest, if nothing
# else is detached.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $v = \operatorname{clip}(w / \Delta, -Q, Q)$; its rounding has value $\operatorname{round}(v)$ and the gradient of $v$;
# times $\Delta$.
#
# </details>

# %% [markdown]
# Is that better than $q$, the derivative with fixed codes? A test that needs no training: with very many
# weights the jumps of single codes average out, and $f(\Delta) = \operatorname{mean}(w\, \hat w)$ is nearly smooth. So measure its slope
# by a difference, and compare.

# %%
crowd = drawn(200_000, seed=9)


def agreement(step):
    """The mean of w times its level."""
    return (crowd * step * (crowd / step).clamp(-3, 3).round()).mean()


measured = (agreement(0.85) - agreement(0.75)) / 0.1
step = torch.tensor(0.8, requires_grad=True)
(by_lsq,) = torch.autograd.grad((crowd * lsq(crowd, step, 3)).mean(), step)
fixed_codes = (crowd * (crowd / 0.8).clamp(-3, 3).round()).mean()
print("measured slope and LSQ's differ by less than 0.1:", end=" ")
print(bool((measured - by_lsq).abs() < 0.1))
print("with fixed codes it is off by more than 1:", bool((fixed_codes - measured) > 1))

# %% [markdown]
# For one weight between two jumps $q$ is the exact derivative. For many weights it is not: if the step grows, many codes
# become smaller, and LSQ counts that.
#
# There are other rules. **DoReFa** (Zhou et al. 2016) first squeezes weights between $-1$ and 1 and then lays
# $2^b$ equal levels there,
#
# $$ \hat w = 2 \, \frac{\operatorname{round}\big((2^b - 1)\, r\big)}{2^b - 1} - 1, \qquad
#    r = \frac{\tanh w}{2 \max |\tanh w|} + \frac12 . $$
#
# It uses all $2^b$ codes, and pays for it: none of its levels is zero.

# %%
some = drawn(500, seed=10)
for rule in (STE(2), DoReFa(2)):
    found = rule(some).unique()
    zero = bool((found.abs() < 1e-9).any())
    print(f"{type(rule).__name__:7} 2 bits: {len(found)} levels, one at zero: {zero}")

# %% [markdown]
# ## 4. One bit
#
# With one bit there is no room for a zero: $\hat w = a\, \beta$ with signs $\beta \in \{-1, +1\}$ and a size $a > 0$ for each
# output of the layer, that is, for each row of its matrix (Rastegari et al. 2016). Which signs, and which size? For one row
# $w \in \mathbb R^n$ take least squares:
#
# $$ \|w - a \beta\|^2 = \|w\|^2 - 2 a\, \beta^\top w + n\, a^2 , $$
#
# since $\beta^\top \beta = n$. For any $a > 0$ it is least where $\beta^\top w$ is largest: $\beta_j = \operatorname{sign}(w_j)$.
# Then $\beta^\top w = \sum_j |w_j|$, and a parabola in $a$ is left. Where is its lowest point?

# %% [markdown]
# ### Exercise 47.4 · The best one-bit weights
# Difficulty ●●○○○ · 3 points
#
# Write `one_bit(W)` for a matrix `(m, n)`: signs times the best size of each row, of the same shape. Zero counts as
# positive. Gradient: that of a sign is one where $|w| \le 1$ and zero beyond; the size is differentiated as its formula says.


# %% nbgrader={"grade": false, "grade_id": "ex47-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def one_bit(W):
    """Return a sign(w) with the best a for each row. W: (m, n)."""
    ### BEGIN SOLUTION
    inside = W.clamp(-1, 1)
    sign = torch.where(W >= 0, 1.0, -1.0)
    sign = inside + (sign - inside).detach()
    return sign * W.abs().mean(dim=1, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
out_try = one_bit(torch.tensor([[1.0, -3.0], [0.5, 0.0]]))
assert out_try.dtype == torch.float64, FLOAT64
assert torch.allclose(out_try[0], torch.tensor([2.0, -2.0])), (
    "the first row has the sizes 1 and 3: their mean is best"
)
assert torch.allclose(out_try[1], torch.tensor([0.25, 0.25])), "zero counts as positive"

# %% nbgrader={"grade": true, "grade_id": "ex47-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
row_try = drawn(1, 4, seed=11)
mine = (one_bit(row_try) - row_try).square().sum()
for beta in itertools.product((-1.0, 1.0), repeat=4):
    for a in torch.linspace(0.1, 2, 20):
        other = (a * torch.tensor(beta) - row_try).square().sum()
        assert mine <= other + 1e-12, "other signs, or another size, are nearer"
### BEGIN HIDDEN TESTS
for seed, (m, n) in enumerate([(3, 4), (1, 6), (5, 1), (4, 9)]):
    W_try = (1.2 * drawn(m, n, seed=seed + 30)).requires_grad_()
    pull, kept = drawn(m, n, seed=seed + 40), W_try.detach().clone()
    out_try = one_bit(W_try)
    sign, size = kept.sign(), kept.abs().sum(dim=1, keepdim=True) / n
    assert torch.allclose(out_try, size * sign, rtol=0, atol=1e-12), (
        "each row has the signs of its weights and the mean of their sizes"
    )
    assert out_try.requires_grad, "no gradient comes through"
    (slope_try,) = torch.autograd.grad((out_try * pull).sum(), W_try)
    exact = size * pull * (kept.abs() <= 1)
    exact = exact + sign * (pull * sign).sum(dim=1, keepdim=True) / n
    assert torch.allclose(slope_try, exact, rtol=0, atol=1e-12), (
        "the gradient has two parts: through the signs, up to |w| = 1, and through the size"
    )
    assert torch.equal(W_try.detach(), kept), "W was changed in place"
W_try = torch.tensor([[0.0, -2.0, 4.0], [0.0, 0.0, 0.0]])
kept = W_try.clone()
assert one_bit(W_try).tolist() == [[2.0, -2.0, 2.0], [0.0, 0.0, 0.0]], (
    "zero counts as positive; a row of zeros has the size 0"
)
assert torch.equal(W_try, kept), "W was changed in place where it is zero"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Set the derivative of the parabola by $a$ to zero.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `clamp(-1, 1)` has the gradient that the sign is to have. `torch.sign(0)` is 0, so take another way to the signs.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $a = \frac1n \sum_j |w_j|$, and $\hat w = a\,\beta$, where $\beta$ has the value of the sign and the gradient of
# $\operatorname{clip}(w, -1, 1)$.
#
# </details>

# %% [markdown]
# ## 5. Fewer weights
#
# Instead of making each weight smaller, take weights out: **pruning**. The plain choice is by size: the smallest go. But a
# network that is being trained tells more. A large weight may be on its way to zero, and a small one on its way up.
# **Movement pruning** (Sanh, Wolf and Rush 2020) adds up over the steps of training
#
# $$ S = - \sum_{\text{steps}} w \, \frac{\partial L}{\partial w} , $$
#
# where $L$ is the loss. Descent moves $w$ by $-\partial L / \partial w$, times the rate. So each term is positive if
# the step moves the weight *away* from zero, and negative if towards it. The weights of least score go.

# %% [markdown]
# ### Exercise 47.5 · What moves away from zero stays
# Difficulty ●●○○○ · 3 points
#
# Write `staying(history, share)`. `history` is a list with a pair for each step: the weights of a layer and their gradient, two
# tensors of one shape. Return a tensor of truth values of that shape: `False` where a weight goes. The `int(share * n)`
# of all $n$ weights go whose score is least; of equal scores those that come first, row by row. `share` is in $[0, 1)$.


# %% nbgrader={"grade": false, "grade_id": "ex47-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def staying(history, share):
    """Return which weights stay, a tensor of truth values.

    history: list of (weights, gradients), all of one shape. share: in [0, 1).
    """
    ### BEGIN SOLUTION
    score = sum(-w * g for w, g in history)
    mask = torch.ones(score.numel(), dtype=torch.bool)
    order = score.flatten().argsort(stable=True)
    mask[order[: int(share * score.numel())]] = False
    return mask.view(score.shape)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
falls = [(torch.tensor([3.0, 0.1]), torch.tensor([1.0, -1.0]))]
stay_try = staying(falls, 0.5)
assert stay_try.dtype == torch.bool, "truth values: True where a weight stays"
assert stay_try.tolist() == [False, True], (
    "the gradient pushes 3 down and 0.1 up: the large weight is on its way to zero"
)

# %% nbgrader={"grade": true, "grade_id": "ex47-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
rising = [(torch.tensor([-0.2, 0.3, -1.0]), torch.tensor([2.0, 0.5, -0.2]))]
assert staying(rising, 0.7).tolist() == [True, False, False], (
    "-0.2 is pushed to larger negative values, away from zero: its score is 0.4"
)
### BEGIN HIDDEN TESTS
for seed, (m, n, share_try) in enumerate(
    [(3, 4, 0.25), (2, 8, 0.75), (5, 1, 0.5), (4, 5, 0.0), (1, 7, 0.9), (3, 5, 0.31)]
):
    g = torch.Generator().manual_seed(seed + 60)
    past = [
        (torch.randn(m, n, generator=g), torch.randn(m, n, generator=g))
        for _ in range(4)
    ]
    kept = [(w.clone(), slope.clone()) for w, slope in past]
    stay_try = staying(past, share_try)
    assert stay_try.shape == (m, n), "the mask has the shape of the weights"
    rows = [
        -sum(float(w.flatten()[i] * slope.flatten()[i]) for w, slope in past)
        for i in range(m * n)
    ]
    gone = sorted(range(m * n), key=rows.__getitem__)[: int(share_try * m * n)]
    exact = [i not in gone for i in range(m * n)]
    assert stay_try.flatten().tolist() == exact, (
        "the score is minus the sum over all steps of weight times gradient, and the "
        "int(share * n) of least score go"
    )
    for (w, slope), (w_old, slope_old) in zip(past, kept, strict=True):
        assert torch.equal(w, w_old) and torch.equal(slope, slope_old), (
            "the history was changed in place"
        )
same = [(torch.ones(40), torch.ones(40))]
assert staying(same, 0.25).tolist() == [False] * 10 + [True] * 30, (
    "of equal scores the first go: sort with stable=True"
)
same = [(torch.ones(4, 5), torch.ones(4, 5))]
assert staying(same, 0.3).tolist() == [5 * [False], [False] + 4 * [True]] + 2 * [
    5 * [True]
], "of equal scores the first go, row by row"
assert staying([(torch.zeros(3), torch.ones(3))], 0.0).all(), "share 0: all stay"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Add up first, over all steps; then sort once.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `argsort(stable=True)` on the flattened scores gives the places in rising order.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $S = -\sum w\, g$; the first `int(share * n)` places of the order become `False`.
#
# </details>

# %% [markdown]
# ### A mask is not yet a small network
#
# A weight that is set to zero is still stored, and still multiplied. Nothing is smaller or faster. Take out whole neurons
# instead: then rows and columns of matrices disappear, and what is left is a dense, smaller network. This is
# **structured pruning**. When may a neuron go *without any change* of the function?
#
# Two layers with a ReLU between them: $h = \operatorname{ReLU}(W_1 x + b_1)$, $y = W_2 h + b_2$. A neuron $j$ whose incoming
# weights are all zero does not look at $x$. But it is not silent: it says $\operatorname{ReLU}((b_1)_j)$, the same to every
# input.

# %% [markdown]
# ### Exercise 47.6 · Take neurons out, keep the function
# Difficulty ●●●○○ · 3 points
#
# Write `without(W1, b1, W2, b2, gone)`: the four tensors of a smaller network that computes the same for every $x$. `gone`
# is a list of different neurons, in any order, whose incoming weights are zero; their biases need not be. If one has an
# incoming weight that is not zero, raise a `ValueError`. Autograd must be able to go through. Change no argument.


# %% nbgrader={"grade": false, "grade_id": "ex47-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def without(W1, b1, W2, b2, gone):
    """Return W1, b1, W2, b2 of a network without some neurons.

    W1: (m, n). b1: (m,). W2: (p, m). b2: (p,). gone: list of numbers below m.
    """
    ### BEGIN SOLUTION
    if W1[gone].any():
        raise ValueError(f"of {gone} one looks at its input")
    stay = [j for j in range(len(b1)) if j not in gone]
    constant = W2[:, gone] @ b1[gone].relu()
    return W1[stay], b1[stay], W2[:, stay], b2 + constant
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
net_try = (
    torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
    torch.tensor([0.5, 3.0]),
    torch.tensor([[1.0, 10.0]]),
    torch.tensor([-1.0]),
)
W1_try, b1_try, W2_try, b2_try = without(*net_try, [1])
assert W1_try.shape == (1, 2) and W2_try.shape == (1, 1), "one neuron is left"
assert torch.allclose(b2_try, torch.tensor([29.0])), (
    "neuron 1 said 3 to every input, and its weight was 10: 30 that must not be lost"
)

# %% nbgrader={"grade": true, "grade_id": "ex47-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
try:
    without(*net_try, [0])
except ValueError:
    pass
else:
    raise AssertionError("neuron 0 looks at its input: refuse with a ValueError")
### BEGIN HIDDEN TESTS
for seed, (gone_try, m) in enumerate([([4, 1], 5), ([], 3), ([0], 4), ([2, 0, 1], 3)]):
    given = [drawn(m, 4), drawn(m), drawn(2, m), drawn(2)]
    given = [t + drawn(*t.shape, seed=seed + 70) for t in given]
    given[0][gone_try] = 0.0
    given[1][gone_try] = torch.tensor([1.5, -2.0, 0.5])[: len(gone_try)]
    kept = [t.clone() for t in given]
    for t in given:
        t.requires_grad_()
    x_try, pull = drawn(9, 4, seed=seed + 80), drawn(9, 2, seed=seed + 90)

    def said(W1, b1, W2, b2, x=x_try):
        """What a network computes."""
        return (x @ W1.T + b1).relu() @ W2.T + b2

    fewer = tuple(without(*given, gone_try))
    assert [t.shape for t in fewer] == [
        (m - len(gone_try), 4),
        (m - len(gone_try),),
        (2, m - len(gone_try)),
        (2,),
    ], "the smaller network has a neuron less for each that went"
    assert all(t.dtype == torch.float64 for t in fewer), FLOAT64
    assert torch.allclose(said(*fewer), said(*given), rtol=0, atol=1e-12), (
        "the function has changed: what a neuron with a bias above zero said, minus zero or "
        "not, belongs into b2, and the others stay in their order"
    )
    loss, other = ((said(*some) * pull).sum() for some in (fewer, given))
    assert loss.requires_grad, "no gradient comes through"
    mine = torch.autograd.grad(loss, given, allow_unused=True)
    theirs = torch.autograd.grad(other, given)
    stays = torch.tensor([[j not in gone_try] for j in range(m)])
    for name, slope, exact in zip(("W1", "b1", "W2", "b2"), mine, theirs, strict=True):
        slope = torch.zeros_like(exact) if slope is None else slope
        if name == "W1":  # what goes has no weights any more
            slope, exact = slope * stays, exact * stays
        assert torch.allclose(slope, exact, rtol=0, atol=1e-12), (
            f"the gradient by {name} is not that of the large network"
        )
    for t, before in zip(given, kept, strict=True):
        assert torch.equal(t.detach(), before), "an argument was changed in place"
refused = [t.clone() for t in net_try]
refused[0][1, 0] = -1e-9
try:
    without(*refused, [1])
except ValueError:
    pass
else:
    raise AssertionError("a small weight, or one below zero, is not zero: refuse")
cancel = [torch.tensor([[1.0, -1.0], [2.0, 1.0]]), *net_try[1:]]
try:
    without(*cancel, [0])
except ValueError:
    pass
else:
    raise AssertionError("weights whose sum is zero are not zero: refuse")
try:
    without(*net_try, [1, 0])
except ValueError:
    pass
else:
    raise AssertionError("one of two looks at its input: look at all, and refuse")
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write $y$ as a sum over neurons, and look at the terms of those that go.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Each term is a column of $W_2$ times a number that no input changes. Where can a constant live in the smaller network?
#
# </details>
# <details><summary>Hint 3</summary>
#
# The new $b_2$ is $b_2 + \sum_{j \text{ gone}} (W_2)_{\cdot j} \operatorname{ReLU}((b_1)_j)$.
#
# </details>

# %% [markdown]
# Exact removal is rare. In practice the neurons with the *least* incoming weights go (after Li et al. 2017), the
# function changes a little, and some more training repairs it.

# %% [markdown]
# ## 6. A teacher
#
# A small network may learn from a large one. The large network's answer to a picture is more than a label: *a 4, but
# a little like a 9*. **Distillation** (Hinton, Vinyals and Dean 2015) compares the two answers. Let $z$ be the student's and
# $z^\star$ the teacher's **logits** (what goes into the softmax), $C$ classes, and $T > 0$ a **temperature** that makes both softer:
#
# $$ L_T = T^2 \sum_{c=1}^{C} p^\star_c \log \frac{p^\star_c}{p_c}, \qquad
#    p = \operatorname{softmax}(z / T), \quad p^\star = \operatorname{softmax}(z^\star / T) . $$
#
# The sum is the Kullback–Leibler divergence: zero if both agree, else positive. Its gradient by the student's logits is
#
# $$ \frac{\partial L_T}{\partial z_c} = T \,(p_c - p^\star_c) \;\longrightarrow\;
#    \frac{1}{C} \Big( (z_c - \bar z) - (z^\star_c - \bar z^\star) \Big) \quad (T \to \infty), $$
#
# with $\bar z$ the mean over classes. In the limit one simply matches centred logits in least squares. The factor
# $T^2$ is there so that this limit is neither zero nor infinite.

# %% [markdown]
# ### Exercise 47.7 · Softened answers
# Difficulty ●●●○○ · 3 points
#
# Write `soft_loss(z, teacher, T)`: $L_T$, averaged over the batch, for logits `(batch, classes)`. The teacher learns nothing: no gradient
# goes there. It must be finite for logits of size 1000, and right for $T = 10^4$.


# %% nbgrader={"grade": false, "grade_id": "ex47-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soft_loss(z, teacher, T):
    """Return T^2 times the divergence of softened answers, a mean over the batch.

    z, teacher: (batch, classes). T: number > 0.
    """
    ### BEGIN SOLUTION
    said = (z / T).log_softmax(dim=1)
    wanted = (teacher.detach() / T).log_softmax(dim=1)
    return T**2 * (wanted.exp() * (wanted - said)).sum(dim=1).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z_try = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
teacher_try = torch.tensor([[0.0, 0.0], [2 * math.log(3.0), 0.0]])
loss_try = soft_loss(z_try, teacher_try, 2.0)
assert isinstance(loss_try, torch.Tensor), (
    "return a tensor: autograd must go through it, and .item() or float() ends that"
)
assert loss_try.dtype == torch.float64, FLOAT64
exact = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
assert math.isclose(float(loss_try), exact, rel_tol=1e-9), (
    "at T = 2 the teacher says 3/4 and 1/4 of the second sample, the student 1/2 and 1/2; "
    "the first sample has no difference, and the mean is over both"
)

# %% nbgrader={"grade": true, "grade_id": "ex47-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
z_try, teacher_try = drawn(5, 4, seed=12).requires_grad_(), drawn(5, 4, seed=13)
loss_try = soft_loss(z_try, teacher_try, 1e4)
assert loss_try.requires_grad, "no gradient reaches the student"
(slope_try,) = torch.autograd.grad(loss_try, z_try)
centred = z_try - teacher_try
centred = (centred - centred.mean(dim=1, keepdim=True)).detach()
assert torch.allclose(slope_try, centred / (4 * 5), rtol=0, atol=1e-4), (
    "for a large temperature the gradient is that of centred logits, divided by the classes "
    "and by the batch"
)
### BEGIN HIDDEN TESTS
for seed, (batch_try, T_try) in enumerate([(1, 1.0), (6, 3.0), (4, 0.5), (3, 20.0)]):
    z_try = (2 * drawn(batch_try, 5, seed=seed + 100)).requires_grad_()
    teacher_try = (2 * drawn(batch_try, 5, seed=seed + 110)).requires_grad_()
    loss_try = soft_loss(z_try, teacher_try, T_try)
    p = (z_try.detach() / T_try).exp()
    p = p / p.sum(dim=1, keepdim=True)
    p_star = (teacher_try.detach() / T_try).exp()
    p_star = p_star / p_star.sum(dim=1, keepdim=True)
    exact = T_try**2 * (p_star * (p_star / p).log()).sum() / batch_try
    assert torch.allclose(
        loss_try.detach().reshape(()), exact, rtol=1e-9, atol=1e-12
    ), (
        "T^2 times the sum of p* log(p* / p), a mean over samples: which is the teacher's, "
        "and is the mean over classes, too?"
    )
    by_z, by_teacher = torch.autograd.grad(
        loss_try, (z_try, teacher_try), allow_unused=True
    )
    assert torch.allclose(by_z, T_try * (p - p_star) / batch_try, rtol=0, atol=1e-9), (
        "the gradient by the student's logits is T (p - p*) / batch"
    )
    assert by_teacher is None or not by_teacher.any(), "the teacher got a gradient"
z_try, teacher_try = drawn(3, 4, seed=120), drawn(3, 4, seed=121)
kept = z_try.clone(), teacher_try.clone()
one, two = soft_loss(z_try, teacher_try, 2), soft_loss(z_try, teacher_try, 2.0)
assert torch.allclose(one, two), "T may be a whole number"
assert torch.equal(z_try, kept[0]) and torch.equal(teacher_try, kept[1]), (
    "logits were changed in place"
)
far = torch.tensor([[1000.0, 0.0, -1000.0]])
assert math.isclose(float(soft_loss(far.flip(1), far, 1.0)), 2000, rel_tol=1e-9), (
    "logits of size 1000 must give a finite loss, and the right one: take log_softmax; the "
    "log of a softmax, or of probabilities that were cut, is another number"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Logarithms of both softened answers first; the probabilities of the teacher are `exp` of one of them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(z / T).log_softmax(dim=1)` is finite for all logits. `teacher.detach()`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $T^2 \cdot \frac{1}{B} \sum_i \sum_c p^\star_{ic} (\log p^\star_{ic} - \log p_{ic})$ for a batch of $B$.
#
# </details>

# %% [markdown]
# ## 7. Bytes
#
# How large is what we made? With a matrix of $m \times n$ weights of $b$ bits come one step of 32 bits (if $b < 32$) and
# $m$ biases of 32 bits. If weights were pruned one by one, it must also be known *which* are left. The simplest way is a
# **mask**: one bit for each of the $mn$ places, and then only the weights that stay.

# %% [markdown]
# ### Exercise 47.8 · Count the bytes
# Difficulty ●●●○○ · 2 points
#
# Write `stored_bytes(layers)`. `layers` is a list of `(m, n, bits, stay)`: a layer with $m$ outputs and $n$ inputs, and `stay`
# weights that stay, all $mn$ if nothing was pruned (then there is no mask). The weights of a layer fill whole bytes, and so does its
# mask. Return a whole number (`int`).


# %% nbgrader={"grade": false, "grade_id": "ex47-8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def stored_bytes(layers):
    """Return the bytes of all layers, an int.

    layers: list of (m, n, bits, stay).
    """
    ### BEGIN SOLUTION
    total = 0
    for m, n, bits, stay in layers:
        total += math.ceil(stay * bits / 8) + 4 * m
        total += 4 if bits < 32 else 0
        total += math.ceil(m * n / 8) if stay < m * n else 0
    return total
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex47-8-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
size_try = stored_bytes([(2, 8, 4, 16)])
assert isinstance(size_try, int), (
    "return a Python int: math.ceil gives one, int(...) makes one of another number"
)
assert size_try == 8 + 4 + 8, "16 weights of half a byte, one step, two biases"

# %% nbgrader={"grade": true, "grade_id": "ex47-8-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert stored_bytes([(2, 8, 32, 16)]) == 64 + 8, "32 bits need no step"
assert stored_bytes([(2, 8, 32, 4)]) == 16 + 2 + 8, (
    "four weights, and a mask of 16 bits"
)
### BEGIN HIDDEN TESTS
assert stored_bytes([]) == 0, "no layers, no bytes"
assert stored_bytes([(3, 3, 3, 9)]) == 4 + 4 + 12, "27 bits fill four bytes"
assert stored_bytes([(3, 3, 3, 5)]) == 2 + 2 + 4 + 12, (
    "15 bits of weights and 9 bits of mask fill two bytes each: round up one by one"
)
assert stored_bytes([(1, 1, 1, 1), (1, 1, 1, 1)]) == 2 * (1 + 4 + 4), (
    "each layer fills whole bytes"
)
assert stored_bytes([(5, 7, 2, 0)]) == 5 + 4 + 20, "all weights gone: a mask is left"
assert stored_bytes([(8, 8, 1, 60)]) == 8 + 8 + 4 + 32, (
    "a mask is stored if weights are gone, also where it does not pay"
)
assert stored_bytes([(64, 64, 32, 4096), (10, 64, 2, 320)]) == (
    16384 + 256 + 80 + 80 + 4 + 40
), "layers with different bits add up"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Four parts: weights, mask, step, biases. Two of them are not always there.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `math.ceil(bits / 8)` for each part that fills whole bytes.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A pruned layer has $\lceil \text{stay} \cdot b / 8 \rceil + \lceil mn / 8 \rceil$ bytes of weights and mask. When is there no
# mask, and when no step?
#
# </details>

# %% [markdown]
# A mask costs one bit a place. So it pays only if less than the share $1 - 1/b$ of the weights stays:

# %%
for bits in (32, 8, 2, 1):
    plain = stored_bytes([(1000, 1000, bits, 10**6)])
    pays = [
        s for s in range(100) if stored_bytes([(1000, 1000, bits, s * 10**4)]) < plain
    ]
    print(f"{bits:2d} bits: a mask pays if at most {max(pays, default=0):2d} % stay")

# %% [markdown]
# At 2 bits half of the weights must go before the mask is paid for, and at 1 bit the mask is as large as the
# weights: fewer weights and fewer bits do not add up freely. A third way is to leave weights out from the start:

# %%
print("share of a separable convolution's weights, 3 x 3 and 64 channels:", end=" ")
full = nn.Conv2d(64, 64, 3, bias=False).weight.numel()
deep = nn.Conv2d(64, 64, 3, groups=64, bias=False).weight.numel()
wide = nn.Conv2d(64, 64, 1, bias=False).weight.numel()
print(f"{(deep + wide) / full:.2f}")

# %% [markdown]
# A convolution may be *built* small. Filter each channel by itself, then mix channels with a $1 \times 1$ convolution: that
# takes the share $1 / C_\text{out} + 1 / k^2$ of the weights and of the multiplications, for $k \times k$ filters and $C_\text{out}$
# output channels (Howard et al. 2017).
#
# ## The library's version
#
# `modular.compact` has the same parts. `quantize_weights(net, LSQ(bits=2))` rounds every linear and convolutional layer
# from now on; `STE` and `DoReFa` are the other rules. (LSQ there uses all $2^b$ codes, from $-2^{b-1}$ to $2^{b-1} - 1$.)
# Are they the same?

# %%
some = drawn(6, 9, seed=14)
rule = STE(3)
q, step = codes_of(some, 3)
print("plain rule:", torch.allclose(q * step, rule(some)))
row = BinaryLinear(9, 6)
row.weight.data = some.clone()
print("one bit:", torch.allclose(one_bit(some), row.rounded()))
z, teacher = drawn(5, 10, seed=15), drawn(5, 10, seed=16)
print("teacher:", torch.allclose(soft_loss(z, teacher, 4.0), distill(z, teacher, 4.0)))
layer, history = nn.Linear(9, 6, bias=False), []
movement = Movement([layer])
for seed in range(3):
    layer.weight.grad = drawn(6, 9, seed=20 + seed)
    history.append((layer.weight.detach().clone(), layer.weight.grad.clone()))
    movement.see()
    layer.weight.data -= 0.1 * layer.weight.grad
movement.prune(share=0.5)
print("movement:", torch.equal(layer.weight != 0, staying(history, 0.5)))
net = quantize_weights(network(), STE(4))
shapes = [(64, 64, 4, 64 * 64), (64, 64, 4, 64 * 64), (10, 64, 4, 640)]
print("bytes:", size_report(net.float()).bytes == stored_bytes(shapes))
learned = quantize_weights(nn.Linear(9, 6), LSQ(3))
learned(torch.zeros(1, 9))
fine = learned.parametrizations.weight
(slope,) = torch.autograd.grad(learned.weight.sum(), fine[0].step)
v = fine.original.detach() / fine[0].step.detach()
inside = (v > -4) & (v < 3)
exact = torch.where(inside, v.round() - v, v.clamp(-4, 3)).sum() / math.sqrt(54 * 3)
print("gradient of LSQ's step, divided by sqrt(m n Q):", torch.allclose(slope, exact))

# %% [markdown]
# `export_int8(net)` stores a rounded network as bytes and lets PyTorch's own integer kernels multiply them. Its
# weights are the very levels of training. Inputs of a layer are rounded to 8 bits when they come.

# %%
net = restored(0)
small = export_int8(quantize_weights(net.float(), STE(8)))
levels = small[0].weight().dequantize() - net[0].weight
print("weights are the levels of training:", bool(levels.abs().max() < 1e-6))
right = (small(task.x_test.float()).argmax(dim=1) == task.y_test).double().mean()
print("accuracy within a point of 32 bits:", bool((100 * right - whole[0]).abs() < 1))

# %% [markdown]
# ## Signature result: size against accuracy
#
# The stored run: digits with a network 64-64-64-10, and sums of two digits (`pair_sum`) with 128-64-64-10, which are
# harder. Five seeds. All sides make the same number of passes through the data; what is rounded or pruned is a network of 32 bits
# for the first half of them. Every side takes the best of the same four rates, tried once each on validation data of another seed.
#
# The control is the cheapest idea of all, **small**: a narrower network of 32-bit weights that is trained like any other, with its
# width chosen so that it has the bytes of the network of 8, 4, 2 or 1 bits. A method that is not above this line is not
# worth its trouble.

# %%
record = stored("compact")
PROBLEMS = ("digits", "pair_sum")
ROUNDED = ("float", "8 bits", "4 bits", "3 bits", "2 bits", "1 bit")


def family(problem, word):
    """Names of the rows that begin with a word, from large to small."""
    names = [name for name in record[problem] if name.startswith(word)]
    return sorted(names, key=lambda name: -record[problem][name]["bytes"])


print(f"{'':20} digits: KiB  accuracy, %    pair_sum: KiB  accuracy, %")
pairs = itertools.zip_longest(*(record[problem] for problem in PROBLEMS))
for names in pairs:
    cells = []
    for problem, name in zip(PROBLEMS, names, strict=True):
        row = record[problem][name]
        cells.append(f"{row['bytes'] / 1024:11.1f} {row['accuracy']:12.1f}")
    label = names[0].split(",")[0] if names[0] != names[1] else names[0]
    print(f"{label:20} {cells[0]}    {cells[1]:>29}")
rates = [row["rate"] for problem in PROBLEMS for row in record[problem].values()]
largest = max(record["setting"]["rates"])
print(f"\nbest rate is the largest one, {largest:g}, on", end=" ")
print(f"{rates.count(largest)} of {len(rates)} sides")

# %%
LOOKS = {
    "rounded while it learns": ("o-", lambda p: list(ROUNDED)),
    "small": ("s--", lambda p: ["float", *family(p, "small")]),
    "small, with a teacher": ("^", lambda p: family(p, "taught")),
    "neurons out": ("v", lambda p: family(p, "neurons")),
    "a tenth of the weights": ("D", lambda p: family(p, "pruned")),
}

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.8), sharey=True)
for ax, problem in zip(axes, PROBLEMS, strict=True):
    rows = record[problem]
    for name, (look, names) in LOOKS.items():
        at = [rows[n]["bytes"] / 1024 for n in names(problem)]
        height = [rows[n]["accuracy"] for n in names(problem)]
        spread = [
            [abs(rows[n]["accuracy"] - rows[n]["range"][i]) for n in names(problem)]
            for i in (0, 1)
        ]
        ax.errorbar(at, height, yerr=spread, fmt=look, ms=7, capsize=3, label=name)
    late = record[f"{problem}, rounded after"]
    at = [late[b]["bytes"] / 1024 for b in ("8", "4", "3", "2", "1")]
    height = [late[b]["accuracy"] for b in ("8", "4", "3", "2", "1")]
    ax.plot(at, height, "x:", ms=8, color="0.3", label="rounded after training")
    ax.set(xscale="log", xlabel="KiB", title=problem, ylim=(0, 103))
    ax.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    ax.minorticks_off()
axes[0].set_ylabel("test accuracy in %")
axes[0].legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Size against accuracy: median and range of five seeds, each side at the best of four "
    "rates, for most sides the largest of them.",
    alt="Two panels, accuracy against size on a logarithmic axis. Digits: rounding while it learns "
    "stays level at the top from 35 KiB down to 2.7 and falls a little at one bit; small networks fall below it, steeply below 3 KiB. "
    "Sums: it stays level down to 3 bits, loses a few points at 2 and more than twenty at 1, and all other ways are far below. Rounding after "
    "training falls to near guessing at 2 bits on sums, and to thirty percent on digits.",
)

# %%
for problem in PROBLEMS:
    rows, late = record[problem], record[f"{problem}, rounded after"]
    twin = rows[family(problem, "small")[2]]
    print(f"{problem}:")
    gap = rows["2 bits"]["accuracy"] - late["2"]["accuracy"]
    print("  2 bits while it learns is ahead of rounding after by 50 points:", gap > 50)
    gap = rows["float"]["accuracy"] - rows["2 bits"]["accuracy"]
    print("  2 bits while it learns, points behind 32 bits, below 7:", gap < 7)
    print("  2 bits after training is below 1 bit after training:", end=" ")
    print(late["2"]["accuracy"] < late["1"]["accuracy"])
    gap = rows["2 bits"]["accuracy"] - rows["2 bits, three levels"]["accuracy"]
    print("  2 bits without the fourth level, points behind, below 4:", gap < 4)
    print("  a small network of the bytes of 2 bits is below 2 bits:", end=" ")
    print(twin["accuracy"] < rows["2 bits"]["accuracy"])

# %% [markdown]
# Read it with care.
#
# - **Bits.** 8, 4 and 3 bits are within the spread of 32 on both tasks. 2 bits lose nothing on digits that five seeds could show, and
#   some points on sums, in a thirteenth of the bytes. One bit costs a little on digits and much on sums.
# - **The control** is far below on sums: a few neurons of 32 bits have no room for this task. On digits, which are easy, it is
#   only some points below. Where both were measured here, bytes are better spent on many weights of few bits.
# - **The step decides.** Row *2 bits, STE* learns with the plain step of section 1, at its own best rate. It is well below on
#   digits and next to guessing on sums. But the library's LSQ has four levels and this rule three. So row *2 bits, three
#   levels* is LSQ with as few: it loses nothing on digits that could be seen, and two to three points on sums. Nearly all of
#   the difference is the step that is learned, and not the fourth level.
# - **A surprise.** Rounded *after* training, one bit keeps more than two bits. One bit here has a size for each row, the best
#   one in least squares; two bits have the plain step, from one largest weight. Better levels beat more levels.
# - **Fewer weights.** A tenth of the weights, with its mask, is about as large as 4 bits and behind them on both tasks. Movement
#   is behind size. It was made for networks that are trained before, on something else, where sizes tell about the old task;
#   these have no old task.
# - **Large first, or a teacher.** Taking neurons out of a network that was large for half of its training is ahead of one of that
#   width that was small from the start in three cases of four, once by eleven points. A teacher helps clearly once, and not
#   in the other three.
# - **The search was short**: four rates, one run for each, and most sides take the largest of the list. Larger rates may be better
#   for these, and a longer search can move all rows.
#
# ### And is it fast?
#
# PyTorch's documentation promises for 8 bits a quarter of the size and, where the hardware helps, arithmetic that is
# two to four times as fast. The network for digits and three larger ones, exported as in the last section, in CPU time:

# %%
print("                     file, times smaller   times faster: 1 input   64 inputs")
for name, row in record["int8"].items():
    smaller = row["file"][0] / row["file"][1]
    one, many_inputs = (row[f"batch {b}"]["faster"] for b in (1, 64))
    print(f"{name:20} {smaller:19.1f} {one:23.2f} {many_inputs:11.2f}")
ends = list(record["int8"].values())
print("the smallest network is slower with bytes:", ends[0]["batch 1"]["faster"] < 1)
print("the largest is faster by two or more:", ends[-1]["batch 1"]["faster"] > 2)

# %% [markdown]
# The files are as small as promised, less where the network is tiny: what else stands in a file has a size of its own.
# The speed is not a property of "8 bits". Each layer has to find the range of its inputs and to round them, however small it is:
# the small network with bytes is three times *slower*. The largest one has the most weights to read from memory, and there a
# quarter of the bytes is nearly four times as fast for one input, two and a half times for 64. The kernels used here know no
# less than 8 bits: 2 bits are stored as a byte each, unless somebody writes the kernel.
#
# ## An experiment to change
#
# Two bits on digits, made in three ways, beside 32 bits. The network is trained for half of the passes, changed, and trained on.

# %%
NUMBER_OF_BITS, PASSES, WIDTH, SEEDS = 2, 10, 64, (0, 1, 2)


def learned_with(rule, seed):
    """Accuracy of a network that is rounded from the middle of its training on."""
    net = train(network(seed, WIDTH), PASSES // 2, seed)
    if rule is not None:
        quantize_weights(net, rule(NUMBER_OF_BITS))
        net(task.x[:1])  # LSQ finds its first step
    return accuracy(train(net, PASSES // 2, seed + 10, rate=0.05))


found = {"32 bits": [learned_with(None, s) for s in SEEDS]}
found |= {rule.__name__: [learned_with(rule, s) for s in SEEDS] for rule in (LSQ, STE)}
found["rounded after training"] = after[2]
best_of = {name: statistics.median(values) for name, values in found.items()}
print("rounding after, below LSQ by 20 or more:", end=" ")
print(best_of["rounded after training"] < best_of["LSQ"] - 20)
print("the plain step, below LSQ by 5 or more:", best_of["STE"] < best_of["LSQ"] - 5)
print("LSQ within five points of 32 bits:", best_of["32 bits"] - best_of["LSQ"] < 5)

# %% [markdown]
# Change one thing at a time:
#
# - `found` has the accuracy of each seed: print it. Then `NUMBER_OF_BITS = 3`, and 4. From where on does the rule no longer
#   matter?
# - Give `LSQ` as many levels as `STE` has: `def three(bits):` makes `rule = LSQ(bits)`, sets `rule.least = -rule.most` and
#   returns it; then `learned_with(three, 0)`. What is the fourth level worth?
# - `DoReFa` in place of `STE`. It squeezes the weights first: is its best rate the same?
# - `WIDTH = 16`. Does a small network bear two bits as well as a large one?
# - `rate=0.5` in the second half. What happens to LSQ, and what to `STE`?
#
# ## When it fails
#
# **One weight spoils a layer.** The plain rule takes its step from the largest weight:

# %%
w = drawn(1000, seed=17)
shares = []
for size in (1, 4, 16, 64):
    spoiled = w.clone()
    spoiled[0] = size * w.abs().max()
    shares.append(float((codes_of(spoiled, 4)[0] == 0).double().mean()))

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.plot((1, 4, 16, 64), shares, "o-", ms=7)
ax.set(xscale="log", xlabel="largest weight, times as large", ylabel="share of zeros")
ax.set(ylim=(0, 1.05))
ax.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
ax.minorticks_off()
figure(
    fig,
    caption="A thousand normal weights of 4 bits, one of them made larger: how many become zero.",
    alt="A curve that rises from below a quarter to one while one weight grows to 64 times the largest.",
)

# %%
print("one weight, 16 times as large, sends more than 95 % to zero:", shares[2] > 0.95)

# %% [markdown]
# Large language models have such weights and, worse, such inputs. A step for each row, a step that is learned, or a few weights
# kept with all bits help.
#
# **A step that is lost.** For the optimiser LSQ's step is a number like any other: too large a rate can make it zero or
# negative, and then it is no step between levels any more. The library refuses.

# %%
rule = LSQ(3)
rule(drawn(9))
rule.step.data.fill_(-0.1)
try:
    rule(drawn(9))
except ValueError as lost:
    print(str(lost).partition(":")[0])

# %% [markdown]
# **Sizes on paper.** Two bits on paper are bytes in memory without a kernel; a network with a mask is often held as full matrices. Ask
# what was measured, the formula or the file. **Small tasks.** On digits, which are easy, most sides are close to each other. Look at the second
# panel before you believe the first. **Weights are half of the story.** Here all numbers that flow through the network
# kept their bits, except in the integer kernels. On a device they have to be rounded as well, and what that costs at 2 bits was
# not measured here.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Weights of 3 bits, the same levels on both sides of zero. How many levels?",
        choices=["8", "7", "6"],
        answer="ab309ddc538e",
        hint="Q = 2^(3 - 1) - 1, and zero is a level.",
    ),
    Question(
        "Why does a network that rounds its weights not learn by plain backpropagation?",
        choices=[
            "Rounding has derivative zero nearly everywhere",
            "Rounded weights need a smaller rate",
            "The loss is not defined for whole numbers",
        ],
        answer="907ec79cff6f",
        hint="Draw the staircase and its slope.",
    ),
    Question(
        "All weights of a layer are inside, none is cut. What pulls LSQ's step?",
        choices=[
            "Nothing: its gradient is zero",
            "The largest weight only",
            "The rounding errors, each times the gradient at its output",
        ],
        answer="0766520d3591",
        hint="round(w / step) - w / step is a rounding error.",
    ),
    Question(
        "A row has the weights 0.1, -0.1 and 1. Which size do its best one-bit weights have?",
        choices=["0.4", "1", "0.1"],
        answer="738bbcc892f4",
        hint="The mean of the sizes.",
    ),
    Question(
        "A weight is 5, its gradient is positive in every step. What does movement pruning say?",
        choices=[
            "It stays: it is large",
            "It is on its way to zero: low score",
            "Its score is zero until it changes sign",
        ],
        answer="30d053bdc690",
        hint="Descent moves against the gradient.",
    ),
    Question(
        "A paper says: 2 bits, so sixteen times faster. What do you ask first?",
        choices=[
            "On which machine, with which kernel, at which batch was it timed",
            "Whether the network has biases",
            "Whether the weights were normal",
        ],
        answer="d5387d62e222",
        hint="Remember the smallest network with bytes.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A quantiser stores codes and a step: $\hat w = \Delta q$. With the step of the largest weight and 2 bits nearly all weights
#   become zero.
# - Straight through: forward the level, backward one inside and zero beyond. The optimiser keeps $w$.
# - LSQ learns the step, with $\operatorname{round}(w/\Delta) - w/\Delta$ inside and $\pm Q$ beyond.
# - One bit: signs times the mean size of a row, the best in least squares.
# - Movement looks where weights go, size where they are. A mask saves nothing until it is stored as one.
# - A neuron without incoming weights says a constant: put it into the next bias.
# - A teacher's softened answers; for high temperatures, the matching of centred logits.
# - Size is arithmetic. Speed is a measurement, and bytes may be slower than floats.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | quantiser | a map from numbers to few levels |
# | code, step | whole number $q$ that is stored; $\Delta$ by which all codes of a layer are multiplied |
# | straight-through estimator | backward as if nothing had been rounded |
# | LSQ | learned step size quantisation |
# | quantisation-aware training | rounding while the network learns, as in sections 2 to 4 |
# | pruning | weights are taken out, by size or by movement |
# | structured pruning | whole neurons or channels are taken out, and matrices become smaller |
# | mask | which places of a matrix have a weight |
# | distillation | a small network learns from the softened answers of a large one |
# | logits, temperature | what goes into the softmax; what they are divided by before |
#
# ## Readings
#
# - **Roth, Schindler, Klein, Peharz, Tschiatschek, Fröning, Pernkopf and Ghahramani (2020)**, *Resource-efficient neural networks for
#   embedded systems*, arXiv 2001.03048. Look for the plots of accuracy against size, and for what is said of rounding activations.
# - **Esser, McKinstry, Bablani, Appuswamy and Modha (2020)**, *Learned step size quantization*, ICLR. Look for the figure
#   that compares three gradients of the step, and for the scale of that gradient.
# - **Zhou, Wu, Ni, Zhou, Wen and Zou (2016)**, *DoReFa-Net: training low bitwidth convolutional neural networks with low bitwidth
#   gradients*, arXiv 1606.06160. Look for what happens to gradients.
# - **Rastegari, Ordonez, Redmon and Farhadi (2016)**, *XNOR-Net: ImageNet classification using binary convolutional neural
#   networks*, ECCV. Look for the speed that is counted and the speed that is measured.
# - **Sanh, Wolf and Rush (2020)**, *Movement pruning: adaptive sparsity by fine-tuning*, NeurIPS. Look for the scatter plots
#   of weights before and after.
# - **Hinton, Vinyals and Dean (2015)**, *Distilling the knowledge in a neural network*, arXiv 1503.02531. Look for the digit that a
#   student has never seen.
# - **Jacob et al. (2018)**, *Quantization and training of neural networks for efficient integer-arithmetic-only inference*, CVPR. Look
#   for latency on real phones.
