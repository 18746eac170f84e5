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
# # 21 · The locks of backpropagation
#
# > **Claim.** Backpropagation makes every module wait for all others and hold its activations while it waits; losses of their own reduce both to about one part in K, if each graph is freed before the next is built, and at a price in accuracy.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | draw the timeline of a training step and compute its critical path; name the three locks and say which of them a method opens; derive the speed-up limit of a schedule; count the bytes that autograd holds; say what `detach` does and what it does not; write a training step that needs one module's memory; checkpoint by hand and place the checkpoints best |
# | **Before you start** | gradient descent with PyTorch (`nn.Module`, `backward`, `detach`); the chain rule; dynamic programming helps in the last exercise |
# | **Time** | 150 minutes |
# | **Points** | 26, in eight exercises |

# %% tags=["setup"]
import math
import weakref
from collections import Counter, namedtuple
from functools import partial
from itertools import accumulate, combinations

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import modular
from course.kit import Question, figure, quiz, setup, stored
from modular.meter import SavedTensors

generator = setup(seed=21)

# %% [markdown]
# ## Cold open: full memory, idle machines
#
# (A *cold open* is how a film begins that shows a scene before its title. Every chapter
# begins with its problem, in a picture, before any theory.)
#
# Two pictures of the most successful algorithm in machine learning. In the first we make a
# network deeper, layer by layer, and count the bytes that PyTorch holds between its forward
# and its backward pass. In the second we cut a network into four **modules**, one for each of
# four machines, and watch who works. A forward pass of a module takes one unit of time, its
# backward pass two.

# %% tags=["given"]
Task = namedtuple("Task", ["name", "worker", "cost", "after"])


def locked_tasks(K, S, f, b):
    """List what K modules do for S batches in backpropagation, in a possible order.

    A name is (kind, module, batch). "backward" computes the gradients of a module's
    weights and of its input; module 0 needs that of its weights only, "take".
    """
    tasks = []
    for s in range(S):
        for k in range(K):
            before = [("forward", k - 1, s)] if k > 0 else []
            tasks.append(Task(("forward", k, s), k, f, before))
        for k in reversed(range(K)):
            kind, cost = ("backward", b) if k > 0 else ("take", b / 2)
            before = [("backward", k + 1, s)] if k < K - 1 else []
            tasks.append(Task((kind, k, s), k, cost, before))
    return tasks


# %%
COLOURS = {"forward": "C0", "backward": "C3", "pass": "C1", "take": "C2"}
KIBIBYTE, MEBIBYTE = 2**10, 2**20


def gantt(ax, tasks, times):
    """Draw who works on what and when; the numbers are those of the batches."""
    seen = set()
    for task in tasks:
        (kind, _, batch), (start, end) = task.name, times[task.name]
        label = None if kind in seen else kind
        seen.add(kind)
        bar = dict(color=COLOURS[kind], edgecolor="w", label=label)
        ax.barh(task.worker, end - start, left=start, **bar)
        ink = "k" if kind == "backward" else "w"
        middle = dict(ha="center", va="center", color=ink, fontsize=8.5)
        ax.text((start + end) / 2, task.worker, str(batch), **middle)
    ax.set(xlabel="time in units of f", ylabel="module")
    ax.set_yticks(sorted({task.worker for task in tasks}))
    ax.set_axisbelow(True)
    ax.invert_yaxis()


def layer(width, activation=nn.Tanh):
    """One layer: (batch, width) to (batch, width)."""
    return nn.Sequential(nn.Linear(width, width), activation())


def held_bytes(depth, width=64, batch=256):
    """Bytes that autograd holds after the forward pass of a deep network."""
    net = nn.Sequential(*[layer(width) for _ in range(depth)])
    with SavedTensors(exclude=net.parameters()) as meter:
        loss = net(torch.zeros(batch, width)).square().mean()
        held = meter.now
    del loss  # it owned the graph, and the graph owned the bytes
    return held


budget = 4 * MEBIBYTE
depths = [4, 8, 16, 24, 32, 40, 48]
curve = torch.tensor([held_bytes(depth) for depth in depths])
tasks = locked_tasks(K=4, S=2, f=1.0, b=2.0)
ends = [0.0, *accumulate(task.cost for task in tasks)]
times = {task.name: ends[i : i + 2] for i, task in enumerate(tasks)}

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.0), gridspec_kw={"width_ratios": [2, 3]})
axes[0].plot(depths, curve / MEBIBYTE, marker="o", ms=4)
axes[0].axhline(budget / MEBIBYTE, color="C1", ls="--")
axes[0].text(4, 4.15, "the memory we have", color="C1", fontsize=8)
axes[0].set(xlabel="depth in layers", ylabel="held for backward in MiB", ylim=(0, 7))
gantt(axes[1], tasks, times)
axes[1].legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
figure(
    fig,
    caption="Left: what autograd holds grows with depth until it does not fit. Right: four "
    "machines train one network on two batches; at any time one of them works.",
    alt="Left, a straight line of megabytes against depth crosses a dashed budget line at "
    "about 31 layers. Right, a chart with one row per module: the forward bars "
    "of batch 0 go down the rows as a staircase, the longer backward bars come back up, then "
    "the same again for batch 1. At any time one row is busy and three are empty.",
)

# %%
for depth in (16, 32):
    print(f"depth {depth} fits:", held_bytes(depth) <= budget)
idle = 1 - sum(task.cost for task in tasks) / (4 * ends[-1])
print(f"time that the four machines spend idle: {idle:.0%}")

# %% [markdown]
# Both pictures have one cause. The gradient of a layer needs two things: the layer's own input,
# which is known in the forward pass, and the gradient of the loss with respect to its output,
# which is known only after all later layers have run forward *and* backward. Until then
# the input must be kept, and whoever owns the layer must wait.
#
# Is this a law of nature or a habit? This chapter measures what the waiting costs, in
# bytes and in time, what classical tricks save, and what one must give up to save more.

# %% [markdown]
# ## 1. Three locks, one clock
#
# Jaderberg and co-authors (2017) gave the waiting three names. A network is cut into modules
# $f_0, \dots, f_{K-1}$ with states $h_k = f_k(h_{k-1})$, where $h_{-1}$ is the data, and a loss
# at the end.
#
# - **Forward lock**: module $k$ cannot process a batch before the modules in front of it have.
# - **Backward lock**: module $k$ cannot compute its gradient before the modules behind it
#   have run forward and *backward*.
# - **Update lock**: module $k$ cannot change its weights before the modules behind
#   it have run *forward*, and so cannot start on the next batch with new weights.
#
# (The backward lock is the stronger: to have run backward, one must have run forward. The
# forward lock is harmless as soon as there is a *next* batch to work on.)
#
# The picture above obeys all three. How bad is that? The plainest measure is the
# **utilisation**: the share of the machines' time that is spent working,
#
# $$ u = \frac{\sum_{\text{spans}} (\text{end} - \text{start})}
#             {\text{number of machines} \times \text{(last end} - \text{first start)}} . $$

# %% [markdown]
# ### Exercise 21.1 · Utilisation
# Difficulty ●○○○○ · 2 points
#
# Write `utilisation(spans, workers)`. A span is a tuple `(worker, start, end)`. A machine
# that gets nothing to do at all counts as well: it is there, and paid for.


# %% nbgrader={"grade": false, "grade_id": "ex21-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def utilisation(spans, workers):
    """Share of the machines' time, from first start to last end, that is work.

    spans: list of (worker, start, end). workers: number of machines. Returns a float.
    """
    ### BEGIN SOLUTION
    work = sum(end - start for _, start, end in spans)
    first = min(start for _, start, _ in spans)
    last = max(end for _, _, end in spans)
    return work / (workers * (last - first))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
both = [(0, 0.0, 2.0), (1, 0.0, 2.0)]
assert math.isclose(utilisation(both, 2), 1.0), (
    "two machines that never wait: all of it"
)
relay = [(0, 0.0, 1.0), (1, 1.0, 2.0), (2, 2.0, 3.0)]
assert math.isclose(utilisation(relay, 3), 1 / 3), (
    "in a relay race one of three runs at a time"
)
assert math.isclose(utilisation(both, 4), 0.5), (
    "two more machines that get nothing to do are paid for as well"
)

# %% nbgrader={"grade": true, "grade_id": "ex21-1-heldout", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert utilisation([(0, 0.0, 3.0)], 1) == 1, "a single machine, a single task"
### BEGIN HIDDEN TESTS
listed = [(1, 4.0, 6.0), (0, 0.0, 3.0)]
utilisation(listed, 2)
assert listed == [(1, 4.0, 6.0), (0, 0.0, 3.0)], "the list of spans was changed"
late = [(0, 10.0, 11.0), (1, 11.0, 13.0), (0, 13.0, 14.0)]
assert math.isclose(utilisation(late, 2), 4 / 8), (
    "the clock starts with the first span, not at zero"
)
uneven = [(0, 0.0, 8.0), (1, 1.0, 2.0), (2, 2.0, 2.5)]
assert math.isclose(utilisation(uneven, 3), 9.5 / 24), (
    "spans last differently long, and the last one listed need not end last: count "
    "time, not spans"
)
assert math.isclose(utilisation(uneven[::-1], 3), 9.5 / 24), (
    "the order in which spans are listed must not matter"
)
g = torch.Generator().manual_seed(1)
for _ in range(5):
    starts = (10 * torch.rand(6, generator=g)).tolist()
    lengths = torch.rand(6, generator=g).tolist()
    spans = [
        (i, s, s + d) for i, (s, d) in enumerate(zip(starts, lengths, strict=True))
    ]
    value = utilisation(spans, 6)
    assert 0 < value <= 1, "a share lies between 0 and 1"
    slow = [(w, 60 * s, 60 * e) for w, s, e in spans]
    assert math.isclose(utilisation(slow, 6), value), "the unit of time must not matter"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Add up the lengths of all spans: that is the work. What would it be if nobody ever waited?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The time that passes is the largest end minus the smallest start, over all spans. Every
# machine could have worked that long.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The work is `sum(end - start for _, start, end in spans)`. The time that passes has the
# same kind of expression, with `max` and `min`.
#
# </details>

# %%
spans = [(task.worker, *times[task.name]) for task in tasks]
print(f"backpropagation over four machines: {utilisation(spans, 4):.2f}")

# %% [markdown]
# One in $K$, always: in a locked schedule nobody ever works at the same time as somebody else.
#
# To study other schedules we need a clock that knows who waits for whom. A schedule is a list
# of **tasks**, each with a worker, a cost and a list of tasks that must be over before it
# starts. These are the edges of a *dependency graph*. A worker does its own tasks in the
# order of the list, one at a time, each as early as it can. So
#
# $$ \text{start}(i) = \max\Big( \text{end of the worker's task before},\;
#    \max_{j \in \text{after}(i)} \text{end}(j) \Big), \qquad
#    \text{end}(i) = \text{start}(i) + \text{cost}(i) , $$
#
# and the largest end is the length of the longest path through the graph: the **critical
# path**. This recursion is a dynamic programme: one pass over the list, each number
# computed once.

# %% [markdown]
# ### Exercise 21.2 · A clock without noise
# Difficulty ●●○○○ · 3 points
#
# Write `clock(tasks)`: a dictionary from each task's name to `(start, end)`. A task has the
# fields `name`, `worker`, `cost` and `after` (a list of names). What is waited for always
# comes earlier in the list. Time starts at zero.


