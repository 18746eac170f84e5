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
# # 31 · The vanilla PINN
#
# > **Claim.** A network, its exact derivatives and the mean square of an equation at scattered points solve a differential equation without a mesh; but a small loss is not yet a small error, and a classical solver does the same for a fraction of the work.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | solve Poisson's equation by finite differences and measure the order; differentiate a network twice, point by point; write the residual of a PDE and a loss for it; fulfil conditions by construction; set a problem up in DeepXDE and as one balance law; bound the error by the residual, and say when that bound is worthless |
# | **Before you start** | partial derivatives, Taylor's formula; PyTorch (`autograd`, `nn.Module`, an optimiser) |
# | **Time** | 150 minutes |
# | **Points** | 22, in seven exercises |

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import pinn
from course.kit import Question, figure, quiz, setup, stored

generator = setup(seed=31)

import deepxde as dde  # after pinn, which chooses its backend and keeps it quiet

# %% [markdown]
# ## Cold open: seven thermometers
#
# (A *cold open* is a scene before the title of a film. Here: something that goes wrong, before any
# theory.)
#
# A rod of length 1 is heated here and cooled there; we know how much, the function $s(x)$. Both
# ends are kept at zero. When nothing changes any more, heat that is produced must flow away, and
# the temperature $u$ obeys
#
# $$ -u''(x) = s(x), \qquad u(0) = u(1) = 0 . $$
#
# Somebody has put seven thermometers on the rod and fits a network through what they show. It
# is the standard way to learn from data, and it works: the fit is perfect.


# %% tags=["given"]
def exact(x):
    """Temperature of the rod. x: (N, 1). Returns (N, 1)."""
    return torch.sin(math.pi * x) + 0.3 * torch.sin(5 * math.pi * x)


def source(x):
    """Heat produced, minus the second derivative of exact. x: (N, 1)."""
    pi = math.pi
    return pi**2 * (torch.sin(pi * x) + 0.3 * 25 * torch.sin(5 * pi * x))


def network(sizes, seed):
    """A fully connected tanh network with these layer sizes."""
    g = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_normal_(layer.weight, generator=g)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def train(net, residuals, steps, enough=1e-25):
    """Minimise the sum of squares of residuals(net), a vector, by Levenberg-Marquardt.

    Returns the sum of squares before every iteration and after the last.
    """
    wanted = torch.enable_grad()(lambda: residuals(net))
    optimiser = pinn.LevenbergMarquardt(net.parameters(), wanted)
    losses = []
    for _ in range(steps):
        losses.append(optimiser.step().item())
        if losses[-1] < enough:
            break
    losses.append(wanted().square().sum().item())
    return losses


def relative_error(u, truth, x):
    """Relative L2 error of u at points x (N, d)."""
    with torch.no_grad():
        return ((u(x) - truth(x)).norm() / truth(x).norm()).item()


SIZES = [1, 20, 20, 1]
line = torch.linspace(0, 1, 401)[:, None]

# %%
sensors = torch.tensor([[0.0], [0.13], [0.32], [0.48], [0.67], [0.86], [1.0]])
fitted = network(SIZES, seed=0)
train(fitted, lambda u: (u(sensors) - exact(sensors))[:, 0], 40)
with torch.no_grad():
    worst = (fitted(sensors) - exact(sensors)).abs().max().item()
    fit = fitted(line)
bend = pinn.jet_of(fitted, line, pinn.Wanted.all(1)).H.flatten().detach()

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3))
axes[0].plot(line, exact(line), color="k", lw=1, label="truth")
axes[0].plot(line, fit, color="C1", ls="--", label="network")
axes[0].plot(sensors, exact(sensors), "o", color="C0", label="thermometers")
axes[0].set(xlabel="x", ylabel="temperature u", ylim=(-0.6, 1.9))
axes[0].legend(fontsize=8.5, loc="lower left")
axes[1].plot(line, source(line), color="k", lw=1, label="heat produced, s")
axes[1].plot(line, -bend, color="C1", ls="--", label="heat carried off, $-u''$")
axes[1].set(xlabel="x", ylabel="heat per length", ylim=(-190, 200))
axes[1].legend(fontsize=8.5, loc="lower right")
figure(
    fig,
    caption="A perfect fit to seven thermometers (left), and the balance of heat of the "
    "fitted curve (right): the two lines ought to be one.",
    alt="Left: the true temperature has three humps; the network's curve passes through all "
    "seven marks, but dips too low before the middle hump and then shoots far above it. "
    "Right: the heat produced is a wave between -65 and 85; what the network's curve "
    "carries off starts negative and soon leaves the picture on both sides.",
)

# %%
print(f"worst misfit at a thermometer: {'below 1e-9' if worst < 1e-9 else worst}")
print(f"relative error along the rod: {relative_error(fitted, exact, line):.1f}")

# %% [markdown]
# Nobody told the network that heat is conserved. We *knew* the law, we knew $s$ at every point of
# the rod, and used neither.
#
# This chapter turns it round. By section 4 the same network will find the temperature of the
# whole rod **without a single thermometer**, from the law alone. First, the method that has done
# this since the 1920s.

# %% [markdown]
# ## 1. What we are competing with
#
# Lay nodes $x_0 = 0, x_1, \dots, x_{n+1} = 1$ at the distance $h = 1/(n+1)$. Taylor's formula at
# a node and its two neighbours gives
#
# $$ \frac{u(x_i - h) - 2 u(x_i) + u(x_i + h)}{h^2} = u''(x_i) + \tfrac1{12} h^2 u''''(x_i) + \dots $$
#
# So replace the equation by $n$ linear equations for $n$ unknown numbers $U_i \approx u(x_i)$:
#
# $$ \frac{-U_{i-1} + 2 U_i - U_{i+1}}{h^2} = s(x_i), \qquad i = 1, \dots, n, $$
#
# where $U_0$ and $U_{n+1}$ are known and go to the right-hand side. The matrix has three diagonals;
# elimination takes about $5n$ multiplications. The error falls like $h^2$: *second order*. The
# order can be measured, and measuring it is the best test of such a program: errors $e_1, e_2$ at
# the step sizes $h_1, h_2$ give $p = \log(e_1 / e_2) / \log(h_1 / h_2)$.

# %% [markdown]
# ### Exercise 31.1 · Finite differences and their order
# Difficulty ●○○○○ · 2 points
#
# Write `finite_differences(s, n, left, right)`, which solves $-u'' = s$ on $(0, 1)$ with
# $u(0) = $ `left` and $u(1) = $ `right`, and `observed_orders(h, errors)`, one order for each pair
# of neighbours in the lists.


# %% nbgrader={"grade": false, "grade_id": "ex31-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def finite_differences(s, n, left=0.0, right=0.0):
    """Solve -u'' = s on (0, 1) at n inner nodes.

    s: function of points (N, 1), returns (N, 1). left, right: values at the ends.
    Returns the nodes, ends included, shape (n + 2, 1), and u there, shape (n + 2, 1).
    """
    ### BEGIN SOLUTION
    h = 1 / (n + 1)
    x = torch.linspace(0, 1, n + 2)[:, None]
    A = 2 * torch.eye(n)
    if n > 1:
        A -= torch.diag(torch.ones(n - 1), 1) + torch.diag(torch.ones(n - 1), -1)
    b = h**2 * s(x[1:-1])
    b[0] += left
    b[-1] += right
    ends = torch.tensor([[left], [right]])
    return x, torch.cat([ends[:1], torch.linalg.solve(A, b), ends[1:]])
    ### END SOLUTION


def observed_orders(h, errors):
    """Order p in error ~ h^p. h, errors: (K,). Returns (K - 1,)."""
    ### BEGIN SOLUTION
    return (errors[:-1] / errors[1:]).log() / (h[:-1] / h[1:]).log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, U = finite_differences(lambda x: 2 + 0 * x, 4)
assert x.shape == U.shape == (6, 1), "four inner nodes and two ends"
assert torch.allclose(U, x * (1 - x)), (
    "for u = x (1 - x) the difference quotient is exact, so U must be too: check h, "
    "the sign, and what becomes of the known values"
)
h = torch.tensor([0.1, 0.05, 0.025])
assert torch.allclose(observed_orders(h, 7 * h**2), torch.tensor([2.0, 2.0])), (
    "errors that fall like h^2 have order 2, whatever stands before"
)

# %% nbgrader={"grade": true, "grade_id": "ex31-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, U = finite_differences(lambda x: 0 * x, 3, left=1.0, right=3.0)
assert torch.allclose(U, 1 + 2 * x), (
    "without a source the temperature is a straight line"
)
### BEGIN HIDDEN TESTS
for n in (1, 2, 7, 30):
    x, U = finite_differences(lambda x: -6 * x, n, left=-1.0, right=2.0)
    assert torch.allclose(x, torch.linspace(0, 1, n + 2)[:, None]), "even nodes"
    assert torch.allclose(U, x**3 + 2 * x - 1), (
        "cubics are solved exactly, with any values at the ends: they belong to the "
        "right-hand side of the first and the last equation"
    )
errors, h = [], []
for n in (19, 39, 59, 119):
    x, U = finite_differences(lambda x: -torch.exp(x), n, left=1.0, right=math.e)
    errors.append((U - torch.exp(x)).abs().max())
    h.append(1 / (n + 1))
    between = (2 * U[1:-1] - U[:-2] - U[2:]) * (n + 1) ** 2
    assert torch.allclose(between, -torch.exp(x[1:-1])), (
        "U must fulfil the n equations above: the source counts at the node itself, and "
        "its neighbours do not share it"
    )
