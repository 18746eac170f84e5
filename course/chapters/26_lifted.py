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
# # 26 · Training without derivatives
#
# > **Claim.** Every activation that is a proximal map has a distance of its own, whose gradient is a difference of two values: no derivative of the activation is needed. So a network can learn where its activations are flat, as far as one step reaches beyond the flat part. It costs many times the multiplications of backpropagation, which at equal cost was ahead in every comparison of this chapter in which most units have a slope.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | see the Bregman distance of an activation as an area, and compute it; write a network's lifted loss with it; take gradients of the weights without autograd and without a slope; derive proximal steps with pen and paper; move states and weights by implicit steps; predict whether a unit that is flat can learn; say what that costs, and when it fails |
# | **Before you start** | chapter 25 (states, the lifted loss, penalties); soft thresholding (chapter 11 helps); convex functions in one variable |
# | **Time** | 150 minutes |
# | **Points** | 21, in seven exercises |

# %% tags=["setup"]
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import cross_entropy, one_hot

import modular
from course.kit import Question, figure, quiz, setup, stored
from modular.lifted import (
    BregmanNet,
    HardTanh,
    Identity,
    ImplicitSGD,
    ReLU,
    Softmax,
    SoftThreshold,
    Tanh,
)
from modular.lifted.bregman import move_states
from modular.lifted.prox import Prox

generator = setup(seed=26)

# %% [markdown]
# ## Cold open: a network asleep
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# An **autoencoder** returns what it is given, through a narrow place: 64 pixels of a digit become a **code** of 32 numbers, and the code
# becomes 64 pixels again. To have few numbers that are not zero in the code, its activation is the soft threshold of
# part 1: what is smaller than $\theta$ in size becomes zero, everything else moves towards zero by $\theta$.
#
# Here somebody has chosen $\theta$ a little too large: ten per cent above the largest input that the code has at the start, on all pictures. So
# every code is zero. The pictures are **centred**: the mean picture is taken off, so that "zero" is the mean digit. We train
# the network twice, from the same weights: by backpropagation with Adam, and with the method of this chapter,
# which the library calls `ImplicitSGD`.

# %% tags=["given"]
task = modular.digits(torch.Generator().manual_seed(26))
average = task.x.mean(dim=0)
images, labels = (task.x - average)[:400], task.y[:400]
guess = images.square().sum(dim=1).mean().item() / 2  # loss of the mean digit


def sleeper(factor):
    """An autoencoder 64-32-64; its threshold is `factor` times its code's largest input."""
    g = torch.Generator().manual_seed(3)
    net = BregmanNet([64, 32, 64], [Identity(), Identity()], generator=g)
    with torch.no_grad():
        theta = factor * net.layers[0](images).abs().max().item()
    net.activations = (SoftThreshold(theta), Identity())
    return net


# %%
def by_backpropagation(net, epochs=40):
    """Train by Adam; return the losses as parts of the guess, and the encoder's gradients."""
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses, slopes = [], []
    for _ in range(epochs):
        adam.zero_grad()
        loss = (net(images) - images).square().sum(dim=1).mean() / 2
        loss.backward()
        adam.step()
        losses.append(loss.item() / guess)
        slopes.append(net.layers[0].weight.grad.abs().max().item())
    return losses, slopes


def by_lifting(net, epochs=40):
    """Train by the lifted loss; return the losses as parts of the guess."""
    method = ImplicitSGD(tau=30.0, inner=10)
    return [method.step(net, images, images) / guess for _ in range(epochs)]


asleep, awake = sleeper(1.1), sleeper(1.1)
losses, slopes = by_backpropagation(asleep)
lifted_losses = by_lifting(awake)
with torch.no_grad():
    shown = {"given": images[:6], "backprop": asleep(images[:6])}
    shown["lifted"] = awake(images[:6])

# %% tags=["picture"]
fig = plt.figure(figsize=(7.2, 2.9))
grid = fig.add_gridspec(3, 11)
ax = fig.add_subplot(grid[:, :4])
ax.plot(losses, "s-", ms=4, markevery=8, label="backpropagation")
ax.plot(lifted_losses, "o-", ms=4, markevery=8, label="lifted loss")
ax.set(xlabel="epoch", ylabel="loss over the mean digit's", ylim=(0, 1.5))
ax.legend(fontsize=9, loc="upper right")
for row, (name, rows) in enumerate(shown.items()):
    for column in range(6):
        cell = fig.add_subplot(grid[row, 5 + column])
        picture = (rows[column] + average).view(8, 8)
        cell.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        cell.set(xticks=[], yticks=[])
        if column == 0:
            cell.set_ylabel(name, fontsize=9)
figure(
    fig,
    caption="A code behind a threshold that is too large. Left: training. Right: six digits, and what "
    "both networks make of them.",
    alt="Left, loss against epochs: backpropagation stays at one, the loss of the mean digit; "
    "the lifted loss falls to about a half. Right, three rows of six small pictures: the digits "
    "given; below, backpropagation's row, six times the same grey blot, the mean digit; "
    "below, the row of the lifted loss, six blurred digits that resemble those given.",
)

# %%
print("the encoder's gradient was exactly zero in all epochs:", max(slopes) == 0)
print("backpropagation is no better than the mean digit:", min(losses) > 0.98)
print("the lifted loss is below three quarters of that:", lifted_losses[-1] < 0.75)

# %% [markdown]
# Backpropagation multiplies by the slope of every activation that it passes. Here the slope is zero, for each number of each
# code: nothing arrives at the encoder, not even a small number. The decoder's weights learn nothing either, since all that
# they are given is zero. However long it trains, this stays so.
#
# The other network starts from the same weights. Its method has never asked for the slope of the threshold. What has it asked for?

# %% [markdown]
# ## 1. A distance from a picture
#
# In chapter 25 every state $\lambda_k$ had a price for being away from what its module returns: half the square of
# the violation. Let a module be one **layer**, a linear map and an activation:
#
# $$ z_k = W_k \lambda_{k-1} + b_k , \qquad f_k(\lambda_{k-1}) = s_k(z_k) . $$
#
# The square, $\tfrac12 \|\lambda_k - s_k(z_k)\|^2$, has a flaw: where $s_k$ is flat, it is flat, too, as a function of
# $z_k$. However wrong the output is, the weights are told nothing. Wang and Benning (2023) take another price. Look at the picture below, for
# one number. The curve is the activation $s$, and the level is the output $\lambda$ that we want. Walk from the place where the curve has this level
# to the input $z$ that we have: the **area** between the curve and the level is the **Bregman distance** $B(\lambda, z)$.

# %%
soft = SoftThreshold(1.0)
line = torch.linspace(-3, 3.5, 261)
level, here, start = 1.5, -0.5, 2.5  # s(start) is the level
columns = torch.full((261, 1), level), line[:, None]
areas = soft.distance(*columns)
squares = (level - soft(line)).square() / 2

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].plot(line, soft(line), "k", lw=2.2)
axes[0].axhline(level, color="0.4", ls="--", lw=1.5)
between = (line >= here) & (line <= start)
axes[0].fill_between(line[between], soft(line[between]), level, color="0.8")
axes[0].plot([here], [0], "ko", ms=7)
axes[0].text(here - 0.15, -0.55, "z", fontsize=11)
axes[0].text(-2.8, level + 0.15, "wanted: λ", fontsize=10)
axes[0].text(0.0, 0.75, "area = B(λ, z)", fontsize=10, backgroundcolor="w")
axes[0].set(xlabel="input of the activation", ylabel="output", ylim=(-2.3, 3))
axes[1].plot(line, areas, label="Bregman distance")
axes[1].plot(line, squares, "--", label="half the square")
axes[1].set(xlabel="z", ylabel="price of the output 1.5", ylim=(-0.2, 7))
axes[1].legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="Soft threshold, θ = 1. Left: the distance as an area. Right: two prices for wanting 1.5, "
    "against the input.",
    alt="Left: a curve that rises, is level at zero between minus one and one, and rises again; a "
    "dashed level at 1.5; the area between them, from the input z to the point where they meet, is shaded. "
    "Right: the Bregman distance falls steadily to zero at 2.5 and rises; half the square is level between "
    "minus one and one.",
)

# %%
inside = (line > -0.9) & (line < 0.9)
print("on the flat part the square is level:", squares[inside].std().item() < 1e-12)
falls = areas[inside].diff() / line[inside].diff()
print(f"the distance has the slope s(z) - λ = {falls.mean().item():.1f} there")

