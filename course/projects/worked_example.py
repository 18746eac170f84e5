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
# # Worked example: when the dictionary drifts
#
# > **Answer.** The drift acts like noise of its own size. Told the new dictionary, the network needs
# > nothing else; with $k < n$ pairs the best that a plain estimate gives is $10 \log_{10}(1 - k / n)$ dB,
# > so that few samples repair little; tuning the learned numbers gains about one dB, from few pairs or many.

# %% [markdown]
# This is the project [When the dictionary drifts](unroll_drift.ipynb), carried out to the
# standard that the [rubric](../instructor/rubrics.md) asks for. Read the brief first. The order
# below is the order in which it was done. Each guess says when it was made.
#
# | | |
# |---|---|
# | **Question** | How fast does a learned solver go stale, and how few samples repair it? |
# | **Part** | unrolled networks; chapters 11 to 13 |
# | **One thing at a time** | size of the drift; then the pairs; then the numbers |
# | **Seeds** | five drifts for every figure, each with its own test codes |

# %% tags=["setup"]
import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from course.kit import figure, setup
from unroll import ALISTA, Recipe, SparseCoding, fista, nmse_db, train

generator = setup(seed=1)
M, N, DENSITY, SEEDS = 50, 100, 0.05, range(100, 105)

problem = SparseCoding.gaussian(M, N, generator, density=DENSITY)
net = ALISTA(problem.A, depth=16)
recipe = Recipe(steps=150, validation=300, every=50)
history = train(net, problem, recipe, generator=generator)
before = history.best_db


# %%
def drift(A: Tensor, size: float, generator: torch.Generator) -> Tensor:
    """Turn every atom towards a random direction. A, result: (m, n), atoms of norm 1."""
    if not 0 <= size < 1:
        raise ValueError(f"size is {size}: expected a number in [0, 1)")
    d = torch.randn(A.shape, generator=generator)
    moved = math.sqrt(1 - size**2) * A + size * d / d.norm(dim=0)
    return moved / moved.norm(dim=0)


def told(A: Tensor) -> ALISTA:
    """The learned numbers, with the matrix derived anew from a dictionary A: (m, n)."""
    other = ALISTA(A, depth=net.depth, keep=net.keep)
    other.layers.load_state_dict(net.layers.state_dict())
    return other


def error(solver: ALISTA, b: Tensor, x: Tensor) -> float:
    """Ratio NMSE in dB. b: (batch, m). x: (batch, n)."""
    with torch.no_grad():
        return nmse_db(solver(b), x).item()


def drifted(size: float, seed: int) -> tuple[SparseCoding, torch.Generator]:
    """The problem after a drift, and the source of its samples."""
    own = torch.Generator().manual_seed(seed)
    return SparseCoding(drift(problem.A, size, own), DENSITY), own


def told_apart(rows: Tensor) -> str:
    """Mean and spread (standard deviation over seeds) of a row of errors in dB."""
    return f"{rows.mean():6.1f} ± {rows.std():3.1f}"


# %% [markdown]
# ## 1. How fast it goes stale
#
# **Guess, before the run.** The network computes with $A$ while $b = A' x + \text{noise} = A x +
# (A' - A) x + \text{noise}$. To the network the drift is one more noise, of relative size
# $\varepsilon$. ALISTA reaches about the noise floor less a few dB (at 40 dB: about -44), so with
# $\varepsilon$ in place of the noise I expect
#
# $$ \text{error} \approx 20 \log_{10} \varepsilon + c $$
#
# with one constant $c$ of a few dB, once $\varepsilon$ exceeds the noise of one per cent. *It
# could be wrong:* this noise depends on $x$, it does not average out, and the thresholds are set
# for weaker noise.

# %%
sizes = [0.01, 0.02, 0.05, 0.1, 0.2]
stale = torch.zeros(len(sizes), len(SEEDS))
renewed = torch.zeros_like(stale)
for i, size in enumerate(sizes):
    for j, seed in enumerate(SEEDS):
        new, own = drifted(size, seed)
        b, x = new.sample(500, own)
        stale[i, j], renewed[i, j] = error(net, b, x), error(told(new.A), b, x)

