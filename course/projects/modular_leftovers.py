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
# # What a local loss leaves behind
#
# > **Question.** A module that is trained by its own loss keeps what that loss asks for. What is left
# > for a task that nobody asked for, and which local loss leaves most?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | networks trained module by module |
# | **Before you start** | chapters 21 and 22; 24 for transfer |
# | **Time** | about a week |
# | **Baseline** | a linear probe for another task, after each module: measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: features are reused. A network that was trained for one task becomes the first
# half of a network for another. End-to-end training is known to throw away what its task does not
# need, towards the end. A greedy module cannot know what later modules need, and throws away
# earlier; so one expects local losses to transfer worse. On some tasks they transfer *better*,
# and why is not settled.

# %% tags=["setup"]
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import nn

from course.kit import figure, setup
from modular import DGL, Backprop, Partition, PredSim, Trainer, audit, digits

generator = setup(seed=4)

# %% [markdown]
# ## The baseline, measured
#
# Two digits side by side. The network learns the sum modulo ten (chapter 22). The task nobody
# asked for: *which digit is on the left?* A linear probe, least squares solved exactly, is fitted
# on the frozen features of each module.


# %%
def pairs(x, y, count):
    """Draw pairs of digits: pixels (count, 128), sums and left digits (count,)."""
    left, right = torch.randint(len(x), (2, count), generator=generator)
    return torch.cat([x[left], x[right]], dim=1), (y[left] + y[right]) % 10, y[left]


single = digits(generator)
x, total, left = pairs(single.x, single.y, 4000)
x_test, total_test, left_test = pairs(single.x_test, single.y_test, 1500)


def network(seed):
    """Three blocks of width 96, and the scores."""
    torch.manual_seed(seed)
    widths = [128, 96, 96, 96]
    hidden = [
        nn.Sequential(nn.Linear(v, w), nn.ReLU())
        for v, w in zip(widths, widths[1:], strict=False)
    ]
    return Partition([*hidden, nn.Linear(96, 10)], modules=4, sample=x[:1])


def trained(method, seed, epochs=12):
    """Train the network for the sum of the digits."""
    partition = network(seed)
    trainer = Trainer(
        partition,
        method,
        optimizer=partial(torch.optim.Adam, lr=2e-3),
        generator=torch.Generator().manual_seed(seed),
    )
    batches = list(zip(x.split(100), total.split(100), strict=True))
    trainer.fit(batches, epochs=epochs)
    return partition


def accuracy(partition, x, y):
    """Share of right answers."""
    with torch.no_grad():
        return (partition(x).argmax(dim=1) == y).double().mean().item()


methods = {
    "untrained": None,
    "backpropagation": Backprop(),
    "DGL": DGL(),
    "DGL, predsim": DGL(PredSim()),
}
nets = {
    name: [network(s) if method is None else trained(method, s) for s in (0, 1)]
    for name, method in methods.items()
}

# %%
noise = 0.2 * torch.randn(x_test.shape, generator=generator)
rows = {}
for name, both in nets.items():
    probes = [audit.probe(net, [(x, left)], [(x_test, left_test)])[:3] for net in both]
    own = [accuracy(net, x_test, total_test) for net in both]
    noisy = [accuracy(net, x_test + noise, total_test) for net in both]
    rows[name] = torch.tensor(own), torch.tensor(noisy), torch.stack(probes)
pixels = Partition([nn.Flatten(), nn.Linear(128, 10)], 2, sample=x[:1])
raw = audit.probe(pixels, [(x, left)], [(x_test, left_test)])[0].item()

# %%
fig, ax = plt.subplots()
for (name, row), marker in zip(rows.items(), "xosv", strict=True):
    ax.plot([1, 2, 3], 100 * row[2].mean(0), marker=marker, label=name)
ax.axhline(100 * raw, color="k", lw=1, ls=":")
ax.set(xlabel="features of module", ylabel="left digit right, %")
ax.set(xticks=[1, 2, 3], ylim=(0, 100))
ax.legend(fontsize=8)
figure(
    fig,
    caption="How well a linear probe reads the left digit from networks that learned the sum, mean "
    "of two seeds. Dotted: the probe on the pixels.",
    alt="Accuracy for the left digit after modules one to three. All curves fall. Backpropagation lies "
    "highest; DGL falls from just below it to under the untrained network; predsim lies far below "
    "all others; the dotted line of the pixels lies above all.",
)
print("                 sum right, %   with noise, %   left digit, last features, %")
for name in ("untrained", "backpropagation", "DGL"):
    own, noisy, probes = rows[name]
    values = [100 * v.mean().item() for v in (own, noisy, probes[:, -1])]
    print(f"{name:16s} {values[0]:10.0f} {values[1]:15.0f} {values[2]:17.0f}")
print(f"{'pixels':16s} {'':10s} {'':15s} {100 * raw:17.0f}")
own, _, probes = (v.mean(0) for v in rows["DGL, predsim"])
print("predsim: sum right below 30 %:", bool(own < 0.3), end=",  ")
print("left digit, last features, below 60 %:", bool(probes[-1] < 0.6))

# %% [markdown]
# **The baseline to beat** is the best trained row of the last column, at no loss in the first.
#
# ## Three milestones
#
# 1. **Is it the loss or the accuracy?** A network that has learned less may have thrown away
#    less. Compare methods *at equal accuracy for the sum*, by stopping early, with five seeds.
# 2. **What is thrown away, and where.** Other tasks: the right digit, the difference, whether
#    both are equal, the amount of ink. Other losses: `InfoPro`, `HSIC`, kernel modules, horizons
#    from 1 to 5. A picture of task against module.
# 3. **Does the order matter?** Train modules one after another (`Greedy`), all at once, or the
#    last one first. Does noise of 0.1 to 0.5 on the pixels say the same as the probe, or
#    something else?
#
# ## Traps
#
# - The probe fits 97 numbers per class. On few samples a wide module wins by width alone: keep
#   widths equal.
# - Predsim has learned little of the sum in these epochs, and so have all: train longer before
#   you compare.
# - A probe that reads the *untrained* features well says that the task is easy. Always show that
#   row, and the pixels.
# - The auxiliary head decides what a module keeps (chapter 22). Fix it, and name it.
# - Robustness to noise and transfer are two questions. A method may win one and lose the other.
#
# ## What a good answer contains
#
# A comparison at equal accuracy, paired by seed; at least four other tasks, chosen before
# looking; a control (untrained features, and the pixels); a linear model on pixels, tuned, as the
# classical baseline; and an explanation that was tested by changing one thing. The
# [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Wang, Ni, Song, Yang and Huang (2021)**, *Revisiting locally supervised learning*, ICLR.
#   Look for the two kinds of mutual information, and how they change along the network.
# - **Alain and Bengio (2017)**, *Understanding intermediate layers using linear classifier
#   probes*, ICLR workshop. Look for what a probe may and may not be used to say.
# - **Yosinski, Clune, Bengio and Lipson (2014)**, *How transferable are features in deep neural
#   networks?*, NeurIPS. Look for the dip in the middle, and its reason.
# - **Duan, Yu and Príncipe (2021)**, *Modularizing deep learning via pairwise learning with
#   kernels*, IEEE Trans. Neural Netw. Learn. Syst. Look for transfer estimated without training.
