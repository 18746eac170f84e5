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
# # 22 · Local losses
#
# > **Claim.** A network can be trained module by module, with a certificate that no gradient crosses a cut; what that costs is decided by the task and by the auxiliary heads, and hardly by the schedule.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | train every module on a loss of its own, with the cut on the right side; prove by autograd that no gradient crosses it; measure what a module keeps with a probe in closed form; write the losses pred, sim and Forward-Forward's goodness; tell greedy from simultaneous training; say whether five seeds support a claim |
# | **Before you start** | chapter 21 (forward, update and backward locking, `detach`); cross-entropy and a training loop in PyTorch |
# | **Time** | 150 minutes |
# | **Points** | 22, in seven exercises |

# %% tags=["setup"]
import copy
import math
from functools import partial

import matplotlib.pyplot as plt
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

import modular
from course.kit import Question, figure, quiz, setup, stored

generator = setup(seed=22)

# %% [markdown]
# ## Cold open: a method that looks perfect
#
# Chapter 21 showed the locks of backpropagation: no layer can be updated before all later
# layers have run forward and backward. Here is the plainest way to break them. Cut the
# network into $K$ **modules**. Give each a small classifier of its own, an **auxiliary
# head**, and let it learn from the loss of that head alone. Between modules only
# activations travel, forward, and no gradient ever comes back.
#
# Does that work? The usual test is a set of handwritten digits. We take scikit-learn's, 8 × 8
# pixels, and a network of six blocks Linear - BatchNorm - ReLU, once trained by
# backpropagation and once cut into 2, 3 and 6 modules with linear heads. Then the same
# network, cut in the same way, on a second task made of the same digits: **two** of them
# side by side, and the label is the last digit of their sum.

# %%
WIDTH, EPOCHS, RATE = 64, 8, 4e-3
adam = partial(torch.optim.Adam, lr=RATE, fused=True)


