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
# # 11 · ISTA and FISTA
#
# > **Claim.** Sparse codes come from a loop of one matrix product and one threshold, and a certificate tells when to stop it.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | derive the soft threshold from its definition; choose a step size and say what goes wrong beyond it; write ISTA and FISTA for a batch of problems; certify an answer with a duality gap; choose λ and undo its bias; denoise and inpaint a photograph |
# | **Before you start** | linear algebra (norms, eigenvalues, least squares); Python and a little PyTorch (tensors, broadcasting) |
# | **Time** | 120 minutes |
# | **Points** | 18, in seven exercises |

# %% tags=["setup"]
import inspect
import math

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image
from sklearn.linear_model import Lasso
from torch.nn.functional import fold

import unroll
from course.kit import Question, figure, quiz, setup

generator = setup(seed=11)

# %% [markdown]
# ## Cold open: an answer that is too good
#
# (Every chapter begins with a *cold open*: a problem in a picture, before any theory.)
#
# Here is a photograph, spoilt twice: once with noise, once by losing half of its
# pixels. To repair it we cut it into overlapping patches of 8 × 8 pixels and write
# each patch, less its mean, as a combination of *atoms*: 256 small cosine patterns,
# the columns of a matrix $D \in \mathbb R^{64 \times 256}$. A patch $b$ becomes a
# *code* $x$ with $b \approx D x$.
#
# There are four times as many atoms as pixels, so infinitely many codes fit a patch
# exactly. A first course in linear algebra takes the shortest one,
#
# $$ \min_x \|x\|_2^2 \quad \text{subject to} \quad D x = b, \qquad\text{that is}\qquad
#    x = D^\top (D D^\top)^{-1} b . $$
#
# For missing pixels, keep only the rows of $D$ and $b$ that are known. Then paste
# $D x$ back, and average where patches overlap.


# %% tags=["given"]
def crop(name, top, left, side=128):
    """Cut a grey square out of a photograph. Shape (side, side), from 0 to 1."""
    pixels = torch.tensor(load_sample_image(f"{name}.jpg"), dtype=torch.float64)
    return pixels.mean(dim=2)[top : top + side, left : left + side] / 255


def to_patches(image, size=8, stride=2):
    """Cut all patches, one per row. Shape (count, size * size)."""
    windows = image.unfold(0, size, stride).unfold(1, size, stride)
    return windows.reshape(-1, size * size)


def to_image(patches, side=128, size=8, stride=2):
    """Put patches back in place; average where they overlap. Shape (side, side)."""
    where = dict(output_size=(side, side), kernel_size=size, stride=stride)
    total = fold(patches.T[None], **where)
    count = fold(torch.ones_like(patches).T[None], **where)
    return (total / count)[0, 0]


def psnr(image, truth):
    """Peak signal-to-noise ratio in dB; the peak is 1. Higher is better."""
    return -10 * math.log10((image - truth).square().mean())


photo = crop("flower", 60, 180)
sigma = 0.1
D = unroll.dct_dictionary(8, 256)
noisy = photo + sigma * torch.randn(photo.shape, generator=generator)
known = torch.rand(photo.shape, generator=generator) < 0.5
all_known = torch.ones_like(known)


# %%
def shortest_fit(patches, known):
    """Fit each patch's known pixels exactly with the shortest code; return D x."""
    weight = known.to(patches.dtype)
    mean = (weight * patches).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    # D D^T with the rows and columns of missing pixels replaced by the identity's.
    gram = weight[:, :, None] * (D @ D.T) * weight[:, None, :]
    gram = gram + torch.diag_embed(1 - weight)
    multiplier = torch.linalg.solve(gram, weight * (patches - mean))
    return multiplier @ D @ D.T + mean