# %% [markdown]
# Move $z$ a little: the area changes by the height of the gap. That is all there is to it:
#
# $$ \nabla_z B(\lambda, z) = s(z) - \lambda . $$
#
# Two values, no slope of $s$. On the flat part the area still grows with the way that is left to go.
#
# **In formulas.** An activation $s$ is a **proximal map** if it returns the best compromise between staying at $z$ and a price $\Psi$, its
# **potential**, which is a convex function:
#
# $$ s(z) = \arg\min_u \; \tfrac12 \|u - z\|^2 + \Psi(u) . $$
#
# | activation | potential $\Psi(u)$, a sum over the entries of $u$ |
# |---|---|
# | identity | 0 |
# | ReLU | 0 where $u \ge 0$, infinite elsewhere |
# | hard tanh: cut off at $-1$ and 1 | 0 where $-1 \le u \le 1$, infinite elsewhere |
# | soft threshold | $\theta\, |u|$ |
# | tanh | a smooth function on $(-1, 1)$ |
#
# In one variable these are exactly the functions that nowhere fall and nowhere rise more steeply than 1 (Moreau 1965). Write
# $\varphi(u) = \tfrac12 \|u\|^2 + \Psi(u)$. Multiply out the square above: $s(z)$ is also where $\langle u, z \rangle - \varphi(u)$ is largest.
# This largest value, as a function of $z$, is the **conjugate** $\varphi^*(z)$. The distance is
#
# $$ B(\lambda, z) = \varphi(\lambda) + \varphi^*(z) - \langle \lambda, z \rangle , \qquad
#    \varphi^*(z) = \langle s(z), z \rangle - \varphi(s(z)) . $$
#
# It is convex in each of its arguments, it is zero exactly where $\lambda = s(z)$, and $B(\lambda, z) \ge \tfrac12 \|\lambda - s(z)\|^2$. For the identity
# it *is* half the square. And since $s(z)$ is a maximiser, the slope of $\varphi^*$ is $s(z)$ itself: to first order, moving the
# maximiser changes nothing (the envelope theorem).
#
# **Shapes.** $\lambda$ and $z$ are `(batch, n)`; a potential or a distance adds up the last axis: `(batch,)`.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


class WithoutSlope(torch.autograd.Function):
    """A function that may be evaluated, and not differentiated."""

    @staticmethod
    def forward(ctx, z, s):
        return s(z)

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("the activation was differentiated: nobody needs its slope")


def guarded(s):
    """The activation s, which refuses to be differentiated."""
    return lambda z: WithoutSlope.apply(z, s)


def close(a, b):
    """Whether two tensors agree to 1e-10."""
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-10)


def draw(*shape, seed):
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ### Exercise 26.1 · A distance from values
# Difficulty ●●○○○ · 3 points
#
# Write `distance(state, z, s, potential)`: $B(\lambda, z)$ for each row. `s` and `potential` are functions: `s(z)` has the shape of `z`,
# `potential(u)` has one axis less. Autograd through your result must give the right gradients for `state` and `z`, but it must not enter `s`.


