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
# # 27 · Multilevel training
#
# > **Claim.** Half as many blocks with twice the time step are a cheaper picture of a residual network. Trust-region training that begins on such pictures needs two to three times fewer gradients than on one level, and fewer than tuned Adam, SGD and L-BFGS; in seconds L-BFGS may still be first. V-cycles, which go down again and again, hardly gain, and lose where weights are rough in time or one radius serves two models.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | read a residual network as Euler's method and halve its time steps; carry weights and gradients between two grids in time, each by the right map; correct a coarse model so that it has the fine slope; update a curvature that may be negative; find the best step within a trust region, on a saddle too; judge a step and adapt the region; put these into a V-cycle; say what a loss costs, and when coarse levels do not help |
# | **Before you start** | chapter 21 (a training step, its parts); gradients and Hessians; eigenvalues of symmetric matrices |
# | **Time** | 150 minutes |
# | **Points** | 21, in seven exercises |

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from course.kit import Question, figure, quiz, setup, stored
from modular.multilevel import (
    LSR1,
    Constant,
    Point,
    Region,
    TimeHierarchy,
    TimeNet,
    VCycle,
    solve,
)

generator = setup(seed=27)

# %% [markdown]
# ## Cold open: the same price
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# Two spirals, and a residual network of 64 blocks that has to tell them apart. A gradient of this network costs 64 blocks forward and
# backward; call this price 1. There are no batches here: every gradient is that of all points, and the method needs no learning rate.
#
# On the left the price of 25 gradients has been spent on the network as it is. On the right, for less than that, nearly all
# steps were made on networks of 16 and of 32 blocks. Then their weights were copied into the 64 blocks. Same points,
# same first weights, same method.


# %% tags=["given"]
def spirals(seed, rows=200):
    """Points on two arms, (rows, 2), and which arm."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % 2
    t = torch.rand(rows, generator=g).sqrt() * 3 * math.pi
    arm = (1 - 2 * y) * t / (3 * math.pi)
    x = torch.stack([arm * t.cos(), arm * t.sin()], dim=1)
    return x + 0.02 * torch.randn(rows, 2, generator=g), y


def resnet(seed, steps=64, width=6, alike=4):
    """A residual network over a time of 4; groups of `alike` blocks begin alike."""
    torch.manual_seed(seed)
    blocks = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(steps)]
    for k, block in enumerate(blocks):
        block.load_state_dict(blocks[k // alike * alike].state_dict())
    return TimeNet(nn.Linear(2, width), blocks, nn.Linear(width, 2), dt=4 / steps)


def levels_of(net, x, y, levels):
    """A hierarchy, its functions, and a list that counts their price."""
    hierarchy = TimeHierarchy(net, levels, Constant(True), per_time=True)
    spent = [0.0]

    def priced(level):
        f = hierarchy.function(level, x, y, cross_entropy)

        def g(theta):
            spent[0] += 0.5**level
            return f(theta)

        return g

    return hierarchy, [priced(level) for level in range(levels)], spent


# %%
def on_one_level(net, x, y, price):
    """Trust-region steps on the network as it is; returns the last loss and the price."""
    hierarchy, (fine,), spent = levels_of(net, x, y, levels=1)
    region, at = Region(1.0, LSR1(20, gamma=0.03)), Point.at(fine, hierarchy.theta())
    while spent[0] < price:
        at, _ = region.step(fine, at)
    hierarchy.load(at.theta)
    return at.value.item(), spent[0]


def coarse_first(net, x, y, steps=(30, 30)):
    """Steps on the coarse networks only; returns the loss of the fine one and the price."""
    hierarchy, functions, spent = levels_of(net, x, y, levels=3)
    regions = [Region(1.0, LSR1(20, gamma=0.03)) for _ in range(3)]
    at = VCycle(hierarchy.transfers, regions).nested(
        functions, hierarchy.theta(), steps
    )
    hierarchy.load(at.theta)
    return at.value.item(), spent[0]


x, y = spirals(seed=4)
dear, cheap = resnet(seed=4), resnet(seed=4)
dear_loss, dear_price = on_one_level(dear, x, y, price=25)
cheap_loss, cheap_price = coarse_first(cheap, x, y)

# %% tags=["picture"]
axis = torch.linspace(-1.15, 1.15, 70)
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(-1, 2)
fig, axes = plt.subplots(1, 2, figsize=(7.0, 3.4))
for ax, net, title in zip(
    axes, (dear, cheap), ("64 blocks only", "16, then 32, then 64"), strict=True
):
    with torch.no_grad():
        share = net(grid).softmax(dim=1)[:, 1].view(70, 70)
    ax.contourf(axis, axis, share, levels=[0, 0.5, 1], colors=["0.88", "0.65"])
    for arm, marker in ((0, "o"), (1, "x")):
        ax.plot(*x[y == arm].T, "k" + marker, ms=4, mfc="w")
    ax.set_title(title, fontsize=10)
    ax.set(xlabel="first coordinate", ylabel="second")
figure(
    fig,
    caption="What both networks say, everywhere in the plane, after equal cost. Marks: the points that "
    "they learn from, two arms.",
    alt="Two square maps in two greys with the points of two interleaved spirals. Left, the regions do not "
    "follow the arms everywhere; right, the border between the greys runs between the two arms.",
)

# %%
print(
    f"price: 64 blocks only {dear_price:.0f}, coarse networks first {cheap_price:.1f}"
)
print("the loss is lower by more than a factor of ten:", 10 * cheap_loss < dear_loss)

# %% [markdown]
# How can weights of another network be right for this one? Why may they be copied at all? What is the method that needs no learning rate? And if this
# is so good, why does not everybody train like this? The chapter answers the four questions in this order.

# %% [markdown]
# ## 1. A residual network is Euler's method
#
# A **residual block** adds to its state: $h_{k+1} = h_k + \Delta\, F(h_k, \theta_k)$, for the blocks $k = 0, \dots, K - 1$, where $h_k$ is the state, $\theta_k$ are the weights of block $k$, and
# $\Delta = T / K$ is a number. This is **Euler's method** with the time step $\Delta$ for the differential equation (chapter 17 has more on it)
#
# $$ \frac{\mathrm d h}{\mathrm d t} = F\big(h(t), \theta(t)\big) , \qquad 0 \le t \le T . $$
#
# The blocks are samples of a function of time, $\theta(t)$. Half as many blocks with time steps of twice the length are the same method on a coarser
# grid: *another, cheaper picture of the same thing*. Here $F(h, \theta) = \tanh(W h + b)$; an **opening** layer, linear, makes the first state, a **closing** layer
# makes scores of the last one.
#
# **Shapes.** `x` is `(batch, inputs)`, states are `(batch, width)`. All blocks stand in one tensor `(K, width, width + 1)`: of each block the matrix $W$, and $b$ as
# last column.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def close(a, b, atol=1e-10):
    """Whether two tensors agree."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-10, atol=atol)


def draw(*shape, seed):
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ### Exercise 27.1 · Euler's network
# Difficulty ●○○○○ · 2 points
#
# Write `scores(x, opening, blocks, closing, T)`: the network above with $\Delta = T / K$. `opening` and `closing` are pairs $(W, b)$ of linear layers.


