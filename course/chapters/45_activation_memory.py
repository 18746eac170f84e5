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
# # 45 · Activation memory
#
# > **Claim.** What a training step keeps between forward and backward can be kept roughly, and a small network learns as well with an eighth of the bytes. How roughly follows from the noise that a gradient may have. If zeros and signs are kept, even a bound that is far too large still learns; plain rounding then learns nothing. The highest moment of a step falls by less than what waits.

# %% [markdown]
# | | |
# |---|---|
# | **You will be able to** | count what autograd keeps; say what each of several machines holds under ZeRO; choose how much to compute twice; write a quantiser that leaves every mask as it is; bound the error of a gradient, and predict its noise; choose the error from the noise; share out bits |
# | **Before you start** | linear and convolutional layers, backpropagation; mean and variance; chapter 21 (checkpoints) helps |
# | **Time** | 150 minutes |
# | **Points** | 21, in seven exercises |

# %% tags=["setup"]
import math
import statistics
from itertools import product

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional

from course.kit import Question, figure, quiz, setup, stored
from modular import digits
from modular.memory import (
    BitAllocator,
    Groupwise,
    Identity,
    LinearQuantizer,
    SigmaController,
    compressed_activations,
    zero,
)
from modular.memory.codec import Codec
from modular.meter import SavedTensors

generator = setup(seed=45)

# %% [markdown]
# ## Cold open: the mask that was rounded away
#
# A small convolutional network learns digits. Between forward and backward it keeps the output of
# every layer, its **activations**, since the gradients of the weights need them. They are most of what a training step holds here (section 1 counts).
# So let us keep them roughly: round each number to the nearest multiple of $2 \varepsilon$. Then a number is off by
# $\varepsilon$ at most, and only a small integer has to be kept. The forward pass computes with exact numbers, as before.
#
# A **codec** is what makes something small of an activation (`encode`), and an activation of that again (`decode`).
# `compressed_activations` puts one between autograd and its memory.


# %% tags=["given"]
class Nearest(Codec):
    """Round to the nearest multiple of twice the bound; 16 bits a number."""

    def __init__(self, bound):
        self.bound = bound

    def _encode(self, x):
        return (x / (2 * self.bound)).round().to(torch.int16)

    def decode(self, kept):
        return 2 * self.bound * kept.double()

    def count(self, kept):
        return 2 * kept.numel()


task = digits(torch.Generator().manual_seed(0))
images, labels = task.x.view(-1, 1, 8, 8), task.y


def network(seed, channels=8, layers=4):
    """Convolutions with ReLUs between them, and one linear layer."""
    torch.manual_seed(seed)
    parts = []
    for i in range(layers):
        conv = nn.Conv2d(channels if i else 1, channels, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight)
        parts += [conv, nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(64 * channels, 10))


def train(codec, seed=0, steps=60, batch=64):
    """Train with Adam; return the model and its losses."""
    model, g = network(seed), torch.Generator().manual_seed(seed)
    codec = codec(model) if callable(codec) and not isinstance(codec, Codec) else codec
    adam, losses = torch.optim.Adam(model.parameters(), lr=0.003), []
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=g)
        adam.zero_grad()
        with compressed_activations(model, codec):
            loss = functional.cross_entropy(model(images[rows]), labels[rows])
        loss.backward()
        if isinstance(codec, SigmaController):
            codec.step()
        adam.step()
        losses.append(loss.item())
    return model, losses


@torch.no_grad()
def activations(model, x):
    """Return what comes out of each ReLU."""
    found = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            found.append(x)
    return found


def share_below(bound, h):
    """Return which share of the positive numbers is below a bound."""
    return (h[h > 0] < bound).double().mean().item()


# %%
BOUND = 2.0
curves = {
    "exact": train(Identity())[1],
    "rounded to the nearest": train(Nearest(BOUND))[1],
    "same bound, zeros and signs kept": train(LinearQuantizer(BOUND))[1],
}

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.4))
for (name, losses), look in zip(curves.items(), ("o-", "s--", "^:"), strict=True):
    ax.plot(range(1, 61), losses, look, ms=4, markevery=6, label=name)
ax.set(xlabel="step", ylabel="training loss", ylim=(0, 3.2))
ax.legend(fontsize=9)
figure(
    fig,
    caption="The same network, data and seed; only what is kept between forward and backward "
    "differs. Both rounded ones are off by the same bound.",
    alt="Three curves of the loss against 60 steps. The exact one falls from 2.3 to about 0.2. The "
    "one that keeps zeros and signs falls more slowly, to about 0.4. The one that is rounded to the "
    "nearest stays level at 2.3.",
)

# %%
last = {name: statistics.median(losses[-10:]) for name, losses in curves.items()}
print(
    "rounded: the last loss is more than twice that of zeros and signs kept:",
    last["rounded to the nearest"] > 2 * last["same bound, zeros and signs kept"],
)
below = [share_below(BOUND, h) for h in activations(network(0), images[:64])]
print(
    "before training, more than 99 % of what is positive is below the bound:",
    min(below) > 0.99,
)

# %% [markdown]
# Both keep every number to within the same $\varepsilon$, which is larger than nearly all of them. One learns, a little more slowly. The other one learns nothing. Why?
#
# A ReLU keeps its *result*: where that is positive, the gradient passes, where it is zero, the gradient stops. The result is
# its **mask**. Rounding to the nearest turns every positive number below $\varepsilon$ into zero, so the mask
# closes, and no gradient reaches earlier layers through it. The error is not in one weight but in all
# earlier ones, and it adds up from layer to layer.
#
# The third curve has another rounding, with errors as large, under which no positive number becomes zero. This chapter builds
# it, says how large the error may be, and counts what is gained. The method is COMET, by Jin et al. (2021). The bound above is far too large, so that one
# can see what happens; what happens at bounds that one would choose is a question for the end.

# %% [markdown]
# ## 1. Where the memory goes
#
# Four things are held in a training step: **parameters**; their **gradients**; what the optimiser keeps for each parameter,
# its **states** (Adam keeps two numbers, momentum one); and **activations**. The first three depend on the model. The last grows with
# the batch, too, and waits from a layer's forward to its backward.
#
# PyTorch tells what waits: everything that autograd saves passes through a pair of hooks, if you give it one.
#
# ```python
# with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
#     loss = model(x)
# ```
#
# `pack(tensor)` is called for each saved tensor and returns what is kept in its place; `unpack` gives the tensor
# back when backward asks for it. There is a trap: tensors can share memory. A ReLU saves its result, and the next layer
# saves its input: the same numbers. `flatten` makes a view. What costs memory is a **storage**, `tensor.untyped_storage()`, which has
# an address, `data_ptr()`, and a length in bytes, `nbytes()`.

# %% tags=["given"]
FLOAT64 = (
    "the answer is in single precision (float32), but this chapter computes in float64: "
    "is there a .float(), or a dtype=torch.float32?"
)

# %% [markdown]
# ### Exercise 45.1 · What waits
# Difficulty ●○○○○ · 3 points
#
# Write `held(forward, own)`. Call `forward()`, once, and return how many bytes autograd keeps for its backward: the sum of `nbytes()` over
# all storages that are saved, each counted once. Leave out the storages of the tensors in the list `own` (the parameters, which are there
# anyway). Backward must still work afterwards.


# %% nbgrader={"grade": false, "grade_id": "ex45-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def held(forward, own):
    """Return the bytes that autograd keeps.

    forward: function without arguments. own: list of tensors that do not count.
    """
    ### BEGIN SOLUTION
    outside = {t.untyped_storage().data_ptr() for t in own}
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = forward()  # lives until all is counted: no address is used twice
    del out
    return sum(size for place, size in sizes.items() if place not in outside)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-1-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x_try, w_try = torch.ones(3, 4), torch.ones(4, requires_grad=True)