law = 20 * torch.tensor(sizes).log10()
print("drift     stale, dB        20 log10   told A', dB")
for i, size in enumerate(sizes):
    row = told_apart(stale[i]), law[i], told_apart(renewed[i])
    print(f"{100 * size:4.0f} %    {row[0]}     {row[1]:6.1f}     {row[2]}")
gap = stale.mean(1) - law

# %%
fig, ax = plt.subplots()
percent = [100 * size for size in sizes]
ax.errorbar(percent, stale.mean(1), stale.std(1), marker="o", capsize=3, label="stale")
ax.errorbar(
    percent, renewed.mean(1), renewed.std(1), marker="v", capsize=3, label="told A'"
)
ax.plot(percent, law, color="k", ls=":", label="the guess with c = 0")
ax.axhline(before, color="0.6", lw=1, ls="-", label="before the drift")
ax.set(xlabel="drift, %", ylabel="NMSE (ratio), dB", xscale="log")
ax.set_xticks(percent, [f"{p:.0f}" for p in percent])
ax.legend(fontsize=8)
figure(
    fig,
    caption="The stale network keeps near the guess, but rises faster; told "
    "the new dictionary it is as good as before. Bars: standard deviation over five drifts.",
    alt="Error against drift on a logarithmic axis. The stale network starts near the level "
    "before the drift at one per cent and then rises along the dotted line of the guess, "
    "crossing it and ending some dB above. The renewed network stays flat near -44 dB.",
)
decades = math.log10(sizes[-1] / sizes[1])
slope = (stale.mean(1)[-1] - stale.mean(1)[1]).item() / decades
print("from 2 % on the constant c grows:", bool((gap[1:].diff() > 0).all()))
print(f"slope from 2 to 20 %: {slope:.0f} dB for ten times the drift; the guess was 20")

# %% [markdown]
# **Verdict.** Right about the size, within four dB from 1 to 20 per cent; wrong about *one*
# constant: from 2 per cent on the error rises faster than the drift. A likely reason is the one
# named in the guess, the thresholds are set for weaker noise, so that errors slip through.
# Section 3 tests it: other numbers should then win back about $c$, which is two dB at a drift of
# 5 per cent. And told the new matrix, the network has lost nothing: its numbers do not depend on
# this dictionary, only on its kind.
#
# **A control that should show no effect.** Turn *all measurements* by the same rotation, $A' = Q
# A$. To the stale network this is a huge drift. But $W$ of $QA$ is $QW$, so every product $W^T A$
# stays, and the renewed network must give *the same codes* to rounding, not just the same error.

# %%
Q = torch.linalg.qr(torch.randn(M, M, generator=generator))[0]
b, x = problem.sample(500, generator)
with torch.no_grad():
    moved = (told(Q @ problem.A)(b @ Q.T) - net(b)).abs().max().item()
print("rotated and told: codes changed by less than 1e-9:", moved < 1e-9)
print("rotated and not told: error above -3 dB:", error(net, b @ Q.T, x) > -3)

# %% [markdown]
# ## 2. Repair from pairs
#
# Now nobody tells $A'$; there are $k$ pairs $(b_i, x_i)$. The plain estimate stays as near to the
# old dictionary as the pairs allow (ridge $\mu$, as rows $X$, $B$):
#
# $$ \hat A = A + \left( (X X^\top + \mu I)^{-1} (B - X A^\top) \right)^\top X . $$
#
# **Guess, after a look at one drift.** With one drift that is not among the five below I saw that
# 20 pairs gain one dB and 50 three, and found the reason afterwards: $k$ pairs see the drift
# along $k$ of $n$ directions of code space, and say nothing about the others. A random drift
# loses the share $k / n$ of its energy, so the error should fall by $10 \log_{10}(1 - k / n)$ dB
# on other drifts too. Full repair needs clearly more than $n = 100$ pairs. *It could be wrong:*
# codes are sparse, and 20 of them touch only part of the atoms.


