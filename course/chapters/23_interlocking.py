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
# # 23 · Interlocking backpropagation
#
# > **Claim.** Between a loss for every module and one loss for all lies a dial, the horizon: few modules of reach recover most of the accuracy, and each is paid for in memory and in waiting.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | say which loss trains which module; derive the gradients of a small chain by hand; write an interlocking step that routes each loss to its own module only; certify it, and tell it from the sum of losses that is easily mistaken for it; measure how well local gradients point; state what the horizon costs in memory and in waiting; judge it against its classical rivals |
# | **Before you start** | chapter 21 (the three locks, what `detach` does, memory); chapter 22 (local losses, heads, DGL); the chain rule |
# | **Time** | 150 minutes |
# | **Points** | 23, in seven exercises |

# %% tags=["setup"]
import math
import weakref
from collections import Counter
from copy import deepcopy
from fractions import Fraction
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import modular
from course.kit import Question, figure, quiz, setup, stored
from modular import audit
from modular.meter import SavedTensors
from modular.plot import gantt

generator = setup(seed=23)

# %% [markdown]
# ## Cold open: wait for everyone, or listen to no one
#
# Six modules are to learn `pair_sum`: two handwritten digits side by side, the label is the last
# digit of their sum. Each module has a machine of its own. Two methods stand at the ends of a
# line:
#
# - **Backprop**: one loss, at the end. A module that has done its forward pass waits until
#   everyone above it has run forward and backward.
# - **DGL** (chapter 22): six losses, one per module, each with a small linear head. Nobody waits for
#   anyone above.
#
# Both get the same weights, the same data in the same order, the same optimiser, four epochs.

# %%
task = modular.pair_sum(torch.Generator().manual_seed(23), train=5000, test=2000)
adam = partial(torch.optim.Adam, lr=2e-3, fused=True)
EPOCHS = 4


def six_blocks(seed, width=96):
    """Linear - BatchNorm - ReLU, six times; the classifier is part of the last."""
    torch.manual_seed(seed)
    sizes = [128] + [width] * 6
    blocks = [
        nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    blocks[-1].append(nn.Linear(width, 10))
    return blocks


def study(
    method, modules=6, transport=None, aligned=False, frozen_heads=False, frozen=0
):
    """Train on pair_sum. Returns the trainer, and alignments before and after epochs."""
    g = torch.Generator().manual_seed(23)
    partition = modular.Partition(
        six_blocks(23), modules, sample=task.x[:1], generator=g
    )
    for block in partition.blocks:
        block.head.requires_grad_(not frozen_heads)
    for block in partition.blocks[:frozen]:
        block.net.requires_grad_(False)
    trainer = modular.Trainer(
        partition, method, optimizer=adam, transport=transport, generator=g
    )
    batches = task.batches(64, torch.Generator().manual_seed(23))
    probe, angles = (task.x_test[:500], task.y_test[:500]), []
    for _ in range(EPOCHS):
        if aligned:
            angles.append(audit.alignment(trainer, probe))
        trainer.fit(batches, 1, validation=task.test())
    if aligned:
        angles.append(audit.alignment(trainer, probe))
    return trainer, angles


runs, angles = {}, {}
runs["Backprop"], _ = study(modular.Backprop())
runs["n = 1"], angles[1] = study(modular.DGL(), aligned=True)


def final_accuracy(name):
    """Test accuracy of the whole network in per cent, after each epoch."""
    return 100 * runs[name].history.validation[:, -1]


# %%
clock = modular.Calibrated(forward=1.0, backward=2.0)


def charts(axes, names, end):
    """One Gantt chart of three batches below the other, on one axis of time."""
    for ax, (name, title) in zip(axes, names.items(), strict=True):
        gantt(ax, audit.timeline(runs[name], clock, steps=3))
        for bar in ax.patches:
            bar.set_linewidth(0.4)
        ax.set(title=title, xlim=(0, end), xlabel="time")
        handles = ax.get_legend_handles_labels()
        ax.get_legend().remove()
    return handles


# %% tags=["picture"]
fig, axes = plt.subplot_mosaic(
    [["Backprop", "learns"], ["n = 1", "learns"]],
    figsize=(7.4, 4.0),
    width_ratios=[5, 3],
)
charts([axes["Backprop"], axes["n = 1"]], {"Backprop": "Backprop", "n = 1": "DGL"}, 52)
ax = axes["learns"]
for name, label in (("Backprop", "Backprop"), ("n = 1", "DGL")):
    ax.plot(range(1, EPOCHS + 1), final_accuracy(name), marker="o", label=label)
ends = final_accuracy("n = 1"), final_accuracy("Backprop")
ax.fill_between(range(1, EPOCHS + 1), *ends, color="0.9")
ax.text(3, final_accuracy("n = 1")[2] + 7, "?", fontsize=16, ha="center")
ax.set(xlabel="epoch", ylabel="test accuracy in %", title="what it learns")
ax.legend(fontsize=8)
figure(
    fig,
    caption="Left: who works when, for three batches on six machines (forward passes blue, "
    "the other colours are backward work). Right: the price of not waiting.",
    alt="Two Gantt charts, one below the other on the same time axis, and one accuracy plot. Under "
    "Backprop the work forms three V shapes with large white areas: most machines wait. Under DGL "
    "the same three batches fill a short dense band at the left. On the right DGL's test accuracy "
    "lies far below Backprop's after every epoch, and a grey area with a question mark "
    "lies between them.",
)

# %%
gap = final_accuracy("Backprop")[-1] - final_accuracy("n = 1")[-1]
print("DGL ends more than five points below Backprop:", bool(gap > 5))

# %% [markdown]
# One method wastes the machines, the other wastes the modules: a module of DGL learns what
# helps *its own* head to predict at once, and throws away what only later modules could have used.
#
# Must it be all or nothing? A module could listen to the loss of its **neighbour above**, which
# knows a little better what is needed, and wait only for that neighbour. Or to the loss two
# above. In 2020 Gomez and colleagues turned this into a family, and its members are the
# subject of this chapter.

# %% [markdown]
# ## 1. Which loss trains which module
#
# As in chapters 21 and 22: $h_k = f_k(h_{k-1})$, $k = 0, \dots, K - 1$, with $h_{-1} = x$ the data.
# Module $k$ has parameters $\theta_k$ and a head $a_k$, and a loss of its own,
#
# $$ \ell_k = \ell\big(a_k(h_k), y\big), \qquad a_{K-1} = \text{identity}, $$
#
# so that $\ell_{K-1}$ is the true loss of the network. **Interlocking backpropagation with horizon $n$**
# is one rule about parameters and one about heads:
#
# $$ \boxed{\;\theta_k \text{ takes } \frac{\partial \ell_{t(k)}}{\partial \theta_k}, \quad
#    t(k) = \min(k + n - 1,\; K - 1); \qquad
#    a_k \text{ takes the gradient of } \ell_k \text{ only.}\;} $$
#
# Read it slowly, because it is easily misread. A loss travels back through up to $n$ modules, but
# every module takes **one** loss: not the sum of the losses that come by. The gradient of $\ell_j$
# flows *through* the modules between $t^{-1}(j)$ and $j$ without moving them.
#
# With $n = 1$ we are back at DGL. With $n = K$ every module takes $\ell_{K-1}$, and this is
# backpropagation. (Modules count from 0 here, as everywhere in the library; the paper counts
# from 1, and its code calls $n - 1$ the distance.)

# %% [markdown]
# ### Exercise 23.1 · The index rule
# Difficulty ●○○○○ · 2 points
#
# Write `target(k, n, K)`, the index of the loss that trains module `k`; and the other way round
# `takers(j, n, K)`, the list of the modules that loss `j` trains, in rising order. (A list may be
# empty. Think about both ends of the chain.)


# %% nbgrader={"grade": false, "grade_id": "ex23-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def target(k, n, K):
    """Index of the loss that trains module k. k from 0 to K - 1, horizon n from 1 to K."""
    ### BEGIN SOLUTION
    return min(k + n - 1, K - 1)
    ### END SOLUTION


def takers(j, n, K):
    """List of the modules that loss j trains, in rising order; may be empty."""
    ### BEGIN SOLUTION
    return [k for k in range(K) if target(k, n, K) == j]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert [target(k, 1, 4) for k in range(4)] == [0, 1, 2, 3], (
    "with horizon 1 a loss reaches one module: its own"
)
assert target(0, 3, 6) == 2, "a horizon of n modules has the module itself among them"
assert target(5, 3, 6) == 5, "there is no loss above the last one"
assert list(takers(3, 2, 6)) == [2], (
    "in the middle of the chain each loss trains one module"
)

# %% nbgrader={"grade": true, "grade_id": "ex23-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert target(0, 1, 1) == 0, "one module, one loss"
assert list(takers(0, 1, 1)) == [0], "one module, one loss, the other way round"
### BEGIN HIDDEN TESTS
for K in range(1, 8):
    for n in range(1, K + 1):
        goals = [target(k, n, K) for k in range(K)]
        assert all(k <= goal < K for k, goal in enumerate(goals)), (
            "a module can learn only from a loss above it or its own, and loss K - 1 is "
            "the last"
        )
        assert all(goal - k < n for k, goal in enumerate(goals)), (
            "a loss reaches n modules, the one it belongs to included"
        )
        assert goals[0] == n - 1, "the first module learns from the n-th loss"
        for k in range(K - 1):
            assert goals[k + 1] == min(goals[k] + 1, K - 1), (
                "one module up, one loss up, until the last loss"
            )
        lists = [list(takers(j, n, K)) for j in range(K)]
        assert sum(lists, []) == list(range(K)), (
            "every module is trained by one loss, no more and no less"
        )
        assert all(lists[j] == [] for j in range(n - 1)), (
            "the first n - 1 losses train their own heads and no module"
        )
        assert len(lists[-1]) == n, "the last loss trains the last n modules"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write the rule down for $K = 4$ and $n = 2$: modules 0, 1, 2, 3 learn from losses 1, 2, 3, 3.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The boxed rule is one line with `min`. For the second function, which $k$ have $t(k) = j$?
# Asking each of them is slow and never wrong.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The condition in the second function is `target(k, n, K) == j`.
#
# </details>

# %% tags=["picture"]
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.3))
for ax, n in zip(axes, (1, 3, 6), strict=True):
    for k in range(6):
        goal = target(k, n, 6)
        ax.annotate(
            "",
            (k, 0.12),
            (goal, 0.88),
            arrowprops=dict(arrowstyle="->", color=f"C{k}", lw=1.5),
        )
        used = bool(takers(k, n, 6))
        ax.text(k, 0, f"$f_{k}$", ha="center", va="center")
        ax.text(
            k, 1, f"$\\ell_{k}$", ha="center", va="center", alpha=1 if used else 0.3
        )
    ax.set(xlim=(-0.5, 5.5), ylim=(-0.2, 1.2), title=f"horizon {n}")
    ax.axis("off")
figure(
    fig,
    caption="Six modules (below) and their losses (above). An arrow leads from the loss a module "
    "takes to the module. Grey losses train their heads only.",
    alt="Three panels. Horizon 1: six vertical arrows, each module has its own loss. Horizon 3: "
    "slanted arrows from loss 2 to module 0, from 3 to 1, from 4 to 2, and a fan from loss 5 to "
    "modules 3, 4 and 5; losses 0 and 1 are grey. Horizon 6: one fan from loss 5 to all modules; "
    "all other losses are grey.",
)

