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
# # 43 · Large batches, lean messages
#
# > **Claim.** A larger batch saves steps only up to a size that workers can measure from their own gradients. One entry in a hundred of each gradient is enough on a small task, if the rest is remembered; but messages that cannot be added on the way save less than their length says, the more workers there are.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | measure up to which batch more workers help; give every layer a rate of its own; send one entry in a hundred and lose nothing but time; test a contraction; count what really goes over the wire; round without bias; say where workers rest that meet rarely |
# | **Before you start** | gradient descent with PyTorch; mean and variance; chapter 21 (what a training step waits for) helps |
# | **Time** | 150 minutes |
# | **Points** | 18, in seven exercises |

# %% tags=["setup"]
import math
import statistics

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional

from course.kit import Question, figure, quiz, setup, stored
from modular import digits
from modular.communication import (
    LARS,
    QSGD,
    ErrorFeedback,
    Sign,
    TopK,
    noise_scale,
)

generator = setup(seed=43)

# %% [markdown]
# ## Cold open: more workers, less learned
#
# $P$ **workers** hold the same network. Each takes its share of a batch and computes a gradient;
# then all gradients are averaged, and every worker makes the same step. This is *data-parallel*
# training. More workers make a step faster only if the batch grows with them: each must
# have something to do. So take larger batches, and let all else be as it was: the same rate, and the
# same number of passes through the data.

# %% tags=["given"]
task = digits(torch.Generator().manual_seed(43))


def network(seed=0):
    """Two layers for the digits of scikit-learn: 64 pixels, 10 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def batches(size, epochs, seed=0):
    """Yield shuffled batches; an incomplete last one is left out."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(task.x), generator=order).split(size):
            if len(rows) == size:
                yield task.x[rows], task.y[rows]


def gradient(net, x, y):
    """The gradient of the mean loss as one vector. Shape (d,)."""
    loss = functional.cross_entropy(net(x), y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, net.parameters())])


@torch.no_grad()
def move(net, step):
    """Add a vector to all parameters. step: shape (d,)."""
    for p, part in zip(
        net.parameters(),
        step.split([p.numel() for p in net.parameters()]),
        strict=True,
    ):
        p += part.view_as(p)


@torch.no_grad()
def accuracy(net):
    """Right answers on the test digits, in percent."""
    return 100 * (net(task.x_test).argmax(dim=1) == task.y_test).double().mean().item()


def after(size, rate, epochs=6):
    """Accuracy after some passes with batches of one size, at one rate."""
    net = network()
    for x, y in batches(size, epochs):
        move(net, -rate * gradient(net, x, y))
    return accuracy(net)


# %%
SIZES = (8, 32, 128, 512)
same = [after(size, 0.05) for size in SIZES]
scaled = [after(size, 0.05 * size / 8) for size in SIZES]

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.4, 3))
axes[0].semilogx(SIZES, same, marker="o", base=2, label="the same rate")
axes[0].semilogx(SIZES, scaled, marker="s", base=2, label="rate times batch")
axes[0].set(xlabel="batch", ylabel="test accuracy in %", ylim=(0, 100))
axes[0].legend(fontsize=9, loc="lower left")
speeds = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10, "100 Gbit/s": 1e11}
seconds = [2 * 3 / 4 * 32 * 25e6 / speed for speed in speeds.values()]
left = [0.1] * len(speeds)
axes[1].barh(list(speeds), left, color="0.75", label="compute")
axes[1].barh(
    list(speeds), seconds, left=left, color="0.35", hatch="//", label="messages"
)
axes[1].set(xlabel="seconds of a step", ylabel="speed of the network")
axes[1].legend(fontsize=9)
figure(
    fig,
    caption="Left: six passes through the digits, measured. Right: arithmetic for four "
    "workers, 25 million parameters and 0.1 s of computing, three speeds of the network.",
    alt="Left, accuracy against the batch size on a logarithmic axis. With the same rate it "
    "falls steeply from above ninety percent at 8 to fifteen at 512; with the rate scaled by "
    "the batch it stays at ninety up to 128 and drops to the same place at 512. Right, three bars: at 1 Gbit/s a "
    "step is nearly all messages, at 100 Gbit/s nearly all computing.",
)

# %%
print(
    "at the same rate the largest batch loses 20 points or more:",
    same[0] - same[-1] > 20,
)
print("a rate that grows with the batch saves batch 128:", scaled[2] > same[2] + 5)
print("... and is below batch 8 at 512:", scaled[3] < scaled[0] - 3)

# %% [markdown]
# Two limits, then. A large batch makes few steps, and fewer steps learn less. A small batch makes
# many steps, and after every one the workers send all of their gradients, one number for every parameter:
# on a slow network that is most of the time.
#
# This chapter works on both. How large may a batch be, and what helps beyond (sections 1 and 2)? How
# little can one send (sections 3 to 5), and how rarely (section 6)?
#
# ## 1. How large is large?
#
# Let $G$ be the gradient of the loss over all data, and $g_B$ that of a batch of $B$ samples, drawn at
# random. Its mean is $G$. Let $\Sigma$ be the covariance matrix of the gradient of *one* sample. The
# trace $\operatorname{tr} \Sigma$ is the sum of the variances of all its entries. Then
#
# $$ E\, |g_B|^2 = |G|^2 + \frac{\operatorname{tr} \Sigma}{B} , $$
#
# a **signal** that stays and a **noise** that shrinks with the batch. ($E$ is the mean over
# batches, $|\cdot|$ the length of a vector.) The two are equal at
#
# $$ B_{\text{noise}} = \frac{\operatorname{tr} \Sigma}{|G|^2} , $$
#
# the **noise scale** (McCandlish, Kaplan and Amodei 2018). Suppose the loss is $|w|^2 / 2$ near
# here, and the step is $-\eta\, g_B$ with **rate** $\eta$. The loss falls by
# $\eta |G|^2 - \frac{1}{2} \eta^2 E |g_B|^2$ on average, at best by
#
# $$ \frac{|G|^2}{2} \cdot \frac{1}{1 + B_{\text{noise}} / B} \qquad\text{at}\qquad
#    \eta = \frac{1}{1 + B_{\text{noise}} / B} . $$
#
# For $B \ll B_{\text{noise}}$ both are proportional to $B$: twice the batch, twice the rate, half the
# steps. That is the **linear scaling rule** (Goyal et al. 2017). For $B \gg B_{\text{noise}}$ they no
# longer change: a larger batch is wasted.
#
# How does one measure it? Data-parallel workers have all that is needed. The gradient of a worker
# has noise $\operatorname{tr} \Sigma / b$, if its share is $b$ samples; the average over $P$
# workers has $\operatorname{tr} \Sigma / (P b)$. Two equations, two unknowns.
#
# **Shapes.** Gradients of all workers over some steps are `(steps, workers, d)`, with $d$ the number
# of parameters.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)

# %% [markdown]
# ### Exercise 43.1 · Noise and signal
# Difficulty ●○○○○ · 2 points
#
# Write `noise_and_signal(g, size)`. `g` has shape `(steps, workers, d)`: gradients of
# workers that each average over `size` samples. Take the mean of $|g_b|^2$ over all steps and workers, and the
# mean of $|g_B|^2$ over all steps, with $B$ = workers × `size` and $g_B$ the average over workers. Solve for
# the noise $\operatorname{tr} \Sigma$ of *one sample* and the signal $|G|^2$; return both, in this order.
# The signal may come out negative: do not clamp it.


# %% nbgrader={"grade": false, "grade_id": "ex43-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def noise_and_signal(g, size):
    """Estimate tr Sigma of one sample, and |G|^2.

    g: (steps, workers, d), at least two workers. size: int. Returns two numbers.
    """
    ### BEGIN SOLUTION
    whole = g.shape[1] * size
    small = g.square().sum(dim=2).mean()
    large = g.mean(dim=1).square().sum(dim=1).mean()
    noise = (small - large) / (1 / size - 1 / whole)
    signal = (whole * large - size * small) / (whole - size)
    return noise, signal
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g_try = torch.tensor([[[3.0, 0.0], [1.0, 0.0]]])
noise, signal = noise_and_signal(g_try, 5)
assert math.isclose(float(noise), 10.0), (
    "the squares are 9 and 1, of the mean 4: (5 - 4) / (1/5 - 1/10) is the noise"
)
assert math.isclose(float(signal), 3.0), "(10 * 4 - 5 * 5) / (10 - 5) is the signal"
for value in (noise, signal):
    assert str(getattr(value, "dtype", "float64")).endswith("float64"), FLOAT64

