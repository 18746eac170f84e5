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
# # 24 · Provably optimal modules
#
# > **Claim.** The best hidden module under a linear output puts each class on one point and different classes as far apart as the kernel allows, so it can be trained from pairs alone (same class or not), frozen, and named with ten labels; cut into six such modules, the same training throws away what it needs.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | read a network as a kernel machine; prove which hidden module is best, and check the proof by brute force; write kernel proxies that need pair labels only; train a hidden module from pairs, freeze it, and finish with ten labels; tell without training whether a module will serve another task, with a p-value; say when training module by module destroys information |
# | **Before you start** | gradient descent with PyTorch (modules, an optimiser, `backward`); chapter 22 (local losses, greedy training) helps; least squares and eigenvalues |
# | **Time** | 150 minutes |
# | **Points** | 25, in eight exercises |

# %% tags=["setup"]
import math
from copy import deepcopy
from functools import partial
from itertools import permutations, product

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional

import modular
from course.kit import Question, figure, quiz, setup, stored
from modular.tasks import binary_tasks

generator = setup(seed=24)

# %% [markdown]
# ## Cold open: ten labels
#
# You have 1348 small pictures of handwritten digits, and a colleague who can name them. Her time
# is expensive: she will name **ten**, one of each kind. We train the same network of three layers
# twice, once with all 1348 names and once with her ten.

# %%
task = modular.digits(torch.Generator().manual_seed(24))
ten = modular.few_labels(task.y, 1, torch.Generator().manual_seed(1))


def layers(sizes):
    """Linear - BatchNorm - ReLU, once for each step of the sizes."""
    made = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        made += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*made)


def percent(predicted, y):
    """Share of right predictions in per cent."""
    return 100 * (predicted == y).double().mean().item()


def end_to_end(chosen, seed=0, steps=300, task=task):
    """Train a whole network on the labels of some samples; predict the test set."""
    torch.manual_seed(seed)
    net = nn.Sequential(layers([64, 64, 64]), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(steps):
        i = chosen
        if len(chosen) > 128:
            i = chosen[torch.randint(len(chosen), (128,))]
        optimiser.zero_grad()
        functional.cross_entropy(net(task.x[i]), task.y[i]).backward()
        optimiser.step()
    with torch.no_grad():
        return net.eval()(task.x_test).argmax(dim=1)


with_all = end_to_end(torch.arange(len(task.x)))
with_ten = end_to_end(ten)
print(f"all labels: {percent(with_all, task.y_test):.0f} % right on the test set")
print(f"ten labels: {percent(with_ten, task.y_test):.0f} %")

# %% tags=["picture"]
pictures = torch.cat([task.x[ten], task.x_test[:20]])
fig, axes = plt.subplots(3, 10, figsize=(7, 2.8))
for k, ax in enumerate(axes.flat):
    ax.imshow(-pictures[k].reshape(8, 8))
    ax.axis("off")
    text, colour = f"{k}", "C0"
    if k >= 10:
        said = with_ten[k - 10]
        wrong = said != task.y_test[k - 10]
        text, colour = (f"{said} ✗", "C1") if wrong else (f"{said}", "k")
    ax.text(3.5, -1, text, ha="center", fontsize=9, color=colour)
figure(
    fig,
    caption="First row: the ten pictures that were named. Below: what a network that "
    "knows only these says about twenty others; a cross marks an error.",
    alt="Three rows of ten small handwritten digits. The first row shows one of each, "
    "zero to nine. Over the digits of the other two rows stands what the network "
    "says; a large part of them carries a cross.",
)

# %% [markdown]
# With ten labels it knows those ten pictures, and is wrong about a good part of the rest. Suppose
# now that the colleague has an assistant who has never learned the names of digits. But show him
# **two** pictures, and he can say whether they are *the same kind of thing or not*. He never says
# what it is.
#
# We train two hidden layers from his answers alone (how, is the subject of this chapter), look at
# what they make of pictures that nobody has commented on, and compare each pair of them by the
# cosine of the angle between their features. (The loader below does hold labels. The method makes
# pairs of them, and passes nothing else on to the hidden module.)

# %%
torch.manual_seed(0)
preview = modular.Partition(
    [layers([64, 64, 64]), nn.Linear(64, 10)], 2, sample=task.x[:2]
)
trainer = modular.Trainer(
    preview, modular.KernelModules(), optimizer=partial(torch.optim.Adam, lr=2e-3)
)
batches = task.batches(128, torch.Generator().manual_seed(0))
trainer.fit(batches, 20, phases=[0])  # phase 0: the hidden module, from pairs


def cosines(h, other):
    """Cosines between the rows of two sets of features."""
    return functional.normalize(h, dim=1) @ functional.normalize(other, dim=1).T


order = task.y_test.argsort(stable=True)
spaces = {"pixels": nn.Identity(), "after pair training": preview.blocks[0].eval()}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5))
for ax, (name, space) in zip(axes, spaces.items(), strict=True):
    with torch.no_grad():
        tested, labelled = space(task.x_test), space(task.x[ten])
    ax.imshow(cosines(tested[order], tested[order]), vmin=0, vmax=1)
    edges = task.y_test.bincount().cumsum(0)
    middles = edges - task.y_test.bincount() / 2
    ax.set(title=name, xticks=middles, yticks=middles)
    ax.set_xticklabels(range(10))
    ax.set_yticklabels(range(10))
    ax.grid(False)
    nearest = cosines(tested, labelled).argmax(dim=1)
    print(f"{name}: named after the nearest of the ten, ", end="")
    print(f"{percent(nearest, task.y_test):.0f} % are right")
figure(
    fig,
    caption="Cosines between 449 test pictures, sorted by class (white 1, black 0). Left: "
    "as pixels. Right: after two layers that have learned from pairs only.",
    alt="Two square matrices sorted by digit. On the left all is light grey, with ten "
    "slightly brighter squares along the diagonal. On the right ten white squares "
    "stand along the diagonal on an almost black ground.",
)

# %% [markdown]
# The squares on the right have no names. Ten labels, one per square, are enough to name them all.
#
# Two claims hide in this picture, and this chapter proves one and measures the other: a hidden
# module that makes the picture perfect **cannot be beaten** by any other, as seen by a linear
# output on top of it; and what it takes to train it are pairs. Duan, Yu and Principe found both
# around 2020. Then we ask the picture for more: whether a module is worth anything for a task it
# was not made for. And then we break it.

# %% [markdown]
# ## 1. A network, read as a kernel machine
#
# Cut the network before its last layer. Below is the **hidden module** $f$, above is a linear
# **output module**. Let the hidden module hand on only the *direction* of its features,
#
# $$ \phi(x) = \frac{f(x)}{\|f(x)\|}, \qquad
#    s(x) = W^\top \phi(x) + b, \qquad
#    k(x, x') = \langle \phi(x), \phi(x') \rangle . $$
#
# $k$ is a **kernel**, the cosine of the angle between features. It is 1 for pictures that the
# module does not distinguish. For a batch it is a matrix, $G_{ij} = k(x_i, x_j)$.
#
# **Shapes.** Features `h` are `(batch, features)`; `G` is `(batch, batch)`.

# %% [markdown]
# ### Exercise 24.1 · Unit-norm features and their kernel
# Difficulty ●○○○○ · 2 points
#
# Write `unit(h)`, which scales every sample to norm 1, and `gram(h)`, the kernel matrix of the
# batch. After a ReLU all features of a sample may be zero: such a sample has no direction. Leave
# it at zero, and let no NaN arise. Samples may be tiny (norm $10^{-9}$) and still have a
# direction. You will train through both functions.


# %% nbgrader={"grade": false, "grade_id": "ex24-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unit(h):
    """Scale every sample to norm 1; zeros stay zeros. h: (batch, features), as result."""
    ### BEGIN SOLUTION
    return h / h.norm(dim=1, keepdim=True).clamp(min=1e-12)
    ### END SOLUTION


def gram(h):
    """Cosines between all samples. h: (batch, features). Returns (batch, batch)."""
    ### BEGIN SOLUTION
    z = unit(h)
    return z @ z.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
h = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-6.0, -8.0]])
assert unit(h).shape == (3, 2), "one direction for each sample, as long as the features"
assert torch.allclose(unit(h)[0], torch.tensor([0.6, 0.8])), (
    "a sample is divided by its own length"
)
assert gram(h).shape == (3, 3), "one number for each pair of samples"
assert unit(h).dtype == gram(h).dtype == torch.float64, (
    "the answer is in single precision, this chapter computes in float64: is there a "
    ".float()?"
)
assert torch.allclose(gram(h)[0], torch.tensor([1.0, 0.8, -1.0])), (
    "the first sample has cosine 1 with itself, 0.8 with the second, and the third "
    "points the other way"
)

# %% nbgrader={"grade": true, "grade_id": "ex24-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
G = gram(torch.eye(3, 5))
assert torch.allclose(G, torch.eye(3)), "orthogonal samples have cosine 0"
### BEGIN HIDDEN TESTS
for seed, (n, d) in enumerate([(4, 7), (9, 3), (5, 1)]):
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(n, d, generator=g) + 0.5
    before, G = h.clone(), gram(h)
    assert torch.equal(h, before), "the features themselves were changed"
    assert torch.allclose(G.diagonal(), torch.ones(n)), "k(x, x) is 1 for every sample"
    assert torch.allclose(unit(h).norm(dim=1), torch.ones(n)), (
        "directions have length 1"
    )
    assert torch.linalg.eigvalsh(G).min() > -1e-10, (
        "a kernel matrix has no negative eigenvalue"
    )
    lengths = 10.0 ** torch.linspace(-9, 6, n)[:, None]
    assert torch.allclose(gram(h * lengths), G), (
        "the length of a sample, tiny or huge, must not matter"
    )
    angle = h[0] @ h[-1] / (h[0] @ h[0]).sqrt() / (h[-1] @ h[-1]).sqrt()
    assert torch.allclose(G[0, -1], angle), "G holds cosines"
    q, _ = torch.linalg.qr(torch.randn(d, d, generator=g))
    assert torch.allclose(gram(h @ q), G), "turning all features changes no angle"
    alone = torch.cat([unit(h[i : i + 1]) for i in range(n)])
    assert torch.allclose(unit(h), alone), "samples must not influence each other"
    leaves = [h.clone().requires_grad_() for _ in "ab"]
    weights = torch.randn(n, n, generator=g)  # not symmetric
    lengths = leaves[1].square().sum(dim=1).sqrt()
    cosines_by_hand = leaves[1] @ leaves[1].T / lengths[:, None] / lengths
    (gram(leaves[0]) * weights).sum().backward()
    (cosines_by_hand * weights).sum().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-8, atol=1e-10), (
        "G has the right values and another gradient: both samples of a pair, and both "
        "lengths, take part in a cosine"
    )
    leaves = [h.clone().requires_grad_() for _ in "ab"]
    (unit(leaves[0]) * weights[:, :1]).sum().backward()
    lengths = leaves[1].square().sum(dim=1, keepdim=True).sqrt()
    (leaves[1] / lengths * weights[:, :1]).sum().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-8, atol=1e-10), (
        "unit has the right values and another gradient: the length takes part in it"
    )
    assert (gram(h.abs()) >= 0).all(), "non-negative features have no obtuse angles"