# %% nbgrader={"grade": false, "grade_id": "ex27-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scores(x, opening, blocks, closing, T):
    """Scores of a residual network over the time T, (batch, classes).

    x: (batch, inputs). opening, closing: pairs (W, b), W: (outputs, inputs).
    blocks: (K, width, width + 1), the bias in the last column. T: number.
    """
    ### BEGIN SOLUTION
    h = x @ opening[0].T + opening[1]
    step = T / len(blocks)
    for block in blocks:
        h = h + step * torch.tanh(h @ block[:, :-1].T + block[:, -1])
    return h @ closing[0].T + closing[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
plain = (torch.eye(1), torch.zeros(1))
push = torch.tensor([[[0.0, 2.0]]])  # one block: W = 0, b = 2
found = scores(torch.ones(1, 1), plain, push, plain, 3.0)
assert found.shape == (1, 1), "one row of scores for each sample"
assert found.dtype == torch.float64, FLOAT64
assert close(found, torch.full((1, 1), 1 + 3 * math.tanh(2))), (
    "one block over a time of 3: h + 3 tanh(2)"
)
assert close(
    scores(torch.ones(1, 1), plain, push.repeat(5, 1, 1), plain, 3.0), found
), "five equal blocks that do not look at h go as far as one: each has the step T / 5"

# %% nbgrader={"grade": true, "grade_id": "ex27-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
shift = (torch.eye(1), torch.ones(1))
found = scores(torch.ones(1, 1), shift, torch.zeros(4, 1, 2), shift, 2.0)
assert close(found, torch.full((1, 1), 3.0)), "opening and closing layer have a bias"
### BEGIN HIDDEN TESTS
for seed, (K, width, T) in enumerate([(1, 3, 1.0), (4, 2, 2), (7, 5, 0.3)]):
    first = (draw(width, 4, seed=seed), draw(width, seed=seed + 10))
    last = (draw(2, width, seed=seed + 20), draw(2, seed=seed + 30))
    stack = draw(K, width, width + 1, seed=seed + 40)
    x_try = draw(6, 4, seed=seed + 50)
    given = [x_try, *first, stack, *last]
    tracked = [t.clone().requires_grad_() for t in given]
    found = scores(tracked[0], tuple(tracked[1:3]), tracked[3], tuple(tracked[4:]), T)
    copies = [t.clone().requires_grad_() for t in given]
    h = torch.einsum("bi,oi->bo", copies[0], copies[1]) + copies[2]
    for k in range(K):
        inside = torch.einsum("bi,oi->bo", h, copies[3][k, :, :width])
        h = h + T / K * torch.tanh(inside + copies[3][k, :, width])
    expected = torch.einsum("bi,oi->bo", h, copies[4]) + copies[5]
    assert close(found, expected), "another value than Euler's method gives"
    weights = draw(6, 2, seed=5)
    one = torch.autograd.grad((weights * found).sum(), tracked)
    other = torch.autograd.grad((weights * expected).sum(), copies)
    assert all(close(a, b) for a, b in zip(one, other, strict=True)), (
        "right values, another gradient: is there a detach?"
    )
    assert all(torch.equal(a, b) for a, b in zip(given, tracked, strict=True)), (
        "an argument was changed"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three parts: opening, a loop over `blocks`, closing.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `for block in blocks` gives the blocks one by one, each `(width, width + 1)`. How long is a time step?
#
# </details>
# <details><summary>Hint 3</summary>
#
# $h \leftarrow h + (T / K) \tanh(h W^\top + b)$, with `W = block[:, :-1]` and `b = block[:, -1]`.
#
# </details>

# %% [markdown]
# **When is the coarse picture a good one?** Take 64 blocks, and keep every second, every fourth and so on, with longer steps. We compare three ways to draw the
# weights: samples of a smooth function of time; groups of four equal blocks; 64 independent draws, as usual.


# %%
def drawn(kind, seed, K=64, width=6):
    """Blocks (K, width, width + 1) with equal spread: smooth, in groups of four, rough."""
    if kind == "rough":
        return draw(K, width, width + 1, seed=seed) / width**0.5
    if kind == "groups of four":
        return drawn("rough", seed, K // 4).repeat_interleave(4, dim=0)
    t = (torch.arange(K) + 0.5)[:, None, None] / K
    ends = draw(2, width, width + 1, seed=seed) / width**0.5
    angle = math.pi / 2 * t
    return angle.cos() * ends[0] + angle.sin() * ends[1]


def coarsened(blocks, factor):
    """Means of `factor` blocks in a row."""
    return blocks.unflatten(0, (-1, factor)).mean(dim=1)


first, last = (draw(6, 2, seed=1), draw(6, seed=2)), (torch.eye(6), torch.zeros(6))
factors, kinds = (2, 4, 8, 16), ("smooth", "groups of four", "rough")
off = {kind: [] for kind in kinds}
for kind in kinds:
    for factor in factors:
        gaps = []
        for seed in range(10):
            blocks = drawn(kind, seed)
            fine = scores(x, first, blocks, last, 4.0)
            coarse = scores(x, first, coarsened(blocks, factor), last, 4.0)
            gaps.append(((coarse - fine).norm() / fine.norm()).item())
        off[kind].append(sorted(gaps)[5])

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(5.2, 3.1))
for kind, marker in zip(kinds, "os^", strict=True):
    ax.loglog([64 // f for f in factors], off[kind], marker + "-", ms=7, label=kind)
ax.set_xticks([32, 16, 8, 4], ["32", "16", "8", "4"])
ax.set_yticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
ax.minorticks_off()
ax.set(xlabel="blocks of the coarse network", ylabel="relative difference")
ax.set_ylim(0.008, 0.6)
ax.legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="How far the last state of a coarse network is from that of 64 blocks, whose means it has. "
    "Medians of ten draws.",
    alt="Three lines that fall with the number of blocks. Smooth falls steadily, by half or more at each doubling; groups of "
    "four are level with it at 16 and 32 blocks and above it at 4 and 8; rough hardly falls and at 32 blocks is many "
    "times as far off.",
)

# %%
print(
    "smooth: the difference falls roughly with the step, or faster:",
    all(
        b / a > 1.6 for a, b in zip(off["smooth"][:-1], off["smooth"][1:], strict=True)
    ),
)
print(
    "rough is more than four times as far off at 32 blocks:",
    off["rough"][0] > 4 * off["smooth"][0],
)

# %% [markdown]
# Euler's error falls like the time step *if there is a function of time to follow*. Independent draws are samples of nothing: a mean of two has less spread than each
# of them, and the coarse network is another network. Keep this in mind for the end of the chapter.

# %% [markdown]
# ## 2. Between two grids
#
# Three things have to pass between a grid of $K$ blocks and one of $2K$, all along the first axis of the stack of blocks (opening and closing layers are copied):
#
# - a **step** of the coarse network goes to the fine one by the **prolongation** $P$: each block twice;
# - a **gradient** goes to the coarse network by the transpose $P^\top$. That is the chain rule: if $\theta = P t$, the derivative by $t$ is $P^\top$ times that by $\theta$. So gradients of pairs
#   *add up*;
# - **weights** go to the coarse network by a **restriction** $R$ that is not $P^\top$. A function of time that is constant must stay what it is, so pairs are
#   *averaged*.
#
# $P^\top$ for weights would double them. $R$ for gradients would halve the slope. Both slips train, badly.

# %% [markdown]
# ### Exercise 27.2 · Three maps
# Difficulty ●●○○○ · 3 points
#
# Write `prolong(t)`, `restrict_gradient(g)` and `restrict_weights(blocks)`, for tensors with the blocks along their first axis and any others behind it. Autograd
# must pass through each.


# %% nbgrader={"grade": false, "grade_id": "ex27-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prolong(t):
    """P t: every block twice. t: (K, ...). Returns (2K, ...)."""
    ### BEGIN SOLUTION
    return t.repeat_interleave(2, dim=0)
    ### END SOLUTION


def restrict_gradient(g):
    """The transpose of P. g: (2K, ...). Returns (K, ...)."""
    ### BEGIN SOLUTION
    return g[::2] + g[1::2]
    ### END SOLUTION


def restrict_weights(blocks):
    """Means of pairs. blocks: (2K, ...). Returns (K, ...)."""
    ### BEGIN SOLUTION
    return (blocks[::2] + blocks[1::2]) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
pair = torch.tensor([[1.0], [2.0]])
assert prolong(pair).dtype == torch.float64, FLOAT64
assert close(prolong(pair), torch.tensor([[1.0], [1.0], [2.0], [2.0]])), (
    "each block twice, one after the other: 1, 1, 2, 2"
)
four = torch.tensor([[1.0], [3.0], [5.0], [5.0]])
assert close(restrict_gradient(four), torch.tensor([[4.0], [10.0]])), "pairs add up"
assert close(restrict_weights(four), torch.tensor([[2.0], [5.0]])), "means of pairs"

# %% nbgrader={"grade": true, "grade_id": "ex27-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
t_try = draw(3, 2, 4, seed=1)
assert close(restrict_weights(prolong(t_try)), t_try), (
    "to the fine grid and back: nothing is lost, and nothing doubled"
)
### BEGIN HIDDEN TESTS
for seed, shape in enumerate([(3,), (1, 2), (4, 3, 4), (2, 2, 2, 2)]):
    t_try = draw(*shape, seed=seed).requires_grad_()
    g_try = draw(2 * shape[0], *shape[1:], seed=seed + 10).requires_grad_()
    kept = t_try.detach().clone(), g_try.detach().clone()
    up, down, mean = prolong(t_try), restrict_gradient(g_try), restrict_weights(g_try)
    assert up.shape == g_try.shape, "twice as many blocks, other axes as they are"
    assert down.shape == mean.shape == t_try.shape, "half as many blocks"
    for k in range(shape[0]):
        assert close(up[2 * k], t_try[k]) and close(up[2 * k + 1], t_try[k]), (
            "blocks 2k and 2k + 1 of the fine network are block k of the coarse one"
        )
        assert close(down[k], g_try[2 * k] + g_try[2 * k + 1]), "gradients add up"
        assert close(mean[k], (g_try[2 * k] + g_try[2 * k + 1]) / 2), (
            "weights are means"
        )
    assert close((up * g_try).sum(), (t_try * down).sum()), "<P t, g> = <t, P^T g>"
    weights = draw(*shape, seed=seed + 20)
    (one,) = torch.autograd.grad((weights * down).sum(), g_try)
    assert close(one, weights.repeat_interleave(2, dim=0)), "autograd does not pass P^T"
    (one,) = torch.autograd.grad((weights * mean).sum(), g_try)
    assert close(one, weights.repeat_interleave(2, dim=0) / 2), "... nor the mean"
    (one,) = torch.autograd.grad((up * up.detach()).sum(), t_try)
    assert close(one, 2 * t_try.detach()), "autograd does not pass through P"
    assert torch.equal(t_try, kept[0]) and torch.equal(g_try, kept[1]), (
        "an argument was changed"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `g[::2]` are the blocks with even numbers, `g[1::2]` the others.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `repeat` puts copies of the whole tensor one behind the other; you want each block twice before the next one comes.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `t.repeat_interleave(2, dim=0)`; `g[::2] + g[1::2]`; the same over 2.
#
# </details>

# %% [markdown]
# **A length that both grids agree on.** A coarse step $p$ becomes $P p$, which is $\sqrt 2$ times as long: twice as many entries. And a gradient by one of 64 blocks is about half
# of one by one of 32, as each block has half the effect. A method that measures lengths of steps, as the one below, would behave
# differently on each grid. The cure is to measure a step as a function of time is measured, $\|p\|^2 = \Delta \sum_k \|p_k\|^2$. In the library that is
# `per_time=True`: the unknowns are $\sqrt\Delta\,\theta_k$, and $P$ keeps lengths.

# %% [markdown]
# ## 3. A coarse model with the fine slope
#
# We are at the fine weights $\theta$, with the loss $L$ and the gradient $g$. The coarse network has the loss $L_c$; start it at $t_0 = R\,\theta$. It is only a picture: its slope at
# $t_0$ is not quite $P^\top g$, so that going downhill there may be going uphill here. One linear term puts that right (Nash 2000):
#
# $$ H(t) = L_c(t) + \langle\, P^\top g - \nabla L_c(t_0),\; t - t_0 \,\rangle . $$
#
# Now $\nabla H(t_0) = P^\top g$: for every direction $d$ the slope of $H$ along $d$ is the slope of $L$ along $P d$. This is called **first-order coherence**. The
# curvature of $H$ is that of the coarse network. A minimiser of the fine loss is left alone: where $g = 0$, $H$ is flat at $t_0$.

# %% [markdown]
# ### Exercise 27.3 · Coherence
# Difficulty ●●○○○ · 3 points
#
# Write `coherent(coarse, t0, gradient)`. It returns the function $H$; `coarse` is the function $L_c$, from a tensor to a number, and `gradient` is $P^\top g$. Take the gradient of
# $L_c$ *once*, when $H$ is made; afterwards each call of $H$ calls `coarse` once. Autograd must give the gradient of $H$.


# %% nbgrader={"grade": false, "grade_id": "ex27-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coherent(coarse, t0, gradient):
    """The coarse model H as a function.

    coarse: function, (...) -> (). t0, gradient: tensors of one shape.
    """
    ### BEGIN SOLUTION
    start = t0.clone().requires_grad_()
    (own,) = torch.autograd.grad(coarse(start), start)
    shift, start = gradient - own, start.detach()
    return lambda t: coarse(t) + (shift * (t - start)).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
H_try = coherent(lambda t: t.square().sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
found = H_try(torch.tensor([1.0, 2.0]))
assert found.shape == (), "H returns a number"
assert found.dtype == torch.float64, FLOAT64
assert close(found, torch.tensor(5.0)), "at t0 it is the coarse loss, 1 + 4"
# the coarse gradient at t0 is (2, 4), the wanted one (1, 1): the shift is (-1, -3)
assert close(H_try(torch.tensor([2.0, 4.0])), torch.tensor(20.0 - 1 - 6)), (
    "the coarse loss, 4 + 16, plus the shift times the way from t0, (1, 2)"
)

# %% nbgrader={"grade": true, "grade_id": "ex27-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
H_try = coherent(lambda t: t.square().sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
leaf = torch.tensor([1.0, 2.0], requires_grad=True)
(slope,) = torch.autograd.grad(H_try(leaf), leaf)
assert close(slope, torch.ones(2)), "the slope of H at t0 is the given one"
### BEGIN HIDDEN TESTS
for seed, shape in enumerate([(4,), (2, 3), (3, 2, 3)]):
    calls = []

    def bumpy(t, calls=calls):
        calls.append(1)
        return (t.sin() * t.square()).sum() + t.prod()

    start_try, wanted = draw(*shape, seed=seed), draw(*shape, seed=seed + 10)
    kept = start_try.clone()
    H_try = coherent(bumpy, start_try, wanted)
    assert len(calls) == 1, "making H needs one look at the coarse loss, at t0"
    there = draw(*shape, seed=seed + 20).requires_grad_()
    found = H_try(there)
    assert len(calls) == 2, "a call of H calls the coarse loss once"
    leaf = kept.clone().requires_grad_()
    (own,) = torch.autograd.grad(bumpy(leaf), leaf)
    expected = bumpy(there) + ((wanted - own) * (there - kept)).sum()
    assert close(found, expected), "another value than L_c(t) + <shift, t - t0>"
    (one,) = torch.autograd.grad(found, there, create_graph=True)
    (other,) = torch.autograd.grad(expected, there)
    assert close(one.detach(), other), "right values, another gradient"
    assert close(H_try(kept), bumpy(kept)), "at t0 the model is the coarse loss"
    start_try += 1.0
    assert close(H_try(there).detach(), expected.detach()), (
        "t0 was changed afterwards by its owner, and H with it: keep a copy"
    )
    assert not H_try(kept).requires_grad, "H of plain numbers carries a history"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Inside, make a copy of `t0` that requires a gradient; the function that you return uses what you have found.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(own,) = torch.autograd.grad(coarse(start), start)` is $\nabla L_c(t_0)$. A `lambda`, or a function inside the function, is returned.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $H(t) = $ `coarse(t) + (shift * (t - start)).sum()` with the constant `shift = gradient - own`, where `start` carries no history.
#
# </details>

# %% [markdown]
# Here it is for the two spirals: 64 blocks that have been trained for a while, and a coarse network of 32 blocks with means of its weights. We walk down the coarse network's own slope.

# %%
points, arms = spirals(seed=0)
near = resnet(seed=0)
on_one_level(near, points, arms, price=25)
hierarchy, (fine, coarse), _ = levels_of(near, points, arms, levels=2)
transfer = hierarchy.transfers[0]
theta = hierarchy.theta()
value, g = fine(theta)
t0 = transfer.restrict_iterate(theta)
coarse_value, coarse_g = coarse(t0)
down = transfer.restrict_gradient(g)
d = -coarse_g / coarse_g.norm()
line = torch.linspace(0, 0.1, 25)
true = [fine(theta + a * transfer.prolong(d))[0] - value for a in line]
raw = [coarse(t0 + a * d)[0] - coarse_value for a in line]
model = [r + a * (down - coarse_g) @ d for r, a in zip(raw, line, strict=True)]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(5.2, 3.0))
ax.plot(line, true, "k-", lw=2.2, label="fine loss, along P d")
ax.plot(line, model, "o--", ms=4, label="coarse model H")
ax.plot(line, raw, "s:", ms=4, label="coarse loss")
ax.set(xlabel="length of the step", ylabel="change of the loss")
ax.legend(fontsize=9)
figure(
    fig,
    caption="A walk on the coarse network, and the same walk on the fine one. Rough weights, 64 and 32 blocks.",
    alt="Three curves that start at zero. The fine loss rises from the start, and the coarse model rises along with it, close to it; "
    "the coarse loss without correction falls first and rises later.",
)

# %%
print(
    "near the start H is closer to the fine loss than the coarse loss is:",
    (abs(model[4] - true[4]) < abs(raw[4] - true[4])).item(),
)
lowest = min(range(25), key=lambda k: raw[k])
print(
    "where the coarse loss is lowest, the fine one has risen:", true[lowest].item() > 0
)

# %% [markdown]
# ## 4. Negative curvature is information
#
# Now the method. A second-order method has a matrix $B$ like the Hessian, and steps by the quadratic model
# $m(p) = g^\top p + \tfrac12 p^\top B p$ of the change of the loss. A network has far too many weights for a Hessian; but every step $s$ that was made, with the change of
# the gradient $y$ along it, is a measurement of it: $B s = y$ should hold, the **secant equation**.
#
# The customary update is **BFGS** (Broyden, Fletcher, Goldfarb, Shanno 1970). It keeps $B$ positive definite, so that every step goes down. The price: a pair with
# $y^\top s \le 0$, along which the loss curves *down*, has no place in it, and is thrown away. But losses of networks are full of saddles, and there downward
# curvature is the way out. The **symmetric rank-one** update (SR1) is the only update by a symmetric matrix of rank one that obeys the secant equation:
#
# $$ B_+ = B + \frac{r\, r^\top}{r^\top s} , \qquad r = y - B s . $$
#
# It has no opinion on signs. One has to leave a pair out if $|r^\top s| \le 10^{-8} \|s\| \|r\|$, as the quotient is then noise, or already right.

# %% [markdown]
# ### Exercise 27.4 · A rank-one update
# Difficulty ●●○○○ · 3 points
#
# Write `sr1(B, s, y)`: the updated matrix, or an equal one if the pair has to be left out. Do not change `B`.


# %% nbgrader={"grade": false, "grade_id": "ex27-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sr1(B, s, y):
    """The symmetric rank-one update. B: (n, n). s, y: (n,). Returns (n, n)."""
    ### BEGIN SOLUTION
    r = y - B @ s
    below = r @ s
    if below.abs() <= 1e-8 * s.norm() * r.norm():
        return B
    return B + torch.outer(r, r) / below
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = sr1(torch.eye(2), torch.tensor([0.0, 1.0]), torch.tensor([0.0, -3.0]))
assert found.shape == (2, 2), "a matrix like B"
assert found.dtype == torch.float64, FLOAT64
assert close(found, torch.tensor([[1.0, 0.0], [0.0, -3.0]])), (
    "along the second axis the curvature is -3, and nothing was learned about the first; "
    "a negative curvature is not thrown away"
)
assert close(sr1(torch.eye(2), torch.ones(2), torch.ones(2)), torch.eye(2)), (
    "the matrix already obeys this pair: r = 0, it stays as it is"
)

# %% nbgrader={"grade": true, "grade_id": "ex27-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
s_try = torch.tensor([1.0, 0.0])
left_out = sr1(torch.eye(2), s_try, s_try + torch.tensor([0.0, 1.0]))
assert close(left_out, torch.eye(2)), (
    "r is at right angles to s: the quotient would be infinite"
)
### BEGIN HIDDEN TESTS
for seed, n in enumerate([2, 4, 7]):
    A = draw(n, n, seed=seed)
    A = A + A.T  # a saddle
    B_try = torch.eye(n)
    pairs = [(s, A @ s) for s in draw(n, n, seed=seed + 10)]
    for number, (s_try, y_try) in enumerate(pairs):
        kept = B_try.clone()
        found = sr1(B_try, s_try, y_try)
        assert torch.equal(B_try, kept), "B was changed"
        assert close(found @ s_try, y_try, atol=1e-7), "B s = y does not hold after it"
        assert close(found, found.T, atol=1e-9), "the result is not symmetric"
        r_try = y_try - kept @ s_try
        gone = found - kept - torch.outer(r_try, r_try) / (r_try @ s_try)
        assert gone.abs().max() < 1e-8, "not the update of rank one"
        for old_s, old_y in pairs[:number]:
            assert close(found @ old_s, old_y, atol=1e-6), "it forgets earlier pairs"
        B_try = found
    assert torch.allclose(B_try, A, atol=1e-5), (
        "after n steps on a quadratic it is the Hessian, saddle and all"
    )
base = torch.diag(torch.tensor([1.0, 2.0]))
for size in (1e-5, 1.0, 1e5):
    s_try, tilt = size * torch.tensor([1.0, 0.0]), torch.tensor([3e-9, 1.0])
    found = sr1(base, s_try, base @ s_try + size * tilt)
    assert torch.equal(found, base), (
        "the rule compares r^T s with ||s|| ||r||, whatever their size"
    )
    tilt = torch.tensor([1.5e-8, 1.0])
    found = sr1(base, s_try, base @ s_try + size * tilt)
    assert not torch.equal(found, base), "a pair above 1e-8 is left out"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compute $r$ first; everything else is made of it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.outer(r, r)` is the matrix, `r @ s` the number. Test the number before you divide.
#
# </details>
# <details><summary>Hint 3</summary>
#
# If `(r @ s).abs() <= 1e-8 * s.norm() * r.norm()`: the old matrix; else `B + torch.outer(r, r) / (r @ s)`.
#
# </details>

# %% [markdown]
# ## 5. As far as the model is trusted
#
# If $B$ has a negative eigenvalue, $m(p)$ has no minimum: it falls for ever. So we ask for the best step within a **trust region**, $\|p\| \le \delta$. This always exists, and
# there is a certificate (Moré and Sorensen 1983): $p$ is the best step exactly if there is a number $\sigma \ge 0$ with
#
# $$ (B + \sigma I)\, p = -g , \qquad \sigma\,(\|p\| - \delta) = 0 , \qquad B + \sigma I \text{ has no negative eigenvalue} . $$
#
# In words: either the step ends inside, and is Newton's; or it ends on the border, and is Newton's for a matrix that was lifted until it is safe.
#
# **How to find it.** Write $B = Q \Lambda Q^\top$ with the eigenvalues $\lambda_1 \le \lambda_2 \le \dots$, and $a = Q^\top g$. Then $p(\sigma) = -Q\, \big(a_i / (\lambda_i + \sigma)\big)_i$, whose
# length falls while $\sigma$ grows. If $\lambda_1 > 0$ and $\|p(0)\| \le \delta$, that is it. Else search for the $\sigma > \max(0, -\lambda_1)$ with $\|p(\sigma)\| = \delta$, by
# **bisection**: halve an interval that contains it. It lies below $-\lambda_1 + \|g\| / \delta$.
#
# **The hard case.** If $g$ has no part along the lowest eigenvector, $a_1 = 0$, the length may stay below $\delta$ for every $\sigma > -\lambda_1$. Exactly on a
# saddle that is so: no slope says which way to leave. Then take $\sigma = -\lambda_1$, and complete the step along the lowest eigenvector, either way, until it is $\delta$ long.

# %% [markdown]
# ### Exercise 27.5 · The best step
# Difficulty ●●●○○ · 4 points
#
# Write `best_step(B, g, radius)`: the best step $p$, accurate to about $10^{-8}$, the hard case included. `B` is symmetric, with eigenvalues of any sign.


# %% nbgrader={"grade": false, "grade_id": "ex27-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_step(B, g, radius):
    """The minimiser of g^T p + p^T B p / 2 over ||p|| <= radius.

    B: (n, n), symmetric. g: (n,), as the result. torch.linalg.eigh sorts upwards.
    """
    ### BEGIN SOLUTION
    lams, Q = torch.linalg.eigh(B)
    a = Q.T @ g
    if lams[0] > 0 and (a / lams).norm() <= radius:
        return -Q @ (a / lams)
    gaps = lams - lams[0]  # with tau = sigma + lowest eigenvalue no digit is lost
    low = max(0.0, lams[0].item())
    high = low + g.norm().item() / radius
    for _ in range(200):
        middle = (low + high) / 2
        if (a / (gaps + middle)).norm() > radius:
            low = middle
        else:
            high = middle
    p = -Q @ (a / (gaps + high)).nan_to_num()  # 0 / 0 is 0
    missing = radius**2 - (p @ p).item()
    return p + max(missing, 0.0) ** 0.5 * Q[:, 0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
bowl = torch.diag(torch.tensor([1.0, 2.0]))
found = best_step(bowl, torch.tensor([-1.0, -2.0]), 5.0)
assert found.shape == (2,), "a vector like g"
assert found.dtype == torch.float64, FLOAT64
assert close(found, torch.ones(2), atol=1e-7), "inside of the region: Newton's step"
found = best_step(torch.eye(2), torch.tensor([3.0, 4.0]), 1.0)
assert close(found, torch.tensor([-0.6, -0.8]), atol=1e-7), (
    "for the identity it is the steepest descent, cut to the radius"
)
saddle = torch.diag(torch.tensor([1.0, -1.0]))
found = best_step(saddle, torch.zeros(2), 2.0)
assert close(found.abs(), torch.tensor([0.0, 2.0]), atol=1e-7), (
    "on the saddle itself: along the lowest eigenvector, as far as allowed"
)

# %% nbgrader={"grade": true, "grade_id": "ex27-5-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
saddle = torch.diag(torch.tensor([1.0, -1.0]))
found = best_step(saddle, torch.tensor([1.0, 0.0]), 2.0)
assert close(found.abs(), torch.tensor([0.5, 15**0.5 / 2]), atol=1e-6), (
    "hard case: sigma = 1, so the first entry is -1/2, and the second completes the step"
)
### BEGIN HIDDEN TESTS
for seed in range(24):
    n = 2 + seed % 5
    U, _ = torch.linalg.qr(draw(n, n, seed=seed))
    spread = draw(n, seed=seed + 30).sort().values * (1 if seed % 3 else 10)
    if seed % 4 == 0:
        spread = spread.abs() + 0.1
    B_try, g_try = U @ spread.diag() @ U.T, draw(n, seed=seed + 60)
    B_try = (B_try + B_try.T) / 2
    low = torch.linalg.eigvalsh(B_try)[0]
    if seed % 6 == 5:  # hard, or nearly so
        bottom = torch.linalg.eigh(B_try)[1][:, 0]
        g_try = 0.1 * (g_try - (g_try @ bottom) * bottom)
    for radius in (0.1, 1, 30.0):
        kept = B_try.clone(), g_try.clone()
        p_try = best_step(B_try, g_try, radius)
        assert torch.equal(B_try, kept[0]) and torch.equal(g_try, kept[1]), (
            "an argument was changed"
        )
        length = p_try.norm()
        assert length <= radius * (1 + 1e-6), "the step leaves the region"
        scale = 1 + B_try.norm() + g_try.norm() / radius
        sigma = -(p_try @ (g_try + B_try @ p_try)) / (p_try @ p_try)
        rest = B_try @ p_try + sigma * p_try + g_try
        assert rest.norm() <= 1e-6 * scale * (1 + length), "(B + sigma I) p = -g fails"
        assert sigma >= -1e-6 * scale, "sigma is negative: a longer step is better"
        assert sigma + low >= -1e-6 * scale, (
            "B + sigma I has a negative eigenvalue: this is not the best step"
        )
        if sigma > 1e-5 * scale:
            assert length >= radius * (1 - 1e-5), "sigma > 0, but the step ends inside"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.linalg.eigh(B)`, then work with the numbers $\lambda_i$ and $a_i$ only; go back by $Q$ at the end.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Search for $\tau = \sigma + \lambda_1$ between $\max(0, \lambda_1)$ and that plus $\|g\| / \delta$; the denominators are $(\lambda_i - \lambda_1) + \tau$. A hundred halvings cost nothing. In the hard case
# the search ends at $\tau \approx 0$ with a step that is too short.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $p = -Q\, a / (\lambda - \lambda_1 + \tau)$, then add $\sqrt{\delta^2 - \|p\|^2}$ times `Q[:, 0]` (zero, unless the case is hard).
#
# </details>

# %% [markdown]
# **And how far is that?** The model predicts the decrease $-m(p)$. The loss decides:
#
# $$ \rho = \frac{L(\theta) - L(\theta + p)}{-m(p)} . $$
#
# A $\rho$ near 1 says that the model is right. If $\rho > 10^{-4}$ the step is **accepted**, else we stay. If $\rho > \tfrac34$ and the step has used at least $0.9\,\delta$, the radius doubles; if
# $\rho < \tfrac1{10}$ it becomes half the smaller of $\delta$ and $\|p\|$. The radius is the learning rate that nobody has to choose. (The curvature that is assumed where nothing is known remains to be chosen, and it matters: see the signature result.) A loss that is not a number counts as
# a step that failed.

# %% [markdown]
# ### Exercise 27.6 · Judge a step
# Difficulty ●●●○○ · 2 points
#
# Write `judge(before, after, predicted, length, radius)`: a triple $(\rho,$ whether the step is accepted$,$ new radius$)$. All arguments are Python numbers, with `predicted` $> 0$. `after` may be
# `nan` or `inf`.


# %% nbgrader={"grade": false, "grade_id": "ex27-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def judge(before, after, predicted, length, radius):
    """Ratio, whether the step is accepted, and the radius afterwards."""
    ### BEGIN SOLUTION
    rho = (before - after) / predicted
    if not rho >= 0.1:
        radius = min(radius, length) / 2
    elif rho > 0.75 and length >= 0.9 * radius:
        radius = 2 * radius
    return rho, rho > 1e-4, radius
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
rho, accepted, radius = judge(5.0, 4.0, 1.0, 2.0, 2.0)
assert rho == 1.0 and accepted, "predicted 1, got 1"
assert radius == 4.0, "a good step that was held back: the radius doubles"
rho, accepted, radius = judge(5.0, 6.0, 1.0, 2.0, 2.0)
assert rho == -1.0 and not accepted, "the loss rose"
assert radius == 1.0, "half of the radius"

# %% nbgrader={"grade": true, "grade_id": "ex27-6-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
rho, accepted, radius = judge(1.0, math.nan, 0.5, 3.0, 4.0)
assert not accepted and radius == 1.5, (
    "a loss that is no number: stay, and half the smaller of radius and length"
)
### BEGIN HIDDEN TESTS
cases = [
    ((1.0, 0.4, 0.5, 1.0, 4.0), 1.2, True, 4.0, "good, but not held back: it stays"),
    ((1.0, 0.5, 0.5, 3.7, 4.0), 1.0, True, 8.0, "0.9 of the radius is as good as all"),
    ((1.0, 0.8, 0.5, 4.0, 4.0), 0.4, True, 4.0, "so-so: accepted, radius as before"),
    ((1.0, 0.65, 0.5, 4.0, 4.0), 0.7, True, 4.0, "0.7 is not above 3/4"),
    (
        (1.0, 0.98, 0.5, 3.0, 4.0),
        0.04,
        True,
        1.5,
        "poor: accepted, and half the length",
    ),
    ((1.0, 0.98, 0.5, 4.0, 2.0), 0.04, True, 1.0, "half the smaller of the two"),
    ((1.0, 1.0, 0.5, 4.0, 4.0), 0.0, False, 2.0, "no decrease: not accepted"),
    ((1.0, 0.99998, 0.5, 1.0, 1.0), 4e-5, False, 0.5, "a ratio below 1e-4 is none"),
    ((1.0, math.inf, 0.5, 1.0, 8.0), -math.inf, False, 0.5, "an infinite loss"),
    ((3.0, 1.0, 4.0, 1.0, 1.0), 0.5, True, 1.0, "actual over predicted, not reversed"),
    ((0.75, 0.0, 1.0, 4.0, 4.0), 0.75, True, 4.0, "exactly 3/4 is not above it"),
    ((0.1, 0.0, 1.0, 4.0, 4.0), 0.1, True, 4.0, "exactly 1/10 is not below it"),
    ((1e-4, 0.0, 1.0, 1.0, 4.0), 1e-4, False, 0.5, "exactly 1e-4 is not above it"),
    ((1.5e-4, 0.0, 1.0, 1.0, 4.0), 1.5e-4, True, 0.5, "above 1e-4, if only just"),
    ((1.0, 0.0, 1.0, 0.9, 1.0), 1.0, True, 2.0, "exactly 0.9 of the radius is enough"),
]
for given, rho, accepted, radius, idea in cases:
    found = judge(*given)
    assert len(found) == 3, "three things: ratio, accepted, radius"
    assert math.isclose(found[0], rho, rel_tol=1e-9, abs_tol=1e-12), f"ratio: {idea}"
    assert bool(found[1]) == accepted, f"accepted or not: {idea}"
    assert math.isclose(found[2], radius), f"radius: {idea}"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two questions that do not depend on each other: is the step accepted? What becomes of the radius?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Comparisons with `nan` are false. So ask "is it good?", and let everything that is not good shrink: `not rho >= 0.1`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `rho > 1e-4`; `2 * radius` if `rho > 0.75 and length >= 0.9 * radius`; `min(radius, length) / 2` if `not rho >= 0.1`.
#
# </details>

# %% [markdown]
# **SR1 against BFGS on a saddle.** The function $f(u, v) = \tfrac12 u^2 + \tfrac1{20}\big(\tfrac14 v^4 - \tfrac12 v^2\big)$ has a saddle at 0 and minima at $v = \pm 1$. Both methods start at $(1, 10^{-3})$, where almost all of the slope leads
# straight to the saddle. Same region, same judge; only the matrix differs. BFGS leaves out pairs with $y^\top s \le 0$, as it must.


# %%
def bfgs(B, s, y):
    """The BFGS update; pairs without positive curvature are left out."""
    if y @ s <= 1e-8 * s.norm() * y.norm():
        return B
    Bs = B @ s
    return B - torch.outer(Bs, Bs) / (s @ Bs) + torch.outer(y, y) / (y @ s)


def f(p):
    """The function, and its gradient, of p: (2,)."""
    u, v = p
    value = u**2 / 2 + (v**4 / 4 - v**2 / 2) / 20
    return value, torch.stack([u, (v**3 - v) / 20])


def walk(update, steps=250):
    """All places of a trust-region method with a matrix of its own."""
    at, B, radius, places = torch.tensor([1.0, 1e-3]), torch.eye(2), 0.5, []
    for _ in range(steps):
        places.append(at)
        value, g = f(at)
        if value < -0.0124:
            break
        p = best_step(B, g, radius)
        predicted = -(g @ p + p @ B @ p / 2).item()
        after, slope = f(at + p)
        if predicted <= 0:
            break
        _, accepted, radius = judge(
            value.item(), after.item(), predicted, p.norm().item(), radius
        )
        B = update(B, p, slope - g)
        at = at + p if accepted else at
    return torch.stack(places)


walks = {"SR1": walk(sr1), "BFGS": walk(bfgs)}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.1))
u, v = torch.meshgrid(
    torch.linspace(-0.6, 1.1, 80), torch.linspace(-0.3, 1.5, 80), indexing="xy"
)
height = u**2 / 2 + (v**4 / 4 - v**2 / 2) / 20
axes[0].contour(
    u, v, height, levels=[-0.012, -0.008, -0.003, 0, 0.01, 0.05, 0.2], colors="0.7"
)
for (name, places), marker in zip(walks.items(), ("o-", "x--"), strict=True):
    axes[0].plot(*places.T, marker, ms=5, label=name)
    heights = [f(p)[0].item() for p in places]
    axes[1].plot(range(len(heights)), heights, marker, ms=4, label=name)
axes[0].plot([0], [0], "ks", ms=6)
axes[0].set(xlabel="u", ylabel="v", xlim=(-0.6, 1.1), ylim=(-0.3, 1.5))
axes[0].legend(fontsize=9, loc="upper right")
axes[1].set(xlabel="step", ylabel="f", ylim=(-0.02, 0.05))
axes[1].legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="Left: two walks past a saddle (square) to the minimum above. Right: the function along them.",
    alt="Left, contour lines with a saddle at the origin: SR1 reaches the minimum at v = 1 in a few steps; "
    "BFGS goes to the saddle and creeps up with many small steps. Right: SR1 falls below zero within a few "
    "steps, BFGS stays level at zero for many.",
)

# %%
few, many = len(walks["SR1"]), len(walks["BFGS"])
print(
    f"SR1 needs fewer than 25 steps: {few < 25}; BFGS more than three times as many: {many > 3 * few}"
)

# %% [markdown]
# BFGS knows that the loss falls along $v$ (the slope says so), and assumes a curvature of 1 there, as it has been told nothing else: the step is as long as the slope, and that is tiny. SR1 has measured
# that the loss curves down, and goes as far as it is trusted.
#
# For a network $B$ cannot be stored. The **limited-memory** form keeps the last 20 pairs, $B = \gamma I + \Psi M \Psi^\top$ with a thin $\Psi$, and finds
# eigenvalues and best step from small matrices (Byrd, Nocedal and Schnabel 1994; Brust, Erway and Marcia 2017). The number $\gamma$ is the curvature where nothing is known. These are `LSR1` and `solve` of the library:

# %%
B_own, B_library = 0.5 * torch.eye(6), LSR1(memory=6, gamma=0.5)
A = draw(6, 6, seed=1)
A = A + A.T
for s in draw(4, 6, seed=2):
    B_own = sr1(B_own, s, A @ s)
    B_library.update(s, A @ s)
g = draw(6, seed=3)
print("the same matrix:", close(B_own, B_library.dense(6), atol=1e-8))
print(
    "the same step:",
    close(best_step(B_own, g, 1.0), solve(B_library, g, 1.0).p, atol=1e-6),
)
print(
    "a negative eigenvalue is among them:", torch.linalg.eigvalsh(B_own)[0].item() < 0
)

# %% [markdown]
# ## 6. The V-cycle
#
# All pieces are there. From the fine weights $\theta$:
#
# 1. a step or a few on the fine level;
# 2. down: $t_0 = R\,\theta$, and the coherent model $H$ with the slope $P^\top g$;
# 3. lower $H$ by steps that stay within the trust region, $\|t - t_0\| \le \delta / \|P\|$, with the same method on the coarse level; on three levels, by steps 1 to 4 there;
# 4. up: propose $p = P\,(t^\star - t_0)$. The predicted decrease is $H(t_0) - H(t^\star)$. The fine loss judges it like any other step.
#
# This is the **recursive multilevel trust-region method** (Gratton, Sartenaer and Toint 2008; for residual networks Kopaničáková and Krause 2022). As a poor proposal is not accepted, the fine loss
# cannot rise. **Nested iteration** is its simplest relative: minimise on the coarsest level, prolong, go on with the next one, and never go back. That was the cold open.

# %% [markdown]
# ### Exercise 27.7 · A coarse proposal
# Difficulty ●●●●○ · 4 points
#
# Write `propose(fine, coarse, theta, P, R, lower, radius)`: steps 2 to 4 for two levels, as a triple $(p, $ predicted decrease$, \rho)$. `fine` and `coarse` are functions from a vector to a number;
# `P` and `R` are matrices. `lower(H, t0, limit)` is given, and returns a vector no further from `t0` than `limit`. The norm $\|P\|$ is the largest singular value. Return numbers for the last two, and none of the three with a history.


# %% nbgrader={"grade": false, "grade_id": "ex27-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def propose(fine, coarse, theta, P, R, lower, radius):
    """Step, predicted decrease and ratio of a coarse correction.

    theta: (n,). P: (n, m). R: (m, n). Returns a tensor (n,) and two numbers.
    """
    ### BEGIN SOLUTION
    here, t0 = theta.detach().requires_grad_(), R @ theta
    (g,) = torch.autograd.grad(fine(here), here)
    leaf = t0.clone().requires_grad_()
    (own,) = torch.autograd.grad(coarse(leaf), leaf)
    shift = P.T @ g - own

    def H(t):
        return coarse(t) + shift @ (t - t0)

    t = lower(H, t0, radius / torch.linalg.matrix_norm(P, 2).item()).detach()
    p = P @ (t - t0)
    with torch.no_grad():
        predicted = (H(t0) - H(t)).item()
        actual = (fine(theta) - fine(theta + p)).item()
    return p, predicted, actual / predicted
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex27-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def downhill(H, t0, limit):
    """One step of steepest descent, as long as allowed."""
    leaf = t0.clone().requires_grad_()
    (slope,) = torch.autograd.grad(H(leaf), leaf)
    return t0 - limit * slope / slope.norm()


twice = torch.tensor([[1.0], [1.0]])  # one coarse unknown, two fine ones
mean = torch.tensor([[0.5, 0.5]])
p_try, predicted, rho = propose(
    lambda v: v.square().sum(),
    lambda t: 2 * t.square().sum(),
    torch.tensor([3.0, 1.0]),
    twice,
    mean,
    downhill,
    2**0.5,
)
assert p_try.shape == (2,) and p_try.dtype == torch.float64, FLOAT64
# t0 = 2, limit = 1, the slope is 8: down to 1, and H falls from 8 to 2
assert close(p_try, torch.tensor([-1.0, -1.0])), (
    "coarse from 2 to 1; both fine unknowns by -1; the limit is the radius over ||P||"
)
assert math.isclose(predicted, 6.0), "H(t0) - H(t)"
assert math.isclose(rho, 1.0), "9 + 1 before, 4 + 0 after: as predicted"

# %% nbgrader={"grade": true, "grade_id": "ex27-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
p_try, predicted, rho = propose(
    lambda v: v.square().sum(),
    lambda t: -5 * t.square().sum(),
    torch.tensor([3.0, 1.0]),
    torch.tensor([[1.0], [1.0]]),
    torch.tensor([[0.5, 0.5]]),
    lambda H, t0, limit: t0 - limit,
    2**0.5,
)
# a coarse loss that curves the wrong way, with the slope put right: -20 + 28 = 8
assert close(p_try, torch.tensor([-1.0, -1.0])), (
    "the coarse slope is P^T g = 8: go down"
)
assert math.isclose(predicted, 13.0) and math.isclose(rho, 6 / 13), (
    "H falls by 8 + 5, the fine loss by 6: the ratio tells that the model is poor"
)
### BEGIN HIDDEN TESTS
for seed, (n, m) in enumerate([(4, 2), (6, 3), (5, 5)]):
    P_try, R_try = draw(n, m, seed=seed), draw(m, n, seed=seed + 10)
    A = draw(n, n, seed=seed + 20)
    A, c = A + A.T, draw(m, m, seed=seed + 30)
    galerkin = P_try.T @ A @ P_try
    seen = []

    def lower_try(H, t0, limit, seen=seen, seed=seed):
        leaf = t0.clone().requires_grad_()
        (slope,) = torch.autograd.grad(H(leaf), leaf)
        seen.append((t0.clone(), limit, slope, H(t0).item()))
        d = draw(len(t0), seed=seed + 40)
        d = d if slope @ d < 0 else -d
        return (t0 + 0.02 * limit * d / d.norm()).requires_grad_()

    for exact in (True, False):

        def fine_try(v, A=A):
            return v @ A @ v / 2 + v.sum()

        def coarse_try(t, exact=exact, G=galerkin, c=c):
            return t @ G @ t / 2 - 7 * t.sum() if exact else (c @ t).sin().sum()

        place = draw(n, seed=seed + 50)
        kept = place.clone()
        p_try, predicted, rho = propose(
            fine_try, coarse_try, place, P_try, R_try, lower_try, 1.5
        )
        t0, limit, slope, start = seen[-1]
        assert torch.equal(place, kept), "theta was changed"
        assert not place.requires_grad, "theta was changed: it now wants a gradient"
        assert not p_try.requires_grad, "the step carries a history"
        assert isinstance(predicted, float) and isinstance(rho, float), (
            "predicted decrease and ratio are Python numbers: .item()"
        )
        assert close(t0, R_try @ kept), "the coarse start is R theta"
        assert math.isclose(limit, 1.5 / torch.linalg.svdvals(P_try)[0].item()), (
            "the limit is the radius over the largest singular value of P"
        )
        assert close(slope, P_try.T @ (A @ kept + 1)), "H has the slope P^T g at t0"
        assert math.isclose(start, coarse_try(t0).item()), "H(t0) is the coarse loss"
        t_end = lower_try(lambda t, t0=t0, s=slope: s @ (t - t0), t0, limit, seen=[])
        t_end = t_end.detach()
        assert close(p_try, P_try @ (t_end - t0), atol=1e-8), "p = P (t - t0)"
        (own,) = torch.autograd.grad(
            coarse_try(leaf := t0.clone().requires_grad_()), leaf
        )
        fall = coarse_try(t0) - coarse_try(t_end) - (slope - own) @ (t_end - t0)
        assert math.isclose(predicted, fall.item(), rel_tol=1e-6), "H(t0) - H(t)"
        actual = (fine_try(kept) - fine_try(kept + p_try)).item()
        assert math.isclose(rho, actual / predicted, rel_tol=1e-6), "actual / predicted"
        if exact:
            assert math.isclose(rho, 1.0, rel_tol=1e-6), (
                "a quadratic with P^T A P as coarse curvature is predicted exactly"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Five lines: start, gradient, model, `lower`, judge. Exercise 27.3 has the model; write it out again here, or call it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.matrix_norm(P, 2)` is the norm. The step is $P$ times the *change* of the coarse vector, never $P$ times the vector.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `t = lower(H, t0, radius / norm)`, `p = P @ (t - t0)`, `predicted = H(t0) - H(t)`, and $\rho$ = (`fine(theta) - fine(theta + p)`) / `predicted`.
#
# </details>

# %% [markdown]
# ## The library's version
#
# It is `VCycle`, with the transfers of a hierarchy. We let it make one coarse proposal for the spirals, from coarse steps only, and compare with our `propose`.

# %%
hierarchy, functions, _ = levels_of(resnet(seed=1), x, y, levels=2)
transfer, theta = hierarchy.transfers[0], hierarchy.theta()
regions = [Region(1.0, LSR1(20, gamma=0.03)) for _ in range(2)]
cycle = VCycle(hierarchy.transfers, regions, before=0, after=0, coarsest=4, reach=2.0)
at = Point.at(functions[0], theta)
after, (trial,) = cycle(functions, at)

eye = torch.eye(len(transfer.restrict_iterate(theta)))
P = torch.stack([transfer.prolong(e) for e in eye], dim=1)
R = torch.stack([transfer.restrict_iterate(e) for e in torch.eye(len(theta))], dim=1)


class Seen(torch.autograd.Function):
    """Value and gradient of the library's functions, for autograd."""

    @staticmethod
    def forward(ctx, theta, f):
        with torch.enable_grad():
            value, gradient = f(theta.detach())
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx, outer):
        return outer * ctx.saved_tensors[0], None


def by_region(H, t0, limit):
    """Four trust-region steps on H, no further than the limit."""

    def look(t):
        leaf = t.clone().requires_grad_()
        value = H(leaf)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    region, place = Region(1.0, LSR1(20, gamma=0.03)), Point.at(look, t0)
    for _ in range(4):
        gone = (place.theta - t0).norm().item()
        if gone < limit:
            place, _ = region.step(look, place, limit - gone)
    return place.theta


p, predicted, rho = propose(
    lambda v: Seen.apply(v, functions[0]),
    lambda t: Seen.apply(t, functions[1]),
    theta,
    P,
    R,
    by_region,
    2.0,
)
print("the same step as the library's:", close(theta + p, after.theta, atol=1e-6))
print("the same ratio:", abs(rho - trial.ratio) < 1e-6)
print("it is between 0.5 and 1.5, the coarse model is a good one:", 0.5 < rho < 1.5)

# %% [markdown]
# **Two kinds of trust.** The rule of the papers has one radius on each level: for the level's own steps, and as bound of what the coarse level proposes. When this chapter was written, V-cycles were slower than one level, and the
# trace of the ratios showed why. Here is such a trace, from the fine level's own steps and from the coarse proposals:


# %%
def traced(seed, reach, cycles=12):
    """Ratios of own steps and of coarse proposals, and the losses, of a V-cycle."""
    hierarchy, functions, _ = levels_of(resnet(seed), x, y, levels=2)
    regions = [Region(1.0, LSR1(20, gamma=0.1)) for _ in range(2)]
    cycle = VCycle(hierarchy.transfers, regions, 1, 1, 5, reach)
    at, trials = Point.at(functions[0], hierarchy.theta()), []
    for _ in range(cycles):
        at, tried = cycle(functions, at)
        trials += tried
    return trials, at.value.item()


one, loss_one = traced(seed=0, reach=None)
two, loss_two = traced(seed=0, reach=4.0)


def middle(trials, coarse):
    """The median ratio of one kind of step."""
    ratios = sorted(t.ratio for t in trials if t.coarse == coarse)
    return ratios[len(ratios) // 2]


print(
    "one radius: median ratio of coarse proposals above 0.8:", middle(one, True) > 0.8
)
print("            of the level's own steps below 0.5:", middle(one, False) < 0.5)
print("two radii end lower after as many cycles:", loss_two < loss_one)

# %% [markdown]
# The coarse model was right all the time; the young matrix of the fine level was not. Its failures made the one radius small, and the good proposals were cut to it. With a radius for each (`reach` in the library) each kind of step
# is trusted as it deserves. The fine loss judges both, so nothing is lost of what makes the method safe.

# %% [markdown]
# ## 7. Batches that grow
#
# All this needs the *same* samples at both ends of a step: $y$ is a difference of two gradients, and on two batches it would measure the batches. Early in training a few samples are enough to see where downhill is. **ASNTR** (Krejić and others 2024)
# is a trust region with additional sampling: it makes steps on a sample, and after each asks a few *other* samples whether they, too, have seen a decrease, with some slack that becomes smaller. If not, the step is taken back, and the sample grows by half. At the
# end it is the whole set, and the method the plain one.

# %%
record = stored("multilevel")
grown = record["growing"]
for name, row in grown.items():
    print(
        f"samples {name:9} of 400: cost to the loss {row['cost']:5.1f}, reached {row['reached']} of 5"
    )

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(5.4, 3.0))
for index, run in enumerate(grown["from 20"]["runs"]):
    ax.step(run["costs"], run["sizes"], where="post", lw=1.8, label=f"seed {index}")
ax.set(xlabel="cost, in gradients of all samples", ylabel="samples of a step")
ax.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Digits, 32 blocks: how the sample grows from 20 to all 400, or nearly, five seeds. Each line ends at the loss asked for.",
    alt="Five lines that rise in steps from 20 samples to 400, one of them to less, before training ends.",
)

# %% [markdown]
# Beginning with few samples saves about an eighth, here, where all of them are 400. The plain trust region needs less than either: it keeps loss and gradient of the place where it is, while each
# of these steps draws a sample, and looks at it twice. Samples that grow are for sets that are too large to be looked at in each step.

# %% [markdown]
# ## Signature result: what a loss costs
#
# The library's benchmark: the spirals with 64 blocks, and 400 images of digits with 32, to a loss of 0.01 on the points that are learned from. The price is counted in gradients of the finest network; one of a level below costs half. **Baselines** are
# Adam, SGD with momentum and L-BFGS, and the trust region on one level. *Every* side has six settings, all tried with two seeds; the best one runs with five more, shown here. Data and first weights of a seed are the same for all sides; weights begin alike in groups of four blocks.
#
# The **negative control** is on the right: V-cycles of two levels on the spirals, with weights that begin smooth in time or rough (64 independent draws), and with two radii or one.

# %%
tasks = ("spirals", "digits")
sides = list(record["spirals"])
print("cost to the loss, median (range), and CPU seconds to it")
for task in tasks:
    print(f"\n{task}")
    for name, row in record[task].items():
        low, high = ("beyond" if c is None else f"{c:.0f}" for c in row["spread"])
        cost = "beyond" if row["cost"] is None else f"{row['cost']:.0f}"
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f} s"
        print(f"  {name:19} {cost:>6}   ({low} to {high})".ljust(48) + seconds)


def gain(task, name):
    """How many times fewer gradients than on one level, medians."""
    return record[task]["one level"]["cost"] / record[task][name]["cost"]


def ahead(task, name, other):
    """Whether a side needs fewer gradients than another one on each seed."""
    pairs = zip(record[task][name]["runs"], record[task][other]["runs"], strict=True)
    return all(a["cost"] < (b["cost"] or math.inf) for a, b in pairs)


baselines = ("one level", "Adam", "SGD", "L-BFGS")
print()
for task in tasks:
    print(
        f"{task}: nested, 3 levels, is ahead of every baseline on each seed:",
        all(ahead(task, "nested, 3 levels", other) for other in baselines),
    )
    print(
        f"{task}: nested, 3 levels, against one level: {gain(task, 'nested, 3 levels'):.1f} times fewer; "
        f"V-cycles, 2 levels: {gain(task, 'V-cycles, 2 levels'):.1f}"
    )

for task in tasks:
    plain, levels = record[task]["Adam"]["cost"], record["adam"][task]["cost"]
    print(f"{task}: Adam {plain:.0f}, with coarse levels first {levels:.0f}")
why = record["why"]
print(
    "control: V-cycles with one radius and a rough start reach the loss on no seed:",
    why["V-cycles, one radius, rough start"]["reached"] == 0,
)

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.5))
edge = record["setting"]["budget"]
order = ["Adam", "SGD", "L-BFGS", "one level"]
order += ["V-cycles, 2 levels", "V-cycles, 3 levels"]
order += ["nested, 2 levels", "nested, 3 levels"]
for task, marker, look, shift in (
    ("spirals", "o", "C0", 0.13),
    ("digits", "s", "C1", -0.13),
):
    for place, name in enumerate(order):
        costs = [run["cost"] or edge for run in record[task][name]["runs"]]
        axes[0].plot(
            costs,
            [place + shift] * len(costs),
            marker,
            color=look,
            ms=5,
            label=task if place == 0 else None,
        )
axes[0].set_yticks(range(len(order)), order, fontsize=9)
axes[0].set(xlabel="cost to the loss", xlim=(0, edge + 5), ylim=(-0.6, 7.6))
axes[0].set_ylabel("side", fontsize=9)
axes[0].legend(fontsize=9, loc="upper right")
names = list(record["why"])
for place, name in enumerate(names):
    costs = [run["cost"] or edge for run in record["why"][name]["runs"]]
    axes[1].plot(costs, [place] * 5, "x" if "rough" in name else "o", color="k", ms=6)
axes[1].set_yticks(
    range(len(names)), [n.replace(", ", ",\n", 1) for n in names], fontsize=8
)
axes[1].set(xlabel="cost to the loss", xlim=(0, edge + 5), ylim=(-0.6, 5.6))
axes[1].set_ylabel("spirals", fontsize=9)
figure(
    fig,
    caption="Left: one mark a seed; a mark at 200 has not reached the loss. Right, spirals: what V-cycles need.",
    alt="Left, rows of marks for spirals and digits: nested iteration with three levels lies furthest left, at about "
    "15; one level and V-cycles are near 45 and 30; Adam and SGD are near 100 and 50, L-BFGS between. Right: one level and V-cycles with "
    "two radii and a smooth start are near 45; V-cycles with one radius, or a rough start, lie far to the right, and with both at "
    "the end of the axis.",
)

# %% [markdown]
# **Beginning on coarse levels pays.** With three levels, nested iteration needs a third of the gradients of one level on the spirals and less than half on digits. On each seed it is ahead of every baseline. Most runs
# arrive at the first look at the fine network: all their steps were coarse ones.
#
# **Is it the levels, or what steps on them?** Both. Adam gains from coarse levels, too, with six settings of its own: it needs about a third fewer gradients on the spirals, a quarter fewer on digits. It stays far behind the trust region on the same levels.
#
# **V-cycles hardly gain.** Their ranges and those of one level overlap, on both tasks. Each cycle buys two or three looks at the fine network; in a well-chosen setting one level needs only some forty in all. And they come to rest (gradient below $10^{-4}$) later than one level on the spirals.
#
# **Why they lost before.** On the right, with two radii and a smooth start, a V-cycle costs what one level costs. With one radius it costs about twice as much, and one run of five does not arrive. With a rough start it costs more than that again, and with both no run arrives. One level does not mind a rough start.
#
# **Seconds.** On the spirals nested iteration is first by the clock, too. On digits L-BFGS is: a step of a trust region does more beside the gradient, which counts where blocks are as small as here.
#
# **What the comparison is worth.** All sides look at all points in every step. Adam and SGD are made for small batches, and with many points they would take them; that race was not run. One level was searched over $\gamma$ and the length of section 2: with the
# library's default, $\gamma = 1$, it needs about twice as many gradients on the spirals, and would have made the levels look better than they are.

# %% [markdown]
# ## An experiment to change
#
# Nested iteration on the spirals, all that matters in one place.

# %%
SEED, ALIKE, STEPS, GAMMA = 4, 4, (5, 45), 0.03


def experiment():
    """The loss of 64 blocks after coarse steps only, and the price."""
    hierarchy, functions, spent = levels_of(resnet(SEED, alike=ALIKE), x, y, levels=3)
    regions = [Region(1.0, LSR1(20, gamma=GAMMA)) for _ in range(3)]
    cycle = VCycle(hierarchy.transfers, regions)
    at = cycle.nested(functions, hierarchy.theta(), STEPS)
    return at.value.item(), spent[0]


loss, price = experiment()
print(f"price {price:.1f}; the loss is below 0.1: {loss < 0.1}")

# %% [markdown]
# Print `loss`, and change one thing at a time. Guess first:
#
# - `STEPS = (5, 90)`: the coarsest network is trained to its end. Is the fine one better for it?
# - `STEPS = (45, 5)`: what do the same steps cost now, and what are they worth?
# - `ALIKE = 1`: rough weights. Does nested iteration mind? (Where do its coarse weights come from?)
# - `GAMMA = 1.0`: what does a wrong guess of the unknown curvature cost?
#
# ## When it fails
#
# **Rough weights.** The right half of the signature result. Independent draws, which is what everybody starts from, are no function of time. Nested iteration does not mind, as its coarse weights come from a mean and are then trained; a V-cycle does, as it
# compares two networks that have little in common.
#
# **The wrong map.** Weights that are restricted by $P^\top$ are twice too large:

# %%
blocks = drawn("smooth", seed=0)
fine_states = scores(x, first, blocks, last, 4.0)
gaps = []
for coarse_blocks in (restrict_weights(blocks), restrict_gradient(blocks)):
    gap = scores(x, first, coarse_blocks, last, 4.0) - fine_states
    gaps.append((gap.norm() / fine_states.norm()).item())
print("sums for means: more than ten times as far off:", gaps[1] > 10 * gaps[0])

# %% [markdown]
# **Late in training.** Near a minimum most of the gradient cannot be seen on the coarse grid, and what is left is the fine level's work.
#
# **Too coarse.** With steps so long that a block does much, Euler's method is no picture of anything: in section 1, groups of four are well represented by 16 blocks, and no longer by 8.
#
# **Layers that do not fit.** Blocks must have equal shapes. A network whose width changes has a hierarchy within each stage only. BatchNorm keeps running means, which have no prolongation: the library refuses it.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "A network of 32 residual blocks with step 1/8 is to be made coarser once. What is it?",
        choices=[
            "16 blocks with step 1/8",
            "16 blocks with step 1/4",
            "32 blocks with step 1/4",
        ],
        answer="946b9a8bcbcc",
        hint="The time T stays what it is.",
    ),
    Question(
        "Two fine blocks have the gradients 3 and 5. What is the gradient of the coarse block that stands for both?",
        choices=["4", "8", "3"],
        answer="98e0397f7276",
        hint="The chain rule, through two places.",
    ),
    Question(
        "A pair has negative curvature: the inner product of y and s is below zero. What does SR1 do with it?",
        choices=[
            "It leaves the pair out",
            "It changes the sign of y",
            "It takes it like any other",
        ],
        answer="d969a2618cff",
        hint="What is the rule about when a pair is left out?",
    ),
    Question(
        "You are exactly on a saddle, with zero gradient, and the matrix has a negative eigenvalue. What is the best step within a trust region?",
        choices=[
            "Zero: there is no slope",
            "Along the lowest eigenvector, to the border, either way",
            "Newton's step",
        ],
        answer="7dbf6bd5c345",
        hint="The hard case.",
    ),
    Question(
        "A coarse proposal predicts a decrease of 2, and the fine loss falls by 0.1. What happens?",
        choices=[
            "It is accepted, and the radius shrinks",
            "It is refused, and the radius shrinks",
            "It is accepted, and the radius stays",
        ],
        answer="bcd0b3e834a1",
        hint="The ratio is 0.05.",
    ),
    Question(
        "A colleague has a residual network that she has trained already. She asks whether V-cycles will bring it to a lower loss at less cost than one level. What do the tables say?",
        choices=[
            "Yes, several times",
            "Little: the gain was in beginning on coarse levels",
            "No, they never reach the loss",
        ],
        answer="d7fdd5c6e9ec",
        hint="Compare the rows of V-cycles and of nested iteration.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A residual network is Euler's method; half as many blocks with twice the time step cost half, and are the same network roughly, if its weights are smooth in time.
# - Steps go up by $P$, gradients down by $P^\top$ (pairs add up), weights down by means.
# - The coherent model $H$ is the coarse loss with the fine slope at its start.
# - SR1 obeys the secant equation whatever the sign of the curvature; on a saddle that is the way out. BFGS has to throw such pairs away.
# - The best step within a radius is found from eigenvalues, and proved by a certificate. The ratio of actual and predicted decrease accepts it, and sets the radius.
# - A V-cycle proposes steps from coarser levels; the fine loss judges them. Coarse model and own matrix deserve a radius each.
# - Nested iteration gave the gain: coarsest level first, at a third to a half of the price of one level. V-cycles of equal tuning cost about what one level costs.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | residual block, time step | $h_{k+1} = h_k + \Delta F(h_k, \theta_k)$; the number $\Delta$ |
# | opening, closing layer | linear layers before the first and after the last block |
# | level, grid | networks of $K$, $K/2$, ... blocks over the same time |
# | prolongation, restriction | $P$: coarse to fine; $R$ for weights, $P^\top$ for gradients: fine to coarse |
# | coherence | the coarse model has the fine slope at its start |
# | secant equation | $B s = y$: step and change of the gradient |
# | SR1, BFGS | a symmetric update of rank one, of any sign; one that stays positive |
# | trust region, radius | where the model is believed: $\lVert p \rVert \le \delta$ |
# | hard case | no slope along the lowest eigenvector |
# | ratio | $\rho$, actual over predicted decrease |
# | V-cycle | steps, down to coarser levels, up again, judged on each |
# | nested iteration | coarsest level first, then prolong, and never back |
#
# ## Readings
#
# - **Kopaničáková and Krause (2022)**, *Globally convergent multilevel training of deep residual networks*, SIAM Journal on Scientific Computing. Look for the
#   hierarchy in time, SR1, and batches that grow. We have read its abstract only: nothing here is compared with its tables.
# - **Gratton, Sartenaer and Toint (2008)**, *Recursive trust-region methods for multiscale nonlinear optimization*, SIAM Journal on Optimization. Look for the
#   V-cycle with a proof that it converges.
# - **Nash (2000)**, *A multigrid approach to discretized optimization problems*, Optimization Methods and Software. Look for the linear term of section 3.
# - **Haber, Ruthotto, Holtham and Jun (2018)**, *Learning across scales: multiscale methods for convolution neural networks*, AAAI. Look for weights that are carried from
#   coarse networks to fine ones.
# - **Nocedal and Wright (2006)**, *Numerical optimization*, Springer. Look for SR1 (section 6.2), and the trust-region problem with its hard case (section 4.3).
# - **Krejić, Krklec Jerinkić, Martínez and Yousefi (2024)**, *A non-monotone trust-region method with noisy oracles and additional sampling*, Computational Optimization and Applications. Look for the test by other samples.