# %% nbgrader={"grade": false, "grade_id": "ex26-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distance(state, z, s, potential):
    """The Bregman distance of an activation.

    state, z: (..., n). s: function, (..., n) -> (..., n). potential: function,
    (..., n) -> (...). Returns (...).
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        u = s(z)
        highest = u.square().sum(dim=-1) / 2 + potential(u)
    own = state.square().sum(dim=-1) / 2 + potential(state)
    return own + (u * z).sum(dim=-1) - highest - (state * z).sum(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
relu = ReLU()
found = distance(
    torch.tensor([[1.0, 0.0], [2.0, 3.0]]),
    torch.tensor([[-2.0, -5.0], [2.0, 1.0]]),
    relu,
    relu.potential,
)
assert found.shape == (2,), "one number for each row"
assert found.dtype == torch.float64, FLOAT64
assert close(found[0], torch.tensor(2.5)), (
    "ReLU, wanted 1 from an input of -2: area 2 * 1 up to zero, then the triangle 1/2; "
    "and 0 from -5 is right, whatever the input"
)
assert close(found[1], torch.tensor(2.0)), (
    "2 from 2 is right; 3 from 1: a triangle of 2"
)

# %% nbgrader={"grade": true, "grade_id": "ex26-1-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
relu, hard = ReLU(), HardTanh()
z_try = draw(4, 3, seed=1).requires_grad_()
distance(
    draw(4, 3, seed=2).clamp(-1, 1), z_try, guarded(hard), hard.potential
).sum().backward()
assert z_try.grad is not None, "no gradient reaches z"
### BEGIN HIDDEN TESTS
for number, s in enumerate(
    [Identity(), ReLU(), HardTanh(), SoftThreshold(0.4), Tanh(), Softmax()]
):
    for shape in [(6, 4), (5,), (2, 3, 4)]:
        z_try = (2 * draw(*shape, seed=number)).requires_grad_()
        wanted = s(1.5 * draw(*shape, seed=number + 50))
        kept = wanted.clone()
        found = distance(wanted, z_try, guarded(s), s.potential)
        with torch.no_grad():
            assert close(found.detach(), s.distance(wanted, z_try)), (
                "another value than phi(state) + phi*(z) - <state, z>"
            )
        assert torch.equal(wanted, kept), "the state was changed"
        weights = draw(*shape[:-1], seed=7) if len(shape) > 1 else torch.tensor(1.7)
        (slope,) = torch.autograd.grad((weights * found).sum(), z_try)
        assert close(slope, weights[..., None] * (s(z_try.detach()) - wanted)), (
            "the gradient for z is not s(z) - state: treat s(z) as a number, without history"
        )
    with torch.no_grad():
        flat = distance(s(z_try), z_try, s, s.potential)
        assert flat.abs().max() < 1e-10, "zero where the state is s(z)"
smooth = Tanh()
wanted = (0.9 * torch.tanh(draw(5, 3, seed=3))).requires_grad_()
z_try = draw(5, 3, seed=4)
(slope,) = torch.autograd.grad(
    distance(wanted, z_try, smooth, smooth.potential).sum(), wanted
)
assert torch.allclose(slope, torch.atanh(wanted) - z_try, atol=1e-8), (
    "the gradient for the state is lost or wrong: phi(state) and <state, z> depend on it"
)
outside = distance(-torch.ones(1, 2), torch.ones(1, 2), relu, relu.potential)
assert torch.isinf(outside).all(), "a ReLU cannot return -1: the distance is infinite"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The formula of $\varphi^*$ stands above: it needs $s(z)$ and the potential there, nothing else.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The gradient of $\langle u, z \rangle - \varphi(u)$ by $z$, with $u$ held fixed, is $u$. So hold it fixed.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With $u = s(z)$ computed under `torch.no_grad()`: $B = \varphi(\lambda) + \langle u, z \rangle - \varphi(u) - \langle \lambda, z \rangle$.
#
# </details>

# %% [markdown]
# ## 2. The lifted loss again
#
# A network has $K$ layers, $k = 0, \dots, K - 1$, with $\lambda_{-1} = x$, the data. The last layer has no state: its output should be the **target** $y$.
# Its own distance is the loss of the network. For the identity that is half the squared error, and for softmax, which belongs to the
# same family, it is cross-entropy. The **lifted loss** of one sample is
#
# $$ \mathcal L = B_{K-1}(y, z_{K-1}) + \beta \sum_{k=0}^{K-2} B_k(\lambda_k, z_k) , \qquad z_k = W_k \lambda_{k-1} + b_k . $$
#
# It is that of chapter 25 with the area for the square (Wang and Benning have $\beta = 1$, as the library has). With the states of a forward pass all
# distances but the last are zero, and the loss of the network is left.


# %% tags=["given"]
def small_net(seed, hidden, last, rows=7):
    """Layers (W, b, s) of unequal widths, data, targets and states, all at random."""
    sizes = [5, *[4, 6, 3, 5][: len(hidden)], 3]
    layers = [
        (draw(n, m, seed=seed + k), draw(n, seed=seed + 20 + k), s)
        for k, (m, n, s) in enumerate(
            zip(sizes[:-1], sizes[1:], [*hidden, last], strict=True)
        )
    ]
    x = draw(rows, 5, seed=seed + 40)
    states = [
        s(1.5 * draw(rows, n, seed=seed + 50 + k))
        for k, (n, s) in enumerate(zip(sizes[1:-1], hidden, strict=True))
    ]
    y = last(2 * draw(rows, 3, seed=seed + 60))
    return layers, x, y, states


eye, nothing = torch.eye(2), torch.zeros(2)
two = [(eye, nothing, ReLU()), (2 * eye, nothing, Identity())]
NETS = [
    ([ReLU()], Softmax()),
    ([HardTanh(), SoftThreshold(0.3)], Identity()),
    ([SoftThreshold(0.2), ReLU(), Identity()], Softmax()),
]

# %% [markdown]
# ### Exercise 26.2 · Areas for squares
# Difficulty ●●○○○ · 3 points
#
# Write `lifted_loss(layers, x, y, states, beta)`: $\mathcal L$ of each sample. `layers` is a list of triples $(W, b, s)$; an activation of the
# library computes its own distance, `s.distance(state, z)`, shape `(batch,)`.


# %% nbgrader={"grade": false, "grade_id": "ex26-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lifted_loss(layers, x, y, states, beta):
    """The lifted loss of each sample, shape (batch,).

    layers: K triples (W, b, s), W: (outputs, inputs), b: (outputs,). x: (batch, inputs).
    y: targets (batch, outputs). states: list of K - 1 tensors. beta: number.
    """
    ### BEGIN SOLUTION
    total, before = 0.0, x
    for k, (W, b, s) in enumerate(layers):
        z = before @ W.T + b
        if k == len(layers) - 1:
            return total + s.distance(y, z)
        total = total + beta * s.distance(states[k], z)
        before = states[k]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x_try = torch.tensor([[-2.0, 1.0], [1.0, 1.0]])
found = lifted_loss(two, x_try, torch.zeros(2, 2), [torch.ones(2, 2)], 3.0)
assert found.shape == (2,), "one number for each sample"
assert found.dtype == torch.float64, FLOAT64
assert close(found[1], torch.tensor(4.0)), (
    "the state of the second sample is what the ReLU returns: no distance there; the last "
    "layer returns 2 and 2, its target is 0 and 0: half of 4 + 4"
)
assert close(found[0], torch.tensor(3 * 2.5 + 4.0)), (
    "beta times the distance of a ReLU that should return 1 and has the input -2, 2.5"
)

# %% nbgrader={"grade": true, "grade_id": "ex26-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x_try = torch.tensor([[-2.0, 1.0], [1.0, 1.0]])
alone = lifted_loss([(eye, nothing, Softmax())], x_try, eye, [], 2.0)
assert close(alone, cross_entropy(x_try, torch.tensor([0, 1]), reduction="none")), (
    "one layer, no state: the loss alone, without beta"
)
### BEGIN HIDDEN TESTS
for seed, (hidden, last) in enumerate(NETS):
    layers, x_try, y_try, states_try = small_net(100 * seed, hidden, last)
    leaves = [t.clone().requires_grad_() for layer in layers for t in layer[:2]]
    tracked = [
        (leaves[2 * k], leaves[2 * k + 1], s) for k, (_, _, s) in enumerate(layers)
    ]
    kept = [t.clone() for t in states_try]
    for beta in (0.5, 1, 4.0):
        found = lifted_loss(tracked, x_try, y_try, states_try, beta)
        assert found.shape == (7,), "one number for each sample"
        inputs, goals, expected = [x_try, *states_try], [*states_try, y_try], []
        for i in range(7):
            one = 0
            for k, (W, b, s) in enumerate(tracked):
                z_one = W @ inputs[k][i] + b
                weight = 1 if k == len(layers) - 1 else beta
                one = one + weight * s.distance(goals[k][i], z_one)
            expected.append(one)
        expected = torch.stack(expected)
        assert close(found, expected), (
            "another value than the loss plus beta times the distances of the states"
        )
        weights = draw(7, seed=8)
        one = torch.autograd.grad((weights * found).sum(), leaves)
        other = torch.autograd.grad((weights * expected).sum(), leaves)
        assert all(close(a, b) for a, b in zip(one, other, strict=True)), (
            "right values, another gradient for the weights: is there a detach?"
        )
    assert all(torch.equal(a, b) for a, b in zip(states_try, kept, strict=True)), (
        "the states were changed"
    )
    with torch.no_grad():
        chain, h = [], x_try
        for W, b, s in layers:
            h = s(h @ W.T + b)
            chain.append(h)
    found = lifted_loss(layers, x_try, y_try, chain[:-1], 5.0)
    z_last = chain[-2] @ layers[-1][0].T + layers[-1][1]
    assert close(found, layers[-1][2].distance(y_try, z_last)), (
        "with the states of a forward pass only the loss of the network is left"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Line up what each layer takes, `[x, *states]`, and what it should return, `[*states, y]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# All layers have the same kind of term. Only the weight differs: 1 for the last, $\beta$ for the others.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A batch of inputs `h` gives `z = h @ W.T + b`, and the term is `s.distance(goal, z)`.
#
# </details>

# %% [markdown]
# Each layer appears in one term, as in chapter 25: no layer waits for another. Write $d_k$ for the gradient by $z_k$, of each
# sample's own loss:
#
# $$ d_k = \beta\,\big(s_k(z_k) - \lambda_k\big) \quad (k < K - 1), \qquad d_{K-1} = s_{K-1}(z_{K-1}) - y . $$
#
# The weights' gradients, for the mean over $N$ samples, follow as in any linear layer: output's gradient times input,
#
# $$ \nabla_{W_k} = \frac1N \sum_{\text{samples}} d_k\, \lambda_{k-1}^\top , \qquad
#    \nabla_{b_k} = \frac1N \sum_{\text{samples}} d_k . $$

# %% [markdown]
# ### Exercise 26.3 · Gradients without autograd
# Difficulty ●●○○○ · 3 points
#
# Write `weight_gradients(layers, x, y, states, beta)`: a list of pairs $(\nabla_{W_k}, \nabla_{b_k})$ of the mean of $\mathcal L$. Use no
# autograd: activations are evaluated once for each layer, and the results carry no history, even if weights require gradients.


# %% nbgrader={"grade": false, "grade_id": "ex26-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weight_gradients(layers, x, y, states, beta):
    """Gradients of the mean lifted loss for weights and biases, as a list of pairs.

    Arguments as those of lifted_loss. Shapes of a pair: those of W and b.
    """
    ### BEGIN SOLUTION
    pairs = []
    with torch.no_grad():
        inputs, goals = [x, *states], [*states, y]
        for k, (W, b, s) in enumerate(layers):
            d = (s(inputs[k] @ W.T + b) - goals[k]) / len(x)
            if k < len(layers) - 1:
                d = beta * d
            pairs.append((d.T @ inputs[k], d.sum(dim=0)))
    return pairs
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# the layers `two`: a ReLU of the inputs themselves, then twice its output
found = weight_gradients(
    two, torch.tensor([[-2.0, 1.0]]), torch.zeros(1, 2), [torch.ones(1, 2)], 3.0
)
assert [(W.shape, b.shape) for W, b in found] == [((2, 2), (2,)), ((2, 2), (2,))], (
    "a pair for each layer, shapes as those of W and b"
)
assert found[0][0].dtype == torch.float64, FLOAT64
assert close(found[0][1], torch.tensor([-3.0, 0.0])), (
    "beta (s(z) - state): the first unit returns 0 and should return 1, the second is right"
)
assert close(found[0][0], torch.tensor([[6.0, -3.0], [0.0, 0.0]])), (
    "rows of the matrix belong to outputs: d times input, -3 * (-2, 1)"
)
assert close(found[1][1], torch.tensor([2.0, 2.0])), "the last layer has no beta"

# %% nbgrader={"grade": true, "grade_id": "ex26-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x_try, y_try = torch.tensor([[-2.0, 1.0]]), torch.zeros(1, 2)
once = weight_gradients(two, x_try, y_try, [torch.ones(1, 2)], 3.0)
twice = weight_gradients(
    two, x_try.repeat(2, 1), y_try.repeat(2, 1), [torch.ones(2, 2)], 3.0
)
assert close(twice[0][0], once[0][0]), "a sample twice: a mean does not change"
### BEGIN HIDDEN TESTS
for seed, (hidden, last) in enumerate(NETS):
    layers, x_try, y_try, states_try = small_net(100 * seed + 7, hidden, last)
    for beta in (0.5, 2):
        tracked, calls = [], []
        for W, b, s in layers:
            own = guarded(s)
            tracked.append(
                (
                    W.clone().requires_grad_(),
                    b.clone().requires_grad_(),
                    lambda z, own=own, s=s, calls=calls: (calls.append(s), own(z))[1],
                )
            )
        found = weight_gradients(tracked, x_try, y_try, states_try, beta)
        assert calls == [s for _, _, s in layers], (
            "each activation is to be evaluated once, and nothing else of it is needed"
        )
        assert not any(t.requires_grad for pair in found for t in pair), (
            "the results carry a history: use torch.no_grad()"
        )
        inputs, goals = [x_try, *states_try], [*states_try, y_try]
        for k, (W, b, s) in enumerate(layers):
            leaf, bias = W.clone().requires_grad_(), b.clone().requires_grad_()
            weight = 1 if k == len(layers) - 1 else beta
            mean = weight * s.distance(goals[k], inputs[k] @ leaf.T + bias).mean()
            expected = torch.autograd.grad(mean, [leaf, bias])
            assert close(found[k][0], expected[0]), (
                "a matrix is not the gradient of the mean lifted loss: d, input, the "
                "number of samples, beta for all layers but the last"
            )
            assert close(found[k][1], expected[1]), "a bias has another gradient"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The same two lists as before. In each layer: $z$, then $d$, then two products.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A sum over samples of outer products is one matrix product of two batches.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\nabla_W$ is `d.T @ h / N` and $\nabla_b$ is `d.sum(dim=0) / N`, with `d = beta * (s(z) - state)`.
#
# </details>

# %% [markdown]
# ## 3. Proximal steps by hand
#
# Now the states. The state $\lambda_k$ appears in two terms: as the output of layer $k$, and as the input of layer $k + 1$. A part of
# this is smooth in $\lambda_k$, with the gradient
#
# $$ q_{k+1} - \beta z_k , \qquad q_{k+1} = W_{k+1}^\top d_{k+1} , $$
#
# where $q_{k+1}$ is what the layer after asks for, as in chapter 25. The rest, $\beta \varphi_k(\lambda_k)$, may have corners, or be
# infinite outside of an interval. Such sums are the subject of chapter 11: make a gradient step on the smooth part, then a
# **proximal step** on the rest, with a step $\eta$:
#
# $$ \lambda_k \;\leftarrow\; \mathrm{prox}_{\eta \beta \varphi_k}\big( \lambda_k - \eta\,(q_{k+1} - \beta z_k) \big) , \qquad
#    \mathrm{prox}_{m \varphi}(v) = \arg\min_u \; \tfrac12 \|u - v\|^2 + m \big( \tfrac12 \|u\|^2 + \Psi(u) \big) . $$
#
# Take a sheet of paper. For the ReLU, $u \ge 0$, and the derivative $u - v + m u$ vanishes at $v / (1 + m)$. If that is negative, the best
# admissible $u$ is 0. So it is $\max(v, 0) / (1 + m)$. In the same way you find the step of the hard tanh, where $u$ has two walls, and that of
# the soft threshold, where $|u|$ has a corner at zero.

# %% [markdown]
# ### Exercise 26.4 · Three proximal steps
# Difficulty ●●○○○ · 3 points
#
# Write `step_relu(v, m)`, `step_hard_tanh(v, m)` and `step_soft(v, m, theta)`: $\mathrm{prox}_{m\varphi}(v)$ entry by entry, for $m > 0$ and
# $\theta \ge 0$. Derive the last two by hand. Do not change `v`.


# %% nbgrader={"grade": false, "grade_id": "ex26-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def step_relu(v, m):
    """Proximal step of a ReLU's phi. v: any shape, as the result. m: number."""
    ### BEGIN SOLUTION
    return v.clamp(min=0) / (1 + m)
    ### END SOLUTION