leaf = torch.tensor([[1.0, 2.0], [0.0, 0.0], [2.0, -1.0]], requires_grad=True)
G = gram(leaf)
expected = torch.tensor([1.0, 0.0, 1.0])
assert torch.allclose(G.diagonal(), expected), (
    "a sample without direction stays at zero"
)
assert G.isfinite().all(), "a silent sample must not produce NaN"
G.sum().backward()
assert leaf.grad.isfinite().all(), "nor may its gradient be NaN"
assert (leaf.grad * leaf).sum(dim=1).abs().max() < 1e-10, (
    "making a sample longer changes no angle, so the gradient is orthogonal to it: does "
    "the length take part in the gradient?"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A length per row: `h.norm(dim=1, keepdim=True)` has shape `(batch, 1)` and broadcasts.
#
# </details>
# <details><summary>Hint 2</summary>
#
# To avoid zero divided by zero, let the divisor not fall below something far smaller than any
# sample. *Adding* a constant would shorten every sample a little.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The divisor is `h.norm(dim=1, keepdim=True).clamp(min=1e-12)`.
#
# </details>

# %% [markdown]
# A kernel matrix is symmetric, has ones on its diagonal and no negative eigenvalue: for any
# weights $a$, $\sum_{ij} a_i a_j G_{ij} = \| \sum_i a_i \phi(x_i) \|^2 \ge 0$. Two cosines
# cannot be chosen without regard to the third.
#
# And what does ReLU do? A sum of products of non-negative numbers is not negative. After a ReLU
# the cosine has the range $[0, 1]$; without it, $[-1, 1]$. Call its ends $\alpha$ and 1.
#
# Why should the output module care for angles only? Because it is made of samples. Take least
# squares on one-hot labels $Y$ with a little **ridge** (and without $b$, for now):
#
# $$ \min_W \; \frac1n \| \Phi W - Y \|^2 + \lambda \|W\|^2, \qquad
#    \Phi = \begin{pmatrix} \phi(x_1)^\top \\ \vdots \\ \phi(x_n)^\top \end{pmatrix}. $$
#
# A part of $W$ that is orthogonal to all $\phi(x_i)$ changes no prediction and costs norm. So the
# best $W$ is a combination of the samples, $W = \Phi^\top A$ with one row of coefficients per
# sample: the **representer theorem**. Put it in, and every $\phi$ meets another one.

# %% [markdown]
# ### Exercise 24.2 · An output module that never sees a feature
# Difficulty ●●○○○ · 3 points
#
# Write `kernel_output(G, Y, G_new, lam)`: the scores that the best $W$ gives to new samples,
# computed from cosines alone. There may be far more samples than features, or far fewer. Derive
# $A$ first: set the gradient of the objective, with $W = \Phi^\top A$, to zero.


# %% nbgrader={"grade": false, "grade_id": "ex24-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kernel_output(G, Y, G_new, lam):
    """Ridge regression in terms of the kernel.

    G: cosines between the labelled samples, (n, n). Y: their targets, (n, classes).
    G_new: cosines between new and labelled samples, (m, n). lam: number > 0.
    Returns the scores of the new samples, (m, classes).
    """
    ### BEGIN SOLUTION
    n = len(G)
    return G_new @ torch.linalg.solve(G + lam * n * torch.eye(n), Y)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(2)
z, z_new = (functional.normalize(torch.randn(k, 4, generator=g), dim=1) for k in (6, 3))
Y = torch.randn(6, 2, generator=g)
W = torch.linalg.solve(z.T @ z / 6 + 0.1 * torch.eye(4), z.T @ Y / 6)  # with features
scores = kernel_output(z @ z.T, Y, z_new @ z.T, 0.1)
assert scores.shape == (3, 2), "a score for each new sample and class"
assert scores.dtype == torch.float64, (
    "the answer is in single precision, this chapter computes in float64: is there a "
    ".float()?"
)
assert torch.allclose(scores, z_new @ W), (
    "ridge regression with features and with cosines must give the same scores: which "
    "equation does A solve, and where does the mean over n samples go?"
)

# %% nbgrader={"grade": true, "grade_id": "ex24-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
scores = kernel_output(torch.eye(2), torch.eye(2), torch.eye(2), 0.5)
assert torch.allclose(scores, torch.eye(2) / 2), (
    "two orthogonal samples, solved by hand"
)
### BEGIN HIDDEN TESTS
for seed, (n, d, classes) in enumerate([(5, 9, 3), (12, 4, 2), (7, 7, 1)]):
    g = torch.Generator().manual_seed(seed)
    z, z_new = (
        functional.normalize(torch.randn(k, d, generator=g), dim=1) for k in (n, 4)
    )
    Y = torch.randn(n, classes, generator=g) + 1
    G = z @ z.T
    before = G.clone()
    for lam in (1e-3, 0.1, 2.0):
        W = torch.linalg.solve(z.T @ z / n + lam * torch.eye(d), z.T @ Y / n)
        scores = kernel_output(G, Y, z_new @ z.T, lam)
        assert torch.allclose(scores, z_new @ W, atol=1e-8), (
            "for other numbers of samples and features, or another ridge, the scores "
            "are not those of the best W"
        )
        twice = torch.cat([z, z])
        doubled = kernel_output(
            twice @ twice.T, torch.cat([Y, Y]), z_new @ twice.T, lam
        )
        assert torch.allclose(doubled, scores, atol=1e-8), (
            "the objective is a mean: every sample twice must change nothing"
        )
    assert torch.equal(G, before), "the argument G was changed"
    z = torch.cat([z, torch.zeros(1, d)])  # a sample without direction counts, too
    W = torch.linalg.solve(
        z.T @ z / (n + 1) + 0.1 * torch.eye(d), z[:-1].T @ Y / (n + 1)
    )
    silent = kernel_output(z @ z.T, torch.cat([Y, Y[:1]]), z_new @ z.T, 0.1)
    assert torch.allclose(silent, z_new @ W, atol=1e-8), (
        "one of the samples has no direction, its row of G is zero: the mean is still one "
        "over all samples"
    )
    z = z[:-1]
    one = kernel_output(G, Y[:, :1], z_new @ z.T, 0.1)
    assert torch.allclose(one, kernel_output(G, Y, z_new @ z.T, 0.1)[:, :1]), (
        "classes are fitted side by side and must not influence each other"
    )
    assert torch.allclose(
        kernel_output(G, 3 * Y, z_new @ z.T, 0.1),
        3 * kernel_output(G, Y, z_new @ z.T, 0.1),
    ), "three times the targets, three times the scores"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $\Phi W = \Phi \Phi^\top A = G A$ and $\|W\|^2 = \operatorname{tr} A^\top G A$. Both terms
# contain $G$ only.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The gradient is $\tfrac2n G (G A - Y) + 2 \lambda G A$. It is zero if
# $(G + n \lambda I) A = Y$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.linalg.solve(M, Y)` solves $M A = Y$. A new sample's score is its cosines with the
# labelled samples, times $A$.
#
# </details>

# %% [markdown]
# So the output module sees the hidden module through $G$, and through nothing else. If somebody
# hands you a good $G$, you need not ask where it comes from. Which $G$ is good?
#
# ## 2. The best hidden module
#
# Two classes, $y_i = \pm 1$, equally many samples of each. The output module is
# $s(x) = w^\top \phi(x) + b$ and pays ridge for $w$, nothing for $b$. For a given hidden module
# it can at best reach
#
# $$ R^\star = \min_{w, b} \; \frac1n \sum_i \big(y_i - s(x_i)\big)^2 + \lambda \|w\|^2 . $$
#
# Let $m_+$ and $m_-$ be the mean features of the classes, and $D = \|m_+ - m_-\|$.
#
# **Theorem.** *Whatever the hidden module,*
#
# $$ R^\star \;\ge\; \frac{\lambda}{\lambda + D^2/4} \;\ge\;
#    \frac{\lambda}{\lambda + (1 - \alpha)/2} , $$
#
# *and both become equalities if all samples of a class share one point,* $k = 1$, *and the two
# points are as far apart as the kernel allows,* $k = \alpha$.
#
# *Proof.* The square is convex, so within a class the mean loss is at least the loss of the mean
# score (Jensen). With the margins $w^\top m_+ + b$ and $-(w^\top m_- + b)$ the same argument
# applies once more to the two classes, and $b$ cancels: the loss is at least
# $(1 - \tfrac12 w^\top (m_+ - m_-))^2$. Now $w^\top (m_+ - m_-) \le \|w\| D$, and minimising
# $(1 - tD/2)^2 + \lambda t^2$ over $t = \|w\|$ gives the first bound. For the second,
# $D^2 = \|m_+\|^2 + \|m_-\|^2 - 2 \langle m_+, m_- \rangle$; the first two are mean
# cosines within a class, at most 1 each, the last is the mean cosine between classes, at least
# $\alpha$. Hence $D^2 \le 2 - 2\alpha$. $\square$
#
# Only convexity was used. The same proof works for the hinge, the logistic and every other convex
# loss of the margin that falls, with $\|w\| \le r$ instead of the ridge: then $R^\star \ge
# \ell(rD/2)$. Duan, Yu and Principe prove such a theorem for output modules with several losses
# and for several classes. Not covered is, for example, the share of errors, which is not convex:
# it does not care *how far* the classes are apart.
#
# Now read the theorem as an instruction. What must a trainer of the hidden module know? Not the
# output module, not $w$, not the loss. Not even the labels: **which pairs belong together**.
#
# And with more classes, $C$ of them? How far apart can *all* be from *all others*?

# %% [markdown]
# ### Exercise 24.3 · As far apart as the kernel allows
# Difficulty ●●○○○ · 2 points
#
# Write `farthest(classes, nonnegative)`: one unit vector per class, in as many dimensions as
# there are classes, so that the largest cosine between two of them is as small as possible. Once
# for free features, once for features that a ReLU has made non-negative. (With two classes and
# free features the answer is $-1$. It is not $-1$ with three: sum up all entries of $G$.)


# %% nbgrader={"grade": false, "grade_id": "ex24-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def farthest(classes, nonnegative):
    """Unit vectors with the smallest largest cosine. Returns (classes, classes).

    classes: 2 or more. nonnegative: whether no entry may be negative.
    """
    ### BEGIN SOLUTION
    points = torch.eye(classes)
    return points if nonnegative else unit(points - 1 / classes)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
for nonnegative in (False, True):
    points = farthest(3, nonnegative)
    assert points.shape == (3, 3), "three vectors in three dimensions"
    assert points.dtype == torch.float64, (
        "the answer is in single precision, this chapter computes in float64: is there a "
        ".float()?"
    )
    assert torch.allclose(points.norm(dim=1), torch.ones(3)), "vectors have length 1"
assert (points >= 0).all(), "features after a ReLU are not negative"
off = modular.kernel.unit_gram(farthest(3, False))[~torch.eye(3, dtype=torch.bool)]
assert off.max() < -0.4, (
    "three free vectors can be farther apart than this: all pairs obtuse, none favoured"
)

# %% nbgrader={"grade": true, "grade_id": "ex24-3-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
points = farthest(2, False)
assert torch.allclose(points[0], -points[1]), "two classes: opposite ends"
### BEGIN HIDDEN TESTS
for classes in (2, 3, 4, 7, 10):
    apart = ~torch.eye(classes, dtype=torch.bool)
    for nonnegative in (False, True):
        points = farthest(classes, nonnegative)
        assert points.shape == (classes, classes), "one vector per class, square"
        assert torch.allclose(points.norm(dim=1), torch.ones(classes)), (
            "every vector has length 1"
        )
        off = modular.kernel.unit_gram(points)[apart]
        assert torch.allclose(off, off[0].expand_as(off), atol=1e-7), (
            "no pair of classes may be nearer than the others: the largest cosine counts"
        )
        # ||sum of all||^2 = classes + classes (classes - 1) mean cosine >= 0
        best = 0.0 if nonnegative else -1 / (classes - 1)
        assert off.max() < best + 1e-6, (
            "they can be farther apart: how small can the sum of all entries of a "
            "kernel matrix be?"
        )
        if nonnegative:
            assert (points >= 0).all(), "an entry is negative, no ReLU puts that out"
        else:
            assert points.sum(dim=0).abs().max() < 1e-6, (
                "at the optimum the vectors cancel each other"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The sum of all entries of $G$ is $\|\sum_c \phi_c\|^2$, so not negative. With ones on the
# diagonal and one value $\alpha$ elsewhere this says $C + C(C-1)\alpha \ge 0$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Equality needs vectors that add up to zero, all alike: the corners of a regular simplex, seen
# from its centre. Non-negative vectors cannot cancel; what is the smallest cosine then?
#
# </details>
# <details><summary>Hint 3</summary>
#
# The rows of the identity are the corners of a simplex, and `1 / classes` is every entry of its
# centre.
#
# </details>

# %% [markdown]
# So $\alpha = -1/(C-1)$ for free features, and $\alpha = 0$ after a ReLU: for ten classes that is
# $-0.11$ against 0, and almost nothing is lost. Note a condition that the theorem needs and that
# is easily overlooked: there must be **room**. Non-negative vectors with cosine 0 have no common
# non-zero entry, so $C$ classes need at least $C$ features.
#
# Now the theorem itself. For its bound we need $D^2$, and $D^2$ needs only pairs:
#
# $$ D^2 = \frac{4}{n^2} \sum_{i, j} \sigma_{ij} G_{ij}, \qquad
#    \sigma_{ij} = \begin{cases} +1 & \text{same class} \\ -1 & \text{different} \end{cases} $$

# %% [markdown]
# ### Exercise 24.4 · The bound
# Difficulty ●●●○○ · 4 points
#
# Write both sides of the theorem. `output_risk(z, y, lam)` is the exact $R^\star$: fit $w$ and
# $b$ and return what remains, the ridge term included. `risk_bound(G, same, lam)` is the bound
# $\lambda / (\lambda + D^2/4)$, computed without any label. Both classes have equally many
# samples.


# %% nbgrader={"grade": false, "grade_id": "ex24-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def output_risk(z, y, lam):
    """The smallest objective of a linear output with a free bias.

    z: features, (n, d). y: +1 or -1, (n,). lam: number > 0. Returns ().
    """
    ### BEGIN SOLUTION
    centred, target = z - z.mean(dim=0), y - y.mean()
    d = z.shape[1]
    w = torch.linalg.solve(
        centred.T @ centred / len(z) + lam * torch.eye(d), centred.T @ target / len(z)
    )
    return (target - centred @ w).square().mean() + lam * w.square().sum()
    ### END SOLUTION


def risk_bound(G, same, lam):
    """What no output module can undercut, from pairs alone.

    G: cosines, (n, n). same: whether two samples share their class, (n, n). Returns ().
    """
    ### BEGIN SOLUTION
    sign = 2.0 * same - 1
    squared = 4 * (sign * G).sum() / len(G) ** 2
    return lam / (lam + squared / 4)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
y = torch.tensor([1.0, 1.0, -1.0, -1.0])
same = y[:, None] == y
z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
for value in (output_risk(z, y, 0.5), risk_bound(z @ z.T, same, 0.5)):
    assert isinstance(value, float) or value.dtype == torch.float64, (
        "the answer is in single precision, this chapter computes in float64: is there a "
        ".float()?"
    )
assert math.isclose(output_risk(z, y, 0.5), 1 / 3, rel_tol=1e-9), (
    "by hand: w = (t, 0), b = 0, and (1 - t)^2 + t^2 / 2 is smallest at t = 2/3"
)
assert math.isclose(risk_bound(z @ z.T, same, 0.5), 1 / 3, rel_tol=1e-9), (
    "two opposite points: D = 2, and the bound is reached"
)
z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
assert math.isclose(output_risk(z, y, 0.5), 1.0), (
    "classes that lie on top of each other cannot be told apart: all of y remains"
)
assert math.isclose(risk_bound(z @ z.T, same, 0.5), 1.0), "then D is 0"

# %% nbgrader={"grade": true, "grade_id": "ex24-4-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
z, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, -1.0])
assert math.isclose(output_risk(z, y, 1.0), 0.5), "one sample each: 1 / (1 + 1)"
### BEGIN HIDDEN TESTS
for seed, (half, d) in enumerate([(3, 2), (5, 9), (8, 3), (1, 2)]):
    g = torch.Generator().manual_seed(seed)
    y = torch.cat([torch.ones(half), -torch.ones(half)])
    y = y[torch.randperm(2 * half, generator=g)]
    same = y[:, None] == y
    z = torch.randn(2 * half, d, generator=g) + 0.6 * y[:, None] + 0.4
    z = functional.normalize(z, dim=1)
    m_plus, m_minus = z[y > 0].mean(dim=0), z[y < 0].mean(dim=0)
    for lam in (0.01, 0.3, 2.0):
        given = z.clone()
        G = z @ z.T
        risk, bound = output_risk(z, y, lam), risk_bound(G, same, lam)
        assert torch.equal(z, given) and torch.equal(G, z @ z.T), (
            "z or G has been changed: compute with new tensors"
        )
        leaf = torch.zeros(d + 1, requires_grad=True)  # w and b, found by descent
        descent = torch.optim.LBFGS(
            [leaf], max_iter=300, tolerance_grad=1e-11, line_search_fn="strong_wolfe"
        )

        def objective(z=z, y=y, lam=lam, leaf=leaf):
            fit = (y - z @ leaf[:-1] - leaf[-1]).square().mean()
            return fit + lam * leaf[:-1].square().sum()

        def closure(descent=descent, objective=objective):
            descent.zero_grad()
            value = objective()
            value.backward()
            return value

        descent.step(closure)
        assert math.isclose(risk, objective().item(), rel_tol=1e-5, abs_tol=1e-8), (
            "a descent on w and b ends elsewhere: the loss is a mean, w pays ridge and b "
            "does not, and both terms belong to the risk"
        )
        K = (
            (z - z.mean(dim=0)) @ (z - z.mean(dim=0)).T / len(z)
        )  # from the kernel's side
        known = lam * y @ torch.linalg.solve(K + lam * torch.eye(len(z)), y) / len(z)
        assert math.isclose(risk, known, rel_tol=1e-8), (
            "near, but not exact: w and b are the solution of a linear system"
        )
        expected = lam / (lam + (m_plus - m_minus).square().sum() / 4)
        assert math.isclose(bound, expected, rel_tol=1e-9), (
            "the bound is not the one that the class means give: all pairs count, a "
            "sample with itself too"
        )
        assert bound <= risk + 1e-12, "the theorem is violated"
        assert math.isclose(output_risk(z, -y, lam), risk, rel_tol=1e-9), (
            "exchanging the names of the classes changes nothing"
        )
        q, _ = torch.linalg.qr(torch.randn(d, d, generator=g))
        turned = risk_bound(modular.kernel.unit_gram(z @ q), same, lam)
        assert math.isclose(turned, bound, rel_tol=1e-9), "only angles count"
        moved = output_risk(z + 5.0, y, lam)
        assert math.isclose(moved, risk, rel_tol=1e-6), (
            "features that are all shifted alike cost nothing: that is what b is for"
        )
    points = functional.normalize(torch.randn(2, d, generator=g), dim=1)
    z = points[(y > 0).long()]
    assert math.isclose(
        output_risk(z, y, 0.2), risk_bound(z @ z.T, same, 0.2), rel_tol=1e-9
    ), "with each class on one point the bound is reached"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The best free bias makes the mean residual zero. So subtract the mean from the features and from
