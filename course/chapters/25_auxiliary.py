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
# # 25 · Auxiliary variables
#
# > **Claim.** Cut the chain of modules with one equality constraint for each cut, and every module has a problem of its own, without any lock; the multipliers of the constraints become minus the gradients of backpropagation. How well this trains is decided by the states: where a full pass corrects them from time to time, accuracy is level with backpropagation; left to themselves they stay far behind on a task that needs depth.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | write the training of a network as a problem with equality constraints; compute what each module needs from its own part alone; say why a penalty leaves a violation, how large it is, and how multipliers remove it; recognise a multiplier as a gradient; correct multipliers by one full pass; make states with a network, where the data are augmented; compute the speed-up of parallel modules, its ceiling and the best number of modules |
# | **Before you start** | chapter 21 (locks, timelines); chapter 22 (local losses); the chain rule; Lagrange multipliers help |
# | **Time** | 150 minutes |
# | **Points** | 23, in seven exercises |

# %% tags=["setup"]
import math
from collections import namedtuple
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy, pad

import modular
from course.kit import Question, figure, quiz, setup, stored
from modular.lifted import SPH, AugmentedLagrangian, AuxNet, Free, Lifted, Quadratic

generator = setup(seed=25)

# %% [markdown]
# ## Cold open: everybody is content, nothing is learned
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# Backpropagation makes modules wait, because each needs the output of the one before and the
# gradient of the one after (chapter 21). Here is a plan without any waiting. Run the network once,
# and write down the output of every module for every picture, in a **table**. From now on each
# module takes its input from the table, and its target, too: module $k$ should return
# what the table says comes out of it. The last module has the labels. All modules work at the same time.
#
# If the table never changes, hidden modules have nothing to learn: they return exactly what it
# says. So the table must change. We let its entries follow the gradient of the loss, and
# charge a small price for the difference between an entry and what its module returns. Four modules,
# 400 pictures of digits.

# %% tags=["given"]
task = modular.digits(torch.Generator().manual_seed(25))
x_few, y_few = task.x[:400], task.y[:400]


def four_modules(seed, inputs=64, width=32):
    """Three hidden modules and a last one that returns ten scores."""
    torch.manual_seed(seed)
    sizes = [inputs, width, width, width]
    hidden = [
        nn.Sequential(nn.Linear(a, b), nn.Tanh())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    return [*hidden, nn.Linear(width, 10)]


def forward_states(modules, x):
    """What every module but the last returns in a forward pass, without history."""
    states, h = [], x
    with torch.no_grad():
        for module in modules[:-1]:
            h = module(h)
            states.append(h)
    return states


# %%
def from_a_table(price, rate, epochs=50):
    """Train from a table; return the loss that the last module sees, and the true one."""
    modules = four_modules(0)
    table = forward_states(modules, x_few)
    optimiser = torch.optim.Adam(nn.ModuleList(modules).parameters(), lr=3e-3)
    seen, true = [], []
    for _ in range(epochs):
        table = [entry.detach().requires_grad_() for entry in table]
        cost, h = torch.zeros(()), x_few
        for module, entry in zip(modules, table, strict=False):
            cost = cost + price / 2 * (entry - module(h)).square().sum(dim=1).mean()
            h = entry
        loss = cross_entropy(modules[-1](h), y_few)
        optimiser.zero_grad()
        (loss + cost).backward()
        optimiser.step()
        table = [entry - rate * len(x_few) * entry.grad for entry in table]
        seen.append(loss.item())
        with torch.no_grad():
            true.append(cross_entropy(nn.Sequential(*modules)(x_few), y_few).item())
    return seen, true


def by_backpropagation(epochs=50):
    """The same network, end to end."""
    net = nn.Sequential(*four_modules(0))
    optimiser, losses = torch.optim.Adam(net.parameters(), lr=3e-3), []
    for _ in range(epochs):
        optimiser.zero_grad()
        loss = cross_entropy(net(x_few), y_few)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


whole = by_backpropagation()
seen, true = from_a_table(price=1e-4, rate=50.0)

# %% tags=["picture"]
fig, ax = plt.subplots()
ax.plot(seen, label="table: as the last module sees it")
ax.plot(true, label="table: of the network")
ax.plot(whole, label="backpropagation")
ax.axhline(math.log(10), color="k", lw=1.0, ls=":")
ax.text(38, 2.36, "guessing", fontsize=9)
ax.set(xlabel="epoch", ylabel="training loss", ylim=(-0.1, 2.7))
ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(0.09, 0.28))
figure(
    fig,
    caption="Training from a table. Solid: the loss on the table's entries. Dashed: the loss "
    "of the network, run from the picture to the scores.",
    alt="Training loss against epochs. The loss that the last module sees falls to zero at once. The "
    "loss of the network with the same weights leaves the dotted line of guessing slowly and "
    "is above one after fifty epochs, while backpropagation's has come down to a half.",
)

# %%
print("the last module sees a loss below 0.01:", seen[-1] < 0.01)
print("the loss of the network is below 1:", true[-1] < 1)
print("backpropagation's is below 1:", whole[-1] < 1)

# %% [markdown]
# Everybody is content: the table gives the last module inputs that are easy to classify. No module
# returns them. The network is the chain of modules, and the chain is broken.
#
# So the price matters, and so does how the entries move. Both have been known in optimisation since the
# 1960s, under other names. This chapter uses them: what does the price have to be? Can the
# chain be whole again at the end? And what is gained, in time, by a network in which nobody waits?

# %% [markdown]
# ## 1. Cut the chain
#
# Write $f_0, \dots, f_{K-1}$ for the modules and $x$ for the data, as in the chapters before. Training is
#
# $$ \min_{\theta} \; \ell\big( f_{K-1}( \dots f_1(f_0(x))), \, y \big) . $$
#
# Give every output between two modules a name of its own, the **state** $\lambda_k$, and demand by
# **constraints** that it is what the module returns:
#
# $$ \min_{\theta, \lambda} \; \ell\big( f_{K-1}(\lambda_{K-2}), y \big)
#    \quad\text{with}\quad \lambda_k = f_k(\lambda_{k-1}), \quad k = 0, \dots, K - 2, \qquad \lambda_{-1} = x . $$
#
# Nothing has changed: who keeps all constraints has the same network, and the same loss. But now one may
# *violate* them for a while. The **violation** of cut $k$ is
#
# $$ r_k = \lambda_k - f_k(\lambda_{k-1}) . $$
#
# The states are called **auxiliary variables**. (In part 1, $\lambda$ was the weight of the Lasso. Here
# it is a state, as in the papers of this chapter.) There is one state for each cut *and each sample*.
#
# **Shapes.** A state is `(batch, ...)`: for the modules of this chapter `(batch, width)`, for a
# convolution `(batch, channels, height, width)`. `states` is a list of $K - 1$ tensors.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def small_chain(seed, sizes=(5, 4, 6, 3), rows=7):
    """Modules of unequal widths, data, labels, states and multipliers, all at random."""
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    modules = [
        nn.Sequential(nn.Linear(a, b), nn.Tanh())
        for a, b in zip(sizes[:-2], sizes[1:-1], strict=True)
    ]
    modules.append(nn.Linear(sizes[-2], sizes[-1]))
    x = torch.randn(rows, sizes[0], generator=g)
    y = torch.randint(sizes[-1], (rows,), generator=g)
    states = [torch.randn(rows, n, generator=g) for n in sizes[1:-1]]
    kappas = [torch.randn(rows, n, generator=g) for n in sizes[1:-1]]
    return modules, x, y, states, kappas


# %% [markdown]
# ### Exercise 25.1 · Violations
# Difficulty ●○○○○ · 2 points
#
# Write `violations(modules, x, states)`: the list of all $r_k$. A module takes its input from the
# states, not from the module before it. Do not change the states.


# %% nbgrader={"grade": false, "grade_id": "ex25-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def violations(modules, x, states):
    """State minus output at every cut.

    modules: K maps. x: (batch, ...). states: list of K - 1 tensors (batch, ...).
    Returns a list of K - 1 tensors, shapes as those of the states.
    """
    ### BEGIN SOLUTION
    inputs = [x, *states[:-1]]
    return [
        state - module(h)
        for state, module, h in zip(states, modules, inputs, strict=False)
    ]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
steps = [lambda h: 2 * h, lambda h: h + 1, lambda h: -h]
found = violations(steps, torch.ones(1, 2), [torch.ones(1, 2), torch.zeros(1, 2)])
assert len(found) == 2, "three modules have two cuts between them"
assert torch.equal(found[0], -torch.ones(1, 2)), (
    "the first module doubles the data: it returns 2, the state says 1"
)
assert torch.equal(found[1], torch.full((1, 2), -2.0)), (
    "the second module's input is the first state, 1: it returns 2, its state says 0"
)

# %% nbgrader={"grade": true, "grade_id": "ex25-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
modules, x, y, states, _ = small_chain(0)
assert [r.shape for r in violations(modules, x, states)] == [s.shape for s in states], (
    "a violation has the shape of its state"
)
### BEGIN HIDDEN TESTS
for seed, sizes in enumerate([(5, 4, 3), (4, 6, 2, 3), (3, 3, 3, 3, 3, 3)]):
    modules, x, y, states, _ = small_chain(seed, sizes)
    given = [s.clone() for s in states]
    found = violations(modules, x, states)
    assert all(torch.equal(a, b) for a, b in zip(states, given, strict=True)), (
        "the states were changed"
    )
    assert len(found) == len(states), "one violation for each cut"
    assert found[0].dtype == torch.float64, FLOAT64
    before = [x, *states]
    for k, r in enumerate(found):
        with torch.no_grad():
            assert torch.allclose(r, states[k] - modules[k](before[k]), atol=1e-12), (
                "r_k is the state minus what module k makes of the state before"
            )
    chain = forward_states(modules, x)
    assert max(r.abs().max() for r in violations(modules, x, chain)) < 1e-12, (
        "the states of a forward pass violate nothing"
    )
    weights = [torch.randn_like(s) for s in states]
    leaves = [s.clone().requires_grad_() for s in states]
    total = sum(
        (w * r).sum()
        for w, r in zip(weights, violations(modules, x, leaves), strict=True)
    )
    total.backward()
    again = [s.clone().requires_grad_() for s in states]
    by_hand = sum(
        (weights[k] * (again[k] - modules[k]([x, *again][k]))).sum()
        for k in range(len(states))
    )
    by_hand.backward()
    assert all(
        a.grad is not None and torch.allclose(a.grad, b.grad, atol=1e-12)
        for a, b in zip(leaves, again, strict=True)
    ), "the right values with another gradient: is there a detach, or a no_grad?"