def panels(pictures, caption, alt, columns=3):
    """Draw titled grey pictures in rows."""
    rows = math.ceil(len(pictures) / columns)
    fig, axes = plt.subplots(rows, columns, figsize=(7, 7 / columns * 1.12 * rows))
    for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
        ax.imshow(picture, vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    figure(fig, caption=caption, alt=alt)


ls_noisy = to_image(shortest_fit(to_patches(noisy), to_patches(all_known)))
ls_holes = to_image(shortest_fit(to_patches(photo), to_patches(known)))
atoms = D.T.reshape(16, 16, 8, 8)[::2, ::2]
atoms = atoms / atoms.abs().amax(dim=(2, 3), keepdim=True) / 2 + 0.5
atoms = torch.nn.functional.pad(atoms, (0, 1, 0, 1), value=1.0)
panels(
    {
        "the photograph": photo,
        f"noise: {psnr(noisy, photo):.1f} dB": noisy,
        f"shortest codes: {psnr(ls_noisy, photo):.1f} dB": ls_noisy,
        "64 of the 256 atoms": atoms.permute(0, 2, 1, 3).reshape(72, 72),
        "half of the pixels": torch.where(known, photo, math.nan),
        f"shortest codes: {psnr(ls_holes, photo):.1f} dB": ls_holes,
    },
    caption="Shortest codes give the noise back untouched, and fill the holes with "
    "speckle along every edge. Numbers are the peak signal-to-noise ratio (PSNR): "
    "higher is better.",
    alt="Six pictures. Top: a dahlia, the same with noise, and the reconstruction from "
    "shortest codes, which is as noisy as before. Bottom: the cosine atoms from smooth "
    "to rapidly varying, the dahlia with half of its pixels white, and its "
    "reconstruction, recognisable but speckled along the edges of the petals.",
)

# %% [markdown]
# The noisy picture came back *unchanged*. Of course: every patch can be written with these
# atoms, its noise included, and we asked for an exact fit. The shortest code uses all
# 256 atoms a little. It fits any data whatever, so a good fit tells us nothing.
#
# A patch of a petal is special. A few cosines describe it well; noise needs many.
# So ask for a code that is *mostly zeros*. This chapter is about how to find one, fast,
# and how to know that you have found it. We come back to the photograph in section 6.

# %% [markdown]
# ## 1. A price on every coefficient
#
# Counting non-zeros leads to a search over $2^{256}$ supports. Charge each coefficient
# its absolute value instead, and the problem becomes convex: this is the **Lasso**,
#
# $$ \min_x F(x), \qquad F(x) = \underbrace{\tfrac12 \|b - A x\|_2^2}_{f(x)}
#    + \lambda \|x\|_1, \qquad A \in \mathbb R^{m \times n}. $$
#
# (scikit-learn divides the first term by $m$: its `alpha` is our $\lambda / m$.)
#
# **Shapes.** We solve a whole batch at once, and samples are *rows*: `b` is
# `(batch, m)`, `x` is `(batch, n)`, `A` is `(m, n)`. What is $A x$ on paper is
# `x @ A.T` in code, and $A^\top r$ is `r @ A`.


# %% tags=["given"]
def lasso(A, b, x, lam):
    """The objective F of every sample. Shape (batch,)."""
    misfit = 0.5 * (b - x @ A.T).square().sum(dim=1)
    return misfit + lam * x.abs().sum(dim=1)


def objective(A, b, lam):
    """Make a function of x alone: the objective F of every sample."""
    return lambda x: lasso(A, b, x, lam)


FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def small_problem(seed, batch=3, m=12, n=20):
    """Draw a small random problem: A (m, n), b (batch, m), some x (batch, n)."""
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(m, n, generator=g) / math.sqrt(m)
    b = torch.randn(batch, m, generator=g)
    return A, b, torch.randn(batch, n, generator=g)


# %% [markdown]
# Begin with one unknown and $A = 1$: someone measures $v$ and charges $\theta$ for every
# unit of $x$. The **soft threshold** is the answer to
#
# $$ \eta_\theta(v) = \arg\min_x \; \tfrac12 (x - v)^2 + \theta |x| . $$
#
# Before solving it, look at it.

# %% tags=["picture"]
theta = 1.0
x = torch.linspace(-1.5, 3, 901)
fig, axes = plt.subplots(1, 3, sharey=True, figsize=(7, 3.2))
for ax, v in zip(axes, [0.6, 1.0, 2.2], strict=True):
    absolute = 0.5 * (x - v) ** 2 + theta * x.abs()
    square = 0.5 * (x - v) ** 2 + theta * x**2
    ax.plot(x, absolute, label="price |x|")
    ax.plot(x, square, label="price x²")
    for curve, colour, marker in ((absolute, "C0", "o"), (square, "C1", "s")):
        best = curve.argmin()
        ax.plot(x[best], curve[best], marker, color=colour)
    ax.set(title=f"v = {v}", xlabel="x", ylabel="cost", ylim=(0, 4))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure(
    fig,
    caption="With the price |x| the minimum sits exactly at the kink until v exceeds "
    "the price (θ = 1); with x² it is never zero.",
    alt="Three panels for v = 0.6, 1.0 and 2.2. The curve with the absolute value has "
    "a kink at zero, where its minimum lies in the first two panels; in the third it "
    "lies at 1.2. The curve with the square is smooth, its minima at 0.2, 0.33, 0.73.",
)

# %% [markdown]
# ### Exercise 11.1 · Soft threshold from its definition
# Difficulty ●○○○○ · 2 points
#
# Solve the one-dimensional problem above by hand: for $x > 0$ and for $x < 0$ the cost is
# smooth, so set its derivative to zero and see for which $v$ the result has the sign you
# assumed. What is left over for all other $v$?
#
# Write `soft_threshold(v, theta)` for tensors of any shape. `theta` is a number, or a
# tensor that broadcasts against `v`. Leave `v` itself as it is.


# %% nbgrader={"grade": false, "grade_id": "ex11-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soft_threshold(v, theta):
    """Minimise 1/2 (x - v)^2 + theta |x|, entry by entry.

    v: any shape. theta: a number >= 0, or a tensor that broadcasts against v.
    Returns a new tensor of the shape of v.
    """
    ### BEGIN SOLUTION
    return v.sign() * (v.abs() - theta).clamp(min=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
grid = torch.linspace(-4, 4, 8001)  # brute force: every x in steps of 0.001
for v in (-3.0, -1.2, -0.4, 0.0, 0.7, 1.5, 2.6):
    for price in (0.0, 0.5, 1.3):
        cost = 0.5 * (grid - v) ** 2 + price * grid.abs()
        answer = soft_threshold(torch.tensor([v]), price)
        assert answer.dtype == torch.float64, FLOAT64
        assert (answer - grid[cost.argmin()]).abs() < 1e-3, (
            f"for v = {v}, theta = {price} another x is cheaper: minimise the cost "
            "separately for x > 0, for x < 0, and look at what is left"
        )

# %% nbgrader={"grade": true, "grade_id": "ex11-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert soft_threshold(torch.zeros(1), 1.0).item() == 0, "zero costs nothing: keep it"
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    v, w = 2 * torch.randn(2, 4, 50, generator=g)
    price = torch.rand(4, 1, generator=g) + 0.1
    before = v.clone()
    x = soft_threshold(v, price)
    assert torch.equal(v, before), "the argument v was changed: return a new tensor"
    assert x.shape == v.shape, "one answer per entry of v"
    assert torch.allclose(soft_threshold(-v, price), -x), (
        "the cost is symmetric, so the answer for -v is minus the answer for v"
    )
    pull, on = v - x, x != 0
    assert torch.allclose(pull[on], (price * x.sign())[on]), (
        "where x is not zero the derivative x - v + theta sign(x) must vanish: "
        "what survives is moved by the whole price, towards zero"
    )
    assert (pull.abs() <= price + 1e-12).all(), "nothing moves by more than the price"
    distance = (x - soft_threshold(w, price)).abs()
    assert (distance <= (v - w).abs() + 1e-12).all(), (
        "two answers never lie further apart than their v: is there a jump?"
    )
    assert torch.allclose(soft_threshold(v, 0.0), v), "at price 0 nothing changes"
    prices = torch.rand(50, generator=g)
    for shape, theta in (
        ((), 0.4),
        ((50,), torch.tensor(0.4)),
        ((4, 50), prices),
        ((4, 50), torch.rand(4, 50, generator=g)),
        ((2, 4, 50), torch.rand(4, 1, generator=g)),
    ):
        v = 2 * torch.randn(shape, generator=g)
        x = soft_threshold(v, theta)
        assert x.shape == v.shape, f"v has the shape {shape}, and so has the answer"
        size = v.abs() - theta
        least = torch.where(size > 0, v.sign() * size, 0.0)
        assert torch.allclose(x, least, rtol=0, atol=1e-12), (
            f"v of shape {shape}, theta of shape {tuple(torch.as_tensor(theta).shape)}: "
            "every entry has its own price, found by broadcasting"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# For $x > 0$ the cost is $\tfrac12 (x - v)^2 + \theta x$. Its derivative vanishes at
# $x = v - \theta$, and that is positive only if $v > \theta$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# By symmetry $x = v + \theta$ if $v < -\theta$. In between neither branch contains its own
# minimum, so the kink wins: $x = 0$. Sign and size can be treated separately.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The size of the answer is $\max(|v| - \theta, 0)$. The call that replaces negative entries by
# zero is `.clamp(min=0)`.
#
# </details>

# %% tags=["picture"]
v = torch.linspace(-3, 3, 601)
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.plot(v, soft_threshold(v, 1.0), label="price |x|: soft threshold")
ax.plot(v, v / 3, label="price x²: everything shrinks, nothing is zero")
count = torch.where(v.abs() > math.sqrt(2), v, 0.0)
count[count.diff(prepend=count[:1]).abs() > 1] = math.nan  # no line across the jump
ax.plot(v, count, label="price 1 if x ≠ 0")
ax.set(xlabel="v", ylabel="cheapest x")
ax.legend(fontsize=8)
figure(
    fig,
    caption="Only the absolute value both makes zeros and is continuous. Its flaw is "
    "visible too: even large values are moved by θ = 1.",
    alt="Three functions of v. The soft threshold is zero between -1 and 1 and a "
    "shifted diagonal outside. The square price gives a flat line through the origin. "
    "Counting non-zeros gives the diagonal with a jump near 1.4.",
)

# %% [markdown]
# ## 2. A step that never overshoots
#
# With a matrix $A$ the unknowns are tied together and no formula is left. So walk.
# The smooth part $f(x) = \tfrac12 \|b - A x\|^2$ has the gradient
#
# $$ \nabla f(x) = A^\top (A x - b) . $$
#
# How far may one step go? Expand $f$, which is quadratic, exactly:
#
# $$ f(y) = f(x) + \nabla f(x)^\top (y - x) + \tfrac12 \|A (y - x)\|^2
#    \;\le\; f(x) + \nabla f(x)^\top (y - x) + \tfrac{L}{2} \|y - x\|^2, $$
#
# where $L$ is the smallest number with $\|A d\|^2 \le L \|d\|^2$ for all $d$: the largest
# eigenvalue of $A^\top A$, the square of the spectral norm, $L = \|A\|_2^2$. It is also the
# **Lipschitz constant** of the gradient,
# $\|\nabla f(x) - \nabla f(y)\| \le L \|x - y\|$.

# %% [markdown]
# ### Exercise 11.2 · Gradient and Lipschitz constant
# Difficulty ●●○○○ · 2 points
#
# Write `gradient(A, b, x)`, the gradient of $f$ for every sample of a batch, and
# `lipschitz(A)`, the constant $L$. Mind that samples are rows.


# %% nbgrader={"grade": false, "grade_id": "ex11-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gradient(A, b, x):
    """Gradient of 1/2 ||b - A x||^2 with respect to x, for every sample.

    A: (m, n). b: (batch, m). x: (batch, n). Returns (batch, n).
    """
    ### BEGIN SOLUTION
    return (x @ A.T - b) @ A
    ### END SOLUTION


def lipschitz(A):
    """Smallest L with ||A d||^2 <= L ||d||^2 for all d. A: (m, n). Returns a number."""
    ### BEGIN SOLUTION
    return torch.linalg.matrix_norm(A, 2) ** 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, x = small_problem(seed=1)
direction = torch.linspace(-1, 1, x.numel()).reshape(x.shape)
ahead, behind = (lasso(A, b, x + h * direction, 0.0) for h in (1e-4, -1e-4))
answer = gradient(A, b, x)
assert answer.dtype == torch.float64, FLOAT64
slope = (answer * direction).sum(dim=1)
assert torch.allclose(slope, (ahead - behind) / 2e-4), (
    "the slope of f, measured by a small move, differs from your gradient's: check the "
    "sign, the factor, and that each sample has its own gradient"
)
d = torch.randn(1000, 20, generator=torch.Generator().manual_seed(1))
stretch = (d @ A.T).square().sum(dim=1) / d.square().sum(dim=1)
assert (stretch <= float(lipschitz(A))).all(), (
    "there is a d with ||A d||^2 > L ||d||^2: is L on the scale of A, or of A^T A?"
)

# %% nbgrader={"grade": true, "grade_id": "ex11-2-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
uphill = gradient(torch.eye(2), torch.zeros(1, 2), torch.ones(1, 2))
assert uphill.shape == (1, 2), "the gradient has the shape of x"
assert float(lipschitz(torch.eye(2))) > 0, "L is a number, and positive"
### BEGIN HIDDEN TESTS
for seed, (m, n) in enumerate([(12, 20), (20, 12), (15, 15), (1, 6)]):
    A, b, x = small_problem(seed, batch=4, m=m, n=n)
    before = A.clone(), b.clone(), x.clone()
    full = gradient(A, b, x)
    assert all(map(torch.equal, (A, b, x), before)), (
        "A, b or x was changed: compute with new tensors (r -= ... changes r itself)"
    )
    assert full.shape == x.shape, "the gradient has the shape of x"
    one_by_one = torch.cat([gradient(A, b[i : i + 1], x[i : i + 1]) for i in range(4)])
    assert torch.allclose(full, one_by_one), (
        "a sample's gradient depends on the other samples of its batch"
    )
    leaf = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(lasso(A, b, leaf, 0.0).sum(), leaf)
    assert torch.allclose(full, exact, rtol=0, atol=1e-10), (
        "PyTorch's own derivative of f, entry by entry, differs from your gradient"
    )
    L = float(lipschitz(A))
    assert torch.equal(A, before[0]), "the argument A was changed"
    eigenvalues = torch.linalg.eigvalsh(A.T @ A)
    assert L >= eigenvalues[-1] * (1 - 1e-6), "L is too small: some d stretches more"
    assert L <= eigenvalues[-1] * (1 + 1e-6), (
        "L is larger than needed: it is the *smallest* such number, attained by one "
        "direction d"
    )
    assert math.isclose(float(lipschitz(3 * A)), 9 * L, rel_tol=1e-6), (
        "tripling A triples ||A d||, and L compares squares"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# On paper, for one sample: residual first, $A x - b$; then multiply by the transpose. For
# the step, which matrix norm is the largest ratio $\|A d\| / \|d\|$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# With samples as rows, $A x$ is `x @ A.T`, and applying $A^\top$ to rows is `@ A`. The largest
# ratio is the *spectral* norm, and $L$ bounds *squared* lengths.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The spectral norm is `torch.linalg.matrix_norm(A, 2)`. Without the `2` it is the Frobenius
# norm, which is larger.
#
# </details>

# %% [markdown]
# What if a step is longer than $1/L$? Along an eigenvector of $A^\top A$ with eigenvalue
# $\mu$, the error is multiplied by $1 - s \mu$ in every gradient step of length $s$. The
# largest eigenvalue is $L$: at $s = 2/L$ its factor is exactly $-1$.

# %% tags=["picture"]
A, b, _ = small_problem(seed=2, batch=1, m=30, n=20)
floor = lasso(A, b, torch.linalg.lstsq(A, b.T).solution.T, 0.0).item()
fig, ax = plt.subplots()
for factor in (0.5, 1.0, 1.9, 2.05):
    x, misfits = torch.zeros(1, 20), []
    for _ in range(60):
        misfits.append(lasso(A, b, x, 0.0).item() - floor)
        x = x - factor / lipschitz(A) * gradient(A, b, x)
    ax.semilogy(misfits, label=f"s = {factor} / L")
ax.set(xlabel="gradient steps", ylabel="f(x) − min f", ylim=(0.01, 300))
ax.legend(fontsize=8)
figure(
    fig,
    caption="Gradient descent on f. Up to 2 / L every step goes down; just beyond, "
    "the iteration explodes.",
    alt="Four curves of the misfit above its minimum against steps on a logarithmic "
    "axis. Steps 0.5, 1 and 1.9 over L fall, the longer the faster; 2.05 over L falls "
    "at first, then turns and rises along a straight line.",
)

# %% [markdown]
# Now the penalty. Replace $f$ in $F$ by its upper bound around the current point $x$, with
# a step $s \le 1/L$ in the role of $1/L$:
#
# $$ Q_s(y; x) = f(x) + \nabla f(x)^\top (y - x) + \tfrac{1}{2s} \|y - x\|^2
#    + \lambda \|y\|_1 \;\ge\; F(y), \qquad Q_s(x; x) = F(x). $$
#
# A function that lies above $F$ and touches it at the current point is called a
# **majoriser** of $F$. Whatever minimises $Q_s$ cannot have a larger $F$ than $x$ has. And
# $Q_s$ is easy:
# complete the square, drop what does not depend on $y$, multiply by $s$, and what remains is
#
# $$ \tfrac12 \big\| y - (x - s \nabla f(x)) \big\|^2 + s \lambda \|y\|_1 , $$
#
# one scalar problem per entry. You have solved it in exercise 11.1. (For any penalty $g$ the
# minimiser of $g(y) + \tfrac12 \|y - v\|^2$ is called the **prox** of $g$ at $v$, short for
# *proximal point*. So the soft threshold is the prox of $\theta \|\cdot\|_1$.)

# %% [markdown]
# ### Exercise 11.3 · One ISTA step
# Difficulty ●●○○○ · 2 points
#
# Write `ista_step(A, b, x, lam, step)`, which returns the minimiser of
# $Q_s(\cdot; x)$ for every sample. Use your own functions. The caller chooses the step.


# %% nbgrader={"grade": false, "grade_id": "ex11-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ista_step(A, b, x, lam, step):
    """Return the minimiser of the majoriser Q_step(.; x), for every sample.

    A: (m, n). b: (batch, m). x: (batch, n). lam, step: numbers. Returns (batch, n).
    """
    ### BEGIN SOLUTION
    return soft_threshold(x - step * gradient(A, b, x), step * lam)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, x = small_problem(seed=3)
lam, step = 0.3, 1 / torch.linalg.eigvalsh(A.T @ A)[-1].item()
y = ista_step(A, b, x, lam, step)
assert y.dtype == torch.float64, FLOAT64
assert (lasso(A, b, y, lam) <= lasso(A, b, x, lam)).all(), (
    "the objective went up: the majoriser promises that it cannot. Which way does the "
    "gradient point?"
)
basis = torch.linalg.qr(
    torch.randn(12, 12, generator=torch.Generator().manual_seed(3))
)[0]
x0 = torch.zeros(3, 12)
y = ista_step(2 * basis, b, x0, lam, 0.25)
assert torch.allclose(y, unroll.soft_threshold(2 * b @ basis, lam) / 4), (
    "if the columns of A are orthogonal and 2 long, L is 4, and one step of 1/4 from "
    "zero must solve the Lasso exactly: what does the step multiply?"
)

# %% nbgrader={"grade": true, "grade_id": "ex11-3-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
y = ista_step(torch.eye(2), torch.ones(1, 2), torch.zeros(1, 2), 0.1, 1.0)
assert y.shape == (1, 2), "the step leads from x to a point of the same shape"
### BEGIN HIDDEN TESTS
for seed in range(3):
    A, b, x = small_problem(seed, batch=4)
    largest = 1 / torch.linalg.eigvalsh(A.T @ A)[-1].item()
    for lam, step in [
        (0.2, largest),
        (0.5, largest / 3),
        (0.05, largest / 10),
        (0.2, 1.9 * largest),
        (0.3, 6 * largest),  # far too long for ISTA, but the caller asks for it
    ]:
        before = A.clone(), b.clone(), x.clone()
        y = ista_step(A, b, x, lam, step)
        assert all(map(torch.equal, (A, b, x), before)), (
            "A, b or x was changed: compute with new tensors, and return one"
        )
        # The minimum of Q: -(gradient + (y - x) / step) is a subgradient of lam ||y||_1.
        pull = (x - y) / step - (x @ A.T - b) @ A
        on = y != 0
        assert torch.allclose(pull[on], lam * y.sign()[on]), (
            "y does not minimise Q: for which problem, with which price, did completing "
            "the square leave the soft threshold? (The step is the caller's, also a long "
            "one that makes F rise.)"
        )
        assert (pull.abs() <= lam + 1e-9).all(), (
            "y does not minimise Q: an entry is zero although moving it would pay, or "
            "the gradient was taken at another point than x"
        )
    solution = unroll.fista(A, b, 0.2, tol=1e-11, iterations=20_000, restart=True).x
    for step in (largest, largest / 4):
        moved = (ista_step(A, b, solution, 0.2, step) - solution).abs().max()
        assert moved < 1e-5, (
            "a solution of the Lasso must stay where it is, whatever the step: does the "
            "price scale with the step as the gradient does?"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two moves, in this order: a gradient step on $f$ alone, then the price. The second move
# sees only the result of the first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Compare the last formula with the definition of $\eta_\theta(v)$, entry by entry: what
# plays the part of $v$, and what that of $\theta$?
#
# </details>
# <details><summary>Hint 3</summary>
#
# The price in the last formula is $s \lambda$, not $\lambda$, and the point is
# $x - s \nabla f(x)$.
#
# </details>

# %% tags=["picture"]
A, b, x = small_problem(seed=3, batch=1)
lam, reach = 0.3, torch.linspace(-0.5, 2.5, 301)[:, None]
fig, axes = plt.subplots(1, 2)
for ax, factor in zip(axes, (1.0, 4.0), strict=True):
    step = factor / lipschitz(A)
    y = ista_step(A, b, x, lam, step)
    line = x + reach * (y - x)
    move = line - x
    upper = lasso(A, b, x, 0.0) + (move * gradient(A, b, x)).sum(dim=1)
    upper = upper + move.square().sum(dim=1) / (2 * step) + lam * line.abs().sum(dim=1)
    ax.plot(reach, lasso(A, b.expand(301, -1), line, lam), label="F, the Lasso")
    ax.plot(reach, upper, label="Q, from x")
    ax.plot(0, lasso(A, b, x, lam), "ko")
    ax.plot(1, lasso(A, b, y, lam), "C0^")
    ax.plot(1, upper[150], "C1v")
    ax.set(title=f"s = {factor:.0f} / L", xlabel="position on the line", ylabel="cost")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="The step goes from x (dot, at 0) to the minimum y of Q (triangles, at 1). "
    "Left: Q lies above F, so F cannot rise. Right: the step is too long, Q cuts below "
    "F, and its minimum is no promise.",
    alt="Two panels, each with F and Q along a line. Left, Q touches F at position 0 and "
    "lies above it; at position 1, the minimum of Q, F is lower still. Right, Q "
    "runs below F, and at position 1 F is far above the minimum of Q and above its "
    "own value at 0.",
)

# %% [markdown]
# ## 3. Repeat: ISTA
#
# Start at $x_0 = 0$ and repeat the step. This is the **iterative shrinkage-thresholding
# algorithm** (Daubechies, Defrise and De Mol 2004):
#
# $$ x_{k+1} = \eta_{\lambda / L}\!\left( x_k - \tfrac1L A^\top (A x_k - b) \right)
#    = \eta_{\lambda / L}\big( W_1 b + W_2 x_k \big), \qquad
#    W_1 = \tfrac1L A^\top, \quad W_2 = I - \tfrac1L A^\top A . $$
#
# One matrix product and one threshold, again and again: it looks like a network whose layers
# share their weights. Chapter 12 takes that literally.
#
# When is the loop done? A smooth function has its minimum where its derivative is zero. The
# penalty has a kink at zero, and there **subgradients** take the place of the derivative: the
# slopes of all straight lines that touch $\lambda |x|$ at this point and nowhere lie above it.
# For $x \ne 0$ there is one, $\lambda \operatorname{sign}(x)$; at $x = 0$ every number from
# $-\lambda$ to $\lambda$ is one. So $x$ minimises $F$ exactly if minus the gradient of $f$ is a
# subgradient of the penalty, entry by entry:
#
# $$ \big( A^\top (b - A x) \big)_i = \lambda \operatorname{sign}(x_i) \;\text{ if } x_i \ne 0,
#    \qquad \big| \big( A^\top (b - A x) \big)_i \big| \le \lambda \;\text{ if } x_i = 0 . $$
#
# Atoms in use are correlated with the residual by exactly $\lambda$, idle ones by less.
# You can check that this says the same as "one ISTA step, of any length, does not move $x$".

# %% [markdown]
# ### Exercise 11.4 · The loop
# Difficulty ●●●○○ · 3 points
#
# Write `ista(A, b, lam, iterations, measure)` with step $1/L$ from $x_0 = 0$. It returns the
# last iterate and a history: `measure(x)` is called for *every* iterate
# $x_0, x_1, \dots, x_K$ and returns a tensor of shape `(batch,)`; stack these into
# `(iterations + 1, batch)`. With `measure` the caller decides what to watch: the objective,
# the error, a certificate.


# %% nbgrader={"grade": false, "grade_id": "ex11-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ista(A, b, lam, iterations, measure):
    """Run ISTA with step 1 / L from zero.

    A: (m, n). b: (batch, m). lam: number. measure: maps (batch, n) to (batch,).
    Returns x, shape (batch, n), and history, shape (iterations + 1, batch).
    """
    ### BEGIN SOLUTION
    step = 1 / lipschitz(A)
    x = torch.zeros(b.shape[0], A.shape[1])
    history = [measure(x)]
    for _ in range(iterations):
        x = ista_step(A, b, x, lam, step)
        history.append(measure(x))
    return x, torch.stack(history)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, _ = small_problem(seed=4)
x, history = ista(A, b, 0.3, 50, objective(A, b, 0.3))
assert x.shape == (3, 20), "one code per sample"
assert x.dtype == history.dtype == torch.float64, FLOAT64
assert history.shape == (51, 3), "50 steps visit 51 points; each sample has its history"
assert torch.allclose(history[0], 0.5 * b.square().sum(dim=1)), (
    "the walk starts at zero"
)
assert torch.allclose(history[-1], lasso(A, b, x, 0.3)), (
    "the last entry of the history is measured at the x that is returned"
)
assert (history.diff(dim=0) <= 1e-12).all(), "F went up: with a step of 1 / L it cannot"

# %% nbgrader={"grade": true, "grade_id": "ex11-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x, history = ista(torch.eye(2), torch.ones(1, 2), 0.1, 0, lambda x: x.sum(dim=1))
assert (x == 0).all() and history.shape == (1, 1), "no iterations: only the start"
### BEGIN HIDDEN TESTS
still = ista(torch.eye(2), torch.zeros(3, 2), 0.1, 5, lambda x: x.sum(dim=1))[1]
assert still.shape == (6, 3), (
    "with b = 0 nothing moves, and five iterations still visit six points: nobody has "
    "asked to stop early"
)
for seed in range(3):
    A, b, _ = small_problem(seed, batch=4, m=40, n=20)  # tall: F is strongly convex
    A, lam = 3 * A, 2.0
    x, F = ista(A, b, lam, 4000, objective(A, b, lam))
    assert F.shape == (4001, 4), (
        "4000 iterations visit 4001 points, also if nothing moves any more: nobody has "
        "asked to stop early"
    )
    assert (F.diff(dim=0) <= 1e-10).all(), "F went up: is the step 1 / L for this A?"
    pull = (b - x @ A.T) @ A
    assert (pull.abs() <= lam + 1e-8).all(), (
        "after 4000 iterations an idle atom is still correlated with the residual by "
        "more than lam: the walk has not arrived"
    )
    assert torch.allclose(pull[x != 0], lam * x.sign()[x != 0], atol=1e-8), (
        "after 4000 iterations the optimality conditions do not hold: the walk has "
        "arrived somewhere else"
    )
    A, b, _ = small_problem(seed, batch=4)  # wide: slow, near the bound
    A = 3 * A
    x, F = ista(A, b, 0.4, 2000, objective(A, b, 0.4))
    assert (F.diff(dim=0) <= 1e-10).all(), "F went up on a matrix with more columns"
    L = torch.linalg.eigvalsh(A.T @ A)[-1]
    probe = torch.randn(20, generator=torch.Generator().manual_seed(seed))
    point, walk = torch.zeros(4, 20), [torch.zeros(4)]
    for _ in range(40):
        point = unroll.soft_threshold(point - (point @ A.T - b) @ A / L, 0.4 / L)
        walk.append(point @ probe)
    seen = ista(A, b, 0.4, 40, lambda x, probe=probe: x @ probe)[1]
    assert torch.allclose(seen, torch.stack(walk), rtol=0, atol=1e-9), (
        "one of the first 40 iterates is not ISTA's: is every step 1 / L long, and does "
        "it start from the iterate before?"
    )
    bound = L * x.square().sum(dim=1) / (2 * torch.arange(1, 201)[:, None])
    assert (F[1:201] - F[-1] <= bound).all(), (
        "slower than the theorem allows for steps of 1 / L from zero"
    )
    alone = [ista(A, b[i : i + 1], 0.4, 30, lambda x: x[:, 0])[0] for i in range(4)]
    together, first = ista(A, b, 0.4, 30, lambda x: x[:, 0])
    assert torch.allclose(together, torch.cat(alone)), (
        "samples must not influence others"
    )
    assert torch.equal(first[-1], together[:, 0]), "measure gets the iterate itself"
    assert not torch.equal(first[1], first[-1]), (
        "every iterate is measured, in its turn"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Everything that does not change, such as the step, is computed before the loop. How many
# points does a walk of $K$ steps visit?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Start a list with `measure` of the zero code of shape `(batch, n)`, append once per
# iteration, and `torch.stack` the list at the end.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The line that moves is `x = ista_step(A, b, x, lam, step)`, with `step = 1 / lipschitz(A)`
# computed once, outside the loop.
#
# </details>

# %% [markdown]
# The **standard problem** of this field: $A$ is $250 \times 500$ with independent normal
# entries and columns of unit norm; each entry of the true code $x^\star$ is non-zero with
# probability 0.1, and then a standard normal number; the noise is 40 dB below the signal
# (a ten-thousandth of its energy). Half as many equations as unknowns,
# about fifty non-zeros. One sample, at four moments:


# %% tags=["given"]
def draw(seed, samples=500):
    """Draw the standard problem: A (250, 500), b (samples, 250), x (samples, 500)."""
    g = torch.Generator().manual_seed(seed)
    problem = unroll.SparseCoding.gaussian(250, 500, g, density=0.1, snr_db=40.0)
    return problem.A, *problem.sample(samples, g)


A_std, b_std, x_std = draw(seed=1)

# %% tags=["picture"]
fig, axes = plt.subplots(2, 2, sharex=True, sharey=True, figsize=(7, 3.8))
for ax, iterations in zip(axes.flat, (1, 10, 100, 1000), strict=True):
    code, _ = ista(A_std, b_std[:1], 0.01, iterations, lambda x: x[:, 0])
    ax.plot(x_std[0].nonzero()[:, 0], x_std[0][x_std[0] != 0], "o", mfc="none", ms=4)
    ax.vlines(torch.arange(500), 0, code[0], color="C1", lw=1)
    ax.set_title(f"{iterations} iteration" + "s" * (iterations > 1))
    ax.set(xlabel="entry of the code", ylabel="value")
figure(
    fig,
    caption="True non-zeros (circles) and ISTA's code (lines), λ = 0.01. The large entries "
    "are found early; the last small ones take hundreds of iterations.",
    alt="Four panels after 1, 10, 100 and 1000 iterations. First there are small lines at "
    "almost every entry, then the large entries stand out but stay too short, and "
    "after 1000 iterations every line ends in its circle and the small lines are gone.",
)

# %% [markdown]
# ISTA works, but it is slow. The theorem (Beck and Teboulle 2009, theorem 3.1) says
#
# $$ F(x_k) - F(x^\infty) \;\le\; \frac{L \, \|x_0 - x^\infty\|^2}{2 k} $$
#
# for a minimiser $x^\infty$: for one more digit, ten times as many iterations. Can a method
# that sees only gradients do better?

# %% [markdown]
# ## 4. Momentum: FISTA
#
# Nesterov found in 1983 that it can, and Beck and Teboulle (2009) applied his idea to the
# Lasso: take the step not from $x_k$ but from a point $z_k$ further along the way you came.
# From $z_1 = x_0$ and $t_1 = 1$, for $k = 1, 2, \dots$
#
# $$ \begin{aligned}
#    x_k &= \eta_{\lambda/L}\!\left( z_k - \tfrac1L \nabla f(z_k) \right), \\
#    t_{k+1} &= \tfrac12 \Big( 1 + \sqrt{1 + 4 t_k^2} \Big), \\
#    z_{k+1} &= x_k + \frac{t_k - 1}{t_{k+1}} \, (x_k - x_{k-1}) .
#    \end{aligned} $$
#
# The factor in front of the last bracket grows from 0 towards 1: little momentum at first,
# almost all of it later. The cost is one more vector in memory; the gain is
#
# $$ F(x_k) - F(x^\infty) \;\le\; \frac{2 L \, \|x_0 - x^\infty\|^2}{(k + 1)^2} . $$

# %% [markdown]
# ### Exercise 11.5 · FISTA
# Difficulty ●●●●○ · 3 points
#
# Write `fista(A, b, lam, iterations, measure)` with the arguments and results of `ista`.
# The history, and the result, are of the iterates $x_k$, with $x_0 = 0$ first.


# %% nbgrader={"grade": false, "grade_id": "ex11-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fista(A, b, lam, iterations, measure):
    """Run FISTA with step 1 / L from zero.

    A: (m, n). b: (batch, m). lam: number. measure: maps (batch, n) to (batch,).
    Returns x, shape (batch, n), and history, shape (iterations + 1, batch).
    """
    ### BEGIN SOLUTION
    step = 1 / lipschitz(A)
    x = z = torch.zeros(b.shape[0], A.shape[1])
    t = 1.0
    history = [measure(x)]
    for _ in range(iterations):
        x_last, x = x, ista_step(A, b, z, lam, step)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + (t_last - 1) / t * (x - x_last)
        history.append(measure(x))
    return x, torch.stack(history)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, _ = small_problem(seed=5)
x, F = fista(A, b, 0.2, 300, objective(A, b, 0.2))
assert x.dtype == F.dtype == torch.float64, FLOAT64
assert F.shape == (301, 3), "the history has the shape of ISTA's"
assert torch.allclose(F[-1], lasso(A, b, x, 0.2)), (
    "result and history speak of the same sequence, the x, not the z"
)
walk = unroll.ista(A, b, 0.2, iterations=2, keep_iterates=True).iterates
assert torch.allclose(F[:3], torch.stack([lasso(A, b, x, 0.2) for x in walk])), (
    "the factor of the first momentum is (1 - 1) / t = 0, so two steps are still ISTA's: "
    "which t belongs above the line, and which below?"
)
slow, fast = torch.diag(torch.tensor([1.0, 0.05])), torch.tensor([[0.0, 0.05]])
F = fista(slow, fast, 0.0, 200, objective(slow, fast, 0.0))[1][-1]
assert F < 2 / 201**2, (
    "on this badly scaled problem 200 steps must beat 2 L ||x||^2 / (k + 1)^2 and do "
    "not: is the momentum used where the next gradient is taken?"
)

# %% nbgrader={"grade": true, "grade_id": "ex11-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
history = fista(torch.eye(2), torch.ones(1, 2), 0.1, 3, lambda x: x.sum(dim=1))[1]
assert history.shape == (4, 1), "3 steps visit 4 points"
### BEGIN HIDDEN TESTS
# Without a price the error of the entry with singular value s obeys a scalar recursion:
# e_next = (1 - s^2) (e + beta (e - e_last)), with beta = (t - 1) / t_next.
factors = [0.0, 0.2817535, 0.4340428, 0.5310638, 0.5987786, 0.6489233, 0.6876459]
for s in (0.3, 0.6):
    A, b = torch.diag(torch.tensor([1.0, s])), torch.tensor([[0.0, s], [0.0, -2 * s]])
    seen = fista(A, b, 0.0, 8, lambda x: x[:, 1])[1]
    errors = [-1.0, -(1 - s**2)]
    for beta in factors:
        errors.append((1 - s**2) * (errors[-1] + beta * (errors[-1] - errors[-2])))
    expected = 1 + torch.tensor(errors)
    for k in range(9):
        assert torch.allclose(seen[k, 0], expected[k], atol=1e-6), (
            f"iterate {k} differs from the definition: look at the order in which x, t "
            "and z are renewed, and at which old values they use"
        )
    assert torch.allclose(seen[:, 1], -2 * expected, atol=1e-6), (
        "the second sample of a batch goes astray: its momentum is its own"
    )
for seed in range(3):
    A, b, _ = small_problem(seed, batch=3)
    A, lam = 2 * A, 0.1
    probe = torch.randn(20, generator=torch.Generator().manual_seed(seed))
    for price in (lam, 1.0):
        walk = unroll.fista(A, b, price, iterations=60, keep_iterates=True).iterates
        seen = fista(A, b, price, 60, lambda x, probe=probe: x @ probe)[1]
        assert torch.allclose(seen, walk @ probe, rtol=0, atol=1e-8), (
            f"with lam = {price} one of the first 60 iterates differs from the definition: "
            "every entry has momentum, also one that is zero, and it is never switched off"
        )
    solution = unroll.fista(A, b, lam, tol=1e-11, iterations=20_000, restart=True).x
    x, F = fista(A, b, lam, 500, objective(A, b, lam))
    L = torch.linalg.eigvalsh(A.T @ A)[-1]
    k = torch.arange(1, 501)[:, None]
    bound = 2 * L * solution.square().sum(dim=1) / (k + 1) ** 2
    assert (F[1:] - lasso(A, b, solution, lam) <= bound + 1e-12).all(), (
        "slower than FISTA's theorem allows"
    )
    assert torch.allclose(x, fista(A, b, lam, 500, lambda x: x[:, 0])[0]), (
        "what is measured must not change the walk"
    )
    assert (F[-1] - lasso(A, b, solution, lam)).abs().max() < 1e-3, (
        "the walk arrives at the minimum of another problem: check the step and lam"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One iteration renews three things, $x$, $t$ and $z$, and the line for $z$ needs the new
# and the old value of two of them. Keep the old ones before you overwrite them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `ista_step` does not care which point it starts from: call it with `z` in place of `x`.
# Before the loop `x` and `z` are both zero and `t` is 1.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The last line of an iteration is `z = x + (t_last - 1) / t * (x - x_last)`: above the line
# the old $t$, below it the new one.
#
# </details>

# %% [markdown]
# Theory and practice on two problems: the standard one, and eight patches of our photograph
# in the cosine dictionary, whose neighbouring atoms are nearly parallel. The minimum comes
# from a long run of the library's FISTA, until a certificate of section 5 says that at most
# $10^{-11}$ is missing. (Its option `restart=True` sets $t$ back to 1 whenever the momentum
# leads uphill. That removes the ripples of FISTA's curve at the price of one inner product an
# iteration; see O'Donoghue and Candès 2015 in the readings.)

# %%
centred = to_patches(photo) - to_patches(photo).mean(dim=1, keepdim=True)
lively = centred[centred.norm(dim=1) > 0.5][::200][:8]
problems = {
    "standard problem": (A_std, b_std[:8], 0.01),
    "patches, cosine dictionary": (D, lively, 0.005),
}
k, minima = torch.arange(1, 1501), {}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.4))
for ax, (name, (A, b, lam)) in zip(axes, problems.items(), strict=True):
    exact = unroll.fista(A, b, lam, tol=1e-11, iterations=50_000, restart=True)
    best, L = lasso(A, b, exact.x, lam), lipschitz(A)
    minima[name] = best
    for solver, label in ((ista, "ISTA"), (fista, "FISTA")):
        F = solver(A, b, lam, 1500, objective(A, b, lam))[1]
        excess = (F - best).mean(dim=1)[1:]
        ax.loglog(k, excess.clamp(min=1e-11), label=label)
        print(f"{name}, {label}: within its bound from k = 1 on:", end=" ")
        power = 0.5 / k if solver is ista else 2 / (k + 1) ** 2
        bound = L * exact.x.square().sum(dim=1).mean() * power
        ax.loglog(k, bound, color=ax.lines[-1].get_color(), ls=":", lw=1)
        print((excess <= bound).all().item())
    ax.set(title=name, xlabel="iteration k", ylabel="F − min F, mean of 8")
    ax.set_ylim(1e-10, 1e3)
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="Excess of F over its minimum; dotted, the theorems' bounds with slopes −1 "
    "and −2. On the patches ISTA keeps to its slow law to the end.",
    alt="Two log-log panels of the objective's excess. Left: ISTA is flat until "
    "some hundred iterations and then falls steeply; FISTA does so several times "
    "earlier. Right: ISTA decays about like 1 / k for all 1500 iterations; FISTA "
    "is orders of magnitude below, falling faster. All stay under their bounds.",
)

# %% [markdown]
# Two lessons. The bounds are worst cases: once the right set of non-zeros is found, $F$ is
# strongly convex on it (curved in every direction, if those atoms are independent) and
# convergence becomes linear: each iteration divides the excess by the same factor. That is
# the steep part of the curves. But when this happens depends on $A$. With the coherent
# dictionary of the photograph (its atoms are nearly parallel) ISTA does not get so far in
# 1500 iterations, and momentum helps most. FISTA's objective is not monotone: see the ripples.
#
# Both panels needed the minimum of $F$ from another solver. A user does not have it.

# %% [markdown]
# ## 5. A certificate, and what λ does
#
# "The objective changes little" proves nothing: ISTA on the patches changes little for
# thousands of iterations. Here is a proof. Write the Lasso with the residual as a variable,
# $\min_{x, r} \tfrac12 \|r\|^2 + \lambda \|x\|_1$ subject to $r = b - A x$, attach
# multipliers $u$, and minimise over $x$ and $r$ freely:
#
# $$ \min_r \big\{ \tfrac12 \|r\|^2 - u^\top r \big\} + \min_x \big\{ \lambda \|x\|_1 - u^\top A x \big\}
#    + u^\top b . $$
#
# The first minimum is $-\tfrac12 \|u\|^2$, at $r = u$. The second is 0 if
# $\|A^\top u\|_\infty \le \lambda$ and $-\infty$ otherwise. So every $u$ with
# $\|A^\top u\|_\infty \le \lambda$ gives a lower bound on the Lasso,
#
# $$ \ell(u) = u^\top b - \tfrac12 \|u\|^2 = \tfrac12 \|b\|^2 - \tfrac12 \|u - b\|^2
#    \;\le\; \min F \;\le\; F(x), $$
#
# and the **duality gap** $F(x) - \ell(u)$ bounds how far $x$ is from optimal, with nothing
# but what we hold in our hands. Which $u$? At the solution $u = r$ is best, so take the
# residual $r = b - A x$ and shrink it until it satisfies the constraint: $u = s r$ with
# the largest $s \le 1$ that does.

# %% [markdown]
# ### Exercise 11.6 · The duality gap
# Difficulty ●●●●○ · 3 points
#
# Write `duality_gap(A, b, x, lam)` for a batch: each sample has its own residual, its own
# $s$ and its own gap. It must work for any $x$, for $\lambda$ so large that zero is the
# solution, and for a residual of zero.


# %% nbgrader={"grade": false, "grade_id": "ex11-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def duality_gap(A, b, x, lam):
    """Bound F(x) - min F from above, for every sample.

    A: (m, n). b: (batch, m). x: (batch, n). lam: number > 0. Returns (batch,).
    """
    ### BEGIN SOLUTION
    r = b - x @ A.T
    s = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)
    dual = 0.5 * b.square().sum(dim=1) - 0.5 * (s * r - b).square().sum(dim=1)
    return lasso(A, b, x, lam) - dual
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A, b, x = small_problem(seed=6)
solution = unroll.fista(A, b, 0.2, tol=1e-11, iterations=20_000, restart=True).x
best = lasso(A, b, solution, 0.2)
given = b.clone()
for scale in (0.0, 0.1, 1.0):
    gap = duality_gap(A, b, scale * x, 0.2)
    assert torch.equal(b, given), "the argument b was changed: compute with new tensors"
    assert gap.shape == (3,), "one gap per sample"
    assert gap.dtype == torch.float64, FLOAT64
    assert (gap >= lasso(A, b, scale * x, 0.2) - best - 1e-12).all(), (
        "the gap promises less error than there is: does your u satisfy the "
        "constraint that makes l(u) a lower bound?"
    )
assert duality_gap(A, b, solution, 0.2).abs().max() < 1e-6, (
    "at the solution the gap must close: there the residual itself is the best u"
)

# %% nbgrader={"grade": true, "grade_id": "ex11-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
gap = duality_gap(torch.eye(2), torch.ones(1, 2), torch.zeros(1, 2), 0.5)
assert gap.shape == (1,), "one gap per sample"
### BEGIN HIDDEN TESTS
for seed in range(2):
    for lam in (0.1, 0.4):
        A, b, x = small_problem(seed, batch=4)
        b[3] *= 10  # samples of different size
        exact = unroll.fista(A, b, lam, tol=1e-8, iterations=20_000, restart=True)
        best = lasso(A, b, exact.x, lam)
        assert duality_gap(A, b, exact.x, lam).abs().max() < 1e-6, (
            "the gap does not close at the solution"
        )
        for iterations in (0, 1, 5, 20, 100):
            y = unroll.ista(A, b, lam, iterations=iterations).x
            gap = duality_gap(A, b, y, lam)
            assert (gap >= lasso(A, b, y, lam) - best - 1e-11).all(), (
                "on the way the gap is smaller than the true error: it is no bound"
            )
            alone = [duality_gap(A, b[i : i + 1], y[i : i + 1], lam) for i in range(4)]
            assert torch.allclose(gap, torch.cat(alone), atol=1e-12), (
                "a sample's gap depends on its neighbours in the batch"
            )
        for y in (torch.zeros_like(x), 0.1 * x, x, unroll.ista(A, b, lam).x):
            r = b - y @ A.T
            s = lam / (r @ A).abs().amax(dim=1).clamp(min=lam)
            bound = s * (r * b).sum(dim=1) - s.square() * r.square().sum(dim=1) / 2
            least = lasso(A, b, y, lam) - bound
            gap = duality_gap(A, b, y, lam)
            assert (gap <= least + 1e-10 * (1 + least)).all(), (
                "the gap is larger than with u = s r, s as in the text: are all the "
                "factors 1/2 there?"
            )
            tight = (r * b).sum(dim=1) >= s * r.square().sum(
                dim=1
            )  # no better multiple
            assert torch.allclose(gap[tight], least[tight], atol=1e-10), (
                "the gap has another value than F(x) - l(s r) with the largest s"
            )
    dear = 1.5 * (b @ A).abs().max().item()
    assert duality_gap(A, b, torch.zeros_like(x), dear).abs().max() < 1e-10, (
        "when lam is so large that zero is the solution, the gap at zero is zero: the "
        "residual then satisfies the constraint as it is"
    )
exact_fit = duality_gap(torch.eye(3), x[:2, :3], x[:2, :3], 0.3)  # residual zero, x not
assert torch.allclose(exact_fit, 0.3 * x[:2, :3].abs().sum(dim=1)), (
    "with a residual of exactly zero only u = 0 is at hand, and the gap is F(x) itself"
)
nothing = duality_gap(A, torch.zeros(2, 12), torch.zeros(2, 20), 0.3)
assert torch.equal(nothing, torch.zeros(2)), (
    "no data, no residual: the gap is zero, not NaN"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $\|A^\top (s r)\|_\infty = s \|A^\top r\|_\infty$, the largest absolute value over the
# entries of *one* sample. For which $s$ is this at most $\lambda$?
#
# </details>
# <details><summary>Hint 2</summary>
#
# $s = \min(1, \lambda / \|A^\top r\|_\infty)$. Keep it as a column of shape `(batch, 1)`, so
# that it multiplies `r` row by row: `amax(dim=1, keepdim=True)`. Dividing a positive number
# by zero gives `inf` in PyTorch, which is larger than 1.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The minimum of 1 and a tensor of quotients is `quotients.clamp(max=1)`. The lower bound is
# $\ell(s r) = \tfrac12 \|b\|^2 - \tfrac12 \|s r - b\|^2$, for each sample.
#
# </details>

# %% tags=["picture"]
A, b, lam = problems["patches, cosine dictionary"]
best = minima["patches, cosine dictionary"]
fig, axes = plt.subplots(1, 2, sharey=True)
for ax, solver, name in zip(axes, (ista, fista), ("ISTA", "FISTA"), strict=True):
    gap = solver(A, b, lam, 1000, lambda x: duality_gap(A, b, x, lam))[1]
    excess = solver(A, b, lam, 1000, objective(A, b, lam))[1] - best
    ax.semilogy(gap[1:].amax(dim=1), label="duality gap")
    ax.semilogy(excess[1:].amax(dim=1), label="true excess of F")
    print(
        f"{name}: the gap is an upper bound throughout:", (gap >= excess).all().item()
    )
    done = (gap.amax(dim=1) <= 1e-4).any().item()
    print(f"{name}: stopped by a gap of 1e-4 within 1000 iterations:", done)
    ax.set(title=name, xlabel="iteration", ylabel="worst of 8 patches")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="The gap, which anyone can compute, never promises more than is true.",
    alt="Two panels with the duality gap above the true excess of the objective, both "
    "falling with the iterations: slowly for ISTA, faster and with ripples for FISTA.",
)

# %% [markdown]
# ### The path: one answer for every λ
#
# The certificate answers another question, too. When is $x = 0$ the solution? Then
# $r = b$, and the gap closes exactly if $u = b$ is allowed: if
# $\lambda \ge \lambda_{\max} = \|A^\top b\|_\infty$. Lower λ from there, and atoms come in.
# Forty values of λ are just one batch of forty problems.

# %%
b, truth = b_std[:1], x_std[0]
lam_max = (b @ A_std).abs().max().item()
lams = lam_max * torch.logspace(0, -3, 40)
path = unroll.fista(
    A_std, b.expand(40, -1), lams, tol=1e-6, iterations=5000, restart=True
).x
ever = path.ne(0).any(dim=0)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
axes[0].semilogx(lams / lam_max, path[:, truth != 0], "-", color="C0", lw=0.8)
axes[0].semilogx(lams / lam_max, path[:, ever & (truth == 0)], "-", color="C1", lw=0.8)
axes[0].set(xlabel="λ / λ_max", ylabel="value of the coefficients")
axes[0].invert_xaxis()
on = truth != 0
for at, marker in ((13, "C1x"), (36, "C0.")):
    label = f"λ / λ_max = {lams[at] / lam_max:.2g}"
    axes[1].plot(truth[on], path[at, on], marker, ms=4, label=label)
axes[1].plot([-3, 3], [-3, 3], "k-", lw=1)
axes[1].set(xlabel="true value", ylabel="Lasso's value")
axes[1].legend(fontsize=8)
figure(
    fig,
    caption="Left: the path of one sample; atoms of the true support in blue, false "
    "ones in orange. Right: the Lasso's coefficients against the true ones.",
    alt="Left, coefficients grow from zero one after another as lambda falls; the blue "
    "ones grow large and level off, the orange ones stay close to zero. Right, "
    "with the small lambda the points lie on the diagonal; with the large one they "
    "lie on a line shifted towards zero, and many are zero.",
)

# %%
print("nothing but zeros at lambda_max:", bool((path[0].abs() < 1e-9).all()))
print("something just below it:", bool((path[1].abs() > 1e-3).any()))

# %% [markdown]
# ### Bias, and a cure worth more than many iterations
#
# The right panel shows the flaw of the soft threshold. What survives is moved towards zero,
# by λ if the atoms were orthogonal, by more here. A large λ finds few false atoms but
# biases all true ones; a small λ is nearly unbiased but lets noise in. Which λ is best?
# Measure the error of a code by
#
# $$ \mathrm{NMSE} = 10 \log_{10} \frac{\sum_i \|\hat x_i - x^\star_i\|^2}
#    {\sum_i \|x^\star_i\|^2} \;\text{dB} \qquad \text{(ratio of sums over the batch)}. $$
#
# **Debiasing** keeps the Lasso's support, throws its values away, and refits them by least
# squares. The *oracle* does the same with the true support, which no method knows.


# %%
def refit(A, b, x):
    """Least squares on the support of each code."""
    refitted = torch.zeros_like(x)
    for i, support in enumerate(x != 0):
        values = torch.linalg.lstsq(A[:, support], b[i, :, None]).solution
        refitted[i, support] = values[:, 0]
    return refitted


some = slice(0, 50)
b, truth = b_std[some], x_std[some]
lams = [0.4, 0.2, 0.1, 0.05, 0.03, 0.02, 0.015, 0.01, 0.007, 0.005, 0.003, 0.002]
plain, refitted, x = [], [], torch.zeros_like(truth)
for lam in lams:
    x = unroll.fista(A_std, b, lam, x0=x, tol=1e-5, iterations=5000, restart=True).x
    plain.append(unroll.nmse_db(x, truth).item())
    refitted.append(unroll.nmse_db(refit(A_std, b, x), truth).item())
oracle = unroll.nmse_db(refit(A_std, b, truth), truth).item()

# %% tags=["picture"]
fig, ax = plt.subplots()
ax.semilogx(lams, plain, marker="o", ms=4, label="Lasso")
ax.semilogx(lams, refitted, marker="s", ms=4, label="Lasso, then refit")
ax.axhline(oracle, color="k", lw=0.8, ls=":", label="oracle: true support")
ax.set(xlabel="λ", ylabel="NMSE in dB (ratio)")
ax.legend(fontsize=8)
figure(
    fig,
    caption="The best λ for the Lasso and for finding the support are far apart.",
    alt="Error against lambda on a logarithmic axis. The Lasso's curve falls steadily "
    "from -7 dB at 0.4 to about -37 dB near 0.003. The refitted curve is "
    "lower for large lambda, reaches its best near 0.015 and crosses the other at the "
    "left end. The oracle's line lies at -46 dB.",
)

# %%
best_lasso, best_refit = min(plain), min(refitted)
print(
    f"oracle {oracle:.0f} dB, best Lasso {best_lasso:.0f} dB, refitted {best_refit:.0f} dB"
)
lam_plain, lam_refit = lams[plain.index(best_lasso)], lams[refitted.index(best_refit)]
print(f"best lambda: {lam_plain} for the Lasso, {lam_refit} before a refit")
print("a refit beats every Lasso by 3 dB or more:", best_refit < best_lasso - 3)

# %% [markdown]
# That may surprise: take a λ several times *too large* for the Lasso, solve, and refit once.
# One least-squares solve removes an error that no number of iterations can, because it is
# not an error of the solver. It is the solution of the Lasso that is off.
#
# ### A weak baseline, and how to recognise it
#
# Papers on learned solvers compare with "FISTA". With which λ? The published logs of one
# careful comparison (Behrens, Sauder and Jung 2021, code release) hold, for FISTA on the
# standard problem, −7.6 dB after 16 iterations and −7.4 dB after 28. They used λ = 0.4, which
# is also where several published networks start. Run it, and three smaller ones.


# %%
def squared_error(x):
    """Squared error against the codes of the moment. Shape (batch,)."""
    return (x - truth).square().sum(dim=1)


def in_db(history):
    """NMSE in dB (ratio of sums) per iteration, from a history of squared errors."""
    return 10 * torch.log10(history.sum(dim=1) / truth.square().sum())


curves = {}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.2))
for lam in (0.4, 0.1, 0.02, 0.003):
    curves[lam] = in_db(fista(A_std, b, lam, 300, squared_error)[1])
    ax.plot(curves[lam], label=f"FISTA, λ = {lam}")