# the targets, and forget about $b$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# With centred features $c$ and targets $t$, $w$ solves $(c^\top c / n + \lambda I) w = c^\top t /
# n$. For the bound, `same` is true or false; `2.0 * same - 1` is $\sigma$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $R^\star = \operatorname{mean} (t - c w)^2 + \lambda \|w\|^2$; and
# $D^2 / 4 = \frac{1}{n^2} \sum_{ij} \sigma_{ij} G_{ij}$, the factor 4 is gone.
#
# </details>

# %% [markdown]
# ### By brute force
#
# Do not believe a proof because it looks right. Take four samples, two per class, and a hidden module that
# may put each of them on any of eight places on a circle. The first can stay where it is, for
# turning the circle changes nothing. That leaves $8^3 = 512$ hidden modules, *all* of them. For
# each, compute exactly what the best output module reaches.

# %%
angles = torch.arange(8) * math.pi / 4
circle = torch.stack([angles.cos(), angles.sin()], dim=1)
y = torch.tensor([1.0, 1.0, -1.0, -1.0])
same, LAM = y[:, None] == y, 0.1
placements = [(0, *rest) for rest in product(range(8), repeat=3)]
risks = torch.stack([output_risk(circle[list(p)], y, LAM) for p in placements])
bounds = torch.stack([risk_bound(gram(circle[list(p)]), same, LAM) for p in placements])
spread = 4 * LAM * (1 / bounds - 1)  # D squared
quarter = torch.tensor([all(i <= 2 for i in p) for p in placements])  # cosines >= 0
free_best, relu_best = (
    placements[int(torch.where(allowed, risks, math.inf).argmin())]
    for allowed in (torch.ones(512, dtype=torch.bool), quarter)
)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1), gridspec_kw={"width_ratios": [1, 2]})
axes[0].plot(*circle[list(range(8)) + [0]].T, color="0.8", ls=":")
for best, ring in ((free_best, 1.0), (relu_best, 0.6)):
    for i, (place, marker) in enumerate(zip(best, "oo^^", strict=True)):
        shift = 0.09 * (i % 2)
        axes[0].plot(
            *(ring * circle[place] + shift), marker, color="C0" if i < 2 else "C1"
        )
axes[0].plot(*(0.6 * circle[list(range(3))].T), color="0.8", ls=":")
axes[0].set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
axes[0].set_title("the best modules", fontsize=10)
axes[0].axis("off")
grid = torch.linspace(0, 4, 100)
axes[1].plot(spread, risks, "o", ms=3, color="0.6", label="all 512 modules")
axes[1].plot(
    spread[quarter], risks[quarter], "x", ms=5, color="C2", label="cosines not negative"
)
axes[1].plot(grid, LAM / (LAM + grid / 4), color="k", ls="-", label="the bound")
axes[1].set(xlabel="squared distance of the class means", ylabel="smallest risk")
axes[1].legend(fontsize=8)
figure(
    fig,
    caption="Right: every hidden module that there is, and the theorem's bound. Left: the "
    "best of all (outer circle) and of those without negative cosines (inner arc); "
    "circles and triangles are the two classes.",
    alt="Left, on the outer circle the two circles sit together and the two triangles "
    "at the opposite end; on the inner quarter arc they sit at its two ends. Right, "
    "the risk against the squared distance of class means: a cloud of points, none "
    "below a falling curve, and some on it; the lowest is at its right end, at 4.",
)

# %%
print("a module lies below the bound:", bool((risks < bounds - 1e-9).any()))
print("places of the best module:", free_best, "  without negative cosines:", relu_best)
touching = (risks - bounds).abs() < 1e-9
print(f"on the bound: {int(touching.sum())} of {len(risks)}")

# %% [markdown]
# No module lies below the bound. The best of all has each class on one point and the points at
# opposite ends; among modules without negative cosines the ends are a right angle apart. The
# modules on the curve are those without scatter inside the classes, or with scatter only in
# directions that the output module does not look at.

# %% [markdown]
# ## 3. Proxies: how near is a module to the best?
#
# The theorem names the ideal kernel matrix, $G^\star_{ij} = 1$ within classes and $\alpha$
# between them. A **proxy** is a number that says how near $G$ is to $G^\star$; the hidden module
# is trained to raise it. (A proxy, because it stands in for the loss of an output module that
# does not exist yet.) The oldest is the **alignment** of Cristianini and others (2001), the
# cosine of the angle between two matrices. With $\alpha = 0$, $G^\star$ is the matrix `same` of
# zeros and ones, and
#
# $$ \mathcal A(G) = \frac{\langle G, G^\star \rangle}{\|G\| \, \|G^\star\|}, \qquad
#    \langle G, G^\star \rangle = \sum_{i,j} G_{ij} G^\star_{ij}, \qquad
#    \|G\|^2 = \langle G, G \rangle . $$
#
# There is a trap in it. The diagonal of $G$ is 1 whatever the module does, and in a batch of $n$
# samples of $C$ classes it makes up as much as $C/n$ of all the ones in $G^\star$. A module that
# finds *nothing* alike, with $G = I$, still gets $\mathcal A = \sqrt{C/n}$. The cure: only
# pairs of *different* samples count, each pair once. That is the strict upper triangle.

# %% [markdown]
# ### Exercise 24.5 · Alignment, and the diagonal
# Difficulty ●●●○○ · 3 points
#
# Write `alignment(G, same)` over all entries and `upper_alignment(G, same)` over the pairs
# $i < j$ only; there the norms are taken over the pairs too. Every batch has pairs of both kinds.
# A matrix $G$ of zeros has the alignment 0. Stay differentiable.


# %% nbgrader={"grade": false, "grade_id": "ex24-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def alignment(G, same):
    """Cosine between G and the ideal matrix. Both (batch, batch). Returns ()."""
    ### BEGIN SOLUTION
    ideal = same.to(G.dtype)
    return (G * ideal).sum() / (G.norm() * ideal.norm()).clamp(min=1e-12)
    ### END SOLUTION