orders = observed_orders(torch.tensor(h), torch.stack(errors))
assert orders.shape == (3,), "one order per pair of neighbours"
assert (orders - 2).abs().max() < 0.02, "the method must be of second order"
uneven = torch.tensor([0.2, 0.1, 0.01])
assert torch.allclose(observed_orders(uneven, uneven**4), torch.tensor([4.0, 4.0])), (
    "divide by the logarithm of the ratio of the steps: it need not be 2"
)
faster = observed_orders(
    torch.tensor([0.4, 0.2, 0.1]), torch.tensor([1.0, 0.5, 0.03125])
)
assert torch.allclose(faster, torch.tensor([1.0, 4.0])), (
    "each order is that of two neighbours: here the second pair has a better one than "
    "the first"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Multiply by $h^2$. The matrix has 2 on the diagonal and −1 beside it; the right-hand side is
# $h^2 s(x_i)$ at the *inner* nodes, `x[1:-1]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In the first equation $-U_0$ is known: it goes to the right as $+$`left`. The last equation is
# alike. `torch.diag(torch.ones(n - 1), 1)` is the diagonal above the main one.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The $i$-th right-hand side is $h^2 s(x_i)$, plus the known end value in the first and in the last equation.
# `torch.linalg.solve` does the rest. The order of a pair: $\log(e_1 / e_2) / \log(h_1 / h_2)$.
#
# </details>

# %%
counts = torch.tensor([10, 20, 40, 80, 160, 320, 640])
fd_errors = []
for n in counts.tolist():
    x, U = finite_differences(source, n)
    fd_errors.append(((U - exact(x)).norm() / exact(x).norm()).item())
fd_errors = torch.tensor(fd_errors)
orders = observed_orders(1 / (counts + 1.0), fd_errors)
print("unknowns        ", " ".join(f"{n:7d}" for n in counts.tolist()))
print("relative error  ", " ".join(f"{e:7.0e}" for e in fd_errors.tolist()))
print("order                   ", " ".join(f"{p:7.2f}" for p in orders.tolist()))

# %% [markdown]
# A few hundred numbers, a few thousand multiplications, four digits. Keep this table in mind:
# everything below has to be measured against it.

# %% [markdown]
# ## 2. A network as unknown, and its derivatives
#
# Finite differences know $u$ at nodes and *approximate* its derivatives from neighbours. Turn
# this round: take a formula that can be evaluated anywhere, with free parameters $\theta$,
#
# $$ u_\theta(x) = W_3 \tanh\big( W_2 \tanh(W_1 x + b_1) + b_2 \big) + b_3 , $$
#
# and *differentiate it exactly*. No mesh, no neighbours; what was the unknown vector $U$ is now
# the vector $\theta$.
#
# **Shapes.** Points are rows: `x` is `(N, d)`, `u(x)` is `(N, 1)`. Row $i$ of the output depends on
# row $i$ of the input only. Autograd differentiates *scalars*, and we want $N$ derivatives. The
# trick: differentiate the **sum**,
#
# $$ \frac{\partial}{\partial x_i} \sum_j u(x_j) = \frac{\partial u(x_i)}{\partial x_i} , $$
#
# since the other terms do not contain $x_i$. One backward pass gives all $N$ gradients. And to
# differentiate *again* (in $x$, and later in $\theta$) the first derivative must itself be part
# of a graph: `create_graph=True`.

# %% [markdown]
# ### Exercise 31.2 · Twice through autograd
# Difficulty ●●○○○ · 3 points
#
# Write `derivatives(u, x)` for any function `u` of points: return its values, its gradient, and
# its *unmixed* second derivatives, $\partial^2 u / \partial x_k^2$ for every coordinate $k$. One must be
# able to train through all three. Leave the caller's `x` as it was, and mind functions without
# any curvature.


# %% nbgrader={"grade": false, "grade_id": "ex31-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def derivatives(u, x):
    """Values, gradient and unmixed second derivatives of u at points.

    u: function of points (N, d), returns (N, 1). x: (N, d), without requires_grad.
    Returns values (N, 1), gradient (N, d), second derivatives (N, d).
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    value = u(x)

    def slope(y):
        if not y.requires_grad:
            return torch.zeros_like(x)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True)
        return torch.zeros_like(x) if g is None else g

    gradient = slope(value)
    second = [slope(gradient[:, k])[:, k] for k in range(x.shape[1])]
    return value, gradient, torch.stack(second, dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]])
value, gradient, second = derivatives(lambda x: x[:, :1] ** 3 * x[:, 1:], x)
assert value.shape == (3, 1) and gradient.shape == second.shape == (3, 2), (
    "values (N, 1), both kinds of derivatives (N, d)"
)
a, b = x.T
assert torch.allclose(gradient, torch.stack([3 * a**2 * b, a**3], dim=1)), (
    "every point has its own gradient: differentiate the sum of all values, not the mean"
)
assert torch.allclose(second, torch.stack([6 * a * b, 0 * a], dim=1)), (
    "the second derivatives in x and in y; the mixed one, 3 x^2, belongs to neither"
)
net = network([2, 5, 1], seed=0)
assert derivatives(net, x)[2].requires_grad, "one must be able to train through them"

# %% nbgrader={"grade": true, "grade_id": "ex31-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
value, gradient, second = derivatives(lambda x: 3 * x, torch.ones(4, 1))
assert (gradient == 3).all() and (second == 0).all(), "a straight line has no curvature"
### BEGIN HIDDEN TESTS
for seed, d in enumerate((1, 2, 3)):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(6, d, generator=g)
    before = x.clone()
    net = network([d, 7, 6, 1], seed)
    value, gradient, second = derivatives(net, x)
    assert torch.equal(x, before) and not x.requires_grad, (
        "the caller's points have been changed: work on x.detach()"
    )
    assert torch.allclose(value, net(x)), "the values are u(x)"
    h = 1e-4
    for k in range(d):
        step = h * torch.eye(d)[k]
        with torch.no_grad():
            ahead, back, here = net(x + step), net(x - step), net(x)
        quotient = ((ahead - back) / (2 * h))[:, 0]
        assert torch.allclose(gradient[:, k], quotient, atol=1e-6), "gradient"
        quotient = ((ahead - 2 * here + back) / h**2)[:, 0]
        assert torch.allclose(second[:, k], quotient, atol=1e-5), (
            "second derivatives do not agree with difference quotients: is each "
            "component of the gradient differentiated on its own?"
        )
    parts = [derivatives(net, x[i : i + 1])[2] for i in range(6)]
    assert torch.allclose(torch.cat(parts), second), "points must not influence others"
    weight = net[0].weight
    parts = {"values": value, "gradient": gradient, "second derivatives": second}
    slopes = {}
    for name, part in parts.items():
        assert part.requires_grad, f"{name}: cut off from the parameters"
        (slopes[name],) = torch.autograd.grad(
            part.square().sum(), weight, retain_graph=True, allow_unused=True
        )
        assert slopes[name] is not None, f"{name}: cut off from the first layer"
    sums = []
    for change in (h, -2 * h):
        weight.data[0, 0] += change
        sums.append([part.square().sum().item() for part in derivatives(net, x)])
    for slope, up, down in zip(slopes.values(), *sums, strict=True):
        expected = torch.tensor((up - down) / (2 * h))
        assert torch.allclose(slope[0, 0], expected, rtol=1e-4, atol=1e-5), (
            "the derivative in the parameters is wrong: is part of the graph cut?"
        )
flat = derivatives(lambda x: 0 * x[:, :1] + 2, torch.ones(3, 2))
assert flat[1].shape == flat[2].shape == (3, 2), "two coordinates, two derivatives"
assert (flat[2] == 0).all(), "a constant has no curvature"
still = derivatives(lambda x: torch.full((len(x), 1), 2.0), torch.ones(3, 2))
assert (still[0] == 2).all() and (still[1] == 0).all() and (still[2] == 0).all(), (
    "a function need not read its points at all: no graph, and all derivatives are zero"
)
plane = torch.nn.Linear(2, 1)  # its slopes are weights: they have a graph without x
assert (derivatives(plane, torch.ones(3, 2))[2] == 0).all(), (
    "a network that is linear has no curvature"
)
half = derivatives(lambda x: x[:, 1:] ** 2, torch.ones(3, 2))
assert torch.equal(half[2], torch.tensor([[0.0, 2.0]] * 3)), (
    "a function may be curved in one coordinate only"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `x = x.detach().requires_grad_()` makes a leaf of your own. Then
# `torch.autograd.grad(value.sum(), x, create_graph=True)` is a tuple with one entry, the gradient.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The gradient has $d$ columns. Differentiate each column on its own, and keep of the answer only
# the same column. Differentiating the sum of *all* entries would mix in $u_{xy}$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A straight line's gradient does not depend on `x`: it has no graph. Ask `y.requires_grad` before you
# differentiate, call `grad` with `allow_unused=True`, and put zeros where there is nothing.
#
# </details>

# %% [markdown]
# How exact is exact? Compare the difference quotient of section 1, applied to a network, with
# autograd. The reference is the network's second derivative worked out by the chain rule.

# %%
net = network([1, 12, 1], seed=3)
W, b, c = net[0].weight[:, 0], net[0].bias, net[2].weight[0]
x = torch.linspace(-1, 1, 60)[:, None]
with torch.no_grad():
    th = torch.tanh(x * W + b)
    by_hand = (-2 * th * (1 - th**2) * W**2) @ c
    steps = torch.logspace(-7.5, -0.5, 40)
    quotients = [((net(x + h) - 2 * net(x) + net(x - h)) / h**2)[:, 0] for h in steps]
scale = by_hand.abs().max()
wrong = torch.stack([(q - by_hand).abs().max() / scale for q in quotients])
auto = ((derivatives(net, x)[2][:, 0] - by_hand).abs().max() / scale).detach()

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.loglog(steps, wrong, color="C0", label="difference quotient")
ax.axhline(auto.clamp_min(1e-17), color="C1", ls="--", label="autograd")
ax.loglog(steps, steps**2, color="0.6", lw=0.8, ls=":", label="slope 2")
ax.set(xlabel="step h", ylabel="relative error of $u''$", ylim=(1e-17, 10))
ax.legend(fontsize=8.5, loc="upper center", ncols=3)
figure(
    fig,
    caption="The second derivative of a network: a quotient can have about eight digits, "
    "autograd has them all.",
    alt="Error of the difference quotient against the step on log axes, a V: it falls with "
    "slope 2 until about 2e-8 at a step of 4e-4 and then rises again through round-off. "
    "The error of autograd is a flat line near 1e-16.",
)

# %%
print(f"best step of the quotient: {-wrong.min().log10():.0f} digits right")
print("autograd: 13 digits or more" if auto < 1e-13 else f"autograd: only {auto:.0e}")

# %% [markdown]
# Mind what this does *not* say. Autograd gives the exact derivative of $u_\theta$. How far
# $u_\theta$ is from the solution is another question, and the hard one.

# %% [markdown]
# ## 3. The residual
#
# Put $u_\theta$ into the equation, everything on one side: what is left is the **residual**. For
# the rod, $r(x) = -u_\theta''(x) - s(x)$. From now on we also look at an equation in which a
# steep front grows out of a smooth start, Burgers' equation, for a velocity $u(x, t)$:
#
# $$ u_t + u\, u_x = \nu\, u_{xx} , \qquad r = u_t + u\, u_x - \nu\, u_{xx} . $$
#
# Each particle of a gas moves with its own velocity; the fast ones catch up with the slow ones, and
# only the viscosity $\nu$ prevents them from overtaking. A **shock** forms.
#
# To test a residual, feed it a solution. Burgers' equation has travelling waves,
#
# $$ u(x, t) = c - a \tanh\!\Big( \frac{a\,(x - c\,t)}{2 \nu} \Big), $$
#
# for any speed $c$ and strength $a$, and for $u(x, 0) = -\sin \pi x$ on $[-1, 1]$ the substitution
# of Cole and Hopf gives the solution as an integral (`pinn.cole_hopf`).


# %% tags=["given"]
def travelling_wave(nu, a=1.0, c=0.3):
    """A shock of viscous Burgers: a function of points (x, t), shape (N, 2)."""

    def u(x):
        return c - a * torch.tanh(a * (x[:, :1] - c * x[:, 1:]) / (2 * nu))

    return u


def scattered(count, seed, low=(-1.0, 0.05), high=(1.0, 1.0)):
    """Random points (x, t) in a box. Returns (count, 2)."""
    g = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(low), torch.tensor(high)
    return low + (high - low) * torch.rand(count, 2, generator=g)


# %% [markdown]
# ### Exercise 31.3 · The residual of Burgers' equation
# Difficulty ●●○○○ · 3 points
#
# Write `burgers_residual(u, x, nu)`. The coordinates are $x$, then $t$. Use your `derivatives`.


# %% nbgrader={"grade": false, "grade_id": "ex31-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def burgers_residual(u, x, nu):
    """u_t + u u_x - nu u_xx at points.

    u: function of points (N, 2), returns (N, 1). x: (N, 2), space then time.
    Returns (N, 1).
    """
    ### BEGIN SOLUTION
    value, gradient, second = derivatives(u, x)
    return gradient[:, 1:] + value * gradient[:, :1] - nu * second[:, :1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x = scattered(7, seed=1)
r = burgers_residual(lambda x: x[:, :1] * x[:, 1:], x, nu=0.5)
assert r.shape == (7, 1), "one residual per point, in a column"
assert torch.allclose(r, x[:, :1] + x[:, :1] * x[:, 1:] ** 2), (
    "for u = x t: u_t = x, u u_x = x t^2, u_xx = 0"
)
wave = travelling_wave(nu=0.1)
assert burgers_residual(wave, x, nu=0.1).abs().max() < 1e-10, (
    "the travelling wave is a solution: its residual must vanish"
)

# %% nbgrader={"grade": true, "grade_id": "ex31-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
r = burgers_residual(lambda x: x[:, :1] ** 2, torch.tensor([[1.0, 0.5]]), nu=0.25)
assert torch.allclose(r, torch.tensor([[1.5]])), "u = x^2: 0 + 2 x^3 - 2 nu"
### BEGIN HIDDEN TESTS
for seed, (nu, a, c) in enumerate(
    [(0.2, 1.0, 0.0), (0.05, 0.5, -0.7), (1.0, 2.0, 1.5)]
):
    x = scattered(40, seed)
    wave = travelling_wave(nu, a, c)
    r = burgers_residual(wave, x, nu)
    assert r.abs().max() < 1e-9, (
        "a travelling wave has no residual, for any speed, strength and viscosity"
    )
    assert burgers_residual(wave, x, 2 * nu).abs().max() > 1e-2, (
        "with another viscosity it is no solution: does the residual know nu?"
    )
    assert burgers_residual(lambda x, w=wave: w(x) + 1, x, nu).abs().max() > 1e-2, (
        "a velocity added everywhere carries the wave off faster: u multiplies u_x"
    )
x = scattered(50, seed=9)
r = burgers_residual(lambda x: pinn.cole_hopf(x, 0.05), x, 0.05)
assert r.abs().max() < 1e-7, "the solution of Cole and Hopf must have no residual"
net = network([2, 6, 1], seed=4)
r = burgers_residual(net, x, 0.05)
assert r.requires_grad, "a network is to be trained by its residual"
(slope,) = torch.autograd.grad(r.square().sum(), net[0].weight)
sums = []
for change in (1e-5, -2e-5):
    net[0].weight.data[0, 0] += change
    sums.append(burgers_residual(net, x, 0.05).square().sum().item())
assert abs(slope[0, 0].item() - (sums[0] - sums[1]) / 2e-5) < 1e-5, (
    "the derivative in the parameters is wrong: is a part of the residual detached?"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `derivatives` returns values `(N, 1)`, gradients `(N, 2)` with the columns $u_x$, $u_t$, and second
# derivatives `(N, 2)` with the columns $u_{xx}$, $u_{tt}$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Slice so that columns stay columns: `gradient[:, :1]` is `(N, 1)`, but `gradient[:, 0]` is `(N,)`,
# and `(N, 1) * (N,)` is an `(N, N)` table.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Of $u_t + u\, u_x - \nu\, u_{xx}$, the second column of the gradient is $u_t$ and the first of the second
# derivatives is $u_{xx}$.
#
# </details>

# %% [markdown]
# ## 4. The loss: equation, boundary, beginning
#
# A residual that vanishes *everywhere*, and the right values at the boundary, make a solution. A
# computer cannot check everywhere. So scatter $N$ **collocation points** $x_i$ over the domain,
# $M_k$ points $z_j$ on the part of the boundary where condition $k$ prescribes $g_k$, and minimise
#
# $$ L(\theta) = \omega_0\, \frac1N \sum_{i=1}^N r(x_i)^2
#    + \sum_k \omega_k\, \frac1{M_k} \sum_{j=1}^{M_k} \big( u_\theta(z_j) - g_k(z_j) \big)^2 . $$
#
# An initial value is a condition like any other: time is one more coordinate, and $t = 0$ one side
# of the domain. That is the whole **vanilla PINN**: physics as a penalty. Dissanayake and Phan-Thien
# trained networks by such a loss in 1994; Raissi, Perdikaris and Karniadakis (2019) gave it its name
# and its success. It is least squares; nothing guarantees that the terms agree on what is
# important.

# %% [markdown]
# ### Exercise 31.4 · Loss terms
# Difficulty ●●●○○ · 3 points
#
# Write `loss_terms(u, residual, x, conditions)`: all the mean squares, unweighted, the equation's
# first. `residual(u, x)` evaluates the equation. A condition is a pair of points and the values
# prescribed there, and values come as a plain list of $M$ numbers, shape `(M,)`, as an instrument
# would give them.


# %% nbgrader={"grade": false, "grade_id": "ex31-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def loss_terms(u, residual, x, conditions):
    """Mean squares of the residual and of each condition's error.

    u: function of points (N, d), returns (N, 1). residual(u, x): returns (N, 1).
    x: (N, d). conditions: list of pairs: points (M, d), values (M,); M may differ.
    Returns (1 + number of conditions,).
    """
    ### BEGIN SOLUTION
    terms = [residual(u, x).square().mean()]
    for points, values in conditions:
        terms.append((u(points)[:, 0] - values).square().mean())
    return torch.stack(terms)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
wave, x = travelling_wave(nu=0.2), scattered(30, seed=2)
start = torch.stack([torch.linspace(-1, 1, 9), torch.zeros(9)], dim=1)
good, off = wave(start)[:, 0], wave(start)[:, 0] + 0.5
law = pinn.zoo.burgers(0.2)
terms = loss_terms(
    wave,
    lambda u, x: law.strong_residual(x, pinn.jet_of(u, x, law.wanted)),
    x,
    [(start, good), (start, off)],
)
assert terms.shape == (3,), "one term for the equation, one per condition"
assert terms[:2].max() < 1e-12, (
    "a solution with the right initial values has no loss. If the second term is large, "
    "look at the shapes: (M, 1) minus (M,) is an (M, M) table, without any warning"
)
assert torch.allclose(terms[2], torch.tensor(0.25)), "the mean of 0.5 squared"

# %% nbgrader={"grade": true, "grade_id": "ex31-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
terms = loss_terms(lambda x: x, lambda u, x: u(x) - 1, torch.tensor([[1.0], [3.0]]), [])
assert torch.allclose(terms, torch.tensor([2.0])), "a problem may have no condition"
### BEGIN HIDDEN TESTS
law = pinn.zoo.burgers(0.1)
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    net = network([2, 6, 1], seed)
    x, left = scattered(11, seed), scattered(4, seed + 20)
    right = scattered(7, seed + 40)
    values = torch.randn(4, generator=g), torch.randn(7, generator=g)
    pairs = [(left, values[0]), (right, values[1])]

    def residual(u, x):
        return law.strong_residual(x, pinn.jet_of(u, x, law.wanted))

    terms = loss_terms(net, residual, x, pairs)
    assert terms.shape == (3,), "one number per term"
    twice = [(p.repeat(2, 1), v.repeat(2)) for p, v in pairs]
    again = loss_terms(net, residual, x.repeat(3, 1), twice)
    assert torch.allclose(terms, again), (
        "the same points twice must not change the loss: means, not sums"
    )
    swapped = loss_terms(net, residual, x, pairs[::-1])
    assert torch.allclose(swapped, terms[[0, 2, 1]]), "terms in the order they came in"
    expected = [sum(residual(net, p[None])[0, 0] ** 2 for p in x) / 11]
    for points, numbers in pairs:
        errors = [net(p[None])[0, 0] - v for p, v in zip(points, numbers, strict=True)]
        expected.append(sum(e**2 for e in errors) / len(errors))
    assert torch.allclose(terms[1], expected[1]), "each point is paired with its value"
    assert torch.allclose(terms[0], expected[0]), "mean square of the residual"
    moved = loss_terms(net, residual, x, [(left, values[0] + 1), pairs[1]])
    assert torch.equal(moved[[0, 2]], terms[[0, 2]]), "terms must not influence others"
    assert terms.requires_grad, "the terms are to be minimised: keep the graph"
    for k in range(3):
        (slope,) = torch.autograd.grad(
            terms[k], net[0].weight, retain_graph=True, allow_unused=True
        )
        (wanted,) = torch.autograd.grad(expected[k], net[0].weight)
        assert slope is not None, f"term {k} does not reach the parameters"
        assert torch.allclose(slope, wanted, atol=1e-10), (
            f"term {k} has the right value but not the right gradient: is a part of the "
            "square cut off from the graph?"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Collect scalars in a list, the residual's first, and `torch.stack` them, so that the graph stays.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `u(points)` is `(M, 1)` and `values` is `(M,)`. Bring both to the same shape before subtracting:
# `u(points)[:, 0]`, or `values[:, None]`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Each term is `(...).square().mean()` of two columns of the same shape; for a condition, of
# $u(z_j) - g_j$.
#
# </details>

# %% [markdown]
# Now the rod, without thermometers: the same network, forty collocation points, two ends. The
# source is of the size of a hundred, the temperature of the size of one, and squares make that ten
# thousand. So the equation gets the weight 0.01; otherwise the ends would hardly count.
#
# One thing more. $L$ is a *sum of squares*, and for those there is something better than following the
# gradient: linearise the residuals instead of the loss, and solve a linear least-squares problem in
# each iteration, with some damping. That is the method of Levenberg and Marquardt, and what our
# `train` has been doing since the cold open. It wants the vector of residuals, each scaled so that
# the squares add up to $L$. (Adam, which needs gradients only, comes in section 5.)


# %%
def rod_equations(x, sign=1.0, weights=(0.01, 1.0)):
    """Scaled residuals of a rod, a function of u; the squares add up to the loss.

    x: collocation points (N, 1). sign: of the source. weights: equation, ends.
    """
    ends = torch.tensor([[0.0], [1.0]])

    def equations(u):
        r = -derivatives(u, x)[2] - sign * source(x)
        parts = r[:, 0], u(ends)[:, 0]
        return torch.cat(
            [(w / len(p)) ** 0.5 * p for w, p in zip(weights, parts, strict=True)]
        )

    return equations


def midpoints(n):
    """n even points in (0, 1), half a step from the ends. Returns (n, 1)."""
    return (torch.arange(n)[:, None] + 0.5) / n


rod = network(SIZES, seed=1)
losses = train(rod, rod_equations(midpoints(40)), 80)
pinn_error = relative_error(rod, exact, line)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3))
with torch.no_grad():
    axes[0].plot(line, exact(line), color="k", lw=3, alpha=0.3, label="truth")
    axes[0].plot(line, rod(line), color="C0", label="PINN, no thermometer")
    axes[0].plot(line, fit, color="C1", ls="--", lw=1, label="fit to seven")
axes[0].plot(midpoints(40), 0 * midpoints(40) - 0.5, "|", color="k", ms=5)
axes[0].set(xlabel="x (ticks: collocation points)", ylabel="u", ylim=(-0.6, 2.7))
axes[0].legend(fontsize=8.5, loc="upper left")
axes[1].semilogy(losses, color="C0")
axes[1].set(xlabel="iteration", ylabel="loss")
figure(
    fig,
    caption="The network of the cold open again, taught by the equation instead of by "
    "data.",
    alt="Left: the PINN's curve lies on the truth through all its humps; the fit to seven "
    "thermometers cuts through them. Right: the loss falls from about 30 by seven "
    "orders of magnitude in 80 iterations, most of it between the 20th and the 40th.",
)

# %%
terms = loss_terms(
    rod,
    lambda u, x: -derivatives(u, x)[2] - source(x),
    midpoints(40),
    [(torch.tensor([[0.0], [1.0]]), torch.zeros(2))],
)
weighted = (torch.tensor([0.01, 1.0]) * terms).sum().item()
print(f"sum of squares over sum of weighted terms: {losses[-1] / weighted:.3f}")
print("relative error:", "below 0.02 %" if pinn_error < 2e-4 else "above 0.02 %")

# %% [markdown]
# No data inside, no mesh, and better than the thermometers by three orders of magnitude. Section 1
# reaches the same error with a few hundred unknown numbers, and here there are 481. The signature
# result comes back to this.
#
# A weight had to be chosen above, since the loss compares things of different size. One way out is
# to make the conditions hold **by construction**. Write
#
# $$ u(x, t) = g(x, t) + B(x, t)\, N_\theta(x, t), $$
#
# where $g$ takes the prescribed values and $B$ is zero where they are prescribed, and *only* there.
# Then whatever the network says, the conditions hold, and their terms drop out of the loss. This is
# a *hard constraint* (Lagaris, Likas and Fotiadis 1998); the penalty is called a *soft* one.
#
# There is a subtlety. Suppose $u$ is the solution. The network has to represent
# $N = (u - g) / B$. Near the boundary $u - g$ goes to zero, in general proportionally to the distance.
# If $B$ goes to zero *faster*, $N$ must become infinite, which no network can; put differently, $u = g + BN$
# could then never have the right slope at the boundary.

# %% [markdown]
# ### Exercise 31.5 · Conditions that cannot be violated
# Difficulty ●●●○○ · 3 points
#
# Burgers' equation on $-1 \le x \le 1$, $0 \le t \le 1$, with $u(x, 0) = -\sin \pi x$ and
# $u(\pm 1, t) = 0$. Write `constrain(x, y)`, which turns a network's output $y$ into a function that
# fulfils all three conditions and can still be anything else. The equation contains $u_t$ and
# $u_{xx}$, so the factor before $y$ and what is added to it must be smooth: no `abs`, no `minimum`,
# no `clamp`; and $u$ is differentiated in $x$ and $t$ through your lines.


# %% nbgrader={"grade": false, "grade_id": "ex31-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def constrain(x, y):
    """g(x, t) + B(x, t) y. x: (N, 2), space then time. y: (N, 1). Returns (N, 1)."""
    ### BEGIN SOLUTION
    space, time = x[:, :1], x[:, 1:]
    return -torch.sin(math.pi * space) + (1 - space**2) * time * y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
some = torch.linspace(-1, 1, 9)[:, None]
start = torch.cat([some, torch.zeros(9, 1)], dim=1)
ends = torch.tensor([[-1.0, 0.3], [-1.0, 0.9], [1.0, 0.3], [1.0, 0.9]])
for y in (-5.0, 0.0, 5.0):
    u = constrain(start, y + some)
    assert u.shape == (9, 1), "one value per point"
    assert torch.allclose(u, -torch.sin(math.pi * some)), (
        "at t = 0 the network's output must not matter, and u must be -sin(pi x)"
    )
    u = constrain(ends, y * torch.ones(4, 1))
    assert u.abs().max() < 1e-12, "at both ends u must be zero, at all times"
x = scattered(20, seed=5, low=(-0.9, 0.1), high=(0.9, 1.0))
free = constrain(x, torch.ones(20, 1)) - constrain(x, torch.zeros(20, 1))
assert (free != 0).all(), "inside, the network must be free to move u"

# %% nbgrader={"grade": true, "grade_id": "ex31-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
u = constrain(torch.tensor([[0.5, 0.0]]), torch.tensor([[123.0]]))
assert torch.allclose(u, torch.tensor([[-1.0]])), "the initial value, whatever y is"


### BEGIN HIDDEN TESTS
def influence(x):
    """B: what one unit of the network's output does."""
    ones = torch.ones(len(x), 1)
    return constrain(x, ones) - constrain(x, 0 * ones)


grid = torch.cartesian_prod(
    torch.linspace(-0.96, 0.96, 49), torch.linspace(0.02, 1, 50)
)
B = influence(grid)
assert (B > 0).all() or (B < 0).all(), (
    "somewhere inside the network has no influence: u is prescribed where it must be free"
)
for t in (0.0, 0.2, 0.7, 1.0):
    edge = torch.tensor([[-1.0, t], [1.0, t]])
    for y in (-30.0, 4.0):
        assert constrain(edge, y * torch.ones(2, 1)).abs().max() < 1e-10, (
            "both ends, at every time and for every network"
        )
biggest = B.abs().max()
step = 1e-3
along, across = torch.arange(-1, 1, step), torch.arange(0, 1, step)
lines = [torch.stack([along, torch.full_like(along, t)], 1) for t in (0.05, 0.4, 0.9)]
lines += [
    torch.stack([torch.full_like(across, x), across], 1) for x in (-0.8, 0.1, 0.5)
]
for points in lines:
    slopes = influence(points)[:, 0].diff() / step / biggest
    assert slopes.diff().abs().max() < 0.3, (
        "B has a kink: its slope jumps from one point to the next, so u_t or u_xx does "
        "not exist there, whatever the network does"
    )
fine_step = torch.arange(1, 10_000) * 1e-4
lines = [torch.stack([torch.full((9999,), x), fine_step], 1) for x in (-0.8, 0.1, 0.5)]
lines += [
    torch.stack([fine_step * 2 - 1, torch.full((9999,), t)], 1) for t in (0.1, 0.9)
]
for points in lines:
    alone = constrain(points, torch.zeros(9999, 1))[:, 0].diff() / 1e-4
    assert alone.diff().abs().max() < 0.3, (
        "what is added to B y has a kink: u_t or u_xx does not exist there, whatever the "
        "network does"
    )
small = 1e-4
near = {
    "t = 0": torch.tensor([[-0.5, small], [0.0, small], [0.7, small]]),
    "x = -1": torch.tensor([[-1 + small, 0.3], [-1 + small, 1.0]]),
    "x = 1": torch.tensor([[1 - small, 0.3], [1 - small, 1.0]]),
}
for side, x in near.items():
    ratio = influence(x).abs() / small / biggest
    assert ratio.min() > 0.02, (
        f"near {side}: B vanishes faster than the distance, so the slope of u there is "
        "fixed for every network"
    )
    assert ratio.max() < 100, f"near {side}: B jumps to its value"
x = scattered(30, seed=6, low=(-1.0, 0.0))
y = torch.randn(30, 1, generator=torch.Generator().manual_seed(7))
middle = constrain(x, y / 2)
mean = (constrain(x, y) + constrain(x, 0 * y)) / 2
assert torch.allclose(middle, mean), "u = g + B y is affine in y"
leaf = y.clone().requires_grad_()
moved = constrain(x, leaf)
assert moved.requires_grad, "no gradient comes back to the network"
assert torch.allclose(torch.autograd.grad(moved.sum(), leaf)[0], influence(x)), (
    "the gradient that comes back to the network must be B: is a part of y cut off?"
)
net = network([2, 6, 1], seed=8)


def whole(x):
    return constrain(x, net(x))


jet = pinn.jet_of(whole, x, pinn.Wanted.all(2))
for k, step in enumerate(1e-4 * torch.eye(2)):
    with torch.no_grad():
        ahead, back, here = whole(x + step), whole(x - step), whole(x)
    first, second = (ahead - back) / 2e-4, (ahead - 2 * here + back) / 1e-8
    assert torch.allclose(jet.p[:, :, k], first, atol=1e-5), (
        "u cannot be differentiated in x and t through your lines: g and B count too"
    )
    assert torch.allclose(jet.H[:, :, k, k], second, atol=1e-4), (
        "second derivatives of u do not agree with difference quotients"
    )
truth = pinn.cole_hopf(grid, 0.05)
needed = (truth - constrain(grid, torch.zeros(len(grid), 1))) / influence(grid)
assert (needed.abs() * biggest).max() < 200, (
    "to represent the solution, the network would have to blow up near the boundary"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First $g$: which simple function is $-\sin \pi x$ at $t = 0$ and zero at $x = \pm 1$? It may ignore $t$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $B$ is a product with one simple zero for each side: one factor for $t = 0$, one for $x = -1$, one
# for $x = 1$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $B = (1 - x^2)\, t$ has a simple zero on each of the three sides, and no other.
#
# </details>

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 2.7))
for seed in range(4):
    net = network([2, 20, 20, 1], seed)
    for ax, t in zip(axes, (0.0, 0.7), strict=True):
        x = torch.stack([torch.linspace(-1, 1, 101), torch.full((101,), t)], dim=1)
        with torch.no_grad():
            ax.plot(x[:, 0], constrain(x, 4 * net(x)), lw=1.2)
        ax.set(title=f"t = {t}", xlabel="x", ylabel="u")
