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
# # 36 · PINN or finite elements?
#
# > **Claim.** For a known equation in up to three coordinates, finite elements mostly reach a smaller error than the best of our networks in a fraction of its seconds, and tell how large it is. Networks are ahead where a smooth solution in space and time is wanted to many digits, and they go on in five and ten dimensions, where meshes end and polynomials are the rival. Both need the right flux; and a race that holds elements to one mesh flatters the network.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | tell how far a mesh is off without knowing the solution; state the equations of a flow as balance laws, for a network and for elements; put a mesh where a layer is; march through a long time; tell which shock a law allows, and which flux belongs to it; measure an error in ten dimensions, with its own deviation; run a race that is fair to both sides; choose between the two for a problem of your own |
# | **Before you start** | chapter 31 (residual, balance law); chapter 34 (weak form, elements) helps |
# | **Time** | 150 minutes |
# | **Points** | 20, in seven exercises |

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch

from course.kit import Question, figure, quiz, setup, stored
from pinn import (
    FEM,
    HPVPINN,
    GainRatio,
    LevenbergMarquardt,
    Mean,
    Mesh,
    Problem,
    Vanilla,
    adapt,
    fem,
    solve,
    test_points,
    zoo,
)

generator = setup(seed=36)

import deepxde as dde  # after pinn, which chooses its backend and keeps it quiet

pi = math.pi

# %% [markdown]
# ## Cold open: one flow, three answers
#
# A square box is full of a fluid. Its lid slides to the right at speed one and takes the fluid along; the other three walls are at rest. This **lid-driven cavity** has been the first test of flow solvers for decades, because
# Ghia, Ghia and Shin printed in 1982 what $u$, the speed to the right, is at fifteen heights on the line $x = 1/2$. Below: their table; **finite elements**, as chapter 34 introduced them, on a coarse mesh; and a physics-informed network, trained on the same equations, with twenty seconds of
# one processor. All was measured before and is read from a file.

# %%
record = stored("pinn_fem")
flows = record["cavity"]
table = record["ghia"]
coarse = flows["elements 8"]
nets = [row for name, row in flows.items() if name.startswith("network")]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(5.2, 3.6))
ax.plot(table["u"], table["heights"], "ko", ms=5, label="Ghia, Ghia and Shin")
ax.plot(coarse["profile"], table["heights"], "-", label="elements, 8 x 8")
for k, row in enumerate(nets):
    ax.plot(
        row["profile"],
        table["heights"],
        "--",
        color="C1",
        label=None if k else "network, three first weights",
    )
ax.set(xlabel="u at x = 1/2", ylabel="height y")
ax.legend(fontsize=8)
figure(
    fig,
    caption="The lid-driven cavity at a Reynolds number of 100: speed to the right on the vertical line through the middle.",
    alt="Speed to the right against height: points of the table and a line of elements fall together, from zero at the floor to minus 0.2 in the middle and one at the lid; three dashed lines of networks are flatter.",
)

# %%
seconds = [row["seconds"] for row in nets]
print(
    "elements: less than a twentieth of the network's seconds:",
    20 * coarse["seconds"] < min(seconds),
)
print(
    "and nearer to the table than any of the networks:",
    coarse["ghia_rms"] < min(row["ghia_rms"] for row in nets),
)

# %% [markdown]
# So one may stop here? The same chapter will show a problem with ten coordinates, where no mesh fits into any computer and a network answers within seconds; an equation whose smooth solution a network finds to more digits; and a wave on which all our networks fail. "Which is better" has no answer. "Which is better *for this*" has one, and it can often be told before anything is run.
#
# ## 1. How good is a mesh?
#
# Finite elements of degree $k$ on elements of size $h$ have, for a smooth solution, an error of about $C h^{k+1}$. The constant is not known. But with three meshes, each finer than the last by a factor $q$, it need not be. Call some measured numbers (values at points, say) $v_1, v_2, v_3$ on the three meshes, coarse to fine, and suppose $v_j = v + c \, h_j^p$. Then
#
# $$ q^p = \frac{\|v_1 - v_2\|}{\|v_2 - v_3\|} , \qquad v \approx v_3 + \frac{v_3 - v_2}{q^p - 1} , \qquad \text{error of } v_3 \approx \frac{\|v_3 - v_2\|}{q^p - 1} . $$
#
# This is **Richardson's extrapolation**: the **order** $p$, a better value and an estimate of the error, and *no exact solution* is needed. (Where the first of them is not near the order that theory promises, the mesh is too coarse, or the solution is not smooth: then the other two mean little.)
#
# **Shapes.** `values` is `(3, m)`, coarse to fine; order and estimate are tensors of shape `()`, the better values `(m,)`.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)


def close(a, b, tol=1e-9):
    """Whether two tensors agree to within a share tol of the size of b."""
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    return a.shape == b.shape and bool((a - b).norm() <= tol * (b.norm() + 1e-30))


def draw(*shape, seed):
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ### Exercise 36.1 · Three meshes
# Difficulty ●●○○○ · 3 points
#
# Write `richardson(values, ratio)`: order, better values, estimated error of the finest mesh (a 2-norm over the $m$ numbers). `ratio` is $q$; it need not be 2.