# %% nbgrader={"grade": true, "grade_id": "ex43-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
noise, signal = noise_and_signal(torch.tensor([[[1.0], [-1.0]]]), 1)
assert float(signal) < 0, (
    "two opposite gradients: the estimate of the signal is negative"
)
### BEGIN HIDDEN TESTS
for seed, (steps, workers, d, size) in enumerate(
    [(1, 2, 3, 1), (5, 4, 7, 6), (3, 8, 2, 32)]
):
    g = torch.Generator().manual_seed(seed)
    g_try = torch.randn(steps, workers, d, generator=g) + 0.5
    kept = g_try.clone()
    noise, signal = (float(value) for value in noise_and_signal(g_try, size))
    assert torch.equal(g_try, kept), (
        "the gradients were changed: compute with new tensors"
    )
    # another way: the unbiased variance over workers is that of size samples' mean
    exact = size * g_try.var(dim=1).sum(dim=1).mean().item()
    assert math.isclose(noise, exact, rel_tol=1e-9), (
        "the noise is not that of one sample: is the average over steps taken of squares, "
        "and is 1/b - 1/B divided by?"
    )
    mean = g_try.mean(dim=1).square().sum(dim=1).mean().item()
    assert math.isclose(
        signal, mean - exact / (workers * size), rel_tol=1e-9, abs_tol=1e-12
    ), "the signal is |g_B|^2 less the noise that a batch of B samples has left"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write the equation of this section twice, for $b$ and for $B$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# First the squared lengths, `square().sum(dim=2)`, then their means. The average over workers comes
# *before* its square.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Subtract: $|g_b|^2 - |g_B|^2 = \operatorname{tr} \Sigma \,(1/b - 1/B)$. Multiply by $b$ and by $B$ and
# subtract: $B |g_B|^2 - b |g_b|^2 = (B - b)\, |G|^2$.
#
# </details>

# %% [markdown]
# Does it predict where the cold open breaks? Train with batches of 32 and measure along the way,
# with eight workers that have four samples each. The ratio of two means is taken over windows of
# many steps: a ratio of single estimates would be biased.

# %%
net, window, curve = network(), [], []
for t, (x, y) in enumerate(batches(32, 15), start=1):
    shares = zip(x.chunk(8), y.chunk(8), strict=True)
    window.append(torch.stack([gradient(net, a, b) for a, b in shares]))
    move(net, -0.2 * window[-1].mean(dim=0))
    if t % 90 == 0:
        noise, signal = noise_and_signal(torch.stack(window), 4)
        curve.append((t, float(noise / signal)))
        window = []

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6, 3))
ax.semilogy(*zip(*curve, strict=True), marker="o")
ax.axhspan(32, 128, color="0.9", label="batches 32 to 128")
ax.set(xlabel="step", ylabel="noise scale in samples")
ax.legend(fontsize=9)
figure(
    fig,
    caption="The noise scale while the network learns, batches of 32.",
    alt="The noise scale on a logarithmic axis rises from some tens of samples at the start "
    "to about two hundred as training goes on, not smoothly.",
)

# %%
early = statistics.mean(scale for _, scale in curve[:2])
late = statistics.mean(scale for _, scale in curve[-3:])
print("in the first 180 steps below 128 samples:", early < 128)
print("later it is larger, by half or more:", late > 1.5 * early)

# %% [markdown]
# At the start, where most of the way is made, signal and noise are equal at some tens of samples. That is where
# the cold open breaks: batch 128 is on the edge and 512 is beyond. Later the gradient is small and the noise is
# not: larger batches become useful *late*. Two common recipes follow. One is to let the batch
# grow during training. The other is **warm-up**: begin with a small rate and let it rise, since a
# rate that is right for the noisy middle is too large for the first steps
# (`torch.optim.lr_scheduler.LinearLR` does it).
#
# The estimate is a rough one. It took a loss of one curvature, and it says nothing on the rate
# being so large that training diverges.
#
# ## 2. A rate for every layer
#
# With a large batch there are few steps, so they must be long. How long may a step be? One answer
# looks at each layer: a step should be a small share of the weights that it changes. Look at the ratio of both.

# %%
net = network()
x, y = next(batches(512, 1))
parts = torch.autograd.grad(functional.cross_entropy(net(x), y), list(net.parameters()))
ratios = {}
for (name, p), g in zip(net.named_parameters(), parts, strict=True):
    ratios[name] = (p.norm() / g.norm()).item()
    print(f"{name:10} length of weights / length of gradient: {ratios[name]:6.0f}")
print(
    "they differ by more than a factor of 3:",
    max(ratios.values()) > 3 * min(ratios.values()),
)

# %% [markdown]
# One rate for all is set by the layer with the smallest ratio; the others could go faster. **LARS**
# (You, Gitman and Ginsburg 2017) gives each layer a *local rate* $\lambda$. With weights $w$, gradient
# $g$, velocity $v$, momentum $m$, decay $\beta$ and a small number $\eta_0$, the *trust*:
#
# $$ \lambda = \frac{\eta_0 \|w\|}{\|g\| + \beta \|w\|}, \qquad
#    v \leftarrow m v + \eta \lambda\, (g + \beta w), \qquad w \leftarrow w - v . $$
#
# Multiply the gradient by 1000: without decay nothing changes. A first step has the length
# $\eta \eta_0 \|w\|$ whatever the gradient's. **LAMB** (You et al. 2020) does the same to the step of Adam.
#
# ### Exercise 43.2 · LARS for one layer
# Difficulty ●●○○○ · 2 points
#
# Write `lars_step(w, v, g, lr, momentum, decay, trust)` for the weights of one layer, of any shape.
# Return the new `w` and the new `v`; change no argument. If $\|w\|$ or $\|g\|$ is 0, take $\lambda = 1$.


# %% nbgrader={"grade": false, "grade_id": "ex43-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lars_step(w, v, g, lr, momentum, decay, trust):
    """One step of LARS. w, v, g: of one shape. Returns new w and new v."""
    ### BEGIN SOLUTION
    size, slope = w.norm(), g.norm()
    local = 1.0
    if size > 0 and slope > 0:
        local = trust * size / (slope + decay * size)
    v = momentum * v + lr * local * (g + decay * w)
    return w - v, v
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w_try, g_try = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 100.0]])
still = torch.zeros(1, 2)
w_new, v_new = lars_step(w_try, still, g_try, 1.0, 0.9, 0.0, 0.1)
assert w_new.dtype == v_new.dtype == torch.float64, FLOAT64
assert torch.allclose(w_new, torch.tensor([[3.0, 3.5]])), (
    "the weights have length 5, and the step is a tenth of that, against the gradient"
)
assert torch.allclose(v_new, torch.tensor([[0.0, 0.5]])), (
    "the velocity holds the rate already"
)
assert torch.equal(w_try, torch.tensor([[3.0, 4.0]])), (
    "w was changed: return a new tensor"
)
again = lars_step(w_try, still, 1000 * g_try, 1.0, 0.9, 0.0, 0.1)[0]
assert torch.allclose(again, w_new), "a gradient 1000 times as long makes the same step"