figure(
    fig,
    caption="Four networks with random weights behind the same hard constraint: all agree "
    "where something is prescribed.",
    alt="Two panels. At t = 0 four curves lie on one, minus a sine. At t = 0.7 they differ "
    "widely inside and meet in zero at both ends.",
)

# %% [markdown]
# ## 5. DeepXDE, by hand
#
# Choosing points, evaluating, looping: every PINN does it, so there are libraries. **DeepXDE** (Lu,
# Meng, Mao and Karniadakis 2021) is the most used one. Its pipeline has five stations:
#
# | station | object | here |
# |---|---|---|
# | where | `dde.geometry` | an interval times a span of time |
# | conditions | `dde.icbc` | `DirichletBC` at the ends, `IC` at the first time |
# | equation and points | `dde.data.TimePDE` | your `pde(x, y)`, and how many points of each kind |
# | unknown | `dde.nn.FNN` | layer sizes, activation, initialisation |
# | training | `dde.Model` | `compile` an optimiser, then `train` |
#
# Conditions are written in NumPy, the equation in PyTorch. `dde.grad.jacobian(y, x, i, j)` is
# $\partial y_i / \partial x_j$ at every point, a column; `hessian` is the second derivative. They do
# your sum trick, and remember what they have computed. DeepXDE's default is float32; since `pinn`
# was imported first, it computes in float64 here. We take $\nu = 0.02$.

