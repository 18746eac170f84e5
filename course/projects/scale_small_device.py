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
# # A classifier in four kilobytes
#
# > **Question.** A classifier may take 4 KiB. Are they better spent on many weights of few bits or on
# > few weights of many, and what else buys accuracy?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | training at scale |
# | **Before you start** | chapter 47; 46 helps |
# | **Time** | about a week |
# | **Baseline** | accuracy of three networks within 4 KiB, measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: a microcontroller has some kilobytes for a model, and no more. Chapter 47 keeps
# the widths of a network and takes bits away. Who has a budget has another choice: with half the bits,
# twice as many weights. And bits are not the only coin: weights can be left out, a teacher can
# help, and weights can be used twice.

# %% tags=["setup"]
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from course.kit import figure, setup
from modular import pair_sum
from modular.compact import LSQ, STE, quantize_weights, size_report

_ = setup(seed=4)

# %% [markdown]
# ## The baseline, measured
#
# Sums of two digits modulo ten (chapter 22), from 128 pixels. Three layers of equal width, as wide as
# 4096 bytes allow: 32 bits; 4 bits after training; 4 bits for the second half of training
# (LSQ, chapter 47). Biases keep 32 bits and count. All take the same steps.

# %%
BUDGET, SEEDS, PASSES = 4096, (0, 1), 10
task = pair_sum(torch.Generator().manual_seed(0), train=6000, test=3000)
x, y, x_test = task.x.float(), task.y, task.x_test.float()


def network(width, seed=0):
    """Three layers: 128 pixels, 10 classes, numbers of 32 bits."""
    torch.manual_seed(seed)
    layers = [nn.Linear(128, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10)).float()


def widest(rounding=None):
    """The largest width whose bytes are within the budget."""
    for width in range(200, 0, -1):
        net = network(width)
        if rounding:
            quantize_weights(net, rounding)
        if size_report(net).bytes <= BUDGET:
            return width
    raise ValueError(f"no width fits {BUDGET} bytes")


def train(net, passes, seed, rate=0.2):
    """Descend with momentum in batches of 100; the rate falls to zero."""
    g = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
    steps = passes * len(x) // 100
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 1 / steps, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (100,), generator=g)
        optimizer.zero_grad()
        cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()
    return net


def accuracy(net):
    """Right answers on the test pairs, in percent."""
    with torch.no_grad():
        return 100 * (net(x_test).argmax(1) == task.y_test).double().mean().item()


def half_trained(rounding, seed):
    """As wide a network as fits, after half of the passes."""
    return train(network(widest(rounding), seed), PASSES // 2, seed)


def ended(net, seed):
    """The other half of the passes, at half the rate."""
    return train(net, PASSES // 2, seed + 100, rate=0.1)


def learned(net, rounding, seed):
    """Round in the second half of training."""
    quantize_weights(net, rounding)
    net(x[:1])  # finds the first steps
    return ended(net, seed)


# %%
nets = {"32 bits": [], "4 bits, after": [], "4 bits, learned": []}
for seed in SEEDS:
    nets["32 bits"].append(ended(half_trained(None, seed), seed))
    wide = half_trained(LSQ(4), seed)
    nets["4 bits, learned"].append(learned(deepcopy(wide), LSQ(4), seed))
    nets["4 bits, after"].append(quantize_weights(ended(wide, seed), STE(4)))
right = {name: [accuracy(net) for net in some] for name, some in nets.items()}

# %% tags=["nbval-ignore-output"]
# What a seed ends with moves with a processor's last digits; the next cell is compared.
fig, ax = plt.subplots()
for place, values in enumerate(right.values()):
    ax.bar(place, sum(values) / len(values), color=f"C{place}", alpha=0.4)
    ax.plot([place] * len(values), values, "ko")
ax.axhline(10, color="k", ls=":", lw=1)
widths = [some[0][0].out_features for some in nets.values()]
labels = [f"{name}\nwidth {w}" for name, w in zip(right, widths, strict=True)]
ax.set_xticks(range(len(right)), labels)
ax.set(xlabel="bits of a weight, and when it is rounded", ylabel="test accuracy, %")
ax.set(ylim=(0, 100))
figure(
    fig,
    caption="Three networks within 4 KiB; dots are seeds, bars their means. Dotted: guessing.",
    alt="Three bars of accuracy. 32 bits with width 6 end little above guessing, 4 bits with width 41 "
    "above forty per cent; those learned in the second half are a few points ahead of those rounded after.",
)

# %%
print("4 KiB               width   bytes   accuracy of two seeds")
for (name, some), values in zip(nets.items(), right.values(), strict=True):
    size = size_report(some[0]).bytes
    bounds = f"above 25 %: {min(values) > 25!s:5s}  below 60 %: {max(values) < 60}"
    print(f"{name:18s} {some[0][0].out_features:6d} {size:7.0f}   {bounds}")

# %% [markdown]
# **The baseline to beat** is the last row. A number of your processor is `right["4 bits, learned"]`; its
# digits move from processor to processor, so that the cell prints bounds. Beat it at no more than 4096
# bytes and as many steps, on seeds that you did not choose by.
#
# ## Three milestones
#
# 1. **Bits or weights?** At 4096 bytes, every number of bits has its widest network. Draw accuracy against
#    bits, each at its own best rate of the same search. Guess beforehand where the top is, and why
#    there. Then 2 KiB and 8 KiB: does the top move?
# 2. **Other coins.** Spend the same bytes on a wide network of which few weights are left (what does it
#    cost to store *where* they are?), on a teacher's advice (`distill`), on other bits in every layer, or on
#    fewer neurons in one layer than in the other. Which of them add up?
# 3. **Structure.** Both halves of the picture hold a digit, and the network does not know. Weights that see
#    both halves are stored once. What is that worth, beside all bits? When would it be no fair comparison?
#
# ## Traps
#
# - `size_report` counts zeros, and not where they are. A mask of one bit a weight is the least that a list
#   of places may cost before you code it; say what you counted.
# - A search over widths, bits and rates that looks at test pairs fits them. Keep training pairs aside.
# - Few steps favour whatever learns fast. Repeat the decisive comparison with three times the passes.
# - Weights are rounded here, what flows through the network is not. Bytes of activations are another
#   budget.
# - A wide network of few bits takes more operations than a narrow one. The device pays for them: count.
# - Two seeds, as above, rank nothing that is close. And the rate was not searched: all sides take the same.
#
# ## What a good answer contains
#
# Accuracy against bits at equal bytes with its spread over five seeds, each side at its best of the same search; a
# table of what each coin adds, one at a time, and then of the best together; the small network of
# 32 bits, given as much search, as the baseline; a control (a teacher whose answers belong to other
# pictures, or a mask drawn at random); bytes of a file that you wrote and read back, not of a formula only; and
# the operations. The [rubric](../instructor/rubrics.md) says how it is scored.
#
# ## Readings
#
# - **Esser, McKinstry, Bablani, Appuswamy and Modha (2020)**, *Learned step size quantization*, ICLR. Look
#   for the figure of accuracy against the size of the model: which networks lie on its edge?
# - **Roth and others (2020)**, *Resource-efficient neural networks for embedded systems*, arXiv 2001.03048.
#   Look for which resources are compared, and which are held equal.
# - **Han, Mao and Dally (2016)**, *Deep compression: compressing deep neural networks with pruning, trained
#   quantization and Huffman coding*, ICLR. Look for the bytes that the places of the weights take.
# - **Hinton, Vinyals and Dean (2015)**, *Distilling the knowledge in a neural network*, arXiv 1503.02531. Look
#   for what the student has never seen.