# %% nbgrader={"grade": true, "grade_id": "ex43-2-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w_new, v_new = lars_step(
    torch.zeros(2, 2), torch.zeros(2, 2), torch.ones(2, 2), 0.5, 0.9, 0.1, 0.1
)
assert torch.allclose(w_new, torch.full((2, 2), -0.5)), (
    "weights of zero: the local rate is 1"
)
### BEGIN HIDDEN TESTS
w_new, v_new = lars_step(
    torch.ones(3), torch.ones(3), torch.zeros(3), 0.5, 0.8, 0.2, 0.1
)
assert torch.allclose(v_new, torch.full((3,), 0.9)), (
    "a gradient of zero: the local rate is 1, momentum and decay go on"
)
w_new, v_new = lars_step(
    1e-30 * w_try, still, 1e-40 * torch.tensor([[3.0, 4.0]]), 1.0, 0.9, 0.0, 0.1
)
assert torch.allclose(
    1e30 * w_new, w_try - 0.1 * w_try, rtol=1e-9, atol=0
) and torch.allclose(1e30 * v_new, 0.1 * w_try, rtol=1e-9, atol=0), (
    "weights and gradients may be tiny: only a length of 0 makes the local rate 1, and no "
    "small number is added to a length"
)
for seed, shape in enumerate([(4, 3), (2, 3, 3, 3), (5, 1)]):
    g = torch.Generator().manual_seed(seed)
    start, *slopes = (1.0, 0.02, 0.02)[seed] * torch.randn(4, *shape, generator=g)
    for momentum, decay in ((0.9, 0.0), (0.5, 0.3)):
        weight = nn.Parameter(start.clone())
        other = LARS([weight], 0.7, momentum=momentum, weight_decay=decay, trust=0.02)
        w_new, v_new = start.clone(), torch.zeros(shape)
        for slope in slopes:
            given = w_new.clone(), v_new.clone(), slope.clone()
            before = w_new, v_new, slope
            w_new, v_new = lars_step(w_new, v_new, slope, 0.7, momentum, decay, 0.02)
            assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True)), (
                "an argument was changed: compute with new tensors"
            )
            weight.grad = slope
            other.step()
            assert torch.allclose(w_new, weight.data, rtol=0, atol=1e-12), (
                "another step: the decay is in the ratio's lower part and beside the "
                "gradient, and the rates are inside of the momentum"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `w.norm()` is the length of all entries, whatever the shape.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\lambda$ has $\|g\|$ below, not $\|g + \beta w\|$. Decide first whether it is 1.
#
# </details>
# <details><summary>Hint 3</summary>
#
# New velocity: `momentum * v + lr * local * (g + decay * w)`; new weights: `w` less that.
#
# </details>

# %% [markdown]
# Libraries disagree on exactly these lines: some leave $\beta \|w\|$ out, some put $\eta$ outside of the
# velocity. With a constant rate this is the same; with warm-up it is not.
#
# ## 3. Send the largest, remember the rest
#
# Now the messages. **Top-k** sends the $k$ entries of a gradient that are largest in size, with
# their places, and nothing else. For $k = d / 100$ that is a hundredth of the numbers. What becomes of the others?
# Here are two workers with two weights:
#
# $$ g_1 = (10, 1), \qquad g_2 = (-10, 1), \qquad \text{mean } (0, 1) . $$
#
# Each sends its largest entry. The two cancel; the second weight, the only one that should move, is not
# in any message. And so in every step.
#
# The remedy is a **memory** $e$ of what was left out, added to the next gradient (*error feedback*;
# Seide et al. 2014, Stich, Cordonnier and Jaggi 2018):
#
# $$ p_t = g_t + e_t, \qquad q_t = \operatorname{top}_k(p_t), \qquad e_{t+1} = p_t - q_t . $$
#
# Here $t$ counts the steps and $q_t$ is what is sent. Add up the last equation, $e_{t+1} = g_t + e_t - q_t$, from
# the start with $e_0 = 0$: all memories but the last cancel (the sum *telescopes*), and
#
# $$ \sum_{s \le t} q_s + e_{t+1} = \sum_{s \le t} g_s . $$
#
# Nothing is lost, it is only late.
#
# ### Exercise 43.3 · Top-k with memory
# Difficulty ●●○○○ · 3 points
#
# Write `send_largest(g, e, k)`. `g` and `e` are gradients and memories of all workers, `(workers, d)`; each
# worker chooses its own $k$ entries of $g + e$, by size. Return what is sent, $q$, with zeros
# everywhere else, and the new memory; change no argument. If sizes are equal, choose any $k$ of them, but exactly $k$.


# %% nbgrader={"grade": false, "grade_id": "ex43-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def send_largest(g, e, k):
    """Send the k largest entries of g + e of every worker, and remember the others.

    g, e: (workers, d). k: int from 1 to d. Returns q and the new e, both (workers, d).
    """
    ### BEGIN SOLUTION
    p = g + e
    places = p.abs().topk(k).indices  # in every row
    q = torch.zeros_like(p).scatter(1, places, p.gather(1, places))
    return q, p - q
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
two = torch.tensor([[10.0, 1.0], [-10.0, 1.0]])
none = torch.zeros(2, 2)
q, e = send_largest(two, none, 1)
assert q.dtype == e.dtype == torch.float64, FLOAT64
assert torch.equal(q, torch.tensor([[10.0, 0.0], [-10.0, 0.0]])), (
    "each worker sends the entry that is largest in size: 10 and -10"
)
assert torch.equal(e, torch.tensor([[0.0, 1.0], [0.0, 1.0]])), "the ones are remembered"
assert torch.equal(none, torch.zeros(2, 2)), "the memory was changed: return a new one"
q, e = send_largest(torch.zeros(2, 2), 11 * e, 1)
assert torch.equal(q, torch.tensor([[0.0, 11.0], [0.0, 11.0]])), (
    "what is remembered competes, too: entries of g + e are sent"
)

# %% nbgrader={"grade": true, "grade_id": "ex43-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
q, e = send_largest(torch.ones(1, 4), torch.zeros(1, 4), 2)
assert int((q != 0).sum()) == 2, "all sizes are equal: any two are sent, and only two"
### BEGIN HIDDEN TESTS
tied = torch.tensor([[1.0, -5.0, 1.0, -1.0], [2.0, 2.0, -2.0, 7.0]])
for k, sizes in ((2, ([5, 1], [7, 2])), (3, ([5, 1, 1], [7, 2, 2]))):
    q, e = send_largest(tied, torch.zeros(2, 4), k)
    for row, wanted in zip(q, sizes, strict=True):
        found = sorted((abs(x) for x in row.tolist() if x), reverse=True)
        assert found == wanted, (
            "some sizes are equal: the larger ones are sent, then any of the equal ones, "
            "until there are exactly k"
        )
    assert torch.equal(q + e, tied), "what is sent and what is kept add up to g + e"
for seed, (workers, d, k) in enumerate([(1, 5, 2), (4, 30, 3), (3, 6, 6), (2, 9, 1)]):
    g = torch.Generator().manual_seed(seed)
    given, total = torch.zeros(workers, d), torch.zeros(workers, d)
    e = torch.zeros(workers, d)
    for _ in range(6):
        slope = torch.randn(workers, d, generator=g)
        before = slope.clone(), e.clone()
        q, new = send_largest(slope, e, k)
        assert torch.equal(before[0], slope) and torch.equal(before[1], e), (
            "an argument was changed: compute with new tensors"
        )
        p = slope + e
        for row in range(workers):
            order = sorted(range(d), key=lambda i, row=row, p=p: -abs(p[row, i].item()))
            wanted = torch.zeros(d)
            wanted[order[:k]] = p[row, order[:k]]
            assert torch.equal(q[row], wanted), (
                "a worker sends the k largest of its own row of g + e, as they are"
            )
        assert torch.equal(q + new, p), "what is sent and what is kept add up to g + e"
        given, total, e = given + slope, total + q, new
    assert torch.allclose(total + e, given, rtol=0, atol=1e-12), (
        "all messages and the last memory add up to all gradients"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Sizes decide, but the entries themselves are sent: with their signs.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `topk(k, dim=1).indices` gives $k$ places in every row. A comparison with the k-th size would send
# too many where sizes are equal.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.zeros_like(p).scatter(1, places, p.gather(1, places))` has these entries and zeros elsewhere.
#
# </details>

# %% [markdown]
# Now the digits, with four workers. All parameters are one vector of $d$ = 2410 numbers, of which each worker
# sends 24 in a step.

# %%
WORKERS, K = 4, 24


def train(exchange, rate=0.5, epochs=20, seed=0):
    """Train with four workers; exchange turns their gradients into a step's.

    exchange: from (workers, d) to (d,). Returns the network and all training losses.
    """
    net, losses = network(seed), []
    for x, y in batches(128, epochs, seed):
        shares = zip(x.chunk(WORKERS), y.chunk(WORKERS), strict=True)
        g = torch.stack([gradient(net, a, b) for a, b in shares])
        move(net, -rate * exchange(g))
        with torch.no_grad():
            losses.append(functional.cross_entropy(net(x), y).item())
    return net, losses


def with_memory(k):
    """Return an exchange by the largest k, with a memory."""
    memory = [0.0]

    def exchange(g):
        q, memory[0] = send_largest(g, memory[0] * torch.ones_like(g), k)
        return q.mean(dim=0)

    return exchange


def without_memory(k):
    """Return an exchange by the largest k that forgets the rest."""
    return lambda g: send_largest(g, torch.zeros_like(g), k)[0].mean(dim=0)


ways = {
    "all of it": lambda g: g.mean(dim=0),
    "1 %, with memory": with_memory(K),
    "1 %, forgetting": without_memory(K),
}
found = {name: train(way) for name, way in ways.items()}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6, 3.2))
for (name, (_, losses)), ls in zip(found.items(), ("-", "--", ":"), strict=True):
    smooth = torch.tensor(losses).unfold(0, 10, 5).mean(dim=1)
    ax.semilogy(range(10, 10 + 5 * len(smooth), 5), smooth, ls=ls, lw=1.8, label=name)
ax.set(xlabel="step", ylabel="training loss")
ax.legend(fontsize=9)
figure(
    fig,
    caption="Four workers that send all of their gradients, or one entry in a hundred.",
    alt="Training loss against steps, logarithmic. Sending everything falls fastest. One "
    "percent with memory starts later and then runs close to it. One percent without memory "
    "falls slowly and stays far above both.",
)

# %%
last = {name: statistics.mean(losses[-20:]) for name, (_, losses) in found.items()}
print(
    "forgetting ends at more than twice the loss:",
    last["1 %, forgetting"] > 2 * last["1 %, with memory"],
)
print(
    "with memory at less than twice that of all:",
    last["1 %, with memory"] < 2 * last["all of it"],
)

# %% [markdown]
# ## 4. What goes over the wire
#
# A hundredth of the numbers is not a hundredth of the traffic. Count the bytes that *one worker sends* in
# a step, for $P$ workers and numbers of 4 bytes.
#
# **All of it.** Gradients can be *added on the way*. In a **ring all-reduce** every worker owns one part in
# $P$ of the vector; partial sums travel once around the ring, then the results do. That takes $P - 1$ messages of
# $d / P$ numbers, twice:
#
# $$ 2\, \frac{P - 1}{P} \cdot 4 d \;\text{ bytes, below } 8 d \text{ however many workers there are.} $$
#
# **Top-k.** The places differ from worker to worker, so the sum of two messages is longer than either.
# They are not added but *gathered*: every message travels to every worker. In a ring each
# worker passes on $P - 1$ messages. One has $k$ values and $k$ places, of 4 bytes each:
#
# $$ (P - 1) \cdot 8 k \;\text{ bytes, and it grows with } P . $$
#
# ### Exercise 43.4 · Count the bytes
# Difficulty ●●○○○ · 2 points
#
# Write `wire(workers, d, k)`, which returns the two numbers of bytes, for everything and for top-k.
# And write `most_workers(d, k)`: the largest number of workers for which top-k sends *less* than
# the all-reduce, an int; if no two workers gain, it is 1. Beware of rounding: it must be exact for whole numbers
# of any size, $k$ from 1 to $d$.