# %%
NU = 0.02
strip = dde.geometry.GeometryXTime(
    dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1)
)
at_ends = dde.icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on)
at_start = dde.icbc.IC(strip, lambda x: -np.sin(np.pi * x[:, :1]), lambda x, on: on)


def pde(x, y):
    """Burgers' equation as DeepXDE wants it."""
    y_x = dde.grad.jacobian(y, x, i=0, j=0)
    y_t = dde.grad.jacobian(y, x, i=0, j=1)
    y_xx = dde.grad.hessian(y, x, i=0, j=0)
    return y_t + y * y_x - NU * y_xx


dde.config.set_random_seed(31)
data = dde.data.TimePDE(
    strip,
    pde,
    [at_ends, at_start],
    num_domain=400,
    num_boundary=40,
    num_initial=40,
    train_distribution="Hammersley",
)
by_hand = dde.nn.FNN([2, 16, 16, 16, 1], "tanh", "Glorot normal")
model = dde.Model(data, by_hand)
model.compile("adam", lr=5e-3, verbose=0)
history, state = model.train(iterations=200, display_every=100, verbose=0)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), gridspec_kw={"width_ratios": [3, 2]})
axes[0].plot(*data.train_x_all.T, ".", ms=3, color="C0")
conditions_at = data.train_x_bc
axes[0].plot(*conditions_at.T, "x", ms=4, color="C1")
axes[0].set(xlabel="x", ylabel="t")
for column, name in zip(
    np.array(history.loss_train).T, ("equation", "ends", "start"), strict=True
):
    axes[1].semilogy(history.steps, column, marker="o", ms=4, label=name)
