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
# # 17 · Neural ODEs: adjoints and checkpoints
#
# > **Claim.** A network whose layers are the steps of a differential equation has an exact gradient in the memory of a few states; a gradient that solves the equation backwards keeps no state, and is the gradient of something else.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | read a residual network as Euler's method; write any explicit Runge-Kutta step; say what the continuous adjoint computes, and how far it is off; write the discrete adjoint; reverse a run of N steps in the memory of c states, with the fewest steps done again; make and differentiate an implicit step; divide a gradient by a Kronecker-factored matrix |
# | **Before you start** | chapter 16 (vector-Jacobian products, the implicit gradient); the chain rule with Jacobians; what a differential equation is |
# | **Time** | 150 minutes |
# | **Points** | 24, in seven exercises |

# %% tags=["setup"]
import math
import statistics
from functools import cache

import matplotlib.pyplot as plt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course.kit import Question, figure, quiz, setup, stored
from unroll.ode import (
    DOPRI5,
    EULER,
    IMPLICIT_EULER,
    MIDPOINT,
    RK4,
    Adaptive,
    Advance,
    Continuous,
    Discrete,
    Horizon,
    Through,
    extra_steps,
    odeint,
    revolve,
)

generator = setup(seed=17)

# %% [markdown]
# ## Cold open: the way back does not lead back
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# A residual network adds to its state, layer after layer. If every layer adds a little, the state
# follows a curve, and depth becomes time. Chen and others (2018) drew a bold conclusion: do not keep
# the states for backpropagation. A curve can be followed back. So start at the last state, solve
# the equation *backwards*, and meet every state again on the way. The memory is that of one state,
# however deep the network.
#
# Here is a small equation, the oscillator of van der Pol,
#
# $$ \dot x_1 = x_2, \qquad \dot x_2 = 3 \, (1 - x_1^2) \, x_2 - x_1 . $$
#
# Two hundred steps of a good method lead forward in time. Then the same method goes back.


# %%
def oscillator(t, x):
    """The oscillator of van der Pol. x: (batch, 2)."""
    first, second = x.unbind(dim=1)
    return torch.stack([second, 3 * (1 - first**2) * second - first], dim=1)


def trajectory(field, x, t, method):
    """States at all times, (times, batch, n)."""
    states = [x]
    for k in range(len(t) - 1):
        states.append(odeint(field, states[-1], t[k : k + 2], method))
    return torch.stack(states)


t = torch.linspace(0, 8, 201)
with torch.no_grad():
    there = trajectory(oscillator, torch.tensor([[0.5, 0.5]]), t, RK4)
    back = trajectory(oscillator, there[-1], t.flip(0)[:121], RK4)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(5, 4))
ax.plot(*there[:, 0].T, "-", label="forward")
ax.plot(*back[:, 0].T, "--", lw=2, label="back from the end")
ax.plot(*there[0, 0], "o", ms=8, mfc="none", label="start")
ax.plot(*there[-1, 0], "s", ms=7, label="end")
ax.set(
    xlabel="first number of the state",
    ylabel="second number",
    xlim=(-3.2, 3.2),
    ylim=(-6.5, 6.5),
)
ax.legend(fontsize=9, loc="upper left")
figure(
    fig,
    caption="A solution of van der Pol's equation forward in time, and the way back from its "
    "last state.",
    alt="A curve starts inside a loop and runs half around it to its end. The way back lies on the "
    "curve at first, leaves it at the left turn towards the inside, and stops in the middle, "
    "where the curve never was.",
)

# %%
apart = (back[-1, 0] - there[80, 0]).norm().item()
print("after 120 of 200 steps back, off by more than 0.5:", apart > 0.5)

# %% [markdown]
# Forward in time all curves (but the point that rests at zero) are drawn to one loop. So backward in time they move away from it, and every
# rounding error of the way back grows. The states that it meets were never there. A gradient that is
# computed along them is the gradient of another run.
#
# This chapter asks three questions. What is the gradient of the steps that were *done*? How can it be
# had without keeping every state? And what if the equation is so stiff that steps themselves fail?

# %% [markdown]
# ## 1. From ResNet to ODE
#
# A layer of a residual network is $x_{k+1} = x_k + g_\theta(x_k)$. Write $g = h f$ with a small number
# $h$, the *step*, and let all layers share their numbers $\theta$:
#
# $$ x_{k+1} = x_k + h \, f_\theta(t_k, x_k), \qquad t_k = t_0 + k h . $$
#
# This is **Euler's method** for the ordinary differential equation (ODE)
#
# $$ \frac{dx}{dt} = f_\theta(t, x), \qquad x(t_0) = x_0 . $$
#
# The function $f_\theta$ is called the **field**. A network that is defined by it, and by what a solver
# makes of it, is a **neural ODE**. Euler's error falls like $h$. A **Runge-Kutta method** looks at the
# field several times in a step, at *stages* $f_1, f_2, \dots$:
#
# $$ f_i = f\Big(t + h \sum_{j < i} a_{ij}, \; x + h \sum_{j<i} a_{ij} f_j\Big), \qquad
#    x^+ = x + h \sum_i b_i f_i . $$
#
# The numbers $a_{ij}$ and $b_i$ are the method, its *tableau*. Well chosen, they make the error fall
# like $h^2$ or $h^4$; the power is the *order*.
#
# **Shapes.** `x` is `(batch, n)`; so is `f(t, x)`. Row $i$ of `a` holds the $i - 1$ numbers
# $a_{i1}, \dots, a_{i,i-1}$; the first row is empty.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)

# %% [markdown]
# ### Exercise 17.1 · Any explicit method
# Difficulty ●●○○○ · 3 points
#
# Write `rk_step(a, b, f, t, h, x)`, one step of the method with the tableau `a`, `b`. Look at the field
# once for each stage. Autograd must be able to go through the step.


# %% nbgrader={"grade": false, "grade_id": "ex17-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rk_step(a, b, f, t, h, x):
    """Return the state after one step.

    a: rows of numbers, row i has i of them (from 0). b: numbers, one for each stage.
    f: a field f(t, x). t, h: numbers. x: (batch, n).
    """
    ### BEGIN SOLUTION
    stages = []
    for row in a:
        at = x + h * sum(w * k for w, k in zip(row, stages, strict=True))
        stages.append(f(t + h * sum(row), at))
    return x + h * sum(w * k for w, k in zip(b, stages, strict=True))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
