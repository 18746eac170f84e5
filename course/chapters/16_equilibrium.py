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
# # 16 · Equilibrium models and phantom gradients
#
# > **Claim.** A layer that is repeated until it rests is trained at the price of one layer's memory and one linear solve; a few terms of a series may take the place of that solve, and a condition that one can compute says when they do not point uphill.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | run a layer to its fixed point and say how far it is; tell when a fixed point exists, and see what happens without one; write Anderson's method, with a safeguard; differentiate a fixed point without its history; differentiate the Lasso by λ; replace the exact gradient by a phantom, and compute how many terms are enough |
# | **Before you start** | chapter 11 (Lasso, soft threshold, duality gap); chapter 12 (LISTA); the chain rule with Jacobians; eigenvalues and singular values |
# | **Time** | 150 minutes |
# | **Points** | 24, in eight exercises |

# %% tags=["setup"]
import math
import statistics
import warnings

import matplotlib.pyplot as plt
import torch

import unroll
from course.kit import Question, figure, quiz, setup, stored
from unroll.equilibrium import (
    IFT,
    Anderson,
    Broyden,
    ContractiveLayer,
    Equilibrium,
    JacobianFree,
    NeumannPhantom,
    Picard,
    UnrolledPhantom,
)

generator = setup(seed=16)

# %% [markdown]
# ## Cold open: a network that must not be run on
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# Chapter 12 unrolled ISTA into layers. If all layers share their numbers (the *tied* network),
# there is only one layer,
#
# $$ x_{k+1} = f(x_k, b) = \eta_\theta(W_1 b + W_2 x_k) , $$
#
# and nothing in it says that ten of them are the right number. ISTA itself may be run on: each step
# comes closer to the solution. What about a layer that was *trained*? We train a tied LISTA
# of ten layers, and repeat its layer more often than it was trained for.

# %%
problem = unroll.SparseCoding.gaussian(50, 100, generator, density=0.1, snr_db=40.0)
A = problem.A
b_test, x_test = problem.sample(300, torch.Generator().manual_seed(17))
trained = unroll.LISTA(A, depth=10, tied=True, lam=0.02)
recipe = unroll.Recipe(steps=200, batch=64, lr_matrices=0.005, validation=200, every=50)
unroll.train(trained, problem, recipe, generator=generator)
classical = unroll.LISTA(A, depth=1, lam=0.02)  # not trained: it is ISTA


# %%
@torch.no_grad()
def repeated(layer, b, times):
    """Repeat one layer from zero; return the error after every repeat, in dB."""
    x, errors = torch.zeros(len(b), 100), []
    for _ in range(times):
        x = layer(x, b, 0)
        errors.append(unroll.nmse_db(x, x_test).item())
    return errors


curves = {
    "ISTA's layer": repeated(classical.layers[0], b_test, 3000),
    "trained for ten": repeated(trained.layers[0], b_test, 100),
}

# %% tags=["picture"]
fig, ax = plt.subplots()
for name, errors in curves.items():
    ax.semilogx(range(1, len(errors) + 1), errors, label=name)
ax.axvline(10, color="k", lw=0.8, ls=":")
ax.set(xlabel="repeats of the layer", ylabel="NMSE in dB (ratio)", ylim=(-30, 60))
ax.legend(fontsize=8)
figure(
    fig,
    caption="The same layer again and again. Dotted: the ten repeats that the second one "
    "was trained for.",
    alt="Error against repeats on a logarithmic axis. The curve of the trained layer falls "
    "faster at first, to about -9 dB near ten repeats, then turns and rises steeply off the "
    "chart before a hundred. The curve of ISTA's layer falls slowly and steadily, to below "
    "-20 dB after some thousand.",
)

# %%
learned, ista = curves["trained for ten"], curves["ISTA's layer"]
print("after 10 repeats the trained layer is ahead:", learned[9] < ista[9])
print("after 100 repeats it is worse than no code at all:", learned[99] > 0)

# %% [markdown]
# The trained layer is faster where it was trained, but it does not come to rest: after its tenth repeat
# it leaves the answer, and the error grows. Training never asked where the layer *leads*.
#
# This chapter asks only that. The output of the network is the point where the layer comes to
# rest, however many repeats that takes. Three questions follow. Is there such a point? How does
# one get there fast? And how does one train, if thousands of repeats are too many to remember?

# %% [markdown]
# ## 1. Running a layer until it stops
#
# Write $z$ for the *state* that a layer changes, and $b$ for what it is given beside it. A
# **fixed point** of the layer $f$ is a state that it does not change,
#
# $$ z^\star = f(z^\star, b) , $$
#
# and an **equilibrium model** is a network whose output is defined by this equation (Bai, Kolter and
# Koltun 2019). The depth is gone from the definition: whoever finds $z^\star$, in whatever way, has run
# the network.
#
# The plainest way is to apply the layer again and again. That is **Picard's iteration**,
# $z_{k+1} = f(z_k, b)$. It stops when a step moves little, compared with the size of the state. We
# measure that by the **relative residual**
#
# $$ \frac{\|f(z, b) - z\|}{\|f(z, b)\|} . $$
#
# Samples differ: one rests after ten steps, another after a thousand. So each has its own stop.
#
# **Shapes.** `z` is `(batch, n)`. What is given is hidden in the map: a *step* is a function of `z`
# alone, from `(batch, n)` to `(batch, n)`, each sample by itself.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)

# %% [markdown]
# ### Exercise 16.1 · Until it rests
# Difficulty ●○○○○ · 2 points
#
# Write `picard(step, z0, tol, limit)`. One *look* computes `f = step(z)`. A sample for which
# $\|f - z\| \le$ `tol` $\|f\|$ rests: its `z` stays as it is from now on. All others move to
# `f`. Stop when all samples rest, or after `limit` looks. Return `z` and, as integers of shape
# `(batch,)`, the number of looks for each sample: up to the first one that saw it rest, and that
# one included. A sample that never rests has `limit`. A state of exactly zero that stays zero rests.


# %% nbgrader={"grade": false, "grade_id": "ex16-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def picard(step, z0, tol, limit):
    """Apply step until every sample rests, or limit times.

    step: a map (batch, n) -> (batch, n). z0: (batch, n). tol: number > 0. limit: int.
    Returns z, shape (batch, n), and the looks of each sample, integers (batch,).
    """
    ### BEGIN SOLUTION
    z = z0
    looks = torch.zeros(len(z0), dtype=torch.long)
    rests = torch.zeros(len(z0), dtype=torch.bool)
    for _ in range(limit):
        f = step(z)
        looks = looks + ~rests
        rests = (f - z).norm(dim=1) <= tol * f.norm(dim=1)
        if rests.all():
            break
        z = torch.where(rests[:, None], z, f)
    return z, looks
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
start = torch.tensor([[2.0, 2.0], [0.0, 0.0], [1.0, 3.0]])
given = start.clone()
z, looks = picard(lambda z: 0.5 * z + 1, start, 1e-6, 100)
assert torch.equal(start, given), "the start was changed: compute with new tensors"
assert z.dtype == torch.float64, FLOAT64
assert torch.allclose(z, torch.full((3, 2), 2.0), atol=1e-5), (
    "0.5 z + 1 rests at z = 2, wherever one starts"
)
assert looks.shape == (3,) and not looks.is_floating_point(), (
    "the looks are counts: whole numbers, one for each sample"
)
assert looks[0] == 1, "the first sample starts at the fixed point: one look sees that"
assert 15 < looks[1] < 30, (
    "each step halves the distance: about twenty looks make a millionth of it"
)
far = picard(lambda z: 2 * z + 1, start, 1e-6, 4)
assert far[1].tolist() == [4, 4, 4], "whoever never rests has looked limit times"

# %% nbgrader={"grade": true, "grade_id": "ex16-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z, looks = picard(lambda z: 0 * z, torch.ones(1, 2), 1e-6, 10)
assert (z == 0).all() and looks.item() == 2, (
    "a map to zero: the first look moves the sample there, the second sees it rest"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    M = torch.randn(4, 4, generator=g)
    M = (
        (0.5 + 0.4 * torch.rand(6, 1, 1, generator=g))
        * M
        / torch.linalg.matrix_norm(M, 2)
    )
    shift = torch.randn(6, 4, generator=g)
    start, calls = 3 * torch.randn(6, 4, generator=g), []

    def affine(z, M=M, shift=shift, calls=calls):
        calls.append(1)
        return (M @ z[..., None])[..., 0] + shift

    for tol, limit in ((1e-2, 500), (1e-6, 500), (1e-6, 12)):
        calls.clear()
        z, looks = picard(affine, start, tol, limit)
        assert len(calls) == int(looks.max()) <= limit, (
            "look as often as the slowest sample needs, and never more than limit times"
        )
        for i in range(6):
            one, count = start[i], 0
            while count < limit:
                f, count = M[i] @ one + shift[i], count + 1
                if (f - one).norm() <= tol * f.norm():
                    break
                one = f
            assert int(looks[i]) == count, (
                "a sample needed another number of looks: is the residual that of its "
                "own row, relative to the size of f?"
            )
            assert torch.allclose(z[i], one, rtol=0, atol=1e-12), (
                "a sample stands elsewhere: who rests keeps its z, who does not moves to f"
            )
assert picard(lambda z: 2 * z, torch.ones(1, 2), 0.6, 9)[1].item() == 1, (
    "from 1 to 2 is half of the image: the residual is relative to the size of f, not of z"
)
still = picard(lambda z: z, torch.zeros(2, 3), 1e-9, 5)
assert still[1].tolist() == [1, 1], "zero that stays zero rests, at the first look"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The loop over looks is one for the whole batch. Which sample may still move is a mask of shape
# `(batch,)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Do not divide: `(f - z).norm(dim=1) <= tol * f.norm(dim=1)` is right for zero states, too. A mask of
# booleans can be added to a tensor of counts.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.where(rests[:, None], z, f)` keeps the rows that rest and moves the others.
#
# </details>

# %% [markdown]
# **Where does ISTA's layer rest?** With $W_1 = t A^\top$, $W_2 = I - t A^\top A$ and
# $\theta = t \lambda$, a fixed point is a code with
#
# $$ x = \eta_{t \lambda}\!\left( x + t A^\top r \right), \qquad r = b - A x . $$
#
# Read this entry by entry, with the soft threshold of chapter 11. If $x_i \ne 0$, the threshold has
# taken $t \lambda$ from the size of what came in, so
# $t \, a_i^\top r = t \lambda \operatorname{sign} x_i$. If $x_i = 0$, what came in was at most
# $t \lambda$ in size. Divide by $t$:
#
# $$ a_i^\top r = \lambda \operatorname{sign} x_i \;\text{ where } x_i \ne 0, \qquad
#    |a_i^\top r| \le \lambda \;\text{ where } x_i = 0 . $$
#
# These are the conditions that make a code a minimiser of the Lasso.
# **LISTA at equilibrium is the Lasso**, and the step $t$ has dropped out: it changes the way, not the
# place. Chapter 11's duality gap is a certificate for it.


# %% tags=["given"]
def lasso_layer(A, b, lam, share=1.0):
    """ISTA's layer as a map of codes; its step is a share of 1 / L."""
    t = share / torch.linalg.matrix_norm(A, 2) ** 2
    return lambda x: unroll.soft_threshold(x + t * (b - x @ A.T) @ A, t * lam)


# %%
b_few = b_test[:20]
places = {}
for share in (1.0, 0.5):
    step = lasso_layer(A, b_few, 0.02, share)
    x, looks = picard(step, torch.zeros(20, 100), 1e-10, 20_000)
    gap = unroll.fista(A, b_few, 0.02, x0=x, iterations=0).gap
    places[share] = x
    print(f"step {share} / L: every duality gap below 1e-7: {bool((gap < 1e-7).all())}")
print("the same codes:", torch.allclose(places[1.0], places[0.5], atol=1e-6))

# %% [markdown]
# ## 2. Is there a fixed point?
#
# A state of one number shows all that can happen. Draw the layer as a curve, and the diagonal. They
# cross at the fixed points. Picard's iteration goes up or down to the curve, then sideways to the
# diagonal, and so on.

# %%
panels = {
    "0.8 z + 0.3": (lambda z: torch.tanh(0.8 * z + 0.3), -1.5),
    "-2.5 z + 0.3": (lambda z: torch.tanh(-2.5 * z + 0.3), 0.2),
    "2.5 z": (lambda z: torch.tanh(2.5 * z), 0.1),
    "max(0, z + 0.3)": (lambda z: torch.relu(z + 0.3), -1.0),
}
grid = torch.linspace(-1.6, 1.6, 401)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 4, sharey=True, figsize=(7.4, 2.6))
for ax, (name, (curve, z)) in zip(axes, panels.items(), strict=True):
    ax.plot(grid, curve(grid))
    ax.plot(grid, grid, color="0.6", lw=0.8, ls="-")
    z, way = torch.tensor(z), []
    for _ in range(14):
        way += [(z, z), (z, curve(z))]
        z = curve(z)
    ax.plot(*zip(*way, strict=True), lw=1)
    ax.set(xlabel="z", ylim=(-1.6, 1.6), xlim=(-1.6, 1.6))
    ax.set_title(name if "max" in name else f"tanh({name})", fontsize=8)