def upper_alignment(G, same):
    """The same over pairs i < j. Both (batch, batch). Returns ()."""
    ### BEGIN SOLUTION
    i, j = torch.triu_indices(*G.shape, offset=1)
    values, ideal = G[i, j], same[i, j].to(G.dtype)
    return (values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
labels = torch.tensor([0, 0, 1, 1])
same = labels[:, None] == labels
for proxy in (alignment, upper_alignment):
    assert math.isclose(proxy(1.0 * same, same), 1.0, rel_tol=1e-6), (
        "the ideal matrix is aligned"
    )
assert math.isclose(
    alignment(torch.ones(4, 4), same), math.sqrt(1 / 2), rel_tol=1e-6
), "8 of 16 entries of the ideal are one: 8 / sqrt(16 * 8)"
assert math.isclose(
    upper_alignment(torch.ones(4, 4), same), math.sqrt(1 / 3), rel_tol=1e-6
), "2 of the 6 pairs are alike: 2 / sqrt(6 * 2)"
assert math.isclose(alignment(torch.eye(4), same), math.sqrt(1 / 2), rel_tol=1e-6), (
    "the present: a module that finds nothing alike"
)
assert upper_alignment(torch.eye(4), same) == 0, "and here it gets none"

# %% nbgrader={"grade": true, "grade_id": "ex24-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert math.isclose(alignment(torch.eye(2), torch.eye(2) == 1), 1.0, rel_tol=1e-6), (
    "all different"
)
### BEGIN HIDDEN TESTS
for seed, n in enumerate((6, 11, 20)):
    g = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(3), torch.randint(3, (n - 3,), generator=g)])
    same = labels[:, None] == labels
    h = torch.randn(n, 4, generator=g)
    G = modular.kernel.unit_gram(h)
    before = G.clone()
    a, u = alignment(G, same), upper_alignment(G, same)
    assert torch.equal(G, before), "the argument G was changed"
    assert a.shape == u.shape == (), "one number for a batch"
    assert -1 <= u <= 1 and -1 <= a <= 1, "cosines lie between -1 and 1"
    wanted = sum(G[i, j] for i in range(n) for j in range(n) if same[i, j])
    assert math.isclose(a, wanted / (G.norm() * same.sum().sqrt()), rel_tol=1e-6), (
        "alignment: the inner product of the matrices, entry by entry, divided by "
        "the product of their lengths (root of the sum of squares)"
    )
    pairs = [(i, j) for i in range(n) for j in range(i)]
    wanted = sum(G[i, j] for i, j in pairs if same[i, j])
    length = math.sqrt(sum(G[i, j] ** 2 for i, j in pairs))
    count = sum(bool(same[i, j]) for i, j in pairs)
    assert math.isclose(u, wanted / length / math.sqrt(count), rel_tol=1e-6), (
        "over pairs of different samples only, and so are both norms"
    )
    other = G + torch.diag(torch.rand(n, generator=g))
    assert math.isclose(upper_alignment(other, same), u, rel_tol=1e-6), (
        "the diagonal must not count"
    )
    assert math.isclose(alignment(3 * G, same), a, rel_tol=1e-6), (
        "a cosine does not depend on the length of G"
    )
    assert math.isclose(upper_alignment(3 * G, same), u, rel_tol=1e-6), (
        "a cosine does not depend on the length of G"
    )
    order = torch.randperm(n, generator=g)
    shuffled = upper_alignment(G[order][:, order], same[order][:, order])
    assert math.isclose(shuffled, u, rel_tol=1e-6), (
        "the order of the samples must not matter"
    )
    zero = torch.zeros(n, n, requires_grad=True)
    off = ~torch.eye(n, dtype=torch.bool)
    for proxy, counted in ((alignment, off | True), (upper_alignment, off)):
        value = proxy(zero, same)
        assert value == 0, "a matrix of zeros has alignment 0, not NaN"
        leaf, twin = (h.clone().requires_grad_() for _ in "ab")
        value = proxy(modular.kernel.unit_gram(leaf), same)
        assert value.requires_grad, "no gradient comes back: stay in PyTorch's graph"
        value.backward()
        assert leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0, (
            "a module is trained through the proxy: gradients must come back"
        )
        entries = modular.kernel.unit_gram(twin)[counted]
        ones = same[counted].sum().sqrt()
        cosine = entries[same[counted]].sum() / entries.square().sum().sqrt() / ones
        cosine.backward()
        assert torch.allclose(leaf.grad, twin.grad, rtol=1e-5, atol=1e-7), (
            f"{proxy.__name__} has the right value and another gradient: the length of G "
            "depends on the features, too"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `(G * ideal).sum()` is the inner product of two matrices, `G.norm()` the length of one. `same` is
# boolean: turn it into numbers first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.triu_indices(n, n, offset=1)` returns the rows and columns of all pairs $i < j$. Pick
# these from both matrices first, and then take sums and norms of what you have picked.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With `values = G[i, j]` and `ideal = same[i, j].to(G.dtype)` the second formula is the first.
# The product of the two norms must not be 0: `.clamp(min=1e-12)`.
#
# </details>

# %% [markdown]
# Other proxies compare pairs instead of matrices. The **log-contrastive** one is the share of like
# pairs in a softmax over all pairs,
#
# $$ \mathcal C(G) = \log \frac{\sum_{i<j,\; y_i = y_j} e^{G_{ij}}}{\sum_{i<j} e^{G_{ij}}} \le 0 . $$
#
# And some ask for less: only *different* pairs are pushed apart, what is alike is left
# alone. Here is such a **negative-pairs-only** form,
#
# $$ \mathcal N(G) = - \operatorname*{mean}_{i<j,\; y_i \ne y_j} G_{ij}^2 \le 0 . $$
#
# Can that be enough? It never asks to bring anything together.

# %% [markdown]
# ### Exercise 24.6 · Contrast, and negative pairs only
# Difficulty ●●●○○ · 3 points
#
# Write `log_contrastive(G, same)` and `negative_squares(G, same)`. The function
# `torch.logsumexp` does not overflow; somebody may divide $G$ by a temperature of 0.001 before
# the call.


# %% nbgrader={"grade": false, "grade_id": "ex24-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_contrastive(G, same):
    """Log of the share of like pairs in a softmax. Both (batch, batch). Returns ()."""
    ### BEGIN SOLUTION
    i, j = torch.triu_indices(*G.shape, offset=1)
    values, alike = G[i, j], same[i, j]
    return values[alike].logsumexp(dim=0) - values.logsumexp(dim=0)
    ### END SOLUTION


def negative_squares(G, same):
    """Minus the mean square over pairs of different classes. Returns ()."""
    ### BEGIN SOLUTION
    return -G[~same].square().mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
labels = torch.tensor([0, 0, 1, 1])
same = labels[:, None] == labels
for proxy in (log_contrastive, negative_squares):
    assert proxy(torch.eye(4), same).dtype == torch.float64, (
        "the answer is in single precision, this chapter computes in float64: is there a "
        ".float()?"
    )
assert math.isclose(log_contrastive(torch.ones(4, 4), same), math.log(2 / 6)), (
    "if all cosines are equal, 2 of 6 pairs are alike; no pair of a sample with itself"
)
expected = math.log(2 * math.e / (2 * math.e + 4))
assert math.isclose(log_contrastive(1.0 * same, same), expected), (
    "ideal: two pairs weigh e, the four others 1. A softmax of cosines is never all or "
    "nothing"
)
assert math.isclose(negative_squares(0.5 * torch.ones(4, 4), same), -0.25), (
    "all unlike pairs have cosine 1/2"
)
assert negative_squares(1.0 * same, same) == 0, "ideal: unlike pairs are orthogonal"

# %% nbgrader={"grade": true, "grade_id": "ex24-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
one = torch.ones(2, 2, dtype=torch.bool)
assert log_contrastive(torch.eye(2), one) == 0, "a single pair, alike: log of 1"
### BEGIN HIDDEN TESTS
for seed, n in enumerate((6, 11, 20)):
    g = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(3), torch.randint(3, (n - 3,), generator=g)])
    same = labels[:, None] == labels
    h = torch.randn(n, 4, generator=g)
    G = modular.kernel.unit_gram(h)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    alike = sum(math.exp(G[i, j]) for i, j in pairs if same[i, j])
    total = sum(math.exp(G[i, j]) for i, j in pairs)
    before, value = G.clone(), log_contrastive(G, same)
    negative_squares(G, same)
    assert torch.equal(G, before), "the argument G was changed"
    assert value.shape == () and math.isclose(value, math.log(alike / total)), (
        "log of like over all pairs, each pair of different samples counted"
    )
    unlike = [G[i, j] ** 2 for i, j in pairs if not same[i, j]]
    assert math.isclose(
        negative_squares(G, same), -sum(unlike) / len(unlike), rel_tol=1e-9
    ), "the mean is over unlike pairs, and over nothing else"
    other = G + torch.diag(torch.rand(n, generator=g))
    assert math.isclose(log_contrastive(other, same), value), (
        "a sample paired with itself must not count"
    )
    shifted = log_contrastive(G - 0.7, same)
    assert math.isclose(shifted, value, rel_tol=1e-9), (
        "a softmax compares: the same shift of all cosines changes nothing"
    )
    sharp = log_contrastive(G / 0.001, same)
    assert sharp.isfinite() and sharp <= 0, (
        "exp(1000) overflows, its logarithm does not"
    )
    closer = G + 0.1 * same
    assert log_contrastive(closer, same) > value, "like pairs nearer: a better proxy"
    assert negative_squares(closer, same) == negative_squares(G, same), (
        "the negative-pairs-only form must not see like pairs"
    )
    assert math.isclose(
        negative_squares(-G, same), negative_squares(G, same), rel_tol=1e-9
    ), (
        "it wants unlike pairs orthogonal, an obtuse angle is no better than an acute one"
    )
    i, j = torch.tensor(pairs).T

    def share(G, same=same, i=i, j=j):
        weights = G[i, j].exp()
        return (weights * same[i, j]).sum().log() - weights.sum().log()

    def squares(G, same=same, i=i, j=j):
        unlike = ~same[i, j]
        return -(G[i, j].square() * unlike).sum() / unlike.sum()

    for proxy, by_hand in ((log_contrastive, share), (negative_squares, squares)):
        leaf, twin = (h.clone().requires_grad_() for _ in "ab")
        value = proxy(modular.kernel.unit_gram(leaf), same)
        assert value.requires_grad, "no gradient comes back: stay in PyTorch's graph"
        value.backward()
        assert leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0, (
            "a module is trained through the proxy: gradients must come back"
        )
        by_hand(modular.kernel.unit_gram(twin)).backward()
        assert torch.allclose(leaf.grad, twin.grad, rtol=1e-8, atol=1e-10), (
            f"{proxy.__name__} has the right value and another gradient than its formula: "
            "both sums depend on the features"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The logarithm of a quotient of two sums of exponentials is the difference of two `logsumexp`.
# Take the pairs $i < j$ as in the exercise before.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A boolean matrix picks entries: `values[alike]`. A sample is always of its own class, so `~same`
# has no diagonal, and since both matrices are symmetric its mean may count each pair twice.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The numerator's logarithm is `values[alike].logsumexp(dim=0)`, with `values = G[i, j]` and
# `alike = same[i, j]`.
#
# </details>

# %% [markdown]
# ### Five modules on trial
#
# Thirty pictures of 0, 1 and 2, and five things a hidden module might make of them.

# %%
chosen = torch.cat([(task.y_test == c).nonzero()[:10, 0] for c in range(3)])
labels = task.y_test[chosen]
same = labels[:, None] == labels
some = torch.randn(30, 40, generator=torch.Generator().manual_seed(5))
suspects = {
    "ideal": 1.0 * same,
    "pixels": gram(task.x_test[chosen]),
    "all alike": torch.ones(30, 30),
    "all unlike": torch.eye(30),
    "random": gram(some.relu()),
}
proxies = {
    "alignment": alignment,
    "upper alignment": upper_alignment,
    "log-contrastive": log_contrastive,
    "negative squares": negative_squares,
}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 5, figsize=(7, 1.8))
for ax, (name, G) in zip(axes, suspects.items(), strict=True):
    ax.imshow(G, vmin=0, vmax=1)
    ax.set_title(name, fontsize=9)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
figure(
    fig,
    caption="Kernel matrices of five hidden modules, thirty samples sorted by class "
    "(white 1, black 0).",
    alt="Five square matrices: three white blocks on black; a grey pattern with three "
    "lighter blocks; all white; a white diagonal on black; and a dark grey noise with a "
    "white diagonal.",
)

# %%
print(f"{'':18s}" + "".join(f"{name:>12s}" for name in suspects))
for name, proxy in proxies.items():
    values = [proxy(G, same).item() + 0.0 for G in suspects.values()]
    print(f"{name:18s}" + "".join(f"{value:12.2f}" for value in values))

# %% [markdown]
# All four find the ideal best, but ask *what each lets pass*. Alignment pays "all unlike" a third
# for its diagonal; without the diagonal it gets nothing. And the negative-pairs-only form gives
# "all unlike" **full marks**. It cannot tell it from the ideal. If it works in practice, then for
# another reason: a module with 64 non-negative features has no room for a hundred mutually
# orthogonal pictures, and a smooth one puts similar pictures near each other anyway. The proxy
# says what must be separate; what stays together, the architecture says.
#
# ## 4. Train, freeze, name
#
# The recipe of Duan and Principe:
#
# 1. **Train** the hidden module on pairs, by raising a proxy on batches. Nothing comes back from above,
#    for there is nothing above.
# 2. **Freeze** it. No weight will move again, and no running mean of a BatchNorm either.
# 3. Train an **output module** on top, on as few labels as you have.