# %% [markdown]
# At the end of the chain the last loss fans out: the last $n$ modules are trained exactly as
# backpropagation trains them. Everything below sees an approximation.
#
# ## 2. A chain for pencil and paper
#
# Make everything a number. Module $k$ multiplies, $h_k = w_k h_{k-1}$ with $h_{-1} = x$; its head
# multiplies by $a_k$, and $\ell_k = \tfrac12 e_k^2$ with the error $e_k = a_k h_k - y$; the
# last module has no head, $a_{K-1} = 1$. Then
#
# $$ \frac{\partial \ell_j}{\partial w_k} = e_j \, a_j \, w_j w_{j-1} \cdots w_{k+1} \, h_{k-1},
#    \qquad \frac{\partial \ell_k}{\partial a_k} = e_k h_k . $$
#
# The error comes from the loss $j$, the input from below, and in between stand the weights that the
# credit passes on its way down. Those are the *current* weights of modules which learn from losses of
# their own.

# %% [markdown]
# ### Exercise 23.2 · Gradients by hand
# Difficulty ●●○○○ · 3 points
#
# Write `chain_gradients(w, a, x, y, n)` for this chain, in plain Python: no tensors, no
# autograd. `w` is a list of $K$ numbers, `a` a list of $K - 1$. Return two lists: for every
# weight the gradient it *takes* under horizon $n$, and for every head its own. Weights may be zero.


# %% nbgrader={"grade": false, "grade_id": "ex23-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def chain_gradients(w, a, x, y, n):
    """Interlocking gradients of the multiplicative chain.

    w: K numbers. a: K - 1 numbers. x, y: numbers. n: horizon, 1 to K.
    Returns two lists: K gradients for w, K - 1 gradients for a.
    """
    ### BEGIN SOLUTION
    K, scale = len(w), [*a, 1.0]
    h = [x]  # h[k] enters module k, h[k + 1] leaves it
    for weight in w:
        h.append(weight * h[-1])
    errors = [scale[k] * h[k + 1] - y for k in range(K)]
    for_w = []
    for k in range(K):
        j = target(k, n, K)
        for_w.append(errors[j] * scale[j] * math.prod(w[k + 1 : j + 1]) * h[k])
    return for_w, [errors[k] * h[k + 1] for k in range(K - 1)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# x = 1, w = 2, 3, 1, heads 1, 2, y = 4: states 2, 6, 6, errors -2, 8, 2
for_w, for_a = chain_gradients([2.0, 3.0, 1.0], [1.0, 2.0], 1.0, 4.0, 1)
assert list(for_w) == [-2.0, 32.0, 12.0], (
    "horizon 1: each weight takes its own error, through its own head"
)
assert list(for_a) == [-4.0, 48.0], "a head takes its own error times its own state"
for_w, for_a = chain_gradients([2.0, 3.0, 1.0], [1.0, 2.0], 1.0, 4.0, 2)
assert list(for_w) == [48.0, 4.0, 12.0], (
    "horizon 2: the credit of the neighbour's loss comes down through the neighbour's head "
    "and weight"
)
assert list(for_a) == [-4.0, 48.0], "the horizon changes nothing for the heads"

# %% nbgrader={"grade": true, "grade_id": "ex23-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for_w, for_a = chain_gradients([3.0], [], 2.0, 5.0, 1)
assert list(for_w) == [2.0] and list(for_a) == [], "one module: the true loss, no head"
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    K = 3 + seed
    w = torch.randint(-3, 4, (K,), generator=g).double().tolist()
    a = torch.randint(1, 4, (K - 1,), generator=g).double().tolist()
    x, y = 2.0, 3.0 + seed
    if seed == 3:
        w[2] = 0.0  # the chain is cut in the middle: states above are zero

    def loss_at(j, w, a, x=x, y=y):
        h = x
        for weight in w[: j + 1]:
            h = h * weight
        return 0.5 * ((a[j] if j < len(w) - 1 else 1.0) * h - y) ** 2

    def slope(values, k, loss, step=1e-4):
        up, down = list(values), list(values)
        up[k], down[k] = up[k] + step, down[k] - step
        return (loss(up) - loss(down)) / (2 * step)

    for n in range(1, K + 1):
        kept = list(w), list(a)
        for_w, for_a = chain_gradients(w, a, x, y, n)
        assert (w, a) == kept, "the lists that were handed over have been changed"
        assert len(for_w) == K and len(for_a) == K - 1, "one number per weight and head"
        for k in range(K):
            j = min(k + n - 1, K - 1)
            known = slope(w, k, lambda v, j=j, a=a: loss_at(j, v, a))
            assert math.isclose(for_w[k], known, rel_tol=1e-5, abs_tol=1e-5), (
                f"K = {K}, n = {n}: weight {k} should take the slope of loss {j}, measured "
                "by moving the weight a little"
            )
        for k in range(K - 1):
            known = slope(a, k, lambda v, k=k, w=w: loss_at(k, w, v))
            assert math.isclose(for_a[k], known, rel_tol=1e-5, abs_tol=1e-5), (
                f"K = {K}, n = {n}: head {k} takes the slope of its own loss"
            )
        try:
            exact = chain_gradients(
                [Fraction(v) for v in w],
                [Fraction(v) for v in a],
                Fraction(2),
                3 + seed,
                n,
            )
        except TypeError:
            exact = [], []
        assert (
            all(
                math.isclose(u, v, rel_tol=1e-9, abs_tol=1e-9)
                for u, v in zip(
                    sum(map(list, exact), []), [*for_w, *for_a], strict=False
                )
            )
            and len(exact[0]) == K
        ), (
            "in plain Python any number will do, fractions too: a tensor does not take them"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First run forward and keep every state, $x$ included. Then the errors, one per loss. Only then
# ask, for each weight, whose error it takes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The product runs over the weights *above* $k$ up to $j$, `w[k + 1 : j + 1]`; it is 1 if there are
# none (`math.prod`). Dividing $h_j$ by $h_k$ would do the same, unless a weight is zero.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $e_j \, a_j \, w_j \cdots w_{k+1} \, h_{k-1}$ with $j = t(k)$; the list `[*a, 1.0]` gives the
# last module its factor.
#
# </details>

# %%
print("chain 2, 3, 1 with heads 1, 2, input 1, wanted 4")
for n in (1, 2, 3):
    for_w, _ = chain_gradients([2.0, 3.0, 1.0], [1.0, 2.0], 1.0, 4.0, n)
    print(f"  horizon {n}: the weights take", [f"{value:+.0f}" for value in for_w])

# %% [markdown]
# Look at the first column. The first module's own head says "too small, grow" (−2); the neighbour's
# loss says "far too large, shrink" (+48); the true loss agrees with the neighbour on the direction,
# though not on the size. A horizon of two has the right *sign* here because the neighbour looks through its own
# weight, 3, which the first head knows nothing about.
#
# ## 3. One step in autograd
#
# Now real modules. All losses hang on one chain of states, and autograd can differentiate any of
# them with respect to any parameters. The tool that fits is not `backward`, which adds to the
# `.grad` of *everything* it meets on its way, but
#
# ```python
# torch.autograd.grad(loss, parameters, retain_graph=True)
# ```
#
# which answers one question and touches nothing.
#
# **Shapes.** `x` is `(batch, inputs)`, states are `(batch, width)`, every head returns
# `(batch, classes)`, labels `y` are `(batch,)` of integers. All losses are means over the batch.


# %% tags=["given"]
def small_net(seed, K=5, width=6, inputs=4, classes=3, batch=7):
    """Draw K blocks, K heads (the last is the identity), data and labels."""
    g = torch.Generator().manual_seed(seed)
    sizes = [inputs, *[width] * (K - 1), classes]
    blocks = [nn.Sequential(nn.Linear(sizes[k], sizes[k + 1])) for k in range(K)]
    for block in blocks[:-1]:
        block.append(nn.Tanh())
    heads = [nn.Linear(width, classes) for _ in range(K - 1)] + [nn.Identity()]
    with torch.no_grad():
        for part in (*blocks, *heads):
            for p in part.parameters():
                values = torch.randn(p.shape, generator=g)
                p.copy_(1.5 * values / math.sqrt(p.shape[-1]))
    x = torch.randn(batch, inputs, generator=g)
    return blocks, heads, x, torch.randint(classes, (batch,), generator=g)


@torch.no_grad()
def local_losses(blocks, heads, x, y):
    """The K losses, as numbers to look at. Returns (K,)."""
    losses, h = [], x
    for block, head in zip(blocks, heads, strict=True):
        h = block(h)
        losses.append(cross_entropy(head(h), y))
    return torch.stack(losses)


def slopes(part, directions, net, step=1e-5):
    """How fast each loss rises if the parameters of a part move. Returns (K,).

    No autograd: the part is moved a little along the directions, and back.
    """
    found, before = [], [p.detach().clone() for p in part.parameters()]
    with torch.no_grad():
        for shift in (step, -step, 0.0):
            for p, q, d in zip(part.parameters(), before, directions, strict=True):
                p.copy_(q + shift * d)
            found.append(local_losses(*net))
    return (found[0] - found[1]) / (2 * step)


def random_like(part, seed):
    """A random direction for each parameter of a part."""
    g = torch.Generator().manual_seed(1000 + seed)
    return [torch.randn(p.shape, generator=g) for p in part.parameters()]


def inner(one, other):
    """Inner product of two lists of tensors."""
    return sum(float((a * b).sum()) for a, b in zip(one, other, strict=True))


# %% [markdown]
# ### Exercise 23.3 · Each loss to its own module
# Difficulty ●●●○○ · 4 points
#
# Write `interlocked(blocks, heads, x, y, n)`, which returns the gradients of one interlocking step:
# a list over blocks and a list over heads, each entry itself a list with one tensor per parameter (an
# identity has none: an empty list). Compute them at the current weights, change nothing, not even the
# data, and leave every `.grad` alone.


# %% nbgrader={"grade": false, "grade_id": "ex23-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interlocked(blocks, heads, x, y, n):
    """Gradients of one interlocking step, at the current weights.

    blocks: K modules. heads: K modules, the last an identity. x: (batch, inputs).
    y: (batch,). n: horizon, 1 to K.
    Returns two lists of K lists of tensors, shaped like the parameters.
    """
    ### BEGIN SOLUTION
    losses, h = [], x
    for block, head in zip(blocks, heads, strict=True):
        h = block(h)
        losses.append(cross_entropy(head(h), y))

    def pull(loss, part):
        own = list(part.parameters())
        return list(torch.autograd.grad(loss, own, retain_graph=True)) if own else []

    K = len(blocks)
    for_blocks = [pull(losses[target(k, n, K)], blocks[k]) for k in range(K)]
    for_heads = [pull(losses[k], heads[k]) for k in range(K)]
    return for_blocks, for_heads
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
net = small_net(seed=1, K=4)
for_blocks, for_heads = interlocked(*net, 2)
assert len(for_blocks) == len(for_heads) == 4, "one entry per block and per head"
assert len(for_heads[3]) == 0, "the identity has no parameters"
for part, gradients in zip((*net[0], *net[1]), (*for_blocks, *for_heads), strict=True):
    assert [g.shape for g in gradients] == [p.shape for p in part.parameters()], (
        "one gradient per parameter, of its shape"
    )
direction = random_like(net[0][1], seed=1)
rise = slopes(net[0][1], direction, net)
found = inner(for_blocks[1], direction)
assert math.isclose(found, rise[2].item(), abs_tol=1e-7), (
    "with horizon 2 module 1 takes the gradient of loss 2: moved along a direction, "
    f"loss 2 rises by {rise[2]:.4f}, and your gradient says {found:.4f} "
    f"(losses 1 and 2 together: {rise[1] + rise[2]:.4f})"
)

# %% nbgrader={"grade": true, "grade_id": "ex23-3-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
for_blocks, for_heads = interlocked(*small_net(seed=0, K=1), 1)
assert len(for_blocks) == 1 and len(for_blocks[0]) == 2, "one module: weight and bias"
### BEGIN HIDDEN TESTS
for seed, K in enumerate((1, 3, 5)):
    net = small_net(seed, K=K)
    blocks, heads, x, y = net
    before = deepcopy((blocks, heads))
    for n in range(1, K + 1):
        for part in (*blocks, *heads):
            for p in part.parameters():
                p.grad = torch.full_like(p, 7.0)
        for_blocks, for_heads = interlocked(*net, n)
        assert not x.requires_grad and x.grad is None, "the data have been changed"
        assert all(part.training for part in (*blocks, *heads)), (
            "nothing is to change, the mode of a module neither"
        )
        for part, old in zip((*blocks, *heads), (*before[0], *before[1]), strict=True):
            for p, q in zip(part.parameters(), old.parameters(), strict=True):
                assert torch.equal(p, q), "the weights have been changed"
                assert p.grad is not None and (p.grad == 7.0).all(), (
                    "what stood in .grad has been changed: ask with torch.autograd.grad"
                )
        for k in range(K):
            j = min(k + n - 1, K - 1)
            direction = random_like(blocks[k], seed=10 * k + n)
            rise = slopes(blocks[k], direction, net)
            found = inner(for_blocks[k], direction)
            assert math.isclose(found, rise[j].item(), abs_tol=1e-7), (
                f"K = {K}, n = {n}: module {k} should take loss {j} and no other. The "
                f"losses' slopes are {[round(r, 4) for r in rise.tolist()]}, the "
                f"gradient's is {found:.4f}"
            )
        for k in range(K - 1):
            direction = random_like(heads[k], seed=10 * k + n)
            rise = slopes(heads[k], direction, net)
            found = inner(for_heads[k], direction)
            assert math.isclose(found, rise[k].item(), abs_tol=1e-7), (
                f"K = {K}, n = {n}: head {k} takes its own loss, once, however many "
                "modules that loss may train"
            )
        twice, _ = interlocked(*net, n)
        assert all(
            torch.equal(a, b)
            for one, two in zip(for_blocks, twice, strict=True)
            for a, b in zip(one, two, strict=True)
        ), "asked again, the answer must be the same: does something pile up?"
        tripled, _ = interlocked(blocks, heads, x.repeat(3, 1), y.repeat(3), n)
        assert all(
            torch.allclose(a, b)
            for one, two in zip(for_blocks, tripled, strict=True)
            for a, b in zip(one, two, strict=True)
        ), "losses are means over the batch"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Run forward once and collect the $K$ losses in a list. No `detach` is needed here, since you ask
# for particular parameters. Which loss do you ask about block $k$, and which about head $k$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(losses[target(k, n, K)], list(blocks[k].parameters()), retain_graph=True)`.
# Adding losses up before differentiating gives every module the sum of all that reach it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# For heads the question is about `losses[k]` and the parameters of `heads[k]`, if it has any:
# `torch.autograd.grad` refuses an empty list.
#
# </details>

# %% [markdown]
# ### Both ends of the dial, exactly
#
# The claim "$n = K$ is backpropagation" is a theorem, so it must hold to rounding, and not only in one
# step. We train three copies of one network for ten steps of Adam, which divides by past
# gradients, so that a small difference would soon be seen: one by our function, one in the ordinary
# way, one by local losses with `detach`.


# %%
def ten_steps(net, gradients):
    """Ten Adam steps, one optimiser per module, with given gradients. In place."""
    blocks, heads, x, y = net
    parts = [*blocks, *heads]
    optimisers = [
        torch.optim.Adam(part.parameters(), lr=0.01)
        for part in parts
        if list(part.parameters())
    ]
    for _ in range(10):
        for_blocks, for_heads = gradients(*net)
        for part, values in zip(parts, [*for_blocks, *for_heads], strict=True):
            for p, value in zip(part.parameters(), values, strict=True):
                p.grad = value
        for optimiser in optimisers:
            optimiser.step()
    return blocks


def ordinary(blocks, heads, x, y):
    """Backpropagation as everyone writes it; heads keep still."""
    whole = nn.Sequential(*blocks)
    whole.zero_grad()
    cross_entropy(whole(x), y).backward()
    taken = [[p.grad for p in block.parameters()] for block in blocks]
    return taken, [[torch.zeros_like(p) for p in head.parameters()] for head in heads]


def local(blocks, heads, x, y):
    """Chapter 22: a loss per module, a detach between modules."""
    h, for_blocks, for_heads = x, [], []
    for block, head in zip(blocks, heads, strict=True):
        h = block(h.detach())
        own, tops = list(block.parameters()), list(head.parameters())
        found = torch.autograd.grad(cross_entropy(head(h), y), own + tops)
        for_blocks.append(list(found[: len(own)]))
        for_heads.append(list(found[len(own) :]))
    return for_blocks, for_heads


def distance(one, other):
    """Largest difference of two lists of blocks."""
    pairs = zip(one, other, strict=True)
    return max(
        float((p - q).abs().max())
        for a, b in pairs
        for p, q in zip(a.parameters(), b.parameters(), strict=True)
    )


start = small_net(seed=23, K=5, batch=32)
after = {
    n: ten_steps(deepcopy(start), partial(interlocked, n=n)) for n in (1, 2, 3, 4, 5)
}
by_backprop = ten_steps(deepcopy(start), ordinary)
by_dgl = ten_steps(deepcopy(start), local)
print("n = K is backpropagation, to 1e-12:", distance(after[5], by_backprop) < 1e-12)
print("n = 1 is DGL, to 1e-12:", distance(after[1], by_dgl) < 1e-12)
between = [distance(after[n], by_backprop) > 1e-3 for n in (1, 2, 3, 4)]
print("n = 1, 2, 3, 4 are something else:", all(between))

# %% [markdown]
# ## 4. A certificate
#
# How would you find out what somebody else's code does? Reading it is slow, and its name proves
# nothing. Here is a loop that is quickly written. Would you have called it interlocking with horizon
# two?
#
# ```python
# for k in range(K):
#     h = blocks[k](h_cut)                      # two modules, cut below
#     loss = cross_entropy(heads[min(k + 1, K - 1)](through_next(h)), y)
#     loss.backward()                           # into .grad of whatever it meets
# optimiser.step()
# ```
#
# It has a `detach`, a window, a loss one module up. But `backward` leaves its gradient in *both* modules of
# the window, so that every module but the first collects **two** losses, its own and its neighbour's (and the last
# module the same one twice). It is another method under the same name.
#
# What a method does can be **measured**. Multiply loss $j$ by a weight $\omega_j$, run one step, and look whose
# gradient depends on $\omega_j$. Two matrices of truth values describe all there is to know, losses in
# rows, modules in columns:
#
# - **takes**: whether the parameters of module $i$ take loss $j$: true for $j = t(i)$ only;
# - **reaches**: whether loss $j$ travels as far as module $i$: true for $j - n < i \le j$, a band.


# %% tags=["given"]
def contestant(pattern, seed, decay=0.0, clip=False, tiny=1.0):
    """A sealed training step: losses times weights in, gradients out.

    pattern: (K, K), true where loss j (row) moves module i (column). Returns a function
    from weights (K,) to a list of K tensors, the gradient that each module takes.
    """
    g = torch.Generator().manual_seed(seed)
    K = len(pattern)
    pulls = torch.randn(K, K, 4, generator=g) * pattern[..., None]
    pulls[0] *= tiny  # the first loss may be a quiet one
    rest = decay * torch.randn(K, 4, generator=g)  # for example weight decay

    def step(weights):
        taken = torch.einsum("j,jid->id", weights, pulls)
        if clip:  # gradients of unit length
            taken = taken / taken.norm(dim=1, keepdim=True).clamp(min=1e-30)
        return list(taken + rest)

    return step


# %% [markdown]
# ### Exercise 23.4 · Who moves whom
# Difficulty ●●●○○ · 3 points
#
# Write `declared(n, K)`, which returns the two boolean matrices *takes* and *reaches* that interlocking
# promises, and `measured(step, K)`, which finds out what a sealed `step` does. `step(weights)` runs one
# step with loss $j$ multiplied by `weights[j]` and returns the $K$ gradients that the modules take.
# Beware: a step may have parts that come from no loss (weight decay), may rescale its gradients to unit
# length, and a leak may be as faint as $10^{-9}$.


# %% nbgrader={"grade": false, "grade_id": "ex23-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def declared(n, K):
    """What interlocking promises: takes and reaches, both (K, K) bool, [loss, module]."""
    ### BEGIN SOLUTION
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)
    ### END SOLUTION


def measured(step, K):
    """Which loss moves which module. Returns (K, K) bool, [loss, module]."""
    ### BEGIN SOLUTION
    silent, found = step(torch.zeros(K)), torch.zeros(K, K, dtype=torch.bool)
    for j, weights in enumerate(torch.eye(K)):
        for i, gradient in enumerate(step(weights)):
            found[j, i] = not torch.equal(gradient, silent[i])
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
takes, reaches = declared(2, 4)
assert takes.dtype == reaches.dtype == torch.bool, "truth values, please"
assert takes.int().tolist() == [
    [0, 0, 0, 0],
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 1],
], "in each column (module) one true entry, in the row of the loss it takes"
assert reaches.int().tolist() == [
    [1, 0, 0, 0],
    [1, 1, 0, 0],
    [0, 1, 1, 0],
    [0, 0, 1, 1],
], "loss j comes by at module j and at the n - 1 modules below it"
assert torch.equal(measured(contestant(takes, seed=1), 4), takes), (
    "an honest step must be recognised: rows are losses, columns modules"
)
assert torch.equal(measured(contestant(reaches, seed=1), 4), reaches), (
    "a step that adds up all losses that come by must be found out"
)