axes[0].set_ylabel("f(z)")
figure(
    fig,
    caption="Four layers with one number of state. Solid: the layer and the diagonal; dashed: "
    "the way of Picard's iteration.",
    alt="Four panels with a curve and the diagonal. First, one flat crossing: the way "
    "leads to it. Second, a steep falling curve crosses once, but the way ends in a square "
    "around the crossing. Third, a steep rising curve crosses three times; the way leaves the "
    "middle crossing for the upper one. Fourth, the curve runs parallel above the "
    "diagonal: no crossing, and the way climbs out of the picture.",
)

# %% [markdown]
# 1. **One fixed point, and Picard finds it.** The curve is flatter than the diagonal.
# 2. **One fixed point, and Picard does not find it.** Its slope is below $-1$, and the iteration ends in
#    a cycle of two.
# 3. **Three fixed points.** The start decides which one is the output.
# 4. **None.** The state grows for ever.
#
# A layer whose values are bounded, as those of a $\tanh$ are, has at least one fixed point if it is
# continuous: that is the theorem of Brouwer. Uniqueness, and a way to get there, need more.
# **Banach's theorem**: if $f$ is a **contraction**, that is, if for some $q < 1$
#
# $$ \|f(z) - f(y)\| \le q \, \|z - y\| \quad\text{for all } z, y, $$
#
# then there is exactly one fixed point, Picard's iteration converges to it from everywhere, and
#
# $$ \|z_k - z^\star\| \;\le\; \frac{q^k}{1 - q} \, \|z_1 - z_0\| . $$
#
# The right side is known after the first step. So the number of steps that are enough can be told in
# advance.
#
# How does one build a contraction, and keep it one during training? Take
# $f(z, b) = \tanh(W z + U b + c)$. The slope of $\tanh$ is at most 1, so $q = \|W\|_2$ will do. Do
# not learn $W$ itself: learn any matrix $V$, and use
#
# $$ W = V \, \min\!\left( 1, \frac{q}{\|V\|_2} \right) . $$
#
# (In this chapter $W$ is the $n \times n$ matrix of such a layer.)

# %% [markdown]
# ### Exercise 16.2 · A layer that must come to rest
# Difficulty ●●○○○ · 3 points
#
# Write `bounded(V, q)`, the matrix $W$ above; gradients must reach $V$, through the norm as well. And
# write `enough(q, first, tol)`: the smallest whole number $k \ge 0$ for which Banach's bound is at
# most `tol`, if the first step has moved by `first` $= \|z_1 - z_0\| > 0$, for $0 < q < 1$.


# %% nbgrader={"grade": false, "grade_id": "ex16-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bounded(V, q):
    """Return V, scaled down to the spectral norm q if its own is larger.

    V: (n, n). q: number > 0. Returns a new tensor (n, n), differentiable by V.
    """
    ### BEGIN SOLUTION
    norm = torch.linalg.matrix_norm(V, 2)
    return V * (q / norm).clamp(max=1)
    ### END SOLUTION