def blocks(inputs):
    """Six blocks; the last one ends in the classifier."""
    torch.manual_seed(22)
    sizes = [inputs] + [WIDTH] * 6
    made = [
        nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    made[-1].append(nn.Linear(WIDTH, 10))
    return made


def train(task, method, modules=6, head="linear", epochs=EPOCHS):
    """Train a fresh network, cut into modules; return its trainer."""
    g = torch.Generator().manual_seed(22)
    parts = modular.Partition(
        blocks(task.x.shape[1]), modules, head=head, sample=task.x[:2], generator=g
    )
    trainer = modular.Trainer(parts, method, optimizer=adam, generator=g)
    trainer.fit(task.batches(128, torch.Generator().manual_seed(22)), epochs)
    return trainer


def accuracy(trainer, task):
    """Test accuracy of the whole network, in per cent."""
    return 100 * float(trainer.evaluate(task.test())[-1])


def two_digits(seed, train, test):
    """pair_sum, and which two digits each pair is made of, (train, 2) and (test, 2)."""
    task = modular.pair_sum(torch.Generator().manual_seed(seed), train=train, test=test)
    g = torch.Generator().manual_seed(seed)  # draw once more, and look at the digits
    single = modular.digits(g)
    chosen = torch.randint(len(single.x), (2, train), generator=g)
    tried = torch.randint(len(single.x_test), (2, test), generator=g)
    return task, single.y[chosen].T, single.y_test[tried].T


single = modular.digits(torch.Generator().manual_seed(22))
pairs, digits_train, digits_test = two_digits(22, train=4000, test=2000)

# %%
trained = {}
for name, task in (("one digit", single), ("sum of two", pairs)):
    trained[name, 1] = train(task, modular.Backprop())
    for modules in (2, 3, 6):
        trained[name, modules] = train(task, modular.DGL(), modules)

# %% tags=["picture"]
fig = plt.figure(figsize=(7, 3.0))
grid = fig.add_gridspec(3, 2, width_ratios=[1, 2])
for row in range(3):
    ax = fig.add_subplot(grid[row, 0])
    ax.imshow(torch.cat([half.reshape(8, 8) for half in pairs.x[row].split(64)], dim=1))
    left, right = digits_train[row].tolist()
    ax.set_title(f"{left} + {right}: label {pairs.y[row]}", fontsize=9)
    ax.axis("off")
ax = fig.add_subplot(grid[:, 1])
for name, task in (("one digit", single), ("sum of two", pairs)):
    curve = [accuracy(trained[name, modules], task) for modules in (1, 2, 3, 6)]
    ax.plot([1, 2, 3, 6], curve, marker="o", label=name)
    print(
        f"{name}: backpropagation {curve[0]:.0f} %, six local modules {curve[-1]:.0f} %"
    )
ax.set(
    xlabel="modules (1 is backpropagation)", ylabel="test accuracy in %", ylim=(50, 102)
)
ax.set_xticks([1, 2, 3, 6])
ax.legend(fontsize=8, loc="lower left")
figure(
    fig,
    caption="The same network, cut in the same way. On single digits local training "
    "looks as good as backpropagation; on sums of two it loses more with every cut.",
    alt="Left: three pairs of handwritten digits with the last digit of their sum. "
    "Right: test accuracy against the number of modules. For one digit a flat line near "
    "97 per cent. For the sum of two a line that falls from about 85 per cent with "
    "backpropagation to below 70 with six modules.",
)

# %% [markdown]
# Whoever tests on single digits alone reports that backpropagation is not needed. The second
# curve says otherwise. This chapter takes both seriously: how local training is done properly,
# why the second curve falls, and what lifts it again.
#
# ## 1. How much is a difference?
#
# But first: each point above is *one* run. Another seed gives another split of the digits,
# other pairs, other weights. The library's benchmark has trained the full-size problem (12 000
# pairs, width 96, twelve epochs) with several seeds and kept every run.

# %%
measured = stored("modular")
runs = measured["ladder"]["runs"] | measured["more"]["runs"]
by_seed = {name: [run["accuracy"] for run in found] for name, found in runs.items()}
for name in ("backprop", "dgl K=2", "dgl K=6", "greedy K=6"):
    print(f"{name:12s}", "  ".join(f"{value:5.1f}" for value in by_seed[name]))

# %% [markdown]
# Read the columns. A seed that is good for one method is good for all: its test digits happen
# to be easy. So the spread *within* a row says little about the difference *between* rows. Take
# differences seed by seed, $d_s = b_s - a_s$, and then their mean and its **standard error**
#
# $$ \bar d = \frac1n \sum_s d_s, \qquad
#    \mathrm{SE} = \frac{1}{\sqrt n}\sqrt{\frac{1}{n-1}\sum_s (d_s - \bar d)^2} . $$
#
# What may one claim? If the true difference were zero (and the $d_s$ normal),
# $\bar d / \mathrm{SE}$ would follow Student's $t$ distribution with $n - 1$ degrees of
# freedom. Beyond its 97.5 % quantile, on either side, we call a difference real. Where
# there is none, that is wrong in one case of twenty.


# %% tags=["given"]
def quantile(freedom):
    """The 97.5 % quantile of Student's t distribution."""
    return float(stats.t.ppf(0.975, freedom))


# %% [markdown]
# ### Exercise 22.1 · Mean, error, claim
# Difficulty ●○○○○ · 2 points
#
# Write `paired_difference(a, b)`, which returns $\bar d$ of `b` minus `a` and its standard
# error, and `claim(a, b)`, which returns `"a"` or `"b"`, whichever is higher by this rule, or
# `"undecided"`. Accuracies of the same seed stand at the same place.


# %% nbgrader={"grade": false, "grade_id": "ex22-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def paired_difference(a, b):
    """Mean of b - a over the seeds, and its standard error: two floats.

    a, b: sequences of accuracies, (seeds,), at least two, in the same order.
    """
    ### BEGIN SOLUTION
    d = torch.tensor(b) - torch.tensor(a)
    return d.mean().item(), d.std().item() / math.sqrt(len(d))
    ### END SOLUTION


def claim(a, b):
    """Return "a", "b" or "undecided": which accuracies are higher, at 95 %."""
    ### BEGIN SOLUTION
    mean, error = paired_difference(a, b)
    if abs(mean) <= quantile(len(a) - 1) * error:
        return "undecided"
    return "b" if mean > 0 else "a"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
low, high = [60.0, 70.0, 80.0, 90.0], [61.0, 71.0, 81.0, 91.5]
mean, error = paired_difference(low, high)
assert math.isclose(mean, 1.125), "the mean of the differences, second minus first"
assert math.isclose(error, 0.125), (
    "seeds differ by tens of points here and the differences hardly: the error is that "
    "of the mean of the differences"
)
assert claim(low, high) == "b" and claim(high, low) == "a", (
    "nine standard errors are a difference, and its sign says for whom"
)

# %% nbgrader={"grade": true, "grade_id": "ex22-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert claim([1.0, 2.0, 3.0], [2.0, 1.0, 3.0]) == "undecided", "their mean is the same"
### BEGIN HIDDEN TESTS
g = torch.Generator().manual_seed(1)
for n in (2, 3, 5, 12):
    seeds = 80 + 10 * torch.randn(n, generator=g)
    d = torch.randn(n, generator=g)
    a, b = seeds.tolist(), (seeds + d).tolist()
    mean, error = paired_difference(a, b)
    expected = math.sqrt(((d - d.mean()) ** 2).sum().item() / (n * (n - 1)))
    assert math.isclose(mean, d.mean().item(), abs_tol=1e-9), "b minus a, in this order"
    assert math.isclose(error, expected, rel_tol=1e-6), (
        "the standard error of a mean of n: which n, and where does n - 1 go?"
    )
    edge = quantile(n - 1) * expected
    for factor, verdict in (
        (0.9, "undecided"),
        (1.1, "b"),
        (-0.9, "undecided"),
        (-1.1, "a"),
    ):
        shifted = (seeds + d - d.mean() + factor * edge).tolist()
        assert claim(a, shifted) == verdict, (
            f"{n} seeds, a difference of {factor} times the edge of Student's t with "
            f"{n - 1} degrees of freedom"
        )
same, more = [70.0, 80.0, 75.0], [71.0, 81.0, 76.0]
for pair, verdict in (
    ((same, same), "undecided"),
    ((same, more), "b"),
    ((more, same), "a"),
):
    try:
        told = claim(*pair)
    except ZeroDivisionError:
        told = "a division by zero"
    assert told == verdict, (
        f"claim{pair} says {told}, not {verdict}: a difference that is the same for every "
        "seed has the standard error 0, and equal accuracies are no claim"
    )
wrong = 0
for _ in range(400):
    noise = torch.randn(2, 3, generator=g).tolist()
    wrong += claim(*noise) != "undecided"
assert wrong < 48, "where nothing differs, at most about one claim in twenty is allowed"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Subtract first, average after: one number per seed, and from then on forget `a` and `b`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `Tensor.std()` divides by $n - 1$ already. The error of a *mean* of $n$ numbers is smaller than
# their spread by $\sqrt n$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The border between a claim and none is `quantile(len(a) - 1) * error`, on either side of
# zero.
#
# </details>

# %%
steps = [("greedy K=6", "greedy K=3"), ("greedy K=3", "greedy K=2")]
steps += [("greedy K=2", "backprop"), ("dgl K=6", "backprop")]
print("a             b           mean b - a   paired error   unpaired error   better")
for a, b in steps:
    mean, error = paired_difference(by_seed[a], by_seed[b])
    spread = [torch.tensor(by_seed[name]).var() / len(by_seed[name]) for name in (a, b)]
    print(
        f"{a:12s}  {b:10s} {mean:8.2f} {error:14.2f} {sum(spread).sqrt():14.2f}"
        f"          {claim(by_seed[a], by_seed[b])}"
    )

# %% [markdown]
# Look at the two errors. Pairing does not change what was measured, only what one gets out of
# it: treated as unrelated samples, the same runs would support far less. And note the price of
# few seeds: with five of them Student's factor is 2.8 where textbooks for many say 1.96.
#
# The fall of the cold open is real. Now to its cause; and for this we have to build the thing.
#
# ## 2. One loss per module, and the cut
#
# Module $k = 0, \dots, K - 1$ computes $h_k = f_k(h_{k-1})$, with $h_{-1} = x$; its head $a_k$
# turns $h_k$ into one score per class. The local problem is
#
# $$ \min_{\theta_k,\, \phi_k} \;
#    \ell\big( a_k( f_k(\mathrm{sg}(h_{k-1});\, \theta_k);\, \phi_k ),\, y \big) , $$
#
# where $\mathrm{sg}$, *stop-gradient*, is the identity on the way forward and zero on the way
# back; PyTorch calls it `detach`. The last head is the network's classifier. At test time the
# others are thrown away.
#
# **Shapes.** `x` is `(batch, n)`, every $h_k$ is `(batch, width)`, scores are
# `(batch, classes)`, `y` is `(batch,)` with class numbers.
#
# Where exactly does the cut go? Between $h_{k-1}$ and $f_k$, *not* between $f_k$ and $a_k$: the
# head must talk to its own module, and to no other.


# %% tags=["given"]
sgd = partial(torch.optim.SGD, lr=0.1)


def chain(seed, modules=3, inputs=5, width=6, classes=4, batch=12, norm=False):
    """Draw a small chain: modules, heads, x (batch, inputs), y (batch,)."""
    g = torch.Generator().manual_seed(seed)
    sizes = [inputs] + [width] * modules
    body, heads = [], []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers = [nn.Linear(a, b)] + [nn.BatchNorm1d(b)] * norm + [nn.Tanh()]
        body.append(nn.Sequential(*layers))
        heads.append(nn.Linear(b, classes))
    with torch.no_grad():
        for part in (*body, *heads):
            for p in part.parameters():
                p.copy_(0.5 * torch.randn(p.shape, generator=g))
    x = torch.randn(batch, inputs, generator=g)
    return body, heads, x, torch.randint(classes, (batch,), generator=g)


def few_batches(seed, count=4):
    """A list of batches for chain(seed): (12, 5) and (12,)."""
    return [chain(100 * seed + i)[2:] for i in range(count)]


def optimisers_of(body, heads, make):
    """One optimiser per module, for the module and its head."""
    both = zip(body, heads, strict=True)
    return [make([*f.parameters(), *a.parameters()]) for f, a in both]


def numbers(*parts):
    """All parameters and buffers of some modules in one long vector, copied."""
    states = [value for part in parts for value in part.state_dict().values()]
    return torch.cat([value.detach().double().flatten() for value in states]).clone()


# %% [markdown]
# ### Exercise 22.2 · One local step
# Difficulty ●●○○○ · 3 points
#
# Write `local_step`. Every module and every head runs forward once. A module takes the
# cross-entropy of its own head, and makes one step with its own optimiser (which holds the parameters of the module *and* of
# its head). A module receives what the one before has computed in this same pass. Nothing that
# the modules behind it do may influence a module. Return the losses, measured before the
# updates.


# %% nbgrader={"grade": false, "grade_id": "ex22-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def local_step(modules, heads, optimisers, x, y):
    """Train every module on its own loss, one step. Returns a list of K floats.

    modules, heads, optimisers: lists of K. x: (batch, n). y: (batch,), class numbers.
    """
    ### BEGIN SOLUTION
    losses, h = [], x
    for module, head, optimiser in zip(modules, heads, optimisers, strict=True):
        h = module(h.detach())  # the cut
        loss = F.cross_entropy(head(h), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
body, heads, x, y = chain(seed=2)
before = [numbers(f) for f in body]
with torch.no_grad():
    states = [body[0](x)]
    for f in body[1:]:
        states.append(f(states[-1]))
    wanted = [
        F.cross_entropy(a(h), y).item() for a, h in zip(heads, states, strict=True)
    ]
losses = local_step(body, heads, optimisers_of(body, heads, sgd), x, y)
assert len(losses) == 3, "one loss per module"
assert all(math.isclose(a, b) for a, b in zip(losses, wanted, strict=True)), (
    "the losses of one forward pass, before anything has moved"
)
moved = [
    bool((numbers(f) - old).abs().max() > 1e-6)
    for f, old in zip(body, before, strict=True)
]
assert moved == [True, True, True], (
    "every module must learn, not only its head: on which side of the head is the cut?"
)

# %% nbgrader={"grade": true, "grade_id": "ex22-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
body, heads, x, y = chain(seed=3, modules=1)
losses = local_step(body, heads, optimisers_of(body, heads, sgd), x, y)
assert len(losses) == 1, "a single module is a chain as well"
### BEGIN HIDDEN TESTS
makers = {
    "SGD": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.1),
    "Adam": partial(torch.optim.Adam, lr=0.01),
}
for seed, (name, make) in enumerate(makers.items()):
    long = chain(seed, modules=4)
    short = copy.deepcopy(long)
    short = (short[0][:2], short[1][:2], *short[2:])
    alone = copy.deepcopy(long)
    opts = [optimisers_of(c[0], c[1], make) for c in (long, short, alone)]
    calls = []
    for part in (*long[0], *long[1]):
        part.register_forward_hook(lambda part, *a, c=calls: c.append(part))
    for f in long[0]:
        for p in f.parameters():
            p.grad = torch.ones_like(p)  # left over from somewhere
    for _ in range(3):
        h, expected = long[2], []
        for f, a, opt in zip(alone[0], alone[1], opts[2], strict=True):
            f_in, h = h, f(h).detach()
            loss = F.cross_entropy(a(f(f_in)), alone[3])
            weights = [*f.parameters(), *a.parameters()]
            for p, grad in zip(
                weights, torch.autograd.grad(loss, weights), strict=True
            ):
                p.grad = grad
            opt.step()
            expected.append(loss.item())
        losses = local_step(long[0], long[1], opts[0], *long[2:])
        local_step(short[0], short[1], opts[1], *short[2:])
        assert len(calls) == 8 == len({*calls}), (
            "every module and every head is to run forward once in a step"
        )
        calls.clear()
        assert all(part.training for part in (*long[0], *long[1])), (
            "modules that learn stay in training mode: a step switches nothing"
        )
        assert all(isinstance(v, float) for v in losses), "plain numbers, not tensors"
        assert all(math.isclose(a, b) for a, b in zip(losses, expected, strict=True)), (
            f"{name}: the losses are not those of modules that are trained alone"
        )
    for k in range(4):
        parts = [numbers(c[0][k], c[1][k]) for c in (long, alone)]
        assert torch.allclose(*parts, rtol=0, atol=1e-10), (
            f"{name}: after three steps module {k} of 4 is not where its own loss "
            "takes it. Does exactly one gradient, of one loss, reach it, is it fresh, and "
            "does exactly one optimiser step for it?"
        )
    for k in range(2):
        parts = [numbers(c[0][k], c[1][k]) for c in (long, short)]
        assert torch.equal(*parts), (
            f"{name}: module {k} learns something else if modules follow it"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One loop over the modules does it all. `h.detach()` has the values of `h` and no history.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Detach what *enters* the module. What enters the head must keep its history, or the module
# itself never hears of the loss. Gradients that are left over must be cleared first.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The cut is `h = module(h.detach())`. What follows is a training step as you know it, for one
# module and its head.
#
# </details>

# %% [markdown]
# Each module's graph is freed before the next one begins. That is where the memory goes that
# chapter 21 was after; `detach` followed by a single `backward` of the *sum* of all losses
# gives the same gradients and saves nothing.
#
# ## 3. The certificate
#
# "No gradient crosses a cut" is a sentence that is easily written. A forgotten
# `detach` raises no error: the network trains, better even than it should, and what is reported
# as local learning was backpropagation. So let us *measure* it, with the instrument of
# chapter 21: loss $j$ **reaches** module $i$ if the gradient of $\ell_j$ with respect to the
# parameters of $f_i$ is not zero. All pairs $(j, i)$ form the **isolation matrix**. It must be
#
# - the identity for local losses,
# - lower triangular if nothing is cut (loss $j$ reaches all modules up to $j$),
# - and anything else is a bug, or at least a surprise.
#
# New here is the second half of a certificate: what was found is compared with what was
# *declared*, and every difference is named.


# %% tags=["given"]
def local_losses(modules, heads, x, y, cuts):
    """The K losses of a chain, as tensors; detach before module k if k is in cuts."""
    losses, h = [], x
    for k, (module, head) in enumerate(zip(modules, heads, strict=True)):
        h = module(h.detach() if k in cuts else h)
        losses.append(F.cross_entropy(head(h), y))
    return losses


# %% [markdown]
# ### Exercise 22.3 · A certificate
# Difficulty ●●●○○ · 3 points
#
# Write `isolation(losses, modules)`, the matrix, defined as in exercise 21.5: a gradient of
# nothing but zeros has reached nobody, a loss that depends on no parameter (a constant) reaches
# nobody, and nobody reaches frozen parameters. It must leave everything as it was, `.grad` and
# `requires_grad` of the parameters included, and it must be possible to measure again or to
# call `backward` afterwards.
#
# And write `faults(found, declared)`, the list of all differences between a measured and a
# declared matrix, row by row: `(j, i, "leak")` where loss $j$ reaches module $i$ and should
# not, `(j, i, "none")` where it should and does not. An empty list is a certificate that holds.


# %% nbgrader={"grade": false, "grade_id": "ex22-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def isolation(losses, modules):
    """Which loss reaches which module's parameters.

    losses: list of J scalar tensors. modules: list of K modules.
    Returns a bool tensor (J, K).
    """
    ### BEGIN SOLUTION
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if own and loss.requires_grad:
                grads = torch.autograd.grad(
                    loss, own, retain_graph=True, allow_unused=True
                )
                matrix[j, i] = any(g is not None and bool(g.any()) for g in grads)
    return matrix
    ### END SOLUTION


def faults(found, declared):
    """Where a measured matrix differs from the declared one.

    found, declared: bool tensors (J, K). Returns a list of (j, i, "leak" or "none").
    """
    ### BEGIN SOLUTION
    return [
        (j, i, "leak" if found[j, i] else "none")
        for j, i in (found != declared).nonzero().tolist()
    ]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
body, heads, x, y = chain(seed=4)
local = isolation(local_losses(body, heads, x, y, cuts={1, 2}), body)
assert local.shape == (3, 3) and local.dtype == torch.bool, (
    "losses by modules, true or false"
)
assert torch.equal(local, torch.eye(3, dtype=torch.bool)), (
    "all cuts in place: every loss reaches its own module and no other"
)
whole = isolation(local_losses(body, heads, x, y, cuts=set()), body)
assert torch.equal(whole, torch.ones(3, 3).tril().bool()), (
    "nothing is cut: loss j (a row) reaches module j and all modules before it"
)
eye = torch.eye(2, dtype=torch.bool)
assert list(faults(eye, eye)) == [], "found as declared: nothing to report"
assert [tuple(f) for f in faults(torch.ones(2, 2).tril().bool(), eye)] == [
    (1, 0, "leak")
], "loss 1 reaches module 0, which was not declared"

# %% nbgrader={"grade": true, "grade_id": "ex22-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
found = isolation([torch.tensor(1.0)], [nn.Linear(2, 2)])
assert found.tolist() == [[False]], "a constant reaches nobody"
### BEGIN HIDDEN TESTS
entries = nn.Linear(3, 1, bias=False)
for way in ([1.0, -1.0, 0.0], [0.0, -2.0, 0.0], [1e-9, 0.0, 0.0], [0.0, 0.0, 1e-200]):
    found = isolation([(entries.weight * torch.tensor(way)).sum()], [entries])
    assert found.tolist() == [[True]], (
        f"the gradient of this loss is {way}: one entry other than zero is enough, of "
        "either sign, however small, and whatever the sum of all entries is"
    )
for seed in range(2):
    body, heads, x, y = chain(seed, modules=4)
    for cuts in ({1, 2, 3}, {1, 3}, {2}, set()):
        expected = torch.zeros(4, 4, dtype=torch.bool)
        for j in range(4):
            first = max([c for c in cuts if c <= j], default=0)
            expected[j, first : j + 1] = True
        losses = local_losses(body, heads, x, y, cuts)
        flags = [p.requires_grad for f in body for p in f.parameters()]
        assert torch.equal(isolation(losses, body), expected), (
            f"detached before modules {sorted(cuts)}: a loss goes back to the last cut "
            "before it, and is stopped there"
        )
        try:
            again = isolation(losses, body)
        except RuntimeError:  # PyTorch refuses a graph that is gone
            again = None
        assert again is not None and torch.equal(again, expected), (
            "measured twice, it differs: has the graph been used up?"
        )
        assert all(f.training for f in body), (
            "a measurement must not switch a module between training and evaluation"
        )
        assert all(p.grad is None for f in body for p in f.parameters()), (
            "a measurement must not leave gradients behind"
        )
        assert flags == [p.requires_grad for f in body for p in f.parameters()], (
            "a measurement must not freeze or unfreeze anything"
        )
        sum(losses).backward()  # must still be possible
        for f in body:
            f.zero_grad()
    sum(local_losses(body, heads, x, y, {1, 2, 3})).backward()
    kept = [p.grad.clone() for f in body for p in f.parameters()]
    losses = local_losses(body, heads, x, y, {1, 2, 3})
    found = isolation([losses[2], 0 * losses[3]], body)
    assert found.tolist() == [[False, False, True, False], [False] * 4], (
        "rows are the losses that were given, and zero times a loss moves nothing"
    )
    after = [p.grad for f in body for p in f.parameters()]
    same = [
        b is not None and torch.equal(a, b) for a, b in zip(kept, after, strict=True)
    ]
    assert all(same), "the gradients that lay there before must be there still"
    body[3][0].weight = body[1][0].weight  # tied across the cut
    tied = isolation(local_losses(body, heads, x, y, {1, 2, 3}), body)
    assert tied[3, 1] and tied[1, 3], "a shared weight is a way for gradients, too"
    body, heads, x, y = chain(seed, modules=2)
    quiet = isolation(local_losses(body, heads, 0 * x, y, {1}), body)
    assert torch.equal(quiet, torch.eye(2, dtype=torch.bool)), (
        "with x = 0 the first weight has a gradient of zeros, but its bias has not: one "
        "parameter is enough"
    )
    body[0].requires_grad_(False)
    frozen = isolation(local_losses(body, heads, x, y, set()), body)
    assert frozen.tolist() == [[False, False], [False, True]], (
        "nobody reaches a frozen module"
    )
    assert not any(p.requires_grad for p in body[0].parameters()), (
        "a measurement must not unfreeze anything"
    )
    g = torch.Generator().manual_seed(seed)
    one, other = torch.rand(2, 4, 5, generator=g) < 0.5
    expected = []
    for j in range(4):
        for i in range(5):
            if one[j, i] and not other[j, i]:
                expected.append((j, i, "leak"))
            if other[j, i] and not one[j, i]:
                expected.append((j, i, "none"))
    assert [tuple(f) for f in faults(one, other)] == expected, (
        "every place where the two differ, row by row: a leak where something was found "
        "that was not declared, none where something declared was not found"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.autograd.grad(loss, parameters)` returns gradients and stores none. By default it
# frees the graph, and complains about parameters that the loss does not depend on.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `retain_graph=True` keeps the graph; with `allow_unused=True` the gradient of an unused
# parameter is `None`. Both `None` and zeros mean: not reached.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `g.any()` says whether a gradient has an entry other than zero, and
# `(found != declared).nonzero()` where two matrices differ.
#
# </details>

# %% [markdown]
# Four chains of four modules, each of which claims to be trained locally.


# %%
def suspects():
    """Four chains that claim to be local: name, losses, modules."""
    body, heads, x, y = chain(seed=5, modules=4)
    yield "all cuts in place", local_losses(body, heads, x, y, {1, 2, 3}), body
    yield "one detach forgotten", local_losses(body, heads, x, y, {1, 3}), body
    h, losses = x, []
    for f, a in zip(body, heads, strict=True):
        h = f(h)
        losses.append(F.cross_entropy(a(h.detach()), y))
    yield "detach on the wrong side", losses, body
    body[3][0].weight = body[1][0].weight
    yield "a weight is tied", local_losses(body, heads, x, y, {1, 2, 3}), body


# %% tags=["picture"]
fig, axes = plt.subplots(1, 4, figsize=(7, 2.5))
for ax, (name, losses, body) in zip(axes, suspects(), strict=True):
    found, declared = isolation(losses, body), torch.eye(4, dtype=torch.bool)
    picture = torch.ones(4, 4, 3)
    picture[found & declared] = torch.tensor([0.0, 0.62, 0.45])  # as declared
    picture[found != declared] = torch.tensor([0.84, 0.37, 0.0])  # not as declared
    ax.imshow(picture)
    for j, i, word in faults(found, declared):
        ax.text(i, j, word, ha="center", va="center", fontsize=8)
    ax.set(title=name.replace(" on ", "\non "), xlabel="module", ylabel="loss")
    ax.set(xticks=range(4), yticks=range(4))
    ax.title.set_fontsize(9)
    ax.grid(False)
    broken = faults(found, declared)
    print(
        f"{name}: certificate {'broken' if broken else 'holds'}, faults {len(broken)}"
    )
figure(
    fig,
    caption="Measured isolation matrices. Green: reached, as declared. Orange: a gradient where "
    "there should be none (leak), or none where there should be one.",
    alt="Four grids of four losses by four modules. With all cuts, a green diagonal. With one "
    "detach forgotten, one orange cell marked leak below the diagonal. With the detach on the "
    "wrong side, the diagonal itself is orange and marked none. With a tied weight, two "
    "orange cells marked leak, symmetric about the diagonal.",
)

# %% [markdown]
# The second one is the dangerous one: its losses fall as they should. The third trains only heads
# on random features, and on easy data even that looks like learning. No loss curve shows it.
# The matrix does, on one batch, before any training.

# %% [markdown]
# ## 4. What a greedy module throws away
#
# Why do sums of two digits suffer, and single digits not? Start with what the label depends on.
# Count how often digits and labels come together, and compute their **mutual information**
# $I(u; y) = \sum_{u, y} p(u, y) \log_2 \frac{p(u, y)}{p(u)\, p(y)}$, in bits.


# %%
def mutual_information(u, y):
    """Mutual information in bits of two columns of class numbers, from their counts."""
    joint = torch.zeros(int(u.max()) + 1, int(y.max()) + 1)
    joint.index_put_((u, y), torch.ones(len(u)), accumulate=True)
    joint /= joint.sum()
    apart = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0)
    return float(
        torch.special.xlogy(joint, joint / apart.clamp(min=1e-300)).sum() / math.log(2)
    )


left, right = digits_train.T
print(f"left digit and label   {mutual_information(left, pairs.y):5.2f} bits")
print(f"right digit and label  {mutual_information(right, pairs.y):5.2f} bits")
print(
    f"both and label         {mutual_information(10 * left + right, pairs.y):5.2f} bits"
)

# %% [markdown]
# (What is left above zero in the first two lines is chance, with 4000 pairs for 100 cells.)
# Neither digit alone says anything about the label. Together they say everything, $\log_2 10$
# bits. So a first layer can do one of two things. It can prepare: describe each digit well,
# though neither description predicts anything yet. Or it can be useful at once: look for the few
# crude features of the *pair* from which a linear head guesses the sum a little better than by
# chance. A local loss falls by the second only.
#
# And what is lost cannot come back. Everything after module $k$ is computed from $h_k$, so
# $I(h_{k+1}; u) \le I(h_k; u)$ for whatever $u$ (the *data processing inequality*). No later
# module brings a digit back.
#
# To see what the modules keep, put a **linear probe** on the features after each: a classifier
# that is fitted after training and sends nothing back. A probe trained by gradient descent
# measures its own learning rate too. Least squares on one-hot labels has an exact answer:
#
# $$ W = \arg\min_W \; \frac1N \big\| [H, \mathbf 1]\, W - Y \big\|_F^2 + \rho\, \|W\|_F^2 . $$

# %% [markdown]
# ### Exercise 22.4 · A probe in closed form
# Difficulty ●●●○○ · 3 points
#
# Write `fit_probe(h, y, classes, ridge)`, which returns the $W$ above, exactly (one linear
# system, no descent), with the row of the constants last, and `probe_accuracy(W, h, y)`, the share of samples whose largest score is that
# of the right class. There may be more features than samples, and features that are constant.


# %% nbgrader={"grade": false, "grade_id": "ex22-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_probe(h, y, classes=10, ridge=1e-3):
    """Ridge regression onto one-hot labels, solved exactly.

    h: (N, n). y: (N,), class numbers. Returns W, (n + 1, classes), constants last.
    """
    ### BEGIN SOLUTION
    A = torch.cat([h, torch.ones(len(h), 1)], dim=1)
    Y = F.one_hot(y, classes).to(A.dtype)
    gram = A.T @ A / len(A) + ridge * torch.eye(A.shape[1])
    return torch.linalg.solve(gram, A.T @ Y / len(A))
    ### END SOLUTION


def probe_accuracy(W, h, y):
    """Share of right answers, a float. W: (n + 1, classes). h: (N, n). y: (N,)."""
    ### BEGIN SOLUTION
    scores = h @ W[:-1] + W[-1]
    return (scores.argmax(dim=1) == y).double().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(6)
h, y = torch.randn(40, 3, generator=g), torch.arange(40) % 4
given = h.clone()
W = fit_probe(h, y, classes=4, ridge=0.1)
assert torch.equal(h, given), "the features that were handed over have been changed"
assert W.shape == (4, 4), (
    "a row per feature and one for the constant, a column per class"
)
assert W.dtype == h.dtype, (
    f"features in {h.dtype}, W in {W.dtype}: `.float()` makes numbers of single precision; "
    "`F.one_hot(y, classes).to(h.dtype)` makes such as the features are"
)
leaf = W.clone().requires_grad_()
scores = h @ leaf[:-1] + leaf[-1]
misfit = (scores - F.one_hot(y, 4)).square().sum() / 40 + 0.1 * leaf.square().sum()
slope = torch.autograd.grad(misfit, leaf)[0]
assert slope.abs().max() < 1e-10, (
    "at the minimum the gradient is zero: is W the exact minimiser of the objective above, "
    "with the mean over the samples, and the ridge on all of W?"
)
line = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
above = fit_probe(line, torch.tensor([0, 0, 1, 1]), classes=2)
assert probe_accuracy(above, line, torch.tensor([0, 0, 1, 0])) == 0.75, "three of four"

# %% nbgrader={"grade": true, "grade_id": "ex22-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
W = fit_probe(torch.zeros(4, 2), torch.tensor([0, 1, 1, 1]), classes=2)
assert probe_accuracy(W, torch.zeros(4, 2), torch.tensor([1, 1, 1, 1])) == 1.0, (
    "features that say nothing leave the constant: the most frequent class"
)
### BEGIN HIDDEN TESTS
g = torch.Generator().manual_seed(7)
for n, N, ridge in ((3, 50, 1e-3), (30, 12, 0.02), (5, 50, 2.0)):
    h = 1 + torch.randn(N, n, generator=g)
    y = torch.randint(5, (N,), generator=g)
    W = fit_probe(h, y, classes=6, ridge=ridge)
    assert W.shape == (n + 1, 6), "a class that does not occur has a column as well"
    leaf = W.clone().requires_grad_()
    scores = torch.cat([h, torch.ones(N, 1)], dim=1) @ leaf
    misfit = (scores - F.one_hot(y, 6)).square().sum() / N + ridge * leaf.square().sum()
    assert torch.autograd.grad(misfit, leaf)[0].abs().max() < 1e-9, (
        "not the minimiser: try more features than samples, or a large ridge"
    )
    twice = fit_probe(torch.cat([h, h]), torch.cat([y, y]), classes=6, ridge=ridge)
    assert torch.allclose(W, twice), "every sample seen twice must change nothing"
    order = torch.randperm(N, generator=g)
    assert torch.allclose(W, fit_probe(h[order], y[order], 6, ridge)), (
        "order must not matter"
    )
    best = scores.detach().argmax(dim=1)
    assert probe_accuracy(W, h, best) == 1.0, (
        "the class with the largest score is the answer"
    )
    assert isinstance(probe_accuracy(W, h, y), float), "a plain number"
    half = torch.where(torch.arange(N) < N // 2, best, (best + 1) % 6)
    assert math.isclose(probe_accuracy(W, h, half), (N // 2) / N, rel_tol=1e-6), (
        "the share of samples, one answer per sample"
    )
scales = torch.tensor([30.0, 1.0, 0.02, 0.02])
h, y = scales * torch.randn(80, 4, generator=g), torch.arange(80) % 5
A, Y = torch.cat([h, torch.ones(80, 1)], dim=1), F.one_hot(y, 5).to(h.dtype)
known = torch.linalg.inv(A.T @ A / 80 + 1e-5 * torch.eye(5)) @ A.T @ Y / 80
assert torch.allclose(fit_probe(h, y, 5, 1e-5), known, rtol=1e-6, atol=1e-8), (
    "features of very different size: the exact solution does not mind, a descent that "
    "has not arrived does"
)
far = fit_probe(torch.randn(60, 2, generator=g) + 100, torch.arange(60) % 3, 3, 1e-3)
assert far.isfinite().all() and far[-1].abs().max() > 0, "the constant is fitted"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Append a column of ones to $H$ and call it $A$. Set the gradient of the objective to zero: a
# system of linear equations, the same matrix for all classes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\big(\tfrac1N A^\top A + \rho I\big) W = \tfrac1N A^\top Y$. With a ridge the matrix is regular
# even if there are more features than samples. `F.one_hot` returns integers.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.linalg.solve(M, R)` solves $M W = R$ for all classes at once; the ones come in by
# `torch.cat([h, torch.ones(len(h), 1)], dim=1)`.
#
# </details>


# %%
def features(trainer, x):
    """What each block returns, in evaluation mode: K tensors (N, ...)."""
    trainer.partition.eval()
    with torch.no_grad():
        return [h for _, h in trainer.partition.states(x)]


def probes(trainer, target, target_test):
    """Test accuracy in % of a probe for some target after each module."""
    found = []
    both = zip(features(trainer, pairs.x), features(trainer, pairs.x_test), strict=True)
    for h, h_test in both:
        mean, std = h.mean(dim=0), h.std(dim=0).clamp(min=1e-6)
        W = fit_probe((h - mean) / std, target)
        found.append(100 * probe_accuracy(W, (h_test - mean) / std, target_test))
    return found


whole = train(pairs, modular.Backprop())  # one block per module, to look inside
local = trained["sum of two", 6]
keeping = train(pairs, modular.DGL(modular.InfoPro()))
views = {
    "backpropagation": whole,
    "six local modules": local,
    "InfoPro (section 5)": keeping,
}

# %% tags=["picture"]
seen = {}
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1))
for name, trainer in views.items():
    seen[name, "sum"] = probes(trainer, pairs.y, pairs.y_test)
    seen[name, "left"] = probes(trainer, digits_train[:, 0], digits_test[:, 0])
    axes[0].plot(range(6), seen[name, "sum"], marker="o", ms=4, label=name)
    axes[1].plot(range(5), seen[name, "left"][:5], marker="o", ms=4)
axes[0].set(xlabel="module", ylabel="probe accuracy in %", title="the sum")
axes[1].set(xlabel="module", ylabel="probe accuracy in %", title="the left digit")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure(
    fig,
    caption="What a linear probe reads after each module (the last one returns scores and is "
    "left out on the right). Backpropagation prepares first; a local module predicts at once.",
    alt="Left: probe accuracy for the sum. Backpropagation starts near 30 per cent after "
    "module 0 and climbs past 80; the local modules start above 60 and "
    "stop rising near 70, and InfoPro runs with them. Right: probe accuracy for the left "
    "digit. With backpropagation it stays near 90 and is still above 80 after module 4; "
    "with local modules it falls below 50; InfoPro lies between.",
)

# %%
print("after module 0, the local features predict the sum better:", end=" ")
print(seen["six local modules", "sum"][0] > 1.3 * seen["backpropagation", "sum"][0])
print("after module 4, they have lost the left digit:", end=" ")
print(seen["six local modules", "left"][4] < seen["backpropagation", "left"][4] - 20)

# %% [markdown]
# The left panel shows what a greedy module does. After one module the local features predict the
# sum about twice as well as those of backpropagation; after three, backpropagation has
# overtaken them; the local chain gains almost nothing after its second module. The right panel
# shows what it pays with: the digits themselves fade from module to module.
#
# But be careful with the conclusion. After module 0 both digits can still be read by a linear
# probe, in both networks. Is the damage done already? Ask directly: freeze module 0, throw the
# others away, and let backpropagation train five fresh ones on top. What *they* reach is what
# patience after module 0 can win back, at equal training.


# %%
def rescue(trainer):
    """Freeze module 0; train the rest anew, end to end. Test and training accuracy in %."""
    h, h_test = (features(trainer, x)[0] for x in (pairs.x, pairs.x_test))
    rest = modular.tasks.Task(h, pairs.y, h_test, pairs.y_test)
    layers = blocks(pairs.x.shape[1])[1:]
    parts = modular.Partition(layers, 1, sample=h[:2])
    fresh = modular.Trainer(parts, modular.Backprop(), optimizer=adam)
    fresh.fit(rest.batches(128, torch.Generator().manual_seed(22)), EPOCHS)
    on_train = 100 * float(fresh.evaluate([(rest.x, rest.y)])[-1])
    return accuracy(fresh, rest), on_train


rich = train(pairs, modular.DGL(), head="mlp")
saved = {
    "by backpropagation": rescue(whole),
    "locally, linear head": rescue(local),
    "locally, MLP head": rescue(rich),
}
print("module 0 trained          test   training pairs")
for name, (on_test, on_train) in saved.items():
    print(f"{name:22s} {on_test:5.0f} %  {on_train:10.0f} %")

# %% [markdown]
# **This should surprise you.** One local module at the bottom, and five modules of honest
# backpropagation above it do not get back what was lost: most of the gap of the cold open is
# made by the *first* module. And it is no loss of information about the training pairs, for
# those the five modules still fit. What is gone is a description of the two digits that
# carries over to *new* handwriting. Mutual information counts what could be known in
# principle; what a network of this kind can use, and generalise from, is less. Say "greedy
# modules throw information away", and mean the usable kind.
#
# The last line hints at a cure: with a richer head the first module does less harm.
#
# ## 5. What to ask of a module
#
# Four answers from the literature, all of the form $\ell_k(h_{k-1}, h_k, a_k, y)$.
#
# - **pred**: cross-entropy of the head's scores. What we did so far.
# - **sim** (Nøkland and Eidnes 2019): samples of one class should look alike, others should not.
#   Not a single label is predicted; only *pairs* of samples count.
# - **predsim**: $(1 - \beta)$ pred $+ \beta$ sim, with $\beta = 0.99$.
# - **InfoPro** (Wang and others 2021): predict the label *and* reconstruct the input from
#   $h_k$, the latter more in early modules: a fee for throwing things away.
#
# For sim, subtract from every row of $H$ its own mean, scale it to length one, and call the
# result $Z$. Then $S(H) = Z Z^\top$ holds the similarities of all pairs in the batch, and
#
# $$ \ell_{\text{sim}} = \frac{1}{N^2} \sum_{i, j}
#    \big( S(H)_{ij} - S(Y)_{ij} \big)^2, \qquad Y = \text{one-hot labels}. $$
#
# (Between $h_k$ and $S$ comes another trained linear layer, which we leave to the caller.)

# %% [markdown]
# ### Exercise 22.5 · Similarity matching
# Difficulty ●●●○○ · 3 points
#
# Write `similarity(h)` and `sim_loss(h, y, classes)` from the definition. A row whose entries
# are all equal has no direction: its similarities are 0, and nothing may become NaN, neither
# the loss nor its gradient. (ReLU features are zero everywhere more often than one thinks.)


# %% nbgrader={"grade": false, "grade_id": "ex22-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def similarity(h):
    """Adjusted cosine similarities of all pairs of rows. h: (N, n). Returns (N, N)."""
    ### BEGIN SOLUTION
    z = F.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)
    return z @ z.T
    ### END SOLUTION


