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
# # Where to cut a network
#
# > **Question.** A network is cut into three modules that learn on their own. Should they be equal
# > in operations, in memory, or in the difficulty of what they have to learn?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | networks trained module by module |
# | **Before you start** | chapters 21 and 22; 23 helps |
# | **Time** | about a week |
# | **Baseline** | accuracy and bytes of three cuts, measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: who places modules on machines balances their *cost*, so that none waits for
# another. A local loss asks something else of a module: to get the task ahead with what it has.
# Nothing says that both lead to the same cuts, and the published networks have equal blocks, for
# which the question does not arise.

# %% tags=["setup"]
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn

from course.kit import figure, setup
from modular import DGL, Backprop, Partition, Trainer, audit, pair_sum

_ = setup(seed=3)

# %% [markdown]
# ## The baseline, measured
#
# Sums of two digits modulo ten (chapter 22), which no module can tell from one digit. The network
# is wide at first and narrow later, so that operations and memory disagree: a layer of width $w$
# behind one of width $v$ costs $2vw$ operations per sample, but keeps only numbers like $v + w$.

# %%
WIDTHS = [128, 192, 192, 96, 96, 64, 64]
task = pair_sum(torch.Generator().manual_seed(0), train=4000, test=2000)


def layers(seed):
    """Seven layers with weights drawn from a seed."""
    torch.manual_seed(seed)
    hidden = [
        nn.Sequential(nn.Linear(v, w), nn.ReLU())
        for v, w in zip(WIDTHS, WIDTHS[1:], strict=False)
    ]
    return [*hidden, nn.Linear(WIDTHS[-1], 10)]


def trained(method, seed, epochs=10, **cut):
    """Train a cut network; return its trainer."""
    partition = Partition(layers(seed), sample=task.x[:1], **cut)
    trainer = Trainer(
        partition,
        method,
        optimizer=partial(torch.optim.Adam, lr=2e-3),
        generator=torch.Generator().manual_seed(seed),
    )
    trainer.fit(task.batches(100, torch.Generator().manual_seed(seed)), epochs=epochs)
    return trainer


cuts = {
    "operations": dict(modules=3, balance="flops"),
    "bytes": dict(modules=3, balance="bytes"),
    "numbers of layers": dict(cuts=[2, 4]),
}
batch = task.x[:100].clone(), task.y[:100].clone()
rows = {}
for name, cut in cuts.items():
    runs = [trained(DGL(), seed, **cut) for seed in (0, 1)]
    right = torch.stack([run.evaluate(task.test()) for run in runs])
    rows[name] = {
        "layers": [len(block.net) for block in runs[0].partition.blocks],
        "accuracy": right[:, -1],
        "along": right.mean(0),
        "flops": runs[0].partition.cost().flops,
        "nets": audit.memory(runs[0], batch).nets,
    }

# %%
end_to_end = trained(Backprop(), 0, modules=3)
goal = end_to_end.evaluate(task.test())[-1].item()
fig, (left, right) = plt.subplots(1, 2)
for (name, row), marker in zip(rows.items(), "osv", strict=True):
    left.plot([1, 2, 3], 100 * row["along"], marker=marker, label=name)
    right.plot(
        100 * row["flops"] / row["flops"].sum(),
        100 * row["nets"] / row["nets"].sum(),
        marker=marker,
        ls="none",
        label=name,
    )
left.axhline(100 * goal, color="k", lw=1, ls=":")
left.set(xlabel="after module", ylabel="test accuracy, %", xticks=[1, 2, 3])
right.axline((33, 33), slope=1, color="0.7", lw=1, ls="-")
right.set(xlabel="share of operations, %", ylabel="share of bytes held, %")
left.legend(fontsize=8)
figure(
    fig,
    caption="Left: what each module's head gets right, mean of two seeds; dotted, "
    "backpropagation with the same epochs. Right: every module's share of cost.",
    alt="Left: accuracy after modules one to three; the cut at equal numbers of layers starts "
    "highest and ends highest, the cut at equal operations ends lowest, backpropagation lies far "
    "below. Right: nine marks of share of bytes against share of operations, off the diagonal.",
)
print("cut at equal      layers     accuracy of two seeds, %   largest module, KiB")
for name, row in rows.items():
    shares = "  ".join(f"{100 * a:.0f}" for a in row["accuracy"])
    held = row["nets"].max().item() / 1024
    print(f"{name:18s}{str(row['layers']):10s} {shares:>12s} {held:24.0f}")
print(f"backpropagation, one seed: {100 * goal:.0f} %")

# %% [markdown]
# **The baseline to beat** is the best cut of the table, at no more bytes in its largest module.
#
# ## Three milestones
#
# 1. **All cuts.** Seven layers have $\binom{6}{2} = 15$ cuts into three modules. Train them all
#    with three seeds, and rank them. How much does the cut matter at all, beside the seed?
# 2. **A measure of difficulty.** Define one that needs no trained modules: for instance what
#    `audit.probe` gains from layer to layer in a network trained end to end, or in an untrained
#    one. Cut evenly by it. Where in the ranking does that cut land?
# 3. **A trade.** Draw accuracy against the cost of the dearest module, for all cuts and two other
#    widths. Is there a cut that is best in both? Does the answer survive heads with a hidden
#    layer (`head="mlp"`)?
#
# ## Traps
#
# - Give `audit.memory` clones: a slice holds the whole tensor that it was cut from, and is
#   counted so.
# - Heads count. A module with a wide output has a large head: report `partition.cost()`, heads
#   included.
# - Backpropagation has hardly begun to learn in these epochs. Give it more before you call it a
#   yardstick.
# - Two seeds, as above, rank nothing. Pair the seeds and look at differences.
# - The last module has no auxiliary head, and the true loss: it is not like the others.
# - If all cuts are equally good, that is an answer. Say how large a difference you would have
#   seen.
#
# ## What a good answer contains
#
# The ranking of all cuts with its uncertainty; a measure of difficulty, defined before it was
# tried; backpropagation and checkpointing as yardsticks for accuracy and bytes; a control (the
# same cut with another seed, or modules that are equal in everything); and a rule of thumb with
# the range in which you tested it. The [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Belilovsky, Eickenberg and Oyallon (2020)**, *Decoupled greedy learning of CNNs*, ICML. Look
#   for how many layers a module has, and whether anything is said about why.
# - **Wang, Ni, Song, Yang and Huang (2021)**, *Revisiting locally supervised learning*, ICLR.
#   Look for what the first module throws away, and how that depends on the number of modules.
# - **Huang and others (2019)**, *GPipe: efficient training of giant neural networks*, NeurIPS.
#   Look for how it partitions: which cost is balanced?
# - **Alain and Bengio (2017)**, *Understanding intermediate layers using linear classifier
#   probes*, ICLR workshop. Look for how separability grows with depth.
