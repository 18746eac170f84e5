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
# # 12 · LISTA: learning the solver
#
# > **Claim.** Unrolled into ten layers and trained, ISTA does the work of more than a hundred of its iterations, for the one matrix and the kind of signals it has learned from.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | rewrite ISTA as a recurrent network; unroll it and learn its constants; choose a loss that does not let layers fall silent; train and keep the best weights; read what the network has learned; couple its matrices; say when the learned solver must not be trusted |
# | **Before you start** | chapter 11 (ISTA, FISTA, λ, NMSE); gradient descent with PyTorch (`nn.Module`, an optimiser, `backward`) |
# | **Time** | 150 minutes |
# | **Points** | 22, in seven exercises |

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch
from torch import nn

import unroll
from course.kit import Question, figure, quiz, setup, stored

generator = setup(seed=12)

# %% [markdown]
# ## Cold open: ten iterations, not one more
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# A sensor delivers a thousand signals per second, each to be turned into a sparse code, on
# a chip that has time for **ten** iterations per signal. Chapter 11 solved such problems by
# waiting. This time we may not wait.
#
# We shrink the standard problem so that everything trains in seconds: $A$ is $50 \times 100$
# with columns of unit norm, each entry of the true code $x^\star$ is non-zero with
# probability 0.1 and then normal, the noise is 40 dB below the signal.

# %% tags=["given"]
DEPTH = 10
problem = unroll.SparseCoding.gaussian(50, 100, generator, density=0.1, snr_db=40.0)
b_test, x_test = problem.sample(500, generator)
b_val, x_val = problem.sample(500, generator)


def small_problem(seed, batch=3, m=12, n=20):
    """Draw a small random problem: A (m, n), b (batch, m), some x (batch, n)."""
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(m, n, generator=g) / math.sqrt(m)
    b = torch.randn(batch, m, generator=g)
    return A, b, torch.randn(batch, n, generator=g)


FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def slope_along(net, loss, directions):
    """How fast loss() changes if the network's parameters move along the directions."""
    values, parameters = [], list(net.parameters())
    for h in (1e-6, -1e-6):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p.add_(d, alpha=h)
            values.append(loss().item())
            for p, d in zip(parameters, directions, strict=True):
                p.sub_(d, alpha=h)
    return (values[0] - values[1]) / 2e-6


# %% [markdown]
# We make the baseline as strong as we can. Chapter 11 ended with a warning: a small
# number of iterations needs a large λ, and *coordinate descent* is hard to beat. So we run ISTA, FISTA and
# coordinate descent with many λ, and for **each** number of iterations keep the λ that is
# best for it, on the very signals that are then reported. No real user could tune so well.


# %%
def coordinate_descent(A, b, lam, passes):
    """Solve for one coordinate after the other. Returns (passes + 1, batch, n)."""
    scale = A.square().sum(dim=0)
    x, r = torch.zeros(A.shape[1], b.shape[0]), b.T.clone()
    codes = [x.T.clone()]
    for _ in range(passes):
        for j, atom in enumerate(A.T):
            v = x[j] + atom @ r / scale[j]
            new = unroll.soft_threshold(v, lam / scale[j].item())
            r -= torch.outer(atom, new - x[j])
            x[j] = new
        codes.append(x.T.clone())
    return torch.stack(codes)


def best_per_budget(solver, lams, budget):
    """NMSE in dB after 0, 1, ... iterations, each at the λ that is best for it."""
    curves = [unroll.nmse_db(solver(lam, budget), x_test) for lam in lams]
    return torch.stack(curves).amin(dim=0)


def run_ista(lam, k):
    options = dict(iterations=k, keep_iterates=True)
    return unroll.ista(problem.A, b_test, lam, **options).iterates


def run_fista(lam, k):
    options = dict(iterations=k, keep_iterates=True)
    return unroll.fista(problem.A, b_test, lam, **options).iterates


def run_descent(lam, k):
    return coordinate_descent(problem.A, b_test, lam, k)


classical = {
    "ISTA": best_per_budget(run_ista, (0.2, 0.1, 0.05), 220),
    "FISTA": best_per_budget(run_fista, (0.2, 0.1, 0.05, 0.02), 50),
    "coordinate descent": best_per_budget(run_descent, (0.2, 0.1, 0.05), 26),
}


def reference_lines():
    """Best Lasso, Bayes and oracle: unroll.recovery_bounds, on this test set."""
    A, errors, oracle = problem.A, [], torch.zeros_like(x_test)
    x = torch.zeros_like(x_test)
    for lam in (0.1, 0.03, 0.01, 0.004, 0.0025, 0.0015):  # each starts at the last
        x = unroll.fista(A, b_test, lam, iterations=200, x0=x, restart=True).x
        errors.append(unroll.nmse_db(x, x_test).item())
    for i, support in enumerate(x_test != 0):  # told where the non-zeros are
        values = torch.linalg.lstsq(A[:, support], b_test[i, :, None]).solution
        oracle[i, support] = values[:, 0]
    noise = b_test.square().mean(dim=1) / (1 + 10**4)  # told: SNR 40, and the prior
    prior = unroll.BernoulliGaussian(density=0.1, variance=1.0)
    bayes = unroll.vamp(A, b_test, prior, noise, iterations=60, damping=0.7).x
    return min(errors), *(unroll.nmse_db(x, x_test).item() for x in (bayes, oracle))


lasso_line, bayes_line, oracle_line = reference_lines()

# %% tags=["picture"]
code, truth = run_fista(0.2, DEPTH)[-1, 3], x_test[3]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), gridspec_kw={"width_ratios": [3, 2]})
axes[0].plot(truth.nonzero()[:, 0], truth[truth != 0], "o", mfc="none", ms=5, color="k")
axes[0].vlines(torch.arange(100), 0, code, color="C1", lw=1.5)
axes[0].set(title="FISTA, ten iterations", xlabel="entry of the code", ylabel="value")
for name, curve in classical.items():
    axes[1].semilogx(range(1, len(curve)), curve[1:], label=name)
for value, up, text in (
    (lasso_line, -3.5, "exact Lasso, best λ"),
    (bayes_line, 1, "Bayes"),
):
    axes[1].axhline(value, color="k", lw=0.8, ls="--")
    axes[1].text(220, value + up, text, ha="right", fontsize=8.5)
axes[1].axvline(DEPTH, color="0.6", lw=0.8)
axes[1].set(xlabel="iterations or passes", ylabel="NMSE in dB (ratio)", ylim=(-49, 1))
axes[1].legend(
    fontsize=8,
    loc="lower left",
    bbox_to_anchor=(0, 0.32),
    frameon=True,
    facecolor="white",
    edgecolor="none",
    framealpha=1,
    borderpad=0.1,
)
figure(
    fig,
    caption="Ten iterations of a well-tuned solver (lines; circles: the truth) leave large "
    "entries too short, and small false ones everywhere. Every curve uses the best λ for "
    "each number of iterations.",
    alt="Left: the true code has about ten non-zero entries, drawn as circles; FISTA's "
    "lines reach only part of the way to them and small false lines stand "
    "everywhere. Right: error against iterations on a log axis. After ten, ISTA is near "
    "-5 dB, FISTA near -7, coordinate descent near -13; the exact Lasso lies at -34, the "
    "Bayes line at -45.",
)

# %%
for name, curve in classical.items():
    print(f"{name:18s} after ten: {curve[DEPTH]:6.1f} dB")

# %% [markdown]
# The two lines belong to solvers that have all the time they want, and they know different things. The
# *exact Lasso* is told the best λ for these signals. *Bayes* is told how the signals are drawn: how
# many entries are non-zero, how large those are, how much noise there is. It then computes, nearly, the mean of
# all codes that could have been measured as $b$ (vector approximate message passing; Rangan,
# Schniter and Fletcher 2019). Nothing is learned in either of them.
#
# The guarantees of these solvers hold for *every* $b$ and every starting point, also for dense
# codes and for the worst case. Our sensor does not meet those. It sees the same matrix $A$ day
# after day, and sparse codes only. A solver that uses this knowledge can be faster.
#
# How can it get the knowledge? From examples. In 2010 Gregor and LeCun read the loop of ISTA as
# a neural network, and trained it.

# %% [markdown]
# ## 1. An iteration is a layer
#
# Multiply out one step of ISTA,
# $x_{k+1} = \eta_{\lambda/L}\big( x_k - \tfrac1L A^\top (A x_k - b) \big)$, and collect what
# stands before $b$ and before $x_k$:
#
# $$ x_{k+1} = \eta_{\theta}\big( W_1 b + W_2 x_k \big), \qquad
#    W_1 = \tfrac1L A^\top, \quad W_2 = I - \tfrac1L A^\top A, \quad \theta = \tfrac{\lambda}{L} . $$
#
# Two matrices and a pointwise non-linearity: a *recurrent network* with input $b$ and hidden
# state $x_k$. The soft threshold is its activation function.
#
# **Shapes.** Samples are rows, as before: `b` is `(batch, m)` and `x` is `(batch, n)`. Now
# $W_1$ is `(n, m)` and $W_2$ is `(n, n)`; what is $W_1 b$ on paper is `b @ W1.T` in code.


# %%
def draw_network(ax, layers):
    """Draw the loop of ISTA, unrolled."""
    box = dict(boxstyle="round,pad=0.4", fc="white", ec="C0")
    arrow = dict(arrowstyle="->", color="0.3")
    ax.plot([-0.2, 3 * layers - 1.55], [-1, -1], color="0.3", lw=1)
    ax.text(-0.35, -1, "$b$", ha="right", va="center", fontsize=12)
    ax.text(-0.35, 1, "$x_0 = 0$", ha="right", va="center", fontsize=12)
    for k in range(layers):
        left = 3 * k
        ax.annotate("", (left + 3.0, 1), (left - 0.2, 1), arrowprops=arrow)
        ax.annotate("", (left + 1.35, 0.85), (left + 1.35, -1), arrowprops=arrow)
        ax.text(left + 0.5, 1, "$W_2$", ha="center", va="center", bbox=box)
        ax.text(left + 1.35, -0.05, "$W_1$", ha="center", va="center", bbox=box)
        ax.text(left + 1.35, 1, "+", ha="center", va="center", bbox=box | {"ec": "0.3"})
        ax.text(
            left + 2.15,
            1,
            "$\\eta_\\theta$",
            ha="center",
            va="center",
            bbox=box | {"ec": "C1"},
        )
        ax.text(left + 2.72, 1.2, f"$x_{k + 1}$", ha="center", fontsize=12)
    ax.set(xlim=(-1.6, 3 * layers + 0.2), ylim=(-1.4, 1.7))
    ax.axis("off")


# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 1.9))
draw_network(ax, 3)
figure(
    fig,
    caption="Three iterations of ISTA, drawn as three layers of a network.",
    alt="A chain of three equal layers. In each, the state passes through a box W2, is "
    "added to b multiplied by W1, and goes through a threshold to give the next state. "
    "The chain starts at zero, and b feeds every layer.",
)

# %% [markdown]
# ### Exercise 12.1 · The step in two matrices
# Difficulty ●○○○○ · 2 points
#
# Write `ista_weights(A, lam)`, which returns $W_1$, $W_2$ and $\theta$ of ISTA with step
# $1/L$, $L = \|A\|_2^2$.


# %% nbgrader={"grade": false, "grade_id": "ex12-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ista_weights(A, lam):
    """Write one ISTA step as soft_threshold(W1 b + W2 x, theta).

    A: (m, n). lam: number > 0.
    Returns W1, shape (n, m), W2, shape (n, n), and theta, a number.
    """
    ### BEGIN SOLUTION
    L = torch.linalg.matrix_norm(A, 2) ** 2
    return A.T / L, torch.eye(A.shape[1]) - A.T @ A / L, lam / L
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, x = small_problem(seed=1)
W1, W2, theta = ista_weights(A, 0.3)
assert W1.shape == (20, 12), "W1 maps measurements (m) to codes (n)"
assert W2.shape == (20, 20), "W2 maps codes to codes"
assert W1.dtype == W2.dtype == torch.float64, FLOAT64
layer = unroll.soft_threshold(b @ W1.T + x @ W2.T, theta)
step = unroll.ista(A, b, 0.3, iterations=1, x0=x).x
assert torch.allclose(layer, step, rtol=0, atol=1e-12), (
    "the layer is not one ISTA step: multiply the step out and collect what stands "
    "before b, before x, and in the threshold"
)