def sim_loss(h, y, classes):
    """Mean squared difference to the labels' similarities. h: (N, n). y: (N,)."""
    ### BEGIN SOLUTION
    labels = F.one_hot(y, classes).to(h.dtype)
    return (similarity(h) - similarity(labels)).square().mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
h = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [5.0, 3.0, 3.0]])
given, S = h.clone(), similarity(h)
assert torch.equal(h, given), "the features that were handed over have been changed"
assert S.shape == (3, 3), "one number per pair of samples"
for value in (S, sim_loss(h, torch.tensor([0, 1, 0]), 3)):
    assert value.dtype == torch.float64, (
        "the answer is in single precision, this chapter computes in float64: is there a "
        ".float()?"
    )
assert torch.allclose(S.diagonal(), torch.ones(3)), (
    "every row is as similar as can be to itself"
)
assert torch.allclose(S[0, 2], torch.tensor(1.0)), (
    "rows 1 and 3 differ by a factor and a constant only: centre each row, then scale it"
)
assert torch.allclose(S[0, 1], torch.tensor(-0.5)), (
    "centred, two different axes are at -1/2"
)
y = torch.tensor([0, 1, 0])
assert sim_loss(h, y, 3).abs() < 1e-12, (
    "features as similar as the one-hot labels cost nothing"
)
assert torch.allclose(
    sim_loss(h, torch.tensor([0, 1, 2]), 3), torch.tensor(2 * 1.5**2 / 9)
), "one pair of nine, and its mirror image, is off by 1.5"