assert held(lambda: (x_try * w_try).sum(), [w_try]) == 96, (
    "the product saves x, 12 numbers of 8 bytes; w is in the list, and does not count"
)
assert held(lambda: (x_try * w_try).relu().sum(), [w_try]) == 192, (
    "the ReLU saves its result, too: 96 bytes more"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-1-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
net_try = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
x_try = torch.ones(3, 5)
assert held(lambda: net_try(x_try), list(net_try.parameters())) == 8 * 3 * (5 + 7), (
    "the ReLU's result is the next layer's input: one storage, saved twice, counts once"
)
### BEGIN HIDDEN TESTS
for seed in range(3):
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net_try = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(108, 4), nn.Dropout(0.5)
    )
    x_try = torch.randn(2 + seed, 1, 8, 8, generator=g)
    own_try = list(net_try.parameters())
    outs, calls = [], []

    def run_try(net=net_try, x=x_try, outs=outs, calls=calls):
        calls.append(1)
        torch.manual_seed(0)
        outs.append(net(x).square().sum())
        return outs[-1]

    with SavedTensors(exclude=own_try) as meter:
        exact = run_try()
    exact.backward()
    slopes_try = [p.grad.clone() for p in own_try]
    counted, exact = meter.peak, None
    outs.clear()
    calls.clear()
    assert held(run_try, own_try) == counted, (
        "bytes of storages: of every kind (a dropout keeps its mask), views of one storage "
        "once, those of the parameters left out"
    )
    assert len(calls) == 1, "forward is to be called once"
    net_try.zero_grad()
    outs[-1].backward()
    assert all(
        torch.equal(p.grad, s) for p, s in zip(own_try, slopes_try, strict=True)
    ), "the gradients are not what they were: unpack must give the saved tensor back"
big_try = torch.ones(100, requires_grad=True)
row_try = torch.ones(1000)[::10]
assert held(lambda: (big_try * row_try).sum(), [big_try]) == 8000, (
    "a view of every tenth number keeps the whole storage alive: count nbytes() of storages"
)
same_try = torch.ones(10)
both_try = torch.ones(10, requires_grad=True)
assert held(lambda: (both_try * same_try[:5].repeat(2)).sum(), [same_try]) == 80, (
    "a repeated tensor is a new storage"
)
assert held(lambda: (both_try[:4] * same_try[6:]).sum(), [same_try]) == 0, (
    "a view of a tensor in the list has its storage, too: compare storages, not tensors"
)
assert held(lambda: (both_try[:4] * same_try[:4]).sum(), [same_try[6:]]) == 0, (
    "a view in the list stands for its whole storage: compare storages, not where tensors begin"
)
assert (
    held(
        lambda: (both_try[:4] * same_try[:4] + both_try[4:8] * same_try[4:8]).sum(), []
    )
    == 80
), "two views of one storage, wherever they begin, count once"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `pack` sees every saved tensor. Let it write something down, and return the tensor.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A dictionary from addresses to lengths holds each storage once. Keep the result of `forward()` until you have
# counted: while the graph lives, no address is given away a second time.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()`, and drop the addresses of `own` at the end.
#
# </details>

# %% [markdown]
# Our network, with a batch of 64:

# %%
model = network(0)
batch = images[:64]
own = list(model.parameters())
whole = sum(p.numel() * p.element_size() for p in own)
waits = held(lambda: functional.cross_entropy(model(batch), labels[:64]), own)
rows = {"parameters": whole, "gradients": whole, "Adam's states": 2 * whole}
rows["activations"] = waits
for name, size in rows.items():
    print(f"{name:14} {size / 1e3:7.0f} kB")
print("activations are more than half of it:", waits > sum(rows.values()) / 2)

# %% [markdown]
# ### What machines can share
#
# If $P$ machines train together, each with a share of the batch, all of them hold the same parameters, gradients and states. **ZeRO**
# (Rajbhandari et al. 2020) shares these out: each machine holds a part and sends it when others need it. Stage 0 shares nothing,
# stage 1 the states, stage 2 the gradients, too, stage 3 all three. With $S$ numbers of state for each parameter, a machine holds
#
# $$ 1 + 1 + S \;\to\; 1 + 1 + \tfrac{S}{P} \;\to\; 1 + \tfrac{1 + S}{P} \;\to\; \tfrac{2 + S}{P} $$
#
# numbers a parameter, if one could cut anywhere. PyTorch cuts tensors along the first axis: `rows` rows into pieces of
# $\lceil \text{rows} / P \rceil$. Machine 0 has the first piece, and so on; the last ones may get fewer rows, or none.

# %% [markdown]
# ### Exercise 45.2 · What each holds
# Difficulty ●●○○○ · 3 points
#
# Write `shared_bytes(shapes, machines, stage, states)`: a list with the bytes that each machine holds. `shapes` are those of the parameters,
# tuples of one number or more; a number has 4 bytes; `states` is $S$.


