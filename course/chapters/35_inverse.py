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
# # 35 · Inverse problems
#
# > **Claim.** Data and an equation together say more than either alone, and how much can be computed before anything is trained: the Fisher information gives the smallest error that an unbiased estimate can have, and tells which numbers cannot be found at all. Where the equation and its conditions are known, least squares on a solver of it comes as near to this limit as a network; a network, or a polynomial, is worth its price where ends and start are not known.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | estimate a number of an equation by hand, with its deviation; get sensitivities from the equation itself, for elements and for networks; compute Fisher information and tell what cannot be identified; fit by Gauss-Newton on a solver; give intervals that hold what they promise; choose where to measure next; find a field by a regulariser whose weight the noise sets; say when a network is worth training for this |
# | **Before you start** | chapter 31 (residual, hard constraints); least squares; mean, variance and the normal distribution; chapter 32 (Levenberg-Marquardt) helps |
# | **Time** | 150 minutes |
# | **Points** | 20, in seven exercises |

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course.kit import Question, figure, quiz, setup, stored
from pinn import HardConstraint, HardPINN, LevenbergMarquardt, Problem, Vanilla
from pinn.inverse import (
    Data,
    Information,
    Unknown,
    classical,
    identify,
    information,
)
from pinn.zoo import heat

generator = setup(seed=35)

import deepxde as dde  # after pinn, which chooses its backend and keeps it quiet

# %% [markdown]
# ## Cold open: one picture, three answers
#
# (As in every chapter, the *cold open* shows the problem before any theory.)
#
# A thin rod conducts heat and loses some of it to the air. Its temperature $u(x, t)$ fulfils
#
# $$ u_t = k \, u_{xx} - c \, u , \qquad 0 \le x \le 1, \quad 0 \le t \le 1 . $$
#
# Its ends are held at zero, and it starts as $\sin \pi x$. How well it conducts, $k$, and how fast it cools, $c$, are not known. Two
# **sensors**, at $x = 0.25$ and $0.75$, tell the temperature at fifteen times each, with noise of 0.01. To find such numbers from
# measurements is an **inverse problem**. The usual way with a network is simple: $k$ and $c$ become two more parameters, and the loss is the mean square of the equation's residual
# plus the mean square of what is left of the data (measured values minus the network's). We train three times. Network, points and data are the same; only
# the first guesses of $k$ and $c$ differ.

# %% tags=["given"]
K_TRUE, C_TRUE, SIGMA = 0.1, 1.0, 0.01
pi = math.pi


def rod(x, second=0.0, k=K_TRUE, c=C_TRUE):
    """The solution that starts as sin(pi x) + second sin(2 pi x). x: (m, 2). Returns (m, 1)."""
    s, t = x[:, :1], x[:, 1:]
    one = torch.exp(-(k * pi**2 + c) * t) * torch.sin(pi * s)
    two = torch.exp(-(4 * k * pi**2 + c) * t) * torch.sin(2 * pi * s)
    return one + second * two


def sensors(places, count=15):
    """Points (x, t): each sensor at `count` times. Returns (sensors * count, 2)."""
    return torch.cartesian_prod(torch.tensor(places), torch.linspace(0.05, 1, count))


def measure(x, second=0.0, seed=0):
    """Values of the rod with noise."""
    g = torch.Generator().manual_seed(seed)
    return Data(x, rod(x, second) + SIGMA * torch.randn(len(x), 1, generator=g), SIGMA)


def cooling(k, c, second=0.0):
    """The rod as a balance law; a network fulfils start and ends by construction."""
    strip = heat().geometry

    def start(x):
        return rod(torch.as_tensor(x) * torch.tensor([1.0, 0.0]), second)

    return Problem(
        strip,
        lambda x, u, p: torch.stack([-k() * p[..., 0], u], dim=-1),
        lambda x, u: -c() * u,
        conditions=[
            dde.icbc.DirichletBC(strip, lambda x: 0 * x[:, :1], lambda x, on: on),
            dde.icbc.IC(strip, lambda x: start(x).numpy(), lambda x, on: on),
        ],
        hard=HardConstraint(start, lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:]),
        unknowns=[k, c],
    )


def by_levenberg(net, data):
    """Both losses weigh the same."""
    return LevenbergMarquardt(
        net.parameters(), lambda: data.residual_vector(net, [1.0, 1.0])
    )


def train(data, k_start, c_start, second=0.0):
    """Network and unknowns together; returns the solution."""
    k = Unknown("k", k_start, positive=True, scale=0.1)
    c = Unknown("c", c_start, positive=True)
    method = HardPINN(300, 30, (12, 12), resample=None, weights=[1.0, 1.0])
    return identify(
        cooling(k, c, second),
        data,
        method,
        seeds=[0],
        optimizer=by_levenberg,
        iterations=60,
    ).solutions[0]


# %%
places = [0.25, 0.75]
data = measure(sensors(places))
starts = {"A": (0.3, 1.0), "B": (0.3, 0.1), "C": (0.2, 0.01)}
answers = {name: train(data, *start) for name, start in starts.items()}
times = torch.linspace(0, 1, 101)
line = torch.stack([torch.full_like(times, 0.25), times], dim=1)
curves = {name: answer.predict(line)[:, 0] for name, answer in answers.items()}
found = {n: (a.unknowns["k"], a.unknowns["c"]) for n, a in answers.items()}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].plot(data.points[:15, 1], data.values[:15, 0], "k.", label="measured")
for (name, curve), look in zip(curves.items(), ("-", "--", ":"), strict=True):
    axes[0].plot(times, curve, look, lw=2, label=f"training {name}")
axes[0].set(xlabel="t", ylabel="u at x = 0.25")
axes[0].legend(fontsize=9)
for (name, (k, c)), mark in zip(found.items(), "osD", strict=True):
    axes[1].plot(k, c, mark, ms=8, label=f"training {name}")
axes[1].plot(K_TRUE, C_TRUE, "k*", ms=14, label="truth")
axes[1].set(xlabel="k", ylabel="c", xlim=(-0.02, 0.25), ylim=(-0.2, 2.4))
axes[1].legend(fontsize=9)
figure(
    fig,
    caption="Three trainings on the same data. Left: one sensor, and what they make of it. Right: "
    "the two numbers that they find.",
    alt="Left: dots that fall from 0.6 to 0.1 and three curves through them that cannot be told apart. "
    "Right, c against k: one mark at the upper left, two near each other at the lower right, and the "
    "truth between; a straight line would go through all four.",
)

# %%
left = {n: (a.predict(data.points) - data.values) / SIGMA for n, a in answers.items()}
rms = [r.square().mean().sqrt().item() for r in left.values()]
print("all fit the data to within 1.2 times the noise:", max(rms) < 1.2)
ks = [k for k, _ in found.values()]
print("the largest k is more than ten times the smallest:", max(ks) > 10 * min(ks))
far = min(abs(k - K_TRUE) for k in ks)
print("each k is off by more than half of the truth:", far > K_TRUE / 2)
rates = [k * pi**2 + c for k, c in found.values()]
print("k pi^2 + c agrees to one per cent:", max(rates) < 1.01 * min(rates))

# %% [markdown]
# Nothing in a loss curve warns of this: the data are fitted to within their noise, and whoever reports the $k$ of one of these
# trainings is wrong by more than half. The last line tells why: the start is one sine, a sine cools as a whole, by
# $u = e^{-(k \pi^2 + c) t} \sin \pi x$, and only the sum $k \pi^2 + c$ appears in anything that can be measured. More data, less noise, a better network
# or optimiser: none of them helps. Another *experiment* does. One can know that in advance, with a matrix of four numbers. This chapter computes it.

# %% [markdown]
# ## 1. One number by hand
#
# Begin with a rod at rest, heated evenly: $-C u'' = 1$ on $[0, 1]$ with $u = 0$ at the ends. What is $C$?
#
# - *Data alone*, some values $y_i$ of $u$ at points $x_i$, say nothing about $C$: any curve may go through them.
# - *The equation alone* allows one curve for every $C$: $u = x (1 - x) / (2 C)$.
# - *Together* they leave one number and many values. The more values there are, the less their noise matters.
#
# Write $u = h / C$ with the **shape** $h_i = x_i (1 - x_i) / 2$. In $a = 1 / C$ this is linear: $y_i = a h_i + \text{noise}$, with independent normal noise of
# **standard deviation** $\sigma$. Least squares says
#
# $$ \hat a = \frac{\sum_i h_i y_i}{\sum_i h_i^2} , \qquad \operatorname{dev}(\hat a) = \frac{\sigma}{\sqrt{\sum_i h_i^2}} . $$
#
# The second formula follows from the first: $\hat a$ is a sum of independent terms, whose variances add up. A hat marks an **estimate**, and by the **deviation** of an
# estimate we mean its standard deviation, over many draws of the noise. For $\hat C = 1 / \hat a$ one needs a slope: if $a$ moves by a little $\varepsilon$, $C$ moves by
# $\varepsilon$ times $|dC / da| = 1 / a^2$. So $\operatorname{dev}(\hat C) \approx \operatorname{dev}(\hat a) / \hat a^2$. (This is the **delta method**; it is right for small deviations.)
#
# **Shapes.** $h$ and $y$ are `(m,)`; both answers are tensors of shape `()`.

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
# ### Exercise 35.1 · One number and its deviation
# Difficulty ●○○○○ · 2 points
#
# Write `one_unknown(h, y, sigma)`: $\hat C$ and its deviation, for values $y = h / C$ + noise of deviation `sigma`, a number.