# %% nbgrader={"grade": false, "grade_id": "ex21-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def clock(tasks):
    """Return when every task starts and ends, {name: (start, end)}.

    tasks: list of Task(name, worker, cost, after).
    """
    ### BEGIN SOLUTION
    times, free = {}, {}
    for task in tasks:
        ready = [times[name][1] for name in task.after]
        start = max([free.get(task.worker, 0.0), *ready])
        times[task.name] = start, start + task.cost
        free[task.worker] = start + task.cost
    return times
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
kitchen = [
    Task("boil water", "stove", 8.0, []),
    Task("cut onions", "cook", 3.0, []),
    Task("cook pasta", "stove", 10.0, ["boil water"]),
    Task("fry onions", "pan", 5.0, ["cut onions"]),
    Task("wash up", "cook", 4.0, []),
    Task("serve", "cook", 1.0, ["cook pasta", "fry onions"]),
]
when = {name: tuple(span) for name, span in clock(kitchen).items()}
assert when["boil water"] == (0, 8) and when["cut onions"] == (0, 3), (
    "two workers, nothing to wait for: both start at once"
)
assert when["wash up"] == (3, 7), (
    "a worker does one thing at a time, in the list's order"
)
assert when["fry onions"] == (3, 8), "a task starts as soon as what it needs is over"
assert when["serve"] == (18, 19), "with several things to wait for, the last one counts"
assert len(when) == 6, "every task has its time"

# %% nbgrader={"grade": true, "grade_id": "ex21-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
only = clock([Task("only", 0, 2.0, [])])
assert list(only) == ["only"] and tuple(only["only"]) == (0, 2), "one task, from 0 to 2"
### BEGIN HIDDEN TESTS
for seed in range(6):
    g = torch.Generator().manual_seed(seed)
    made = []
    for i in range(12):
        chance = torch.rand(i, generator=g) < 0.25
        needs = [f"t{j}" for j in chance.nonzero()[:, 0].tolist()]
        worker = int(torch.randint(3, (), generator=g))
        cost = int(torch.randint(0, 6, (), generator=g))
        made.append(Task(f"t{i}", worker, cost, needs))
    before = [tuple(task) for task in made]
    when = clock(made)
    assert [tuple(task) for task in made] == before, "the list of tasks was changed"
    for i, task in enumerate(made):
        start, end = when[task.name]
        assert math.isclose(end - start, task.cost), "a task lasts as long as it costs"
        own = [other for other in made[:i] if other.worker == task.worker]
        limits = [when[name][1] for name in task.after]
        limits += [when[other.name][1] for other in own]
        assert start >= max([0, *limits]) - 1e-12, (
            "a task has started before its worker was free or before what it waits for "
            "was over"
        )
        assert math.isclose(start, max([0, *limits])), (
            "a task has started later than it could: only its own worker and what it "
            "waits for can hold it up"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Walk through the list once. Keep two dictionaries: the times found so far, and for each worker
# when it is free.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A worker that has done nothing yet is free at 0. The start is the maximum of the time at
# which the worker is free and of the *ends* of all tasks in `task.after`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `free.get(task.worker, 0.0)` is when the worker is free, `times[name][1]` when a task that
# is waited for is over. One `max` over all of these.
#
# </details>

# %% [markdown]
# ## 2. Unlocking
#
# Now open the locks. Give every module a small **head** that guesses the labels from $h_k$, and
# a loss of its own; at the next module's entrance the gradient is cut off. This is *decoupled
# greedy learning* (Belilovsky and co-authors 2020), one of many local methods; chapter 22 is
# about them. A module now runs forward, hands its state on, computes the gradient of its own
# weights, updates, and is ready for the next batch. Nobody behind it is asked.
#
# A compromise is *pairwise* training (chapter 23): a module's weights take the gradient of
# the **next** module's loss. It waits for one neighbour instead of all.
#
# For the costs we split a backward pass into halves, $b = \tfrac b2 + \tfrac b2$:
#
# | task | what it computes | cost |
# |---|---|---|
# | forward | $h_k$ from $h_{k-1}$ | $f$ |
# | pass | the gradient of a loss with respect to $h_{k-1}$, from that with respect to $h_k$ | $b/2$ |
# | take | the gradient with respect to the weights, and the update | $b/2$ |
# | backward | pass and take in one sweep | $b$ |
#
# For one linear layer that is exact: two matrix products of one size, where the forward pass
# has one. Hence the usual rule $b = 2f$. Heads are taken to be free, for now.


# %% tags=["given"]
def local_tasks(K, S, f, b):
    """As locked_tasks, if every module has a loss of its own."""
    tasks = []
    for s in range(S):
        for k in range(K):
            before = [("forward", k - 1, s)] if k > 0 else []
            tasks.append(Task(("forward", k, s), k, f, before))
            tasks.append(Task(("take", k, s), k, b / 2, []))
    return tasks


def pairwise_tasks(K, S, f, b):
    """As locked_tasks, if a module's weights take the gradient of the next one's loss.

    The last module has no next one, and takes its own.
    """
    tasks = []
    for s in range(S):
        for k in range(K):
            before = [("forward", k - 1, s)] if k > 0 else []
            tasks.append(Task(("forward", k, s), k, f, before))
            if k > 0:
                tasks.append(Task(("pass", k, s), k, b / 2, []))
                tasks.append(Task(("take", k - 1, s), k - 1, b / 2, [("pass", k, s)]))
        tasks.append(Task(("take", K - 1, s), K - 1, b / 2, []))
    return tasks


SCHEDULES = {"locked": locked_tasks, "pairwise": pairwise_tasks, "local": local_tasks}

# %% tags=["picture"]
fig, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 4.8))
for ax, (name, make) in zip(axes, SCHEDULES.items(), strict=True):
    tasks = make(K=4, S=4, f=1.0, b=2.0)
    times = clock(tasks)
    gantt(ax, tasks, times)
    spans = [(task.worker, *times[task.name]) for task in tasks]
    ax.set_title(f"{name}: {utilisation(spans, 4):.0%} busy", fontsize=9, loc="left")
    if name != "local":
        ax.set_xlabel("")
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
fig.legend(handles, COLOURS, ncols=4, fontsize=8, loc="outside upper center")
figure(
    fig,
    caption="Four modules, four batches, three schedules on one axis of time; the numbers "
    "are those of the batches.",
    alt="Three charts with four rows each. Locked: single bars, one after the other, until "
    "time 44. Pairwise: short groups of forward, pass and take with gaps of one unit, all "
    "rows busy at once, done at 18. Local: forward and take alternate without gaps in "
    "every row, each row starting one unit after the row above, done at 11.",
)

# %% [markdown]
# | schedule | forward lock | modules waited for, backward | modules waited for, update |
# |---|---|---|---|
# | locked | yes | all later ones | all later ones |
# | pairwise | yes | the next one | the next one |
# | local | yes | none | none |
#
# Nothing is stale in the local schedule. A state that is handed on was computed with
# the weights of its moment, just as if one machine did all the work in the order of the
# list, and the weights come out the same, bit by bit.
#
# Look at one row of each chart: how long is it from one forward bar to the next? That is the
# **period** of the schedule, the time per batch in the long run. The staircase at the left,
# where the first batch goes from module to module, is paid once: it is what remains of the
# forward lock.

# %% [markdown]
# ### Exercise 21.3 · Three critical paths
# Difficulty ●●○○○ · 3 points
#
# Find the time from the first start to the last end for $K \ge 2$ modules and $S \ge 1$
# batches, in closed form: `locked`, `pairwise` and `local`, each a function of `K`, `S`, `f`,
# `b` without any loop. Read the periods and the rest off the charts, then use `clock` to
# check yourself with other costs. No batch size, no depth: only who waits for whom.


# %% nbgrader={"grade": false, "grade_id": "ex21-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def locked(K, S, f, b):
    """Time for S batches if every module waits for all others."""
    ### BEGIN SOLUTION
    return S * (K * f + (K - 1) * b + b / 2)
    ### END SOLUTION


def pairwise(K, S, f, b):
    """Time for S batches if a module waits for the next one."""
    ### BEGIN SOLUTION
    return S * (2 * f + b) + (K - 2) * f
    ### END SOLUTION


def local(K, S, f, b):
    """Time for S batches if every module has a loss of its own."""
    ### BEGIN SOLUTION
    return S * (f + b / 2) + (K - 1) * f
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
formulas = {"locked": locked, "pairwise": pairwise, "local": local}
for name, end in (("locked", 44), ("pairwise", 18), ("local", 11)):
    assert math.isclose(formulas[name](4, 4, 1.0, 2.0), end), (
        f"{name}: not the time at which its chart ends. What is paid once per batch, and "
        "what once only?"
    )
assert math.isclose(local(4, 5, 1.0, 2.0) - local(4, 4, 1.0, 2.0), 2.0), (
    "local: one more batch costs one period, however many modules there are"
)

# %% nbgrader={"grade": true, "grade_id": "ex21-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
formulas = {"locked": locked, "pairwise": pairwise, "local": local}
for name, formula in formulas.items():
    found = formula(2, 1, 1.0, 0.0)
    assert found == 2, (
        f"{name}(K=2, S=1, f=1.0, b=0.0): one batch passes two modules, one after the "
        f"other, and gradients cost nothing; that takes 2, and yours says {found}"
    )
### BEGIN HIDDEN TESTS
cases = [(2, 1, 1.0, 2.0), (2, 5, 1.0, 3.0), (3, 2, 2.0, 1.0), (5, 7, 0.3, 0.5)]
cases += [(6, 1, 1.0, 1.0), (4, 9, 0.0, 2.0), (7, 4, 1.0, 0.0), (3, 20, 0.01, 4.0)]
g = torch.Generator().manual_seed(3)
for _ in range(20):
    K, S = (int(torch.randint(low, 12, (), generator=g)) for low in (2, 1))
    cases.append((K, S, *(3 * torch.rand(2, generator=g)).tolist()))


def critical_path(tasks):
    """Time at which the last task ends."""
    ends, free = {}, {}
    for name, worker, cost, after in tasks:
        start = max([free.get(worker, 0.0), *(ends[other] for other in after)])
        ends[name] = free[worker] = start + cost
    return max(ends.values())