# %% nbgrader={"grade": true, "grade_id": "ex22-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
S = similarity(torch.zeros(2, 3))
assert S.shape == (2, 2) and (S == 0).all(), "rows of zeros are similar to nothing"
### BEGIN HIDDEN TESTS
g = torch.Generator().manual_seed(8)
for n, classes in ((4, 3), (9, 10), (30, 2)):
    h = 1 + torch.randn(7, n, generator=g)
    y = torch.randint(classes, (7,), generator=g)
    S, loss = similarity(h), sim_loss(h, y, classes)
    by_hand = torch.corrcoef(h)  # correlation of rows is what S is
    assert torch.allclose(S, by_hand, atol=1e-9), (
        "S is the correlation between the rows"
    )
    labels = torch.corrcoef(F.one_hot(y, classes).double())
    assert torch.allclose(loss, (by_hand - labels).square().mean(), atol=1e-9), (
        "the mean over all pairs, the diagonal included, against one-hot labels"
    )
    factor = 0.1 + torch.rand(7, 1, generator=g)
    shift = torch.randn(7, 1, generator=g)
    assert torch.allclose(sim_loss(factor * h + shift, y, classes), loss), (
        "each sample's own scale and offset must not matter"
    )
    leaves = [h.clone().requires_grad_() for _ in "ab"]
    weights = torch.randn(7, 7, generator=g)  # not symmetric
    (similarity(leaves[0]) * weights).sum().backward()
    (torch.corrcoef(leaves[1]) * weights).sum().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-7, atol=1e-9), (
        "S has the right values and another gradient: both sides of the product, the mean "
        "and the length of a row all depend on h"
    )
    leaves = [h.clone().requires_grad_() for _ in "ab"]
    sim_loss(leaves[0], y, classes).backward()
    (torch.corrcoef(leaves[1]) - labels).square().mean().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-5, atol=1e-7), (
        "the loss has the right value and another gradient"
    )
    order = torch.randperm(n, generator=g)
    assert torch.allclose(sim_loss(h[:, order], y, classes), loss), (
        "nor the order of features"
    )
    order = torch.randperm(7, generator=g)
    assert torch.allclose(sim_loss(h[order], y[order], classes), loss), (
        "nor that of samples"
    )
    renamed = torch.randperm(classes, generator=g)
    assert torch.allclose(sim_loss(h, renamed[y], classes), loss), (
        "the loss knows only which samples share a class: names of classes must not matter"
    )
    assert torch.allclose(similarity(h[:3]), S[:3, :3]), (
        "the similarity of two samples must not depend on the rest of the batch"
    )
    h[2] = 3.0
    leaf = h.clone().requires_grad_()
    loss = sim_loss(leaf, y, classes)
    loss.backward()
    assert loss.isfinite() and leaf.grad.isfinite().all(), (
        "a constant row has produced NaN"
    )
    assert leaf.grad[0].abs().max() > 0, "gradients must reach the features"
    rest = torch.arange(7) != 2
    assert (similarity(h)[2, rest].abs() < 1e-6).all(), (
        "a constant row is similar to nothing"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two operations per row, in this order: subtract its mean, divide by its length.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `F.normalize(v, dim=1, eps=1e-8)` divides by the length, but never by less than `eps`. The same
# function serves for features and for `F.one_hot(y, classes)`, made a float.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $S = Z Z^\top$, where the rows of $Z$ are those of `h - h.mean(dim=1, keepdim=True)`,
# normalised.
#
# </details>

# %% [markdown]
# In the papers, on pictures, this list is a ranking. Errors on CIFAR-10 of a VGG8B in per cent,
# as the authors' code states them: pred 8.4, predsim 5.6, backpropagation 6.0 (Nøkland and Eidnes
# 2019). Of a ResNet-32 in eight modules: greedy 21.2, DGL 14.2, InfoPro 11.4, backpropagation 7.4
# (Wang and others 2021, table 2). The benchmark has asked the same for our sums, six modules,
# seed by seed. The baseline of each row is pred with linear heads, all modules at once. The last
# column is $|\bar d| / \mathrm{SE}$, which has to exceed Student's quantile.

# %%
pred = "interlocking n=1"  # simultaneous, linear heads, loss pred: the same thing
rivals = {
    "predsim instead": "predsim K=6",
    "InfoPro instead": "infopro K=6",
    "greedy schedule instead": "greedy K=6",
    "MLP head instead": "dgl K=6",
}
print(
    f"pred, linear heads, all at once: {sum(by_seed[pred]) / len(by_seed[pred]):.1f} %"
)
for name, other in rivals.items():
    mean, error = paired_difference(by_seed[pred], by_seed[other])
    verdict = claim(by_seed[pred], by_seed[other])
    words = {"a": "worse", "b": "better"}.get(verdict, verdict)
    need = quantile(len(by_seed[pred]) - 1)
    print(
        f"  {name:24s} {mean:+5.2f} ± {error:.2f}   {words:9s} "
        f"{abs(mean) / error:5.2f}, needed {need:.2f}"
    )

# %%
heads = {
    "linear head": ("greedy K=6", "interlocking n=1"),
    "MLP head": ("greedy K=6, mlp head", "dgl K=6"),
}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
for place, methods in enumerate(heads.values()):
    for shift, method, schedule in zip((-0.12, 0.12), methods, "01", strict=True):
        values = torch.tensor(by_seed[method])
        label = (
            ("one after another", "all at once")[int(schedule)] if not place else None
        )
        colour, marker = (("C0", "o"), ("C1", "s"))[int(schedule)]
        ax.plot(
            [place + shift] * len(values),
            values,
            marker,
            color=colour,
            mfc="none",
            ms=5,
        )
        error = values.std() / math.sqrt(len(values))
        ax.errorbar(
            place + shift + 0.05,
            values.mean(),
            error,
            fmt=marker,
            color=colour,
            capsize=3,
            label=label,
        )
ax.axhline(torch.tensor(by_seed["backprop"]).mean(), color="k", lw=0.8, ls="--")
ax.text(
    -0.4, torch.tensor(by_seed["backprop"]).mean() + 0.3, "backpropagation", fontsize=8
)
ax.set_xticks([0, 1], list(heads))
ax.set(xlabel="auxiliary heads", ylabel="test accuracy in %", xlim=(-0.5, 1.5))
ax.legend(fontsize=8, loc="lower right")
figure(
    fig,
    caption="Six modules, five seeds (open), mean and standard error (filled). The head moves the "
    "result by several points, the schedule hardly at all.",
    alt="Test accuracy for linear and for MLP heads. In each group the clouds of greedy and of "
    "simultaneous training overlap almost completely, near 82 per cent for linear and near "
    "86 for MLP heads. A dashed line for backpropagation lies above both, near 92.",
)

# %%
for name, (greedy, at_once) in heads.items():
    mean, error = paired_difference(by_seed[greedy], by_seed[at_once])
    print(f"{name:12s} all at once minus one after another: {mean:+.1f} ± {error:.1f}")
sizes = {name: runs[m[1]][0]["head_parameters"][0] for name, m in heads.items()}
module_size = 96 * 96 + 96 + 2 * 96
print("parameters of a head per parameter of a module:", end=" ")
print(", ".join(f"{name} {size / module_size:.1f}" for name, size in sizes.items()))

# %% [markdown]
# Two results, and neither is what one reads in abstracts.
#
# **It did not reproduce.** On this task, at this size, the similarity loss and InfoPro change
# the result by less than the data can tell from zero, or make it worse. Section 4 says why
# InfoPro might not help: it does keep the digits, as its fee demands, but later modules that
# are themselves greedy do not come back for them. Keeping is not using. (The papers' networks
# are convolutional, larger and trained on pictures. What holds there need not hold here; and
# the other way round.)
#
# **Heads decide rankings.** "Training modules one after another loses to training them all at
# once": true, by points, if the first is run with linear heads and the second with MLP heads.
# With equal heads the difference shrinks to almost nothing. A comparison of local methods
# that does not state the size of its heads says nothing. And heads are not free: here an MLP
# head is as large as the module it serves.
#
# ## 6. No backward pass at all
#
# A local loss still runs backward through its module and head. Geoffrey Hinton's
# **Forward-Forward** (2022) asks for less: two *forward* passes, and a layer-wise rule. Every
# layer has a **goodness**, the mean square of its activities,
#
# $$ G(h) = \frac1n \sum_i h_i^2 , $$
#
# which should be high for real data and low for wrong data. Real data is a picture with its
# right label written next to it as a one-hot code. Wrong data is the same picture with a wrong
# label. With a threshold $\theta$,
#
# $$ \ell = \underbrace{\mathrm{mean}\, \log\big(1 + e^{\theta - G(h^+)}\big)}_{\text{right labels}}
#        + \underbrace{\mathrm{mean}\, \log\big(1 + e^{G(h^-) - \theta}\big)}_{\text{wrong labels}} . $$
#
# There are no heads. A prediction tries all ten labels and takes the one with the highest
# goodness. (Hinton sums the squares; with their mean the threshold does not depend on the
# width.)
#
# One detail is easily got wrong: how to draw a wrong label. Shuffle the labels of the batch, or
# draw any of the ten, and one in ten negatives is *right*; the layer is told to find the same
# picture good and bad. (A widely used implementation
# [did so](https://github.com/mpezeshki/pytorch_forward_forward/issues/8).) Always take $y + 1$, and the layer learns to tell $y$
# from $y + 1$ only.

# %% [markdown]
# ### Exercise 22.6 · Goodness, and wrong labels that are wrong
# Difficulty ●●●●○ · 4 points
#
# Write `wrong_labels(y, classes, g)`, which draws for every sample, independently, a label
# uniformly from the `classes - 1` wrong ones with the generator `g`, and
# `goodness_loss(right, wrong, theta)`. Activities may be large, so beware of $e^{1000}$.


# %% nbgrader={"grade": false, "grade_id": "ex22-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wrong_labels(y, classes, g):
    """Draw labels that are never the right ones, uniformly. y: (N,). Returns (N,)."""
    ### BEGIN SOLUTION
    return (y + torch.randint(1, classes, y.shape, generator=g)) % classes
    ### END SOLUTION


def goodness_loss(right, wrong, theta=2.0):
    """Forward-Forward's loss. right, wrong: activities, (N, n). Returns a scalar."""
    ### BEGIN SOLUTION
    good, bad = (h.square().mean(dim=1) for h in (right, wrong))
    return F.softplus(theta - good).mean() + F.softplus(bad - theta).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(9)
y = torch.arange(5).repeat(400)
drawn = wrong_labels(y, 5, g)
assert drawn.shape == y.shape and drawn.min() >= 0 and drawn.max() <= 4, (
    "a label per sample"
)
assert (drawn != y).all(), "a negative sample must never carry its true label"
level = math.sqrt(2) * torch.ones(4, 3)
goodness_loss(level, level, 2.0)
assert (level == math.sqrt(2)).all(), (
    "the activities that were handed over have changed"
)
assert goodness_loss(level, level, 2.0).dtype == torch.float64, (
    "the answer is in single precision, this chapter computes in float64: is there a "
    ".float()?"
)
assert torch.allclose(
    goodness_loss(level, level, 2.0), torch.tensor(2 * math.log(2))
), "at the threshold both terms are log 2: is the goodness a mean of squares?"
assert goodness_loss(2 * level, 0 * level) < goodness_loss(level, level), (
    "high goodness for right labels and low goodness for wrong ones is what is wanted"
)

# %% nbgrader={"grade": true, "grade_id": "ex22-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
flipped = wrong_labels(torch.tensor([0, 1, 1]), 2, torch.Generator().manual_seed(0))
assert flipped.tolist() == [1, 0, 0], "with two classes there is one wrong label"
### BEGIN HIDDEN TESTS
for classes in (3, 10):
    g = torch.Generator().manual_seed(classes)
    y = torch.arange(classes).repeat(6000 // classes)
    before = y.clone()
    drawn = wrong_labels(y, classes, g)
    assert torch.equal(y, before), "the true labels were changed"
    assert drawn.dtype == torch.int64, "class numbers, as F.one_hot takes them"
    assert (drawn != y).all(), "a negative sample carries its true label"
    table = torch.zeros(classes, classes)
    table.index_put_((y, drawn), torch.ones(len(y)), accumulate=True)
    expected = len(y) / (classes * (classes - 1))
    off = ~torch.eye(classes, dtype=torch.bool)
    assert ((table[off] - expected).abs() < 6 * math.sqrt(expected)).all(), (
        "every wrong label must be equally likely, for every true one"
    )
    shift = (drawn - y) % classes
    for lag in (1, 2, classes):
        pairs_equal = (shift[lag:] == shift[:-lag]).double().mean()
        assert (pairs_equal - 1 / (classes - 1)).abs() < 0.05, (
            "samples must draw independently"
        )
    again = wrong_labels(y, classes, torch.Generator().manual_seed(classes))
    assert torch.equal(drawn, again), "the same generator must give the same labels"
    assert not torch.equal(drawn, wrong_labels(y, classes, g)), "and each call new ones"
many = torch.arange(3).repeat(140_000)
drawn = wrong_labels(many, 3, torch.Generator().manual_seed(3))
share = ((drawn - many) % 3 == 1).double().mean().item()
assert (drawn != many).all() and abs(share - 0.5) < 6 * 0.5 / math.sqrt(len(many)), (
    f"of three classes the next one is drawn in {share:.1%} of many draws, not in 50 %: what "
    "happens to draws that hit the true label?"
)
g = torch.Generator().manual_seed(10)
for theta, n in ((2.0, 4), (0.5, 11)):
    right, wrong = torch.randn(6, n, generator=g), torch.randn(9, n, generator=g)
    good, bad = right.square().mean(dim=1), wrong.square().mean(dim=1)
    value = (
        torch.log1p((theta - good).exp()).mean()
        + torch.log1p((bad - theta).exp()).mean()
    )
    loss = goodness_loss(right, wrong, theta)
    assert torch.allclose(loss, value), (
        "a mean over the samples of each kind, of the logistic loss of each sample's goodness"
    )
    leaves = [h.clone().requires_grad_() for h in (right, wrong)]
    goodness_loss(*leaves, theta).backward()
    # by hand: d loss / d h = -+ sigmoid(+-(theta - G)) 2 h / (n N)
    pulls = ((good - theta).neg().sigmoid().neg(), (bad - theta).sigmoid())
    for leaf, h, pull in zip(leaves, (right, wrong), pulls, strict=True):
        known = 2 * h * pull[:, None] / h.numel()
        assert torch.allclose(leaf.grad, known, rtol=1e-9, atol=1e-12), (
            "the loss has the right value and another gradient than its formula"
        )
    wide = goodness_loss(right.repeat(1, 3), wrong.repeat(1, 3), theta)
    assert torch.allclose(wide, loss), (
        "the width of the layer must not move the threshold"
    )
    leaves = [h.clone().requires_grad_() for h in (right, wrong)]
    goodness_loss(*leaves, theta).backward()
    pull = [(h * h.grad).sum(dim=1) for h in leaves]
    assert (pull[0] < 0).all() and (pull[1] > 0).all(), (
        "descent must make right samples more active and wrong ones less"
    )
    huge = goodness_loss(100 * right, 100 * wrong, theta)
    expected = F.relu(1e4 * bad - theta).mean()
    assert torch.allclose(huge, expected, rtol=0.05, atol=1e-3), (
        "large activities overflow: is there an exponential that nobody guards?"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Adding a number from 1 to $C - 1$ to a label, modulo $C$, gives every other label once.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `F.softplus(z)` is $\log(1 + e^z)$ without overflow. The goodness is one number per sample:
# `h.square().mean(dim=1)`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.randint(1, classes, y.shape, generator=g)` draws one shift per sample. For right
# samples the argument of the softplus is $\theta - G$.
#
# </details>

# %% [markdown]
# One more trap: the second layer could read the answer off the *length* of what it gets, since
# that is what the first layer has been taught to signal. So each layer first scales its input
# to a fixed length, and only directions travel on.


# %%
def with_label(x, y):
    """Write a one-hot label in front of the pixels."""
    return torch.cat([F.one_hot(y, 10).to(x.dtype), x], dim=1)


def forward_forward(task, epochs, width=100, layers=2):
    """Train layers by Forward-Forward, each on its own. Returns them."""
    torch.manual_seed(22)
    g = torch.Generator().manual_seed(22)
    sizes = [10 + task.x.shape[1]] + [width] * layers
    net = [
        nn.Sequential(modular.LengthNorm(), nn.Linear(a, b), nn.ReLU())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    makers = [torch.optim.Adam(f.parameters(), lr=1e-2, fused=True) for f in net]
    for _ in range(epochs):
        for x, y in task.batches(128, g):
            h = torch.cat([with_label(x, y), with_label(x, wrong_labels(y, 10, g))])
            for f, optimiser in zip(net, makers, strict=True):
                h = f(h.detach())
                loss = goodness_loss(*h.chunk(2))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return net


@torch.no_grad()
def goodness_of_labels(net, x):
    """Goodness of every label in every layer: (layers, N, 10)."""
    table = torch.zeros(len(net), len(x), 10)
    for label in range(10):
        h = with_label(x, torch.full((len(x),), label))
        for k, f in enumerate(net):
            h = f(h)
            table[k, :, label] = h.square().mean(dim=1)
    return table


ff = forward_forward(single, epochs=40)
ff_pairs = forward_forward(pairs, epochs=8)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9))
for ax, (name, net, task) in zip(
    axes, (("one digit", ff, single), ("sum of two", ff_pairs, pairs)), strict=True
):
    table = goodness_of_labels(net, task.x_test)
    is_right = F.one_hot(task.y_test, 10).bool()
    second = table[1]
    bins = torch.linspace(0, float(second.quantile(0.999)), 40)
    for chosen, label, style in (
        (~is_right, "wrong label", "C1"),
        (is_right, "right label", "C0"),
    ):
        ax.hist(
            second[chosen], bins=bins, density=True, alpha=0.6, color=style, label=label
        )
    ax.set(title=name, xlabel="goodness in layer 1", ylabel="density")
    per_layer = [
        100 * float((t.argmax(dim=1) == task.y_test).double().mean()) for t in table
    ]
    total = 100 * float((table.sum(dim=0).argmax(dim=1) == task.y_test).double().mean())
    print(
        f"{name}: layer 0 alone {per_layer[0]:.0f} %, layer 1 alone {per_layer[1]:.0f} %, "
        f"both {total:.0f} %"
    )
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="Goodness of test samples with their right and with wrong labels. Single digits "
    "come apart. Pairs do not, at this budget: right and wrong look almost the same.",
    alt="Two histograms of the goodness in layer 1. For one digit, wrong labels pile up at low "
    "goodness and right labels spread over higher values. For the sum of two, the two "
    "histograms cover each other.",
)

# %% [markdown]
# On single digits it works, a few points behind backpropagation and with several times the
# passes over the data. On pairs it is hardly better than chance, which is 10 %: a single layer would
# have to find, in one step, a feature of *three* things at once, left digit, right digit and
# label, any two of which say nothing about the third. More epochs may help, and you can try;
# nothing in the rule asks for the preparation that would make it easy.
#
# Note also what the printed lines add: accuracy *per layer*. The second layer alone is no
# better than the first. Whether later layers contribute anything is a question that every local
# method must answer.
#
# ## 7. One after another, or all at once
#
# Back to heads, and to the schedule. **Greedy** training (Belilovsky, Eickenberg and Oyallon
# 2019) finishes module 0, freezes it, goes on to module 1. **Decoupled greedy learning**, DGL
# (the same authors, 2020), updates all modules in every step, as `local_step` does. Greedy
# needs no forward pass through modules that are still moving, but $K$ passes over the data;
# DGL can run all modules at the same time on $K$ machines, and later modules learn from inputs
# that have not settled.
#
# Freezing means more than "no gradient". A BatchNorm in training mode goes on counting: its
# running statistics move with every batch, whether or not anybody calls `backward`. A frozen
# module must run in evaluation mode.

# %% [markdown]
# ### Exercise 22.7 · Two schedules
# Difficulty ●●●●○ · 4 points
#
# Write `train_chain`. `batches` is a list of pairs `(x, y)`. All at once: go through the
# batches once, and each module makes one step per batch. Greedy: module 0 goes through all
# batches, then module 1, and so on: $K$ times as many steps in all, the same number for each
# module. While a module learns it is in training mode, those before it are finished: in
# evaluation mode, and nothing of them changes. Those behind it have not begun and must not
# run. Use one Adam per module, over the module and its head, for the whole training. Whoever
# comes next may want to train on: at the end every parameter still asks for a gradient.


# %% nbgrader={"grade": false, "grade_id": "ex22-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train_chain(modules, heads, batches, lr, greedy=False):
    """Train modules on local losses, in place; all are in evaluation mode at the end.

    modules, heads: lists of K. batches: list of (x, y), x (batch, n), y (batch,).
    """
    ### BEGIN SOLUTION
    both = list(zip(modules, heads, strict=True))
    optimisers = [
        torch.optim.Adam([*f.parameters(), *a.parameters()], lr=lr) for f, a in both
    ]
    phases = [[k] for k in range(len(modules))] if greedy else [range(len(modules))]
    for learning in phases:
        for k, module in enumerate(modules):
            module.train(k in learning)
        for x, y in batches:
            h = x
            for k in range(learning[-1] + 1):
                h = modules[k](h.detach())
                if k in learning:
                    optimisers[k].zero_grad()
                    F.cross_entropy(heads[k](h), y).backward()
                    optimisers[k].step()
    for module in modules:
        module.eval()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex22-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
at_once, in_turn = chain(seed=11, norm=True), chain(seed=11, norm=True)
train_chain(*at_once[:2], few_batches(11), lr=0.01)
train_chain(*in_turn[:2], few_batches(11), lr=0.01, greedy=True)
first = [numbers(c[0][0], c[1][0]) for c in (at_once, in_turn)]
assert torch.equal(*first), (
    "module 0 cannot tell the schedules apart: same inputs, same loss, the same number of steps. "
    "In a greedy schedule, does anything of it change after its turn?"
)
second = [numbers(c[0][1]) for c in (at_once, in_turn)]
assert not torch.allclose(*second), (
    "module 1 can: its inputs come from a module that moves, or from one that has finished"
)
assert not any(f.training for f in at_once[0] + in_turn[0]), (
    "in evaluation mode at the end"
)

# %% nbgrader={"grade": true, "grade_id": "ex22-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
body, heads, x, y = chain(seed=12, modules=1)
train_chain(body, heads, [(x, y)], lr=0.01, greedy=True)
assert not torch.equal(numbers(body[0]), numbers(chain(seed=12, modules=1)[0][0])), (
    "one module, one batch: it must have moved"
)
### BEGIN HIDDEN TESTS
for seed, norm in ((13, True), (14, False)):
    batches = few_batches(seed, count=5)
    start = chain(seed, norm=norm)
    greedy, log = copy.deepcopy(start), []
    for k, f in enumerate(greedy[0]):
        f.register_forward_hook(
            lambda f, i, o, k=k, log=log: log.append((k, f.training))
        )
    train_chain(*greedy[:2], batches, lr=0.02, greedy=True)
    turns = [k for k, training in log if training]
    assert turns == [0] * 5 + [1] * 5 + [2] * 5, (
        "greedy: all batches in training mode for module 0, then for module 1, then for "
        "module 2; and those that have finished run in evaluation mode only"
    )
    assert all(dict(reversed(log))[k] for k in range(3)), (
        "no module runs before its turn"
    )
    alone = copy.deepcopy(start)
    inputs = [x for x, _ in batches]
    for k, (f, a) in enumerate(zip(alone[0], alone[1], strict=True)):
        optimiser = torch.optim.Adam([*f.parameters(), *a.parameters()], lr=0.02)
        for h, (_, y) in zip(inputs, batches, strict=True):
            optimiser.zero_grad()
            F.cross_entropy(a(f(h)), y).backward()
            optimiser.step()
        f.eval()
        inputs = [f(h).detach() for h in inputs]
        parts = [numbers(c[0][k], c[1][k]) for c in (greedy, alone)]
        assert torch.allclose(*parts, rtol=0, atol=1e-9), (
            f"greedy, module {k}: trained on the finished outputs of the module before, "
            "once through all batches with one optimiser, it would be elsewhere"
        )
    at_once, stepped = copy.deepcopy(start), copy.deepcopy(start)
    train_chain(*at_once[:2], batches, lr=0.02)
    own = optimisers_of(*stepped[:2], partial(torch.optim.Adam, lr=0.02))
    for h, y in batches:
        for f, a, optimiser in zip(*stepped[:2], own, strict=True):
            optimiser.zero_grad()
            h = f(h.detach())
            F.cross_entropy(a(h), y).backward()
            optimiser.step()
    for k in range(3):
        parts = [numbers(c[0][k], c[1][k]) for c in (at_once, stepped)]
        assert torch.allclose(*parts, rtol=0, atol=1e-9), (
            f"all at once, module {k}: not where a local step per batch takes it"
        )
    assert not any(f.training for f in greedy[0] + at_once[0]), (
        "in evaluation mode at the end"
    )
    parts = [*greedy[0], *greedy[1], *at_once[0], *at_once[1]]
    assert all(p.requires_grad for part in parts for p in part.parameters()), (
        "a module that has finished rests, and must be trainable again: requires_grad has "
        "been left at false"
    )
    asleep = copy.deepcopy(start)
    for f in asleep[0]:
        f.eval()
    train_chain(*asleep[:2], batches, lr=0.02)
    assert torch.equal(numbers(*asleep[0]), numbers(*at_once[0])), (
        "a module that learns must be in training mode, whatever it was in before"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write down who learns in which pass over the batches: greedy `[[0], [1], [2]]`, all at once
# `[[0, 1, 2]]`. The rest of the code is the same.
#
# </details>
# <details><summary>Hint 2</summary>
#
# At the beginning of a pass call `module.train(k in learning)` for every module. In the pass,
# run modules up to the last learning one, detach before each, and step only for those that
# learn.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Make the optimisers once, before the passes. The modules that run in a pass are
# `range(learning[-1] + 1)`.
#
# </details>

# %% [markdown]
# The test of module 0 is a small theorem: *what a local module becomes does not depend on who
# learns behind it, or when*. It is why the schedule cannot repair what section 4 found. The
# first module does its damage under either. Only what is asked of it matters (its loss and its
# head), or how far back later losses may reach, which is chapter 23.

# %% [markdown]
# ## The library's version
#
# `modular` has all of this behind one trainer: a **partition** says where to cut and with
# which heads, a **method** how far losses reach, an **objective** what each module minimises.
# To swap a method is one line. Here is its DGL beside our `local_step`, its `Greedy` beside
# our `train_chain`, and the other instruments beside ours.


# %%
def same_chain(parts):
    """Copies of a partition's modules and heads, as this chapter's functions take them."""
    parts = copy.deepcopy(parts)
    return [b.net for b in parts.blocks], [b.head.predict for b in parts.blocks]


def equal(one, other):
    """Whether two lists of modules hold the same numbers, to 1e-12."""
    return bool((numbers(*one) - numbers(*other)).abs().max() < 1e-12)


g = torch.Generator().manual_seed(3)
some = [(x, y) for x, y in pairs.batches(128, g)][:6]
plain = partial(torch.optim.Adam, lr=RATE)
for name, method in (("DGL", modular.DGL()), ("Greedy", modular.Greedy())):
    parts = modular.Partition(blocks(128), 3, sample=some[0][0], head="mlp")
    body, heads = same_chain(parts)
    modular.Trainer(parts, method, optimizer=plain).fit(some, epochs=1)
    train_chain(body, heads, some, RATE, greedy=name == "Greedy")
    parts.eval()
    print(f"{name}: our modules are the library's, after training:", end=" ")
    print(equal(body, [block.net for block in parts.blocks]))

x, y = some[0]
h = features(whole, x)[2]
both = similarity(h), modular.objectives.sim.similarity(h)
print("similarity, the same:", torch.allclose(*both, rtol=0, atol=1e-12))
theirs = modular.audit.probe(whole.partition, [(pairs.x, pairs.y)], pairs.test())
ours = torch.tensor(seen["backpropagation", "sum"]) / 100
print("probes, the same:", torch.allclose(theirs, ours, atol=1e-3))
right = modular.Goodness().enter(torch.rand(500, 20), torch.arange(500) % 10, 10, g)
carried = right[500:1000, :10].argmax(dim=1)
print(
    "its negatives never carry the true label:",
    bool((carried != torch.arange(500) % 10).all()),
)

# %% [markdown]
# Its certificate, `audit.isolation`, runs the trainer's own step with one loss at a time and
# compares what it measures with what the method *declares*. It finds a skip connection and a
# tied weight, too.

# %%
methods = {
    "DGL": modular.DGL(),
    "Greedy": modular.Greedy(),
    "predsim": modular.DGL(modular.PredSim()),
    "Interlocking(2)": modular.Interlocking(2),
    "Backprop": modular.Backprop(),
}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 5, figsize=(7, 2.0))
for ax, (name, method) in zip(axes, methods.items(), strict=True):
    parts = modular.Partition(blocks(128), 6, sample=x)
    found = modular.audit.isolation(
        modular.Trainer(parts, method, optimizer=plain), (x, y)
    )
    ax.imshow(found.reaches.double(), cmap="Greens", vmin=0, vmax=1.4)
    ax.set_title(name, fontsize=9)
    ax.set(xlabel="module", ylabel="loss", xticks=[], yticks=[])
    ax.grid(False)
    print(f"{name}: certificate {'holds' if found.holds else 'broken'}")
figure(
    fig,
    caption="How far the losses of six modules travel, measured. Only the three on the left are "
    "local; the band is chapter 23.",
    alt="Five matrices of six losses by six modules. DGL, Greedy and predsim: a diagonal. "
    "Interlocking(2): the diagonal and the one below it. Backprop: a full lower triangle.",
)

# %% [markdown]
# ## Signature result: the ladder
#
# The benchmark's full-size runs: 12 000 pairs, six blocks of width 96, cut into 2, 3 and 6
# modules, several seeds. The baseline is backpropagation on the same seeds, trained as long.
# Beside it a small re-run made in this chapter (4000 pairs, one seed, fewer epochs), and a
# **negative control**: six local modules as before, but the labels that the five hidden
# modules see are *shuffled*; only the last one gets true labels. If local losses did nothing
# and the last module alone did the work, this would score as well.


# %%
class Mistaught(modular.Pred):
    """The loss pred with labels in a random order; the last module has the true ones."""

    def __call__(self, h_in, h_out, head, target):
        order = torch.randperm(len(target), generator=generator)
        return super().__call__(h_in, h_out, head, target[order])

    def final(self):
        return modular.Pred()


small = [accuracy(trained["sum of two", k], pairs) for k in (1, 2, 3, 6)]
control = accuracy(train(pairs, modular.DGL(Mistaught())), pairs)

# %%
ladder = {
    "greedy, linear heads": ["greedy K=2", "greedy K=3", "greedy K=6"],
    "all at once, MLP heads": ["dgl K=2", "dgl K=3", "dgl K=6"],
}
base = torch.tensor(by_seed["backprop"])
error = base.std() / math.sqrt(len(base))

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), gridspec_kw={"width_ratios": [3, 2]})
axes[0].axhspan(base.mean() - error, base.mean() + error, color="0.85")
axes[0].axhline(base.mean(), color="k", lw=1, ls="-", label="backpropagation")
for (name, row), marker in zip(ladder.items(), "os", strict=True):
    values = torch.tensor([by_seed[method] for method in row])
    error = values.std(dim=1) / math.sqrt(values.shape[1])
    axes[0].errorbar(
        [2, 3, 6], values.mean(dim=1), error, marker=marker, ms=5, capsize=3, label=name
    )