ax.axhline(best_lasso, color="k", lw=0.8, ls="--")
ax.axhline(oracle, color="k", lw=0.8, ls=":")
ax.text(300, best_lasso + 1, "exact Lasso, best λ", ha="right", fontsize=8)
ax.text(300, oracle + 1, "oracle", ha="right", fontsize=8)
ax.set(xlabel="iteration", ylabel="NMSE in dB (ratio)", ylim=(-49, 1))
ax.legend(fontsize=8, loc="upper center", ncols=2)
figure(
    fig,
    caption="Four runs of the same solver on the same data. λ decides where it ends, "
    "and how long that takes.",
    alt="Error against iteration. With lambda 0.4 it drops to about -7 dB within twenty "
    "iterations and stays; 0.1 stays at -17, 0.02 at -30; 0.003 is slowest at first "
    "and reaches -37 dB, the line of the best exact Lasso. The oracle is at -46.",
)

# %%
print(f"lambda = 0.4, 16 iterations: {curves[0.4][16]:.1f} dB (published: -7.6 dB)")
helps = curves[0.4][300] < curves[0.4][16] - 1
print("more iterations help lambda = 0.4:", bool(helps))
print(f"lambda = 0.003, 300 iterations: {curves[0.003][300]:.0f} dB")

# %% [markdown]
# With λ = 0.4 the solver arrives within 16 iterations, at the biased solution of a Lasso that
# nobody should want. An honest baseline states its λ and how it was chosen, and shows the
# exact Lasso and the oracle as lines. `unroll.recovery_bounds` computes these lines;
# chapter 12 draws them behind every learned network. Note also that for a *small* budget
# of iterations a larger λ is better: at 30 iterations the order of the curves is not that
# at 300.

