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
# # Learned numbers that travel
#
# > **Question.** Which of ALISTA's learned numbers may be kept when the number of measurements or the
# > density of the codes changes, and by what rule do the others follow?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | unrolled networks |
# | **Before you start** | chapters 11 to 13 |
# | **Time** | about a week |
# | **Baseline** | numbers moved as they are, and the tuned Lasso, on two changed problems: measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: chapter 13 derives the matrix of a layer from the dictionary, so that only steps
# $\gamma_k$ and thresholds $\theta_k$ are learned. If these followed from the *kind* of problem
# by a rule, nothing would be left to train. HyperLISTA has such a rule, with three numbers;
# whether those three travel, its authors do not say for all changes that matter.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import torch

from course.kit import figure, setup
from unroll import ALISTA, Recipe, SparseCoding, nmse_db, recovery_bounds, train

generator = setup(seed=2)

# %% [markdown]
# ## The baseline, measured
#
# One network is trained at home, 50 measurements and density 0.05. Its numbers are carried to two
# other problems, each with a new dictionary whose matrix is derived; there they meet a network
# trained on the spot and the Lasso at the λ that is best there.

# %%
RECIPE = Recipe(steps=120, validation=300, every=40)


def trained(problem):
    """ALISTA of 12 layers, trained for a problem."""
    net = ALISTA(problem.A, depth=12)
    train(net, problem, RECIPE, generator=generator)
    return net


def carried(net, A):
    """The numbers of a network, with the matrix of another dictionary A: (m, n)."""
    other = ALISTA(A, depth=net.depth, keep=net.keep)
    other.layers.load_state_dict(net.layers.state_dict())
    return other


home = SparseCoding.gaussian(50, 100, generator, density=0.05)
places = {
    "home": home,
    "new A, 50 rows": SparseCoding.gaussian(50, 100, generator, density=0.05),
    "70 rows": SparseCoding.gaussian(70, 100, generator, density=0.05),
    "density 0.1": SparseCoding.gaussian(50, 100, generator, density=0.1),
}
net = trained(home)
own = {"home": net}
own |= {name: trained(places[name]) for name in ("70 rows", "density 0.1")}

# %%
print("NMSE (ratio), dB    numbers from home   trained there   tuned Lasso   oracle")
for name, place in places.items():
    b, x = place.sample(500, generator)
    bounds = recovery_bounds(place, 60, generator)
    with torch.no_grad():
        moved = nmse_db(carried(net, place.A)(b), x).item()
        there = f"{nmse_db(own[name](b), x).item():.1f}" if name in own else ""
    values = f"{moved:16.1f} {there:>15s} {bounds.lasso:13.1f} {bounds.oracle:8.1f}"
    print(f"{name:18s}{values}")

# %%
fig, axes = plt.subplots(1, 2)
for name, trained_net in own.items():
    constants = trained_net.constants()
    for ax, key in zip(axes, ("gamma", "theta"), strict=True):
        ax.plot(range(1, 13), constants[key], marker=".", label=name)
axes[0].set(xlabel="layer", ylabel="step γ", xticks=[1, 4, 8, 12])
axes[1].set(xlabel="layer", ylabel="threshold θ", xticks=[1, 4, 8, 12])
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="What was learned in three places. Which of these curves are the same curve, up to a "
    "factor that you can compute?",
    alt="Two panels with three curves each over twelve layers: steps of order one, and "
    "thresholds. At home and at density 0.1 these fall slowly, with 70 rows they fall fast and rise again in the last layers.",
)

# %% [markdown]
# **The baseline to beat** is the first column of the last two rows, by a rule that trains nothing
# there. What training there gives is the second column; the third is what needs no network.
#
# ## Three milestones
#
# 1. **Which ones travel.** Carry $\gamma$, $\theta$ and the support counts one at a time, the
#    others trained on the spot. Seven ratios, seven densities, three dictionaries each. What is
#    lost by which?
# 2. **A rule.** For those that do not travel, find what they depend on: the coherence of $W$, the
#    number of non-zeros, the error at that layer. Fit the rule on some problems, try it on others
#    that you did not look at.
# 3. **Far away.** Does the rule hold at $500$ atoms, for the cosine dictionary of chapter 11, for
#    an ill-conditioned $A$?
#
# ## Traps
#
# - The right support counts depend on how many entries can be found. `keep=None` sets them from the
#   shape of $A$ and the depth (`min(n, 2 * m)` atoms count) and knows nothing of the density; at 50
#   and at 70 rows it gives the same counts.
# - A network that was trained too briefly travels badly for no deep reason. Train until longer
#   training changes less than what you compare.
# - At some ratio every method fails, the Lasso included. Show the oracle, so that one sees it.
#
# ## What a good answer contains
#
# A table of losses for each kind of number with the spread over dictionaries; a rule, as a
# formula, that was tried on problems outside its fit; the tuned Lasso and HyperLISTA beside it,
# with what their tuning cost; a control (a new dictionary of the same kind, the second row
# above). The [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Liu, Chen, Wang and Yin (2019)**, *ALISTA: analytic weights are as good as learned weights
#   in LISTA*, ICLR. Look for the theorem: which thresholds does it ask for, in terms of which
#   quantities?
# - **Chen, Liu, Wang and Yin (2021)**, *Hyperparameter tuning is all you need for LISTA*,
#   NeurIPS. Look for the formulas that replace $\theta$, momentum and support counts.
# - **Behrens, Sauder and Jung (2021)**, *Neurally augmented ALISTA*, ICLR. Look for what lets the
#   numbers follow the sample.
# - **Donoho, Maleki and Montanari (2009)**, *Message-passing algorithms for compressed sensing*,
#   PNAS 106(45). Look for how AMP sets its threshold from the error at that iteration, for every
#   ratio and density.