for name, formula in formulas.items():
    for case in cases:
        end = critical_path(SCHEDULES[name](*case))
        assert math.isclose(formula(*case), end, abs_tol=1e-12), (
            f"{name}: the formula does not give the critical path for (K, S, f, b) = "
            f"{case}. Do K, S, f and b all enter as the chart says?"
        )
    try:
        found = formula(4.0, 3.0, 1.0, 2.0)  # range(4.0) raises TypeError
    except TypeError:
        found = math.nan
    assert math.isclose(found, formula(4, 3, 1.0, 2.0)), (
        f"{name}(4.0, 3.0, 1.0, 2.0): a closed form does not mind whether K and S are "
        "written 4 or 4.0, a loop over modules or batches does"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Follow one module, not the last one only. Locked: one thing happens after the other, so add up
# all costs of a batch; module 0 pays $b/2$. Local: the last module starts late, and then never
# waits.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Pairwise: from its own forward pass, module $k$ waits for the next one's forward and pass,
# then takes: $f + f + \tfrac b2 + \tfrac b2$ per batch. Module $K - 2$ starts at
# $(K - 2) f$, and the last module ends at the same time as it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Each is $S$ times a period plus a start. For local the period is $f + \tfrac b2$ and the
# start $(K - 1) f$; locked has no start.
#
# </details>

# %% [markdown]
# ### Why the limit is what it is
#
# For many batches only the periods count. With $b = 2f$ the local schedule is ahead of the
# locked one by
#
# $$ \frac{K f + (K - \frac12) b}{f + \frac b2} = \frac{3K - 1}{2} , $$
#
# which for four modules is $5.5$. **More than the number of machines!** Where does it come
# from? Put all modules on *one* machine and ask the clock again.

# %%
K, S = 4, 200


def span_of(tasks):
    """Time at which the last task ends."""
    return max(end for _, end in clock(tasks).values())


def on_one_machine(tasks):
    """The same tasks, all done by worker 0."""
    return [task._replace(worker=0) for task in tasks]


slow = span_of(locked_tasks(K, S, 1.0, 2.0))
alone = span_of(on_one_machine(local_tasks(K, S, 1.0, 2.0)))
fast = span_of(local_tasks(K, S, 1.0, 2.0))
print(f"local against locked, four machines:    {slow / fast:.1f} times as fast")
print(f"  of it, with a single machine already: {slow / alone:.2f}")
print(f"  and from working at the same time:    {alone / fast:.1f}")

# %% [markdown]
# So the machines contribute a factor of $K$, as they must: each works all the time, and no
# schedule can do better than that. The rest is work that is *not done*. A local module never
# computes the gradient with respect to its input, because nobody wants it.
#
# That rest is special to modules of one layer. If a module has $L$ layers, only its *first* one is spared half of its
# backward pass; the gradient still has to travel through the others. With
# $\beta = 1 - \tfrac{1}{2L}$ in place of $\tfrac12$ the limit becomes

# %%
print("layers per module   speed-up limit, K = 4, heads free   heads cost f / 4")
for L in (1, 2, 4, 16, 64):
    take = 2 * (1 - 1 / (2 * L))
    whole = 4 * 1 + 3 * 2 + take
    free, paid = whole / (1 + take), whole / (1 + take + 3 / 4)
    print(f"{L:17d} {free:30.2f} {paid:22.2f}")

# %% [markdown]
# For real modules the limit is $K$, from above; and a head that costs a quarter of a forward
# pass (three times that with its backward pass) takes it well below $K$.
#
# Nor was our locked schedule the best of its kind. A module can *pass* first, and *take* later,
# while the gradient travels on and nobody waits (Qi and co-authors 2024). The gradients are
# exact, the locks are the same.


# %%
def pass_first_tasks(K, S, f, b):
    """As locked_tasks, but modules pass first and take later."""
    tasks = []
    for s in range(S):
        for k in range(K):
            before = [("forward", k - 1, s)] if k > 0 else []
            tasks.append(Task(("forward", k, s), k, f, before))
        for k in reversed(range(K)):
            before = [("pass", k + 1, s)] if k < K - 1 else []
            if k > 0:
                tasks.append(Task(("pass", k, s), k, b / 2, before))
            tasks.append(Task(("take", k, s), k, b / 2, before))
    return tasks


better = span_of(pass_first_tasks(K, S, 1.0, 2.0))
print(f"local against pass-first, four machines: {better / fast:.1f} times as fast")

# %% [markdown]
# Against *this* baseline even one-layer modules gain a factor of $K$ and no more. A speed-up is
# a fraction. When a paper reports one, ask for its denominator.

# %% [markdown]
# ### The classical answer to idle machines
#
# There is a way to fill the gaps that changes no gradient at all: cut the batch into $M$
# **micro-batches** and let them follow each other through the modules (Huang and co-authors
# 2019, *GPipe*). All run forward, then all backward, then the weights are updated once. Each
# micro-batch costs $f/M$ and $b/M$.


# %%
def pipeline_tasks(K, M, f, b):
    """One batch in M micro-batches; here module 0 pays for a whole backward as well."""
    tasks = []
    for m in range(M):
        for k in range(K):
            before = [("forward", k - 1, m)] if k > 0 else []
            tasks.append(Task(("forward", k, m), k, f / M, before))
    for m in range(M):
        for k in reversed(range(K)):
            before = [("backward", k + 1, m)] if k < K - 1 else []
            tasks.append(Task(("backward", k, m), k, b / M, before))
    return tasks


tasks = pipeline_tasks(4, 6, 6.0, 12.0)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.2))
gantt(ax, tasks, clock(tasks))
ax.set_xlabel("time (a micro-batch takes 1 forward and 2 backward)")
figure(
    fig,
    caption="One batch as a pipeline of six micro-batches. The empty corners are called the "
    "bubble.",
    alt="Four rows. Short forward bars, numbered 0 to 5, form a parallelogram that leans to "
    "the right; the longer backward bars form one that leans to the left. Between "
    "them and in the corners there are gaps.",
)

# %%
print("micro-batches   busy   M / (M + K - 1)")
for M in (1, 4, 16, 64):
    tasks = pipeline_tasks(4, M, 1.0, 2.0)
    times = clock(tasks)
    busy = utilisation([(t.worker, *times[t.name]) for t in tasks], 4)
    print(f"{M:13d} {busy:6.2f} {M / (M + 3):17.2f}")

# %% [markdown]
# Exact gradients and nearly full use, with enough micro-batches. The price is paid in
# memory: at the turning point *all* micro-batches are held. So let us now look at memory.

# %% [markdown]
# ## 3. What backward remembers
#
# When a tensor that needs gradients passes through an operation, autograd adds a node to a
# graph and *saves* whatever the operation's derivative will need. PyTorch lets us watch:
# within
#
# ```python
# with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
#     ...
# ```
#
# each saved tensor goes through `pack(tensor)`, what that returns is stored instead, and
# `unpack` must make the tensor again when backward asks for it.
#
# To count bytes honestly takes some care, because a tensor is only a *view* of a **storage**,
# the block of memory in which the numbers lie (`tensor.untyped_storage()`, with
# `.data_ptr()`, its address, and `.nbytes()`).
#
# - One storage may be saved many times: it lies in memory once.
# - A small view of a large storage keeps the whole storage alive; and `expand` makes a large
#   view of a small one.
# - Parameters are there anyway. Mind that `nn.Linear` saves its weight *transposed*: another
#   tensor object, the same storage.

# %% [markdown]
# ### Exercise 21.4 · Count what is saved
# Difficulty ●●●○○ · 3 points
#
# Write `saved_bytes(run, parameters)`: call `run()` once and return how many bytes autograd
# saves while it runs, each storage once, parameters left out. `run` may call `backward` at
# its end: the gradients must come out right.


# %% nbgrader={"grade": false, "grade_id": "ex21-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def saved_bytes(run, parameters):
    """Bytes that autograd saves for backward while run() is running.

    run: function without arguments. parameters: tensors not to count. Returns an int.
    """
    ### BEGIN SOLUTION
    own = {p.untyped_storage().data_ptr() for p in parameters}
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(sizes.values())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x, w = torch.ones(5, 3), torch.ones(3, requires_grad=True)
assert saved_bytes(lambda: (x * w).sum(), [w]) == 5 * 3 * 8, (
    "the gradient of w needs x, 15 numbers of 8 bytes; the parameter w is there anyway"
)
assert saved_bytes(lambda: (x * w).exp().square().sum(), [w]) == 2 * 5 * 3 * 8, (
    "exp saves its result, and square saves the same tensor again: one storage"
)
assert saved_bytes(lambda: x * 2, []) == 0, "nothing needs a gradient, nothing is saved"

# %% nbgrader={"grade": true, "grade_id": "ex21-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
w = torch.ones(4, requires_grad=True)
assert saved_bytes(lambda: w.exp(), [w]) == 32, "exp saves its result, four numbers"
### BEGIN HIDDEN TESTS
for depth, width, batch in ((1, 4, 3), (3, 8, 5), (7, 5, 2)):
    torch.manual_seed(depth)
    parts = [m for _ in range(depth) for m in (nn.Linear(width, width), nn.Tanh())]
    net, x = nn.Sequential(*parts), torch.randn(batch, width, requires_grad=True)
    own = list(net.parameters())
    bytes_ = saved_bytes(lambda net=net, x=x: net(x).square().mean(), own)
    assert bytes_ == (depth + 1) * batch * width * 8, (
        "a chain of Linear and Tanh holds the input and every activation once: is the "
        "transposed weight, a view of a parameter, left out, and no storage counted twice?"
    )
    plain = torch.autograd.grad(net(x).square().mean(), own)
    net.zero_grad()
    saved_bytes(lambda net=net, x=x: net(x).square().mean().backward(), own)
    for p, g in zip(own, plain, strict=True):
        assert p.grad is not None and torch.allclose(p.grad, g, rtol=0, atol=1e-12), (
            "unpack must give back what pack was given, so that backward is right"
        )
square = nn.Linear(5, 5)
held = saved_bytes(lambda: square(torch.randn(5, 5)).tanh().sum(), square.parameters())
assert held == 2 * 5 * 5 * 8, (
    "data as large as the weights are data all the same: what tells a parameter is its "
    "storage, not its shape"
)
w = torch.ones(4, requires_grad=True)
assert saved_bytes(lambda: (torch.ones(4) * w).sum(), [w]) == 32, (
    "data with the same values as a parameter are another storage"
)
big, w = torch.ones(100, 6), torch.ones(6, requires_grad=True)
assert saved_bytes(lambda: (big[:2] * w).sum(), [w]) == 100 * 6 * 8, (
    "two rows of a tensor keep all of its storage alive"
)
wide = torch.ones(1).expand(50, 6)
assert saved_bytes(lambda: (wide * w).sum(), [w]) == 8, (
    "an expanded tensor is a large view of a single number"
)
single = torch.ones(7, 6, dtype=torch.float32)
v = torch.ones(6, dtype=torch.float32, requires_grad=True)
assert saved_bytes(lambda: (single * v).sum(), [v]) == 7 * 6 * 4, (
    "a number in single precision has four bytes"
)
calls = []
saved_bytes(lambda: calls.append((w * w).sum()), [w])
assert len(calls) == 1, "run() is to be called once"
outside = []
with torch.autograd.graph.saved_tensors_hooks(
    lambda t: (outside.append(1), t)[1], lambda t: t
):
    saved_bytes(lambda: None, [])
    w.exp()
assert outside, "hooks set by others must work again afterwards: use a with block"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Collect in a dictionary: the address of the storage is the key, its size the value. Twice the
# same key is stored once.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Compare parameters by the address of their storage too, `p.untyped_storage().data_ptr()`,
# not by `is`: a transposed weight is a new object. `pack` must return the tensor, `unpack`
# gives it back.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Within `pack`, with `storage = tensor.untyped_storage()`:
# `sizes[storage.data_ptr()] = storage.nbytes()`, unless that address is a parameter's.
#
# </details>

# %% [markdown]
# So a deep chain holds **one activation per layer**, plus the input: memory proportional to
# depth times width times batch. Which activation function? Try some before you read on.

# %%
UNIT = 32 * 16 * 8  # bytes of one activation: 32 samples, width 16, float64


def units_held(activation, depth=20):
    """Saved bytes of a deep chain, in activations."""
    torch.manual_seed(0)
    net = nn.Sequential(*[layer(16, activation) for _ in range(depth)])
    x = torch.randn(32, 16)
    run = lambda: net(x).square().mean()  # noqa: E731
    return saved_bytes(run, net.parameters()) / UNIT


names = ["Tanh", "Sigmoid", "ReLU", "GELU", "SiLU"]
counts = [units_held(getattr(nn, name)) for name in names]

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.4))
ax.bar(names, counts, color=["C0", "C0", "C0", "C1", "C1"])
for i, count in enumerate(counts):
    ax.text(i, count + 0.6, f"{count:.0f}", ha="center", fontsize=9)
ax.set(xlabel="activation function", ylabel="activations held", ylim=(0, 48))
figure(
    fig,
    caption="What a chain of twenty layers holds for backward, by activation function.",
    alt="Five bars. Tanh, sigmoid and ReLU hold 21 activations, GELU and SiLU hold 41.",
)

# %% [markdown]
# Twice the memory for a smoother ReLU! The derivative of tanh can be written with its *result*,
# $1 - h^2$, and so can that of the sigmoid and of ReLU. The result is also the input of the next
# linear layer, which saves it in any case: one storage. The derivatives of GELU and SiLU need
# their *input*, which nobody else would keep.
#
# Before anything clever: look at what is held, and why.

# %% [markdown]
# ## 4. What `detach` does and what it does not
#
# Local losses promise to shorten the graph. With `h.detach()` at a module's entrance, the graph
# ends there, and what is *reachable* from a loss is its own module. Let us first prove that no
# gradient crosses a cut, and then see whether it has saved a single byte.
#
# For the proof, ask autograd which loss **reaches** which module: loss $j$ reaches module $i$
# if its gradient with respect to the parameters of module $i$ is not zero. Let $M_{ji}$ be
# true if it does. This is the **isolation matrix**; the word means the same in chapters 22
# and 23 and in the library.


# %% tags=["given"]
def chain(seed, modules=4, depth=3, width=16, batch=32):
    """Draw modules of several layers, a head for each, and a batch x, y."""
    torch.manual_seed(seed)
    nets = [
        nn.Sequential(
            *[nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(depth)]
        )
        for _ in range(modules)
    ]
    heads = [nn.Linear(width, 10) for _ in range(modules)]
    return nets, heads, torch.randn(batch, width), torch.arange(batch) % 10