# %% nbgrader={"grade": false, "grade_id": "ex43-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wire(workers, d, k):
    """Return bytes that one worker sends: all-reduce of all, all-gather of top-k."""
    ### BEGIN SOLUTION
    return 8 * (workers - 1) * d / workers, 8 * (workers - 1) * k
    ### END SOLUTION


def most_workers(d, k):
    """Return the largest number of workers for which top-k sends less, an int."""
    ### BEGIN SOLUTION
    return max(1, (d - 1) // k)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
every, few = wire(4, 1000, 10)
assert math.isclose(every, 6000), "2 * 3/4 * 4 bytes * 1000 numbers"
assert math.isclose(few, 240), "3 messages of 10 values and 10 places, 4 bytes each"
assert isinstance(most_workers(1000, 10), int), "a number of workers is an int"
assert most_workers(1000, 10) == 99, (
    "with 100 workers both send the same: that is not less"
)

# %% nbgrader={"grade": true, "grade_id": "ex43-4-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert most_workers(10, 10) == 1, (
    "if every entry is sent, the places come on top: no gain"
)
### BEGIN HIDDEN TESTS
for d in (1, 2, 7, 12, 60, 61):
    for k in range(1, d + 1):
        gains = [P for P in range(2, 70) if P * k < d]
        assert most_workers(d, k) == max(gains, default=1), (
            "the largest P for which (P - 1) 8 k is below 8 (P - 1) d / P"
        )
        for P in (1, 2, 3, 16):
            every, few = wire(P, d, k)
            assert math.isclose(every, 2 * (P - 1) / P * 4 * d), (
                "2 (P - 1) / P times 4 d"
            )
            assert math.isclose(few, (P - 1) * 8 * k), "(P - 1) times 8 k"
for d, k, most in (
    (10**18 + 1, 1, 10**18),
    (10**18 + 50, 1, 10**18 + 49),
    (3 * 10**18 + 151, 3, 10**18 + 50),
):
    assert most_workers(d, k) == most, "use whole numbers: // does not round"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write the inequality of the two formulas and cancel what both sides have.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $P - 1$ and 8 cancel: top-k sends less if $P k < d$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $P k < d$ for whole numbers is $P k \le d - 1$: the largest $P$ is `(d - 1) // k`.
#
# </details>

# %% tags=["picture"]
machines = [2**n for n in range(1, 11)]
fig, ax = plt.subplots(figsize=(6, 3.2))
for share, marker in ((0.1, "s"), (0.01, "o"), (0.001, "^")):
    less = [wire(P, 10**6, round(share * 10**6)) for P in machines]
    ax.loglog(
        machines, [a / b for a, b in less], marker=marker, label=f"k / d = {share:g}"
    )
ax.axhline(1, color="k", ls="--", lw=1)
ax.set(xlabel="workers", ylabel="times less traffic")
ax.legend(fontsize=9)
figure(
    fig,
    caption="How many times less a worker sends with top-k than with a ring all-reduce of "
    "everything. Below the dashed line it sends more.",
    alt="Three straight lines that fall with slope minus one on logarithmic axes. A share of a "
    "tenth crosses one at ten workers, a hundredth at a hundred, a thousandth at a thousand.",
)

# %% [markdown]
# The message of a hundredth is 50 times shorter. Between four workers the traffic is 25 times less, and
# between a hundred nothing is gained. Tables of compression ratios that do not say $P$ hide it.
# Low rank has no such limit: **PowerSGD** (Vogels, Karimireddy and Jaggi 2019; it is in PyTorch) sends two thin
# factors of the gradient matrix, and these can be added on the way.
#
# ## 5. What a message may lose
#
# Why does memory repair top-k? The theorem behind it asks for one thing. A compressor $Q$ is a **contraction**,
# if what it leaves out is a part of the vector, for *every* vector $v$:
#
# $$ \|Q(v) - v\|^2 \le (1 - \delta)\, \|v\|^2 \qquad\text{with } \delta > 0 . $$
#
# Then the memory cannot grow without bound, and training with feedback has, after enough steps, the
# rate of convergence of training without compression (Karimireddy, Rebjock, Stich and Jaggi 2019, with
# assumptions: smooth losses, gradients of bounded length, small steps). Top-k has $\delta = k / d$: the $d - k$ entries
# left out are the smaller ones, so on average they are no larger than the mean.
#
# A theorem like this can be *tested*, and a good test is one that broken code fails. So the vectors to try must be
# hard ones. Here is a collection, and a word for what rounding may do.

# %% tags=["given"]
ROUNDING = 1e-12  # by so much, relatively, a bound may be exceeded


def vectors(d, generator):
    """Vectors that compressors get wrong. Shape (count, d)."""
    random = torch.randn(20, d, generator=generator)
    eye = torch.eye(d)  # one entry among zeros, in any place
    all_kinds = torch.cat([torch.ones(1, d), random, random.sign(), eye, -eye])
    return torch.cat([torch.zeros(1, d), all_kinds, 1e-6 * all_kinds, 1e6 * all_kinds])


# %% [markdown]
# ### Exercise 43.5 · A test that bites
# Difficulty ●●●○○ · 3 points
#
# Write `is_contraction(compress, V, k)`. `compress` takes one vector `(d,)` and returns what arrives; `V` holds
# vectors to try, `(count, d)`. Return True if $\|Q(v) - v\|^2 \le (1 - k / d)\, \|v\|^2$ for *every* row $v$, with
# the right side multiplied by `1 + ROUNDING`, else False. The result must be a Python bool. If something that is not finite
# arrives, that is a failure, too. The grader hands you right compressors, and ones that are wrong for a few rows only.
#
# And write `hardest(d)`: a vector `(d,)`, not zero, for which top-k loses exactly the part $1 - k / d$, whatever $k$ is.


# %% nbgrader={"grade": false, "grade_id": "ex43-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def is_contraction(compress, V, k):
    """Say whether a compressor is a contraction with delta = k / d on all rows of V."""
    ### BEGIN SOLUTION
    share = 1 - k / V.shape[1]
    for v in V:
        left, whole = (compress(v) - v).square().sum(), v.square().sum()
        if not left <= share * whole * (1 + ROUNDING):
            return False
    return True
    ### END SOLUTION


def hardest(d):
    """Return a vector (d,), not zero, of which top-k loses the part 1 - k / d."""
    ### BEGIN SOLUTION
    return torch.ones(d)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def kept(v, places):
    """v at some places, zero elsewhere."""
    return torch.zeros_like(v).index_put((places,), v[places])


V_try = vectors(8, torch.Generator().manual_seed(5))
assert is_contraction(lambda v: kept(v, v.abs().topk(3).indices), V_try, 3) is True, (
    "top-k is a contraction: True (a Python bool), also where the bound is reached"
)
assert is_contraction(lambda v: v, V_try, 3) is True, (
    "who sends everything loses nothing"
)
assert is_contraction(lambda v: 0 * v, V_try, 3) is False, "who sends nothing loses all"
assert is_contraction(lambda v: kept(v, torch.arange(3)), V_try, 3) is False, (
    "the first k entries are not the largest: some vectors lose more"
)
hard = hardest(8)
assert isinstance(hard, torch.Tensor) and hard.shape == (8,), (
    "hardest(8) is a tensor of shape (8,)"
)
assert hard.dtype.is_floating_point, (
    "the vector holds whole numbers: write its entries with a point, as in 1.0"
)
assert hard.dtype == torch.float64, FLOAT64
assert (hard != 0).any(), "zero loses nothing: look for another vector"

# %% nbgrader={"grade": true, "grade_id": "ex43-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert is_contraction(lambda v: kept(v, v.topk(3).indices), V_try, 3) is False, (
    "the largest entries in place of the largest sizes: wrong where many are negative"
)
### BEGIN HIDDEN TESTS


def top(v, k=3):
    return kept(v, v.abs().topk(k).indices)


