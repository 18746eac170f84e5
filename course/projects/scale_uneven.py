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
# # Machines that are not alike
#
# > **Question.** A chain of layers is spread over machines of different speed. How much must a plan
# > know of them, and in which order should they stand?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | training at scale |
# | **Before you start** | chapters 41 and 42 |
# | **Time** | about a week |
# | **Baseline** | time of a step for three plans that know more or less of four machines, measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: chapter 42 cuts a chain for machines that are all alike. A laboratory has what it
# bought over the years, and in a cloud a neighbour may slow one machine down. A plan for equal
# machines then waits for the slowest. This project has been carried out once, as an example of the
# expected standard: [worked example](../projects/worked_uneven.ipynb). It leaves the third milestone
# open, and more; start there if you choose this project.

# %% tags=["setup"]
import statistics
from fractions import Fraction
from itertools import accumulate, pairwise

import matplotlib.pyplot as plt
import torch

from course.kit import figure, setup
from modular.allocation import cut_by_price, cut_evenly
from modular.pipeline import Cost, OneFOneB, simulate

_ = setup(seed=7)

# %% [markdown]
# ## The baseline, measured
#
# Twenty chains of twelve layers. The forward of a layer costs a whole number between 10 and 100,
# drawn evenly on a logarithmic axis; its backward costs twice as much. Machine $s$ has speed $v_s$ and
# computes a stage of cost $c$ in $c / v_s$. The step is 1F1B with 16 micro-batches, played on the exact
# simulator. Messages are free. Its time is told relative to all work divided by all speeds, which
# nobody can beat.

# %%
SPEEDS = (1, 2, 3, 4)  # in the order in which they stand
LAYERS, MICROS, CHAINS = 12, 16, 20


def drawn(seed, layers=LAYERS):
    """Costs of a chain: whole numbers from 10 to 100."""
    g = torch.Generator().manual_seed(seed)
    return [round(10 * 10**u) for u in torch.rand(layers, generator=g).tolist()]


def planned(chain, speeds):
    """Cut so that the slowest stage is as fast as it can be on machines of these speeds."""
    sums = [0, *accumulate(chain)]
    return cut_by_price(
        lambda s, a, b: (sums[b] - sums[a]) / speeds[s], len(chain), len(speeds)
    )


def played(chain, speeds, cuts):
    """Time of a step, relative to work divided by speeds."""
    ends = pairwise([0, *cuts, len(chain)])
    times = [
        Fraction(sum(chain[a:b]), v) for (a, b), v in zip(ends, speeds, strict=True)
    ]
    order = OneFOneB().schedule(len(speeds), MICROS)
    step = simulate(order, Cost(times, [2 * t for t in times])).makespan
    return float(step / Fraction(3 * MICROS * sum(chain), sum(speeds)))


thirds = [LAYERS * s // len(SPEEDS) for s in range(1, len(SPEEDS))]
plans = {
    "equal layers": lambda chain: thirds,
    "costs known, speeds not": lambda chain: cut_evenly(chain, len(SPEEDS)),
    "both known, this order": lambda chain: planned(chain, SPEEDS),
}
chains = [drawn(seed) for seed in range(CHAINS)]
rows = {
    name: [played(chain, SPEEDS, cuts(chain)) for chain in chains]
    for name, cuts in plans.items()
}

# %%
fig, ax = plt.subplots()
for place, times in enumerate(rows.values()):
    ax.plot([place] * CHAINS, times, "o", alpha=0.4)
    ax.plot(place, statistics.median(times), "k_", ms=30, mew=2)
ax.axhline(1, color="k", lw=1, ls=":")
ax.set_xticks(range(len(rows)), [name.replace(", ", ",\n") for name in rows])
ax.set(xlabel="what the plan knows", ylabel="time of a step, ideal = 1")
ax.set(ylim=(0, None), xlim=(-0.5, 2.5))
figure(
    fig,
    caption="Each dot a chain, bars their medians. Dotted: all work divided by all speeds.",
    alt="Three columns of dots. Plans that do not know the speeds lie around 2.4, from 1.6 to 3.6; "
    "the plan that knows them lies mostly between 1.2 and 1.4, with three dots near two.",
)
print("time of a step, ideal = 1     median   smallest   largest")
for name, times in rows.items():
    print(
        f"{name:28s} {statistics.median(times):7.2f} {min(times):10.2f} {max(times):9.2f}"
    )

# %% [markdown]
# **The baseline to beat** is the last row, for these four machines, in an order of your choice. The
# median of the ratio, chain by chain, is what counts; the dotted line is what you cannot pass.
#
# ## Three milestones
#
# 1. **The price of not knowing.** Before you run anything, write down what a step takes when a plan
#    takes all machines for equal, as a formula of the speeds. Then measure it for other speeds. What
#    if speeds are known with an error? And is a slow machine better left out?
# 2. **The order.** Four machines have 24 orders. How much is between the best and the worst, and
#    why? Find a rule that chooses an order without playing all of them, and compare it with one drawn at
#    random.
# 3. **Memory.** Stage $s$ of 1F1B holds $D - s$ micro-batches (chapter 42). Give the machines memories:
#    equal ones, then small ones to the fast. Which order is best now? Where is a plan that is
#    slower the only one that fits?
#
# ## Traps
#
# - The largest stage is not the step (chapter 42): play every plan that you compare.
# - Whoever tries 24 orders and reports the best has searched 24 times. Let the other side search as well.
# - With twelve layers and a machine that should get one tenth of the work there are few choices. How
#   much of what you see is only that?
# - The same chain for both plans: compare ratios, not two medians.
# - Chains drawn here have no structure. A transformer has equal blocks and a dear last layer.
#
# ## What a good answer contains
#
# A formula with its range; ratios over at least twenty chains with their spread; the cheapest rule
# that comes close to a full search, and what it costs; leaving machines out as a baseline; a control in
# which the order cannot matter (machines that are alike); and the assumption that would break first on
# real machines. The [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Huang and others (2019)**, *GPipe: efficient training of giant neural networks*, NeurIPS. Look
#   for what its partition balances, and what it assumes about the accelerators.
# - **Narayanan and others (2019)**, *PipeDream: generalized pipeline parallelism for DNN training*, SOSP.
#   Look for the dynamic program of the partition, and for what it knows of the machines.
# - **Park and others (2020)**, *HetPipe: enabling large DNN training on (whimpy) heterogeneous GPU clusters
#   through integration of pipelined model parallelism and data parallelism*, USENIX ATC. Look for how
#   machines are grouped, and who waits for whom.
# - **Pinar and Aykanat (2004)**, *Fast optimal load balancing algorithms for 1D partitioning*, J. Parallel
#   Distrib. Comput. 64(8). Look for bounds that make the search short.