# %%
def estimate(b: Tensor, x: Tensor, ridge: float = 0.1) -> Tensor:
    """Fit the dictionary to pairs, near the old one. b: (k, m). x: (k, n)."""
    gram = x @ x.T + ridge * torch.eye(len(x))
    return problem.A + torch.linalg.solve(gram, b - x @ problem.A.T).T @ x


SIZE = 0.05
counts = [10, 20, 50, 80, 100, 150, 200, 400]
repaired = torch.zeros(len(counts), len(SEEDS))
floor = torch.zeros(len(SEEDS))
for j, seed in enumerate(SEEDS):
    new, own = drifted(SIZE, seed)
    b, x = new.sample(500, own)
    pairs = new.sample(max(counts), own)
    floor[j] = error(net, b, x)
    for i, k in enumerate(counts):
        hat = estimate(pairs[0][:k], pairs[1][:k])
        repaired[i, j] = error(told(hat), b, x)

gain = repaired - floor
print("pairs   gain, dB        the guess")
for i, k in enumerate(counts):
    guess = f"{10 * math.log10(1 - k / N):6.1f}" if k < N else "   n/a"
    print(f"{k:5d}   {told_apart(gain[i])}    {guess}")

# %% [markdown]
# ## 3. Repair of the numbers instead
#
# **Guess, before the run.** The 32 learned numbers can be fitted to few pairs, but none of them
# can undo $(A' - A) x$. They can only choose better thresholds for more noise: one or two dB at
# most, and about the same for 20 pairs as for 200.


# %%
@dataclass(frozen=True)
class Pairs:
    """A fixed set of pairs, in the place of a problem that draws fresh ones."""

    b: Tensor  # (k, m)
    x: Tensor  # (k, n)

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """All pairs, whatever the batch."""
        return self.b, self.x


tuned_counts = [20, 200]
tuned = torch.zeros(len(tuned_counts), len(SEEDS))
for j, seed in enumerate(SEEDS):
    new, own = drifted(SIZE, seed)
    b, x = new.sample(500, own)
    pairs = new.sample(max(counts), own)
    for i, k in enumerate(tuned_counts):
        own_net = told(problem.A)
        fixed = Pairs(pairs[0][:k], pairs[1][:k])
        train(own_net, fixed, Recipe(steps=30, lr=1e-2, every=15), generator=own)
        tuned[i, j] = error(own_net, b, x) - floor[j]
for i, k in enumerate(tuned_counts):
    print(f"numbers tuned on {k:3d} pairs: gain {told_apart(tuned[i])} dB")

# %% [markdown]
# ## 4. The classical method, given the same pairs
#
# The Lasso with $\hat A$ in the place of $A$, at the λ that is best *on the test codes* out of
# seven: more tuning than one may do, in its favour. Its cost is told in products with $A$ or
# $A^\top$; a layer of the network, like an iteration of FISTA, takes two.

# %%
lams = [0.002 * 2**i for i in range(7)]
chosen = [20, 200]
lasso = torch.zeros(len(chosen), len(SEEDS))
products = []
for j, seed in enumerate(SEEDS):
    new, own = drifted(SIZE, seed)
    b, x = new.sample(500, own)
    pairs = new.sample(max(counts), own)
    for i, k in enumerate(chosen):
        hat = estimate(pairs[0][:k], pairs[1][:k])
        found = {}
        for lam in lams:
            result = fista(hat, b, lam, tol=1e-2 * lam, restart=True)
            found[nmse_db(result.x, x).item()] = result.iterations
        lasso[i, j] = min(found)
        products.append(2 * found[min(found)])
for i, k in enumerate(chosen):
    mine = repaired[counts.index(k)]
    print(f"{k:3d} pairs: Lasso {told_apart(lasso[i])}, network {told_apart(mine)} dB")
least = min(products) / (2 * net.depth)
print("the Lasso takes at least five times the network's products:", least > 5)

