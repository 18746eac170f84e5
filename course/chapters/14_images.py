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
# # 14 · Images: splitting methods unrolled
#
# > **Claim.** An image behind a mask, a blur or a scanner comes back by two steps in turns: fit the data, then make the image plausible. A plausibility learned from images can beat total variation by decibels or lose to it by as many; and where the data say nothing, the network draws what it has learned, and the data cannot object.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | write an operator and its adjoint, and test the pair; take one step of ADMM and one of the primal-dual method; put a learned network in the place of a proximal map; differentiate through a solve with one more solve; measure which part of an image the data do not see; say what a reconstruction invents |
# | **Before you start** | chapter 11 (soft threshold, proximal map, gradient step); chapter 12 (a loop as a network); chapter 13 helps; convolutions |
# | **Time** | 150 minutes |
# | **Points** | 22, in seven exercises |

# %% tags=["setup"]
import functools

import matplotlib.pyplot as plt
import torch

import unroll
from course.kit import Question, figure, quiz, setup, stored
from unroll import images, problems
from unroll.operators import (
    Blur,
    FourierSample,
    Gradient,
    Mask,
    Matrix,
    Ray,
    conjugate_gradients,
)
from unroll.penalties import TV

generator = setup(seed=14)
result = stored("images")

# %% [markdown]
# ## Cold open: three answers that fit and are wrong
#
# A photograph $x$ is not seen itself. We see $b = A x + \text{noise}$. Here $A$ is one of
# three linear maps:
#
# - a **mask** keeps half of the pixels;
# - a **blur** mixes every pixel with its neighbours;
# - a **ray transform** sums the pixels along parallel lines, at a few angles. A scanner
#   for tomography measures that.
#
# In chapters 11 to 13 the matrix $A$ was random, and it was stored. These three are
# functions: nobody writes down their matrices. We call such a map an **operator**.
#
# **Shapes.** Images are `(batch, 1, height, width)`. The data $b$ have the shape that the
# operator gives them: a list, an image, or a row of sums for each angle.
#
# The noise is small: its standard deviation is one hundredth of that of $A x$. So look for
# an image that fits: minimise $\tfrac12 \|b - A x\|^2$, from zero, until it rests.

# %% tags=["given"]
SIZE = (64, 64)
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def seeded(seed):
    """A source of chance of its own."""
    return torch.Generator().manual_seed(seed)


def psnr(found, truth):
    """10 log10(1 / mean squared error), the mean over the images, in dB; white is 1."""
    found = found.real if found.is_complex() else found
    error = (found - truth).square().flatten(1).mean(dim=1)
    return (-10 * torch.log10(error)).mean().item()