# %% [markdown]
# ## 6. The photograph again
#
# Two details separate the Lasso from a repaired photograph. **Mean.** A patch's brightness is
# not sparse structure: subtract the mean of its *known* pixels before coding and add it back
# after. **Holes.** A missing pixel has no residual. With a mask $M$, diagonal with 1 for
# known and 0 for missing,
#
# $$ f(x) = \tfrac12 \| M (b - D x) \|^2, \qquad \nabla f(x) = D^\top M (D x - b), \qquad
#    \|M D\|_2^2 \le \|D\|_2^2 , $$
#
# so the step $1 / \|D\|_2^2$ remains safe for every mask, though each patch has its own.

# %% [markdown]
# ### Exercise 11.7 · Restore patches
# Difficulty ●●●●● · 3 points
#
# Write `restore(D, patches, known, lam, iterations)`: FISTA on all patches at once, each with
# its own mask; return $D x$ plus the mean for *all* pixels, known and missing. Whatever
# numbers `patches` holds at missing pixels must not matter. Every patch has at least one
# known pixel. (With every pixel known, this denoises.)


# %% nbgrader={"grade": false, "grade_id": "ex11-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def restore(D, patches, known, lam, iterations):
    """Sparse-code the known pixels of every patch; return the complete patches.

    D: (pixels, atoms). patches: (batch, pixels). known: bool, (batch, pixels).
    Returns (batch, pixels).
    """
    ### BEGIN SOLUTION
    mask = known.to(patches.dtype)
    mean = (mask * patches).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
    b = mask * (patches - mean)
    step, t = 1 / lipschitz(D), 1.0
    x = z = torch.zeros(len(patches), D.shape[1])
    for _ in range(iterations):
        slope = (mask * (z @ D.T) - b) @ D
        x_last, x = x, soft_threshold(z - step * slope, step * lam)
        t_last, t = t, (1 + math.sqrt(1 + 4 * t**2)) / 2
        z = x + (t_last - 1) / t * (x - x_last)
    return x @ D.T + mean
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex11-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(7)
frame = torch.randn(16, 32, generator=g) / 4
damaged = torch.rand(6, 16, generator=g)
mask = torch.rand(6, 16, generator=g) < 0.6
mask[:, 0] = True
given = damaged.clone()
whole = restore(frame, damaged, mask, 0.05, 300)
assert torch.equal(damaged, given), (
    "the patches that were handed over have been changed: work on a copy"
)
assert whole.shape == (6, 16), "complete patches, one per row"
assert whole.dtype == torch.float64, FLOAT64
garbage = torch.where(mask, damaged, 10.0)
assert torch.allclose(restore(frame, garbage, mask, 0.05, 300), whole), (
    "the values at missing pixels reach the result: look at the mean and the residual"
)
grey = restore(frame, torch.full((2, 16), 0.7), mask[:2], 0.05, 50)
assert torch.allclose(grey, torch.full((2, 16), 0.7)), (
    "a patch of one grey has nothing to code, so it must come back as it was"
)
brighter = restore(frame, damaged + 1, mask, 0.05, 300)
assert torch.allclose(brighter, whole + 1), (
    "brightness is no structure: only the mean moves"
)