picture = torch.randn(2, 3, 4, 4)
twice = violations([lambda h: 2 * h, lambda h: h], picture, [3 * picture])
assert torch.allclose(twice[0], picture), "states may have more than two axes"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Line up three lists: the modules (but for the last), what each takes, and the state that it should
# return.
#
# </details>
# <details><summary>Hint 2</summary>
#
# What module $k$ takes is `x` for $k = 0$ and `states[k - 1]` for the others.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With `inputs = [x, *states]`, $r_k$ is `states[k] - modules[k](inputs[k])`.
#
# </details>

# %% [markdown]
# There are two classical ways to put a price on a violation. The **penalty** charges its square,
# $\tfrac\beta2 \|r_k\|^2$, with one weight $\beta > 0$ for all. The **augmented Lagrangian** charges
# a linear price in addition: $\langle \kappa_k, r_k \rangle$, where the **multiplier** $\kappa_k$ has
# the shape of the state. Together, for one sample,
#
# $$ \mathcal L = \ell\big( f_{K-1}(\lambda_{K-2}), y \big)
#    + \sum_{k=0}^{K-2} \Big( \langle \kappa_k, r_k \rangle + \tfrac{\beta}{2} \|r_k\|^2 \Big) . $$
#
# With $\kappa = 0$ it is the penalty. We call it the **lifted loss**. (The square is the method of auxiliary
# coordinates of Carreira-Perpiñán and Wang, 2014; with multipliers, and for residual networks, it is the method
# of Sun, Dong and others, 2020. Of the papers by Sun, Dong and others we have read the abstracts only; the
# sign of $\kappa$ is ours.)

# %% [markdown]
# ### Exercise 25.2 · The lifted loss
# Difficulty ●●○○○ · 3 points
#
# Write `lifted_loss(modules, x, y, states, kappas, beta)`: $\mathcal L$ of every sample, with
# cross-entropy for $\ell$. Inner product and norm run over *all* axes of a state but the batch.


# %% nbgrader={"grade": false, "grade_id": "ex25-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lifted_loss(modules, x, y, states, kappas, beta):
    """The lifted loss of each sample, shape (batch,).

    modules: K maps, the last returns scores (batch, classes). x: (batch, ...).
    y: labels (batch,). states, kappas: lists of K - 1 tensors (batch, ...). beta: number.
    """
    ### BEGIN SOLUTION
    total = cross_entropy(modules[-1](states[-1]), y, reduction="none")
    before = x
    for module, state, kappa in zip(modules, states, kappas, strict=False):
        r = state - module(before)
        price = kappa * r + beta / 2 * r.square()
        total = total + price.flatten(1).sum(dim=1)
        before = state
    return total
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
steps = [lambda h: 2 * h, lambda h: 0 * h]
x, y = torch.ones(2, 3), torch.tensor([0, 2])
state, kappa = torch.zeros(2, 3), torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
found = lifted_loss(steps, x, y, [state], [kappa], 1.0)
assert found.shape == (2,), "one number for each sample"
assert found.dtype == torch.float64, FLOAT64
assert torch.allclose(found[1], torch.tensor(math.log(3) + 6)), (
    "without a multiplier: log 3 for equal scores, and half of three squares of 2"
)
assert torch.allclose(found[0], torch.tensor(math.log(3) + 6 - 6)), (
    "r is state minus output, -2 everywhere, so a multiplier of ones takes 6 off"
)

# %% nbgrader={"grade": true, "grade_id": "ex25-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
modules, x, y, _, kappas = small_chain(1)
with torch.no_grad():
    plain = cross_entropy(nn.Sequential(*modules)(x), y, reduction="none")
    found = lifted_loss(modules, x, y, forward_states(modules, x), kappas, 3.0)
assert torch.allclose(found, plain), (
    "the states of a forward pass violate nothing: only the loss of the network is left"
)
### BEGIN HIDDEN TESTS
for seed, sizes in enumerate([(5, 4, 3), (4, 6, 2, 3), (3, 3, 3, 3, 3, 4)]):
    modules, x, y, states, kappas = small_chain(seed, sizes)
    for beta in (0.3, 2, 10.0):
        leaves = [s.clone().requires_grad_() for s in states]
        prices = [s.clone().requires_grad_() for s in kappas]
        expected, inputs = [], [x, *leaves]
        for i in range(len(x)):
            scores = modules[-1](leaves[-1][i])
            one = scores.logsumexp(dim=0) - scores[y[i]]
            for k in range(len(states)):
                gap = leaves[k][i] - modules[k](inputs[k][i])
                one = one + prices[k][i] @ gap + 0.5 * beta * gap @ gap
            expected.append(one)
        expected = torch.stack(expected)
        mine = [s.clone().requires_grad_() for s in states]
        own = [s.clone().requires_grad_() for s in kappas]
        found = lifted_loss(modules, x, y, mine, own, beta)
        assert found.shape == (len(x),), "one number for each sample"
        assert torch.allclose(found, expected, atol=1e-10), (
            "another value than loss, inner products and half of beta times the squares"
        )
        weights = torch.randn(len(x))
        first = torch.autograd.grad((weights * found).sum(), mine + own)
        second = torch.autograd.grad((weights * expected).sum(), leaves + prices)
        assert all(
            torch.allclose(a, b, atol=1e-10) for a, b in zip(first, second, strict=True)
        ), (
            "right values, another gradient for states or multipliers: a detach somewhere?"
        )
    zero = [torch.zeros_like(s) for s in states]
    with torch.no_grad():
        squares = lifted_loss(modules, x, y, states, zero, 4.0)
        loss_only = lifted_loss(modules, x, y, states, zero, 0.0)
        assert torch.allclose(
            squares - loss_only,
            2 * (lifted_loss(modules, x, y, states, zero, 2.0) - loss_only),
        ), "twice the beta, twice the price"