axes[0].set(
    xlabel="modules",
    ylabel="test accuracy in %",
    title="benchmark, mean and standard error",
)
axes[0].set_xticks([2, 3, 6])
axes[0].grid(axis="x", visible=False)
axes[0].legend(fontsize=8, loc="lower left")
axes[1].plot([1, 2, 3, 6], small, marker="o", label="linear heads")
axes[1].plot(
    [6], [control], "x", color="C3", ms=9, mew=2, label="control: shuffled labels"
)
axes[1].axhline(10, color="0.5", lw=0.8, ls=":")
axes[1].text(1, 11.5, "chance", fontsize=8)
axes[1].set(
    xlabel="modules", ylabel="test accuracy in %", title="small re-run", ylim=(0, 100)
)
axes[1].set_xticks([1, 2, 3, 6])
axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(0, 0.42))
figure(
    fig,
    caption="Sums of two digits: the more modules, the lower; better heads win back about half. "
    "Right: the same shape in a minute's work, and what is left without true labels.",
    alt="Left: accuracy against 2, 3 and 6 modules. A grey band for backpropagation near 92 per "
    "cent; all at once with MLP heads falls from just below it to about 87; greedy with linear heads "
    "falls to about 82. Right: the small re-run falls from about 85 with backpropagation to "
    "below 70 with six modules; the control with shuffled labels lies far below, at "
    "a little more than 20.",
)