def enough(q, first, tol):
    """Return the least k >= 0 with q^k / (1 - q) * first <= tol, an int."""
    ### BEGIN SOLUTION
    k, bound = 0, first / (1 - q)
    while bound > tol:
        k, bound = k + 1, q * bound
    return k
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(2)
V_try = torch.randn(5, 5, generator=g)
before = V_try.clone()
W_try = bounded(V_try, 0.9)
assert W_try.dtype == torch.float64, FLOAT64
assert torch.equal(V_try, before), "the argument V was changed: return a new tensor"
assert math.isclose(torch.linalg.matrix_norm(W_try, 2), 0.9, rel_tol=1e-9), (
    "a matrix with a larger norm comes out with spectral norm q, its largest singular value"
)
assert torch.allclose(W_try / W_try[0, 0], V_try / V_try[0, 0]), (
    "all entries are scaled by the same number"
)
assert torch.allclose(bounded(0.01 * V_try, 0.9), 0.01 * V_try), (
    "a matrix whose norm is small already stays as it is"
)
assert enough(0.5, 1.0, 0.3) == 3, "the bounds for k = 0, 1, 2, 3 are 2, 1, 0.5, 0.25"
assert enough(0.5, 0.1, 0.3) == 0, (
    "if the first bound is small enough, no step is needed"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert isinstance(enough(0.9, 1.0, 1e-3), int), "a number of steps is an int"
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    V_try = torch.randn(4, 4, generator=g).requires_grad_()
    pull = torch.randn(4, 4, generator=g)
    left, sizes, right = torch.linalg.svd(V_try.detach())
    for q in (0.3, 0.95, 50.0):
        W_try = bounded(V_try, q)
        ratio = min(1.0, q / sizes[0].item())
        assert torch.allclose(W_try, ratio * V_try, rtol=0, atol=1e-12), (
            "the matrix is scaled by min(1, q / norm), with the spectral norm"
        )
        (slope,) = torch.autograd.grad((pull * W_try).sum(), V_try, allow_unused=True)
        assert slope is not None, "no gradient reaches V"
        along = (
            (pull * V_try.detach()).sum() / sizes[0] * torch.outer(left[:, 0], right[0])
        )
        exact = ratio * (pull - along) if ratio < 1 else pull
        assert torch.allclose(slope, exact, rtol=0, atol=1e-9), (
            "the gradient by V is another one: the norm depends on V, too, so it must not "
            "be detached"
        )
assert torch.equal(bounded(torch.zeros(2, 2), 0.5), torch.zeros(2, 2)), (
    "a matrix of zeros has a small norm, and stays as it is"
)
for q, first, tol in (
    (0.5, 1.0, 0.25),
    (0.9, 2.0, 1e-4),
    (0.99, 0.3, 1e-6),
    (0.1, 7, 2),
):
    k = enough(q, first, tol)
    assert q**k / (1 - q) * first <= tol * (1 + 1e-12), "the bound is still above tol"
    assert k == 0 or q ** (k - 1) / (1 - q) * first > tol * (1 + 1e-12), (
        "one step less would be enough, too: the bound may be equal to tol"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.linalg.matrix_norm(V, 2)` is the spectral norm, and differentiable. For `enough`, begin with
# the bound at $k = 0$ and see what one more step does to it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The minimum of 1 and a number in a tensor is a clamp. Each step multiplies the bound by $q$: a loop
# that counts is easier to get right than a quotient of logarithms, rounded up.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $W = V \cdot$ `(q / norm).clamp(max=1)`; the first bound is $\|z_1 - z_0\| / (1 - q)$.
#
# </details>

# %% [markdown]
# What does Banach say of ISTA's layer? There $q = \|I - t A^\top A\|_2$, and as $A$ has more columns
# than rows, a direction with $A d = 0$ is not shortened at all: $q = 1$. The theorem is silent. That
# ISTA converges all the same is due to another one: the layer is a step of descent on a convex
# function, and chapter 11 has the bound. So a contraction is *sufficient* and not necessary. Look at
# the trained layer of the cold open, too.

# %%
for name, net in (("ISTA's layer", classical), ("trained for ten", trained)):
    W2 = net.layers[0].W2.detach()
    norm = torch.linalg.matrix_norm(W2, 2).item()
    print(f"{name:16} norm of W2: {norm:.1f}, stretches: {norm > 1 + 1e-9}")

# %% [markdown]
# ## 3. Three solvers raced
#
# Picard forgets all but the last state. **Anderson's method** (1965) remembers some. Let
# $g_i = f(z_i) - z_i$ be the moves of the last states. A combination of the states, with weights that
# add up to 1, would move by about the same combination of the $g_i$ (exactly so, if $f$ is affine).
# So take the combination that moves *least*, and make the step from there:
#
# $$ \min_\alpha \Big\| \sum_i \alpha_i g_i \Big\| \;\text{ with } \sum_i \alpha_i = 1, \qquad
#    z_{\text{next}} = \sum_i \alpha_i f(z_i) . $$
#
# With differences $\Delta g_i = g_{i+1} - g_i$ and $\Delta f_i = f(z_{i+1}) - f(z_i)$ the constraint
# disappears (Walker and Ni 2011): for the newest $g$ and $f$,
#
# $$ \gamma = \arg\min_\gamma \Big\| g - \sum_i \gamma_i \, \Delta g_i \Big\|, \qquad
#    z_{\text{next}} = f - \sum_i \gamma_i \, \Delta f_i . $$
#
# It is an ordinary least-squares problem with a handful of unknowns, for each sample its own.

# %% [markdown]
# ### Exercise 16.3 · Anderson's step
# Difficulty ●●●○○ · 3 points
#
# Write `anderson_next(Z, F)`. `Z` holds the last states, the newest last, shape
# `(history, batch, n)`, and `F` their images. With one state there is nothing to combine: its image
# is next. A sample that has not moved at all has differences of zero; the shortest $\gamma$, which is
# zero, leads it to its image, and nothing may become NaN. For such cases `torch.linalg.solve` with
# the normal equations is no good: use `torch.linalg.lstsq` or `torch.linalg.pinv`.


# %% nbgrader={"grade": false, "grade_id": "ex16-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def anderson_next(Z, F):
    """Combine the last states and their images into the next state.

    Z, F: (history, batch, n), the newest last. Returns (batch, n).
    """
    ### BEGIN SOLUTION
    G = F - Z
    if len(G) == 1:
        return F[-1]
    dG, dF = G.diff(dim=0), F.diff(dim=0)  # (history - 1, batch, n)
    fit = torch.linalg.lstsq(dG.permute(1, 2, 0), G[-1][:, :, None])
    return F[-1] - (dF.permute(1, 2, 0) @ fit.solution)[:, :, 0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def affine_case(seed, history, batch=5, n=6):
    """States, their images under an affine map, and its fixed point (batch, n)."""
    g = torch.Generator().manual_seed(seed)
    M = torch.randn(n, n, generator=g)
    M = 0.9 * M / torch.linalg.matrix_norm(M, 2)
    shift = torch.randn(batch, n, generator=g)
    Z = torch.randn(history, batch, n, generator=g)
    return Z, Z @ M.T + shift, torch.linalg.solve(torch.eye(n) - M, shift.T).T


Z_try, F_try, rest = affine_case(1, history=7)
kept = Z_try.clone(), F_try.clone()
found = anderson_next(Z_try, F_try)
assert torch.equal(Z_try, kept[0]) and torch.equal(F_try, kept[1]), (
    "the history was changed: compute with new tensors"
)
assert found.shape == (5, 6), "one next state for each sample"
assert found.dtype == torch.float64, FLOAT64
assert torch.allclose(found, rest, atol=1e-6), (
    "an affine map of six numbers is known after seven states: some combination of them "
    "does not move at all, and the step from it ends at the fixed point"
)
assert torch.allclose(anderson_next(Z_try[:1], F_try[:1]), F_try[0]), (
    "with one state there is nothing to combine: the next one is its image"
)
still = anderson_next(Z_try[:1].expand(3, 5, 6), F_try[:1].expand(3, 5, 6))
assert torch.allclose(still, F_try[0]), (
    "states that are all the same have differences of zero: the next one is their image"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
two = torch.tensor([[[0.0]], [[1.0]]])
assert torch.allclose(anderson_next(two, 3 * two - 2), torch.ones(1, 1)), (
    "for one number and two states Anderson's step is the secant method: 3 z - 2 rests at 1"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    for history in (2, 3, 5):
        Z_try, F_try = torch.randn(2, history, 4, 8, generator=g)  # of no map at all
        found = anderson_next(Z_try, F_try)
        for i in range(4):
            moves = (F_try - Z_try)[:, i]
            border = torch.ones(history + 1, history + 1)
            border[:history, :history] = moves @ moves.T
            border[history, history] = 0
            target = torch.zeros(history + 1)
            target[history] = 1
            alpha = torch.linalg.solve(border, target)[:history]
            assert torch.allclose(found[i], alpha @ F_try[:, i], rtol=0, atol=1e-8), (
                "another combination of weights that add up to 1 moves less, or it was "
                "the states that were combined and not their images"
            )
        Z_try[:, 2], F_try[:, 2] = Z_try[0, 2], F_try[0, 2]
        mixed = anderson_next(Z_try, F_try)
        assert torch.allclose(mixed[2], F_try[0, 2]), (
            "a sample that has not moved goes to its image, also beside others that have"
        )
        others = [0, 1, 3]
        assert torch.allclose(mixed[others], found[others], rtol=0, atol=1e-8), (
            "samples must not influence each other: each has weights of its own"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `G = F - Z` are the moves. `G.diff(dim=0)` are their differences, `(history - 1, batch, n)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For each sample the differences are the *columns* of a matrix `(n, history - 1)`, and the newest
# move is the right side. `permute(1, 2, 0)` brings them into this shape for the whole batch.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.linalg.lstsq(matrix, right).solution` is $\gamma$, of shape `(batch, history - 1, 1)`. What it
# multiplies at the end are the differences of the *images*.
#
# </details>

# %% [markdown]
# **Broyden's method** (1965) remembers in another way. It looks for a root of $g(z) = f(z) - z$ as
# Newton's method does, with $z_{k+1} = z_k - H_k g_k$, and corrects its estimate $H_k$ of the inverse
# Jacobian after every step by a matrix of rank one, the smallest change that explains the step just
# made. It starts at $H_0 = -I$, so its first step is Picard's.
#
# Both extrapolate, and whoever extrapolates can be wrong. A soft threshold has kinks: beyond one, the
# map is another one than the past suggests. A **safeguard**, as in chapter 13, protects
# against that. Here is a simple one. Remember for each sample the *best* state so far, the one with
# the least move $\|f(z) - z\|$. If the newest move is more than `lost` times as long, the sample goes
# back: its whole past is replaced by the best state.

# %% [markdown]
# ### Exercise 16.4 · Going back
# Difficulty ●●●○○ · 3 points
#
# Write `forget(Z, F, best, image, lost)`. `best` and its image `image` have the shape `(batch, n)`.
# For each sample whose newest move is *not* at most `lost` times the move of `best`, every state of
# its history becomes `best`, and every image `image`. A move that is NaN or infinite is not at most
# anything. Other samples keep their history. Return the new `Z` and `F`; leave the arguments as they
# are.


# %% nbgrader={"grade": false, "grade_id": "ex16-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def forget(Z, F, best, image, lost):
    """Send samples that have gone astray back to their best state.

    Z, F: (history, batch, n), the newest last. best, image: (batch, n). lost: number.
    Returns new Z and F, of the same shapes.
    """
    ### BEGIN SOLUTION
    newest = (F[-1] - Z[-1]).norm(dim=1)
    least = (image - best).norm(dim=1)
    astray = ~((newest <= lost * least) & newest.isfinite())
    back = astray[:, None]
    return torch.where(back, best, Z), torch.where(back, image, F)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(4)
Z_try, best_try = torch.randn(3, 4, 5, generator=g), torch.randn(4, 5, generator=g)
unit = torch.zeros(5)
unit[1] = 1.0
F_try, image_try = (
    Z_try + 3 * unit,
    best_try + unit,
)  # moves of length 3, and of length 1
kept = Z_try.clone(), F_try.clone()
Z_new, F_new = forget(Z_try, F_try, best_try, image_try, 4.0)
assert torch.equal(Z_new, Z_try) and torch.equal(F_new, F_try), (
    "a move of 3 is within 4 times the least one: nobody goes back"
)
Z_new, F_new = forget(Z_try, F_try, best_try, image_try, 2.0)
assert torch.equal(Z_try, kept[0]) and torch.equal(F_try, kept[1]), (
    "the history that was handed over has been changed: return new tensors"
)
assert Z_new.dtype == torch.float64, FLOAT64
assert torch.equal(Z_new, best_try.expand(3, 4, 5)), (
    "a move of 3 is more than twice the least one: every past state becomes the best one"
)
assert torch.equal(F_new, image_try.expand(3, 4, 5)), (
    "... and every past image the image of the best state"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
broken = F_try.clone()
broken[-1, 2, 0] = math.nan
Z_new, F_new = forget(Z_try, broken, best_try, image_try, 4.0)
assert torch.equal(Z_new[:, 2], best_try[2].expand(3, 5)), (
    "a move that is NaN is not at most anything: that sample goes back, its whole past"
)
### BEGIN HIDDEN TESTS
assert torch.equal(Z_new[:, [0, 1, 3]], Z_try[:, [0, 1, 3]]), (
    "only the sample that has gone astray goes back"
)
assert F_new.isfinite().all(), "nothing that is NaN may be left in the history"
for lost in (4.0, math.inf):
    broken[-1, 2, 0] = math.inf
    Z_new, F_new = forget(Z_try, broken, best_try, image_try, lost)
    assert torch.equal(F_new[:, 2], image_try[2].expand(3, 5)), (
        "an infinite move is not at most anything, for no value of lost"
    )
steps = torch.tensor([1.0, 2.0, 2.5, 8.0])[:, None]
F_try = Z_try + 9 * unit  # how far older states moved plays no part
Z_try[-1], F_try[-1] = 0, steps * unit
best_try, image_try = 0 * best_try, unit.expand(4, 5)
for lost, goes in ((1.0, [0, 1, 1, 1]), (2.0, [0, 0, 1, 1]), (7.0, [0, 0, 0, 1])):
    Z_new, F_new = forget(Z_try, F_try, best_try, image_try, lost)
    for i in range(4):
        back = bool(goes[i])
        assert torch.equal(
            Z_new[:, i], best_try[i].expand(3, 5) if back else Z_try[:, i]
        ), (
            "whether a sample goes back is decided by the length of its newest move, "
            "against lost times that of its best state; equal is still allowed"
        )
        assert torch.equal(
            F_new[:, i], image_try[i].expand(3, 5) if back else F_try[:, i]
        ), "states and images go back together"
rough = torch.randn(4, 5, generator=g)
Z_new, _ = forget(Z_try, Z_try + rough, best_try, best_try + rough.flip(1), 1.0 + 1e-9)
assert torch.equal(Z_new, Z_try), (
    "the length of a move is its 2-norm, which does not depend on the order of the entries"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The newest move is `F[-1] - Z[-1]`, and the best one `image - best`: two lengths for each sample.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Every comparison with NaN is false. So ask whether the move is allowed, and turn the answer round
# with `~`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.where(back, best, Z)` with `back` of shape `(batch, 1)` broadcasts over the history as well.
# For infinite moves add `& newest.isfinite()`.
#
# </details>

# %% [markdown]
# Now put them together, and look at 100 samples of a small Lasso: with a memory of five differences
# and of ten, with and without the safeguard.


# %%
def accelerated(step, z0, tol, limit, memory=5, lost=2.0):
    """Anderson's method with your functions; return the best residuals, (limit, batch)."""
    Z, F = z0[None], step(z0)[None]
    best, image, residuals = z0, F[0], []
    for _ in range(limit):
        least = (image - best).norm(dim=1)
        residuals.append(least / image.norm(dim=1))
        Z, F = forget(Z, F, best, image, lost)
        rests = (residuals[-1] <= tol)[:, None]
        z = torch.where(rests, best, anderson_next(Z, F))
        f = step(z)
        better = ((f - z).norm(dim=1) < least)[:, None]
        best, image = torch.where(better, z, best), torch.where(better, f, image)
        Z, F = (
            torch.cat([Z, z[None]])[-memory - 1 :],
            torch.cat([F, f[None]])[-memory - 1 :],
        )
    return torch.stack(residuals)


small = unroll.SparseCoding.gaussian(
    12, 20, torch.Generator().manual_seed(0), density=0.15
)
b_small, _ = small.sample(100, torch.Generator().manual_seed(1))
step, z0 = lasso_layer(small.A, b_small, 0.05), torch.zeros(100, 20)
found = Picard(tol=1e-8, iterations=250)(step, z0)
arrived = found.iterations.masked_fill(~found.converged, 10**6)
evaluations = range(1, 251)
plain = torch.stack([(arrived <= k).double().mean() for k in evaluations])
shares = {}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3))
for ax, memory in zip(axes, (5, 10), strict=True):
    for name, lost in (("with the safeguard", 2.0), ("without", math.inf)):
        residuals = accelerated(step, z0, 1e-8, 250, memory, lost)
        shares[memory, name] = (residuals <= 1e-8).double().mean(dim=1)
        ax.plot(evaluations, shares[memory, name], label=f"Anderson, {name}")
    ax.plot(evaluations, plain, label="Picard")
    ax.set(title=f"memory {memory}", xlabel="evaluations of the layer", ylim=(0, 1))
axes[0].set_ylabel("share of samples at rest")
axes[0].legend(fontsize=8, loc="upper left")
figure(
    fig,
    caption="ISTA's layer, 100 samples: how many have come to a relative residual of 1e-8.",
    alt="Two panels with rising curves of the share of samples at rest against evaluations. "
    "With memory five, Anderson's method without the safeguard is ahead at first, and both end "
    "near 0.9. With memory ten, the curve with the safeguard is higher and the other one "
    "ends clearly lower. Picard's curve is the lowest in both.",
)

# %%
for memory in (5, 10):
    ours, bare = shares[memory, "with the safeguard"], shares[memory, "without"]
    print(f"memory {memory}: ahead with the safeguard after 120 evaluations:", end=" ")
    print(
        f"{bool(ours[119] > bare[119])}, after 250: {bool(ours[-1] > bare[-1] + 0.05)}"
    )

# %% [markdown]
# The protection has a price. With a short memory Anderson's method seldom goes astray, and the
# safeguard only slows it down. With a long one many samples do not arrive without the safeguard,
# and arrive with it.
#
# Now the race, with the library's three solvers. Two tracks: a layer $\tanh(W z + U b + c)$ with
# symmetric $W$ of norm 0.95, and ISTA's layer for the problem of the cold open. Each sample has its
# own number of evaluations; we draw how many samples have arrived.


# %%
g = torch.Generator().manual_seed(5)
turn = torch.linalg.qr(torch.randn(60, 60, generator=g))[0]
sym = turn * (0.95 * torch.linspace(-1, 1, 60)) @ turn.T
drive = 0.1 * torch.randn(100, 60, generator=g)
tracks = {
    "a contraction, q = 0.95": (
        lambda z: torch.tanh(z @ sym.T + drive),
        torch.zeros(100, 60),
    ),
    "ISTA's layer": (lasso_layer(A, b_test[:100], 0.02), torch.zeros(100, 100)),
}
solvers = {"Picard": Picard, "Anderson": Anderson, "Broyden": Broyden}
medians = {}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3))
for ax, (track, (step, z0)) in zip(axes, tracks.items(), strict=True):
    for name, solver in solvers.items():
        found = solver(tol=1e-6, iterations=3000)(step, z0)
        counts = found.iterations.masked_fill(~found.converged, 10**6).sort().values
        ax.semilogx(counts, torch.linspace(0, 1, len(counts)), label=name)
        medians[track, name] = counts[len(counts) // 2].item()
    ax.set(title=track, xlabel="evaluations of the layer", xlim=(8, 3000))
axes[0].set_ylabel("share of samples at rest")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="Three solvers, 100 samples each, to a relative residual of 1e-6.",
    alt="Two panels, share of samples at rest against evaluations on a logarithmic axis. In "
    "both, the curves of Anderson and Broyden rise first, close to each other; Picard's "
    "rises at several times as many evaluations. ISTA's layer needs hundreds.",
)