# %% nbgrader={"grade": true, "grade_id": "ex23-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert declared(1, 1)[0].tolist() == [[True]], "one module takes its own loss"
assert measured(contestant(torch.eye(2).bool(), seed=0), 2).shape == (2, 2), "2 x 2"
### BEGIN HIDDEN TESTS
for K in range(1, 7):
    for n in range(1, K + 1):
        takes, reaches = declared(n, K)
        assert (takes.sum(dim=0) == 1).all(), "every module takes one loss"
        assert (takes <= reaches).all(), "what is taken has come by"
        assert [int(c) for c in takes.int().argmax(dim=0)] == [
            min(i + n - 1, K - 1) for i in range(K)
        ], "module i takes loss min(i + n - 1, K - 1)"
        assert reaches.sum(dim=1).tolist() == [min(n, j + 1) for j in range(K)], (
            "a loss reaches n modules, fewer at the bottom"
        )
        assert not reaches.triu(1).any(), "no loss travels upwards"
    assert torch.equal(declared(1, K)[1], torch.eye(K).bool()), (
        "horizon 1: the identity"
    )
    assert torch.equal(declared(K, K)[1], torch.ones(K, K).tril().bool()), (
        "horizon K: the triangle"
    )
turns = torch.tensor([[0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 2.0]])