# %% nbgrader={"grade": true, "grade_id": "ex11-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
whole = restore(torch.eye(4), torch.ones(2, 4), torch.ones(2, 4) > 0, 0.1, 2)
assert whole.shape == (2, 4), "complete patches, one per row"
### BEGIN HIDDEN TESTS
for seed in range(2):
    g = torch.Generator().manual_seed(seed)
    frame = torch.randn(16, 32, generator=g) / 4
    damaged = torch.rand(6, 16, generator=g)
    mask = torch.rand(6, 16, generator=g) < 0.6
    mask[:, seed], mask[5] = True, True
    lam = 0.05
    whole = restore(frame, damaged, mask, lam, 3000)
    for i in range(6):
        rows = mask[i]  # throw the missing rows away: an ordinary Lasso
        mean = damaged[i, rows].mean()
        code = unroll.fista(
            frame[rows],
            (damaged[i, rows] - mean)[None],
            lam,
            tol=1e-11,
            iterations=50_000,
            restart=True,
        ).x
        assert torch.allclose(
            whole[i, rows], (code @ frame.T)[0, rows] + mean, atol=1e-4
        ), (
            "the fit of the known pixels is not that of the Lasso on the known rows: "
            "does each patch use its own mask, in the residual and in the mean?"
        )
        assert torch.allclose(whole[i], (code @ frame.T)[0] + mean, atol=1e-4), (
            "the missing pixels are filled with the same code and the same mean as the "
            "known ones"
        )
    for i in range(6):
        alone = restore(frame, damaged[i : i + 1], mask[i : i + 1], lam, 100)
        together = restore(frame, damaged, mask, lam, 100)[i : i + 1]
        assert torch.allclose(alone, together), "patches must not influence each other"
    mean = damaged.mean(dim=1, keepdim=True)
    for k in (1, 2, 3, 5, 9, 40):
        code = unroll.fista(frame, damaged - mean, lam, iterations=k).x
        full = restore(frame, damaged, torch.ones(6, 16) > 0, lam, k)
        assert torch.allclose(full, code @ frame.T + mean, rtol=0, atol=1e-9), (
            f"with every pixel known, {k} iterations are not {k} iterations of FISTA: step "
            "1 / L, t = 1 at the start, momentum in every one of them"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Turn `known` into numbers 0 and 1 and multiply: a sum over known pixels is
# `(mask * patches).sum(dim=1)`, and their number is `mask.sum(dim=1)`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Only two lines of your FISTA change: the data is `b = mask * (patches - mean)`, and the
# gradient at `z` multiplies the fit by the mask *before* it is carried back by `@ D`. So
# `ista_step` does not fit; write its two moves out.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The gradient at `z` is `(mask * (z @ D.T) - b) @ D`.
#
# </details>

# %% [markdown]
# How large should λ be? We may not try values on the picture we are judged by. So choose
# it on a corner of *another* photograph, damaged in the same way.

# %%
other = crop("china", 90, 300, side=64)
g = torch.Generator().manual_seed(2)
other_noisy = other + sigma * torch.randn(other.shape, generator=g)
other_known = torch.rand(other.shape, generator=g) < 0.5


def trial(damaged, known, lam, iterations):
    """PSNR of the other photograph after restoration."""
    patches = restore(D, to_patches(damaged), to_patches(known), lam, iterations)
    return psnr(to_image(patches, side=64), other)


noise_lams = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4]
hole_lams = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16]
everything = torch.ones_like(other_known)
noise_db = [trial(other_noisy, everything, lam, 25) for lam in noise_lams]
hole_db = [trial(other, other_known, lam, 60) for lam in hole_lams]
lam_noise = noise_lams[noise_db.index(max(noise_db))]
lam_holes = hole_lams[hole_db.index(max(hole_db))]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.semilogx(noise_lams, noise_db, marker="o", ms=4, label="noise, σ = 0.1")
ax.semilogx(hole_lams, hole_db, marker="s", ms=4, label="holes, no noise")
ax.set(xlabel="λ", ylabel="PSNR in dB")
ax.legend(fontsize=8)
figure(
    fig,
    caption="On another photograph: with noise the best price is about twice its "
    "standard deviation, for holes without noise it is far smaller.",
    alt="Two curves of quality against lambda, each with a single maximum. The one for "
    "noise peaks at 0.2, the one for holes at 0.02 and is flatter.",
)