# %%
fig, ax = plt.subplots()
ax.errorbar(
    counts, gain.mean(1), gain.std(1), marker="o", capsize=3, label="matrix, from pairs"
)
ax.errorbar(
    tuned_counts, tuned.mean(1), tuned.std(1), marker="s", capsize=3, label="numbers"
)
beat = lasso - floor
ax.errorbar(
    chosen, beat.mean(1), beat.std(1), marker="^", capsize=3, ls="none", label="Lasso"
)
k = torch.arange(8, 99)
ax.plot(k, 10 * torch.log10(1 - k / N), color="k", ls=":", label="guess, k < n")
ax.set(xlabel="pairs k", ylabel="gain over stale, dB", xscale="log", ylim=(-22, 3))
ax.legend(fontsize=8)
figure(
    fig,
    caption="A drift of 5 %: pairs repair the matrix along the guess, until their number "
    "passes that of the atoms; tuned numbers repair little. Bars: five drifts.",
    alt="Gain in dB against the number of pairs on a logarithmic axis. The gain from "
    "estimating the matrix follows a dotted curve from near zero at ten pairs to -3 dB at "
    "fifty, and falls to about -18 dB at 400. Tuned numbers stay close to zero at 20 and "
    "200 pairs. The Lasso lies a little below the repaired "
    "network at 20 pairs and well above it at 200.",
)

# %% [markdown]
# ## What was learned
#
# 1. A drift of relative size $\varepsilon$ costs what noise of that size costs. The stale Lasso
#    of the brief pays the same: it is the model that is stale, not the learning.
# 2. The learned numbers survive: told $A'$, the network is as before. "Retrain each morning" is
#    not needed; "measure $A'$ each morning" is.
# 3. Few samples repair little. For fewer pairs than atoms the gain keeps to $10 \log_{10}(1 -
#    k/n)$, which knows nothing of networks: it is a count of directions. It is too hopeful near
#    $k = n$, where the noise of the pairs is magnified; beyond, that noise is the limit.
# 4. The numbers, tuned, win back what the wrong thresholds had cost, and no more. That is what
#    sections 1 and 3 guessed.
# 5. The Lasso, with λ tuned for each case, is over one dB ahead with 20 pairs and over four
#    behind with 200, for at least five times the products. Where the dictionary is poorly known its λ
#    adapts to the misfit, which the network's thresholds do not. So the network does not win
#    everywhere.
#
# **What this does not show.** One size ($50 \times 100$), one density, Gaussian dictionaries,
# drifts without structure. Real drifts have structure (one gain for all atoms, a shift), and then
# far fewer pairs may do: the guess counts directions of a *random* drift. The ridge was set once,
# to 0.1, and not tuned. Repairing matrix *and* numbers was not tried. Pairs came with exact
# codes. Five seeds tell a standard deviation to about a third of itself.
#
# ## Scored
#
# By the [rubric](../instructor/rubrics.md), by its author, who is not the best judge:
#
# | criterion | points | because |
# |---|---|---|
# | Guess | 2 | with reasons, and how they could be wrong; but the second after a first look |
# | One thing at a time | 3 | size, pairs, numbers in turn; the rotation as a control without effect |
# | Evidence | 3 | five drifts, spread in every table and figure |
# | Honesty | 2 | the growing constant is shown and a reason offered, not proved |
# | Question | 2 | answerable; that the matrix can be derived anew was known from chapter 13 |
# | Baseline | 3 | the Lasso with the same pairs, tuned in its favour, with its cost |
# | Code | 2 | seeds set, shapes said, input checked; its one check is the rotation |
# | **Sum** | **17** of 21 | |
#
# ## What is still open
#
# - **Structured drift.** Let all atoms share a few unknowns (one matrix $Q$ near the identity on
#   the measurements). Does the guess hold with the number of unknowns in place of $n$?
# - **No codes.** Use the network's own codes in place of $x$ (the brief's third milestone). From
#   which drift on does it talk itself into a wrong dictionary?
# - **Which pairs?** If you may choose the codes, which $k$ repair most?
#
# ## Readings
#
# Those of the [brief](unroll_drift.ipynb), and
#
# - **Hastie, Montanari, Rosset and Tibshirani (2022)**, *Surprises in high-dimensional ridgeless
#   least squares interpolation*, Ann. Stat. 50(2). Look for what happens when $k$ is close to
#   $n$, and set the ridge to $10^{-4}$ in section 2.