# %% nbgrader={"grade": true, "grade_id": "ex12-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
W1, W2, theta = ista_weights(torch.eye(3), 0.5)
assert abs(float(theta) - 0.5) < 1e-12, "for the identity, L is 1"
### BEGIN HIDDEN TESTS
for seed, (m, n) in enumerate([(12, 20), (20, 12), (15, 15), (1, 6)]):
    A, b, x = small_problem(seed, batch=4, m=m, n=n)
    before = A.clone()
    for scale, lam in ((1.0, 0.2), (3.0, 0.7), (0.1, 0.01)):
        W1, W2, theta = ista_weights(scale * A, lam)
        assert torch.equal(A, before), "the argument A was changed"
        layer = unroll.soft_threshold(b @ W1.T + x @ W2.T, theta)
        step = unroll.ista(scale * A, b, lam, iterations=1, x0=x).x
        assert torch.allclose(layer, step, rtol=0, atol=1e-12), (
            "for an A of another size or scale the layer is not one ISTA step: does L "
            "follow A?"
        )
    solution = unroll.fista(A, b, 0.2, tol=1e-12, iterations=20_000, restart=True).x
    W1, W2, theta = ista_weights(A, 0.2)
    again = unroll.soft_threshold(b @ W1.T + solution @ W2.T, theta)
    assert torch.allclose(again, solution, atol=1e-5), (
        "a solution of the Lasso must be a fixed point of the layer"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Inside the threshold stands $x - \tfrac1L A^\top A x + \tfrac1L A^\top b$. Which matrix
# multiplies $x$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# $x$ alone is $I x$, so $W_2 = I - \tfrac1L A^\top A$, an $n \times n$ matrix. The identity is
# `torch.eye(A.shape[1])`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $L$ is `torch.linalg.matrix_norm(A, 2) ** 2`, and all three, the threshold too, contain $1/L$.
#
# </details>

# %% [markdown]
# Now cut the loop after $K$ iterations and lay it out flat. Each copy of the layer may have
# its own matrices and its own threshold:
#
# $$ x_{k+1} = \eta_{\theta_k}\big( W_1^k b + W_2^k x_k \big), \qquad k = 0, \dots, K - 1,
#    \qquad x_0 = 0 . $$
#
# This is **algorithm unrolling**. Note what is no longer there: a test for convergence. The
# network has a fixed depth, a fixed cost and a fixed latency, like any other.


# %% tags=["given"]
def random_layers(seed, depth=4, m=12, n=20):
    """Draw layers that all differ: W1 (depth, n, m), W2 (depth, n, n), theta (depth,)."""
    g = torch.Generator().manual_seed(100 + seed)
    W1 = torch.randn(depth, n, m, generator=g) / math.sqrt(m)
    W2 = torch.randn(depth, n, n, generator=g) / math.sqrt(n)
    return W1, W2, 0.1 + 0.3 * torch.rand(depth, generator=g)


# %% [markdown]
# ### Exercise 12.2 · The loop, unrolled
# Difficulty ●●○○○ · 3 points
#
# Write `unrolled(b, W1, W2, theta)`. The constants of all layers are stacked along the first
# axis. Return **all** iterates, $x_0$ included: we shall want to look inside. Gradients must
# flow back through every layer. Thresholds are never negative here; use
# `unroll.soft_threshold`, which is your own from chapter 11.


# %% nbgrader={"grade": false, "grade_id": "ex12-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unrolled(b, W1, W2, theta):
    """Run the layers from x_0 = 0 and return every iterate.

    b: (batch, m). W1: (depth, n, m). W2: (depth, n, n). theta: (depth,), >= 0.
    Returns (depth + 1, batch, n).
    """
    ### BEGIN SOLUTION
    x = torch.zeros(b.shape[0], W1.shape[1])
    iterates = [x]
    for k in range(len(theta)):
        x = unroll.soft_threshold(b @ W1[k].T + x @ W2[k].T, theta[k])
        iterates.append(x)
    return torch.stack(iterates)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, _ = small_problem(seed=2)
L = torch.linalg.eigvalsh(A.T @ A)[-1]
same = (A.T / L).repeat(6, 1, 1), (torch.eye(20) - A.T @ A / L).repeat(6, 1, 1)
iterates = unrolled(b, *same, (0.3 / L).repeat(6))
assert iterates.shape == (7, 3, 20), "6 layers visit 7 points, the start included"
assert iterates.dtype == torch.float64, FLOAT64
walk = unroll.ista(A, b, 0.3, iterations=6, keep_iterates=True).iterates
assert torch.allclose(iterates, walk, rtol=0, atol=1e-12), (
    "with ISTA's constants in every layer the network must be ISTA at every depth"
)

# %% nbgrader={"grade": true, "grade_id": "ex12-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
iterates = unrolled(torch.ones(2, 12), *random_layers(seed=0))
assert (iterates[0] == 0).all(), "the walk starts at zero"
### BEGIN HIDDEN TESTS
for seed in range(3):
    _, b, _ = small_problem(seed, batch=4)
    W1, W2, theta = random_layers(seed)
    iterates = unrolled(b, W1, W2, theta)
    for k in range(4):
        v = b @ W1[k].T + iterates[k] @ W2[k].T
        gap = v - iterates[k + 1]
        assert (gap.abs() <= theta[k] + 1e-12).all(), (
            f"layer {k + 1}: an entry was moved by more than its threshold. Does the "
            "layer use its own matrices, b, and the iterate before it?"
        )
        on = iterates[k + 1] != 0
        assert torch.allclose(gap[on], (theta[k] * v.sign())[on]), (
            f"layer {k + 1}: what survives moves by this layer's threshold, in every "
            "layer, the last one too"
        )
    alone = [unrolled(b[i : i + 1], W1, W2, theta) for i in range(4)]
    assert torch.allclose(torch.cat(alone, dim=1), iterates), (
        "samples must not influence each other"
    )
    leaves = [tensor.clone().requires_grad_() for tensor in (W1, W2, theta)]
    answer = unrolled(b, *leaves)[-1]
    assert answer.requires_grad, "a network is trained: keep track of gradients"
    answer.square().sum().backward()
    for name, leaf in zip(("W1", "W2", "theta"), leaves, strict=True):
        assert leaf.grad is not None, f"no gradient at all comes back to {name}"
        reached = [bool(g.abs().sum() > 0) for g in leaf.grad]
        expected = [name != "W2", True, True, True]  # x_0 = 0 hides the first W2
        assert reached == expected, (
            f"the gradient of the last iterate does not reach {name} of every layer: "
            "is the chain cut somewhere?"
        )
    b = b.clone().requires_grad_()
    pull = torch.randn(5, 4, 20, generator=torch.Generator().manual_seed(seed))
    x, expected = torch.zeros(4, 20), 0.0
    for k, (w1, w2, t) in enumerate(zip(*leaves, strict=True), 1):
        x = unroll.soft_threshold(b @ w1.T + x @ w2.T, t)
        expected = expected + (pull[k] * x).sum()
    leaves = [b, *leaves]
    exact = torch.autograd.grad(expected, leaves)
    given = torch.autograd.grad((pull * unrolled(*leaves)).sum(), leaves)
    for name, one, other in zip(("b", "W1", "W2", "theta"), given, exact, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10), (
            f"the gradient with respect to {name} is not that of the iterates: every "
            "path must carry it, in full"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep a list that starts with the zero code of shape `(batch, n)`, append once per layer, and
# `torch.stack` it at the end.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Layer $k$ uses `W1[k]`, `W2[k]` and `theta[k]`. Do not write into a tensor that is already in
# the list: give every iterate a tensor of its own.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With samples as rows, $W_1^k b + W_2^k x_k$ is `b @ W1[k].T + x @ W2[k].T`.
#
# </details>

# %% [markdown]
# ## 2. One number for an error
#
# To learn, we must say what is good. We hold pairs $(b, x^\star)$, drawn by ourselves, so the
# plainest goal is the true code. In this field its error is usually given as "NMSE in dB", and
# two different numbers carry that name:
#
# $$ \underbrace{10 \log_{10} \frac{\sum_i \|\hat x_i - x_i^\star\|^2}{\sum_i \|x_i^\star\|^2}}_{\text{ratio of sums}}
#    \qquad\qquad
#    \underbrace{\frac1N \sum_i 10 \log_{10} \frac{\|\hat x_i - x_i^\star\|^2}{\|x_i^\star\|^2}}_{\text{mean of the dB per sample}} . $$
#
# The same codes can differ by tens of dB between them. We use the ratio of sums, as the papers
# on LISTA-CPSS and ALISTA do.

# %% [markdown]
# ### Exercise 12.3 · NMSE
# Difficulty ●●○○○ · 2 points
#
# Write `nmse_db(x_hat, x)`, the ratio of sums in dB. `x` is `(batch, n)`; `x_hat` may have
# more axes in front, such as the layers of a network, and each of them gets its own number.
# Some true codes may be zero everywhere. You will differentiate through it later, so stay in
# PyTorch.


# %% nbgrader={"grade": false, "grade_id": "ex12-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nmse_db(x_hat, x):
    """NMSE in dB, the ratio of sums over the batch.

    x_hat: (batch, n), or (..., batch, n). x: (batch, n). Returns shape (...).
    """
    ### BEGIN SOLUTION
    error = (x_hat - x).square().sum(dim=(-2, -1))
    return 10 * torch.log10(error / x.square().sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
_, _, x = small_problem(seed=3)
assert nmse_db(0.9 * x, x).dtype == torch.float64, FLOAT64
assert torch.allclose(nmse_db(0.9 * x, x), torch.tensor(-20.0)), (
    "one tenth of the length is one hundredth of the energy: minus 20 dB"
)
assert torch.allclose(nmse_db(0 * x, x), torch.tensor(0.0)), (
    "the zero code has an error as large as the signal: 0 dB"
)
loud_and_quiet = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
estimate = torch.tensor([[10.0, 0.0], [0.0, 0.0]])
assert torch.allclose(
    nmse_db(estimate, loud_and_quiet), 10 * torch.log10(torch.tensor(1 / 101))
), "add up the energies over the batch before you divide"
layers = torch.stack([0 * x, 0.9 * x])
assert torch.allclose(nmse_db(layers, x), torch.tensor([0.0, -20.0])), (
    "axes in front of the batch, such as layers, are kept apart"
)

# %% nbgrader={"grade": true, "grade_id": "ex12-3-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
value = nmse_db(torch.zeros(2, 3), torch.ones(2, 3))
assert value.shape == (), "one number for a batch"
### BEGIN HIDDEN TESTS
for seed in range(3):
    _, _, x = small_problem(seed, batch=5)
    _, _, other = small_problem(seed + 50, batch=5)
    x = x * torch.tensor([0.0, 0.1, 1.0, 5.0, 20.0])[:, None]
    x_hat = torch.stack([x + 0.3 * other, x + 0.6 * other, other])
    value = nmse_db(x_hat, x)
    assert value.isfinite().all(), (
        "a true code that is zero has no error in dB of its own; the sums do not mind"
    )
    assert torch.allclose(value[1] - value[0], torch.tensor(20 * math.log10(2))), (
        "twice the error is 6 dB more: which logarithm, and of squares or of lengths?"
    )
    assert torch.allclose(nmse_db(7 * x_hat, 7 * x), value), (
        "the unit of the codes must not matter"
    )
    energy = (other - x).square().sum() / x.square().sum()
    assert torch.allclose(10 ** (value[2] / 10), energy), (
        "relative to the energy of the truth, not of the estimate"
    )
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(nmse_db(x_hat[:, order], x[order]), value), (
        "the order of the samples must not matter"
    )
    leaf = x_hat.clone().requires_grad_()
    tracked = nmse_db(leaf, x).sum()
    assert tracked.requires_grad, "no gradient comes back: stay in PyTorch's graph"
    tracked.backward()
    off = x_hat - x
    slope = 20 / math.log(10) * off / off.square().sum(dim=(1, 2), keepdim=True)
    assert torch.allclose(leaf.grad, slope, rtol=1e-9, atol=0), (
        "the gradient is not that of 10 log10(error / energy): is a part of the error "
        "detached?"
    )
    stacked = nmse_db(x_hat[None] + torch.zeros(2, 1, 1, 1), x)
    assert stacked.shape == (2, 3) and torch.allclose(stacked[1], value), (
        "any number of axes may stand in front of the batch"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Energies are sums of squares. Sum over the samples and the entries, but not over axes in
# front of them: `sum(dim=(-2, -1))`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The ratio of two energies in dB is ten times its logarithm to base 10, `torch.log10`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The energy of the truth is one number, `x.square().sum()`; the energy of the error has one for
# each layer.
#
# </details>

# %% [markdown]
# How far apart are the two definitions? Take the noise away and let FISTA run on, so that some
# codes are recovered almost exactly and a few are not.

# %%
quiet = unroll.SparseCoding(problem.A, density=0.1, snr_db=None)
b, x = quiet.sample(400, torch.Generator().manual_seed(4))
code = unroll.fista(quiet.A, b, 1e-3, iterations=1500, restart=True).x
share = (code - x).square().sum(dim=1) / x.square().sum(dim=1)
each = 10 * torch.log10(share)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.hist(each.numpy(), bins=60, color="0.75")
ax.axvline(nmse_db(code, x), color="C0", label="ratio of sums")
ax.axvline(each.mean(), color="C1", ls="--", label="mean of the dB per sample")
ax.set(xlabel="error of one code in dB", ylabel="codes")
ax.legend(fontsize=8)
figure(
    fig,
    caption="The same 400 codes, two numbers called NMSE. The ratio is ruled by the few "
    "codes that failed; the mean of dB hardly sees them.",
    alt="Histogram of the error per code, most of it between -65 and -45 dB with a thin "
    "tail up to -5. The ratio of sums is a line in the tail; the mean of the dB per "
    "sample is a line in the middle of the bulk, more than fifteen dB lower.",
)

# %%
print(
    "the definitions differ by more than 10 dB:",
    bool(nmse_db(code, x) > each.mean() + 10),
)
print(
    "codes that are worse than the ratio says:",
    f"{(each > nmse_db(code, x)).double().mean():.0%}",
)

# %% [markdown]
# ## 3. Set the constants free
#
# Nothing forces $W_1$, $W_2$ and $\theta$ to be what ISTA says. Declare them *parameters*, start
# at ISTA's values, and let examples move them. This is **LISTA** (Gregor and LeCun 2010).
#
# - **Tied** (recurrent): all layers share one $W_1$, $W_2$, $\theta$, as ISTA does. These are
#   $n m + n^2 + 1$ numbers.
# - **Untied**: each layer has its own; $K$ times as many.
#
# One rule must survive the freedom. A threshold below zero is no threshold: it would push
# entries *away* from zero and fill the code with small false ones. An optimiser does not know
# that, so $\theta_k \ge 0$ has to hold by construction: store any real number $t_k$ and use a function
# of it that is never negative.

# %% [markdown]
# ### Exercise 12.4 · A network that starts as ISTA
# Difficulty ●●●○○ · 4 points
#
# Complete `LISTA`. The constructor registers the parameters; `layers()` returns the constants
# as `unrolled` takes them, with non-negative thresholds *whatever values the parameters have*.
# Freshly made, the network is ISTA with this λ. Tied or untied, `layers()` returns the same
# shapes; what differs is how many numbers there are to learn.


# %% nbgrader={"grade": false, "grade_id": "ex12-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LISTA(nn.Module):
    """ISTA, unrolled, with W1, W2 and theta to be learned; before training, ISTA.

    A: (m, n). depth: number of layers. lam: the λ of the ISTA it starts as.
    tied: whether all layers share one W1, one W2 and one theta.
    """

    def __init__(self, A, depth, lam, tied=False):
        super().__init__()
        ### BEGIN SOLUTION
        self.depth, copies = depth, 1 if tied else depth
        W1, W2, theta = ista_weights(A, lam)
        self.W1 = nn.Parameter(W1.repeat(copies, 1, 1))
        self.W2 = nn.Parameter(W2.repeat(copies, 1, 1))
        self.t = nn.Parameter(theta.repeat(copies))
        ### END SOLUTION

    def layers(self):
        """Return W1 (depth, n, m), W2 (depth, n, n), theta (depth,), theta >= 0."""
        ### BEGIN SOLUTION
        W1 = self.W1.expand(self.depth, -1, -1)
        W2 = self.W2.expand(self.depth, -1, -1)
        return W1, W2, self.t.abs().expand(self.depth)
        ### END SOLUTION

    def iterates(self, b):
        """Return every iterate. b: (batch, m). Returns (depth + 1, batch, n)."""
        return unrolled(b, *self.layers())

    def forward(self, b):
        """Return the last iterate. b: (batch, m). Returns (batch, n)."""
        return self.iterates(b)[-1]


# %% nbgrader={"grade": true, "grade_id": "ex12-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, _ = small_problem(seed=4)
walk = unroll.ista(A, b, 0.3, iterations=5, keep_iterates=True).iterates
for tied, copies in ((False, 5), (True, 1)):
    net = LISTA(A, 5, 0.3, tied=tied)
    shapes = [tuple(part.shape) for part in net.layers()]
    assert shapes == [(5, 20, 12), (5, 20, 20), (5,)], "the constants of five layers"
    assert all(part.dtype == torch.float64 for part in net.layers()), FLOAT64
    assert torch.allclose(net.iterates(b), walk, rtol=0, atol=1e-12), (
        "an untrained network must be ISTA at every depth: where do the constants start?"
    )
    numbers = sum(p.numel() for p in net.parameters())
    assert numbers == copies * (20 * 12 + 20 * 20 + 1), (
        "count what may be learned: W1, W2 and one threshold, once if tied and once per "
        "layer if not. What is no nn.Parameter of the module, an optimiser does not see"
    )

# %% nbgrader={"grade": true, "grade_id": "ex12-4-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
net = LISTA(torch.eye(3), 2, 0.1)
assert net(torch.ones(1, 3)).shape == (1, 3), "a code per sample"
### BEGIN HIDDEN TESTS
for seed, (m, n) in enumerate([(12, 20), (9, 9), (8, 5)]):
    A, b, x = small_problem(seed, m=m, n=n)
    before = A.clone()
    for tied in (False, True):
        net = LISTA(A, 4, 0.1 * (seed + 1), tied=tied)
        walk = unroll.ista(A, b, 0.1 * (seed + 1), iterations=4, keep_iterates=True)
        assert torch.allclose(net.iterates(b), walk.iterates, rtol=0, atol=1e-12), (
            "an untrained network must be ISTA with the λ it was given"
        )
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        (net(b) - x).square().sum().backward()
        assert all(p.grad is not None for p in net.parameters()), (
            "a parameter does not take part in what the network computes"
        )
        optimiser.step()
        for name, part in zip(("W1", "W2", "theta"), net.layers(), strict=True):
            moved = bool((part[1:] - part[:-1]).abs().max() > 1e-9)
            assert moved != tied, (
                f"after one training step {name} must still be one for all layers if "
                "tied, and differ from layer to layer if not"
            )
        started = LISTA(A, 4, 0.1 * (seed + 1), tied=tied).layers()
        for part, first in zip(net.layers(), started, strict=True):
            assert (part - first).abs().max() > 1e-9, (
                "a training step has not moved the constants that are used"
            )
        assert torch.equal(A, before), "training the network has changed A itself"
        for before_it, after_it, *layer in zip(
            net.iterates(b)[:-1], net.iterates(b)[1:], *net.layers(), strict=True
        ):
            W1, W2, theta = layer
            step = unroll.soft_threshold(b @ W1.T + before_it @ W2.T, theta)
            assert torch.allclose(after_it, step), "iterates use layers()"
        g = torch.Generator().manual_seed(seed)

        def loss(net=net, b=b, x=x):
            return (net.iterates(b)[1:] - x).square().sum()

        ways = [torch.randn(p.shape, generator=g) / 20 for p in net.parameters()]
        slopes = torch.autograd.grad(loss(), list(net.parameters()))
        along = sum((s * w).sum().item() for s, w in zip(slopes, ways, strict=True))
        assert math.isclose(along, slope_along(net, loss, ways), rel_tol=1e-4), (
            "the gradient of the parameters is not what a small change of them shows: "
            "does layers() pass all of it on?"
        )
        for shift in (-5.0, 0.0, 5.0):
            with torch.no_grad():
                for p in net.parameters():
                    p.copy_(shift + torch.randn(p.shape, generator=g))
            assert (net.layers()[2] >= 0).all(), (
                "an optimiser may put any number into a parameter: make the threshold a "
                "function of it that is never negative"
            )
            assert net.iterates(b).isfinite().all(), "the network has produced NaN"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An optimiser sees what `net.parameters()` lists: an `nn.Parameter` set as an attribute.
# Tensors in a plain Python list are invisible to it. Start from `ista_weights(A, lam)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Keep one stacked parameter per kind: `nn.Parameter(W1.repeat(copies, 1, 1))` with 1 copy or
# `depth` copies. In `layers()`, `.expand(depth, -1, -1)` shows one copy as many without
# copying; it does nothing to a stack that already has `depth`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A function of $t$ that is never negative, and equal to $\theta$ if $t = \theta$ at the start, is
# `.abs()`. (`softplus` and `exp` do as well, if $t$ starts at their inverse.)
#
# </details>

# %% [markdown]
# ## 4. Which error to ask for
#
# The obvious loss is the error of the answer, $\|x_K - x^\star\|^2$. Before we trust it, look
# at a danger that ReLU networks know as "dead units". If a threshold exceeds every
# $|W_1 b + W_2 x|$, the layer's output is zero for every sample: it is **silent**. The
# derivative of a constant output is zero. What does a silent layer do to the gradients of the others?

# %%
b, x = problem.sample(64, torch.Generator().manual_seed(5))
W1, W2, theta = [
    part.detach().clone() for part in LISTA(problem.A, DEPTH, 0.2).layers()
]


def who_learns(silent, loss):
    """Mark each layer whose W1 gets a gradient; one layer may be silenced first."""
    thresholds, leaf = theta.clone(), W1.clone().requires_grad_()
    if silent:
        thresholds[silent - 1] = 3.0
    loss(unrolled(b, leaf, W2, thresholds)).backward()
    return "".join("  +" if g.abs().sum() > 0 else "  ." for g in leaf.grad)


def last_error(iterates):
    return (iterates[-1] - x).square().sum()


print(f"{'layer':16s}", "".join(f"{k:3d}" for k in range(1, DEPTH + 1)))
for silent in (None, 5, 10):
    name = f"layer {silent} silent" if silent else "all layers speak"
    print(f"{name:16s}", who_learns(silent, last_error))

# %% [markdown]
# A plus marks a layer that gets a gradient. A layer that is silent for *every* sample cuts off
# everything before it. If it is the last one, no layer learns: the loss stays at 0 dB. If it is
# the fifth, training goes on, and this is worse, because it is easy to overlook: the ten-layer
# network has become one of five layers.
#
# The remedy is to ask **every** layer for its error. Then layers 1 to 4 learn whatever layer 5
# does. But squared errors of different layers do not add up well: the first layer's error is
# more than ten times the last one's, and would decide the sum alone. In dB they are all alike,
# so take
#
# $$ \mathcal L = \frac1K \sum_{k=1}^{K} 10 \log_{10}
#    \frac{\sum_i \|x_{k,i} - x_i^\star\|^2}{\sum_i \|x_i^\star\|^2} . $$
#
# The logarithm has a second virtue: its slope is $1 / \text{error}$. From −20 to −21 dB counts
# as much as from 0 to −1 dB, and progress does not fade as the errors become small.

# %% [markdown]
# ### Exercise 12.5 · A loss that hears every layer
# Difficulty ●●●○○ · 3 points
#
# Write `deep_loss(iterates, x)`, the mean over layers $1, \dots, K$ of their NMSE in dB. And to
# watch for silence, write `silent_share(iterates)`: for every iterate, the share of samples
# whose code is zero in *all* entries.


# %% nbgrader={"grade": false, "grade_id": "ex12-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def deep_loss(iterates, x):
    """Mean NMSE in dB of the layers. iterates: (depth + 1, batch, n). Returns ()."""
    ### BEGIN SOLUTION
    return nmse_db(iterates[1:], x).mean()
    ### END SOLUTION


def silent_share(iterates):
    """Share of all-zero codes. iterates: (depth + 1, batch, n). Returns (depth + 1,)."""
    ### BEGIN SOLUTION
    return (iterates == 0).all(dim=2).double().mean(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
_, _, x = small_problem(seed=5)
shrinking = torch.stack([0 * x, 0.9 * x, 0.99 * x])
assert deep_loss(shrinking, x).dtype == torch.float64, FLOAT64
assert torch.allclose(deep_loss(shrinking, x), torch.tensor(-30.0)), (
    "two layers, at -20 and at -40 dB: each counts as it is in dB. The start x_0 is no "
    "layer's achievement"
)
share = silent_share(shrinking)
assert share.is_floating_point(), "a share is a number from 0 to 1, of any precision"
assert torch.allclose(share.double(), torch.tensor([1.0, 0.0, 0.0])), (
    "x_0 is all silence, the others are not: one share per iterate"
)

# %% nbgrader={"grade": true, "grade_id": "ex12-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
value = deep_loss(torch.zeros(3, 2, 4), torch.ones(2, 4))
assert value.shape == () and abs(value.item()) < 1e-12, "all-zero codes have 0 dB"
### BEGIN HIDDEN TESTS
for seed in range(3):
    _, _, x = small_problem(seed, batch=5)
    _, _, other = small_problem(seed + 50, batch=5)
    x = x * torch.tensor([0.1, 0.3, 1.0, 3.0, 10.0])[:, None]
    errors = torch.stack([0 * x + 1, x + other, x + 0.1 * other, x + 0.01 * other])
    leaf = errors.clone().requires_grad_()
    deep_loss(leaf, x).backward()
    assert leaf.grad[0].abs().sum() == 0, "x_0 is given, no layer has made it"
    pull = (leaf.grad * (errors - x)).sum(dim=(1, 2))[1:]
    assert torch.allclose(pull, pull[0].expand(3)) and pull[0] > 0, (
        "one per cent less error must be worth the same in every layer, however small "
        "the error already is: where is the logarithm taken, per layer or of a sum?"
    )
    off = (errors - x)[1:]
    slope = 20 / math.log(10) * off / off.square().sum(dim=(1, 2), keepdim=True) / 3
    assert torch.allclose(leaf.grad[1:], slope, rtol=1e-9, atol=0), (
        "the gradient with respect to some layer is not that of the mean of the dB"
    )
    better = errors.clone()
    better[2] = x + 0.05 * other
    gain = deep_loss(errors, x) - deep_loss(better, x)
    assert torch.allclose(gain, torch.tensor(20 * math.log10(2) / 3)), (
        "halving one layer's error lowers its term by 6 dB, and there are three layers"
    )
    one = torch.stack([unroll.nmse_db(e, x) for e in errors[1:]]).mean()
    assert torch.allclose(deep_loss(errors, x), one), (
        "each layer's NMSE is the ratio of sums over the batch"
    )
    leaf = errors.clone().requires_grad_()
    deep_loss(torch.cat([leaf[:-1], 0 * leaf[-1:]]), x).backward()
    learning = [bool(g.abs().sum() > 0) for g in leaf.grad]
    assert learning == [False, True, True, False], (
        "with a silent last layer the layers before it must still learn"
    )
    codes = torch.zeros(3, 4, 6)
    codes[1, 0, seed], codes[1, 1, 0], codes[2, :, 1] = -1e-9, 2.0, 1.0
    share = silent_share(codes).double()
    assert torch.allclose(share, torch.tensor([1.0, 0.5, 0.0])), (
        "a code is silent if all of its entries are exactly zero; count codes, not entries"
    )
    g = torch.Generator().manual_seed(seed)
    codes = torch.randn(6, 30, 3, generator=g) * (
        torch.rand(6, 30, 3, generator=g) < 0.2
    )
    counted = [sum(not any(code) for code in layer) / 30 for layer in codes.tolist()]
    assert torch.allclose(silent_share(codes).double(), torch.tensor(counted)), (
        "the share of silent codes is another one, counted code by code"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Your `nmse_db` accepts all layers at once and gives each its own number. Which of the iterates
# are outputs of a layer?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `iterates[1:]` leaves out the start. For the silence, `iterates == 0` is true or false per
# entry; `all(dim=2)` asks for all entries of a code.
#
# </details>
# <details><summary>Hint 3</summary>
#
# PyTorch takes no mean of true and false: make numbers of them first, with `.double()`. The mean
# is over the samples, axis 1.
#
# </details>

# %% [markdown]
# Now the loop. Three habits make it trustworthy. **Fresh data**: we can draw as many pairs as
# we like, so no batch is ever used twice, and there is nothing to memorise. **A fixed
# validation set**, never trained on, tells how good the network is. **Best weights**: training
# is a random walk downhill, and its last point need not be its lowest, so keep a copy of the
# weights that did best.


# %% tags=["given"]
class Line(nn.Module):
    """One number w, one layer, x = w b. For testing."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def iterates(self, b):
        return torch.stack([0 * b, self.w * b])

    def forward(self, b):
        return self.iterates(b)[-1]


class Three(nn.Module):
    """Three layers of LISTA, written as plainly as possible. For testing."""

    def __init__(self, A, lam):
        super().__init__()
        step = 1 / torch.linalg.matrix_norm(A, 2) ** 2
        self.W1 = nn.Parameter((step * A.T).repeat(3, 1, 1))
        self.W2 = nn.Parameter((torch.eye(A.shape[1]) - step * A.T @ A).repeat(3, 1, 1))
        self.t = nn.Parameter((step * lam).repeat(3))

    def iterates(self, b):
        codes = [b.new_zeros(len(b), self.W2.shape[1])]
        for W1, W2, t in zip(self.W1, self.W2, self.t, strict=True):
            v = b @ W1.T + codes[-1] @ W2.T
            codes.append(unroll.soft_threshold(v, t.abs()))
        return torch.stack(codes)

    def forward(self, b):
        return self.iterates(b)[-1]


# %% [markdown]
# ### Exercise 12.6 · Train it
# Difficulty ●●●●○ · 4 points
#
# Write the body of `train`. In each of `steps` steps call `draw()` for a fresh batch `(b, x)`,
# compute `loss(net.iterates(b), x)`, and take one step of `optimiser` and then one of
# `schedule` (which lets the rate fall to zero). Call `measure(net)`, without gradients, before
# the first step and after every `every` steps; it returns a number, the smaller the better.
# Return the list of these numbers, and leave the network with the weights of the smallest.
# `steps` is a multiple of `every`.


# %% nbgrader={"grade": false, "grade_id": "ex12-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train(net, draw, loss, measure, steps, lr, every=20):
    """Train in place; the network ends with the best weights that were measured.

    draw: called without arguments, returns b, shape (batch, m), and x, (batch, n).
    loss: maps iterates (depth + 1, batch, n) and x to a scalar.
    measure: maps the network to a number. Returns a list of 1 + steps / every numbers.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    ### BEGIN SOLUTION
    history, best = [], None
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                history.append(float(measure(net)))
            if history[-1] == min(history):
                best = {name: w.clone() for name, w in net.state_dict().items()}
        if step < steps:
            b, x = draw()
            optimiser.zero_grad()
            loss(net.iterates(b), x).backward()
            optimiser.step()
            schedule.step()
    net.load_state_dict(best)
    return history
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(6)
tiny = unroll.SparseCoding.gaussian(10, 20, g)
b_tiny, x_tiny = tiny.sample(100, g)
net = Three(tiny.A, lam=0.1)
before = unroll.nmse_db(net(b_tiny), x_tiny).item()
history = train(
    net,
    lambda: tiny.sample(32, g),
    lambda iterates, x: unroll.nmse_db(iterates[-1], x),
    lambda net: unroll.nmse_db(net(b_tiny), x_tiny),
    steps=60,
    lr=0.01,
)
assert len(history) == 4, "measure before the first step and after steps 20, 40 and 60"
assert math.isclose(history[0], before), "the first number belongs to the untrained net"
assert history[-1] < before - 0.2, (
    "60 steps must gain some tenths of a dB: does each step use a fresh batch, fresh "
    "gradients and the optimiser?"
)
after = unroll.nmse_db(net(b_tiny), x_tiny).item()
assert math.isclose(after, min(history)), "the network must end with its best weights"

# %% nbgrader={"grade": true, "grade_id": "ex12-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
ones = torch.ones(1, 1)
history = train(
    Line(),
    lambda: (ones, ones),
    lambda iterates, x: iterates[-1].sum(),
    lambda net: 1.0,
    4,
    0.1,
    every=2,
)
assert len(history) == 3, "measured before training, after 2 steps and after 4"
### BEGIN HIDDEN TESTS
seen, batches = [], []


def spying_draw():
    batches.append(torch.full((3, 1), 1.0 + len(batches)))
    return batches[-1], -batches[-1]


def linear_loss(iterates, x):
    seen.append((iterates[-1].shape, x))
    return (iterates[-1] * ones).sum()  # its gradient with respect to w is sum(b)


def with_gradients(net):
    assert not (net.w * 1).requires_grad, "measure the network without gradients"
    return float(net.w)


line = Line()
history = train(line, spying_draw, linear_loss, with_gradients, 6, 0.1, every=3)
assert len(batches) == 6, "draw a fresh batch in every step, and only there"
assert all(torch.equal(x, -b) for (_, x), b in zip(seen, batches, strict=True)), (
    "each batch is used once, in its turn, with its own codes"
)
assert torch.allclose(line.w.grad, batches[-1].sum()), (
    "the gradient left over is not that of the last batch alone: do gradients pile up "
    "from step to step, or are they changed before the step?"
)
assert history[0] == 0.0 and history == sorted(history, reverse=True), (
    "this loss pushes w down, the measure says w: does the optimiser step, downhill?"
)
ideal = Line()
rates = [0.1 * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
gradient_sums = torch.optim.Adam(ideal.parameters(), lr=0.1)
for k in range(6):
    gradient_sums.param_groups[0]["lr"] = rates[k]
    ideal.w.grad = batches[k].sum()
    gradient_sums.step()
assert torch.allclose(line.w, ideal.w), (
    "after six steps w is not where Adam with a falling rate takes it: one step of the "
    "optimiser and one of the schedule per batch"
)
for goal in (0.0, 0.12):  # a walk that gets worse at once, and one that passes its best
    worse = Line()
    history = train(
        worse,
        lambda: (ones, ones),
        lambda iterates, x: -iterates[-1].sum(),
        lambda net, goal=goal: abs(net.w - goal),
        40,
        0.05,
        every=1,
    )
    assert len(history) == 41, "with every = 1: one number before the steps, 40 after"
    low = min(range(41), key=history.__getitem__)
    assert 0 <= low < 40, (
        "this walk passes its best point and gets worse, and the list must show it: the "
        "numbers stand in the order in which they were measured"
    )
    assert math.isclose(abs(worse.w.item() - goal), history[low]), (
        "the network must end with the weights of the smallest number, also when it "
        "went on to worse ones: a copy is needed, for weights change in place"
    )


def bump(w, at):
    return math.exp(-((w - at) ** 2) / 0.01)


walk, path = Line(), []  # forty steps by hand
adam = torch.optim.Adam(walk.parameters(), lr=0.04)
for k in range(41):
    path.append(walk.w.item())
    adam.param_groups[0]["lr"] = 0.04 * (1 + math.cos(math.pi * k / 40)) / 2
    walk.w.grad = torch.tensor(-1.0)
    adam.step()
for landscape in (
    lambda w: 1 - w + 0.8 * bump(w, 0.2) + 4 * max(w - 0.7, 0.0),  # a hill first
    lambda w: w - 0.8 * bump(w, 0.2) - 0.5 * bump(w, 0.7),  # the deeper valley first
):
    across = Line()
    history = train(
        across,
        lambda: (ones, ones),
        lambda iterates, x: -iterates[-1].sum(),
        lambda net, landscape=landscape: landscape(net.w.item()),
        40,
        0.04,
        every=4,
    )
    expected = [landscape(w) for w in path[::4]]
    assert torch.allclose(torch.tensor(history), torch.tensor(expected)), (
        "a number that is worse must not disturb the walk: better ones may lie behind a "
        "hill. Keep the best weights aside, and go on from the last ones"
    )
    assert math.isclose(landscape(across.w.item()), min(expected), rel_tol=1e-9), (
        "the network must end with the best weights of the whole walk, whatever numbers "
        "came before and after"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Measuring happens at steps $0, \texttt{every}, 2\,\texttt{every}, \dots, \texttt{steps}$: one
# more time than there are gaps. Gradients add up in `.grad` until someone sets them to zero.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `net.state_dict()` returns the weights themselves, not a copy: the next step of the optimiser
# changes what you have kept. Clone every tensor, and use `load_state_dict` at the end.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A copy of all weights is `{name: w.clone() for name, w in net.state_dict().items()}`. One loop
# over `range(steps + 1)` has a place for every measurement, the last one too.
#
# </details>

# %% [markdown]
# Now compare the two losses. The networks have ten layers, the same start and the same 600 batches
# of 64. One network is asked for the error of every layer, at the rate 0.01. The other loss, the last
# error alone, is tried at that rate and at one that is ten times smaller.


# %%
def last_loss(iterates, x):
    """NMSE of the last layer, as a plain ratio: the loss of most papers."""
    return (iterates[-1] - x).square().sum() / x.square().sum()


def val_error(net):
    """Validation error of the last layer in dB."""
    return nmse_db(net(b_val), x_val)


def fresh(seed, batch=64):
    """Return a function that draws a fresh batch of the problem at each call."""
    g = torch.Generator().manual_seed(seed)
    return lambda: problem.sample(batch, g)


STEPS = 600
lista = LISTA(problem.A, DEPTH, 0.2)
lista_history = train(lista, fresh(1), deep_loss, val_error, STEPS, 0.01)

# %%
fast_last = LISTA(problem.A, DEPTH, 0.2)
fast_last_history = train(fast_last, fresh(1), last_loss, val_error, STEPS, 0.01)

# %%
last = LISTA(problem.A, DEPTH, 0.2)
last_history = train(last, fresh(1), last_loss, val_error, STEPS, 0.001)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 3, figsize=(7, 3.1))
for net, history, name in (
    (fast_last, fast_last_history, "last layer only, rate 0.01"),
    (last, last_history, "last layer only, rate 0.001"),
    (lista, lista_history, "every layer, in dB, rate 0.01"),
):
    with torch.no_grad():
        iterates = net.iterates(b_test)
    axes[0].plot(range(0, STEPS + 1, 20), history, label=name)
    axes[1].plot(range(DEPTH + 1), nmse_db(iterates, x_test), marker=".")
    axes[2].plot(range(DEPTH + 1), 100 * silent_share(iterates), marker=".")
axes[0].set(xlabel="training step", ylabel="NMSE in dB (ratio)", title="validation")
axes[1].set(xlabel="layer", ylabel="NMSE in dB (ratio)", title="error per layer")
axes[2].set(xlabel="layer", ylabel="silent codes in %", title="silence")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure(
    fig,
    caption="With the last error alone and a high rate, several layers end up doing nothing. "
    "At a tenth of the rate all ten work. The loss on every layer is ahead of both.",
    alt="Three panels with three curves each. Validation error falls to about -11 dB and -12 dB "
    "with the last-layer loss at the two rates, and to about -17 dB with the loss on every "
    "layer. Error per layer: with the last-layer loss and the high rate it is 0 dB through "
    "the first half of the layers and then falls steeply; the other two fall in all layers. "
    "Silence: in the first network a large share of the codes is entirely zero in those "
    "layers; in the other two, none after the start.",
)

# %%
with torch.no_grad():
    for name, net in (
        ("last error, rate 0.01", fast_last),
        ("last error, rate 0.001", last),
        ("every error, rate 0.01", lista),
    ):
        idle = int((nmse_db(net.iterates(b_test), x_test)[1:] > -0.2).sum())
        error = nmse_db(net(b_test), x_test)
        print(f"{name:24s}{error:6.1f} dB, layers that do nothing: {idle}")

# %% [markdown]
# Look at the middle panel. At the rate 0.01 the last error alone leaves several layers without work, and
# the validation curve on the left does not show it. That is why one plots every layer. At the rate 0.001
# the same loss has no idle layer.
#
# One dictionary is not enough to judge by. So the library's benchmark trained such networks for three
# dictionaries, each loss at several rates, and tested each on 3000 codes that no training has seen:

# %%
claims = stored("claims_unroll")["rows"]


def mean(values):
    """The mean over the three dictionaries."""
    return sum(values) / len(values)


print(
    "                    rate    NMSE, mean of 3   idle layers   layers with a gradient"
)
for name, row in (
    ("last error", "ten layers: LISTA, last layer's loss"),
    ("every error", "ten layers: LISTA"),
):
    for rate, runs in claims[row]["rates"].items():
        best = "  best" if rate == claims[row]["best_rate"] else ""
        print(
            f"{name:14s}{rate:>10s}{mean(runs['db']):13.1f} dB"
            f"{max(runs['layers_that_do_nothing']):14d}"
            f"{min(runs['fewest_layers_with_gradient']):16d} of 10{best}"
        )

# %% [markdown]
# So idle layers come from a rate that is too high, and for a loss that says little about them half that rate
# is too high already. The layers are not cut off: in every step of every training every layer had a gradient (last column). It is only a
# weak one. Adam's steps are as long for a weight that matters little as for one that matters much, so a
# high rate moves the early layers away from their good start, and nothing brings them back. With its best
# rate the last error uses all ten layers. Still, the loss on every layer ends several decibels lower, each
# side at its best rate.

# %% [markdown]
# ## 5. What has it learned?
#
# A learned solver is still a solver, so we can read it. Compare three quantities with ISTA's,
# layer by layer. The **gain** is the mean of the diagonal of $W_1 A$, the share of a coefficient
# that one layer adds; for ISTA it is the step, $1/L$, as the columns of $A$ have unit norm. The
# **price** is the threshold divided by the gain; for ISTA it is λ. The **stretch** of the state is
# $\|W_2\|_2$, the largest factor by which $W_2$ lengthens a vector.

# %%
A = problem.A
L = torch.linalg.matrix_norm(A, 2).item() ** 2
W1, W2, theta = [part.detach() for part in lista.layers()]
gain = torch.stack([(w @ A).diagonal().mean() for w in W1])
stretch = torch.linalg.matrix_norm(W2, 2)
layer = range(1, DEPTH + 1)
ista_values = (
    0.2,
    1 / L,
    torch.linalg.matrix_norm(torch.eye(100) - A.T @ A / L, 2),
)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 3, figsize=(7, 2.9))
for ax, values, known in zip(
    axes, (theta / gain, gain, stretch), ista_values, strict=True
):
    ax.plot(layer, values, marker="o", ms=4, label="learned")
    ax.axhline(float(known), color="C1", ls="--", label="ISTA")
    ax.set(xlabel="layer", ylim=(0, None))
axes[1].axhline(2 / L, color="k", lw=0.8, ls=":")
axes[1].text(DEPTH, 2 / L + 0.02, "2 / L, chapter 11", ha="right", fontsize=9)
for ax, name in zip(axes, ("price θ / gain", "gain", "stretch of W₂"), strict=True):
    ax.set(title=name, ylabel=name)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure(
    fig,
    caption="A high price first, a low one later; steps far beyond the limit of chapter 11; "
    "matrices that stretch. ISTA could not afford this.",
    alt="Three panels over the ten layers, with ISTA's constant value as a dashed line. "
    "The price starts at more than twice ISTA's 0.2 and falls to less than half of it. "
    "The gain lies near 0.8 to 1 in all layers, above 2/L, 0.36, and above ISTA's 0.18. "
    "The norm of W2 is 1 in the first layer and between 1.3 and 2.4 in the others.",
)

# %%
print("every gain is beyond 2 / L:", bool((gain > 2 / L).all()))
print(
    "layers after the first whose W2 stretches:", int((stretch[1:] > 1).sum()), "of 9"
)

# %% [markdown]
# **This should surprise you.** Chapter 11 proved that steps beyond $2/L$ diverge, and here every
# layer takes steps more than twice as long. With a linear network the answers would explode.
#
# The proof was about the worst $x$, along the eigenvector that $A$ stretches most. That vector
# is dense. On a code with few non-zeros $A$ nearly keeps lengths (its columns are unit
# vectors, almost orthogonal), so there a step close to 1 is right, and the high first threshold
# keeps all but a few entries at zero. The network has discovered what "AMP takes
# step 1" told us in chapter 11, and what Ablin, Moreau, Massias and Gramfort (2019) made a
# theorem: the step may be $1/L_S$, with $L_S$ the Lipschitz constant *restricted to the support*.
# It gave up a guarantee for every signal and gained speed for the signals of its training.
#
# The same for the price: high while the iterate is wrong and its errors are large, low once
# they are small. ISTA's constant λ is a compromise between the two, with a bias that stays, as
# chapter 11 showed. A falling price leaves less and less of it.
#
# ### How the two matrices are related
#
# $W_1$ and $W_2$ were learned apart, with 15 000 numbers a layer. Are they free of each other?
# Suppose a deep network is to be exact in the end, without noise, for **every** sparse code:
# $x_k \to x^\star$ with $b = A x^\star$. Then deep inside, where $x_k \approx x^\star$, the
# layers must leave $x^\star$ alone:
#
# $$ x^\star = \eta_{\theta_k}\big( W_1^k A x^\star + W_2^k x^\star \big)
#    \quad \text{for all sparse } x^\star . $$
#
# Take codes with a single non-zero, $x^\star = s\, e_i$ (the value $s$ in place $i$, zeros
# elsewhere; take $s > 0$), and write $M = W_1^k A + W_2^k$. Entry
# $i$ says $s = M_{ii} s - \theta_k$ for a whole interval of $s$, which needs $M_{ii} = 1$ and
# $\theta_k = 0$. Entry $j \ne i$ says $|M_{ji} s| \le \theta_k$, so $M_{ji} = 0$. Made careful
# with limits, this is theorem 1 of Chen, Liu, Wang and Yin (2018):
#
# $$ \boxed{\; W_2^k - (I - W_1^k A) \to 0, \qquad \theta_k \to 0 . \;} $$
#
# ISTA's matrices satisfy the coupling exactly, in every layer. Does our network know the theorem?

# %%
coupled = torch.eye(100) - W1 @ A
defect = torch.linalg.matrix_norm(W2 - coupled) / math.sqrt(100)
with torch.no_grad():
    last_W1, last_W2, _ = fast_last.layers()
    last_defect = (
        torch.linalg.matrix_norm(last_W2 - (torch.eye(100) - last_W1 @ A)) / 10
    )

# %% tags=["picture"]
fig = plt.figure(figsize=(7, 3.0))
axes = fig.subplots(1, 4, gridspec_kw={"width_ratios": [1, 1, 1, 2.2]})
pictures = {
    "W₂, layer 2": W2[1],
    "W₂, layer 10": W2[9],
    "I − W₁A, layer 10": coupled[9],
}
for ax, (name, picture) in zip(axes, pictures.items(), strict=False):
    shown = ax.imshow(picture[:24, :24], vmin=-0.4, vmax=0.4, cmap="RdBu_r")
    ax.set_title(name, fontsize=9)
    ax.axis("off")
bar = fig.colorbar(shown, ax=list(axes[:3]), location="bottom", shrink=0.5, pad=0.02)
bar.set_label("value of an entry", fontsize=9)
axes[3].plot(layer, defect, marker="o", ms=4, label="every layer's loss")
axes[3].plot(layer, last_defect, marker="s", ms=4, label="last layer's, rate 0.01")
axes[3].set(xlabel="layer", ylabel="coupling defect", ylim=(0, 1.5))
axes[3].legend(fontsize=9, loc="upper right", borderpad=0, handlelength=1.5)
figure(
    fig,
    caption="A corner of 24 × 24 entries of the learned matrices, and the size of "
    "W₂ − (I − W₁A) over the layers. Deep down the network couples them by itself.",
    alt="Three red and blue matrix pictures with a colour bar from -0.4 to 0.4: W2 of layer 2 with a red diagonal; W2 "
    "of layer 10 and I minus W1 A of layer 10, which look alike entry by entry. On the "
    "right the defect falls from above 1 in layer 1 to about 0.1 in layer 10 for "
    "the network trained on every layer; for the other it stays above 0.4.",
)

# %%
print(
    "the last layer's defect is below a fifth of the first's:",
    bool(defect[-1] < defect[0] / 5),
)

# %% [markdown]
# (Layer 1 is an exception: its $W_2$ multiplies $x_0 = 0$ and never gets a gradient.)
#
# Nobody has built this in. Build it into the next network, and two thirds of the numbers vanish,
#
# $$ x_{k+1} = \eta_{\theta_k}\big( x_k + W_k (b - A x_k) \big), \qquad W_1 = W_k, \quad
#    W_2 = I - W_k A . $$
#
# It is ISTA again, with a learned matrix in place of $\tfrac1L A^\top$; its cost per layer
# is that of ISTA. Its name is **LISTA-CP**, for *coupled parameters*.

# %% [markdown]
# ### Exercise 12.7 · Coupling
# Difficulty ●●●●● · 4 points
#
# Write `coupling_defect(W1, W2, A)`, for stacked layers, the Frobenius norm of
# $W_2^k - (I - W_1^k A)$ divided by that of $I$, one number per layer. And write `LISTACP`, a
# `LISTA` whose `layers()` always satisfy the coupling exactly, also after training: the only
# parameters are one $W$ and one threshold per layer. $A$ is given, not learned. Freshly made,
# it is ISTA.


# %% nbgrader={"grade": false, "grade_id": "ex12-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coupling_defect(W1, W2, A):
    """Relative size of W2 - (I - W1 A) in every layer.

    W1: (depth, n, m). W2: (depth, n, n). A: (m, n). Returns (depth,).
    """
    ### BEGIN SOLUTION
    identity = torch.eye(A.shape[1])
    difference = W2 - (identity - W1 @ A)
    return torch.linalg.matrix_norm(difference) / torch.linalg.matrix_norm(identity)
    ### END SOLUTION


class LISTACP(LISTA):
    """LISTA with W2 = I - W1 A in every layer; W1 and theta are learned, untied."""

    def __init__(self, A, depth, lam):
        nn.Module.__init__(self)
        ### BEGIN SOLUTION
        W1, _, theta = ista_weights(A, lam)
        self.register_buffer("A", A.clone())
        self.W = nn.Parameter(W1.repeat(depth, 1, 1))
        self.t = nn.Parameter(theta.repeat(depth))
        ### END SOLUTION

    def layers(self):
        """Return W1 (depth, n, m), W2 (depth, n, n), theta (depth,), theta >= 0."""
        ### BEGIN SOLUTION
        return self.W, torch.eye(self.A.shape[1]) - self.W @ self.A, self.t.abs()
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, x = small_problem(seed=7)
net = LISTACP(A, 4, 0.3)
walk = unroll.ista(A, b, 0.3, iterations=4, keep_iterates=True).iterates
assert torch.allclose(net.iterates(b), walk, rtol=0, atol=1e-12), (
    "ISTA is coupled, so the untrained network must still be ISTA at every depth"
)
numbers = sum(p.numel() for p in net.parameters())
assert numbers == 4 * (20 * 12 + 1), (
    "per layer one W and one threshold are learned; W2 follows, and A is given"
)
with torch.no_grad():
    for p in net.parameters():
        p.add_(0.3)
W1, W2, _ = net.layers()
assert coupling_defect(W1, W2, A).dtype == torch.float64, FLOAT64
assert coupling_defect(W1, W2, A).max() < 1e-12, (
    "after the parameters have moved, W2 must be that of the new W1"
)

# %% nbgrader={"grade": true, "grade_id": "ex12-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
defects = coupling_defect(torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), torch.eye(3))
assert defects.shape == (2,), "one number per layer"
assert LISTACP(torch.eye(3), 2, 0.1)(torch.ones(1, 3)).shape == (1, 3), "codes come out"
### BEGIN HIDDEN TESTS
for seed in range(3):
    A, b, x = small_problem(seed, batch=4)
    W1, W2, theta = random_layers(seed)
    exact = torch.stack([torch.eye(20) - w @ A for w in W1])
    assert coupling_defect(W1, exact, A).max() < 1e-12, "coupled layers have no defect"
    off = exact.clone()
    off[2] += 0.5 * torch.eye(20)
    assert torch.allclose(
        coupling_defect(W1, off, A), torch.tensor([0.0, 0.0, 0.5, 0.0]), atol=1e-12
    ), (
        "half an identity too much, in one layer, is a defect of 1/2 there and 0 elsewhere"
    )
    g = torch.Generator().manual_seed(seed)
    for n in (20, 3):
        off = exact[:, :n, :n] + torch.randn(4, n, n, generator=g) / (seed + 1)
        difference = (off - exact[:, :n, :n]).flatten(1)
        size = (difference.square().sum(dim=1) / n).sqrt()
        assert torch.allclose(
            coupling_defect(W1[:, :n], off, A[:, :n]), size, rtol=1e-9
        ), (
            "for a random difference the defect is another number: the Frobenius norm "
            "adds up the squares of all entries, and that of I is the root of n"
        )
    net = LISTACP(A, 4, 0.1 * (seed + 1))
    before = A.clone()
    walk = unroll.ista(
        A, b, 0.1 * (seed + 1), iterations=4, keep_iterates=True
    ).iterates
    assert torch.allclose(net.iterates(b), walk, rtol=0, atol=1e-12), (
        "freshly made, the network is ISTA with the λ it was given"
    )
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02)
    for _ in range(3):
        optimiser.zero_grad()
        (net(b) - x).square().sum().backward()
        optimiser.step()
    W1, W2, theta = (part.detach() for part in net.layers())
    moved = (W1 - A.T / torch.linalg.matrix_norm(A, 2) ** 2).abs().amax(dim=(1, 2))
    assert (moved > 1e-6).all(), "training has not moved the W of every layer"
    assert (W1[0] - W1[1]).abs().max() > 1e-9, "each layer has a W of its own"
    assert (theta.diff().abs() > 1e-9).all(), "each layer has a threshold of its own"
    for w1, w2 in zip(W1, W2, strict=True):
        for i in (0, 7, 19):
            code = torch.zeros(1, 20)
            code[0, i] = 3.0
            kept = (code @ A.T) @ w1.T + code @ w2.T
            assert torch.allclose(kept, code, atol=1e-10), (
                "a code with its own noiseless measurements must pass the linear part "
                "of a trained layer unchanged: W1 A + W2 = I"
            )
    assert torch.equal(A, before), "A is given: training must not change it"
    with torch.no_grad():
        g = torch.Generator().manual_seed(seed)
        for p in net.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g) - 0.2)
    assert (net.layers()[2] >= 0).all(), "thresholds must never be negative"

    def loss(net=net, b=b, x=x):
        return (net.iterates(b)[1:] - x).square().sum()

    ways = [torch.randn(p.shape, generator=g) / 20 for p in net.parameters()]
    slopes = torch.autograd.grad(loss(), list(net.parameters()))
    along = sum((s * w).sum().item() for s, w in zip(slopes, ways, strict=True))
    assert math.isclose(along, slope_along(net, loss, ways), rel_tol=1e-4), (
        "the gradient is not that of the network: W acts twice, in W1 and in W2, and "
        "both ways must carry gradient"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `layers()` is called anew in every forward pass: compute $W_2$ there, from the parameter. What
# is computed once in the constructor is stale after the first training step.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $A$ must be kept but not learned: `self.register_buffer("A", A.clone())`. Between stacked
# matrices `@` multiplies layer by layer. `torch.linalg.matrix_norm` takes the Frobenius norm of
# the last two axes; that of $I$ is $\sqrt n$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The second matrix is `torch.eye(self.A.shape[1]) - self.W @ self.A`, in `layers()`.
#
# </details>

# %% [markdown]
# ### Tied, untied, coupled
#
# Three networks of ten layers, trained in the same way at the same rate: how much of the freedom was
# needed?

# %%
tied = LISTA(problem.A, DEPTH, 0.2, tied=True)
tied_history = train(tied, fresh(1), deep_loss, val_error, STEPS, 0.01)

# %%
cp = LISTACP(problem.A, DEPTH, 0.2)
cp_history = train(cp, fresh(1), deep_loss, val_error, STEPS, 0.01)

# %% [markdown]
# The table shows these networks, and what the benchmark found for the same architectures on three
# dictionaries, each at the best of four rates. Its two last rows have no learned matrix: layer $k$ is
# $x_{k+1} = \eta_{\theta_k}(x_k + \gamma_k W^\top (b - A x_k))$, and only the step $\gamma_k$ and the
# threshold $\theta_k$ are learned, two numbers a layer. First $W$ is $A$ itself, then a matrix that
# chapter 13 derives from $A$.

# %%
m, n = problem.A.shape
costs = {  # multiplications per signal: in layer 1 the product with x_0 = 0 is free
    "ISTA": DEPTH * 2 * m * n - m * n,
    "LISTA, tied": DEPTH * n * n - n * n + m * n,  # W1 b is the same in all layers
    "LISTA": DEPTH * n * (m + n) - n * n,
    "LISTA-CP": DEPTH * 2 * m * n - m * n,
}
costs |= {"W = A": costs["LISTA-CP"], "analytic W": costs["LISTA-CP"]}
nets = {
    "ISTA": LISTA(problem.A, DEPTH, 0.2, tied=True),
    "LISTA, tied": tied,
    "LISTA": lista,
    "LISTA-CP": cp,
}
print("              numbers   multipli-   NMSE     three dictionaries, best rate")
print("ten layers    learned   cations     here     mean       each")
for name, cost in costs.items():
    here, there, learned = "", "", 0
    if name in nets:
        with torch.no_grad():
            here = f"{nmse_db(nets[name](b_test), x_test):.1f} dB"
    if name != "ISTA":
        row = claims[f"ten layers: {name}"]
        learned, each = row["numbers"], ", ".join(f"{db:.1f}" for db in row["db"])
        there = f"{mean(row['db']):.1f} dB   {each}"
    print(f"{name:12s}{learned:9d}{cost:11d}{here:>12s}     {there}")

# %% [markdown]
# Compare the means over three dictionaries. Sharing one layer keeps more than half of the gain over ISTA
# with a tenth of the numbers. LISTA-CP has a third of the numbers of LISTA and two thirds of its cost, and is
# nearly as good. The row $W = A$ goes further: twenty numbers instead of 150 010, and not much is lost. With
# the matrix of the last row, which is computed from $A$ and not learned, twenty numbers are far better than
# LISTA. So little of the freedom was needed; what is needed is a better matrix. Chapter 13 derives it.
#
# ## 6. Patches of a photograph, without the answer
#
# For real data nobody knows the true code. But we need none: the Lasso itself can be the loss.
# Ask every layer for a small
#
# $$ F(x_k) = \tfrac12 \|b - D x_k\|^2 + \lambda \|x_k\|_1 , $$
#
# and the network learns to *minimise*, from unlabelled $b$ alone. The data are the 8 × 8 patches
# of chapter 11, less their mean, with the same 256 cosine atoms $D$, and λ = 0.02, the price
# that was best for the missing pixels. We train three layers on one photograph, the temple, and test on
# another, the dahlia.


# %%
D, price = unroll.dct_dictionary(8, 256), 0.02


def patches(photograph, count, seed):
    """Cut lively patches, less their mean. Returns (about a third of count, 64)."""
    g = torch.Generator().manual_seed(seed)
    cut = unroll.image_patches(8, g, count=count, photograph=photograph)
    cut = cut - cut.mean(dim=1, keepdim=True)
    return cut[cut.norm(dim=1) > 0.5]


def objective(x, b):
    """Mean F of a batch. x: (..., batch, 256). b: (batch, 64). Returns (...)."""
    misfit = 0.5 * (b - x @ D.T).square().sum(dim=-1)
    return (misfit + price * x.abs().sum(dim=-1)).mean(dim=-1)


def lasso_loss(iterates, b):
    """Mean F over the layers, in units of F(0)."""
    return (objective(iterates[1:], b) / objective(iterates[0], b)).mean()


temple, dahlia = patches("china", 20_000, 1), patches("flower", 1000, 2)[:100]
g = torch.Generator().manual_seed(3)


def draw_patches():
    batch = temple[torch.randint(len(temple), (64,), generator=g)]
    return batch, batch  # the loss needs b, and no x


held_out = patches("china", 1000, 4)
for_patches = LISTA(D, 3, price)
patch_history = train(
    for_patches,
    draw_patches,
    lasso_loss,
    lambda net: objective(net(held_out), held_out),
    steps=240,
    lr=0.002,
    every=40,
)


# %%
def excess(iterates, b):
    """F above its minimum, in units of F(0) - min F, for each iterate."""
    exact = unroll.fista(D, b, price, tol=1e-3, iterations=600, restart=True).x
    low, high = objective(exact, b), objective(torch.zeros_like(exact), b)
    return (objective(iterates, b) - low) / (high - low)


noise = torch.randn(dahlia.shape, generator=g)
noise = noise - noise.mean(dim=1, keepdim=True)
noise = noise * dahlia.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
curves = {}
options = dict(iterations=8, keep_iterates=True)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.2))
for ax, (name, b) in zip(
    axes, {"unseen photograph": dahlia, "noise": noise}.items(), strict=True
):
    with torch.no_grad():
        runs = {
            "ISTA": unroll.ista(D, b, price, **options).iterates,
            "FISTA": unroll.fista(D, b, price, **options).iterates,
            "coordinate descent": coordinate_descent(D, b, price, 4),
            "LISTA": for_patches.iterates(b),
        }
    for solver, iterates in runs.items():
        curves[name, solver] = excess(iterates, b)
        ax.semilogy(curves[name, solver], marker=".", label=solver)
    ax.set(title=name, xlabel="iterations, passes or layers", ylabel="excess of F")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="Excess of the Lasso's objective, 1 at x = 0. Left: patches of a photograph "
    "that the network has never seen. Right: noise of the same energy.",
    alt="Two panels on a logarithmic axis. Left, the first LISTA layer falls to 0.02, "
    "where FISTA is after five iterations and coordinate descent after three passes; "
    "the next two layers add little, and coordinate descent passes them at four. "
    "Right, on noise, all solvers are slower; the first layer falls to 0.05, the others "
    "add little.",
)

