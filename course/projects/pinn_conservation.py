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
# # What conservation buys
#
# > **Question.** For a conservation law the mass defect can be measured without knowing the solution. Does it
# > predict the error better than the training loss does?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | networks constrained by physics |
# | **Before you start** | chapters 31 and 33; 34 for the weak form |
# | **Time** | about a week |
# | **Baseline** | rank correlation of the training loss with the error: measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: who solves a new equation has no exact solution, and needs a number that says
# whether to trust a network. The loss is one, and chapter 31 shows how it lies. What flows in,
# less what flows out, must be what has gathered inside: that is physics, holds across shocks, and
# costs one integral. Whether it says more is open.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import torch
from scipy.stats import spearmanr

from course.kit import figure, setup
from pinn import HPVPINN, LevenbergMarquardt, Vanilla, solve, zoo

_ = setup(seed=6)

# %% [markdown]
# ## The baseline, measured
#
# Twelve runs on Burgers' equation, of two methods, three seeds, and two lengths. Of each: the
# training loss, the mass defect (`pinn.mass_defect`), the error.

# %%
problem = zoo.burgers(nu=0.1 / math.pi)
WEIGHTS = [1 / 128, 1, 1]  # the equation's loss: a mean over 128 tests


def by_levenberg(net, data):
    """Train the weak form by another optimiser, so that the runs differ in kind."""
    return LevenbergMarquardt(
        net.parameters(), lambda: data.residual_vector(net, WEIGHTS)
    )


methods = {
    "vanilla": (
        Vanilla(300, 30, hidden=(16, 16), resample=None),
        (15, 45),
        None,  # the method's own optimiser
    ),
    "hp-VPINN": (
        HPVPINN(
            [[-1, -0.2, 0, 0.2, 1], 2],
            degree=4,
            num_sides=30,
            hidden=(16, 16),
            hats=False,
            weights=WEIGHTS,
        ),
        (5, 15),
        by_levenberg,
    ),
}
rows = {name: [] for name in methods}


def witnesses(seed):
    """Note loss, mass defect and error of every run with a seed."""
    for name, (method, lengths, optimizer) in methods.items():
        for steps in lengths:
            run = solve(
                problem, method, optimizer=optimizer, iterations=steps, seed=seed
            )
            loss = run.history.loss[-1].item()
            rows[name].append((loss, run.mass_defect(), run.error()))


witnesses(seed=0)

# %%
witnesses(seed=1)

# %%
witnesses(seed=2)

# %% tags=["nbval-ignore-output"]
# The marks of long runs move with a processor's last digits; the next cell is compared.
table = torch.tensor([row for own in rows.values() for row in own])
fig, axes = plt.subplots(1, 2, sharey=True)
for ax, column, label in zip(axes, (0, 1), ("loss", "mass defect"), strict=True):
    for (name, own), marker in zip(rows.items(), "os", strict=True):
        own = torch.tensor(own)
        ax.loglog(own[:, column], own[:, 2], marker, label=name)
    ax.set(xlabel=label, ylabel="relative error" if not column else "")
axes[0].legend(fontsize=8)
figure(
    fig,
    caption="Twelve runs. A good witness of the error puts its marks on one rising line, whatever the method.",
    alt="Two panels on logarithmic axes, error against loss and against mass defect. Left: the "
    "squares of the hp-VPINN lie at large errors, whatever the loss; the circles of the vanilla "
    "network rise from the lower left. Right: circles and squares follow one rising band.",
)

# %%
ranks = [spearmanr(table[:, column], table[:, 2]).statistic for column in (0, 1)]
print("rank correlation with the error, twelve runs")
print(f"  training loss {ranks[0]:.1f}")
print("  mass defect above 0.9:", ranks[1] > 0.9)

# %% [markdown]
# **The baseline to beat** is the first number, by a witness that uses no exact solution. Twelve
# runs of one equation decide nothing: the second line is a hint, not an answer.
#
# ## Three milestones
#
# 1. **A fair trial.** At least forty runs: four methods (`HardPINN`, `CPINN`, weak forms with and
#    without hats), three equations with exact solutions (`zoo`), lengths from hopeless to good.
#    Within a method, and across methods: which witness ranks them right?
# 2. **A better witness.** The defect over the whole domain lets errors cancel. Take it on cells
#    (`CPINN` and `WeakForm` with hats have them), or the residual on fresh points. How many cells
#    until it predicts the error?
# 3. **Shocks.** `zoo.buckley_leverett()`, where the strong residual is no witness at all. Then:
#    does *adding* the defect to the loss lower the error, or only the defect?
#
# ## Traps
#
# - A symmetric problem conserves mass by symmetry: Burgers from $-\sin \pi x$ does. A witness
#   that is zero for the wrong reason is no witness. Try an initial value without symmetry.
# - The losses of two methods are different quantities. Across methods only ranks within a method,
#   or witnesses defined alike, may be compared.
# - A rank correlation of twelve runs has a standard error of about 0.3.
# - Once a quantity is trained for, it stops being a witness.
#
# ## What a good answer contains
#
# Rank correlations with intervals (bootstrap over runs), within and across methods; witnesses
# defined before the trial; a classical estimate as the yardstick (the difference between two
# finite-element meshes, `fem`, and its CPU seconds); a control (a witness that cannot know: the
# norm of the weights, say). The [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Jagtap, Kharazmi and Karniadakis (2020)**, *Conservative physics-informed neural networks on
#   discrete domains for conservation laws*, Comput. Methods Appl. Mech. Eng. 365. Look for
#   whether conservation is measured after training.
# - **LeVeque (2002)**, *Finite volume methods for hyperbolic problems*, Cambridge University
#   Press, chapter 12. Look for what conservation guarantees (Lax and Wendroff), and what it does
#   not.
# - **De Ryck, Mishra and Molinaro (2024)**, *wPINNs: weak physics-informed neural networks for
#   approximating entropy solutions of hyperbolic conservation laws*, SIAM Journal on Numerical
#   Analysis 62(2). Look for the quantity that does bound the error.
# - **McGreivy and Hakim (2024)**, *Weak baselines and reporting biases lead to overoptimism in
#   machine learning for fluid-related partial differential equations*, Nat. Mach. Intell. 6. Look
#   for the two rules of a fair comparison.
