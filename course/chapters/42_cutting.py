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
# # 42 · Cutting a model
#
# > **Claim.** The slowest stage decides how fast a pipeline is, so that a model is cut by cost and not by layers; the best cuts, and the layers to compute twice when memory is short, are found exactly, while data, tensor, pipeline and local training differ in what they hold, send and learn.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | say how long a step takes from the costs of the stages; add the price of messages; find the best cuts by dynamic programming; merge parts of a model; choose what to compute twice within a budget of bytes; cut a pair of matrices between machines; compare data, tensor, pipeline and local training on three axes |
# | **Before you start** | chapter 21 (locks, critical path, checkpoints); gradient descent with PyTorch; dynamic programming helps |
# | **Time** | 120 minutes |
# | **Points** | 20, in six exercises |

# %% tags=["setup"]
import math
import statistics
from dataclasses import replace
from itertools import combinations, pairwise, product

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import gelu

from course.kit import Question, figure, quiz, setup, stored
from modular.pipeline import (
    Cost,
    GPipe,
    Network,
    OneFOneB,
    coarsen,
    cut,
    plan,
    recompute_plan,
    simulate,
)
from modular.profile import profile

generator = setup(seed=42)

# %% [markdown]
# ## Cold open: three machines wait for the fourth
#
# A small language model has 14 layers: a table of vectors for 4096 words, twelve equal blocks of
# attention and dense layers, and a last layer that gives a score to every word. It is too large for
# one machine, and we have four. So we cut it into four **stages**, one for each machine, with
# nearly equal numbers of layers: 4, 4, 3 and 3.
#
# A batch is divided into $N$ **micro-batches**, which follow each other through the stages: a
# *pipeline*. A machine does a *forward* of one micro-batch, or a *backward*, which costs about twice as much.
# The order of work is **1F1B** (chapter 41): first some forwards, to fill the pipeline, then one
# forward and one backward in turns. A simulator plays this order with exact times.
#
# As a unit of time we take one million multiplications and additions of a forward pass (one MFLOP).
# They are counted, not measured, so that this notebook prints the same on every machine.


# %% tags=["given"]
class Block(nn.Module):
    """Causal attention and two dense layers, each beside a skip; (batch, 32, 64)."""

    def __init__(self, width=64, heads=4):
        super().__init__()
        self.heads = heads
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        wide = nn.Linear(width, 4 * width)
        self.dense = nn.Sequential(wide, nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h):
        parts = self.mix(self.norms[0](h)).chunk(3, dim=-1)
        split = [p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts]
        seen = nn.functional.scaled_dot_product_attention(*split, is_causal=True)
        h = h + self.out(seen.transpose(1, 2).flatten(2))
        return h + self.dense(self.norms[1](h))


scores = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 4096))
layers = [nn.Embedding(4096, 64), *(Block() for _ in range(12)), scores]
counted = profile(layers, torch.zeros(1, 32, dtype=torch.long), repeats=1)
forward = counted.flops.double() / 1e6  # of one row of 32 words
costs = replace(counted, seconds=forward, backward_seconds=2 * forward)
TIMES = (3 * forward).tolist()  # forward and backward of each layer


def played(cuts, micros, network=None, again=None):
    """Simulate a 1F1B step of the model, cut before these layers."""
    ends = list(pairwise([0, *cuts, len(layers)]))
    seconds = [float(forward[a:b].sum()) for a, b in ends]
    redone = again or [0.0] * len(ends)
    back = [2 * s + r for s, r in zip(seconds, redone, strict=True)]
    cost = Cost(seconds, back, message=0)
    return simulate(OneFOneB().schedule(len(ends), micros), cost, network)


# %%
def gantt(ax, found, ranks):
    """Draw who works when: forwards dark, backwards light and hatched."""
    for rank in range(ranks):
        for op, begin, end in found.timeline[rank]:
            first = op.kind == "forward"
            look = dict(color="C0") if first else dict(color="0.8", hatch="///")
            ax.barh(rank, float(end - begin), left=float(begin), edgecolor="k", **look)
    ax.set(ylabel="machine")
    ax.set_yticks(range(ranks))
    ax.set_axisbelow(True)
    ax.invert_yaxis()


equal_layers = [4, 8, 11]
found = played(equal_layers, micros=8)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.6))
gantt(ax, found, 4)
ax.set(xlabel="time in MFLOP of a machine")
figure(
    fig,
    caption="Four machines with nearly equal numbers of layers, eight micro-batches. Blue: "
    "forward; grey and hatched: backward.",
    alt="A chart with a row for each machine. The bars of the last machine touch each other from its "
    "first to its last. Between the bars of the other three are gaps longer than the bars "
    "themselves.",
)

# %%
print("last machine idle for less than a fifth of the time:", found.bubble[3] < 0.2)
print("every other machine idle for more than half of it:", min(found.bubble[:3]) > 0.5)

# %% [markdown]
# The last layer, with its 4096 scores, costs as much as five blocks. It stands in one stage with two
# blocks, and the other three machines wait for this stage, again and again. *Equal numbers of layers* is
# what many programs take by default.
#
# This chapter asks where to cut instead, and what else there is to decide: how many machines are worth their
# messages, what to keep in memory and what to compute twice, and whether a pipeline is the right way to
# divide this model at all.

# %% [markdown]
# ## 1. The slowest stage
#
# Layer $i$ takes $t_i$ seconds for one micro-batch, its forward and its backward together. Layers are counted
# from 0 to $n - 1$. Cuts $c_1 < c_2 < \dots < c_{D-1}$ are the first layers of all stages but the first, so that with
# $c_0 = 0$ and $c_D = n$ stage $s$ takes
#
# $$ \tau_s = \sum_{i = c_s}^{c_{s+1} - 1} t_i , \qquad s = 0, \dots, D - 1 . $$
#
# How long is a step with $N$ micro-batches? Let all forwards come first, then all backwards (GPipe; Huang and
# co-authors 2019). The first micro-batch has to pass all stages. After it, the others
# come out of the slowest stage one by one, and no faster. If backwards cost the same multiple of forwards in
# all stages, then
#
# $$ T = \sum_{s=0}^{D-1} \tau_s + (N - 1) \max_s \tau_s . $$
#
# Look at the two terms. The first is the cost of the whole model: **no cut changes it**. The second is $N - 1$ times the
# slowest stage. So the best cuts are those whose *slowest stage is fastest*.

# %% [markdown]
# ### Exercise 42.1 · How long a step takes
# Difficulty ●○○○○ · 2 points
#
# Write `step_time(times, cuts, micros)`: $T$ by this formula. `times` are the $t_i$, a list; `cuts` is a list of
# $D - 1$ increasing whole numbers, empty for one stage.


# %% nbgrader={"grade": false, "grade_id": "ex42-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def step_time(times, cuts, micros):
    """Return the time of a step: all stages once, then the slowest micros - 1 times.

    times: list of n numbers. cuts: list of D - 1 ints. micros: int, N. Returns a number.
    """
    ### BEGIN SOLUTION
    ends = [0, *cuts, len(times)]
    stages = [sum(times[a:b]) for a, b in pairwise(ends)]
    return sum(stages) + (micros - 1) * max(stages)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert math.isclose(step_time([1.0, 2.0, 3.0], [2], 1), 6), (
    "a single micro-batch passes all stages, one after the other: 6 seconds"
)
assert math.isclose(step_time([1.0, 2.0, 3.0], [2], 5), 6 + 4 * 3), (
    "both stages take 3 seconds: each of the other 4 micro-batches adds 3"
)
assert math.isclose(step_time([1.0, 2.0, 3.0], [1], 5), 6 + 4 * 5), (
    "cut after the first layer, the second stage takes 5 seconds"
)