maps = [lambda h: 2 * h, lambda h: h.flatten(1)[:, :3]]
picture, kappa = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
found = lifted_loss(maps, picture, torch.tensor([0, 1]), [3 * picture], [kappa], 2.0)
scores = 3 * picture.flatten(1)[:, :3]
loss = cross_entropy(scores, torch.tensor([0, 1]), reduction="none")
whole = (
    loss + (kappa * picture).sum(dim=(1, 2, 3)) + picture.square().sum(dim=(1, 2, 3))
)
assert found.shape == (2,) and torch.allclose(found, whole), (
    "states of four axes: sum over all of them but the batch"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `cross_entropy` has an argument that keeps one loss for each sample.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For any shape of state, `flatten(1)` makes rows. Then sum over `dim=1`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# One cut adds `(kappa * r + beta / 2 * r.square()).flatten(1).sum(dim=1)`.
#
# </details>

# %% [markdown]
# ## 2. Every module for itself
#
# Look at $\mathcal L$ again: module $k$ appears in exactly *one* term. So its gradient needs only its own
# input $\lambda_{k-1}$, its own output, and the state and the multiplier after it. Write $p_k$ for the
# gradient that enters module $k$ at its output, its **credit**:
#
# $$ p_k = -(\kappa_k + \beta r_k) \quad (k < K - 1), \qquad
#    p_{K-1} = \nabla \ell , $$
#
# and $q_k$ for what leaves it at its input, $q_k = J_k^\top p_k$ with the module's Jacobian $J_k$. The gradient
# of the weights is that of $\langle p_k, f_k(\lambda_{k-1}) \rangle$ with $p_k$ held fixed.
#
# The state $\lambda_k$ appears in *two* terms: as the target of module $k$, and as the input of module $k + 1$:
#
# $$ \nabla_{\lambda_k} \mathcal L = q_{k+1} - p_k . $$
#
# A state rests if what the module after it asks for is the credit that the module before it gets. That is
# the chain rule, written as an equation that may be violated.

# %% [markdown]
# ### Exercise 25.3 · What each module computes
# Difficulty ●●●○○ · 4 points
#
# Write `lifted_gradients(modules, x, y, states, kappas, beta)`. It returns two lists. First, for each
# module the list of its weights' gradients, in the order of `module.parameters()`, of the *mean* of
# $\mathcal L$ over the batch. Second, for each state the gradient of *each sample's own* $\mathcal L$,
# $q_{k+1} - p_k$, of the shape of the state (not divided by the size of the batch).
#
# Modules are to work alone: each runs once, on an input that has no history (a fresh tensor, detached), and
# no graph connects two modules. Leave the `.grad` of the weights as it is. The results have no
# history either.


# %% nbgrader={"grade": false, "grade_id": "ex25-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lifted_gradients(modules, x, y, states, kappas, beta):
    """Gradients of the lifted loss, every module alone.

    Arguments as those of lifted_loss, modules are nn.Module. Returns (weights, moves):
    weights[k][i] is the gradient of the i-th parameter of module k, for the mean over
    the batch; moves[k], shape of states[k], that of each sample's own lifted loss.
    """
    ### BEGIN SOLUTION
    rows, weights, ps, qs = len(x), [], [], []
    for k, module in enumerate(modules):
        h = (x if k == 0 else states[k - 1]).detach().clone().requires_grad_()
        out = module(h)
        if k == len(modules) - 1:
            loss = cross_entropy(out, y, reduction="sum")
            (p,) = torch.autograd.grad(loss, out, retain_graph=True)
        else:
            p = -(kappas[k] + beta * (states[k] - out)).detach()
        q, *own = torch.autograd.grad(out, [h, *module.parameters()], p)
        weights.append([g / rows for g in own])
        ps.append(p)
        qs.append(q)
    return weights, [q - p for q, p in zip(qs[1:], ps[:-1], strict=True)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
modules, x, y, states, kappas = small_chain(2)
zero = [torch.zeros_like(s) for s in states]
weights, moves = lifted_gradients(
    modules, x, y, forward_states(modules, x), zero, beta=2.0
)
assert [len(own) for own in weights] == [2, 2, 2], (
    "a list for each module, an entry for each parameter"
)
assert weights[0][0].shape == modules[0][0].weight.shape, (
    "a gradient has the shape of its parameter"
)
assert [m.shape for m in moves] == [s.shape for s in states], (
    "a gradient for each state, of its shape"
)
assert moves[0].dtype == torch.float64, FLOAT64
assert max(g.abs().max() for own in weights[:-1] for g in own) < 1e-12, (
    "nothing violated and no multipliers: hidden modules have no credit"
)
expected = torch.autograd.grad(
    cross_entropy(modules[-1](forward_states(modules, x)[-1]), y),
    list(modules[-1].parameters()),
)
assert torch.allclose(weights[-1][0], expected[0]), (
    "the last module takes the gradient of the loss, a mean over the batch"
)

# %% nbgrader={"grade": true, "grade_id": "ex25-3-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
_, moves = lifted_gradients(modules, x, y, states, kappas, 2.0)
twice = lifted_gradients(
    modules,
    torch.cat([x, x]),
    torch.cat([y, y]),
    [torch.cat([s, s]) for s in states],
    [torch.cat([s, s]) for s in kappas],
    2.0,
)[1]
assert torch.allclose(twice[0][: len(x)], moves[0]), (
    "every sample twice: the gradient of a sample's own loss does not change"
)
### BEGIN HIDDEN TESTS
for seed, sizes in enumerate([(5, 4, 3), (4, 6, 2, 3), (3, 3, 5, 3, 4, 4)]):
    modules, x, y, states, kappas = small_chain(10 + seed, sizes)
    for beta in (0.5, 3.0):
        leaves = [s.clone().requires_grad_() for s in states]
        total = cross_entropy(modules[-1](leaves[-1]), y, reduction="sum")
        inputs = [x, *leaves]
        for k in range(len(states)):
            gap = leaves[k] - modules[k](inputs[k])
            total = total + (kappas[k] * gap).sum() + beta / 2 * gap.square().sum()
        own = [list(m.parameters()) for m in modules]
        flat = [p for part in own for p in part]
        found = torch.autograd.grad(total, [*flat, *leaves])
        calls, history = [], []

        def watch(module, args, calls=calls, history=history):
            calls.append(module)
            history.append(args[0].grad_fn)

        handles = [m.register_forward_pre_hook(watch) for m in modules]
        marks = [torch.full_like(p, 7.0) for p in flat]
        for p, mark in zip(flat, marks, strict=True):
            p.grad = mark.clone()
        tracked = [s.clone().requires_grad_() * 1.0 for s in states]
        weights, moves = lifted_gradients(modules, x, y, tracked, kappas, beta)
        for handle in handles:
            handle.remove()
        assert all(
            p.grad is not None and torch.equal(p.grad, m)
            for p, m in zip(flat, marks, strict=True)
        ), "the .grad of the weights was changed: torch.autograd.grad leaves it alone"
        assert all(not m.requires_grad for m in moves), "the results carry a history"
        mine = [g for part in weights for g in part]
        assert all(not g.requires_grad for g in mine), "the results carry a history"
        assert len(mine) == len(flat), "a gradient for each parameter"
        for g, expected in zip(mine, found, strict=False):
            assert torch.allclose(g, expected / len(x), atol=1e-12), (
                "a weight's gradient is not that of the mean of the lifted loss"
            )
        for g, expected in zip(moves, found[len(flat) :], strict=True):
            assert torch.allclose(g, expected, atol=1e-12), (
                "a state's gradient is not q - p, that of each sample's own loss"
            )
        assert len(calls) == len(modules) and {*calls} == {*modules}, (
            "each module is to run exactly once"
        )
        assert all(h is None for h in history), (
            "a module was given an input with a history: detach the states"
        )
        assert all(s.grad is None for s in states), "the states were touched"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One loop over the modules. In each turn: a fresh input, one forward pass, the credit $p_k$, and one
# call of `torch.autograd.grad` for input and weights together.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(out, inputs, p)` gives $J^\top p$ for each of the inputs. If $p$ is the credit
# of each sample, the result for the state is right as it is, and that for the weights is a sum over the batch.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $p_k$ is `-(kappas[k] + beta * (states[k] - out))`, detached; that of the last module is the gradient
# of `cross_entropy(..., reduction="sum")`. Then `moves[k] = q[k + 1] - p[k]`.
#
# </details>

# %% [markdown]
# Now a small theorem. Let the states be those of a forward pass, so $r = 0$, and let each multiplier be
# *minus the adjoint*: $\kappa_k = -a_k$, where the **adjoint** $a_k = \nabla_{h_k} \ell$ is the gradient that
# backpropagation would send across the cut. Then $p_k = a_k$, every module has its true credit, and
# $q_{k+1} = a_k$ by the chain rule: the states rest. So at this point the lifted gradients *are* those of
# backpropagation, computed by modules that do not talk.

# %%
modules = four_modules(1)
h, outputs = x_few, []
for module in modules:
    h = module(h)
    outputs.append(h)
loss = cross_entropy(h, y_few)
true = torch.autograd.grad(
    loss, [p for m in modules for p in m.parameters()], retain_graph=True
)
adjoints = [len(x_few) * a for a in torch.autograd.grad(loss, outputs[:-1])]
states = [h.detach() for h in outputs[:-1]]
weights, moves = lifted_gradients(
    modules, x_few, y_few, states, [-a for a in adjoints], beta=3.0
)
off = max(
    (g - t).abs().max().item()
    for g, t in zip([g for own in weights for g in own], true, strict=True)
)
print("weights: backpropagation's gradients to 1e-12:", off < 1e-12)
print("states: at rest to 1e-12:", max(m.abs().max().item() for m in moves) < 1e-12)

# %% [markdown]
# So $-\kappa_k$ is a **synthetic gradient** (compare the table at the end of chapter 24): a guess of what would
# come from above. Nobody tells a module the right $\kappa$. It has to be found.

# %% [markdown]
# ## 3. The price of a constraint
#
# Fix the weights for a moment, and minimise $\mathcal L$ over the states alone. With the **penalty** ($\kappa = 0$)
# a state rests where $q_{k+1} = p_k = -\beta r_k$, that is, where
#
# $$ r_k = -\tfrac1\beta \, q_{k+1} . $$
#
# The violation is of order $1/\beta$, and zero only where the next module asks for nothing. Read
# it as a step: the state is what the module returns, $f_k$, moved by $1/\beta$ along the negative
# gradient. A large $\beta$ keeps the chain together and moves states little; a small one tears it, as in the cold open.
#
# **Multipliers** remove the violation at a finite $\beta$. After the states have come to rest, let
#
# $$ \kappa_k \leftarrow \kappa_k + \beta r_k . $$
#
# At rest, $q_{k+1} = -(\kappa_k + \beta r_k)$: this update sets $-\kappa_k$ to exactly what the next module asks for
# (Hestenes 1969; Powell 1969). If it comes to an end, $\beta r_k = 0$: no violation is left, the states are those of a
# forward pass, and $\kappa_k = -a_k$.

# %% [markdown]
# ### Exercise 25.4 · Multipliers that settle
# Difficulty ●●●○○ · 4 points
#
# Write `settle(gradient, residual, start, beta, rate, inner, rounds)`; `start` is the pair `(states, kappas)`. In each of `rounds` rounds,
# first the states make `inner` gradient steps of length `rate`, *all at the same time* (each step uses
# the states before the step); then every multiplier moves once. `gradient(states, kappas)` returns the list
# $q_{k+1} - p_k$, `residual(states)` the list of violations. Return states and multipliers; leave
# the given ones as they are.


# %% nbgrader={"grade": false, "grade_id": "ex25-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def settle(gradient, residual, start, beta, rate, inner, rounds):
    """Minimise over the states, move the multipliers, and again.

    gradient: (states, kappas) -> list. residual: states -> list. start: the pair of
    lists (states, kappas). beta, rate: numbers. inner, rounds: ints. Returns a pair, too.
    """
    ### BEGIN SOLUTION
    states, kappas = start
    for _ in range(rounds):
        for _ in range(inner):
            moves = gradient(states, kappas)
            states = [s - rate * m for s, m in zip(states, moves, strict=True)]
        left = residual(states)
        kappas = [kappa + beta * r for kappa, r in zip(kappas, left, strict=True)]
    return states, kappas
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# one cut, an output of 1 whatever comes, and a loss of 1/2 (state - 5)^2 behind it
pull = lambda states, kappas: [  # noqa: E731
    (states[0] - 5) + kappas[0] + 2.0 * (states[0] - 1)
]
apart = lambda states: [states[0] - 1]  # noqa: E731
start = [torch.ones(1, 1)], [torch.zeros(1, 1)]
states, kappas = settle(pull, apart, start, beta=2.0, rate=0.3, inner=60, rounds=1)
assert torch.allclose(states[0], torch.full((1, 1), 7 / 3)), (
    "at rest, s - 5 + 2 (s - 1) = 0: the penalty leaves a violation of 4/3"
)
assert torch.allclose(kappas[0], torch.full((1, 1), 8 / 3)), (
    "then the multiplier moves by beta times the violation, 2 * 4/3"
)
states, kappas = settle(pull, apart, start, beta=2.0, rate=0.3, inner=60, rounds=30)
assert torch.allclose(states[0], torch.ones(1, 1), atol=1e-6), (
    "multipliers remove the violation"
)
assert torch.allclose(kappas[0], torch.full((1, 1), 4.0), atol=1e-6), (
    "the loss has the slope 1 - 5 = -4 there: the multiplier is minus that"
)
assert torch.equal(start[0][0], torch.ones(1, 1)), "the given states were changed"

# %% nbgrader={"grade": true, "grade_id": "ex25-4-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
states, kappas = settle(pull, apart, start, beta=2.0, rate=0.3, inner=3, rounds=0)
assert torch.equal(states[0], start[0][0]) and torch.equal(kappas[0], start[1][0]), (
    "no rounds: nothing moves"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(3, 3, generator=g) / 3 for _ in "ab")
    x, goal = torch.randn(4, 3, generator=g), torch.randn(4, 3, generator=g)
    beta, rate = 2.0 + seed, 0.1
    calls = []

    def left(states, A=A, B=B, x=x):
        return [states[0] - x @ A.T, states[1] - states[0] @ B.T]

    def slopes(states, kappas, B=B, goal=goal, beta=beta, left=left, calls=calls):
        calls.append(1)
        r = left(states)
        p = [-(kappas[k] + beta * r[k]) for k in (0, 1)]
        return [p[1] @ B - p[0], (states[1] - goal) - p[1]]

    first = [torch.randn(4, 3, generator=g) for _ in range(4)]
    for inner, rounds in ((1, 1), (3, 2), (1, 5), (7, 3)):
        s, m = [t.clone() for t in first[:2]], [t.clone() for t in first[2:]]
        for _ in range(rounds):
            for _ in range(inner):
                d = slopes(s, m)
                s = [s[0] - rate * d[0], s[1] - rate * d[1]]
            r = left(s)
            m = [m[0] + beta * r[0], m[1] + beta * r[1]]
        calls.clear()
        mine = [t.clone() for t in first[:2]], [t.clone() for t in first[2:]]
        states, kappas = settle(slopes, left, mine, beta, rate, inner, rounds)
        assert len(calls) == inner * rounds, (
            "ask for the gradient once for each inner step: all states move at the same time"
        )
        same = [*mine[0], *mine[1]]
        assert all(torch.equal(a, b) for a, b in zip(same, first, strict=True)), (
            "the given states or multipliers were changed"
        )
        assert all(
            torch.allclose(a, b, atol=1e-12) for a, b in zip(states, s, strict=True)
        ), (
            "other states: all of them step against their gradients at the same time, with "
            "the multipliers of their round"
        )
        assert all(
            torch.allclose(a, b, atol=1e-12) for a, b in zip(kappas, m, strict=True)
        ), (
            "other multipliers: once a round, after the states, by beta times what is violated then"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two loops, one in the other. The multipliers move in the outer one, after the inner one has ended.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Make a new list of states in each inner step. If you change one state in place, the next gradient
# of the same step already sees it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# States: `s - rate * m` with `m` from `gradient(states, kappas)`. Multipliers: `kappa + beta * r` with `r`
# from `residual(states)`, evaluated after the last inner step.
#
# </details>

# %% [markdown]
# Four small modules with random weights, six samples. On the left we sweep $\beta$ without multipliers.
# On the right, the distance of the multipliers from minus the adjoints, round by round.

# %%
chain, x_six, y_six, _, _ = small_chain(3, sizes=(5, 4, 4, 4, 3), rows=6)
chain_states = forward_states(chain, x_six)
h, outputs = x_six, []
for module in chain:
    h = module(h)
    outputs.append(h)
adjoints = torch.autograd.grad(
    cross_entropy(h, y_six, reduction="sum"), outputs[:-1]
)  # of each sample's own loss


def settled(beta, rounds, inner=100):
    """Settle the six samples' states; return states and multipliers of every round."""
    gradient = lambda s, k: lifted_gradients(chain, x_six, y_six, s, k, beta)[1]  # noqa: E731
    residual = lambda s: [r.detach() for r in violations(chain, x_six, s)]  # noqa: E731
    now, found = (chain_states, [torch.zeros_like(s) for s in chain_states]), []
    for _ in range(rounds):
        now = settle(gradient, residual, now, beta, 0.4 / (1 + beta), inner, 1)
        found.append(now)
    return found


def largest(tensors):
    """The largest entry in size of a list of tensors."""
    return max(t.abs().max().item() for t in tensors)


betas = [1.0, 3.0, 10.0, 30.0, 100.0]
left_over = [
    largest(violations(chain, x_six, settled(b, rounds=1, inner=200)[0][0]))
    for b in betas
]
slope = math.log(left_over[-1] / left_over[-2]) / math.log(betas[-1] / betas[-2])

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1))
axes[0].loglog(betas, left_over, marker="o", ms=5)
axes[0].loglog(betas, [left_over[-1] * betas[-1] / b for b in betas], "k:", lw=1.0)
axes[0].text(2.2, left_over[-1] * 60, "slope -1", fontsize=9)
axes[0].set(xlabel="β", ylabel="largest violation, no multipliers")
ways = {}
for beta, marker in ((0.3, "^"), (1.0, "s"), (3.0, "o")):
    ways[beta] = [
        largest([k + a for k, a in zip(kappas, adjoints, strict=True)])
        for _, kappas in settled(beta, rounds=7)
    ]
    axes[1].semilogy(
        range(1, 8), ways[beta], marker=marker, ms=5, label=f"β = {beta:g}"
    )
axes[1].set(xlabel="round", ylabel="largest entry of κ + adjoint")
axes[1].legend(fontsize=9)
figure(
    fig,
    caption="Weights fixed. Left: what a penalty leaves. Right: how multipliers come to minus the adjoints.",
    alt="Left, largest violation against beta on two logarithmic axes: a falling line that runs into the dotted "
    "line of slope minus one. Right, the error of the multipliers against rounds on a logarithmic axis: "
    "for beta 3 it falls by orders of magnitude in seven rounds, for beta 1 more slowly, "
    "for beta 0.3 slower still.",
)

# %%
print(f"slope between the last two: {slope:.1f}")
print("seven rounds at β = 3: below a thousandth:", ways[3.0][-1] < 1e-3)
print("the smallest β is the slowest:", ways[0.3][-1] > ways[1.0][-1] > ways[3.0][-1])

# %%
a = torch.cat([t.flatten() for t in adjoints])
span = 1.1 * a.abs().max().item()
rounds = settled(1.0, rounds=5)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 3, sharey=True, figsize=(7, 2.7))
for ax, n in zip(axes, (1, 2, 5), strict=True):
    kappa = torch.cat([t.flatten() for t in rounds[n - 1][1]])
    ax.plot([-span, span], [span, -span], color="0.6", lw=1.2, ls="-")
    ax.plot(a, kappa, "x", ms=5, color="C1")
    ax.set(xlabel="adjoint", title=f"round {n}")