# %%
for name in ("unseen photograph", "noise"):
    ours = curves[name, "LISTA"]
    for solver in ("FISTA", "coordinate descent"):
        rounds = [
            int((curves[name, solver] <= ours[k]).double().argmax()) for k in (1, 3)
        ]
        words = [str(count) if count else "more than shown" for count in rounds]
        print(f"{name}: {solver} needs {words[0]} for one layer, {words[1]} for three")

# %% [markdown]
# One learned layer is one product with a $256 \times 64$ matrix and a threshold: half of an
# iteration of ISTA. Here is what that buys, on eight patches of the dahlia.

# %%
shown = dahlia[:8]
with torch.no_grad():
    rows = {
        "patch": shown,
        "ISTA, 1 step": unroll.ista(D, shown, price, iterations=1).x @ D.T,
        "LISTA, 1 layer": for_patches.iterates(shown)[1] @ D.T,
    }

# %% tags=["picture"]
fig, axes = plt.subplots(3, 8, figsize=(7, 2.8))
for line, (name, pictures) in zip(axes, rows.items(), strict=True):
    for k, ax in enumerate(line):
        size = shown[k].abs().max()
        ax.imshow(pictures[k].reshape(8, 8), vmin=-size, vmax=size)
        ax.axis("off")
    line[0].set_title(name, fontsize=9, loc="left")