# %%
print(
    "method                            K = 2      K = 3      K = 6    K = 6 minus backprop"
)
for name, row in ladder.items():
    cells = []
    for method in row:
        values = torch.tensor(by_seed[method])
        cells.append(
            f"{values.mean():5.1f} ±{values.std() / math.sqrt(len(values)):3.1f}"
        )
    mean, spread = paired_difference(by_seed["backprop"], by_seed[row[-1]])
    print(f"{name:28s}  {'  '.join(cells)}      {mean:+.1f} ± {spread:.1f}")
print(f"backpropagation {base.mean():.1f}")
pairs_of_methods = [("greedy K=6", "dgl K=6"), ("dgl K=6", "backprop")]
better = [claim(by_seed[a], by_seed[b]) == "b" for a, b in pairs_of_methods]
print("greedy with linear heads < DGL with MLP heads < backpropagation:", all(better))
print("the control is below half of the real thing:", control < small[-1] / 2)

# %% [markdown]
# What local training buys for these points is memory and freedom. The benchmark has measured
# the bytes that are held for the backward pass of a network of 32 blocks; chapter 21 explains
# how. And what does the classical method cost? Nothing but that memory, and the locks: its
# arithmetic is *less*, as it has no auxiliary heads to feed.

# %%
for name in ("backprop", "dgl K=2", "dgl K=4", "dgl K=8"):
    print(
        f"{name:9s} holds {measured['memory'][name]['ratio']:.0%} of backpropagation's bytes"
    )