# %% tags=["given"]
def clusters(seed, count=48, d=6):
    """Noisy samples around three centres. Returns x (count, d) and their labels."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(3, d, generator=g)
    labels = torch.arange(count) % 3
    return centres[labels] + 0.8 * torch.randn(count, d, generator=g), labels


def pair_source(x, labels, batch, seed):
    """A function that draws a batch: samples, and which pairs are alike. No labels."""
    g = torch.Generator().manual_seed(seed)

    def draw():
        i = torch.randint(len(x), (batch,), generator=g)
        return x[i], labels[i, None] == labels[i]

    return draw


# %% [markdown]
# ### Exercise 24.7 · Pairs in, a frozen module out
# Difficulty ●●●●○ · 4 points
#
# Write the body of `pair_train`. In each of `steps` steps call `draw()` for samples `x` and their
# pairs `same`, and take one step of the optimiser that **raises** `proxy(gram(hidden(x)), same)`.
# Return the proxy's values as a list of `steps` plain numbers, each before its step. While it
# learns, the module is in training mode, however it comes in. At the end it is frozen: in
# evaluation mode, and none of its parameters asks for a gradient.


# %% nbgrader={"grade": false, "grade_id": "ex24-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pair_train(hidden, draw, proxy, steps, lr=2e-3):
    """Train a hidden module in place from pairs, then freeze it.

    draw: called without arguments, returns x, (batch, n), and same, (batch, batch).
    proxy: maps G and same, both (batch, batch), to a scalar that is to rise.
    Returns the values of the proxy, a list of `steps` numbers.
    """
    optimiser = torch.optim.Adam(hidden.parameters(), lr=lr)
    ### BEGIN SOLUTION
    values = []
    hidden.train()
    for _ in range(steps):
        x, same = draw()
        value = proxy(gram(hidden(x)), same)
        optimiser.zero_grad()
        (-value).backward()
        optimiser.step()
        values.append(value.item())
    hidden.eval()
    hidden.requires_grad_(False)
    return values
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(7)
hidden = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU())
x, labels = clusters(seed=7)
proxy, source = modular.kernel.upper_alignment, pair_source(x, labels, 48, 0)
values = pair_train(hidden, source, proxy, 40, 0.02)
assert len(values) == 40 and isinstance(values[0], float), "one number per step"
assert values[-1] > values[0], "the proxy is to rise, not to fall"
assert not hidden.training, "frozen: evaluation mode, or BatchNorm keeps moving"
assert not any(p.requires_grad for p in hidden.parameters()), (
    "frozen: no parameter asks for a gradient"
)

# %% nbgrader={"grade": true, "grade_id": "ex24-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
values = pair_train(
    nn.Linear(6, 2), pair_source(*clusters(0), 12, 0), modular.kernel.upper_alignment, 2
)
assert len(values) == 2, "two steps, two values"
### BEGIN HIDDEN TESTS
seen, drawn = [], []


def spying_proxy(G, same):
    seen.append((G.detach().clone(), same))
    return modular.kernel.upper_alignment(G, same)


for seed in (1, 2):
    x, labels = clusters(seed)
    torch.manual_seed(seed)
    hidden = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh())
    twin = deepcopy(hidden)
    source = pair_source(x, labels, 16, seed)
    seen.clear()
    drawn.clear()

    def spying_draw(source=source):
        drawn.append(source())
        return drawn[-1]

    hidden.eval()
    values = pair_train(hidden, spying_draw, spying_proxy, 5, 0.05)
    assert len(drawn) == 5, "draw one batch in every step, and only there"
    assert all(
        torch.equal(s, same) for (_, s), (_, same) in zip(seen, drawn, strict=True)
    ), "each batch goes to the proxy with its own pairs"
    assert all(
        torch.allclose(G.diagonal(), torch.ones(16)) and G.abs().max() < 1 + 1e-9
        for G, _ in seen
    ), "the proxy takes cosines"
    # the same five steps, written out
    adam = torch.optim.Adam(twin.parameters(), lr=0.05)
    expected = []
    for batch, same in drawn:
        G = modular.kernel.unit_gram(twin(batch))
        value = modular.kernel.upper_alignment(G, same)
        adam.zero_grad()
        value.neg().backward()
        adam.step()
        expected.append(value.item())
    assert math.isclose(values[0], expected[0], rel_tol=1e-9), (
        "the first value belongs to the untrained module, in training mode: BatchNorm "
        "takes the statistics of the batch while it learns"
    )
    assert torch.allclose(torch.tensor(values), torch.tensor(expected)), (
        "the values differ from those of five steps of Adam, one per batch, each with "
        "the gradient of its own batch only"
    )
    states = hidden.state_dict().values(), twin.state_dict().values()
    for one, other in zip(*states, strict=True):
        assert torch.allclose(one.double(), other.double()), (
            "after five steps the weights, or the running means, are not where they "
            "should be"
        )
    before = {name: w.clone() for name, w in hidden.state_dict().items()}
    output = nn.Linear(8, 3)
    adam = torch.optim.Adam(
        [p for p in [*hidden.parameters(), *output.parameters()] if p.requires_grad],
        lr=0.1,
    )
    for _ in range(3):
        adam.zero_grad()
        functional.cross_entropy(output(hidden(x)), labels).backward()
        adam.step()
    assert all(torch.equal(w, before[n]) for n, w in hidden.state_dict().items()), (
        "training an output module on top has changed the hidden module"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Optimisers go downhill, and the proxy is to go up: give `backward` its negative. A value that is
# kept in a list should be a number, `.item()`, or every graph stays in memory.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `hidden.train()` before the loop, `hidden.eval()` behind it. These two change what BatchNorm
# does. Gradients are another matter: `hidden.requires_grad_(False)`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Uphill: `(-value).backward()`.
#
# </details>

# %% [markdown]
# Digits. Two layers learn from pairs; then ten labels in total, and the output module of exercise
# 24.2, which is a closed form and has no learning rate to blame. Which ten pictures get a
# label is luck, so we draw them ten times.


# %%
def named(hidden, task, per_class, draws, lam=0.01):
    """Test accuracies in % with an output module trained on a few labels per class."""
    found = []
    with torch.no_grad():
        z, z_test = unit(hidden(task.x)), unit(hidden(task.x_test))
    for seed in range(draws):
        g = torch.Generator().manual_seed(seed)
        i = modular.few_labels(task.y, per_class, g)
        Y = functional.one_hot(task.y[i], task.classes).double()
        scores = kernel_output(gram(z[i]), Y, z_test @ z[i].T, lam)
        found.append(percent(scores.argmax(dim=1), task.y_test))
    return torch.tensor(found)


def fresh(seed, sizes=(64, 64, 64)):
    """An untrained hidden module."""
    torch.manual_seed(seed)
    return layers(list(sizes))


trained, traces = {}, {}
for name, proxy in proxies.items():
    trained[name] = fresh(0)
    draw = pair_source(task.x, task.y, 128, seed=0)
    traces[name] = pair_train(trained[name], draw, proxy, steps=200)
lines = ["ten labels in all, ten draws of them:  mean   worst   best"]
rows = {"pixels": nn.Identity(), "untrained module": fresh(0).eval(), **trained}
for name, hidden in rows.items():
    found = named(hidden, task, 1, draws=10)
    values = f"{found.mean():7.0f}{found.min():8.0f}{found.max():7.0f}"
    lines.append(f"{name:36s}{values}")
print("\n".join(lines))

# %%
stops = [0, 10, 20, 40, 70, 100, 150]
hidden, progress, spread_of = fresh(0), [], []
draw = pair_source(task.x, task.y, 128, seed=0)
for start, stop in zip([0] + stops, stops + [200], strict=True):
    hidden.requires_grad_(True)
    pair_train(hidden, draw, upper_alignment, steps=stop - start)
    found = named(hidden, task, 1, draws=10)
    progress.append(found.mean())
    spread_of.append(found.std())

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), gridspec_kw={"width_ratios": [3, 2]})
axes[0].plot(traces["upper alignment"], color="C2", ls="-", label="upper alignment")
axes[0].set(xlabel="steps of pair training", ylabel="proxy on the batch", ylim=(0, 1))
axes[1].errorbar(stops + [200], progress, spread_of, marker="o", ms=4, capsize=2)
axes[1].set(xlabel="steps of pair training", ylabel="right with ten labels, %")
axes[1].set_ylim(30, 100)
figure(
    fig,
    caption="Left: the proxy, which is all that training sees. Right: what ten labels "
    "would be worth if training stopped here (mean and standard deviation of ten draws).",
    alt="Left, the upper alignment rises from below 0.5 to above 0.9 within a "
    "hundred steps. Right, accuracy with ten labels rises from about 50 per cent to "
    "nearly 98, and the error bars shrink to nothing.",
)

# %% [markdown]
# Look at the column *worst*. Before pair training it matters a great deal **which** ten pictures
# get a name. After it, hardly at all: if each class sits on one point, every member is as good as
# every other. That is what the theorem means by optimal. And the negative-pairs-only form works,
# less well, without ever having brought two pictures together.
#
# Be fair to the end-to-end network: a pair label is information too. Whoever answers for all
# pairs of 1348 pictures has in effect sorted them into ten groups and has only not said their
# names. "Ten labels" does not mean that ten answers suffice. It means that the *names*
# are needed by the last module only, and that few are needed. The experiment below counts what
# the pairs cost.

# %% [markdown]
# ## 5. Will it serve another task?
#
# A frozen module is a part on a shelf. A new task comes in: can this part be used? One could
# train an output module on it and see. Or compute the proxy of the frozen features **on the new
# task's pairs**: one forward pass, no training. Duan and Principe call that its
# **transferability**.
#
# Whether this number is worth anything is a question for statistics. Take many tasks, compute the
# proxy, *then* train and measure; do the two put the tasks in the same order? **Spearman's**
# $\rho$ is the correlation of ranks, so it does not ask for a straight line. Equal values share
# the mean of the ranks they occupy.
#
# And chance? Under the hypothesis that proxy and accuracy have nothing to do with each other, any
# re-pairing of the two lists would have been as likely. So shuffle one of them many times, and
# count how often chance does at least as well:
#
# $$ p = \frac{1 + \#\{\text{draws with } \rho_{\text{shuffled}} \ge \rho\}}{1 + \#\text{draws}} . $$
#
# The ones are for the pairing that was really observed: it is one of those that might have come,
# so $p$ is never 0. No list of draws, however long, can prove an event impossible.

# %% [markdown]
# ### Exercise 24.8 · Ranks and chance
# Difficulty ●●●●○ · 4 points
#
# Write `spearman(a, b)` and `permutation_p(a, b, draws, generator)`, one-sided: large $\rho$
# counts as evidence. Draws whose $\rho$ is equal up to rounding ($10^{-9}$) count as "at least as
# well".


# %% nbgrader={"grade": false, "grade_id": "ex24-8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def spearman(a, b):
    """Correlation of the ranks, ties sharing theirs. a, b: (n,). Returns ()."""
    ### BEGIN SOLUTION
    ranks = []
    for v in (a, b):
        below = (v[:, None] > v).double().sum(dim=1)
        equal = (v[:, None] == v).double().sum(dim=1)
        rank = below + (equal + 1) / 2
        ranks.append(rank - rank.mean())
    return (ranks[0] @ ranks[1]) / (ranks[0].norm() * ranks[1].norm())
    ### END SOLUTION


def permutation_p(a, b, draws, generator):
    """Share of re-pairings at least as correlated. a, b: (n,). Returns a number."""
    ### BEGIN SOLUTION
    observed, count = spearman(a, b), 0
    for _ in range(draws):
        order = torch.randperm(len(a), generator=generator)
        count += bool(spearman(a[order], b) >= observed - 1e-9)
    return (1 + count) / (1 + draws)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex24-8-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
a = torch.tensor([1.0, 2.0, 3.0, 4.0])
assert torch.as_tensor(spearman(a, a)).dtype == torch.float64, (
    "single precision rounds equal correlations apart: count with `.double()`, not `.float()`"
)
assert math.isclose(spearman(a, a.exp()), 1.0), "only the order counts, not the shape"
assert math.isclose(spearman(a, -a), -1.0), "the opposite order"
tied = torch.tensor([5.0, 5.0, 7.0, 9.0])
assert math.isclose(spearman(a, tied), 4.5 / math.sqrt(5 * 4.5)), (
    "ranks 1.5, 1.5, 3, 4: equal values share the mean of their ranks"
)
p = permutation_p(a, a, 400, torch.Generator().manual_seed(0))
assert 0.01 < p < 0.09, "one of the 24 orders of four values is perfect: p is near 1/24"

# %% nbgrader={"grade": true, "grade_id": "ex24-8-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
p = permutation_p(
    torch.arange(9.0), torch.arange(9.0), 99, torch.Generator().manual_seed(1)
)
assert math.isclose(p, 0.01), "no shuffle of nine is as good: 1 / (1 + 99), not 0"
### BEGIN HIDDEN TESTS
for seed, n in enumerate((5, 12, 30)):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.rand(n, generator=g), torch.randint(4, (n,), generator=g).double()
    ranks = []
    for v in (a, b):
        order = v.tolist()
        places = sorted(order)
        ranks.append(
            [places.index(x) + (places.count(x) - 1) / 2 for x in order]  # from zero
        )
    expected = torch.corrcoef(torch.tensor(ranks))[0, 1]
    assert math.isclose(spearman(a, b), expected, rel_tol=1e-9), (
        "not the correlation of the ranks, or ties do not share the mean of theirs"
    )
    assert math.isclose(spearman(b, a), expected, rel_tol=1e-9), "neither list is first"
    assert math.isclose(spearman(a.exp() * 5, b - 3), expected, rel_tol=1e-9), (
        "a rising function of the values changes no rank"
    )
one, other = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0]), torch.arange(5.0)
steep = torch.tensor([0.0, 1.0, 2.0, 3.0, 1000.0])  # one value outweighs all others


def rank_of(v):
    """Ranks from zero, ties sharing the mean of theirs."""
    places = sorted(v.tolist())
    mean = [places.index(x) + (places.count(x) - 1) / 2 for x in v.tolist()]
    return torch.tensor(mean)


cases = [(one, other), (other, one), (-one, other), (one, one)]
cases += [(steep, torch.tensor([1.0, 2.0, 3.0, 0.0, 4.0]))]
cases += [(torch.tensor([1.0, 2.0, 4.0, 3.0, 0.0]), steep)]
for a, b in cases:
    first, second = rank_of(a), rank_of(b) - 2.0
    every = torch.stack([first[list(o)] @ second for o in permutations(range(5))])
    exact = (every >= first @ second - 1e-9).double().mean().item()
    p = permutation_p(a, b, 600, torch.Generator().manual_seed(3))
    assert abs(p - exact) < 5 * math.sqrt(exact * (1 - exact) / 600) + 0.002, (
        "far from the share of all 120 pairings whose ranks agree at least as well: are "
        "they re-pairings, without repetition? do equal ones count? in one direction "
        "only? and is it the ranks that are correlated, not the values?"
    )
before = one.clone()
state = torch.Generator().manual_seed(4)
first = permutation_p(one, other, 50, state)
second = permutation_p(one, other, 50, torch.Generator().manual_seed(4))
assert first == second, "the same generator must give the same p: draw from it alone"
assert torch.equal(one, before), "the lists themselves were shuffled"
small = 0
for seed in range(60):  # lists that have nothing to do with each other
    g = torch.Generator().manual_seed(100 + seed)
    a, b = torch.rand(8, generator=g), torch.rand(8, generator=g)
    p = permutation_p(a, b, 19, g)
    assert math.isclose(p * 20, round(p * 20)) and 0.05 - 1e-9 <= p <= 1, (
        "19 draws and the observed pairing: p is one of 1/20, 2/20, ..., 1"
    )
    small += p <= 0.2 + 1e-9
assert 4 <= small <= 22, (
    "without any relation, p at most 0.2 should come in about one case of five"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The rank of a value is one more than the number of smaller values, if there are no equals. With
# equals, itself included, it is `below + (equal + 1) / 2`. Then correlate: subtract the means,
# divide the inner product by the lengths.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `v[:, None] > v` compares all pairs; its row sums count the smaller values. For one draw,
# `torch.randperm(n, generator=generator)` gives an order, and `a[order]` is a shuffled copy.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A draw counts if `spearman(a[order], b) >= observed - 1e-9`.
#
# </details>

# %% [markdown]
# ### Which part from the shelf?
#
# Two hidden modules, neither of which has ever heard of ten digits. One has learned from pairs
# whether both digits are **below five** or both not, the other whether both are **even** or both
# odd. The new tasks are all 45 "is it an $a$ or a $b$?". For each, the proxy of both modules says
# which one to take from the shelf. Then an output module is trained on top of each, on five
# labels per class, and we see whether that was good advice.

# %%
sources = {"below five": task.y // 5, "even": task.y % 2}
tasks = binary_tasks(task)
shelf = {}
for seed, (name, labels) in enumerate(sources.items()):
    shelf[name] = fresh(seed)
    draw = pair_source(task.x, labels, 128, seed)
    pair_train(shelf[name], draw, log_contrastive, steps=120)


def advice_of(hidden):
    """The proxy of a frozen module on every task, without training. Returns (45,)."""
    with torch.no_grad():
        values = [
            log_contrastive(gram(hidden(t.x)), t.y[:, None] == t.y) for t in tasks
        ]
    return torch.stack(values)


def truth_of(hidden):
    """Accuracy in % on every task, an output module trained on top. Returns (45,)."""
    return torch.stack([named(hidden, t, 5, draws=3).mean() for t in tasks])


advice = {name: advice_of(hidden) for name, hidden in shelf.items()}
truth = {name: truth_of(hidden) for name, hidden in shelf.items()}

# %%
gain = advice["below five"] - advice["even"]
gap = truth["below five"] - truth["even"]
digit_pairs = [(a, b) for a in range(10) for b in range(10) if a < b]
split_by_five = torch.tensor([(a < 5) != (b < 5) for a, b in digit_pairs])
split_by_even = torch.tensor([a % 2 != b % 2 for a, b in digit_pairs])
groups = {
    "only below five": (split_by_five & ~split_by_even, "o"),
    "only even": (split_by_even & ~split_by_five, "s"),
    "both": (split_by_five & split_by_even, "^"),
    "neither": (~split_by_five & ~split_by_even, "x"),
}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.6))
for name, (group, marker) in groups.items():
    axes[0].plot(gain[group], gap[group], marker, ms=5, label=name)
    best = [torch.maximum(*pair.values())[group] for pair in (advice, truth)]
    axes[1].plot(*best, marker, ms=5)
axes[0].axhline(0, color="0.5", lw=0.8, ls="-")
axes[0].axvline(0, color="0.5", lw=0.8, ls="-")
axes[0].set(xlabel="difference of the proxies", ylabel="difference of accuracies, %")
axes[1].set(xlabel="larger of the two proxies", ylabel="better of the two, % right")
fig.legend(
    *axes[0].get_legend_handles_labels(),
    title="which module separates the two digits?",
    loc="outside lower center",
    ncols=4,
    fontsize=8,
    title_fontsize=8,
)
figure(
    fig,
    caption="45 new tasks, two modules on the shelf. Left: which is the better one, as the "
    "proxies say and as training finds. Right: how good is the better one?",
    alt="Left, difference of accuracies against difference of proxies: one heap of points "
    "lower left, tasks that only the module even separates, one upper right, only below "
    "five, and one around zero. Right, accuracy of the better module against the larger "
    "proxy: eight tasks that neither module separates lie alone at the lower left, below "
    "80 per cent; all others on the right, most above 90.",
)

# %%
p = permutation_p(gain, gap, 499, torch.Generator().manual_seed(0))
print("rank correlation of the differences above 0.5:", bool(spearman(gain, gap) > 0.5))
print("no shuffle of 499 does as well:", p < 1.5 / 500)

# %% [markdown]
# The advice is good, and not because some tasks are easy for every module: on the left both
# modules are compared on the *same* task. On the right is a warning. Eight tasks are separated by
# neither module, as 0 against 4, both even and both below five. The proxy sees it before any
# training. What then? Put a third part on the shelf, which has cost nothing: the **pixels** as
# they are.

# %%
shelf["pixels"] = nn.Identity()
advice["pixels"], truth["pixels"] = (f(shelf["pixels"]) for f in (advice_of, truth_of))
proxies_now, truths = torch.stack([*advice.values()]), torch.stack([*truth.values()])
two, three = proxies_now[:2].argmax(dim=0), proxies_now.argmax(dim=0)
results = {f"always {name}": values for name, values in truth.items()}
results["the proxy's choice of two"] = truths.gather(0, two[None])[0]
results["the proxy's choice of three"] = truths.gather(0, three[None])[0]
results["the best of three, in hindsight"] = truths.amax(dim=0)
for name, values in results.items():
    print(f"{name:32s} mean {values.mean():3.0f} %   worst {values.min():3.0f} %")
print("pixels are chosen exactly where neither module separates:", end=" ")
print(torch.equal(three == 2, groups["neither"][0]))
served = proxies_now[:2].amax(dim=0)[~groups["neither"][0]]
print(
    "the best proxy of pixels is below the worst of a module that separates:", end=" "
)
print(bool(advice["pixels"].max() < served.min()))

# %% [markdown]
# That may be the most useful table of the chapter. A module that has learned to bring 0 and 4 to
# one point ("both below five") has done so thoroughly, and ten labels on top of it hardly tell them
# apart again: on such tasks a part from the shelf is **worse than no part**, and on average
# plain pixels are better than each module. But the proxy says when to take no module. Look at
# the column *worst*. (We, who know what the modules were trained for, could have said so too. The
# proxy had not been told.)
#
# Two warnings. A low value is no verdict: the proxy of pixels is low on *every* task, and yet a
# linear output on them is mostly right. The proxy measures how far $G$ is from ideal, and much
# less than the ideal may do. It ranks modules; it does not grade them. And our advice has seen
# all pairs of each new task, the output module only ten labels.
#
# ## The library's version
#
# `modular.kernel` has the proxies of this chapter, `modular.Kernel(proxy)` makes one the loss of a
# module, and `modular.KernelModules()` is the whole recipe as a method for `modular.Trainer`.
# `modular.transferability` takes a module and tasks.

# %%
from modular import kernel

h = torch.randn(40, 16, generator=torch.Generator().manual_seed(6))
labels = torch.arange(40) % 4
same = labels[:, None] == labels


def agree(one, other):
    """Whether two tensors agree to 1e-12."""
    return bool((one - other).abs().max() < 1e-12)


print("cosines:", agree(kernel.unit_gram(h), gram(h)))
for mine, theirs in (
    (alignment, kernel.alignment),
    (upper_alignment, kernel.upper_alignment),
    (log_contrastive, kernel.log_contrastive),
    (negative_squares, kernel.negative_squares),
):
    print(f"{theirs.__name__}:", agree(mine(gram(h), same), theirs(gram(h), same)))
theirs = modular.transferability(
    shelf["even"], [(t.x, t.y) for t in tasks], proxy=kernel.log_contrastive
)
print("transferability of 45 tasks:", agree(advice["even"], theirs))

# %% [markdown]
# `few_labels`, `Trainer(..., KernelModules(), ...)` and `phases` have appeared in the cold open.
# What the library does beyond our loop: it refuses batches without a like pair, keeps an
# optimiser for each module, and its `audit.isolation` *measures* that the output's loss reaches
# no hidden weight.

# %%
batch = task.x[:64], task.y[:64]
print(modular.audit.isolation(trainer, batch).reaches)

# %% [markdown]
# Row: a loss. Column: a module that its gradient reaches. The loss of the output module, second
# row, does not reach the first module.
#
# ## Signature result: ten labels, and a prediction without training
#
# The library's benchmark has trained a hidden module of two layers on the pairs of all training
# digits, for five seeds (split, weights and order of the batches), and an output module once on
# ten labels in total and once on all. It has also trained a module on a *coarse* task (0 to 4
# against 5 to 9) and asked for its transferability on all 45 pairs of digits, *before* an output
# module was trained on five labels per class. Its file of results is read here.

# %%
benchmark = stored("modular")["kernel"]
runs = benchmark["ten_labels"]["runs"]
gaps = torch.tensor([run["ten"] - run["all"] for run in runs])
print(f"{len(runs)} seeds, test accuracy in %")
print(f"  ten labels in all: {benchmark['ten_labels']['ten']:.1f}")
print(f"  all labels:        {benchmark['ten_labels']['all']:.1f}")
print("  within one point on average:", bool(gaps.mean().abs() < 1))

# %% [markdown]
# And our own re-run, smaller, with baselines and **negative controls**. *Untrained*: a random
# hidden module. *Shuffled pairs*: the same training, but the assistant's answers are given to
# the wrong pairs: each batch keeps its number of like pairs and its blocks, and loses their
# connection with the pictures.
#
# And a **classical** rival that gets the same pairs: Fisher's discriminant analysis (1936). The
# mean of $\tfrac12 (x_i - x_j)(x_i - x_j)^\top$ over like pairs is the scatter within classes,
# over all pairs it is the total scatter. The nine directions in which the total is largest
# compared with what is within make a *linear* hidden module: one eigenvalue problem, no
# learning rate.


# %%
def shuffled_pairs(draw, seed):
    """The same batches, their pairs permuted."""
    g = torch.Generator().manual_seed(seed)

    def drawn():
        x, same = draw()
        order = torch.randperm(len(x), generator=g)
        return x, same[order][:, order]

    return drawn


def discriminant(x, same):
    """Fisher's nine directions from pairs. x: (n, d). same: (n, n). Returns a module."""

    def scatter(pairs):  # the mean over pairs, as a graph Laplacian
        laplacian = torch.diag(pairs.sum(dim=1)) - pairs
        return x.T @ laplacian @ x / pairs.sum()

    within = scatter(1.0 * same) + 0.001 * torch.eye(x.shape[1])
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors / values.sqrt()
    total = scatter(torch.ones_like(within[:1, :1]).expand(len(x), len(x)))
    _, directions = torch.linalg.eigh(whiten.T @ total @ whiten)
    project = nn.Linear(x.shape[1], 9)
    project.weight.data = (whiten @ directions[:, -9:]).T
    project.bias.data = -project.weight.data @ x.mean(dim=0)
    return project