# %% nbgrader={"grade": false, "grade_id": "ex36-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def richardson(values, ratio):
    """Order, better values and error from three meshes.

    values: (3, m), coarse to fine. ratio: size of an element over that on the next mesh.
    Returns (), (m,), ().
    """
    ### BEGIN SOLUTION
    first, second = values[0] - values[1], values[1] - values[2]
    gain = first.norm() / second.norm()
    order = gain.log() / math.log(ratio)
    return order, values[2] - second / (gain - 1), second.norm() / (gain - 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
values_try = torch.tensor([[1.64], [1.16], [1.04]])  # 1 + 0.64 h^2, h = 1, 1/2, 1/4
order_try, better_try, off_try = richardson(values_try, 2)
assert torch.as_tensor(order_try).dtype == torch.float64, FLOAT64
assert close(order_try, 2.0), "0.48 over 0.12 is 4, which is 2 to the power of 2"
assert close(better_try, torch.tensor([1.0])), "the finest value minus 0.12 / 3"
assert close(off_try, 0.04), "the finest value is 0.12 / 3 away"

# %% nbgrader={"grade": true, "grade_id": "ex36-1-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
sizes_try = torch.tensor([1.0, 1 / 3, 1 / 9])
order_try, _, _ = richardson(2 + sizes_try[:, None] ** 3, 3)
assert close(order_try, 3.0), "the ratio is 3 here: divide by its logarithm"
### BEGIN HIDDEN TESTS
for seed in range(4):
    ratio_try, p_try = (2, 1.5, 3, 4)[seed], (1.0, 4 / 3, 2.7, 5.0)[seed]
    limit_try, slope_try = draw(6, seed=seed), draw(6, seed=seed + 9)
    sizes_try = torch.tensor([1.0, 1 / ratio_try, 1 / ratio_try**2])
    values_try = limit_try + sizes_try[:, None] ** p_try * slope_try
    kept = values_try.clone()
    order_try, better_try, off_try = richardson(values_try, ratio_try)
    assert torch.equal(values_try, kept), "the values were changed in place"
    assert close(order_try, p_try, 1e-7), "an order need not be whole"
    assert close(better_try, limit_try, 1e-7), (
        "the limit is reached exactly if one power is all there is"
    )
    assert close(off_try, (values_try[2] - limit_try).norm(), 1e-7), (
        "a norm over all values, of what the finest mesh is off; positive"
    )
rough = limit_try + sizes_try[:, None] ** 2 * slope_try + 0.01 * draw(3, 6, seed=3)
got = richardson(rough, 4)
gain_try = (rough[0] - rough[1]).norm() / (rough[1] - rough[2]).norm()
assert close(got[0], gain_try.log() / math.log(4)), (
    "one order for all values together, by norms: a mean of single orders is ruled by those that hardly change"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two differences: coarse minus middle, middle minus fine. How much smaller is the second?
#
# </details>
# <details><summary>Hint 2</summary>
#
# $q^p$ is a ratio of norms; $p$ is its logarithm over that of $q$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $v_3 - v = (v_2 - v_3) / (q^p - 1)$, value by value; its norm is the estimate.
#
# </details>

# %% [markdown]
# Three sequences: Helmholtz' equation on a square, whose solution is smooth; Laplace's equation on an L, whose gradient is infinite at the inner corner; and, for comparison, a small problem in one dimension by three *networks*, each twice as wide as the last. Elements have degree 2, so that theory promises the order 3 where the solution is smooth. (In time our elements are of order 2.)


# %%
def by_meshes(problem, counts, points):
    """Values at the points on one mesh after another: (meshes, m)."""
    return torch.stack(
        [fem(problem, Mesh(problem.geometry, n)).predict(points)[:, 0] for n in counts]
    )


def by_widths(problem, widths, points):
    """Values at the points of one trained network after another."""
    found = [
        solve(problem, Vanilla(60, hidden=(width,), resample=None), iterations=6)
        for width in widths
    ]
    return torch.stack([run.predict(points)[:, 0] for run in found])


line = dde.geometry.Interval(-1, 1)
sine = Problem(
    line,
    lambda x, u, p: -p,
    lambda x, u: pi**2 * torch.sin(pi * x),
    [dde.icbc.DirichletBC(line, lambda x: 0 * x, lambda x, on: on)],
    lambda x: torch.sin(pi * x),
)
waves, ell = zoo.helmholtz_2d(1), zoo.l_shape()
ways = {
    "smooth, elements": (waves, by_meshes, (8, 16, 32)),
    "an L, elements": (ell, by_meshes, (8, 16, 32)),
    "a sine, networks": (sine, by_widths, (4, 8, 16)),
}
print(f"{'':18s}{'order':>8s}{'estimated over true error':>28s}")
ratios = {}
for name, (problem, by, counts) in ways.items():
    spots = test_points(problem, 400)
    values = by(problem, counts, spots)
    order, _, estimate = richardson(values, 2)
    true = (values[2] - problem.exact(spots)[:, 0]).norm()
    ratios[name] = (estimate / true).item()
    if "networks" not in name:
        print(f"{name:18s}{order:8.1f}{ratios[name]:28.1f}")
off = ratios["a sine, networks"]
print("networks: the estimate is right to a factor of 1.5:", 2 / 3 < off < 1.5)

# %% [markdown]
# Elements keep the promise on the square, and the estimate is right to a fifth. On the L they do not: a corner makes the order smaller, and three meshes *say so*. There the estimate is only a third of the true error, which is why one looks at the order first. Still, that is worth more than a small error: an error that is told. A sequence of networks has no such order. Their errors depend on first weights, points and steps, and nothing falls by a fixed factor when the width doubles. What there is for a network: several seeds, the residual where chapter 31 gives a bound, and elements beside it.

# %% [markdown]
# ## 2. Systems: a flow as three balance laws
#
# An incompressible fluid at rest in time has a velocity $w = (u, v)$ and a pressure $P$. Momentum is carried along by the flow, pushed by the pressure, and spread by viscosity $\nu$; mass is conserved. In the language of chapter 31, two balance laws for momentum and one for mass, $\operatorname{div} F = 0$ with
#
# $$ F_{1} = u \, w + P e_1 - \nu \nabla u , \qquad F_{2} = v \, w + P e_2 - \nu \nabla v , \qquad F_3 = w , $$
#
# where $e_1, e_2$ are unit vectors. These are the equations of **Navier and Stokes**. With a lid of speed one and a box of size one, the **Reynolds number** is $1 / \nu$.
#
# One flux serves both sides. A network evaluates $\operatorname{div} F$ at points. Elements evaluate $\int F \cdot \nabla v$. There is one difference that a network never notices: the third law does not contain the pressure that it determines. If pressure and velocity have the same elements, some pressures are invisible to the equations, and the computed one oscillates. **Taylor and Hood's** elements give the pressure one degree less; the library does so for each component that its own equation does not read. And with velocities given on the whole border only differences of pressure matter, so that we prescribe its mean, zero.
#
# **Shapes.** $x$: `(batch, 2)`; $u$ of the library, here $(u, v, P)$: `(batch, 3)`; its gradients $p$: `(batch, 3, 2)`; the flux is `(batch, 3, 2)`: laws, then directions.

# %% [markdown]
# ### Exercise 36.2 · The flux of a flow
# Difficulty ●●○○○ · 3 points
#
# Write `flow_flux(u, p, nu)`: all three fluxes, without a loop over points.


# %% nbgrader={"grade": false, "grade_id": "ex36-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def flow_flux(u, p, nu):
    """Flux of momentum and mass.

    u: (batch, 3), velocity and pressure. p: (batch, 3, 2), gradients. nu: viscosity.
    Returns (batch, 3, 2).
    """
    ### BEGIN SOLUTION
    w = u[:, :2]
    push = u[:, 2, None, None] * torch.eye(2, dtype=u.dtype)
    momentum = w[:, :, None] * w[:, None, :] + push - nu * p[:, :2]
    return torch.cat([momentum, w[:, None, :]], dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
u_try = torch.tensor([[2.0, 3.0, 10.0]])
p_try = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
F_try = flow_flux(u_try, p_try, 0.5)
assert F_try.shape == (1, 3, 2), "three laws, two directions"
assert F_try.dtype == torch.float64, FLOAT64
assert close(F_try[0, 2], torch.tensor([2.0, 3.0])), "the flux of mass is the velocity"
assert close(F_try[0, 0], torch.tensor([4 + 10 - 0.5, 6 - 1.0])), (
    "u w is (4, 6); the pressure pushes in the direction of the law only; minus nu times the gradient of u"
)

# %% nbgrader={"grade": true, "grade_id": "ex36-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
F_try = flow_flux(u_try, p_try, 0.5)
assert close(F_try[0, 1], torch.tensor([6 - 1.5, 9 + 10 - 2.0])), (
    "the second law: v w, pressure along y, gradient of v"
)
### BEGIN HIDDEN TESTS
for seed, nu_try in enumerate((0.01, 1.0, 0.0)):
    u_try, p_try = draw(7, 3, seed=seed), draw(7, 3, 2, seed=seed + 5)
    kept = u_try.clone(), p_try.clone()
    F_try = flow_flux(u_try, p_try, nu_try)
    for k in range(7):
        for law in range(2):
            for way in range(2):
                exact = u_try[k, law] * u_try[k, way] - nu_try * p_try[k, law, way]
                exact = exact + (u_try[k, 2] if law == way else 0)
                assert close(F_try[k, law, way], exact), (
                    "law i, direction j: w_i w_j + P [i = j] - nu dw_i/dx_j"
                )
        assert close(F_try[k, 2], u_try[k, :2]), "mass: no viscosity, no pressure"
    assert torch.equal(u_try, kept[0]) and torch.equal(p_try, kept[1]), (
        "u or p was changed in place"
    )
grid = zoo.kovasznay(20.0)
behind = Problem(grid.geometry, lambda x, u, p: flow_flux(u, p, 1 / 20), components=3)
from pinn import jet_of

x_try = test_points(grid, 50)
rest = behind.strong_residual(x_try, jet_of(grid.exact, x_try, behind.wanted))
assert rest.abs().max() < 1e-10, (
    "Kovasznay's exact flow behind a grid does not fulfil these laws"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Momentum first, `(batch, 2, 2)`: velocity times velocity, pressure times the unit matrix, minus viscosity times the first two gradients. Mass is appended.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `w[:, :, None] * w[:, None, :]` has $w_i w_j$ at place $i, j$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.cat` along dimension 1 puts `w[:, None, :]`, one law, below the two of momentum.
#
# </details>

# %% [markdown]
# Now the cavity of the cold open, with your flux, by elements. They are narrower at the walls. Three meshes, and Richardson's estimate for $u$ at Ghia's heights:

# %%
square = dde.geometry.Rectangle([0, 0], [1, 1])
cavity = Problem(
    square,
    lambda x, u, p: flow_flux(u, p, 1 / 100),
    conditions=[
        dde.icbc.DirichletBC(
            square, lambda x: 1.0 * (x[:, 1:] > 1 - 1e-9), lambda x, on: on, component=0
        ),
        dde.icbc.DirichletBC(
            square, lambda x: 0 * x[:, :1], lambda x, on: on, component=1
        ),
        Mean(Mesh(square, 4), 0.0, component=2),
    ],
    components=3,
)
ghia = torch.tensor(table["u"])
heights = torch.tensor(table["heights"])
middle = torch.stack([torch.full_like(heights, 0.5), heights], dim=1)
solved = {}
for n in (8, 16, 32):
    edges = ((1 - torch.cos(pi * torch.arange(n + 1) / n)) / 2).tolist()
    solved[n] = fem(cavity, Mesh(square, [edges, edges]))
profiles = torch.stack([found.predict(middle)[:, 0] for found in solved.values()])
order, better, estimate = richardson(profiles, 2)
print(
    "the estimated error, root mean square, is below 0.001:",
    bool(estimate / 15**0.5 < 1e-3),
)
print(
    "and the table is within 0.01 of the finest mesh everywhere:",
    bool((profiles[2] - ghia).abs().max() < 0.01),
)

# %% tags=["picture"]
across = torch.linspace(0, 1, 17)
places = torch.cartesian_prod(across, across)
flow = solved[32].predict(places).view(17, 17, 3)
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2))
axes[0].quiver(*places.view(17, 17, 2).unbind(-1), flow[..., 0], flow[..., 1], scale=4)
axes[0].set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1), aspect="equal")
axes[1].plot(ghia, heights, "ko", ms=5, label="Ghia, Ghia and Shin")
for n, line in zip(solved, profiles, strict=True):
    axes[1].plot(line, heights, label=f"elements, {n} x {n}")
axes[1].set(xlabel="u at x = 1/2", ylabel="height y")
axes[1].legend(fontsize=8)
figure(
    fig,
    caption="The cavity by finite elements. Left: the velocity, as arrows. Right: three meshes and the table.",
    alt="Left: arrows that turn round one centre above the middle and to the right, longest under the lid. Right: speed against height for three meshes and the table; the two finer meshes cannot be told from it.",
)

# %% [markdown]
# Richardson's estimate is far below what still separates the finest mesh from the table of 1982, which was computed on a grid of 129 x 129 by a method of second order. So the table is confirmed to about its own accuracy, by a mesh of 32 x 32 in a few seconds. The network of the cold open is off by much more. Its equations are the same; why was not isolated here. A likely reason: at the two upper corners the lid's speed jumps from one to zero, the pressure is infinite there, and points near the corners may dominate a mean of squared residuals.
#
# ## 3. Thin layers: put the mesh where it is needed
#
# A substance is carried to the right and hardly diffuses: $-\varepsilon u'' + u' = 1$ on $[0, 1]$ with $u = 0$ at both ends and $\varepsilon = 1/1000$. Almost everywhere $u \approx x$; within a distance of a few $\varepsilon$ from the right end it falls from one to zero. This is a **layer**. What sees it?
#
# A mesh of evenly spaced elements that are wider than the layer does worse than miss it: it oscillates. **Shishkin's mesh** is as simple as can be: half of its $n$ elements in the layer, half outside. Where the layer ends is chosen so that what is left of it, $e^{-\tau/\varepsilon}$, is as small as the error of elements of degree $k$, $n^{-(k+1)}$:
#
# $$ \tau = \min\bigl(\tfrac12, \, (k + 1) \, \varepsilon \ln n \bigr) , \qquad n/2 \text{ even steps on } [0, 1 - \tau], \quad n/2 \text{ on } [1 - \tau, 1] . $$
#
# **Shapes.** $n$ is even; the edges are a tensor `(n + 1,)` that rises from 0 to 1.

# %% [markdown]
# ### Exercise 36.3 · A mesh with a layer
# Difficulty ●●○○○ · 2 points
#
# Write `layer_mesh(n, eps, degree)`.


# %% nbgrader={"grade": false, "grade_id": "ex36-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def layer_mesh(n, eps, degree):
    """Edges of n elements on [0, 1], half of them in a layer at the right end: (n + 1,)."""
    ### BEGIN SOLUTION
    tau = min(0.5, (degree + 1) * eps * math.log(n))
    outside = torch.linspace(0, 1 - tau, n // 2 + 1)
    return torch.cat([outside, torch.linspace(1 - tau, 1, n // 2 + 1)[1:]])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
edges_try = layer_mesh(4, 0.01, 1)
tau_try = 0.02 * math.log(4)
assert edges_try.dtype == torch.float64, FLOAT64
assert edges_try.shape == (5,), (
    "n elements have n + 1 edges; is the place where the layer begins there twice?"
)
assert close(edges_try[2], 1 - tau_try), "degree 1: tau = 2 eps ln n"
assert close(edges_try[1], (1 - tau_try) / 2) and close(
    edges_try[3], 1 - tau_try / 2
), "even steps on each side"

# %% nbgrader={"grade": true, "grade_id": "ex36-3-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert close(layer_mesh(8, 1.0, 2), torch.linspace(0, 1, 9)), (
    "no layer: tau is at most 1/2, and the mesh is even"
)
### BEGIN HIDDEN TESTS
for n_try, eps_try, k_try in ((6, 1e-3, 2), (32, 1e-5, 1), (64, 2e-4, 4), (2, 1e-2, 2)):
    edges_try = layer_mesh(n_try, eps_try, k_try)
    tau_try = (k_try + 1) * eps_try * math.log(n_try)
    steps_try = edges_try.diff()
    assert edges_try.shape == (n_try + 1,) and (steps_try > 0).all(), (
        "edges rise, none twice"
    )
    assert edges_try[0] == 0 and close(edges_try[-1], 1.0), "from 0 to 1"
    half = n_try // 2
    assert close(steps_try[:half], torch.full((half,), 2 * (1 - tau_try) / n_try)), (
        "half of the elements outside, evenly"
    )
    assert close(steps_try[half:], torch.full((half,), 2 * tau_try / n_try), 1e-6), (
        "half of the elements in the layer: tau is (degree + 1) eps times the natural logarithm"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First `tau`; `math.log` is the natural logarithm.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Two calls of `torch.linspace`, each with `n // 2 + 1` places.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The place $1 - \tau$ is the last of one and the first of the other: leave it out of one of them.
#
# </details>

# %%
EPS = 1e-3
interval = dde.geometry.Interval(0, 1)


def carried(x, eps=EPS):
    """The solution: x, and a layer at the right end."""
    return x - (torch.exp((x - 1) / eps) - math.exp(-1 / eps)) / (
        1 - math.exp(-1 / eps)
    )


layer = Problem(
    interval,
    lambda x, u, p: u[..., None] - EPS * p,
    lambda x, u: 1 + 0 * u,
    [dde.icbc.DirichletBC(interval, lambda x: 0 * x, lambda x, on: on)],
    carried,
)
fine = (
    1
    - torch.cat([torch.linspace(0, 0.02, 2000), torch.linspace(0.02, 1, 2000)])[:, None]
)


def largest(found):
    """Largest error on points that are dense in the layer."""
    return (found.predict(fine) - carried(fine)).abs().max().item()


even = {n: fem(layer, Mesh(interval, n)) for n in (16, 32, 64)}
fitted = {
    n: fem(layer, Mesh(interval, [layer_mesh(n, EPS, 2).tolist()]))
    for n in (16, 32, 64)
}
print(f"{'elements':>10s}{'even':>10s}{'in the layer':>14s}")
for n in even:
    print(f"{n:10d}{largest(even[n]):10.2f}{largest(fitted[n]):14.1g}")

# %% [markdown]
# Shishkin's mesh needs somebody who knows where the layer is and how wide. The library's `adapt` finds it out: it solves, estimates what each element leaves unsaid (chapter 34), halves the worst ones, and solves again. And networks? One on the strong form, at 400 points that are drawn anew where the residual is large (chapter 32); and an hp-VPINN whose elements are those of the adapted mesh:

# %%
import warnings

adapted = adapt(layer, Mesh(interval, 4))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library would warn here: see below
    strong = solve(layer, Vanilla(400, hidden=(16, 16), resample=50), iterations=40)
weak = solve(
    layer, HPVPINN(adapted.mesh.elements, degree=3, hidden=(16, 16)), iterations=60
)
print(f"adapted from 4 elements: {len(adapted.mesh)} of them")
print("their largest error is below 0.01:", largest(adapted.solution) < 0.01)
print("a network on the strong form: largest error above 0.3:", largest(strong) > 0.3)
print(
    "a network on the adapted elements: largest error below 0.1:",
    largest(weak) < 0.1,
)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
whole = torch.linspace(0, 1, 1001)[:, None]
axes[0].plot(whole, carried(whole), "k", lw=2.5, label="truth")
axes[0].plot(whole, even[16].predict(whole), lw=1, label="16 even elements")
axes[0].plot(whole, strong.predict(whole), "--", label="network, strong form")
axes[0].set(xlabel="x", ylabel="u")
axes[0].legend(fontsize=8)
axes[1].plot(fine, carried(fine), "k", lw=2.5, label="truth")
axes[1].plot(fine, fitted[16].predict(fine), label="16 elements, half in the layer")
axes[1].plot(fine, weak.predict(fine), "--", label="hp-VPINN, adapted elements")
axes[1].set(
    xlabel="x", ylabel="u", xlim=(0.985, 1.0005), xticks=(0.985, 0.99, 0.995, 1)
)
axes[1].legend(fontsize=8, loc="lower left")
figure(
    fig,
    caption="A layer. Left: the whole interval. Right: the last 15 thousandths.",
    alt="Left: a straight rise that falls to zero at the very end; sixteen even elements swing about it over the whole interval, a network on the strong form stays far from it. Right: the last thousandths, where elements in the layer and a network on them lie on the truth.",
)

# %% [markdown]
# Sixteen even elements oscillate through the whole interval, although fifteen of them see nothing but a straight line: the one that holds the layer misleads all others. Half of them in the layer, and the error is a hundred times smaller. The network on the strong form is off *everywhere*: its points hardly ever fall into the last thousandth, and without the layer nothing ties the straight line to the condition at the right end. So it lies between the two conditions. What it can be given is the mesh: *tests* on elements that stand in the layer (chapter 34). The library's benchmark has eight CPU seconds for each network and three seeds:

# %%
thin = stored("pinn_adapt")["networks"]
for what in ("adapted", "equal", "strong"):
    ends_at = sorted(
        r["error"] for name, r in thin.items() if name.startswith(f"{what}:")
    )
    print(f"{what:10s}{ends_at[1]:10.0e}{ends_at[-1]:10.0e}")

# %% [markdown]
# The same network, seconds and number of elements: where the elements stand decides. With elements alone the adapted mesh took a third of a second.

# %% [markdown]
# ## 4. Long times: one network, or one after another
#
# Time is a coordinate like any other, to a network and to our elements. But a solution that swings twenty times is a harder function than one that swings once. So cut the time into **slabs** and **march**: solve in the first, start the second from where the first ended, and so on. Each slab is easy. What is wrong at the end of a slab is wrong at the start of the next: with an error $\delta$ made in every slab, and errors that the equation makes $g$ times as large over a slab, the error after $K$ slabs is at most
#
# $$ e_K \le g \, e_{K-1} + \delta \quad \Rightarrow \quad e_K \le \delta \, (1 + g + \dots + g^{K-1}) . $$
#
# For $g < 1$ (diffusion) the past is forgotten, for $g = 1$ (waves) errors add up, for $g > 1$ (chaos) nothing helps in the long run.
#
# **Shapes.** `solve_slab(t0, t1, u0)` takes numbers and the start `(c,)`, and returns a function of times `(m,)` with values `(m, c)`. `edges` is a list of times that rise, ends included.

# %% [markdown]
# ### Exercise 36.4 · March
# Difficulty ●●●○○ · 3 points
#
# Write `slabs(solve_slab, start, edges)`: a function of times `(m,)`, in any order, with values `(m, c)`. Solve every slab once, when `slabs` is called, each from the end of the one before. A time between two slabs belongs to the earlier one.


# %% nbgrader={"grade": false, "grade_id": "ex36-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def slabs(solve_slab, start, edges):
    """Solve slab after slab. start: (c,). Returns a function of times (m,), values (m, c)."""
    ### BEGIN SOLUTION
    parts = []
    for t0, t1 in zip(edges, edges[1:], strict=False):
        parts.append(solve_slab(t0, t1, start))
        start = parts[-1](torch.tensor([t1]))[0]
    inner = torch.tensor(edges[1:-1])

    def whole(t):
        which = torch.bucketize(t, inner)
        u = torch.zeros(len(t), len(start))
        for k, part in enumerate(parts):
            if (which == k).any():
                u[which == k] = part(t[which == k])
        return u

    return whole
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
def grow_try(t0, t1, u0):
    """u' = u, exactly."""
    return lambda t: u0 * torch.exp(t - t0)[:, None]


u_try = slabs(grow_try, torch.tensor([1.0, 2.0]), [0.0, 0.5, 2.0])
got_try = u_try(torch.tensor([0.0, 1.0, 2.0]))
assert got_try.dtype == torch.float64, FLOAT64
assert got_try.shape == (3, 2), "a row for each time"
assert close(got_try[:, 1], 2 * torch.exp(torch.tensor([0.0, 1.0, 2.0]))), (
    "u' = u from (1, 2): the second slab starts from the end of the first"
)

# %% nbgrader={"grade": true, "grade_id": "ex36-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
u_try = slabs(grow_try, torch.tensor([1.0, 2.0]), [0.0, 0.5, 2.0])
got_try = u_try(torch.tensor([2.0, 0.2, 1.7, 0.2]))
assert close(got_try[:, 0], torch.exp(torch.tensor([2.0, 0.2, 1.7, 0.2]))), (
    "times in any order, some of them twice"
)
### BEGIN HIDDEN TESTS
asked = []


def mark_try(t0, t1, u0):
    """Each slab tells its number; the first component tells where the slab started."""
    asked.append((float(t0), float(t1), u0.clone()))
    k = len(asked)
    return lambda t: torch.stack([torch.full_like(t, float(k)), t - t0 + u0[1]], dim=1)


start_try = torch.tensor([0.0, 5.0])
u_try = slabs(mark_try, start_try, [1.0, 2.0, 4.0, 7.0])
assert [a[:2] for a in asked] == [(1.0, 2.0), (2.0, 4.0), (4.0, 7.0)], (
    "every slab once, in order, when slabs is called"
)
got_try = u_try(torch.tensor([7.0, 2.0, 4.0, 2.001, 1.0]))
assert len(asked) == 3, "evaluating must not solve again"
assert close(got_try[:, 0], torch.tensor([3.0, 1.0, 2.0, 2.0, 1.0])), (
    "a time between two slabs belongs to the earlier one"
)
assert close(got_try[:, 1], torch.tensor([11.0, 6.0, 8.0, 6.001, 5.0])), (
    "each slab goes on from the last"
)
assert close(asked[1][2], torch.tensor([1.0, 6.0])) and close(
    asked[2][2], torch.tensor([2.0, 8.0])
), "a slab starts from all components of the end of the last"
assert torch.equal(start_try, torch.tensor([0.0, 5.0])), "start was changed in place"
alone = slabs(grow_try, torch.tensor([3.0]), [0.0, 1.0])
assert close(alone(torch.tensor([1.0, 0.0])), torch.tensor([[3 * math.e], [3.0]])), (
    "one slab is allowed, and one component"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A list of functions, made in a loop. The next start is the last function at `t1`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.bucketize(t, inner)` counts how many inner edges lie below each time; a time *on* an edge is not above it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Fill a tensor of zeros with a mask: `u[which == k] = part(t[which == k])`.
#
# </details>

# %% [markdown]
# A swing, $y' = v$, $v' = -y$ from $(1, 0)$, up to $T = 100$: almost sixteen turns. Your `slabs`, with a *polynomial* in each of two hundred slabs, eight numbers per component, by least squares on the equations:


# %%
def by_polynomial(t0, t1, u0, numbers=8):
    """Fit y' = v, v' = -y from u0 by polynomials in s = (t - t0) / (t1 - t0)."""
    power = torch.arange(numbers)
    s = torch.linspace(0, 1, 2 * numbers)[:, None]
    value, slope = s**power, power * s ** (power - 1).clamp_min(0) / (t1 - t0)
    first = (power == 0).double()[None]
    rows = torch.cat(
        [
            torch.cat([slope, -value], dim=1),
            torch.cat([value, slope], dim=1),
            100 * torch.block_diag(first, first),
        ]
    )
    wanted = torch.cat([torch.zeros(4 * numbers), 100 * u0])
    c = torch.linalg.lstsq(rows, wanted[:, None]).solution.view(2, numbers)
    return lambda t: (((t - t0) / (t1 - t0))[:, None] ** power) @ c.T


END = 100.0
by_hand = slabs(
    by_polynomial, torch.tensor([1.0, 0.0]), torch.linspace(0, END, 201).tolist()
)
clock = torch.linspace(0, END, 2001)
truth = torch.stack([clock.cos(), -clock.sin()], dim=1)
u_hand = by_hand(clock)
print(
    "two hundred slabs of polynomials: error below 1e-5:",
    bool((u_hand - truth).norm() < 1e-5 * truth.norm()),
)

# %% [markdown]
# And networks? The library's `march` does the same with a network in each slab. What the benchmark has stored: one network for all times, and slabs, in the same CPU seconds; and a solver of Runge and Kutta, which marches too, with steps that it chooses itself.

# %%
long = stored("pinn_march")
print(
    f"{'until':>6s}{'one network':>13s}{'slabs':>8s}{'error':>9s}{'CPU s':>7s}{'Runge-Kutta':>13s}{'CPU s':>7s}"
)
for until in (30, 100):
    row = long[f"oscillator_{until}"]
    runs = [run for seed, run in row.items() if seed.isdigit()]
    middle_run = sorted(runs, key=lambda run: run["error"])[len(runs) // 2]
    print(
        f"{until:6d}{row['one']['error']:13.0e}{middle_run['slabs']:8d}"
        f"{middle_run['error']:9.0e}{middle_run['cpu_seconds']:7.0f}"
        f"{row['without']['error']:13.0e}{row['without']['cpu_seconds']:7.2f}"
    )

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].semilogy(clock, (u_hand - truth).norm(dim=1))
axes[0].set(xlabel="t", ylabel="error, polynomials", ylim=(1e-12, 1e-8))
for seed, run in long["oscillator_100"].items():
    if seed.isdigit():
        so_far = run["errors_so_far"]
        axes[1].plot(range(1, len(so_far) + 1), so_far, "o-", ms=3)
axes[1].set(xlabel="slabs done", ylabel="error so far, networks", ylim=(0, None))
figure(
    fig,
    caption="A swing until T = 100. Left: the error of polynomials in two hundred slabs. Right: the error of networks in 32 slabs, over all times so far.",
    alt="Left: an error that grows slowly with time and stays tiny. Right: errors of networks that grow from slab to slab, fast at first and then slowly.",
)

# %% [markdown]
# For $g = 1$ errors add up, and they do: no slab is hard, the past stays. Until $T = 30$ one network is nearly as good as ten slabs. Until $T = 100$ it is lost, with a tiny loss: what one network has not understood in one place it cannot mend in another, and the residual does not tell. So slabs are for times that are *long for the solution*. And the solver without any network is ahead of both by orders of magnitude, in less than a tenth of a second.
#
# ## 5. Shocks: the flux decides
#
# Let $u_t + f(u)_x = 0$ without any viscosity. Solutions become steep and then jump. Across a jump that moves with speed $\sigma$, what flows in on one side flows out on the other: chapter 33 called this the condition of **Rankine and Hugoniot**,
#
# $$ \sigma = \frac{f(u_l) - f(u_r)}{u_l - u_r} , $$
#
# with $u_l$ on the left and $u_r$ on the right. Not every such jump is the limit of solutions with a little viscosity as it vanishes. Those that are fulfil **Oleinik's condition**: for all $v$ between $u_l$ and $u_r$
#
# $$ \frac{f(v) - f(u_l)}{v - u_l} \ge \sigma \ge \frac{f(v) - f(u_r)}{v - u_r} . $$
#
# (In words: seen from the jump, waves from both sides run into it, none comes out. A drawing shows that each half implies the other: the graph of $f$ lies on one side of its chord.) Both need the *flux*, and a residual at points has no flux left in it.
#
# **Shapes.** `f` maps tensors to tensors; `left` and `right` are numbers.

# %% [markdown]
# ### Exercise 36.5 · Which jumps are allowed?
# Difficulty ●●●○○ · 3 points
#
# Write `jump(f, left, right)`: its speed, and whether it is allowed. Try the condition at 1001 evenly spaced values, the ends left out, with a tolerance of $10^{-9}$ times the largest slope that occurs.


# %% nbgrader={"grade": false, "grade_id": "ex36-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def jump(f, left, right):
    """Speed of a jump from left to right, and whether Oleinik's condition allows it.

    f: tensors to tensors. left, right: numbers. Returns a tensor () and a bool.
    """
    ### BEGIN SOLUTION
    v = torch.linspace(left, right, 1003)[1:-1]
    ends = f(torch.tensor([left, right]))
    speed = (ends[0] - ends[1]) / (left - right)
    before = (f(v) - ends[0]) / (v - left)
    after = (f(v) - ends[1]) / (v - right)
    slack = 1e-9 * torch.cat([before, after]).abs().max()
    return speed, bool(
        (before >= speed - slack).all() and (after <= speed + slack).all()
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
speed_try, allowed_try = jump(lambda u: u**2 / 2, 1.0, 0.0)
assert torch.as_tensor(speed_try).dtype == torch.float64, FLOAT64
assert close(speed_try, 0.5) and allowed_try is True, (
    "fast behind slow: they meet, at the mean speed 1/2"
)
assert jump(lambda u: u**2 / 2, 0.0, 1.0)[1] is False, (
    "slow behind fast: they part, and no jump stays"
)


# %% nbgrader={"grade": true, "grade_id": "ex36-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def drive(u):
    return u**2 / (u**2 + (1 - u) ** 2)


assert jump(drive, 1.0, 0.0)[1] is False, (
    "this flux is not convex: one jump from 1 to 0 is too much"
)
### BEGIN HIDDEN TESTS
assert close(jump(drive, 1.0, 0.0)[0], 1.0), "its speed would be (f(1) - f(0)) / 1"
height = 0.5**0.5
assert jump(drive, height, 0.0)[1] is True, (
    "the highest jump that is allowed ends where its chord touches f"
)
assert (
    jump(drive, height + 0.02, 0.0)[1] is False
    and jump(drive, height - 0.02, 0.0)[1] is True
), "a little higher is not allowed, a little lower is"
for a, b in ((2.0, -1.0), (0.3, 0.1), (-0.5, -2.0)):
    assert close(jump(lambda u: u**2 / 2, a, b)[0], (a + b) / 2), (
        "for u^2 / 2 the speed is the mean"
    )
    assert (
        jump(lambda u: u**2 / 2, a, b)[1] is True
        and jump(lambda u: u**2 / 2, b, a)[1] is False
    ), "where the flux bends upwards, jumps go downwards, negative values too"
    assert close(jump(lambda u: -(u**2) / 2, a, b)[0], -(a + b) / 2), (
        "the speed follows the sign of the flux"
    )
    assert (
        jump(lambda u: -(u**2) / 2, b, a)[1] is True
        and jump(lambda u: -(u**2) / 2, a, b)[1] is False
    ), (
        "where the flux bends downwards, jumps go upwards; left may be smaller than right"
    )
assert (
    jump(lambda u: 3 * u, 0.0, 1.0)[1] is True
    and jump(lambda u: 3e6 * u, 1.0, 0.0)[1] is True
), "a straight flux allows all jumps; rounding must not forbid them"
for sign, allowed in ((-1, False), (1, True)):

    def bumpy(u, sign=sign):
        return u / 2 - u * (1 - u) * ((u - 0.5) ** 2 + sign * 0.01)

    assert jump(bumpy, 1.0, 0.0)[1] is allowed, (
        "all values between count: slopes at the ends alone do not see a hill in the middle"
    )
assert (
    jump(lambda u: u**3 / 3, 1.0, -0.8)[1] is False
    and jump(lambda u: u**3 / 3, 1.0, -0.4)[1] is True
), "u^3 / 3 from 1: allowed down to -1/2, where the chord touches"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Three kinds of chords: between the ends, from the left end to $v$, from the right end to $v$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Do not divide where $v$ is an end: take `linspace` with 1003 places and leave out the first and the last.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `bool((before >= speed - slack).all() and (after <= speed + slack).all())`, where `slack` is the tolerance.
#
# </details>

# %% [markdown]
# Why the flux matters more than the residual: for smooth $u$, Burgers' equation may be multiplied by $u$,
#
# $$ u_t + \bigl(\tfrac{u^2}{2}\bigr)_x = 0 \quad \Longleftrightarrow \quad \bigl(\tfrac{u^2}{2}\bigr)_t + \bigl(\tfrac{u^3}{3}\bigr)_x = 0 , $$
#
# and at points no residual can tell the two apart: one is $u$ times the other. But they conserve different things, $u$ or $u^2/2$, and a jump from 1 to 0 has the speed $1/2$ by the first and $\frac{1/3}{1/2} = 2/3$ by the second. Elements with a viscosity of 0.01 in the flux of each, from the same smooth start. (The unknown in the code is $u - 1/2$: Newton's method begins at zero, and where $u$ is zero $u^2 / 2$ has no slope.)

# %%
VISCOSITY, SHIFT = 0.01, 0.5


def front(conserve):
    """From one to zero on [-0.5, 1]: conserve u ("u") or u^2 / 2 ("square")."""
    line = dde.geometry.Interval(-0.5, 1)
    strip = dde.geometry.GeometryXTime(line, dde.geometry.TimeDomain(0, 1))

    def flux(x, z, p):
        u = z + SHIFT
        if conserve == "u":
            return torch.stack([u**2 / 2 - VISCOSITY * p[..., 0], u], dim=-1)
        return torch.stack([u**3 / 3 - VISCOSITY * u * p[..., 0], u**2 / 2], dim=-1)

    def start(x):
        x = torch.as_tensor(x[:, :1])
        return (0.55 - 0.45 * torch.tanh((x + 0.2) / 0.04) - SHIFT).numpy()

    conditions = [
        dde.icbc.DirichletBC(
            strip, lambda x: 1 - SHIFT + 0 * x[:, :1], lambda x, on: on and x[0] < 0
        ),
        dde.icbc.DirichletBC(
            strip, lambda x: 0.1 - SHIFT + 0 * x[:, :1], lambda x, on: on and x[0] > 0
        ),
        dde.icbc.IC(strip, start, lambda x, on: on),
    ]
    return Problem(strip, flux, conditions=conditions)


spots = torch.linspace(-0.5, 1, 601)
ends = {}
for conserve in ("u", "square"):
    problem = front(conserve)
    found = fem(problem, Mesh(problem.geometry, [48, 24]))
    early, late = (
        found.predict(torch.stack([spots, torch.full_like(spots, t)], dim=1))[:, 0]
        + SHIFT
        for t in (0.5, 1.0)
    )
    ends[conserve] = late
    moved = spots[(late - 0.55).abs().argmin()] - spots[(early - 0.55).abs().argmin()]
    ends[conserve + " speed"] = 2 * moved.item()
by_u, _ = jump(lambda u: u**2 / 2, 1.0, 0.1)
by_square, _ = jump(
    lambda w: (2 * w) ** 1.5 / 3, 0.5, 0.005
)  # w = u^2 / 2 is conserved
print(f"conserving u:     speed {ends['u speed']:.2f}, by the chord {by_u:.2f}")
print(
    f"conserving u^2/2: speed {ends['square speed']:.2f}, by the chord {by_square:.2f}"
)

# %% [markdown]
# Two fronts that part, from the same start, by equations that agree wherever the solution is smooth. So a jump has to be told which quantity is conserved. A *weak* form and a *conservative* one are told by their flux; a residual at points is not, and a network that smears a jump over its points may put it anywhere. That is what "the flux must match" means here: the limit of small viscosity depends on what the viscosity is a flux *of*.

# %% [markdown]
# The jumps that a network must find are known problems for its loss. Buckley and Leverett's equation (water drives oil out of a rock, $f = u^2 / (u^2 + (1-u)^2)$) has been a test for that since 2020. What the library's benchmark has stored, forty CPU seconds each, three seeds: the strong form, and the weak form with a small viscosity in the flux.

# %%
shocks = {
    name: stored("pinn")["rows"][f"buckley_leverett_{name}_40s"]["runs"]
    for name in ("strong", "weak")
}
print(
    "strong form, every seed: error above 0.5:",
    min(run["error"] for run in shocks["strong"].values()) > 0.5,
)
weak_errors = [run["error"] for run in shocks["weak"].values()]
print(
    "weak form with viscosity: median below 0.1, worst above 0.2:",
    sorted(weak_errors)[1] < 0.1,
    max(weak_errors) > 0.2,
)

# %% [markdown]
# The strong form fails with every seed. The weak form with viscosity mostly finds the front, and one seed in three does not: a median is no promise. With exercise 36.5 one knows more than the network does, and before any training: from 1 down to 0 one jump is not allowed; the highest that is ends at $1 / \sqrt 2$, and its speed is the slope of the chord.
#
# ## 6. Where meshes end
#
# A mesh with $n$ elements along each of $d$ coordinates has, for degree $k$, $(n k + 1)^d$ values. With $n = 8$ and $k = 2$, which was enough for a flow, that is 289 values in two dimensions, a million and a half in five, $2 \cdot 10^{12}$ in ten: sixteen terabytes for one solution, and nobody has solved the system yet. This is the **curse of dimension**. A network takes points instead. But then an *error* must be measured at points, too, drawn by chance, and such a measurement has a deviation of its own.
#
# Let $a_i = |u(x_i) - u_{\text{exact}}(x_i)|^2$ and $b_i = |u_{\text{exact}}(x_i)|^2$ at $m$ random points, $\bar a$ and $\bar b$ their means, and $R = \bar a / \bar b$. The relative error is $E = \sqrt R$. By the delta method (chapter 35),
#
# $$ \operatorname{dev}(R) \approx \frac{1}{\bar b \sqrt m} \sqrt{\frac1m \sum_i (a_i - R \, b_i)^2} , \qquad \operatorname{dev}(E) \approx \frac{\operatorname{dev}(R)}{2 E} . $$
#
# The dimension is not in it. (It is hidden in how much $a_i$ and $b_i$ vary.)
#
# **Shapes.** `found` and `exact` are `(m, c)`; both answers are tensors of shape `()`.

# %% [markdown]
# ### Exercise 36.6 · An error and its deviation
# Difficulty ●●●○○ · 3 points
#
# Write `measured_error(found, exact)`. With an error of zero, the deviation is zero, too.


# %% nbgrader={"grade": false, "grade_id": "ex36-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def measured_error(found, exact):
    """Relative error at random points, and its deviation.

    found, exact: (m, c). Returns (), ().
    """
    ### BEGIN SOLUTION
    a, b = (found - exact).square().sum(1), exact.square().sum(1)
    share = a.mean() / b.mean()
    if share == 0:
        return share, torch.zeros(())
    spread = (a - share * b).square().mean().sqrt() / (b.mean() * len(a) ** 0.5)
    return share.sqrt(), spread / (2 * share.sqrt())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
exact_try = torch.tensor([[1.0], [2.0]])
error_try, dev_try = measured_error(exact_try + torch.tensor([[0.3], [0.4]]), exact_try)
assert torch.as_tensor(error_try).dtype == torch.float64, FLOAT64
assert close(error_try, 0.05**0.5), "squares: 0.09 + 0.16 over 1 + 4"
assert close(dev_try, 0.04 / (2.5 * 2**0.5) / (2 * 0.05**0.5)), (
    "a - R b is 0.04 and -0.04: divide by the mean of b and the root of m, then by twice the error"
)

# %% nbgrader={"grade": true, "grade_id": "ex36-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
error_try, dev_try = measured_error(exact_try, exact_try)
assert error_try == 0 and dev_try == 0, (
    "no error, and no deviation: 0 / 0 is not a number"
)
### BEGIN HIDDEN TESTS
for seed in range(4):
    exact_try = draw(50, 1 + seed, seed=seed)
    found_try = exact_try * 1.25
    error_try, dev_try = measured_error(found_try, exact_try)
    assert close(error_try, 0.25), (
        "a quarter too much everywhere is an error of a quarter"
    )
    assert dev_try < 1e-9, "and every point says the same: no deviation"
    found_try = exact_try + 0.1 * draw(50, 1 + seed, seed=seed + 9)
    kept = found_try.clone()
    error_try, dev_try = measured_error(found_try, exact_try)
    assert torch.equal(found_try, kept), "found was changed in place"
    assert close(error_try, (found_try - exact_try).norm() / exact_try.norm()), (
        "norms over all components"
    )
    twice = measured_error(torch.cat([found_try] * 4), torch.cat([exact_try] * 4))
    assert close(twice[0], error_try) and close(twice[1], dev_try / 2), (
        "four times as many points: half the deviation"
    )
    units = measured_error(1e3 * found_try, 1e3 * exact_try)
    assert close(units[0], error_try) and close(units[1], dev_try), (
        "units must not matter"
    )
x_try = torch.rand(500, 300, generator=torch.Generator().manual_seed(3))
told = [
    measured_error((1.5 + x + 0.2 * x**3)[:, None], (1.5 + x)[:, None]) for x in x_try
]
many = torch.stack(
    [torch.stack([torch.as_tensor(e), torch.as_tensor(d)]) for e, d in told]
)
assert abs(many[:, 0].std() / many[:, 1].mean() - 1) < 0.15, (
    "over many draws of the points, errors spread as told"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# One number per point: sums of squares over the components.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $R$ is a ratio of means. The deviation of a mean of $m$ numbers has $\sqrt m$ in its denominator.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $E^2 = R$, so that a small change of $R$ moves $E$ by itself over $2 E$.
#
# </details>

# %% [markdown]
# Poisson's equation on $[0, 1]^5$, $-\Delta u = \pi^2 \sum_i \sin \pi x_i$, with the values of $u = \sum_i \sin \pi x_i$ on the border. A small network, a few seconds of Levenberg-Marquardt, and an error at 4000 random points:

# %%
DIM = 5
cube = dde.geometry.Hypercube([0.0] * DIM, [1.0] * DIM)


def wave_sum(x):
    """Sum of sin(pi x) over the coordinates."""
    return torch.sin(pi * x).sum(1, keepdim=True)


many = Problem(
    cube,
    lambda x, u, p: -p,
    lambda x, u: pi**2 * wave_sum(x),
    [
        dde.icbc.DirichletBC(
            cube, lambda x: wave_sum(torch.as_tensor(x)).numpy(), lambda x, on: on
        )
    ],
    wave_sum,
)


def by_levenberg(net, data):
    """The border weighs as much as the equation."""
    return LevenbergMarquardt(
        net.parameters(),
        lambda: data.residual_vector(net, [1.0, 100.0]),
        geodesic=True,
        control=GainRatio(),
    )


five = solve(
    many,
    Vanilla(600, 300, (12, 12), resample=None, weights=[1.0, 100.0]),
    optimizer=by_levenberg,
    iterations=25,
)
anywhere = torch.rand(4000, DIM, generator=generator)
E, dev = measured_error(five.predict(anywhere), wave_sum(anywhere))
print("five dimensions: error below 0.1:", bool(E < 0.1))
print("known to better than a tenth of itself:", bool(dev < E / 10))
print(
    f"values of a mesh of 8 elements of degree 2 per axis: {17**5:,} here, {17**10:,} in ten dimensions"
)

# %% [markdown]
# Is it the network that escapes from the curse? Whoever says so should try what is cheap: all *polynomials* of a total degree, by least squares on the same equation and border. There are $\binom{d + k}{d}$ of them, which grows like a power of $d$, not exponentially. The benchmark has stored both, for three solutions: a *sum* of sines; a *hill*, $1 / (1 + |x - 0.3|^2)$, which is no sum; and a *product* of sines, which is close to zero almost everywhere in the cube.

# %%
deep, simple = record["dimension"], record["polynomials"]
print(f"{'':14s}{'network: median':>17s}{'worst':>9s}{'best polynomial':>18s}")
best = {}
for what in ("5, sum", "5, hill", "5, product", "10, sum", "10, hill"):
    errors = sorted(row["error"] for name, row in deep.items() if name.startswith(what))
    poly = min(row["error"] for name, row in simple.items() if name.startswith(what))
    best[what] = errors[1], poly
    print(f"{what:14s}{errors[1]:17.1g}{errors[-1]:9.1g}{poly:18.1g}")

# %% [markdown]
# On the sum and on the product in five dimensions polynomials of degree 8 are ahead, for a fifth of the seconds; on the hill in five dimensions they are ahead by a factor of two. On the hill in *ten* dimensions it is the network: there only degree 4 is affordable, and the hill is no polynomial of degree 4. The product is hard for both: almost all of the cube sees nothing of it. So it is not the dimension that a network beats but *structure* that it finds: a solution that can be written with few directions or few bumps, wherever they are. Polynomials need that it is smooth, and little else. Where neither holds, both fail, and in ten dimensions nobody can look and see.
#
# ## 7. A fair race
#
# "After twenty seconds the network is a thousand times as accurate." Such sentences compare a run with a run. A fair race gives both sides the same seconds, lets each choose its best, and counts all that was needed to choose. For a network that is a curve, error against seconds, which rises and falls. For elements it is a **ladder** of meshes, each finer than the last. Nobody knows in advance which of them is fine enough, so that the seconds of all coarser ones count.
#
# The question of a race is: *when is the error below a level, and stays below?*
#
# **Shapes.** `seconds` and `errors` are `(k,)`, seconds rise; the answer is a number, infinite if it never happens.

# %% [markdown]
# ### Exercise 36.7 · The time to get there
# Difficulty ●●●○○ · 3 points
#
# Write `time_to(seconds, errors, level)`: the first of the seconds from which on all errors are at most `level`. And `ladder(seconds, errors)`: what a search from coarse to fine has used and has found so far: sums of seconds, and the smallest error up to there.


# %% nbgrader={"grade": false, "grade_id": "ex36-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def time_to(seconds, errors, level):
    """First time from which on errors are at most level; infinite if there is none."""
    ### BEGIN SOLUTION
    above = (~(errors <= level)).nonzero()[:, 0]
    first = int(above[-1]) + 1 if len(above) else 0
    return float(seconds[first]) if first < len(seconds) else math.inf
    ### END SOLUTION


def ladder(seconds, errors):
    """Seconds used and smallest error so far, each (k,)."""
    ### BEGIN SOLUTION
    return seconds.cumsum(0), errors.cummin(0).values
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex36-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
s_try, e_try = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0.5, 0.1, 0.3, 0.05])
assert time_to(s_try, e_try, 0.4) == 2.0, "from 2 s on, all errors are at most 0.4"
assert time_to(s_try, e_try, 0.2) == 8.0, (
    "0.1 at 2 s does not count: 0.3 comes after it"
)
used_try, least_try = ladder(s_try, e_try)
assert used_try.dtype == torch.float64, FLOAT64
assert close(used_try, torch.tensor([1.0, 3.0, 7.0, 15.0])), (
    "the search pays for the coarser meshes, too"
)
assert close(least_try, torch.tensor([0.5, 0.1, 0.1, 0.05])), (
    "the best so far may be an earlier one"
)

# %% nbgrader={"grade": true, "grade_id": "ex36-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert time_to(s_try, e_try, 0.01) == math.inf, "never: infinite"
### BEGIN HIDDEN TESTS
assert time_to(s_try, e_try, 0.05) == 8.0 and time_to(s_try, e_try, 0.5) == 1.0, (
    "at most the level: equal counts"
)
assert time_to(s_try, e_try.flip(0), 0.4) == math.inf, "it ends above the level"
broken = torch.tensor([0.5, 0.1, math.nan, 0.05])
assert time_to(s_try, broken, 0.2) == 8.0, (
    "an error that is no number is not below anything"
)
assert time_to(s_try, torch.full((4,), math.nan), 1.0) == math.inf, (
    "errors that are no numbers: never"
)
for seed in range(20):
    s_try, e_try = draw(9, seed=seed).abs().cumsum(0), draw(9, seed=seed + 50).abs()
    kept = s_try.clone(), e_try.clone()
    level_try = 0.2 + 0.1 * seed
    slow = next(
        (float(s) for k, s in enumerate(s_try) if (e_try[k:] <= level_try).all()),
        math.inf,
    )
    assert time_to(s_try, e_try, level_try) == slow, (
        "the first time from which on all errors are at most the level"
    )
    used_try, least_try = ladder(s_try, e_try)
    assert close(used_try, torch.stack([s_try[: k + 1].sum() for k in range(9)])), (
        "sums of the seconds so far"
    )
    assert torch.equal(
        least_try, torch.stack([e_try[: k + 1].min() for k in range(9)])
    ), "the smallest error so far"
    assert torch.equal(s_try, kept[0]) and torch.equal(e_try, kept[1]), (
        "an argument was changed in place"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Look for the *last* time at which the error is above the level. What comes after it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `(errors > level).nonzero()` gives places; but a comparison with something that is no number is always false. So ask what is *not* at most the level.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Sums so far: `cumsum`. Smallest so far: `cummin`, which returns values and places.
#
# </details>

# %% [markdown]
# ## The library's version
#
# Flux, conditions and domain are stated once; `solve(problem, method)` takes a network's method or `FEM`, `fem(problem, mesh)` elements of your own, `march` goes slab by slab, `adapt` puts a mesh where it is needed. Is your flux the library's?

# %%
flow_of = zoo.kovasznay(20.0)
u_any, p_any = draw(20, 3, seed=1), draw(20, 3, 2, seed=2)
print(
    "your flux of a flow is the library's:",
    close(flow_flux(u_any, p_any, 1 / 20), flow_of.flux(None, u_any, p_any)),
)
by_fem = solve(flow_of, FEM(12))
x_any = test_points(flow_of, 900)
E, _ = measured_error(by_fem.predict(x_any), flow_of.exact(x_any))
print("your error is the library's:", close(E, by_fem.error(x_any), 1e-6))
try:
    solve(many, FEM(4))
except ValueError as refusal:
    print("five dimensions by elements:", str(refusal).partition(":")[2].strip())

# %% [markdown]
# ## Signature result: fourteen races
#
# Fourteen of DeepXDE's own examples, stated as balance laws, twenty CPU seconds each, one thread. *Networks*: the best of six methods of this part on each example (vanilla, hard, cPINN, XPINN, hp-VPINN with two optimisers), median over seeds: an advantage for the networks, since nobody knows before which method will be the best. *Elements*: ladders of meshes, twenty seconds for all rungs together. The **baseline** is DeepXDE's own script in the same seconds. The **negative control** is a race that is unfair on purpose: elements are held to one mesh that somebody has chosen without looking at the error.

# %%
examples, meshes = stored("pinn_examples")["rows"], record["meshes"]


def median(values):
    """Median of a list."""
    return torch.tensor(values, dtype=torch.float64).quantile(0.5).item()


rows = {}
for name, ways in examples.items():
    own = {
        method: median([run["error"] for run in runs.values()])
        for method, runs in ways.items()
        if method not in ("FEM", "DeepXDE's own")
        and all("error" in run for run in runs.values())
    }
    rungs = meshes[name]
    used, least = ladder(
        torch.tensor([r["seconds"] for r in rungs]),
        torch.tensor([r["error"] for r in rungs]),
    )
    theirs = [run["error"] for run in ways["DeepXDE's own"].values() if "error" in run]
    network = min(own.values())
    rows[name] = {
        "network": network,
        "method": min(own, key=own.get),
        "theirs": median(theirs) if theirs else math.nan,
        "elements": least[-1].item(),
        "one mesh": ways["FEM"]["0"]["error"],
        "until": time_to(used, least, network),
    }
print(
    f"{'example':20s}{'network':>9s}{'elements':>10s}{'one mesh':>10s}{'until as good, s':>18s}"
)
for name, row in rows.items():
    print(
        f"{name:20s}{row['network']:9.0e}{row['elements']:10.0e}{row['one mesh']:10.0e}{row['until']:18.1g}"
    )
fair = [n for n, r in rows.items() if r["network"] < r["elements"]]
unfair = [n for n, r in rows.items() if r["network"] < r["one mesh"]]
print(f"\nthe network is ahead in {len(fair)} of {len(rows)}:", ", ".join(fair))
print(f"in the unfair race, in {len(unfair)}")
print("elements are ahead in more than two thirds:", 3 * len(fair) < len(rows))

# %% tags=["front-page", "picture"]
fig, ax = plt.subplots(figsize=(5.6, 4.6))
ends = [1e-16, 10]
ax.plot(ends, ends, "k", lw=0.8)
for row in rows.values():
    ax.plot(
        [row["one mesh"], row["elements"]],
        [row["network"]] * 2,
        color="0.8",
        lw=1,
        zorder=0,
    )
ax.plot(
    [r["elements"] for r in rows.values()],
    [r["network"] for r in rows.values()],
    "o",
    label="elements, best of a ladder",
)
ax.plot(
    [r["one mesh"] for r in rows.values()],
    [r["network"] for r in rows.values()],
    "x",
    color="0.5",
    label="elements, one mesh",
)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="error of elements",
    ylabel="error of the best network",
    xlim=ends,
    ylim=(1e-12, 10),
)
ax.legend(fontsize=8, loc="lower right")
figure(
    fig,
    caption="Fourteen examples, twenty CPU seconds a side. Below the line the network is the better one.",
    alt="Points in a square with both errors on logarithmic axes; most lie above the diagonal, where elements are better; most crosses of one mesh lie further to the right than their points.",
)

# %% [markdown]
# With the same seconds elements are ahead in most of the fourteen, and often a fraction of a second is enough for what the network needed twenty for. In the unfair race, where elements are held to one mesh, the network seems to win many more: nothing has changed but who may choose. The networks' own victories are smooth solutions in space and time (diffusion, Klein and Gordon's equation): a hard constraint or a well-trained network finds digits there for which a space-time mesh of degree 2 would have to be very fine. (Elements with steps in time, or of a higher degree, might do better than ours; they were not tried. Nor was any GPU.)
#
# ### A decision table
#
# | Your problem | Begin with | Because |
# |---|---|---|
# | up to three coordinates, time included, a known equation, smooth or with layers whose place is known | elements | smaller errors in fewer seconds, and Richardson tells how large they are |
# | a geometry that a mesh generator takes | elements | triangles follow holes and curves |
# | a flow with laminar layers at walls | elements, narrow at the walls | section 2 |
# | a layer, and you want a network | elements for the *tests* (hp-VPINN) | points miss what they do not hit |
# | long times | a solver that marches; slabs, whatever is in them | an easy problem many times |
# | jumps | the flux, the entropy solution by viscosity; finite volumes | a residual at points does not know the speed |
# | four coordinates and more | polynomials or sparse grids where the solution is smooth and simple; a network beside them | no mesh fits; the error is measured by chance points |
# | unknown numbers, everything else known | least squares on a solver (chapter 35) | as near as the noise allows, fewer seconds |
# | conditions missing, or a law inside of the equation unknown | a network, or polynomials | they need no complete problem |
# | the same equation for thousands of parameters | a surrogate that is trained once | not in this course |
#
# ## An experiment to change
#
# The layer again, with everything in one place.

# %%
SMALL, N, DEGREE = 1e-3, 16, 2

moved = Problem(
    interval,
    lambda x, u, p: u[..., None] - SMALL * p,
    lambda x, u: 1 + 0 * u,
    [dde.icbc.DirichletBC(interval, lambda x: 0 * x, lambda x, on: on)],
    lambda x: carried(x, SMALL),
)
found = fem(
    moved, Mesh(interval, [layer_mesh(N, SMALL, DEGREE).tolist()]), degree=DEGREE
)
off = (found.predict(fine) - carried(fine, SMALL)).abs().max().item()
print("largest error below 0.05:", off < 0.05)

# %% [markdown]
# Print `off`, and change one thing at a time. Guess first:
#
# - `SMALL = 1e-4`, `1e-6`: how does the error depend on it?
# - `N = 32`, 64: which order? (By Richardson, or by eye.) Why a little less than 3?
# - `DEGREE = 1`.
# - Replace `layer_mesh(...)` by `torch.linspace(0, 1, N + 1)`: from which `N` on does it stop to oscillate? Compare with `1 / SMALL`.
#
# ## When it fails
#
# **Elements: dimension.** They end at three coordinates here, and at four or five on large machines. Time counts as one of them in a space-time method like ours.
#
# **Elements: singular corners.** On the L of section 1 the order was not 3. More elements help slowly; elements that are smaller at the corner help, and somebody has to put them there.
#
# **Elements: jumps.** Without viscosity our elements have nothing to hold a jump. On Buckley and Leverett's equation Newton's method does not converge, and the library says so:

# %%
driven = zoo.buckley_leverett()
try:
    fem(driven, Mesh(driven.geometry, 12))
    print("it converged")
except ValueError as refusal:
    print(str(refusal).partition(" moves")[0])

# %% [markdown]
# **Elements: an incomplete problem.** Without a condition at one end there is no solution to compute. A network, or a polynomial, fits what is known (chapter 35).
#
# **Networks: nobody tells the error.** Section 1: three widths give no order. What there is are several seeds, a residual (chapter 31 says when it bounds the error), and elements beside it.
#
# **Networks: what is fast and fine.** The wave of the fourteen has a speed of ten and two sines; all our networks fail on it in twenty seconds, in every variant.
#
# **Networks: small losses.** A layer between the points costs nothing (section 3). A jump in the wrong place costs hardly anything (section 5).
#
# **Both: the wrong flux.** The two fronts of section 5 are both accurate solutions, of different laws. No method tells which one the rock, or the road, obeys.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Values on three meshes, ratio 2, differ by 0.08 and then by 0.01. What is the order, and how far is the finest off?",
        choices=[
            "3, and about 0.0014",
            "8, and about 0.01",
            "3, and about 0.01",
        ],
        answer="7476eab9bf3e",
        hint="The ratio of differences is 2 to the power of the order; the rest is a geometric series.",
    ),
    Question(
        "Why do Taylor and Hood's elements give the pressure one degree less than the velocity?",
        choices=[
            "To save unknowns",
            "With equal degrees some pressures are invisible to the equations, and the computed one oscillates",
            "The pressure is smoother than the velocity",
        ],
        answer="c8ebfb82a370",
        hint="The equation that determines the pressure does not contain it.",
    ),
    Question(
        "A layer is a thousandth wide. Sixteen even elements are wrong everywhere, not only in the last of them. Why?",
        choices=[
            "Newton's method has not converged",
            "The element with the layer misleads all others, since the equation ties neighbours",
            "Sixteen elements are too few for a straight line",
        ],
        answer="75304dad84da",
        hint="Outside of the layer the solution is a straight line, which an element can hold exactly.",
    ),
    Question(
        "In every slab an error of 1e-6 is made, and the equation neither forgets nor amplifies. How large may it be after 50 slabs?",
        choices=[
            "1e-6",
            "5e-5",
            "1e-6 to the power of 50",
        ],
        answer="0a77c5353475",
        hint="g is one: the bound is a sum of equal numbers.",
    ),
    Question(
        "Burgers' equation, multiplied by u, is again a conservation law. What do the two share?",
        choices=[
            "Smooth solutions and the speed of jumps",
            "Smooth solutions only",
            "Nothing",
        ],
        answer="76fca385af83",
        hint="Which quantity flows in and out at a jump?",
    ),
    Question(
        "A relative error in ten dimensions is measured at 1000 random points. With 100 000 points its deviation is",
        choices=[
            "a tenth",
            "a hundredth",
            "the same: the dimension is the limit",
        ],
        answer="69b27fda459e",
        hint="A mean of m numbers has the root of m in its deviation.",
    ),
    Question(
        "A network reaches 1e-4 in ten dimensions where no mesh fits. What else must be run before the network gets the credit?",
        choices=[
            "Another seed of the network",
            "A cheap method that also has no mesh, such as polynomials",
            "A finer mesh",
        ],
        answer="b894a6b7d8b8",
        hint="What would show that it is not the network but the problem that is easy?",
    ),
    Question(
        "In a race, elements solve on meshes from coarse to fine until the error is small. Which seconds count?",
        choices=[
            "Those of the last mesh",
            "Those of all meshes up to it",
            "Those of the finest mesh that fits into memory",
        ],
        answer="fda2adb0ae82",
        hint="Nobody told them before which mesh would be fine enough.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Three meshes tell order, error and a better value; three networks do not.
# - One flux states a flow for both sides. Elements need a pressure of one degree less; a network does not notice.
# - A mesh that knows where the layer is beats even ones by orders of magnitude; a network's tests can stand on it, too.
# - Long times are marched. The error grows by what the equation makes of it.
# - Jumps have a speed by the flux, and a condition that allows them. Residuals at points know neither.
# - Values of a mesh: $(n k + 1)^d$. Points have no $d$ in their deviation. Polynomials go where meshes end, too.
# - A fair race: same seconds, each side at its best, and all seconds of the search.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | Richardson's extrapolation | order, error and a better value from three meshes |
# | order | power of the element's size with which an error falls |
# | Navier-Stokes equations | balance of momentum and mass of a viscous fluid |
# | Reynolds number | speed times size over viscosity |
# | Taylor-Hood elements | velocity of degree 2, pressure of degree 1 |
# | layer | a narrow place where a solution changes fast |
# | Shishkin's mesh | half of the elements in the layer, evenly |
# | slab | a part of the time, solved by itself |
# | Oleinik's condition | what a jump must fulfil to be the limit of small viscosity |
# | curse of dimension | values of a mesh grow exponentially with the coordinates |
# | ladder | meshes from coarse to fine, all of them paid for |
#
# ## Readings
#
# - **Ghia, Ghia and Shin (1982)**, *High-Re solutions for incompressible flow using the Navier-Stokes equations and a multigrid method*, J. Comput. Phys. 48. Look for the table that everybody compares with, and for its grid.
# - **Roos, Stynes and Tobiska (2008)**, *Robust Numerical Methods for Singularly Perturbed Differential Equations*, Springer. Look for Shishkin's mesh, and for the logarithm in its error.
# - **LeVeque (2002)**, *Finite Volume Methods for Hyperbolic Problems*, Cambridge. Look for equations that are equal for smooth solutions and have different jumps.
# - **McGreivy and Hakim (2024)**, *Weak baselines and reporting biases lead to overoptimism in machine learning for fluid-related partial differential equations*, Nature Machine Intelligence 6. Look for how many published races change their winner with a fair baseline.
# - **Grossmann, Komorowska, Latz and Schönlieb (2024)**, *Can physics-informed neural networks beat the finite element method?*, IMA J. Appl. Math. 89. Look for what is counted as the time of each side.