parts = modular.Partition(blocks(128), 6, head="mlp", sample=x).cost()
share = parts.head_flops.sum() / parts.flops.sum()
print(f"arithmetic of six modules' MLP heads: {share:.0%} of the network's own")

# %% [markdown]
# ## An experiment to change
#
# Which tasks forgive a local loss? The pictures stay, the question changes. Two digits are
# shown, and asked for is the left one, the larger one, or (from the cold open) the last digit
# of the sum. Guess the gaps between backpropagation and six local modules before you look.

# %%
QUESTIONS = {
    "left": lambda a, b: a,
    "larger": lambda a, b: torch.maximum(a, b),
}
MODULES, HEAD, OBJECTIVE, ROUNDS = 6, "linear", modular.Pred(), 4


def asked(question):
    """The pairs, with another question about their digits."""
    y, y_test = (question(*d.T) for d in (digits_train, digits_test))
    return modular.tasks.Task(pairs.x, y, pairs.x_test, y_test)


gaps = {"sum": small[0] - small[-1]}
for name, question in QUESTIONS.items():
    task = asked(question)
    ends = [
        accuracy(train(task, modular.Backprop(), epochs=ROUNDS), task),
        accuracy(train(task, modular.DGL(OBJECTIVE), MODULES, HEAD, ROUNDS), task),
    ]
    gaps[name] = ends[0] - ends[1]
    print(f"{name:7s} backpropagation {ends[0]:.0f} %, local {ends[1]:.0f} %")