table = {
    "all labels, end to end": [],
    "ten labels, end to end": [],
    "ten labels on pixels": [],
    "ten labels on a random module": [],
    "ten labels, shuffled pairs": [],
    "ten labels, discriminant analysis": [],
    "ten labels, pair-trained": [],
}
for seed in range(3):
    split = modular.digits(torch.Generator().manual_seed(100 + seed))
    spoiled, trained_module = fresh(seed), fresh(seed)
    draw = pair_source(split.x, split.y, 128, seed)
    pair_train(spoiled, shuffled_pairs(draw, seed), upper_alignment, steps=150)
    pair_train(trained_module, draw, upper_alignment, steps=150)
    few = modular.few_labels(split.y, 1, torch.Generator().manual_seed(seed))
    for name, chosen, steps in (
        ("all", torch.arange(len(split.x)), 200),
        ("ten", few, 100),
    ):
        predicted = end_to_end(chosen, seed, steps, split)
        found = percent(predicted, split.y_test)
        table[f"{name} labels, end to end"].append(found)
    for name, hidden in (
        ("on pixels", nn.Identity()),
        ("on a random module", fresh(seed).eval()),
    ):
        table[f"ten labels {name}"].append(named(hidden, split, 1, draws=5).mean())
    for name, hidden in (
        ("shuffled pairs", spoiled),
        (
            "discriminant analysis",
            discriminant(split.x, split.y[:, None] == split.y),
        ),
        ("pair-trained", trained_module),
    ):
        table[f"ten labels, {name}"].append(named(hidden, split, 1, draws=5).mean())