axes[1].set(xlabel="step of Adam", ylabel="loss term", ylim=(1e-3, 10))
axes[1].legend(fontsize=8.5)
figure(
    fig,
    caption="What DeepXDE trains on: points for the equation (dots) and for the conditions "
    "(crosses), and the three loss terms, after 0, 100 and 200 steps.",
    alt="Left: evenly scattered dots fill a rectangle of x from -1 to 1 and t from 0 to 1; "
    "crosses stand on its left, lower and right side. Right: three loss terms; the one of "
    "the initial values falls most.",
)

# %%
x = torch.tensor(data.train_x_all)
same = burgers_residual(by_hand, x, NU)
x.requires_grad_()
theirs = pde(x, by_hand(x))
dde.grad.clear()
apart = (same - theirs).abs().max().item()
print("pde(x, y) and our residual:", "equal" if apart < 1e-12 else f"{apart:.0e} apart")
print(f"sum of the losses, first: {sum(history.loss_train[0]):.1f}")
print(f"sum of the losses, last:  {sum(state.loss_train):.1f}")

# %% [markdown]
# Look at the equation's own term: it *rises* at first. A nearly flat network, as it is before
# training, fulfils Burgers' equation almost perfectly; only the initial values force it to move.
#
# Two hundred steps of Adam are only a beginning. But before we train in earnest: note what this
# program has fixed. The equation is written as *a residual at a point*. Should we want the flux
# through an interface (chapter 33), an integral against test functions (chapter 34) or finite
# elements, we would have to write it again, three times, by hand.

# %% [markdown]
# ## 6. State it once: the balance law
#
# Burgers' equation says that something is *conserved*. Write it as a divergence in space-time,
#
# $$ \frac{\partial}{\partial x} \underbrace{\Big( \tfrac12 u^2 - \nu u_x \Big)}_{F_x}
#    + \frac{\partial}{\partial t} \underbrace{\vphantom{\Big(} u}_{F_t} = 0,
#    \qquad \operatorname{div} F = 0 . $$
#
# $F_x$ is what flows through a point $x$ per time; $F_t$ is what there is. Integrated over any box
# of space-time, as much goes in as comes out: $\oint F \cdot n = 0$, shock or no shock. The same for
# the rod: $F = -u'$, $\operatorname{div} F = s$. From the **flux** $F(x, u, \nabla u)$ follow the
# pointwise residual, the flux through interfaces and the weak form. So a `pinn.Problem` asks for
# nothing else.
#
# **Shapes.** `x` is `(N, d)`; `u` is `(N, 1)`; `p`, the gradient, is `(N, 1, d)`: points, unknowns,
# coordinates. A flux returns `(N, 1, d)`: points, equations, coordinates.

# %% [markdown]
# ### Exercise 31.6 · The flux and its divergence
# Difficulty ●●●●○ · 4 points
#
# Write `burgers_flux(x, u, p, nu)`, and `flux_divergence(flux, u, x)`, the divergence of *any* flux
# `flux(x, u, p)` along any function `u` of points, a straight line among them. A flux may depend on
# the place explicitly (a rod of two materials), and one must be able to train through it. The
# derivatives are exact, as those of `derivatives` are.


# %% nbgrader={"grade": false, "grade_id": "ex31-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def burgers_flux(x, u, p, nu):
    """Flux (u^2 / 2 - nu u_x, u). x: (N, 2). u: (N, 1). p: (N, 1, 2). Returns (N, 1, 2)."""
    ### BEGIN SOLUTION
    return torch.stack([u**2 / 2 - nu * p[:, :, 0], u], dim=2)
    ### END SOLUTION