# %%
print(f"chosen: lambda = {lam_noise} for noise, {lam_holes} for holes")

# %% tags=["front-page"]
denoised = to_image(restore(D, to_patches(noisy), to_patches(all_known), lam_noise, 30))
inpainted = to_image(restore(D, to_patches(photo), to_patches(known), lam_holes, 80))
panels(
    {
        f"noise: {psnr(noisy, photo):.1f} dB": noisy,
        f"shortest codes: {psnr(ls_noisy, photo):.1f} dB": ls_noisy,
        f"sparse codes: {psnr(denoised, photo):.1f} dB": denoised,
        "half of the pixels": torch.where(known, photo, math.nan),
        f"shortest codes: {psnr(ls_holes, photo):.1f} dB": ls_holes,
        f"sparse codes: {psnr(inpainted, photo):.1f} dB": inpainted,
    },
    caption="Before and after. The same 256 atoms, the same patches; only the price on "
    "the coefficients is new.",
    alt="Six pictures of the dahlia. Top: noisy, unchanged by shortest codes, and clean "
    "and slightly soft with sparse codes. Bottom: half of the pixels white, speckled "
    "edges with shortest codes, and smooth petals with clean edges with sparse codes.",
)
print(
    "noise: sparse codes gain 8 dB or more:",
    psnr(denoised, photo) > psnr(ls_noisy, photo) + 8,
)
print(
    "holes: sparse codes gain 4 dB or more:",
    psnr(inpainted, photo) > psnr(ls_holes, photo) + 4,
)