table = {name: torch.tensor(values) for name, values in table.items()}
for name, values in table.items():
    print(f"{name:35s} {values.mean():4.0f} %")
worth = (
    table["ten labels, pair-trained"].mean()
    - table["ten labels, shuffled pairs"].mean()
)
print("of pair training, more than 30 points are due to the right pairs:", end=" ")
print(bool(worth > 30))

# %%
proxy_of = torch.tensor(benchmark["transfer"]["proxy"])
accuracy_of = torch.tensor(benchmark["transfer"]["accuracy"])
across = split_by_five
bars = list(table)[::-1]

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.4, 4.2))
axes[0].barh(
    range(len(bars)),
    [table[name].mean() for name in bars],
    xerr=[table[name].std() for name in bars],
    color=["C0", "C4"] + ["0.75"] * 4 + ["C2"],
    height=0.7,
)
short = [name.replace(", ", ",\n").replace(" on ", "\non ") for name in bars]
axes[0].set_yticks(range(len(bars)), short, fontsize=9)
axes[0].set(xlabel="right on the test set, %", xlim=(0, 100))
axes[0].set_ylabel("how it was trained", fontsize=9)
for group, marker, name in (
    (across, "o", "one on each side of 5"),
    (~across, "^", "both on the same side"),
):
    axes[1].plot(
        proxy_of[group], accuracy_of[group], marker, ms=5, alpha=0.7, label=name
    )
axes[1].set(xlabel="transferability (no training)", ylabel="right after training, %")
axes[1].set_ylim(65, 101)
axes[1].legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Left: what ten labels are worth (three splits). Right: 45 new tasks for a module "
    "that was trained to tell 0-4 from 5-9: the proxy, and the truth found later.",
    alt="Left, seven bars: all labels end to end and ten labels after pair training both "
    "reach almost 98 per cent; ten labels after discriminant analysis reach more than 80; "
    "ten labels end to end, on pixels, on a random module and "
    "after shuffled pairs stay between 40 and 65. Right, a scatter in two groups: "
    "tasks across the border have a transferability near 1 and accuracies above 90; "
    "tasks within a half have about 0.72 and accuracies from 73 to 99.",
)

# %%
draws = torch.Generator().manual_seed(0)
lines = ["rank correlation of transferability and truth, permutation p of 999 draws:"]
for name, group in (
    ("all 45 tasks", across | True),
    ("one on each side", across),
    ("both on the same side", ~across),
):
    rho = spearman(proxy_of[group], accuracy_of[group])
    p = permutation_p(proxy_of[group], accuracy_of[group], 999, draws)
    lines.append(f"  {name:23s} rho {rho:.2f}   p {p:.3f}")
print("\n".join(lines))

# %% [markdown]
# With ten labels in total, within one point of all labels. Of the controls none comes near.
#
# The classical rival makes more of ten labels than pixels do, but what separates digits is not
# linear.
#
# The scatter deserves a second look, and gets one: it is *two* clouds. A good part of the
# correlation says only that tasks across the border are easier for this module than tasks within
# a half, which we knew. So we asked within each group, where that knowledge helps nothing. Ranks
# stay related in the one where the module is in trouble. In the other, where every task is easy,
# little is left. Always ask what a correlation is made of.
#
# There is one more thing it may be made of: some tasks are easy for *every* module. The negative
# control is a module that has learned nothing.
#

# %%
untrained = fresh(9).eval()
rho = spearman(advice_of(untrained), truth_of(untrained))
print(f"rank correlation over 45 tasks, untrained module: {rho:.1f}")

# %% [markdown]
# It "predicts" as well as the trained one! So a scatter over tasks, for one module, says as much about the
# tasks as about the module. The fair question is the one of section 5, two modules *on the same
# task*; there the difficulty of the task cancels.
#
# What did the others cost? The end-to-end network needs 1348 labels, and no pairs. Ridge on ten
# labels is one linear system, a discriminant analysis before it one eigenvalue problem; pair
# training takes 150 steps, on batches of 128 pictures whose pairs somebody has judged.
#
# ## An experiment to change
#
# What do the pairs cost? Let the assistant compare only the first $n$ pictures with each other,
# and ten labels name the groups. The rival gets the *names* of the same $n$ pictures and trains
# end to end.

# %%
SIZES = [20, 50, 100, 300, 1000]
PROXY = upper_alignment
STEPS = 120
compared, labelled = [], []
for n in SIZES:
    hidden = fresh(3)
    draw = pair_source(task.x[:n], task.y[:n], 128, seed=3)
    pair_train(hidden, draw, PROXY, STEPS)
    compared.append(named(hidden, task, 1, draws=10).mean())
    labelled.append(percent(end_to_end(torch.arange(n), 3, STEPS), task.y_test))
fig, ax = plt.subplots(figsize=(7, 2.9))
ax.semilogx(SIZES, labelled, marker="s", ms=4, label="all n named, end to end")
ax.semilogx(SIZES, compared, marker="o", ms=4, label="pairs among n, ten named")
ax.set(xlabel="pictures n that somebody looked at", ylabel="right, %", ylim=(30, 100))
ax.legend(fontsize=8, loc="lower right")
figure(
    fig,
    caption="Pairs among n pictures and ten names, against n names.",
    alt="Accuracy against the number of pictures on a logarithmic axis, two rising "
    "curves: names start above 60 per cent at 20 pictures, pairs some points lower; at "
    "100 names lead by more than ten points, at 1000 by one or two.",
)
lead = torch.tensor(labelled) - torch.tensor(compared)
print("at 100 pictures names are ahead by 4 points or more:", bool(lead[2] > 4))
print("at 1000 pictures they are still 4 points ahead:", bool(lead[-1] > 4))

# %% [markdown]
# Pairs are no magic. Who knows the names of $n$ pictures knows their pairs as well, so names of
# $n$ pictures can only be worth more, and here they are: among few pictures the module learns the
# pairs one by one, and little else. With many, the difference shrinks. The gain lies elsewhere. Pairs come *without
# names*: from tracking an object through a film, from two views of one thing, from "these two
# customers behave alike". And the names may come later, from somebody else, and be ten.
#
# Guess first, then change one thing:
#
# - `PROXY = negative_squares`, `log_contrastive`, `alignment`: which needs the most pictures?
# - `STEPS = 1000` with `n = 50`: what happens to a proxy that is raised on so few pairs?
# - In `fresh`, use `(64, 64, 5)`: five features after a ReLU, ten classes. Exercise 24.3 says
#   what there is no room for. Which proxy takes it best?
# - In `advice_of` of section 5, let the proxy see ten pictures of each task. How much of the
#   advice survives?
# - Remove the last ReLU: $\alpha$ may now be negative. Is anything gained with ten classes?
#
# ## When it fails
#
# If two modules are good, are six better? Take a task that one layer cannot solve: two digits side
# by side, and the class is the **last digit of their sum**. Neither half of the picture says
# anything about it. Six blocks of width 96, and three ways to train them:
#
# - **end to end**: one loss at the top;
# - **one kernel module**: the same proxy, but the six blocks are *one* hidden module, with
#   gradients inside it;
# - **six kernel modules**: each block raises the proxy by itself, is frozen, and hands on.
#
# After each block we fit a linear probe on its features, twice: for the *sum*, and for the *left
# digit*. The left digit is nobody's label; but without it, nobody will ever know the sum. (A
# linear probe finds only what can be read off linearly. But the next block begins with a linear
# layer, too.)

# %%
pairs = modular.pair_sum(torch.Generator().manual_seed(0), train=5000, test=1500)
g = torch.Generator().manual_seed(0)  # the same draws again, for the left digits
single = modular.digits(g)
left = single.y[torch.randint(len(single.x), (2, 5000), generator=g)[0]]
left_test = single.y_test[torch.randint(len(single.x_test), (2, 1500), generator=g)[0]]
WIDTHS = [128] + [96] * 6
BLOCK = 3  # layers in a block


def probe(h, y, h_test, y_test):
    """Test accuracy in % of a linear probe: ridge on standardised features."""
    mean, std = h.mean(dim=0), h.std(dim=0).clamp(min=1e-6)
    a, b = (h - mean) / std, (h_test - mean) / std
    Y = functional.one_hot(y).double()
    w = torch.linalg.solve(a.T @ a / len(a) + 0.001 * torch.eye(a.shape[1]), a.T @ Y)
    return percent((b @ w / len(a) + Y.mean(dim=0)).argmax(dim=1), y_test)


def probed(net):
    """Accuracies of both probes before and after every block. Returns (7, 2)."""
    h, h_test, found = pairs.x, pairs.x_test, []
    with torch.no_grad():
        for k in range(7):
            if k:
                block = net[BLOCK * (k - 1) : BLOCK * k].eval()
                h, h_test = block(h), block(h_test)
            found.append(
                [
                    probe(h, pairs.y, h_test, pairs.y_test),
                    probe(h, left, h_test, left_test),
                ]
            )
    return torch.tensor(found)


six = fresh(0, WIDTHS)
h = pairs.x
six_values = []
for k in range(6):
    block = six[BLOCK * k : BLOCK * (k + 1)]
    source = pair_source(h, pairs.y, 128, k)
    six_values.append(pair_train(block, source, upper_alignment, steps=150)[-1])
    with torch.no_grad():
        h = block(h)
collapse = {"six kernel modules": probed(six)}

# %%
one = fresh(0, WIDTHS)
pair_train(one, pair_source(pairs.x, pairs.y, 128, 0), upper_alignment, steps=500)
collapse["one kernel module"] = probed(one)

# %%
whole = nn.Sequential(*fresh(0, WIDTHS), nn.Linear(96, 10))
optimiser = torch.optim.Adam(whole.parameters(), lr=2e-3)
g = torch.Generator().manual_seed(0)
for _ in range(500):
    i = torch.randint(5000, (128,), generator=g)
    optimiser.zero_grad()
    functional.cross_entropy(whole(pairs.x[i]), pairs.y[i]).backward()
    optimiser.step()
collapse["end to end"] = probed(whole)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.3))
for ax, column, title in zip(
    axes, (0, 1), ("the sum (the label)", "the left digit (needed)"), strict=True
):
    for (name, found), marker in zip(collapse.items(), "o^s", strict=True):
        ax.plot(found[:, column], marker=marker, ms=4, label=name)
    ax.set(title=title, xlabel="blocks passed", ylabel="linear probe, % right")
    ax.axhline(10, color="k", lw=0.8, ls=":")
axes[0].set_ylim(0, 100)
axes[1].legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.1))
figure(
    fig,
    caption="What a linear probe finds after each of six blocks (0: pixels; dotted: "
    "chance). Cut into six kernel modules, the network loses the left digit block by block.",
    alt="Two panels. Left, the sum: end to end and one kernel module climb from chance to more "
    "than 80 per cent, six kernel modules jump to below 40 and stay there. Right, the "
    "left digit: end to end and one kernel module stay near 95 for several blocks, six "
    "kernel modules fall from block to block to about 30.",
)

# %%
print("six kernel modules, blocks passed " + "".join(f"{k:5d}" for k in range(7)))
for name, column in (("sum, % right", 0), ("left digit, % right", 1)):
    values = "".join(f"{v:5.0f}" for v in collapse["six kernel modules"][:, column])
    print(f"{name:34s}{values}")
sums = {name: found[-1, 0] for name, found in collapse.items()}
print("one module beats six by more than 20 points:", end=" ")
print(bool(sums["one kernel module"] > sums["six kernel modules"] + 20))

# %% [markdown]
# Same network, same proxy, same pairs: cut into six it **collapses**; as one module it does as
# well as training end to end. So the proxy is not to blame. What is?
#
# Ask what the first block can do. One layer cannot add. It does the best for its proxy that one
# layer *can*: it keeps what correlates a little with the sum, and since the proxy rewards
# everything that brings like pairs together and unlike pairs apart **now**, it presses all else,
# the digits themselves, out of the cosines. The second block gets what is left. Every block
# improves a little and pays with information; and what is gone is gone, for a function of the
# features cannot know more than the features do (the *data processing inequality*). End to end,
# the first block keeps the left digit, because a later one asks for it, and only the last blocks
# let go of it, when the sum is done. A frozen block asks nobody.
#
# On plain digits none of this shows: there one or two layers can reach the ideal matrix. That is
# what the theorem assumes, in small print:
#
# - **The module can reach the ideal.** The theorem says which $G$ is best. It does not say that
#   the best *reachable* $G$ is a good first step towards it. Optimal modules do not add up to an
#   optimal network unless each alone is powerful enough.
# - **A linear output above**, and a convex loss of the margin. The theorem is about the module
#   *below the last one*, not about modules below other hidden modules.
# - **Unit norm and room**: as many non-negative features as classes.
# - **The training set.** The bound speaks of the samples that were compared. A module that puts
#   every training picture of a class on one point, and no new picture, satisfies it, too.
# - **The same task.** For any other, "same class, same point" means that everything else is
#   thrown away on purpose. Plain pixels won in section 5.
#
# So use two or three modules, each of several layers; or let blocks talk (chapter 23); or
# add a loss that makes each block keep what it cannot yet use.