def losses_of(modules, heads, x, y, cuts):
    """Return each head's loss; the input of module k is detached for k in cuts."""
    h, losses = x, []
    for k, (module, head) in enumerate(zip(modules, heads, strict=True)):
        h = module(h.detach() if k in cuts else h)
        losses.append(cross_entropy(head(h), y))
    return losses


# %% [markdown]
# ### Exercise 21.5 · The isolation matrix
# Difficulty ●●●○○ · 3 points
#
# Write `reaches(losses, modules)`: a boolean tensor with a row per loss and a column per
# module, true where the gradient of the loss has an entry other than zero for some parameter
# of the module. A path through the graph that carries nothing but zeros has reached nobody,
# and nobody reaches frozen parameters. It is an instrument. Leave everything as it was: no
# `.grad` may appear or change, no `requires_grad` either, and the losses must still be good
# for a backward pass.
#
# `torch.autograd.grad(loss, parameters, allow_unused=True)` returns `None` for a parameter
# that is not in the graph. It refuses a loss that needs no gradient at all, frozen
# parameters, and an empty list.


# %% nbgrader={"grade": false, "grade_id": "ex21-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reaches(losses, modules):
    """Which loss reaches which module's parameters.

    losses: list of scalar tensors. modules: list of nn.Module.
    Returns a bool tensor (losses, modules).
    """
    ### BEGIN SOLUTION
    matrix = torch.zeros(len(losses), len(modules), dtype=torch.bool)
    for j, loss in enumerate(losses):
        for i, module in enumerate(modules):
            own = [p for p in module.parameters() if p.requires_grad]
            if not (own and loss.requires_grad):
                continue
            found = torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)
            matrix[j, i] = any(g is not None and bool(g.any()) for g in found)
    return matrix
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
nets, heads, x, y = chain(seed=5, modules=3)
found = reaches(losses_of(nets, heads, x, y, cuts=[]), nets)
assert found.dtype == torch.bool and found.shape == (3, 3), "true or false, 3 x 3"
assert found.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]], (
    "without a cut every loss reaches all modules up to its own: row is loss, column is "
    "module"
)
losses = losses_of(nets, heads, x, y, cuts=[1, 2])
assert torch.equal(reaches(losses, nets), torch.eye(3, dtype=torch.bool)), (
    "with every entrance cut, a loss reaches its own module only"
)
assert all(p.grad is None for net in nets for p in net.parameters()), (
    "a measurement must not leave gradients behind"
)

# %% nbgrader={"grade": true, "grade_id": "ex21-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
one = nn.Linear(2, 1)
assert reaches([one(torch.ones(1, 2)).sum()], [one]).tolist() == [[True]], (
    "its own module"
)
### BEGIN HIDDEN TESTS


def parameters_among(nets):
    """All parameters of a list of modules."""
    return [p for net in nets for p in net.parameters()]


for seed in range(2):
    nets, heads, x, y = chain(seed, modules=4, depth=2)
    for cuts in ([], [2], [1, 3], [1, 2, 3]):
        losses = losses_of(nets, heads, x, y, cuts)
        own = parameters_among(nets)
        own[1].requires_grad_(False)  # one bias of module 0 is frozen
        for p in own:
            p.grad = torch.full_like(p, 7.0)
        modes = [net.training for net in nets]
        found = reaches(losses, nets)
        assert [net.training for net in nets] == modes, (
            "a measurement must not switch a module between training and evaluation"
        )
        for j, i in ((j, i) for j in range(4) for i in range(4)):
            joined = i <= j and not any(i < cut <= j for cut in cuts)
            assert bool(found[j, i]) == joined, (
                f"cuts at {cuts}: loss {j} does {'' if joined else 'not '}reach module {i}"
            )
        try:
            again = reaches(losses, nets)
        except RuntimeError:  # PyTorch refuses a graph that is gone
            again = None
        assert again is not None and torch.equal(again, found), (
            "the second measurement differs from the first: has the graph been used up?"
        )
        assert all(p.grad is not None and bool((p.grad == 7.0).all()) for p in own), (
            "what lay in .grad before the measurement must lie there still"
        )
        assert [p.requires_grad for p in own] == [i != 1 for i in range(len(own))], (
            "a measurement must not freeze or unfreeze anything: requires_grad has changed"
        )
        sum(losses).backward()
        for p in own:
            p.grad = None
            p.requires_grad_(True)
nets[3][0][0].weight = nets[1][0][0].weight  # tied across the cuts
tied = reaches(losses_of(nets, heads, x, y, cuts=[1, 2, 3]), nets)
assert tied[3, 1] and tied[1, 3], "a shared weight belongs to both modules"
extra = [nn.Tanh(), nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3)]
h = extra[2](extra[1](extra[0](torch.ones(1, 3))))
found = reaches([h.sum(), torch.ones(1, 3).sum(), 0.0 * h.sum()], extra)
assert found[0].tolist() == [False, False, True], (
    "a module without trainable parameters is reached by nobody"
)
assert not found[1].any(), "a loss without a graph reaches nobody"
assert not found[2].any(), "a gradient of nothing but zeros has reached nobody"
entries = nn.Linear(3, 1, bias=False)
for way in ([1.0, -1.0, 0.0], [0.0, -2.0, 0.0], [1e-9, 0.0, 0.0], [0.0, 0.0, 1e-200]):
    found = reaches([(entries.weight * torch.tensor(way)).sum()], [entries])
    assert found.tolist() == [[True]], (
        f"the gradient of this loss is {way}: one entry other than zero is enough, of "
        "either sign, however small, and whatever the sum of all entries is"
    )
silent = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
found = reaches([silent(torch.zeros(1, 3)).sum()], [silent[0], silent[1]])
assert found.tolist() == [[True, True]], (
    "for data of zeros the gradient of the first weight is zero, that of its bias is not: "
    "one parameter is enough"
)
half = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
used = reaches(
    [half[1](torch.ones(1, 3)).sum(), half[0](torch.ones(1, 3)).sum()], [half]
)
assert used.tolist() == [[True], [True]], "one parameter that is reached is enough"
assert reaches([h.sum()], extra * 2).shape == (1, 6), "rows are losses, columns modules"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two loops, over losses and over modules. Ask `torch.autograd.grad`, not `backward`: it fills
# no `.grad`. Keep the graph with `retain_graph=True`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Collect the parameters with `requires_grad`; if there are none, or if the loss has
# `requires_grad` false, the entry stays false. Else it is true if *any* returned gradient is
# neither `None` nor all zeros.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The question is `torch.autograd.grad(loss, own, retain_graph=True, allow_unused=True)`, and
# `g.any()` says whether a gradient has an entry other than zero.
#
# </details>

# %% tags=["picture"]
nets, heads, x, y = chain(seed=1)
setups = {"no cut": [], "one cut forgotten": [1, 3], "every entrance cut": [1, 2, 3]}
fig, axes = plt.subplots(1, 3, figsize=(7, 2.4))
for ax, (name, cuts) in zip(axes, setups.items(), strict=True):
    ax.imshow(reaches(losses_of(nets, heads, x, y, cuts), nets), cmap="Greys", vmax=1.6)
    ax.set(title=name, xlabel="module", ylabel="loss")
    ax.set(xticks=range(4), yticks=range(4))
    ax.grid(False)
figure(
    fig,
    caption="Isolation matrices: which loss (row) reaches which module (column).",
    alt="Three 4 by 4 matrices. Without a cut the lower triangle is dark. With the cut at "
    "module 2 forgotten, the diagonal is dark, and loss 2 also reaches module 1. With every "
    "entrance cut only the diagonal is dark.",
)

# %% [markdown]
# The matrix is a certificate: it finds the one `detach` that somebody forgot, in any network,
# in one line. Now the bytes. For this we need a meter that also notices when saved tensors
# are *let go*. It hands autograd a small object in place of each tensor; when the graph dies,
# so does the object, and Python tells us.


# %% tags=["given"]
class Held:
    """What autograd stores in place of a tensor: alive as long as the graph is."""

    def __init__(self, tensor):
        self.tensor = tensor


class Meter:
    """Bytes held for backward, each storage once: now, peak, and their history."""

    def __init__(self, parameters=()):
        self.now = self.peak = 0
        self.history = [0]
        self._uses = Counter()
        self._own = {p.untyped_storage().data_ptr() for p in parameters}
        graph = torch.autograd.graph
        self._hooks = graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self):
        self._hooks.__enter__()
        return self

    def __exit__(self, *error):
        self._hooks.__exit__(*error)

    def _pack(self, tensor):
        held, storage = Held(tensor.detach()), tensor.untyped_storage()
        if storage.data_ptr() not in self._own:
            key = storage.data_ptr(), storage.nbytes()
            self._count(key, 1)
            weakref.finalize(held, self._count, key, -1)
        return held

    def _count(self, key, by):
        self._uses[key] += by
        if self._uses[key] == max(by, 0):  # the first use began, or the last one ended
            self.now += by * key[1]
            self.peak = max(self.peak, self.now)
            self.history.append(self.now)


def metered(step, parameters=()):
    """Run step() under a meter and return the meter.

    None if step() uses torch.func: that takes no hooks, and so cannot be metered.
    """
    try:
        with Meter(parameters) as meter:
            step()
    except RuntimeError as error:
        if "hooks" not in str(error):
            raise
        return None
    return meter


def parameters_of(*groups):
    """All parameters of several lists of modules."""
    return [p for group in groups for module in group for p in module.parameters()]


def end_to_end_step(modules, head, x, y):
    """Backpropagation: one loss, at the end, and no other heads."""
    cross_entropy(head(nn.Sequential(*modules)(x)), y).backward()


def detached_sum_step(modules, heads, x, y):
    """Cut every entrance, add the losses up, run backward once."""
    sum(losses_of(modules, heads, x, y, cuts=range(len(modules)))).backward()


# %%
nets, heads, x, y = chain(seed=2, modules=4, depth=6)
own = parameters_of(nets, heads)
with Meter(own) as whole:
    end_to_end_step(nets, heads[-1], x, y)
with Meter(own) as trap:
    detached_sum_step(nets, heads, x, y)
print("bytes held at most, in activations of the network")
print(f"end to end:                        {whole.peak / UNIT:5.1f}")
print(f"detach, sum, backward once:        {trap.peak / UNIT:5.1f}")

# %% [markdown]
# Nothing saved, not one byte; the heads have even added some. We have cut one long graph into
# four short ones, and then kept all four. The trap is a real one: the authors of a published
# local-learning code were
# [asked in 2022](https://github.com/loeweX/Greedy_InfoMax/issues/22) why its `detach` saved
# neither memory nor time.
#
# A saved tensor is freed when its node of the graph is freed: by `backward` (unless told to
# retain the graph), or when nothing refers to the graph any more. `detach` does neither. It
# only makes it *possible* to run backward early, for a part of the network, before the next
# part is built.

# %% [markdown]
# ### Exercise 21.6 · One module at a time
# Difficulty ●●●○○ · 4 points
#
# Write `local_step(modules, heads, x, y)`: the gradients of `detached_sum_step`, in the
# memory of a single module. Every entrance is cut, the first one, too: the data may have
# been made by somebody who asks for a gradient, and must get none. Gradients are *added* to
# `.grad`, as `backward` always does; zeroing them and updating is somebody else's job. Return
# the losses, a list of Python floats. Every module and every head runs forward once.


# %% nbgrader={"grade": false, "grade_id": "ex21-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def local_step(modules, heads, x, y):
    """Gradients of every module's own loss, one graph at a time.

    modules, heads: lists of nn.Module, heads[k] maps the state of module k to scores.
    x: (batch, n). y: (batch,), labels. Returns a list of floats.
    """
    ### BEGIN SOLUTION
    h, losses = x, []
    for module, head in zip(modules, heads, strict=True):
        h = module(h.detach())
        loss = cross_entropy(head(h), y)
        loss.backward()
        losses.append(loss.item())
    return losses
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
nets, heads, x, y = chain(seed=6, modules=4, depth=6)
own = parameters_of(nets, heads)
losses = local_step(nets, heads, x, y)
gradients = [None if p.grad is None else p.grad.clone() for p in own]
for p in own:
    p.grad = None