def flux_divergence(flux, u, x):
    """Divergence of flux(x, u, p), p being the gradient of u.

    flux: takes x (N, d), u (N, 1), p (N, 1, d), returns (N, 1, d).
    u: function of points (N, d), returns (N, 1). x: (N, d). Returns (N, 1).
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    value = u(x)
    (p,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    F = flux(x, value, p[:, None, :])
    total = torch.zeros(len(x), 1)
    for k in range(x.shape[1]):
        part = F[:, 0, k]
        if part.requires_grad:
            (slope,) = torch.autograd.grad(
                part.sum(), x, create_graph=True, allow_unused=True
            )
            if slope is not None:
                total = total + slope[:, k : k + 1]
    return total
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
u, p = torch.tensor([[3.0]]), torch.tensor([[[5.0, 7.0]]])
F = burgers_flux(torch.zeros(1, 2), u, p, nu=0.1)
assert F.shape == (1, 1, 2), "points, equations, coordinates"
assert torch.allclose(F, torch.tensor([[[4.0, 3.0]]])), (
    "4.5 - 0.1 * 5 in space, u in time"
)
x, wave = scattered(8, seed=3), travelling_wave(nu=0.2)
div = flux_divergence(lambda x, u, p: burgers_flux(x, u, p, 0.2), wave, x)
assert div.shape == (8, 1), "one number per point"
assert div.abs().max() < 1e-10, "a solution of Burgers' equation conserves"

# %% nbgrader={"grade": true, "grade_id": "ex31-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
points = torch.tensor([[2.0], [3.0]])
div = flux_divergence(lambda x, u, p: -p, lambda x: x**3, points)
assert torch.allclose(div, -6 * points), "for the flux -u' the divergence is -u''"
### BEGIN HIDDEN TESTS
for seed, nu in enumerate((0.01, 0.1, 1.0)):
    net, x = network([2, 8, 8, 1], seed), scattered(9, seed + 60)

    def flux(x, u, p, nu=nu):
        return burgers_flux(x, u, p, nu)

    div = flux_divergence(flux, net, x)
    jet = pinn.jet_of(net, x, pinn.Wanted.all(2))
    r = jet.p[:, :, 1] + jet.u * jet.p[:, :, 0] - nu * jet.H[:, :, 0, 0]
    assert (div - r).abs().max() < 1e-11 * (1 + r.abs().max()), (
        "the divergence of the flux must be the pointwise residual, for any function, to "
        "round-off: a difference quotient is no derivative"
    )
    assert div.requires_grad, "a network is to be trained by it"
    (slope,) = torch.autograd.grad(div.square().sum(), net[0].weight, retain_graph=True)
    (expected,) = torch.autograd.grad(r.square().sum(), net[0].weight)
    assert torch.allclose(slope, expected, atol=1e-10), (
        "values agree but gradients do not: is p cut off from the parameters?"
    )
    nodes, w = (torch.tensor(v) for v in np.polynomial.legendre.leggauss(40))
    wave = travelling_wave(0.2 + nu, 1.0, 0.4)
    total = 0.0
    for axis, side in ((0, -0.5), (0, 0.6), (1, 0.2), (1, 0.9)):
        low, high = ((0.2, 0.9), (-0.5, 0.6))[axis]
        along = low + (high - low) * (nodes + 1) / 2
        edge = torch.stack([torch.full_like(along, side), along], dim=1)
        edge = edge if axis == 0 else edge.flip(1)
        jet = pinn.jet_of(wave, edge, pinn.Wanted.all(2, order=1))
        F = burgers_flux(edge, jet.u, jet.p, 0.2 + nu)[:, 0, axis]
        outward = 1 if side > 0.5 else -1
        total = total + outward * (w * F).sum() * (high - low) / 2
    assert abs(float(total.detach())) < 1e-9, (
        "round a box of space-time as much must flow in as out"
    )
x = scattered(6, seed=70)
a, t = x[:, :1], x[:, 1:]


def product(x):
    return x[:, :1] ** 2 * x[:, 1:]


def layered(x, u, p):
    return torch.stack([-x[:, :1] * p[:, :, 0], x[:, 1:] * u], dim=2)


expected = -4 * a * t + 2 * a**2 * t
assert torch.allclose(flux_divergence(layered, product, x), expected), (
    "a flux that depends on the place: its explicit dependence counts too"
)
crossed = flux_divergence(lambda x, u, p: p.flip(2), product, x)
assert torch.allclose(crossed, 4 * a), (
    "component k of the flux is differentiated by coordinate k, and by no other"
)
half = flux_divergence(lambda x, u, p: p * torch.tensor([1.0, 0.0]), product, x)
assert torch.allclose(half, 2 * t), "nothing may flow along one of the axes"
straight = flux_divergence(lambda x, u, p: -p, lambda x: 3 * x[:, :1] - 1, x)
assert straight.shape == (6, 1) and (straight == 0).all(), (
    "along a straight line the flux -p is constant: no graph, and the divergence is zero"
)
room = torch.rand(5, 3, generator=torch.Generator().manual_seed(71))
power = torch.tensor([2.0, 3.0, 4.0])
div = flux_divergence(
    lambda x, u, p: p, lambda x: (x**power).sum(1, keepdim=True), room
)
by_hand = (power * (power - 1) * room ** (power - 2)).sum(1, keepdim=True)
assert torch.allclose(div, by_hand), "three coordinates: every one has its share"
assert not x.requires_grad, "the caller's points have been changed"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In `burgers_flux`, $u_x$ is `p[:, :, 0]`, shape `(N, 1)` like `u`. `torch.stack([..., ...], dim=2)`
# makes `(N, 1, 2)` of two such columns.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Make `x` a leaf, compute $u$ and, with `create_graph=True`, its gradient; then `F` is a function of
# `x` in three ways at once, through `x`, `u` and `p`, and autograd follows all of them. Do not use
# anything detached.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Differentiate `F[:, 0, k].sum()` by `x`, with `create_graph=True` and `allow_unused=True`; of the answer
# only column $k$ belongs to the divergence.
#
# </details>

# %% [markdown]
# With the flux and DeepXDE's own geometry and conditions the problem is stated. From here
# every method of part 3 can take it. `pinn.solve` trains; its default optimiser is a quasi-Newton
# method: it learns the curvature of the loss from its gradients (chapter 32), and makes ten
# iterations per step. The solution of Cole and
# Hopf is given for comparison only; no training sees it.

# %%
burgers = pinn.Problem(
    strip,
    lambda x, u, p: burgers_flux(x, u, p, NU),
    conditions=[at_ends, at_start],
    exact=lambda x: pinn.cole_hopf(x, NU),
)
vanilla = pinn.Vanilla(num_domain=800, num_sides=50, hidden=(16, 16, 16), resample=None)
solution = pinn.solve(burgers, vanilla, iterations=40, seed=0)

# %% tags=["front-page", "picture"]
times = (0.0, 0.2, 0.4, 0.6, 1.0)
across = torch.linspace(-1, 1, 201)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), gridspec_kw={"width_ratios": [3, 2.4]})
for k, t in enumerate(times):
    x = torch.stack([across, torch.full_like(across, t)], dim=1)
    colour = plt.get_cmap("viridis")(0.9 * k / 4)
    axes[0].plot(across, solution.predict(x), color=colour, ls="-", label=f"t = {t}")
    axes[0].plot(
        across[::8], burgers.exact(x)[::8], "o", mfc="none", ms=3, color=colour
    )
axes[0].set(xlabel="x", ylabel="u", ylim=(-1.15, 1.15))
axes[0].legend(fontsize=8.5, loc="lower left")
grid = torch.cartesian_prod(across, torch.linspace(0, 1, 101))
field = solution.predict(grid).reshape(201, 101).T
image = axes[1].imshow(
    field, origin="lower", extent=(-1, 1, 0, 1), aspect="auto", cmap="RdBu_r"
)
axes[1].set(xlabel="x", ylabel="t")
axes[1].grid(False)
fig.colorbar(image, ax=axes[1], label="u")
figure(
    fig,
    caption="A shock forms: a PINN's solution of Burgers' equation (lines and colours) and "
    "the one of Cole and Hopf (circles).",
    alt="Left: at t = 0 minus a sine; the curve steepens around x = 0 until, from t = 0.4 "
    "on, it drops almost vertically from plus to minus; circles of the exact "
    "solution lie on every line. Right: in the plane of x and t, a red half and a blue half, "
    "the border between them growing sharp as t increases.",
)

# %%
print("relative error:", "below 0.1 %" if solution.error() < 1e-3 else "above 0.1 %")
print(f"loss:           {solution.history.loss[-1]:.0e}")

# %% [markdown]
# The wave steepens because its left half moves to the right and its right half to the left; they
# meet at $x = 0$, and the viscosity holds the jump at a width of about $4 \nu$. Nobody gave the
# network a shock, only a rule that holds at every point.

# %% [markdown]
# ## 7. Residual and error
#
# Training lowers the residual. We want a small *error*. What has one to do with the other? For
# the equation $-\varepsilon u'' = s$ on $(a, b)$ everything can be said. Let $e = u_\theta - u$. It solves
# the same equation with the residual as its source,
#
# $$ -\varepsilon\, e'' = r, \qquad e(a), e(b) = \text{errors at the ends}, $$
#
# and the solution of $-\varepsilon e'' = \rho$ with zero ends and a *constant* $\rho > 0$ is the parabola
# $\rho\, (x - a)(b - x) / 2 \varepsilon$. No residual with $|r| \le \rho$ can do more: the parabola
# minus $e$ has a second derivative $\le 0$, and a function that bends down everywhere is smallest at
# one of its ends (the *maximum principle*). The ends add at most their larger error. The parabola is highest in the middle. That
# is a bound that needs no knowledge of $u$: a **certificate**, like the duality gap of chapter 11.

# %% [markdown]
# ### Exercise 31.7 · A certificate, and its limit
# Difficulty ●●●●○ · 4 points
#
# Write `error_bound(u, s, eps, a, b, left, right)`, the bound on $\max |u_\theta - u|$, with the
# residual's maximum taken over 2001 even points of $[a, b]$, the ends included. And
# `worst_error(delta, eps, a, b)`: the *function* that, added to the solution, changes
# the residual by `delta` everywhere and no value at the ends: the largest error that a residual
# of this size can hide.


# %% nbgrader={"grade": false, "grade_id": "ex31-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def error_bound(u, s, eps, a, b, left, right):
    """Bound the error of u as a solution of -eps u'' = s on (a, b).

    u, s: functions of points (N, 1), return (N, 1). left, right: true values at a and b.
    Returns a float, at least max |u - solution|.
    """
    ### BEGIN SOLUTION
    x = torch.linspace(a, b, 2001)[:, None]
    value, _, second = derivatives(u, x)
    r = -eps * second - s(x)
    ends = max(abs(value[0].item() - left), abs(value[-1].item() - right))
    return ends + (b - a) ** 2 / (8 * eps) * r.abs().max().item()
    ### END SOLUTION


def worst_error(delta, eps, a, b):
    """Return the function of points with -eps e'' = delta and e(a) = e(b) = 0."""
    ### BEGIN SOLUTION
    return lambda x: delta * (x - a) * (b - x) / (2 * eps)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex31-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
bound = error_bound(exact, source, 1.0, 0.0, 1.0, 0.0, 0.0)
assert bound < 1e-10, "the solution has no residual and no error at the ends"
bound = error_bound(lambda x: exact(x) + 0.3, source, 1.0, 0.0, 1.0, 0.0, 0.0)
assert abs(bound - 0.3) < 1e-8, (
    "raised by 0.3 everywhere: no residual at all, and yet an error; the ends know it"
)
hidden = worst_error(0.8, 1.0, 0.0, 1.0)
assert abs(hidden(torch.tensor([[0.5]])).item() - 0.1) < 1e-12, "0.8 / 8 in the middle"
bound = error_bound(lambda x: exact(x) + hidden(x), source, 1.0, 0.0, 1.0, 0.0, 0.0)
assert abs(bound - 0.1) < 1e-8, "the worst error attains the bound"

# %% nbgrader={"grade": true, "grade_id": "ex31-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
hidden = worst_error(1.0, 0.5, -1.0, 3.0)
at = hidden(torch.tensor([[-1.0], [1.0], [3.0]])).flatten()
assert torch.allclose(at, torch.tensor([0.0, 4.0, 0.0])), (
    "width 4, eps 0.5: 16 / (8 * 0.5)"
)


### BEGIN HIDDEN TESTS
def zero(x):
    return 0 * x


for eps, a, b in (
    (1.0, 0.0, 1.0),
    (0.01, -1.0, 1.0),
    (3.0, 2.0, 2.5),
    (1e-3, -0.2, 0.7),
):
    x = torch.linspace(a, b, 801)[:, None]
    hidden = worst_error(0.1, eps, a, b)
    jet = pinn.jet_of(hidden, x, pinn.Wanted.all(1))
    assert torch.allclose(-eps * jet.H, torch.tensor(0.1)), "the residual is delta"
    assert jet.u[[0, -1]].abs().max() < 1e-9, "the ends must stay right"
    bound = error_bound(hidden, zero, eps, a, b, 0.0, 0.0)
    height = hidden(x).max().item()
    assert abs(bound / height - 1) < 1e-4, (
        "the worst error attains the bound, on every interval and for every eps"
    )
    lifted = worst_error(-0.1, eps, a, b)(x)
    assert torch.allclose(lifted, -hidden(x)), (
        "the residual changes by delta, with its sign: a negative one bends the other way"
    )
    negative = error_bound(lambda x, e=hidden: -e(x), zero, eps, a, b, 0.0, 0.0)
    assert abs(negative / height - 1) < 1e-4, "the sign of the residual does not matter"
    for seed in range(3):
        net = network([1, 8, 1], seed)
        line_up = net(torch.tensor([[a], [b]])).flatten().tolist()
        for shift in (0.0, 0.7):  # the truth is a straight line between the ends

            def truth(x):
                share = (x - a) / (b - a)  # noqa: B023
                return line_up[0] * (1 - share) + (line_up[1] + shift) * share  # noqa: B023

            bound = error_bound(net, zero, eps, a, b, line_up[0], line_up[1] + shift)
            error = (net(x) - truth(x)).abs().max().item()
            assert bound >= error - 1e-9, "the error is larger than its bound"
            bend = pinn.jet_of(net, x, pinn.Wanted.all(1)).H.abs().max().item()
            exact_bound = abs(shift) + (b - a) ** 2 / 8 * bend
            assert bound < 1.001 * exact_bound + 1e-9, (
                "correct but too generous: the two ends do not add up, the larger counts"
            )
            assert bound > 0.999 * exact_bound, (
                "the residual counts by its largest value: its mean, or the root of its "
                "mean square, is smaller and bounds no error at a point"
            )
    tilted = error_bound(lambda x: x, zero, eps, a, b, a - 0.2, b + 0.5)
    assert abs(tilted - 0.5) < 1e-9, "a straight line with wrong ends: the larger error"
    left = error_bound(lambda x: x, zero, eps, a, b, a + 0.4, b)
    assert abs(left - 0.4) < 1e-9, "left and right belong to a and b, in this order"
    for peak in torch.linspace(a, b, 2001)[[0, 777, 1501, 2000]].tolist():

        def needle(x, peak=peak, width=(b - a) / 10_000):
            return torch.exp(-(((x - peak) / width) ** 2))

        bound = error_bound(zero, needle, eps, a, b, 0.0, 0.0)
        assert abs(bound * 8 * eps / (b - a) ** 2 - 1) < 1e-6, (
            "the residual is looked at in all 2001 even points, both ends among them: one "
            "was overlooked"
        )
assert isinstance(error_bound(exact, source, 1.0, 0.0, 1.0, 0.0, 0.0), float), "a float"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# $r = -\varepsilon u_\theta'' - s$ from your `derivatives`. The parabola of height
# $\rho\, (b - a)^2 / 8 \varepsilon$ is the worst that $|r| \le \rho$ can do.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A straight line $\ell$ through the two end errors has $\ell'' = 0$: subtract it, and what remains has
# zero ends. A line is never larger than at one of its ends, so $\max(|e(a)|, |e(b)|)$ is added.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\max(|e(a)|, |e(b)|) + \dfrac{(b - a)^2}{8 \varepsilon} \max |r|$. The worst error is the parabola with
# $-\varepsilon e'' = \delta$ and zeros at $a$ and $b$.
#
# </details>

# %% [markdown]
# First the good news. For the rod, with $\varepsilon = 1$, the bound holds and says something. (We take
# a maximum over 2001 points for the maximum over all: a careful guess, not a proof.) It is hundreds
# of times larger than the true error, since a residual that changes its sign does much less than
# the parabola.
# Then the other side: keep the residual at 0.1 everywhere, and let $\varepsilon$ vary.

# %%
bound = error_bound(rod, source, 1.0, 0.0, 1.0, 0.0, 0.0)
with torch.no_grad():
    worst = (rod(line) - exact(line)).abs().max().item()
print(f"largest error of our PINN: {worst:.0e}")
print(f"its certificate:           {bound:.0e}")

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9))
for k, eps in enumerate((1.0, 0.1, 0.01)):
    truth = torch.sin(math.pi * line)  # solves -eps u'' = eps pi^2 sin(pi x)
    moved = truth + worst_error(0.1, eps, 0.0, 1.0)(line)
    axes[0].plot(line, moved, color=f"C{k}", label=f"ε = {eps}")
axes[0].plot(line, torch.sin(math.pi * line), color="k", lw=0.8, label="truth")
axes[0].set(xlabel="x", ylabel="u", ylim=(0, 2.9))
axes[0].legend(fontsize=8.5, ncols=2)
scales = torch.logspace(-4, 0, 9)
heights = [worst_error(0.1, e, 0.0, 1.0)(torch.tensor([[0.5]])).item() for e in scales]
axes[1].loglog(scales, heights, marker="o", ms=4)
axes[1].set(xlabel="ε", ylabel="largest hidden error")
figure(
    fig,
    caption="The same residual, 0.1, at every point of every curve: how much it may hide "
    "depends on the equation.",
    alt="Left: the true sine and three curves with the same residual; for ε = 1 the curve "
    "lies on the truth, for 0.1 slightly above it, for 0.01 it is more than twice as high. "
    "Right: the largest hidden error against ε on log axes, a straight line that falls from "
    "above one hundred to about 0.01.",
)

# %% [markdown]
# The residual has a *unit*, and the certificate divides by $\varepsilon$. A loss of $10^{-6}$ says
# nothing until somebody has said what it is multiplied by.
#
# And for Burgers' equation? Solve it by finite differences, once as it is and once with a tiny
# constant residual $r$ on its right-hand side, so that $u_t + u u_x - \nu u_{xx} = r$. Compare at
# $t = 1$.


# %%
def burgers_by_differences(n, nu, r=0.0, end=1.0):
    """Central fluxes on n cells, Heun's method. Returns centres, u at the end, steps."""
    h = 2 / n
    x = -1 + h * (torch.arange(n) + 0.5)
    u = -torch.sin(math.pi * x)
    steps = math.ceil(end / min(0.4 * h**2 / nu, 0.5 * h))
    dt = end / steps

    def change(u):
        padded = torch.cat([-u[:1], u, -u[-1:]])  # odd about the ends: u = 0 there
        F = (padded[1:] ** 2 + padded[:-1] ** 2) / 4 - nu * padded.diff() / h
        return r - F.diff() / h

    for _ in range(steps):
        first = u + dt * change(u)
        u = (u + first + dt * change(first)) / 2
    return x, u, steps