# %% [markdown]
# In fairness: shortest codes fill holes better than one might fear, because the atoms are
# smooth and overlapping patches are averaged. And a fixed cosine dictionary is only where
# this story began: Elad and Aharon (2006) learn the dictionary from the noisy picture.

# %% [markdown]
# ## The library's version
#
# You have written it all; `unroll` has the same functions with checks at the door,
# stopping by the gap and restarts. Are they the same?

# %%
A, b, _ = small_problem(seed=0, batch=5, m=40, n=80)
lam = 0.1
runs = {
    "ISTA": (ista, unroll.ista(A, b, lam, iterations=200)),
    "FISTA": (fista, unroll.fista(A, b, lam, iterations=200)),
}
wide = torch.randn(5, 80, generator=torch.Generator().manual_seed(0))
same = torch.allclose(
    soft_threshold(wide, 0.3), unroll.soft_threshold(wide, 0.3), rtol=0, atol=1e-12
)
print("soft threshold, equal to 1e-12:", same)
for name, (mine, theirs) in runs.items():
    x, F = mine(A, b, lam, 200, objective(A, b, lam))
    pairs = {
        "code": (x, theirs.x),
        "objective": (F, theirs.objective),
        "gap": (duality_gap(A, b, x, lam), theirs.gap),
    }
    for what, (one, other_one) in pairs.items():
        print(
            f"{name}, {what}, equal to 1e-12:",
            (one - other_one).abs().max().item() < 1e-12,
        )

# %% [markdown]
# Here is how the library writes the soft threshold: what is left of $v$ after subtracting its
# *clipped* copy. The clip is the projection onto $\{u : \|u\|_\infty \le \theta\}$, the set
# that the dual problem speaks of when $A$ is the identity. That a prox and a projection add
# up to the identity is called Moreau's decomposition.

# %%
print(inspect.getsource(unroll.soft_threshold))

# %% [markdown]
# ## Signature result: 25 iterations instead of 3420
#
# Look at ISTA once more, in the standard problem. The step is short, $1/L$ with
# $L \approx (1 + \sqrt{n/m})^2 \approx 5.8$, because some direction is stretched that much. Yet
# the columns of $A$ have unit norm and are nearly orthogonal on average. It is tempting to
# use step 1, far beyond $2/L$. With one extra term, that works. **Approximate message
# passing** (Donoho, Maleki and Montanari 2009) is
#
# $$ \begin{aligned}
#    x_{k+1} &= \eta_{\theta_k}(x_k + A^\top v_k), \qquad \theta_k = \alpha \, \|v_k\| / \sqrt m, \\
#    v_{k+1} &= b - A x_{k+1} + \underbrace{\tfrac1m \|x_{k+1}\|_0 \, v_k}_{\text{Onsager term}} .
#    \end{aligned} $$
#
# from $x_0 = 0$ and $v_0 = b$; $\|x\|_0$ counts the non-zero entries of $x$, and $\alpha$ is a
# number that one chooses.
#
# Without the Onsager term this is ISTA with step 1 and an adaptive threshold. In ISTA the
# errors of $x_k$ depend on $A$ and feed back through $A^\top A$. The term cancels that echo, to
# leading order, and then $x_k + A^\top v_k$ behaves like $x^\star$ plus *fresh Gaussian noise*
# of standard deviation $\|v_k\| / \sqrt m$, against which a soft threshold is the right tool.
# Its fixed points solve the Lasso with $\lambda = \theta \, (1 - \|x\|_0 / m)$.
#
# **The published figures** (Borgerding and Schniter, code release `onsager_deep_learning`,
# README; 250 × 500, density 0.1, SNR 40 dB, α = 1.1402, one draw of 1000 samples): −35 dB is
# reached by AMP at iteration 25, by FISTA at 202, by ISTA at 3420. We repeat it: AMP on five
# draws of 500 samples, of which the median counts, because one or two codes that AMP loses
# can keep the error of all 500 above the line for good; on the first draw also FISTA
# (200 samples) and ISTA (50 samples, it is that slow), both with the λ that AMP ended at.
# (The published script averages the samples' error ratios; ours is the ratio of sums.)


# %%
def amp(A, b, alpha, iterations, measure, onsager=True):
    """Approximate message passing, or without its Onsager term. Returns x, v, history."""
    m = A.shape[0]
    x, v = torch.zeros(b.shape[0], A.shape[1]), b
    history = [measure(x)]
    for _ in range(iterations):
        theta = alpha * v.norm(dim=1, keepdim=True) / math.sqrt(m)
        x = soft_threshold(x + v @ A, theta)
        echo = (x != 0).sum(dim=1, keepdim=True) / m * v
        v = b - x @ A.T + (echo if onsager else 0)
        history.append(measure(x))
    return x, v, torch.stack(history)


def reached(curve, level=-35.0):
    """First iteration at or below the level; infinity if there is none."""
    return next((k for k, e in enumerate(curve.tolist()) if e <= level), math.inf)


ALPHA = 1.1402
amp_curves = []
for seed in (1, 2, 3, 4, 5):
    A, b, truth = draw(seed)
    x_amp, _, history = amp(A, b, ALPHA, 45, squared_error)
    amp_curves.append(in_db(history))
library = unroll.amp(A, b, iterations=45, alpha=ALPHA)
print(
    "our AMP equals the library's to 1e-12:",
    (x_amp - library.x).abs().max().item() < 1e-12,
)

# %%
lam_amp = unroll.amp(A_std, b_std, iterations=60, alpha=ALPHA).lam.mean().item()
truth = x_std[:200]
fista_db = in_db(fista(A_std, b_std[:200], lam_amp, 300, squared_error)[1])
truth = x_std[:50]
ista_db = in_db(ista(A_std, b_std[:50], lam_amp, 6000, squared_error)[1])

# %%
amp_counts = [reached(curve) for curve in amp_curves]
amp_count = sorted(amp_counts)[2]
fista_count, ista_count = reached(fista_db), reached(ista_db)
print("iterations to -35 dB at SNR 40")
print(f"  AMP    {amp_count:4}   published   25   (five draws: {amp_counts})")
print(f"  FISTA  {fista_count:4}   published  202")
print(f"  ISTA   {ista_count:4}   published 3420")
print("AMP within 3 of the published 25:", abs(amp_count - 25) <= 3)
print("FISTA within 10 % of 202:", abs(fista_count / 202 - 1) < 0.1)
print("ISTA within 50 % of 3420:", abs(ista_count / 3420 - 1) < 0.5)
print("ISTA over AMP: more than 100:", ista_count > 100 * amp_count)

# %% [markdown]
# The last lines claim what holds for other draws, too. The curves level off just below
# −35 dB, so that ISTA's count moves by several hundred from draw to draw.
#
# AMP needs one product with $A$ and one with $A^\top$ per iteration, exactly as ISTA does, so
# the iterations compare fairly. Two **negative controls** (runs from which the supposed cause
# is removed, so that the effect must go, too) show where the gain comes from:
# AMP without its Onsager term; and AMP, term and all, on the same matrix with a little of
# one common vector added to every column (columns scaled back to norm 1).

# %%
truth = x_std[:200]
no_term = in_db(amp(A_std, b_std[:200], ALPHA, 12, squared_error, onsager=False)[2])
common = torch.randn(250, 1, generator=torch.Generator().manual_seed(3)) / math.sqrt(
    250
)
tilted = A_std + 0.3 * common
tilted = tilted / tilted.norm(dim=0)
b_tilted, truth = unroll.SparseCoding(tilted).sample(
    100, torch.Generator().manual_seed(4)
)
off = in_db(amp(tilted, b_tilted, ALPHA, 60, squared_error)[2])
rescue = in_db(fista(tilted, b_tilted, lam_amp, 1000, squared_error)[1])
curves = {"ISTA": ista_db, "FISTA": fista_db, "AMP": amp_curves[0]}
curves["AMP, no Onsager term"] = no_term

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.2))
for name, curve in curves.items():
    axes[0].semilogx(range(1, len(curve)), curve[1:], label=name)
axes[0].axhline(-35, color="k", lw=0.8)
axes[0].set(title="independent entries", xlabel="iteration")
axes[0].set(ylabel="NMSE in dB (ratio)", ylim=(-40, 25))
axes[1].set_ylabel("NMSE in dB (ratio)")
axes[0].legend(fontsize=8, loc="upper right")
axes[1].semilogx(range(1, 1001), rescue[1:], color="C1", ls="--", label="FISTA")
axes[1].semilogx(range(1, 61), off[1:], color="C2", ls="-.", label="AMP")
axes[1].axhline(-35, color="k", lw=0.8)
axes[1].set(title="a common part in all columns", xlabel="iteration")
axes[1].legend(fontsize=8, loc="upper right")
figure(
    fig,
    caption="Left: AMP is two orders of magnitude ahead of ISTA, but only with its "
    "Onsager term. Right: on tilted columns it diverges where FISTA merely slows down.",
    alt="Left, error against iteration on a log axis: AMP crosses -35 dB at about 25, "
    "FISTA at about 200, ISTA beyond 3000; AMP without the Onsager term rises off the "
    "chart at once. Right, with tilted columns AMP rises off the chart, "
    "FISTA still goes down to about -36 dB.",
)

# %%
print("without the Onsager term it diverges:", bool(no_term[-1] > 0))
print("tilted columns: AMP diverges:", not bool(off[-1] < 0))
print("tilted columns: FISTA reaches -35 dB:", bool(rescue[-1] < -35))

# %% [markdown]
# And here is the "fresh Gaussian noise" in front of a threshold: the distribution of
# $x_k + A^\top v_k - x^\star$ over all entries and samples at $k = 5$, in units of
# $\|v_k\| / \sqrt m$. The theory says: standard normal.

# %% tags=["picture"]
edges = torch.linspace(-6, 6, 121)
normal = torch.exp(-0.5 * edges**2) / math.sqrt(2 * math.pi)
fig, axes = plt.subplots(1, 2, sharey=True)
for ax, onsager in zip(axes, (True, False), strict=True):
    x, v, _ = amp(A_std, b_std, ALPHA, 5, lambda x: x[:, 0], onsager)
    error = x + v @ A_std - x_std
    error = error / v.norm(dim=1, keepdim=True) * math.sqrt(250)
    density = torch.histc(error, 120, -6, 6) / error.numel() / 0.1
    ax.stairs(density, edges, fill=True, color="0.8")
    ax.semilogy(edges, normal)
    ax.set(title="AMP" if onsager else "without the Onsager term", ylim=(1e-5, 1))
    ax.set(xlabel="scaled error", ylabel="density")
    share = (error.abs() > 3).double().mean().item()
    print(f"Onsager term {onsager}: share beyond three sigma {share:.1%}")
figure(
    fig,
    caption="Grey: the error that the soft threshold sees; line: the standard normal. "
    "The Onsager term is what makes them agree.",
    alt="Two histograms on a logarithmic axis. With the Onsager term the histogram "
    "follows the parabola of the normal density into its tails. Without it the "
    "histogram has much heavier tails.",
)