axes[0].set_ylabel("multiplier κ")
figure(
    fig,
    caption="Every multiplier against the adjoint of its state, β = 1. The line: κ = -adjoint.",
    alt="Three scatter plots with a falling diagonal. After round one the crosses lie around the "
    "line with a visible spread, after round two nearer, after round five on the line.",
)

# %% [markdown]
# Nobody ran backpropagation in these pictures. The modules only exchanged, with their neighbours, what they
# return ($f_k$, to the right) and what they ask for ($q_k$, to the left). The multipliers have found the adjoints.
#
# It takes rounds, though, the more the smaller $\beta$ is; where what comes after is strongly curved, a small
# $\beta$ may not come to an end at all. A larger $\beta$ also makes the states' problem stiffer: their step must be of order $1/\beta$.

# %% [markdown]
# ## 4. Nobody waits
#
# Alternate: all modules take a gradient step on their weights, then neighbours exchange, and states (and
# multipliers) move. No module waits for a *pass*, only for its neighbours' messages of the same moment. We draw one step of
# four modules by the library's clock, forward one unit, backward two, an exchange a quarter.

# %%
costs = modular.Calibrated(forward=1.0, backward=2.0, exchange=0.25)
sgd = partial(torch.optim.SGD, lr=0.1)


def trainer_of(method, layers, x, optimizer=sgd):
    """A trainer for layers, one module each."""
    partition = modular.Partition(layers, len(layers), sample=x[:2])
    return modular.Trainer(partition, method, optimizer=optimizer)


free = Lifted(Quadratic(beta=1.0), Free(samples=400, rate=0.5))
spans = {}

# %% tags=["picture"]
fig, axes = plt.subplots(2, 1, figsize=(7, 4.0))
for ax, (name, method) in zip(
    axes,
    {"backpropagation": modular.Backprop(), "auxiliary variables": free}.items(),
    strict=True,
):
    course = modular.audit.timeline(
        trainer_of(method, four_modules(2), x_few), costs, steps=2
    )
    spans[name] = course.makespan
    modular.plot.gantt(ax, course)
    ax.text(23.5, 3.0, name, ha="right", va="center", fontsize=10)
    ax.set(xlim=(0, 24), xlabel="time in units of a forward pass")
figure(
    fig,
    caption="Two steps of four modules, one machine each.",
    alt="Two charts of four rows, time to the right. Above, backpropagation: forward bars step "
    "down the rows, backward bars step back up, one row busy at a time, over more than twenty units. "
    "Below, auxiliary variables: in all rows forward, backward and a short exchange "
    "stand under each other, and both steps are over before seven units.",
)

# %%
print(
    f"two steps: {spans['backpropagation']:g} and {spans['auxiliary variables']:g} units"
)

# %% [markdown]
# (The first module has no input gradient to compute, so it is done earlier.)
#
# Between full freedom and full waiting there is a compromise. Let all modules work alone for a pass over the data. Then make one
# ordinary forward and backward pass, a **sweep**, which trains as backpropagation does *and* brings the
# true states and adjoints: $\lambda_k = h_k$, $\kappa_k = -a_k$. The next parallel pass begins with the right
# gradients. This is the **serial-parallel hybrid** (SPH; Sun, Dong and others 2021).

# %% [markdown]
# ### Exercise 25.5 · A sweep
# Difficulty ●●●○○ · 3 points
#
# Write `sweep(modules, x, y)`: the states of a forward pass, and as multipliers minus the adjoints of each sample's
# *own* cross-entropy. Both lists without history; `.grad` of the weights stays as it is.


# %% nbgrader={"grade": false, "grade_id": "ex25-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sweep(modules, x, y):
    """States and multipliers of one full forward and backward pass.

    modules: K maps, the last returns scores. x: (batch, ...). y: labels (batch,).
    Returns (states, kappas), lists of K - 1 tensors (batch, ...).
    """
    ### BEGIN SOLUTION
    h, states = x, []
    for module in modules[:-1]:
        h = module(h)
        states.append(h)
    loss = cross_entropy(modules[-1](h), y, reduction="sum")
    adjoints = torch.autograd.grad(loss, states)
    return [s.detach() for s in states], [-a for a in adjoints]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