start = torch.ones(2, 1)
after = rk_step([[]], [1.0], lambda t, x: -x, 0.0, 0.1, start)
assert after.shape == (2, 1) and after.dtype == torch.float64, FLOAT64
assert torch.allclose(after, torch.full((2, 1), 0.9)), (
    "one stage of weight 1 is Euler's step: 1 - 0.1"
)
assert torch.equal(start, torch.ones(2, 1)), "the state was changed: return a new one"
after = rk_step([[], [0.5]], [0.0, 1.0], lambda t, x: x, 0.0, 0.1, start)
assert torch.allclose(after, torch.full((2, 1), 1.105)), (
    "the midpoint method for x' = x gives 1 + h + h^2 / 2: the second stage is taken at "
    "x + h f_1 / 2"
)
after = rk_step([[], [0.5]], [0.0, 1.0], lambda t, x: 0 * x + t, 1.0, 0.2, start)
assert torch.allclose(after, torch.full((2, 1), 1.22)), (
    "the second stage is taken at the time t + h / 2, here 1.1"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-1-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
looks = []
rk_step(RK4.a, RK4.b, lambda t, x: looks.append(t) or x, 2.0, 0.5, torch.ones(1, 1))
assert [float(t) for t in looks] == [2.0, 2.25, 2.25, 2.5], (
    "Kutta's method looks at the times t, t + h/2, t + h/2 and t + h, once each"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    rows = [torch.randn(i, generator=g).tolist() for i in range(4)]
    weights = torch.randn(4, generator=g).tolist()
    W = torch.randn(3, 3, generator=g)
    x_try = torch.randn(5, 3, generator=g).requires_grad_()
    pull = torch.randn(5, 3, generator=g)

    def swirl(t, x, W=W):
        return torch.tanh(x @ W.T + torch.sin(torch.as_tensor(3.0 * t)))

    k = torch.zeros(4, 5, 3)
    for i in range(4):
        y = x_try + 0.3 * torch.tensordot(torch.tensor(rows[i]), k[:i].clone(), dims=1)
        k = k.clone()
        k[i] = swirl(1.0 + 0.3 * sum(rows[i]), y)
    exact = x_try + 0.3 * torch.einsum("s,sbn->bn", torch.tensor(weights), k)
    after = rk_step(rows, weights, swirl, 1.0, 0.3, x_try)
    assert torch.allclose(after, exact, rtol=0, atol=1e-10), (
        "a random tableau of four stages comes out otherwise: each stage uses all stages "
        "before it, with its own row, and b weighs them at the end"
    )
    (slope,) = torch.autograd.grad(after, x_try, pull)
    (other,) = torch.autograd.grad(exact, x_try, pull)
    assert torch.allclose(slope, other, rtol=0, atol=1e-9), (
        "autograd finds another gradient by x: was a stage detached?"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Collect the stages in a list. When stage $i$ is computed, the list holds exactly as many stages as
# its row has numbers.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `zip(row, stages)` pairs them. The sum over an empty row is the number 0, and adding 0 does no harm.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Stage: $f(t + h \sum_j a_{ij}, \; x + h \sum_j a_{ij} f_j)$, with `sum(row)` in the time.
#
# </details>

# %% [markdown]
# What does a layer more buy? Solve $\dot x = \cos(t) \, x (1 - x)$ to $t = 2$ with more and more steps.
# The exact solution is known.

# %%
logistic = lambda t, x: math.cos(t) * x * (1 - x)  # noqa: E731
exact_end = 1 / (1 + 4 * math.exp(-math.sin(2)))
counts = [4, 8, 16, 32, 64, 128]
slopes = {}

# %% tags=["picture"]
fig, ax = plt.subplots()
for name, method, marker in (
    ("Euler", EULER, "o"),
    ("midpoint", MIDPOINT, "s"),
    ("Kutta, fourth order", RK4, "^"),
):
    errors = []
    for count in counts:
        x = torch.full((1, 1), 0.2)
        for k in range(count):
            x = rk_step(method.a, method.b, logistic, 2 * k / count, 2 / count, x)
        errors.append(abs(x.item() - exact_end))
    slopes[name] = math.log2(errors[-2] / errors[-1])
    ax.loglog(counts, errors, marker=marker, label=name)
ax.set(xlabel="steps N", ylabel="error at the end")
ax.legend(fontsize=9)
figure(
    fig,
    caption="The error of three methods against the number of steps.",
    alt="Three falling straight lines on logarithmic axes, of error against steps: Euler's is "
    "the highest and falls slowest, the midpoint method's is lower and steeper, that of "
    "fourth order much lower and steeper still.",
)

# %%
for name, slope in slopes.items():
    print(f"{name}: halving the step divides the error by 2 to the power {slope:.0f}")

# %% [markdown]
# ## 2. The continuous adjoint
#
# Let $\mathcal L$ be a loss of the last state $x(T)$, and
# $v(t) = \partial \mathcal L / \partial x(t)$ the gradient by the state at time $t$: the **adjoint**.
# With the Jacobians $J = \partial f / \partial x$ and $B = \partial f / \partial \theta$ along the
# solution, it obeys an equation of its own, which starts at the *end*:
#
# $$ \frac{dv}{dt} = -J^\top v, \qquad v(T) = \frac{\partial \mathcal L}{\partial x(T)}, \qquad
#    \frac{d \mathcal L}{d \theta} = \int_{t_0}^{T} B^\top v \; dt . $$
#
# (Take the chain rule for one short Euler step, $v(t) = (I + h J)^\top v(t + h)$, and let $h$ tend to
# zero.) Both products are vector-Jacobian products: autograd gives them from one look at the field.
# The Jacobians are needed along the solution, and the states are gone. So the state is
# solved back, too: three equations for $x$, $v$ and the integral, from $T$ down to $t_0$. This is the
# **continuous adjoint** of Chen and others (2018): first the calculus, then the steps.

# %% [markdown]
# ### Exercise 17.2 · Solve it back
# Difficulty ●●●○○ · 3 points
#
# Write `backsolve(f, theta, t, x, v)` with Euler's method. `t` holds the times, rising, `x` is the state
# at the last of them, and `v` the gradient of the loss by it. For each step back, over a length
# $h = t_{k+1} - t_k$, look at the field once, at $(t_{k+1}, x)$, and move all three:
#
# $$ x \leftarrow x - h f, \qquad v \leftarrow v + h J^\top v, \qquad
#    g \leftarrow g + h B^\top v \quad\text{(with the old } v\text{)} . $$
#
# Return $x$, $v$ at the first time, and $g$, of the shape of `theta`, all without a graph.


# %% nbgrader={"grade": false, "grade_id": "ex17-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def backsolve(f, theta, t, x, v):
    """Solve state, adjoint and integral back with Euler's method.

    f: a field f(t, x, theta). theta: a tensor that requires a gradient. t: (N + 1,).
    x, v: (batch, n), at the last time. Returns x and v at the first time, and g.
    """
    ### BEGIN SOLUTION
    g = torch.zeros_like(theta)
    for k in reversed(range(len(t) - 1)):
        h = t[k + 1] - t[k]
        x = x.detach().requires_grad_()
        slope = f(t[k + 1], x, theta)
        by_x, by_theta = torch.autograd.grad(slope, (x, theta), v)
        x, v, g = x - h * slope, v + h * by_x, g + h * by_theta
    return x.detach(), v, g
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
rate = torch.tensor([0.5], requires_grad=True)
end, pull = torch.full((1, 1), 2.0), torch.ones(1, 1)
x_try, v_try, g_try = backsolve(
    lambda t, x, a: a * x, rate, torch.tensor([0.0, 0.1]), end, pull
)
assert g_try.shape == rate.shape and v_try.shape == (1, 1), (
    "v has the shape of the state, g the shape of theta"
)
assert x_try.dtype == v_try.dtype == g_try.dtype == torch.float64, FLOAT64
assert torch.allclose(x_try, torch.tensor([[1.9]])), (
    "one step back of x' = x / 2 from 2: 2 - 0.1 * 1"
)
assert torch.allclose(v_try, torch.tensor([[1.05]])), "the adjoint: 1 + 0.1 * 0.5"
assert torch.allclose(g_try, torch.tensor([0.2])), (
    "B is x, so the integral over one step is 0.1 * 2 * 1, with the old x and v"
)
assert rate.grad is None and not end.requires_grad, (
    "theta and x were changed: detach x, and use torch.autograd.grad"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
half, one = torch.tensor([0.5], requires_grad=True), torch.ones(1, 1)
long = backsolve(lambda t, x, a: a * x, half, torch.linspace(0, 1, 11), one, one)
assert torch.allclose(long[1], torch.tensor([[1.05**10]])), "ten steps, ten factors"
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    theta_try = torch.randn(3, 3, generator=g).requires_grad_()
    x_end, v_end = torch.randn(2, 4, 3, generator=g)
    times = torch.rand(6, generator=g).cumsum(0)
    calls = []

    def swirl(t, x, theta, calls=calls):
        calls.append(float(t))
        return torch.tanh(x @ theta.T + torch.sin(3 * torch.as_tensor(t)))

    found = backsolve(swirl, theta_try, times, x_end, v_end)
    assert calls == times[1:].flip(0).tolist(), (
        "the field is looked at once for each step back, at the later of its two times"
    )
    x_d, v_d, g_d = x_end.clone(), v_end.clone(), torch.zeros(3, 3)
    for k in (4, 3, 2, 1, 0):
        h = times[k + 1] - times[k]
        f = torch.tanh(x_d @ theta_try.detach().T + torch.sin(3 * times[k + 1]))
        inner = v_d * (1 - f**2)
        x_d, v_d, g_d = (
            x_d - h * f,
            v_d + h * inner @ theta_try.detach(),
            g_d + h * inner.T @ x_d,
        )
    for name, one, other in zip(("x", "v", "g"), found, (x_d, v_d, g_d), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10), (
            f"{name} comes out otherwise: all three move by what the field says at the "
            "old state and the old v; steps need not have the same length"
        )
    assert not any(one.requires_grad for one in found), (
        "what is returned carries a graph: detach it"
    )
    assert theta_try.grad is None, "gradients are returned, not left in theta.grad"
    theta_try.grad = torch.ones(3, 3)  # the caller's, from some other loss
    again = backsolve(swirl, theta_try, times, x_end, v_end)
    left = theta_try.grad if theta_try.grad is not None else torch.zeros(3, 3)
    assert torch.equal(left, torch.ones(3, 3)) and torch.allclose(again[2], found[2]), (
        "a gradient that was in theta.grad before plays no part, and stays there"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One look at the field, at a detached `x` that requires a gradient, serves for all three: its value,
# and both products.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(slope, (x, theta), v)` returns $J^\top v$ and $B^\top v$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Move all three in one line, so that none sees another's new value; detach `x` at the end.
#
# </details>

# %% [markdown]
# **What it is not.** The equations are true of the *solution*. The network has computed *steps*. The
# gradient of the loss of the steps is another number, and it is the one that descent should follow.
# Both tend to the same limit as $h \to 0$, and neither is that limit.


# %% tags=["given"]
def net_case(seed, batch=4, n=3):
    """A field f(t, x, theta), theta (n, n), a first state, and some v (batch, n)."""
    g = torch.Generator().manual_seed(seed)
    theta = (1.5 * torch.randn(n, n, generator=g)).requires_grad_()

    def field(t, x, theta):
        return torch.tanh(x @ theta.T + torch.sin(3 * torch.as_tensor(t)))

    return (
        field,
        theta,
        torch.randn(batch, n, generator=g),
        torch.randn(batch, n, generator=g),
    )


def euler_states(field, theta, t, x):
    """All states of Euler's method, a list, with the graph of all steps."""
    states = [x]
    for k in range(len(t) - 1):
        states.append(states[-1] + (t[k + 1] - t[k]) * field(t[k], states[-1], theta))
    return states


# %% [markdown]
# ## 3. The discrete adjoint, in twelve lines
#
# The other way round: first the steps, then the calculus. A run is $x_{k+1} = \Phi_k(x_k, \theta)$ for
# $k = 0, \dots, N - 1$, where $\Phi_k$ is one step of any method. The chain rule goes back through it,
# step by step:
#
# $$ v_k = \Big(\frac{\partial \Phi_k}{\partial x_k}\Big)^{\!\top} v_{k+1}, \qquad
#    \frac{d \mathcal L}{d \theta} = \sum_{k} \Big(\frac{\partial \Phi_k}{\partial \theta}\Big)^{\!\top} v_{k+1},
#    \qquad v_N = \frac{\partial \mathcal L}{\partial x_N} . $$
#
# This is the **discrete adjoint**. Nothing is approximated: it is backpropagation, organised by
# steps. What must be kept is the state *before* each step. The graph, with all that happens inside
# a step, is made again when the step is gone back, and thrown away: one step's graph at a time
# (Zhang and Zhao 2022, PNODE).

# %% [markdown]
# ### Exercise 17.3 · Step by step
# Difficulty ●●●○○ · 4 points
#
# Write `discrete(step, theta, states, v)`. `step(k, x, theta)` returns the state after step `k`.
# `states` lists the states before the steps, $x_0, \dots, x_{N-1}$; they may carry graphs, which must
# play no part. Call `step` once for each of them, from the last to the first. Return $v_0$ and the
# gradient by `theta`, both without a graph.


# %% nbgrader={"grade": false, "grade_id": "ex17-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def discrete(step, theta, states, v):
    """Go back through a run, one step's graph at a time.

    step: step(k, x, theta). theta: a tensor that requires a gradient. states: a list of
    (batch, n). v: (batch, n), by the last state. Returns v_0 and g, as theta.
    """
    ### BEGIN SOLUTION
    g = torch.zeros_like(theta)
    for k in reversed(range(len(states))):
        x = states[k].detach().requires_grad_()
        after = step(k, x, theta)
        v, share = torch.autograd.grad(after, (x, theta), v)
        g = g + share
    return v, g
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
rate, pull = torch.tensor([0.5], requires_grad=True), torch.ones(1, 1)
growth = lambda k, x, a: x + 0.1 * a * x  # noqa: E731
v_try, g_try = discrete(growth, rate, [torch.full((1, 1), 2.0)], pull)
assert v_try.dtype == g_try.dtype == torch.float64, FLOAT64
assert v_try.shape == (1, 1) and g_try.shape == rate.shape, (
    "v has the shape of a state, g the shape of theta"
)
assert torch.allclose(v_try, torch.tensor([[1.05]])), "one step: 1 + 0.1 * 0.5"
assert torch.allclose(g_try, torch.tensor([0.2])), "0.1 times the state, 2"
kept = [torch.full((1, 1), 2.0), torch.full((1, 1), 2.1)]
v_try, g_try = discrete(growth, rate, kept, pull)
assert len(kept) == 2, "the list of states was changed"
assert torch.allclose(v_try, torch.tensor([[1.05**2]])), "two steps, two factors"
assert torch.allclose(g_try, torch.tensor([0.1 * 2.1 + 0.1 * 2 * 1.05])), (
    "each step adds its share, with the v that has come back to it"
)
assert rate.grad is None and not kept[0].requires_grad, (
    "theta and the states were changed: detach, and use torch.autograd.grad"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-3-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
order, half = [], torch.tensor([0.5], requires_grad=True)
given = [torch.ones(1, 1) for _ in range(4)]
discrete(lambda k, x, a: order.append(k) or a * x, half, given, torch.ones(1, 1))
assert order == [3, 2, 1, 0], "each step once, from the last to the first"
### BEGIN HIDDEN TESTS
for seed in range(3):
    field_try, theta_try, x_first, v_last = net_case(seed)
    times = torch.linspace(0, 1, 8) ** 1.5

    def kutta(k, x, theta, field=field_try, t=times):
        look = lambda t, x: field(t, x, theta)  # noqa: E731
        return RK4.step(look, t[k], t[k + 1] - t[k], x)

    x_first.requires_grad_()
    run = [x_first]
    for k in range(7):
        run.append(kutta(k, run[-1], theta_try))
    exact = torch.autograd.grad(
        run[-1], (x_first, theta_try), v_last, retain_graph=True
    )

    def watched(k, x, theta, step=kutta):
        assert x.is_leaf and x.requires_grad, (
            "each step starts from a detached state that requires a gradient: so no graph "
            "is longer than a step"
        )
        return step(k, x, theta)

    found = discrete(watched, theta_try, run[:-1], v_last)
    for one, other in zip(found, exact, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12), (
            "autograd through all steps finds another gradient, though it should be equal "
            "to rounding: is each share added, and is v passed on?"
        )
    assert not any(one.requires_grad for one in found), (
        "what is returned carries a graph, and that is one through all steps"
    )
    assert theta_try.grad is None and x_first.grad is None, (
        "gradients are returned, not left in .grad"
    )
    theta_try.grad = torch.ones(3, 3)  # the caller's, from some other loss
    again = discrete(watched, theta_try, run[:-1], v_last)
    left = theta_try.grad if theta_try.grad is not None else torch.zeros(3, 3)
    assert torch.equal(left, torch.ones(3, 3)) and torch.allclose(again[1], found[1]), (
        "a gradient that was in theta.grad before plays no part, and stays there"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# It is the loop of exercise 17.2 with a whole step in the place of the field, and states that are
# looked up and not solved for.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(after, (x, theta), v)` returns the two products of the formula at once.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The first result becomes the new `v`; the second is added to `g`.
#
# </details>

# %% [markdown]
# Now the comparison. The same network, the same Euler steps, finer and finer; both gradients beside
# autograd through all steps.

# %%
field, theta, x_first, v_last = net_case(5)
counts, off = [5, 10, 20, 40, 80, 160], {"continuous": [], "discrete": []}
for count in counts:
    t = torch.linspace(0, 1, count + 1)
    states = euler_states(field, theta, t, x_first)
    (exact,) = torch.autograd.grad(states[-1], theta, v_last, retain_graph=True)
    _, _, by_back = backsolve(field, theta, t, states[-1].detach(), v_last)
    euler = lambda k, x, a, t=t: x + (t[k + 1] - t[k]) * field(t[k], x, a)  # noqa: E731
    _, by_steps = discrete(euler, theta, states[:-1], v_last)
    for name, found in (("continuous", by_back), ("discrete", by_steps)):
        off[name].append(((found - exact).norm() / exact.norm()).item())

# %% tags=["picture"]
fig, ax = plt.subplots()
for (name, errors), marker in zip(off.items(), "os", strict=True):
    ax.loglog(
        counts, [max(error, 1e-17) for error in errors], marker=marker, label=name
    )
ax.set(xlabel="steps N", ylabel="relative error of the gradient", ylim=(1e-18, 2))
ax.legend(fontsize=9, loc="center right")
figure(
    fig,
    caption="Two adjoints of the same Euler steps, compared with autograd through all of them.",
    alt="Two lines on logarithmic axes. The continuous adjoint's error falls slowly with the "
    "number of steps and is above one part in a thousand everywhere. The discrete adjoint's "
    "is a flat line at rounding, some fourteen powers of ten lower.",
)

# %%
print("continuous, at 20 steps, off by more than 1 %:", off["continuous"][2] > 0.01)
print(
    "halved with the step:", 1.6 < off["continuous"][-2] / off["continuous"][-1] < 2.5
)
print("discrete, equal to rounding:", max(off["discrete"]) < 1e-13)

# %% [markdown]
# The continuous adjoint is wrong, and nothing *warns* of it: its error is that of the method, so it
# is small only where steps are fine. Its price is not smaller either. Each step back looks at the field once more,
# and the discrete adjoint does that, too.
#
# What the continuous adjoint does save is memory. Can the discrete one learn that?

# %% [markdown]
# ## 4. The checkpoint game
#
# There are $N$ steps and places for only $c$ states, the first state counted. To go back through step
# $k$ one needs the state before it. If it is not kept, one starts from a kept state further
# left and does the steps in between *again*. A place that is no longer needed can be used for
# another state. How should one play?
#
# A game on paper, $N = 4$, $c = 2$. Keep state 0. Run to state 2, keep it. Run to 3, reverse step 3.
# Return to 2, reverse step 2. The second place is free. Return to 0, run to 1, keep it, reverse
# step 1. Return to 0, reverse step 0. Count each step when it is done, also when it is done with
# its graph to be reversed: $2 + 1 + 1 + 1 + 1 + 1 + 1 = 8$ steps for four.
#
# What is the least? Let $F(m, c)$ be the fewest steps that reverse $m$ of them, if the state before
# the first is kept, in one of the $c$ places, and the run stands there. One step is
# done once: $F(1, c) = 1$. With one place every step begins at the first state:
# $F(m, 1) = m + (m - 1) + \dots + 1$. Else keep a state after $i$ steps, reverse what is to the right
# with one place less, then what is to the left with all of them:
#
# $$ F(m, c) = \min_{1 \le i < m} \big\{ i + F(m - i, \, c - 1) + F(i, \, c) \big\} . $$

# %% [markdown]
# ### Exercise 17.4 · The fewest steps
# Difficulty ●●●○○ · 3 points
#
# Write `fewest(m, c)`, the number $F(m, c)$ above, an int, for $m, c \ge 1$. It must be quick for
# $m = 100$ and $c = 10$: remember what has been computed. The decorator `@cache` of Python does that,
# and is imported.


# %% nbgrader={"grade": false, "grade_id": "ex17-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
@cache
def fewest(m, c):
    """Return the fewest steps that reverse m of them with c places, an int."""
    ### BEGIN SOLUTION
    if m == 1:
        return 1
    if c == 1:
        return m * (m + 1) // 2
    return min(i + fewest(m - i, c - 1) + fewest(i, c) for i in range(1, m))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert isinstance(fewest(1, 3), int), "a count is an int"
assert fewest(1, 3) == 1, "one step is done once"
assert fewest(4, 1) == 10, "with one place: 4 + 3 + 2 + 1"
assert fewest(4, 2) == 8, "the game on paper"
assert fewest(4, 4) == 7, (
    "with a place for every state: three steps to lay them down, then four with a graph"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert fewest(10, 3) == 25, "ten steps, three places"
### BEGIN HIDDEN TESTS
assert fewest(3, 50) == 5, "more places than steps help no further"
for m in (2, 5, 9, 17, 33, 60):
    for c in (1, 2, 3, 5, 8):
        assert fewest(m, c) == m + extra_steps(m, c), (
            f"m = {m}, c = {c}: another number of steps is the least. The state that is "
            "kept after i steps costs the i steps, and the right part has a place less"
        )
assert fewest(100, 10) == 322, "a hundred steps, ten places"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two cases end the recursion: one step, and one place. All else is the minimum over `i`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `min(... for i in range(1, m))` is the whole second half. In it, the function calls itself twice.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `i + fewest(m - i, c - 1) + fewest(i, c)`; with one place $m (m + 1) / 2$, as an int: `//`.
#
# </details>

# %% [markdown]
# Griewank and Walther (2000) found this number in closed form. With $r$ the least whole number for
# which $\binom{c + r}{c} \ge N$, the steps done *beyond* the $N$ that are reversed are
#
# $$ F(N, c) - N = r N - \binom{c + r}{r - 1} . $$
#
# No step is run more than $r$ times. And $\binom{c + r}{c}$ grows quickly: with ten places and $r = 4$
# it is 1001. So a thousand steps fit into ten places, at the price of less than four runs more.

# %%
print("  N    c   F - N by your recursion   by the formula")
for N, c in ((10, 3), (50, 5), (100, 5), (100, 10)):
    print(f"{N:4d} {c:4d} {fewest(N, c) - N:20d} {extra_steps(N, c):16d}")
print(f"1000   10 {'':20} {extra_steps(1000, 10):16d}")

# %% [markdown]
# ### Exercise 17.5 · A plan
# Difficulty ●●●●○ · 4 points
#
# Write `plan(N, c)`: a list of moves that reverses a run of $N$ steps with $c$ places, from the last
# step to the first, in $F(N, c)$ steps. The moves are tuples:
#
# | move | meaning |
# |---|---|
# | `("keep", k)` | put the state before step `k`, at which the run stands, into a free place |
# | `("drop", k)` | give up that place |
# | `("return", k)` | put the run back to a state that is kept |
# | `("run", i, j)` | do the steps from `i` to `j - 1`, with `i < j`; nothing is kept on the way |
# | `("reverse", k)` | do step `k`, with its graph, and go back through it |
#
# The run begins before step 0, where nothing is kept yet, and after a `"reverse"` it stands nowhere.
# The referee `play` below knows the rules. `best_first(m, c)` tells after how many of `m` steps the
# next state should be kept.


# %% tags=["given"]
def best_first(m, c):
    """Return after how many of m steps to keep the next state, for m, c >= 2."""
    least = lambda m, c: m + extra_steps(m, c)  # noqa: E731
    return min(range(1, m), key=lambda i: i + least(m - i, c - 1) + least(i, c))


def play(moves, N, c):
    """Referee: check every move; return the steps done."""
    at, kept, done, left = 0, set(), 0, N
    for move in moves:
        kind, k = move[0], move[1]
        if kind == "keep":
            assert at == k, (
                f"{move}: the run stands at {at}, it cannot keep another state"
            )
            kept.add(k)
            assert len(kept) <= c, f"{move}: there are {c} places, this is one too many"
        elif kind == "drop":
            assert k in kept, f"{move}: this state is not kept"
            kept.remove(k)
        elif kind == "return":
            assert k in kept, f"{move}: this state is not kept, the run cannot go there"
            at = k
        elif kind == "run":
            assert at == k < move[2], f"{move}: the run stands at {at}"
            done, at = done + move[2] - k, move[2]
        elif kind == "reverse":
            assert k == left - 1, f"{move}: step {left - 1} is the next to be reversed"
            assert at == k, f"{move}: the run stands at {at}"
            done, left, at = done + 1, k, None
        else:
            raise AssertionError(f"{move}: there is no such move")
    assert left == 0, f"step {left - 1} has not been reversed"
    return done


# %% nbgrader={"grade": false, "grade_id": "ex17-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def plan(N, c):
    """Return moves that reverse N steps with c places, in the fewest steps."""
    ### BEGIN SOLUTION
    moves = [("keep", 0)]

    def reverse(start, stop, places):
        if stop - start == 1 or places == 1:
            for k in reversed(range(start, stop)):
                moves.append(("return", start))
                if k > start:
                    moves.append(("run", start, k))
                moves.append(("reverse", k))
            return
        middle = start + best_first(stop - start, places)
        moves.extend([("return", start), ("run", start, middle), ("keep", middle)])
        reverse(middle, stop, places - 1)
        moves.append(("drop", middle))
        reverse(start, middle, places)

    reverse(0, N, c)
    return moves
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert play(plan(1, 1), 1, 1) == 1, "one step: keep its state, reverse it"
assert play(plan(4, 1), 4, 1) == 10, "one place: 4 + 3 + 2 + 1 steps"
assert play(plan(4, 2), 4, 2) == 8, "the game on paper, in eight steps"

# %% nbgrader={"grade": true, "grade_id": "ex17-5-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
assert play(plan(10, 3), 10, 3) == 25, "ten steps with three places take 25"
### BEGIN HIDDEN TESTS
for N in (1, 2, 3, 6, 13, 30, 77):
    for c in (1, 2, 3, 5, 9, 80):
        try:
            done = play(plan(N, c), N, c)
        except (IndexError, TypeError, ValueError) as error:
            raise AssertionError(f"N = {N}, c = {c}: {error}") from None
        assert done == N + extra_steps(N, c), (
            f"N = {N}, c = {c}: the plan keeps the rules and does {done} steps, and "
            f"{N + extra_steps(N, c)} are enough. After the right part is reversed, all "
            "places but those to the left are free again"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Follow the recursion of $F$: a function that reverses the steps from `start` to `stop`, whose first
# state is kept, with a number of places of which this state takes one.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In the middle case: return to `start`, run to the middle, keep it, reverse the right part with a place
# less, drop the middle, reverse the left part.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `middle = start + best_first(stop - start, places)`. With one place left, or one step: for each `k` from
# the last to the first, return to `start`, run to `k` unless it is there already, reverse `k`.
#
# </details>

# %% [markdown]
# A plan can be drawn. To the right goes the number of the step, downwards the work that has been done.


# %%
def draw(ax, moves):
    """Draw a plan: runs as lines, steps that are reversed as crosses, kept states."""
    work, first = 0, True
    for move in moves:
        if move[0] == "run":
            i, j = move[1:]
            ax.plot(
                [i, j],
                [work, work + j - i],
                "C0-",
                lw=1.5,
                label="run" if first else None,
            )
            work, first = work + j - i, False
        elif move[0] == "reverse":
            ax.plot(
                move[1], work, "kx", ms=5, label="reverse" if move[1] == 0 else None
            )
            work += 1
        elif move[0] == "keep":
            ax.plot(move[1], work, "C1s", ms=5, label="keep" if move[1] == 0 else None)


# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.6))
for ax, c in zip(axes, (2, 5), strict=True):
    draw(ax, plan(20, c))
    ax.set(xlabel="step", title=f"{c} places")
axes[0].set_ylabel("steps done so far")
axes[0].invert_yaxis()
axes[1].legend(fontsize=9, loc="lower left")
figure(
    fig,
    caption="Plans that reverse twenty steps with two and with five places. Time runs downwards.",
    alt="Two panels; lines to the lower right are runs, squares kept states, crosses reversed "
    "steps, which move from right to left. With two places the panel is long and the runs "
    "repeat often; with five places it ends after about half the work.",
)

# %% [markdown]
# **The surprise.** The library plays the same game. A thousand steps of a neural ODE, ten places: what
# is kept and what is done is counted, not estimated.

# %%
looks = []
weight = torch.nn.Linear(2, 2).double()


class Counted(torch.nn.Module):
    """A field that counts its looks."""

    def __init__(self):
        super().__init__()
        self.net = weight

    def forward(self, t, x):
        looks.append(1)
        return torch.tanh(self.net(x))


x = torch.ones(1, 2, requires_grad=True)
odeint(Counted(), x, torch.linspace(0, 1, 1001), EULER, Discrete(10)).sum().backward()
steps_done = len(looks) - 1  # one look to see what the field depends on
print(
    "steps done beyond 1000:", steps_done - 1000, "  the fewest:", extra_steps(1000, 10)
)
runs = sum(a.stop - a.start for a in revolve(1000, 10) if isinstance(a, Advance))
print("so says the plan, too:", runs == steps_done - 1000)

# %% [markdown]
# ## 5. Stiffness
#
# Take $\dot x = -\kappa \, (x - \cos t)$ with a large $\kappa$. The state falls onto the slow curve
# $\cos t$ within a time of about $1 / \kappa$, and then follows it. Euler's step multiplies the
# distance from the curve by about $1 - h \kappa$. If $h \kappa > 2$, the distance *grows*, though the
# solution is as smooth as a cosine. Such an equation is **stiff**: what limits the step is not the
# solution but what it would do if it were pushed.
#
# An **implicit** step asks the field at its *end*, which nobody knows yet:
#
# $$ y = x + h \, f(t + h, y) . $$
#
# Here it divides the distance by $1 + h \kappa$, for every $h$. The price is an equation. Newton's
# method solves it: with $J = \partial f / \partial y$,
#
# $$ (I - h J) \, \delta = x + h f(t + h, y) - y, \qquad y \leftarrow y + \delta . $$
#
# And the gradient? The step is a fixed point, and chapter 16 has the answer, however Newton's method has
# come there: $dy = dx + h J \, dy$, so $dy / dx = (I - h J)^{-1}$, and
#
# $$ v_k = \big(I - h J^\top\big)^{-1} v_{k+1} . $$

# %% [markdown]
# ### Exercise 17.6 · A step that looks ahead
# Difficulty ●●●●○ · 4 points
#
# For one state `x` of shape `(n,)`, write `implicit_step(f, t, h, x)`, which returns $y$ after twenty moves
# of Newton's method from `x`, without a graph: `x`, or numbers in the field, may require gradients. (Near
# the solution each move doubles the number of right digits, so twenty are plenty.) And write
# `implicit_back(f, t, h, y, v)`, which returns the gradient by `x` from the solution `y` and the gradient
# `v` by it. The function `jacobian(f, t, y)` below gives $J$, without a graph.


# %% tags=["given"]
def jacobian(f, t, y):
    """Return the matrix of the derivatives of f(t, y) by y, (n, n)."""
    return torch.autograd.functional.jacobian(lambda y: f(t, y), y.detach())


# %% nbgrader={"grade": false, "grade_id": "ex17-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def implicit_step(f, t, h, x):
    """Solve y = x + h f(t + h, y). x: (n,). Returns y, (n,), without a graph."""
    ### BEGIN SOLUTION
    y = x.detach()
    for _ in range(20):
        matrix = torch.eye(len(x)) - h * jacobian(f, t + h, y)
        y = y + torch.linalg.solve(matrix, (x + h * f(t + h, y) - y).detach())
    return y
    ### END SOLUTION


def implicit_back(f, t, h, y, v):
    """Return the gradient by x of a step whose solution is y. v: (n,), by y."""
    ### BEGIN SOLUTION
    matrix = torch.eye(len(y)) - h * jacobian(f, t + h, y)
    return torch.linalg.solve(matrix.T, v)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
decay = lambda t, x: -3 * x + t  # noqa: E731
start = torch.tensor([1.0, 2.0])
y_try = implicit_step(decay, 1.0, 0.5, start)
assert y_try.shape == (2,) and y_try.dtype == torch.float64, FLOAT64
assert torch.allclose(y_try, (start + 0.75) / 2.5), (
    "y = x + 0.5 (-3 y + 1.5): the field is asked at the end of the step, at the time 1.5"
)
assert torch.equal(start, torch.tensor([1.0, 2.0])), "the state was changed"
u_try = implicit_back(decay, 1.0, 0.5, y_try, torch.tensor([1.0, -1.0]))
assert u_try.dtype == torch.float64, FLOAT64
assert torch.allclose(u_try, torch.tensor([0.4, -0.4])), (
    "each entry is divided by 1 + 1.5"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
far = implicit_step(lambda t, x: -1e6 * (x - math.cos(t)), 0.0, 1.0, torch.zeros(1))
assert abs(far.item() - math.cos(1)) < 1e-5, "one long step lands on the slow curve"
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(3, 3, generator=g)
    x_try, v_try = torch.randn(2, 3, generator=g)
    learned = W.clone().requires_grad_()

    def bend(t, x, W=W):
        return torch.tanh(W @ x + t) - 5 * t * x**3

    y_try = implicit_step(bend, 0.3, 0.7, x_try)
    off = x_try + 0.7 * bend(1.0, y_try) - y_try
    assert off.norm() < 1e-10, (
        "y does not solve y = x + h f(t + h, y) to rounding: are J and f both taken at the "
        "newest y, and at the time t + h?"
    )
    for field_try, start in (
        (bend, x_try.clone().requires_grad_()),
        (lambda t, x, bend=bend, W=learned: bend(t, x, W), x_try),
    ):
        again = implicit_step(field_try, 0.3, 0.7, start)
        assert not again.requires_grad, "the step returns a state without a graph"
        assert torch.allclose(again, y_try), (
            "a gradient that is asked for changed the step"
        )
    slope = implicit_back(bend, 0.3, 0.7, y_try, v_try)
    flat = 1 - torch.tanh(W @ y_try + 1.0) ** 2
    dense = torch.eye(3) - 0.7 * (flat[:, None] * W - torch.diag(15 * y_try**2))
    assert torch.allclose(dense.T @ slope, v_try, rtol=0, atol=1e-9), (
        "it is not (I - h J^T)^{-1} v, with J at the solution y and the time t + h"
    )
    change = torch.zeros(3)
    change[1] = 1e-5
    ends = [implicit_step(bend, 0.3, 0.7, x_try + s * change) for s in (1, -1)]
    quotient = (ends[0] - ends[1]) @ v_try / 2e-5
    assert torch.allclose(slope[1], quotient, rtol=1e-5, atol=1e-7), (
        "difference quotients of the step say another gradient"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The residual is $x + h f(t + h, y) - y$. Both functions need the same matrix, $I - h J$, at `y` and at
# the time `t + h`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.solve(matrix, residual)` is Newton's move. In the gradient the matrix is transposed.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\delta = (I - h J)^{-1} (x + h f - y)$, and $u = (I - h J)^{-\top} v$.
#
# </details>

# %%
kappa, h = 50.0, 0.1
pulled = lambda t, x: -kappa * (x - math.cos(t))  # noqa: E731
times = [h * k for k in range(21)]
paths = {"explicit Euler": [0.9], "your implicit step": [0.9]}
for t in times[:-1]:
    x = torch.tensor([[paths["explicit Euler"][-1]]])
    paths["explicit Euler"].append(rk_step([[]], [1.0], pulled, t, h, x).item())
    x = torch.tensor([paths["your implicit step"][-1]])
    paths["your implicit step"].append(implicit_step(pulled, t, h, x).item())

# %% tags=["picture"]
fig, ax = plt.subplots()
ax.plot(times, [math.cos(t) for t in times], "k-", lw=1, label="the slow curve, cos t")
for (name, path), marker in zip(paths.items(), "os", strict=True):
    seen = len(path) if "implicit" in name else 5  # what follows is off the chart
    ax.plot(times[:seen], path[:seen], marker=marker, ms=5, ls="--", label=name)
ax.set(xlabel="t", ylabel="x", ylim=(-2, 3))
ax.legend(fontsize=9, loc="upper right")
figure(
    fig,
    caption="Steps of 0.1 where the state is pulled to the curve with a rate of 50.",
    alt="The curve of a cosine from 1 down to -0.4. The squares of the implicit step lie on "
    "it. The circles of explicit Euler jump from one side to the other, farther each time, and "
    "leave the picture after a few steps.",
)

# %%
print("explicit, at the end, beyond 1e6:", abs(paths["explicit Euler"][-1]) > 1e6)
print(
    "implicit, off by less than 0.05:",
    abs(paths["your implicit step"][-1] - math.cos(2)) < 0.05,
)

# %% [markdown]
# **Steps that choose their own length** do not avoid it. An adaptive method estimates its error from two
# solutions of different order, and takes the longest step that keeps it below a tolerance. On a stiff
# equation it survives, by tiny steps. (Its gradient is the discrete adjoint of the steps that were
# accepted; their lengths are data.)

# %%
span, x = torch.tensor([0.0, 2.0]), torch.full((1, 1), 0.9)
print(" kappa   accepted steps of an adaptive method of fifth order")
taken = []
for kappa in (1.0, 100.0, 1000.0, 3000.0):
    pulled = lambda t, x, kappa=kappa: -kappa * (x - torch.cos(t))  # noqa: E731
    taken.append(Adaptive(DOPRI5, rtol=1e-3, atol=1e-4).steps(pulled, x, span).accepted)
    print(
        f"{kappa:6.0f}   about {round(taken[-1], min(0, 1 - len(str(taken[-1])))):6d}"
    )
print(
    "three times as stiff, about three times as many:", 2.5 < taken[3] / taken[2] < 3.5
)
print("the implicit method took twenty:", len(times) - 1 == 20)

# %% [markdown]
# ## 6. Second order
#
# The backward pass meets, at every time, the inputs $z$ of each layer of the field and the gradients
# $g$ by that layer's outputs. For one sample, one layer $W z$ and one moment, the gradient by $W$ is
# the outer product $g z^\top$. Its entries in a row have the second-moment matrix
# $E[(g \otimes z)(g \otimes z)^\top]$, which the *Gauss-Newton* method divides by. It is of the size of the
# number of weights, squared. Liu, Chen and Theodorou (2021) put a **Kronecker product** in its
# place, as if $g$ and $z$ were independent:
#
# $$ Q = \Sigma_g \otimes \Sigma_z, \qquad \Sigma_g = E[g g^\top], \quad \Sigma_z = E[z z^\top], $$
#
# where $E$ is the mean over the batch and over the times of the backward pass, and $\otimes$ puts all
# products of an entry of the left with an entry of the right side into one long vector, or one large
# matrix. Two small matrices are enough. Let
# $\Sigma_g = U_g \Lambda_g U_g^\top$ and $\Sigma_z = U_z \Lambda_z U_z^\top$ be their
# eigen-decompositions. In these directions $Q$ is diagonal, so $(Q + \epsilon I)^{-1}$ of a gradient
# $G$, of the shape of $W$, is
#
# $$ U_g \Big( \frac{U_g^\top G \, U_z}{\lambda_g \lambda_z^\top + \epsilon} \Big) U_z^\top , $$
#
# divided entry by entry, where $\lambda_g$ and $\lambda_z$ are the columns of eigenvalues.

# %% [markdown]
# ### Exercise 17.7 · Divide by a Kronecker product
# Difficulty ●●●●○ · 3 points
#
# Write `divide(G, Sg, Sz, eps)`: the formula above. The large matrix is not to be formed.


# %% nbgrader={"grade": false, "grade_id": "ex17-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def divide(G, Sg, Sz, eps):
    """Return (Sg kron Sz + eps I)^{-1} G, of the shape of G.

    G: (out, in). Sg: (out, out), Sz: (in, in), symmetric. eps: number > 0.
    """
    ### BEGIN SOLUTION
    size_g, U_g = torch.linalg.eigh(Sg)
    size_z, U_z = torch.linalg.eigh(Sz)
    inside = (U_g.T @ G @ U_z) / (torch.outer(size_g, size_z) + eps)
    return U_g @ inside @ U_z.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex17-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
G_try = torch.tensor([[1.0, 2.0, 4.0]])
one = divide(G_try, torch.eye(1), torch.eye(3), 1.0)
assert one.shape == (1, 3) and one.dtype == torch.float64, FLOAT64
assert torch.allclose(one, G_try / 2), "identities: every entry is divided by 1 + eps"
one = divide(G_try, 2 * torch.eye(1), torch.diag(torch.tensor([1.0, 0.0, 3.0])), 2.0)
assert torch.allclose(one, torch.tensor([[0.25, 1.0, 0.5]])), (
    "the entries are divided by 2 * 1 + 2, 2 * 0 + 2 and 2 * 3 + 2"
)

# %% nbgrader={"grade": true, "grade_id": "ex17-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
turned = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
one = divide(torch.ones(2, 2), turned, torch.eye(2), 1.0)
assert torch.allclose(one, torch.full((2, 2), 0.25)), (
    "the column of ones is an eigenvector of the value 3: divided by 3 + 1"
)


### BEGIN HIDDEN TESTS
class Largest(TorchDispatchMode):
    """Note how many entries the largest tensor has that is made."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for t in made if isinstance(made, tuple | list) else (made,):
            if isinstance(t, torch.Tensor):
                self.size = max(self.size, t.numel())
        return made


for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    left, right = torch.randn(4, 9, generator=g), torch.randn(6, 3, generator=g)
    Sg_try, Sz_try = left @ left.T, right @ right.T  # the second one is singular
    G_try = torch.randn(4, 6, generator=g)
    kept = [one.clone() for one in (G_try, Sg_try, Sz_try)]
    for eps in (0.05, 2.0):
        dense = torch.kron(Sg_try, Sz_try) + eps * torch.eye(24)
        exact = torch.linalg.solve(dense, G_try.flatten()).reshape(4, 6)
        with Largest() as largest:
            found = divide(G_try, Sg_try, Sz_try, eps)
        assert largest.size < 24 * 24, (
            "the large matrix is not to be formed, with torch.kron or without"
        )
        assert torch.allclose(found, exact, rtol=1e-7, atol=1e-9), (
            "it is not (Sg kron Sz + eps I)^{-1} G: eps is added to the *products* of "
            "eigenvalues, and the result is turned back"
        )
    for one, before in zip((G_try, Sg_try, Sz_try), kept, strict=True):
        assert torch.equal(one, before), (
            "what was handed over has been changed in place"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.linalg.eigh` returns the eigenvalues and, as columns, the eigenvectors of a symmetric matrix.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Turn `G` into the directions of the eigenvectors, divide, turn back.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The divisor is `torch.outer(size_g, size_z) + eps`, of the shape `(out, in)`.
#
# </details>

# %% [markdown]
# When is the Kronecker product right? Where inputs and gradients *are* independent. Take samples of
# both kinds and measure how far $\Sigma_g \otimes \Sigma_z$ is from the true second moment.

# %%
g = torch.Generator().manual_seed(4)
z = torch.randn(20_000, 3, generator=g) @ torch.randn(3, 3, generator=g)
free = torch.randn(20_000, 2, generator=g) @ torch.randn(2, 2, generator=g)
tied = free * (0.2 + z[:, :1] ** 2)  # large where the input is large
misses = {}
for name, grads in (("independent", free), ("dependent", tied)):
    rows = torch.einsum("si,sj->sij", grads, z).flatten(1)
    true = rows.T @ rows / len(rows)
    product = torch.kron(grads.T @ grads / len(z), z.T @ z / len(z))
    misses[name] = ((product - true).norm() / true.norm()).item()
print("independent, off by less than 10 %:", misses["independent"] < 0.1)
print("dependent, off by more than 30 %:", misses["dependent"] > 0.3)

# %% [markdown]
# For a real network independence is an assumption, which nothing enforces. That is why the division is
# a *preconditioner*: it bends the gradient, and an ordinary optimiser makes the step. The
# library's `SNOpt` looks at the layers during the discrete adjoint's way back. Its method has more
# parts than shown here, of which the second moments of the gradient in the directions $U$ matter most.
#
# Does it pay? A benchmark trains a small field to follow a spiral, 200 updates, five seeds. SGD, Adam and
# SNOpt each have the best of twelve settings, found on another seed.

# %%
spiral = stored("ode")["spiral"]
ends = {side: spiral[side]["final"] for side in ("SGD", "Adam", "SNOpt")}
first = [min(pair) for pair in zip(ends["SGD"], ends["Adam"], strict=True)]
lower = [ours < 0.1 * e for ours, e in zip(ends["SNOpt"], first, strict=True)]
print(
    f"SNOpt's error below a tenth of both others': {sum(lower)} seeds of {len(lower)}"
)
odd = lower.index(False)
print("on the other seed it is the worst of the three:", end=" ")
print(ends["SNOpt"][odd] > max(ends["SGD"][odd], ends["Adam"][odd]))

# %% [markdown]
# On one seed SNOpt stays where it is from the twentieth update on. A method that is much better as a rule
# is not better on every run, and a single run would have told one of two opposite stories. On a second
# task, letters that a pen writes, the three end within a factor of two of each other.
#
# ## 7. How long?
#
# One number of the model was given so far: the last time $T$, the **horizon**. It says how deep the
# network is. Liu, Chen and Theodorou (2021) learn it, too. Time then needs a *price* $p$, or the
# horizon would have no reason to stay short. What falls is
#
# $$ \mathcal L\big(x(T)\big) + \tfrac p2 T^2, \qquad \text{with the derivative } \; s + p \, T
#    \; \text{ by } T, \qquad s = v(T)^\top f_\theta\big(T, x(T)\big) . $$
#
# This is the chain rule: if the run goes on a little longer, the state moves along the field. All that it
# costs is one more look at the field. In a batch, $s$ is the sum over the rows. As in section 6 a
# square takes the place of the second derivative of $\mathcal L$, and the step is
#
# $$ T \leftarrow T - \eta \, \frac{s + p \, T}{s^2 + p} , $$
#
# where $\eta$ is the part of the step that is made. It rests where $T = -s / p$. Here is a problem whose
# best horizon is known: $\dot x = 1.5$ from $x = 0$, with the loss $\frac12 (x(T) - 2)^2$.

# %%
price, rise = 0.7, lambda t, x: torch.full_like(x, 1.5)
horizon = Horizon(time=1.0, price=price, lr=0.3, memory=0.5)
for _ in range(200):
    x = torch.zeros(1, 1)
    x = odeint(rise, x, horizon.times(4, x), RK4)
    horizon.step(rise, x, x - 2)  # the gradient of the loss by the last state
best = 1.5 * 2 / (1.5**2 + price)
print("the best horizon, to 1e-6:", abs(horizon.time - best) < 1e-6)

# %% [markdown]
# On real data the question is what a learned horizon *saves*. The digits of scikit-learn, 64 pixels and ten
# scores in the state, steps of at most an eighth: eight steps at $T = 1$. The horizon is learned after a
# third of 150 updates. Its price is the highest of four that loses at most a point of accuracy on digits
# kept for that. Three baselines learn no horizon: the whole time, the time at which the search ended, and
# a single step, almost a residual network of one layer. As a control, time costs almost nothing: a
# hundredth of the price. (*Feedback* is a term of the method that is left out above: it lets the step of
# $T$ know how the parameters have just moved.)

# %%
depth = dict(stored("ode")["horizon"])
found = depth.pop("search")
names = [name for name, row in depth.items() if None not in row["accuracy"]]

# %% tags=["picture"]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.8), layout="constrained")
for name, style in (("learned", "C0-"), ("learned, time for nothing", "C1--")):
    for k, path in enumerate(depth[name]["times"]):
        seen = range(0, 5 * len(path), 5)
        left.plot(seen, path, style, lw=1.5, label=None if k else name)
left.set(xlabel="update", ylabel="horizon T", xlim=(0, 150), ylim=(0, 2.6))
left.legend(fontsize=9, loc="upper left")
saved = {}
for name, marker in zip(names, "os^vDP", strict=False):
    pairs = zip(depth[name]["looks"], depth["fixed"]["looks"], strict=True)
    saved[name] = statistics.median(a / b for a, b in pairs)
    accuracy = 100 * statistics.median(depth[name]["accuracy"])
    hollow = {"mfc": "none", "ms": 12} if "feedback" in name else {"ms": 8}
    right.plot(saved[name], accuracy, marker, ls="", label=name, **hollow)
right.set(xlabel="looks, in parts of the fixed", ylabel="accuracy, %")
right.set(xlim=(0, 1.1), ylim=(88, 98))
right.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="Left: horizons that are learned, five seeds. Right: looks at the field in the whole "
    "training, in parts of those of the fixed horizon, and accuracy; medians.",
    alt="Two panels. On the left, five solid curves stay at 1 for a third of the updates and then "
    "fall to about 0.7; five dashed ones, where time costs almost nothing, jump up and down, "
    "most of them above 1. On the right, all points lie between 94 and 97 percent: the fixed "
    "horizon at 1, the learned ones at 0.9 and above, a fixed shorter one at 0.75 and a single "
    "step at 0.12.",
)

# %%
worst = {name: min(depth[name]["accuracy"]) for name in names}
print("learned, looks at the field below those of the fixed:", saved["learned"] < 1)
short, one = saved["fixed where the search ended"], saved["fixed, one step"]
print("a fixed shorter horizon, still below:", short < saved["learned"])
print("a single step, below a fifth of them:", one < 0.2)
print("every run names more than 92 % rightly:", min(worst.values()) > 0.92)

# %% [markdown]
# The learned horizon is shorter, costs no accuracy and saves a tenth of the looks. In seconds nothing
# was saved, since the steps of $T$ cost something, too. Learned from the first update on, it
# grows before it falls, and saves fewer looks. The comparison with the baselines is
# sobering: a horizon that is short from the beginning is as good and saves more, and a single step does
# nearly as well for an eighth of the looks. On these digits depth is hardly needed. The step of $T$
# says how much time is worth its price; it does not make that answer cheap to find. The feedback changes
# little here, and in the control, where time has almost no price, the horizon does not settle.
#
# ## The library's version
#
# `unroll.ode` has the same parts: `odeint(field, x0, t, method, adjoint)`, where the method is a tableau
# and the adjoint is a value. Are they the same?


# %%
class Net(torch.nn.Module):
    """The field of exercise 17.3 as a module."""

    def __init__(self, theta):
        super().__init__()
        self.theta = torch.nn.Parameter(theta.detach().clone())

    def forward(self, t, x):
        return torch.tanh(x @ self.theta.T + torch.sin(3 * t))


field, theta, x_first, v_last = net_case(9)
net, t = Net(theta), torch.linspace(0, 1, 13)


def by_library(method, adjoint):
    """Gradient by theta of a run of the library."""
    out = odeint(net, x_first, t, method, adjoint)
    return torch.autograd.grad(out, net.theta, v_last)[0]


euler = lambda k, x, a: x + (t[k + 1] - t[k]) * field(t[k], x, a)  # noqa: E731
kutta = lambda k, x, a: rk_step(  # noqa: E731
    RK4.a, RK4.b, lambda t, x: field(t, x, a), t[k], t[k + 1] - t[k], x
)
by_euler = euler_states(field, theta, t, x_first)
by_kutta = [x_first]
for k in range(12):
    by_kutta.append(kutta(k, by_kutta[-1], theta))
x_end = by_euler[-1].detach()
slow = lambda t, x: -40 * (x - torch.cos(torch.as_tensor(t)))  # noqa: E731
y = implicit_step(slow, 0.0, 0.5, torch.tensor([0.2, 0.7]))
theirs = IMPLICIT_EULER.step(
    slow, torch.tensor(0.0), torch.tensor(0.5), torch.tensor([[0.2, 0.7]])
)
moves = [move for move in plan(60, 6) if move[0] == "run"]
stays = sum(a.stop - a.start for a in revolve(60, 6) if isinstance(a, Advance))
pairs = {
    "a step of fourth order": (by_kutta[-1], odeint(net, x_first, t, RK4)),
    "continuous adjoint": (
        backsolve(field, theta, t, x_end, v_last)[2],
        by_library(EULER, Continuous()),
    ),
    "discrete adjoint, Euler": (
        discrete(euler, theta, by_euler[:-1], v_last)[1],
        by_library(EULER, Discrete(3)),
    ),
    "discrete adjoint, order 4": (
        discrete(kutta, theta, by_kutta[:-1], v_last)[1],
        by_library(RK4, Discrete(3)),
    ),
    "steps of a plan": (
        torch.tensor(sum(j - i for _, i, j in moves)),
        torch.tensor(stays),
    ),
    "an implicit step": (y, theirs[0]),
}
for name, (one, other) in pairs.items():
    print(f"{name}, equal to 1e-10:", bool((one - other).abs().max() < 1e-10))

# %% [markdown]
# The library's plans may also keep the stages of implicit steps, which saves solving them again (Zhang
# and Constantinescu 2023), and for adaptive steps it decides what to keep while the number of steps is
# not known yet.
#
# ## Signature result: what an exact gradient costs
#
# The benchmark takes a network of two hidden layers of 64 on 16 states, ten steps of fourth order, a
# batch of 64, three seeds, one thread. Each side does the same training step, forward and backward. The
# baseline is autograd through all steps, which keeps everything. torchdiffeq is the library of the
# field, and its `odeint_adjoint` the continuous adjoint. The error of a gradient is its distance from
# autograd through the same steps.

# %%
record = stored("ode")
rows = record["rows"]


def relative(name):
    """Time of a training step as parts of that through autograd, for each seed."""
    pairs = zip(rows[name]["ms"], rows["Through"]["ms"], strict=True)
    return [one / other for one, other in pairs]


# %% tags=["front-page", "picture"]
fig, ax = plt.subplots(figsize=(7, 3.6))
for (name, row), marker in zip(rows.items(), "osD^vP", strict=True):
    error = max(statistics.median(row["gradient_error"]), 1e-17)
    hollow = {"mfc": "none", "ms": 12} if name == "Discrete(8)" else {"ms": 8}
    ax.plot(
        statistics.median(relative(name)), error, marker, ls="", label=name, **hollow
    )
ax.axhline(1e-17, color="0.4", lw=1, ls=":")
ax.set(yscale="log", ylim=(1e-18, 1e-7), xlim=(0.8, 2.8))
ax.set_xlabel("a training step, in parts of that through autograd")
ax.set_ylabel("relative error of the gradient")
ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
figure(
    fig,
    caption="The price of a training step against the error of its gradient; medians of three "
    "seeds. On the dotted line: no error at all.",
    alt="A scatter plot with a logarithmic vertical axis. On the dotted line at the bottom "
    "stand both libraries' autograd, at a price of about 1. The discrete adjoints, with all "
    "states and with eight, stand together at about 1.5 and 2e-16. Our continuous adjoint is "
    "at about 2 and torchdiffeq's at about 2.4, both near 1e-9.",
)

# %%
print("                             price   error of the gradient")
for name, row in rows.items():
    error = statistics.median(row["gradient_error"])
    print(f"{name:28} {statistics.median(relative(name)):5.1f} {error:12.0e}")
memory = record["memory"]
print(
    f"{memory['steps']} steps in {memory['states']} states: {memory['extra_steps']} steps "
    f"done again, the fewest are {memory['extra_by_the_formula']}"
)
theirs = rows["torchdiffeq odeint_adjoint"]
quicker = [a / b for a, b in zip(rows["Discrete"]["ms"], theirs["ms"], strict=True)]
print("discrete, below 0.7 of the time of odeint_adjoint:", max(quicker) < 0.7)
exact = max(rows["Discrete(8)"]["gradient_error"])
print(
    "and its error below a millionth of it:",
    exact < 1e-6 * min(theirs["gradient_error"]),
)

# %% [markdown]
# The exact gradient in a few states costs about 1.5 times as much as the one that keeps everything. The
# continuous adjoint, which promises to save, is the slowest of all. At this accuracy of the solver its
# error is harmless; section 3 and the end of the chapter show where it is not.
#
# **Negative control.** Is the measure able to see a wrong gradient at all? Hand the discrete adjoint the
# right states in the wrong order, and the states of a run with one step more.

# %%
states = by_euler[:-1]
exact = torch.autograd.grad(by_euler[-1], theta, v_last, retain_graph=True)[0]
longer = euler_states(field, theta, torch.linspace(0, 1, 14), x_first)[:12]
for name, given in (
    ("right", states),
    ("reversed", states[::-1]),
    ("of a longer run", longer),
):
    found = discrete(euler, theta, given, v_last)[1]
    error = ((found - exact).norm() / exact.norm()).item()
    print(
        f"states {name:16} error below 1e-12: {error < 1e-12!s:6} above 1 %: {error > 0.01}"
    )

# %% [markdown]
# ## An experiment to change
#
# How far is the continuous adjoint off, for a method and a number of steps?

# %%
SIZE, METHOD = 1.5, MIDPOINT

g = torch.Generator().manual_seed(21)
wild = Net(SIZE * torch.randn(3, 3, generator=g))
print("steps   continuous adjoint, relative error   discrete adjoint, to 1e-12")
for count in (5, 10, 20, 40):
    t = torch.linspace(0, 1, count + 1)
    found = {}
    for name, adjoint in (("T", Through()), ("C", Continuous()), ("D", Discrete(4))):
        out = odeint(wild, x_first, t, METHOD, adjoint)
        found[name] = torch.autograd.grad(out, wild.theta, v_last)[0]
    error = {
        n: ((found[n] - found["T"]).norm() / found["T"].norm()).item() for n in "CD"
    }
    print(f"{count:5d} {error['C']:27.0e} {'':12} {error['D'] < 1e-12}")

# %% [markdown]
# Change one thing at a time, and guess first:
#
# - `METHOD = EULER`, then `RK4`. By how much does the error fall when the steps are doubled?
# - `SIZE = 6.0`: a field with a larger Jacobian. Which of the two notices?
# - In exercise 17.5, draw plans for 100 steps with 3, 6 and 12 places. How many times is the busiest step
#   run? Compare with $r$.
# - Give the adaptive method of section 5 a tolerance of `1e-6`. Why does the stiff row hardly change?
#
# ## When it fails
#
# **The way back is unstable.** The oscillator of the cold open again, with steps that are fine
# everywhere, and the gradient by the first state. Up to the time 4 the continuous adjoint is a little
# off. At 8 it is not a gradient of anything.

# %%
print(" T   continuous adjoint off by   discrete adjoint, to 1e-12")
for T in (2, 4, 8):
    found = []
    for adjoint in (Through(), Continuous(), Discrete(5)):
        x = torch.tensor([[0.5, 0.5]], requires_grad=True)
        out = odeint(oscillator, x, torch.linspace(0, T, 25 * T + 1), RK4, adjoint)
        found.append(torch.autograd.grad(out[:, 0].sum(), x)[0])
    error, tiny = (
        ((one - found[0]).norm() / found[0].norm()).item() for one in found[1:]
    )
    size = "less than 1e-5" if error < 1e-5 else "less than 1 %"
    print(f"{T:2d} {size if error < 0.01 else 'more than 100 %':>26}   {tiny < 1e-12}")

# %% [markdown]
# **An exact gradient of nonsense.** The discrete adjoint differentiates the steps that were done,
# whatever they are worth. Where explicit steps have left the solution, it returns the exact gradient
# of what they did. Nothing warns, but the numbers are huge.

# %%
start = torch.full((1, 1), 0.9, requires_grad=True)
kappa = 50.0
pulled = lambda t, x: -kappa * (x - torch.cos(t))  # noqa: E731
grid = torch.linspace(0, 2, 21)
for name, method in (("explicit", EULER), ("implicit", IMPLICIT_EULER)):
    (slope,) = torch.autograd.grad(odeint(pulled, start, grid, method), start)
    print(f"{name}: the last state depends on the first by more than 1e6:", end=" ")
    print(bool(slope.abs() > 1e6))

# %% [markdown]
# The true dependence is $e^{-100}$.
#
# **A field that draws.** The discrete adjoint does a step again. A field with dropout would draw other
# numbers then, and the gradient would be that of no run. The library looks for it, and refuses. A
# stiff equation that wants more explicit steps than allowed is told in words, too.

# %%
lossy = lambda t, x: torch.nn.functional.dropout(-x, 0.5)  # noqa: E731
stiff = lambda t, x: -1e6 * (x - torch.cos(t))  # noqa: E731
for field_try, method in ((lossy, RK4), (stiff, Adaptive(limit=200))):
    try:
        odeint(field_try, torch.ones(1, 1), torch.tensor([0.0, 1.0]), method)
    except (ValueError, FloatingPointError) as error:
        told = str(error).partition(":")[0]
        print(
            told.partition(" to t =")[0] + ("" if method is RK4 else ", and no farther")
        )

# %% [markdown]
# **A plan does not buy accuracy, and a tolerance is no bound of the error.** Checkpoints change where
# numbers are kept, not what they are. And an adaptive method controls the error of each *step*; what
# the steps add up to depends on the equation.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "What is one layer of a residual network with shared numbers?",
        choices=[
            "One step of Euler's method",
            "One stage of a Runge-Kutta method of fourth order",
            "The exact solution over a time of one",
        ],
        answer="d15e2498ceee",
        hint="Write the layer as x + h f(x).",
    ),
    Question(
        "A run is followed back with the continuous adjoint. Which gradient is computed?",
        choices=[
            "The gradient of the steps that were done, to rounding",
            "That of the equation, with an error of the method's order, and more where "
            "going back is unstable",
            "The gradient of the adaptive steps that would have been accepted",
        ],
        answer="5c098dc9900e",
        hint="First the calculus, then the steps.",
    ),
    Question(
        "What does the discrete adjoint need to have in memory at one moment?",
        choices=[
            "The graphs of all steps",
            "The last state only",
            "The states that are kept, and the graph of one step",
        ],
        answer="0d5d568faa41",
        hint="Which graph is alive while step k is gone back?",
    ),
    Question(
        "Ten places hold how many steps, if none may be run more than three times?",
        choices=["30", "286, which is 13 over 10", "1000, which is 10 to the power 3"],
        answer="9f4480c9363f",
        hint="The binomial coefficient of section 4, with r = 3.",
    ),
    Question(
        "An adaptive explicit method takes a thousand steps where the solution is smooth. Why?",
        choices=[
            "The equation is stiff: its steps are limited by stability",
            "Its tolerance is below rounding",
            "The discrete adjoint needs that many checkpoints",
        ],
        answer="2db63ab268cd",
        hint="What would the state do if it were pushed?",
    ),
    Question(
        "When is the Kronecker product of two second moments the true one?",
        choices=[
            "If the layer has as many inputs as outputs",
            "If the loss is convex in the layer's weights",
            "If the inputs of the layer and the gradients at its outputs are independent",
        ],
        answer="4c8e31786eba",
        hint="Look at the two kinds of samples at the end of section 6.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A residual network with shared numbers is Euler's method. A neural ODE is a field and what a solver
#   makes of it.
# - The continuous adjoint solves state, adjoint and integral backwards. It keeps no state, and is off by
#   the error of the method; where the way back is unstable, by far more.
# - The discrete adjoint goes back through the steps that were done. It is backpropagation, in the memory
#   of the kept states and one step's graph.
# - With $c$ places, reversing $N$ steps takes at least $r N - \binom{c + r}{r - 1}$ steps more, and
#   a recursion finds a plan that needs no more. A thousand steps fit into ten states for 3636.
# - Where an equation is stiff, explicit steps are limited by stability. An implicit step solves an
#   equation, and its gradient is $(I - h J^\top)^{-1} v$.
# - Second order: divide a layer's gradient by $\Sigma_g \otimes \Sigma_z + \epsilon I$ in the
#   directions of two small sets of eigenvectors.
# - The horizon can be learned if time has a price. Its derivative is one more look at the field.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | field | the right side $f_\theta(t, x)$ of an ODE |
# | neural ODE | a network defined by a field with learned numbers, and a solver |
# | Runge-Kutta method, stage, tableau | a step from several looks at the field; one look; the numbers of the method |
# | order | the power of the step with which the error falls |
# | adjoint | $v(t)$ or $v_k$, the gradient of the loss by a state |
# | continuous adjoint | the adjoint's equation, solved backwards together with the state |
# | discrete adjoint | the chain rule through the steps that were done |
# | checkpoint, place | a state that is kept; where it is kept |
# | plan | which states to keep, which steps to do again, in order |
# | stiff | of an equation: explicit steps are limited by stability, not by accuracy |
# | implicit step | a step that asks the field at its end |
# | Gauss-Newton matrix | here: the second moment of single samples' gradients |
# | horizon, price of time | the last time $T$; the weight $p$ of $T^2 / 2$ in what falls |
# | Kronecker product $\Sigma_g \otimes \Sigma_z$ | the large matrix of all products of entries of two small ones |
#
# ## Readings
#
# - **Chen, Rubanova, Bettencourt and Duvenaud (2018)**, *Neural ordinary differential equations*,
#   NeurIPS. Look for the adjoint's equations, and for what is said of the way back.
# - **Zhang and Zhao (2022)**, *PNODE: a memory-efficient neural ODE framework based on high-level adjoint
#   differentiation*, IEEE Trans. Artif. Intell. Look for the discrete adjoint of implicit steps, and
#   for the times on images, which are not reproduced here.
# - **Griewank and Walther (2000)**, *Algorithm 799: revolve*, ACM Trans. Math. Softw. 26(1). Look for
#   proposition 1, the formula of section 4.
# - **Zhang and Constantinescu (2023)**, *Optimal checkpointing for adjoint computations of multistage
#   time-stepping schemes*, J. Comput. Sci. 66. Look for when keeping stages pays.
# - **Hairer and Wanner (1996)**, *Solving ordinary differential equations II*, Springer. Look for
#   section IV.1, pictures of stiffness.
# - **Liu, Chen and Theodorou (2021)**, *Second-order neural ODE optimizer*, NeurIPS. Look for how the
#   Kronecker factors come out of the backward solve, and for the horizon that is learned, too.