# %% [markdown]
# ## An experiment to change
#
# How dense may a code be before AMP loses it? If the threshold sees Gaussian noise of
# standard deviation $\sigma$ in front of a code of density $\varepsilon$, it leaves at most
# the mean squared error $\sigma^2 M(\varepsilon, \alpha)$, whatever the values of the
# non-zeros, with
#
# $$ M(\varepsilon, \alpha) = \varepsilon (1 + \alpha^2)
#    + (1 - \varepsilon) \, 2 \left[ (1 + \alpha^2) \Phi(-\alpha) - \alpha \varphi(\alpha) \right] , $$
#
# $\varphi$ and $\Phi$ being the normal density and distribution. Through $A^\top A$ each of the
# $n$ errors spreads over $m$ measurements, and the next noise has variance
# $\tfrac nm \sigma^2 M$. So without measurement noise AMP should converge exactly if
# $M(\varepsilon, \alpha) < m / n$: a *phase transition* (Donoho, Maleki and Montanari 2009).
# Is that so? Count the codes recovered to 1 %.

# %%
SIZES = [(50, 100), (250, 500), (125, 500)]  # rows and columns of A
DENSITIES = [0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.24]
SAMPLES, ITERATIONS, EXPERIMENT_ALPHA = 25, 150, 1.1402


def predicted(ratio, alpha):
    """Density at which M(density, alpha) = ratio."""
    tail = 0.5 * math.erfc(alpha / math.sqrt(2))
    peak = math.exp(-(alpha**2) / 2) / math.sqrt(2 * math.pi)
    zeros = 2 * ((1 + alpha**2) * tail - alpha * peak)
    return (ratio - zeros) / (1 + alpha**2 - zeros)


fig, ax = plt.subplots()
for m, n in SIZES:
    g, shares = torch.Generator().manual_seed(m + n), []
    for density in DENSITIES:
        problem = unroll.SparseCoding.gaussian(m, n, g, density=density, snr_db=None)
        b, x_true = problem.sample(SAMPLES, g)
        x = unroll.amp(problem.A, b, iterations=ITERATIONS, alpha=EXPERIMENT_ALPHA).x
        close = (x - x_true).norm(dim=1) <= 0.01 * x_true.norm(dim=1)
        shares.append(close.double().mean().item())
    ax.plot(DENSITIES, shares, marker="o", ms=4, label=f"A is {m} × {n}")
for ratio in (0.5, 0.25):
    ax.axvline(predicted(ratio, EXPERIMENT_ALPHA), color="k", lw=0.8, ls=":")
ax.set(xlabel="density of the code", ylabel="share recovered")
ax.legend(fontsize=8)
figure(
    fig,
    caption="Recovery by AMP without noise. Dotted: where the formula says that it ends, "
    "for m / n = 1/4 and 1/2.",
    alt="Three falling curves of the recovered share against density. Those for two "
    "columns per row fall from one to zero around the predicted 0.18, the larger matrix "
    "more steeply; the one for four columns per row falls around the predicted 0.06.",
)

# %% [markdown]
# Change one thing at a time, and guess first:
#
# - `SIZES = [(25, 50), (500, 1000)]`: does the drop move, or does it get steeper?
# - `EXPERIMENT_ALPHA`: 0.8 and 1.6. Which α pushes the transition furthest to the right?
# - `snr_db=20.0` in place of `None`. Is 1 % still a fair question?
# - Back in section 4: the script behind the published 202 adds the momentum to $x_k$ but takes
#   the gradient at $x_k$, not at $z_k$. Change your `fista` and count again. Is it closer?

# %% [markdown]
# ## When it fails
#
# **Coherent dictionaries.** The Lasso can fit the data without telling atoms apart. Make
# patches of two pairs of neighbouring cosine atoms, one of each pair with weight 1, the
# other with −1, no noise; ask for the code back, and do the same with a random dictionary.

# %%
g = torch.Generator().manual_seed(5)
random_atoms = torch.randn(64, 256, generator=g)
random_atoms = random_atoms / random_atoms.norm(dim=0)
x_true = torch.zeros(100, 256)
for row in x_true:
    first = 2 * torch.randperm(128, generator=g)[:2]
    row[first], row[first + 1] = 1.0, -1.0
for name, A in (("random", random_atoms), ("cosine", D)):
    b = x_true @ A.T
    x = unroll.fista(A, b, 0.001, tol=1e-5, iterations=20_000, restart=True).x
    coherence = (A.T @ A - torch.eye(256)).abs().max().item()
    fit = ((x @ A.T - b).norm() / b.norm()).item()
    found = x_true.abs().gather(1, x.abs().topk(4, dim=1).indices).mean().item()
    print(f"{name} atoms: largest inner product of two: {coherence:.2f};", end=" ")
    print(f"data fitted to 1 %: {fit < 0.01}; most true atoms found: {found > 0.5}")

# %% [markdown]
# For the photograph this does not matter, since only $D x$ is shown. Whoever *interprets* the
# code, as a sky map or as active genes, must care.
#
# **A careless λ.** Section 5. No algorithm repairs it, and the gap will not warn you: it
# certifies that you have solved the problem you wrote down.
#
# **AMP off its matrix.** The negative control above. Independent entries are an assumption,
# not a formality; later variants (vector AMP) relax it.
#
# **Speed on one CPU.** ISTA and FISTA move all coordinates, with a step that fits the worst
# direction. Coordinate descent, scikit-learn's choice, solves for one coordinate at a time
# with that coordinate's own step. A pass over all of them costs about as much as an iteration
# of FISTA. How many are needed to bring the gap below one thousandth?

# %%
lam, target = 0.01, 1e-3
one = b_std[:1]
gap = fista(A_std, one, lam, 500, lambda x: duality_gap(A_std, one, x, lam))[1]
iterations = int((gap[:, 0] <= target).nonzero()[0])
for passes in range(5, 500, 5):
    solver = Lasso(alpha=lam / 250, fit_intercept=False, tol=1e-14, max_iter=passes)
    coef = torch.tensor(solver.fit(A_std.numpy(), one[0].numpy()).coef_)[None]
    if duality_gap(A_std, one, coef, lam) <= target:
        break
print(
    "coordinate descent needs fewer passes than FISTA iterations:", passes < iterations
)

# %% [markdown]
# So on a CPU, for one dictionary and exact answers, use coordinate descent. What FISTA
# offers is a loop of matrix products, the same for a thousand samples at once, on any
# device, and differentiable. Such a loop has something that coordinate descent has not: a
# fixed number of layers with constants in them that can be *learned*. That is chapter 12.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Why is the threshold of ISTA λ / L, and not λ?",
        choices=[
            "Because a smaller threshold makes the code sparser",
            "Because the majoriser was multiplied by the step before it was read as a "
            "soft threshold",
            "Because λ is divided by the number of rows, as in scikit-learn",
        ],
        answer="bfbffeb5b176",
        hint="Complete the square in Q again and watch the factor of the penalty.",
    ),
    Question(
        "Every entry of A is doubled. What happens to the longest safe step?",
        choices=["It is halved", "It stays the same", "It is divided by four"],
        answer="d25e2a1286aa",
        hint="L bounds squared lengths of A d.",
    ),
    Question(
        "FISTA's objective rose between two iterations. What do you conclude?",
        choices=[
            "The step is too long",
            "Nothing is wrong: momentum may overshoot, the bound still holds",
            "The gradient has the wrong sign",
        ],
        answer="c578e7dc2206",
        hint="The theorem bounds the excess of F at each k; it does not say monotone.",
    ),
    Question(
        "The duality gap at x is 0.01. What is certain?",
        choices=[
            "F(x) is at most 0.01 above its minimum",
            "Every entry of x is within 0.01 of the solution's",
            "x is within 0.01 of the true code",
        ],
        answer="a9f1ab3bc142",
        hint="The gap compares two objective values, at the λ that you chose.",
    ),
    Question(
        "A paper's FISTA has the same -7 dB after 16 and after 28 iterations, and its "
        "network has -30 dB. What do you ask first?",
        choices=[
            "Whether FISTA was run in double precision",
            "Whether the step was 1 / L",
            "Which λ was used, and what the exact Lasso reaches at the best one",
        ],
        answer="65eab4d191b4",
        hint="If iterations do not help, the solver has arrived. Where?",
    ),
    Question(
        "What does the Onsager term do for AMP?",
        choices=[
            "It removes the echo of earlier iterates, so that the threshold sees x* plus "
            "Gaussian noise",
            "It shortens the step below 2 / L",
            "It adds momentum, as in FISTA",
        ],
        answer="c79fb31b6349",
        hint="AMP keeps step 1. Look at the two histograms.",
    ),
)

# %% [markdown]
# ## Summary
#
# - The prox of $\theta |x|$ is the soft threshold: it makes zeros, and it moves the rest by
#   $\theta$.
# - ISTA minimises a majoriser: a gradient step of length $1/L$, $L = \|A\|_2^2$, then a
#   threshold $\lambda / L$. $F$ never rises, and its excess is $O(1/k)$.
# - FISTA takes the step from an extrapolated point; its excess is $O(1/k^2)$.
# - The scaled residual is a feasible dual point. The gap it gives is a certificate that needs
#   no reference solution.
# - λ decides more than the solver does. Refitting on the support undoes the bias.
# - With independent Gaussian entries AMP needs a hundred times fewer iterations than ISTA;
#   elsewhere it may diverge.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | atom, dictionary | a column of $A$ (or $D$); the matrix of all atoms |
# | code | the coefficients $x$ with $b \approx A x$ |
# | Lasso | $\min_x \tfrac12 \lVert b - A x \rVert_2^2 + \lambda \lVert x \rVert_1$ |
# | prox | $\arg\min_x g(x) + \tfrac12 \lVert x - v \rVert^2$; for $\theta \lVert \cdot \rVert_1$ the soft threshold $\eta_\theta$ |
# | majoriser | a function above $F$ that touches it at the current point |
# | Lipschitz constant $L$ | of $\nabla f$: the largest eigenvalue of $A^\top A$ |
# | momentum | extrapolation along the last move before the next step |
# | duality gap | $F(x) - \ell(u)$ for a feasible $u$; at least the excess of $F$ at $x$ |
# | debiasing | least squares on the support of a code |
# | NMSE | squared error over squared norm, in dB; here the ratio of sums over the batch |
# | Onsager term | the part of AMP's residual that cancels the echo of earlier iterates |
# | PSNR | $-10 \log_{10}$ of the mean squared error, for a peak of 1 |
#
# ## Readings
#
# - **Daubechies, Defrise and De Mol (2004)**, *An iterative thresholding algorithm for linear
#   inverse problems with a sparsity constraint*, Comm. Pure Appl. Math. 57(11). Look for the
#   surrogate functional, our $Q$, and for the proof that the iterates themselves converge.
# - **Beck and Teboulle (2009)**, *A fast iterative shrinkage-thresholding algorithm for linear
#   inverse problems*, SIAM J. Imaging Sci. 2(1). Look for theorems 3.1 and 4.4, and for how
#   little the proof uses of $f$ and of the penalty.
# - **O'Donoghue and Candès (2015)**, *Adaptive restart for accelerated gradient schemes*, Found.
#   Comput. Math. 15(3). Look for the reason of FISTA's ripples, and for the test that the
#   option `restart=True` of `unroll.fista` makes.
# - **Donoho, Maleki and Montanari (2009)**, *Message-passing algorithms for compressed sensing*,
#   PNAS 106(45). Look for state evolution: a scalar recursion that predicts AMP's error.
# - **Elad and Aharon (2006)**, *Image denoising via sparse and redundant representations over
#   learned dictionaries*, IEEE Trans. Image Process. 15(12). Look for how patches are
#   averaged, and compare their cosine dictionary with their learned one.
# - **Monga, Li and Eldar (2021)**, *Algorithm unrolling*, IEEE Signal Process. Mag. 38(2). Look
#   for the step from this chapter to the next: the loop drawn as a network.