def step_hard_tanh(v, m):
    """Proximal step of a hard tanh's phi. v: any shape, as the result. m: number."""
    ### BEGIN SOLUTION
    return (v / (1 + m)).clamp(-1, 1)
    ### END SOLUTION


def step_soft(v, m, theta):
    """Proximal step of a soft threshold's phi. v: any shape. m, theta: numbers."""
    ### BEGIN SOLUTION
    return v.sign() * (v.abs() - m * theta).clamp(min=0) / (1 + m)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
v_try = torch.tensor([-3.0, 0.5, 3.0])
assert step_relu(v_try, 1.0).dtype == torch.float64, FLOAT64
assert close(step_relu(v_try, 1.0), torch.tensor([0.0, 0.25, 1.5])), (
    "max(v, 0) / (1 + m)"
)
assert close(step_hard_tanh(v_try, 1.0), torch.tensor([-1.0, 0.25, 1.0])), (
    "u - v + m u = 0 inside of the walls, and the nearer wall elsewhere"
)
assert close(step_soft(v_try, 1.0, 1.0), torch.tensor([-1.0, 0.0, 1.0])), (
    "for u > 0: u - v + m u + m theta = 0; if that gives no u > 0, and no u < 0 either, u = 0"
)

# %% nbgrader={"grade": true, "grade_id": "ex26-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
v_try = torch.tensor([[1.5, -1.5]])
assert close(step_hard_tanh(v_try, 0.5), torch.tensor([[1.0, -1.0]])), (
    "1.5 / 1.5 just reaches the wall: divide first, then cut off"
)
### BEGIN HIDDEN TESTS
for seed, m in enumerate((0.01, 0.3, 2, 10.0)):
    v_try = (3 * draw(5, 4, seed=seed)).requires_grad_()
    kept = v_try.detach().clone()
    theta = 0.4 + 0.3 * seed
    cases = [
        (
            step_relu(v_try, m),
            torch.where(v_try > 0, v_try / (1 + m), 0 * v_try),
            "ReLU",
        ),
        (
            step_hard_tanh(v_try, m),
            torch.where(v_try.abs() < 1 + m, v_try / (1 + m), v_try.detach().sign()),
            "hard tanh",
        ),
        (
            step_soft(v_try, m, theta),
            torch.where(v_try > m * theta, (v_try - m * theta) / (1 + m), 0 * v_try)
            + torch.where(v_try < -m * theta, (v_try + m * theta) / (1 + m), 0 * v_try),
            "soft threshold",
        ),
    ]
    weights = draw(5, 4, seed=seed + 9)
    for found, expected, name in cases:
        assert close(found, expected), (
            f"{name}: another value than the minimiser; try m = 0.3 with paper and pencil"
        )
        (one,) = torch.autograd.grad((weights * found).sum(), v_try, retain_graph=True)
        (other,) = torch.autograd.grad(
            (weights * expected).sum(), v_try, retain_graph=True
        )
        assert close(one, other), f"{name}: right values, another gradient for v"
    assert torch.equal(v_try.detach(), kept), "v was changed"
grid_try = torch.linspace(-4, 4, 8001)
for v_one in torch.tensor([-2.3, -0.2, 0.6, 2.9]):
    for m in (0.2, 1.5):
        half = (grid_try - v_one).square() / 2 + m * grid_try.square() / 2
        best = [
            (step_relu(v_one, m), half.masked_fill(grid_try < 0, torch.inf)),
            (step_hard_tanh(v_one, m), half.masked_fill(grid_try.abs() > 1, torch.inf)),
            (step_soft(v_one, m, 0.7), half + m * 0.7 * grid_try.abs()),
        ]
        for found, price in best:
            assert abs(found - grid_try[price.argmin()]) < 2e-3, (
                "a grid of points finds a better u than the proximal step"
            )