def turning(weights):
    """Module 0 takes a gradient of unit length, module 1 one whose sum is always 4."""
    taken = torch.tensor([3.0, 0.0, 0.0, 0.0]) + weights @ turns
    return [taken / taken.norm(), torch.ones(4) + weights[0] * turns[0]]


assert measured(turning, 2).tolist() == [[True, True], [True, False]], (
    "a loss may turn a gradient and leave its length, its sum or its first entry as they "
    "are: compare all entries"
)
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    takes, reaches = (torch.ones(5, 5).tril().triu(-d).bool() for d in (0, 2))
    odd = torch.rand(5, 5, generator=g) < 0.5
    for pattern in (takes, reaches, odd, torch.zeros(5, 5).bool()):
        plain = contestant(pattern, seed)
        assert torch.equal(measured(plain, 5), pattern), "a plain step"
        fat = contestant(pattern, seed, decay=1.0)
        assert torch.equal(measured(fat, 5), pattern), (
            "a gradient that is there without any loss is no loss's doing: compare with "
            "the step in which all losses are silent"
        )
        quiet = contestant(pattern, seed, tiny=1e-9)
        assert torch.equal(measured(quiet, 5), pattern), "a faint leak is a leak"
        clipped = contestant(pattern, seed, clip=True)
        assert torch.equal(measured(clipped, 5), pattern), (
            "with gradients of unit length twice the loss is the same gradient: switch a "
            "loss on and off, do not turn it up"
        )
        both = contestant(pattern, seed, decay=0.5, clip=True, tiny=1e-9)
        assert torch.equal(measured(both, 5), pattern), (
            "weight decay, unit length and a faint loss, all at once"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.arange(K)[:, None]` is a column of loss indices, `torch.arange(K)` a row of module
# indices; comparisons broadcast to a matrix.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Run the step once with all weights zero, and once for each loss with only this weight one. The
# rows of `torch.eye(K)` are such weights. Compare each module's gradient with the silent one.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The band is $j - n < i \le j$. Compare with `torch.equal`, exactly and without a tolerance.
#
# </details>

# %% [markdown]
# Now four real implementations, opened only after the measurement. All run the same network,
# $K = 5$, $n = 3$: *stitched* runs a window of three modules anew for every module and takes the
# gradient of the lowest one; *summed* lets every module collect all losses within its reach, as
# `backward` in a loop does but for the ends of the chain; *leaky* has lost its detach; *shifted* reads the horizon as a distance.


# %%
def losses_from(blocks, heads, x, y, weights):
    """The K losses with gradients, multiplied by weights."""
    losses, h = [], x
    for k, (block, head) in enumerate(zip(blocks, heads, strict=True)):
        h = block(h)
        losses.append(weights[k] * cross_entropy(head(h), y))
    return losses


def flat(loss, part):
    """The gradient of a loss as one vector."""
    found = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True)
    return torch.cat([g.flatten() for g in found])


def stitched(weights, n=3):
    blocks, heads, x, y = subject
    states = [x]
    for block in blocks:
        states.append(block(states[-1]).detach())
    taken = []
    for k in range(len(blocks)):
        j, h = target(k, n, len(blocks)), states[k]
        for block in blocks[k : j + 1]:
            h = block(h)
        taken.append(flat(weights[j] * cross_entropy(heads[j](h), y), blocks[k]))
    return taken


def summed(weights, n=3):
    losses = losses_from(*subject, weights)
    return [flat(sum(losses[k : k + n]), block) for k, block in enumerate(subject[0])]


def leaky(weights):
    return summed(weights, n=5)


def shifted(weights):
    return stitched(weights, n=4)


subject = small_net(seed=7, K=5)
promise, band = declared(3, 5)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 4, figsize=(7.2, 2.3), sharey=True)
for ax, step in zip(axes, (stitched, summed, leaky, shifted), strict=True):
    found = measured(step, 5)
    ax.imshow(band, cmap="Greys", vmin=0, vmax=3)
    for j, i in found.nonzero().tolist():
        ax.plot(
            i, j, "o" if promise[j, i] else "x", color="C0" if promise[j, i] else "C1"
        )
    ax.set(title=step.__name__, xlabel="module", xticks=range(5), yticks=range(5))
    ax.grid(False)
    print(
        f"{step.__name__:9s} is interlocking with n = 3:", torch.equal(found, promise)
    )
axes[0].set_ylabel("loss")
figure(
    fig,
    caption="What four codes do, measured. Grey: the band of horizon 3. Circles: taken as "
    "promised. Crosses: taken, but not promised.",
    alt="Four five by five grids with losses in rows and modules in columns. Stitched: one circle "
    "per column, at losses 2, 3, 4, 4, 4. Summed: the same circles with crosses in the rest of the "
    "grey band. Leaky: crosses in the whole lower triangle. Shifted: crosses one row below the "
    "circles' places, outside the band for the first column.",
)

# %%
ours, _ = interlocked(*subject, 3)
same = all(
    torch.allclose(torch.cat([g.flatten() for g in own]), other, rtol=0, atol=1e-12)
    for own, other in zip(ours, stitched(torch.ones(5)), strict=True)
)
print("stitched windows and your function give the same gradients:", same)

# %% [markdown]
# Leaky and shifted are bugs. Summed is a legitimate method with a bad name: deep supervision with a
# limited reach. Note also what
# *stitched* costs: it runs every module $n$ times forward. Exercise 23.7 does it with once.

# %% [markdown]
# ## 5. Does the credit point the right way?
#
# A module with a short horizon follows a gradient that is not the network's. How far off is it?
# Measure the cosine between the gradient that module $k$ takes and the one that backpropagation would give it,
# at the same weights and on the same batch:
#
# $$ \cos_k = \frac{\langle g_k, g_k^\star \rangle}{\|g_k\| \, \|g_k^\star\|}, \qquad
#    g_k = \frac{\partial \ell_{t(k)}}{\partial \theta_k}, \quad
#    g_k^\star = \frac{\partial \ell_{K-1}}{\partial \theta_k}, $$
#
# all parameters of the module in one vector. As long as $\cos_k > 0$, a small step along
# $-g_k$ also lowers the true loss.

# %% [markdown]
# ### Exercise 23.5 · The angle
# Difficulty ●●●○○ · 2 points
#
# Write `alignment(ours, theirs)`. Both are lists over modules of lists of tensors, as `interlocked`
# returns them for blocks. Return the $K$ cosines; where one of the two vectors is zero, or where
# there are no parameters, NaN.


# %% nbgrader={"grade": false, "grade_id": "ex23-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def alignment(ours, theirs):
    """Cosine between two gradients, module by module. Returns (K,), NaN if undefined."""
    ### BEGIN SOLUTION
    cosines = []
    for one, other in zip(ours, theirs, strict=True):
        lengths = math.sqrt(inner(one, one)) * math.sqrt(inner(other, other))
        cosines.append(inner(one, other) / lengths if lengths > 0 else math.nan)
    return torch.tensor(cosines)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
one = [[torch.tensor([3.0, 0.0]), torch.tensor([4.0])]]
other = [[torch.tensor([1.0, 0.0]), torch.tensor([0.0])]]
assert alignment(one, other).dtype == torch.float64, (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)
assert torch.allclose(alignment(one, other), torch.tensor([0.6])), (
    "one vector per module, from all of its tensors: (3, 0, 4) and (1, 0, 0)"
)
assert torch.allclose(alignment(one * 2, one * 2), torch.ones(2)), (
    "same gradient, cosine 1"
)

# %% nbgrader={"grade": true, "grade_id": "ex23-5-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert alignment([[torch.ones(2)]], [[-torch.ones(2)]]).shape == (1,), "one per module"
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (4,), (2, 2)]
    ours, theirs = (
        [[torch.randn(s, generator=g) for s in shapes] for _ in range(4)] for _ in "ab"
    )
    found = alignment(ours, theirs)
    turned = [[-t for t in m] for m in ours]
    assert torch.allclose(alignment(turned, theirs), -found), "a cosine has a sign"
    a, b = (
        torch.stack([torch.cat([t.flatten() for t in m]) for m in side])
        for side in (ours, theirs)
    )
    known = nn.functional.cosine_similarity(a, b, dim=1)
    assert torch.allclose(found, known, rtol=0, atol=1e-12), (
        "each module has the cosine of its whole vector: not the mean of its tensors' "
        "cosines, nor one number for the network"
    )
    scaled = [[1e-4 * (k + 1) * t for t in m] for k, m in enumerate(ours)]
    assert torch.allclose(alignment(scaled, theirs), found), (
        "lengths do not matter, of any module"
    )
    faint = [[1e-12 * t for t in m] for m in ours]
    for one, other in ((faint, theirs), (theirs, faint), (faint, faint)):
        known = torch.ones(4) if one is other else found
        assert torch.allclose(alignment(one, other), known), (
            "gradients of size 1e-12 have a direction as any others: is there a smallest "
            "length hidden in the division (eps)?"
        )
    assert torch.allclose(alignment(theirs, ours), found), "the order does not matter"
    still = [*ours[:2], [0 * t for t in ours[2]], []]
    found = alignment(still, [*theirs[:3], []])
    assert found.isnan().tolist() == [False, False, True, True], (
        "a zero vector and an empty one have no direction: NaN there, and only there"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Flatten a module's tensors and join them with `torch.cat`, or add up inner products tensor by tensor.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The given `inner(one, other)` is the inner product of two lists of tensors; the length of a list is
# the root of its inner product with itself.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The length of a list is `math.sqrt(inner(one, one))`; where the product of two is 0, `math.nan`.
#
# </details>

# %% [markdown]
# Now train `pair_sum` with horizons 2, 3 and 4 too, and watch the cosines: before the first step and
# after the last epoch.

# %%
for n in (2, 3):
    runs[f"n = {n}"], angles[n] = study(modular.Interlocking(n), aligned=True)

# %%
runs["n = 4"], angles[4] = study(modular.Interlocking(4), aligned=True)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 3, figsize=(7.4, 2.9))
for n in (1, 2, 3, 4):
    for ax, when in ((axes[0], 0), (axes[1], -1)):
        ax.plot(range(6), angles[n][when], marker="o", ms=4, label=f"n = {n}")
    axes[2].plot([row[0] for row in angles[n]], marker="o", ms=4)
axes[0].set(title="before training", xlabel="module", ylabel="cosine to backprop")
axes[1].set(title="after four epochs", xlabel="module", ylabel="cosine to backprop")
axes[2].set(title="module 0", xlabel="epoch", ylabel="cosine to backprop")
for ax in axes:
    ax.set(ylim=(-0.25, 1.1))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure(
    fig,
    caption="Alignment of each module's gradient with the end-to-end gradient. Modules within reach of "
    "the last loss have cosine 1 by definition.",
    alt="Three panels with lines for horizons 1 to 4. Before training, all modules beyond the reach of the "
    "last loss have a cosine of about zero, the others exactly one. After four epochs all cosines "
    "are above 0.4, higher for later modules and for longer horizons. For module 0 the cosine rises "
    "from about zero with the epochs, faster for longer horizons.",
)

# %%
first = torch.cat([angles[n][0][: 6 - n] for n in (1, 2, 3, 4)])
last = torch.cat([angles[n][-1][: 6 - n] for n in (1, 2, 3, 4)])
print(
    "before training every one of them is below 0.2 in size:",
    bool(first.abs().max() < 0.2),
)
print("after training every one of them is above 0.3:", bool(last.min() > 0.3))

# %% [markdown]
# **This should surprise you.** Before the first step the credit that a module receives has *nothing* to do with
# the true gradient, however long its horizon, unless the true loss itself is in reach. A reach of four
# modules out of six buys module 0 no alignment at all. No loss asks for alignment, no message carries the true
# gradient. And yet it comes, from the first epoch on, for every module and every horizon.
#
# At first a head is a random matrix, and so is the rest of the network above; two random matrices
# send an error back in two unrelated directions. Once both have learned something, both probably send back
# roughly "more of what this class looks like, less of the other", and those directions agree,
# because both look at the same labels. Who turns towards whom? The heads can learn to read the states, and
# the states can learn to be readable by the heads. A control below freezes the heads, and so takes one of the two
# away. (In feedback alignment, Lillicrap and others 2016, only the second is possible, and it works.)

# %% [markdown]
# ## 6. What a module of reach costs
#
# **Memory.** In one process, module $j$ runs forward, its loss goes back through the modules
# $j, \dots, j - n + 1$, and the lowest of them is then done: it takes its gradient, steps, and frees its graph
# before module $j + 1$ runs. So at most $n$ graphs exist at a time, plus one head's: about $n / K$ of what
# backpropagation holds.
#
# **Waiting.** Give each module a machine of its own. A module can update only when the loss $n - 1$ above has
# been computed and its credit has come all the way down. Let a forward pass take $F$ and a full backward pass
# $B$; it has two halves, "pass" (the gradient with respect to the input, which others wait for) and "take"
# (with respect to the parameters, which nobody waits for), of $B / 2$ each. Heads and messages cost nothing. All
# machines start idle at time 0.

# %% tags=["picture"]
fig, axes = plt.subplots(3, 1, figsize=(7.0, 5.4), sharex=True)
handles = charts(axes, {name: name for name in ("n = 2", "n = 3", "n = 4")}, 32)
fig.legend(*handles, loc="outside lower center", ncols=3)
figure(
    fig,
    caption="Three batches under horizons 2, 3 and 4, F = 1 and B = 2. A module starts its next batch as soon "
    "as it has taken its gradient.",
    alt="Three Gantt charts of six machines, one below the other. With horizon 2 the bars are dense with small gaps; with 3 "
    "and 4 there are more passes per module and longer gaps, and the three batches take "
    "longer: about 16, 20 and 26 units.",
)

# %% [markdown]
# Follow one credit in the picture. Loss $j$ exists at time $(j + 1) F$. Each module on the way down passes it
# on in $B / 2$, and the receiver takes it in $B / 2$. One detail at the top of the chain: a module that has to
# *pass* the same loss on to someone below does so before it takes it, since others wait.

# %% [markdown]
# ### Exercise 23.6 · The bill
# Difficulty ●●●●○ · 4 points
#
# Write `peak(n, graphs, heads)`: the most bytes held at one moment in one process, if the graph of module $k$ has
# `graphs[k]` bytes and that of head $k$ `heads[k]`. A head's graph is freed once its loss has been pulled back to
# $h_k$, before modules take anything; the head comes on top of all graphs of modules that are still waiting.
#
# And write `update_times(n, K, F, B)`: the list of times at which the modules have finished their
# updates with the first batch.


# %% nbgrader={"grade": false, "grade_id": "ex23-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def peak(n, graphs, heads):
    """Most bytes held in one process. graphs, heads: K numbers each, n: horizon."""
    ### BEGIN SOLUTION
    K, held, most = len(graphs), set(), 0
    for j in range(K):
        held.add(j)
        most = max(most, sum(graphs[k] for k in held) + heads[j])
        held -= set(takers(j, n, K))
    return most
    ### END SOLUTION


def update_times(n, K, F, B):
    """When each module has taken its gradient, one machine per module. Returns K times.

    F: seconds of a forward pass. B: of a backward pass; pass and take are B / 2 each.
    """
    ### BEGIN SOLUTION
    times = []
    for k in range(K):
        j = target(k, n, K)
        arrives = (j + 1) * F + (j - k) * B / 2
        passes = k > takers(j, n, K)[0]
        times.append(arrives + (B / 2 if passes else 0.0) + B / 2)
    return times
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert peak(1, [10] * 6, [1] * 5 + [0]) == 11, "horizon 1: one graph and its head"
assert peak(6, [10] * 6, [1] * 5 + [0]) == 60, (
    "horizon K: all graphs, and the last module has no head"
)
assert peak(2, [40, 20, 10, 5], [1, 1, 1, 0]) == 61, (
    "the lower modules are the large ones here: modules 0 and 1 with head 1"
)
assert list(update_times(1, 3, 1.0, 2.0)) == [2.0, 3.0, 4.0], (
    "horizon 1: forward passes one after another, each followed by one take"
)
assert list(update_times(3, 3, 1.0, 2.0)) == [6.0, 6.0, 5.0], (
    "horizon K: three forward passes; module 2 passes and takes, module 1 waits for one "
    "pass, module 0 for two and has nobody to pass to"
)

# %% nbgrader={"grade": true, "grade_id": "ex23-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
assert peak(1, [5.0], [0.0]) == 5.0, "one module"
assert len(update_times(1, 2, 1.0, 1.0)) == 2, "one time per module"
### BEGIN HIDDEN TESTS
for seed in range(6):
    g = torch.Generator().manual_seed(seed)
    K = 2 + seed
    graphs = torch.randint(1, 100, (K,), generator=g).tolist()
    heads = torch.randint(0, 60, (K,), generator=g).tolist()
    for n in range(1, K + 1):
        windows = [sum(graphs[max(0, j - n + 1) : j + 1]) + heads[j] for j in range(K)]
        assert peak(n, graphs, heads) == max(windows), (
            f"graphs {graphs}, heads {heads}, n = {n}: when loss j is computed, which "
            "modules are still waiting for a loss?"
        )
for K in (1, 2, 4, 6):
    layers = [nn.Linear(2, 2) for _ in range(K)]
    partition = modular.Partition(layers, K, sample=torch.zeros(1, 2))
    sgd = partial(torch.optim.SGD, lr=0.1)
    for n in range(1, K + 1):
        trainer = modular.Trainer(partition, modular.Interlocking(n), optimizer=sgd)
        for F, B in ((1.0, 2.0), (3.0, 1.0), (0.5, 4.0)):
            plan = audit.timeline(trainer, modular.Calibrated(F, B))
            known = [0.0] * K
            for event, end in zip(plan.events, plan.end.tolist(), strict=True):
                if event.kind == "take":
                    known[event.module] = end
            found = torch.tensor([float(t) for t in update_times(n, K, F, B)])
            assert torch.allclose(found, torch.tensor(known, dtype=torch.float64)), (
                f"K = {K}, n = {n}, F = {F}, B = {B}: the schedule, played through, ends "
                f"at {known}, your times are {found.tolist()}"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Memory: play it through with a set of waiting modules. Module $j$ joins; measure; those who take loss $j$
# leave. Time: loss $j$ is there at $(j + 1) F$ and comes down one module per $B / 2$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The credit of loss $j = t(k)$ arrives at module $k$ at $(j + 1) F + (j - k) B / 2$. Then comes the take, $B / 2$,
# and before it a pass, if a module below $k$ takes the same loss.
#
# </details>
# <details><summary>Hint 3</summary>
#
# What is held when loss $j$ is computed: `sum(graphs[k] for k in held) + heads[j]`. A module passes the
# loss that it takes if `k > takers(j, n, K)[0]`.
#
# </details>

# %% [markdown]
# The first module has the longest wait relative to its start at time 0, and it cannot begin the next batch
# before its update. Its time is therefore the *time per batch* of the whole pipeline:
#
# $$ T(n) = n F + (n - 1)\tfrac{B}{2} + \tfrac{B}{2} = n \Big( F + \frac{B}{2} \Big), \qquad
#    \text{memory} \approx \frac{n}{K} . $$
#
# Both costs are **linear in the horizon**. Each module of reach costs the same, the sixth as much as the second. If
# the gain in accuracy is *not* linear, some horizons are worth more than their price. Check both laws on
# the trained networks, with the library's meter and its clock.

# %%
batch = task.x[:64].clone(), task.y[:64]
measured_bytes = {
    n: audit.memory(runs[f"n = {n}"], batch).peak for n in (1, 2, 3, 4)
} | {6: audit.memory(runs["Backprop"], batch).peak}
step_bytes = measured_bytes[2] - measured_bytes[1]
print("every module of reach adds the same bytes:", end=" ")
print(all(measured_bytes[n + 1] - measured_bytes[n] == step_bytes for n in (1, 2, 3)))


def seconds_per_batch(trainer):
    """Steady state of the schedule: what twenty more batches take, each."""
    ends = [audit.timeline(trainer, clock, steps=s).makespan for s in (20, 40)]
    return (ends[1] - ends[0]) / 20


for n in (1, 2, 3, 4):
    share = measured_bytes[n] / measured_bytes[6]
    law = update_times(n, 6, 1.0, 2.0)[0]
    found = seconds_per_batch(runs[f"n = {n}"])
    print(
        f"n = {n}: memory {share:.2f} of Backprop's, time per batch {found:.0f},",
        end=" ",
    )
    print("as the law says:", math.isclose(found, law))
print(f"Backprop: time per batch {seconds_per_batch(runs['Backprop']):.0f}")

# %% [markdown]
# The line of memory does not start at $1/K$: one head and the states at the edges of the window come on top, which
# shows if modules are as small as these. (Backprop needs more than $T(6)$, as its backward pass is done in one piece: pass and take together, while the
# modules below wait for both. Passing first would bring it down to $T(6)$. A fair baseline knows
# this trick.)
#
# ### The step that keeps the promise
#
# `interlocked` of exercise 23.3 holds the graph of the whole network: it has the right gradients and none of
# the savings. The last exercise is the real thing: one pass through the chain in which every module is
# forwarded **once**, credits are handed down from module to module, and a module is updated and forgotten as soon
# as its loss has come by.
#
# - Between modules the graph is cut: `h_in = h.detach().requires_grad_()`.
# - A credit is a tensor shaped like $h_k$: the gradient of some loss with respect to it.
# - To **pass** a credit, `torch.autograd.grad(h_out, h_in, credit, retain_graph=True)`.
# - To **take** it, `h_out.backward(credit)`, which also frees the graph, then step.
#
# The meter for the savings is that of chapter 21, from the library: `SavedTensors` counts every storage once and
# leaves parameters out.


# %% tags=["given"]
def most_held(step, *parts):
    """Most bytes that autograd holds at one moment of step(), parameters left out."""
    with SavedTensors(
        exclude=[p for part in parts for p in part.parameters()]
    ) as meter:
        step()
    return meter.peak


def own_optimisers(blocks, heads, kind=torch.optim.Adam, lr=0.01):
    """One optimiser per module, for its block and its head."""
    return [
        kind([*block.parameters(), *head.parameters()], lr=lr)
        for block, head in zip(blocks, heads, strict=True)
    ]


# %% [markdown]
# ### Exercise 23.7 · One pass, n graphs
# Difficulty ●●●●● · 5 points
#
# Write `interlocking_step(blocks, heads, optimisers, x, y, n)`: one step of training, in place. `optimisers[k]`
# owns the parameters of block $k$ and of head $k$. The weights afterwards must be those of exercise 23.3's
# gradients, all taken at the old weights. Run every block and every head forward once, hold at most $n$ graphs of
# modules (and one head's) at a time, and return the $K$ losses as a list of numbers. Gradients left over in
# `.grad` from before must not matter, and the data stay as they are: nobody asks *them* for a gradient.


# %% nbgrader={"grade": false, "grade_id": "ex23-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interlocking_step(blocks, heads, optimisers, x, y, n):
    """One interlocking step in place; at most n graphs at a time.

    blocks, heads, optimisers: K each. x: (batch, inputs). y: (batch,). n: 1 to K.
    Returns the K losses before the update, a list of numbers.
    """
    ### BEGIN SOLUTION
    K, graphs, losses, h = len(blocks), {}, [], x
    for j in range(K):
        optimisers[j].zero_grad()
        h_in = h.detach().requires_grad_()
        graphs[j] = h_in, blocks[j](h_in)
        h = graphs[j][1].detach()
        leaf = h.clone().requires_grad_()
        loss = cross_entropy(heads[j](leaf), y)
        losses.append(loss.item())
        loss.backward()  # into the head, and into the leaf: there the credit starts
        credit, learners = leaf.grad, takers(j, n, K)
        for k in range(j, min(learners, default=K) - 1, -1):
            h_in, h_out = graphs[k]
            passed = None
            if k > learners[0]:
                (passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)
            if k in learners:
                h_out.backward(credit)
                optimisers[k].step()
                del graphs[k]
            credit = passed
    return losses
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex23-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
net = small_net(seed=5, K=4)
old = deepcopy(net)
losses = local_losses(*old)
blocks, heads, x, y = net
found = interlocking_step(
    blocks, heads, own_optimisers(blocks, heads, torch.optim.SGD, lr=1.0), x, y, 2
)
assert torch.allclose(torch.tensor(found), losses), "the losses before the update"
for name, part, before, j in (
    ("module 1", blocks[1], old[0][1], 2),
    ("head 1", heads[1], old[1][1], 1),
):
    direction = random_like(before, seed=5)
    rise = slopes(before, direction, old)[j].item()
    moved = [
        q.detach() - p.detach()
        for p, q in zip(part.parameters(), before.parameters(), strict=True)
    ]
    assert math.isclose(inner(moved, direction), rise, abs_tol=1e-7), (
        f"plain descent with rate 1 must move {name} by minus the gradient of loss {j}, "
        f"taken at the old weights: along a direction that is {rise:.4f}, and yours "
        f"moved by {inner(moved, direction):.4f}"
    )

# %% nbgrader={"grade": true, "grade_id": "ex23-7-heldout", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
blocks, heads, x, y = small_net(seed=0, K=2)
losses = interlocking_step(blocks, heads, own_optimisers(blocks, heads), x, y, 1)
assert len(losses) == 2, "one loss per module"
### BEGIN HIDDEN TESTS
for seed, K in enumerate((1, 3, 5)):
    for n in range(1, K + 1):
        net = small_net(seed, K=K)
        blocks, heads, x, y = net
        for part in (*blocks, *heads):
            for p in part.parameters():
                p.grad = torch.full_like(p, 7.0)
        old = deepcopy(net)
        interlocking_step(
            blocks, heads, own_optimisers(blocks, heads, torch.optim.SGD, 1.0), x, y, n
        )
        assert all(part.training for part in (*blocks, *heads)), (
            "modules that learn stay in training mode: a step switches nothing"
        )
        assert not x.requires_grad and x.grad is None and torch.equal(x, old[2]), (
            "the data have been changed: the first entrance is to be cut as well"
        )
        for k in range(2 * K - 1):
            part, before = (*blocks, *heads)[k], (*old[0], *old[1])[k]
            j = min(k + n - 1, K - 1) if k < K else k - K
            direction = random_like(before, seed=k)
            rise = slopes(before, direction, old)[j].item()
            moved = [
                q.detach() - p.detach()
                for p, q in zip(part.parameters(), before.parameters(), strict=True)
            ]
            name = f"module {k}" if k < K else f"head {k - K}"
            assert math.isclose(inner(moved, direction), rise, abs_tol=1e-7), (
                f"K = {K}, n = {n}: {name} has not moved along loss {j} alone, taken at "
                "the old weights"
            )


def trained(net, n, steps=10):
    blocks, heads, x, y = deepcopy(net)
    optimisers = own_optimisers(blocks, heads)
    for _ in range(steps):
        interlocking_step(blocks, heads, optimisers, x, y, n)
    return blocks


def differ(one, other):
    return max(
        float((p - q).detach().abs().max())
        for a, b in zip(one, other, strict=True)
        for p, q in zip(a.parameters(), b.parameters(), strict=True)
    )


net = small_net(11, K=4, batch=20)
plain, _, x, y = deepcopy(net)
whole = nn.Sequential(*plain)
adam_whole = torch.optim.Adam(whole.parameters(), lr=0.01)
for _ in range(10):
    adam_whole.zero_grad()
    cross_entropy(whole(x), y).backward()
    adam_whole.step()
assert differ(trained(net, 4), plain) < 1e-12, (
    "with n = K ten Adam steps must be those of backpropagation"
)
blocks, heads, x, y = deepcopy(net)
alone = own_optimisers(blocks, heads)
for _ in range(10):
    h = x
    for block, head, optimiser in zip(blocks, heads, alone, strict=True):
        optimiser.zero_grad()
        h_out = block(h)
        cross_entropy(head(h_out), y).backward()
        optimiser.step()
        h = h_out.detach()
assert differ(trained(net, 1), blocks) < 1e-12, (
    "with n = 1 ten Adam steps must be those of local losses"
)
momentum = partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1)
for n in (2, 3):
    for kind, lr in ((torch.optim.Adam, 0.01), (momentum, 0.05)):
        blocks, heads, x, y = deepcopy(net)
        twin, tops, _, _ = deepcopy(net)
        mine = own_optimisers(blocks, heads, kind, lr)
        theirs = own_optimisers(twin, tops, kind, lr)
        for _ in range(4):
            interlocking_step(blocks, heads, mine, x, y, n)
            h, losses = x, []
            for block, head in zip(twin, tops, strict=True):
                h = block(h)
                losses.append(cross_entropy(head(h), y))
            aims = [(block, losses[min(k + n - 1, 3)]) for k, block in enumerate(twin)]
            for part, loss in [*aims, *zip(tops[:3], losses[:3], strict=True)]:
                own = list(part.parameters())
                found = torch.autograd.grad(loss, own, retain_graph=True)
                for p, gradient in zip(own, found, strict=True):
                    p.grad = gradient
            for optimiser in theirs:
                optimiser.step()
        assert max(differ(blocks, twin), differ(heads, tops)) < 1e-10, (
            f"n = {n}: after four steps the weights are not those of four steps with the "
            "gradients of exercise 23.3, one step of each optimiser per batch"
        )


class Kept:
    """What autograd keeps in place of a tensor; it dies with its graph."""

    def __init__(self, tensor):
        self.tensor = tensor.detach()


def graphs_alive(parts, step):
    """Most of the parts whose graphs are alive at once; None if step() takes no hooks."""
    alive, running, most = Counter(), [None], [0]

    def pack(tensor):
        kept, part = Kept(tensor), running[0]
        if part is not None:
            alive[part] += 1
            weakref.finalize(kept, alive.subtract, [part])
            most[0] = max(most[0], sum(count > 0 for count in alive.values()))
        return kept

    def enters(part, inputs):
        running[0] = part

    def leaves(part, inputs, output):
        running[0] = None

    handles = [part.register_forward_pre_hook(enters) for part in parts]
    handles += [part.register_forward_hook(leaves) for part in parts]
    hooks = torch.autograd.graph.saved_tensors_hooks
    try:
        with hooks(pack, lambda kept: kept.tensor):
            step()
    except RuntimeError as error:  # torch.func refuses hooks
        if "hooks" not in str(error):
            raise
        return None
    finally:
        for handle in handles:
            handle.remove()
    return most[0]


def in_time(net, n):
    """Whether every module has been updated before module t(k) + 1 runs forward."""
    blocks, heads, x, y = net
    old, late = deepcopy(blocks), []

    def enters(block, inputs):
        j = [block is other for other in blocks].index(True)
        late.extend(
            all(torch.equal(p, q) for p, q in zip(*pair, strict=True))
            for pair in (
                (blocks[k].parameters(), old[k].parameters()) for k in range(j - n + 1)
            )
        )

    handles = [block.register_forward_pre_hook(enters) for block in blocks]
    interlocking_step(blocks, heads, own_optimisers(blocks, heads), x, y, n)
    for handle in handles:
        handle.remove()
    return not any(late)


calls = []
blocks, heads, x, y = small_net(12, K=8, width=16, batch=200)
for part in (*blocks, *heads):
    part.register_forward_hook(lambda part, inputs, output: calls.append(id(part)))
for n in (1, 2, 4, 8):
    calls.clear()
    interlocking_step(blocks, heads, own_optimisers(blocks, heads), x, y, n)
    assert len(calls) == len(set(calls)) == 16, (
        "every block and every head runs forward once in a step"
    )
    for parts, limit, what in ((blocks, n, "modules"), (heads[:-1], 1, "heads")):
        step = partial(
            interlocking_step, blocks, heads, own_optimisers(blocks, heads), x, y, n
        )
        most = graphs_alive(parts, step)
        assert most is None or most <= limit, (
            f"n = {n}: the graphs of {most} {what} are alive at once, {limit} is enough. "
            "Which graph is still needed?"
        )
        if most is None:
            assert in_time(small_net(12, K=8, width=16), n), (
                f"n = {n}: a module is to be updated and forgotten as soon as its loss has "
                "come by, before the next module runs forward"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Loop over $j$. Forward module $j$ from a detached state and keep `(h_in, h_out)` in a dictionary. Compute
# its loss on a detached copy of $h_j$: `loss.backward()` then reaches the head and this copy, and the copy's
# `.grad` is the credit to start with.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Who takes loss $j$? If nobody, the head has had its gradient, and that is all. Else go down from $j$ to the lowest
# taker. On each module: if someone below takes this loss, pass first; if the module is a taker, take, step,
# and delete its graph. The passed credit is the next module's.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Pass: `(passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)`, if somebody below takes
# the same loss. Take: `h_out.backward(credit)`. Old gradients of module $j$ go when it runs forward.
#
# </details>

# %%
blocks, heads, x, y = small_net(23, K=8, width=16, batch=200)
print("most bytes held in a step, eight modules:")
for n in (1, 2, 4, 8):
    twin = deepcopy((blocks, heads))
    step = partial(interlocking_step, *twin, own_optimisers(*twin), x, y, n)
    print(f"  n = {n}: {most_held(step, *twin[0], *twin[1]) / 1024:5.0f} KiB")
held = most_held(partial(interlocked, blocks, heads, x, y, 2), *blocks, *heads)
print(f"  exercise 23.3, any n: {held / 1024:5.0f} KiB")

# %% [markdown]
# ## The library's version
#
# In the library a method is a *value*. `modular.Interlocking(n)` says which loss trains whom and in which order
# things happen; one `Trainer` plays it, for this method and every other, in one process or in many. Its promises
# are matrices, as yours, and `audit.isolation` measures them on the running trainer.

# %%
for n in (1, 2, 3, 5):
    blocks, heads, x, y = deepcopy(start)
    partition = modular.Partition(blocks, 5, sample=x[:1])
    for block, head in zip(partition.blocks, heads, strict=True):
        block.head.predict = deepcopy(head)
    plain_adam = partial(torch.optim.Adam, lr=0.01)
    trainer = modular.Trainer(partition, modular.Interlocking(n), optimizer=plain_adam)
    mine, tops = deepcopy((blocks, heads))
    optimisers = own_optimisers(mine, tops)
    for _ in range(10):
        trainer.step((x, y))
        interlocking_step(mine, tops, optimisers, x, y, n)
    takes, reaches = declared(n, 5)
    found = audit.isolation(trainer, (x, y))
    print(
        f"n = {n}: ten Adam steps agree to 1e-12: {distance(mine, blocks) < 1e-12},",
        f"matrices agree: {torch.equal(found.takes, takes)}",
        f"{torch.equal(found.reaches, reaches)}, promise kept: {found.holds}",
    )

# %%
half = audit.alignment(trainer, (x, y))
trainer = modular.Trainer(partition, modular.Interlocking(2), optimizer=plain_adam)
ours, _ = interlocked(blocks, [b.head for b in partition.blocks], x, y, 2)
truth, _ = interlocked(blocks, [b.head for b in partition.blocks], x, y, 5)
same = torch.allclose(alignment(ours, truth), audit.alignment(trainer, (x, y)))
print("alignment, the same:", same)
print("with n = K every cosine is one:", torch.allclose(half, torch.ones(5)))

# %% [markdown]
# ## Signature result: the frontier
#
# How much horizon is enough? The library's benchmark trains the six modules on 12 000 pairs for twelve epochs with
# five seeds. A seed fixes the digits, the weights and the order of the batches for all methods alike, so that
# differences are taken **seed by seed**; what varies between seeds drops out. On the same plot stand the rivals:
#
# - **Backprop**, all the way;
# - **DGL with larger heads**, one private hidden layer each, and no reach at all;
# - **cut less finely**: three modules of two blocks, or two of three, each with a local loss (trained one after
#   another). Such a module holds as many graphs at a time as a horizon of two or three does.

# %%
benchmark = stored("modular")
ladder = benchmark["ladder"]


def accuracies(name):
    """Test accuracy in per cent, one number per seed."""
    rows = ladder["runs"][name]
    return torch.tensor([row["accuracy"] for row in rows], dtype=torch.float64)


def mean_and_error(values):
    """Mean and standard error."""
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def share_of_bytes(name):
    """Bytes held in a step, in units of Backprop's."""
    held = [ladder["runs"][key][0]["saved_bytes"] for key in (name, "backprop")]
    return held[0] / held[1]


horizons = {f"interlocking n={n}": n for n in (1, 2, 3, 4)}
families = {
    "horizon n = 1, 2, 3, 4": list(horizons),
    "K = 3 or 2 modules, n = 1": ["greedy K=3", "greedy K=2"],
    "n = 1, larger heads": ["dgl K=6"],
    "Backprop": ["backprop"],
}
pairs = {
    "horizon 2 - 1": ("interlocking n=2", "interlocking n=1"),
    "horizon 3 - 2": ("interlocking n=3", "interlocking n=2"),
    "horizon 4 - 3": ("interlocking n=4", "interlocking n=3"),
    "Backprop - horizon 4": ("backprop", "interlocking n=4"),
    "horizon 2 - larger heads": ("interlocking n=2", "dgl K=6"),
    "horizon 2 - K = 3, n = 1": ("interlocking n=2", "greedy K=3"),
    "horizon 3 - K = 2, n = 1": ("interlocking n=3", "greedy K=2"),
}
seeds = ladder["setting"]["seeds"]
print(f"paired differences in points, {seeds} seeds, mean and standard error")
for name, (one, other) in pairs.items():
    mean, error = mean_and_error(accuracies(one) - accuracies(other))
    print(f"  {name:26s} {mean:+5.1f} +- {error:.1f}")
low, high = (accuracies(name).mean() for name in ("interlocking n=1", "backprop"))
print("share of the gap between n = 1 and Backprop that a horizon closes:")
for name, n in horizons.items():
    closed = (accuracies(name).mean() - low) / (high - low)
    print(f"  n = {n}: {closed:4.0%} with {share_of_bytes(name):.0%} of the memory")

# %%
F, B = 1.0, 2.0
waits = {name: update_times(n, 6, F, B)[0] for name, n in horizons.items()}
waits |= {"dgl K=6": update_times(1, 6, F, B)[0]}
waits |= {"backprop": 6 * F + 5 * B + B / 2}
waits |= {f"greedy K={K}": 6 // K * (F + B) - B / 2 for K in (2, 3)}

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 3, figsize=(7.6, 3.6))
for index, (label, names) in enumerate(families.items()):
    points = [mean_and_error(accuracies(name)) for name in names]
    means, errors = zip(*points, strict=True)
    for ax, places in (
        (axes[0], [share_of_bytes(name) for name in names]),
        (axes[1], [waits[name] for name in names]),
    ):
        line = "-" if index == 0 else ":"
        marker = "os^D"[index]
        ax.errorbar(
            places, means, errors, fmt=marker, ls=line, ms=5, capsize=2, label=label
        )
for name, n in horizons.items():
    rows = [row["per_module"] for row in ladder["runs"][name]]
    each = torch.tensor(rows, dtype=torch.float64).mean(dim=0)
    axes[2].plot(range(6), each, marker="o", ms=4, label=f"n = {n}")
axes[0].set(xlabel="memory / Backprop's", ylabel="test accuracy in %", title="memory")
axes[1].set(xlabel="time per batch", ylabel="test accuracy in %", title="waiting")
axes[2].set(xlabel="module", ylabel="accuracy of its head in %", title="heads")
axes[2].legend(fontsize=9)
fig.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=2,
    fontsize=9,
)
figure(
    fig,
    caption="Accuracy (mean and standard error over seeds) against memory, and against time per batch "
    "with F = 1, B = 2. Right: how well the head of each module predicts.",
    alt="Three panels. Left: accuracy rises with the horizon's memory, steeply at first, from about 82 "
    "per cent with a quarter of the memory to Backprop's level, about 91.5, with 70 per cent of it; "
    "larger heads and coarser cuts lie on or a little above that curve. Middle: against time per batch "
    "the horizons climb from 2 to 8 units; Backprop stands far to the right at 17. Right: with "
    "horizon 1 the first head already reaches almost 80 per cent and later ones add little; with horizon "
    "4 the first head has less than 40 and the last ones more than 90.",
)

# %% [markdown]
# Read the panels from left to right.
#
# **Memory.** The curve is steep at first and flattens: one module of reach closes about half of the gap, three close
# nearly all of it, within the error bars. Costs are linear, gains are not.
#
# **Waiting.** Seen from the machines, horizon 4 is as good as Backprop at half of its time per batch (at two thirds of
# it, if Backprop passes first).
#
# **The heads, and this is the real surprise.** With horizon 1 the first module alone predicts the sum of two digits
# almost as well as the whole network, and later modules add little. With horizon 4 the first module is a
# *worse* predictor by far, and the network a much better one. Nobody asks that module to predict any more. It prepares:
# it is free to keep what its own head cannot use. Greedy modules are not too weak; they are too eager.
#
# **And the rivals are as good.** A horizon of two does what one private hidden layer per head does:
# it *is* DGL, with a head borrowed from the neighbour, who pays for it. And a network cut into larger modules, with
# no reach at all, is at the same memory no worse; with its modules trained at the same time, as in the re-run below,
# a batch takes a quarter to a third longer, on two or three machines instead of six. Interlocking is not the only way to
# spend $n$ graphs, and a paper that proposes it should show this comparison.
#
# ### The clock on the wall
#
# The times above are computed. Did real processes obey? The benchmark ran four modules in four processes which sleep
# for 20 ms forward and 40 ms backward instead of computing, so that only the schedule counts.

# %%
clocked = benchmark["unlocking"]
F_ms, B_ms = 1000 * clocked["forward"], 1000 * clocked["backward"]
for name, n in (("locked", None), ("pairwise", 2), ("local", 1)):
    per_batch = 1000 * clocked[name]["seconds"] / clocked["steps"]
    law = 4 * F_ms + 3.5 * B_ms if n is None else update_times(n, 4, F_ms, B_ms)[0]
    speed = clocked[name]["speed_up"]
    print(
        f"{name:9s} {per_batch:4.0f} ms per batch, law {law:4.0f}, {speed:.1f} times locked"
    )

# %% [markdown]
# ### A re-run, and its controls
#
# In this chapter you have trained one seed for four epochs: does the ladder show? And is it *credit* that climbs
# it? Perhaps the messages merely keep the lower modules moving. Controls, all with horizon 3 unless said
# otherwise:
#
# - **scrambled**: every credit that crosses a cut is given to the wrong sample of the batch. Same sizes, same
#   costs, same messages, no information.
# - **lower modules frozen**: only the last module learns, on five random ones. What scrambled credit is worth
#   should be measured from here.
# - **untrained heads**: the credit comes down through heads that stay random.
# - untrained heads with **horizon 1**.


# %%
class Scrambled(modular.InProcess):
    """Hands every credit to the next sample of the batch."""

    def send_credit(self, module, loss, g):
        super().send_credit(module, loss, g.roll(1, dims=0))


runs["scrambled"], _ = study(modular.Interlocking(3), transport=Scrambled())
runs["modules 0 to 4 frozen"], _ = study(modular.Backprop(), frozen=5)
runs["untrained heads"], _ = study(modular.Interlocking(3), frozen_heads=True)

# %%
runs["untrained heads, n = 1"], angles["frozen"] = study(
    modular.DGL(), frozen_heads=True, aligned=True
)
runs["K = 3, n = 1"], _ = study(modular.DGL(), modules=3)
runs["K = 2, n = 1"], _ = study(modular.DGL(), modules=2)

# %%
order = ["n = 1", "n = 2", "n = 3", "n = 4", "Backprop", "K = 3, n = 1", "K = 2, n = 1"]
controls = ["scrambled", "modules 0 to 4 frozen"]
controls += ["untrained heads", "untrained heads, n = 1"]
values = [final_accuracy(name)[-1].item() for name in (*order, *controls)]
colours = ["C0"] * 4 + ["k"] + ["C2"] * 2 + ["C1"] * 4

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.4))
ax.barh(range(11), values, color=colours)
for place, value in enumerate(values):
    ax.text(value + 1, place, f"{value:.0f}", va="center", fontsize=8)
ax.axvline(10, color="0.4", lw=0.8, ls=":")
ax.set(yticks=range(11), xlabel="test accuracy in %", ylabel="method")
ax.set_yticklabels([*order, *controls])
ax.invert_yaxis()
ax.grid(False)
figure(
    fig,
    caption="One seed, four epochs. Blue: horizons. Green: coarser cuts. Orange: controls. Dotted: "
    "chance.",
    alt="Bar chart of test accuracies. Horizons 1 to 4 rise step by step towards Backprop's bar. Two or "
    "three larger modules with local losses lie between horizons 3 and 4. The "
    "scrambled control falls to about 20 per cent, as low as with frozen lower modules; untrained heads with horizon 3 lose about twenty "
    "points against trained ones, untrained heads with horizon 1 about ten.",
)

# %%
climb = [final_accuracy(f"n = {n}")[-1] for n in (1, 2, 3, 4)]
print("a reach of four modules gains more than five points:", end=" ")
print(bool(climb[-1] - climb[0] > 5))
print("scrambled credit is worse than no reach at all:", end=" ")
print(bool(final_accuracy("scrambled")[-1] < climb[0] - 10))
frozen, free = angles["frozen"][-1][:5], angles[1][-1][:5]
print("untrained heads, n = 1: all cosines rise above 0.2:", bool(frozen.min() > 0.2))
print(
    "  and on average stay below trained heads':",
    bool(frozen.mean() < free.mean() - 0.05),
)

# %% [markdown]
# Scrambled, the reach does harm: the weights of the lower modules move and learn nothing, and the network is worth no
# more than one whose lower modules never learned. So it is the information in the credit that raises the accuracy.
#
# The untrained heads answer the question of section 5. With horizon 1 their modules still align, and learn: the
# *states* turn until the fixed head can read them. Trained heads align more: both sides turn. But with a longer
# horizon a module has to suit a fixed head *through a neighbour that adapts to another one*, and much more is lost. A
# horizon needs heads that learn.

# %% [markdown]
# ## An experiment to change
#
# Blocks are not alike. In a convolutional network the early states are large and the late ones small. Below is the
# bill for twelve modules under three shapes, by your own functions. Change the numbers, and guess first.

# %%
MODULES = 12
SHAPES = {
    "all alike": [1.0] * MODULES,
    "early ones large": [2.0 ** -(k // 3) for k in range(MODULES)],
    "one giant": [8.0 if k == 6 else 1.0 for k in range(MODULES)],
}
HEAD = 0.2  # of the module it sits on
FORWARD, BACKWARD = 1.0, 2.0

fig, axes = plt.subplots(1, 2, figsize=(7, 3.0))
reach = range(1, MODULES + 1)
for name, sizes in SHAPES.items():
    tops = [HEAD * size for size in sizes[:-1]] + [0.0]
    whole = sum(sizes)
    shares = [peak(n, sizes, tops) / whole for n in reach]
    axes[0].plot(reach, shares, marker=".", label=name)
    print(f"{name:17s} horizon 2 holds {shares[1]:.0%} of Backprop's graphs")
locked = MODULES * (FORWARD + BACKWARD) - BACKWARD / 2
speed = [locked / update_times(n, MODULES, FORWARD, BACKWARD)[0] for n in reach]
axes[1].plot(reach, speed, marker=".", label="against Backprop")
fair = [value / speed[-1] for value in speed]
axes[1].plot(reach, fair, marker=".", label="against Backprop, passing first")
axes[0].set(xlabel="horizon n", ylabel="memory / Backprop's", ylim=(0, 1.05))
axes[1].set(xlabel="horizon n", ylabel="speed-up", yscale="log")
axes[1].set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
axes[1].minorticks_off()
for ax in axes:
    ax.set_xticks(range(2, MODULES + 1, 2))
    ax.legend(fontsize=8)
figure(
    fig,
    caption="Memory and speed of twelve modules against the horizon.",
    alt="Left: memory against the horizon. With modules alike it is a straight line up to one; if the early "
    "ones are large it rises fast and is bent, above half at horizon 3; with one giant it starts at a half. "
    "Right, on a log axis: the speed-up falls like one over n, from seventeen against ordinary "
    "Backprop and twelve against Backprop that passes first.",
)

# %% [markdown]
# - What keeps the giant's curve from starting lower? Suppose you cut by *bytes* instead of by blocks, as
#   `Partition(..., balance="bytes")` does: what would become of the three curves?
# - `HEAD = 2.0`: heads as large as two modules. From which horizon on is there anything left to save?
# - In section 5, `study(modular.Interlocking(5), aligned=True)`: is a horizon of $K - 1$ worse than Backprop?
# - `study(modular.Interlocking(3, modular.PredSim()))`: does another local loss change what the horizon buys?
#
# ## When it fails
#
# **When memory is the reason.** If it is memory that you lack, and not time, then there is a classical method that
# costs one more forward pass, has the *exact* gradient and needs neither heads nor horizons: checkpointing (chapter
# 21). The benchmark measured both at depth 32.

# %%
held = benchmark["memory"]
cuts = (2, 4, 8)
rows = {
    "local losses, n = 1": [held[f"dgl K={K}"]["ratio"] for K in cuts],
    "horizon 2": [held[f"interlocking n=2, K={K}"]["ratio"] for K in cuts],
    "checkpointing, exact": [held[f"checkpointing {K}"]["ratio"] for K in cuts],
}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
for (name, ratios), marker in zip(rows.items(), "os^", strict=True):
    ax.plot(range(3), ratios, marker=marker, label=name)
ax.set(xlabel="modules or segments", ylabel="memory / Backprop's", ylim=(0, 1.08))
ax.set_xticks(range(3), [str(K) for K in cuts])
ax.legend(fontsize=8)
figure(
    fig,
    caption="Bytes held for the backward pass, 32 blocks, in units of Backprop's.",
    alt="Memory against the number of modules, 2, 4 and 8. Local losses fall from about a half to about one "
    "sixth. Checkpointing starts at a half as well and ends at a quarter. Horizon 2 starts at one, "
    "and with eight modules still lies a little above checkpointing.",
)

# %%
worse = [
    b >= c for b, c in zip(rows["horizon 2"], rows["checkpointing, exact"], strict=True)
]
print("horizon 2 needs less than checkpointing in none of the three:", all(worse))

# %% [markdown]
# So memory alone is no reason to interlock. Waiting is, if there is a machine per module. And even there is a
# second classical method: a *pipeline* cuts the batch into micro-batches and keeps all machines busy with exact
# gradients. Interlocking may win where batches are too small to be cut, or machines too far apart to
# send every credit the whole way; this chapter has not shown it.
#
# **When the network is shallow.** With two modules there is nothing between the ends of the dial: $n = 1$ is local, $n
# = 2$ is Backprop. And there is little to gain, because a local loss under *one* large module on top does
# little harm. Whoever can cut coarsely needs no horizon. Whoever must cut finely, because there are many machines,
# may want one.

# %%
mean, error = mean_and_error(accuracies("backprop") - accuracies("greedy K=2"))
print(f"Backprop is ahead of two local modules by {mean:.1f} +- {error:.1f} points")
mean, error = mean_and_error(accuracies("backprop") - accuracies("interlocking n=1"))
print(f"and of six by {mean:.1f} +- {error:.1f}")

# %% [markdown]
# **When heads are large.** A horizon of $n$ is a deep head, borrowed. If you can pay for private heads, they buy the
# same without any waiting; but they cost parameters, and work that is thrown away after training.

# %%
for name, label in (("interlocking n=2", "horizon 2"), ("dgl K=6", "larger heads")):
    size = sum(ladder["runs"][name][0]["head_parameters"])
    memory = share_of_bytes(name)
    mean = accuracies(name).mean()
    print(f"{label:13s} {mean:.1f} %, memory {memory:.2f}, {size} parameters in heads")

# %% [markdown]
# **When modules differ in speed.** $T(n)$ assumed equal modules. One slow module within the horizon delays everyone who
# listens to it.
#
# **What the matrix does not see.** It measures gradients. One optimiser with momentum for all modules moves modules that
# have no gradient at all, and batch statistics that are shared connect what the rule keeps apart, without any credit
# crossing a cut. Hence one optimiser and one set of statistics per module.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "K = 6, n = 3. Which modules take loss 4, and which does it pass through?",
        choices=[
            "Modules 2, 3 and 4 take it",
            "Module 2 takes it, and it passes through 4 and 3",
            "Module 4 takes it, and it passes through nobody",
        ],
        answer="42494e0187d1",
        hint="One loss per module: whose target is 4?",
    ),
    Question(
        "What does a loop over k with losses[k + 1].backward() and one optimiser step at the end do?",
        choices=[
            "Every module takes the sum of all losses that reach it",
            "Every module takes the loss of its neighbour above",
            "The same as backpropagation",
        ],
        answer="94855470a1c1",
        hint="backward adds to the .grad of everything it meets.",
    ),
    Question(
        "Before training, the cosine between a module's local gradient and the true one is about 0. Why?",
        choices=[
            "Because the learning rate is still zero",
            "Because local losses always point at random",
            "Because the head and the modules above are two unrelated random maps",
        ],
        answer="71d59e7042ce",
        hint="Through what does the error come back on either way?",
    ),
    Question(
        "With horizon 4 the head of module 0 predicts far worse than with horizon 1. Is that bad?",
        choices=[
            "Yes, the first module has learned less",
            "No, the module now prepares what later modules can use",
            "It is an error: each head takes its own loss in both cases",
        ],
        answer="5e320f338ab3",
        hint="Look at the last head of both networks.",
    ),
    Question(
        "Six machines, F = 1, B = 2. By how much does one more module of reach lengthen a batch?",
        choices=[
            "By 3, a forward and a backward pass",
            "By 2, a forward and half a backward pass",
            "By nothing, since modules work at the same time",
        ],
        answer="6c12fe3c60c9",
        hint="One more forward pass to wait for, and one more pass of credit on the way down.",
    ),
    Question(
        "A paper trains with horizon 2 because its network does not fit into memory. What do you ask?",
        choices=[
            "Whether checkpointing, with exact gradients, would have fitted",
            "Whether the heads were linear",
            "Whether a horizon of 3 was tried",
        ],
        answer="8535ba25a72d",
        hint="What is the classical answer to a lack of memory?",
    ),
)

# %% [markdown]
# ## Summary
#
# - Horizon $n$: module $k$ takes the gradient of loss $\min(k + n - 1, K - 1)$ **only**; each head takes its own.
#   $n = 1$ is DGL, $n = K$ is backpropagation, exactly.
# - `backward` in a loop makes sums of losses. Measure which loss moves which module; compare with the promise.
# - Local gradients start out unrelated to the true one and align while heads and states learn.
# - Memory and time per batch are linear in $n$; accuracy is not: few modules of reach close most of the gap.
# - A reach makes lower modules less eager: their own heads get worse, the network better.
# - Rivals on the same plot: larger private heads, fewer and larger modules, checkpointing for memory, pipelines for
#   time.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | horizon $n$ | how many modules a loss may reach, its own included; the authors' distance is $n - 1$ |
# | target | the loss that a module takes, $t(k) = \min(k + n - 1, K - 1)$ |
# | credit | gradient of a loss with respect to a state, handed down from module to module |
# | pass, take | hand a credit on to the module below; pull it into one's own parameters |
# | reaches, takes | where a loss comes by; whose parameters it moves |
# | isolation matrix | truth values, losses by modules, measured by switching losses on and off |
# | pairwise | interlocking with $n = 2$ |
# | alignment | cosine between a module's gradient and the end-to-end one |
# | time per batch | steady state of a schedule with one machine per module |
# | paired difference | difference of two methods with the same seed, averaged over seeds |
#
# ## Readings
#
# - **Gomez, Key, Perlin, Gou, Frosst, Dean and Gal (2022)**, *Interlocking backpropagation: improving depthwise
#   model-parallelism*, JMLR 23(171). Look for the rule of section 1, for the schedule of who waits for whom, and for what
#   happens to accuracy as the distance grows.
# - **Belilovsky, Eickenberg and Oyallon (2020)**, *Decoupled greedy learning of CNNs*, ICML. Look for the three
#   locks, and for how much depends on the auxiliary heads.
# - **Laskin, Metz and others (2020)**, *Parallel training of deep networks with local updates*,
#   arXiv 2012.03837. Look for *chunked* and *overlapping* local updates, which are this chapter's coarser
#   cuts and horizons, and for what they compare at equal cost.
# - **Lillicrap, Cownden, Tweed and Akerman (2016)**, *Random synaptic feedback weights support error
#   backpropagation for deep learning*, Nature Communications 7. Look for the angle to the true gradient and how it falls.
# - **Qi, Wan, Huang and Lin (2024)**, *Zero bubble pipeline parallelism*, ICLR. Look for the two halves of a
#   backward pass, our pass and take.