modules, x, y, _, _ = small_chain(4)
states, kappas = sweep(modules, x, y)
assert len(states) == len(kappas) == 2, "three modules have two cuts between them"
with torch.no_grad():
    assert torch.allclose(states[1], modules[1](modules[0](x))), (
        "states are what the modules return, one after another"
    )
    scores = modules[-1](states[-1])
    wanted = (scores.softmax(dim=1) - torch.eye(3)[y]) @ modules[-1].weight
assert [k.shape for k in kappas] == [(7, 4), (7, 6)], (
    "a multiplier for each state, in the same order and of the same shape"
)
assert kappas[1].dtype == torch.float64, FLOAT64
assert torch.allclose(kappas[1], -wanted), (
    "the last multiplier is minus the gradient of each sample's own cross-entropy, "
    "(softmax - one-hot) W: mind the sign, and the size of the batch"
)

# %% nbgrader={"grade": true, "grade_id": "ex25-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
one = sweep(modules, x[:1], y[:1])[1]
assert torch.allclose(one[0], kappas[0][:1]), (
    "a sample's multiplier does not depend on who else is in the batch"
)
### BEGIN HIDDEN TESTS
for seed, sizes in enumerate([(5, 4, 3), (4, 6, 2, 3), (3, 3, 5, 3, 4, 4)]):
    modules, x, y, _, _ = small_chain(20 + seed, sizes)
    parameters = [p for m in modules for p in m.parameters()]
    for p in parameters:
        p.grad = torch.full_like(p, 7.0)
    states, kappas = sweep(modules, x, y)
    assert all((p.grad == 7).all() for p in parameters), (
        "the .grad of the weights was changed"
    )
    assert len(states) == len(kappas) == len(modules) - 1, "one of each for each cut"
    assert not any(t.requires_grad for t in [*states, *kappas]), (
        "states and multipliers must not carry a history"
    )
    h = x
    for k, module in enumerate(modules[:-1]):
        h = module(h).detach().requires_grad_()
        assert torch.allclose(states[k], h, atol=1e-12), (
            "other states than a forward pass has"
        )
        rest = nn.Sequential(*modules[k + 1 :])
        for i in range(len(x)):
            own = cross_entropy(rest(h[i : i + 1]), y[i : i + 1])
            (a,) = torch.autograd.grad(own, h)
            assert torch.allclose(kappas[k][i], -a[i], atol=1e-12), (
                "a multiplier is minus the gradient of its own sample's loss by its own state"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An ordinary forward pass that keeps every output, and one backward pass to all of them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The mean over the batch would divide every adjoint by the size of the batch. Which reduction does not?
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.autograd.grad(loss, states)` with `cross_entropy(..., reduction="sum")`; multipliers are minus that.
#
# </details>

# %% [markdown]
# How long does a sweep last? We make one on the 400 pictures, and then let the modules take gradient steps alone,
# states and multipliers untouched. After each step we ask how well the direction that modules take agrees with
# the true gradient at the weights they have now. The control has the same states and *no* multipliers.


# %%
def agreement(with_multipliers, steps=40, lr=0.3, beta=0.3):
    """Cosine between lifted and true gradients of the hidden weights, step by step."""
    modules, found = four_modules(3), []
    states, kappas = sweep(modules, x_few, y_few)
    if not with_multipliers:
        kappas = [torch.zeros_like(k) for k in kappas]
    for _ in range(steps):
        weights, _ = lifted_gradients(modules, x_few, y_few, states, kappas, beta)
        own = [p for m in modules[:-1] for p in m.parameters()]
        loss = cross_entropy(nn.Sequential(*modules)(x_few), y_few)
        exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, own)])
        lifted = torch.cat([g.flatten() for part in weights[:-1] for g in part])
        found.append(cosine_similarity(exact, lifted, dim=0).item())
        with torch.no_grad():
            for module, part in zip(modules, weights, strict=True):
                for p, g in zip(module.parameters(), part, strict=True):
                    p -= lr * g
    return found


fresh, without = agreement(True), agreement(False)

# %% tags=["picture"]
fig, ax = plt.subplots()
ax.plot(fresh, marker="o", ms=3, label="after a sweep")
ax.plot(without, marker="^", ms=3, label="no multipliers (control)")
ax.set(xlabel="steps that modules took alone", ylabel="cosine", ylim=(-0.1, 1.05))
ax.legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="Direction of hidden modules that work alone, against the true gradient.",
    alt="Cosine against steps. With the multipliers of a sweep it starts at one and falls as "
    "steps are taken. Without multipliers it stays near zero.",
)

# %%
print("at the first step it is the true gradient:", fresh[0] > 1 - 1e-9)
print("later it is not:", fresh[-1] < 0.9)
print("without multipliers it is below 0.5 throughout:", max(without) < 0.5)

# %% [markdown]
# Old multipliers are old gradients: good advice at first, worse with each step. (At $r = 0$ and without
# multipliers hidden modules have no gradient at all. They stand still, the control's zero.)

# %% [markdown]
# ## 5. States of data that move
#
# A state belongs to a sample. Most training of image models, however, shows a picture differently in each epoch: shifted, turned,
# cropped. That is **augmentation**. What is the stored state of a picture worth, after it has moved by *one
# pixel*? We train a small network, store the states of its three hidden modules, and compare them with the states
# of the shifted pictures. The yardstick is the distance to the state of *another* picture of the same class.


# %% tags=["given"]
def shifted(x, generator):
    """Pictures of 8 x 8, each moved by one pixel at most. x: (batch, 64), as result."""
    padded = pad(x.view(-1, 8, 8), (1, 1, 1, 1))
    down, right = torch.randint(3, (2, len(x)), generator=generator)
    rows = (down[:, None] + torch.arange(8))[:, :, None]
    columns = (right[:, None] + torch.arange(8))[:, None]
    return padded[torch.arange(len(x))[:, None, None], rows, columns].flatten(1)


# %%
net = four_modules(4)
optimiser = torch.optim.Adam(nn.ModuleList(net).parameters(), lr=3e-3)
for _ in range(60):
    optimiser.zero_grad()
    cross_entropy(nn.Sequential(*net)(x_few), y_few).backward()
    optimiser.step()
table = forward_states(net, x_few)
order = y_few.argsort(stable=True)
moved = shifted(x_few, torch.Generator().manual_seed(5))
apart = {}
for k, (stored_state, now) in enumerate(
    zip(table, forward_states(net, moved), strict=True)
):
    off = (stored_state - now).norm(dim=1).mean()
    pairs = stored_state[order][1:] - stored_state[order][:-1]
    alike = (y_few[order][1:] == y_few[order][:-1])[:, None]
    other = (pairs * alike).norm(dim=1).sum() / alike.sum()
    apart[k] = (off / other).item()
    print(
        f"state {k}: table to shifted picture, as a part of the distance to another: {apart[k]:.1f}"
    )
print("the shift is worse than the wrong picture, above 1:", min(apart.values()) > 1)

# %% [markdown]
# A picture that has moved by a pixel is further from its stored state than another picture of its class. So
# a table forbids augmentation. Nothing stops: there is no error, the rows have their numbers. The states are simply those of
# pictures that are no longer shown.
#
# The way out: do not store states, *make* them. A small network $A_k$ takes the picture, as it is shown now, and
# returns the state, $\lambda_k = A_k(x)$. It is called an **AuxNet** (Sun, Dong and others 2021; we do not know the
# layers of theirs, ours have one hidden layer). As it needs only $x$, all modules can start at once: there is no forward lock, either. After each step states
# want to move, to $\hat\lambda_k = \lambda_k - \eta \, (q_{k+1} - p_k)$, with a rate $\eta$. A network cannot
# be set to a value; it is *fitted* to it, by regression:
#
# $$ \min_{A_k} \; \frac1N \sum_{\text{samples}} \tfrac12 \, \| A_k(x) - \hat\lambda_k \|^2 ,
#    \qquad \hat\lambda_k \text{ held fixed.} $$

# %% [markdown]
# ### Exercise 25.6 · Fit the makers of states
# Difficulty ●●●●○ · 4 points
#
# Write `fit_auxnets(nets, x, moves, eta, optimiser)`. `moves` holds the gradients $q_{k+1} - p_k$ at the states
# that the nets make of `x` now. Compute the targets $\hat\lambda_k$, then let the optimiser make *one* step on the
# sum over $k$ of the regressions above (each a mean over the batch). Return the list of targets, without history. Gradients that
# the nets have from before must not count. States may have any shape.


# %% nbgrader={"grade": false, "grade_id": "ex25-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_auxnets(nets, x, moves, eta, optimiser):
    """One step of all nets towards the states that have moved.

    nets: K - 1 modules. x: (batch, ...). moves: list of K - 1 tensors (batch, ...).
    eta: number. optimiser: of all nets' parameters. Returns the targets.
    """
    ### BEGIN SOLUTION
    made = [net(x) for net in nets]
    targets = [s.detach() - eta * m for s, m in zip(made, moves, strict=True)]
    squares = [(s - t).square().sum() for s, t in zip(made, targets, strict=True)]
    optimiser.zero_grad()
    (sum(squares) / (2 * len(x))).backward()
    optimiser.step()
    return targets
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
net = nn.Linear(1, 1, bias=False)
nn.init.constant_(net.weight, 2.0)
sgd_one = torch.optim.SGD(net.parameters(), lr=1.0)
targets = fit_auxnets([net], torch.ones(4, 1), [torch.full((4, 1), 3.0)], 0.5, sgd_one)
assert torch.allclose(targets[0], torch.full((4, 1), 0.5)), (
    "the net makes 2; a gradient of 3 and a rate of 0.5 move it to 0.5"
)
assert targets[0].dtype == torch.float64, FLOAT64
assert not targets[0].requires_grad, "targets are held fixed: they have no history"
assert torch.allclose(net.weight, torch.full((1, 1), 0.5)), (
    "half the square of 2 - 0.5 has the slope 1.5: one step of length 1 leads to 0.5"
)

# %% nbgrader={"grade": true, "grade_id": "ex25-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
nn.init.constant_(net.weight, 2.0)
still = fit_auxnets([net], torch.ones(4, 1), [torch.zeros(4, 1)], 0.5, sgd_one)
assert torch.allclose(net.weight, torch.full((1, 1), 2.0)), (
    "a state that rests leaves its net as it is"
)
### BEGIN HIDDEN TESTS
for seed, lr, eta in ((0, 0.1, 0.5), (1, 0.03, 2), (2, 0.2, 0.1)):
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    x = torch.randn(5 + seed, 4, generator=g)
    shapes = [(3,), (2, 3)]
    nets = [
        nn.Sequential(
            nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, math.prod(s)), nn.Unflatten(1, s)
        )
        for s in shapes
    ]
    moves = [torch.randn(len(x), *s, generator=g) for s in shapes]
    own = [p for net in nets for p in net.parameters()]
    expected, goals = [], []
    for net, move in zip(nets, moves, strict=True):
        made = net(x)
        goal = made.detach() - eta * move
        cost = (
            0.5
            * torch.stack(
                [(a - b).square().sum() for a, b in zip(made, goal, strict=True)]
            ).mean()
        )
        grads = torch.autograd.grad(cost, list(net.parameters()))
        expected += [
            p.detach() - lr * d for p, d in zip(net.parameters(), grads, strict=True)
        ]
        goals.append(goal)
    for p in own:
        p.grad = torch.ones_like(p)
    given = [m.clone() for m in moves]
    targets = fit_auxnets(nets, x, moves, eta, torch.optim.SGD(own, lr=lr))
    assert all(torch.equal(a, b) for a, b in zip(moves, given, strict=True)), (
        "the gradients of the states were changed"
    )
    assert len(targets) == 2, "one target for each net"
    for t, goal in zip(targets, goals, strict=True):
        assert not t.requires_grad, "targets have no history"
        assert torch.allclose(t, goal, atol=1e-12), (
            "a target is state minus eta times its gradient"
        )
    for p, e in zip(own, expected, strict=True):
        assert torch.allclose(p, e, atol=1e-12), (
            "another step than that of the regressions: half of the squares, a mean over "
            "samples (not over entries), targets held fixed, old gradients forgotten, one step"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Run each net once. Its output serves twice: detached for the target, with its graph for the regression.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A mean over *samples* of a sum over entries: `square().sum() / len(x)`. `mse_loss` would divide by the number of entries, too.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The cost is `sum((s - t).square().sum() for ...) / (2 * len(x))`; then `zero_grad`, `backward`, `step`.
#
# </details>

# %% [markdown]
# We fit AuxNets to the states of the network above, on pictures that are shifted anew in each step (the
# states do not want to move here: `moves` says how far the nets' states are from those of the network). Then
# a new shift is drawn that neither has seen.

# %%
net = nn.Sequential(*four_modules(4))
torch.manual_seed(6)
makers = [
    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32)) for _ in range(3)
]
optimiser = torch.optim.Adam(nn.ModuleList(makers).parameters(), lr=3e-3)
g = torch.Generator().manual_seed(7)
for _ in range(250):
    shown = shifted(x_few, g)
    with torch.no_grad():
        off = [
            a(shown) - s
            for a, s in zip(makers, forward_states(net, shown), strict=True)
        ]
    fit_auxnets(makers, shown, off, 1.0, optimiser)
new = shifted(x_few, torch.Generator().manual_seed(8))
true_states, old = forward_states(net, new), forward_states(net, x_few)
print("state   error of the table   of the AuxNet   (relative)")
errors = []
for k, (state, stored_state, maker) in enumerate(
    zip(true_states, old, makers, strict=True)
):
    with torch.no_grad():
        pair = [(s - state).norm() / state.norm() for s in (stored_state, maker(new))]
    errors.append(pair)
    print(f"{k:5d} {pair[0]:16.1f} {pair[1]:17.1f}")
print(
    "the AuxNet's error is below half of the table's:",
    all(b < a / 2 for a, b in errors),
)

# %% [markdown]
# An AuxNet follows the picture. Note what has happened, though: a network of *two layers* has to imitate three modules. It can, on
# single digits. Where depth is needed, it cannot; we come back to that.

# %% [markdown]
# ## 6. The speed-up, and its ceiling
#
# What is all this for? Time. Let $T_f$ and $T_b$ be the times of a forward and a backward pass of the *whole* network, for one epoch, and
# $T_d$ that of loading the data. With $K$ machines, one module each, modules of equal cost divide $T_f + T_b$ by $K$. What is
# added does not shrink: the time $t_\psi$ for penalties and messages, and $t_A$ for the AuxNets, forward and
# backward. Sun, Dong and others (2021, eq. 27) write the **speed-up** as
#
# $$ \rho(K) = \frac{T_d + T_f + T_b}{T_d + (T_f + T_b)/K + t_\psi + t_A} . $$
#
# For many machines it comes to a **ceiling**, $(T_d + T_f + T_b) / (T_d + t_\psi + t_A)$. It is
# Amdahl's law (chapter 21) again: what cannot be divided decides.
#
# The formula takes $t_A$ as a constant. There is one AuxNet for each cut, however; if they are made by one chain of small networks, one
# after another, every further cut costs. We add $t_1 (K - 1)$ to the denominator (the extension is ours):
#
# $$ \rho(K) = \frac{T_d + T_f + T_b}{T_d + (T_f + T_b)/K + t_\psi + t_A + t_1 (K - 1)} . $$

# %% tags=["given"]
Times = namedtuple(
    "Times", ["data", "forward", "backward", "penalty", "auxnet", "chain"]
)  # T_d, T_f, T_b, t_psi, t_A, t_1

# %% [markdown]
# ### Exercise 25.7 · How many modules?
# Difficulty ●●●●○ · 3 points
#
# Write three functions of `t`, a `Times` (`chain` is $t_1$, perhaps 0; `forward` is positive).
#
# - `speed_up(K, t)`: $\rho(K)$, for $K \ge 2$.
# - `best_count(t)`: the whole number $K \ge 2$ with the largest speed-up, the smallest one if several are equal;
#   `math.inf` if $t_1 = 0$, where more is always better.
# - `break_even(t)`: the smallest whole $K \ge 2$ with $\rho(K) > 1$, or `None` if there is none. Your function must
#   come to an end.


# %% nbgrader={"grade": false, "grade_id": "ex25-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def speed_up(K, t):
    """Speed-up of K modules. K: int >= 2. t: Times. Returns a number."""
    ### BEGIN SOLUTION
    work = t.forward + t.backward
    spent = t.data + work / K + t.penalty + t.auxnet + t.chain * (K - 1)
    return (t.data + work) / spent
    ### END SOLUTION


def best_count(t):
    """The best number of modules, an int >= 2 or math.inf. t: Times."""
    ### BEGIN SOLUTION
    if t.chain == 0:
        return math.inf
    low = max(2, math.floor(math.sqrt((t.forward + t.backward) / t.chain)))
    return max((low, low + 1), key=lambda K: speed_up(K, t))
    ### END SOLUTION


def break_even(t):
    """The fewest modules that are faster than one, an int >= 2, or None. t: Times."""
    ### BEGIN SOLUTION
    work, fixed = t.forward + t.backward, t.penalty + t.auxnet
    if t.chain == 0:
        if fixed >= work:
            return None
        last = math.floor(work / (work - fixed)) + 2
    else:
        last = best_count(t)
    return next((K for K in range(2, last + 1) if speed_up(K, t) > 1), None)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex25-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
plain = Times(data=0, forward=4, backward=8, penalty=0, auxnet=0, chain=0)
assert math.isclose(speed_up(4, plain), 4), (
    "nothing but divisible work: K times as fast"
)
assert best_count(plain) == math.inf, "without a chain more modules are better"
assert break_even(plain) == 2, "two modules are faster than one"
costly = plain._replace(auxnet=6)
assert math.isclose(speed_up(2, costly), 1), "12 / (6 + 6): two modules gain nothing"
assert break_even(costly) == 3, (
    "three modules are faster, 12 / (4 + 6): more than 1 is asked"
)
assert break_even(plain._replace(auxnet=12)) is None, (
    "overheads as large as all the work: no number of modules helps"
)
assert best_count(plain._replace(chain=0.12)) == 10, "the square root of 12 / 0.12"

# %% nbgrader={"grade": true, "grade_id": "ex25-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert best_count(plain._replace(chain=12)) == 2, "two is the fewest that is asked for"
### BEGIN HIDDEN TESTS
for seed in range(40):
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randint(1, 60, (6,), generator=g).tolist()
    t = Times(
        numbers[0] % 7,
        numbers[1],
        numbers[2],
        numbers[3] // 3,
        numbers[4] // 2,
        numbers[5] / 16,
    )
    if seed % 3 == 0:
        t = t._replace(chain=0)
    whole = t.data + t.forward + t.backward
    rho = {
        K: whole
        / (
            t.data
            + (t.forward + t.backward) / K
            + t.penalty
            + t.auxnet
            + t.chain * (K - 1)
        )
        for K in range(2, 400)
    }
    for K in (2, 3, 17):
        assert math.isclose(speed_up(K, t), rho[K], rel_tol=1e-12), (
            "another speed-up: is every time of the formula in it?"
        )
    best = best_count(t)
    if t.chain == 0:
        assert best == math.inf, "without a chain more modules are better"
    else:
        assert best == int(best) and best >= 2, (
            "the best number is a whole one, at least 2"
        )
        assert math.isclose(rho[int(best)], max(rho.values()), rel_tol=1e-12), (
            "another number of modules is faster: the root need not be whole, nor is the "
            "nearest whole number always the best"
        )
    first = next((K for K in rho if rho[K] > 1), None)
    assert break_even(t) == first, (
        "not the fewest modules that are faster than one, or not None where there are none"
    )
ties = Times(0, 6, 6, 0, 0, 1)  # 12 / K + K - 1 is 6 for K = 3 and for K = 4
assert best_count(ties) == 3, "of equally good numbers the smallest"
slow = Times(0, 500, 500, 0, 999, 0)
assert break_even(slow) == 1001, "a thousand modules gain nothing here, 1001 do"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The numerator does not depend on $K$: look for the $K$ that makes the denominator smallest. Treat $K$ as a real
# number first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $(T_f + T_b)/K + t_1 (K - 1)$ has one minimum, falls before it and rises after it. The best whole number is one of
# the two neighbours of the real one; which, only a comparison tells. For `break_even` without a chain:
# when is $(T_f + T_b)(1 - 1/K)$ larger than $t_\psi + t_A$?
#
# </details>
# <details><summary>Hint 3</summary>
#
# The real minimum is at $\sqrt{(T_f + T_b)/t_1}$. Without a chain $\rho(K) > 1$ means
# $K > (T_f + T_b) / (T_f + T_b - t_\psi - t_A)$, if the divisor is positive. With a chain, search up to the best number.
#
# </details>

# %%
law = stored("lifted")["law"]["rows"]
ks = list(range(2, 65))
settings = {
    "no overhead": Times(0, 0.8, 1.6, 0, 0, 0),
    "constant overhead": Times(0, 0.8, 1.6, 0, 0.05, 0),
    "AuxNets in a chain": Times(0, 0.8, 1.6, 0, 0, 0.01),
}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.4))
for name, t in settings.items():
    ax.loglog(ks, [speed_up(K, t) for K in ks], label=name)
counts = [int(K) for K in law]
shorter = [row["eq27"] for row in law.values()]
timed = [row["speed_up"] for row in law.values()]
ax.loglog(
    counts, shorter, "o", mfc="w", mec="k", ms=9, label="law for the measured modules"
)
ax.loglog(counts, timed, "kx", ms=7, label="measured")
ax.axhline(48, color="k", lw=1.0, ls=":")
ax.text(2.1, 51, "ceiling of the constant overhead", fontsize=9)
ax.set(xlabel="modules K, a machine each", ylabel="speed-up", ylim=(1, 90))
ax.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
ax.set_yticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
ax.minorticks_off()
ax.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="The law for three kinds of overhead. Crosses: real processes that sleep instead of computing; circles: the law for them.",
    alt="Speed-up against the number of modules, both axes logarithmic. Without overhead a straight line. "
    "With a constant overhead a curve that bends away below it towards a dotted ceiling. With a chain a curve that "
    "rises, turns near sixteen modules, and falls. At 2, 4 and 8 crosses "
    "lie in or just under circles, somewhat below the second curve.",
)

# %%
print("best number with the chain:", best_count(settings["AuxNets in a chain"]))
for K, row in law.items():
    print(f"{K} processes: measured {row['speed_up']:.1f}, law {row['eq27']:.1f}")

# %% [markdown]
# The curve with a constant overhead bends towards its ceiling. With a chain it *turns*: beyond the best number every
# further machine makes training slower. Measured, on processes that sleep as long as a module would work and send real messages
# on two cores: close to the law, and a little lower with each process more. (The first module computes no gradient of its
# input, which shortens the way of backpropagation by half a sweep of that module; the circles take that into account.)

# %% [markdown]
# ## The library's version
#
# `Trainer(partition, Lifted(penalty, states), ...)`: the method is one line. A `penalty` is `Quadratic(beta)` or
# `AugmentedLagrangian(beta)`, `states` are `Free`, `SPH` or `AuxNet`. Our functions and the library agree on
# random states and multipliers.

# %%
modules, x, y, states, kappas = small_chain(30, sizes=(6, 5, 5, 4), rows=8)
method = Lifted(AugmentedLagrangian(beta=2.0), Free(samples=8, rate=0.1))
trainer = trainer_of(method, modules, x)
batch = (x, y, torch.arange(8))
trainer.step(batch, phase=1)  # fills the table by a forward pass
for k in range(2):  # ... and we write other numbers into both copies of every state
    for block, key in ((k, "state_out"), (k + 1, "state_in")):
        copy = trainer.partition.blocks[block].head.parts[key]
        copy.values.copy_(states[k])
        copy.multipliers.copy_(kappas[k])
weights, moves = lifted_gradients(modules, x, y, states, kappas, 2.0)
before = [p.detach().clone() for m in modules for p in m.parameters()]
trainer.step(batch)
after = [p.detach() for m in modules for p in m.parameters()]
ours = [
    b - 0.1 * g for b, g in zip(before, [g for w in weights for g in w], strict=True)
]
print(
    "weights move as ours:",
    all(torch.allclose(a, b, atol=1e-12) for a, b in zip(after, ours, strict=True)),
)
moved_states = [
    trainer.partition.blocks[k].head.parts["state_out"].values for k in range(2)
]
print(
    "states move as ours:",
    all(
        torch.allclose(a, s - 0.1 * m, atol=1e-12)
        for a, s, m in zip(moved_states, states, moves, strict=True)
    ),
)

# %% [markdown]
# Both neighbours of a cut hold a copy of its state, and move it alike, so that a state itself is never sent. The
# library's certificates of chapter 22 say for each kind of states what waits for what, and whose weights a loss moves.

# %%
kinds = {
    "Free": Lifted(Quadratic(1.0), Free(400, rate=0.5)),
    "AuxNet": Lifted(
        Quadratic(1.0),
        AuxNet(partial(modular.lifted.mlp, inputs=64, width=32), rate=0.5),
    ),
    "SPH": Lifted(AugmentedLagrangian(1.0), SPH(400)),
}
print("states   forward lock   waits backward for   isolation as declared")
for name, method in kinds.items():
    trainer = trainer_of(method, four_modules(5), x_few)
    batch = (
        (x_few, y_few, torch.arange(400)) if method.states.indexed else (x_few, y_few)
    )
    trainer.step(batch, phase=1)  # states of a forward pass: nothing is violated yet
    for _ in range(4):  # a violation comes one cut further in each step
        trainer.step(batch)
    locks = modular.audit.locking(trainer)
    holds = modular.audit.isolation(trainer, batch).holds
    waits = str(bool(locks.forward.any()))
    print(f"{name:8} {waits:14} {locks.backward.tolist()!s:20} {holds}")
try:
    Lifted(AugmentedLagrangian(1.0), kinds["AuxNet"].states)
except ValueError as error:
    print("\nmultipliers belong to samples, an AuxNet knows none:")
    print(str(error).partition(":")[0][:60], "...")

# %% [markdown]
# ## Signature result: who brings the states?
#
# The library's benchmark has trained one network, six blocks in three modules, on sums of two digits (chapter 21): four thousand
# pairs, twenty passes over the data, paired seeds. Each side has the best of three settings, of its rate or of $\beta$, from the same search on a split that is
# not reported. The **baselines** are backpropagation and DGL (chapter 22). The **negative control** is
# backpropagation with the hidden modules frozen as they were drawn: what the last module alone can do. SPH takes turns, half of its
# passes are sweeps.

# %%
record = stored("lifted")["accuracy"]
runs = {
    name: [run["accuracy"] for run in found] for name, found in record["runs"].items()
}
FREE, AUX, SWEPT = "penalty, free states", "penalty, AuxNet", "multipliers, SPH"
FROZEN = "control, hidden modules frozen"
print(f"test accuracy in %, median and range of {record['seeds']} seeds")
for name, row in record["rows"].items():
    low, high = row["accuracy_range"]
    print(f"{name:32} {row['accuracy']:5.1f}   ({low:.1f} to {high:.1f})")
print("\nSPH, seed by seed, on average within 2 points of backpropagation:", end=" ")
pairs = zip(runs[SWEPT], runs["backpropagation"], strict=True)
print(abs(sum(a - b for a, b in pairs)) / record["seeds"] < 2)
for name in (FREE, AUX):
    pairs = zip(runs[name], runs["DGL"], strict=True)
    print(f"{name}, below DGL by more than 30 points on every seed:", end=" ")
    print(all(b - a > 30 for a, b in pairs))
pairs = zip(runs[AUX], runs[FROZEN], strict=True)
print("the AuxNet's network is below the frozen one on every seed:", end=" ")
print(all(a < b for a, b in pairs))

# %%
shown = {
    FROZEN: ("hidden modules\nfrozen (control)", "x", "0.3"),
    AUX: ("penalty, AuxNet", "s", "C1"),
    FREE: ("penalty,\nfree states", "^", "C1"),
    SWEPT: ("multipliers, SPH", "D", "C0"),
    "DGL": ("DGL", "o", "0.3"),
    "backpropagation": ("backpropagation", "o", "0.3"),
}

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.4), gridspec_kw={"width_ratios": [4, 3]})
for place, (name, (_, marker, colour)) in enumerate(shown.items()):
    axes[0].plot(runs[name], [place] * len(runs[name]), marker, color=colour, ms=7)
axes[0].axvline(10, color="k", lw=1.0, ls=":")
axes[0].text(11, 5.1, "guessing", fontsize=9)
axes[0].set_yticks(
    range(len(shown)), [text for text, _, _ in shown.values()], fontsize=9
)
axes[0].set(xlabel="right on the test set, %", xlim=(0, 100), ylim=(-0.5, 5.5))
axes[0].set_ylabel("how it was trained", fontsize=9)
axes[1].loglog(
    ks, [speed_up(K, settings["constant overhead"]) for K in ks], label="law"
)
axes[1].loglog(counts, shorter, "o", mfc="w", mec="k", ms=9, label="law, shorter way")
axes[1].loglog(counts, timed, "kx", ms=7, label="measured")
axes[1].set(xlabel="modules, a machine each", ylabel="speed-up", ylim=(1, 60))
axes[1].set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
axes[1].set_yticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
axes[1].minorticks_off()
axes[1].legend(fontsize=9, loc="upper left")
figure(
    fig,
    caption="Left: accuracy on sums of two digits, one mark a seed. Right: the speed-up of modules "
    "that never wait.",
    alt="Left, six rows of marks. Backpropagation and SPH lie between 84 and 93 per cent, DGL a few points lower, "
    "free states near 33, the frozen control near 21, the AuxNet between it and the dotted line of guessing at ten. "
    "Right, speed-up against the number of modules on logarithmic axes: a curve that bends, circles "
    "at 2, 4 and 8 somewhat below it, crosses in them or just under them.",
)

# %% [markdown]
# The title's question has two answers. **A sweep brings the states**: with it, in half of the passes, accuracy is that of
# backpropagation, as far as five seeds can tell. **Nobody brings them**: then free states beat the frozen control, so hidden modules do
# learn something, and stay more than thirty points behind DGL, which has no states at all and nothing to send. The network whose states an AuxNet makes
# is *below* the control: it would have been better to leave the hidden modules as they were drawn. Its modules have learned
# to serve states that the chain does not produce.
#
# Why? A likely reason: sums of two digits need depth, and what the first module should return is known only to those behind it. Their wishes
# travel through the states, one cut in each visit of a sample, and a sample is visited twenty times. An AuxNet, besides, has two layers to imitate four
# blocks. (The control says that hidden modules matter; that the way of the wishes is the cause, no run here isolates.) On the right is what modules
# that never wait would gain. SPH cannot have all of it: its sweeps wait, and they are half of its passes, so that it is at most about twice as fast.
#
# **What the comparison is worth.** Three settings are a short search. Free states and SPH were best at the smallest $\beta$ that was tried; a smaller
# one may be better still, and it would have to gain fifty points to change the picture. It may be unfair to the AuxNet: other
# nets, other rates of its states and longer fits were not searched, and those of the paper are not known to us. It says nothing about residual networks on images, which the
# papers train.
#
# ## An experiment to change
#
# Free states, by the library, on 400 digits in one batch: all numbers that matter in one place.

# %%
BETA, RATE, EPOCHS = 0.03, 30.0, 60  # RATE: of the states, stable up to about 1 / BETA
PENALTY = Quadratic


def free_run():
    """Train with free states; return test accuracy and the largest violation."""
    method = Lifted(PENALTY(BETA), Free(400, rate=RATE))
    layers = four_modules(6)
    adam = partial(torch.optim.Adam, lr=3e-3)
    trainer = trainer_of(method, layers, x_few, adam)
    trainer.fit([(x_few, y_few, torch.arange(400))], EPOCHS)
    copies = [
        block.head.parts["state_out"].values for block in trainer.partition.blocks[:-1]
    ]
    off = largest(violations(layers, x_few, copies))
    return 100 * float(trainer.evaluate(task.test())[-1]), off


accuracy, off = free_run()
print("accuracy above 60 %:", accuracy > 60)
print("a violation wider than all that a tanh returns, above 2:", off > 2)

# %% [markdown]
# Print `accuracy` and `off`, and change one thing at a time. Guess first:
#
# - `BETA = 0.3, RATE = 3.0`: which of the two settings keeps the chain together, which one learns faster?
# - With these, `EPOCHS = 300`: how much of the distance was only time? (States of one batch move once in each
#   epoch.)
# - `PENALTY = AugmentedLagrangian, BETA = 0.3, RATE = 1.0`, 60 epochs: what do multipliers add, and what do they do to `off`?
# - `RATE = 300.0`: read the message.
#
# ## When it fails
#
# **States that run away.** The step of the states must respect the stiffness that $\beta$ brings. The library tells you, late but clearly:

# %%
method = Lifted(Quadratic(beta=10.0), Free(400, rate=1.0))
trainer = trainer_of(method, four_modules(7), x_few)
try:
    trainer.fit([(x_few, y_few, torch.arange(400))], 400)
except FloatingPointError as error:
    print("stopped:", "Consistency" in str(error))

# %% [markdown]
# **Memory.** A table holds a row for each *sample*, cut and copy, not for each sample of a batch. For the benchmark above:

# %%
numbers = 4000 * 96 * 2 * 2 * 2  # samples, width, cuts, copies, state and multiplier
print(f"states and multipliers in single precision: {4 * numbers / 2**20:.0f} MiB")
weights = 128 * 96 + 5 * 96 * 96 + 6 * 3 * 96 + 96 * 10 + 10
print(f"the network's weights: {4 * weights / 2**20:.1f} MiB")

# %% [markdown]
# Modules that wait for nobody hold little *in a step*. The table takes many times that, and grows with the data.
#
# **Greedy with a brake, and no messages at all.** Is there a method without locks *and* without states? Greedy training and DGL
# (chapter 22) have none, and pay because a module separates the classes at once, with features that later modules cannot use.
# Karkar and others (2023) add to each module's loss a price on how far its layers *move* what they take, the **kinetic energy**
#
# $$ \frac{1}{2 \tau} \, \frac1N \sum_{\text{samples}} \sum_m \| T_m(z_m) - z_m \|^2 , $$
#
# over its residual blocks $T_m$: a module that tears its input apart for its own sake pays for it. They call it TRGL; in the library it is
# `modular.TransportGreedy(tau)`, all modules at once or one after another, in one lap or several. It sends nothing and stores nothing, and is the rival
# that any method of this chapter should be compared with.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "All states are those of a forward pass and all multipliers are zero. What is the gradient of a hidden module?",
        choices=[
            "Zero",
            "That of backpropagation",
            "That of its own local loss",
        ],
        answer="002fcd88f276",
        hint="Which terms of the lifted loss contain its weights, and what are they worth?",
    ),
    Question(
        "The penalty's weight is made ten times as large, and states are minimised again. What happens to the violation?",
        choices=[
            "It becomes zero",
            "It falls to about a tenth",
            "It stays; only the loss changes",
        ],
        answer="2fe49da4ec2b",
        hint="Where does a state rest, and what is its violation there?",
    ),
    Question(
        "Multipliers have settled. A colleague reads -κ of a cut. What does she hold in her hands?",
        choices=[
            "The violation of the cut",
            "The output of the module before",
            "The gradient that backpropagation would send across the cut",
        ],
        answer="8f87f79ce2d5",
        hint="The theorem at the end of section 2, read backwards.",
    ),
    Question(
        "You add random crops to a training with stored states. What happens?",
        choices=[
            "It runs, with states of pictures that are no longer shown",
            "An error tells that rows are missing",
            "Nothing changes, states have the numbers of their samples",
        ],
        answer="192188c48dd5",
        hint="What does a row of the table know of its sample?",
    ),
    Question(
        "Forward and backward take 12 s, the AuxNets 4 s, nothing else. What is the ceiling of the speed-up?",
        choices=[
            "3",
            "12",
            "There is none",
        ],
        answer="c764db20ac23",
        hint="Let K grow. What is left in the denominator?",
    ),
    Question(
        "SPH reaches backpropagation's accuracy in the table. Half of its passes are sweeps. How many times as fast can it be?",
        choices=[
            "K times",
            "At most about twice, however many machines there are",
            "Not at all",
        ],
        answer="792386dce879",
        hint="One pass of two is divided among K machines. What about the other?",
    ),
)

# %% [markdown]
# ## Summary
#
# - With a state for each cut, training is a problem with constraints $\lambda_k = f_k(\lambda_{k-1})$. The lifted loss puts prices
#   on their violation, and each module appears in one term of it.
# - Module $k$ needs its credit $p_k = -(\kappa_k + \beta r_k)$ only; a state moves along $q_{k+1} - p_k$ and rests where the adjoint is
#   continuous over the cut.
# - A penalty leaves $r_k = -q_{k+1} / \beta$. Multipliers remove it, and become minus the adjoints. With $\kappa = -a$ and $r = 0$ the
#   lifted gradients are those of backpropagation.
# - A sweep brings states and multipliers exactly; they grow old with each step that modules take alone.
# - Stored states belong to one picture, not to its shifted copies. AuxNets make states for any picture, as well as they can.
# - The speed-up has a ceiling, set by what is not divided; with a chain of AuxNets it has a best number of modules,
#   $\sqrt{(T_f + T_b)/t_1}$.
# - On sums of two digits SPH is level with backpropagation; free states stay far behind, and the network of an AuxNet, at the best
#   setting that was tried, is worse than one with frozen hidden modules.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | auxiliary variable, state | $\lambda_k$, an unknown in the place of the output of module $k$ |
# | violation | $r_k = \lambda_k - f_k(\lambda_{k-1})$ |
# | lifted loss | loss of the last module plus the price of all violations |
# | penalty method | a price of $\tfrac\beta2 \lVert r_k \rVert^2$ |
# | augmented Lagrangian | a linear price $\langle \kappa_k, r_k \rangle$ in addition |
# | multiplier | $\kappa_k$, the linear price; at the solution minus the adjoint |
# | credit | $p_k$, the gradient that a module is given at its output |
# | adjoint | $a_k$, the gradient of the loss by the output of module $k$ |
# | sweep | one full forward and backward pass, which brings states and multipliers |
# | SPH | serial-parallel hybrid: a sweep and a parallel pass in turn |
# | augmentation | showing a sample differently in each epoch |
# | AuxNet | a small network that makes a state from the data |
# | speed-up, ceiling | time of one machine over that of $K$; its limit for many |
# | kinetic energy | price on how far residual blocks move their inputs |
#
# ## Readings
#
# - **Carreira-Perpiñán and Wang (2014)**, *Distributed optimization of deeply nested systems*, AISTATS. Look for the penalty, and for
#   why every module has a problem that one can solve with known software.
# - **Taylor, Burmeister, Xu, Singh, Patel and Goldstein (2016)**, *Training neural networks without gradients: a scalable ADMM approach*, ICML. Look for
#   how far multipliers alone were carried.
# - **Sun, Dong, Chen, Sun, Li and Dong (2020)**, *Penalty and augmented Lagrangian methods for layer-parallel training of residual networks*, arXiv.
#   Look for the view as optimal control, and for the sign of the multiplier.
# - **Sun, Dong, Chen, Sun, Li and Dong (2021)**, *Layer-parallel training of residual networks with auxiliary-variable networks*, arXiv
#   2112.05387. Look for the layers of their AuxNets and for their tables, which are not reproduced here, and for equation 27.
# - **Jaderberg, Czarnecki, Osindero, Vinyals, Graves, Silver and Kavukcuoglu (2017)**, *Decoupled neural interfaces using synthetic gradients*, ICML.
#   Compare the guessed gradient with a multiplier.
# - **Karkar, Ayed, de Bézenac and Gallinari (2023)**, *Module-wise training of neural networks via the minimizing movement scheme*, NeurIPS.
#   Look for how accuracy grows from module to module with and without the kinetic energy.