# %%
for track in tracks:
    less = {n: medians[track, n] < 0.6 * medians[track, "Picard"] for n in solvers}
    print(f"{track}: median below 60 % of Picard's:", end=" ")
    print(f"Anderson {less['Anderson']}, Broyden {less['Broyden']}")

# %% [markdown]
# An evaluation of the layer is what is counted. Anderson's and Broyden's own arithmetic comes on top;
# it pays where the layer costs more than a few inner products.

# %% [markdown]
# ## 4. The implicit gradient, by hand
#
# A network of a thousand layers has a thousand states to keep for backpropagation. An equilibrium
# model needs one. From here on let $\theta$ be any number that the layer has learned, not only a
# threshold, and differentiate the equation that *defines* the output,
#
# $$ z^\star = f(z^\star, \theta) \quad\Longrightarrow\quad
#    \frac{d z^\star}{d \theta} = J \, \frac{d z^\star}{d \theta} + B, \qquad
#    J = \frac{\partial f}{\partial z}, \quad B = \frac{\partial f}{\partial \theta}, $$
#
# both at $z^\star$. Solve for it, and multiply from the left by the gradient
# $v = \partial \mathcal L / \partial z^\star$ that arrives from the loss:
#
# $$ \boxed{\; \frac{d \mathcal L}{d \theta} = v^\top (I - J)^{-1} B = u^\top B, \qquad
#    u = v + J^\top u . \;} $$
#
# This is the *implicit function theorem*. It needs $I - J$ to be invertible. How $z^\star$ was found
# is not in it: no step of the solver is remembered. And the equation for $u$ is a fixed point again,
# of a linear map, so the same solvers find it. No Jacobian is ever formed: autograd gives $J^\top u$
# for one $u$ at a time (a *vector-Jacobian product*) from the graph of *one* evaluation of the layer.


# %% tags=["given"]
def solve(step, start):
    """Return the fixed point of a map, to rounding, without a graph."""
    with torch.no_grad():
        return Anderson(tol=1e-14, iterations=3000)(step, start).z


def tanh_case(seed, batch=3, n=5, d=4, norm=0.9):
    """A layer f(z, theta) with theta = (n, n + d), its fixed point, theta, and some v."""
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(n, n, generator=g)
    W = norm * W / torch.linalg.matrix_norm(W, 2)
    theta = torch.cat([W, torch.randn(n, d, generator=g)], dim=1).requires_grad_()
    b = torch.randn(batch, d, generator=g)

    def layer(z, theta):
        return torch.tanh(torch.cat([z, b], dim=1) @ theta.T)

    z = solve(lambda z: layer(z, theta), torch.zeros(batch, n))
    return layer, z.detach(), theta, torch.randn(batch, n, generator=g)


def dense(layer, z, theta):
    """J (N, N) and B (N, count) of the whole batch as one system, N = batch * n."""
    jacobian = torch.autograd.functional.jacobian
    J = jacobian(lambda z: layer(z, theta.detach()), z).reshape(z.numel(), -1)
    return J, jacobian(lambda t: layer(z, t), theta.detach()).reshape(z.numel(), -1)


# %% [markdown]
# ### Exercise 16.5 · The gradient of a fixed point
# Difficulty ●●●○○ · 4 points
#
# Write `implicit(f, z, theta, v)`. `f(z, theta)` is the layer, `z` its fixed point `(batch, n)`,
# `theta` a tensor with `requires_grad`, and `v` the gradient of the loss by `z`. Return
# $d \mathcal L / d \theta$, of the shape of `theta`. Evaluate `f` *once*. The function
# `solve(step, start)` above returns the fixed point of a map. `z` may come with a graph of its own,
# which must play no part; leave `z` and `theta` as they are.