assert close(step_soft(torch.tensor([2.0]), 1.0, 0.0), torch.tensor([1.0])), (
    "theta = 0 is the identity: v / (1 + m)"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write the derivative of what is minimised where there is one, and set it to zero. Then look at the walls and the corner.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A parabola over an interval has its least value at its vertex, or at the wall that is nearer to the vertex. At the corner of $|u|$ all
# slopes between $-m\theta$ and $m\theta$ are available.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Hard tanh: the vertex $v / (1 + m)$, cut off at $\pm 1$. Soft threshold: $v$, shrunk by $m \theta$, divided by $1 + m$.
#
# </details>

# %% [markdown]
# The step $\eta$ must respect the curvature of the smooth part. No activation here rises more steeply than 1, so this is at most
# $c\, \|W_{k+1}\|_2^2$, with $c = \beta$ for a hidden layer behind the state and $c = 1$ for the last one. With $\eta$ one over that, a step never raises the
# lifted loss (chapter 11).

# %% [markdown]
# ### Exercise 26.5 · Move the states
# Difficulty ●●●○○ · 4 points
#
# Write `move(layers, x, y, states, beta)`: a new list of states. Each state makes one proximal gradient step, with $\eta$ as above, *from
# the last to the first*: each step already uses the state behind it that has moved, and the state before it that has not. Activations
# have the proximal step: `s.step(v, m)` is $\mathrm{prox}_{m\varphi}(v)$. The given list stays as it is. No autograd.


# %% nbgrader={"grade": false, "grade_id": "ex26-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def move(layers, x, y, states, beta):
    """Every state after one proximal gradient step, as a new list.

    Arguments as those of lifted_loss. torch.linalg.matrix_norm(W, 2) is the norm.
    """
    ### BEGIN SOLUTION
    moved = [*states, y]
    with torch.no_grad():
        for k in range(len(states) - 1, -1, -1):
            W, b, s = layers[k]
            after, shift, s_after = layers[k + 1]
            c = 1 if k == len(states) - 1 else beta
            z = (x if k == 0 else moved[k - 1]) @ W.T + b
            d = c * (s_after(moved[k] @ after.T + shift) - moved[k + 1])
            eta = 1 / (c * torch.linalg.matrix_norm(after, 2).item() ** 2)
            v = moved[k] - eta * (d @ after - beta * z)
            moved[k] = s.step(v, eta * beta)
    return moved[:-1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
one_by_one = [
    (torch.eye(1), torch.zeros(1), ReLU()),
    (2 * torch.eye(1), torch.zeros(1), Identity()),
]
found = move(one_by_one, torch.ones(1, 1), torch.zeros(1, 1), [torch.ones(1, 1)], 3.0)
assert len(found) == 1 and found[0].shape == (1, 1), (
    "a list with a tensor for each state"
)
assert found[0].dtype == torch.float64, FLOAT64
# eta = 1/4, q = 2 * (2 - 0) = 4, z = 1: v = 1 - (4 - 3) / 4 = 0.75, m = 3/4
assert close(found[0], torch.full((1, 1), 0.75 / 1.75)), (
    "v = state - eta (q - beta z), then the proximal step with m = eta beta"
)

# %% nbgrader={"grade": true, "grade_id": "ex26-5-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
three = [(torch.eye(2), torch.zeros(2), Identity())] * 3
rest = move(three, torch.ones(1, 2), torch.ones(1, 2), [torch.ones(1, 2)] * 2, 0.5)
assert all(close(t, torch.ones(1, 2)) for t in rest), (
    "the states of a forward pass that hits the target are at rest"
)
### BEGIN HIDDEN TESTS
for seed, (hidden, last) in enumerate(NETS):
    for beta in (0.5, 1, 3.0):
        layers, x_try, y_try, states_try = small_net(100 * seed + 13, hidden, last)
        kept = [t.clone() for t in states_try]
        quiet = [
            (W.clone().requires_grad_(), b.clone().requires_grad_(), s)
            for W, b, s in layers
        ]
        found = move(quiet, x_try, y_try, states_try, beta)
        assert len(found) == len(kept), "one state for each cut"
        assert all(torch.equal(a, b) for a, b in zip(states_try, kept, strict=True)), (
            "the given states, or their list, were changed"
        )
        assert not any(t.requires_grad for t in found), "the results carry a history"
        now = [t.clone() for t in kept]
        for k in reversed(range(len(now))):
            leaf = now[k].clone().requires_grad_()
            c = 1 if k == len(now) - 1 else beta
            W, b, s = layers[k + 1]
            goal = y_try if k == len(now) - 1 else now[k + 1]
            before = x_try if k == 0 else now[k - 1]
            z_k = before @ layers[k][0].T + layers[k][1]
            part = (
                c * s.distance(goal, leaf @ W.T + b).sum() - beta * (leaf * z_k).sum()
            )
            (slope,) = torch.autograd.grad(part, leaf)
            eta = 1 / (c * torch.linalg.svdvals(W)[0].item() ** 2)
            now[k] = layers[k][2].step(now[k] - eta * slope, eta * beta)
        for k in reversed(range(len(now))):
            assert close(found[k], now[k]), (
                f"state {k} is not where it should be: order of the steps (last first, each "
                "with the newest states), beta, c, the norm, m = eta beta"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A loop over $k$ that counts down, on a copy of the list. It helps to append $y$ to the copy.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In turn $k$ you need $z_k$ (from the state before), and $d_{k+1}$ (from the layer after, with the goal `moved[k + 1]`).
#
# </details>
# <details><summary>Hint 3</summary>
#
# $v = \lambda_k - \eta\,(d_{k+1} W_{k+1} - \beta z_k)$ for rows, $\eta = 1 / (c \|W_{k+1}\|_2^2)$, and the new state is `s.step(v, eta * beta)`.
#
# </details>

# %%
layers, x, y, states = small_net(5, [HardTanh(), SoftThreshold(0.3), ReLU()], Softmax())
prices = [lifted_loss(layers, x, y, states, 1.0).mean().item()]
for _ in range(20):
    states = move(layers, x, y, states, 1.0)
    prices.append(lifted_loss(layers, x, y, states, 1.0).mean().item())
print(
    "twenty moves of the states, none raises the lifted loss:",
    all(b <= a + 1e-12 for a, b in zip(prices, prices[1:], strict=False)),
)

# %% [markdown]
# ## 4. A secant for a tangent
#
# What do the weights of a hidden layer get to know in the end? Let the states be those of a forward pass. The next layer asks for $q = q_{k+1}$.
# Suppose that it would ask for the same anywhere near. Then the state comes to rest where
# $\beta B_k(\lambda, z) + \langle q, \lambda \rangle$ is smallest, that is, where $\varphi(\lambda) - \langle \lambda, z - q / \beta \rangle$ is. We have met this
# minimiser: it is the activation itself, at another place,
#
# $$ \lambda_k = s(z - q / \beta) , \qquad\text{so that}\qquad d_k = \beta\,\big( s(z) - s(z - q / \beta) \big) . $$
#
# Compare backpropagation: $d_k = s'(z)\, q$. **The lifted loss takes a secant where backpropagation takes a tangent.** It asks: *what does the
# activation return one step away?* For large $\beta$ the step is short, and both agree wherever there is a slope. For small $\beta$ the step is long, and can
# reach beyond what is flat.

# %% [markdown]
# ### Exercise 26.6 · What reaches the weights
# Difficulty ●●●○○ · 2 points
#
# Write `credit(s, z, q, beta)`: $d_k$ as above, shape of `z`. The activation must not be differentiated.


# %% nbgrader={"grade": false, "grade_id": "ex26-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def credit(s, z, q, beta):
    """What reaches a layer's weights through its activation: a secant.

    s: function. z, q: (batch, n), as the result. beta: positive number.
    """
    ### BEGIN SOLUTION
    return beta * (s(z) - s(z - q / beta))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
found = credit(
    ReLU(), torch.tensor([[2.0, -1.0, -1.0]]), torch.tensor([[1.0, 1.0, -3.0]]), 1.0
)
assert found.dtype == torch.float64, FLOAT64
assert close(found, torch.tensor([[1.0, 0.0, -2.0]])), (
    "on the slope the secant is q; a unit at -1 that is asked to go down stays, and one that is "
    "asked to go up by 3 comes to 2"
)

# %% nbgrader={"grade": true, "grade_id": "ex26-6-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z_try, q_try = 2 * draw(6, 5, seed=1), draw(6, 5, seed=2)
assert close(credit(guarded(Identity()), z_try, q_try, 0.3), q_try), (
    "without an activation the layer is given q, whatever beta"
)
### BEGIN HIDDEN TESTS
for number, s in enumerate([ReLU(), HardTanh(), SoftThreshold(0.6), Tanh()]):
    z_try, q_try = 1.5 * draw(6, 5, seed=number), draw(6, 5, seed=number + 10)
    for beta in (0.2, 1, 5.0):
        tracked = z_try.clone().requires_grad_()
        found = credit(guarded(s), tracked, q_try, beta).detach()
        grid_try = s(torch.linspace(-30, 30, 60001))[:, None, None]
        with torch.no_grad():
            price = beta * s.distance(grid_try[..., None], z_try[..., None])
            price = price + grid_try * q_try
        rest = grid_try[price.argmin(dim=0), 0, 0]
        assert (found - beta * (s(z_try) - rest)).abs().max() < 1e-2, (
            "the state that comes to rest is s(z - q / beta), and d is beta (s(z) - state)"
        )
    fine = credit(s, z_try, q_try, 1e6)
    leaf = z_try.clone().requires_grad_()
    (tangent,) = torch.autograd.grad(s(leaf), leaf, q_try)
    assert torch.allclose(fine, tangent, atol=1e-4), (
        "for a very large beta it is backpropagation's s'(z) q"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The formula stands above. Mind the signs, and where $\beta$ divides and where it multiplies.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For the identity the result must be $q$, whatever $\beta$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\beta\, (s(z) - s(z - q / \beta))$.
#
# </details>

# %% [markdown]
# So we can say *beforehand* who wakes up. A number of the code is asleep for both methods if $s(z - q) = s(z)$: its step ends on the same flat part.
# For the network of the cold open we know $z$ and $q$ before any training. We try thresholds from half the largest input to three times that,
# count the numbers that a secant sees, and train.

# %%
factors = (0.5, 0.9, 1.1, 1.3, 2.0, 3.0)
share, left, left_bp = [], [], []
for factor in factors:
    net = sleeper(factor)
    with torch.no_grad():
        z = net.layers[0](images)
        q = (net(images) - images) @ net.layers[1].weight
        share.append(
            (credit(net.activations[0], z, q, 1.0) != 0).double().mean().item()
        )
    left.append(by_lifting(net, epochs=25)[-1])
    left_bp.append(by_backpropagation(sleeper(factor), epochs=100)[0][-1])

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].plot(line, soft(line), "k", lw=2.2)
axes[0].plot([0.4, 2.2], [0.0, 1.2], "o--", ms=6, label="secant")
axes[0].plot(
    [-0.4, 1.2], [-0.06, -0.06], "-", lw=3.0, color="0.6", label="tangent at z"
)
axes[0].vlines([0.4, 2.2], -0.45, [0.0, 1.2], color="0.4", ls=":", lw=1.2)
axes[0].text(0.4, -0.5, "z", fontsize=11, ha="center", va="top")
axes[0].text(2.2, -0.5, "z - q/β", fontsize=11, ha="center", va="top")
axes[0].set(
    xlabel="input of the activation", ylabel="output", xlim=(-2, 3), ylim=(-1.2, 2.2)
)
axes[0].legend(fontsize=9, loc="upper left")
axes[1].plot(factors, left_bp, "s--", ms=6, label="backpropagation")
axes[1].plot(factors, left, "o-", ms=6, label="lifted loss")
axes[1].axvline(1.0, color="k", ls=":", lw=1.5)
axes[1].set(xlabel="threshold over largest input", ylim=(0, 1.25))
axes[1].set_ylabel("loss over the mean digit's")
axes[1].legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Left: tangent and secant of a soft threshold. Right: what is left after training, for "
    "thresholds up to three times the largest input. Dotted: above this, every code begins as zero.",
    alt="Left: the tangent at z lies on the flat part; the secant to a second point beyond the "
    "threshold rises. Right: backpropagation is lowest at a factor of a half and at one from 1.1 on; "
    "the lifted loss is below one up to a factor of 1.3, and at one for larger factors.",
)

# %%
for factor, seen, loss in zip(factors, share, left, strict=True):
    print(
        f"threshold {factor:g}: a secant sees something: {seen > 0!s:6} learns: {loss < 0.95}"
    )

# %% [markdown]
# The count before training says what happens. At half the largest input there are slopes enough, and backpropagation comes lower, with fewer
# multiplications. At 0.9 few units have one, and the order is the other way round. Above 1 backpropagation stands still. A threshold a little too large leaves a few numbers, on a few pictures, within one
# step of its edge. They move, others follow. At twice the largest input and more, the edge is beyond the reach of a step: the lifted loss sleeps as well.
# %% [markdown]
# ## 5. An implicit step
#
# The weights have one more problem than in chapter 25. A batch is small, its states adapt to it, and weights that minimise its lifted
# loss would forget all other batches. So they are held back by a spring of stiffness $1/\tau$ to where they were, $W^0$ and $b^0$, before the batch:
#
# $$ \min_{W, b} \; \frac1N \sum_{\text{samples}} B(\text{goal}, W h + b) + \frac{1}{2\tau} \big( \|W - W^0\|^2 + \|b - b^0\|^2 \big) . $$
#
# At the minimum $W = W^0 - \tau\, \nabla_W$, with the gradient at the *new* point: an **implicit stochastic gradient** step (Toulis and Airoldi
# 2017). A large $\tau$ does not make it unstable, it says how much one batch is worth. The problem is convex and smooth, with a curvature of
# at most $L + 1/\tau$, $L = \|h\|_2^2 / N + 1$ (the 1 is the bias; $h$ is the whole batch, a matrix). A gradient step of the length $1 / (L + 1/\tau)$ never
# raises it.

# %% [markdown]
# ### Exercise 26.7 · Held by a spring
# Difficulty ●●●○○ · 3 points
#
# Write `weight_step(W, b, h, goal, s, anchor, tau)`: the new pair $(W, b)$ after one such gradient step. `anchor` is the pair
# $(W^0, b^0)$. Change no argument, and do not differentiate `s`.


# %% nbgrader={"grade": false, "grade_id": "ex26-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weight_step(W, b, h, goal, s, anchor, tau):
    """One gradient step on a layer's distance and its spring; returns (W, b).

    W: (outputs, inputs). b: (outputs,). h: (batch, inputs). goal: (batch, outputs).
    s: function. anchor: the pair of W and b before the batch. tau: number.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        d = (s(h @ W.T + b) - goal) / len(h)
        L = torch.linalg.matrix_norm(h, 2).item() ** 2 / len(h) + 1
        step = 1 / (L + 1 / tau)
        return (
            W - step * (d.T @ h + (W - anchor[0]) / tau),
            b - step * (d.sum(dim=0) + (b - anchor[1]) / tau),
        )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex26-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
h_try, goal_try = torch.tensor([[2.0], [0.0]]), torch.tensor([[3.0], [1.0]])
start = torch.ones(1, 1), torch.zeros(1)
W_new, b_new = weight_step(*start, h_try, goal_try, Identity(), start, 0.5)
assert W_new.shape == (1, 1) and b_new.shape == (1,), "shapes as those of W and b"
assert W_new.dtype == torch.float64, FLOAT64
# z = (2, 0), d = (-1, -1) / 2; L = 4 / 2 + 1, and 1 / tau = 2: a step of 1/5
assert close(W_new, torch.full((1, 1), 1 + 1 / 5)), "the gradient of W is -1/2 * 2 = -1"
assert close(b_new, torch.full((1,), 1 / 5)), "the gradient of b is -1/2 - 1/2 = -1"

# %% nbgrader={"grade": true, "grade_id": "ex26-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
h_try, goal_try = torch.tensor([[2.0], [0.0]]), torch.tensor([[3.0], [1.0]])
start = torch.ones(1, 1), torch.zeros(1)
away = torch.full((1, 1), 3.0), torch.full((1,), -2.0)
W_new, b_new = weight_step(*start, h_try, goal_try, Identity(), away, 0.5)
assert close(W_new, torch.full((1, 1), 1 + (1 + 4) / 5)), (
    "the spring pulls from W to the anchor, with (W - anchor) / tau: here by -2 / 0.5"
)
### BEGIN HIDDEN TESTS
for seed, s in enumerate([ReLU(), SoftThreshold(0.3), Softmax(), Identity()]):
    W, b = draw(3, 5, seed=seed), draw(3, seed=seed + 10)
    h_try = draw(8, 5, seed=seed + 20)
    goal_try = s(2 * draw(8, 3, seed=seed + 30))
    anchor = draw(3, 5, seed=seed + 40), draw(3, seed=seed + 50)
    for tau in (0.1, 1, 50.0):
        kept = [t.clone() for t in (W, b, h_try, goal_try, *anchor)]
        leaves = [W.clone().requires_grad_(), b.clone().requires_grad_()]

        def price(W, b, h=h_try, goal=goal_try, s=s, anchor=anchor, tau=tau):
            spring = (W - anchor[0]).square().sum() + (b - anchor[1]).square().sum()
            return s.distance(goal, h @ W.T + b).mean() + spring / (2 * tau)

        slopes = torch.autograd.grad(price(*leaves), leaves)
        L = torch.linalg.svdvals(h_try)[0].item() ** 2 / 8 + 1
        W_new, b_new = weight_step(*leaves, h_try, goal_try, guarded(s), anchor, tau)
        assert not (W_new.requires_grad or b_new.requires_grad), (
            "the results carry a history"
        )
        assert close(W_new, W - slopes[0] / (L + 1 / tau)), (
            "another W: gradient of the mean distance, plus (W - anchor) / tau, times "
            "1 / (L + 1 / tau)"
        )
        assert close(b_new, b - slopes[1] / (L + 1 / tau)), "another b"
        assert price(W_new, b_new) <= price(W, b) + 1e-12, (
            "the step raises what it lowers"
        )
        assert all(
            torch.equal(one, other)
            for one, other in zip(
                (*leaves, h_try, goal_try, *anchor), kept, strict=True
            )
        ), "an argument was changed"
W, b = anchor
for _ in range(3000):
    W, b = weight_step(W, b, h_try, goal_try, Identity(), anchor, 2.0)
wide = torch.cat([h_try, torch.ones(8, 1)], dim=1)
old = torch.cat([anchor[0], anchor[1][:, None]], dim=1)
exact = torch.linalg.solve(
    wide.T @ wide / 8 + torch.eye(6) / 2, (goal_try.T @ wide / 8 + old / 2).T
).T
assert torch.allclose(torch.cat([W, b[:, None]], dim=1), exact, atol=1e-6), (
    "for the identity many steps should come to the solution of ridge regression"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The gradient of the distance is the one of exercise 26.3, for a single layer. The spring adds a linear term.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.matrix_norm(h, 2)` is the largest singular value. It is squared, and divided by the number of samples.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $W - \frac{1}{L + 1/\tau} \big( d^\top h + \tfrac1\tau (W - W^0) \big)$ with $d = (s(z) - \text{goal}) / N$; the bias in the same way.
#
# </details>

# %% [markdown]
# ## 6. A slope nowhere
#
# How far can one go? The **sign** has no slope anywhere, and it jumps, so that it is no proximal map of a convex potential. But it is a rising curve, and the
# picture of section 1 asks for nothing else. The area between the sign and a level $\lambda$ in $[-1, 1]$ is
#
# $$ B(\lambda, z) = |z| - \lambda z \qquad (\text{with } \varphi = 0 \text{ on } [-1, 1], \text{ infinite elsewhere}) . $$
#
# For $\lambda = \pm 1$ it is 0 if the sign is right and $2|z|$ if it is wrong. Does that look familiar? It is, up to the factor, the loss of Rosenblatt's
# **perceptron** (1958), and $d\,h^\top = (\mathrm{sign}(z) - \lambda)\, h^\top$ is its famous rule. So the rule of 1958 for a neuron whose slope is
# zero *is* the gradient of a Bregman distance, for one layer. The lifted loss is that for many. A class with four short functions makes it an activation of the library:


# %%
@dataclass(frozen=True)
class Sign(Prox):
    """The sign, no slope anywhere."""

    def __call__(self, z):
        return z.sign()

    def potential(self, y):
        return HardTanh().potential(y) - y.square().sum(dim=-1) / 2

    def conjugate(self, z):
        return z.abs().sum(dim=-1)

    def step(self, v, mu):
        return v.clamp(-1, 1)


sign, z_some = Sign(), draw(1000, 1, seed=6)
right = draw(1000, 1, seed=7).sign()
perceptron = torch.where(z_some.sign() == right, 0.0, 2 * z_some.abs())[:, 0]
print(
    "the distance is the perceptron's loss:",
    close(sign.distance(right, z_some), perceptron),
)
half, zero = torch.tensor([[0.5]]), torch.zeros(1, 1)
print(
    "and is at least half the square:", bool(sign.distance(half, zero) >= half**2 / 2)
)

# %% [markdown]
# What is lost is the bound by half the square: at $z = 0$ every output between $-1$ and 1 is free of charge.
#
# We train a network with signs, 64-32-10, on the 400 digits: by backpropagation, and lifted.


# %%
def with_signs():
    g = torch.Generator().manual_seed(8)
    return BregmanNet([64, 32, 10], [Sign(), Softmax()], generator=g)


def right_share(net):
    """Share of the test pictures that a network names rightly, in per cent."""
    with torch.no_grad():
        named = net(task.x_test - average).argmax(dim=1)
    return 100 * (named == task.y_test).double().mean().item()


plain, lifted_net = with_signs(), with_signs()
drawn = plain.layers[0].weight.detach().clone()
adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
for _ in range(300):
    adam.zero_grad()
    scores = plain.layers[1](plain.states(images)[0])
    cross_entropy(scores, labels).backward()
    adam.step()
target = one_hot(labels, 10).double()
for _ in range(60):
    ImplicitSGD(tau=10.0, inner=10).step(lifted_net, images, target)
same = torch.equal(drawn, plain.layers[0].weight)
print("backpropagation has not moved the hidden weights:", same)
print("backpropagation is right below 90 %:", right_share(plain) < 90)
print("lifted is right more often:", right_share(lifted_net) > right_share(plain))

# %% [markdown]
# ## The library's version
#
# `BregmanNet(sizes, activations)` is a network of such layers, `ImplicitSGD(tau, inner)` trains it: on each batch the states of a forward pass, then `inner` rounds,
# in each the states move once, then the weights of every layer. Our functions, in this order, do the same.


# %%
def our_step(net, x, y, tau, inner):
    """One batch with the functions of this chapter; returns new layers."""
    pairs = zip(net.layers, net.activations, strict=True)
    layers = [(m.weight.detach(), m.bias.detach(), s) for m, s in pairs]
    anchors = [(W, b) for W, b, _ in layers]
    with torch.no_grad():
        states = net.states(x)[:-1]
    for _ in range(inner):
        states = move(layers, x, y, states, 1.0)
        inputs, goals = [x, *states], [*states, y]
        layers = [
            (*weight_step(W, b, inputs[k], goals[k], s, anchors[k], tau), s)
            for k, (W, b, s) in enumerate(layers)
        ]
    return layers


net = BregmanNet(
    [64, 20, 20, 10],
    [ReLU(), SoftThreshold(0.1), Softmax()],
    generator=torch.Generator().manual_seed(9),
)
ours = our_step(net, images, target, tau=3.0, inner=4)
ImplicitSGD(tau=3.0, inner=4).step(net, images, target)
pairs = zip(net.layers, ours, strict=True)
off = max((m.weight - W).abs().max().item() for m, (W, _, _) in pairs)
print("the library's weights and ours agree to 1e-10:", off < 1e-10)


# %%
@dataclass(frozen=True)
class Guarded(SoftThreshold):
    """A soft threshold that refuses to be differentiated."""

    def __call__(self, z):
        return WithoutSlope.apply(z, super().__call__)


net = BregmanNet(
    [64, 20, 10], [Guarded(0.1), Softmax()], generator=torch.Generator().manual_seed(9)
)
first = ImplicitSGD(tau=3.0, inner=4).step(net, images, target)
for _ in range(10):
    last = ImplicitSGD(tau=3.0, inner=4).step(net, images, target)
print("it trains with an activation that refuses to be differentiated:", last < first)
try:
    cross_entropy(net.inputs(images, net.states(images))[-1], labels).backward()
except RuntimeError as error:
    print("backpropagation:", str(error).partition(":")[0])

# %% [markdown]
# ## Signature result: no slope, and a price
#
# **Left: signs.** The library's benchmark trains 64-64-64-10 on digits, with signs in both hidden layers, twenty epochs, five paired seeds. Backpropagation is the
# **negative control**: with a slope of zero it leaves the hidden layers as they were drawn, and trains the last one. The **baseline** is the usual
# way out, the **straight-through** estimator (Bengio and others 2013; chapter 47): forward the sign, backward the slope of a hard tanh, which is
# made up. Beside them, the same network with hard tanhs in the place of signs. Each side has the best of three settings, from a split that is not reported.
#
# **Right: sparse autoencoders.** Five layers, 64 wide, a soft threshold in the third with a price of $\alpha \|\lambda_2\|_1$ on the code, as Wang and Benning build them
# for pictures of clothes. (We have not read their tables, and these are digits.) Both sides may do *equally many multiplications*, and each has the best of three
# settings. One wants a small error with few numbers in the code: left and low.

# %%
record = stored("lifted")
signs, codes = record["flat"], record["autoencoder"]
names = {
    "backpropagation, slope zero": "no slope: backprop (control)",
    "lifted": "no slope: lifted",
    "straight through": "made-up slope: backprop",
    "hard tanh, backpropagation": "hard tanh: backprop",
}
right = {n: [run["accuracy"] for run in signs["runs"][n]] for n in names}
print(f"test accuracy in %, median and range of {signs['seeds']} seeds")
for name, text in names.items():
    low, high = signs["rows"][name]["accuracy_range"]
    middle = signs["rows"][name]["accuracy"]
    print(f"{text:30} {middle:5.1f}   ({low:.1f} to {high:.1f})")
control, lifted, made_up = list(right.values())[:3]
print(
    "the control's hidden weights have not moved:",
    all(r["moved"] == 0 for r in signs["runs"]["backpropagation, slope zero"]),
)
print(
    "lifted, above the control on every seed:",
    all(a > b for a, b in zip(lifted, control, strict=True)),
)
print(
    "lifted, below the made-up slope on every seed:",
    all(a < b for a, b in zip(lifted, made_up, strict=True)),
)
print("\nautoencoder               error left   code in use")
for name, row in codes["rows"].items():
    print(f"{name:27} {row['error']:5.0f} %  {row['active']:10.0f} %")

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.3), gridspec_kw={"width_ratios": [4, 3]})
marks = {"lifted": ("o", "C0"), "straight through": ("s", "C1")}
for place, (name, values) in enumerate(right.items()):
    marker, colour = marks.get(name, ("x", "0.3"))
    axes[0].plot(values, [place] * len(values), marker, color=colour, ms=7)
axes[0].set_yticks(
    range(4), [text.replace(": ", ":\n") for text in names.values()], fontsize=9
)
axes[0].set(xlabel="right on the test set, %", xlim=(50, 100), ylim=(-0.5, 3.5))
axes[0].set_ylabel("two layers of 64", fontsize=9)
for side, marker, look in (("lifted", "o", "C0"), ("backpropagation", "s", "C1")):
    rows = [row for name, row in codes["rows"].items() if name.startswith(side)]
    axes[1].plot(
        [row["active"] for row in rows],
        [row["error"] for row in rows],
        marker + "-",
        color=look,
        ms=7,
        label=side,
    )
axes[1].set(xlabel="code in use, %", ylabel="error left, %")
axes[1].set(xlim=(0, 60), ylim=(0, 100))
axes[1].legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="Left: networks of signs, one mark a seed. Right: sparse autoencoders after equally many "
    "multiplications, medians of five seeds for two prices of the code.",
    alt="Left, four rows of marks: the control near 70, lifted signs near 90, the made-up slope near 95 and "
    "hard tanhs a little higher. Right, error against the share of the code that is in use, two points for each "
    "side: the line of backpropagation lies far below that of the lifted loss.",
)

# %% [markdown]
# **Signs.** The control says what the last layer alone makes of features that were drawn by chance: about 70 %. Lifted, the hidden layers learn, through
# activations that have no slope anywhere: more than ten points more, on every seed. The made-up slope gets further still, on every seed, with a thirty-fourth of
# the multiplications. A secant learns where the true tangent is blind; a tangent that is not true, and points roughly the right way, learns more.
#
# **Codes.** With codes that are about as sparse, backpropagation leaves about half as much error, for both prices and on every seed.
# While the lifted side works on one batch, for ten or twenty rounds, backpropagation may take 17 or 34 steps; and units of this network have slopes.
#
# **What the comparison is worth.** The lifted side was searched over the number of rounds (codes), or the scale of the first weights (signs), backpropagation over its
# rate; one value of $\tau$ was tried. Quicker ways to solve the inner problem exist, and were not. Test sets of digits have 449 pictures. The numbers are in the
# library's tables, with photographs at 256 wide and with noise, where the order is the same.

# %% [markdown]
# ## An experiment to change
#
# The sleeping code again, all numbers that matter in one place.

# %%
FACTOR, TAU, INNER, STEPS = 1.1, 30.0, 10, 25


def wake():
    """Train a sleeper; return the loss over the mean digit's and the share of the code in use."""
    net, method = sleeper(FACTOR), ImplicitSGD(TAU, INNER)
    for _ in range(STEPS):
        method.step(net, images, images)
    with torch.no_grad():
        code, out = net.states(images)
    error = (out - images).square().sum(dim=1).mean().item() / 2
    return error / guess, (code != 0).double().mean().item()


error, used = wake()
print("below three quarters of the mean digit's loss:", error < 0.75)
print("below a fifth of the code is in use:", used < 0.2)

# %% [markdown]
# Print `error` and `used`, and change one thing at a time. Guess first:
#
# - `FACTOR = 1.3`, then 1.6: where is the end, and what did the count of section 4 say?
# - `FACTOR = 0.3`: how much of the code is in use? What is the threshold good for?
# - `TAU = 0.1`: what does a short spring do to a batch that contains everything?
# - `INNER = 1, STEPS = 250`, as many rounds in all: is it better to go on with a batch, or to begin anew from a forward pass?
#
# ## When it fails
#
# **Sleep too deep.** The secant sees one step far. If all of its steps end on the same flat part, the lifted loss is as blind as
# backpropagation: thresholds of twice the largest input, in section 4. In such a case scale the weights; no clever loss is needed.
#
# **Cost.** A round on a batch multiplies by each matrix about five times: two inputs of activations and a transpose for the states, two more products for
# the weights; and it needs norms of matrices. Backpropagation needs three, once. What that means on digits, 64-64-64-10 with ReLUs, where every unit has a slope somewhere:

# %%
relus = record["bregman"]["rows"]
twin, bregman = relus["backpropagation"], relus["lifted Bregman"]
print(
    f"right, median of five seeds: backpropagation {twin['accuracy']:.1f} %, lifted {bregman['accuracy']:.1f} %"
)
print(
    "lifted is within a point at equal epochs:",
    bregman["accuracy"] > twin["accuracy"] - 1,
)
print(f"and multiplies {bregman['passes'] / twin['passes']:.0f} times as much")

# %% [markdown]
# Forty rounds make much of each batch, so an *epoch* of the lifted side is worth about as much as one of its twin. A *multiplication* is not.
#
# **States that the network does not produce.** As in chapter 25, a low lifted loss is not a low loss. Here is a network of signs with two hidden layers,
# drawn with small weights. The distance of a sign is nearly free of charge near zero, and states make use of it:

# %%
g = torch.Generator().manual_seed(1)
deep = BregmanNet([64, 32, 32, 10], [Sign(), Sign(), Softmax()], generator=g)
with torch.no_grad():
    for layer in deep.layers[:-1]:
        layer.weight.mul_(0.3)
for _ in range(30):
    ImplicitSGD(tau=10.0, inner=10).step(deep, images, target)
with torch.no_grad():
    states = [*deep.states(images)[:-1], target]
    of_the_network = deep.energy(images, states).item()
    for _ in range(10):
        move_states(deep, images, states)
    of_the_states = deep.energy(images, states).item()
print(
    "the network's loss is above the lifted loss by a quarter:",
    of_the_network > 1.25 * of_the_states,
)

# %% [markdown]
# **Activations that fall.** A proximal map nowhere falls. GELU and SiLU do, a little, left of zero: they have no potential, and none of the above applies. One
# that rises more steeply than 1 has no *convex* potential; divide it by its steepest slope.
#
# **A detail.** The proximal step of a tanh has no formula. The library solves for it by Newton's method, in which the slope of the tanh *does*
# appear: inside of a solver, entry by entry. Nothing is multiplied by it on the way to the weights.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "A ReLU has the input -3, and its output should be 1. What does the distance tell its weights?",
        choices=[
            "Nothing: the slope is zero",
            "d = -1, as for any other input below zero",
            "d = -4, the distance between input and output",
        ],
        answer="71f193ef57c7",
        hint="s(z) minus the state.",
    ),
    Question(
        "Which of these is a proximal map of a convex potential?",
        choices=[
            "A cut at -1 and 1",
            "2 max(z, 0)",
            "The sign",
        ],
        answer="493f27a8d0fc",
        hint="It nowhere falls, and nowhere rises more steeply than 1.",
    ),
    Question(
        "The weight β of the distances is made very large. What do hidden layers learn, where there is a slope?",
        choices=[
            "Nothing",
            "What backpropagation would tell them",
            "Twice as fast",
        ],
        answer="ab7c99cd3e26",
        hint="What does a secant become when its step is short?",
    ),
    Question(
        "All units of a layer lie three steps away from the edge of their flat part. Who learns?",
        choices=[
            "Only the lifted loss",
            "Both",
            "Neither, in this layer",
        ],
        answer="8342d3a6a64c",
        hint="Where does s(z - q) lie?",
    ),
    Question(
        "The network has a single layer of signs. What is training by its Bregman distance called?",
        choices=[
            "The perceptron rule",
            "Ridge regression",
            "The straight-through estimator",
        ],
        answer="b7426ef0df70",
        hint="Sign minus target, times input.",
    ),
    Question(
        "A colleague has a network with tanhs that trains well. She asks whether to lift it. What do the tables say?",
        choices=[
            "Yes: it is more accurate at equal cost",
            "No: at equal cost backpropagation gets further",
            "It makes no difference",
        ],
        answer="563c230e88da",
        hint="The right half of the signature result.",
    ),
)