# %% nbgrader={"grade": false, "grade_id": "ex35-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def one_unknown(h, y, sigma):
    """Estimate C from y = h / C + noise. h, y: (m,). Returns C and its deviation, each ()."""
    ### BEGIN SOLUTION
    a = (h @ y) / (h @ h)
    deviation = sigma / h.norm()
    return 1 / a, deviation / a**2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
C_hat, C_dev = one_unknown(torch.tensor([1.0, 2.0]), torch.tensor([0.6, 0.9]), 0.1)
assert torch.as_tensor(C_hat).dtype == torch.float64, FLOAT64
assert close(C_hat, 1 / 0.48), (
    "a = (1 * 0.6 + 2 * 0.9) / (1 + 4) = 0.48, and C = 1 / a: values are not averaged one by one"
)
assert close(C_dev, 0.1 / 5**0.5 / 0.48**2), (
    "the deviation of a is 0.1 / root of 5; that of C is this over a squared"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
h_try = torch.linspace(0.1, 0.9, 9) * torch.linspace(0.9, 0.1, 9) / 2
C_hat, C_dev = one_unknown(h_try, h_try / 2.5, 0.01)
assert close(C_hat, 2.5), "values without noise give C exactly"
### BEGIN HIDDEN TESTS
for seed in range(5):
    h_try, C_try = draw(7 + seed, seed=seed), (-1) ** seed * (0.4 + seed)
    y_try = h_try / C_try + 0.01 * draw(7 + seed, seed=seed + 10)
    C_hat, C_dev = one_unknown(h_try, y_try, 0.03)
    a_try = torch.linalg.lstsq(h_try[:, None], y_try[:, None]).solution[0, 0]
    assert close(C_hat, 1 / a_try), (
        "least squares for a, then C = 1 / a; h may be negative"
    )
    assert close(C_dev, 0.03 / h_try.square().sum().sqrt() / a_try**2), (
        "sigma / |h| is the deviation of a; C moves by 1 / a^2 times as much, and a "
        "deviation is positive where C is negative, too"
    )
    twice = one_unknown(torch.cat([h_try, h_try]), torch.cat([y_try, y_try]), 0.03)
    assert close(twice[1], torch.as_tensor(C_dev) / 2**0.5), (
        "each value twice: the deviation falls by the root of two"
    )
noise_try = 0.002 * draw(2000, 6, seed=3)
h_try = torch.tensor([0.2, 0.4, 0.5, 0.5, 0.4, 0.2])
many = [float(one_unknown(h_try, h_try / 3 + n, 0.002)[0]) for n in noise_try]
spread = torch.tensor(many).std()
told = one_unknown(h_try, h_try / 3, 0.002)[1]
assert abs(spread / told - 1) < 0.1, "over many draws of noise, C spreads as told"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Estimate $a$ first; both formulas stand above. Then take $C = 1 / a$, and multiply the deviation by a slope.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Sums of products of two vectors are `h @ y` and `h @ h`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With $\hat a = \langle h, y \rangle / \|h\|^2$, the deviation of $\hat a$ is $\sigma / \|h\|$. What is $1 / \hat a^2$ in terms of $\hat C$?
#
# </details>

# %% [markdown]
# Look at $1 / \|h\|$: sensors near the ends, where $h$ is small, tell hardly anything. That is known before any sensor is bought. The rest of the chapter is this formula, for more than one number and for
# equations that nobody can solve by hand.

# %% [markdown]
# ## 2. What an equation says about its numbers
#
# The unknown numbers of an equation are $\theta = (\theta_1, \dots, \theta_p)$. Near the truth, what is measured moves by
# $S \, \delta\theta$ if they move by $\delta\theta$. The matrix of these slopes holds the **sensitivities**:
#
# $$ S_{ij} = \frac{\partial u(x_i)}{\partial \theta_j} . $$
#
# Where do they come from? Not from solving the equation many times. Let $w$ be *whatever describes the solution*: values on a grid, coefficients of elements, or
# weights of a network. The discretised equation is a set of residuals, $r(w, \theta) = 0$. If $\theta$ moves, $w$ has to move so that residuals stay zero. To first order:
#
# $$ J_w \, \delta w + J_\theta \, \delta\theta = 0 , \qquad J_w = \frac{\partial r}{\partial w} , \quad J_\theta = \frac{\partial r}{\partial \theta} . $$
#
# For elements $J_w$ is square: solve. A network has more weights than it needs, and often more residuals than weights: take the least squares solution, the
# smallest one if there are many. It is $\delta w = -J_w^+ J_\theta \, \delta\theta$, where $J_w^+$ is the **pseudo-inverse** of $J_w$. If $P$ says how measured values depend on $w$ (its slopes, a row a value), then
#
# $$ S = -P \, J_w^+ J_\theta . $$
#
# One linear solve for all of it. (The theorem behind it is that of implicit functions.)
#
# **Shapes.** $J_w$: `(r, n)`, $J_\theta$: `(r, p)`, $P$: `(m, n)`; $S$ is `(m, p)`.

# %% [markdown]
# ### Exercise 35.2 · Sensitivities without solving twice
# Difficulty ●●○○○ · 3 points
#
# Write `sensitivities(J_w, J_theta, P)`. $J_w$ may be square, tall or wide, of full rank.


# %% nbgrader={"grade": false, "grade_id": "ex35-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sensitivities(J_w, J_theta, P):
    """Slopes of what is measured by the unknown numbers.

    J_w: (r, n). J_theta: (r, p). P: (m, n). Returns (m, p).
    """
    ### BEGIN SOLUTION
    moves = torch.linalg.lstsq(J_w, -J_theta).solution
    return P @ moves
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# the rod at rest by differences: C * A w - 1 = 0, with A = -(second differences)
n = 19
A_rest = 400 * (
    2 * torch.eye(n) - torch.eye(n).roll(1, 0).tril() - torch.eye(n).roll(-1, 0).triu()
)
w_rest = torch.linalg.solve(2.0 * A_rest, torch.ones(n))
S_try = sensitivities(2.0 * A_rest, (A_rest @ w_rest)[:, None], torch.eye(n))
assert S_try.shape == (n, 1), "a row for each value, a column for each unknown"
assert S_try.dtype == torch.float64, FLOAT64
assert close(S_try[:, 0], -w_rest / 2, 1e-8), (
    "u = h / C, so that du/dC = -u / C: negative, since a better conductor stays cooler"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
J_try, T_try, P_try = draw(6, 6, seed=1), draw(6, 2, seed=2), draw(4, 6, seed=3)
assert sensitivities(J_try, T_try, P_try).shape == (4, 2), "P picks what is measured"
### BEGIN HIDDEN TESTS
for seed in range(4):
    J_try = draw(6, 6, seed=seed) + 3 * torch.eye(6)
    T_try, P_try = draw(6, 3, seed=seed + 20), draw(5, 6, seed=seed + 30)
    exact = -P_try @ torch.linalg.solve(J_try, T_try)
    assert close(sensitivities(J_try, T_try, P_try), exact, 1e-8), (
        "square J_w: -P J_w^-1 J_theta"
    )
    for rows in (4, 11):
        J_try, T_try = draw(rows, 6, seed=seed + 40), draw(rows, 2, seed=seed + 50)
        exact = -P_try @ torch.linalg.pinv(J_try) @ T_try
        assert close(sensitivities(J_try, T_try, P_try), exact, 1e-8), (
            "J_w need not be square: more residuals than weights is least squares, fewer is "
            "the smallest solution"
        )


def bent(theta):
    """Solve w^3 + theta_0 w = theta_1 (entry by entry) by Newton's method."""
    w = torch.ones(5)
    for _ in range(60):
        w = w - (w**3 + theta[0] * w - theta[1] * torch.arange(1.0, 6)) / (
            3 * w**2 + theta[0]
        )
    return w


theta_try = torch.tensor([0.7, 1.3])
w_try = bent(theta_try)
S_try = sensitivities(
    torch.diag(3 * w_try**2 + 0.7),
    torch.stack([w_try, -torch.arange(1.0, 6)], dim=1),
    torch.eye(5),
)
steps = 1e-5 * torch.eye(2)
slopes = [(bent(theta_try + e) - bent(theta_try - e)) / 2e-5 for e in steps]
assert close(S_try, torch.stack(slopes, dim=1), 1e-6), (
    "for an equation that bends, compared with two solutions nearby"
)
for given in (J_try, T_try, P_try):
    kept = given.clone()
    sensitivities(J_try, T_try, P_try)
    assert torch.equal(given, kept), "J_w, J_theta or P was changed in place"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# First the moves of $w$ for each unknown, a matrix `(n, p)`; then what the sensors see of them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.lstsq` solves square, tall and wide systems; `torch.linalg.pinv` makes the pseudo-inverse. Mind the sign.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $S = P M$ with $M = -J_w^+ J_\theta$, all columns at once.
#
# </details>

# %% [markdown]
# The rod of the cold open is solved by hand, and its sensitivities are derivatives of exponentials. Here they are, for any start:


# %% tags=["given"]
def twin(x, second):
    """The rod as a function of (k, c): returns values (m,) and sensitivities (m, 2)."""

    def model(theta):
        k, c = theta
        t = x[:, 1:]
        one = rod(x, 0.0, k, c)
        two = rod(x, second, k, c) - one
        by_k = -(pi**2) * t * (one + 4 * two)
        return (one + two)[:, 0], torch.cat([by_k, -t * (one + two)], dim=1)

    return model


truth = torch.tensor([K_TRUE, C_TRUE])
x = sensors([0.25, 0.75])

# %%
_, S_one = twin(x, second=0.0)(truth)
_, S_two = twin(x, second=1.0)(truth)
print("one sine:  column of k over column of c is pi^2 in every row:", end=" ")
print(torch.allclose(S_one[:, 0], pi**2 * S_one[:, 1]))
print("two sines: it is not:", not torch.allclose(S_two[:, 0], pi**2 * S_two[:, 1]))

# %% [markdown]
# ## 3. Fisher information: before any training
#
# Value $i$ has normal noise of deviation $\sigma_i$, independent of the others. Divide its row of $S$ by it: $W_{ij} = S_{ij} / \sigma_i$ is how many deviations of the noise value $i$ moves
# if $\theta_j$ moves by one. The **Fisher information** of the unknowns is
#
# $$ F = W^\top W , \qquad F_{jl} = \sum_i \frac{S_{ij} S_{il}}{\sigma_i^2} , $$
#
# and the theorem of Cramér and Rao says: no unbiased estimate, by whatever method, has a covariance below $F^{-1}$. (**Unbiased**: right in the mean over the noise. **Covariance**: the matrix whose entry
# $jl$ is the mean of the error of $\hat\theta_j$ times that of $\hat\theta_l$; its diagonal holds the variances. **Below** is meant for every combination $v^\top \hat\theta$: its variance is at least $v^\top F^{-1} v$.) So the deviation of $\hat\theta_j$ is at least
#
# $$ \sqrt{(F^{-1})_{jj}} \quad \text{if the others are unknown, too,} \qquad \frac{1}{\sqrt{F_{jj}}} \quad \text{if they are known.} $$
#
# The first is never smaller. If it is infinite, because $F$ has no inverse, a combination of unknowns can move, and to first order all values stay as they are: it is **not identifiable**.
# Adding a measurement adds a matrix to $F$ that has no negative eigenvalue: information never falls.
#
# **Shapes.** $S$: `(m, p)`, $\sigma$: `(m,)`; deviations `(p,)`.

# %% [markdown]
# ### Exercise 35.3 · With others known, and unknown
# Difficulty ●●○○○ · 3 points
#
# Write `deviations(S, sigma)`: two vectors, the least deviations with the other unknowns known, and with them unknown. If $W$ has a rank below $p$ (`torch.linalg.matrix_rank`), the second
# is infinite for all. (An unknown that has no part in the combination could still be found. We keep it simple, as the library does: such a plan is not to be used.)


# %% nbgrader={"grade": false, "grade_id": "ex35-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def deviations(S, sigma):
    """Least deviations of each unknown: the others known, the others unknown.

    S: (m, p). sigma: (m,). Returns two tensors (p,).
    """
    ### BEGIN SOLUTION
    W = S / sigma[:, None]
    F = W.T @ W
    known = F.diagonal().rsqrt()
    if torch.linalg.matrix_rank(W) < len(F):
        return known, torch.full_like(known, torch.inf)
    return known, torch.linalg.inv(F).diagonal().sqrt()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
S_try = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
known, unknown = deviations(S_try, torch.tensor([0.5, 1.0]))
assert known.dtype == unknown.dtype == torch.float64, FLOAT64
assert close(known, torch.tensor([1 / 5**0.5, 1.0])), (
    "F = [[4 + 1, 1], [1, 1]]: known others give one over the root of its diagonal"
)
assert close(unknown, torch.tensor([0.5, 1.25**0.5])), (
    "the inverse of F is [[1, -1], [-1, 5]] / 4: unknown others give the root of ITS diagonal"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
column = draw(8, 1, seed=4)
both = deviations(torch.cat([column, -3 * column], dim=1), torch.ones(8))
assert torch.isinf(both[1]).all(), (
    "two columns that are multiples: nothing is told apart"
)
### BEGIN HIDDEN TESTS
assert close(both[0], torch.tensor([1.0, 1 / 3]) / column.norm()), (
    "each alone, the other known, is found well"
)
for seed in range(5):
    p = 1 + seed % 4
    S_try, sigma_try = draw(9, p, seed=seed), 0.1 + draw(9, seed=seed + 9).abs()
    known, unknown = deviations(S_try, sigma_try)
    F_try = sum(torch.outer(s, s) / e**2 for s, e in zip(S_try, sigma_try, strict=True))
    values, vectors = torch.linalg.eigh(F_try)
    exact = ((vectors**2) / values).sum(dim=1).sqrt()
    assert close(unknown, exact), (
        "not the root of the diagonal of F^-1: is each value divided by its own noise, squared?"
    )
    assert close(known, F_try.diagonal() ** -0.5), "known others: 1 / root of F_jj"
    again = deviations(S_try * torch.tensor(1e4), sigma_try * torch.tensor(1e4))
    assert close(again[1], exact), "units of the values must not matter"
S_try, units = draw(9, 3, seed=8), torch.tensor([1e-9, 1.0, 1.0])
plain, small = (deviations(S_try * u, torch.ones(9))[1] for u in (1.0, units))
assert close(small * units, plain, 1e-5), (
    "units of the unknowns must not matter: is the rank that of W? In W^T W the ratio of "
    "sizes is squared, and a determinant is small because of units"
)
third = torch.cat([column, -3 * column, draw(8, 1, seed=9)], dim=1)
assert torch.isinf(deviations(third, torch.ones(8))[1]).all(), (
    "infinite for all, as the text asks, even where one unknown has a column of its own"
)
few = deviations(draw(2, 3, seed=5), torch.ones(2))
assert torch.isinf(few[1]).all() and torch.isfinite(few[0]).all(), (
    "two values cannot tell three unknowns"
)
three = torch.cat([draw(9, 2, seed=6), torch.zeros(9, 1)], dim=1)
three[:, 2] = three[:, 0] - 2 * three[:, 1]
assert torch.isinf(deviations(three, torch.ones(9))[1]).all(), (
    "no two columns are multiples, but three of them depend on each other"
)
nearly = three + 1e-5 * draw(9, 3, seed=7)
assert torch.isfinite(deviations(nearly, torch.ones(9))[1]).all(), (
    "nearly dependent is not dependent: the deviation is large, and a number"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Divide rows, not columns, by the noise: `S / sigma[:, None]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Roots come last: the root of the diagonal of the inverse, not the inverse of a root of the diagonal.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Test the rank of $W$, not of $F$: in $F = W^\top W$ the ratio of the largest to the smallest singular value is squared, and unknowns in different units (1e-9 and 1) look like dependent ones.
#
# </details>

# %% [markdown]
# Now the cold open, without any training. Three experiments: as it was; with a start of two sines, $\sin \pi x + \sin 2 \pi x$, which cool at different rates; and the same start, but with both sensors in the middle, where the second sine is
# zero at all times.

# %%
plans = {
    "one sine, sensors at 1/4 and 3/4": (0.0, places),
    "two sines, sensors at 1/4 and 3/4": (1.0, places),
    "two sines, both sensors at 1/2": (1.0, [0.5, 0.5]),
}
noise = torch.full((30,), SIGMA)
print(f"{'least deviation of k, in %':36s}{'c known':>10s}{'c unknown':>12s}")
ellipses = {}
for name, (second, spots) in plans.items():
    _, S = twin(sensors(spots), second)(truth)
    ellipses[name] = S.T @ S / SIGMA**2
    known, unknown = (100 * d[0].item() / K_TRUE for d in deviations(S, noise))
    print(f"{name:36s}{known:10.1f}{unknown:12.1f}")

# %% [markdown]
# The experiment of the cold open finds $k$ to two per cent if somebody tells $c$, and not at all if nobody does. The second one repairs it. The third does not: where the second sine is zero, a sensor
# sees only the first one, as in the cold open. Below, the first two matrices, each as the region $\delta\theta^\top F \, \delta\theta \le 4$ (two deviations): an ellipse for two sines, a strip without end for one (drawn as a thick line). On top of them is what the library's benchmark has stored: eighteen trainings of the network, three first guesses and three draws
# of noise for each of the two plans.

# %%
runs = stored("pinn_inverse")["modes"]
clouds = {
    shapes: torch.tensor([[r["k"], r["c"]] for n, r in runs.items() if shapes in n])
    for shapes in ("one shape", "two shapes")
}
angle = torch.linspace(0, 2 * pi, 200)
circle = torch.stack([angle.cos(), angle.sin()])
values, vectors = torch.linalg.eigh(ellipses["two sines, sensors at 1/4 and 3/4"])
edge = truth[:, None] + 2 * (vectors / values.sqrt()) @ circle
rate = K_TRUE * pi**2 + C_TRUE

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.1))
k_line = torch.tensor([0.0, rate / pi**2])
axes[0].plot(
    k_line, rate - pi**2 * k_line, "0.6", lw=5, label="one sine: not identifiable"
)
axes[0].plot(*clouds["one shape"].T, "o", color="C1", ms=7, label="network, one sine")
axes[0].plot(*clouds["two shapes"].T, "s", color="C0", ms=6, label="network, two sines")
axes[0].plot(*truth, "k*", ms=13)
axes[0].set(xlabel="k", ylabel="c", ylim=(-0.1, 3.2))
axes[0].legend(fontsize=8.5, loc="upper right")
axes[1].plot(*edge, "0.4", label="two sines: two deviations")
axes[1].plot(*clouds["two shapes"].T, "s", color="C0", ms=6, label="network, two sines")
axes[1].plot(*truth, "k*", ms=13, label="truth")
axes[1].set(xlabel="k", ylabel="c", ylim=(0.88, 1.2))
axes[1].legend(fontsize=8.5)
figure(
    fig,
    caption="What Fisher's matrix says before training, and what eighteen trainings find. Right: the "
    "neighbourhood of the truth. With two sines the three first guesses lead to the same place: of nine square "
    "marks one sees three, one for each draw of the noise.",
    alt="Left, c against k: a thick falling line; nine round marks lie on it in three groups, one at its upper left "
    "end and two near its lower right end; nine square marks lie together at the truth. Right, enlarged: a slanted "
    "flat ellipse around the truth, and three places with square marks within it, all to the left of the truth.",
)

# %%
spread = {
    n: (cloud[:, 0].max() / cloud[:, 0].min()).item() for n, cloud in clouds.items()
}
print(
    "one sine: the largest k over the smallest is above 50:", spread["one shape"] > 50
)
print("two sines: it is below 1.1:", spread["two shapes"] < 1.1)
gap = clouds["two shapes"] - truth
F = ellipses["two sines, sensors at 1/4 and 3/4"]
print("two sines, all within two deviations:", bool(((gap @ F * gap).sum(1) < 4).all()))

# %% [markdown]
# ## 4. The classical twin
#
# Where the equation with its conditions determines the solution, there is an old way: solve it for a guess of $\theta$, compare with the data, improve the guess. With $W$ as above and $e_i = (y_i - u_i) / \sigma_i$,
# the **Gauss-Newton** step is the least squares solution of $W \, \delta\theta = e$, and
#
# $$ \theta \leftarrow \theta + \delta\theta . $$
#
# It is Newton's method without second derivatives, the step of Levenberg and Marquardt (chapter 32) without its damping, on two numbers in place of hundreds. At its end the estimate has, for small noise, the covariance $F^{-1}$: it reaches the limit of section 3. This is the **twin** that
# every trained network of this chapter is compared with: same data, same knowledge.
#
# **Shapes.** `model(theta)` returns $u$, `(m,)`, and $S$, `(m, p)`.

# %% [markdown]
# ### Exercise 35.4 · Gauss-Newton
# Difficulty ●●○○○ · 3 points
#
# Write `gauss_newton(model, theta, y, sigma, steps)`: the estimate after so many steps. Call the model once a step, and leave `theta`, and what the model returns, as they are.


# %% nbgrader={"grade": false, "grade_id": "ex35-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gauss_newton(model, theta, y, sigma, steps):
    """Fit unknown numbers by least squares on a solver.

    model: theta -> (u (m,), S (m, p)). theta: (p,), first guess. y, sigma: (m,).
    Returns (p,).
    """
    ### BEGIN SOLUTION
    for _ in range(steps):
        u, S = model(theta)
        left = (y - u) / sigma
        rows = S / sigma[:, None]
        theta = theta + torch.linalg.lstsq(rows, left[:, None]).solution[:, 0]
    return theta
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
straight = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
got = gauss_newton(
    lambda th: (straight @ th, straight),
    torch.zeros(2),
    torch.tensor([1.0, 3.0, 5.0]),
    torch.ones(3),
    1,
)
assert got.dtype == torch.float64, FLOAT64
assert close(got, torch.tensor([1.0, 2.0])), "a linear model is fitted in one step"
got = gauss_newton(
    lambda th: (torch.ones(2) * th, torch.ones(2, 1)),
    torch.zeros(1),
    torch.tensor([0.0, 5.0]),
    torch.tensor([1.0, 2.0]),
    1,
)
assert close(got, torch.tensor([1.0])), (
    "values 0 and 5 with noise 1 and 2: their mean with weights 1 and 1/4 is 1"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
first = torch.tensor([0.05, 0.5])
exact_y = rod(x, 1.0)[:, 0]
got = gauss_newton(twin(x, 1.0), first, exact_y, torch.full((30,), SIGMA), 8)
assert close(got, torch.tensor([0.1, 1.0]), 1e-8), "values without noise give the truth"
### BEGIN HIDDEN TESTS
assert torch.equal(first, torch.tensor([0.05, 0.5])), "theta was changed in place"
for seed in range(4):
    A_try, y_try = draw(8, 3, seed=seed), draw(8, seed=seed + 5)
    sigma_try = 0.2 + draw(8, seed=seed + 15).abs()
    at = draw(3, seed=seed + 25)
    F_try = A_try.T @ (A_try / sigma_try[:, None] ** 2)
    exact = torch.linalg.solve(F_try, A_try.T @ (y_try / sigma_try**2))
    for count in (1, 3):
        got = gauss_newton(lambda th, A=A_try: (A @ th, A), at, y_try, sigma_try, count)
        assert close(got, exact), (
            "a linear model: one step, from any start, to weighted least squares, and there "
            "it stays: was what the model returned changed in place?"
        )
wide = gauss_newton(
    lambda th: (th.atan(), (1 / (1 + th**2))[:, None]),
    torch.tensor([2.0]),
    torch.zeros(1),
    torch.ones(1),
    2,
)
near = 2 - 5 * math.atan(2)
assert close(wide, torch.tensor([near - (1 + near**2) * math.atan(near)])), (
    "so many full steps as are asked for, also where the misfit rises"
)
calls, returned = [], []


def counted(th):
    calls.append(th.clone())
    pair = twin(x, 1.0)(th)
    returned.extend((one, one.clone()) for one in pair)
    return pair


some = exact_y + SIGMA * draw(30, seed=8)
uneven = SIGMA * (1 + torch.arange(30.0) / 10)
path = [gauss_newton(twin(x, 1.0), first, some, uneven, n) for n in range(5)]
assert close(path[0], first), "no step: the first guess"
gauss_newton(counted, first, some, uneven, 4)
assert all(torch.equal(*pair) for pair in returned), (
    "what the model returned was changed in place"
)
assert len(calls) == 4, "the model is called once a step: four steps, four calls"
for n, call in enumerate(calls):
    assert close(call, path[n]), "each step begins where the last one ended"
u_try, S_try = twin(x, 1.0)(gauss_newton(twin(x, 1.0), first, some, uneven, 12))
slope = S_try.T @ ((some - u_try) / uneven**2)
assert slope.norm() < 1e-6 * (S_try / uneven[:, None]).norm(), (
    "at the end the gradient of the weighted sum of squares is zero"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Divide what is left, and the rows of $S$, by the noise; the rest is a linear least squares problem.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.linalg.lstsq` wants a matrix on the right: `left[:, None]`; take column 0 of its solution. Write `theta = theta + ...`, not `+=`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With normal equations, where $F$ is well conditioned: $F \, \delta\theta = W^\top e$.
#
# </details>

# %% [markdown]
# ## 5. Intervals that hold what they promise
#
# A number without its spread is half an answer. Two spreads should not be mixed up. *Of the noise:* somebody else measures again, and gets another estimate; $F^{-1}$ tells how different. *Of the training:* the same data, another seed. A method
# whose training spreads as much as the noise has not finished training. Published tables often show one run of one draw. Here is a well-known one, Burgers' equation with unknown viscosity by a network (Raissi and others 2019):

# %%
table = stored("pinn_inverse")["published"]
print("viscosity, per cent off, one run each")
print(
    "values     " + "".join(f"{f'{n} % noise':>11s}" for n in table["levels_percent"])
)
for count, row in table["viscosity"].items():
    print(f"{count:>6s}     " + "".join(f"{value:11.1f}" for value in row))
twice = table["same_set_up_twice"]["viscosity"]
print(
    "one set-up that stands in two tables:", " and ".join(f"{v:.1f} %" for v in twice)
)
row = table["viscosity"]["500"]
print("500 values: with noise of 1 % it is nearer than without:", row[1] < row[0])

# %% [markdown]
# With 500 values and no noise the viscosity is off by a seventh, with noise of one per cent it is off by half a per cent. Such a table does not say that noise helps. It says that each cell is one draw of something random, whose spread is not shown.
#
# How wide, then, is an honest interval? Often $\sigma$ is not known. It is in the data: what is left after the fit, $r_i = y_i - u_i$, is noise, and a little less than noise, since $p$ numbers were chosen to make it small. In $m$ values and $p$ unknowns
#
# $$ \hat\sigma^2 = \frac{1}{m - p} \sum_i r_i^2 , \qquad
#    \hat\theta_j \pm z \, \hat\sigma \sqrt{\big((S^\top S)^{-1}\big)_{jj}} . $$
#
# With $z = 1.96$ such an interval should contain the truth in 95 of 100 draws, if $m - p$ is large: this share is its **coverage**. (For few values one takes $z$ from Student's distribution, not from the normal one.) The residuals $r$ of section 2 are something else: they belong to the equation, these to the data.

# %% [markdown]
# ### Exercise 35.5 · An honest interval
# Difficulty ●●○○○ · 3 points
#
# Write `interval(theta, S, r, z)`: lower and upper ends for all unknowns. The noise is the same for all values, and not known.


# %% nbgrader={"grade": false, "grade_id": "ex35-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interval(theta, S, r, z):
    """Ends of an interval for each unknown, the noise estimated.

    theta: (p,). S: (m, p). r: what is left of the data, (m,). z: number.
    Returns two tensors (p,).
    """
    ### BEGIN SOLUTION
    m, p = S.shape
    variance = r.square().sum() / (m - p)
    half = z * (variance * torch.linalg.inv(S.T @ S).diagonal()).sqrt()
    return theta - half, theta + half
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
low, high = interval(
    torch.tensor([2.0]),
    torch.ones(5, 1),
    torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0]),
    2.0,
)
assert low.dtype == high.dtype == torch.float64, FLOAT64
assert close((low + high) / 2, torch.tensor([2.0])), "the estimate is in the middle"
assert close(high - low, torch.tensor([4 / 5**0.5])), (
    "what is left has squares 4 in all, and 5 - 1 values are free: sigma is 1; a mean of 5 has "
    "a deviation of 1 / root of 5, and the interval goes z of them to either side"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
S_try, r_try = draw(9, 2, seed=1), draw(9, seed=2)
low, high = interval(torch.tensor([3.0, -1.0]), S_try, r_try, 1.0)
assert low.shape == high.shape == (2,) and bool((low < high).all()), (
    "two ends for each unknown, the lower one first"
)
### BEGIN HIDDEN TESTS
for seed in range(5):
    m, p = 8 + seed, 1 + seed % 4
    S_try, r_try, at = draw(m, p, seed=seed), draw(m, seed=seed + 7), draw(p, seed=seed)
    low, high = interval(at, S_try, r_try, 1.5)
    values, vectors = torch.linalg.eigh(S_try.T @ S_try)
    shares = (vectors**2 / values).sum(dim=1)
    exact = 1.5 * (r_try @ r_try / (m - p) * shares).sqrt()
    assert close((high - low) / 2, exact), (
        "half the width is z sigma times the root of the diagonal of the inverse, with m - p"
    )
    assert close((high + low) / 2, at), "the estimate is in the middle"
    wide = interval(at, S_try, 3 * r_try, 1.5)
    assert close(wide[1] - wide[0], 6 * exact), (
        "three times the noise, three times as wide"
    )
A_try, hits = draw(6, 3, seed=11), 0
plus = torch.linalg.pinv(A_try)
for noise_try in draw(600, 6, seed=12):
    at = plus @ noise_try
    low, high = interval(at, A_try, noise_try - A_try @ at, 3.182)
    hits += int(low[0] < 0 < high[0])
assert 550 < hits < 590, (
    "six values, three unknowns, Student's 3.182: 95 of 100 intervals contain the truth"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Estimate the noise first. How many of the $m$ values are free once $p$ numbers have been fitted?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The covariance of the estimate is $\hat\sigma^2 (S^\top S)^{-1}$; roots of its diagonal are deviations.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With `variance` the estimate of $\sigma^2$, the variances of the estimates are `variance * torch.linalg.inv(S.T @ S).diagonal()`.
#
# </details>

# %% [markdown]
# Four hundred draws of the noise, for the plan with two sines. The twin is fitted to each, in a few milliseconds; four hundred trainings of the network would take more than ten minutes.

# %%
model, clean = twin(x, 1.0), rod(x, 1.0)[:, 0]
hits, estimates = 0, []
for _ in range(400):
    y = clean + SIGMA * torch.randn(30, generator=generator)
    fitted = gauss_newton(model, truth, y, noise, 4)
    u, S = model(fitted)
    low, high = interval(fitted, S, y - u, 1.96)
    hits += ((low < truth) & (truth < high)).double()
    estimates.append(fitted)
coverage = hits / 400
estimates = torch.stack(estimates)
ratio = estimates.std(dim=0) / deviations(model(truth)[1], noise)[1]
print("coverage of both intervals between 90 and 98 %:", end=" ")
print(bool(((coverage > 0.9) & (coverage < 0.98)).all()))
print("spread over the Cramer-Rao deviation:", ", ".join(f"{v:.1f}" for v in ratio))

# %% [markdown]
# The twin reaches the limit, and its intervals hold what they say. They know nothing of a *wrong equation or condition*: the signature result and the section on failures each have an example.
#
# ## 6. Where to measure next
#
# Sensors cost money, and $F$ is known before they are bought. Suppose that we have an information $F$, and may add one of several candidate values, with row $s_i$ of sensitivities and noise $\sigma_i$. The area of the
# ellipse of section 3 (its volume, for more unknowns) is proportional to $1 / \sqrt{\det F}$. With $w_i = s_i / \sigma_i$,
#
# $$ \det (F + w_i w_i^\top) = \det F \; (1 + w_i^\top F^{-1} w_i) . $$
#
# And $w_i^\top F^{-1} w_i$ has a meaning: it is the variance of the value that we would *predict* at candidate $i$, over the variance of its noise. So the rule is short: **measure where you know least**. (A plan with the largest determinant is
# called **D-optimal**; to take one value after the other is **greedy**, and need not find the best plan.)

# %% [markdown]
# ### Exercise 35.6 · The next sensor
# Difficulty ●●●○○ · 3 points
#
# Write `next_sensor(F, S, sigma)`: the number of the candidate that makes the determinant the largest, an int, and the new information. No loop over candidates, no determinants.


# %% nbgrader={"grade": false, "grade_id": "ex35-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def next_sensor(F, S, sigma):
    """Choose the candidate that raises det F the most.

    F: (p, p), with an inverse. S: (m, p), a row for each candidate. sigma: (m,).
    Returns its number, an int, and the new F, (p, p).
    """
    ### BEGIN SOLUTION
    W = S / sigma[:, None]
    variance = (W * torch.linalg.solve(F, W.T).T).sum(dim=1)
    best = int(variance.argmax())
    return best, F + torch.outer(W[best], W[best])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
have = torch.diag(torch.tensor([100.0, 1.0]))
offers = torch.tensor([[5.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
best, new = next_sensor(have, offers, torch.tensor([1.0, 1.0, 6.0]))
assert isinstance(best, int), "the number of a candidate is an int"
assert best == 1, (
    "the second unknown is known least; candidate 1 tells of it, and 2 does so with much noise"
)
assert new.dtype == torch.float64, FLOAT64
assert close(new, torch.diag(torch.tensor([100.0, 2.0]))), "F + w w^T"

# %% nbgrader={"grade": true, "grade_id": "ex35-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
best, new = next_sensor(torch.eye(3), draw(6, 3, seed=1), torch.ones(6))
assert new.shape == (3, 3) and 0 <= best < 6, "a candidate's number and a new matrix"
### BEGIN HIDDEN TESTS
for seed in range(8):
    sizes = torch.tensor([10.0, 1.0, 0.1])
    root = (draw(7, 3, seed=seed) + seed * draw(7, 1, seed=seed + 60)) * sizes
    have = root.T @ root
    offers = draw(12, 3, seed=seed + 20) * sizes
    sigma_try = 0.5 + draw(12, seed=seed + 40).abs()
    kept = have.clone()
    best, new = next_sensor(have, offers, sigma_try)
    each = [
        have + torch.outer(s, s) / e**2 for s, e in zip(offers, sigma_try, strict=True)
    ]
    dets = torch.stack([torch.linalg.det(one) for one in each])
    assert best == int(dets.argmax()), (
        "another candidate has a larger determinant: the gain is w F^-1 w with w = s / sigma"
    )
    assert close(new, each[best]), "F grows by s s^T / sigma^2"
    assert torch.equal(have, kept), "F was changed in place"
    units = torch.tensor([30.0, 1.0, 0.03])
    scaled_F = have * units * units[:, None]
    assert next_sensor(scaled_F, offers * units, sigma_try)[0] == best, (
        "units of the unknowns must not matter"
    )


class Calls(TorchDispatchMode):
    """Count operations, and note whether a matrix for each candidate is worked on."""

    count, determinant, many = 0, False, False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        self.count += 1
        self.determinant |= "det" in name.replace("detach", "")
        if "linalg" in name and isinstance(args[0], torch.Tensor):
            self.many |= args[0].dim() > 2 and args[0].stride(0) > 0
        return function(*args, **(kwargs or {}))


spent = []
for number in (10, 60):
    with Calls() as work:
        next_sensor(torch.eye(3), draw(number, 3, seed=2), torch.ones(number))
    assert not work.determinant and not work.many, (
        "no determinants, and no matrix is factored for each candidate: "
        "w F^-1 w says the same, and F is the same for all"
    )
    spent.append(work.count)
assert spent[1] <= spent[0] + 5, (
    "more candidates, more operations: there is a loop over them"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# For all candidates at once: the diagonal of $W F^{-1} W^\top$, where $W$ has the rows $w_i$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The diagonal of a product $A B^\top$ is `(A * B).sum(dim=1)`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.linalg.solve(F, W.T)` is $F^{-1} W^\top$, a column for each candidate; `int(...)` of an `argmax` is a number.
#
# </details>

# %% [markdown]
# The rod with a start of two sines. Two values that somebody has taken, then twenty-eight that we choose, among 19 places and 20 times. Beside it: the thirty values of the cold open's sensors, and fifty plans of thirty values drawn by chance.

# %%
grid = sensors(torch.linspace(0.05, 0.95, 19).tolist(), count=20)
_, S = twin(grid, 1.0)(truth)
each = torch.full((len(grid),), SIGMA)
taken = [20 * 4 + 5, 20 * 14 + 15]
F = S[taken].T @ S[taken] / SIGMA**2
path = [torch.linalg.inv(F)[0, 0].sqrt().item()]
for _ in range(28):
    best, F = next_sensor(F, S, each)
    taken.append(best)
    path.append(torch.linalg.inv(F)[0, 0].sqrt().item())
even = deviations(twin(x, 1.0)(truth)[1], noise)[1][0].item()
by_chance = []
for _ in range(50):
    some = torch.randperm(len(grid), generator=generator)[:30]
    by_chance.append(deviations(S[some], each[some])[1][0].item())
chosen, counts = torch.unique(torch.tensor(taken[2:]), return_counts=True)

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].plot(range(2, 31), [100 * d / K_TRUE for d in path], lw=2, label="one by one")
axes[0].axhline(
    100 * even / K_TRUE, color="C1", ls="--", label="two sensors, 30 values"
)
axes[0].plot(
    [30] * 50,
    [100 * d / K_TRUE for d in by_chance],
    ".",
    color="0.6",
    label="by chance",
)
axes[0].set(xlabel="values", ylabel="least deviation of k, %")
axes[0].legend(fontsize=8.5)
axes[1].plot(grid[:, 0], grid[:, 1], ".", color="0.85", ms=3)
axes[1].scatter(
    *grid[chosen].T,
    s=18 * counts,
    color="C0",
    zorder=3,
    label="chosen (size: how often)",
)
axes[1].plot(*x.T, "x", color="C1", ms=5, label="two sensors")
axes[1].set(xlabel="x", ylabel="t", ylim=(-0.02, 1.45))
axes[1].legend(fontsize=8.5, loc="upper right")
figure(
    fig,
    caption="Choosing where to measure. Left: the least deviation of k against the number of values. Right: the "
    "places and times that were chosen.",
    alt="Left: the deviation of k falls steeply from 7 per cent with the first chosen values and then slowly to 1, and ends "
    "below the dashed level of the two sensors and below all grey dots of plans by chance. Right: times against "
    "places; two large dots, at x = 0.3 and 0.7 and early times, where the rule measures again and again, and two "
    "columns of crosses.",
)

# %%
print("thirty chosen values beat all fifty plans by chance:", path[-1] < min(by_chance))
print(f"two sensors over chosen, deviation of k: {even / path[-1]:.1f}")
print("different places among the 28 that were chosen, at most six:", len(chosen) <= 6)

# %% [markdown]
# Such a plan measures again and again at the same few places, where $k$ and $c$ move the values in different ways. It trusts the equation: no value is left that could show that the equation is wrong. And it is best at the values of $\theta$ that it was computed with, which nobody
# knows exactly; one alternates between measuring and planning.
#
# ## 7. A field, and its regulariser
#
# Now the unknown is a function. A rod at rest is heated unevenly: $-u'' = q(x)$, with zero ends. Sixty sensors tell $u$; what is $q$? With $q$ on a grid of $n = 100$ cells this is linear, $u = A q$, and the matrix is known ($A_{ij} = \frac{1}{n} \min(x_i, s_j) (1 - \max(x_i, s_j))$, with sensors at $x_i$ and cells around $s_j$: the temperature at $x_i$ if heat $1/n$ is put in at $s_j$. As a function of both it is called *Green's function*).
# A hundred unknowns, sixty values. And it is worse than the numbers say: $u$ is $q$ *integrated twice*. Integrals hide what oscillates: a $q$ of $\sin j \pi x$ gives a $u$ of $\sin(j \pi x) / (j \pi)^2$. Read from $u$ to $q$: noise of the shape $\sin j \pi x$ in $u$ appears in $q$ multiplied by $(j \pi)^2$. By the Fisher information,
# the deviation of the $j$-th coefficient grows like $j^2$, and from some $j$ on it is larger than any coefficient could be. Such a problem is **ill-posed**: its answer does not depend continuously on its data.
#
# What the data do not say must come from elsewhere. Often one knows at least that $q$ is smooth: neighbouring values are similar. **Tikhonov's regulariser** makes roughness cost something:
#
# $$ \hat q = \arg\min_q \; \frac{\|A q - y\|^2}{\sigma^2} + \lambda \|L q\|^2 $$
#
# where $L q$ are the slopes of $q$, differences of neighbours over their distance, and $\lambda$ is the price of roughness. It is one least squares problem, with two blocks of rows. Stacked, it needs no product $A^\top A$, whose condition number is the square of that of $A$.
#
# **Shapes.** $A$: `(m, n)`, $y$: `(m,)`, $L$: `(l, n)`; $\hat q$: `(n,)`.

# %% [markdown]
# ### Exercise 35.7 · Tikhonov
# Difficulty ●●●○○ · 3 points
#
# Write `tikhonov(A, y, sigma, L, lam)`, for $\lambda \ge 0$ and a number $\sigma$, as one least squares problem. It must be accurate where $A$ and $L$ alone do not determine $q$, but both together do.


# %% nbgrader={"grade": false, "grade_id": "ex35-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def tikhonov(A, y, sigma, L, lam):
    """Minimise |(A q - y) / sigma|^2 + lam |L q|^2.

    A: (m, n). y: (m,). sigma, lam: numbers. L: (l, n). Returns (n,).
    """
    ### BEGIN SOLUTION
    rows = torch.cat([A / sigma, lam**0.5 * L])
    wanted = torch.cat([y / sigma, torch.zeros(len(L))])
    return torch.linalg.lstsq(rows, wanted[:, None]).solution[:, 0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex35-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
got = tikhonov(torch.eye(2), torch.tensor([2.0, 4.0]), 1.0, torch.eye(2), 1.0)
assert got.dtype == torch.float64, FLOAT64
assert close(got, torch.tensor([1.0, 2.0])), "|q - y|^2 + |q|^2 is least at y / 2"
got = tikhonov(torch.eye(2), torch.tensor([2.0, 4.0]), 0.5, torch.eye(2), 4.0)
assert close(got, torch.tensor([1.0, 2.0])), (
    "half the noise weighs the data four times as much, and lam = 4 the price: as before"
)

# %% nbgrader={"grade": true, "grade_id": "ex35-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
slope = torch.eye(4)[1:] - torch.eye(4)[:-1]
got = tikhonov(torch.eye(4)[:2], torch.tensor([1.0, 3.0]), 0.1, slope, 1e-8)
assert close(got, torch.tensor([1.0, 3.0, 3.0, 3.0]), 1e-4), (
    "two values and a very small price of slopes: beyond the data q is level"
)
### BEGIN HIDDEN TESTS
for seed in range(5):
    A_try, y_try, L_try = (
        draw(7, 5, seed=seed),
        draw(7, seed=seed + 9),
        draw(3, 5, seed=seed + 19),
    )
    for sigma_try, lam_try in ((0.3, 0.0), (0.3, 2.0), (2.0, 50.0)):
        got = tikhonov(A_try, y_try, sigma_try, L_try, lam_try)
        H = A_try.T @ A_try / sigma_try**2 + lam_try * L_try.T @ L_try
        exact = torch.linalg.solve(H, A_try.T @ y_try / sigma_try**2)
        assert close(got, exact, 1e-8), (
            "another minimiser: is the data term divided by sigma squared, and lam not squared?"
        )
left, _ = torch.linalg.qr(draw(6, 6, seed=31))
right, _ = torch.linalg.qr(draw(4, 4, seed=32))
sizes = torch.tensor([1.0, 0.5, 1e-9, 0.0])
hard_A = left[:, :4] @ (sizes[:, None] * right.T)
hard_q = right @ torch.tensor([1.0, -1.0, 2.0, 0.0])
got = tikhonov(hard_A, hard_A @ hard_q, 1.0, right[:, 3:].T, 1.0)
assert close(got, hard_q, 1e-4), (
    "a combination that the data hold to nine digits is lost: A^T A squares the condition "
    "number; stack instead"
)
strong = tikhonov(torch.eye(4), torch.arange(4.0), 1.0, slope, 1e10)
assert close(strong, torch.full((4,), 1.5), 1e-4), "a huge price of slopes: the mean"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A sum of two squares of norms is one square of the norm of a longer vector.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Rows: `A / sigma` above, and $\sqrt\lambda L$ below. What is wanted of the rows below?
#
# </details>
# <details><summary>Hint 3</summary>
#
# `torch.cat` puts one block under the other, and one vector of values under the other; zeros are wanted of the rows below.
#
# </details>

# %% [markdown]
# **Which price?** The noise tells. The truth itself leaves about $m$ in the first term: each value is off by about one $\sigma$. A $q$ that leaves much less has fitted the noise. **Morozov's discrepancy principle**: take the largest $\lambda$ whose first term is
# no larger than noise explains. A sum of $m$ squares of normal numbers has the mean $m$ and the deviation $\sqrt{2m}$, so we allow $m + 2 \sqrt{2m}$. It needs $\sigma$, and nothing of the truth.

# %%
cells = (torch.arange(100.0) + 0.5) / 100
spots = torch.linspace(0, 1, 62)[1:-1]
A = torch.minimum(spots[:, None], cells) * (1 - torch.maximum(spots[:, None], cells))
A = A / 100
L = 100 * (torch.eye(100)[1:] - torch.eye(100)[:-1])
q_true = 10 * torch.sin(pi * cells) + 15 * torch.exp(-(((cells - 0.7) / 0.1) ** 2))
u_true = A @ q_true
NOISE = 0.01 * u_true.max().item()
y = u_true + NOISE * torch.randn(60, generator=generator)


def by_discrepancy(y, sigma):
    """The largest price, in steps of a tenth of a power of ten, that noise explains."""
    most = len(y) + 2 * (2 * len(y)) ** 0.5
    for tenth in range(40, -120, -1):
        q = tikhonov(A, y, sigma, L, 10 ** (tenth / 10))
        if ((A @ q - y) / sigma).square().sum() <= most:
            return 10 ** (tenth / 10), q
    raise ValueError("the model cannot fit the data to within their noise")


lam_found, q_found = by_discrepancy(y, NOISE)
fields = {
    "a price of 3e-8": tikhonov(A, y, NOISE, L, 3e-8),
    "by the noise": q_found,
    "a price of 0.01": tikhonov(A, y, NOISE, L, 0.01),
}
prices = [10.0 ** (e / 2) for e in range(-18, 5)]
paths = [tikhonov(A, y, NOISE, L, lam) for lam in prices]
q_off = [((q - q_true).norm() / q_true.norm()).item() for q in paths]
u_off = [((A @ q - u_true).norm() / u_true.norm()).item() for q in paths]

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0))
axes[0].plot(cells, q_true, "k", lw=2.5, label="truth")
for (name, q), look in zip(fields.items(), (":", "-", "--"), strict=True):
    axes[0].plot(cells, q, look, lw=1.5, label=name)
axes[0].set(xlabel="x", ylabel="q", ylim=(-25, 75))
axes[0].legend(fontsize=8.5, loc="upper left")
axes[1].loglog(prices, q_off, "o-", ms=4, label="error of q")
axes[1].loglog(prices, u_off, "s--", ms=4, label="error of u")
axes[1].axvline(lam_found, color="k", lw=0.8, ls=":", label="by the noise")
axes[1].set(xlabel="price of roughness", ylabel="relative error")
axes[1].legend(fontsize=8.5)
figure(
    fig,
    caption="A source from sixty noisy values. Left: three prices of roughness. Right: errors of the source "
    "and of the solution against the price.",
    alt="Left: the truth, a wave with a bump; a dotted line that swings wildly about it; a solid line that follows "
    "it; a dashed line that is too flat. Right, log axes: the error of u is below three per cent for all small "
    "prices, while the error of q falls from above one to about a tenth and rises again; a dotted line "
    "stands near its lowest place.",
)

# %%
off = [((q - q_true).norm() / q_true.norm()).item() for q in fields.values()]
print("error of q at a price of 3e-8: above one half:", off[0] > 0.5)
print("at the price by the noise: below two fifths:", off[1] < 0.4)
print("and below three times the least of all prices:", off[1] < 3 * min(q_off))
print("at the smallest price, error of u: below 2 %:", u_off[0] < 0.02)
print("and error of q: above 200 %:", q_off[0] > 2)

# %% [markdown]
# At the smallest price $u$ is right to a per cent or two, and $q$ is off by many times its size. So a *small misfit proves nothing about a field*, even less than about a number. A network for $q$ is a regulariser, too, of a kind whose $\lambda$ nobody can read: it is in its width, its first weights and the number of steps. That is no reason against
# networks, but one for a second run with another seed and for a price that one has chosen.

# %% [markdown]
# ## The library's version
#
# `Unknown` stands in an equation in place of a number, `Data` holds values with their noise, `classical` is the twin, `Information` the matrix $F$ with its deviations. The library's twin has no formula for the rod: it solves by finite elements, and takes its slopes by
# differences.
#
# For a coefficient that varies there are `Field`, linear between the knots of a grid with one `Unknown` a knot, and
# `Smoothness(field, rho)`, Tikhonov's regulariser with a meaning: slopes of the size $\rho$ are expected. It goes into the list of data.

# %%
data_two = measure(x, second=1.0)
ours = gauss_newton(
    twin(x, 1.0), torch.tensor([0.05, 0.5]), data_two.values[:, 0], noise, 8
)
unknowns = Unknown("k", 0.05, positive=True, scale=0.1), Unknown("c", 0.5)
elements = classical(cooling(*unknowns, second=1.0), data_two, elements=[16, 16])
_, S = twin(x, 1.0)(ours)
limit = deviations(S, noise)[1]
same = Information(("k", "c"), ours, S.T @ S / SIGMA**2).deviations
print("the library's deviations are ours:", torch.allclose(same, limit))
off = (ours - truth) / limit
print("ours is off by less than two of them:", bool((off.abs() < 2).all()))
apart = (torch.tensor(list(elements.values.values())) - ours) / limit
print("elements are within a fifth of one of ours:", bool((apart.abs() < 0.2).all()))

# %% [markdown]
# ## Signature result: two races
#
# **Left: everything is known but two numbers.** Burgers' equation $u_t + s \, (u^2 / 2)_x = \nu u_{xx}$ with start and ends, speed $s$ and viscosity $\nu = 0.1 / \pi$ unknown, 500 values of the exact solution (by the formula of Cole and Hopf) at random places and times, with noise that is told in per cent of their spread. The network fulfils start and ends by construction and is trained by Levenberg-Marquardt; the
# **baseline** is its classical twin on 24 x 12 elements. Errors are told in Cramér-Rao deviations: between $-2$ and 2 is what noise explains. The **negative control** is the same network whose equation weighs a millionth: an interpolant of the data.
#
# **Right: something is not known that should be.** A rod, $u_t = k u_{xx}$, is measured at 300 places and times between $x = 0.2$ and $0.9$. Its right end is believed to be held at zero, but is at 0.05. Four ways to find $k$: least squares on elements that *believe* in the end; the same that *suspects* it, with its value as a second unknown (both are told the start and the left end);
# a *network* that is told the equation and nothing of start and ends; and the strongest cheap relative of that network, 63 *polynomials* in its place.

# %%
record = stored("pinn_inverse")
waves, leaks = record["burgers"], list(record["leak"].values())
levels = ["0.1 %", "finer", "1 %", "10 %", "control"]
print("Burgers: root mean square of the viscosity's error, in deviations")
print("(finer: 0.1 %, a finer mesh, twice the steps; control: 1 %)")
print(f"{'noise':10s}{'draws':>6s}{'deviation':>11s}{'network':>10s}{'twin':>8s}")
sizes = {}
for level in levels:
    rows = [r for name, r in waves.items() if name.startswith(f"{level},")]
    off = torch.tensor([[r["network_off"][1], r["twin_off"][1]] for r in rows])
    sizes[level] = off
    dev = sum(r["deviation_percent"][1] for r in rows) / len(rows)
    rms = off.square().mean(0).sqrt().tolist()
    print(f"{level:10s}{len(rows):6d}{dev:9.2g} %{rms[0]:10.2g}{rms[1]:8.2g}")
one = [r for name, r in waves.items() if name.startswith("1 %")]
seconds = [sorted(r[f"{side}_seconds"] for r in one)[2] for side in ("network", "twin")]
print("CPU seconds of a fit, median: network {:.0f}, twin {:.0f}".format(*seconds))
print(f"\nRod with a leak: error of k in %, over {len(leaks)} draws")
ways = {}
for way in ("believed", "suspected", "network", "polynomial"):
    off = torch.tensor([row[way]["off_percent"] for row in leaks])
    ways[way] = off
    time = sorted(row[way]["seconds"] for row in leaks)[len(leaks) // 2]
    print(f"{way:12s} mean {off.mean():5.1f}   spread {off.std():4.1f}   {time:5.2f} s")
usual = torch.cat([sizes["1 %"], sizes["10 %"]])
print("\n1 and 10 %: both sides below two deviations:", bool((usual.abs() < 2).all()))
worst = ways["believed"].abs().min() / ways["believed"].std()
print("a wrong belief is off by more than five spreads:", bool(worst > 5))

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.3), gridspec_kw={"width_ratios": [4, 3]})
axes[0].axhspan(-2, 2, color="0.9")
for place, level in enumerate(levels):
    for side, (name, mark) in enumerate((("network", "o"), ("twin", "s"))):
        values = sizes[level][:, side]
        axes[0].plot(
            [place - 0.15 + 0.3 * side] * len(values),
            values,
            mark,
            color=f"C{side}",
            ms=6,
            label=name if place == 0 else None,
        )
axes[0].set_yscale("symlog", linthresh=4)
marks = [-20, -10, -4, -2, 0, 2, 4]
axes[0].set_yticks(marks, [str(mark) for mark in marks])
axes[0].minorticks_off()
axes[0].set_xticks(range(5), ["0.1 %", "0.1 %,\nfiner", "1 %", "10 %", "1 %,\ncontrol"])
axes[0].set(
    xlabel="noise", ylabel="viscosity, deviations off", xlim=(-0.5, 4.5), ylim=(-40, 6)
)
axes[0].legend(fontsize=9, loc="lower left")
for place, off in enumerate(ways.values()):
    axes[1].plot(off, [place] * len(off), "osDv"[place], ms=6)
axes[1].axvline(0, color="k", lw=0.8)
axes[1].set_yticks(range(4), list(ways))
axes[1].set(xlabel="k, per cent off", ylabel="way to find k", ylim=(-0.5, 3.5))
figure(
    fig,
    caption="Left: Burgers' viscosity, one mark a draw; grey is what noise explains. Right: a rod whose end "
    "is not what it is believed to be.",
    alt="Left, deviations off for three levels of noise, a finer run and a control: at 1 and 10 per cent all marks of "
    "network and twin lie within the grey band of two; at 0.1 per cent the twin lies below it, between minus three and four, and the network between one and two and a "
    "half, and with finer runs both lie within it; the control's round marks lie below the band, down to minus 25. Right, per cent off in four rows: believed lies together near minus three, suspected together at zero, "
    "network and polynomial are spread about zero from minus two to two.",
)

# %% [markdown]
# **Left.** At one and ten per cent of noise network and twin are both off by about one deviation, and by less than two in every draw: as near to the truth as the noise allows. At ten per cent they agree with each other to a fifth of a deviation, draw by draw: they have found the same estimate. No better network could be much better. Their seconds are of one size, too: ten and six.
#
# At 0.1 % deviations are small, and the twin is off by three to four of them, downwards in every draw. That is no longer noise, but its *mesh*; the network, at one to two and a half, has not finished its *training*. The column beside it tells so: the same data, a mesh of 40 x 24, twice the steps. Both are within one deviation then, for twice the seconds. Without a calculated deviation nobody would see the difference between "as good as can be" and "not done yet". (The speed, which is not drawn, tells the same: at one and ten per cent both are off by less than 1.1 deviations; at 0.1 % the network by up to 3 and the twin by up to 4.5; in the finer runs both by less than 1.2.)
#
# The control fits the
# data better than the network does, closer than their noise, and is off by two to twenty-five deviations: a small misfit proves nothing.
#
# **Right.** The twin that believes in the end has a small spread, and is off by more than five times that in every draw: confidently wrong. The network is told less, and is right in the mean, with a spread that is three to four times as wide. That is what networks are good for: few assumptions.
# But it is not the network that does it. Sixty-three polynomials with the same two losses give the same answer, in every draw to within 0.4 %, in about a sixtieth of the time. And whoever *suspects* the end, and makes it an unknown, is better than all. One has to think of it first.
#
# **What the comparison is worth.** One equation each, three to eight draws, one size of network, which was not searched over, and problems in one dimension in space. The weights of the two losses are 1 and 1, and were not searched over either.
#
# ## An experiment to change
#
# The rod again, and everything about the measurement in one place.

# %%
SECOND, PLACES, TIMES, NOISY = 1.0, [0.25, 0.75], 15, 0.01

points = sensors(PLACES, count=TIMES)
_, S = twin(points, SECOND)(truth)
known, unknown = deviations(S, torch.full((len(points),), NOISY))
print("deviation of k below 5 %, c unknown:", unknown[0].item() < 0.05 * K_TRUE)
print("more than 1.5 times as if c were known:", bool(unknown[0] > 1.5 * known[0]))

# %% [markdown]
# Print `100 * unknown / truth`, and change one thing at a time. Guess first:
#
# - `SECOND = 0.1`, then 0.01, then 0: how does the deviation of $k$ grow? Is there a place between "identifiable" and "not"?
# - `PLACES = [0.5]`, then `[0.49]`: how much is one per cent of the rod worth?
# - `TIMES = 60`: by how much does each deviation fall? By which rule?
# - One sensor at 0.25 with 30 times, in place of two with 15: do two places tell more than one?
#
# ## When it fails
#
# **A wrong equation.** The interval of section 5 supposes that the equation is true. Measure a rod that cools at the rate $c = 1$, and fit a rod that does not cool:

# %%
cool = rod(x, 1.0)[:, 0] + SIGMA * torch.randn(30, generator=generator)


def without_cooling(theta):
    """The model of somebody who has never heard of cooling."""
    u, S = twin(x, 1.0)(torch.cat([theta, torch.zeros(1)]))
    return u, S[:, :1]


wrong = gauss_newton(without_cooling, torch.tensor([0.1]), cool, noise, 12)
u, S = without_cooling(wrong)
low, high = interval(wrong, S, cool - u, 1.96)
told = deviations(S, noise)[0]
print("k is off by more than a third:", abs(wrong.item() / K_TRUE - 1) > 1 / 3)
print(
    "in Cramer-Rao deviations, more than ten:", bool((wrong - K_TRUE).abs() > 10 * told)
)
print(
    "what is left is more than three times the noise:",
    bool((cool - u).std() > 3 * SIGMA),
)

# %% [markdown]
# Here one sees it: what is left of the data is larger than their noise. So look at that first. It helps only if $\sigma$ is known, and if the wrong equation cannot choose its numbers so that it fits. (The start with one sine would hide it: $k$ alone would do the work of both.)
#
# **The same solver for data and fit.** Our data came from a formula and our twins fit by the same formula, or by elements. Where a discretised solver makes its own data, its errors cancel, and every method looks better than it is. This is called an **inverse crime**. With real data nothing cancels.
#
# **A network's information.** The library's `information(solution, data)` takes sensitivities from a trained network by exercise 35.2. It holds start and ends for known. For a problem without conditions this would be far too optimistic, and it is refused:

# %%
conduct = Unknown("k", 0.1, positive=True)
nothing_told = Problem(
    heat().geometry,
    lambda x, u, p: torch.stack([-conduct() * p[..., 0], u], dim=-1),
    unknowns=[conduct],
)
method = Vanilla(30, 4, hidden=(4,), resample=None)
short = identify(nothing_told, data, method, seeds=[0], iterations=1)
try:
    information(short.solutions[0], data)
except ValueError as error:
    print(str(error).partition(":")[0])

# %% [markdown]
# **First guesses.** Gauss-Newton and networks both go downhill. From a first guess that is far off, both may end elsewhere; `positive=True`, a `scale` and several starts are cheap.
#
# **Unknown laws.** If a whole function inside of the equation is missing, such as a conductivity that depends on $u$, one can put a network there, or a spline. Zhang, Alla and Karniadakis (2026) compare both ways with equal means, and find that a network there is the better one for such *closures* (laws that complete an equation), and an *adjoint* (the gradient of the misfit by all unknowns from one backward solve, as in chapter 17) for unknowns that are given on a grid. We have not measured that.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "The cold open, with a thousand times as many values of the same two sensors. What is known of k?",
        choices=[
            "Its deviation falls by the root of a thousand",
            "As little as before",
            "It is exact",
        ],
        answer="687fc5dfeb92",
        hint="Add up rows that are multiples of (pi^2, 1).",
    ),
    Question(
        "Two unknowns are identifiable together. Somebody tells you the second. What happens to the deviation of the first?",
        choices=[
            "It falls, or stays",
            "It rises, or stays",
            "It is halved",
        ],
        answer="d016a2af2b17",
        hint="The diagonal of an inverse against the inverse of a diagonal entry.",
    ),
    Question(
        "A network finds a viscosity that is off by 0.008 %, where the Cramer-Rao deviation is 0.4 %. What does it show?",
        choices=[
            "That networks beat least squares",
            "That the bound is wrong",
            "A lucky draw, as one of sixty is",
        ],
        answer="c039a7413147",
        hint="How often is a normal number within a fiftieth of its deviation?",
    ),
    Question(
        "Which candidate does the rule of section 6 choose?",
        choices=[
            "The one that is farthest from all others",
            "The one whose value could be predicted worst, in units of its noise",
            "The one with the largest value",
        ],
        answer="1753c668b21a",
        hint="What is w F^-1 w?",
    ),
    Question(
        "A price was guessed. Its field leaves a hundredth of m in the first term. What does the discrepancy principle say?",
        choices=[
            "Raise the price of roughness",
            "Lower it",
            "Report it: the fit is excellent",
        ],
        answer="86a5dfd35cc0",
        hint="What has been fitted there?",
    ),
    Question(
        "Equation, start and ends of a heat problem are known, two numbers are not. Which tool first?",
        choices=[
            "A network without conditions",
            "A network with hard constraints",
            "Least squares on a solver",
        ],
        answer="9ce5bc057594",
        hint="Left half of the signature result: deviations, and seconds.",
    ),
)

# %% [markdown]
# ## Summary
#
# - Data alone and an equation alone leave a number open; together they give it, with a deviation that can be written down.
# - Sensitivities follow from the equation, $S = -P J_w^+ J_\theta$, for elements and for networks.
# - Fisher's $F = W^\top W$ exists before any training. The root of $(F^{-1})_{jj}$ is the least deviation, and a combination that $F$ does not see is not identifiable, however small the loss.
# - Gauss-Newton on a solver reaches the limit. It is the twin to compare with.
# - One run on one draw of the noise shows no spread. Intervals need $m - p$, and a true equation.
# - Measure where you know least: $w^\top F^{-1} w$.
# - Fields are ill-posed. A regulariser decides what the data do not; the noise decides its price.
# - A network is worth its seconds where start and ends are not known; so is a polynomial, which needs fewer. A wrong belief costs more than either.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | inverse problem | find what an equation contains from measurements of its solution |
# | deviation | standard deviation of an estimate, over draws of the noise |
# | delta method | deviation of a function: slope times deviation |
# | sensitivity | slope of a measured value by an unknown number |
# | Fisher information | $F = W^\top W$, where row $i$ of $W$ is that of $S$ over $\sigma_i$ |
# | unbiased | right in the mean over the noise |
# | Cramér-Rao bound | no unbiased estimate has a covariance below $F^{-1}$ |
# | identifiable | every combination of the unknowns changes some value |
# | Gauss-Newton | linearise the solver, solve the linear least squares problem, repeat |
# | classical twin | least squares on a solver, with the network's data and knowledge |
# | coverage | share of draws whose interval contains the truth |
# | D-optimal | with the largest determinant of $F$ |
# | ill-posed | the answer does not depend continuously on the data |
# | Tikhonov's regulariser | a squared norm of $L q$ as a price |
# | discrepancy principle | the largest price that still fits to within the noise |
# | inverse crime | data made by the solver that fits them |
#
# ## Readings
#
# - **Raissi, Perdikaris and Karniadakis (2019)**, *Physics-informed neural networks*, J. Comput. Phys. 378. Look for section 4 and its tables: which cells go up where they should go down?
# - **Rao (1945)**, *Information and the accuracy attainable in the estimation of statistical parameters*, Bull. Calcutta Math. Soc. 37. Look for the bound.
# - **Zhang, Alla and Karniadakis (2026)**, *Adjoint method versus PINNs in PDE-constrained inverse problems*, arXiv 2606.12337. Look for which side wins where, with equal means. (Its abstract was read here.)
# - **Jekic, Natsaridou, Riemer-Sørensen, Langseth and Gundersen (2025)**, *Examining the robustness of physics-informed neural networks to noise for inverse problems*, arXiv 2509.20191. Look for the twin, and for what dimension does to the gap. (Its abstract was read here.)
# - **Engl, Hanke and Neubauer (1996)**, *Regularization of Inverse Problems*, Kluwer. Look for the discrepancy principle, and for how fast errors can fall.
# - **Atkinson, Donev and Tobias (2007)**, *Optimum Experimental Designs, with SAS*, Oxford. Look for the equivalence theorem: the D-optimal plan is the one whose worst prediction is best.