figure(
    fig,
    caption="Eight unseen patches, and what their codes give back after one iteration.",
    alt="Three rows of eight small pictures. The patches show edges and stripes. After "
    "one step of ISTA they are faint, with low contrast. After one learned layer they are "
    "close to the originals.",
)

# %% [markdown]
# What the network has learned carries over from the temple to the dahlia, since patches of
# photographs are alike. It even carries over to noise, less well but clearly. So what it knows
# is not only what photographs look like. It is also the geometry of $D$: which of its nearly
# parallel atoms should share a patch among them, and in what proportion. For that a step
# $\tfrac1L D^\top$ is a poor start and a learned $W_1$ a good one.
#
# And coordinate descent, as in chapter 11, is not beaten after three rounds: a layer with its
# $256 \times 256$ matrix $W_2$ costs more than two of its passes. The gain is in the first layer,
# which has no $W_2$ to pay for.

# %% [markdown]
# ## The library's version
#
# `unroll.LISTA` and `unroll.LISTACP` are the networks of this chapter; they also check what they are given.
# Their layers are modules with `W1`, `W2` and `theta`; the threshold is a `Positive`, a
# $\log(1 + e^t)$ (*softplus*) of a free number $t$.

# %%
theirs = unroll.LISTA(problem.A, DEPTH, lam=0.2)
mine = LISTA(problem.A, DEPTH, 0.2)