wrong = {
    "one entry too few": lambda v: top(v, 2),
    "values sent a little too small": lambda v: 0.9 * top(v),
    "values cut at 1": lambda v: top(v).clamp(-1, 1),
    "what is below 1e-3 is dropped": lambda v: top(v) * (v.abs() > 1e-3),
    "not finite for zero": lambda v: top(v / v.abs().max()) * v.abs().max(),
    "infinite for zero": lambda v: top(v) + (math.inf if not v.any() else 0.0),
    "louder by d / k": lambda v: 8 / 3 * top(v),
    "the last place is never sent": lambda v: torch.cat([top(v[:-1]), 0 * v[-1:]]),
    "the smallest are sent": lambda v: kept(v, (-v.abs()).topk(3).indices),
    "signs are lost": lambda v: top(v).abs(),
    "values sent a very little too small": lambda v: (1 - 4e-4) * top(v),
    "one tiny entry alone is dropped": lambda v: top(v) * (v.norm() > 1.5e-6),
    "nothing is sent for the very last row": lambda v: (
        top(v) * (bool(v[:-1].any()) or bool(v[-1] != -1e6))
    ),
}
right = {
    "by sorting": lambda v: kept(v, v.abs().argsort(descending=True)[:3]),
    "one entry more": lambda v: top(v, 4),
    "the library's": TopK(3 / 8),
}
for seed in range(2):
    V_try = vectors(8, torch.Generator().manual_seed(seed))
    for idea, compress in wrong.items():
        assert is_contraction(compress, V_try, 3) is False, f"not noticed: {idea}"
    for idea, compress in right.items():
        assert is_contraction(compress, V_try, 3) is True, f"right, and refused: {idea}"
    assert is_contraction(lambda v: v.clone(), V_try, 8) is True, (
        "with k = d the bound is 0, and who sends everything reaches it"
    )
    V_long = vectors(9, torch.Generator().manual_seed(seed))
    assert is_contraction(top, V_long, 3) is True, (
        "vectors of 9 numbers: d is the length of the rows of V, whatever it is"
    )
    assert is_contraction(Sign(), V_try, 1) is True, (
        "signs with their mean size: delta is at least 1 / d"
    )
for d in (1, 2, 5, 9):
    hard = hardest(d)
    for k in range(1, d + 1):
        part = (top(hard, k) - hard).square().sum() / hard.square().sum()
        assert math.isclose(part.item(), 1 - k / d, abs_tol=1e-9), (
            "top-k loses less of it: the entries left out must not be smaller than the rest"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A loop over the rows that returns False at the first that fails. What is a comparison with NaN?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `left > bound` is False if `left` is NaN; `not left <= bound` is True. For `hardest`: the entries left out should
# be as large as those that are sent.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Compare `(compress(v) - v).square().sum()` with `(1 - k / d) * v.square().sum() * (1 + ROUNDING)`.
#
# </details>

# %% [markdown]
# ### What the sign loses
#
# One bit an entry: send only signs. Suppose the gradient of a sample is 4 with
# probability 1/4, and $-1$ else. The mean is $1/4$: the weight should fall. But three signs in four say
# that it should rise, so sign descent with single samples goes the wrong way. It is *biased*. A memory makes up for it: what
# the sign left out of the 4 is three times as much.

# %%
draw = torch.Generator().manual_seed(6)
samples = torch.where(torch.rand(4000, 1, generator=draw) < 0.25, 4.0, -1.0)
messages, e = [], torch.zeros(1)
for g in samples:
    messages.append((g + e).sign())  # one bit, of size 1
    e = g + e - messages[-1]
sides = {
    "exact": samples,
    "sign": samples.sign(),
    "sign, with memory": torch.cat(messages),
}
paths = {name: -0.01 * side.flatten().cumsum(0) for name, side in sides.items()}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6, 3))
for (name, path), ls in zip(paths.items(), ("-", ":", "--"), strict=True):
    ax.plot(path, ls=ls, lw=1.8, label=name)
ax.set(xlabel="step", ylabel="weight")
ax.legend(fontsize=9)
figure(
    fig,
    caption="The weight should fall. Signs alone send it up; with a memory it falls.",
    alt="Three paths against steps. The exact one and signs with memory fall together along a "
    "line; signs alone rise along a steeper line.",
)

# %%
print("signs alone go the wrong way:", bool(paths["sign"][-1] > 0))
both = paths["exact"][-1], paths["sign, with memory"][-1]
print(
    "with memory as far as the exact one, to 10 %:",
    bool((both[1] / both[0] - 1).abs() < 0.1),
)

# %% [markdown]
# Signs of size 1 are no contraction: this memory stays bounded because the mean, 1/4, is smaller than 1. In the library
# `Sign` is multiplied by the mean size, $\|v\|_1 / d$, which makes it one, with $\delta$ at least $1 / d$.
#
# ### Rounding by chance
#
# The other way out is to be right *on average*. **QSGD** (Alistarh et al. 2017) rounds each entry to one of
# $s$ levels between 0 and $\|v\|$, up or down by chance:
#
# $$ q_i = \|v\| \operatorname{sign}(v_i)\, \frac{\xi_i}{s}, \qquad
#    \xi_i = \left\lfloor \frac{s |v_i|}{\|v\|} + u_i \right\rfloor, \qquad u_i \text{ uniform in } [0, 1) . $$
#
# ($\lfloor \cdot \rfloor$ rounds down.) An entry at 2.3 levels becomes 3 with probability 0.3 and 2 else: the mean is right, $E\, q = v$. The
# price is variance, at most $\min(d / s^2, \sqrt{d} / s)\, \|v\|^2$. One level for a million numbers has a bound of
# 1000 times $\|v\|^2$, so the rate must fall. **TernGrad** (Wen et al. 2017) has one level, of the largest size.
#
# ### Exercise 43.6 · Unbiased levels
# Difficulty ●●●○○ · 3 points
#
# Write `quantise(v, levels, u)` for a batch of vectors, `(batch, d)`; every row has its own length $\|v\|$.
# `u` has the same shape. Return $q$, of the same shape; a row of zeros stays zero, without NaN.


# %% nbgrader={"grade": false, "grade_id": "ex43-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def quantise(v, levels, u):
    """Round every row of v to levels, up where u says so. All shapes (batch, d)."""
    ### BEGIN SOLUTION
    length = v.norm(dim=1, keepdim=True)
    safe = torch.where(length > 0, length, 1.0)
    steps = (levels * v.abs() / safe + u).floor()
    return length * v.sign() * steps / levels
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
v_try = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
low = quantise(v_try, 4, torch.zeros(2, 2))
assert low.dtype == torch.float64, FLOAT64
assert torch.allclose(low[0], torch.tensor([2.5, -3.75])), (
    "3 is at 2.4 of 4 levels and 4 at 3.2: with u = 0 both go down, to 2/4 and 3/4 of 5"
)
high = quantise(v_try, 4, torch.full((2, 2), 0.85))
assert torch.allclose(high[0], torch.tensor([3.75, -5.0])), "with u = 0.85 both go up"
assert torch.equal(low[1], torch.zeros(2)), "a row of zeros stays zero, and is no NaN"

# %% nbgrader={"grade": true, "grade_id": "ex43-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
spread = (torch.arange(2000) + 0.5) / 2000
mean = quantise(v_try[:1].expand(2000, 2), 3, spread[:, None].expand(2000, 2)).mean(
    dim=0
)
assert torch.allclose(mean, v_try[0], atol=5e-3), (
    "on average over u the vector comes out"
)
### BEGIN HIDDEN TESTS
for seed, (batch, d, levels) in enumerate(
    [(3, 5, 1), (4, 8, 7), (1, 40, 2), (2, 1, 3)]
):
    g = torch.Generator().manual_seed(seed)
    v_try, u = torch.randn(batch, d, generator=g), torch.rand(batch, d, generator=g)
    before = v_try.clone(), u.clone()
    found_q = quantise(v_try, levels, u)
    assert torch.equal(v_try, before[0]) and torch.equal(u, before[1]), (
        "an argument was changed"
    )
    assert found_q.shape == v_try.shape, "the result has the shape of v"
    tiny = quantise(1e-30 * v_try, levels, u)
    assert torch.allclose(1e30 * tiny, found_q, rtol=1e-9, atol=1e-12), (
        "a vector 1e30 times as short has the same levels: only a length of 0 is a special "
        "case, and no small number is added to a length"
    )
    for row in range(batch):
        length = math.sqrt(sum(x * x for x in v_try[row].tolist()))
        for i in range(d):
            x = v_try[row, i].item()
            step = math.floor(levels * abs(x) / length + u[row, i].item())
            exact = math.copysign(length * step / levels, x)
            assert math.isclose(
                found_q[row, i].item(), exact, rel_tol=1e-9, abs_tol=1e-12
            ), (
                "another level: each row is measured by its own length, the level is "
                "rounded down after u was added, and the sign comes back at the end"
            )
