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
# # When the dictionary drifts
#
# > **Question.** A learned solver was trained for one dictionary, and the dictionary drifts. How
# > fast does the solver go stale, and how few samples of the new one repair it?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | unrolled networks |
# | **Before you start** | chapters 11 to 13 |
# | **Time** | about a week |
# | **Baseline** | the stale network, and the stale Lasso, at a drift of 5 %: measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: sensors warm up, coils move, lenses get dirty. Nobody retrains a network each
# morning. This project has been carried out once, as an example of the expected standard: [worked
# example](../projects/worked_example.ipynb). It ends with what is still open; start there if you
# choose this project.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch

from course.kit import figure, setup
from unroll import ALISTA, Recipe, SparseCoding, fista, nmse_db, recovery_bounds, train

generator = setup(seed=1)

# %% [markdown]
# ## The baseline, measured
#
# A drift of size $\varepsilon$ turns every atom by the same angle into a random direction, $a_i'
# \propto \sqrt{1 - \varepsilon^2}\, a_i + \varepsilon\, d_i$ with $\|d_i\| = 1$, so that $\|A' -
# A\| \approx \varepsilon \|A\|$. The network never hears of it.


# %%
def drift(A, size, generator):
    """Turn every atom towards a random direction. A: (m, n), atoms of norm 1."""
    d = torch.randn(A.shape, generator=generator)
    moved = math.sqrt(1 - size**2) * A + size * d / d.norm(dim=0)
    return moved / moved.norm(dim=0)


def told(net, A):
    """Keep the learned numbers, derive the matrix anew from a dictionary A: (m, n)."""
    other = ALISTA(A, depth=net.depth, keep=net.keep)
    other.layers.load_state_dict(net.layers.state_dict())
    return other


problem = SparseCoding.gaussian(50, 100, generator, density=0.05)
net = ALISTA(problem.A, depth=16)
recipe = Recipe(steps=150, validation=300, every=50)
train(net, problem, recipe, generator=generator)
bounds = recovery_bounds(problem, 100, generator)

# %%
sizes = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2]
rows = {"ALISTA, stale": [], "Lasso, stale": [], "ALISTA, told A'": []}
for size in sizes:
    new = SparseCoding(drift(problem.A, size, generator), problem.density)
    b, x = new.sample(500, generator)
    with torch.no_grad():
        rows["ALISTA, stale"].append(nmse_db(net(b), x).item())
        rows["ALISTA, told A'"].append(nmse_db(told(net, new.A)(b), x).item())
    lasso = fista(problem.A, b, bounds.lam, tol=1e-4, restart=True).x
    rows["Lasso, stale"].append(nmse_db(lasso, x).item())

fig, ax = plt.subplots()
for (name, errors), marker in zip(rows.items(), "osv", strict=True):
    ax.plot([100 * size for size in sizes], errors, marker=marker, label=name)
ax.set(xlabel="drift, %", ylabel="NMSE (ratio), dB")
ax.legend(fontsize=8)
figure(
    fig,
    caption="The network and the Lasso go stale alike. Told the new dictionary, the network "
    "needs no training: its matrix is derived anew, its numbers stay.",
    alt="Error against drift from 0 to 20 per cent. The stale network and the stale Lasso "
    "rise together from below -39 dB to about -11 dB; the network that is told the new "
    "dictionary stays on a flat line near -44 dB.",
)
print("NMSE (ratio) in dB at a drift of 5 %")
for name, errors in rows.items():
    print(f"  {name:16s} {errors[3]:6.1f}")

# %% [markdown]
# **The baseline to beat** is the upper two numbers; the third is what you cannot expect to
# exceed. Between them lie twenty dB, and in practice nobody tells you $A'$: you get a few pairs
# $(b, x)$, or worse, only measurements $b$.
#
# ## Three milestones
#
# 1. **A law.** Write down, before you run anything, how the stale error should grow with
#    $\varepsilon$. Then measure, with five seeds. Where does your law break, and why?
# 2. **A repair from pairs.** Given $k$ pairs from the new dictionary, for $k$ from 5 to 500:
#    estimate $A'$, or fine-tune the numbers, or both. Which is better at the same $k$?
# 3. **A repair without codes.** Only measurements. The network's own codes are guesses of $x$:
#    can it lift itself? From which drift on does it get worse instead?
#
# ## Traps
#
# - Ratio and sample NMSE differ (chapter 12): say which one you print.
# - The stale Lasso uses a λ that was tuned without drift. Tune it again before you beat it.
# - A drift drawn once is one sample. The variance between drifts may exceed what you compare.
# - Test codes must not be those of the repair.
#
# ## What a good answer contains
#
# A law with its range; a curve of error against $k$ with the spread over seeds; a classical
# method given the same pairs, tuned, with its cost; a control in which nothing should change
# (drift zero, say); a sentence on what the result does not show. The
# [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Liu, Chen, Wang and Yin (2019)**, *ALISTA: analytic weights are as good as learned weights
#   in LISTA*, ICLR. Look for section 4: what they do when the dictionary is perturbed, and what
#   it costs.
# - **Herman and Strohmer (2010)**, *General deviants: an analysis of perturbations in compressed
#   sensing*, IEEE J. Sel. Top. Signal Process. 4(2). Look for how a perturbed matrix acts like
#   noise.
# - **Aharon, Elad and Bruckstein (2006)**, *K-SVD: an algorithm for designing overcomplete
#   dictionaries*, IEEE Trans. Signal Process. 54(11). Look for the dictionary update: it needs
#   codes, as you do.
# - **Aberdam, Golts and Elad (2022)**, *Ada-LISTA: learned solvers adaptive to varying models*,
#   IEEE Trans. Pattern Anal. Mach. Intell. 44(12). Look for what the network is given besides
#   $b$.