def equal(one, other):
    """Whether two tensors agree to 1e-12."""
    return bool((one - other).abs().max() < 1e-12)


with torch.no_grad():
    print(
        "untrained, equal at every depth:",
        equal(theirs.iterates(b_test), mine.iterates(b_test)),
    )
    coupled_net = unroll.LISTACP(problem.A, DEPTH, lam=0.2)
    cp_fresh = LISTACP(problem.A, DEPTH, 0.2)
    print(
        "LISTA-CP, the same:",
        equal(coupled_net.iterates(b_test), cp_fresh.iterates(b_test)),
    )
    for layer, W1, W2, theta in zip(theirs.layers, *lista.layers(), strict=True):
        layer.W1.copy_(W1)
        layer.W2.copy_(W2)
        layer.theta = unroll.Positive(theta.clone())
    print("with our trained constants, the same:", equal(theirs(b_test), lista(b_test)))
    one, other = nmse_db(lista(b_test), x_test), unroll.nmse_db(lista(b_test), x_test)
    print("NMSE, the same:", equal(one, other))

# %% [markdown]
# `unroll.train` trains any of its networks on anything with a `sample` method, or on tensors of
# your own. A `Recipe` says how: its default objective is our deep loss, and `"last"` is the error
# of the last layer. It has separate rates for numbers and matrices; `train` shows a progress bar
# if you ask for one, and writes checkpoints to go on from.