# %% [markdown]
# ## Summary
#
# - The Bregman distance of an activation is the area between its curve and the output that is wanted. Its gradient is $s(z) - \lambda$.
# - $B = \varphi(\lambda) + \varphi^*(z) - \langle \lambda, z \rangle$ with $\varphi = \tfrac12\|\cdot\|^2 + \Psi$; it is at least half the square, and half the square for the identity.
# - In the lifted loss every layer appears in one term; weights get $d_k \lambda_{k-1}^\top$, with $d_k = \beta (s(z_k) - \lambda_k)$.
# - States move by a gradient step on what is smooth and a proximal step on the rest.
# - With the states at rest $d_k = \beta (s(z) - s(z - q/\beta))$: a secant in the place of backpropagation's tangent. It sees as far as one step.
# - An implicit step holds the weights by a spring; $\tau$ says what a batch is worth.
# - For signs the distance is the perceptron's loss. Lifted networks of signs beat layers that stay as drawn on every seed, and stay behind a slope that is made up.
# - A round costs five products with each matrix. At equal multiplications backpropagation is ahead where there is a slope.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | proximal map | $s(z) = \arg\min_u \tfrac12\lVert u - z\rVert^2 + \Psi(u)$ |
# | potential | $\Psi$, the price that belongs to an activation |
# | conjugate | $\varphi^*(z)$, the largest value of $\langle u, z \rangle - \varphi(u)$ |
# | Bregman distance | $B(\lambda, z)$, an area; zero where $\lambda = s(z)$ |
# | lifted loss | loss of the last layer plus $\beta$ times the distances of all states |
# | proximal step | $\arg\min_u \tfrac12\lVert u - v\rVert^2 + m\,\varphi(u)$ |
# | secant, tangent | difference of two values over a step; slope at a point |
# | implicit step | one with the gradient at the new point; weights on a spring |
# | straight-through | forward a step, backward a slope that is made up |
# | perceptron | one layer of signs, trained by sign minus target times input |
# | autoencoder, code | a network that returns its input through a narrow or sparse layer; that layer |
# | centred | with the mean taken off |
#
# ## Readings
#
# - **Wang and Benning (2023)**, *Lifted Bregman training of neural networks*, JMLR. Look for the distance (section 3), for their sparse autoencoders of pictures of
#   clothes, and for their tables, which are not reproduced here: the equations of this chapter follow a lecture of the second author.
# - **Moreau (1965)**, *Proximité et dualité dans un espace hilbertien*, Bulletin de la SMF. Look for which functions are proximal maps.
# - **Toulis and Airoldi (2017)**, *Asymptotic and finite-sample properties of estimators based on stochastic gradients*, Annals of Statistics. Look for why an implicit
#   step forgives a rate that is too large.
# - **Rosenblatt (1958)**, *The perceptron: a probabilistic model for information storage and organization in the brain*, Psychological Review. Look for the rule.
# - **Bengio, Léonard and Courville (2013)**, *Estimating or propagating gradients through stochastic neurons for conditional computation*, arXiv. Look for the
#   straight-through estimator, the rival of the left panel.
# - **Wang, Benning and Repetti (2024)**, *A lifted Bregman strategy for training unfolded proximal neural network Gaussian denoisers*, MLSP. Look for part 1 in it:
#   the layers are those of an unrolled algorithm. The page *A bridge* of the documentation (`course/site/unfolded.md`) builds it.