g = torch.Generator().manual_seed(9)
v_try = torch.randn(1, 30, generator=g)
u = torch.empty(30).uniform_(generator=torch.Generator().manual_seed(4))
library = QSGD(7, torch.Generator().manual_seed(4))(v_try[0])
assert torch.allclose(quantise(v_try, 7, u[None])[0], library, atol=1e-12), (
    "the library has another result for the same u"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `v.norm(dim=1, keepdim=True)` has one length for each row, of shape `(batch, 1)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Work with sizes, `v.abs()`, and multiply by `v.sign()` at the end: `floor` of negative numbers goes the
# wrong way.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `(levels * v.abs() / length + u).floor()` counts levels. Divide by `torch.where(length > 0, length, 1.0)`.
#
# </details>

# %% [markdown]
# ## 6. Meet rarely
#
# The last way sends everything, but not every time. In **local SGD** each worker takes $H$ steps alone; then all
# average their *weights* (McMahan et al. 2017; Stich 2019). That is one average in $H$ steps: for $H = 100$ a hundredth of the
# messages. It is the idea of federated learning.
#
# Is it the same? For $H = 1$ it is. For larger $H$ look at losses that one can solve by hand: worker $p$ has
# $f_p(w) = \frac{1}{2} a_p (w - c_p)^2$, with its own curvature $a_p > 0$ and its own minimum $c_p$. One step multiplies the distance
# $w - c_p$ by $1 - \eta a_p$, so $H$ steps multiply it by $(1 - \eta a_p)^H$.
#
# ### Exercise 43.7 · Where they rest
# Difficulty ●●●●○ · 3 points
#
# Write `rests(a, c, rate, period)`: the weight at which the average comes to rest, that is, which
# $H$ local steps and a meeting bring back to itself. `a` and `c` have shape `(workers,)`, $0 < \eta a_p < 1$. Return a tensor with one
# number, differentiable by `a` and `c`. No loop over steps: solve the equation.


# %% nbgrader={"grade": false, "grade_id": "ex43-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rests(a, c, rate, period):
    """Return the fixed point of local SGD on quadratics: one number, in a tensor."""
    ### BEGIN SOLUTION
    moved = 1 - (1 - rate * a) ** period
    return (moved * c).sum() / moved.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex43-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
a_try, c_try = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0])
place = rests(a_try, c_try, 0.1, 1)
assert isinstance(place, torch.Tensor), "return a tensor with one number"
assert place.dtype == torch.float64, FLOAT64
assert torch.allclose(place, torch.tensor(0.75)), (
    "a meeting after every step: it rests at the minimum of the mean loss, sum(a c) / sum(a)"
)
assert torch.allclose(rests(a_try, c_try, 0.1, 10_000), torch.tensor(0.5)), (
    "after very many steps alone each is at its own minimum: the plain mean of these"
)

# %% nbgrader={"grade": true, "grade_id": "ex43-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
place = rests(a_try, c_try, 0.2, 4).item()
ends = [c + (1 - 0.2 * a) ** 4 * (place - c) for a, c in ((1.0, 0.0), (3.0, 1.0))]
assert math.isclose(sum(ends) / 2, place, rel_tol=1e-9), (
    "four steps of each worker and a meeting must bring the weight back to itself"
)


### BEGIN HIDDEN TESTS
def walked(a, c, rate, period):
    """Where the average is after many meetings, step by step."""
    w = torch.zeros(())
    for _ in range(160):
        alone = w.expand(len(a))
        for _ in range(period):
            alone = alone - rate * a * (alone - c)
        w = alone.mean()
    return w


for seed, (workers, period) in enumerate([(2, 3), (5, 1), (3, 8), (1, 4)]):
    g = torch.Generator().manual_seed(seed)
    a_try = (0.3 + torch.rand(workers, generator=g)).requires_grad_()
    c_try = torch.randn(workers, generator=g).requires_grad_()
    place = rests(a_try, c_try, 0.5, period)
    assert place.numel() == 1, "one number"
    exact = walked(a_try, c_try, 0.5, period)
    assert torch.allclose(place.reshape(()), exact, rtol=0, atol=1e-9), (
        "step by step it rests elsewhere: each worker pulls with the share "
        "1 - (1 - rate a)^H of the distance to its own minimum"
    )
    mine = torch.autograd.grad(place.sum(), (a_try, c_try), allow_unused=True)
    assert all(slope is not None for slope in mine), "no gradient reaches a, or c"
    theirs = torch.autograd.grad(exact, (a_try, c_try))
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-8), (
            "the gradient is another one"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write where worker $p$ is after $H$ steps from $w$. The mean over all $p$ must be $w$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Worker $p$ ends at $c_p + (1 - \eta a_p)^H (w - c_p)$. Bring all $w$ to one side.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With $m_p = 1 - (1 - \eta a_p)^H$: $\; w = \sum_p m_p c_p / \sum_p m_p$.
#
# </details>

# %% tags=["picture"]
periods = (1, 2, 4, 8, 16, 32, 64, 128)
fig, ax = plt.subplots(figsize=(6, 3))
for rate, marker in ((0.2, "o"), (0.02, "s")):
    places = [
        rests(torch.tensor([0.2, 3.0]), torch.tensor([0.0, 1.0]), rate, H)
        for H in periods
    ]
    ax.semilogx(periods, places, marker=marker, base=2, label=f"rate {rate}")
ax.axhline(3 / 3.2, color="k", ls="--", lw=1, label="minimum of the mean loss")
ax.axhline(0.5, color="k", ls=":", lw=1.5, label="mean of the minima")
ax.set(xlabel="steps between meetings, H", ylabel="where it rests")
ax.legend(fontsize=9)
figure(
    fig,
    caption="Two workers with different losses: where local SGD rests.",
    alt="Two falling curves against H on a logarithmic axis. Both start at the minimum of the "
    "mean loss at H = 1 and go towards the mean of the two minima; the smaller rate stays near "
    "the right place for longer.",
)

# %%
exact = torch.tensor(3 / 3.2)
off = [
    (rests(torch.tensor([0.2, 3.0]), torch.tensor([0.0, 1.0]), rate, 16) - exact).abs()
    for rate in (0.2, 0.02)
]
print("16 steps alone at rate 0.2 rest elsewhere, by 0.1 or more:", bool(off[0] > 0.1))
print("a smaller rate is nearer:", bool(off[1] < off[0]))

# %% [markdown]
# Local SGD has a fixed point of its own. The difference vanishes if all workers have the same loss (here: shares of
# one shuffled data set, nearly), or if the rate goes to zero. With data that differ from worker to worker, it does not.

# %% [markdown]
# ## The library's version
#
# `modular.communication` has the same parts. A `Compressor` makes a message and reads it, `ErrorFeedback` goes around
# any of them, and `Exchange` hangs it into PyTorch's `DistributedDataParallel`, on real
# processes:
#
# ```
# torchrun --standalone --nproc-per-node 4 -m modular.communication.run --messages plain top-k
# ```
#
# Are they the same?

# %%
draw = torch.Generator().manual_seed(10)
slopes = torch.randn(5, 1, 40, generator=draw)
library, e, equal = ErrorFeedback(TopK(0.1)), torch.zeros(1, 40), []
for g in slopes:
    q, e = send_largest(g, e, 4)
    equal.append(torch.equal(q, library(g)))
print("top-k with memory, bit for bit:", all(equal))
squares = slopes.square().sum(dim=2).mean().item()
pairs = torch.cat([slopes[:4:2], slopes[1:4:2]], dim=1)
mine = noise_and_signal(pairs, 3)
theirs = noise_scale(
    pairs.square().sum(dim=2).mean().item(),
    pairs.mean(dim=1).square().sum(dim=1).mean().item(),
    3,
    6,
)
print("noise:", math.isclose(float(mine[0]), theirs.noise, rel_tol=1e-9))
print("signal:", math.isclose(float(mine[1]), theirs.signal, rel_tol=1e-9))
u = torch.empty(40).uniform_(generator=torch.Generator().manual_seed(4))
one = QSGD(3, torch.Generator().manual_seed(4))(slopes[0, 0])
print("QSGD:", torch.allclose(quantise(slopes[0], 3, u[None])[0], one))

# %% [markdown]
# ## Signature result: bytes against accuracy
#
# The stored runs: four workers, three seeds, two tasks. One is a small convolutional network on digits; the other is a
# perceptron on sums of two digits, a harder task (chapter 22 uses it). Every way to exchange takes its best rate from the
# same search on validation data: factors of two, until the best rate lies between two others. All have the same data,
# weights and batches. *Less on the wire* counts what a worker sends, as in section 4.

# %%
record = stored("communication")
TASKS = {"convolutions": "digits, convolutions", "pair_sum": "sums of two digits"}


def scores(row):
    """Accuracy of every seed, in percent."""
    return [run["accuracy"] for run in row["runs"]]


def gaps(name, part="convolutions"):
    """Points behind sending everything, seed by seed."""
    rows = record[part]
    pairs = zip(scores(rows["all of the gradient"]), scores(rows[name]), strict=True)
    return [whole - one for whole, one in pairs]


for part, title in TASKS.items():
    print(f"{title:29} shorter  on the wire  accuracy  points behind, each seed")
    for name, row in record[part].items():
        run = row["runs"][0]
        behind = ", ".join(f"{gap:5.1f}" for gap in gaps(name, part))
        print(
            f"{name:29} {run['shorter']:6.0f}x {run['less on the wire']:11.0f}x "
            f"{statistics.mean(scores(row)):8.1f}%  {behind}"
        )
    print()

# %%
heights = {"convolutions": (80, 100), "pair_sum": (30, 100)}
looks = dict(zip(record["convolutions"], "os^DPXvd*hp<>+x", strict=False))
forgetful = ("top-k", "sign", "random-k", "top-k, half as many")

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(2, 1, figsize=(7.4, 7.0), sharex=True)
for ax, (part, title) in zip(axes, TASKS.items(), strict=True):
    for name, row in record[part].items():
        values, less = scores(row), row["runs"][0]["less on the wire"]
        color = "0.6" if name in forgetful else "C0"
        ax.plot([less, less], [min(values), max(values)], color="0.5", lw=1.5, ls="-")
        ax.plot(
            less,
            statistics.mean(values),
            looks[name],
            ms=8,
            mew=1.5,
            color=color,
            label=name,
        )
    ax.set(title=title, ylabel="test accuracy in %", ylim=heights[part])
axes[1].set(xscale="log", xlabel="times less on the wire")
axes[0].legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
figure(
    fig,
    caption="Four workers: mean and range of three seeds. Grey: few entries, or signs, without a memory.",
    alt="Two panels, one for each task: accuracy against how many times less a worker sends, on a logarithmic axis, with a line for the range of three seeds. Sending everything stands at the left at 94 percent. Top-k with feedback stands far to the right, a little higher; signs with feedback and QSGD are as high. The grey ones, without a memory, are lower. In the second panel the ranges are wide: sending everything at 71, top-k with feedback at 75 with a range of twenty points, PowerSGD at 60, top-k and signs without feedback far below, under 50.",
)

# %%
memory, forgets = gaps("top-k, feedback"), gaps("top-k")
shorter = record["convolutions"]["top-k"]["runs"][0]["shorter"]
print("digits: message of top-k at least 50 times shorter:", shorter >= 50)
print("top-k with feedback, points behind, below 0.5:", statistics.mean(memory) < 0.5)
print(
    "without feedback, every seed further behind:",
    all(a > b for a, b in zip(forgets, memory, strict=True)),
)
real = record["gloo"]
print("on four real processes, all bits the same:", real["all bits equal"])
print(
    "signs without feedback, below signs with it:",
    statistics.mean(gaps("sign")) > statistics.mean(gaps("sign, feedback")),
)

# %% [markdown]
# Read it with care.
#
# - **One entry in a hundred, with a memory, is not behind.** It is even a little ahead, and signs with a memory and QSGD are, too. Do
#   not conclude that compression helps. The training is short (25 passes). Sending everything is best at a rate of 0.1 and
#   unsteady at 0.4, which is best for top-k. What the run shows is that what compression loses is small next to such differences.
# - **The negative control**: the same messages without the memory. At their own best rate they are 5 to 8 points behind, with every
#   seed. Signs without a memory are about one point behind. Shorter messages are easy; the memory is what makes them work.
# - The message of top-k is 56 times shorter. Four workers send 28 times less; 64 workers would send less than twice as little.
#   With half as many entries four workers send 55 times less, and are still not behind.
# - *Which* entries matters. Random-k ($k$ entries drawn at random) with a memory sends equally much, and is 4 to 6 points behind. Without a
#   memory its best rate is 16 times smaller, and it is as far behind.
# - PowerSGD's message is nearly twice as long as that of top-k, and over the wire both send the same: its factors are
#   added on the way.
# - QSGD and TernGrad have no memory and need none on digits: they are right on average. They send 4 and 8 times less.
# - Who meets every 8 steps sends 4 times less and is level with sending everything. (*Post-local SGD* does so in the second half of the training only.) Who meets after 100 of the 125
#   steps and at the end sends 50 times less and is one to two points behind.
# - **On sums of two digits** the seeds say less. The training is short for this task, five passes, and one way differs by up to
#   20 points from seed to seed. Signs with a memory are ahead with all three. Top-k with a memory is ahead with two seeds and 7 points
#   behind with the third: three seeds cannot tell half a point. The control they can tell: without the memory top-k and signs are
#   more than 20 points behind, with every seed. PowerSGD, with a single pair of factors for a matrix, is 6 to 14 points behind.
#   QSGD is 5 to 6 behind: its seven levels are parts of the length of a whole matrix, and most of 16384 entries lie far
#   below the first. TernGrad, whose one level is the largest entry, is level.
# - All of this was computed in one process, with workers one after the other. The run of top-k with a memory was made
#   again by four real processes, from the first step to the last: the same weights, bit for bit.
#
# ### Larger batches
#
# Another run: accuracy on sums of two digits (chapter 22 uses the task) against the batch. All sides make ten
# passes through 6000 pairs, so a batch of 2048 makes 20 steps and one of 32 makes 1870.

# %% tags=["picture"]
batch_rows = record["batches"]
fig, ax = plt.subplots(figsize=(6.4, 3.4))
for name, marker in (("SGD", "o"), ("LARS", "s"), ("LAMB", "^")):
    for warm, ls, sizes in (
        ("", "-", (32, 256, 2048)),
        (", warm-up", ":", (256, 2048)),
    ):
        means = [
            statistics.mean(scores(batch_rows[f"{name}, {size}{warm}"]))
            for size in sizes
        ]
        ax.plot(sizes, means, marker=marker, ls=ls, lw=1.8, label=name + warm)
ax.set_xscale("log", base=2)
ax.set(xlabel="batch", ylabel="test accuracy in %")
ax.legend(fontsize=9)
figure(
    fig,
    caption="Sums of two digits, ten passes through the data, each at its best rate.",
    alt="Accuracy against the batch, 32 to 2048, on a logarithmic axis. All lines fall. At 32 they are close together; at 256 LARS and LAMB are well above SGD; at 2048 all are low, LARS the highest.",
)

# %%
for size in (32, 256, 2048):
    cells = "  ".join(
        f"{name} {statistics.mean(scores(batch_rows[f'{name}, {size}'])):.0f}"
        for name in ("SGD", "LARS", "LAMB")
    )
    print(f"batch {size:4}, accuracy in %:  {cells}")
middle = {
    name: statistics.mean(scores(batch_rows[f"{name}, 256"]))
    for name in ("SGD", "LARS", "LAMB")
}
print(
    "at 256 LARS and LAMB are ahead of SGD:",
    min(middle["LARS"], middle["LAMB"]) > middle["SGD"],
)

# %% [markdown]
# All fall with the batch: twenty steps are too few to learn this task, whatever their length. What layer-wise rates change is
# how *soon* it falls. At 256 LARS and LAMB are well ahead of SGD with momentum, each at its best rate from the same kind of
# search: three rates, and more of them until the best lies between two others. Warm-up (the dotted lines) helps some and
# hurts others, by no more than seeds differ. So layer-wise rates move the limit. They do not remove it: section 1 says
# that beyond the noise scale further samples bring little, and no optimiser brings them back.

# %% [markdown]
# ### Does the noise scale know?
#
# Section 1 made a promise: steps fall with the batch, up to the noise scale. Here is the test, on sums of two digits, with plain
# SGD at a constant rate. Every batch has its best rate from a search in factors of two, and we count steps until the training
# loss is 1. If a step makes the part $1 / (1 + B_{\text{noise}} / B)$ of the best progress, then the number of steps is
#
# $$ S(B) = S_{\min} \left(1 + \frac{B_*}{B}\right) \qquad\text{with}\qquad B_* = B_{\text{noise}} . $$
#
# $S_{\min}$, the fewest steps, and $B_*$ are fitted to the counts. The noise scale was measured on the way, on other samples: 1024
# of them, in eight shares.

# %%
counts, noises = (
    {
        int(size): statistics.median(run[what] for run in row["runs"])
        for size, row in record["steps"].items()
    }
    for what in ("steps", "noise scale")
)
law = torch.tensor([[1 / s, 1 / (b * s)] for b, s in counts.items()])  # relative errors
fit = torch.linalg.lstsq(law, torch.ones(len(law), 1)).solution.flatten()
least, scale = fit[0].item(), (fit[1] / fit[0]).item()
low, high = min(noises.values()), max(noises.values())
sizes = torch.logspace(math.log10(5), math.log10(4000), 60)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.loglog(
    list(counts), list(counts.values()), "o", ms=8, label="measured, median of 3 seeds"
)
ax.loglog(sizes, least * (1 + scale / sizes), "--", lw=1.8, label="the law, fitted")
ax.axvline(scale, color="k", ls=":", lw=1.8, label="B* of the law")
ax.axvspan(low, high, color="0.85", label="noise scales, measured")
ax.set(xlabel="batch B", ylabel="steps to a training loss of 1", ylim=(100, 3000))
ax.legend(fontsize=9)
figure(
    fig,
    caption="Sums of two digits: steps to a training loss against the batch, each at its best constant rate.",
    alt="Five points on logarithmic axes, from 1500 steps at a batch of 8 down to 150 at 2048. They "
    "fall steeply up to about 100 and are nearly level beyond 500. A dashed curve goes through "
    "them. A dotted vertical line stands near 70, a narrow grey band between 130 and 180.",
)

# %%
print("batch   steps   samples   noise scale")
for size, count in counts.items():
    print(f"{size:5}   {count:5.0f}   {count * size:7.0f}   {noises[size]:11.0f}")
print(f"the law, fitted: fewest steps {least:.0f}, B* {scale:.0f}")
wrong = max(abs(least * (1 + scale / b) / s - 1) for b, s in counts.items())
print("the law is off by a fifth at most:", wrong < 0.2)
print(
    "the noise scale is near B*, to a factor of 3:", scale / 3 < low < high < 3 * scale
)
print("... and too large, for every batch:", low > scale)

# %% [markdown]
# The promise is kept, with a margin. The law fits: sixteen times the batch, from 8 to 128, saves six steps in seven; sixteen
# times more, from 128 to 2048, saves a quarter, for twelve times the samples. The noise scale says 130 to 180 samples, and the bend is
# near 70. So it tells the size of the answer and not the answer: it is about twice too large here. The loss has more than
# one curvature, and the noise scale does not know that.
#
# ### What a survey's table hides
#
# He et al. (2021) survey optimisation at scale: large batches, compressed gradients, second
# order. Their tables, as those of most surveys, put numbers of many papers side by side. After this chapter you can
# ask what such a row does not say.
#
# - *A ratio of what?* Of a message, or of traffic? For how many workers (section 4)?
# - *At which rate?* A compressor with variance needs a smaller rate, one with memory perhaps another. Was
#   each side tuned, by the same search, and was the baseline?
# - *Seconds or bytes?* Choosing the largest of a million entries takes time as well. On a fast network compression
#   may be slower.
# - *Which task?* On an easy one all rows are equal.
#
# ## An experiment to change
#
# How small may a message be? Change `SHARE`, and guess first.

# %%
SHARE, RATE, MEMORY = 0.01, 0.5, True
exchange = (with_memory if MEMORY else without_memory)(max(1, round(SHARE * 2410)))
net, losses = train(exchange, rate=RATE, epochs=20)
print(f"training loss of the last 20 steps: {statistics.mean(losses[-20:]):.1f}")
print("test accuracy above 80 %:", accuracy(net) > 80)

# %% [markdown]
# - `SHARE = 0.1`, then 0.001 (two entries!). Where does it break, and does a smaller rate repair it?
# - `MEMORY = False` with `SHARE = 0.1`: is forgetting harmless if enough is sent?
# - `RATE = 2.0` with and without memory, and with `exchange = lambda g: g.mean(dim=0)`: who learns, and who fails?
# - Let the rate fall to zero in `train`. Does the distance between memory and sending everything shrink?
#
# ## When it fails
#
# **A comparison at one rate.** Here are the four workers of section 3 again, at two rates.

# %%
ends = {}
for rate in (0.5, 2.0):
    for name, way in (("all", lambda g: g.mean(dim=0)), ("memory", with_memory(K))):
        _, losses = train(way, rate=rate, epochs=6)
        ends[name, rate] = statistics.mean(losses[-20:])
print("rate 0.5: the memory is behind:", ends["memory", 0.5] > ends["all", 0.5])
print(
    "rate 2: its loss is below half of that of all:",
    ends["memory", 2.0] < 0.5 * ends["all", 2.0],
)

# %% [markdown]
# At rate 2 sending everything fails, and one entry in a hundred learns! A likely reason is that few entries
# change in a step, so that steps are short; we have not isolated it. Whoever compares both at this rate finds that compression helps,
# at 0.5 that it hurts. Each side needs its own best rate, from the same search.
#
# **A memory of stale gradients.** What is sent today was computed many steps ago, for other weights. With $k = d / 100$ an
# entry may wait a hundred steps and comes with the sum of its gradients. Momentum 0.9 then repeats it, ten times in all. That is
# why the stored run has none.
#
# **Unbiased is not harmless.** Random-k sends $k$ random entries, multiplied by $d / k$. It is unbiased, and its variance is
# $(d / k - 1) \|v\|^2$: for a hundredth, 99 times the square of the gradient. So the rate must fall: in the stored run to
# a fourth of what is best for the whole gradient, and four times as much diverges. Inside of a memory the library takes the factor $d / k$ out.
#
# **Layer-wise rates and small layers.** LARS steps by a share of $\|w\|$. A layer that starts near zero hardly
# moves, and one axis only (biases, norms) must be left out, as the library does; whoever forgets it compares
# something else.
#
# **Different data.** In section 6 workers rested elsewhere because their losses differ. The stored runs shuffle one data set, so
# they say nothing on that.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "The noise scale is 100 samples. What does a batch of 10 000 gain over one of 1000?",
        choices=[
            "Ten times fewer steps",
            "Hardly any fewer steps, for ten times the samples",
            "It diverges",
        ],
        answer="f12079338bfb",
        hint="Put both batches into 1 / (1 + B_noise / B).",
    ),
    Question(
        "The gradient of a layer becomes ten times as long. What does a first step of LARS, without decay, do?",
        choices=[
            "It is ten times as long",
            "It is a tenth as long",
            "It is the same",
        ],
        answer="0be92a3b61e7",
        hint="The local rate has the length of the gradient below the line.",
    ),
    Question(
        "What does the memory of top-k guarantee, whatever the gradients are?",
        choices=[
            "All messages and the last memory add up to all gradients",
            "The loss falls in every step",
            "Every entry is sent within d / k steps",
        ],
        answer="5320002c38fa",
        hint="Which of the three is a sum that telescopes?",
    ),
    Question(
        "A message is 100 times shorter than the gradient and is gathered by 200 workers. The traffic is",
        choices=[
            "100 times less than that of a ring all-reduce",
            "the same",
            "more than that of a ring all-reduce",
        ],
        answer="729d26f38325",
        hint="Ratio of the messages, times 2 / P.",
    ),
    Question(
        "For which vectors does top-k lose most, as a part of their square?",
        choices=[
            "For those with one large entry",
            "For those whose entries have all the same size",
            "For very long ones",
        ],
        answer="3813eb8e4c7a",
        hint="When is the bound 1 - k / d reached?",
    ),
    Question(
        "Workers with different losses meet every 50 steps, at a constant rate. In the end",
        choices=[
            "they rest at the minimum of the mean loss",
            "they rest at another place, which depends on the rate and on 50",
            "they do not rest",
        ],
        answer="0eda517ba36e",
        hint="Exercise 43.7.",
    ),
)