print("    nu   largest error / r   times nu   mean error / r")
for nu in (0.08, 0.04, 0.02):
    right, moved = (burgers_by_differences(400, nu, r)[1] for r in (0.0, 1e-4))
    e = (moved - right).abs() / 1e-4
    print(f"{nu:6.2f}{e.max():15.1f}{nu * e.max():15.2f}{e.mean():14.2f}")

# %% [markdown]
# The largest error grows like $0.15 / \nu$. The reason: the residual pushes the shock a little to
# the side. A steep curve that is shifted a little is wrong by a lot, but only on a width of about
# $\nu$. The *mean* error does not know $\nu$: it is at most the mean residual times the duration.
# That is a theorem. Burgers' equation is a contraction in $L^1$: two solutions never move apart in
# the mean of $|u - v|$ (Kruzhkov 1970). So how dangerous a residual is depends on the equation *and*
# on how the error is measured.
#
# ## The library's version
#
# All that you wrote is in `pinn`, with checks at the door.

# %%
x = scattered(50, seed=11)
net = pinn.JetFNN([2, 16, 16, 1], generator=torch.Generator().manual_seed(1))
jet = net.jet(x, pinn.Wanted.all(2))
value, gradient, second = derivatives(net, x)


def equal(one, other):
    """How far two tensors are apart, in words."""
    apart = (one - other).abs().max().item()
    return "equal to 1e-10" if apart < 1e-10 else f"{apart:.0e} apart"


print("first derivatives, without autograd:", equal(jet.p[:, 0], gradient))
bends = torch.diagonal(jet.H[:, 0], dim1=1, dim2=2)
print("second derivatives, without autograd:", equal(bends, second))
zoo = pinn.zoo.burgers(NU)
print("flux:", equal(zoo.flux(x, jet.u, jet.p), burgers_flux(x, jet.u, jet.p, NU)))
strong = burgers.strong_residual(x, jet)
print("residual from the flux:", equal(strong, burgers_residual(net, x, NU)))
print("hard constraint:", equal(zoo.hard(x, value), constrain(x, value)))

ours = pinn.Strong(burgers, num_domain=400, num_boundary=40, num_initial=40)
mine = loss_terms(
    net,
    lambda u, x: burgers_residual(u, x, NU),
    torch.tensor(ours.train_x_all),
    [
        (p, -torch.sin(math.pi * p[:, 0]) * (p[:, 1] == 0))
        for p in [
            torch.tensor(part)
            for part in np.split(ours.train_x, np.cumsum(ours.num_bcs)[:-1])
        ]
    ],
)
total = ours.residual_vector(net).square().sum()
print("loss:", equal(mine.sum(), total))

# %% [markdown]
# `JetFNN` does not call autograd for derivatives in $x$. It carries $u$, $\nabla u$ and the second
# derivatives through the layers side by side, by the chain rule, in one matrix product per layer. Only
# the derivative in $\theta$ is left to autograd. And the problem told it what to compute: it tries
# out the flux and finds that of three second derivatives only one is needed.

# %%
print("second derivatives that Burgers' equation reads:", burgers.wanted.second)

# %% [markdown]
# ## Signature result: what a PINN finds, what it costs, and when it lies
#
# Three questions in one picture. **Is it right?** The rod and Burgers' equation, against their
# solutions. **What does it cost?** The same two problems by finite differences: for the rod
# the table of section 1; for Burgers' equation the scheme of section 7, central fluxes in space and Heun's
# method (two evaluations a step) in time. We count multiplications, in the most favourable way for the network:
# an evaluation of loss and gradient takes $3 \cdot c \cdot P$ of them per point, $P$ being the number
# of parameters and $c$ that of the values and derivatives carried along; an iteration
# with $m$ residuals takes $m^2 P$ more for the rod (Levenberg-Marquardt), and $4 P^2$ for Burgers'
# equation (quasi-Newton).
#
# **Would we notice if it lied?** Two *negative controls* for the rod: the loss **without its boundary
# term**, and the **wrong sign of the source**. Same network, same points, same optimiser.

# %%
shock = []
for n in (50, 100, 200, 400):
    x, u, steps = burgers_by_differences(n, NU)
    truth = pinn.cole_hopf(torch.stack([x, torch.ones(n)], dim=1), NU)[:, 0]
    shock.append((12 * n * steps, ((u - truth).norm() / truth.norm()).item()))

at_end = torch.stack([torch.linspace(-0.99, 0.99, 400), torch.ones(400)], dim=1)
burgers_error = relative_error(solution.predict, burgers.exact, at_end)
iterations = 10 * 40
costs = {
    "rod": (3 * 3 * 40 + 42**2) * 481 * (len(losses) - 1),
    "Burgers": 3 * 4 * solution.parameters * 900 * iterations
    + 4 * solution.parameters**2 * iterations,
}

without = network(SIZES, seed=1)
no_boundary = train(without, rod_equations(midpoints(40), weights=(0.01, 0.0)), 80)
flipped = network(SIZES, seed=1)
wrong_sign = train(flipped, rod_equations(midpoints(40), sign=-1.0), 80)

# %% tags=["picture"]
trained = {"PINN": rod, "no boundary term": without, "wrong sign": flipped}
curves = {"PINN": losses, "no boundary term": no_boundary, "wrong sign": wrong_sign}
fig, axes = plt.subplots(1, 3, figsize=(7, 3.2))
axes[0].plot(line, exact(line), color="k", ls="-", lw=4, alpha=0.25, label="truth")
for (name, net), colour, style in zip(
    trained.items(), ("C0", "C1", "C2"), ("-", "--", "-."), strict=True
):
    with torch.no_grad():
        axes[0].plot(line, net(line), color=colour, ls=style, label=name)
    axes[1].semilogy(curves[name], color=colour, ls=style)
axes[0].set(xlabel="x", ylabel="u", title="the rod, and two lies")
axes[1].set(xlabel="iteration", ylabel="loss", title="their losses")
axes[2].loglog(5 * counts, fd_errors, "o-", color="C0", ms=3)
axes[2].loglog(*zip(*shock, strict=True), "s--", color="C1", ms=3)
axes[2].loglog(costs["rod"], pinn_error, "o", color="C0", ms=8, mfc="none")
axes[2].loglog(costs["Burgers"], burgers_error, "s", color="C1", ms=8, mfc="none")
axes[2].set(xlabel="multiplications", ylabel="relative error", title="cost")
axes[2].text(60, 3e-5, "rod", color="C0", fontsize=8.5)
axes[2].text(5e5, 5e-3, "Burgers", color="C1", fontsize=8.5)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure(
    fig,
    caption="Left and middle: a PINN and two negative controls; their losses do not tell "
    "them apart. Right: error against work, finite differences (lines) and PINNs (large "
    "open marks).",
    alt="Left: the PINN lies on the truth, the curve without boundary term has the same "
    "humps but is tilted and shifted away, the one with the wrong sign is upside down. "
    "Middle: three losses fall alike by many orders of magnitude. Right, on log axes: the "
    "lines of finite differences lie far to the left of the two marks of the "
    "PINNs, by several powers of ten at the same error.",
)

# %%
print(f"{'':18s}{'final loss':>12s}{'error':>10s}")
for name, net in trained.items():
    tiny = "below 1e-4" if curves[name][-1] < 1e-4 else "large"
    error = relative_error(net, exact, line)
    shown = (
        "below 0.1 %" if error < 1e-3 else "above 50 %" if error > 0.5 else "between"
    )
    print(f"{name:18s}{tiny:>12s}{shown:>13s}")


def classical_work(pairs, error):
    """Multiplications after which finite differences are as good as this."""
    return next((work for work, e in pairs if e <= error), pairs[-1][0])