# %%
recipe = unroll.Recipe(steps=60, batch=64, lr_matrices=0.01)
net = unroll.LISTACP(problem.A, DEPTH, lam=0.2)
history = unroll.train(net, problem, recipe, generator=torch.Generator().manual_seed(1))
print("60 steps of the library's training gain 5 dB or more:", end=" ")
print(history.best_db < history.validation_db[0, -1].item() - 5)

# %% [markdown]
# ## Signature result: ten layers against two hundred iterations
#
# Everything in one picture, on 500 test signals that no training and no choice of weights has
# seen. The classical curves are those of the cold open: tuned on this very test set, anew for
# each budget. Behind them three lines, by what they are told: the best Lasso (the best λ), Bayes (how
# codes and noise are drawn), the oracle (where the non-zeros of every single code are).
#
# Three **negative controls**. *Untrained*: the same network, before its training.
# *Shuffled*: the same training, but each $b$ is paired with the code of another sample. If the
# gain came from knowing how codes look in general, it would survive that. *Foreign*: the trained
# network is given measurements of other codes through another random matrix.

# %%
shuffled = LISTA(problem.A, DEPTH, 0.2)
draw = fresh(1)


def mispaired():
    b, x = draw()
    return b, x.roll(1, dims=0)


def mispaired_error(net):  # whoever mixes up the pairs does so here too
    return nmse_db(net(b_val), x_val.roll(1, dims=0))