# %% nbgrader={"grade": false, "grade_id": "ex16-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def implicit(f, z, theta, v):
    """Return v^T (I - J)^{-1} B, of the shape of theta.

    f: a layer f(z, theta). z, v: (batch, n). theta: a tensor that requires a gradient.
    """
    ### BEGIN SOLUTION
    z = z.detach().requires_grad_()
    image = f(z, theta)

    def adjoint(u):
        return v + torch.autograd.grad(image, z, u, retain_graph=True)[0]

    u = solve(adjoint, v)
    return torch.autograd.grad(image, theta, u)[0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
half = torch.tensor([0.5], requires_grad=True)
rest = torch.full((1, 1), 2.0)
slope = implicit(lambda z, a: a * z + 1, rest, half, torch.ones(1, 1))
assert slope.shape == half.shape, "the gradient has the shape of theta"
assert slope.dtype == torch.float64, FLOAT64
assert torch.allclose(slope, torch.tensor([4.0])), (
    "z = a z + 1 has the solution 1 / (1 - a), whose derivative at 0.5 is 4. With 2 the "
    "inverse of I - J is missing"
)
assert not rest.requires_grad and half.grad is None, (
    "z and theta were changed: detach z, and use torch.autograd.grad, which returns gradients"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-5-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
layer_try, z_try, theta_try, v_try = tanh_case(0)
assert implicit(layer_try, z_try, theta_try, v_try).shape == theta_try.shape, (
    "one number for each number in theta"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    layer_try, z_try, theta_try, v_try = tanh_case(seed)
    J_try, B_try = dense(layer_try, z_try, theta_try)
    wall = torch.eye(len(J_try)) - J_try
    exact = (torch.linalg.solve(wall.T, v_try.flatten()) @ B_try).reshape(5, 9)
    calls = []

    def counted(z, theta, layer=layer_try, calls=calls):
        calls.append(1)
        return layer(z, theta)

    slope = implicit(counted, z_try, theta_try, v_try)
    assert len(calls) == 1, (
        f"the layer was evaluated {len(calls)} times: one graph serves for every "
        "vector-Jacobian product"
    )
    assert torch.allclose(slope, exact, rtol=1e-7, atol=1e-9), (
        "it is not v^T (I - J)^{-1} B: is it J^T u that is added to v, and is u what is "
        "multiplied by B?"
    )
    moved = z_try + theta_try[:, 0].sum()  # not the fixed point, but with a graph
    J_moved, B_moved = dense(layer_try, moved.detach(), theta_try)
    off = torch.linalg.solve((torch.eye(len(J_moved)) - J_moved).T, v_try.flatten())
    found = implicit(layer_try, moved, theta_try, v_try)
    assert torch.allclose(found, (off @ B_moved).reshape(5, 9), rtol=1e-7, atol=1e-9), (
        "z may come with a graph, and its path to theta must not be counted: detach z"
    )
    change = torch.zeros(5, 9)
    change[1, 2] = 1e-5
    ends = []
    for other in (theta_try + change, theta_try - change):
        ends.append(solve(lambda z, f=layer_try, t=other: f(z, t), z_try))
    difference = ((ends[0] - ends[1]) * v_try).sum() / 2e-5
    assert torch.allclose(slope[1, 2], difference, rtol=1e-5, atol=1e-7), (
        "difference quotients of the fixed point say another gradient"
    )
    assert theta_try.grad is None, "gradients are returned, not left in theta.grad"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three steps: a graph from a detached `z` to its image; the fixed point `u` of $u = v + J^\top u$;
# one more product, with $B$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(image, z, u)` is $J^\top u$, and `torch.autograd.grad(image, theta, u)` is
# $u^\top B$. A graph that is to be used again needs `retain_graph=True`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# What `solve` is given is the map from $u$ to
# `v + torch.autograd.grad(image, z, u, retain_graph=True)[0]`, and `v` to start from.
#
# </details>

# %% [markdown]
# How does that compare with autograd through all iterations of Picard? That gradient is the exact one
# of $z_K$, and $z_K$ is not $z^\star$. For a contraction it tends to the implicit gradient, at the
# speed of the iteration, and keeps every state in memory.

# %%
layer, z, theta, v = tanh_case(3)
exact = implicit(layer, z, theta, v)
depths, errors = range(1, 31), []
for depth in depths:
    state = torch.zeros_like(z)
    for _ in range(depth):
        state = layer(state, theta)
    (through,) = torch.autograd.grad(state, theta, v)
    errors.append(((through - exact).norm() / exact.norm()).item())

# %% tags=["picture"]
fig, ax = plt.subplots()
ax.semilogy(depths, errors, marker="o", ms=3, label="autograd through K iterations")
ax.set(xlabel="iterations K, each with its state in memory", ylabel="relative error")
ax.legend(fontsize=8)
figure(
    fig,
    caption="The gradient through K iterations of Picard, compared with the implicit one, "
    "which keeps the graph of one layer.",
    alt="A curve that falls along a straight line on a logarithmic axis, from about one to "
    "1e-14, where rounding ends it after about twenty-five iterations.",
)

# %%
print("after 30 iterations they agree to 1e-6:", errors[-1] < 1e-6)

# %% [markdown]
# ## 5. The slope of the Lasso
#
# Every chapter of this part had to choose λ, from a grid. With an implicit gradient λ can be
# *learned*: the code $x^\star(\lambda)$ is a fixed point, so an error measured on samples whose codes
# are known has a derivative by λ, the **hypergradient** (Bertrand et al. 2020). For the Lasso the
# linear system can be solved on paper.
#
# Let $S$ be the support of the code, $A_S$ the atoms in it, $s = \operatorname{sign} x_S$. Off the
# support a small change of λ changes nothing. On it, section 1's first condition is
# $A_S^\top (b - A_S x_S) = \lambda s$. Differentiate by λ:
#
# $$ -A_S^\top A_S \, \frac{d x_S}{d \lambda} = s
#    \quad\Longrightarrow\quad
#    \frac{d \mathcal L}{d \lambda} = v^\top \frac{d x^\star}{d \lambda} = \;? $$
#
# The atoms in $S$ must be linearly independent. That is when $I - J$ is invertible: a contraction by
# $W_2$ alone is not needed, one on the support is enough.

# %% [markdown]
# ### Exercise 16.6 · What λ does to the code
# Difficulty ●●●○○ · 3 points
#
# Write `slope_by_lam(A, x, v)`: for each sample, the derivative of the loss by λ, from the Lasso's
# code `x` and the gradient `v` of the loss by it. A code without support has slope 0.


# %% nbgrader={"grade": false, "grade_id": "ex16-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def slope_by_lam(A, x, v):
    """Differentiate a loss of the Lasso's codes by lam.

    A: (m, n). x: codes (batch, n). v: gradients by them (batch, n). Returns (batch,).
    """
    ### BEGIN SOLUTION
    slopes = torch.zeros(len(x))
    for i in range(len(x)):
        on = x[i] != 0
        if on.any():
            gram = A[:, on].T @ A[:, on]
            slopes[i] = -v[i, on] @ torch.linalg.solve(gram, x[i, on].sign())
    return slopes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x_try = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
slopes = slope_by_lam(2 * torch.eye(3), x_try, torch.ones(2, 3))
assert slopes.shape == (2,), "one slope for each sample"
assert slopes.dtype == torch.float64, FLOAT64
assert torch.allclose(slopes, torch.zeros(2)), (
    "atoms of length 2: the code 2 falls by 1/4 for a unit of lam, the code -1 rises by as "
    "much, the zeros stay; with v = 1 that adds up to nothing"
)
slopes = slope_by_lam(2 * torch.eye(3), x_try, torch.tensor([[1.0, 5.0, 0.0]] * 2))
assert torch.allclose(slopes, torch.tensor([-0.25, 0.0])), (
    "a larger lam makes the entry 2 smaller, by lam divided by the squared length of its atom"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
one = slope_by_lam(torch.ones(4, 1), torch.full((1, 1), -3.0), torch.ones(1, 1))
assert torch.allclose(one, torch.tensor([0.25])), "a negative entry grows towards zero"
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    A_try = torch.randn(12, 18, generator=g) / math.sqrt(12)
    b_try, v_try = torch.randn(5, 12, generator=g), torch.randn(5, 18, generator=g)
    b_try[4] = 0
    x_try = unroll.active_set(A_try, b_try, 0.15, tol=1e-10).x
    kept = x_try.clone()
    slopes = slope_by_lam(A_try, x_try, v_try)
    assert torch.equal(x_try, kept), "the codes were changed: they are only read"
    on = (x_try != 0).double()
    gram = on[:, :, None] * (A_try.T @ A_try) * on[:, None, :] + torch.diag_embed(
        1 - on
    )
    change = -torch.linalg.solve(gram, (on * x_try.sign())[:, :, None])[:, :, 0]
    assert torch.allclose(slopes, (v_try * change).sum(dim=1), rtol=0, atol=1e-9), (
        "it is not -v_S^T (A_S^T A_S)^{-1} sign(x_S), with each sample's own support"
    )
    near = (0.15 + 1e-5, 0.15 - 1e-5)
    ends = [unroll.active_set(A_try, b_try, lam, tol=1e-10).x for lam in near]
    quotient = ((ends[0] - ends[1]) * v_try).sum(dim=1) / 2e-5
    assert torch.allclose(slopes, quotient, rtol=1e-5, atol=1e-6), (
        "difference quotients of the Lasso say another slope"
    )
    assert slopes[4] == 0, "a code without support stays without one: slope 0"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Supports differ from sample to sample, so a loop over samples is in order. `on = x[i] != 0` selects
# columns of `A` and entries of `v`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Solve the equation above for $d x_S / d \lambda$ and multiply by $v_S$. Mind the sign.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $-v_S^\top (A_S^\top A_S)^{-1} s$; `torch.linalg.solve(gram, x[i, on].sign())` is the second half.
#
# </details>

# %% [markdown]
# The picture shows the squared error of 100 codes, with more noise than before, for a grid of λ, and
# your slopes as tangents. Beside it: a descent along your slopes, from a λ that is far too large, ten
# steps.


# %%
noisy = unroll.SparseCoding(A, density=0.1, snr_db=20.0)
b_noisy, x_noisy = noisy.sample(100, torch.Generator().manual_seed(18))


def squared_error(lam):
    """Mean squared error of the Lasso's codes, and its slope by log(lam)."""
    options = {"tol": 1e-4 * lam, "iterations": 1500, "restart": True}
    x = unroll.fista(A, b_noisy, lam, **options).x
    error = 0.5 * (x - x_noisy).square().sum(dim=1).mean().item()
    return error, lam * slope_by_lam(A, x, x - x_noisy).mean().item()


lams = [0.006 * 2**k for k in range(7)]
values = [squared_error(lam) for lam in lams]
lam, way = 0.3, []
for _ in range(10):
    error, slope = squared_error(lam)
    way.append((lam, error))
    lam = lam * math.exp(-max(-0.7, min(0.7, slope / error)))
way.append((lam, squared_error(lam)[0]))

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(7, 3))
axes[0].loglog(lams, [error for error, _ in values], "o", ms=4, label="error")
for at, (error, slope) in zip(lams, values, strict=True):
    ends = [at * 2**-0.4, at * 2**0.4]
    axes[0].plot(ends, [error * 2 ** (d * slope / error) for d in (-0.4, 0.4)], "C1-")
axes[0].plot([], [], "C1-", label="your slope")
axes[1].loglog(*zip(*way, strict=True), marker="s", ms=4, label="descent along it")
axes[0].set_ylabel("mean squared error / 2")
for ax in axes:
    ax.set_xlabel("λ")
    ax.legend(fontsize=8)
figure(
    fig,
    caption="Left: error of the Lasso's codes against λ, with the slopes that the implicit "
    "gradient gives. Right: ten steps of descent, from λ = 0.3.",
    alt="Left, seven points form a valley on logarithmic axes; at each of them a short "
    "tangent points towards its neighbours. Right, points walk from the upper right end down "
    "the slope and gather at the bottom of the valley.",
)

# %%
best = min(error for error, _ in values)
print(
    "descent ends within 2 % of the best of the grid, or below:",
    way[-1][1] < 1.02 * best,
)

# %% [markdown]
# For one number a grid does as well. But the price of the gradient does not depend on how many
# numbers there are. At the end of the next section we learn sixty.
#
# ## 6. When a wrong gradient is good enough
#
# The backward solve costs as many vector-Jacobian products as it needs. What if we leave it out? Put
# any matrix $P$ in the place of the inverse, and call the result a **phantom gradient** (in this
# section $g$ is a gradient, no longer a move),
#
# $$ \hat g^\top = v^\top P B \qquad\text{instead of}\qquad g^\top = v^\top (I - J)^{-1} B . $$
#
# - **Jacobian-free backpropagation** (Fung et al. 2022): $P = I$. The layer is differentiated once, as
#   if its state came from nowhere.
# - **Neumann phantom** (Geng et al. 2021): if $J$ is small, $(I - J)^{-1} = I + J + J^2 + \dots$, so
#   keep $k$ terms. A *damping* $0 < \tau \le 1$ makes the series safer: of the damped layer
#   $\tau f + (1 - \tau) z$, which has the same fixed points,
#
#   $$ P = \tau \sum_{t=0}^{k-1} M^t, \qquad M = \tau J + (1 - \tau) I . $$
#
#   (The paper writes λ for the damping, a letter that is taken here.)
# - **Unrolled phantom**: from $z^\star$ make $k$ damped steps $h \leftarrow \tau f(h) + (1 - \tau) h$,
#   and let autograd differentiate those. At an exact fixed point it is the Neumann phantom, with $k$
#   graphs in place of one.

# %% [markdown]
# ### Exercise 16.7 · A phantom
# Difficulty ●●●●○ · 3 points
#
# Write `phantom(f, z, theta, v, k, tau)`: the Neumann phantom of $k \ge 1$ terms, with `f` evaluated
# once and no solver. The arguments are those of exercise 16.5, and `z` and `theta` stay as they are.


# %% nbgrader={"grade": false, "grade_id": "ex16-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def phantom(f, z, theta, v, k, tau):
    """Return v^T P B with P = tau sum_{t < k} (tau J + (1 - tau) I)^t.

    f: a layer f(z, theta). z, v: (batch, n). k: int >= 1. tau: number in (0, 1].
    """
    ### BEGIN SOLUTION
    z = z.detach().requires_grad_()
    image = f(z, theta)
    term = total = v
    for _ in range(k - 1):
        (back,) = torch.autograd.grad(image, z, term, retain_graph=True)
        term = tau * back + (1 - tau) * term
        total = total + term
    return torch.autograd.grad(image, theta, tau * total)[0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
half, rest = torch.tensor([0.5], requires_grad=True), torch.full((1, 1), 2.0)
linear = lambda z, a: a * z + 1  # noqa: E731
slope = phantom(linear, rest, half, torch.ones(1, 1), 1, 1.0)
assert slope.shape == half.shape, "the gradient has the shape of theta"
assert slope.dtype == torch.float64, FLOAT64
assert torch.allclose(slope, torch.tensor([2.0])), (
    "one undamped term is Jacobian-free: v^T B, and B = z = 2"
)
slope = phantom(linear, rest, half, torch.ones(1, 1), 3, 1.0)
assert torch.allclose(slope, torch.tensor([3.5])), "three terms: 2 (1 + 1/2 + 1/4)"
slope = phantom(linear, rest, half, torch.ones(1, 1), 2, 0.5)
assert torch.allclose(slope, torch.tensor([1.75])), (
    "damped by 0.5: M = 0.5 * 0.5 + 0.5 = 0.75, and 0.5 (1 + 0.75) times B = 2"
)
assert not rest.requires_grad and half.grad is None, (
    "z and theta were changed: detach z, and use torch.autograd.grad, which returns gradients"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
slope = phantom(linear, rest, half, torch.ones(1, 1), 60, 1.0)
assert torch.allclose(slope, torch.tensor([4.0])), "many terms are the exact gradient"
### BEGIN HIDDEN TESTS
for seed in range(3):
    layer_try, z_try, theta_try, v_try = tanh_case(seed)
    J_try, B_try = dense(layer_try, z_try, theta_try)
    eye = torch.eye(len(J_try))
    for k, tau in ((1, 1.0), (1, 0.3), (2, 0.5), (5, 0.5), (9, 0.8)):
        calls = []

        def counted(z, theta, layer=layer_try, calls=calls):
            calls.append(1)
            return layer(z, theta)

        M_try = tau * J_try + (1 - tau) * eye
        P_try = tau * sum(torch.linalg.matrix_power(M_try, t) for t in range(k))
        expected = (v_try.flatten() @ P_try @ B_try).reshape(theta_try.shape)
        slope = phantom(counted, z_try, theta_try, v_try, k, tau)
        assert len(calls) == 1, "the layer is evaluated once: all terms share its graph"
        assert torch.allclose(slope, expected, rtol=0, atol=1e-10), (
            f"k = {k}, tau = {tau}: it is not the sum of the first k terms; the powers of "
            "M begin with the zeroth, and the whole sum is multiplied by tau"
        )
    moved = z_try + theta_try[:, 0].sum()
    J_moved, B_moved = dense(layer_try, moved.detach(), theta_try)
    expected = (v_try.flatten() @ (eye + J_moved) @ B_moved).reshape(theta_try.shape)
    slope = phantom(layer_try, moved, theta_try, v_try, 2, 1.0)
    assert torch.allclose(slope, expected, rtol=0, atol=1e-10), (
        "z may come with a graph of its own, which must play no part: detach it"
    )
    assert theta_try.grad is None, "gradients are returned, not left in theta.grad"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# It is `implicit` without the solve: the sum over $t$ is built up by a loop of vector-Jacobian products.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Keep two vectors: the newest term $M^{t\top} v$, and the sum of all so far. The next term is
# $\tau J^\top$ `term` $+ (1 - \tau)$ `term`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The first term is $v$ itself, so the loop runs $k - 1$ times. At the end the sum is multiplied by
# $\tau$ and carried to `theta` with `torch.autograd.grad(image, theta, ...)`.
#
# </details>

# %% [markdown]
# How wrong is it? Multiply out, with $I - M = \tau (I - J)$ and the formula of a geometric sum:
#
# $$ (I - J) P - I \;=\; (I - M) \sum_{t<k} M^t - I \;=\; -M^k \;=\; -\big( \tau J + (1 - \tau) I \big)^k . $$
#
# No approximation: call this the **error factor** $R = -M^k$. Now write
# $u^\top = v^\top (I - J)^{-1}$. Then $v^\top P = u^\top (I + R)$, and the inner product of the
# phantom with the true gradient is
#
# $$ \hat g^\top g = u^\top (I + R) B B^\top u
#    \;\ge\; \left( \sigma_{\min}^2(B) - \|R\|_2 \, \sigma_{\max}^2(B) \right) \|u\|^2 . $$
#
# **Theorem** (Geng et al. 2021, in this form). If
#
# $$ \|R\|_2 \le \left( \frac{\sigma_{\min}(B)}{\sigma_{\max}(B)} \right)^{2}, $$
#
# the phantom does not point uphill. A wrong gradient may be a good direction; and this is when. With
# $\|J\|_2 \le q$ we have $\|R\|_2 \le (1 - \tau (1 - q))^k$, so the condition can always be met with
# enough terms, unless $\sigma_{\min}(B) = 0$. Here $\sigma_{\min}(B)$ is the least *gain*
# $\|B^\top u\| / \|u\|$ over all $u$. It is positive only if $B$, with a row for each number of the
# state and a column for each parameter, has linearly independent rows: at least as many parameters as
# numbers in the state.

# %% [markdown]
# ### Exercise 16.8 · How many terms are enough
# Difficulty ●●●●○ · 3 points
#
# Write `terms_needed(B, q, tau)`: the least $k \ge 1$ with
# $(1 - \tau (1 - q))^k \le (\sigma_{\min}(B) / \sigma_{\max}(B))^2$, as an int, for $0 \le q < 1$. If
# $\sigma_{\min}(B)$ is zero, no number of terms is enough: return `math.inf`. Numbers are rounded, so
# count $\sigma_{\min} \le 10^{-12} \sigma_{\max}$ as zero. `B` is a non-zero matrix of any shape.


# %% nbgrader={"grade": false, "grade_id": "ex16-8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def terms_needed(B, q, tau):
    """Return how many terms make a phantom safe, an int, or math.inf.

    B: (states, parameters). q: number in [0, 1). tau: number in (0, 1].
    """
    ### BEGIN SOLUTION
    gains = torch.linalg.svdvals(B)
    if B.shape[0] > B.shape[1] or gains[-1] <= 1e-12 * gains[0]:
        return math.inf
    allowed = (gains[-1] / gains[0]).item() ** 2
    k, left = 1, 1 - tau * (1 - q)
    while left > allowed:
        k, left = k + 1, left * (1 - tau * (1 - q))
    return k
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex16-8-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert terms_needed(torch.eye(3), 0.9, 0.5) == 1, (
    "if all gains are equal, every bound below 1 is allowed: one term is enough"
)
B_try = torch.diag(torch.tensor([2.0, 1.0]))
assert terms_needed(B_try, 0.5, 1.0) == 2, (
    "gains 2 and 1: the bound must fall to (1/2)^2, and 0.5^k does so at k = 2. With 1 the "
    "square is missing"
)
assert terms_needed(B_try, 0.5, 0.5) == 5, "damped by 0.5, the bound is 0.75^k"
assert terms_needed(torch.ones(2, 2), 0.5, 1.0) == math.inf, (
    "rows that depend on each other: some u is lost entirely, and no k is enough"
)

# %% nbgrader={"grade": true, "grade_id": "ex16-8-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert isinstance(terms_needed(torch.eye(2), 0.5, 1.0), int), "a count is an int"
### BEGIN HIDDEN TESTS
B_try = torch.diag(torch.tensor([2.0, 1.0]))
assert terms_needed(B_try, 0.0, 1.0) == 1, "where J = 0 the first term is exact"
lost = torch.diag(torch.tensor([1.0, 1e-15]))
assert terms_needed(lost, 0.5, 1.0) == math.inf, (
    "below a part of 1e-12 of the largest gain another counts as zero"
)
for seed in range(6):
    g = torch.Generator().manual_seed(seed)
    B_try = torch.randn(3, 7, generator=g)
    kept = B_try.clone()
    spread = torch.linalg.eigvalsh(B_try @ B_try.T)
    for q, tau in ((0.3, 1.0), (0.9, 0.5), (0.99, 1.0), (0.5, 0.1)):
        k = terms_needed(B_try, q, tau)
        rate, allowed = 1 - tau * (1 - q), (spread[0] / spread[-1]).item()
        assert rate**k <= allowed * (1 + 1e-9), (
            "after so many terms the bound still fails"
        )
        assert k == 1 or rate ** (k - 1) > allowed * (1 - 1e-9), (
            "one term less is enough, too"
        )
    assert torch.equal(B_try, kept), "the argument B was changed"
    assert terms_needed(B_try.T, 0.5, 1.0) == math.inf, (
        "more states than parameters: some u has B^T u = 0, though no singular value that "
        "svdvals returns is zero"
    )
    thin = B_try * torch.tensor([1.0, 1.0, 1e-5])[:, None]
    assert terms_needed(thin, 0.5, 1.0) < 60, "a small gain is not a gain of zero"
    thin = B_try * torch.tensor([1.0, 1.0, 1e-15])[:, None]
    assert terms_needed(thin, 0.5, 1.0) == math.inf, (
        "below a part of 1e-12 a gain counts as zero: it is relative to the largest one"
    )
    tiny = terms_needed(1e-14 * B_try, 0.5, 1.0)
    assert tiny == terms_needed(B_try, 0.5, 1.0), "the unit of B plays no part"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svdvals(B)` are the singular values, the largest first. How many of them are there for
# a tall matrix, and which gain does it not tell?
#
# </details>
# <details><summary>Hint 2</summary>
#
# A matrix with more rows than columns has some $u \ne 0$ with $B^\top u = 0$. For the others, count
# terms in a loop until the bound is small enough.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Multiply a number that starts at $1 - \tau (1 - q)$ by itself until it is at most
# `(gains[-1] / gains[0]) ** 2`; infinite if `B.shape[0] > B.shape[1]`.
#
# </details>

# %% [markdown]
# Is the theorem true, and is it needed? Draw thousands of random cases with four states and nine
# parameters, some stretching, for $k = 1, 2, 5, 10$ and $\tau = 0.5$. Left of the line the theorem
# promises a cosine of at least 0. Right of it it promises nothing.

# %%
g = torch.Generator().manual_seed(6)
J = torch.randn(3000, 4, 4, generator=g)
J = (
    1.2
    * torch.rand(3000, 1, 1, generator=g)
    * J
    / torch.linalg.matrix_norm(J, 2)[:, None, None]
)
B, v = torch.randn(3000, 4, 9, generator=g), torch.randn(3000, 1, 4, generator=g)
eye = torch.eye(4)
exact = v @ torch.linalg.inv(eye - J) @ B
strain, cosine = [], []
for k in (1, 2, 5, 10):
    M = 0.5 * J + 0.5 * eye
    P = 0.5 * sum(torch.linalg.matrix_power(M, t) for t in range(k))
    R = torch.linalg.matrix_norm((eye - J) @ P - eye, 2)
    gains = torch.linalg.svdvals(B)
    strain.append(R / (gains[:, -1] / gains[:, 0]).square())
    cosine.append(torch.cosine_similarity(v @ P @ B, exact, dim=2)[:, 0])
strain, cosine = torch.cat(strain), torch.cat(cosine)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.2))
for uphill, colour, name in ((False, "C0", "not uphill"), (True, "C1", "uphill")):
    some = (cosine < 0) == uphill
    ax.plot(strain[some], cosine[some], ".", ms=2.5, color=colour, label=name)
ax.axvline(1, color="k", lw=1)
ax.set(xscale="log", xlim=(3e-4, 3e3), xlabel="‖R‖ / (σ_min / σ_max)²")
ax.set_ylabel("cosine with the exact gradient")
ax.legend(fontsize=8, markerscale=4)
figure(
    fig,
    caption="Twelve thousand phantom gradients of random layers. Left of the line the condition of the "
    "theorem holds.",
    alt="A cloud of points, cosine against the size of the error relative to what is allowed, on a "
    "logarithmic axis. Left of the line at 1 the cosine is close to one. Beyond the line the cloud "
    "widens; most points are still above zero, and some, in another colour, lie below, down to "
    "minus one.",
)

# %%
inside = strain <= 1
print("within the condition, more than 1000 cases:", bool(inside.sum() > 1000))
print("... of them uphill:", int((cosine[inside] < 0).sum()))
print("outside it, some point uphill:", bool((cosine[~inside] < 0).any()))

# %% [markdown]
# Both halves matter. Inside, none of the cases points uphill, as proved; random ones are even close
# to the exact gradient. Outside, most phantoms are good directions all the same: the condition is
# sufficient and not necessary, and a worst case is rare among random ones. But there are some.
#
# How many terms does a real layer need? Take $\tanh(W z + U b + c)$ with 100 states and a norm of $W$
# that is just at the bound.

# %% tags=["picture"]
fig, ax = plt.subplots()
for q in (0.5, 0.9, 0.99):
    g = torch.Generator().manual_seed(7)
    net = ContractiveLayer(100, 20, bound=q, generator=g).double()
    with torch.no_grad():
        net.V.copy_(
            torch.linalg.qr(net.V)[0]
        )  # orthogonal: all directions at the bound
    b, v = torch.randn(16, 20, generator=g), torch.randn(16, 100, generator=g)
    z = solve(lambda z, net=net, b=b: net(z, b), torch.zeros(16, 100))

    def by_V(gradient, net=net, b=b, z=z, v=v):
        out = Equilibrium(net, Anderson(tol=1e-12), gradient)(z, b)
        return torch.autograd.grad(out, net.V, v)[0].flatten()

    exact = by_V(IFT(Anderson(tol=1e-12)))
    terms = range(1, 21)
    off = [
        1 - torch.cosine_similarity(by_V(NeumannPhantom(k, 0.5)), exact, dim=0)
        for k in terms
    ]
    ax.semilogy(terms, off, marker="o", ms=3, label=f"q = {q}")
ax.set(xlabel="terms k, damping 0.5", ylabel="1 − cosine with the exact one")
ax.legend(fontsize=8)
figure(
    fig,
    caption="How far the direction of a phantom is from that of the exact gradient, for three "
    "norms of the state matrix.",
    alt="Three falling lines of one minus the cosine against the number of terms, on a "
    "logarithmic axis: the smaller q, the lower and the steeper.",
)

# %% [markdown]
# ### A network that may be run on
#
# Back to the cold open. Which numbers may be learned, if a fixed point is to stay? A layer of descent
# on a convex problem has one whatever the *problem's* numbers are. So learn the problem: a weight
# $\lambda_i > 0$ for each atom. Here atoms are not alike: every second one is used with probability
# 0.18, the others with 0.02, and there is plenty of noise. No grid can try sixty weights. Five terms
# of a phantom, and Adam on their logarithms.

# %%
g = torch.Generator().manual_seed(8)
D = unroll.SparseCoding.gaussian(30, 60, g, density=0.1).A
usage = torch.where(torch.arange(60) % 2 == 0, 0.18, 0.02)
t = 1 / torch.linalg.matrix_norm(D, 2) ** 2


def draw(count, g):
    """Measurements and codes whose atoms are not used alike."""
    x = torch.randn(count, 60, generator=g) * (
        torch.rand(count, 60, generator=g) < usage
    )
    return x @ D.T + 0.1 * torch.randn(count, 30, generator=g), x


def weighted(x, b, logs):
    """ISTA's layer with a weight of its own for each atom."""
    return unroll.soft_threshold(x + t * (b - x @ D.T) @ D, t * logs.exp())


def nmse_of_lasso(lam):
    """Error of the exact Lasso with one weight for all atoms."""
    options = {"tol": 1e-3 * lam, "iterations": 800, "restart": True}
    return unroll.nmse_db(unroll.fista(D, b_new, lam, **options).x, x_new).item()


b_new, x_new = draw(1000, torch.Generator().manual_seed(9))
one_weight = {lam: nmse_of_lasso(lam) for lam in (0.03, 0.045, 0.06, 0.085, 0.12)}
best_lam = min(one_weight, key=one_weight.get)

# %%
logs = torch.full((60,), best_lam).log().requires_grad_()
resting = Equilibrium(weighted, Anderson(tol=1e-6), NeumannPhantom(5, 0.5))
adam = torch.optim.Adam([logs])
for i in range(40):
    adam.param_groups[0]["lr"] = 0.2 * (1 - i / 40)
    b, x = draw(32, g)
    loss = unroll.nmse_db(resting(torch.zeros_like(x), b, logs), x)
    adam.zero_grad()
    loss.backward()
    adam.step()

# %%
with torch.no_grad():
    x, errors = torch.zeros_like(x_new), []
    for _ in range(1000):
        x = weighted(x, b_new, logs)
        errors.append(unroll.nmse_db(x, x_new).item())

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3))
axes[0].semilogx(range(1, 1001), errors, label="60 learned weights")
axes[0].axhline(
    one_weight[best_lam], color="k", lw=0.8, ls="--", label="best Lasso, one λ"
)
axes[0].set(xlabel="repeats of the layer", ylabel="NMSE in dB (ratio)")
axes[0].legend(fontsize=8)
weights = logs.detach().exp()
for first, marker, name in ((0, "o", "used often"), (1, "s", "used rarely")):
    axes[1].plot(
        range(first, 60, 2), weights[first::2], marker, ms=4, ls="", label=name
    )
axes[1].axhline(best_lam, color="k", lw=0.8, ls="--")
axes[1].set(xlabel="atom", ylabel="learned weight", ylim=(0, None))
axes[1].legend(fontsize=8)
figure(
    fig,
    caption="Left: a layer whose weights were learned at its fixed point, repeated. Right: the "
    "weights. Dashed: the best single λ.",
    alt="Left, the error falls with the repeats, passes the dashed line of the best Lasso after "
    "about a hundred, and stays level up to a thousand. Right, the weights of atoms that are "
    "used rarely lie well above the dashed line, those of the others near it or below.",
)

# %%
print("better than the best single weight:", errors[-1] < one_weight[best_lam])
print(
    "run on from 500 to 1000 repeats, it stays:", abs(errors[-1] - errors[499]) < 0.05
)
print(
    "rare atoms cost more:", bool(weights[1::2].median() > 1.3 * weights[::2].median())
)

# %% [markdown]
# ## The library's version
#
# `unroll.equilibrium` has the same parts: `Equilibrium(step, solver, gradient)`, where solver and
# gradient are values. Are they the same?

# %%
layer, z, theta, v = tanh_case(11)


def by_library(gradient):
    """Gradient by theta of the layer at its fixed point."""
    net = Equilibrium(layer, Anderson(tol=1e-14), gradient)
    return torch.autograd.grad(net(torch.zeros_like(z), theta), theta, v)[0]


step = lasso_layer(A, b_few, 0.02)
mine, looks = picard(step, torch.zeros(20, 100), 1e-6, 3000)
theirs = Picard(tol=1e-6, iterations=3000)(step, torch.zeros(20, 100))
net = ContractiveLayer(
    6, 3, bound=0.7, generator=torch.Generator().manual_seed(1)
).double()
first = layer(torch.zeros_like(z), theta)
states = torch.stack([torch.zeros_like(z), first])
images = torch.stack([first, layer(first, theta)])
third = Anderson(tol=1e-14, iterations=3)(
    lambda z: layer(z, theta), torch.zeros_like(z)
).z
pairs = {
    "Picard, the states": (mine, theirs.z),
    "Picard, the looks": (looks, theirs.iterations),
    "a bounded matrix": (bounded(net.V, 0.7), net.W),
    "Anderson's step": (anderson_next(states, images), third),
    "IFT": (implicit(layer, z, theta, v), by_library(IFT(Anderson(tol=1e-14)))),
    "Jacobian-free": (phantom(layer, z, theta, v, 1, 1.0), by_library(JacobianFree())),
    "Neumann phantom": (
        phantom(layer, z, theta, v, 5, 0.5),
        by_library(NeumannPhantom(5, 0.5)),
    ),
    "unrolled phantom": (
        phantom(layer, z, theta, v, 5, 0.5),
        by_library(UnrolledPhantom(5, 0.5)),
    ),
}
for name, (one, other) in pairs.items():
    print(f"{name}, equal to 1e-8:", bool((one - other).abs().max() < 1e-8))

# %% [markdown]
# The library says when a fixed point was not reached: `solve` returns the residual and `converged`
# for each sample, and the gradients warn. A second derivative by the phantoms or the implicit
# gradient is refused, since it would be that of another function.
#
# ## Signature result: what an exact gradient is worth
#
# The benchmark trains one convolution with 16 channels, repeated to its fixed point, on the small
# digits of scikit-learn: three seeds, six epochs, one thread. Its filters are bounded so that the
# layer contracts. All sides solve the forward pass with the same method to the same residual.
# torchdeq is the library of the field, with the same layer. The clock runs for the backward pass
# only.

# %%
record = stored("equilibrium")
rows = record["rows"]


def relative(name):
    """Backward seconds as parts of those of our IFT, one for each seed."""
    pairs = zip(rows[name]["backward_ms"], rows["IFT"]["backward_ms"], strict=True)
    return [one / other for one, other in pairs]


# %% tags=["front-page", "picture"]
markers = dict(zip(rows, "osD^vPX", strict=True))
fig, ax = plt.subplots(figsize=(7, 3.6))
for name, row in rows.items():
    times, off = relative(name), row["one_minus_cosine"]
    middle = statistics.median(times)
    ax.plot([min(times), max(times)], [off, off], color="0.4", lw=1.5, ls="-")
    hollow = {"mfc": "none", "ms": 12} if name == "UnrolledPhantom(5)" else {"ms": 8}
    ax.plot(middle, off, markers[name], ls="", label=name, **hollow)
ax.set(xscale="log", yscale="log", xlim=(0.1, 12), ylim=(1e-12, 3e-2))
ax.set_xlabel("backward pass, in parts of that of IFT")
ax.set_ylabel("1 − cosine with the exact gradient")
ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
figure(
    fig,
    caption="The price of a gradient against how far its direction is from the exact one: digits, "
    "three seeds; markers are medians, lines the range.",
    alt="A scatter plot on logarithmic axes. At the left, cheap and less exact: Jacobian-free at "
    "about a seventh of IFT's time, then the phantoms of five terms at about four tenths. "
    "IFT stands at 1 and 1e-9. To its right are autograd through all iterations and, at several "
    "times the price, torchdeq's implicit gradient.",
)

# %%
learning = record["learning"]
print(
    "                       backward   1 - cosine   training loss         test accuracy"
)
for name, row in rows.items():
    accuracy = ", ".join(f"{100 * a:.1f}" for a in row["accuracy"])
    losses = learning[name]["loss"] if name in learning else []
    loss = ", ".join(f"{one:.3f}" for one in losses) or "-"
    off, share = row["one_minus_cosine"], statistics.median(relative(name))
    print(f"{name:22} {share:8.2f} {off:12.0e}   {loss:21} {accuracy} %")
for name in ("layer frozen", "gradient reversed"):
    row = learning[name]
    accuracy = ", ".join(f"{100 * a:.1f}" for a in row["accuracy"])
    loss = ", ".join(f"{one:.3f}" for one in row["loss"])
    print(f"{name:22} {'-':>8} {'-':>12}   {loss:21} {accuracy} %")
quick = statistics.median(relative("NeumannPhantom(5)")) < 0.6
worst = max(max(learning[name]["loss"]) for name in rows if name in learning)
print("five terms of a phantom take below 0.6 of IFT's time:", quick)
frozen = min(learning["layer frozen"]["loss"])
print("every gradient's loss is below the frozen layer's:", worst < frozen)

# %% [markdown]
# Five terms of a phantom take less than half of the time of the exact gradient, the Jacobian-free one
# about a seventh, and neither costs accuracy that three seeds could show. Autograd through all
# iterations, the baseline that needs no theory, is the slowest of ours, and keeps all states.
#
# **Negative controls.** The last two rows are what makes the others mean something, and they teach
# caution. With the layer's gradient *reversed* the training fails: direction matters. With the layer
# *frozen* at its random start only the last, linear map learns, and yet the test accuracy is within a
# percent of the others. So accuracy on these digits cannot tell one gradient from another! The
# training loss can: the frozen layer's is higher by more than half, and the gradients differ from
# each other by a few percent of it, the exact one the lowest. Whoever reports only that "the cheap
# gradient reaches the same accuracy" should show the frozen layer, too.
#
# How far a solver goes by default matters as much. The same layer of ISTA, handed to each library as
# it comes:

# %%
print("                            evaluations   largest duality gap")
for name, row in record["lasso"].items():
    print(f"{name:26} {row['iterations']:12d} {row['gap']:19.1g}")

# %% [markdown]
# torchdeq's defaults stop after 40 evaluations, with a gap a hundred times as large. No error is
# raised. A fixed point is a claim; the residual, or here the gap, is its proof.
#
# ## An experiment to change
#
# When does the theorem promise anything for a real layer? For $\tanh(W z + U b + c)$ the table lists,
# for single samples, the condition's two sides and the number of terms that would be enough, beside
# the angle between the phantom of five terms and the exact gradient.

# %%
BOUND, TAU, TERMS = 0.9, 0.5, 5
STATES, INPUTS, SIZE = 8, 4, 1.0  # SIZE: of the inputs

g = torch.Generator().manual_seed(12)
net = ContractiveLayer(STATES, INPUTS, bound=BOUND, generator=g).double()
print("sample   norm of R   allowed   terms that are enough   angle")
for sample in range(5):
    b, v = (
        SIZE * torch.randn(1, INPUTS, generator=g),
        torch.randn(1, STATES, generator=g),
    )
    theta = torch.cat([net.W, net.U, net.c[:, None]], dim=1).detach().requires_grad_()

    def layer(z, theta, b=b):
        return torch.tanh(torch.cat([z, b, torch.ones(1, 1)], dim=1) @ theta.T)

    z = solve(
        lambda z, layer=layer, theta=theta: layer(z, theta), torch.zeros(1, STATES)
    )
    J, B = dense(layer, z, theta)
    M = TAU * J + (1 - TAU) * torch.eye(STATES)
    R = torch.linalg.matrix_norm(torch.linalg.matrix_power(M, TERMS), 2)
    gains = torch.linalg.svdvals(B)
    pair = phantom(layer, z, theta, v, TERMS, TAU), implicit(layer, z, theta, v)
    cosine = torch.cosine_similarity(*(p.flatten() for p in pair), dim=0)
    enough_terms = terms_needed(B, torch.linalg.matrix_norm(J, 2).item(), TAU)
    print(
        f"{sample:6d} {R:11.2f} {(gains[-1] / gains[0]).square():9.2g} "
        f"{enough_terms:14} {math.degrees(math.acos(min(cosine, 1.0))):15.0f}°"
    )

# %% [markdown]
# Change one thing at a time, and guess first:
#
# - `SIZE = 3.0`: some of the $\tanh$ saturate. Which side of the condition suffers, and why is the
#   angle still small?
# - `BOUND = 0.5`, then 0.99. `TAU = 1.0`: fewer terms, or more?
# - `TERMS = 1`: the Jacobian-free gradient, damped. Does damping change its direction?
# - Set `theta` to `net.c` only (and `layer` accordingly): as many parameters as states. What is `B`
#   then?
#
# ## When it fails
#
# **A fixed point that is not there.** The layer $\max(0, z + 0.3)$ of section 2 has none. What does a
# solver say of it?

# %%
runaway = lambda z: torch.relu(z + 0.3)  # noqa: E731
for tol in (1e-2, 1e-3):
    found = Picard(tol=tol, iterations=5000)(runaway, torch.zeros(1, 3))
    print(
        f"tol {tol:g}: 'converged': {bool(found.converged)}, size of z above 0.5 / tol: ",
        end="",
    )
    print(bool(found.z.norm() > 0.5 / tol))
shift = torch.tensor(0.3, requires_grad=True)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    z = IFT()(
        lambda z: torch.relu(z + shift),
        Picard(tol=1e-3, iterations=5000),
        torch.zeros(1, 3),
    )
    z.sum().backward()
print(
    "the backward solve warns:", any("backward solve" in str(w.message) for w in told)
)

# %% [markdown]
# It says "converged". The state grows by 0.3 in every step, and a step that stays the same is small
# *relative to a state that grows*: the relative residual falls like $1/k$. No tolerance helps, only
# more steps. Two things reveal it. The state depends on `tol`, which that of a true fixed point
# hardly does. And the backward solve fails: $J = I$, there is no inverse, and IFT warns. A phantom
# would not have noticed.
#
# **A fixed point that is there and not found.** The layer $\tanh(-2.5 z + 0.3)$ sends Picard into a
# cycle of two. Broyden's method is not stopped by it, and the implicit gradient at what it finds is
# right: it needs $I - J$ to be invertible, and not that anything contracts.

# %%
weight = torch.tensor([[-2.5]], requires_grad=True)
cycle = lambda z, w: torch.tanh(z @ w.T + 0.3)  # noqa: E731
with torch.no_grad():
    start = torch.full((1, 1), 0.2)
    by_picard = Picard(tol=1e-10)(lambda z: cycle(z, weight), start)
    by_broyden = Broyden(tol=1e-14)(lambda z: cycle(z, weight), start)
print(
    "Picard converged:",
    bool(by_picard.converged),
    "  Broyden:",
    bool(by_broyden.converged),
)
z = by_broyden.z
value = cycle(z, weight)
(u,) = torch.autograd.grad(value, weight)
slope_of_tanh = 1 - value.detach() ** 2
exact = (slope_of_tanh * z / (1 + 2.5 * slope_of_tanh)).item()
ends = [
    Broyden(tol=1e-14)(lambda z, s=s: torch.tanh((-2.5 + s) * z + 0.3), start).z.item()
    for s in (1e-6, -1e-6)
]
print(
    "implicit gradient by difference quotients:",
    abs((ends[0] - ends[1]) / 2e-6 - exact) < 1e-6,
)
print("Jacobian-free, of the right sign here:", u.item() * exact > 0, end="; ")
print("too large by more than a factor of 2:", abs(u.item()) > 2 * abs(exact))

# %% [markdown]
# **A fixed point that jumps.** Let the input of $\tanh(2.5 z + c)$ change slowly from $-1$ to 1 and
# back, each solve starting from the last state. The output depends on the *history*, and where a
# branch ends, its slope by $c$ is infinite.

# %% tags=["picture"]
sweep = torch.linspace(-1, 1, 201)
fig, axes = plt.subplots(1, 2, figsize=(7, 3))
for inputs, name in ((sweep, "upwards"), (sweep.flip(0), "downwards")):
    z, states, slopes = -inputs[:1, None].sign().neg(), [], []
    for c in inputs:
        z = Picard(tol=1e-12, iterations=20_000)(
            lambda z, c=c: torch.tanh(2.5 * z + c), z
        ).z
        flat = 1 - z.item() ** 2
        states.append(z.item())
        slopes.append(flat / (1 - 2.5 * flat))
    axes[0].plot(inputs, states, label=name)
    axes[1].semilogy(inputs, slopes, label=name)
axes[0].set(xlabel="input c", ylabel="fixed point")
axes[1].set(xlabel="input c", ylabel="slope by c")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="The fixed point of tanh(2.5 z + c) while c moves slowly up and down, and its slope.",
    alt="Left, two S-shaped branches: upwards the state stays low and jumps to the high branch "
    "at a positive input, downwards it stays high and jumps at a negative one. Right, "
    "the slope rises steeply before each jump.",
)

# %% [markdown]
# **Training destroys what it relies on.** Nothing in a loss asks for a fixed point. A layer without a
# bound may contract at the start and stretch after some steps of training; then the solver needs more
# and more evaluations, and in the end it stops without an answer. Bound the layer (section 2), choose
# one that has a fixed point by construction (section 6; `MonotoneLayer` is another), or penalise the
# size of its Jacobian (`jacobian_penalty`). And look at `converged`.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "ISTA's layer is repeated with half the step. What happens to its fixed point?",
        choices=[
            "It stays where it is; only the way there is longer",
            "Its entries are halved",
            "It becomes the minimiser for half the λ",
        ],
        answer="9455ed99e49e",
        hint="Divide the conditions of section 1 by the step.",
    ),
    Question(
        "A layer tanh(W z + U b) has a W of norm 3. What is certain?",
        choices=[
            "It has no fixed point",
            "It has at least one fixed point, and perhaps Picard does not find it",
            "It has exactly one fixed point, and Anderson's method finds it",
        ],
        answer="6e8c70188dbf",
        hint="Its values are bounded and it is continuous. Which theorem speaks then?",
    ),
    Question(
        "What must be kept in memory for the implicit gradient?",
        choices=[
            "All states that the solver has visited",
            "The last states of Anderson's memory",
            "The graph of one evaluation of the layer, at the fixed point",
        ],
        answer="d504ff7b956f",
        hint="Which states appear in v^T (I - J)^{-1} B?",
    ),
    Question(
        "The relative residual is 1e-4. What is certain?",
        choices=[
            "The layer moved this state by one part in ten thousand of its image's size",
            "The state is within one part in ten thousand of a fixed point",
            "A fixed point exists",
        ],
        answer="6495489589b8",
        hint="Remember the layer whose state grows by 0.3 in every step.",
    ),
    Question(
        "A network has fewer parameters than numbers in its state. What does the theorem "
        "on phantoms say?",
        choices=[
            "One term is enough",
            "Nothing, for any number of terms: the least gain of B is zero",
            "The phantom points uphill",
        ],
        answer="2096a1a72f25",
        hint="It is a sufficient condition. Can its right side be positive here?",
    ),
    Question(
        "A cheap gradient reaches the accuracy of the exact one. What do you ask first?",
        choices=[
            "Whether both used the same learning rate schedule for ten more epochs",
            "Whether the cosine between them was above 0.9",
            "What accuracy the network has if the layer is not trained at all",
        ],
        answer="51b726229f93",
        hint="Look at the controls of the signature result.",
    ),
)

# %% [markdown]
# ## Summary
#
# - An equilibrium model's output is the fixed point $z^\star = f(z^\star, b)$ of a layer; its depth is
#   no longer part of the definition. ISTA's layer at equilibrium is the Lasso, whatever its step.
# - A contraction has one fixed point, and Banach's bound tells the number of steps. Without one there
#   may be cycles, several fixed points, or none.
# - Anderson's and Broyden's methods need fewer evaluations than Picard's. Where a layer has kinks, a
#   safeguard protects a long memory, and costs a short one time.
# - The implicit gradient is $u^\top B$ with $u = v + J^\top u$: one more fixed point, one graph, no
#   history. For the Lasso it is $-v_S^\top (A_S^\top A_S)^{-1} \operatorname{sign} x_S$ by λ.
# - A phantom gradient with $k$ damped terms has the error factor $-(\tau J + (1 - \tau) I)^k$. If its
#   norm is at most $(\sigma_{\min}(B) / \sigma_{\max}(B))^2$, it does not point uphill.
# - A small relative residual does not prove a fixed point, and an equal accuracy does not prove a good
#   gradient.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | fixed point | a state that a layer does not change, $z^\star = f(z^\star, b)$ |
# | equilibrium model | a network whose output is the fixed point of a layer |
# | relative residual | $\lVert f(z) - z \rVert / \lVert f(z) \rVert$; how far a state is from rest |
# | Picard's iteration | apply the layer again |
# | contraction | a map that brings any two states closer, by a factor $q < 1$ at least |
# | Anderson's method | the step from the combination of the last states that moves least |
# | Broyden's method | Newton's method with an inverse Jacobian that is corrected after each step |
# | implicit gradient | $v^\top (I - J)^{-1} B$, the gradient of a fixed point |
# | vector-Jacobian product | $J^\top u$, from a graph, without forming $J$ |
# | hypergradient | derivative of an error by a number that defines the problem, such as λ |
# | phantom gradient | $v^\top P B$ with something cheaper, $P$, in the place of the inverse |
# | Jacobian-free | the phantom gradient with $P = I$ |
# | error factor | $(I - J) P - I$; for $k$ damped terms $-(\tau J + (1 - \tau) I)^k$ |
#
# ## Readings
#
# - **Bai, Kolter and Koltun (2019)**, *Deep equilibrium models*, NeurIPS. Look for theorem 1, the
#   gradient, and for how few networks of finite depth are left once a layer may be a block of a
#   transformer.
# - **Geng, Zhang, Bai, Wang and Lin (2021)**, *On training implicit models*, NeurIPS. Look for the two
#   phantoms, for the condition of section 6, and for the accuracy and the time on ImageNet, which are
#   not reproduced here.
# - **Fung, Heaton, Li, McKenzie, Osher and Yin (2022)**, *JFB: Jacobian-free backpropagation for
#   implicit networks*, AAAI. Look for what the layer must satisfy, and compare with $k = 1$.
# - **Walker and Ni (2011)**, *Anderson acceleration for fixed-point iterations*, SIAM J. Numer. Anal.
#   49(4). Look for the unconstrained form, and for theorem 2.2: on a linear map it is GMRES.
# - **Winston and Kolter (2020)**, *Monotone operator equilibrium networks*, NeurIPS. Look for a layer
#   that may stretch, and has one fixed point all the same.
# - **Bertrand, Klopfenstein, Blondel, Vaiter, Gramfort and Salmon (2020)**, *Implicit differentiation
#   of Lasso-type models for hyperparameter optimization*, ICML. Look for how the support makes the
#   linear system small.