# %% [markdown]
# ## The map of the field
#
# The chapters so far have walked along one border of a larger field: how can a network learn
# if a module does not wait for the exact gradient? Two questions sort the answers. *What does a
# module follow?* Its own loss, a loss near by, a guess of what will come, or a gradient that is
# late, noisy or sent through other weights. *Whom does it wait for* before it can update?
#
# Three methods of the library have no chapter of their own:
#
# - `modular.SyntheticGradients()` (Jaderberg and others 2017): each module has a small second
#   network that **guesses** the gradient which would come from above. It updates with the guess at
#   once; the true message arrives later and corrects the guesser.
# - `modular.DifferenceTargets()` (Lee and others 2015): what comes back is no gradient but a
#   **target**, the state that a module should have had, found with learned inverses.
# - `modular.HSIC()` (Ma and others 2020): a loss that compares **kernels**, as in this chapter: the
#   features should depend on the labels and forget the input. Use it as `DGL(HSIC())`.
#
# The library can say for each of its methods how many later modules the first one waits for.

# %%
families = {
    "Backprop": modular.Backprop(),
    "DifferenceTargets": modular.DifferenceTargets(),
    "Interlocking(2)": modular.Interlocking(2),
    "SyntheticGradients": modular.SyntheticGradients(),
    "DGL": modular.DGL(),
    "DGL(HSIC)": modular.DGL(modular.HSIC()),
    "KernelModules": modular.KernelModules(),
}
adam = partial(torch.optim.Adam, lr=2e-3)
print("four modules           waits for, update   backward   learns one digit")
for name, method in families.items():
    torch.manual_seed(0)
    blocks = [layers([64, 64]) for _ in range(3)] + [nn.Linear(64, 10)]
    g = torch.Generator().manual_seed(0)
    cut = modular.Partition(blocks, 4, sample=task.x[:2], generator=g)
    trainer = modular.Trainer(cut, method, optimizer=adam, generator=g)
    locks = modular.audit.locking(trainer)
    trainer.fit(task.batches(128, torch.Generator().manual_seed(0)), 8)
    learned = bool(trainer.evaluate(task.test())[-1] > 0.8)
    print(
        f"{name:22s} {int(locks.update[0]):17d} {int(locks.backward[0]):10d}   {learned}"
    )

# %%
COLUMNS = ["nobody behind it", "the next modules", "all modules behind", "many passes"]
ROWS = [
    "its own loss",
    "a loss near by",
    "a guess or a target",
    "late, noisy or\nother weights",
    "the exact gradient",
]
FIELD = [  # column, row, what stands there, colour: chapter, library only, elsewhere
    (
        0,
        0.25,
        "greedy, DGL, predsim,\nInfoPro, Forward-\nForward (ch. 22),\nkernel modules (24)",
        "C0",
    ),
    (0, -0.35, "HSIC bottleneck\n(Ma and others 2020)", "C2"),
    (1, 1, "interlocking (ch. 23)", "C0"),
    (0, 2, "synthetic gradients\n(Jaderberg and\nothers 2017)", "C2"),
    (2, 2, "difference targets\n(Lee and others 2015)", "C2"),
    (3, 2, "auxiliary variables,\nlifted networks\n(ch. 25, 26)", "C0"),
    (0, 3, "delayed gradients\n(Huo and others 2018,\nPETRA 2024)", "0.35"),
    (
        2,
        2.68,
        "forward gradients\n(Baydin and others\n2022; local: Ren\nand others 2023)",
        "0.35",
    ),
    (
        2,
        3.34,
        "feedback alignment\n(Lillicrap and\nothers 2016; direct:\nNøkland 2016)",
        "0.35",
    ),
    (
        3,
        3,
        "predictive coding\n(Whittington and\nBogacz 2017),\nequilibrium\npropagation (Scellier\nand Bengio 2017)",
        "0.35",
    ),
    (2, 4.05, "backpropagation,\ncheckpoints,\npipelines (ch. 21)", "C0"),
]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(8.2, 6.4))
for column, row, text, colour in FIELD:
    box = dict(boxstyle="round", facecolor="w", edgecolor=colour)
    ax.text(
        column, row, text, ha="center", va="center", fontsize=9, color=colour, bbox=box
    )
ax.set(xlim=(-0.6, 3.6), ylim=(-0.6, 4.4))
ax.set(xlabel="whom a module waits for before it updates", ylabel="what it follows")
ax.set_xticks(range(4), COLUMNS, fontsize=9)
ax.set_yticks(range(5), ROWS, fontsize=9)
ax.grid(False)
for colour, text, at in (
    ("C0", "in a chapter of this part", 0.0),
    ("C2", "in the library, no chapter", 0.33),
    ("0.35", "elsewhere", 0.72),
):
    ax.text(at, 1.02, text, color=colour, fontsize=9, transform=ax.transAxes)
figure(
    fig,
    caption="Ways to train a deep network, by what a module follows and whom it waits for.",
    alt="A chart with four columns, whom a module waits for, and five rows, what it follows. "
    "Nobody and its own loss: greedy, DGL, predsim, InfoPro, Forward-Forward, kernel modules, and "
    "the HSIC bottleneck. The next modules and a loss near by: interlocking. A guess: "
    "synthetic gradients, which wait for nobody. A target: difference targets, auxiliary "
    "variables and lifted networks. Late, noisy or other weights: delayed gradients, forward gradients, feedback "
    "alignment, predictive coding and equilibrium propagation. The exact gradient, waiting for all "
    "modules behind: backpropagation.",
)

# %% [markdown]
# (All of them learn single digits. That ranks nothing, as chapter 22 has shown.) And the families that
# this course does not build, in a sentence each:
#
# | family | idea | what it still waits for |
# |---|---|---|
# | delayed gradients | a module takes the true gradient of an *older* batch, and goes on working in the meantime | nothing in its own batch; the weights have changed since |
# | feedback alignment | the error comes back through fixed *random* matrices in place of the transposed weights; the forward weights turn towards them (section 5 of chapter 23) | the loss; sent directly to every module, no backward pass |
# | forward gradients | one forward pass also carries the derivative along a random direction $v$; $(\nabla \ell \cdot v)\, v$ is right on average and noisier the more weights there are | the loss; no backward pass at all |
# | predictive coding | states may differ from what the layer below predicts; they settle so that the errors become small, then every weight uses the error beside it | many passes until the states settle |
# | equilibrium propagation | a network with an energy settles twice, freely and with its output pulled towards the label; the difference of the two gives the gradient in the limit of a weak pull | two times many passes |
#
# One family of the map is still to come. *Auxiliary variables* make the states unknowns of their
# own, which a penalty holds to the layers; with the states fixed, all modules train at the same
# time. Chapters 25 and 26 build them.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Two networks have the same G on ten labelled and all test samples, but different features. Ridge outputs are trained on the ten labels. What can you say?",
        choices=[
            "Their predictions on the test samples are the same",
            "The one with more features does better",
            "Nothing, features decide",
        ],
        answer="d379c5447c98",
        hint="Exercise 24.2: what does the output module see?",
    ),
    Question(
        "Three classes, free unit-norm features. What is the smallest cosine that all pairs of classes can have at once?",
        choices=[
            "-1",
            "-1/2",
            "0",
        ],
        answer="e6e35ae0c549",
        hint="The sum of all entries of a kernel matrix is a squared length.",
    ),
    Question(
        "A hidden module makes all samples orthogonal, G = I. Which proxy gives it full marks?",
        choices=[
            "upper-triangle alignment",
            "log-contrastive",
            "negative squares",
        ],
        answer="7c80c5ca9f7b",
        hint="Which one never looks at pairs that belong together?",
    ),
    Question(
        "You call eval() on a hidden module and train an output module on top. One optimiser holds the parameters of both. Is the hidden module frozen?",
        choices=[
            "Yes, evaluation mode stops learning",
            "No, its parameters still receive gradients and move",
            "Only if it contains BatchNorm",
        ],
        answer="975c722378b0",
        hint="Two different switches: what does each of them do?",
    ),
    Question(
        "Of 99 shuffles none is as correlated as the observed pairing. What is p?",
        choices=[
            "0",
            "0.01",
            "Below 0.001",
        ],
        answer="d91ad9be560c",
        hint="The observed pairing is one of those that might have come.",
    ),
    Question(
        "Six kernel modules fail on the sum of two digits, one module of the same six layers succeeds. What is to blame?",
        choices=[
            "The proxy, which cannot express sums",
            "Too few labels for the output module",
            "Each small module is optimised for now and drops what later ones need",
        ],
        answer="de4ff5090301",
        hint="The proxy was the same in both. What differs is who can ask whom.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A network with unit-norm features is a kernel machine: its linear output sees the hidden module
#   through the cosines $G$ only.
# - For any linear output with a convex loss of the margin, $R^\star \ge \lambda / (\lambda +
#   D^2/4)$, with equality if each class is one point; best of all if different classes are as far
#   apart as the kernel allows: $-1/(C-1)$, or 0 after a ReLU.
# - $D^2$, and every proxy, needs pair labels only. The diagonal must not count. Negative pairs
#   alone cannot tell the ideal from "all unlike"; the architecture has to help.
# - Train, freeze (evaluation mode and no gradients), name: on these digits ten labels are within
#   a point of all, whichever ten they are. The pairs are information, too.
# - Transferability is the proxy on a new task. It ranks modules on a task, says when a module is
#   worse than none, and deserves a permutation test and a look at what the correlation is made of.
# - Six small kernel modules collapse where one large one succeeds: what a frozen module has thrown
#   away, nobody brings back.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | hidden module, output module | all layers but the last; the last, linear layer |
# | kernel | $k(x, x')$, an inner product of features; here the cosine of their angle |
# | Gram matrix | the kernel of all pairs of a batch; no negative eigenvalue |
# | representer theorem | the best linear output is a combination of the labelled samples |
# | ridge | a penalty $\lambda \|W\|^2$ |
# | simplex | $C$ points with equal distances; seen from their centre, cosines $-1/(C-1)$ |
# | proxy | a number that stands in for the loss of an output module not yet trained |
# | alignment | cosine between the Gram matrix and the ideal one |
# | pair label | whether two samples belong to the same class, without saying to which |
# | negative pair | two samples of different classes |
# | transferability | the proxy of a frozen module on a new task |
# | rank correlation | Spearman's $\rho$: the correlation of ranks |
# | permutation test | comparing a statistic with its values on shuffled data |
# | probe | a linear classifier on frozen features, to see what they still tell |
# | collapse | features that have lost what later modules need |
#
# ## Readings
#
# - **Duan, Yu, Chen and Principe (2020)**, *On kernel method-based connectionist models and
#   supervised deep learning without backpropagation*, Neural Comput. 32(1). Look for the step
#   from a neuron to a kernel machine, and for the layer-wise optimality that this chapter proves
#   in small.
# - **Duan, Yu and Principe (2021)**, *Modularizing deep learning via pairwise learning with
#   kernels*, IEEE Trans. Neural Netw. Learn. Syst. Look for the conditions on the loss in the
#   theorem, for the proxies, for the ten-label experiment, and for transferability.
# - **Duan and Principe (2022)**, *Training deep architectures without end-to-end backpropagation:
#   a survey on the provably optimal methods*, IEEE Comput. Intell. Mag. Look for what "provably
#   optimal" is taken to mean, and which methods qualify.
# - **Cristianini, Shawe-Taylor, Elisseeff and Kandola (2001)**, *On kernel-target alignment*,
#   NeurIPS. Look for the concentration argument: why alignment on a sample says something about
#   new data.
# - **Alain and Bengio (2017)**, *Understanding intermediate layers using linear classifier
#   probes*, ICLR workshop. Look for what a probe can and cannot prove about a layer.
# - **Baydin, Pearlmutter, Syme, Wood and Torr (2022)**, *Gradients without backpropagation*, arXiv
#   2202.08587. Look for the proof that a forward gradient is right on average, and for its variance.
# - **Scellier and Bengio (2017)**, *Equilibrium propagation: bridging the gap between energy-based
#   models and backpropagation*, Front. Comput. Neurosci. 11:24. Look for the two phases.
# - **Papyan, Han and Donoho (2020)**, *Prevalence of neural collapse during the terminal phase of
#   deep learning training*, PNAS. Look for your exercise 24.3 in networks trained end to end,
#   where nobody asked for it.