shuffled_history = train(shuffled, mispaired, deep_loss, mispaired_error, 160, 0.01)

# %%
foreign = unroll.SparseCoding.gaussian(50, 100, torch.Generator().manual_seed(99))
b_foreign, x_foreign = foreign.sample(500, torch.Generator().manual_seed(98))
with torch.no_grad():
    learned = {
        "LISTA": nmse_db(lista.iterates(b_test), x_test),
        "LISTA-CP": nmse_db(cp.iterates(b_test), x_test),
    }
    controls = {
        "untrained": nmse_db(LISTA(problem.A, DEPTH, 0.2).iterates(b_test), x_test),
        "shuffled": nmse_db(shuffled.iterates(b_test), x_test),
        "foreign": nmse_db(lista.iterates(b_foreign), x_foreign),
    }

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.6))
for name, curve in classical.items():
    axes[0].semilogx(range(1, len(curve)), curve[1:], lw=1.2, label=name)
for name, colour, marker in (("LISTA", "k", "o"), ("LISTA-CP", "C3", "s")):
    values = learned[name][1:]
    axes[0].semilogx(
        range(1, DEPTH + 1), values, marker + "-", color=colour, ms=4, label=name
    )
for value, up, name in (
    (lasso_line, 1, "exact Lasso, best λ"),
    (bayes_line, 1, "Bayes"),
    (oracle_line, -3, "oracle"),
):
    axes[0].axhline(value, color="k", lw=0.8, ls="--")
    axes[0].text(220, value + up, name, ha="right", fontsize=8)
axes[0].set(xlabel="layers, iterations or passes", ylabel="NMSE in dB (ratio)")
axes[0].legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.29))
axes[1].plot(learned["LISTA"], "o-", color="k", ms=4, label="LISTA")
for (name, curve), marker in zip(controls.items(), "x^v", strict=True):
    axes[1].plot(curve, marker=marker, ms=4, label=name)
axes[1].set(xlabel="layer", ylabel="NMSE in dB (ratio)", ylim=(-51, 8))
axes[1].set_title("negative controls")
axes[0].set_title("learned and classical")
axes[1].legend(fontsize=8, loc="lower left")
figure(
    fig,
    caption="Left: ten learned layers against solvers tuned for every budget. Right: "
    "what remains of it if the network is untrained, trained on wrong pairs, or given "
    "measurements through another matrix.",
    alt="Left, error against a log axis of iterations: LISTA falls to about -17 dB in ten "
    "layers; coordinate descent gets there after more than twenty passes, FISTA after "
    "about 35, ISTA after about 200; the exact Lasso lies at -34, Bayes at -45 and the "
    "oracle at -46. "
    "Right: the untrained network reaches -5 dB, the shuffled one stays at 0, and the "
    "foreign one rises above 0.",
)


# %%
def first_at(name, level):
    """Iterations that a classical solver needs for an error."""
    return int((classical[name] <= level).nonzero()[0])


level = learned["LISTA"][-1]
multiplications = {
    "ISTA": 2 * m * n,
    "FISTA": 2 * m * n,
    "coordinate descent": 2 * m * n,
}
ratio = {}
print(f"LISTA after ten layers: {level:.1f} dB")
for name, cost in multiplications.items():
    count = first_at(name, level)
    ratio[name] = count * cost / costs["LISTA"]
    print(
        f"  {name:18s} needs {count:3d}: {ratio[name]:4.1f} times the multiplications"
    )
print(f"above the exact Lasso by {level - lasso_line:.0f} dB", end=", ")
print(f"above Bayes by {level - bayes_line:.0f} dB")
print(
    "controls:", ", ".join(f"{name} {c[-1]:.1f}" for name, c in controls.items()), "dB"
)
print("ISTA costs more than 10 times as much:", ratio["ISTA"] > 10)
print("FISTA costs more than 2 times as much:", ratio["FISTA"] > 2)
print("coordinate descent costs more:", ratio["coordinate descent"] > 1)
worst = min(c[-1] for c in controls.values()) - level
print(f"every control is worse by more than 10 dB: {worst > 10}")

# %% [markdown]
# Read both columns. A learned layer of LISTA costs 1.5 times as much as an iteration of ISTA,
# so count multiplications: the gain over ISTA is more than tenfold, over FISTA between two and
# three, and over coordinate descent it is less than two. Whoever compares with "ISTA, λ = 0.4"
# alone will report far more, as chapter 11 warned.
#
# And the exact Lasso is still far below, and Bayes is below the Lasso: whoever knows how the codes are drawn
# can say so, and needs no training. Ten layers of LISTA are a very fast *rough* answer.
#
# Would more layers and more training change that? The library's benchmark trains the family for
# the same kind of dictionary, with sixteen layers and several times as many samples, and tests it
# on ten thousand signals. This is what its file of results says.

# %%
rows = stored("lista")["rows"]
names = {
    "LISTA": "LISTA",
    "LISTACP": "LISTA-CP, coupled (section 5)",
    "LISTACPSS": "the same with support selection (chapter 13)",
    "ALISTA": "ALISTA, its matrix derived (chapter 13)",
}
print(f"{'16 layers, 50 x 100, SNR 40 dB':45} numbers   samples      NMSE")
for name, text in names.items():
    row = rows[f"{name} 50x100"]
    print(
        f"{text:45} {row['parameters']:7,d} {row['samples']:9,d} {row['ratio_db']:6.1f} dB"
    )

# %% [markdown]
# Sixteen layers of LISTA are no better than our ten. What helps is in the third and the fourth row, and
# it is not more numbers: a rule that lets the largest entries pass (*support selection*), and a matrix
# that is computed. Chapter 13 takes them apart, and gets below the line of the Lasso.
#
# ## An experiment to change
#
# How far may tomorrow's signals differ from yesterday's? The network has been trained at one
# density, one amplitude, one matrix. Vary each, and compare with ten iterations of FISTA at a
# fixed λ and ten passes of coordinate descent.