# %% nbgrader={"grade": true, "grade_id": "ex42-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert math.isclose(step_time([2.0, 5.0], [], 3), 21), (
    "one stage, no cut: three times the whole model"
)
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    one = (torch.randint(1, 9, (9,), generator=g) / 4).tolist()
    where = sorted((torch.randperm(8, generator=g)[: seed + 1] + 1).tolist())
    kept, stages = list(where), [sum(one[a:b]) for a, b in pairwise([0, *where, 9])]
    played_out = simulate(
        GPipe().schedule(len(stages), 6), Cost(stages, [2 * t for t in stages])
    )
    given = [3 * t for t in one]
    value = step_time(given, where, 6)
    assert where == kept, "the list of cuts was changed"
    assert given == [3 * t for t in one], "the list of times was changed"
    assert abs(float(value) - float(played_out.makespan)) < 1e-9, (
        "the simulator, which plays every operation of GPipe, needs another time"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two cuts make three stages. Put 0 before the cuts and the number of layers behind them: then every stage lies
# between two neighbours of this list.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `itertools.pairwise(ends)` gives the neighbours. Add up the times from the one to the other.
#
# </details>
# <details><summary>Hint 3</summary>
#
# All stages once, and the largest of them $N - 1$ times.
#
# </details>

# %% [markdown]
# Is this formula, made for GPipe, any use for 1F1B? We play 1F1B with every way to cut the model in
# four, and compare each time with the formula.

# %%
every = list(combinations(range(1, 14), 3))
formula = [
    sum(TIMES) + 15 * max(sum(TIMES[a:b]) for a, b in pairwise([0, *cuts, 14]))
    for cuts in every
]
plays = [float(played(cuts, 16).makespan) for cuts in every]
ratio = [p / f for p, f in zip(plays, formula, strict=True)]
print("ways to cut 14 layers in four:", len(every))
print(f"1F1B over the formula: from {min(ratio):.2f} to {max(ratio):.2f}")
fastest = plays.index(min(plays))
print(
    "the fastest way has the fastest slowest stage:", formula[fastest] == min(formula)
)

# %% [markdown]
# For 1F1B it is not exact, and not far off; and here it finds the fastest way of all 286. Trying all ways is no
# method, though: 100 layers in 8 stages have 15 billion of them.

# %% [markdown]
# ## 2. The price of distance
#
# A stage does not only compute. It sends its output to the next machine, and a gradient of the same size comes
# back. The plainest model of a network (Hockney 1994) has two numbers: a message of $z$ bytes takes
#
# $$ \alpha + \beta z $$
#
# seconds. $\alpha$ is the **latency**, the time of an empty message; $1 / \beta$ is the **bandwidth**. Where a cut costs
# little depends on the layers: $z_i$, what layer $i$ hands on, differs within a model. A convolutional
# network hands on much at its start and little at its end.
#
# If a machine can do nothing else while it sends, the **price** of stage $s$ is its work, and what it sends: the state to the
# stage after it, and the gradient to the stage before it. That gradient has the size of what *that*
# stage had handed on:
#
# $$ p_s = \tau_s
#   + \underbrace{[s < D - 1]\,(\alpha + \beta z_{c_{s+1} - 1})}_{\text{state, forward}}
#   + \underbrace{[s > 0]\,(\alpha + \beta z_{c_s - 1})}_{\text{gradient, back}} . $$
#
# (A bracket is 1 if what it says is true, else 0.)

# %% [markdown]
# ### Exercise 42.2 · What a stage costs
# Difficulty ●●○○○ · 3 points
#
# Write `stage_prices(times, sizes, cuts, alpha, beta)`: the list of $p_0, \dots, p_{D-1}$. `sizes` are the $z_i$, one
# for each layer.


# %% nbgrader={"grade": false, "grade_id": "ex42-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def stage_prices(times, sizes, cuts, alpha, beta):
    """Return the seconds of each stage: its work, and what it sends both ways.

    times, sizes: lists of n numbers. cuts: list of D - 1 ints. Returns D numbers.
    """
    ### BEGIN SOLUTION
    ends, prices = [0, *cuts, len(times)], []
    for a, b in pairwise(ends):
        price = sum(times[a:b])
        if b < len(times):
            price += alpha + beta * sizes[b - 1]
        if a > 0:
            price += alpha + beta * sizes[a - 1]
        prices.append(price)
    return prices
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
got = [float(p) for p in stage_prices([1.0, 2.0, 3.0], [10, 20, 30], [2], 0.5, 0.1)]
assert len(got) == 2, "one cut makes two stages"
assert math.isclose(got[0], 3 + 0.5 + 2), (
    "the first stage ends with layer 1: it computes 3 seconds and sends 20 bytes"
)
assert math.isclose(got[1], 3 + 0.5 + 2), (
    "the last stage sends back a gradient as large as its input, 20 bytes, and no state"
)

# %% nbgrader={"grade": true, "grade_id": "ex42-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
alone = [float(p) for p in stage_prices([1.0, 2.0], [10, 20], [], 5.0, 1.0)]
assert alone == [3.0], "a single stage sends nothing"
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    t, z = (torch.rand(10, generator=g).tolist() for _ in range(2))
    where = sorted((torch.randperm(9, generator=g)[:3] + 1).tolist())
    alpha, beta = torch.rand(2, generator=g).tolist()
    kept = [*t], [*z], [*where]
    got = [float(p) for p in stage_prices(t, z, where, alpha, beta)]
    assert kept == (t, z, where), "a list was changed: times, sizes or cuts"
    assert len(got) == 4, "three cuts make four stages"
    a, b, c = where
    expected = [
        sum(t[:a]) + alpha + beta * z[a - 1],
        sum(t[a:b]) + 2 * alpha + beta * (z[a - 1] + z[b - 1]),
        sum(t[b:c]) + 2 * alpha + beta * (z[b - 1] + z[c - 1]),
        sum(t[c:]) + alpha + beta * z[c - 1],
    ]
    for s, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert abs(one - other) < 1e-12, (
            f"stage {s} of 4 has another price: does it send both ways if it has two "
            "neighbours, each message with its own latency and the size at that cut?"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The first stage has no stage before it, the last has none after it. All others send two messages for each
# micro-batch.
#
# </details>
# <details><summary>Hint 2</summary>
#
# What crosses a cut before layer $c$ is the output of layer $c - 1$, and the gradient with respect to it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# For a stage from layer `a` up to `b`: add `alpha + beta * sizes[b - 1]` if `b < n`, and
# `alpha + beta * sizes[a - 1]` if `a > 0`.
#
# </details>

# %% [markdown]
# ### The best cuts
#
# Which cuts make the largest price smallest? Suppose we knew how to cut the first $j$ layers into $d - 1$ stages, for
# every $j$. Then the best way to cut the first $i$ layers into $d$ stages has a last stage that begins at some $j$, and before
# it the best way for $j$ layers. Write $V_d(i)$ for the largest price of the best way. Then
#
# $$ V_d(i) = \min_{j < i} \, \max\bigl( V_{d-1}(j), \; p(d - 1, j, i) \bigr), \qquad V_0(0) = 0, \quad
#   V_0(i) = \infty \text{ for } i > 0, $$
#
# where $p(s, j, i)$ is the price of stage $s$ if it has the layers from $j$ up to, and without, $i$. This is **dynamic
# programming**: each of about $D n$ values is computed once, from at most $n$ others. The price may be
# *infinite*: a stage that does not fit into the memory of its machine is forbidden in that way.

# %% [markdown]
# ### Exercise 42.3 · Where to cut
# Difficulty ●●●○○ · 4 points
#
# Write `best_cuts(price, n, stages)`: a list of `stages - 1` cuts for which the largest price is as small as can be.
# `price(s, start, end)` is given, a function. No stage is empty. If several ways are best, return any of them. Ask for no more
# than `stages * n * n` prices.


# %% nbgrader={"grade": false, "grade_id": "ex42-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_cuts(price, n, stages):
    """Return the cuts whose dearest stage is cheapest.

    price: (stage, start, end) -> number, perhaps infinite. n, stages: ints.
    Returns a list of stages - 1 increasing ints.
    """
    ### BEGIN SOLUTION
    best = {0: (0.0, [])}  # largest price and starts of stages, by number of layers
    for s in range(stages):
        after = {}
        for end in range(s + 1, n + 1):
            for start, (value, starts) in best.items():
                if start < end:
                    worst = max(value, price(s, start, end))
                    if end not in after or worst < after[end][0]:
                        after[end] = worst, [*starts, start]
        best = after
    return best[n][1][1:]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-3-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
t = [1.0, 1.0, 1.0, 9.0]
got = list(best_cuts(lambda s, a, b: sum(t[a:b]), 4, 2))
assert got == [3], "the layer that costs 9 deserves a machine of its own: cut before it"
t = [5.0, 1.0, 1.0, 1.0, 5.0]
got = list(best_cuts(lambda s, a, b: sum(t[a:b]), 5, 3))
assert got == [1, 4], "two dear layers at the ends, three cheap ones between them"
got = list(best_cuts(lambda s, a, b: (s + 1) * (b - a), 9, 2))
assert got == [6], "the price may depend on the stage: here the second is twice as slow"

# %% nbgrader={"grade": true, "grade_id": "ex42-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert list(best_cuts(lambda s, a, b: 1.0, 3, 3)) == [1, 2], "no stage is empty"
### BEGIN HIDDEN TESTS
for seed in range(12):
    g = torch.Generator().manual_seed(seed)
    n, parts = 9, 1 + seed % 5
    table = torch.rand(parts, n, n + 1, generator=g)
    if seed % 3 == 0:
        work = torch.rand(n, generator=g)
        for a in range(n):
            for b in range(a + 1, n + 1):
                table[:, a, b] = work[a:b].sum() + (a > 0) * 0.1
    if seed % 4 == 2:
        table *= 1e9  # prices may be large
    if seed % 4 == 1:
        table[0, 0, 3:] = math.inf  # the first machine has room for two layers
    asked = []

    def price(s, a, b, table=table, asked=asked, most=parts * n * n):
        asked.append((s, a, b))
        assert len(asked) <= most, (
            "more than stages * n * n prices were asked for: compute each value once"
        )
        return table[s, a, b].item()

    got = [int(c) for c in best_cuts(price, n, parts)]
    ends = [0, *got, n]
    assert len(got) == parts - 1, "D stages have D - 1 cuts"
    assert all(a < b for a, b in pairwise(ends)), (
        "cuts increase and lie inside: no stage is empty"
    )

    def worst(cuts, n=n, table=table):
        return max(
            table[s, a, b].item() for s, (a, b) in enumerate(pairwise([0, *cuts, n]))
        )

    least = min(worst(cuts) for cuts in combinations(range(1, n), parts - 1))
    assert worst(got) <= least + 1e-12, (
        "there is a way whose dearest stage is cheaper; all were tried"
    )
g = torch.Generator().manual_seed(99)
work, asked = [0.0, *torch.rand(40, generator=g).cumsum(0).tolist()], []


def counted_price(s, a, b):
    asked.append(s)
    assert len(asked) <= 8 * 40 * 40, (
        "40 layers, 8 stages: too many prices were asked for; do not try all ways"
    )
    return work[b] - work[a]


got = [int(c) for c in best_cuts(counted_price, 40, 8)]
bound = max(work[b] - work[a] for a, b in pairwise([0, *got, 40]))
low, high = 0.0, work[-1]
for _ in range(60):  # the least bound within which stages, filled greedily, are enough
    middle, filled, start = (low + high) / 2, 1, 0
    for end in range(1, 41):
        if work[end] - work[start] > middle:
            filled, start = filled + 1, end - 1
        if work[end] - work[end - 1] > middle:
            filled = 99
    low, high = (low, middle) if filled <= 8 else (middle, high)
assert bound <= high + 1e-9, "40 layers in 8 stages: the slowest stage can be faster"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep, for every number of layers, the best way so far to cut them into $d$ stages: its largest price, and its cuts.
# Go from $d$ stages to $d + 1$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A way of $d$ stages for `end` layers is a way of $d - 1$ stages for `start` layers, and one more stage from `start` to
# `end`. Try all starts.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `worst = max(value_before, price(s, start, end))`, and of all starts the least. Prices that are infinite need no
# special case. The cuts are the starts of all stages but the first.
#
# </details>

# %% [markdown]
# ## 3. Merging parts
#
# How *many* stages should there be? By the formula of section 1, one more stage cannot be slower if messages are free. They are not. So one may
# begin with many small parts, and merge neighbours. The question is that of Akintoye and co-authors (2023), who divide
# a network by layers over machines and merge parts again. **We could read their abstract, and not their rule.** What follows is a rule of our own,
# and not their algorithm.
#
# The **critical path** of a step is its longest chain of operations that wait for each other (chapter 21); its length is the
# time of the step. Our rule: of all pairs of neighbours, merge the pair that leaves the shortest critical path; stop
# when every merger would make it longer. Such a rule is **greedy**: it takes the best next move, and never takes one back.

# %% [markdown]
# ### Exercise 42.4 · Merge while it costs nothing
# Difficulty ●●●○○ · 4 points
#
# Write `merged(parts, span)`. At the start each of the `parts` parts is a stage, so that the cuts are
# `[1, 2, ..., parts - 1]`. `span(cuts)` is given: the length of the critical path of these cuts. In each round, try to
# leave out each cut; take the shortest span, of equal ones that of the earliest cut. If it is no longer than the span now, go on with
# it, otherwise stop. Return the list of cuts that are left. Do not change a list that you have given to `span`.


# %% nbgrader={"grade": false, "grade_id": "ex42-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def merged(parts, span):
    """Leave out cuts, one at a time, as long as the critical path does not grow.

    parts: int. span: list of cuts -> number. Returns a list of cuts.
    """
    ### BEGIN SOLUTION
    cuts = list(range(1, parts))
    now = span(cuts)
    while cuts:
        tries = [cuts[:i] + cuts[i + 1 :] for i in range(len(cuts))]
        spans = [span(fewer) for fewer in tries]
        if min(spans) > now:
            break
        now = min(spans)
        cuts = tries[spans.index(now)]
    return cuts
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-4-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert list(merged(6, lambda cuts: len(cuts))) == [], (
    "each merger makes the span shorter: one stage is left"
)
assert list(merged(5, lambda cuts: -len(cuts))) == [1, 2, 3, 4], (
    "each merger makes the span longer: nothing is merged"
)
assert list(merged(4, lambda cuts: 2 not in cuts)) == [2], (
    "a merger that leaves the span as it is is made; the cut at 2 must stay"
)

# %% nbgrader={"grade": true, "grade_id": "ex42-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert list(merged(1, lambda cuts: 0.0)) == [], "one part has no cuts"
### BEGIN HIDDEN TESTS
assert list(merged(5, lambda cuts: abs(len(cuts) - 2))) == [3, 4], (
    "down to two cuts; of equal spans the one without the earliest cut is taken"
)
known = {(1, 2): 6, (2,): 5, (1,): 3, (): 9}
assert list(merged(3, lambda cuts: known[tuple(cuts)])) == [1], (
    "two mergers help: take the one that leaves the shortest span, not the first"
)
for scale in (1e-6, 1e9):
    assert list(merged(3, lambda cuts, c=scale: c * known[tuple(cuts)])) == [1], (
        "the unit of time makes no difference: spans may be small, large, and no ints"
    )
assert list(merged(7, lambda cuts: 5)) == [], "all spans are equal: go on to the end"
for seed in range(8):
    g = torch.Generator().manual_seed(seed)
    n = 3 + seed % 4
    f = torch.randint(1, 9, (n,), generator=g).tolist()
    z = torch.randint(0, 4, (n,), generator=g).tolist()
    far = Network(alpha=int(torch.randint(0, 9, (), generator=g)), beta=1)
    seen = []

    def span(cuts, n=n, f=f, z=z, far=far, seen=seen):
        seen.append((cuts, list(cuts)))
        ends = list(pairwise([0, *cuts, n]))
        sums = [sum(f[a:b]) for a, b in ends]
        cost = Cost(sums, [2 * t for t in sums], message=[z[b - 1] for _, b in ends])
        return simulate(OneFOneB().schedule(len(ends), 6), cost, far).makespan

    got = [int(c) for c in merged(n, span)]
    assert all(list(given) == then for given, then in seen), (
        "a list of cuts was changed after it had been given to span"
    )
    expected = coarsen(Cost(f, [2 * t for t in f], message=z), n, 6, far)
    assert got == expected, (
        "other cuts are left: in each round all mergers are tried, the shortest is "
        "compared with the span of now, and equal is good enough"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A round: make all lists with one cut less, ask for the span of each, look at the least.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Compare the least span with that of the cuts you have now, not with that of the start. `<=` goes on.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `cuts[:i] + cuts[i + 1:]` is a new list without cut `i`; `spans.index(min(spans))` is the earliest of the least.
#
# </details>

# %% [markdown]
# Now let the machines move apart. All 14 layers of our model begin as stages of their own; the latency $\alpha$ is told in
# forwards of a block.

# %%
BLOCK = float(forward[1])
alone = float(played([], 16).makespan)
print("latency   14 stages   merged   stages left   (time of a step, one machine = 1)")
for alpha in (0, 1, 4, 16, 32):
    network = Network(alpha=alpha * BLOCK)
    cost = Cost(forward.tolist(), (2 * forward).tolist(), message=0)
    left = coarsen(cost, 14, 16, network)
    spans = [float(played(c, 16, network).makespan) for c in (range(1, 14), left)]
    print(
        f"{alpha:7}   {spans[0] / alone:9.2f}   {spans[1] / alone:6.2f}   {len(left) + 1:11}"
    )

# %% [markdown]
# Look at the first line. Nothing is paid for messages, and yet four machines are as fast as fourteen! The layer of scores
# alone takes as long as five blocks. No number of machines makes the step faster than that layer lets it be. This is
# Amdahl's law once more (chapter 21). In the last line fourteen machines need more than twice the time of one, and the rule merges everything.

# %% [markdown]
# ## 4. What to compute twice
#
# A machine must hold what autograd keeps of each micro-batch until its backward. With 1F1B, stage $s$ of $D$ holds
# $D - s$ micro-batches at a time. The first stage holds $D$ of them, the last only one.
#
# If that is too much, a layer may be *done again*: keep its input, throw away the rest, and repeat its forward when its
# backward begins (chapter 21, checkpoints). That costs the layer's forward seconds $F_i$, and saves bytes. Write $a_i$ for what
# autograd keeps of layer $i$, and $b_i$ for the bytes of its input, both for one micro-batch. If the layers in a set $R$ are done again,
# and $w$ micro-batches are held at a time, the stage needs
#
# $$ M(R) = w \Bigl( \sum_{i \notin R} a_i + \sum_{i \in R} b_i \Bigr) + \max_{i \in R} a_i $$
#
# bytes. The last term, zero if $R$ is empty, is room for one layer that is being done again. We look for the set $R$ with the least
# $\sum_{i \in R} F_i$ for which $M(R)$ is within the budget. This is a **knapsack** problem: things with a value (seconds that are not
# spent twice) and a weight (bytes) are packed into a bag of limited weight. To take the best value per weight first is not
# always best, since things cannot be cut.

# %% [markdown]
# ### Exercise 42.5 · Within the budget
# Difficulty ●●●●○ · 4 points
#
# Write `layers_again(seconds, saved, inputs, held, budget)`: the sorted list of the layers of a stage to do again, with
# the least total of seconds for which $M(R)$ is at most `budget`; `None` if no set fits. `seconds`, `saved` and
# `inputs` are lists of $F_i$, $a_i$ and $b_i$; `held` is $w$. A stage has at most ten layers: you may try every set. Of equally good
# sets return any. An input may be larger than what is saved.


# %% nbgrader={"grade": false, "grade_id": "ex42-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def layers_again(seconds, saved, inputs, held, budget):
    """Return the layers that are cheapest to do again so that the stage fits.

    seconds, saved, inputs: lists of n numbers. held: int. budget: number.
    Returns a sorted list of ints, or None.
    """
    ### BEGIN SOLUTION
    best = None
    for chosen in product((False, True), repeat=len(seconds)):
        rows = zip(saved, inputs, chosen, strict=True)
        each = sum(x if redo else a for a, x, redo in rows)
        redone = [i for i, redo in enumerate(chosen) if redo]
        room = max((saved[i] for i in redone), default=0)
        price = sum(seconds[i] for i in redone)
        if held * each + room <= budget and (best is None or price < best[0]):
            best = price, redone
    return None if best is None else best[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-5-visible", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
none = layers_again([1, 1], [10, 10], [2, 2], 3, 60)
assert none is not None and list(none) == [], (
    "3 times 20 bytes fit into 60: nothing is done again, an empty list"
)
second = layers_again([5, 1], [10, 10], [2, 2], 3, 50)
assert second is not None and list(second) == [1], (
    "one layer is enough, 3 * (10 + 2) + 10 = 46; the one that costs 1 second"
)
assert layers_again([5, 1], [10, 10], [2, 2], 3, 20) is None, (
    "even with both layers done again, 3 * (2 + 2) + 10 = 22 bytes are needed"
)

# %% nbgrader={"grade": true, "grade_id": "ex42-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
none = layers_again([5, 3, 3], [9, 5, 5], [0, 0, 0], 1, 19)
assert none is not None and list(none) == [], "19 bytes fit into 19"
### BEGIN HIDDEN TESTS
kinds = set()
for seed in range(40):
    g = torch.Generator().manual_seed(seed)
    n = 2 + seed % 5
    f, a, x = (torch.randint(0, 9, (n,), generator=g).tolist() for _ in range(3))
    if seed % 2:
        x = [v // 3 for v in x]
    if seed % 3:
        f = [v / 8 for v in f]  # seconds need not be whole
    w = 1 + seed % 4
    budget = int(torch.randint(4, 1 + w * sum(a) + 4, (), generator=g))

    def bytes_of(redone, f=f, a=a, x=x, w=w):
        each = sum(x[i] if i in redone else a[i] for i in range(len(f)))
        return w * each + max([a[i] for i in redone], default=0)

    sets = [c for k in range(n + 1) for c in combinations(range(n), k)]
    fitting = [sum(f[i] for i in c) for c in sets if bytes_of(c) <= budget]
    given = list(f), list(a), list(x)
    got = layers_again(f, a, x, w, budget)
    assert given == (f, a, x), "a list was changed"
    kinds.add(got is None)
    if not fitting:
        assert got is None, "no set of layers fits: the answer is None"
        continue
    assert got is not None, "there is a set that fits: None is for when there is none"
    got = [int(i) for i in got]
    assert got == sorted(set(got)), "a sorted list of layers, each once"
    assert bytes_of(got) <= budget, (
        "the stage needs more than its budget: count the inputs of layers that are done "
        "again, w times, and room for the largest of them"
    )
    assert sum(f[i] for i in got) <= min(fitting), (
        "another set fits and is done again in fewer seconds; all sets were tried"
    )
assert kinds == {True, False}, "some stages fit and some do not"
every = layers_again([1] * 10, [9] * 10, [1] * 10, 2, 29)
assert every is not None and list(every) == list(range(10)), (
    "ten layers: 2 * 10 + 9 = 29 bytes, if all of them are done again"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Ten layers have $2^{10}$ sets. For each: does it fit, and what does it cost?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `itertools.product((False, True), repeat=n)` gives all sets. A layer counts $b_i$ if it is done again and $a_i$ if not,
# both $w$ times.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Room for one: `max((saved[i] for i in redone), default=0)`, once and not $w$ times. Keep the set of least seconds among those with
# $M(R) \le$ `budget`.
#
# </details>

# %% [markdown]
# Because stages hold different numbers of micro-batches, the same budget lets a late stage keep more. Lai and co-authors
# (2023, *Merak*) call this **stage-aware** recomputation. Here is what each stage of our model must do again if every machine may hold
# half of what the first stage would keep.

# %%
best = list(plan(costs, 4).cuts)
ends = list(pairwise([0, *best, 14]))
kept = [int(costs.saved_bytes[a:b].sum()) for a, b in ends]
most = max((4 - s) * size for s, size in enumerate(kept))
chosen = recompute_plan(costs, best, most / 2)
for s, (a, b) in enumerate(ends):
    share = len(chosen.layers[s]) / (b - a)
    print(
        f"stage {s}: holds {4 - s} micro-batches, does {share:.0%} of its layers again"
    )
print("within the budget:", max(chosen.bytes) <= most / 2)
full = [float(forward[a:b].sum()) for a, b in ends]
steps = {
    "nothing again": played(best, 16),
    "stage-aware": played(best, 16, again=list(chosen.seconds)),
    "everything again": played(best, 16, again=full),
}
for name, step in steps.items():
    slower = float(step.makespan / steps["nothing again"].makespan)
    print(f"{name:17} {slower:.2f} of the time")

# %% [markdown]
# To do everything again costs a third: a step has one forward and one backward of twice its price, and one more forward comes on
# top. Within half of the memory, the chosen layers cost a few hundredths. Two things help: late stages have room, and the
# slowest stage, the last one, does nothing again. What the others do again is partly hidden in the time they would wait in any case.

# %% [markdown]
# ## 5. Cutting inside a layer
#
# A layer that is too slow for one machine cannot be cut by a pipeline. But its matrices can. **Tensor parallelism** (Shoeybi and
# co-authors 2019, *Megatron-LM*) divides every matrix between the machines; all of them work on the same rows.
#
# Take two dense layers, $y = \varphi(x U^\top) V^\top$ with $\varphi = $ GELU. $U$ is `(hidden, n)`, $V$ is `(m, hidden)`, $x$ is
# `(batch, n)`. Give machine $r$ of $D$ some *rows* $U_r$ of the first matrix, and the *columns* $V_r$ of the second that
# belong to the same hidden units. $\varphi$ works on each hidden unit by itself. So
#
# $$ y = \sum_{r=0}^{D-1} \varphi(x U_r^\top) \, V_r^\top , $$
#
# and the machines talk only once, to add up $y$: an **all-reduce**. The other way round, columns of $U$ first, would need the sum *before*
# $\varphi$, since $\varphi(a + b) \ne \varphi(a) + \varphi(b)$, and a second sum after it.

# %% [markdown]
# ### Exercise 42.6 · Two matrices, several machines
# Difficulty ●●●●○ · 3 points
#
# Write `partial_outputs(x, up, down, machines)`: a list with what each machine computes, $\varphi(x U_r^\top) V_r^\top$, before the sum. Machine
# $r$ has the hidden units from $r h$ up to $(r + 1) h$, where $h$ is `hidden / machines`, a whole number. Gradients must flow to `x`, `up` and `down`.
# `gelu` is imported.


# %% nbgrader={"grade": false, "grade_id": "ex42-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def partial_outputs(x, up, down, machines):
    """Return the summand of each machine: its hidden units, and nothing else.

    x: (batch, n). up: (hidden, n). down: (m, hidden). machines: int.
    Returns a list of tensors (batch, m).
    """
    ### BEGIN SOLUTION
    pieces = zip(up.chunk(machines, dim=0), down.chunk(machines, dim=1), strict=True)
    return [gelu(x @ u.T) @ v.T for u, v in pieces]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex42-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
g = torch.Generator().manual_seed(1)
x, up, down = (torch.randn(s, generator=g) for s in ((5, 3), (8, 3), (2, 8)))
got = list(partial_outputs(x, up, down, 4))
assert len(got) == 4, "one summand for each machine"
assert all(one.dtype == torch.float64 for one in got), (
    "an answer is in single precision, but this chapter computes in float64: is there a "
    ".float() somewhere?"
)
assert all(one.shape == (5, 2) for one in got), "each summand has the shape of y"
assert torch.allclose(sum(got), gelu(x @ up.T) @ down.T), "together they are y"

# %% nbgrader={"grade": true, "grade_id": "ex42-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
(one,) = partial_outputs(x, up, down, 1)
assert torch.allclose(one, gelu(x @ up.T) @ down.T), "a single machine computes all"
### BEGIN HIDDEN TESTS
for seed, machines in ((2, 2), (3, 3), (4, 6)):
    g = torch.Generator().manual_seed(seed)
    x, up, down, v = (
        torch.randn(s, generator=g) for s in ((4, 3), (6, 3), (2, 6), (4, 2))
    )
    leaves = [t.clone().requires_grad_() for t in (x, up, down)]
    got = list(partial_outputs(*leaves, machines))
    for part in partial_outputs(x[:1], up, down, machines):
        assert part.shape == (1, 2), "a batch of one row is a batch, too: (1, m)"
    h = 6 // machines
    for p, part in enumerate(got):
        own = slice(p * h, (p + 1) * h)
        expected = gelu(x @ up[own].T) @ down[:, own].T
        assert torch.allclose(part, expected, rtol=0, atol=1e-12), (
            f"machine {p} of {machines} computes something else: it has its own rows of "
            "up, and the columns of down of the same hidden units, in order"
        )
        assert part.requires_grad, "no gradient flows: was something detached?"
        gx, gu, gd = torch.autograd.grad(
            (part * v).sum(), leaves, retain_graph=True, allow_unused=True
        )
        assert gx is not None and gu is not None and gd is not None, (
            "a gradient does not reach x, up or down: was something detached?"
        )
        outside = [i for i in range(6) if not p * h <= i < (p + 1) * h]
        assert gu[outside].abs().sum() == 0 and gd[:, outside].abs().sum() == 0, (
            "a machine's summand depends on matrices that another machine holds"
        )
    mine = torch.autograd.grad((sum(got) * v).sum(), leaves)
    whole = [t.clone().requires_grad_() for t in (x, up, down)]
    y = gelu(whole[0] @ whole[1].T) @ whole[2].T
    for one, other in zip(mine, torch.autograd.grad((y * v).sum(), whole), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12), (
            "the gradient of the sum is not that of the two layers: was something detached?"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which numbers does one hidden unit need? A row of `up` for its input, and a column of `down` for its output.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `chunk` cuts a tensor into equal parts along a dimension: one dimension for `up`, the other for `down`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Machine $r$ computes `gelu(x @ u.T) @ v.T` with $u = U_r$ and $v = V_r$. The sum is not yours to take.
#
# </details>

# %% [markdown]
# ## 6. Which when
#
# There are more ways to give a model to $D$ machines. All but the last compute the gradient that one machine would compute.
#
# | | each machine has | it sends, in a step |
# |---|---|---|
# | **data** (DDP) | the whole model, a share of the rows | its gradient, added up with all others |
# | **sharded data** (FSDP2, ZeRO) | a share of every matrix, a share of the rows | gathers matrices twice, shares out gradients |
# | **tensor** | a slice of every matrix, all rows | a state of all rows, four times a block |
# | **pipeline** | a stage, all rows in micro-batches | a state and a gradient, once each |
# | **local** | a stage and a head, all rows | a state, once, and no gradient |
#
# (DDP: distributed data parallel. FSDP: fully sharded data parallel; *sharded* means that every machine keeps a share. ZeRO: zero redundancy
# optimiser.) They compose, too: a grid of machines may have a stage along one axis and slices along another. PyTorch has all three
# (`torch.distributed.pipelining`, FSDP2 `fully_shard`, DTensor `parallelize_module`), and a test of this library runs each pair of them on
# $2 \times 2$ processes: the gradient is that of one process, to $10^{-12}$. Its heart is short:
#
# ```python
# mesh = init_device_mesh("cpu", (2, 1, 2), mesh_dim_names=("pipe", "data", "tensor"))
# mine = cut(blocks, cuts)[mesh.get_local_rank("pipe")]                # a stage
# for block in mine:                                                   # sliced
#     slices = {"up": ColwiseParallel(), "down": RowwiseParallel()}
#     parallelize_module(block, mesh["tensor"], slices)
# part = PipelineStage(mine, stage, 2, device, group=mesh.get_group("pipe"))
# Schedule1F1B(part, 4, loss).step(x)
# ```
#
# You can start it: `torchrun --standalone --nproc-per-node 4 tests/modular/pipeline/composed.py`. With 8 in the place of 4, all three
# are there at once.
#
# What does each send? An all-reduce of $z$ bytes between $D$ machines in a ring lets each of them send
# $2 \frac{D-1}{D} z$ bytes; to gather, or to share out, half of that. Let $P$ be the bytes of all parameters, and $A$ the bytes of a
# state of *all* rows of the batch. We count for our model, by the number of rows.


# %%
def sent(rows, machines=4):
    """Return the bytes that a machine in the middle sends in a step, of each way."""
    ring = (machines - 1) / machines
    weights = 8 * int(costs.parameters.sum())
    state = rows * int(costs.boundary_bytes[1])
    return {
        "data": 2 * ring * weights,
        "sharded data": 3 * ring * weights,
        "tensor": 12 * 4 * 2 * ring * state,
        "pipeline": 2 * state,
        "local": state,
    }


sizes = (1, 16, 256, 4096)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.2))
for (name, marker), style in zip(
    zip(sent(1), "osD^v", strict=True), ("-", "--", "-.", ":", "-"), strict=True
):
    ax.loglog(
        sizes,
        [sent(r)[name] / 2**20 for r in sizes],
        marker=marker,
        ls=style,
        label=name,
    )
ax.set(xlabel="rows of a batch", ylabel="sent by a machine in MiB")
ax.legend(fontsize=9, loc="upper left", ncols=2)
figure(
    fig,
    caption="What one of four machines sends in a step. Only two of the five do not depend on "
    "the rows.",
    alt="Bytes against rows on logarithmic axes. Data and sharded data are level lines near 13 "
    "and 20 MiB. Tensor, pipeline and local rise in proportion to the rows, tensor highest, then "
    "pipeline, local lowest; they cross the level lines one after the other.",
)

# %%
cheapest = {rows: min(sent(rows), key=sent(rows).get) for rows in sizes}
exact = {
    rows: min((n for n in sent(rows) if n != "local"), key=sent(rows).get)
    for rows in sizes
}
print("with the exact gradient, the least is sent by:", exact)

# %% [markdown]
# Many rows: divide the data. Few rows, or a model that does not fit: divide the model, by stages if it is deep, and inside a layer only
# between machines that are near.
#
# Bytes are not all. A survey of such frameworks (Nichols and co-authors 2022) measured each of them on *three axes*, with one model and
# one set of data: **throughput** (what a step costs), **memory**, and **statistical efficiency** (how much is learned from the
# same number of words). Our benchmark follows its method. A small model of letters is trained on four processes that share two cores. The cores
# cannot tell how fast four machines would be. So the first axis is CPU time of all processes, which counts the price of
# messages. The pipelines are run by `modular.pipeline.Ranks`, data parallelism by torch, local learning by `modular.Trainer`.

# %%
measured = stored("pipeline")["gpt"]
table = measured["rows"]
print("                 CPU a step   kept for backward   weights, optimiser   loss")
for name, row in table.items():
    seconds = 1000 * statistics.median(row["cpu_seconds"])
    held, state = (max(row[k]) / 2**20 for k in ("saved_bytes", "state_bytes"))
    loss = statistics.mean(row["loss"])
    print(
        f"{name:16} {seconds:7.0f} ms   {held:13.1f} MiB   {state:14.1f} MiB   {loss:.3f}"
    )
learning = measured["learning"]
print()
print("held-out loss after as many letters, three seeds")
for name in ("one loss", "losses of their own", "entropy"):
    print(f"{name:20}", ", ".join(f"{value:.2f}" for value in learning[name]))
exact_ways = [row["loss"] for name, row in table.items() if name != "local learning"]
spread = max(max(seed) - min(seed) for seed in zip(*exact_ways, strict=True))
print("five ways, the same loss: spread below 1e-5:", spread < 1e-5)
pairs = zip(learning["one loss"], learning["losses of their own"], strict=True)
print("local losses are behind in every seed:", all(one < own for one, own in pairs))

# %% [markdown]
# *Entropy* is what the source of the letters itself would lose; nobody can do better. Five ways are on the same point of the third
# axis: they compute the same gradient. They differ in what they hold and send. Local learning computes another gradient. It sends none
# back, and takes less CPU time than the pipelines. In each of three seeds it has learned a little less from the same number of letters.
# Do not read more into it: a hundred steps are few, and both are still far above the entropy. It holds more than 1F1B, since it
# was not given micro-batches.
#
# ## The library's version
#
# `modular.pipeline` has all of this. `plan` cuts with prices and a limit of memory, `coarsen` merges, `recompute_plan` chooses what to do again,
# `cut` gives the stages. It takes its costs from `modular.profile.profile`, which counts any chain of layers, or measures them on your machine.

# %%
network = Network(alpha=0.5, beta=1e-5)
found = plan(costs, 4, network=network)
sent_bytes = costs.boundary_bytes.tolist()


def whole_price(s, a, b):
    """The price of a stage of our model, as plan counts it."""
    price = sum(TIMES[a:b])
    price += (0.5 + 1e-5 * sent_bytes[b - 1]) * (b < 14)
    return price + (0.5 + 1e-5 * sent_bytes[a - 1]) * (a > 0)


by_hand = best_cuts(whole_price, 14, 4)
dearest = max(
    whole_price(s, a, b) for s, (a, b) in enumerate(pairwise([0, *by_hand, 14]))
)
print("the dearest stage costs the same:", math.isclose(dearest, found.slowest))
prices = stage_prices(TIMES, sent_bytes, list(found.cuts), 0.5, 1e-5)
print("and is the dearest of your prices:", math.isclose(max(prices), found.slowest))
for stage, (a, b) in enumerate(ends):  # the stages of section 4
    inputs = [0] * (a == 0) + sent_bytes[max(a - 1, 0) : b - 1]
    lists = [c[a:b].tolist() for c in (costs.seconds, costs.saved_bytes)]
    mine = layers_again(*lists, inputs, 4 - stage, most / 2)
    total = sum(lists[0][i] for i in mine)
    same = math.isclose(total, chosen.seconds[stage])
    print(f"stage {stage}, as much done again as by recompute_plan:", same)
words = torch.randint(4096, (2, 32), generator=generator)
stages = nn.Sequential(*cut(layers, found.cuts))
print(
    "the cut model is the model, bitwise:",
    torch.equal(stages(words), nn.Sequential(*layers)(words)),
)

# %% [markdown]
# Names of layers and cuts together are what `torch.distributed.pipelining.pipeline` wants to be told: `split_spec(names, cuts)` writes that down. The runtime is
# torch's; where to cut is yours.
#
# ## Signature result: a plan against equal layers
#
# The benchmark has played this model, and twenty chains of 14 layers with random costs, on the exact simulator: 1F1B, four
# micro-batches a machine. It stores the time of a step, relative to the work divided by the number of machines, which nobody can beat.
# **Baselines**: equal numbers of layers, and equal numbers of *parameters*, a common default. The **limit** is the best of all
# ways to cut, each of them played. **Negative controls**: cuts at random (the median of twenty), and chains whose layers are all equal, where a plan has
# nothing to gain.

# %%
record = stored("pipeline")["cuts"]
where = record["where"]
names = ("at random", "equal layers", "equal parameters", "plan", "best")
shades, hatches = ("1.0", "0.8", "0.6", "C0", "0.2"), ("..", "///", "", "", "")

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.4), sharey=True)
for i, name in enumerate(names):
    look = dict(
        width=0.16, color=shades[i], hatch=hatches[i], edgecolor="k", label=name
    )
    bars = [where["GPT"][str(D)][name] for D in (2, 3, 4)]
    axes[0].bar([x + 0.16 * (i - 2) for x in range(3)], bars, **look)
    if name != "best":
        rows = [where["uneven chains"][str(D)][name] for D in (2, 3, 4)]
        middle = [row[0] for row in rows]
        reach = [[row[0] - row[1] for row in rows], [row[2] - row[0] for row in rows]]
        bars = [x + 0.16 * (i - 1.5) for x in range(3)]
        axes[1].bar(bars, middle, yerr=reach, ecolor="0.3", **look)
for ax, title in zip(axes, ("the GPT", "random chains"), strict=True):
    ax.set_xticks(range(3), ["2", "3", "4"])
    ax.set(xlabel="machines", title=title)
    ax.axhline(1, color="k", lw=1, ls="--")
axes[0].set(ylabel="time of a step, ideal = 1", ylim=(0, 2.9))
axes[0].legend(fontsize=8.5, loc="upper left")
figure(
    fig,
    caption="A step of 1F1B with four micro-batches a machine. Right: medians of twenty chains, "
    "with their range. The dashed line is work divided by machines.",
    alt="Two groups of bars for two, three and four machines. For the GPT the bars of the plan "
    "are lower than those of equal layers and equal parameters, and as low as those of the best "
    "cuts of all. For the random chains the plan is lowest too, level with equal parameters, "
    "which there stand for equal cost. Cuts at random are highest.",
)

# %%
for D in ("2", "3", "4"):
    row = where["GPT"][D]
    shown = "   ".join(f"{name} {row[name]:.2f}" for name in names)
    print(f"GPT, {D} machines:  {shown}")
for D in ("2", "3", "4"):
    row = where["equal chains"][D]
    print(
        f"equal layers anyway, {D}: plan over equal {row['plan'] / row['equal layers']:.2f}"
    )
wins = where["GPT"]["4"]["plan"] / where["GPT"]["4"]["equal layers"]
print(
    "on four machines a planned step takes below 0.8 of equal layers' time:", wins < 0.8
)
near = all(row["plan"] < 1.02 * row["best"] for row in where["GPT"].values())
print("within two hundredths of the best of all cuts:", near)

# %% [markdown]
# The plan uses one thing that equal layers ignore: costs. On four machines that is worth a quarter of the time, and on layers that are equal
# anyway nothing. There it may even lose a hundredth: 14 layers on four machines are 4, 4, 3 and 3 of them in some order, the largest stage is
# the same in all of these orders, but the step is not. **The largest price is not the step.** It is what can be minimised
# exactly.
#
# Equal *parameters* are no substitute. The table of words has a quarter of a million parameters and no arithmetic at all.
#
# What is left above the dashed line is not the fault of the cuts. It is the filling and emptying of the pipeline, and the layer of
# scores.
#
# ### Memory and distance
#
# Two more stored tables. The first: steps with recomputation, by the bytes that every machine has. *As the first stage* does not know that
# late stages hold less. The second: what a growing latency does.

# %%
print(
    "memory   everything again   as the first stage   stage-aware   (nothing again = 1)"
)
for share in ("0.2", "0.3", "0.5", "0.8", "1.0"):
    row = record["again"][share]
    print(
        f"{float(share):6.0%}   {row['all again']:16.2f}   "
        f"{row['as the first stage']:18.2f}   {row['stage-aware']:11.2f}"
    )
aware = all(
    row["stage-aware"] <= row["as the first stage"] for row in record["again"].values()
)
print("stage-aware is slower nowhere:", aware)
print()
print("latency   14 stages   merged   best plan   (one machine = 1)")
for alpha in ("0.0", "1.0", "4.0", "16.0", "32.0"):
    row = record["distance"][alpha]
    print(
        f"{float(alpha):7.0f}   {row['all parts']:9.2f}   {row['merged']:6.2f}   "
        f"{row['best plan']:9.2f}"
    )
gap = max(row["merged"] / row["best plan"] for row in record["distance"].values())
print("merging greedily is within 2 % of the best plan:", gap < 1.02)

# %% [markdown]
# *Best plan* has tried every number of machines, with the best cuts for each. The greedy rule comes close to it, and once, at a latency
# of sixteen blocks, it is even ahead by a little: `plan` minimises the dearest stage, as if a machine could not compute while it sends, and the
# rule looks at the critical path itself.
#
# ## An experiment to change
#
# A model and a network of your own. Guess before you run.

# %%
DEPTH, WORDS = 12, 4096  # blocks; the last layer's scores
MACHINES, MICROS = 4, 16
ALPHA, BETA = 0.0, 0.0  # in forwards of a block; per byte


def planned():
    """Print a plan and its step for these settings."""
    first = [0.0] + [BLOCK] * DEPTH + [2 * 64 * WORDS * 32 / 1e6]
    n = len(first)
    far = Network(alpha=ALPHA * BLOCK, beta=BETA * BLOCK)
    size = int(costs.boundary_bytes[1])

    def price(s, a, b):
        hop = far.alpha + far.beta * size
        return 3 * sum(first[a:b]) + hop * ((a > 0) + (b < n))

    for name, cuts in (
        ("equal layers", [-(-n * s // MACHINES) for s in range(1, MACHINES)]),
        ("your cuts", best_cuts(price, n, MACHINES)),
    ):
        ends = list(pairwise([0, *cuts, n]))
        seconds = [sum(first[a:b]) for a, b in ends]
        cost = Cost(seconds, [2 * t for t in seconds], message=size)
        step = simulate(OneFOneB().schedule(MACHINES, MICROS), cost, far)
        ideal = 3 * sum(first) * MICROS / MACHINES
        print(
            f"{name:13} layers {[b - a for a, b in ends]}   {float(step.makespan) / ideal:.2f}"
        )


planned()

# %% [markdown]
# - `WORDS = 256`, then 32768: when is the plan worth nothing, and when does no plan help?
# - `MICROS = 4`, then 64: which part of what is above 1 goes away?
# - `MACHINES = 8`: is it faster than four?
# - `ALPHA = 4.0`: what does the plan do with it, and is it right?
#
# ## When it fails
#
# **The profile is wrong.** A plan is as good as its costs. We multiply the time of every layer by a random factor between
# $1/q$ and $q$, plan with the wrong times, and play the step with the right ones.

# %%
g = torch.Generator().manual_seed(7)
print("wrong by a factor up to   slower than the right plan, median and worst of 30")
for q in (1.1, 1.5, 3.0):
    lost = []
    for _ in range(30):
        factor = q ** (2 * torch.rand(14, generator=g) - 1)
        wrong = replace(
            costs, seconds=forward * factor, backward_seconds=2 * forward * factor
        )
        step = played(list(plan(wrong, 4).cuts), 16).makespan
        lost.append(float(step / played(best, 16).makespan))
    print(f"{q:24.1f}   {statistics.median(lost):.2f}   {max(lost):.2f}")
equal = float(played(equal_layers, 16).makespan / played(best, 16).makespan)
print(f"equal layers, for comparison: {equal:.2f}")

# %% [markdown]
# Ten per cent of error costs little. With a factor of three a plan may be as slow as equal layers, or slower. Measure on the machine on which
# you will train, with the batch you will train with, and look at the spread of the measurements.
#
# **One layer is the model.** If one layer has a fifth of all work, no pipeline is more than five times as fast. That layer must be
# cut inside.
#
# **Models that are no chain.** `plan` cuts a list of layers. A skip from the first layer to the last, as in a U-Net, would have to
# be sent past all stages. Weights that are used in two places, such as a table of words that also gives the scores, end up on two
# machines, and their gradients must be added. And layers that look at the whole batch, as BatchNorm does, see micro-batches
# instead: the gradient is another one.
#
# **The model of the network is too kind.** $\alpha + \beta z$ lets messages not disturb each other. On a real network two of them may share a
# cable.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "Four stages take 2, 3, 7 and 4 seconds for a micro-batch. You make the first stage twice as fast. With many micro-batches, what happens to the step?",
        choices=[
            "It is shorter by a second for each micro-batch",
            "It is shorter by one second in all, hardly to be seen",
            "It is shorter by an eighth",
        ],
        answer="5bb6c39dc4c5",
        hint="Put the numbers into the formula of section 1.",
    ),
    Question(
        "Why does the sum in the formula of section 1 not matter for where to cut?",
        choices=[
            "It is small",
            "It is the same for all cuts",
            "It is counted in the maximum already",
        ],
        answer="74c3104ccc70",
        hint="What do all stages cost together?",
    ),
    Question(
        "Messages are free. Fourteen machines are as fast as four. Why?",
        choices=[
            "There are too few micro-batches for fourteen machines",
            "The pipeline takes longer to fill",
            "One layer that cannot be cut is as slow as the slowest of the four stages",
        ],
        answer="74111626ce62",
        hint="Which stage is slowest, and how many layers does it have?",
    ),
    Question(
        "Every machine has the same memory. Where will a plan do the least again?",
        choices=[
            "In late stages, which hold fewer micro-batches",
            "In early stages, which start first",
            "In all stages alike",
        ],
        answer="77b1c7018f9b",
        hint="How many micro-batches does stage s hold with 1F1B?",
    ),
    Question(
        "You double the rows of a batch. Which way sends as much as before?",
        choices=["Pipeline", "Data", "Tensor"],
        answer="84eb259f8525",
        hint="What does each of them send: gradients of weights, or states of rows?",
    ),
    Question(
        "A colleague shows that her framework does twice as many words per second. What do you ask first?",
        choices=[
            "How many lines it has",
            "Which file system it used",
            "What memory it takes, and what the loss is after as many words",
        ],
        answer="3b6cd1ec9dc7",
        hint="The survey has three axes.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A step is $\sum_s \tau_s + (N - 1) \max_s \tau_s$: exact for GPipe, near for 1F1B. The sum is the same for all cuts, so that the slowest stage
#   decides.
# - Prices of stages contain messages, $\alpha + \beta z$, and an infinite price forbids what does not fit. Dynamic programming finds the
#   best cuts in $D n^2$ prices.
# - More machines are not always faster. Merging neighbours while the critical path does not grow finds out when to stop; our rule is
#   greedy, and not taken from a paper.
# - Stage $s$ of 1F1B holds $D - s$ micro-batches. What to compute twice is a knapsack for each stage; late stages need little of it.
# - Matrices are cut by rows and then by columns, and one sum is enough.
# - Data parallelism sends gradients of weights; pipelines and tensor parallelism send states. Five ways have the same gradient; local learning has another. Ask for
#   cost, memory and learning together.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | stage | the layers of a model that live on one machine |
# | micro-batch | one of $N$ equal parts of a batch |
# | 1F1B | order of work: when the pipeline is full, one forward and one backward in turns |
# | price of a stage | its seconds for one micro-batch, messages included |
# | latency, bandwidth | time of an empty message; bytes a second |
# | dynamic programming | solving a problem from the solutions of smaller ones, each computed once |
# | greedy | taking the best next move, and never taking one back |
# | knapsack | choosing things of most value within a weight |
# | stage-aware | with a choice of its own for each stage |
# | all-reduce | every machine has a tensor, and gets the sum of all |
# | tensor parallelism | every matrix divided between machines that see the same rows |
# | statistical efficiency | how much is learned from the same amount of data |
#
# ## Readings
#
# - **Huang and co-authors (2019)**, *GPipe*, NeurIPS. Look for how they cut: by an estimate of cost, layer by layer.
# - **Lai and co-authors (2023)**, *Merak: an efficient distributed DNN training framework with automated 3D parallelism*, IEEE TPDS
#   34(5). Look for stage-aware recomputation, and for what else they shift on the critical path.
# - **Akintoye, Han, Lloyd, Zhang, Dancey, Chen and Zhang (2023)**, *Layer-wise partitioning and merging for efficient and scalable deep
#   learning*, Future Generation Computer Systems 149. Look for their rule of merging, which we could not read, and compare it with ours.
# - **Nichols, Singh, Lin and Bhatele (2022)**, *A survey and empirical evaluation of parallel deep learning frameworks*. Look for the three
#   axes, and for which framework is ahead on which.
# - **Shoeybi and co-authors (2019)**, *Megatron-LM*. Look for where the two sums of a block are, in attention and in the dense layers.
# - **Rajbhandari, Rasley, Ruwase and He (2020)**, *ZeRO*, SC. Look for the three stages, and what each sends.