detached_sum_step(nets, heads, x, y)
for p, g in zip(own, gradients, strict=True):
    assert g is not None, "modules and heads all get a gradient, from their own loss"
    assert torch.allclose(g, p.grad, rtol=0, atol=1e-12), (
        "the gradients are not those of each module's own loss, a mean over the batch: "
        "where is the cut, and what goes backward?"
    )
assert len(losses) == 4, "one loss per module"
meter, trap = (
    metered(partial(step, nets, heads, x, y), own)
    for step in (local_step, detached_sum_step)
)
assert meter is None or meter.peak < 0.4 * trap.peak, (
    "more than one module's graph is held at the same time: when is it freed?"
)

# %% nbgrader={"grade": true, "grade_id": "ex21-6-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
told = local_step(
    [nn.Linear(2, 2)], [nn.Identity()], torch.ones(1, 2), torch.tensor([1])
)
assert len(told) == 1, "one module, one loss"
### BEGIN HIDDEN TESTS
for seed, (modules, depth) in enumerate([(2, 8), (4, 4), (8, 2)]):
    nets, heads, x, y = chain(seed, modules=modules, depth=depth)
    own = parameters_of(nets, heads)
    calls, early = [], []
    handles = [
        part.register_forward_hook(lambda part, *a, c=calls: c.append(part))
        for part in (*nets, *heads)
    ]
    for k in range(1, modules):
        before = parameters_of(nets[k - 1 : k], heads[k - 1 : k])
        handles.append(
            nets[k].register_forward_pre_hook(
                lambda *a, e=early, own=before: e.extend(p.grad is None for p in own)
            )
        )
    given = x.clone()
    x.requires_grad_()
    losses = local_step(nets, heads, x, y)
    for handle in handles:
        handle.remove()
    assert x.grad is None and torch.equal(x, given), (
        "the first entrance is to be cut as well: a gradient has run into the data"
    )
    assert x.requires_grad and all(part.training for part in (*nets, *heads)), (
        "the data still ask for a gradient, and modules stay in the mode they were in: "
        "cut with detach(), which makes a new tensor, and switch nothing"
    )
    assert len(calls) == 2 * modules == len({*calls}), (
        "every module and every head is to run forward once"
    )
    assert all(isinstance(loss, float) for loss in losses), (
        "losses are floats: a tensor would bring its graph along"
    )
    single, gradients = 0, [p.grad.clone() for p in own]
    meter = metered(partial(local_step, nets, heads, x, y), own)
    for p, g in zip(own, gradients, strict=True):
        p.grad = g.clone()
    assert meter is None or meter.now == 0, "after the step no graph may be left"
    assert meter is not None or not any(early), (
        "a module has run before the gradients of the one in front of it were there: its "
        "graph outlives its module"
    )
    h = x
    for net, head in zip(nets, heads, strict=True):
        with Meter(own) as one:
            h = net(h.detach())
            cross_entropy(head(h), y)
        single = max(single, one.peak)
    assert meter is None or meter.peak <= 1.2 * single, (
        "the peak is more than one module with its head: a graph outlives its module"
    )
    expected = [float(v) for v in losses_of(nets, heads, x, y, cuts=range(modules))]
    assert all(map(math.isclose, losses, expected)), "not each module's loss, in order"
    local_step(nets, heads, x, y)
    for p, g in zip(own, gradients, strict=True):
        assert torch.allclose(p.grad, 2 * g), (
            "gradients are added to .grad, as backward does: two steps, twice the gradient"
        )
    for i in range(modules):
        parts = parameters_of(nets[i : i + 1], heads[i : i + 1])
        loss = losses_of(nets, heads, x, y, cuts=range(modules))[i]
        alone = torch.autograd.grad(loss, parts)
        for p, g in zip(parts, alone, strict=True):
            assert torch.allclose(p.grad, 2 * g, rtol=0, atol=1e-12), (
                f"module {i} has taken another loss's gradient than its own"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Build the graph of one module and its head, run its backward, and only then go on to the next.
# The state is all that the next module needs.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Cut at the *entrance* of the module, `module(h.detach())`, so that its own head still
# reaches it. Append `loss.item()`, a number, not the loss.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `loss.backward()` stands *inside* the loop: it fills the gradients of one module and its
# head, and frees their graph before the next module runs.
#
# </details>

# %%
nets, heads, x, y = chain(seed=2, modules=4, depth=6)
own = parameters_of(nets, heads)
with Meter(own) as freed:
    local_step(nets, heads, x, y)
meters = {
    "end to end": whole,
    "detach, sum, one backward": trap,
    "freed one by one": freed,
}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.0))
for name, meter in meters.items():
    held = torch.tensor(meter.history) / UNIT
    ax.plot(torch.linspace(0, 1, len(held)), held, label=name)
ax.set(
    xlabel="progress of the step (tensors saved and freed)",
    ylabel="activations held",
    ylim=(0, 37),
)
ax.legend(fontsize=8, ncols=3, loc="upper center")
figure(
    fig,
    caption="Bytes held during one training step of 24 layers in four modules. Same cuts, same "
    "gradients for the dashed and the dash-dotted line.",
    alt="Activations held against progress. End to end: a triangle up to about 26. With "
    "detach and one backward: a slightly higher triangle. Freed one by one: four "
    "teeth, each up to about 8.",
)

# %%
for name, meter in meters.items():
    print(f"{name:27s} peak {meter.peak / UNIT:5.1f} activations")
print("at most a third of end to end:", freed.peak <= whole.peak / 3)

# %% [markdown]
# Four modules, a quarter of the layers each, and about a quarter of the memory; the small
# excess is each module's input, its head and the loss. This is exact counting, not the
# resident memory of a process, so it is the same on every run and every machine.
#
# What the meter does not see: parameters and optimiser states (Adam's are twice the
# parameters), gradients on their way, the workspace of a convolution. On a GPU the
# allocator's own peak, `torch.cuda.max_memory_allocated`, is the judge.

# %% [markdown]
# ## 5. The classical answer: checkpoints
#
# Must one give up the true gradient to save memory? No. **Activation checkpointing** trades
# memory for time and changes nothing else. Cut the $D$ layers into $s$ segments. In the
# forward pass keep only the *input* of each segment, its checkpoint. In the backward pass,
# from the last segment to the first, run the segment forward *again* from its checkpoint,
# this time with a graph, and run backward through it.
#
# With one activation of $a$ bytes per layer, the checkpoints hold $s\,a$ and the segment that
# is being worked on holds $\tfrac Ds\,a$:
#
# $$ m(s) = \Big( s + \frac Ds \Big) a, \qquad
#    m'(s) = 1 - \frac{D}{s^2} = 0 \;\Rightarrow\; s = \sqrt D, \qquad
#    m = 2 \sqrt D \, a . $$
#
# Memory grows like the *square root* of the depth. The price is one more forward pass, with
# $b = 2f$ one third more time: $\tfrac{f + f + b}{f + b} = \tfrac43$ (Chen and co-authors
# 2016).

# %% [markdown]
# ### Exercise 21.7 · Checkpointing by hand
# Difficulty ●●●●○ · 4 points
#
# Complete `Recompute`, a function for autograd. In `forward` autograd builds no graph, by
# itself. Keep the input with `ctx.save_for_backward(h)`, anything else as attributes of
# `ctx`. In `backward` run the segment again, with a graph (`torch.enable_grad()`), run
# backward through it with the gradient that has arrived, and return one gradient per argument
# of `forward`: `None` for the segment, and that of `h`. Gradients of the segment's parameters
# are to be added to their `.grad`.
#
# One trap. A segment may contain **dropout**. The second run must draw the *same* mask as the
# first, and the stream of random numbers must afterwards go on as if there had been no second
# run. `torch.get_rng_state()` and `torch.set_rng_state(state)` read and set it.


# %% nbgrader={"grade": false, "grade_id": "ex21-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Recompute(torch.autograd.Function):
    """segment(h), keeping only h; the segment runs again in the backward pass."""

    @staticmethod
    def forward(ctx, segment, h):
        """Return segment(h). h: (batch, n)."""
        ### BEGIN SOLUTION
        ctx.segment, ctx.state = segment, torch.get_rng_state()
        ctx.save_for_backward(h)
        return segment(h)
        ### END SOLUTION

    @staticmethod
    def backward(ctx, gradient):
        """Return None and the gradient of h. gradient: that of the output."""
        ### BEGIN SOLUTION
        (h,) = ctx.saved_tensors
        h, now = h.detach().requires_grad_(), torch.get_rng_state()
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            out = ctx.segment(h)
        torch.set_rng_state(now)
        out.backward(gradient)
        return None, h.grad
        ### END SOLUTION


def checkpointed(segments, x):
    """Run segments one after the other, each with a checkpoint. x: (batch, n)."""
    h = x.clone().requires_grad_()  # without this, autograd would not call us back
    for segment in segments:
        h = Recompute.apply(segment, h)
    return h


# %% nbgrader={"grade": true, "grade_id": "ex21-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
segments, _, x, _ = chain(seed=7, modules=3, depth=3)
net = nn.Sequential(*segments)
loss = net(x).square().mean()
expected = torch.autograd.grad(loss, list(net.parameters()))
again = checkpointed(segments, x).square().mean()
assert torch.allclose(again, loss, rtol=0, atol=1e-12), (
    "the output must be the segment's"
)
again.backward()
for p, g in zip(net.parameters(), expected, strict=True):
    assert p.grad is not None, "every segment's parameters get their gradient"
    assert torch.allclose(p.grad, g, rtol=0, atol=1e-12), (
        "checkpointing changes no gradient: they must equal those of backpropagation"
    )

# %% nbgrader={"grade": true, "grade_id": "ex21-7-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
out = checkpointed([nn.Tanh()], torch.zeros(1, 2))
out.sum().backward()
assert out.shape == (1, 2), "a segment without parameters can be checkpointed too"
### BEGIN HIDDEN TESTS
for seed, (modules, depth) in enumerate([(1, 4), (3, 3), (6, 2)]):
    segments, _, x, _ = chain(seed, modules=modules, depth=depth)
    net = nn.Sequential(*segments)
    before, calls = x.clone(), []
    within = []
    for segment in segments:
        segment.register_forward_hook(lambda *a, c=calls: c.append(1))
        layers_in = [m for m in segment.modules() if not [*m.children()]]
        for part in layers_in[:-1]:
            part.register_forward_hook(
                lambda part, i, out, w=within: w.append(weakref.ref(out))
            )
    with Meter(net.parameters()) as meter:
        out = checkpointed(segments, x)
        held = meter.now
        assert held <= (modules + 1) * x.numel() * 8, (
            "after the forward pass only the inputs of the segments may be held"
        )
        assert held == modules * x.numel() * 8, (
            "the input of each segment, and nothing else, is to be kept with "
            "ctx.save_for_backward: what hangs on ctx as an attribute no meter sees, and "
            "autograd neither frees it after use nor notices that it was changed"
        )
        assert not any(inner() is not None for inner in within), (
            "activations inside of a segment are still alive after its forward pass"
        )
        out.square().mean().backward()
    del out
    assert meter.peak <= (modules + depth + 1) * x.numel() * 8, (
        "in the backward pass one segment's graph may be held, not more"
    )
    assert len(calls) == 2 * modules, "a segment runs twice: once forward, once again"
    assert torch.equal(x, before) and x.grad is None, "the data were changed"
    twice = [p.grad.clone() for p in net.parameters()]
    checkpointed(segments, x).square().mean().backward()
    for p, g in zip(net.parameters(), twice, strict=True):
        assert torch.allclose(p.grad, 2 * g), "gradients are added to .grad"
    leaves = [x.clone().requires_grad_() for _ in "ab"]
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    (Recompute.apply(segments[0], leaves[0]) * weights).sum().backward()
    (segments[0](leaves[1]) * weights).sum().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=0, atol=1e-12), (
        "the gradient of h is not that of the segment, weighted with the gradient that "
        "has arrived"
    )