rod_work = classical_work(list(zip(5 * counts, fd_errors, strict=True)), pinn_error)
burgers_work = classical_work(shock, burgers_error)
print("for the same error, a PINN takes about 10^k times the work, k =")
print(f"  for the rod {math.log10(costs['rod'] / rod_work):.0f}", end=", ")
print(f"for Burgers {math.log10(costs['Burgers'] / burgers_work):.0f}")

# %% [markdown]
# **The losses of the liars are no larger than that of the honest run.** Without boundary term there are
# infinitely many solutions, $u + \alpha + \beta x$, and training finds one of them; with the wrong
# sign it solves another problem perfectly. A loss tells whether *the problem that was typed in* has
# been solved at the points that were looked at. Only a solution, a certificate or an independent
# method tells the rest.
#
# And the cost: finite differences are ahead by orders of magnitude, on both problems. This
# is not special to our two problems. Grossmann and others compared systematically in 2024 and could not find a
# case among their equations where PINNs beat finite elements in both time and accuracy. What a
# PINN has is something else: no mesh, a formula to evaluate anywhere, the same few lines for any
# equation, and data and unknown coefficients as just another term of the loss.
#
# One more yardstick, on a problem with a steep layer in two dimensions, and what the library's
# longer runs have reached, from its stored benchmark.

# %%
rows = stored("pinn")["rows"]
yardstick, long_run = rows["fem_steep_2d"], rows["burgers_900s"]
unknowns = long_run["runs"]["0"]["parameters"]
found = {
    "steep Poisson in 2-D, finite elements": (
        yardstick["error"],
        yardstick["parameters"],
    ),
    "Burgers, ν = 0.01/π, PINN, 150 s of CPU": (
        long_run["median"]["error_150s"],
        unknowns,
    ),
    "Burgers, ν = 0.01/π, PINN, 900 s of CPU": (long_run["median"]["error"], unknowns),
}
for name, (error, count) in found.items():
    print(f"{name:41s} error {error:.0e}, {count:6d} unknowns")

# %% [markdown]
# For comparison: on Burgers' equation with $\nu = 0.01/\pi$, a sixth of ours, Raissi, Perdikaris and
# Karniadakis published errors of 4.9e-4 to 6.7e-4. How to get there and below is a matter of
# training: chapter 32.
#
# ## An experiment to change
#
# How many collocation points does the rod need? And what do more of them cost?

# %%
POINTS = [8, 20, 40, 80]
WIDTH = 20
STEPS = 80
SEED = 1

print("points   loss at them   error")
for n in POINTS:
    net = network([1, WIDTH, WIDTH, 1], SEED)
    curve = train(net, rod_equations(midpoints(n)), STEPS)
    error = relative_error(net, exact, line)
    shown = "below 1 %" if error < 1e-2 else "above 5 %" if error > 0.05 else "between"
    print(
        f"{n:6d}   {'below 1e-15' if curve[-1] < 1e-15 else 'above 1e-10':12s}   {shown}"
    )

# %% [markdown]
# With few points the loss is *smallest* and the error largest: there is less to fulfil. Change one
# thing at a time, and guess first:
#
# - `WIDTH = 6`: does a small network, which cannot bend at will, need fewer points?
# - Random instead of even points (`torch.rand(n, 1)`): what happens in the gaps?
# - In `rod_equations`, `weights=(1.0, 1.0)`: which term of the loss is given up first?
# - Add the seven thermometers as another condition. At how many collocation points do they help?
# - Build `burgers` with `hard=constrain` and solve it by `pinn.HardPINN` with the same settings: what
#   does your exercise 31.5 gain?
# - In section 6, `NU = 0.01 / math.pi`, the viscosity of the literature: what happens to the error at
#   the same cost?
#
# ## When it fails
#
# **Zero loss, no solution.** Eight points, as in the experiment, trained to the end.

# %%
few = midpoints(8)
fooled = network(SIZES, seed=0)
curve = train(fooled, rod_equations(few), 80)
r = -derivatives(fooled, line)[2].detach() - source(line)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9))
with torch.no_grad():
    axes[0].plot(line, exact(line), color="k", lw=1, label="truth")
    axes[0].plot(line, fooled(line), color="C1", ls="--", label="PINN, eight points")
axes[0].set(xlabel="x", ylabel="u")
axes[0].legend(fontsize=8.5)
axes[1].plot(line, r, color="C1", lw=1)
axes[1].plot(few, 0 * few, "o", color="C0", ms=5, label="collocation points")
axes[1].set(xlabel="x", ylabel="residual")
axes[1].legend(fontsize=8.5)
figure(
    fig,
    caption="The loss is zero to machine precision: the residual vanishes exactly where "
    "it was looked at.",
    alt="Left: the PINN's curve lies below the truth nearly everywhere and dips below zero "
    "where the truth is half way up. Right: the residual swings between -175 and 135, but "
    "passes through zero at each of the eight marked points.",
)

# %%
print(f"loss:           {'below 1e-15' if curve[-1] < 1e-15 else 'not yet zero'}")
print(f"relative error: {relative_error(fooled, exact, line):.1f}")
bound = error_bound(fooled, source, 1.0, 0.0, 1.0, 0.0, 0.0)
print(f"certificate, which looks between the points: {bound:.0f}")

# %% [markdown]
# A network with 481 parameters can fulfil ten equations, eight points and two ends, in infinitely many ways. Finite differences
# cannot cheat like this: they have as many unknowns as equations, and a mesh that is too
# coarse shows as a rough curve. The cure is old: check the residual on *other* points than those of
# the training, as one checks a classifier on other pictures. It costs one line.
#
# **Steep layers.** At a viscosity of $0.01/\pi$ the shock is a hundredth wide, and of 800 points
# only a few lie in it. Between the points, all is as above. Chapter 32 sends the points where they are
# needed, chapter 34 integrates instead of looking at points.
#
# **Terms that disagree.** We picked the weight 0.01 for the rod by reasoning about sizes. For a
# system of equations that is harder. A loss is a sum of squares of quantities with different units.
#
# **True shocks.** For $\nu = 0$ the solution jumps, $u_x$ does not exist at the jump, and a pointwise
# residual has nothing to say about the right speed of the shock. The flux does (chapter 33).

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Why may one differentiate the sum of all outputs to get every point's own derivative?",
        choices=[
            "Because the sum is a linear operation",
            "Because output i depends on point i only",
            "Because the other derivatives are averaged out",
        ],
        answer="19242c9d2bac",
        hint="Which terms of the sum contain the coordinates of point i?",
    ),
    Question(
        "What goes wrong without create_graph=True in the first derivative?",
        choices=[
            "Nothing, it only saves memory",
            "The first derivative is wrong",
            "It cannot be differentiated again, neither in x nor in the parameters",
        ],
        answer="449949c1bd0e",
        hint="What must exist for autograd to differentiate a tensor?",
    ),
    Question(
        "A PINN without any boundary term reaches a loss of 1e-6. What has it found?",
        choices=[
            "One of infinitely many functions that fulfil the equation",
            "The solution, since the equation determines it",
            "The solution with zero boundary values",
        ],
        answer="a52705d39326",
        hint="What can be added to u without changing its second derivative?",
    ),
    Question(
        "In u = g + B N, why should B vanish only linearly at the boundary?",
        choices=[
            "Because squares are slower to evaluate",
            "Because otherwise the slope of u at the boundary is fixed by g",
            "Because otherwise the condition is violated",
        ],
        answer="d8967958d7cf",
        hint="Differentiate g + B N at a point where B and its derivative are zero.",
    ),
    Question(
        "The residual of -0.001 u'' = s is below 0.01 everywhere, the ends are right. How large can the error be on an interval of length 1?",
        choices=["About 0.001", "About 0.01", "About 1"],
        answer="e8861a9118df",
        hint="Divide by eight times the coefficient.",
    ),
    Question(
        "Your PINN's loss is 1e-20 after training. What do you do first?",
        choices=[
            "Evaluate the residual at points that were not trained on",
            "Train longer",
            "Report the loss as the error",
        ],
        answer="e36eec268498",
        hint="What did the eight collocation points not see?",
    ),
)

# %% [markdown]
# ## Summary
#
# - Finite differences: $n$ unknowns, three diagonals, about $5n$ multiplications, second order.
#   Measure the order of every solver that you write.
# - A PINN takes a network for the unknown function, differentiates it exactly (sum trick,
#   `create_graph`), and minimises the mean square of the residual at collocation points plus
#   those of the conditions.
# - Test a residual on known solutions before training with it.
# - Conditions are soft (a term and a weight) or hard ($u = g + BN$, with simple zeros of $B$).
# - A balance law $\operatorname{div} F = s$ is stated once by its flux; residual, interface flux and
#   weak form follow.
# - Small loss, small residual, small error are three things. Between points anything may happen;
#   from residual to error there is a factor, $(b - a)^2 / 8 \varepsilon$ for the rod.
# - For problems like these a classical solver is cheaper by orders of magnitude. Say so, and say
#   what the network is for.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | residual | what is left when a function is put into an equation |
# | collocation points | where the residual is evaluated in training |
# | PINN | network trained by the mean square of an equation's residual |
# | vanilla | conditions as loss terms, one network, one set of points |
# | soft, hard constraint | condition as a penalty; condition fulfilled by construction |
# | balance law | $\operatorname{div} F(x, u, \nabla u) = s$, time being one of the coordinates |
# | flux | what flows through a surface; along time it is the quantity itself |
# | travelling wave | solution that keeps its shape and moves |
# | Cole-Hopf | substitution that turns Burgers' equation into the heat equation |
# | order | $p$ in error $\sim h^p$ |
# | jet | a function's value and derivatives at a point, carried along together |
# | certificate | a bound on the error that can be computed without the solution |
#
# ## Readings
#
# - **Dissanayake and Phan-Thien (1994)**, *Neural-network-based approximations for solving partial
#   differential equations*, Commun. Numer. Methods Eng. 10(3). The loss of section 4, with three
#   inputs and a few neurons.
# - **Lagaris, Likas and Fotiadis (1998)**, *Artificial neural networks for solving ordinary and
#   partial differential equations*, IEEE Trans. Neural Netw. 9(5). Look for the trial solutions:
#   hard constraints, twenty years before the name PINN.
# - **Raissi, Perdikaris and Karniadakis (2019)**, *Physics-informed neural networks*, J. Comput. Phys.
#   378. Look for appendix A.1, Burgers' equation, and for the tables of errors against points and
#   layers: how regular are they?
# - **Lu, Meng, Mao and Karniadakis (2021)**, *DeepXDE: a deep learning library for solving
#   differential equations*, SIAM Review 63(1). Look for the split of the error into approximation,
#   optimisation and generalisation: which one was it in "When it fails"?
# - **Cuomo and others (2022)**, *Scientific machine learning through physics-informed neural
#   networks*, J. Sci. Comput. 92:88. A map of the field; look for which variants exist and which of
#   them have theorems.
# - **Grossmann, Komorowska, Latz and Schönlieb (2024)**, *Can physics-informed neural networks beat
#   the finite element method?*, IMA J. Appl. Math. 89(1). Look for how they measure: time to solve and
#   time to evaluate, separately.