# %% nbgrader={"grade": false, "grade_id": "ex45-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shared_bytes(shapes, machines, stage, states):
    """Return the bytes of parameters, gradients and states of each machine, a list.

    shapes: list of tuples. machines: P. stage: 0 to 3. states: S.
    """
    ### BEGIN SOLUTION
    found = []
    for machine in range(machines):
        whole = part = 0
        for rows, *rest in shapes:
            each = math.ceil(rows / machines)
            mine = min(each, max(0, rows - machine * each))
            whole += 4 * rows * math.prod(rest)
            part += 4 * mine * math.prod(rest)
        kept = states * (part if stage >= 1 else whole)
        kept += part if stage >= 2 else whole
        kept += part if stage >= 3 else whole
        found.append(kept)
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-2-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert list(shared_bytes([(4, 5)], 2, 0, 2)) == [320, 320], (
    "stage 0: everybody has 20 numbers four times (parameter, gradient, two states), of 4 bytes"
)
assert list(shared_bytes([(4, 5)], 2, 1, 2)) == [240, 240], (
    "stage 1: half of the states each, parameters and gradients whole"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-2-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert list(shared_bytes([(3, 10)], 2, 3, 2)) == [320, 160], (
    "three rows on two machines: two rows for the first, one for the second"
)
### BEGIN HIDDEN TESTS
shapes_try = [(5, 3), (7,), (2, 4, 3, 3), (1,), (16, 2)]
tensors_try = [torch.ones(shape, dtype=torch.float32) for shape in shapes_try]
for machines_try in (1, 2, 3, 4, 9):
    for stage_try in range(4):
        for states_try in (0, 1, 2):
            exact = zero(tensors_try, machines_try, stage_try, states_try).total
            assert list(
                shared_bytes(shapes_try, machines_try, stage_try, states_try)
            ) == list(exact), (
                f"{machines_try} machines, stage {stage_try}, {states_try} states: every tensor is cut "
                "by itself, into pieces of ceil(rows / machines) rows; some machines may get none"
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two sums for each machine: all bytes, and the bytes of its own rows. A stage says which of the two counts for what.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Machine $p$ starts at row $p \lceil \text{rows} / P \rceil$. What is left there may be less than a piece, or nothing.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `mine = min(each, max(0, rows - p * each))` with `each = math.ceil(rows / machines)`.
#
# </details>

# %% [markdown]
# ZeRO does nothing for activations. Each machine keeps those of its own samples.

# %% [markdown]
# ## 2. Do it again
#
# The oldest answer is not to keep them. **Checkpointing** keeps the input of a *segment* of layers only. When backward comes to
# the segment, its forward is done again, and then its activations are there for a moment (chapter 21 has the locks, chapter 42 chooses
# single layers). As in chapter 42, layer $i$ keeps $a_i$ bytes for backward, and $b_i$ is the bytes of its input. With $\ell$ layers in a segment, most is held when
# backward works on one of them:
#
# $$ M(\ell) = \max_j \Big( \sum_{p \le j} b_{\text{first}(p)} + \sum_{i \text{ in segment } j} a_i \Big) , $$
#
# where $j$ and $p$ count segments, $i$ counts layers, and $\text{first}(p)$ is the first layer of segment $p$. (Backward starts at the last segment; the inputs of segments behind $j$ are
# free by then.) For $L$ equal layers this is about $\frac{L}{\ell} b + \ell a$, which is least at $\ell = \sqrt{L b / a}$: with $a = b$ about
# $2 \sqrt L$ layers are held in place of $L$, for one forward more (Chen et al. 2016). Real layers differ.

# %% [markdown]
# ### Exercise 45.3 · How long a segment
# Difficulty ●●○○○ · 3 points
#
# Write `best_length(a, b)`: the number of layers in a segment with the least $M(\ell)$, and that $M$. The last segment has what
# is left. Of several equally good lengths, return the shortest.


# %% nbgrader={"grade": false, "grade_id": "ex45-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_length(a, b):
    """Return the best number of layers in a segment, and the most bytes held.

    a: bytes that each layer keeps. b: bytes of its input. Lists of numbers.
    """
    ### BEGIN SOLUTION
    found = []
    for length in range(1, len(a) + 1):
        inputs = most = 0
        for first in range(0, len(a), length):
            inputs += b[first]
            most = max(most, inputs + sum(a[first : first + length]))
        found.append((most, length))
    most, length = min(found)
    return length, most
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-3-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
length, most = best_length([1] * 4, [1] * 4)
assert (length, most) == (2, 4), (
    "segments of 2: two inputs and two layers; of 1: four inputs and a layer; of 4: an input and four layers"
)
length, most = best_length([10, 1, 1, 1], [1, 1, 1, 1])
assert (length, most) == (1, 11), (
    "the first layer keeps 10 and can never be held with less than its input, 1"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-3-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
length, most = best_length([1, 1, 9], [1, 5, 1])
assert (length, most) == (2, 11), (
    "segments (0, 1) and (2): 1 + 2, then 1 + 1 + 9. The last segment has one layer"
)
### BEGIN HIDDEN TESTS
for seed in range(12):
    g = torch.Generator().manual_seed(seed)
    count_try = 3 + seed
    a_try = torch.randint(1, 60, (count_try,), generator=g).tolist()
    b_try = torch.randint(1, 30, (count_try,), generator=g).tolist()
    if seed % 3 == 0:
        b_try = [40 * (i + 1) for i in range(count_try)][::-1]
    exact = []
    for ell in range(1, count_try + 1):
        parts_try = [range(count_try)[i : i + ell] for i in range(0, count_try, ell)]
        exact.append(
            max(
                sum(b_try[p[0]] for p in parts_try[: j + 1])
                + sum(a_try[i] for i in parts_try[j])
                for j in range(len(parts_try))
            )
        )
    kept = list(a_try), list(b_try)
    length, most = best_length(a_try, b_try)
    assert most == min(exact), (
        "M counts the inputs of this segment and of those before it, and what this one's "
        "layers keep; the worst segment decides"
    )
    assert length == exact.index(min(exact)) + 1, "of equally good lengths the shortest"
    assert (a_try, b_try) == kept, "an argument was changed"
assert tuple(best_length([1, 1, 1], [10, 10, 10])) == (3, 13), (
    "large inputs: all layers in one segment are best"
)
assert tuple(best_length([3.5], [2.0])) == (1, 5.5), "a single layer is one segment"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Try all lengths. For each, walk over the segments in order.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Keep a running sum of inputs. In each segment, add what its layers keep to it and compare with the most so far; do not add that to
# the running sum.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The starts are `range(0, len(a), length)`, the layers of one segment `a[first : first + length]`.
#
# </details>

# %%
lengths = range(1, 37)
equal = [36 / n + n for n in lengths]
exact = []
for n in lengths:
    firsts = range(0, 36, n)
    exact.append(max(j + 1 + min(n, 36 - first) for j, first in enumerate(firsts)))

# %% tags=["picture"]
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.plot(lengths, exact, "o", ms=5, label="counted")
ax.plot(lengths, equal, "-", label="L / ℓ + ℓ")
ax.axhline(36, color="k", ls="--", lw=1.5, label="all kept")
ax.set(xlabel="layers in a segment", ylabel="held, in layers", ylim=(0, 40))
ax.legend(fontsize=9, loc="lower right")
figure(
    fig,
    caption="36 equal layers with a = b: what is held, by the length of a segment.",
    alt="Points and a line that fall steeply from 37 to a minimum of 12 at 5 to 8 layers and rise slowly again to "
    "37, the points at or a little below the line. A dashed level line at 36.",
)

# %%
print("best length and most bytes of 36 equal layers:", best_length([1] * 36, [1] * 36))

# %% [markdown]
# Twelve layers in place of 36, with segments of 5 to 8: a third of the bytes, for a third more arithmetic (a backward costs about two
# forwards). Deeper networks gain more. That is the baseline which everything below has to beat.

# %% [markdown]
# ## 3. Remember roughly
#
# The other answer: keep everything, in fewer bits. Let $x$ be an activation and $\hat x$ what is remembered. We want three things.
#
# 1. $|\hat x - x| \le \varepsilon$ for every entry, the **bound**.
# 2. $\hat x = 0$ exactly where $x = 0$, and the same sign everywhere else. Then every mask stays what it is.
# 3. Small integers, many of them equal, so that few bytes are left.
#
# Cut the numbers above zero into cells of width $2 \varepsilon$, and remember a number by the middle of its cell:
#
# $$ \boxed{\; \hat x = \operatorname{sign}(x)\,(2m - 1)\,\varepsilon, \qquad m = \Big\lfloor \frac{|x|}{2 \varepsilon} \Big\rfloor + 1 \quad (x \ne 0),
#    \qquad \hat 0 = 0 . \;} $$
#
# The integer $\operatorname{sign}(x)\, m$ is the **code**; $m$ numbers the cells. The smallest number above zero becomes $\varepsilon$, not zero.

# %% [markdown]
# ### Exercise 45.4 · A quantiser for masks
# Difficulty ●●●○○ · 3 points
#
# Write `encode(x, bound)`, which returns the codes, a tensor of integers (of any integer dtype that is large enough) with the shape of `x`, and `decode(codes, bound)`, which returns $\hat x$ in
# float64. A number that lies exactly between two cells may go to either one. Numbers can be as large as $10^6 \varepsilon$, and as small
# as float64 has them.


# %% nbgrader={"grade": false, "grade_id": "ex45-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def encode(x, bound):
    """Return the codes of x, integers of the same shape. bound: number > 0."""
    ### BEGIN SOLUTION
    cells = (x.abs() / (2 * bound)).floor() + 1
    return (cells * x.sign()).to(torch.int32)
    ### END SOLUTION


def decode(codes, bound):
    """Return what is remembered, float64, of the shape of the codes."""
    ### BEGIN SOLUTION
    return (2 * codes.double() - codes.sign()) * bound
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-4-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
x_try = torch.tensor([0.0, 1e-9, 1.7, -2.2])
codes_try = encode(x_try, 0.5)
assert not codes_try.is_floating_point(), (
    "codes are integers: a float takes as many bytes as the activation"
)
assert codes_try.tolist() == [0, 1, 2, -3], (
    "cells of width 1: 1e-9 lies in the first one above zero, 1.7 in the second, -2.2 in the third below"
)
assert decode(codes_try, 0.5).dtype == torch.float64, FLOAT64
assert decode(codes_try, 0.5).tolist() == [0.0, 0.5, 1.5, -2.5], (
    "the middle of the cell; zero stays zero"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-4-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
x_try = torch.linspace(-3, 3, 25)
for bound_try in (0.1, 1.0):
    back_try = decode(encode(x_try, bound_try), bound_try)
    assert torch.equal(back_try.sign(), x_try.sign()), "a zero or a sign has changed"
### BEGIN HIDDEN TESTS
for seed in range(4):
    g = torch.Generator().manual_seed(seed)
    x_try = torch.randn(6, 4, 5, generator=g) * 10.0 ** torch.randint(
        -3, 4, (6, 4, 5), generator=g
    )
    x_try = x_try * (torch.rand(6, 4, 5, generator=g) < 0.6)
    x_try[0, 0, 0], x_try[0, 0, 1] = 1e-300, -1e-300
    kept = x_try.clone()
    for bound_try in (0.01, 0.3, 7.0):
        codes_try = encode(x_try, bound_try)
        back_try = decode(codes_try, bound_try)
        assert codes_try.shape == x_try.shape and not codes_try.is_floating_point(), (
            "codes are integers, of the shape of x"
        )
        assert back_try.shape == x_try.shape, "what is remembered has the shape of x"
        assert ((back_try - x_try).abs() <= bound_try * (1 + 1e-9)).all(), (
            "a number is off by more than the bound (or does not fit the integers: 10^6 "
            "bounds need more than 16 bits)"
        )
        assert torch.equal(back_try.sign(), x_try.sign()), (
            "a zero or a sign has changed: very small numbers go to the first cell, not to zero"
        )
        middles = (back_try / bound_try)[x_try != 0]
        assert torch.allclose(middles % 2, torch.ones_like(middles)), (
            "what is remembered are middles of cells: odd multiples of the bound"
        )
        assert (codes_try.abs() <= x_try.abs() / (2 * bound_try) + 1 + 1e-9).all(), (
            "the codes are larger than they have to be: cell 1 begins at zero"
        )
    assert torch.equal(x_try, kept), "x was changed in place"
huge_try = torch.tensor([9e5, -9e5])
assert torch.allclose(decode(encode(huge_try, 1.0), 1.0), huge_try, rtol=0, atol=1.0), (
    "large numbers do not fit the integers"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Work with the size and the sign of a number by themselves.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `floor` counts the full cells below. `sign` is zero at zero, which is what you need. Do not use `round`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $\hat x = (2\,\text{code} - \operatorname{sign}(\text{code}))\, \varepsilon$.
#
# </details>

# %% [markdown]
# Does the mask do what we hoped? We take the gradients of one step, with exact and with remembered activations, and compare the weights of
# each layer.


# %%
def slopes(model, codec, rows=slice(64)):
    """Gradients of all parameters in one step, and what was kept."""
    model.zero_grad()
    with compressed_activations(model, codec) as kept:
        loss = functional.cross_entropy(model(images[rows]), labels[rows])
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}, kept


model = network(1)
exact, _ = slopes(model, Identity())
print("gradient                     zeros and signs kept    to the nearest")
differ = {}
for codec in (LinearQuantizer(0.2), Nearest(0.2)):
    rough, _ = slopes(model, codec)
    differ[type(codec)] = {
        name: ((rough[name] - exact[name]).norm() / exact[name].norm()).item()
        for name in exact
    }
for name in exact:
    pair = [differ[kind][name] for kind in (LinearQuantizer, Nearest)]
    cells = ["the same bits" if d == 0 else f"{100 * d:.0f} % off" for d in pair]
    what = f"layer {name.split('.')[0]}, {name.split('.')[1]}"
    print(f"{what:28} {cells[0]:>20} {cells[1]:>17}")
biases = [d for name, d in differ[LinearQuantizer].items() if "bias" in name]
print(
    "with signs kept, the gradients of all biases are the same bits:", not any(biases)
)

# %% [markdown]
# With zeros and signs kept, every bias has *bitwise* the gradient that it had, and so has the first layer, which reads the images (the
# data are not compressed). Only weights that read a rough activation differ. That is not chance. A linear layer or a convolution $y = W x$ with $\delta$ for the gradient of the loss by $y$ computes
#
# $$ \nabla W = \sum_{n} \delta_n x_n^\top, \qquad \nabla x_n = W^\top \delta_n : $$
#
# the remembered $\hat x$ stands in the first formula only, and a ReLU asks for the mask only. What flows back never touches a rough number. (A sigmoid, a
# softmax or a normalisation computes with what it kept. There the error does flow back.)
#
# And the bytes? Codes are small integers with very many zeros. A byte each makes four times less than float32; an **entropy
# code** (here `zlib`, as in a zip file) makes use of the zeros.

# %%
for bound_try in (0.01, 0.1, 1.0):
    _, kept = slopes(model, LinearQuantizer(bound_try))
    print(
        f"bound {bound_try:4}: bytes of float64 over bytes kept: {kept.plain / kept.peak:.0f}"
    )
_, fine = slopes(model, LinearQuantizer(0.01))
_, coarse = slopes(model, LinearQuantizer(1.0))
print("the coarse bound takes below half the bytes:", coarse.peak < fine.peak / 2)

# %% [markdown]
# (In float32 divide these by two. Float64 is for teaching.)
#
# ## 4. How wrong is a gradient?
#
# Now we ask how large $\varepsilon$ may be. Let $e = \hat x - x$. The gradient of output $o$'s weights is off by
#
# $$ \widehat{\nabla W}_o - \nabla W_o = \sum_n \delta_{no}\, e_n , $$
#
# where the sum is over samples, and for a convolution over all places of an image, too. Two answers.
#
# **Certain.** Each $|e| \le \varepsilon$, so every entry is off by at most
#
# $$ h_o = \varepsilon \sum_n |\delta_{no}| . $$
#
# **Typical.** The signs of $\delta$ and $e$ have nothing to do with each other, and most terms cancel. Take $e$ as uniform in $[-\varepsilon, \varepsilon]$ where $x \ne 0$: its
# variance is $\varepsilon^2 / 3$ there, and zero elsewhere. With $r$ the share of entries of $x$ that are not zero,
#
# $$ \boxed{\; \sigma_o = \varepsilon \sqrt{\frac{r}{3} \sum_n \delta_{no}^2} \;} $$
#
# is the standard deviation of the error. Jin et al. have a formula of this kind with a constant that they measured. The constant
# depends on the layer; the sum of squares does not need one.
#
# **Shapes.** `x` is `(batch, inputs, ...)` and `delta` is `(batch, outputs, ...)`; the dots are the places of an image, or nothing.

# %% [markdown]
# ### Exercise 45.5 · Certain and typical
# Difficulty ●●●○○ · 3 points
#
# Write `limits(x, delta, bound)`, which returns $h$ and $\sigma$, both of shape `(outputs,)`.


# %% nbgrader={"grade": false, "grade_id": "ex45-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def limits(x, delta, bound):
    """Return the certain and the typical error of a weight's gradient.

    x: (batch, inputs, ...). delta: (batch, outputs, ...). bound: number > 0.
    """
    ### BEGIN SOLUTION
    rows = delta.transpose(0, 1).flatten(1)  # (outputs, batch and places)
    share = (x != 0).double().mean()
    sigma = bound * (share / 3 * rows.square().sum(dim=1)).sqrt()
    return bound * rows.abs().sum(dim=1), sigma
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-5-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
hard_try, sigma_try = limits(
    torch.ones(4, 3), torch.tensor([[1.0], [-1], [1], [1]]), 0.1
)
assert hard_try.shape == sigma_try.shape == (1,), "one number for each output"
assert hard_try.dtype == sigma_try.dtype == torch.float64, FLOAT64
assert torch.allclose(hard_try, torch.tensor([0.4])), (
    "four samples with |delta| = 1, each off by 0.1 at most"
)
assert torch.allclose(sigma_try, torch.tensor([0.1 * (4 / 3) ** 0.5])), (
    "variances add: four times 0.1^2 / 3"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-5-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
half_try = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
assert torch.allclose(
    limits(half_try, torch.ones(2, 3), 1.0)[1], torch.full((3,), (1 / 3) ** 0.5)
), "half of x is zero and has no error: r = 1/2"
### BEGIN HIDDEN TESTS
for seed, places in enumerate([(), (5,), (3, 4)]):
    g = torch.Generator().manual_seed(seed)
    x_try = torch.randn(6, 2, *places, generator=g)
    x_try = x_try * (torch.rand(x_try.shape, generator=g) < 0.6)
    delta_try = torch.randn(6, 3, *places, generator=g)
    bound_try = 0.05 * (seed + 1)
    kept = x_try.clone(), delta_try.clone()
    hard_try, sigma_try = limits(x_try, delta_try, bound_try)
    filled = sum(float(v != 0) for v in x_try.flatten()) / x_try.numel()
    for k in range(3):
        one = [float(v) for n in range(6) for v in delta_try[n, k].flatten()]
        exact = bound_try * sum(abs(v) for v in one)
        assert abs(float(hard_try[k]) - exact) < 1e-9 * exact, (
            "the certain bound adds up sizes of delta, over samples and places, for each output"
        )
        exact = bound_try * (filled / 3 * sum(v * v for v in one)) ** 0.5
        assert abs(float(sigma_try[k]) - exact) < 1e-9 * exact, (
            "the typical error adds up squares over samples and places; r is the share of all "
            "of x that is not zero"
        )
    assert torch.equal(x_try, kept[0]) and torch.equal(delta_try, kept[1]), (
        "an argument was changed in place"
    )
hard_try, sigma_try = limits(torch.zeros(3, 2), torch.ones(3, 4), 0.5)
assert torch.equal(sigma_try, torch.zeros(4)), "zeros are remembered exactly: no noise"
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Bring the outputs to the front, and make all other axes one.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `delta.transpose(0, 1).flatten(1)` has one row for each output. For two axes as for four.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `bound * rows.abs().sum(1)`, and `bound * (r / 3 * rows.square().sum(1)).sqrt()` with `r = (x != 0).double().mean()`.
#
# </details>

# %% [markdown]
# Theory against a layer. We take a convolution with known inputs and gradients, shift the grid of cells 60 times at random, and look at
# the errors of the gradient.

# %%
x = torch.randn(32, 6, 12, 12, generator=generator).relu()
delta = torch.randn(32, 4, 10, 10, generator=generator)
delta = delta * torch.tensor([1.0, 2.0, 0.5, 3.0])[:, None, None]
shape, errors = (4, 6, 3, 3), []
for shift in torch.rand(60, generator=generator):
    moved = x + 0.02 * shift * (x > 0)
    rough = decode(encode(moved, 0.01), 0.01)
    errors.append(nn.grad.conv2d_weight(rough - moved, shape, delta))
errors = torch.stack(errors)
measured = errors.square().mean(dim=(0, 2, 3, 4)).sqrt()
hard, sigma = limits(x, delta, 0.01)
for k in range(4):
    print(f"output {k}: predicted and measured noise {sigma[k]:.2g}, {measured[k]:.2g}")
print("all within a tenth:", bool(((measured / sigma - 1).abs() < 0.1).all()))
most = errors.abs().amax(dim=(0, 2, 3, 4))
print("every error below the certain bound:", bool((most <= hard).all()))
print("the largest of them below a tenth of it:", bool((most < hard / 10).all()))

# %% [markdown]
# The typical error is right, and the certain one is of no use here: with thousands of terms it is far too careful. Still it is the one
# that is a theorem. A test of a program should use it.

# %% [markdown]
# ## 5. From noise to bound
#
# Turn it round. A gradient of a batch is noisy anyway, since the batch is a sample. So allow a little more: the noise of remembering may
# be a **share** $\tau$ of the mean size of the gradient's entries. Then
#
# $$ \varepsilon = \frac{\tau \cdot \operatorname{mean} |\nabla W|}{\max_o \sigma_o / \varepsilon} , $$
#
# and the right side does not contain $\varepsilon$, since $\sigma_o$ is proportional to it. If two layers read the same activation, the
# more sensitive one decides. This is a **controller**: it looks at gradients once in a while, and sets each activation's bound anew. (Jin et al. are said to
# take $\tau = 0.01$, and to look about every 1000 steps; we could not check these two numbers in their text.)

# %% [markdown]
# ### Exercise 45.6 · The bound of an activation
# Difficulty ●●●○○ · 3 points
#
# Write `bound_for(x, readers, share)`. `readers` is a list of pairs, one for each layer that reads $x$: the gradient of its weights, of any
# shape, and `delta` as in exercise 45.5. Return $\varepsilon$, the smallest that a reader asks for. A reader for which no error
# makes noise (all of its $\sigma_o$ are zero) asks for nothing. If no reader asks for anything, return `math.inf`.


# %% nbgrader={"grade": false, "grade_id": "ex45-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bound_for(x, readers, share):
    """Return the bound of an activation, a number.

    x: (batch, inputs, ...). readers: pairs of dW and delta, (batch, outputs, ...).
    """
    ### BEGIN SOLUTION
    allowed = math.inf
    filled = (x != 0).double().mean()
    for gradient, delta in readers:
        rows = delta.transpose(0, 1).flatten(1)
        noise = (filled / 3 * rows.square().sum(dim=1)).sqrt().max()  # for bound 1
        if noise > 0:
            allowed = min(allowed, float(share * gradient.abs().mean() / noise))
    return allowed
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-6-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
reader_try = (torch.tensor([[3.0, -1.0]]), torch.ones(3, 1))
found_try = bound_for(torch.ones(3, 2), [reader_try], 0.1)
assert math.isclose(found_try, 0.2, rel_tol=1e-9), (
    "mean |dW| = 2, and with bound 1 the noise is sqrt(3 / 3) = 1: 0.1 * 2 / 1"
)

# %% nbgrader={"grade": true, "grade_id": "ex45-6-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
other_try = (torch.tensor([[1.0, 1.0]]), torch.ones(3, 1))
assert math.isclose(
    bound_for(torch.ones(3, 2), [reader_try, other_try], 0.1), 0.1, rel_tol=1e-9
), "two readers: the more sensitive one decides"
### BEGIN HIDDEN TESTS
for seed, places in enumerate([(), (4, 3), ()]):
    g = torch.Generator().manual_seed(seed)
    x_try = torch.randn(5, 2, *places, generator=g)
    x_try = x_try * (torch.rand(x_try.shape, generator=g) < 0.6)
    pairs_try = [
        (
            torch.randn(3, 2, *([3, 3] if places else []), generator=g),
            torch.randn(5, 3, *places, generator=g)
            * torch.tensor([1.0, 4.0, 0.5]).view(3, *[1 for _ in places]),
        )
        for _ in range(1 + seed)
    ]
    filled, exact = float((x_try != 0).double().mean()), []
    for slope_try, delta_try in pairs_try:
        size = sum(abs(float(v)) for v in slope_try.flatten()) / slope_try.numel()
        squares = [
            sum(float(v) ** 2 for v in delta_try[:, k].flatten()) for k in range(3)
        ]
        exact.append(0.03 * size / (filled / 3 * max(squares)) ** 0.5)
    kept = [(a.clone(), b.clone()) for a, b in pairs_try]
    found_try = float(bound_for(x_try, pairs_try, 0.03))
    assert math.isclose(found_try, min(exact), rel_tol=1e-9), (
        "share times the mean size of dW, over the noise of the noisiest output at bound 1; the "
        "smallest of all readers"
    )
    found_try = float(bound_for(x_try, pairs_try[::-1], 0.03))
    assert math.isclose(found_try, min(exact), rel_tol=1e-9), (
        "the order of the readers must not matter"
    )
    assert all(
        torch.equal(a, c) and torch.equal(b, d)
        for (a, b), (c, d) in zip(pairs_try, kept, strict=True)
    ), "an argument was changed in place"
deaf_try = (torch.ones(1, 2), torch.zeros(3, 1))
assert float(bound_for(torch.ones(3, 2), [deaf_try], 0.1)) == math.inf, (
    "a reader whose delta is zero asks for nothing"
)
assert math.isclose(
    float(bound_for(torch.ones(3, 2), [deaf_try, reader_try], 0.1)), 0.2, rel_tol=1e-9
), "the other reader's bound is left"
assert float(bound_for(torch.zeros(3, 2), [reader_try], 0.1)) == math.inf, (
    "an x of zeros is remembered exactly with any bound"
)
assert float(bound_for(torch.ones(3, 2), [], 0.1)) == math.inf, "no reader, no bound"
silent_try = (torch.zeros(1, 2), torch.ones(3, 1))
assert float(bound_for(torch.ones(3, 2), [silent_try], 0.1)) == 0, (
    "a gradient of zero with noise allows no error"
)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# What is $\sigma_o$ for $\varepsilon = 1$? You have a formula for it in section 4.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Start with `math.inf` and take the smaller one, reader by reader. Compare the largest $\sigma_o$ with zero before you divide.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `share * dW.abs().mean() / (r / 3 * rows.square().sum(1)).sqrt().max()`.
#
# </details>

# %% [markdown]
# ## 6. Or count bits
#
# On a GPU an entropy code is slow, and one takes a fixed number of **bits** for each number. Each group of numbers has $2^{\text{bits}}$ equal levels from its least
# to its largest, and chance decides whether a number goes up or down, so that the mean is right (as in exercise 43.6). This is ActNN (Chen et al. 2021);
# `Groupwise(bits)` in the library.
#
# *The mean is right*: of the activation. Here is a surprise.

# %%
small = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
small = nn.Sequential(*small, nn.Linear(24, 1))
inputs = torch.randn(64, 8, generator=generator)


def small_slopes(codec):
    """Gradients of the first, second and last weights, mean over 400 draws."""
    found = [torch.zeros_like(small[i].weight) for i in (0, 2, 4)]
    draws = 400 if isinstance(codec, Groupwise) else 1
    for _ in range(draws):
        small.zero_grad()
        with compressed_activations(small, codec, least=0):
            loss = (small(inputs) - 1).square().mean()
        loss.backward()
        for total, i in zip(found, (0, 2, 4), strict=True):
            total += small[i].weight.grad / draws
    return found


straight = small_slopes(Identity())
averaged = small_slopes(Groupwise(2, generator=generator))
off = {}
for name, a_, b_ in zip(("first", "second", "last"), straight, averaged, strict=True):
    off[name] = ((a_ - b_).norm() / a_.norm()).item()
print("the last layer's mean gradient is off by less than 2 %:", off["last"] < 0.02)
print("the first layer's by more than 10 %:", off["first"] > 0.1)

# %% [markdown]
# The last layer only multiplies by what is remembered, and its gradient is right in the mean. The first layer's is wrong, however often we
# repeat it: a small positive number may be remembered as zero, and then the ReLU stops a gradient that should pass. *Unbiased
# activations do not make unbiased gradients.* ActNN keeps one bit more for a ReLU's mask. Look for this line in a paper: it is part of the price.
#
# How should bits be divided? With $k_i$ bits for activation $i$, which has $d_i$ numbers, the levels are $2^{k_i} - 1$ steps apart, and the variance that the gradient gets is about
# $c_i\, 4^{-k_i}$, where the **sensitivity** $c_i$ says how much the errors of this activation matter. With a budget of bits:
#
# $$ \min_k \sum_i c_i\, 4^{-k_i} \qquad \text{with} \qquad \sum_i d_i k_i \le \text{budget}, \quad k_i \in \{1, 2, 4, 8\} . $$
#
# This is the third allocation problem of part 4, after contiguous cuts (chapter 42) and filling bins (chapter 44): a **knapsack**. (GACT, Liu et al.
# 2022, solves it greedily.)

# %% [markdown]
# ### Exercise 45.7 · Who gets the bits
# Difficulty ●●●●○ · 3 points
#
# Write `spend(d, c, budget)`: a list with the best $k_i$. It must be exact, for up to six activations. Of equally good
# choices any will do. If the budget is less than one bit for each number, raise a `ValueError`.


# %% nbgrader={"grade": false, "grade_id": "ex45-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def spend(d, c, budget):
    """Return the bits of each activation, a list of 1, 2, 4 or 8.

    d: numbers of each. c: sensitivity of each. budget: bits in all.
    """
    ### BEGIN SOLUTION
    best, found = math.inf, None
    for bits in product((1, 2, 4, 8), repeat=len(d)):
        used = sum(n * k for n, k in zip(d, bits, strict=True))
        error = sum(s / 4**k for s, k in zip(c, bits, strict=True))
        if used <= budget and error < best:
            best, found = error, list(bits)
    if found is None:
        raise ValueError("the budget is less than one bit for each number")
    return found
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex45-7-visible", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert list(spend([100, 100], [9.0, 1.0], 600)) == [4, 2], (
    "4 and 2 bits use all 600; the more sensitive one gets more"
)
assert list(spend([10], [1.0], 79)) == [4], "8 bits would need 80"

# %% nbgrader={"grade": true, "grade_id": "ex45-7-heldout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
try:
    spend([10, 10], [1.0, 1.0], 19)
except ValueError:
    pass
else:
    raise AssertionError("20 numbers need 20 bits at least: raise a ValueError")
### BEGIN HIDDEN TESTS
assert list(spend([10, 10], [1.0, 1.0], 20)) == [1, 1], "20 bits are just enough"
for seed in range(25):
    g = torch.Generator().manual_seed(seed)
    count_try = 1 + seed % 6
    d_try = torch.randint(1, 60, (count_try,), generator=g).tolist()
    c_try = torch.randn(count_try, generator=g).mul(3).exp().tolist()
    budget_try = int(sum(d_try) * (1 + 6 * torch.rand((), generator=g).item()))
    kept = list(d_try), list(c_try)
    bits_try = list(spend(d_try, c_try, budget_try))
    assert (d_try, c_try) == kept, "an argument was changed"
    assert len(bits_try) == count_try and all(k in (1, 2, 4, 8) for k in bits_try), (
        "one of 1, 2, 4, 8 for each activation"
    )
    assert sum(n * k for n, k in zip(d_try, bits_try, strict=True)) <= budget_try, (
        "more bits than there are: an activation of d numbers takes d times its bits"
    )
    best = BitAllocator(d_try, c_try, budget_try).bits
    error = sum(s * 4.0**-k for s, k in zip(c_try, bits_try, strict=True))
    exact = sum(s * 4.0**-k for s, k in zip(c_try, best, strict=True))
    assert error <= exact * (1 + 1e-9), (
        "there is a better choice: small activations are cheap, and what is gained is c 4^-k"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Six activations with four choices each: how many cases are there?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `itertools.product` makes all choices. Keep the best of those that fit.
#
# </details>
# <details><summary>Hint 3</summary>
#
# A choice fits if `sum(n * k for n, k in zip(d, bits)) <= budget`, and its error is `sum(s / 4**k for s, k in zip(c, bits))`.
#
# </details>

# %% [markdown]
# For a hundred layers all choices are too many. Among choices for the first layers, one that is worse *and* dearer than another can be
# forgotten at once; what is left is short. That is how the library does it, and it stays exact.

# %% [markdown]
# ## The library's version
#
# `modular.memory` has all of this: codecs, controllers, and `compressed_activations`, which keeps what is saved twice once and leaves
# parameters alone. Is it what you have written?

# %%
x = torch.randn(50, 20, generator=generator).relu()
mine, theirs = decode(encode(x, 0.1), 0.1), LinearQuantizer(0.1)(x)
print("the quantiser:", torch.allclose(mine, theirs, rtol=0, atol=1e-12))

model = network(2)
controller, seen = SigmaController(model, share=0.05), {}


def watch(layer, given, out):
    """Note what the second convolution reads, and the gradient of its result."""
    seen["x"] = given[0].detach()
    out.register_hook(lambda delta: seen.update(delta=delta))


handle = model[2].register_forward_hook(watch)
with compressed_activations(model, controller) as kept:
    loss = functional.cross_entropy(model(images[:64]), labels[:64])
loss.backward()
controller.step()
handle.remove()
pairs = [(model[2].weight.grad, seen["delta"])]
mine = float(bound_for(seen["x"], pairs, 0.05))
print("the bound:", math.isclose(mine, controller.bounds[0], rel_tol=1e-9))
print(
    "the bits:",
    spend([9, 40, 7], [3.0, 8.0, 1.0], 200)
    == [*BitAllocator([9, 40, 7], [3.0, 8.0, 1.0], 200).bits],
)
tensors = [torch.ones(5, 3, dtype=torch.float32), torch.ones(7, dtype=torch.float32)]
print("ZeRO:", shared_bytes([(5, 3), (7,)], 4, 2, 2) == [*zero(tensors, 4, 2).total])

# %% [markdown]
# On two and four real processes, PyTorch's own sharding holds what the formula says, to the byte. A test of the library sees to it.
#
# ## Signature result: bytes, accuracy, seconds
#
# The stored run: nine convolutions with 16 channels on digits, float32, Adam, three seeds. Each way to keep activations learns from the same
# weights with the same batches.
#
# - *Plain* is training as it is, the baseline. *Identity* keeps everything, through the same hooks.
# - *Controller* is the quantiser with the bounds of section 5, at four shares $\tau$, looking every 20 steps. *Nearest* behind a share: the same
#   controller, but its bounds are for rounding to the nearest, which keeps neither small numbers nor masks. *SZ3*: the same bounds for
#   the compressor of the paper, with zeros and signs kept beside it.
# - *Bound* has no controller: one $\varepsilon$ for all activations, from the first step to the last. Again with zeros and signs kept,
#   and, as the **negative control**, rounded to the nearest.
# - *Bits* are those of section 6.

# %%
record = stored("memory")
runs, steps = record["runs"], record["step"]


def told(name):
    """A row's name as it is used in the text."""
    kind, _, value = name.partition(", ")
    return f"controller, {value}, nearest" if kind == "control" else name


def scores(name):
    """Accuracy of all seeds, in percent."""
    return [run["accuracy"] for run in runs[name]["runs"]]


def less(name):
    """How many times less is kept, median over steps and seeds."""
    return statistics.median(run["less"][0] for run in runs[name]["runs"])


print(f"{'':24} times less   accuracy of each seed, %")
for name in runs:
    cells = "  ".join(f"{value:5.1f}" for value in scores(name))
    print(f"{told(name):24} {less(name):10.1f}   {cells}")

# %%
TAUS, BOUNDS = ("0.01", "0.1", "0.3", "1"), ("0.1", "0.5", "2")
LEFT = {
    "controller": ("o-", [f"controller, {s}" for s in TAUS]),
    "controller, nearest": ("x--", ["control, 0.1", "control, 1"]),
    "4 and 2 bits": ("s:", ["4 bits", "2 bits"]),
}
RIGHT = {
    "signs kept": ("o-", [f"bound {b}, signs" for b in BOUNDS]),
    "nearest": ("x--", [f"bound {b}, nearest" for b in BOUNDS]),
}
plain = scores("plain")


def middle_and_range(names):
    """Mean accuracy of each row, and how far its seeds go below and above it."""
    means = [statistics.mean(scores(n)) for n in names]
    low = [m - min(scores(n)) for n, m in zip(names, means, strict=True)]
    high = [max(scores(n)) - m for n, m in zip(names, means, strict=True)]
    return means, (low, high)


# %% tags=["front-page", "picture"]
fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.6))
for name, (look, names) in LEFT.items():
    means, spread = middle_and_range(names)
    at = [less(n) for n in names]
    axes[0].errorbar(at, means, yerr=spread, fmt=look, ms=7, capsize=3, label=name)
for name, (look, names) in RIGHT.items():
    means, spread = middle_and_range(names)
    at = [float(b) for b in BOUNDS]
    axes[1].errorbar(at, means, yerr=spread, fmt=look, ms=7, capsize=3, label=name)
for ax, low, high in zip(axes, (84, 0), (100, 105), strict=True):
    ax.axhspan(min(plain), max(plain), color="0.85", label="plain, its seeds")
    ax.set(xscale="log", ylim=(low, high), ylabel="test accuracy, %")
axes[0].axvline(record["published"]["less"], color="k", ls=":", lw=1.8)
axes[0].text(13, 84.5, "published", rotation=90, ha="right", va="bottom", fontsize=9)
axes[0].set(xlim=(3.7, 26), xlabel="times fewer bytes", title="bound by a controller")
axes[0].set_xticks([4, 8, 16], ["4", "8", "16"])
axes[1].set(xlim=(0.05, 2.9), xlabel="bound", title="one bound for all")
axes[1].set_xticks([0.1, 0.5, 2], BOUNDS)
for ax in axes:
    ax.minorticks_off()
axes[0].legend(fontsize=9, loc="lower left")
axes[1].legend(fontsize=9, loc="lower left")
fig.tight_layout()
figure(
    fig,
    caption="Nine convolutions on digits, mean and range of three seeds. Left: bytes of activations against "
    "accuracy; dotted, what Jin et al. report for large networks. Right: the same bound for all.",
    alt="Left, times fewer bytes on a logarithmic axis: the controller's accuracy stays at about 95 from four to twelve times and is 94 at "
    "eighteen, its control with rounding to the nearest lies as high; 4 bits too, 2 bits at 93. All ranges overlap the band of plain training. Right: with zeros and signs kept the line is level near 95 at "
    "all three bounds. Rounded to the nearest it is as high at 0.1, at 66 with a range from 9 to 97 at 0.5, and at 17 at 2.",
)

# %%
same = [
    a["sum"] == b["sum"]
    for a, b in zip(runs["plain"]["runs"], runs["identity"]["runs"], strict=True)
]
print("identity: the weights after training are the same bits:", all(same))
for share in ("0.1", "0.3"):
    name = f"controller, {share}"
    within = min(plain) <= statistics.mean(scores(name))
    print(f"share {share}: mean not below the plain seeds: {within};", end=" ")
    print("at least eight times less:", less(name) >= 8)
print("published, times less:", record["published"]["less"])
for share in ("0.1", "1"):
    worst = min(scores(f"controller, {share}"))
    control = statistics.mean(scores(f"control, {share}"))
    print(
        f"share {share}, nearest: below every seed of the controller:", control < worst
    )
print(
    "bound 2, nearest: with every seed below half of what signs reach:",
    max(scores("bound 2, nearest")) < min(scores("bound 2, signs")) / 2,
)
failed = sum(value < 50 for value in scores("bound 0.5, nearest"))
print("bound 0.5, nearest: seeds of three below 50 %:", failed)

# %% [markdown]
# **What is gained.** With shares of 0.1 and 0.3 an eighth to a twelfth of the bytes is kept, and accuracy is within what seeds make. More cannot be said: plain
# training itself spreads over three points from seed to seed. *4 bits* do about as well as a share of 0.1, and need neither a share nor gradients. (*Allocated* is the same run: for nine maps of
# one size the best choice was four bits for each.) With 2 bits, and with a share of one, the means are below those of the other rows that learn, but the ranges overlap. (Jin et al. report 13.5 times less on
# networks that are much larger; that a share of one keeps less here says nothing about theirs.) The bytes
# are a median over steps, without the very first step: until it has seen a gradient, the controller keeps everything.
#
# **What zeros and signs are worth.** Look at the right side. A bound of 2 is larger than nearly every activation of the untrained network. With zeros and signs kept it
# learns, at a twentieth of the bytes. Rounded to the nearest, no seed learns, and at 0.5 it depends on the seed: where every mask is closed, the first
# layers have a gradient of zero and stay as they were drawn. (Few bytes are kept then, since zeros take few.) At 0.1 both learn.
#
# **SZ3** predicts each number from its neighbours and codes what is left. At the same bounds it takes more bytes here than the plain codes
# of section 3 behind `zlib`, and more time (next table).
#
# **A bound by trial is as good.** One bound for all, zeros and signs kept, is nowhere behind the controller here. What the controller gives is a bound without trying several, from a number that means something. In a net whose layers differ more, one bound for all may do worse; we have not measured it.
#
# ### A control that does not fail
#
# We had expected that rounding to the nearest fails with the controller, too. It does not: it is as accurate, at a share of 0.1 and at a share
# of one. Is its gradient right, then? Take an untrained network, set bounds by one batch, and count the positive numbers that are below their bound: where rounding to the nearest closes a mask. Then
# look at the second convolution's gradient over all data. How much of the exact gradient $g$ is left in the rough one, $\hat g$? We print $\langle \hat g, g \rangle / \langle g, g \rangle$, which is 1 if nothing is missing. At last sixty steps of training at a share of 0.3, with three seeds.


# %%
class ToTheNearest(SigmaController):
    """The controller's bounds, for rounding to the nearest."""

    def codec(self, number):
        bound = self.bounds.get(number)
        return Identity() if bound is None else Nearest(bound)


model, everything = network(0), slice(None)
straight = slopes(model, Identity(), everything)[0]["2.weight"]
maps, left = activations(model, images[:64]), {}
print("            masks     left of the gradient:")
print("           closed     zeros and signs   nearest")
for share in (0.1, 0.3, 1.0):
    for kind in (SigmaController, ToTheNearest):
        controller = kind(model, share, period=1000)
        slopes(model, controller)  # exact, and watched
        controller.step()
        pairs = zip(controller.bounds.values(), maps, strict=True)
        closed = statistics.mean(share_below(bound, h) for bound, h in pairs)
        rough = slopes(model, controller, everything)[0]["2.weight"]
        controller.remove()
        left[kind, share] = ((rough * straight).sum() / straight.square().sum()).item()
    kept, nearest = left[SigmaController, share], left[ToTheNearest, share]
    print(f"share {share:3} {100 * closed:5.0f} % {kept:19.2f} {nearest:9.2f}")
means = {}
for kind in (SigmaController, ToTheNearest):
    found = [
        statistics.median(
            train(lambda model, kind=kind: kind(model, 0.3), seed=seed)[1][-10:]
        )
        for seed in (0, 1, 2)
    ]
    means[kind] = statistics.mean(found)
print(
    "sixty steps, share 0.3: the mean loss of nearest is higher by a quarter:",
    means[ToTheNearest] > 1.25 * means[SigmaController],
)

# %% [markdown]
# So the gradient is biased, and that is no noise: each mask that closes takes something away, and nothing gives it back. At a share of 0.1 a tenth is missing, at 0.3 more than a third. In
# a short training that costs time. In the stored run, five epochs later, three seeds do not show it. (In short trainings at a share of one both go badly, and
# neither is ahead.) Said plainly: **this run does not show that a controller needs zeros and signs.**
#
# A reason that we can see: the controller's bounds begin small, so that most masks stay open, and grow when the activations do. A fixed bound of 2 is
# large from the first step on. Why the control learns even at a share of one, with most masks closed at first, we do not know.
#
# What is shown for zeros and signs is the right side of the figure: they forgive a bound that is much too large. And they come with a
# theorem, that of section 3.

# %% [markdown]
# ### Bytes against seconds
#
# *Times less* counts what waits between forward and backward, and passes a codec. A machine needs room for the highest **moment** of a step. So here is what the allocator says
# of one step (everything: workspaces, gradients, copies), and CPU seconds beside a plain step, in turns, on a machine that had other work.

# %%
print(f"{'':24} waits, kB   highest moment, kB   times as slow")
for name, row in steps.items():
    print(
        f"{told(name):24} {row['held'] / 1e3:9.0f} {row['peak'] / 1e3:20.0f} "
        f"{row['ratio']:15.1f}"
    )
base = steps["plain"]
key = "controller, 0.1"
print("waiting: below an eighth of plain:", steps[key]["held"] < base["held"] / 8)
print("highest moment: below an eighth:", steps[key]["peak"] < base["peak"] / 8)
cheapest = min(row["ratio"] for name, row in steps.items() if "checkpoints" in name)
print("checkpoints cost less time than the controller:", cheapest < steps[key]["ratio"])

# %% [markdown]
# What waits falls to a ninth, and the highest moment to a little more than a half. While backward works on a layer, that layer's activation is there in
# full, with the gradients of its result and of its input beside it, and workspaces: several maps at once, in a net that has nine. In a net of a hundred
# layers they would matter less. (A codec must need little room itself: a copy of a map in double precision is as large as two maps in float32. The
# library rounds piece by piece.)
#
# Two to four checkpoints hold about a half, at 1.3 to 1.6 times the time. *Nine* of them hold more than plain training: each segment is a convolution and its ReLU, and the
# inputs of these segments are just what plain training keeps. The law of section 2 counts layers that keep as much as their input, and a ReLU is none.
# The controller takes three times as long as a plain step, since one core rounds and runs `zlib`. In a convolution with more channels the
# arithmetic for each number grows, and coding does not; on a net of this size, who has time to spare and no memory may use it. Offload moves
# everything to another memory, parameters included. Here there is only one memory, so nothing moves and nothing is gained.
#
# ### The rest of the bill
#
# For the other three parts of the bill: states of Adam in 8 bits, trained, with zeros and signs kept or with rounding by chance; and ZeRO by arithmetic.

# %%
for name, row in record["states"].items():
    right = [run["accuracy"] for run in row["runs"]]
    line = "diverges" if None in right else "  ".join(f"{v:.1f}" for v in right)
    print(f"Adam, {name:18} {row['runs'][0]['bytes'] / 1e3:5.0f} kB   {line}")
for stage, row in record["zero"]["four workers"].items():
    print(f"ZeRO on four machines, {stage}: {row['most'] / 1e3:4.0f} kB each")
chance = [run["accuracy"] for run in record["states"]["8 bits, by chance"]["runs"]]
print("rounding Adam's states by chance fails with every seed:", set(chance) == {None})

# %% [markdown]
# *torchao* is PyTorch's own Adam in 8 bits. It learns as well, and codes tensors with 4096 numbers or more only. There is one here, so
# three quarters of the bytes stay.
#
# Adam divides by the root of its second state. Where that is rounded to zero and the first state is not, a step is huge. Here small numbers
# must not become zero, and a bound on the error does not see to it. (Real 8-bit optimisers, torchao's too, have levels that are closer near zero, Dettmers et al. 2022.)
#
# ## An experiment to change
#
# How much noise may a gradient have? Change `SHARES`, and guess first.

# %%
SHARES = (0.01, 0.3, 10.0)
exact_loss = statistics.median(train(Identity(), seed=3)[1][-10:])
for share in SHARES:
    losses = train(lambda model, share=share: SigmaController(model, share), seed=3)[1]
    times = statistics.median(losses[-10:]) / exact_loss
    print(f"share {share}: the last loss is that of exact training, to 10 %:", end=" ")
    print(abs(times - 1) < 0.1, "  more than three times that:", times > 3)

# %% [markdown]
# Then, one thing at a time:
#
# - `SigmaController(model, share, period=50)`: bounds from old gradients. Where in training is that dangerous?
# - `nn.Tanh` in place of `nn.ReLU` in `network`. Is every bias's gradient the same bits still?
# - In the cold open, `BOUND = 0.5`, then `1.0`. At which bound does rounding to the nearest begin to hurt?
#
# ## When it fails
#
# **A function that computes with what it kept.** The gradient of $\tanh$ is $1 - y^2$, of the remembered $y$. Then the error does flow back:

# %%
torch.manual_seed(0)
curved = nn.Sequential(nn.Linear(8, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh())
curved = nn.Sequential(*curved, nn.Linear(24, 1))
heard = {}
for codec in (Identity(), LinearQuantizer(0.1)):
    curved.zero_grad()
    with compressed_activations(curved, codec, least=0):
        loss = (curved(inputs) - 1).square().mean()
    loss.backward()
    heard[type(codec)] = curved[0].bias.grad.clone()
print("first bias, the same bits:", torch.equal(*heard.values()))

# %% [markdown]
# For such a net the bound must be smaller, and $\sigma_o$ does not predict the noise. Normalisations and attention are of this kind, too: they
# multiply two activations.
#
# **One large layer.** While backward works on a layer, its activation is there in full, with gradients beside it. A network of two wide layers gains
# next to nothing, however few bytes wait.
#
# **Time.** Coding costs. On a CPU `zlib` and rounding take longer than the layers of a small net. Whether it pays depends on what memory is good for: a larger batch, or
# a model that would not run at all. Where memory is enough, this method only costs.
#
# **An old bound.** A bound is set from gradients of one batch. Where gradients fall quickly, it is too large a while later.
#
# ## Quiz

# %%
quiz(
    Question(
        "A ReLU saves its result, the convolution behind it saves its input. How many bytes wait, for a map of s bytes?",
        choices=["s: one storage", "2 s", "None: the mask is enough"],
        answer="77e0e12756ff",
        hint="Exercise 45.1.",
    ),
    Question(
        "Activations are remembered to within 0.1, zeros and signs exactly, in a net of linear layers and ReLUs. Which gradients are bitwise the same?",
        choices=[
            "None",
            "All of them",
            "Those of all biases, and of the layer that reads the data",
        ],
        answer="8f75c6f35c67",
        hint="Where does the remembered number stand in the two formulas of section 3?",
    ),
    Question(
        "The bound is halved. What happens to the noise of a gradient?",
        choices=["It is halved", "It falls to a quarter", "It depends on the layer"],
        answer="62ef6dbfb1e2",
        hint="Look at the box in section 4.",
    ),
    Question(
        "Rounding by chance is unbiased. Why is a gradient biased in spite of it?",
        choices=[
            "Chance is not good enough",
            "A ReLU reads what is remembered as its mask",
            "The groups are too large",
        ],
        answer="62bc08c67811",
        hint="Which layers' gradients were off?",
    ),
    Question(
        "64 equal layers, a = b. How many layers are held at the best length of a segment, about?",
        choices=["8", "16", "32"],
        answer="61c3bc3fc436",
        hint="Two times a square root.",
    ),
    Question(
        "A method keeps a fifteenth of the activations' bytes. What do you ask before you buy a smaller machine?",
        choices=[
            "How high the highest moment of a step is",
            "Which entropy code it has",
            "How many bits a code has",
        ],
        answer="ed2da42faad4",
        hint="The second table of the signature result.",
    ),
)

# %% [markdown]
# ## Summary
#
# - A step holds parameters, gradients, states and activations. ZeRO shares out the first three; activations grow with the batch.
# - Count storages, not tensors.
# - Checkpoints: about $2 \sqrt L$ layers in place of $L$, for one forward more.
# - A quantiser with $|\hat x - x| \le \varepsilon$ that keeps zeros and signs leaves everything that flows back through linear layers, convolutions and ReLUs
#   bitwise as it was. Rounding to the nearest does not.
# - The error of a gradient is at most $\varepsilon \sum |\delta|$, and typically $\varepsilon \sqrt{r/3 \sum \delta^2}$.
# - So the bound follows from the noise that one allows. Bits are shared out by a knapsack.
# - What waits falls by much; the highest moment of a step by less; time is paid.
#
# ## Glossary
#
# | Term | Meaning |
# |---|---|
# | activation | output of a layer that is kept from its forward to its backward |
# | storage | the memory behind tensors; views share one |
# | state | what an optimiser keeps for each parameter |
# | ZeRO | states, gradients and parameters shared out among machines, in stages |
# | checkpointing | keep the inputs of segments only, and do a segment's forward again |
# | segment | consecutive layers that are done again together |
# | codec | what encodes an activation, and decodes it |
# | bound | $\varepsilon$, the largest error of a remembered number |
# | mask | where a ReLU lets the gradient pass |
# | entropy code | an exact code that takes few bytes for what is frequent |
# | controller | what sets each activation's bound from the noise that its readers' gradients may have |
# | sensitivity | $c_i$, how much the errors of an activation matter |
# | offload | keep activations in another memory, and fetch them again |
#
# ## Readings
#
# - **Jin, Zhang, Jiang, Feng, Guan, Li, Song and Tao (2021)**, *COMET: a novel memory-efficient deep learning training framework by using error-bounded lossy compression*,
#   VLDB. Look for the measured constant in the noise, and for how zeros are kept.
# - **Liu and Jiang (2022)**, *Dive into big model training*. Look for the part on memory, where all these ways stand side by side.
# - **Rajbhandari, Rasley, Ruwase and He (2020)**, *ZeRO: memory optimizations toward training trillion parameter models*, SC. Look for
#   figure 1, and for what each stage sends.
# - **Chen, Xu, Zhang and Guestrin (2016)**, *Training deep nets with sublinear memory cost*. Look for the square root.
# - **Dettmers, Lewis, Shleifer and Zettlemoyer (2022)**, *8-bit optimizers via block-wise quantization*, ICLR. Look for where
#   their levels stand.
# - **Chen, Zheng, Yao, Wang, Stoica, Mahoney and Gonzalez (2021)**, *ActNN: reducing training memory footprint via 2-bit activation compressed
#   training*, ICML. Look for what they keep for a ReLU.
# - **Liu, Zheng, Wang, Cen, Chen, Han, Chen, Liu, Tang, Gonzalez, Mahoney and Cheung (2022)**, *GACT: activation compressed training for generic network architectures*,
#   ICML. Look for the sensitivity, and how it is measured.