print("the sum loses most:", gaps["sum"] == max(gaps.values()))
for name in QUESTIONS:
    task = asked(QUESTIONS[name])
    bits = [mutual_information(u, task.y) for u in digits_train.T]
    print(f"bits about '{name}' in each digit alone: {bits[0]:.1f} and {bits[1]:.1f}")

# %% [markdown]
# Where a single digit carries bits about the answer, what pays at once is also what will be
# needed later, and the gap closes. For the left digit local training even comes out ahead
# here: it is asked to forget the right one, and early. (One seed. You know what to do before
# you claim it.) Change one thing at a time, and guess first:
#
# - Add the question `lambda a, b: (a - b).abs()`, or `(a + b) % 2`. How many bits has one
#   digit about them?
# - `HEAD = "mlp"`: does it help where the linear head was good already?
# - `OBJECTIVE = modular.PredSim(0.5)`: is it the similarity that hurts, or its weight?
# - `MODULES = 2`: where would you put the single cut, if you could choose? (In `train`, give
#   `Partition` the argument `cuts=[1]`, ..., `cuts=[5]` instead of a number of modules.)
#
# ## When it fails
#
# **Nothing to learn.** The sharpest case can be built. Let the first module see the *left
# digit only*, squeeze it into six numbers, and hand on the right one untouched; the rest of
# the network does what it likes. Its head sees the six numbers. By the count in section 4 they
# carry no information about the label whatever the module does: the best local loss is
# $\log 10$, and what drives the module is noise. Three networks: trained end to end, trained locally,
# and with a first module that is never trained at all.


# %%
class LeftDigit(nn.Module):
    """Six numbers from the left digit; the right one passes untouched."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU())

    def forward(self, x):
        return torch.cat([self.f(x[:, :64]), x[:, 64:]], dim=1)


class SixNumbers(nn.Linear):
    """A linear head on the first six features."""

    def forward(self, h):
        return super().forward(h[:, :6])


def tower(method):
    """Train LeftDigit and a network behind it; local and final accuracy in %."""
    torch.manual_seed(22)
    wide = [
        nn.Sequential(nn.Linear(a, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU())
        for a in (70, WIDTH)
    ]
    layers = [LeftDigit(), *wide, nn.Linear(WIDTH, 10)]
    g = torch.Generator().manual_seed(22)
    parts = modular.Partition(
        layers,
        cuts=[1],
        head=lambda shape, classes: SixNumbers(6, classes),
        sample=pairs.x[:2],
        generator=g,
    )
    trainer = modular.Trainer(parts, method, optimizer=adam, generator=g)
    trainer.fit(pairs.batches(128, torch.Generator().manual_seed(22)), EPOCHS)
    return [100 * float(v) for v in trainer.evaluate(pairs.test())]


kinds = {
    "end to end": modular.Backprop(),
    "local": modular.DGL(),
    "untrained": modular.DGL(0 * modular.Pred()),
}
towers = {name: tower(method) for name, method in kinds.items()}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.barh(
    list(towers), [final for _, final in towers.values()], color=["C0", "C1", "0.6"]
)
ax.axvline(10, color="k", lw=0.8, ls=":")
ax.invert_yaxis()
ax.set(xlabel="test accuracy in % (dotted: chance)", ylabel="first module")
figure(
    fig,
    caption="A first module that sees one digit of two. Its local loss has exactly nothing to "
    "teach it: the network ends no better than with a module that never learned.",
    alt="Three bars. With the first module trained end to end the network reaches almost 70 per "
    "cent; with the local one and with the untrained one it stays below 40, and the two are alike.",
)

# %%
print(f"accuracy of the local head: {towers['local'][0]:.0f} % (chance is 10 %)")
print(
    "local training beats no training by 5 points:",
    towers["local"][1] > towers["untrained"][1] + 5,
)
print("end to end beats both by 20 points:", end=" ")
print(towers["end to end"][1] > 20 + max(towers["local"][1], towers["untrained"][1]))

# %% [markdown]
# No head, no schedule and no similarity loss can help here: whatever compares the left digit
# with the label sees noise. A loss that leaves the label out may do better (InfoPro's
# reconstruction is one, and you can try it in `tower`); a loss that knows what the digit is
# *for* can only come from behind.
#
# **Certificates prove one thing.** Isolation says that no gradient crosses. It does not say
# that no *information* does: a BatchNorm shared by two modules, a learning rate chosen by the
# last module's accuracy, early stopping for all at once are ways in which modules talk. (The
# library refuses shared normalisation layers.)
#
# **A shared optimiser** moves modules without any gradient: momentum and weight decay need
# none. One optimiser per module is part of the method, not a matter of taste.
#
# **Modules that add nothing.** Heads are trained classifiers, so every module can be asked how
# good a network would be that ended with it. The benchmark keeps these numbers.

# %%
print("test accuracy in % after module      0     1     2     3     4     5")
for name, row in (
    ("greedy, linear heads", "greedy K=6"),
    ("all at once, MLP heads", "dgl K=6"),
):
    after = torch.tensor([run["per_module"] for run in runs[row]]).mean(dim=0)
    print(f"{name:32s}", " ".join(f"{value:5.1f}" for value in after))

# %% [markdown]
# After module 2 hardly anything is gained any more. The honest conclusion would be to stop
# there: the other modules cost and do little. "Local training of a deep network" may
# be local training of a shallow one, with an idle tail. Look at accuracy *per module*, always.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "A module computes h = f(h_in), its head a(h). Where does local training detach?",
        choices=[
            "h_in, before it enters f",
            "h, before it enters the head",
            "the head's scores, before the loss",
        ],
        answer="e6e926be1205",
        hint="Who must learn from the loss, and who must not?",
    ),
    Question(
        "Five seeds each, method b wins on all five by 1.0, 1.2, 0.9, 1.1, 0.8 points; the accuracies themselves vary by ten points between seeds. What may you claim?",
        choices=[
            "Nothing: the spread is ten times the difference",
            "That b is better, for the differences vary far less than the accuracies",
            "That b is better by ten points",
        ],
        answer="a415d218fc19",
        hint="Subtract first.",
    ),
    Question(
        "The isolation matrix of six modules has one true entry below the diagonal, in row 4, column 3. What happened?",
        choices=[
            "Loss 4 reaches module 3: the cut between them is missing",
            "Module 4 is not trained",
            "Loss 3 reaches module 4",
        ],
        answer="e18a31f53d74",
        hint="Rows are losses, columns are modules.",
    ),
    Question(
        "After module 0, whose features predict the sum of two digits better?",
        choices=[
            "Those of backpropagation, since it is better in the end",
            "Those of the local module, since it is paid for nothing else",
            "Neither: one layer cannot predict sums",
        ],
        answer="a15fa2768400",
        hint="Look at the left end of the probes' picture.",
    ),
    Question(
        "A paper: 'decoupled training beats greedy training by four points.' What do you look up first?",
        choices=[
            "The learning rate of the last module",
            "The number of test samples",
            "Whether both used auxiliary heads of the same size",
        ],
        answer="e5dc98edc63b",
        hint="What did section 5 find when the heads were equal?",
    ),
    Question(
        "Forward-Forward on two classes, negatives drawn from both classes at random. What is wrong?",
        choices=[
            "Half of the negatives carry the true label, and pull against the positives",
            "Nothing, on average the labels are wrong",
            "The threshold must be doubled",
        ],
        answer="6eb83475fd9d",
        hint="How many wrong labels are there for two classes?",
    ),
)

# %% [markdown]
# ## Summary
#
# - A local module minimises the loss of its own head on what the module before hands on,
#   detached. The cut goes between modules, never between a module and its head; one optimiser
#   per module.
# - The isolation matrix, losses by modules, proves it on one batch. The identity is local, the
#   triangle is backpropagation, and what was not declared is a bug.
# - On single digits everything works and nothing is ranked. On sums of two digits, where no part
#   of the input alone tells the label, accuracy falls with every cut.
# - A greedy module predicts at once and loses what later ones would need. Most of the damage is
#   done by module 0, and five modules trained end to end behind it did not repair that.
# - Heads decide rankings; the schedule hardly does; on this task neither similarity matching
#   nor InfoPro helped.
# - Compare seed by seed, with a standard error, before you claim.
# - Where a module's input carries no information about the label, a local loss teaches exactly
#   nothing.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | module | a part of a network that learns as one: here with a loss and an optimiser of its own |
# | auxiliary head | a small classifier on a module's features, thrown away after training |
# | cut, stop-gradient | identity forward, zero backward; `detach` in PyTorch |
# | greedy | modules trained one after another, each then frozen |
# | DGL | decoupled greedy learning: all modules at once, each on its own loss |
# | pred, sim, predsim | local losses: cross-entropy of the head, similarity matching, and a mix of both |
# | InfoPro | local loss that also asks for a reconstruction of the input |
# | goodness | mean square of a layer's activities, Forward-Forward's measure of fit |
# | reach | a loss reaches a module if its gradient for the module's parameters is not zero |
# | isolation matrix | which loss reaches which module, losses by modules |
# | certificate | the measured isolation matrix, compared with the declared one |
# | probe | a linear classifier fitted to features after training, to see what they hold |
# | paired difference | difference seed by seed, free of what all methods share |
#
# ## Readings
#
# - **Belilovsky, Eickenberg and Oyallon (2019)**, *Greedy layerwise learning can scale to
#   ImageNet*, ICML. Look for what happens as the auxiliary network gets one, two, three
#   layers: heads decide.
# - **Belilovsky, Eickenberg and Oyallon (2020)**, *Decoupled greedy learning of CNNs*, ICML.
#   Look for algorithm 1, which you have written, and for the replay buffer that also breaks
#   the forward lock.
# - **Nøkland and Eidnes (2019)**, *Training neural networks with local error signals*, ICML.
#   Look for the table of pred, sim and predsim, and for what a similarity loss does to
#   convolutional features first.
# - **Wang, Ni, Song, Yang and Huang (2021)**, *Revisiting locally supervised learning: an
#   alternative to end-to-end training*, ICLR. Look for the curves of mutual information per
#   module, and compare with our probes.
# - **Hinton (2022)**, *The forward-forward algorithm: some preliminary investigations*, arXiv
#   2212.13345. Look for the choice of negative data, and for the reason to normalise lengths
#   between layers.
# - **Alain and Bengio (2017)**, *Understanding intermediate layers using linear classifier
#   probes*, ICLR workshop. Look for the warning about what a probe does not show.