for seed in range(3):
    torch.manual_seed(seed)
    segments = [
        nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Tanh()) for _ in range(3)
    ]
    net, x = nn.Sequential(*segments), torch.randn(20, 6)
    torch.manual_seed(seed + 50)
    net(x).square().mean().backward()
    after = torch.rand(3)
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    torch.manual_seed(seed + 50)
    checkpointed(segments, x).square().mean().backward()
    for p, g in zip(net.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, g, rtol=0, atol=1e-12), (
            "with dropout the gradient is wrong: has the second run drawn another mask?"
        )
    assert torch.equal(torch.rand(3), after), (
        "the second run has disturbed the stream of random numbers for whoever comes next"
    )


class Square(nn.Module):
    def forward(self, h):
        return h * h


h = torch.tensor([[3.0, -2.0]], requires_grad=True)
(5 * Recompute.apply(Square(), h)).sum().backward()
assert torch.allclose(h.grad, torch.tensor([[30.0, -20.0]])), (
    "the gradient that arrives must be carried through the segment to h"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# In `backward`, take `(h,) = ctx.saved_tensors` and make a fresh leaf of it:
# `h.detach().requires_grad_()`. Then it is an ordinary forward and backward pass of a small
# network.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `out.backward(gradient)` starts with the gradient that has arrived instead of 1, fills the
# `.grad` of the parameters, and puts the gradient of your leaf into `h.grad`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# For the mask: `torch.set_rng_state(ctx.state)` before the second run, with the state as it
# was before the first; and after it the state that you have found there.
#
# </details>

# %% [markdown]
# Does the meter agree with the formula? Thirty-six layers, cut evenly in all possible ways.

# %%
D = 36


def checkpoint_peak(lengths, width=16, batch=32):
    """Peak of a step with segments of these lengths, in activations."""
    torch.manual_seed(0)
    segments = [nn.Sequential(*[layer(width) for _ in range(n)]) for n in lengths]
    x, net = torch.randn(batch, width), nn.Sequential(*segments)
    with Meter(net.parameters()) as meter:
        checkpointed(segments, x).square().mean().backward()
    return meter.peak / UNIT


even = [s for s in range(1, D + 1) if D % s == 0]
measured = [checkpoint_peak([D // s] * s) for s in even]
s = torch.linspace(1, D, 200)

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.plot(s, s + D / s, label="s + D / s")
ax.plot(even, measured, "o", ms=5, color="C1", label="measured")
ax.axhline(D + 1, color="k", lw=0.8, ls="--")
ax.text(8, D + 1.6, "no checkpoints", fontsize=8)
ax.set(xlabel="segments s", ylabel="activations held", ylim=(0, 43))
ax.legend(fontsize=8, loc="lower right")
figure(
    fig,
    caption="Peak memory of 36 layers against the number of checkpoints: formula and meter.",
    alt="A curve that falls from 37 at one segment to 12 at six and rises again to 37 at 36 "
    "segments. Nine measured points lie on it. A dashed line at 37 marks the network "
    "without checkpoints.",
)

# %%
best = even[measured.index(min(measured))]
print(
    "best number of even segments:", best, "; peak", f"{min(measured):.0f} activations"
)
print(
    "no segments:",
    f"{checkpoint_peak([D]):.0f}; one layer each:",
    f"{measured[-1]:.0f}",
)

# %% [markdown]
# Both ends are as bad as doing nothing: one segment is the whole network, run once more for
# nothing, and a checkpoint at every layer *is* backpropagation.
#
# Is $2 \sqrt D$ the best? The formula assumed segments of equal length, and added up *all*
# checkpoints. But when the backward pass has come to segment $j$, the checkpoints after it
# have been freed already. So what is held while segment $j$ is worked on is
#
# $$ \underbrace{e_{0} + \dots + e_{j}}_{\text{checkpoints up to its own}} + \;
#    \underbrace{\textstyle\sum_{i \in \text{segment } j} c_i}_{\text{its layers}} , $$
#
# with $c_i$ the bytes that layer $i$ saves beyond its input, and the $e$'s the bytes of the
# segments' inputs. The early segments have few checkpoints beside them: they could be longer.
# And where a network is narrow, a checkpoint is cheap.


# %% tags=["given"]
def peak_of(starts, inside, edge):
    """Most bytes held in the backward pass, if segments start at these layers.

    starts: increasing, the first is 0. inside: bytes that each layer saves beyond its
    input. edge: bytes of each layer's input.
    """
    peaks, kept = [], 0
    for start, end in zip(starts, [*starts[1:], len(inside)], strict=True):
        kept += edge[start]
        peaks.append(kept + sum(inside[start:end]))
    return max(peaks)


# %% [markdown]
# ### Exercise 21.8 · The best places for checkpoints
# Difficulty ●●●●● · 4 points
#
# Write `best_cuts(inside, edge)`: the list of starts for which `peak_of` is as small as
# possible. All bytes are whole numbers. For 36 layers there are $2^{35}$ ways to cut, so do
# not try them all.
#
# The idea: turn the question round. Given a *budget* $P$, can the network be cut so that the
# peak is at most $P$? For that, find for every layer $j$ the fewest bytes of checkpoints with
# which the layers before $j$ can be covered within the budget (a dynamic programme: the last
# segment starts at some $i < j$). Fewer checkpoint bytes are never worse for what follows.
# Then search for the smallest budget for which it can be done.


# %% nbgrader={"grade": false, "grade_id": "ex21-8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_cuts(inside, edge):
    """Starts of the segments with the smallest peak_of(starts, inside, edge).

    inside, edge: lists of ints, one per layer. Returns an increasing list, first 0.
    """
    ### BEGIN SOLUTION
    n, total = len(inside), [0, *accumulate(inside)]

    def within(budget):
        kept, origin = [0] + [math.inf] * n, [0] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                held = kept[i] + edge[i]
                if held + total[j] - total[i] <= budget and held < kept[j]:
                    kept[j], origin[j] = held, i
        if kept[n] == math.inf:
            return None
        starts, j = [], n
        while j > 0:
            j = origin[j]
            starts.insert(0, j)
        return starts

    low, high = 0, peak_of([0], inside, edge)
    while low < high:
        middle = (low + high) // 2
        if within(middle) is None:
            low = middle + 1
        else:
            high = middle
    return within(low)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex21-8-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert list(best_cuts([5], [1])) == [0], "a single layer is a single segment"
starts = list(best_cuts([4, 4, 4, 4], [4, 4, 1, 9]))
assert starts[0] == 0, "the first segment starts at layer 0"
assert starts == [0, 2], "a checkpoint belongs where the network is narrow"
starts = best_cuts([10] * 36, [10] * 36)
assert peak_of(starts, [10] * 36, [10] * 36) < 120, (
    "equal segments hold 6 + 6 activations of 10 bytes: early segments may be longer, for "
    "they have fewer checkpoints beside them"
)

# %% nbgrader={"grade": true, "grade_id": "ex21-8-heldout", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
assert list(best_cuts([3, 3], [1, 1])) == [0, 1], "two segments: 1 + 3, then 1 + 1 + 3"
### BEGIN HIDDEN TESTS
cases = [([4] * 8, [9, 9, 1, 9, 9, 1, 9, 9]), ([3] * 8, [2, 20, 1, 20, 20, 20, 1, 20])]
for seed in range(12):
    g = torch.Generator().manual_seed(seed)
    n = 2 + seed % 8
    inside = torch.randint(1, 30, (n,), generator=g).tolist()
    cases.append((inside, torch.randint(1, 15 + 5 * seed, (n,), generator=g).tolist()))
for inside, edge in cases:
    n = len(inside)
    given = list(inside), list(edge)
    starts = list(best_cuts(inside, edge))
    assert (inside, edge) == given, "the arguments were changed"
    assert starts[0] == 0, "the first segment starts at layer 0"
    assert starts == sorted(set(starts)) and starts[-1] < n, (
        "starts are increasing layers"
    )
    ways = ([0, *rest] for r in range(n) for rest in combinations(range(1, n), r))
    least = min(peak_of(way, inside, edge) for way in ways)
    assert peak_of(starts, inside, edge) == least, (
        f"for inside = {inside}, edge = {edge} there are better cuts"
    )


def least_peak(inside, edge):
    """The least peak by another way: all pairs (kept, peak) that no other beats."""
    fronts = [[(0, 0)]]
    for j in range(1, len(inside) + 1):
        options = set()
        for i in range(j):
            for kept, most in fronts[i]:
                now = kept + edge[i]
                options.add((now, max(most, now + sum(inside[i:j]))))
        front = []
        for kept, most in sorted(options):
            if not front or most < front[-1][1]:
                front.append((kept, most))
        fronts.append(front)
    return fronts[-1][-1][1]


for n in (11, 14, 23, 40):
    g = torch.Generator().manual_seed(n)
    inside = torch.randint(1, 30, (n,), generator=g).tolist()
    edge = torch.randint(1, 40, (n,), generator=g).tolist()
    assert peak_of(best_cuts(inside, edge), inside, edge) == least_peak(inside, edge), (
        f"{n} layers that differ: there are better cuts for inside = {inside}, "
        f"edge = {edge}"
    )
for depth in (10, 36, 45):
    starts = best_cuts([1] * depth, [1] * depth)
    peak = peak_of(starts, [1] * depth, [1] * depth)
    assert peak == math.ceil((1 + math.sqrt(1 + 8 * depth)) / 2), (
        f"{depth} equal layers: not the least peak"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `kept[j]`: fewest bytes of checkpoints such that layers $0, \dots, j - 1$ are cut into
# segments that all respect the budget. `kept[0] = 0`. A segment from $i$ to $j$ is allowed if
# `kept[i] + edge[i] + sum(inside[i:j]) <= budget`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# If it is allowed, `kept[i] + edge[i]` is a candidate for `kept[j]`; keep the smallest, and
# remember its $i$, so that you can walk back from the last layer to the first.
#
# </details>
# <details><summary>Hint 3</summary>
#
# For one budget: `kept[j] = min(kept[i] + edge[i])` over all `i < j` that are allowed. The
# peak of a single segment, `peak_of([0], inside, edge)`, can be reached in any case: halve
# the interval between 0 and that.
#
# </details>

# %%
starts = best_cuts([1] * D, [1] * D)
lengths = [b - a for a, b in zip(starts, [*starts[1:], D], strict=True)]
print("lengths of the best segments:", lengths)
print(
    f"measured: {checkpoint_peak(lengths):.0f} activations; even: {min(measured):.0f}"
)


def flops(step):
    """Floating-point operations of a step, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


torch.manual_seed(0)
layers, x = [layer(16) for _ in range(D)], torch.randn(32, 16)
segments = [
    nn.Sequential(*layers[i:j]) for i, j in zip(starts, [*starts[1:], D], strict=True)
]
plain = flops(lambda: nn.Sequential(*layers)(x).square().mean().backward())
twice = flops(lambda: checkpointed(segments, x).square().mean().backward())
print(f"operations, checkpoints against none: {twice / plain:.2f} times")

# %% [markdown]
# Segments of length $8, 7, 6, \dots, 1$: while any of them is worked on, 9 activations are
# held. In general $D = \tfrac12 P (P - 1)$ layers fit into $P$ activations, so that $P$ is about
# $\sqrt{2 D}$ instead of $2 \sqrt D$: 30 % less, at no extra cost. The price is still one
# extra forward pass; the meter of operations says a little more than 4/3, because our first
# segment also computes the gradient of the data.
#
# Whoever accepts several extra passes can checkpoint *within* segments, and get to $\log D$
# (Griewank and Walther 2000). The classical answer is strong. Any local method must be
# compared with it.

# %% [markdown]
# ## The library's version
#
# `modular` has all of this for any method: `audit.isolation`, `audit.memory`, `audit.locking`
# and `audit.timeline`. A method is a value: `Backprop()`, `Interlocking(2)` (our pairwise),
# `DGL()` (our local). The schedule that the trainer follows is the one that the clock reads.

# %%
METHODS = {
    "locked": modular.Backprop(),
    "pairwise": modular.Interlocking(2),
    "local": modular.DGL(),
}
sgd = partial(torch.optim.SGD, lr=0.1)


def trainer_of(method, layers, modules, x, head="linear"):
    """A trainer for layers that are cut into modules."""
    partition = modular.Partition(layers, modules, sample=x[:2], head=head)
    return modular.Trainer(partition, method, optimizer=sgd)


costs = modular.Calibrated(forward=1.0, backward=2.0)
x, y = torch.randn(32, 16, generator=generator), torch.arange(32) % 16
print(
    "           period  later modules waited for                       clock equal  isolation"
)
for name, method in METHODS.items():
    trainer = trainer_of(method, [layer(16) for _ in range(4)], 4, x)
    until = [modular.audit.timeline(trainer, costs, steps=s).makespan for s in (7, 8)]
    theirs, period = until[0], until[1] - until[0]
    ours = span_of(SCHEDULES[name](4, 7, 1.0, 2.0))
    locks = modular.audit.locking(trainer)
    isolation = modular.audit.isolation(trainer, (x, y))
    found = f"forward {locks.update.tolist()}, backward {locks.backward.tolist()}"
    equal = math.isclose(theirs, ours)
    print(f"{name:10s} {period:6.0f}  {found:46s} {equal!s:12s} {isolation.holds}")

# %%
nets, heads, x, y = chain(seed=3, modules=4, depth=6)
own = parameters_of(nets, heads)
with SavedTensors(exclude=own) as theirs:
    local_step(nets, heads, x, y)
with Meter(own) as ours:
    local_step(nets, heads, x, y)
print("both meters say the same:", theirs.peak == ours.peak)
layers = [part for net in nets for part in net]
layers[-1].append(heads[-1])  # the last module's head belongs to the network
trainer = trainer_of(modular.DGL(), layers, 4, x)
report = modular.audit.memory(trainer, (x, y))
print("the library's DGL step holds as much as ours:", report.peak == ours.peak)

# %% [markdown]
# Exercise 21.7 is in PyTorch itself: `torch.utils.checkpoint`. It keeps the random numbers in
# order, as you did.

# %%
segments, _, x, _ = chain(seed=4, modules=4, depth=4)
net = nn.Sequential(*segments)
with Meter(net.parameters()) as ours:
    checkpointed(segments, x).square().mean().backward()
gradients = [p.grad.clone() for p in net.parameters()]
net.zero_grad()
with Meter(net.parameters()) as theirs:
    h = x.clone().requires_grad_()
    for segment in segments:
        h = checkpoint(segment, h, use_reentrant=True)
    h.square().mean().backward()
print("held by torch's checkpoints as by ours:", theirs.peak == ours.peak)
same = [
    torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True)
]
print("same gradients, to the last bit:", all(same))

# %% [markdown]
# ## Signature result: one part in K, twice
#
# The benchmark of the library has measured both halves of the claim. *Memory*: 32 blocks of
# Linear, BatchNorm and ReLU, width 96, batch 128, as a whole, in 2, 4 and 8 modules, and
# checkpointed. *Time*: four real processes, one module each, that send real messages but
# *sleep* instead of computing (forward 20 ms, backward 40 ms), so that the two cores they share
# do not blur the picture. We read its file, and measure one of its rows again.
#
# The **baseline** is training end to end, and beside it checkpointing, which keeps the exact
# gradient. The **negative control** is the trap: the same modules, the same cuts, the
# same gradients, but one backward pass at the end.

# %%
measured_there = stored("modular")
memory, unlocking = measured_there["memory"], measured_there["unlocking"]


def benchmark_blocks():
    """The network of the benchmark, in its precision."""
    torch.manual_seed(0)
    wide, single = 96, torch.float32
    parts = [
        [nn.Linear(wide, wide), nn.BatchNorm1d(wide), nn.ReLU()] for _ in range(32)
    ]
    parts[-1].append(nn.Linear(wide, 10))
    return [nn.Sequential(*part).to(single) for part in parts]


def detached_peak(modules, x, y):
    """Detach at every cut, add up, one backward: the most bytes held."""
    partition = modular.Partition(benchmark_blocks(), modules, sample=x[:2], head="mlp")
    own = [*partition.parameters(), *partition.buffers()]
    with SavedTensors(exclude=own) as meter:
        h, losses = x, []
        for block in partition.blocks:
            h = block(h.detach())
            losses.append(cross_entropy(block.head(h), y))
        sum(losses).backward()
    return meter.peak


x, y = torch.randn(128, 96, dtype=torch.float32), torch.arange(128) % 10
KS = (2, 4, 8)
again = {}
for name, method, modules in (
    ("whole", modular.Backprop(), 1),
    ("dgl", modular.DGL(), 4),
):
    trainer = trainer_of(method, benchmark_blocks(), modules, x, head="mlp")
    again[name] = modular.audit.memory(trainer, (x, y)).peak
control = [detached_peak(K, x, y) / again["whole"] for K in KS]

# A block saves two activations beyond its input: those that enter BatchNorm and leave ReLU.
starts = best_cuts([2] * 32, [1] * 32)
blocks = benchmark_blocks()
segments = [
    nn.Sequential(*blocks[i:j]) for i, j in zip(starts, [*starts[1:], 32], strict=True)
]
with SavedTensors(exclude=parameters_of(blocks)) as meter:
    cross_entropy(checkpointed(segments, x), y).backward()
best_checkpoints = meter.peak / again["whole"]

# %%
rows = {
    "detach only (control)": control,
    "interlocking, n = 2": [memory[f"interlocking n=2, K={K}"]["ratio"] for K in KS],
    "checkpointing": [memory[f"checkpointing {K}"]["ratio"] for K in KS],
    "local losses": [memory[f"dgl K={K}"]["ratio"] for K in KS],
}

# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 4.1))
for (name, values), marker in zip(rows.items(), "x^so", strict=True):
    axes[0].plot(KS, values, marker=marker, ms=5, label=name)
axes[0].plot(KS, [1 / K for K in KS], color="k", lw=1.2, ls=":", label="1 / K")
axes[0].axhline(1, color="k", lw=0.8, ls="--")
axes[0].axhline(
    best_checkpoints, color="C2", lw=1.5, ls="-", label="best places of checkpoints"
)
axes[0].set(xlabel="modules or segments", ylabel="memory, end to end = 1")
axes[0].set(xticks=KS, ylim=(0, 1.25))
fig.legend(
    *axes[0].get_legend_handles_labels(),
    fontsize=9,
    ncols=3,
    loc="outside lower center",
    title="left",
)
names = list(METHODS)
places = torch.arange(3)
axes[1].bar(
    places - 0.2,
    [unlocking[name]["critical_path"] for name in names],
    width=0.4,
    color="0.75",
    label="critical path",
)
axes[1].bar(
    places + 0.2,
    [unlocking[name]["seconds"] for name in names],
    width=0.4,
    color="C0",
    label="measured",
)
for place, name in zip(places.tolist(), names, strict=True):
    text = f"{unlocking[name]['speed_up']:.1f} times"
    axes[1].text(
        place + 0.2, unlocking[name]["seconds"] + 0.2, text, ha="center", fontsize=8
    )
axes[1].set_xticks(places, names)
axes[1].set(xlabel="schedule", ylabel=f"seconds for {unlocking['steps']} batches")
axes[1].legend(fontsize=8)
figure(
    fig,
    caption="Left: bytes held for backward. Right: four processes with calibrated modules, "
    "beside what the formulas of section 2 say.",
    alt="Left, memory against the number of modules. Local losses follow the dotted line "
    "1 / K from a half down to about 0.16 at eight; checkpointing lies just above and "
    "flattens; a level line at 0.2 marks checkpoints at their best places; interlocking "
    "with n = 2 holds twice as much as local; the control stays above 1 throughout. "
    "Right, pairs of bars for locked, pairwise and local: measured times are slightly "
    "above the critical paths, and fall from about 11 to 4 to 2 seconds.",
)

# %%
print("memory, K = 4, measured again: within 5 % of the file:", end=" ")
ratio = again["dgl"] / again["whole"]
print(abs(ratio - memory["dgl K=4"]["ratio"]) < 0.05 * ratio)
share = {K: memory[f"dgl K={K}"]["ratio"] * K for K in KS}
print("memory times K:", ", ".join(f"{v:.2f} (K = {K})" for K, v in share.items()))
print("the control saves anything:", min(control) < 1)
print(f"checkpoints at their best places: {len(starts)} segments,", end=" ")
print(f"{best_checkpoints:.2f} of end to end")
formulas = {"locked": locked, "pairwise": pairwise, "local": local}
f, b, S = unlocking["forward"], unlocking["backward"], unlocking["steps"]
for name, formula in formulas.items():
    row = unlocking[name]
    exact = math.isclose(formula(4, S, f, b), row["critical_path"], abs_tol=1e-3)
    over = row["seconds"] / row["critical_path"] - 1
    print(
        f"{name:9s} our formula is its critical path: {exact}; measured above: {over:.0%}"
    )

# %% [markdown]
# The memory is one part in $K$, plus heads. The speed-up of the local schedule is more than
# four, on four workers; we know why (section 2), and that deep modules bring it down to four,
# and heads that cost something below.
#
# Note who comes second on the left: checkpointing, without any loss of accuracy, for a third
# more time. At the places that your `best_cuts` finds, its eight segments hold less than four
# local modules with their heads. So memory alone is a weak reason for giving up the true
# gradient. Memory *and* idle machines together are a better one.

# %% [markdown]
# ### The price: accuracy
#
# A local loss asks of the first module what only the last one need know. How much does that
# cost? On single digits hardly anything (chapter 22 shows it). So here is a small task that
# is not easy: two handwritten digits side by side, and the label is their **sum modulo 10**. Neither
# digit alone says anything about it. Six blocks, each a module with a linear head; the same
# training end to end and with local losses; then the benchmark's figures for five seeds and
# longer training.


# %%
def pair_sum_accuracy(method):
    """Test accuracy of six small blocks on sums of two digits."""
    g = torch.Generator().manual_seed(21)
    task = modular.pair_sum(g, train=4000, test=1000)
    torch.manual_seed(21)
    sizes = [128] + [64] * 6
    stages = [
        [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    stages[-1].append(nn.Linear(64, 10))
    layers = [nn.Sequential(*stage) for stage in stages]
    partition = modular.Partition(layers, 6, sample=task.x[:1], generator=g)
    adam = partial(torch.optim.Adam, lr=2e-3)
    trainer = modular.Trainer(partition, method, optimizer=adam, generator=g)
    trainer.fit(task.batches(64, torch.Generator().manual_seed(21)), epochs=6)
    return float(trainer.evaluate(task.test())[-1])


whole_accuracy = pair_sum_accuracy(modular.Backprop())

# %%
local_accuracy = pair_sum_accuracy(modular.DGL())
print(
    "end to end is ahead by more than 5 points:", whole_accuracy > local_accuracy + 0.05
)
print("chance is 10 %; local losses are above 40 %:", local_accuracy > 0.4)
print()
ladder = measured_there["ladder"]["methods"]
seeds = measured_there["ladder"]["setting"]["seeds"]
print(f"benchmark, {seeds} seeds    accuracy in %")
for name, key in (
    ("end to end", "backprop"),
    ("local, MLP heads", "dgl K=6"),
    ("local, linear heads", "interlocking n=1"),
):
    row = ladder[key]
    print(f"  {name:20s} {row['mean']:6.1f} +- {row['standard_error']:.1f}")

# %% [markdown]
# Local training is not free. It learns, far above chance, and stays behind. How to close the
# gap with better losses is chapter 22; how far a little unlocking less goes, chapter 23.
#
# ## An experiment to change
#
# All that you need to plan a training run: what it holds and how fast it can be.

# %%
MODULES = 4
LAYERS = 8  # per module
WIDTH, BATCH = 16, 32
HEAD = 0  # hidden units of the heads; 0 is a linear head
F, B = 1.0, 2.0


def plan():
    """Print peaks in KiB and the speed-up limits of a setting."""
    nets, heads, x, y = chain(4, MODULES, LAYERS, WIDTH, BATCH)
    if HEAD:
        for k in range(MODULES):
            parts = nn.Linear(WIDTH, HEAD), nn.ReLU(), nn.Linear(HEAD, 10)
            heads[k] = nn.Sequential(*parts)
    own, depth = parameters_of(nets, heads), MODULES * LAYERS
    with Meter(own) as whole:
        end_to_end_step(nets, heads[-1], x, y)
    with Meter(own) as one:
        local_step(nets, heads, x, y)
    layers = [part for net in nets for part in net]
    starts = best_cuts([1] * depth, [1] * depth)
    ends = [*starts[1:], depth]
    segments = [nn.Sequential(*layers[i:j]) for i, j in zip(starts, ends, strict=True)]
    with Meter(own) as again:
        cross_entropy(heads[-1](checkpointed(segments, x)), y).backward()
    for name, meter in (("end to end", whole), ("local", one), ("checkpoints", again)):
        print(f"{name:12s} {meter.peak / KIBIBYTE:7.0f} KiB")
    slow = locked(MODULES, 1000, F, B)
    for name, formula in (("pairwise", pairwise), ("local", local)):
        print(f"{name:12s} {slow / formula(MODULES, 1000, F, B):7.1f} times as fast")


plan()

# %% [markdown]
# Guess first, then change one thing at a time:
#
# - `MODULES = 8, LAYERS = 4`: the same network. What happens to the three peaks?
# - `LAYERS = 64`: which of the two savings grows with depth?
# - `HEAD = 64`, then `HEAD = 256`: when is the head the largest part of a module?
# - `B = 0.0`, `B = 10.0`: between which values does the pairwise speed-up lie?
# - In `local_step` move `.backward()` behind the loop and run `plan()` again. Nothing else
#   changes, not one gradient.
# - In section 3, what does a layer with BatchNorm or Dropout hold? Predict it from the
#   derivative.
#
# ## When it fails
#
# **Small networks: the heads use up the saving.** A head is a network too, with a graph of its
# own. Four modules with heads of one hidden layer of 64 units, on networks of width 16.


# %%
def head_ratio(depth, hidden, modules=4):
    """Peak of the local step, relative to end to end."""
    nets, heads, x, y = chain(5, modules, depth // modules)
    with Meter(parameters_of(nets, heads)) as whole:
        end_to_end_step(nets, heads[-1], x, y)
    if hidden:
        heads = [
            nn.Sequential(nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, 10))
            for _ in range(modules)
        ]
    with Meter(parameters_of(nets, heads)) as one:
        local_step(nets, heads, x, y)
    return one.peak / whole.peak


depths = [4, 8, 16, 32, 64, 128]

# %% tags=["picture"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2))
for hidden, label in ((0, "linear head"), (64, "64 hidden units")):
    ratios = [head_ratio(depth, hidden) for depth in depths]
    axes[0].semilogx(depths, ratios, marker="o", ms=4, label=label)
wide_head = ratios
axes[0].axhline(0.25, color="k", lw=0.8, ls=":")
axes[0].axhline(1, color="k", lw=0.8, ls="--")
axes[0].set(xlabel="depth in layers", ylabel="memory, end to end = 1", ylim=(0, 1.8))
axes[0].set_xticks(depths, [str(d) for d in depths])
axes[0].minorticks_off()
axes[0].legend(fontsize=8)
share = torch.linspace(1 / 16, 1, 100)
axes[1].plot(share, 1 / share, color="k", lw=1.2)
for K in (2, 4, 8, 16):
    axes[1].plot([1 / K], [K], "o", color="C0", ms=5)
    axes[1].text(1 / K + 0.03, K + 0.2, f"{K} equal modules", fontsize=8)
axes[1].set(
    xlabel="work share of the heaviest", ylabel="speed-up at most", ylim=(0, 18)
)
figure(
    fig,
    caption="Left: what a local step holds, with light and with heavy heads. Right: the "
    "speed-up is at most one over the largest share.",
    alt="Left, memory against depth on a log axis. With linear heads it falls from "
    "about 0.5 to the dotted line at a quarter. With heads of 64 units it starts at about "
    "1.2, crosses 1 before depth 8 and comes near a quarter only at depth 128. Right, a "
    "hyperbola from 16 down to 1, with dots for 16, 8, 4 and 2 equal modules on it.",
)

# %%
print("four layers, heavy heads: saves anything:", wide_head[0] < 1)

# %% [markdown]
# **One heavy module** (Amdahl's law). The period of a schedule is that of its slowest worker.
# If one module has the share $p$ of all the work, the speed-up is at most $1/p$, however many
# modules there are: sixteen modules, of which one does a third, are three times as fast and
# not sixteen times. Cut by *cost*, not by layers; `modular.Partition` balances by parameters,
# FLOPs or saved bytes.
#
# **Too few cores.** Unlocking permits work at the same time. It does not provide machines. The
# benchmark has run the same four processes with real work, small matrix products, on a computer
# with two cores.

# %%
real = unlocking["real_work"]
print("cores:", unlocking["machine"]["cpu_count"])
for name in ("locked", "pairwise", "local"):
    print(
        f"real work, {name:9s} {real['locked']['seconds'] / real[name]['seconds']:4.1f} times"
    )
gain = real["locked"]["seconds"] / real["local"]["seconds"]
print(
    "as fast as with calibrated modules:", gain > 0.8 * unlocking["local"]["speed_up"]
)

# %% [markdown]
# Do not read much into these figures: it is one run on a shared computer. Four processes on
# two cores have little to gain, and messages to pay for. That is why this chapter speaks of
# critical paths, and sleeps: a schedule promises what *independent* machines can do.
#
# **A checkpoint is not invisible to everyone.** Running a segment twice is harmless for its
# gradient, but not for layers that *remember*. BatchNorm keeps running statistics, and
# updates them in every forward pass.

# %%
torch.manual_seed(6)
x = torch.randn(64, 8) + 3.0
norm = {name: nn.BatchNorm1d(8) for name in ("plain", "checkpointed")}
norm["plain"](x).sum().backward()
checkpointed([norm["checkpointed"]], x).sum().backward()
means = {name: module.running_mean.mean().item() for name, module in norm.items()}
print(", ".join(f"{name}: running mean {value:.2f}" for name, value in means.items()))
print("the true mean is near 3; one update moves by a tenth of the way, two by 19 %")

# %% [markdown]
# The same holds for every layer that counts, averages or caches. In training nothing looks
# wrong; the statistics merely follow twice as fast as their momentum says.
#
# **What is not counted.** Local losses shrink what is held for *backward*. Parameters,
# optimiser states and the largest single layer stay what they are. If those fill the memory,
# no schedule helps.

# %% [markdown]
# ## Quiz

# %%
quiz(
    Question(
        "In the local schedule, which lock remains?",
        choices=[
            "The update lock, because each module has an optimiser",
            "The forward lock: the first batch still has to trickle down",
            "None of them",
        ],
        answer="e623eb597bb1",
        hint="Look at the left edge of the third chart.",
    ),
    Question(
        "You detach the input of every module, add up all local losses and call backward once. What do you save?",
        choices=[
            "Nothing: all the graphs are alive at the moment of the backward call",
            "All but one part in K of the memory",
            "Time, because the graphs are shorter",
        ],
        answer="662567bbe6ab",
        hint="When is a graph freed?",
    ),
    Question(
        "Four workers, and the local schedule is 5.5 times as fast as the locked one. How?",
        choices=[
            "The messages are shorter",
            "Measurement error: four is the limit",
            "A local module also skips work: the gradient of its input",
        ],
        answer="ce5094559bdf",
        hint="Run both schedules on a single machine.",
    ),
    Question(
        "Why does a network with GELU hold twice as much as one with tanh?",
        choices=[
            "Its derivative needs the input, that of tanh only the result, which is saved anyway",
            "It has more parameters",
            "Its result is computed in double precision",
        ],
        answer="eda73b0da09d",
        hint="Which storage does the next linear layer save in any case?",
    ),
    Question(
        "Checkpointing, 100 equal layers, segments of equal length. About how many activations are held?",
        choices=["10", "20", "50"],
        answer="ad129afe8ebd",
        hint="There are checkpoints, and there is the segment that is being worked on.",
    ),
    Question(
        "Why may early segments be longer than late ones?",
        choices=[
            "Their gradients are smaller",
            "They are run again less often",
            "When they are worked on, the later checkpoints have been freed",
        ],
        answer="a8ecf8de8677",
        hint="In which order does the backward pass visit the segments?",
    ),
)

# %% [markdown]
# ## Summary
#
# - Backpropagation has three locks. Over $K$ machines it keeps one of them busy.
# - A schedule is a list of tasks with dependencies; its time is the critical path, found in one
#   pass. For many batches only the period counts.
# - Local losses open the update and the backward lock: up to $K$ times as fast. What a model
#   promises beyond $K$ is work left out, and heads and deep modules take it back. One heavy
#   module limits everything.
# - Autograd holds about one activation per layer, two with GELU. Count storages, not tensors.
# - `detach` cuts the graph, and saves nothing. Memory falls if each module's graph is
#   *freed*, by its own backward pass, before the next is built: then to about $1/K$, plus a
#   head.
# - Isolation can be certified by autograd on a batch, memory by hooks, without any noise.
# - Micro-batches fill the gaps and checkpoints shrink the memory, $2\sqrt D$ or, placed better,
#   $\sqrt{2D}$ activations for one more forward pass, with exact gradients. These are the
#   baselines to beat.
# - Local losses cost accuracy where labels depend on what early modules cannot yet combine.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | module | a part of a cut network: its layers, and here its own head and loss |
# | forward, update, backward lock | waiting for modules before; for the forward, for the backward pass of those behind |
# | critical path | longest chain of tasks that must follow each other |
# | period | time per batch in the long run |
# | utilisation | share of the machines' time that is work |
# | bubble | idle time of a pipeline of micro-batches, at its ends |
# | saved tensor | what a node of the graph keeps for its derivative |
# | storage | the block of memory behind one or many tensors |
# | reach | a loss reaches a module if its gradient for the module's parameters is not zero |
# | isolation matrix | which loss reaches which module, losses by modules |
# | head | small network that turns a module's state into scores |
# | checkpoint | a kept activation from which later ones are computed again |
# | DGL | decoupled greedy learning: all modules at once, each with its own loss |
#
# ## Readings
#
# - **Jaderberg, Czarnecki, Osindero, Vinyals, Graves, Silver and Kavukcuoglu (2017)**,
#   *Decoupled neural interfaces using synthetic gradients*, ICML. Look for the three locks on
#   the first pages, and for another key to them: guess the gradient before it arrives.
# - **Belilovsky, Eickenberg and Oyallon (2020)**, *Decoupled greedy learning of CNNs*, ICML.
#   Look for algorithm 1, which is our `local_step`, and for how a buffer opens the forward
#   lock as well.
# - **Chen, Xu, Zhang and Guestrin (2016)**, *Training deep nets with sublinear memory cost*,
#   arXiv 1604.06174. Look for the derivation of the square root, and for the recursion below
#   it.
# - **Griewank and Walther (2000)**, *Algorithm 799: revolve*, ACM Trans. Math. Softw. 26(1).
#   Look for the binomial coefficients: the best schedule of checkpoints if several extra
#   passes are allowed. Our triangular segments are their simplest relatives.
# - **Huang and co-authors (2019)**, *GPipe: efficient training of giant neural networks using
#   pipeline parallelism*, NeurIPS. Look for the bubble, and for micro-batches *with*
#   checkpoints; then, in **Qi, Wan, Huang and Lin (2024)**, *Zero bubble pipeline parallelism*,
#   ICLR, for what can be filled with the second half of a backward pass.
# - **Gomez and co-authors (2022)**, *Interlocking backpropagation: improving depthwise
#   model-parallelism*, JMLR 23(171). Look for pairwise training; it opens chapter 23.