# %% [markdown]
# ## Summary
#
# - $E |g_B|^2 = |G|^2 + \operatorname{tr} \Sigma / B$. Up to about $B_{\text{noise}} = \operatorname{tr} \Sigma / |G|^2$ samples a larger batch saves
#   steps, at a rate that grows with it; beyond, hardly. Workers measure it at no cost.
# - LARS and LAMB give every layer a step that is a share of its weights, whatever its gradient's length.
# - Top-k with a memory loses nothing but time: what was sent and what is kept add up to all gradients. Without the
#   memory it can stand still, as in the example of section 3.
# - Messages that cannot be added on the way are gathered, and the traffic grows with the number of workers:
#   a gain only below $d / k$ workers.
# - A contraction is a theorem that one can test, on the hardest vectors. Signs are biased; rounding by
#   chance is not, and pays in variance.
# - Workers that meet rarely rest at a place of their own, if their losses differ.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | worker, $P$ | one of $P$ processes that hold the same network |
# | noise scale | $\operatorname{tr} \Sigma / \lvert G \rvert^2$, the batch at which noise and signal are equal |
# | linear scaling | the rate grows in proportion to the batch |
# | warm-up | the rate rises during the first steps |
# | LARS, LAMB | momentum, and Adam, with a rate for each layer |
# | top-k | the $k$ entries that are largest in size, and their places |
# | error feedback, memory | what was left out is added to the next gradient |
# | contraction | $\lVert Q(v) - v \rVert^2 \le (1 - \delta) \lVert v \rVert^2$ for every $v$ |
# | all-reduce, all-gather | everyone gets the sum; everyone gets all messages |
# | QSGD | unbiased rounding to few levels |
# | local SGD | workers average their weights every $H$ steps |
#
# ## Readings
#
# - **McCandlish, Kaplan and Amodei (2018)**, *An empirical model of large-batch training*, arXiv:1812.06162. Look for
#   appendix A.1, where exercise 43.1 comes from, and for how the noise scale grows during training.
# - **Goyal et al. (2017)**, *Accurate, large minibatch SGD: training ImageNet in 1 hour*, arXiv:1706.02677. Look for the
#   warm-up, and for the batch at which accuracy begins to fall.
# - **You, Gitman and Ginsburg (2017)**, *Large batch training of convolutional networks*, arXiv:1708.03888. Look for the table of
#   ratios of weights and gradients.
# - **Karimireddy, Rebjock, Stich and Jaggi (2019)**, *Error feedback fixes SignSGD and other gradient compression schemes*, ICML. Look for the
#   counterexamples, and for what theorem II assumes.
# - **Alistarh, Grubic, Li, Tomioka and Vojnovic (2017)**, *QSGD: communication-efficient SGD via gradient quantization and
#   encoding*, NeurIPS. Look for lemma 3.1, and for the code that makes messages shorter still.
# - **He et al. (2021)**, arXiv:2111.00856, a survey of optimisation at large scale. Read one of its tables with the
#   four questions above.