# %%
SAMPLES = 300
DENSITIES = [0.03, 0.05, 0.1, 0.15, 0.2, 0.3]
AMPLITUDES = [0.1, 0.3, 1.0, 3.0, 10.0]
CHANGES = [0.0, 0.02, 0.05, 0.1, 0.2, 0.4]  # relative change of A
NET = lista

usual = b_val.norm(dim=1).mean()


def shifted_errors(source, scale=1.0):
    """Errors of three solvers, which believe in problem.A, on another source."""
    b, x = source.sample(SAMPLES, torch.Generator().manual_seed(7))
    b, x = scale * b, scale * x
    size = b.norm(dim=1, keepdim=True).clamp(min=1e-9) / usual
    with torch.no_grad():
        codes = {
            "LISTA": NET(b),
            "LISTA, b scaled to the usual size": size * NET(b / size),
            "FISTA": unroll.fista(problem.A, b, 0.2, iterations=DEPTH).x,
            "coordinate descent": coordinate_descent(problem.A, b, 0.1, DEPTH)[-1],
        }
    return [nmse_db(code, x).item() for code in codes.values()], list(codes)


def moved(amount):
    """The dictionary with a relative change, columns of unit norm again."""
    change = torch.randn(problem.A.shape, generator=torch.Generator().manual_seed(8))
    A = problem.A + amount * change / change.norm(dim=0)
    return unroll.SparseCoding(A / A.norm(dim=0), density=0.1, snr_db=40.0)


shifts = {
    "density": (DENSITIES, lambda d: (unroll.SparseCoding(problem.A, d), 1.0)),
    "amplitude": (AMPLITUDES, lambda a: (problem, a)),
    "change of A": (CHANGES, lambda c: (moved(c), 1.0)),
}
fig, axes = plt.subplots(1, 3, sharey=True, figsize=(7, 3.4))
measured = {}
for ax, (name, (values, make)) in zip(axes, shifts.items(), strict=True):
    results = [shifted_errors(*make(value)) for value in values]
    measured[name] = torch.tensor([errors for errors, _ in results])
    for curve, solver in zip(measured[name].T, results[0][1], strict=True):
        ax.plot(values, curve, marker=".", label=solver)
    ax.set(xlabel=name, ylabel="NMSE in dB (ratio)")
axes[1].set_xscale("log")
axes[0].axvline(0.1, color="0.6", lw=0.8)
axes[1].axvline(1.0, color="0.6", lw=0.8)
axes[2].axvline(0.0, color="0.6", lw=0.8)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure(
    fig,
    caption="Ten layers or iterations on signals that differ from those of the training "
    "(grey line).",
    alt="Three panels. Against density all errors rise, and LISTA stays ahead throughout. "
    "Against amplitude LISTA is good at 1 only, and at ten times that worse than zero; "
    "with b scaled to its usual size its curve is flat at -17 dB. Against a change of "
    "the dictionary LISTA loses most, and its lead is gone at 40 per cent.",
)
flat = measured["amplitude"][:, 1]
print(
    "scaled input: the error depends on the amplitude:",
    bool(flat.max() - flat.min() > 0.1),
)

# %% [markdown]
# **Density** surprises: trained at 0.1, the network keeps its lead at 0.03 and at 0.3. **The
# matrix** must stay the same: each change of $A$ costs LISTA more than the others, until nothing is
# left of the lead. **Amplitude** is the trap, and hides a lesson. ISTA is *equivariant* if λ scales with the data: $c$ times $b$
# gives $c$ times $x$. The learned thresholds are fixed numbers, so LISTA is not. But one line
# restores it: divide $b$ by its size, run the network, multiply back. Build known symmetries in;
# do not hope that they are learned.
#
# Change one thing at a time, and guess first:
#
# - `NET = cp`, `NET = tied`: does structure make the network more robust?
# - `NET = last`: which of its ten layers has anything to lose?
# - Train on a *mixture*: let `draw` pick the density from 0.05 to 0.2 for every batch. What does
#   the network lose at 0.1, and what does it gain elsewhere?
# - In section 4, train `lista` at the rate 0.05, and `last` at 0.0003. Which loss depends more on its rate?
# - Set `DEPTH = 5`: is the fifth layer of the ten-layer network as good as the last layer of
#   a network of five?
#
# ## When it fails
#
# **Running on.** ISTA can always be run longer. Can LISTA? The tied network is one layer used
# ten times, so nothing prevents us from using it sixty times.

# %%
with torch.no_grad():
    once = [part[0] for part in tied.layers()]
    longer = unrolled(b_test, *(torch.stack([part] * 60) for part in once))
run_on = nmse_db(longer, x_test)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.plot(classical["ISTA"][:61], color="C1", ls="--", label="ISTA, λ tuned")
ax.plot(run_on, color="C0", label="tied LISTA, trained for ten")
ax.axvline(DEPTH, color="0.6", lw=0.8)
ax.set(xlabel="layer or iteration", ylabel="NMSE in dB (ratio)", ylim=(-20, 20))
ax.legend(fontsize=8)
figure(
    fig,
    caption="The tied network, trained for ten rounds and run for sixty.",
    alt="Error against layers: the tied network falls faster than ISTA until about layer "
    "ten, the depth of its training, which a grey line marks. ISTA falls slowly all the way.",
)

# %%
print("tied networks of the benchmark, three dictionaries: NMSE in dB after")
print("  rate        10 rounds              20              60             110")
for rate, runs in claims["ten layers: LISTA, tied"]["rates"].items():
    row = [[run[k] for run in runs["run_on_db"]] for k in ("10", "20", "60", "110")]
    print(
        f"{rate:>7}  ", "  ".join(" ".join(f"{db:4.0f}" for db in dbs) for dbs in row)
    )

# %% [markdown]
# How long a tied network stays near the answer depends on its training. The one in the figure is still
# as good after sixty rounds; of the table, those of the two better rates are worse by then. At the rate 0.005
# they leave soon after the tenth round. At 0.01 they are as good after twenty rounds as after ten, and still all
# three are far above 0 dB after 110. At 0.02 they have learned less, and stay where they are: those have a fixed
# point. The loss asks for ten good rounds and for nothing beyond them. A likely reason, which we have not
# isolated: the steps beyond $2/L$ are harmless while the thresholds keep codes sparse, and ten rounds are
# too few for unstable directions to grow. Whoever wants to run a layer for longer must ask for it in the
# training.
#
# **No certificate.** The duality gap of chapter 11 needs only $x$, so we can ask it about a
# network's answer, but the network does not lower it: it was trained for $x^\star$, not for the
# Lasso. A learned code that must be trusted is handed to a solver that can be.
#
# **Another matrix.** The control "foreign": what the network has learned belongs to $A$. It is a solver
# for one matrix, and worse than doing nothing for another.
#
# **The price of learning.** Training is paid once, by multiplications too. Count a backward
# pass as two forward passes, and ask after how many signals the network has paid for itself
# against FISTA.

# %%
training = STEPS * 64 * 3 * costs["LISTA"]
saving = first_at("FISTA", level) * 2 * m * n - costs["LISTA"]
magnitude = math.floor(math.log10(training / saving))
print(f"signals until training has paid: between 1e{magnitude} and 1e{magnitude + 1}")

# %% [markdown]
# For our sensor with its thousand signals per second that is a minute or two. For one
# picture the training never pays: use coordinate descent.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Why does the network take b again in every layer?",
        choices=[
            "Because W1 differs from layer to layer",
            "Because every ISTA step compares the iterate with the measurements",
            "To keep the iterates from vanishing",
        ],
        answer="ce74f3a61b37",
        hint="Multiply out one ISTA step and see where b stays.",
    ),
    Question(
        "The last of ten layers is silent. You train on the last layer's error. What happens?",
        choices=[
            "The first nine layers learn, the last does not",
            "Nothing is learned, and the loss stands at 0 dB",
            "The last layer wakes up after some steps",
        ],
        answer="e36cd61b507c",
        hint="The derivative of a constant output is zero, with respect to all before it.",
    ),
    Question(
        "Why the error in dB, and not the squared error, in every layer?",
        choices=[
            "So that a layer with a small error still counts as much as one with a large error",
            "Because decibels are linear in the threshold",
            "Because the squared error is not differentiable at zero",
        ],
        answer="abc898754969",
        hint="Compare the slope of the logarithm at an error of 0.1 with that at 0.001.",
    ),
    Question(
        "Learned steps lie beyond 2 / L. Why do the ten layers not explode?",
        choices=[
            "Because Adam keeps the weights small",
            "Because the proof of chapter 11 was wrong",
            "Because on sparse codes A stretches far less than on the worst vector",
        ],
        answer="e0b663863f86",
        hint="Which vectors attain the norm of A, and are they sparse?",
    ),
    Question(
        "A paper's network beats ISTA with λ = 0.4 fifty times over, at equal iterations. What do you ask for?",
        choices=[
            "A deeper network",
            "The best λ for each budget, other solvers, and multiplications instead of iterations",
            "The same comparison in single precision",
        ],
        answer="396aa61a8a9b",
        hint="What did the baselines of the cold open have that this one lacks?",
    ),
    Question(
        "The signals come in at three times the usual amplitude. What is the cheapest cure?",
        choices=[
            "Divide b by its size, run the network, multiply back",
            "Train again at the new amplitude",
            "Multiply every threshold by nine",
        ],
        answer="bfff5dcf9824",
        hint="A known symmetry can be built in.",
    ),
)

# %% [markdown]
# ## Summary
#
# - One ISTA step is a layer: $x_{k+1} = \eta_\theta(W_1 b + W_2 x_k)$ with $W_1 = A^\top / L$,
#   $W_2 = I - A^\top A / L$, $\theta = \lambda / L$. Unrolling keeps $K$ of them; learning frees
#   their constants.
# - Start at ISTA, keep thresholds non-negative by construction, return every iterate.
# - A silent layer cuts the gradient of all layers before it. The mean of the dB of *every* layer
#   cures that, and counts small errors as much as large ones.
# - Fresh data, a fixed validation set, best weights.
# - The network learns steps beyond $2/L$ and falling thresholds: safe for sparse codes,
#   not for all.
# - Deep layers couple themselves, $W_2 \approx I - W_1 A$; building that in costs a fraction of a
#   decibel.
# - The answer is fast and rough. It holds for the matrix and the depth of the training; a change
#   of amplitude can be undone outside the network.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | unrolling | keeping $K$ iterations of an algorithm as the layers of a network |
# | LISTA | ISTA unrolled, with $W_1$, $W_2$ and $\theta$ learned |
# | tied, untied | all layers share their constants (recurrent), or each has its own |
# | silent layer | one whose output is zero for every sample, so that no gradient passes |
# | deep supervision | a loss on every layer instead of the last one |
# | gain | mean diagonal of $W_1 A$; for ISTA with unit columns, the step |
# | coupling | $W_2 = I - W_1 A$, necessary for exact recovery in the limit |
# | LISTA-CP | LISTA with the coupling built in |
# | best weights | those with the smallest validation error seen in training |
# | distribution shift | test signals that differ from those of the training |
# | equivariance | an operation on the input does the corresponding thing to the output |
#
# ## Readings
#
# - **Gregor and LeCun (2010)**, *Learning fast approximations of sparse coding*, ICML. Look for
#   the block diagram, for the second network, unrolled from coordinate descent, and for the
#   target: they learn the *Lasso's* code, where we learn the true one.
# - **Moreau and Bruna (2017)**, *Understanding trainable sparse coding with matrix factorization*,
#   ICLR. Look for a reason why learning helps at all: a nearly diagonal factorisation of
#   $A^\top A$ that keeps the $\ell_1$ norm almost as it is, and when none exists.
# - **Chen, Liu, Wang and Yin (2018)**, *Theoretical linear convergence of unfolded ISTA and its
#   practical weights and thresholds*, NeurIPS. Look for theorem 1, the coupling, and for how
#   *support selection* removes the bias of the threshold. It opens chapter 13.
# - **Ablin, Moreau, Massias and Gramfort (2019)**, *Learning step sizes for unfolded sparse
#   coding*, NeurIPS. Look for the step $1/L_S$, and for their result on what a network can
#   learn, deep inside, if the Lasso is its loss: step sizes.
# - **Monga, Li and Eldar (2021)**, *Algorithm unrolling: interpretable, efficient deep learning for
#   signal and image processing*, IEEE Signal Process. Mag. 38(2). Look for the table of
#   algorithms and the networks unrolled from them, and pick one you know.