def panels(pictures, caption, alt, columns=4, high=1.0):
    """Draw titled grey pictures in rows."""
    rows = -(-len(pictures) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(7, 1.95 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        picture = picture.real if picture.is_complex() else picture
        picture = picture.squeeze()
        square = picture.shape[0] == picture.shape[1]
        limits = (0, high) if square else (None, None)
        ax.imshow(picture, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        ax.set_title(title, fontsize=9)
    figure(fig, caption=caption, alt=alt)


photograph = problems.Photographs(SIZE, names=("flower",)).sample(24, seeded(5))[22:23]
operators = {
    "mask": Mask.random(SIZE, 0.5, seeded(1)),
    "blur": Blur.gaussian(1.5, SIZE),
    "rays": Ray(SIZE, angles=20),
}


def measured(A, x, seed=2, snr_db=40.0):
    """A x and noise, its size given in dB below A x."""
    b = A(x)
    noise = torch.randn(b.shape, dtype=b.dtype, generator=seeded(seed))
    return b + 10 ** (-snr_db / 20) * b.std() * noise


# %%
data = {name: measured(A, photograph) for name, A in operators.items()}
fits, shown = {}, {"the photograph": photograph}
for name, A in operators.items():
    b = data[name]
    fits[name] = conjugate_gradients(
        lambda d, A=A: A.adjoint(A(d)), A.adjoint(b), tol=1e-6, iterations=300
    )
    shown[f"{name}: what fits"] = fits[name]
panels(
    shown,
    caption="Three images that fit their data better than the true one does.",
    alt="Four pictures. Petals of a dahlia; the same with half of the pixels black; the "
    "petals under black and white grains; the petals under grey speckles.",
)
for name, A in operators.items():
    b = data[name]
    off, of_truth = ((b - A(x)).norm() for x in (fits[name], photograph))
    print(
        f"{name}: fits better than the truth: {bool(off < of_truth)};",
        f"and is below 20 dB: {psnr(fits[name], photograph) < 20}",
    )

# %% [markdown]
# Nothing is wrong with the fit. The mask says nothing about half of the pixels. The blur
# says almost nothing about fine structure, so that the noise decides there. The rays are
# too few. **What the data do not say must come from somewhere else**, and where it comes
# from is the subject of this chapter: first from a formula, then from training.

# %% [markdown]
# ## 1. An operator and its adjoint
#
# Every method here uses $A$ in two ways only: it applies $A$, and it applies the
# **adjoint** $A^*$, which carries data back to images. The adjoint is defined by inner
# products,
#
# $$ \langle A x, y \rangle = \langle x, A^* y \rangle \quad \text{for all } x, y, \qquad
#    \langle u, v \rangle = \sum_i \overline{u_i} \, v_i . $$
#
# (The bar is the complex conjugate; of real numbers it does nothing.) For a matrix it is
# the transpose, conjugated. It is *not* the inverse. The gradient of
# $\tfrac12 \|b - A x\|^2$ is $A^*(A x - b)$. A wrong adjoint gives a wrong gradient, and
# then methods converge to something else, quietly. So test the pair: draw $x$ and $y$ at
# random, and compare both sides.

# %% [markdown]
# ### Exercise 14.1 · The adjoint test
# Difficulty ●○○○○ · 2 points
#
# Write `adjoint_error(A, x, y)`, which returns
#
# $$ \frac{|\langle A x, y \rangle - \langle x, A^* y \rangle|}{\|A x\| \, \|y\|} , $$
#
# where all norms and inner products run over the whole batch. `A(x)` applies the
# operator, `A.adjoint(y)` its adjoint. Both may be complex. Return a number, or a tensor
# with one entry.


# %% nbgrader={"grade": false, "grade_id": "ex14-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def adjoint_error(A, x, y):
    """How far A.adjoint is from the adjoint of A, as seen by x and y.

    A: an operator. x: images. y: like A(x). Returns a number >= 0.
    """
    ### BEGIN SOLUTION
    Ax, back = A(x), A.adjoint(y)
    off = (Ax.conj() * y).sum() - (x.conj() * back).sum()
    return off.abs() / (Ax.norm() * y.norm())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
class Off:
    """An operator with another adjoint."""

    def __init__(self, A, adjoint):
        self.A, self.adjoint = A, adjoint

    def __call__(self, x):
        return self.A(x)


for name, A in operators.items():
    x = torch.randn(2, 1, *SIZE, generator=seeded(3))
    y = torch.randn(A(x).shape, generator=seeded(4))
    error = float(adjoint_error(A, x, y))
    assert 0 <= error < 1e-12, (
        f"{name}: the library's adjoint is right, so both inner products agree: compare "
        "<A x, y> with <x, A* y>, and take the magnitude of the difference"
    )
    twice = Off(A, lambda y, A=A: 2 * A.adjoint(y))
    share = ((A(x) * y).sum().abs() / (A(x).norm() * y.norm())).item()
    assert abs(float(adjoint_error(twice, x, y)) - share) < 1e-12, (
        f"{name}: with twice the adjoint the error is |<A x, y>| / (||A x|| ||y||)"
    )

# %% nbgrader={"grade": true, "grade_id": "ex14-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
ones = torch.ones(1, 2)
assert float(adjoint_error(Matrix(torch.eye(2)), ones, ones)) < 1e-12, (
    "the identity is its own adjoint"
)
### BEGIN HIDDEN TESTS
given = FourierSample.random((6, 5), 0.5, seeded(0))
for seed in range(4):
    g = seeded(seed)
    x = torch.randn(3, 1, 6, 5, dtype=torch.complex128, generator=g)
    y = torch.randn(given(x).shape, dtype=torch.complex128, generator=g)
    assert float(adjoint_error(given, x, y)) < 1e-12, (
        "complex data: conjugate the first factor of each inner product"
    )
    real = torch.randn(3, 1, 6, 5, generator=g)
    assert float(adjoint_error(given, real, y)) < 1e-12, (
        "a real image with complex data: both inner products are complex, compare them "
        "whole, not only their real parts"
    )
    turned = Off(given, lambda y: 1j * given.adjoint(y))
    both = (given(x).conj() * y).sum(), 1j * (x.conj() * given.adjoint(y)).sum()
    expected = (both[0] - both[1]).abs() / (given(x).norm() * y.norm())
    assert abs(float(adjoint_error(turned, x, y)) - expected) < 1e-10, (
        "the error is the magnitude of the complex difference, divided by both norms"
    )
    M = torch.randn(4, 7, generator=g)
    other = torch.randn(4, 7, generator=g)
    wrong = Off(Matrix(M), lambda y, other=other: y @ other)
    x, y = torch.randn(3, 7, generator=g), torch.randn(3, 4, generator=g)
    before = x.clone(), y.clone()
    found = float(adjoint_error(wrong, x, y))
    assert all(map(torch.equal, (x, y), before)), "x or y was changed"
    expected = ((x @ M.T * y).sum() - (x * (y @ other)).sum()).abs()
    expected = expected / ((x @ M.T).square().sum() * y.square().sum()).sqrt()
    assert abs(found - expected) < 1e-10, (
        "sum over the whole batch before you compare, and divide by ||A x|| ||y||"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Compute `A(x)` and `A.adjoint(y)` once each. Everything else is sums and norms.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The inner product of two tensors of one shape is a sum over all entries, the first
# factor conjugated.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\langle u, v \rangle$ is `(u.conj() * v).sum()`. Of the complex difference take
# `.abs()`.
#
# </details>

# %% [markdown]
# ### Exercise 14.2 · A coarse camera
# Difficulty ●●○○○ · 3 points
#
# A camera with few pixels sees the mean of every block of $s \times s$ pixels. Write
# `coarse(x, s)` and its adjoint `coarse_adjoint(b, s)`. Height and width are multiples
# of `s`. The adjoint has the size of the image again.
#
# Before you start, guess: what does the adjoint write into a block?


# %% nbgrader={"grade": false, "grade_id": "ex14-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coarse(x, s):
    """The mean of every block of s x s pixels.

    x: (batch, 1, height, width). Returns (batch, 1, height / s, width / s).
    """
    ### BEGIN SOLUTION
    batch, one, height, width = x.shape
    blocks = x.reshape(batch, one, height // s, s, width // s, s)
    return blocks.mean(dim=(3, 5))
    ### END SOLUTION


def coarse_adjoint(b, s):
    """The adjoint of coarse.

    b: (batch, 1, height / s, width / s). Returns (batch, 1, height, width).
    """
    ### BEGIN SOLUTION
    return b.repeat_interleave(s, dim=2).repeat_interleave(s, dim=3) / s**2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, y = (
    torch.randn(2, 1, 6, 4, generator=seeded(0)),
    torch.randn(2, 1, 3, 2, generator=seeded(1)),
)
seen, back = coarse(x, 2), coarse_adjoint(y, 2)
assert seen.shape == y.shape and back.shape == x.shape, "check both shapes"
assert seen.dtype == back.dtype == torch.float64, FLOAT64
assert torch.allclose(seen[0, 0, 1, 0], x[0, 0, 2:4, :2].mean()), (
    "entry (1, 0) is the mean of rows 2 and 3, columns 0 and 1"
)
assert torch.allclose((seen * y).sum(), (x * back).sum()), (
    "<A x, y> and <x, A* y> differ: the adjoint is not the inverse. In the first sum "
    "every pixel meets its block's y with which factor?"
)

# %% nbgrader={"grade": true, "grade_id": "ex14-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert torch.equal(coarse(x, 1), x) and torch.equal(coarse_adjoint(y, 1), y), (
    "blocks of one pixel: both maps change nothing"
)
### BEGIN HIDDEN TESTS
for seed, (height, width, s) in enumerate(
    [(6, 9, 3), (4, 8, 4), (6, 4, 2), (5, 10, 5)]
):
    g = seeded(seed)
    x = torch.randn(3, 1, height, width, generator=g, requires_grad=True)
    y = torch.randn(3, 1, height // s, width // s, generator=g, requires_grad=True)
    seen, back = coarse(x, s), coarse_adjoint(y, s)
    expected = torch.nn.functional.avg_pool2d(x, s)
    assert seen.shape == expected.shape, (
        "rows and columns: which is height, which width?"
    )
    assert torch.allclose(seen, expected), (
        "coarse: every entry is the mean of its block"
    )
    assert back.shape == x.shape, "coarse_adjoint: the size of the image"
    (slope,) = torch.autograd.grad((expected * y.detach()).sum(), x)
    assert torch.allclose(back, slope), (
        "coarse_adjoint: every pixel gets the y of its block, divided by s * s"
    )
    w, v = torch.randn(back.shape, generator=g), torch.randn(seen.shape, generator=g)
    assert back.requires_grad and seen.requires_grad, "is there a .detach()?"
    (slope,) = torch.autograd.grad((back * w).sum(), y)
    assert torch.allclose(slope, torch.nn.functional.avg_pool2d(w, s)), (
        "the gradient by b is not the forward map: stay in torch, without .detach()"
    )
    (slope,) = torch.autograd.grad((seen * v).sum(), x)
    assert torch.allclose(slope, coarse_adjoint(v, s)), (
        "the gradient by x is not the adjoint: stay in torch, without .detach()"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Give every block two axes of its own: `reshape` can split an axis of length `height`
# into `height // s` and `s`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Write the matrix for one block of four pixels: one row with four entries. What is in
# its transpose?
#
# </details>
# <details><summary>Hint 3</summary>
#
# The forward weight of a pixel is $1 / s^2$, so the adjoint gives it $b / s^2$;
# `repeat_interleave` repeats entries along an axis.
#
# </details>

# %% [markdown]
# ## 2. Splitting: two steps in turns
#
# Add a price for images that are not plausible:
#
# $$ \min_x \; \tfrac12 \|b - A x\|^2 + \lambda R(x) . $$
#
# Chapter 11 had $R(x) = \|x\|_1$: few entries are not zero. Of a photograph few *pixels*
# are zero, but many neighbours are alike. Write $\nabla x$ for the differences of every
# pixel to the pixel below and to the pixel on the right, two numbers a pixel. **Total
# variation** is the sum of their lengths,
#
# $$ R(x) = \sum_{\text{pixels}} \|(\nabla x)_{\text{pixel}}\|_2 \qquad
#    \text{(Rudin, Osher and Fatemi 1992).} $$
#
# It is small where an image is flat, and an edge costs no more than a slope of the same height.
#
# The two terms do not go together: one knows $A$, the other knows images. So give each a
# variable of its own, $x$ for the data and $z$ for the plausible image, and ask that they
# agree. **ADMM** (chapter 15 uses it, too; Boyd et al. 2011) puts the wish into a scaled
# multiplier $u$ and a weight $\rho$:
#
# $$ \begin{aligned}
#    x &\leftarrow (A^* A + \rho)^{-1} \bigl(A^* b + \rho (z - u)\bigr), \\
#    z &\leftarrow \mathrm{prox}_{(\lambda/\rho) R}(x + u)
#       = \arg\min_z \; \tfrac{\lambda}{\rho} R(z) + \tfrac12 \|z - x - u\|^2, \\
#    u &\leftarrow u + x - z .
#    \end{aligned} $$
#
# Where they come from: the first two lines minimise
# $\tfrac12 \|b - A x\|^2 + \lambda R(z) + \tfrac{\rho}{2} \|x - z + u\|^2$, one over $x$ and
# one over $z$; the third adds to $u$ what is left of the disagreement.
#
# The first line knows the data and nothing of images. The second is a **denoiser**: it
# knows images and nothing of the data. Read it once more: the whole chapter builds on it.


# %% tags=["given"]
def solve(A, rhs, rho):
    """Solve (A* A + rho) x = rhs, by conjugate gradients, to ten digits."""
    rho = torch.as_tensor(rho, dtype=torch.float64)
    return images.regularised_solve(A, rhs, rho, tol=1e-11, iterations=500)


# %% [markdown]
# ### Exercise 14.3 · One iteration of ADMM
# Difficulty ●●○○○ · 3 points
#
# Write `admm_step(A, b, z, u, rho, prox)`. `prox` is a function of one image batch, and
# may be anything. `solve(A, rhs, rho)` is given above. Return the new `x`, `z`, `u`.


# %% nbgrader={"grade": false, "grade_id": "ex14-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def admm_step(A, b, z, u, rho, prox):
    """Fit the data, make plausible, remember the difference.

    A: operator. b: its data. z, u: images. rho: number. prox: from images to images.
    Returns the new x, z, u.
    """
    ### BEGIN SOLUTION
    x = solve(A, A.adjoint(b) + rho * (z - u), rho)
    z = prox(x + u)
    return x, z, u + x - z
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A = Mask(torch.tensor([[True, False], [True, True]]))
b = torch.tensor([[[1.0, 2.0, 3.0]]])
zero = torch.zeros(1, 1, 2, 2)
x, z, u = admm_step(A, b, zero, zero, 1.0, lambda v: v)
assert x.shape == z.shape == u.shape == (1, 1, 2, 2), "three images"
assert x.dtype == torch.float64, FLOAT64
assert torch.allclose(x.flatten(), torch.tensor([0.5, 0.0, 1.0, 1.5])), (
    "seen pixels with rho = 1 and z = u = 0: half way between b and 0; unseen ones: 0"
)
assert torch.allclose(z, x) and not u.any(), (
    "if prox changes nothing, z is x and nothing is left to remember"
)
_, z, u = admm_step(A, b, zero, zero, 1.0, lambda v: 0 * v)
assert torch.allclose(u, x), "if prox answers 0, all of x is left to remember"

# %% nbgrader={"grade": true, "grade_id": "ex14-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert len(admm_step(A, b, zero, zero, 0.3, torch.relu)) == 3, "return x, z and u"


### BEGIN HIDDEN TESTS
def dense(A, size):
    """The matrix of an operator on images of this size."""
    n = size[0] * size[1]
    return A(torch.eye(n).reshape(n, 1, *size)).flatten(1).T


def squash(v):
    """A smooth denoiser that is no formula of the chapter."""
    return v - 0.3 * torch.sin(v + 0.2)


for seed, A in enumerate(
    [
        Mask.random((5, 4), 0.5, seeded(2)),
        Ray((5, 4), 3),
        Blur.gaussian(0.8, (5, 4), radius=1),
    ]
):
    g = seeded(seed)
    z, u = torch.randn(2, 3, 1, 5, 4, generator=g)
    b = torch.randn(A(z).shape, generator=g)
    rho = 0.3 + seed
    before = b.clone(), z.clone(), u.clone()
    found = admm_step(A, b, z, u, rho, squash)
    assert all(map(torch.equal, (b, z, u), before)), "an argument was changed"
    M = dense(A, (5, 4))

    def step(z, u, rho, M=M, b=b):
        rhs = b.flatten(1) @ M + rho * (z - u).flatten(1)
        x = torch.linalg.solve(M.T @ M + rho * torch.eye(20), rhs.T).T
        x = x.reshape(z.shape)
        new = squash(x + u)
        return x, new, u + x - new

    names = {
        "x": "x solves (A* A + rho) x = A* b + rho (z - u)",
        "z": "z is prox(x + u), with the new x and the old u",
        "u": "u grows by x - z, both new",
    }
    for mine, theirs, text in zip(found, step(z, u, rho), names.values(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-7), text
    w = torch.randn(3, *z.shape, generator=g)
    leaves = [t.clone().requires_grad_() for t in (z, u, torch.tensor(rho))]
    slopes = []
    for answer in (admm_step(A, b, *leaves, squash), step(*leaves)):
        loss = sum((a * v).sum() for a, v in zip(answer, w, strict=True))
        slopes.append(torch.autograd.grad(loss, leaves, allow_unused=True))
    for name, mine, theirs in zip(("z", "u", "rho"), *slopes, strict=True):
        assert mine is not None, f"no gradient reaches {name}: is there a .item()?"
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6), (
            f"the gradient by {name} differs: stay in torch, without .detach() or .item()"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three lines, in the order of the text. Each uses the newest of what is on its right.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The right-hand side of the system has two parts: the data carried back, and $\rho$ times
# what the other side wants.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The system is `solve(A, A.adjoint(b) + rho * (z - u), rho)`.
#
# </details>

# %% [markdown]
# Look at the pictures while it works. The library's `TV().prox` is the denoiser.

# %%
LAM, RHO = 1e-4, 0.005
A, b = operators["blur"], data["blur"]
zero = torch.zeros_like(photograph)
z, u, after, admm_psnr = zero, zero, {}, []
denoiser = TV(tol=1e-5)
for iteration in range(1, 21):
    x, z, u = admm_step(A, b, z, u, RHO, lambda v: denoiser.prox(v, LAM / RHO))
    admm_psnr.append(psnr(x, photograph))
    if iteration in (1, 3, 20):
        after[f"ADMM, iteration {iteration}"] = x
panels(
    {"blurred": b} | after,
    caption="Sharper with every iteration, and without the grains of the cold open.",
    alt="Four pictures of petals: blurred; after one iteration sharper, with light seams along "
    "the edges; after three and after twenty iterations sharp edges and finer shades.",
)
print(
    "after 20 iterations above the blurred one by 2 dB:",
    admm_psnr[-1] > psnr(b, photograph) + 2,
)

# %% [markdown]
# ## 3. The primal-dual method: nothing to solve
#
# ADMM solves a system in every iteration, and this `prox` is itself a loop. Chambolle and
# Pock (2011) need neither. Write the length of a vector as a maximum,
# $\lambda \|d\|_2 = \max_{\|p\|_2 \le \lambda} \langle p, d \rangle$, and the data term as
# $\tfrac12 \|A x - b\|^2 = \max_q \, \langle q, A x - b \rangle - \tfrac12 \|q\|^2$, with a dual
# variable $q$ of the shape of $b$. Then go down in $x$ and up in $q$ and $p$, by turns, with
# steps $\tau$ and $\sigma$:
#
# $$ \begin{aligned}
#    q &\leftarrow \frac{q + \sigma (A \bar x - b)}{1 + \sigma}, \\
#    p &\leftarrow \Pi_\lambda (p + \sigma \nabla \bar x), \\
#    x_{\text{new}} &= x - \tau (A^* q + \nabla^* p), \qquad
#    \bar x = 2 x_{\text{new}} - x .
#    \end{aligned} $$
#
# $p$ has two numbers a pixel. $\Pi_\lambda$ shortens every pair that is longer than
# $\lambda$ to length $\lambda$ and leaves the others alone. The point $\bar x$ lies
# ahead: without it $x$ and the dual variables may circle around the solution. The method
# converges for
# $\tau \sigma (\|A\|^2 + \|\nabla\|^2) \le 1$, and $\|\nabla\|^2 \le 8$.

# %% [markdown]
# ### Exercise 14.4 · One iteration of the primal-dual method
# Difficulty ●●●○○ · 4 points
#
# Write `primal_dual_step(A, b, state, lam, tau, sigma)`, where `state` is the tuple
# `(x, x_bar, q, p)`. Return the new one. Given: `nabla(x)`, of shape
# `(batch, 1, height, width, 2)`, and `nabla.adjoint(p)`. `lam` may be 0.

# %% tags=["given"]
nabla = Gradient()


# %% nbgrader={"grade": false, "grade_id": "ex14-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def primal_dual_step(A, b, state, lam, tau, sigma):
    """One iteration of Chambolle and Pock's method for total variation.

    A: operator. b: data. state: (x, x_bar, q, p), with images x and x_bar, q like b,
    and p of shape (batch, 1, height, width, 2). lam, tau, sigma: numbers.
    Returns the new (x, x_bar, q, p).
    """
    ### BEGIN SOLUTION
    x, x_bar, q, p = state
    q = (q + sigma * (A(x_bar) - b)) / (1 + sigma)
    p = p + sigma * nabla(x_bar)
    length = p.square().sum(dim=-1, keepdim=True).sqrt()
    p = torch.where(length > lam, p * (lam / length), p)
    x_new = x - tau * (A.adjoint(q) + nabla.adjoint(p))
    return x_new, 2 * x_new - x, q, p
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A = Blur.gaussian(0.8, (6, 5), radius=1)
g = seeded(4)
b, x = torch.randn(2, 2, 1, 6, 5, generator=g)
q, p = torch.zeros_like(b), torch.zeros(2, 1, 6, 5, 2)
new = primal_dual_step(A, b, (x, x, q, p), 0.3, 0.2, 0.4)
assert [v.shape for v in new] == [x.shape, x.shape, b.shape, p.shape], (
    "return x, x_bar, q and p, each of its shape"
)
assert new[0].dtype == torch.float64, FLOAT64
assert torch.allclose(new[1], 2 * new[0] - x), "x_bar is 2 x_new - x"
length = new[3].square().sum(dim=-1).sqrt()
assert length.max() <= 0.3 + 1e-12, "no pair of p is longer than lam"
free = 0.4 * nabla(x)
short = free.square().sum(dim=-1) < 0.3**2
assert short.any() and torch.allclose(new[3][short], free[short]), (
    "a pair that is short enough stays as it is"
)

# %% nbgrader={"grade": true, "grade_id": "ex14-4-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
assert len(primal_dual_step(A, b, (x, x, q, p), 0.0, 0.2, 0.4)) == 4, (
    "return x, x_bar, q and p"
)
### BEGIN HIDDEN TESTS
for seed, A in enumerate(
    [
        Mask.random((5, 4), 0.5, seeded(2)),
        Ray((5, 4), 3),
        Blur.gaussian(0.8, (5, 4), radius=1),
    ]
):
    g = seeded(seed)
    x, x_bar = torch.randn(2, 3, 1, 5, 4, generator=g)
    b = torch.randn(A(x).shape, generator=g)
    q = torch.randn(b.shape, generator=g)
    p = 0.4 * torch.randn(3, 1, 5, 4, 2, generator=g)
    lam, tau, sigma = 0.4 + 0.2 * seed, 0.1 + 0.1 * seed, 0.5 - 0.1 * seed
    before = [v.clone() for v in (b, x, x_bar, q, p)]
    found = primal_dual_step(A, b, (x, x_bar, q, p), lam, tau, sigma)
    assert all(map(torch.equal, (b, x, x_bar, q, p), before)), "an argument was changed"
    unit = torch.eye(20).reshape(20, 1, 5, 4)
    M, N = A(unit).flatten(1).T, nabla(unit).flatten(1).T

    def step(state, lam, tau, sigma, maps=(M, N), b=b):
        (x, x_bar, q, p), (M, N) = state, maps
        data = q.flatten(1) + sigma * (x_bar.flatten(1) @ M.T - b.flatten(1))
        data = data / (1 + sigma)
        pairs = (p.flatten(1) + sigma * x_bar.flatten(1) @ N.T).reshape(-1, 2)
        long = torch.linalg.vector_norm(pairs, dim=1, keepdim=True)
        pairs = (pairs / (long / lam).clamp(min=1)).reshape(3, -1)
        new = x - tau * (data @ M + pairs @ N).reshape(x.shape)
        return new, 2 * new - x, data.reshape(q.shape), pairs.reshape(p.shape)

    names = {
        "x": "x goes down by tau (A* q + nabla* p), both new",
        "x_bar": "x_bar is 2 x_new - x",
        "q": "q is (q + sigma (A x_bar - b)) / (1 + sigma), at the x_bar that is given",
        "p": "p: add sigma nabla x_bar, then shorten each pair, not each entry, to lam",
    }
    theirs = step((x, x_bar, q, p), lam, tau, sigma)
    for i in (2, 3, 0, 1):
        text = list(names.values())[i]
        assert torch.allclose(found[i], theirs[i], atol=1e-9), text
    w = [torch.randn(v.shape, generator=g) for v in theirs]
    leaves = [v.clone().requires_grad_() for v in (x, x_bar, q, p)]
    slopes = []
    for take in (functools.partial(primal_dual_step, A, b), step):
        answer = take(tuple(leaves), lam, tau, sigma)
        loss = sum((a * v).sum() for a, v in zip(answer, w, strict=True))
        slopes.append(torch.autograd.grad(loss, leaves, allow_unused=True))
    for name, mine, other in zip(("x", "x_bar", "q", "p"), *slopes, strict=True):
        assert mine is not None, f"no gradient reaches {name}: is there a .detach()?"
        assert torch.allclose(mine, other, atol=1e-9), (
            f"the gradient by {name} differs: stay in torch, without .detach()"
        )
still = torch.full((1, 1, 5, 4), 0.3)
start = still, still, 0 * A(still), torch.zeros(1, 1, 5, 4, 2)
zero = primal_dual_step(A, A(still), start, 0.0, 0.2, 0.4)
assert all(v.isfinite().all() for v in zero), (
    "lam = 0 and a flat image: the pairs are 0 and must stay 0, not become NaN"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Four lines, in the order of the text. The first two use the given `x_bar`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The length of a pair is a norm over the last axis, with `keepdim=True`. Only where it
# exceeds `lam` anything happens; a length of 0 must not be divided by.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.where(length > lam, p * (lam / length), p)` shortens the long pairs.
#
# </details>

# %%
A, b = operators["rays"], data["rays"]
LAM_RAYS = 0.2
zero = torch.zeros_like(photograph)
state = zero, zero, torch.zeros_like(b), nabla(zero)
tau = (A.norm() ** 2 + 8) ** -0.5
after, curve = {}, []
for iteration in range(1, 201):
    state = primal_dual_step(A, b, state, LAM_RAYS, tau, tau)
    curve.append(psnr(state[0], photograph))
    if iteration in (1, 10, 40, 200):
        after[f"iteration {iteration}"] = state[0]
panels(
    after,
    caption="The primal-dual method behind 20 angles of rays: first something blurred, "
    "then flat regions with edges.",
    alt="Four pictures that become clearer: after one iteration grey fog, after ten petals "
    "under grains, after forty fewer grains, after two hundred clear petals that look like "
    "patches of even grey.",
)
print("rays, above what fits by 3 dB:", curve[-1] > psnr(fits["rays"], photograph) + 3)
both = unroll.primal_dual(
    operators["blur"],
    data["blur"],
    LAM,
    penalty=TV(),
    iterations=200,
    step_size=10.0,
).x
print(
    "blur: the primal-dual method ends where ADMM does, within 0.3 dB:",
    abs(psnr(both, photograph) - admm_psnr[-1]) < 0.3,
)

# %% [markdown]
# Two methods, one minimum: the problem is convex, and only the way there differs. An
# iteration of ADMM is expensive (a system, a denoiser), and few are needed. An iteration of the
# primal-dual method is cheap, and many are needed. How many depends on the two steps:
# their product is bounded, their ratio is free. Images in 0 to 1 with a small $\lambda$
# have small dual variables; then a long $\tau$ and a short $\sigma$ are far better.

# %% [markdown]
# ## 4. What a learned prox changes
#
# Total variation is a guess: "flat with edges". Is it the right guess for dahlias? The
# second line of a splitting is *any* denoiser. So let a network be that denoiser, write
# down a few iterations as layers, and train all of it for the images that come out.
# Chapter 12 did that to ISTA. Four networks of the field do it to the methods here; in
# `unroll.images` they are `ISTANet`, `ADMMNet`, `LearnedPrimalDual` and `MoDL`:
#
# | network | parent | what is learned |
# |---|---|---|
# | ISTA-Net (Zhang and Ghanem 2018) | ISTA | the transform in which images are sparse, its way back, steps, thresholds |
# | ADMM-Net (Yang, Sun, Li and Xu 2016) | ADMM | filters, a shrinkage function, $\rho$ of every layer |
# | Learned primal-dual (Adler and Öktem 2018) | primal-dual | both updates, as small networks |
# | MoDL (Aggarwal, Mani and Jacob 2019) | splitting | one denoiser for all layers; the data step is solved exactly |
#
# ISTA-Net starts from the gradient step of chapter 11, $y = x + \gamma A^*(b - A x)$. In
# place of a fixed basis it has a learned transform: convolutions $D$ and $F$, the soft
# threshold, and a way back, $\tilde F$ and $G$:
#
# $$ x_{\text{new}} = y + G\bigl(\tilde F(\eta_\theta(F(D(y))))\bigr) . $$
#
# This is the "plus" form: $y$ passes by, and only what is missing is learned.

# %% [markdown]
# ### Exercise 14.5 · A layer of ISTA-Net
# Difficulty ●●●○○ · 3 points
#
# Write `ista_net_layer(A, b, x, gamma, theta, maps)`, where `maps` is the tuple
# `(D, F, F_back, G)` of four functions. Each takes a tensor
# `(batch, channels, height, width)` to another one.


# %% nbgrader={"grade": false, "grade_id": "ex14-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ista_net_layer(A, b, x, gamma, theta, maps):
    """A gradient step on the data, then a learned shrinkage of what it gives.

    A: operator. b: its data. x: images. gamma, theta: numbers or tensors of one entry.
    maps: the functions (D, F, F_back, G). Returns the next images.
    """
    ### BEGIN SOLUTION
    D, F, F_back, G = maps
    y = x + gamma * A.adjoint(b - A(x))
    return y + G(F_back(unroll.soft_threshold(F(D(y)), theta)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def same(v):
    """Change nothing."""
    return v


A = Blur.gaussian(0.8, (6, 5), radius=1)
b, x = torch.randn(2, 3, 1, 6, 5, generator=seeded(5))
step = ista_net_layer(A, b, x, 0.7, 0.1, (same, same, same, lambda v: 0 * v))
assert step.shape == x.shape and step.dtype == torch.float64, FLOAT64
assert torch.allclose(step, x + 0.7 * A.adjoint(b - A(x))), (
    "if G answers 0, the layer is a gradient step: y = x + gamma A* (b - A x)"
)
maps = same, same, lambda v: v - 2, same
step = ista_net_layer(A, b, 0 * x, 1.0, 0.3, maps)
y = A.adjoint(b)
assert torch.allclose(step, y + y.sign() * (y.abs() - 0.3).relu() - 2), (
    "D, F, the soft threshold, F_back, G: in this order, all of y, and y is added"
)

# %% nbgrader={"grade": true, "grade_id": "ex14-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert ista_net_layer(A, b, x, 0.5, 0.2, (same,) * 4).isfinite().all(), (
    "with four functions that change nothing the layer is finite"
)
### BEGIN HIDDEN TESTS
conv = torch.nn.functional.conv2d
for seed, A in enumerate(
    [
        Mask.random((6, 5), 0.5, seeded(2)),
        Ray((6, 5), 3),
        Blur.gaussian(0.8, (6, 5), radius=1),
    ]
):
    g = seeded(seed)
    x = torch.randn(2, 1, 6, 5, generator=g)
    b = torch.randn(A(x).shape, generator=g)
    gamma, theta = torch.tensor(0.3 + 0.2 * seed), torch.tensor(0.2 + 0.1 * seed)
    weights = [
        torch.randn(*s, 3, 3, generator=g) for s in ((4, 1), (3, 4), (4, 3), (1, 4))
    ]

    def by_hand(x, gamma, theta, *weights, A=A, b=b):
        found = x - gamma * A.adjoint(A(x) - b)
        v = conv(conv(found, weights[0], padding=1), weights[1], padding=1)
        v = torch.relu(v - theta) - torch.relu(-v - theta)
        return found + conv(conv(v, weights[2], padding=1), weights[3], padding=1)

    def theirs(x, gamma, theta, *weights, A=A, b=b):
        maps = [functools.partial(conv, weight=w, padding=1) for w in weights]
        return ista_net_layer(A, b, x, gamma, theta, maps)

    before = b.clone(), x.clone()
    found = theirs(x, gamma, theta, *weights)
    assert torch.equal(b, before[0]) and torch.equal(x, before[1]), (
        "an argument was changed"
    )
    assert torch.allclose(found, by_hand(x, gamma, theta, *weights), atol=1e-9), (
        "the layer differs: y = x + gamma A* (b - A x), then y + G(F_back(soft(F(D(y)))))"
    )
    w, slopes = torch.randn(x.shape, generator=g), []
    leaves = [v.clone().requires_grad_() for v in (x, gamma, theta, *weights)]
    for layer in (theirs, by_hand):
        loss = (layer(*leaves) * w).sum()
        slopes.append(torch.autograd.grad(loss, leaves, allow_unused=True))
    names = ("x", "gamma", "theta", "D", "F", "F_back", "G")
    for name, mine, other in zip(names, *slopes, strict=True):
        assert mine is not None, f"no gradient reaches {name}: is there a .item()?"
        assert torch.allclose(mine, other, atol=1e-8), f"the gradient by {name} differs"
# With an orthogonal F and D = same, the way back F^T - same makes it ISTA in that basis.
W = torch.linalg.qr(torch.randn(30, 30, generator=seeded(9)))[0]
A = Ray((6, 5), 3)
b = torch.randn(2, *A(torch.zeros(1, 1, 6, 5)).shape[1:], generator=seeded(8)).reshape(
    2, 1, 3, -1
)
M = A(torch.eye(30).reshape(30, 1, 6, 5)).flatten(1).T
gamma = 1 / torch.linalg.matrix_norm(M, 2).item() ** 2
expected = unroll.ista(M @ W.T, b.flatten(1), 0.5, step_size=gamma, iterations=4).x @ W
x = torch.zeros(2, 1, 6, 5)
for _ in range(4):
    y = x + gamma * A.adjoint(b - A(x))
    there = lambda v: (v.flatten(1) @ W.T).reshape(v.shape)  # noqa: E731
    back = lambda v, y=y: (v.flatten(1) @ W).reshape(v.shape) - y  # noqa: E731
    x = ista_net_layer(A, b, x, gamma, 0.5 * gamma, (same, there, back, same))
assert torch.allclose(x.flatten(1), expected, atol=1e-9), (
    "with an orthogonal transform four layers must be four iterations of ISTA"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two lines: the gradient step of chapter 11, with an operator in place of the matrix, then
# the network.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Functions are applied from the inside to the outside: `D` sees `y` first, `G` comes last.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The gradient step is `x + gamma * A.adjoint(b - A(x))`; the shrinkage is
# `unroll.soft_threshold`.
#
# </details>

# %% [markdown]
# Fix $F$ to an orthogonal transform, and the layers are ISTA in that basis, number for
# number: the test above verifies it. What training changes is the basis. It is no longer
# one for all images, but one for the images that it was shown.
#
# ## 5. The data step as an implicit layer
#
# MoDL keeps the first line of the splitting whole. With $z = x + N(x)$ from a denoiser
# $N$ it solves
#
# $$ x_{\text{new}} = (A^* A + \rho)^{-1} (A^* b + \rho z) $$
#
# by conjugate gradients, and learns $\rho$, too. How does the gradient get through a loop
# that ends when it is accurate enough? It need not go through the loop. The solution is
# defined by an equation, and an equation can be differentiated. Write
# $M = A^* A + \rho$, and let everything move a little:
#
# $$ M x_{\text{new}} = A^* b + \rho z \quad \Rightarrow \quad
#    M \, d x_{\text{new}} + d\rho \, x_{\text{new}} = A^* db + \rho \, dz + d\rho \, z . $$
#
# The loss $\ell$ moves by $d\ell = \langle v, d x_{\text{new}} \rangle$, where $v$ is its
# gradient by $x_{\text{new}}$. $M$ is its own adjoint, so with $w = M^{-1} v$
#
# $$ d\ell = \langle w, \; A^* db + \rho \, dz + d\rho \, (z - x_{\text{new}}) \rangle . $$
#
# **One more solve** gives all gradients, and no iteration has to be kept. A layer that is
# defined by an equation is called *implicit*; chapter 16 is about them.

# %% [markdown]
# ### Exercise 14.6 · The gradient of a solve
# Difficulty ●●●○○ · 4 points
#
# Write `data_step_gradients(A, b, z, rho, v)`. It returns the gradients of the loss by
# `b`, by `z` and by `rho`, in this order. `solve` is given above. `rho` is one number for
# the whole batch. Real data only. No autograd here: read the gradients off the last line.


# %% nbgrader={"grade": false, "grade_id": "ex14-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def data_step_gradients(A, b, z, rho, v):
    """Gradients of a loss through x = (A* A + rho)^{-1} (A* b + rho z).

    A: operator. b: data. z: images. rho: number. v: gradient of the loss by x.
    Returns the gradients by b (like b), z (like z) and rho (one number).
    """
    ### BEGIN SOLUTION
    x = solve(A, A.adjoint(b) + rho * z, rho)
    w = solve(A, v, rho)
    return A(w), rho * w, (w * (z - x)).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A = Mask(torch.tensor([[True, False], [True, True]]))
b, z, v = (
    torch.tensor([[[1.0, 2.0, 3.0]]]),
    torch.ones(1, 1, 2, 2),
    torch.ones(1, 1, 2, 2),
)
by_b, by_z, by_rho = data_step_gradients(A, b, z, 1.0, v)
assert by_b.shape == b.shape and by_z.shape == z.shape, "gradients have these shapes"
assert torch.allclose(by_b, torch.full((1, 1, 3), 0.5)), (
    "a seen pixel is (b + rho z) / (1 + rho): half of b with rho = 1"
)
assert torch.allclose(by_z.flatten(), torch.tensor([0.5, 1.0, 0.5, 0.5])), (
    "an unseen pixel is z itself, a seen one half of z"
)
assert abs(float(by_rho) + 0.75) < 1e-9, (
    "by hand: the derivative of (b + rho z) / (1 + rho) by rho is (z - b) / (1 + rho)^2"
)

# %% nbgrader={"grade": true, "grade_id": "ex14-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
assert len(data_step_gradients(A, b, z, 0.5, v)) == 3, "return three gradients"
### BEGIN HIDDEN TESTS
for seed, A in enumerate(
    [
        Mask.random((5, 4), 0.5, seeded(2)),
        Ray((5, 4), 3),
        Blur.gaussian(0.8, (5, 4), radius=1),
    ]
):
    g = seeded(seed)
    z, v = torch.randn(2, 3, 1, 5, 4, generator=g)
    b = torch.randn(A(z).shape, generator=g)
    rho = 0.2 + 0.5 * seed
    before = b.clone(), z.clone(), v.clone()
    found = data_step_gradients(A, b, z, rho, v)
    assert all(map(torch.equal, (b, z, v), before)), "an argument was changed"
    M = A(torch.eye(20).reshape(20, 1, 5, 4)).flatten(1).T
    leaves = [t.clone().requires_grad_() for t in (b, z, torch.tensor(rho))]
    rhs = leaves[0].flatten(1) @ M + leaves[2] * leaves[1].flatten(1)
    x = torch.linalg.solve(M.T @ M + leaves[2] * torch.eye(20), rhs.T).T
    expected = torch.autograd.grad((x.reshape(v.shape) * v).sum(), leaves)
    texts = {
        "b": "carry w to the data: A(w)",
        "z": "z enters times rho: rho w",
        "rho": "<w, z - x>, summed over the whole batch; x is the solution, not z",
    }
    for (name, text), mine, theirs in zip(texts.items(), found, expected, strict=True):
        mine = torch.as_tensor(mine, dtype=torch.float64)
        assert mine.numel() == theirs.numel(), (
            f"the gradient by {name} has the shape of {name}"
        )
        assert torch.allclose(mine.reshape(theirs.shape), theirs, atol=1e-8), (
            f"the gradient by {name} is not that through the dense solve: {text}"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two solves: one for $x_{\text{new}}$, which the last gradient needs, one for $w$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In $\langle w, A^* db \rangle$ move the operator to the other side: $\langle A w, db
# \rangle$. What stands beside $db$ is the gradient by $b$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $w$ is `solve(A, v, rho)`; the gradient by $\rho$ is `(w * (z - x)).sum()`.
#
# </details>

# %% [markdown]
# ## 6. What the data do not see
#
# Split an image in two: a part that the data see, and a part that they do not. For a mask
# that is easy, seen pixels and others. In general, apply the data step to it, with no data
# and a small weight $\delta$:
#
# $$ \text{unseen}(d) = \delta \, (A^* A + \delta)^{-1} d . $$
#
# In the directions in which $A$ is strong, where $\|A d\|^2$ is far above
# $\delta \|d\|^2$, almost nothing is left. Where $A$ gives zero, all of $d$ is left. Put
# the *error* of a reconstruction in, and the unseen part is what no check against the data
# can find.

# %% [markdown]
# ### Exercise 14.7 · The unseen part
# Difficulty ●●●○○ · 3 points
#
# Write `unseen(A, d, delta)`, for a batch, and `unseen_share(A, found, truth, delta)`: for
# each image the squared length of the unseen part of its error, divided by the squared
# length of the whole error. Use `solve`.


# %% nbgrader={"grade": false, "grade_id": "ex14-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unseen(A, d, delta):
    """The part of images d that data of A hardly see. Shape of d."""
    ### BEGIN SOLUTION
    return delta * solve(A, d, delta)
    ### END SOLUTION


def unseen_share(A, found, truth, delta):
    """The unseen share of the squared error of every image. Shape (batch,)."""
    ### BEGIN SOLUTION
    error = found - truth
    hidden = unseen(A, error, delta).square().flatten(1).sum(dim=1)
    return hidden / error.square().flatten(1).sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex14-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
A = Mask(torch.tensor([[True, False], [True, True]]))
d = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)
part = unseen(A, d, 1e-6)
assert part.shape == d.shape and part.dtype == torch.float64, FLOAT64
assert torch.allclose(part.flatten(), torch.tensor([0.0, 2.0, 0.0, 0.0]), atol=1e-4), (
    "a mask sees three of four pixels: of d only the second is left"
)
share = unseen_share(A, d, torch.zeros_like(d), 1e-6)
assert share.shape == (1,), "one share an image"
assert abs(share.item() - 4 / 30) < 1e-4, "2 squared, of 1 + 4 + 9 + 16"

# %% nbgrader={"grade": true, "grade_id": "ex14-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert unseen(A, d, 0.5).isfinite().all(), "any positive delta will do"
### BEGIN HIDDEN TESTS
for seed, A in enumerate(
    [
        Mask.random((5, 4), 0.5, seeded(2)),
        Ray((5, 4), 3),
        Blur.gaussian(0.8, (5, 4), radius=1),
    ]
):
    g = seeded(seed)
    d, truth = torch.randn(2, 3, 1, 5, 4, generator=g)
    M = A(torch.eye(20).reshape(20, 1, 5, 4)).flatten(1).T
    _, s, Vh = torch.linalg.svd(M)
    s = torch.cat([s, torch.zeros(20 - len(s))])
    for delta in (0.01, 0.4, 3.0):
        keep = delta / (s**2 + delta)

        def dense_part(d, keep=keep, Vh=Vh):
            return ((d.flatten(1) @ Vh.T * keep) @ Vh).reshape(d.shape)

        before = d.clone(), truth.clone()
        part, share = unseen(A, d, delta), unseen_share(A, d, truth, delta)
        assert torch.equal(d, before[0]) and torch.equal(truth, before[1]), (
            "an argument was changed"
        )
        assert torch.allclose(part, dense_part(d), atol=1e-8), (
            "unseen: delta times the solution of (A* A + delta) y = d"
        )
        off = d - truth
        expected = (
            dense_part(off).flatten(1).norm(dim=1) ** 2
            / off.flatten(1).norm(dim=1) ** 2
        )
        assert share.shape == (3,), "unseen_share: one number for each image"
        assert torch.allclose(share, expected, atol=1e-8), (
            "unseen_share: squared lengths, of the error found - truth, image by image"
        )
    w, leaf = torch.randn(d.shape, generator=g), d.clone().requires_grad_()
    out = unseen(A, leaf, delta)
    assert out.requires_grad, "no gradient reaches d: is there a .detach()?"
    (slope,) = torch.autograd.grad((out * w).sum(), leaf)
    assert torch.allclose(slope, dense_part(w), atol=1e-8), "the gradient by d differs"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The data step with $b = 0$, $z = d$ and $\rho = \delta$ is already the answer.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For the share, subtract first, split then. One number an image: sum over all axes but
# the first.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `delta * solve(A, d, delta)`, and `.square().flatten(1).sum(dim=1)` above and below.
#
# </details>

# %% [markdown]
# ## 7. Train one
#
# Now train an ADMM-Net. Its layers are your `admm_step`, with a `prox` that is learned:
#
# $$ \mathrm{prox}(y) = y - H\bigl(S(D(y))\bigr) , $$
#
# where $D$ and $H$ are convolutions and $S$ is a function of one variable, linear between
# 101 nodes. Before training it is one step of a solver for total variation: the library's
# tests hold it to ADMM by 1e-12. So what training brings is the difference to its parent.
#
# The task: **phantoms**, sums of flat ellipses, behind a mask that keeps two fifths of the
# pixels. Flat regions with edges are what total variation is made for. It gets the best
# $\lambda$ of a grid, chosen on the test images themselves.

# %%
SMALL = (24, 24)
mask = Mask.random(SMALL, 0.4, seeded(1))
task = problems.Imaging(mask, problems.Ellipses(SMALL), snr_db=40.0)
b_test, x_test = task.sample(20, seeded(7))


def total_variation(A, b, lam, iterations=200, tau=3.0):
    """The image of least cost with total variation."""
    return unroll.primal_dual(
        A, b, lam, penalty=TV(), iterations=iterations, step_size=tau
    ).x


weights = {
    lam: psnr(total_variation(mask, b_test, lam), x_test)
    for lam in (0.005, 0.01, 0.02, 0.04)
}
LAM_SMALL = max(weights, key=weights.get)

net = images.ADMMNet(mask, 4, channels=8, generator=seeded(0))
with torch.no_grad():
    before_training = psnr(net(b_test), x_test)
recipe = unroll.Recipe(
    objective=unroll.training.LastNMSE(),
    steps=120,
    batch=8,
    lr=3e-3,
    lr_matrices=3e-3,
    validation=20,
    every=120,
)
unroll.train(net, task, recipe, generator=seeded(0))
with torch.no_grad():
    x_net = net(b_test)
x_tv = total_variation(mask, b_test, LAM_SMALL)
panels(
    {
        "what is seen": mask.adjoint(b_test)[0],
        "total variation": x_tv[0],
        "ADMM-Net": x_net[0],
        "the truth": x_test[0],
    },
    caption="A phantom that was not trained on, behind the mask that was.",
    alt="Four pictures of grey ellipses. Most pixels are black; total variation has edges "
    "like stairs; the network has smooth edges, close to those of the truth.",
)
print("before training below total variation:", before_training < weights[LAM_SMALL])
print(
    "after training above it by half a decibel:",
    psnr(x_net, x_test) > weights[LAM_SMALL] + 0.5,
)

# %% [markdown]
# ### Where a network invents
#
# The mask hides three fifths of the pixels. There the data say nothing; whatever stands
# there was put there by the denoiser. Ask the network, and total variation, for things
# that the network was not trained on:
#
# - **bars**, two pixels wide: another kind of phantom;
# - **another mask** of the same share, and **a mask with fewer pixels**: operators that it
#   has not seen. Data step and denoiser are apart, so the trained layers can be put around
#   any operator.


# %%
def moved(net, A):
    """The trained layers around another operator."""
    other = images.ADMMNet(A, net.depth, channels=8)
    other.layers.load_state_dict(net.layers.state_dict())
    return other


row, column = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
inside = (row > 3) & (row < 20)
bars = (0.8 * (((column // 2) % 2 == 0) & inside)).double()[None, None]
cases = {
    "its own kind": (mask, x_test),
    "another mask": (Mask.random(SMALL, 0.4, seeded(2)), x_test),
    "15 % of pixels": (Mask.random(SMALL, 0.15, seeded(3)), x_test),
    "bars": (mask, bars),
}
answers, gain, misfit, hidden = {}, {}, {}, {}
for name, (A, truth) in cases.items():
    b = A(truth)
    with torch.no_grad():
        found = moved(net, A)(b)
    flat = total_variation(A, b, LAM_SMALL)
    answers[name] = found, flat
    gain[name] = psnr(found, truth) - psnr(flat, truth)
    misfit[name] = ((A(found) - b).norm() / b.norm()).item()
    hidden[name] = unseen_share(A, found, truth, 1e-3).median().item()

found, flat = answers["bars"]
few_mask, _ = cases["15 % of pixels"]
few, few_flat = answers["15 % of pixels"]
panels(
    {
        "bars: the truth": bars,
        "bars: what is seen": mask.adjoint(mask(bars)),
        "total variation": flat,
        "ADMM-Net": found,
        "a phantom": x_test[1],
        "15 % are seen": few_mask.adjoint(few_mask(x_test))[1],
        "total variation ": few_flat[1],
        "ADMM-Net ": few[1],
    },
    caption="Top: bars, which the network has never met. Bottom: a phantom of its kind "
    "behind a mask that it has never met.",
    alt="Two rows of four pictures. Top: even vertical bars; few bright pixels; total "
    "variation with broken bars that are joined here and there; the network with blobs "
    "along the bars and light between them. Bottom: overlapping grey ellipses; about a dozen "
    "bright pixels; total variation, dark with small patches; the network with two soft round "
    "spots.",
)
for name in cases:
    print(
        f"{name:15} ahead of total variation: {gain[name] > 0};",
        f"fits the data within 5 %: {misfit[name] < 0.05};",
        f"unseen share of the error above 95 %: {hidden[name] > 0.95}",
    )
gaps = inside & (bars[0, 0] == 0)
print(
    "light that is put between the bars, above 0.1:",
    found[0, 0][gaps].mean().item() > 0.1,
)
print("the lead is smaller on bars than at home:", gain["bars"] < gain["its own kind"])

# %% [markdown]
# Read the columns.
#
# - The layers carry over to **another mask**: the data step knows the operator, the
#   denoiser does not. That is what splitting is good for. On **bars** most of the lead is
#   gone, and where a bar was, there are blobs: parts of ellipses, which it knows.
# - Every answer **fits the data**. Nearly all of the error is in the unseen part. No check
#   of $A x$ against $b$ can find it, and a small misfit is no certificate of the picture.
# - With 15 % of the pixels the network is ahead of total variation *and* draws spots with
#   soft edges that no phantom has. In decibels this is the better picture. A radiologist
#   would rather be told that nothing is known there.
#
# A stronger test: put something where nothing is seen.

# %%
seen = mask.adjoint(mask(torch.ones(1, 1, *SMALL)))
free = torch.nn.functional.max_pool2d(seen, 2, stride=1)[0, 0] == 0
top, left = free.nonzero()[0].tolist()  # a square of 2 x 2 that the mask hides
spotted = x_test[:1].clone()
spotted[..., top : top + 2, left : left + 2] = 1.0
with torch.no_grad():
    with_spot, without = net(mask(spotted)), net(mask(x_test[:1]))
print("the data are the same:", torch.equal(mask(spotted), mask(x_test[:1])))
print("so are the pictures:", torch.equal(with_spot, without))

# %% [markdown]
# This is a theorem and needs no experiment: equal data, equal answer, for this network and
# for every other method, learned or not. Methods differ in what they put there instead.

# %% [markdown]
# ## The library's version
#
# `unroll.operators` has the operators, `unroll.admm` and `unroll.primal_dual` the methods,
# `unroll.images` the networks. Your functions and those agree:

# %%
A = Blur.gaussian(1.0, (12, 12))
sample = problems.Ellipses((12, 12)).sample(2, seeded(11))
b = measured(A, sample)
zero = torch.zeros_like(sample)
state = zero, zero, torch.zeros_like(b), nabla(zero)
tau = (A.norm() ** 2 + 8) ** -0.5
for _ in range(5):
    state = primal_dual_step(A, b, state, 0.01, tau, tau)
same_as = {
    "primal_dual_step": (
        state[0],
        unroll.primal_dual(A, b, 0.01, penalty=TV(), iterations=5).x,
    )
}
z = u = torch.zeros_like(sample)
for _ in range(5):
    _, z, u = admm_step(A, b, z, u, 0.5, lambda v: unroll.soft_threshold(v, 0.02))
same_as["admm_step"] = z, unroll.admm(A, b, 0.01, rho=0.5, iterations=5).x
ista_net = images.ISTANet(A, 1, channels=4, plus=True, generator=seeded(1))
torch.nn.init.normal_(ista_net.layers[0].G.weight, generator=seeded(2))
layer = ista_net.layers[0]
with torch.no_grad():
    maps = layer.D, layer.F, layer.back, layer.G
    mine = ista_net_layer(A, b, 0 * sample, layer.rho(), layer.theta(), maps)
    same_as["ista_net_layer"] = mine, ista_net(b)
rhs, rho, v = A.adjoint(b), torch.tensor(0.3, requires_grad=True), 1 + 0 * sample
found = images.regularised_solve(A, rhs + rho * sample, rho, tol=1e-12, iterations=500)
by_rho = torch.autograd.grad((found * v).sum(), rho)[0]
same_as["data_step_gradients"] = (
    torch.as_tensor(data_step_gradients(A, b, sample, 0.3, v)[2]),
    by_rho,
)
for name, (mine, theirs) in same_as.items():
    print(
        f"{name:20} agrees to 1e-6:", torch.allclose(mine, theirs, rtol=1e-6, atol=1e-6)
    )

# %% [markdown]
# ## Signature result: four networks beside their parents
#
# The stored run: three problems, each with the classical methods at the weight that is
# best *for these very test images*, and networks trained with three seeds. *Blocks* are small
# squares of a photograph, of which random sums are measured, a quarter as many as pixels;
# *Fourier* keeps a fifth of the Fourier coefficients. Both are of photographs: trained on a
# temple, measured on a dahlia. *Scans* are of phantoms. Two classical methods are new: ISTA in
# *Haar wavelets*, an orthogonal transform into local means and differences, and
# *back-projection*, the formula that inverts the ray transform if there are enough angles.
# Besides PSNR the table has SSIM, a similarity of local structure between 0 and 1. The
# **negative control** is each network before training.

# %%
rows, medians = result["rows"], result["medians"]
table = {
    "blocks, 25 % random sums": {
        "ISTA, wavelets": rows["blocks: ISTA, Haar wavelets"],
        "total variation": rows["blocks: TV"],
        "ISTA-Net+": medians["blocks: ISTA-Net+"],
    },
    "scans, 16 angles": {
        "back-projection": rows["scans: filtered back-projection"],
        "total variation": rows["scans: TV"],
        "learned primal-dual": medians["scans: LPD"],
    },
    "20 % of Fourier": {
        "total variation": rows["samples: TV"],
        "ADMM-Net": medians["samples: ADMM-Net"],
        "MoDL": medians["samples: MoDL"],
        "ADMM-Net, scaled": medians["samples: ADMM-Net, scaled, three zooms"],
    },
}
print(f"{'':22} PSNR, lowest to highest   untrained   SSIM")
for problem, methods in table.items():
    print(problem)
    for name, row in methods.items():
        spread = (
            f"({row['lowest']:.1f} to {row['highest']:.1f})" if "lowest" in row else ""
        )
        control = f"{row['untrained_psnr']:.1f} dB" if "lowest" in row else ""
        print(
            f"  {name:20} {row['psnr']:.1f} dB {spread:16} {control:>10}   {row['ssim']:.2f}"
        )

names = []

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.6))
for problem, methods in table.items():
    for name, row in methods.items():
        at, learned = len(names), "lowest" in row
        ax.plot(
            row["psnr"],
            at,
            "o" if learned else "s",
            color="k",
            mfc="k" if learned else "w",
        )
        if learned:
            ax.plot(row["untrained_psnr"], at, "x", color="0.4")
        names.append(f"{problem}: {name}")
ax.set_yticks(range(len(names)), names, fontsize=9)
ax.invert_yaxis()
ax.set(xlabel="PSNR in dB", ylabel="problem and method")
figure(
    fig,
    caption="Stored run, medians over three seeds. Open squares: classical, at their best "
    "weight. Full circles: trained networks. Crosses: the same networks before training.",
    alt="Ten rows with points of PSNR. Blocks: wavelets, total variation to the right, "
    "ISTA-Net+ between them. Scans: back-projection far left, total variation, learned "
    "primal-dual furthest right. Fourier: total variation, ADMM-Net and MoDL a little to the "
    "left, the scaled ADMM-Net to the right. The cross of every network lies far to the left "
    "of its circle.",
)

# %%
tv_of = {
    problem: methods["total variation"]["psnr"] for problem, methods in table.items()
}
ista, scan, fourier = table
lpd = table[scan]["learned primal-dual"]
print(
    "scans: above total variation by 2 dB, every seed:", lpd["lowest"] > tv_of[scan] + 2
)
print(
    "scans: above back-projection by 5 dB:",
    lpd["lowest"] > table[scan]["back-projection"]["psnr"] + 5,
)
admm_net, modl = table[fourier]["ADMM-Net"], table[fourier]["MoDL"]
print(
    "Fourier: both networks below total variation, every seed:",
    max(admm_net["highest"], modl["highest"]) < tv_of[fourier],
)
print(
    "Fourier, scaled: ADMM-Net above it by 1 dB, every seed:",
    table[fourier]["ADMM-Net, scaled"]["lowest"] > tv_of[fourier] + 1,
)
plus = table[ista]["ISTA-Net+"]
print(
    "blocks: above ISTA in wavelets by 2 dB:",
    plus["lowest"] > table[ista]["ISTA, wavelets"]["psnr"] + 2,
)
print("blocks: but below total variation by 2 dB:", plus["highest"] < tv_of[ista] - 2)
print(
    "untrained, every network is below total variation:",
    all(
        row["untrained_psnr"] < tv_of[problem]
        for problem, methods in table.items()
        for row in methods.values()
        if "lowest" in row
    ),
)

# %% [markdown]
# Read it with care.
#
# - **Scans.** The network has seen thousands of phantoms of exactly this kind, and the
#   test phantoms are drawn by the same program. That is the best case for learning.
# - **Blocks.** Against its own parent, ISTA in a fixed basis, the learned transform wins by
#   more than 2 dB. Papers compare there and stop. Total variation, one number and no
#   training, wins by more than 2 dB against the network. (The paper's network has more
#   layers and channels, and was trained for days.)
# - **Fourier.** Total variation is ahead of both networks in PSNR; in SSIM ADMM-Net is
#   level with it. SSIM compares local structure (Wang et al. 2004). Photographs of one
#   temple were all that the networks had seen of the world.
# - **What held ADMM-Net back** was not its size. The noise is a hundredth of the *spread* of
#   an image's data (40 dB), so a bright image gets more of it, and one threshold cannot suit
#   all. *Scaled* divides every sample by the spread of its data, and shows the temple at
#   three sizes; this was chosen on a part of the temple. Now the network is ahead by more
#   than 1 dB with every seed. Total variation with a weight for each image, scaled in the same
#   way, gains a tenth of a decibel at most. Ask what changes from sample to sample before you
#   ask for more layers.
# - **Run the baseline to its end.** The row of total variation has the best *step*, too.
#   With equal steps $\tau = \sigma$ and as many iterations it was 2 dB lower on a fifth of
#   these images, and both unscaled networks would have won.

# %%
searched = rows["samples: TV"]["searched"]
steps = [searched[f"step {n}"] for n in (1, 10, 30)]
print("total variation, 300 iterations, three steps:", [f"{v:.1f} dB" for v in steps])
modl = table[fourier]["MoDL"]
print(
    "MoDL trained with 5 layers, in dB:",
    {k: f"{v:.1f}" for k, v in modl["by_depth"].items()},
)

# %% [markdown]
# MoDL's layers share their weights, so it can be run at another depth than it was trained
# at. More layers are not better: this is not an algorithm that converges to its answer.
# It was trained to be right after five.

# %% [markdown]
# ## An experiment to change
#
# The network has one $\rho$ a layer and one set of filters, all of them learned at one
# noise level and one share of pixels. How far does that carry?

# %%
NOISE = [40.0, 25.0, 15.0]  # SNR in dB; trained at 40
SHARES = [0.2, 0.4, 0.6]  # of pixels that are seen; trained at 0.4

fig, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
for ax, values, label in (
    (axes[0], NOISE, "SNR in dB"),
    (axes[1], SHARES, "share of pixels seen"),
):
    curves = {"ADMM-Net": [], "total variation": []}
    for value in values:
        share, snr_db = (0.4, value) if values is NOISE else (value, 40.0)
        A = Mask.random(SMALL, share, seeded(1))
        b = measured(A, x_test, snr_db=snr_db)
        with torch.no_grad():
            curves["ADMM-Net"].append(psnr(moved(net, A)(b), x_test))
        curves["total variation"].append(
            max(psnr(total_variation(A, b, lam, 150), x_test) for lam in (0.01, 0.1))
        )
    for marker, (name, curve) in zip("os", curves.items(), strict=True):
        ax.plot(values, curve, marker=marker, label=name)
    ax.set(xlabel=label, ylabel="PSNR in dB")
axes[0].legend(fontsize=9)
figure(
    fig,
    caption="Left: the noise grows from right to left, the network was trained at 40 dB. "
    "Right: another share of pixels, it was trained at 0.4. Total variation may choose "
    "between two weights for every point.",
    alt="Two panels of PSNR, each with a curve for the network and one for total variation. "
    "Both rise to the right in both panels.",
)

# %% [markdown]
# Change one thing at a time, and guess first:
#
# - `NOISE = [40.0, 10.0, 5.0]`: from where on is total variation ahead, and why can it be?
# - Train `net` on `problems.Photographs(SMALL, names=("china",))` and look at the bars
#   again. What does the network draw now?
# - Put `Blur.gaussian(1.0, SMALL)` into `moved(net, A)`. The layers fit, and the filters
#   were learned behind a mask.

# %% [markdown]
# ## When it fails
#
# **A wrong adjoint fails quietly.** Use the adjoint of another mask, and the gradient step
# still runs. It rests at an image that does not fit the data.

# %%
A, other = Mask.random(SMALL, 0.4, seeded(1)), Mask.random(SMALL, 0.4, seeded(2))
b = A(x_test)
x = torch.zeros_like(x_test)
for _ in range(50):
    x = x + other.adjoint(b - A(x))
print(
    "finite:",
    bool(x.isfinite().all()),
    "and off the data by 10 %:",
    bool((A(x) - b).norm() > 0.1 * b.norm()),
)
y = torch.randn(b.shape, generator=seeded(1))
print(
    "the adjoint test sees it:",
    float(adjoint_error(Off(A, other.adjoint), x_test, y)) > 1e-3,
)

# %% [markdown]
# **The weight decides what is seen.** Without a weight the noise comes back, with a large
# one the petals become one flat region. There is no best weight for all images: every table needs to say how
# its weight was chosen, and for whose benefit.

# %%
melted = total_variation(operators["blur"], data["blur"], 0.1, tau=10.0)
print(
    "no weight, and one 1000 times as large, cost 4 dB:",
    max(psnr(fits["blur"], photograph), psnr(melted, photograph)) < admm_psnr[-1] - 4,
)

# %% [markdown]
# **A baseline that was not run to its end.** Minimise the same cost with equal steps
# $\tau = \sigma$, for as many iterations. Nothing is wrong in the code; the image is not
# the minimum yet. Whoever compares a network with it favours the network.

# %%
unfinished = total_variation(mask, b_test, LAM_SMALL, tau=(1 + 8) ** -0.5)
print(
    "not run to its end, total variation is 1 dB lower:",
    psnr(unfinished, x_test) < psnr(x_tv, x_test) - 1,
)

# %% [markdown]
# **A network is trained at one depth.** An algorithm can go on until it rests. The layers
# of section 7 end after four, and the signature result shows what happens to a network
# whose layers are repeated more often than in training.
#
# **What was trained on decides.** All networks of the stored run that work on photographs
# have seen one single photograph. They carry over to another one, which shares textures and
# edges with it; that is no promise for other images. Faults of real scanners, such as motion,
# metal, other coils, are in neither.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "An image fits its data to the size of the noise. What do you know?",
        choices=[
            "That it is near the truth",
            "That the data do not speak against it",
            "That the operator is invertible",
        ],
        answer="ba241eb1f46c",
        hint="Look at the four pictures of the cold open.",
    ),
    Question(
        "What does the adjoint of a mask do with data?",
        choices=[
            "It fills the holes with neighbours",
            "It writes them to their pixels and 0 elsewhere",
            "It undoes the mask",
        ],
        answer="5a5a029c9520",
        hint="Write the matrix of a mask of four pixels and transpose it.",
    ),
    Question(
        "In ADMM, which line must be changed for another scanner?",
        choices=[
            "The one for x",
            "The one for z",
            "All three",
        ],
        answer="7c3a07f7d610",
        hint="Where does A stand?",
    ),
    Question(
        "Why does the primal-dual method need more iterations than ADMM?",
        choices=[
            "It solves another problem",
            "Its iterations are cheaper: none of them solves a system",
            "Its steps are random",
        ],
        answer="aee04bf2fb98",
        hint="What does one iteration do, and what does it leave out?",
    ),
    Question(
        "How many solves does the gradient through a solve need, whatever the "
        "iterations of the solver?",
        choices=[
            "One more",
            "One for each iteration",
            "One for each pixel",
        ],
        answer="5425bf58de36",
        hint="Section 5: what is w?",
    ),
    Question(
        "A network draws a vessel where the unseen share of the error is "
        "nearly 1. What can the data say to that?",
        choices=[
            "They confirm it",
            "They contradict it",
            "Nothing",
        ],
        answer="19d07487dfd4",
        hint="The unseen part changes A x hardly at all.",
    ),
    Question(
        "A paper reports ISTA-Net+ 2 dB above ISTA in wavelets. What do you ask for?",
        choices=[
            "More layers",
            "Total variation at its best weight, on the same images",
            "A larger batch",
        ],
        answer="5eeb0b0aae56",
        hint="The first three rows of the signature result.",
    ),
)

# %% [markdown]
# ## Summary
#
# - An operator is a function with an adjoint, $\langle A x, y \rangle = \langle x, A^* y
#   \rangle$; random vectors test the pair. The adjoint is not the inverse.
# - Images that fit the data can be wrong in every way that the data do not see.
# - Splitting gives the data and the plausibility a step each: ADMM solves a system and
#   denoises; the primal-dual method needs no system and no inner loop, but more iterations.
# - The denoising step may be learned. ISTA-Net, ADMM-Net, learned primal-dual and MoDL
#   unroll one method each, and equal it before training, or with linear parts.
# - A solve is differentiated by one more solve with the same operator.
# - $\delta (A^* A + \delta)^{-1}$ keeps the part that the data do not see. Errors there
#   cannot be found by any check against the data.
# - Stored run: on phantoms of its own kind a network beats total variation by decibels. On
#   photographs it depends: ISTA-Net+ beats its parent and loses to total variation, and so
#   do ADMM-Net and MoDL, once total variation is run to its end. With samples of one spread
#   ADMM-Net is ahead of it.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | operator | a linear map that is applied, not stored |
# | adjoint $A^*$ | the map with $\langle A x, y \rangle = \langle x, A^* y \rangle$ |
# | mask, blur, ray transform | keep some pixels; mix neighbours; sum along lines |
# | total variation | the sum over pixels of the length of $\nabla x$ |
# | splitting | a variable for the data and one for the plausibility, made to agree |
# | ADMM | alternating direction method of multipliers |
# | primal-dual method | descent in $x$, ascent in dual variables, no system |
# | denoiser | a map from an image to a more plausible one; a proximal map is one |
# | data step | $(A^* A + \rho)^{-1} (A^* b + \rho z)$ |
# | implicit layer | a layer that is defined by an equation for its output |
# | unseen part | $\delta (A^* A + \delta)^{-1} d$, what data of $A$ hardly change with |
# | PSNR | $10 \log_{10}$ of 1 over the mean squared error, white being 1 |
# | SSIM | a similarity of local means, contrasts and structures |
#
# ## Readings
#
# - **Monga, Li and Eldar (2021)**, *Algorithm unrolling: interpretable, efficient deep
#   learning for signal and image processing*, IEEE Signal Process. Mag. 38(2). Look for the
#   table of what is unrolled from what.
# - **Chambolle and Pock (2011)**, *A first-order primal-dual algorithm for convex problems
#   with applications to imaging*, J. Math. Imaging Vis. 40(1). Look for why the method
#   looks ahead.
# - **Adler and Öktem (2018)**, *Learned primal-dual reconstruction*, IEEE Trans. Med.
#   Imaging 37(6). Look for which phantoms it was trained on, and which it was tested on.
# - **Yang, Sun, Li and Xu (2016)**, *Deep ADMM-Net for compressive sensing MRI*, NeurIPS.
#   Look for what every layer is called, and which line of ADMM it is. The public PyTorch
#   code shares its parameters over the layers; the paper does not.
# - **Zhang and Ghanem (2018)**, *ISTA-Net: interpretable optimization-inspired deep network
#   for image compressive sensing*, CVPR. Look for the symmetry loss.
# - **Aggarwal, Mani and Jacob (2019)**, *MoDL: model-based deep learning architecture for
#   inverse problems*, IEEE Trans. Med. Imaging 38(2). Look for the backward pass.
# - **Antun, Renna, Poon, Adcock and Hansen (2020)**, *On instabilities of deep learning in
#   image reconstruction and the potential costs of AI*, PNAS 117(48). Look for details
#   that vanish, and for details that appear.
